//! Conditions as switches: constant between two breakpoints, so that no step sees them change.

use crate::graph::{Binary, Graph, Input, Node, NodeId, Substitution, Unary, differentiate};
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

/// Expressions with their conditions replaced by switch inputs.
#[derive(Debug)]
pub struct Switched {
    pub roots: Vec<NodeId>,
    /// Conditions on states, or on time in a way that is not linear: the first switches. Each holds
    /// or not until its sides meet, which only the trajectory tells.
    pub held: Vec<NodeId>,
    /// Conditions on time alone: the switches after those.
    pub switches: Vec<Switch>,
}

/// Replaces every inequality on states or time in `roots` by a switch input.
///
/// Equalities of states hold at instants only, and stay as they are.
pub fn extract(graph: &mut Graph, roots: &[NodeId]) -> Switched {
    let (mut held, mut switches) = (Vec::new(), Vec::new());
    for condition in relations(graph, roots).collect::<Vec<_>>() {
        let inputs = graph.inputs_of(&[condition]);
        let has_states = inputs.iter().any(|i| matches!(i, Input::State(_)));
        if !has_states && !inputs.contains(&Input::Time) {
            continue;
        }
        let time = if has_states { Err(NotLinearInTime) } else { change_time(graph, condition) };
        match time {
            Ok(time) => switches.push(Switch { condition, time }),
            Err(NotLinearInTime) if is_equality(graph, condition) => {}
            Err(NotLinearInTime) => held.push(condition),
        }
    }
    let conditions: Vec<NodeId> =
        held.iter().copied().chain(switches.iter().map(|s| s.condition)).collect();
    let inputs: Vec<NodeId> = (0..conditions.len())
        .map(|i| graph.input(Input::Switch(SwitchIdx::from_position(i))))
        .collect();
    let mut copy = Substitution::new(None, |graph: &mut Graph, input| graph.input(input));
    for (&condition, &input) in conditions.iter().zip(&inputs) {
        copy.preset(condition, input);
    }
    let roots = roots.iter().map(|&root| copy.apply(graph, root)).collect();
    Switched { roots, held, switches }
}

/// Number of jumps in `roots` along states that no switch stands for: equalities, and functions
/// that take whole numbers or signs.
pub fn jumps_on_states(graph: &Graph, roots: &[NodeId]) -> usize {
    let has_states =
        |id: &NodeId| graph.inputs_of(&[*id]).iter().any(|i| matches!(i, Input::State(_)));
    let jumps = |id: &NodeId| {
        is_equality(graph, *id)
            || matches!(graph.node(*id), Node::Unary(Unary::Floor | Unary::Ceil | Unary::Sign, _))
    };
    graph.reachable(roots).iter().filter(|id| jumps(id) && has_states(id)).count()
}

fn is_equality(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id), Node::Binary(Binary::Eq, _, _))
}

fn relations<'a>(graph: &'a Graph, roots: &[NodeId]) -> impl Iterator<Item = NodeId> + 'a {
    graph.reachable(roots).into_iter().filter(|&id| {
        matches!(graph.node(id), Node::Binary(Binary::Lt | Binary::Le | Binary::Eq, _, _))
    })
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
