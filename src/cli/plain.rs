//! What sweeps and checks that keep no journal have in common: files that grow with the points, and
//! the last lines.

use super::engines::Engines;
use super::localise::remove_stale;
use super::options::CheckOptions;
use super::output::Output;
use super::record::write_record;
use super::{CliError, Manner, sweep::progress_bar};
use crate::check::{CheckPlan, CheckSummary};
use crate::index::PointIdx;
use crate::model::OdeProblem;
use crate::report::{FailureTable, PointTable, RunRecord};
use crate::startpoints::Points;
use crate::sweep::{PointResult, Settings};
use indicatif::ProgressBar;
use std::io::{self, Write};
use std::path::Path;

/// The problem, what to check of it, and where.
pub type Task<'a> = (&'a OdeProblem, CheckPlan, &'a Points);

/// A sweep's files of points and failed integrations, under way.
pub struct PointReports<'a> {
    folder: &'a Path,
    ids: &'a Points,
    points: PointTable<Output>,
    failures: FailureTable<'a, Output>,
    progress: ProgressBar,
}

impl<'a> PointReports<'a> {
    /// The folder is there.
    pub fn open(
        folder: &'a Path,
        (problem, points): (&'a OdeProblem, &'a Points),
        manner: Manner,
    ) -> Result<Self, CliError> {
        let failed = |name: &str| CliError::output(folder.join(name));
        let create = |name: &str| Output::create(&folder.join(name));
        Ok(Self {
            folder,
            ids: points,
            points: PointTable::new(create("points.csv")?, problem)
                .map_err(failed("points.csv"))?,
            failures: FailureTable::new(create("failures.csv")?, problem)
                .map_err(failed("failures.csv"))?,
            progress: progress_bar(points.len(), manner),
        })
    }

    /// Adds a point with some of its probes, the first or further ones.
    pub fn add(
        &mut self,
        point: PointIdx,
        result: &PointResult,
        is_first: bool,
    ) -> Result<(), CliError> {
        let failed = |name: &str| CliError::output(self.folder.join(name));
        let place = point.position();
        let (id, theta) = (&self.ids.ids[place], &self.ids.theta_scaled[place]);
        if is_first {
            self.points.add(id, theta, result).map_err(failed("points.csv"))?;
            self.progress.inc(1);
        }
        // A point's own failure is the same with further probes.
        if is_first || result.objective.is_ok() {
            self.failures.add(id, result).map_err(failed("failures.csv"))?;
        }
        Ok(())
    }

    /// Writes these files and the record; removes reports of an earlier run that this one lacks.
    pub fn finish(self, record: &RunRecord, stale: &[&str]) -> Result<(), CliError> {
        self.progress.finish_and_clear();
        finish_table(self.folder, "points.csv", self.points.finish())?;
        finish_table(self.folder, "failures.csv", self.failures.finish())?;
        write_record(self.folder, record)?;
        remove_stale(self.folder, stale)
    }
}

/// Puts a table that has been written in its place.
pub fn finish_table(
    folder: &Path,
    name: &str,
    written: io::Result<Output>,
) -> Result<(), CliError> {
    written.and_then(Output::finish).map_err(CliError::output(folder.join(name)))
}

/// What a sweep took, and where its files are.
pub fn count_lines(
    summary: &CheckSummary,
    (check, settings): (&CheckOptions, Settings),
    folder: &Path,
) -> String {
    format!(
        "{} points ({} failed), {} integrations; {} steps, rtol {:e}, atol {:e}\nreports in {}\n",
        summary.points,
        summary.failed_points,
        summary.effort.lanes,
        check.steps.word(),
        settings.rtol,
        settings.atol,
        folder.display()
    )
}

/// The last lines of a sweep.
pub fn sweep_lines(
    problem: &OdeProblem,
    summary: &CheckSummary,
    (check, settings): (&CheckOptions, Settings),
    folder: &Path,
) -> String {
    let mut text = count_lines(summary, (check, settings), folder);
    for note in summary.notes(problem, settings.atol) {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}

/// The last lines of a check.
pub fn check_lines(
    problem: &OdeProblem,
    summary: &CheckSummary,
    (check, settings): (&CheckOptions, Settings),
    engines: &Engines,
) -> String {
    let mut text = format!(
        "{}; {} steps; rtol {:e} atol {:e}\n",
        engines.probes.describe(),
        check.steps.word(),
        settings.rtol,
        settings.atol
    );
    for note in problem.notes.iter().chain(&summary.notes(problem, settings.atol)) {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}

/// Tells people, where a table does not go to standard output.
pub fn print(text: &str, out: Option<&Path>) -> Result<(), CliError> {
    if out == Some(Path::new("-")) {
        return Ok(());
    }
    io::stdout().write_all(text.as_bytes()).map_err(CliError::output("-"))
}
