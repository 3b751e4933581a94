//! The folder of a sweep over second derivatives, as much of it as the page shows.

use super::ReportError;
use super::run::Run;
use super::table::Table;
use super::text::clean;
use super::verdicts::{VerdictColumns, Verdicts};
use crate::check::VerdictKind;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// A row of `hessian.csv`.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) row: String,
    pub(super) column: String,
    pub(super) verdicts: Verdicts,
    /// Median and largest |value − estimate|/|estimate|.
    pub(super) median: f64,
    largest: f64,
    /// Points at which the values in both orders differ.
    pub(super) asymmetric: u64,
    /// What kind of mistake it looks like; empty where nothing is said.
    pub(super) diagnosis: String,
    /// The row as it is.
    pub(super) cells: Vec<String>,
}

/// What a sweep over second derivatives found.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) run: Run,
    /// Of `hessian.csv`.
    pub(super) header: Vec<String>,
    /// In the order of the file.
    pub(super) all: Vec<Entry>,
    /// Places of the entries, the worst first.
    pub(super) worst_first: Vec<usize>,
    /// Ids of the parameters, in the order of the file.
    pub(super) ids: Vec<String>,
}

impl Entry {
    pub(super) fn id(&self) -> String {
        format!("{}, {}", self.row, self.column)
    }

    /// The larger, the worse: consistent failures, then by failing points, then by the largest error.
    fn badness(&self, other: &Self) -> Ordering {
        let failing = |e: &Self| (e.verdicts.is_consistent, e.verdicts.count(VerdictKind::Fail));
        let known = |error: f64| if error.is_nan() { -1.0 } else { error };
        let of_error = known(self.largest).total_cmp(&known(other.largest));
        failing(self).cmp(&failing(other)).then(of_error)
    }
}

impl Entries {
    /// Reads `run.json` and `hessian.csv`.
    pub(super) fn read(folder: &Path) -> Result<Self, ReportError> {
        let run = Run::read(folder)?;
        let mut table = Table::open(folder.join("hessian.csv"))?;
        let mut expected = vec!["parameter", "parameter2"];
        expected.extend(VerdictColumns::names());
        expected.extend(["error_median", "error_max", "asymmetric", "diagnosis"]);
        let row_at = table.column("parameter", &expected)?;
        let column_at = table.column("parameter2", &expected)?;
        let verdicts_at = VerdictColumns::find(&table, &expected)?;
        let median_at = table.column("error_median", &expected)?;
        let largest_at = table.column("error_max", &expected)?;
        let asymmetric_at = table.column("asymmetric", &expected)?;
        let diagnosis_at = table.column("diagnosis", &expected)?;
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        while table.advance()? {
            let [row, column] = [row_at, column_at].map(|at| clean(table.text(at)));
            if !seen.insert((row.clone(), column.clone())) {
                return Err(ReportError::Twice {
                    file: table.file().to_owned(),
                    line: table.line(),
                    id: format!("{row}, {column}"),
                });
            }
            all.push(Entry {
                row,
                column,
                verdicts: verdicts_at.read(&table)?,
                median: table.number(median_at)?,
                largest: table.number(largest_at)?,
                asymmetric: table.count(asymmetric_at)?,
                diagnosis: clean(table.text(diagnosis_at)),
                cells: table.cells(),
            });
        }
        if all.is_empty() {
            return Err(ReportError::NoRows { file: table.file().to_owned() });
        }
        let mut worst_first: Vec<usize> = (0..all.len()).collect();
        worst_first.sort_by(|&a, &b| all[b].badness(&all[a]));
        let ids = distinct(all.iter().flat_map(|entry| [&entry.row, &entry.column]));
        let header = table.header.iter().map(clean).collect();
        Ok(Self { run, header, all, worst_first, ids })
    }

    /// The entries, the worst first.
    pub(super) fn worst(&self) -> impl Iterator<Item = &Entry> {
        self.worst_first.iter().map(|&place| &self.all[place])
    }

    /// The matrix of at most `most` parameters, those of the worst entries, in the order of the file.
    pub(super) fn matrix(&self, most: usize) -> Matrix<'_> {
        let mut ids = self.ids.clone();
        if ids.len() > most {
            let mut kept = distinct(self.worst().flat_map(|entry| [&entry.row, &entry.column]));
            kept.truncate(most);
            let kept: HashSet<String> = kept.into_iter().collect();
            ids.retain(|id| kept.contains(id));
        }
        let places: HashMap<&str, usize> =
            ids.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
        let mut cells = vec![None; ids.len() * ids.len()];
        for entry in &self.all {
            let place = |id: &String| places.get(id.as_str());
            if let (Some(row), Some(column)) = (place(&entry.row), place(&entry.column)) {
                cells[row * ids.len() + column] = Some(entry);
            }
        }
        Matrix { ids, cells }
    }
}

/// Entries by place.
pub(super) struct Matrix<'a> {
    pub(super) ids: Vec<String>,
    /// `[row][column]`; none where the file lacks it.
    pub(super) cells: Vec<Option<&'a Entry>>,
}

/// Each once, in the order of their first places.
fn distinct<'a>(ids: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = HashSet::new();
    ids.filter(|id| seen.insert(id.as_str())).cloned().collect()
}
