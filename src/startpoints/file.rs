//! Points files: CSV with one row a point.

use super::error::excerpt;
use super::{Points, StartpointError};
use crate::model::EstimatedParameter;
use crate::petab::Place;
use std::collections::hash_map::{Entry, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// The column with the ids of the points.
const POINT: &str = "point";

/// Columns of a sweep's `points.csv` and of tables of optimisation results, which say nothing
/// about where a point lies.
const IGNORED: [&str; 7] = ["objective", "status", "steps", "fval", "id", "chi2", "reason"];

/// Longer files are refused.
const MAX_BYTES: u64 = 1 << 30;

/// Reads points from a CSV file, or from standard input where `path` is `-`.
///
/// A header names the columns, in any order. Every one of `parameters` has a column, with values
/// on the parameter scale; they may lie outside the bounds. Columns of `fixed` parameters are
/// dropped, as are `objective`, `status`, `steps`, `fval`, `id`, `chi2` and `reason`. An optional
/// column `point` holds the ids of the points, by default the row numbers from 0. A parameter of
/// one of these names is a parameter.
///
/// A byte order mark, CRLF, blanks around cells and blank lines are tolerated; cells may be
/// quoted.
///
/// # Errors
/// A file that cannot be read, is not UTF-8 or longer than 1 GiB, has no header or no points; a
/// missing, unknown or duplicated column; a row longer or shorter than the header; a value that
/// is no finite number; an empty or duplicated point id.
pub fn read_csv(
    path: &Path,
    parameters: &[EstimatedParameter],
    fixed: &[&str],
) -> Result<Points, StartpointError> {
    let standard_input = path == Path::new("-");
    let file = if standard_input { Path::new("standard input") } else { path };
    let bytes = if standard_input {
        read_all(io::stdin().lock())
    } else {
        File::open(path).and_then(read_all)
    };
    let bytes = bytes.map_err(|source| StartpointError::Read { file: file.to_owned(), source })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(StartpointError::TooLong { file: file.to_owned(), limit: MAX_BYTES });
    }
    parse(file, bytes, parameters, fixed)
}

fn read_all(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse(
    file: &Path,
    bytes: Vec<u8>,
    parameters: &[EstimatedParameter],
    fixed: &[&str],
) -> Result<Points, StartpointError> {
    let mut records = Records::new(file, &bytes)?;
    let mut record = csv::StringRecord::new();
    let Some(header_place) = records.next(&mut record)? else {
        return Err(StartpointError::NoHeader { file: file.to_owned() });
    };
    let header = Header::new(&record, &header_place, parameters, fixed)?;
    let mut points = Points::default();
    let mut first_lines = HashMap::new();
    while let Some(place) = records.next(&mut record)? {
        header.check_length(&record, &place)?;
        let (given, theta) = header.read(&record, &place, parameters)?;
        let id = given.unwrap_or_else(|| points.len().to_string());
        match first_lines.entry(id) {
            Entry::Vacant(entry) => {
                points.ids.push(entry.key().clone());
                points.theta_scaled.push(theta);
                entry.insert(place.line);
            }
            Entry::Occupied(entry) => {
                let (id, first) = (excerpt(entry.key()), *entry.get());
                return Err(StartpointError::DuplicatePointId { place, column: POINT, id, first });
            }
        }
    }
    if points.is_empty() {
        return Err(StartpointError::NoRows { place: header_place });
    }
    Ok(points)
}

/// The records of a file with their lines.
struct Records<'t> {
    file: Arc<Path>,
    text: &'t [u8],
    reader: csv::Reader<&'t [u8]>,
    /// Where the last record begins.
    start: usize,
    /// Its 1-based line.
    line: usize,
}

impl<'t> Records<'t> {
    fn new(file: &Path, bytes: &'t [u8]) -> Result<Self, StartpointError> {
        let file: Arc<Path> = file.into();
        if let Err(error) = std::str::from_utf8(bytes) {
            let line = 1 + line_ends(&bytes[..error.valid_up_to()]);
            return Err(StartpointError::NotUtf8 { place: Place { file, line } });
        }
        let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        let reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
        Ok(Self { file, text, reader, start: 0, line: 1 })
    }

    /// Reads the next record that is no blank line, and says where it stands.
    fn next(&mut self, record: &mut csv::StringRecord) -> Result<Option<Place>, StartpointError> {
        let failed = |file: &Path, error: csv::Error| StartpointError::Read {
            file: file.to_owned(),
            source: error.into(),
        };
        while self.reader.read_record(record).map_err(|error| failed(&self.file, error))? {
            self.move_to(record);
            record.trim();
            if record.len() > 1 || record.iter().any(|cell| !cell.is_empty()) {
                return Ok(Some(Place { file: self.file.clone(), line: self.line }));
            }
        }
        Ok(None)
    }

    /// The reader's own line is that of the blank lines before the record.
    fn move_to(&mut self, record: &csv::StringRecord) {
        let from = record.position().map_or(0, |position| position.byte() as usize);
        let from = from.clamp(self.start, self.text.len());
        let ends = self.text[from..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let start = from + ends.count();
        self.line += line_ends(&self.text[self.start..start]);
        self.start = start;
    }
}

/// Number of line ends: LF, CRLF, or a lone CR.
fn line_ends(text: &[u8]) -> usize {
    let ends = text.iter().enumerate().filter(|&(i, byte)| match byte {
        b'\n' => true,
        b'\r' => text.get(i + 1) != Some(&b'\n'),
        _ => false,
    });
    ends.count()
}

/// What a column holds.
#[derive(Debug, Clone, Copy)]
enum Role {
    PointId,
    /// A position in the parameters.
    Parameter(usize),
    Dropped,
}

struct Header {
    names: Vec<String>,
    roles: Vec<Role>,
}

impl Header {
    fn new(
        record: &csv::StringRecord,
        place: &Place,
        parameters: &[EstimatedParameter],
        fixed: &[&str],
    ) -> Result<Self, StartpointError> {
        let mut known: HashMap<&str, Role> = HashMap::new();
        known.extend(IGNORED.iter().chain(fixed).map(|id| (*id, Role::Dropped)));
        known.insert(POINT, Role::PointId);
        let estimated = parameters.iter().enumerate();
        known.extend(estimated.map(|(i, parameter)| (parameter.id.as_str(), Role::Parameter(i))));

        let mut header = Self { names: Vec::new(), roles: Vec::new() };
        let mut seen: HashMap<&str, ()> = HashMap::new();
        for (position, name) in record.iter().enumerate() {
            let Some(role) = known.get(name) else {
                let ids = parameters.iter().map(|parameter| parameter.id.as_str());
                return Err(StartpointError::UnknownColumn {
                    place: place.clone(),
                    number: position + 1,
                    column: excerpt(name),
                    expected: [POINT].into_iter().chain(ids).map(str::to_owned).collect(),
                });
            };
            if seen.insert(name, ()).is_some() {
                let column = name.to_owned();
                return Err(StartpointError::DuplicateColumn { place: place.clone(), column });
            }
            header.names.push(name.to_owned());
            header.roles.push(*role);
        }
        let missing: Vec<_> = parameters
            .iter()
            .map(|parameter| parameter.id.clone())
            .filter(|id| !seen.contains_key(id.as_str()))
            .collect();
        if missing.is_empty() {
            Ok(header)
        } else {
            Err(StartpointError::MissingColumns { place: place.clone(), missing })
        }
    }

    fn check_length(
        &self,
        record: &csv::StringRecord,
        place: &Place,
    ) -> Result<(), StartpointError> {
        if let Some(column) = self.names.get(record.len()) {
            return Err(StartpointError::ShortRow {
                place: place.clone(),
                column: column.clone(),
                expected: self.names.len(),
            });
        }
        match record.get(self.names.len()) {
            Some(found) => Err(StartpointError::CellWithoutColumn {
                place: place.clone(),
                cell: self.names.len() + 1,
                found: excerpt(found),
            }),
            None => Ok(()),
        }
    }

    /// The id, where there is a column of ids, and the coordinates of a point.
    fn read(
        &self,
        record: &csv::StringRecord,
        place: &Place,
        parameters: &[EstimatedParameter],
    ) -> Result<(Option<String>, Vec<f64>), StartpointError> {
        let mut id = None;
        let mut theta = vec![f64::NAN; parameters.len()];
        for (&role, cell) in self.roles.iter().zip(record) {
            match role {
                Role::Dropped => {}
                Role::PointId if cell.is_empty() => {
                    return Err(StartpointError::NoPointId { place: place.clone(), column: POINT });
                }
                Role::PointId => id = Some(cell.to_owned()),
                Role::Parameter(position) => {
                    let value = cell.parse().ok().filter(|value: &f64| value.is_finite());
                    theta[position] = value.ok_or_else(|| StartpointError::Value {
                        place: place.clone(),
                        column: parameters[position].id.clone(),
                        found: excerpt(cell),
                        scale: parameters[position].scale,
                    })?;
                }
            }
        }
        Ok((id, theta))
    }
}

/// Writes points as [`read_csv`] reads them: the column `point`, then the parameters, values on
/// the parameter scale. Numbers have as many digits as give back the same bits, and no more.
///
/// Where a parameter is itself called `point`, the ids of the points are left out.
///
/// # Errors
/// Those of `out`, and a point with more or fewer coordinates than there are `parameters`.
pub fn write_csv(
    points: &Points,
    parameters: &[EstimatedParameter],
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let with_ids = parameters.iter().all(|parameter| parameter.id != POINT);
    let header = parameters.iter().map(|parameter| parameter.id.as_str());
    writer.write_record(with_ids.then_some(POINT).into_iter().chain(header))?;
    for (id, theta) in points.ids.iter().zip(&points.theta_scaled) {
        if with_ids {
            writer.write_field(id)?;
        }
        for value in theta {
            writer.write_field(format!("{value:?}"))?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()
}
