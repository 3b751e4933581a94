//! Forward differentiation of expressions with sparse directions.
//!
//! One rule set serves the symbolic Jacobian (directions are the states) and the tangents of whole
//! step programs (directions are parameters): a derivative is again an expression of the graph.

use super::{Binary, Graph, Input, Node, NodeId, Ternary, Unary};

/// The directional derivatives of one expression that are not identically zero: (direction,
/// derivative), ascending by direction.
pub type SparseTangent = Vec<(u32, NodeId)>;

/// Derivatives of `roots` in the directions that `seed` gives to the inputs.
///
/// `seed(graph, input)` is the input's own tangent. The cost is proportional to the number of
/// nodes times the number of directions that really reach each.
pub fn differentiate(
    graph: &mut Graph,
    roots: &[NodeId],
    mut seed: impl FnMut(&mut Graph, Input) -> SparseTangent,
) -> Vec<SparseTangent> {
    let order = graph.reachable(roots);
    let mut tangents: Vec<SparseTangent> =
        vec![Vec::new(); order.last().map_or(0, |n| n.position() + 1)];
    for id in order {
        let tangent = match graph.node(id) {
            Node::Constant(_) => Vec::new(),
            Node::Input(input) => seed(graph, input),
            Node::Unary(op, a) => {
                let da = &tangents[a.position()];
                if da.is_empty() { Vec::new() } else { unary_tangent(graph, op, id, a, da) }
            }
            Node::Binary(op, a, b) => {
                let (da, db) = (&tangents[a.position()], &tangents[b.position()]);
                if da.is_empty() && db.is_empty() {
                    Vec::new()
                } else {
                    binary_tangent(graph, op, id, (a, da), (b, db))
                }
            }
            Node::Ternary(op, a, b, c) => {
                let [da, db, dc] = [a, b, c].map(|n| &tangents[n.position()]);
                if da.is_empty() && db.is_empty() && dc.is_empty() {
                    Vec::new()
                } else {
                    ternary_tangent(graph, op, (a, da), (b, db), dc)
                }
            }
        };
        tangents[id.position()] = tangent;
    }
    roots.iter().map(|root| tangents[root.position()].clone()).collect()
}

/// Merges two sparse tangents; `join` gets the derivatives in a direction (none: zero).
fn merge(
    graph: &mut Graph,
    da: &SparseTangent,
    db: &SparseTangent,
    mut join: impl FnMut(&mut Graph, Option<NodeId>, Option<NodeId>) -> NodeId,
) -> SparseTangent {
    let mut merged = Vec::with_capacity(da.len() + db.len());
    let (mut i, mut j) = (0, 0);
    while i < da.len() || j < db.len() {
        let direction = match (da.get(i), db.get(j)) {
            (Some(a), Some(b)) => a.0.min(b.0),
            (Some(a), None) => a.0,
            (None, Some(b)) => b.0,
            (None, None) => break,
        };
        let in_a = da.get(i).filter(|a| a.0 == direction).map(|a| a.1);
        let in_b = db.get(j).filter(|b| b.0 == direction).map(|b| b.1);
        i += usize::from(in_a.is_some());
        j += usize::from(in_b.is_some());
        let value = join(graph, in_a, in_b);
        if graph.constant_value(value) != Some(0.0) {
            merged.push((direction, value));
        }
    }
    merged
}

/// Every component times one factor.
fn scale(graph: &mut Graph, tangent: &SparseTangent, factor: NodeId) -> SparseTangent {
    let mut scaled = Vec::with_capacity(tangent.len());
    for &(direction, value) in tangent {
        let product = graph.mul(factor, value);
        if graph.constant_value(product) != Some(0.0) {
            scaled.push((direction, product));
        }
    }
    scaled
}

fn unary_tangent(
    graph: &mut Graph,
    op: Unary,
    value: NodeId,
    a: NodeId,
    da: &SparseTangent,
) -> SparseTangent {
    if op == Unary::Neg {
        return da.iter().map(|&(k, d)| (k, graph.neg(d))).collect();
    }
    match unary_slope(graph, op, value, a) {
        Some(slope) => scale(graph, da, slope),
        None => Vec::new(),
    }
}

/// The derivative of an operation on `a` whose result is `value`; none where it is 0 everywhere.
pub(super) fn unary_slope(
    graph: &mut Graph,
    op: Unary,
    value: NodeId,
    a: NodeId,
) -> Option<NodeId> {
    let one = graph.constant(1.0);
    Some(match op {
        Unary::Neg => graph.constant(-1.0),
        // Piecewise constant: their jumps are breakpoints, not derivatives.
        Unary::Floor | Unary::Ceil | Unary::Sign => return None,
        Unary::Abs => graph.unary(Unary::Sign, a),
        Unary::Sqrt => {
            let half = graph.constant(0.5);
            graph.div(half, value)
        }
        Unary::Exp => value,
        Unary::Log => graph.div(one, a),
        Unary::Log10 => {
            let ln10 = graph.constant(std::f64::consts::LN_10);
            let scaled = graph.mul(ln10, a);
            graph.div(one, scaled)
        }
        Unary::Sin => graph.unary(Unary::Cos, a),
        Unary::Cos => {
            let sine = graph.unary(Unary::Sin, a);
            graph.neg(sine)
        }
        Unary::Tan => {
            let square = graph.mul(value, value);
            graph.add(one, square)
        }
        Unary::Asin | Unary::Acos => {
            let root = one_minus_square_root(graph, a);
            let reciprocal = graph.div(one, root);
            if op == Unary::Asin { reciprocal } else { graph.neg(reciprocal) }
        }
        Unary::Atan => {
            let square = graph.mul(a, a);
            let denominator = graph.add(one, square);
            graph.div(one, denominator)
        }
        Unary::Sinh => graph.unary(Unary::Cosh, a),
        Unary::Cosh => graph.unary(Unary::Sinh, a),
        Unary::Tanh => {
            let square = graph.mul(value, value);
            graph.sub(one, square)
        }
        Unary::Asinh => {
            let square = graph.mul(a, a);
            let radicand = graph.add(square, one);
            let root = graph.unary(Unary::Sqrt, radicand);
            graph.div(one, root)
        }
        Unary::Acosh => {
            // (a − 1)(a + 1) keeps its digits near a = 1, a² − 1 does not.
            let minus = graph.sub(a, one);
            let plus = graph.add(a, one);
            let radicand = graph.mul(minus, plus);
            let root = graph.unary(Unary::Sqrt, radicand);
            graph.div(one, root)
        }
        Unary::Atanh => {
            let minus = graph.sub(one, a);
            let plus = graph.add(one, a);
            let denominator = graph.mul(minus, plus);
            graph.div(one, denominator)
        }
    })
}

/// √(1 − a²), without cancellation near |a| = 1.
fn one_minus_square_root(graph: &mut Graph, a: NodeId) -> NodeId {
    let one = graph.constant(1.0);
    let minus = graph.sub(one, a);
    let plus = graph.add(one, a);
    let radicand = graph.mul(minus, plus);
    graph.unary(Unary::Sqrt, radicand)
}

fn binary_tangent(
    graph: &mut Graph,
    op: Binary,
    value: NodeId,
    (a, da): (NodeId, &SparseTangent),
    (b, db): (NodeId, &SparseTangent),
) -> SparseTangent {
    match op {
        Binary::Add => merge(graph, da, db, |g, x, y| match (x, y) {
            (Some(x), Some(y)) => g.add(x, y),
            (x, y) => x.or(y).expect("one is there"),
        }),
        Binary::Sub => merge(graph, da, db, |g, x, y| match (x, y) {
            (Some(x), Some(y)) => g.sub(x, y),
            (Some(x), None) => x,
            (None, y) => g.neg(y.expect("one is there")),
        }),
        Binary::Mul => merge(graph, da, db, |g, x, y| match (x, y) {
            (Some(x), Some(y)) => {
                let inner = g.mul(a, y);
                g.ternary(Ternary::MulAdd, b, x, inner)
            }
            (Some(x), None) => g.mul(b, x),
            (None, y) => g.mul(a, y.expect("one is there")),
        }),
        Binary::Div => {
            // (a' − (a/b)·b')/b
            let one = graph.constant(1.0);
            let reciprocal = graph.div(one, b);
            merge(graph, da, db, |g, x, y| match (x, y) {
                (Some(x), Some(y)) => {
                    let numerator = g.ternary(Ternary::NegMulAdd, value, y, x);
                    g.mul(numerator, reciprocal)
                }
                (Some(x), None) => g.mul(x, reciprocal),
                (None, y) => {
                    let product = g.mul(value, y.expect("one is there"));
                    let scaled = g.mul(product, reciprocal);
                    g.neg(scaled)
                }
            })
        }
        Binary::Pow => pow_tangent(graph, value, (a, da), (b, db)),
        Binary::Min | Binary::Max => {
            let first = if op == Binary::Min {
                graph.binary(Binary::Le, a, b)
            } else {
                graph.binary(Binary::Le, b, a)
            };
            let zero = graph.constant(0.0);
            merge(graph, da, db, |g, x, y| g.select(first, x.unwrap_or(zero), y.unwrap_or(zero)))
        }
        Binary::Lt | Binary::Le | Binary::Eq => Vec::new(),
        Binary::LogLacks => unreachable!("no formula has it"),
    }
}

/// d(a^b) = b·a^(b−1)·a' + a^b·ln(a)·b'.
///
/// The second term is 0 at a = 0, its limit for b > 0, and below, where only whole b are defined.
/// In the first an exact zero wins over 0^negative: a constant power (b = 0) and a base that does
/// not move (a' = 0) have derivative 0, as at the start of x^n from x = 0 with n < 2.
fn pow_tangent(
    graph: &mut Graph,
    value: NodeId,
    (a, da): (NodeId, &SparseTangent),
    (b, db): (NodeId, &SparseTangent),
) -> SparseTangent {
    let zero = graph.constant(0.0);
    let in_base = if da.is_empty() { zero } else { pow_slope_in_base(graph, a, b) };
    let in_exponent = if db.is_empty() { zero } else { pow_slope_in_exponent(graph, value, a) };
    merge(graph, da, db, |g, x, y| match (x, y) {
        (Some(x), Some(y)) => {
            let first = product_with_strong_zero(g, x, in_base);
            g.ternary(Ternary::MulAdd, in_exponent, y, first)
        }
        (Some(x), None) => product_with_strong_zero(g, x, in_base),
        (None, y) => g.mul(in_exponent, y.expect("one is there")),
    })
}

/// b·a^(b−1), 0 for b = 0.
pub(super) fn pow_slope_in_base(graph: &mut Graph, a: NodeId, b: NodeId) -> NodeId {
    let one = graph.constant(1.0);
    let exponent = graph.sub(b, one);
    let power = graph.pow(a, exponent);
    product_with_strong_zero(graph, b, power)
}

/// a^b·ln(a), 0 for a ≤ 0.
pub(super) fn pow_slope_in_exponent(graph: &mut Graph, value: NodeId, a: NodeId) -> NodeId {
    let zero = graph.constant(0.0);
    let logarithm = graph.unary(Unary::Log, a);
    let product = graph.mul(value, logarithm);
    let not_positive = graph.binary(Binary::Le, a, zero);
    graph.select(not_positive, zero, product)
}

/// a·b, but 0 where a is 0 even if b is infinite; a plain product where a is a constant.
fn product_with_strong_zero(graph: &mut Graph, a: NodeId, b: NodeId) -> NodeId {
    let product = graph.mul(a, b);
    if graph.constant_value(a).is_some() || graph.constant_value(b).is_some() {
        return product;
    }
    let zero = graph.constant(0.0);
    let is_zero = graph.binary(Binary::Eq, a, zero);
    graph.select(is_zero, zero, product)
}

fn ternary_tangent(
    graph: &mut Graph,
    op: Ternary,
    (a, da): (NodeId, &SparseTangent),
    (b, db): (NodeId, &SparseTangent),
    dc: &SparseTangent,
) -> SparseTangent {
    if op == Ternary::Select {
        let zero = graph.constant(0.0);
        return merge(graph, db, dc, |g, x, y| g.select(a, x.unwrap_or(zero), y.unwrap_or(zero)));
    }
    // The inner sum first, then the outer product on top of it: two fused operations.
    let zero = graph.constant(0.0);
    let inner = merge(graph, db, dc, |g, y, z| match (op, y, z) {
        (_, None, None) => zero,
        (Ternary::MulAdd, Some(y), Some(z)) => g.ternary(Ternary::MulAdd, a, y, z),
        (Ternary::MulAdd, None, Some(z)) => z,
        (Ternary::MulSub, Some(y), Some(z)) => g.ternary(Ternary::MulSub, a, y, z),
        (Ternary::MulSub, None, Some(z)) => g.neg(z),
        (Ternary::NegMulAdd, Some(y), Some(z)) => g.ternary(Ternary::NegMulAdd, a, y, z),
        (Ternary::NegMulAdd, None, Some(z)) => z,
        (Ternary::NegMulAdd, Some(y), None) => {
            let product = g.mul(a, y);
            g.neg(product)
        }
        (_, Some(y), None) => g.mul(a, y),
        (Ternary::Select, _, _) => unreachable!("handled above"),
    });
    merge(graph, da, &inner, |g, x, rest| match (op, x, rest) {
        (_, None, Some(rest)) => rest,
        (Ternary::NegMulAdd, Some(x), Some(rest)) => g.ternary(Ternary::NegMulAdd, b, x, rest),
        (Ternary::NegMulAdd, Some(x), None) => {
            let product = g.mul(b, x);
            g.neg(product)
        }
        (_, Some(x), Some(rest)) => g.ternary(Ternary::MulAdd, b, x, rest),
        (_, Some(x), None) => g.mul(b, x),
        (_, None, None) => zero,
    })
}
