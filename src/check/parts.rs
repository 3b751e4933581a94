//! Judging parts of the objective: each (point, parameter, part) is a cell of its own.

use super::effort::Effort;
use super::estimate::{Differences as Kind, Estimate, Ladder, Rung};
use super::one_sided::estimate_from_either;
use super::refinement::{STEP_FACTOR, ladder_in_units, unit_step, wide_step};
use super::run::CheckPlan;
use super::verdict::{Cell, Side, Verdict, VerdictKind, judge, negligible};
use crate::engine::EngineError;
use crate::index::{ParameterIdx, PointIdx};
use crate::objective::Measure;
use crate::sweep::{Differences, Evaluator, Partition, PointParts, PointResult};
use rayon::prelude::*;
use std::cmp::Ordering;

/// Memory that the differences of points judged together may take; those of a single parameter at a
/// single point may take more.
const MOST_BYTES: usize = 1 << 28;

/// One cell (point × parameter × part), judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PartCell {
    pub part: usize,
    /// NaN where it is absent.
    pub gradient: f64,
    pub estimate: Option<Estimate>,
    /// Error that the derivative may have where it is right.
    pub allowance: f64,
    pub verdict: Verdict,
}

/// The cell that deviates most of many: of the failing ones, else of those that pass. `error` is
/// |gradient − estimate|/|estimate|.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorstCell {
    pub point: PointIdx,
    pub gradient: f64,
    pub estimate: f64,
    pub bound: f64,
    pub error: f64,
    pub has_failed: bool,
}

impl WorstCell {
    /// Takes a cell's place if it deviates more; whether it does.
    pub(super) fn offer(worst: &mut Option<Self>, point: PointIdx, cell: &PartCell) -> bool {
        let has_failed = cell.verdict.kind == VerdictKind::Fail;
        let Some(estimate) = cell.estimate else { return false };
        if !has_failed && cell.verdict.kind != VerdictKind::Pass {
            return false;
        }
        let error = ((cell.gradient - estimate.value) / estimate.value).abs();
        let is_worse = worst.is_none_or(|w| {
            let rank = (has_failed, error).partial_cmp(&(w.has_failed, w.error));
            rank == Some(Ordering::Greater)
        });
        if is_worse {
            let (gradient, bound) = (cell.gradient, estimate.bound);
            let estimate = estimate.value;
            *worst = Some(Self { point, gradient, estimate, bound, error, has_failed });
        }
        is_worse
    }
}

/// The cells of one parameter at a point: the parts that it can change.
#[derive(Debug, Clone, PartialEq)]
pub struct PartCells {
    /// Its place in the plan.
    pub place: usize,
    pub parameter: ParameterIdx,
    pub cells: Vec<PartCell>,
}

/// A point with some of the plan's parameters.
pub struct JudgedParts<'a> {
    pub point: PointIdx,
    pub result: &'a PointResult,
    /// Whether these are the first parameters of the point.
    pub is_first: bool,
    pub parameters: Vec<PartCells>,
}

/// Gives the derivative to judge: (point, parameter, part, own derivative).
pub type PartGradient<'a> = dyn Fn(PointIdx, ParameterIdx, usize, f64) -> f64 + Sync + 'a;

/// What is judged, and the error that it may have where it is right.
#[derive(Clone, Copy)]
pub struct PartSource<'a> {
    pub gradient: &'a PartGradient<'a>,
    /// With the same arguments.
    pub allowance: &'a PartGradient<'a>,
}

impl<'a> PartSource<'a> {
    /// A derivative without errors.
    pub fn exact(gradient: &'a PartGradient<'a>) -> Self {
        Self { gradient, allowance: &|_, _, _, _| 0.0 }
    }
}

/// The program's own derivative.
pub fn own_part(_: PointIdx, _: ParameterIdx, _: usize, own: f64) -> f64 {
    own
}

/// Judges the parts of all points. `reached[place][part]` tells what each parameter of the plan can
/// change. `sink` gets every point in order, with as many parameters at once as fit in memory.
pub(super) fn judge_parts<E: From<EngineError>>(
    evaluator: &Evaluator<'_>,
    theta_scaled: &[Vec<f64>],
    plan: &CheckPlan,
    (partition, reached): (&Partition<'_>, &[Vec<bool>]),
    source: PartSource<'_>,
    sink: &mut dyn FnMut(&JudgedParts<'_>) -> Result<(), E>,
) -> Result<Effort, E> {
    let known = &evaluator.problem().parameters;
    let further = |theta: &[f64], parameter| plan.further_eps(unit_step(known, theta, parameter));
    let each = partition.count.max(1)
        * ((plan.eps.len() + plan.most_further()) * size_of::<Differences>()
            + size_of::<PartCell>());
    let block = (MOST_BYTES / each).clamp(1, plan.parameters.len().max(1));
    let most = (MOST_BYTES / (each * block)).max(1);
    let chunk = evaluator.points_per_chunk(&plan.parameters, plan.eps.len()).min(most);
    let wants = |theta: &[f64], parameter, ladder: &[(f64, Differences)]| {
        plan.part_wants_further(ladder, unit_step(known, theta, parameter))
    };
    // Residuals are in units of their noise, whatever the objective is.
    let scale = |result: &PointResult| match partition.measure {
        Measure::Likelihood => result.objective.unwrap_or_default(),
        Measure::Residual => 1.0,
    };
    let mut effort = Effort::default();
    for (number, points) in theta_scaled.chunks(chunk).enumerate() {
        for (b, parameters) in plan.parameters.chunks(block).enumerate() {
            let evaluated = evaluator.evaluate_parts(
                points,
                parameters,
                &plan.eps,
                partition,
                (&further, &wants),
            )?;
            effort.count(evaluated.lanes, evaluated.steps);
            let judged: Vec<Vec<PartCells>> = evaluated
                .parts
                .par_iter()
                .zip(&evaluated.points)
                .enumerate()
                .map(|(i, (parts, result))| {
                    let point = PointIdx::from_position(number * chunk + i);
                    parameters
                        .iter()
                        .enumerate()
                        .map(|(j, &parameter)| PartCells {
                            place: b * block + j,
                            parameter,
                            cells: cells(
                                (point, parameter, j),
                                (
                                    unit_step(known, &points[i], parameter),
                                    negligible(
                                        scale(result),
                                        wide_step(known, &points[i], parameter),
                                    ),
                                ),
                                (parts, result),
                                &reached[b * block + j],
                                plan,
                                source,
                            ),
                        })
                        .collect()
                })
                .collect();
            for (i, (parameters, result)) in judged.into_iter().zip(&evaluated.points).enumerate() {
                let point = PointIdx::from_position(number * chunk + i);
                sink(&JudgedParts { point, result, is_first: b == 0, parameters })?;
            }
        }
    }
    Ok(effort)
}

/// The cells of the j-th parameter that was evaluated.
fn cells(
    (point, parameter, j): (PointIdx, ParameterIdx, usize),
    (unit, negligible): (f64, f64),
    (parts, result): (&PointParts, &PointResult),
    reached: &[bool],
    plan: &CheckPlan,
    source: PartSource<'_>,
) -> Vec<PartCell> {
    let pairs: Vec<_> = parts.pairs.iter().filter(|pair| pair.parameter == parameter).collect();
    (0..reached.len())
        .filter(|part| reached[*part])
        .map(|part| {
            let ladder: Vec<Rung> =
                pairs.iter().map(|pair| part_rung(pair.eps, &pair.parts[part])).collect();
            let estimate = checked_estimate(&ladder, unit);
            let own = parts.gradient.get(j * reached.len() + part).copied().unwrap_or(f64::NAN);
            let gradient = (source.gradient)(point, parameter, part, own);
            let cell = Cell {
                gradient,
                estimate,
                allowance: (source.allowance)(point, parameter, part, own),
                negligible,
                base: result.objective.err(),
                plus: side(&ladder, |rung| rung.forward),
                minus: side(&ladder, |rung| rung.backward),
            };
            let verdict = judge(&cell, &plan.criteria);
            PartCell { part, gradient, estimate, allowance: cell.allowance, verdict }
        })
        .collect()
}

/// Whether a side has no value at any step.
fn side(ladder: &Ladder, difference: impl Fn(&Rung) -> f64) -> Side {
    Side { is_missing: !ladder.iter().any(|rung| difference(rung).is_finite()), failure: None }
}

/// Distance between differences of two neighbouring steps over that to an estimate from larger steps
/// above which they say nothing against it.
const AGREEMENT: f64 = 0.1;

/// The estimate of a derivative by a parameter with this unit step, on the parameter scale.
pub(super) fn checked_estimate(ladder: &Ladder, unit: f64) -> Option<Estimate> {
    let ladder = ladder_in_units(ladder.iter().copied(), unit);
    let estimate = estimate_from_either(&ladder)?;
    let estimate = match estimate.differences {
        Kind::Central | Kind::Compensated => checked(estimate, &ladder),
        Kind::Forward | Kind::Backward => estimate,
    };
    Some(estimate.out_of_units(unit))
}

/// An estimate with what its own ladder says against it. Single rows are many: some turn so fast
/// that large steps agree on something else than their derivative, some have noise that rounding
/// does not explain, as of states far below the absolute tolerance.
///
/// Where the differences of two smaller steps agree with each other and not with the estimate, the
/// bound is its distance to them. The gap between forward and backward difference is proportional
/// to the step; by what it is not, from the next larger step to that of the estimate, the bound
/// grows.
fn checked(estimate: Estimate, ladder: &Ladder) -> Estimate {
    let mut rungs: Vec<&Rung> = ladder.iter().filter(|r| r.central.is_finite()).collect();
    rungs.sort_by(|a, b| b.eps.total_cmp(&a.eps));
    let last = rungs.partition_point(|r| r.eps > estimate.eps);
    let gap = |r: &Rung| r.forward - r.backward;
    let mut bound = estimate.bound;
    if let (Some(larger), Some(own)) = (last.checked_sub(1).map(|i| rungs[i]), rungs.get(last)) {
        let excess = (gap(own) - gap(larger) * (own.eps / larger.eps)).abs();
        bound += if excess.is_finite() { excess } else { 0.0 };
    }
    // Steps over which nothing changed tell nothing.
    let is_alive = |r: &&&Rung| r.forward != 0.0 || r.backward != 0.0;
    let smaller: Vec<&Rung> = rungs.iter().skip(last + 1).filter(is_alive).copied().collect();
    for pair in smaller.windows(2) {
        let between = (pair[0].central - pair[1].central).abs();
        let distance = (pair[1].central - estimate.value).abs();
        if between < AGREEMENT * distance {
            bound = bound.max(distance);
        }
    }
    // What is below the smallest normal number has lost its digits.
    Estimate { bound, floor: estimate.floor + f64::MIN_POSITIVE, ..estimate }
}

pub(super) fn part_rung(eps: f64, differences: &Differences) -> Rung {
    Rung {
        eps,
        forward: differences.forward,
        backward: differences.backward,
        central: differences.central,
        noise: differences.round_off - differences.unmoved_round_off
            + STEP_FACTOR * differences.step_noise,
        unseen: differences.unmoved_round_off + differences.unreached_round_off,
    }
}

#[cfg(test)]
mod tests {
    use super::super::estimate::{estimate, tests::ladder_of};
    use super::*;
    use std::f64::consts::TAU;

    const EPS: [f64; 11] =
        [4e-1, 2e-1, 1e-1, 5e-2, 2.5e-2, 1.25e-2, 6.25e-3, 1e-3, 1e-5, 1e-7, 1e-9];

    fn ladder(f: impl Fn(f64) -> f64) -> Vec<Rung> {
        ladder_of(&EPS, f)
    }

    #[test]
    fn an_estimate_that_smaller_steps_contradict_gets_their_distance_as_its_bound() {
        // x + sin(ωx)/1000 + x², where ω makes full turns over the steps down to 0.025: these see
        // the slope 1, the smaller ones 1 + ω/1000.
        let omega = TAU / 0.025;
        let rungs = ladder(|x| x + (omega * x).sin() / 1000.0 + x * x);
        let [slow, fast] = [1.0, 1.0 + omega / 1000.0];
        let large: Vec<Rung> = rungs.iter().copied().filter(|r| r.eps > 0.02).collect();
        let misled = estimate(&large).unwrap();
        // Off by rounding of sin at multiples of a full turn; surer than a verdict needs (5 %).
        assert!((misled.value - slow).abs() < 1e-9 && misled.bound < 0.05, "{misled:?}");
        let found = checked(misled, &rungs);
        assert!(found.bound >= 0.99 * (fast - slow), "{found:?}");
        // What the small steps see themselves they do not contradict. The gap between the one-sided
        // differences is 2·eps exactly, so that nothing is added but rounding over 1e-5.
        let right = Estimate { value: fast, eps: 1e-5, bound: 0.0, ..misled };
        assert!(checked(right, &rungs).bound < 1e-9, "{right:?}");
    }

    #[test]
    fn a_smooth_function_keeps_its_bound() {
        let rungs = ladder(f64::exp_m1);
        let known = estimate(&rungs).unwrap();
        let found = checked(known, &rungs);
        assert_eq!(found.value, known.value);
        // The gaps are 2 (cosh eps - 1)/eps = eps + eps³/12 + …; at eps 1e-2, from a step of 2e-2,
        // what is not proportional is below 1e-6.
        assert!(found.bound <= known.bound + 1e-6, "{known:?}, {found:?}");
    }

    #[test]
    fn noise_on_one_side_is_in_the_bound() {
        // A jump of 1e-9 below the point, as of a state whose digits are lost.
        let rungs = ladder(|x| x + x * x + if x < 0.0 { -1e-9 } else { 0.0 });
        let any = estimate(&rungs).unwrap();
        let found = checked(Estimate { value: 1.0, eps: 1e-5, bound: 0.0, ..any }, &rungs);
        // The backward difference is off by 1e-9/1e-5.
        assert!((0.9e-4..1.1e-4).contains(&found.bound), "{found:?}");
    }
}
