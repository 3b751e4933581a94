//! Reverse differentiation of expressions: the transpose of [`differentiate`](super::differentiate).
//!
//! The adjoint of an expression is the derivative of one number, the wanted one, with respect to it.
//! Adjoints flow from the users of an expression to its operands, each times the slope of the
//! operation. Fused operations are differentiated as such, and the primal nodes stay as they are.

use super::derivative::{pow_slope_in_base, pow_slope_in_exponent, unary_slope};
use super::{Binary, Graph, Input, Node, NodeId, Ternary, Unary};

/// Adjoints of the inputs `wanted`, in order, where each of the roots comes with its own adjoint:
/// (root, adjoint). The cost is proportional to the number of nodes between these inputs and the
/// roots.
///
/// Where a tangent takes one side of a choice, the adjoint of the other is an exact 0, which stays
/// 0 whatever slopes follow, infinite ones included. The slope of a^b in a is 0 where it is infinite
/// (a = 0, b < 1): so it is to a tangent that does not move a.
pub fn adjoints(graph: &mut Graph, roots: &[(NodeId, NodeId)], wanted: &[Input]) -> Vec<NodeId> {
    let expressions: Vec<NodeId> = roots.iter().map(|(root, _)| *root).collect();
    let order = graph.reachable(&expressions);
    let bound = order.last().map_or(0, |id| id.position() + 1);
    let is_active = active(graph, &order, bound, wanted);
    let is_guarded = guarded(graph, &order, bound, &expressions);
    let mut reverse = Reverse { graph, is_active, adjoints: vec![None; bound], is_zero: None };
    for &(root, adjoint) in roots {
        reverse.add(root, Term::Plus(adjoint));
    }
    for &id in order.iter().rev() {
        let Some(adjoint) = reverse.adjoints[id.position()] else { continue };
        reverse.is_zero = None;
        if is_guarded[id.position()] {
            let zero = reverse.graph.constant(0.0);
            reverse.is_zero = Some(reverse.graph.binary(Binary::Eq, adjoint, zero));
        }
        reverse.pass_on(id, adjoint);
    }
    let Reverse { graph, adjoints, .. } = reverse;
    let zero = graph.constant(0.0);
    let of_input = |&input: &Input| {
        let id = graph.input(input);
        adjoints.get(id.position()).copied().flatten().unwrap_or(zero)
    };
    wanted.iter().map(of_input).collect()
}

/// Nodes that change with the wanted inputs.
fn active(graph: &Graph, order: &[NodeId], bound: usize, wanted: &[Input]) -> Vec<bool> {
    let wanted: std::collections::BTreeSet<Input> = wanted.iter().copied().collect();
    let mut is_active = vec![false; bound];
    for &id in order {
        let of = |n: NodeId| is_active[n.position()];
        is_active[id.position()] = match graph.node(id) {
            Node::Constant(_) => false,
            Node::Input(input) => wanted.contains(&input),
            Node::Unary(Unary::Floor | Unary::Ceil | Unary::Sign, _)
            | Node::Binary(Binary::Lt | Binary::Le | Binary::Eq, ..) => false,
            Node::Ternary(Ternary::Select, _, b, c) => of(b) || of(c),
            node => node.operands().any(of),
        };
    }
    is_active
}

/// Nodes that are used on one side of choices only, and whose value or slope may be infinite or
/// undefined there: their adjoint may be 0, and must stay so.
fn guarded(graph: &Graph, order: &[NodeId], bound: usize, roots: &[NodeId]) -> Vec<bool> {
    let mut is_certain = vec![false; bound];
    let mut stack = roots.to_vec();
    while let Some(id) = stack.pop() {
        if std::mem::replace(&mut is_certain[id.position()], true) {
            continue;
        }
        match graph.node(id) {
            Node::Ternary(Ternary::Select, ..) | Node::Binary(Binary::Min | Binary::Max, ..) => {}
            node => stack.extend(node.operands()),
        }
    }
    let mut is_guarded = vec![false; bound];
    for &id in order {
        if is_certain[id.position()] {
            continue;
        }
        let node = graph.node(id);
        let may_fail = match node {
            Node::Binary(Binary::Div, _, b) => graph.constant_value(b).is_none(),
            Node::Binary(op, ..) => op == Binary::Pow,
            Node::Unary(op, _) => !matches!(
                op,
                Unary::Neg | Unary::Abs | Unary::Sin | Unary::Cos | Unary::Tanh | Unary::Atan
            ),
            _ => false,
        };
        is_guarded[id.position()] =
            may_fail || node.operands().any(|operand| is_guarded[operand.position()]);
    }
    is_guarded
}

/// What is added to an adjoint.
#[derive(Clone, Copy)]
enum Term {
    Plus(NodeId),
    Minus(NodeId),
    Product(NodeId, NodeId),
    MinusProduct(NodeId, NodeId),
}

struct Reverse<'g> {
    graph: &'g mut Graph,
    is_active: Vec<bool>,
    /// So far, of the nodes between inputs and roots.
    adjoints: Vec<Option<NodeId>>,
    /// Whether the adjoint that is being passed on is 0, where nothing may be passed on then.
    is_zero: Option<NodeId>,
}

impl Reverse<'_> {
    /// Passes the adjoint of a node on to its operands.
    fn pass_on(&mut self, id: NodeId, adjoint: NodeId) {
        match self.graph.node(id) {
            Node::Constant(_) | Node::Input(_) => {}
            Node::Unary(Unary::Neg, a) => self.add(a, Term::Minus(adjoint)),
            Node::Unary(op, a) => {
                if let Some(slope) = unary_slope(self.graph, op, id, a) {
                    self.add(a, Term::Product(slope, adjoint));
                }
            }
            Node::Binary(op, a, b) => self.pass_on_binary(op, id, (a, b), adjoint),
            Node::Ternary(Ternary::Select, condition, b, c) => {
                // The sign is left outside, where it meets others.
                let (magnitude, is_negative) = self.graph.strip_sign(adjoint);
                let term = if is_negative { Term::Minus } else { Term::Plus };
                let zero = self.graph.constant(0.0);
                if self.is_active[b.position()] {
                    let of_first = self.graph.select(condition, magnitude, zero);
                    self.add(b, term(of_first));
                }
                if self.is_active[c.position()] {
                    let of_second = self.graph.select(condition, zero, magnitude);
                    self.add(c, term(of_second));
                }
            }
            Node::Ternary(op, a, b, c) => {
                if op == Ternary::NegMulAdd {
                    self.add(a, Term::MinusProduct(b, adjoint));
                    self.add(b, Term::MinusProduct(a, adjoint));
                } else {
                    self.add(a, Term::Product(b, adjoint));
                    self.add(b, Term::Product(a, adjoint));
                }
                let is_negative = op == Ternary::MulSub;
                self.add(c, if is_negative { Term::Minus(adjoint) } else { Term::Plus(adjoint) });
            }
        }
    }

    fn pass_on_binary(
        &mut self,
        op: Binary,
        id: NodeId,
        (a, b): (NodeId, NodeId),
        adjoint: NodeId,
    ) {
        let is_active = |n: NodeId| self.is_active[n.position()];
        match op {
            Binary::Add => {
                self.add(a, Term::Plus(adjoint));
                self.add(b, Term::Plus(adjoint));
            }
            Binary::Sub => {
                self.add(a, Term::Plus(adjoint));
                self.add(b, Term::Minus(adjoint));
            }
            Binary::Mul => {
                self.add(a, Term::Product(b, adjoint));
                self.add(b, Term::Product(a, adjoint));
            }
            Binary::Div => {
                // (a/b)' = (a' − (a/b)·b')/b
                let quotient = if self.graph.constant_value(a) == Some(1.0) {
                    self.graph.mul(id, adjoint)
                } else {
                    self.graph.div(adjoint, b)
                };
                self.add(a, Term::Plus(quotient));
                self.add(b, Term::MinusProduct(id, quotient));
            }
            Binary::Pow => {
                if is_active(a) {
                    let slope = pow_slope_in_base(self.graph, a, b);
                    let (zero, one) = (self.graph.constant(0.0), self.graph.constant(1.0));
                    let is_steep = self.graph.binary(Binary::Lt, b, one);
                    let at_zero = self.graph.select(is_steep, zero, slope);
                    let is_zero = self.graph.binary(Binary::Eq, a, zero);
                    let slope = self.graph.select(is_zero, at_zero, slope);
                    self.add(a, Term::Product(slope, adjoint));
                }
                if self.is_active[b.position()] {
                    let slope = pow_slope_in_exponent(self.graph, id, a);
                    self.add(b, Term::Product(slope, adjoint));
                }
            }
            Binary::Min | Binary::Max => {
                let (least, most) = if op == Binary::Min { (a, b) } else { (b, a) };
                let takes_first = self.graph.binary(Binary::Le, least, most);
                let zero = self.graph.constant(0.0);
                let of_first = self.graph.select(takes_first, adjoint, zero);
                let of_second = self.graph.select(takes_first, zero, adjoint);
                self.add(a, Term::Plus(of_first));
                self.add(b, Term::Plus(of_second));
            }
            Binary::Lt | Binary::Le | Binary::Eq => {}
            Binary::LogLacks => unreachable!("no formula has it"),
        }
    }

    /// Adds a term to the adjoint of a node.
    fn add(&mut self, to: NodeId, term: Term) {
        if !self.is_active[to.position()] {
            return;
        }
        let graph = &mut *self.graph;
        let term = match self.is_zero {
            None => term,
            Some(is_zero) => {
                let zero = graph.constant(0.0);
                let value = start(graph, term);
                Term::Plus(graph.select(is_zero, zero, value))
            }
        };
        let place = &mut self.adjoints[to.position()];
        *place = Some(match *place {
            None => start(graph, term),
            Some(so_far) => {
                // The sign of what is there moves into the operation.
                let (magnitude, is_negative) = graph.strip_sign(so_far);
                match (term, is_negative) {
                    (Term::Plus(x), _) => graph.add(so_far, x),
                    (Term::Minus(x), _) => graph.sub(so_far, x),
                    (Term::Product(x, y), false) => graph.ternary(Ternary::MulAdd, x, y, so_far),
                    (Term::Product(x, y), true) => graph.ternary(Ternary::MulSub, x, y, magnitude),
                    (Term::MinusProduct(x, y), false) => {
                        graph.ternary(Ternary::NegMulAdd, x, y, so_far)
                    }
                    (Term::MinusProduct(x, y), true) => {
                        let sum = graph.ternary(Ternary::MulAdd, x, y, magnitude);
                        graph.neg(sum)
                    }
                }
            }
        });
    }
}

/// A term alone.
fn start(graph: &mut Graph, term: Term) -> NodeId {
    match term {
        Term::Plus(x) => x,
        Term::Minus(x) => graph.neg(x),
        Term::Product(x, y) => graph.mul(x, y),
        Term::MinusProduct(x, y) => {
            let product = graph.mul(x, y);
            graph.neg(product)
        }
    }
}
