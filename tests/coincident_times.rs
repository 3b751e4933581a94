//! Times that parameters set and that coincide with others: a derivative is right, or it is not given.
//!
//! Closed forms: x(0) = 1, x' = -k·x to t1 and 1 after it, so x(3) = exp(-k·t1) + 3 - t1; the row at 3 has
//! measurement 1 and noise 1, so the objective is (x(3) - 1)²/2 beside what t1 does not change. Its
//! derivative is (x(3) - 1)·(-k·exp(-k·t1) - 1).

use std::fs;
use std::path::Path;
use std::process::Command;

const K: f64 = 0.5;
const T1: f64 = 2.0;

const TIME: &str =
    r#"<csymbol encoding="text" definitionURL="http://www.sbml.org/sbml/symbols/time">t</csymbol>"#;

fn math(content: &str) -> String {
    format!(r#"<math xmlns="http://www.w3.org/1998/Math/MathML">{content}</math>"#)
}

/// A rule, and events at times t1 and t2 that set states.
fn problem(folder: &Path, rules: &str, events: &str, observables: &[(&str, f64)]) {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let parameters =
        [("x", "false"), ("z", "false"), ("k", "true"), ("t1", "true"), ("t2", "true")];
    let parameters: String = parameters
        .map(|(id, constant)| format!(r#"<parameter id="{id}" value="1" constant="{constant}"/>"#))
        .concat();
    let events = match events {
        "" => String::new(),
        events => format!("<listOfEvents>{events}</listOfEvents>"),
    };
    write(
        "m.xml",
        &format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2"><model id="m">
<listOfParameters>{parameters}</listOfParameters><listOfRules>{rules}</listOfRules>{events}
</model></sbml>"#
        ),
    );
    write(
        "p.yaml",
        "format_version: 1\nparameter_file: par.tsv\nproblems:\n- sbml_files: [m.xml]\n  \
         measurement_files: [mes.tsv]\n  condition_files: [con.tsv]\n  observable_files: [obs.tsv]\n",
    );
    write("con.tsv", "conditionId\nc\n");
    write("obs.tsv", "observableId\tobservableFormula\tnoiseFormula\no\tx\t1\noz\tz + k\t1\n");
    let header = "observableId\tsimulationConditionId\tmeasurement\ttime\n".to_owned();
    let rows = observables.iter().map(|(id, time)| format!("{id}\tc\t1\t{time}\n"));
    write("mes.tsv", &rows.fold(header, |text, row| text + &row));
    let parameter = |id: &str, value: f64| format!("{id}\tlin\t0.01\t10\t{value}\t1\n");
    write(
        "par.tsv",
        &format!(
            "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\n{}{}{}",
            parameter("k", K),
            parameter("t1", T1),
            parameter("t2", T1)
        ),
    );
}

fn rate(variable: &str, content: &str) -> String {
    format!(r#"<rateRule variable="{variable}">{}</rateRule>"#, math(content))
}

fn decay(variable: &str) -> String {
    rate(
        variable,
        &format!("<apply><minus/><apply><times/><ci>k</ci><ci>{variable}</ci></apply></apply>"),
    )
}

fn event(time: &str, variable: &str) -> String {
    delayed(time, "", variable)
}

fn delayed(time: &str, delay: &str, variable: &str) -> String {
    let delay = match delay {
        "" => String::new(),
        delay => format!("<delay>{}</delay>", math(delay)),
    };
    let trigger = math(&format!("<apply><geq/>{TIME}<ci>{time}</ci></apply>"));
    format!(
        r#"<event useValuesFromTriggerTime="true"><trigger initialValue="true" persistent="true">{trigger}</trigger>{delay}
<listOfEventAssignments><eventAssignment variable="{variable}">{}</eventAssignment></listOfEventAssignments></event>"#,
        math("<cn>2</cn>")
    )
}

/// Gradient and verdict of a parameter at the nominal point.
fn judged(folder: &Path, method: &str, parameter: &str) -> (f64, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gradsweep"))
        .current_dir(folder)
        .env("NODEVICE_SELECT", "1")
        .args(["check", ".", "--engine", "cpu", "--gradient", method])
        .args(["--parameters", parameter, "--out", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let row: std::collections::BTreeMap<String, String> =
        reader.deserialize().next().unwrap().unwrap();
    (row["grad"].parse().unwrap(), row["verdict"].clone())
}

#[test]
fn a_switch_at_the_time_of_another_output_keeps_its_derivative() {
    let switch = format!(
        "<piecewise><piece><apply><minus/><apply><times/><ci>k</ci><ci>x</ci></apply></apply>\
         <apply><lt/>{TIME}<ci>t1</ci></apply></piece><otherwise><cn>1</cn></otherwise></piecewise>"
    );
    let rules = rate("x", &switch) + &rate("z", "<cn>0</cn>");
    let slope = K * (-K * T1).exp() + 1.0;
    let expected = -((-K * T1).exp() + 3.0 - T1 - 1.0) * slope;
    // Of z alone at the time of the switch; the twin has none there.
    for other in [T1, 1.5] {
        let folder = tempfile::tempdir().unwrap();
        problem(folder.path(), &rules, "", &[("o", 3.0), ("oz", other)]);
        for method in ["forward", "adjoint"] {
            let (found, verdict) = judged(folder.path(), method, "t1");
            // Ten times the solver's tolerance.
            assert!((found / expected - 1.0).abs() < 1e-7, "{other} {method}: {found} {expected}");
            assert_eq!(verdict, "pass", "{other} {method}");
        }
    }
}

/// Two events at one time, each with a parameter of its own: replayed probes would move both.
#[test]
fn events_at_one_time_have_no_derivative_rather_than_a_wrong_one() {
    let folder = tempfile::tempdir().unwrap();
    let events = event("t1", "x") + &event("t2", "z");
    problem(folder.path(), &(decay("x") + &decay("z")), &events, &[("o", 3.0), ("oz", 3.0)]);
    for method in ["forward", "adjoint"] {
        for parameter in ["t1", "t2"] {
            let (found, verdict) = judged(folder.path(), method, parameter);
            assert!(found.is_nan(), "{method} {parameter}: {found}");
            assert_eq!(verdict, "gradient_missing", "{method} {parameter}");
        }
    }
    // The twin: apart from each other both pass.
    let path = folder.path().join("par.tsv");
    let apart = fs::read_to_string(&path)
        .unwrap()
        .replace("t2\tlin\t0.01\t10\t2", "t2\tlin\t0.01\t10\t1.5");
    fs::write(&path, apart).unwrap();
    for method in ["forward", "adjoint"] {
        for parameter in ["t1", "t2"] {
            assert_eq!(judged(folder.path(), method, parameter).1, "pass", "{method} {parameter}");
        }
    }
}

/// An event at the time of an output: its derivative, if there is one, is not known.
#[test]
fn an_event_at_an_output_has_no_derivative_rather_than_zero() {
    let folder = tempfile::tempdir().unwrap();
    let rules = decay("x") + &decay("z");
    problem(folder.path(), &rules, &event("t1", "x"), &[("o", T1), ("o", 3.0)]);
    for method in ["forward", "adjoint"] {
        let (found, verdict) = judged(folder.path(), method, "t1");
        assert!(found.is_nan() && verdict != "pass", "{method}: {found} {verdict}");
    }
}

/// An event that waits until an output, another event, or another waiting event.
#[test]
fn a_waiting_event_that_is_not_alone_has_no_derivative_rather_than_a_wrong_one() {
    let rules = decay("x") + &decay("z");
    // Both of these times are 2, as t1 and t2 are; the twins of them are not.
    let half = |other: &str| delayed("k", other, "x");
    for (events, times, is_known) in [
        (half("<cn>1.5</cn>"), [T1, 3.0], false),
        (half("<cn>1.25</cn>"), [T1, 3.0], true),
        (half("<cn>1.5</cn>") + &event("t2", "z"), [3.0, 3.0], false),
        (half("<cn>1.25</cn>") + &event("t2", "z"), [3.0, 3.0], true),
        (half("<cn>1.5</cn>") + &delayed("t2", "<cn>0</cn>", "z"), [3.0, 3.0], false),
        (half("<cn>2</cn>") + &delayed("t2", "<cn>0.5</cn>", "z"), [3.0, 3.0], false),
        (half("<cn>2</cn>") + &delayed("t2", "<cn>0.25</cn>", "z"), [3.0, 3.0], true),
        // Triggered together they wait together.
        (half("<cn>1.5</cn>") + &delayed("k", "<cn>1.5</cn>", "z"), [3.0, 3.0], true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        problem(folder.path(), &rules, &events, &[("o", times[0]), ("oz", times[1]), ("o", 3.0)]);
        for method in ["forward", "adjoint"] {
            let (found, verdict) = judged(folder.path(), method, "k");
            assert_eq!(found.is_finite(), is_known, "{method}: {found}, {events} {times:?}");
            let expected = if is_known { "pass" } else { "gradient_missing" };
            assert_eq!(verdict, expected, "{method} {events} {times:?}");
        }
    }
}

/// The last output is where the event happens, and a delay of 0 that may grow.
#[test]
fn an_event_on_the_brink_has_no_derivative_rather_than_zero() {
    let rules = decay("x") + &decay("z");
    let until_the_end = delayed("k", "<cn>2.5</cn>", "x");
    let grows = "<apply><minus/><ci>t2</ci><cn>2</cn></apply>";
    // 0 at the point; its twin is 0.5, and what else moves the event is as ever.
    for (events, parameter, is_known) in [
        (until_the_end, "k", false),
        (delayed("t1", grows, "x"), "t2", false),
        (delayed("t1", grows, "x"), "t1", true),
        (delayed("t1", &grows.replace(">2<", ">1.5<"), "x"), "t2", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        problem(folder.path(), &rules, &events, &[("o", 3.0), ("oz", 3.0)]);
        for method in ["forward", "adjoint"] {
            let (found, verdict) = judged(folder.path(), method, parameter);
            assert_eq!(found.is_finite(), is_known, "{method} {parameter}: {found}, {events}");
            let expected = if is_known { "pass" } else { "gradient_missing" };
            assert_eq!(verdict, expected, "{method} {parameter} {events}");
        }
    }
}

/// Closed form: x is set to 2 at t1 = 2, which is an output of z, so that the rows at 3 contribute
/// (2 exp(-k) - 1)^2/2 and those of z + k at 2 and 3 with z = exp(-k t) contribute (z + k - 1)^2/2.
#[test]
fn an_event_at_an_output_leaves_other_derivatives() {
    let folder = tempfile::tempdir().unwrap();
    let rules = decay("x") + &decay("z");
    problem(folder.path(), &rules, &event("t1", "x"), &[("oz", T1), ("o", 3.0), ("oz", 3.0)]);
    let of_z = |t: f64| {
        let z = (-K * t).exp();
        (z + K - 1.0) * (1.0 - t * z)
    };
    let x = 2.0 * (-K).exp();
    let expected = -(x - 1.0) * x + of_z(T1) + of_z(3.0);
    for method in ["forward", "adjoint"] {
        let (found, verdict) = judged(folder.path(), method, "k");
        // Ten times the solver's tolerance.
        assert!((found / expected - 1.0).abs() < 1e-7, "{method}: {found} {expected}");
        assert_eq!(verdict, "pass", "{method}");
        assert_eq!(judged(folder.path(), method, "t1").1, "gradient_missing", "{method}");
    }
}

/// SBML wants a delay that is not negative: with one an event would happen before it is triggered.
#[test]
fn a_negative_delay_is_a_failure_and_no_event_at_once() {
    let rules = decay("x") + &decay("z");
    let check = |delay: &str, options: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        problem(folder.path(), &rules, &delayed("t1", delay, "x"), &[("o", 3.0), ("oz", 3.0)]);
        let output = Command::new(env!("CARGO_BIN_EXE_gradsweep"))
            .current_dir(folder.path())
            .env("NODEVICE_SELECT", "1")
            .args(["check", ".", "--engine", "cpu"])
            .args(options)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
    };
    let minus = |least: f64| format!("<apply><minus/><ci>k</ci><cn>{least}</cn></apply>");
    for delay in [minus(0.75), "<notanumber/>".to_owned()] {
        let said = check(&delay, &[]);
        assert!(said.contains("negative delay of an event at t = 2"), "{delay}: {said}");
    }
    // Only a probe's is: k is 0.5, and 0.4 at x − eps.
    let said = check(&minus(0.45), &["--parameters", "k", "--eps", "0.1,0.01,0.001", "--out", "-"]);
    let backward = said.lines().skip(1).map(|line| line.split(',').nth(5) == Some("NaN"));
    assert_eq!(backward.collect::<Vec<_>>(), [true, false, false], "{said}");
    // The twin.
    let said = check(&minus(0.25), &["--parameters", "k", "--out", "-"]);
    assert!(said.contains(",pass,") && !said.contains("delay"), "{said}");
}

/// A time is p1 in the first period and p2 in the second, with a row of x in the second before the event
/// at p2. What is not known of p1, whose event is at the time of another, 1, stays unknown, and does
/// not become p2's.
#[test]
fn what_is_unknown_of_one_period_is_not_inherited_by_another_parameter() {
    const P2: f64 = 4.0;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let with_p1 = |p1: f64| {
        let events = event("t1", "x") + &event("t2", "z");
        problem(folder.path(), &(decay("x") + &decay("z")), &events, &[]);
        write(
            "p.yaml",
            "format_version: 2.0.0\nparameter_files: [par.tsv]\nmodel_files:\n  m:\n    location: \
             m.xml\n    language: sbml\nobservable_files: [obs.tsv]\nmeasurement_files: [mes.tsv]\n\
             condition_files: [con.tsv]\nexperiment_files: [exp.tsv]\n",
        );
        write("con.tsv", "conditionId\ttargetId\ttargetValue\nfirst\tt1\tp1\nsecond\tt1\tp2\n");
        write("exp.tsv", "experimentId\ttime\tconditionId\ne\t0\tfirst\ne\t3\tsecond\n");
        write(
            "mes.tsv",
            "observableId\texperimentId\ttime\tmeasurement\no\te\t3.5\t1\no\te\t5\t1\n",
        );
        write(
            "par.tsv",
            &format!(
                "parameterId\tlowerBound\tupperBound\tnominalValue\testimate\nk\t0.01\t10\t{K}\ttrue\n\
                 p1\t0.01\t10\t{p1}\ttrue\np2\t0.01\t10\t{P2}\ttrue\n"
            ),
        );
    };
    // x is set to 2 at p2 = 4 again, so that x(5) = 2 exp(-k·(5 - p2)).
    let x = 2.0 * (-K * (5.0 - P2)).exp();
    let expected = (x - 1.0) * K * x;
    for (p1, of_p1) in [(1.0, "gradient_missing"), (1.5, "pass")] {
        with_p1(p1);
        for method in ["forward", "adjoint"] {
            let (found, verdict) = judged(folder.path(), method, "p2");
            // Ten times the solver's tolerance.
            assert!((found / expected - 1.0).abs() < 1e-7, "{p1} {method}: {found} {expected}");
            assert_eq!(verdict, "pass", "{p1} {method}");
            assert_eq!(judged(folder.path(), method, "p1").1, of_p1, "{p1} {method}");
            assert_eq!(judged(folder.path(), method, "k").1, "pass", "{p1} {method}");
        }
    }
}
