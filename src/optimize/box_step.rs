//! The step of a trust-region method in a box: where a quadratic model is lowest within a ball and
//! the bounds.
//!
//! An active-set method. Coordinates that the minimum in the ball would carry over a bound are held at
//! it, and the others are solved for again; one that is held is let go where the model falls towards
//! the inside. Nothing is scaled by distances to bounds, as Coleman and Li do: that adds
//! |gᵢ|/distance to the curvature, which is far more than that of the flat directions of problems of
//! parameter estimation, and makes steps along these 100 times too short.

use super::bounds::{Bounds, Side};
use super::dense::{Matrix, dot, norm};

/// Part of each diagonal entry that is added to it: a matrix without full rank, which parameters that
/// cannot be told apart give, then has Cholesky's factors. Relative, since sensitivities of one
/// problem differ by many orders of magnitude.
const REGULARISATION: f64 = 1e-12;

/// A convex model q(s) = gᵀs + ½sᵀBs of how the objective changes.
pub struct Model<'a> {
    pub gradient: &'a [f64],
    /// Symmetric, without negative eigenvalues.
    pub matrix: &'a Matrix,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxStep {
    pub step: Vec<f64>,
    /// The model's change; negative unless nothing is to be gained.
    pub value: f64,
    /// Whether the ball kept it from more.
    pub is_limited: bool,
}

/// Coordinates that are held, by how far they move.
type Held = Vec<Option<(f64, Side)>>;

impl Model<'_> {
    pub fn value(&self, step: &[f64]) -> f64 {
        dot(self.gradient, step) + 0.5 * dot(step, &self.matrix.times(step))
    }

    /// Where the model is lowest within the box, around x, and a ball, as far as active sets that
    /// improve tell; at least as low as along the negative gradient.
    pub fn lowest(&self, x: &[f64], bounds: &Bounds, radius: f64) -> BoxStep {
        let n = x.len();
        let mut held: Held =
            (0..n).map(|i| bounds.active(i, x[i], self.gradient[i]).map(|s| (0.0, s))).collect();
        let mut best = self.along_gradient(x, bounds, radius);
        let mut last = f64::INFINITY;
        // Every pass holds a coordinate more or lowers the model.
        for _ in 0..4 * n + 4 {
            let (step, shift) = self.face_minimum(&held, radius);
            if self.hold(&mut held, &step, x, bounds) {
                continue;
            }
            let value = self.value(&step);
            if value < best.value {
                best = BoxStep { is_limited: shift > 0.0, step: step.clone(), value };
            }
            if !(value < last) || !self.release(&mut held, &step, shift) {
                break;
            }
            last = value;
        }
        best
    }

    /// Holds the coordinates that a step carries over a bound; says whether there are any.
    fn hold(&self, held: &mut Held, step: &[f64], x: &[f64], bounds: &Bounds) -> bool {
        let mut is_any = false;
        for i in (0..x.len()).filter(|&i| step[i] != 0.0) {
            let to = x[i] + step[i];
            let side = match () {
                () if held[i].is_some() => continue,
                () if to > bounds.upper[i] => Side::Upper,
                () if to < bounds.lower[i] => Side::Lower,
                () => continue,
            };
            let bound = if side == Side::Upper { bounds.upper[i] } else { bounds.lower[i] };
            held[i] = Some((bound - x[i], side));
            is_any = true;
        }
        is_any
    }

    /// Lets go of the held coordinate along which the model, with the ball's multiplier, falls most
    /// towards the inside; says whether there is one.
    fn release(&self, held: &mut Held, step: &[f64], shift: f64) -> bool {
        let of = self.matrix.times(step);
        let inwards = |i: usize| {
            let slope = self.gradient[i] + of[i] + shift * step[i];
            match held[i] {
                Some((_, Side::Lower)) => -slope,
                Some((_, Side::Upper)) => slope,
                None => 0.0,
            }
        };
        let best = (0..step.len()).max_by(|&i, &j| inwards(i).total_cmp(&inwards(j)));
        match best.filter(|&i| inwards(i) > 0.0) {
            Some(i) => {
                held[i] = None;
                true
            }
            None => false,
        }
    }

    /// The minimum over what is not held, in what the held coordinates leave of the ball, and the
    /// ball's multiplier.
    fn face_minimum(&self, held: &Held, radius: f64) -> (Vec<f64>, f64) {
        let mut step: Vec<f64> = held.iter().map(|h| h.map_or(0.0, |(moved, _)| moved)).collect();
        let free: Vec<usize> = (0..held.len()).filter(|&i| held[i].is_none()).collect();
        let left = (radius * radius - dot(&step, &step)).max(0.0).sqrt();
        if free.is_empty() || left == 0.0 {
            return (step, 0.0);
        }
        let of = self.matrix.times(&step);
        let descent: Vec<f64> = free.iter().map(|&i| -self.gradient[i] - of[i]).collect();
        let mut matrix = Matrix::zeros(free.len());
        for (a, &i) in free.iter().enumerate() {
            for (b, &j) in free.iter().enumerate() {
                matrix.set(a, b, self.matrix.at(i, j));
            }
        }
        let (own, shift) = minimum_within(&matrix, &descent, left);
        free.iter().zip(own).for_each(|(&i, s)| step[i] = s);
        (step, shift)
    }

    /// The lowest point along the negative gradient, up to the first bound or the ball.
    fn along_gradient(&self, x: &[f64], bounds: &Bounds, radius: f64) -> BoxStep {
        let is_free = |i: &usize| bounds.active(*i, x[*i], self.gradient[*i]).is_none();
        let direction: Vec<f64> =
            (0..x.len()).map(|i| if is_free(&i) { -self.gradient[i] } else { 0.0 }).collect();
        let length = norm(&direction);
        if !(length > 0.0) {
            return BoxStep { step: vec![0.0; x.len()], value: 0.0, is_limited: false };
        }
        let bend = dot(&direction, &self.matrix.times(&direction));
        let lowest = if bend > 0.0 { length * length / bend } else { f64::INFINITY };
        let (ball, room) = (radius / length, bounds.room(x, &direction));
        let part = lowest.min(ball).min(room);
        let step: Vec<f64> = direction.iter().map(|d| part * d).collect();
        BoxStep { value: self.value(&step), is_limited: ball <= lowest.min(room), step }
    }
}

/// The step of at most this length with the lowest ½sᵀBs − bᵀs, and λ ≥ 0 with (B + λI)·s = b, by
/// Newton's method on 1/radius − 1/‖s‖ (Moré & Sorensen 1983). Since B has no negative eigenvalue
/// there is no hard case.
fn minimum_within(matrix: &Matrix, b: &[f64], radius: f64) -> (Vec<f64>, f64) {
    let n = matrix.size;
    let mut regular = matrix.clone();
    for i in 0..n {
        regular.values[i * n + i] *= 1.0 + REGULARISATION;
    }
    let largest = (0..n).map(|i| matrix.at(i, i)).fold(0.0, f64::max);
    // Where that is not enough, as without any curvature, this little makes it regular.
    let least = 8.0 * n as f64 * f64::EPSILON * largest.max(f64::MIN_POSITIVE);
    let (mut low, mut high) = (0.0, norm(b) / radius + least);
    let mut shift = 0.0;
    let mut step = b.to_vec();
    for _ in 0..60 {
        let Some(factor) = regular.cholesky(shift) else {
            low = shift;
            shift = if shift == 0.0 { least } else { (10.0 * shift).min(high) };
            if low >= high {
                high *= 10.0;
            }
            continue;
        };
        step = factor.solve(b);
        let length = norm(&step);
        if length <= radius && (shift <= least || length >= 0.99 * radius) {
            return (step, if shift <= least { 0.0 } else { shift });
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
    let part = (radius / norm(&step)).min(1.0);
    (step.iter().map(|s| part * s).collect(), shift)
}
