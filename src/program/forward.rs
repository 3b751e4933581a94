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
    /// Forward over forward: `count` inner directions, then an outer one, then for each inner
    /// direction the mixed second derivative along both. Lanes say by [`Input::SlotTangent`] how these
    /// slots move: inner, outer and mixed.
    Second { slots: &'a [SlotIdx], count: usize },
}

impl Directions<'_> {
    /// Number of directions; mixed second derivatives count as such.
    pub fn count(&self) -> usize {
        match self {
            Self::Slots(slots) => slots.len(),
            Self::Any { count, .. } => *count,
            Self::Second { count, .. } => 2 * count + 1,
        }
    }

    /// Inputs that tell what lanes move, direction by direction.
    pub fn inputs(&self) -> Vec<Input> {
        match *self {
            Self::Slots(_) => Vec::new(),
            Self::Any { slots, .. } | Self::Second { slots, .. } => (0..self.count())
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
    if let Directions::Second { slots, count } = directions {
        return second(graph, roots, slots, count);
    }
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

/// Tangents along inner directions, differentiated once more along the outer one; no direction moves
/// breakpoints.
fn second(
    graph: &mut Graph,
    roots: &[NodeId],
    slots: &[SlotIdx],
    count: usize,
) -> Vec<Vec<NodeId>> {
    let first = tangents(graph, roots, Directions::Any { slots, count }, &[]);
    let all: Vec<NodeId> = roots.iter().chain(first.iter().flatten()).copied().collect();
    // The outer derivative of the k-th inner tangent of an input stands count + 1 places after it.
    let place = |inner: Option<DirectionIdx>| {
        DirectionIdx::from_position(inner.map_or(count, |k| count + 1 + k.position()))
    };
    let outer = differentiate(graph, &all, |graph, input| {
        let moved = match input {
            Input::State(state) => Input::StateTangent(state, place(None)),
            Input::StateTangent(state, k) => Input::StateTangent(state, place(Some(k))),
            Input::Slot(slot) if slots.contains(&slot) => Input::SlotTangent(slot, place(None)),
            Input::SlotTangent(slot, k) => Input::SlotTangent(slot, place(Some(k))),
            _ => return Vec::new(),
        };
        vec![(0, graph.input(moved))]
    });
    let zero = graph.constant(0.0);
    let dense: Vec<NodeId> =
        outer.iter().map(|tangent| tangent.first().map_or(zero, |&(_, node)| node)).collect();
    let mut along = first;
    along.extend(dense.chunks(roots.len().max(1)).map(<[NodeId]>::to_vec));
    along
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
            Directions::Any { .. } | Directions::Second { .. } => Vec::new(),
        },
        _ => Vec::new(),
    }
}
