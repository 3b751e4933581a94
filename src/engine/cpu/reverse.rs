//! Going backwards through replayed lanes on the CPU.
//!
//! Blocks of lanes with about as many steps go side by side: forwards through their steps while
//! states are written down, then backwards. Where writing down all states would take too much
//! memory, only those of the last steps are; before them every k-th is, k being the square root of
//! the number of steps, and those between are computed again, k at a time.

use super::super::{EngineError, ReverseBatch, ReverseKernel, ReverseResult, Schedule, Timeline};
use super::block::{BlockProgram, RegisterFile};
use super::interpreter::{BLOCK, Vector};
use super::lane::{Attempt, Lane};
use crate::rosenbrock::{ReverseStep, StepProgram};
use rayon::prelude::*;
use std::ops::Range;

/// Memory for the states that a block writes down, in bytes, unless its checkpoints alone take more.
const MOST_BYTES: usize = 64 << 20;

pub(super) struct CpuReverseKernel {
    replay: StepProgram,
    forward: BlockProgram,
    step: ReverseStep,
    backward: BlockProgram,
}

/// A step of a lane.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct PlannedStep {
    pub(in crate::engine) t: f64,
    pub(in crate::engine) h: f64,
    pub(in crate::engine) segment: usize,
    /// Where in its segment it starts, and its part of it.
    done: f64,
    fraction: f64,
    pub(in crate::engine) is_last: bool,
}

impl PlannedStep {
    /// Adds to the adjoints of breakpoints what those of the step's start and size give.
    pub(in crate::engine) fn add_times(&self, of_t: f64, of_h: f64, times: &mut [f64]) {
        // t = start + done·length, h = fraction·length, length = end − start.
        let of_length = self.done.mul_add(of_t, self.fraction * of_h);
        times[self.segment] += of_t - of_length;
        times[self.segment + 1] += of_length;
    }
}

/// A lane with its steps.
struct PlannedLane<'a> {
    number: usize,
    timeline: &'a Timeline,
    steps: Vec<PlannedStep>,
    /// For each segment, where the adjoints of the states at its end are, if that is an output.
    outputs: Vec<Option<usize>>,
}

/// What becomes of a lane.
struct Finished {
    number: usize,
    states: Vec<f64>,
    slots: Vec<f64>,
    times: Vec<f64>,
}

impl CpuReverseKernel {
    pub(super) fn new(replay: &StepProgram, step: &ReverseStep) -> Self {
        Self {
            forward: BlockProgram::new(&replay.program),
            replay: replay.clone(),
            backward: BlockProgram::new(&step.program),
            step: step.clone(),
        }
    }

    /// The lanes, without their steps, those with many first.
    fn plan<'a>(&self, batch: &ReverseBatch<'a>) -> Vec<PlannedLane<'a>> {
        let mut cursor = 0;
        let mut lanes: Vec<PlannedLane<'a>> = (0..batch.of_lane.len())
            .map(|number| {
                let timeline = &batch.timelines[batch.of_lane[number].position()];
                let mut place = |is_output: bool| {
                    is_output.then(|| {
                        cursor += self.step.state_count;
                        cursor - self.step.state_count
                    })
                };
                let outputs = timeline.segments.iter().map(|s| place(s.is_output)).collect();
                PlannedLane { number, timeline, steps: Vec::new(), outputs }
            })
            .collect();
        // Lanes of a block wait for its longest.
        let steps = |lane: &PlannedLane<'_>| batch.schedules[lane.number].fractions.len();
        lanes.sort_by_key(|lane| std::cmp::Reverse(steps(lane)));
        lanes
    }
}

/// The steps of a schedule that leads to the end of the timeline.
pub(in crate::engine) fn planned_steps(
    timeline: &Timeline,
    schedule: &Schedule,
) -> Vec<PlannedStep> {
    let mut steps = Vec::with_capacity(schedule.fractions.len());
    let mut lane = Lane::replay(timeline, schedule);
    while !lane.is_trivial() {
        let Ok((t, h)) = lane.propose() else { break };
        let (segment, done, fraction, is_last) = lane.place();
        steps.push(PlannedStep { t, h, segment, done, fraction, is_last });
        let outcome = lane.advance(Attempt { is_finite: true, error_squared: 0.0, factor: 1.0 });
        if outcome.ended.is_some() {
            break;
        }
    }
    steps
}

impl ReverseKernel for CpuReverseKernel {
    fn run(&self, batch: &ReverseBatch<'_>) -> Result<ReverseResult, EngineError> {
        let mut lanes = self.plan(batch);
        let (n, m) = (self.step.state_count, self.step.slots.len());
        let done: Vec<(Vec<Finished>, u64)> = lanes
            .par_chunks_mut(BLOCK)
            .map(|block| {
                for lane in block.iter_mut() {
                    lane.steps = planned_steps(lane.timeline, batch.schedules[lane.number]);
                }
                let done = BlockRun::new(self, batch, block).run();
                block.iter_mut().for_each(|lane| lane.steps = Vec::new());
                done
            })
            .collect();
        let mut result = ReverseResult {
            states: vec![0.0; lanes.len() * n],
            slots: vec![0.0; lanes.len() * m],
            times: vec![Vec::new(); lanes.len()],
            steps: done.iter().map(|(_, steps)| steps).sum(),
        };
        for lane in done.into_iter().flat_map(|(finished, _)| finished) {
            result.states[lane.number * n..][..n].copy_from_slice(&lane.states);
            result.slots[lane.number * m..][..m].copy_from_slice(&lane.slots);
            result.times[lane.number] = lane.times;
        }
        Ok(result)
    }
}

/// The parts of a trajectory of so many steps whose states are written down at a time, where there is
/// room for so many: all at once if they fit, else as many as fit at the end, after short ones. At
/// least one part.
fn parts(steps: usize, room: usize) -> Vec<Range<usize>> {
    let short = steps.isqrt() + 1;
    let checkpoints = steps / short + 1;
    let last = if steps <= room { steps } else { room.saturating_sub(checkpoints).max(short) };
    let before = steps.saturating_sub(last).next_multiple_of(short).min(steps);
    let starts = (0..before).step_by(short);
    starts.map(|start| start..start + short).chain(std::iter::once(before..steps)).collect()
}

/// A block of lanes on its way.
struct BlockRun<'a> {
    kernel: &'a CpuReverseKernel,
    batch: &'a ReverseBatch<'a>,
    lanes: &'a [PlannedLane<'a>],
    forward: RegisterFile,
    backward: RegisterFile,
    /// The segment whose switches each column has, forwards and backwards.
    segments: [[Option<usize>; BLOCK]; 2],
    /// Forwards and backwards.
    done_steps: u64,
}

impl<'a> BlockRun<'a> {
    fn new(
        kernel: &'a CpuReverseKernel,
        batch: &'a ReverseBatch<'a>,
        lanes: &'a [PlannedLane<'a>],
    ) -> Self {
        let mut forward = kernel.forward.new_file();
        let mut backward = kernel.backward.new_file();
        let (n, carried) = (kernel.step.state_count, kernel.step.carried_count);
        for (w, lane) in lanes.iter().enumerate() {
            let initial = &batch.initial[lane.number * n..][..n];
            for (register, value) in forward.iter_mut().zip(initial) {
                register[w] = *value;
            }
            let slots = &batch.slots[lane.number * carried..][..carried];
            for (i, value) in slots.iter().enumerate() {
                forward[kernel.replay.slots_at() + i][w] = *value;
                backward[kernel.step.slots_at() + i][w] = *value;
            }
        }
        let segments = [[None; BLOCK]; 2];
        Self { kernel, batch, lanes, forward, backward, segments, done_steps: 0 }
    }

    fn run(mut self) -> (Vec<Finished>, u64) {
        let most = self.lanes.iter().map(|lane| lane.steps.len()).max().unwrap_or(0);
        let size = self.kernel.step.state_count * self.lanes.len();
        let parts = parts(most, MOST_BYTES / size_of::<f64>() / size.max(1));
        let mut checkpoints: Vec<f64> = Vec::with_capacity(parts.len() * size);
        // The last part is written down on the way.
        for part in &parts[..parts.len() - 1] {
            self.write_down(&mut checkpoints);
            for j in part.clone() {
                self.step_forwards(j);
            }
        }
        let mut backwards = Backwards::new(&self);
        let longest = parts.iter().map(|part| part.len()).max().unwrap_or(0);
        let mut tape: Vec<f64> = Vec::with_capacity(longest * size);
        for (c, part) in parts.iter().enumerate().rev() {
            if let Some(states) = checkpoints.get(c * size..(c + 1) * size) {
                Self::read_back(&mut self.forward, states, self.lanes.len());
            }
            tape.clear();
            for j in part.clone() {
                self.write_down(&mut tape);
                if j + 1 < part.end {
                    self.step_forwards(j);
                }
            }
            for j in part.clone().rev() {
                self.step_backwards(j, &tape[(j - part.start) * size..][..size], &mut backwards);
            }
        }
        (backwards.finish(&self), self.done_steps)
    }

    /// Appends the states of the lanes that there are, lane by lane of each state.
    fn write_down(&self, tape: &mut Vec<f64>) {
        let states = &self.forward[..self.kernel.step.state_count];
        if self.lanes.len() == BLOCK {
            tape.extend_from_slice(states.as_flattened());
        } else {
            states.iter().for_each(|state| tape.extend_from_slice(&state[..self.lanes.len()]));
        }
    }

    /// Puts states that were written down into the first registers of a file.
    fn read_back(file: &mut RegisterFile, states: &[f64], lanes: usize) {
        if lanes == BLOCK {
            file[..states.len() / BLOCK].as_flattened_mut().copy_from_slice(states);
        } else {
            let columns = file.iter_mut().zip(states.chunks_exact(lanes));
            columns.for_each(|(register, state)| register[..lanes].copy_from_slice(state));
        }
    }

    /// Loads time, step size and switches of each lane's step, where it has so many.
    fn load(&mut self, j: usize, is_backward: bool) {
        let (registers, switches_at, time_at) = if is_backward {
            let step = &self.kernel.step;
            (&mut self.backward, step.switches_at(), step.time_at())
        } else {
            let step = &self.kernel.replay;
            (&mut self.forward, step.switches_at(), step.time_at())
        };
        let segments = &mut self.segments[usize::from(is_backward)];
        for (w, lane) in self.lanes.iter().enumerate() {
            let Some(step) = lane.steps.get(j) else { continue };
            registers[time_at][w] = step.t;
            registers[time_at + 1][w] = step.h;
            if segments[w] != Some(step.segment) {
                segments[w] = Some(step.segment);
                let switches = &lane.timeline.segments[step.segment].switches;
                for (register, value) in registers[switches_at..].iter_mut().zip(switches) {
                    register[w] = *value;
                }
            }
        }
    }

    fn step_forwards(&mut self, j: usize) {
        self.load(j, false);
        self.kernel.forward.run_lanes(&mut self.forward, self.lanes.len());
        for (i, &register) in self.kernel.forward.registers.outputs.iter().enumerate() {
            let new = self.forward[register as usize];
            for (w, lane) in self.lanes.iter().enumerate() {
                if j < lane.steps.len() {
                    self.forward[i][w] = new[w];
                }
            }
        }
        self.done_steps += self.count(j);
    }

    /// Number of lanes that have so many steps.
    fn count(&self, j: usize) -> u64 {
        self.lanes.iter().filter(|lane| j < lane.steps.len()).count() as u64
    }

    fn step_backwards(&mut self, j: usize, states: &[f64], backwards: &mut Backwards) {
        let step = &self.kernel.step;
        let (n, m) = (step.state_count, step.slots.len());
        for (w, lane) in self.lanes.iter().enumerate() {
            let Some(planned) = lane.steps.get(j).filter(|planned| planned.is_last) else {
                continue;
            };
            let Some(output) = lane.outputs[planned.segment] else { continue };
            let added = &self.batch.adjoints[output..][..n];
            backwards.states.iter_mut().zip(added).for_each(|(state, added)| state[w] += added);
        }
        self.load(j, true);
        Self::read_back(&mut self.backward, states, self.lanes.len());
        self.backward[step.adjoints_at()..][..n].copy_from_slice(&backwards.states);
        self.kernel.backward.run_lanes(&mut self.backward, self.lanes.len());
        let outputs = &self.kernel.backward.registers.outputs;
        for (w, lane) in self.lanes.iter().enumerate() {
            let Some(planned) = lane.steps.get(j) else { continue };
            let value = |i: usize| self.backward[outputs[i] as usize][w];
            if step.has_times {
                planned.add_times(value(n + m), value(n + m + 1), &mut backwards.times[w]);
            }
        }
        self.done_steps += self.count(j);
        let is_there = |w: usize| self.lanes.get(w).is_some_and(|lane| j < lane.steps.len());
        let is_there: [bool; BLOCK] = std::array::from_fn(is_there);
        for (i, state) in backwards.states.iter_mut().enumerate() {
            let new = &self.backward[outputs[i] as usize];
            for w in 0..BLOCK {
                state[w] = if is_there[w] { new[w] } else { state[w] };
            }
        }
        for (i, slot) in backwards.slots.iter_mut().enumerate() {
            let new = &self.backward[outputs[n + i] as usize];
            for w in 0..BLOCK {
                slot[w] += if is_there[w] { new[w] } else { 0.0 };
            }
        }
    }
}

/// Adjoints of a block, so far.
struct Backwards {
    states: Vec<Vector>,
    slots: Vec<Vector>,
    /// Of each lane's breakpoints.
    times: Vec<Vec<f64>>,
}

impl Backwards {
    fn new(run: &BlockRun<'_>) -> Self {
        let step = &run.kernel.step;
        let times = |lane: &PlannedLane<'_>| match step.has_times {
            true => vec![0.0; lane.timeline.segments.len() + 1],
            false => Vec::new(),
        };
        Self {
            states: vec![[0.0; BLOCK]; step.state_count],
            slots: vec![[0.0; BLOCK]; step.slots.len()],
            times: run.lanes.iter().map(times).collect(),
        }
    }

    fn finish(self, run: &BlockRun<'_>) -> Vec<Finished> {
        let Self { states, slots, times } = self;
        let lanes = run.lanes.iter().zip(times).enumerate();
        lanes
            .map(|(w, (lane, times))| Finished {
                number: lane.number,
                states: states.iter().map(|state| state[w]).collect(),
                slots: slots.iter().map(|slot| slot[w]).collect(),
                times,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn parts_follow_one_another_and_fit() {
        for steps in [0, 1, 2, 3, 10, 99, 100, 101, 5_000] {
            for room in [0, 1, 2, 7, 50, 99, 100, 300, 4_999, 5_000, usize::MAX] {
                let parts = parts(steps, room);
                assert_eq!(parts.first().map(|part| part.start), Some(0));
                assert_eq!(parts.last().map(|part| part.end), Some(steps));
                assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
                assert!(parts[..parts.len() - 1].iter().all(|part| !part.is_empty()));
                // Checkpoints, one before each part but the last, and the longest part.
                let longest = parts.iter().map(std::ops::Range::len).max().unwrap();
                let least = 2 * (steps.isqrt() + 1);
                assert!(parts.len() - 1 + longest <= room.max(least), "{steps} {room}: {parts:?}");
                assert_eq!(parts.len() == 1, steps <= room || parts[0].len() == steps);
            }
        }
    }
}
