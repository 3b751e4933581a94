use super::*;
use crate::math::{Expr, Function as F, MAX_DEPTH};

fn lambda(arguments: &[&str], body: &str) -> String {
    let bvars: String = arguments.iter().map(|a| format!("<bvar><ci> {a} </ci></bvar>")).collect();
    format!("<lambda>{bvars}{body}</lambda>")
}

fn definition(id: &str, lambda: &str) -> String {
    format!("<functionDefinition id=\"{id}\">{}</functionDefinition>\n", math(lambda))
}

/// A level 3 model with function definitions, parameters a and b, and a rule for `v`.
fn model_with(definitions: &[String], formula: &str) -> String {
    let parameters = [parameter("a", true), parameter("b", true), parameter("v", false)].concat();
    format!(
        "<listOfFunctionDefinitions>{}</listOfFunctionDefinitions>\n\
         <listOfParameters>{parameters}</listOfParameters><listOfRules>\
         <assignmentRule variable=\"v\">{}</assignmentRule></listOfRules>",
        definitions.concat(),
        math(formula)
    )
}

fn inlined(definitions: &[String], formula: &str) -> Expr {
    match read(3, 2, &model_with(definitions, formula)) {
        Ok(mut model) => model.rules.remove(0).math,
        Err(error) => panic!("{error}"),
    }
}

const CALL: &str = "<apply><ci>f</ci><ci>a</ci><cn>2</cn></apply>";

fn sum(left: &str, right: &str) -> String {
    format!("<apply><plus/><ci>{left}</ci><ci>{right}</ci></apply>")
}

#[test]
fn arguments_replace_parameters() {
    let f = definition("f", &lambda(&["x", "y"], "<apply><minus/><ci>y</ci><ci>x</ci></apply>"));
    let expected = Expr::Call(F::Sub, vec![Expr::Number(2.0), Expr::symbol("a")]);
    assert_eq!(inlined(&[f], CALL), expected);
}

#[test]
fn parameters_hide_ids_and_are_replaced_all_at_once() {
    // The second argument is called like the model's `a`; the call swaps the names.
    let f = definition("f", &lambda(&["b", "a"], &sum("b", "a")));
    let call = "<apply><ci>f</ci><ci>a</ci><ci>b</ci></apply>";
    let expected = Expr::Call(F::Add, vec![Expr::symbol("a"), Expr::symbol("b")]);
    assert_eq!(inlined(&[f], call), expected);
}

#[test]
fn definitions_may_call_later_ones() {
    let f = definition("f", &lambda(&["x", "y"], "<apply><ci>g</ci><ci>y</ci></apply>"));
    let g = definition("g", &lambda(&["x"], "<apply><exp/><ci>x</ci></apply>"));
    let expected = Expr::Call(F::Exp, vec![Expr::Number(2.0)]);
    assert_eq!(inlined(&[f, g], CALL), expected);
}

#[test]
fn without_arguments_and_with_rate_of() {
    let two = definition("two", &lambda(&[], "<cn>2</cn>"));
    assert_eq!(inlined(&[two], "<apply><ci>two</ci></apply>"), Expr::Number(2.0));

    let rate = "<csymbol encoding=\"text\" \
                definitionURL=\"http://www.sbml.org/sbml/symbols/rateOf\">r</csymbol>";
    let slope = definition("slope", &lambda(&["x"], &format!("<apply>{rate}<ci>x</ci></apply>")));
    assert_eq!(
        inlined(std::slice::from_ref(&slope), "<apply><ci>slope</ci><ci>a</ci></apply>"),
        Expr::RateOf("a".into())
    );
    assert_eq!(
        refusal(3, 2, &model_with(&[slope], "<apply><ci>slope</ci><cn>1</cn></apply>")),
        "test.xml:4: MathML `csymbol rateOf` takes one symbol (ci); it has 1"
    );
}

#[test]
fn refusals() {
    let f = |body: &str| vec![definition("f", &lambda(&["x", "y"], body))];
    let message = |definitions: &[String]| refusal(3, 2, &model_with(definitions, CALL));
    assert_eq!(
        message(&f(&sum("x", "a"))),
        "test.xml:2: `a` is unknown here; expected an argument (bvar) of the function definition"
    );
    assert_eq!(
        message(&f("<apply><ci>f</ci><ci>x</ci><ci>y</ci></apply>")),
        "test.xml:2: function definition `f` calls itself, directly or through others"
    );
    let g = definition("g", &lambda(&["x"], "<apply><ci>h</ci><ci>x</ci></apply>"));
    let h = definition("h", &lambda(&["x"], "<apply><ci>g</ci><ci>x</ci></apply>"));
    let f_on_g = definition("f", &lambda(&["x", "y"], "<apply><ci>g</ci><ci>x</ci></apply>"));
    assert_eq!(
        message(&[f_on_g, g, h]),
        "test.xml:3: function definition `g` calls itself, directly or through others"
    );
    assert_eq!(
        message(&[definition("f", &lambda(&["x"], "<ci>x</ci>"))]),
        "test.xml:4: MathML `f` takes 1 argument(s); it has 2"
    );
    assert_eq!(
        message(&[definition("f", &lambda(&["x", "x"], "<ci>x</ci>"))]),
        "test.xml:2: MathML element `bvar x` is not expected here; expected arguments with \
         different ids, before the formula"
    );
    assert_eq!(
        message(&[definition("f", &lambda(&["x", "y"], ""))]),
        "test.xml:2: MathML `lambda` takes one formula after its arguments; it has 0"
    );
    assert_eq!(
        message(&[definition("f", "<cn>1</cn>")]),
        "test.xml:2: MathML element `cn` is not expected here; expected lambda"
    );
    // L3V2 lets a definition be without a formula; a call of it then means nothing.
    assert_eq!(
        message(&["<functionDefinition id=\"f\"/>".to_owned()]),
        "test.xml:3: `f` is called but is not a function definition with a formula"
    );
}

/// A chain of definitions `f`, `f1` …, each built from the next; the last one is `last`.
fn chain(length: usize, body: impl Fn(&str) -> String, last: &str) -> Vec<String> {
    let name = |i: usize| if i == 0 { "f".to_owned() } else { format!("f{i}") };
    (0..length)
        .map(|i| {
            let body = if i + 1 < length { body(&name(i + 1)) } else { last.to_owned() };
            definition(&name(i), &lambda(&["x", "y"], &body))
        })
        .collect()
}

#[test]
fn growth_is_bounded() {
    let twice = |f: &str| {
        let call = format!("<apply><ci>{f}</ci><ci>x</ci><ci>y</ci></apply>");
        format!("<apply><plus/>{call}{call}</apply>")
    };
    let message = refusal(3, 2, &model_with(&chain(100, twice, &sum("x", "y")), CALL));
    assert!(
        message.ends_with(
            "the model's formulas have more than 5000000 terms with all function calls inlined"
        ),
        "{message}"
    );

    // Long chains that do not grow are fine, in size and in depth.
    let same = |f: &str| format!("<apply><ci>{f}</ci><ci>x</ci><ci>y</ci></apply>");
    let expected = Expr::Call(F::Add, vec![Expr::symbol("a"), Expr::Number(2.0)]);
    assert_eq!(inlined(&chain(2000, same, &sum("x", "y")), CALL), expected);

    let deeper = |f: &str| format!("<apply><minus/>{}</apply>", same(f));
    let message = refusal(3, 2, &model_with(&chain(500, deeper, &sum("x", "y")), CALL));
    assert!(
        message.ends_with("the formula is nested deeper than 400 levels, function calls included"),
        "{message}"
    );
}

#[test]
fn depth_counts_what_is_inlined() {
    let double = definition(
        "f",
        &lambda(&["x"], "<apply><minus/><apply><minus/><ci>x</ci></apply></apply>"),
    );
    let call = |depth: usize| {
        let (open, close) = ("<apply><abs/>".repeat(depth - 1), "</apply>".repeat(depth - 1));
        model_with(
            std::slice::from_ref(&double),
            &format!("<apply><ci>f</ci>{open}<ci>a</ci>{close}</apply>"),
        )
    };
    assert!(read(3, 2, &call(MAX_DEPTH - 2)).is_ok());
    assert!(refusal(3, 2, &call(MAX_DEPTH - 1)).contains("nested deeper than 400 levels"));
}
