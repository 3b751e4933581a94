//! Many starts at once: each round's evaluations are one batch.

use super::bounds::Bounds;
use super::lbfgsb::Lbfgsb;
use super::minimiser::{Evaluation, Limits, Minimiser, Position, Stop};
use super::objective::Objective;
use super::trust_region::TrustRegion;
use crate::engine::EngineError;
use crate::index::PointIdx;
use crate::sweep::{Evaluator, Failure};
use rayon::prelude::*;

/// The method of all starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Lbfgsb,
    GaussNewton,
}

impl Method {
    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lbfgsb => "lbfgsb",
            Self::GaussNewton => "gauss-newton",
        }
    }

    fn start(self, x: Vec<f64>, bounds: &Bounds, limits: Limits) -> Box<dyn Minimiser> {
        match self {
            Self::Lbfgsb => Box::new(Lbfgsb::new(x, bounds.clone(), limits)),
            Self::GaussNewton => Box::new(TrustRegion::new(x, bounds.clone(), limits)),
        }
    }
}

/// Where a start has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimum {
    pub start: PointIdx,
    /// The start's own value; infinite where it has none.
    pub first_value: f64,
    pub position: Position,
    pub stop: Stop,
    /// Why the first point has no value, where it has none.
    pub failure: Option<Failure>,
    /// Evaluations without a value.
    pub failed_evaluations: usize,
}

/// An iteration of a start, or its first point (0).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Iteration {
    pub start: PointIdx,
    pub iteration: usize,
    pub evaluations: usize,
    pub value: f64,
    pub projected_gradient: f64,
    pub step: f64,
}

/// What it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effort {
    /// Batches of evaluations.
    pub rounds: usize,
    pub evaluations: usize,
    /// Integrations, and attempted steps of all these.
    pub lanes: u64,
    pub steps: u64,
}

/// Gets the iterations of a round, the starts in order, and the number of starts that have stopped.
pub type Observer<'a, E> = dyn FnMut(&[Iteration], usize) -> Result<(), E> + 'a;

/// What was evaluated at once: each active start's evaluation, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    pub evaluations: Vec<(Evaluation, Option<Failure>)>,
    /// Integrations, and attempted steps of all these.
    pub lanes: u64,
    pub steps: u64,
}

/// Keeps rounds, so that an optimisation that was cut off can go on: minimisers are functions of what
/// they are told, so that telling it again brings them to where they were.
pub trait Rounds<E> {
    /// The next round if it was done before, of so many evaluations; each call is for the next one.
    fn done(&mut self, evaluations: usize) -> Result<Option<Round>, E>;

    /// Gets each round that was not done before.
    fn keep(&mut self, round: &Round) -> Result<(), E>;
}

/// A start under way.
struct Start {
    minimiser: Box<dyn Minimiser>,
    first_value: f64,
    failure: Option<Failure>,
    failed_evaluations: usize,
    /// Iterations that `seen` was told of.
    told: Option<usize>,
}

/// Optimises from every start, given on the parameter scale; `rounds` has what was done before, `seen`
/// gets each iteration.
///
/// # Errors
/// An engine's failure, or the first error of `rounds` or `seen`.
pub fn minimise<E: From<EngineError>>(
    evaluator: &Evaluator<'_>,
    starts: &[Vec<f64>],
    bounds: &Bounds,
    (method, limits): (Method, Limits),
    rounds: &mut dyn Rounds<E>,
    seen: &mut Observer<'_, E>,
) -> Result<(Vec<Optimum>, Effort), E> {
    let begin = |x: &Vec<f64>| Start {
        minimiser: method.start(x.clone(), bounds, limits),
        first_value: f64::INFINITY,
        failure: None,
        failed_evaluations: 0,
        told: None,
    };
    let mut all: Vec<Start> = starts.iter().map(begin).collect();
    let objective = Objective::new(evaluator, method);
    let mut effort = Effort::default();
    loop {
        let active: Vec<usize> =
            (0..all.len()).filter(|&k| all[k].minimiser.wanted().is_some()).collect();
        if active.is_empty() {
            break;
        }
        let wanted: Vec<Vec<f64>> =
            active.iter().filter_map(|&k| all[k].minimiser.wanted()).map(<[f64]>::to_vec).collect();
        let round = match rounds.done(wanted.len())? {
            Some(round) => round,
            None => {
                let round = objective.evaluate(&wanted)?;
                rounds.keep(&round)?;
                round
            }
        };
        effort.rounds += 1;
        effort.evaluations += wanted.len();
        effort.lanes += round.lanes;
        effort.steps += round.steps;
        let mut evaluated = round.evaluations.into_iter();
        let mut told: Vec<Option<(Evaluation, Option<Failure>)>> =
            all.iter().map(|_| None).collect();
        for &k in &active {
            told[k] = evaluated.next();
        }
        all.par_iter_mut().zip(told).for_each(|(start, told)| {
            if let Some((evaluation, failure)) = told {
                start.tell(evaluation, failure);
            }
        });
        let iterations: Vec<Iteration> =
            active.iter().filter_map(|&k| all[k].iteration(k)).collect();
        let stopped = all.iter().filter(|start| start.minimiser.stop().is_some()).count();
        seen(&iterations, stopped)?;
    }
    let ended = all.into_iter().enumerate().filter_map(|(k, start)| {
        Some(Optimum {
            start: PointIdx::from_position(k),
            first_value: start.first_value,
            position: start.minimiser.position().clone(),
            stop: start.minimiser.stop()?,
            failure: start.failure,
            failed_evaluations: start.failed_evaluations,
        })
    });
    Ok((ended.collect(), effort))
}

/// The lowest objective first; starts that failed come last, equal ones in their order.
pub fn sorted(mut optima: Vec<Optimum>) -> Vec<Optimum> {
    optima.sort_by(|a, b| a.position.value.total_cmp(&b.position.value));
    optima
}

impl Start {
    fn tell(&mut self, evaluation: Evaluation, failure: Option<Failure>) {
        let is_first = self.minimiser.position().evaluations == 0;
        if is_first {
            (self.first_value, self.failure) = (evaluation.value, failure);
        }
        self.failed_evaluations += usize::from(!evaluation.is_usable());
        self.minimiser.tell(evaluation);
    }

    /// The iteration that has just ended, if one has.
    fn iteration(&mut self, place: usize) -> Option<Iteration> {
        let position = self.minimiser.position();
        if !position.value.is_finite() || self.told == Some(position.iterations) {
            return None;
        }
        self.told = Some(position.iterations);
        Some(Iteration {
            start: PointIdx::from_position(place),
            iteration: position.iterations,
            evaluations: position.evaluations,
            value: position.value,
            projected_gradient: position.projected_gradient,
            step: position.step,
        })
    }
}
