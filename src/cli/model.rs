//! `gradsweep simulate MODEL.xml`: a model without a problem around it.

use super::options::{SolverOptions, usage};
use super::output::Output;
use super::{CliError, engines};
use crate::model::standalone::{Quantity, Standalone, Terms, variables};
use crate::report::write_time_course;
use crate::sweep::{Evaluator, Settings, no_refinement};
use clap::Args;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Most output times; beyond this somebody has mistyped.
const MOST_STEPS: usize = 1_000_000;

/// What to compute of a model by itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options for an SBML file")]
pub struct ModelOptions {
    /// Time at which the simulation ends; it starts at 0.
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    end: Option<f64>,
    /// Number of equal intervals between output times [default: 100].
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Compute these, separated by commas: ids of species, parameters, compartments, reactions or
    /// species references [default: all species and whatever else varies].
    #[arg(long, value_delimiter = ',', value_name = "ID,...")]
    variables: Vec<String>,
    /// Species as amounts; without it as in the model's formulas, which means concentrations
    /// unless the species has only substance units.
    #[arg(long)]
    amounts: bool,
}

impl ModelOptions {
    /// Whether a path is a model rather than a problem.
    pub(super) fn is_meant(&self, path: &Path) -> bool {
        let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        self.end.is_some() || matches!(extension.as_deref(), Some("xml" | "sbml"))
    }

    fn times(&self) -> Result<Vec<f64>, CliError> {
        let Some(end) = self.end else {
            return Err(usage("a model by itself needs --end, the time at which it ends"));
        };
        if !(end.is_finite() && end > 0.0) {
            return Err(usage(format!("--end {end}: a positive time is expected")));
        }
        let steps = self.steps.unwrap_or(100);
        if steps == 0 || steps > MOST_STEPS {
            return Err(usage(format!("--steps {steps}: from 1 to {MOST_STEPS} are possible")));
        }
        Ok((0..=steps).map(|i| end * i as f64 / steps as f64).collect())
    }

    /// Simulates the model and writes its values over time.
    pub(super) fn run(
        &self,
        path: &Path,
        out: Option<&Path>,
        solver: &SolverOptions,
        settings: Settings,
    ) -> Result<ExitCode, CliError> {
        let terms = if self.amounts { Terms::Amount } else { Terms::Formula };
        let standalone = Standalone::load(path, &self.times()?, |model| {
            if self.variables.is_empty() {
                variables(model).into_iter().map(|q| Quantity { terms, ..q }).collect()
            } else {
                self.variables.iter().map(|id| Quantity { id: id.clone(), terms }).collect()
            }
        })?;
        let engines = engines::choose(solver, &standalone.problem, settings, 1)?;
        let evaluator =
            Evaluator::new(&standalone.problem, settings, engines.probes.as_ref(), None)?;
        let mut evaluated = evaluator.evaluate(&[Vec::new()], &[], &[], &no_refinement)?;
        let result = evaluated.points.remove(0);
        if let (true, Err(failure)) = (result.predictions.is_empty(), &result.objective) {
            eprintln!("gradsweep: {}: {failure}", path.display());
            return Ok(ExitCode::from(3));
        }
        let to = out.unwrap_or(Path::new("-"));
        let mut output = Output::create(to)?;
        write_time_course(&standalone, &result.predictions, &mut output)
            .and_then(|()| output.finish())
            .map_err(CliError::output(to))?;
        let mut notes = String::new();
        for note in &standalone.problem.notes {
            notes.push_str(&format!("note {note}\n"));
        }
        // Nobody may be listening on stderr; the table is written all the same.
        let _ = writeln!(
            std::io::stderr(),
            "{notes}{} steps; engine {} rtol {:e} atol {:e}",
            result.steps,
            engines.probes.describe(),
            settings.rtol,
            settings.atol
        );
        Ok(ExitCode::SUCCESS)
    }
}
