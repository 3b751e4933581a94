//! The CPU engine: step programs run operation by operation over blocks of lanes.

mod accept;
pub mod block;
pub mod interpreter;
mod lane;
#[cfg_attr(not(target_arch = "x86_64"), path = "no_machine.rs")]
mod machine;
mod reverse;

use super::{
    Batch, BatchResult, Control, Engine, EngineError, Kernel, LaneReport, LaneStatus,
    ReverseKernel, Schedule, output_offsets,
};
use crate::rosenbrock::{ReverseStep, StepProgram};
use block::{BlockProgram, RegisterFile};
use interpreter::BLOCK;
use lane::{Attempt, Lane};
use rayon::prelude::*;
pub(super) use reverse::planned_steps;

/// Most lanes that one task integrates, so that tasks balance over the threads.
const LARGEST_TASK: usize = 16 * BLOCK;
/// Most batches under way at a time.
const MOST_IN_FLIGHT: usize = 4;

/// Integrates on the threads of the current rayon pool.
#[derive(Debug, Default)]
pub struct CpuEngine;

impl Engine for CpuEngine {
    fn describe(&self) -> String {
        let threads = rayon::current_num_threads();
        format!(
            "cpu ({threads} thread{}, {})",
            if threads == 1 { "" } else { "s" },
            block::describe()
        )
    }

    fn preferred_lanes(&self) -> usize {
        LARGEST_TASK * 4 * rayon::current_num_threads()
    }

    fn batches_in_flight(&self) -> usize {
        // What is done by one thread between batches, while others do theirs: 2 take 7 % off on two
        // threads, 3 no more.
        match rayon::current_num_threads() {
            1 => 1,
            threads => (1 + threads.div_ceil(4)).min(MOST_IN_FLIGHT),
        }
    }

    fn prepare(&self, step: &StepProgram) -> Result<Box<dyn Kernel>, EngineError> {
        Ok(Box::new(CpuKernel { program: BlockProgram::new(&step.program), step: step.clone() }))
    }
}

/// A step and its transpose on the threads of the current rayon pool.
pub(super) fn reverse_kernel(replay: &StepProgram, step: &ReverseStep) -> Box<dyn ReverseKernel> {
    Box::new(reverse::CpuReverseKernel::new(replay, step))
}

struct CpuKernel {
    step: StepProgram,
    program: BlockProgram,
}

impl Kernel for CpuKernel {
    fn run(&self, batch: &Batch<'_>) -> Result<BatchResult, EngineError> {
        let lanes = batch.lane_count();
        let offsets = output_offsets(batch, self.step.width);
        let mut outputs = vec![f64::NAN; offsets[lanes]];
        let share = lanes.div_ceil(4 * rayon::current_num_threads().max(1));
        let task_size = share.clamp(BLOCK, LARGEST_TASK).next_multiple_of(BLOCK);

        let mut tasks = Vec::new();
        let mut rest = outputs.as_mut_slice();
        for first in (0..lanes).step_by(task_size) {
            let end = (first + task_size).min(lanes);
            let (mine, others) =
                std::mem::take(&mut rest).split_at_mut(offsets[end] - offsets[first]);
            rest = others;
            tasks.push((first, end, mine));
        }
        let finished: Vec<Vec<(LaneReport, Schedule)>> = tasks
            .into_par_iter()
            .map(|(first, end, mine)| {
                BlockRun::new(self, batch, &offsets, first, mine).integrate(first..end)
            })
            .collect();
        let mut reports = Vec::with_capacity(lanes);
        let mut schedules = Vec::new();
        let keeps_schedules = matches!(batch.control, Control::Adaptive { .. });
        for (report, schedule) in finished.into_iter().flatten() {
            reports.push(report);
            if keeps_schedules {
                schedules.push(schedule);
            }
        }
        Ok(BatchResult { outputs, offsets, reports, schedules })
    }
}

/// Integrates a range of lanes, a block at a time; a lane that ends makes room for the next.
struct BlockRun<'a> {
    kernel: &'a CpuKernel,
    batch: &'a Batch<'a>,
    offsets: &'a [usize],
    /// Offset at which this task's outputs start.
    origin: usize,
    outputs: &'a mut [f64],
    registers: RegisterFile,
    seats: [Option<Seat<'a>>; BLOCK],
}

/// A lane in a block.
struct Seat<'a> {
    number: usize,
    lane: Lane<'a>,
    /// Where its next output goes.
    cursor: usize,
}

impl<'a> BlockRun<'a> {
    fn new(
        kernel: &'a CpuKernel,
        batch: &'a Batch<'a>,
        offsets: &'a [usize],
        first: usize,
        outputs: &'a mut [f64],
    ) -> Self {
        let mut registers = kernel.program.new_file();
        if let Control::Adaptive { rtol, atol, .. } = batch.control {
            let tolerances_at = kernel.step.tolerances_at();
            registers[tolerances_at] = [rtol; BLOCK];
            registers[tolerances_at + 1] = [atol; BLOCK];
        }
        let seats = std::array::from_fn(|_| None);
        Self { kernel, batch, offsets, origin: offsets[first], outputs, registers, seats }
    }

    fn integrate(mut self, lanes: std::ops::Range<usize>) -> Vec<(LaneReport, Schedule)> {
        let first = lanes.start;
        let mut finished: Vec<Option<(LaneReport, Schedule)>> =
            lanes.clone().map(|_| None).collect();
        let mut queue = lanes;
        loop {
            // Columns up to the last that has a lane.
            let mut used = 0;
            for w in 0..BLOCK {
                if self.propose(w, &mut queue, first, &mut finished) {
                    used = w + 1;
                }
            }
            if used == 0 {
                break;
            }
            self.kernel.program.run_lanes(&mut self.registers, used);
            self.advance(first, &mut finished);
        }
        finished.into_iter().map(|f| f.expect("every lane ends")).collect()
    }

    /// Gives column w its next attempt, seating lanes from the queue until one has one.
    fn propose(
        &mut self,
        w: usize,
        queue: &mut std::ops::Range<usize>,
        first: usize,
        finished: &mut [Option<(LaneReport, Schedule)>],
    ) -> bool {
        loop {
            let mut is_new = false;
            if self.seats[w].is_none() {
                let Some(number) = queue.next() else { return false };
                self.sit(w, number);
                is_new = true;
            }
            let Some(seat) = &mut self.seats[w] else { return false };
            let is_trivial = is_new && seat.lane.is_trivial();
            match if is_trivial { Err(LaneStatus::Ok) } else { seat.lane.propose() } {
                Ok((t, h)) => {
                    let time_at = self.kernel.step.time_at();
                    self.registers[time_at][w] = t;
                    self.registers[time_at + 1][w] = h;
                    let (moving_at, count) =
                        (self.kernel.step.moving_at(), self.kernel.step.moving_count);
                    if count > 0 {
                        let tangents = seat.lane.time_tangents().take(count);
                        for (k, (t_dot, h_dot)) in tangents.enumerate() {
                            self.registers[moving_at + k][w] = t_dot;
                            self.registers[moving_at + count + k][w] = h_dot;
                        }
                    }
                    return true;
                }
                Err(status) => {
                    if let Some(seat) = self.seats[w].take() {
                        finished[seat.number - first] = Some(seat.lane.finish(status));
                    }
                }
            }
        }
    }

    /// Loads a lane into column w.
    fn sit(&mut self, w: usize, number: usize) {
        let step = &self.kernel.step;
        let initial = &self.batch.initial[number * step.width..][..step.width];
        for (register, value) in self.registers.iter_mut().zip(initial) {
            register[w] = *value;
        }
        let slots = &self.batch.slots[number * step.slot_count..][..step.slot_count];
        for (register, value) in self.registers[step.slots_at()..].iter_mut().zip(slots) {
            register[w] = *value;
        }
        let timeline = &self.batch.timelines[self.batch.of_lane[number].position()];
        let lane = match self.batch.control {
            Control::Adaptive { max_steps, first_steps, .. } => {
                Lane::adaptive(timeline, first_steps[number], max_steps)
            }
            Control::Replay { schedules, of_lane } => {
                Lane::replay(timeline, &schedules[of_lane[number].position()])
            }
        };
        self.load_switches(w, lane.switches());
        self.seats[w] = Some(Seat { number, lane, cursor: self.offsets[number] - self.origin });
    }

    fn load_switches(&mut self, w: usize, switches: &[f64]) {
        let at = self.kernel.step.switches_at();
        for (register, value) in self.registers[at..].iter_mut().zip(switches) {
            register[w] = *value;
        }
    }

    /// Takes the outcome of the attempted step to every lane of the block.
    fn advance(&mut self, first: usize, finished: &mut [Option<(LaneReport, Schedule)>]) {
        let step = &self.kernel.step;
        let outputs = &self.kernel.program.registers.outputs;
        let magnitudes = accept::magnitudes(&self.registers, &outputs[..step.width]);
        let are_all_finite = magnitudes.iter().sum::<f64>().is_finite();
        let (errors, factors) = if step.adaptive {
            (
                self.registers[outputs[step.width] as usize],
                self.registers[outputs[step.width + 1] as usize],
            )
        } else {
            ([0.0; BLOCK], [1.0; BLOCK])
        };
        // Columns without a lane may take anything.
        let mut accepted = [true; BLOCK];
        let mut outcomes = [None; BLOCK];
        for w in 0..BLOCK {
            if let Some(seat) = &mut self.seats[w] {
                if are_all_finite && seat.lane.advance_within_replay() {
                    continue;
                }
                let outcome = seat.lane.advance(Attempt {
                    is_finite: magnitudes[w].is_finite() && !errors[w].is_nan(),
                    error_squared: errors[w],
                    factor: factors[w],
                });
                accepted[w] = outcome.accepted;
                outcomes[w] = Some(outcome);
            }
        }
        accept::take(&mut self.registers, &outputs[..step.width], &accepted);
        for w in 0..BLOCK {
            let Some(outcome) = outcomes[w] else { continue };
            if outcome.at_output
                && let Some(seat) = &mut self.seats[w]
            {
                for (i, target) in self.outputs[seat.cursor..][..step.width].iter_mut().enumerate()
                {
                    *target = self.registers[i][w];
                }
                seat.cursor += step.width;
            }
            if outcome.new_segment
                && let Some(switches) = self.seats[w].as_ref().map(|s| s.lane.switches())
            {
                self.load_switches(w, switches);
            }
            if let Some(status) = outcome.ended
                && let Some(seat) = self.seats[w].take()
            {
                finished[seat.number - first] = Some(seat.lane.finish(status));
            }
        }
    }
}
