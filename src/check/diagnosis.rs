//! What is likely wrong with a gradient that fails consistently.
//!
//! A mistake in a formula leaves its mark at nearly every point: the ratio of gradient and
//! estimate, or their difference, is the same number or the same function of the parameter. Marks
//! are those of real bug reports: a sign, a factor 2 or ½, a zero, the chain rule's factors of
//! parameter scales, another parameter's component, a term that is linear in the parameter.

use super::attribution::{Claim, Contributor, Finding};
use crate::index::ParameterIdx;
use crate::model::EstimatedParameter;
use crate::petab::ParameterScale;
use std::f64::consts::LN_10;
use std::fmt;

/// Points that are kept for the diagnosis.
pub const MOST_SAMPLES: usize = 2_000;
/// Part of the failing points that must bear a mark.
pub(super) const PART: f64 = 0.8;
/// Points without which nothing is said.
pub(super) const FEWEST_POINTS: usize = 5;
/// Distance from a mark that counts as bearing it, relative to what the mark expects and to the
/// mismatch that it explains, beside the estimate's own bound.
pub(super) const CLOSE: f64 = 1e-2;

/// A cell of a point that had some failing cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleCell {
    pub gradient: f64,
    pub estimate: f64,
    /// On the estimate's error, with what differences cannot see.
    pub bound: f64,
    pub has_failed: bool,
}

impl SampleCell {
    /// Whether the gradient is what a mark expects, itself known to `bound`; nearer to it than to the
    /// estimate by far.
    pub(super) fn is_near(&self, expected: f64, bound: f64) -> bool {
        let scale = expected.abs().min((self.gradient - self.estimate).abs());
        (self.gradient - expected).abs() <= CLOSE * scale + bound
    }
}

/// Such a point.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// On the parameter scale, all parameters.
    pub theta: Vec<f64>,
    /// One for each parameter of the plan.
    pub cells: Vec<SampleCell>,
}

/// The mark that a mistake left.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// The gradient is zero where it should not be.
    Zero,
    /// Gradient over estimate is this number.
    Factor(f64),
    /// Gradient over estimate is p, p·ln 10 or the inverse of one of these: the chain rule of a
    /// logarithmic scale.
    Scale { with_ln10: bool, is_inverse: bool },
    /// The component of another parameter stands in its place.
    Swapped(ParameterIdx),
    /// Gradient minus estimate is this constant.
    Offset(f64),
    /// Gradient minus estimate is linear in the parameter: a term of the objective is missing, as
    /// a normal prior.
    LinearOffset { slope: f64 },
    /// The gradient is that of another point.
    OtherPoint,
    /// A group of rows, or the derivative of sigma, is missing or there twice.
    Contribution(Claim, Contributor),
    /// None that is known.
    Unknown,
}

/// What is likely wrong, and how many of the failing points say so.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    pub mark: Mark,
    /// Failing points with the mark, and all that were looked at.
    pub bearing: usize,
    pub failing: usize,
    /// Id of the parameter that [`Mark::Swapped`] names, and whether that has this one's component.
    swapped_id: Option<String>,
    is_mutual: bool,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mark, bearing, failing, .. } = self;
        match mark {
            Mark::Zero => f.write_str("the gradient is 0 where the objective does change")?,
            Mark::Factor(factor) if *factor == -1.0 => f.write_str("the sign is wrong")?,
            Mark::Factor(factor) if *factor == LN_10 => {
                f.write_str("too large by ln 10: the factor of the log10 scale is there twice, or the parameter is not on it")?;
            }
            Mark::Factor(factor) if *factor == 1.0 / LN_10 => {
                f.write_str("too small by ln 10: the factor of the log10 scale is missing")?;
            }
            Mark::Factor(factor) => write!(f, "wrong by a factor of {}", short(*factor))?,
            Mark::Scale { with_ln10, is_inverse } => {
                let factor = if *with_ln10 { "p ln 10" } else { "p" };
                let scale = if *with_ln10 { "log10" } else { "log" };
                if *is_inverse {
                    write!(
                        f,
                        "too small by {factor}: the derivative is one on the linear, not on the {scale} scale"
                    )?;
                } else {
                    write!(
                        f,
                        "too large by {factor}: the chain rule of the {scale} scale is there twice, or the scale is linear"
                    )?;
                }
            }
            Mark::Swapped(_) => {
                let id = self.swapped_id.as_deref().unwrap_or("?");
                write!(f, "it is the component of {id}: columns may be swapped")?;
            }
            Mark::Offset(offset) => {
                let side = if *offset > 0.0 { "large" } else { "small" };
                write!(
                    f,
                    "too {side} by the constant {}: a term of the objective is missing, or there twice",
                    short(offset.abs())
                )?;
            }
            Mark::LinearOffset { slope } => write!(
                f,
                "off by a term linear in the parameter (slope {}): a prior or a penalty is missing, or there twice",
                short(*slope)
            )?,
            Mark::OtherPoint => f.write_str(
                "it is the gradient of another point: rows may be shifted, or in another order",
            )?,
            Mark::Contribution(claim, source) => f.write_str(&claim.of(source))?,
            Mark::Unknown => return write!(f, "no known mark in {failing} failing points"),
        }
        write!(f, " ({bearing} of {failing} failing points)")
    }
}

fn short(value: f64) -> String {
    let magnitude = value.abs();
    if (1e-3..1e5).contains(&magnitude) { format!("{value:.4}") } else { format!("{value:.3e}") }
}

impl Diagnosis {
    /// One that names no other parameter.
    pub(super) fn of_mark(mark: Mark, bearing: usize, failing: usize) -> Self {
        Self { mark, bearing, failing, swapped_id: None, is_mutual: false }
    }

    /// What a finding says, where it says more than what is known so far.
    pub fn improved(known: Option<Self>, finding: &Finding) -> Self {
        let mark = Mark::Contribution(finding.claim, finding.source.clone());
        let found = Self::of_mark(mark, finding.bearing, finding.telling);
        let part = |d: &Self| d.bearing as f64 / d.failing.max(1) as f64;
        let says_more = |known: &Self| match known.mark {
            Mark::Unknown => true,
            // Of a group that is all there is these say the same, and more simply.
            Mark::Zero if finding.claim == Claim::Missing => false,
            Mark::Factor(factor) if finding.claim == Claim::Doubled && factor == 2.0 => false,
            // These tell that a term is missing, not which.
            Mark::Offset(_) | Mark::LinearOffset { .. } => part(&found) >= part(known),
            // Two columns that are each other's are no accident.
            Mark::Swapped(_) if known.is_mutual => false,
            _ => part(&found) > part(known),
        };
        match known {
            Some(known) if !says_more(&known) => known,
            _ => found,
        }
    }
}

/// The diagnosis of the parameter at `place` in the plan; none if too few points failed.
pub fn diagnose(
    place: usize,
    plan: &[ParameterIdx],
    parameters: &[EstimatedParameter],
    samples: &[Sample],
) -> Option<Diagnosis> {
    let failing: Vec<&Sample> = samples.iter().filter(|s| s.cells[place].has_failed).collect();
    if failing.len() < FEWEST_POINTS {
        return None;
    }
    let own = plan[place];
    let parameter = &parameters[own.position()];
    let count = |bears: &dyn Fn(&Sample) -> bool| failing.iter().filter(|s| bears(s)).count();
    // The gradient is what the estimate becomes under a mark, to the estimate's own bound.
    let is_close = |cell: &SampleCell, expected: f64, scale: f64| {
        cell.is_near(expected, scale.abs() * cell.bound)
    };
    let by_factor = |factor: &dyn Fn(f64) -> f64| {
        count(&|s| {
            let cell = &s.cells[place];
            let factor = factor(s.theta[own.position()]);
            is_close(cell, factor * cell.estimate, factor)
        })
    };
    // All signs wrong exchanges components that are each other's opposites: the simpler comes first.
    let mut found: Vec<(Mark, usize)> = vec![(Mark::Factor(-1.0), by_factor(&|_| -1.0))];
    let exchanged = exchange(place, samples, plan.len());
    found.extend(exchanged.map(|(other, bearing)| (Mark::Swapped(plan[other]), bearing)));
    found.push((Mark::Zero, count(&|s| s.cells[place].gradient == 0.0)));
    for factor in [2.0, 0.5, LN_10, 1.0 / LN_10] {
        found.push((Mark::Factor(factor), by_factor(&|_| factor)));
    }
    for with_ln10 in [false, true] {
        for is_inverse in [false, true] {
            let factor = |theta: f64| {
                // What the value would be on either scale: the mistake may be the scale itself.
                let p = match parameter.scale {
                    ParameterScale::Lin => theta,
                    scale => scale.unscale(theta),
                };
                let product = if with_ln10 { p * LN_10 } else { p };
                if is_inverse { 1.0 / product } else { product }
            };
            found.push((Mark::Scale { with_ln10, is_inverse }, by_factor(&factor)));
        }
    }
    for (other, &index) in plan.iter().enumerate().filter(|(other, _)| *other != place) {
        let bearing = count(&|s| {
            let (cell, theirs) = (&s.cells[place], &s.cells[other]);
            theirs.estimate != 0.0 && cell.is_near(theirs.estimate, theirs.bound)
        });
        found.push((Mark::Swapped(index), bearing));
    }
    found.extend(constant_factor(&failing, place));
    found.extend(offsets(&failing, place, own));
    // The first of equals: the simpler marks come first.
    let best = found.into_iter().rev().max_by_key(|(_, bearing)| *bearing);
    let (mark, bearing) = best
        .filter(|(_, b)| *b as f64 >= PART * failing.len() as f64)
        .unwrap_or((Mark::Unknown, 0));
    let swapped_id = match mark {
        Mark::Swapped(index) => Some(parameters[index.position()].id.clone()),
        _ => None,
    };
    let is_mutual = exchanged.is_some_and(|(other, _)| mark == Mark::Swapped(plan[other]));
    Some(Diagnosis { mark, bearing, failing: failing.len(), swapped_id, is_mutual })
}

/// The parameter with which a column was exchanged: at the points where either fails, each has the
/// other's component. That of an insensitive parameter is 0, which says nothing by itself.
fn exchange(place: usize, samples: &[Sample], count: usize) -> Option<(usize, usize)> {
    (0..count).filter(|other| *other != place).find_map(|other| {
        let (mut own, mut either, mut both, mut theirs) = (0, 0, 0, 0);
        for sample in samples {
            let [a, b] = [place, other].map(|p| &sample.cells[p]);
            if !(a.has_failed || b.has_failed) {
                continue;
            }
            let is_exchanged = a.is_near(b.estimate, b.bound) && b.is_near(a.estimate, a.bound);
            either += 1;
            both += usize::from(is_exchanged);
            own += usize::from(is_exchanged && a.has_failed);
            theirs += usize::from(b.has_failed);
        }
        let is_exchange = theirs >= FEWEST_POINTS && both as f64 >= PART * either as f64;
        is_exchange.then_some((other, own))
    })
}

/// Any other number that the ratio is everywhere.
fn constant_factor(failing: &[&Sample], place: usize) -> Option<(Mark, usize)> {
    let ratios = failing.iter().map(|s| s.cells[place].gradient / s.cells[place].estimate);
    let factor = median(ratios.filter(|r| r.is_finite()).collect())?;
    // Near 1 the mismatch, not the gradient, is what must be the same part everywhere.
    let closeness = CLOSE * (factor - 1.0).abs().min(factor.abs());
    let bears = |s: &&&Sample| {
        let cell = &s.cells[place];
        let off = (cell.gradient - factor * cell.estimate).abs();
        off <= closeness * cell.estimate.abs() + factor.abs() * cell.bound
    };
    (factor != 0.0).then(|| (Mark::Factor(factor), failing.iter().filter(bears).count()))
}

/// A constant, or a term linear in the parameter, that the gradient lacks or has too much.
fn offsets(failing: &[&Sample], place: usize, own: ParameterIdx) -> Vec<(Mark, usize)> {
    let difference = |s: &Sample| s.cells[place].gradient - s.cells[place].estimate;
    let theta = |s: &Sample| s.theta[own.position()];
    let bearing = |expected: &dyn Fn(&Sample) -> f64| {
        let bears = |s: &&&Sample| {
            let allowed = CLOSE * expected(s).abs() + s.cells[place].bound;
            // A difference that the bound alone explains bears nothing.
            difference(s).abs() > allowed && (difference(s) - expected(s)).abs() <= allowed
        };
        failing.iter().filter(bears).count()
    };
    let mut found = Vec::new();
    let Some(constant) = median(failing.iter().map(|s| difference(s)).collect()) else {
        return found;
    };
    found.push((Mark::Offset(constant), bearing(&|_| constant)));
    // Theil and Sen: the median of slopes between points far apart in order.
    let half = failing.len() / 2;
    let mut sorted: Vec<&&Sample> = failing.iter().collect();
    sorted.sort_by(|a, b| theta(a).total_cmp(&theta(b)));
    let slopes = sorted
        .iter()
        .zip(&sorted[half..])
        .map(|(a, b)| (difference(b) - difference(a)) / (theta(b) - theta(a)));
    let slope = median(slopes.filter(|s| s.is_finite()).collect());
    if let Some(slope) = slope.filter(|s| *s != 0.0) {
        let rest = failing.iter().map(|s| difference(s) - slope * theta(s)).collect();
        let start = median(rest).unwrap_or(0.0);
        found.push((Mark::LinearOffset { slope }, bearing(&|s| start + slope * theta(s))));
    }
    found
}

pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Groups of parameters of the plan, by place, whose failing points are nearly the same: they may
/// have one cause. Groups of one are left out.
pub fn common_causes(samples: &[Sample], failing: &[usize]) -> Vec<Vec<usize>> {
    /// Part of the points at which either fails that both must fail at.
    const OVERLAP: f64 = 0.9;
    let both = |a: usize, b: usize| {
        let (mut either, mut both) = (0, 0);
        for sample in samples {
            let [x, y] = [a, b].map(|p| sample.cells[p].has_failed);
            either += usize::from(x || y);
            both += usize::from(x && y);
        }
        both as f64 >= OVERLAP * either as f64
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &place in failing {
        match groups.iter_mut().find(|group| both(group[0], place)) {
            Some(group) => group.push(place),
            None => groups.push(vec![place]),
        }
    }
    groups.retain(|group| group.len() > 1);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mark of parameter 0 of two, at ten points with these (gradient, estimate), all failing
    /// where the two differ by a ten-thousandth.
    fn mark(components: impl Fn(f64) -> [(f64, f64); 2]) -> (Mark, bool) {
        let plan = [0, 1].map(ParameterIdx::from_position);
        let parameter = |id: &str| EstimatedParameter {
            id: id.to_owned(),
            scale: ParameterScale::Log10,
            lower_scaled: -1.0,
            upper_scaled: 1.0,
            nominal_scaled: None,
        };
        let samples: Vec<Sample> = (1..=10)
            .map(|k| {
                let cell = |(gradient, estimate): (f64, f64)| SampleCell {
                    gradient,
                    estimate,
                    bound: 1e-9,
                    has_failed: (gradient - estimate).abs() > 1e-4,
                };
                let x = f64::from(k);
                // A value of its own for each: no accident looks like a scale.
                let theta = vec![(0.37 * x).sin(), (0.59 * x).cos()];
                Sample { theta, cells: components(x).map(cell).to_vec() }
            })
            .collect();
        let found = diagnose(0, &plan, &[parameter("a"), parameter("b")], &samples).unwrap();
        (found.mark, found.is_mutual)
    }

    #[test]
    fn an_exchange_with_an_insensitive_parameter_is_one() {
        let other = ParameterIdx::from_position(1);
        // The right components are x² and 0.
        assert_eq!(mark(|x| [(0.0, x * x), (x * x, 0.0)]), (Mark::Swapped(other), true));
        // Twin: the other column is right.
        assert_eq!(mark(|x| [(0.0, x * x), (0.0, 0.0)]), (Mark::Zero, false));
    }

    #[test]
    fn a_wrong_sign_of_opposite_components_is_no_exchange() {
        let expected = (Mark::Factor(-1.0), false);
        assert_eq!(mark(|x| [(-x * x, x * x), (x * x, -x * x)]), expected);
    }

    #[test]
    fn a_small_mismatch_is_not_explained_by_an_equal_component() {
        let (found, _) = mark(|x| [(1.001 * x, x), (x, x)]);
        assert!(matches!(found, Mark::Factor(f) if (f - 1.001).abs() < 1e-12), "{found:?}");
    }
}
