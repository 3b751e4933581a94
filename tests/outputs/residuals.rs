//! `--mode residuals`: the page, JUnit, exit status beside known failures.

use super::{Bench, junit, rows};

/// Points, and the residuals' derivatives there, of which those of k1 are a tenth too large in one row.
fn bench() -> Bench {
    let bench = Bench::new(|_, value| value);
    let ran = bench.run("check PROBLEM --at points.csv --mode residuals --out cells.csv");
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let mut text = "point,row,parameter,gradient\n".to_owned();
    for cell in rows(&bench.read("cells.csv")) {
        let right: f64 = cell["gradient"].parse().unwrap();
        let is_damaged = cell["parameter"] == "k1" && cell["row"] == ROW;
        let value = if is_damaged { 1.1 * right } else { right };
        text.push_str(&format!(
            "{},{},{},{value:e}\n",
            cell["point"], cell["row"], cell["parameter"]
        ));
    }
    bench.write("jacobian.csv", &text);
    bench
}

/// Of obs_A at a time when it still moves.
const ROW: &str = "4";
const LINE: &str = "PROBLEM --at points.csv --mode residuals --gradient jacobian.csv";

#[test]
fn a_page_names_parameter_and_row() {
    let bench = bench();
    let ran = bench.run(&format!("sweep {LINE} --out s"));
    assert_eq!(ran.status, Some(1), "{}", ran.err);
    let page = bench.read("s/report.html");
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(&page, options).unwrap();
    let elements = |name: &'static str| {
        document.descendants().filter(move |n| n.is_element() && n.tag_name().name() == name)
    };
    let text = |node: roxmltree::Node<'_, '_>| -> String {
        node.descendants().filter(|n| n.is_text()).filter_map(|n| n.text()).collect()
    };
    let said: Vec<String> = elements("li").map(text).collect();
    assert_eq!(said[0], format!("k1: most of all in measurement row {ROW}"));
    assert!(!said.iter().any(|line| line.starts_with("k2:")), "{said:?}");
    // Both tables, whole: a row of each file is a row of the page.
    let tables: Vec<_> = elements("tbody").collect();
    for (table, file) in tables.iter().zip(["parameters.csv", "residuals.csv"]) {
        let count = table.children().filter(|n| n.is_element()).count();
        assert_eq!(count, rows(&bench.read(&format!("s/{file}"))).len(), "{file}");
    }
    let first = tables[1].children().find(|n| n.is_element()).unwrap();
    assert_eq!(first.children().find(|n| n.is_element()).map(text).as_deref(), Some(ROW));
    // Made again from the files alone, the same; the plot by itself.
    assert_eq!(bench.run("report s --out again.html").status, Some(0));
    assert_eq!(bench.run("report s --plots plots").status, Some(0));
    assert!(bench.read("again.html") == page);
    assert!(bench.read("plots/verdicts.svg").contains("k1"));
    // The twin: right derivatives name nothing.
    let right = bench.run("sweep PROBLEM --at points.csv --mode residuals --out r");
    assert_eq!(right.status, Some(0), "{}", right.err);
    assert!(bench.read("r/report.html").contains("No parameter fails consistently"));
    // A folder that is not whole is refused with the file's name.
    std::fs::remove_file(bench.folder.path().join("s/parameters.csv")).unwrap();
    let ran = bench.run("report s --out again.html");
    assert_eq!(ran.status, Some(2), "{}", ran.err);
    assert!(ran.err.contains("parameters.csv"), "{}", ran.err);
}

#[test]
fn known_failures_and_cases_for_build_servers() {
    let bench = bench();
    for command in ["sweep", "check"] {
        let out = if command == "sweep" { "--out s --overwrite" } else { "--out cells.csv" };
        let ran = bench.run(&format!("{command} {LINE} {out} --junit j.xml"));
        assert_eq!(ran.status, Some(1), "{}", ran.err);
        let (cases, properties) = junit(&bench.read("j.xml"));
        assert_eq!(kind(&cases["k1"]), Some("failure"), "{command}");
        assert!(
            cases.iter().all(|(id, result)| id == "k1" || result.is_none()),
            "{command}: {cases:?}"
        );
        assert_eq!(properties["mode"], "residuals");
        assert!(bench.read("j.xml").contains(&format!("row {ROW}: derivative")), "{command}");
        // Known, and another one that has gone.
        bench.write("known.csv", "parameter,consistent_failure\nk1,yes\nk2,yes\nsd_A,no\n");
        let ran = bench.run(&format!("{command} {LINE} {out} --junit j.xml --baseline known.csv"));
        assert_eq!(ran.status, Some(0), "{command}: {}", ran.err);
        assert!(ran.out.contains("known failures: k1\n"), "{}", ran.out);
        assert!(ran.out.contains("known failures that have gone: k2\n"), "{}", ran.out);
        let (cases, _) = junit(&bench.read("j.xml"));
        assert_eq!(kind(&cases["k1"]), Some("skipped"), "{command}");
        // The twin: a file that knows others only.
        bench.write("known.csv", "parameter,consistent_failure\nk2,yes\n");
        let ran = bench.run(&format!("{command} {LINE} {out} --baseline known.csv"));
        assert_eq!(ran.status, Some(1), "{command}");
        assert!(ran.out.contains("new failures: k1\n"), "{}", ran.out);
    }
    // The sweep's own table is such a file.
    let ran = bench.run(&format!("sweep {LINE} --out t --baseline s/parameters.csv"));
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let ran = bench.run(&format!("sweep {LINE} --out r --baseline points.csv"));
    assert_eq!(ran.status, Some(2), "{}", ran.err);
    assert!(ran.err.contains("points.csv:1") && ran.err.contains("`parameter`"), "{}", ran.err);
}

/// What a case has inside: failure, skipped, or nothing.
fn kind(result: &Option<(String, String, String)>) -> Option<&str> {
    result.as_ref().map(|(kind, ..)| kind.as_str())
}
