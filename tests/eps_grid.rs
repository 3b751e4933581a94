//! `gradsweep eps-grid` as its users run it: errors of differences against those of the closed form of
//! data/conversion (see its README).

#[path = "hessian/dual.rs"]
mod dual;

use dual::Dual;
use std::collections::BTreeMap;
use std::f64::consts::{LN_10, PI};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PARAMETERS: [&str; 6] = ["k1", "k2", "scale_B", "sd_A", "sd_B", "b_frac"];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conversion").join(name)
}

/// The terms of the objective, row by row, at parameters on the log10 scale.
fn terms(theta: [Dual; 6]) -> Vec<Dual> {
    let [k1, k2, scale_b, sd_a, sd_b, b_frac] = theta.map(|x| (x * Dual::number(LN_10)).exp());
    let table = fs::read_to_string(data("measurements.tsv")).unwrap();
    let mut terms = Vec::new();
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let a0 = Dual::number(if cells[1] == "high" { 5.0 } else { 1.0 });
        let [time, measured] = [2, 3].map(|i| Dual::number(cells[i].parse().unwrap()));
        let s = k1 + k2;
        let fraction = k1 / s * (Dual::number(1.0) - (-(s * time)).exp());
        let (y, sigma) = match cells[0] {
            "obs_A" => (a0 - a0 * fraction, sd_a),
            "obs_B" => (scale_b * a0 * fraction, sd_b),
            _ => (fraction, b_frac),
        };
        let z = (y - measured) / sigma;
        terms.push(match cells[0] {
            "obs_frac" => (sigma * Dual::number(2.0)).ln() + z.abs(),
            _ => (sigma * Dual::number((2.0 * PI).sqrt())).ln() + z * z * Dual::number(0.5),
        });
    }
    terms
}

fn run(folder: &Path, line: &str) -> Output {
    let arguments: Vec<String> = line
        .split(' ')
        .map(|word| match word {
            "CONVERSION" => data("conversion.yaml").to_str().unwrap().to_owned(),
            word => word.to_owned(),
        })
        .collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradsweep"));
    command.current_dir(folder).args(arguments).output().unwrap()
}

fn well(folder: &Path, line: &str) -> String {
    let ran = run(folder, line);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn records(path: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}

fn number(record: &BTreeMap<String, String>, column: &str) -> f64 {
    record[column].parse().unwrap()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { 0.5 * (values[half - 1] + values[half]) }
}

#[test]
fn errors_are_those_of_the_closed_form() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let grid = "--eps-from 1e-1 --eps-to 1e-4 --per-decade 2 --rtol 1e-11 --atol 1e-15";
    let out = well(
        folder,
        &format!("eps-grid CONVERSION --points 21 --seed 2 --engine cpu {grid} --out g"),
    );
    well(folder, "startpoints CONVERSION --points 21 --seed 2 --out points.csv");
    let points: Vec<[f64; 6]> = records(&folder.join("points.csv"))
        .iter()
        .map(|point| PARAMETERS.map(|id| number(point, id)))
        .collect();
    // The relative error of the closed form's central difference, at each point.
    let exact = |j: usize, eps: f64| -> Vec<f64> {
        let at = |theta: &[f64; 6], step: f64| {
            let along = |k: usize| f64::from(u8::from(k == j));
            terms(
                [0, 1, 2, 3, 4, 5].map(|k| Dual([theta[k] + step * along(k), along(k), 0.0, 0.0])),
            )
        };
        let error = |theta: &[f64; 6]| {
            let gradient: f64 = at(theta, 0.0).iter().map(|term| term.0[1]).sum();
            // Term by term: the sum of all may be far larger than what the parameter does.
            let both = at(theta, eps).into_iter().zip(at(theta, -eps));
            let difference: f64 = both.map(|(plus, minus)| plus.0[0] - minus.0[0]).sum();
            ((difference / (2.0 * eps) - gradient) / gradient).abs()
        };
        points.iter().map(error).collect()
    };
    let rows = records(&folder.join("g/eps.csv"));
    assert_eq!(rows.len(), 7 * 2 * 7);
    for row in rows.iter().filter(|row| row["parameter"] != "*") {
        // With this seed every gradient passes at every point.
        assert_eq!(row["cells"], "21", "{row:?}");
        let j = PARAMETERS.iter().position(|id| *id == row["parameter"]).unwrap();
        let eps = number(row, "eps");
        // Below, rounding comes in.
        if eps < 5e-3 {
            continue;
        }
        let expected = median(exact(j, eps));
        // What own steps add at 1e-11, and rounding, over the step; the discrete objective's own
        // truncation.
        let tolerance = 1e-10 / eps + 1e-4 * expected;
        for column in ["plain_error_median", "paired_error_median"] {
            // Where a plain difference is that of far larger numbers.
            let tolerance = if column.starts_with("plain") { 10.0 * tolerance } else { tolerance };
            let found = number(row, column);
            assert!((found - expected).abs() <= tolerance, "{row:?}: {expected:e}");
            // Twin: with the next step the error is another.
            let other = median(exact(j, eps / 10_f64.sqrt()));
            assert!((found - other).abs() > tolerance, "{row:?}: {other:e}");
        }
    }
    // All cells together.
    for row in rows.iter().filter(|row| row["parameter"] == "*") {
        let eps = number(row, "eps");
        let all: Vec<f64> = (0..6).flat_map(|j| exact(j, eps)).collect();
        let expected = median(all);
        let found = number(row, "paired_error_median");
        assert_eq!(row["cells"], (6 * 21).to_string());
        assert!((found - expected).abs() <= 1e-10 / eps + 1e-4 * expected, "{row:?}: {expected:e}");
    }
    // Each V bottoms where its rows say.
    let bottoms = records(&folder.join("g/best_eps.csv"));
    assert_eq!(bottoms.len(), 7 * 4);
    for bottom in &bottoms {
        let column = format!("{}_error_median", bottom["difference"]);
        let is_own = |row: &&BTreeMap<String, String>| {
            row["parameter"] == bottom["parameter"] && row["steps"] == bottom["steps"]
        };
        let least = rows
            .iter()
            .filter(is_own)
            .min_by(|a, b| number(a, &column).total_cmp(&number(b, &column)));
        let least = least.unwrap();
        assert_eq!(
            (&bottom["best_eps"], &bottom["error_median"]),
            (&least["eps"], &least[&column])
        );
    }
    assert!(out.contains("\nk1 ") && out.contains("paired, adaptive"), "{out}");
    // The plot as text and as a picture.
    let svg = fs::read_to_string(folder.join("g/eps.svg")).unwrap();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let titles =
        document.descendants().filter(|n| n.has_tag_name(("http://www.w3.org/2000/svg", "title")));
    let titles: Vec<&str> = titles.filter_map(|n| n.text()).collect();
    for id in PARAMETERS.iter().chain([&"all parameters"]) {
        assert!(titles.contains(id), "{titles:?}");
    }
    let png = fs::read(folder.join("g/eps.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let run_json = fs::read_to_string(folder.join("g/run.json")).unwrap();
    assert!(run_json.contains("\"command\": \"eps-grid\""), "{run_json}");
}

#[test]
fn the_same_bytes_whatever_the_threads() {
    let folder = tempfile::tempdir().unwrap();
    for threads in ["1", "2"] {
        let line = format!("eps-grid CONVERSION --points 5 --engine cpu --threads {threads}");
        well(folder.path(), &format!("{line} --per-decade 1 --out {threads}"));
    }
    for name in ["eps.csv", "best_eps.csv", "eps.svg", "eps.png"] {
        let bytes = |threads: &str| fs::read(folder.path().join(threads).join(name)).unwrap();
        assert_eq!(bytes("1"), bytes("2"), "{name}");
    }
}

#[test]
fn bad_grids_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (options, parts) in [
        ("--eps-from 0", &["--eps-from 0", "positive"][..]),
        ("--eps-to -1", &["--eps-to", "positive"]),
        ("--eps-from 2e-3 --eps-to 1e-3 --per-decade 1", &["no two steps", "1 a decade"]),
        ("--per-decade 0", &["--per-decade", "1..=20"]),
        ("--points 0", &["--points 0"]),
        ("--parameters k9", &["k9", "k1"]),
    ] {
        let ran = run(folder.path(), &format!("eps-grid CONVERSION {options} --out none"));
        let err = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{options}: {err}");
        for part in parts {
            assert!(err.contains(part), "{options}: no {part:?} in {err}");
        }
        assert!(!folder.path().join("none").exists(), "{options}");
    }
}
