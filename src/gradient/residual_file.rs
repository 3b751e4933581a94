//! Derivatives of residuals that another tool has computed, as CSV: the columns `point`, `row`,
//! `parameter` and `gradient`. Rows are numbered through the measurement files, from 1; values are
//! derivatives of (h(y) − h(m))/σ on the parameter scale.

use super::file::{GRADIENT, GradientError, PARAMETER, POINT, ROW, number, places};
use crate::index::ParameterIdx;
use crate::model::EstimatedParameter;
use crate::petab::Records;
use crate::startpoints::Points;
use std::collections::HashMap;
use std::path::Path;

/// Derivatives by point, parameter and row.
#[derive(Debug, Clone, PartialEq)]
pub struct FileResiduals {
    /// `[point][parameter][row]`, NaN where the file has no value; no rows of parameters that it has
    /// nothing of at the point.
    values: Vec<Vec<Vec<f64>>>,
    /// Parameters that the file has a row for, ascending.
    pub parameters: Vec<ParameterIdx>,
}

impl FileResiduals {
    /// The value of a row, counted through all models; NaN where there is none.
    pub fn value(&self, point: usize, parameter: ParameterIdx, row: usize) -> f64 {
        let rows = &self.values[point][parameter.position()];
        rows.get(row).copied().unwrap_or(f64::NAN)
    }
}

/// Reads the derivatives at `points`; `numbers` are those of the rows in the measurement files.
///
/// # Errors
/// See [`GradientError`]; every message names file, line and column.
pub fn read_residual_gradients(
    path: &Path,
    parameters: &[EstimatedParameter],
    points: &Points,
    numbers: &[usize],
) -> Result<FileResiduals, GradientError> {
    let mut records = Records::read(path)?;
    if records.names.is_empty() {
        return Err(GradientError::NoRows { file: path.to_owned() });
    }
    let Some([point, row, parameter, gradient]) =
        records.exactly([POINT, ROW, PARAMETER, GRADIENT])
    else {
        let (place, found) = (records.header.clone(), records.listed());
        return Err(GradientError::ResidualColumns { place, found });
    };
    let (parameter_of, point_of) = (places(parameters, |p| &p.id), places(&points.ids, |id| id));
    let row_of: HashMap<usize, usize> = numbers.iter().enumerate().map(|(r, n)| (*n, r)).collect();
    let mut values = vec![vec![Vec::new(); parameters.len()]; points.len()];
    let mut given = vec![vec![Vec::new(); parameters.len()]; points.len()];
    let mut is_empty = true;
    while let Some((here, record)) = records.next_record()? {
        is_empty = false;
        let text = |column: usize| record[column].to_owned();
        let Some(&i) = point_of.get(&record[point]) else {
            return Err(GradientError::UnknownPoint { place: here, found: text(point) });
        };
        let Some(&j) = parameter_of.get(&record[parameter]) else {
            return Err(GradientError::UnknownParameter { place: here, found: text(parameter) });
        };
        let number_of_row = record[row].parse::<usize>().ok();
        let Some((n, &r)) = number_of_row.and_then(|n| Some((n, row_of.get(&n)?))) else {
            let most = numbers.iter().copied().max().unwrap_or(0);
            return Err(GradientError::UnknownRow { place: here, found: text(row), most });
        };
        let Some(value) = number(&record[gradient]) else {
            let (column, found) = (GRADIENT.to_owned(), text(gradient));
            return Err(GradientError::Value { place: here, column, found });
        };
        let (values, given): (&mut Vec<f64>, &mut Vec<bool>) =
            (&mut values[i][j], &mut given[i][j]);
        if given.is_empty() {
            given.resize(numbers.len(), false);
            values.resize(numbers.len(), f64::NAN);
        }
        if std::mem::replace(&mut given[r], true) {
            let (point, parameter) = (text(point), text(parameter));
            return Err(GradientError::DuplicateResidual { place: here, point, row: n, parameter });
        }
        values[r] = value;
    }
    if is_empty {
        return Err(GradientError::NoRows { file: path.to_owned() });
    }
    let parameters = (0..parameters.len())
        .filter(|&j| given.iter().any(|of_point| !of_point[j].is_empty()))
        .map(ParameterIdx::from_position)
        .collect();
    Ok(FileResiduals { values, parameters })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::petab::ParameterScale;

    fn read(text: &str) -> Result<FileResiduals, GradientError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.csv");
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
        // The rows of the problem are not in the order of the table.
        read_residual_gradients(&path, &[parameter("k1"), parameter("k2")], &points, &[3, 1, 2])
    }

    #[test]
    fn rows_by_their_numbers() {
        let found =
            read("row,gradient,point,parameter\n3,-2.5,b,k2\n1,,b,k2\n\n2,7,0,k2\n").unwrap();
        let k2 = ParameterIdx(1);
        assert_eq!((found.value(1, k2, 0), found.value(0, k2, 2)), (-2.5, 7.0));
        assert!(found.value(1, k2, 1).is_nan() && found.value(1, k2, 2).is_nan());
        assert!(found.value(0, ParameterIdx(0), 0).is_nan());
        assert_eq!(found.parameters, [k2]);
    }

    #[test]
    fn faults_are_named_with_file_line_and_column() {
        let header = "point,row,parameter,gradient\n";
        for (text, parts) in [
            ("".to_owned(), &["j.csv", "no gradient"][..]),
            (header.to_owned(), &["j.csv", "no gradient"]),
            ("point,k1\n0,1\n".to_owned(), &["j.csv:1", "`k1`", "`row`", "`gradient`"]),
            (format!("{header}0,1,k1\n"), &["j.csv:2", "3 cells", "expected 4"]),
            (format!("{header}c,1,k1,1\n"), &["j.csv:2", "no point `c`"]),
            (format!("{header}0,4,k1,1\n"), &["j.csv:2", "`row`", "`4`", "from 1 to 3"]),
            (format!("{header}0,x,k1,1\n"), &["j.csv:2", "`row`", "`x`"]),
            (format!("{header}0,1,k9,1\n"), &["j.csv:2", "`parameter`", "`k9`"]),
            (format!("{header}0,1,k1,y\n"), &["j.csv:2", "`gradient`", "`y`"]),
            (
                format!("{header}0,1,k1,1\n0,1,k1,1\n"),
                &["j.csv:3", "second value", "`0`", "row 1", "`k1`"],
            ),
        ] {
            let message = read(&text).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{text:?}: no {part:?} in {message}");
            }
        }
    }
}
