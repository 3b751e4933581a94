//! The GPU engine against the CPU engine, lane by lane, on any Vulkan adapter with f64 (software
//! ones included), and its independence from how lanes are grouped.
//!
//! The two engines share no code below the step program: one interprets it, the other prints it
//! as WGSL. Where there is no adapter the tests say that they were skipped, or fail if
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
use std::path::Path;

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

const EPS: [f64; 5] = [1e-1, 1e-3, 1e-5, 1e-7, 1e-9];

#[test]
fn shared_schedules_give_the_same_objectives() {
    let Some(gpu) = engine() else { return };
    let problem = problem("stat5");
    let points = startpoints::random(&problem.parameters, 1000, 0, 11).unwrap().theta_scaled;
    let cpu = evaluate(&problem, &CpuEngine, StepMode::Shared, &points, &EPS, 250);
    let other = evaluate(&problem, &SchedulesFromCpu(&gpu), StepMode::Shared, &points, &EPS, 250);
    let differences = differences(&cpu, &other);
    println!("{} objectives, largest difference {:.2e}", differences.len(), differences[0]);
    // Rounding alone: one unit in the last place grows by the condition of the trajectories, five
    // digits at most on this problem (issue: 1e-11).
    assert!(differences[0] <= 1e-11);
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
    assert!(differences[0] <= 1e-7);
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
        let differences = differences(&cpu, &other);
        println!("{name}: largest difference {:.2e}", differences[0]);
        // Phases of an oscillation and states of 1e-14 beside atol 1e-12 amplify rounding more.
        assert!(differences[0] <= 1e-8, "{name}");
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
