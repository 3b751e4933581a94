//! Integrating points, their probes and their tangents.

use super::adjoint::AdjointKernel;
use super::compensation::Compensation;
use super::gradients::{Draft, GradientCosts, GradientEngines, OwnGradients};
use super::integrate::{Bundle, LaneSet, Run, TangentKernel};
use super::lanes::LanePreparation;
use super::part::{Part, sums};
use super::result::{GradientMethod, PointResult, ProbePair};
use super::second::SecondOrder;
use crate::engine::{Engine, EngineError, Kernel, Timeline};
use crate::index::{ParameterIdx, SimulationIdx, StateIdx};
use crate::model::OdeProblem;
use crate::objective::Objective;
use rayon::prelude::*;
use std::sync::Arc;

/// How probes choose their steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepMode {
    /// They replay their point's schedule.
    Shared,
    /// Each controls its own, as an optimiser would see it.
    Adaptive,
}

/// Settings of the integrations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    pub rtol: f64,
    pub atol: f64,
    pub max_steps: u32,
    pub steps: StepMode,
}

/// Factor on both tolerances of the run that tells the discretisation error.
const TIGHTER: f64 = 0.01;

impl Settings {
    /// Tolerances a hundred times tighter, and steps for them.
    pub fn tighter(self) -> Self {
        Self {
            rtol: TIGHTER * self.rtol,
            atol: TIGHTER * self.atol,
            max_steps: self.max_steps.saturating_mul(4),
            ..self
        }
    }
}

/// Everything that turns points into objectives, gradients and differences.
pub struct Evaluator<'p> {
    pub(super) problem: &'p OdeProblem,
    pub(super) objective: Objective<'p>,
    pub(super) preparation: LanePreparation<'p>,
    pub(super) settings: Settings,
    pub(super) timelines: Vec<Timeline>,
    pub(super) adaptive: Box<dyn Kernel>,
    pub(super) replay: Box<dyn Kernel>,
    pub(super) wants_gradient: bool,
    pub(super) adjoint: Option<AdjointKernel>,
    /// What lanes without tangents carry.
    pub(super) no_directions: [Bundle; 1],
    /// None where no estimated parameter reaches a trajectory.
    pub(super) tangents: Vec<TangentKernel>,
    preferred_lanes: usize,
    batches_in_flight: usize,
    /// Replayed steps in compensated arithmetic; none where probes choose their own, or rounding errors of
    /// the model cannot be told.
    pub(super) compensation: Option<Compensation>,
    /// Second derivatives, where they are wanted.
    pub(super) second: Option<SecondOrder>,
    /// Those of the problem's further models.
    pub(super) others: Vec<Evaluator<'p>>,
    /// Tells what own gradients, predictions and differences change by at tighter tolerances, where that is
    /// asked for.
    pub(super) tight: Option<Box<Evaluator<'p>>>,
    /// Operations of the replayed steps of all models, of all their tangent programs together.
    pub step_ops: usize,
    pub tangent_ops: usize,
    /// Counted operations of a step of each gradient that was asked for or weighed.
    pub costs: GradientCosts,
}

/// Memory that the outputs of points evaluated at a time may take; a single point may take more.
pub(super) const MOST_BYTES: usize = 1 << 30;

/// How often a cell may ask for further eps.
const MOST_REFINEMENTS: usize = 3;

/// A probe: which coordinate of which point is where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    pub(super) point: usize,
    pub(super) parameter: ParameterIdx,
    pub(super) theta: f64,
}

/// Lanes to integrate for moves.
pub(super) struct ProbeLanes {
    pub(super) lanes: LaneSet,
    /// The lane of the points' own run whose steps each replays.
    pub(super) own_lane: Vec<usize>,
    /// For each move its lane by simulation; none where the trajectory is the point's own.
    pub(super) lanes_of: Vec<Vec<Option<usize>>>,
}

/// Integrated probes.
pub(super) struct Probed {
    /// Where probes replay: first the points once more, then their probes. None without probes: a
    /// replayed point is its own run, to the bit.
    pub(super) run: Option<Run>,
    pub(super) lanes_of: Vec<Vec<Option<usize>>>,
}

/// Further differences to form for a cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Further {
    pub eps: Vec<f64>,
    /// Steps of differences with [compensated](crate::program::compensated) arithmetic; only of parameters
    /// for which the evaluator [can](Evaluator::can_compensate).
    pub compensated_eps: Vec<f64>,
}

/// Further differences of a cell, given the point on the parameter scale and the cell's pairs so far;
/// asked again once they are there.
pub type Refine<'a> = dyn Fn(&[f64], &[ProbePair]) -> Further + Sync + 'a;

/// Asks for nothing.
pub fn no_refinement(_: &[f64], _: &[ProbePair]) -> Further {
    Further::default()
}

/// Points that were evaluated together.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluatedChunk {
    pub points: Vec<PointResult>,
    /// Integrations done for them.
    pub lanes: u64,
    /// Attempted steps of all these.
    pub steps: u64,
}

impl<'p> Evaluator<'p> {
    /// Compiles a problem's programs: probes for `engine`, forward tangents for `gradient_engine`
    /// where a gradient is wanted.
    pub fn new(
        problem: &'p OdeProblem,
        settings: Settings,
        engine: &dyn Engine,
        gradient_engine: Option<&dyn Engine>,
    ) -> Result<Self, EngineError> {
        let wanted =
            if gradient_engine.is_some() { OwnGradients::Forward } else { OwnGradients::None };
        let gradient_engine = gradient_engine.unwrap_or(engine);
        let engines = GradientEngines { forward: gradient_engine, adjoint: gradient_engine };
        Self::with_gradients(problem, settings, engine, engines, wanted)
    }

    /// The same with other gradients.
    pub fn with_gradients<'e>(
        problem: &'p OdeProblem,
        settings: Settings,
        engine: &dyn Engine,
        gradient_engines: impl Into<GradientEngines<'e>>,
        wanted: OwnGradients,
    ) -> Result<Self, EngineError> {
        let engines = gradient_engines.into();
        let mut drafts: Vec<Draft<'p>> = problem.all().map(|m| Draft::new(m, wanted)).collect();
        let mut costs = GradientCosts::default();
        for of_model in drafts.iter().map(Draft::costs) {
            costs.step += of_model.step;
            costs.forward += of_model.forward;
            costs.adjoint += of_model.adjoint;
        }
        let wanted = match (wanted, costs.cheaper()) {
            (OwnGradients::Cheaper, GradientMethod::Forward) => OwnGradients::Forward,
            (OwnGradients::Cheaper, GradientMethod::Adjoint) => OwnGradients::Adjoint,
            (wanted, _) => wanted,
        };
        let mut compile = |draft| Self::compile(draft, settings, engine, engines, wanted, costs);
        let others = drafts.split_off(1).into_iter().map(&mut compile);
        let others = others.collect::<Result<Vec<Self>, EngineError>>()?;
        let mut own = compile(drafts.remove(0))?;
        own.step_ops += others.iter().map(|o| o.step_ops).sum::<usize>();
        own.tangent_ops += others.iter().map(|o| o.tangent_ops).sum::<usize>();
        own.others = others;
        Ok(own)
    }

    fn compile(
        draft: Draft<'p>,
        settings: Settings,
        engine: &dyn Engine,
        engines: GradientEngines<'_>,
        wanted: OwnGradients,
        costs: GradientCosts,
    ) -> Result<Self, EngineError> {
        let Draft { problem, generator, replay, tangents, reverse } = draft;
        let preparation = LanePreparation::new(problem);
        let wants_gradient = matches!(wanted, OwnGradients::Forward | OwnGradients::Both);
        let (mut kernels, mut tangent_ops) = (Vec::new(), 0);
        if wants_gradient {
            for tangent in tangents {
                tangent_ops += tangent.ops();
                kernels.push(tangent.compile(&preparation, engines.forward)?);
            }
        }
        let mut adjoint = None;
        if let (OwnGradients::Adjoint | OwnGradients::Both, Some(reverse)) = (wanted, &reverse) {
            let programs = (&replay, reverse);
            adjoint = Some(AdjointKernel::new(problem, programs, &preparation, engines.adjoint)?);
            if !wants_gradient {
                tangent_ops = reverse.program.ops().len();
            }
        }
        let objective = Objective::new(problem);
        let adaptive = engine.prepare(&generator.adaptive())?;
        let replayed = engine.prepare(&replay)?;
        let step_ops = replay.program.ops().len();
        let compensation = match settings.steps {
            StepMode::Shared => {
                Compensation::new(problem, &objective, &preparation, (generator, replay))
            }
            StepMode::Adaptive => None,
        };
        Ok(Self {
            problem,
            objective,
            compensation,
            settings,
            timelines: problem.simulations.iter().map(|s| s.timeline.clone()).collect(),
            adaptive,
            replay: replayed,
            preparation,
            wants_gradient,
            adjoint,
            no_directions: [Bundle::default()],
            tangents: kernels,
            second: None,
            preferred_lanes: engine.preferred_lanes(),
            batches_in_flight: engine.batches_in_flight(),
            step_ops,
            tangent_ops,
            costs,
            others: Vec::new(),
            tight: None,
        })
    }

    /// With points at tighter tolerances beside its own: gradients, and where copies choose their own steps a
    /// difference for each parameter.
    pub fn with_tight(mut self, tight: Self) -> Self {
        self.tight = Some(Box::new(tight));
        self
    }

    /// How the own gradient is computed that is judged where nothing else is said.
    pub fn gradient_method(&self) -> GradientMethod {
        match (&self.adjoint, self.wants_gradient) {
            (Some(_), false) => GradientMethod::Adjoint,
            _ => GradientMethod::Forward,
        }
    }

    /// The problem that is evaluated.
    pub fn problem(&self) -> &'p OdeProblem {
        self.problem
    }

    /// How it integrates.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The compiled observables.
    pub fn objective(&self) -> &Objective<'p> {
        &self.objective
    }

    /// Whether differences of a parameter can be formed in compensated arithmetic.
    pub fn can_compensate(&self, parameter: ParameterIdx) -> bool {
        let can = |e: &Self| e.compensation.as_ref().is_some_and(|c| c.can_move(parameter));
        can(self) && self.others.iter().all(can)
    }

    /// How many chunks of points to evaluate at a time, each from a thread of its own.
    pub fn chunks_in_flight(&self) -> usize {
        self.batches_in_flight
    }

    /// How many points to evaluate at once, given how many probes each has.
    pub fn points_per_chunk(&self, parameters: &[ParameterIdx], eps_count: usize) -> usize {
        let all = || std::iter::once(self).chain(&self.others);
        let reached = |p: &ParameterIdx| all().map(|e| e.reached(*p).count()).sum::<usize>();
        let dynamic: usize = parameters.iter().map(reached).sum();
        let lanes = self.problem.simulation_count() + 2 * eps_count * dynamic;
        (self.preferred_lanes / lanes.max(1)).max(1)
    }

    /// About how much memory the outputs of a point, its probes and its tangents take.
    pub(super) fn bytes_per_point(&self, parameters: &[ParameterIdx], eps_count: usize) -> usize {
        let mut values = 0;
        for part in std::iter::once(self).chain(&self.others) {
            let n = part.problem.state_ids.len();
            let of_tangents =
                part.tangents.iter().map(|t| t.bundles.len() * n * (1 + t.direction_count));
            let of_tangents: usize = of_tangents.sum();
            for (s, simulation) in part.problem.simulations.iter().enumerate() {
                let s = SimulationIdx::from_position(s);
                let is_moved = |p: &&ParameterIdx| part.problem.is_dynamic(**p, s);
                let probes = 2 * eps_count * parameters.iter().filter(is_moved).count();
                let of_adjoint = if part.adjoint.is_some() { n } else { 0 };
                let values_each = n * (2 + probes) + of_tangents + of_adjoint;
                values += (simulation.output_times.len() + 2) * values_each;
            }
        }
        values * size_of::<f64>()
    }

    /// Simulations whose trajectory the parameter changes.
    fn reached(&self, parameter: ParameterIdx) -> impl Iterator<Item = SimulationIdx> + '_ {
        (0..self.problem.simulations.len())
            .map(SimulationIdx::from_position)
            .filter(move |&s| self.problem.is_dynamic(parameter, s))
    }

    /// Objective, gradient (where tangents were compiled) and differences of each point, given on
    /// the parameter scale. Differences are formed for `parameters` × `eps`; either may be empty.
    /// `refine` sees the pairs of each cell and may ask for further eps.
    pub fn evaluate(
        &self,
        points: &[Vec<f64>],
        parameters: &[ParameterIdx],
        eps: &[f64],
        refine: &Refine<'_>,
    ) -> Result<EvaluatedChunk, EngineError> {
        let bytes = self.bytes_per_point(parameters, eps.len()) * self.batches_in_flight;
        let most = (MOST_BYTES / bytes.max(1)).max(1);
        if points.len() > most {
            let mut all = EvaluatedChunk { points: Vec::new(), lanes: 0, steps: 0 };
            for some in points.chunks(most) {
                let evaluated = self.evaluate(some, parameters, eps, refine)?;
                all.points.extend(evaluated.points);
                all.lanes += evaluated.lanes;
                all.steps += evaluated.steps;
            }
            return Ok(all);
        }
        let tighter = self.at_tighter_tolerances(points, parameters, eps)?;
        let mut parts = Vec::with_capacity(1 + self.others.len());
        let mut first = 0;
        for evaluator in std::iter::once(self).chain(&self.others) {
            let known = tighter.as_ref().map(|tighter| tighter.rows_from(first));
            parts.push(Part::evaluate(evaluator, points, parameters, eps, (None, known))?);
            first += evaluator.problem.own_counts().1;
        }
        let steps = self.compared_steps(eps);
        let known = &self.problem.parameters;
        let refine = |theta: &[f64], pairs: &[ProbePair]| {
            let mut further = refine(theta, pairs);
            let first = pairs.first().filter(|_| pairs.len() <= eps.len());
            let compared = first.and_then(|pair| steps.in_unit(known, theta, pair.parameter));
            let is_new = |step: &f64| !further.eps.contains(step) && !eps.contains(step);
            let compared = compared.filter(is_new);
            further.eps.extend(compared);
            further
        };
        for _ in 0..MOST_REFINEMENTS {
            let (plain, compensated) = further_requests(points, &sums(&parts), eps.len(), &refine);
            if plain.is_empty() && compensated.is_empty() {
                break;
            }
            // Own gradients of a part show neither what cancels between models nor that a gradient from a file is
            // off, for which points are integrated more tightly: all tell what rounding does.
            let tells_all = parts.len() > 1 || self.tight.is_some();
            for part in &mut parts {
                if !plain.is_empty() {
                    part.refine(points, parameters, eps, &plain)?;
                }
                part.compensate(points, parameters, &compensated, tells_all)?;
            }
        }
        let mut evaluated = EvaluatedChunk {
            lanes: parts.iter().map(|part| part.lanes).sum(),
            steps: parts.iter().map(|part| part.steps).sum(),
            points: match <[Part<'_, '_>; 1]>::try_from(parts) {
                Ok([only]) => only.results,
                Err(parts) => sums(&parts).into_owned(),
            },
        };
        if let Some(tighter) = tighter {
            tighter.tell(self.problem, points, &mut evaluated);
        }
        Ok(evaluated)
    }

    pub(super) fn integrate_probes(
        &self,
        linear: &[Vec<f64>],
        adaptive: &Run,
        moves: &[Move],
    ) -> Result<Probed, EngineError> {
        if moves.is_empty() {
            return Ok(Probed { run: None, lanes_of: Vec::new() });
        }
        match self.settings.steps {
            StepMode::Shared => self.replay_probes(linear, adaptive, moves),
            StepMode::Adaptive => self.adaptive_probes(linear, moves),
        }
    }

    /// The run that holds the points as the probes are integrated.
    pub(super) fn base_of<'r>(&self, probed: &'r Probed, adaptive: &'r Run) -> &'r Run {
        match self.settings.steps {
            StepMode::Shared => probed.run.as_ref().unwrap_or(adaptive),
            StepMode::Adaptive => adaptive,
        }
    }

    /// Linear values of a point's parameters.
    pub(super) fn unscaled(&self, theta: &[f64]) -> Vec<f64> {
        self.problem.parameters.iter().zip(theta).map(|(p, &x)| p.scale.unscale(x)).collect()
    }

    /// Every point and simulation, lanes in this order.
    pub(super) fn base_lanes(&self, linear: &[Vec<f64>]) -> LaneSet {
        let mut lanes = LaneSet::default();
        for parameters in linear {
            let parameters = parameters.as_slice().into();
            for s in (0..self.problem.simulations.len()).map(SimulationIdx::from_position) {
                lanes.push(&self.preparation, s, &parameters);
            }
        }
        lanes
    }

    /// States of each point that start below the absolute tolerance, but not at 0.
    pub(super) fn starts_below_atol(&self, run: &Run, points: usize) -> Vec<Vec<StateIdx>> {
        let n = self.problem.state_ids.len();
        let lanes = self.problem.simulations.len();
        let mut carried = Vec::new();
        for slots in &run.lanes.slots {
            self.preparation.push_dynamic_slots(&slots[0], &mut carried);
        }
        let initial = self.preparation.initial_states(run.lanes.len(), &carried);
        let is_below = |x: f64| x != 0.0 && x.abs() < self.settings.atol;
        (0..points)
            .map(|point| {
                let of_point = &initial[point * lanes * n..][..lanes * n];
                let state_is_below =
                    |i: &usize| of_point.iter().skip(*i).step_by(n).any(|x| is_below(*x));
                (0..n).filter(state_is_below).map(StateIdx::from_position).collect()
            })
            .collect()
    }

    /// Lanes of the moves, behind `lanes` that replay themselves.
    pub(super) fn probe_lanes(
        &self,
        linear: &[Vec<f64>],
        moves: &[Move],
        lanes: LaneSet,
    ) -> ProbeLanes {
        let count = self.problem.simulations.len();
        let own_lane = (0..lanes.len()).collect();
        let mut all = ProbeLanes { lanes, own_lane, lanes_of: Vec::with_capacity(moves.len()) };
        let mut moved: Vec<f64> = Vec::new();
        for probe in moves {
            moved.clear();
            moved.extend_from_slice(&linear[probe.point]);
            let scale = self.problem.parameters[probe.parameter.position()].scale;
            moved[probe.parameter.position()] = scale.unscale(probe.theta);
            let mut of_move = vec![None; count];
            let moved: Arc<[f64]> = moved.as_slice().into();
            for s in self.reached(probe.parameter) {
                of_move[s.position()] = Some(all.lanes.len());
                all.lanes.push(&self.preparation, s, &moved);
                all.own_lane.push(probe.point * count + s.position());
            }
            all.lanes_of.push(of_move);
        }
        all
    }

    /// The points once more and their probes, all by the replayed step: nothing but the moved
    /// parameter differs between them. Lanes of failed points replay what there is of their
    /// schedule.
    fn replay_probes(
        &self,
        linear: &[Vec<f64>],
        adaptive: &Run,
        moves: &[Move],
    ) -> Result<Probed, EngineError> {
        let ProbeLanes { lanes, own_lane, lanes_of } =
            self.probe_lanes(linear, moves, adaptive.lanes.clone());
        let run = self.integrate_by_replay(lanes, adaptive, &own_lane)?;
        Ok(Probed { run: Some(run), lanes_of })
    }

    /// The probes with steps of their own.
    fn adaptive_probes(&self, linear: &[Vec<f64>], moves: &[Move]) -> Result<Probed, EngineError> {
        let ProbeLanes { lanes, lanes_of, .. } =
            self.probe_lanes(linear, moves, LaneSet::default());
        Ok(Probed { run: Some(self.integrate_adaptively(lanes)?), lanes_of })
    }
}

/// A difference to form: (point, parameter, eps).
pub(super) type Request = (usize, ParameterIdx, f64);

/// The further differences that `refine` asks for, plain and compensated.
fn further_requests(
    points: &[Vec<f64>],
    results: &[PointResult],
    eps_count: usize,
    refine: &Refine<'_>,
) -> (Vec<Request>, Vec<Request>) {
    let of_point = |(point, result): (usize, &PointResult)| {
        let (mut plain, mut compensated) = (Vec::new(), Vec::new());
        for pairs in result.probes.chunks(eps_count.max(1)) {
            let parameter = pairs[0].parameter;
            let known = result.refinements.iter().filter(|pair| pair.parameter == parameter);
            let all: Vec<ProbePair> = pairs.iter().chain(known).cloned().collect();
            let further = refine(&points[point], &all);
            plain.extend(further.eps.into_iter().map(|eps| (point, parameter, eps)));
            let steps = further.compensated_eps.into_iter();
            compensated.extend(steps.map(|eps| (point, parameter, eps)));
        }
        (plain, compensated)
    };
    let by_point: Vec<(Vec<Request>, Vec<Request>)> =
        results.par_iter().enumerate().map(of_point).collect();
    let (plain, compensated): (Vec<_>, Vec<_>) = by_point.into_iter().unzip();
    (plain.concat(), compensated.concat())
}

/// Both moves of each (point, parameter, eps).
pub(super) fn moves_of(points: &[Vec<f64>], requests: &[Request]) -> Vec<Move> {
    requests
        .iter()
        .flat_map(|&(point, parameter, eps)| {
            let here = points[point][parameter.position()];
            [here + eps, here - eps].map(|theta| Move { point, parameter, theta })
        })
        .collect()
}

pub(super) fn total_steps(run: &Run) -> u64 {
    run.result.reports.iter().map(|r| u64::from(r.steps)).sum()
}
