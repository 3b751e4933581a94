//! From expression trees to the graph.

use super::ModelError;
use crate::graph::{Binary, Graph, Node, NodeId, Unary};
use crate::math::{Expr, Function, Piece};

/// What names mean where an expression stands.
pub(super) trait Scope {
    /// The value of a symbol.
    fn symbol(&mut self, graph: &mut Graph, id: &str) -> Result<NodeId, ModelError>;
    /// The rate of change of a symbol.
    fn rate_of(&mut self, graph: &mut Graph, id: &str) -> Result<NodeId, ModelError>;
    /// Model time.
    fn time(&mut self, graph: &mut Graph) -> NodeId;
    /// Where the expression stands, for errors.
    fn place(&self) -> String;
}

/// The node for an expression in a scope.
pub(super) fn lower(
    graph: &mut Graph,
    expr: &Expr,
    scope: &mut dyn Scope,
) -> Result<NodeId, ModelError> {
    match expr {
        Expr::Number(value) => Ok(graph.constant(*value)),
        Expr::Symbol(id) => scope.symbol(graph, id),
        Expr::Time => Ok(scope.time(graph)),
        Expr::RateOf(id) => scope.rate_of(graph, id),
        Expr::Call(function, arguments) => {
            let mut nodes = Vec::with_capacity(arguments.len());
            for argument in arguments {
                nodes.push(lower(graph, argument, scope)?);
            }
            call(graph, *function, &nodes, scope)
        }
        Expr::Piecewise { pieces, otherwise } => {
            let mut value = match otherwise {
                Some(otherwise) => lower(graph, otherwise, scope)?,
                None => graph.constant(f64::NAN),
            };
            for Piece { value: piece, condition } in pieces.iter().rev() {
                let piece = lower(graph, piece, scope)?;
                let condition = lower(graph, condition, scope)?;
                let condition = truth(graph, condition);
                value = graph.select(condition, piece, value);
            }
            Ok(value)
        }
    }
}

fn call(
    graph: &mut Graph,
    function: Function,
    a: &[NodeId],
    scope: &dyn Scope,
) -> Result<NodeId, ModelError> {
    use Function as F;
    let arity = |expected: &'static str| ModelError::Arity {
        place: scope.place(),
        function: format!("{function:?}").to_lowercase(),
        expected,
        found: a.len(),
    };
    let one = graph.constant(1.0);
    Ok(match (function, a) {
        (F::Add, _) => graph.sum(a.iter().copied()),
        (F::Mul, _) => a.iter().fold(one, |product, &x| graph.mul(product, x)),
        (F::And, _) => {
            let truths: Vec<NodeId> = a.iter().map(|&x| truth(graph, x)).collect();
            truths.into_iter().fold(one, |all, x| graph.mul(all, x))
        }
        (F::Or, _) => {
            let zero = graph.constant(0.0);
            let truths: Vec<NodeId> = a.iter().map(|&x| truth(graph, x)).collect();
            truths.into_iter().fold(zero, |any, x| graph.binary(Binary::Max, any, x))
        }
        (F::Xor, _) => {
            let mut odd = graph.constant(0.0);
            for &x in a {
                let x = truth(graph, x);
                let same = graph.binary(Binary::Eq, odd, x);
                odd = graph.sub(one, same);
            }
            odd
        }
        (F::Min | F::Max, [first, rest @ ..]) => {
            let op = if function == F::Min { Binary::Min } else { Binary::Max };
            rest.iter().fold(*first, |best, &x| graph.binary(op, best, x))
        }
        (F::Lt | F::Le | F::Gt | F::Ge | F::Eq, [_, _, ..]) => {
            let mut all = one;
            for pair in a.windows(2) {
                let relation = relation(graph, function, pair[0], pair[1]);
                all = graph.mul(all, relation);
            }
            all
        }
        (F::Ne, &[x, y]) => {
            let equal = graph.binary(Binary::Eq, x, y);
            graph.sub(one, equal)
        }
        (F::Not, &[x]) => {
            let x = truth(graph, x);
            graph.sub(one, x)
        }
        (F::Implies, &[x, y]) => {
            let (x, y) = (truth(graph, x), truth(graph, y));
            let not_x = graph.sub(one, x);
            graph.binary(Binary::Max, not_x, y)
        }
        (F::Sub, &[x, y]) => graph.sub(x, y),
        (F::Neg, &[x]) => graph.neg(x),
        (F::Div, &[x, y]) => graph.div(x, y),
        (F::Pow, &[x, y]) => graph.pow(x, y),
        (F::Root, &[degree, x]) => match graph.constant_value(degree) {
            Some(2.0) => graph.unary(Unary::Sqrt, x),
            _ => {
                let exponent = graph.div(one, degree);
                graph.pow(x, exponent)
            }
        },
        (F::Log, &[base, x]) => match graph.constant_value(base) {
            Some(10.0) => graph.unary(Unary::Log10, x),
            _ => {
                let (x, base) = (graph.unary(Unary::Log, x), graph.unary(Unary::Log, base));
                graph.div(x, base)
            }
        },
        (F::Log2, &[x]) => {
            let logarithm = graph.unary(Unary::Log, x);
            let ln2 = graph.constant(std::f64::consts::LN_2);
            graph.div(logarithm, ln2)
        }
        (F::Quotient, &[x, y]) => quotient(graph, x, y),
        (F::Rem, &[x, y]) => {
            let whole = quotient(graph, x, y);
            let product = graph.mul(whole, y);
            graph.sub(x, product)
        }
        (F::Factorial, &[x]) => factorial(graph, x),
        (_, &[x]) => match unary_of(function) {
            Some((op, Form::Plain)) => graph.unary(op, x),
            // sec, csc, cot and their kin: 1/f(x).
            Some((op, Form::Reciprocal)) => {
                let value = graph.unary(op, x);
                graph.div(one, value)
            }
            // Their inverses: f(1/x).
            Some((op, Form::OfReciprocal)) => {
                let reciprocal = graph.div(one, x);
                graph.unary(op, reciprocal)
            }
            None => return Err(arity("two")),
        },
        (F::Min | F::Max, []) => return Err(arity("at least one")),
        (F::Lt | F::Le | F::Gt | F::Ge | F::Eq, _) => return Err(arity("at least two")),
        _ if unary_of(function).is_some()
            || matches!(function, F::Not | F::Neg | F::Log2 | F::Factorial) =>
        {
            return Err(arity("one"));
        }
        _ => return Err(arity("two")),
    })
}

enum Form {
    Plain,
    Reciprocal,
    OfReciprocal,
}

fn unary_of(function: Function) -> Option<(Unary, Form)> {
    use Form::{OfReciprocal, Plain, Reciprocal};
    use Function as F;
    Some(match function {
        F::Sqrt => (Unary::Sqrt, Plain),
        F::Exp => (Unary::Exp, Plain),
        F::Ln => (Unary::Log, Plain),
        F::Log10 => (Unary::Log10, Plain),
        F::Abs => (Unary::Abs, Plain),
        F::Sign => (Unary::Sign, Plain),
        F::Floor => (Unary::Floor, Plain),
        F::Ceil => (Unary::Ceil, Plain),
        F::Sin => (Unary::Sin, Plain),
        F::Cos => (Unary::Cos, Plain),
        F::Tan => (Unary::Tan, Plain),
        F::Sec => (Unary::Cos, Reciprocal),
        F::Csc => (Unary::Sin, Reciprocal),
        F::Cot => (Unary::Tan, Reciprocal),
        F::Asin => (Unary::Asin, Plain),
        F::Acos => (Unary::Acos, Plain),
        F::Atan => (Unary::Atan, Plain),
        F::Asec => (Unary::Acos, OfReciprocal),
        F::Acsc => (Unary::Asin, OfReciprocal),
        F::Acot => (Unary::Atan, OfReciprocal),
        F::Sinh => (Unary::Sinh, Plain),
        F::Cosh => (Unary::Cosh, Plain),
        F::Tanh => (Unary::Tanh, Plain),
        F::Sech => (Unary::Cosh, Reciprocal),
        F::Csch => (Unary::Sinh, Reciprocal),
        F::Coth => (Unary::Tanh, Reciprocal),
        F::Asinh => (Unary::Asinh, Plain),
        F::Acosh => (Unary::Acosh, Plain),
        F::Atanh => (Unary::Atanh, Plain),
        F::Asech => (Unary::Acosh, OfReciprocal),
        F::Acsch => (Unary::Asinh, OfReciprocal),
        F::Acoth => (Unary::Atanh, OfReciprocal),
        _ => return None,
    })
}

fn relation(graph: &mut Graph, function: Function, x: NodeId, y: NodeId) -> NodeId {
    match function {
        Function::Lt => graph.binary(Binary::Lt, x, y),
        Function::Le => graph.binary(Binary::Le, x, y),
        Function::Gt => graph.binary(Binary::Lt, y, x),
        Function::Ge => graph.binary(Binary::Le, y, x),
        _ => graph.binary(Binary::Eq, x, y),
    }
}

/// 1 where the value is not 0; relations and what is made of them already are 1 or 0.
pub(super) fn truth(graph: &mut Graph, x: NodeId) -> NodeId {
    if is_logical(graph, x) {
        return x;
    }
    let (zero, one) = (graph.constant(0.0), graph.constant(1.0));
    let equal = graph.binary(Binary::Eq, x, zero);
    graph.sub(one, equal)
}

fn is_logical(graph: &Graph, x: NodeId) -> bool {
    match graph.node(x) {
        Node::Constant(bits) => matches!(f64::from_bits(bits), 0.0 | 1.0),
        Node::Binary(Binary::Lt | Binary::Le | Binary::Eq, _, _) => true,
        Node::Binary(Binary::Mul | Binary::Max, a, b) => {
            is_logical(graph, a) && is_logical(graph, b)
        }
        Node::Binary(Binary::Sub, a, b) => {
            graph.constant_value(a) == Some(1.0) && is_logical(graph, b)
        }
        _ => false,
    }
}

/// x! of a whole number; NaN of any other, infinite where doubles end.
fn factorial(graph: &mut Graph, x: NodeId) -> NodeId {
    const LARGEST: u32 = 170;
    /// By halving, for a whole x from `first` to `last`.
    fn between(graph: &mut Graph, x: NodeId, first: u32, last: u32) -> NodeId {
        if first == last {
            return graph.constant((1..=first).map(f64::from).product());
        }
        let middle = first.midpoint(last);
        let bound = graph.constant(f64::from(middle) + 0.5);
        let is_lower = graph.binary(Binary::Lt, x, bound);
        let (lower, upper) =
            (between(graph, x, first, middle), between(graph, x, middle + 1, last));
        graph.select(is_lower, lower, upper)
    }
    let whole = graph.unary(Unary::Floor, x);
    let is_whole = graph.binary(Binary::Eq, x, whole);
    let (zero, largest) = (graph.constant(0.0), graph.constant(f64::from(LARGEST)));
    let is_negative = graph.binary(Binary::Lt, x, zero);
    let is_too_large = graph.binary(Binary::Lt, largest, x);
    let undefined = graph.constant(f64::NAN);
    let infinite = graph.constant(f64::INFINITY);
    let value = between(graph, x, 0, LARGEST);
    let value = graph.select(is_too_large, infinite, value);
    let value = graph.select(is_negative, undefined, value);
    graph.select(is_whole, value, undefined)
}

/// The quotient's integer part, truncated towards zero.
fn quotient(graph: &mut Graph, x: NodeId, y: NodeId) -> NodeId {
    let ratio = graph.div(x, y);
    let zero = graph.constant(0.0);
    let is_negative = graph.binary(Binary::Lt, ratio, zero);
    let (floor, ceil) = (graph.unary(Unary::Floor, ratio), graph.unary(Unary::Ceil, ratio));
    graph.select(is_negative, ceil, floor)
}
