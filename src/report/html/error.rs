//! What can be wrong with a sweep's folder, and where.

use std::io;
use std::path::PathBuf;

/// Why a folder's files cannot be made into a page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    #[error(
        "{}: {source}; \
         expected the files of a folder that `gradsweep sweep` wrote",
        file.display()
    )]
    Read { file: PathBuf, source: io::Error },
    #[error(
        "{}: is longer than {limit} bytes; \
         expected a file that `gradsweep sweep` wrote",
        file.display()
    )]
    TooLong { file: PathBuf, limit: u64 },
    #[error(
        "{}:{line}:{column}: {reason}; \
         expected the JSON that `gradsweep sweep` wrote",
        file.display()
    )]
    Json { file: PathBuf, line: usize, column: usize, reason: String },
    #[error("{}: `{key}` is {found}; expected {expected}", file.display())]
    Setting { file: PathBuf, key: &'static str, found: String, expected: &'static str },
    #[error("{}:1: missing column `{column}`; expected {}", file.display(), expected.join(", "))]
    MissingColumn { file: PathBuf, column: String, expected: Vec<String> },
    #[error(
        "{}:{line}: the row has {found} cells; \
         expected {expected}, as the header",
        file.display()
    )]
    RowLength { file: PathBuf, line: u64, found: u64, expected: u64 },
    #[error("{}:{line}: {reason}; expected comma-separated UTF-8 text", file.display())]
    Csv { file: PathBuf, line: u64, reason: String },
    #[error(
        "{}:{line}: column `{column}`: `{found}` is not valid; \
         expected {expected}",
        file.display()
    )]
    Cell { file: PathBuf, line: u64, column: String, found: String, expected: &'static str },
    #[error(
        "{}:{line}: `{id}` is in a row above already; \
         expected one row each",
        file.display()
    )]
    Twice { file: PathBuf, line: u64, id: String },
    #[error("{}: has no rows; expected at least one", file.display())]
    NoRows { file: PathBuf },
    #[error("the page's template: {reason}")]
    Template { reason: String },
}
