//! Parser of PEtab math (PEtab v2, "Math expressions syntax"), used for v1 and v2 formulas.
//!
//! Precedence from high to low: calls and parentheses; `^` (right-associative, the exponent may
//! carry a sign); unary `+ - !`; `* /`; `+ -`; comparisons; `&&` and `||` (equal).
//! Sums, products and runs of one logical operator become flat n-ary calls, so their length is
//! not limited; all other nesting is, by [`MAX_DEPTH`].

use super::lexer::{Lexer, Token};
use crate::math::{Expr, Function, MAX_DEPTH, Piece};

/// Why a formula is not PEtab math. Columns are 1-based, in characters.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FormulaError {
    #[error("column {column}: found {found}; expected {expected}")]
    Unexpected {
        column: usize,
        /// The token in words.
        found: String,
        /// What would be accepted there.
        expected: &'static str,
    },
    #[error(
        "column {column}: `{found}` is not part of PEtab math; expected a number such as 0.5, \
         an identifier, or an operator (+ - * / ^ < <= > >= == != && || !)"
    )]
    UnknownCharacter { column: usize, found: char },
    #[error("column {column}: the number {number} is beyond the range of double precision")]
    Overflow { column: usize, number: String },
    #[error("column {column}: `nan` is not allowed in formulas")]
    NotANumber { column: usize },
    #[error("column {column}: unknown function `{name}`; PEtab math knows {known}")]
    UnknownFunction {
        column: usize,
        name: String,
        /// All function names.
        known: String,
    },
    #[error("column {column}: `{name}` takes {expected}, not {found}")]
    ArgumentCount { column: usize, name: String, expected: &'static str, found: usize },
    #[error("column {column}: nested more than {MAX_DEPTH} levels deep")]
    TooDeep { column: usize },
}

const OPERAND: &str = "a number, an identifier, a function call, `(`, or a sign";
const OPERATOR: &str = "an operator, or the end of the formula";

/// How tightly an operator binds.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Binding {
    Logical,
    Comparison,
    Sum,
    Product,
    Unary,
    Power,
}

/// Function names with what they take; `log`, `pow`, `piecewise` have special forms.
const FUNCTIONS: [(&str, Function); 35] = [
    ("exp", Function::Exp),
    ("sqrt", Function::Sqrt),
    ("ln", Function::Ln),
    ("log2", Function::Log2),
    ("log10", Function::Log10),
    ("abs", Function::Abs),
    ("sign", Function::Sign),
    ("sin", Function::Sin),
    ("cos", Function::Cos),
    ("tan", Function::Tan),
    ("sec", Function::Sec),
    ("csc", Function::Csc),
    ("cot", Function::Cot),
    ("arcsin", Function::Asin),
    ("arccos", Function::Acos),
    ("arctan", Function::Atan),
    ("arcsec", Function::Asec),
    ("arccsc", Function::Acsc),
    ("arccot", Function::Acot),
    ("sinh", Function::Sinh),
    ("cosh", Function::Cosh),
    ("tanh", Function::Tanh),
    ("sech", Function::Sech),
    ("csch", Function::Csch),
    ("coth", Function::Coth),
    ("arcsinh", Function::Asinh),
    ("arccosh", Function::Acosh),
    ("arctanh", Function::Atanh),
    ("arcsech", Function::Asech),
    ("arccsch", Function::Acsch),
    ("arccoth", Function::Acoth),
    ("pow", Function::Pow),
    ("min", Function::Min),
    ("max", Function::Max),
    ("log", Function::Log),
];

const PIECEWISE: &str = "piecewise";

/// Words with a meaning of their own in PEtab math, in any case: no identifier may be one
/// (PEtab v2).
pub fn is_reserved(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    matches!(lower.as_str(), "true" | "false" | "inf" | "nan" | "time" | PIECEWISE)
        || FUNCTIONS.iter().any(|(function, _)| *function == lower)
}

/// Reads a PEtab math formula.
///
/// `true`, `false`, `inf` and function names are recognised in any case; `time` in lower case
/// only, because PEtab v1 models may well have an entity `Time`. A function name that no
/// parenthesis follows is an ordinary symbol. `log(x)` is the natural logarithm, `log(x, b)` the
/// one to base b.
///
/// # Errors
/// What is wrong, at which column, and what would be accepted there.
pub fn parse_formula(text: &str) -> Result<Expr, FormulaError> {
    let mut parser = Parser { lexer: Lexer::new(text), token: Token::End, offset: 0, nesting: 0 };
    parser.advance()?;
    let (expr, _) = parser.expression(Binding::Logical)?;
    match parser.token {
        Token::End => Ok(expr),
        _ => Err(parser.unexpected(OPERATOR)),
    }
}

/// An expression and how many levels deep it is.
type Sized = (Expr, usize);

struct Parser<'t> {
    lexer: Lexer<'t>,
    token: Token<'t>,
    /// Byte offset of `token`.
    offset: usize,
    /// Open calls of `expression`: what the stack must hold.
    nesting: usize,
}

impl<'t> Parser<'t> {
    fn advance(&mut self) -> Result<(), FormulaError> {
        (self.token, self.offset) = self.lexer.next()?;
        Ok(())
    }

    fn column(&self) -> usize {
        self.lexer.column(self.offset)
    }

    fn unexpected(&self, expected: &'static str) -> FormulaError {
        FormulaError::Unexpected { column: self.column(), found: self.token.to_string(), expected }
    }

    fn expect(&mut self, text: &'static str, expected: &'static str) -> Result<(), FormulaError> {
        if self.token != Token::Operator(text) {
            return Err(self.unexpected(expected));
        }
        self.advance()
    }

    /// Refuses a tree too deep to be walked recursively.
    fn checked(&self, expr: Expr, depth: usize) -> Result<Sized, FormulaError> {
        if depth > MAX_DEPTH {
            return Err(FormulaError::TooDeep { column: self.column() });
        }
        Ok((expr, depth))
    }

    /// Reads an expression of operators that bind at least as tightly as `weakest`.
    fn expression(&mut self, weakest: Binding) -> Result<Sized, FormulaError> {
        self.nesting += 1;
        if self.nesting > MAX_DEPTH {
            return Err(FormulaError::TooDeep { column: self.column() });
        }
        let mut left = self.operand()?;
        // Whether `left` is a call that this loop made, and so may be extended in place.
        let mut open = false;
        while let Token::Operator(operator) = self.token {
            let Some(binding) = infix(operator).filter(|binding| *binding >= weakest) else {
                break;
            };
            self.advance()?;
            // Only `^` associates to the right; its exponent may begin with a sign.
            let right = match binding {
                Binding::Power => self.expression(Binding::Power)?,
                _ => self.expression(tighter(binding))?,
            };
            left = self.join(operator, left, right, open)?;
            open = true;
        }
        self.nesting -= 1;
        Ok(left)
    }

    /// The call of an infix operator; extends a flat sum or product where there is one.
    fn join(
        &self,
        operator: &str,
        (left, left_depth): Sized,
        (right, right_depth): Sized,
        open: bool,
    ) -> Result<Sized, FormulaError> {
        use Function as F;
        let (function, right, right_depth) = match operator {
            "+" => (F::Add, right, right_depth),
            // In a longer sum, a - b is a + (-b), which rounds alike.
            "-" if open && matches!(left, Expr::Call(F::Add | F::Sub, _)) => {
                (F::Add, Expr::Call(F::Neg, vec![right]), right_depth + 1)
            }
            "-" => (F::Sub, right, right_depth),
            "*" => (F::Mul, right, right_depth),
            "/" => (F::Div, right, right_depth),
            "^" => (F::Pow, right, right_depth),
            "<" => (F::Lt, right, right_depth),
            "<=" => (F::Le, right, right_depth),
            ">" => (F::Gt, right, right_depth),
            ">=" => (F::Ge, right, right_depth),
            "==" => (F::Eq, right, right_depth),
            "!=" => (F::Ne, right, right_depth),
            "&&" => (F::And, right, right_depth),
            _ => (F::Or, right, right_depth),
        };
        let (mut arguments, depth) = match (left, function) {
            (Expr::Call(F::Sub, mut terms), F::Add) if open => {
                let last = terms.pop().map(|last| Expr::Call(F::Neg, vec![last]));
                terms.extend(last);
                (terms, (left_depth + 1).max(right_depth + 1))
            }
            (Expr::Call(same, arguments), F::Add | F::Mul | F::And | F::Or)
                if open && same == function =>
            {
                (arguments, left_depth.max(right_depth + 1))
            }
            (left, _) => (vec![left], left_depth.max(right_depth) + 1),
        };
        arguments.push(right);
        self.checked(Expr::Call(function, arguments), depth)
    }

    /// Reads a number, a name, a call, a parenthesis, or an operand with a sign before it.
    fn operand(&mut self) -> Result<Sized, FormulaError> {
        match self.token {
            Token::Number(value) => {
                self.advance()?;
                Ok((Expr::Number(value), 1))
            }
            Token::Name(name) => {
                let offset = self.offset;
                self.advance()?;
                if self.token == Token::Operator("(") {
                    self.call(name, offset)
                } else {
                    self.name(name, offset).map(|expr| (expr, 1))
                }
            }
            Token::Operator("(") => {
                self.advance()?;
                let inner = self.expression(Binding::Logical)?;
                self.expect(")", "an operator or `)`")?;
                Ok(inner)
            }
            Token::Operator("+") => {
                self.advance()?;
                self.expression(Binding::Unary)
            }
            Token::Operator(sign @ ("-" | "!")) => {
                self.advance()?;
                let (inner, depth) = self.expression(Binding::Unary)?;
                let function = if sign == "-" { Function::Neg } else { Function::Not };
                self.checked(Expr::Call(function, vec![inner]), depth + 1)
            }
            _ => Err(self.unexpected(OPERAND)),
        }
    }

    /// A name that is not a call.
    fn name(&self, name: &str, offset: usize) -> Result<Expr, FormulaError> {
        if name == "time" {
            return Ok(Expr::Time);
        }
        Ok(match name.to_ascii_lowercase().as_str() {
            "true" => Expr::Number(1.0),
            "false" => Expr::Number(0.0),
            "inf" => Expr::Number(f64::INFINITY),
            "nan" => return Err(FormulaError::NotANumber { column: self.lexer.column(offset) }),
            _ => Expr::symbol(name),
        })
    }

    /// A call of the function `name`, whose `(` is the current token.
    fn call(&mut self, name: &str, offset: usize) -> Result<Sized, FormulaError> {
        let lower = name.to_ascii_lowercase();
        let function = FUNCTIONS.iter().find(|(known, _)| *known == lower).map(|(_, f)| *f);
        if function.is_none() && lower != PIECEWISE {
            let column = self.lexer.column(offset);
            let known: Vec<_> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
            return Err(FormulaError::UnknownFunction {
                column,
                name: name.to_owned(),
                known: format!("{}, {PIECEWISE}", known.join(", ")),
            });
        }
        let (arguments, depth) = self.arguments()?;
        let found = arguments.len();
        let built = match function {
            Some(function) => apply(function, arguments),
            None => piecewise(arguments),
        };
        match built {
            Ok(expr) => self.checked(expr, depth + 1),
            Err(expected) => Err(FormulaError::ArgumentCount {
                column: self.lexer.column(offset),
                name: name.to_owned(),
                expected,
                found,
            }),
        }
    }

    /// Arguments in parentheses, and the depth of the deepest.
    fn arguments(&mut self) -> Result<(Vec<Expr>, usize), FormulaError> {
        self.advance()?;
        let (mut arguments, mut deepest) = (Vec::new(), 0);
        if self.token != Token::Operator(")") {
            loop {
                let (argument, depth) = self.expression(Binding::Logical)?;
                arguments.push(argument);
                deepest = deepest.max(depth);
                if self.token != Token::Operator(",") {
                    break;
                }
                self.advance()?;
            }
        }
        self.expect(")", "an operator, `,` or `)`")?;
        Ok((arguments, deepest))
    }
}

fn infix(operator: &str) -> Option<Binding> {
    Some(match operator {
        "&&" | "||" => Binding::Logical,
        "<" | "<=" | ">" | ">=" | "==" | "!=" => Binding::Comparison,
        "+" | "-" => Binding::Sum,
        "*" | "/" => Binding::Product,
        "^" => Binding::Power,
        _ => return None,
    })
}

/// The weakest binding that the right operand of a left-associative operator may have.
fn tighter(binding: Binding) -> Binding {
    match binding {
        Binding::Logical => Binding::Comparison,
        Binding::Comparison => Binding::Sum,
        Binding::Sum => Binding::Product,
        Binding::Product => Binding::Unary,
        Binding::Unary | Binding::Power => Binding::Power,
    }
}

/// The call of a function, or how many arguments it takes.
fn apply(function: Function, mut arguments: Vec<Expr>) -> Result<Expr, &'static str> {
    let function = match (function, arguments.len()) {
        (Function::Log, 1) => Function::Ln,
        (Function::Log, 2) => {
            // PEtab's log(x, base) names the base last.
            arguments.swap(0, 1);
            Function::Log
        }
        (Function::Log, _) => return Err("1 or 2 arguments"),
        (Function::Pow | Function::Min | Function::Max, 2) => function,
        (Function::Pow | Function::Min | Function::Max, _) => return Err("2 arguments"),
        (_, 1) => function,
        _ => return Err("1 argument"),
    };
    Ok(Expr::Call(function, arguments))
}

/// `piecewise(value, condition, ..., otherwise)`.
fn piecewise(mut arguments: Vec<Expr>) -> Result<Expr, &'static str> {
    if arguments.len() < 3 || arguments.len().is_multiple_of(2) {
        return Err("an odd number of arguments from 3 on (value, condition, ..., otherwise)");
    }
    let otherwise = arguments.pop().map(Box::new);
    let mut arguments = arguments.into_iter();
    let mut pieces = Vec::new();
    while let (Some(value), Some(condition)) = (arguments.next(), arguments.next()) {
        pieces.push(Piece { value, condition });
    }
    Ok(Expr::Piecewise { pieces, otherwise })
}

#[cfg(test)]
#[path = "formula_tests.rs"]
mod tests;
