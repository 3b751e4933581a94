//! Gradients from adjoints against those from forward tangents: one is the transpose of the other, so
//! they differ by rounding alone.
//!
//! Forward gradients are themselves held against closed forms, SciPy and AMICI elsewhere; so are
//! adjoints (`tests/events.rs`, `steady_state.rs`, `petab_suite.rs`, `reference_models.rs`).
//!
//! The quick run takes few points of each problem, `GRADSWEEP_FULL=1` takes 100, but of three whose
//! forward gradients take minutes.

mod engine;
#[path = "../gpu_adapter/mod.rs"]
mod gpu_adapter;

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::model::{self, OdeProblem};
use gradsweep::startpoints;
use gradsweep::sweep::{
    Evaluator, GradientEngines, OwnGradients, PointResult, Settings, StepMode, no_refinement,
};
use std::path::{Path, PathBuf};

const SETTINGS: Settings =
    Settings { rtol: 1e-8, atol: 1e-12, max_steps: 100_000, steps: StepMode::Shared };

/// Largest difference of two components, relative to the largest component.
const TOLERANCE: f64 = 1e-11;

/// Problems with points where rounding alone takes more: gradients that are what is left of terms that
/// cancel, as at optima, and trajectories that amplify rounding. Each such point must show it: by the
/// size of the terms, or by what one of the gradients itself does where the point moves by the spacing
/// of doubles.
const CANCELLING: &[&str] = &[
    // Near their optima; at points of Fujita's with gradients of 1e9 to 1e28 adjoints amplify rounding
    // where tangents do not.
    "Brannmark_JBC2010",
    "Bruno_JExpBot2016",
    "Fujita_SciSignal2010",
    "Lucarelli_CellSystems2018",
    // Virions die out: what is measured on a logarithmic scale is rounding.
    "Perelson_Science1996",
];

fn is_full() -> bool {
    std::env::var_os("GRADSWEEP_FULL").is_some_and(|v| v == "1")
}

fn own_problems() -> Vec<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    ["conversion", "repressilator", "robertson", "stat5"].map(|name| data.join(name)).to_vec()
}

fn benchmarks() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("PETAB_BENCHMARKS_DIR") else {
        println!("skipped: PETAB_BENCHMARKS_DIR is not set");
        return Vec::new();
    };
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    all.sort();
    all
}

/// The nominal point and random ones.
fn points(problem: &OdeProblem, count: usize) -> Vec<Vec<f64>> {
    let mut points = startpoints::nominal(&problem.parameters).unwrap().theta_scaled;
    let random = startpoints::random(&problem.parameters, count - 1, 0, 7).unwrap();
    points.extend(random.theta_scaled);
    points
}

fn evaluate(problem: &OdeProblem, points: &[Vec<f64>], wanted: OwnGradients) -> Vec<PointResult> {
    let evaluator =
        Evaluator::with_gradients(problem, SETTINGS, &CpuEngine, &CpuEngine, wanted).unwrap();
    evaluator.evaluate(points, &[], &[], &no_refinement).unwrap().points
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| value.abs().max(most))
}

/// The largest difference; infinite where one is not a number.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let each = a.iter().zip(b).map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() });
    each.fold(0.0, |most, d| if d.is_nan() { f64::INFINITY } else { d.max(most) })
}

/// What rounding does to the gradients of a point, by two measures: to sums of terms of this size, and
/// to a trajectory whose parameters are rounded otherwise.
fn rounding(problem: &OdeProblem, point: &[f64], result: &PointResult) -> [f64; 2] {
    /// Of terms of some hundred steps each, beside the spacing of doubles.
    const OF_TERMS: f64 = 1e-12;
    let magnitudes = result.gradient_magnitudes.as_ref().unwrap();
    let at = |spacings: f64| {
        let next: Vec<f64> = point.iter().map(|x| x * (1.0 + spacings * f64::EPSILON)).collect();
        evaluate(problem, &[next], OwnGradients::Both).remove(0)
    };
    let here = at(0.0);
    let all = [1.0, -1.0, 2.0, -2.0].map(at);
    // With other steps it is another function, unless rounding alone decides their number each time.
    let is_like = |next: &&PointResult| next.steps == here.steps;
    let alike: Vec<&PointResult> = all.iter().filter(is_like).collect();
    let compared = if alike.is_empty() { all.iter().collect() } else { alike };
    let mut moved = 0.0_f64;
    for next in compared {
        for (here, there) in
            [(&here.gradient, &next.gradient), (&here.adjoint_gradient, &next.adjoint_gradient)]
        {
            // A point that has no objective next door is at the mercy of rounding.
            let found = here.as_ref().zip(there.as_ref());
            moved = moved.max(found.map_or(f64::INFINITY, |(a, b)| difference(a, b)));
        }
    }
    [OF_TERMS * largest(magnitudes), moved]
}

/// Compares the gradients of points; complains about differences without a reason.
fn compare(
    problem: &OdeProblem,
    points: &[Vec<f64>],
    results: &[PointResult],
    may_cancel: bool,
) -> Vec<String> {
    let mut complaints = Vec::new();
    let (mut worst, mut excused, mut compared) = (0.0_f64, 0, 0);
    for (k, (point, result)) in points.iter().zip(results).enumerate() {
        let (Some(forward), Some(adjoint)) = (&result.gradient, &result.adjoint_gradient) else {
            assert!(result.objective.is_err(), "{}, point {k}", problem.name);
            continue;
        };
        compared += 1;
        let (scale, found) = (largest(forward), difference(forward, adjoint));
        if found <= TOLERANCE * scale {
            worst = worst.max(found / scale);
            continue;
        }
        let [of_terms, moved] = rounding(problem, point, result);
        println!(
            "{}, point {k}: {:.1e} of {scale:.1e}; rounding of terms {:.1e}, of parameters {:.1e}",
            problem.name,
            found / scale,
            of_terms / scale,
            moved / scale
        );
        // Two roundings of one trajectory may be somewhat further apart than two others.
        if may_cancel && found.is_finite() && found <= 10.0 * of_terms.max(moved) {
            excused += 1;
        } else {
            complaints.push(format!("{}, point {k}: {:e}", problem.name, found / scale));
        }
    }
    println!("{}: {compared} points, {worst:.1e}, {excused} excused", problem.name);
    assert!(compared > 0, "{}: nothing was compared", problem.name);
    if excused * 5 > compared.max(10) {
        complaints.push(format!("{}: {excused} of {compared} points excused", problem.name));
    }
    complaints
}

#[test]
fn adjoints_are_the_transpose_of_forward_tangents() {
    let mut complaints = Vec::new();
    for path in own_problems().into_iter().chain(benchmarks()) {
        let problem = model::load(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // Forward gradients of these cost minutes to hours for 100 points.
        let count = match (name.as_str(), is_full()) {
            ("Chen_MSB2009" | "Lang_PLOSComputBiol2024", false) => continue,
            ("Chen_MSB2009", true) => 2,
            ("Lang_PLOSComputBiol2024", true) => 1,
            ("Smith_BMCSystBiol2013", true) => 10,
            ("Smith_BMCSystBiol2013" | "Raimundez_PCB2020" | "Alkan_SciSignal2018", false) => 1,
            ("Lucarelli_CellSystems2018" | "SalazarCavazos_MBoC2020", false) => 2,
            ("Bachmann_MSB2011", false) => 3,
            (_, false) => 10,
            (_, true) => 100,
        };
        let points = points(&problem, count);
        let results = evaluate(&problem, &points, OwnGradients::Both);
        let may_cancel = CANCELLING.contains(&name.as_str());
        complaints.extend(compare(&problem, &points, &results, may_cancel));
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// A component that is off by ten times the tolerance of the largest is seen, and one that is missing.
#[test]
fn the_comparison_sees_defects() {
    let problem = model::load(&own_problems()[3]).unwrap();
    let points = points(&problem, 3);
    let right = evaluate(&problem, &points, OwnGradients::Both);
    assert!(compare(&problem, &points, &right, false).is_empty());
    for j in 0..problem.parameters.len() {
        for may_cancel in [false, true] {
            let mut wrong = right.clone();
            let scale = largest(wrong[1].gradient.as_ref().unwrap());
            let component = &mut wrong[1].adjoint_gradient.as_mut().unwrap()[j];
            *component += if may_cancel { 1e-3 } else { 1e-10 } * scale;
            assert_eq!(compare(&problem, &points, &wrong, may_cancel).len(), 1, "{j}");
            wrong[1].adjoint_gradient.as_mut().unwrap()[j] = f64::NAN;
            assert_eq!(compare(&problem, &points, &wrong, may_cancel).len(), 1, "{j}");
        }
    }
}

/// The same bits alone, with other points, beside forward tangents and on any number of threads.
#[test]
fn adjoints_do_not_depend_on_company() {
    for path in [&own_problems()[0], &own_problems()[3]] {
        let problem = model::load(path).unwrap();
        let points = points(&problem, 40);
        let all = evaluate(&problem, &points, OwnGradients::Both);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let alone = pool.install(|| evaluate(&problem, &points, OwnGradients::Adjoint));
        for (k, (one, other)) in all.iter().zip(&alone).enumerate() {
            let bits = |result: &PointResult| -> Vec<u64> {
                result.adjoint_gradient.as_ref().unwrap().iter().map(|x| x.to_bits()).collect()
            };
            assert_eq!(bits(one), bits(other), "point {k}");
            assert!(other.gradient.is_none());
            let single = evaluate(&problem, &points[k..=k], OwnGradients::Adjoint).remove(0);
            assert_eq!(bits(one), bits(&single), "point {k}");
        }
    }
}

/// The whole way with adjoints on the GPU engine.
#[test]
fn adjoints_of_the_gpu_engine_are_the_transpose_too() {
    let Some(gpu) = engine::gpu_engine() else { return };
    let engines = GradientEngines { forward: &CpuEngine, adjoint: &gpu };
    for path in own_problems() {
        let problem = model::load(&path).unwrap();
        let points = points(&problem, 20);
        let evaluator =
            Evaluator::with_gradients(&problem, SETTINGS, &CpuEngine, engines, OwnGradients::Both)
                .unwrap();
        let results = evaluator.evaluate(&points, &[], &[], &no_refinement).unwrap().points;
        let complaints = compare(&problem, &points, &results, false);
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}
