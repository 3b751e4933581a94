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

/// Most factorisations for one step in the ball: ten powers of ten to find a shift with which the matrix
/// is positive, and to halve an interval as often as doubles can.
const MOST_SHIFTS: usize = 100;

/// A model q(s) = gᵀs + ½sᵀBs of how the objective changes.
pub struct Model<'a> {
    pub gradient: &'a [f64],
    /// Symmetric.
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
/// Newton's method on 1/radius − 1/‖s‖ (Moré & Sorensen 1983). Where B has a negative eigenvalue whose
/// direction b does not have (the hard case) the step is shorter than it might be.
fn minimum_within(matrix: &Matrix, b: &[f64], radius: f64) -> (Vec<f64>, f64) {
    let n = matrix.size;
    let mut regular = matrix.clone();
    for i in 0..n {
        regular.values[i * n + i] += REGULARISATION * matrix.at(i, i).abs();
    }
    let largest = (0..n).map(|i| matrix.at(i, i).abs()).fold(0.0, f64::max);
    // Where that is not enough, as without any curvature, this little makes it regular; its square is
    // no zero.
    let least = 8.0 * n as f64 * f64::EPSILON * largest.max(1e-150);
    let (mut low, mut high) = (0.0, norm(b) / radius + least);
    let mut shift = 0.0;
    let mut step = b.to_vec();
    for _ in 0..MOST_SHIFTS {
        let Some(factor) = regular.cholesky(shift) else {
            if shift == 0.0 {
                high += beyond_positive(matrix);
            }
            low = shift;
            let more = if shift == 0.0 { least } else { 10.0 * shift };
            shift = if more < high { more } else { middle(low, high) };
            continue;
        };
        step = factor.solve(b);
        let length = norm(&step);
        if length <= radius && (shift <= least || length >= 0.99 * radius) {
            return (step, if shift <= least { 0.0 } else { shift });
        }
        // Not a number where it overflows.
        if !(length <= radius) {
            low = shift;
        } else {
            high = shift;
            if high - low <= 1e-3 * high {
                return (step, shift);
            }
        }
        let half = norm(&factor.forward(&step));
        let newton = shift + (length / half).powi(2) * (length - radius) / radius;
        // Where Newton's method leaves the interval it is halved.
        shift = if newton > low && newton < high { newton } else { middle(low, high) };
    }
    let part = (radius / norm(&step)).min(1.0);
    (step.iter().map(|s| part * s).collect(), shift)
}

/// A shift that makes a matrix positive, by Gershgorin's circles.
fn beyond_positive(matrix: &Matrix) -> f64 {
    let lowest = |i: usize| {
        let others: f64 = (0..matrix.size).filter(|&j| j != i).map(|j| matrix.at(i, j).abs()).sum();
        matrix.at(i, i) - others
    };
    (0..matrix.size).map(lowest).fold(0.0, |most, lowest| f64::max(most, -2.0 * lowest))
}

/// Between two numbers of perhaps different magnitudes.
fn middle(low: f64, high: f64) -> f64 {
    if low > 0.0 { (low * high).sqrt() } else { 0.5 * high }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagonal(entries: &[f64]) -> Matrix {
        let mut matrix = Matrix::zeros(entries.len());
        entries.iter().enumerate().for_each(|(i, &d)| matrix.set(i, i, d));
        matrix
    }

    fn in_ball(gradient: &[f64], matrix: &Matrix, radius: f64) -> (Vec<f64>, f64) {
        minimum_within(matrix, &gradient.iter().map(|g| -g).collect::<Vec<_>>(), radius)
    }

    /// With a diagonal matrix the shifted solution is −gᵢ/(mᵢ + λ): inside it is Newton's step, at the
    /// boundary all components agree on λ.
    #[test]
    fn the_subproblem_is_solved() {
        let (inside, shift) = in_ball(&[1.0, -2.0], &diagonal(&[2.0, 4.0]), 10.0);
        // The regularisation is 1e-12.
        assert!((inside[0] + 0.5).abs() < 1e-11 && (inside[1] - 0.5).abs() < 1e-11);
        assert_eq!(shift, 0.0);
        for entries in [[2.0, 4.0], [1e-9, 1e9], [0.0, 1.0], [-3.0, 1.0], [-3.0, -1e3]] {
            let gradient = [1.0, -2.0];
            let (step, shift) = in_ball(&gradient, &diagonal(&entries), 0.1);
            assert!((0.0989..=0.1 + 1e-12).contains(&norm(&step)), "{entries:?} {step:?}");
            let shifts = [0, 1].map(|i| -gradient[i] / step[i] - entries[i]);
            let size = entries[1].abs();
            let slack = 1e-6 * (1e-9 * (1.0 + size) + shifts[0]) + 2.0 * REGULARISATION * size;
            assert!((shifts[0] - shifts[1]).abs() < slack, "{entries:?} {shifts:?}");
            assert!((shift - shifts[0]).abs() < slack && shift > -entries[0].min(entries[1]));
        }
    }

    /// Singular, and the minimum inside: the component without curvature has no gradient either.
    #[test]
    fn flat_directions_are_left_alone() {
        let (step, _) = in_ball(&[1.0, 0.0], &diagonal(&[2.0, 0.0]), 10.0);
        assert!((step[0] + 0.5).abs() < 1e-9 && step[1] == 0.0, "{step:?}");
    }

    /// Where sensitivities differ by ten orders of magnitude, both parts of the step are right.
    #[test]
    fn regularisation_is_relative() {
        let (step, _) = in_ball(&[1e10, 1e-10], &diagonal(&[1e10, 1e-10]), 10.0);
        assert!((step[0] + 1.0).abs() < 1e-9 && (step[1] + 1.0).abs() < 1e-9, "{step:?}");
    }

    /// Against a grid over box and ball, in two dimensions: convex, flat and saddle models, positions
    /// inside and at bounds. For convex ones nothing on the grid is lower; a saddle's active sets may end
    /// at another minimum of the box, which is no higher than along the gradient.
    #[test]
    fn no_point_of_a_grid_is_lower() {
        let bounds = Bounds { lower: vec![-1.0, -2.0], upper: vec![1.0, 0.5] };
        let matrices = [
            [2.0, 0.0, 4.0],
            [1.0, 0.9, 1.0],
            [5.0, -3.0, 2.0],
            [1.0, 1.0, 1.0],
            [0.0, 0.0, 0.0],
            [-1.0, 0.5, 1.0],
        ];
        let mut held = 0;
        for (k, [a, b, c]) in matrices.into_iter().enumerate() {
            let matrix = Matrix { size: 2, values: vec![a, b, b, c] };
            for gradient in [[-3.0, -1.0], [1.0, -2.0], [0.3, 0.1], [4.0, 4.0]] {
                for x in [[0.0, 0.0], [1.0, 0.5], [-1.0, 0.2], [0.9, -1.9]] {
                    for radius in [0.1, 0.7, 5.0] {
                        let model = Model { gradient: &gradient, matrix: &matrix };
                        let found = model.lowest(&x, &bounds, radius);
                        let to = [x[0] + found.step[0], x[1] + found.step[1]];
                        for i in 0..2 {
                            let slack = 1e-15;
                            assert!(bounds.lower[i] - slack <= to[i], "{to:?}");
                            assert!(to[i] <= bounds.upper[i] + slack, "{to:?}");
                            held +=
                                usize::from(to[i] == bounds.lower[i] || to[i] == bounds.upper[i]);
                        }
                        assert!(
                            norm(&found.step) <= radius * (1.0 + 1e-12),
                            "{matrix:?} {gradient:?} {x:?} {radius} {found:?}"
                        );
                        assert_eq!(found.value, model.value(&found.step));
                        let mut lowest = f64::INFINITY;
                        for i in -60..=60 {
                            for j in -60..=60 {
                                let step = [0, 1].map(|q| {
                                    let by = radius * [i, j][q] as f64 / 60.0;
                                    bounds.clamped(q, x[q] + by) - x[q]
                                });
                                if norm(&step) <= radius {
                                    lowest = lowest.min(model.value(&step));
                                }
                            }
                        }
                        let case = format!("{matrix:?} {gradient:?} {x:?} {radius} {found:?}");
                        if k < 5 {
                            // The ball is met to 1 %.
                            assert!(found.value <= 0.985 * lowest + 1e-12, "{lowest} {case}");
                        } else {
                            let simple = model.along_gradient(&x, &bounds, radius);
                            assert!(found.value <= simple.value && found.value <= 0.0, "{case}");
                        }
                    }
                }
            }
        }
        assert!(held > 100, "{held}: bounds were hardly met");
    }
}
