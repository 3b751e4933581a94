//! Conditions on time alone: constant between two breakpoints, so that no step sees them change.

use crate::graph::{Binary, Graph, Input, Node, NodeId, Substitution, differentiate};
use crate::index::SwitchIdx;

/// A condition on time and slots, not on states.
#[derive(Debug, Clone, Copy)]
pub struct Switch {
    /// The relation itself: 1 or 0, over time and slots.
    pub condition: NodeId,
    /// When it changes, over slots: the root of its two sides' difference, which is linear in
    /// time.
    pub time: NodeId,
}

/// A condition whose change cannot be computed beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotLinearInTime;

/// Replaces every condition on time alone in `roots` by a switch input.
pub fn extract(
    graph: &mut Graph,
    roots: &[NodeId],
) -> Result<(Vec<NodeId>, Vec<Switch>), NotLinearInTime> {
    let conditions = conditions_on_time(graph, roots);
    let mut switches = Vec::with_capacity(conditions.len());
    for &condition in &conditions {
        switches.push(Switch { condition, time: change_time(graph, condition)? });
    }
    let inputs: Vec<NodeId> = (0..conditions.len())
        .map(|i| graph.input(Input::Switch(SwitchIdx::from_position(i))))
        .collect();
    let mut copy = Substitution::new(None, |graph: &mut Graph, input| graph.input(input));
    for (&condition, &input) in conditions.iter().zip(&inputs) {
        copy.preset(condition, input);
    }
    let replaced = roots.iter().map(|&root| copy.apply(graph, root)).collect();
    Ok((replaced, switches))
}

/// Number of relations in `roots` that depend on states, which no breakpoint announces.
pub fn state_dependent_conditions(graph: &Graph, roots: &[NodeId]) -> usize {
    relations(graph, roots)
        .filter(|&id| graph.inputs_of(&[id]).iter().any(|i| matches!(i, Input::State(_))))
        .count()
}

fn relations<'a>(graph: &'a Graph, roots: &[NodeId]) -> impl Iterator<Item = NodeId> + 'a {
    graph.reachable(roots).into_iter().filter(|&id| {
        matches!(graph.node(id), Node::Binary(Binary::Lt | Binary::Le | Binary::Eq, _, _))
    })
}

fn conditions_on_time(graph: &Graph, roots: &[NodeId]) -> Vec<NodeId> {
    relations(graph, roots)
        .filter(|&id| {
            let inputs = graph.inputs_of(&[id]);
            inputs.contains(&Input::Time) && !inputs.iter().any(|i| matches!(i, Input::State(_)))
        })
        .collect()
}

/// Where left − right = g(0) + t·g' is zero.
pub(super) fn change_time(graph: &mut Graph, condition: NodeId) -> Result<NodeId, NotLinearInTime> {
    let Node::Binary(_, left, right) = graph.node(condition) else { return Err(NotLinearInTime) };
    let difference = graph.sub(left, right);
    let mut derivatives = differentiate(graph, &[difference], |graph, input| match input {
        Input::Time => vec![(0, graph.constant(1.0))],
        _ => Vec::new(),
    });
    let slope = match derivatives.pop().as_deref() {
        Some(&[(_, slope)]) => slope,
        _ => return Err(NotLinearInTime),
    };
    if graph.inputs_of(&[slope]).contains(&Input::Time) {
        return Err(NotLinearInTime);
    }
    let mut at_zero = Substitution::new(None, |graph: &mut Graph, input| match input {
        Input::Time => graph.constant(0.0),
        other => graph.input(other),
    });
    let start = at_zero.apply(graph, difference);
    let quotient = graph.div(start, slope);
    Ok(graph.neg(quotient))
}
