//! A trust-region method with a Gauss–Newton or Fisher matrix and reflective bounds.
//!
//! Coleman & Li, *An interior trust region approach for nonlinear minimization subject to bounds*,
//! SIAM J. Optim. 6 (1996), in the way of Fröhlich & Sorger, *Fides: reliable trust-region
//! optimization for parameter estimation of ordinary differential equation models*, PLoS Comput.
//! Biol. 18 (2022). Along the last steps the matrix is corrected by BFGS updates, so that second
//! derivatives of the residuals, which a Gauss–Newton matrix leaves out, do not slow it down in curved
//! valleys. Steps are made in scaled coordinates ŝ = s/√|v|, where v is the distance to a
//! bound, or 1; the model there is q(ŝ) = ĝᵀŝ + ½ŝᵀ(DBD + C)ŝ. The matrix has no negative eigenvalue,
//! so that the subproblem has no hard case. Coleman and Li scale every coordinate. Here only those are
//! that would cross a bound: C adds |gᵢ|/vᵢ to the curvature, which is far more than that of the flat
//! directions of such problems, and made steps along these 100 times too short.

use super::bounds::Bounds;
use super::box_step::{BoxStep, Model};
use super::dense::{Matrix, dot, norm};
use super::minimiser::{Evaluation, Limits, Minimiser, Position, Stop};
use std::collections::VecDeque;

/// Radius at first, and how it follows the ratio of reduction to prediction; those of fides.
const FIRST_RADIUS: f64 = 1.0;
const POOR: f64 = 0.25;
const GOOD: f64 = 0.75;
const SHRINK: f64 = 0.25;
const GROW: f64 = 2.0;

/// Steps one after the other that gain next to nothing, be it for a small trust region: then the
/// objective is as low as it becomes.
const MOST_IDLE: usize = 5;
/// Steps along which the matrix is corrected, at most.
const MEMORY: usize = 10;

/// A step that is being tried.
struct Trial {
    length: f64,
    predicted: f64,
    /// Whether the trust region cut it off.
    is_limited: bool,
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
    curvature: Matrix,
    /// The last steps, with the changes of the gradient over them.
    steps: VecDeque<(Vec<f64>, Vec<f64>)>,
    radius: f64,
    /// Steps since one gained something.
    idle: usize,
    trial: Vec<f64>,
    phase: Phase,
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
            curvature: Matrix::default(),
            steps: VecDeque::new(),
            radius: FIRST_RADIUS,
            idle: 0,
            phase: Phase::Start,
        }
    }

    /// Chooses the next step to try.
    fn propose(&mut self) {
        let position = &self.position;
        let model = Model { gradient: &position.gradient, matrix: &self.curvature };
        let BoxStep { step, value, is_limited } =
            model.lowest(&position.x, &self.bounds, self.radius);
        let mut trial: Vec<f64> = position.x.iter().zip(&step).map(|(x, s)| x + s).collect();
        self.bounds.clamp(&mut trial);
        let (size, length) = (1.0 + norm(&position.x), norm(&step));
        if !(value < 0.0) || trial == position.x {
            return self.end(Stop::NoDescent);
        }
        if length <= self.limits.xtol * size {
            return self.end(Stop::Step);
        }
        self.trial = trial;
        self.phase = Phase::Step(Trial { length, is_limited, predicted: value });
    }

    fn end(&mut self, stop: Stop) {
        self.phase = Phase::Stopped(stop);
    }

    /// Goes to the point that was tried. That little was gained is a reason to stop where the model
    /// is right and the trust region was not what kept it from more, or where it happens again and
    /// again.
    fn accept(&mut self, evaluation: Evaluation, is_reason: bool) {
        let x = std::mem::take(&mut self.trial);
        if self.position.value.is_finite() {
            let less = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
            let s: Vec<f64> = less(&x, &self.position.x);
            self.steps.push_back((s, less(&evaluation.gradient, &self.position.gradient)));
            if self.steps.len() > MEMORY {
                self.steps.pop_front();
            }
        }
        let limits = (&self.bounds, &self.limits);
        let stop = self.position.move_to(&x, evaluation.value, &evaluation.gradient, limits);
        self.curvature = evaluation.curvature.unwrap_or_default();
        for (s, y) in &self.steps {
            update(&mut self.curvature, s, y);
        }
        match stop {
            Some(Stop::Objective | Stop::Step) if !is_reason && self.idle < MOST_IDLE => {
                self.idle += 1;
                self.propose();
            }
            Some(stop) => self.end(stop),
            None => {
                self.idle = 0;
                self.propose();
            }
        }
    }

    fn told(&mut self, trial: &Trial, evaluation: Evaluation) {
        let reduction = self.position.value - evaluation.value;
        let ratio = reduction / -trial.predicted;
        let is_better = evaluation.is_usable() && reduction > 0.0;
        if !is_better || ratio < POOR {
            self.radius = SHRINK * self.radius.min(trial.length);
        } else if ratio >= GOOD && trial.is_limited {
            self.radius *= GROW;
        }
        let nothing = self.limits.ftol * self.position.value.abs().max(1.0);
        if is_better {
            self.accept(evaluation, ratio >= POOR && !trial.is_limited);
        } else if -trial.predicted <= nothing && self.idle >= MOST_IDLE {
            self.end(Stop::Objective);
        } else {
            self.idle += usize::from(-trial.predicted <= nothing);
            self.propose();
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
            Phase::Step(trial) => self.told(&trial, evaluation),
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

/// The BFGS update, which makes the matrix map s to y; left out where that would cost it its positive
/// eigenvalues.
fn update(matrix: &mut Matrix, s: &[f64], y: &[f64]) {
    let of = matrix.times(s);
    let (old, new) = (dot(s, &of), dot(s, y));
    let least = 1e-8 * norm(s) * norm(y);
    if !(old > 0.0 && new > least) {
        return;
    }
    let n = matrix.size;
    for i in 0..n {
        for j in 0..n {
            matrix.values[i * n + j] += y[i] * y[j] / new - of[i] * of[j] / old;
        }
    }
}

