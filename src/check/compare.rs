//! Two gradients of the same points side by side: how far they are apart, and which of them the
//! differences are with where they disagree.

use super::run::{CheckPlan, JudgedPoint};
use super::statistics::quantile;
use super::verdict::VerdictKind;
use crate::index::ParameterIdx;

/// Two sources' components of one parameter, over the points where both have one.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub parameter: ParameterIdx,
    pub points: usize,
    /// |first − second| over the sum of the magnitudes of the terms that the component is the sum of
    /// (where that is 0, over the larger of the two): median and largest.
    pub difference_median: f64,
    pub difference_max: f64,
    /// Points where they differ by more than two right gradients may.
    pub disagreements: usize,
    /// Of these: where the differences agree with the one and not with the other.
    pub supported: [usize; 2],
    /// … where both are wrong.
    pub neither: usize,
    /// … where the differences cannot tell.
    pub undecided: usize,
}

/// Gathers a comparison point by point.
pub struct Comparer {
    parameters: Vec<(Vec<f64>, Comparison)>,
}

/// What two sources say at a point.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    pub judged: [&'a JudgedPoint; 2],
    /// The errors that right gradients may have, by estimated parameter; none for no error.
    pub allowances: [Option<&'a [f64]>; 2],
    /// Sums of the magnitudes of the terms of each component, by estimated parameter.
    pub magnitudes: Option<&'a [f64]>,
}

impl Comparer {
    /// For the parameters of a plan.
    pub fn new(plan: &CheckPlan) -> Self {
        let empty = |&parameter: &ParameterIdx| {
            let comparison = Comparison {
                parameter,
                points: 0,
                difference_median: f64::NAN,
                difference_max: f64::NAN,
                disagreements: 0,
                supported: [0; 2],
                neither: 0,
                undecided: 0,
            };
            (Vec::new(), comparison)
        };
        Self { parameters: plan.parameters.iter().map(empty).collect() }
    }

    /// Adds a point; one that failed has no magnitudes and is left out.
    pub fn add(&mut self, pair: &Pair<'_>, plan: &CheckPlan) {
        let Some(magnitudes) = pair.magnitudes else { return };
        for (j, (differences, comparison)) in self.parameters.iter_mut().enumerate() {
            let cells = pair.judged.map(|judged| &judged.cells[j]);
            let gradients = cells.map(|cell| cell.gradient);
            if !gradients.iter().all(|g| g.is_finite()) {
                continue;
            }
            let place = comparison.parameter.position();
            let difference = (gradients[0] - gradients[1]).abs();
            comparison.points += 1;
            let size = gradients[0].abs().max(gradients[1].abs());
            let scale = if magnitudes[place] > 0.0 { magnitudes[place] } else { size };
            // 0 of nothing is no difference.
            differences.push(if difference == 0.0 { 0.0 } else { difference / scale });
            let allowed: f64 = pair.allowances.iter().map(|a| a.map_or(0.0, |a| a[place])).sum();
            if difference <= plan.criteria.rtol * size + plan.criteria.atol + allowed {
                continue;
            }
            comparison.disagreements += 1;
            let kinds = cells.map(|cell| cell.verdict.kind);
            let agrees = |k: VerdictKind| matches!(k, VerdictKind::Pass | VerdictKind::Insensitive);
            match kinds {
                [first, VerdictKind::Fail] if agrees(first) => comparison.supported[0] += 1,
                [VerdictKind::Fail, second] if agrees(second) => comparison.supported[1] += 1,
                [VerdictKind::Fail, VerdictKind::Fail] => comparison.neither += 1,
                _ => comparison.undecided += 1,
            }
        }
    }

    /// One comparison a parameter of the plan.
    pub fn finish(self) -> Vec<Comparison> {
        let finish = |(mut differences, comparison): (Vec<f64>, Comparison)| {
            differences.sort_unstable_by(f64::total_cmp);
            Comparison {
                difference_median: quantile(&differences, 0.5),
                difference_max: quantile(&differences, 1.0),
                ..comparison
            }
        };
        self.parameters.into_iter().map(finish).collect()
    }
}
