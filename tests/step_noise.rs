//! With `--steps adaptive`, states near the absolute tolerance hide no derivative that steps made for
//! other states resolve; and where their own errors move with a parameter, the right gradient does not fail.
//!
//! Closed form: x and z decay at rate k, from 1 and from 1e-11; the row at t = 3 is ln z with measurement m
//! and noise 1, so that the objective depends on k by (ln z - m)^2/2, whose derivative is -t (ln z - m), beside
//! (x - 1)^2/2 with -t x (x - 1).

use std::fs;
use std::path::Path;
use std::process::Command;

const K: f64 = 0.5;
const T: f64 = 3.0;
const M: f64 = -20.0;
/// Not below the absolute tolerance, 1e-12, but for a logarithm too close to it.
const START: f64 = 1e-11;

fn problem(folder: &Path) {
    let rules = [("x", "1", "-1"), ("z", &format!("{START:e}"), "-1")];
    let rows = format!("ox\tc\t1\t{T}\noz\tc\t{M}\t{T}\n");
    write(folder, &rules, &rows, &format!("k\tlin\t0.01\t10\t{K}\t1\n"));
}

/// States with their starts, and the sign of k in their rates of change.
fn write(folder: &Path, states: &[(&str, &str, &str)], rows: &str, parameters: &str) {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let math = |content: &str| {
        format!(r#"<math xmlns="http://www.w3.org/1998/Math/MathML">{content}</math>"#)
    };
    let (mut ids, mut starts, mut rules) = (String::new(), String::new(), String::new());
    for (id, start, sign) in states {
        ids += &format!(r#"<parameter id="{id}" value="1" constant="false"/>"#);
        let of_start = match start.parse::<f64>() {
            Ok(number) => format!(
                r#"<cn type="e-notation">{}</cn>"#,
                format!("{number:e}").replace('e', "<sep/>")
            ),
            Err(_) => format!("<ci>{start}</ci>"),
        };
        starts +=
            &format!(r#"<initialAssignment symbol="{id}">{}</initialAssignment>"#, math(&of_start));
        let rate = format!("<apply><times/><cn>{sign}</cn><ci>k</ci><ci>{id}</ci></apply>");
        rules += &format!(r#"<rateRule variable="{id}">{}</rateRule>"#, math(&rate));
    }
    write(
        "m.xml",
        &format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2"><model id="m"><listOfParameters>
{ids}<parameter id="k" value="1" constant="true"/><parameter id="x0" value="1" constant="true"/></listOfParameters>
<listOfInitialAssignments>{starts}</listOfInitialAssignments><listOfRules>{rules}</listOfRules></model></sbml>"#
        ),
    );
    write(
        "p.yaml",
        "format_version: 1\nparameter_file: par.tsv\nproblems:\n- sbml_files: [m.xml]\n  \
         measurement_files: [mes.tsv]\n  condition_files: [con.tsv]\n  observable_files: [obs.tsv]\n",
    );
    write("con.tsv", "conditionId\nc\n");
    let observables: String = states
        .iter()
        .map(|(id, ..)| match *id {
            "x" => "ox\tx\t1\n".to_owned(),
            id => format!("o{id}\tln({id})\t1\n"),
        })
        .collect();
    write("obs.tsv", &format!("observableId\tobservableFormula\tnoiseFormula\n{observables}"));
    let header = "observableId\tsimulationConditionId\tmeasurement\ttime\n";
    write("mes.tsv", &format!("{header}{rows}"));
    let header = "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\n";
    write("par.tsv", &format!("{header}{parameters}"));
}

/// The file's verdict on k at the nominal point.
fn verdict(folder: &Path, gradient: f64) -> String {
    fs::write(folder.join("points.csv"), format!("point,k\n0,{K}\n")).unwrap();
    fs::write(folder.join("gradients.csv"), format!("point,k\n0,{gradient:e}\n")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_gradsweep"))
        .current_dir(folder)
        .env("NODEVICE_SELECT", "1")
        .args(["check", ".", "--engine", "cpu", "--steps", "adaptive", "--at", "points.csv"])
        .args(["--gradient", "gradients.csv", "--out", "-"])
        .output()
        .unwrap();
    let mut reader = csv::Reader::from_reader(&output.stdout[..]);
    let row: std::collections::BTreeMap<String, String> =
        reader.deserialize().next().expect("a row").expect("a table");
    row["verdict"].clone()
}

#[test]
fn small_states_hide_nothing_that_steps_resolve() {
    let folder = tempfile::tempdir().unwrap();
    problem(folder.path());
    let (x, ln_z) = ((-K * T).exp(), START.ln() - K * T);
    let right = -T * x * (x - 1.0) - T * (ln_z - M);
    assert_eq!(verdict(folder.path(), right), "pass");
    // Far more than the check's 5e-4, and than steps at a relative tolerance of 1e-8 make.
    assert_eq!(verdict(folder.path(), 1.01 * right), "fail");
}

/// z grows at rate k from x0, which is 1 to 30 absolute tolerances, so that the error of its start, relative
/// to it, is anything and moves with x0: the row at 20 is ln z, whose derivative by log10 x0 is that of
/// (ln x0 + 20 k - m)^2/2.
#[test]
fn errors_that_move_with_a_parameter_do_not_count_as_mistakes() {
    for scale in ["log10", "lin"] {
        let folder = tempfile::tempdir().unwrap();
        let parameters = format!("k\tlog10\t0.1\t10\t1\t1\nx0\t{scale}\t1e-12\t3e-11\t1e-11\t1\n");
        write(folder.path(), &[("z", "x0", "1")], "oz\tc\t0\t20\n", &parameters);
        let header = "point,k,x0\n";
        let [mut points, mut right, mut wrong] = [(); 3].map(|()| header.to_owned());
        for i in 0..60 {
            let (log_k, log_x0) =
                (-0.5 + f64::from(i % 7) / 7.0, -12.0 + 1.47 * f64::from(i) / 60.0);
            let (k, x0) = (10_f64.powf(log_k), 10_f64.powf(log_x0));
            let residual = x0.ln() + 20.0 * k;
            let by_log_k = residual * 20.0 * k * std::f64::consts::LN_10;
            let (x0, by_x0) = match scale {
                "lin" => (x0, residual / x0),
                _ => (log_x0, residual * std::f64::consts::LN_10),
            };
            points += &format!("{i},{log_k},{x0:e}\n");
            right += &format!("{i},{by_log_k:e},{by_x0:e}\n");
            wrong += &format!("{i},{:e},{:e}\n", 1.1 * by_log_k, 1.1 * by_x0);
        }
        fs::write(folder.path().join("points.csv"), points).unwrap();
        for (gradient, expected) in [(right, "no"), (wrong, "yes")] {
            let called = called(folder.path(), &gradient);
            let expected = ["k", "x0"].map(|id| (id.to_owned(), expected.to_owned()));
            assert_eq!(called, expected, "{scale}");
        }
    }
}

/// Which parameters fail consistently with a gradient at the folder's points.
fn called(folder: &Path, gradient: &str) -> Vec<(String, String)> {
    fs::write(folder.join("gradients.csv"), gradient).unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_gradsweep"))
        .current_dir(folder)
        .env("NODEVICE_SELECT", "1")
        .args(["sweep", ".", "--engine", "cpu", "--steps", "adaptive", "--at", "points.csv"])
        .args(["--gradient", "gradients.csv", "--out", "out", "--overwrite"])
        .output()
        .unwrap();
    let mut reader = csv::Reader::from_path(folder.join("out/parameters.csv"))
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ran.stderr)));
    reader
        .deserialize()
        .map(|row| {
            let row: std::collections::BTreeMap<String, String> = row.unwrap();
            (row["parameter"].clone(), row["consistent_failure"].clone())
        })
        .collect()
}
