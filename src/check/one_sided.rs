//! An estimate of a derivative where only one side of the point has values.
//!
//! One-sided differences have an error expansion in eps, eps², eps³, …: Neville's scheme in eps
//! instead of eps², with bounds as those of [`super::estimate`]. Terms of odd and even order may
//! cancel by chance at some step, so that two values agree and both are wrong; here three must.
//!
//! A kink at the point itself cannot be seen from one side; the derivative is that of the side that is
//! there.

use super::estimate::{
    Differences, ENOUGH_RUNGS, Estimate, Ladder, MOST_EXTRAPOLATIONS, NOISE_FACTOR, Rung,
    SEEN_FACTOR, estimate,
};

/// Steps at which both sides must have values for central differences to be used, and one side for
/// one-sided ones: a single step does not show its truncation error.
const FEWEST_STEPS: usize = 2;

/// Steps from here down are small: differences of a smooth function change in proportion to them. What
/// changes by more than [`SMOOTH_FACTOR`] times that is noise.
const SMALL_STEP: f64 = 1e-2;
const SMOOTH_FACTOR: f64 = 2.0;

/// The estimate from central differences, or, where one side has values at fewer than two steps, from
/// the differences of the other.
pub fn estimate_from_either(ladder: &Ladder) -> Option<Estimate> {
    let finite = |of: fn(&Rung) -> f64| ladder.iter().filter(|r| of(r).is_finite()).count();
    if finite(|r| r.central) >= FEWEST_STEPS {
        return estimate(ladder);
    }
    let (forward, backward) = (finite(|r| r.forward), finite(|r| r.backward));
    if forward.max(backward) < FEWEST_STEPS {
        estimate(ladder)
    } else if forward >= backward {
        one_sided(ladder, Differences::Forward, |r| r.forward)
    } else {
        one_sided(ladder, Differences::Backward, |r| r.backward)
    }
}

/// One entry of Neville's table.
#[derive(Clone, Copy)]
struct Entry {
    value: f64,
    /// Bound on what noise makes of it.
    noise: f64,
}

fn one_sided(
    ladder: &Ladder,
    differences: Differences,
    of: impl Fn(&Rung) -> f64,
) -> Option<Estimate> {
    let mut rungs: Vec<(Rung, f64)> =
        ladder.iter().map(|r| (*r, of(r))).filter(|(_, d)| d.is_finite()).collect();
    rungs.sort_by(|a, b| b.0.eps.total_cmp(&a.0.eps));
    let noise = noise_level(&rungs);
    let floor = rungs.first().map_or(0.0, |(first, _)| first.unseen.max(0.0));
    let mut best: Option<Estimate> = None;
    let mut table: Vec<Vec<Entry>> = Vec::new();
    for (i, (rung, difference)) in rungs.iter().enumerate() {
        let mut row = vec![Entry { value: *difference, noise: noise / rung.eps }];
        for k in 1..=i.min(MOST_EXTRAPOLATIONS) {
            let ratio = rungs[i - k].0.eps / rung.eps;
            let (fine, coarse) = (row[k - 1], table[i - 1][k - 1]);
            row.push(Entry {
                value: fine.value + (fine.value - coarse.value) / (ratio - 1.0),
                noise: (ratio * fine.noise + coarse.noise) / (ratio - 1.0),
            });
        }
        table.push(row);
        for (k, entry) in table[i].iter().enumerate() {
            // The others that it must agree with: of its order, and those it was made from.
            let others = match (i, k) {
                (1, 0) if rungs.len() == FEWEST_STEPS => vec![table[0][0]],
                (2.., 0) => vec![table[i - 1][0], table[i - 2][0]],
                (2.., _) if k < i => vec![table[i - 1][k], table[i][k - 1], table[i - 1][k - 1]],
                _ => continue,
            };
            let distances = others.iter().map(|other| (entry.value - other.value).abs());
            let bound = distances.fold(0.0, f64::max) + entry.noise;
            if best.is_none_or(|b| bound < b.bound) && entry.value.is_finite() {
                best = Some(Estimate {
                    value: entry.value,
                    bound,
                    noise_bound: entry.noise,
                    floor,
                    eps: rung.eps,
                    noise: 0.5 * noise,
                    explained_noise: 0.5 * noise,
                    is_kink: false,
                    differences,
                });
            }
        }
    }
    best
}

/// The noise of a one-sided difference, times its eps; largest step first. Each of the two values it
/// is made from has the noise of a central difference times eps.
///
/// From step to step small ones bring the differences closer to each other, in proportion: where they
/// do not it is noise, and so is at least the last distance.
fn noise_level(rungs: &[(Rung, f64)]) -> f64 {
    let Some((first, _)) = rungs.first() else { return 0.0 };
    let standard = 2.0 * first.noise.max(0.0) * first.eps;
    if rungs.len() < ENOUGH_RUNGS {
        return NOISE_FACTOR * standard;
    }
    // Steps over which nothing changed at all show no noise, but that of rounding.
    let alive: Vec<(f64, f64)> =
        rungs.iter().filter(|(_, d)| *d != 0.0).map(|(r, d)| (r.eps, *d)).collect();
    let mut seen = 0.0_f64;
    let mut expected = f64::INFINITY;
    for (i, pair) in alive.windows(2).enumerate() {
        let (large, small) = (pair[0], pair[1]);
        let distance = (large.1 - small.1).abs();
        let is_noise = large.0 <= SMALL_STEP && distance > SMOOTH_FACTOR * expected;
        if is_noise || i + 2 == alive.len() {
            seen = seen.max(distance * small.0);
        }
        if let Some(next) = alive.get(i + 2) {
            expected = distance * (small.0 - next.0) / (large.0 - small.0);
        }
    }
    standard.max(SEEN_FACTOR * seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPS: [f64; 12] =
        [4e-1, 2e-1, 1e-1, 5e-2, 2.5e-2, 1.25e-2, 6.25e-3, 1e-3, 1e-5, 1e-7, 1e-9, 1e-11];

    /// The differences of a function at x, as a sweep makes them; `noise` is that of its values.
    fn ladder(f: impl Fn(f64) -> f64, x: f64, noise: f64) -> Vec<Rung> {
        EPS.map(|eps| Rung {
            eps,
            forward: (f(x + eps) - f(x)) / eps,
            backward: (f(x) - f(x - eps)) / eps,
            central: (f(x + eps) - f(x - eps)) / (2.0 * eps),
            noise: noise / eps,
            unseen: 0.0,
        })
        .to_vec()
    }

    /// Pseudo-random in [-1, 1), a function of the bits of x alone (the mixing of SplitMix64).
    fn scatter(x: f64) -> f64 {
        let mut mixed = x.to_bits().wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    #[test]
    fn both_sides_give_what_central_differences_do() {
        let ladder = ladder(f64::exp, 0.3, 1e-16);
        assert_eq!(estimate_from_either(&ladder), estimate(&ladder));
        // Even if a few are missing.
        let mut some = ladder.clone();
        for rung in &mut some[..9] {
            (rung.backward, rung.central) = (f64::NAN, f64::NAN);
        }
        assert_eq!(estimate_from_either(&some).unwrap().differences, Differences::Central);
    }

    #[test]
    fn the_good_side_gives_the_derivative() {
        // Undefined below 0 and above 0: √(1 + x) about −1 would have no derivative; these have.
        type Case = (fn(f64) -> f64, f64, f64, Differences);
        let cases: [Case; 3] = [
            (|x| if x < 0.0 { f64::NAN } else { (2.0 * x).exp() }, 0.0, 2.0, Differences::Forward),
            (|x| if x > 1.0 { f64::NAN } else { x.sin() }, 1.0, 1_f64.cos(), Differences::Backward),
            (|x| if x < 0.5 { f64::NAN } else { x.ln() }, 0.5, 2.0, Differences::Forward),
        ];
        for (f, x, derivative, side) in cases {
            // A value's rounding error is half a unit of its last place, 1.1e-16 times its size.
            let found = estimate_from_either(&ladder(f, x, 1.2e-16)).unwrap();
            let error = (found.value - derivative).abs();
            assert_eq!(found.differences, side);
            assert!(error <= found.bound, "{found:?}, error {error:e}");
            assert!(found.bound < 1e-5 * derivative, "{found:?}: decides");
            assert!(found.noise_bound <= found.bound && !found.is_kink);
        }
    }

    /// Noise is in the bound; without its part many an estimate would be worse than its bound.
    #[test]
    fn noise_is_in_the_bound() {
        for level in [1e-12, 1e-9, 1e-6] {
            let (mut missed, mut missed_without) = (0, 0);
            for i in 0..1000 {
                let x = 0.002 * f64::from(i);
                let f = |at: f64| {
                    if at < x { f64::NAN } else { (2.0 * at).sin() + level * scatter(at) }
                };
                let found = estimate_from_either(&ladder(f, x, 1.2e-16)).unwrap();
                let error = (found.value - 2.0 * (2.0 * x).cos()).abs();
                missed += usize::from(error > found.bound);
                missed_without += usize::from(error > found.bound - found.noise_bound);
                // What noise can do to the largest steps, a few tenths, cannot be told from the
                // derivative; extrapolated from steps of percents it is some 1e3 times itself.
                // Without noise the grid leaves some 1e-7 of truncation; where large steps agree by
                // chance more of a smaller one counts as noise.
                assert!(found.bound > level && found.bound < 1e4 * level + 1e-3, "{found:?}");
            }
            println!("{level:e}: missed {missed}, without the noise's part {missed_without}");
            // Noise that is small by chance at all the smallest steps is not seen; central
            // differences miss one in a thousand.
            assert!(missed <= 3, "{level:e}: {missed} of 1000");
            assert!(missed_without > 10 * missed.max(1), "{level:e}: {missed_without} of 1000");
        }
    }

    /// Two steps agree by chance: the differences of x² − x³ from 0 are eps − eps², the same at 0.4
    /// and 0.6.
    #[test]
    fn two_that_agree_are_not_believed() {
        let of = |eps: f64| Rung {
            eps,
            forward: eps - eps * eps,
            backward: f64::NAN,
            central: f64::NAN,
            noise: 0.0,
            unseen: 0.0,
        };
        let found = estimate_from_either(&[0.6, 0.4, 0.01].map(of)).unwrap();
        assert!(found.value.abs() <= found.bound, "{found:?}");
    }

    #[test]
    fn too_few_steps_are_no_estimate() {
        let undefined_below = |x: f64| if x < 0.0 { f64::NAN } else { x.exp() };
        let ladder = ladder(undefined_below, 0.0, 1e-16);
        assert_eq!(estimate_from_either(&ladder[..1]), None);
        let two = estimate_from_either(&ladder[9..11]).unwrap();
        assert_eq!(two.differences, Differences::Forward);
        assert!((two.value - 1.0).abs() <= two.bound);
        assert_eq!(estimate_from_either(&[]), None);
    }

    /// One central difference is worse than the one-sided ones of many steps.
    #[test]
    fn a_side_with_one_value_is_no_side() {
        let undefined_below = |x: f64| if x < -1e-11 { f64::NAN } else { x.exp() };
        let found = estimate_from_either(&ladder(undefined_below, 0.0, 1e-16)).unwrap();
        assert_eq!(found.differences, Differences::Forward);
        assert!((found.value - 1.0).abs() <= found.bound && found.bound < 1e-5);
    }
}
