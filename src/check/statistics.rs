//! Statistics of one parameter over all points.

use super::verdict::VerdictKind;
use crate::index::ParameterIdx;
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal};

/// Counts and error quantiles of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterStatistics {
    pub parameter: ParameterIdx,
    /// Points by class, in the order of [`VerdictKind::ALL`]; they add up to the points.
    pub counts: [usize; VerdictKind::ALL.len()],
    /// fail/(pass + fail); NaN where no point was decidable.
    pub failure_rate: f64,
    /// Wilson interval of the failure rate, at the confidence asked for.
    pub failure_interval: (f64, f64),
    /// Quantiles 0.5, 0.9 and 1 of |gradient − estimate|/|estimate|, over decidable points.
    pub error_quantiles: [f64; 3],
    /// The smallest relative error of the gradient that as many random points would call a
    /// consistent failure with a probability of 99.9 %; infinite if none would.
    pub detectable_error: f64,
    /// The eps of the grid whose plain central difference is closest to the estimate, by median.
    pub best_eps: f64,
    /// Whether the failure rate's lower bound exceeds the threshold.
    pub is_consistent_failure: bool,
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

/// Statistics of one parameter from its cells.
pub fn parameter_statistics(
    parameter: ParameterIdx,
    cells: &[CellSummary],
    eps: &[EpsStatistics],
    confidence: f64,
    threshold: f64,
) -> ParameterStatistics {
    let mut counts = [0; VerdictKind::ALL.len()];
    for cell in cells {
        if let Some(place) = VerdictKind::ALL.iter().position(|k| *k == cell.kind) {
            counts[place] += 1;
        }
    }
    let (passed, failed) = (counts[0], counts[1]);
    let failure_interval = wilson(failed, passed + failed, confidence);
    let mut errors: Vec<f64> = cells
        .iter()
        .filter(|c| matches!(c.kind, VerdictKind::Pass | VerdictKind::Fail))
        .map(|c| ((c.gradient - c.estimate) / c.estimate).abs())
        .filter(|e| e.is_finite())
        .collect();
    errors.sort_unstable_by(f64::total_cmp);
    let best = eps
        .iter()
        .filter(|e| e.parameter == parameter && e.plain_error.is_finite())
        .min_by(|a, b| a.plain_error.total_cmp(&b.plain_error));
    ParameterStatistics {
        parameter,
        counts,
        failure_rate: failed as f64 / (passed + failed) as f64,
        failure_interval,
        error_quantiles: [0.5, 0.9, 1.0].map(|q| quantile(&errors, q)),
        detectable_error: detectable_error(cells, confidence, threshold),
        best_eps: best.map_or(f64::NAN, |e| e.eps),
        is_consistent_failure: passed + failed > 0 && failure_interval.0 > threshold,
    }
}

/// The relative error at which so large a part of all points fails that, of as many random points,
/// enough do with probability [`POWER`].
fn detectable_error(cells: &[CellSummary], confidence: f64, threshold: f64) -> f64 {
    let mut thresholds: Vec<f64> =
        cells.iter().map(|c| c.threshold).filter(|t| t.is_finite()).collect();
    thresholds.sort_unstable_by(f64::total_cmp);
    let (decided, points) = (thresholds.len(), cells.len());
    // Failing points among the decided ones that make the failure consistent.
    let is_enough = |failed: usize| wilson(failed, decided, confidence).0 > threshold;
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
    /// From the relative deviations (plain, paired) over points.
    pub fn new(parameter: ParameterIdx, eps: f64, deviations: &[[f64; 2]]) -> Self {
        let median = |which: usize| {
            let mut values: Vec<f64> = deviations.iter().map(|d| d[which]).collect();
            values.sort_unstable_by(f64::total_cmp);
            quantile(&values, 0.5)
        };
        Self {
            parameter,
            eps,
            points: deviations.len(),
            plain_error: median(0),
            paired_error: median(1),
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
