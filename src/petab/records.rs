//! CSV files that users bring, record by record, each with its place.

use super::Place;
use csv::{Reader, ReaderBuilder, StringRecord, Trim};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a record cannot be used, whatever it should mean.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("{}: {source}; UTF-8 text with cells separated by commas is expected", file.display())]
    Read { file: PathBuf, source: csv::Error },
    #[error("{place}: {found} cells; expected {expected}, as in the header")]
    Length { place: Place, found: usize, expected: usize },
}

/// A CSV file with a header. Blanks around cells, a byte order mark and empty lines are tolerated.
pub struct Records {
    file: Arc<Path>,
    text: Arc<[u8]>,
    reader: Reader<Cursor<Arc<[u8]>>>,
    record: StringRecord,
    /// Names of the columns; none where the file is empty.
    pub names: Vec<String>,
    /// Where they stand.
    pub header: Place,
}

impl Records {
    /// Reads a file and its header.
    ///
    /// # Errors
    /// A file that cannot be read or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let failed = |source| RecordError::Read { file: path.to_owned(), source };
        let text: Arc<[u8]> = std::fs::read(path).map_err(|e| failed(e.into()))?.into();
        let reader = ReaderBuilder::new()
            .trim(Trim::All)
            .has_headers(false)
            .flexible(true)
            .from_reader(Cursor::new(text.clone()));
        let file: Arc<Path> = path.into();
        let header = Place { file: file.clone(), line: 1 };
        let record = StringRecord::new();
        let mut records = Self { file, text, reader, record, names: Vec::new(), header };
        if records.advance()? {
            records.header = records.place();
            // A byte order mark is no part of the first name.
            let name = |name: &str| name.trim_start_matches('\u{feff}').to_owned();
            records.names = records.record.iter().map(name).collect();
        }
        Ok(records)
    }

    /// The next record that is not empty, with its place.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn next_record(&mut self) -> Result<Option<(Place, &StringRecord)>, RecordError> {
        loop {
            if !self.advance()? {
                return Ok(None);
            }
            if self.record.iter().any(|cell| !cell.is_empty()) {
                break;
            }
        }
        let place = self.place();
        let (found, expected) = (self.record.len(), self.names.len());
        if found != expected {
            return Err(RecordError::Length { place, found, expected });
        }
        Ok(Some((place, &self.record)))
    }

    /// Positions of these columns, where the file has them and no others.
    pub fn exactly<const N: usize>(&self, wanted: [&str; N]) -> Option<[usize; N]> {
        let mut places = [0; N];
        for (place, name) in places.iter_mut().zip(wanted) {
            *place = self.names.iter().position(|own| own == name)?;
        }
        (self.names.len() == N).then_some(places)
    }

    /// The names, for messages.
    pub fn listed(&self) -> String {
        self.names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
    }

    fn advance(&mut self) -> Result<bool, RecordError> {
        let failed = |source| RecordError::Read { file: self.file.to_path_buf(), source };
        self.reader.read_record(&mut self.record).map_err(failed)
    }

    /// Of the last record. The reader's own line is that of the empty lines before it.
    fn place(&self) -> Place {
        let line = self.record.position().map_or(1, |position| {
            let rest = self.text.get(position.byte() as usize..).unwrap_or_default();
            let skipped = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
            position.line() as usize + skipped.filter(|byte| **byte == b'\n').count()
        });
        Place { file: self.file.clone(), line }
    }
}
