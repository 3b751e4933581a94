//! Integrating points, their probes and their tangents.

use super::lanes::{InitialTangents, LanePreparation};
use super::score::{PointResult, ProbePair, Scorer};
use crate::engine::{
    Batch, BatchResult, Control, Engine, EngineError, Kernel, LaneStatus, Timeline,
};
use crate::index::{DirectionIdx, ParameterIdx, ScheduleIdx, SimulationIdx, SlotIdx, TimelineIdx};
use crate::model::{OdeProblem, have_same_order};
use crate::objective::Objective;
use crate::rosenbrock::StepGenerator;
use std::borrow::Cow;

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
    problem: &'p OdeProblem,
    objective: Objective<'p>,
    preparation: LanePreparation<'p>,
    settings: Settings,
    timelines: Vec<Timeline>,
    adaptive: Box<dyn Kernel>,
    replay: Box<dyn Kernel>,
    tangents: Vec<TangentKernel>,
    preferred_lanes: usize,
    /// Operations of the replayed step, of all its tangent programs together.
    pub step_ops: usize,
    pub tangent_ops: usize,
}

/// The tangents of a step along some directions.
pub(super) struct TangentKernel {
    pub(super) directions: Vec<SlotIdx>,
    /// Those of them that move breakpoints.
    moving: Vec<SlotIdx>,
    initial: InitialTangents,
    kernel: Box<dyn Kernel>,
}

/// Lanes and what became of them.
pub(super) struct Run {
    /// Values of the simulations' slots, a lane each.
    pub(super) slots: Vec<Vec<f64>>,
    pub(super) initial: Vec<f64>,
    pub(super) width: usize,
    pub(super) result: BatchResult,
}

impl Run {
    /// What a step advances, at an output of the lane; none where the lane did not get there.
    pub(super) fn values(&self, lane: usize, output: usize, starts_with_output: bool) -> &[f64] {
        match output.checked_sub(usize::from(starts_with_output)) {
            None => &self.initial[lane * self.width..][..self.width],
            Some(reached) => {
                &self.result.outputs[self.result.offsets[lane] + reached * self.width..]
                    [..self.width]
            }
        }
    }
}

/// A probe: which coordinate of which point is where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    pub(super) point: usize,
    pub(super) parameter: ParameterIdx,
    pub(super) theta: f64,
}

/// Timelines and which of them each lane follows.
struct LaneTimelines<'a> {
    timelines: Cow<'a, [Timeline]>,
    of_lane: Vec<TimelineIdx>,
}

impl LaneTimelines<'_> {
    fn of(&self, lane: usize) -> &Timeline {
        &self.timelines[self.of_lane[lane].position()]
    }
}

/// Lanes to integrate for moves.
struct ProbeLanes {
    simulations: Vec<SimulationIdx>,
    slots: Vec<Vec<f64>>,
    point_of: Vec<usize>,
    /// For each move its lane by simulation; none where the trajectory is the point's own.
    lanes_of: Vec<Vec<Option<usize>>>,
}

/// Integrated probes.
struct Probed {
    /// The points as the probes are integrated, where that is not adaptively.
    base: Option<Run>,
    probes: Run,
    lanes_of: Vec<Vec<Option<usize>>>,
    /// Whether a lane's breakpoints are in another order than its point's, so that it cannot
    /// replay its point's steps.
    reordered: Vec<bool>,
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
            let switching = problem.breakpoints.slots();
            // A direction adds up to 1.6 times the step (measured on networks of 25 to 50 states).
            let fitting = LARGEST_TANGENT_PROGRAM / (step_ops + step_ops / 2).max(1);
            for chunk in directions.chunks(fitting.clamp(1, directions.len().max(1))) {
                let is_moving = |(k, slot): (usize, &SlotIdx)| {
                    switching.contains(slot).then(|| DirectionIdx::from_position(k))
                };
                let moving: Vec<DirectionIdx> =
                    chunk.iter().enumerate().filter_map(is_moving).collect();
                let step = generator.replay_with_tangents(chunk, &moving);
                tangent_ops += step.program.ops().len();
                tangents.push(TangentKernel {
                    directions: chunk.to_vec(),
                    moving: moving.iter().map(|k| chunk[k.position()]).collect(),
                    initial: preparation.compile_tangents(chunk),
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
        let adaptive = self.integrate_base(&linear)?;
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
        let tangents = self.integrate_tangents(&adaptive, &is_ok)?;
        let scorer = Scorer {
            problem: self.problem,
            objective: &self.objective,
            tangents: &self.tangents,
            adaptive: &adaptive,
            base: probed.base.as_ref().unwrap_or(&adaptive),
            probes: &probed.probes,
            probe_lanes: &probed.lanes_of,
            reordered: &probed.reordered,
            moves: &moves,
            tangent_runs: &tangents,
            is_ok: &is_ok,
            points,
            linear: &linear,
            parameters,
            eps,
        };
        let mut results = scorer.score();
        let mut runs = vec![&adaptive, &probed.probes];
        runs.extend(&probed.base);
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
                base: probed.base.as_ref().unwrap_or(&adaptive),
                probes: &probed.probes,
                probe_lanes: &probed.lanes_of,
                reordered: &probed.reordered,
                moves: &moves,
                ..scorer
            };
            scorer.score_refinements(&further, &mut results);
            refined = Some(probed);
        }
        if let Some(probed) = &refined {
            runs.push(&probed.probes);
            runs.extend(&probed.base);
        }
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

    /// Linear values of a point's parameters.
    fn unscaled(&self, theta: &[f64]) -> Vec<f64> {
        self.problem.parameters.iter().zip(theta).map(|(p, &x)| p.scale.unscale(x)).collect()
    }

    /// Timelines of lanes: one for each simulation, or one for each lane where estimated
    /// parameters move breakpoints.
    fn timelines_of(
        &self,
        simulations: &[SimulationIdx],
        slots: &[Vec<f64>],
        moving: &[SlotIdx],
    ) -> LaneTimelines<'_> {
        if !self.problem.simulations.iter().any(|s| s.has_moving_breakpoints) {
            let of_lane = simulations.iter().map(|s| TimelineIdx(s.0)).collect();
            return LaneTimelines { timelines: Cow::Borrowed(&self.timelines), of_lane };
        }
        let own =
            |(&s, slots): (&SimulationIdx, &Vec<f64>)| self.problem.timeline_of(s, slots, moving);
        let timelines: Vec<Timeline> = simulations.iter().zip(slots).map(own).collect();
        let of_lane = (0..timelines.len()).map(TimelineIdx::from_position).collect();
        LaneTimelines { timelines: Cow::Owned(timelines), of_lane }
    }

    /// Every point and simulation, lanes in this order, with adaptive steps.
    fn integrate_base(&self, linear: &[Vec<f64>]) -> Result<Run, EngineError> {
        let mut simulations = Vec::new();
        let mut slots = Vec::new();
        for parameters in linear {
            for s in (0..self.problem.simulations.len()).map(SimulationIdx::from_position) {
                simulations.push(s);
                slots.push(self.preparation.slots(s, parameters));
            }
        }
        self.integrate_adaptively(&simulations, slots)
    }

    fn integrate_adaptively(
        &self,
        simulations: &[SimulationIdx],
        slots: Vec<Vec<f64>>,
    ) -> Result<Run, EngineError> {
        let carried = self.carried(&slots);
        let initial = self.preparation.initial_states(slots.len(), &carried);
        let Settings { rtol, atol, max_steps, .. } = self.settings;
        let timelines = self.timelines_of(simulations, &slots, &[]);
        let of_lanes: Vec<&Timeline> = (0..slots.len()).map(|lane| timelines.of(lane)).collect();
        let first_steps = self.preparation.first_steps(&of_lanes, &initial, &carried, rtol, atol);
        let result = self.adaptive.run(&Batch {
            initial: &initial,
            slots: &carried,
            timelines: &timelines.timelines,
            of_lane: &timelines.of_lane,
            control: Control::Adaptive { rtol, atol, max_steps, first_steps: &first_steps },
        })?;
        Ok(Run { slots, initial, width: self.problem.state_ids.len(), result })
    }

    fn carried(&self, slots: &[Vec<f64>]) -> Vec<f64> {
        let mut carried = Vec::with_capacity(slots.len() * self.problem.rhs.slots.len());
        for lane in slots {
            self.preparation.push_dynamic_slots(lane, &mut carried);
        }
        carried
    }

    /// Lanes of the moves: simulation and slots of each, and for each move its lanes by
    /// simulation (none where the trajectory is the point's own).
    fn probe_lanes(&self, linear: &[Vec<f64>], moves: &[Move]) -> ProbeLanes {
        let (mut simulations, mut slots, mut point_of) = (Vec::new(), Vec::new(), Vec::new());
        let mut lanes_of = Vec::with_capacity(moves.len());
        let mut moved: Vec<f64> = Vec::new();
        for probe in moves {
            moved.clear();
            moved.extend_from_slice(&linear[probe.point]);
            let scale = self.problem.parameters[probe.parameter.position()].scale;
            moved[probe.parameter.position()] = scale.unscale(probe.theta);
            let mut lanes = vec![None; self.problem.simulations.len()];
            for s in self.reached(probe.parameter) {
                lanes[s.position()] = Some(simulations.len());
                simulations.push(s);
                slots.push(self.preparation.slots(s, &moved));
                point_of.push(probe.point);
            }
            lanes_of.push(lanes);
        }
        ProbeLanes { simulations, slots, point_of, lanes_of }
    }

    /// The points once more and their probes, all by the replayed step.
    fn replay_probes(
        &self,
        linear: &[Vec<f64>],
        adaptive: &Run,
        moves: &[Move],
    ) -> Result<Probed, EngineError> {
        let count = self.problem.simulations.len();
        let width = self.problem.state_ids.len();
        // A point and all its probes are one program's work, so that nothing but the moved
        // parameter differs. Lanes of failed points replay what there is of their schedule.
        let ProbeLanes { simulations, slots, point_of, lanes_of } = self.probe_lanes(linear, moves);
        let reordered = self.reordered(adaptive, &simulations, &slots, &point_of);
        let base_lanes = adaptive.slots.len();
        let mut all_slots = adaptive.slots.clone();
        all_slots.extend(slots);
        let mut all_simulations: Vec<SimulationIdx> =
            (0..base_lanes).map(|lane| SimulationIdx::from_position(lane % count)).collect();
        let mut schedule_of: Vec<ScheduleIdx> =
            (0..base_lanes).map(ScheduleIdx::from_position).collect();
        schedule_of.extend(
            simulations
                .iter()
                .zip(&point_of)
                .map(|(s, point)| ScheduleIdx::from_position(point * count + s.position())),
        );
        all_simulations.extend(simulations);
        let carried = self.carried(&all_slots);
        let initial = self.preparation.initial_states(all_slots.len(), &carried);
        let timelines = self.timelines_of(&all_simulations, &all_slots, &[]);
        let mut result = self.replay.run(&Batch {
            initial: &initial,
            slots: &carried,
            timelines: &timelines.timelines,
            of_lane: &timelines.of_lane,
            control: Control::Replay {
                schedules: &adaptive.result.schedules,
                of_lane: &schedule_of,
            },
        })?;
        // The first lanes are the points'.
        let split = result.offsets[base_lanes];
        let probe_result = BatchResult {
            outputs: result.outputs.split_off(split),
            offsets: result.offsets[base_lanes..].iter().map(|o| o - split).collect(),
            reports: result.reports.split_off(base_lanes),
            schedules: Vec::new(),
        };
        result.offsets.truncate(base_lanes + 1);
        let probe_slots = all_slots.split_off(base_lanes);
        let mut base_initial = initial;
        let probe_initial = base_initial.split_off(base_lanes * width);
        let base = Run { slots: all_slots, initial: base_initial, width, result };
        let probes =
            Run { slots: probe_slots, initial: probe_initial, width, result: probe_result };
        Ok(Probed { base: Some(base), probes, lanes_of, reordered })
    }

    /// For each probe's lane whether its breakpoints are in another order than its point's.
    fn reordered(
        &self,
        adaptive: &Run,
        simulations: &[SimulationIdx],
        slots: &[Vec<f64>],
        point_of: &[usize],
    ) -> Vec<bool> {
        let count = self.problem.simulations.len();
        let lanes = simulations.iter().zip(slots).zip(point_of);
        lanes
            .map(|((&s, slots), point)| {
                if !self.problem.simulations[s.position()].has_moving_breakpoints {
                    return false;
                }
                let own = &adaptive.slots[point * count + s.position()];
                let of_point = self.problem.timeline_of(s, own, &[]);
                !have_same_order(&of_point, &self.problem.timeline_of(s, slots, &[]))
            })
            .collect()
    }

    /// The probes with steps of their own.
    fn adaptive_probes(&self, linear: &[Vec<f64>], moves: &[Move]) -> Result<Probed, EngineError> {
        let ProbeLanes { simulations, slots, lanes_of, .. } = self.probe_lanes(linear, moves);
        let probes = self.integrate_adaptively(&simulations, slots)?;
        let reordered = vec![false; probes.slots.len()];
        Ok(Probed { base: None, probes, lanes_of, reordered })
    }

    /// Tangents of every point and simulation, a run for each tangent program; failed points have
    /// lanes without meaning.
    fn integrate_tangents(&self, base: &Run, is_ok: &[bool]) -> Result<Vec<Run>, EngineError> {
        let count = self.problem.simulations.len();
        let carried = self.carried(&base.slots);
        let lanes = base.slots.len();
        debug_assert_eq!(lanes, is_ok.len() * count);
        let simulations: Vec<SimulationIdx> =
            (0..lanes).map(|lane| SimulationIdx::from_position(lane % count)).collect();
        let of_lane: Vec<ScheduleIdx> = (0..lanes).map(ScheduleIdx::from_position).collect();
        let n = self.problem.state_ids.len();
        self.tangents
            .iter()
            .map(|tangent| {
                let initial =
                    self.preparation.initial_with_tangents(&tangent.initial, lanes, &carried);
                let timelines = self.timelines_of(&simulations, &base.slots, &tangent.moving);
                let result = tangent.kernel.run(&Batch {
                    initial: &initial,
                    slots: &carried,
                    timelines: &timelines.timelines,
                    of_lane: &timelines.of_lane,
                    control: Control::Replay {
                        schedules: &base.result.schedules,
                        of_lane: &of_lane,
                    },
                })?;
                let width = n * (1 + tangent.directions.len());
                Ok(Run { slots: Vec::new(), initial, width, result })
            })
            .collect()
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
