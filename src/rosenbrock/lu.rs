//! Sparse LU factorisation and solution as expressions, unrolled, in Markowitz order.
//!
//! Pivots are taken on the diagonal without numerical pivoting: the matrices here are
//! I/(h·γ) − J, whose diagonal dominates for small h. The order minimises
//! (row count − 1)·(column count − 1) at every elimination (Markowitz 1957), ties by index; or that and
//! what the entries cost in the solutions, whichever comes out with fewer operations.
//!
//! Where h is large and fast flows balance, pivots are differences of large numbers: what is left of
//! 1/(h·γ) in them is rounding, and where nothing is left elimination breaks down. Along a moiety c
//! with cᵀJ = 0 the sum of rows cᵀW is known without rounding: it is c/(h·γ). That sum is eliminated
//! like a row of its own. A pivot that was updated is then what the other members' entries in its
//! column leave of the sum (as Grassmann, Taksar & Heyman do for Markov chains, *Regenerative analysis
//! and steady state distributions for Markov chains*, Oper. Res. 33, 1985, where all terms have one
//! sign and nothing cancels), and the row of the member that is eliminated last is the sum, whose
//! right-hand side is 0 at first. Both ways give the same number but for rounding; where the sum's terms
//! are larger, as with small h, the row is taken as it came out.

use super::moieties::Moiety;
use crate::graph::{Binary, Graph, NodeId, Ternary, Unary};
use std::collections::{BTreeMap, BTreeSet};

/// The factors of a sparse matrix of expressions.
#[derive(Debug)]
pub struct SparseLu {
    /// Pivot rows (equal to pivot columns) in order of elimination.
    order: Vec<usize>,
    /// For each elimination: multipliers (row, l) of the rows below.
    lower: Vec<Vec<(usize, NodeId)>>,
    /// For each elimination: multipliers (moiety, l) of the moieties' sums of rows.
    lower_of_sums: Vec<Vec<(usize, NodeId)>>,
    /// For each elimination: the sum that may take the row's place.
    summed: Vec<Option<Replacement>>,
    /// For each elimination: the pivot row right of the pivot, (column, u).
    upper: Vec<Vec<(usize, NodeId)>>,
    /// Reciprocals of the pivots.
    reciprocals: Vec<NodeId>,
}

/// How much larger than the row's own the sum's rounding error may be: what is added along a moiety
/// stays, or is taken off where it makes fast flows move, all else is forgotten.
const LASTING: f64 = 100.0;

/// A moiety's sum of rows that takes the place of its last member's row.
#[derive(Debug, Clone, Copy)]
struct Replacement {
    moiety: usize,
    /// One over the weight of the member in the sum.
    per_weight: NodeId,
    /// Whether it does: not 0 where rounding does less to the sum than to the row.
    condition: NodeId,
}

/// The sum of a moiety's rows while members are eliminated.
struct SumOfRows {
    weights: BTreeMap<usize, f64>,
    row: BTreeMap<usize, NodeId>,
    /// Bound of the rounding error of its right-hand side, over the spacing of doubles.
    rounding: NodeId,
    /// Members whose rows are still there.
    left: usize,
}

impl SumOfRows {
    fn new(graph: &mut Graph, moiety: &Moiety, diagonal: NodeId) -> Self {
        let weights = moiety.members.iter().map(|(i, weight)| (i.position(), *weight));
        let weights: BTreeMap<usize, f64> = weights.collect();
        let row = weights.iter().map(|(&i, &weight)| {
            let weight = graph.constant(weight);
            (i, graph.mul(weight, diagonal))
        });
        let row = row.collect();
        Self { row, rounding: graph.constant(0.0), left: weights.len(), weights }
    }

    /// The diagonal entry of `k` from the sum and the other entries of its column, where these are
    /// not larger than the entry was at first; else as it came out.
    fn pivot(
        &self,
        graph: &mut Graph,
        k: usize,
        [first, updated]: [NodeId; 2],
        rows: &[BTreeMap<usize, NodeId>],
        column: &BTreeSet<usize>,
    ) -> NodeId {
        /// Where all terms have one sign they are never larger but for rounding.
        const MOST: f64 = 2.0;
        let mut rest = self.row.get(&k).copied().unwrap_or_else(|| graph.constant(0.0));
        let mut size = graph.unary(Unary::Abs, rest);
        for &i in column.iter().filter(|&&i| i != k) {
            if let Some(&weight) = self.weights.get(&i) {
                let (weight, entry) = (graph.constant(weight), rows[i][&k]);
                rest = graph.ternary(Ternary::NegMulAdd, weight, entry, rest);
                let magnitude = graph.unary(Unary::Abs, entry);
                size = graph.ternary(Ternary::MulAdd, weight, magnitude, size);
            }
        }
        let per_weight = graph.constant(1.0 / self.weights[&k]);
        let most = graph.constant(MOST * self.weights[&k]);
        let magnitude = graph.unary(Unary::Abs, first);
        let largest = graph.mul(most, magnitude);
        let is_good = graph.binary(Binary::Le, size, largest);
        let pivot = graph.mul(rest, per_weight);
        graph.ternary(Ternary::Select, is_good, pivot, updated)
    }
}

impl SparseLu {
    /// Factorises the n × n matrix given by rows of (column, entry); diagonals must be there.
    ///
    /// For each of the moieties the weighted sum of its members' rows must be its weights times
    /// `diagonal`, and that of the entries of any right-hand side 0. The sizes of states tell which
    /// sums rounding does much to. `solutions` is for how many right-hand sides there will be one.
    ///
    /// # Panics
    /// If a diagonal entry is missing.
    pub fn new(
        graph: &mut Graph,
        matrix: &[Vec<(usize, NodeId)>],
        moieties: &[Moiety],
        (diagonal, states): (NodeId, &[NodeId]),
        solutions: usize,
    ) -> Self {
        let mut in_order =
            |weight| Self::in_order(graph, matrix, moieties, (diagonal, states), weight);
        let (fill, all) = (in_order(0), in_order(solutions));
        if all.operations(solutions) < fill.operations(solutions) { all } else { fill }
    }

    /// About how many operations factorisation and so many solutions take.
    fn operations(&self, solutions: usize) -> usize {
        let of_pivot = |(lower, upper): (&Vec<_>, &Vec<_>)| {
            lower.len() * (1 + upper.len()) + solutions * (lower.len() + upper.len())
        };
        self.lower.iter().zip(&self.upper).map(of_pivot).sum()
    }

    /// With entries that weigh so much in the order, beside what their elimination costs.
    fn in_order(
        graph: &mut Graph,
        matrix: &[Vec<(usize, NodeId)>],
        moieties: &[Moiety],
        (diagonal, states): (NodeId, &[NodeId]),
        weight: usize,
    ) -> Self {
        let n = matrix.len();
        let mut sums: Vec<SumOfRows> =
            moieties.iter().map(|m| SumOfRows::new(graph, m, diagonal)).collect();
        // A state may belong to several; the first has it.
        let sum_of: Vec<Option<usize>> =
            (0..n).map(|i| sums.iter().position(|sum| sum.weights.contains_key(&i))).collect();
        // Diagonal entries before anything is subtracted.
        let first: Vec<NodeId> = (0..n)
            .map(|i| {
                matrix[i].iter().find(|(j, _)| *j == i).expect("every diagonal entry is there").1
            })
            .collect();
        let mut is_updated = vec![false; n];
        // Bounds of the rounding errors of right-hand sides, over the spacing of doubles: what a state
        // loses and gains in all flows, and what elimination brings along.
        let mut rounding: Vec<NodeId> = (0..n)
            .map(|i| {
                let turnover = graph.mul(first[i], states[i]);
                graph.unary(Unary::Abs, turnover)
            })
            .collect();
        let mut rows: Vec<BTreeMap<usize, NodeId>> =
            matrix.iter().map(|row| row.iter().copied().collect()).collect();
        let mut columns: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); n];
        for (i, row) in rows.iter().enumerate() {
            row.keys().for_each(|&j| _ = columns[j].insert(i));
        }
        let cost = |rows: &[BTreeMap<usize, NodeId>], columns: &[BTreeSet<usize>], i: usize| {
            let (right, below) = (rows[i].len() - 1, columns[i].len() - 1);
            right * below + weight * (right + below)
        };
        let mut queue: BTreeSet<(usize, usize)> =
            (0..n).map(|i| (cost(&rows, &columns, i), i)).collect();
        let one = graph.constant(1.0);
        let (mut order, mut lower, mut upper, mut reciprocals) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut lower_of_sums, mut summed) = (Vec::new(), Vec::new());
        while let Some((_, k)) = queue.pop_first() {
            for sum in sums.iter_mut().filter(|sum| sum.weights.contains_key(&k)) {
                sum.left -= 1;
            }
            let own_row = std::mem::take(&mut rows[k]);
            let mut pivot_row = own_row.clone();
            let mut pivot = pivot_row.remove(&k).expect("every diagonal entry is there");
            let mut replacement = None;
            if is_updated[k] {
                let last_of = sums.iter().position(|s| s.left == 0 && s.row.contains_key(&k));
                if let Some(m) = last_of.or(sum_of[k]) {
                    pivot = sums[m].pivot(graph, k, [first[k], pivot], &rows, &columns[k]);
                }
                if let Some(moiety) = last_of {
                    let per_weight = graph.constant(1.0 / sums[moiety].weights[&k]);
                    let factor = graph.constant(LASTING * sums[moiety].weights[&k]);
                    let own = graph.mul(factor, rounding[k]);
                    let condition = graph.binary(Binary::Lt, sums[moiety].rounding, own);
                    replacement = Some(Replacement { moiety, per_weight, condition });
                    let zero = graph.constant(0.0);
                    let mut sum = std::mem::take(&mut sums[moiety].row);
                    sum.remove(&k);
                    for &j in own_row.keys().filter(|&&j| j != k) {
                        sum.entry(j).or_insert(zero);
                    }
                    for (j, entry) in sum {
                        let summed = graph.mul(entry, per_weight);
                        let own = own_row.get(&j).copied().unwrap_or(zero);
                        let entry = graph.ternary(Ternary::Select, condition, summed, own);
                        pivot_row.insert(j, entry);
                    }
                }
            }
            let reciprocal = graph.div(one, pivot);
            let below: Vec<usize> = columns[k].iter().copied().filter(|&i| i != k).collect();
            // Everything whose counts this elimination changes leaves the queue first.
            let right = own_row.keys().chain(pivot_row.keys()).copied().filter(|&j| j != k);
            let touched: BTreeSet<usize> = below.iter().copied().chain(right).collect();
            for &i in &touched {
                queue.remove(&(cost(&rows, &columns, i), i));
            }
            for &j in own_row.keys() {
                columns[j].remove(&k);
            }
            columns[k].clear();
            let mut multipliers = Vec::with_capacity(below.len());
            for &i in &below {
                let entry = rows[i].remove(&k).expect("the column lists this row");
                let multiplier = graph.mul(entry, reciprocal);
                subtract(graph, &mut rows[i], multiplier, &pivot_row);
                pivot_row.keys().for_each(|&j| _ = columns[j].insert(i));
                is_updated[i] = true;
                let magnitude = graph.unary(Unary::Abs, multiplier);
                rounding[i] = graph.ternary(Ternary::MulAdd, magnitude, rounding[k], rounding[i]);
                multipliers.push((i, multiplier));
            }
            let mut of_sums = Vec::new();
            for (m, sum) in sums.iter_mut().enumerate() {
                if sum.left == 0 {
                    sum.row.clear();
                }
                if let Some(entry) = sum.row.remove(&k) {
                    let multiplier = graph.mul(entry, reciprocal);
                    subtract(graph, &mut sum.row, multiplier, &pivot_row);
                    let magnitude = graph.unary(Unary::Abs, multiplier);
                    sum.rounding =
                        graph.ternary(Ternary::MulAdd, magnitude, rounding[k], sum.rounding);
                    of_sums.push((m, multiplier));
                }
            }
            lower_of_sums.push(of_sums);
            summed.push(replacement);
            for &i in &touched {
                queue.insert((cost(&rows, &columns, i), i));
            }
            order.push(k);
            lower.push(multipliers);
            upper.push(pivot_row.into_iter().collect());
            reciprocals.push(reciprocal);
        }
        Self { order, lower, lower_of_sums, summed, upper, reciprocals }
    }

    /// The solution for a right-hand side, entry by entry.
    pub fn solve(&self, graph: &mut Graph, right: &[NodeId]) -> Vec<NodeId> {
        let mut x = right.to_vec();
        let mut sums: BTreeMap<usize, NodeId> = BTreeMap::new();
        for (step, &k) in self.order.iter().enumerate() {
            if let Some(Replacement { moiety, per_weight, condition }) = self.summed[step] {
                let sum = sums.get(&moiety).copied().unwrap_or_else(|| graph.constant(0.0));
                let summed = graph.mul(sum, per_weight);
                x[k] = graph.ternary(Ternary::Select, condition, summed, x[k]);
            }
            for &(i, multiplier) in &self.lower[step] {
                x[i] = graph.ternary(Ternary::NegMulAdd, multiplier, x[k], x[i]);
            }
            for &(m, multiplier) in &self.lower_of_sums[step] {
                let sum = match sums.get(&m) {
                    Some(&sum) => graph.ternary(Ternary::NegMulAdd, multiplier, x[k], sum),
                    None => negative_product(graph, multiplier, x[k]),
                };
                sums.insert(m, sum);
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

/// row − multiplier·other.
fn subtract(
    graph: &mut Graph,
    row: &mut BTreeMap<usize, NodeId>,
    multiplier: NodeId,
    other: &BTreeMap<usize, NodeId>,
) {
    for (&j, &u) in other {
        let updated = match row.get(&j) {
            Some(&old) => graph.ternary(Ternary::NegMulAdd, multiplier, u, old),
            None => negative_product(graph, multiplier, u),
        };
        row.insert(j, updated);
    }
}

fn negative_product(graph: &mut Graph, a: NodeId, b: NodeId) -> NodeId {
    let product = graph.mul(a, b);
    graph.neg(product)
}
