//! `gradsweep power`.

use super::gradient::{self, AUTO};
use super::options::{
    CheckOptions, DEFAULT_CONSISTENT, DEFAULT_GRADIENT_RTOL, SolverOptions, Steps, usage,
};
use super::{CliError, engines};
use crate::check::{self, AllowanceSource, Label, own_allowance};
use crate::report::power_table;
use crate::startpoints::random;
use crate::sweep::{Evaluator, OwnGradients};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Say how small an error of the gradient a sweep would find.
///
/// For each parameter: the smallest relative error that a sweep over as many random points calls a
/// consistent failure with a probability of 99.9 %. It follows from the bounds on the differences, and
/// with --steps adaptive from what gradient and differences change by at tighter tolerances; no gradient is
/// judged.
#[derive(Debug, Args)]
#[command(mut_arg("gradient", |a| a.hide(true)), mut_arg("gradient_rtol", |a| a.hide(true)))]
#[command(mut_arg("label", |a| a.hide(true)))]
#[command(after_help = "Examples:\n  \
    gradsweep power data/stat5 --points 100\n  \
    gradsweep power data/stat5 --points 300 --steps adaptive --parameters k_phos")]
pub struct Arguments {
    /// PEtab YAML file, or a folder that holds one.
    problem: PathBuf,
    /// Number of random points, uniform between the bounds on the parameter scale.
    #[arg(long, default_value_t = 100, value_name = "N")]
    points: usize,
    /// Seed of random points.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A failure rate whose confidence interval lies above this is called consistent.
    #[arg(long, default_value_t = DEFAULT_CONSISTENT, value_name = "RATE")]
    consistent: f64,
    #[command(flatten)]
    check: CheckOptions,
    #[command(flatten)]
    solver: SolverOptions,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let settings = arguments.solver.settings(arguments.check.steps)?;
    let eps = arguments.check.eps_grid()?;
    let criteria = arguments.check.criteria()?;
    let given = &arguments.check;
    for (name, is_default) in [
        ("--gradient", given.gradient == [AUTO]),
        ("--gradient-rtol", given.gradient_rtol == DEFAULT_GRADIENT_RTOL),
        ("--label", given.label == Label::RelErr),
    ] {
        if !is_default {
            return Err(usage(format!(
                "{name}: is for `check` and `sweep`; no gradient is judged here"
            )));
        }
    }
    if arguments.points == 0 {
        return Err(usage("--points 0: at least one point is needed"));
    }
    arguments.solver.start_threads()?;
    let problem = arguments.solver.load(&arguments.problem)?;
    let plan = arguments.check.plan(&problem, eps, criteria, arguments.consistent)?;
    let points = random(&problem.parameters, arguments.points, 0, arguments.seed)?;
    let probes =
        2 * plan.eps.len() * plan.parameters.len() * points.len() * problem.simulation_count();
    let engines = engines::choose(&arguments.solver, &problem, settings, probes)?;
    let no_gradient = |_, _: &[f64], _: Option<&[f64]>| None;
    let (evaluator, allowance): (Evaluator<'_>, &AllowanceSource<'_>) = match given.steps {
        Steps::Shared => {
            (Evaluator::new(&problem, settings, engines.probes.as_ref(), None)?, &|_, _| None)
        }
        Steps::Adaptive => {
            let wanted = (OwnGradients::Cheaper, false);
            (gradient::evaluator(&problem, settings, &engines, wanted)?, &own_allowance)
        }
    };
    let summary = check::run_with_allowance(
        &evaluator,
        &points.theta_scaled,
        &plan,
        &no_gradient,
        allowance,
        &mut |_, _| Ok::<(), CliError>(()),
    )?;
    let text = format!(
        "{}\n{} points ({} failed); {} steps, rtol {:e}, atol {:e}; {}\n",
        power_table(&problem, &summary),
        summary.points,
        summary.failed_points,
        arguments.check.steps.word(),
        settings.rtol,
        settings.atol,
        engines.probes.describe()
    );
    std::io::stdout().write_all(text.as_bytes()).map_err(CliError::output("-"))?;
    Ok(ExitCode::SUCCESS)
}
