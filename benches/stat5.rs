//! Throughput on the STAT5 problem (`data/stat5`, 8 states, rtol 1e-8, atol 1e-12), at seeded random
//! points in the bounds: what a sweep on this problem is made of, piece by piece and as a whole.
//!
//! - `adaptive`: base lanes, which choose their steps; elements are simulations;
//! - `replay`: probes along their points' schedules; elements are simulations;
//! - `gradient`: lanes with all tangents along their points' schedules; elements are gradients;
//! - `check`: points × 5 eps with gradients through `check::run`, scoring, refinement and verdicts
//!   included; elements are points.
//!
//! The first three time an engine alone, on batches recorded from a sweep. The CPU engine runs in
//! a pool of one thread (figures per core) and in one of all threads. A software adapter takes as
//! many threads as there are cores, or `LP_NUM_THREADS`, which must be set before the program
//! starts; the benchmark's name says which. `benches/README.md` holds measured figures.

mod support;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};
use gradsweep::check::{self, CheckPlan, own_gradient};
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::gpu::{self, GpuEngine};
use gradsweep::engine::{BatchResult, Engine, EngineError, Kernel, LaneStatus};
use gradsweep::graph::{Binary, Ternary};
use gradsweep::index::ParameterIdx;
use gradsweep::model::{self, OdeProblem};
use gradsweep::program::registers::RegisterProgram;
use gradsweep::program::{Op, Program};
use gradsweep::startpoints;
use gradsweep::sweep::{Evaluator, Settings, StepMode, no_refinement};
use std::cell::OnceCell;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;
use support::{Recorded, Recorder};

const SETTINGS: Settings =
    Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };
const EPS: [f64; 5] = [1e-1, 1e-3, 1e-5, 1e-7, 1e-9];
/// Points of the batches of base lanes and gradients: enough that a block's slowest lane at the
/// end of a batch does not matter.
const POINTS: usize = 1024;
/// Points whose probes make the batch of replayed lanes.
const PROBED_POINTS: usize = 64;
/// Points of a whole check.
const CHECKED_POINTS: usize = 64;
const SEED: u64 = 5;

/// The integrations of a sweep.
struct Work {
    problem: OdeProblem,
    adaptive: Recorded,
    replay: Recorded,
    gradient: Recorded,
}

impl Work {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/stat5");
        let problem = model::load(&folder).expect("the problem of the repository loads");
        let points = draw(&problem, POINTS);
        let parameters = all_parameters(&problem);
        let record = |count: usize, eps: &[f64]| {
            let recorder = Recorder::new(&CpuEngine);
            let evaluator =
                Evaluator::new(&problem, SETTINGS, &recorder, Some(&recorder)).expect("CPU engine");
            evaluator
                .evaluate(&points[..count], &parameters, eps, &no_refinement)
                .expect("CPU engine");
            recorder.recorded()
        };
        let is_gradient = |r: &Recorded| r.step.width > problem.state_ids.len();
        // The problem is small enough to have but one tangent program.
        let (gradients, others): (Vec<_>, Vec<_>) =
            record(POINTS, &[]).into_iter().partition(is_gradient);
        let gradient = gradients.into_iter().next();
        let adaptive = others.into_iter().find(|r| r.step.adaptive);
        let replay =
            record(PROBED_POINTS, &EPS).into_iter().find(|r| !r.step.adaptive && !is_gradient(r));
        Self {
            adaptive: adaptive.expect("base lanes"),
            replay: replay.expect("probes"),
            gradient: gradient.expect("tangents"),
            problem,
        }
    }
}

fn draw(problem: &OdeProblem, count: usize) -> Vec<Vec<f64>> {
    let points = startpoints::random(&problem.parameters, count, 0, SEED);
    points.expect("all parameters have bounds").theta_scaled
}

fn all_parameters(problem: &OdeProblem) -> Vec<ParameterIdx> {
    (0..problem.parameters.len()).map(ParameterIdx::from_position).collect()
}

/// What the figures rest on: sizes of the programs, and steps a lane.
fn describe(work: &Work) {
    for (name, piece) in
        [("adaptive", &work.adaptive), ("replay", &work.replay), ("gradient", &work.gradient)]
    {
        let kernel = CpuEngine.prepare(&piece.step).expect("CPU engine");
        let result = kernel.run(&piece.batch.borrow()).expect("CPU engine");
        let steps: Vec<u32> = result.reports.iter().map(|r| r.steps).collect();
        let total: u64 = steps.iter().map(|&s| u64::from(s)).sum();
        println!(
            "{name}: {} operations a step, {} lanes, {:.1} steps a lane (at most {})",
            piece.step.program.ops().len(),
            steps.len(),
            total as f64 / steps.len() as f64,
            steps.iter().max().copied().unwrap_or(0),
        );
        println!(
            "  steps over those where groups of {WARP} lanes wait for their longest: {:.1} %, in order of \
             steps {:.1} %",
            100.0 * evenness(&steps),
            100.0 * evenness(&sorted(&steps)),
        );
        println!("  {}", shape(&piece.step.program));
    }
}

/// Lanes that a GPU takes through each operation together.
const WARP: usize = 32;

/// Steps of lanes over those that groups of lanes take which wait for their longest.
fn evenness(steps: &[u32]) -> f64 {
    let longest = |group: &[u32]| group.len() as u32 * group.iter().max().copied().unwrap_or(0);
    let all: u32 = steps.iter().sum();
    f64::from(all) / f64::from(steps.chunks(WARP).map(longest).sum::<u32>())
}

fn sorted(steps: &[u32]) -> Vec<u32> {
    let mut sorted = steps.to_vec();
    sorted.sort_unstable();
    sorted
}

/// What limits a program on a GPU: slow operations, values that are alive at a time, and the longest
/// chain of operations that wait for each other.
fn shape(program: &Program) -> String {
    let count = |is: &dyn Fn(&Op) -> bool| program.ops().iter().filter(|op| is(op)).count();
    let fused = count(&|op| matches!(op, Op::Ternary(o, ..) if *o != Ternary::Select));
    let divisions = count(&|op| matches!(op, Op::Binary(Binary::Div, ..)));
    let plain = count(&|op| matches!(op, Op::Binary(Binary::Add | Binary::Sub | Binary::Mul, ..)));
    let mut depths = vec![0; program.first_op() + program.ops().len()];
    for (place, op) in program.ops().iter().enumerate() {
        let before = op.operands().map(|v| depths[v.position()]).max().unwrap_or(0);
        depths[program.first_op() + place] = 1 + before;
    }
    format!(
        "{fused} fused, {plain} additions and multiplications, {divisions} divisions, {} others; {} values at a time \
         beside {} constants; longest chain {}",
        program.ops().len() - fused - plain - divisions,
        RegisterProgram::new(program).register_count - program.constants().len(),
        program.constants().len(),
        depths.iter().max().unwrap_or(&0),
    )
}

fn must_succeed(result: &BatchResult) {
    assert!(result.reports.iter().all(|r| r.status == LaneStatus::Ok), "a lane failed");
}

/// An engine, and the threads on which it and the scoring run.
struct Machine<'e> {
    engine: &'e dyn Engine,
    pool: rayon::ThreadPool,
    name: String,
}

impl<'e> Machine<'e> {
    fn new(engine: &'e dyn Engine, threads: usize, name: String) -> Self {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        Self { engine, pool: pool.expect("threads can be started"), name }
    }

    /// Times everything.
    fn bench(&self, criterion: &mut Criterion, work: &Work) {
        let mut group = criterion.benchmark_group(format!("stat5/{}", self.name));
        group
            .sample_size(10)
            .sampling_mode(SamplingMode::Flat)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(5));
        self.bench_batch(&mut group, "adaptive", &work.adaptive);
        self.bench_batch(&mut group, "replay", &work.replay);
        self.bench_batch(&mut group, "gradient", &work.gradient);
        self.bench_check(&mut group, &work.problem);
        group.finish();
    }

    /// Times one recorded batch; elements are its lanes.
    fn bench_batch(&self, group: &mut BenchmarkGroup<'_, WallTime>, id: &str, recorded: &Recorded) {
        let batch = &recorded.batch;
        let kernel = OnceCell::new();
        let run = |kernel: &dyn Kernel| self.pool.install(|| kernel.run(&batch.borrow())).unwrap();
        group.throughput(Throughput::Elements(batch.lanes() as u64));
        group.bench_function(id, |b| {
            // Only if the benchmark was asked for: shaders take seconds to compile.
            let kernel = kernel.get_or_init(|| {
                let kernel = self.engine.prepare(&recorded.step).unwrap();
                // Drivers compile at the first dispatch; and a batch that fails must not look fast.
                must_succeed(&run(kernel.as_ref()));
                kernel
            });
            b.iter(|| black_box(run(kernel.as_ref())));
        });
    }

    /// Times a check of some points, gradients on the CPU engine.
    fn bench_check(&self, group: &mut BenchmarkGroup<'_, WallTime>, problem: &OdeProblem) {
        let points = draw(problem, CHECKED_POINTS);
        let plan = CheckPlan::new(all_parameters(problem), EPS.to_vec());
        let evaluator = OnceCell::new();
        let run = |evaluator: &Evaluator<'_>| {
            let ignore = &mut |_: &_, _: &_| Ok::<(), EngineError>(());
            check::run(evaluator, &points, &plan, &own_gradient, ignore).unwrap()
        };
        group.throughput(Throughput::Elements(points.len() as u64));
        group.bench_function("check", |b| {
            let evaluator = evaluator.get_or_init(|| {
                // The engine asks for its pool's size.
                self.pool.install(|| {
                    let evaluator =
                        Evaluator::new(problem, SETTINGS, self.engine, Some(&CpuEngine)).unwrap();
                    assert_eq!(run(&evaluator).failed_points, 0);
                    evaluator
                })
            });
            b.iter(|| self.pool.install(|| black_box(run(evaluator))));
        });
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let work = Work::new();
    describe(&work);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);

    let counts = if threads > 1 { vec![1, threads] } else { vec![1] };
    for count in counts {
        let name = format!("cpu-{count}-threads");
        Machine::new(&CpuEngine, count, name).bench(&mut criterion, &work);
    }
    match gpu::find(None).and_then(|adapter| GpuEngine::open(&adapter)) {
        Err(error) => println!("GPU engine skipped: {error}"),
        Ok(engine) => {
            println!("GPU engine: {}", engine.describe());
            // The check's gradients and scoring get as many threads as a software adapter.
            let limit = std::env::var("LP_NUM_THREADS").ok().and_then(|n| n.parse().ok());
            let count = limit.unwrap_or(threads).max(1);
            let is_software = engine.summary().is_software();
            let name = if is_software { format!("gpu-{count}-threads") } else { "gpu".to_owned() };
            Machine::new(&engine, count, name).bench(&mut criterion, &work);
        }
    }
    criterion.final_summary();
}
