//! The operators and constants of SBML's subset of MathML (section 3.4).

use crate::math::Function;

/// How many arguments an operator takes.
#[derive(Clone, Copy)]
pub(super) enum Arity {
    Any,
    One,
    OneOrTwo,
    Two,
    AtLeastOne,
    AtLeastTwo,
}

impl Arity {
    pub(super) fn holds(self, found: usize) -> bool {
        match self {
            Self::Any => true,
            Self::One => found == 1,
            Self::OneOrTwo => found == 1 || found == 2,
            Self::Two => found == 2,
            Self::AtLeastOne => found >= 1,
            Self::AtLeastTwo => found >= 2,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Any => "any number of arguments",
            Self::One => "one argument",
            Self::OneOrTwo => "one or two arguments",
            Self::Two => "two arguments",
            Self::AtLeastOne => "at least one argument",
            Self::AtLeastTwo => "at least two arguments",
        }
    }
}

/// The constants of MathML; logical values are numbers in [`Expr`](crate::math::Expr).
pub(super) fn constant(name: &str) -> Option<f64> {
    Some(match name {
        "pi" => std::f64::consts::PI,
        "exponentiale" => std::f64::consts::E,
        "true" => 1.0,
        "false" => 0.0,
        "infinity" => f64::INFINITY,
        "notanumber" => f64::NAN,
        _ => return None,
    })
}

/// The operators whose meaning does not depend on qualifiers or on the number of arguments.
pub(super) fn operator(name: &str) -> Option<(Function, Arity)> {
    use Function as F;
    let (function, arity) = match name {
        "plus" => (F::Add, Arity::Any),
        "times" => (F::Mul, Arity::Any),
        "divide" => (F::Div, Arity::Two),
        "power" => (F::Pow, Arity::Two),
        "quotient" => (F::Quotient, Arity::Two),
        "rem" => (F::Rem, Arity::Two),
        "min" => (F::Min, Arity::AtLeastOne),
        "max" => (F::Max, Arity::AtLeastOne),
        "lt" => (F::Lt, Arity::AtLeastTwo),
        "leq" => (F::Le, Arity::AtLeastTwo),
        "gt" => (F::Gt, Arity::AtLeastTwo),
        "geq" => (F::Ge, Arity::AtLeastTwo),
        "eq" => (F::Eq, Arity::AtLeastTwo),
        "neq" => (F::Ne, Arity::Two),
        "and" => (F::And, Arity::Any),
        "or" => (F::Or, Arity::Any),
        "xor" => (F::Xor, Arity::Any),
        "implies" => (F::Implies, Arity::Two),
        unary => (unary_function(unary)?, Arity::One),
    };
    Some((function, arity))
}

fn unary_function(name: &str) -> Option<Function> {
    use Function as F;
    Some(match name {
        "not" => F::Not,
        "abs" => F::Abs,
        "exp" => F::Exp,
        "ln" => F::Ln,
        "floor" => F::Floor,
        "ceiling" => F::Ceil,
        "factorial" => F::Factorial,
        "sin" => F::Sin,
        "cos" => F::Cos,
        "tan" => F::Tan,
        "sec" => F::Sec,
        "csc" => F::Csc,
        "cot" => F::Cot,
        "sinh" => F::Sinh,
        "cosh" => F::Cosh,
        "tanh" => F::Tanh,
        "sech" => F::Sech,
        "csch" => F::Csch,
        "coth" => F::Coth,
        "arcsin" => F::Asin,
        "arccos" => F::Acos,
        "arctan" => F::Atan,
        "arcsec" => F::Asec,
        "arccsc" => F::Acsc,
        "arccot" => F::Acot,
        "arcsinh" => F::Asinh,
        "arccosh" => F::Acosh,
        "arctanh" => F::Atanh,
        "arcsech" => F::Asech,
        "arccsch" => F::Acsch,
        "arccoth" => F::Acoth,
        _ => return None,
    })
}
