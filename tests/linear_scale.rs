//! Parameters on the linear scale, whose values lie far from 1: steps of differences have no size of
//! their own there.
//!
//! The problem is `data/stat5` with linear parameters, between a tenth and ten times their nominal
//! values (1e-5 to 7e4). The oracle is the gradient of the problem as it is, on the log10 scale, which
//! `tests/stat5.rs` holds to reference values: it is theta·ln 10 times the linear one.

use gradsweep::check::{self, CheckPlan, JudgedPoint, VerdictKind, own_gradient};
use gradsweep::engine::EngineError;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::index::{ParameterIdx, PointIdx};
use gradsweep::model::{self, OdeProblem};
use gradsweep::startpoints;
use gradsweep::sweep::{Evaluator, Settings, StepMode, no_refinement};
use std::f64::consts::LN_10;
use std::fs;
use std::path::Path;

const SETTINGS: Settings =
    Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };

fn original() -> OdeProblem {
    model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/stat5")).unwrap()
}

/// The problem on the linear scale.
fn linear() -> OdeProblem {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/stat5");
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join("parameters.tsv");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines = text.lines();
    let mut changed = format!("{}\n", lines.next().unwrap());
    for line in lines {
        let mut fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
        // parameterId, parameterName, parameterScale, lowerBound, upperBound, nominalValue, estimate
        let nominal: f64 = fields[5].parse().unwrap();
        if fields[6] == "1" {
            fields[2] = "lin".to_owned();
            fields[3] = format!("{:e}", 0.1 * nominal);
            fields[4] = format!("{:e}", 10.0 * nominal);
        }
        changed.push_str(&format!("{}\n", fields.join("\t")));
    }
    fs::write(&path, changed).unwrap();
    model::load(folder.path()).unwrap()
}

fn judged(
    problem: &OdeProblem,
    theta: &[Vec<f64>],
    gradient: &check::GradientSource<'_>,
) -> Vec<JudgedPoint> {
    let evaluator = Evaluator::new(problem, SETTINGS, &CpuEngine, Some(&CpuEngine)).unwrap();
    let plan = CheckPlan::new(
        (0..problem.parameters.len()).map(ParameterIdx::from_position).collect(),
        vec![1e-1, 1e-3, 1e-5, 1e-7, 1e-9],
    );
    let mut all = Vec::new();
    check::run(&evaluator, theta, &plan, gradient, &mut |point, _| {
        all.push(point.clone());
        Ok::<(), EngineError>(())
    })
    .unwrap();
    all
}

fn of_kind(points: &[JudgedPoint], kind: VerdictKind) -> usize {
    points.iter().flat_map(|p| &p.cells).filter(|cell| cell.verdict.kind == kind).count()
}

#[test]
fn steps_follow_the_values_of_linear_parameters() {
    let problem = linear();
    let theta = startpoints::random(&problem.parameters, 50, 0, 0).unwrap().theta_scaled;
    let logarithmic: Vec<Vec<f64>> =
        theta.iter().map(|point| point.iter().map(|x| x.log10()).collect()).collect();
    let known = original();
    let evaluator = Evaluator::new(&known, SETTINGS, &CpuEngine, Some(&CpuEngine)).unwrap();
    let results = evaluator.evaluate(&logarithmic, &[], &[], &no_refinement).unwrap().points;
    let oracle: Vec<Vec<f64>> = results
        .into_iter()
        .zip(&theta)
        .map(|(result, theta)| {
            let gradient = result.gradient.unwrap();
            gradient.iter().zip(theta).map(|(g, x)| g / (x * LN_10)).collect()
        })
        .collect();
    let at = |point: PointIdx| &oracle[point.position()];

    let own = judged(&problem, &theta, &own_gradient);
    let right = judged(&problem, &theta, &|point, _, _| Some(at(point).clone()));
    for points in [&own, &right] {
        assert_eq!(of_kind(points, VerdictKind::Fail), 0);
        let decidable = 450 - of_kind(points, VerdictKind::Insensitive);
        let passed = of_kind(points, VerdictKind::Pass);
        println!("{passed} of {decidable} pass");
        // What the check promises of right gradients.
        assert!(passed as f64 >= 0.99 * decidable as f64);
    }
    for cell in own.iter().flat_map(|p| p.cells.iter().map(move |c| (p.point, c))) {
        let (point, cell) = cell;
        let estimate = cell.estimate.unwrap();
        let right = at(point)[cell.parameter.position()];
        // 1e-6: the steps of the two problems' solvers are chosen with rtol 1e-8 for states alone.
        let allowed = estimate.bound + estimate.floor + 1e-6 * right.abs();
        assert!((estimate.value - right).abs() <= allowed, "{point:?}: {cell:?}, {right}");
    }

    // The twin: a thousandth too much is seen.
    let wrong = judged(&problem, &theta, &|point, _, _| {
        Some(at(point).iter().map(|g| 1.001 * g).collect())
    });
    let (passed, failed) = (of_kind(&wrong, VerdictKind::Pass), of_kind(&wrong, VerdictKind::Fail));
    println!("a thousandth too much: {failed} fail, {passed} pass");
    assert!(passed == 0 && failed > 400, "{failed} fail, {passed} pass");
}
