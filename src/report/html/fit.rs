//! The V of a difference's error: truncation grows with eps, rounding with its inverse.

/// error(eps) = a·eps² + s/eps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct VShape {
    /// Truncation of a central difference, per eps².
    pub(super) a: f64,
    /// Rounding, times eps.
    pub(super) s: f64,
}

/// Larger relative errors say nothing of either branch: a difference that is all rounding may be 0.
const LARGEST_ERROR: f64 = 0.3;
/// A fit whose typical deviation is larger, in decades, is none.
const WORST_DEVIATION: f64 = 0.5;
/// Newton's method has converged long before, where it does.
const MOST_ITERATIONS: usize = 100;

impl VShape {
    /// Least squares of the logarithms over (eps, error). None where the points do not show both
    /// branches or do not follow the model.
    pub(super) fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let mut points: Vec<(f64, f64)> =
            points.iter().copied().filter(|&(_, y)| y > 0.0 && y <= LARGEST_ERROR).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (&(e_low, y_low), &(e_high, y_high)) = (points.first()?, points.last()?);
        let lowest = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
        if points.len() < 3 || lowest >= y_low.min(y_high) {
            return None;
        }
        // Parameters are the logarithms of a and s; each end is of its branch alone at first.
        let mut x = [(y_high / (e_high * e_high)).ln(), (y_low * e_low).ln()];
        let mut damping = 1e-3;
        let mut cost = sum_of_squares(&points, x);
        for _ in 0..MOST_ITERATIONS {
            let step = damped_step(&points, x, damping)?;
            let tried = [x[0] + step[0], x[1] + step[1]];
            let tried_cost = sum_of_squares(&points, tried);
            if tried_cost <= cost {
                (x, cost) = (tried, tried_cost);
                damping *= 0.1;
                if step[0].abs().max(step[1].abs()) < 1e-12 {
                    break;
                }
            } else {
                damping *= 10.0;
                if damping > 1e12 {
                    break;
                }
            }
        }
        let shape = Self { a: x[0].exp(), s: x[1].exp() };
        let deviation = (cost / points.len() as f64).sqrt() / std::f64::consts::LN_10;
        let best = shape.best_eps();
        let is_good = deviation <= WORST_DEVIATION && e_low < best && best < e_high;
        is_good.then_some(shape)
    }

    pub(super) fn error(&self, eps: f64) -> f64 {
        self.a * eps * eps + self.s / eps
    }

    /// Where the error is smallest: 2·a·eps = s/eps².
    pub(super) fn best_eps(&self) -> f64 {
        (self.s / (2.0 * self.a)).cbrt()
    }
}

fn sum_of_squares(points: &[(f64, f64)], [ln_a, ln_s]: [f64; 2]) -> f64 {
    let shape = VShape { a: ln_a.exp(), s: ln_s.exp() };
    points.iter().map(|&(e, y)| (shape.error(e).ln() - y.ln()).powi(2)).sum()
}

/// A step of Levenberg and Marquardt.
fn damped_step(points: &[(f64, f64)], [ln_a, ln_s]: [f64; 2], damping: f64) -> Option<[f64; 2]> {
    let shape = VShape { a: ln_a.exp(), s: ln_s.exp() };
    let (mut aa, mut as_, mut ss, mut ra, mut rs) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for &(e, y) in points {
        let model = shape.error(e);
        let (da, ds) = (shape.a * e * e / model, shape.s / e / model);
        let residual = model.ln() - y.ln();
        aa += da * da;
        as_ += da * ds;
        ss += ds * ds;
        ra += da * residual;
        rs += ds * residual;
    }
    (aa, ss) = (aa + damping, ss + damping);
    let determinant = aa * ss - as_ * as_;
    let step = [(as_ * rs - ss * ra) / determinant, (as_ * ra - aa * rs) / determinant];
    step.iter().all(|v| v.is_finite()).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPS: [f64; 5] = [0.1, 1e-3, 1e-5, 1e-7, 1e-9];

    fn exact(a: f64, s: f64) -> Vec<(f64, f64)> {
        let shape = VShape { a, s };
        EPS.iter().map(|&e| (e, shape.error(e))).collect()
    }

    #[test]
    fn exact_data_gives_its_coefficients() {
        // The minimum of 2·eps² + 4e-12/eps is at 1e-4: 2·2·1e-4 = 4e-12/1e-8.
        let shape = VShape::fit(&exact(2.0, 4e-12)).unwrap();
        assert!((shape.a / 2.0 - 1.0).abs() < 1e-9 && (shape.s / 4e-12 - 1.0).abs() < 1e-9);
        assert!((shape.best_eps() / 1e-4 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_all_rounding_is_left_out() {
        let mut points = exact(1.0, 1e-9);
        points.last_mut().unwrap().1 = 0.9;
        let shape = VShape::fit(&points).unwrap();
        assert!((shape.best_eps() / 5e-10_f64.cbrt() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn one_branch_is_no_v() {
        assert_eq!(VShape::fit(&EPS.map(|e| (e, e * e))), None);
        assert_eq!(VShape::fit(&EPS.map(|e| (e, 1e-12 / e))), None);
        assert_eq!(VShape::fit(&EPS.map(|e| (e, 1e-3))), None);
        assert_eq!(VShape::fit(&EPS.map(|e| (e, f64::NAN))), None);
        assert_eq!(VShape::fit(&[(0.1, 1e-3), (1e-3, 1e-6)]), None);
    }

    #[test]
    fn what_does_not_follow_the_model_is_none() {
        let jagged = [(0.1, 0.2), (1e-3, 1e-14), (1e-5, 0.2), (1e-7, 1e-14), (1e-9, 0.2)];
        assert_eq!(VShape::fit(&jagged), None);
    }
}
