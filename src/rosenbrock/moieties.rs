//! Conserved moieties: sums of states, with positive weights, that no flow changes.
//!
//! The rate of change of every state is taken apart into flows, terms that several states share
//! with numbers before them. A moiety is a combination of states whose flows cancel; those with the
//! fewest members come from combining rows of the table states × flows until a flow is gone
//! (Schuster & Höfer, *Determining all extreme semi-positive conservation relations in chemical
//! reaction systems*, J. Chem. Soc. Faraday Trans. 87, 1991).

use crate::graph::{Binary, Graph, Node, NodeId, Unary};
use crate::index::StateIdx;
use std::collections::{BTreeMap, BTreeSet};

/// States and their weights, ascending; the weighted sum of their rates of change is zero, whatever
/// the states, the time and the slots.
#[derive(Debug, Clone, PartialEq)]
pub struct Moiety {
    pub members: Vec<(StateIdx, f64)>,
}

/// Flows that are looked at in all; a model with more has no moieties that are known.
const MOST_TERMS: usize = 50_000;
/// Combinations that are formed to do away with a flow, and that are kept of them. What is left out
/// makes the search incomplete, not wrong.
const MOST_PAIRS: usize = 20_000;
const MOST_ROWS: usize = 500;
/// Numbers this close to cancelling, relative to their size, do cancel.
const ROUNDING: f64 = 1e-14;

/// A combination of states and the flows that change it.
#[derive(Debug, Clone, Default)]
struct Row {
    weights: BTreeMap<usize, f64>,
    flows: BTreeMap<NodeId, f64>,
}

impl Row {
    /// own·self + theirs·other, in which the flow cancels.
    fn combined(&self, own: f64, other: &Self, theirs: f64, flow: NodeId) -> Self {
        let mut sum = Self::default();
        for (row, factor) in [(self, own), (other, theirs)] {
            for (&state, weight) in &row.weights {
                *sum.weights.entry(state).or_default() += factor * weight;
            }
        }
        for (&f, &a) in &self.flows {
            let (a, b) = (own * a, theirs * other.flows.get(&f).unwrap_or(&0.0));
            if f != flow && !cancels(a, b) {
                sum.flows.insert(f, a + b);
            }
        }
        for (&f, &b) in &other.flows {
            if f != flow && !self.flows.contains_key(&f) {
                sum.flows.insert(f, theirs * b);
            }
        }
        sum
    }

    /// Whether all its states are among another's.
    fn is_within(&self, other: &Self) -> bool {
        self.weights.keys().all(|state| other.weights.contains_key(state))
    }
}

fn cancels(a: f64, b: f64) -> bool {
    (a + b).abs() <= ROUNDING * (a.abs() + b.abs())
}

/// The moieties of an ODE whose right-hand sides these are. Each has two members or more; those
/// with fewer members come first.
pub fn moieties(graph: &mut Graph, derivatives: &[NodeId]) -> Vec<Moiety> {
    let mut rows = Vec::with_capacity(derivatives.len());
    let mut left = MOST_TERMS;
    for (state, &derivative) in derivatives.iter().enumerate() {
        let Some(flows) = flows_of(graph, derivative, &mut left) else { return Vec::new() };
        // A state that nothing changes is no news.
        if !flows.is_empty() {
            rows.push(Row { weights: BTreeMap::from([(state, 1.0)]), flows });
        }
    }
    while let Some(flow) = next_flow(&mut rows) {
        rows = without(rows, flow);
    }
    rows.sort_by_key(|row| (row.weights.len(), row.weights.keys().copied().collect::<Vec<_>>()));
    rows.iter().map(moiety).collect()
}

/// With weights that are multiples of the smallest.
fn moiety(row: &Row) -> Moiety {
    let smallest = row.weights.values().copied().fold(f64::INFINITY, f64::min);
    let member =
        |(&state, weight): (&usize, &f64)| (StateIdx::from_position(state), weight / smallest);
    Moiety { members: row.weights.iter().map(member).collect() }
}

/// A right-hand side as a sum of flows; none if there are more than are left.
fn flows_of(
    graph: &mut Graph,
    derivative: NodeId,
    left: &mut usize,
) -> Option<BTreeMap<NodeId, f64>> {
    let mut flows: BTreeMap<NodeId, f64> = BTreeMap::new();
    // Factors that stand before the sum a term was found in, the outermost first.
    let mut stack: Vec<(NodeId, f64, Vec<Factor>)> = vec![(derivative, 1.0, Vec::new())];
    while let Some((node, number, factors)) = stack.pop() {
        *left = left.checked_sub(1)?;
        let is_sum = |graph: &Graph, id: NodeId| {
            matches!(
                graph.node(id),
                Node::Binary(Binary::Add | Binary::Sub, ..) | Node::Unary(Unary::Neg, _)
            )
        };
        match graph.node(node) {
            Node::Unary(Unary::Neg, a) => stack.push((a, -number, factors)),
            Node::Binary(Binary::Add, a, b) => {
                stack.push((a, number, factors.clone()));
                stack.push((b, number, factors));
            }
            Node::Binary(Binary::Sub, a, b) => {
                stack.push((a, number, factors.clone()));
                stack.push((b, -number, factors));
            }
            Node::Binary(Binary::Mul, a, b) => {
                let [x, y] = [a, b].map(|id| graph.constant_value(id));
                match (x, y) {
                    (Some(x), _) => stack.push((b, number * x, factors)),
                    (_, Some(y)) => stack.push((a, number * y, factors)),
                    _ if is_sum(graph, a) => {
                        stack.push((a, number, with(factors, Factor::Times(b))))
                    }
                    _ if is_sum(graph, b) => {
                        stack.push((b, number, with(factors, Factor::Times(a))))
                    }
                    _ => add(graph, &mut flows, node, number, &factors),
                }
            }
            Node::Binary(Binary::Div, a, b) => match graph.constant_value(b) {
                Some(y) => stack.push((a, number / y, factors)),
                None => stack.push((a, number, with(factors, Factor::Over(b)))),
            },
            Node::Constant(_) => {
                let one = graph.constant(1.0);
                let value = graph.constant_value(node).unwrap_or(0.0);
                add(graph, &mut flows, one, number * value, &factors);
            }
            _ => add(graph, &mut flows, node, number, &factors),
        }
    }
    flows.retain(|_, number| *number != 0.0);
    Some(flows)
}

/// What a sum is multiplied with, or divided by.
#[derive(Debug, Clone, Copy)]
enum Factor {
    Times(NodeId),
    Over(NodeId),
}

fn with(mut factors: Vec<Factor>, factor: Factor) -> Vec<Factor> {
    factors.push(factor);
    factors
}

fn add(
    graph: &mut Graph,
    flows: &mut BTreeMap<NodeId, f64>,
    node: NodeId,
    number: f64,
    factors: &[Factor],
) {
    let flow = factors.iter().rev().fold(node, |product, factor| match *factor {
        Factor::Times(id) => graph.mul(product, id),
        Factor::Over(id) => graph.div(product, id),
    });
    let total = flows.entry(flow).or_default();
    *total = if cancels(*total, number) { 0.0 } else { *total + number };
}

/// The flow to do away with next: the one with the fewest pairs. Rows with a flow that no other row
/// can make up for are dropped first.
fn next_flow(rows: &mut Vec<Row>) -> Option<NodeId> {
    loop {
        let mut counts: BTreeMap<NodeId, [usize; 2]> = BTreeMap::new();
        for (&flow, &number) in rows.iter().flat_map(|row| &row.flows) {
            counts.entry(flow).or_default()[usize::from(number < 0.0)] += 1;
        }
        let lonely: BTreeSet<NodeId> =
            counts.iter().filter(|(_, n)| n.contains(&0)).map(|(&flow, _)| flow).collect();
        if lonely.is_empty() {
            return counts.iter().min_by_key(|(_, [a, b])| a * b).map(|(&flow, _)| flow);
        }
        rows.retain(|row| !row.flows.keys().any(|flow| lonely.contains(flow)));
    }
}

/// All rows without the flow, and of those with it every pair in which it cancels.
fn without(rows: Vec<Row>, flow: NodeId) -> Vec<Row> {
    let (with, mut kept): (Vec<Row>, Vec<Row>) =
        rows.into_iter().partition(|row| row.flows.contains_key(&flow));
    let (gains, losses): (Vec<&Row>, Vec<&Row>) =
        with.iter().partition(|row| row.flows[&flow] > 0.0);
    let pair = |(gain, loss): (&&Row, &&Row)| {
        let (own, theirs) = in_lowest_terms(-loss.flows[&flow], gain.flows[&flow]);
        gain.combined(own, loss, theirs, flow)
    };
    let all = gains.iter().flat_map(|gain| losses.iter().map(move |loss| (gain, loss)));
    let mut pairs: Vec<Row> = all.take(MOST_PAIRS).map(pair).collect();
    pairs.sort_by_key(|row| (row.weights.len(), row.weights.keys().copied().collect::<Vec<_>>()));
    for pair in pairs {
        // Only combinations that contain no smaller one are of use.
        if kept.len() < MOST_ROWS && !kept.iter().any(|row| row.is_within(&pair)) {
            kept.push(pair);
        }
    }
    kept
}

/// Two positive numbers divided by what both are multiples of.
fn in_lowest_terms(a: f64, b: f64) -> (f64, f64) {
    const LARGEST: f64 = 1e9;
    let is_whole = |x: f64| x.fract() == 0.0 && x <= LARGEST;
    if !(is_whole(a) && is_whole(b)) {
        return (a / b, 1.0);
    }
    let (mut divisor, mut rest) = (a, b);
    while rest != 0.0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a / divisor, b / divisor)
}
