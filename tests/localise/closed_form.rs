//! The closed form of data/conversion.

use std::collections::BTreeMap;
use std::f64::consts::LN_10;
use std::path::Path;

/// A row with its residual, and derivatives with respect to the parameters on their log10 scale.
pub struct Exact {
    pub observable: String,
    pub condition: String,
    pub time: f64,
    pub z: f64,
    pub dz: [f64; 6],
    /// Of the likelihood; of this what comes through sigma; of that what comes through ln sigma.
    pub dl: [f64; 6],
    pub dl_sigma: [f64; 6],
    pub dln_sigma: [f64; 6],
}

/// How sigma of obs_A comes about.
#[derive(Clone, Copy, PartialEq)]
pub enum Noise {
    Constant,
    /// sd_A·(0.1 + A).
    Proportional,
}

/// All rows of a measurement table at θ = log10 of (k1, k2, scale_B, sd_A, sd_B, b_frac). See
/// data/conversion/README.md.
pub fn exact(table: &Path, theta: &[f64], noise: Noise) -> Vec<Exact> {
    let p: Vec<f64> = theta.iter().map(|x| 10_f64.powf(*x)).collect();
    let (k1, k2) = (p[0], p[1]);
    let s = k1 + k2;
    let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').from_path(table).unwrap();
    let rows = reader.deserialize().map(|row| {
        let row: BTreeMap<String, String> = row.unwrap();
        let (t, m): (f64, f64) =
            (row["time"].parse().unwrap(), row["measurement"].parse().unwrap());
        let a0 = if row["simulationConditionId"] == "high" { 5.0 } else { 1.0 };
        // 1 - exp(-s t), and the derivative of that with respect to s.
        let (gone, slope) = (-(-s * t).exp_m1(), t * (-s * t).exp());
        let b = a0 * k1 / s * gone;
        let db = [
            a0 * (k2 / (s * s) * gone + k1 / s * slope),
            a0 * (-k1 / (s * s) * gone + k1 / s * slope),
        ];
        let (mut dy, mut ds) = ([0.0; 6], [0.0; 6]);
        let (y, sigma, is_laplace) = match row["observableId"].as_str() {
            "obs_A" => {
                let a = a0 - b;
                (dy[0], dy[1]) = (-db[0], -db[1]);
                let factor = if noise == Noise::Constant { 1.0 } else { 0.1 + a };
                if noise == Noise::Proportional {
                    (ds[0], ds[1]) = (-p[3] * db[0], -p[3] * db[1]);
                }
                ds[3] = factor;
                (a, p[3] * factor, false)
            }
            "obs_B" => {
                (dy[0], dy[1], dy[2]) = (p[2] * db[0], p[2] * db[1], b);
                ds[4] = 1.0;
                (p[2] * b, p[4], false)
            }
            _ => {
                (dy[0], dy[1]) = (db[0] / a0, db[1] / a0);
                ds[5] = 1.0;
                (b / a0, p[5], true)
            }
        };
        let z = (y - m) / sigma;
        let (l_y, l_sigma) = match is_laplace {
            true => (z.signum() / sigma, (1.0 - z.abs()) / sigma),
            false => (z / sigma, (1.0 - z * z) / sigma),
        };
        let on_scale = |d: [f64; 6]| std::array::from_fn(|j| d[j] * p[j] * LN_10);
        Exact {
            observable: row["observableId"].clone(),
            condition: row["simulationConditionId"].clone(),
            time: t,
            z,
            dz: on_scale(std::array::from_fn(|j| (dy[j] - z * ds[j]) / sigma)),
            dl: on_scale(std::array::from_fn(|j| l_y * dy[j] + l_sigma * ds[j])),
            dl_sigma: on_scale(std::array::from_fn(|j| l_sigma * ds[j])),
            dln_sigma: on_scale(ds.map(|d| d / sigma)),
        }
    });
    rows.collect()
}
