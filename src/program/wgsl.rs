//! Printing a program as the body of a WGSL function.
//!
//! Only numbers and generated names reach the text; no string of a model does.

use super::{Op, Program, ValueId};
use crate::graph::{Binary, Ternary, Unary};
use std::fmt::Write;

/// The operations as `let` statements, one a line. `input(i)` is the text of input i, e.g. `x3`.
///
/// Value v of an operation is named `v<number>`; [`operand`] gives the text of any value.
pub fn print_body(program: &Program, input: &impl Fn(usize) -> String) -> String {
    let mut text = String::with_capacity(program.ops().len() * 32);
    for (index, op) in program.ops().iter().enumerate() {
        let text_of = |v: ValueId| operand(program, v, input);
        let right = match *op {
            Op::Unary(op, a) => unary(op, &text_of(a)),
            Op::Binary(op, a, b) => binary(op, &text_of(a), &text_of(b)),
            Op::Ternary(op, a, b, c) => ternary(op, &text_of(a), &text_of(b), &text_of(c)),
        };
        let _ = writeln!(text, "    let v{} = {right};", program.first_op() + index);
    }
    text
}

/// The text that stands for a value in the body.
pub fn operand(program: &Program, value: ValueId, input: &impl Fn(usize) -> String) -> String {
    let position = value.position();
    if position < program.inputs().len() {
        input(position)
    } else if position < program.first_op() {
        literal(program.constants()[position - program.inputs().len()])
    } else {
        format!("v{position}")
    }
}

/// A double as a WGSL expression. WGSL has no literal for infinities and NaN; the shader library
/// has functions for them.
pub fn literal(value: f64) -> String {
    if value.is_nan() {
        "f64_nan()".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "f64_inf()".to_owned() } else { "(-f64_inf())".to_owned() }
    } else if value < 0.0 {
        format!("(-{:e}lf)", -value)
    } else {
        format!("{value:e}lf")
    }
}

fn unary(op: Unary, a: &str) -> String {
    let function = match op {
        Unary::Neg => return format!("-{a}"),
        Unary::Abs => "abs",
        Unary::Floor => "floor",
        Unary::Ceil => "ceil",
        Unary::Sqrt => "sqrt",
        Unary::Sign => "f64_sign",
        Unary::Exp => "f64_exp",
        Unary::Log => "f64_log",
        Unary::Log10 => "f64_log10",
        Unary::Sin => "f64_sin",
        Unary::Cos => "f64_cos",
        Unary::Tan => "f64_tan",
        Unary::Asin => "f64_asin",
        Unary::Acos => "f64_acos",
        Unary::Atan => "f64_atan",
        Unary::Sinh => "f64_sinh",
        Unary::Cosh => "f64_cosh",
        Unary::Tanh => "f64_tanh",
        Unary::Asinh => "f64_asinh",
        Unary::Acosh => "f64_acosh",
        Unary::Atanh => "f64_atanh",
    };
    format!("{function}({a})")
}

fn binary(op: Binary, a: &str, b: &str) -> String {
    match op {
        Binary::Add => format!("{a} + {b}"),
        Binary::Sub => format!("{a} - {b}"),
        Binary::Mul => format!("{a} * {b}"),
        Binary::Div => format!("{a} / {b}"),
        Binary::Pow => format!("f64_pow({a}, {b})"),
        Binary::Min => format!("select({a}, {b}, {b} < {a})"),
        Binary::Max => format!("select({a}, {b}, {a} < {b})"),
        Binary::Lt => format!("select(0.0lf, 1.0lf, {a} < {b})"),
        Binary::Le => format!("select(0.0lf, 1.0lf, {a} <= {b})"),
        Binary::Eq => format!("select(0.0lf, 1.0lf, {a} == {b})"),
        Binary::LogLacks => unreachable!("compensated programs are for the CPU engine"),
    }
}

fn ternary(op: Ternary, a: &str, b: &str, c: &str) -> String {
    match op {
        Ternary::MulAdd => format!("fma({a}, {b}, {c})"),
        Ternary::MulSub => format!("fma({a}, {b}, -{c})"),
        Ternary::NegMulAdd => format!("fma(-{a}, {b}, {c})"),
        Ternary::Select => format!("select({c}, {b}, {a} != 0.0lf)"),
    }
}
