//! What is gathered of all points for the statistics of one gradient: the only thing of a check that
//! grows with its points. A million points of 9 parameters with 5 eps take 0.9 GB.

use super::association::{PointFacts, associations, deciles};
use super::column::Column;
use super::diagnosis::{MOST_SAMPLES, Sample, SampleCell, common_causes, diagnose};
use super::estimate::Differences;
use super::misplaced::find_misplaced;
use super::run::{CheckPlan, CheckSummary, JudgedCell, JudgedPoint};
use super::statistics::{CellSummary, Cells, EpsStatistics, ParameterStatistics, adjust};
use super::verdict::VerdictKind;
use crate::index::ParameterIdx;
use crate::model::EstimatedParameter;

/// What is gathered of one source.
pub(super) struct Tally {
    samples: Vec<Sample>,
    /// By place in the plan.
    cells: Vec<Cells>,
    spread: EpsSpread,
}

impl Tally {
    pub(super) fn new(plan: &CheckPlan) -> Self {
        Self {
            samples: Vec::new(),
            cells: vec![Cells::default(); plan.parameters.len()],
            spread: EpsSpread::new(plan),
        }
    }

    pub(super) fn add(&mut self, theta: &[f64], judged: &JudgedPoint, plan: &CheckPlan) {
        if self.samples.len() < MOST_SAMPLES {
            self.samples.extend(sample(theta, judged));
        }
        for (summaries, cell) in self.cells.iter_mut().zip(&judged.cells) {
            summaries.push(&CellSummary {
                kind: cell.verdict.kind,
                reason: cell.verdict.reason,
                is_one_sided: cell.estimate.is_some_and(|e| {
                    matches!(e.differences, Differences::Forward | Differences::Backward)
                }),
                value: theta[cell.parameter.position()],
                gradient: cell.gradient,
                estimate: cell.estimate.map_or(f64::NAN, |e| e.value),
                threshold: cell
                    .estimate
                    .map_or(f64::INFINITY, |e| plan.criteria.threshold(&e, cell.allowance)),
            });
        }
        self.spread.add(judged, plan);
    }

    /// What all points say, added to what is known of how they were simulated.
    pub(super) fn finish(
        self,
        points: CheckSummary,
        plan: &CheckPlan,
        known: &[EstimatedParameter],
        facts: &[PointFacts],
    ) -> CheckSummary {
        let Self { samples, cells, spread } = self;
        let eps = spread.statistics(plan);
        let statistics = |(&p, cells): (&ParameterIdx, &Cells)| -> ParameterStatistics {
            cells.statistics(p, &eps, plan.confidence, plan.consistent)
        };
        let mut parameters: Vec<ParameterStatistics> =
            plan.parameters.iter().zip(&cells).map(statistics).collect();
        adjust(&mut parameters);
        let deciles = deciles(facts);
        let associations = plan
            .parameters
            .iter()
            .zip(&cells)
            .flat_map(|(&p, cells)| associations(p, &known[p.position()], cells, facts, &deciles))
            .collect();
        let failing: Vec<usize> =
            (0..parameters.len()).filter(|&j| parameters[j].is_consistent_failure).collect();
        let mut diagnoses = vec![None; parameters.len()];
        for &place in &failing {
            diagnoses[place] = diagnose(place, &plan.parameters, known, &samples);
        }
        find_misplaced(&samples, &failing, &mut diagnoses);
        let common_causes = common_causes(&samples, &failing)
            .into_iter()
            .map(|group| group.into_iter().map(|place| plan.parameters[place]).collect())
            .collect();
        CheckSummary { parameters, eps, diagnoses, associations, common_causes, ..points }
    }
}

/// A point for the diagnosis, if something failed there.
fn sample(theta: &[f64], judged: &JudgedPoint) -> Option<Sample> {
    let has_failed = |cell: &JudgedCell| cell.verdict.kind == VerdictKind::Fail;
    let cell = |cell: &JudgedCell| SampleCell {
        gradient: cell.gradient,
        estimate: cell.estimate.map_or(f64::NAN, |e| e.value),
        bound: cell.estimate.map_or(f64::NAN, |e| e.bound + e.floor),
        has_failed: has_failed(cell),
    };
    judged
        .cells
        .iter()
        .any(has_failed)
        .then(|| Sample { theta: theta.to_vec(), cells: judged.cells.iter().map(cell).collect() })
}

/// Relative deviations of the differences from the estimates, plain and paired, over the points
/// whose estimate decided.
struct EpsSpread {
    /// `[parameter][eps]`, flat.
    deviations: Vec<[Column; 2]>,
}

impl EpsSpread {
    fn new(plan: &CheckPlan) -> Self {
        Self { deviations: vec![Default::default(); plan.parameters.len() * plan.eps.len()] }
    }

    fn add(&mut self, judged: &JudgedPoint, plan: &CheckPlan) {
        let count = plan.eps.len().max(1);
        for (i, row) in judged.rows.iter().enumerate() {
            let cell = &judged.cells[i / count];
            let Some(estimate) = cell.estimate else { continue };
            let deviation = |d: f64| ((d - estimate.value) / estimate.value).abs();
            let pair = [deviation(row.fd_c), deviation(row.paired_c)];
            let decided = matches!(cell.verdict.kind, VerdictKind::Pass | VerdictKind::Fail);
            if decided && pair.iter().all(|d| d.is_finite()) {
                self.deviations[i].iter_mut().zip(pair).for_each(|(column, d)| column.push(d));
            }
        }
    }

    fn statistics(&self, plan: &CheckPlan) -> Vec<EpsStatistics> {
        let grid = plan.parameters.iter().flat_map(|&p| plan.eps.iter().map(move |&e| (p, e)));
        grid.zip(&self.deviations).map(|((p, e), d)| EpsStatistics::new(p, e, d)).collect()
    }
}
