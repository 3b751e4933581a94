//! Compensated programs: what rounding leaves out of every result is carried along.
//!
//! Behind each value x of a program goes its low part, a correction so that x and it together are
//! the result of exact arithmetic to about twice the precision. An operation's low part is the error
//! of its own rounding, which for +, −, ·, / and √ is computed without error or nearly so
//! (Knuth, TAOCP 2, section 4.2.2; Ogita, Rump & Oishi, SIAM J. Sci. Comput. 26, 2005), and its
//! operands' low parts times its derivatives (Langlois, *Automatic linear correction of rounding
//! errors*, BIT 41, 2001). The values themselves stay as they were, to the bit.

use super::{Op, Program, ValueId};
use crate::graph::{Binary, Graph, Input, Node, NodeId, Ternary, Unary};
use crate::index::DirectionIdx;

/// A program's values in a graph of their own, with their low parts.
pub struct Compensated {
    pub graph: Graph,
    /// What the program returns, then the low part of each.
    pub roots: Vec<NodeId>,
}

/// Which values of a program are the same numbers in all lanes that share their steps: those of time, step
/// size, switches and constants alone. They are what they are, and need no low part.
fn common_values(program: &Program) -> Vec<bool> {
    let is_shared =
        |input: &Input| matches!(input, Input::Time | Input::StepSize | Input::Switch(_));
    let mut is_common: Vec<bool> = program.inputs().iter().map(is_shared).collect();
    is_common.resize(program.first_op(), true);
    for op in program.ops() {
        is_common.push(op.operands().all(|operand| is_common[operand.position()]));
    }
    is_common
}

/// Whether the rounding errors of all operations can be told. Those of transcendental functions other
/// than exp, log, log10 and pow cannot, unless their values are the same in all lanes that share their steps.
pub fn is_compensable(program: &Program) -> bool {
    let is_common = common_values(program);
    program.ops().iter().all(|op| match op {
        Op::Unary(_, operand) if is_common[operand.position()] => true,
        Op::Unary(op, _) => {
            use Unary as U;
            matches!(
                op,
                U::Neg
                    | U::Abs
                    | U::Sign
                    | U::Floor
                    | U::Ceil
                    | U::Sqrt
                    | U::Exp
                    | U::Log
                    | U::Log10
            )
        }
        Op::Binary(..) | Op::Ternary(..) => true,
    })
}

/// The inputs that hold low parts of states and of their tangents along so many directions: as further
/// directions stand those of the states, then those of the tangents. All other inputs are exact.
pub fn low_of_states(directions: usize) -> impl Fn(Input) -> Option<Input> {
    let place = |k: usize| DirectionIdx::from_position(k);
    move |input| match input {
        Input::State(state) => Some(Input::StateTangent(state, place(directions))),
        Input::StateTangent(state, k) => {
            Some(Input::StateTangent(state, place(directions + 1 + k.position())))
        }
        _ => None,
    }
}

/// A compensated program, where `low` gives the input that holds the low part of another; none for
/// inputs that are exact. Operations come in the order that suits a program whose first `primary` outputs
/// are what the others are derivatives of.
///
/// # Panics
/// If the program is not [compensable](is_compensable).
pub fn compensate(
    program: &Program,
    primary: usize,
    low: impl Fn(Input) -> Option<Input>,
) -> Compensated {
    let mut graph = Graph::new();
    let mut values: Vec<Parts> = Vec::with_capacity(program.first_op() + program.ops().len());
    for &input in program.inputs() {
        let high = graph.input(input);
        let low = low(input).map(|input| graph.input(input));
        values.push(Parts { high, low });
    }
    for &constant in program.constants() {
        values.push(Parts { high: graph.constant(constant), low: None });
    }
    let exact_zero = Parts { high: graph.constant(0.0), low: None };
    values.resize(values.len() + program.ops().len(), exact_zero);
    let is_common = common_values(program);
    for number in closely(program, primary) {
        let of = |value: ValueId| values[value.position()];
        let mut rounding = Rounding { graph: &mut graph };
        let op = program.ops()[number];
        let next = match is_common[program.first_op() + number] {
            true => Parts { high: rounding.plain(op, of), low: None },
            false => rounding.operation(op, of),
        };
        values[program.first_op() + number] = next;
    }
    let zero = graph.constant(0.0);
    let outputs = || program.outputs().iter().map(|output| values[output.position()]);
    let mut roots: Vec<NodeId> = outputs().map(|parts| parts.high).collect();
    roots.extend(outputs().map(|parts| parts.low.unwrap_or(zero)));
    Compensated { graph, roots }
}

/// The order of a program's operations in which those that the first so many outputs do not need, tangents
/// beside a step, follow closely what they read: most values are then soon needed no more, and few are
/// held at a time.
fn closely(program: &Program, primary: usize) -> Vec<usize> {
    let first_op = program.first_op();
    let mut is_primary = vec![false; program.ops().len()];
    let mut stack: Vec<ValueId> = program.outputs().iter().take(primary).copied().collect();
    while let Some(value) = stack.pop() {
        let Some(number) = value.position().checked_sub(first_op) else { continue };
        if !std::mem::replace(&mut is_primary[number], true) {
            stack.extend(program.ops()[number].operands());
        }
    }
    let mut places: Vec<usize> = Vec::with_capacity(program.ops().len());
    for (number, op) in program.ops().iter().enumerate() {
        let place_of = |value: ValueId| value.position().checked_sub(first_op).map(|n| places[n]);
        let of_operands = op.operands().filter_map(place_of).max().unwrap_or(0);
        places.push(if is_primary[number] { number } else { of_operands });
    }
    let mut order: Vec<usize> = (0..program.ops().len()).collect();
    order.sort_by_key(|&number| (places[number], number));
    order
}

/// A value and its low part, none where that is 0.
#[derive(Debug, Clone, Copy)]
struct Parts {
    high: NodeId,
    low: Option<NodeId>,
}

/// Adds operations as they are: simplified as those of real numbers, errors would vanish.
struct Rounding<'g> {
    graph: &'g mut Graph,
}

impl Rounding<'_> {
    fn unary(&mut self, op: Unary, a: NodeId) -> NodeId {
        self.graph.intern(Node::Unary(op, a))
    }

    fn binary(&mut self, op: Binary, a: NodeId, b: NodeId) -> NodeId {
        self.graph.intern(Node::Binary(op, a, b))
    }

    fn ternary(&mut self, op: Ternary, a: NodeId, b: NodeId, c: NodeId) -> NodeId {
        self.graph.intern(Node::Ternary(op, a, b, c))
    }

    fn plain(&mut self, op: Op, of: impl Fn(ValueId) -> Parts) -> NodeId {
        match op {
            Op::Unary(op, a) => self.unary(op, of(a).high),
            Op::Binary(op, a, b) => self.binary(op, of(a).high, of(b).high),
            Op::Ternary(op, a, b, c) => self.ternary(op, of(a).high, of(b).high, of(c).high),
        }
    }

    fn operation(&mut self, op: Op, of: impl Fn(ValueId) -> Parts) -> Parts {
        match op {
            Op::Unary(op, a) => self.of_unary(op, of(a)),
            Op::Binary(op, a, b) => self.of_binary(op, of(a), of(b)),
            Op::Ternary(op, a, b, c) => self.of_ternary(op, of(a), of(b), of(c)),
        }
    }

    fn of_unary(&mut self, op: Unary, a: Parts) -> Parts {
        let high = self.unary(op, a.high);
        let low = match op {
            Unary::Neg => a.low.map(|low| self.unary(Unary::Neg, low)),
            Unary::Abs => a.low.map(|low| {
                let zero = self.graph.constant(0.0);
                let is_negative = self.binary(Binary::Lt, a.high, zero);
                let negated = self.unary(Unary::Neg, low);
                self.ternary(Ternary::Select, is_negative, negated, low)
            }),
            Unary::Sign | Unary::Floor | Unary::Ceil => None,
            Unary::Sqrt => {
                // What the root's square leaves of the radicand, over twice the root.
                let rest = self.ternary(Ternary::NegMulAdd, high, high, a.high);
                let rest = self.plus(rest, a.low);
                let twice = self.binary(Binary::Add, high, high);
                let zero = self.graph.constant(0.0);
                let low = self.binary(Binary::Div, rest, twice);
                let is_zero = self.binary(Binary::Eq, high, zero);
                Some(self.ternary(Ternary::Select, is_zero, zero, low))
            }
            Unary::Exp => {
                // x − ln(e^x rounded), relative to e^x.
                let lacking = self.log_lacks(high, a.high);
                let lacking = self.unary(Unary::Neg, lacking);
                let relative = self.plus(lacking, a.low);
                let low = self.guarded_product(high, relative);
                // Beyond the range of doubles nothing is known that a quotient could need.
                let infinity = self.graph.constant(f64::INFINITY);
                let is_infinite = self.binary(Binary::Eq, high, infinity);
                let zero = self.graph.constant(0.0);
                Some(self.ternary(Ternary::Select, is_infinite, zero, low))
            }
            Unary::Log => {
                let lacking = self.log_lacks(a.high, high);
                let of_low = a.low.map(|low| self.binary(Binary::Div, low, a.high));
                Some(self.plus(lacking, of_low))
            }
            Unary::Log10 => {
                // ln 10 times the rounded logarithm, in two parts, lacks so much of the natural one.
                let ln_10 = self.graph.constant(std::f64::consts::LN_10);
                let ln_10_low = self.graph.constant(LN_10_LOW);
                let natural = self.binary(Binary::Mul, ln_10, high);
                let error = self.ternary(Ternary::MulSub, ln_10, high, natural);
                let rest = self.ternary(Ternary::MulAdd, ln_10_low, high, error);
                let lacking = self.log_lacks(a.high, natural);
                let lacking = self.binary(Binary::Sub, lacking, rest);
                let of_low = a.low.map(|low| self.binary(Binary::Div, low, a.high));
                let lacking = self.plus(lacking, of_low);
                Some(self.binary(Binary::Div, lacking, ln_10))
            }
            _ => unreachable!("{op:?} is not compensable"),
        };
        Parts { high, low }
    }

    fn of_binary(&mut self, op: Binary, a: Parts, b: Parts) -> Parts {
        let high = self.binary(op, a.high, b.high);
        let low = match op {
            Binary::Add => {
                let error = self.sum_error(a.high, b.high, high);
                let error = self.plus(error, a.low);
                Some(self.plus(error, b.low))
            }
            Binary::Sub => {
                let error = self.difference_error(a.high, b.high, high);
                let error = self.plus(error, a.low);
                Some(self.minus(error, b.low))
            }
            Binary::Mul => {
                let error = self.ternary(Ternary::MulSub, a.high, b.high, high);
                Some(self.plus_products(error, a, b))
            }
            Binary::Div => {
                // What the quotient leaves of the dividend, over the divisor.
                let mut rest = self.ternary(Ternary::NegMulAdd, high, b.high, a.high);
                rest = self.plus(rest, a.low);
                if let Some(low) = b.low {
                    rest = self.ternary(Ternary::NegMulAdd, high, low, rest);
                }
                let low = self.binary(Binary::Div, rest, b.high);
                // Anything finite over infinity is 0 exactly.
                let infinity = self.graph.constant(f64::INFINITY);
                let size = self.unary(Unary::Abs, b.high);
                let is_infinite = self.binary(Binary::Eq, size, infinity);
                let zero = self.graph.constant(0.0);
                Some(self.ternary(Ternary::Select, is_infinite, zero, low))
            }
            Binary::Pow => Some(self.pow_low(a, b, high)),
            Binary::Min => {
                let takes_second = self.binary(Binary::Lt, b.high, a.high);
                self.select(takes_second, b.low, a.low)
            }
            Binary::Max => {
                let takes_second = self.binary(Binary::Lt, a.high, b.high);
                self.select(takes_second, b.low, a.low)
            }
            Binary::Lt | Binary::Le | Binary::Eq => None,
            Binary::LogLacks => unreachable!("only compensated programs have it"),
        };
        Parts { high, low }
    }

    fn of_ternary(&mut self, op: Ternary, a: Parts, b: Parts, c: Parts) -> Parts {
        let high = self.ternary(op, a.high, b.high, c.high);
        if op == Ternary::Select {
            return Parts { high, low: self.select(a.high, b.low, c.low) };
        }
        // The product in two parts, and its sum with the rest: what the fused operation left out of
        // both is the difference of the two sums and what each of them lacks.
        let product = self.binary(Binary::Mul, a.high, b.high);
        let product_low = self.ternary(Ternary::MulSub, a.high, b.high, product);
        let (sum, error) = match op {
            Ternary::MulAdd => {
                let sum = self.binary(Binary::Add, product, c.high);
                (sum, self.sum_error(product, c.high, sum))
            }
            Ternary::MulSub => {
                let sum = self.binary(Binary::Sub, product, c.high);
                (sum, self.difference_error(product, c.high, sum))
            }
            Ternary::NegMulAdd | Ternary::Select => {
                let sum = self.binary(Binary::Sub, c.high, product);
                (sum, self.difference_error(c.high, product, sum))
            }
        };
        let between = self.binary(Binary::Sub, sum, high);
        let error = self.binary(Binary::Add, between, error);
        let low = match op {
            Ternary::MulAdd | Ternary::MulSub => {
                let error = self.binary(Binary::Add, error, product_low);
                let error = self.plus_products(error, a, b);
                match op {
                    Ternary::MulAdd => self.plus(error, c.low),
                    _ => self.minus(error, c.low),
                }
            }
            Ternary::NegMulAdd | Ternary::Select => {
                let mut error = self.binary(Binary::Sub, error, product_low);
                for (factor, low) in [(a.high, b.low), (b.high, a.low)] {
                    if let Some(low) = low {
                        error = self.ternary(Ternary::NegMulAdd, factor, low, error);
                    }
                }
                self.plus(error, c.low)
            }
        };
        Parts { high, low: Some(low) }
    }

    /// a^b (b·ln a − ln(a^b rounded)), and what low parts of both add.
    fn pow_low(&mut self, a: Parts, b: Parts, high: NodeId) -> NodeId {
        let zero = self.graph.constant(0.0);
        let size = self.unary(Unary::Abs, a.high);
        let power = self.unary(Unary::Abs, high);
        // ln a rounded and what it lacks; b times both, and what that product lacks.
        let log = self.unary(Unary::Log, size);
        let log_lacks = self.log_lacks(size, log);
        let exponent = self.binary(Binary::Mul, b.high, log);
        let error = self.ternary(Ternary::MulSub, b.high, log, exponent);
        let rest = self.ternary(Ternary::MulAdd, b.high, log_lacks, error);
        let lacking = self.log_lacks(power, exponent);
        let mut relative = self.binary(Binary::Sub, rest, lacking);
        if let Some(low) = a.low {
            let of_base = self.binary(Binary::Div, low, a.high);
            relative = self.ternary(Ternary::MulAdd, b.high, of_base, relative);
        }
        if let Some(low) = b.low {
            relative = self.ternary(Ternary::MulAdd, log, low, relative);
        }
        let low = self.binary(Binary::Mul, high, relative);
        // 0 to any power, and any number to the power 0, are exact.
        let has_zero = self.binary(Binary::Eq, a.high, zero);
        let low = self.ternary(Ternary::Select, has_zero, zero, low);
        let vanishes = self.binary(Binary::Eq, high, zero);
        self.ternary(Ternary::Select, vanishes, zero, low)
    }

    /// ln(x) − y, of which ln(x) is known to about twice the precision.
    fn log_lacks(&mut self, x: NodeId, y: NodeId) -> NodeId {
        self.binary(Binary::LogLacks, x, y)
    }

    /// The product with something that may be infinite where the first factor is 0.
    fn guarded_product(&mut self, factor: NodeId, other: NodeId) -> NodeId {
        let zero = self.graph.constant(0.0);
        let product = self.binary(Binary::Mul, factor, other);
        let is_zero = self.binary(Binary::Eq, factor, zero);
        self.ternary(Ternary::Select, is_zero, zero, product)
    }

    fn plus(&mut self, a: NodeId, b: Option<NodeId>) -> NodeId {
        b.map_or(a, |b| self.binary(Binary::Add, a, b))
    }

    fn minus(&mut self, a: NodeId, b: Option<NodeId>) -> NodeId {
        b.map_or(a, |b| self.binary(Binary::Sub, a, b))
    }

    /// start + a·(low of b) + b·(low of a).
    fn plus_products(&mut self, start: NodeId, a: Parts, b: Parts) -> NodeId {
        let mut total = start;
        for (factor, low) in [(a.high, b.low), (b.high, a.low)] {
            if let Some(low) = low {
                total = self.ternary(Ternary::MulAdd, factor, low, total);
            }
        }
        total
    }

    fn select(
        &mut self,
        condition: NodeId,
        then: Option<NodeId>,
        otherwise: Option<NodeId>,
    ) -> Option<NodeId> {
        if then.is_none() && otherwise.is_none() {
            return None;
        }
        let zero = self.graph.constant(0.0);
        let (then, otherwise) = (then.unwrap_or(zero), otherwise.unwrap_or(zero));
        Some(self.ternary(Ternary::Select, condition, then, otherwise))
    }

    /// a + b − sum, exactly (Knuth's two-sum).
    fn sum_error(&mut self, a: NodeId, b: NodeId, sum: NodeId) -> NodeId {
        let b_part = self.binary(Binary::Sub, sum, a);
        let a_part = self.binary(Binary::Sub, sum, b_part);
        let a_lost = self.binary(Binary::Sub, a, a_part);
        let b_lost = self.binary(Binary::Sub, b, b_part);
        self.binary(Binary::Add, a_lost, b_lost)
    }

    /// a − b − difference, exactly.
    fn difference_error(&mut self, a: NodeId, b: NodeId, difference: NodeId) -> NodeId {
        let b_part = self.binary(Binary::Sub, difference, a);
        let a_part = self.binary(Binary::Sub, difference, b_part);
        let a_lost = self.binary(Binary::Sub, a, a_part);
        let b_lost = self.binary(Binary::Add, b, b_part);
        self.binary(Binary::Sub, a_lost, b_lost)
    }
}

/// ln 10 less its double.
const LN_10_LOW: f64 = -2.1707562233822494e-16;
