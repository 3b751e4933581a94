//! Events that the states trigger, at times that parameters move: second derivatives have the second
//! derivatives of these times.
//!
//! x' = −k·x from 1; whenever x falls below thr, b is added. Between two of these x decays, so that the
//! next happens (ln x₀ − ln thr)/k later.

use super::dual::Dual;
use std::collections::BTreeMap;
use std::f64::consts::LN_10;
use std::fs;
use std::process::Command;

const MODEL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2">
<model id="refill">
<listOfParameters>
<parameter id="x" value="1" constant="false"/><parameter id="k" value="1" constant="true"/>
<parameter id="thr" value="0.4" constant="true"/><parameter id="b" value="2" constant="true"/>
</listOfParameters>
<listOfRules><rateRule variable="x"><math xmlns="http://www.w3.org/1998/Math/MathML">
<apply><minus/><apply><times/><ci>k</ci><ci>x</ci></apply></apply></math></rateRule></listOfRules>
<listOfEvents><event id="refill" useValuesFromTriggerTime="true">
<trigger initialValue="false" persistent="true"><math xmlns="http://www.w3.org/1998/Math/MathML">
<apply><lt/><ci>x</ci><ci>thr</ci></apply></math></trigger>
<listOfEventAssignments><eventAssignment variable="x">
<math xmlns="http://www.w3.org/1998/Math/MathML"><apply><plus/><ci>x</ci><ci>b</ci></apply></math>
</eventAssignment></listOfEventAssignments></event></listOfEvents>
</model></sbml>"#;

pub const FILES: [(&str, &str); 6] = [
    ("model.xml", MODEL),
    ("conditions.tsv", "conditionId\nc\n"),
    ("observables.tsv", "observableId\tobservableFormula\tnoiseFormula\no\tx\tsd\n"),
    (
        "parameters.tsv",
        "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\n\
         k\tlog10\t0.1\t10\t0.8\t1\nthr\tlog10\t0.01\t0.9\t0.4\t1\n\
         b\tlog10\t0.1\t10\t2\t1\nsd\tlog10\t0.01\t1\t0.1\t1\n",
    ),
    (
        "measurements.tsv",
        "observableId\tsimulationConditionId\ttime\tmeasurement\n\
         o\tc\t0.5\t0.6\no\tc\t1\t0.5\no\tc\t2\t1.2\no\tc\t3\t0.7\n",
    ),
    (
        "refill.yaml",
        "format_version: 1\nparameter_file: parameters.tsv\nproblems:\n  - sbml_files: [model.xml]\n    \
         condition_files: [conditions.tsv]\n    observable_files: [observables.tsv]\n    \
         measurement_files: [measurements.tsv]\n",
    ),
];
const MEASUREMENTS: [(f64, f64); 4] = [(0.5, 0.6), (1.0, 0.5), (2.0, 1.2), (3.0, 0.7)];
const PARAMETERS: [&str; 4] = ["k", "thr", "b", "sd"];

/// The objective but for a constant, and how many times the event happened.
fn objective(theta: [Dual; 4]) -> (Dual, usize) {
    let [k, thr, b, sd] = theta.map(|x| (x * Dual::number(LN_10)).exp());
    let (mut total, mut events) = (Dual::number(0.0), 0);
    for (time, measured) in MEASUREMENTS {
        let (mut start, mut x) = (Dual::number(0.0), Dual::number(1.0));
        loop {
            let next = start + (x / thr).ln() / k;
            if time <= next.0[0] {
                break;
            }
            (start, x) = (next, thr + b);
            events += 1;
        }
        let y = x * (k * (start - Dual::number(time))).exp();
        let z = (y - Dual::number(measured)) / sd;
        total = total + sd.ln() + z * z * Dual::number(0.5);
    }
    (total, events)
}

#[test]
fn times_of_events_have_second_derivatives() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradsweep"));
        command.current_dir(folder.path()).args(arguments).output().unwrap()
    };
    run(&["startpoints", "refill.yaml", "--points", "40", "--out", "points.csv"]);
    let mut points = csv::Reader::from_path(folder.path().join("points.csv")).unwrap();
    let points: Vec<BTreeMap<String, String>> = points.deserialize().map(Result::unwrap).collect();
    // The right ones, but for a factor on the entry of thr with itself.
    let write = |wrong: f64| {
        let mut table = csv::Writer::from_path(folder.path().join("h.csv")).unwrap();
        table.write_record(["point", "parameter", "parameter2", "hessian"]).unwrap();
        let mut events = 0;
        for point in &points {
            let theta = PARAMETERS.map(|id| point[id].parse::<f64>().unwrap());
            for i in 0..4 {
                for j in 0..=i {
                    let along = |k: usize, own: usize| f64::from(u8::from(k == own));
                    let at = |k| Dual([theta[k], along(k, i), along(k, j), 0.0]);
                    let (value, count) = objective([0, 1, 2, 3].map(at));
                    let factor = if (i, j) == (1, 1) { wrong } else { 1.0 };
                    let value = format!("{:e}", factor * value.0[3]);
                    table
                        .write_record([&point["point"], PARAMETERS[i], PARAMETERS[j], &value])
                        .unwrap();
                    events += count;
                }
            }
        }
        table.flush().unwrap();
        events
    };
    let sweep = || {
        let ran = run(&[
            "sweep",
            "refill.yaml",
            "--at",
            "points.csv",
            "--order",
            "1",
            "--hessian",
            "h.csv",
            "--engine",
            "cpu",
            "--out",
            "out",
            "--overwrite",
        ]);
        println!("{}", String::from_utf8_lossy(&ran.stdout));
        let mut table = csv::Reader::from_path(folder.path().join("out/hessian.csv")).unwrap();
        let rows: Vec<BTreeMap<String, String>> = table.deserialize().map(Result::unwrap).collect();
        (ran.status.code(), rows)
    };
    assert!(write(1.0) > 0, "no event happens");
    let (status, rows) = sweep();
    assert_eq!(status, Some(0));
    for row in &rows {
        assert_eq!((row["fail"].as_str(), row["inconclusive"].as_str()), ("0", "0"), "{row:?}");
        // Where no event happens thr and b do nothing.
        assert!(row["pass"].parse::<usize>().unwrap() > 10, "{row:?}");
    }
    // Twin: a percent off in one entry.
    write(1.01);
    let (status, rows) = sweep();
    assert_eq!(status, Some(1));
    for row in &rows {
        let is_wrong = row["parameter"] == "thr" && row["parameter2"] == "thr";
        assert_eq!(row["consistent_failure"] == "yes", is_wrong, "{row:?}");
    }
}
