//! Fusing a product with the sum that alone uses it into one multiply-add.

use crate::graph::{Binary, Graph, Node, NodeId, Ternary};

/// `roots` with a·b + c, a·b − c and c − a·b fused wherever the product has no other use.
///
/// Nodes are rewritten in the same graph. Programs that must agree to the bit (a step with and
/// without its error estimate, or with tangents) are cut from one fused set of roots.
pub fn fuse(graph: &mut Graph, roots: &[NodeId]) -> Vec<NodeId> {
    let order = graph.reachable(roots);
    let bound = order.last().map_or(0, |id| id.position() + 1);
    let mut uses = vec![0_u32; bound];
    for &id in &order {
        for operand in graph.node(id).operands() {
            uses[operand.position()] += 1;
        }
    }
    for root in roots {
        uses[root.position()] += 1;
    }
    let mut image: Vec<Option<NodeId>> = vec![None; bound];
    for &id in &order {
        let of = |n: NodeId| image[n.position()].expect("operands precede their users");
        let node = graph.node(id);
        let product = |n: NodeId| match graph.node(n) {
            Node::Binary(Binary::Mul, a, b) if uses[n.position()] == 1 => Some((of(a), of(b))),
            _ => None,
        };
        let fused = match node {
            Node::Binary(Binary::Add, a, b) => match (product(a), product(b)) {
                (_, Some((x, y))) => {
                    let rest = of(a);
                    graph.ternary(Ternary::MulAdd, x, y, rest)
                }
                (Some((x, y)), None) => {
                    let rest = of(b);
                    graph.ternary(Ternary::MulAdd, x, y, rest)
                }
                (None, None) => {
                    let (a, b) = (of(a), of(b));
                    graph.add(a, b)
                }
            },
            Node::Binary(Binary::Sub, a, b) => match (product(a), product(b)) {
                // Equal products must cancel exactly: neither is rounded alone.
                (Some(_), Some(_)) => {
                    let (a, b) = (of(a), of(b));
                    graph.sub(a, b)
                }
                (None, Some((x, y))) => {
                    let rest = of(a);
                    graph.ternary(Ternary::NegMulAdd, x, y, rest)
                }
                (Some((x, y)), None) => {
                    let rest = of(b);
                    graph.ternary(Ternary::MulSub, x, y, rest)
                }
                (None, None) => {
                    let (a, b) = (of(a), of(b));
                    graph.sub(a, b)
                }
            },
            _ => graph.with_operands(id, of),
        };
        image[id.position()] = Some(fused);
    }
    roots.iter().map(|r| image[r.position()].expect("roots are in the order")).collect()
}
