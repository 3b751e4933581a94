//! Checking the derivatives of residuals: each (point, parameter, row) is a cell of its own.
//!
//! The residual of a row is z = (h(y) − h(m))/σ on the scale of its noise model. Where parameters
//! set σ, z changes with σ; the term ln σ of the likelihood is no part of any residual.

use super::parts::{JudgedParts, PartCell, PartSource, WorstCell, judge_parts};
use super::run::{CheckPlan, CheckSummary};
use super::statistics::{CellSummary, adjust, parameter_statistics};
use super::verdict::VerdictKind;
use crate::engine::EngineError;
use crate::index::{ParameterIdx, RowIdx};
use crate::objective::Measure;
use crate::sweep::{Evaluator, Partition, no_further_eps, wants_none};

/// The cells of one parameter: points × rows that it can change.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualCells {
    pub rows: usize,
    /// By class, in the order of [`VerdictKind::ALL`].
    pub counts: [usize; VerdictKind::ALL.len()],
    /// The row that deviates most.
    pub worst: Option<(RowIdx, WorstCell)>,
}

/// The cells of one row: points × parameters that can change it.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualRow {
    /// Counted through all models.
    pub row: RowIdx,
    pub counts: [usize; VerdictKind::ALL.len()],
    /// The parameter whose derivative deviates most.
    pub worst: Option<(ParameterIdx, WorstCell)>,
}

/// What all points together say.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualSummary {
    /// Statistics over points: a parameter fails at a point where some row fails, and passes where
    /// some row passes and none fails.
    pub points: CheckSummary,
    /// By parameter of the plan.
    pub cells: Vec<ResidualCells>,
    pub rows: Vec<ResidualRow>,
}

/// Each row by itself; `each` numbers them.
fn residual_partition(each: &[usize]) -> Partition<'_> {
    let (measure, count) = (Measure::Residual, each.len());
    Partition { measure, part_of: each, count, prior: None, with_noise: false }
}

/// Own derivatives of all residuals at points, `[point][parameter of the plan × row]`, flat; empty
/// where a point failed.
///
/// # Errors
/// An engine's failure.
pub fn own_residual_derivatives(
    evaluator: &Evaluator<'_>,
    theta_scaled: &[Vec<f64>],
    parameters: &[ParameterIdx],
) -> Result<Vec<Vec<f64>>, EngineError> {
    let each: Vec<usize> = (0..evaluator.problem().row_count()).collect();
    let partition = residual_partition(&each);
    let mut all = Vec::with_capacity(theta_scaled.len());
    for points in theta_scaled.chunks(evaluator.points_per_chunk(&[], 0)) {
        let evaluated = evaluator.evaluate_parts(
            points,
            parameters,
            &[],
            &partition,
            (&no_further_eps, &wants_none),
        )?;
        all.extend(evaluated.parts.into_iter().map(|parts| parts.gradient));
    }
    Ok(all)
}

/// Checks the residuals of all rows at all points; `sink` gets every point in order, with as many
/// parameters at once as fit in memory.
///
/// # Errors
/// An engine's failure, or the first error of `sink`.
pub fn check_residuals<E: From<EngineError>>(
    evaluator: &Evaluator<'_>,
    theta_scaled: &[Vec<f64>],
    plan: &CheckPlan,
    source: PartSource<'_>,
    sink: &mut dyn FnMut(&JudgedParts<'_>) -> Result<(), E>,
) -> Result<ResidualSummary, E> {
    let each: Vec<usize> = (0..evaluator.problem().row_count()).collect();
    let partition = residual_partition(&each);
    let reached: Vec<Vec<bool>> =
        plan.parameters.iter().map(|p| evaluator.reached_rows(*p)).collect();
    let none = [0; VerdictKind::ALL.len()];
    let mut cells: Vec<ResidualCells> = reached
        .iter()
        .map(|rows| ResidualCells {
            rows: rows.iter().filter(|is_reached| **is_reached).count(),
            counts: none,
            worst: None,
        })
        .collect();
    let mut rows: Vec<ResidualRow> = each
        .iter()
        .map(|&r| ResidualRow { row: RowIdx::from_position(r), counts: none, worst: None })
        .collect();
    let mut summaries: Vec<Vec<CellSummary>> = vec![Vec::new(); plan.parameters.len()];
    let mut points = CheckSummary { points: theta_scaled.len(), ..CheckSummary::default() };
    let effort = judge_parts(
        evaluator,
        theta_scaled,
        plan,
        (&partition, &reached),
        source,
        &mut |judged| {
            if judged.is_first {
                points.add(judged.result);
            }
            for of_parameter in &judged.parameters {
                let place = of_parameter.place;
                let value =
                    theta_scaled[judged.point.position()][plan.parameters[place].position()];
                summaries[place].push(summary_of(&of_parameter.cells, value, plan));
                let total = &mut cells[of_parameter.place];
                for cell in &of_parameter.cells {
                    let row = &mut rows[cell.part];
                    let kind = VerdictKind::ALL.iter().position(|k| *k == cell.verdict.kind);
                    if let Some(kind) = kind {
                        total.counts[kind] += 1;
                        row.counts[kind] += 1;
                    }
                    offer(&mut total.worst, row.row, judged, cell);
                    offer(&mut row.worst, of_parameter.parameter, judged, cell);
                }
            }
            sink(judged)
        },
    )?;
    points.effort = effort;
    points.parameters = plan
        .parameters
        .iter()
        .zip(&summaries)
        .map(|(&p, cells)| parameter_statistics(p, cells, &[], plan.confidence, plan.consistent))
        .collect();
    adjust(&mut points.parameters);
    points.diagnoses = vec![None; plan.parameters.len()];
    Ok(ResidualSummary { points, cells, rows })
}

/// Takes the place of the cell that deviates most so far, if this one deviates more.
fn offer<W: Copy>(
    worst: &mut Option<(W, WorstCell)>,
    whose: W,
    judged: &JudgedParts<'_>,
    cell: &PartCell,
) {
    let mut known = worst.map(|(_, cell)| cell);
    if WorstCell::offer(&mut known, judged.point, cell) {
        *worst = known.map(|cell| (whose, cell));
    }
}

/// A point as the statistics of a parameter see it: by the cell that decides there.
fn summary_of(cells: &[PartCell], value: f64, plan: &CheckPlan) -> CellSummary {
    let error = |cell: &&PartCell| {
        cell.estimate.map_or(0.0, |e| ((cell.gradient - e.value) / e.value).abs())
    };
    let order = [VerdictKind::Fail].into_iter().chain(VerdictKind::ALL);
    let decisive = order
        .map(|kind| cells.iter().filter(move |cell| cell.verdict.kind == kind))
        .find_map(|of_kind| of_kind.max_by(|a, b| error(a).total_cmp(&error(b))));
    // A parameter that changes no residual does nothing.
    let Some(cell) = decisive else {
        return CellSummary {
            kind: VerdictKind::Insensitive,
            reason: None,
            is_one_sided: false,
            value,
            gradient: 0.0,
            estimate: 0.0,
            threshold: f64::INFINITY,
        };
    };
    CellSummary {
        kind: cell.verdict.kind,
        reason: cell.verdict.reason,
        is_one_sided: false,
        value,
        gradient: cell.gradient,
        estimate: cell.estimate.map_or(f64::NAN, |e| e.value),
        threshold: cell
            .estimate
            .map_or(f64::INFINITY, |e| plan.criteria.threshold(&e, cell.allowance)),
    }
}
