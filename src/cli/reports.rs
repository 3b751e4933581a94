//! The files that a sweep writes to a folder for one gradient.

use super::CliError;
use super::detail::{CHECKS, DetailOptions, DetailOutput};
use super::localise::remove_stale;
use super::output::Output;
use super::record::write_record;
use crate::check::{CheckSummary, JudgedPoint};
use crate::model::OdeProblem;
use crate::report::{
    CheckTable, FailureTable, PointTable, ReportKind, RunRecord, write_eps, write_parameters,
    write_where,
};
use crate::sweep::PointResult;
use std::io;
use std::path::{Path, PathBuf};

/// Files under way.
pub struct Reports<'a> {
    folder: PathBuf,
    problem: &'a OdeProblem,
    checks: Option<CheckTable<'a, DetailOutput>>,
    detail: DetailOptions,
    best: CheckTable<'a, Output>,
    points: PointTable<Output>,
    failures: FailureTable<'a, Output>,
}

impl<'a> Reports<'a> {
    /// Opens the tables that grow with the points. The folder is there.
    pub fn open(
        folder: &Path,
        problem: &'a OdeProblem,
        detail: DetailOptions,
    ) -> Result<Self, CliError> {
        let failed = |name: &str| CliError::output(folder.join(name));
        let create = |name: &str| Output::create(&folder.join(name));
        let check =
            |name: &str| CheckTable::new(create(name)?, problem, false).map_err(failed(name));
        Ok(Self {
            checks: match detail.file() {
                Some(name) => {
                    let file = detail.create(&folder.join(name))?;
                    Some(CheckTable::new(file, problem, false).map_err(failed(name))?)
                }
                None => None,
            },
            detail,
            best: check("best.csv")?,
            points: PointTable::new(create("points.csv")?, problem)
                .map_err(failed("points.csv"))?,
            failures: FailureTable::new(create("failures.csv")?, problem)
                .map_err(failed("failures.csv"))?,
            folder: folder.to_owned(),
            problem,
        })
    }

    /// Adds a point.
    pub fn add(
        &mut self,
        id: &str,
        theta: &[f64],
        judged: &JudgedPoint,
        result: &PointResult,
    ) -> Result<(), CliError> {
        let failed = |name: &str| CliError::output(self.folder.join(name));
        if let (Some(checks), Some(name)) = (&mut self.checks, self.detail.file()) {
            let rows = self.detail.rows(judged);
            checks.add(id, judged, &rows).map_err(failed(name))?;
        }
        self.best.add(id, judged, &judged.best).map_err(failed("best.csv"))?;
        self.points.add(id, theta, result).map_err(failed("points.csv"))?;
        self.failures.add(id, result).map_err(failed("failures.csv"))
    }

    /// Writes what all points together say, and the page.
    pub fn finish(self, summary: &CheckSummary, record: &RunRecord) -> Result<(), CliError> {
        let Self { folder, problem, checks, detail, best, points, failures } = self;
        let failed = |name: &str| CliError::output(folder.join(name));
        let create = |name: &str| Output::create(&folder.join(name));
        let finish = |name: &str, out: io::Result<Output>| {
            out.and_then(Output::finish).map_err(failed(name))
        };
        finish("parameters.csv", write_parameters(create("parameters.csv")?, problem, summary))?;
        finish("eps.csv", write_eps(create("eps.csv")?, problem, summary))?;
        finish("where.csv", write_where(create("where.csv")?, problem, summary))?;
        if let (Some(checks), Some(name)) = (checks, detail.file()) {
            checks.finish().and_then(DetailOutput::finish).map_err(failed(name))?;
        }
        let others: Vec<&str> =
            CHECKS.into_iter().filter(|name| Some(*name) != detail.file()).collect();
        remove_stale(&folder, &others)?;
        finish("best.csv", best.finish())?;
        finish("points.csv", points.finish())?;
        finish("failures.csv", failures.finish())?;
        write_record(&folder, record)?;
        super::report::write(ReportKind::Sweep, &folder, &folder.join("report.html"))
    }
}
