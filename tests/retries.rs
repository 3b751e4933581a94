//! Lanes that break down at the tolerances asked for are tried again at tighter ones, and states
//! that start below the absolute tolerance are told.
//!
//! The problem is a logistic growth x' = k·x·(1 − x) from x0 far below atol: errors of the size of
//! atol may make x negative, from where it runs to −∞ in finite time. Its closed form never does.

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::index::StateIdx;
use gradsweep::model::{self, OdeProblem};
use gradsweep::startpoints;
use gradsweep::sweep::{Evaluator, Settings, StepMode, no_refinement};
use std::fs;
use std::path::Path;

const TIMES: [f64; 3] = [2.0, 4.0, 8.0];

fn problem(folder: &Path) -> OdeProblem {
    let times = |a: &str, b: &str| format!("<apply><times/>{a}{b}</apply>");
    let rest = "<apply><minus/><cn>1</cn><ci>x</ci></apply>";
    let rate = times("<ci>k</ci>", &times("<ci>x</ci>", rest));
    let model = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <sbml xmlns=\"http://www.sbml.org/sbml/level3/version2/core\" level=\"3\" \
         version=\"2\"><model id=\"m\"><listOfParameters>\
         <parameter id=\"x\" constant=\"false\"/><parameter id=\"k\" value=\"1\" \
         constant=\"true\"/><parameter id=\"x0\" value=\"1\" constant=\"true\"/>\
         </listOfParameters><listOfInitialAssignments><initialAssignment symbol=\"x\">\
         <math xmlns=\"http://www.w3.org/1998/Math/MathML\"><ci>x0</ci></math>\
         </initialAssignment></listOfInitialAssignments><listOfRules>\
         <rateRule variable=\"x\"><math xmlns=\"http://www.w3.org/1998/Math/MathML\">{rate}</math>\
         </rateRule></listOfRules></model></sbml>\n"
    );
    let mut measurements = "observableId\tsimulationConditionId\ttime\tmeasurement\n".to_owned();
    for t in TIMES {
        measurements.push_str(&format!("obs\tc\t{t}\t0.5\n"));
    }
    for (name, text) in [
        ("model.xml", model),
        (
            "problem.yaml",
            "format_version: 1\nparameter_file: parameters.tsv\nproblems:\n\
             - sbml_files: [model.xml]\n  condition_files: [conditions.tsv]\n  \
             observable_files: [observables.tsv]\n  measurement_files: [measurements.tsv]\n"
                .to_owned(),
        ),
        (
            "parameters.tsv",
            "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\n\
             k\tlin\t5\t15\t10\t1\nx0\tlog10\t1e-18\t1e-13\t1e-15\t1\n"
                .to_owned(),
        ),
        ("conditions.tsv", "conditionId\nc\n".to_owned()),
        (
            "observables.tsv",
            "observableId\tobservableFormula\tnoiseFormula\nobs\tx\t1\n".to_owned(),
        ),
        ("measurements.tsv", measurements),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    model::load(folder).unwrap()
}

fn closed_form(theta: &[f64], t: f64) -> f64 {
    let (k, x0) = (theta[0], 10_f64.powf(theta[1]));
    let grown = x0 * (k * t).exp();
    grown / (1.0 - x0 + grown)
}

#[test]
fn broken_lanes_are_tried_again_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let problem = problem(folder.path());
    let points = startpoints::random(&problem.parameters, 200, 0, 3).unwrap().theta_scaled;
    let results = |atol: f64| {
        let settings = Settings { rtol: 1e-8, atol, max_steps: 10_000, steps: StepMode::Shared };
        let evaluator = Evaluator::new(&problem, settings, &CpuEngine, Some(&CpuEngine)).unwrap();
        evaluator.evaluate(&points, &[], &[], &no_refinement).unwrap().points
    };
    let mut retried = 0;
    for (theta, result) in points.iter().zip(results(1e-12)) {
        assert!(result.objective.is_ok(), "{theta:?}: {:?}", result.objective);
        assert!(result.gradient.unwrap().iter().all(|g| g.is_finite()), "{theta:?}");
        let starts_below = 10_f64.powf(theta[1]) < 1e-12;
        assert_eq!(result.below_atol, if starts_below { vec![StateIdx(0)] } else { vec![] });
        retried += usize::from(result.retries > 0);
    }
    // A problem in which nothing breaks down would test nothing.
    assert!(retried >= 1, "{retried} of 200 points");
    for (theta, result) in points.iter().zip(results(1e-30)) {
        assert_eq!((result.retries, result.below_atol.len()), (0, 0), "{theta:?}");
        for (prediction, t) in result.predictions.iter().zip(TIMES) {
            // rtol, grown by the some 10 units of k·t over which x takes off.
            let error = (prediction.y - closed_form(theta, t)).abs();
            assert!(error < 1e-6, "{theta:?} at {t}: {}", prediction.y);
        }
    }
}
