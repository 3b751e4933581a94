//! Checking points chunk by chunk: bounded memory whatever their number.

use super::association::{Association, PointFacts};
use super::averaged::{averaging_eps, estimate_of_all, is_worth_averaging};
use super::diagnosis::Diagnosis;
use super::estimate::{Estimate, Ladder, Rung};
use super::one_sided::estimate_from_either;
use super::parts::part_rung;
use super::statistics::{EpsStatistics, ParameterStatistics};
use super::table::{CheckRow, Label, best_rows, rows};
use super::tally::Tally;
use super::verdict::{Cell, Criteria, Side, Verdict, judge, negligible};
use super::votes::NoiseOrigin;
use crate::engine::EngineError;
use crate::index::{ParameterIdx, PointIdx, StateIdx};
use crate::model::{EstimatedParameter, FAR_FROM_1, OdeProblem};
use crate::sweep::{
    Differences, EvaluatedChunk, Evaluator, Failure, Further, GradientMethod, PointResult, ProbePair,
};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// What to check at every point.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckPlan {
    pub parameters: Vec<ParameterIdx>,
    /// Steps on the parameter scale.
    pub eps: Vec<f64>,
    pub label: Label,
    pub criteria: Criteria,
    /// Confidence of the failure rates' intervals.
    pub confidence: f64,
    /// A failure rate whose interval lies above this is consistent.
    pub consistent: f64,
}

/// Steps, in units of the parameter's [unit step](EstimatedParameter::unit_step), that are added where
/// the grid leaves an estimate less certain than [`WANTED_CERTAINTY`]: large ones, whose rounding
/// errors are small, close enough to each other for extrapolation.
const FURTHER_EPS: [f64; 7] = [4e-1, 2e-1, 1e-1, 5e-2, 2.5e-2, 1.25e-2, 6.25e-3];
/// Steps of differences in compensated arithmetic, in the same units: small ones, whose truncation is
/// small, for rounding is no matter to them.
const COMPENSATED_EPS: [f64; 2] = [1e-3, 1e-5];
/// Bound over estimate above which they are tried.
const PLAIN_CERTAINTY: f64 = 1e-3;
/// Bound over estimate above which further steps are tried.
const WANTED_CERTAINTY: f64 = 1e-5;

/// Points that are judged side by side, so that the tables of so many are in memory.
const JUDGED_TOGETHER: usize = 256;

/// Errors of a step's size add up along a trajectory that chooses its own steps.
pub(super) const STEP_FACTOR: f64 = 1.0;

impl CheckPlan {
    /// How many points to evaluate at once.
    pub fn points_per_chunk(&self, evaluator: &Evaluator<'_>) -> usize {
        evaluator.points_per_chunk(&self.parameters, self.eps.len())
    }

    /// Results of points on the parameter scale, with further steps where the plan wants them.
    ///
    /// # Errors
    /// An engine's failure.
    pub fn evaluate(
        &self,
        evaluator: &Evaluator<'_>,
        theta_scaled: &[Vec<f64>],
    ) -> Result<EvaluatedChunk, EngineError> {
        let refine = |theta: &[f64], pairs: &[ProbePair]| self.refine(evaluator, theta, pairs);
        evaluator.evaluate(theta_scaled, &self.parameters, &self.eps, &refine)
    }

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
                    && is_worth_averaging(&e, PLAIN_CERTAINTY) =>
            {
                let compensated_eps = COMPENSATED_EPS.map(|e| e * unit).to_vec();
                Further { compensated_eps, ..Further::default() }
            }
            Some(e) if is_random && is_worth_averaging(&e, self.criteria.decidable) => {
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

/// One cell (point × parameter), judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JudgedCell {
    pub parameter: ParameterIdx,
    /// NaN where it is absent.
    pub gradient: f64,
    pub estimate: Option<Estimate>,
    /// Error that the gradient may have where it is right.
    pub allowance: f64,
    pub verdict: Verdict,
}

/// A point's tables and verdicts.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedPoint {
    pub point: PointIdx,
    pub rows: Vec<CheckRow>,
    pub best: Vec<CheckRow>,
    /// One for each parameter of the plan, in order.
    pub cells: Vec<JudgedCell>,
}

/// What all points together say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CheckSummary {
    pub parameters: Vec<ParameterStatistics>,
    pub eps: Vec<EpsStatistics>,
    /// What is likely wrong, for each parameter of the plan that fails consistently.
    pub diagnoses: Vec<Option<Diagnosis>>,
    /// Where parameters fail that pass at other points.
    pub associations: Vec<Association>,
    /// Parameters that fail at the same points.
    pub common_causes: Vec<Vec<ParameterIdx>>,
    /// Points checked, and those whose own simulation failed.
    pub points: usize,
    pub failed_points: usize,
    /// Points that were simulated at tighter tolerances, having broken down at those asked for.
    pub tightened_points: usize,
    /// States that start below the absolute tolerance, with the number of points where they do.
    pub below_atol: BTreeMap<StateIdx, usize>,
    pub lanes: u64,
    pub steps: u64,
}

impl CheckSummary {
    /// Counts how a point was simulated.
    pub(super) fn add(&mut self, result: &PointResult) {
        self.failed_points += usize::from(result.objective.is_err());
        self.tightened_points += usize::from(result.objective.is_ok() && result.retries > 0);
        for state in &result.below_atol {
            *self.below_atol.entry(*state).or_default() += 1;
        }
    }

    /// What a report must say about how points were simulated.
    pub fn notes(&self, problem: &OdeProblem, atol: f64) -> Vec<String> {
        let mut notes = Vec::new();
        let of = |count: usize| format!("{count} of {} points", self.points);
        for (state, &count) in &self.below_atol {
            notes.push(format!(
                "{} starts below the absolute tolerance {atol:e} at {}: it is not resolved there \
                 (a smaller --atol resolves it)",
                problem.state_ids[state.position()],
                of(count)
            ));
        }
        if self.tightened_points > 0 {
            notes.push(format!(
                "{} broke down at the tolerances asked for and were simulated at tighter ones \
                 (status ok_at_tighter_tolerances in points.csv)",
                of(self.tightened_points)
            ));
        }
        notes
    }
}

/// Gives the gradient to judge at a point: (point, θ, own gradient).
pub type GradientSource<'a> =
    dyn Fn(PointIdx, &[f64], Option<&[f64]>) -> Option<Vec<f64>> + Sync + 'a;

/// The program's own gradient.
pub fn own_gradient(_: PointIdx, _: &[f64], own: Option<&[f64]>) -> Option<Vec<f64>> {
    own.map(<[f64]>::to_vec)
}

/// Multiple of what a gradient changes by at tighter tolerances that counts as its discretisation
/// error.
pub const DISCRETISATION_FACTOR: f64 = 2.0;

/// The errors that the program's own gradient may have at a point where copies choose their own
/// steps: it is the derivative of the base's steps, the differences are of a function whose steps
/// follow θ too. Both are off from the model's derivative by about what the gradient, or a difference,
/// changes by at tighter tolerances, where the evaluator has told that.
///
/// Copies that replay the base's steps are of the very function that the gradient is the derivative of.
pub fn own_allowance(_: PointIdx, result: &PointResult) -> Option<Vec<f64>> {
    if noise_origin(&result.probes) == NoiseOrigin::Rounding {
        return None;
    }
    let changes = result.discretisation_change()?;
    Some(changes.into_iter().map(|change| DISCRETISATION_FACTOR * change).collect())
}

/// Gives the errors that a right gradient may have at a point, by estimated parameter; none for no
/// error.
pub type AllowanceSource<'a> = dyn Fn(PointIdx, &PointResult) -> Option<Vec<f64>> + Sync + 'a;

/// Checks all points in order; `sink` gets each as soon as its chunk is done.
///
/// # Errors
/// An engine's failure, or the first error of `sink`.
pub fn run<E: From<EngineError>>(
    evaluator: &Evaluator<'_>,
    theta_scaled: &[Vec<f64>],
    plan: &CheckPlan,
    gradient: &GradientSource<'_>,
    sink: &mut dyn FnMut(&JudgedPoint, &PointResult) -> Result<(), E>,
) -> Result<CheckSummary, E> {
    run_with_allowance(evaluator, theta_scaled, plan, gradient, &|_, _| None, sink)
}

/// A gradient to judge, and the errors that it may have where it is right.
pub struct Source<'a> {
    pub gradient: &'a GradientSource<'a>,
    /// By which method the own gradient is computed that it is given.
    pub method: GradientMethod,
    pub allowance: &'a AllowanceSource<'a>,
}

impl Source<'_> {
    fn judge(&self, at: &Evaluated<'_>, plan: &CheckPlan) -> JudgedPoint {
        let own = at.result.own_gradient(self.method);
        let gradient = (self.gradient)(at.point, at.theta_scaled, own);
        let allowances = (self.allowance)(at.point, at.result);
        judge_point(at, gradient.as_deref(), allowances.as_deref(), plan)
    }
}

/// The same for a gradient that may have errors.
///
/// # Errors
/// An engine's failure, or the first error of `sink`.
pub fn run_with_allowance<E: From<EngineError>>(
    evaluator: &Evaluator<'_>,
    theta_scaled: &[Vec<f64>],
    plan: &CheckPlan,
    gradient: &GradientSource<'_>,
    allowance: &AllowanceSource<'_>,
    sink: &mut dyn FnMut(&JudgedPoint, &PointResult) -> Result<(), E>,
) -> Result<CheckSummary, E> {
    let source = [Source { gradient, method: evaluator.gradient_method(), allowance }];
    let mut first = |judged: &[JudgedPoint], result: &PointResult| sink(&judged[0], result);
    let mut summaries = run_sources(evaluator, theta_scaled, plan, &source, &mut first)?;
    Ok(summaries.remove(0))
}

/// Gets a point as each source judges it, in the order of the sources.
pub type PointSink<'a, E> = dyn FnMut(&[JudgedPoint], &PointResult) -> Result<(), E> + 'a;

/// The same for several gradients, each judged by the same estimates; points are evaluated once.
/// Gives a summary for each, in their order.
///
/// # Errors
/// An engine's failure, or the first error of `sink`.
pub fn run_sources<E: From<EngineError>>(
    evaluator: &Evaluator<'_>,
    theta_scaled: &[Vec<f64>],
    plan: &CheckPlan,
    sources: &[Source<'_>],
    sink: &mut PointSink<'_, E>,
) -> Result<Vec<CheckSummary>, E> {
    let mut chunks = theta_scaled.chunks(plan.points_per_chunk(evaluator));
    let mut supply = || -> Result<Option<Supplied>, E> {
        let Some(points) = chunks.next() else { return Ok(None) };
        let evaluated = plan.evaluate(evaluator, points)?;
        Ok(Some(Supplied { theta_scaled: points.to_vec(), evaluated }))
    };
    let known = &evaluator.problem().parameters;
    judge_all(known, plan, sources, &mut supply, &mut |_, judged, result| sink(judged, result))
}

/// Points with their results.
pub struct Supplied {
    /// On the parameter scale.
    pub theta_scaled: Vec<Vec<f64>>,
    pub evaluated: EvaluatedChunk,
}

/// Gives the next points, in order; none at the end.
pub type Supply<'a, E> = dyn FnMut() -> Result<Option<Supplied>, E> + 'a;

/// Gets a point, on the parameter scale, as each source judges it.
pub type PlacedSink<'a, E> = dyn FnMut(&[f64], &[JudgedPoint], &PointResult) -> Result<(), E> + 'a;

/// The same for points that were evaluated elsewhere. Nothing but `supply` says what comes out.
///
/// # Errors
/// The first error of `supply` or `sink`.
pub fn judge_all<E>(
    known: &[EstimatedParameter],
    plan: &CheckPlan,
    sources: &[Source<'_>],
    supply: &mut Supply<'_, E>,
    sink: &mut PlacedSink<'_, E>,
) -> Result<Vec<CheckSummary>, E> {
    let mut tallies: Vec<Tally> = sources.iter().map(|_| Tally::new(plan)).collect();
    let mut facts: Vec<PointFacts> = Vec::new();
    let mut summary = CheckSummary::default();
    while let Some(Supplied { theta_scaled, evaluated }) = supply()? {
        summary.lanes += evaluated.lanes;
        summary.steps += evaluated.steps;
        let first_point = summary.points;
        let at = |i: usize| Evaluated {
            point: PointIdx::from_position(first_point + i),
            theta_scaled: &theta_scaled[i],
            known,
            result: &evaluated.points[i],
        };
        for start in (0..evaluated.points.len()).step_by(JUDGED_TOGETHER) {
            let some = start..evaluated.points.len().min(start + JUDGED_TOGETHER);
            let judged: Vec<Vec<JudgedPoint>> = some
                .clone()
                .into_par_iter()
                .map(|i| sources.iter().map(|source| source.judge(&at(i), plan)).collect())
                .collect();
            for (i, judged) in some.zip(judged) {
                let Evaluated { theta_scaled, result, .. } = at(i);
                summary.points += 1;
                summary.add(result);
                facts.push(PointFacts {
                    // Of a point that failed no 0, which would have a place among the others.
                    objective: result.objective.unwrap_or(f64::NAN),
                    steps: result.steps,
                });
                for (tally, judged) in tallies.iter_mut().zip(&judged) {
                    tally.add(theta_scaled, judged, plan);
                }
                sink(theta_scaled, &judged, result)?;
            }
        }
    }
    let finish = |tally: Tally| tally.finish(summary.clone(), plan, known, &facts);
    Ok(tallies.into_iter().map(finish).collect())
}

/// A point with what came out there.
#[derive(Debug, Clone, Copy)]
pub struct Evaluated<'a> {
    pub point: PointIdx,
    pub theta_scaled: &'a [f64],
    /// The estimated parameters, in the order of the point's coordinates.
    pub known: &'a [EstimatedParameter],
    pub result: &'a PointResult,
}

/// Tables and verdicts of one point.
pub fn judge_point(
    &Evaluated { point, theta_scaled, known, result }: &Evaluated<'_>,
    gradient: Option<&[f64]>,
    allowances: Option<&[f64]>,
    plan: &CheckPlan,
) -> JudgedPoint {
    let rows = rows(point, result, gradient, (&plan.parameters, &plan.eps));
    let best = best_rows(&rows, plan.label);
    let count = plan.eps.len();
    let cells = plan
        .parameters
        .iter()
        .enumerate()
        .map(|(j, &parameter)| {
            let pairs = result.probes.get(j * count..(j + 1) * count).unwrap_or(&[]);
            let further = result.refinements.iter().filter(|p| p.parameter == parameter);
            let all: Vec<&ProbePair> = pairs.iter().chain(further).collect();
            let unit = unit_step(known, theta_scaled, parameter);
            let telling = telling_pairs(&all);
            let ladder = ladder_in_units(telling.iter().map(|pair| rung(pair)), unit);
            let estimate = estimate_of_all(&ladder, noise_origin(telling.iter().copied()))
                .map(|e| e.out_of_units(unit));
            let value = gradient.map_or(f64::NAN, |g| g[parameter.position()]);
            let cell = Cell {
                gradient: value,
                estimate,
                allowance: allowances.map_or(0.0, |a| a[parameter.position()])
                    + rounding_allowance(result, parameter, &telling),
                negligible: negligible(
                    result.objective.unwrap_or_default(),
                    wide_step(known, theta_scaled, parameter),
                ),
                base: result.objective.err(),
                plus: side(&all, |pair| pair.plus),
                minus: side(&all, |pair| pair.minus),
            };
            let verdict = judge(&cell, &plan.criteria);
            JudgedCell { parameter, gradient: value, estimate, allowance: cell.allowance, verdict }
        })
        .collect();
    JudgedPoint { point, rows, best, cells }
}

/// The compensated pairs, if any have values: beside them plain ones tell nothing but their rounding.
/// Else all.
fn telling_pairs<'a>(all: &[&'a ProbePair]) -> Vec<&'a ProbePair> {
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
fn rounding_allowance(result: &PointResult, parameter: ParameterIdx, telling: &[&ProbePair]) -> f64 {
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

fn noise_origin<'a>(pairs: impl IntoIterator<Item = &'a ProbePair>) -> NoiseOrigin {
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

fn side(pairs: &[&ProbePair], of: fn(&ProbePair) -> Result<f64, Failure>) -> Side {
    Side {
        failure: pairs.iter().find_map(|pair| of(pair).err()),
        is_missing: pairs.iter().all(|pair| of(pair).is_err()),
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
        let plan = CheckPlan {
            parameters: Vec::new(),
            eps: vec![1e-1, 1e-3, 1e-5],
            label: Label::RelErr,
            criteria: Criteria::default(),
            confidence: 0.95,
            consistent: 0.05,
        };
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
