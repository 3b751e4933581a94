//! Which rows a wrong derivative comes from: the gradient judged group by group.

use super::effort::Effort;
use super::groups::Groups;
use super::parts::{PartCell, PartGradient, PartSource, WorstCell, judge_parts};
use super::run::CheckPlan;
use super::statistics::{quantile, wilson};
use super::verdict::VerdictKind;
use crate::engine::EngineError;
use crate::index::{ParameterIdx, PointIdx};
use crate::sweep::Evaluator;

/// Points at which a group must fail to be a consistent failure: so many groups are looked at that
/// a few fail by chance.
const FEWEST_FAILURES: usize = 5;
/// Points whose shares are kept for each parameter and group.
const MOST_SHARES: usize = 200;

/// A parameter's derivatives of one group's rows over all points.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupStatistics {
    pub parameter: ParameterIdx,
    pub group: usize,
    /// Points by class, in the order of [`VerdictKind::ALL`]; they add up to the points.
    pub counts: [usize; VerdictKind::ALL.len()],
    /// fail/(pass + fail) and its Wilson interval; NaN where no point was decidable.
    pub failure_rate: f64,
    pub failure_interval: (f64, f64),
    /// Whether the interval lies above the threshold, with five failing points at least.
    pub is_consistent_failure: bool,
    /// The cell that deviates most: of the failing ones, else of those that pass.
    pub worst: Option<WorstCell>,
    /// Median of the group's part in Σ |gradient − estimate| over all groups, at points where some
    /// group of the parameter fails (the first 200); NaN where there is none.
    pub mismatch_share: f64,
}

/// All groups that parameters of the plan can change.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSummary {
    /// By parameter, then by group.
    pub statistics: Vec<GroupStatistics>,
    pub points: usize,
    pub effort: Effort,
}

/// What is known of a parameter and a group so far.
#[derive(Default, Clone)]
struct Tally {
    counts: [usize; VerdictKind::ALL.len()],
    worst: Option<WorstCell>,
    shares: Vec<f64>,
}

fn reached(evaluator: &Evaluator<'_>, plan: &CheckPlan, groups: &Groups) -> Vec<Vec<bool>> {
    let priors = evaluator.problem().priors.terms();
    let of = |p: &ParameterIdx| {
        groups.reached(&evaluator.reached_rows(*p), !priors[p.position()].is_absent())
    };
    plan.parameters.iter().map(of).collect()
}

/// Judges the derivatives of every group at all points.
///
/// # Errors
/// An engine's failure.
pub fn localise(
    evaluator: &Evaluator<'_>,
    theta_scaled: &[Vec<f64>],
    plan: &CheckPlan,
    groups: &Groups,
    gradient: &PartGradient<'_>,
) -> Result<GroupSummary, EngineError> {
    let reached = reached(evaluator, plan, groups);
    let partition = groups.partition(false);
    let mut tallies: Vec<Vec<Tally>> = reached
        .iter()
        .map(|r| vec![Tally::default(); r.iter().filter(|is_reached| **is_reached).count()])
        .collect();
    let effort = judge_parts(
        evaluator,
        theta_scaled,
        plan,
        (&partition, &reached),
        PartSource::exact(gradient),
        &mut |judged| -> Result<(), EngineError> {
            for of_parameter in &judged.parameters {
                let tallies = &mut tallies[of_parameter.place];
                let mismatch = |cell: &PartCell| {
                    cell.estimate.map_or(f64::NAN, |e| (cell.gradient - e.value).abs())
                };
                let has_failed = |cell: &PartCell| cell.verdict.kind == VerdictKind::Fail;
                let any_failed = of_parameter.cells.iter().any(has_failed);
                let mismatches = of_parameter.cells.iter().map(mismatch);
                let total: f64 = mismatches.filter(|m| m.is_finite()).sum();
                for (tally, cell) in tallies.iter_mut().zip(&of_parameter.cells) {
                    tally.add(judged.point, cell);
                    let share = mismatch(cell) / total;
                    if any_failed && share.is_finite() && tally.shares.len() < MOST_SHARES {
                        tally.shares.push(share);
                    }
                }
            }
            Ok(())
        },
    )?;
    let mut statistics = Vec::new();
    for ((&parameter, reached), tallies) in plan.parameters.iter().zip(&reached).zip(tallies) {
        let groups = (0..reached.len()).filter(|group| reached[*group]);
        statistics.extend(groups.zip(tallies).map(|(g, tally)| tally.finish(parameter, g, plan)));
    }
    Ok(GroupSummary { statistics, points: theta_scaled.len(), effort })
}

impl GroupSummary {
    /// The pairs that deserve to be looked at first: those that fail, by the rate of failures, then
    /// by their share of the mismatch, then by their error; then the others by their error.
    pub fn worst_first(&self) -> Vec<&GroupStatistics> {
        let mut sorted: Vec<&GroupStatistics> =
            self.statistics.iter().filter(|s| s.worst.is_some()).collect();
        let key = |s: &GroupStatistics| {
            let failed = s.worst.is_some_and(|w| w.has_failed);
            let numbers = [
                if failed { s.failure_rate } else { 0.0 },
                if failed { s.mismatch_share } else { 0.0 },
                s.worst.map_or(0.0, |w| w.error),
            ];
            numbers.map(|x| if x.is_nan() { 0.0 } else { x })
        };
        sorted.sort_by(|a, b| {
            let pairs = key(b).into_iter().zip(key(a));
            pairs
                .map(|(b, a)| b.total_cmp(&a))
                .find(|o| o.is_ne())
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        sorted
    }
}

impl Tally {
    fn add(&mut self, point: PointIdx, cell: &PartCell) {
        let kind = cell.verdict.kind;
        if let Some(place) = VerdictKind::ALL.iter().position(|k| *k == kind) {
            self.counts[place] += 1;
        }
        WorstCell::offer(&mut self.worst, point, cell);
    }

    fn finish(
        mut self,
        parameter: ParameterIdx,
        group: usize,
        plan: &CheckPlan,
    ) -> GroupStatistics {
        let count =
            |kind| VerdictKind::ALL.iter().position(|k| *k == kind).map_or(0, |i| self.counts[i]);
        let (passed, failed) = (count(VerdictKind::Pass), count(VerdictKind::Fail));
        let failure_interval = wilson(failed, passed + failed, plan.confidence);
        self.shares.sort_unstable_by(f64::total_cmp);
        GroupStatistics {
            parameter,
            group,
            counts: self.counts,
            failure_rate: failed as f64 / (passed + failed) as f64,
            failure_interval,
            is_consistent_failure: failed >= FEWEST_FAILURES
                && failure_interval.0 > plan.consistent,
            worst: self.worst,
            mismatch_share: quantile(&self.shares, 0.5),
        }
    }
}
