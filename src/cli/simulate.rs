//! `gradsweep simulate`.

use super::model::ModelOptions;
use super::options::{SolverOptions, Steps, points_at, usage};
use super::output::Output;
use super::{CliError, engines};
use crate::report::write_simulation_table;
use crate::sweep::{Evaluator, no_refinement};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Simulate a problem at one point: PEtab simulation table, log-likelihood and chi2. Or a model by
/// itself: what it computes, over time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    gradsweep simulate data/stat5\n  \
    gradsweep simulate data/stat5 --out simulations.tsv --rtol 1e-10\n  \
    gradsweep simulate data/stat5 --at point.csv --out -\n  \
    gradsweep simulate data/stat5/model.xml --end 60 --steps 120 --out states.csv")]
pub struct Arguments {
    /// PEtab YAML file, a folder that holds one, or an SBML file.
    problem: PathBuf,
    /// The point: `nominal`, `random:1`, or a points file of one row.
    #[arg(long, default_value = "nominal", value_name = "nominal|random:1|FILE.csv")]
    at: String,
    /// Seed of a random point.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to write the simulation table (TSV), `-` for standard output; without it only the
    /// sums are printed. Of an SBML file the values over time (CSV), `-` by default.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    solver: SolverOptions,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let settings = arguments.solver.settings(Steps::Adaptive)?;
    arguments.solver.start_threads()?;
    if arguments.model.is_meant(&arguments.problem) {
        if arguments.at != "nominal" {
            return Err(usage("--at: a model by itself has no parameter table, and no points"));
        }
        let out = arguments.out.as_deref();
        return arguments.model.run(&arguments.problem, out, &arguments.solver, settings);
    }
    let problem = arguments.solver.load(&arguments.problem)?;
    let points = points_at(&problem, &arguments.at, arguments.seed)?;
    if points.len() != 1 {
        return Err(usage(format!(
            "--at {}: {} points, one is needed",
            arguments.at,
            points.len()
        )));
    }
    let engines = engines::choose(&arguments.solver, &problem, settings, 1)?;
    let evaluator = Evaluator::new(&problem, settings, engines.probes.as_ref(), None)?;
    let evaluated = evaluator.evaluate(&points.theta_scaled, &[], &[], &no_refinement)?;
    let result = &evaluated.points[0];
    let objective = match &result.objective {
        Ok(objective) => *objective,
        Err(failure) => {
            eprintln!("gradsweep: point {}: {}", points.ids[0], failure.describe(&problem));
            return Ok(ExitCode::from(3));
        }
    };
    // Only where the objective is not the likelihood alone.
    let prior = if problem.priors.are_absent() {
        String::new()
    } else {
        format!("log prior {}\nlog posterior {}\n", -result.prior, -objective)
    };
    let sums = format!(
        "llh  {}\n{prior}chi2 {}\nrows {}\nengine {} rtol {:e} atol {:e}",
        result.prior - objective,
        result.chi2,
        problem.row_count(),
        engines.probes.describe(),
        settings.rtol,
        settings.atol
    );
    let mut notes = problem.notes.clone();
    if result.retries > 0 {
        notes.push("broke down at these tolerances; simulated at tighter ones".to_owned());
    }
    for state in &result.below_atol {
        let id = &problem.state_ids[state.position()];
        notes.push(format!("{id} starts below the absolute tolerance: it is not resolved"));
    }
    let sums = notes.iter().fold(sums, |sums, note| format!("{sums}\nnote: {note}"));
    match &arguments.out {
        Some(path) => {
            let mut out = Output::create(path)?;
            write_simulation_table(&problem, &result.predictions, &mut out)
                .and_then(|()| out.finish())
                .map_err(CliError::output(path))?;
            // Nobody may be listening on stderr; the table is written all the same.
            let _ = writeln!(std::io::stderr(), "{sums}");
        }
        None => writeln!(std::io::stdout(), "{sums}").map_err(CliError::output("-"))?,
    }
    Ok(ExitCode::SUCCESS)
}
