//! Gradients that another tool has computed, as CSV.
//!
//! *Wide*: a column `point` with the ids of points, and one for each parameter by its id. *Long*:
//! the columns `point`, `parameter` and `gradient`. Values are derivatives of the objective (the
//! negative log posterior) on the parameter scale. An empty cell, `NaN` or an infinite value is a
//! component that the tool did not deliver.

use super::hessian_file::{HESSIAN, PARAMETER2};
use crate::index::ParameterIdx;
use crate::model::EstimatedParameter;
use crate::petab::{Place, RecordError, Records};
use crate::startpoints::Points;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub(super) const POINT: &str = "point";
pub(super) const ROW: &str = "row";
pub(super) const PARAMETER: &str = "parameter";
pub(super) const GRADIENT: &str = "gradient";

/// Why a file of gradients cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GradientError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(
        "{place}: columns {found}: no column `{POINT}`; expected, separated by commas, `{POINT}` and one \
         column for each parameter, or `{POINT}`, `{PARAMETER}`, `{GRADIENT}`"
    )]
    NoPointColumn { place: Place, found: String },
    #[error(
        "{place}: columns {found}; expected `{POINT}`, `{PARAMETER}`, `{GRADIENT}` and no other, or \
         `{POINT}` and one column for each parameter"
    )]
    LongColumns { place: Place, found: String },
    #[error("{place}: column `{column}` is no estimated parameter; expected {}", expected.join(", "))]
    UnknownColumn { place: Place, column: String, expected: Vec<String> },
    #[error("{place}: column `{column}` occurs twice")]
    DuplicateColumn { place: Place, column: String },
    #[error("{place}: no column of a gradient; expected one for each parameter to check")]
    NoGradient { place: Place },
    #[error(
        "{place}: column `{column}`: `{found}` is not valid; expected a number, or nothing or NaN \
         for a component that is not known"
    )]
    Value { place: Place, column: String, found: String },
    #[error("{place}: column `{POINT}`: there is no point `{found}`; expected the ids of --at")]
    UnknownPoint { place: Place, found: String },
    #[error("{place}: column `{PARAMETER}`: `{found}` is no estimated parameter")]
    UnknownParameter { place: Place, found: String },
    #[error("{place}: a second value for point `{point}`, parameter `{parameter}`")]
    DuplicateValue { place: Place, point: String, parameter: String },
    #[error("{place}: columns {found}; expected `{POINT}`, `{ROW}`, `{PARAMETER}`, `{GRADIENT}`")]
    ResidualColumns { place: Place, found: String },
    #[error(
        "{place}: column `{ROW}`: there is no row `{found}`; expected a number from 1 to {most}, \
         counted through the rows of the measurement files"
    )]
    UnknownRow { place: Place, found: String, most: usize },
    #[error("{place}: a second value for point `{point}`, row {row}, parameter `{parameter}`")]
    DuplicateResidual { place: Place, point: String, row: usize, parameter: String },
    #[error(
        "{place}: columns {found}; expected `{POINT}`, `{PARAMETER}`, `{PARAMETER2}`, `{HESSIAN}`"
    )]
    HessianColumns { place: Place, found: String },
    #[error("{place}: column `{column}`: `{found}` is no estimated parameter")]
    NotEstimated { place: Place, column: String, found: String },
    #[error(
        "{place}: a second value for point `{point}`, parameters `{parameter}` and `{parameter2}` in \
         this order"
    )]
    DuplicateHessian { place: Place, point: String, parameter: String, parameter2: String },
    #[error("{}: holds no second derivative of any point", file.display())]
    NoHessian { file: PathBuf },
    #[error("{}: holds no gradient of any point", file.display())]
    NoRows { file: PathBuf },
}

/// Gradients by point.
#[derive(Debug, Clone, PartialEq)]
pub struct FileGradients {
    /// `[point][parameter]`, NaN where the file has no value.
    pub values: Vec<Vec<f64>>,
    /// Parameters that the file has a column or a row for, ascending.
    pub parameters: Vec<ParameterIdx>,
}

/// What the columns after the point's mean.
enum Columns {
    /// The parameter of each column; none for the point.
    Wide(Vec<Option<usize>>),
    Long {
        parameter: usize,
        gradient: usize,
    },
}

/// Reads the gradients of `points`; points that the file lacks have none.
///
/// # Errors
/// See [`GradientError`]; every message names file, line and column.
pub fn read_gradients(
    path: &Path,
    parameters: &[EstimatedParameter],
    points: &Points,
) -> Result<FileGradients, GradientError> {
    let mut records = Records::read(path)?;
    if records.names.is_empty() {
        return Err(GradientError::NoRows { file: path.to_owned() });
    }
    let (parameter_of, point_of) = (places(parameters, |p| &p.id), places(&points.ids, |id| id));
    let names = records.names.clone();
    let (point_column, columns) = columns(&records, &parameter_of)?;
    let mut gradients = FileGradients {
        values: vec![vec![f64::NAN; parameters.len()]; points.len()],
        parameters: Vec::new(),
    };
    let mut given = vec![vec![false; parameters.len()]; points.len()];
    let mut rows = 0;
    while let Some((here, record)) = records.next_record()? {
        rows += 1;
        let id = &record[point_column];
        let Some(&point) = point_of.get(id) else {
            return Err(GradientError::UnknownPoint { place: here, found: id.to_owned() });
        };
        let mut set = |parameter: usize, column: usize| {
            if std::mem::replace(&mut given[point][parameter], true) {
                return Err(GradientError::DuplicateValue {
                    place: here.clone(),
                    point: id.to_owned(),
                    parameter: parameters[parameter].id.clone(),
                });
            }
            let value = number(&record[column]).ok_or_else(|| GradientError::Value {
                place: here.clone(),
                column: names[column].clone(),
                found: record[column].to_owned(),
            })?;
            gradients.values[point][parameter] = value;
            Ok(())
        };
        match &columns {
            Columns::Wide(of) => {
                for (column, parameter) in of.iter().enumerate() {
                    if let Some(parameter) = parameter {
                        set(*parameter, column)?;
                    }
                }
            }
            Columns::Long { parameter, gradient } => {
                let Some(&j) = parameter_of.get(&record[*parameter]) else {
                    let found = record[*parameter].to_owned();
                    return Err(GradientError::UnknownParameter { place: here, found });
                };
                set(j, *gradient)?;
            }
        }
    }
    if rows == 0 {
        return Err(GradientError::NoRows { file: path.to_owned() });
    }
    gradients.parameters = (0..parameters.len())
        .filter(|&j| given.iter().any(|of_point| of_point[j]))
        .map(ParameterIdx::from_position)
        .collect();
    Ok(gradients)
}

fn columns(
    records: &Records,
    parameter_of: &HashMap<&str, usize>,
) -> Result<(usize, Columns), GradientError> {
    let (names, place) = (&records.names, &records.header);
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            let column = name.clone();
            return Err(GradientError::DuplicateColumn { place: place.clone(), column });
        }
    }
    let position = |wanted: &str| names.iter().position(|name| name == wanted);
    let Some(point) = position(POINT) else {
        return Err(GradientError::NoPointColumn { place: place.clone(), found: records.listed() });
    };
    if let (Some(parameter), Some(gradient), 3) =
        (position(PARAMETER), position(GRADIENT), names.len())
    {
        return Ok((point, Columns::Long { parameter, gradient }));
    }
    let is_known = |name: &str| parameter_of.contains_key(name);
    if position(PARAMETER).is_some() && position(GRADIENT).is_some() && !is_known(PARAMETER) {
        return Err(GradientError::LongColumns { place: place.clone(), found: records.listed() });
    }
    let mut of = Vec::with_capacity(names.len());
    for (column, name) in names.iter().enumerate() {
        match parameter_of.get(name.as_str()) {
            Some(&parameter) => of.push(Some(parameter)),
            None if column == point => of.push(None),
            None => {
                let mut expected: Vec<String> =
                    parameter_of.keys().map(|id| format!("`{id}`")).collect();
                expected.sort_unstable();
                let column = name.clone();
                return Err(GradientError::UnknownColumn {
                    place: place.clone(),
                    column,
                    expected,
                });
            }
        }
    }
    if of.iter().all(Option::is_none) {
        return Err(GradientError::NoGradient { place: place.clone() });
    }
    Ok((point, Columns::Wide(of)))
}

/// The place of each by its id.
pub(super) fn places<'a, T>(
    all: &'a [T],
    id: impl Fn(&'a T) -> &'a str,
) -> HashMap<&'a str, usize> {
    all.iter().enumerate().map(|(place, item)| (id(item), place)).collect()
}

/// A number; NaN for what the tool did not deliver.
pub(super) fn number(text: &str) -> Option<f64> {
    if text.is_empty() || text.eq_ignore_ascii_case("na") {
        return Some(f64::NAN);
    }
    let value: f64 = text.parse().ok()?;
    Some(if value.is_finite() { value } else { f64::NAN })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::petab::ParameterScale;

    fn read(text: &str) -> Result<FileGradients, GradientError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.csv");
        std::fs::write(&path, text).unwrap();
        let parameter = |id: &str| EstimatedParameter {
            id: id.to_owned(),
            scale: ParameterScale::Lin,
            lower_scaled: 0.0,
            upper_scaled: 1.0,
            nominal_scaled: None,
        };
        let points = Points {
            ids: vec!["0".to_owned(), "b".to_owned()],
            theta_scaled: vec![vec![0.0, 0.0], vec![1.0, 1.0]],
        };
        read_gradients(&path, &[parameter("k1"), parameter("k2")], &points)
    }

    #[test]
    fn wide_and_long() {
        let wide = read("k2,point,k1\n2,b,1\n\n,0,-3e-1\n").unwrap();
        assert_eq!(wide.values[1], [1.0, 2.0]);
        assert!(wide.values[0][0] == -0.3 && wide.values[0][1].is_nan());
        assert_eq!(wide.parameters, [ParameterIdx(0), ParameterIdx(1)]);
        let long = read("point,parameter,gradient\nb,k2,2\n0,k2,inf\n").unwrap();
        assert_eq!(long.values[1][1], 2.0);
        assert!(long.values[0][1].is_nan() && long.values[1][0].is_nan());
        assert_eq!(long.parameters, [ParameterIdx(1)]);
    }

    #[test]
    fn faults_are_named_with_file_line_and_column() {
        for (text, parts) in [
            ("", &["g.csv", "no gradient"][..]),
            ("point,k1\n", &["g.csv", "no gradient"]),
            ("k1,k2\n1,2\n", &["g.csv:1", "no column `point`"]),
            ("point;k1\n0;1\n", &["g.csv:1", "`point;k1`", "separated by commas"]),
            (
                "point,parameter,gradient,unit\n0,k1,1,s\n",
                &["g.csv:1", "`unit`", "`gradient` and no other"],
            ),
            ("point,k3\n0,1\n", &["g.csv:1", "`k3`", "`k1`, `k2`"]),
            ("point,k1,k1\n0,1,1\n", &["g.csv:1", "`k1` occurs twice"]),
            ("point\n0\n", &["g.csv:1", "no column of a gradient"]),
            ("point,k1\n0,1\nc,1\n", &["g.csv:3", "`point`", "no point `c`"]),
            ("point,k1\n0,1\n0,1\n", &["g.csv:3", "second value", "`0`", "`k1`"]),
            ("point,k1\n0,x\n", &["g.csv:2", "`k1`", "`x`"]),
            // Lines that the reader skips count.
            ("\n\npoint,k1\r\n\r\n0,1\n\n\n\n0,x\n", &["g.csv:9", "second value"]),
            ("point,k1\n0,1,2\n", &["g.csv:2", "3 cells", "expected 2"]),
            ("point,parameter,gradient\n0,k9,1\n", &["g.csv:2", "`parameter`", "`k9`"]),
        ] {
            let message = read(text).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{text:?}: no {part:?} in {message}");
            }
        }
    }
}
