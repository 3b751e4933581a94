//! Pre-equilibration, resets and measurements of the steady state, on the closed form of A ⇌ B.
//!
//! The problem is made here from `data/conversion`: every row is pre-equilibrated in condition
//! `low` (A starts at 1), then condition `high` sets B to the estimated parameter `scale_B` and
//! keeps A; the last rows are of the steady state. With s = k1 + k2:
//! A* = k2/s, total T = A* + scale_B, A(t) = T·k2/s + (A* − T·k2/s)·exp(−s·t), B = T − A.

use gradsweep::check::{self, CheckPlan, VerdictKind, own_gradient};
use gradsweep::engine::EngineError;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::index::ParameterIdx;
use gradsweep::model::{self, OdeProblem};
use gradsweep::startpoints;
use gradsweep::sweep::{Evaluator, OwnGradients, Settings, StepMode, no_refinement};
use std::fs;
use std::path::Path;

const TIMES: [&str; 6] = ["0", "0.1", "0.5", "2", "10", "inf"];

fn problem(folder: &Path) -> OdeProblem {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conversion");
    for name in ["conversion.yaml", "model.xml", "parameters.tsv", "observables.tsv"] {
        fs::copy(source.join(name), folder.join(name)).unwrap();
    }
    // Nothing here has a use for it, and PEtab wants every row used.
    let parameters = fs::read_to_string(folder.join("parameters.tsv")).unwrap();
    let used = parameters.lines().filter(|line| !line.starts_with("b_frac\t"));
    let used = used.map(|line| format!("{line}\n")).collect::<String>();
    fs::write(folder.join("parameters.tsv"), used).unwrap();
    fs::write(folder.join("conditions.tsv"), "conditionId\tA0\tB\nlow\t1\t\nhigh\t5\tscale_B\n")
        .unwrap();
    let mut rows = "observableId\tpreequilibrationConditionId\tsimulationConditionId\ttime\t\
                    measurement\tobservableParameters\tnoiseParameters\n"
        .to_owned();
    for (i, time) in TIMES.iter().enumerate() {
        let measured = 0.4 + 0.1 * i as f64;
        rows.push_str(&format!("obs_A\tlow\thigh\t{time}\t{measured}\t\tsd_A\n"));
        rows.push_str(&format!("obs_B\tlow\thigh\t{time}\t{measured}\t1.5\tsd_B\n"));
    }
    fs::write(folder.join("measurements.tsv"), rows).unwrap();
    model::load(folder).unwrap()
}

/// A and B at time t.
fn closed_form(linear: &[f64], t: f64) -> (f64, f64) {
    let (k1, k2, reset) = (linear[0], linear[1], linear[2]);
    let s = k1 + k2;
    let before = k2 / s;
    let total = before + reset;
    let end = total * k2 / s;
    let a = end + (before - end) * (-s * t).exp();
    (a, total - a)
}

fn objective(theta: &[f64]) -> f64 {
    let linear: Vec<f64> = theta.iter().map(|x| 10f64.powf(*x)).collect();
    let mut total = 0.0;
    for (i, time) in TIMES.iter().enumerate() {
        let (a, b) = closed_form(&linear, time.parse().unwrap());
        let measured = 0.4 + 0.1 * i as f64;
        for (y, sd) in [(a, linear[3]), (1.5 * b, linear[4])] {
            total += 0.5 * (2.0 * std::f64::consts::PI).ln()
                + sd.ln()
                + 0.5 * ((y - measured) / sd).powi(2);
        }
    }
    total
}

/// The closed form's derivative: central differences, extrapolated once (error about 1e-9).
fn derivative(theta: &[f64], j: usize) -> f64 {
    let central = |h: f64| {
        let (mut up, mut down) = (theta.to_vec(), theta.to_vec());
        up[j] += h;
        down[j] -= h;
        (objective(&up) - objective(&down)) / (2.0 * h)
    };
    (4.0 * central(1e-3) - central(2e-3)) / 3.0
}

#[test]
fn predictions_and_gradient_are_those_of_the_closed_form() {
    let folder = tempfile::tempdir().unwrap();
    let problem = problem(folder.path());
    let (rtol, atol) = (1e-10, 1e-14);
    for steps in [StepMode::Shared, StepMode::Adaptive] {
        let settings = Settings { rtol, atol, max_steps: 10_000, steps };
        let both = OwnGradients::Both;
        let evaluator =
            Evaluator::with_gradients(&problem, settings, &CpuEngine, &CpuEngine, both).unwrap();
        let points =
            [vec![-0.1, -0.2, 0.4, -1.0, -0.7, -1.7], vec![0.8, -1.1, -0.3, -0.5, 0.2, 0.0]];
        let results = evaluator.evaluate(&points, &[], &[], &no_refinement).unwrap().points;
        for (theta, result) in points.iter().zip(&results) {
            let linear: Vec<f64> = theta.iter().map(|x| 10f64.powf(*x)).collect();
            for (row, prediction) in problem.rows.iter().zip(&result.predictions) {
                let t = problem.simulations[0].output_times[row.output];
                let (a, b) = closed_form(&linear, t);
                let expected = if row.observable.position() == 0 { a } else { 1.5 * b };
                // The solver's tolerance, and what is left of the way to the steady state: two
                // stages after the norm (1e-8 here) is met, far less.
                let error = (prediction.y - expected).abs();
                assert!(error <= 1e-8, "t = {t}: {} against {expected}", prediction.y);
            }
            for gradient in [&result.gradient, &result.adjoint_gradient] {
                let gradient = gradient.as_ref().unwrap();
                for (j, parameter) in problem.parameters.iter().enumerate() {
                    let expected = derivative(theta, j);
                    let error = (gradient[j] - expected).abs();
                    // The differences' own error.
                    let scale = expected.abs().max(1.0);
                    println!("{} {} {expected}", parameter.id, gradient[j]);
                    assert!(error <= 1e-6 * scale, "{}: {} {expected}", parameter.id, gradient[j]);
                }
            }
        }
    }
}

#[test]
fn the_check_passes_at_random_points() {
    let folder = tempfile::tempdir().unwrap();
    let problem = problem(folder.path());
    let settings = Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };
    let evaluator = Evaluator::new(&problem, settings, &CpuEngine, Some(&CpuEngine)).unwrap();
    let plan = CheckPlan::new(
        (0..problem.parameters.len()).map(ParameterIdx::from_position).collect(),
        vec![1e-1, 1e-3, 1e-5, 1e-7, 1e-9],
    );
    let points = startpoints::random(&problem.parameters, 50, 0, 3).unwrap().theta_scaled;
    let mut passed = 0;
    let wrong_reset = |_: gradsweep::index::PointIdx, _: &[f64], own: Option<&[f64]>| {
        let mut gradient = own?.to_vec();
        gradient[2] *= 1.01;
        Some(gradient)
    };
    for (source, wrong) in
        [(&own_gradient as &check::GradientSource<'_>, false), (&wrong_reset, true)]
    {
        let summary = check::run(&evaluator, &points, &plan, source, &mut |judged, _| {
            passed += judged.cells.iter().filter(|c| c.verdict.kind == VerdictKind::Pass).count();
            Ok::<(), EngineError>(())
        })
        .unwrap();
        for statistics in &summary.parameters {
            let expected = wrong && statistics.parameter == ParameterIdx(2);
            let id = &problem.parameters[statistics.parameter.position()].id;
            assert_eq!(statistics.is_consistent_failure, expected, "{id}");
            assert!(expected || statistics.counts[1] == 0, "{id}: {:?}", statistics.counts);
        }
    }
    // b_frac has no rows here and is insensitive; of the rest nearly all can be decided.
    assert!(passed > 400, "{passed}");
}

/// A' = k_in − k_out·A with a k_out so small that A grows evenly for very long: its rate over its
/// value, which the norm sees, falls below any tolerance long before it has come anywhere.
#[test]
fn a_state_that_creeps_is_followed_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let flux =
        "<apply><minus/><ci>k_in</ci><apply><times/><ci>k_out</ci><ci>A</ci></apply></apply>";
    let model = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <sbml xmlns=\"http://www.sbml.org/sbml/level3/version2/core\" level=\"3\" \
         version=\"2\"><model id=\"m\"><listOfParameters><parameter id=\"A\" value=\"0\" \
         constant=\"false\"/><parameter id=\"k_in\" value=\"1\" constant=\"true\"/>\
         <parameter id=\"k_out\" value=\"1\" constant=\"true\"/></listOfParameters>\
         <listOfRules><rateRule variable=\"A\">\
         <math xmlns=\"http://www.w3.org/1998/Math/MathML\">{flux}</math></rateRule>\
         </listOfRules></model></sbml>\n"
    );
    for (name, text) in [
        ("model.xml", model.as_str()),
        (
            "problem.yaml",
            "format_version: 1\nparameter_file: parameters.tsv\nproblems:\n\
             - sbml_files: [model.xml]\n  condition_files: [conditions.tsv]\n  \
             observable_files: [observables.tsv]\n  measurement_files: [measurements.tsv]\n",
        ),
        (
            "parameters.tsv",
            "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\n\
             k_in\tlog10\t1e-3\t1e3\t1\t1\nk_out\tlog10\t1e-10\t1\t1e-9\t1\n",
        ),
        ("conditions.tsv", "conditionId\nc\n"),
        (
            "observables.tsv",
            "observableId\tobservableFormula\tobservableTransformation\tnoiseFormula\n\
             obs\tA\tlog\t1\n",
        ),
        (
            "measurements.tsv",
            "observableId\tsimulationConditionId\ttime\tmeasurement\nobs\tc\tinf\t1\n",
        ),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let problem = model::load(folder.path()).unwrap();
    let settings = Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };
    let both = OwnGradients::Both;
    let evaluator =
        Evaluator::with_gradients(&problem, settings, &CpuEngine, &CpuEngine, both).unwrap();
    let points = startpoints::random(&problem.parameters, 50, 0, 4).unwrap().theta_scaled;
    let results = evaluator.evaluate(&points, &[], &[], &no_refinement).unwrap().points;
    for (theta, result) in points.iter().zip(&results) {
        let expected = 10_f64.powf(theta[0] - theta[1]);
        assert!(result.objective.is_ok(), "{theta:?}: {:?}", result.objective);
        let found = result.predictions[0].y;
        // The tolerance that a stage may change it by.
        assert!((found / expected - 1.0).abs() < 1e-6, "{theta:?}: {found}, {expected}");
        // z = ln A, dz/dθ = ± ln 10: l = z²/2 + z' terms that do not move.
        let slope = expected.ln() * std::f64::consts::LN_10;
        for gradient in [&result.gradient, &result.adjoint_gradient] {
            let gradient = gradient.as_ref().unwrap();
            for (component, expected) in gradient.iter().zip([slope, -slope]) {
                let error = (component - expected).abs();
                assert!(error < 1e-5 * slope.abs().max(1.0), "{theta:?}: {component}, {expected}");
            }
        }
    }
}
