//! Forward differentiation of a program: its outputs' derivatives along chosen directions.

use crate::graph::{Graph, Input, NodeId, SparseTangent, differentiate};
use crate::index::{DirectionIdx, SlotIdx};

/// What the directions of a program's tangents move.
#[derive(Debug, Clone, Copy)]
pub enum Directions<'a> {
    /// Direction k moves the k-th of these slots by one.
    Slots(&'a [SlotIdx]),
    /// So many directions, each of which moves these slots by what the lane says, by
    /// [`Input::SlotTangent`]: one program for all directions, where one for each would be large.
    Any { slots: &'a [SlotIdx], count: usize },
}

impl Directions<'_> {
    /// Number of directions.
    pub fn count(&self) -> usize {
        match self {
            Self::Slots(slots) => slots.len(),
            Self::Any { count, .. } => *count,
        }
    }

    /// Inputs that tell what lanes move, direction by direction.
    pub fn inputs(&self) -> Vec<Input> {
        match *self {
            Self::Slots(_) => Vec::new(),
            Self::Any { slots, count } => (0..count)
                .map(DirectionIdx::from_position)
                .flat_map(|k| slots.iter().map(move |&slot| Input::SlotTangent(slot, k)))
                .collect(),
        }
    }
}

impl<'a, T: AsRef<[SlotIdx]> + ?Sized> From<&'a T> for Directions<'a> {
    fn from(slots: &'a T) -> Self {
        Self::Slots(slots.as_ref())
    }
}

/// Tangents of `roots`, `[direction][root]`, where the state moves along
/// [`Input::StateTangent`]`(state, k)` in direction k. The directions in `moving` also move
/// breakpoints, and with them a step's start and size.
///
/// Fused operations are differentiated as such, and the primal nodes stay as they are: a program
/// cut from `roots` and their tangents computes the same primal values, to the bit, as one cut
/// from `roots` alone.
pub fn tangents<'a>(
    graph: &mut Graph,
    roots: &[NodeId],
    directions: impl Into<Directions<'a>>,
    moving: &[DirectionIdx],
) -> Vec<Vec<NodeId>> {
    let directions = directions.into();
    let zero = graph.constant(0.0);
    let sparse = differentiate(graph, roots, |graph, input| seed(graph, input, directions, moving));
    let mut dense = vec![vec![zero; roots.len()]; directions.count()];
    for (root, tangent) in sparse.iter().enumerate() {
        for &(direction, value) in tangent {
            dense[direction as usize][root] = value;
        }
    }
    dense
}

fn seed(
    graph: &mut Graph,
    input: Input,
    directions: Directions<'_>,
    moving: &[DirectionIdx],
) -> SparseTangent {
    let all = || (0..directions.count()).map(DirectionIdx::from_position);
    match input {
        Input::Time => moving.iter().map(|&k| (k.0, graph.input(Input::TimeTangent(k)))).collect(),
        Input::StepSize => {
            moving.iter().map(|&k| (k.0, graph.input(Input::StepTangent(k)))).collect()
        }
        Input::State(state) => {
            all().map(|k| (k.0, graph.input(Input::StateTangent(state, k)))).collect()
        }
        Input::Slot(slot) => match directions {
            Directions::Slots(slots) => match slots.iter().position(|d| *d == slot) {
                Some(k) => vec![(DirectionIdx::from_position(k).0, graph.constant(1.0))],
                None => Vec::new(),
            },
            Directions::Any { slots, .. } if slots.contains(&slot) => {
                all().map(|k| (k.0, graph.input(Input::SlotTangent(slot, k)))).collect()
            }
            Directions::Any { .. } => Vec::new(),
        },
        _ => Vec::new(),
    }
}
