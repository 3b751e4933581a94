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
    /// Whether forward and backward difference stay apart as eps shrinks.
    pub is_kink: bool,
    /// What it was made from.
    pub differences: Differences,
}

/// The kind of differences that an estimate was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differences {
    Central,
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

/// The noise of differences: this over eps.
#[derive(Debug, Clone, Copy)]
struct Noise(f64);

impl Noise {
    /// With these steps, largest first.
    fn of(rungs: &[Rung]) -> Self {
        let Some(first) = rungs.first() else { return Self(0.0) };
        let standard = first.noise.max(0.0) * first.eps;
        Self(if rungs.len() < ENOUGH_RUNGS {
            NOISE_FACTOR * standard
        } else {
            standard.max(SEEN_FACTOR * seen_noise(rungs))
        })
    }

    fn at(&self, eps: f64) -> f64 {
        self.0 / eps
    }
}

/// The noise that the differences show. From step to step central differences come closer to each
/// other while truncation rules: wherever they move apart again it is noise, and so is the distance
/// of the one-sided differences of the smallest step.
///
/// Steps over which nothing changed at all show no noise, but that of rounding.
fn seen_noise(rungs: &[Rung]) -> f64 {
    let is_alive = |r: &&Rung| r.forward != 0.0 || r.backward != 0.0;
    let alive: Vec<&Rung> = rungs.iter().filter(is_alive).collect();
    let distances: Vec<f64> =
        alive.windows(2).map(|pair| (pair[0].central - pair[1].central).abs()).collect();
    let mut closest = f64::INFINITY;
    let mut between = Vec::with_capacity(distances.len());
    for (distance, next) in distances.iter().zip(&alive[1.min(alive.len())..]) {
        if *distance > closest {
            between.push(distance * next.eps);
        }
        closest = closest.min(*distance);
    }
    let last = alive.last().map(|r| 0.5 * (r.forward - r.backward).abs() * r.eps);
    between.into_iter().chain(last).filter(|s| s.is_finite()).fold(0.0, f64::max)
}

/// The estimate from the grid; none where no central difference is finite.
pub fn estimate(ladder: &Ladder) -> Option<Estimate> {
    let mut rungs: Vec<Rung> = ladder.iter().copied().filter(|r| r.central.is_finite()).collect();
    rungs.sort_by(|a, b| b.eps.total_cmp(&a.eps));
    let noise_level = Noise::of(&rungs);
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
                noise: noise_level.0,
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
