//! Which step sizes suit finite differences: the errors of plain and paired central differences over
//! a grid of eps, with the steps of their point and with steps of their own.

use super::error_model::ErrorModel;
use super::run::{CheckPlan, Evaluated, judge_point};
use super::statistics::quantile;
use super::table::rows;
use super::verdict::VerdictKind;
use crate::engine::EngineError;
use crate::index::{ParameterIdx, PointIdx};
use crate::sweep::{Evaluator, StepMode, no_refinement};

/// Both schedules, in the order of all results.
pub const SCHEDULES: [StepMode; 2] = [StepMode::Shared, StepMode::Adaptive];
/// Both differences, in the order of all results.
pub const DIFFERENCES: [&str; 2] = ["plain", "paired"];

/// Errors of the differences with one eps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpsGridRow {
    /// None for all parameters together.
    pub parameter: Option<ParameterIdx>,
    pub steps: StepMode,
    /// Step on the parameter scale.
    pub eps: f64,
    /// Cells (point × parameter) that the errors are those of.
    pub cells: usize,
    /// Median and 0.9 quantile of |difference − gradient|/|gradient|, of plain and of paired
    /// differences.
    pub errors: [[f64; 2]; 2],
}

/// Where a V of errors over eps bottoms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bottom {
    /// None for all parameters together.
    pub parameter: Option<ParameterIdx>,
    pub steps: StepMode,
    /// One of [`DIFFERENCES`].
    pub difference: &'static str,
    /// The eps of the grid with the smallest median error, NaN where there is none, and that error.
    pub eps: f64,
    pub error: f64,
    /// a·eps^p + s/eps over the medians, where these follow it.
    pub model: Option<ErrorModel>,
}

/// What a grid of eps shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EpsGrid {
    /// All parameters together, then each; by schedule and eps.
    pub rows: Vec<EpsGridRow>,
    /// In the same order; by schedule and difference.
    pub bottoms: Vec<Bottom>,
    pub points: usize,
    pub failed_points: usize,
    pub lanes: u64,
    pub steps: u64,
}

/// Errors by parameter and eps, `[parameter][eps]`, flat; of each cell plain and paired.
type Errors = Vec<Vec<[f64; 2]>>;

/// Compares differences over the plan's eps with our own gradient, at those cells where the check with
/// shared steps finds it right. `shared` and `adaptive` evaluate the same problem with these steps;
/// the first has a gradient. `progress` is called with the number of points done since.
///
/// # Errors
/// An engine's failure.
pub fn study_eps(
    (shared, adaptive): (&Evaluator<'_>, &Evaluator<'_>),
    theta_scaled: &[Vec<f64>],
    plan: &CheckPlan,
    progress: &mut dyn FnMut(usize),
) -> Result<EpsGrid, EngineError> {
    let mut grid = EpsGrid { points: theta_scaled.len(), ..EpsGrid::default() };
    let size = plan.parameters.len() * plan.eps.len();
    let mut errors: [Errors; 2] = [vec![Vec::new(); size], vec![Vec::new(); size]];
    let mut number = 0;
    let known = &shared.problem().parameters;
    for points in theta_scaled.chunks(shared.points_per_chunk(&plan.parameters, plan.eps.len())) {
        let refine = |theta: &[f64], pairs: &[_]| plan.refine(shared, theta, pairs);
        let own = shared.evaluate(points, &plan.parameters, &plan.eps, &refine)?;
        let chosen = adaptive.evaluate(points, &plan.parameters, &plan.eps, &no_refinement)?;
        for chunk in [&own, &chosen] {
            grid.lanes += chunk.lanes;
            grid.steps += chunk.steps;
        }
        for ((own, chosen), theta_scaled) in own.points.iter().zip(&chosen.points).zip(points) {
            let point = PointIdx::from_position(number);
            number += 1;
            grid.failed_points += usize::from(own.objective.is_err());
            let gradient = own.gradient.as_deref();
            let judged = judge_point(
                &Evaluated { point, theta_scaled, known, result: own },
                gradient,
                None,
                plan,
            );
            let others = rows(point, chosen, gradient, (&plan.parameters, &plan.eps));
            for (errors, rows) in errors.iter_mut().zip([&judged.rows, &others]) {
                for (i, row) in rows.iter().enumerate() {
                    let error = |d: f64| ((d - row.grad) / row.grad).abs();
                    let pair = [error(row.fd_c), error(row.paired_c)];
                    let is_right =
                        judged.cells[i / plan.eps.len()].verdict.kind == VerdictKind::Pass;
                    if is_right && pair.iter().all(|e| e.is_finite()) {
                        errors[i].push(pair);
                    }
                }
            }
        }
        progress(points.len());
    }
    let whole = std::iter::once(None).chain((0..plan.parameters.len()).map(Some));
    for place in whole {
        for (steps, errors) in SCHEDULES.into_iter().zip(&errors) {
            grid.add(place, steps, errors, plan);
        }
    }
    Ok(grid)
}

impl EpsGrid {
    /// Adds what the errors of one parameter (none: of all) say.
    fn add(&mut self, place: Option<usize>, steps: StepMode, errors: &Errors, plan: &CheckPlan) {
        let parameter = place.map(|place| plan.parameters[place]);
        let count = plan.eps.len();
        let first = self.rows.len();
        for (e, &eps) in plan.eps.iter().enumerate() {
            let of = |place: usize| errors[place * count + e].iter();
            let cells: Vec<[f64; 2]> = match place {
                Some(place) => of(place).copied().collect(),
                None => (0..plan.parameters.len()).flat_map(of).copied().collect(),
            };
            let quantiles = [0, 1].map(|which| {
                let mut values: Vec<f64> = cells.iter().map(|cell| cell[which]).collect();
                values.sort_unstable_by(f64::total_cmp);
                [0.5, 0.9].map(|q| quantile(&values, q))
            });
            let cells = cells.len();
            self.rows.push(EpsGridRow { parameter, steps, eps, cells, errors: quantiles });
        }
        for (which, difference) in DIFFERENCES.into_iter().enumerate() {
            let medians: Vec<(f64, f64)> =
                self.rows[first..].iter().map(|row| (row.eps, row.errors[which][0])).collect();
            let least = medians
                .iter()
                .filter(|(_, error)| error.is_finite())
                .min_by(|a, b| a.1.total_cmp(&b.1));
            let (eps, error) = least.copied().unwrap_or((f64::NAN, f64::NAN));
            let model = ErrorModel::fit(&medians);
            self.bottoms.push(Bottom { parameter, steps, difference, eps, error, model });
        }
    }
}

/// So many steps a decade between two, largest first: those next to powers of ten are these.
pub fn decades(from: f64, to: f64, per_decade: u32) -> Vec<f64> {
    let (largest, smallest) = (from.max(to), from.min(to));
    let per = f64::from(per_decade);
    // Exponents in units of 1/per; what is off by rounding is still an end.
    let first = (largest.log10() * per + 1e-6).floor() as i64;
    let last = (smallest.log10() * per - 1e-6).ceil() as i64;
    let power = |exponent: i64| {
        let (whole, rest) = (
            exponent.div_euclid(i64::from(per_decade)),
            exponent.rem_euclid(i64::from(per_decade)),
        );
        let decade: f64 = format!("1e{whole}").parse().unwrap_or(f64::NAN);
        // Three digits of the steps between are enough, and are short in tables.
        let between = (10_f64.powf(rest as f64 / per) * 100.0).round();
        format!("{between}e{}", whole - 2).parse().unwrap_or(decade)
    };
    (last..=first).rev().map(power).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_hold_powers_of_ten() {
        assert_eq!(decades(1e-1, 1e-3, 1), [1e-1, 1e-2, 1e-3]);
        assert_eq!(decades(1e-1, 1e-2, 2), [1e-1, 3.16e-2, 1e-2]);
        assert_eq!(decades(1e-3, 1e-1, 2), [1e-1, 3.16e-2, 1e-2, 3.16e-3, 1e-3]);
        assert_eq!(decades(1e-1, 1e-12, 2).len(), 23);
        assert_eq!(decades(5e-2, 2e-3, 1), [1e-2]);
        assert_eq!(decades(1.0, 0.1, 3), [1.0, 0.464, 0.215, 0.1]);
    }
}
