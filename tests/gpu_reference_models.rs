//! The GPU engine against the CPU engine on the public benchmark problems
//! (`PETAB_BENCHMARKS_DIR`): events, steady states, moving breakpoints, priors.
//!
//! Problems whose step makes a large shader are left out of the quick run, since a software adapter
//! compiles for minutes; `GRADSWEEP_FULL=1` takes all that `--engine auto` would give to a GPU.

mod gpu_adapter;

use gradsweep::engine::Engine;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::gpu::GpuEngine;
use gradsweep::model;
use gradsweep::rosenbrock::StepGenerator;
use gradsweep::startpoints;
use gradsweep::sweep::{Evaluator, PointResult, Settings, StepMode, no_refinement};
use std::path::PathBuf;

/// Operations of a step above which a problem is left out.
const QUICK_OPERATIONS: usize = 7_000;
const FULL_OPERATIONS: usize = 30_000;
const FULL_OPERATIONS_OF_HARDWARE: usize = 11_000;
const SETTINGS: Settings =
    Settings { rtol: 1e-8, atol: 1e-12, max_steps: 20_000, steps: StepMode::Shared };
/// Where the engines round differently, error estimates near the tolerance may go either way and the
/// steps differ from there on: then objectives differ by what the tolerance allows. The worst seen
/// is 4e-10 (Perelson, software adapter).
const TOLERANCE: f64 = 1e-7;

#[test]
fn both_engines_agree() {
    let Some(collection) = std::env::var_os("PETAB_BENCHMARKS_DIR").map(PathBuf::from) else {
        println!("skipped: PETAB_BENCHMARKS_DIR is not set");
        return;
    };
    let Some(adapter) = gpu_adapter::adapter() else { return };
    let engine = GpuEngine::open(&adapter).unwrap();
    let has_same_bits = gpu_adapter::gives_bits_of_the_cpu(&adapter.summary);
    let is_full = std::env::var_os("GRADSWEEP_FULL").is_some_and(|v| v == "1");
    let largest = match (is_full, adapter.summary.is_software()) {
        (false, _) => QUICK_OPERATIONS,
        (true, true) => FULL_OPERATIONS,
        (true, false) => FULL_OPERATIONS_OF_HARDWARE,
    };
    let entries = std::fs::read_dir(collection).unwrap();
    let mut folders: Vec<PathBuf> =
        entries.map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    let mut compared = 0;
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let problem = model::load(&folder).unwrap();
        let ops = StepGenerator::new(&problem.rhs).replay().program.ops().len();
        if ops > largest {
            println!("{name}: left out, a step has {ops} operations");
            continue;
        }
        let mut points = startpoints::random(&problem.parameters, 4, 0, 1).unwrap().theta_scaled;
        points.extend(startpoints::nominal(&problem.parameters).unwrap().theta_scaled);
        let run = |engine: &dyn Engine| -> Vec<PointResult> {
            let evaluator = Evaluator::new(&problem, SETTINGS, engine, None).unwrap();
            evaluator.evaluate(&points, &[], &[], &no_refinement).unwrap().points
        };
        let mut worst = 0.0_f64;
        let (cpu, gpu) = (run(&CpuEngine), run(&engine));
        for (p, (cpu, gpu)) in cpu.iter().zip(&gpu).enumerate() {
            match (&cpu.objective, &gpu.objective) {
                (Ok(a), Ok(b)) => {
                    let deviation = (a - b).abs() / a.abs().max(1.0);
                    let allowed = if has_same_bits { 0.0 } else { TOLERANCE };
                    assert!(deviation <= allowed, "{name}, point {p}: {a} and {b}");
                    worst = worst.max(deviation);
                }
                (Err(a), Err(b)) => {
                    let word = |text: String| text.split(" at t").next().unwrap_or("").to_owned();
                    assert_eq!(word(a.to_string()), word(b.to_string()), "{name}, point {p}");
                }
                (a, b) => panic!("{name}, point {p}: {a:?} and {b:?}"),
            }
        }
        println!("{name}: {} points, {ops} operations, {worst:.1e}", points.len());
        compared += 1;
    }
    assert!(compared > 0, "no problem was small enough");
}
