//! Statistics of one parameter over all points.

use super::column::Column;
use super::error_model::ErrorModel;
use super::evidence::{binomial_evidence, holm};
use super::verdict::{Reason, VerdictKind};
use crate::index::ParameterIdx;
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal};

/// Counts and error quantiles of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterStatistics {
    pub parameter: ParameterIdx,
    /// Points by class, in the order of [`VerdictKind::ALL`]; they add up to the points.
    pub counts: [usize; VerdictKind::ALL.len()],
    /// Inconclusive and failed points by reason, in the order of [`Reason::ALL`].
    pub reasons: [usize; Reason::ALL.len()],
    /// Points with an estimate from one-sided differences.
    pub one_sided: usize,
    /// fail/(pass + fail); NaN where no point was decidable.
    pub failure_rate: f64,
    /// Wilson interval of the failure rate, at the confidence asked for.
    pub failure_interval: (f64, f64),
    /// Evidence that the failure rate exceeds the threshold of consistent failures: one-sided exact
    /// binomial p-value, and the same adjusted for the number of parameters (Holm).
    pub p_value: f64,
    pub p_holm: f64,
    /// Of |gradient − estimate|/|estimate|, over decidable points.
    pub errors: ErrorQuantiles,
    /// The smallest relative error of the gradient that as many random points would call a
    /// consistent failure with a probability of 99.9 %; infinite if none would.
    pub detectable_error: f64,
    /// The eps of the grid whose plain central difference is closest to the estimate, by median.
    pub best_eps: f64,
    /// What central differences' errors do with eps, by their medians: plain and paired ones.
    pub models: [Option<ErrorModel>; 2],
    /// Whether the failure rate's lower bound exceeds the threshold.
    pub is_consistent_failure: bool,
}

/// Quantiles of an error; all NaN of no error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorQuantiles {
    pub median: f64,
    /// Median of the distances from the median.
    pub mad: f64,
    pub q25: f64,
    pub q75: f64,
    pub q90: f64,
    pub max: f64,
}

impl ErrorQuantiles {
    /// Of ascending errors.
    fn of(errors: &[f64]) -> Self {
        let [q25, median, q75, q90, max] = [0.25, 0.5, 0.75, 0.9, 1.0].map(|q| quantile(errors, q));
        let mut distances: Vec<f64> = errors.iter().map(|e| (e - median).abs()).collect();
        distances.sort_unstable_by(f64::total_cmp);
        Self { median, mad: quantile(&distances, 0.5), q25, q75, q90, max }
    }
}

/// How far differences with one eps are from the estimate, over points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpsStatistics {
    pub parameter: ParameterIdx,
    pub eps: f64,
    /// Points with an estimate and a finite difference.
    pub points: usize,
    /// Medians of |difference − estimate|/|estimate|, for plain and for paired differences.
    pub plain_error: f64,
    pub paired_error: f64,
}

/// One cell as the statistics see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellSummary {
    pub kind: VerdictKind,
    pub reason: Option<Reason>,
    pub is_one_sided: bool,
    /// The parameter's value, on its scale.
    pub value: f64,
    pub gradient: f64,
    pub estimate: f64,
    /// Relative error from which on a gradient fails here; infinite where nothing is decided.
    pub threshold: f64,
}

/// Probability with which an error of [`ParameterStatistics::detectable_error`] is found.
pub const POWER: f64 = 0.999;

/// Wilson's score interval of a proportion (Wilson 1927), two-sided at `confidence`; (0, 1) of
/// nothing.
pub fn wilson(successes: usize, trials: usize, confidence: f64) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    let z = Normal::standard().inverse_cdf(0.5 + 0.5 * confidence);
    let (n, p) = (trials as f64, successes as f64 / trials as f64);
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    // Rounding must not move the interval off an exact 0 or 1.
    let low = if successes == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if successes == trials { 1.0 } else { (centre + half).min(1.0) };
    (low, high)
}

/// Whether so many failures of so many decided points are consistent: the interval of the failure
/// rate lies above the threshold.
pub fn is_consistent(failed: usize, decided: usize, confidence: f64, threshold: f64) -> bool {
    decided > 0 && wilson(failed, decided, confidence).0 > threshold
}

/// Cells of one parameter, point after point, in few bytes each.
#[derive(Debug, Clone, Default)]
pub struct Cells {
    pub(super) kinds: Vec<VerdictKind>,
    pub(super) values: Column,
    reasons: [usize; Reason::ALL.len()],
    one_sided: usize,
    /// |gradient − estimate|/|estimate| where that is decided and finite.
    errors: Column,
    /// Finite ones only.
    thresholds: Column,
}

impl Cells {
    /// Adds a point's.
    pub fn push(&mut self, cell: &CellSummary) {
        self.kinds.push(cell.kind);
        self.values.push(cell.value);
        for (count, reason) in self.reasons.iter_mut().zip(Reason::ALL) {
            *count += usize::from(cell.reason == Some(reason));
        }
        self.one_sided += usize::from(cell.is_one_sided);
        if matches!(cell.kind, VerdictKind::Pass | VerdictKind::Fail) {
            let error = ((cell.gradient - cell.estimate) / cell.estimate).abs();
            if error.is_finite() {
                self.errors.push(error);
            }
        }
        if cell.threshold.is_finite() {
            self.thresholds.push(cell.threshold);
        }
    }

    /// Statistics of the parameter, as if it were the only one.
    pub fn statistics(
        &self,
        parameter: ParameterIdx,
        eps: &[EpsStatistics],
        confidence: f64,
        threshold: f64,
    ) -> ParameterStatistics {
        let counts = VerdictKind::ALL.map(|kind| self.kinds.iter().filter(|k| **k == kind).count());
        let (passed, failed) = (counts[0], counts[1]);
        let failure_interval = wilson(failed, passed + failed, confidence);
        let own = || eps.iter().filter(|e| e.parameter == parameter);
        let best = own()
            .filter(|e| e.plain_error.is_finite())
            .min_by(|a, b| a.plain_error.total_cmp(&b.plain_error));
        let model = |error: fn(&EpsStatistics) -> f64| {
            ErrorModel::fit(&own().map(|e| (e.eps, error(e))).collect::<Vec<_>>())
        };
        let p_value = binomial_evidence(failed, passed + failed, threshold);
        let thresholds = self.thresholds.sorted();
        let points = self.kinds.len();
        ParameterStatistics {
            parameter,
            counts,
            reasons: self.reasons,
            one_sided: self.one_sided,
            failure_rate: failed as f64 / (passed + failed) as f64,
            failure_interval,
            p_value,
            p_holm: p_value,
            errors: ErrorQuantiles::of(&self.errors.sorted()),
            detectable_error: detectable_error(&thresholds, points, confidence, threshold),
            best_eps: best.map_or(f64::NAN, |e| e.eps),
            models: [model(|e| e.plain_error), model(|e| e.paired_error)],
            is_consistent_failure: is_consistent(failed, passed + failed, confidence, threshold),
        }
    }
}

impl<'a> FromIterator<&'a CellSummary> for Cells {
    fn from_iter<T: IntoIterator<Item = &'a CellSummary>>(cells: T) -> Self {
        let mut all = Self::default();
        cells.into_iter().for_each(|cell| all.push(cell));
        all
    }
}

/// Statistics of one parameter from its cells, as if it were the only one.
pub fn parameter_statistics(
    parameter: ParameterIdx,
    cells: &[CellSummary],
    eps: &[EpsStatistics],
    confidence: f64,
    threshold: f64,
) -> ParameterStatistics {
    cells.iter().collect::<Cells>().statistics(parameter, eps, confidence, threshold)
}

/// Adjusts the evidence of all parameters for their number.
pub fn adjust(parameters: &mut [ParameterStatistics]) {
    let adjusted = holm(&parameters.iter().map(|p| p.p_value).collect::<Vec<_>>());
    parameters.iter_mut().zip(adjusted).for_each(|(p, adjusted)| p.p_holm = adjusted);
}

/// The relative error at which so large a part of all points fails that, of as many random points,
/// enough do with probability [`POWER`]. `thresholds` are ascending.
fn detectable_error(thresholds: &[f64], points: usize, confidence: f64, threshold: f64) -> f64 {
    let decided = thresholds.len();
    // Failing points among the decided ones that make the failure consistent.
    let is_enough = |failed: usize| is_consistent(failed, decided, confidence, threshold);
    let Some(needed) = (1..=decided).find(|&failed| is_enough(failed)) else {
        return f64::INFINITY;
    };
    // Another sample has as many failing points with probability POWER if a point fails with some
    // probability, which the share of these points tells to within its own interval.
    let suffices = |failing: usize| {
        let share = wilson(failing, points, POWER).0;
        let Ok(binomial) = Binomial::new(share, points as u64) else { return false };
        binomial.sf(needed as u64 - 1) >= POWER
    };
    match (needed..=decided).find(|&failing| suffices(failing)) {
        Some(failing) => thresholds[failing - 1],
        None => f64::INFINITY,
    }
}

impl EpsStatistics {
    /// From the relative deviations over points, plain and paired.
    pub(super) fn new(parameter: ParameterIdx, eps: f64, deviations: &[Column; 2]) -> Self {
        let [plain, paired] = deviations.each_ref().map(Column::sorted);
        Self {
            parameter,
            eps,
            points: plain.len(),
            plain_error: quantile(&plain, 0.5),
            paired_error: quantile(&paired, 0.5),
        }
    }
}

/// The quantile of ascending values, interpolated linearly; NaN of none.
pub(super) fn quantile(ascending: &[f64], q: f64) -> f64 {
    let Some(last) = ascending.len().checked_sub(1) else { return f64::NAN };
    let position = q * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    let weight = position - below as f64;
    ascending[below] + weight * (ascending[above] - ascending[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(kind: VerdictKind, reason: Option<Reason>, gradient: f64) -> CellSummary {
        let (value, estimate, threshold) = (0.0, 1.0, 1e-3);
        CellSummary { kind, reason, is_one_sided: false, value, gradient, estimate, threshold }
    }

    #[test]
    fn every_cell_is_counted_once() {
        let mut cells = Vec::new();
        for (i, kind) in VerdictKind::ALL.into_iter().enumerate() {
            let reasons: Vec<_> = Reason::ALL.into_iter().filter(|r| r.kind() == kind).collect();
            for k in 0..=i {
                let reason = (!reasons.is_empty()).then(|| reasons[k % reasons.len()]);
                cells.push(CellSummary { is_one_sided: k == 0, ..cell(kind, reason, 1.0) });
            }
        }
        let found = parameter_statistics(ParameterIdx::from_position(0), &cells, &[], 0.95, 0.05);
        assert_eq!(found.counts, [1, 2, 3, 4, 5, 6, 7]);
        // Three inconclusive cells, seven failed ones, each with the reasons in turn.
        assert_eq!(found.reasons, [2, 1, 2, 2, 2, 1]);
        assert_eq!(found.one_sided, 7);
    }

    #[test]
    fn errors_have_their_quantiles() {
        // Errors 0, 1, 2, 3, 10; distances from the median 2: 2, 1, 0, 1, 8, their median 1.
        let cells = [1.0, 2.0, 3.0, 4.0, 11.0].map(|g| cell(VerdictKind::Fail, None, g));
        let found = parameter_statistics(ParameterIdx::from_position(0), &cells, &[], 0.95, 0.05);
        let e = found.errors;
        assert_eq!([e.q25, e.median, e.q75, e.max, e.mad], [1.0, 2.0, 3.0, 10.0, 1.0]);
        // 0.6 of the way from the fourth to the fifth.
        assert!((e.q90 - 7.2).abs() < 1e-12);
        let none = parameter_statistics(ParameterIdx::from_position(0), &[], &[], 0.95, 0.05);
        assert!(none.errors.median.is_nan() && none.errors.mad.is_nan());
        assert_eq!((none.p_value, none.is_consistent_failure), (1.0, false));
    }

    /// Three of three fail, one of three, none: evidence q³, 1 − (1 − q)³, 1 with q = 0.05; times
    /// 3, 2, 1.
    #[test]
    fn evidence_counts_all_parameters() {
        let of = |failing: usize| {
            let kind = |i| if i < failing { VerdictKind::Fail } else { VerdictKind::Pass };
            let cells: Vec<_> = (0..3).map(|i| cell(kind(i), None, 1.0)).collect();
            parameter_statistics(ParameterIdx::from_position(failing), &cells, &[], 0.95, 0.05)
        };
        let mut all = [of(1), of(3), of(0)];
        adjust(&mut all);
        let q = 0.05_f64;
        let expected = [2.0 * (1.0 - (1.0 - q).powi(3)), 3.0 * q.powi(3), 1.0];
        for (statistics, expected) in all.iter().zip(expected) {
            assert!((statistics.p_holm - expected).abs() < 1e-12, "{statistics:?}");
        }
    }
}
