//! What solver tolerances do to objective, gradient and finite differences.
//!
//! Points are evaluated at each pair of tolerances and once more at far tighter ones, which count as
//! the truth. Errors of a gradient's component are relative to the magnitudes of the terms that it is
//! the sum of, near an optimum the sum itself says nothing, or to a millionth of the largest.

use super::statistics::quantile;
use crate::engine::{Engine, EngineError};
use crate::index::ParameterIdx;
use crate::model::OdeProblem;
use crate::sweep::{Evaluator, PointResult, Settings, StepMode, no_refinement};

/// Tolerances of the run that counts as the truth.
pub const TRUTH: (f64, f64) = (1e-12, 1e-16);

/// Components smaller than this part of the largest of their point do not matter to anybody.
const NEGLIGIBLE: f64 = 1e-6;

/// What to try.
#[derive(Debug, Clone, PartialEq)]
pub struct ToleranceStudy {
    /// Pairs of rtol and atol, loosest first.
    pub tolerances: Vec<(f64, f64)>,
    pub eps: Vec<f64>,
    pub max_steps: u32,
}

/// What a pair of tolerances does.
#[derive(Debug, Clone, PartialEq)]
pub struct ToleranceRow {
    pub rtol: f64,
    pub atol: f64,
    /// Points that fail here and not at the truth's tolerances, of those that have a truth.
    pub failed: usize,
    pub points: usize,
    /// Attempted steps of a point, mean.
    pub steps: f64,
    /// |f − truth|/max(|truth|, 1), median and 0.9 quantile over points.
    pub objective_error: [f64; 2],
    /// Largest error of a component at a point, median and 0.9 quantile over points.
    pub gradient_error: [f64; 2],
    /// The eps at which plain central differences with steps of their own come closest to the true
    /// gradient, by median over points and parameters, and that median (relative to magnitudes).
    pub best_eps: f64,
    pub difference_error: f64,
}

/// Evaluates all points at all tolerances.
///
/// # Errors
/// An engine's failure.
pub fn study_tolerances(
    problem: &OdeProblem,
    engine: &dyn Engine,
    gradient_engine: &dyn Engine,
    points: &[Vec<f64>],
    study: &ToleranceStudy,
    each: &mut dyn FnMut(),
) -> Result<Vec<ToleranceRow>, EngineError> {
    let all: Vec<ParameterIdx> =
        (0..problem.parameters.len()).map(ParameterIdx::from_position).collect();
    let mut run =
        |(rtol, atol): (f64, f64), eps: &[f64]| -> Result<Vec<PointResult>, EngineError> {
            let settings =
                Settings { rtol, atol, max_steps: study.max_steps, steps: StepMode::Adaptive };
            let evaluator = Evaluator::new(problem, settings, engine, Some(gradient_engine))?;
            let mut results = Vec::with_capacity(points.len());
            for chunk in points.chunks(evaluator.points_per_chunk(&all, eps.len())) {
                results.extend(evaluator.evaluate(chunk, &all, eps, &no_refinement)?.points);
            }
            each();
            Ok(results)
        };
    let truth = run(TRUTH, &[])?;
    let mut rows = Vec::with_capacity(study.tolerances.len());
    for &tolerances in &study.tolerances {
        let results = run(tolerances, &study.eps)?;
        rows.push(row(tolerances, &study.eps, &truth, &results));
    }
    Ok(rows)
}

/// The loosest tolerances with which nine of ten gradients are as accurate as wanted, and nothing
/// fails that the truth's tolerances solve.
pub fn loosest(rows: &[ToleranceRow], accuracy: f64) -> Option<&ToleranceRow> {
    rows.iter().find(|row| row.failed == 0 && row.gradient_error[1] <= accuracy)
}

fn row(
    (rtol, atol): (f64, f64),
    eps: &[f64],
    truth: &[PointResult],
    results: &[PointResult],
) -> ToleranceRow {
    let (mut failed, mut points, mut steps) = (0, 0, 0);
    let (mut objective, mut gradient) = (Vec::new(), Vec::new());
    let mut differences = vec![Vec::new(); eps.len()];
    for (truth, result) in truth.iter().zip(results) {
        let (Ok(f), Some(g), Some(magnitudes)) =
            (&truth.objective, &truth.gradient, &truth.gradient_magnitudes)
        else {
            continue;
        };
        points += 1;
        let (Ok(found), Some(components)) = (&result.objective, &result.gradient) else {
            failed += 1;
            continue;
        };
        steps += result.steps;
        objective.push((found - f).abs() / f.abs().max(1.0));
        let largest = magnitudes.iter().copied().fold(0.0, f64::max);
        let relative = |error: f64, j: usize| match error {
            0.0 => 0.0,
            _ => error.abs() / magnitudes[j].max(NEGLIGIBLE * largest),
        };
        let errors = components.iter().zip(g).enumerate().map(|(j, (a, b))| relative(a - b, j));
        gradient.push(errors.fold(0.0, f64::max));
        for (i, pair) in result.probes.iter().enumerate() {
            if let (Ok(plus), Ok(minus)) = (&pair.plus, &pair.minus) {
                let j = pair.parameter.position();
                let difference = (plus - minus) / (2.0 * pair.eps);
                differences[i % eps.len()].push(relative(difference - g[j], j));
            }
        }
    }
    let two = |mut errors: Vec<f64>| {
        errors.sort_unstable_by(f64::total_cmp);
        [quantile(&errors, 0.5), quantile(&errors, 0.9)]
    };
    let medians: Vec<f64> = differences.into_iter().map(|errors| two(errors)[0]).collect();
    let best = (0..eps.len())
        .filter(|&i| medians[i].is_finite())
        .min_by(|&a, &b| medians[a].total_cmp(&medians[b]));
    ToleranceRow {
        rtol,
        atol,
        failed,
        points,
        steps: steps as f64 / (points - failed).max(1) as f64,
        objective_error: two(objective),
        gradient_error: two(gradient),
        best_eps: best.map_or(f64::NAN, |i| eps[i]),
        difference_error: best.map_or(f64::NAN, |i| medians[i]),
    }
}
