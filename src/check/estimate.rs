//! An estimate of a derivative from differences over a grid of eps, with a bound on its error.
//!
//! Central differences have an error expansion in eps². Neville's scheme (Ridders 1982) combines
//! neighbouring steps of the grid; every entry of the table gets a bound from what the differences
//! themselves show, and the entry with the smallest bound is taken. The gradient that is to be
//! judged plays no part in the choice.
//!
//! The noise of a difference is s/eps with one s for all steps. What s is the smallest steps tell,
//! whose differences are little else (Moré & Wild, *Estimating computational noise*, SIAM J. Sci.
//! Comput. 33, 2011, take differences of equidistant values to the same end). It is never less than
//! what rounding the predictions makes.

/// One step of the grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rung {
    pub eps: f64,
    /// Forward, backward and central difference; NaN where a probe failed.
    pub forward: f64,
    pub backward: f64,
    pub central: f64,
    /// Standard size of the noise of `central`.
    pub noise: f64,
    /// That of values that the parameter may change, but did not change over this step: to the bit
    /// they, or even all states that they are made of, stayed the same.
    pub unseen: f64,
}

impl Rung {
    /// In a coordinate of which one unit is this step on the parameter scale.
    pub(super) fn in_units(self, step: f64) -> Self {
        Self {
            eps: self.eps / step,
            forward: self.forward * step,
            backward: self.backward * step,
            central: self.central * step,
            noise: self.noise * step,
            unseen: self.unseen * step,
        }
    }
}

/// The steps of the grid, in any order.
pub type Ladder = [Rung];

/// What the differences say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub value: f64,
    /// Bound on the error: truncation and noise together.
    pub bound: f64,
    /// The part of the bound that is noise.
    pub noise_bound: f64,
    /// What the parameter may do to values that did not change over the largest step: below
    /// rounding. A gradient that differs by less is not wrong.
    pub floor: f64,
    /// The smallest eps it rests on.
    pub eps: f64,
    /// Size of the noise in f(x + eps) − f(x − eps), over 2: the error of a central difference is
    /// this over its eps.
    pub noise: f64,
    /// As much of it as rounding may well make, or the smallest steps show.
    pub explained_noise: f64,
    /// Whether forward and backward difference stay apart as eps shrinks.
    pub is_kink: bool,
    /// What it was made from.
    pub differences: Differences,
}

impl Estimate {
    /// On the parameter scale, from a coordinate of which one unit is this step.
    pub(super) fn out_of_units(self, step: f64) -> Self {
        Self {
            value: self.value / step,
            bound: self.bound / step,
            noise_bound: self.noise_bound / step,
            floor: self.floor / step,
            eps: self.eps * step,
            ..self
        }
    }
}

/// The kind of differences that an estimate was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differences {
    Central,
    /// Central ones in [compensated](crate::program::compensated) arithmetic.
    Compensated,
    /// Those of one side: on the other there are no values.
    Forward,
    Backward,
}

/// Multiple of a difference's standard rounding error that counts as its bound where the grid is
/// too small to show its noise. Rounding errors of a trajectory grow over its steps: in 9,000 cells
/// of the STAT5 problem the largest error seen was 25 times the standard size.
pub(super) const NOISE_FACTOR: f64 = 32.0;
/// Multiple of the noise that was seen in a few differences that counts as its bound.
pub(super) const SEEN_FACTOR: f64 = 5.0;
/// Steps from which on the grid shows its noise.
pub(super) const ENOUGH_RUNGS: usize = 4;
/// Highest number of extrapolations of one entry.
pub(super) const MOST_EXTRAPOLATIONS: usize = 3;
/// Forward and backward difference of a smooth function approach each other like eps; at a kink
/// their distance stays. Half way between the two on a logarithmic scale is the limit.
const KINK_EXPONENT: f64 = 0.5;

/// Ratio of two steps of which the smaller one tells whether what the larger one shows is noise: noise
/// stays as it is, what truncation leaves falls by a hundred times or more. In the middle, on a
/// logarithmic scale, is the limit. A decade, but for rounding of the steps.
const STEPS_APART: f64 = 9.99;
const MOST_FALL: f64 = 31.6;
/// Multiple of the standard rounding error up to which rounding needs no confirmation: states in
/// stiff systems carry rounding errors so much larger than those of the predictions.
const PLAIN_ROUNDING: f64 = 1e4;

/// What counts as noise of what moves apart, beside what smaller steps confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unconfirmed {
    Nothing,
    /// Up to [`PLAIN_ROUNDING`].
    Rounding,
    Everything,
}

/// The noise of differences: this over eps.
#[derive(Debug, Clone, Copy)]
struct Noise {
    size: f64,
    explained: f64,
}

impl Noise {
    /// With these steps, largest first.
    fn of(rungs: &[Rung], unconfirmed: Unconfirmed) -> Self {
        let Some(first) = rungs.first() else { return Self { size: 0.0, explained: 0.0 } };
        let standard = first.noise.max(0.0) * first.eps;
        if rungs.len() < ENOUGH_RUNGS {
            let size = NOISE_FACTOR * standard;
            return Self { size, explained: size };
        }
        let seen = seen_noise(rungs, unconfirmed);
        let at_least = |noise: f64| standard.max(SEEN_FACTOR * noise);
        Self { size: at_least(seen.size), explained: at_least(seen.explained) }
    }

    fn at(&self, eps: f64) -> f64 {
        self.size / eps
    }
}

/// The noise that the differences show. From step to step central differences come closer to each
/// other while truncation rules: wherever they move apart again it is noise, and so is the distance
/// of the one-sided differences of the smallest step.
///
/// Differences also move apart where large steps reach into another region of the function. That is
/// no noise where smaller steps deny it, and it is far more than rounding makes. Agreement of small
/// steps alone is no denial: rounding may leave all of them on one stair.
///
/// Steps over which nothing changed at all show no noise, but that of rounding.
fn seen_noise(rungs: &[Rung], unconfirmed: Unconfirmed) -> Noise {
    let is_alive = |r: &&Rung| r.forward != 0.0 || r.backward != 0.0;
    let alive: Vec<&Rung> = rungs.iter().filter(is_alive).collect();
    let Some(last) = alive.last() else { return Noise { size: 0.0, explained: 0.0 } };
    let rounding = rungs.iter().map(|r| (r.noise.max(0.0) + r.unseen) * r.eps).fold(0.0, f64::max);
    let shown: Vec<Shown> = alive
        .windows(2)
        .map(|pair| {
            let distance = (pair[0].central - pair[1].central).abs();
            Shown { distance, eps: pair[1].eps, noise: distance * pair[1].eps }
        })
        .collect();
    let gap = 0.5 * (last.forward - last.backward).abs() * last.eps;
    let gap = if gap.is_finite() { gap } else { 0.0 };
    let mut closest = f64::INFINITY;
    let mut noise = Noise { size: gap, explained: gap };
    for (i, this) in shown.iter().enumerate() {
        let smaller = shown[i..].iter().filter(|s| s.eps * STEPS_APART <= this.eps);
        let confirmed = smaller.map(|s| s.noise).fold(gap, f64::max);
        let is_explained = match unconfirmed {
            Unconfirmed::Nothing => false,
            Unconfirmed::Rounding => this.noise <= PLAIN_ROUNDING * rounding,
            Unconfirmed::Everything => true,
        };
        if this.distance > closest && (is_explained || this.noise <= MOST_FALL * confirmed) {
            noise.size = noise.size.max(this.noise);
        }
        if this.distance > closest && is_explained {
            noise.explained = noise.explained.max(this.noise);
        }
        closest = closest.min(this.distance);
    }
    noise
}

/// What two neighbouring central differences show if their distance is noise.
struct Shown {
    distance: f64,
    /// The smaller step.
    eps: f64,
    noise: f64,
}

/// The estimate from the grid; none where no central difference is finite.
pub fn estimate(ladder: &Ladder) -> Option<Estimate> {
    estimate_with(ladder, Unconfirmed::Rounding)
}

/// The estimates by the least that may be noise, what smaller steps confirm, and by the most, whatever
/// moves apart.
pub(super) fn estimates_by_other_noise(ladder: &Ladder) -> [Option<Estimate>; 2] {
    [Unconfirmed::Nothing, Unconfirmed::Everything].map(|kind| estimate_with(ladder, kind))
}

fn estimate_with(ladder: &Ladder, unconfirmed: Unconfirmed) -> Option<Estimate> {
    let mut rungs: Vec<Rung> = ladder.iter().copied().filter(|r| r.central.is_finite()).collect();
    rungs.sort_by(|a, b| b.eps.total_cmp(&a.eps));
    let noise_level = Noise::of(&rungs, unconfirmed);
    // Values that did not change over the largest step change by less over any other.
    let floor = rungs.first().map_or(0.0, |first| first.unseen);
    let mut best: Option<Estimate> = None;
    let mut offer = |value: f64, distance: f64, noise_bound: f64, eps: f64| {
        let bound = distance + noise_bound;
        if best.is_none_or(|b| bound < b.bound) && value.is_finite() {
            best = Some(Estimate {
                value,
                bound,
                noise_bound,
                floor,
                eps,
                noise: noise_level.size,
                explained_noise: noise_level.explained,
                is_kink: false,
                differences: Differences::Central,
            });
        }
    };
    let mut above: Vec<f64> = Vec::new();
    for (i, rung) in rungs.iter().enumerate() {
        let noise = noise_level.at(rung.eps);
        let mut row = vec![rung.central];
        match above.first() {
            Some(previous) => {
                offer(rung.central, (rung.central - previous).abs(), noise, rung.eps);
            }
            // Without a second step nothing tells the truncation error but the one-sided ones.
            None if rungs.len() == 1 => {
                offer(rung.central, (rung.forward - rung.backward).abs(), noise, rung.eps);
            }
            None => {}
        }
        for k in 1..=i.min(MOST_EXTRAPOLATIONS) {
            let ratio = (rungs[i - k].eps / rung.eps).powi(2);
            let correction = (row[k - 1] - above[k - 1]) / (ratio - 1.0);
            row.push(row[k - 1] + correction);
            // The extrapolated step's own noise enters with weight ratio/(ratio − 1), that of
            // the larger steps with less.
            let amplified = noise * ratio / (ratio - 1.0);
            // Ridders' bound: the distance to both entries it was made from. The larger one is
            // that of the coarser steps; a kink that only they cross stays visible in it.
            let distance = correction.abs().max((row[k] - above[k - 1]).abs());
            offer(row[k], distance, amplified, rung.eps);
        }
        above = row;
    }
    let is_kink = shows_kink(&rungs, noise_level);
    best.map(|estimate| Estimate { is_kink, ..estimate })
}

/// Whether the gap between forward and backward difference stays while eps shrinks.
///
/// Judged on the two smallest steps at which noise does not hide the gap; at every smaller step
/// it must be hidden, since otherwise it was seen to close.
fn shows_kink(rungs: &[Rung], noise: Noise) -> bool {
    // One-sided differences carry twice the noise of central ones, their gap four times.
    let visibility = |r: &Rung| 4.0 * noise.at(r.eps);
    let gap = |r: &Rung| (r.forward - r.backward).abs();
    let visible: Vec<&Rung> = rungs.iter().filter(|r| gap(r) > visibility(r)).collect();
    let [.., large, small] = visible.as_slice() else { return false };
    if rungs.len() < ENOUGH_RUNGS {
        return false;
    }
    let closes_below =
        rungs.iter().filter(|r| r.eps < small.eps).any(|r| visibility(r) < gap(small));
    !closes_below && gap(small) / gap(large) > (small.eps / large.eps).powf(KINK_EXPONENT)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const EPS: [f64; 12] =
        [4e-1, 2e-1, 1e-1, 5e-2, 2.5e-2, 1.25e-2, 6.25e-3, 1e-3, 1e-5, 1e-6, 1e-7, 1e-9];

    /// Differences at 0 of a function of value 0 there, whose values have a relative precision of one
    /// part in 2⁵² of 1.
    pub fn ladder_of(steps: &[f64], f: impl Fn(f64) -> f64) -> Vec<Rung> {
        let rung = |&eps: &f64| Rung {
            eps,
            forward: f(eps) / eps,
            backward: -f(-eps) / eps,
            central: (f(eps) - f(-eps)) / (2.0 * eps),
            noise: f64::EPSILON / eps,
            unseen: 0.0,
        };
        steps.iter().map(rung).collect()
    }

    fn ladder(f: impl Fn(f64) -> f64) -> Vec<Rung> {
        ladder_of(&EPS, f)
    }

    /// What counts as noise where whatever moves apart does.
    fn moving_apart(rungs: &[Rung]) -> f64 {
        let distance = |pair: &[Rung]| (pair[0].central - pair[1].central).abs();
        let of = |three: &[Rung]| match distance(&three[1..]) > distance(&three[..2]) {
            true => distance(&three[1..]) * three[2].eps,
            false => 0.0,
        };
        rungs.windows(3).map(of).fold(0.0, f64::max)
    }

    /// Differences of a model of the cell cycle: slope −51,985 from afar, −51,358.3 by the smaller
    /// steps, and by tangents and adjoints.
    #[test]
    fn another_slope_that_large_steps_see_is_no_noise() {
        let differences = [
            (4e-1, -43473.801, -62281.705, -52877.752632),
            (2e-1, -47479.484, -56810.372, -52144.928207),
            (1e-1, -49677.877, -54292.500, -51985.188221),
            (5e-2, -50885.669, -53121.985, -52003.827006),
            (2.5e-2, -51403.215, -52204.644, -51803.929287),
            (1.25e-2, -51408.862, -51671.044, -51539.953278),
            (6.25e-3, -51366.161, -51462.925, -51414.542970),
            (1e-3, -51353.383, -51366.371, -51359.877099),
            (1e-5, -51358.228, -51358.377, -51358.302552),
            (1e-7, -51362.241, -51364.934, -51363.587790),
            (1e-9, -51426.966, -51969.885, -51698.425326),
        ];
        let rung = |(eps, forward, backward, central): (f64, f64, f64, f64)| Rung {
            eps,
            forward,
            backward,
            central,
            noise: 3.1e-8 / eps,
            unseen: 0.0,
        };
        let rungs: Vec<Rung> = differences.into_iter().map(rung).collect();
        let found = estimate(&rungs).expect("all steps have values");
        // The noise of 3e-8·NOISE_FACTOR over a step of 1e-5.
        assert!((found.value + 51358.29).abs() <= found.bound && found.bound < 1.0, "{found:?}");
        // The twin: with all that moves apart for noise, no step that sees the slope could decide.
        let bound = |r: &Rung| SEEN_FACTOR * moving_apart(&rungs) / r.eps;
        assert!(rungs.iter().filter(|r| r.eps < 2e-3).all(|r| bound(r) > 5e3));
    }

    #[test]
    fn small_steps_on_one_stair_do_not_deny_noise() {
        // Stairs of a width near 1e-6 make a tenth of the slope 1; steps below a third stay on one.
        let width = 1.234567e-6;
        let f = |x: f64| 0.9 * x + 0.1 * width * (x / width + 0.4).floor();
        let rungs = ladder(|x| f(x) - f(0.0));
        let found = estimate(&rungs).expect("all steps have values");
        assert!((found.value - 1.0).abs() <= found.bound, "{found:?}");
        // Stairs are seen: 1e-7 over 6e-3.
        assert!(found.bound < 1e-3, "{found:?}");
        // The twin: the small steps alone are sure of a wrong value.
        let small: Vec<Rung> = rungs.iter().copied().filter(|r| r.eps < 3e-7).collect();
        let misled = estimate(&small).expect("all steps have values");
        assert!((misled.value - 1.0).abs() > 2.0 * misled.bound, "{misled:?}");
    }

    #[test]
    fn units_go_and_come_back() {
        let rungs = ladder(f64::exp_m1);
        let unit = 3e-10;
        let scaled: Vec<Rung> = rungs.iter().map(|r| r.in_units(1.0 / unit)).collect();
        let [plain, there] = [&rungs, &scaled].map(|r| estimate(r).expect("values"));
        let back = estimate(&scaled.iter().map(|r| r.in_units(unit)).collect::<Vec<_>>());
        let back = back.expect("values").out_of_units(unit);
        // Each conversion rounds a few times; the bound is a difference of such values.
        assert!((there.value * unit - plain.value).abs() <= 8.0 * f64::EPSILON);
        assert!((back.value / there.value - 1.0).abs() <= 8.0 * f64::EPSILON);
        assert!((back.eps / there.eps - 1.0).abs() <= 8.0 * f64::EPSILON);
        assert!((back.bound / there.bound - 1.0).abs() <= 1e-3, "{back:?}, {there:?}");
    }
}
