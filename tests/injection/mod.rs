//! Fault injection: defects put into right gradients, and what becomes of them.
//!
//! Points are evaluated once; all defects of a problem are judged by the same estimates.

mod kinds;
mod runs;

pub use kinds::kinds;
pub use runs::{HEADER, Runs};

use gradsweep::check::{self, CheckPlan, Estimate, GroupKind, Groups, own_gradient};
use gradsweep::engine::EngineError;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::index::ParameterIdx;
use gradsweep::model::{OdeProblem, SlotValue};
use gradsweep::startpoints;
use gradsweep::sweep::{
    Evaluator, Failure, PointParts, PointResult, Settings, StepMode, no_further_eps, no_refinement,
    wants_none,
};
use std::fs;
use std::path::Path;

const SETTINGS: Settings =
    Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };
const EPS: [f64; 5] = [1e-1, 1e-3, 1e-5, 1e-7, 1e-9];
/// How far points are moved, in every coordinate: seen, and below what differences see.
const MOVES: [f64; 2] = [1e-2, 1e-6];

/// What of a derivative is meant.
#[derive(Clone, Copy)]
enum Of {
    All,
    /// What comes through sigma.
    Sigma,
    /// What comes through the likelihood's term ln sigma.
    LogSigma,
}

/// What is known of a problem's points.
pub struct Material<'p> {
    pub problem: &'p OdeProblem,
    /// Of all parameters, so that places are positions of parameters.
    plan: CheckPlan,
    theta: Vec<Vec<f64>>,
    failures: Vec<Option<Failure>>,
    /// `[parameter][point]`
    estimates: Vec<Vec<Option<Estimate>>>,
    /// What a right gradient may be off by, in the same order.
    allowances: Vec<Vec<f64>>,
    /// The right gradient, `[parameter][point]`; NaN where the point failed. So are those below.
    right: Vec<Vec<f64>>,
    /// Derivatives by condition and by observable, with what of them comes through sigma.
    by: Vec<(Groups, Vec<PointParts>)>,
    /// The gradient at moved points.
    moved: Vec<Vec<Vec<f64>>>,
    /// The gradient without the sensitivity of pre-equilibrated states.
    unsettled: Option<Vec<Vec<f64>>>,
}

impl<'p> Material<'p> {
    /// Evaluates so many random points. `loaded` is the problem once more, to be taken apart.
    pub fn new(problem: &'p OdeProblem, loaded: OdeProblem, count: usize) -> Self {
        let parameters: Vec<ParameterIdx> =
            (0..problem.parameters.len()).map(ParameterIdx::from_position).collect();
        let plan = CheckPlan::new(parameters.clone(), EPS.to_vec());
        let theta =
            startpoints::random(&problem.parameters, count, 0, 0).expect("bounds").theta_scaled;
        let evaluator = Evaluator::new(problem, SETTINGS, &CpuEngine, Some(&CpuEngine))
            .expect("the CPU engine takes any program");
        let (mut failures, mut gradients) = (Vec::new(), Vec::new());
        let mut estimates = vec![Vec::new(); parameters.len()];
        let mut allowances = vec![Vec::new(); parameters.len()];
        check::run(&evaluator, &theta, &plan, &own_gradient, &mut |judged, result| {
            failures.push(result.objective.err());
            gradients.push(gradient_of(result, parameters.len()));
            let cells = judged.cells.iter().map(|cell| cell.estimate);
            estimates.iter_mut().zip(cells).for_each(|(all, estimate)| all.push(estimate));
            let cells = judged.cells.iter().map(|cell| cell.allowance);
            allowances.iter_mut().zip(cells).for_each(|(all, allowance)| all.push(allowance));
            Ok::<(), EngineError>(())
        })
        .expect("the CPU engine does not fail");
        let by = [GroupKind::Condition, GroupKind::Observable].map(|kind| {
            let groups = Groups::new(problem, kind);
            let partition = groups.partition(true);
            let mut parts = Vec::new();
            for points in theta.chunks(evaluator.points_per_chunk(&[], 0)) {
                let chunk = evaluator
                    .evaluate_parts(
                        points,
                        &parameters,
                        &[],
                        &partition,
                        (&no_further_eps, &wants_none),
                    )
                    .expect("the CPU engine does not fail");
                parts.extend(chunk.parts);
            }
            (groups, parts)
        });
        let moved = MOVES.map(|step| {
            let there: Vec<Vec<f64>> =
                theta.iter().map(|x| x.iter().map(|v| v + step).collect()).collect();
            columns(&gradients_at(&evaluator, &there))
        });
        Self {
            problem,
            right: columns(&gradients),
            unsettled: without_settling(loaded, &theta).map(|rows| columns(&rows)),
            plan,
            theta,
            failures,
            estimates,
            allowances,
            by: by.into(),
            moved: moved.into(),
        }
    }

    /// The derivative of a group at a point; NaN where the point failed.
    fn part(&self, of: Of, (by, group): (usize, usize), place: usize, point: usize) -> f64 {
        let (groups, parts) = &self.by[by];
        let parts = &parts[point];
        let values = match of {
            Of::All => &parts.gradient,
            Of::Sigma => &parts.noise_gradient,
            Of::LogSigma => &parts.log_sigma_gradient,
        };
        values.get(place * groups.names.len() + group).copied().unwrap_or(f64::NAN)
    }

    /// The same of all rows.
    fn sum(&self, of: Of, place: usize, point: usize) -> f64 {
        (0..self.by[0].0.names.len()).map(|group| self.part(of, (0, group), place, point)).sum()
    }
}

/// A copy of a problem of v1 with priors: a normal one for every third parameter, a Laplace one for
/// the next, so narrow that they count beside measurements that fit badly.
pub fn with_priors(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder can be made");
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let file = entry.expect("an entry").path();
        let name = file.file_name().unwrap_or_default();
        fs::copy(&file, copy.path().join(name)).expect("the file can be copied");
    }
    let file = copy.path().join("parameters.tsv");
    let text = fs::read_to_string(&file).expect("the problem has parameters.tsv");
    let lines = text.lines().enumerate().map(|(i, line)| match (i, i % 3) {
        (0, _) => format!("{line}\tobjectivePriorType\tobjectivePriorParameters\n"),
        (_, 1) => format!("{line}\tparameterScaleNormal\t0.5;0.05\n"),
        (_, 2) => format!("{line}\tparameterScaleLaplace\t-0.3;0.005\n"),
        _ => format!("{line}\t\t\n"),
    });
    fs::write(&file, lines.collect::<String>()).expect("the file can be written");
    copy
}

fn gradient_of(result: &PointResult, parameters: usize) -> Vec<f64> {
    result.gradient.clone().unwrap_or_else(|| vec![f64::NAN; parameters])
}

/// `[parameter][point]` from `[point][parameter]`.
fn columns(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let count = rows.first().map_or(0, Vec::len);
    (0..count).map(|j| rows.iter().map(|row| row[j]).collect()).collect()
}

fn gradients_at(evaluator: &Evaluator<'_>, points: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut gradients = Vec::with_capacity(points.len());
    for some in points.chunks(evaluator.points_per_chunk(&[], 0)) {
        let evaluated = evaluator
            .evaluate(some, &[], &[], &no_refinement)
            .expect("the CPU engine does not fail");
        let of = |result| gradient_of(result, evaluator.problem().parameters.len());
        gradients.extend(evaluated.points.iter().map(of));
    }
    gradients
}

/// Gradients where pre-equilibrations know the parameters' values but not that they may move; none
/// without pre-equilibration.
fn without_settling(mut problem: OdeProblem, points: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let is_preequilibrated = |p: &OdeProblem| p.simulations.iter().any(|s| s.is_preequilibrated());
    if !problem.all().any(is_preequilibrated) {
        return None;
    }
    let known: Vec<Vec<_>> = problem.all().map(|model| model.simulations.clone()).collect();
    let at_point = |theta: &Vec<f64>| {
        let scaled = problem.parameters.iter().zip(theta);
        let linear: Vec<f64> = scaled.map(|(p, x)| p.scale.unscale(*x)).collect();
        freeze(&mut problem, &known[0], &linear);
        for (model, known) in problem.others.iter_mut().zip(&known[1..]) {
            freeze(model, known, &linear);
        }
        let evaluator = Evaluator::new(&problem, SETTINGS, &CpuEngine, Some(&CpuEngine))
            .expect("the CPU engine takes any program");
        gradients_at(&evaluator, std::slice::from_ref(theta)).remove(0)
    };
    Some(points.iter().map(at_point).collect())
}

/// Makes the slots of pre-equilibrations numbers.
fn freeze(model: &mut OdeProblem, known: &[gradsweep::model::Simulation], linear: &[f64]) {
    let mut simulations = known.to_vec();
    for simulation in simulations.iter_mut().filter(|s| s.is_preequilibrated()) {
        for slot in &mut simulation.periods[0].slot_values {
            *slot = SlotValue::Number(model.slot_value(*slot, linear));
        }
    }
    model.simulations = simulations;
}
