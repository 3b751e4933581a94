//! Objectives and gradients of the public benchmark problems (`PETAB_BENCHMARKS_DIR`) at the points
//! of the reference folder (`GRADSWEEP_REFERENCE_DIR`), beside AMICI's times on one core.
//!
//! The CPU engine runs on one thread at the default tolerances (rtol 1e-8, atol 1e-12); AMICI's
//! figures are at rtol 1e-8 and atol 1e-16. Points are evaluated one by one, as AMICI's were, and
//! once more all together, as a sweep does it. A gradient includes the objective. Each problem has a process of its own, whose peak memory is the
//! problem's.
//!
//! `cargo bench --bench reference -- [NAME…]` measures the problems whose names start like that, or
//! all. A problem's gradients are left out where compiling them or the first of them takes too long.

use gradsweep::engine::Engine;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::model::{self, OdeProblem};
use gradsweep::sweep::{Evaluator, Failure, PointResult, Settings, StepMode, no_refinement};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SETTINGS: Settings =
    Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };
/// No further point of a problem is timed after this.
const TIME_FOR_POINTS: Duration = Duration::from_secs(30);
/// Points of quick problems are timed again and again for this long.
const TIME_FOR_REPEATS: Duration = Duration::from_millis(500);
/// A gradient is not tried where states × parameters exceed this: many minutes.
const LARGEST_GRADIENT: usize = 100_000;
/// Asks this program for one problem's row.
const ONE: &str = "--one";

/// The points on the parameter scale, in the problem's order, and AMICI's milliseconds.
struct Reference {
    points: Vec<Vec<f64>>,
    objective_ms: Option<f64>,
    gradient_ms: Option<f64>,
}

fn read_reference(path: &Path, problem: &OdeProblem) -> Reference {
    let text = std::fs::read_to_string(path).expect("the reference can be read");
    // Python writes infinities, which only a parameter at 0 on a logarithmic scale has here.
    let text = text.replace("-Infinity", "-1e308").replace("Infinity", "1e308");
    let json: Value = serde_json::from_str(&text.replace("NaN", "null")).expect("JSON");
    let ids = json["parameter_ids"].as_array().expect("ids");
    let points = json["points"].as_array().expect("points");
    let coordinate = |point: &Value, id: &str| {
        let place = ids.iter().position(|other| other == id).expect("the same parameters");
        let x = point["x"][place].as_f64().expect("a coordinate");
        if x.abs() == 1e308 { x * f64::INFINITY } else { x }
    };
    let row = |point: &Value| problem.parameters.iter().map(|p| coordinate(point, &p.id)).collect();
    Reference {
        points: std::iter::once(&json["nominal"]).chain(points).map(row).collect(),
        objective_ms: json["amici_ms"]["objective"].as_f64(),
        gradient_ms: json["amici_ms"]["gradient"].as_f64(),
    }
}

/// What one kind of evaluation took.
#[derive(Default)]
struct Timing {
    /// Median over the points, each the best of its repeats.
    single_ms: f64,
    /// A point, where all are evaluated together.
    together_ms: Option<f64>,
    results: Vec<PointResult>,
}

fn time_points(evaluator: &Evaluator<'_>, points: &[Vec<f64>]) -> Timing {
    let run = |points: &[Vec<f64>]| {
        let began = Instant::now();
        let chunk = evaluator.evaluate(points, &[], &[], &no_refinement).expect("CPU engine");
        (began.elapsed().as_secs_f64() * 1e3, chunk.points)
    };
    let (mut times, mut results) = (Vec::new(), Vec::new());
    let began = Instant::now();
    for point in points {
        let point = std::slice::from_ref(point);
        let repeating = Instant::now();
        let (mut best, mut result) = run(point);
        while repeating.elapsed() < TIME_FOR_REPEATS / points.len() as u32 {
            best = best.min(run(point).0);
        }
        times.push(best);
        results.append(&mut result);
        if began.elapsed() > TIME_FOR_POINTS {
            break;
        }
    }
    let is_complete = times.len() == points.len() && points.len() > 1;
    let together_ms = is_complete.then(|| run(points).0 / points.len() as f64);
    times.sort_by(f64::total_cmp);
    Timing { single_ms: times[times.len() / 2], together_ms, results }
}

fn failures(results: &[PointResult]) -> String {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for failure in results.iter().filter_map(|r| r.objective.as_ref().err()) {
        let reason = match failure {
            Failure::Lane { report, .. } => report.status.to_string(),
            Failure::NotFinite { .. } => "likelihood not finite".to_owned(),
            Failure::Prior { .. } => "no prior density".to_owned(),
        };
        *reasons.entry(reason).or_default() += 1;
    }
    let text: Vec<String> = reasons.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    if text.is_empty() { "–".to_owned() } else { text.join(", ") }
}

fn milliseconds(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1}"))
}

fn ratio(theirs: Option<f64>, ours: Option<f64>) -> String {
    match (theirs, ours) {
        (Some(theirs), Some(ours)) => format!("{:.1}", theirs / ours),
        _ => "–".to_owned(),
    }
}

/// Largest resident memory so far, in MiB, where the system tells it.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// Measures a problem and prints its row.
fn measure(name: &str, folder: &Path, reference: &Path) {
    let began = Instant::now();
    let problem = model::load(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let loading = began.elapsed().as_secs_f64();
    let reference = read_reference(reference, &problem);
    let compiled = |gradient_engine: Option<&dyn Engine>| {
        Evaluator::new(&problem, SETTINGS, &CpuEngine, gradient_engine).expect("CPU engine")
    };
    let objective = time_points(&compiled(None), &reference.points);
    let steps: u64 = objective.results.iter().map(|r| r.steps).sum();
    let size = problem.state_ids.len() * problem.dynamic_directions().len();
    let began = Instant::now();
    let mut compiling = None;
    let gradient = (size <= LARGEST_GRADIENT).then(|| {
        let evaluator = compiled(Some(&CpuEngine));
        compiling = Some(began.elapsed().as_secs_f64());
        time_points(&evaluator, &reference.points)
    });
    let single = gradient.as_ref().map(|g| g.single_ms);
    println!(
        "| {} | {} | {} | {} | {} | {:.1} | {} | {} | {} | {} | {} | {} | {} | {:.2} | {} | {} |",
        name,
        problem.state_ids.len(),
        objective.results.len(),
        failures(&objective.results),
        steps / objective.results.len().max(1) as u64,
        objective.single_ms,
        milliseconds(objective.together_ms),
        milliseconds(reference.objective_ms),
        ratio(reference.objective_ms, Some(objective.single_ms)),
        milliseconds(single),
        milliseconds(gradient.as_ref().and_then(|g| g.together_ms)),
        milliseconds(reference.gradient_ms),
        ratio(reference.gradient_ms, single),
        loading,
        compiling.map_or_else(|| "–".to_owned(), |s| format!("{s:.2}")),
        peak_memory().map_or_else(|| "–".to_owned(), |mib| format!("{mib:.0}")),
    );
}

fn folder(variable: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: {variable} is not set");
    }
    folder
}

fn main() {
    let Some(collection) = folder("PETAB_BENCHMARKS_DIR") else { return };
    let Some(references) = folder("GRADSWEEP_REFERENCE_DIR") else { return };
    let reference_of = |name: &str| references.join(format!("{name}.json"));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = arguments.as_slice()
        && flag == ONE
    {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = pool.expect("a thread can be started");
        pool.install(|| measure(name, &collection.join(name), &reference_of(name)));
        return;
    }
    // `cargo test --benches` runs this once, to see that it works: one small problem will do.
    let is_bench = arguments.iter().any(|a| a == "--bench");
    let mut wanted: Vec<&str> =
        arguments.iter().filter(|a| !a.starts_with("--")).map(String::as_str).collect();
    if !is_bench && wanted.is_empty() {
        wanted.push("Boehm");
    }
    let entries = std::fs::read_dir(&collection).expect("the collection can be read");
    let mut names: Vec<String> =
        entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| {
        let is_wanted = wanted.is_empty() || wanted.iter().any(|w| name.starts_with(w));
        is_wanted && reference_of(name).is_file()
    });
    names.sort();
    println!(
        "| problem | states | points | failures | steps | objective ms | together | AMICI | ratio \
         | gradient ms | together | AMICI | ratio | loading s | compiling s | peak MiB |"
    );
    println!("|---|{}", "--:|".repeat(15));
    let program = std::env::current_exe().expect("the program has a path");
    for name in names {
        let status = Command::new(&program).args([ONE, &name]).status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => println!("| {name} | {status} |"),
            Err(error) => println!("| {name} | {error} |"),
        }
    }
}
