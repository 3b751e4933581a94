//! `--mode residuals` of `check` and `sweep`: the derivative of every measurement's residual.

use super::folder::result_folder;
use super::options::usage;
use super::outcome::{Outcome, exit_code};
use super::output::Output;
use super::plain::{PointReports, Task, check_lines, finish_table, print, sweep_lines};
use super::residual_gradient::JudgedResiduals;
use super::{CliError, Manner, check, engines, report, sweep};
use crate::check::{PartSource, check_residuals};
use crate::report::{
    FailsWhen, ReportKind, ResidualTable, Style, Things, residual_cases, residual_tables,
    write_residual_parameters, write_residual_rows,
};
use crate::sweep::{Evaluator, Settings};
use std::path::PathBuf;
use std::process::ExitCode;

/// Options that go with the objective only.
fn refuse(by: bool, detailed: bool) -> Result<(), CliError> {
    let refused = if by {
        "--by: with --mode residuals every row is judged by itself"
    } else if detailed {
        "--detailed: there are no such columns with --mode residuals"
    } else {
        return Ok(());
    };
    Err(usage(refused))
}

/// The residuals' derivatives at a few points.
pub(super) fn check(
    arguments: &check::Arguments,
    manner: Manner,
    settings: Settings,
    (problem, mut plan, points): Task<'_>,
) -> Result<ExitCode, CliError> {
    refuse(arguments.localise.by.is_some(), arguments.detailed)?;
    let mut judged = JudgedResiduals::new(&arguments.check, problem, points, &mut plan)?;
    let probes =
        2 * plan.eps.len() * plan.parameters.len() * points.len() * problem.simulation_count();
    let engines = engines::choose(&arguments.solver, problem, settings, probes)?;
    let known = arguments.outcome.known(problem, Things::Parameters)?;
    let outcome = Outcome::open(&arguments.outcome, known)?;
    let tangents = Some(engines.tangents.as_ref());
    judged.prepare(problem, settings, engines.tangents.as_ref(), points)?;
    let evaluator = Evaluator::new(problem, settings, engines.probes.as_ref(), tangents)?;
    let (gradient, allowance) = (judged.gradient(), judged.allowance());
    let source = PartSource { gradient: &gradient, allowance: &allowance };
    let mut table = match &arguments.out {
        Some(path) => {
            let created = ResidualTable::new(Output::create(path)?, problem);
            Some((created.map_err(CliError::output(path))?, path))
        }
        None => None,
    };
    let mut text = String::new();
    let summary =
        check_residuals(&evaluator, &points.theta_scaled, &plan, source, &mut |judged| -> Result<
            (),
            CliError,
        > {
            let id = &points.ids[judged.point.position()];
            if let (true, Err(failure)) = (judged.is_first, &judged.result.objective) {
                let failure = failure.describe(problem);
                text.push_str(&format!("point {id}: failed: {failure}\n"));
            }
            match &mut table {
                Some((table, path)) => table.add(id, judged).map_err(CliError::output(*path)),
                None => Ok(()),
            }
        })?;
    let style = Style { colours: manner.colours, detailed: false };
    text.push_str(&residual_tables(problem, &summary, &points.ids, style));
    let told = (&arguments.check, settings);
    text.push_str(&check_lines(problem, &summary.points, told, &engines));
    if let Some((table, path)) = table {
        table.finish().and_then(Output::finish).map_err(CliError::output(path))?;
    }
    let properties = [
        ("mode".to_owned(), "residuals".to_owned()),
        ("gradient".to_owned(), judged.describe()),
        ("engine".to_owned(), engines.probes.describe()),
        ("steps".to_owned(), arguments.check.steps.word().to_owned()),
        ("rtol".to_owned(), format!("{:e}", settings.rtol)),
        ("atol".to_owned(), format!("{:e}", settings.atol)),
    ];
    let mut cases = residual_cases(problem, &summary, &points.ids, FailsWhen::Anywhere);
    let ended = outcome.end(NAME, &mut cases);
    text.push_str(&ended.lines());
    outcome.write(problem, &properties, &cases)?;
    print(&text, arguments.out.as_deref())?;
    Ok(exit_code(&[ended]))
}

/// What these derivatives are called where gradients have names.
const NAME: &str = "residuals";
/// Reports of a sweep over the objective that a sweep over residuals does not write.
const OTHERS: [&str; 8] = [
    "checks.csv",
    "checks.csv.zst",
    "best.csv",
    "eps.csv",
    "where.csv",
    "groups.csv",
    "attribution.csv",
    super::hessian::HESSIAN,
];

/// The residuals' derivatives at many points.
pub(super) fn sweep(
    arguments: &sweep::Arguments,
    manner: Manner,
    settings: Settings,
    (problem, mut plan, points): Task<'_>,
) -> Result<ExitCode, CliError> {
    refuse(arguments.localise.by.is_some(), false)?;
    let mut judged = JudgedResiduals::new(&arguments.check, problem, points, &mut plan)?;
    let default = || PathBuf::from(format!("{}-residuals", problem.name));
    let folder = arguments.out.clone().unwrap_or_else(default);
    let dynamic: usize =
        problem.all().map(|m| m.dynamic_directions().len() * m.simulations.len()).sum();
    let integrations = points.len() * (problem.simulation_count() + 2 * plan.eps.len() * dynamic);
    let engines = engines::choose(&arguments.solver, problem, settings, integrations)?;
    // The file may lie in that folder.
    let known = arguments.outcome.known(problem, Things::Parameters)?;
    let _lock = result_folder(&folder, arguments.replacing())?;
    let outcome = Outcome::open(&arguments.outcome, known)?;
    if !manner.quiet {
        eprintln!("engine: {} ({})", engines.probes.describe(), engines.reason);
    }
    let tangents = Some(engines.tangents.as_ref());
    judged.prepare(problem, settings, engines.tangents.as_ref(), points)?;
    let evaluator = Evaluator::new(problem, settings, engines.probes.as_ref(), tangents)?;
    let (gradient, allowance) = (judged.gradient(), judged.allowance());
    let source = PartSource { gradient: &gradient, allowance: &allowance };
    let mut reports = PointReports::open(&folder, (problem, points), manner)?;
    let summary =
        check_residuals(&evaluator, &points.theta_scaled, &plan, source, &mut |judged| -> Result<
            (),
            CliError,
        > {
            reports.add(judged.point, judged.result, judged.is_first)
        })?;
    let mut cases = residual_cases(problem, &summary, &points.ids, FailsWhen::Consistently);
    let ended = outcome.end(NAME, &mut cases);
    let gradient = judged.describe();
    let mut record =
        sweep::record(arguments, problem, &plan, &engines, &evaluator, &summary.points, gradient)?;
    record.baseline.clone_from(&ended.record);
    let create = |name: &str| Output::create(&folder.join(name));
    let parameters = create("parameters.csv")?;
    let written = write_residual_parameters(parameters, problem, &summary, &points.ids);
    finish_table(&folder, "parameters.csv", written)?;
    let rows = create("residuals.csv")?;
    let written = write_residual_rows(rows, problem, &summary, &points.ids);
    finish_table(&folder, "residuals.csv", written)?;
    reports.finish(&record, &OTHERS)?;
    report::write(ReportKind::Residuals, &folder, &folder.join("report.html"))?;
    let properties = record
        .properties()
        .map_err(|e| CliError::output(folder.join("run.json"))(std::io::Error::other(e)))?;
    outcome.write(problem, &properties, &cases)?;

    let style = Style { colours: manner.colours, detailed: false };
    let mut text = residual_tables(problem, &summary, &points.ids, style);
    text.push_str(&sweep_lines(problem, &summary.points, (&arguments.check, settings), &folder));
    text.push_str(&ended.lines());
    print(&text, None)?;
    Ok(exit_code(&[ended]))
}
