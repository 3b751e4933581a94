//! `gradsweep sweep`.

use super::comparing::Comparing;
use super::hessian::HessianOptions;
use super::localise::{LocaliseOptions, Localiser, Mode};
use super::options::{CheckOptions, DEFAULT_CONSISTENT, Draw, SolverOptions, points_at, usage};
use super::outcome::{Outcome, OutcomeOptions, exit_code};
use super::output::result_folder;
use super::reports::Reports;
use super::sources::{Named, Sources};
use super::{CliError, Manner, engines};
use crate::check::{self, CheckPlan, CheckSummary, GroupKind, JudgedPoint, Source};
use crate::model::OdeProblem;
use crate::report::{
    RunRecord, Style, diagnosis_lines, digest, parameter_table, sweep_cases, where_lines,
};
use crate::startpoints::Points;
use crate::sweep::{Evaluator, PointResult};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check the gradient at many random points and report, for each parameter, whether it fails
/// consistently.
///
/// Writes run.json, points.csv, checks.csv, best.csv, parameters.csv, eps.csv, where.csv,
/// failures.csv and a page with plots, report.html; with --by groups.csv or attribution.csv. With
/// --mode residuals: run.json, points.csv, residuals.csv, parameters.csv, failures.csv. With --order
/// 1: run.json, points.csv, hessian.csv, failures.csv. With several gradients each has such files in
/// a folder of its own; parameters.csv of all and sources.csv, which compares them, stand beside these.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    gradsweep sweep data/stat5                               1,000 points, reports in stat5-sweep/\n  \
    gradsweep sweep data/stat5 --points 10000 --seed 7 --out run7 --engine gpu\n  \
    gradsweep sweep data/stat5 --at points.csv --eps 1e-2,1e-3,1e-4 --steps adaptive\n  \
    gradsweep sweep data/stat5 --at points.csv --gradient gradients.csv --by row\n  \
    gradsweep sweep data/stat5 --at points.csv --order 1 --hessian hessian.csv\n  \
    gradsweep sweep data/stat5 --at points.csv --gradient forward --gradient amici.csv")]
pub struct Arguments {
    /// PEtab YAML file, or a folder that holds one.
    pub(super) problem: PathBuf,
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
    pub(super) check: CheckOptions,
    #[command(flatten)]
    pub(super) localise: LocaliseOptions,
    #[command(flatten)]
    pub(super) hessian: HessianOptions,
    /// A failure rate whose confidence interval lies above this is called consistent.
    #[arg(long, default_value_t = DEFAULT_CONSISTENT, value_name = "RATE")]
    pub(super) consistent: f64,
    /// Folder for the reports [default: PROBLEM-sweep in the current folder, or
    /// PROBLEM-sources-sweep with several gradients].
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Replace reports that are in the folder already.
    #[arg(long)]
    pub(super) overwrite: bool,
    #[command(flatten)]
    outcome: OutcomeOptions,
    #[command(flatten)]
    pub(super) solver: SolverOptions,
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
    let (localise, asked) = (&arguments.localise, &arguments.outcome);
    let hessian = arguments.hessian.file(&arguments.check, localise, asked, false)?;
    arguments.solver.start_threads()?;
    let problem = arguments.solver.load(&arguments.problem)?;
    let mut plan = arguments.check.plan(&problem, eps, criteria, arguments.consistent)?;
    let points = draw(arguments, &problem)?;
    if arguments.localise.mode == Mode::Residuals {
        arguments.outcome.refuse()?;
        return super::residuals::sweep(arguments, manner, settings, (&problem, plan, &points));
    }
    if let Some(file) = hessian {
        let task = (&problem, plan, &points);
        return super::hessian::sweep(arguments, file, manner, settings, task);
    }
    let mut sources = Sources::new(&arguments.check, &problem, &points, &mut plan)?;
    let kind = if sources.are_several() { "sources-sweep" } else { "sweep" };
    let mut localisers = sources
        .all
        .iter()
        .map(|n| Localiser::for_sweep(&arguments.localise, &problem, &plan, &n.judged))
        .collect::<Result<Vec<_>, _>>()?;
    let folder =
        arguments.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}-{kind}", problem.name)));
    let dynamic: usize =
        problem.all().map(|m| m.dynamic_directions().len() * m.simulations.len()).sum();
    let integrations = points.len() * (problem.simulation_count() + 2 * plan.eps.len() * dynamic);
    let engines = engines::choose(&arguments.solver, &problem, settings, integrations)?;
    let known = arguments.outcome.known(&problem)?;
    sources.suit(&folder)?;
    // A default folder is the program's own: an earlier sweep's reports there may be replaced.
    result_folder(&folder, arguments.overwrite || arguments.out.is_none())?;
    // The file may lie in that folder.
    let outcome = Outcome::open(&arguments.outcome, known)?;
    if !manner.quiet {
        eprintln!("engine: {} ({})", engines.probes.describe(), engines.reason);
    }
    sources.prepare(&problem, settings, engines.tangents.as_ref(), &points)?;
    let wanted = sources.wanted(arguments.localise.by.is_some());
    let (probes, gradients) = (engines.probes.as_ref(), engines.gradients());
    let evaluator = Evaluator::with_gradients(&problem, settings, probes, gradients, wanted)?;
    sources.settle(&evaluator);
    let folder_of = |named: &Named| match sources.are_several() {
        true => folder.join(&named.folder),
        false => folder.clone(),
    };
    let mut reports = Vec::new();
    for named in &sources.all {
        let own = folder_of(named);
        fs::create_dir_all(&own).map_err(CliError::output(&own))?;
        reports.push(Reports::open(&own, &problem)?);
    }
    let progress = progress_bar(points.len(), manner);
    let given: Vec<_> =
        sources.all.iter().map(|n| (n.judged.source(), n.judged.allowance())).collect();
    let judging: Vec<Source<'_>> = given
        .iter()
        .zip(&sources.all)
        .map(|((gradient, allowance), named)| Source {
            gradient,
            method: named.judged.method(),
            allowance,
        })
        .collect();
    let mut comparing = Comparing::new(&sources, &plan);
    let mut sink = |judged: &[JudgedPoint], result: &PointResult| -> Result<(), CliError> {
        let place = judged[0].point.position();
        let (id, theta) = (&points.ids[place], &points.theta_scaled[place]);
        for (k, judged) in judged.iter().enumerate() {
            reports[k].add(id, theta, judged, result)?;
            localisers[k].see(theta, judged, result, judging[k].allowance);
        }
        comparing.add(judged, result, &judging, &plan);
        progress.inc(1);
        Ok(())
    };
    let mut summaries =
        check::run_sources(&evaluator, &points.theta_scaled, &plan, &judging, &mut sink)?;
    progress.finish_and_clear();
    let localisations = localisers
        .into_iter()
        .zip(&mut summaries)
        .map(|(localiser, summary)| localiser.finish(&evaluator, &points, &plan, summary))
        .collect::<Result<Vec<_>, _>>()?;

    let style = Style { colours: manner.colours, detailed: false };
    let (mut text, mut verdicts) = (String::new(), String::new());
    let (mut all_cases, mut all_ended, mut properties) = (Vec::new(), Vec::new(), Vec::new());
    let judged = sources.all.iter().zip(&summaries).zip(&localisations);
    for (((named, summary), localisation), reports) in judged.zip(reports) {
        let mut cases = sweep_cases(&problem, summary);
        let mut ended = outcome.end(&named.name, &mut cases);
        ended.is_bad |= localisation.has_consistent_failure();
        let gradient = named.judged.describe();
        let mut record =
            record(arguments, &problem, &plan, &engines, &evaluator, summary, gradient)?;
        record.gradient_engine = engines.describe_gradient(named.judged.method());
        record.notes.extend(sources.notes());
        record.baseline.clone_from(&ended.record);
        reports.finish(summary, &record)?;
        localisation.write(&folder_of(named), &problem, &points)?;
        let theirs = record
            .properties()
            .map_err(|e| CliError::output(folder.join("run.json"))(std::io::Error::other(e)))?;
        let lines = diagnosis_lines(&problem, summary)
            + &where_lines(&problem, summary)
            + &localisation.table(&problem, &points, style)
            + &ended.lines();
        if sources.are_several() {
            for case in &mut cases {
                case.source = Some(named.folder.clone());
            }
            let theirs = theirs.into_iter().map(|(k, v)| (format!("{}.{k}", named.folder), v));
            properties.extend(theirs);
            let (name, kind) = (&named.name, named.judged.describe());
            text.push_str(&format!("gradient {name} ({kind}):\n"));
            text.push_str(&format!("{}\n{lines}", parameter_table(&problem, summary, style)));
        } else {
            properties = theirs;
            text.push_str(&format!("{}\n", parameter_table(&problem, summary, style)));
            verdicts = lines;
        }
        all_cases.extend(cases);
        all_ended.push(ended);
    }
    if sources.are_several() {
        let tables: Vec<(&str, &CheckSummary)> =
            sources.all.iter().map(|n| n.name.as_str()).zip(&summaries).collect();
        text.push_str(&comparing.finish(&problem, &folder, &tables, style)?);
    }
    outcome.write(&problem, &properties, &all_cases)?;

    let summary = &summaries[0];
    if let [only] = sources.all.as_slice() {
        text.push_str(&format!("gradient: {}\n", only.judged.describe()));
    }
    text.push_str(&format!(
        "{} points ({} failed), {} integrations; {} steps, rtol {:e}, atol {:e}\nreports in {}\n",
        summary.points,
        summary.failed_points,
        summary.lanes,
        arguments.check.steps.word(),
        settings.rtol,
        settings.atol,
        folder.display()
    ));
    text.push_str(&verdicts);
    for note in summary.notes(&problem, settings.atol).iter().chain(&sources.notes()) {
        text.push_str(&format!("note: {note}\n"));
    }
    std::io::stdout().write_all(text.as_bytes()).map_err(CliError::output("-"))?;
    Ok(exit_code(&all_ended))
}

pub(super) fn draw(arguments: &Arguments, problem: &OdeProblem) -> Result<Points, CliError> {
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

pub(super) fn progress_bar(points: usize, manner: Manner) -> ProgressBar {
    // indicatif draws on stderr, and only where it is a terminal.
    let bar = if manner.quiet { ProgressBar::hidden() } else { ProgressBar::new(points as u64) };
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} points, {eta} left") {
        bar.set_style(style);
    }
    bar
}

pub(super) fn record(
    arguments: &Arguments,
    problem: &OdeProblem,
    plan: &CheckPlan,
    engines: &engines::Engines,
    evaluator: &Evaluator<'_>,
    summary: &check::CheckSummary,
    gradient: String,
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
        gradient,
        hessian: None,
        mode: arguments.localise.mode.word(),
        by: arguments.localise.by.map(GroupKind::name),
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
