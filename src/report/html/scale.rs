//! From values to places on a plot.

/// A linear or logarithmic axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    /// Ends in values, or in their decimal logarithms.
    low: f64,
    high: f64,
    /// The ends' places, in units of the drawing.
    from: f64,
    to: f64,
    is_log: bool,
}

impl Scale {
    /// A linear axis over the values, a little longer than they reach.
    pub(super) fn linear(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = extent(values.filter(|v| v.is_finite())).unwrap_or((0.0, 1.0));
        let margin = if high > low { 0.03 * (high - low) } else { 0.5 * low.abs().max(1.0) };
        Self { low: low - margin, high: high + margin, from, to, is_log: false }
    }

    /// A logarithmic axis over the positive values, from a power of ten to a power of ten that lie
    /// between 10^`least` and 10^`most`.
    pub(super) fn log(
        values: impl Iterator<Item = f64>,
        [least, most]: [f64; 2],
        from: f64,
        to: f64,
    ) -> Self {
        let logs = values.filter(|v| *v > 0.0 && v.is_finite()).map(f64::log10);
        let (low, high) = extent(logs).unwrap_or((-1.0, 0.0));
        // What is off by rounding is no reason for a decade more.
        let low = (low + 1e-9).floor().clamp(least, most);
        let high = (high - 1e-9).ceil().clamp(least, most);
        let (low, high) = if high > low { (low, high) } else { (low - 1.0, low + 1.0) };
        Self { low, high, from, to, is_log: true }
    }

    /// Where a value lies; what is beyond an end lies at the end.
    pub(super) fn at(&self, value: f64) -> f64 {
        self.from + (self.to - self.from) * self.fraction(value)
    }

    /// From 0 at the lower to 1 at the upper end; NaN is at the lower.
    pub(super) fn fraction(&self, value: f64) -> f64 {
        let value = match self.is_log {
            true if value > 0.0 => value.log10(),
            true => f64::NEG_INFINITY,
            false => value,
        };
        let fraction = (value - self.low) / (self.high - self.low);
        if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) }
    }

    /// Whether a value lies between the ends.
    pub(super) fn holds(&self, value: f64) -> bool {
        let value = if self.is_log { value.log10() } else { value };
        (self.low..=self.high).contains(&value)
    }

    /// The values at both ends.
    pub(super) fn ends(&self) -> (f64, f64) {
        if self.is_log { (power(self.low), power(self.high)) } else { (self.low, self.high) }
    }

    /// At most `most` round values between the ends (or two, where fewer would be none).
    pub(super) fn ticks(&self, most: usize) -> Vec<f64> {
        let rough = (self.high - self.low) / most.max(2) as f64;
        let step = if self.is_log {
            let steps = [1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 50.0, 100.0];
            let fits = |s: &&f64| (self.high - self.low) / **s < most as f64;
            steps.iter().find(fits).copied().unwrap_or(rough.ceil())
        } else {
            let decade = power(rough.log10().floor());
            [1.0, 2.0, 5.0, 10.0]
                .map(|m| m * decade)
                .into_iter()
                .find(|s| *s >= rough)
                .unwrap_or(rough)
        };
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        let round = |i: i64| {
            let value = i as f64 * step;
            if self.is_log { power(value) } else { value }
        };
        (first..=last).map(round).collect()
    }
}

/// A power of ten, a whole one without rounding.
fn power(exponent: f64) -> f64 {
    match exponent.fract() == 0.0 {
        true => format!("1e{exponent}").parse().unwrap_or(f64::NAN),
        false => 10_f64.powf(exponent),
    }
}

fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |extent, v| match extent {
        None => Some((v, v)),
        Some((low, high)) => Some((v.min(low), v.max(high))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_are_equally_long() {
        let scale = Scale::log([1e-9, 1e-7, 0.1].into_iter(), [-20.0, 3.0], 100.0, 20.0);
        assert_eq!(scale.ends(), (1e-9, 0.1));
        for (i, value) in [1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1].iter().enumerate()
        {
            assert!((scale.at(*value) - (100.0 - 10.0 * i as f64)).abs() < 1e-9);
        }
        assert_eq!((scale.at(0.0), scale.at(5.0)), (100.0, 20.0));
        assert!(scale.holds(0.05) && !scale.holds(0.5) && !scale.holds(0.0));
        assert_eq!(scale.ticks(9), [1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]);
        assert_eq!(scale.ticks(5), [1e-8, 1e-6, 1e-4, 1e-2]);
    }

    #[test]
    fn logarithmic_ends_keep_to_the_limits() {
        let scale = Scale::log([1e-30, 1e9].into_iter(), [-17.0, 3.0], 0.0, 1.0);
        assert_eq!(scale.ends(), (1e-17, 1e3));
        let one = Scale::log([1e-30].into_iter(), [-17.0, 3.0], 0.0, 1.0);
        assert_eq!(one.ends(), (1e-18, 1e-16));
        assert_eq!(Scale::log([f64::NAN].into_iter(), [-17.0, 3.0], 0.0, 1.0).ends(), (0.1, 1.0));
    }

    #[test]
    fn linear_axes_have_round_ticks() {
        let scale = Scale::linear([-5.0, 5.0].into_iter(), 0.0, 10.6);
        assert!((scale.at(0.0) - 5.3).abs() < 1e-12);
        assert!((scale.at(5.0) - 10.3).abs() < 1e-12);
        assert_eq!(scale.ticks(6), [-4.0, -2.0, 0.0, 2.0, 4.0]);
        let point = Scale::linear([2.0].into_iter(), 0.0, 1.0);
        assert_eq!((point.at(2.0), point.ends()), (0.5, (1.0, 3.0)));
        assert_eq!(point.at(f64::NAN), 0.0);
        assert_eq!(Scale::linear(std::iter::empty(), 0.0, 1.0).at(0.5), 0.5);
    }
}
