//! The reverse kernel by itself, on x' = −k·x + s·u with a known discrete gradient, and its
//! checkpoints.

use crate::gpu_adapter::adapter;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::gpu::GpuEngine;
use gradsweep::engine::{
    Batch, BatchResult, Control, Engine, ReverseBatch, ReverseResult, Schedule, Segment, Timeline,
};
use gradsweep::graph::{Graph, Input};
use gradsweep::index::{DirectionIdx, ScheduleIdx, SlotIdx, StateIdx, SwitchIdx, TimelineIdx};
use gradsweep::rosenbrock::{RightHandSide, StepGenerator};

const K: SlotIdx = SlotIdx(0);
const U: SlotIdx = SlotIdx(1);

/// States xᵢ' = −k·xᵢ·x₀ + s·u·t + xᵢ₊₁, cyclic: nonlinear, with time and a switch s.
fn ring(n: usize) -> RightHandSide {
    let mut graph = Graph::new();
    let [k, u] = [K, U].map(|slot| graph.input(Input::Slot(slot)));
    let s = graph.input(Input::Switch(SwitchIdx(0)));
    let t = graph.input(Input::Time);
    let x: Vec<_> = (0..n).map(|i| graph.input(Input::State(StateIdx::from_position(i)))).collect();
    let mut derivatives = Vec::new();
    for i in 0..n {
        let product = graph.mul(x[i], x[0]);
        let decay = graph.mul(k, product);
        let flow = graph.sub(x[(i + 1) % n], decay);
        let (ramp, on) = (graph.mul(u, t), s);
        let inflow = graph.mul(on, ramp);
        derivatives.push(graph.add(flow, inflow));
    }
    RightHandSide { graph, derivatives, slots: vec![K, U], switch_count: 1 }
}

/// Two segments; the end of the first moves along k, both are outputs.
fn timeline() -> Timeline {
    let segment = |t_end: f64, on: f64, along_k: f64| Segment {
        t_end,
        is_output: true,
        switches: vec![on],
        t_end_tangents: vec![along_k],
    };
    Timeline {
        t_start: 0.2,
        t_start_tangents: vec![0.3],
        segments: vec![segment(1.0, 1.0, -0.7), segment(2.5, 0.0, 0.0)],
    }
}

fn schedule(steps: usize) -> Schedule {
    let each = 1.0 / steps as f64;
    let mut fractions = vec![each; 2 * steps];
    fractions[steps - 1] = -each;
    fractions[2 * steps - 1] = -each;
    Schedule { fractions }
}

struct Lanes {
    n: usize,
    initial: Vec<f64>,
    slots: Vec<f64>,
    schedules: Vec<Schedule>,
    /// What is wanted of each output.
    weights: Vec<f64>,
}

impl Lanes {
    fn new(n: usize, steps: &[usize]) -> Self {
        let wave = |i: usize| (0.7 * i as f64).sin();
        let lanes = steps.len();
        Self {
            n,
            initial: (0..lanes * n).map(|i| 1.0 + 0.5 * wave(i)).collect(),
            slots: (0..lanes).flat_map(|l| [0.8 + 0.05 * (l % 20) as f64, 0.6]).collect(),
            schedules: steps.iter().map(|&s| schedule(s)).collect(),
            weights: (0..lanes * 2 * n).map(|i| wave(i + 3)).collect(),
        }
    }

    fn count(&self) -> usize {
        self.schedules.len()
    }

    fn backwards(&self) -> ReverseResult {
        self.backwards_on(&CpuEngine)
    }

    fn backwards_on(&self, engine: &dyn Engine) -> ReverseResult {
        let generator = StepGenerator::new(&ring(self.n));
        let (replay, reverse) = (generator.replay(), generator.reverse(&[K, U], true));
        let kernel = engine.prepare_reverse(&replay, &reverse).unwrap();
        let schedules: Vec<&Schedule> = self.schedules.iter().collect();
        kernel
            .run(&ReverseBatch {
                initial: &self.initial,
                slots: &self.slots,
                timelines: &[timeline()],
                of_lane: &vec![TimelineIdx(0); self.count()],
                schedules: &schedules,
                adjoints: &self.weights,
            })
            .unwrap()
    }

    /// States and tangents along k, which moves breakpoints, u and a direction of each state that is
    /// asked for.
    fn forwards(&self, state: usize) -> BatchResult {
        let generator = StepGenerator::new(&ring(self.n));
        let step = generator.replay_with_tangents(&[K, U, SlotIdx(9)], &[DirectionIdx(0)]);
        let kernel = CpuEngine.prepare(&step).unwrap();
        let n = self.n;
        let mut initial = Vec::new();
        for lane in 0..self.count() {
            initial.extend_from_slice(&self.initial[lane * n..][..n]);
            initial.extend(std::iter::repeat_n(0.0, 2 * n));
            initial.extend((0..n).map(|i| f64::from(u8::from(i == state))));
        }
        let of_lane: Vec<ScheduleIdx> = (0..self.count()).map(ScheduleIdx::from_position).collect();
        kernel
            .run(&Batch {
                initial: &initial,
                slots: &self.slots,
                timelines: &[timeline()],
                of_lane: &vec![TimelineIdx(0); self.count()],
                control: Control::Replay { schedules: &self.schedules, of_lane: &of_lane },
            })
            .unwrap()
    }

    /// Derivatives of the weighted outputs of a lane along the three directions.
    fn derivatives(&self, forward: &BatchResult, lane: usize) -> [f64; 3] {
        let (n, offset) = (self.n, forward.offsets[lane]);
        [1, 2, 3].map(|d| {
            let terms = (0..2 * n).map(|i| {
                let (output, state) = (i / n, i % n);
                let value = forward.outputs[offset + output * 4 * n + d * n + state];
                self.weights[(lane * 2 + output) * n + state] * value
            });
            terms.sum()
        })
    }
}

/// The adjoints of slots, of a breakpoint's time and of the first state, against tangents.
#[test]
fn the_reverse_kernel_is_the_transpose_of_the_tangents() {
    // Lanes of many lengths, more than a block.
    let steps: Vec<usize> = (0..37).map(|i| 1 + (i * 7) % 23).collect();
    let lanes = Lanes::new(3, &steps);
    let (forward, backward) = (lanes.forwards(1), lanes.backwards());
    for lane in 0..lanes.count() {
        let [along_k, along_u, along_state] = lanes.derivatives(&forward, lane);
        let times = &backward.times[lane];
        // k moves the start and the first breakpoint, too.
        let of_k = backward.slots[2 * lane] + 0.3 * times[0] - 0.7 * times[1];
        let scale = along_k.abs() + along_u.abs() + along_state.abs();
        for (found, expected) in [
            (of_k, along_k),
            (backward.slots[2 * lane + 1], along_u),
            (backward.states[3 * lane + 1], along_state),
        ] {
            // Rounding of up to 46 steps.
            assert!((found - expected).abs() <= 1e-13 * scale, "lane {lane}: {found} {expected}");
        }
    }
}

pub fn gpu_engine() -> Option<GpuEngine> {
    adapter().map(|adapter| GpuEngine::open(&adapter).unwrap())
}

/// The two engines share no code below the programs and the plan of steps.
#[test]
fn the_gpu_engine_goes_back_as_the_cpu_engine_does() {
    let Some(gpu) = gpu_engine() else { return };
    let short: Vec<usize> = (0..77).map(|i| 1 + (i * 7) % 23).collect();
    // Lanes of 30,000 steps: states of 4,000 lanes would take 5.8 GB.
    let mut long = vec![15_000; 3];
    long.extend(std::iter::repeat_n(15, 4000));
    for steps in [short, long] {
        let lanes = Lanes::new(3, &steps);
        let (cpu, gpu) = (lanes.backwards(), lanes.backwards_on(&gpu));
        for lane in 0..lanes.count() {
            let all = [&cpu.states[3 * lane..][..3], &cpu.slots[2 * lane..][..2], &cpu.times[lane]];
            // Weights are of size 1.
            let scale = all.into_iter().flatten().fold(1.0_f64, |most, v| v.abs().max(most));
            for (ours, theirs) in [
                (&cpu.states[3 * lane..][..3], &gpu.states[3 * lane..][..3]),
                (&cpu.slots[2 * lane..][..2], &gpu.slots[2 * lane..][..2]),
                (cpu.times[lane].as_slice(), gpu.times[lane].as_slice()),
            ] {
                assert_eq!(ours.len(), theirs.len());
                // A driver may fuse and rearrange: rounding of all steps.
                let accepted = 1e-12 * scale;
                for (a, b) in ours.iter().zip(theirs) {
                    assert!((a - b).abs() <= accepted, "lane {lane}: {ours:?}, {theirs:?}");
                }
            }
        }
    }
}

/// Adapters that allow little: lanes are cut into more groups and longer trajectories into pieces, and
/// no bit changes.
#[test]
fn small_adapters_go_back_to_the_same_bits() {
    let Some(adapter) = adapter() else { return };
    let whole = GpuEngine::open(&adapter).unwrap();
    let mut steps: Vec<usize> = (0..300).map(|i| 1 + (i * 7) % 23).collect();
    steps.push(700);
    let lanes = Lanes::new(3, &steps);
    let expected = lanes.backwards_on(&whole);
    let few_groups = wgpu::Limits { max_compute_workgroups_per_dimension: 2, ..Default::default() };
    // 1,400 steps of one lane take 22,416 bytes, 33,600 with the states before each.
    let small = wgpu::Limits { max_storage_buffer_binding_size: 30_000, ..Default::default() };
    for (limits, repeats) in [(wgpu::Limits::default(), false), (few_groups, false), (small, true)]
    {
        let engine = GpuEngine::open_within(&adapter, limits).unwrap();
        let found = lanes.backwards_on(&engine);
        assert!(
            (&found.states, &found.slots, &found.times)
                == (&expected.states, &expected.slots, &expected.times)
        );
        // Pieces that were forgotten are gone through again.
        assert_eq!(found.steps > expected.steps, repeats);
    }
}

/// A trajectory too long to be written down is computed again piece by piece: to the same bits as one
/// of which it is the second half would be, and in bounded memory.
#[test]
fn long_trajectories_are_computed_again() {
    // 12 states of 16 lanes take 1.5 KiB a step: 60,000 steps would be 92 MB, of which 64 MiB are kept.
    let (n, steps) = (12, 30_000);
    let mut counts = [steps; 16];
    counts[1] = 40;
    let lanes = Lanes::new(n, &counts);
    let (forward, backward) = (lanes.forwards(5), lanes.backwards());
    for lane in 0..2 {
        let [along_k, along_u, along_state] = lanes.derivatives(&forward, lane);
        let times = &backward.times[lane];
        let of_k = backward.slots[2 * lane] + 0.3 * times[0] - 0.7 * times[1];
        let scale = along_k.abs() + along_u.abs() + along_state.abs();
        for (found, expected) in [
            (of_k, along_k),
            (backward.slots[2 * lane + 1], along_u),
            (backward.states[n * lane + 5], along_state),
        ] {
            // Rounding of 60,000 steps.
            assert!((found - expected).abs() <= 1e-11 * scale, "lane {lane}: {found} {expected}");
        }
    }
    let (long, short) = (15 * 2 * steps, 2 * 40);
    // Once forwards and backwards; of the long lanes the 27 % that are not kept forwards twice.
    let once = (2 * (long + short)) as f64;
    let again = (backward.steps as f64 - once) / long as f64;
    assert!((0.27..0.29).contains(&again), "{again} of the steps were computed again");
    // Lanes that have a block to themselves do not notice the others' checkpoints.
    for range in [0..1, 1..2, 0..3] {
        let mut alone = Lanes::new(n, &counts);
        alone.initial = alone.initial[range.start * n..range.end * n].to_vec();
        alone.slots = alone.slots[2 * range.start..2 * range.end].to_vec();
        alone.schedules = alone.schedules[range.clone()].to_vec();
        alone.weights = alone.weights[range.start * 2 * n..range.end * 2 * n].to_vec();
        let alone = alone.backwards();
        assert_eq!(alone.slots, backward.slots[2 * range.start..2 * range.end]);
        assert_eq!(alone.states, backward.states[n * range.start..n * range.end]);
    }
}
