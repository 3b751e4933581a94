//! With `--steps adaptive`, states near the absolute tolerance hide no derivative that steps made for
//! other states resolve.
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
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let decay = |id: &str| {
        format!(
            r#"<rateRule variable="{id}"><math xmlns="http://www.w3.org/1998/Math/MathML"><apply><minus/>
<apply><times/><ci>k</ci><ci>{id}</ci></apply></apply></math></rateRule>"#
        )
    };
    write(
        "m.xml",
        &format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2"><model id="m"><listOfParameters>
<parameter id="x" value="1" constant="false"/><parameter id="z" value="{START:e}" constant="false"/>
<parameter id="k" value="1" constant="true"/></listOfParameters>
<listOfRules>{}{}</listOfRules></model></sbml>"#,
            decay("x"),
            decay("z")
        ),
    );
    write(
        "p.yaml",
        "format_version: 1\nparameter_file: par.tsv\nproblems:\n- sbml_files: [m.xml]\n  \
         measurement_files: [mes.tsv]\n  condition_files: [con.tsv]\n  observable_files: [obs.tsv]\n",
    );
    write("con.tsv", "conditionId\nc\n");
    write("obs.tsv", "observableId\tobservableFormula\tnoiseFormula\nox\tx\t1\noz\tln(z)\t1\n");
    write(
        "mes.tsv",
        &format!(
            "observableId\tsimulationConditionId\tmeasurement\ttime\nox\tc\t1\t{T}\noz\tc\t{M}\t{T}\n"
        ),
    );
    write(
        "par.tsv",
        &format!(
            "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\n\
             k\tlin\t0.01\t10\t{K}\t1\n"
        ),
    );
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
