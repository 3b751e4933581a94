//! `gradsweep report`.

use super::CliError;
use super::comparing::SOURCES;
use super::options::usage;
use super::output::Output;
use crate::report::{Rasteriser, ReportKind};
use clap::{Args, ValueEnum};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make the page of a sweep or an optimisation again, from the files in its folder.
///
/// Of an optimisation it reads run.json, optima.csv and history.csv; of a sweep run.json,
/// parameters.csv, eps.csv, where.csv, points.csv and best.csv; of a sweep with --order 1 run.json and
/// hessian.csv. Writes one HTML file with plots, which needs no other file and no network. With
/// --plots the plots alone are written, each as an SVG or PNG file with its legend.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    gradsweep report stat5-sweep                    stat5-sweep/report.html\n  \
    gradsweep report stat5-sweep --out stat5.html\n  \
    gradsweep report stat5-sweep --out - | gzip > stat5.html.gz\n  \
    gradsweep report stat5-sweep --plots plots      verdicts.svg, differences.svg, ... in plots/\n  \
    gradsweep report stat5-sweep --plots plots --format png\n  \
    gradsweep report stat5-optima --plots plots     waterfall.svg, parameters.svg, descent.svg\n  \
    gradsweep report stat5-hessian --plots plots    verdicts.svg, matrix.svg\n\n\
    SVG becomes PDF with other programs:\n  \
    inkscape plots/verdicts.svg --export-filename verdicts.pdf")]
pub struct Arguments {
    /// Folder that `gradsweep sweep` or `gradsweep optimize` wrote.
    folder: PathBuf,
    /// File for the page; `-` for standard output [default: report.html in the folder].
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// Write each plot as a file to this folder instead; files of the same names are replaced.
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    plots: Option<PathBuf>,
    /// Files of --plots: SVG, or PNG of twice the size in pixels.
    #[arg(long, value_enum, default_value = "svg", requires = "plots")]
    format: Format,
}

/// What a plot's file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Svg,
    Png,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, CliError> {
    refuse_several(&arguments.folder)?;
    if let Some(folder) = &arguments.plots {
        return write_plots(&arguments.folder, folder, arguments.format);
    }
    let out = arguments.out.clone().unwrap_or_else(|| arguments.folder.join("report.html"));
    write(ReportKind::of(&arguments.folder), &arguments.folder, &out)?;
    if out != Path::new("-") {
        let text = format!("report in {}\n", out.display());
        std::io::stdout().write_all(text.as_bytes()).map_err(CliError::output("-"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A sweep of several gradients has a folder for each.
fn refuse_several(folder: &Path) -> Result<(), CliError> {
    if folder.join("run.json").exists() || !folder.join(SOURCES).exists() {
        return Ok(());
    }
    let within = std::fs::read_dir(folder).map_err(CliError::output(folder))?.flatten();
    let theirs = within.map(|entry| entry.path()).filter(|path| path.join("run.json").exists());
    let mut theirs: Vec<String> = theirs.map(|path| path.display().to_string()).collect();
    theirs.sort_unstable();
    let folder = folder.display();
    Err(usage(format!("{folder}: holds several gradients; name one of {}", theirs.join(", "))))
}

/// Writes the page of a folder to a file.
pub(super) fn write(kind: ReportKind, folder: &Path, out: &Path) -> Result<(), CliError> {
    let page = kind.page(folder)?;
    let mut file = Output::create(out)?;
    file.write_all(page.as_bytes()).and_then(|()| file.finish()).map_err(CliError::output(out))
}

fn write_plots(results: &Path, folder: &Path, format: Format) -> Result<ExitCode, CliError> {
    let plots = ReportKind::of(results).plots(results)?;
    std::fs::create_dir_all(folder).map_err(CliError::output(folder))?;
    let rasteriser = (format == Format::Png).then(Rasteriser::default);
    for plot in &plots {
        let mut path = folder.join(&plot.name);
        let png;
        let bytes = match &rasteriser {
            None => plot.svg.as_bytes(),
            Some(rasteriser) => {
                // Not `set_extension`: ids may have dots.
                path = folder.join(format!("{}.png", plot.name.trim_end_matches(".svg")));
                let raster = |source| CliError::Raster { path: path.clone(), source };
                png = rasteriser.png(&plot.svg).map_err(raster)?;
                &png
            }
        };
        let mut file = Output::create(&path)?;
        file.write_all(bytes).and_then(|()| file.finish()).map_err(CliError::output(path))?;
    }
    let text = format!("{} plots in {}\n", plots.len(), folder.display());
    std::io::stdout().write_all(text.as_bytes()).map_err(CliError::output("-"))?;
    Ok(ExitCode::SUCCESS)
}
