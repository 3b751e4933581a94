//! Sizes of step programs, their time on the CPU engine and their compile time as shaders, against
//! the number of states.
//!
//! Models are chains of 4 to 64 species: reversible mass action between neighbours, a saturated
//! (Michaelis–Menten) flow back to the first species from every second one, and an inflow. Both
//! the Jacobian and its LU factors are sparse but not banded, as in signalling pathways. The table
//! tells up to which size a program should be unrolled into a shader, and how many tangents fit
//! into one program; `LARGEST_SHADER` and `LARGEST_TANGENT_SHADER` of `src/cli/engines.rs` and
//! `LARGEST_TANGENT_PROGRAM` of `src/sweep/evaluator.rs` rest on such figures.
//!
//! Each compile is done once: drivers may keep shaders they have seen in a cache, which would turn
//! a repeated measurement into one of the cache. For the same reason Mesa's cache is best switched
//! off: `MESA_SHADER_CACHE_DISABLE=true`. `-- cpu` leaves the GPU engine out.

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::cpu::block::BlockProgram;
use gradsweep::engine::cpu::interpreter::BLOCK;
use gradsweep::engine::gpu::{self, GpuEngine};
use gradsweep::engine::{
    Batch, Control, Engine, EngineError, Kernel, LaneStatus, Schedule, Segment, Timeline,
};
use gradsweep::graph::{Graph, Input, NodeId, Ternary};
use gradsweep::index::{ScheduleIdx, SlotIdx, StateIdx, TimelineIdx};
use gradsweep::program::registers::RegisterProgram;
use gradsweep::program::{Op, Program};
use gradsweep::rosenbrock::{RightHandSide, StepGenerator, StepProgram};
use std::time::{Duration, Instant};

const STATES: [usize; 5] = [4, 8, 16, 32, 64];
/// Directions of the tangent program beside the one-direction program.
const DIRECTIONS: usize = 6;
/// Programs with more operations are not compiled as shaders: it would take minutes.
const LARGEST_SHADER: usize = 20_000;
/// Steps of each lane that is timed, all of one size.
const STEPS: usize = 64;
const LANES: usize = 256;
/// A program's time is the best of as many runs as fit into this.
const TIME_FOR_RUNS: Duration = Duration::from_millis(300);

/// Slots of the chain: forward and backward rate, then maximum, half saturation and inflow.
const SLOT_VALUES: [f64; 8] = [0.7, 0.3, 0.5, 0.2, 0.1, 0.9, 0.4, 0.6];

/// A chain of n species. Neighbours share one of two pairs of rate constants, alternately.
fn chain(n: usize) -> RightHandSide {
    let mut graph = Graph::new();
    let slots: Vec<SlotIdx> = (0..SLOT_VALUES.len()).map(SlotIdx::from_position).collect();
    let p: Vec<NodeId> = slots.iter().map(|&s| graph.input(Input::Slot(s))).collect();
    let x: Vec<NodeId> =
        (0..n).map(|i| graph.input(Input::State(StateIdx::from_position(i)))).collect();
    let mut derivatives = vec![graph.constant(0.0); n];
    derivatives[0] = p[4];
    let mut flow = |graph: &mut Graph, from: usize, to: usize, rate: NodeId| {
        derivatives[from] = graph.sub(derivatives[from], rate);
        derivatives[to] = graph.add(derivatives[to], rate);
    };
    for i in 1..n {
        let (forward, backward) = if i % 2 == 0 { (p[0], p[1]) } else { (p[5], p[6]) };
        let there = graph.mul(forward, x[i - 1]);
        let back = graph.mul(backward, x[i]);
        let rate = graph.sub(there, back);
        flow(&mut graph, i - 1, i, rate);
        if i % 2 == 0 {
            // Vmax·x/(K + x).
            let most = graph.mul(p[2], x[i]);
            let half = if i % 4 == 0 { p[3] } else { p[7] };
            let scale = graph.add(half, x[i]);
            let rate = graph.div(most, scale);
            flow(&mut graph, i, 0, rate);
        }
    }
    RightHandSide { graph, derivatives, slots, switch_count: 0 }
}

/// Runs some lanes over `steps` equal steps.
fn integrate(
    kernel: &dyn Kernel,
    step: &StepProgram,
    lanes: usize,
    steps: usize,
) -> Result<(), EngineError> {
    let initial: Vec<f64> = (0..lanes * step.width).map(|i| 0.5 + 0.01 * (i % 17) as f64).collect();
    let slots: Vec<f64> =
        SLOT_VALUES.iter().copied().cycle().take(lanes * step.slot_count).collect();
    let end =
        Segment { t_end: 10.0, is_output: true, switches: Vec::new(), t_end_tangents: Vec::new() };
    let mut fractions = vec![1.0 / steps as f64; steps];
    if let Some(last) = fractions.last_mut() {
        *last = -*last;
    }
    let result = kernel.run(&Batch {
        initial: &initial,
        slots: &slots,
        timelines: &[Timeline { t_start: 0.0, t_start_tangents: Vec::new(), segments: vec![end] }],
        of_lane: &vec![TimelineIdx(0); lanes],
        control: Control::Replay {
            schedules: &[Schedule { fractions }],
            of_lane: &vec![ScheduleIdx(0); lanes],
        },
    })?;
    assert!(result.reports.iter().all(|r| r.status == LaneStatus::Ok), "a lane failed");
    Ok(())
}

/// Nanoseconds for a step of one lane on a prepared kernel, the best of some runs.
fn nanoseconds_a_step(kernel: &dyn Kernel, step: &StepProgram) -> Result<f64, EngineError> {
    let mut best = f64::INFINITY;
    let all = Instant::now();
    while all.elapsed() < TIME_FOR_RUNS {
        let began = Instant::now();
        integrate(kernel, step, LANES, STEPS)?;
        best = best.min(began.elapsed().as_secs_f64());
    }
    Ok(best * 1e9 / (LANES * STEPS) as f64)
}

/// Fused multiply-adds that one thread does in a nanosecond, lanes counted one by one: twelve chains
/// that stay in registers, many times over.
fn fused_multiply_adds_a_nanosecond() -> f64 {
    const CHAINS: u32 = 12;
    const LINKS: usize = 200;
    let mut graph = Graph::new();
    let inputs: Vec<Input> = (0..CHAINS + 2).map(|i| Input::State(StateIdx(i))).collect();
    let mut nodes: Vec<NodeId> = inputs.iter().map(|&input| graph.input(input)).collect();
    let [factor, term] = [nodes[CHAINS as usize], nodes[CHAINS as usize + 1]];
    for _ in 0..LINKS {
        for node in &mut nodes[..CHAINS as usize] {
            *node = graph.ternary(Ternary::MulAdd, *node, factor, term);
        }
    }
    let program = BlockProgram::new(&Program::new(&graph, inputs, &nodes[..CHAINS as usize]));
    let operations = program.registers.instructions.len() * BLOCK;
    let mut file = program.new_file();
    let mut best = f64::INFINITY;
    let all = Instant::now();
    while all.elapsed() < TIME_FOR_RUNS {
        let began = Instant::now();
        (0..100).for_each(|_| program.run(&mut file));
        best = best.min(began.elapsed().as_secs_f64());
    }
    operations as f64 * 100.0 / (best * 1e9)
}

/// Measures one program and prints its row; `peak` in fused multiply-adds a nanosecond.
fn row(n: usize, name: &str, step: &StepProgram, gpu: Option<&GpuEngine>, peak: f64) {
    let registers = RegisterProgram::new(&step.program);
    let ops = step.program.ops().len();
    let is_fused = |op: &&Op| matches!(op, Op::Ternary(o, ..) if *o != Ternary::Select);
    let fused = step.program.ops().iter().filter(is_fused).count();
    let cpu = CpuEngine
        .prepare(step)
        .and_then(|kernel| nanoseconds_a_step(kernel.as_ref(), step))
        .expect("the CPU engine takes any program");
    let shader = match gpu {
        None => "        -          -".to_owned(),
        Some(_) if ops > LARGEST_SHADER => " not tried          -".to_owned(),
        Some(engine) => {
            let began = Instant::now();
            // Drivers compile lazily: the first dispatch belongs to the compile time.
            let ready = engine.prepare(step).and_then(|kernel| {
                integrate(kernel.as_ref(), step, 1, 1)?;
                let compiling = began.elapsed().as_secs_f64();
                Ok((compiling, nanoseconds_a_step(kernel.as_ref(), step)?))
            });
            match ready {
                Ok((compiling, each)) => format!("{compiling:8.2} s {each:10.0}"),
                Err(error) => format!(" failed: {error}"),
            }
        }
    };
    println!(
        "{n:>6}  {name:<12} {ops:>10} {:>9} {cpu:>10.0} {:>8.3} {:>6.1} % {:>6.1} % {shader}",
        registers.register_count,
        cpu / ops as f64,
        100.0 * ops as f64 / cpu / peak,
        100.0 * (ops + fused) as f64 / cpu / (2.0 * peak),
    );
}

fn main() {
    // `cargo test --benches` runs this once, to see that it works: the smallest model will do.
    let is_bench = std::env::args().any(|a| a == "--bench");
    let states = if is_bench { &STATES[..] } else { &STATES[..1] };
    let cpu_only = std::env::args().any(|a| a == "cpu");
    let gpu = match gpu::find(None).and_then(|adapter| GpuEngine::open(&adapter)) {
        _ if cpu_only => None,
        Ok(engine) => {
            println!("GPU engine: {}", engine.describe());
            Some(engine)
        }
        Err(error) => {
            println!("GPU engine skipped: {error}");
            None
        }
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    pool.expect("a thread can be started").install(|| {
        println!(
            "{:>6}  {:<12} {:>10} {:>9} {:>10} {:>8} {:>8} {:>8} {:>10} {:>10}",
            "states",
            "program",
            "operations",
            "registers",
            "CPU ns",
            "ns/op",
            "of peak",
            "flops",
            "compile",
            "GPU ns"
        );
        let peak = fused_multiply_adds_a_nanosecond();
        println!("peak of one thread: {peak:.1} fused multiply-adds a nanosecond");
        for &n in states {
            let rhs = chain(n);
            let generator = StepGenerator::new(&rhs);
            row(n, "replay", &generator.replay(), gpu.as_ref(), peak);
            for count in [1, DIRECTIONS] {
                let step = generator.replay_with_tangents(&rhs.slots[..count], &[]);
                row(
                    n,
                    &format!("{count} tangent{}", if count == 1 { "" } else { "s" }),
                    &step,
                    gpu.as_ref(),
                    peak,
                );
            }
        }
    });
    println!("times are for one step of one lane: CPU on one thread, GPU on all the adapter has");
    println!("of peak: operations beside fused multiply-adds; flops: these count twice");
}
