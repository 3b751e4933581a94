//! `run.json` of a sweep and of what is like one.

use super::CliError;
use super::engines::Engines;
use super::options::SolverOptions;
use super::output::Output;
use super::sweep::Arguments;
use crate::check::{CheckPlan, CheckSummary, GroupKind};
use crate::index::ParameterIdx;
use crate::model::OdeProblem;
use crate::report::{RunRecord, digest};
use crate::sweep::Evaluator;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// What the objective is made of.
pub(super) fn objective_words(problem: &OdeProblem, solver: &SolverOptions) -> &'static str {
    match (solver.no_priors, problem.priors.are_absent()) {
        (false, false) => "negative log posterior",
        (false, true) => "negative log-likelihood",
        (true, _) => "negative log-likelihood (--no-priors)",
    }
}

/// SHA-256 of all inputs, by names relative to the problem's folder: where that lies is nobody's
/// business.
pub(super) fn input_digests(problem: &OdeProblem) -> Result<BTreeMap<String, String>, CliError> {
    let mut inputs = BTreeMap::new();
    let folder = problem.petab.path.parent().unwrap_or(Path::new(""));
    for file in &problem.petab.files {
        let name = file.strip_prefix(folder).unwrap_or(file).to_string_lossy().into_owned();
        inputs.insert(name, digest(file).map_err(CliError::output(file))?);
    }
    Ok(inputs)
}

/// What commands that check a plan have in common, without results.
pub(super) fn plan_record(
    command: &'static str,
    problem: &OdeProblem,
    plan: &CheckPlan,
    engines: &Engines,
    solver: &SolverOptions,
) -> Result<RunRecord, CliError> {
    let id = |p: &ParameterIdx| problem.parameters[p.position()].id.clone();
    Ok(RunRecord {
        program: "gradsweep",
        version: env!("CARGO_PKG_VERSION"),
        command,
        problem: problem.name.clone(),
        inputs: input_digests(problem)?,
        engine: engines.probes.describe(),
        engine_reason: engines.reason.clone(),
        gradient_engine: engines.tangents.describe(),
        precision: "f64",
        method: "Rodas5P",
        rtol: solver.rtol,
        atol: solver.atol,
        max_steps: solver.max_steps,
        steps: "",
        gradient: String::new(),
        hessian: None,
        mode: None,
        by: None,
        at: String::new(),
        seed: 0,
        points: 0,
        failed_points: 0,
        parameters: plan.parameters.iter().map(id).collect(),
        eps: plan.eps.clone(),
        label: format!("{:?}", plan.label),
        check_rtol: plan.criteria.rtol,
        check_atol: plan.criteria.atol,
        confidence: plan.confidence,
        consistent: plan.consistent,
        integrations: 0,
        attempted_steps: 0,
        step_operations: 0,
        tangent_step_operations: 0,
        objective: objective_words(problem, solver),
        notes: problem.notes.clone(),
        baseline: None,
    })
}

/// What was asked of a sweep, without results.
pub(super) fn settings_record(
    arguments: &Arguments,
    problem: &OdeProblem,
    plan: &CheckPlan,
    engines: &Engines,
    gradient: String,
) -> Result<RunRecord, CliError> {
    let random = || format!("random:{} by {}", arguments.points, arguments.draw.word());
    Ok(RunRecord {
        steps: arguments.check.steps.word(),
        gradient,
        mode: arguments.localise.mode.word(),
        by: arguments.localise.by.map(GroupKind::name),
        at: arguments.at.clone().unwrap_or_else(random),
        seed: arguments.seed,
        ..plan_record("sweep", problem, plan, engines, &arguments.solver)?
    })
}

/// What was asked for, and what came of it.
pub(super) fn record(
    arguments: &Arguments,
    problem: &OdeProblem,
    plan: &CheckPlan,
    engines: &Engines,
    evaluator: &Evaluator<'_>,
    summary: &CheckSummary,
    gradient: String,
) -> Result<RunRecord, CliError> {
    let mut record = settings_record(arguments, problem, plan, engines, gradient)?;
    record.points = summary.points;
    record.failed_points = summary.failed_points;
    record.integrations = summary.effort.lanes;
    record.attempted_steps = summary.effort.steps;
    record.step_operations = evaluator.step_ops;
    record.tangent_step_operations = evaluator.tangent_ops;
    record.notes.extend(summary.notes(problem, arguments.solver.atol));
    Ok(record)
}

/// Writes `run.json`.
pub(super) fn write_record(folder: &Path, record: &impl Serialize) -> Result<(), CliError> {
    let path = folder.join("run.json");
    let json = serde_json::to_string_pretty(record)
        .map_err(|e| CliError::output(&path)(std::io::Error::other(e)))?;
    let mut out = Output::create(&path)?;
    writeln!(out, "{json}").and_then(|()| out.finish()).map_err(CliError::output(path))
}
