//! Gradients from adjoints: every lane of a point once backwards, whatever the number of parameters.
//!
//! Lanes go back over the stretches and happenings that their adaptive run went through, each by the
//! transpose of what carries tangents there: the steps by their transposed program, the rest by
//! [`Adjoint`]. What rows give to states is added at the outputs.

use super::course::{Course, Stop};
use super::evaluator::Evaluator;
use super::integrate::{Bundle, LaneCourse, Run};
use super::lanes::{InitialAdjoints, LanePreparation};
use super::track::{Place, Stretch, Track};
use super::transposed::Adjoint;
use super::traveller::Traveller;
use crate::engine::{
    Engine, EngineError, ReverseBatch, ReverseKernel, ReverseResult, Schedule, Timeline,
};
use crate::gradient::{SimulationAdjoints, SimulationOutputs, adjoint_gradient};
use crate::index::{SlotIdx, TimelineIdx};
use crate::model::{OdeProblem, SlotValue, Span, Stop as SpanStop};
use crate::rosenbrock::{ReverseStep, StepGenerator, StepProgram};
use rayon::prelude::*;
use std::sync::Arc;

/// The transposed step of a model, ready to run.
pub(super) struct AdjointKernel {
    kernel: Box<dyn ReverseKernel>,
    initial: InitialAdjoints,
    /// Slots whose adjoints the step gives.
    slots: Vec<SlotIdx>,
    /// Where breakpoints move: the slots that move those on time, then one that stands for what
    /// moves the end of a stretch.
    moving: Vec<SlotIdx>,
}

/// The transposed step along all slots that estimated parameters set.
pub(super) fn transpose(problem: &OdeProblem, generator: &StepGenerator) -> ReverseStep {
    let directions = problem.dynamic_directions();
    let switching = problem.moving_slots();
    let moves = |slot: &SlotIdx| switching.as_ref().is_none_or(|slots| slots.contains(slot));
    generator.reverse(&directions, directions.iter().any(moves))
}

impl AdjointKernel {
    pub(super) fn new(
        problem: &OdeProblem,
        (replay, reverse): (&StepProgram, &ReverseStep),
        preparation: &LanePreparation<'_>,
        engine: &dyn Engine,
    ) -> Result<Self, EngineError> {
        let directions = problem.dynamic_directions();
        let mut moving = Vec::new();
        if reverse.has_times {
            moving.extend(problem.breakpoints.slots());
            moving.retain(|slot| directions.contains(slot));
            moving.push(Bundle::UNUSED);
        }
        Ok(Self {
            kernel: engine.prepare_reverse(replay, reverse)?,
            initial: preparation.compile_adjoints(&directions),
            slots: reverse.slots.clone(),
            moving,
        })
    }
}

/// Gradients of a chunk of points.
pub(super) struct AdjointGradients {
    /// On the parameter scale; none where a point failed.
    pub(super) gradients: Vec<Option<Vec<f64>>>,
    /// Lanes that went back, and the steps that took.
    pub(super) lanes: u64,
    pub(super) steps: u64,
}

/// A lane under way backwards.
struct Lane<'t> {
    track: &'t Track<'t>,
    adjoint: Adjoint,
    /// What rows give to the states at its outputs, `[output][state]`; empty where it has no rows.
    rows: &'t [f64],
}

impl Lane<'_> {
    /// Adds what rows give to the states at a place.
    fn add_rows(&mut self, place: Place) {
        let n = self.adjoint.states.len();
        for (output, at) in &self.track.outputs {
            if let (true, Some(rows)) = (*at == place, self.rows.get(output * n..(output + 1) * n))
            {
                self.adjoint.add_states(rows);
            }
        }
    }
}

impl Evaluator<'_> {
    /// The gradients of integrated points from adjoints.
    pub(super) fn adjoint_gradients(
        &self,
        adjoint: &AdjointKernel,
        (points, linear): (&[Vec<f64>], &[Vec<f64>]),
        run: &Run,
        is_ok: &[bool],
    ) -> Result<AdjointGradients, EngineError> {
        let count = self.problem.simulations.len();
        let lanes: Vec<usize> = (0..is_ok.len())
            .filter(|point| is_ok[*point])
            .flat_map(|point| point * count..(point + 1) * count)
            .collect();
        let mut adjoints: Vec<SimulationAdjoints> =
            lanes.par_iter().map(|&lane| self.of_rows(run, lane, &linear[lane / count])).collect();
        let mut done = AdjointGradients { gradients: Vec::new(), lanes: 0, steps: 0 };
        if !self.problem.dynamic_directions().is_empty() {
            if self.problem.is_plain() {
                self.go_back_at_once(adjoint, run, &lanes, &mut adjoints, &mut done)?;
            } else {
                self.go_back_in_phases(adjoint, run, &lanes, &mut adjoints, &mut done)?;
            }
        }
        let mut of_points = adjoints.chunks(count);
        let gradient = |(point, is_ok): (usize, &bool)| {
            let simulations = if *is_ok { of_points.next()? } else { return None };
            let (theta, linear) = (&points[point], &linear[point]);
            let mut gradient = adjoint_gradient(self.problem, linear, simulations);
            self.problem.priors.add_gradient(theta, linear, &mut gradient);
            Some(gradient)
        };
        done.gradients = is_ok.iter().enumerate().map(gradient).collect();
        Ok(done)
    }

    /// What the rows of a lane give.
    fn of_rows(&self, run: &Run, lane: usize, linear: &[f64]) -> SimulationAdjoints {
        let simulation = run.lanes.simulations[lane];
        let starts = self.problem.simulations[simulation.position()].starts_with_output;
        let states = |output| run.values(lane, output, starts);
        let outputs = SimulationOutputs {
            simulation,
            slots: &run.lanes.slots[lane],
            states: &states,
            tangents: &[],
        };
        SimulationAdjoints::of_rows(self.problem, &self.objective, linear, &outputs)
    }

    /// Lanes that are one stretch each.
    fn go_back_at_once(
        &self,
        adjoint: &AdjointKernel,
        run: &Run,
        lanes: &[usize],
        adjoints: &mut [SimulationAdjoints],
        done: &mut AdjointGradients,
    ) -> Result<(), EngineError> {
        let n = self.problem.state_ids.len();
        let (mut jobs, mut timelines) = (Jobs::default(), Vec::new());
        for (&lane, of_lane) in lanes.iter().zip(adjoints.iter()) {
            let (simulation, slots) = (run.lanes.simulations[lane], &run.lanes.slots[lane][0]);
            let starts =
                usize::from(self.problem.simulations[simulation.position()].starts_with_output);
            let timeline = self.problem.timeline_of(simulation, slots, &adjoint.moving);
            self.preparation.push_dynamic_slots(slots, &mut jobs.slots);
            let outputs = timeline.output_count();
            jobs.adjoints.extend_from_slice(&of_lane.outputs[starts * n..][..outputs * n]);
            jobs.schedules.push(&run.result.schedules[lane]);
            timelines.push(timeline);
        }
        jobs.initial = self.preparation.initial_states(lanes.len(), &jobs.slots);
        let result = jobs.run(adjoint, &timelines, done)?;
        let mut rows = Vec::new();
        let carried = self.problem.rhs.slots.len();
        for (k, of_lane) in adjoints.iter_mut().enumerate() {
            add_to_slots(
                &mut of_lane.slots[0],
                &adjoint.slots,
                of(&result.slots, k, &adjoint.slots),
            );
            for (b, tangents) in breakpoint_tangents(&timelines[k]).enumerate() {
                if let Some(of_time) = result.times[k].get(b) {
                    add_times(&mut of_lane.slots[0], &adjoint.moving, tangents, *of_time);
                }
            }
            rows.extend_from_slice(&jobs.slots[k * carried..][..carried]);
            let simulation = &self.problem.simulations[of_lane.simulation.position()];
            let start = result.states[k * n..][..n].iter();
            if simulation.starts_with_output {
                rows.extend(start.zip(&of_lane.outputs).map(|(a, b)| a + b));
            } else {
                rows.extend(start);
            }
        }
        let of_initial = self.preparation.initial_adjoints(&adjoint.initial, adjoints.len(), &rows);
        for (k, of_lane) in adjoints.iter_mut().enumerate() {
            let slots = &adjoint.initial.slots;
            add_to_slots(&mut of_lane.slots[0], slots, of(&of_initial, k, slots));
        }
        Ok(())
    }

    /// Lanes with steady states, several periods or events.
    fn go_back_in_phases(
        &self,
        adjoint: &AdjointKernel,
        run: &Run,
        lanes: &[usize],
        adjoints: &mut [SimulationAdjoints],
        done: &mut AdjointGradients,
    ) -> Result<(), EngineError> {
        let mut carried = Vec::new();
        for &lane in lanes {
            self.preparation.push_dynamic_slots(&run.lanes.slots[lane][0], &mut carried);
        }
        let n = self.problem.state_ids.len();
        let initial = self.preparation.initial_states(lanes.len(), &carried);
        let traveller = |k: usize| {
            Traveller::new(
                self.problem,
                run.lanes.simulations[lanes[k]],
                &run.lanes.slots[lanes[k]],
                &run.lanes.parameters[lanes[k]],
                &self.no_directions[0],
                initial[k * n..][..n].to_vec(),
            )
        };
        let groups = self.groups(run, lanes);
        let before: Vec<Track<'_>> = groups
            .members
            .iter()
            .map(|&k| Track::new(traveller(k), course_before(run, lanes[k])))
            .collect();
        let tracks: Vec<Track<'_>> = lanes
            .iter()
            .enumerate()
            .map(|(k, &lane)| {
                let mut traveller = traveller(k);
                if let Some(group) = groups.of_lane[k] {
                    traveller.follow(&before[group].end);
                    traveller.has_ended = false;
                }
                Track::new(traveller, &run.courses[lane].measured)
            })
            .collect();
        let mut measured: Vec<Lane<'_>> = tracks
            .iter()
            .zip(adjoints.iter())
            .map(|(track, of_lane)| Lane {
                track,
                adjoint: Adjoint::new(&track.end),
                rows: &of_lane.outputs,
            })
            .collect();
        self.go_back(adjoint, &mut measured, done)?;
        let mut starts: Vec<Adjoint> = measured.into_iter().map(|lane| lane.adjoint).collect();
        // Lanes that share a pre-equilibration go back through it together.
        let mut settling: Vec<Lane<'_>> = before
            .iter()
            .map(|track| Lane { track, adjoint: Adjoint::new(&track.end), rows: &[] })
            .collect();
        for (k, group) in groups.of_lane.iter().enumerate() {
            if let Some(group) = group {
                settling[*group].adjoint.add_start(&starts[k]);
                starts[k].states.fill(0.0);
            }
        }
        self.go_back(adjoint, &mut settling, done)?;
        let mut of_groups: Vec<Option<Adjoint>> =
            settling.into_iter().map(|lane| Some(lane.adjoint)).collect();
        let mut rows = Vec::new();
        let carried_count = self.problem.rhs.slots.len();
        for (k, (of_lane, start)) in adjoints.iter_mut().zip(&mut starts).enumerate() {
            let shared = groups.of_lane[k].filter(|group| groups.members[*group] == k);
            if let Some(shared) = shared.and_then(|group| of_groups[group].take()) {
                start.states = shared.states;
                add_all(&mut start.slots, &shared.slots);
            }
            add_all(&mut of_lane.slots, &start.slots);
            rows.extend_from_slice(&carried[k * carried_count..][..carried_count]);
            rows.extend_from_slice(&start.states);
        }
        let of_initial = self.preparation.initial_adjoints(&adjoint.initial, adjoints.len(), &rows);
        for (k, of_lane) in adjoints.iter_mut().enumerate() {
            let slots = &adjoint.initial.slots;
            add_to_slots(&mut of_lane.slots[0], slots, of(&of_initial, k, slots));
        }
        Ok(())
    }

    /// Lanes of a point whose pre-equilibrations are one, set by the same parameters.
    fn groups(&self, run: &Run, lanes: &[usize]) -> Groups {
        let mut groups = Groups { of_lane: vec![None; lanes.len()], members: Vec::new() };
        let settings = |k: usize| -> &[SlotValue] {
            let simulation = run.lanes.simulations[lanes[k]];
            &self.problem.simulations[simulation.position()].periods[0].slot_values
        };
        for (k, &lane) in lanes.iter().enumerate() {
            let LaneCourse { before: Some(course), .. } = &run.courses[lane] else { continue };
            let is_like = |&other: &usize| {
                let theirs = run.courses[lanes[other]].before.as_ref();
                theirs.is_some_and(|theirs| Arc::ptr_eq(theirs, course))
                    && Arc::ptr_eq(&run.lanes.parameters[lanes[other]], &run.lanes.parameters[lane])
                    && settings(other) == settings(k)
            };
            let place = groups.members.iter().rposition(is_like).unwrap_or_else(|| {
                groups.members.push(k);
                groups.members.len() - 1
            });
            groups.of_lane[k] = Some(place);
        }
        groups
    }

    /// Takes lanes from the ends of their tracks to their starts, a stretch of each at a time.
    fn go_back(
        &self,
        adjoint: &AdjointKernel,
        lanes: &mut [Lane<'_>],
        done: &mut AdjointGradients,
    ) -> Result<(), EngineError> {
        lanes.iter_mut().for_each(|lane| lane.add_rows(Place::End));
        let most = lanes.iter().map(|lane| lane.track.stretches.len()).max().unwrap_or(0);
        for back in 1..=most {
            let mut here = Vec::new();
            for (place, lane) in lanes.iter_mut().enumerate() {
                let track = lane.track;
                let Some(k) = track.stretches.len().checked_sub(back) else { continue };
                lane.add_rows(Place::After(k));
                for (happening, before) in track.stretches[k].happenings.iter().rev() {
                    lane.adjoint.undo(*happening, before);
                }
                here.push(Crossing::new(self, adjoint, place, k, track));
            }
            self.cross(adjoint, lanes, &here, done)?;
        }
        for lane in lanes {
            lane.add_rows(Place::Start);
            let track = lane.track;
            for (happening, before) in track.start.iter().rev() {
                lane.adjoint.undo(*happening, before);
            }
        }
        Ok(())
    }

    /// Takes lanes back over a stretch each.
    fn cross(
        &self,
        adjoint: &AdjointKernel,
        lanes: &mut [Lane<'_>],
        here: &[Crossing<'_>],
        done: &mut AdjointGradients,
    ) -> Result<(), EngineError> {
        let integrated: Vec<&Crossing<'_>> =
            here.iter().filter(|c| !c.timeline.segments.is_empty()).collect();
        // The end of a stretch at a root moves with the states there: first how the end counts.
        let roots: Vec<&Crossing<'_>> = integrated
            .iter()
            .copied()
            .filter(|c| matches!(c.stretch.phase.stop, Stop::Root(_)))
            .collect();
        if !roots.is_empty() && !adjoint.moving.is_empty() {
            let result = self.run_back(adjoint, lanes, &roots, done)?;
            for (crossing, times) in roots.iter().zip(&result.times) {
                let lane = &mut lanes[crossing.place];
                let of_end = crossing.of_stop(times, lane.adjoint.t);
                let states = &crossing.stretch.phase.end;
                let before = &crossing.stretch.before;
                let mut carried = Vec::new();
                self.preparation.push_dynamic_slots(before.slots(), &mut carried);
                let timeline = &crossing.timeline;
                let rates = self.preparation.rates_at_end(&[timeline], states, &carried);
                let t = timeline.segments.last().map_or(before.t, |last| last.t_end);
                let stop = crossing.stretch.phase.stop;
                lane.adjoint.add_root(stop, before, (t, states, &rates), of_end);
            }
        }
        let result = self.run_back(adjoint, lanes, &integrated, done)?;
        let n = self.problem.state_ids.len();
        let mut number = 0;
        for crossing in here {
            let lane = &mut lanes[crossing.place];
            let before = &crossing.stretch.before;
            let stop = crossing.stretch.phase.stop;
            let of_t = std::mem::replace(&mut lane.adjoint.t, 0.0);
            if crossing.timeline.segments.is_empty() {
                lane.adjoint.add_stop(stop, before, of_t);
                continue;
            }
            let k = number;
            number += 1;
            lane.adjoint.states.copy_from_slice(&result.states[k * n..][..n]);
            let slots = &mut lane.adjoint.slots[before.period.position()];
            add_to_slots(slots, &adjoint.slots, of(&result.slots, k, &adjoint.slots));
            let times = &result.times[k];
            for (b, tangents) in breakpoint_tangents(&crossing.timeline).enumerate() {
                if let Some(of_time) = times.get(b) {
                    add_times(slots, &adjoint.moving, tangents, *of_time);
                }
            }
            lane.adjoint.t = times.first().copied().unwrap_or(0.0);
            if !matches!(stop, Stop::Root(_)) {
                lane.adjoint.add_stop(stop, before, crossing.of_stop(times, of_t));
            }
        }
        Ok(())
    }

    /// Goes back through the steps of stretches.
    fn run_back(
        &self,
        adjoint: &AdjointKernel,
        lanes: &[Lane<'_>],
        crossings: &[&Crossing<'_>],
        done: &mut AdjointGradients,
    ) -> Result<ReverseResult, EngineError> {
        let n = self.problem.state_ids.len();
        let mut jobs = Jobs::default();
        let mut timelines = Vec::with_capacity(crossings.len());
        for crossing in crossings {
            let lane = &lanes[crossing.place];
            let Stretch { phase, before, .. } = crossing.stretch;
            jobs.initial.extend_from_slice(before.states());
            self.preparation.push_dynamic_slots(before.slots(), &mut jobs.slots);
            jobs.schedules.push(&phase.schedule);
            let last = crossing.timeline.segments.len() - 1;
            for (s, _) in crossing.timeline.segments.iter().enumerate().filter(|(_, s)| s.is_output)
            {
                if s == last {
                    jobs.adjoints.extend_from_slice(&lane.adjoint.states);
                    continue;
                }
                let here = Place::Inside { stretch: crossing.k, segment: s };
                let output = lane.track.outputs.iter().find(|(_, place)| *place == here);
                let rows =
                    output.and_then(|(output, _)| lane.rows.get(output * n..(output + 1) * n));
                match rows {
                    Some(rows) => jobs.adjoints.extend_from_slice(rows),
                    None => jobs.adjoints.extend(std::iter::repeat_n(0.0, n)),
                }
            }
            timelines.push(crossing.timeline.clone());
        }
        jobs.run(adjoint, &timelines, done)
    }
}

fn course_before(run: &Run, lane: usize) -> &Course {
    run.courses[lane].before.as_deref().expect("lanes of a group have one")
}

/// Which pre-equilibration lanes share.
struct Groups {
    of_lane: Vec<Option<usize>>,
    /// The first lane of each.
    members: Vec<usize>,
}

/// A stretch to go back over.
struct Crossing<'t> {
    /// The lane's place, and the stretch's on its track.
    place: usize,
    k: usize,
    stretch: &'t Stretch<'t>,
    /// With derivatives along the moving slots.
    timeline: Timeline,
    ends_at_output: bool,
}

impl<'t> Crossing<'t> {
    fn new(
        evaluator: &Evaluator<'_>,
        adjoint: &AdjointKernel,
        place: usize,
        k: usize,
        track: &'t Track<'t>,
    ) -> Self {
        let stretch = &track.stretches[k];
        let Stretch { phase, before, .. } = stretch;
        let mut timeline = phase.timeline.clone();
        let mut ends_at_output = false;
        if let (false, Some(t)) =
            (adjoint.moving.is_empty(), timeline.segments.last().map(|last| last.t_end))
        {
            let mut of_stop = vec![0.0; adjoint.moving.len()];
            of_stop[adjoint.moving.len() - 1] = 1.0;
            let slots = before.slots();
            let moved = evaluator.problem.breakpoints.timeline(
                &|slot| slots[slot.position()],
                &Span {
                    t_start: before.t,
                    t_start_tangents: &[],
                    output_times: &before.simulation().output_times,
                    stop: Some(SpanStop { t, tangents: &of_stop }),
                    held: &before.held(),
                },
                &adjoint.moving,
            );
            ends_at_output = moved.segments.last().is_some_and(|last| last.is_output);
            // Breakpoints that cannot be told apart leave no gradient, rather than a wrong one.
            let is_same = moved.segments.len() == timeline.segments.len();
            for (own, moved) in timeline.segments.iter_mut().zip(moved.segments) {
                own.t_end_tangents = moved.t_end_tangents;
                if !is_same {
                    own.t_end_tangents.fill(f64::NAN);
                }
            }
        }
        Self { place, k, stretch, timeline, ends_at_output }
    }

    /// The adjoint of the stop's time, of those of the breakpoints and of the lane's time after it.
    fn of_stop(&self, times: &[f64], of_t: f64) -> f64 {
        let through_steps = self
            .timeline
            .segments
            .iter()
            .zip(times.iter().skip(1))
            .map(|(segment, of_time)| of_time * segment.t_end_tangents.last().unwrap_or(&0.0));
        // An output stands still and the stop does not: no derivative is known there.
        let direct = match self.ends_at_output && of_t != 0.0 {
            true => f64::NAN,
            false => of_t,
        };
        through_steps.sum::<f64>() + direct
    }
}

/// Lanes to go back through.
#[derive(Default)]
struct Jobs<'a> {
    initial: Vec<f64>,
    slots: Vec<f64>,
    schedules: Vec<&'a Schedule>,
    adjoints: Vec<f64>,
}

impl Jobs<'_> {
    fn run(
        &self,
        adjoint: &AdjointKernel,
        timelines: &[Timeline],
        done: &mut AdjointGradients,
    ) -> Result<ReverseResult, EngineError> {
        let of_lane: Vec<TimelineIdx> =
            (0..timelines.len()).map(TimelineIdx::from_position).collect();
        let result = adjoint.kernel.run(&ReverseBatch {
            initial: &self.initial,
            slots: &self.slots,
            timelines,
            of_lane: &of_lane,
            schedules: &self.schedules,
            adjoints: &self.adjoints,
        })?;
        done.lanes += timelines.len() as u64;
        // Once forwards and once backwards. How many are done again to save memory depends on the lanes
        // beside, and so on which points are evaluated together.
        let steps = self.schedules.iter().map(|schedule| schedule.fractions.len() as u64);
        done.steps += 2 * steps.sum::<u64>();
        Ok(result)
    }
}

/// Derivatives of a timeline's breakpoints along the moving slots, those of its start first.
fn breakpoint_tangents(timeline: &Timeline) -> impl Iterator<Item = &[f64]> {
    let ends = timeline.segments.iter().map(|segment| segment.t_end_tangents.as_slice());
    std::iter::once(timeline.t_start_tangents.as_slice()).chain(ends)
}

/// Adds what a breakpoint gives to the slots that move it.
fn add_times(slots: &mut [f64], moving: &[SlotIdx], tangents: &[f64], of_time: f64) {
    for (slot, tangent) in moving.iter().zip(tangents) {
        if *slot != Bundle::UNUSED && *tangent != 0.0 {
            slots[slot.position()] += of_time * tangent;
        }
    }
}

/// The row of a lane among rows of so many slots.
fn of<'r>(rows: &'r [f64], lane: usize, slots: &[SlotIdx]) -> &'r [f64] {
    &rows[lane * slots.len()..][..slots.len()]
}

fn add_to_slots(slots: &mut [f64], which: &[SlotIdx], adjoints: &[f64]) {
    for (slot, adjoint) in which.iter().zip(adjoints) {
        slots[slot.position()] += adjoint;
    }
}

fn add_all(own: &mut [Vec<f64>], others: &[Vec<f64>]) {
    for (own, other) in own.iter_mut().zip(others) {
        own.iter_mut().zip(other).for_each(|(own, other)| *own += other);
    }
}
