//! Second derivatives that another tool has computed, as CSV: the columns `point`, `parameter`,
//! `parameter2` and `hessian`. Values are second derivatives of the objective on the parameter scale.
//! An entry may be given once, in either order of its parameters. An empty cell, `NaN` or an infinite
//! value is an entry that the tool did not deliver.

use super::file::{GradientError, PARAMETER, POINT, number, places};
use crate::index::{ParameterIdx, PointIdx};
use crate::model::EstimatedParameter;
use crate::petab::Records;
use crate::startpoints::Points;
use std::collections::BTreeMap;
use std::path::Path;

pub(super) const PARAMETER2: &str = "parameter2";
pub(super) const HESSIAN: &str = "hessian";

/// Second derivatives by point.
#[derive(Debug, Clone, PartialEq)]
pub struct FileHessians {
    /// By (row, column) as given, NaN where the file has no number.
    values: Vec<BTreeMap<(ParameterIdx, ParameterIdx), f64>>,
    /// Parameters that the file has an entry of, ascending.
    pub parameters: Vec<ParameterIdx>,
}

/// An entry whose two values differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asymmetry {
    pub point: PointIdx,
    pub row: ParameterIdx,
    pub column: ParameterIdx,
    /// In this order of the parameters, and in the other.
    pub values: [f64; 2],
}

impl FileHessians {
    /// The value in the order given; if there is none, that in the other order; NaN if neither is
    /// there.
    pub fn value(&self, point: PointIdx, row: ParameterIdx, column: ParameterIdx) -> f64 {
        let of_point = &self.values[point.position()];
        let found = of_point.get(&(row, column)).or_else(|| of_point.get(&(column, row)));
        found.copied().unwrap_or(f64::NAN)
    }

    /// Entries whose values in both orders differ by more than `rtol` of the larger, among some
    /// parameters: each once.
    pub fn asymmetries(&self, rtol: f64, among: &[ParameterIdx]) -> Vec<Asymmetry> {
        let mut found = Vec::new();
        for (point, entries) in self.values.iter().enumerate() {
            for (&(row, column), &value) in entries {
                let Some(&other) = entries.get(&(column, row)).filter(|_| row < column) else {
                    continue;
                };
                let is_asked = among.contains(&row) && among.contains(&column);
                let values = [value, other];
                if is_asked && difference(values) > rtol {
                    let point = PointIdx::from_position(point);
                    found.push(Asymmetry { point, row, column, values });
                }
            }
        }
        found
    }
}

/// |a − b| over the larger magnitude; 0 where they are the same or one is not a number.
fn difference([a, b]: [f64; 2]) -> f64 {
    let largest = a.abs().max(b.abs());
    if a.is_nan() || b.is_nan() || largest == 0.0 { 0.0 } else { (a - b).abs() / largest }
}

/// Reads the second derivatives at `points`.
///
/// # Errors
/// See [`GradientError`]; every message names file, line and column.
pub fn read_hessians(
    path: &Path,
    parameters: &[EstimatedParameter],
    points: &Points,
) -> Result<FileHessians, GradientError> {
    let mut records = Records::read(path)?;
    if records.names.is_empty() {
        return Err(GradientError::NoHessian { file: path.to_owned() });
    }
    let Some([point, row, column, hessian]) =
        records.exactly([POINT, PARAMETER, PARAMETER2, HESSIAN])
    else {
        let (place, found) = (records.header.clone(), records.listed());
        return Err(GradientError::HessianColumns { place, found });
    };
    let (parameter_of, point_of) = (places(parameters, |p| &p.id), places(&points.ids, |id| id));
    let mut values = vec![BTreeMap::new(); points.len()];
    let mut is_given = vec![false; parameters.len()];
    let mut is_empty = true;
    while let Some((here, record)) = records.next_record()? {
        is_empty = false;
        let text = |column: usize| record[column].to_owned();
        let Some(&i) = point_of.get(&record[point]) else {
            return Err(GradientError::UnknownPoint { place: here, found: text(point) });
        };
        let mut pair = [ParameterIdx(0); 2];
        for (index, (at, name)) in pair.iter_mut().zip([(row, PARAMETER), (column, PARAMETER2)]) {
            let Some(&j) = parameter_of.get(&record[at]) else {
                let (column, found) = (name.to_owned(), text(at));
                return Err(GradientError::NotEstimated { place: here, column, found });
            };
            *index = ParameterIdx::from_position(j);
            is_given[j] = true;
        }
        let Some(value) = number(&record[hessian]) else {
            let (column, found) = (HESSIAN.to_owned(), text(hessian));
            return Err(GradientError::Value { place: here, column, found });
        };
        if values[i].insert((pair[0], pair[1]), value).is_some() {
            let (point, parameter, parameter2) = (text(point), text(row), text(column));
            return Err(GradientError::DuplicateHessian {
                place: here,
                point,
                parameter,
                parameter2,
            });
        }
    }
    if is_empty {
        return Err(GradientError::NoHessian { file: path.to_owned() });
    }
    let parameters =
        (0..parameters.len()).filter(|&j| is_given[j]).map(ParameterIdx::from_position).collect();
    Ok(FileHessians { values, parameters })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::petab::ParameterScale;

    const K: [ParameterIdx; 3] = [ParameterIdx(0), ParameterIdx(1), ParameterIdx(2)];

    fn read(text: &str) -> Result<FileHessians, GradientError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("h.csv");
        std::fs::write(&path, text).unwrap();
        let parameters = ["k1", "k2", "k3"].map(|id| EstimatedParameter {
            id: id.to_owned(),
            scale: ParameterScale::Lin,
            lower_scaled: 0.0,
            upper_scaled: 1.0,
            nominal_scaled: None,
        });
        let points = Points {
            ids: vec!["0".to_owned(), "b".to_owned()],
            theta_scaled: vec![vec![0.0; 3], vec![1.0; 3]],
        };
        read_hessians(&path, &parameters, &points)
    }

    #[test]
    fn an_entry_may_be_given_once() {
        let found = read("hessian,point,parameter2,parameter\n2,b,k3,k1\n\n-4,b,k1,k1\n,0,k1,k3\n")
            .unwrap();
        let at = |point, row, column| found.value(PointIdx(point), row, column);
        assert_eq!(at(1, K[0], K[2]), 2.0);
        assert_eq!(at(1, K[2], K[0]), 2.0);
        assert_eq!(at(1, K[0], K[0]), -4.0);
        assert!(at(0, K[0], K[2]).is_nan() && at(1, K[2], K[2]).is_nan());
        assert_eq!(found.parameters, [K[0], K[2]]);
        assert_eq!(found.asymmetries(0.0, &K), []);
    }

    #[test]
    fn both_orders_are_kept_and_compared() {
        let text = "point,parameter,parameter2,hessian\nb,k1,k2,2\nb,k2,k1,3\nb,k1,k1,1\n\
                    0,k1,k2,1\n0,k2,k1,1.000001\n";
        let found = read(text).unwrap();
        assert_eq!(found.value(PointIdx(1), K[0], K[1]), 2.0);
        assert_eq!(found.value(PointIdx(1), K[1], K[0]), 3.0);
        let [only] = found.asymmetries(1e-5, &K)[..] else { panic!("one beyond 1e-5") };
        assert_eq!((only.point, only.row, only.column), (PointIdx(1), K[0], K[1]));
        assert_eq!(only.values, [2.0, 3.0]);
        assert_eq!(found.asymmetries(1e-7, &K).len(), 2);
        assert_eq!(found.asymmetries(1e-7, &K[..1]), []);
    }

    #[test]
    fn faults_are_named_with_file_line_and_column() {
        let header = "point,parameter,parameter2,hessian\n";
        for (text, parts) in [
            ("".to_owned(), &["h.csv", "no second derivative"][..]),
            (header.to_owned(), &["h.csv", "no second derivative"]),
            ("point,k1\n0,1\n".to_owned(), &["h.csv:1", "`k1`", "`parameter2`", "`hessian`"]),
            (format!("{header}0,k1,k1\n"), &["h.csv:2", "3 cells", "expected 4"]),
            (format!("{header}c,k1,k1,1\n"), &["h.csv:2", "no point `c`"]),
            (format!("{header}0,k9,k1,1\n"), &["h.csv:2", "`parameter`", "`k9`"]),
            (format!("{header}0,k1,k9,1\n"), &["h.csv:2", "`parameter2`", "`k9`"]),
            (format!("{header}0,k1,k1,y\n"), &["h.csv:2", "`hessian`", "`y`"]),
            (
                format!("{header}0,k1,k2,1\n0,k2,k1,1\n0,k1,k2,1\n"),
                &["h.csv:4", "second value", "`0`", "`k1`", "`k2`"],
            ),
        ] {
            let message = read(&text).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{text:?}: no {part:?} in {message}");
            }
        }
    }
}
