use super::super::{
    Event, InitialValue, KineticLaw, LocalParameter, Place, Reaction, RuleKind, Side,
    Stoichiometry, Symbol,
};
use super::*;
use crate::math::{Expr, Function as F};

fn place(line: u32) -> Place {
    Place { file: "test.xml".into(), line }
}

#[test]
fn level_2_defaults() {
    let model = read(
        2,
        4,
        "<listOfCompartments><compartment id='c'/></listOfCompartments>
         <listOfSpecies><species id='s' compartment='c' initialConcentration='2'/></listOfSpecies>
         <listOfParameters><parameter id='p'/></listOfParameters>
         <listOfReactions><reaction id='r'><listOfReactants><speciesReference species='s'/>
         </listOfReactants></reaction></listOfReactions>",
    )
    .unwrap();
    let compartment = &model.compartments[0];
    assert_eq!((compartment.size, compartment.spatial_dimensions), (None, Some(3.0)));
    assert!(compartment.constant && model.parameters[0].constant);
    let species = &model.species[0];
    assert_eq!(species.initial, InitialValue::Concentration(2.0));
    assert!(!species.constant && !species.boundary_condition && !species.has_only_substance_units);
    assert_eq!(species.place, place(3));
    assert_eq!(model.parameters[0].value, None);
    let reaction = &model.reactions[0];
    assert!(reaction.reversible && !reaction.fast && reaction.kinetic_law.is_none());
    assert_eq!(reaction.reactants[0].stoichiometry, Stoichiometry::Number(1.0));
    assert!(reaction.reactants[0].constant);
    assert_eq!((model.level, model.version, model.id.as_deref()), (2, 4, Some("m")));
}

#[test]
fn every_level_and_version() {
    for (level, version) in [(2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (3, 1), (3, 2)] {
        let model = read(level, version, "").unwrap();
        assert_eq!((model.level, model.version), (level, version));
        assert!(model.ignored.is_empty());
    }
}

#[test]
fn level_3_attributes() {
    let model = read(
        3,
        1,
        "<listOfCompartments>
         <compartment id='c' size='2.5' spatialDimensions='2.5' constant='0'/></listOfCompartments>
         <listOfSpecies><species id='s' name='S' compartment='c' initialAmount='INF'
           hasOnlySubstanceUnits='true' boundaryCondition='1' constant='false'
           conversionFactor='k'/></listOfSpecies>
         <listOfParameters><parameter id='k' value='3' constant='true'/></listOfParameters>
         <listOfReactions><reaction id='r' reversible='false' fast='false'>
         <listOfProducts><speciesReference id='n' species='s' constant='false'/></listOfProducts>
         <listOfModifiers><modifierSpeciesReference species='s'/></listOfModifiers>
         </reaction></listOfReactions>",
    )
    .unwrap();
    let compartment = &model.compartments[0];
    assert_eq!((compartment.size, compartment.spatial_dimensions), (Some(2.5), Some(2.5)));
    assert!(!compartment.constant);
    let species = &model.species[0];
    assert_eq!(species.initial, InitialValue::Amount(f64::INFINITY));
    assert!(species.has_only_substance_units && species.boundary_condition && !species.constant);
    assert_eq!(species.conversion_factor.as_deref(), Some("k"));
    assert_eq!(species.name.as_deref(), Some("S"));
    let reaction = &model.reactions[0];
    assert_eq!(reaction.modifiers, ["s"]);
    assert!(!reaction.reversible);
    assert_eq!(reaction.products[0].stoichiometry, Stoichiometry::Missing);
    assert!(!reaction.products[0].constant);
    let expected = [
        ("c", Symbol::Compartment(0)),
        ("s", Symbol::Species(0)),
        ("k", Symbol::Parameter(0)),
        ("r", Symbol::Reaction(0)),
        ("n", Symbol::SpeciesReference { reaction: 0, side: Side::Product, index: 0 }),
    ];
    assert_eq!(model.symbols.len(), expected.len());
    for (id, symbol) in expected {
        assert_eq!(model.symbols.get(id), Some(&symbol));
    }
}

#[test]
fn rules_and_initial_assignments() {
    let model = read(
        3,
        2,
        &format!(
            "<listOfParameters>{}{}</listOfParameters>
             <listOfInitialAssignments><initialAssignment symbol='b'>{}</initialAssignment>
             </listOfInitialAssignments>
             <listOfRules><assignmentRule variable='a'>{}</assignmentRule>
             <rateRule variable='b'>{}</rateRule></listOfRules>",
            parameter("a", false),
            parameter("b", false),
            math("<cn>1</cn>"),
            math("<cn>2</cn>"),
            math("<cn>3</cn>"),
        ),
    )
    .unwrap();
    let rules: Vec<_> =
        model.rules.iter().map(|r| (r.kind, r.variable.as_str(), r.math.clone())).collect();
    assert_eq!(
        rules,
        [(RuleKind::Assignment, "a", Expr::Number(2.0)), (RuleKind::Rate, "b", Expr::Number(3.0))]
    );
    assert_eq!(model.rules[1].place, place(6));
    assert_eq!(model.initial_assignments[0].symbol, "b");
    assert_eq!(model.initial_assignments[0].math, Expr::Number(1.0));
}

/// The reaction `r` of a model with a species `s`, a parameter `k` and this kinetic law.
fn reaction(level: u8, law: &str) -> Reaction {
    let list = format!(
        "<listOfCompartments><compartment id='c' constant='true'/></listOfCompartments>
         <listOfSpecies><species id='s' compartment='c' constant='false'
           boundaryCondition='false' hasOnlySubstanceUnits='false'/></listOfSpecies>
         <listOfParameters>{}</listOfParameters>
         <listOfReactions><reaction id='r' reversible='true' fast='false'>
         {law}</reaction></listOfReactions>",
        parameter("k", true)
    );
    read(level, 1, &list).unwrap().reactions.remove(0)
}

#[test]
fn local_parameters_hide_ids_under_a_name_of_their_own() {
    let formula = math("<apply><times/><ci>k</ci><ci>s</ci><ci>q</ci></apply>");
    for (level, list, item) in
        [(2, "listOfParameters", "parameter"), (3, "listOfLocalParameters", "localParameter")]
    {
        let law = format!(
            "<kineticLaw>{formula}<{list}>\n<{item} id='k' value='4'/><{item} id='q'/></{list}>\
             </kineticLaw>"
        );
        let expected = ["r.k", "s", "r.q"].map(Expr::symbol).to_vec();
        let local = |id: &str, value| LocalParameter {
            symbol: format!("r.{id}"),
            id: id.into(),
            value,
            place: place(8),
        };
        assert_eq!(
            reaction(level, &law).kinetic_law,
            Some(KineticLaw {
                math: Expr::Call(F::Mul, expected),
                local_parameters: vec![local("k", Some(4.0)), local("q", None)],
                place: place(7),
            })
        );
    }
}

#[test]
fn stoichiometry_math_of_level_2() {
    let list = format!(
        "<listOfReactants><speciesReference species='s' stoichiometry='2'/>\
         <speciesReference id='n' species='s'><stoichiometryMath>{}</stoichiometryMath>\
         </speciesReference></listOfReactants>",
        math("<ci>k</ci>")
    );
    let reaction = reaction(2, &list);
    let found: Vec<_> = reaction.reactants.iter().map(|r| (&r.stoichiometry, r.constant)).collect();
    let formula = Stoichiometry::Math(Expr::symbol("k"));
    assert_eq!(found, [(&Stoichiometry::Number(2.0), true), (&formula, false)]);
}

fn event(level: u8, version: u8, attributes: &str, content: &str) -> Event {
    let list = format!(
        "<listOfParameters>{}</listOfParameters><listOfEvents><event {attributes}>{content}</event>\
         </listOfEvents>",
        parameter("a", false)
    );
    read(level, version, &list).unwrap().events.remove(0)
}

fn assign(value: &str) -> String {
    format!(
        "<listOfEventAssignments><eventAssignment variable='a'>{}</eventAssignment>\
         </listOfEventAssignments>",
        math(value)
    )
}

#[test]
fn events() {
    let trigger = math("<true/>");
    let two = event(2, 4, "", &format!("<trigger>{trigger}</trigger>{}", assign("<cn>2</cn>")));
    assert!(two.use_values_from_trigger_time);
    assert!(two.trigger.initial_value && two.trigger.persistent);
    assert_eq!((&two.delay, &two.priority, &two.id), (&None, &None, &None));
    assert_eq!(two.assignments[0].variable, "a");
    assert_eq!(two.assignments[0].math, Expr::Number(2.0));

    let content = format!(
        "<trigger initialValue='false' persistent='false'>{trigger}</trigger>\
         <delay>{}</delay><priority>{}</priority>",
        math("<cn>1</cn>"),
        math("<cn>2</cn>")
    );
    let three = event(3, 2, "id='e' useValuesFromTriggerTime='false'", &content);
    assert!(!three.use_values_from_trigger_time);
    assert!(!three.trigger.initial_value && !three.trigger.persistent);
    assert_eq!(three.trigger.math, Some(Expr::Number(1.0)));
    assert_eq!(three.delay, Some(Expr::Number(1.0)));
    assert_eq!(three.priority, Some(Expr::Number(2.0)));
    assert_eq!(three.id.as_deref(), Some("e"));
}

#[test]
fn formulas_that_level_3_version_2_leaves_out() {
    let model = read(
        3,
        2,
        &format!(
            "<listOfParameters>{}</listOfParameters>
             <listOfInitialAssignments><initialAssignment symbol='a'/></listOfInitialAssignments>
             <listOfRules><rateRule variable='a'/></listOfRules>
             <listOfReactions><reaction id='r' reversible='true'><kineticLaw/></reaction>
             </listOfReactions>
             <listOfEvents><event useValuesFromTriggerTime='true'>
             <delay/><listOfEventAssignments><eventAssignment variable='a'/>
             </listOfEventAssignments></event></listOfEvents>",
            parameter("a", false)
        ),
    )
    .unwrap();
    assert!(model.initial_assignments.is_empty() && model.rules.is_empty());
    assert!(model.reactions[0].kinetic_law.is_none());
    let event = &model.events[0];
    assert!(event.trigger.math.is_none() && event.delay.is_none() && event.assignments.is_empty());
    assert_eq!(
        model.ignored,
        [
            "initialAssignment without a formula (line 3)",
            "rateRule without a formula (line 4)",
            "kineticLaw without a formula (line 5)",
            "eventAssignment without a formula (line 8)",
            "event without a trigger (line 7)",
            "delay without a formula (line 8)",
        ]
    );
}

#[test]
fn what_is_ignored() {
    let model = read(
        3,
        1,
        "<notes><p xmlns='http://www.w3.org/1999/xhtml'>n</p></notes>
         <annotation><model xmlns='http://www.sbml.org/sbml/level3/version1/core'/></annotation>
         <listOfUnitDefinitions><unitDefinition id='u'/></listOfUnitDefinitions>
         <listOfParameters><notes/><parameter id='u' constant='true'/></listOfParameters>
         <listOfConstraints><constraint/><constraint/></listOfConstraints>
         <x:listOfLayouts xmlns:x='http://www.sbml.org/sbml/level3/version1/layout/version1'>
         <x:layout x:id='u'/></x:listOfLayouts>",
    )
    .unwrap();
    assert_eq!(model.ignored, ["2 constraint(s)", "package layout"]);
    assert_eq!(model.parameters.len(), 1);
}

/// A document that declares a package, around these contents of its model.
fn with_package(required: &str, model: &str) -> Result<Model, SbmlError> {
    let text = format!(
        "<sbml xmlns='http://www.sbml.org/sbml/level3/version1/core' level='3' version='1' \
         xmlns:x='http://www.sbml.org/sbml/level3/version1/comp/version1' {required}>\n\
         <model>\n{model}</model></sbml>"
    );
    read_str(&text, "test.xml")
}

#[test]
fn packages() {
    let submodels = "<x:listOfSubmodels/>";
    assert!(with_package("x:required='true'", "").unwrap().ignored.is_empty());
    assert_eq!(with_package("x:required='false'", submodels).unwrap().ignored, ["package comp"]);
    let refused = |required, model| with_package(required, model).unwrap_err().to_string();
    let expected = |item: &str| {
        format!(
            "test.xml:3: the model uses the SBML package `comp` (`{item}`), which is declared to \
             change the model's mathematics and is not supported; flatten or export the model to \
             SBML core"
        )
    };
    assert_eq!(refused("x:required='true'", submodels), expected("listOfSubmodels"));
    assert_eq!(refused("", submodels), expected("listOfSubmodels"));
    let attribute = "<listOfParameters x:a='b'/>";
    assert_eq!(refused("x:required='true'", attribute), expected("a"));
}

#[test]
fn an_attribute_of_a_package_is_not_the_core_attribute() {
    let model = with_package(
        "x:required='false'",
        "<listOfParameters><parameter id='a' x:value='2' constant='true'/></listOfParameters>",
    )
    .unwrap();
    assert_eq!(model.parameters[0].value, None);
}
