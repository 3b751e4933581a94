//! Numbers as XML Schema and MathML write them.

/// The value of an `xsd:double`: a decimal number, `INF`, `-INF` or `NaN`.
///
/// `None` for anything else, and for a decimal number too large for a double.
pub(super) fn double(text: &str) -> Option<f64> {
    match trim(text) {
        "INF" | "+INF" => Some(f64::INFINITY),
        "-INF" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        other => decimal(other),
    }
}

/// An integer of any length, rounded to the nearest double.
pub(super) fn integer(text: &str) -> Option<f64> {
    let text = trim(text);
    is_integer(text).then(|| decimal(text)).flatten()
}

/// `mantissa` times ten to the power `exponent`, rounded once.
pub(super) fn scaled(mantissa: &str, exponent: &str) -> Option<f64> {
    let (mantissa, exponent) = (trim(mantissa), trim(exponent));
    let plain = !mantissa.contains(['e', 'E']) && is_integer(exponent);
    plain.then(|| decimal(&format!("{mantissa}e{exponent}"))).flatten()
}

/// The quotient of two integers.
pub(super) fn rational(numerator: &str, denominator: &str) -> Option<f64> {
    let denominator = integer(denominator).filter(|d| *d != 0.0)?;
    Some(integer(numerator)? / denominator)
}

/// An `xsd:boolean`.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match trim(text) {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Without the white space that XML strips; Unicode's other spaces stay and are refused.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn decimal(text: &str) -> Option<f64> {
    // Rust's parser also takes "inf", "infinity" and "nan", which are not numbers in XML.
    let shape = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
    if !text.bytes().all(shape) {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles() {
        assert_eq!(double(" 1.5e-3\n"), Some(1.5e-3));
        assert_eq!(double("+.5"), Some(0.5));
        assert_eq!(double("-INF"), Some(f64::NEG_INFINITY));
        assert!(double("NaN").is_some_and(f64::is_nan));
        for bad in ["", "inf", "nan", "Infinity", "0x10", "1,5", "1e", "1 2", "1e999", "\u{a0}1"] {
            assert_eq!(double(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn numbers_in_two_parts() {
        assert_eq!(scaled("6.02214179", " 23 "), Some(6.02214179e23));
        assert_eq!(scaled("1", "-3"), Some(1e-3));
        assert_eq!(scaled("1e2", "3"), None);
        assert_eq!(scaled("1", "2.5"), None);
        assert_eq!(scaled("1", "99999999999"), None);
        assert_eq!(scaled("", "1"), None);
        assert_eq!(rational("-1", "3"), Some(-1.0 / 3.0));
        assert_eq!(rational("1", "0"), None);
        assert_eq!(integer("+12"), Some(12.0));
        assert_eq!(integer("1.0"), None);
        assert_eq!(integer("-"), None);
    }

    #[test]
    fn booleans() {
        assert_eq!(boolean(" true "), Some(true));
        assert_eq!(boolean("0"), Some(false));
        assert_eq!(boolean("True"), None);
    }
}
