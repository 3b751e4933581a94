//! Integrations and gradients that fail, what is said of them, and where they do.

use crate::tools::*;
use std::collections::BTreeMap;

#[test]
fn failures_are_reported_with_their_reason() {
    let bench = Bench::new();
    let ran = run(bench.path(), "simulate p --engine cpu --max-steps 1 --out s.tsv");
    assert_eq!(ran.status, Some(3), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("too many steps") && ran.err.contains("nominal"), "{}", ran.err);
    assert!(!bench.path().join("s.tsv").exists());

    run(bench.path(), "sweep p --engine cpu --points 3 --max-steps 1 --out s");
    let (_, points) = csv_of(&bench.read("s/points.csv"));
    assert_eq!(points.len(), 3);
    for point in &points {
        assert_eq!(
            (point["status"].as_str(), point["objective"].as_str()),
            ("too_many_steps", "inf")
        );
    }
    let (_, failures) = csv_of(&bench.read("s/failures.csv"));
    assert!(failures.len() >= 3);
    for failure in &failures {
        assert_eq!(failure["status"], "too_many_steps");
        assert!(["low", "high"].contains(&failure["simulation"].as_str()), "{failure:?}");
    }
    let (_, parameters) = csv_of(&bench.read("s/parameters.csv"));
    assert!(parameters.iter().all(|p| p["failed"] == "3" && p["consistent_failure"] == "no"));
    assert!(parameters.iter().all(|p| p["failed_base"] == "3"));
    // Each cell has its row all the same.
    for (file, rows) in [("best.csv", 3 * 6), ("checks.csv", 3 * 6 * 5)] {
        let (_, cells) = csv_of(&bench.read(&format!("s/{file}")));
        assert_eq!(cells.len(), rows, "{file}");
        for cell in &cells {
            let words = ["verdict", "reason", "status", "differences", "grad", "fd_c"];
            let expected = ["failed", "base", "too_many_steps", "", "NaN", "NaN"];
            assert_eq!(words.map(|w| cell[w].as_str()), expected);
        }
    }
}

/// A prior that ends at the point: on one side of it there is no objective.
#[test]
fn a_side_without_values() {
    let with_prior = |range: &str| {
        let bench = Bench::new();
        bench.edit("p/parameters.tsv", "log10\t1e-3\t1e3\t0.6", "log10\t1e-3\t1e3\t1");
        bench.map_lines("p/parameters.tsv", |line, text| match line {
            1 => format!("{text}\tobjectivePriorType\tobjectivePriorParameters"),
            3 => format!("{text}\tparameterScaleUniform\t{range}"),
            _ => format!("{text}\t\t"),
        });
        bench
    };
    let k2 = |bench: &Bench, line: &str| -> BTreeMap<String, String> {
        run(bench.path(), &format!("{line} --at nominal --engine cpu --out s --overwrite"));
        let (_, best) = csv_of(&bench.read("s/best.csv"));
        assert_eq!(best.len(), 6);
        best.into_iter().find(|row| row["parameter"] == "k2").unwrap()
    };
    let words = |row: &BTreeMap<String, String>| {
        ["differences", "verdict", "reason", "status"].map(|word| row[word].clone())
    };
    let count = |bench: &Bench, column: &str| {
        let (_, rows) = csv_of(&bench.read("s/parameters.csv"));
        number(rows.iter().find(|row| row["parameter"] == "k2").unwrap(), column)
    };
    // A uniform prior does not change the derivative: without it there are central differences.
    let whole = k2(&Bench::with("conversion"), "sweep p");
    assert_eq!(words(&whole), ["central", "pass", "", ""]);
    for (range, side, missing) in [("0;3", "forward", "minus"), ("-3;0", "backward", "plus")] {
        let bench = with_prior(range);
        let row = k2(&bench, "sweep p");
        assert_eq!(words(&row), [side, "pass", "", "no_prior_density"]);
        assert_eq!(count(&bench, "one_sided"), 1.0);
        // The same without a prior, by central differences.
        let free = with_prior("-3;3");
        let expected = k2(&free, "sweep p");
        assert_eq!(words(&expected), ["central", "pass", "", ""]);
        let bounds = number(&row, "bound") + number(&expected, "bound");
        assert!((number(&row, "estimate") - number(&expected, "estimate")).abs() <= bounds);
        let printed = well(bench.path(), "check p --engine cpu").out;
        assert!(printed.contains(&format!("pass: {side}")), "{printed}");

        // A wrong gradient is found from one side as well.
        let mut wrong = String::from("point,k2\nnominal,");
        wrong.push_str(&(1.01 * number(&row, "grad")).to_string());
        bench.write("g.csv", &wrong);
        let ran = run(bench.path(), "check p --engine cpu --gradient g.csv --out c.csv");
        assert_eq!(ran.status, Some(1), "{}{}", ran.out, ran.err);
        let (_, checks) = csv_of(&bench.read("c.csv"));
        assert_eq!(words(&checks[0]), [side, "fail", "", "no_prior_density"]);

        // One step of one side does not show its truncation error.
        let row = k2(&bench, "sweep p --eps 1e-5");
        assert_eq!(words(&row), ["", "failed", missing, "no_prior_density"]);
        assert_eq!(count(&bench, &format!("failed_{missing}")), 1.0);
        assert_eq!(count(&bench, "failed"), 1.0);
    }
    let bench = with_prior("0;1e-12");
    assert_eq!(words(&k2(&bench, "sweep p")), ["", "failed", "both", "no_prior_density"]);
    assert_eq!(count(&bench, "failed_both"), 1.0);
}

/// The recommended eps is where a·eps^p + s/eps is smallest, and the model is near the medians.
fn check_error_models(parameters: &str, eps: &str) {
    let (_, rows) = csv_of(eps);
    let mut models = 0;
    for record in csv_of(parameters).1 {
        for differences in ["plain", "paired"] {
            let [a, p, s, best] = ["a", "p", "s", "recommended_eps"]
                .map(|name| number(&record, &format!("{differences}_{name}")));
            if a.is_nan() {
                assert!(p.is_nan() && s.is_nan() && best.is_nan(), "{record:?}");
                continue;
            }
            models += 1;
            assert!(p == 1.0 || p == 2.0);
            let error = |eps: f64| a * eps.powf(p) + s / eps;
            assert!(error(best) < error(1.01 * best) && error(best) < error(0.99 * best));
            let own: Vec<_> =
                rows.iter().filter(|r| r["parameter"] == record["parameter"]).collect();
            let deviation = |row: &&BTreeMap<String, String>| {
                let median = number(row, &format!("{differences}_error_median"));
                (error(number(row, "eps")) / median).log10().abs()
            };
            // Half of the five steps fit to half a decade: worse fits are not given.
            let near = own.iter().filter(|r| deviation(r) < 0.5).count();
            assert!(near >= 3, "{differences} {record:?}");
        }
    }
    assert!(models >= 6, "{models}");
}

/// A defect at points with a large value is found there; the same at all points is not located.
#[test]
fn where_a_gradient_fails() {
    let bench = Bench::new();
    let line = "sweep p --engine cpu --points 100 --seed 2 --out s --overwrite";
    well(bench.path(), line);
    let (_, points) = csv_of(&bench.read("s/points.csv"));
    let (_, best) = csv_of(&bench.read("s/best.csv"));
    let ids = ["k1", "k2", "scale_B", "sd_A", "sd_B", "b_frac"];
    let gradients = |is_wrong: &dyn Fn(f64) -> bool| {
        let mut text = format!("point,{}\n", ids.join(","));
        for (i, (point, rows)) in points.iter().zip(best.chunks(6)).enumerate() {
            let factor = if is_wrong(number(point, "k2")) { 2.0 } else { 1.0 };
            let cells = rows.iter().map(|row| {
                let factor = if row["parameter"] == "k2" { factor } else { 1.0 };
                (factor * number(row, "grad")).to_string()
            });
            text.push_str(&format!("{i},{}\n", cells.collect::<Vec<_>>().join(",")));
        }
        bench.write("g.csv", &text);
        run(bench.path(), &format!("{line} --gradient g.csv"))
    };
    check_error_models(&bench.read("s/parameters.csv"), &bench.read("s/eps.csv"));
    let ran = gradients(&|k2| k2 > 1.0);
    assert_eq!(ran.status, Some(1), "{}{}", ran.out, ran.err);
    let (_, rows) = csv_of(&bench.read("s/where.csv"));
    let covariates: Vec<&str> = rows.iter().map(|row| row["covariate"].as_str()).collect();
    assert_eq!(covariates, ["value", "objective_decile", "steps", "at_bound"]);
    assert!(rows.iter().all(|row| row["parameter"] == "k2"));
    // Every pair of a failing and a passing cell, from the other tables.
    let (_, judged) = csv_of(&bench.read("s/best.csv"));
    let values = |verdict: &str, column: &str| -> Vec<f64> {
        let cells = judged.iter().filter(|r| r["parameter"] == "k2" && r["verdict"] == verdict);
        cells.map(|r| number(&points[number(r, "point") as usize], column)).collect()
    };
    for (row, column) in [(&rows[0], "k2"), (&rows[2], "steps")] {
        let (failing, passing) = (values("fail", column), values("pass", column));
        let sizes = [failing.len(), passing.len()].map(|n| n as f64);
        assert_eq!([number(row, "failing"), number(row, "passing")], sizes);
        let wins = |a: &f64| -> f64 {
            let win = |b: &f64| {
                if a > b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                }
            };
            passing.iter().map(win).sum()
        };
        let auc = failing.iter().map(wins).sum::<f64>() / (sizes[0] * sizes[1]);
        assert!(close(number(row, "auc"), auc, 1e-12), "{column}: {auc} {row:?}");
    }
    assert_eq!(number(&rows[0], "auc"), 1.0);
    assert!(number(&rows[0], "p_holm") < 1e-6 && number(&rows[0], "range_low") > 1.0);
    let sentence = &rows[0]["sentence"];
    assert!(sentence.starts_with("fails where its value is above 1."), "{sentence}");
    assert!(sentence.contains(" (log10): "), "{sentence}");
    assert!(ran.out.contains(&format!("k2 {sentence}\n")), "{}", ran.out);
    assert!(rows[1..].iter().all(|row| row["sentence"].is_empty()), "one sentence");
    assert!(bench.read("s/report.html").contains(sentence.as_str()));

    // The evidence that goes with it: the binomial's tail at 5 %, term by term, times the number of
    // parameters, since the others have none.
    let (_, parameters) = csv_of(&bench.read("s/parameters.csv"));
    let k2 = parameters.iter().find(|row| row["parameter"] == "k2").unwrap();
    let (failed, n) = (number(k2, "fail"), number(k2, "pass") + number(k2, "fail"));
    let mut term = 0.95_f64.powf(n);
    let mut tail = 0.0;
    for k in 0..=n as usize {
        let k = k as f64;
        tail += if k >= failed { term } else { 0.0 };
        term *= (n - k) / (k + 1.0) * 0.05 / 0.95;
    }
    assert!(close(number(k2, "p_value"), tail, 1e-9), "{tail:e} {k2:?}");
    assert!(close(number(k2, "p_holm"), 6.0 * tail, 1e-9));
    assert!(ran.out.contains(&format!("YES (p {:.0e})", 6.0 * tail)), "{}", ran.out);

    let ran = gradients(&|_| true);
    assert_eq!(ran.status, Some(1));
    assert!(!ran.out.contains("fails where"), "{}", ran.out);
    assert_eq!(csv_of(&bench.read("s/where.csv")).1.len(), 0);
}

/// A column of NaN, a column that is not there, and a claimed accuracy that hides everything: a build
/// server sees no failure, people and tables are told.
#[test]
fn what_is_not_checked_is_told() {
    let bench = Bench::new();
    let line = "sweep p --engine cpu --points 30 --seed 2 --overwrite";
    well(bench.path(), &format!("{line} --out s"));
    let (_, best) = csv_of(&bench.read("s/best.csv"));
    let mut text = "point,k1,k2,scale_B\n".to_owned();
    for (i, rows) in best.chunks(6).enumerate() {
        text.push_str(&format!("{i},nan,{},{}\n", rows[1]["grad"], rows[2]["grad"]));
    }
    bench.write("g.csv", &text);
    let ran = well(bench.path(), &format!("{line} --gradient g.csv --out g"));
    for told in [
        "k1: not checked, its gradient is missing at all 30 points",
        "note: not checked, since the file has none of them: sd_A, sd_B, b_frac",
    ] {
        assert!(ran.out.contains(told), "{told}: {}", ran.out);
    }
    assert!(bench.read("g/run.json").contains("the file has none of them"));
    assert!(!ran.out.contains("k2: not checked"), "{}", ran.out);
    // The twin: with the accuracy that is claimed by default a small error would be found.
    let detectable = |folder: &str| -> f64 {
        let (_, rows) = csv_of(&bench.read(&format!("{folder}/parameters.csv")));
        number(rows.iter().find(|row| row["parameter"] == "k2").unwrap(), "detectable_error")
    };
    well(bench.path(), &format!("{line} --gradient g.csv --gradient-rtol 0.2 --out loose"));
    assert!(detectable("g") < 1e-3, "{}", detectable("g"));
    assert!(detectable("loose").is_infinite(), "{}", detectable("loose"));
    // Of several gradients each has a folder of its own, and a report.
    well(bench.path(), &format!("{line} --gradient forward --gradient g.csv --out both"));
    bench.refused("report both", &["several gradients", "both/forward", "both/g"]);
}
