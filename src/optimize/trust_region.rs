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
use super::dense::{Matrix, dot, norm};
use super::minimiser::{Evaluation, Limits, Minimiser, Position, Stop};
use std::collections::VecDeque;

/// Radius at first, and how it follows the ratio of reduction to prediction; those of fides.
const FIRST_RADIUS: f64 = 1.0;
const POOR: f64 = 0.25;
const GOOD: f64 = 0.75;
const SHRINK: f64 = 0.25;
const GROW: f64 = 2.0;
/// Part of the way to a bound that a step may go, at least.
const NEARLY: f64 = 0.95;
/// How often a step may be reflected at bounds.
const MOST_REFLECTIONS: usize = 5;
/// Where an optimisation ends closer to an active bound than this part of the box, the bound is
/// tried.
const CLOSE: f64 = 1e-3;

/// The model around the position, in scaled coordinates.
struct Model {
    /// √|v|.
    scaling: Vec<f64>,
    gradient: Vec<f64>,
    /// DBD + C.
    matrix: Matrix,
    /// The diagonal of C: |g|·|v|'.
    bend: Vec<f64>,
}

/// Steps one after the other that gain next to nothing, be it for a small trust region: then the
/// objective is as low as it becomes.
const MOST_IDLE: usize = 5;
/// Steps along which the matrix is corrected, at most.
const MEMORY: usize = 10;

/// A step that is being tried.
struct Trial {
    /// In scaled coordinates.
    length: f64,
    predicted: f64,
    /// ½ŝᵀCŝ.
    bend: f64,
    /// Whether the trust region cut it off.
    is_limited: bool,
}

/// What it waits for.
enum Phase {
    Start,
    Step(Trial),
    /// The bounds that it has come close to, having stopped for this reason.
    Bounds(Stop),
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

    /// The model with which the minimum in the trust region is no farther away than the bounds are,
    /// but for rounding: coordinates of which it crossed a bound are scaled, one set after the other.
    fn model(&self) -> Model {
        let x = &self.position.x;
        let mut crossed = vec![None; x.len()];
        loop {
            let model = self.model_with(&crossed);
            let step = model.unscaled(&model.minimum_within(self.radius));
            let mut is_done = true;
            for i in 0..x.len() {
                let to = x[i] + step[i];
                let beyond = match step[i] > 0.0 {
                    true => (to >= self.bounds.upper[i]).then_some(self.bounds.upper[i]),
                    false => (to <= self.bounds.lower[i]).then_some(self.bounds.lower[i]),
                };
                if step[i] != 0.0 && beyond.is_some() && crossed[i].is_none() {
                    crossed[i] = beyond;
                    is_done = false;
                }
            }
            if is_done {
                return model;
            }
        }
    }

    /// The model in which coordinates are scaled by their distance to these bounds.
    fn model_with(&self, crossed: &[Option<f64>]) -> Model {
        let (x, g) = (&self.position.x, &self.position.gradient);
        let n = x.len();
        let mut scaling = vec![1.0; n];
        let mut bend = vec![0.0; n];
        for i in 0..n {
            if let Some(bound) = crossed[i] {
                scaling[i] = (x[i] - bound).abs().sqrt();
                bend[i] = g[i].abs();
            }
        }
        let mut matrix = self.curvature.clone();
        for i in 0..n {
            for j in 0..n {
                matrix.values[i * n + j] *= scaling[i] * scaling[j];
            }
            matrix.values[i * n + i] += bend[i];
        }
        let gradient = g.iter().zip(&scaling).map(|(g, d)| g * d).collect();
        Model { scaling, gradient, matrix, bend }
    }

    /// Chooses the next step to try.
    fn propose(&mut self) {
        let model = self.model();
        let step = model.best_step(&self.position.x, &self.bounds, self.radius);
        let predicted = model.value(&step);
        let moved: Vec<f64> = model.unscaled(&step);
        let mut trial: Vec<f64> = self.position.x.iter().zip(&moved).map(|(x, s)| x + s).collect();
        self.bounds.clamp(&mut trial);
        let size = 1.0 + norm(&self.position.x);
        if !(predicted < 0.0) || trial == self.position.x {
            return self.end(Stop::NoDescent);
        }
        if norm(&moved) <= self.limits.xtol * size {
            return self.end(Stop::Step);
        }
        self.trial = trial;
        let length = norm(&step);
        self.phase = Phase::Step(Trial {
            length,
            is_limited: length > 0.9 * self.radius,
            predicted,
            bend: 0.5 * step.iter().zip(&model.bend).map(|(s, c)| c * s * s).sum::<f64>(),
        });
    }

    /// Stops, but for a try to lie at the bounds that are close.
    fn end(&mut self, stop: Stop) {
        let (x, g) = (&self.position.x, &self.position.gradient);
        let mut trial = x.clone();
        for i in 0..x.len() {
            let bound = if g[i] < 0.0 { self.bounds.upper[i] } else { self.bounds.lower[i] };
            let width = (self.bounds.upper[i] - self.bounds.lower[i]).min(1.0);
            if (x[i] - bound).abs() <= CLOSE * width {
                trial[i] = bound;
            }
        }
        self.phase = if trial == *x { Phase::Stopped(stop) } else { Phase::Bounds(stop) };
        self.trial = trial;
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
        let ratio = (reduction - trial.bend) / -trial.predicted;
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
            Phase::Bounds(stop) => {
                if evaluation.is_usable() && evaluation.value <= self.position.value {
                    let x = std::mem::take(&mut self.trial);
                    let limits = (&self.bounds, &self.limits);
                    self.position.move_to(&x, evaluation.value, &evaluation.gradient, limits);
                }
                self.phase = Phase::Stopped(stop);
            }
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

impl Model {
    fn value(&self, step: &[f64]) -> f64 {
        dot(&self.gradient, step) + 0.5 * dot(step, &self.matrix.times(step))
    }

    fn unscaled(&self, step: &[f64]) -> Vec<f64> {
        step.iter().zip(&self.scaling).map(|(s, d)| s * d).collect()
    }

    /// The best of: the minimum in the trust region, cut off before a bound, or reflected there, and
    /// the way along the negative gradient.
    fn best_step(&self, x: &[f64], bounds: &Bounds, radius: f64) -> Vec<f64> {
        let whole = self.minimum_within(radius);
        let nearly = NEARLY.max(1.0 - norm(&self.gradient));
        let room = |from: &[f64], direction: &[f64]| {
            let at: Vec<f64> = x.iter().zip(self.unscaled(from)).map(|(x, s)| x + s).collect();
            bounds.room(&at, &self.unscaled(direction))
        };
        let nothing = vec![0.0; x.len()];
        let reach = room(&nothing, &whole);
        if reach > 1.0 {
            return whole;
        }
        let mut steps = vec![scaled(&whole, nearly * reach)];
        let (mut from, mut direction) = (nothing.clone(), whole);
        for _ in 0..MOST_REFLECTIONS {
            let reach = room(&from, &direction);
            if !(reach < 1.0) {
                break;
            }
            let at: Vec<f64> = from.iter().zip(&direction).map(|(f, d)| f + reach * d).collect();
            let here = self.unscaled(&at);
            let is_hit = |i: usize| {
                let to = x[i] + here[i];
                let bound = if direction[i] < 0.0 { bounds.lower[i] } else { bounds.upper[i] };
                (to - bound).abs() <= 1e-12 * (1.0 + bound.abs())
            };
            direction = (0..x.len())
                .map(|i| (1.0 - reach) * if is_hit(i) { -direction[i] } else { direction[i] })
                .collect();
            from = at;
            let next = room(&from, &direction);
            let longest = self.within(&from, &direction, radius).min(nearly * next);
            // Away from the bound where it was reflected, at least a little.
            let shortest = (1.0 - nearly) * next.min(1.0);
            let part = self.best_part(&from, &direction, longest).max(shortest.min(longest));
            steps.push(from.iter().zip(&direction).map(|(f, d)| f + part * d).collect());
        }
        let descent: Vec<f64> = self.gradient.iter().map(|g| -g).collect();
        let longest =
            self.within(&nothing, &descent, radius).min(nearly * room(&nothing, &descent));
        steps.push(scaled(&descent, self.best_part(&nothing, &descent, longest)));
        let values: Vec<f64> = steps.iter().map(|step| self.value(step)).collect();
        let best = (0..steps.len()).min_by(|&a, &b| values[a].total_cmp(&values[b]));
        best.map(|k| steps.swap_remove(k)).unwrap_or(nothing)
    }

    /// How far one may go along a direction before the trust region ends.
    fn within(&self, from: &[f64], direction: &[f64], radius: f64) -> f64 {
        let (a, b) = (dot(direction, direction), dot(from, direction));
        let c = dot(from, from) - radius * radius;
        if a == 0.0 || c > 0.0 {
            return 0.0;
        }
        ((b * b - a * c).sqrt() - b) / a
    }

    /// Where the model is lowest along a direction, up to `longest`.
    fn best_part(&self, from: &[f64], direction: &[f64], longest: f64) -> f64 {
        let of = self.matrix.times(direction);
        let slope = dot(&self.gradient, direction) + dot(from, &of);
        let bend = dot(direction, &of);
        match (slope < 0.0, bend > 0.0) {
            (false, _) => 0.0,
            (true, true) => (-slope / bend).min(longest),
            (true, false) => longest,
        }
    }

    /// The minimum of the model over steps of at most this length: (M + λI)·ŝ = −ĝ with λ by
    /// Newton's method on 1/radius − 1/‖ŝ‖ (Moré & Sorensen 1983).
    fn minimum_within(&self, radius: f64) -> Vec<f64> {
        let descent: Vec<f64> = self.gradient.iter().map(|g| -g).collect();
        let n = self.matrix.size;
        let largest = (0..n).map(|i| self.matrix.at(i, i)).fold(0.0, f64::max);
        // Where M is singular this little makes it regular.
        let least = 8.0 * n as f64 * f64::EPSILON * largest.max(f64::MIN_POSITIVE);
        let (mut low, mut high) = (0.0, norm(&descent) / radius + least);
        let mut shift = 0.0;
        let mut step = descent.clone();
        for _ in 0..60 {
            let Some(factor) = self.matrix.cholesky(shift) else {
                low = shift;
                shift = if shift == 0.0 { least } else { (10.0 * shift).min(high) };
                if low >= high {
                    high *= 10.0;
                }
                continue;
            };
            step = factor.solve(&descent);
            let length = norm(&step);
            if length <= radius && (shift <= least || length >= 0.99 * radius) {
                return step;
            }
            if length > radius {
                low = shift;
            } else {
                high = shift;
            }
            let half = norm(&factor.forward(&step));
            let newton = shift + (length / half).powi(2) * (length - radius) / radius;
            // Where Newton's method leaves the interval it is halved.
            let middle = if low > 0.0 { (low * high).sqrt() } else { 0.5 * high };
            shift = if newton > low && newton < high { newton } else { middle };
        }
        let length = norm(&step);
        scaled(&step, (radius / length).min(1.0))
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

fn scaled(step: &[f64], factor: f64) -> Vec<f64> {
    step.iter().map(|s| factor * s).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(gradient: &[f64], diagonal: &[f64]) -> Model {
        let n = gradient.len();
        let mut matrix = Matrix::zeros(n);
        for i in 0..n {
            matrix.set(i, i, diagonal[i]);
        }
        Model { scaling: vec![1.0; n], gradient: gradient.to_vec(), matrix, bend: vec![0.0; n] }
    }

    /// With a diagonal matrix the shifted solution is −gᵢ/(mᵢ + λ): inside it is Newton's step, at the
    /// boundary all components agree on λ.
    #[test]
    fn the_subproblem_is_solved() {
        let inside = model(&[1.0, -2.0], &[2.0, 4.0]).minimum_within(10.0);
        assert!((inside[0] + 0.5).abs() < 1e-14 && (inside[1] - 0.5).abs() < 1e-14);
        for diagonal in [[2.0, 4.0], [1e-9, 1e9], [0.0, 1.0]] {
            let gradient = [1.0, -2.0];
            let step = model(&gradient, &diagonal).minimum_within(0.1);
            assert!((0.0989..=0.1 + 1e-12).contains(&norm(&step)), "{diagonal:?} {step:?}");
            let shifts = [0, 1].map(|i| -gradient[i] / step[i] - diagonal[i]);
            let size = 1e-9 * (1.0 + diagonal[1]) + shifts[0];
            assert!((shifts[0] - shifts[1]).abs() < 1e-6 * size, "{diagonal:?} {shifts:?}");
        }
    }

    /// Singular, and the minimum inside: the component without curvature has no gradient either.
    #[test]
    fn flat_directions_are_left_alone() {
        let step = model(&[1.0, 0.0], &[2.0, 0.0]).minimum_within(10.0);
        assert!((step[0] + 0.5).abs() < 1e-9 && step[1] == 0.0, "{step:?}");
    }

    /// The minimum of (x − 3)²/2 + (y − 1)²/2 lies beyond x = 1: the step is cut off or reflected
    /// there, but stays inside and is no worse than the one along the gradient.
    #[test]
    fn steps_stay_inside() {
        let bounds = Bounds { lower: vec![-1.0, -10.0], upper: vec![1.0, 10.0] };
        let model = model(&[-3.0, -1.0], &[1.0, 1.0]);
        let step = model.best_step(&[0.0, 0.0], &bounds, 10.0);
        assert!(step[0] < 1.0 && step[0] > 0.0, "{step:?}");
        let cut = [0.95, 0.95 / 3.0];
        assert!(model.value(&step) <= model.value(&cut), "{step:?}");
    }
}
