//! `--mode residuals` of `check` and `sweep`: the derivative of every measurement's residual.

use super::folder::result_folder;
use super::localise::remove_stale;
use super::options::usage;
use super::output::Output;
use super::residual_gradient::JudgedResiduals;
use super::{CliError, Manner, check, engines, sweep};
use crate::check::{CheckPlan, PartSource, VerdictKind, check_residuals};
use crate::model::OdeProblem;
use crate::report::{
    FailureTable, PointTable, ResidualTable, Style, residual_tables, write_residual_parameters,
    write_residual_rows,
};
use crate::startpoints::Points;
use crate::sweep::{Evaluator, Settings};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The problem, what to check of it, and where.
type Task<'a> = (&'a OdeProblem, CheckPlan, &'a Points);

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
    let mut any_failed = false;
    let mut text = String::new();
    let summary =
        check_residuals(&evaluator, &points.theta_scaled, &plan, source, &mut |judged| -> Result<
            (),
            CliError,
        > {
            let id = &points.ids[judged.point.position()];
            let mut cells = judged.parameters.iter().flat_map(|p| &p.cells);
            any_failed |= cells.any(|cell| cell.verdict.kind == VerdictKind::Fail);
            if let (true, Err(failure)) = (judged.is_first, &judged.result.objective) {
                text.push_str(&format!("point {id}: failed: {failure}\n"));
            }
            match &mut table {
                Some((table, path)) => table.add(id, judged).map_err(CliError::output(*path)),
                None => Ok(()),
            }
        })?;
    let style = Style { colours: manner.colours, detailed: false };
    text.push_str(&residual_tables(problem, &summary, &points.ids, style));
    text.push_str(&format!(
        "{}; {} steps; rtol {:e} atol {:e}\n",
        engines.probes.describe(),
        arguments.check.steps.word(),
        settings.rtol,
        settings.atol
    ));
    for note in problem.notes.iter().chain(&summary.points.notes(problem, settings.atol)) {
        text.push_str(&format!("note: {note}\n"));
    }
    if let Some((table, path)) = table {
        table.finish().and_then(Output::finish).map_err(CliError::output(path))?;
    }
    if arguments.out.as_deref() != Some(Path::new("-")) {
        std::io::stdout().write_all(text.as_bytes()).map_err(CliError::output("-"))?;
    }
    Ok(if any_failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Reports of a sweep over the objective that a sweep over residuals does not write.
const OTHERS: [&str; 9] = [
    "checks.csv",
    "checks.csv.zst",
    "best.csv",
    "eps.csv",
    "where.csv",
    "report.html",
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
    let _lock = result_folder(&folder, arguments.replacing())?;
    if !manner.quiet {
        eprintln!("engine: {} ({})", engines.probes.describe(), engines.reason);
    }
    let tangents = Some(engines.tangents.as_ref());
    judged.prepare(problem, settings, engines.tangents.as_ref(), points)?;
    let evaluator = Evaluator::new(problem, settings, engines.probes.as_ref(), tangents)?;
    let (gradient, allowance) = (judged.gradient(), judged.allowance());
    let source = PartSource { gradient: &gradient, allowance: &allowance };
    let failed = |name: &str| CliError::output(folder.join(name));
    let create = |name: &str| Output::create(&folder.join(name));
    let mut point_table =
        PointTable::new(create("points.csv")?, problem).map_err(failed("points.csv"))?;
    let mut failures =
        FailureTable::new(create("failures.csv")?, problem).map_err(failed("failures.csv"))?;
    let progress = sweep::progress_bar(points.len(), manner);
    let summary =
        check_residuals(&evaluator, &points.theta_scaled, &plan, source, &mut |judged| -> Result<
            (),
            CliError,
        > {
            let place = judged.point.position();
            let (id, theta) = (&points.ids[place], &points.theta_scaled[place]);
            if judged.is_first {
                point_table.add(id, theta, judged.result).map_err(failed("points.csv"))?;
                progress.inc(1);
            }
            // A point's own failure is the same with further parameters.
            if judged.is_first || judged.result.objective.is_ok() {
                failures.add(id, judged.result).map_err(failed("failures.csv"))?;
            }
            Ok(())
        })?;
    progress.finish_and_clear();
    let finish = |name: &str, out: std::io::Result<Output>| {
        out.and_then(Output::finish).map_err(failed(name))
    };
    let gradient = judged.describe();
    let record =
        sweep::record(arguments, problem, &plan, &engines, &evaluator, &summary.points, gradient)?;
    let json = serde_json::to_string_pretty(&record)
        .map_err(|e| failed("run.json")(std::io::Error::other(e)))?;
    let parameters = create("parameters.csv")?;
    finish(
        "parameters.csv",
        write_residual_parameters(parameters, problem, &summary, &points.ids),
    )?;
    let rows = create("residuals.csv")?;
    finish("residuals.csv", write_residual_rows(rows, problem, &summary, &points.ids))?;
    finish("points.csv", point_table.finish())?;
    finish("failures.csv", failures.finish())?;
    let mut run_json = create("run.json")?;
    writeln!(run_json, "{json}").map_err(failed("run.json"))?;
    run_json.finish().map_err(failed("run.json"))?;
    remove_stale(&folder, &OTHERS)?;

    let style = Style { colours: manner.colours, detailed: false };
    let mut text = residual_tables(problem, &summary, &points.ids, style);
    text.push_str(&format!(
        "{} points ({} failed), {} integrations; {} steps, rtol {:e}, atol {:e}\nreports in {}\n",
        summary.points.points,
        summary.points.failed_points,
        summary.points.lanes,
        arguments.check.steps.word(),
        settings.rtol,
        settings.atol,
        folder.display()
    ));
    for note in summary.points.notes(problem, settings.atol) {
        text.push_str(&format!("note: {note}\n"));
    }
    std::io::stdout().write_all(text.as_bytes()).map_err(CliError::output("-"))?;
    let any_failed = summary.points.parameters.iter().any(|p| p.is_consistent_failure);
    Ok(if any_failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
