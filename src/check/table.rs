//! Finite-difference tables with pyPESTO's columns and formulas.

use crate::index::{ParameterIdx, PointIdx};
use crate::sweep::{PointResult, ProbePair};
use std::str::FromStr;

/// One row: a parameter at a point with one eps.
///
/// `fd_*`, `abs_err` and `rel_err` are pyPESTO's (`check_grad`), from plain objective values;
/// `paired_*` subtract each measurement's contribution before anything is summed.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckRow {
    pub point: PointIdx,
    pub parameter: ParameterIdx,
    /// Step on the parameter scale.
    pub eps: f64,
    /// Objectives at the point, at x + eps and at x − eps.
    pub fval: f64,
    pub fval_p: f64,
    pub fval_m: f64,
    pub grad: f64,
    /// (f(x+eps) − f(x))/eps.
    pub fd_f: f64,
    /// (f(x) − f(x−eps))/eps.
    pub fd_b: f64,
    /// (f(x+eps) − f(x−eps))/(2·eps).
    pub fd_c: f64,
    /// |fd_f − fd_b|.
    pub fd_err: f64,
    /// |grad − fd_c|.
    pub abs_err: f64,
    /// |abs_err/(fd_c + eps)|.
    pub rel_err: f64,
    pub paired_f: f64,
    pub paired_b: f64,
    pub paired_c: f64,
    /// |paired_f − paired_b|.
    pub paired_err: f64,
}

impl CheckRow {
    fn new(point: PointIdx, fval: f64, grad: f64, pair: &ProbePair) -> Self {
        let eps = pair.eps;
        let fval_p = *pair.plus.as_ref().unwrap_or(&f64::NAN);
        let fval_m = *pair.minus.as_ref().unwrap_or(&f64::NAN);
        let fd_f = (fval_p - fval) / eps;
        let fd_b = (fval - fval_m) / eps;
        let fd_c = (fval_p - fval_m) / (2.0 * eps);
        let abs_err = (grad - fd_c).abs();
        Self {
            point,
            parameter: pair.parameter,
            eps,
            fval,
            fval_p,
            fval_m,
            grad,
            fd_f,
            fd_b,
            fd_c,
            fd_err: (fd_f - fd_b).abs(),
            abs_err,
            rel_err: (abs_err / (fd_c + eps)).abs(),
            paired_f: pair.paired_forward,
            paired_b: pair.paired_backward,
            paired_c: pair.paired_central,
            paired_err: (pair.paired_forward - pair.paired_backward).abs(),
        }
    }

    /// (grad − fd_c)/std of {fd_f, fd_b, fd_c}: a column of pyPESTO's detailed table.
    pub fn weighted_by_std(&self) -> f64 {
        let values = [self.fd_f, self.fd_b, self.fd_c];
        let mean = values.iter().sum::<f64>() / 3.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 3.0;
        (self.grad - self.fd_c) / variance.sqrt()
    }

    /// |grad − fd_c|/mean of the three differences: pyPESTO's other detailed column.
    pub fn weighted_by_mean(&self) -> f64 {
        let spread = (self.fd_f - self.fd_b).abs()
            + (self.fd_f - self.fd_c).abs()
            + (self.fd_b - self.fd_c).abs();
        self.abs_err / (spread / 3.0)
    }
}

/// All rows of a point, in the order of its probes. Where the point failed, the rows that it would
/// have for these parameters and eps have no value. A gradient that is not there counts as NaN.
pub fn rows(
    point: PointIdx,
    result: &PointResult,
    gradient: Option<&[f64]>,
    (parameters, eps): (&[ParameterIdx], &[f64]),
) -> Vec<CheckRow> {
    let grad = |p: ParameterIdx| gradient.map_or(f64::NAN, |g| g[p.position()]);
    match result.objective {
        Ok(fval) => {
            let row = |pair: &ProbePair| CheckRow::new(point, fval, grad(pair.parameter), pair);
            result.probes.iter().map(row).collect()
        }
        Err(failure) => {
            let of = |p: ParameterIdx| {
                let row = move |&eps: &f64| {
                    let pair = ProbePair::of_values(p, eps, Err(failure), Err(failure));
                    CheckRow::new(point, f64::NAN, grad(p), &pair)
                };
                eps.iter().map(row)
            };
            parameters.iter().flat_map(|&p| of(p)).collect()
        }
    }
}

/// The column that the multi-eps table minimises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Label {
    #[default]
    RelErr,
    AbsErr,
    FdErr,
}

impl Label {
    fn of(self, row: &CheckRow) -> f64 {
        match self {
            Self::RelErr => row.rel_err,
            Self::AbsErr => row.abs_err,
            Self::FdErr => row.fd_err,
        }
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "rel_err" => Ok(Self::RelErr),
            "abs_err" => Ok(Self::AbsErr),
            "fd_err" => Ok(Self::FdErr),
            _ => Err(format!("{text:?} is none of rel_err, abs_err, fd_err")),
        }
    }
}

/// For each run of rows of one point and parameter the one whose label is smallest, the first
/// where several are; a NaN never wins over a number.
pub fn best_rows(rows: &[CheckRow], label: Label) -> Vec<CheckRow> {
    rows.chunk_by(|a, b| a.point == b.point && a.parameter == b.parameter)
        .filter_map(|group| {
            group.iter().reduce(|best, row| {
                let (now, so_far) = (label.of(row), label.of(best));
                if now < so_far || (so_far.is_nan() && !now.is_nan()) { row } else { best }
            })
        })
        .cloned()
        .collect()
}
