//! Sparse LU factorisation and solution as expressions, unrolled, in Markowitz order.
//!
//! Pivots are taken on the diagonal without numerical pivoting: the matrices here are
//! I/(h·γ) − J, whose diagonal dominates for small h. The order minimises
//! (row count − 1)·(column count − 1) at every elimination (Markowitz 1957), ties by index.

use crate::graph::{Graph, NodeId, Ternary};
use std::collections::{BTreeMap, BTreeSet};

/// The factors of a sparse matrix of expressions.
#[derive(Debug)]
pub struct SparseLu {
    /// Pivot rows (equal to pivot columns) in order of elimination.
    order: Vec<usize>,
    /// For each elimination: multipliers (row, l) of the rows below.
    lower: Vec<Vec<(usize, NodeId)>>,
    /// For each elimination: the pivot row right of the pivot, (column, u).
    upper: Vec<Vec<(usize, NodeId)>>,
    /// Reciprocals of the pivots.
    reciprocals: Vec<NodeId>,
}

impl SparseLu {
    /// Factorises the n × n matrix given by rows of (column, entry); diagonals must be there.
    ///
    /// # Panics
    /// If a diagonal entry is missing.
    pub fn new(graph: &mut Graph, matrix: &[Vec<(usize, NodeId)>]) -> Self {
        let n = matrix.len();
        let mut rows: Vec<BTreeMap<usize, NodeId>> =
            matrix.iter().map(|row| row.iter().copied().collect()).collect();
        let mut columns: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); n];
        for (i, row) in rows.iter().enumerate() {
            row.keys().for_each(|&j| _ = columns[j].insert(i));
        }
        let cost = |rows: &[BTreeMap<usize, NodeId>], columns: &[BTreeSet<usize>], i: usize| {
            (rows[i].len() - 1) * (columns[i].len() - 1)
        };
        let mut queue: BTreeSet<(usize, usize)> =
            (0..n).map(|i| (cost(&rows, &columns, i), i)).collect();
        let one = graph.constant(1.0);
        let (mut order, mut lower, mut upper, mut reciprocals) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        while let Some((_, k)) = queue.pop_first() {
            let mut pivot_row = std::mem::take(&mut rows[k]);
            let pivot = pivot_row.remove(&k).expect("every diagonal entry is there");
            let reciprocal = graph.div(one, pivot);
            let below: Vec<usize> = columns[k].iter().copied().filter(|&i| i != k).collect();
            // Everything whose counts this elimination changes leaves the queue first.
            let touched: BTreeSet<usize> =
                below.iter().copied().chain(pivot_row.keys().copied()).collect();
            for &i in &touched {
                queue.remove(&(cost(&rows, &columns, i), i));
            }
            for &j in pivot_row.keys() {
                columns[j].remove(&k);
            }
            columns[k].clear();
            let mut multipliers = Vec::with_capacity(below.len());
            for &i in &below {
                let entry = rows[i].remove(&k).expect("the column lists this row");
                let multiplier = graph.mul(entry, reciprocal);
                for (&j, &u) in &pivot_row {
                    let updated = match rows[i].get(&j) {
                        Some(&old) => graph.ternary(Ternary::NegMulAdd, multiplier, u, old),
                        None => {
                            let product = graph.mul(multiplier, u);
                            columns[j].insert(i);
                            graph.neg(product)
                        }
                    };
                    rows[i].insert(j, updated);
                }
                multipliers.push((i, multiplier));
            }
            for &i in &touched {
                queue.insert((cost(&rows, &columns, i), i));
            }
            order.push(k);
            lower.push(multipliers);
            upper.push(pivot_row.into_iter().collect());
            reciprocals.push(reciprocal);
        }
        Self { order, lower, upper, reciprocals }
    }

    /// The solution for a right-hand side, entry by entry.
    pub fn solve(&self, graph: &mut Graph, right: &[NodeId]) -> Vec<NodeId> {
        let mut x = right.to_vec();
        for (step, &k) in self.order.iter().enumerate() {
            for &(i, multiplier) in &self.lower[step] {
                x[i] = graph.ternary(Ternary::NegMulAdd, multiplier, x[k], x[i]);
            }
        }
        for (step, &k) in self.order.iter().enumerate().rev() {
            for &(j, u) in &self.upper[step] {
                x[k] = graph.ternary(Ternary::NegMulAdd, u, x[j], x[k]);
            }
            x[k] = graph.mul(x[k], self.reciprocals[step]);
        }
        x
    }
}
