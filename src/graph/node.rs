//! The nodes of the expression graph: operations over earlier nodes.

use crate::index::{DirectionIdx, SlotIdx, StateIdx, SwitchIdx};

/// A node of one [`Graph`](super::Graph). Operands always have smaller ids than their users, so
/// that ascending order is a topological order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) u32);

impl NodeId {
    /// Position in the graph's list of nodes.
    pub fn position(self) -> usize {
        self.0 as usize
    }
}

/// What a program reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    State(StateIdx),
    /// Model time.
    Time,
    /// Step size, in units of model time.
    StepSize,
    Slot(SlotIdx),
    /// 1 while the switch's condition holds, else 0.
    Switch(SwitchIdx),
    RelativeTolerance,
    AbsoluteTolerance,
    /// Derivative of a state in a direction.
    StateTangent(StateIdx, DirectionIdx),
    /// Derivative of a slot in a direction.
    SlotTangent(SlotIdx, DirectionIdx),
    /// Derivative of the step's start in a direction that moves a breakpoint.
    TimeTangent(DirectionIdx),
    /// Derivative of the step size in such a direction.
    StepTangent(DirectionIdx),
    /// Adjoint of a state at the end of the step: derivative of what is wanted with respect to it.
    StateAdjoint(StateIdx),
}

/// Operations of one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unary {
    Neg,
    Abs,
    /// −1, 0 or 1.
    Sign,
    Floor,
    Ceil,
    Sqrt,
    Exp,
    Log,
    Log10,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
}

impl Unary {
    /// All operations.
    pub const ALL: [Self; 21] = [
        Self::Neg,
        Self::Abs,
        Self::Sign,
        Self::Floor,
        Self::Ceil,
        Self::Sqrt,
        Self::Exp,
        Self::Log,
        Self::Log10,
        Self::Sin,
        Self::Cos,
        Self::Tan,
        Self::Asin,
        Self::Acos,
        Self::Atan,
        Self::Sinh,
        Self::Cosh,
        Self::Tanh,
        Self::Asinh,
        Self::Acosh,
        Self::Atanh,
    ];
}

/// Operations of two operands. Relations give 1 or 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
    Lt,
    Le,
    Eq,
    /// ln a − b, of which ln a is known to about twice the precision: what a rounded logarithm b lacks.
    /// No formula has it, but [compensated](crate::program::compensated) programs.
    LogLacks,
}

impl Binary {
    /// All operations of formulas.
    pub const ALL: [Self; 10] = [
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::Pow,
        Self::Min,
        Self::Max,
        Self::Lt,
        Self::Le,
        Self::Eq,
    ];
}

/// Operations of three operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ternary {
    /// a·b + c with one rounding (where the machine has it).
    MulAdd,
    /// a·b − c.
    MulSub,
    /// c − a·b.
    NegMulAdd,
    /// b where a is not 0, else c.
    Select,
}

impl Ternary {
    /// All operations.
    pub const ALL: [Self; 4] = [Self::MulAdd, Self::MulSub, Self::NegMulAdd, Self::Select];
}

/// A node: a constant, an input or an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Node {
    /// Bits of the double, so that nodes can be hashed.
    Constant(u64),
    Input(Input),
    Unary(Unary, NodeId),
    Binary(Binary, NodeId, NodeId),
    Ternary(Ternary, NodeId, NodeId, NodeId),
}

impl Node {
    /// Operands in order.
    pub fn operands(&self) -> impl Iterator<Item = NodeId> + use<> {
        let (list, count) = match *self {
            Self::Constant(_) | Self::Input(_) => ([NodeId(0); 3], 0),
            Self::Unary(_, a) => ([a, a, a], 1),
            Self::Binary(_, a, b) => ([a, b, b], 2),
            Self::Ternary(_, a, b, c) => ([a, b, c], 3),
        };
        list.into_iter().take(count)
    }
}
