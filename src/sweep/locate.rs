//! Where along a stretch a trigger on states changes.
//!
//! A stretch that was integrated is replayed with every step's end as an output. The first step
//! at whose end some relation is not what it was brackets the change; the end of that step, taken
//! from the same start, is then moved by the ITP method (Oliveira & Takahashi, ACM TOMS 47(1),
//! 2021) until the bracket is two spacings of doubles wide. A change back within one step is not
//! seen.

use super::course::Stop;
use super::traveller::Traveller;
use super::walk::{Stretch, Walk, end_values};
use crate::engine::{
    Batch, BatchResult, Control, EngineError, LaneStatus, Schedule, Segment, Timeline,
};
use crate::index::{RelationIdx, ScheduleIdx, TimelineIdx};

/// Width of the final bracket in spacings of doubles at its time.
const BRACKET_SPACINGS: f64 = 2.0;
/// The ITP method's constants: κ₁ times the bracket's length, κ₂ = 2, n₀ = 1.
const KAPPA_1: f64 = 0.2;
/// More than any bracket of doubles takes.
const MOST_ITERATIONS: i32 = 200;

/// Where a stretch was cut short.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met {
    pub(super) relation: RelationIdx,
    /// How closely its time is known.
    pub(super) resolution: f64,
}

/// A step within which a relation changes.
struct Bracket {
    /// The stretch's place.
    k: usize,
    relation: RelationIdx,
    /// The segment, and how many of its steps come before this one.
    segment: usize,
    steps_before: usize,
    /// Where the step starts.
    t: f64,
    states: Vec<f64>,
    /// Lengths of the step before and after the change.
    low: f64,
    high: f64,
    /// Differences of the relation's sides there.
    at_low: f64,
    at_high: f64,
    /// Of the ITP method: half a final bracket, and iterations that bisection would take.
    epsilon: f64,
    most_halvings: i32,
    iterations: i32,
}

impl Walk<'_, '_> {
    /// Cuts stretches short where a relation on states changes; returns those relations.
    pub(super) fn find_roots(
        &self,
        travellers: &[Traveller<'_>],
        stretches: &mut [Stretch],
        result: &mut BatchResult,
    ) -> Result<Vec<Option<Met>>, EngineError> {
        let mut met = vec![None; stretches.len()];
        if !self.evaluator.problem.events.have_roots() {
            return Ok(met);
        }
        let mut brackets = self.brackets(travellers, stretches, result)?;
        if brackets.is_empty() {
            return Ok(met);
        }
        self.narrow(travellers, stretches, &mut brackets)?;
        for bracket in &brackets {
            let stretch = &mut stretches[bracket.k];
            cut(stretch, &mut result.schedules[bracket.k], bracket);
            let resolution = 2.0 * bracket.epsilon;
            met[bracket.k] = Some(Met { relation: bracket.relation, resolution });
        }
        self.redo(travellers, stretches, result, &brackets)?;
        Ok(met)
    }

    /// The first step of each stretch after which some relation is not what it was.
    fn brackets(
        &self,
        travellers: &[Traveller<'_>],
        stretches: &[Stretch],
        result: &BatchResult,
    ) -> Result<Vec<Bracket>, EngineError> {
        let stepwise: Vec<Stepwise> = stretches
            .iter()
            .zip(&result.schedules)
            .map(|(stretch, schedule)| Stepwise::new(&stretch.timeline, schedule))
            .collect();
        let timelines: Vec<Timeline> = stepwise.iter().map(|s| s.timeline.clone()).collect();
        let schedules: Vec<Schedule> = timelines
            .iter()
            .map(|timeline| Schedule { fractions: vec![-1.0; timeline.segments.len()] })
            .collect();
        let places: Vec<usize> = stretches.iter().map(|s| s.place).collect();
        let (initial, carried) = self.starts(travellers, &places);
        let replayed = self.evaluator.replay.run(&Batch {
            initial: &initial,
            slots: &carried,
            timelines: &timelines,
            of_lane: &numbered(timelines.len(), TimelineIdx::from_position),
            control: Control::Replay {
                schedules: &schedules,
                of_lane: &numbered(timelines.len(), ScheduleIdx::from_position),
            },
        })?;
        let n = self.evaluator.problem.state_ids.len();
        let mut brackets = Vec::new();
        for (k, stretch) in stretches.iter().enumerate() {
            let traveller = &travellers[stretch.place];
            let outputs = &replayed.outputs[replayed.offsets[k]..replayed.offsets[k + 1]];
            let (mut t, mut states) = (stretch.timeline.t_start, traveller.states());
            for (i, after) in outputs.chunks(n).enumerate() {
                if after[0].is_nan() {
                    break;
                }
                let t_after = stepwise[k].timeline.segments[i].t_end;
                if let Some(relation) = traveller.changed_root(t_after, after) {
                    let high = t_after - t;
                    let epsilon = 0.5 * BRACKET_SPACINGS * f64::EPSILON * t_after.abs().max(high);
                    let (segment, steps_before) = stepwise[k].places[i];
                    brackets.push(Bracket {
                        k,
                        relation,
                        segment,
                        steps_before,
                        t,
                        states: states.to_vec(),
                        low: 0.0,
                        high,
                        at_low: traveller.difference(relation, t, states),
                        at_high: traveller.difference(relation, t_after, after),
                        epsilon,
                        most_halvings: (0.5 * high / epsilon).log2().ceil().max(0.0) as i32 + 1,
                        iterations: 0,
                    });
                    break;
                }
                (t, states) = (t_after, after);
            }
        }
        Ok(brackets)
    }

    /// Narrows brackets until they are as good as points.
    fn narrow(
        &self,
        travellers: &[Traveller<'_>],
        stretches: &[Stretch],
        brackets: &mut [Bracket],
    ) -> Result<(), EngineError> {
        loop {
            let open: Vec<usize> = (0..brackets.len())
                .filter(|&b| {
                    let bracket = &brackets[b];
                    bracket.high - bracket.low > 2.0 * bracket.epsilon
                        && bracket.iterations < MOST_ITERATIONS
                })
                .collect();
            if open.is_empty() {
                return Ok(());
            }
            let mut initial = Vec::new();
            let mut carried = Vec::new();
            let mut timelines = Vec::new();
            let mut tries = Vec::new();
            for &b in &open {
                let bracket = &brackets[b];
                let stretch = &stretches[bracket.k];
                initial.extend_from_slice(&bracket.states);
                let slots = travellers[stretch.place].slots();
                self.evaluator.preparation.push_dynamic_slots(slots, &mut carried);
                let length = bracket.next();
                tries.push(length);
                timelines.push(Timeline {
                    t_start: bracket.t,
                    t_start_tangents: Vec::new(),
                    segments: vec![Segment {
                        t_end: bracket.t + length,
                        is_output: true,
                        switches: stretch.timeline.segments[bracket.segment].switches.clone(),
                        t_end_tangents: Vec::new(),
                    }],
                });
            }
            let schedules = [Schedule { fractions: vec![-1.0] }];
            let result = self.evaluator.replay.run(&Batch {
                initial: &initial,
                slots: &carried,
                timelines: &timelines,
                of_lane: &numbered(open.len(), TimelineIdx::from_position),
                control: Control::Replay {
                    schedules: &schedules,
                    of_lane: &vec![ScheduleIdx(0); open.len()],
                },
            })?;
            for (i, (&b, &length)) in open.iter().zip(&tries).enumerate() {
                let bracket = &mut brackets[b];
                let traveller = &travellers[stretches[bracket.k].place];
                let states = &result.outputs[result.offsets[i]..result.offsets[i + 1]];
                let t = bracket.t + length;
                bracket.iterations += 1;
                match traveller.changed_root(t, states) {
                    Some(relation) => {
                        bracket.high = length;
                        // Another relation may change before.
                        if relation != bracket.relation {
                            bracket.relation = relation;
                            bracket.at_low =
                                traveller.difference(relation, bracket.t, &bracket.states);
                        }
                        bracket.at_high = traveller.difference(bracket.relation, t, states);
                    }
                    None => {
                        bracket.low = length;
                        bracket.at_low = traveller.difference(bracket.relation, t, states);
                    }
                }
            }
        }
    }

    /// Replays the stretches that were cut.
    fn redo(
        &self,
        travellers: &[Traveller<'_>],
        stretches: &[Stretch],
        result: &mut BatchResult,
        brackets: &[Bracket],
    ) -> Result<(), EngineError> {
        let some: Vec<usize> = brackets.iter().map(|b| b.k).collect();
        let places: Vec<usize> = some.iter().map(|&k| stretches[k].place).collect();
        let (initial, carried) = self.starts(travellers, &places);
        let timelines: Vec<Timeline> =
            some.iter().map(|&k| stretches[k].timeline.clone()).collect();
        let schedules: Vec<Schedule> = some.iter().map(|&k| result.schedules[k].clone()).collect();
        let again = self.evaluator.replay.run(&Batch {
            initial: &initial,
            slots: &carried,
            timelines: &timelines,
            of_lane: &numbered(some.len(), TimelineIdx::from_position),
            control: Control::Replay {
                schedules: &schedules,
                of_lane: &numbered(some.len(), ScheduleIdx::from_position),
            },
        })?;
        // The cut stretches have fewer outputs: all results move together.
        let width = self.kind.width;
        let mut outputs = Vec::new();
        let mut offsets = vec![0];
        for k in 0..stretches.len() {
            let source = match some.iter().position(|&s| s == k) {
                Some(i) => {
                    let steps = result.reports[k].steps;
                    result.reports[k] = again.reports[i];
                    result.reports[k].steps = steps;
                    &again.outputs[again.offsets[i]..again.offsets[i + 1]]
                }
                None => &result.outputs[result.offsets[k]..result.offsets[k + 1]],
            };
            outputs.extend_from_slice(source);
            offsets.push(outputs.len());
            debug_assert_eq!(source.len() % width, 0);
        }
        result.outputs = outputs;
        result.offsets = offsets;
        debug_assert!(some.iter().all(|&k| {
            result.reports[k].status != LaneStatus::Ok
                || end_values(result, k, width).len() == width
        }));
        Ok(())
    }
}

impl Bracket {
    /// The length to try next.
    fn next(&self) -> f64 {
        let (a, b) = (self.low, self.high);
        let middle = 0.5 * (a + b);
        if !(self.at_low * self.at_high < 0.0) {
            return middle;
        }
        let half = 0.5 * (b - a);
        let radius =
            self.epsilon * 2_f64.powi(self.most_halvings - self.iterations).max(0.0) - half;
        let delta = KAPPA_1 * (b - a) * (b - a) / self.high.max(f64::MIN_POSITIVE);
        let secant = (self.at_high * a - self.at_low * b) / (self.at_high - self.at_low);
        let towards = (middle - secant).signum();
        let truncated = if delta <= (middle - secant).abs() {
            secant + towards * delta.max(self.epsilon)
        } else {
            middle
        };
        let projected = if (truncated - middle).abs() <= radius {
            truncated
        } else {
            middle - towards * radius.max(0.0)
        };
        if projected > a && projected < b { projected } else { middle }
    }
}

/// A timeline that stops after every step of another, and where those lie: the segment, and the
/// number of its steps before.
struct Stepwise {
    timeline: Timeline,
    places: Vec<(usize, usize)>,
}

impl Stepwise {
    fn new(timeline: &Timeline, schedule: &Schedule) -> Self {
        let mut segments = Vec::with_capacity(schedule.fractions.len());
        let mut places = Vec::with_capacity(schedule.fractions.len());
        let (mut s, mut steps, mut done) = (0, 0, 0.0_f64);
        let mut t_start = timeline.t_start;
        let mut t_last = t_start;
        for &fraction in &schedule.fractions {
            let segment = &timeline.segments[s];
            let is_last = fraction < 0.0;
            done += fraction.abs();
            let t_end = if is_last {
                segment.t_end
            } else {
                done.mul_add(segment.t_end - t_start, t_start)
            };
            // Steps below the spacing of doubles go together.
            if t_end > t_last {
                segments.push(Segment {
                    t_end,
                    is_output: true,
                    switches: segment.switches.clone(),
                    t_end_tangents: Vec::new(),
                });
                places.push((s, steps));
                t_last = t_end;
            }
            steps += 1;
            if is_last {
                t_start = segment.t_end;
                (s, steps, done) = (s + 1, 0, 0.0);
            }
        }
        let t_start_tangents = Vec::new();
        Self {
            timeline: Timeline { t_start: timeline.t_start, t_start_tangents, segments },
            places,
        }
    }
}

/// Ends a stretch at a root.
fn cut(stretch: &mut Stretch, schedule: &mut Schedule, bracket: &Bracket) {
    let segments = &mut stretch.timeline.segments;
    let t_start = match bracket.segment.checked_sub(1) {
        Some(before) => segments[before].t_end,
        None => stretch.timeline.t_start,
    };
    let old_length = segments[bracket.segment].t_end - t_start;
    let t_end = bracket.t + bracket.high;
    let has_moved = t_end > t_start;
    segments.truncate(bracket.segment + usize::from(has_moved));
    if let Some(last) = segments.last_mut() {
        if has_moved {
            last.t_end = t_end;
        }
        last.is_output = true;
    }
    // Steps of earlier segments stay; those of this one become fractions of less.
    let mut ended = 0;
    let first = schedule
        .fractions
        .iter()
        .position(|fraction| {
            let is_here = ended == bracket.segment;
            ended += usize::from(*fraction < 0.0);
            is_here
        })
        .unwrap_or(0);
    if has_moved {
        schedule.fractions.truncate(first + bracket.steps_before);
        let mut done = 0.0;
        for fraction in &mut schedule.fractions[first..] {
            *fraction *= old_length / (t_end - t_start);
            done += *fraction;
        }
        schedule.fractions.push(-(1.0 - done));
    } else {
        schedule.fractions.truncate(first);
    }
    stretch.stop = Stop::Root(bracket.relation);
    stretch.ends_at_output = false;
}

fn numbered<T>(count: usize, of: impl Fn(usize) -> T) -> Vec<T> {
    (0..count).map(of).collect()
}
