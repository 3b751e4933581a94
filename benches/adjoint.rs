//! Gradients by adjoints beside forward tangents, in simulations: `data/stat5` and problems of the
//! collection (`PETAB_BENCHMARKS_DIR`), rtol 1e-8, atol 1e-12, CPU engine on one thread.
//!
//! *Counted* are the operations of a gradient's steps over those of a plain step, the simulation
//! included; *timed* is the processor's time of objectives and gradients over that of objectives, of
//! the same points in one batch. Memory is the peak of the problem's own process up to its adjoints.
//!
//! `cargo bench --bench adjoint -- [NAME…]` measures the problems whose names start like that.

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::model::{self, OdeProblem};
use gradsweep::startpoints;
use gradsweep::sweep::{
    Evaluator, GradientMethod, OwnGradients, Settings, StepMode, no_refinement,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const SETTINGS: Settings =
    Settings { rtol: 1e-8, atol: 1e-12, max_steps: 100_000, steps: StepMode::Shared };
/// Problems with their numbers of points: the nominal one and random ones.
const PROBLEMS: [(&str, usize); 5] = [
    ("stat5", 256),
    ("Bachmann_MSB2011", 16),
    ("Raimundez_PCB2020", 8),
    ("Lang_PLOSComputBiol2024", 1),
    ("Chen_MSB2009", 1),
];
const SEED: u64 = 5;
/// Forward gradients of problems with more parameters take minutes and are left out.
const MOST_FOR_FORWARD: usize = 150;
/// Evaluations of quick problems are repeated for so many seconds.
const TIME_FOR_REPEATS: f64 = 3.0;
/// Asks this program for one problem's row.
const ONE: &str = "--one";

fn path_of(name: &str) -> Option<PathBuf> {
    if name == "stat5" {
        return Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/stat5"));
    }
    std::env::var_os("PETAB_BENCHMARKS_DIR").map(|folder| Path::new(&folder).join(name))
}

/// Highest resident set of this process so far, in MiB, where the system tells it.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

/// Seconds that this thread has had of a processor, where the system tells it; others may have the
/// rest.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse::<f64>().ok().map(|nanoseconds| 1e-9 * nanoseconds)
}

fn seconds_of<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let (clock, before) = (Instant::now(), processor_seconds());
    let done = work();
    let taken = processor_seconds().zip(before).map(|(after, before)| after - before);
    (taken.unwrap_or_else(|| clock.elapsed().as_secs_f64()), done)
}

/// Seconds that the points take, and their evaluator.
fn time<'p>(
    problem: &'p OdeProblem,
    points: &[Vec<f64>],
    wanted: OwnGradients,
) -> (f64, f64, Evaluator<'p>) {
    let (compiling, evaluator) = seconds_of(|| {
        Evaluator::with_gradients(problem, SETTINGS, &CpuEngine, &CpuEngine, wanted).unwrap()
    });
    // The system counts in steps of milliseconds: the mean, and few pieces.
    let (mut all, mut count) = (0.0, 0);
    while count == 0 || all < TIME_FOR_REPEATS {
        let (seconds, evaluated) =
            seconds_of(|| evaluator.evaluate(points, &[], &[], &no_refinement).unwrap());
        all += seconds;
        count += 1;
        let failed = evaluated.points.iter().filter(|p| p.objective.is_err()).count();
        assert_eq!(failed, 0, "{}: points failed", problem.name);
    }
    (all / f64::from(count), compiling, evaluator)
}

fn measure(name: &str, count: usize) {
    let problem = model::load(&path_of(name).expect("asked for where it is there")).unwrap();
    let mut points = startpoints::nominal(&problem.parameters).unwrap().theta_scaled;
    if count > 1 {
        let random = startpoints::random(&problem.parameters, count - 1, 0, SEED).unwrap();
        points.extend(random.theta_scaled);
    }
    let (simulation, ..) = time(&problem, &points, OwnGradients::None);
    let (adjoint, compiling, evaluator) = time(&problem, &points, OwnGradients::Adjoint);
    let memory = peak_memory().map_or_else(|| "–".to_owned(), |mib| format!("{mib:.0}"));
    let counted = evaluator.costs.in_simulations(GradientMethod::Adjoint).unwrap_or(f64::NAN);
    let (step_ops, reverse_ops) = (evaluator.step_ops, evaluator.tangent_ops);
    drop(evaluator);
    let forward = (problem.parameters.len() <= MOST_FOR_FORWARD).then(|| {
        let (seconds, _, evaluator) = time(&problem, &points, OwnGradients::Forward);
        let counted = evaluator.costs.in_simulations(GradientMethod::Forward);
        [counted.unwrap_or(f64::NAN), seconds / simulation]
    });
    let [of_forward, forward] = std::array::from_fn(|i| match forward {
        Some(costs) => format!("{:.1}", costs[i]),
        None => "–".to_owned(),
    });
    println!(
        "| {name} | {} | {} | {} | {step_ops} | {reverse_ops} | {:.2} | {of_forward} | {counted:.1} | \
         {forward} | {:.1} | {compiling:.2} | {memory} |",
        problem.state_ids.len(),
        problem.parameters.len(),
        points.len(),
        1e3 * simulation / points.len() as f64,
        adjoint / simulation,
    );
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [one, name] = arguments.as_slice()
        && one == ONE
    {
        let (_, count) = PROBLEMS.iter().find(|(known, _)| known == name).expect("a known problem");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        return pool.install(|| measure(name, *count));
    }
    println!(
        "| problem | states | parameters | points | step | step backwards | simulation ms | forward, \
         counted | adjoint, counted | forward, timed | adjoint, timed | compiling s | peak MiB |"
    );
    println!("|---|{}", "--:|".repeat(12));
    let program = std::env::current_exe().expect("this program");
    for (name, _) in PROBLEMS {
        let is_asked =
            arguments.is_empty() || arguments.iter().any(|a| name.starts_with(a.as_str()));
        if is_asked && path_of(name).is_some() {
            let status = Command::new(&program).args([ONE, name]).status().expect("it starts");
            assert!(status.success(), "{name}");
        }
    }
}
