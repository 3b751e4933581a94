//! The Rosenbrock step: coefficients, order, linear algebra, step control, tangents, switches.
//!
//! What is proved, and by which oracle:
//!
//! - The coefficients satisfy the order conditions of Rosenbrock methods, one a rooted tree, up to
//!   order 5, and up to order 4 those of the embedded method (Hairer & Wanner II, section IV.7,
//!   theorem 7.3); they are those of the published method (`GRADSWEEP_REFERENCE_DIR`).
//! - The generated step has that order, measured on closed-form solutions with fixed steps. The
//!   same step with one coefficient off by 1e-6 has not.
//! - `SparseLu` solves what dense elimination with pivoting solves.
//! - Adaptive integration keeps the global error near the tolerance: closed forms, and Robertson's
//!   problem against a Taylor series of order 40 in 200-bit arithmetic and the published solution.
//! - Tangents along a schedule are the derivatives of the replayed trajectory: Richardson's
//!   extrapolation of central differences of that same replay, and closed forms.

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::cpu::block::BlockProgram;
use gradsweep::engine::{
    Batch, BatchResult, Control, Engine, LaneStatus, Schedule, Segment, Timeline,
};
use gradsweep::graph::{Graph, Input, NodeId, Unary};
use gradsweep::index::{ScheduleIdx, SlotIdx, StateIdx, SwitchIdx, TimelineIdx};
use gradsweep::rosenbrock::rodas5p::{A, C, D, GAMMA, STAGES, TIME};
use gradsweep::rosenbrock::{RightHandSide, SparseLu, StepGenerator, StepProgram};

/// What a right-hand side may use.
struct Symbols {
    x: Vec<NodeId>,
    p: Vec<NodeId>,
    t: NodeId,
    switches: Vec<NodeId>,
}

/// The step of an ODE with n states, some slots and switches.
fn generator(
    [states, slots, switches]: [usize; 3],
    build: impl FnOnce(&mut Graph, &Symbols) -> Vec<NodeId>,
) -> StepGenerator {
    let mut graph = Graph::new();
    let symbols = Symbols {
        x: (0..states).map(|i| graph.input(Input::State(StateIdx::from_position(i)))).collect(),
        p: (0..slots).map(|i| graph.input(Input::Slot(SlotIdx::from_position(i)))).collect(),
        t: graph.input(Input::Time),
        switches: (0..switches)
            .map(|i| graph.input(Input::Switch(SwitchIdx::from_position(i))))
            .collect(),
    };
    let derivatives = build(&mut graph, &symbols);
    StepGenerator::new(&RightHandSide {
        graph,
        derivatives,
        slots: (0..slots).map(SlotIdx::from_position).collect(),
        switch_count: switches,
    })
}

/// One segment per end, each with an output and without switches.
fn timeline(t_start: f64, ends: &[f64]) -> Timeline {
    let segments = ends
        .iter()
        .map(|&t_end| Segment {
            t_end,
            is_output: true,
            switches: Vec::new(),
            t_end_tangents: Vec::new(),
        })
        .collect();
    Timeline { t_start, t_start_tangents: Vec::new(), segments }
}

/// Runs one lane.
fn run(
    step: &StepProgram,
    initial: &[f64],
    slots: &[f64],
    timeline: &Timeline,
    control: Control<'_>,
) -> BatchResult {
    let kernel = CpuEngine.prepare(step).expect("the CPU engine takes every program");
    let batch = Batch {
        initial,
        slots,
        timelines: std::slice::from_ref(timeline),
        of_lane: &[TimelineIdx(0)],
        control,
    };
    let result = kernel.run(&batch).expect("the CPU engine runs every batch");
    assert_eq!(result.reports[0].status, LaneStatus::Ok, "{:?}", result.reports);
    result
}

fn run_adaptive(
    generator: &StepGenerator,
    initial: &[f64],
    slots: &[f64],
    timeline: &Timeline,
    [rtol, atol]: [f64; 2],
) -> BatchResult {
    let control = Control::Adaptive { rtol, atol, max_steps: 100_000, first_steps: &[1e-4] };
    run(&generator.adaptive(), initial, slots, timeline, control)
}

fn run_replay(
    step: &StepProgram,
    initial: &[f64],
    slots: &[f64],
    timeline: &Timeline,
    schedule: &Schedule,
) -> Vec<f64> {
    let schedules = std::slice::from_ref(schedule);
    let control = Control::Replay { schedules, of_lane: &[ScheduleIdx(0)] };
    run(step, initial, slots, timeline, control).outputs
}

/// Equal steps over one segment.
fn equal_steps(count: usize) -> Schedule {
    let fraction = 1.0 / count as f64;
    let mut fractions = vec![fraction; count];
    fractions[count - 1] = -fraction;
    Schedule { fractions }
}

/// A rotation with speed 2 + cos t around a limit cycle of radius 1:
/// x' = x (1 − r²) − (2 + cos t) y, y' = y (1 − r²) + (2 + cos t) x. Nonlinear, nonautonomous, its
/// Jacobians at different times do not commute, and it has a closed form.
fn rotation() -> StepGenerator {
    generator([2, 0, 0], |g, s| {
        let (x, y) = (s.x[0], s.x[1]);
        let (one, two) = (g.constant(1.0), g.constant(2.0));
        let cosine = g.unary(Unary::Cos, s.t);
        let speed = g.add(two, cosine);
        let (xx, yy) = (g.mul(x, x), g.mul(y, y));
        let square = g.add(xx, yy);
        let growth = g.sub(one, square);
        let (gx, gy) = (g.mul(growth, x), g.mul(growth, y));
        let (sx, sy) = (g.mul(speed, x), g.mul(speed, y));
        vec![g.sub(gx, sy), g.add(gy, sx)]
    })
}

/// Its solution from (1/2, 0) at t = 0: r² is logistic, the angle 2t + sin t.
fn rotation_solution(t: f64) -> [f64; 2] {
    let radius = (1.0 / (1.0 + 3.0 * (-2.0 * t).exp())).sqrt();
    let angle = 2.0 * t + t.sin();
    [radius * angle.cos(), radius * angle.sin()]
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn list(errors: &[f64]) -> String {
    errors.iter().map(|e| format!("{e:.1e}")).collect::<Vec<_>>().join(" ")
}

/// Slopes of log error over log step between halvings.
fn orders(errors: &[f64]) -> Vec<f64> {
    errors.windows(2).map(|pair| (pair[0] / pair[1]).log2()).collect()
}

type Matrix = [[f64; STAGES]; STAGES];

/// The method's coefficients in the form of the order conditions.
struct Classical {
    /// Sums of the arguments, α.
    alpha: Matrix,
    /// α + Γ, with γ on the diagonal.
    beta: Matrix,
    gamma: Matrix,
    weights: [f64; STAGES],
    embedded: [f64; STAGES],
}

impl Classical {
    /// Undoes the transformation: Γ = (I/γ − C)⁻¹, α = A·Γ, b = m·Γ.
    fn new(a: &Matrix, c: &Matrix, diagonal: f64) -> Self {
        let mut gamma = [[0.0; STAGES]; STAGES];
        for column in 0..STAGES {
            for i in 0..STAGES {
                let unit = f64::from(u8::from(i == column));
                let sum: f64 = (0..i).map(|j| c[i][j] * gamma[j][column]).sum();
                gamma[i][column] = diagonal * (unit + sum);
            }
        }
        let times_gamma = |row: &[f64; STAGES]| -> [f64; STAGES] {
            std::array::from_fn(|j| (0..STAGES).map(|k| row[k] * gamma[k][j]).sum())
        };
        let alpha: Matrix = std::array::from_fn(|i| times_gamma(&a[i]));
        let beta = std::array::from_fn(|i| std::array::from_fn(|j| alpha[i][j] + gamma[i][j]));
        let mut last = a[STAGES - 1];
        let embedded = times_gamma(&last);
        last[STAGES - 1] = 1.0;
        Self { alpha, beta, gamma, weights: times_gamma(&last), embedded }
    }
}

/// A rooted tree: the children of its root.
#[derive(Debug, Clone, PartialEq)]
struct Tree(Vec<Tree>);

impl Tree {
    fn order(&self) -> u32 {
        1 + self.0.iter().map(Self::order).sum::<u32>()
    }

    /// γ(t): the order times those of the subtrees.
    fn density(&self) -> f64 {
        f64::from(self.order()) * self.0.iter().map(Self::density).product::<f64>()
    }

    /// Φᵢ(t) of a Rosenbrock method: a vertex with one child goes by β, with more by α.
    fn elementary_weights(&self, method: &Classical) -> [f64; STAGES] {
        let matrix = if self.0.len() == 1 { &method.beta } else { &method.alpha };
        let mut weights = [1.0; STAGES];
        for child in &self.0 {
            let inner = child.elementary_weights(method);
            for (i, weight) in weights.iter_mut().enumerate() {
                *weight *= (0..STAGES).map(|j| matrix[i][j] * inner[j]).sum::<f64>();
            }
        }
        weights
    }

    /// Σ bᵢ Φᵢ(t) − 1/γ(t).
    fn defect(&self, method: &Classical, weights: &[f64; STAGES]) -> f64 {
        let phi = self.elementary_weights(method);
        weights.iter().zip(phi).map(|(b, phi)| b * phi).sum::<f64>() - 1.0 / self.density()
    }

    /// All trees of an order: multisets of smaller trees.
    fn all(order: u32) -> Vec<Self> {
        fn forests(order: u32, largest: u32, limit: usize) -> Vec<Vec<Tree>> {
            if order == 0 {
                return vec![Vec::new()];
            }
            let mut found = Vec::new();
            for first in (1..=order.min(largest)).rev() {
                let trees = Tree::all(first);
                let limit = if first == largest { limit.min(trees.len()) } else { trees.len() };
                for (k, tree) in trees.iter().enumerate().take(limit) {
                    for mut rest in forests(order - first, first, k + 1) {
                        rest.insert(0, tree.clone());
                        found.push(rest);
                    }
                }
            }
            found
        }
        forests(order - 1, order, usize::MAX).into_iter().map(Tree).collect()
    }
}

/// Largest defect of the conditions of one order.
fn worst_defect(method: &Classical, weights: &[f64; STAGES], order: u32) -> f64 {
    Tree::all(order).iter().map(|t| t.defect(method, weights).abs()).fold(0.0, f64::max)
}

#[test]
fn coefficients_satisfy_the_order_conditions() {
    let counts: Vec<usize> = (1..=6).map(|order| Tree::all(order).len()).collect();
    assert_eq!(counts, [1, 1, 2, 4, 9, 20], "numbers of rooted trees (OEIS A000081)");
    let method = Classical::new(&A, &C, GAMMA);
    // Entries of C up to 165 carry 16 digits, and the conditions multiply up to four of them.
    const TOLERANCE: f64 = 1e-12;
    for order in 1..=6 {
        let (full, embedded) = (
            worst_defect(&method, &method.weights, order),
            worst_defect(&method, &method.embedded, order),
        );
        println!("order {order}: worst defect {full:.1e}, embedded {embedded:.1e}");
        // Of just that order: the next one's conditions do not hold.
        assert_eq!(full < TOLERANCE, order <= 5);
        assert_eq!(embedded < TOLERANCE, order <= 4);
        assert!([full, embedded].iter().all(|d| !(TOLERANCE..=1e-5).contains(d)));
    }
    // Times of the stages are the sums of α's rows, the weights of ∂f/∂t those of Γ's.
    for i in 0..STAGES {
        let (time, weight) = (method.alpha[i].iter().sum(), method.gamma[i].iter().sum());
        assert!(distance(&[TIME[i], D[i]], &[time, weight]) < TOLERANCE, "stage {i}");
    }
    // Stiffly accurate: the new state is the last stage's argument and its own correction.
    assert!(distance(&method.weights, &method.beta[STAGES - 1]) < TOLERANCE);

    // Twin: any coefficient that is off by 1e-6 of itself breaks a condition or a sum.
    let (mut tried, mut least) = (0, f64::INFINITY);
    for i in 1..STAGES {
        for j in 0..i {
            for in_a in [true, false] {
                let (mut a, mut c) = (A, C);
                let entry = if in_a { &mut a[i][j] } else { &mut c[i][j] };
                *entry *= 1.0 + 1e-6;
                let broken = Classical::new(&a, &c, GAMMA);
                let sums = (0..STAGES).map(|i| {
                    let sum: f64 = broken.alpha[i].iter().sum();
                    (sum - TIME[i]).abs()
                });
                let worst = (1..=5)
                    .map(|order| worst_defect(&broken, &broken.weights, order))
                    .chain(sums)
                    .fold(0.0, f64::max);
                tried += 1;
                least = least.min(worst);
            }
        }
    }
    println!("{tried} coefficients off by 1e-6: defect at least {least:.1e}");
    assert!(least > 10.0 * TOLERANCE);
}

#[test]
fn coefficients_are_the_published_ones() {
    let Some(folder) = std::env::var_os("GRADSWEEP_REFERENCE_DIR") else {
        println!("skipped: GRADSWEEP_REFERENCE_DIR is not set");
        return;
    };
    let path = std::path::Path::new(&folder).join("rodas5p.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let reference: serde_json::Value = serde_json::from_str(&text).expect("a JSON file");
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    // serde_json reads decimals to the nearest double or its neighbour.
    let same = |value: &serde_json::Value, ours: f64, what: &str| {
        let deviation = (number(value) - ours).abs();
        assert!(deviation <= 2.0 * f64::EPSILON * ours.abs(), "{what}: {value}, not {ours}");
    };
    same(&reference["gamma"], GAMMA, "gamma");
    for i in 0..STAGES {
        same(&reference["c"][i], TIME[i], &format!("c {i}"));
        same(&reference["d"][i], D[i], &format!("d {i}"));
        for j in 0..i {
            same(&reference["a"][i][j], A[i][j], &format!("a {i} {j}"));
            same(&reference["C"][i][j], C[i][j], &format!("C {i} {j}"));
        }
    }
}

#[test]
fn the_step_has_order_five() {
    let step = rotation().replay();
    let line = timeline(0.0, &[2.0]);
    let errors: Vec<f64> = [32, 64, 128, 256]
        .iter()
        .map(|&n| {
            let end = run_replay(&step, &[0.5, 0.0], &[], &line, &equal_steps(n));
            distance(&end, &rotation_solution(2.0))
        })
        .collect();
    println!("errors {}, orders {:.2?}", list(&errors), orders(&errors));
    // The last error is far above round-off (1e-14), the first in the asymptotic range.
    assert!(errors[3] > 1e-13);
    for order in orders(&errors) {
        assert!((order - 5.0).abs() < 0.2, "{order}");
    }
}

/// x' = −λ(x − sin t) + cos t with λ = 1e6, steps far above 1/λ. A method of classical order 5
/// falls to its stage order here; Rodas5P was made to keep at least order 3 (Steinebach 2023,
/// section 2, conditions for the problem of Prothero and Robinson).
#[test]
fn order_on_a_stiff_problem_falls_no_lower_than_three() {
    let step = generator([1, 1, 0], |g, s| {
        let (sine, cosine) = (g.unary(Unary::Sin, s.t), g.unary(Unary::Cos, s.t));
        let distance = g.sub(s.x[0], sine);
        let pull = g.mul(s.p[0], distance);
        vec![g.sub(cosine, pull)]
    })
    .replay();
    let errors: Vec<f64> = [4, 8, 16, 32]
        .iter()
        .map(|&n| {
            let line = timeline(0.0, &[2.0]);
            let end = run_replay(&step, &[0.0], &[1e6], &line, &equal_steps(n));
            (end[0] - 2f64.sin()).abs()
        })
        .collect();
    println!("errors {}, orders {:.2?}", list(&errors), orders(&errors));
    assert!(orders(&errors).iter().all(|order| *order > 3.0 - 0.2), "{errors:?}");
}

/// One step of a program over a block of one lane: its outputs.
fn one_step(
    program: &BlockProgram,
    step: &StepProgram,
    x: &[f64],
    [t, h]: [f64; 2],
    tolerances: [f64; 2],
) -> Vec<f64> {
    let mut file = program.new_file();
    for (i, &value) in x.iter().enumerate() {
        file[i][0] = value;
    }
    let at = step.time_at();
    file[at][0] = t;
    file[at + 1][0] = h;
    if step.adaptive {
        file[at + 2][0] = tolerances[0];
        file[at + 3][0] = tolerances[1];
    }
    program.run(&mut file);
    program.registers.outputs.iter().map(|&r| file[r as usize][0]).collect()
}

/// The error estimate of one step shrinks as h⁵, as that of a method of order 4 does. With rtol 0
/// and atol 1 the squared norm is the mean square of the last stage.
#[test]
fn the_error_estimate_has_order_five_in_a_step() {
    let step = rotation().adaptive();
    let registers = BlockProgram::new(&step.program);
    let start = rotation_solution(0.3);
    let errors: Vec<f64> = [0.04, 0.02, 0.01, 0.005]
        .iter()
        .map(|&h| one_step(&registers, &step, &start, [0.3, h], [0.0, 1.0])[2].sqrt())
        .collect();
    println!("estimates {}, orders {:.2?}", list(&errors), orders(&errors));
    // Far above the rounding of a stage, 1e-16.
    assert!(errors[3] > 1e-14);
    for order in orders(&errors) {
        assert!((order - 5.0).abs() < 0.2, "{order}");
    }
    // The factor is 0.9·norm^(−1/5) within its bounds 0.2 and 6, to the rounding of exp and log.
    for (h, atol) in [(0.04, 1e-9), (0.02, 1e-9), (0.04, 1e-3), (0.2, 1e-14)] {
        let outputs = one_step(&registers, &step, &start, [0.3, h], [0.0, atol]);
        let want = (0.9 * outputs[2].sqrt().powf(-0.2)).clamp(0.2, 6.0);
        assert!((outputs[3] / want - 1.0).abs() < 1e-14, "{} {want}", outputs[3]);
    }
}

/// The measured order is lost when a coefficient in the generated program is off by 1e-6.
#[test]
fn a_wrong_coefficient_breaks_the_order() {
    let step = rotation().replay();
    let sound = BlockProgram::new(&step.program);
    let measure = |program: &BlockProgram| {
        let errors: Vec<f64> = [64, 128, 256, 512]
            .iter()
            .map(|&n| {
                let h = 2.0 / n as f64;
                let mut x = vec![0.5, 0.0];
                for k in 0..n {
                    x = one_step(program, &step, &x, [h * k as f64, h], [0.0; 2]);
                }
                distance(&x, &rotation_solution(2.0))
            })
            .collect();
        orders(&errors)
    };
    let sound_orders = measure(&sound);
    println!("sound: {sound_orders:.2?}");
    // The last pair touches round-off.
    assert!(sound_orders[..2].iter().all(|order| (order - 5.0).abs() < 0.2));
    let broken = [
        ("a63", A[5][2]),
        ("a43", A[3][2]),
        ("a21", A[1][0]),
        ("C83", C[7][2]),
        ("C63", C[5][2]),
        ("C41", C[3][0]),
        ("c4", TIME[3]),
        ("d5", D[4]),
    ];
    for (name, coefficient) in broken {
        let mut broken = BlockProgram::new(&step.program);
        let mut places =
            broken.registers.constants.iter_mut().filter(|(_, value)| *value == coefficient);
        let place = places.next().unwrap_or_else(|| panic!("{name} is a constant of the step"));
        place.1 *= 1.0 + 1e-6;
        let measured = measure(&broken);
        println!("{name}: {measured:.2?}");
        let lowest = measured.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(lowest < 4.5, "{name}: {measured:?}");
    }
}

/// SplitMix64: the sequence depends on the seed alone.
fn random(seed: &mut u64) -> f64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 * 2f64.powi(-53)
}

/// Gaussian elimination with row pivoting.
fn solve_dense(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let n = right.len();
    for k in 0..n {
        let pivot = (k..n)
            .max_by(|&i, &j| matrix[i][k].abs().total_cmp(&matrix[j][k].abs()))
            .expect("rows are left");
        matrix.swap(k, pivot);
        right.swap(k, pivot);
        for i in k + 1..n {
            let factor = matrix[i][k] / matrix[k][k];
            for j in k..n {
                let upper = matrix[k][j];
                matrix[i][j] -= factor * upper;
            }
            right[i] -= factor * right[k];
        }
    }
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| matrix[k][j] * right[j]).sum();
        right[k] = (right[k] - known) / matrix[k][k];
    }
    right
}

#[test]
fn sparse_lu_solves_as_dense_elimination_does() {
    let (mut seed, mut worst) = (7, 0.0_f64);
    for round in 0..200 {
        let n = 1 + round % 17;
        let density = [0.1, 0.3, 1.0][round % 3];
        let mut dense = vec![vec![0.0; n]; n];
        for i in 0..n {
            for j in 0..n {
                if i != j && random(&mut seed) < density {
                    dense[i][j] = 2.0 * random(&mut seed) - 1.0;
                }
            }
            let others: f64 = dense[i].iter().map(|v| v.abs()).sum();
            let sign = if random(&mut seed) < 0.5 { -1.0 } else { 1.0 };
            dense[i][i] = sign * (1.2 * others + 0.1 + random(&mut seed));
        }
        let right: Vec<f64> = (0..n).map(|_| 2.0 * random(&mut seed) - 1.0).collect();
        // Entries are inputs, so that the solution really is an expression.
        let mut graph = Graph::new();
        let slot = |i: usize, j: usize| Input::Slot(SlotIdx::from_position(i * (n + 1) + j));
        let rows: Vec<Vec<(usize, NodeId)>> = (0..n)
            .map(|i| {
                (0..n)
                    .filter(|&j| dense[i][j] != 0.0)
                    .map(|j| (j, graph.input(slot(i, j))))
                    .collect()
            })
            .collect();
        let right_nodes: Vec<NodeId> = (0..n).map(|i| graph.input(slot(i, n))).collect();
        let (diagonal, states) = (graph.constant(1.0), vec![graph.constant(1.0); n]);
        let lu = SparseLu::new(&mut graph, &rows, &[], (diagonal, &states), 1);
        let solution = lu.solve(&mut graph, &right_nodes);
        let got = graph.evaluate(&solution, &|input| match input {
            Input::Slot(s) => {
                let (i, j) = (s.position() / (n + 1), s.position() % (n + 1));
                if j == n { right[i] } else { dense[i][j] }
            }
            _ => f64::NAN,
        });
        let want = solve_dense(dense, right);
        let size = want.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
        worst = worst.max(distance(&got, &want) / size);
    }
    println!("worst relative deviation {worst:.1e}");
    // Dominance by 1.2 bounds the condition number by about 100: 100 roundings of 1e-16.
    assert!(worst < 1e-12);
}

/// Global errors over the tolerance; a multiple that a controller of local errors, with a safety
/// factor of 0.9 and a fourth-order estimate for a fifth-order result, does not pass on problems
/// that do not amplify errors.
const GLOBAL_FACTOR: f64 = 5.0;

fn check_global_error(name: &str, result: &BatchResult, want: &[f64], [rtol, atol]: [f64; 2]) {
    let worst = result
        .outputs
        .iter()
        .zip(want)
        .map(|(got, want)| (got - want).abs() / (atol + rtol * want.abs()))
        .fold(0.0, f64::max);
    println!("{name}, rtol {rtol:.0e}: {} steps, error {worst:.3} tol", result.reports[0].steps);
    assert_eq!(result.outputs.len(), want.len());
    assert!(worst < GLOBAL_FACTOR, "{name}: {worst} tolerances");
}

#[test]
fn global_errors_stay_near_the_tolerance() {
    let decay = generator([1, 1, 0], |g, s| {
        let rate = g.mul(s.p[0], s.x[0]);
        vec![g.neg(rate)]
    });
    let oscillator = generator([2, 0, 0], |g, s| vec![s.x[1], g.neg(s.x[0])]);
    // Nonautonomous and nonlinear: x' = x(1 − x)(1 + cos t), logistic in t + sin t.
    let logistic = generator([1, 0, 0], |g, s| {
        let one = g.constant(1.0);
        let cosine = g.unary(Unary::Cos, s.t);
        let speed = g.add(one, cosine);
        let rest = g.sub(one, s.x[0]);
        let growth = g.mul(s.x[0], rest);
        vec![g.mul(growth, speed)]
    });
    let turning = rotation();
    for tolerances in [[1e-8, 1e-10], [1e-11, 1e-13]] {
        let ends = [0.5, 1.0, 4.0];
        let line = timeline(0.0, &ends);
        let result = run_adaptive(&decay, &[3.0], &[0.7], &line, tolerances);
        check_global_error("decay", &result, &ends.map(|t| 3.0 * (-0.7 * t).exp()), tolerances);

        let result = run_adaptive(&logistic, &[0.1], &[], &line, tolerances);
        let want = ends.map(|t| 1.0 / (1.0 + 9.0 * (-(t + t.sin())).exp()));
        check_global_error("logistic", &result, &want, tolerances);

        let result = run_adaptive(&turning, &[0.5, 0.0], &[], &line, tolerances);
        // Relative to the radius: a component passes through 0.
        let want: Vec<f64> = ends.iter().flat_map(|&t| rotation_solution(t)).collect();
        let absolute = [0.0, tolerances[0]];
        check_global_error("rotation", &result, &want, absolute);

        let result = run_adaptive(&oscillator, &[1.0, 0.0], &[], &line, tolerances);
        let want: Vec<f64> = ends.iter().flat_map(|&t| [t.cos(), -t.sin()]).collect();
        check_global_error("oscillator", &result, &want, absolute);
    }
}

/// Robertson's chemical kinetics, stiff: x1' = −0.04 x1 + 1e4 x2 x3 and so on.
fn robertson() -> StepGenerator {
    generator([3, 3, 0], |g, s| {
        let first = g.mul(s.p[0], s.x[0]);
        let pair = g.mul(s.x[1], s.x[2]);
        let second = g.mul(s.p[1], pair);
        let square = g.mul(s.x[1], s.x[1]);
        let third = g.mul(s.p[2], square);
        let x1 = g.sub(second, first);
        let back = g.sub(first, second);
        vec![x1, g.sub(back, third), third]
    })
}

#[test]
fn robertson_is_solved_to_the_tolerance() {
    // At t = 40: explicit Taylor series of order 40 in 200-bit fixed point, with steps from 1/10000
    // at the start to 1/1200, and again with steps shorter by a quarter: 30 digits agree. At
    // t = 1e11: F. Mazzia and C. Magherini, "Test Set for Initial Value Problem Solvers", release
    // 2.4 (2008), problem ROBER.
    let at_40 = [0.715827068719405, 9.185534764557764e-6, 0.28416374574583035];
    let at_1e11 = [0.2083340149701255e-7, 0.8333360770334713e-13, 0.999999979166505];
    for tolerances in [[1e-8, 1e-14], [1e-11, 1e-18]] {
        let line = timeline(0.0, &[40.0, 1e11]);
        let rates = [0.04, 1e4, 3e7];
        let result = run_adaptive(&robertson(), &[1.0, 0.0, 0.0], &rates, &line, tolerances);
        let (early, late) = result.outputs.split_at(3);
        let mut part = result.clone();
        part.outputs = early.to_vec();
        check_global_error("Robertson at 40", &part, &at_40, tolerances);
        // x1 and x2 decay over eight decades of time: their relative errors collect on the way.
        let worst = late
            .iter()
            .zip(at_1e11)
            .map(|(got, want)| ((got - want) / want).abs())
            .fold(0.0, f64::max);
        println!("Robertson at 1e11, rtol {:.0e}: relative error {worst:.1e}", tolerances[0]);
        assert!(worst < 20.0 * tolerances[0]);
    }
}

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

/// dx/dt = 1 until 1.3, then −1: the jump is a breakpoint, so steps never straddle it.
#[test]
fn switches_act_exactly_at_their_breakpoint() {
    let generator = generator([1, 0, 1], |g, s| {
        let (one, minus_one) = (g.constant(1.0), g.constant(-1.0));
        vec![g.select(s.switches[0], one, minus_one)]
    });
    let line = Timeline {
        t_start: 0.0,
        t_start_tangents: Vec::new(),
        segments: vec![
            Segment {
                t_end: 1.3,
                is_output: true,
                switches: vec![1.0],
                t_end_tangents: Vec::new(),
            },
            Segment {
                t_end: 2.0,
                is_output: false,
                switches: vec![0.0],
                t_end_tangents: Vec::new(),
            },
            Segment {
                t_end: 3.0,
                is_output: true,
                switches: vec![0.0],
                t_end_tangents: Vec::new(),
            },
        ],
    };
    let result = run_adaptive(&generator, &[0.5], &[], &line, [1e-8, 1e-12]);
    println!("{:?} in {} steps", result.outputs, result.reports[0].steps);
    // A dozen steps, each of which rounds states of size 2 once or twice.
    assert!(distance(&result.outputs, &[1.8, 0.1]) < 1e-14);
    let step = generator.replay();
    let again = run_replay(&step, &[0.5], &[], &line, &result.schedules[0]);
    assert_eq!(again, result.outputs);
    // With the switch turned one segment late, the result would be off by twice the delay.
    let mut late = line.clone();
    late.segments[1].switches[0] = 1.0;
    let wrong = run_adaptive(&generator, &[0.5], &[], &late, [1e-8, 1e-12]);
    assert!((wrong.outputs[1] - 1.5).abs() < 1e-14);
}
