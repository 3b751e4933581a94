//! Points once more at tighter tolerances: what that changes is about the discretisation error.

use super::evaluator::{EvaluatedChunk, Evaluator, Further, StepMode, no_refinement};
use super::result::{PointResult, ProbePair};
use crate::engine::EngineError;
use crate::index::ParameterIdx;
use crate::model::{EstimatedParameter, FAR_FROM_1, OdeProblem};
use crate::objective::Prediction;

/// The points of a chunk at tighter tolerances, with a difference for each parameter where copies choose
/// their own steps.
pub(super) struct Tighter {
    evaluated: EvaluatedChunk,
    steps: ComparedSteps,
}

/// What they predict in one model.
#[derive(Clone, Copy)]
pub(super) struct TighterRows<'t> {
    points: &'t [PointResult],
    first_row: usize,
}

impl TighterRows<'_> {
    /// Of a point's rows, in order; nothing where the point failed.
    pub(super) fn predictions(&self, point: usize) -> &[Prediction] {
        self.points[point].predictions.get(self.first_row..).unwrap_or(&[])
    }
}

impl Evaluator<'_> {
    /// The points at tighter tolerances, where that was asked for.
    pub(super) fn at_tighter_tolerances(
        &self,
        points: &[Vec<f64>],
        parameters: &[ParameterIdx],
        eps: &[f64],
    ) -> Result<Option<Tighter>, EngineError> {
        let Some(tight) = &self.tight else { return Ok(None) };
        let steps = self.compared_steps(eps);
        let known = &self.problem.parameters;
        let evaluated = match steps.of_grid {
            Some(of_grid) => {
                let refine = |theta: &[f64], pairs: &[ProbePair]| {
                    let own = pairs.first().filter(|_| pairs.len() == 1);
                    let step = own.and_then(|own| steps.in_unit(known, theta, own.parameter));
                    Further { eps: step.into_iter().collect(), ..Further::default() }
                };
                tight.evaluate(points, parameters, &[of_grid], &refine)?
            }
            None => tight.evaluate(points, &[], &[], &no_refinement)?,
        };
        Ok(Some(Tighter { evaluated, steps }))
    }

    /// The steps whose differences are compared with those at tighter tolerances; none where all copies
    /// replay the same steps, for there they change as the gradient does.
    pub(super) fn compared_steps(&self, eps: &[f64]) -> ComparedSteps {
        let is_compared = self.tight.is_some() && self.settings.steps == StepMode::Adaptive;
        let distance = |eps: &f64| (eps / WANTED).ln().abs();
        let nearest = eps.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        ComparedSteps { of_grid: nearest.filter(|_| is_compared) }
    }
}

/// Large, so that what differences change by is no rounding, and small beside what functions of
/// log-parameters turn over.
const WANTED: f64 = 0.1;

/// The step of each parameter whose differences are compared: that of the grid which is nearest to 0.1, or a
/// tenth of the parameter's unit step, where that is far from 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct ComparedSteps {
    of_grid: Option<f64>,
}

impl ComparedSteps {
    /// A step beside those of the grid.
    pub(super) fn in_unit(
        &self,
        known: &[EstimatedParameter],
        theta: &[f64],
        parameter: ParameterIdx,
    ) -> Option<f64> {
        self.of_grid?;
        let unit = known[parameter.position()].unit_step(theta[parameter.position()]);
        let is_far = !(1.0 / FAR_FROM_1..=FAR_FROM_1).contains(&unit);
        is_far.then_some(WANTED * unit)
    }
}

impl Tighter {
    /// The rows of a model whose first has this number among those of all models.
    pub(super) fn rows_from(&self, first_row: usize) -> TighterRows<'_> {
        TighterRows { points: &self.evaluated.points, first_row }
    }

    /// Tells the points what changed, and counts what that took.
    pub(super) fn tell(
        self,
        problem: &OdeProblem,
        points: &[Vec<f64>],
        evaluated: &mut EvaluatedChunk,
    ) {
        evaluated.lanes += self.evaluated.lanes;
        evaluated.steps += self.evaluated.steps;
        let all = evaluated.points.iter_mut().zip(self.evaluated.points).zip(points);
        for ((result, theirs), theta) in all {
            result.difference_changes = self
                .steps
                .of_grid
                .map(|of_grid| changes(problem, (self.steps, of_grid), theta, [&*result, &theirs]));
            result.tight_gradient = theirs.gradient.or(theirs.adjoint_gradient);
        }
    }
}

/// By how much differences change, by estimated parameter: infinite where there is one at the tolerances asked
/// for and none at tighter ones, 0 where there is none to compare.
fn changes(
    problem: &OdeProblem,
    (steps, of_grid): (ComparedSteps, f64),
    theta: &[f64],
    [own, tight]: [&PointResult; 2],
) -> Vec<f64> {
    let mut changes = vec![0.0; problem.parameters.len()];
    for parameter in own.probes.iter().filter(|p| p.eps == of_grid).map(|p| p.parameter) {
        let step = steps.in_unit(&problem.parameters, theta, parameter).unwrap_or(of_grid);
        let is_same = |pair: &&ProbePair| pair.parameter == parameter && pair.eps == step;
        let [ours, theirs] =
            [own, tight].map(|point| point.probes.iter().chain(&point.refinements).find(is_same));
        if let Some(ours) = ours {
            changes[parameter.position()] = change(ours, theirs);
        }
    }
    changes
}

/// By how much a difference changes: of both sides, or of one where there is no other.
fn change(own: &ProbePair, tight: Option<&ProbePair>) -> f64 {
    let differences =
        |pair: &ProbePair| [pair.paired_central, pair.paired_forward, pair.paired_backward];
    let own = differences(own);
    if own.iter().all(|own| own.is_nan()) {
        return 0.0;
    }
    let tight = tight.map_or([f64::NAN; 3], differences);
    let all = own.iter().zip(tight).map(|(own, tight)| (own - tight).abs());
    all.into_iter().find(|change| change.is_finite()).unwrap_or(f64::INFINITY)
}
