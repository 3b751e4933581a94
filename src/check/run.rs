//! Checking points chunk by chunk: bounded memory whatever their number.

use super::association::{Association, PointFacts};
use super::averaged::estimate_of_all;
use super::diagnosis::Diagnosis;
use super::effort::Effort;
use super::estimate::{Differences, Estimate};
use super::refinement::{
    ladder_in_units, noise_origin, rounding_allowance, rung, telling_pairs, unit_step, wide_step,
};
use super::statistics::{EpsStatistics, ParameterStatistics};
use super::table::{CheckRow, Label, best_rows, rows};
use super::tally::Tally;
use super::verdict::{Cell, Criteria, Side, Verdict, judge, negligible};
use super::votes::NoiseOrigin;
use crate::engine::EngineError;
use crate::index::{ParameterIdx, PointIdx, StateIdx};
use crate::model::{EstimatedParameter, OdeProblem};
use crate::sweep::{EvaluatedChunk, Evaluator, Failure, GradientMethod, PointResult, ProbePair};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

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

/// Points that are judged side by side, so that the tables of so many are in memory.
const JUDGED_TOGETHER: usize = 256;

impl CheckPlan {
    /// A plan with the program's defaults: the best row by relative error, intervals of 95 %, failures
    /// consistent from 5 % on.
    pub fn new(parameters: Vec<ParameterIdx>, eps: Vec<f64>) -> Self {
        Self {
            parameters,
            eps,
            label: Label::default(),
            criteria: Criteria::default(),
            confidence: 0.95,
            consistent: 0.05,
        }
    }

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
    /// Cells that have differences in compensated arithmetic.
    pub compensated_cells: usize,
    /// States that start below the absolute tolerance, with the number of points where they do.
    pub below_atol: BTreeMap<StateIdx, usize>,
    pub effort: Effort,
}

impl CheckSummary {
    /// Counts how a point was simulated.
    pub(super) fn add(&mut self, result: &PointResult) {
        self.failed_points += usize::from(result.objective.is_err());
        self.tightened_points += usize::from(result.objective.is_ok() && result.retries > 0);
        let compensated = result.refinements.iter().filter(|pair| pair.is_compensated);
        let of_cells: BTreeSet<ParameterIdx> = compensated.map(|pair| pair.parameter).collect();
        self.compensated_cells += of_cells.len();
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
        if self.compensated_cells > 0 {
            let cells = self.points * self.parameters.len();
            notes.push(format!(
                "{} of {cells} cells have differences in compensated arithmetic (about twice the precision \
                 of doubles, on the CPU): rounding hides their derivatives from plain ones",
                self.compensated_cells
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
        summary.effort.count(evaluated.lanes, evaluated.steps);
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
            let are_compensated = telling.iter().any(|pair| pair.is_compensated);
            let estimate = estimate.map(|e| match are_compensated {
                true => Estimate { differences: Differences::Compensated, ..e },
                false => e,
            });
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

fn side(pairs: &[&ProbePair], of: fn(&ProbePair) -> Result<f64, Failure>) -> Side {
    Side {
        failure: pairs.iter().find_map(|pair| of(pair).err()),
        is_missing: pairs.iter().all(|pair| of(pair).is_err()),
    }
}
