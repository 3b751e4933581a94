//! A sweep's folder as one page: self-contained HTML with plots in SVG.
//!
//! The page is made from the folder's files alone, so that it can be made again later. Ids and
//! names come from files that are not trusted; they reach the page through [`text::escape`] or the
//! template's own escaping only.

mod bars;
mod entries;
mod eps_panels;
mod error;
mod folder;
mod heat;
mod hessian;
mod matrix;
mod optima;
mod page;
mod plots;
mod residuals;
mod run;
mod scale;
mod scatter;
mod svg;
mod table;
mod template;
mod text;
mod vees;
mod verdicts;

pub use eps_panels::eps_grid_plot;
pub use error::ReportError;
pub use plots::Plot;
pub(super) use text::{clean, escape};

use std::path::Path;

/// What wrote a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// `gradsweep sweep` over gradients of the objective.
    Sweep,
    /// `gradsweep sweep --order 1`.
    Hessian,
    /// `gradsweep sweep --mode residuals`.
    Residuals,
    /// `gradsweep optimize`.
    Optima,
}

impl ReportKind {
    /// By the tables that the folder holds.
    pub fn of(folder: &Path) -> Self {
        let holds = |name: &str| folder.join(name).exists();
        if holds("optima.csv") {
            Self::Optima
        } else if holds("hessian.csv") {
            Self::Hessian
        } else if holds("residuals.csv") {
            Self::Residuals
        } else {
            Self::Sweep
        }
    }

    /// The page of such a folder; it is read anew, and the same files give the same bytes. What is
    /// held in memory of a sweep grows with the parameters, not with the points.
    ///
    /// # Errors
    /// Where a file is missing or malformed: its name, line and column.
    pub fn page(self, folder: &Path) -> Result<String, ReportError> {
        match self {
            Self::Sweep => page::page(&folder::Sweep::read(folder)?),
            Self::Hessian => hessian::page(folder),
            Self::Residuals => residuals::page(folder),
            Self::Optima => optima::Optima::read(folder)?.page(),
        }
    }

    /// The plots of that page, each as an SVG file of its own.
    ///
    /// # Errors
    /// As [`ReportKind::page`].
    pub fn plots(self, folder: &Path) -> Result<Vec<Plot>, ReportError> {
        match self {
            Self::Sweep => Ok(plots::plots(&folder::Sweep::read(folder)?)),
            Self::Hessian => hessian::plots(folder),
            Self::Residuals => residuals::plots(folder),
            Self::Optima => Ok(optima::Optima::read(folder)?.plots()),
        }
    }
}
