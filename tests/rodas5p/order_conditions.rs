//! The coefficients: order conditions, and the published values.

use crate::generated::distance;
use gradsweep::rosenbrock::rodas5p::{A, C, D, GAMMA, STAGES, TIME};

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
