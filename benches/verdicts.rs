//! Verdicts on right gradients: every public benchmark problem (`PETAB_BENCHMARKS_DIR`), random
//! points, both schedules, default settings; beside them pyPESTO's rule on the same cells.
//!
//! `cargo bench --bench verdicts -- [--points N] [NAME…]`; problems whose gradients cost minutes are
//! left out unless named.

use gradsweep::check::{self, CheckPlan, Criteria, JudgedPoint, Label, VerdictKind, own_gradient};
use gradsweep::engine::EngineError;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::index::ParameterIdx;
use gradsweep::model;
use gradsweep::startpoints;
use gradsweep::sweep::{Evaluator, PointResult, Settings, StepMode};
use std::path::PathBuf;
use std::time::Instant;

/// Gradients of these cost half a minute a point.
const COSTLY: [&str; 2] = ["Chen_MSB2009", "Lang_PLOSComputBiol2024"];
const EPS: [f64; 5] = [1e-1, 1e-3, 1e-5, 1e-7, 1e-9];
/// pyPESTO's `check_gradients_match_finite_differences`: its grid and its tolerances.
const PYPESTO_EPS: [f64; 6] = [1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8];

/// Points at which the rule would reject the gradient: some parameter whose best eps has neither a
/// relative error below 1e-2 nor an absolute one below 1e-3.
fn rejected_by_pypesto(judged: &JudgedPoint) -> bool {
    judged.best.iter().any(|row| !(row.rel_err < 1e-2 || row.abs_err < 1e-3))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let Some(collection) = std::env::var_os("PETAB_BENCHMARKS_DIR").map(PathBuf::from) else {
        println!("skipped: PETAB_BENCHMARKS_DIR is not set");
        return;
    };
    let mut count = 200;
    let mut names = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--points" => count = rest.next().and_then(|n| n.parse().ok()).unwrap_or(count),
            name => names.push(name.to_owned()),
        }
    }
    let mut folders: Vec<PathBuf> = std::fs::read_dir(collection)
        .expect("the collection can be read")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.is_dir())
        .collect();
    folders.sort();
    println!(
        "| problem | steps | points | pass | fail | inconclusive | kink | insensitive | missing | \
         failed | pass of decidable | consistent | pyPESTO rejects | s |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut sums = [[0_usize; 7]; 2];
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_named = names.iter().any(|n| name.starts_with(n.as_str()));
        if !is_named && (!names.is_empty() || COSTLY.contains(&name.as_str())) {
            continue;
        }
        let problem = model::load(&folder).unwrap_or_else(|e| panic!("{e}"));
        let points = startpoints::random(&problem.parameters, count, 0, 0).expect("bounds");
        for (s, steps) in [StepMode::Shared, StepMode::Adaptive].into_iter().enumerate() {
            let began = Instant::now();
            let settings = Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps };
            let evaluator = Evaluator::new(&problem, settings, &CpuEngine, Some(&CpuEngine))
                .expect("the CPU engine takes any program");
            let plan = |eps: &[f64]| CheckPlan {
                parameters: (0..problem.parameters.len())
                    .map(ParameterIdx::from_position)
                    .collect(),
                eps: eps.to_vec(),
                label: Label::RelErr,
                criteria: Criteria::default(),
                confidence: 0.95,
                consistent: 0.05,
            };
            let run = |eps: &[f64], sink: &mut dyn FnMut(&JudgedPoint, &PointResult)| {
                check::run(
                    &evaluator,
                    &points.theta_scaled,
                    &plan(eps),
                    &own_gradient,
                    &mut |judged, result| -> Result<(), EngineError> {
                        sink(judged, result);
                        Ok(())
                    },
                )
                .expect("the CPU engine does not fail")
            };
            let summary = run(&EPS, &mut |_, _| {});
            let seconds = began.elapsed().as_secs_f64();
            let (mut rejected, mut alive) = (0, 0);
            run(&PYPESTO_EPS, &mut |judged, result| {
                if result.objective.is_ok() {
                    alive += 1;
                    rejected += usize::from(rejected_by_pypesto(judged));
                }
            });
            let mut counts = [0; VerdictKind::ALL.len()];
            for statistics in &summary.parameters {
                for (sum, own) in counts.iter_mut().zip(statistics.counts) {
                    *sum += own;
                }
            }
            for (sum, own) in sums[s].iter_mut().zip(counts) {
                *sum += own;
            }
            let consistent = summary.parameters.iter().filter(|p| p.is_consistent_failure).count();
            let word = ["shared", "adaptive"][s];
            println!(
                "| {name} | {word} | {count} | {} | {:.4} | {consistent} | {rejected} of {alive} | \
                 {seconds:.1} |",
                counts.map(|c| c.to_string()).join(" | "),
                share(&counts)
            );
        }
    }
    for (word, counts) in ["shared", "adaptive"].into_iter().zip(sums) {
        let words = counts.map(|c| c.to_string()).join(" | ");
        println!("| all | {word} | | {words} | {:.4} | | | |", share(&counts));
    }
}

/// Cells that pass, of those that neither failed nor are insensitive.
fn share(counts: &[usize; 7]) -> f64 {
    let [pass, fail, inconclusive, kink, ..] = *counts;
    pass as f64 / (pass + fail + inconclusive + kink).max(1) as f64
}
