use super::*;
use crate::math::evaluate;
use proptest::prelude::*;

fn value(text: &str) -> f64 {
    let expr = parse_formula(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    evaluate(&expr, &|id| (id == "x").then_some(3.0), 7.0).unwrap()
}

fn error(text: &str) -> String {
    parse_formula(text).expect_err(text).to_string()
}

#[test]
fn precedence_and_associativity() {
    for (text, expected) in [
        ("-2^4", -16.0),
        ("2^3^2", 512.0),
        ("9*3^-2", 1.0),
        ("2^-x*3", 0.375),
        ("(-2)^2", 4.0),
        ("8/4/2", 1.0),
        ("8/4*2", 4.0),
        ("2*6/4*3", 9.0),
        ("1-2-3", -4.0),
        ("1-2+3-4", -2.0),
        ("1-(2-3)", 2.0),
        ("1+2*3-4/2", 5.0),
        ("-x+5", 2.0),
        ("--x", 3.0),
        ("+x", 3.0),
        ("!0 + 1", 2.0),
        ("true || false && false", 0.0),
        ("false && false || true", 1.0),
        ("1 + 1 < 3", 1.0),
        ("1 < 2 == 1", 1.0),
        ("3 > 2 > 1", 0.0),
        ("TRUE + False", 1.0),
        ("INF", f64::INFINITY),
        ("EXP(0)", 1.0),
        ("time * 2", 14.0),
        ("log(8, 2)", 3.0),
        ("log(100, 10)", 2.0),
        ("log(0)", f64::NEG_INFINITY),
        ("1e3", 1000.0),
        ("1.5E-1", 0.15),
        ("piecewise(1, x < 2, 2, x < 4, 3)", 2.0),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn names() {
    assert_eq!(parse_formula("Time"), Ok(Expr::symbol("Time")));
    assert_eq!(parse_formula("time"), Ok(Expr::Time));
    assert_eq!(parse_formula("sec"), Ok(Expr::symbol("sec")));
    assert_eq!(parse_formula("e"), Ok(Expr::symbol("e")));
    assert_eq!(parse_formula("_a1"), Ok(Expr::symbol("_a1")));
    assert!(is_reserved("Arcsin") && is_reserved("piecewise") && !is_reserved("k1"));
}

#[test]
fn long_chains_stay_flat() {
    let chain = |operator: &str| vec!["1"; 100_000].join(operator);
    assert_eq!(value(&chain("+")), 100_000.0);
    assert_eq!(value(&chain("-")), 1.0 - 99_999.0);
    assert_eq!(value(&chain("*")), 1.0);
    assert_eq!(value(&chain("&&")), 1.0);
    assert_eq!(value(&format!("2*({})", chain("+"))), 200_000.0);
    let expr = parse_formula("1+2+3").unwrap();
    let terms = [1.0, 2.0, 3.0].map(Expr::Number).to_vec();
    assert_eq!(expr, Expr::Call(Function::Add, terms));
    // Parentheses keep a sum of their own.
    let expr = parse_formula("(1+2)+3").unwrap();
    assert!(matches!(&expr, Expr::Call(Function::Add, terms) if terms.len() == 2));
}

#[test]
fn deep_nesting_is_refused() {
    let n = 100_000;
    let deep = format!("nested more than {MAX_DEPTH} levels deep");
    for text in [
        "(".repeat(n),
        "-".repeat(n),
        "!".repeat(n),
        "sin(".repeat(n),
        "2^".repeat(n) + "2",
        "1/".repeat(n) + "1",
        "1<".repeat(n) + "1",
        "1&&1||".repeat(n) + "1",
        "piecewise(1, true, ".repeat(n),
    ] {
        assert!(error(&text).ends_with(&deep), "{}", &text[..20]);
    }
    let levels = MAX_DEPTH - 1;
    assert!(parse_formula(&format!("{}1{}", "(".repeat(levels), ")".repeat(levels))).is_ok());
    assert_eq!(value(&format!("{}x", "1/".repeat(levels))), 1.0 / 3.0);
    assert!(parse_formula(&format!("{}x", "1/".repeat(levels + 1))).is_err());
}

#[test]
fn errors_say_where_and_what_is_accepted() {
    let operand = "a number, an identifier, a function call, `(`, or a sign";
    let operator = "an operator, or the end of the formula";
    for (text, expected) in [
        ("", format!("column 1: found the end of the formula; expected {operand}")),
        ("a +", format!("column 4: found the end of the formula; expected {operand}")),
        ("a ** b", format!("column 4: found `*`; expected {operand}")),
        ("2 a", format!("column 3: found `a`; expected {operator}")),
        ("2e", format!("column 2: found `e`; expected {operator}")),
        ("(a", "column 3: found the end of the formula; expected an operator or `)`".into()),
        (
            "sin(a",
            "column 6: found the end of the formula; expected an operator, `,` or `)`".into(),
        ),
        ("a)", format!("column 2: found `)`; expected {operator}")),
        ("pow(2)", "column 1: `pow` takes 2 arguments, not 1".into()),
        ("1+log()", "column 3: `log` takes 1 or 2 arguments, not 0".into()),
        ("sin(1,2)", "column 1: `sin` takes 1 argument, not 2".into()),
        (
            "piecewise(1, true)",
            "column 1: `piecewise` takes an odd number of arguments from 3 on (value, condition, \
             ..., otherwise), not 2"
                .into(),
        ),
        ("NaN", "column 1: `nan` is not allowed in formulas".into()),
        ("1e999", "column 1: the number 1e999 is beyond the range of double precision".into()),
        (
            "µ + 1",
            "column 1: `µ` is not part of PEtab math; expected a number such as 0.5, an \
             identifier, or an operator (+ - * / ^ < <= > >= == != && || !)"
                .into(),
        ),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
    assert!(error(".5").starts_with("column 1: `.` is not part of PEtab math"));
    assert!(error("1.").starts_with("column 2: `.` is not part of PEtab math"));
    assert!(error("a = b").starts_with("column 3: `=` is not part of PEtab math"));
    assert!(error("foo(1)").starts_with("column 1: unknown function `foo`; PEtab math knows exp,"));
}

/// All expressions of the PEtab test suite's `math_tests.yaml`.
#[test]
fn petab_test_suite_expressions() {
    #[derive(serde::Deserialize)]
    struct Tests {
        cases: Vec<Case>,
    }
    #[derive(serde::Deserialize)]
    struct Case {
        expression: String,
        expected: String,
    }
    let Some(folder) = std::env::var_os("PETAB_TEST_SUITE_DIR") else {
        println!("skipped: PETAB_TEST_SUITE_DIR is not set");
        return;
    };
    let path = std::path::Path::new(&folder).join("math_tests.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let tests: Tests = serde_saphyr::from_str(&text).unwrap();
    assert!(tests.cases.len() > 90);
    // Values of the symbols, so that expressions with symbols compare too.
    let lookup = |id: &str| Some(id.bytes().map(f64::from).sum::<f64>().sqrt());
    for Case { expression, expected } in tests.cases {
        let of = |text: &str| {
            let expr = parse_formula(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            evaluate(&expr, &lookup, 0.0).unwrap()
        };
        let (found, expected) = (of(&expression), of(&expected));
        let close = found == expected || (found - expected).abs() <= 1e-14 * expected.abs();
        assert!(close, "{expression}: {found} instead of {expected}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_does_not_panic(text in ".*") {
        let _ = parse_formula(&text);
    }

    #[test]
    fn text_of_formula_characters_does_not_panic(text in r"[a1.e()+*/^!<>=&|, -]{0,60}") {
        let _ = parse_formula(&text);
    }
}
