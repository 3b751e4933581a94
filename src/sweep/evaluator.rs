//! Integrating points, their probes and their tangents.

use super::integrate::{LaneSet, Run, TangentKernel};
use super::lanes::LanePreparation;
use super::score::{PointResult, ProbePair, Scorer};
use crate::engine::{Engine, EngineError, Kernel, LaneStatus, Timeline};
use crate::index::{DirectionIdx, ParameterIdx, SimulationIdx, SlotIdx};
use crate::model::OdeProblem;
use crate::objective::Objective;
use crate::rosenbrock::StepGenerator;
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

/// Operations that a tangent program should not exceed; more directions become more programs.
const LARGEST_TANGENT_PROGRAM: usize = 40_000;

/// Everything that turns points into objectives, gradients and differences.
pub struct Evaluator<'p> {
    pub(super) problem: &'p OdeProblem,
    objective: Objective<'p>,
    pub(super) preparation: LanePreparation<'p>,
    pub(super) settings: Settings,
    pub(super) timelines: Vec<Timeline>,
    pub(super) adaptive: Box<dyn Kernel>,
    pub(super) replay: Box<dyn Kernel>,
    wants_gradient: bool,
    /// None where no estimated parameter reaches a trajectory.
    tangents: Vec<TangentKernel>,
    preferred_lanes: usize,
    /// Operations of the replayed step, of all its tangent programs together.
    pub step_ops: usize,
    pub tangent_ops: usize,
}

/// A probe: which coordinate of which point is where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    pub(super) point: usize,
    pub(super) parameter: ParameterIdx,
    pub(super) theta: f64,
}

/// Lanes to integrate for moves.
struct ProbeLanes {
    lanes: LaneSet,
    /// The lane of the points' own run whose steps each replays.
    own_lane: Vec<usize>,
    /// For each move its lane by simulation; none where the trajectory is the point's own.
    lanes_of: Vec<Vec<Option<usize>>>,
}

/// Integrated probes.
struct Probed {
    /// Where probes replay: first the points once more, then their probes.
    run: Run,
    lanes_of: Vec<Vec<Option<usize>>>,
}

/// Further eps to try for a cell, given its pairs.
pub type Refine<'a> = dyn Fn(&[ProbePair]) -> Vec<f64> + 'a;

/// Asks for nothing.
pub fn no_refinement(_: &[ProbePair]) -> Vec<f64> {
    Vec::new()
}

/// Points that were evaluated together.
pub struct EvaluatedChunk {
    pub points: Vec<PointResult>,
    /// Integrations done for them.
    pub lanes: u64,
    /// Attempted steps of all these.
    pub steps: u64,
}

impl<'p> Evaluator<'p> {
    /// Compiles a problem's programs: probes for `engine`, tangents for `gradient_engine` where a
    /// gradient is wanted.
    pub fn new(
        problem: &'p OdeProblem,
        settings: Settings,
        engine: &dyn Engine,
        gradient_engine: Option<&dyn Engine>,
    ) -> Result<Self, EngineError> {
        let generator = StepGenerator::new(&problem.rhs);
        let preparation = LanePreparation::new(problem);
        let replay = generator.replay();
        let step_ops = replay.program.ops().len();
        let mut tangents = Vec::new();
        let mut tangent_ops = 0;
        if let Some(engine) = gradient_engine {
            let directions = problem.dynamic_directions();
            let switching = problem.moving_slots();
            // A direction adds up to 1.6 times the step (measured on networks of 25 to 50 states).
            let fitting = LARGEST_TANGENT_PROGRAM / (step_ops + step_ops / 2).max(1);
            for chunk in directions.chunks(fitting.clamp(1, directions.len().max(1))) {
                let mut chunk = chunk.to_vec();
                chunk.extend(problem.heirs(&chunk));
                let is_moving = |(k, slot): (usize, &SlotIdx)| {
                    let moves = switching.as_ref().is_none_or(|slots| slots.contains(slot));
                    moves.then(|| DirectionIdx::from_position(k))
                };
                let moving: Vec<DirectionIdx> =
                    chunk.iter().enumerate().filter_map(is_moving).collect();
                let step = generator.replay_with_tangents(&chunk, &moving);
                tangent_ops += step.program.ops().len();
                tangents.push(TangentKernel {
                    moving: moving.iter().map(|k| chunk[k.position()]).collect(),
                    initial: preparation.compile_tangents(&chunk),
                    directions: chunk,
                    kernel: engine.prepare(&step)?,
                });
            }
        }
        Ok(Self {
            problem,
            objective: Objective::new(problem),
            settings,
            timelines: problem.simulations.iter().map(|s| s.timeline.clone()).collect(),
            adaptive: engine.prepare(&generator.adaptive())?,
            replay: engine.prepare(&replay)?,
            preparation,
            wants_gradient: gradient_engine.is_some(),
            tangents,
            preferred_lanes: engine.preferred_lanes(),
            step_ops,
            tangent_ops,
        })
    }

    /// The problem that is evaluated.
    pub fn problem(&self) -> &'p OdeProblem {
        self.problem
    }

    /// The compiled observables.
    pub fn objective(&self) -> &Objective<'p> {
        &self.objective
    }

    /// How many points to evaluate at once, given how many probes each has.
    pub fn points_per_chunk(&self, parameters: &[ParameterIdx], eps_count: usize) -> usize {
        let simulations = self.problem.simulations.len();
        let dynamic: usize = parameters.iter().map(|&p| self.reached(p).count()).sum();
        let lanes = simulations + 2 * eps_count * dynamic;
        (self.preferred_lanes / lanes.max(1)).max(1)
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
        let linear: Vec<Vec<f64>> = points.iter().map(|x| self.unscaled(x)).collect();
        let adaptive = self.integrate_adaptively(self.base_lanes(&linear))?;
        let simulations = self.problem.simulations.len();
        let is_ok: Vec<bool> = adaptive
            .result
            .reports
            .chunks(simulations)
            .map(|reports| reports.iter().all(|r| r.status == LaneStatus::Ok))
            .collect();
        let mut requests = Vec::new();
        for point in (0..points.len()).filter(|point| is_ok[*point]) {
            for &parameter in parameters {
                requests.extend(eps.iter().map(|&step| (point, parameter, step)));
            }
        }
        let moves = moves_of(points, &requests);
        let probed = self.integrate_probes(&linear, &adaptive, &moves)?;
        let tangents = self
            .tangents
            .iter()
            .map(|tangent| self.integrate_tangents(&adaptive, tangent))
            .collect::<Result<Vec<Run>, EngineError>>()?;
        let scorer = Scorer {
            problem: self.problem,
            objective: &self.objective,
            tangents: &self.tangents,
            adaptive: &adaptive,
            base: self.base_of(&probed, &adaptive),
            probes: &probed.run,
            probe_lanes: &probed.lanes_of,
            moves: &moves,
            tangent_runs: &tangents,
            wants_gradient: self.wants_gradient,
            is_ok: &is_ok,
            points,
            linear: &linear,
            parameters,
            eps,
        };
        let mut results = scorer.score();
        let mut runs = vec![&adaptive, &probed.run];
        runs.extend(&tangents);

        let mut further = Vec::new();
        for (point, result) in results.iter().enumerate() {
            for pairs in result.probes.chunks(eps.len().max(1)) {
                further.extend(refine(pairs).into_iter().map(|e| (point, pairs[0].parameter, e)));
            }
        }
        let mut refined = None;
        if !further.is_empty() {
            let moves = moves_of(points, &further);
            let probed = self.integrate_probes(&linear, &adaptive, &moves)?;
            let scorer = Scorer {
                base: self.base_of(&probed, &adaptive),
                probes: &probed.run,
                probe_lanes: &probed.lanes_of,
                moves: &moves,
                ..scorer
            };
            scorer.score_refinements(&further, &mut results);
            refined = Some(probed);
        }
        runs.extend(refined.as_ref().map(|probed: &Probed| &probed.run));
        Ok(EvaluatedChunk {
            points: results,
            lanes: runs.iter().map(|run| run.result.reports.len() as u64).sum(),
            steps: runs.iter().map(|run| total_steps(run)).sum(),
        })
    }

    fn integrate_probes(
        &self,
        linear: &[Vec<f64>],
        adaptive: &Run,
        moves: &[Move],
    ) -> Result<Probed, EngineError> {
        match self.settings.steps {
            StepMode::Shared => self.replay_probes(linear, adaptive, moves),
            StepMode::Adaptive => self.adaptive_probes(linear, moves),
        }
    }

    /// The run that holds the points as the probes are integrated.
    fn base_of<'r>(&self, probed: &'r Probed, adaptive: &'r Run) -> &'r Run {
        match self.settings.steps {
            StepMode::Shared => &probed.run,
            StepMode::Adaptive => adaptive,
        }
    }

    /// Linear values of a point's parameters.
    fn unscaled(&self, theta: &[f64]) -> Vec<f64> {
        self.problem.parameters.iter().zip(theta).map(|(p, &x)| p.scale.unscale(x)).collect()
    }

    /// Every point and simulation, lanes in this order.
    fn base_lanes(&self, linear: &[Vec<f64>]) -> LaneSet {
        let mut lanes = LaneSet::default();
        for parameters in linear {
            let parameters = parameters.as_slice().into();
            for s in (0..self.problem.simulations.len()).map(SimulationIdx::from_position) {
                lanes.push(&self.preparation, s, &parameters);
            }
        }
        lanes
    }

    /// Lanes of the moves, behind `lanes` that replay themselves.
    fn probe_lanes(&self, linear: &[Vec<f64>], moves: &[Move], lanes: LaneSet) -> ProbeLanes {
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
        Ok(Probed { run, lanes_of })
    }

    /// The probes with steps of their own.
    fn adaptive_probes(&self, linear: &[Vec<f64>], moves: &[Move]) -> Result<Probed, EngineError> {
        let ProbeLanes { lanes, lanes_of, .. } =
            self.probe_lanes(linear, moves, LaneSet::default());
        Ok(Probed { run: self.integrate_adaptively(lanes)?, lanes_of })
    }
}

/// Both moves of each (point, parameter, eps).
fn moves_of(points: &[Vec<f64>], requests: &[(usize, ParameterIdx, f64)]) -> Vec<Move> {
    requests
        .iter()
        .flat_map(|&(point, parameter, eps)| {
            let here = points[point][parameter.position()];
            [here + eps, here - eps].map(|theta| Move { point, parameter, theta })
        })
        .collect()
}

fn total_steps(run: &Run) -> u64 {
    run.result.reports.iter().map(|r| u64::from(r.steps)).sum()
}
