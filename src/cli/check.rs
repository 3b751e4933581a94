//! `gradsweep check`.

use super::gradient::Judged;
use super::hessian::HessianOptions;
use super::localise::{LocaliseOptions, Localiser, Mode};
use super::optimum::{Optima, OptimumOptions};
use super::options::{CheckOptions, DEFAULT_CONSISTENT, SolverOptions, points_at, usage};
use super::outcome::{Outcome, OutcomeOptions, exit_code};
use super::output::Output;
use super::sources::{Named, Sources};
use super::{CliError, Manner, engines};
use crate::check::{self, CheckPlan};
use crate::report::{CheckCases, CheckTable, Style, Things, check_table, diagnosis_lines};
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Check the gradient at a few points and print the tables.
///
/// One --eps gives pyPESTO's `check_grad`, several its `check_grad_multi_eps`; beside their columns
/// stand the paired difference, an estimate of the derivative with a bound on its error, and the
/// verdict that rests on it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    gradsweep check data/stat5                            at the nominal point, best of five eps\n  \
    gradsweep check data/stat5 --at random:3 --eps 1e-5   three random points, one eps\n  \
    gradsweep check data/stat5 --at points.csv --parameters k_phos --detailed --out checks.csv\n  \
    gradsweep check data/stat5 --by observable            which rows carry a mismatch\n  \
    gradsweep check data/stat5 --mode residuals --out residuals.csv")]
pub struct Arguments {
    /// PEtab YAML file, or a folder that holds one.
    pub(super) problem: PathBuf,
    /// Points: `nominal`, `random:N`, or a CSV file with columns named by parameter id, values on
    /// the parameter scale.
    #[arg(long, default_value = "nominal", value_name = "nominal|random:N|FILE.csv")]
    at: String,
    /// Seed of random points.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    pub(super) check: CheckOptions,
    #[command(flatten)]
    pub(super) localise: LocaliseOptions,
    #[command(flatten)]
    pub(super) hessian: HessianOptions,
    /// Add fval, fval_p, fval_m and pyPESTO's two weighted columns.
    #[arg(long)]
    pub(super) detailed: bool,
    /// Write the rows of all eps to a CSV file, `-` for standard output.
    #[arg(long, value_name = "FILE.csv")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    optimum: OptimumOptions,
    /// Write what is said of optima to a CSV file.
    #[arg(long, value_name = "FILE.csv")]
    optimum_out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) outcome: OutcomeOptions,
    #[command(flatten)]
    pub(super) solver: SolverOptions,
}

pub(super) fn run(arguments: &Arguments, manner: Manner) -> Result<ExitCode, CliError> {
    let settings = arguments.solver.settings(arguments.check.steps)?;
    let eps = arguments.check.eps_grid()?;
    let criteria = arguments.check.criteria()?;
    let localise = &arguments.localise;
    let hessian = arguments.hessian.wanted(&arguments.check, localise, arguments.detailed)?;
    let are_optima = arguments.are_optima(hessian.is_some())?;
    arguments.solver.start_threads()?;
    let problem = arguments.solver.load(&arguments.problem)?;
    let mut plan = arguments.check.plan(&problem, eps, criteria, DEFAULT_CONSISTENT)?;
    let points = points_at(&problem, &arguments.at, arguments.seed)?;
    if arguments.localise.mode == Mode::Residuals {
        return super::residuals::check(arguments, manner, settings, (&problem, plan, &points));
    }
    if let Some(wanted) = hessian {
        let task = (&problem, plan, &points);
        return super::hessian::check(arguments, wanted, manner, settings, task);
    }
    let sources = Sources::new(&arguments.check, &problem, &points, &mut plan)?;
    let wanted = sources.wanted(localise.by.is_some());
    let Named { name, judged: mut gradient, .. } = sources.single()?;
    let mut localiser = Localiser::for_check(&arguments.localise, &problem, &plan, &gradient)?;
    let probes =
        2 * plan.eps.len() * plan.parameters.len() * points.len() * problem.simulation_count();
    let engines = engines::choose(&arguments.solver, &problem, settings, probes)?;
    let known = arguments.outcome.known(&problem, Things::Parameters)?;
    let outcome = Outcome::open(&arguments.outcome, known)?;
    let evaluator =
        super::gradient::evaluator(&problem, settings, &engines, (wanted, gradient.is_foreign()))?;
    gradient.settle(&evaluator);
    let to_stdout = arguments.out.as_deref() == Some(Path::new("-"));
    let mut csv = match &arguments.out {
        Some(path) => Some(
            CheckTable::new(Output::create(path)?, &problem, arguments.detailed)
                .map_err(CliError::output(path))?,
        ),
        None => None,
    };
    let tolerance = arguments.optimum.optimum_tol;
    let mut optima = match are_optima {
        true => Some(Optima::new(&evaluator, &points, tolerance, plan.criteria)?),
        false => None,
    };
    let style = Style { colours: manner.colours, detailed: arguments.detailed };
    let mut text = String::new();
    let mut cases = CheckCases::new(&problem, &plan);
    let allowance = gradient.allowance();
    let mut summary = check::run_with_allowance(
        &evaluator,
        &points.theta_scaled,
        &plan,
        &gradient.source(),
        &allowance,
        &mut |judged, result| -> Result<(), CliError> {
            let id = &points.ids[judged.point.position()];
            cases.add(id, judged);
            let theta = &points.theta_scaled[judged.point.position()];
            localiser.see(theta, judged, result, &allowance);
            if let (Some(table), Some(path)) = (&mut csv, &arguments.out) {
                table.add(id, judged, &judged.rows).map_err(CliError::output(path))?;
            }
            match &result.objective {
                Ok(objective) => {
                    text.push_str(&format!("point {id}: objective {objective}\n"));
                    text.push_str(&check_table(&problem, judged, &judged.best, style));
                    if let Some(optima) = &mut optima {
                        optima.see(judged, result, &allowance);
                        text.push('\n');
                        text.push_str(&optima.last_table(style));
                    }
                }
                Err(failure) => {
                    text.push_str(&format!("point {id}: failed: {}", failure.describe(&problem)))
                }
            }
            text.push('\n');
            Ok(())
        },
    )?;
    let localisation = localiser.finish(&evaluator, &points, &plan, &mut summary)?;
    summary.effort += localisation.effort;
    if arguments.localise.by.is_some() {
        text.push_str(&diagnosis_lines(&problem, &summary));
    }
    text.push_str(&localisation.table(&problem, &points, style));
    text.push_str(&format!(
        "gradient: {}\n{}; {} steps; rtol {:e} atol {:e}\n",
        gradient.describe(),
        engines.probes.describe(),
        arguments.check.steps.word(),
        settings.rtol,
        settings.atol
    ));
    for note in problem.notes.iter().chain(&summary.notes(&problem, settings.atol)) {
        text.push_str(&format!("note: {note}\n"));
    }
    let mut cases = cases.finish();
    let mut ended = outcome.end(&name, &mut cases);
    ended.is_bad |= localisation.has_failure();
    ended.is_bad |= optima.as_ref().is_some_and(Optima::has_wrong);
    text.push_str(&ended.lines());
    if let (Some(table), Some(path)) = (csv, &arguments.out) {
        table.finish().and_then(Output::finish).map_err(CliError::output(path))?;
    }
    if let (Some(optima), Some(path)) = (&optima, &arguments.optimum_out) {
        optima.write(path)?;
    }
    outcome.write(&problem, &properties(arguments, &plan, &gradient, &engines), &cases)?;
    if !to_stdout {
        std::io::stdout().write_all(text.as_bytes()).map_err(CliError::output("-"))?;
    }
    Ok(exit_code(&[ended]))
}

impl Arguments {
    fn are_optima(&self, is_of_second_order: bool) -> Result<bool, CliError> {
        let other = match (self.localise.mode, is_of_second_order) {
            (Mode::Residuals, _) => Some("--mode residuals"),
            (_, true) => Some("--order 1"),
            _ => None,
        };
        let are_meant = self.optimum.are_meant(Some(&self.at), other)?;
        if !are_meant && self.optimum_out.is_some() {
            return Err(usage("--optimum-out: the points are no optima; see --optimum"));
        }
        Ok(are_meant)
    }
}

/// The settings of a check, for the file of a build server.
fn properties(
    arguments: &Arguments,
    plan: &CheckPlan,
    gradient: &Judged,
    engines: &engines::Engines,
) -> Vec<(String, String)> {
    let eps: Vec<String> = plan.eps.iter().map(|e| format!("{e:e}")).collect();
    let settings = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("command", "check".to_owned()),
        ("engine", engines.probes.describe()),
        ("gradient_engine", engines.describe_gradient(gradient.method())),
        ("gradient", gradient.describe()),
        ("rtol", format!("{:e}", arguments.solver.rtol)),
        ("atol", format!("{:e}", arguments.solver.atol)),
        ("steps", arguments.check.steps.word().to_owned()),
        ("at", arguments.at.clone()),
        ("seed", arguments.seed.to_string()),
        ("eps", eps.join(", ")),
        ("check_rtol", format!("{:e}", plan.criteria.rtol)),
        ("check_atol", format!("{:e}", plan.criteria.atol)),
    ];
    settings.map(|(name, value)| (name.to_owned(), value)).to_vec()
}
