//! An estimate of a derivative where only one side of the point has values.
//!
//! One-sided differences have an error expansion in eps, eps², eps³, …: Neville's scheme in eps
//! instead of eps², with bounds as those of [`super::estimate`]. A kink at the point itself cannot be
//! seen from one side; the derivative is that of the side that is there.

use super::estimate::{
    Differences, ENOUGH_RUNGS, Estimate, Ladder, MOST_EXTRAPOLATIONS, NOISE_FACTOR, Rung,
    SEEN_FACTOR, estimate,
};

/// Steps at which both sides must have values for central differences to be used, and one side for
/// one-sided ones: a single step does not show its truncation error.
const FEWEST_STEPS: usize = 2;

/// The estimate from central differences, or, where one side has values at fewer than two steps, from
/// the differences of the other.
pub fn estimate_from_either(ladder: &Ladder) -> Option<Estimate> {
    let finite = |of: fn(&Rung) -> f64| ladder.iter().filter(|r| of(r).is_finite()).count();
    if finite(|r| r.central) >= FEWEST_STEPS {
        return estimate(ladder);
    }
    let sides: [(Differences, fn(&Rung) -> f64); 2] =
        [(Differences::Forward, |r| r.forward), (Differences::Backward, |r| r.backward)];
    // The first of equals.
    let (differences, of) = sides.into_iter().rev().max_by_key(|(_, of)| finite(*of))?;
    if finite(of) < FEWEST_STEPS {
        return estimate(ladder);
    }
    one_sided(ladder, differences, of)
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
    let mut above: Vec<Entry> = Vec::new();
    for (i, (rung, difference)) in rungs.iter().enumerate() {
        let mut offer = |entry: Entry, distance: f64| {
            let bound = distance + entry.noise;
            if best.is_none_or(|b| bound < b.bound) && entry.value.is_finite() {
                best = Some(Estimate {
                    value: entry.value,
                    bound,
                    noise_bound: entry.noise,
                    floor,
                    eps: rung.eps,
                    noise: 0.5 * noise,
                    is_kink: false,
                    differences,
                });
            }
        };
        let plain = Entry { value: *difference, noise: noise / rung.eps };
        let mut row = vec![plain];
        if let Some(previous) = above.first() {
            offer(plain, (plain.value - previous.value).abs());
        }
        for k in 1..=i.min(MOST_EXTRAPOLATIONS) {
            let ratio = rungs[i - k].0.eps / rung.eps;
            let (fine, coarse) = (row[k - 1], above[k - 1]);
            let correction = (fine.value - coarse.value) / (ratio - 1.0);
            let entry = Entry {
                value: fine.value + correction,
                noise: (ratio * fine.noise + coarse.noise) / (ratio - 1.0),
            };
            row.push(entry);
            // The distance to both entries it was made from, as with central differences.
            offer(entry, correction.abs().max((entry.value - coarse.value).abs()));
        }
        above = row;
    }
    best
}

/// The noise of a one-sided difference, times its eps; largest step first. Each of the two values it
/// is made from has the noise of a central difference times eps.
///
/// From step to step the differences come closer to each other while truncation rules: wherever they
/// move apart again it is noise, and so is at least the last distance.
fn noise_level(rungs: &[(Rung, f64)]) -> f64 {
    let Some((first, _)) = rungs.first() else { return 0.0 };
    let standard = 2.0 * first.noise.max(0.0) * first.eps;
    if rungs.len() < ENOUGH_RUNGS {
        return NOISE_FACTOR * standard;
    }
    // Steps over which nothing changed at all show no noise, but that of rounding.
    let alive: Vec<&(Rung, f64)> = rungs.iter().filter(|(_, d)| *d != 0.0).collect();
    let mut closest = f64::INFINITY;
    let mut seen = 0.0_f64;
    for (i, pair) in alive.windows(2).enumerate() {
        let distance = (pair[0].1 - pair[1].1).abs();
        if distance > closest || i + 2 == alive.len() {
            seen = seen.max(distance * pair[1].0.eps);
        }
        closest = closest.min(distance);
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

    /// Pseudo-random in [-1, 1], a function of the bits of x alone.
    fn scatter(x: f64) -> f64 {
        let mixed = x.to_bits().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
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

    /// The twin of noise: seen in the bound, which covers it at every point.
    #[test]
    fn noise_is_in_the_bound() {
        for level in [1e-12, 1e-9, 1e-6] {
            for i in 0..200 {
                let x = 0.01 * f64::from(i);
                let f = |at: f64| {
                    if at < x { f64::NAN } else { (2.0 * at).sin() + level * scatter(at) }
                };
                let found = estimate_from_either(&ladder(f, x, 1.2e-16)).unwrap();
                let error = (found.value - 2.0 * (2.0 * x).cos()).abs();
                assert!(error <= found.bound, "{level:e} at {x}: {found:?}, error {error:e}");
                // Noise of this size over the largest step, 0.4, cannot be told from the derivative;
                // over steps of a few percent, with two extrapolations, it is some 1e3 times itself.
                // Without noise the grid's steps leave some 1e-7 of truncation.
                assert!(found.bound >= 2.0 * level, "{found:?}");
                assert!(found.bound < 1e4 * level + 1e-6, "{found:?}");
                assert!(found.noise_bound > 0.0);
            }
        }
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
