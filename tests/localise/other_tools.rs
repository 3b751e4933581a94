//! Gradients of other tools with defects, each of which must be named.

use crate::closed_form::*;
use crate::foreign::*;
use gradsweep::check::VerdictKind;
use std::collections::BTreeMap;
use std::fs;

#[test]
fn a_right_gradient_of_another_tool_is_attributed_to_nothing() {
    let foreign = Foreign::new(Noise::Constant, None);
    foreign.write(&|_, _, _, _| 0.0);
    for options in ["", "--by condition", "--by row"] {
        assert_eq!(foreign.sweep(options, 0), BTreeMap::new(), "{options}");
        assert!(!foreign.path().join("s/attribution.csv").exists(), "{options}");
    }
}

#[test]
fn a_dropped_condition_is_named() {
    let foreign = Foreign::new(Noise::Constant, None);
    foreign.write(&|j, _, _, rows| -sum(rows, j, |row| row.condition == "high"));
    let found = foreign.sweep("", 1);
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), {
        let mut ids = IDS;
        ids.sort_unstable();
        ids
    });
    for (id, diagnosis) in &found {
        let words = "what is missing is the contribution of condition high (";
        assert!(diagnosis.starts_with(words), "{id}: {diagnosis}");
    }
    for row in foreign.attribution().iter().filter(|row| row["group"] == "high") {
        // Every point tells so: nothing but this is wrong.
        assert_eq!(row["missing"], row["points"], "{row:?}");
        let number = |column: &str| row[column].parse::<f64>().unwrap();
        assert!((number("mismatch_over_contribution") + 1.0).abs() < 1e-2, "{row:?}");
        assert!(number("explained") > 0.99, "{row:?}");
        assert!(number("points") >= 5.0 && number("points") <= 200.0, "{row:?}");
    }
    // Asked for by time, no time is to blame; the condition is found all the same.
    for (id, diagnosis) in foreign.sweep("--by time", 1) {
        assert!(diagnosis.contains("contribution of condition high ("), "{id}: {diagnosis}");
    }
}

#[test]
fn other_contributions_are_named() {
    let foreign = Foreign::new(Noise::Constant, None);
    foreign.write(&|j, _, _, rows| sum(rows, j, |row| row.condition == "low"));
    let twice = foreign.sweep("", 1);
    assert_eq!(twice.len(), 6);
    for diagnosis in twice.values() {
        assert!(diagnosis.contains("contribution of condition low is there twice"), "{diagnosis}");
    }
    foreign.write(&|j, _, _, rows| -sum(rows, j, |row| row.observable == "obs_B"));
    let found = foreign.sweep("", 1);
    for id in ["k1", "k2"] {
        assert!(
            found[id].contains("missing is the contribution of observable obs_B ("),
            "{found:?}"
        );
    }
    // Parameters of this observable alone are left with nothing, which is simpler to say.
    for id in ["scale_B", "sd_B"] {
        assert!(found[id].contains("gradient is 0"), "{found:?}");
    }
    assert_eq!(found.len(), 4, "{found:?}");
    foreign.write(&|j, _, _, rows| -sum(rows, j, |row| row.time == 1.5));
    let found = foreign.sweep("--by time", 1);
    assert_eq!(found.len(), 6, "{found:?}");
    for diagnosis in found.values() {
        assert!(diagnosis.contains("missing is the contribution of time 1.5 ("), "{diagnosis}");
    }
    foreign.write(&|j, _, _, rows| -rows[16].dl[j]);
    let found = foreign.sweep("--by row", 1);
    assert!(found.len() >= 2, "{found:?}");
    for diagnosis in found.values() {
        assert!(diagnosis.contains("missing is the contribution of row 17 ("), "{diagnosis}");
    }
}

#[test]
fn a_dropped_derivative_of_sigma_and_a_dropped_prior_are_named() {
    let foreign = Foreign::new(Noise::Proportional, None);
    foreign.write(&|_, _, _, _| 0.0);
    assert_eq!(foreign.sweep("", 0), BTreeMap::new());
    // Of the rates only: for sd_A there would be nothing left.
    foreign.write(&|j, _, _, rows| {
        let through_sigma: f64 = rows.iter().map(|row| row.dl_sigma[j]).sum();
        if j < 2 { -through_sigma } else { 0.0 }
    });
    let found = foreign.sweep("", 1);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["k1", "k2"]);
    for diagnosis in found.values() {
        let words = "missing is the derivative through the noise parameters of all rows (";
        assert!(diagnosis.contains(words), "{diagnosis}");
    }
    // What knows sigma also lacks ln sigma: for sd_B and b_frac a constant, which says less.
    foreign.write(&|j, _, _, rows| -rows.iter().map(|row| row.dln_sigma[j]).sum::<f64>());
    let found = foreign.sweep("", 1);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["b_frac", "k1", "k2", "sd_A", "sd_B"]);
    for diagnosis in found.values() {
        let words = "missing is the derivative of the term ln sigma of all rows (";
        assert!(diagnosis.contains(words), "{diagnosis}");
    }
    let foreign = Foreign::new(Noise::Constant, Some((0.5, 0.05)));
    foreign.write(&|_, _, _, _| 0.0);
    assert_eq!(foreign.sweep("", 0), BTreeMap::new());
    foreign.write(&|j, _, theta, _| if j == 1 { -(theta[1] - 0.5) / 0.0025 } else { 0.0 });
    let found = foreign.sweep("", 1);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["k2"]);
    assert!(found["k2"].contains("missing is the contribution of the prior ("), "{found:?}");
}

#[test]
fn what_is_no_contribution_is_not_called_one() {
    let foreign = Foreign::new(Noise::Constant, None);
    let whole = |rows: &[Exact], j| sum(rows, j, |_| true);
    // A factor that looks random; and a condition that is dropped at every other point only.
    foreign.write(&|j, _, theta, rows| {
        if j == 0 { (0.5 + (37.0 * theta[0]).sin()) * whole(rows, j) } else { 0.0 }
    });
    let found = foreign.sweep("", 1);
    assert_eq!(found.len(), 1);
    assert!(found["k1"].contains("no known mark"), "{found:?}");
    foreign.write(&|j, i, theta, rows| match (j, i % 2) {
        (0, 0) => -sum(rows, j, |row| row.condition == "high"),
        (0, _) => (0.5 + (37.0 * theta[0]).sin()) * whole(rows, j),
        _ => 0.0,
    });
    let found = foreign.sweep("", 1);
    assert_eq!(found.len(), 1);
    assert!(found["k1"].contains("no known mark"), "{found:?}");
    // A sign is a sign, though it is twice a contribution too many.
    foreign.write(&|j, _, _, rows| if j == 0 { -2.0 * whole(rows, j) } else { 0.0 });
    assert!(foreign.sweep("", 1)["k1"].contains("sign is wrong"));
}

/// Residuals' derivatives from a file: those of the closed form pass, one row's sign is found.
#[test]
fn residual_derivatives_of_another_tool() {
    let foreign = Foreign::new(Noise::Proportional, None);
    let table = foreign.path().join("p/measurements.tsv");
    let write = |change: &dyn Fn(usize, usize, f64) -> Option<f64>| {
        let mut text = "point,row,parameter,gradient\n".to_owned();
        for (i, theta) in foreign.points.iter().enumerate() {
            for (r, row) in exact(&table, theta, Noise::Proportional).iter().enumerate() {
                for (j, id) in IDS.iter().enumerate().filter(|(j, _)| row.dz[*j] != 0.0) {
                    if let Some(value) = change(r, j, row.dz[j]) {
                        text.push_str(&format!("{i},{},{id},{value:e}\n", r + 1));
                    }
                }
            }
        }
        fs::write(foreign.path().join("jacobian.csv"), text).unwrap();
    };
    let sweep = |status: i32| {
        let line = "sweep p --at points.csv --mode residuals --gradient jacobian.csv --engine cpu \
                    --out s --overwrite";
        let ran = gradsweep(foreign.path(), line);
        assert_eq!(ran.status, status, "{}{}", ran.out, ran.err);
        let number = |row: &BTreeMap<String, String>, kind: VerdictKind| {
            row[kind.name()].parse::<usize>().unwrap()
        };
        let rows = read(&foreign.path().join("s/residuals.csv"));
        let failing = rows.iter().filter(|row| number(row, VerdictKind::Fail) > 0);
        let failing: Vec<_> =
            failing.map(|row| (row["row"].clone(), row["worst_parameter"].clone())).collect();
        let passing: usize = rows.iter().map(|row| number(row, VerdictKind::Pass)).sum();
        let missing = rows.iter().map(|row| number(row, VerdictKind::GradientMissing)).collect();
        (failing, passing, missing)
    };
    let at_start = |r: usize| [0, 1, 2, 30, 31, 32].contains(&r);
    write(&|_, _, d| Some(d));
    let (failing, passing, missing): (Vec<_>, usize, Vec<usize>) = sweep(0);
    assert_eq!(failing, []);
    // 54 rows after the start know k1 and k2, 18 of these scale_B; all 60 know their sigma.
    let cells = 100 * (54 * 2 + 18 + 60);
    assert!(5 * passing > 4 * cells, "{passing} of {cells}");
    // At the start the derivatives by the rates and by the scaling are 0: the file leaves them out.
    for (r, missing) in missing.iter().enumerate() {
        let by_scaling = usize::from(r % 3 == 1);
        let expected = if at_start(r) { 100 * (2 + by_scaling) } else { 0 };
        assert_eq!(*missing, expected, "row {r}");
    }
    write(&|r, j, d| Some(if (r, j) == (16, 1) { -d } else { d }));
    let (failing, ..) = sweep(1);
    assert_eq!(failing, [("17".to_owned(), "k2".to_owned())]);
    write(&|r, j, d| ((r, j) != (16, 1)).then_some(d));
    let (failing, _, missing) = sweep(0);
    assert_eq!((failing.len(), missing[16]), (0, 100));
}
