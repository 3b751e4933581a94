//! Sparse elimination against dense elimination with pivoting.

use crate::generated::distance;
use gradsweep::graph::{Graph, Input, NodeId};
use gradsweep::index::SlotIdx;
use gradsweep::rosenbrock::SparseLu;

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
