//! A sweep's folder as one page: self-contained HTML with plots in SVG.
//!
//! The page is made from the folder's files alone, so that it can be made again later. Ids and
//! names come from files that are not trusted; they reach the page through [`text::escape`] or the
//! template's own escaping only.

mod bars;
mod eps_panels;
mod error;
mod folder;
mod heat;
mod optima;
mod page;
mod plots;
mod run;
mod scale;
mod scatter;
mod svg;
mod table;
mod template;
mod text;
mod vees;

pub use eps_panels::eps_grid_plot;
pub use error::ReportError;
pub use plots::Plot;
pub(super) use text::{clean, escape};

use std::path::Path;

/// The page of a folder that `gradsweep sweep` wrote; it is read anew, and the same files
/// give the same bytes. What is held in memory grows with the parameters, not with the points.
///
/// # Errors
/// Where a file is missing or malformed: its name, line and column.
pub fn sweep_page(folder: &Path) -> Result<String, ReportError> {
    page::page(&folder::Sweep::read(folder)?)
}

/// The page of a folder that `gradsweep optimize` wrote.
///
/// # Errors
/// As [`sweep_page`].
pub fn optima_page(folder: &Path) -> Result<String, ReportError> {
    optima::Optima::read(folder)?.page()
}

/// The plots of an optimisation's page, each as an SVG file of its own.
///
/// # Errors
/// As [`sweep_page`].
pub fn optima_plots(folder: &Path) -> Result<Vec<Plot>, ReportError> {
    Ok(optima::Optima::read(folder)?.plots())
}

/// The plots of a sweep's page, each as an SVG file of its own.
///
/// # Errors
/// As [`sweep_page`].
pub fn sweep_plots(folder: &Path) -> Result<Vec<Plot>, ReportError> {
    Ok(plots::plots(&folder::Sweep::read(folder)?))
}
