//! `gradsweep tolerances`.

use super::options::{DEFAULT_ATOL, DEFAULT_RTOL, SolverOptions, usage};
use super::output::Output;
use super::{CliError, Manner, engines};
use crate::check::tolerances::{TRUTH, ToleranceStudy, loosest, study_tolerances};
use crate::report::{tolerance_table, write_tolerances};
use crate::startpoints::random;
use crate::sweep::{Settings, StepMode};
use clap::Args;
use indicatif::ProgressBar;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Say which solver tolerances suit a problem.
///
/// Evaluates random points at several tolerances and at rtol 1e-12, atol 1e-16, which count as the
/// truth: errors of objective and gradient, cost, failures, and what finite differences with steps of
/// their own would give at best. Names the loosest tolerances that meet --accuracy.
#[derive(Debug, Args)]
#[command(mut_arg("rtol", |a| a.hide(true)), mut_arg("atol", |a| a.hide(true)))]
#[command(after_help = "Examples:\n  \
    gradsweep tolerances data/stat5\n  \
    gradsweep tolerances data/stat5 --points 200 --accuracy 1e-6 --tolerances 1e-6:1e-10,1e-8:1e-12")]
pub struct Arguments {
    /// PEtab YAML file, or a folder that holds one.
    problem: PathBuf,
    /// Number of random points, uniform between the bounds on the parameter scale.
    #[arg(long, default_value_t = 50, value_name = "N")]
    points: usize,
    /// Seed of random points.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Pairs rtol:atol to try, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "RTOL:ATOL,...",
        default_value = "1e-3:1e-6,1e-4:1e-8,1e-6:1e-10,1e-8:1e-12,1e-10:1e-14"
    )]
    tolerances: Vec<String>,
    /// Steps of the finite differences on the parameter scale, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "EPS,...",
        default_value = "1e-1,1e-2,1e-3,1e-4,1e-5,1e-6"
    )]
    eps: Vec<f64>,
    /// Error of the gradient that nine of ten points may have, relative to the magnitudes of the
    /// terms of each component.
    #[arg(long, default_value_t = 1e-4, value_name = "R")]
    accuracy: f64,
    /// Write the table as CSV, `-` for standard output.
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
    #[command(flatten)]
    solver: SolverOptions,
}

fn pair(text: &str) -> Result<(f64, f64), CliError> {
    let parsed = text.split_once(':').and_then(|(rtol, atol)| {
        let number = |t: &str| t.trim().parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0);
        Some((number(rtol)?, number(atol)?))
    });
    let expected = "two positive numbers RTOL:ATOL are expected, e.g. 1e-8:1e-12";
    parsed.ok_or_else(|| usage(format!("--tolerances {text}: {expected}")))
}

pub(super) fn run(arguments: &Arguments, manner: Manner) -> Result<ExitCode, CliError> {
    let mut tolerances =
        arguments.tolerances.iter().map(|text| pair(text)).collect::<Result<Vec<_>, _>>()?;
    tolerances.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (rtol, atol) = TRUTH;
    for (i, &(r, a)) in tolerances.iter().enumerate() {
        if r < rtol || a < atol {
            return Err(usage(format!(
                "--tolerances {r:e}:{a:e}: tighter than {rtol:e}:{atol:e}, which counts as the truth"
            )));
        }
        if tolerances[..i].contains(&(r, a)) {
            return Err(usage(format!("--tolerances {r:e}:{a:e}: the pair is given twice")));
        }
    }
    for (name, given, default) in [
        ("--rtol", arguments.solver.rtol, DEFAULT_RTOL),
        ("--atol", arguments.solver.atol, DEFAULT_ATOL),
    ] {
        if default.parse() != Ok(given) {
            return Err(usage(format!(
                "{name} {given}: the pairs to try are given by --tolerances"
            )));
        }
    }
    if !(arguments.accuracy.is_finite() && arguments.accuracy > 0.0) {
        return Err(usage(format!(
            "--accuracy {}: a positive number is expected, e.g. 1e-4",
            arguments.accuracy
        )));
    }
    if arguments.points == 0 {
        return Err(usage("--points 0: at least one point is needed"));
    }
    for eps in &arguments.eps {
        if !(eps.is_finite() && *eps > 0.0) {
            return Err(usage(format!("--eps {eps}: a positive step is expected, e.g. 1e-5")));
        }
    }
    arguments.solver.start_threads()?;
    let problem = arguments.solver.load(&arguments.problem)?;
    let points = random(&problem.parameters, arguments.points, 0, arguments.seed)?;
    // What the tightest run needs.
    let max_steps = arguments.solver.max_steps.saturating_mul(10);
    let settings = Settings { rtol, atol, max_steps, steps: StepMode::Adaptive };
    let probes =
        2 * arguments.eps.len() * problem.parameters.len() * points.len() * tolerances.len();
    let engines = engines::choose(&arguments.solver, &problem, settings, probes)?;
    let study = ToleranceStudy { tolerances, eps: arguments.eps.clone(), max_steps };
    let bar = match manner.quiet {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(1 + study.tolerances.len() as u64),
    };
    let rows = study_tolerances(
        &problem,
        engines.probes.as_ref(),
        engines.tangents.as_ref(),
        &points.theta_scaled,
        &study,
        &mut || bar.inc(1),
    )?;
    bar.finish_and_clear();
    let recommended = match loosest(&rows, arguments.accuracy) {
        Some(row) => format!(
            "the loosest with a gradient accurate to {:e} at nine of ten points: rtol {:e}, atol {:e}",
            arguments.accuracy, row.rtol, row.atol
        ),
        None => {
            format!(
                "none gives a gradient accurate to {:e} at nine of ten points",
                arguments.accuracy
            )
        }
    };
    let text = format!(
        "{}\n{recommended}\n{} points; truth at rtol {rtol:e}, atol {atol:e}; {}\n",
        tolerance_table(&rows),
        points.len(),
        engines.probes.describe()
    );
    if let Some(path) = &arguments.out {
        let mut out = Output::create(path)?;
        write_tolerances(&mut out, &rows)
            .and_then(|()| out.finish())
            .map_err(CliError::output(path))?;
        let _ = write!(std::io::stderr(), "{text}");
    } else {
        std::io::stdout().write_all(text.as_bytes()).map_err(CliError::output("-"))?;
    }
    Ok(ExitCode::SUCCESS)
}
