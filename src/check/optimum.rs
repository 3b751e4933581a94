//! Verdicts at points that should be optima, where a gradient should be zero.
//!
//! How close to zero it must be, the objective's own curvature tells: a derivative g of a parameter
//! along which the second derivative is c means that moving this parameter alone could lower the
//! objective by g²/(2c), or by less where a bound is in the way. What could be gained so is held
//! against a tolerance in units of the objective. Curvature comes from second differences of the
//! probes or, where these do not resolve it, from the diagonal of the Fisher information.

use super::estimate::{ENOUGH_RUNGS, Estimate, Rung};
use super::one_sided::estimate_from_either;
use super::refinement::rung;
use super::run::{JudgedCell, JudgedPoint};
use super::verdict::{Cell, Criteria, Side, VerdictKind, judge, negligible};
use crate::index::ParameterIdx;
use crate::model::EstimatedParameter;
use crate::sweep::{PointResult, ProbePair};
use std::fmt;

/// Rounding errors of second differences: see `NOISE_FACTOR` of the estimates; two one-sided
/// differences have four times the noise of a central one.
const NOISE_FACTOR: f64 = 4.0 * 32.0;
/// A second derivative counts where its bound is below this part of it.
const RESOLVED: f64 = 0.3;
/// A gradient that the check holds for undecided is wrong all the same where it is so many times
/// farther from the estimate than both may be off.
const SURELY: f64 = 3.0;

/// Steps up to this size make the second estimate of a derivative. A derivative near zero asks for
/// larger ones always, over which it may change as if it were noise.
const LARGEST_SMALL: f64 = 1e-2;

/// The class of a parameter at an optimum. Each has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OptimumKind {
    /// The gradient is right, and zero on the scale that matters.
    Pass,
    /// The gradient is right, and descent leads out of a bound that the parameter lies at.
    Bounded,
    /// The gradient is right, and neither zero nor bounded: the optimisation is not done.
    NotConverged,
    /// The gradient is wrong.
    Wrong,
    /// Differences cannot tell.
    Undecided,
    /// There is no derivative here.
    Kink,
    /// The gradient is NaN, infinite or absent.
    GradientMissing,
    /// There is no value at the point, or none beside it.
    Failed,
}

impl OptimumKind {
    /// All classes, in the order of reports.
    pub const ALL: [Self; 8] = [
        Self::Pass,
        Self::Bounded,
        Self::NotConverged,
        Self::Wrong,
        Self::Undecided,
        Self::Kink,
        Self::GradientMissing,
        Self::Failed,
    ];

    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Bounded => "bounded",
            Self::NotConverged => "not_converged",
            Self::Wrong => "wrong",
            Self::Undecided => "undecided",
            Self::Kink => "kink",
            Self::GradientMissing => "gradient_missing",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for OptimumKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A second derivative from second differences, with a bound on its error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curvature {
    pub value: f64,
    pub bound: f64,
}

/// A parameter at an optimum, judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimumCell {
    pub parameter: ParameterIdx,
    /// On the parameter scale.
    pub value: f64,
    pub gradient: f64,
    /// The estimate and its bound; NaN where there is none.
    pub estimate: f64,
    pub bound: f64,
    /// From second differences; NaN where there are none.
    pub curvature: Curvature,
    /// The diagonal of the Fisher information and priors; NaN where the point failed.
    pub fisher: f64,
    /// By how much moving this parameter alone would lower the objective, and to which value.
    pub gain: f64,
    pub towards: f64,
    pub kind: OptimumKind,
    /// What the check says of the gradient, whatever it should be, by this estimate.
    pub check: VerdictKind,
    /// The row with the smallest label: its step, |fd_f − fd_b|, the part eps·|f''| of it, and what is
    /// left.
    pub eps: f64,
    pub fd_err: f64,
    pub fd_err_curvature: f64,
    pub fd_err_rest: f64,
}

/// What judges optima.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimumCriteria {
    /// What moving one parameter may still gain at an optimum, in units of the objective.
    pub tolerance: f64,
    pub check: Criteria,
}

/// What is known of a point beside its tables.
#[derive(Debug, Clone, Copy)]
pub struct OptimumPoint<'a> {
    pub theta: &'a [f64],
    /// Diagonal of the Fisher information and priors, where the point has one.
    pub fisher: Option<&'a [f64]>,
    /// Errors that a right gradient may have.
    pub allowances: Option<&'a [f64]>,
}

/// Judges every parameter of a point that should be an optimum.
pub fn judge_optimum(
    judged: &JudgedPoint,
    result: &PointResult,
    point: &OptimumPoint<'_>,
    parameters: &[EstimatedParameter],
    criteria: &OptimumCriteria,
) -> Vec<OptimumCell> {
    let of = |cell: &JudgedCell| {
        let place = cell.parameter.position();
        let pairs = result.probes.iter().chain(&result.refinements);
        // Compensated ones have no one-sided differences.
        let is_own = |p: &&ProbePair| p.parameter == cell.parameter && !p.is_compensated;
        let pairs: Vec<&ProbePair> = pairs.filter(is_own).collect();
        let curvature = second_difference(&pairs);
        let of_source = point.allowances.map_or(0.0, |a| a[cell.parameter.position()]);
        // The cell knows what rounding may do, too.
        let allowance = of_source.max(cell.allowance);
        let value = point.theta[place];
        let unit = parameters[place].unit_step(value);
        let wide = parameters[place].wide_step(value);
        let negligible = negligible(result.objective.unwrap_or_default(), wide);
        let cell = &judged_by_small_steps(cell, &pairs, (allowance, unit, negligible), criteria);
        let fisher = point.fisher.map_or(f64::NAN, |f| f[place]);
        let room = Room::new(&parameters[place], value);
        let known = Known { cell, allowance, bend: bend(curvature, fisher), room };
        let (estimate, bound) =
            cell.estimate.map_or((f64::NAN, f64::NAN), |e| (e.value, e.bound + e.floor));
        let (gain, way) = room.gain(estimate, known.bend);
        let best = judged.best.iter().find(|row| row.parameter == cell.parameter);
        let row = |of: &dyn Fn(&super::CheckRow) -> f64| best.map_or(f64::NAN, of);
        let explained = |eps: f64| eps * curvature.value;
        OptimumCell {
            parameter: cell.parameter,
            value,
            gradient: cell.gradient,
            estimate,
            bound,
            curvature,
            fisher,
            gain,
            towards: value + way,
            kind: known.kind(criteria),
            check: cell.verdict.kind,
            eps: row(&|row| row.eps),
            fd_err: row(&|row| row.fd_err),
            fd_err_curvature: row(&|row| explained(row.eps).abs()),
            fd_err_rest: row(&|row| (row.fd_f - row.fd_b - explained(row.eps)).abs()),
        }
    };
    judged.cells.iter().map(of).collect()
}

/// The cell as it is, or where it decides nothing and small steps alone give the better estimate, as
/// that has it. `unit` is the parameter's unit step there.
fn judged_by_small_steps(
    cell: &JudgedCell,
    pairs: &[&ProbePair],
    (allowance, unit, negligible): (f64, f64, f64),
    criteria: &OptimumCriteria,
) -> JudgedCell {
    let decides_nothing =
        matches!(cell.verdict.kind, VerdictKind::Inconclusive | VerdictKind::Insensitive);
    let is_small = |r: &Rung| r.eps <= LARGEST_SMALL;
    let rungs: Vec<Rung> =
        pairs.iter().map(|pair| rung(pair).in_units(unit)).filter(is_small).collect();
    let small = estimate_from_either(&rungs).map(|e| e.out_of_units(unit));
    let bound = |e: &Estimate| e.bound + e.floor;
    match (cell.estimate, small) {
        (Some(all), Some(small))
            if decides_nothing && rungs.len() >= ENOUGH_RUNGS && bound(&small) < bound(&all) =>
        {
            let known = Cell {
                gradient: cell.gradient,
                estimate: Some(small),
                allowance,
                negligible,
                base: None,
                plus: Side::default(),
                minus: Side::default(),
            };
            let verdict = judge(&known, &criteria.check);
            JudgedCell { estimate: Some(small), verdict, ..*cell }
        }
        _ => *cell,
    }
}

/// The second derivative along a parameter, from the steps at which second differences of
/// neighbouring steps agree best.
fn second_difference(pairs: &[&ProbePair]) -> Curvature {
    let mut rungs: Vec<(f64, f64, f64)> = pairs
        .iter()
        .map(|pair| {
            let noise = NOISE_FACTOR * (pair.round_off + pair.step_noise) / pair.eps;
            (pair.eps, (pair.paired_forward - pair.paired_backward) / pair.eps, noise)
        })
        .filter(|(_, value, _)| value.is_finite())
        .collect();
    rungs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut best = Curvature { value: f64::NAN, bound: f64::INFINITY };
    for pair in rungs.windows(2) {
        let [(large, above, _), (small, value, noise)] = pair else { continue };
        // The error of second differences is of the order of eps².
        let ratio = (large / small) * (large / small);
        let extrapolated = value + (value - above) / (ratio - 1.0);
        let bound = (value - above).abs() / (ratio - 1.0).max(1.0) + noise;
        if bound < best.bound {
            best = Curvature { value: extrapolated, bound };
        }
    }
    best
}

/// The second derivative to reckon with: a small one, where it is not known, since that is what
/// makes a gradient matter.
fn bend(curvature: Curvature, fisher: f64) -> f64 {
    let Curvature { value, bound } = curvature;
    if bound <= RESOLVED * value.abs() {
        value
    } else if value.is_finite() && bound.is_finite() {
        (value + bound).min(fisher).max(0.0)
    } else {
        fisher.max(0.0)
    }
}

/// How far a parameter may move.
#[derive(Debug, Clone, Copy)]
struct Room {
    down: f64,
    up: f64,
    /// Between the bounds; where there are none, as far as the parameter is from 0, or 1.
    width: f64,
}

impl Room {
    fn new(parameter: &EstimatedParameter, value: f64) -> Self {
        let limit = value.abs().max(1.0);
        let width = parameter.upper_scaled - parameter.lower_scaled;
        let width = if width.is_finite() { width } else { limit };
        Self {
            down: (value - parameter.lower_scaled).max(0.0).min(width),
            up: (parameter.upper_scaled - value).max(0.0).min(width),
            width,
        }
    }

    /// What descent gains between the bounds, and how far it goes.
    fn gain(&self, derivative: f64, bend: f64) -> (f64, f64) {
        let room = if derivative > 0.0 { self.down } else { self.up };
        let (gain, way) = gain(derivative.abs(), bend, room);
        (gain, if derivative > 0.0 { -way } else { way })
    }
}

/// The most that slope·s − ½·bend·s² becomes for s from 0 to `room`, and where.
fn gain(slope: f64, bend: f64, room: f64) -> (f64, f64) {
    let way = if bend > 0.0 { (slope / bend).min(room) } else { room };
    (slope * way - 0.5 * bend * way * way, way)
}

/// What a verdict rests on.
struct Known<'a> {
    cell: &'a JudgedCell,
    allowance: f64,
    bend: f64,
    room: Room,
}

impl Known<'_> {
    fn kind(&self, criteria: &OptimumCriteria) -> OptimumKind {
        match self.cell.verdict.kind {
            VerdictKind::Fail => return OptimumKind::Wrong,
            VerdictKind::Kink => return OptimumKind::Kink,
            VerdictKind::GradientMissing => return OptimumKind::GradientMissing,
            VerdictKind::Failed => return OptimumKind::Failed,
            VerdictKind::Pass | VerdictKind::Inconclusive | VerdictKind::Insensitive => {}
        }
        let Some(estimate) = self.cell.estimate else { return OptimumKind::Failed };
        let bound = estimate.bound + estimate.floor;
        let deviation = (self.cell.gradient - estimate.value).abs();
        let size = self.cell.gradient.abs().max(estimate.value.abs());
        let allowed = criteria.check.rtol * size + criteria.check.atol + bound + self.allowance;
        if deviation > SURELY * allowed {
            return OptimumKind::Wrong;
        }
        let may_gain = |slope: f64| gain(slope, self.bend, self.room.width).0;
        let is_right = self.cell.verdict.kind == VerdictKind::Pass
            || may_gain(deviation + bound) <= criteria.tolerance;
        if !is_right {
            return OptimumKind::Undecided;
        }
        let slope = estimate.value.abs();
        if may_gain(slope + bound) <= criteria.tolerance {
            return OptimumKind::Pass;
        }
        if slope <= bound {
            return OptimumKind::Undecided;
        }
        // Beyond this the direction of descent is known.
        let between_bounds =
            |slope: f64| self.room.gain(slope.copysign(estimate.value), self.bend).0;
        if between_bounds(slope + bound) <= criteria.tolerance {
            OptimumKind::Bounded
        } else if between_bounds(slope - bound) > criteria.tolerance {
            OptimumKind::NotConverged
        } else {
            OptimumKind::Undecided
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{CheckPlan, Evaluated, Label, judge_point};
    use crate::index::PointIdx;
    use crate::petab::ParameterScale;

    /// f(x) = slope·x + ½·bend·x² + cubic·x³ at x = 0, with bounds of the parameter around it, judged
    /// with this gradient.
    fn judged(f: [f64; 3], gradient: f64, bounds: [f64; 2], noise: f64) -> OptimumCell {
        let [slope, bend, cubic] = f;
        let value = |x: f64| slope * x + 0.5 * bend * x * x + cubic * x * x * x;
        let parameter = ParameterIdx::from_position(0);
        let eps = vec![1e-1, 1e-3, 1e-5, 1e-7];
        let pair = |&eps: &f64| ProbePair {
            paired_forward: value(eps) / eps,
            paired_backward: -value(-eps) / eps,
            paired_central: (value(eps) - value(-eps)) / (2.0 * eps),
            round_off: noise / eps,
            unmoved_round_off: 0.0,
            unreached_round_off: 0.0,
            step_noise: 0.0,
            ..ProbePair::of_values(parameter, eps, Ok(value(eps)), Ok(value(-eps)))
        };
        let result = PointResult {
            objective: Ok(0.0),
            prior: 0.0,
            chi2: 0.0,
            steps: 1,
            retries: 0,
            below_atol: Vec::new(),
            gradient: None,
            adjoint_gradient: None,
            gradient_magnitudes: None,
            gradient_rounding: None,
            tight_gradient: None,
            difference_changes: None,
            probes: eps.iter().map(pair).collect(),
            refinements: Vec::new(),
            predictions: Vec::new(),
        };
        let plan = CheckPlan {
            parameters: vec![parameter],
            eps,
            label: Label::RelErr,
            criteria: Criteria::default(),
            confidence: 0.95,
            consistent: 0.05,
        };
        let known = OptimumPoint { theta: &[0.0], fisher: Some(&[bend.abs()]), allowances: None };
        let estimated = EstimatedParameter {
            id: "k".to_owned(),
            scale: ParameterScale::Log10,
            lower_scaled: bounds[0],
            upper_scaled: bounds[1],
            nominal_scaled: None,
        };
        let parameters = [estimated];
        let at = Evaluated {
            point: PointIdx::from_position(0),
            theta_scaled: known.theta,
            known: &parameters,
            result: &result,
        };
        let judged = judge_point(&at, Some(&[gradient]), None, &plan);
        let criteria = OptimumCriteria { tolerance: 1e-3, check: Criteria::default() };
        judge_optimum(&judged, &result, &known, &parameters, &criteria)[0]
    }

    const WIDE: [f64; 2] = [-5.0, 5.0];
    const ROUNDING: f64 = 1e-16;

    #[test]
    fn verdicts_follow_what_could_be_gained() {
        let kind = |f, bounds| judged(f, f[0], bounds, ROUNDING).kind;
        // slope²/(2·bend): 5e-4 and 5e-3.
        assert_eq!(kind([1.0, 1000.0, 0.0], WIDE), OptimumKind::Pass);
        assert_eq!(kind([1.0, 100.0, 0.0], WIDE), OptimumKind::NotConverged);
        // The same at the bound that descent leads to, and at the other one.
        assert_eq!(kind([1.0, 100.0, 0.0], [0.0, 5.0]), OptimumKind::Bounded);
        assert_eq!(kind([1.0, 100.0, 0.0], [-5.0, 0.0]), OptimumKind::NotConverged);
        assert_eq!(kind([-1.0, 100.0, 0.0], [-5.0, 0.0]), OptimumKind::Bounded);
        // Within 5e-4 of the bound: there is nothing to gain on the way.
        assert_eq!(kind([1.0, 100.0, 0.0], [-5e-4, 5.0]), OptimumKind::Bounded);
        assert_eq!(kind([1.0, 100.0, 0.0], [-5e-2, 5.0]), OptimumKind::NotConverged);
        // A flat parameter: 10 units of a slope of 1e-5, and of 1e-3.
        assert_eq!(kind([1e-5, 0.0, 0.0], WIDE), OptimumKind::Pass);
        assert_eq!(kind([1e-3, 0.0, 0.0], WIDE), OptimumKind::NotConverged);
        // A maximum along the parameter is no optimum, however small the gradient.
        assert_eq!(kind([1e-6, -1.0, 0.0], WIDE), OptimumKind::NotConverged);
    }

    #[test]
    fn a_wrong_gradient_is_wrong_at_an_optimum_too() {
        let kind = |gradient, noise| judged([1e-2, 1e3, 0.0], gradient, WIDE, noise).kind;
        assert_eq!(kind(1e-2, ROUNDING), OptimumKind::Pass);
        for gradient in [-1e-2, 2e-2, 0.0, 3.0] {
            assert_eq!(kind(gradient, ROUNDING), OptimumKind::Wrong, "{gradient}");
        }
        // Differences that are all noise say nothing of a small gradient, but do of a large one.
        let noise = 1e-3;
        assert_eq!(kind(1e-2, noise), OptimumKind::Pass);
        // The bound is 1: surely wrong is what is three times farther off.
        assert_eq!(kind(4.0, noise), OptimumKind::Wrong);
        assert_eq!(kind(f64::NAN, noise), OptimumKind::GradientMissing);
    }

    /// fd_err = eps·f'' + O(eps³): all of it for a square, and f'' is exact for a cube, too.
    #[test]
    fn the_distance_of_one_sided_differences_is_explained() {
        for cubic in [0.0, 4.0] {
            let cell = judged([1e-2, 1e3, cubic], 1e-2, WIDE, ROUNDING);
            assert!((cell.curvature.value - 1e3).abs() <= cell.curvature.bound + 1e-9);
            assert!(cell.curvature.bound < 1e-3, "{:?}", cell.curvature);
            let explained = cell.fd_err_curvature / cell.fd_err;
            assert!((explained - 1.0).abs() < 1e-6, "{cell:?}");
            // The value of f is 1e-8 and has 16 digits; rounding is amplified by 1/eps.
            assert!(cell.fd_err_rest < 1e-6 * cell.fd_err, "{cell:?}");
        }
        let cell = judged([1.0, 100.0, 0.0], 1.0, WIDE, ROUNDING);
        assert!((cell.gain - 5e-3).abs() < 1e-9 && (cell.towards + 1e-2).abs() < 1e-9, "{cell:?}");
    }
}
