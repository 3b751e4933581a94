//! data/conversion in closed form (see its README): what its rows predict, and derivatives of its objective
//! by hyper-dual numbers.

use crate::dual::Dual;
use std::f64::consts::{LN_10, PI};
use std::fs;
use std::path::{Path, PathBuf};

pub const PARAMETERS: [&str; 6] = ["k1", "k2", "scale_B", "sd_A", "sd_B", "b_frac"];
/// Places of those in what follows.
pub const K1: usize = 0;
pub const K2: usize = 1;
pub const SCALE_B: usize = 2;
pub const SD_A: usize = 3;
pub const SD_B: usize = 4;
pub const B_FRAC: usize = 5;

pub type Matrix = [[f64; 6]; 6];

/// A row of the measurement table.
pub struct Row {
    pub observable: String,
    pub a0: f64,
    pub time: f64,
    pub measured: f64,
}

pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conversion").join(name)
}

pub fn measurements() -> Vec<Row> {
    let table = fs::read_to_string(data("measurements.tsv")).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        Row {
            observable: cells[0].to_owned(),
            a0: if cells[1] == "high" { 5.0 } else { 1.0 },
            time: cells[2].parse().unwrap(),
            measured: cells[3].parse().unwrap(),
        }
    };
    table.lines().skip(1).map(row).collect()
}

/// Simulated value and noise parameter of a row, for parameters on the log10 scale.
pub fn predict(row: &Row, theta: &[Dual; 6]) -> (Dual, Dual) {
    let p = theta.map(|x| (x * Dual::number(LN_10)).exp());
    let s = p[K1] + p[K2];
    let one = Dual::number(1.0);
    let fraction = p[K1] / s * (one - (-(s * Dual::number(row.time))).exp());
    let b = Dual::number(row.a0) * fraction;
    match row.observable.as_str() {
        "obs_A" => (Dual::number(row.a0) - b, p[SD_A]),
        "obs_B" => (p[SCALE_B] * b, p[SD_B]),
        "obs_frac" => (fraction, p[B_FRAC]),
        other => panic!("{other}"),
    }
}

/// θ that moves along i by ε₁ and along j by ε₂.
pub fn moved(theta: &[f64], i: usize, j: usize) -> [Dual; 6] {
    let along = |k: usize, own: usize| f64::from(u8::from(k == own));
    [0, 1, 2, 3, 4, 5].map(|k| Dual([theta[k], along(k, i), along(k, j), 0.0]))
}

pub fn nllh(row: &Row, theta: &[Dual; 6]) -> Dual {
    let (y, sigma) = predict(row, theta);
    let z = (y - Dual::number(row.measured)) / sigma;
    match row.observable.as_str() {
        "obs_frac" => (sigma * Dual::number(2.0)).ln() + z.abs(),
        _ => {
            (sigma * sigma * Dual::number(2.0 * PI)).ln() * Dual::number(0.5)
                + z * z * Dual::number(0.5)
        }
    }
}

pub fn by_entries(entry: impl Fn(usize, usize) -> f64) -> Matrix {
    let all = [0, 1, 2, 3, 4, 5];
    all.map(|i| all.map(|j| entry(i, j)))
}

/// Second derivatives of the objective.
pub fn hessian(rows: &[Row], theta: &[f64]) -> Matrix {
    by_entries(|i, j| rows.iter().map(|row| nllh(row, &moved(theta, i, j)).0[3]).sum())
}

/// Its first derivatives.
pub fn gradient(rows: &[Row], theta: &[f64]) -> [f64; 6] {
    let all = [0, 1, 2, 3, 4, 5];
    all.map(|i| rows.iter().map(|row| nllh(row, &moved(theta, i, i)).0[1]).sum())
}

/// Sum over the rows of what `term` makes of z, y and σ with their derivatives along i and j.
pub fn products(rows: &[Row], theta: &[f64], term: impl Fn(&Row, [Dual; 3]) -> f64) -> Matrix {
    by_entries(|i, j| {
        let of = |row: &Row| {
            let (y, sigma) = predict(row, &moved(theta, i, j));
            term(row, [(y - Dual::number(row.measured)) / sigma, y, sigma])
        };
        rows.iter().map(of).sum()
    })
}

pub fn gauss_newton(rows: &[Row], theta: &[f64]) -> Matrix {
    products(rows, theta, |_, [z, ..]| z.0[1] * z.0[2])
}

/// Expected second derivatives: of y and the standard deviation of a normal distribution 1/σ² and
/// 2/σ², of the place and scale of a Laplace distribution 1/b² each.
pub fn fisher(rows: &[Row], theta: &[f64]) -> Matrix {
    products(rows, theta, |row, [_, y, sigma]| {
        let of_sigma = if row.observable == "obs_frac" { 1.0 } else { 2.0 };
        let [y, s] = [y, sigma].map(|x| x.0[1] * x.0[2]);
        (y + of_sigma * s) / (sigma.0[0] * sigma.0[0])
    })
}
