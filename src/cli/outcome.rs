//! How a run ended: failures beside those known, the file for a build server, the exit status.

use super::CliError;
use super::options::usage;
use super::output::Output;
use crate::model::OdeProblem;
use crate::report::{Baseline, BaselineRecord, Case, CaseResult, Things, digest, write_junit};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What a build server wants of a run.
#[derive(Debug, Clone, Args)]
pub struct OutcomeOptions {
    /// Write JUnit XML for a build server: a test case for each parameter, skipped where no point
    /// decides or where the failure is known (--baseline).
    #[arg(long, value_name = "FILE.xml")]
    pub junit: Option<PathBuf>,
    /// Failures that are known and do not make the exit status 1; new ones do. The parameters.csv of
    /// an earlier sweep, or another CSV file with the columns parameter and consistent_failure (yes
    /// or no), and perhaps source, where the failure is one gradient's only. With --order 1 the
    /// hessian.csv of an earlier sweep, or a file with the column parameter2, too.
    #[arg(long, value_name = "FILE.csv")]
    pub baseline: Option<PathBuf>,
}

/// A file of known failures: its path, its digest, what it says.
pub struct Known(PathBuf, String, Baseline);

impl OutcomeOptions {
    /// Reads the known failures.
    pub fn known(&self, problem: &OdeProblem, of: Things) -> Result<Option<Known>, CliError> {
        let Some(path) = &self.baseline else { return Ok(None) };
        let baseline = Baseline::read(path, &problem.parameters, of)?;
        let sha256 = digest(path).map_err(CliError::output(path))?;
        Ok(Some(Known(path.clone(), sha256, baseline)))
    }
}

/// What a run is held against, and the file that it will write.
pub struct Outcome {
    known: Option<Known>,
    junit: Option<(PathBuf, Output)>,
}

/// Failures beside those known.
pub struct Ended {
    pub record: Option<BaselineRecord>,
    /// Whether some failure is not known.
    pub is_bad: bool,
}

impl Outcome {
    /// Opens the file to write, before the work.
    pub fn open(options: &OutcomeOptions, known: Option<Known>) -> Result<Self, CliError> {
        let junit = match &options.junit {
            None => None,
            Some(path) if path == Path::new("-") => {
                return Err(usage("--junit -: the name of a file is expected"));
            }
            Some(path) => Some((path.clone(), Output::create(path)?)),
        };
        Ok(Self { known, junit })
    }

    /// Holds the cases of a gradient against what is known: a known failure is no failed case.
    pub fn end(&self, source: &str, cases: &mut [Case]) -> Ended {
        let Some(Known(path, sha256, baseline)) = &self.known else {
            return Ended { record: None, is_bad: cases.iter().any(is_failed) };
        };
        let mut record = BaselineRecord {
            file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            sha256: sha256.clone(),
            known: Vec::new(),
            new: Vec::new(),
            gone: Vec::new(),
            undecided: Vec::new(),
        };
        for case in cases {
            let is_known = baseline.knows(source, &case.parameter);
            let list = match (&case.result, is_known) {
                (CaseResult::Failed { .. }, true) => &mut record.known,
                (CaseResult::Failed { .. }, false) => &mut record.new,
                (CaseResult::Passed, true) => &mut record.gone,
                (CaseResult::Skipped { .. }, true) => &mut record.undecided,
                (_, false) => continue,
            };
            list.push(case.parameter.clone());
            if let (CaseResult::Failed { message, .. }, true) = (&case.result, is_known) {
                case.result = CaseResult::Skipped { message: format!("known failure: {message}") };
            }
        }
        let is_bad = !record.new.is_empty();
        Ended { record: Some(record), is_bad }
    }

    /// Writes the file for the build server.
    pub fn write(
        self,
        problem: &OdeProblem,
        properties: &[(String, String)],
        cases: &[Case],
    ) -> Result<(), CliError> {
        let Some((path, mut out)) = self.junit else { return Ok(()) };
        write_junit(&mut out, &format!("gradsweep.{}", problem.name), properties, cases)
            .and_then(|()| out.finish())
            .map_err(CliError::output(path))
    }
}

impl Ended {
    /// What is known, new and gone, for people; nothing without a baseline.
    pub fn lines(&self) -> String {
        self.record.as_ref().map(BaselineRecord::lines).unwrap_or_default()
    }
}

/// 1 where a failure is not known.
pub fn exit_code(all: &[Ended]) -> ExitCode {
    if all.iter().any(|ended| ended.is_bad) { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn is_failed(case: &Case) -> bool {
    matches!(case.result, CaseResult::Failed { .. })
}
