//! What can be wrong with points, and where.

use crate::petab::{ParameterScale, Place};
use std::path::PathBuf;

/// Why there are no points to start from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartpointError {
    #[error("no points named; expected `nominal`, `random:N` or a CSV file")]
    NoSource,
    #[error(
        "`{found}` is no number of random points; expected `random:N` with a whole number N of at \
         least 1"
    )]
    Count { found: String },
    #[error(
        "parameter `{id}`: no uniform draw between {lower:?} and {upper:?} ({} scale); expected a \
         finite lowerBound and upperBound in the parameter table, or points from a file",
        scale.name()
    )]
    Bounds { id: String, scale: ParameterScale, lower: f64, upper: f64 },
    #[error(
        "{}; expected a finite nominalValue in the parameter table, not negative \
         where parameterScale is log or log10",
        nominal_faults(missing, off_scale)
    )]
    Nominal {
        /// Parameters without a nominal value.
        missing: Vec<String>,
        /// Parameters whose nominal value has no place on their scale.
        off_scale: Vec<String>,
    },
    #[error("{}: {source}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error(
        "{}: is longer than {limit} bytes; split the points over several files",
        file.display()
    )]
    TooLong { file: PathBuf, limit: u64 },
    #[error("{place}: is not UTF-8 text")]
    NotUtf8 { place: Place },
    #[error("{}: is empty; expected a header line with the ids of the parameters", file.display())]
    NoHeader { file: PathBuf },
    #[error("{place}: no points; expected at least one row below the header")]
    NoRows { place: Place },
    #[error(
        "{place}: missing column {}; expected one for every estimated parameter",
        list(missing)
    )]
    MissingColumns { place: Place, missing: Vec<String> },
    #[error(
        "{place}: column {number} (`{column}`) is no parameter of the problem; expected {}",
        list(expected)
    )]
    UnknownColumn {
        place: Place,
        /// 1-based.
        number: usize,
        column: String,
        /// What a points file may hold.
        expected: Vec<String>,
    },
    #[error("{place}: column `{column}` occurs twice in the header")]
    DuplicateColumn { place: Place, column: String },
    #[error("{place}: the row ends before column `{column}`; expected {expected} cells")]
    ShortRow { place: Place, column: String, expected: usize },
    #[error("{place}: cell {cell} (`{found}`) has no column in the header")]
    CellWithoutColumn {
        place: Place,
        /// 1-based.
        cell: usize,
        found: String,
    },
    #[error(
        "{place}: column `{column}`: `{found}` is not valid; expected a finite number ({} scale)",
        scale.name()
    )]
    Value { place: Place, column: String, found: String, scale: ParameterScale },
    #[error("{place}: column `{column}`: is empty; expected the id of the point")]
    NoPointId { place: Place, column: &'static str },
    #[error(
        "{place}: column `{column}`: the id `{id}` is taken, first in line {first}; expected ids \
         that differ"
    )]
    DuplicatePointId {
        place: Place,
        column: &'static str,
        id: String,
        /// 1-based line.
        first: usize,
    },
}

fn nominal_faults(missing: &[String], off_scale: &[String]) -> String {
    let faults = [
        (missing, "no nominal value for"),
        (off_scale, "a nominal value that is not finite on the parameter scale for"),
    ];
    let named = faults.iter().filter(|(ids, _)| !ids.is_empty());
    named.map(|(ids, fault)| format!("{fault} {}", list(ids))).collect::<Vec<_>>().join(", and ")
}

/// The first few names of a list that may be long.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A cell as a message shows it: not longer than a line, and nothing that a terminal obeys.
pub(super) fn excerpt(cell: &str) -> String {
    const SHOWN: usize = 40;
    let mut chars = cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut shown: String = chars.by_ref().take(SHOWN).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}
