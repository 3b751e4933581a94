//! Tangents along a schedule.

use crate::GLOBAL_FACTOR;
use crate::generated::*;
use gradsweep::graph::Unary;
use gradsweep::index::SlotIdx;
use gradsweep::rosenbrock::StepGenerator;

/// A predator and its prey, with a season: nonlinear, nonautonomous, three slots of which the
/// last is the prey's initial value too.
fn seasons() -> StepGenerator {
    generator([2, 3, 0], |g, s| {
        let sine = g.unary(Unary::Sin, s.t);
        let one = g.constant(1.0);
        let season = g.ternary(gradsweep::graph::Ternary::MulAdd, s.p[1], sine, one);
        let growth = g.mul(s.p[0], season);
        let meeting = g.mul(s.x[0], s.x[1]);
        let born = g.mul(growth, s.x[0]);
        let prey = g.sub(born, meeting);
        let eaten = g.mul(s.p[2], meeting);
        vec![prey, g.sub(eaten, s.x[1])]
    })
}

#[test]
fn tangents_are_the_derivatives_of_the_replayed_trajectory() {
    let generator = seasons();
    let base = [1.1, 0.4, 0.8];
    let initial = |p: &[f64]| [p[2], 0.7];
    let ends = [1.5, 3.0, 7.0];
    let line = timeline(-0.5, &ends);
    // A coarse schedule: the derivative is of the discrete trajectory, however wrong that is.
    let adaptive = run_adaptive(&generator, &initial(&base), &base, &line, [1e-4, 1e-6]);
    let schedule = &adaptive.schedules[0];
    let step = generator.replay();
    let plain = run_replay(&step, &initial(&base), &base, &line, schedule);
    assert_eq!(plain, adaptive.outputs);

    let directions: Vec<SlotIdx> = (0..3).map(SlotIdx::from_position).collect();
    let tangent_step = generator.replay_with_tangents(&directions, &[]);
    let mut start = initial(&base).to_vec();
    for k in 0..3 {
        start.extend([f64::from(u8::from(k == 2)), 0.0]);
    }
    let tangents = run_replay(&tangent_step, &start, &base, &line, schedule);
    let mut worst = 0.0_f64;
    for k in 0..3 {
        // Central differences at e, e/2, e/4, e/8, extrapolated to order 8: (1/64)^8 is far below
        // the rounding of the smallest difference, 1e-16·100/(1/512).
        let mut table: Vec<Vec<f64>> = (0..4)
            .map(|level| {
                let eps = base[k] * 2f64.powi(-6 - level);
                let sides = [eps, -eps].map(|change| {
                    let mut p = base;
                    p[k] += change;
                    run_replay(&step, &initial(&p), &p, &line, schedule)
                });
                sides[0].iter().zip(&sides[1]).map(|(a, b)| (a - b) / (2.0 * eps)).collect()
            })
            .collect();
        for order in 1..4 {
            let weight = 4f64.powi(order);
            table = table
                .windows(2)
                .map(|pair| {
                    let refined = pair[0].iter().zip(&pair[1]);
                    refined.map(|(coarse, fine)| fine + (fine - coarse) / (weight - 1.0)).collect()
                })
                .collect();
        }
        let difference = &table[0];
        let size = difference.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        for output in 0..ends.len() {
            let row = &tangents[output * 8..][..8];
            // The tangent program's own states are the plain ones, to the bit.
            assert_eq!(row[..2], plain[2 * output..][..2]);
            for i in 0..2 {
                let deviation = (row[2 + 2 * k + i] - difference[2 * output + i]).abs() / size;
                worst = worst.max(deviation);
            }
        }
    }
    println!("worst deviation of tangents from extrapolated differences {worst:.1e}");
    // Between the rounding of the differences, some 1e-13, and a defect: the tangent at other
    // tolerances differs from this one by far more.
    assert!(worst < 1e-10, "{worst}");
    let fine = run_adaptive(&generator, &initial(&base), &base, &line, [1e-10, 1e-12]);
    let accurate = run_replay(&tangent_step, &start, &base, &line, &fine.schedules[0]);
    let moved = distance(&accurate, &tangents);
    println!("tangents at rtol 1e-4 are {moved:.1e} from those at 1e-10");
    assert!(moved > 1e-7);
}

#[test]
fn tangents_of_a_decay_are_its_sensitivities() {
    let generator = generator([1, 2, 0], |g, s| {
        let rate = g.mul(s.p[0], s.x[0]);
        vec![g.neg(rate)]
    });
    let (x0, k, ends) = (2.0, 0.7, [0.5, 2.0, 6.0]);
    let line = timeline(0.0, &ends);
    for rtol in [1e-6, 1e-8, 1e-11] {
        let base = run_adaptive(&generator, &[x0], &[k, x0], &line, [rtol, rtol * 1e-3]);
        let step = generator.replay_with_tangents(&[SlotIdx(0), SlotIdx(1)], &[]);
        let start = [x0, 0.0, 1.0];
        let got = run_replay(&step, &start, &[k, x0], &line, &base.schedules[0]);
        let want: Vec<f64> = ends
            .iter()
            .flat_map(|&t: &f64| {
                let decayed = (-k * t).exp();
                [x0 * decayed, -t * x0 * decayed, decayed]
            })
            .collect();
        let worst = got.iter().zip(&want).map(|(g, w)| ((g - w) / w).abs()).fold(0.0, f64::max);
        println!("decay, rtol {rtol:.0e}: sensitivities off by {worst:.1e}");
        // The derivative by k of a relative error (h·k)⁵ is that error times the order.
        assert!(worst < 5.0 * GLOBAL_FACTOR * rtol, "{worst}");
    }
}

/// Powers x^n with a slot as exponent, at x = 0: the states' derivatives are finite there, so the
/// tangents are, also where second derivatives of the power are not (n < 2, x not moving).
#[test]
fn tangents_of_powers_that_start_at_zero_are_finite() {
    // x' = p0 − x, y' = p1·x^n/(1 + x^n) − y, a Hill function of a species that is absent at first.
    let generator = generator([2, 3, 0], |g, s| {
        let one = g.constant(1.0);
        let power = g.pow(s.x[0], s.p[2]);
        let below = g.add(one, power);
        let bound = g.div(power, below);
        let made = g.mul(s.p[1], bound);
        vec![g.sub(s.p[0], s.x[0]), g.sub(made, s.x[1])]
    });
    let line = timeline(0.0, &[2.0]);
    let directions: Vec<SlotIdx> = (0..3).map(SlotIdx::from_position).collect();
    let step = generator.replay();
    let tangent_step = generator.replay_with_tangents(&directions, &[]);
    // The last starts a rounding error below 0, as states that decayed there do; whole powers are
    // defined there and do not move with the exponent.
    for (x, n) in [(0.0, 1.0), (0.0, 1.5), (0.0, 2.0), (0.0, 2.5), (-1e-15, 2.0)] {
        let base = [1.0, 2.0, n];
        let plain = run_adaptive(&generator, &[x, 0.0], &base, &line, [1e-8, 1e-12]);
        let schedule = &plain.schedules[0];
        let mut start = vec![x, 0.0];
        start.extend([0.0; 6]);
        let got = run_replay(&tangent_step, &start, &base, &line, schedule);
        assert_eq!(got[..2], plain.outputs[..]);
        for k in 0..3 {
            // For n below 1 or not whole with x < 0 there is no trajectory to compare with.
            if k == 2 && (n == 1.0 || x < 0.0) {
                assert!(got[2 + 2 * k..][..2].iter().all(|v| v.is_finite()));
                continue;
            }
            let eps = 1e-4;
            let sides = [eps, -eps].map(|change| {
                let mut p = base;
                p[k] += change;
                run_replay(&step, &[x, 0.0], &p, &line, schedule)
            });
            for i in 0..2 {
                let want = (sides[0][i] - sides[1][i]) / (2.0 * eps);
                let tangent = got[2 + 2 * k + i];
                // eps²/6 times a third derivative of 10 or so.
                assert!((tangent - want).abs() < 1e-7, "n {n}, x {x}: {tangent}, not {want}");
            }
        }
    }
}
