//! Sets of lanes through the engine: from a pre-equilibration, where there is one, over the
//! timeline, to the steady state, where one was measured.

use super::evaluator::{Evaluator, Settings};
use super::lanes::{InitialTangents, LanePreparation};
use super::settle::{Settled, Settling, Stage};
use crate::engine::{
    Batch, BatchResult, Control, EngineError, Kernel, LaneReport, LaneStatus, Timeline,
};
use crate::index::{ScheduleIdx, SimulationIdx, SlotIdx, TimelineIdx};
use crate::model::{OdeProblem, ResetValue, SlotValue};
use std::borrow::Cow;

/// The tangents of a step along some directions.
pub(super) struct TangentKernel {
    pub(super) directions: Vec<SlotIdx>,
    /// Those of them that move breakpoints.
    pub(super) moving: Vec<SlotIdx>,
    pub(super) initial: InitialTangents,
    pub(super) kernel: Box<dyn Kernel>,
}

/// Lanes to integrate.
#[derive(Debug, Clone, Default)]
pub(super) struct LaneSet {
    pub(super) simulations: Vec<SimulationIdx>,
    /// Values of the simulations' slots, a lane each.
    pub(super) slots: Vec<Vec<f64>>,
    /// Those of the pre-equilibration, where there is one.
    before: Vec<Option<Vec<f64>>>,
}

impl LaneSet {
    pub(super) fn len(&self) -> usize {
        self.simulations.len()
    }

    /// Adds a lane where the estimated parameters have these linear values.
    pub(super) fn push(
        &mut self,
        preparation: &LanePreparation<'_>,
        simulation: SimulationIdx,
        parameters: &[f64],
    ) {
        self.simulations.push(simulation);
        self.slots.push(preparation.slots(simulation, parameters));
        self.before.push(preparation.slots_before(simulation, parameters));
    }
}

/// Lanes and what became of them.
pub(super) struct Run {
    pub(super) lanes: LaneSet,
    /// At time 0, `[lane][value]`.
    initial: Vec<f64>,
    pub(super) width: usize,
    pub(super) result: BatchResult,
    /// At time inf, `[lane][value]`; empty where no simulation gets there.
    last: Vec<f64>,
    /// Stages of the steady states before and after, of lanes that chose their own steps.
    stages: [StagesByLane; 2],
}

impl Run {
    /// What a step advances, at an output of the lane; NaN where the lane did not get there.
    pub(super) fn values(&self, lane: usize, output: usize, starts_with_output: bool) -> &[f64] {
        let offsets = &self.result.offsets;
        let at = |start: usize| start..start + self.width;
        match output.checked_sub(usize::from(starts_with_output)) {
            None => &self.initial[at(lane * self.width)],
            Some(reached) => {
                let start = offsets[lane] + reached * self.width;
                if start < offsets[lane + 1] {
                    &self.result.outputs[at(start)]
                } else {
                    &self.last[at(lane * self.width)]
                }
            }
        }
    }
}

/// The stages that each lane of a set went through; empty for one that did not settle.
type StagesByLane = Vec<Vec<Stage>>;

/// Places of the stages in [`Run::stages`].
const BEFORE: usize = 0;
const AFTER: usize = 1;

/// Lanes of a set that settle.
struct Members {
    lanes: Vec<usize>,
    simulations: Vec<SimulationIdx>,
    slots: Vec<Vec<f64>>,
    /// Those of the slots that lanes carry, flat.
    carried: Vec<f64>,
}

/// How lanes choose their steps.
#[derive(Clone, Copy)]
enum Steps<'a> {
    Own,
    /// Those of lanes of another run.
    Of(&'a Run, &'a [usize]),
}

/// Timelines and which of them each lane follows.
struct LaneTimelines<'a> {
    timelines: Cow<'a, [Timeline]>,
    of_lane: Vec<TimelineIdx>,
}

/// A program with the way its lanes begin.
struct Kind<'a> {
    kernel: &'a dyn Kernel,
    width: usize,
    directions: &'a [SlotIdx],
    moving: &'a [SlotIdx],
    /// Initial values of lanes with these carried slots.
    begin: &'a dyn Fn(usize, &[f64]) -> Vec<f64>,
}

impl Evaluator<'_> {
    /// Integrates lanes with steps of their own.
    pub(super) fn integrate_adaptively(&self, lanes: LaneSet) -> Result<Run, EngineError> {
        let kind = Kind {
            kernel: self.adaptive.as_ref(),
            width: self.problem.state_ids.len(),
            directions: &[],
            moving: &[],
            begin: &|count, carried| self.preparation.initial_states(count, carried),
        };
        self.integrate(lanes, &kind, Steps::Own)
    }

    /// Integrates lanes with the steps of lanes `of` of another run.
    pub(super) fn integrate_by_replay(
        &self,
        lanes: LaneSet,
        run: &Run,
        of: &[usize],
    ) -> Result<Run, EngineError> {
        let kind = Kind {
            kernel: self.replay.as_ref(),
            width: self.problem.state_ids.len(),
            directions: &[],
            moving: &[],
            begin: &|count, carried| self.preparation.initial_states(count, carried),
        };
        self.integrate(lanes, &kind, Steps::Of(run, of))
    }

    /// Integrates the lanes of a run with their tangents, along their own steps.
    pub(super) fn integrate_tangents(
        &self,
        run: &Run,
        tangent: &TangentKernel,
    ) -> Result<Run, EngineError> {
        let kind = Kind {
            kernel: tangent.kernel.as_ref(),
            width: self.problem.state_ids.len() * (1 + tangent.directions.len()),
            directions: &tangent.directions,
            moving: &tangent.moving,
            begin: &|count, carried| {
                self.preparation.initial_with_tangents(&tangent.initial, count, carried)
            },
        };
        let of: Vec<usize> = (0..run.lanes.len()).collect();
        self.integrate(run.lanes.clone(), &kind, Steps::Of(run, &of))
    }

    fn integrate(
        &self,
        lanes: LaneSet,
        kind: &Kind<'_>,
        steps: Steps<'_>,
    ) -> Result<Run, EngineError> {
        let Settings { rtol, atol, max_steps, .. } = self.settings;
        let carried = self.carried(&lanes.slots);
        let mut initial = (kind.begin)(lanes.len(), &carried);
        let (reports_before, stages_before) =
            self.equilibrate(&lanes, kind, steps, &mut initial)?;

        let timelines = self.timelines_of(&lanes, kind.moving);
        let first_steps;
        let schedule_of: Vec<ScheduleIdx>;
        let control = match steps {
            Steps::Own => {
                let of_lane = timelines.of_lane.iter().map(|t| &timelines.timelines[t.position()]);
                let of_lane: Vec<&Timeline> = of_lane.collect();
                first_steps =
                    self.preparation.first_steps(&of_lane, &initial, &carried, rtol, atol);
                Control::Adaptive { rtol, atol, max_steps, first_steps: &first_steps }
            }
            Steps::Of(run, of) => {
                schedule_of = of.iter().map(|&lane| ScheduleIdx::from_position(lane)).collect();
                Control::Replay { schedules: &run.result.schedules, of_lane: &schedule_of }
            }
        };
        let result = kind.kernel.run(&Batch {
            initial: &initial,
            slots: &carried,
            timelines: &timelines.timelines,
            of_lane: &timelines.of_lane,
            control,
        })?;
        let mut run = Run {
            lanes,
            initial,
            width: kind.width,
            result,
            last: Vec::new(),
            stages: [stages_before, Vec::new()],
        };
        for (lane, before) in reports_before {
            let report = &mut run.result.reports[lane];
            let steps = report.steps + before.steps;
            if before.status != LaneStatus::Ok {
                *report = before;
            }
            report.steps = steps;
        }
        self.settle_at_the_end(&mut run, kind, steps)?;
        Ok(run)
    }

    /// Brings lanes with a pre-equilibration to its steady state and applies the resets; returns
    /// their reports by lane, and the stages of all lanes.
    fn equilibrate(
        &self,
        lanes: &LaneSet,
        kind: &Kind<'_>,
        steps: Steps<'_>,
        initial: &mut [f64],
    ) -> Result<(Vec<(usize, LaneReport)>, StagesByLane), EngineError> {
        let of_lane = |lane: usize| lanes.before[lane].clone();
        let Some(members) = self.members(lanes, &of_lane) else {
            return Ok((Vec::new(), vec![Vec::new(); lanes.len()]));
        };
        let start = (kind.begin)(members.lanes.len(), &members.carried);
        let (settled, stages) =
            self.settle(&members, lanes.len(), &start, kind, (steps, BEFORE))?;
        for (k, &lane) in members.lanes.iter().enumerate() {
            let target = &mut initial[lane * kind.width..][..kind.width];
            target.copy_from_slice(&settled.values[k * kind.width..][..kind.width]);
            reset(self.problem, lanes, lane, kind.directions, target);
        }
        Ok((members.lanes.into_iter().zip(settled.reports).collect(), stages))
    }

    /// Follows lanes whose last measurement is of the steady state.
    fn settle_at_the_end(
        &self,
        run: &mut Run,
        kind: &Kind<'_>,
        steps: Steps<'_>,
    ) -> Result<(), EngineError> {
        let of_lane = |lane: usize| {
            let simulation = run.lanes.simulations[lane];
            let ends = self.problem.simulations[simulation.position()].ends_in_steady_state
                && run.result.reports[lane].status == LaneStatus::Ok;
            ends.then(|| run.lanes.slots[lane].clone())
        };
        run.last = vec![f64::NAN; run.lanes.len() * kind.width];
        let Some(members) = self.members(&run.lanes, &of_lane) else { return Ok(()) };
        let mut start = Vec::with_capacity(members.lanes.len() * kind.width);
        for &lane in &members.lanes {
            let end = run.result.offsets[lane + 1];
            // The last output ends the timeline; without one nothing has happened yet.
            start.extend_from_slice(if end == run.result.offsets[lane] {
                &run.initial[lane * kind.width..][..kind.width]
            } else {
                &run.result.outputs[end - kind.width..end]
            });
        }
        let (settled, stages) =
            self.settle(&members, run.lanes.len(), &start, kind, (steps, AFTER))?;
        for (k, &lane) in members.lanes.iter().enumerate() {
            run.last[lane * kind.width..][..kind.width]
                .copy_from_slice(&settled.values[k * kind.width..][..kind.width]);
            let report = &mut run.result.reports[lane];
            let steps = report.steps + settled.reports[k].steps;
            *report = LaneReport { steps, ..settled.reports[k] };
        }
        run.stages[AFTER] = stages;
        Ok(())
    }

    /// The lanes for which `slots_of` gives slots; none if there is no such lane.
    fn members(
        &self,
        lanes: &LaneSet,
        slots_of: &dyn Fn(usize) -> Option<Vec<f64>>,
    ) -> Option<Members> {
        let (mut numbers, mut simulations, mut slots) = (Vec::new(), Vec::new(), Vec::new());
        for lane in 0..lanes.len() {
            if let Some(of_lane) = slots_of(lane) {
                numbers.push(lane);
                simulations.push(lanes.simulations[lane]);
                slots.push(of_lane);
            }
        }
        let carried = self.carried(&slots);
        (!numbers.is_empty()).then_some(Members { lanes: numbers, simulations, slots, carried })
    }

    /// Settles members of a set of `count` lanes, from `start`; returns the stages of all lanes.
    fn settle(
        &self,
        members: &Members,
        count: usize,
        start: &[f64],
        kind: &Kind<'_>,
        (steps, which): (Steps<'_>, usize),
    ) -> Result<(Settled, StagesByLane), EngineError> {
        let Settings { rtol, atol, max_steps, .. } = self.settings;
        let settling = Settling {
            problem: self.problem,
            preparation: &self.preparation,
            kernel: kind.kernel,
            width: kind.width,
            simulations: &members.simulations,
            slots: &members.slots,
            carried: &members.carried,
        };
        let mut stages = vec![Vec::new(); count];
        let settled = match steps {
            Steps::Own => {
                let (settled, own) = settling.adaptively(start, 0.0, (rtol, atol, max_steps))?;
                for (&lane, own) in members.lanes.iter().zip(own) {
                    stages[lane] = own;
                }
                settled
            }
            Steps::Of(run, of) => {
                let of: Vec<&[Stage]> =
                    members.lanes.iter().map(|&l| run.stages[which][of[l]].as_slice()).collect();
                settling.by_replay(start, &of, kind.moving.len())?
            }
        };
        Ok((settled, stages))
    }

    fn carried(&self, slots: &[Vec<f64>]) -> Vec<f64> {
        let mut carried = Vec::with_capacity(slots.len() * self.problem.rhs.slots.len());
        for lane in slots {
            self.preparation.push_dynamic_slots(lane, &mut carried);
        }
        carried
    }

    /// Timelines of lanes: one for each simulation, or one for each lane where estimated
    /// parameters move breakpoints.
    fn timelines_of(&self, lanes: &LaneSet, moving: &[SlotIdx]) -> LaneTimelines<'_> {
        if !self.problem.simulations.iter().any(|s| s.has_moving_breakpoints) {
            let of_lane = lanes.simulations.iter().map(|s| TimelineIdx(s.0)).collect();
            return LaneTimelines { timelines: Cow::Borrowed(&self.timelines), of_lane };
        }
        let own =
            |(&s, slots): (&SimulationIdx, &Vec<f64>)| self.problem.timeline_of(s, slots, moving);
        let timelines: Vec<Timeline> =
            lanes.simulations.iter().zip(&lanes.slots).map(own).collect();
        let of_lane = (0..timelines.len()).map(TimelineIdx::from_position).collect();
        LaneTimelines { timelines: Cow::Owned(timelines), of_lane }
    }
}

/// What happens between a pre-equilibration and its simulation, to a lane's states and tangents
/// `[direction][state]`: directions whose slot was a number until now had no influence yet, and
/// states that the simulation's condition names take its values.
fn reset(
    problem: &OdeProblem,
    lanes: &LaneSet,
    lane: usize,
    directions: &[SlotIdx],
    values: &mut [f64],
) {
    let simulation = &problem.simulations[lanes.simulations[lane].position()];
    let Some(before) = &simulation.preequilibration else { return };
    let n = problem.state_ids.len();
    let (states, tangents) = values.split_at_mut(n);
    for (direction, tangent) in directions.iter().zip(tangents.chunks_mut(n)) {
        if matches!(before.slot_values[direction.position()], SlotValue::Number(_)) {
            tangent.fill(0.0);
        }
        for (state, value) in &before.resets {
            let moves = *value == ResetValue::Slot(*direction);
            tangent[state.position()] = f64::from(u8::from(moves));
        }
    }
    for (state, value) in &before.resets {
        states[state.position()] = match *value {
            ResetValue::Number(number) => number,
            ResetValue::Slot(slot) => lanes.slots[lane][slot.position()],
        };
    }
}
