//! Tokens of PEtab math.

use super::formula::FormulaError;

/// A token; operators and brackets by their text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'t> {
    Number(f64),
    Name(&'t str),
    Operator(&'static str),
    End,
}

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(value) => write!(f, "the number {value}"),
            Self::Name(name) => write!(f, "`{name}`"),
            Self::Operator(text) => write!(f, "`{text}`"),
            Self::End => write!(f, "the end of the formula"),
        }
    }
}

/// Longer operators first, so that `<=` is not read as `<`.
const OPERATORS: [&str; 17] =
    ["&&", "||", "<=", ">=", "==", "!=", "<", ">", "!", "+", "-", "*", "/", "^", "(", ")", ","];

/// Splits a formula into tokens, one at a time.
pub(super) struct Lexer<'t> {
    text: &'t str,
    offset: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, offset: 0 }
    }

    /// 1-based column, in characters, of a byte offset.
    pub(super) fn column(&self, offset: usize) -> usize {
        self.text.get(..offset).map_or(0, |before| before.chars().count()) + 1
    }

    /// The next token and the byte offset at which it begins.
    pub(super) fn next(&mut self) -> Result<(Token<'t>, usize), FormulaError> {
        let rest = self.text[self.offset..].trim_start();
        let start = self.text.len() - rest.len();
        let (token, length) = self.scan(rest, start)?;
        self.offset = start + length;
        Ok((token, start))
    }

    fn scan(&self, rest: &'t str, start: usize) -> Result<(Token<'t>, usize), FormulaError> {
        let Some(first) = rest.chars().next() else { return Ok((Token::End, 0)) };
        if first.is_ascii_digit() {
            let text = &rest[..number_length(rest.as_bytes())];
            return match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok((Token::Number(value), text.len())),
                _ => Err(FormulaError::Overflow {
                    column: self.column(start),
                    number: text.to_owned(),
                }),
            };
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let length = rest
                .bytes()
                .position(|b| !b.is_ascii_alphanumeric() && b != b'_')
                .unwrap_or(rest.len());
            return Ok((Token::Name(&rest[..length]), length));
        }
        OPERATORS
            .iter()
            .find(|operator| rest.starts_with(**operator))
            .map(|operator| (Token::Operator(operator), operator.len()))
            .ok_or_else(|| FormulaError::UnknownCharacter {
                column: self.column(start),
                found: first,
            })
    }
}

/// Length of `DIGITS[.DIGITS][e[+-]DIGITS]`, of which DIGITS is known to be there. A dot or an
/// `e` without digits after it does not belong to the number.
fn number_length(text: &[u8]) -> usize {
    let digits_end =
        |from: usize| from + text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = digits_end(0);
    if text.get(end) == Some(&b'.') {
        let fraction_end = digits_end(end + 1);
        if fraction_end > end + 1 {
            end = fraction_end;
        }
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = end + 1 + sign;
        if exponent < text.len() && digits_end(exponent) > exponent {
            end = digits_end(exponent);
        }
    }
    end
}
