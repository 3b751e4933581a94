//! Values of expressions, one number at a time: for the few that are needed while a problem is
//! built, not for lanes.

use super::simplify::{apply_binary, apply_ternary, apply_unary};
use super::{Graph, Input, Node, NodeId};

impl Graph {
    /// Values of `roots` where `lookup` gives those of the inputs.
    pub fn evaluate(&self, roots: &[NodeId], lookup: &dyn Fn(Input) -> f64) -> Vec<f64> {
        let order = self.reachable(roots);
        let mut values = vec![0.0; order.last().map_or(0, |id| id.position() + 1)];
        for id in order {
            let of = |n: NodeId| values[n.position()];
            values[id.position()] = match self.node(id) {
                Node::Constant(bits) => f64::from_bits(bits),
                Node::Input(input) => lookup(input),
                Node::Unary(op, a) => apply_unary(op, of(a)),
                Node::Binary(op, a, b) => apply_binary(op, of(a), of(b)),
                Node::Ternary(op, a, b, c) => apply_ternary(op, of(a), of(b), of(c)),
            };
        }
        roots.iter().map(|r| values[r.position()]).collect()
    }
}
