//! `gradsweep sweep`.

use super::gradient::Judged;
use super::options::{CheckOptions, DEFAULT_CONSISTENT, Draw, SolverOptions, points_at, usage};
use super::outcome::{Outcome, OutcomeOptions};
use super::output::{Output, result_folder};
use super::{CliError, Manner, engines};
use crate::check::{self, CheckPlan};
use crate::model::OdeProblem;
use crate::report::{
    CheckTable, FailureTable, PointTable, RunRecord, Style, diagnosis_lines, digest,
    parameter_table, sweep_cases, write_eps, write_parameters,
};
use crate::startpoints::Points;
use crate::sweep::Evaluator;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check the gradient at many random points and report, for each parameter, whether it fails
/// consistently.
///
/// Writes run.json, points.csv, checks.csv, best.csv, parameters.csv, eps.csv, failures.csv
/// and a page with plots, report.html.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    gradsweep sweep data/stat5                               1,000 points, reports in stat5-sweep/\n  \
    gradsweep sweep data/stat5 --points 10000 --seed 7 --out run7 --engine gpu\n  \
    gradsweep sweep data/stat5 --at points.csv --eps 1e-2,1e-3,1e-4 --steps adaptive")]
pub struct Arguments {
    /// PEtab YAML file, or a folder that holds one.
    problem: PathBuf,
    /// Number of random points, uniform between the bounds on the parameter scale.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    points: usize,
    /// Points from elsewhere instead: `nominal`, `random:N`, or a points file.
    #[arg(long, value_name = "nominal|random:N|FILE.csv", conflicts_with = "points")]
    at: Option<String>,
    /// Seed of random points.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw random points uniformly between the bounds, or as the parameter table says: by
    /// initialization priors (v1), by priors (v2).
    #[arg(long, value_enum, default_value = "bounds")]
    draw: Draw,
    #[command(flatten)]
    check: CheckOptions,
    /// A failure rate whose confidence interval lies above this is called consistent.
    #[arg(long, default_value_t = DEFAULT_CONSISTENT, value_name = "RATE")]
    consistent: f64,
    /// Folder for the reports [default: PROBLEM-sweep in the current folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace reports that are in the folder already.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    outcome: OutcomeOptions,
    #[command(flatten)]
    solver: SolverOptions,
}

pub(super) fn run(arguments: &Arguments, manner: Manner) -> Result<ExitCode, CliError> {
    let settings = arguments.solver.settings(arguments.check.steps)?;
    let eps = arguments.check.eps_grid()?;
    let criteria = arguments.check.criteria()?;
    if !(0.0..1.0).contains(&arguments.consistent) {
        return Err(usage(format!(
            "--consistent {}: a rate from 0 to below 1 is expected",
            arguments.consistent
        )));
    }
    arguments.solver.start_threads()?;
    let problem = arguments.solver.load(&arguments.problem)?;
    let mut plan = arguments.check.plan(&problem, eps, criteria, arguments.consistent)?;
    let points = draw(arguments, &problem)?;
    let mut gradient = Judged::new(&arguments.check, &problem, &points, &mut plan)?;
    let folder =
        arguments.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}-sweep", problem.name)));
    let dynamic: usize =
        problem.all().map(|m| m.dynamic_directions().len() * m.simulations.len()).sum();
    let integrations = points.len() * (problem.simulation_count() + 2 * plan.eps.len() * dynamic);
    let engines = engines::choose(&arguments.solver, &problem, settings, integrations)?;
    let known = arguments.outcome.known(&problem)?;
    // A default folder is the program's own: an earlier sweep's reports there may be replaced.
    result_folder(&folder, arguments.overwrite || arguments.out.is_none())?;
    // The file may lie in that folder.
    let outcome = Outcome::open(&arguments.outcome, known)?;
    if !manner.quiet {
        eprintln!("engine: {} ({})", engines.probes.describe(), engines.reason);
    }
    gradient.prepare(&problem, settings, engines.tangents.as_ref(), &points)?;
    let evaluator = Evaluator::new(
        &problem,
        settings,
        engines.probes.as_ref(),
        Some(engines.tangents.as_ref()),
    )?;
    let failed = |name: &str| CliError::output(folder.join(name));
    let create = |name: &str| Output::create(&folder.join(name));
    let mut checks =
        CheckTable::new(create("checks.csv")?, &problem, false).map_err(failed("checks.csv"))?;
    let mut best =
        CheckTable::new(create("best.csv")?, &problem, false).map_err(failed("best.csv"))?;
    let mut point_table =
        PointTable::new(create("points.csv")?, &problem).map_err(failed("points.csv"))?;
    let mut failures =
        FailureTable::new(create("failures.csv")?, &problem).map_err(failed("failures.csv"))?;
    let progress = progress_bar(points.len(), manner);
    let summary = check::run_with_allowance(
        &evaluator,
        &points.theta_scaled,
        &plan,
        &gradient.source(),
        &gradient.allowance(),
        &mut |judged, result| -> Result<(), CliError> {
            let place = judged.point.position();
            let id = &points.ids[place];
            let theta = &points.theta_scaled[place];
            checks.add(id, judged, &judged.rows).map_err(failed("checks.csv"))?;
            best.add(id, judged, &judged.best).map_err(failed("best.csv"))?;
            point_table.add(id, theta, result).map_err(failed("points.csv"))?;
            failures.add(id, result).map_err(failed("failures.csv"))?;
            progress.inc(1);
            Ok(())
        },
    )?;
    progress.finish_and_clear();

    let mut cases = sweep_cases(&problem, &summary);
    let ended = outcome.end(&mut cases);
    let mut record = record(arguments, &problem, &plan, &engines, &evaluator, &summary, &gradient)?;
    record.baseline.clone_from(&ended.record);
    let not_json = |e: serde_json::Error| failed("run.json")(std::io::Error::other(e));
    let json = serde_json::to_string_pretty(&record).map_err(not_json)?;
    let finish = |name: &str, out: std::io::Result<Output>| {
        out.and_then(Output::finish).map_err(failed(name))
    };
    let table = |name: &str| create(name);
    finish("parameters.csv", write_parameters(table("parameters.csv")?, &problem, &summary))?;
    finish("eps.csv", write_eps(table("eps.csv")?, &problem, &summary))?;
    finish("checks.csv", checks.finish())?;
    finish("best.csv", best.finish())?;
    finish("points.csv", point_table.finish())?;
    finish("failures.csv", failures.finish())?;
    let mut run_json = create("run.json")?;
    writeln!(run_json, "{json}").map_err(failed("run.json"))?;
    run_json.finish().map_err(failed("run.json"))?;
    super::report::write(&folder, &folder.join("report.html"))?;
    outcome.write(&problem, &record.properties().map_err(not_json)?, &cases)?;

    let style = Style { colours: manner.colours, detailed: false };
    let mut text = parameter_table(&problem, &summary, style);
    text.push_str(&format!(
        "\n{} points ({} failed), {} integrations; {} steps, rtol {:e}, atol {:e}\nreports in {}\n",
        summary.points,
        summary.failed_points,
        summary.lanes,
        arguments.check.steps.word(),
        settings.rtol,
        settings.atol,
        folder.display()
    ));
    text.push_str(&diagnosis_lines(&problem, &summary));
    text.push_str(&ended.lines());
    for note in summary.notes(&problem, settings.atol) {
        text.push_str(&format!("note: {note}\n"));
    }
    std::io::stdout().write_all(text.as_bytes()).map_err(CliError::output("-"))?;
    Ok(ended.exit_code())
}

fn draw(arguments: &Arguments, problem: &OdeProblem) -> Result<Points, CliError> {
    match &arguments.at {
        Some(at) => points_at(problem, at, arguments.seed),
        None if arguments.points == 0 => Err(usage("--points 0: at least one point is needed")),
        None => arguments.draw.points(problem, arguments.points, arguments.seed),
    }
}

/// What the objective is made of.
fn objective_words(problem: &OdeProblem, solver: &SolverOptions) -> &'static str {
    match (solver.no_priors, problem.priors.are_absent()) {
        (false, false) => "negative log posterior",
        (false, true) => "negative log-likelihood",
        (true, _) => "negative log-likelihood (--no-priors)",
    }
}

fn progress_bar(points: usize, manner: Manner) -> ProgressBar {
    // indicatif draws on stderr, and only where it is a terminal.
    let bar = if manner.quiet { ProgressBar::hidden() } else { ProgressBar::new(points as u64) };
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} points, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn record(
    arguments: &Arguments,
    problem: &OdeProblem,
    plan: &CheckPlan,
    engines: &engines::Engines,
    evaluator: &Evaluator<'_>,
    summary: &check::CheckSummary,
    gradient: &Judged,
) -> Result<RunRecord, CliError> {
    let mut inputs = BTreeMap::new();
    // Names relative to the problem's folder: where that lies is nobody's business.
    let folder = problem.petab.path.parent().unwrap_or(std::path::Path::new(""));
    for file in &problem.petab.files {
        let name = file.strip_prefix(folder).unwrap_or(file).to_string_lossy().into_owned();
        inputs.insert(name, digest(file).map_err(CliError::output(file))?);
    }
    let at = arguments
        .at
        .clone()
        .unwrap_or_else(|| format!("random:{} by {}", arguments.points, arguments.draw.word()));
    Ok(RunRecord {
        program: "gradsweep",
        version: env!("CARGO_PKG_VERSION"),
        command: "sweep",
        problem: problem.name.clone(),
        inputs,
        engine: engines.probes.describe(),
        engine_reason: engines.reason.clone(),
        gradient_engine: engines.tangents.describe(),
        precision: "f64",
        method: "Rodas5P",
        rtol: arguments.solver.rtol,
        atol: arguments.solver.atol,
        max_steps: arguments.solver.max_steps,
        steps: arguments.check.steps.word(),
        gradient: gradient.describe(),
        at,
        seed: arguments.seed,
        points: summary.points,
        failed_points: summary.failed_points,
        parameters: plan
            .parameters
            .iter()
            .map(|p| problem.parameters[p.position()].id.clone())
            .collect(),
        eps: plan.eps.clone(),
        label: format!("{:?}", plan.label),
        check_rtol: plan.criteria.rtol,
        check_atol: plan.criteria.atol,
        confidence: plan.confidence,
        consistent: plan.consistent,
        integrations: summary.lanes,
        attempted_steps: summary.steps,
        step_operations: evaluator.step_ops,
        tangent_step_operations: evaluator.tangent_ops,
        objective: objective_words(problem, &arguments.solver),
        notes: [problem.notes.clone(), summary.notes(problem, arguments.solver.atol)].concat(),
        baseline: None,
    })
}
