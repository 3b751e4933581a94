//! The PEtab test suite (`PETAB_TEST_SUITE_DIR`): every case with an SBML model, on both engines.
//!
//! Expected values and their tolerances are the suite's own, from each case's solution file. The
//! gradient is compared with extrapolated differences of objectives whose lanes choose their own
//! steps at tight tolerances.

mod gpu_adapter;

use gradsweep::engine::Engine;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::gpu::GpuEngine;
use gradsweep::model::{self, OdeProblem};
use gradsweep::report::write_simulation_table;
use gradsweep::sweep::{Evaluator, OwnGradients, PointResult, Settings, StepMode, no_refinement};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a case's solution file says.
#[derive(Debug, Deserialize)]
struct Solution {
    llh: f64,
    chi2: f64,
    simulation_files: Vec<String>,
    tol_llh: f64,
    tol_chi2: f64,
    tol_simulations: f64,
    /// By parameter; v2 only.
    #[serde(default)]
    log_prior: BTreeMap<String, f64>,
    #[serde(default)]
    tol_log_prior: f64,
    unnorm_log_posterior: Option<f64>,
    #[serde(default)]
    tol_unnorm_log_posterior: f64,
}

/// Far below the suite's tolerances, which are absolute: some of its chi² are in the millions.
const SETTINGS: Settings =
    Settings { rtol: 1e-11, atol: 1e-15, max_steps: 100_000, steps: StepMode::Adaptive };

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("PETAB_TEST_SUITE_DIR").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: PETAB_TEST_SUITE_DIR is not set");
    }
    folder
}

/// Folders of all cases; of v2 those whose models are SBML.
fn cases(suite: &Path) -> Vec<PathBuf> {
    let mut cases = Vec::new();
    for version in ["v1", "v2"] {
        let entries = fs::read_dir(suite.join(version)).unwrap();
        cases.extend(entries.map(|e| e.unwrap().path()).filter(|p| p.is_dir()));
    }
    cases.sort();
    assert!(!cases.is_empty(), "{} holds no case", suite.display());
    cases
}

fn name(case: &Path) -> String {
    let number = case.file_name().unwrap().to_string_lossy().into_owned();
    let version = case.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    format!("{version} {number}")
}

fn load(case: &Path) -> (OdeProblem, Solution) {
    let number = case.file_name().unwrap().to_string_lossy().into_owned();
    let problem = model::load(&case.join(format!("_{number}.yaml")))
        .unwrap_or_else(|e| panic!("{}: {e}", name(case)));
    let text = fs::read_to_string(case.join(format!("_{number}_solution.yaml"))).unwrap();
    (problem, serde_saphyr::from_str(&text).unwrap())
}

fn engines() -> Vec<(&'static str, Box<dyn Engine>)> {
    let mut engines: Vec<(&'static str, Box<dyn Engine>)> = vec![("cpu", Box::new(CpuEngine))];
    if let Some(adapter) = gpu_adapter::adapter() {
        engines.push(("gpu", Box::new(GpuEngine::open(&adapter).unwrap())));
    }
    engines
}

fn nominal(problem: &OdeProblem) -> Vec<f64> {
    problem.parameters.iter().map(|p| p.nominal_scaled.unwrap()).collect()
}

fn evaluate(problem: &OdeProblem, engine: &dyn Engine, theta: &[f64]) -> PointResult {
    let evaluator = Evaluator::new(problem, SETTINGS, engine, None).unwrap();
    evaluator.evaluate(&[theta.to_vec()], &[], &[], &no_refinement).unwrap().points.remove(0)
}

/// Cells of a simulation table that say which measurement a row is of, and the simulated value.
fn simulated(text: &str) -> Vec<(Vec<String>, f64)> {
    let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let keys = [
        "observableId",
        "experimentId",
        "preequilibrationConditionId",
        "simulationConditionId",
        "observableParameters",
        "noiseParameters",
    ];
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.unwrap();
        let cell = |name: &str| {
            let column = header.iter().position(|h| h == name);
            column.and_then(|c| record.get(c)).unwrap_or_default().trim().to_owned()
        };
        let mut key: Vec<String> = keys.iter().map(|k| cell(k)).collect();
        // Times are numbers: 1 is 1.0.
        key.push(cell("time").parse::<f64>().unwrap().to_string());
        rows.push((key, cell("simulation").parse().unwrap()));
    }
    rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
    rows
}

/// Mean absolute difference over the table, as the suite defines it.
fn table_distance(ours: &[(Vec<String>, f64)], theirs: &[(Vec<String>, f64)], case: &str) -> f64 {
    assert_eq!(ours.len(), theirs.len(), "{case}");
    let total: f64 = ours
        .iter()
        .zip(theirs)
        .map(|((key, y), (their_key, their_y))| {
            assert_eq!(key, their_key, "{case}");
            (y - their_y).abs()
        })
        .sum();
    total / ours.len() as f64
}

#[test]
fn likelihood_chi2_and_simulations_are_the_suites() {
    let Some(suite) = folder() else { return };
    let engines = engines();
    for case in cases(&suite) {
        let (problem, solution) = load(&case);
        for (engine_name, engine) in &engines {
            let case_name = format!("{} on {engine_name}", name(&case));
            let result = evaluate(&problem, engine.as_ref(), &nominal(&problem));
            let objective = result.objective.unwrap_or_else(|e| panic!("{case_name}: {e}"));
            let llh = result.prior - objective;
            println!("{case_name}: llh {llh} ({})", solution.llh);
            assert!((llh - solution.llh).abs() <= solution.tol_llh, "{case_name}: llh {llh}");
            let chi2 = result.chi2;
            assert!((chi2 - solution.chi2).abs() <= solution.tol_chi2, "{case_name}: chi2 {chi2}");
            let mut ours = Vec::new();
            write_simulation_table(&problem, &result.predictions, &mut ours).unwrap();
            let theirs: String = solution
                .simulation_files
                .iter()
                .map(|file| fs::read_to_string(case.join(file)).unwrap())
                .collect();
            let distance = table_distance(
                &simulated(&String::from_utf8(ours).unwrap()),
                &simulated(&theirs),
                &case_name,
            );
            assert!(distance <= solution.tol_simulations, "{case_name}: simulations {distance}");
            if let Some(expected) = solution.unnorm_log_posterior {
                let error = (-objective - expected).abs();
                let tolerance = solution.tol_unnorm_log_posterior;
                assert!(error <= tolerance, "{case_name}: log posterior {}", -objective);
            }
            check_priors(&problem, &solution, &case_name);
        }
    }
}

/// The log prior of every parameter at its nominal value.
fn check_priors(problem: &OdeProblem, solution: &Solution, case: &str) {
    let theta = nominal(problem);
    for (j, parameter) in problem.parameters.iter().enumerate() {
        let Some(expected) = solution.log_prior.get(&parameter.id) else { continue };
        let linear = parameter.scale.unscale(theta[j]);
        let found = -problem.priors.terms()[j].value(theta[j], linear);
        // The suite's tolerance is absolute and its numbers have 14 digits after the point.
        let tolerance = solution.tol_log_prior.max(1e-14);
        assert!((found - expected).abs() <= tolerance, "{case}, {}: {found}", parameter.id);
    }
}

#[test]
fn gradients_agree_with_extrapolated_differences() {
    let Some(suite) = folder() else { return };
    for case in cases(&suite) {
        let (problem, _) = load(&case);
        let settings = Settings { steps: StepMode::Shared, ..SETTINGS };
        let both = OwnGradients::Both;
        let evaluator =
            Evaluator::with_gradients(&problem, settings, &CpuEngine, &CpuEngine, both).unwrap();
        let theta = nominal(&problem);
        let at = |points: &[Vec<f64>]| {
            evaluator.evaluate(points, &[], &[], &no_refinement).unwrap().points
        };
        let result = at(std::slice::from_ref(&theta)).remove(0);
        let [gradient, adjoint] =
            [result.gradient, result.adjoint_gradient].map(|gradient| gradient.unwrap());
        let largest = gradient.iter().fold(0.0_f64, |most, d| most.max(d.abs()));
        for (j, parameter) in problem.parameters.iter().enumerate() {
            let size = theta[j].abs().max(0.1);
            let moved = |h: f64| {
                let mut moved = theta.clone();
                moved[j] += h;
                moved
            };
            let base = at(std::slice::from_ref(&theta))[0].objective.unwrap();
            // Where the prior ends on one side: one-sided, of second order as the central one.
            let difference = |h: f64| {
                let ahead = at(&[moved(h), moved(-h), moved(2.0 * h), moved(-2.0 * h)]);
                match [0, 1, 2, 3].map(|i| ahead[i].objective.ok()) {
                    [Some(up), Some(down), ..] => (up - down) / (2.0 * h),
                    [Some(near), None, Some(far), _] => (4.0 * near - 3.0 * base - far) / (2.0 * h),
                    [None, Some(near), _, Some(far)] => (3.0 * base + far - 4.0 * near) / (2.0 * h),
                    found => panic!("{}, {}: {found:?}", name(&case), parameter.id),
                }
            };
            // Two extrapolations: truncation of order h⁶, below the noise of the objective, which
            // is 1e-11 of its size, over h.
            let h = 0.004 * size;
            let (a, b, c) = (difference(4.0 * h), difference(2.0 * h), difference(h));
            let (first, second) = ((4.0 * b - a) / 3.0, (4.0 * c - b) / 3.0);
            let expected = (16.0 * second - first) / 15.0;
            let noise = 1e-10 * base.abs().max(1.0) / h;
            let error = (gradient[j] - expected).abs();
            println!("{} {}: {} {expected}", name(&case), parameter.id, gradient[j]);
            assert!(
                error <= 1e-7 * expected.abs() + noise,
                "{}, {}: {} against {expected}, noise {noise}",
                name(&case),
                parameter.id,
                gradient[j]
            );
            // One is the transpose of the other: they differ by rounding.
            let difference = (gradient[j] - adjoint[j]).abs();
            assert!(difference <= 1e-11 * largest, "{}: {difference:e}", name(&case));
        }
    }
}
