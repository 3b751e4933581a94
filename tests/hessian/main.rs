//! Second derivatives from another tool, judged by the program as its users run it.
//!
//! The right ones come from the closed form of data/conversion (see its README), differentiated twice
//! by hyper-dual numbers here; Gauss–Newton and Fisher matrices from its first derivatives.

mod closed_form;
mod dual;
mod events;
mod own;
mod page;
mod reports;
mod rows;

use closed_form::*;
use std::collections::BTreeMap;
use std::f64::consts::LN_10;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with points.csv, and what the closed form gives there.
struct Bench {
    folder: tempfile::TempDir,
    rows: Vec<Row>,
    points: Vec<(String, Vec<f64>)>,
}

/// What a sweep found: by entry the verdicts and the diagnosis where it fails consistently.
struct Outcome {
    entries: BTreeMap<(String, String), BTreeMap<String, String>>,
    status: i32,
    out: String,
}

impl Outcome {
    fn total(&self, kind: &str) -> usize {
        self.entries.values().map(|row| row[kind].parse::<usize>().unwrap()).sum()
    }

    /// As the line of counts says.
    fn integrations(&self) -> u64 {
        let words: Vec<&str> = self.out.split_whitespace().collect();
        let place = words.iter().position(|word| *word == "integrations;").unwrap();
        words[place - 1].parse().unwrap()
    }

    /// Entries that fail consistently, with the diagnosis.
    fn consistent(&self) -> BTreeMap<(&str, &str), &str> {
        let failing = self.entries.iter().filter(|(_, row)| row["consistent_failure"] == "yes");
        failing.map(|((i, j), row)| ((i.as_str(), j.as_str()), row["diagnosis"].as_str())).collect()
    }
}

impl Bench {
    /// Points drawn between a tenth and ten times the nominal values: farther away most entries are
    /// nothing but noise or exactly 0.
    fn new(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nominal = [0.8_f64, 0.6, 2.5, 0.05, 0.2, 0.02].map(f64::log10);
        let mut table = csv::Writer::from_path(folder.path().join("points.csv")).unwrap();
        table.write_record(std::iter::once("point").chain(PARAMETERS)).unwrap();
        let points: Vec<(String, Vec<f64>)> = (0..count)
            .map(|i| {
                // Multiples of square roots of primes, modulo 1: spread evenly (Kronecker).
                let step = |k: usize| [2.0_f64, 3.0, 5.0, 7.0, 11.0, 13.0][k].sqrt();
                let at = |k: usize| 2.0 * ((i + 1) as f64 * step(k)).fract() - 1.0;
                (format!("p{i}"), (0..6).map(|k| nominal[k] + at(k)).collect())
            })
            .collect();
        for (id, theta) in &points {
            let values = theta.iter().map(|x| format!("{x:e}"));
            table.write_record(std::iter::once(id.clone()).chain(values)).unwrap();
        }
        table.flush().unwrap();
        Self { folder, rows: measurements(), points }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the entries that `entry` gives: (point, row, column).
    fn write(&self, entry: impl Fn(usize, usize, usize) -> Option<f64>) {
        let mut table = csv::Writer::from_path(self.path("h.csv")).unwrap();
        table.write_record(["point", "parameter", "parameter2", "hessian"]).unwrap();
        for (point, (id, _)) in self.points.iter().enumerate() {
            for i in 0..6 {
                for j in 0..6 {
                    if let Some(value) = entry(point, i, j) {
                        let value = format!("{value:e}");
                        table.write_record([id, PARAMETERS[i], PARAMETERS[j], &value]).unwrap();
                    }
                }
            }
        }
        table.flush().unwrap();
    }

    fn run(&self, command: &str, further: &[&str]) -> (i32, String, String) {
        let ran = Command::new(env!("CARGO_BIN_EXE_gradsweep"))
            .current_dir(self.folder.path())
            .args([command, data("conversion.yaml").to_str().unwrap(), "--at", "points.csv"])
            .args(["--order", "1", "--hessian", "h.csv", "--engine", "cpu"])
            .args(further)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (ran.status.code().unwrap(), text(ran.stdout), text(ran.stderr))
    }

    fn sweep(&self, further: &[&str]) -> Outcome {
        let own = ["--out", "out", "--overwrite"];
        let (status, out, err) = self.run("sweep", &[&own, further].concat());
        assert!(status == 0 || status == 1, "{err}");
        let mut entries = BTreeMap::new();
        let mut table = csv::Reader::from_path(self.path("out/hessian.csv")).unwrap();
        for row in table.deserialize() {
            let row: BTreeMap<String, String> = row.unwrap();
            entries.insert((row["parameter"].clone(), row["parameter2"].clone()), row);
        }
        let outcome = Outcome { entries, status, out };
        println!("{}", outcome.out);
        outcome
    }

    /// What the closed form gives at each point.
    fn all(&self, of: fn(&[Row], &[f64]) -> Matrix) -> Vec<Matrix> {
        self.points.iter().map(|(_, theta)| of(&self.rows, theta)).collect()
    }
}

/// Points of a sweep: of so many that all fail the failure is consistent, and still is if a few
/// are not decidable.
const POINTS: usize = 30;

#[test]
fn a_right_hessian_passes() {
    let bench = Bench::new(POINTS);
    let right = bench.all(hessian);
    bench.write(|point, i, j| Some(right[point][i][j]));
    for further in [&[][..], &["--steps", "adaptive"]] {
        let outcome = bench.sweep(further);
        assert_eq!((outcome.status, outcome.total("fail")), (0, 0), "{further:?}");
        assert_eq!(outcome.entries.len(), 36);
        // Two parameters that no row depends on both: 0 whatever they are. All others are not.
        let strangers =
            [(SCALE_B, SD_A), (SCALE_B, B_FRAC), (SD_A, SD_B), (SD_A, B_FRAC), (SD_B, B_FRAC)];
        for i in 0..6 {
            for j in 0..6 {
                let row = &outcome.entries[&(PARAMETERS[i].to_owned(), PARAMETERS[j].to_owned())];
                if strangers.contains(&(i, j)) || strangers.contains(&(j, i)) {
                    assert_eq!(row["insensitive"], POINTS.to_string(), "{i} {j}");
                } else {
                    assert_ne!(row["pass"], "0", "{i} {j}");
                }
            }
        }
        let passed = outcome.total("pass");
        assert!(passed > 9 * outcome.total("inconclusive"), "{passed} pass");
    }
}

#[test]
fn an_entry_may_be_given_once_or_not_at_all() {
    let bench = Bench::new(POINTS);
    let right = bench.all(hessian);
    // The lower triangle, without one entry.
    bench.write(|point, i, j| (i >= j && (i, j) != (SCALE_B, K2)).then(|| right[point][i][j]));
    let outcome = bench.sweep(&[]);
    assert_eq!((outcome.status, outcome.total("fail")), (0, 0));
    // Both orders of it, at all points.
    assert_eq!(outcome.total("gradient_missing"), 2 * POINTS);
    assert_eq!(outcome.entries[&("k2".into(), "scale_B".into())]["gradient_missing"], "30");
    // Some parameters only.
    let outcome = bench.sweep(&["--parameters", "k2,k1"]);
    assert_eq!(outcome.entries.len(), 4);
    assert_eq!((outcome.status, outcome.total("gradient_missing")), (0, 0));
}

/// A defect: the entry from the point, its row and column, the right matrix and gradient.
type Defect = fn(usize, usize, &Matrix, &[f64; 6]) -> f64;

/// Its name, the defect, the entries that it makes wrong, and what is said of them.
type Case = (&'static str, Defect, &'static [(usize, usize)], &'static str);

const DEFECTS: [Case; 7] = [
    (
        "factor 2",
        |i, j, h, _| if (i, j) == (K1, SCALE_B) { 2.0 * h[i][j] } else { h[i][j] },
        &[(K1, SCALE_B)],
        "too large by a factor of 2",
    ),
    (
        "sign",
        |i, j, h, _| if (i, j) == (SD_A, SD_A) { -h[i][j] } else { h[i][j] },
        &[(SD_A, SD_A)],
        "its sign is wrong",
    ),
    (
        "1 %",
        |i, j, h, _| if (i, j) == (K2, K2) { 1.01 * h[i][j] } else { h[i][j] },
        &[(K2, K2)],
        "",
    ),
    (
        "zero",
        |i, j, h, _| if (i, j) == (K2, SD_B) { 0.0 } else { h[i][j] },
        &[(K2, SD_B)],
        "it is 0",
    ),
    (
        "second derivative of the scale",
        |i, j, h, g| {
            if i == j { h[i][i] - LN_10 * g[i] } else { h[i][j] }
        },
        &[(K1, K1), (K2, K2), (SCALE_B, SCALE_B), (SD_A, SD_A), (SD_B, SD_B), (B_FRAC, B_FRAC)],
        "the second derivative of the log10 scale is missing",
    ),
    // The block of rows k1, k2 and columns scale_B, sd_A lies transposed in it.
    (
        "transposed block",
        |i, j, h, _| match (i, j) {
            (K1, SD_A) => h[K2][SCALE_B],
            (K2, SCALE_B) => h[K1][SD_A],
            _ => h[i][j],
        },
        &[(K1, SD_A), (K2, SCALE_B)],
        "",
    ),
    (
        "what is not 0",
        |i, j, h, _| if (i, j) == (SD_A, SD_B) { 1.0 } else { h[i][j] },
        &[(SD_A, SD_B)],
        "",
    ),
];

#[test]
fn wrong_entries_are_named() {
    let bench = Bench::new(POINTS);
    let right = bench.all(hessian);
    let slopes: Vec<[f64; 6]> =
        bench.points.iter().map(|(_, theta)| gradient(&bench.rows, theta)).collect();
    for (name, defect, wrong, diagnosis) in DEFECTS {
        bench.write(|point, i, j| Some(defect(i, j, &right[point], &slopes[point])));
        let outcome = bench.sweep(&[]);
        let found = outcome.consistent();
        let expected: Vec<(&str, &str)> =
            wrong.iter().map(|&(i, j)| (PARAMETERS[i], PARAMETERS[j])).collect();
        assert_eq!(outcome.status, 1, "{name}");
        assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
        for pair in expected {
            let said = found.get(&pair).unwrap_or_else(|| panic!("{name}: {pair:?} passes"));
            assert!(said.contains(diagnosis), "{name}: {said:?}");
            assert!(!diagnosis.is_empty() || said.is_empty(), "{name}: {said:?}");
        }
        // Nowhere else does a cell fail.
        let failing = outcome.entries.values().filter(|row| row["fail"] != "0").count();
        assert_eq!(failing, wrong.len(), "{name}");
    }
}

#[test]
fn a_build_server_is_told_of_each_entry() {
    let bench = Bench::new(POINTS);
    let right = bench.all(hessian);
    // The twin: right everywhere.
    for (factor, failures, status) in [(2.0, 1, 1), (1.0, 0, 0)] {
        let of = |i: usize, j: usize| if (i, j) == (K2, K2) { factor } else { 1.0 };
        bench.write(|point, i, j| Some(of(i, j) * right[point][i][j]));
        for command in ["sweep", "check"] {
            let folder = if command == "sweep" { "out-junit" } else { "cells-junit.csv" };
            let mut further = vec!["--out", folder, "--junit", "j.xml"];
            if command == "sweep" {
                further.push("--overwrite");
            }
            let (ended, _, err) = bench.run(command, &further);
            assert_eq!(ended, status, "{err}");
            let xml = fs::read_to_string(bench.path("j.xml")).unwrap();
            assert_eq!(xml.matches("<testcase ").count(), 36);
            assert!(xml.contains(&format!("tests=\"36\" failures=\"{failures}\"")), "{xml}");
            assert_eq!(xml.contains("name=\"k2,k2\"><failure"), failures == 1, "{xml}");
        }
    }
}

#[test]
fn an_asymmetric_matrix_is_reported() {
    let bench = Bench::new(POINTS);
    let right = bench.all(hessian);
    let off = |point: usize, i: usize, j: usize| {
        if (point, i, j) == (3, K2, K1) { 1.5 } else { 1.0 }
    };
    bench.write(|point, i, j| Some(off(point, i, j) * right[point][i][j]));
    let outcome = bench.sweep(&[]);
    assert!(outcome.out.contains("not symmetric: 1 entries, most at point p3: k1, k2 "));
    let asymmetric = |i: &str, j: &str| &outcome.entries[&(i.into(), j.into())]["asymmetric"];
    assert_eq!((asymmetric("k1", "k2").as_str(), asymmetric("k2", "k1").as_str()), ("1", "1"));
    assert_eq!(outcome.entries.values().filter(|row| row["asymmetric"] != "0").count(), 2);
    assert_eq!(outcome.entries[&("k2".into(), "k1".into())]["fail"], "1");
    assert_eq!(outcome.entries[&("k1".into(), "k2".into())]["fail"], "0");
    // Twin: the right matrix, the same within the accuracy of the file.
    bench.write(|point, i, j| Some((1.0 + 1e-7 * i as f64) * right[point][i][j]));
    assert!(!bench.sweep(&[]).out.contains("not symmetric"));
}

#[test]
fn matrices_of_first_derivatives_are_held_against_their_definition() {
    let bench = Bench::new(POINTS);
    for (kind, of) in
        [("gauss-newton", gauss_newton as fn(&[Row], &[f64]) -> Matrix), ("fim", fisher)]
    {
        let right = bench.all(of);
        bench.write(|point, i, j| Some(right[point][i][j]));
        let outcome = bench.sweep(&["--hessian-kind", kind]);
        assert_eq!((outcome.status, outcome.total("fail")), (0, 0), "{kind}");
        // Where it is 0 there is nothing to tell; elsewhere there is no noise to hide a mistake, but
        // where terms cancel to less than twenty times what a file may be off by (1e-5 of them).
        let alive = right.iter().flatten().flatten().filter(|entry| **entry != 0.0).count();
        assert!(outcome.total("pass") > alive * 98 / 100, "{kind}");
        assert_eq!(outcome.total("pass") + outcome.total("insensitive"), 36 * POINTS, "{kind}");
        // Twin: one entry is wrong by a percent.
        let wrong = |i: usize, j: usize| if (i, j) == (K2, K1) { 1.01 } else { 1.0 };
        bench.write(|point, i, j| Some(wrong(i, j) * right[point][i][j]));
        let outcome = bench.sweep(&["--hessian-kind", kind]);
        assert_eq!(outcome.status, 1, "{kind}");
        let found = outcome.consistent();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [("k2", "k1")], "{kind}");
        // Each is the other's twin: they differ where parameters set the noise, and the Gauss–Newton
        // matrix is not all of the second derivatives.
        let other = if kind == "fim" { "gauss-newton" } else { "fim" };
        bench.write(|point, i, j| Some(right[point][i][j]));
        let outcome = bench.sweep(&["--hessian-kind", other]);
        assert!(outcome.consistent().contains_key(&("sd_A", "sd_A")), "{kind} as {other}");
    }
}

#[test]
fn a_gauss_newton_matrix_is_recognised() {
    let bench = Bench::new(POINTS);
    for (of, said) in [
        (gauss_newton as fn(&[Row], &[f64]) -> Matrix, "Gauss-Newton approximation"),
        (fisher, "Fisher information"),
    ] {
        let approximation = bench.all(of);
        bench.write(|point, i, j| Some(approximation[point][i][j]));
        let outcome = bench.sweep(&[]);
        assert_eq!(outcome.status, 1);
        let found = outcome.consistent();
        // The noise's own parameter enters the two in different ways.
        assert!(found[&("sd_A", "sd_A")].contains(said), "{found:?}");
        assert!(outcome.out.contains(said));
    }
}

/// Second derivatives are the same in both orders; the differences of one component along another
/// parameter and those the other way round have nothing in common but the solver.
#[test]
fn both_orders_agree_within_their_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let mut problems = vec![(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/stat5"), 20)];
    match std::env::var_os("PETAB_BENCHMARKS_DIR") {
        // A pre-equilibration; events at given times.
        Some(collection) => problems.extend(
            ["Brannmark_JBC2010", "Fujita_SciSignal2010"]
                .map(|name| (Path::new(&collection).join(name), 2)),
        ),
        None => println!("skipped in part: PETAB_BENCHMARKS_DIR is not set"),
    }
    for (problem, count) in problems {
        let run = |arguments: &[&str]| {
            let ran = Command::new(env!("CARGO_BIN_EXE_gradsweep"))
                .current_dir(folder.path())
                .args(arguments)
                .output()
                .unwrap();
            assert!(ran.status.code() < Some(2), "{}", String::from_utf8_lossy(&ran.stderr));
        };
        let (path, number) = (problem.to_str().unwrap(), count.to_string());
        run(&["startpoints", path, "--points", &number, "--out", "points.csv"]);
        let points = fs::read_to_string(folder.path().join("points.csv")).unwrap();
        let ids: Vec<&str> = points.lines().next().unwrap().split(',').skip(1).collect();
        // The estimates are asked for; what they are compared with does not matter.
        let entries = ids.iter().map(|id| format!("0,{id},{id},0\n"));
        let header = "point,parameter,parameter2,hessian\n";
        let text = header.to_owned() + &entries.collect::<String>();
        fs::write(folder.path().join("h.csv"), text).unwrap();
        let at = ["check", path, "--at", "points.csv", "--order", "1", "--hessian", "h.csv"];
        run(&[&at[..], &["--engine", "cpu", "--out", "cells.csv"]].concat());
        let mut cells = BTreeMap::new();
        let mut reader = csv::Reader::from_path(folder.path().join("cells.csv")).unwrap();
        for row in reader.deserialize() {
            let row: BTreeMap<String, String> = row.unwrap();
            let numbers = ["estimate", "bound", "floor"].map(|n| row[n].parse::<f64>().unwrap());
            let key = ["point", "parameter", "parameter2"].map(|n| row[n].clone());
            cells.insert(key, numbers);
        }
        let (mut decided, mut pairs) = (0, 0);
        for ([point, i, j], [estimate, bound, floor]) in &cells {
            if i <= j || estimate.is_nan() {
                continue;
            }
            let [other, its_bound, its_floor] = cells[&[point.clone(), j.clone(), i.clone()]];
            let allowed = bound + floor + its_bound + its_floor;
            let distance = (estimate - other).abs();
            assert!(distance <= allowed, "{path} {point} {i} {j}: {distance:e} > {allowed:e}");
            pairs += 1;
            // Small enough to see an error of a tenth.
            decided += usize::from(allowed < 0.1 * estimate.abs());
        }
        println!("{path}: {decided} of {pairs} pairs decided");
        // The others are small beside the terms of the gradient.
        assert!(decided > pairs / 3, "{path}: {decided} of {pairs}");
    }
}

#[test]
fn check_writes_every_cell() {
    let bench = Bench::new(2);
    let right = bench.all(hessian);
    bench.write(|point, i, j| Some(right[point][i][j]));
    let (status, out, err) = bench.run("check", &["--out", "cells.csv"]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("0 of 36 entries fail"), "{out}");
    let text = fs::read_to_string(bench.path("cells.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let mut count = 0;
    for row in reader.deserialize() {
        let row: BTreeMap<String, String> = row.unwrap();
        let place = |name: &str| PARAMETERS.iter().position(|p| *p == row[name]).unwrap();
        let point = bench.points.iter().position(|(id, _)| *id == row["point"]).unwrap();
        let exact = right[point][place("parameter")][place("parameter2")];
        assert_eq!(row["hessian"].parse::<f64>().unwrap(), exact);
        if row["verdict"] == "pass" {
            let estimate: f64 = row["estimate"].parse().unwrap();
            let [bound, allowance] = ["bound", "allowance"].map(|n| row[n].parse::<f64>().unwrap());
            // The closed form against our own solver's: its error is the allowance's first part.
            assert!((estimate - exact).abs() <= bound + allowance, "{row:?}");
        }
        count += 1;
    }
    assert_eq!(count, 2 * 36);
    // Whatever the threads, the same bytes.
    let (_, again, _) = bench.run("check", &["--out", "again.csv", "--threads", "1"]);
    assert_eq!(text, fs::read_to_string(bench.path("again.csv")).unwrap());
    assert_eq!(out.lines().next(), again.lines().next());
}

#[test]
fn bad_input_is_refused() {
    let bench = Bench::new(1);
    bench.write(|_, _, _| Some(1.0));
    let refused = |command: &str, further: &[&str], parts: &[&str]| {
        let (status, out, err) = bench.run(command, further);
        assert_eq!((status, out.as_str()), (2, ""), "{further:?}: {err}");
        for part in parts {
            assert!(err.contains(part), "{further:?}: no {part:?} in {err}");
        }
    };
    for command in ["check", "sweep"] {
        refused(command, &["--gradient", "g.csv"], &["--gradient", "--hessian"]);
        refused(command, &["--mode", "residuals"], &["--mode", "--order 1"]);
        refused(command, &["--by", "row", "--hessian-kind", "fim"], &["--by", "full"]);
        refused(command, &["--by", "colour"], &["--by", "colour", "observable"]);
        refused(command, &["--baseline", "b.csv"], &["b.csv"]);
        refused(command, &["--gradient-rtol", "-1"], &["--gradient-rtol -1"]);
        refused(command, &["--hessian-kind", "bfgs"], &["bfgs", "gauss-newton"]);
    }
    refused("check", &["--detailed"], &["--detailed", "--order 1"]);
    fs::write(bench.path("h.csv"), "point,parameter,parameter2,hessian\np0,k1,k9,1\n").unwrap();
    refused("sweep", &["--out", "none"], &["h.csv:2", "`parameter2`", "`k9`"]);
    fs::write(bench.path("h.csv"), "point,parameter,parameter2,hessian\np0,k1,k1,1\n").unwrap();
    refused("sweep", &["--out", "none", "--parameters", "k2"], &["h.csv", "k2"]);
    fs::remove_file(bench.path("h.csv")).unwrap();
    refused("sweep", &["--out", "none"], &["h.csv"]);
    assert!(!bench.path("none").exists());
    // Without --order 1, or without a file.
    for (arguments, parts) in [
        (&["--hessian", "h.csv"][..], &["--hessian", "--order 1"][..]),
        (&["--hessian-kind", "full"], &["--hessian-kind", "--order 1"]),
        (&["--order", "1", "--hessian-kind", "fim"], &["--hessian-kind", "--hessian FILE.csv"]),
        (&["--order", "2"], &["--order", "2"]),
    ] {
        let ran = Command::new(env!("CARGO_BIN_EXE_gradsweep"))
            .current_dir(bench.folder.path())
            .args(["check", data("conversion.yaml").to_str().unwrap()])
            .args(arguments)
            .output()
            .unwrap();
        let err = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2), "{arguments:?}: {err}");
        for part in parts {
            assert!(err.contains(part), "{arguments:?}: no {part:?} in {err}");
        }
    }
}
