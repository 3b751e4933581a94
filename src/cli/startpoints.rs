//! `gradsweep startpoints`.

use super::CliError;
use super::options::{Draw, usage};
use super::output::Output;
use crate::model;
use crate::startpoints::write_csv;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Print random startpoints, on the parameter scale.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    gradsweep startpoints data/stat5 --points 5\n  \
    gradsweep startpoints data/stat5 --points 1000 --seed 7 --out points.csv")]
pub struct Arguments {
    /// PEtab YAML file, or a folder that holds one.
    problem: PathBuf,
    /// Number of points.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    points: usize,
    /// Seed; the same seed gives the same points, whatever their number.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw uniformly between the bounds, or as the parameter table says: by initialization priors
    /// (v1), by priors (v2), and uniformly where there is none.
    #[arg(long, value_enum, default_value = "bounds")]
    draw: Draw,
    /// File to write, `-` for standard output.
    #[arg(long, default_value = "-", value_name = "FILE.csv")]
    out: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, CliError> {
    if arguments.points == 0 {
        return Err(usage("--points 0: at least one point is needed"));
    }
    let problem = model::load(&arguments.problem)?;
    let points = arguments.draw.points(&problem, 0..arguments.points, arguments.seed)?;
    let mut out = Output::create(&arguments.out)?;
    write_csv(&points, &problem.parameters, &mut out)
        .and_then(|()| out.finish())
        .map_err(CliError::output(&arguments.out))?;
    Ok(ExitCode::SUCCESS)
}
