//! The GPU engine against the CPU engine, lane by lane, on any Vulkan adapter with f64 (software
//! ones included), and its independence from how lanes are grouped.
//!
//! The two engines share no code below the step program: one interprets it or makes machine code, the
//! other prints it as WGSL. With arithmetic as written (`src/engine/gpu/spirv.rs`) both give the same
//! bits on NVIDIA's adapters; others may round otherwise, as Mesa's software adapter does, which does
//! not fuse `fma`, and are held to tolerances. Where there is no adapter the tests say that they were skipped, or fail if
//! `GRADSWEEP_REQUIRE_GPU=1`.

mod gpu_adapter;

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::gpu::GpuEngine;
use gradsweep::engine::{Engine, EngineError, Kernel};
use gradsweep::index::ParameterIdx;
use gradsweep::model::{self, OdeProblem};
use gradsweep::rosenbrock::StepProgram;
use gradsweep::startpoints;
use gradsweep::sweep::{Evaluator, PointResult, Settings, StepMode, no_refinement};
use std::fs;
use std::path::Path;
use std::process::Command;

fn engine() -> Option<GpuEngine> {
    gpu_adapter::adapter().map(|adapter| GpuEngine::open(&adapter).unwrap())
}

/// Schedules from the CPU engine, replays on the GPU.
struct SchedulesFromCpu<'a>(&'a GpuEngine);

impl Engine for SchedulesFromCpu<'_> {
    fn describe(&self) -> String {
        "schedules from the CPU engine".to_owned()
    }
    fn preferred_lanes(&self) -> usize {
        self.0.preferred_lanes()
    }
    fn prepare(&self, step: &StepProgram) -> Result<Box<dyn Kernel>, EngineError> {
        if step.adaptive { CpuEngine.prepare(step) } else { self.0.prepare(step) }
    }
}

fn problem(name: &str) -> OdeProblem {
    model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)).unwrap()
}

fn evaluate(
    problem: &OdeProblem,
    engine: &dyn Engine,
    steps: StepMode,
    points: &[Vec<f64>],
    eps: &[f64],
    chunk: usize,
) -> Vec<PointResult> {
    let settings = Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps };
    let evaluator = Evaluator::new(problem, settings, engine, None).unwrap();
    let parameters: Vec<_> =
        (0..problem.parameters.len()).map(ParameterIdx::from_position).collect();
    points
        .chunks(chunk)
        .flat_map(|points| {
            evaluator.evaluate(points, &parameters, eps, &no_refinement).unwrap().points
        })
        .collect()
}

/// All objectives of all points and probes, with a word for what failed.
fn objectives(results: &[PointResult]) -> Vec<Result<f64, String>> {
    let mut list = Vec::new();
    for result in results {
        list.push(result.objective.map_err(|e| e.to_string()));
        for pair in &result.probes {
            list.extend([&pair.plus, &pair.minus].map(|v| v.map_err(|e| e.to_string())));
        }
    }
    list
}

/// Relative differences, descending; fails where only one side has a value.
fn differences(a: &[PointResult], b: &[PointResult]) -> Vec<f64> {
    let (a, b) = (objectives(a), objectives(b));
    assert_eq!(a.len(), b.len());
    let mut differences: Vec<f64> = a
        .iter()
        .zip(&b)
        .map(|pair| match pair {
            (Ok(x), Ok(y)) => ((x - y) / x).abs(),
            (Err(x), Err(y)) => {
                // The words hold status, time and steps; a status must be the same.
                assert_eq!(x.split(" at t").next(), y.split(" at t").next());
                0.0
            }
            other => panic!("only one engine has a value: {other:?}"),
        })
        .collect();
    differences.sort_unstable_by(|x, y| y.total_cmp(x));
    differences
}

/// Fails where results differ by more than so much; on NVIDIA's adapters, where they differ at all.
fn assert_agree(gpu: &GpuEngine, a: &[PointResult], b: &[PointResult], tolerance: f64) {
    let differences = differences(a, b);
    println!("{} objectives, largest difference {:.2e}", differences.len(), differences[0]);
    assert!(differences[0] <= tolerance);
    if gpu_adapter::gives_bits_of_the_cpu(gpu.summary()) {
        assert_eq!(objectives(a), objectives(b));
    }
}

const EPS: [f64; 5] = [1e-1, 1e-3, 1e-5, 1e-7, 1e-9];

#[test]
fn shared_schedules_give_the_same_objectives() {
    let Some(gpu) = engine() else { return };
    let problem = problem("stat5");
    let points = startpoints::random(&problem.parameters, 1000, 0, 11).unwrap().theta_scaled;
    let cpu = evaluate(&problem, &CpuEngine, StepMode::Shared, &points, &EPS, 250);
    let other = evaluate(&problem, &SchedulesFromCpu(&gpu), StepMode::Shared, &points, &EPS, 250);
    // Rounding alone: one unit in the last place grows by the condition of the trajectories, five
    // digits at most on this problem (issue: 1e-11).
    assert_agree(&gpu, &cpu, &other, 1e-11);
}

#[test]
fn own_schedules_give_nearly_the_same_objectives() {
    let Some(gpu) = engine() else { return };
    let problem = problem("stat5");
    let points = startpoints::random(&problem.parameters, 1000, 0, 12).unwrap().theta_scaled;
    let eps = [1e-3];
    let cpu = evaluate(&problem, &CpuEngine, StepMode::Adaptive, &points, &eps, 1000);
    let other = evaluate(&problem, &gpu, StepMode::Adaptive, &points, &eps, 1000);
    let differences = differences(&cpu, &other);
    let at = differences.len() / 1000;
    println!(
        "{} objectives, 99.9 % below {:.2e}, all below {:.2e}",
        differences.len(),
        differences[at],
        differences[0]
    );
    // An accept/reject decision may flip on a rounding: then the solver's tolerance is the bound.
    assert!(differences[at] <= 1e-10);
    assert_agree(&gpu, &cpu, &other, 1e-7);
}

#[test]
fn stiff_and_oscillating_problems_agree() {
    let Some(gpu) = engine() else { return };
    for name in ["conversion", "robertson", "repressilator"] {
        let problem = problem(name);
        let points = startpoints::random(&problem.parameters, 50, 0, 13).unwrap().theta_scaled;
        let cpu = evaluate(&problem, &CpuEngine, StepMode::Shared, &points, &[1e-3], 50);
        let other =
            evaluate(&problem, &SchedulesFromCpu(&gpu), StepMode::Shared, &points, &[1e-3], 50);
        println!("{name}:");
        // Phases of an oscillation and states of 1e-14 beside atol 1e-12 amplify rounding more.
        assert_agree(&gpu, &cpu, &other, 1e-8);
    }
}

#[test]
fn grouping_and_repetition_change_nothing() {
    let Some(gpu) = engine() else { return };
    let problem = problem("stat5");
    let points = startpoints::random(&problem.parameters, 40, 0, 14).unwrap().theta_scaled;
    for steps in [StepMode::Shared, StepMode::Adaptive] {
        let whole = evaluate(&problem, &gpu, steps, &points, &[1e-3], 40);
        assert_eq!(whole, evaluate(&problem, &gpu, steps, &points, &[1e-3], 40), "repeated");
        assert_eq!(whole, evaluate(&problem, &gpu, steps, &points, &[1e-3], 7), "other batches");
        let cpu = evaluate(&problem, &CpuEngine, steps, &points, &[1e-3], 40);
        assert_eq!(cpu, evaluate(&problem, &CpuEngine, steps, &points, &[1e-3], 3), "CPU batches");
    }
}

/// `--engine` is no more than a matter of time where both give the same bits.
#[test]
fn sweeps_write_the_same_bytes() {
    let Some(gpu) = engine() else { return };
    if !gpu_adapter::gives_bits_of_the_cpu(gpu.summary()) {
        println!("skipped: {} may round otherwise", gpu.summary().name);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sweep = |engine: &str| {
        let out = folder.path().join(engine);
        let ran = Command::new(env!("CARGO_BIN_EXE_gradsweep"))
            .args(["sweep", "data/stat5", "--points", "50", "--adapter", &gpu.summary().name])
            .args(["--engine", engine, "--out"])
            .arg(&out)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        out
    };
    let (on_cpu, on_gpu) = (sweep("cpu"), sweep("gpu"));
    let mut compared = 0;
    for entry in fs::read_dir(&on_cpu).unwrap() {
        let name = entry.unwrap().file_name();
        if Path::new(&name).extension().is_some_and(|extension| extension == "csv") {
            let [a, b] = [&on_cpu, &on_gpu].map(|folder| fs::read(folder.join(&name)).unwrap());
            assert!(a == b, "{}", name.display());
            compared += 1;
        }
    }
    assert!(compared >= 7, "{compared} files");
}

/// The comparison above must be able to fail.
#[test]
fn a_wrong_tolerance_is_seen() {
    let problem = problem("stat5");
    let points = startpoints::random(&problem.parameters, 20, 0, 15).unwrap().theta_scaled;
    let right = evaluate(&problem, &CpuEngine, StepMode::Shared, &points, &[1e-3], 20);
    let settings =
        Settings { rtol: 1.1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };
    let evaluator = Evaluator::new(&problem, settings, &CpuEngine, None).unwrap();
    let parameters: Vec<_> =
        (0..problem.parameters.len()).map(ParameterIdx::from_position).collect();
    let wrong = evaluator.evaluate(&points, &parameters, &[1e-3], &no_refinement).unwrap().points;
    assert!(differences(&right, &wrong)[0] > 1e-11);
}
