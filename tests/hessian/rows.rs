//! `--by`: which rows a wrong entry of second derivatives comes from. Rows are dropped from the closed
//! form, or added twice.

use super::{Bench, Matrix, PARAMETERS, POINTS, Row, hessian, measurements};
use std::collections::BTreeMap;
use std::fs;

/// The right matrices with those of some rows `times` more.
fn with(bench: &Bench, times: f64, is_concerned: impl Fn(usize, &Row) -> bool) -> Vec<Matrix> {
    let rows: Vec<Row> = measurements()
        .into_iter()
        .enumerate()
        .filter(|(number, row)| is_concerned(number + 1, row))
        .map(|(_, row)| row)
        .collect();
    let of = |(_, theta): &(String, Vec<f64>)| {
        let (all, some) = (hessian(&bench.rows, theta), hessian(&rows, theta));
        let all_places = [0, 1, 2, 3, 4, 5];
        all_places.map(|i| all_places.map(|j| all[i][j] + times * some[i][j]))
    };
    bench.points.iter().map(of).collect()
}

#[test]
fn dropped_and_doubled_rows_are_named() {
    let bench = Bench::new(POINTS);
    let (dropped, doubled) = ("what is missing is the contribution of", "is there twice");
    type Concerned = fn(usize, &Row) -> bool;
    let cases: [(&str, f64, Concerned, [&str; 2]); 4] = [
        ("condition", -1.0, |_, row| row.a0 == 5.0, [dropped, "condition high"]),
        ("observable", 1.0, |_, row| row.observable == "obs_B", [doubled, "observable obs_B"]),
        ("time", -1.0, |_, row| row.time == 2.0, [dropped, "time 2"]),
        // The fifth row is of scale_B at an early time, where k1 matters most.
        ("row", -1.0, |number, _| number == 5, [dropped, "row 5"]),
    ];
    for (by, times, is_concerned, parts) in cases {
        let wrong = with(&bench, times, is_concerned);
        bench.write(|point, i, j| Some(wrong[point][i][j]));
        let outcome = bench.sweep(&["--by", by]);
        assert_eq!(outcome.status, 1, "{by}");
        let consistent = outcome.consistent();
        assert!(consistent.len() >= 4, "{by}: {consistent:?}");
        let mut table = csv::Reader::from_path(bench.path("out/attribution.csv")).unwrap();
        let rows: Vec<BTreeMap<String, String>> = table.deserialize().map(Result::unwrap).collect();
        let of = |(i, j): (&str, &str)| {
            let is_it = |r: &&BTreeMap<String, String>| {
                (r["parameter"].as_str(), r["parameter2"].as_str()) == (i, j)
                    && parts[1].ends_with(&format!(" {}", r["group"]))
            };
            rows.iter().find(is_it).unwrap()
        };
        let number = |text: &String| text.parse::<usize>().unwrap();
        for (pair, said) in &consistent {
            // An entry that only these rows have is 0, or twice what it should be, as simply said; of
            // one whose mismatch is nowhere well above its bound nothing is.
            let is_simple = said.contains("it is 0") || said.contains("by a factor of 2");
            let is_told = parts.iter().all(|part| said.contains(part));
            let is_close = said.is_empty() && number(&of(*pair)["points"]) < 5;
            assert!(is_simple || is_told || is_close, "{pair:?}: {said}");
        }
        let named = consistent.values().filter(|said| said.contains(parts[1])).count();
        assert!(named >= 4, "{by}: {consistent:?}");
        assert!(outcome.out.contains(parts[1]), "{}", outcome.out);
        // All points that can tell say so.
        let found = of(("k1", "k1"));
        let counted = if times < 0.0 { &found["missing"] } else { &found["twice"] };
        assert_eq!(counted, &found["points"], "{found:?}");
        assert!(number(counted) >= 5, "{found:?}");
    }
    // Gradients on both sides of points, of which each has a simulation or more.
    let [alone, asked] = [&[][..], &["--by", "row"]].map(|by| bench.sweep(by).integrations());
    assert!(asked >= alone + 2 * 5, "{alone}, {asked}");
    // Of a few points nothing is consistent; it is told all the same.
    let wrong = with(&bench, -1.0, cases[0].2);
    bench.write(|point, i, j| Some(wrong[point][i][j]));
    let (status, out, err) = bench.run("check", &["--by", "condition"]);
    assert_eq!(status, 1, "{err}");
    assert!(out.contains("contribution of condition high"), "{out}");
}

/// The twin: right matrices blame nobody, and what an earlier run left of it goes.
#[test]
fn right_matrices_blame_no_rows() {
    let bench = Bench::new(POINTS);
    let right = with(&bench, 0.0, |_, _| false);
    bench.write(|point, i, j| Some(right[point][i][j]));
    fs::create_dir(bench.path("out")).unwrap();
    fs::write(bench.path("out/attribution.csv"), "stale").unwrap();
    let outcome = bench.sweep(&["--by", "row"]);
    assert_eq!((outcome.status, outcome.total("fail")), (0, 0));
    assert_eq!(outcome.integrations(), bench.sweep(&[]).integrations());
    assert!(outcome.out.contains("no group explains a mismatch"), "{}", outcome.out);
    assert!(!bench.path("out/attribution.csv").exists());
    // A wrong entry that no group explains: a factor of its own.
    let index = |id: &str| PARAMETERS.iter().position(|p| *p == id).unwrap();
    let (k1, k2) = (index("k1"), index("k2"));
    let factor = |i: usize, j: usize| if (i, j) == (k1, k2) { 1.3 } else { 1.0 };
    bench.write(|point, i, j| Some(factor(i, j) * right[point][i][j]));
    let outcome = bench.sweep(&["--by", "condition"]);
    assert_eq!(outcome.consistent().into_iter().collect::<Vec<_>>(), [(("k1", "k2"), "")]);
}
