//! Where a parameter's gradient fails: what failing points have in common that passing ones lack.
//!
//! For each covariate the ranks of failing and passing cells are compared (Mann & Whitney). Points
//! where nothing was decided have no part in it.

use super::evidence::{holm, rank_test};
use super::statistics::{Cells, quantile};
use super::verdict::VerdictKind;
use crate::index::ParameterIdx;
use crate::model::EstimatedParameter;

/// A parameter is at a bound within this part of the distance between its bounds.
const NEAR_BOUND: f64 = 0.01;
/// The range of failing cells leaves out this part at either end.
const LEFT_OUT: f64 = 0.05;
/// An association is worth a sentence with evidence below this, ...
const CLEAR: f64 = 0.01;
/// ... where failing cells are the larger ones with a probability this far from one half.
const STRONG: f64 = 0.25;
/// Parts into which the objectives of all points are divided.
const PARTS: f64 = 10.0;

/// What may have to do with failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covariate {
    /// The parameter's value, on its scale.
    Value,
    /// The decile of the point's objective among all points, 1 to 10.
    Objective,
    /// Attempted steps of the point's simulations.
    Steps,
    /// Whether the value is at a bound: 1, or 0.
    AtBound,
}

impl Covariate {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Value, Self::Objective, Self::Steps, Self::AtBound];

    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Objective => "objective_decile",
            Self::Steps => "steps",
            Self::AtBound => "at_bound",
        }
    }
}

/// How failing of a parameter goes with a covariate.
#[derive(Debug, Clone, PartialEq)]
pub struct Association {
    pub parameter: ParameterIdx,
    pub covariate: Covariate,
    /// Cells of either class.
    pub failing: usize,
    pub passing: usize,
    /// Probability that a failing cell's covariate is larger than a passing one's; ties count half.
    pub auc: f64,
    /// Evidence against 0.5, adjusted for the number of covariates.
    pub p_holm: f64,
    /// Quantiles 0.05 and 0.95 of the failing cells.
    pub range: (f64, f64),
    /// In words, where it is clear and no other covariate is stronger.
    pub sentence: Option<String>,
}

/// What is the same for all parameters of a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PointFacts {
    /// NaN where the point failed.
    pub objective: f64,
    pub steps: u64,
}

/// Deciles of the objectives, from 1 to 10; NaN where there is none.
pub fn deciles(points: &[PointFacts]) -> Vec<f64> {
    let mut order: Vec<usize> =
        (0..points.len()).filter(|&i| points[i].objective.is_finite()).collect();
    order.sort_by(|&a, &b| points[a].objective.total_cmp(&points[b].objective));
    let mut deciles = vec![f64::NAN; points.len()];
    let mut before = 0;
    for group in order.chunk_by(|&a, &b| points[a].objective == points[b].objective) {
        // Equal objectives share the middle of their ranks.
        let middle = before as f64 + 0.5 * group.len() as f64;
        for &i in group {
            deciles[i] = (PARTS * middle / order.len() as f64).floor().min(PARTS - 1.0) + 1.0;
        }
        before += group.len();
    }
    deciles
}

/// Associations of a parameter that fails at some points and passes at others; none else.
pub fn associations(
    index: ParameterIdx,
    parameter: &EstimatedParameter,
    cells: &Cells,
    points: &[PointFacts],
    deciles: &[f64],
) -> Vec<Association> {
    let (lower, upper) = (parameter.lower_scaled, parameter.upper_scaled);
    let near = NEAR_BOUND * (upper - lower);
    let of = |covariate: Covariate, i: usize| match covariate {
        Covariate::Value => cells.values.get(i),
        Covariate::Objective => deciles[i],
        Covariate::Steps => points[i].steps as f64,
        Covariate::AtBound => {
            let value = cells.values.get(i);
            let is_near = near.is_finite() && (value - lower <= near || upper - value <= near);
            f64::from(u8::from(is_near))
        }
    };
    let places = |kind: VerdictKind| -> Vec<usize> {
        (0..cells.kinds.len()).filter(|&i| cells.kinds[i] == kind).collect()
    };
    let (failing, passing) = (places(VerdictKind::Fail), places(VerdictKind::Pass));
    let mut found: Vec<(Association, [Vec<f64>; 2])> = Vec::new();
    for covariate in Covariate::ALL {
        let samples = [&failing, &passing].map(|places| {
            let mut values: Vec<f64> = places.iter().map(|&i| of(covariate, i)).collect();
            values.sort_unstable_by(f64::total_cmp);
            values
        });
        let Some(test) = rank_test(&samples[0], &samples[1]) else { return Vec::new() };
        let association = Association {
            parameter: index,
            covariate,
            failing: failing.len(),
            passing: passing.len(),
            auc: test.auc,
            p_holm: test.p_value,
            range: (quantile(&samples[0], LEFT_OUT), quantile(&samples[0], 1.0 - LEFT_OUT)),
            sentence: None,
        };
        found.push((association, samples));
    }
    let adjusted = holm(&found.iter().map(|(a, _)| a.p_holm).collect::<Vec<_>>());
    for ((association, _), p) in found.iter_mut().zip(adjusted) {
        association.p_holm = p;
    }
    let strength = |a: &Association| (a.auc - 0.5).abs();
    // A value of 0 on a logarithmic scale is -inf there: no limit can be named.
    let has_limits = |a: &Association| a.range.0.is_finite() && a.range.1.is_finite();
    let are_enough = |a: &Association| a.failing.min(a.passing) >= FEWEST;
    let is_clear = |a: &Association| {
        a.p_holm < CLEAR && strength(a) > STRONG && has_limits(a) && are_enough(a)
    };
    let clear = found.iter_mut().filter(|(a, _)| is_clear(a));
    // The first of equals.
    let strongest = clear.reduce(|a, b| if strength(&b.0) > strength(&a.0) { b } else { a });
    if let Some((association, samples)) = strongest {
        association.sentence = sentence(association, parameter, samples);
    }
    found.into_iter().map(|(association, _)| association).collect()
}

/// Cells of either class without which nothing is said: the normal approximation of the ranks is none of
/// fewer.
const FEWEST: usize = 5;

/// Largest part of the passing cells that may lie where failing ones do, of the part of these.
const TELLING: f64 = 0.5;

/// Where failing cells lie, and how many of either class do; nothing where most passing ones do, too.
fn sentence(
    a: &Association,
    parameter: &EstimatedParameter,
    samples: &[Vec<f64>; 2],
) -> Option<String> {
    let is_above = a.auc > 0.5;
    let limit = if is_above { a.range.0 } else { a.range.1 };
    let lies_there = |v: &&f64| if is_above { **v >= limit } else { **v <= limit };
    let [failing, passing] = samples.each_ref().map(|s| s.iter().filter(lies_there).count());
    let share = |count: usize, of: usize| count as f64 / of.max(1) as f64;
    if share(passing, a.passing) > TELLING * share(failing, a.failing) {
        return None;
    }
    let side = if is_above { "above" } else { "below" };
    let place = match a.covariate {
        Covariate::Value => {
            let scale = match parameter.scale.name() {
                "lin" => String::new(),
                scale => format!(" ({scale})"),
            };
            format!("where its value is {side} {}{scale}", rounded(limit))
        }
        Covariate::Objective if is_above => {
            format!("where the objective is in decile {} or above", limit.ceil())
        }
        Covariate::Objective => {
            format!("where the objective is in decile {} or below", limit.floor())
        }
        Covariate::Steps if is_above => {
            format!("where the simulations take {} steps or more", limit.ceil())
        }
        Covariate::Steps => {
            format!("where the simulations take {} steps or fewer", limit.floor())
        }
        Covariate::AtBound if is_above => "within 1 % of a bound".to_owned(),
        Covariate::AtBound => "away from its bounds".to_owned(),
    };
    Some(format!(
        "fails {place}: {failing} of {} failing and {passing} of {} passing points lie there",
        a.failing, a.passing
    ))
}

/// Three significant digits.
fn rounded(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (1e-3..1e5).contains(&magnitude) {
        let digits = if value == 0.0 { 0 } else { 2 - magnitude.log10().floor() as i32 };
        let text = format!("{value:.*}", digits.max(0) as usize);
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        }
    } else {
        format!("{value:.2e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::CellSummary;
    use crate::petab::ParameterScale;

    fn parameter() -> EstimatedParameter {
        EstimatedParameter {
            id: "k".to_owned(),
            scale: ParameterScale::Log10,
            lower_scaled: -5.0,
            upper_scaled: 5.0,
            nominal_scaled: None,
        }
    }

    fn cell(value: f64, has_failed: bool) -> CellSummary {
        CellSummary {
            kind: if has_failed { VerdictKind::Fail } else { VerdictKind::Pass },
            reason: None,
            is_one_sided: false,
            gradient: 1.0,
            estimate: 1.0,
            threshold: 1e-3,
            value,
        }
    }

    /// Points −4.95, −4.85, … 4.95, in an order that has nothing to do with steps or objective.
    fn found(fails: impl Fn(f64, PointFacts) -> bool) -> Vec<Association> {
        let points: Vec<PointFacts> = (0..100_u64)
            .map(|i| PointFacts { objective: ((i * 37) % 100) as f64, steps: (i * 61) % 100 })
            .collect();
        let cells: Vec<CellSummary> = points
            .iter()
            .enumerate()
            .map(|(i, facts)| {
                let value = 0.1 * i as f64 - 4.95;
                cell(value, fails(value, *facts))
            })
            .collect();
        associations(
            ParameterIdx::from_position(0),
            &parameter(),
            &cells.iter().collect(),
            &points,
            &deciles(&points),
        )
    }

    fn sentences(found: &[Association]) -> Vec<(Covariate, String)> {
        found.iter().filter_map(|a| Some((a.covariate, a.sentence.clone()?))).collect()
    }

    #[test]
    fn a_large_value_is_named() {
        let found = found(|value, _| value > 2.1);
        assert_eq!(found.len(), Covariate::ALL.len());
        let named = sentences(&found);
        // 29 values from 2.15 to 4.95 fail; the quantile 0.05 is 1.4 steps of 0.1 from the lowest.
        assert_eq!(
            named,
            [(
                Covariate::Value,
                "fails where its value is above 2.29 (log10): 27 of 29 failing and 0 of 71 passing \
                 points lie there"
                    .to_owned()
            )]
        );
        let value = &found[0];
        assert_eq!((value.auc, value.failing, value.passing), (1.0, 29, 71));
        assert!((value.range.0 - 2.29).abs() < 1e-12 && (value.range.1 - 4.81).abs() < 1e-12);
    }

    #[test]
    fn every_covariate_is_found_alone() {
        let low = found(|value, _| value < -3.0);
        assert_eq!(sentences(&low)[0].0, Covariate::Value);
        assert!(sentences(&low)[0].1.starts_with("fails where its value is below -3.1"));
        let objective = sentences(&found(|_, point| point.objective >= 80.0));
        assert_eq!(objective.len(), 1);
        assert!(
            objective[0].1.contains("objective is in decile 9 or above: 20 of 20 failing and 0")
        );
        let steps = sentences(&found(|_, point| point.steps < 30));
        assert_eq!(steps.len(), 1);
        assert!(steps[0].1.contains("simulations take 27 steps or fewer"), "{steps:?}");
    }

    #[test]
    fn an_active_bound_is_named() {
        let points = vec![PointFacts { objective: 1.0, steps: 10 }; 60];
        // Both bounds, so that the value itself says nothing.
        let cells: Vec<CellSummary> = (0..60)
            .map(|i| match i % 6 {
                0 => cell(-4.96, true),
                1 => cell(4.95, true),
                k => cell(f64::from(k) - 3.5, false),
            })
            .collect();
        let found = associations(
            ParameterIdx::from_position(0),
            &parameter(),
            &cells.iter().collect(),
            &points,
            &deciles(&points),
        );
        let named = sentences(&found);
        assert_eq!(named.len(), 1, "{found:?}");
        assert_eq!(
            named[0].1,
            "fails within 1 % of a bound: 20 of 20 failing and 0 of 40 passing points lie there"
        );
        // Twin: no bounds, no bound.
        let unbounded = EstimatedParameter {
            upper_scaled: f64::INFINITY,
            lower_scaled: f64::NEG_INFINITY,
            ..parameter()
        };
        let found = associations(
            ParameterIdx::from_position(0),
            &unbounded,
            &cells.iter().collect(),
            &points,
            &deciles(&points),
        );
        assert_eq!(sentences(&found), []);
    }

    #[test]
    fn what_fails_everywhere_or_nowhere_or_anyhow_is_silent() {
        assert_eq!(found(|_, _| true), []);
        assert_eq!(found(|_, _| false), []);
        // Every third point.
        let scattered = found(|value, _| ((10.0 * value + 49.5).round() as i64) % 3 == 0);
        assert_eq!(scattered.len(), Covariate::ALL.len());
        assert_eq!(sentences(&scattered), []);
        // Two failing points are no evidence, wherever they lie.
        assert_eq!(sentences(&found(|value, _| value > 4.8)), []);
    }

    #[test]
    fn deciles_are_ranks() {
        let points: Vec<PointFacts> = [3.0, f64::NAN, 1.0, 2.0, 1.0]
            .map(|objective| PointFacts { objective, steps: 0 })
            .to_vec();
        let found = deciles(&points);
        assert!(found[1].is_nan());
        // Middles of ranks 1, 1, 2.5, 3.5 of 4.
        assert_eq!([found[0], found[2], found[3], found[4]], [9.0, 3.0, 7.0, 3.0]);
    }
}
