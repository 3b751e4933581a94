use super::*;
use crate::math::{Expr, Function as F, MAX_DEPTH, Piece};

/// A level 3 model with parameters a, b, c and a rule for `v` on line 2.
fn model_with(formula: &str) -> String {
    let parameters: String = ["a", "b", "c"].map(|id| parameter(id, true)).concat();
    let parameters = parameters + &parameter("v", false);
    let math = math(formula);
    format!(
        "<listOfParameters>{parameters}</listOfParameters><listOfRules>\
         <assignmentRule variable=\"v\">{math}</assignmentRule></listOfRules>"
    )
}

fn formula(content: &str) -> Expr {
    match read(3, 2, &model_with(content)) {
        Ok(mut model) => model.rules.remove(0).math,
        Err(error) => panic!("{content}: {error}"),
    }
}

fn message(content: &str) -> String {
    refusal(3, 2, &model_with(content))
}

fn symbol(name: &str) -> Expr {
    Expr::symbol(name)
}

fn call(function: F, arguments: &[&str]) -> Expr {
    Expr::Call(function, arguments.iter().map(|name| symbol(name)).collect())
}

#[test]
fn numbers() {
    let cases: [(&str, f64); 11] = [
        ("<cn> 1.5 </cn>", 1.5),
        ("<cn type=\"real\">-2e3</cn>", -2000.0),
        ("<cn type=\"integer\"> 12 </cn>", 12.0),
        ("<cn type=\"e-notation\">1.2<sep/>-3</cn>", 1.2e-3),
        ("<cn type=\"rational\"> 1 <sep/> 3 </cn>", 1.0 / 3.0),
        ("<cn units=\"mole\" base=\"10\">3</cn>", 3.0),
        ("<cn>1<!-- a comment -->2</cn>", 12.0),
        ("<pi/>", std::f64::consts::PI),
        ("<exponentiale/>", std::f64::consts::E),
        ("<infinity/>", f64::INFINITY),
        ("<true/>", 1.0),
    ];
    for (content, expected) in cases {
        assert_eq!(formula(content), Expr::Number(expected), "{content}");
    }
    assert_eq!(formula("<false/>"), Expr::Number(0.0));
    assert!(matches!(formula("<notanumber/>"), Expr::Number(n) if n.is_nan()));
}

#[test]
fn numbers_that_are_refused() {
    let cases = [
        ("<cn>1,5</cn>", "the number \"1,5\" is not accepted; expected a decimal number"),
        (
            "<cn type=\"integer\">1.5</cn>",
            "the number \"1.5\" is not accepted; expected an integer",
        ),
        (
            "<cn base=\"16\">ff</cn>",
            "the number \"ff\" is not accepted; expected a decimal number (no base attribute)",
        ),
        (
            "<cn type=\"hexadecimal\">ff</cn>",
            "the number \"ff\" is not accepted; expected the type real, integer, e-notation or \
             rational",
        ),
        (
            "<cn type=\"rational\">1<sep/>0</cn>",
            "the number \"1<sep/>0\" is not accepted; expected two integers, the second not 0",
        ),
        (
            "<cn type=\"e-notation\">1</cn>",
            "the number \"1\" is not accepted; expected two parts with one <sep/> between them",
        ),
        (
            "<cn>1<sep/>2</cn>",
            "the number \"1<sep/>2\" is not accepted; expected no <sep/> for this type",
        ),
        (
            "<cn>1<ci>a</ci></cn>",
            "MathML element `ci` is not expected here; expected digits and <sep/>",
        ),
    ];
    for (content, expected) in cases {
        assert_eq!(message(content), format!("test.xml:2: {expected}"), "{content}");
    }
}

#[test]
fn csymbols() {
    let symbol_url = |name: &str, text: &str| {
        format!(
            "<csymbol encoding=\"text\" \
             definitionURL=\"http://www.sbml.org/sbml/symbols/{name}\">{text}</csymbol>"
        )
    };
    assert_eq!(formula(&symbol_url("time", "t")), Expr::Time);
    assert_eq!(formula(&symbol_url("avogadro", "N")), Expr::Number(6.02214179e23));
    let rate = symbol_url("rateOf", "rateOf");
    let of_a = format!("<apply>{rate}<ci>a</ci></apply>");
    assert_eq!(formula(&of_a), Expr::RateOf("a".into()));

    assert_eq!(
        message(&format!("<apply>{}<ci>a</ci><cn>1</cn></apply>", symbol_url("delay", "d"))),
        "test.xml:2: csymbol `delay` (delay differential equations) is not supported"
    );
    assert_eq!(
        message(&symbol_url("delay", "d")),
        "test.xml:2: csymbol `delay` (delay differential equations) is not supported"
    );
    assert_eq!(
        message(&symbol_url("distrib/normal", "n")),
        "test.xml:2: csymbol `http://www.sbml.org/sbml/symbols/distrib/normal` is not supported; \
         accepted: the SBML symbols time, avogadro and rateOf"
    );
    assert_eq!(
        message(&rate),
        "test.xml:2: MathML element `csymbol` is not expected here; expected rateOf only as the \
         head of an apply"
    );
    assert_eq!(
        message(&format!("<apply>{rate}<cn>1</cn></apply>")),
        "test.xml:2: MathML `csymbol rateOf` takes one symbol (ci); it has 1"
    );
    assert_eq!(
        message(&format!("<apply>{rate}<ci>nothing</ci></apply>")),
        "test.xml:2: `nothing` is unknown here; expected the id of a species, compartment, \
         parameter, reaction or species reference"
    );
    assert_eq!(
        message(&format!("<apply>{}<ci>a</ci></apply>", symbol_url("time", "t"))),
        "test.xml:2: MathML element `csymbol` is not expected here; expected an operator or a \
         function"
    );
}

#[test]
fn every_operator() {
    use F::*;
    let unary = [
        ("not", Not),
        ("abs", Abs),
        ("exp", Exp),
        ("ln", Ln),
        ("log", Log10),
        ("root", Sqrt),
        ("minus", Neg),
        ("floor", Floor),
        ("ceiling", Ceil),
        ("factorial", Factorial),
        ("sin", Sin),
        ("cos", Cos),
        ("tan", Tan),
        ("sec", Sec),
        ("csc", Csc),
        ("cot", Cot),
        ("sinh", Sinh),
        ("cosh", Cosh),
        ("tanh", Tanh),
        ("sech", Sech),
        ("csch", Csch),
        ("coth", Coth),
        ("arcsin", Asin),
        ("arccos", Acos),
        ("arctan", Atan),
        ("arcsec", Asec),
        ("arccsc", Acsc),
        ("arccot", Acot),
        ("arcsinh", Asinh),
        ("arccosh", Acosh),
        ("arctanh", Atanh),
        ("arcsech", Asech),
        ("arccsch", Acsch),
        ("arccoth", Acoth),
    ];
    for (name, function) in unary {
        assert_eq!(
            formula(&format!("<apply><{name}/><ci> a </ci></apply>")),
            call(function, &["a"])
        );
        if name != "minus" {
            assert_eq!(
                message(&format!("<apply><{name}/><ci>a</ci><ci>b</ci></apply>")),
                format!("test.xml:2: MathML `{name}` takes one argument; it has 2")
            );
        }
    }
    let binary = [
        ("minus", Sub),
        ("divide", Div),
        ("power", Pow),
        ("quotient", Quotient),
        ("rem", Rem),
        ("neq", Ne),
        ("implies", Implies),
    ];
    for (name, function) in binary {
        let content = format!("<apply><{name}/><ci>a</ci><ci>b</ci></apply>");
        assert_eq!(formula(&content), call(function, &["a", "b"]));
        let takes = if name == "minus" { "one or two arguments" } else { "two arguments" };
        assert_eq!(
            message(&format!("<apply><{name}/><ci>a</ci><ci>b</ci><ci>c</ci></apply>")),
            format!("test.xml:2: MathML `{name}` takes {takes}; it has 3")
        );
    }
    let many = [("plus", Add), ("times", Mul), ("and", And), ("or", Or), ("xor", Xor)];
    for (name, function) in many {
        assert_eq!(formula(&format!("<apply><{name}/></apply>")), call(function, &[]));
        assert_eq!(formula(&format!("<apply><{name}/><ci>a</ci></apply>")), call(function, &["a"]));
    }
    let at_least_one = [("min", Min), ("max", Max)];
    let relations = [("lt", Lt), ("leq", Le), ("gt", Gt), ("geq", Ge), ("eq", Eq)];
    for (name, function) in many.into_iter().chain(at_least_one).chain(relations) {
        let content = format!("<apply><{name}/><ci>a</ci><ci>b</ci><ci>c</ci></apply>");
        assert_eq!(formula(&content), call(function, &["a", "b", "c"]));
    }
    assert_eq!(
        message("<apply><max/></apply>"),
        "test.xml:2: MathML `max` takes at least one argument; it has 0"
    );
    assert_eq!(
        message("<apply><lt/><ci>a</ci></apply>"),
        "test.xml:2: MathML `lt` takes at least two arguments; it has 1"
    );
}

#[test]
fn qualifiers() {
    assert_eq!(
        formula("<apply><root/><degree><ci>a</ci></degree><ci>b</ci></apply>"),
        call(F::Root, &["a", "b"])
    );
    assert_eq!(
        formula("<apply><log/><logbase><ci>a</ci></logbase><ci>b</ci></apply>"),
        call(F::Log, &["a", "b"])
    );
    assert_eq!(
        message("<apply><root/><degree><ci>a</ci></degree></apply>"),
        "test.xml:2: MathML `root` takes one argument; it has 0"
    );
    assert_eq!(
        message("<apply><log/><logbase/><ci>b</ci></apply>"),
        "test.xml:2: MathML `logbase` takes one formula; it has 0"
    );
    assert_eq!(
        message("<apply><sin/><degree><ci>a</ci></degree></apply>"),
        "test.xml:2: MathML element `degree` is not expected here; expected a number, a symbol or \
         an operation"
    );
    let twice = "<degree><ci>a</ci></degree>".repeat(2);
    assert_eq!(
        message(&format!("<apply><root/>{twice}<ci>b</ci></apply>")),
        "test.xml:2: `apply` has more than one element `degree`"
    );
}

#[test]
fn piecewise() {
    let piece = "<piece><ci>a</ci><true/></piece>";
    let expected = Piece { value: symbol("a"), condition: Expr::Number(1.0) };
    assert_eq!(
        formula(&format!("<piecewise>{piece}{piece}<otherwise><ci>b</ci></otherwise></piecewise>")),
        Expr::Piecewise {
            pieces: vec![expected.clone(), expected.clone()],
            otherwise: Some(Box::new(symbol("b")))
        }
    );
    assert_eq!(
        formula(&format!("<piecewise>{piece}</piecewise>")),
        Expr::Piecewise { pieces: vec![expected], otherwise: None }
    );
    assert_eq!(
        message("<piecewise><piece><ci>a</ci></piece></piecewise>"),
        "test.xml:2: MathML `piece` takes a value and a condition; it has 1"
    );
    assert_eq!(
        message("<piecewise><ci>a</ci></piecewise>"),
        "test.xml:2: MathML element `ci` is not expected here; expected piece or otherwise"
    );
    let twice = "<otherwise><ci>a</ci></otherwise>".repeat(2);
    assert_eq!(
        message(&format!("<piecewise>{twice}</piecewise>")),
        "test.xml:2: `piecewise` has more than one element `otherwise`"
    );
}

#[test]
fn brackets_and_annotations_are_transparent() {
    assert_eq!(formula("<apply><apply><exp/><ci>a</ci></apply></apply>"), call(F::Exp, &["a"]));
    assert_eq!(
        formula("<semantics><ci>a</ci><annotation encoding=\"x\">y</annotation></semantics>"),
        symbol("a")
    );
}

#[test]
fn elements_that_are_refused() {
    let cases = [
        ("<integrate/>", "MathML element `integrate` is not part of SBML's subset of MathML"),
        (
            "<apply><diff/><ci>unknown</ci></apply>",
            "MathML element `diff` is not part of SBML's subset of MathML",
        ),
        ("<x xmlns=\"urn:x\"/>", "MathML element `x` is not part of SBML's subset of MathML"),
        (
            "<plus/>",
            "MathML element `plus` is not expected here; expected a number, a symbol or an \
             operation",
        ),
        (
            "<lambda><ci>a</ci></lambda>",
            "MathML element `lambda` is not expected here; expected a number, a symbol or an \
             operation",
        ),
        (
            "<apply><pi/><ci>a</ci></apply>",
            "MathML element `pi` is not expected here; expected an operator or a function",
        ),
        (
            "<apply><apply><exp/><ci>a</ci></apply><ci>b</ci></apply>",
            "MathML element `apply` is not expected here; expected an operator or a function",
        ),
        ("<apply/>", "MathML `apply` takes an operator and its arguments; it has 0"),
        ("<ci>a</ci><ci>b</ci>", "MathML `math` takes one formula; it has 2"),
        ("", "MathML `math` takes one formula; it has 0"),
        (
            "<ci>d</ci>",
            "`d` is unknown here; expected the id of a species, compartment, parameter, reaction \
             or species reference",
        ),
        (
            "<apply><ci>a</ci><ci>b</ci></apply>",
            "`a` is called but is not a function definition with a formula",
        ),
    ];
    for (content, expected) in cases {
        assert_eq!(message(content), format!("test.xml:2: {expected}"));
    }
}

#[test]
fn errors_point_at_the_line_of_the_symbol() {
    assert!(message("<apply>\n<plus/>\n<ci>d</ci></apply>").starts_with("test.xml:4: `d`"));
}

#[test]
fn nesting_is_limited() {
    let nested = |depth: usize| {
        let (open, close) = ("<apply><minus/>".repeat(depth), "</apply>".repeat(depth));
        format!("{open}<ci>a</ci>{close}")
    };
    formula(&nested(MAX_DEPTH - 1));
    let refused =
        "test.xml:2: the formula is nested deeper than 400 levels, function calls included";
    assert_eq!(message(&nested(MAX_DEPTH)), refused);
    assert_eq!(message(&nested(100_000)), refused);
    let open = "<piecewise><otherwise>".repeat(1000);
    let close = "</otherwise></piecewise>".repeat(1000);
    assert_eq!(message(&format!("{open}<ci>a</ci>{close}")), refused);
    let (open, close) = ("<semantics>".repeat(1000), "</semantics>".repeat(1000));
    assert_eq!(formula(&format!("{open}<ci>a</ci>{close}")), symbol("a"));
}
