//! Gradients from other tools, judged by the program as its users run it.
//!
//! AMICI's forward gradients at the points of the reference folder (`GRADSWEEP_REFERENCE_DIR`,
//! problems of `PETAB_BENCHMARKS_DIR`) must not be called wrong; columns that are wrong in the ways
//! of real bug reports must be, with the mistake named.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Cells by verdict, parameters that fail consistently with their diagnoses, exit status.
struct Outcome {
    counts: BTreeMap<String, usize>,
    consistent: Vec<(String, String)>,
    status: i32,
}

fn sweep(problem: &Path, folder: &Path) -> Outcome {
    let ran = Command::new(assert_cmd::cargo::cargo_bin!("gradsweep"))
        .current_dir(folder)
        .args(["sweep", problem.to_str().unwrap(), "--at", "points.csv"])
        .args(["--gradient", "gradients.csv", "--engine", "cpu", "--out", "out", "--overwrite"])
        .output()
        .unwrap();
    let status = ran.status.code().unwrap();
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(status == 0 || status == 1, "{}: {err}", problem.display());
    let mut outcome = Outcome { counts: BTreeMap::new(), consistent: Vec::new(), status };
    let mut table = csv::Reader::from_path(folder.join("out/parameters.csv")).unwrap();
    for row in table.deserialize() {
        let row: BTreeMap<String, String> = row.unwrap();
        for kind in ["pass", "fail", "inconclusive", "kink", "insensitive", "gradient_missing"] {
            *outcome.counts.entry(kind.to_owned()).or_default() +=
                row[kind].parse::<usize>().unwrap();
        }
        if row["consistent_failure"] == "yes" {
            outcome.consistent.push((row["parameter"].clone(), row["diagnosis"].clone()));
        }
    }
    outcome
}

fn write(path: &Path, header: &[String], rows: &[(String, Vec<f64>)]) {
    let mut table = csv::Writer::from_path(path).unwrap();
    table.write_record(std::iter::once("point").chain(header.iter().map(String::as_str))).unwrap();
    for (id, values) in rows {
        let values = values.iter().map(|v| format!("{v:e}"));
        table.write_record(std::iter::once(id.clone()).chain(values)).unwrap();
    }
    table.flush().unwrap();
}

/// Problems whose reference has gradients at the tolerances, and in which no cell may fail but these.
const CHEAP: [(&str, &str, usize); 15] = [
    ("Armistead_CellDeathDis2024", "default", 0),
    ("Bertozzi_PNAS2020", "default", 0),
    ("Blasi_CellSystems2016", "default", 0),
    ("Boehm_JProteomeRes2014", "default", 0),
    ("Borghans_BiophysChem1997", "default", 0),
    // AMICI's pre-equilibration at its default tolerances: its gradients move by percents when they
    // are tightened. k1f, k3 and km3 at point 10, 1e-19 of the largest component: AMICI has 2.79e-14, 1.88e-14
    // and -1.88e-14 at `default` and 1.541e-14, 1.531e-14 and -1.530e-14 at `tight`, on the way to our
    // 1.5265e-14, 1.5265e-14 and -1.5264e-14.
    ("Brannmark_JBC2010", "tight", 3),
    ("Bruno_JExpBot2016", "default", 0),
    // kb2 at point 6, 1e-13 of the largest component: AMICI has -1.16e-11 at `tight`, but 4.79e-12,
    // as we do, at `default` and at `verytight`.
    ("Bruno_JExpBot2016", "tight", 1),
    ("Crauste_CellSystems2017", "default", 0),
    ("Fiedler_BMCSystBiol2016", "default", 0),
    ("Fujita_SciSignal2010", "default", 0),
    ("Fujita_SciSignal2010", "tight", 0),
    ("Giordano_Nature2020", "default", 0),
    ("Perelson_Science1996", "default", 0),
    ("Zhao_QuantBiol2020", "default", 0),
];

#[test]
fn amicis_gradients_are_not_called_wrong() {
    let folders = ["PETAB_BENCHMARKS_DIR", "GRADSWEEP_REFERENCE_DIR"].map(std::env::var_os);
    let [Some(collection), Some(references)] = folders else {
        println!("skipped: PETAB_BENCHMARKS_DIR or GRADSWEEP_REFERENCE_DIR is not set");
        return;
    };
    let (collection, references) = (PathBuf::from(collection), PathBuf::from(references));
    let mut ran = 0;
    for (name, tolerances, allowed) in CHEAP {
        let file = references.join(format!("{name}.json"));
        if !file.is_file() || !collection.join(name).is_dir() {
            println!("{name}: not in the collection");
            continue;
        }
        // Python's infinities stand only in points that are left out here.
        let text = fs::read_to_string(&file).unwrap().replace("-Infinity", "null");
        let json: Value =
            serde_json::from_str(&text.replace("Infinity", "null").replace("NaN", "null")).unwrap();
        let ids: Vec<String> = serde_json::from_value(json["parameter_ids"].clone()).unwrap();
        let numbers = |value: &Value| -> Option<Vec<f64>> {
            value.as_array()?.iter().map(Value::as_f64).collect()
        };
        let (mut points, mut gradients) = (Vec::new(), Vec::new());
        let all = std::iter::once(&json["nominal"]).chain(json["points"].as_array().unwrap());
        for (i, point) in all.enumerate() {
            let gradient = numbers(&point[tolerances]["gradient"]);
            if let (Some(x), Some(gradient)) = (numbers(&point["x"]), gradient) {
                points.push((i.to_string(), x));
                gradients.push((i.to_string(), gradient));
            }
        }
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("points.csv"), &ids, &points);
        write(&folder.path().join("gradients.csv"), &ids, &gradients);
        let outcome = sweep(&collection.join(name), folder.path());
        println!("{name} at {tolerances}, {} points: {:?}", points.len(), outcome.counts);
        assert_eq!(outcome.consistent, [], "{name}");
        assert_eq!(outcome.status, 0, "{name}");
        assert!(outcome.counts["fail"] <= allowed, "{name}: {:?}", outcome.counts);
        assert!(outcome.counts["pass"] > outcome.counts["inconclusive"], "{name}");
        ran += 1;
    }
    assert!(ran > 0, "none of the problems is in the collection");
}

/// A defect: the component of a parameter from the point (on the log10 scale) and the right ones.
type Defect = fn(usize, &[f64], &[f64]) -> f64;

/// data/stat5 in the order of its table: 0 Epo_degradation_BaF3, 1 k_exp_hetero, 2 k_exp_homo,
/// 3 k_imp_hetero, 4 k_imp_homo, 5 k_phos, 6 sd_pSTAT5A_rel, 7 sd_pSTAT5B_rel, 8 sd_rSTAT5A_rel.
const DEFECTS: [(&str, Defect, &[&str], &str); 12] = [
    ("none", |j, _, g| g[j], &[], ""),
    ("sign", |j, _, g| if j == 5 { -g[j] } else { g[j] }, &["k_phos"], "sign is wrong"),
    ("factor 2", |j, _, g| if j == 3 { 2.0 * g[j] } else { g[j] }, &["k_imp_hetero"], "2.0000"),
    ("factor ½", |j, _, g| if j == 3 { 0.5 * g[j] } else { g[j] }, &["k_imp_hetero"], "0.5000"),
    ("1 %", |j, _, g| if j == 0 { 1.01 * g[j] } else { g[j] }, &["Epo_degradation_BaF3"], "1.0100"),
    ("zero", |j, _, g| if j == 4 { 0.0 } else { g[j] }, &["k_imp_homo"], "gradient is 0"),
    (
        "ln 10 missing",
        |j, _, g| if j == 5 { g[j] / std::f64::consts::LN_10 } else { g[j] },
        &["k_phos"],
        "log10 scale is missing",
    ),
    (
        "linear scale",
        |j, x, g| {
            let p = 10_f64.powf(x[j]);
            if j == 4 { g[j] / (p * std::f64::consts::LN_10) } else { g[j] }
        },
        &["k_imp_homo"],
        "on the linear, not on the log10 scale",
    ),
    (
        "swapped",
        |j, _, g| match j {
            6 => g[7],
            7 => g[6],
            _ => g[j],
        },
        &["sd_pSTAT5A_rel", "sd_pSTAT5B_rel"],
        "columns may be swapped",
    ),
    (
        "constant",
        |j, _, g| if j == 8 { g[j] - 3.0 } else { g[j] },
        &["sd_rSTAT5A_rel"],
        "too small by the constant 3.0000",
    ),
    (
        "prior",
        |j, x, g| if j == 8 { g[j] - 4.0 * (x[j] - 1.0) } else { g[j] },
        &["sd_rSTAT5A_rel"],
        "linear in the parameter (slope -4.0000)",
    ),
    (
        "moved",
        // Nothing that is known: a random-looking factor.
        |j, x, g| if j == 5 { g[j] * (1.5 + (37.0 * x[j]).sin()) } else { g[j] },
        &["k_phos"],
        "no known mark",
    ),
];

#[test]
fn wrong_columns_are_named_with_the_mistake() {
    let problem = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/stat5");
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let ran = Command::new(assert_cmd::cargo::cargo_bin!("gradsweep"))
            .current_dir(folder.path())
            .args(arguments)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    };
    let problem_name = problem.to_str().unwrap();
    run(&["startpoints", problem_name, "--points", "100", "--seed", "3", "--out", "points.csv"]);
    // The right gradient: our own, which other tests hold against AMICI and SciPy.
    run(&[
        "check",
        problem_name,
        "--at",
        "points.csv",
        "--engine",
        "cpu",
        "--eps",
        "1e-1,1e-3,1e-5",
        "--out",
        "own.csv",
    ]);
    let mut points = csv::Reader::from_path(folder.path().join("points.csv")).unwrap();
    let ids: Vec<String> = points.headers().unwrap().iter().skip(1).map(str::to_owned).collect();
    let points: Vec<Vec<f64>> = points
        .records()
        .map(|row| row.unwrap().iter().skip(1).map(|x| x.parse().unwrap()).collect())
        .collect();
    let mut own = vec![vec![0.0; ids.len()]; points.len()];
    for row in csv::Reader::from_path(folder.path().join("own.csv")).unwrap().deserialize() {
        let row: BTreeMap<String, String> = row.unwrap();
        let j = ids.iter().position(|id| *id == row["parameter"]).unwrap();
        own[row["point"].parse::<usize>().unwrap()][j] = row["grad"].parse().unwrap();
    }
    for (what, defect, names, words) in DEFECTS {
        let rows: Vec<(String, Vec<f64>)> = points
            .iter()
            .zip(&own)
            .enumerate()
            .map(|(i, (x, g))| (i.to_string(), (0..ids.len()).map(|j| defect(j, x, g)).collect()))
            .collect();
        write(&folder.path().join("gradients.csv"), &ids, &rows);
        let outcome = sweep(&problem, folder.path());
        let found: Vec<&str> = outcome.consistent.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(found, names, "{what}: {:?}", outcome.counts);
        assert_eq!(outcome.status, i32::from(!names.is_empty()), "{what}");
        for (id, diagnosis) in &outcome.consistent {
            assert!(diagnosis.contains(words), "{what}, {id}: {diagnosis}");
        }
    }
}

#[test]
fn a_missing_value_costs_its_own_cell_only() {
    let problem = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conversion");
    let folder = tempfile::tempdir().unwrap();
    let ids = ["k1", "k2", "scale_B", "sd_A", "sd_B", "b_frac"].map(str::to_owned);
    write(
        &folder.path().join("points.csv"),
        &ids,
        &[("a".to_owned(), vec![-0.1, -0.2, 0.4, -1.0, -0.7, -1.7])],
    );
    let text = "point,k1,k2,sd_A\na,,NaN,0\n";
    fs::write(folder.path().join("gradients.csv"), text).unwrap();
    let outcome = sweep(&problem, folder.path());
    assert_eq!((outcome.counts["gradient_missing"], outcome.counts["fail"]), (2, 1));
}
