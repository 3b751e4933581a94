//! Straight-line programs: what the engines run.
//!
//! A [`Program`] is a list of operations over numbered values: first the inputs, then the
//! constants, then one value per operation, each operation reading earlier values only. It is
//! made from expressions of a [`Graph`], over which forward differentiation
//! ([`forward::tangents`]), regrouping ([`products::regroup`]) and fusing ([`fuse::fuse`]) work beforehand. The CPU engine runs it
//! with registers assigned by live range ([`registers`]), the GPU engine prints it
//! ([`wgsl::print_body`]).

pub mod compensated;
pub mod forward;
pub mod fuse;
pub mod products;
pub mod registers;
pub mod wgsl;

use crate::graph::{Binary, Graph, Input, Node, NodeId, Ternary, Unary};

/// Number of a value in a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u32);

impl ValueId {
    /// Position among inputs, constants and operations, in this order.
    pub fn position(self) -> usize {
        self.0 as usize
    }
}

/// One operation of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    Unary(Unary, ValueId),
    Binary(Binary, ValueId, ValueId),
    Ternary(Ternary, ValueId, ValueId, ValueId),
}

impl Op {
    /// Operands in order.
    pub fn operands(&self) -> impl Iterator<Item = ValueId> + use<> {
        let (list, count) = match *self {
            Self::Unary(_, a) => ([a; 3], 1),
            Self::Binary(_, a, b) => ([a, b, b], 2),
            Self::Ternary(_, a, b, c) => ([a, b, c], 3),
        };
        list.into_iter().take(count)
    }
}

/// A straight-line program from inputs to outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    inputs: Vec<Input>,
    constants: Vec<f64>,
    ops: Vec<Op>,
    outputs: Vec<ValueId>,
}

impl Program {
    /// The program that computes `roots` from `inputs`, in this order; inputs that are not needed
    /// keep their place.
    ///
    /// # Panics
    /// If the roots depend on an input that is not listed: an error of the caller's layout.
    pub fn new(graph: &Graph, inputs: Vec<Input>, roots: &[NodeId]) -> Self {
        let order = graph.reachable(roots);
        let bound = order.last().map_or(0, |id| id.position() + 1);
        let mut value_of: Vec<Option<ValueId>> = vec![None; bound];
        let mut constants = Vec::new();
        for &id in &order {
            if let Node::Constant(bits) = graph.node(id) {
                value_of[id.position()] = Some(value(inputs.len() + constants.len()));
                constants.push(f64::from_bits(bits));
            }
        }
        let first_op = inputs.len() + constants.len();
        let mut ops = Vec::new();
        for &id in &order {
            let of = |n: NodeId| value_of[n.position()].expect("operands precede their users");
            let op = match graph.node(id) {
                Node::Constant(_) => continue,
                Node::Input(input) => {
                    let place = inputs.iter().position(|i| *i == input);
                    let place = place.unwrap_or_else(|| panic!("{input:?} is not in the layout"));
                    value_of[id.position()] = Some(value(place));
                    continue;
                }
                Node::Unary(op, a) => Op::Unary(op, of(a)),
                Node::Binary(op, a, b) => Op::Binary(op, of(a), of(b)),
                Node::Ternary(op, a, b, c) => Op::Ternary(op, of(a), of(b), of(c)),
            };
            value_of[id.position()] = Some(value(first_op + ops.len()));
            ops.push(op);
        }
        let outputs = roots
            .iter()
            .map(|r| value_of[r.position()].expect("roots are reachable from themselves"))
            .collect();
        Self { inputs, constants, ops, outputs }
    }

    /// What the program reads, in the order of its input values.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Constants, in the order of their values (after the inputs).
    pub fn constants(&self) -> &[f64] {
        &self.constants
    }

    /// Operations, in the order of their values (after the constants).
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Values that the program returns.
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    /// Number of the first operation's value.
    pub fn first_op(&self) -> usize {
        self.inputs.len() + self.constants.len()
    }
}

fn value(position: usize) -> ValueId {
    ValueId(u32::try_from(position).expect("programs stay below 2^32 values"))
}
