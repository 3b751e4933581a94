//! Which rows a wrong gradient of another tool comes from.
//!
//! Such a gradient is known as a whole only. Where a group of rows was dropped, it differs from the
//! estimate by minus our own derivative of that group at every point; where the group was added
//! twice, by plus that. A dropped derivative of sigma is minus the part of ours that comes through
//! sigma, a dropped one of ln sigma minus what of that comes through this term of the likelihood. As
//! with the other marks, most failing points must say so.

use super::diagnosis::{CLOSE, FEWEST_POINTS, PART, median};
use super::effort::Effort;
use super::groups::{GroupKind, Groups};
use super::run::JudgedPoint;
use super::verdict::VerdictKind;
use crate::engine::EngineError;
use crate::index::ParameterIdx;
use crate::sweep::{Evaluator, PointParts, no_further_eps, wants_none};
use std::fmt;

/// Failing points that are kept, in all and for each parameter.
const MOST_POINTS: usize = 200;
const MOST_PER_PARAMETER: usize = 40;
/// A point tells only where the mismatch is this many times what estimate and gradient may be off.
const TELLING: f64 = 10.0;
/// Memory for derivatives of groups that are computed together.
const MOST_BYTES: usize = 1 << 28;

/// A component that fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mismatch {
    pub gradient: f64,
    pub estimate: f64,
    /// What the two may differ by where both are right.
    pub bound: f64,
}

/// A point where components fail.
#[derive(Debug, Clone, PartialEq)]
pub struct FailingPoint {
    /// On the parameter scale, all parameters.
    pub theta: Vec<f64>,
    /// By place in the plan; none where the component does not fail.
    pub mismatches: Vec<Option<Mismatch>>,
}

/// Points that are kept to be looked at again: as many as each parameter needs.
#[derive(Debug, Clone, PartialEq)]
pub struct FailingPoints {
    parameters: Vec<ParameterIdx>,
    points: Vec<FailingPoint>,
    counts: Vec<usize>,
}

/// What is wrong with a contribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Missing,
    Doubled,
    /// Its derivative through sigma is missing.
    NoiseMissing,
    /// Of that only what comes through the likelihood's term ln sigma.
    LogSigmaMissing,
}

impl Claim {
    /// In words, of a contributor.
    pub fn of(self, source: &Contributor) -> String {
        match self {
            Self::Missing => format!("what is missing is the contribution of {source}"),
            Self::Doubled => format!("the contribution of {source} is there twice"),
            Self::NoiseMissing => format!(
                "what is missing is the derivative through the noise parameters of {source}"
            ),
            Self::LogSigmaMissing => {
                format!("what is missing is the derivative of the term ln sigma of {source}")
            }
        }
    }
}

/// Whose contribution it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contributor {
    Rows(GroupKind, String),
    Prior,
    /// Tells of sigma only: the sum of everything is the gradient itself.
    AllRows,
}

impl fmt::Display for Contributor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(kind, name) => write!(f, "{kind} {name}"),
            Self::Prior => f.write_str("the prior"),
            Self::AllRows => f.write_str("all rows"),
        }
    }
}

/// How a parameter's mismatch compares with the derivative of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    pub kind: GroupKind,
    pub source: Contributor,
    pub parameter: ParameterIdx,
    /// Of second derivatives the parameter of the entry's column.
    pub along: Option<ParameterIdx>,
    /// Failing points that can tell.
    pub telling: usize,
    /// Of these, those at which the mismatch is minus the group's derivative, plus that, minus what of
    /// it comes through sigma, and minus what of it comes through ln sigma.
    pub missing: usize,
    pub doubled: usize,
    pub noise_missing: usize,
    pub log_sigma_missing: usize,
    /// Medians over them: mismatch over the group's derivative, and the part of the mismatch that
    /// dropping the group or adding it twice explains (1: all of it).
    pub ratio: f64,
    pub explained: f64,
}

/// The group that explains a parameter's mismatch.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub parameter: ParameterIdx,
    /// As [`Attribution::along`].
    pub along: Option<ParameterIdx>,
    pub claim: Claim,
    pub source: Contributor,
    /// Points that say so, and all that can tell.
    pub bearing: usize,
    pub telling: usize,
}

impl FailingPoints {
    /// None so far, of a check of these parameters.
    pub fn new(parameters: &[ParameterIdx]) -> Self {
        let counts = vec![0; parameters.len()];
        Self { parameters: parameters.to_vec(), points: Vec::new(), counts }
    }

    /// Keeps a point if a component fails there of which there are not enough yet. `allowances` are
    /// the errors that a right gradient may have, by estimated parameter.
    pub fn add(&mut self, theta: &[f64], judged: &JudgedPoint, allowances: Option<&[f64]>) {
        let mismatches = judged.cells.iter().map(|cell| {
            let has_failed = cell.verdict.kind == VerdictKind::Fail;
            let estimate = cell.estimate.filter(|_| has_failed)?;
            let allowance = allowances.map_or(0.0, |a| a[cell.parameter.position()]);
            let bound = estimate.bound + estimate.floor + allowance;
            Some(Mismatch { gradient: cell.gradient, estimate: estimate.value, bound })
        });
        self.keep(theta, mismatches.collect());
    }

    /// The same with what fails, by place in the plan.
    pub(super) fn keep(&mut self, theta: &[f64], mismatches: Vec<Option<Mismatch>>) {
        let failing = || mismatches.iter().map(Option::is_some);
        let is_wanted = |(fails, count): (bool, &usize)| fails && *count < MOST_PER_PARAMETER;
        if self.points.len() >= MOST_POINTS || !failing().zip(&self.counts).any(is_wanted) {
            return;
        }
        failing().zip(&mut self.counts).for_each(|(fails, n)| *n += usize::from(fails));
        self.points.push(FailingPoint { theta: theta.to_vec(), mismatches });
    }

    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The points without the mismatches of parameters that are not asked about.
    pub fn retain(&mut self, is_wanted: impl Fn(ParameterIdx) -> bool) {
        for point in &mut self.points {
            for (mismatch, parameter) in point.mismatches.iter_mut().zip(&self.parameters) {
                *mismatch = mismatch.filter(|_| is_wanted(*parameter));
            }
        }
        self.points.retain(|point| point.mismatches.iter().any(Option::is_some));
    }
}

/// Figures of one candidate.
#[derive(Default)]
struct Tally {
    missing: usize,
    doubled: usize,
    noise_missing: usize,
    log_sigma_missing: usize,
    ratios: Vec<f64>,
    explained: Vec<f64>,
    /// Whether the derivative was ever something else than 0.
    is_alive: bool,
}

impl Tally {
    /// Looks at a mismatch and the candidate's derivatives, in all, through sigma and through ln sigma.
    fn add(&mut self, mismatch: &Mismatch, all: Option<f64>, [noise, log_sigma]: [f64; 2]) {
        let d = mismatch.gradient - mismatch.estimate;
        let is = |expected: f64| {
            expected != 0.0 && (d - expected).abs() <= CLOSE * expected.abs() + mismatch.bound
        };
        self.noise_missing += usize::from(is(-noise));
        self.log_sigma_missing += usize::from(is(-log_sigma));
        self.is_alive |= noise != 0.0 || log_sigma != 0.0;
        let Some(all) = all else { return };
        self.is_alive |= all != 0.0;
        self.missing += usize::from(is(-all));
        self.doubled += usize::from(is(all));
        self.ratios.push(d / all);
        let rest = (d - all).abs().min((d + all).abs());
        self.explained.push((1.0 - rest / d.abs()).max(0.0));
    }
}

/// Compares the mismatches with the derivatives of the groups of one kind, for every parameter that
/// fails somewhere. What that takes goes to `effort`.
///
/// # Errors
/// An engine's failure.
pub fn attribute(
    evaluator: &Evaluator<'_>,
    failing: &FailingPoints,
    groups: &Groups,
    effort: &mut Effort,
) -> Result<Vec<Attribution>, EngineError> {
    let partition = groups.partition(true);
    let most = evaluator.points_per_chunk(&[], 0);
    attribute_by(failing, groups, most, &mut |thetas, parameters| {
        let evaluated = evaluator.evaluate_parts(
            thetas,
            parameters,
            &[],
            &partition,
            (&no_further_eps, &wants_none),
        )?;
        effort.count(evaluated.lanes, evaluated.steps);
        Ok(evaluated.parts)
    })
}

/// Gives own derivatives by group, with what comes through sigma: (points, parameters).
pub type PartsSource<'a, E> =
    dyn FnMut(&[Vec<f64>], &[ParameterIdx]) -> Result<Vec<PointParts>, E> + 'a;

/// The same with derivatives from elsewhere, of so many points at once at most.
///
/// # Errors
/// The first error of `derivatives_at`.
pub fn attribute_by<E>(
    failing: &FailingPoints,
    groups: &Groups,
    most: usize,
    derivatives_at: &mut PartsSource<'_, E>,
) -> Result<Vec<Attribution>, E> {
    let count = groups.names.len();
    let concerned: Vec<usize> = (0..failing.parameters.len())
        .filter(|place| failing.points.iter().any(|p| p.mismatches[*place].is_some()))
        .collect();
    let block = (MOST_BYTES / (2 * count * size_of::<f64>()).max(1)).max(1);
    let mut found = Vec::new();
    for places in concerned.chunks(block) {
        let parameters: Vec<ParameterIdx> = places.iter().map(|p| failing.parameters[*p]).collect();
        let mut tallies: Vec<Vec<Tally>> = Vec::new();
        tallies.resize_with(places.len(), || {
            let mut of_parameter = Vec::new();
            of_parameter.resize_with(count + 1, Tally::default);
            of_parameter
        });
        let mut telling = vec![0; places.len()];
        let chunk = (block / places.len()).clamp(1, most.max(1));
        for points in failing.points.chunks(chunk) {
            let thetas: Vec<Vec<f64>> = points.iter().map(|p| p.theta.clone()).collect();
            let all_parts = derivatives_at(&thetas, &parameters)?;
            for (point, parts) in points.iter().zip(&all_parts) {
                for (j, place) in places.iter().enumerate() {
                    let Some(mismatch) = &point.mismatches[*place] else { continue };
                    let Some([all, noise, log_sigma]) = derivatives(parts, j, count) else {
                        continue;
                    };
                    if can_tell(mismatch, all.iter().sum()) {
                        telling[j] += 1;
                        for (group, tally) in tallies[j][..count].iter_mut().enumerate() {
                            let of_sigma = [noise[group], log_sigma[group]];
                            tally.add(mismatch, Some(all[group]), of_sigma);
                        }
                        let of_sigma = [noise, log_sigma].map(|groups| groups.iter().sum());
                        tallies[j][count].add(mismatch, None, of_sigma);
                    }
                }
            }
        }
        for ((&parameter, tallies), telling) in parameters.iter().zip(tallies).zip(telling) {
            let alive = tallies.into_iter().enumerate().filter(|(_, tally)| tally.is_alive);
            found.extend(alive.map(|(group, tally)| Attribution {
                kind: groups.kind,
                source: source(groups, group),
                parameter,
                along: None,
                telling,
                missing: tally.missing,
                doubled: tally.doubled,
                noise_missing: tally.noise_missing,
                log_sigma_missing: tally.log_sigma_missing,
                ratio: median(tally.ratios).unwrap_or(f64::NAN),
                explained: median(tally.explained).unwrap_or(f64::NAN),
            }));
        }
    }
    Ok(found)
}

/// The source of a number: of a group, or behind them of all rows.
fn source(groups: &Groups, number: usize) -> Contributor {
    match groups.names.get(number) {
        None => Contributor::AllRows,
        Some(_) if groups.prior == Some(number) => Contributor::Prior,
        Some(name) => Contributor::Rows(groups.kind, name.clone()),
    }
}

/// The groups' derivatives of the j-th parameter, in all, through sigma and through ln sigma; none
/// where the point failed.
fn derivatives(parts: &PointParts, j: usize, count: usize) -> Option<[&[f64]; 3]> {
    let of_parameter = j * count..(j + 1) * count;
    Some([
        parts.gradient.get(of_parameter.clone())?,
        parts.noise_gradient.get(of_parameter.clone())?,
        parts.log_sigma_gradient.get(of_parameter)?,
    ])
}

/// Whether the mismatch is well above all errors, and our own derivative explains the estimate.
fn can_tell(mismatch: &Mismatch, own: f64) -> bool {
    let d = (mismatch.gradient - mismatch.estimate).abs();
    d.is_finite()
        && d > TELLING * mismatch.bound
        && (own - mismatch.estimate).abs() <= CLOSE * d + mismatch.bound
}

/// For each parameter the contribution that explains its mismatch at most points, if it does at four
/// of five that can tell, and there are enough of these. Of equals the first: a missing group comes
/// before one that is there twice, that before a derivative through sigma, and that before one of
/// ln sigma; then the order of
/// `attributions`.
pub fn findings(attributions: &[Attribution]) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for (claim, bearing) in [
        (Claim::Missing, (|a| a.missing) as fn(&Attribution) -> usize),
        (Claim::Doubled, |a| a.doubled),
        (Claim::NoiseMissing, |a| a.noise_missing),
        (Claim::LogSigmaMissing, |a| a.log_sigma_missing),
    ] {
        // Where sigma of one group only knows the parameter, all rows and this group are the same.
        let all_first = |a: &&Attribution| a.source == Contributor::AllRows;
        let (whole, parts): (Vec<&Attribution>, Vec<_>) = attributions.iter().partition(all_first);
        for a in whole.into_iter().chain(parts) {
            let (bearing, telling) = (bearing(a), a.telling);
            if telling < FEWEST_POINTS || (bearing as f64) < PART * telling as f64 {
                continue;
            }
            let source = a.source.clone();
            let (parameter, along) = (a.parameter, a.along);
            let finding = Finding { parameter, along, claim, source, bearing, telling };
            match found.iter_mut().find(|f| (f.parameter, f.along) == (parameter, along)) {
                None => found.push(finding),
                Some(known) if bearing * known.telling > known.bearing * telling => {
                    *known = finding;
                }
                Some(_) => {}
            }
        }
    }
    found
}
