//! Forward differentiation of a program: its outputs' derivatives along chosen directions.

use crate::graph::{Graph, Input, NodeId, SparseTangent, differentiate};
use crate::index::{DirectionIdx, SlotIdx};

/// Tangents of `roots`, `[direction][root]`, where direction k moves slot `directions[k]` by one
/// and the state along [`Input::StateTangent`]`(state, k)`. The directions in `moving` also move
/// breakpoints, and with them a step's start and size.
///
/// Fused operations are differentiated as such, and the primal nodes stay as they are: a program
/// cut from `roots` and their tangents computes the same primal values, to the bit, as one cut
/// from `roots` alone.
pub fn tangents(
    graph: &mut Graph,
    roots: &[NodeId],
    directions: &[SlotIdx],
    moving: &[DirectionIdx],
) -> Vec<Vec<NodeId>> {
    let zero = graph.constant(0.0);
    let sparse = differentiate(graph, roots, |graph, input| seed(graph, input, directions, moving));
    let mut dense = vec![vec![zero; roots.len()]; directions.len()];
    for (root, tangent) in sparse.iter().enumerate() {
        for &(direction, value) in tangent {
            dense[direction as usize][root] = value;
        }
    }
    dense
}

/// An input's tangent in a program with these directions; see [`tangents`].
pub fn seed(
    graph: &mut Graph,
    input: Input,
    directions: &[SlotIdx],
    moving: &[DirectionIdx],
) -> SparseTangent {
    match input {
        Input::Time => moving.iter().map(|&k| (k.0, graph.input(Input::TimeTangent(k)))).collect(),
        Input::StepSize => {
            moving.iter().map(|&k| (k.0, graph.input(Input::StepTangent(k)))).collect()
        }
        Input::State(state) => (0..directions.len())
            .map(|k| {
                let k = DirectionIdx::from_position(k);
                (k.0, graph.input(Input::StateTangent(state, k)))
            })
            .collect(),
        Input::Slot(slot) => match directions.iter().position(|d| *d == slot) {
            Some(k) => vec![(DirectionIdx::from_position(k).0, graph.constant(1.0))],
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}
