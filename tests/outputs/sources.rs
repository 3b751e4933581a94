//! Several gradients in one sweep.

use super::{Bench, damage, junit, rows};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The files of a folder by name.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let entries = entries.filter(|path| path.is_file());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    entries.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn several_gradients_are_each_judged_as_if_alone() {
    let bench = Bench::new(damage);
    bench.gradients("other.csv", |parameter, value| if parameter == "sd_A" { 0.0 } else { value });
    let line = "sweep PROBLEM --at points.csv --gradient";
    let all = bench.run(&format!(
        "{line} forward --gradient gradients.csv --gradient other.csv --out all --junit j.xml"
    ));
    assert_eq!(all.status, Some(1), "{}", all.err);
    let mut lines = Vec::new();
    for (gradient, folder) in
        [("forward", "forward"), ("gradients.csv", "gradients"), ("other.csv", "other")]
    {
        let alone = bench.run(&format!("{line} {gradient} --out {folder}"));
        assert_eq!(alone.status, Some(i32::from(gradient != "forward")), "{}", alone.err);
        let path = bench.folder.path();
        let (one, of_all) = (files(&path.join(folder)), files(&path.join("all").join(folder)));
        // A file's gradient that fails consistently is held against groups of rows, too.
        let attributed = usize::from(one.contains_key("attribution.csv"));
        assert_eq!(one.len(), 9 + attributed);
        assert!(attributed == 0 || gradient != "forward");
        assert_eq!(one.keys().collect::<Vec<_>>(), of_all.keys().collect::<Vec<_>>());
        for (name, text) in &one {
            assert!(*text == of_all[name], "{folder}/{name}");
        }
        // The table of all has these rows, with the gradient's name before each.
        for (k, row) in one["parameters.csv"].lines().enumerate() {
            match (k, lines.is_empty()) {
                (0, true) => lines.push(format!("source,{row}")),
                (0, false) => {}
                _ => lines.push(format!("{gradient},{row}")),
            }
        }
    }
    assert_eq!(bench.read("all/parameters.csv").lines().collect::<Vec<_>>(), lines);
    let names = files(&bench.folder.path().join("all"));
    assert_eq!(names.keys().collect::<Vec<_>>(), ["parameters.csv", "sources.csv"]);
    let (cases, properties) = junit(&bench.read("j.xml"));
    assert_eq!(cases.len(), lines.len() - 1);
    for (case, kind) in [
        ("forward: k1", None),
        ("gradients: k1", Some("failure")),
        ("gradients: k2", Some("skipped")),
        ("other: sd_A", Some("failure")),
        ("other: k1", None),
    ] {
        assert_eq!(cases[case].as_ref().map(|c| c.0.as_str()), kind, "{case}");
    }
    assert_eq!(properties["forward.gradient"], "own, forward tangents");
    assert!(properties["other.gradient"].starts_with("other.csv "));

    // A baseline may know a failure of one gradient only.
    let with = "all --overwrite --baseline known.csv";
    let all = format!("{line} forward --gradient gradients.csv --gradient other.csv --out {with}");
    bench.write(
        "known.csv",
        "source,parameter,consistent_failure\ngradients.csv,k1,yes\nother.csv,sd_A,yes\n",
    );
    assert_eq!(bench.run(&all).status, Some(0));
    bench.write("known.csv", "source,parameter,consistent_failure\nother.csv,k1,yes\n");
    let ran = bench.run(&all);
    assert_eq!(ran.status, Some(1));
    assert!(ran.out.contains("\nnew failures: k1\n"), "{}", ran.out);
    assert!(ran.out.contains("\nknown failures that have gone: k1\n"), "{}", ran.out);
}

/// The rows of sources.csv by their parameter.
fn compared(
    bench: &Bench,
    first: &str,
    second: &str,
) -> BTreeMap<String, BTreeMap<String, String>> {
    let ran = bench.run(&format!(
        "sweep PROBLEM --at points.csv --gradient {first} --gradient {second} --out s --overwrite"
    ));
    assert!(ran.status == Some(0) || ran.status == Some(1), "{}", ran.err);
    let rows = rows(&bench.read("s/sources.csv"));
    for row in &rows {
        assert_eq!((row["first"].as_str(), row["second"].as_str()), (first, second));
        let count = |column: &str| row[column].parse::<usize>().unwrap();
        let decided = ["first_supported", "second_supported", "neither_supported", "undecided"];
        let decided: usize = decided.map(count).iter().sum();
        assert_eq!(decided, count("disagreements"), "{row:?}");
    }
    rows.into_iter().map(|row| (row["parameter"].clone(), row)).collect()
}

#[test]
fn the_differences_say_which_of_two_gradients_is_right() {
    let bench = Bench::new(|parameter, value| match parameter {
        "k1" => -value,
        "k2" => f64::NAN,
        "sd_B" => 2.0 * value,
        _ => value,
    });
    bench.gradients("other.csv", |parameter, value| if parameter == "sd_B" { 0.0 } else { value });
    let verdicts = rows(&bench.read("own/parameters.csv"));
    let verdict = |id: &str, kind: &str| {
        verdicts.iter().find(|row| row["parameter"] == id).unwrap()[kind].clone()
    };
    let of = |rows: &BTreeMap<String, BTreeMap<String, String>>, id: &str| {
        let columns =
            ["points", "disagreements", "first_supported", "second_supported", "neither_supported"];
        columns.map(|column| rows[id][column].parse::<usize>().unwrap())
    };
    // All 30 points decide for these.
    for id in ["k1", "sd_A", "sd_B"] {
        assert_eq!(verdict(id, "pass"), "30", "{id}");
    }
    let rows = compared(&bench, "forward", "gradients.csv");
    assert_eq!(of(&rows, "k1"), [30, 30, 30, 0, 0]);
    assert_eq!(of(&rows, "k2"), [0, 0, 0, 0, 0]);
    assert_eq!(rows["k2"]["difference_median"], "NaN");
    assert_eq!(of(&rows, "sd_A"), [30, 0, 0, 0, 0]);
    assert_eq!(rows["sd_A"]["difference_max"], "0");
    let rows = compared(&bench, "gradients.csv", "other.csv");
    assert_eq!(of(&rows, "k1"), [30, 30, 0, 30, 0]);
    assert_eq!(of(&rows, "sd_B"), [30, 30, 0, 0, 30]);
}

#[test]
fn distances_are_relative_to_the_magnitudes_of_terms() {
    // Off by the same part everywhere: distances grow with it, to rounding, and that of 1 is below
    // 1, since a component is no larger than the magnitudes of its terms.
    let bench = Bench::new(|_, value| value);
    let mut found = Vec::new();
    for part in [1.0, 1e-2] {
        bench.gradients("gradients.csv", |_, value| value * (1.0 + part));
        let rows = compared(&bench, "forward", "gradients.csv");
        let number = |column: &str| -> Vec<f64> {
            rows.values().map(|row| row[column].parse().unwrap()).collect()
        };
        found.push([number("difference_median"), number("difference_max")].concat());
    }
    for (large, small) in found[0].iter().zip(&found[1]) {
        // The part is added to 1 and taken away again: 1e-16/1e-2.
        assert!((large / small / 100.0 - 1.0).abs() < 1e-12, "{large} {small}");
        assert!(*large > 0.0 && *large <= 1.0 + 1e-15, "{large}");
    }
}

#[test]
fn gradients_without_common_parameters_are_refused() {
    let bench = Bench::new(|_, value| value);
    bench.write("k1.csv", "point,k1\n0,1\n");
    bench.write("k2.csv", "point,k2,sd_A\n0,1,1\n");
    let line = "sweep PROBLEM --at points.csv --out r --gradient";
    bench.refused(&format!("{line} k1.csv --gradient k2.csv"), &["k1.csv, k2.csv", "no parameter"]);
    bench.refused(&format!("{line} k1.csv --gradient k1.csv"), &["k1.csv", "given twice"]);
    bench.refused(&format!("{line} forward --gradient nosuch.csv"), &["nosuch.csv"]);
    let parameters = "--parameters k1,k2";
    bench.refused(&format!("{line} forward --gradient k1.csv {parameters}"), &["k1.csv", "\"k2\""]);
    let check = "check PROBLEM --at points.csv --gradient forward --gradient k1.csv";
    bench.refused(check, &["--gradient", "`sweep` compares several"]);
    // Reports of one gradient and of several would be mixed up.
    let several = "sweep PROBLEM --at points.csv --gradient forward --gradient gradients.csv";
    bench.refused(&format!("{several} --out own --overwrite"), &["--out own", "one gradient"]);
    assert!(bench.run(&format!("{several} --out several")).status == Some(0));
    bench.refused(
        "sweep PROBLEM --points 2 --out several --overwrite",
        &["--out several", "several gradients"],
    );
    // What only one of the files has is not checked, and a note says so.
    bench.write("both.csv", "point,k1,k2\n0,1,1\n");
    let ran = bench.run(&format!("{line} both.csv --gradient k2.csv"));
    assert!(
        ran.out.contains("note: not checked, since not all gradients have them: k1, sd_A\n"),
        "{}",
        ran.out
    );
}
