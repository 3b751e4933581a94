//! What the parts of a model forbid each other.

use std::collections::HashMap;

use super::cycles;
use super::error::{Place, Problem, SbmlError};
use super::model::{Model, RuleKind, Side, Symbol};
use super::xml::{Node, Source};

/// Checks the combinations of rules, initial assignments, reactions and events.
pub(super) fn check(source: &Source, node: Node, model: &Model) -> Result<(), SbmlError> {
    let rules = rules(model)?;
    initial_assignments(model, &rules)?;
    reactions(model, &rules)?;
    events(model, &rules)?;
    cycles::check(model)?;
    conversion_factors(source, node, model)
}

fn error(place: &Place, problem: Problem) -> SbmlError {
    SbmlError { place: place.clone(), problem }
}

/// The rule of each variable: its kind and line.
type Rules<'m> = HashMap<&'m str, (RuleKind, u32)>;

fn rules(model: &Model) -> Result<Rules<'_>, SbmlError> {
    let mut rules = Rules::new();
    for rule in &model.rules {
        let variable = rule.variable.clone();
        if let Some((_, first)) = rules.insert(&rule.variable, (rule.kind, rule.place.line)) {
            let what = "rules";
            return Err(error(&rule.place, Problem::TwoDefinitions { variable, what, first }));
        }
        if is_constant(model, &rule.variable) {
            let by = "a rule";
            return Err(error(&rule.place, Problem::ConstantChanged { variable, by }));
        }
    }
    Ok(rules)
}

fn is_constant(model: &Model, id: &str) -> bool {
    let constant = match model.symbols.get(id) {
        Some(Symbol::Compartment(i)) => model.compartments.get(*i).map(|c| c.constant),
        Some(Symbol::Species(i)) => model.species.get(*i).map(|s| s.constant),
        Some(Symbol::Parameter(i)) => model.parameters.get(*i).map(|p| p.constant),
        Some(Symbol::SpeciesReference { reaction, side, index }) => {
            let side = model.reactions.get(*reaction).map(|r| match side {
                Side::Reactant => &r.reactants,
                Side::Product => &r.products,
            });
            side.and_then(|references| references.get(*index)).map(|r| r.constant)
        }
        Some(Symbol::Reaction(_)) | None => None,
    };
    constant.unwrap_or(false)
}

fn initial_assignments(model: &Model, rules: &Rules) -> Result<(), SbmlError> {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for assignment in &model.initial_assignments {
        let (place, variable) = (&assignment.place, assignment.symbol.clone());
        if let Some(first) = seen.insert(&assignment.symbol, place.line) {
            let what = "initial assignments";
            return Err(error(place, Problem::TwoDefinitions { variable, what, first }));
        }
        if rules.get(variable.as_str()).is_some_and(|(kind, _)| *kind == RuleKind::Assignment) {
            // Reported at the rule: it may stay where the initial assignment goes.
            let rule = model.rules.iter().find(|rule| rule.variable == variable);
            let problem = Problem::RuleAndInitialAssignment { variable, first: place.line };
            return Err(error(rule.map_or(place, |rule| &rule.place), problem));
        }
    }
    Ok(())
}

fn reactions(model: &Model, rules: &Rules) -> Result<(), SbmlError> {
    for reference in model.reactions.iter().flat_map(|r| r.reactants.iter().chain(&r.products)) {
        let Some(Symbol::Species(i)) = model.symbols.get(&reference.species) else { continue };
        let Some(species) = model.species.get(*i).filter(|s| !s.boundary_condition) else {
            continue;
        };
        if species.constant {
            let (variable, by) = (species.id.clone(), "a reaction (and no boundary condition)");
            return Err(error(&reference.place, Problem::ConstantChanged { variable, by }));
        }
        if let Some((_, first)) = rules.get(species.id.as_str()) {
            let problem = Problem::RuleAndReaction { species: species.id.clone(), first: *first };
            return Err(error(&reference.place, problem));
        }
    }
    Ok(())
}

fn events(model: &Model, rules: &Rules) -> Result<(), SbmlError> {
    for event in &model.events {
        let mut seen: HashMap<&str, u32> = HashMap::new();
        for assignment in &event.assignments {
            let (place, variable) = (&assignment.place, assignment.variable.clone());
            if let Some(first) = seen.insert(&assignment.variable, place.line) {
                let what = "assignments in one event";
                return Err(error(place, Problem::TwoDefinitions { variable, what, first }));
            }
            if is_constant(model, &variable) {
                let by = "an event";
                return Err(error(place, Problem::ConstantChanged { variable, by }));
            }
            if let Some((RuleKind::Assignment, first)) = rules.get(variable.as_str()) {
                return Err(error(place, Problem::RuleAndEvent { variable, first: *first }));
            }
        }
    }
    Ok(())
}

fn conversion_factors(source: &Source, node: Node, model: &Model) -> Result<(), SbmlError> {
    let of_model = model.conversion_factor.iter().map(|id| (id, source.place(node)));
    let of_species = model
        .species
        .iter()
        .filter_map(|s| s.conversion_factor.as_ref().map(|id| (id, s.place.clone())));
    for (id, place) in of_model.chain(of_species) {
        if !is_constant(model, id) {
            let problem = Problem::UnknownReference {
                attribute: "conversionFactor",
                id: id.clone(),
                expected: "a parameter with constant=\"true\"",
            };
            return Err(SbmlError { place, problem });
        }
    }
    Ok(())
}
