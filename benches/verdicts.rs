//! Verdicts on right gradients: every public benchmark problem (`PETAB_BENCHMARKS_DIR`), random
//! points, both schedules, default settings; beside them pyPESTO's rule on the same cells.
//!
//! `cargo bench --bench verdicts -- [--points N] [--steps shared|adaptive] [--every G] [--failing]
//! [NAME…]`; problems whose gradients cost minutes are left out unless named. `--failing` lists the cells
//! that fail. With `--every G` each parameter is checked at every G-th point only, and each point with
//! every G-th parameter, taken at random: a sample of the cells that has all points, where all cells would
//! take days. pyPESTO's rule is of all parameters of a point and is left out then.

use gradsweep::check::{
    self, CheckPlan, Evaluated, JudgedPoint, Source, VerdictKind, own_allowance, own_gradient,
};
use gradsweep::engine::EngineError;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::index::{ParameterIdx, PointIdx};
use gradsweep::model;
use gradsweep::startpoints;
use gradsweep::sweep::{Evaluator, OwnGradients, Settings, StepMode, no_refinement};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
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
    let mut schedules = vec![StepMode::Shared, StepMode::Adaptive];
    let mut lists_failing = false;
    let mut every = 1;
    let mut names = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--points" => count = rest.next().and_then(|n| n.parse().ok()).unwrap_or(count),
            "--steps" => {
                schedules = match rest.next().map(String::as_str) {
                    Some("shared") => vec![StepMode::Shared],
                    Some("adaptive") => vec![StepMode::Adaptive],
                    other => panic!("--steps {other:?}: shared or adaptive is expected"),
                }
            }
            "--every" => every = rest.next().and_then(|n| n.parse().ok()).unwrap_or(every).max(1),
            "--failing" => lists_failing = true,
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
        for &steps in &schedules {
            let s = usize::from(steps == StepMode::Adaptive);
            let began = Instant::now();
            let settings = Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps };
            let prepare = |settings, gradients| {
                Evaluator::with_gradients(&problem, settings, &CpuEngine, &CpuEngine, gradients)
                    .expect("the CPU engine takes any program")
            };
            let mut evaluator = prepare(settings, OwnGradients::Cheaper);
            if steps == StepMode::Adaptive {
                evaluator =
                    evaluator.with_tight(prepare(settings.tighter(), OwnGradients::Cheaper));
            }
            let mut shuffled: Vec<ParameterIdx> =
                (0..problem.parameters.len()).map(ParameterIdx::from_position).collect();
            shuffled.shuffle(&mut Pcg64::seed_from_u64(0));
            // The parameters and the points of one part of `every` parts.
            let part = |g: usize| {
                let mut own: Vec<_> = shuffled.iter().copied().skip(g).step_by(every).collect();
                own.sort();
                own
            };
            let plan = |parameters: Vec<ParameterIdx>, eps: &[f64]| {
                CheckPlan::new(parameters, eps.to_vec())
            };
            let method = evaluator.gradient_method();
            let mut gradients = Vec::with_capacity(count);
            let mut failing = Vec::new();
            let source = [Source { gradient: &own_gradient, method, allowance: &own_allowance }];
            let mut statistics = Vec::with_capacity(problem.parameters.len());
            for g in 0..every {
                let own: Vec<Vec<f64>> =
                    points.theta_scaled.iter().skip(g).step_by(every).cloned().collect();
                let summary = check::run_sources(
                    &evaluator,
                    &own,
                    &plan(part(g), &EPS),
                    &source,
                    &mut |judged, result| -> Result<(), EngineError> {
                        gradients.push(result.own_gradient(method).map(<[f64]>::to_vec));
                        let fails =
                            judged[0].cells.iter().filter(|c| c.verdict.kind == VerdictKind::Fail);
                        let point = g + every * judged[0].point.position();
                        failing.extend(fails.map(|cell| (point, *cell)));
                        Ok(())
                    },
                )
                .expect("the CPU engine does not fail")
                .remove(0);
                statistics.extend(summary.parameters);
            }
            let seconds = began.elapsed().as_secs_f64();
            let (mut rejected, mut alive) = (0, 0);
            if every == 1 {
                // Its rule on the same gradients: only the differences are made anew.
                let theirs = plan(part(0), &PYPESTO_EPS);
                let evaluator = prepare(settings, OwnGradients::None);
                let chunk = theirs.points_per_chunk(&evaluator);
                let mut gradients = gradients.iter();
                for points in points.theta_scaled.chunks(chunk) {
                    let evaluated = evaluator
                        .evaluate(points, &theirs.parameters, &theirs.eps, &no_refinement)
                        .expect("the CPU engine does not fail");
                    for ((result, gradient), theta_scaled) in
                        evaluated.points.iter().zip(&mut gradients).zip(points)
                    {
                        if result.objective.is_ok() {
                            let point = PointIdx::from_position(alive);
                            let known = &problem.parameters;
                            let at = Evaluated { point, theta_scaled, known, result };
                            let judged =
                                check::judge_point(&at, gradient.as_deref(), None, &theirs);
                            alive += 1;
                            rejected += usize::from(rejected_by_pypesto(&judged));
                        }
                    }
                }
            }
            let mut counts = [0; VerdictKind::ALL.len()];
            for statistics in &statistics {
                for (sum, own) in counts.iter_mut().zip(statistics.counts) {
                    *sum += own;
                }
            }
            for (sum, own) in sums[s].iter_mut().zip(counts) {
                *sum += own;
            }
            let consistent = statistics.iter().filter(|p| p.is_consistent_failure).count();
            let word = ["shared", "adaptive"][s];
            println!(
                "| {name} | {word} | {count}{} | {} | {:.4} | {consistent} | {} | {seconds:.1} |",
                if every == 1 { String::new() } else { format!(", 1 cell in {every}") },
                counts.map(|c| c.to_string()).join(" | "),
                share(&counts),
                if every == 1 { format!("{rejected} of {alive}") } else { String::new() },
            );
            for (point, cell) in failing.iter().filter(|_| lists_failing) {
                let id = &problem.parameters[cell.parameter.position()].id;
                let (value, bound) =
                    cell.estimate.map_or((f64::NAN, f64::NAN), |e| (e.value, e.bound));
                println!(
                    "  {name} {word}: point {point}, {id}: gradient {:e}, estimate {value:e} ± {bound:e}",
                    cell.gradient
                );
            }
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
