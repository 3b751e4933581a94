//! What to think of one component of a gradient at one point.

use super::estimate::Estimate;
use crate::sweep::Failure;
use std::fmt;

/// When a component counts as right or wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Criteria {
    /// Relative and absolute deviation from the estimate that is accepted, beside its bound.
    pub rtol: f64,
    pub atol: f64,
    /// The bound must be below this fraction of the larger of gradient and estimate: otherwise a
    /// gradient that is wrong by a few of these could not be told from a right one.
    pub decidable: f64,
}

impl Default for Criteria {
    fn default() -> Self {
        Self { rtol: 1e-3, atol: 0.0, decidable: 0.05 }
    }
}

impl Criteria {
    /// The relative error from which on a gradient surely fails against this estimate; infinite where
    /// the estimate decides nothing.
    pub fn threshold(&self, estimate: &Estimate) -> f64 {
        let size = estimate.value.abs();
        if estimate.is_kink || !(estimate.bound <= self.decidable * size) || size == 0.0 {
            return f64::INFINITY;
        }
        // |g − e| > rtol·max(|g|, |e|) + …, with g = (1 + δ)·e on the side that is the larger; the
        // estimate itself may be off by its bound towards g.
        let allowed = self.rtol + (self.atol + 2.0 * estimate.bound + estimate.floor) / size;
        if self.rtol < 1.0 { allowed / (1.0 - self.rtol) } else { f64::INFINITY }
    }
}

/// The class of a cell (point × parameter). Each has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VerdictKind {
    /// Gradient and estimate agree, and the bound is small enough to have seen a wrong one.
    Pass,
    /// They differ by more than tolerance and bound.
    Fail,
    /// The bound is too wide to tell.
    Inconclusive,
    /// One-sided differences have different limits: there is no derivative.
    Kink,
    /// Both are zero as far as the differences can tell.
    Insensitive,
    /// The gradient is NaN, infinite or absent.
    GradientMissing,
    /// The simulation failed at the point, or at all its probes.
    Failed,
}

impl VerdictKind {
    /// All classes, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::Pass,
        Self::Fail,
        Self::Inconclusive,
        Self::Kink,
        Self::Insensitive,
        Self::GradientMissing,
        Self::Failed,
    ];

    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Kink => "kink",
            Self::Insensitive => "insensitive",
            Self::GradientMissing => "gradient_missing",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for VerdictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A verdict and why there is no better one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    pub kind: VerdictKind,
    pub failure: Option<Failure>,
}

/// What is known of a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// NaN where it is absent.
    pub gradient: f64,
    pub estimate: Option<Estimate>,
    /// Error that the gradient may have where it is right: of a solver that is not ours. 0 for the
    /// program's own.
    pub allowance: f64,
    /// Why the point or a probe failed, if one did.
    pub failure: Option<Failure>,
    /// Whether it was the point itself.
    pub base_failed: bool,
}

/// The class of a cell.
pub fn judge(cell: &Cell, criteria: &Criteria) -> Verdict {
    let verdict = |kind| Verdict { kind, failure: None };
    let failed = Verdict { kind: VerdictKind::Failed, failure: cell.failure };
    if cell.base_failed {
        return failed;
    }
    let gradient = cell.gradient;
    if !gradient.is_finite() {
        return verdict(VerdictKind::GradientMissing);
    }
    let Some(estimate) = cell.estimate else { return failed };
    let size = gradient.abs().max(estimate.value.abs());
    let deviation = (gradient - estimate.value).abs();
    let bound = estimate.bound + cell.allowance;
    let agrees = deviation <= criteria.rtol * size + criteria.atol + bound;
    let is_decidable = bound <= criteria.decidable * size;
    // Where size and bound are both 0 the parameter does nothing.
    if agrees && is_decidable && size > bound {
        return verdict(VerdictKind::Pass);
    }
    if size <= bound + estimate.floor {
        return verdict(VerdictKind::Insensitive);
    }
    if estimate.is_kink {
        return verdict(VerdictKind::Kink);
    }
    let allowed = criteria.rtol * size + criteria.atol + bound + estimate.floor;
    let is_wrong = is_decidable && deviation > allowed;
    verdict(if is_wrong { VerdictKind::Fail } else { VerdictKind::Inconclusive })
}
