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

/// A file without its numbers of integrations and steps.
fn uncounted(text: &str) -> String {
    let is_counted = |line: &&str| {
        ["\"integrations\"", "\"attempted_steps\"", ">integrations<", ">attempted_steps<"]
            .iter()
            .any(|word| line.contains(word))
    };
    text.lines().filter(|line| !is_counted(line)).collect::<Vec<_>>().join("\n")
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
        // What all took together, tighter tolerances for files among it, is more than one alone.
        for (name, text) in &one {
            assert!(uncounted(text) == uncounted(&of_all[name]), "{folder}/{name}");
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
    let own = &properties["forward.gradient"];
    assert!(own.starts_with("own, forward tangents, by counted operations"), "{own}");
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

/// A number after some words in a text.
fn number_after(text: &str, words: &str) -> f64 {
    let rest = text.split_once(words).unwrap_or_else(|| panic!("no {words:?} in {text}")).1;
    rest.split([' ', ')', '\n']).next().unwrap().parse().unwrap()
}

#[test]
fn forward_and_adjoint_gradients_are_the_same() {
    let bench = Bench::new(|_, value| value);
    let rows = compared(&bench, "forward", "adjoint");
    assert!(rows.len() >= 4);
    for (id, row) in &rows {
        assert_eq!(row["points"], "30", "{id}");
        assert_eq!(row["disagreements"], "0", "{id}");
        // Rounding, of components of much the same size.
        assert!(row["difference_max"].parse::<f64>().unwrap() < 1e-11, "{id}: {row:?}");
    }
    assert!(rows.values().any(|row| row["difference_max"] != "0"));
    for (folder, words) in [("forward", "own, forward tangents"), ("adjoint", "own, adjoints")] {
        let text = bench.read(&format!("s/{folder}/run.json"));
        assert!(text.contains(&format!("\"gradient\": \"{words}, by counted")), "{text}");
    }
    // One that is wrong is found beside the others, and each other is supported against it.
    let wrong = Bench::new(|parameter, value| if parameter == "k1" { -value } else { value });
    let rows = compared(&wrong, "adjoint", "gradients.csv");
    assert_eq!(
        (rows["k1"]["disagreements"].as_str(), rows["k1"]["first_supported"].as_str()),
        ("30", "30")
    );
}

#[test]
fn auto_is_the_cheaper_gradient() {
    let bench = Bench::new(|_, value| value);
    let line = "check PROBLEM --at points.csv --eps 1e-5 --parameters k1";
    let auto = bench.run(line);
    assert_eq!(auto.status, Some(0), "{}", auto.err);
    let gradient = auto.out.lines().find(|line| line.starts_with("gradient: ")).unwrap();
    let costs = ["forward", "adjoint"].map(|method| {
        let ran = bench.run(&format!("{line} --gradient {method}"));
        assert_eq!(ran.status, Some(0), "{}", ran.err);
        number_after(&ran.out, "by counted operations a gradient as ")
    });
    let [cheap, other] = ["a gradient as ", " as "]
        .map(|words| number_after(gradient.split("operations").nth(1).unwrap(), words));
    assert_eq!(cheap, costs[0].min(costs[1]), "{gradient}");
    assert!(other >= cheap, "{gradient}");
    let word = if costs[0] <= costs[1] { "own, forward tangents" } else { "own, adjoints" };
    assert!(gradient.contains(word), "{gradient}, {costs:?}");
    // Row by row there are forward tangents only.
    let by = bench.run(&format!("{line} --by row"));
    assert!(by.out.contains("gradient: own, forward tangents"), "{}", by.out);
}

#[test]
fn what_adjoints_cannot_give_is_refused() {
    let bench = Bench::new(|_, value| value);
    let sweep = "sweep PROBLEM --at points.csv --out r --gradient";
    bench.refused(
        &format!("{sweep} adjoint --by row"),
        &["--gradient adjoint", "--gradient forward"],
    );
    let residuals = format!("{sweep} adjoint --mode residuals");
    bench.refused(&residuals, &["--gradient adjoint", "--gradient forward"]);
    bench.refused(&format!("{sweep} adjoint --gradient auto"), &["--gradient auto"]);
    bench.refused(&format!("{sweep} adjoint --gradient adjoint"), &["adjoint: is given twice"]);
    bench.write("h.csv", "");
    bench.refused(&format!("{sweep} adjoint --order 1 --hessian h.csv"), &["--gradient"]);
}
