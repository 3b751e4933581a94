//! CSV tables read by the names of their columns.

use super::ReportError;
use super::text::clean;
use csv::{ErrorKind, Reader, StringRecord};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// A CSV file that is read row by row.
pub(super) struct Table {
    file: PathBuf,
    reader: Reader<BufReader<File>>,
    pub(super) header: StringRecord,
    row: StringRecord,
}

impl Table {
    /// Opens a file and reads its header.
    pub(super) fn open(file: PathBuf) -> Result<Self, ReportError> {
        let opened =
            File::open(&file).map_err(|source| ReportError::Read { file: file.clone(), source })?;
        let mut reader = Reader::from_reader(BufReader::with_capacity(1 << 16, opened));
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return Err(fault(&file, &error)),
        };
        Ok(Self { file, reader, header, row: StringRecord::new() })
    }

    /// The position of the first column of this name.
    pub(super) fn column(&self, name: &str, expected: &[&str]) -> Result<usize, ReportError> {
        self.header.iter().position(|h| h == name).ok_or_else(|| ReportError::MissingColumn {
            file: self.file.clone(),
            column: name.to_owned(),
            expected: expected.iter().map(|&c| c.to_owned()).collect(),
        })
    }

    /// Goes to the next row; false where there is none.
    pub(super) fn advance(&mut self) -> Result<bool, ReportError> {
        self.reader.read_record(&mut self.row).map_err(|error| fault(&self.file, &error))
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The line of the row, from 1.
    pub(super) fn line(&self) -> u64 {
        self.row.position().map_or(0, csv::Position::line)
    }

    pub(super) fn text(&self, column: usize) -> &str {
        self.row.get(column).unwrap_or_default()
    }

    /// All cells of the row, fit for a page.
    pub(super) fn cells(&self) -> Vec<String> {
        self.row.iter().map(clean).collect()
    }

    /// The cell as a number; NaN and infinities are numbers here.
    pub(super) fn number(&self, column: usize) -> Result<f64, ReportError> {
        let parsed = self.text(column).parse();
        parsed.map_err(|_| self.bad_cell(column, "a number, NaN, inf or -inf"))
    }

    /// The cell as a number of things.
    pub(super) fn count(&self, column: usize) -> Result<u64, ReportError> {
        let parsed = self.text(column).parse();
        parsed.map_err(|_| self.bad_cell(column, "a whole number of at least 0"))
    }

    /// The fault that this cell is not what was expected.
    pub(super) fn bad_cell(&self, column: usize, expected: &'static str) -> ReportError {
        ReportError::Cell {
            file: self.file.clone(),
            line: self.line(),
            column: clean(self.header.get(column).unwrap_or_default()),
            found: super::text::shortened(&clean(self.text(column)), 60),
            expected,
        }
    }
}

fn fault(file: &Path, error: &csv::Error) -> ReportError {
    let file = file.to_owned();
    let line = error.position().map_or(1, csv::Position::line);
    match error.kind() {
        ErrorKind::Io(source) => {
            ReportError::Read { file, source: io::Error::new(source.kind(), source.to_string()) }
        }
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            ReportError::RowLength { file, line, found: *len, expected: *expected_len }
        }
        ErrorKind::Utf8 { .. } => {
            ReportError::Csv { file, line, reason: "is not UTF-8 text".to_owned() }
        }
        _ => ReportError::Csv { file, line, reason: error.to_string() },
    }
}
