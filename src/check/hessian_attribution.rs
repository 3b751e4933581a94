//! Which rows a wrong entry of second derivatives comes from.
//!
//! A column of second derivatives of a group of rows is what the group's gradient changes by when the
//! column's parameter moves. Each column is so compared as a gradient is, with central differences of
//! the groups' gradients in the place of their derivatives.

use super::attribution::{Attribution, FailingPoints, Mismatch, attribute_by};
use super::effort::Effort;
use super::groups::Groups;
use super::hessian::JudgedHessian;
use super::refinement::unit_step;
use super::verdict::VerdictKind;
use crate::engine::EngineError;
use crate::index::ParameterIdx;
use crate::sweep::{Evaluator, PointParts, no_further_eps, wants_none};

/// Step of the differences in unit steps of the parameter. A contribution counts as found within a hundredth
/// of itself: the truncation of about eps² and the noise of a gradient of rtol 1e-10, over eps, are
/// both far below that.
const EPS: f64 = 1e-3;

/// Entries that fail at points that are kept to be looked at again, by column.
#[derive(Debug, Clone, PartialEq)]
pub struct FailingEntries {
    parameters: Vec<ParameterIdx>,
    columns: Vec<FailingPoints>,
}

impl FailingEntries {
    /// None so far, of a check of these parameters.
    pub fn new(parameters: &[ParameterIdx]) -> Self {
        let columns = vec![FailingPoints::new(parameters); parameters.len()];
        Self { parameters: parameters.to_vec(), columns }
    }

    /// Keeps a point for the columns in which entries fail there of which there are not enough yet.
    pub fn add(&mut self, theta: &[f64], judged: &JudgedHessian<'_>) {
        for cells in judged.cells.chunks(self.parameters.len().max(1)) {
            let place = self.parameters.iter().position(|p| *p == cells[0].column);
            let Some(place) = place else { continue };
            let mismatches = cells.iter().map(|cell| {
                let has_failed = cell.verdict.kind == VerdictKind::Fail;
                let estimate = cell.estimate.filter(|_| has_failed)?;
                let bound = estimate.bound + estimate.floor + cell.allowance;
                Some(Mismatch { gradient: cell.value, estimate: estimate.value, bound })
            });
            self.columns[place].keep(theta, mismatches.collect());
        }
    }

    pub fn is_empty(&self) -> bool {
        self.columns.iter().all(FailingPoints::is_empty)
    }
}

/// Compares the mismatches with the second derivatives of the groups of one kind, for every entry that
/// fails somewhere. `evaluator` should have tolerances below those of what is judged. What that takes goes
/// to `effort`.
///
/// # Errors
/// An engine's failure.
pub fn attribute_hessian(
    evaluator: &Evaluator<'_>,
    failing: &FailingEntries,
    groups: &Groups,
    effort: &mut Effort,
) -> Result<Vec<Attribution>, EngineError> {
    let partition = groups.partition(true);
    let most = (evaluator.points_per_chunk(&[], 0) / 2).max(1);
    let mut found = Vec::new();
    for (&column, failing) in failing.parameters.iter().zip(&failing.columns) {
        let mut derivatives_at = |thetas: &[Vec<f64>], rows: &[ParameterIdx]| {
            let known = &evaluator.problem().parameters;
            let moved = |by: f64| {
                thetas.iter().map(move |theta| {
                    let mut theta = theta.clone();
                    theta[column.position()] += by * unit_step(known, &theta, column);
                    theta
                })
            };
            let both: Vec<Vec<f64>> = moved(EPS).chain(moved(-EPS)).collect();
            let evaluated = evaluator.evaluate_parts(
                &both,
                rows,
                &[],
                &partition,
                (&no_further_eps, &wants_none),
            )?;
            effort.count(evaluated.lanes, evaluated.steps);
            let (above, below) = evaluated.parts.split_at(thetas.len());
            let steps = thetas.iter().map(|theta| EPS * unit_step(known, theta, column));
            let sides = above.iter().zip(below).zip(steps);
            Ok(sides.map(|((above, below), eps)| slope(above, below, eps)).collect())
        };
        let of_column = attribute_by(failing, groups, most, &mut derivatives_at)?;
        found.extend(of_column.into_iter().map(|a| Attribution { along: Some(column), ..a }));
    }
    Ok(found)
}

/// What gradients change by, over the two steps of eps; nothing where one side has none.
fn slope(above: &PointParts, below: &PointParts, eps: f64) -> PointParts {
    let of = |above: &[f64], below: &[f64]| match above.len() == below.len() {
        true => above.iter().zip(below).map(|(a, b)| (a - b) / (2.0 * eps)).collect(),
        false => Vec::new(),
    };
    PointParts {
        gradient: of(&above.gradient, &below.gradient),
        noise_gradient: of(&above.noise_gradient, &below.noise_gradient),
        log_sigma_gradient: of(&above.log_sigma_gradient, &below.log_sigma_gradient),
        pairs: Vec::new(),
    }
}
