//! The course of one lane through its timeline: which step comes next and what follows from its
//! outcome. The GPU kernel template (`shaders/integrate.wgsl`) holds the same rules.

use super::super::{LaneReport, LaneStatus, Schedule, Timeline};

/// Factor on the step size after an attempt that gave no finite state.
const FACTOR_AFTER_NOT_FINITE: f64 = 0.25;
/// Smallest step in units of the spacing of doubles at the part of the segment that is done.
const SMALLEST_SPACINGS: f64 = 4.0;
/// Smallest step as a fraction of its segment, which ends the search at time 0 too. States that
/// change this fast from the start are not followed by any arithmetic in doubles.
const SMALLEST_FRACTION: f64 = 1e-40;

/// A lane on its way.
#[derive(Debug)]
pub struct Lane<'a> {
    timeline: &'a Timeline,
    mode: Mode<'a>,
    segment: usize,
    /// Start and length of the segment.
    t_start: f64,
    length: f64,
    /// How much of the segment is done, 0 to 1.
    done: f64,
    /// The fraction being attempted.
    fraction: f64,
    is_last: bool,
    steps: u32,
    was_not_finite: bool,
}

#[derive(Debug)]
enum Mode<'a> {
    Adaptive { h_next: f64, max_steps: u32, was_rejected: bool, accepted: Vec<f64> },
    Replay { fractions: &'a [f64], next: usize },
}

/// What the step control needs of an attempted step.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// Whether all new values are finite.
    pub is_finite: bool,
    /// Squared error norm and factor for the next step size; unused in a replay.
    pub error_squared: f64,
    pub factor: f64,
}

/// What the integrator does after an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The new values become the state.
    pub accepted: bool,
    /// The state reached an output.
    pub at_output: bool,
    /// The segment changed.
    pub new_segment: bool,
    /// The lane ended.
    pub ended: Option<LaneStatus>,
}

impl<'a> Lane<'a> {
    /// A lane that controls its steps.
    pub fn adaptive(timeline: &'a Timeline, first_step: f64, max_steps: u32) -> Self {
        let mode = Mode::Adaptive {
            h_next: first_step,
            max_steps,
            was_rejected: false,
            accepted: Vec::new(),
        };
        Self::new(timeline, mode)
    }

    /// A lane that replays a schedule.
    pub fn replay(timeline: &'a Timeline, schedule: &'a Schedule) -> Self {
        Self::new(timeline, Mode::Replay { fractions: &schedule.fractions, next: 0 })
    }

    fn new(timeline: &'a Timeline, mode: Mode<'a>) -> Self {
        let mut lane = Self {
            timeline,
            mode,
            segment: 0,
            t_start: timeline.t_start,
            length: 0.0,
            done: 0.0,
            fraction: 0.0,
            is_last: false,
            steps: 0,
            was_not_finite: false,
        };
        lane.enter_segment();
        lane
    }

    /// Whether there is nothing to integrate.
    pub fn is_trivial(&self) -> bool {
        self.timeline.segments.is_empty()
    }

    /// Values of the switches in the present segment.
    pub fn switches(&self) -> &'a [f64] {
        self.timeline.segments.get(self.segment).map_or(&[], |s| &s.switches)
    }

    /// Derivatives of the attempt's start and size along the directions that move breakpoints.
    pub fn time_tangents(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let segments = &self.timeline.segments;
        let end: &[f64] = segments.get(self.segment).map_or(&[], |s| &s.t_end_tangents);
        let start: &[f64] = match self.segment.checked_sub(1) {
            Some(before) => &segments[before].t_end_tangents,
            None => &self.timeline.t_start_tangents,
        };
        end.iter().enumerate().map(move |(k, &t_end)| {
            let t_start = start.get(k).copied().unwrap_or(0.0);
            let length = t_end - t_start;
            (self.done.mul_add(length, t_start), self.fraction * length)
        })
    }

    /// Time and size of the next attempt, or the status with which the lane ends before it.
    pub fn propose(&mut self) -> Result<(f64, f64), LaneStatus> {
        let t = self.done.mul_add(self.length, self.t_start);
        match &mut self.mode {
            Mode::Adaptive { h_next, max_steps, .. } => {
                if self.steps >= *max_steps {
                    return Err(LaneStatus::TooManySteps);
                }
                let rest = 1.0 - self.done;
                let wanted = *h_next / self.length;
                // Two equal steps to the end, rather than one and a sliver.
                self.is_last = wanted >= rest;
                self.fraction = if self.is_last {
                    rest
                } else if wanted > 0.5 * rest {
                    0.5 * rest
                } else {
                    wanted
                };
                let smallest = SMALLEST_SPACINGS * f64::EPSILON;
                let floor = (smallest * self.done).max(SMALLEST_FRACTION);
                // Not relative to t: a lane counts from its segment's start, where its states may
                // change on scales far below the spacing of doubles at t.
                if !self.is_last && self.fraction <= floor {
                    return Err(if self.was_not_finite {
                        LaneStatus::NotFinite
                    } else {
                        LaneStatus::StepTooSmall
                    });
                }
            }
            Mode::Replay { fractions, next } => {
                // A schedule ends early only where its own lane failed.
                let Some(&signed) = fractions.get(*next) else {
                    return Err(LaneStatus::StepTooSmall);
                };
                *next += 1;
                self.is_last = signed < 0.0;
                self.fraction = signed.abs();
            }
        }
        Ok((t, self.fraction * self.length))
    }

    /// The segment of the attempt, where in it that starts, its part of the segment, and whether it is
    /// the last there.
    pub fn place(&self) -> (usize, f64, f64, bool) {
        (self.segment, self.done, self.fraction, self.is_last)
    }

    /// Takes note of a finite step of a replay that does not end its segment; whether it was one.
    #[inline]
    pub fn advance_within_replay(&mut self) -> bool {
        if self.is_last || !matches!(self.mode, Mode::Replay { .. }) {
            return false;
        }
        self.steps += 1;
        self.was_not_finite = false;
        self.done += self.fraction;
        true
    }

    /// Takes note of the attempted step's outcome.
    pub fn advance(&mut self, attempt: Attempt) -> Outcome {
        self.steps += 1;
        let mut outcome =
            Outcome { accepted: false, at_output: false, new_segment: false, ended: None };
        self.was_not_finite = !attempt.is_finite;
        match &mut self.mode {
            Mode::Adaptive { h_next, was_rejected, accepted, .. } => {
                let h = self.fraction * self.length;
                if !attempt.is_finite {
                    *h_next = h * FACTOR_AFTER_NOT_FINITE;
                    *was_rejected = true;
                    return outcome;
                }
                if attempt.error_squared > 1.0 {
                    *h_next = h * attempt.factor;
                    *was_rejected = true;
                    return outcome;
                }
                let factor = if *was_rejected { attempt.factor.min(1.0) } else { attempt.factor };
                // A step cut short by a breakpoint says little about the next.
                *h_next = if self.is_last { h_next.max(h * factor) } else { h * factor };
                *was_rejected = false;
                accepted.push(if self.is_last { -self.fraction } else { self.fraction });
            }
            Mode::Replay { .. } => {
                if !attempt.is_finite {
                    outcome.ended = Some(LaneStatus::NotFinite);
                    return outcome;
                }
            }
        }
        outcome.accepted = true;
        self.done += self.fraction;
        if self.is_last {
            let segment = &self.timeline.segments[self.segment];
            outcome.at_output = segment.is_output;
            self.t_start = segment.t_end;
            self.segment += 1;
            if self.segment == self.timeline.segments.len() {
                self.done = 0.0;
                outcome.ended = Some(LaneStatus::Ok);
            } else {
                outcome.new_segment = true;
                self.enter_segment();
            }
        }
        outcome
    }

    fn enter_segment(&mut self) {
        if let Some(segment) = self.timeline.segments.get(self.segment) {
            self.length = segment.t_end - self.t_start;
            self.done = 0.0;
        }
    }

    /// The lane's report and its accepted steps.
    pub fn finish(self, status: LaneStatus) -> (LaneReport, Schedule) {
        let t = if status == LaneStatus::Ok {
            self.t_start
        } else {
            self.done.mul_add(self.length, self.t_start)
        };
        let fractions = match self.mode {
            Mode::Adaptive { accepted, .. } => accepted,
            Mode::Replay { .. } => Vec::new(),
        };
        (LaneReport { status, steps: self.steps, retries: 0, t }, Schedule { fractions })
    }
}
