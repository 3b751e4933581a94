//! Where the time of a sweep on the GPU engine goes, on the STAT5 problem (`data/stat5`, points × 5 eps
//! with adjoint gradients, as `gradsweep sweep` does them), and what overlap gains.
//!
//! - What the host does for the device, and how long it waits for it, chunk after chunk: preparing lanes
//!   and handing them over, waiting for the device (what it computes and copies back), sorting what came
//!   back; the rest is scoring, gradients on the CPU engine, and the choice of further steps.
//! - Bytes to and from the device, for each integration.
//! - Time with 1, 2 and 3 chunks under way at a time, in turns; medians.
//! - Opening a device and compiling the shaders, without and with a cache of compiled shaders.
//!
//! Threads: `RAYON_NUM_THREADS` for the host's, `LP_NUM_THREADS` for Mesa's software adapter. For
//! compile times Mesa's own cache must be off: `MESA_SHADER_CACHE_DISABLE=true`.

use gradsweep::engine::Engine;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::gpu::{self, Adapter, DeviceOptions, GpuEngine, ShaderCache};
use gradsweep::index::{ParameterIdx, SimulationIdx};
use gradsweep::model::{self, OdeProblem};
use gradsweep::startpoints;
use gradsweep::sweep::{
    Evaluator, Flight, LanePreparation, OwnGradients, Settings, StepMode, no_refinement,
};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const SETTINGS: Settings =
    Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };
const EPS: [f64; 5] = [1e-1, 1e-3, 1e-5, 1e-7, 1e-9];
const SEED: u64 = 5;
const CHUNKS: usize = 16;
const ROUNDS: usize = 7;

fn parameters(problem: &OdeProblem) -> Vec<ParameterIdx> {
    (0..problem.parameters.len()).map(ParameterIdx::from_position).collect()
}

/// Evaluates chunks of points, so many at a time; gives the time and the integrations.
fn sweep(evaluator: &Evaluator<'_>, chunks: &[&[Vec<f64>]], in_flight: usize) -> (Duration, u64) {
    let parameters = parameters(evaluator.problem());
    let began = Instant::now();
    let lanes = thread::scope(|scope| {
        let mut flight = Flight::new(scope, in_flight);
        let (mut left, mut lanes) = (chunks.iter(), 0);
        loop {
            while flight.has_room() {
                let Some(points) = left.next() else { break };
                let parameters = &parameters;
                flight.begin(move || {
                    evaluator.evaluate(points, parameters, &EPS, &no_refinement).unwrap().lanes
                });
            }
            match flight.take() {
                Some(of_chunk) => lanes += of_chunk,
                None => break lanes,
            }
        }
    });
    (began.elapsed(), lanes)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Microseconds in which one thread makes the slots and initial states of a probe: what the device would
/// do if it were given points and probes.
fn probe_preparation(problem: &OdeProblem) -> f64 {
    const PROBES: usize = 20_000;
    let preparation = LanePreparation::new(problem);
    let point = &startpoints::random(&problem.parameters, 1, 0, SEED).unwrap().theta_scaled[0];
    let linear: Vec<f64> =
        problem.parameters.iter().zip(point).map(|(p, &x)| p.scale.unscale(x)).collect();
    let simulation = SimulationIdx::from_position(0);
    let began = Instant::now();
    let mut carried = Vec::new();
    for probe in 0..PROBES {
        let mut moved = linear.clone();
        let parameter = probe % moved.len();
        let scale = problem.parameters[parameter].scale;
        moved[parameter] = scale.unscale(point[parameter] + EPS[probe % EPS.len()]);
        preparation.push_dynamic_slots(&preparation.slots(simulation, &moved)[0], &mut carried);
    }
    black_box(preparation.initial_states(PROBES, &carried));
    began.elapsed().as_secs_f64() * 1e6 / PROBES as f64
}

/// Where the time of a sweep goes, and what overlap gains.
fn overlap(adapter: &Adapter, problem: &OdeProblem, rounds: usize) {
    let engine = GpuEngine::open(adapter).unwrap();
    let evaluator =
        Evaluator::with_gradients(problem, SETTINGS, &engine, &CpuEngine, OwnGradients::Cheaper)
            .unwrap();
    let each = evaluator.points_per_chunk(&parameters(problem), EPS.len());
    let points = startpoints::random(&problem.parameters, CHUNKS * each, 0, SEED).unwrap();
    let chunks: Vec<&[Vec<f64>]> = points.theta_scaled.chunks(each).collect();
    // Drivers compile at the first dispatch.
    sweep(&evaluator, &chunks[..1], 1);

    let before = engine.traffic();
    let (wall, lanes) = sweep(&evaluator, &chunks, 1);
    let after = engine.traffic();
    let on_device = (after.lanes - before.lanes) as f64;
    let seconds = wall.as_secs_f64();
    println!(
        "{} chunks of {each} points, {lanes} integrations, one chunk at a time: {seconds:.2} s",
        chunks.len()
    );
    let mut rest = seconds;
    for (name, now, then) in [
        ("preparing and handing over", after.preparing, before.preparing),
        ("waiting for the device", after.waiting, before.waiting),
        ("sorting what came back", after.collecting, before.collecting),
    ] {
        let took = (now - then).as_secs_f64();
        rest -= took;
        println!("  {name:<28} {took:6.3} s {:5.1} %", 100.0 * took / seconds);
    }
    println!("  {:<28} {rest:6.3} s {:5.1} %", "all else of the host", 100.0 * rest / seconds);
    println!(
        "  on the device: {on_device} integrations in {} dispatches; for each {:.0} bytes up, {:.0} bytes down",
        after.dispatches - before.dispatches,
        (after.uploaded - before.uploaded) as f64 / on_device,
        (after.downloaded - before.downloaded) as f64 / on_device,
    );
    println!("  slots and states of a probe on the host: {:.2} us", probe_preparation(problem));
    let mut times = vec![Vec::new(); 3];
    for _ in 0..rounds {
        for (k, of) in times.iter_mut().enumerate() {
            of.push(sweep(&evaluator, &chunks, k + 1).0.as_secs_f64());
        }
    }
    for (k, of) in times.into_iter().enumerate() {
        let ratios = median(of);
        println!("  {} under way: median {ratios:.3} s", k + 1);
    }
}

/// Seconds to open a device, compile the shaders of base lanes and probes, and run a point.
fn opening(adapter: &Adapter, problem: &OdeProblem, cache: Option<Arc<ShaderCache>>) -> f64 {
    let options = DeviceOptions { shader_cache: cache, ..DeviceOptions::default() };
    let point = &startpoints::random(&problem.parameters, 1, 0, SEED).unwrap().theta_scaled;
    let began = Instant::now();
    let engine = GpuEngine::open_with(adapter, &options).unwrap();
    let evaluator = Evaluator::new(problem, SETTINGS, &engine, None).unwrap();
    evaluator.evaluate(point, &parameters(problem)[..1], &EPS[..1], &no_refinement).unwrap();
    began.elapsed().as_secs_f64()
}

/// What a cache of compiled shaders gains.
fn compiling(adapter: &Adapter, name: &str, problem: &OdeProblem, rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let cache = || Some(Arc::new(ShaderCache::new(&folder.path().join("shaders"))));
    let options = DeviceOptions { shader_cache: cache(), ..DeviceOptions::default() };
    println!("{name}: {}", GpuEngine::open_with(adapter, &options).unwrap().describe());
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        times[0].push(opening(adapter, problem, None));
        times[1].push(opening(adapter, problem, cache()));
    }
    let bytes: u64 = std::fs::read_dir(folder.path().join("shaders"))
        .map_or(0, |files| files.map(|f| f.unwrap().metadata().unwrap().len()).sum());
    let [without, with] = times.map(median);
    println!("  without a cache {without:.2} s, with one {with:.2} s ({bytes} bytes in it)");
}

fn main() {
    // `cargo test --benches` runs this once, to see that it works.
    let is_bench = std::env::args().any(|a| a == "--bench");
    let rounds = if is_bench { ROUNDS } else { 1 };
    let adapter = match gpu::find(None) {
        Ok(adapter) => adapter,
        Err(error) => return println!("skipped: {error}"),
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/stat5");
    let stat5 = model::load(&folder).expect("the problem of the repository loads");
    if !std::env::args().any(|a| a == "compiling") {
        overlap(&adapter, &stat5, rounds);
    }
    compiling(&adapter, "stat5", &stat5, rounds);
    // A larger problem of the benchmark collection, where it is there.
    if let (true, Some(models)) = (is_bench, std::env::var_os("PETAB_BENCHMARKS_DIR")) {
        let name = "Bachmann_MSB2011";
        match model::load(&Path::new(&models).join(name)) {
            Ok(problem) => compiling(&adapter, name, &problem, rounds.min(3)),
            Err(error) => println!("{name} skipped: {error}"),
        }
    }
}
