//! What smaller steps say against an estimate: large ones may agree by chance.
//!
//! An estimate is made of the steps that agree best. Here the others are heard: its bound is widened, and
//! never narrowed, by what they say and noise does not explain.

use super::estimate::{
    Differences, Estimate, Ladder, NOISE_FACTOR, Rung, estimates_by_other_noise,
};

/// What the noise of a ladder is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoiseOrigin {
    Rounding,
    /// Trajectories choose their own steps: noise is what the tolerances allow. Small changes leave
    /// the choice as it was and have less.
    Tolerances,
}

/// Distance between differences of two neighbouring steps over that to an estimate from larger ones
/// from which on they say nothing against it.
const AGREEMENT: f64 = 0.1;
/// Multiple of the noise of a difference that this distance exceeds.
const BEYOND_NOISE: f64 = 2.0;
/// Ratio of two steps whose differences noise does not make agree: the smaller one's is so many
/// times larger.
const APART: f64 = 10.0;

/// An estimate with what smaller steps say against it. Where two of them agree with each other and not
/// with the estimate, and noise does not explain it, the bound is its distance to them.
///
/// Noise explains a distance that is not beyond it, if rounding or the smallest steps vouch for it;
/// noise that tolerances allow does not explain that steps agree over a decade. Where rounding is
/// the noise, the estimates have a vote, too, that other notions of noise lead to, and an estimate that
/// smaller steps do not confirm is doubtful.
pub(super) fn outvoted(estimate: Estimate, ladder: &Ladder, origin: NoiseOrigin) -> Estimate {
    let mut smaller: Vec<&Rung> =
        ladder.iter().filter(|r| r.central.is_finite() && r.eps < estimate.eps).collect();
    smaller.sort_by(|a, b| b.eps.total_cmp(&a.eps));
    let (mut bound, mut noise_bound) = (estimate.bound, estimate.noise_bound);
    let distance = |r: &Rung| (r.central - estimate.value).abs();
    for pair in smaller.windows(2) {
        let between = (pair[0].central - pair[1].central).abs();
        let is_meant = distance(pair[1]) > BEYOND_NOISE * estimate.explained_noise / pair[1].eps;
        if between < AGREEMENT * distance(pair[1]) && is_meant {
            bound = bound.max(distance(pair[1]));
        }
    }
    if origin == NoiseOrigin::Tolerances {
        let agree = |end: usize| {
            (0..end).any(|start| agree_over_a_decade(&estimate, &smaller[start..=end]))
        };
        let last = (0..smaller.len()).filter(|&end| agree(end)).map(|end| distance(smaller[end]));
        bound = last.fold(bound, f64::max);
    }
    if estimate.differences == Differences::Central && origin == NoiseOrigin::Rounding {
        let doubt = doubt(&estimate, &smaller);
        if doubt > bound {
            // What most of the bound is stays what most of it is.
            if noise_bound > 0.5 * bound {
                noise_bound += doubt - bound;
            }
            bound = doubt;
        }
        for other in estimates_by_other_noise(ladder).into_iter().flatten() {
            let distance = (other.value - estimate.value).abs();
            if !other.is_kink && distance > estimate.bound + other.bound {
                bound = bound.max(distance + other.bound);
            }
        }
    }
    Estimate { bound, noise_bound, ..estimate }
}

/// Whether steps that follow each other reach over a decade and agree with each other and not with the
/// estimate.
fn agree_over_a_decade(estimate: &Estimate, steps: &[&Rung]) -> bool {
    let [first, .., last] = steps else { return false };
    let distance = (last.central - estimate.value).abs();
    // Values that did not change agree on zero, which tells nothing where rounding may have kept them.
    let is_telling =
        |r: &Rung| (r.forward != 0.0 && r.backward != 0.0) || distance > NOISE_FACTOR * r.unseen;
    let agrees =
        |r: &&Rung| (r.central - last.central).abs() < AGREEMENT * distance && is_telling(r);
    first.eps >= APART * last.eps && steps.iter().all(agrees)
}

/// Relative distance of smaller steps' differences up to which they confirm an estimate: the accuracy that
/// gradients are judged to unless asked otherwise.
const CONFIRMED: f64 = 5e-4;
/// Multiple of a larger distance that counts as the bound.
const DOUBT: f64 = 2.0;
/// Most of it, relative to the estimate: noise of one size does at times explain what small steps say.
const MOST_DOUBT: f64 = 1e-2;
/// Multiple of the noise of a difference from which on it surely does not, and the bound has no limit.
const SURELY_BEYOND_NOISE: f64 = 10.0;

/// The bound of an estimate that smaller steps, largest first, do not confirm, and 0 for others: none of
/// them is close to it, or one is away by what neither noise explains nor truncation, which falls with eps.
///
/// Noise is taken to be of one size, so that smaller steps are blind where it is s/eps. An objective may
/// be rough at all scales instead, as rounding makes it that grows over a stiff trajectory: differences
/// of all steps scatter alike, and large ones agree by chance as well as small ones do.
fn doubt(estimate: &Estimate, smaller: &[&Rung]) -> f64 {
    let Some((first, rest)) = smaller.split_first() else { return 0.0 };
    let size = estimate.value.abs();
    let distance = |r: &Rung| (r.central - estimate.value).abs();
    let farthest_beyond = |noises: f64| {
        let is_seen = |r: &&&Rung| {
            let noise = noises * estimate.explained_noise / r.eps;
            distance(r) > noise.max(distance(first) * r.eps / first.eps)
        };
        rest.iter().filter(is_seen).map(|r| distance(r)).fold(0.0, f64::max)
    };
    let closest = smaller.iter().map(|r| distance(r)).fold(f64::INFINITY, f64::min);
    let farthest = farthest_beyond(BEYOND_NOISE).max(closest);
    if farthest <= estimate.bound.max(CONFIRMED * size) {
        return 0.0;
    }
    let sure = farthest_beyond(SURELY_BEYOND_NOISE);
    (DOUBT * farthest).min(MOST_DOUBT * size).max(DOUBT * sure)
}

#[cfg(test)]
mod tests {
    use super::super::averaged::estimate_of_all;
    use super::super::estimate::tests::ladder_of;
    use super::super::one_sided::estimate_from_either;
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64Mcg;

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

    /// Differences of two parameters of a signalling model whose objective is 8e15 there: from 6e-3 down
    /// to 1e-7 they scatter by a thousandth, and two or three large steps agree to a hundred thousandth.
    /// Derivatives by tangents and adjoints, which agree to twelve digits.
    #[test]
    fn an_estimate_that_smaller_steps_do_not_confirm_is_doubtful() {
        let first = [
            [4e-1, -1.666694479942e12, 2.119843357046e12, 2.265744385523e11],
            [2e-1, -7.058345580215e11, 1.265487329550e12, 2.798263857641e11],
            [1e-1, -1.994271657620e11, 7.959396414724e11, 2.982562378552e11],
            [5e-2, 5.37852290613e10, 5.529134743787e11, 3.033493517200e11],
            [2.5e-2, 1.793665049693e11, 4.291892811159e11, 3.042778930426e11],
            [1.25e-2, 2.421157472999e11, 3.669071342570e11, 3.045114407784e11],
            [6.25e-3, 2.737357077880e11, 3.362797864863e11, 3.050077472546e11],
            [1e-3, 2.999779097323e11, 3.099506411802e11, 3.049642754562e11],
            [1e-5, 3.051924719223e11, 3.052880926286e11, 3.052402822754e11],
            [1e-7, 3.053366667871e11, 3.044609235907e11, 3.048987951889e11],
            [1e-9, 3.178038724540e11, 2.771144955785e11, 2.974591839929e11],
        ];
        let second = [
            [4e-1, -3.482533770031e11, 9.904389028e9, -1.691744939876e11],
            [2e-1, -1.803830514852e11, -1.96726395952e10, -1.000278455402e11],
            [1e-1, -1.219912368707e11, -4.40630626510e10, -8.30271497609e10],
            [5e-2, -9.79957100533e10, -5.93568398863e10, -7.86762749698e10],
            [2.5e-2, -8.74003427833e10, -6.80502279312e10, -7.77252853573e10],
            [1.25e-2, -8.23145399431e10, -7.26209418090e10, -7.74677408760e10],
            [6.25e-3, -7.97738993504e10, -7.49730379221e10, -7.73734686362e10],
            [1e-3, -7.77366064087e10, -7.69613386926e10, -7.73489725506e10],
            [1e-5, -7.74278199763e10, -7.74287513220e10, -7.74282856491e10],
            [1e-7, -7.68577401732e10, -7.76818424894e10, -7.72697913312e10],
            [1e-9, -3.40550331883e10, -1.305783277865e11, -8.23166805430e10],
        ];
        contradiction_widens(&first, 0.5, 3.05242508085e11);
        contradiction_widens(&second, 0.5, -7.74223148710e10);
    }

    /// Slope 1 from afar and 0.8125 within 1e-8 of the point: only the smallest step is there, far beyond
    /// its noise.
    #[test]
    fn one_step_far_beyond_noise_is_enough_for_doubt() {
        let f = |x: f64| x - 1.5e-9 * (x / 8e-9).tanh();
        let rungs = ladder_of(&[1e-1, 1e-3, 1e-5, 1e-7, 1e-9], f);
        let found = estimate_of_all(&rungs, NoiseOrigin::Rounding).expect("values");
        assert!((found.value - 0.8125).abs() <= found.bound, "{found:?}");
        let alone = estimate_from_either(&rungs).expect("values");
        assert!((alone.value - 0.8125).abs() > 100.0 * alone.bound, "{alone:?}");
    }

    /// An even function from afar, so that large steps agree on 0 exactly.
    #[test]
    fn an_estimate_of_zero_is_doubted_as_others_are() {
        let differences = [
            [4e-1, 0.4, -0.4, 0.0],
            [2e-1, 0.2, -0.2, 0.0],
            [1e-1, 0.1, -0.1, 0.0],
            [1e-3, 0.001, -0.001, 0.0],
            [1e-5, 0.31, 0.29, 0.3],
            [1e-7, 0.5, 0.5, 0.5],
            [1e-9, 0.45, 0.45, 0.45],
        ];
        contradiction_widens(&differences, 1e-16, 0.45);
    }

    /// Closed form: x and waves of a tenth the length and height each, whose slopes add up to about a
    /// thousandth at all scales from 1 to 1e-8.
    #[test]
    fn objectives_rough_at_all_scales_are_not_decided_wrongly() {
        let eps = [4e-1, 2e-1, 1e-1, 5e-2, 2.5e-2, 1.25e-2, 6.25e-3, 1e-3, 1e-5, 1e-7, 1e-9];
        let (mut decided, mut misses, mut twin) = (0, 0, 0);
        for seed in 0..2_000 {
            let mut random = Pcg64Mcg::seed_from_u64(seed);
            let phases: Vec<f64> =
                (0..9).map(|_| std::f64::consts::TAU * random.random::<f64>()).collect();
            let wave = |(k, phase): (usize, &f64), x: f64| {
                let length = 10_f64.powi(-(k as i32));
                // sin(x/length + phase) − sin(phase), without cancellation.
                2e-3 * length * (0.5 * x / length).sin() * (0.5 * x / length + phase).cos()
            };
            let f = |x: f64| x + phases.iter().enumerate().map(|w| wave(w, x)).sum::<f64>();
            let derivative = 1.0 + 1e-3 * phases.iter().map(|p| p.cos()).sum::<f64>();
            let rungs = ladder_of(&eps, f);
            let misses_it = |e: &Estimate| (e.value - derivative).abs() > e.bound + CONFIRMED;
            let found = estimate_of_all(&rungs, NoiseOrigin::Rounding).expect("values");
            let alone = estimate_from_either(&rungs).expect("values");
            decided += usize::from(found.bound < 0.05);
            misses += usize::from(misses_it(&found));
            twin += usize::from(misses_it(&alone));
        }
        println!("{decided} decided, {misses} missed, {twin} by the estimate alone");
        // The slope of the smallest waves is seen at the smallest step alone, where rounding hides it.
        assert!(misses <= 40, "{misses}");
        // Undecided would be right as well, but of no use; the twin is no better than a coin.
        assert!(decided > 1_900, "{decided}");
        assert!(twin > 1_000, "{twin}");
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

    /// Differences of a signalling model at a point where its objective bends some hundredths away. Derivative
    /// by tangents and adjoints, and with shared steps; trajectories chose their own.
    #[test]
    fn steps_that_agree_over_a_decade_have_a_vote() {
        let differences = [
            [4e-1, -1.922256, -1.831354, -1.876805],
            [2e-1, -1.723697, -1.980338, -1.852018],
            [1e-1, -1.669977, -2.062424, -1.866201],
            [5e-2, -1.715232, -2.105537, -1.910385],
            [2.5e-2, -1.877763, -2.127628, -2.002696],
            [1.25e-2, -2.161478, -2.138873, -2.150176],
            [6.25e-3, -2.155758, -2.144439, -2.150099],
            [1e-3, -2.151269, -2.149672, -2.150470],
            [1e-5, -2.100201, -2.123753, -2.111977],
            [1e-7, -4.471605, -6.300027, -5.385816],
            [1e-9, -21.21876, -613.7133, -317.4660],
        ];
        let rung = |&[eps, forward, backward, central]: &[f64; 4]| Rung {
            eps,
            forward,
            backward,
            central,
            noise: 1e-3 / eps,
            unseen: 0.0,
        };
        let rungs: Vec<Rung> = differences.iter().map(rung).collect();
        let found = estimate_of_all(&rungs, NoiseOrigin::Tolerances).expect("values");
        assert!((found.value + 2.150092).abs() <= found.bound, "{found:?}");
        // The twins: the estimate alone, and what agrees over less than a decade.
        let alone = estimate_from_either(&rungs).expect("values");
        assert!((alone.value + 2.150092).abs() > 3.0 * alone.bound, "{alone:?}");
        let short: Vec<Rung> = rungs.iter().copied().filter(|r| r.eps != 1e-3).collect();
        let found = estimate_of_all(&short, NoiseOrigin::Tolerances).expect("values");
        assert_eq!(found.bound, estimate_from_either(&short).expect("values").bound);
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
}
