//! Tab-separated tables as PEtab writes them: a header line, then rows in any order.
//!
//! Line ends may be LF or CRLF, a byte order mark and blank lines are skipped, rows may be short
//! and cells are trimmed. A tab always separates: quotes around a whole cell (spreadsheets put
//! them there) are taken off, elsewhere they have no meaning.

use super::error::{Fault, PetabError, Place, RowError};
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Larger files are refused.
const MAX_BYTES: u64 = 1 << 30;

/// The text of a file of the problem.
///
/// # Errors
/// A file that cannot be read, is no regular file (a device has no end), or is not UTF-8.
pub(super) fn read_text(file: &Path) -> Result<String, PetabError> {
    let failed = |source| PetabError::Read { file: file.to_owned(), source };
    let not_a_file = || PetabError::NotAFile { file: file.to_owned(), limit: MAX_BYTES };
    if !std::fs::metadata(file).map_err(failed)?.is_file() {
        return Err(not_a_file());
    }
    let mut bytes = Vec::new();
    File::open(file)
        .map_err(failed)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(not_a_file());
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        PetabError::NotUtf8 { file: file.to_owned(), line }
    })
}

/// A table as it stands in its file.
#[derive(Debug)]
pub struct Table {
    file: Arc<Path>,
    text: String,
    header: Vec<String>,
    header_line: usize,
    rows: Vec<RowSpan>,
    /// Cells of all rows, as byte ranges of `text`.
    cells: Vec<Range<usize>>,
}

#[derive(Debug)]
struct RowSpan {
    line: usize,
    /// Range of `Table::cells`.
    cells: Range<usize>,
}

impl Table {
    /// Reads a table from a file.
    ///
    /// # Errors
    /// An unreadable file, no header, a column that occurs twice, or a row with a cell beyond
    /// the header.
    pub fn read(file: &Path) -> Result<Self, PetabError> {
        Self::parse(file, read_text(file)?)
    }

    /// Reads a table from text; `file` is its name in errors.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn parse(file: &Path, text: String) -> Result<Self, PetabError> {
        let mut table = Self {
            file: file.into(),
            text: String::new(),
            header: Vec::new(),
            header_line: 0,
            rows: Vec::new(),
            cells: Vec::new(),
        };
        let mut offset = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        for (index, line) in text[offset..].split('\n').enumerate() {
            let start = offset;
            offset += line.len() + 1;
            if line.trim().is_empty() {
                continue;
            }
            let mut at = start;
            let cells = line.split('\t').map(|cell| {
                let span = trimmed(&text, at, cell);
                at += cell.len() + 1;
                span
            });
            if table.header.is_empty() {
                table.header = cells.map(|span| text[span].to_owned()).collect();
                table.header_line = index + 1;
            } else {
                let first = table.cells.len();
                table.cells.extend(cells);
                let cells = first..table.cells.len();
                table.rows.push(RowSpan { line: index + 1, cells });
            }
        }
        table.text = text;
        table.check_shape()?;
        Ok(table)
    }

    fn check_shape(&self) -> Result<(), PetabError> {
        if self.header.is_empty() {
            return Err(PetabError::EmptyTable { file: self.file.to_path_buf() });
        }
        let mut seen = HashSet::new();
        for column in self.header.iter().filter(|column| !column.is_empty()) {
            if !seen.insert(column) {
                let column = column.clone();
                return Err(PetabError::DuplicateColumn { place: self.header_place(), column });
            }
        }
        for row in self.rows() {
            for cell in self.header.len()..row.cell_count() {
                if !row.cell(cell).is_empty() {
                    let (place, found) = (row.place(), row.cell(cell).to_owned());
                    return Err(PetabError::CellWithoutColumn { place, cell: cell + 1, found });
                }
            }
        }
        Ok(())
    }

    /// Name of the file, for errors.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Column names in the file's order; a name may be empty.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    pub(super) fn header_place(&self) -> Place {
        Place { file: self.file.clone(), line: self.header_line }
    }

    /// The rows that are not blank, in the file's order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        (0..self.rows.len()).map(|index| Row { table: self, index })
    }

    /// One row, where there is one of this 0-based index.
    pub fn row(&self, index: usize) -> Option<Row<'_>> {
        (index < self.rows.len()).then_some(Row { table: self, index })
    }

    /// A column that may be missing; its cells are all empty then.
    pub(super) fn column(&self, name: &'static str) -> Column {
        Column { name, index: self.header.iter().position(|column| column == name) }
    }

    /// Columns that must be there.
    ///
    /// # Errors
    /// Names all that are missing.
    pub(super) fn required<const N: usize>(
        &self,
        names: [&'static str; N],
    ) -> Result<[Column; N], PetabError> {
        let columns = names.map(|name| self.column(name));
        let missing: Vec<_> = columns
            .iter()
            .filter(|column| column.index.is_none())
            .map(|column| column.name.to_owned())
            .collect();
        if missing.is_empty() {
            return Ok(columns);
        }
        let (place, found) = (self.header_place(), self.header.clone());
        Err(PetabError::MissingColumns { place, missing, found })
    }
}

/// The byte range of a cell without blanks and enclosing quotes around it.
fn trimmed(text: &str, start: usize, cell: &str) -> Range<usize> {
    let inner = cell.trim();
    let inner = match inner.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(unquoted) => unquoted.trim(),
        None => inner,
    };
    let from = start + (inner.as_ptr() as usize - cell.as_ptr() as usize);
    debug_assert_eq!(&text[from..from + inner.len()], inner);
    from..from + inner.len()
}

/// A named column of one table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub name: &'static str,
    index: Option<usize>,
}

/// What a row is about, for errors: a kind of thing and its identifier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'s>(pub &'static str, pub &'s str);

/// One row of a table.
#[derive(Debug, Clone, Copy)]
pub struct Row<'t> {
    table: &'t Table,
    index: usize,
}

impl<'t> Row<'t> {
    fn span(&self) -> &'t RowSpan {
        &self.table.rows[self.index]
    }

    /// Where the row stands.
    pub fn place(&self) -> Place {
        Place { file: self.table.file.clone(), line: self.span().line }
    }

    /// Number of cells, which may be fewer than the table has columns.
    pub fn cell_count(&self) -> usize {
        self.span().cells.len()
    }

    /// The trimmed text of the cell in a column; empty where the row is too short.
    pub fn cell(&self, column: usize) -> &'t str {
        let cells = &self.table.cells[self.span().cells.clone()];
        cells.get(column).map_or("", |range| &self.table.text[range.clone()])
    }

    /// The cell's text, or nothing where it is empty or one of the spellings of "missing" that
    /// PEtab's reference library accepts (`nan`, `NaN`, `NA`).
    pub(super) fn get(&self, column: Column) -> Option<&'t str> {
        column.index.map(|index| self.cell(index)).filter(|text| !is_missing(text))
    }

    /// The cell's text.
    ///
    /// # Errors
    /// A missing value; `expected` says what should be there.
    pub(super) fn text(
        &self,
        column: Column,
        subject: Subject<'_>,
        expected: &'static str,
    ) -> Result<&'t str, PetabError> {
        self.get(column)
            .ok_or_else(|| self.fail(subject, column.name, self.absence(column, expected)))
    }

    /// What is wrong with a cell that should hold a value: nothing is there, or a word for it.
    pub(super) fn absence(&self, column: Column, expected: &'static str) -> Fault {
        match column.index.map_or("", |index| self.cell(index)) {
            "" => Fault::Missing { expected },
            word => Fault::Invalid { found: word.to_owned(), expected },
        }
    }

    /// The identifier that the row defines.
    ///
    /// # Errors
    /// An empty cell, or text that is not an identifier.
    pub(super) fn id(&self, column: Column, kind: &'static str) -> Result<&'t str, PetabError> {
        let found = column.index.map_or("", |index| self.cell(index));
        let subject = Subject(kind, found);
        if found.is_empty() {
            return Err(self.fail(
                subject,
                column.name,
                Fault::Missing { expected: "an identifier" },
            ));
        }
        if !is_identifier(found) {
            let fault = Fault::InvalidId { found: found.to_owned() };
            return Err(self.fail(subject, column.name, fault));
        }
        Ok(found)
    }

    /// The number in a cell, if there is one; infinities included.
    ///
    /// # Errors
    /// Text that is not a number.
    pub(super) fn number(
        &self,
        column: Column,
        subject: Subject<'_>,
        expected: &'static str,
    ) -> Result<Option<f64>, PetabError> {
        let Some(text) = self.get(column) else { return Ok(None) };
        parse_number(text).map(Some).ok_or_else(|| {
            let fault = Fault::Invalid { found: text.to_owned(), expected };
            self.fail(subject, column.name, fault)
        })
    }

    /// Refuses a filled cell of a column that has lost its meaning in PEtab v2.
    pub(super) fn refuse(
        &self,
        column: Column,
        subject: Subject<'_>,
        instead: &'static str,
    ) -> Result<(), PetabError> {
        match self.get(column) {
            Some(_) => Err(self.fail(subject, column.name, Fault::Legacy { instead })),
            None => Ok(()),
        }
    }

    /// The error of this row.
    pub(super) fn fail(&self, subject: Subject<'_>, column: &str, fault: Fault) -> PetabError {
        let Subject(kind, id) = subject;
        let subject = if id.is_empty() { kind.to_owned() } else { format!("{kind} `{id}`") };
        RowError { place: self.place(), subject, column: column.to_owned(), fault }.into()
    }
}

impl From<RowError> for PetabError {
    fn from(error: RowError) -> Self {
        Self::Row(Box::new(error))
    }
}

fn is_missing(text: &str) -> bool {
    matches!(text, "" | "nan" | "NaN" | "NA")
}

/// Whether `text` is a PEtab identifier: a letter or underscore, then letters, digits,
/// underscores.
pub fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A decimal number or a signed `inf` (any case); not NaN, and not a number that overflows.
pub(super) fn parse_number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.eq_ignore_ascii_case("inf") {
        return text.parse().ok();
    }
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Table, PetabError> {
        Table::parse(Path::new("t.tsv"), text.to_owned())
    }

    fn cells(table: &Table) -> Vec<Vec<&str>> {
        table.rows().map(|row| (0..row.cell_count()).map(|i| row.cell(i)).collect()).collect()
    }

    #[test]
    fn dialects() {
        let table =
            parse("\u{feff}a\t b \tc\r\n\r\n 1 \t\"x y\"\r\n\t\t\n2\t3\t4\t\t\n\"\t\"\"\t5")
                .unwrap();
        assert_eq!(table.header(), ["a", "b", "c"]);
        assert_eq!(
            cells(&table),
            [vec!["1", "x y"], vec!["2", "3", "4", "", ""], vec!["\"", "", "5"]]
        );
        let lines: Vec<_> = table.rows().map(|row| row.place().line).collect();
        assert_eq!(lines, [3, 5, 6]);
        assert_eq!(table.row(0).unwrap().cell(2), "");
    }

    #[test]
    fn missing_values() {
        let table = parse("a\tb\nNaN\tNA\nnan\t\n").unwrap();
        for row in table.rows() {
            assert_eq!(row.get(table.column("a")), None);
            assert_eq!(row.get(table.column("b")), None);
            assert_eq!(row.get(table.column("absent")), None);
        }
    }

    #[test]
    fn numbers() {
        for (text, expected) in [
            ("1", Some(1.0)),
            ("-1.5E-07", Some(-1.5e-7)),
            ("+.5", Some(0.5)),
            ("inf", Some(f64::INFINITY)),
            ("-Inf", Some(f64::NEG_INFINITY)),
            ("1e999", None),
            ("infinity", None),
            ("nan", None),
            ("1,5", None),
            ("0x10", None),
            ("", None),
        ] {
            assert_eq!(parse_number(text), expected, "{text}");
        }
    }

    #[test]
    fn errors() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(message(" \n"), "t.tsv: the table is empty; expected a header line");
        assert_eq!(message("a\tb\ta\n"), "t.tsv:1: column `a` occurs twice in the header");
        assert_eq!(
            message("a\tb\n1\t2\n1\t2\t\t3\n"),
            "t.tsv:3: cell 4 (`3`) has no column in the header"
        );
        let missing = parse("a\tb\n").unwrap().required(["b", "c", "d"]).unwrap_err();
        assert_eq!(missing.to_string(), "t.tsv:1: missing column `c`, `d`; the table has `a`, `b`");
    }

    #[test]
    fn unreadable_files() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent.tsv");
        let message = Table::read(&absent).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}: ", absent.display())), "{message}");
        let message = Table::read(folder.path()).unwrap_err().to_string();
        assert!(message.contains("is not a regular file"), "{message}");
        let latin1 = folder.path().join("latin1.tsv");
        std::fs::write(&latin1, b"a\nb\n\xb5\n").unwrap();
        let message = Table::read(&latin1).unwrap_err().to_string();
        assert_eq!(message, format!("{}:3: is not UTF-8 text", latin1.display()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(table) = parse(&String::from_utf8_lossy(&bytes)) {
                cells(&table);
            }
        }

        #[test]
        fn arbitrary_tables_do_not_panic(text in "[ab1\t\n\r\" ]{0,80}") {
            if let Ok(table) = parse(&text) {
                cells(&table);
            }
        }
    }
}
