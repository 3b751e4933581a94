//! An estimate from many large steps, for derivatives that are near the noise.
//!
//! Where extrapolation leaves a bound that decides nothing, differences of many steps are averaged: a
//! polynomial in eps² is fitted to central differences, weighted by eps since their noise is s/eps, and
//! its value at 0 is the estimate. Noise is read off the residuals, truncation off what further powers
//! change. What rounding does alike at all steps is not averaged away: the bound is never below it.

use super::estimate::{Estimate, Ladder, Rung};
use super::one_sided::estimate_from_either;
use super::votes::{NoiseOrigin, outvoted};

/// Number of steps that are averaged over, and the first and the distance between them.
const COUNT: usize = 24;
const FIRST_EPS: f64 = 0.115;
const EPS_DISTANCE: f64 = 0.03;
/// Fewer of them that have values are not averaged.
const ENOUGH: usize = 16;
/// Most powers of eps² beside the constant.
const MOST_POWERS: usize = 3;
/// Standard errors, of the fit with one power more, that count as the bound of noise: what truncation
/// that fit cannot see, noise hides.
const STANDARD_ERRORS: f64 = 5.0;

/// Residuals less random than this follow a curve: of 24 independent ones one in 200 are.
const LEAST_RANDOMNESS: f64 = 1.0;

/// The steps to average over.
pub fn averaging_eps() -> impl Iterator<Item = f64> {
    (0..COUNT).map(|k| FIRST_EPS + EPS_DISTANCE * k as f64)
}

/// The estimate from a ladder: extrapolated, or averaged where there are the steps for it, and they
/// agree and have the smaller bound.
pub fn estimate_of_all(ladder: &Ladder, origin: NoiseOrigin) -> Option<Estimate> {
    // Steps in another unit come back but for rounding.
    let is_averaging =
        |r: &&Rung| averaging_eps().any(|eps| (eps - r.eps).abs() <= 4.0 * f64::EPSILON * eps);
    let (many, few): (Vec<&Rung>, Vec<&Rung>) = ladder.iter().partition(is_averaging);
    let mut many: Vec<Rung> = many.into_iter().copied().filter(|r| r.central.is_finite()).collect();
    many.sort_by(|a, b| a.eps.total_cmp(&b.eps));
    if many.len() < ENOUGH {
        return estimate_from_either(ladder).map(|e| outvoted(e, ladder, origin));
    }
    let few: Vec<Rung> = few.into_iter().copied().collect();
    let extrapolated = outvoted(estimate_from_either(&few)?, &few, origin);
    let averaged = (0..=MOST_POWERS)
        .filter_map(|powers| averaged(&many, powers))
        .min_by(|a, b| a.bound().total_cmp(&b.bound()));
    let Some(averaged) = averaged else { return Some(extrapolated) };
    // The noise of one step's rounding, at the smallest step that weighs in.
    let rounding = many.iter().map(|r| r.noise.max(0.0)).fold(0.0, f64::max);
    let bound = averaged.bound().max(rounding);
    let agrees = (averaged.value - extrapolated.value).abs() <= bound + extrapolated.bound;
    if !(agrees && bound < extrapolated.bound) {
        return Some(extrapolated);
    }
    let averaged = Estimate {
        value: averaged.value,
        bound,
        noise_bound: averaged.noise.max(rounding),
        eps: FIRST_EPS,
        ..extrapolated
    };
    Some(outvoted(averaged, &few, origin))
}

/// The value at 0 of a fitted polynomial.
#[derive(Debug, Clone, Copy)]
struct Fit {
    value: f64,
    noise: f64,
    truncation: f64,
}

impl Fit {
    fn bound(&self) -> f64 {
        self.noise + self.truncation
    }
}

/// A fit with so many powers; one and two more tell its truncation: one may agree by chance.
fn averaged(rungs: &[Rung], powers: usize) -> Option<Fit> {
    let (value, _, randomness) = fit(rungs, powers)?;
    if randomness < LEAST_RANDOMNESS {
        return None;
    }
    let (next, standard_error, _) = fit(rungs, powers + 1)?;
    let (last, ..) = fit(rungs, powers + 2)?;
    let truncation = (next - value).abs().max((last - value).abs());
    Some(Fit { value, noise: STANDARD_ERRORS * standard_error, truncation })
}

/// The constant of the weighted least-squares polynomial in eps², its standard error, and how random its
/// residuals are: their mean squared successive difference over their variance, 2 for independent ones,
/// less where they follow a curve (von Neumann, Ann. Math. Stat. 12, 1941). By orthogonalisation (modified Gram & Schmidt): the constant comes last, so that what is orthogonal to
/// all powers alone tells it.
fn fit(rungs: &[Rung], powers: usize) -> Option<(f64, f64, f64)> {
    let largest = rungs.iter().map(|r| r.eps).fold(0.0, f64::max);
    let weighted = |k: i32| -> Vec<f64> {
        rungs.iter().map(|r| r.eps * (r.eps / largest).powi(2 * k)).collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(powers + 1);
    let columns = (1..=powers as i32).rev().chain([0]);
    for k in columns {
        let mut column = weighted(k);
        for known in &basis {
            let part = dot(known, &column);
            column.iter_mut().zip(known).for_each(|(x, q)| *x -= part * q);
        }
        let norm = dot(&column, &column).sqrt();
        if k == 0 {
            let mut rest: Vec<f64> = rungs.iter().map(|r| r.eps * r.central).collect();
            for known in &basis {
                let part = dot(known, &rest);
                rest.iter_mut().zip(known).for_each(|(x, q)| *x -= part * q);
            }
            let value = dot(&column, &rest) / (norm * norm);
            rest.iter_mut().zip(&column).for_each(|(x, c)| *x -= value * c);
            let freedom = rungs.len().checked_sub(powers + 1).filter(|f| *f > 0)?;
            let spread = (dot(&rest, &rest) / freedom as f64).sqrt();
            let standard_error = spread / norm;
            let changes: f64 = rest.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum();
            let randomness = changes / dot(&rest, &rest);
            return (value.is_finite() && standard_error.is_finite()).then_some((
                value,
                standard_error,
                randomness,
            ));
        }
        column.iter_mut().for_each(|x| *x /= norm);
        basis.push(column);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64Mcg;

    /// Differences at x of a function with uniform noise of standard deviation s/√3 in each value.
    fn ladder(f: impl Fn(f64) -> f64, x: f64, s: f64, seed: u64) -> Vec<Rung> {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut noisy = |x: f64| f(x) + s * (2.0 * random.random::<f64>() - 1.0);
        let here = noisy(x);
        [4e-1, 2e-1, 1e-1, 5e-2, 2.5e-2, 1.25e-2, 6.25e-3, 1e-3, 1e-5]
            .into_iter()
            .chain(averaging_eps())
            .map(|eps| {
                let (plus, minus) = (noisy(x + eps), noisy(x - eps));
                Rung {
                    eps,
                    forward: (plus - here) / eps,
                    backward: (here - minus) / eps,
                    central: (plus - minus) / (2.0 * eps),
                    noise: 0.0,
                    unseen: 0.0,
                }
            })
            .collect()
    }

    /// Closed forms: derivatives of functions as they are on a logarithmic scale.
    #[test]
    fn bounds_hold_and_are_smaller_than_those_of_extrapolation() {
        type Case = (fn(f64) -> f64, f64);
        // Hill's function of p = 10^x, its square, a slow wave: value and derivative at 0.3.
        let hill = |x: f64| 1.0 / (1.0 + 10_f64.powf(-x));
        let slope = std::f64::consts::LN_10 * hill(0.3) * (1.0 - hill(0.3));
        let cases: [Case; 3] = [
            (|x| 1.0 / (1.0 + 10_f64.powf(-x)), slope),
            (|x| (1.0 + 10_f64.powf(-x)).powi(-2), 2.0 * hill(0.3) * slope),
            (|x| (2.0 * x).sin(), 2.0 * 0.6_f64.cos()),
        ];
        let (mut misses, mut gains) = (0, Vec::new());
        for (f, derivative) in cases {
            for seed in 0..1_000 {
                let rungs = ladder(f, 0.3, 1e-2, seed);
                let found =
                    estimate_of_all(&rungs, NoiseOrigin::Rounding).expect("all steps have values");
                let few: Vec<Rung> = rungs
                    .iter()
                    .copied()
                    .filter(|r| !averaging_eps().any(|e| e == r.eps))
                    .collect();
                let extrapolated = estimate_from_either(&few).expect("all steps have values");
                misses += usize::from((found.value - derivative).abs() > found.bound);
                gains.push(extrapolated.bound / found.bound);
            }
        }
        gains.sort_by(f64::total_cmp);
        println!("{misses} of {} missed; median gain {}", gains.len(), gains[gains.len() / 2]);
        // Both estimates may miss; 3 in 3,000 is what the extrapolated ones alone do.
        assert!(misses <= 3, "{misses}");
        assert!(gains[gains.len() / 2] > 1.5);
    }

    /// Slope 1 at all steps that are averaged over, and -5.4 within a hundredth of the point.
    #[test]
    fn small_steps_are_heard_against_averages() {
        let slope_here = -5.4;
        let f = |x: f64| x + (slope_here - 1.0) * x * (-(x / 1e-2).powi(2)).exp();
        let rungs = ladder(f, 0.0, 1e-12, 1);
        let found = estimate_of_all(&rungs, NoiseOrigin::Rounding).expect("all steps have values");
        assert!((found.value - slope_here).abs() <= found.bound, "{found:?}");
        // The twin: the average alone is sure of the other slope.
        let mut many: Vec<Rung> =
            rungs.into_iter().filter(|r| averaging_eps().any(|e| e == r.eps)).collect();
        many.sort_by(|a, b| a.eps.total_cmp(&b.eps));
        let alone = averaged(&many, 0).expect("enough steps");
        assert!((alone.value - 1.0).abs() < 1e-6 && alone.bound() < 1e-6, "{alone:?}");
    }

    /// The twin: a function with a kink inside the steps. No polynomial has its values, which the
    /// residuals show: the bound is not small.
    #[test]
    fn a_kink_widens_the_bound() {
        let rungs = ladder(|x| x + (x - 0.3).max(0.0), 0.0, 1e-6, 1);
        let found = estimate_of_all(&rungs, NoiseOrigin::Rounding).expect("all steps have values");
        assert!((found.value - 1.0).abs() <= found.bound, "{found:?}");
    }
}
