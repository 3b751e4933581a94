//! What to think of one component of a gradient at one point.

use super::estimate::{Differences, Estimate};
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
        Self { rtol: 5e-4, atol: 0.0, decidable: 0.05 }
    }
}

impl Criteria {
    /// The relative error from which on a gradient that may be off by `allowance` surely fails against this
    /// estimate; infinite where the estimate decides nothing.
    pub fn threshold(&self, estimate: &Estimate, allowance: f64) -> f64 {
        let size = estimate.value.abs();
        let bound = estimate.bound + allowance;
        if estimate.is_kink || !(bound <= self.decidable * size) || size == 0.0 {
            return f64::INFINITY;
        }
        // |g − e| > rtol·max(|g|, |e|) + …, with g = (1 + δ)·e on the side that is the larger; the
        // estimate itself may be off by its bound towards g.
        let allowed = self.rtol + (self.atol + estimate.bound + bound + estimate.floor) / size;
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
    /// Both are zero as far as the differences can tell, which is far enough: what they hide is
    /// [negligible](Cell::negligible).
    Insensitive,
    /// The gradient is NaN, infinite or absent.
    GradientMissing,
    /// The simulation failed at the point, or at so many of its probes that there is no estimate.
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

/// Why a cell is inconclusive or failed: each such cell has exactly one reason, others none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Most of the bound is noise: of the differences, or what rounding or a foreign solver hides.
    Noise,
    /// Most of the bound is truncation.
    Truncation,
    /// The point itself has no value.
    Base,
    /// No point above, below, or on either side of it has one, or too few at the same steps.
    Plus,
    Minus,
    Both,
}

impl Reason {
    /// All reasons, in the order of reports.
    pub const ALL: [Self; 6] =
        [Self::Noise, Self::Truncation, Self::Base, Self::Plus, Self::Minus, Self::Both];

    /// The class that it is a reason of.
    pub fn kind(self) -> VerdictKind {
        match self {
            Self::Noise | Self::Truncation => VerdictKind::Inconclusive,
            Self::Base | Self::Plus | Self::Minus | Self::Both => VerdictKind::Failed,
        }
    }

    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Truncation => "truncation",
            Self::Base => "base",
            Self::Plus => "plus",
            Self::Minus => "minus",
            Self::Both => "both",
        }
    }
}

/// A verdict and why there is no better one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    pub kind: VerdictKind,
    pub reason: Option<Reason>,
    /// Why a value is missing, where the cell failed or has one-sided differences only.
    pub failure: Option<Failure>,
}

/// What became of the probes of one side, over all steps.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Side {
    /// The first failure.
    pub failure: Option<Failure>,
    /// Whether no probe has a value.
    pub is_missing: bool,
}

/// What is known of a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// NaN where it is absent.
    pub gradient: f64,
    pub estimate: Option<Estimate>,
    /// Error that the gradient may have where it is right: of a solver that is not ours, or of steps that are
    /// not those of the differences. 0 for the program's own along shared steps.
    pub allowance: f64,
    /// The size up to which a derivative counts as none: it changes the objective by a thousandth over what the
    /// parameter may well move by.
    pub negligible: f64,
    /// Why the point itself failed, if it did.
    pub base: Option<Failure>,
    pub plus: Side,
    pub minus: Side,
}

impl Cell {
    /// The verdict where there is no estimate.
    fn failed(&self) -> Verdict {
        let (plus, minus) = (self.plus, self.minus);
        let (reason, failure) = match (self.base, plus.is_missing, minus.is_missing) {
            (Some(failure), _, _) => (Reason::Base, Some(failure)),
            (None, true, false) => (Reason::Plus, plus.failure),
            (None, false, true) => (Reason::Minus, minus.failure),
            (None, _, _) => (Reason::Both, plus.failure.or(minus.failure)),
        };
        Verdict { kind: VerdictKind::Failed, reason: Some(reason), failure }
    }
}

/// Part of the objective, or of 1 where that is larger, by which a derivative that matters changes it over
/// what the parameter may well move by.
const MATTERS: f64 = 1e-3;

/// The derivative that changes the objective by a thousandth of it (of 1, where that is more: objectives are
/// log-likelihoods) over the parameter's [wide step](crate::model::EstimatedParameter::wide_step).
pub(super) fn negligible(objective: f64, wide_step: f64) -> f64 {
    MATTERS * objective.abs().max(1.0) / wide_step
}

/// Multiple of its noise above which an estimate is not zero, however wide its bound.
const SEEN: f64 = 10.0;

/// The class of a cell.
pub fn judge(cell: &Cell, criteria: &Criteria) -> Verdict {
    if cell.base.is_some() {
        return cell.failed();
    }
    let gradient = cell.gradient;
    if !gradient.is_finite() {
        return Verdict { kind: VerdictKind::GradientMissing, reason: None, failure: None };
    }
    let Some(estimate) = cell.estimate else { return cell.failed() };
    let failure = match estimate.differences {
        Differences::Central | Differences::Compensated => None,
        Differences::Forward => cell.minus.failure,
        Differences::Backward => cell.plus.failure,
    };
    let verdict = |kind| Verdict { kind, reason: None, failure };
    let size = gradient.abs().max(estimate.value.abs());
    let deviation = (gradient - estimate.value).abs();
    let bound = estimate.bound + cell.allowance;
    let agrees = deviation <= criteria.rtol * size + criteria.atol + bound;
    let is_decidable = bound <= criteria.decidable * size;
    // Where size and bound are both 0 the parameter does nothing.
    if agrees && is_decidable && size > bound {
        return verdict(VerdictKind::Pass);
    }
    let truncation = estimate.bound - estimate.noise_bound;
    let is_truncation = truncation > 0.5 * bound;
    // Far above its noise an estimate says that the parameter does something, if not what.
    let is_seen = is_truncation && estimate.value.abs() > SEEN * estimate.noise_bound;
    let hidden = bound + estimate.floor;
    // Differences that could hide a derivative that matters do not say that there is none.
    if size <= hidden && hidden <= cell.negligible && !is_seen {
        return verdict(VerdictKind::Insensitive);
    }
    if estimate.is_kink {
        return verdict(VerdictKind::Kink);
    }
    let allowed = criteria.rtol * size + criteria.atol + bound + estimate.floor;
    // What compensated differences are certain of does not depend on how much rounding a gradient is allowed.
    let is_certain = estimate.differences == Differences::Compensated
        && estimate.bound <= criteria.decidable * size;
    if (is_decidable || is_certain) && deviation > allowed {
        return verdict(VerdictKind::Fail);
    }
    // Where the bound itself decides, rounding hides what is left: that is noise as well.
    let is_truncation = is_truncation && !is_decidable;
    let reason = if is_truncation { Reason::Truncation } else { Reason::Noise };
    Verdict { reason: Some(reason), ..verdict(VerdictKind::Inconclusive) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::ParameterIdx;

    fn failure(parameter: usize) -> Failure {
        Failure::Prior { parameter: ParameterIdx::from_position(parameter) }
    }

    /// Estimate 1 with a bound of these two parts.
    fn cell(gradient: f64, truncation: f64, noise: f64) -> Cell {
        let estimate = Estimate {
            value: 1.0,
            bound: truncation + noise,
            noise_bound: noise,
            floor: 0.0,
            eps: 1e-3,
            noise: 0.0,
            explained_noise: 0.0,
            is_kink: false,
            differences: Differences::Central,
        };
        Cell {
            gradient,
            estimate: Some(estimate),
            allowance: 0.0,
            negligible: 10.0,
            base: None,
            plus: Side::default(),
            minus: Side::default(),
        }
    }

    fn judged(cell: &Cell) -> (VerdictKind, Option<Reason>) {
        let verdict = judge(cell, &Criteria::default());
        (verdict.kind, verdict.reason)
    }

    #[test]
    fn what_dominates_the_bound_is_the_reason() {
        let inconclusive = |reason| (VerdictKind::Inconclusive, Some(reason));
        assert_eq!(judged(&cell(1.0, 0.2, 0.1)), inconclusive(Reason::Truncation));
        assert_eq!(judged(&cell(1.0, 0.1, 0.2)), inconclusive(Reason::Noise));
        // Within the bound of zero: nothing can be seen if the bound is noise.
        assert_eq!(judged(&cell(1.0, 1.2, 0.05)), inconclusive(Reason::Truncation));
        assert_eq!(judged(&cell(1.0, 1.2, 0.2)), (VerdictKind::Insensitive, None));
        assert_eq!(judged(&cell(1.0, 0.1, 1.2)), (VerdictKind::Insensitive, None));
        assert_eq!(judged(&cell(3.0, 0.2, 0.1)), inconclusive(Reason::Truncation));
        // What another solver may be off by is the larger part.
        let foreign = Cell { allowance: 0.3, ..cell(1.0, 0.2, 0.0) };
        assert_eq!(judged(&foreign), inconclusive(Reason::Noise));
        // The bound is small enough, but values that never changed may hide the deviation.
        let mut hidden = cell(1.5, 0.0, 1e-6);
        hidden.estimate.as_mut().unwrap().floor = 0.6;
        assert_eq!(judged(&hidden), inconclusive(Reason::Noise));
        // Twins: the same without what hides them.
        assert_eq!(judged(&cell(1.0, 2e-6, 1e-6)), (VerdictKind::Pass, None));
        assert_eq!(judged(&cell(1.5, 0.0, 1e-6)), (VerdictKind::Fail, None));
    }

    /// Differences that scatter by 20 around 3 say nothing of a gradient of 1, unless 20 were nothing.
    #[test]
    fn what_hides_more_than_nothing_is_inconclusive() {
        let mut known = cell(1.0, 0.0, 20.0);
        assert_eq!(judged(&known), (VerdictKind::Inconclusive, Some(Reason::Noise)));
        known.negligible = 30.0;
        assert_eq!(judged(&known), (VerdictKind::Insensitive, None));
        // So do values that never changed.
        known.estimate.as_mut().unwrap().floor = 11.0;
        assert_eq!(judged(&known), (VerdictKind::Inconclusive, Some(Reason::Noise)));
        // Of an objective of 5000, 5 over the step of 0.1; of less than 1, 0.001.
        assert_eq!(negligible(-5e3, 0.1), 50.0);
        assert_eq!(negligible(1e-9, 1.0), 1e-3);
    }

    #[test]
    fn the_side_without_a_value_is_named() {
        let side = |parameter, is_missing| Side { failure: Some(failure(parameter)), is_missing };
        let whole = Side::default();
        let nothing = Cell { estimate: None, ..cell(1.0, 0.0, 0.0) };
        for (plus, minus, reason, at_fault) in [
            (side(1, true), whole, Reason::Plus, 1),
            (whole, side(2, true), Reason::Minus, 2),
            (side(1, false), side(2, true), Reason::Minus, 2),
            (side(1, true), side(2, true), Reason::Both, 1),
            (side(1, false), side(2, false), Reason::Both, 1),
        ] {
            let verdict = judge(&Cell { plus, minus, ..nothing }, &Criteria::default());
            assert_eq!((verdict.kind, verdict.reason), (VerdictKind::Failed, Some(reason)));
            assert_eq!(verdict.failure, Some(failure(at_fault)));
            let base = Cell { base: Some(failure(3)), plus, minus, ..nothing };
            let verdict = judge(&base, &Criteria::default());
            assert_eq!((verdict.reason, verdict.failure), (Some(Reason::Base), Some(failure(3))));
        }
    }

    /// The other side's failure stands beside a verdict that rests on one side.
    #[test]
    fn one_sided_verdicts_say_what_is_missing() {
        let mut one_sided = cell(1.0, 1e-6, 1e-6);
        one_sided.minus = Side { failure: Some(failure(4)), is_missing: true };
        assert_eq!(judge(&one_sided, &Criteria::default()).failure, None);
        one_sided.estimate.as_mut().unwrap().differences = Differences::Forward;
        let verdict = judge(&one_sided, &Criteria::default());
        assert_eq!((verdict.kind, verdict.failure), (VerdictKind::Pass, Some(failure(4))));
        one_sided.gradient = -1.0;
        assert_eq!(judge(&one_sided, &Criteria::default()).kind, VerdictKind::Fail);
    }
}
