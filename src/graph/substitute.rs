//! Copying expressions with some inputs replaced.

use super::{Graph, Input, Node, NodeId};
use rustc_hash::FxHashMap;

/// A memoised copy of expressions from one graph into another (or the same one), in which inputs
/// are replaced. Calls share their memory, so roots that overlap are copied once.
pub struct Substitution<'a, F> {
    replace: F,
    copied: FxHashMap<NodeId, NodeId>,
    source: Option<&'a Graph>,
}

impl<'a, F: FnMut(&mut Graph, Input) -> NodeId> Substitution<'a, F> {
    /// Replaces inputs by `replace`, reading from `source`, or from the target itself where
    /// `source` is none.
    pub fn new(source: Option<&'a Graph>, replace: F) -> Self {
        Self { replace, copied: FxHashMap::default(), source }
    }

    /// Puts `copy` in the place of a whole expression, beside the inputs.
    pub fn preset(&mut self, original: NodeId, copy: NodeId) {
        self.copied.insert(original, copy);
    }

    /// The copy of `root` in `target`.
    pub fn apply(&mut self, target: &mut Graph, root: NodeId) -> NodeId {
        let mut stack = vec![root];
        while let Some(&id) = stack.last() {
            if self.copied.contains_key(&id) {
                stack.pop();
                continue;
            }
            let node = self.source.unwrap_or(target).node(id);
            let missing: Vec<NodeId> =
                node.operands().filter(|o| !self.copied.contains_key(o)).collect();
            if !missing.is_empty() {
                stack.extend(missing);
                continue;
            }
            let copy = match node {
                Node::Constant(bits) => target.constant(f64::from_bits(bits)),
                Node::Input(input) => (self.replace)(target, input),
                Node::Unary(op, a) => target.unary(op, self.copied[&a]),
                Node::Binary(op, a, b) => target.binary(op, self.copied[&a], self.copied[&b]),
                Node::Ternary(op, a, b, c) => {
                    target.ternary(op, self.copied[&a], self.copied[&b], self.copied[&c])
                }
            };
            self.copied.insert(id, copy);
            stack.pop();
        }
        self.copied[&root]
    }
}
