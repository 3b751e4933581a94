//! Evaluation of an expression with plain double arithmetic: for constant formulas and tests.

use super::{Expr, Function};

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EvalError {
    /// A symbol that the lookup does not know.
    #[error("unknown symbol `{0}`")]
    UnknownSymbol(String),
    /// An operator or function with more or fewer arguments than it takes.
    #[error("{function:?} takes {expected}, not {found}")]
    ArgumentCount {
        function: Function,
        /// In words, for instance "2 arguments".
        expected: &'static str,
        found: usize,
    },
    /// A rate of change is known to a simulation only.
    #[error("rateOf(`{0}`) has no value outside a simulation")]
    RateOf(String),
}

/// The value of `expr` where `lookup` gives the symbols' values, at model time `time`.
///
/// Logical values are numbers: true is 1, false is 0, and any non-zero number counts as true.
/// ln 0 is -inf, relations chain (`a < b < c` is a < b and b < c), minimum and maximum of a NaN
/// are NaN, and a piecewise expression none of whose conditions holds is NaN without an
/// `otherwise`. Only the branch taken is evaluated.
///
/// # Errors
/// An unknown symbol, a wrong number of arguments, or a `rateOf`.
pub fn evaluate(
    expr: &Expr,
    lookup: &dyn Fn(&str) -> Option<f64>,
    time: f64,
) -> Result<f64, EvalError> {
    match expr {
        Expr::Number(value) => Ok(*value),
        Expr::Symbol(name) => lookup(name).ok_or_else(|| EvalError::UnknownSymbol(name.to_owned())),
        Expr::Time => Ok(time),
        Expr::RateOf(name) => Err(EvalError::RateOf(name.to_owned())),
        Expr::Call(function, arguments) => {
            let values = arguments
                .iter()
                .map(|argument| evaluate(argument, lookup, time))
                .collect::<Result<Vec<_>, _>>()?;
            apply(*function, &values)
        }
        Expr::Piecewise { pieces, otherwise } => {
            for piece in pieces {
                if evaluate(&piece.condition, lookup, time)? != 0.0 {
                    return evaluate(&piece.value, lookup, time);
                }
            }
            otherwise.as_ref().map_or(Ok(f64::NAN), |value| evaluate(value, lookup, time))
        }
    }
}

/// A function's value at given arguments.
fn apply(function: Function, arguments: &[f64]) -> Result<f64, EvalError> {
    use Function as F;
    let wrong = |expected| EvalError::ArgumentCount { function, expected, found: arguments.len() };
    match function {
        F::Add => Ok(arguments.iter().fold(0.0, |sum, x| sum + x)),
        F::Mul => Ok(arguments.iter().fold(1.0, |product, x| product * x)),
        F::Min => extremum(arguments, f64::min).ok_or_else(|| wrong("at least 1 argument")),
        F::Max => extremum(arguments, f64::max).ok_or_else(|| wrong("at least 1 argument")),
        F::And => Ok(number(arguments.iter().all(|x| *x != 0.0))),
        F::Or => Ok(number(arguments.iter().any(|x| *x != 0.0))),
        F::Xor => Ok(number(arguments.iter().filter(|x| **x != 0.0).count() % 2 == 1)),
        F::Lt | F::Le | F::Gt | F::Ge | F::Eq | F::Ne => {
            if arguments.len() < 2 {
                return Err(wrong("at least 2 arguments"));
            }
            Ok(number(arguments.windows(2).all(|pair| holds(function, pair[0], pair[1]))))
        }
        F::Sub | F::Div | F::Pow | F::Root | F::Log | F::Quotient | F::Rem | F::Implies => {
            match arguments {
                [a, b] => Ok(binary(function, *a, *b)),
                _ => Err(wrong("2 arguments")),
            }
        }
        _ => match arguments {
            [x] => Ok(unary(function, *x)),
            _ => Err(wrong("1 argument")),
        },
    }
}

fn number(truth: bool) -> f64 {
    f64::from(u8::from(truth))
}

/// Folds with `pick`, but lets a NaN through (`f64::min` and `max` drop it).
fn extremum(arguments: &[f64], pick: fn(f64, f64) -> f64) -> Option<f64> {
    let keep_nan = |a: f64, b: f64| if a.is_nan() || b.is_nan() { f64::NAN } else { pick(a, b) };
    arguments.iter().copied().reduce(keep_nan)
}

fn holds(relation: Function, a: f64, b: f64) -> bool {
    match relation {
        Function::Lt => a < b,
        Function::Le => a <= b,
        Function::Gt => a > b,
        Function::Ge => a >= b,
        Function::Eq => a == b,
        _ => a != b,
    }
}

fn binary(function: Function, a: f64, b: f64) -> f64 {
    match function {
        Function::Sub => a - b,
        Function::Div => a / b,
        Function::Pow => a.powf(b),
        Function::Root => root(a, b),
        Function::Log if a == 10.0 => b.log10(),
        Function::Log if a == 2.0 => b.log2(),
        Function::Log => b.ln() / a.ln(),
        Function::Quotient => (a / b).trunc(),
        Function::Rem => a % b,
        _ => number(a == 0.0 || b != 0.0),
    }
}

/// The real root; negative radicands have one where the degree is an odd integer.
fn root(degree: f64, radicand: f64) -> f64 {
    if degree == 2.0 {
        radicand.sqrt()
    } else if degree == 3.0 {
        radicand.cbrt()
    } else if radicand < 0.0 && (degree % 2.0).abs() == 1.0 {
        -(-radicand).powf(degree.recip())
    } else {
        radicand.powf(degree.recip())
    }
}

fn unary(function: Function, x: f64) -> f64 {
    use Function as F;
    match function {
        F::Neg => -x,
        F::Sqrt => x.sqrt(),
        F::Exp => x.exp(),
        F::Ln => x.ln(),
        F::Log2 => x.log2(),
        F::Log10 => x.log10(),
        F::Abs => x.abs(),
        F::Sign if x == 0.0 => 0.0,
        F::Sign => x.signum(),
        F::Floor => x.floor(),
        F::Ceil => x.ceil(),
        F::Factorial => factorial(x),
        F::Sin => x.sin(),
        F::Cos => x.cos(),
        F::Tan => x.tan(),
        F::Sec => x.cos().recip(),
        F::Csc => x.sin().recip(),
        F::Cot => x.tan().recip(),
        F::Asin => x.asin(),
        F::Acos => x.acos(),
        F::Atan => x.atan(),
        F::Asec => x.recip().acos(),
        F::Acsc => x.recip().asin(),
        F::Acot => x.recip().atan(),
        F::Sinh => x.sinh(),
        F::Cosh => x.cosh(),
        F::Tanh => x.tanh(),
        F::Sech => x.cosh().recip(),
        F::Csch => x.sinh().recip(),
        F::Coth => x.tanh().recip(),
        F::Asinh => x.asinh(),
        F::Acosh => x.acosh(),
        F::Atanh => x.atanh(),
        F::Asech => x.recip().acosh(),
        F::Acsch => x.recip().asinh(),
        F::Acoth => x.recip().atanh(),
        F::Not => number(x == 0.0),
        // `apply` hands on functions of one argument only.
        _ => f64::NAN,
    }
}

/// x! of a non-negative integer; NaN elsewhere, infinite from 171! on.
fn factorial(x: f64) -> f64 {
    if x < 0.0 || x.fract() != 0.0 {
        f64::NAN
    } else if x > 170.0 {
        f64::INFINITY
    } else {
        (1..=x as u32).fold(1.0, |product, k| product * f64::from(k))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Piece;

    fn call(function: Function, arguments: &[f64]) -> Result<f64, EvalError> {
        let arguments = arguments.iter().map(|x| Expr::Number(*x)).collect();
        evaluate(&Expr::Call(function, arguments), &|_| None, 0.0)
    }

    #[test]
    fn values_of_operators_and_functions() {
        use Function as F;
        let cases: &[(Function, &[f64], f64)] = &[
            (F::Add, &[], 0.0),
            (F::Add, &[1.0, 2.0, 3.0], 6.0),
            (F::Mul, &[], 1.0),
            (F::Mul, &[2.0, 3.0, 4.0], 24.0),
            (F::Sub, &[1.0, 3.0], -2.0),
            (F::Div, &[1.0, 0.0], f64::INFINITY),
            (F::Pow, &[2.0, 10.0], 1024.0),
            (F::Root, &[2.0, 16.0], 4.0),
            (F::Root, &[3.0, -27.0], -3.0),
            (F::Root, &[5.0, -32.0], -2.0),
            (F::Ln, &[0.0], f64::NEG_INFINITY),
            (F::Log, &[10.0, 1000.0], 3.0),
            (F::Log, &[2.0, 8.0], 3.0),
            (F::Sign, &[-0.5], -1.0),
            (F::Sign, &[-0.0], 0.0),
            (F::Min, &[3.0, 1.0, 2.0], 1.0),
            (F::Max, &[3.0, 1.0, 2.0], 3.0),
            (F::Factorial, &[5.0], 120.0),
            (F::Factorial, &[0.0], 1.0),
            (F::Factorial, &[171.0], f64::INFINITY),
            (F::Quotient, &[-7.0, 2.0], -3.0),
            (F::Rem, &[-7.0, 2.0], -1.0),
            (F::Lt, &[1.0, 2.0, 3.0], 1.0),
            (F::Lt, &[1.0, 3.0, 2.0], 0.0),
            (F::Eq, &[2.0, 2.0, 2.0], 1.0),
            (F::Ne, &[2.0, 2.0], 0.0),
            (F::And, &[], 1.0),
            (F::And, &[1.0, -0.1], 1.0),
            (F::Or, &[], 0.0),
            (F::Xor, &[1.0, 1.0, 1.0], 1.0),
            (F::Not, &[2.0], 0.0),
            (F::Implies, &[1.0, 0.0], 0.0),
            (F::Implies, &[0.0, 0.0], 1.0),
            (F::Acoth, &[1.0], f64::INFINITY),
            (F::Asec, &[1.0], 0.0),
        ];
        for (function, arguments, expected) in cases {
            assert_eq!(call(*function, arguments), Ok(*expected), "{function:?} {arguments:?}");
        }
        for arguments in [[f64::NAN, 1.0], [1.0, f64::NAN]] {
            assert!(call(F::Min, &arguments).unwrap().is_nan());
            assert!(call(F::Max, &arguments).unwrap().is_nan());
        }
        assert!(call(F::Factorial, &[0.5]).unwrap().is_nan());
    }

    #[test]
    fn time_symbols_and_pieces() {
        let one_when = |condition| Expr::Piecewise {
            pieces: vec![Piece { value: Expr::Number(1.0), condition }],
            otherwise: None,
        };
        let at = |expr: &Expr| evaluate(expr, &|id| (id == "a").then_some(2.0), 5.0);
        assert_eq!(at(&Expr::Time), Ok(5.0));
        assert_eq!(at(&Expr::symbol("a")), Ok(2.0));
        assert_eq!(at(&one_when(Expr::symbol("a"))), Ok(1.0));
        assert!(at(&one_when(Expr::Number(0.0))).unwrap().is_nan());
    }

    #[test]
    fn errors_name_the_culprit() {
        let message = |result: Result<f64, EvalError>| result.unwrap_err().to_string();
        let of = |expr: Expr| evaluate(&expr, &|_| None, 0.0);
        assert_eq!(message(of(Expr::symbol("b"))), "unknown symbol `b`");
        assert_eq!(
            message(of(Expr::RateOf("S".into()))),
            "rateOf(`S`) has no value outside a simulation"
        );
        assert_eq!(message(call(Function::Sub, &[1.0])), "Sub takes 2 arguments, not 1");
        assert_eq!(message(call(Function::Sin, &[])), "Sin takes 1 argument, not 0");
        assert_eq!(message(call(Function::Max, &[])), "Max takes at least 1 argument, not 0");
        assert_eq!(message(call(Function::Lt, &[1.0])), "Lt takes at least 2 arguments, not 1");
    }
}
