//! Failures that are known from an earlier run, as CSV.
//!
//! `parameters.csv` of a sweep, or any file with the columns `parameter` and `consistent_failure`
//! (`yes` or `no`), and perhaps `source`, where a failure is known of one gradient only; others are
//! not looked at. Parameters that the file lacks are not known to fail.
//!
//! Of second derivatives `hessian.csv`, or any file with a column `parameter2` beside the two. An
//! entry of which the file has one order only is known in both.

use crate::model::EstimatedParameter;
use crate::petab::{Place, RecordError, Records};
use serde::Serialize;
use std::collections::HashSet;
use std::path::Path;

const PARAMETER: &str = "parameter";
const PARAMETER2: &str = "parameter2";
const FAILURE: &str = "consistent_failure";
const SOURCE: &str = "source";

/// Why a file of known failures cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(
        "{place}: no column `{column}`; expected {}", of.columns()
    )]
    MissingColumn { place: Place, column: &'static str, of: Things },
    #[error(
        "{place}: the column `{PARAMETER2}` is of second derivatives, known failures of --order 1; \
         expected {}, once for each parameter", Things::Parameters.columns()
    )]
    OfEntries { place: Place },
    #[error("{place}: column `{column}` occurs twice")]
    DuplicateColumn { place: Place, column: &'static str },
    #[error(
        "{place}: column `{column}`: `{found}` is no estimated parameter; expected {}",
        expected.join(", ")
    )]
    UnknownParameter { place: Place, column: &'static str, found: String, expected: Vec<String> },
    #[error("{place}: column `{FAILURE}`: `{found}` is not valid; expected yes or no")]
    Value { place: Place, found: String },
    #[error("{place}: a second row for `{id}`; expected one each")]
    Duplicate { place: Place, id: String },
}

/// What failures are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Things {
    /// Parameters of a gradient.
    Parameters,
    /// Entries of a matrix of second derivatives: `row,column`.
    Entries,
}

impl Things {
    /// What a file of known failures must have.
    fn columns(self) -> &'static str {
        match self {
            Self::Parameters => {
                "`parameter` and `consistent_failure`, as parameters.csv of a sweep has"
            }
            Self::Entries => {
                "`parameter`, `parameter2` and `consistent_failure`, as hessian.csv of a sweep \
                 with --order 1 has"
            }
        }
    }

    /// The columns with ids.
    fn id_columns(self) -> &'static [&'static str] {
        match self {
            Self::Parameters => &[PARAMETER],
            Self::Entries => &[PARAMETER, PARAMETER2],
        }
    }
}

/// The parameters or entries that are known to fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// With the gradient's name, if only one is meant.
    known: HashSet<(Option<String>, String)>,
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
    pub fn read(
        path: &Path,
        parameters: &[EstimatedParameter],
        of: Things,
    ) -> Result<Self, BaselineError> {
        let mut records = Records::read(path)?;
        let header = &records.header;
        let find = |wanted: &'static str| {
            let mut found = (0..records.names.len()).filter(|&k| records.names[k] == wanted);
            match (found.next(), found.next()) {
                (at, None) => Ok(at),
                _ => Err(BaselineError::DuplicateColumn { place: header.clone(), column: wanted }),
            }
        };
        let needed = |column| {
            let missing = || BaselineError::MissingColumn { place: header.clone(), column, of };
            find(column)?.ok_or_else(missing)
        };
        let ids_at = of
            .id_columns()
            .iter()
            .map(|&column| Ok((column, needed(column)?)))
            .collect::<Result<Vec<_>, BaselineError>>()?;
        let failure_at = needed(FAILURE)?;
        let source_at = match of {
            Things::Parameters => find(SOURCE)?,
            Things::Entries => None,
        };
        if of == Things::Parameters && find(PARAMETER2)?.is_some() {
            return Err(BaselineError::OfEntries { place: header.clone() });
        }
        let (mut seen, mut known) = (HashSet::new(), HashSet::new());
        let mut mirrored = Vec::new();
        while let Some((here, record)) = records.next_record()? {
            for &(column, at) in &ids_at {
                let id = &record[at];
                if !parameters.iter().any(|p| p.id == id) {
                    let expected = parameters.iter().map(|p| format!("`{}`", p.id)).collect();
                    let (place, found) = (here, id.to_owned());
                    return Err(BaselineError::UnknownParameter { place, column, found, expected });
                }
            }
            let source = source_at.map(|at| record[at].to_owned());
            let mut ids: Vec<&str> = ids_at.iter().map(|&(_, at)| &record[at]).collect();
            let id = ids.join(",");
            let row = (source.clone(), id.clone());
            if !seen.insert(row.clone()) {
                return Err(BaselineError::Duplicate { place: here, id });
            }
            match &record[failure_at] {
                "yes" => {
                    known.insert(row);
                    ids.reverse();
                    mirrored.push((source, ids.join(",")));
                }
                "no" => {}
                found => {
                    return Err(BaselineError::Value { place: here, found: found.to_owned() });
                }
            }
        }
        known.extend(mirrored.into_iter().filter(|other| !seen.contains(other)));
        Ok(Self { known })
    }

    /// Whether a parameter of a gradient, or an entry `row,column`, is known to fail.
    pub fn knows(&self, source: &str, id: &str) -> bool {
        let is_known =
            |source: Option<&str>| self.known.contains(&(source.map(str::to_owned), id.to_owned()));
        is_known(None) || is_known(Some(source))
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
                // Entries have a comma of their own.
                let between = if ids.iter().any(|id| id.contains(',')) { "; " } else { ", " };
                text.push_str(&format!("{words}: {}\n", ids.join(between)));
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
        read_of(Things::Parameters, text)
    }

    fn read_of(of: Things, text: &str) -> Result<Baseline, BaselineError> {
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
        Baseline::read(&path, &[parameter("k1"), parameter("k2")], of)
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
    fn entries_are_known_in_both_orders_unless_the_file_says_otherwise() {
        let text = "parameter,parameter2,consistent_failure\nk1,k1,yes\nk1,k2,yes\n";
        let knows = |text: &str| {
            let baseline = read_of(Things::Entries, text).unwrap();
            ["k1,k1", "k1,k2", "k2,k1", "k2,k2"].map(|id| baseline.knows("g", id))
        };
        assert_eq!(knows(text), [true, true, true, false]);
        assert_eq!(knows(&format!("{text}k2,k1,no\n")), [true, true, false, false]);
        assert_eq!(knows(&format!("{text}k2,k2,no\n")), [true, true, true, false]);
    }

    #[test]
    fn faults_in_files_of_entries_are_named() {
        for (text, parts) in [
            (
                "parameter,consistent_failure\nk1,no\n",
                &["known.csv:1", "no column `parameter2`", "hessian.csv"][..],
            ),
            (
                "parameter,parameter2,consistent_failure\nk1,k3,no\n",
                &["known.csv:2", "column `parameter2`", "`k3`", "`k1`, `k2`"],
            ),
            (
                "parameter,parameter2,consistent_failure\nk1,k2,no\nk1,k2,no\n",
                &["known.csv:3", "second row for `k1,k2`"],
            ),
        ] {
            let message = read_of(Things::Entries, text).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{text:?}: no {part:?} in {message}");
            }
        }
        let message = read("parameter,parameter2,consistent_failure\n").unwrap_err().to_string();
        assert!(message.contains("--order 1") && message.contains("parameters.csv"), "{message}");
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
