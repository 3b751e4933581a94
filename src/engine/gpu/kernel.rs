//! Running a step program's shader over batches of lanes.

use super::buffers::Request;
use super::device::Device;
use super::groups::{self, Room};
use super::pipeline::{compile_pipeline, layout_of};
use super::traffic::{Doing, Meter};
use super::{buffers, shader};
use crate::engine::{
    Batch, BatchResult, Control, EngineError, Kernel, LaneReport, LaneStatus, Schedule,
    output_offsets,
};
use crate::rosenbrock::StepProgram;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Fields of a lane's progress, in the shader's order.
const FIELDS: usize = 9;
const SEGMENT: usize = 0;
const STEPS: usize = 1;
const STATUS: usize = 2;
const FRACTION: usize = 4;
const FRACTION_END: usize = 5;
const TABLE: usize = 6;
const SEGMENT_COUNT: usize = 7;
const OUTPUT: usize = 8;

const RUNNING: u32 = 0;

/// A dispatch should take about this long: drivers kill one that takes seconds.
pub(super) const DISPATCH_TARGET: Duration = Duration::from_millis(150);
const FIRST_ATTEMPTS: u32 = 16;
const MOST_ATTEMPTS: u32 = 512;
/// Attempts whose accepted steps an adaptive dispatch has room for.
const MOST_ADAPTIVE_ATTEMPTS: u32 = 64;

#[derive(Debug)]
pub(super) struct GpuKernel {
    device: Arc<Device>,
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    width: usize,
    slot_count: usize,
    switch_count: usize,
    moving_count: usize,
    adaptive: bool,
}

impl GpuKernel {
    pub(super) fn compile(device: Arc<Device>, step: &StepProgram) -> Result<Self, EngineError> {
        let source = shader::source(step)?;
        let layout = bind_group_layout(&device.handle, step.adaptive);
        let ops = step.program.ops().len();
        let pipeline = compile_pipeline(&device, "integrate", &source, &layout, ops)?;
        Ok(Self {
            device,
            pipeline,
            layout,
            width: step.width,
            slot_count: step.slot_count,
            switch_count: step.switch_count,
            moving_count: step.moving_count,
            adaptive: step.adaptive,
        })
    }

    /// Values of state that a lane keeps on the device.
    fn state_rows(&self) -> usize {
        self.width + 1 + usize::from(self.adaptive)
    }

    /// Values of a row of tables: of a breakpoint, or of a timeline's start.
    fn row_length(&self) -> usize {
        2 + self.switch_count + self.moving_count
    }

    /// Lanes in the order in which they are given to the device: those that replay by the number of
    /// their steps, so that neighbours end together, those of one schedule side by side.
    fn order(batch: &Batch<'_>) -> Vec<usize> {
        let mut order: Vec<usize> = (0..batch.lane_count()).collect();
        if let Control::Replay { schedules, of_lane } = batch.control {
            order.sort_by_key(|&lane| {
                let schedule = of_lane[lane].position();
                (Reverse(schedules[schedule].fractions.len()), schedule)
            });
        }
        order
    }

    /// Groups of lanes, in their order, whose buffers fit.
    fn groups(
        &self,
        batch: &Batch<'_>,
        order: &[usize],
        offsets: &[usize],
    ) -> Result<Vec<Range<usize>>, EngineError> {
        let room = Room { bytes: self.device.largest_buffer, lanes: self.device.most_lanes() };
        let rows = 8 * self.state_rows().max(self.slot_count) as u64;
        let row = 8 * self.row_length() as u64;
        // The last group that holds a timeline.
        let mut holds = vec![usize::MAX; batch.timelines.len()];
        let mut last = (usize::MAX, None);
        groups::cut(order.len(), room, |place, group| {
            let lane = order[place];
            let timeline = batch.of_lane[lane].position();
            let header = if last.0 == group { 0 } else { 16 + row };
            let table = match holds[timeline] == group {
                true => 0,
                false => row * (1 + batch.timelines[timeline].segments.len() as u64),
            };
            holds[timeline] = group;
            let schedule = match batch.control {
                Control::Adaptive { .. } => None,
                Control::Replay { of_lane, .. } => Some(of_lane[lane]),
            };
            let steps = match batch.control {
                Control::Adaptive { .. } => MOST_ADAPTIVE_ATTEMPTS as usize,
                Control::Replay { .. } if last == (group, schedule) => 0,
                Control::Replay { schedules, of_lane } => {
                    schedules[of_lane[lane].position()].fractions.len()
                }
            };
            last = (group, schedule);
            [
                rows.max(4 * FIELDS as u64),
                8 * (offsets[lane + 1] - offsets[lane]) as u64,
                8 * steps as u64,
                header + table,
            ]
        })
    }

    /// `[lane][row]` of the group's lanes as `[row][lane]`.
    fn transposed(values: &[f64], rows: usize, lanes: &[usize], target: &mut Vec<f64>) {
        for row in 0..rows {
            target.extend(lanes.iter().map(|lane| values[lane * rows + row]));
        }
    }

    /// rtol, atol and the timelines of the lanes; and where each timeline starts.
    fn tables(&self, batch: &Batch<'_>, lanes: &[usize]) -> (Vec<f64>, FxHashMap<usize, u32>) {
        let (rtol, atol) = match batch.control {
            Control::Adaptive { rtol, atol, .. } => (rtol, atol),
            Control::Replay { .. } => (0.0, 0.0),
        };
        let mut tables = vec![rtol, atol];
        let mut starts = FxHashMap::default();
        for &lane in lanes {
            let timeline = batch.of_lane[lane].position();
            if starts.contains_key(&timeline) {
                continue;
            }
            starts.insert(timeline, tables.len() as u32);
            let timeline = &batch.timelines[timeline];
            tables.extend([timeline.t_start, 0.0]);
            tables.extend(std::iter::repeat_n(0.0, self.switch_count));
            let start = &timeline.t_start_tangents;
            tables.extend((0..self.moving_count).map(|k| start.get(k).copied().unwrap_or(0.0)));
            for segment in &timeline.segments {
                tables.extend([segment.t_end, f64::from(u8::from(segment.is_output))]);
                tables.extend_from_slice(&segment.switches);
                // A timeline may know tangents that this program does not ask for.
                tables.extend_from_slice(&segment.t_end_tangents[..self.moving_count]);
            }
        }
        // A lane that has no segment still reads one row beyond its start.
        tables.extend(std::iter::repeat_n(0.0, self.row_length()));
        (tables, starts)
    }

    fn run_group(
        &self,
        batch: &Batch<'_>,
        lanes: &[usize],
        offsets: &[usize],
        result: &mut BatchResult,
    ) -> Result<(), EngineError> {
        let device = &*self.device;
        let count = lanes.len();
        let mut watch = device.meter.watch(Doing::Preparing);
        Meter::add(&device.meter.lanes, count as u64);
        let (tables, table_starts) = self.tables(batch, lanes);
        let mut state = Vec::with_capacity(count * self.state_rows());
        Self::transposed(batch.initial, self.width, lanes, &mut state);
        state.extend(std::iter::repeat_n(0.0, count));
        let mut slots = Vec::with_capacity(count * self.slot_count);
        Self::transposed(batch.slots, self.slot_count, lanes, &mut slots);

        let mut progress = vec![0_u32; FIELDS * count];
        // Where the lanes' outputs start, and the last ones end.
        let mut places = Vec::with_capacity(count + 1);
        places.push(0);
        for (l, &lane) in lanes.iter().enumerate() {
            let timeline = batch.of_lane[lane].position();
            let segments = batch.timelines[timeline].segments.len() as u32;
            progress[TABLE * count + l] = table_starts[&timeline];
            progress[SEGMENT_COUNT * count + l] = segments;
            progress[STATUS * count + l] = u32::from(segments == 0);
            progress[OUTPUT * count + l] = places[l] as u32;
            places.push(places[l] + offsets[lane + 1] - offsets[lane]);
        }
        let (fractions, most_attempts, max_steps) = match batch.control {
            Control::Adaptive { first_steps, max_steps, .. } => {
                state.extend(lanes.iter().map(|&lane| first_steps[lane]));
                let bytes = 8 * u64::from(MOST_ADAPTIVE_ATTEMPTS) * count as u64;
                (buffers::empty(device, "fractions", bytes), MOST_ADAPTIVE_ATTEMPTS, max_steps)
            }
            Control::Replay { schedules, of_lane } => {
                let mut all = Vec::new();
                // Lanes of one point share a schedule and stand side by side.
                let mut last = None;
                for (l, &lane) in lanes.iter().enumerate() {
                    let fractions = &schedules[of_lane[lane].position()].fractions;
                    let start = match last {
                        Some((schedule, start)) if schedule == of_lane[lane] => start,
                        _ => {
                            let start = all.len();
                            all.extend_from_slice(fractions);
                            start
                        }
                    };
                    last = Some((of_lane[lane], start));
                    progress[FRACTION * count + l] = start as u32;
                    progress[FRACTION_END * count + l] = (start + fractions.len()) as u32;
                }
                (buffers::filled(device, "fractions", &all), MOST_ATTEMPTS, u32::MAX)
            }
        };
        let output_bytes = 8 * places[count] as u64;
        let progress_buffer = buffers::filled(device, "progress", &progress);
        let outputs = buffers::empty(device, "outputs", output_bytes);
        let mut active: Vec<u32> = (0..count as u32)
            .filter(|&l| progress[STATUS * count + l as usize] == RUNNING)
            .collect();
        let active_buffer = buffers::filled(device, "lanes", &active);
        // Of the progress, what is needed between two dispatches: from STATUS on, to FRACTION where that
        // tells how many steps were accepted.
        let told_fields = if self.adaptive { FRACTION + 1 - STATUS } else { 1 };
        let mut attempts = FIRST_ATTEMPTS.min(most_attempts);
        let run = buffers::uniform(device, "run", &[0_u32; 4]);
        let state = buffers::filled(device, "state", &state);
        let slots = buffers::filled(device, "slots", &slots);
        let tables = buffers::filled(device, "tables", &tables);
        let bound =
            [&run, &active_buffer, &slots, &state, &progress_buffer, &tables, &fractions, &outputs];
        let entries: Vec<wgpu::BindGroupEntry<'_>> = bound
            .iter()
            .enumerate()
            .map(|(i, b)| wgpu::BindGroupEntry {
                binding: i as u32,
                resource: b.as_entire_binding(),
            })
            .collect();
        let bindings = device.handle.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("integrate"),
            layout: &self.layout,
            entries: &entries,
        });

        while !active.is_empty() {
            let settings = [active.len() as u32, count as u32, attempts, max_steps];
            device.write(&run, &settings);
            device.write(&active_buffer, &active);
            watch.turn(Doing::Waiting);
            let began = Instant::now();
            self.dispatch(&bindings, active.len());
            let told = Request {
                buffer: &progress_buffer,
                offset: 4 * (STATUS * count) as u64,
                bytes: 4 * (told_fields * count) as u64,
            };
            let mut requests = vec![told];
            if self.adaptive {
                let bytes = 8 * u64::from(attempts) * count as u64;
                requests.push(Request { buffer: &fractions, offset: 0, bytes });
            }
            let bytes = buffers::read_back(device, count, &requests)?;
            let took = began.elapsed();
            watch.turn(Doing::Collecting);
            progress[STATUS * count..][..told_fields * count]
                .copy_from_slice(&bytes[0].values(told_fields * count));
            if let Some(bytes) = bytes.get(1) {
                let accepted = bytes.values::<f64>(attempts as usize * count);
                for &l in &active {
                    let l = l as usize;
                    let taken = progress[FRACTION * count + l] as usize;
                    let schedule = &mut result.schedules[lanes[l]];
                    schedule.fractions.extend((0..taken).map(|k| accepted[k * count + l]));
                    progress[FRACTION * count + l] = 0;
                }
                let taken = &progress[FRACTION * count..][..count];
                device.write_at(&progress_buffer, 4 * (FRACTION * count) as u64, taken);
            }
            active.retain(|&l| progress[STATUS * count + l as usize] == RUNNING);
            // The number of attempts in a dispatch never changes a result.
            if took < DISPATCH_TARGET / 2 {
                attempts = (attempts * 2).min(most_attempts);
            } else if took > DISPATCH_TARGET {
                attempts = (attempts / 2).max(1);
            }
        }
        watch.turn(Doing::Waiting);
        let row_bytes = 8 * count as u64;
        let requests = [
            Request { buffer: &outputs, offset: 0, bytes: output_bytes },
            Request { buffer: &state, offset: self.width as u64 * row_bytes, bytes: row_bytes },
            Request { buffer: &progress_buffer, offset: 0, bytes: 4 * progress.len() as u64 },
        ];
        let bytes = buffers::read_back(device, count, &requests)?;
        watch.turn(Doing::Collecting);
        let values = bytes[0].values::<f64>(places[count]);
        let done = bytes[1].values::<f64>(count);
        let progress = bytes[2].values::<u32>(progress.len());
        for (l, &lane) in lanes.iter().enumerate() {
            let reached = progress[OUTPUT * count + l] as usize;
            let start = places[l];
            result.outputs[offsets[lane]..offsets[lane] + (reached - start)]
                .copy_from_slice(&values[start..reached]);
            let timeline = &batch.timelines[batch.of_lane[lane].position()];
            let segment = progress[SEGMENT * count + l] as usize;
            let t_start = match segment.checked_sub(1) {
                Some(last) => timeline.segments[last].t_end,
                None => timeline.t_start,
            };
            let length = timeline.segments.get(segment).map_or(0.0, |s| s.t_end - t_start);
            let t = done[l].mul_add(length, t_start);
            result.reports[lane] = LaneReport {
                status: status(progress[STATUS * count + l]),
                steps: progress[STEPS * count + l],
                retries: 0,
                t,
            };
        }
        Ok(())
    }

    fn dispatch(&self, bindings: &wgpu::BindGroup, active: usize) {
        let [x, y] = self.device.workgroups(active);
        Meter::add(&self.device.meter.dispatches, 1);
        let mut encoder = self.device.handle.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, bindings, &[]);
            pass.dispatch_workgroups(x, y, 1);
        }
        self.device.queue.submit([encoder.finish()]);
    }
}

/// The bindings of `shaders/integrate.wgsl`. Not left to the pipeline: it would drop those that a
/// program has no use for, such as slots.
fn bind_group_layout(device: &wgpu::Device, adaptive: bool) -> wgpu::BindGroupLayout {
    let storage = |read_only| wgpu::BufferBindingType::Storage { read_only };
    layout_of(
        device,
        &[
            wgpu::BufferBindingType::Uniform,
            storage(true),
            storage(true),
            storage(false),
            storage(false),
            storage(true),
            storage(!adaptive),
            storage(false),
        ],
    )
}

/// The status that the shader's number stands for.
fn status(number: u32) -> LaneStatus {
    match number {
        1 => LaneStatus::Ok,
        2 => LaneStatus::TooManySteps,
        3 => LaneStatus::StepTooSmall,
        _ => LaneStatus::NotFinite,
    }
}

impl Kernel for GpuKernel {
    fn run(&self, batch: &Batch<'_>) -> Result<BatchResult, EngineError> {
        let lanes = batch.lane_count();
        let offsets = output_offsets(batch, self.width);
        let pending =
            LaneReport { status: LaneStatus::NotFinite, steps: 0, retries: 0, t: f64::NAN };
        let mut result = BatchResult {
            outputs: vec![f64::NAN; offsets[lanes]],
            offsets: Vec::new(),
            reports: vec![pending; lanes],
            schedules: vec![Schedule::default(); if self.adaptive { lanes } else { 0 }],
        };
        let order = Self::order(batch);
        for group in self.groups(batch, &order, &offsets)? {
            self.run_group(batch, &order[group], &offsets, &mut result)?;
        }
        result.offsets = offsets;
        Ok(result)
    }
}
