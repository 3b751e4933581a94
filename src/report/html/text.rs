//! Text of a page: escaping, and numbers for people.

/// Escapes a text for elements and attributes of XHTML and SVG.
pub(in crate::report) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#x27;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A text from a file without the characters that XML does not allow, each replaced by U+FFFD.
pub(in crate::report) fn clean(text: &str) -> String {
    let is_allowed = |c: char| {
        !(c.is_control() && !matches!(c, '\t' | '\n' | '\r')
            || matches!(c, '\u{fffe}' | '\u{ffff}'))
    };
    text.chars().map(|c| if is_allowed(c) { c } else { '\u{fffd}' }).collect()
}

/// A text of at most `most` characters: what is too long loses its middle.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= most {
        return text.to_owned();
    }
    let tail = (most - 1) / 2;
    let head = most - 1 - tail;
    let kept = |range: &[char]| range.iter().collect::<String>();
    format!("{}…{}", kept(&characters[..head]), kept(&characters[characters.len() - tail..]))
}

/// A number with at most `digits` significant digits.
pub(super) fn figures(value: f64, digits: usize) -> String {
    if !value.is_finite() || value == 0.0 {
        return format!("{value}");
    }
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    // Rounding comes first: 9.9996 has the exponent of 10.
    let scientific = format!("{value:.*e}", digits.saturating_sub(1));
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(e @ -3..=5) => trimmed(&format!("{value:.*}", (digits as i32 - 1 - e).max(0) as usize)),
        _ => format!("{}e{exponent}", trimmed(mantissa)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped() {
        assert_eq!(
            escape("<script a=\"b\">'&'</script>"),
            "&lt;script a=&quot;b&quot;&gt;&#x27;&amp;&#x27;&lt;/script&gt;"
        );
    }

    #[test]
    fn characters_that_xml_forbids_are_replaced() {
        assert_eq!(clean("a\0b\u{1b}\tü\u{ffff}"), "a\u{fffd}b\u{fffd}\tü\u{fffd}");
    }

    #[test]
    fn long_texts_lose_their_middle() {
        assert_eq!(shortened("abcdefgh", 8), "abcdefgh");
        assert_eq!(shortened("abcdefghi", 8), "abcd…ghi");
        assert_eq!(shortened("äöüäöü", 5), "äö…öü");
    }

    #[test]
    fn numbers_are_rounded() {
        for (value, text) in [
            (0.0, "0"),
            (1e-5, "1e-5"),
            (0.1234567, "0.1235"),
            (9.99996, "10"),
            (123456.0, "123456"),
            (-1.5e300, "-1.5e300"),
            (99_999.96, "100000"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(figures(value, 4), text);
        }
    }
}
