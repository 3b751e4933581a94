//! Going backwards through replayed lanes on the GPU.
//!
//! Groups of lanes with about as many steps go forwards through pieces of their steps while states
//! are written down on the device, then backwards. Where all states do not fit, those at the starts of
//! pieces are kept, and the pieces computed again, as on the CPU.

use super::buffers::{self, Request};
use super::device::Device;
use super::groups::Room;
use super::kernel::DISPATCH_TARGET;
use super::pipeline::{compile_pipeline, layout_of};
use super::shader;
use super::traffic::{Doing, Meter};
use crate::engine::cpu::planned_steps;
use crate::engine::{EngineError, ReverseBatch, ReverseKernel, ReverseResult};
use crate::rosenbrock::{ReverseStep, StepProgram};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// Steps of the first dispatch, and of any.
const FIRST_STEPS: u32 = 16;
const MOST_STEPS: u32 = 512;
/// Bytes that tell a step of a lane: start, size and their adjoints; places.
const PLAN_BYTES: u64 = 16;

#[derive(Debug)]
pub(super) struct GpuReverseKernel {
    device: Arc<Device>,
    layout: wgpu::BindGroupLayout,
    /// Forwards, backwards.
    pipelines: [wgpu::ComputePipeline; 2],
    state_count: usize,
    carried_count: usize,
    /// Slots whose adjoints the step gives.
    slot_count: usize,
    switch_count: usize,
    has_times: bool,
}

/// A group of lanes on the device.
struct Group<'a> {
    kernel: &'a GpuReverseKernel,
    run: wgpu::Buffer,
    bindings: [wgpu::BindGroup; 2],
    lanes: u32,
    tape_start: u32,
    /// Steps of the next dispatch.
    attempts: u32,
}

impl Group<'_> {
    /// Takes the lanes through some steps of the piece on the tape.
    fn go(&mut self, steps: Range<u32>, is_backward: bool) -> Result<(), EngineError> {
        let device = &*self.kernel.device;
        let mut left = steps;
        while !left.is_empty() {
            let count = self.attempts.min(left.len() as u32);
            let first_step = if is_backward {
                left.end -= count;
                left.end + count - 1
            } else {
                left.start += count;
                left.start - count
            };
            let settings = [self.lanes, first_step, count, self.tape_start];
            device.write(&self.run, &settings);
            let mut watch = device.meter.watch(Doing::Waiting);
            let began = Instant::now();
            let [x, y] = device.workgroups(self.lanes as usize);
            let mut encoder = device.handle.create_command_encoder(&Default::default());
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.set_pipeline(&self.kernel.pipelines[usize::from(is_backward)]);
                pass.set_bind_group(0, &self.bindings[usize::from(is_backward)], &[]);
                pass.dispatch_workgroups(x, y, 1);
            }
            Meter::add(&device.meter.dispatches, 1);
            let submission = device.queue.submit([encoder.finish()]);
            device.wait(self.lanes as usize, submission)?;
            watch.turn(Doing::Collecting);
            // The number of steps in a dispatch never changes a result.
            let took = began.elapsed();
            if took < DISPATCH_TARGET / 2 {
                self.attempts = (self.attempts * 2).min(MOST_STEPS);
            } else if took > DISPATCH_TARGET {
                self.attempts = (self.attempts / 2).max(1);
            }
        }
        Ok(())
    }

    fn copy(&self, from: (&wgpu::Buffer, u64), to: (&wgpu::Buffer, u64), bytes: u64) {
        let device = &*self.kernel.device;
        let mut encoder = device.handle.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(from.0, from.1, to.0, to.1, bytes);
        device.queue.submit([encoder.finish()]);
    }
}

impl GpuReverseKernel {
    pub(super) fn compile(
        device: Arc<Device>,
        replay: &StepProgram,
        step: &ReverseStep,
    ) -> Result<Self, EngineError> {
        let storage = |read_only| wgpu::BufferBindingType::Storage { read_only };
        let layout = layout_of(
            &device.handle,
            &[
                wgpu::BufferBindingType::Uniform,
                storage(true),
                storage(false),
                storage(false),
                storage(true),
                storage(true),
                storage(true),
                storage(false),
            ],
        );
        let [forward, backward] = shader::reverse_sources(replay, step)?;
        let ops = step.program.ops().len();
        let forward = compile_pipeline(&device, "forwards", &forward, &layout, ops)?;
        let backward = compile_pipeline(&device, "backwards", &backward, &layout, ops)?;
        Ok(Self {
            device,
            layout,
            pipelines: [forward, backward],
            state_count: step.state_count,
            carried_count: step.carried_count,
            slot_count: step.slots.len(),
            switch_count: step.switch_count,
            has_times: step.has_times,
        })
    }

    /// Steps of a piece, of so many steps of so many lanes.
    fn piece(&self, steps: u64, lanes: u64) -> u64 {
        let each = 8 * self.state_count as u64 * lanes;
        if steps * each <= self.device.largest_buffer { steps } else { steps.isqrt() + 1 }.max(1)
    }

    /// Groups of lanes, in order of their steps, whose buffers fit.
    fn groups(
        &self,
        batch: &ReverseBatch<'_>,
        order: &[usize],
    ) -> Result<Vec<Range<usize>>, EngineError> {
        let room = Room { bytes: self.device.largest_buffer, lanes: self.device.most_lanes() };
        let n = self.state_count;
        let (mut groups, mut start) = (Vec::new(), 0);
        while start < order.len() {
            let most = batch.schedules[order[start]].fractions.len() as u64;
            let rows = 8 * (n + self.slot_count.max(self.carried_count)) as u64;
            let needs = |lanes: u64, tables: u64| {
                let piece = self.piece(most, lanes);
                let kept = piece.max(most.div_ceil(piece));
                let tape = kept * 8 * n as u64;
                [lanes * rows, lanes * tape, lanes * (most + 1) * PLAN_BYTES, tables]
            };
            let (mut end, mut tables) = (start, 0);
            while end < order.len() && end - start < room.lanes {
                let timeline = &batch.timelines[batch.of_lane[order[end]].position()];
                let switches = timeline.segments.len() * self.switch_count;
                let more = 8 * (switches + timeline.output_count() * n) as u64;
                if let Err(error) = room.check(&needs((end + 1 - start) as u64, tables + more)) {
                    match end == start {
                        true => return Err(error),
                        false => break,
                    }
                }
                tables += more;
                end += 1;
            }
            groups.push(start..end);
            start = end;
        }
        Ok(groups)
    }

    fn run_group(
        &self,
        batch: &ReverseBatch<'_>,
        lanes: &[usize],
        outputs: &[Vec<Option<usize>>],
        result: &mut ReverseResult,
    ) -> Result<(), EngineError> {
        let device = &*self.device;
        let (n, m, count) = (self.state_count, self.slot_count, lanes.len());
        let plans: Vec<_> = lanes
            .iter()
            .map(|&lane| {
                let timeline = &batch.timelines[batch.of_lane[lane].position()];
                planned_steps(timeline, batch.schedules[lane])
            })
            .collect();
        let most = plans.iter().map(Vec::len).max().unwrap_or(0);
        if most == 0 {
            return Ok(());
        }
        let transposed = |values: &[f64], rows: usize| -> Vec<f64> {
            (0..rows).flat_map(|row| lanes.iter().map(move |l| values[l * rows + row])).collect()
        };
        let mut tables: Vec<f64> = Vec::new();
        let mut steps = vec![0.0; 2 * most * count];
        let mut places = vec![0_u32; (1 + 2 * most) * count];
        for (w, (&lane, plan)) in lanes.iter().zip(&plans).enumerate() {
            places[w] = plan.len() as u32;
            let timeline = &batch.timelines[batch.of_lane[lane].position()];
            let switches = tables.len();
            timeline.segments.iter().for_each(|s| tables.extend_from_slice(&s.switches));
            for (j, step) in plan.iter().enumerate() {
                steps[2 * j * count + w] = step.t;
                steps[(2 * j + 1) * count + w] = step.h;
                let of_segment = switches + step.segment * self.switch_count;
                places[(1 + 2 * j) * count + w] = of_segment as u32;
                if let (true, Some(output)) = (step.is_last, outputs[lane][step.segment]) {
                    places[(2 + 2 * j) * count + w] = tables.len() as u32 + 1;
                    tables.extend_from_slice(&batch.adjoints[output..][..n]);
                }
            }
        }
        let piece = self.piece(most as u64, count as u64) as usize;
        let starts: Vec<usize> = (0..most).step_by(piece).collect();
        let state_bytes = 8 * (n * count) as u64;
        let states = buffers::filled(device, "states", &transposed(batch.initial, n));
        let adjoints = buffers::empty(device, "adjoints", 8 * ((n + m) * count) as u64);
        let kept = buffers::empty(device, "kept", state_bytes * starts.len() as u64);
        let tape = buffers::empty(device, "tape", state_bytes * piece as u64);
        let slots = buffers::filled(device, "slots", &transposed(batch.slots, self.carried_count));
        let (steps, places) =
            (buffers::filled(device, "steps", &steps), buffers::filled(device, "places", &places));
        let tables = buffers::filled(device, "tables", &tables);
        let times_length = if self.has_times { 2 * most * count } else { 0 };
        let times = buffers::empty(device, "times", 8 * times_length as u64);
        let run = buffers::uniform(device, "run", &[0_u32; 4]);
        let bindings = [&states, &adjoints].map(|state| {
            let bound = [&run, &slots, state, &tape, &steps, &places, &tables, &times];
            let entries: Vec<wgpu::BindGroupEntry<'_>> = bound
                .iter()
                .zip(0..)
                .map(|(b, binding)| wgpu::BindGroupEntry {
                    binding,
                    resource: b.as_entire_binding(),
                })
                .collect();
            device.handle.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("reverse"),
                layout: &self.layout,
                entries: &entries,
            })
        });
        let mut group = Group {
            kernel: self,
            run,
            bindings,
            lanes: count as u32,
            tape_start: 0,
            attempts: FIRST_STEPS,
        };
        let end = |start: usize| (start + piece).min(most) as u32;
        for (c, &start) in starts.iter().enumerate() {
            group.copy((&states, 0), (&kept, state_bytes * c as u64), state_bytes);
            group.tape_start = start as u32;
            group.go(start as u32..end(start), false)?;
        }
        for (c, &start) in starts.iter().enumerate().rev() {
            // The last piece is on the tape already.
            if c + 1 < starts.len() {
                group.copy((&kept, state_bytes * c as u64), (&states, 0), state_bytes);
                group.tape_start = start as u32;
                group.go(start as u32..end(start), false)?;
            }
            group.go(start as u32..end(start), true)?;
        }
        let requests = [
            Request { buffer: &adjoints, offset: 0, bytes: 8 * ((n + m) * count) as u64 },
            Request { buffer: &times, offset: 0, bytes: 8 * times_length as u64 },
        ];
        let bytes =
            buffers::read_back(device, count, &requests[..1 + usize::from(self.has_times)])?;
        let values = bytes[0].values::<f64>((n + m) * count);
        for (w, (&lane, plan)) in lanes.iter().zip(&plans).enumerate() {
            for i in 0..n {
                result.states[lane * n + i] = values[i * count + w];
            }
            for i in 0..m {
                result.slots[lane * m + i] = values[(n + i) * count + w];
            }
            let again = starts.last().map_or(0, |last| plan.len().min(*last));
            result.steps += (2 * plan.len() + again) as u64;
            if let Some(bytes) = bytes.get(1) {
                let of = bytes.values::<f64>(times_length);
                for (j, step) in plan.iter().enumerate().rev() {
                    let [of_t, of_h] = [0, 1].map(|k| of[(2 * j + k) * count + w]);
                    step.add_times(of_t, of_h, &mut result.times[lane]);
                }
            }
        }
        Ok(())
    }
}

impl ReverseKernel for GpuReverseKernel {
    fn run(&self, batch: &ReverseBatch<'_>) -> Result<ReverseResult, EngineError> {
        let lanes = batch.of_lane.len();
        let mut cursor = 0;
        let timelines = batch.of_lane.iter().map(|t| &batch.timelines[t.position()]);
        let outputs: Vec<Vec<Option<usize>>> = timelines
            .clone()
            .map(|timeline| {
                let mut place = |is_output: bool| {
                    is_output.then(|| {
                        cursor += self.state_count;
                        cursor - self.state_count
                    })
                };
                timeline.segments.iter().map(|s| place(s.is_output)).collect()
            })
            .collect();
        // Lanes of a group wait for its longest.
        let mut order: Vec<usize> = (0..lanes).collect();
        order.sort_by_key(|&lane| std::cmp::Reverse(batch.schedules[lane].fractions.len()));
        let times = |segments: usize| if self.has_times { segments + 1 } else { 0 };
        let mut result = ReverseResult {
            states: vec![0.0; lanes * self.state_count],
            slots: vec![0.0; lanes * self.slot_count],
            times: timelines.map(|t| vec![0.0; times(t.segments.len())]).collect(),
            steps: 0,
        };
        for group in self.groups(batch, &order)? {
            self.run_group(batch, &order[group], &outputs, &mut result)?;
        }
        Ok(result)
    }
}
