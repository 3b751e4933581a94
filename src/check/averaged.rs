//! An estimate from many large steps, for derivatives that are near the noise.
//!
//! Where extrapolation leaves a bound that decides nothing, differences of many steps are averaged: a
//! polynomial in eps² is fitted to central differences, weighted by eps since their noise is s/eps, and
//! its value at 0 is the estimate. Noise is read off the residuals, truncation off what further powers
//! change. What rounding does alike at all steps is not averaged away: the bound is never below it.

use super::estimate::{
    Differences, Estimate, Ladder, NOISE_FACTOR, Rung, estimates_by_other_noise,
};
use super::one_sided::estimate_from_either;

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

/// Whether averaging may decide what an estimate leaves open: it is not zero to its bound, and the
/// bound is above `decidable` of it.
pub fn is_worth_averaging(estimate: &Estimate, decidable: f64) -> bool {
    let size = estimate.value.abs();
    !estimate.is_kink
        && estimate.differences == Differences::Central
        && estimate.bound > decidable * size
        && estimate.bound + estimate.floor < size
}

/// What the noise of a ladder is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoiseOrigin {
    Rounding,
    /// Trajectories choose their own steps: noise is what the tolerances allow. Small changes leave
    /// the choice as it was and have less.
    Tolerances,
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
    Some(Estimate {
        value: averaged.value,
        bound,
        noise_bound: averaged.noise.max(rounding),
        eps: FIRST_EPS,
        ..extrapolated
    })
}

/// Distance between differences of two neighbouring steps over that to an estimate from larger ones
/// from which on they say nothing against it.
const AGREEMENT: f64 = 0.1;
/// Multiple of the noise of a difference that this distance exceeds.
const BEYOND_NOISE: f64 = 2.0;
/// Ratio of two steps whose differences noise does not make agree: the smaller one's is so many
/// times larger.
const APART: f64 = 10.0;

/// An estimate with what smaller steps say against it: large steps may agree by chance. Where two
/// smaller ones agree with each other and not with the estimate, and noise does not explain it, the
/// bound is its distance to them.
///
/// Noise explains a distance that is not beyond it, if rounding or the smallest steps vouch for it;
/// noise that tolerances allow does not explain that steps a decade apart agree. Where rounding is
/// the noise, the estimates have a vote, too, that other notions of noise lead to.
fn outvoted(estimate: Estimate, ladder: &Ladder, origin: NoiseOrigin) -> Estimate {
    let mut smaller: Vec<&Rung> =
        ladder.iter().filter(|r| r.central.is_finite() && r.eps < estimate.eps).collect();
    smaller.sort_by(|a, b| b.eps.total_cmp(&a.eps));
    // Values that did not change agree on zero, which tells nothing where rounding may have kept them.
    let is_telling = |r: &Rung, distance: f64| {
        (r.forward != 0.0 && r.backward != 0.0) || distance > NOISE_FACTOR * r.unseen
    };
    let mut bound = estimate.bound;
    for pair in smaller.windows(2) {
        let between = (pair[0].central - pair[1].central).abs();
        let distance = (pair[1].central - estimate.value).abs();
        let is_apart = origin == NoiseOrigin::Tolerances
            && pair[0].eps >= APART * pair[1].eps
            && pair.iter().all(|r| is_telling(r, distance));
        let is_meant = is_apart || distance > BEYOND_NOISE * estimate.explained_noise / pair[1].eps;
        if between < AGREEMENT * distance && is_meant {
            bound = bound.max(distance);
        }
    }
    if estimate.differences == Differences::Central && origin == NoiseOrigin::Rounding {
        for other in estimates_by_other_noise(ladder).into_iter().flatten() {
            let distance = (other.value - estimate.value).abs();
            if !other.is_kink && distance > estimate.bound + other.bound {
                bound = bound.max(distance + other.bound);
            }
        }
    }
    Estimate { bound, ..estimate }
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
    use super::super::estimate::tests::ladder_of;
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

    /// Differences of a signalling model, whose largest steps agree by chance on 5.28902 to five digits.
    /// The tangents say 5.26879, and so do the smaller steps.
    #[test]
    fn small_steps_outvote_large_ones() {
        let differences = [
            (0.4, 4.190993883),
            (0.2, 4.778336731),
            (0.1, 5.146578604),
            (0.05, 5.252488115),
            (0.025, 5.266582544),
            (0.0125, 5.268379675),
            (0.00625, 5.268702429),
            (1e-3, 5.268775645),
            (1e-5, 5.267121213),
            (1e-7, 5.222223967),
        ];
        let rung = |(eps, central): (f64, f64)| Rung {
            eps,
            forward: central - 3.0 * eps,
            backward: central + 3.0 * eps,
            central,
            noise: 0.0,
            unseen: 0.0,
        };
        let rungs: Vec<Rung> = differences.into_iter().map(rung).collect();
        let found = estimate_of_all(&rungs, NoiseOrigin::Rounding).expect("all steps have values");
        assert!((found.value - 5.26879).abs() <= found.bound, "{found:?}");
        // The twin: the estimate alone is sure of another value.
        let alone = estimate_from_either(&rungs).expect("all steps have values");
        assert!((alone.value - 5.26879).abs() > alone.bound, "{alone:?}");
    }

    /// The bound must hold the derivative; that of the estimate alone, the twin, does not.
    fn contradiction_widens(differences: &[[f64; 4]], rounding: f64, derivative: f64) {
        let rung = |&[eps, forward, backward, central]: &[f64; 4]| Rung {
            eps,
            forward,
            backward,
            central,
            noise: rounding / eps,
            unseen: 0.0,
        };
        let rungs: Vec<Rung> = differences.iter().map(rung).collect();
        let found = estimate_of_all(&rungs, NoiseOrigin::Rounding).expect("all steps have values");
        assert!((found.value - derivative).abs() <= found.bound, "{found:?}");
        let alone = estimate_from_either(&rungs).expect("all steps have values");
        assert!((alone.value - derivative).abs() > 2.0 * alone.bound, "{alone:?}");
    }

    /// Differences of an oscillator. The steps 0.4 and 0.2 agree by chance, so that smaller ones seem
    /// to move apart, by less than rounding might make; the derivative is where these go.
    #[test]
    fn what_only_unconfirmed_rounding_explains_is_not_decided() {
        let differences = [
            [4e-1, -0.0196994, -0.1177376, -0.06871851],
            [2e-1, -0.0330923, -0.1025492, -0.06782072],
            [1e-1, -0.0451956, -0.0831767, -0.06418617],
            [5e-2, -0.0531389, -0.0725420, -0.06284043],
            [2.5e-2, -0.0575945, -0.0673471, -0.06247084],
            [1.25e-2, -0.0599367, -0.0648175, -0.06237706],
            [6.25e-3, -0.0611308, -0.0635705, -0.06235067],
            [1e-3, -0.0621807, -0.0625391, -0.06235991],
            [1e-5, -0.0620416, -0.0603868, -0.06121417],
            [1e-7, -0.1394013, -0.0686380, -0.10401965],
            [1e-9, -0.6653470, -2.0387378, -1.35204247],
        ];
        contradiction_widens(&differences, 1e-8, -0.06234438);
    }

    /// Differences of a signalling model. Rounding leaves the smallest steps on one stair, where they
    /// agree to seven digits; the larger steps go to another value, that of the tangents.
    #[test]
    fn small_steps_on_one_stair_do_not_decide_alone() {
        let differences = [
            [1e-1, -22178.378577, -17616.910780, -19897.644678],
            [1e-3, -19745.684279, -19700.175218, -19722.929748],
            [1e-5, -19725.880330, -19725.428777, -19725.654554],
            [1e-7, -19610.664188, -19610.659620, -19610.661904],
            [1e-9, -19610.664573, -19610.659648, -19610.662110],
        ];
        contradiction_widens(&differences, 1e-9, -19722.900998);
    }

    /// Within 0.003 of the point the slope is 1.5, from afar it is 1: what large steps differ by looks
    /// like noise.
    #[test]
    fn noise_that_nothing_vouches_for_does_not_silence_small_steps() {
        let f = |x: f64| x + 0.5 * 3e-3 * (x / 3e-3).tanh();
        let eps = [4e-1, 2e-1, 1e-1, 5e-2, 2.5e-2, 1.25e-2, 6.25e-3, 1e-3, 1e-5, 1e-7, 1e-9];
        let rungs = ladder_of(&eps, f);
        let found = estimate_of_all(&rungs, NoiseOrigin::Rounding).expect("all steps have values");
        // The bound is the distance to a difference, whose own error is rounding over 1e-7.
        assert!((found.value - 1.5).abs() <= found.bound + 1e-8, "{found:?}");
        // The twin: without what they say the estimate is sure of another value.
        let alone = estimate_from_either(&rungs).expect("all steps have values");
        assert!((alone.value - 1.5).abs() > 10.0 * alone.bound, "{alone:?}");
    }

    /// Differences of a model whose outputs change within a tenth of the distance of its
    /// measurements: over large changes of a lag the objective is a staircase of mean slope −750, where
    /// it is flat itself. Trajectories chose their own steps; the tolerances would allow so much noise.
    #[test]
    fn noise_that_is_only_allowed_does_not_silence_small_steps() {
        let differences = [
            (0.4, -712.0),
            (0.2, -733.0),
            (0.1, -726.2),
            (0.05, -719.0),
            (0.025, -722.5),
            (0.0125, -720.9),
            (0.00625, -721.3),
            (1e-3, -802.2),
            (1e-5, -1.2e-10),
            (1e-7, 1.0e-9),
            (1e-9, 5.8e-14),
        ];
        let rung = |(eps, central): (f64, f64)| Rung {
            eps,
            forward: 1.1 * central,
            backward: 0.9 * central,
            central,
            noise: 1e-2 / eps,
            unseen: 0.0,
        };
        let rungs: Vec<Rung> = differences.into_iter().map(rung).collect();
        let found = estimate_of_all(&rungs, NoiseOrigin::Tolerances).expect("values");
        assert!(found.bound >= found.value.abs(), "{found:?}");
        // The twins: noise that is known to be there, and values that rounding may have kept.
        let noisy = estimate_of_all(&rungs, NoiseOrigin::Rounding).expect("values");
        assert!(noisy.bound < 0.1 * noisy.value.abs(), "{noisy:?}");
        let kept = |rounding: f64| -> Vec<Rung> {
            let kept = |r: &Rung| match r.eps < 1e-4 {
                true => Rung {
                    forward: 0.0,
                    backward: 0.0,
                    central: 0.0,
                    unseen: rounding / r.eps,
                    ..*r
                },
                false => *r,
            };
            rungs.iter().map(kept).collect()
        };
        let blind = estimate_of_all(&kept(1e-2), NoiseOrigin::Tolerances).expect("values");
        assert!(blind.bound < 0.1 * blind.value.abs(), "{blind:?}");
        // Rounding of 1e-10 would not have kept what 720·1e-5 does.
        let flat = estimate_of_all(&kept(1e-10), NoiseOrigin::Tolerances).expect("values");
        assert!(flat.bound >= flat.value.abs(), "{flat:?}");
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
