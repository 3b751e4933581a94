//! A trust-region method with a Fisher matrix, what it leaves out learnt by secants, and bounds by
//! active sets.
//!
//! In the way of Dennis, Gay & Welsch, *An adaptive nonlinear least-squares algorithm*, ACM Trans. Math.
//! Softw. 7 (1981): see [`Remainder`]. Steps are those of [`Model::lowest`], which end at bounds where
//! the model leads there. In a curved valley a step along its tangent leads up a wall; before it is
//! made shorter, the model of its own end says where in the same ball the floor is.

use super::bounds::Bounds;
use super::box_step::{BoxStep, Model};
use super::dense::{Matrix, dot, norm};
use super::minimiser::{Evaluation, Limits, Minimiser, Position, Stop};
use super::remainder::Remainder;

/// Radius at first, and how it follows the ratio of reduction to prediction; those of fides.
const FIRST_RADIUS: f64 = 1.0;
const POOR: f64 = 0.25;
const GOOD: f64 = 0.75;
const SHRINK: f64 = 0.25;
const GROW: f64 = 2.0;
/// Steps one after the other that gain next to nothing, be it for a small trust region: then the
/// objective is as low as it becomes.
const MOST_IDLE: usize = 5;

/// A step that is being tried.
struct Trial {
    step: Vec<f64>,
    length: f64,
    predicted: f64,
    /// Whether the trust region cut it off.
    is_limited: bool,
    /// Where this is a correction: the point that was tried before, with its evaluation.
    before: Option<(Vec<f64>, Evaluation)>,
}

/// What it waits for.
enum Phase {
    Start,
    Step(Trial),
    Stopped(Stop),
}

/// A local optimisation.
pub struct TrustRegion {
    bounds: Bounds,
    limits: Limits,
    position: Position,
    remainder: Remainder,
    /// Of the position: its Fisher matrix and the remainder.
    curvature: Matrix,
    radius: f64,
    /// Steps since one gained something.
    idle: usize,
    trial: Vec<f64>,
    phase: Phase,
}

fn differences(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

impl TrustRegion {
    /// From a start, which is moved into the box.
    pub fn new(start: Vec<f64>, bounds: Bounds, limits: Limits) -> Self {
        let position = Position::new(start, &bounds);
        Self {
            trial: position.x.clone(),
            position,
            bounds,
            limits,
            remainder: Remainder::default(),
            curvature: Matrix::default(),
            radius: FIRST_RADIUS,
            idle: 0,
            phase: Phase::Start,
        }
    }

    /// The position moved by a step.
    fn moved(&self, step: &[f64]) -> Vec<f64> {
        let mut x: Vec<f64> = self.position.x.iter().zip(step).map(|(x, s)| x + s).collect();
        self.bounds.clamp(&mut x);
        x
    }

    /// Chooses the next step to try.
    fn propose(&mut self) {
        let position = &self.position;
        let model = Model { gradient: &position.gradient, matrix: &self.curvature };
        let BoxStep { step, value, is_limited } =
            model.lowest(&position.x, &self.bounds, self.radius);
        let trial = self.moved(&step);
        let (size, length) = (1.0 + norm(&self.position.x), norm(&step));
        if !(value < 0.0) || trial == self.position.x {
            self.phase = Phase::Stopped(Stop::NoDescent);
        } else if length <= self.limits.xtol * size {
            self.phase = Phase::Stopped(Stop::Step);
        } else {
            self.trial = trial;
            self.phase =
                Phase::Step(Trial { step, length, predicted: value, is_limited, before: None });
        }
    }

    /// After a step whose end is not as predicted: the lowest point in the same ball by the model of
    /// that end, if that promises enough.
    fn correction(&self, trial: &Trial, end: &Evaluation) -> Option<Vec<f64>> {
        let matrix = self.remainder.added_to(end.curvature.clone()?);
        let of = matrix.times(&trial.step);
        // This model as a change from the position, where it has the value `here`.
        let gradient = differences(&end.gradient, &of);
        let here = end.value - dot(&end.gradient, &trial.step) + 0.5 * dot(&trial.step, &of);
        let model = Model { gradient: &gradient, matrix: &matrix };
        let found = model.lowest(&self.position.x, &self.bounds, trial.length);
        let promised = self.position.value - (here + found.value);
        (promised >= POOR * -trial.predicted && found.step != trial.step).then_some(found.step)
    }

    /// What the evaluation of a trial says: a correction is to be tried, or how far to trust the model,
    /// and whether to go there.
    fn told(&mut self, trial: Trial, evaluation: Evaluation) {
        let gain = |evaluation: &Evaluation| match evaluation.is_usable() {
            true => self.position.value - evaluation.value,
            false => f64::NEG_INFINITY,
        };
        let (mut gained, mut evaluation) = (gain(&evaluation), evaluation);
        match trial.before {
            Some((x, before)) if !(gained > gain(&before)) => {
                (gained, evaluation) = (gain(&before), before);
                self.trial = x;
            }
            None if evaluation.is_usable() && gained < POOR * -trial.predicted => {
                if let Some(step) = self.correction(&trial, &evaluation) {
                    let to = self.moved(&step);
                    let before = Some((std::mem::replace(&mut self.trial, to), evaluation));
                    self.phase = Phase::Step(Trial { step, before, ..trial });
                    return;
                }
            }
            _ => {}
        }
        let ratio = gained / -trial.predicted;
        if !(gained > 0.0) || ratio < POOR {
            self.radius = SHRINK * self.radius.min(trial.length);
        } else if ratio >= GOOD && trial.is_limited {
            self.radius *= GROW;
        }
        let nothing = self.limits.ftol * self.position.value.abs().max(1.0);
        if gained > 0.0 {
            self.accept(evaluation, ratio >= POOR && !trial.is_limited);
        } else if -trial.predicted <= nothing && self.idle >= MOST_IDLE {
            self.phase = Phase::Stopped(Stop::Objective);
        } else {
            self.idle += usize::from(-trial.predicted <= nothing);
            self.propose();
        }
    }

    /// Goes to the point that was tried. That little was gained is a reason to stop where the model
    /// is right and the trust region was not what kept it from more, or where it happens again and
    /// again.
    fn accept(&mut self, evaluation: Evaluation, is_reason: bool) {
        let x = std::mem::take(&mut self.trial);
        let fisher = evaluation.curvature.unwrap_or_else(|| Matrix::zeros(x.len()));
        if self.position.value.is_finite() {
            let s = differences(&x, &self.position.x);
            let y = differences(&evaluation.gradient, &self.position.gradient);
            self.remainder.learn(&fisher, &s, &y);
        }
        self.curvature = self.remainder.added_to(fisher);
        let limits = (&self.bounds, &self.limits);
        match self.position.move_to(&x, evaluation.value, &evaluation.gradient, limits) {
            Some(Stop::Objective | Stop::Step) if !is_reason && self.idle < MOST_IDLE => {
                self.idle += 1;
                self.propose();
            }
            Some(stop) => self.phase = Phase::Stopped(stop),
            None => {
                self.idle = 0;
                self.propose();
            }
        }
    }
}

impl Minimiser for TrustRegion {
    fn wanted(&self) -> Option<&[f64]> {
        (!matches!(self.phase, Phase::Stopped(_))).then_some(&self.trial)
    }

    fn tell(&mut self, evaluation: Evaluation) {
        self.position.evaluations += 1;
        match std::mem::replace(&mut self.phase, Phase::Start) {
            Phase::Start if evaluation.is_usable() => self.accept(evaluation, true),
            Phase::Start => self.phase = Phase::Stopped(Stop::Start),
            Phase::Step(trial) => self.told(trial, evaluation),
            Phase::Stopped(stop) => self.phase = Phase::Stopped(stop),
        }
    }

    fn position(&self) -> &Position {
        &self.position
    }

    fn stop(&self) -> Option<Stop> {
        match self.phase {
            Phase::Stopped(stop) => Some(stop),
            _ => None,
        }
    }
}
