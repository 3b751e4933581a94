//! Multi-precision values, the oracle.

use crate::expression::Expr;
use astro_float::{BigFloat, Consts, RoundingMode, Sign};
use gradsweep::graph::{Binary, Input, Ternary, Unary};

/// Bits of the reference and the exponent of its difference step.
const BITS: usize = 320;
pub const STEP_EXPONENT: i32 = -80;

/// Multi-precision evaluation; no derivative rule in it.
pub struct Exact {
    constants: Consts,
}

pub const ROUND: RoundingMode = RoundingMode::ToEven;

impl Exact {
    pub fn new() -> Self {
        Self { constants: Consts::new().expect("memory for the constants") }
    }

    pub fn of(x: f64) -> BigFloat {
        BigFloat::from_f64(x, BITS)
    }

    pub fn power_of_two(exponent: i32) -> BigFloat {
        Self::of(2f64.powi(exponent))
    }

    pub fn to_f64(x: &BigFloat) -> f64 {
        if x.is_zero() {
            return 0.0;
        }
        let (words, _, sign, exponent, _) = x.as_raw_parts().expect("a finite number");
        // Words of 64 bits, the most significant last; the number is 0.words · 2^exponent.
        let mut mantissa = 0.0;
        for &word in &words[words.len() - 3..] {
            mantissa = mantissa * 2f64.powi(-64) + word as f64;
        }
        let size = mantissa * 2f64.powi(-64) * 2f64.powi(exponent);
        if sign == Sign::Neg { -size } else { size }
    }

    pub fn add(&mut self, a: &BigFloat, b: &BigFloat) -> BigFloat {
        a.add(b, BITS, ROUND)
    }

    pub fn sub(&mut self, a: &BigFloat, b: &BigFloat) -> BigFloat {
        a.sub(b, BITS, ROUND)
    }

    pub fn mul(&mut self, a: &BigFloat, b: &BigFloat) -> BigFloat {
        a.mul(b, BITS, ROUND)
    }

    pub fn evaluate(&mut self, list: &[Expr], inputs: &[Input], at: &[BigFloat]) -> Vec<BigFloat> {
        let mut values: Vec<BigFloat> = Vec::with_capacity(list.len());
        for expr in list {
            let value = match *expr {
                Expr::Constant(c) => Self::of(c),
                Expr::Input(input) => {
                    let place = inputs.iter().position(|i| *i == input).expect("a listed input");
                    at[place].clone()
                }
                Expr::Unary(op, a) => self.unary(op, &values[a].clone()),
                Expr::Binary(op, a, b) => self.binary(op, &values[a].clone(), &values[b].clone()),
                Expr::Ternary(op, a, b, c) => {
                    if op == Ternary::Select {
                        values[if values[a].is_zero() { c } else { b }].clone()
                    } else {
                        let product = values[a].mul(&values[b], BITS, ROUND);
                        match op {
                            Ternary::MulAdd => product.add(&values[c], BITS, ROUND),
                            Ternary::MulSub => product.sub(&values[c], BITS, ROUND),
                            _ => values[c].sub(&product, BITS, ROUND),
                        }
                    }
                }
            };
            values.push(value);
        }
        values
    }

    pub fn unary(&mut self, op: Unary, a: &BigFloat) -> BigFloat {
        let cc = &mut self.constants;
        match op {
            Unary::Neg => a.neg(),
            Unary::Abs => a.abs(),
            Unary::Sign if a.is_zero() => Self::of(0.0),
            Unary::Sign => Self::of(if a.is_negative() { -1.0 } else { 1.0 }),
            Unary::Floor => a.floor(),
            Unary::Ceil => a.ceil(),
            Unary::Sqrt => a.sqrt(BITS, ROUND),
            Unary::Exp => a.exp(BITS, ROUND, cc),
            Unary::Log => a.ln(BITS, ROUND, cc),
            Unary::Log10 => a.log10(BITS, ROUND, cc),
            Unary::Sin => a.sin(BITS, ROUND, cc),
            Unary::Cos => a.cos(BITS, ROUND, cc),
            Unary::Tan => a.tan(BITS, ROUND, cc),
            Unary::Asin => a.asin(BITS, ROUND, cc),
            Unary::Acos => a.acos(BITS, ROUND, cc),
            Unary::Atan => a.atan(BITS, ROUND, cc),
            Unary::Sinh => a.sinh(BITS, ROUND, cc),
            Unary::Cosh => a.cosh(BITS, ROUND, cc),
            Unary::Tanh => a.tanh(BITS, ROUND, cc),
            Unary::Asinh => a.asinh(BITS, ROUND, cc),
            Unary::Acosh => a.acosh(BITS, ROUND, cc),
            Unary::Atanh => a.atanh(BITS, ROUND, cc),
        }
    }

    pub fn binary(&mut self, op: Binary, a: &BigFloat, b: &BigFloat) -> BigFloat {
        let truth = |holds: bool| Self::of(f64::from(u8::from(holds)));
        match op {
            Binary::Add => a.add(b, BITS, ROUND),
            Binary::Sub => a.sub(b, BITS, ROUND),
            Binary::Mul => a.mul(b, BITS, ROUND),
            Binary::Div => a.div(b, BITS, ROUND),
            Binary::Pow => self.pow(a, b),
            Binary::Min => {
                if b < a {
                    b.clone()
                } else {
                    a.clone()
                }
            }
            Binary::Max => {
                if a < b {
                    b.clone()
                } else {
                    a.clone()
                }
            }
            Binary::Lt => truth(a < b),
            Binary::Le => truth(a <= b),
            Binary::Eq => truth(a == b),
            Binary::LogLacks => a.ln(BITS, ROUND, &mut self.constants).sub(b, BITS, ROUND),
        }
    }

    /// |a|^b by logarithm, with the sign of an odd whole exponent.
    pub fn pow(&mut self, a: &BigFloat, b: &BigFloat) -> BigFloat {
        let logarithm = a.abs().ln(BITS, ROUND, &mut self.constants);
        let size = logarithm.mul(b, BITS, ROUND).exp(BITS, ROUND, &mut self.constants);
        let exponent = Self::to_f64(b);
        if a.is_negative() && exponent % 2.0 != 0.0 { size.neg() } else { size }
    }
}
