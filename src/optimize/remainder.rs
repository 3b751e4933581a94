//! What a Fisher matrix leaves out of the second derivatives, learnt from gradients.
//!
//! Dennis, Gay & Welsch, *An adaptive nonlinear least-squares algorithm*, ACM Trans. Math. Softw. 7
//! (1981): the second derivatives are F + S. F is known at every point; S, which holds those of the
//! residuals, changes slowly and is learnt step by step. Corrections of F + S as a whole (BFGS) have
//! to learn anew what F says already, and forget. Where residuals stay large, F is flat along directions
//! in which the objective is not, and an optimisation that does not know these takes thousands of tiny steps.

use super::dense::{Matrix, dot, norm};

/// Least cosine between a step and the change of the gradient: the update divides by it.
const LEAST_COSINE: f64 = 1e-8;

/// S; symmetric, of either sign.
#[derive(Debug, Clone, Default)]
pub struct Remainder {
    matrix: Matrix,
}

impl Remainder {
    /// The second derivatives, given the Fisher matrix of a point.
    pub fn added_to(&self, mut fisher: Matrix) -> Matrix {
        if self.matrix.size == fisher.size {
            fisher.values.iter_mut().zip(&self.matrix.values).for_each(|(f, s)| *f += s);
        }
        fisher
    }

    /// Learns from a step `s`, over which the gradient changed by `y`, to a point with this Fisher
    /// matrix: afterwards (F + S)·s = y, and S is as near as can be to what it was. Where the objective
    /// does not curve upwards along the step nothing is learnt.
    pub fn learn(&mut self, fisher: &Matrix, s: &[f64], y: &[f64]) {
        let n = s.len();
        if self.matrix.size != n {
            self.matrix = Matrix::zeros(n);
        }
        let of: Vec<f64> = y.iter().zip(fisher.times(s)).map(|(y, f)| y - f).collect();
        // S shrinks as the residuals do: it may not say more of this step than was seen.
        let (seen, said) = (dot(s, &of).abs(), dot(s, &self.matrix.times(s)).abs());
        if seen < said {
            self.matrix.values.iter_mut().for_each(|v| *v *= seen / said);
        }
        let curved = dot(s, y);
        if !(curved > LEAST_COSINE * norm(s) * norm(y)) {
            return;
        }
        let missing: Vec<f64> =
            of.iter().zip(self.matrix.times(s)).map(|(of, said)| of - said).collect();
        let along = dot(&missing, s);
        for i in 0..n {
            for j in 0..n {
                self.matrix.values[i * n + j] += (missing[i] * y[j] + y[i] * missing[j]) / curved
                    - along * y[i] * y[j] / (curved * curved);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hessian() -> Matrix {
        Matrix { size: 3, values: vec![5.0, 1.0, -2.0, 1.0, 3.0, 0.5, -2.0, 0.5, 4.0] }
    }

    /// The secant equation holds after every step, and S stays symmetric.
    #[test]
    fn the_last_step_is_known() {
        let fisher = Matrix { size: 3, values: vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0] };
        let mut remainder = Remainder::default();
        for s in [[1.0, 0.2, 0.0], [0.3, -1.0, 0.5], [0.0, 0.1, 1e-3]] {
            let y = hessian().times(&s);
            remainder.learn(&fisher, &s, &y);
            let all = remainder.added_to(fisher.clone());
            for (known, y) in all.times(&s).iter().zip(&y) {
                // Entries are below 100, the step's cosine above 0.1.
                assert!((known - y).abs() < 1e-12 * norm(&s), "{known} {y}");
            }
            for (i, j) in [(0, 1), (0, 2), (1, 2)] {
                assert!((all.at(i, j) - all.at(j, i)).abs() < 1e-12);
            }
        }
    }

    /// Of a quadratic all is known after some rounds of steps, from nothing.
    #[test]
    fn a_quadratic_is_learnt() {
        let mut remainder = Remainder::default();
        let off = |remainder: &Remainder| {
            let all = remainder.added_to(Matrix::zeros(3));
            let off = |(a, b): (&f64, &f64)| (a - b).abs();
            all.values.iter().zip(&hessian().values).map(off).fold(0.0, f64::max)
        };
        for k in 0..30 {
            let s = [0.0, 1.0, 2.0].map(|i| ((k as f64 + 1.0) * (2.0 * i + 1.0)).sin());
            remainder.learn(&Matrix::zeros(3), &s, &hessian().times(&s));
            assert!(k > 0 || off(&remainder) > 0.1, "one step cannot tell");
        }
        assert!(off(&remainder) < 1e-3, "{}", off(&remainder));
    }

    /// A step along which the gradient does not change by more than F says leaves nothing of S there.
    #[test]
    fn what_is_not_seen_any_more_is_forgotten() {
        let fisher = Matrix { size: 1, values: vec![2.0] };
        let mut remainder = Remainder::default();
        remainder.learn(&fisher, &[1.0], &[7.0]);
        assert_eq!(remainder.added_to(fisher.clone()).values, [7.0]);
        remainder.learn(&fisher, &[1.0], &[2.0]);
        assert_eq!(remainder.added_to(fisher).values, [2.0]);
    }

    #[test]
    fn where_it_curves_downwards_nothing_is_learnt() {
        let mut remainder = Remainder::default();
        remainder.learn(&Matrix::zeros(1), &[1.0], &[-3.0]);
        assert_eq!(remainder.added_to(Matrix::zeros(1)).values, [0.0]);
    }
}
