use super::super::read_file;
use super::*;

/// Messages about level 3 version 2 models; contents start on line 2.
fn check(cases: &[(&str, &str)]) {
    for (model, expected) in cases {
        assert_eq!(refusal(3, 2, model), format!("test.xml:{expected}"), "{model}");
    }
}

const A: &str = "<listOfParameters><parameter id='a' constant='false'/></listOfParameters>";

#[test]
fn documents() {
    let cases = [
        (
            "<html/>",
            "1: not an SBML file: the root element is `html`; expected `sbml` in the \
          namespace of SBML Level 2 Version 1 to 5 or Level 3 Version 1 to 2",
        ),
        (
            "<sbml/>",
            "1: not an SBML file: the root element is `sbml`; expected `sbml` in the \
          namespace of SBML Level 2 Version 1 to 5 or Level 3 Version 1 to 2",
        ),
        (
            "<sbml xmlns='http://www.sbml.org/sbml/level1' level='1' version='2'/>",
            "1: SBML Level 1 Version 2 in namespace `http://www.sbml.org/sbml/level1` is not \
             supported; accepted: Level 2 Version 1 to 5 and Level 3 Version 1 to 2, in their own \
             namespaces",
        ),
        (
            "<sbml xmlns='http://www.sbml.org/sbml/level2/version4' level='2'/>",
            "1: SBML Level 2 Version (none) in namespace \
             `http://www.sbml.org/sbml/level2/version4` is not supported; accepted: Level 2 \
             Version 1 to 5 and Level 3 Version 1 to 2, in their own namespaces",
        ),
        (
            "<sbml xmlns='http://www.sbml.org/sbml/level2/version4' level='2' version='4'/>",
            "1: `sbml` lacks its element `model`",
        ),
        (
            "<?xml version='1.0'?>\n<!DOCTYPE x [<!ENTITY e 'ee'>]>\n<x>&e;</x>",
            "2: a document type declaration (DTD) is not accepted; remove it and its entities",
        ),
        (
            "<a>\n  <b></a>",
            "2: malformed XML at column 6: expected \\'b\\' tag, not \\'a\\' at 2:6",
        ),
    ];
    for (text, expected) in cases {
        let error = read_str(text, "test.xml").unwrap_err();
        assert_eq!(error.to_string(), format!("test.xml:{expected}"));
    }
    assert!(read_str("", "test.xml").unwrap_err().to_string().contains("malformed XML"));
}

#[test]
fn files() {
    let missing = read_file("/nowhere/model.xml").unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/model.xml: cannot be read: "), "{missing}");
    let path = std::env::temp_dir().join(format!("gradsweep-utf8-{}.xml", std::process::id()));
    std::fs::write(&path, b"<sbml\xff/>").unwrap();
    let message = read_file(&path).unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    assert!(message.ends_with("the file is not UTF-8; save it in that encoding"), "{message}");
}

#[test]
fn structure() {
    check(&[
        (
            "<listOfReaction/>",
            "2: element `listOfReaction` is not expected in `model`; expected: the lists of SBML \
             core (listOfSpecies, listOfReactions, …)",
        ),
        (
            "<listOfSpecies>\n<parameter/></listOfSpecies>",
            "3: element `parameter` is not expected in `listOfSpecies`; expected: species",
        ),
        (
            "<listOfRules>\n<rule/></listOfRules>",
            "3: element `rule` is not expected in `listOfRules`; expected: assignmentRule or \
             rateRule",
        ),
        (
            "<listOfSpecies/><listOfSpecies/>",
            "2: `model` has more than one element `listOfSpecies`",
        ),
        (
            "<listOfReactions><reaction id='r'>\n<law/></reaction></listOfReactions>",
            "3: element `law` is not expected in `reaction`; expected: listOfReactants, \
             listOfProducts, listOfModifiers or kineticLaw",
        ),
    ]);
    let rule = format!("{A}<listOfRules>\n<rateRule variable='a'/></listOfRules>");
    assert_eq!(refusal(3, 1, &rule), "test.xml:3: `rateRule` lacks its element `math`");
    let event = "<listOfEvents>\n<event/></listOfEvents>";
    assert_eq!(refusal(2, 4, event), "test.xml:3: `event` lacks its element `trigger`");
}

#[test]
fn attributes() {
    check(&[
        (
            "<listOfParameters><parameter id='p'/></listOfParameters>",
            "2: `parameter` lacks its attribute `constant`",
        ),
        (
            "<listOfParameters><parameter/></listOfParameters>",
            "2: `parameter` lacks its attribute `id`",
        ),
        (
            "<listOfParameters><parameter id='p' value='1,5' constant='true'/></listOfParameters>",
            "2: attribute `value` is \"1,5\"; expected a number",
        ),
        (
            "<listOfParameters><parameter id='p' constant='yes'/></listOfParameters>",
            "2: attribute `constant` is \"yes\"; expected true or false",
        ),
        (
            "<listOfParameters><parameter id='r.k' constant='true'/></listOfParameters>",
            "2: attribute `id` is \"r.k\"; expected an identifier of at most 255 letters, digits \
             and underscores, starting with no digit",
        ),
    ]);
    assert_eq!(
        refusal(
            2,
            4,
            "<listOfCompartments><compartment id='c' spatialDimensions='4'/></listOfCompartments>"
        ),
        "test.xml:2: attribute `spatialDimensions` is \"4\"; expected 0, 1, 2 or 3"
    );
}

const SPECIES: &str = "hasOnlySubstanceUnits='false' boundaryCondition='false' constant='false'";

/// A model with compartment `c`, species `s` with these attributes, and `rest`.
fn with_species(attributes: &str, rest: &str) -> String {
    format!(
        "<listOfCompartments><compartment id='c' constant='true'/></listOfCompartments>\
         <listOfSpecies><species id='s' compartment='c' {attributes}/></listOfSpecies>{rest}"
    )
}

/// A reaction that makes `s`, on line 3.
const MAKES_S: &str = "<listOfReactions><reaction id='r' reversible='false'><listOfProducts>
    <speciesReference species='s' stoichiometry='1' constant='true'/></listOfProducts></reaction>
    </listOfReactions>";

#[test]
fn identifiers() {
    let species =
        format!("<listOfSpecies><species id='s' compartment='d' {SPECIES}/></listOfSpecies>");
    let product = MAKES_S.replace("'s'", "'t'");
    check(&[
        (
            &species,
            "2: attribute `compartment` names `d`, which is not a compartment of this model",
        ),
        (
            &with_species(SPECIES, &product),
            "3: attribute `species` names `t`, which is not a species of this model",
        ),
        (
            &format!("{A}<listOfEvents>\n<event id='a'/></listOfEvents>"),
            "3: the id `a` is already taken on line 2; ids must be unique in the model",
        ),
        (
            "<listOfParameters><parameter id='a' constant='true'/>\n\
             <parameter id='a' constant='true'/></listOfParameters>",
            "3: the id `a` is already taken on line 2; ids must be unique in the model",
        ),
        (
            "<listOfRules>\n<rateRule variable='a'/></listOfRules>",
            "3: attribute `variable` names `a`, which is not a compartment, species, parameter or \
             species reference of this model",
        ),
        (
            &with_species(&format!("{SPECIES} conversionFactor='c'"), ""),
            "2: attribute `conversionFactor` names `c`, which is not a parameter of this model",
        ),
        (
            &with_species(&format!("{SPECIES} conversionFactor='a'"), A),
            "2: attribute `conversionFactor` names `a`, which is not a parameter with \
             constant=\"true\" of this model",
        ),
        (
            "<listOfReactions><reaction id='r'><kineticLaw><listOfLocalParameters>\
             <localParameter id='k'/>\n<localParameter id='k'/></listOfLocalParameters>\
             </kineticLaw></reaction></listOfReactions>",
            "3: the id `k` is already taken on line 2; ids must be unique in the model",
        ),
    ]);
}

#[test]
fn a_local_parameter_is_unknown_outside_its_law() {
    let law = format!(
        "<kineticLaw>{}<listOfLocalParameters><localParameter id='k'/></listOfLocalParameters>\
         </kineticLaw>",
        math("<ci>k</ci>")
    );
    let other = format!("<kineticLaw>\n{}</kineticLaw>", math("<ci>k</ci>"));
    let model = format!(
        "<listOfReactions><reaction id='r'>{law}</reaction><reaction id='q'>{other}</reaction>\
         </listOfReactions>"
    );
    assert_eq!(
        refusal(3, 2, &model),
        "test.xml:3: `k` is unknown here; expected a local parameter or the id of a species, \
         compartment, parameter, reaction or species reference"
    );
}

fn rule(kind: &str, variable: &str) -> String {
    format!("<{kind} variable='{variable}'>{}</{kind}>", math("<cn>1</cn>"))
}

fn event_on(variable: &str, assignments: usize) -> String {
    let one = math("<cn>1</cn>");
    let assignment = format!("\n<eventAssignment variable='{variable}'>{one}</eventAssignment>");
    format!(
        "<listOfEvents><event useValuesFromTriggerTime='true'><listOfEventAssignments>{}\
         </listOfEventAssignments></event></listOfEvents>",
        assignment.repeat(assignments)
    )
}

#[test]
fn unsupported_mathematics() {
    check(&[
        (
            "<listOfRules>\n<algebraicRule/></listOfRules>",
            "3: algebraic rules are not supported; solve the equation for a variable and write an \
             assignment or rate rule",
        ),
        (
            "<listOfReactions>\n<reaction id='r' fast='true'/></listOfReactions>",
            "3: reaction `r` has fast=\"true\", which is not supported; give it a finite rate and \
             fast=\"false\"",
        ),
    ]);
}

#[test]
fn forbidden_combinations() {
    let (assignment, rate) = (rule("assignmentRule", "a"), rule("rateRule", "a"));
    let one = math("<cn>1</cn>");
    let initial = format!("<initialAssignment symbol='a'>{one}</initialAssignment>");
    let fixed = "<listOfParameters><parameter id='a' constant='true'/></listOfParameters>";
    check(&[
        (
            &format!("{A}<listOfRules>{assignment}\n{rate}</listOfRules>"),
            "3: `a` has two rules (the other is on line 2); one is accepted",
        ),
        (
            &format!(
                "{A}<listOfInitialAssignments>{initial}\n{initial}</listOfInitialAssignments>"
            ),
            "3: `a` has two initial assignments (the other is on line 2); one is accepted",
        ),
        (
            &format!(
                "{A}<listOfInitialAssignments>{initial}</listOfInitialAssignments>\n\
                 <listOfRules>{assignment}</listOfRules>"
            ),
            "3: `a` has an assignment rule and, on line 2, an initial assignment; the rule holds \
             at the start too: keep one of them",
        ),
        (
            &format!("{A}{}", event_on("a", 2)),
            "4: `a` has two assignments in one event (the other is on line 3); one is accepted",
        ),
        (
            &format!("{A}<listOfRules>{assignment}</listOfRules>{}", event_on("a", 1)),
            "3: `a` has an assignment rule (line 2) and is changed by an event; only variables \
             without an assignment rule may be changed by events",
        ),
        (
            &format!("{fixed}{}", event_on("a", 1)),
            "3: `a` is declared constant=\"true\" but is changed by an event",
        ),
        (
            &format!("{fixed}<listOfRules>\n{rate}</listOfRules>"),
            "3: `a` is declared constant=\"true\" but is changed by a rule",
        ),
        (
            &with_species(&SPECIES.replace(" constant='false'", " constant='true'"), MAKES_S),
            "3: `s` is declared constant=\"true\" but is changed by a reaction (and no boundary \
             condition)",
        ),
        (
            &with_species(
                SPECIES,
                &format!("<listOfRules>{}</listOfRules>{MAKES_S}", rule("rateRule", "s")),
            ),
            "3: species `s` is changed by a reaction and by a rule (line 2); declare \
             boundaryCondition=\"true\" or drop one of them",
        ),
        (
            &with_species(&format!("{SPECIES} initialAmount='1' initialConcentration='1'"), ""),
            "2: species `s` has both an initial amount and an initial concentration",
        ),
    ]);
    // A rate rule and an initial assignment go together.
    let both = format!(
        "{A}<listOfInitialAssignments>{initial}</listOfInitialAssignments>\
         <listOfRules>{rate}</listOfRules>"
    );
    assert!(read(3, 2, &both).is_ok());
}
