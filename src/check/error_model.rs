//! The V of a difference's error: truncation grows with eps, rounding with its inverse.

/// error(eps) = a·eps^p + s/eps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorModel {
    /// Truncation, per eps^p.
    pub a: f64,
    /// Order of the truncation: 2 of a central difference of a smooth function, 1 where kinks lie
    /// within the steps.
    pub p: i32,
    /// Rounding, times eps.
    pub s: f64,
}

/// Orders that are tried.
const ORDERS: [i32; 2] = [2, 1];
/// Larger relative errors say nothing of either branch: a difference that is all rounding may be 0.
const LARGEST_ERROR: f64 = 0.3;
/// A fit whose typical deviation is larger, in decades, is none.
const WORST_DEVIATION: f64 = 0.5;
/// An order other than 2 must make the typical deviation less by this, in decades: with one step in
/// the branch of truncation all orders fit.
const CLEARLY_BETTER: f64 = 0.05;
/// Larger deviations, in decades, count by their size instead of its square (Huber 1964): one step at
/// which errors are not as at the others does not make the fit.
const OUTLYING: f64 = 0.25;
/// Newton's method has converged long before, where it does.
const MOST_ITERATIONS: usize = 100;

impl ErrorModel {
    /// Robust least squares of the logarithms over (eps, error), with the order that fits best. None
    /// where the points do not show both branches or do not follow the model.
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let mut points: Vec<(f64, f64)> =
            points.iter().copied().filter(|&(_, y)| y > 0.0 && y <= LARGEST_ERROR).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (&(low, y_low), &(high, y_high)) = (points.first()?, points.last()?);
        let lowest = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
        if points.len() < 3 || lowest >= y_low.min(y_high) {
            return None;
        }
        let [square, linear] = ORDERS.map(|p| Self::with_order(p, &points));
        let (model, deviation) = match (square, linear) {
            (Some((_, two)), Some((model, one))) if one < two - CLEARLY_BETTER => (model, one),
            (Some(found), _) | (None, Some(found)) => found,
            (None, None) => return None,
        };
        let best = model.recommended_eps();
        (deviation <= WORST_DEVIATION && low < best && best < high).then_some(model)
    }

    /// The best model of an order and its typical deviation in decades, from three ascending points
    /// or more.
    fn with_order(p: i32, points: &[(f64, f64)]) -> Option<(Self, f64)> {
        let (&(e_low, y_low), &(e_high, y_high)) = (points.first()?, points.last()?);
        // Parameters are the logarithms of a and s; each end is of its branch alone at first.
        let mut x = [(y_high / e_high.powi(p)).ln(), (y_low * e_low).ln()];
        let mut damping = 1e-3;
        let mut cost = cost_of(points, p, x);
        for _ in 0..MOST_ITERATIONS {
            let step = damped_step(points, p, x, damping)?;
            let tried = [x[0] + step[0], x[1] + step[1]];
            let tried_cost = cost_of(points, p, tried);
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
        let deviation = (cost / points.len() as f64).sqrt() / std::f64::consts::LN_10;
        Some((Self::of_logarithms(p, x), deviation))
    }

    fn of_logarithms(p: i32, [ln_a, ln_s]: [f64; 2]) -> Self {
        Self { a: ln_a.exp(), p, s: ln_s.exp() }
    }

    /// The error with a step.
    pub fn error(&self, eps: f64) -> f64 {
        self.a * eps.powi(self.p) + self.s / eps
    }

    /// Where the error is smallest: p·a·eps^(p−1) = s/eps².
    pub fn recommended_eps(&self) -> f64 {
        let power = self.s / (f64::from(self.p) * self.a);
        power.powf(1.0 / f64::from(self.p + 1))
    }
}

fn cost_of(points: &[(f64, f64)], p: i32, x: [f64; 2]) -> f64 {
    let model = ErrorModel::of_logarithms(p, x);
    let cost = |deviation: f64| match outlying() {
        limit if deviation > limit => limit * (2.0 * deviation - limit),
        _ => deviation * deviation,
    };
    points.iter().map(|&(e, y)| cost((model.error(e).ln() - y.ln()).abs())).sum()
}

/// [`OUTLYING`] as a difference of natural logarithms.
fn outlying() -> f64 {
    OUTLYING * std::f64::consts::LN_10
}

/// A step of Levenberg and Marquardt.
fn damped_step(points: &[(f64, f64)], p: i32, x: [f64; 2], damping: f64) -> Option<[f64; 2]> {
    let model = ErrorModel::of_logarithms(p, x);
    let (mut aa, mut as_, mut ss, mut ra, mut rs) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for &(e, y) in points {
        let error = model.error(e);
        let (da, ds) = (model.a * e.powi(p) / error, model.s / e / error);
        let residual = error.ln() - y.ln();
        let weight = (outlying() / residual.abs()).min(1.0);
        aa += weight * da * da;
        as_ += weight * da * ds;
        ss += weight * ds * ds;
        ra += weight * da * residual;
        rs += weight * ds * residual;
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

    fn exact(a: f64, p: i32, s: f64) -> Vec<(f64, f64)> {
        EPS.iter().map(|&e| (e, a * e.powi(p) + s / e)).collect()
    }

    #[test]
    fn exact_data_gives_its_coefficients() {
        // The minimum of 2·eps² + 4e-12/eps is at 1e-4: 2·2·1e-4 = 4e-12/1e-8; that of
        // 3·eps + 3e-10/eps at 1e-5: 3 = 3e-10/1e-10.
        for (a, p, s, best) in [(2.0, 2, 4e-12, 1e-4), (3.0, 1, 3e-10, 1e-5)] {
            let model = ErrorModel::fit(&exact(a, p, s)).unwrap();
            assert_eq!(model.p, p);
            // The fit ends when its steps are below 1e-12.
            assert!((model.a / a - 1.0).abs() < 1e-9 && (model.s / s - 1.0).abs() < 1e-9);
            assert!((model.recommended_eps() / best - 1.0).abs() < 1e-9);
        }
    }

    /// Errors off by up to a factor of 1.5 leave the order and, to that factor, the minimum.
    #[test]
    fn scattered_data_give_their_order() {
        let factors = [1.5, 0.7, 1.3, 0.67, 1.4];
        for (a, p, s, best) in [(0.2, 2, 4e-13, 1e-4), (3.0, 1, 3e-10, 1e-5)] {
            let points: Vec<_> =
                exact(a, p, s).iter().zip(factors).map(|((e, y), f)| (*e, y * f)).collect();
            let model = ErrorModel::fit(&points).unwrap();
            assert_eq!(model.p, p);
            let ratio = model.recommended_eps() / best;
            assert!(ratio < 1.5 && ratio > 1.0 / 1.5, "{ratio}");
        }
    }

    /// One step of seven at which the errors are 1e3 times too small, by chance, hardly matters.
    #[test]
    fn an_outlier_does_not_make_the_fit() {
        let grid = [0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7];
        let mut points = grid.map(|e| (e, 2.0 * e * e + 4e-12 / e));
        points[4].1 *= 1e-3;
        let model = ErrorModel::fit(&points).unwrap();
        // Its pull is that of a deviation of 0.25 decades, shared by the three others of its branch:
        // s may come out smaller by up to 0.1 decades and eps by a third of that.
        let ratio = model.recommended_eps() / 1e-4;
        assert!(model.p == 2 && ratio > 0.9 && ratio < 1.1, "{model:?}");
    }

    #[test]
    fn what_is_all_rounding_is_left_out() {
        let mut points = exact(1.0, 2, 1e-9);
        points.last_mut().unwrap().1 = 0.9;
        let model = ErrorModel::fit(&points).unwrap();
        assert!((model.recommended_eps() / 5e-10_f64.cbrt() - 1.0).abs() < 1e-9);
    }

    /// One step in the branch of truncation fits all orders: it counts as 2.
    #[test]
    fn an_order_that_does_not_show_is_two() {
        // 2·eps + 2e-5/eps: the first term is seen at 0.1 only.
        let model = |e: f64| (e, 2.0 * e + 2e-5 / e);
        assert_eq!(ErrorModel::fit(&[0.1, 1e-3, 1e-4].map(model)).unwrap().p, 2);
        // Twin: with a second step it shows.
        assert_eq!(ErrorModel::fit(&[0.1, 2e-2, 1e-3, 1e-4].map(model)).unwrap().p, 1);
    }

    #[test]
    fn one_branch_is_no_v() {
        assert_eq!(ErrorModel::fit(&EPS.map(|e| (e, e * e))), None);
        assert_eq!(ErrorModel::fit(&EPS.map(|e| (e, 1e-12 / e))), None);
        assert_eq!(ErrorModel::fit(&EPS.map(|e| (e, 1e-3))), None);
        assert_eq!(ErrorModel::fit(&EPS.map(|e| (e, f64::NAN))), None);
        assert_eq!(ErrorModel::fit(&[(0.1, 1e-3), (1e-3, 1e-6)]), None);
    }

    #[test]
    fn what_does_not_follow_the_model_is_none() {
        let jagged = [(0.1, 0.2), (1e-3, 1e-14), (1e-5, 0.2), (1e-7, 1e-14), (1e-9, 0.2)];
        assert_eq!(ErrorModel::fit(&jagged), None);
    }
}
