//! Mathematical expressions as trees: what the PEtab formula parser and the MathML reader produce,
//! and what the model room lowers into the hash-consed [`graph`](crate::graph).
//!
//! The tree keeps the source's structure; nothing is simplified here. Logical values are numbers
//! as in PEtab math: true is 1, false is 0, and any non-zero number counts as true.

mod eval;

pub use eval::{EvalError, evaluate};

/// Deepest nesting a reader of formulas accepts; deeper input is refused, not recursed into.
pub const MAX_DEPTH: usize = 400;

/// An expression over symbols that are still names.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    Number(f64),
    /// An identifier of the model, of a parameter table or of a placeholder.
    Symbol(String),
    /// Model time (SBML csymbol `time`, PEtab `time`).
    Time,
    /// Rate of change of a symbol (SBML L3V2 csymbol `rateOf`).
    RateOf(String),
    /// An operator or function over its arguments, in source order.
    Call(Function, Vec<Expr>),
    /// The value of the first piece whose condition holds, else `otherwise`;
    /// undefined (NaN) where neither is given.
    Piecewise {
        pieces: Vec<Piece>,
        otherwise: Option<Box<Expr>>,
    },
}

/// One branch of a piecewise expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    pub value: Expr,
    pub condition: Expr,
}

/// Operators and functions of MathML (SBML L3V2 base set) and of PEtab math.
///
/// N-ary operators take any number of arguments, none included (the neutral element then):
/// `Add`, `Mul`, `Min`, `Max` (at least one), `And`, `Or`, `Xor`; relations chain:
/// `Lt(a, b, c)` means a < b and b < c.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    Add,
    /// Two arguments: difference. (One argument is `Neg`.)
    Sub,
    Neg,
    Mul,
    Div,
    /// `Pow(base, exponent)`.
    Pow,
    /// `Root(degree, radicand)`.
    Root,
    Sqrt,
    Exp,
    /// Natural logarithm.
    Ln,
    Log2,
    Log10,
    /// `Log(base, argument)`.
    Log,
    Abs,
    Sign,
    Min,
    Max,
    Floor,
    Ceil,
    Factorial,
    /// Integer part of the quotient, truncated towards zero.
    Quotient,
    /// Remainder with the sign of the dividend.
    Rem,
    Sin,
    Cos,
    Tan,
    Sec,
    Csc,
    Cot,
    Asin,
    Acos,
    Atan,
    Asec,
    Acsc,
    Acot,
    Sinh,
    Cosh,
    Tanh,
    Sech,
    Csch,
    Coth,
    Asinh,
    Acosh,
    Atanh,
    Asech,
    Acsch,
    Acoth,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    And,
    Or,
    Xor,
    Not,
    Implies,
}

impl Expr {
    /// A symbol of this name.
    pub fn symbol(name: impl Into<String>) -> Self {
        Self::Symbol(name.into())
    }

    /// Calls `visit` on this node and on every node below it, parents first.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Expr)) {
        visit(self);
        match self {
            Self::Number(_) | Self::Symbol(_) | Self::Time | Self::RateOf(_) => {}
            Self::Call(_, arguments) => arguments.iter().for_each(|a| a.walk(visit)),
            Self::Piecewise { pieces, otherwise } => {
                for piece in pieces {
                    piece.value.walk(visit);
                    piece.condition.walk(visit);
                }
                if let Some(otherwise) = otherwise {
                    otherwise.walk(visit);
                }
            }
        }
    }

    /// Names of all symbols that occur, `RateOf` targets included, in order of appearance
    /// (repeats kept).
    pub fn symbols(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.walk(&mut |node| match node {
            Self::Symbol(name) | Self::RateOf(name) => names.push(name.as_str()),
            _ => {}
        });
        names
    }

    /// This expression with every symbol for which `replacement` gives one replaced by it.
    pub fn substitute(&self, replacement: &impl Fn(&str) -> Option<Expr>) -> Expr {
        match self {
            Self::Symbol(name) => replacement(name).unwrap_or_else(|| self.clone()),
            Self::Number(_) | Self::Time | Self::RateOf(_) => self.clone(),
            Self::Call(function, arguments) => {
                Self::Call(*function, arguments.iter().map(|a| a.substitute(replacement)).collect())
            }
            Self::Piecewise { pieces, otherwise } => Self::Piecewise {
                pieces: pieces
                    .iter()
                    .map(|piece| Piece {
                        value: piece.value.substitute(replacement),
                        condition: piece.condition.substitute(replacement),
                    })
                    .collect(),
                otherwise: otherwise.as_ref().map(|o| Box::new(o.substitute(replacement))),
            },
        }
    }
}
