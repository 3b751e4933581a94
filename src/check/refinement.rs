//! Which further differences a cell gets, and which of all tell its derivative.

use super::averaged::averaging_eps;
use super::estimate::{Differences as Kind, Estimate, Ladder, Rung};
use super::one_sided::estimate_from_either;
use super::parts::part_rung;
use super::run::CheckPlan;
use super::votes::NoiseOrigin;
use crate::index::ParameterIdx;
use crate::model::{EstimatedParameter, FAR_FROM_1};
use crate::sweep::{Differences, Evaluator, Further, PointResult, ProbePair};

/// Steps, in units of the parameter's [unit step](EstimatedParameter::unit_step), that are added where
/// the grid leaves an estimate less certain than [`WANTED_CERTAINTY`]: large ones, whose rounding
/// errors are small, close enough to each other for extrapolation.
const FURTHER_EPS: [f64; 7] = [4e-1, 2e-1, 1e-1, 5e-2, 2.5e-2, 1.25e-2, 6.25e-3];
/// Steps of differences in compensated arithmetic, in the same units: small ones, whose truncation is
/// small, for rounding is no matter to them.
const COMPENSATED_EPS: [f64; 2] = [1e-3, 1e-4];
/// Bound over estimate above which they are tried.
const PLAIN_CERTAINTY: f64 = 1e-3;
/// Bound over estimate above which further steps are tried.
const WANTED_CERTAINTY: f64 = 1e-5;

/// Errors of a step's size add up along a trajectory that chooses its own steps.
pub(super) const STEP_FACTOR: f64 = 1.0;

impl CheckPlan {
    /// Further differences for a cell with these: large steps at first; if those do not decide, compensated
    /// arithmetic where the evaluator can, else many steps. The gradient has no say in it.
    pub(super) fn refine(
        &self,
        evaluator: &Evaluator<'_>,
        theta_scaled: &[f64],
        pairs: &[ProbePair],
    ) -> Further {
        let Some(parameter) = pairs.first().map(|pair| pair.parameter) else {
            return Further::default();
        };
        let unit = unit_step(&evaluator.problem().parameters, theta_scaled, parameter);
        let (compensated, plain): (Vec<&ProbePair>, Vec<&ProbePair>) =
            pairs.iter().partition(|pair| pair.is_compensated);
        let ladder: Vec<Rung> = plain.iter().map(|pair| rung(pair)).collect();
        if compensated.iter().any(|pair| pair.paired_central.is_finite())
            || !self.wants_further(&ladder, unit)
        {
            return Further::default();
        }
        if pairs.len() <= self.eps.len() {
            return Further { eps: self.further_eps(unit), ..Further::default() };
        }
        // Steps of their own follow theta: what they do to differences is no noise to average away.
        let is_random = noise_origin(pairs) == NoiseOrigin::Rounding;
        match estimate_from_either(&ladder_in_units(ladder, unit)) {
            Some(e)
                if is_random
                    && compensated.is_empty()
                    && evaluator.can_compensate(parameter)
                    && leaves_open(&e, PLAIN_CERTAINTY) =>
            {
                let compensated_eps = COMPENSATED_EPS.map(|e| e * unit).to_vec();
                Further { compensated_eps, ..Further::default() }
            }
            Some(e) if is_random && leaves_open(&e, self.criteria.decidable) => {
                let is_new = |e: &f64| plain.iter().all(|pair| pair.eps != *e);
                let eps = averaging_eps().map(|e| e * unit).filter(is_new);
                Further { eps: eps.collect(), ..Further::default() }
            }
            _ => Further::default(),
        }
    }

    /// Whether the differences leave the estimate uncertain, for a parameter with this unit step.
    pub(super) fn wants_further(&self, ladder: &Ladder, unit: f64) -> bool {
        // A single step asks for that step's table. Of a grid that is beyond all that the parameter may be,
        // hardly a step is left.
        let within = ladder_in_units(ladder.iter().copied(), unit);
        let is_uncertain = |e: Estimate| !(e.bound <= WANTED_CERTAINTY * e.value.abs());
        ladder.len() >= 2
            && (within.len() < 2 || estimate_from_either(&within).is_none_or(is_uncertain))
    }

    /// [`wants_further`](Self::wants_further) of a part's differences.
    pub(super) fn part_wants_further(&self, ladder: &[(f64, Differences)], unit: f64) -> bool {
        let ladder: Vec<Rung> = ladder.iter().map(|(eps, d)| part_rung(*eps, d)).collect();
        self.wants_further(&ladder, unit)
    }

    /// Further steps on the parameter scale of a parameter with this unit. Where it is far from 1 the
    /// grid's own steps may all be too small or too large: they come once more, in this unit.
    pub(super) fn further_eps(&self, unit: f64) -> Vec<f64> {
        let is_far = !(1.0 / FAR_FROM_1..=FAR_FROM_1).contains(&unit);
        let own = self.eps.iter().filter(|e| is_far && !FURTHER_EPS.contains(e));
        let all = FURTHER_EPS.iter().chain(own).map(|e| e * unit);
        all.filter(|e| !self.eps.contains(e)).collect()
    }

    /// Most of them.
    pub(super) fn most_further(&self) -> usize {
        FURTHER_EPS.len() + self.eps.len()
    }
}

/// Whether differences with less noise may tell what an estimate does not: it is not zero to its bound, and the
/// bound is above `certainty` of it.
fn leaves_open(estimate: &Estimate, certainty: f64) -> bool {
    let size = estimate.value.abs();
    !estimate.is_kink
        && estimate.differences == Kind::Central
        && estimate.bound > certainty * size
        && estimate.bound + estimate.floor < size
}

/// The compensated pairs, if any have values: beside them plain ones tell nothing but their rounding.
/// Else all.
pub(super) fn telling_pairs<'a>(all: &[&'a ProbePair]) -> Vec<&'a ProbePair> {
    let (compensated, plain): (Vec<&ProbePair>, Vec<&ProbePair>) =
        all.iter().copied().partition(|pair| pair.is_compensated);
    match compensated.iter().any(|pair| pair.paired_central.is_finite()) {
        true => compensated,
        false => plain,
    }
}

/// Multiple of what rounding does to a component by forward tangents that a right one may be off by,
/// whichever way it was computed: by adjoints it was up to nine times as much in 39,000 cells.
const ROUNDING_FACTOR: f64 = 16.0;

/// What rounding may do to a gradient's component that is judged by compensated differences. Plain ones
/// have more of it themselves.
pub(super) fn rounding_allowance(
    result: &PointResult,
    parameter: ParameterIdx,
    telling: &[&ProbePair],
) -> f64 {
    match &result.gradient_rounding {
        Some(all) if telling.iter().any(|pair| pair.is_compensated) => {
            ROUNDING_FACTOR * all[parameter.position()]
        }
        _ => 0.0,
    }
}

/// A ladder in units of a parameter's step. Steps of a grid that are larger than a unit far below 1 are left
/// out: they reach beyond all that the parameter may be, where differences agree with each other on what
/// has nothing to do with the point. A single step is what was asked for.
pub(super) fn ladder_in_units(rungs: impl IntoIterator<Item = Rung>, unit: f64) -> Vec<Rung> {
    let all: Vec<Rung> = rungs.into_iter().map(|rung| rung.in_units(unit)).collect();
    let is_far = unit * FAR_FROM_1 < 1.0 && all.len() > 1;
    all.into_iter().filter(|rung| !is_far || rung.eps <= 1.0).collect()
}

pub(super) fn noise_origin<'a>(pairs: impl IntoIterator<Item = &'a ProbePair>) -> NoiseOrigin {
    match pairs.into_iter().any(|pair| pair.step_noise > 0.0) {
        true => NoiseOrigin::Tolerances,
        false => NoiseOrigin::Rounding,
    }
}

pub(super) fn unit_step(
    known: &[EstimatedParameter],
    theta_scaled: &[f64],
    parameter: ParameterIdx,
) -> f64 {
    known[parameter.position()].unit_step(theta_scaled[parameter.position()])
}

pub(super) fn wide_step(
    known: &[EstimatedParameter],
    theta_scaled: &[f64],
    parameter: ParameterIdx,
) -> f64 {
    known[parameter.position()].wide_step(theta_scaled[parameter.position()])
}

pub(super) fn rung(pair: &ProbePair) -> Rung {
    Rung {
        eps: pair.eps,
        forward: pair.paired_forward,
        backward: pair.paired_backward,
        central: pair.paired_central,
        noise: pair.round_off - pair.unmoved_round_off + STEP_FACTOR * pair.step_noise,
        unseen: pair.unmoved_round_off + pair.unreached_round_off,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_beyond_a_small_unit_are_left_out() {
        let rung = |eps: f64| Rung {
            eps,
            forward: 1.0,
            backward: 1.0,
            central: 1.0,
            noise: 0.0,
            unseen: 0.0,
        };
        let left = |unit: f64, eps: &[f64]| -> Vec<f64> {
            ladder_in_units(eps.iter().map(|&e| rung(e)), unit).iter().map(|r| r.eps).collect()
        };
        let grid = [1e-1, 1e-3, 1e-5];
        assert_eq!(left(1.0, &grid), grid);
        assert_eq!(left(1e4, &grid).len(), 3);
        // In units of 2^-10 the steps are 102.4, 1.024 and 0.01024.
        assert_eq!(left(0.0009765625, &grid), [1e-5 * 1024.0]);
        assert_eq!(left(1e-8, &grid), [0.0; 0]);
        assert_eq!(left(1e-8, &[1e-1]).len(), 1);
        // Steps a little larger than a unit are no others.
        assert_eq!(left(0.2, &[4e-1, 1e-3]).len(), 2);
    }

    #[test]
    fn further_steps_are_in_units_and_repeat_no_step() {
        let plan = CheckPlan::new(Vec::new(), vec![1e-1, 1e-3, 1e-5]);
        let large = [4e-1, 2e-1, 5e-2, 2.5e-2, 1.25e-2, 6.25e-3];
        assert_eq!(plan.further_eps(1.0), large);
        // Near 1 the grid's own steps are small ones all the same.
        assert_eq!(plan.further_eps(3.0).len(), FURTHER_EPS.len());
        let far = plan.further_eps(1e9);
        assert_eq!(far.len(), FURTHER_EPS.len() + 2);
        assert!(far.contains(&(1e-1 * 1e9)) && far.contains(&(1e-5 * 1e9)));
        assert!(far.len() <= plan.most_further());
    }
}
