//! Lanes from happening to happening: periods, events and steady states between stretches of
//! integration, all lanes of a set side by side.

use super::course::{Course, Happening, Phase, Stop};
use super::evaluator::{Evaluator, Settings};
use super::integrate::{Kind, Tolerances};
use super::lanes::weighted_norm;
use super::locate::Met;
use super::outputs::Outputs;
use super::steady::{Settling, TOLERANCE_FACTOR, natural_time};
use super::traveller::Traveller;
use crate::engine::{Batch, BatchResult, Control, EngineError, LaneStatus, Schedule, Timeline};
use crate::index::{ScheduleIdx, SlotIdx, TimelineIdx};
use crate::model::{Span, Stop as SpanStop, have_same_order};
use std::collections::HashMap;

/// Stretches after which a model is taken to make events for ever.
const MOST_PHASES: usize = 100_000;
/// Newton steps towards a root in a replay.
const MOST_ROOT_STEPS: usize = 20;
/// A root is met where its correction is this many spacings of doubles at its time, or below what
/// its own lane could resolve.
const ROOT_SPACINGS: f64 = 8.0;

/// How far lanes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leg {
    /// From the start of a pre-equilibration to its steady state.
    Before,
    /// On from there, or from the start, to the last output.
    Measured,
}

/// A set of lanes under way with one kernel.
pub(super) struct Walk<'e, 'p> {
    pub(super) evaluator: &'e Evaluator<'p>,
    pub(super) kind: &'e Kind<'e>,
    pub(super) leg: Leg,
}

/// A stretch that a lane is about to do.
pub(super) struct Stretch {
    /// The lane's place among the travellers.
    pub(super) place: usize,
    pub(super) timeline: Timeline,
    pub(super) stop: Stop,
    /// Derivatives of its end, by direction.
    tangents: Vec<f64>,
    /// Whether it ends at an output's time, which no direction moves.
    pub(super) ends_at_output: bool,
}

impl Walk<'_, '_> {
    /// Lets lanes choose their own steps; returns what each went through.
    pub(super) fn adaptively(
        &self,
        travellers: &mut [Traveller<'_>],
        outputs: &mut Outputs,
        tolerances: Tolerances,
    ) -> Result<Vec<Course>, EngineError> {
        let mut courses = Vec::with_capacity(travellers.len());
        for (place, traveller) in travellers.iter_mut().enumerate() {
            let mut course = Course::default();
            if self.leg == Leg::Before {
                traveller.settling =
                    Some(Settling::new(traveller.t, natural_time(traveller.problem)));
            } else if traveller.simulation().is_preequilibrated() {
                match traveller.next_period() {
                    Some(_) => {
                        course.start.push(Happening::NextPeriod);
                        traveller.apply(Happening::NextPeriod);
                    }
                    // What was measured is that steady state.
                    None => {
                        outputs.set_at(place, traveller, f64::INFINITY);
                        traveller.end(LaneStatus::Ok);
                    }
                }
            }
            if !traveller.has_ended {
                match traveller.happen(None) {
                    Ok(list) => course.start.extend(list),
                    Err(status) => traveller.end(status),
                }
                outputs.set_at(place, traveller, traveller.t);
            }
            course.relations.clone_from(&traveller.relations);
            courses.push(course);
        }
        loop {
            let mut stretches = Vec::new();
            for (place, traveller) in travellers.iter_mut().enumerate() {
                if courses[place].phases.len() > MOST_PHASES && !traveller.has_ended {
                    traveller.end(LaneStatus::EndlessEvents);
                }
                if let Some(end) = destination(traveller) {
                    let (stop, t) = traveller.next_stop(end);
                    stretches.push(self.stretch(place, traveller, stop, (t, &[])));
                }
            }
            if stretches.is_empty() {
                return Ok(courses);
            }
            let mut result = self.run_adaptively(travellers, &stretches, tolerances)?;
            let met = self.find_roots(travellers, &mut stretches, &mut result)?;
            self.arrive_adaptively(travellers, stretches, result, &met, outputs, &mut courses);
        }
    }

    /// The stretch from where a lane is to a stop.
    fn stretch(
        &self,
        place: usize,
        traveller: &Traveller<'_>,
        stop: Stop,
        (t, tangents): (f64, &[f64]),
    ) -> Stretch {
        let of_moving = |by_direction: &[f64]| -> Vec<f64> {
            let along = |slot: &SlotIdx| {
                let place = traveller.directions.iter().position(|d| d == slot);
                let along = place.and_then(|d| by_direction.get(d)).copied().unwrap_or(0.0);
                // What is not known the traveller remembers: the engine would end the lane.
                if along.is_nan() { 0.0 } else { along }
            };
            traveller.bundle.moving.iter().map(along).collect()
        };
        let slots = traveller.slots();
        let mut timeline = self.evaluator.problem.breakpoints.timeline(
            &|slot| slots[slot.position()],
            &Span {
                t_start: traveller.t,
                t_start_tangents: &of_moving(&traveller.t_tangents),
                output_times: &traveller.simulation().output_times,
                stop: Some(SpanStop { t, tangents: &of_moving(tangents) }),
                held: &traveller.held(),
            },
            &traveller.bundle.moving,
        );
        let mut ends_at_output = false;
        if let Some(last) = timeline.segments.last_mut() {
            ends_at_output = last.is_output;
            // What the lane is at its end is always needed.
            last.is_output = true;
        }
        Stretch { place, timeline, stop, tangents: tangents.to_vec(), ends_at_output }
    }

    /// What the lanes of some stretches start from, and the slots that they carry with their
    /// tangents.
    pub(super) fn starts(
        &self,
        travellers: &[Traveller<'_>],
        places: &[usize],
    ) -> (Vec<f64>, Vec<f64>) {
        let mut initial = Vec::with_capacity(places.len() * self.kind.width);
        let mut carried = Vec::new();
        for &place in places {
            let traveller = &travellers[place];
            initial.extend_from_slice(&traveller.values);
            self.evaluator.preparation.push_dynamic_slots(traveller.slots(), &mut carried);
            carried.extend_from_slice(&traveller.bundle.slot_tangents);
        }
        (initial, carried)
    }

    fn run_adaptively(
        &self,
        travellers: &[Traveller<'_>],
        stretches: &[Stretch],
        Tolerances { rtol, atol }: Tolerances,
    ) -> Result<BatchResult, EngineError> {
        let places: Vec<usize> = stretches.iter().map(|s| s.place).collect();
        let (initial, carried) = self.starts(travellers, &places);
        let timelines: Vec<Timeline> = stretches.iter().map(|s| s.timeline.clone()).collect();
        let borrowed: Vec<&Timeline> = timelines.iter().collect();
        let max_steps = self.evaluator.settings.max_steps;
        let first_steps =
            self.evaluator.preparation.first_steps(&borrowed, &initial, &carried, rtol, atol);
        let of_lane: Vec<TimelineIdx> =
            (0..stretches.len()).map(TimelineIdx::from_position).collect();
        self.kind.kernel.run(&Batch {
            initial: &initial,
            slots: &carried,
            timelines: &timelines,
            of_lane: &of_lane,
            control: Control::Adaptive { rtol, atol, max_steps, first_steps: &first_steps },
        })
    }

    /// Takes lanes to the ends of their stretches.
    fn arrive_adaptively(
        &self,
        travellers: &mut [Traveller<'_>],
        stretches: Vec<Stretch>,
        mut result: BatchResult,
        met: &[Option<Met>],
        outputs: &mut Outputs,
        courses: &mut [Course],
    ) {
        let norms = self.norms(travellers, &stretches, &result);
        let Settings { rtol, atol, .. } = self.evaluator.settings;
        let distance = |from: &[f64], to: &[f64]| {
            let change: Vec<f64> = from.iter().zip(to).map(|(a, b)| b - a).collect();
            weighted_norm(&change, to, TOLERANCE_FACTOR * rtol, TOLERANCE_FACTOR * atol)
        };
        for (k, stretch) in stretches.into_iter().enumerate() {
            let traveller = &mut travellers[stretch.place];
            let report = result.reports[k];
            traveller.report.steps += report.steps;
            let reached = outputs.take(stretch.place, traveller, &stretch.timeline, &result, k);
            if report.status != LaneStatus::Ok {
                traveller.t = report.t;
                traveller.end(report.status);
            } else {
                reached.inspect(|values| traveller.values.copy_from_slice(values));
                traveller.t =
                    stretch.timeline.segments.last().map_or(traveller.t, |last| last.t_end);
            }
            let mut phase = Phase {
                timeline: stretch.timeline,
                schedule: std::mem::take(&mut result.schedules[k]),
                stop: stretch.stop,
                resolution: met[k].map_or(0.0, |met| met.resolution),
                end: traveller.states().to_vec(),
                happenings: Vec::new(),
                relations: Vec::new(),
            };
            if !traveller.has_ended {
                if traveller.settling.is_none() && traveller.next_period() == Some(traveller.t) {
                    phase.happenings.push(Happening::NextPeriod);
                    traveller.apply(Happening::NextPeriod);
                }
                if let Some(met) = met[k] {
                    traveller.toggle(met.relation);
                }
                match traveller.happen(met[k].map(|met| met.relation)) {
                    Ok(list) => phase.happenings.extend(list),
                    Err(status) => traveller.end(status),
                }
                outputs.set_at(stretch.place, traveller, traveller.t);
            }
            phase.relations = traveller.relations.clone();
            courses[stretch.place].phases.push(phase);
            let t = traveller.t;
            if !traveller.has_ended
                && let Some(mut settling) = traveller.settling.take_if(|s| s.t_end == t)
            {
                let end = settling.end_stage(norms[k], distance, traveller);
                traveller.settling = Some(settling);
                if let Some(status) = end {
                    traveller.settling = None;
                    traveller.end(status);
                    if self.leg == Leg::Measured && status == LaneStatus::Ok {
                        outputs.set_at(stretch.place, traveller, f64::INFINITY);
                    }
                }
            }
        }
    }

    /// How fast lanes still move at the ends of their stretches; computed where one settles.
    fn norms(
        &self,
        travellers: &[Traveller<'_>],
        stretches: &[Stretch],
        result: &BatchResult,
    ) -> Vec<f64> {
        if stretches.iter().all(|s| travellers[s.place].settling.is_none()) {
            return vec![f64::NAN; stretches.len()];
        }
        let settings = &self.evaluator.settings;
        let timelines: Vec<&Timeline> = stretches.iter().map(|s| &s.timeline).collect();
        let (states, carried) = self.ends(travellers, stretches, result);
        self.evaluator.preparation.steadiness(
            &timelines,
            &states,
            &carried,
            TOLERANCE_FACTOR * settings.rtol,
            TOLERANCE_FACTOR * settings.atol,
        )
    }

    /// States of lanes at the ends of their stretches, and the slots that they carry.
    fn ends(
        &self,
        travellers: &[Traveller<'_>],
        stretches: &[Stretch],
        result: &BatchResult,
    ) -> (Vec<f64>, Vec<f64>) {
        let n = self.evaluator.problem.state_ids.len();
        let width = self.kind.width;
        let (mut states, mut carried) = (Vec::new(), Vec::new());
        for (k, stretch) in stretches.iter().enumerate() {
            let traveller = &travellers[stretch.place];
            let end = result.offsets[k + 1];
            if end > result.offsets[k] {
                states.extend_from_slice(&result.outputs[end - width..][..n]);
            } else {
                states.extend_from_slice(traveller.states());
            }
            self.evaluator.preparation.push_dynamic_slots(traveller.slots(), &mut carried);
        }
        (states, carried)
    }

    /// Lets lanes follow the courses of others.
    pub(super) fn along(
        &self,
        travellers: &mut [Traveller<'_>],
        courses: &[&Course],
        outputs: &mut Outputs,
    ) -> Result<(), EngineError> {
        for (place, (traveller, course)) in travellers.iter_mut().zip(courses).enumerate() {
            traveller.follow_course(&course.start);
            traveller.relations.clone_from(&course.relations);
            if self.leg == Leg::Measured {
                outputs.set_at(place, traveller, traveller.t);
            }
        }
        let most = courses.iter().map(|c| c.phases.len()).max().unwrap_or(0);
        for number in 0..most {
            let mut stretches = Vec::new();
            for (place, (traveller, course)) in travellers.iter_mut().zip(courses).enumerate() {
                let Some(phase) = course.phases.get(number) else { continue };
                if traveller.has_ended {
                    continue;
                }
                match self.stretch_like(place, traveller, phase) {
                    Some(stretch) => stretches.push(stretch),
                    None => traveller.end(LaneStatus::Reordered),
                }
            }
            let phases: Vec<&Phase> =
                stretches.iter().map(|s| &courses[s.place].phases[number]).collect();
            let result = self.run_along(travellers, &mut stretches, &phases)?;
            for (k, stretch) in stretches.iter().enumerate() {
                let traveller = &mut travellers[stretch.place];
                let report = result.reports[k];
                traveller.report.steps += report.steps;
                let reached = outputs.take(stretch.place, traveller, &stretch.timeline, &result, k);
                if report.status != LaneStatus::Ok {
                    traveller.t = report.t;
                    traveller.end(report.status);
                    continue;
                }
                reached.inspect(|values| traveller.values.copy_from_slice(values));
                if let Some(last) = stretch.timeline.segments.last() {
                    traveller.t = last.t_end;
                }
                for (t, own) in traveller.t_tangents.iter_mut().zip(&stretch.tangents) {
                    // An output stands still and the stop does not: no derivative is known there.
                    *t = if stretch.ends_at_output && *own != 0.0 { f64::NAN } else { *own };
                }
                traveller.lose_directions(|own, k| own.t_tangents[k].is_nan());
                traveller.follow_course(&phases[k].happenings);
                outputs.set_at(stretch.place, traveller, traveller.t);
                let met = match stretch.stop {
                    Stop::Root(relation) => Some(relation),
                    _ => None,
                };
                traveller.relations.clone_from(&phases[k].relations);
                let other = traveller.changed_root(traveller.t, traveller.states());
                if !traveller.has_ended
                    && ((other.is_some() && other != met)
                        || traveller.is_out_of_order(stretch.timeline.t_start))
                {
                    // An event happens, or does not, that was not, or was, on the course.
                    traveller.end(LaneStatus::Reordered);
                }
            }
        }
        for (place, traveller) in travellers.iter_mut().enumerate() {
            if !traveller.has_ended {
                if self.leg == Leg::Measured {
                    outputs.set_at(place, traveller, f64::INFINITY);
                }
                traveller.end(LaneStatus::Ok);
            }
        }
        Ok(())
    }

    /// A lane's own stretch in the likeness of a phase, if its breakpoints have the same order.
    fn stretch_like(
        &self,
        place: usize,
        traveller: &Traveller<'_>,
        phase: &Phase,
    ) -> Option<Stretch> {
        let (t, tangents) = match phase.stop {
            Stop::Root(_) => {
                (phase.timeline.segments.last().map_or(traveller.t, |s| s.t_end), Vec::new())
            }
            other => traveller.stop_time(other)?,
        };
        let stretch = self.stretch(place, traveller, phase.stop, (t, &tangents));
        have_same_order(&phase.timeline, &stretch.timeline).then_some(stretch)
    }

    /// Replays phases; where one ends at a root, the end is moved to the lane's own root, and the
    /// lane's tangents know how that moves.
    fn run_along(
        &self,
        travellers: &mut [Traveller<'_>],
        stretches: &mut [Stretch],
        phases: &[&Phase],
    ) -> Result<BatchResult, EngineError> {
        let all: Vec<usize> = (0..stretches.len()).collect();
        let mut result = self.replay(travellers, stretches, phases, &all)?;
        let is_root = |stretch: &Stretch| {
            matches!(stretch.stop, Stop::Root(_)) && !stretch.timeline.segments.is_empty()
        };
        let mut roots: Vec<usize> = all.into_iter().filter(|&k| is_root(&stretches[k])).collect();
        let mut last_corrections = vec![f64::INFINITY; stretches.len()];
        let mut found = Vec::new();
        for _ in 0..MOST_ROOT_STEPS {
            roots.retain(|&k| result.reports[k].status == LaneStatus::Ok);
            if roots.is_empty() {
                break;
            }
            let corrections = self.corrections(travellers, stretches, &result, &roots);
            let mut open = Vec::new();
            for (&k, correction) in roots.iter().zip(corrections) {
                let stretch = &mut stretches[k];
                let t = stretch.timeline.segments.last().map_or(f64::NAN, |s| s.t_end);
                let length = t - stretch.timeline.t_start;
                let spacing = (ROOT_SPACINGS * f64::EPSILON * t.abs()).max(phases[k].resolution);
                let stalls = correction.abs() >= 0.5 * last_corrections[k]
                    && correction.abs() < 1e-9 * length;
                if correction.abs() <= spacing || stalls {
                    found.push(k);
                    continue;
                }
                last_corrections[k] = correction.abs();
                let traveller = &travellers[stretch.place];
                let moved =
                    self.stretch(stretch.place, traveller, stretch.stop, (t + correction, &[]));
                if have_same_order(&stretch.timeline, &moved.timeline) {
                    *stretch = moved;
                    open.push(k);
                } else {
                    result.reports[k].status = LaneStatus::Reordered;
                }
            }
            if open.is_empty() {
                break;
            }
            let again = self.replay(travellers, stretches, phases, &open)?;
            merge(&mut result, again, &open);
            roots = open;
        }
        found.retain(|&k| !travellers[stretches[k].place].directions.is_empty());
        if !found.is_empty() {
            for &k in &found {
                let tangents =
                    self.root_tangents(&travellers[stretches[k].place], &stretches[k], &result, k);
                let stretch = &stretches[k];
                let t = stretch.timeline.segments.last().map_or(f64::NAN, |s| s.t_end);
                let traveller = &travellers[stretch.place];
                stretches[k] = self.stretch(stretch.place, traveller, stretch.stop, (t, &tangents));
            }
            let again = self.replay(travellers, stretches, phases, &found)?;
            merge(&mut result, again, &found);
        }
        Ok(result)
    }

    /// Replays some of the stretches; results in their order.
    fn replay(
        &self,
        travellers: &[Traveller<'_>],
        stretches: &[Stretch],
        phases: &[&Phase],
        some: &[usize],
    ) -> Result<BatchResult, EngineError> {
        let places: Vec<usize> = some.iter().map(|&k| stretches[k].place).collect();
        let (initial, carried) = self.starts(travellers, &places);
        let timelines: Vec<Timeline> =
            some.iter().map(|&k| stretches[k].timeline.clone()).collect();
        let of_lane: Vec<TimelineIdx> = (0..some.len()).map(TimelineIdx::from_position).collect();
        // Probes of one point follow one and the same phase.
        let mut places: HashMap<*const Phase, ScheduleIdx> = HashMap::new();
        let mut schedules: Vec<Schedule> = Vec::new();
        let mut schedule_of = Vec::with_capacity(some.len());
        for &k in some {
            let index = *places.entry(std::ptr::from_ref(phases[k])).or_insert_with(|| {
                schedules.push(phases[k].schedule.clone());
                ScheduleIdx::from_position(schedules.len() - 1)
            });
            schedule_of.push(index);
        }
        self.kind.kernel.run(&Batch {
            initial: &initial,
            slots: &carried,
            timelines: &timelines,
            of_lane: &of_lane,
            control: Control::Replay { schedules: &schedules, of_lane: &schedule_of },
        })
    }

    /// Newton corrections of the times at which lanes meet their roots.
    fn corrections(
        &self,
        travellers: &[Traveller<'_>],
        stretches: &[Stretch],
        result: &BatchResult,
        some: &[usize],
    ) -> Vec<f64> {
        let n = self.evaluator.problem.state_ids.len();
        some.iter()
            .map(|&k| {
                let (stretch, traveller) = (&stretches[k], &travellers[stretches[k].place]);
                let values = end_values(result, k, self.kind.width);
                let (value, rate) = self.root_at(traveller, stretch, &values[..n]);
                -value / rate
            })
            .collect()
    }

    /// The difference of a root's sides at the end of a stretch, and how fast it changes there.
    fn root_at(&self, traveller: &Traveller<'_>, stretch: &Stretch, states: &[f64]) -> (f64, f64) {
        let Stop::Root(relation) = stretch.stop else { return (f64::NAN, f64::NAN) };
        let rates = self.rates(traveller, &stretch.timeline, states);
        let t = stretch.timeline.segments.last().map_or(f64::NAN, |s| s.t_end);
        traveller.root(relation, t, states, &rates)
    }

    /// Derivatives of the time at which a lane meets its root (implicit function theorem): its
    /// values are those of an end that stands still.
    fn root_tangents(
        &self,
        traveller: &Traveller<'_>,
        stretch: &Stretch,
        result: &BatchResult,
        k: usize,
    ) -> Vec<f64> {
        let Stop::Root(relation) = stretch.stop else { return Vec::new() };
        let n = self.evaluator.problem.state_ids.len();
        let values = end_values(result, k, self.kind.width);
        let (states, tangents) = values.split_at(n);
        let t = stretch.timeline.segments.last().map_or(f64::NAN, |s| s.t_end);
        let (_, rate) = self.root_at(traveller, stretch, states);
        let moved = traveller.root_tangents(relation, t, states, tangents);
        moved.into_iter().map(|along| -along / rate).collect()
    }

    /// Rates of change at the end of a timeline.
    fn rates(&self, traveller: &Traveller<'_>, timeline: &Timeline, states: &[f64]) -> Vec<f64> {
        let mut carried = Vec::new();
        self.evaluator.preparation.push_dynamic_slots(traveller.slots(), &mut carried);
        self.evaluator.preparation.rates_at_end(&[timeline], states, &carried)
    }
}

/// What a step advanced, at the end of a lane's timeline.
pub(super) fn end_values(result: &BatchResult, k: usize, width: usize) -> &[f64] {
    &result.outputs[result.offsets[k + 1] - width..result.offsets[k + 1]]
}

/// Puts the results of some lanes in the place of earlier ones.
pub(super) fn merge(result: &mut BatchResult, again: BatchResult, some: &[usize]) {
    for (i, &k) in some.iter().enumerate() {
        let target = result.offsets[k]..result.offsets[k + 1];
        let source = again.offsets[i]..again.offsets[i + 1];
        result.outputs[target].copy_from_slice(&again.outputs[source]);
        let steps = result.reports[k].steps + again.reports[i].steps;
        result.reports[k] = again.reports[i];
        result.reports[k].steps = steps;
    }
}

/// Where a lane goes next, if it goes on: the end of the period, the last output, the end of a
/// stage towards a steady state.
fn destination(traveller: &mut Traveller<'_>) -> Option<f64> {
    if traveller.has_ended {
        return None;
    }
    if let Some(settling) = &traveller.settling {
        return Some(settling.t_end);
    }
    let simulation = traveller.simulation();
    let last = simulation.output_times.iter().rev().copied().find(|t| t.is_finite());
    let next_period = traveller.next_period();
    match last.filter(|t| *t > traveller.t) {
        Some(last) => Some(next_period.map_or(last, |t| t.min(last))),
        None if !simulation.ends_in_steady_state => {
            traveller.end(LaneStatus::Ok);
            None
        }
        None if next_period.is_some() => next_period,
        None => {
            let settling = Settling::new(traveller.t, natural_time(traveller.problem));
            let end = settling.t_end;
            traveller.settling = Some(settling);
            Some(end)
        }
    }
}
