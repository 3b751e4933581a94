//! `gradsweep report`.

use super::CliError;
use super::output::Output;
use crate::report::sweep_page;
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make the page of a sweep again, from the files in its folder.
///
/// Reads run.json, parameters.csv, eps.csv, where.csv, points.csv and best.csv; writes one HTML file
/// with plots, which needs no other file and no network.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    gradsweep report stat5-sweep                    stat5-sweep/report.html\n  \
    gradsweep report stat5-sweep --out stat5.html\n  \
    gradsweep report stat5-sweep --out - | gzip > stat5.html.gz")]
pub struct Arguments {
    /// Folder that `gradsweep sweep` wrote.
    folder: PathBuf,
    /// File for the page; `-` for standard output [default: report.html in the folder].
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let out = arguments.out.clone().unwrap_or_else(|| arguments.folder.join("report.html"));
    write(&arguments.folder, &out)?;
    if out != Path::new("-") {
        let text = format!("report in {}\n", out.display());
        std::io::stdout().write_all(text.as_bytes()).map_err(CliError::output("-"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of a sweep's folder to a file.
pub(super) fn write(folder: &Path, out: &Path) -> Result<(), CliError> {
    let page = sweep_page(folder)?;
    let mut file = Output::create(out)?;
    file.write_all(page.as_bytes()).and_then(|()| file.finish()).map_err(CliError::output(out))
}
