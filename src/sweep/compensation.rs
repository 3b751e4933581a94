//! Differences in compensated arithmetic, for derivatives below the rounding of an objective.
//!
//! Probes replay their point's steps with what rounding leaves out of every state carried along
//! ([`crate::program::compensated`]), always on the CPU. The values themselves are those of plain probes,
//! to the bit. Times and step sizes are numbers that all probes share; slots are the linear values of
//! parameters, and the steps between these are what differences are divided by.

use super::evaluator::{Evaluator, Probed, Request, moves_of, total_steps};
use super::integrate::{Bundle, Kind, Run, Steps, TangentKernel};
use super::lanes::{InitialTangents, LanePreparation};
use super::part::Part;
use super::result::{Failure, PointResult, ProbePair};
use super::score::{Moved, Scorer};
use super::tangents::{TangentDraft, draft_single_tangents};
use crate::engine::cpu::CpuEngine;
use crate::engine::{Engine, EngineError, Kernel};
use crate::index::{ParameterIdx, RowIdx};
use crate::model::OdeProblem;
use crate::objective::{
    CompensatedObservables, CompensatedPrediction, Item, NoiseModel, Objective,
};
use crate::program::compensated::is_compensable;
use crate::program::forward::Directions;
use crate::rosenbrock::{StepGenerator, StepProgram};
use rayon::prelude::*;
use std::sync::OnceLock;

/// Rounding errors of a row's difference, formed without cancellation, in units of 2⁻⁵² of it.
const ROW_ROUNDING: f64 = 4.0;

/// A model's programs in compensated arithmetic, compiled when they are first needed.
pub(super) struct Compensation {
    generator: StepGenerator,
    replay: StepProgram,
    /// Whether all slots that a parameter sets are exact, by parameter.
    can_move: Vec<bool>,
    compiled: OnceLock<Compiled>,
    /// None where estimated parameters move no state.
    tangents: OnceLock<Option<TangentKernel>>,
}

struct Compiled {
    kernel: Box<dyn Kernel>,
    width: usize,
    initial: InitialTangents,
    observables: CompensatedObservables,
    /// The one direction that is carried: no slot's, but that of the low parts.
    bundle: [Bundle; 1],
}

impl Compensation {
    /// None where rounding errors of the model cannot be told: events and moving breakpoints set times by
    /// plain arithmetic, later periods may assign what is computed by it.
    pub(super) fn new(
        problem: &OdeProblem,
        objective: &Objective<'_>,
        preparation: &LanePreparation<'_>,
        (generator, replay): (StepGenerator, StepProgram),
    ) -> Option<Self> {
        let periods = || problem.simulations.iter().flat_map(|s| &s.periods);
        let is_possible = !problem.has_moving_times()
            && periods().flat_map(|p| &p.assignments).all(|a| problem.events.is_exact(a))
            && is_compensable(&replay.program)
            && preparation.is_compensable()
            && objective.is_compensable();
        let is_exact = |parameter: usize| {
            let parameter = ParameterIdx::from_position(parameter);
            let mut values = periods().flat_map(|p| &p.slot_values);
            values.all(|value| problem.is_set_exactly(*value, parameter))
        };
        let can_move = (0..problem.parameters.len()).map(is_exact).collect();
        is_possible.then_some(Self {
            generator,
            replay,
            can_move,
            compiled: OnceLock::new(),
            tangents: OnceLock::new(),
        })
    }

    /// Whether differences of a parameter can be formed.
    pub(super) fn can_move(&self, parameter: ParameterIdx) -> bool {
        self.can_move[parameter.position()]
    }

    fn compiled(&self, evaluator: &Evaluator<'_>) -> Result<&Compiled, EngineError> {
        if let Some(compiled) = self.compiled.get() {
            return Ok(compiled);
        }
        let (step, preparation) = (self.replay.compensated(), &evaluator.preparation);
        let compiled = Compiled {
            kernel: CpuEngine.prepare(&step)?,
            width: step.width,
            initial: preparation.compile_compensated(Directions::Slots(&[])),
            observables: evaluator.objective.compensated(),
            bundle: [Bundle {
                directions: vec![Bundle::UNUSED],
                low_parts_at: Some(0),
                ..Bundle::default()
            }],
        };
        Ok(self.compiled.get_or_init(|| compiled))
    }

    /// Tangents with low parts, along any slot.
    pub(super) fn tangents(
        &self,
        evaluator: &Evaluator<'_>,
    ) -> Result<Option<&TangentKernel>, EngineError> {
        if let Some(tangents) = self.tangents.get() {
            return Ok(tangents.as_ref());
        }
        let draft = draft_single_tangents(evaluator.problem, &self.generator);
        let compile =
            |draft: TangentDraft| draft.compile_compensated(&evaluator.preparation, &CpuEngine);
        let tangents = draft.map(compile).transpose()?;
        Ok(self.tangents.get_or_init(|| tangents).as_ref())
    }
}

impl Part<'_, '_> {
    /// Adds compensated differences, (point, parameter, eps), and tells what rounding does to the gradient:
    /// of all these cells, or of those where own gradients deviate.
    pub(super) fn compensate(
        &mut self,
        points: &[Vec<f64>],
        parameters: &[ParameterIdx],
        requests: &[Request],
        tells_all: bool,
    ) -> Result<(), EngineError> {
        let evaluator = self.evaluator;
        let Some(compensation) = evaluator.compensation.as_ref().filter(|_| !requests.is_empty())
        else {
            return Ok(());
        };
        let compiled = compensation.compiled(evaluator)?;
        let moves = moves_of(points, requests);
        let probes = evaluator.probe_lanes(&self.linear, &moves, Default::default());
        let kind = Kind {
            kernel: compiled.kernel.as_ref(),
            width: compiled.width,
            bundles: &compiled.bundle,
            begin: &|count, carried| {
                evaluator.preparation.initial_with_tangents(&compiled.initial, count, carried)
            },
        };
        let steps = Steps::Of(&self.adaptive, &probes.own_lane);
        let run = evaluator.integrate(probes.lanes, &kind, steps)?;
        self.count_run(&run);
        let probed = Probed { run: Some(run), lanes_of: probes.lanes_of };
        let scorer = Scorer {
            base: &self.adaptive,
            ..self.scorer(&probed, &moves, &[], points, parameters, &[])
        };
        for (point, pair) in
            scorer.compensated_pairs(requests, &compiled.observables, &self.results)
        {
            self.results[point].refinements.push(pair);
        }
        self.tell_gradient_rounding(requests, compensation, tells_all)
    }

    /// Counts the lanes of a run that only some points took part in.
    pub(super) fn count_run(&mut self, run: &Run) {
        self.lanes += run.result.reports.len() as u64;
        self.steps += total_steps(run);
    }
}

/// Predictions of rows on both sides of a point, or why there are none.
type Sides = [Result<Moved<CompensatedPrediction>, Failure>; 2];

impl Scorer<'_> {
    /// The pair of each request, whose moves follow each other, with its point.
    fn compensated_pairs(
        &self,
        requests: &[Request],
        observables: &CompensatedObservables,
        results: &[PointResult],
    ) -> Vec<(usize, ProbePair)> {
        let affected: Vec<_> = self.parameters.iter().map(|&p| self.affected(p)).collect();
        let of = |(i, &request): (usize, &Request)| {
            let (point, parameter, _) = request;
            let place = self.parameters.iter().position(|p| *p == parameter)?;
            let rows = &affected[place].rows;
            let sides = [2 * i, 2 * i + 1].map(|number| {
                if let Some((simulation, lane)) = self.failed_lanes(number).next() {
                    let report = self.probes.result.reports[lane];
                    return Err(Failure::Lane { simulation, report });
                }
                let by = |observable, items: &[Item<'_>], out: &mut Vec<CompensatedPrediction>| {
                    self.objective.predict_compensated(observables, observable, items, out);
                };
                Ok(self.predict_moved_by(point, number, rows, CompensatedPrediction::NONE, &by))
            });
            Some((point, self.compensated_pair(request, rows, &sides, &results[point])))
        };
        requests.par_iter().enumerate().filter_map(of).collect()
    }

    fn compensated_pair(
        &self,
        (point, parameter, eps): Request,
        rows: &[RowIdx],
        sides: &Sides,
        base: &PointResult,
    ) -> ProbePair {
        let (place, priors) = (parameter.position(), &self.problem.priors);
        let here = (self.points[point][place], self.linear[point][place]);
        let values = sides.each_ref().map(|side| {
            let side = side.as_ref().map_err(|failure| *failure)?;
            let changes = rows.iter().zip(&side.predictions).map(|(&r, moved)| {
                let (model, measured) = self.noise_of(r);
                model.nllh_difference(measured, moved.value, base.predictions[r.position()])
            });
            let of_prior = priors.difference(parameter, side.coordinate, here);
            Ok(base.objective? + (changes.sum::<f64>() + of_prior))
        });
        let mut pair = ProbePair::of_values(parameter, eps, values[0], values[1]);
        pair.is_compensated = true;
        if let [Ok(plus), Ok(minus)] = sides {
            let (mut change, mut rounding) = (0.0, 0.0);
            for (k, &row) in rows.iter().enumerate() {
                let of_row = self.change_of_row(row, plus.predictions[k], minus.predictions[k]);
                change += of_row.value;
                rounding += of_row.rounding;
            }
            change += priors.difference(parameter, plus.coordinate, minus.coordinate);
            rounding += priors.terms()[place].value(here.0, here.1).abs() * f64::EPSILON;
            let scale = self.problem.parameters[place].scale;
            pair.paired_central = change / scale.distance(plus.coordinate.1, minus.coordinate.1);
            pair.round_off = rounding / eps;
            pair.unmoved_round_off = 0.0;
            pair.unreached_round_off = 0.0;
            pair.step_noise = 0.0;
        }
        pair
    }

    /// By how much a row's contribution to the objective differs between two sides.
    fn change_of_row(
        &self,
        row: RowIdx,
        plus: CompensatedPrediction,
        minus: CompensatedPrediction,
    ) -> Change {
        let (model, measured) = self.noise_of(row);
        let by = plus.less(minus);
        let value = model.nllh_difference_by(measured, plus.value, minus.value, by);
        let (l_y, l_sigma) = model.nllh_derivatives(measured, plus.value);
        let [y, sigma] = plus.uncertainty();
        // Residuals are of the rounded values, as those of a gradient are.
        let [l_yy, l_ys, l_ss] = model.nllh_second_derivatives(measured, plus.value);
        let low = plus.low;
        let of_residuals = l_yy * low.y * by.y
            + l_ys * (low.y * by.sigma + low.sigma * by.y)
            + l_ss * low.sigma * by.sigma;
        let of_difference = ROW_ROUNDING * f64::EPSILON * value.abs();
        let of_value = ((l_y * y).abs() + (l_sigma * sigma).abs()) * f64::EPSILON;
        let rounding = of_value + 0.5 * (of_difference + of_residuals.abs());
        Change { value, rounding }
    }

    /// The noise model of a row, and what was measured.
    fn noise_of(&self, row: RowIdx) -> (NoiseModel, f64) {
        (self.noise_model(row), self.problem.rows[row.position()].measured)
    }
}

/// A difference of two sides.
struct Change {
    value: f64,
    /// What rounding may do to the value of one side, as all noise of pairs is told: half of what it may do
    /// to the difference.
    rounding: f64,
}
