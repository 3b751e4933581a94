//! Constructors that simplify.

use super::{Binary, Graph, Node, NodeId, Ternary, Unary};
use crate::elementary;

/// Largest |exponent| for which an integer power becomes multiplications.
const MAX_UNROLLED_EXPONENT: f64 = 16.0;

impl Graph {
    pub fn neg(&mut self, a: NodeId) -> NodeId {
        self.unary(Unary::Neg, a)
    }

    pub fn add(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Add, a, b)
    }

    pub fn sub(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Sub, a, b)
    }

    pub fn mul(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Mul, a, b)
    }

    pub fn div(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Div, a, b)
    }

    pub fn pow(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Pow, a, b)
    }

    /// b where `condition` is not 0, else c.
    pub fn select(&mut self, condition: NodeId, b: NodeId, c: NodeId) -> NodeId {
        match self.kink(condition, b, c) {
            Some(kink) => kink,
            None => self.ternary(Ternary::Select, condition, b, c),
        }
    }

    /// A choice between two values that are equal where the condition changes: the smaller or the
    /// larger of them. It has a kink there, and no jump.
    fn kink(&mut self, condition: NodeId, b: NodeId, c: NodeId) -> Option<NodeId> {
        let Node::Binary(Binary::Lt | Binary::Le, smaller, larger) = self.node(condition) else {
            return None;
        };
        let forwards = self.sub(larger, smaller);
        let backwards = self.sub(smaller, larger);
        let zero = self.constant(0.0);
        // The value where the condition holds, and the other.
        if [(larger, smaller), (forwards, zero), (zero, backwards)].contains(&(b, c)) {
            return Some(self.binary(Binary::Max, b, c));
        }
        if [(smaller, larger), (backwards, zero), (zero, forwards)].contains(&(b, c)) {
            return Some(self.binary(Binary::Min, b, c));
        }
        None
    }

    /// Sum of the terms, from the left; 0 of none.
    pub fn sum(&mut self, terms: impl IntoIterator<Item = NodeId>) -> NodeId {
        let mut total = None;
        for term in terms {
            total = Some(match total {
                None => term,
                Some(so_far) => self.add(so_far, term),
            });
        }
        total.unwrap_or_else(|| self.constant(0.0))
    }

    /// An operation of one operand.
    pub fn unary(&mut self, op: Unary, a: NodeId) -> NodeId {
        if let Some(value) = self.constant_value(a) {
            return self.constant(apply_unary(op, value));
        }
        match (op, self.node(a)) {
            (Unary::Neg, Node::Unary(Unary::Neg, inner)) => inner,
            (Unary::Neg, Node::Binary(Binary::Sub, x, y)) => self.sub(y, x),
            (Unary::Abs, Node::Unary(Unary::Neg | Unary::Abs, inner)) => {
                self.unary(Unary::Abs, inner)
            }
            _ => self.intern(Node::Unary(op, a)),
        }
    }

    /// An operation of two operands.
    pub fn binary(&mut self, op: Binary, a: NodeId, b: NodeId) -> NodeId {
        let (va, vb) = (self.constant_value(a), self.constant_value(b));
        if let (Some(va), Some(vb)) = (va, vb) {
            return self.constant(apply_binary(op, va, vb));
        }
        match op {
            Binary::Add => self.simplified_add(a, va, b, vb),
            Binary::Sub => self.simplified_sub(a, va, b, vb),
            Binary::Mul => self.simplified_mul(a, va, b, vb),
            Binary::Div => self.simplified_div(a, va, b, vb),
            Binary::Pow => self.simplified_pow(a, va, b, vb),
            Binary::Min | Binary::Max if a == b => a,
            Binary::Le | Binary::Eq if a == b => self.constant(1.0),
            Binary::Lt if a == b => self.constant(0.0),
            Binary::Min | Binary::Max | Binary::Eq => {
                self.intern(Node::Binary(op, a.min(b), a.max(b)))
            }
            Binary::Lt | Binary::Le | Binary::LogLacks => self.intern(Node::Binary(op, a, b)),
        }
    }

    /// An operation of three operands.
    pub fn ternary(&mut self, op: Ternary, a: NodeId, b: NodeId, c: NodeId) -> NodeId {
        let (va, vb, vc) = (self.constant_value(a), self.constant_value(b), self.constant_value(c));
        match op {
            Ternary::Select => {
                return match va {
                    Some(condition) if condition != 0.0 => b,
                    Some(_) => c,
                    None if b == c => b,
                    None => self.intern(Node::Ternary(op, a, b, c)),
                };
            }
            _ if [va, vb].iter().flatten().any(|v| *v == 0.0 || v.abs() == 1.0)
                || (va.is_some() && vb.is_some())
                || vc == Some(0.0) =>
            {
                let product = self.mul(a, b);
                return match op {
                    Ternary::MulAdd => self.add(product, c),
                    Ternary::MulSub => self.sub(product, c),
                    _ => self.sub(c, product),
                };
            }
            _ => {}
        }
        // Signs move from the factors into the operation.
        let (a, negated_a) = self.strip_sign(a);
        let (b, negated_b) = self.strip_sign(b);
        let (a, b) = (a.min(b), a.max(b));
        match (op, negated_a != negated_b) {
            (_, false) => self.intern(Node::Ternary(op, a, b, c)),
            (Ternary::MulAdd, true) => self.intern(Node::Ternary(Ternary::NegMulAdd, a, b, c)),
            (Ternary::MulSub, true) => {
                let sum = self.intern(Node::Ternary(Ternary::MulAdd, a, b, c));
                self.neg(sum)
            }
            (_, true) => self.intern(Node::Ternary(Ternary::MulAdd, a, b, c)),
        }
    }

    /// The node without an outer negation, and whether there was one.
    pub(super) fn strip_sign(&self, a: NodeId) -> (NodeId, bool) {
        match self.node(a) {
            Node::Unary(Unary::Neg, inner) => (inner, true),
            _ => (a, false),
        }
    }

    fn simplified_add(&mut self, a: NodeId, va: Option<f64>, b: NodeId, vb: Option<f64>) -> NodeId {
        if va == Some(0.0) {
            return b;
        }
        if vb == Some(0.0) {
            return a;
        }
        match (self.strip_sign(a), self.strip_sign(b)) {
            ((x, true), (y, true)) => {
                let sum = self.add(x, y);
                self.neg(sum)
            }
            ((x, true), (y, false)) => self.sub(y, x),
            ((x, false), (y, true)) => self.sub(x, y),
            _ => self.intern(Node::Binary(Binary::Add, a.min(b), a.max(b))),
        }
    }

    fn simplified_sub(&mut self, a: NodeId, va: Option<f64>, b: NodeId, vb: Option<f64>) -> NodeId {
        if a == b {
            return self.constant(0.0);
        }
        if va == Some(0.0) {
            return self.neg(b);
        }
        if vb == Some(0.0) {
            return a;
        }
        match (self.strip_sign(a), self.strip_sign(b)) {
            ((x, true), (y, true)) => self.sub(y, x),
            ((x, true), (y, false)) => {
                let sum = self.add(x, y);
                self.neg(sum)
            }
            ((x, false), (y, true)) => self.add(x, y),
            _ => self.intern(Node::Binary(Binary::Sub, a, b)),
        }
    }

    fn simplified_mul(&mut self, a: NodeId, va: Option<f64>, b: NodeId, vb: Option<f64>) -> NodeId {
        for (value, other) in [(va, b), (vb, a)] {
            match value {
                Some(0.0) => return self.constant(0.0),
                Some(1.0) => return other,
                Some(-1.0) => return self.neg(other),
                _ => {}
            }
        }
        let ((x, negative_x), (y, negative_y)) = (self.strip_sign(a), self.strip_sign(b));
        if negative_x || negative_y {
            let product = self.mul(x, y);
            return if negative_x != negative_y { self.neg(product) } else { product };
        }
        // c1 · (c2 · x) is one constant times x.
        for (value, other) in [(va, b), (vb, a)] {
            if let (Some(outer), Node::Binary(Binary::Mul, p, q)) = (value, self.node(other)) {
                for (inner, rest) in [(p, q), (q, p)] {
                    // Not where the product of the constants leaves the range of doubles.
                    if let Some(inner) = self.constant_value(inner)
                        && (outer * inner).is_normal()
                    {
                        let product = self.constant(outer * inner);
                        return self.mul(product, rest);
                    }
                }
            }
        }
        self.intern(Node::Binary(Binary::Mul, a.min(b), a.max(b)))
    }

    fn simplified_div(&mut self, a: NodeId, va: Option<f64>, b: NodeId, vb: Option<f64>) -> NodeId {
        if va == Some(0.0) {
            return a;
        }
        if let Some(divisor) = vb
            && (divisor.abs() == 1.0 || is_power_of_two(divisor))
        {
            let reciprocal = self.constant(1.0 / divisor);
            return self.mul(a, reciprocal);
        }
        if a == b {
            return self.constant(1.0);
        }
        let ((x, negative_x), (y, negative_y)) = (self.strip_sign(a), self.strip_sign(b));
        if negative_x || negative_y {
            let quotient = self.div(x, y);
            return if negative_x != negative_y { self.neg(quotient) } else { quotient };
        }
        self.intern(Node::Binary(Binary::Div, a, b))
    }

    fn simplified_pow(&mut self, a: NodeId, va: Option<f64>, b: NodeId, vb: Option<f64>) -> NodeId {
        if va == Some(1.0) {
            return a;
        }
        match vb {
            Some(exponent)
                if exponent.fract() == 0.0 && exponent.abs() <= MAX_UNROLLED_EXPONENT =>
            {
                let power = self.integer_power(a, exponent.abs() as u32);
                if exponent < 0.0 {
                    let one = self.constant(1.0);
                    self.div(one, power)
                } else {
                    power
                }
            }
            Some(0.5) => self.unary(Unary::Sqrt, a),
            _ => self.intern(Node::Binary(Binary::Pow, a, b)),
        }
    }

    /// aⁿ by repeated squaring.
    fn integer_power(&mut self, a: NodeId, n: u32) -> NodeId {
        match n {
            0 => self.constant(1.0),
            1 => a,
            _ => {
                let half = self.integer_power(a, n / 2);
                let square = self.mul(half, half);
                if n % 2 == 1 { self.mul(square, a) } else { square }
            }
        }
    }
}

/// Whether dividing by it equals multiplying by its reciprocal, exactly.
fn is_power_of_two(value: f64) -> bool {
    const MANTISSA: u64 = (1 << 52) - 1;
    value.is_normal() && (1.0 / value).is_normal() && value.to_bits() & MANTISSA == 0
}

/// The operation on a number, as every engine computes it.
pub fn apply_unary(op: Unary, a: f64) -> f64 {
    match op {
        Unary::Neg => -a,
        Unary::Abs => a.abs(),
        Unary::Sign => sign(a),
        Unary::Floor => a.floor(),
        Unary::Ceil => a.ceil(),
        Unary::Sqrt => a.sqrt(),
        Unary::Exp => elementary::exp(a),
        Unary::Log => elementary::log(a),
        Unary::Log10 => elementary::log10(a),
        Unary::Sin => elementary::sin(a),
        Unary::Cos => elementary::cos(a),
        Unary::Tan => elementary::tan(a),
        Unary::Asin => elementary::asin(a),
        Unary::Acos => elementary::acos(a),
        Unary::Atan => elementary::atan(a),
        Unary::Sinh => elementary::sinh(a),
        Unary::Cosh => elementary::cosh(a),
        Unary::Tanh => elementary::tanh(a),
        Unary::Asinh => elementary::asinh(a),
        Unary::Acosh => elementary::acosh(a),
        Unary::Atanh => elementary::atanh(a),
    }
}

/// The operation on two numbers.
pub fn apply_binary(op: Binary, a: f64, b: f64) -> f64 {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Pow => elementary::pow(a, b),
        Binary::Min => {
            if b < a {
                b
            } else {
                a
            }
        }
        Binary::Max => {
            if a < b {
                b
            } else {
                a
            }
        }
        Binary::Lt => f64::from(a < b),
        Binary::Le => f64::from(a <= b),
        Binary::Eq => f64::from(a == b),
        Binary::LogLacks => elementary::log_lacks(a, b),
    }
}

/// The operation on three numbers.
pub fn apply_ternary(op: Ternary, a: f64, b: f64, c: f64) -> f64 {
    match op {
        Ternary::MulAdd => a.mul_add(b, c),
        Ternary::MulSub => a.mul_add(b, -c),
        Ternary::NegMulAdd => (-a).mul_add(b, c),
        Ternary::Select => {
            if a != 0.0 {
                b
            } else {
                c
            }
        }
    }
}

/// −1, 0 or 1; 0 for NaN.
pub fn sign(a: f64) -> f64 {
    f64::from(a > 0.0) - f64::from(a < 0.0)
}
