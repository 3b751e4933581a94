//! Values with a bound of their rounding errors.

use crate::expression::Expr;
use gradsweep::graph::{Binary, Input, Ternary, Unary};

pub const EPS: f64 = f64::EPSILON;

/// A value and a bound of its error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounded {
    pub value: f64,
    pub error: f64,
}

/// Evaluates a list of operations with a running error bound for each.
pub fn evaluate_bounded(list: &[Expr], lookup: &dyn Fn(Input) -> f64) -> Vec<Bounded> {
    let mut results: Vec<Bounded> = Vec::with_capacity(list.len());
    for expr in list {
        let operands: Vec<Bounded> = expr.operands().iter().map(|&o| results[o]).collect();
        let x: Vec<f64> = operands.iter().map(|o| o.value).collect();
        let value = expr.apply(&x, lookup);
        let mut error = match *expr {
            Expr::Input(_) => 0.0,
            // Short constants are exact; others may be folded from a few.
            Expr::Constant(c) if (c * 1024.0).fract() == 0.0 && c.abs() <= 1024.0 => 0.0,
            Expr::Constant(c) => 16.0 * EPS * c.abs(),
            Expr::Unary(Unary::Neg | Unary::Abs | Unary::Sign, _)
            | Expr::Unary(Unary::Floor | Unary::Ceil, _)
            | Expr::Ternary(Ternary::Select, ..) => 0.0,
            Expr::Unary(Unary::Sqrt, _) => EPS * value.abs(),
            // Two functions of at most 2 ulp each: std's and gradsweep's.
            Expr::Unary(..) => 4.0 * EPS * value.abs(),
            // A power may be unrolled into at most 6 products and a quotient.
            Expr::Binary(Binary::Pow, ..) => 16.0 * EPS * value.abs(),
            Expr::Binary(..) => EPS * value.abs(),
            // The unfused form rounds its product as well.
            Expr::Ternary(..) => EPS * (value.abs() + (x[0] * x[1]).abs()),
        };
        for (k, operand) in operands.iter().enumerate() {
            if operand.error > 0.0 {
                // The slope from a difference wide enough to be seen in f64, both ways.
                let width = operand.error.max(operand.value.abs() * 2f64.powi(-22));
                let mut moved = x.clone();
                let mut largest = 0.0_f64;
                for side in [width, -width] {
                    moved[k] = operand.value + side;
                    largest = largest.max((expr.apply(&moved, lookup) - value).abs());
                }
                error += largest * (operand.error / width);
            }
        }
        results.push(Bounded { value, error: if error.is_nan() { f64::INFINITY } else { error } });
    }
    results
}
