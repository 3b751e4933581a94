//! Points files: CSV with one row a point.

use super::error::excerpt;
use super::{Points, StartpointError};
use crate::model::EstimatedParameter;
use crate::petab::Place;
use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// The column with the ids of the points.
const POINT: &str = "point";

/// Columns of a sweep's `points.csv` and of tables of optimisation results, which say nothing
/// about where a point lies.
const IGNORED: [&str; 13] = [
    "objective",
    "status",
    "steps",
    "fval",
    "id",
    "chi2",
    "reason",
    "iterations",
    "evaluations",
    "failed_evaluations",
    "projected_gradient",
    "start_objective",
    "active_bounds",
];

/// Longer files are refused.
const MAX_BYTES: u64 = 1 << 30;

/// Reads points from a CSV file, or from standard input where `path` is `-`.
///
/// A header names the columns, in any order. Every one of `parameters` has a column, with values
/// on the parameter scale; they may lie outside the bounds. Columns of `fixed` parameters are
/// dropped, as are `objective`, `status`, `steps`, `fval`, `id`, `chi2`, and the columns of
/// `optima.csv` that are no parameters. An optional column `point` holds the ids of the points, by default the row numbers from 0. A parameter of
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
        let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
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
        let mut seen = HashSet::new();
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
            if !seen.insert(name) {
                let column = name.to_owned();
                return Err(StartpointError::DuplicateColumn { place: place.clone(), column });
            }
            header.names.push(name.to_owned());
            header.roles.push(*role);
        }
        let missing: Vec<_> = parameters
            .iter()
            .map(|parameter| parameter.id.clone())
            .filter(|id| !seen.contains(id.as_str()))
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
                    let fits = |value: &f64| parameters[position].has_place_for(*value);
                    let value = cell.parse().ok().filter(fits);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::petab::ParameterScale;
    use crate::startpoints::random;
    use proptest::prelude::*;

    fn parameter(id: &str, scale: ParameterScale) -> EstimatedParameter {
        EstimatedParameter {
            id: id.to_owned(),
            scale,
            lower_scaled: -5.0,
            upper_scaled: 3.0,
            nominal_scaled: None,
        }
    }

    /// Estimated are `k1` (log10) and `k2` (lin), fixed is `ratio`.
    fn read(bytes: &[u8]) -> Result<Points, StartpointError> {
        let parameters =
            [parameter("k1", ParameterScale::Log10), parameter("k2", ParameterScale::Lin)];
        parse(Path::new("p.csv"), bytes.to_vec(), &parameters, &["ratio"])
    }

    fn message(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn plain_file() {
        let points = read(b"point,k2,k1\nfirst,2.5,-1\n7,1e-3,+.5\n").unwrap();
        assert_eq!(points.ids, ["first", "7"]);
        assert_eq!(points.theta_scaled, [[-1.0, 2.5], [0.5, 1e-3]]);
    }

    #[test]
    fn dialects() {
        let text = "\u{feff}\r\n\"k1\" , k2\t\r\n\r\n 1 ,\"2\"\r\n  \r\n3,\t4";
        let points = read(text.as_bytes()).unwrap();
        assert_eq!(points.ids, ["0", "1"]);
        assert_eq!(points.theta_scaled, [[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!(read(b"k1,k2\r1,2\r").unwrap().theta_scaled, [[1.0, 2.0]]);
    }

    #[test]
    fn columns_without_coordinates_are_dropped() {
        let points = read(
            b"id,point,objective,status,steps,fval,chi2,reason,k1,ratio,k2\n\
              x,a,1e12,ok,36,nan,,,1,?,2\n\
              x,b,,failed,,,,\"too many steps, at t = 3\",3,?,4\n",
        );
        let points = points.unwrap();
        assert_eq!(points.ids, ["a", "b"]);
        assert_eq!(points.theta_scaled, [[1.0, 2.0], [3.0, 4.0]]);
    }

    #[test]
    fn a_parameter_may_have_the_name_of_another_column() {
        let parameters = ["point", "steps"].map(|id| parameter(id, ParameterScale::Lin));
        let text = b"steps,point\n1,2\n1,2\n".to_vec();
        let points = parse(Path::new("p.csv"), text, &parameters, &[]).unwrap();
        assert_eq!(points.ids, ["0", "1"]);
        assert_eq!(points.theta_scaled, [[2.0, 1.0]; 2]);
        let mut out = Vec::new();
        write_csv(&points, &parameters, &mut out).unwrap();
        assert_eq!(out, b"point,steps\n2.0,1.0\n2.0,1.0\n");
        assert_eq!(parse(Path::new("p.csv"), out, &parameters, &[]).unwrap(), points);
    }

    #[test]
    fn header_errors() {
        for text in ["", " \n\r\n", "\u{feff}"] {
            assert_eq!(
                message(text),
                "p.csv: is empty; expected a header line with the ids of the parameters"
            );
        }
        assert_eq!(
            message("\nratio,k2\n1,2\n"),
            "p.csv:2: missing column `k1`; expected one for every estimated parameter"
        );
        assert_eq!(
            message("k1,k3,k2\n1,2,3\n"),
            "p.csv:1: column 2 (`k3`) is no parameter of the problem; expected `point`, `k1`, `k2`"
        );
        assert_eq!(
            message(",k1,k2\n0,2,3\n"),
            "p.csv:1: column 1 (``) is no parameter of the problem; expected `point`, `k1`, `k2`"
        );
        for column in ["k1", "point", "ratio", "fval"] {
            assert_eq!(
                message(&format!("{column},k2,{column},k1\n")),
                format!("p.csv:1: column `{column}` occurs twice in the header")
            );
        }
        assert_eq!(
            message("\n\nk1,k2\n\n"),
            "p.csv:3: no points; expected at least one row below the header"
        );
    }

    #[test]
    fn long_lists_and_cells_are_cut() {
        let parameters: Vec<_> =
            (0..10).map(|i| parameter(&format!("k{i}"), ParameterScale::Lin)).collect();
        let error = parse(Path::new("p.csv"), b"point\n".to_vec(), &parameters, &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "p.csv:1: missing column `k0`, `k1`, `k2`, `k3`, `k4`, `k5`, `k6`, `k7` and 2 more; \
             expected one for every estimated parameter"
        );
        let long = "x".repeat(41);
        let found = message(&format!("k1,k2\n1,{long}\n"));
        let expected = format!("`{}…` is not valid", "x".repeat(40));
        assert!(found.contains(&expected), "{found}");
        let found = message("k1,k2\n1,\"\u{1b}[31m\n\"\n");
        assert!(found.contains("`\u{fffd}[31m` is not valid"), "{found}");
    }

    #[test]
    fn row_errors() {
        assert_eq!(
            message("point,k1,k2\na,1,2\n\nb,3\n"),
            "p.csv:4: the row ends before column `k2`; expected 3 cells"
        );
        assert_eq!(message("k1,k2\n1,2,x\n"), "p.csv:2: cell 3 (`x`) has no column in the header");
        assert_eq!(
            message("point,k1,k2\n ,1,2\n"),
            "p.csv:2: column `point`: is empty; expected the id of the point"
        );
        assert_eq!(
            message("point,k1,k2\na,1,2\nb,1,2\n\n a,3,4\n"),
            "p.csv:5: column `point`: the id `a` is taken, first in line 2; expected ids that \
             differ"
        );
    }

    #[test]
    fn value_errors() {
        for found in ["", "nan", "inf", "+Infinity", "1e999", "x", "1 2", "0x10"] {
            assert_eq!(
                message(&format!("k1,k2\r\n1,2\r\n{found},2\r\n")),
                format!(
                    "p.csv:3: column `k1`: `{found}` is not valid; expected a finite number (log10 \
                     scale)"
                )
            );
        }
        assert_eq!(
            message("k1,k2\n1,?\n"),
            "p.csv:2: column `k2`: `?` is not valid; expected a finite number (lin scale)"
        );
    }

    #[test]
    fn lines_are_those_of_an_editor() {
        // A quoted cell may hold line ends, and blank lines count.
        let text = "reason,k1,k2\r\n\r\n\"a\r\nb\",1,2\n\n\nx,1,oops\n";
        assert!(message(text).starts_with("p.csv:7: column `k2`"), "{}", message(text));
        assert!(message("k1,k2\r1,2\r\r1,x\r").starts_with("p.csv:4: "));
    }

    #[test]
    fn unreadable_files() {
        let folder = tempfile::tempdir().unwrap();
        let parameters = [parameter("k1", ParameterScale::Lin)];
        let absent = folder.path().join("absent.csv");
        let message = read_csv(&absent, &parameters, &[]).unwrap_err().to_string();
        let expected = format!("{}: No such file", absent.display());
        assert!(message.starts_with(&expected), "{message}");
        let message = read_csv(folder.path(), &parameters, &[]).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}: ", folder.path().display())), "{message}");
        assert_eq!(
            read(b"k1,k2\r\n1,\xb5\n").unwrap_err().to_string(),
            "p.csv:2: is not UTF-8 text"
        );
        let error = StartpointError::TooLong { file: "p.csv".into(), limit: 8 };
        assert_eq!(
            error.to_string(),
            "p.csv: is longer than 8 bytes; split the points over several files"
        );
    }

    #[test]
    fn written_points_are_read_back_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("points.csv");
        let parameters =
            [("a", -300.0, 300.0), ("b", 1e-9, 1e-3)].map(|(id, lower_scaled, upper_scaled)| {
                EstimatedParameter {
                    lower_scaled,
                    upper_scaled,
                    ..parameter(id, ParameterScale::Log)
                }
            });
        let points = random(&parameters, 500, 20, 4).unwrap();
        write_csv(&points, &parameters, &mut File::create(&path).unwrap()).unwrap();
        assert_eq!(read_csv(&path, &parameters, &[]).unwrap(), points);
    }

    #[test]
    fn written_form() {
        let points = Points {
            ids: vec!["0".to_owned(), "best, so far".to_owned()],
            theta_scaled: vec![vec![0.1, -0.0], vec![1e300, f64::MIN_POSITIVE]],
        };
        let parameters = ["k1", "k2"].map(|id| parameter(id, ParameterScale::Lin));
        let mut out = Vec::new();
        write_csv(&points, &parameters, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out.clone()).unwrap(),
            "point,k1,k2\n0,0.1,-0.0\n\"best, so far\",1e300,2.2250738585072014e-308\n"
        );
        assert_eq!(read(&out).unwrap(), points);
        assert!(write_csv(&points, &parameters[..1], &mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn any_finite_point_is_read_back_to_the_bit(
            theta in prop::collection::vec(
                (any::<f64>(), any::<f64>()).prop_filter("finite", |(a, b)| {
                    a.is_finite() && b.is_finite()
                }),
                1..20,
            ),
        ) {
            let parameters = ["k1", "k2"].map(|id| parameter(id, ParameterScale::Lin));
            let points = Points {
                ids: (0..theta.len()).map(|i| format!("p{i}")).collect(),
                theta_scaled: theta.into_iter().map(|(a, b)| vec![a, b]).collect(),
            };
            let mut out = Vec::new();
            write_csv(&points, &parameters, &mut out).unwrap();
            let bits = |points: &Points| -> Vec<u64> {
                points.theta_scaled.iter().flatten().map(|value| value.to_bits()).collect()
            };
            let back = read(&out).unwrap();
            prop_assert_eq!(bits(&back), bits(&points));
            prop_assert_eq!(back.ids, points.ids);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&bytes);
        }

        #[test]
        fn arbitrary_bytes_below_a_header_do_not_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let _ = read(&[b"point,k1,k2\n", bytes.as_slice()].concat());
        }

        #[test]
        fn arbitrary_tables_do_not_panic(text in "(point,k1,k2\n)?[ak12,\n\r\" .-]{0,80}") {
            let _ = read(text.as_bytes());
        }

        /// The line of an error is found by counting line ends, whatever lies before it.
        #[test]
        fn the_bad_line_is_named(ends in prop::collection::vec("(\r\n|\n){1,3}", 1..10)) {
            let mut text = "k1,k2".to_owned();
            for end in &ends[1..] {
                text += &format!("{end}1,2");
            }
            text += &ends[0];
            let line = 1 + text.matches('\n').count();
            text += "1,x";
            let found = message(&text);
            let expected = format!("p.csv:{line}: ");
            prop_assert!(found.starts_with(&expected), "{}", found);
        }
    }
}
