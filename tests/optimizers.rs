//! Both local optimisers on standard problems whose minima are known in closed form.
//!
//! Unbounded: Moré, Garbow & Hillstrom, *Testing unconstrained optimization software*, ACM Trans.
//! Math. Softw. 7 (1981), by their numbers. Bounded: Hock & Schittkowski, *Test examples for nonlinear
//! programming codes* (1981), and quadratics whose solution follows from the KKT conditions.

use gradsweep::optimize::dense::{Matrix, dot};
use gradsweep::optimize::{
    Bounds, Evaluation, Lbfgsb, Limits, Method, Minimiser, Position, Side, Stop, TrustRegion,
};
use std::f64::consts::PI;

const METHODS: [Method; 2] = [Method::Lbfgsb, Method::GaussNewton];

/// Far below what a method stops at: what it finds then is the minimum, not where it gave up.
const TIGHT: Limits = Limits { gtol: 1e-9, ftol: 1e-15, xtol: 1e-14, max_iterations: 2000 };

fn new(method: Method, start: &[f64], bounds: &Bounds, limits: Limits) -> Box<dyn Minimiser> {
    match method {
        Method::Lbfgsb => Box::new(Lbfgsb::new(start.to_vec(), bounds.clone(), limits)),
        Method::GaussNewton => Box::new(TrustRegion::new(start.to_vec(), bounds.clone(), limits)),
    }
}

fn unbounded(n: usize) -> Bounds {
    Bounds { lower: vec![f64::NEG_INFINITY; n], upper: vec![f64::INFINITY; n] }
}

/// Runs an optimiser to its end; every point that it asks for must lie in the box.
fn minimise(
    method: Method,
    start: &[f64],
    bounds: &Bounds,
    limits: Limits,
    f: &dyn Fn(&[f64]) -> Evaluation,
) -> (Position, Stop) {
    let mut minimiser = new(method, start, bounds, limits);
    for _ in 0..20_000 {
        let Some(x) = minimiser.wanted() else { break };
        for (i, x) in x.iter().enumerate() {
            assert!(bounds.lower[i] <= *x && *x <= bounds.upper[i], "{method:?}: {x} in {i}");
        }
        let evaluation = f(x);
        minimiser.tell(evaluation);
    }
    (minimiser.position().clone(), minimiser.stop().expect("it ends"))
}

/// Half the sum of squares of residuals, with the Gauss–Newton matrix.
fn squares((residuals, jacobian): (Vec<f64>, Vec<Vec<f64>>)) -> Evaluation {
    let n = jacobian[0].len();
    let column = |i: usize| -> Vec<f64> { jacobian.iter().map(|row| row[i]).collect() };
    let mut matrix = Matrix::zeros(n);
    for i in 0..n {
        for j in 0..n {
            matrix.set(i, j, dot(&column(i), &column(j)));
        }
    }
    Evaluation {
        value: 0.5 * dot(&residuals, &residuals),
        gradient: (0..n).map(|i| dot(&column(i), &residuals)).collect(),
        curvature: Some(matrix),
    }
}

fn rosenbrock(x: &[f64]) -> Evaluation {
    squares((
        vec![10.0 * (x[1] - x[0] * x[0]), 1.0 - x[0]],
        vec![vec![-20.0 * x[0], 10.0], vec![-1.0, 0.0]],
    ))
}

fn freudenstein_roth(x: &[f64]) -> Evaluation {
    let (a, b) = (x[0], x[1]);
    squares((
        vec![-13.0 + a + ((5.0 - b) * b - 2.0) * b, -29.0 + a + ((b + 1.0) * b - 14.0) * b],
        vec![vec![1.0, 10.0 * b - 3.0 * b * b - 2.0], vec![1.0, 3.0 * b * b + 2.0 * b - 14.0]],
    ))
}

fn beale(x: &[f64]) -> Evaluation {
    let y = [1.5, 2.25, 2.625];
    let row = |i: usize| {
        let (p, q) = (x[1].powi(i as i32), x[1].powi(i as i32 - 1));
        (y[i - 1] - x[0] * (1.0 - p), vec![p - 1.0, x[0] * i as f64 * q])
    };
    squares((1..=3).map(row).unzip())
}

fn helical_valley(x: &[f64]) -> Evaluation {
    let (r2, r) = (x[0] * x[0] + x[1] * x[1], x[0].hypot(x[1]));
    let theta = (x[1] / x[0]).atan() / (2.0 * PI) + if x[0] < 0.0 { 0.5 } else { 0.0 };
    let of = [-x[1] / r2 / (2.0 * PI), x[0] / r2 / (2.0 * PI)];
    squares((
        vec![10.0 * (x[2] - 10.0 * theta), 10.0 * (r - 1.0), x[2]],
        vec![
            vec![-100.0 * of[0], -100.0 * of[1], 10.0],
            vec![10.0 * x[0] / r, 10.0 * x[1] / r, 0.0],
            vec![0.0, 0.0, 1.0],
        ],
    ))
}

fn powell_singular(x: &[f64]) -> Evaluation {
    let (a, b) = (x[1] - 2.0 * x[2], x[0] - x[3]);
    let (s5, s10) = (5f64.sqrt(), 10f64.sqrt());
    squares((
        vec![x[0] + 10.0 * x[1], s5 * (x[2] - x[3]), a * a, s10 * b * b],
        vec![
            vec![1.0, 10.0, 0.0, 0.0],
            vec![0.0, 0.0, s5, -s5],
            vec![0.0, 2.0 * a, -4.0 * a, 0.0],
            vec![2.0 * s10 * b, 0.0, 0.0, -2.0 * s10 * b],
        ],
    ))
}

fn wood(x: &[f64]) -> Evaluation {
    let (s90, s10) = (90f64.sqrt(), 10f64.sqrt());
    squares((
        vec![
            10.0 * (x[1] - x[0] * x[0]),
            1.0 - x[0],
            s90 * (x[3] - x[2] * x[2]),
            1.0 - x[2],
            s10 * (x[1] + x[3] - 2.0),
            (x[1] - x[3]) / s10,
        ],
        vec![
            vec![-20.0 * x[0], 10.0, 0.0, 0.0],
            vec![-1.0, 0.0, 0.0, 0.0],
            vec![0.0, 0.0, -2.0 * s90 * x[2], s90],
            vec![0.0, 0.0, -1.0, 0.0],
            vec![0.0, s10, 0.0, s10],
            vec![0.0, 1.0 / s10, 0.0, -1.0 / s10],
        ],
    ))
}

type Problem<'a> = (&'a str, &'a dyn Fn(&[f64]) -> Evaluation, &'a [f64], &'a [f64]);

/// Numbers 1, 5, 7, 13 and 14, from their standard starts.
#[test]
fn unbounded_problems_with_minimum_zero() {
    let problems: [Problem<'_>; 5] = [
        ("Rosenbrock", &rosenbrock, &[-1.2, 1.0], &[1.0, 1.0]),
        ("Beale", &beale, &[1.0, 1.0], &[3.0, 0.5]),
        ("helical valley", &helical_valley, &[-1.0, 0.0, 0.0], &[1.0, 0.0, 0.0]),
        ("Powell singular", &powell_singular, &[3.0, -1.0, 0.0, 1.0], &[0.0; 4]),
        ("Wood", &wood, &[-3.0, -1.0, -3.0, -1.0], &[1.0; 4]),
    ];
    for (name, f, start, minimum) in problems {
        for method in METHODS {
            let bounds = unbounded(start.len());
            let (end, stop) = minimise(method, start, &bounds, TIGHT, f);
            // The gradient is below gtol. At Powell's minimum the matrix is singular: there the
            // gradient falls with the third power of the distance.
            let distance = if name == "Powell singular" { 2e-3 } else { 1e-7 };
            assert!(end.value < 1e-11, "{name} {method:?}: {} {stop}", end.value);
            for (x, wanted) in end.x.iter().zip(minimum) {
                assert!((x - wanted).abs() < distance, "{name} {method:?}: {:?} {stop}", end.x);
            }
            assert!(end.evaluations < 250, "{name} {method:?}: {}", end.evaluations);
        }
    }
}

/// Number 2 has a second minimum, 48.9842… where x₂ solves dr₁/dx₂·r₁ + dr₂/dx₂·r₂ = 0 with r₁ = −r₂:
/// 6x₂² − 8x₂ − 12 = 0.
#[test]
fn a_minimum_with_residuals_left() {
    let b = (8.0 - 352f64.sqrt()) / 12.0;
    // r₁ + r₂ = 0 gives x₁.
    let a = (42.0 - (((5.0 - b) * b - 2.0) + ((b + 1.0) * b - 14.0)) * b) / 2.0;
    let lowest = freudenstein_roth(&[a, b]).value;
    assert!((2.0 * lowest - 48.9842).abs() < 1e-4, "the paper's value");
    for method in METHODS {
        let (end, stop) = minimise(method, &[0.5, -2.0], &unbounded(2), TIGHT, &freudenstein_roth);
        // ftol is 1e-15, and where it ends it the point is known to its root.
        assert!((end.value - lowest).abs() < 1e-12 * lowest, "{method:?} {stop} {}", end.value);
        assert!((end.x[0] - a).abs() < 1e-5 && (end.x[1] - b).abs() < 1e-6, "{:?}", end.x);
    }
}

/// Number 2: Rosenbrock's function with x₂ ≥ 1.5, where the bound is active.
#[test]
fn rosenbrock_with_an_active_bound() {
    let bounds = Bounds { lower: vec![f64::NEG_INFINITY, 1.5], upper: vec![f64::INFINITY; 2] };
    let a = (598f64 / 1200.0).sqrt();
    let x = 2.0 * a * ((1.0 / (400.0 * a * a * a)).acos() / 3.0).cos();
    // The book's function is the sum of squares, twice this one.
    let lowest = rosenbrock(&[x, 1.5]).value;
    assert!((2.0 * lowest - 0.0504261879).abs() < 1e-9, "the book's value");
    for method in METHODS {
        let (end, stop) = minimise(method, &[2.0, 2.0], &bounds, TIGHT, &rosenbrock);
        assert_eq!(end.x[1], 1.5, "{method:?} {stop}");
        assert!((end.x[0] - x).abs() < 1e-6, "{method:?} {stop} {:?}", end.x);
        assert_eq!(bounds.active(1, end.x[1], end.gradient[1]), Some(Side::Lower));
        assert_eq!(bounds.active(0, end.x[0], end.gradient[0]), None);
    }
}

/// Numbers 3, 4, 5 and 45; curvature for the trust region is the positive part, or none.
#[test]
fn bounded_problems() {
    let flat = |n| Some(Matrix::zeros(n));
    let third = |x: &[f64]| {
        let d = x[1] - x[0];
        Evaluation {
            value: x[1] + 1e-5 * d * d,
            gradient: vec![-2e-5 * d, 1.0 + 2e-5 * d],
            curvature: Some(Matrix { size: 2, values: vec![2e-5, -2e-5, -2e-5, 2e-5] }),
        }
    };
    let fourth = |x: &[f64]| Evaluation {
        value: (x[0] + 1.0).powi(3) / 3.0 + x[1],
        gradient: vec![(x[0] + 1.0).powi(2), 1.0],
        curvature: Some(Matrix { size: 2, values: vec![2.0 * (x[0] + 1.0), 0.0, 0.0, 0.0] }),
    };
    let fifth = |x: &[f64]| {
        let (s, d) = (x[0] + x[1], x[0] - x[1]);
        Evaluation {
            value: s.sin() + d * d - 1.5 * x[0] + 2.5 * x[1] + 1.0,
            gradient: vec![s.cos() + 2.0 * d - 1.5, s.cos() - 2.0 * d + 2.5],
            curvature: Some(Matrix { size: 2, values: vec![2.0, -2.0, -2.0, 2.0] }),
        }
    };
    let last = |x: &[f64]| {
        let product: f64 = x.iter().product();
        let others =
            |i: usize| -> f64 { (0..5).filter(|j| *j != i).map(|j| x[j]).product::<f64>() };
        Evaluation {
            value: 2.0 - product / 120.0,
            gradient: (0..5).map(|i| -others(i) / 120.0).collect(),
            curvature: flat(5),
        }
    };
    let infinity = f64::INFINITY;
    type Case<'a> = (
        u32,
        &'a dyn Fn(&[f64]) -> Evaluation,
        Vec<f64>,
        Vec<f64>,
        Vec<f64>,
        f64,
        Option<Vec<f64>>,
    );
    let cases: [Case<'_>; 4] = [
        (3, &third, vec![10.0, 1.0], vec![-infinity, 0.0], vec![infinity; 2], 0.0, None),
        (
            4,
            &fourth,
            vec![1.125, 0.125],
            vec![1.0, 0.0],
            vec![infinity; 2],
            8.0 / 3.0,
            Some(vec![1.0, 0.0]),
        ),
        (
            5,
            &fifth,
            vec![0.0, 0.0],
            vec![-1.5, -3.0],
            vec![4.0, 3.0],
            -(3f64.sqrt()) / 2.0 - PI / 3.0,
            Some(vec![-PI / 3.0 + 0.5, -PI / 3.0 - 0.5]),
        ),
        (
            45,
            &last,
            vec![0.5, 1.0, 1.5, 2.0, 2.5],
            vec![0.0; 5],
            vec![1.0, 2.0, 3.0, 4.0, 5.0],
            1.0,
            Some(vec![1.0, 2.0, 3.0, 4.0, 5.0]),
        ),
    ];
    for (number, f, start, lower, upper, lowest, at) in cases {
        let bounds = Bounds { lower, upper };
        for method in METHODS {
            let (end, stop) = minimise(method, &start, &bounds, TIGHT, f);
            // Number 3 is flat: with gtol 1e-9 the value is off by gtol²/curvature at most.
            assert!((end.value - lowest).abs() < 1e-9, "{number} {method:?} {stop} {end:?}");
            for (x, wanted) in end.x.iter().zip(at.iter().flatten()) {
                assert!((x - wanted).abs() < 1e-6, "{number} {method:?} {stop} {end:?}");
            }
        }
    }
}

/// A convex quadratic in twelve dimensions. Its minimum in the box is made first: a point at some
/// bounds, multipliers of the right sign there, and the linear term that follows from them.
#[test]
fn a_quadratic_with_known_multipliers() {
    let n = 12;
    let entry = |i: usize, j: usize| (((3 * i + 5 * j) % 7) as f64 - 3.0) / 4.0;
    let mut matrix = Matrix::zeros(n);
    for i in 0..n {
        for j in 0..n {
            let sum: f64 = (0..n).map(|k| entry(k, i) * entry(k, j)).sum();
            matrix.set(i, j, sum + if i == j { 0.5 + i as f64 } else { 0.0 });
        }
    }
    let bounds = Bounds { lower: vec![-1.0; n], upper: vec![2.0; n] };
    let solution: Vec<f64> = (0..n)
        .map(|i| match i % 4 {
            0 => -1.0,
            1 => 2.0,
            _ => 0.1 * i as f64 - 0.4,
        })
        .collect();
    let multiplier = |i: usize| match i % 4 {
        0 => 0.3 + i as f64,
        1 => -0.2 - 2.0 * i as f64,
        _ => 0.0,
    };
    let of = matrix.times(&solution);
    let linear: Vec<f64> = (0..n).map(|i| multiplier(i) - of[i]).collect();
    let f = |x: &[f64]| {
        let of = matrix.times(x);
        Evaluation {
            value: 0.5 * dot(x, &of) + dot(&linear, x),
            gradient: of.iter().zip(&linear).map(|(a, b)| a + b).collect(),
            curvature: Some(matrix.clone()),
        }
    };
    let lowest = f(&solution).value;
    for method in METHODS {
        let (end, stop) = minimise(method, &vec![0.5; n], &bounds, TIGHT, &f);
        assert!((end.value - lowest).abs() < 1e-10, "{method:?} {stop} {}", end.value - lowest);
        for i in 0..n {
            assert!((end.x[i] - solution[i]).abs() < 1e-6, "{method:?} {i} {:?}", end.x);
            let side = match i % 4 {
                0 => Some(Side::Lower),
                1 => Some(Side::Upper),
                _ => None,
            };
            assert_eq!(bounds.active(i, end.x[i], end.gradient[i]), side, "{method:?} {i}");
        }
    }
}

/// Σ (xᵢ − ln xᵢ) has no value where some xᵢ ≤ 0, which bounds do not tell: long first steps fail,
/// and the minimum is reached all the same.
#[test]
fn failed_evaluations_shorten_the_step() {
    let failures = std::cell::Cell::new(0);
    let f = |x: &[f64]| {
        if x.iter().any(|x| *x <= 0.0) {
            failures.set(failures.get() + 1);
            return Evaluation::failed();
        }
        let mut matrix = Matrix::zeros(2);
        // Far too little: the model's minimum lies far outside.
        x.iter().enumerate().for_each(|(i, x)| matrix.set(i, i, 0.01 / (x * x)));
        Evaluation {
            value: x.iter().map(|x| x - x.ln()).sum(),
            gradient: x.iter().map(|x| 1.0 - 1.0 / x).collect(),
            curvature: Some(matrix),
        }
    };
    for method in METHODS {
        failures.set(0);
        let (end, stop) = minimise(method, &[30.0, 20.0], &unbounded(2), TIGHT, &f);
        assert!((end.value - 2.0).abs() < 1e-10, "{method:?} {stop} {end:?}");
        assert!(failures.get() > 0, "{method:?}: nothing failed");
    }
}

/// What ends at once, and with which reason.
#[test]
fn reasons_to_stop() {
    for method in METHODS {
        let start = [-1.2, 1.0];
        let run = |limits: Limits, f: &dyn Fn(&[f64]) -> Evaluation| {
            minimise(method, &start, &unbounded(2), limits, f)
        };
        let (end, stop) = run(TIGHT, &|_| Evaluation::failed());
        assert_eq!((stop, end.evaluations, end.iterations), (Stop::Start, 1, 0));
        assert_eq!((end.x.as_slice(), end.value), (start.as_slice(), f64::INFINITY));
        let (end, stop) = run(Limits { max_iterations: 3, ..TIGHT }, &rosenbrock);
        assert_eq!((stop, end.iterations), (Stop::Iterations, 3));
        let (end, stop) = run(Limits { gtol: 1.0, ..TIGHT }, &rosenbrock);
        assert!(stop == Stop::Gradient && end.projected_gradient <= 1.0, "{method:?}");
        let (_, stop) = run(Limits { ftol: 0.5, gtol: 0.0, ..TIGHT }, &rosenbrock);
        assert_eq!(stop, Stop::Objective, "{method:?}");
        let (_, stop) = run(Limits { xtol: 0.5, gtol: 0.0, ftol: -1.0, ..TIGHT }, &rosenbrock);
        assert_eq!(stop, Stop::Step, "{method:?}");
        // A gradient of the wrong sign: there is no lower value along what it calls descent.
        let (end, stop) = run(TIGHT, &|x| {
            let mut evaluation = rosenbrock(x);
            evaluation.gradient.iter_mut().for_each(|g| *g = -*g);
            evaluation
        });
        // A step so short that only rounding lowers the value may be taken.
        assert!(stop != Stop::Gradient, "{method:?} {stop}");
        assert!(end.value > rosenbrock(&start).value * (1.0 - 1e-14), "{method:?}");
    }
}
