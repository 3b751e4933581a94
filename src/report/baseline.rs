//! Failures that are known from an earlier run, as CSV.
//!
//! `parameters.csv` of a sweep, or any file with the columns `parameter` and `consistent_failure`
//! (`yes` or `no`), and perhaps `source`, where a failure is known of one gradient only; others are
//! not looked at. Parameters that the file lacks are not known to fail.

use crate::model::EstimatedParameter;
use crate::petab::{Place, RecordError, Records};
use serde::Serialize;
use std::collections::HashSet;
use std::path::Path;

const PARAMETER: &str = "parameter";
const FAILURE: &str = "consistent_failure";
const SOURCE: &str = "source";

/// Why a file of known failures cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(
        "{place}: no column `{column}`; expected `{PARAMETER}` and `{FAILURE}`, as parameters.csv of a sweep has"
    )]
    MissingColumn { place: Place, column: &'static str },
    #[error("{place}: column `{column}` occurs twice")]
    DuplicateColumn { place: Place, column: &'static str },
    #[error(
        "{place}: column `{PARAMETER}`: `{found}` is no estimated parameter; expected {}",
        expected.join(", ")
    )]
    UnknownParameter { place: Place, found: String, expected: Vec<String> },
    #[error("{place}: column `{FAILURE}`: `{found}` is not valid; expected yes or no")]
    Value { place: Place, found: String },
    #[error("{place}: a second row for the parameter `{parameter}`; expected one each")]
    Duplicate { place: Place, parameter: String },
}

/// The parameters that are known to fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// With the gradient's name, if only one is meant.
    known: Vec<(Option<String>, String)>,
}

/// Failures of a run beside those known. Every parameter that fails is in `known` or in `new`, and
/// every one known to fail that was checked and does not is in `gone` or in `undecided`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BaselineRecord {
    pub file: String,
    pub sha256: String,
    /// Fail here, and were known to.
    pub known: Vec<String>,
    /// Fail here, and were not known to.
    pub new: Vec<String>,
    /// Were known to fail, and do not where this run could decide.
    pub gone: Vec<String>,
    /// Were known to fail; no point of this run could decide.
    pub undecided: Vec<String>,
}

impl Baseline {
    /// Reads the file.
    ///
    /// # Errors
    /// See [`BaselineError`]; every message names file and line.
    pub fn read(path: &Path, parameters: &[EstimatedParameter]) -> Result<Self, BaselineError> {
        let mut records = Records::read(path)?;
        let header = &records.header;
        let find = |wanted: &'static str| {
            let mut found = (0..records.names.len()).filter(|&k| records.names[k] == wanted);
            match (found.next(), found.next()) {
                (at, None) => Ok(at),
                _ => Err(BaselineError::DuplicateColumn { place: header.clone(), column: wanted }),
            }
        };
        let missing = |column| BaselineError::MissingColumn { place: header.clone(), column };
        let parameter_at = find(PARAMETER)?.ok_or_else(|| missing(PARAMETER))?;
        let failure_at = find(FAILURE)?.ok_or_else(|| missing(FAILURE))?;
        let source_at = find(SOURCE)?;
        let (mut seen, mut known) = (HashSet::new(), Vec::new());
        while let Some((here, record)) = records.next_record()? {
            let id = &record[parameter_at];
            if !parameters.iter().any(|p| p.id == id) {
                let expected = parameters.iter().map(|p| format!("`{}`", p.id)).collect();
                let found = id.to_owned();
                return Err(BaselineError::UnknownParameter { place: here, found, expected });
            }
            let row = (source_at.map(|at| record[at].to_owned()), id.to_owned());
            if !seen.insert(row.clone()) {
                return Err(BaselineError::Duplicate { place: here, parameter: id.to_owned() });
            }
            match &record[failure_at] {
                "yes" => known.push(row),
                "no" => {}
                found => {
                    return Err(BaselineError::Value { place: here, found: found.to_owned() });
                }
            }
        }
        Ok(Self { known })
    }

    /// Whether a parameter of a gradient is known to fail.
    pub fn knows(&self, source: &str, parameter: &str) -> bool {
        let is_it = |known: &Option<String>| known.as_ref().is_none_or(|known| known == source);
        self.known.iter().any(|(known, id)| is_it(known) && id == parameter)
    }
}

impl BaselineRecord {
    /// Lines for people: what is known, new and gone; those of which there is nothing left out.
    pub fn lines(&self) -> String {
        let mut text = String::new();
        for (words, ids) in [
            ("new failures", &self.new),
            ("known failures", &self.known),
            ("known failures that have gone", &self.gone),
            ("known failures that nothing here could decide", &self.undecided),
        ] {
            if !ids.is_empty() {
                text.push_str(&format!("{words}: {}\n", ids.join(", ")));
            }
        }
        if text.is_empty() {
            text.push_str("no failures, and none known\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::petab::ParameterScale;

    fn read(text: &str) -> Result<Baseline, BaselineError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known.csv");
        std::fs::write(&path, text).unwrap();
        let parameter = |id: &str| EstimatedParameter {
            id: id.to_owned(),
            scale: ParameterScale::Lin,
            lower_scaled: 0.0,
            upper_scaled: 1.0,
            nominal_scaled: None,
        };
        Baseline::read(&path, &[parameter("k1"), parameter("k2")])
    }

    #[test]
    fn columns_are_found_by_name() {
        for text in [
            "parameter,consistent_failure\nk1,no\nk2,yes\n",
            "\u{feff}consistent_failure , x,parameter\n\nyes,, k2\n",
        ] {
            let baseline = read(text).unwrap();
            assert!(baseline.knows("g", "k2") && !baseline.knows("g", "k1"), "{text:?}");
        }
        assert!(!read("parameter,consistent_failure\n").unwrap().knows("g", "k1"));
        let text = "source,parameter,consistent_failure\ng,k1,yes\nh,k1,no\nh,k2,yes\n";
        let baseline = read(text).unwrap();
        assert!(baseline.knows("g", "k1") && baseline.knows("h", "k2"));
        assert!(!baseline.knows("h", "k1") && !baseline.knows("g", "k2"));
    }

    #[test]
    fn faults_are_named_with_file_and_line() {
        for (text, parts) in [
            ("", &["known.csv:1", "no column `parameter`"][..]),
            ("parameter,failure\nk1,no\n", &["known.csv:1", "no column `consistent_failure`"]),
            (
                "parameter,consistent_failure,parameter\n",
                &["known.csv:1", "`parameter` occurs twice"],
            ),
            ("parameter,consistent_failure\nk1\n", &["known.csv:2", "1 cells", "expected 2"]),
            ("parameter,consistent_failure\n\nk3,no\n", &["known.csv:3", "`k3`", "`k1`, `k2`"]),
            ("parameter,consistent_failure\nk1,maybe\n", &["known.csv:2", "`maybe`", "yes or no"]),
            (
                "parameter,consistent_failure\nk1,no\nk1,no\n",
                &["known.csv:3", "second row", "`k1`"],
            ),
        ] {
            let message = read(text).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{text:?}: no {part:?} in {message}");
            }
        }
    }
}
