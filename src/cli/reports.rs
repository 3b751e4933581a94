//! The files that a sweep writes to a folder for one gradient.

use super::CliError;
use super::output::Output;
use crate::check::{CheckSummary, JudgedPoint};
use crate::model::OdeProblem;
use crate::report::{
    CheckTable, FailureTable, PointTable, RunRecord, write_eps, write_parameters, write_where,
};
use crate::sweep::PointResult;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Files under way.
pub struct Reports<'a> {
    folder: PathBuf,
    problem: &'a OdeProblem,
    checks: CheckTable<'a, Output>,
    best: CheckTable<'a, Output>,
    points: PointTable<Output>,
    failures: FailureTable<'a, Output>,
}

impl<'a> Reports<'a> {
    /// Opens the tables that grow with the points. The folder is there.
    pub fn open(folder: &Path, problem: &'a OdeProblem) -> Result<Self, CliError> {
        let failed = |name: &str| CliError::output(folder.join(name));
        let create = |name: &str| Output::create(&folder.join(name));
        let check =
            |name: &str| CheckTable::new(create(name)?, problem, false).map_err(failed(name));
        Ok(Self {
            checks: check("checks.csv")?,
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
        self.checks.add(id, judged, &judged.rows).map_err(failed("checks.csv"))?;
        self.best.add(id, judged, &judged.best).map_err(failed("best.csv"))?;
        self.points.add(id, theta, result).map_err(failed("points.csv"))?;
        self.failures.add(id, result).map_err(failed("failures.csv"))
    }

    /// Writes what all points together say, and the page.
    pub fn finish(self, summary: &CheckSummary, record: &RunRecord) -> Result<(), CliError> {
        let Self { folder, problem, checks, best, points, failures } = self;
        let failed = |name: &str| CliError::output(folder.join(name));
        let create = |name: &str| Output::create(&folder.join(name));
        let finish = |name: &str, out: io::Result<Output>| {
            out.and_then(Output::finish).map_err(failed(name))
        };
        let json = serde_json::to_string_pretty(record)
            .map_err(|e| failed("run.json")(io::Error::other(e)))?;
        finish("parameters.csv", write_parameters(create("parameters.csv")?, problem, summary))?;
        finish("eps.csv", write_eps(create("eps.csv")?, problem, summary))?;
        finish("where.csv", write_where(create("where.csv")?, problem, summary))?;
        finish("checks.csv", checks.finish())?;
        finish("best.csv", best.finish())?;
        finish("points.csv", points.finish())?;
        finish("failures.csv", failures.finish())?;
        let mut run_json = create("run.json")?;
        writeln!(run_json, "{json}").map_err(failed("run.json"))?;
        run_json.finish().map_err(failed("run.json"))?;
        super::report::write(&folder, &folder.join("report.html"))
    }
}
