//! The command line.

use crate::closed_form::*;
use crate::foreign::*;
use gradsweep::check::VerdictKind;
use gradsweep::model;
use gradsweep::startpoints;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

#[test]
fn bad_options_are_refused_before_anything_is_written() {
    let foreign = Foreign::new(Noise::Constant, None);
    foreign.write(&|_, _, _, _| 0.0);
    for (line, parts) in [
        ("check p --by colour", &["--by", "colour", "condition, observable, time, row"][..]),
        ("sweep p --points 2 --out s --mode jacobian", &["--mode", "jacobian", "residuals"]),
        ("sweep p --points 2 --out s --mode residuals --by row", &["--by", "--mode residuals"]),
        ("check p --mode residuals --detailed", &["--detailed", "--mode residuals"]),
        (
            "check p --at points.csv --mode residuals --gradient gradients.csv --out c.csv",
            &["gradients.csv:1", "`k1`", "expected `point`, `row`, `parameter`, `gradient`"],
        ),
        ("power p --points 2 --by row", &["--by"]),
    ] {
        let ran = gradsweep(foreign.path(), line);
        assert_eq!(ran.status, 2, "{line}: {}{}", ran.out, ran.err);
        for part in parts {
            assert!(ran.err.contains(part), "{line}: no {part:?} in {}", ran.err);
        }
        assert!(ran.out.is_empty(), "{line}");
        let mut names: Vec<String> = fs::read_dir(foreign.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["gradients.csv", "p", "points.csv"], "{line}");
    }
}

#[test]
fn tables_of_groups_and_residuals() {
    let folder = copied("conversion");
    let files = |name: &str| -> BTreeMap<String, Vec<u8>> {
        fs::read_dir(folder.path().join(name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|p| (p.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&p).unwrap()))
            .collect()
    };
    let sweep = "sweep p --points 30 --engine cpu --overwrite";
    let run = |options: &str| {
        let ran = gradsweep(folder.path(), &format!("{sweep} {options}"));
        assert_eq!(ran.status, 0, "{options}: {}{}", ran.out, ran.err);
        ran.out
    };
    let text = run("--by observable --out a --threads 1");
    assert!(text.contains("by observable: 0 of 10 derivatives fail"), "{text}");
    run("--by observable --out b --threads 3");
    // These name the number of threads.
    let tables = |name: &str| {
        let mut files = files(name);
        files.retain(|name, _| name.ends_with(".csv"));
        files
    };
    assert!(tables("a") == tables("b"), "threads must not matter");
    let rows = read(&folder.path().join("a/groups.csv"));
    // k1 and k2 reach all three observables, the others one each.
    assert_eq!(rows.len(), 10);
    for row in &rows {
        assert_eq!((row["by"].as_str(), row["points"].as_str()), ("observable", "30"));
        let counts = VerdictKind::ALL.map(|k| row[k.name()].parse::<usize>().unwrap());
        assert_eq!(counts.iter().sum::<usize>(), 30);
        assert_eq!(row["consistent_failure"], "no");
    }
    // The same sweep without --by gives the same files but for the table and its mention.
    run("--out c");
    let (mut with, without) = (files("a"), files("c"));
    assert!(with.remove("groups.csv").is_some());
    assert!(with.keys().eq(without.keys()));
    for name in ["checks.csv", "best.csv", "points.csv", "parameters.csv", "eps.csv"] {
        assert!(with[name] == without[name], "{name}");
    }
    // The probes of every point were integrated again.
    let [counted, alone] = [&with, &without].map(|files| {
        let record: Value = serde_json::from_slice(&files["run.json"]).unwrap();
        record["integrations"].as_u64().unwrap()
    });
    assert!(counted > alone + 30 * 10, "{counted}, {alone}");
    // What an earlier run has left does not stay beside what it does not belong to.
    run("--out a");
    assert!(!folder.path().join("a/groups.csv").exists());
    run("--mode residuals --out a --threads 1");
    run("--mode residuals --out b --threads 3");
    assert!(tables("a") == tables("b"), "threads must not matter");
    let mut expected = vec!["failures.csv", "parameters.csv", "points.csv"];
    expected.extend(["report.html", "residuals.csv", "run.json"]);
    assert!(files("a").keys().eq(expected), "{:?}", files("a").keys());
    let rows = read(&folder.path().join("a/residuals.csv"));
    assert_eq!(rows.len(), 60);
    assert_eq!(rows[16]["row"], "17");
    let place = ["observable", "condition", "time"].map(|column| rows[16][column].as_str());
    assert_eq!(place, ["obs_B", "low", "1.5"]);
    for row in read(&folder.path().join("a/parameters.csv")) {
        let cells: usize =
            VerdictKind::ALL.map(|k| row[k.name()].parse::<usize>().unwrap()).iter().sum();
        assert_eq!(cells, 30 * row["rows"].parse::<usize>().unwrap(), "{row:?}");
    }
    let record = fs::read_to_string(folder.path().join("a/run.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["mode"], "residuals");
    run("--out a");
    assert!(files("a").keys().eq(files("c").keys()), "residuals.csv is gone");

    // At a point, cell by cell, against the closed form.
    let ran = gradsweep(folder.path(), "check p --mode residuals --engine cpu --out r.csv");
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let problem = model::load(&folder.path().join("p")).unwrap();
    let theta = startpoints::nominal(&problem.parameters).unwrap().theta_scaled.remove(0);
    let exact = exact(&folder.path().join("p/measurements.tsv"), &theta, Noise::Constant);
    let cells = read(&folder.path().join("r.csv"));
    assert_eq!(cells.len(), 60 * 2 + 20 * 4);
    for cell in &cells {
        let row = &exact[cell["row"].parse::<usize>().unwrap() - 1];
        let j = IDS.iter().position(|id| *id == cell["parameter"]).unwrap();
        assert_eq!((&cell["observable"], &cell["condition"]), (&row.observable, &row.condition));
        let number = |column: &str| cell[column].parse::<f64>().unwrap();
        // The solver's error at rtol 1e-8; y - m of size 1 makes z as uncertain as y/sigma.
        assert!((number("residual") - row.z).abs() < 1e-5, "{cell:?}");
        assert!((number("gradient") - row.dz[j]).abs() <= 1e-6 * row.dz[j].abs().max(1.0));
        let bound = number("bound") + 1e-6 * row.dz[j].abs().max(1.0);
        assert!((number("estimate") - row.dz[j]).abs() <= bound, "{cell:?}");
        assert!(["pass", "insensitive"].contains(&cell["verdict"].as_str()), "{cell:?}");
    }
}

#[test]
fn a_check_names_the_condition_at_a_few_points() {
    let foreign = Foreign::new(Noise::Constant, None);
    foreign.write(&|j, _, _, rows| {
        if j == 0 { -sum(rows, j, |row| row.condition == "low") } else { 0.0 }
    });
    let line = "check p --at points.csv --gradient gradients.csv --engine cpu --by condition";
    let ran = gradsweep(foreign.path(), line);
    assert_eq!(ran.status, 1, "{}", ran.err);
    let words = "k1: what is missing is the contribution of condition low (";
    assert!(ran.out.contains(words), "{}", ran.out);
    let without = gradsweep(foreign.path(), line.strip_suffix("--by condition").unwrap());
    assert_eq!(without.status, 1);
    assert!(!without.out.contains("contribution"), "{}", without.out);
}
