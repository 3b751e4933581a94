//! What people and build servers are told of second derivatives: the page, known failures.

use super::page::{elements, parsed, text_of};
use super::{Bench, K1, K2, Matrix, PARAMETERS, POINTS, SCALE_B, hessian};
use std::fs;
use std::process::{Command, Output};

/// A matrix whose entries are right but for factors.
fn write(bench: &Bench, right: &[Matrix], factor: impl Fn(usize, usize) -> f64) {
    bench.write(|point, i, j| Some(factor(i, j) * right[point][i][j]));
}

fn gradsweep(bench: &Bench, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradsweep"));
    command.current_dir(bench.folder.path()).args(arguments).output().unwrap()
}

fn read(bench: &Bench, name: &str) -> String {
    fs::read_to_string(bench.path(name)).unwrap()
}

#[test]
fn the_page_has_the_numbers_of_the_table() {
    let bench = Bench::new(POINTS);
    let right = bench.all(hessian);
    // An entry in one order only, and its twin: right everywhere.
    for (factor, result) in [
        (2.0, "Consistently failing: 1 of 36 entries"),
        (1.0, "No second derivative fails consistently"),
    ] {
        write(&bench, &right, |i, j| if (i, j) == (K1, K2) { factor } else { 1.0 });
        let outcome = bench.sweep(&[]);
        let page = read(&bench, "out/report.html");
        let table = read(&bench, "out/hessian.csv");
        let expected: Vec<Vec<String>> =
            table.lines().map(|l| l.split(',').map(str::to_owned).collect()).collect();
        let failing = outcome.consistent().len();
        assert_eq!(failing, usize::from(factor != 1.0));
        parsed(&page, |document| {
            assert_eq!(text_of(elements(document, "p").next().unwrap()), result);
            let found: Vec<String> = elements(document, "li")
                .map(text_of)
                .filter(|text| text.starts_with("k1, k2: "))
                .collect();
            let said: Vec<String> =
                outcome.consistent().values().map(|mark| format!("k1, k2: {mark}")).collect();
            assert_eq!(found, said);
            assert_eq!(page.contains("Not symmetric: 1 pair of parameters has"), factor != 1.0);

            let table = elements(document, "table").find(|t| t.attribute("id") == Some("entries"));
            let cells = |row: roxmltree::Node<'_, '_>| -> Vec<String> {
                let cells = row.children().filter(|n| n.is_element());
                cells.map(|c| c.attribute("data-value").map_or(text_of(c), str::to_owned)).collect()
            };
            let rows = table.unwrap().descendants().filter(|n| n.tag_name().name() == "tr");
            assert_eq!(rows.map(cells).collect::<Vec<_>>(), expected);

            // Both maps have every entry, with its counts.
            let titles: Vec<String> = elements(document, "rect")
                .flat_map(|r| r.children().filter(|n| n.is_element()).map(text_of))
                .collect();
            for row in outcome.entries.values() {
                let id = format!("{}, {}: ", row["parameter"], row["parameter2"]);
                let of_entry = || titles.iter().filter(|title| title.starts_with(&id));
                let part = format!("pass {}", row["pass"]);
                assert!(of_entry().count() >= 2, "{id}");
                assert!(row["pass"] == "0" || of_entry().any(|t| t.contains(&part)), "{id}");
            }
            let outlined =
                elements(document, "rect").filter(|r| r.attribute("class") == Some("failing"));
            assert_eq!(outlined.count(), 2 * failing);
        });
        // Again from the two files alone.
        let _ = fs::remove_dir_all(bench.path("copy"));
        fs::create_dir(bench.path("copy")).unwrap();
        for name in ["run.json", "hessian.csv"] {
            fs::copy(bench.path("out").join(name), bench.path("copy").join(name)).unwrap();
        }
        let ran = gradsweep(&bench, &["report", "copy"]);
        assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
        assert!(page == read(&bench, "copy/report.html"));
        // Nothing is fetched.
        assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("url("));
    }
    let ran = gradsweep(&bench, &["report", "copy", "--plots", "plots"]);
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "2 plots in plots\n");
    for name in ["plots/verdicts.svg", "plots/matrix.svg"] {
        let plot = read(&bench, name);
        assert!(!plot.contains("var(") && plot.contains("k1, k2: "), "{name}");
        roxmltree::Document::parse(&plot).unwrap();
    }
}

#[test]
fn names_are_escaped_and_malformed_tables_refused() {
    let bench = Bench::new(3);
    let right = bench.all(hessian);
    write(&bench, &right, |_, _| 1.0);
    bench.sweep(&[]);
    let table = read(&bench, "out/hessian.csv");
    let hostile = "<script>alert('1')</script>&amp;";
    fs::write(bench.path("out/hessian.csv"), table.replace("k1,", &format!("{hostile},"))).unwrap();
    gradsweep(&bench, &["report", "out"]);
    let page = read(&bench, "out/report.html");
    // The page's own script is the only one.
    assert_eq!(page.matches("<script").count(), 1);
    parsed(&page, |document| {
        for name in ["td", "title"] {
            assert!(elements(document, name).any(|n| text_of(n).contains(hostile)), "{name}");
        }
    });
    for (from, to, parts) in [
        ("parameter2", "parameter3", &["hessian.csv:1", "`parameter2`"][..]),
        ("\nk1,k1,", "\nk2,k1,", &["hessian.csv:3", "`k2, k1`", "one row each"]),
        (",no,", ",perhaps,", &["hessian.csv:2", "`perhaps`", "yes or no"]),
        ("\nk1,k1,3,", "\nk1,k1,3,1,", &["hessian.csv:2", "cells"]),
    ] {
        let damaged = table.replacen(from, to, 1);
        assert_ne!(damaged, table, "{from}");
        fs::write(bench.path("out/hessian.csv"), damaged).unwrap();
        let ran = gradsweep(&bench, &["report", "out", "--out", "none.html"]);
        let err = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{err}");
        assert!(parts.iter().all(|part| err.contains(part)), "{parts:?}: {err}");
        assert!(!bench.path("none.html").exists());
    }
}

#[test]
fn known_failures_are_no_new_ones() {
    let bench = Bench::new(POINTS);
    let right = bench.all(hessian);
    let wrong = |i: usize, j: usize| match (i, j) {
        (K1, K2) | (K2, K1) => 2.0,
        _ => 1.0,
    };
    write(&bench, &right, wrong);
    let ran = bench.sweep(&[]);
    assert_eq!((ran.status, ran.consistent().len()), (1, 2));
    assert!(!read(&bench, "out/run.json").contains("\"baseline\""));
    fs::copy(bench.path("out/hessian.csv"), bench.path("before.csv")).unwrap();

    // The table of a run knows all that it found; another failure is new.
    let ran = bench.sweep(&["--baseline", "before.csv", "--junit", "j.xml"]);
    assert_eq!(ran.status, 0);
    assert!(ran.out.contains("known failures: k2,k1; k1,k2\n"), "{}", ran.out);
    let xml = read(&bench, "j.xml");
    assert!(xml.contains("failures=\"0\"") && xml.contains("known failure: too large"), "{xml}");
    let record: serde_json::Value = serde_json::from_str(&read(&bench, "out/run.json")).unwrap();
    assert_eq!(record["baseline"]["known"], serde_json::json!(["k2,k1", "k1,k2"]));
    assert_eq!(record["baseline"]["file"], "before.csv");
    write(&bench, &right, |i, j| if (i, j) == (SCALE_B, K1) { 2.0 } else { wrong(i, j) });
    let ran = bench.sweep(&["--baseline", "before.csv", "--junit", "j.xml"]);
    assert_eq!(ran.status, 1);
    assert!(ran.out.contains("new failures: scale_B,k1\n"), "{}", ran.out);
    assert!(read(&bench, "j.xml").contains("failures=\"1\""));

    // One order is enough, and what is right again has gone: of `check`, too.
    let header = "parameter,parameter2,consistent_failure\n";
    fs::write(bench.path("known.csv"), format!("{header}k2,k1,yes\nsd_A,sd_A,yes\n")).unwrap();
    write(&bench, &right, wrong);
    for command in ["sweep", "check"] {
        let mut further = vec!["--baseline", "known.csv"];
        if command == "sweep" {
            further.extend(["--out", "out", "--overwrite"]);
        }
        let (status, out, err) = bench.run(command, &further);
        assert_eq!(status, 0, "{err}");
        assert!(out.contains("known failures: k2,k1; k1,k2\n"), "{out}");
        assert!(out.contains("known failures that have gone: sd_A,sd_A\n"), "{out}");
    }
    // The file may say of one order that it is right.
    fs::write(bench.path("known.csv"), format!("{header}k2,k1,yes\nk1,k2,no\n")).unwrap();
    let (status, out, _) = bench.run("check", &["--baseline", "known.csv"]);
    assert_eq!(status, 1);
    assert!(out.contains("new failures: k1,k2\n"), "{out}");

    // Gradients' known failures are others'.
    let gradients = format!("parameter,consistent_failure\n{},yes\n", PARAMETERS[K1]);
    fs::write(bench.path("known.csv"), gradients).unwrap();
    let (status, _, err) = bench.run("check", &["--baseline", "known.csv"]);
    assert_eq!(status, 2);
    assert!(err.contains("known.csv:1") && err.contains("`parameter2`"), "{err}");
    let problem = super::data("conversion.yaml");
    let arguments = ["check", problem.to_str().unwrap(), "--baseline", "before.csv"];
    let ran = gradsweep(&bench, &arguments);
    let err = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(2), "{err}");
    assert!(err.contains("before.csv:1") && err.contains("--order 1"), "{err}");
}
