//! `gradsweep optimize`.

use super::engines::Engines;
use super::folder::{ROUNDS, Replacing, result_folder};
use super::journal::{self, EngineHeader};
use super::optimize_files::{Files, Progress};
use super::optimum::{DEFAULT_TOLERANCE, Optima};
use super::options::{
    CONFIDENCE, DEFAULT_CONSISTENT, DEFAULT_EPS, Draw, SolverOptions, Steps, points_at, usage,
};
use super::record::{input_digests, objective_words};
use super::rounds::{self, Ledger};
use super::{CliError, Manner, engines};
use crate::check::{self, CheckPlan, Criteria, Label, own_gradient};
use crate::index::ParameterIdx;
use crate::model::OdeProblem;
use crate::optimize::{
    Bounds, Effort, Iteration, Limits, Method, Optimum, StartsRecord, minimise,
    observation_parameters, plateaus, settle, sorted,
};
use crate::report::{OptimizeRecord, Style, optima_table, reasons};
use crate::startpoints::Points;
use crate::sweep::{Evaluator, Settings, no_refinement};
use clap::{Args, ValueEnum};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Points that may be screened.
const MOST_SCREENED: usize = 10_000_000;

/// Find local optima from many starts: the points at which gradients matter most.
///
/// All starts advance together: what they ask for next is evaluated in one batch. Two methods. lbfgsb
/// (SciPy's and pyPESTO's default) learns the second derivatives from gradients. gauss-newton has the Fisher information of the residuals from the same tangents as the gradient, and learns what
/// that leaves out of the second derivatives, in a trust region with active bounds. An evaluation that fails shortens the
/// step; a start that fails at its first point is listed with its reason.
///
/// Writes optima.csv (every start, the lowest objective first, with why it stopped, how large the
/// projected gradient is and which bounds are active; check and sweep read it with --at), history.csv
/// (every iteration), starts.csv, run.json and a page with plots, report.html. The same command gives
/// the same files, whatever the number of threads. Every round goes to optimize.journal first (about 4 (n + 2)²
/// bytes an evaluation with n parameters; it goes when the results are there): a run that was killed or
/// interrupted goes on with --resume, and ends with the same files.
#[derive(Debug, Args)]
#[command(after_help = "Why a start stops (column reason):\n  \
    gtol            the projected gradient is below --gtol: an optimum\n  \
    ftol            an iteration lowered the objective by less than --ftol of it\n  \
    xtol            an iteration moved the point by less than --xtol\n  \
    no_descent      no step lowers the objective further: rounding or the solver's tolerances hide more\n  \
    max_iterations  not done yet: raise --max-iterations\n  \
    start_failed    the first point has no value; see the column status\n\n\
    Examples:\n  \
    gradsweep optimize data/stat5                            100 starts, results in stat5-optima/\n  \
    gradsweep optimize data/stat5 --starts 20 --seed 7 --method lbfgsb --out run7\n  \
    gradsweep optimize data/stat5 --settle                   with noise and scalings fitted first\n  \
    gradsweep optimize data/stat5 --check                    and check the gradient at the best optimum\n  \
    gradsweep optimize data/stat5 --at points.csv            from points of your own\n  \
    gradsweep check data/stat5 --at stat5-optima/optima.csv  the gradient there")]
pub struct Arguments {
    /// PEtab YAML file, or a folder that holds one.
    problem: PathBuf,
    /// Number of random starts.
    #[arg(long, default_value_t = 100, value_name = "N")]
    starts: usize,
    /// Starts from elsewhere instead: `nominal`, `random:N`, or a points file. Those outside the
    /// bounds are moved to the next point inside.
    #[arg(long, value_name = "nominal|random:N|FILE.csv", conflicts_with = "starts")]
    at: Option<String>,
    /// Seed of random starts.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw random starts uniformly between the bounds, or as the parameter table says.
    #[arg(long, value_enum, default_value = "bounds")]
    draw: Draw,
    /// Draw so many random points for each start, and start from those with the lowest objectives.
    #[arg(long, default_value_t = 1, value_name = "K", conflicts_with = "at")]
    screen: usize,
    /// First move the parameters that no trajectory depends on, such as scalings, offsets and noise, to
    /// the best values of a grid between their bounds.
    #[arg(long)]
    settle: bool,
    /// How a start descends.
    #[arg(long, value_enum, default_value = "gauss-newton")]
    method: MethodChoice,
    /// Stop where the largest component of the projected gradient is at most this.
    #[arg(long, default_value_t = Limits::default().gtol, value_name = "G", allow_negative_numbers = true)]
    gtol: f64,
    /// Stop where an iteration lowers the objective by at most this part of it (of 1, if that is
    /// more).
    #[arg(long, default_value_t = Limits::default().ftol, value_name = "F", allow_negative_numbers = true)]
    ftol: f64,
    /// Stop where an iteration moves the point by at most this, relative to 1 + its length.
    #[arg(long, default_value_t = Limits::default().xtol, value_name = "X", allow_negative_numbers = true)]
    xtol: f64,
    /// Stop after so many iterations.
    #[arg(long, default_value_t = Limits::default().max_iterations, value_name = "N")]
    max_iterations: usize,
    /// Check the gradient at the N best optima, 1 by default, as `check` does, and write at_optimum.csv.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    check: Option<usize>,
    /// Folder for the results [default: PROBLEM-optima in the current folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with an optimisation that was killed, interrupted or failed: the same command, its folder.
    /// Without a journal there it begins.
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Replace results that are in the folder already.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    solver: SolverOptions,
}

/// How a start descends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MethodChoice {
    /// Quasi-Newton with bounds and limited memory.
    Lbfgsb,
    /// Trust region with the Fisher information, corrected by secants, and active bounds.
    GaussNewton,
}

impl From<MethodChoice> for Method {
    fn from(choice: MethodChoice) -> Self {
        match choice {
            MethodChoice::Lbfgsb => Self::Lbfgsb,
            MethodChoice::GaussNewton => Self::GaussNewton,
        }
    }
}

pub(super) fn run(arguments: &Arguments, manner: Manner) -> Result<ExitCode, CliError> {
    let settings = arguments.solver.settings(Steps::Shared)?;
    let limits = arguments.limits()?;
    arguments.solver.start_threads()?;
    let problem = arguments.solver.load(&arguments.problem)?;
    let starts = match &arguments.at {
        Some(at) => points_at(&problem, at, arguments.seed)?,
        None if arguments.starts == 0 => {
            return Err(usage("--starts 0: at least one start is needed"));
        }
        None if arguments.screen == 0 || arguments.screen > MOST_SCREENED / arguments.starts => {
            return Err(usage(format!(
                "--screen {}: from 1 to {MOST_SCREENED} points in all are possible",
                arguments.screen
            )));
        }
        None => {
            let count = arguments.starts * arguments.screen;
            arguments.draw.points(&problem, 0..count, arguments.seed)?
        }
    };
    if problem.parameters.is_empty() {
        return Err(usage("no parameter is estimated: there is nothing to optimise"));
    }
    for (id, theta) in starts.ids.iter().zip(&starts.theta_scaled) {
        if let Some(i) = theta.iter().position(|x| !x.is_finite()) {
            return Err(usage(format!(
                "start {id}: {} is 0, which has no logarithm to move from; a positive value is expected",
                problem.parameters[i].id
            )));
        }
    }
    let folder =
        arguments.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}-optima", problem.name)));
    let resumed = if arguments.resume { journal::resume(&folder, ROUNDS)? } else { None };
    let (resumed_lock, begun) = resumed.unzip();
    // Batches of optimisers are small: a software adapter has no use for them.
    let lanes = starts.len() * problem.simulation_count();
    let engines = match &begun {
        Some(begun) => {
            let identity = &begun.header.engine.identity;
            engines::choose_again(&arguments.solver, &problem, settings, identity)?
        }
        None => engines::choose(&arguments.solver, &problem, settings, lanes)?,
    };
    let count = starts.len() / arguments.screen;
    let nothing = arguments.record(&problem, Vec::new(), &[], Effort::default())?;
    let read = arguments.at.as_ref().map(|_| &starts);
    let mut header = rounds::header(&nothing, count, read, &engines)?;
    if let Some(begun) = &begun {
        header.goes_on_with(begun)?;
    }
    let _lock = match resumed_lock {
        Some(lock) => lock,
        None => result_folder(&folder, arguments.replacing())?,
    };
    if let (Some(begun), false) = (&begun, manner.quiet) {
        eprintln!("going on with {}", begun.path.display());
    }
    let evaluator = Evaluator::new(
        &problem,
        settings,
        engines.probes.as_ref(),
        Some(engines.tangents.as_ref()),
    )?;
    let path = folder.join(ROUNDS);
    let mut ledger = Ledger::new(&path, &header, begun, problem.parameters.len())?;
    let run =
        Run { arguments, manner, problem: &problem, engines: &engines, evaluator: &evaluator };
    let found = run.optimise(starts, limits, &folder, &mut ledger).and_then(|found| {
        let engine = match engines.failure() {
            Some(failed) => EngineHeader { engine: failed, ..header.engine.clone() },
            None => header.engine.clone(),
        };
        let Found { files, starts, optima, effort, notes } = found;
        let mut record = arguments.record(&problem, notes, &optima, effort)?;
        record.engine = engine.engine;
        record.engine_reason = engine.engine_reason;
        record.gradient_engine = engine.gradient_engine;
        files.finish(&problem, &starts, &optima, &record)?;
        Ok((starts, optima, record))
    });
    let (starts, optima, record) = found.map_err(|source| CliError::Unoptimised {
        source: Box::new(source),
        rounds: ledger.rounds,
        journal: path.clone(),
    })?;

    let style = Style { colours: manner.colours, detailed: false };
    let mut text = optima_table(&problem, &starts.ids, &optima, style);
    text.push_str(&format!(
        "{} starts ({} failed), {} evaluations in {} rounds; {}, rtol {:e}, atol {:e}; {}\n\
         results in {}\n",
        record.starts,
        record.failed_starts,
        record.evaluations,
        record.rounds,
        record.method,
        settings.rtol,
        settings.atol,
        record.engine,
        folder.display()
    ));
    for note in &record.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    let mut is_wrong = false;
    if let Some(count) = arguments.check {
        let best = optima.iter().filter(|o| o.position.value.is_finite()).take(count);
        let best = Points {
            ids: best.clone().map(|o| starts.ids[o.start.position()].clone()).collect(),
            theta_scaled: best.map(|o| o.position.x.clone()).collect(),
        };
        let checked = check(&evaluator, &best, style, &mut text)?;
        checked.write(&folder.join("at_optimum.csv"))?;
        is_wrong = checked.has_wrong();
    }
    // Checks can be made again at any time, but belong to what was asked for.
    fs::remove_file(&path).map_err(CliError::output(&path))?;
    io::stdout().write_all(text.as_bytes()).map_err(CliError::output("-"))?;
    Ok(if is_wrong { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Checks our gradient at optima, with the options that `check` has by default.
fn check<'a>(
    evaluator: &Evaluator<'a>,
    points: &'a Points,
    style: Style,
    text: &mut String,
) -> Result<Optima<'a>, CliError> {
    let problem = evaluator.problem();
    let criteria = Criteria::default();
    let plan = CheckPlan {
        parameters: (0..problem.parameters.len()).map(ParameterIdx::from_position).collect(),
        eps: DEFAULT_EPS.to_vec(),
        label: Label::default(),
        criteria,
        confidence: CONFIDENCE,
        consistent: DEFAULT_CONSISTENT,
    };
    let mut optima = Optima::new(evaluator, points, DEFAULT_TOLERANCE, criteria)?;
    let theta = &points.theta_scaled;
    check::run(evaluator, theta, &plan, &own_gradient, &mut |judged, result| {
        optima.see(judged, result, &|_, _| None);
        let id = &points.ids[judged.point.position()];
        text.push_str(&format!("at the optimum of start {id}:\n{}\n", optima.last_table(style)));
        Ok::<(), CliError>(())
    })?;
    Ok(optima)
}

/// The points with the lowest objectives, in the order of these.
fn lowest(
    problem: &OdeProblem,
    settings: Settings,
    engines: &engines::Engines,
    points: Points,
    count: usize,
) -> Result<Points, CliError> {
    let evaluator = Evaluator::new(problem, settings, engines.probes.as_ref(), None)?;
    let mut values = Vec::with_capacity(points.len());
    for chunk in points.theta_scaled.chunks(evaluator.points_per_chunk(&[], 0)) {
        let evaluated = evaluator.evaluate(chunk, &[], &[], &no_refinement)?;
        values.extend(evaluated.points.iter().map(|p| p.objective.unwrap_or(f64::INFINITY)));
    }
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    order.truncate(count);
    Ok(Points {
        ids: order.iter().map(|&k| points.ids[k].clone()).collect(),
        theta_scaled: order.iter().map(|&k| points.theta_scaled[k].clone()).collect(),
    })
}

/// What is to be said of the problem and the starts.
fn notes(problem: &OdeProblem, starts: &Points) -> Vec<String> {
    let mut notes = problem.notes.clone();
    let outside = starts.theta_scaled.iter().filter(|theta| {
        let outside = |(p, x): (&crate::model::EstimatedParameter, &f64)| {
            *x < p.lower_scaled || *x > p.upper_scaled
        };
        problem.parameters.iter().zip(*theta).any(outside)
    });
    match outside.count() {
        0 => {}
        n => notes.push(format!("{n} starts lay outside the bounds and were moved inside")),
    }
    notes
}

/// An optimisation that is ready to begin.
struct Run<'a> {
    arguments: &'a Arguments,
    manner: Manner,
    problem: &'a OdeProblem,
    engines: &'a Engines,
    evaluator: &'a Evaluator<'a>,
}

/// What one has found, before it is written.
struct Found {
    files: Files,
    starts: Points,
    optima: Vec<Optimum>,
    effort: Effort,
    notes: Vec<String>,
}

impl Run<'_> {
    fn optimise(
        &self,
        points: Points,
        limits: Limits,
        folder: &Path,
        ledger: &mut Ledger,
    ) -> Result<Found, CliError> {
        let bounds = Bounds::of(&self.problem.parameters);
        let count = points.len() / self.arguments.screen;
        let notes = self.notes(&points);
        let StartsRecord { starts, settling } = match ledger.starts(count)? {
            Some(record) => record,
            None => {
                let record = self.starts(points, count, &bounds)?;
                ledger.keep_starts(&record)?;
                record
            }
        };
        let mut files = Files::open(folder)?;
        let progress = Progress::new(starts.len(), self.manner);
        let mut best = f64::INFINITY;
        let mut seen = |iterations: &[Iteration], stopped: usize| -> Result<(), CliError> {
            for iteration in iterations {
                files.history(&starts.ids[iteration.start.position()], iteration)?;
                best = best.min(iteration.value);
            }
            progress.show(stopped, best);
            Ok(())
        };
        let method = (self.arguments.method.into(), limits);
        let minimised =
            minimise(self.evaluator, &starts.theta_scaled, &bounds, method, ledger, &mut seen);
        progress.clear();
        let (optima, mut effort) = minimised?;
        effort.evaluations += settling;
        Ok(Found { files, starts, optima: sorted(optima), effort, notes })
    }

    /// The best of the points, settled.
    fn starts(
        &self,
        points: Points,
        count: usize,
        bounds: &Bounds,
    ) -> Result<StartsRecord, CliError> {
        let mut starts = match self.arguments.screen {
            1 => points,
            _ => lowest(self.problem, self.evaluator.settings(), self.engines, points, count)?,
        };
        let mut settling = 0;
        if self.arguments.settle {
            let thetas = &mut starts.theta_scaled;
            thetas.iter_mut().for_each(|x| bounds.clamp(x));
            let bar = Progress::settling(self.manner);
            let mut seen = |done: usize, of: usize| {
                bar.settled(done, of);
            };
            settling = settle(self.evaluator, thetas, bounds, &mut seen)?;
            bar.clear();
        }
        Ok(StartsRecord { starts, settling })
    }

    /// What is to be said of the problem and the starts.
    fn notes(&self, points: &Points) -> Vec<String> {
        let mut notes = notes(self.problem, points);
        if self.arguments.settle {
            let ids = observation_parameters(self.problem);
            let ids: Vec<&str> =
                ids.iter().map(|p| self.problem.parameters[p.position()].id.as_str()).collect();
            notes.push(match ids.is_empty() {
                true => "no parameter was settled: trajectories depend on all".to_owned(),
                false => format!("settled at the start: {}", ids.join(", ")),
            });
        }
        notes
    }
}

impl Arguments {
    fn replacing(&self) -> Replacing {
        Replacing { is_asked_for: self.overwrite, is_own: self.out.is_none() }
    }

    fn limits(&self) -> Result<Limits, CliError> {
        for (name, value) in [("--gtol", self.gtol), ("--ftol", self.ftol), ("--xtol", self.xtol)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(usage(format!(
                    "{name} {value}: zero or a positive number is expected"
                )));
            }
        }
        if self.max_iterations == 0 {
            return Err(usage("--max-iterations 0: at least one iteration is needed"));
        }
        let Self { gtol, ftol, xtol, max_iterations, .. } = *self;
        Ok(Limits { gtol, ftol, xtol, max_iterations })
    }

    fn record(
        &self,
        problem: &OdeProblem,
        notes: Vec<String>,
        sorted: &[Optimum],
        effort: Effort,
    ) -> Result<OptimizeRecord, CliError> {
        let method = Method::from(self.method);
        let best = plateaus(sorted).into_iter().next().unwrap_or_default();
        let random = || match self.screen {
            1 => format!("random:{} by {}", self.starts, self.draw.word()),
            k => format!(
                "the best {} of random:{} by {}",
                self.starts,
                k * self.starts,
                self.draw.word()
            ),
        };
        Ok(OptimizeRecord {
            program: "gradsweep",
            version: env!("CARGO_PKG_VERSION"),
            command: "optimize",
            problem: problem.name.clone(),
            inputs: input_digests(problem)?,
            engine: String::new(),
            engine_reason: String::new(),
            gradient_engine: String::new(),
            rtol: self.solver.rtol,
            atol: self.solver.atol,
            max_steps: self.solver.max_steps,
            objective: objective_words(problem, &self.solver),
            method: method.name(),
            gtol: self.gtol,
            ftol: self.ftol,
            xtol: self.xtol,
            max_iterations: self.max_iterations,
            at: self.at.clone().unwrap_or_else(random),
            seed: self.seed,
            settle: self.settle,
            starts: sorted.len(),
            failed_starts: sorted.iter().filter(|o| o.position.value.is_infinite()).count(),
            best_objective: best.first().map(|optimum| optimum.position.value),
            starts_at_best: best.len(),
            reasons: reasons(sorted),
            rounds: effort.rounds,
            evaluations: effort.evaluations,
            integrations: effort.lanes,
            attempted_steps: effort.steps,
            notes,
        })
    }
}
