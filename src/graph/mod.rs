//! A hash-consed graph of scalar expressions.
//!
//! Every constructor simplifies (constants, 0 and 1, double negation, integer powers) and looks
//! the result up before it adds a node, so that equal expressions are one node: common
//! subexpressions are shared by construction. Operands precede their users, so any pass over the
//! nodes in ascending order sees operands first.
//!
//! Simplifications assume finite operands: `0 · x` is `0`, `x − x` is `0`.

mod adjoint;
mod derivative;
mod evaluate;
mod node;
mod simplify;
mod substitute;

pub use adjoint::adjoints;
pub use derivative::{SparseTangent, differentiate};
pub use node::{Binary, Input, Node, NodeId, Ternary, Unary};
pub use simplify::{apply_binary, apply_ternary, apply_unary, sign};
pub use substitute::Substitution;

use rustc_hash::FxHashMap;

/// An arena of nodes, each present once.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    ids: FxHashMap<Node, NodeId>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node with this id.
    pub fn node(&self, id: NodeId) -> Node {
        self.nodes[id.position()]
    }

    /// The value of a node that is a constant.
    pub fn constant_value(&self, id: NodeId) -> Option<f64> {
        match self.node(id) {
            Node::Constant(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// A constant.
    pub fn constant(&mut self, value: f64) -> NodeId {
        // One zero: the sign of a zero never matters to a model.
        let value = if value == 0.0 { 0.0 } else { value };
        self.intern(Node::Constant(value.to_bits()))
    }

    /// An input.
    pub fn input(&mut self, input: Input) -> NodeId {
        self.intern(Node::Input(input))
    }

    /// Ids of all nodes that `roots` depend on (the roots included), ascending.
    pub fn reachable(&self, roots: &[NodeId]) -> Vec<NodeId> {
        let mut seen = vec![false; self.nodes.len()];
        let mut stack: Vec<NodeId> = roots.to_vec();
        while let Some(id) = stack.pop() {
            if !std::mem::replace(&mut seen[id.position()], true) {
                stack.extend(self.node(id).operands());
            }
        }
        (0..self.nodes.len() as u32).map(NodeId).filter(|id| seen[id.position()]).collect()
    }

    /// Inputs that `roots` depend on, ascending and without repeats.
    pub fn inputs_of(&self, roots: &[NodeId]) -> Vec<Input> {
        let mut inputs: Vec<Input> = self
            .reachable(roots)
            .into_iter()
            .filter_map(|id| match self.node(id) {
                Node::Input(input) => Some(input),
                _ => None,
            })
            .collect();
        inputs.sort_unstable();
        inputs
    }

    /// The same operation on other operands, simplified; a node without operands is itself.
    pub fn with_operands(&mut self, id: NodeId, of: impl Fn(NodeId) -> NodeId) -> NodeId {
        match self.node(id) {
            Node::Constant(_) | Node::Input(_) => id,
            Node::Unary(op, a) => self.unary(op, of(a)),
            Node::Binary(op, a, b) => self.binary(op, of(a), of(b)),
            Node::Ternary(op, a, b, c) => self.ternary(op, of(a), of(b), of(c)),
        }
    }

    /// Adds the node unless it is there; no simplification.
    pub(crate) fn intern(&mut self, node: Node) -> NodeId {
        if let Some(&id) = self.ids.get(&node) {
            return id;
        }
        let id = NodeId(u32::try_from(self.nodes.len()).expect("graphs stay below 2^32 nodes"));
        self.nodes.push(node);
        self.ids.insert(node, id);
        id
    }
}
