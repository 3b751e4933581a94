//! Folders with a gradient of another tool: the closed form with a defect.

use crate::closed_form::*;
use crate::data;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A temporary folder with a problem of data/ in `p`.
pub fn copied(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("p");
    fs::create_dir(&target).unwrap();
    for entry in fs::read_dir(data(name)).unwrap() {
        let source = entry.unwrap().path();
        if source.extension().is_some_and(|e| e == "tsv" || e == "xml" || e == "yaml") {
            fs::copy(&source, target.join(source.file_name().unwrap())).unwrap();
        }
    }
    folder
}

pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
}

pub fn gradsweep(folder: &Path, line: &str) -> Ran {
    let output = Command::new(assert_cmd::cargo::cargo_bin!("gradsweep"))
        .current_dir(folder)
        .env("NODEVICE_SELECT", "1")
        .env("GRADSWEEP_SHADER_CACHE", "off")
        .args(line.split_whitespace())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran {
        status: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

pub fn read(path: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}

pub const IDS: [&str; 6] = ["k1", "k2", "scale_B", "sd_A", "sd_B", "b_frac"];

/// What a gradient has too much: (parameter, point, θ, rows).
pub type Defect<'a> = dyn Fn(usize, usize, &[f64], &[Exact]) -> f64 + 'a;

/// A folder with the conversion problem, 100 points and a gradient file: the closed form with
/// a defect.
pub struct Foreign {
    pub folder: TempDir,
    pub points: Vec<Vec<f64>>,
    pub noise: Noise,
    /// What the prior on k2 adds, if there is one: normal on the parameter scale, mean and sd.
    pub prior: Option<(f64, f64)>,
}

impl Foreign {
    pub fn new(noise: Noise, prior: Option<(f64, f64)>) -> Self {
        let folder = copied("conversion");
        if noise == Noise::Proportional {
            let file = folder.path().join("p/observables.tsv");
            let text = fs::read_to_string(&file).unwrap();
            let from = "\tnoiseParameter1_obs_A\t";
            assert!(text.contains(from));
            fs::write(&file, text.replace(from, "\tnoiseParameter1_obs_A * (0.1 + A)\t")).unwrap();
        }
        if let Some((mean, sd)) = prior {
            let file = folder.path().join("p/parameters.tsv");
            let lines = fs::read_to_string(&file).unwrap();
            let lines = lines.lines().enumerate().map(|(i, line)| match i {
                0 => format!("{line}\tobjectivePriorType\tobjectivePriorParameters\n"),
                2 => format!("{line}\tparameterScaleNormal\t{mean};{sd}\n"),
                _ => format!("{line}\t\t\n"),
            });
            fs::write(&file, lines.collect::<String>()).unwrap();
        }
        let ran = gradsweep(folder.path(), "startpoints p --points 100 --seed 3 --out points.csv");
        assert_eq!(ran.status, 0, "{}", ran.err);
        let points = read(&folder.path().join("points.csv"));
        let points =
            points.iter().map(|row| IDS.map(|id| row[id].parse().unwrap()).to_vec()).collect();
        Self { folder, points, noise, prior }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, defect: &Defect<'_>) {
        let table = self.path().join("p/measurements.tsv");
        let mut text = format!("point,{}\n", IDS.join(","));
        for (i, theta) in self.points.iter().enumerate() {
            let rows = exact(&table, theta, self.noise);
            text.push_str(&i.to_string());
            for j in 0..IDS.len() {
                let prior = match (self.prior, j) {
                    (Some((mean, sd)), 1) => (theta[1] - mean) / (sd * sd),
                    _ => 0.0,
                };
                let right = rows.iter().map(|row| row.dl[j]).sum::<f64>() + prior;
                text.push_str(&format!(",{:e}", right + defect(j, i, theta, &rows)));
            }
            text.push('\n');
        }
        fs::write(self.path().join("gradients.csv"), text).unwrap();
    }

    /// Diagnoses by parameter of a sweep that must end with a status.
    pub fn sweep(&self, options: &str, status: i32) -> BTreeMap<String, String> {
        let line = format!(
            "sweep p --at points.csv --gradient gradients.csv --engine cpu --out s --overwrite {options}"
        );
        let ran = gradsweep(self.path(), &line);
        assert_eq!(ran.status, status, "{}{}", ran.out, ran.err);
        let rows = read(&self.path().join("s/parameters.csv"));
        let diagnoses: BTreeMap<String, String> = rows
            .into_iter()
            .filter(|row| row["consistent_failure"] == "yes")
            .map(|row| (row["parameter"].clone(), row["diagnosis"].clone()))
            .collect();
        for (id, diagnosis) in &diagnoses {
            assert!(ran.out.contains(&format!("{id}: {diagnosis}")), "{}", ran.out);
        }
        diagnoses
    }

    pub fn attribution(&self) -> Vec<BTreeMap<String, String>> {
        read(&self.path().join("s/attribution.csv"))
    }
}

/// Σ over some rows of a parameter's derivative.
pub fn sum(rows: &[Exact], j: usize, is_meant: impl Fn(&Exact) -> bool) -> f64 {
    rows.iter().filter(|row| is_meant(row)).map(|row| row.dl[j]).sum()
}
