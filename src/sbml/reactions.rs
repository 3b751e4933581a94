//! Reactions (section 4.11).

use std::collections::HashMap;

use super::error::{Problem, SbmlError};
use super::mathml::Scope;
use super::model::{KineticLaw, LocalParameter, Reaction, SpeciesReference, Stoichiometry, Symbol};
use super::read::{Reader, name};
use super::xml::{MATHML, Node, Source};

pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    model: Node<'a>,
) -> Result<Vec<Reaction>, SbmlError> {
    let nodes = reader.source.items(model, "listOfReactions", "reaction")?;
    nodes.into_iter().map(|node| reaction(reader, node)).collect()
}

fn reaction<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Result<Reaction, SbmlError> {
    const PARTS: [&str; 4] = ["listOfReactants", "listOfProducts", "listOfModifiers", "kineticLaw"];
    let source = reader.source;
    let expected = "listOfReactants, listOfProducts, listOfModifiers or kineticLaw";
    source.expect_only(node, expected, |n| PARTS.iter().any(|part| source.is_core(n, part)))?;
    let id = source.required_id(node, "id")?.to_owned();
    if source.flag_or(node, "fast", false)? {
        return Err(source.error(node, Problem::FastReaction { reaction: id }));
    }
    let mut modifiers = Vec::new();
    for modifier in source.items(node, "listOfModifiers", "modifierSpeciesReference")? {
        modifiers.push(species_of(reader, modifier)?);
    }
    let kinetic_law = match source.child(node, "kineticLaw")? {
        Some(law) => kinetic_law(reader, law, &id)?,
        None => None,
    };
    Ok(Reaction {
        id,
        name: name(node),
        reactants: references(reader, node, "listOfReactants")?,
        products: references(reader, node, "listOfProducts")?,
        modifiers,
        kinetic_law,
        reversible: source.flag_or(node, "reversible", true)?,
        fast: false,
        place: source.place(node),
    })
}

fn species_of(reader: &Reader, node: Node) -> Result<String, SbmlError> {
    let accepts = |symbol| matches!(symbol, Symbol::Species(_));
    reader.ids.reference(reader.source, node, "species", "a species", accepts)
}

fn references<'a>(
    reader: &mut Reader<'a>,
    reaction: Node<'a>,
    list: &str,
) -> Result<Vec<SpeciesReference>, SbmlError> {
    let source = reader.source;
    let mut found = Vec::new();
    for node in source.items(reaction, list, "speciesReference")? {
        source.expect_only(node, "stoichiometryMath (level 2)", |n| {
            source.level == 2 && source.is_core(n, "stoichiometryMath")
        })?;
        let formula = match source.child(node, "stoichiometryMath")? {
            Some(formula) => reader.formula(formula)?,
            None => None,
        };
        let is_formula = formula.is_some();
        let stoichiometry = match (formula, source.number(node, "stoichiometry")?) {
            (Some(formula), _) => Stoichiometry::Math(formula),
            (None, Some(number)) => Stoichiometry::Number(number),
            (None, None) if source.level == 2 => Stoichiometry::Number(1.0),
            (None, None) => Stoichiometry::Missing,
        };
        found.push(SpeciesReference {
            id: source.id(node, "id")?.map(str::to_owned),
            species: species_of(reader, node)?,
            stoichiometry,
            constant: if source.level == 2 {
                !is_formula
            } else {
                source.flag(node, "constant", true)?
            },
            place: source.place(node),
        });
    }
    Ok(found)
}

/// The law, its local parameters under unique names; `None` for one without a formula.
fn kinetic_law<'a>(
    reader: &mut Reader<'a>,
    node: Node<'a>,
    reaction: &str,
) -> Result<Option<KineticLaw>, SbmlError> {
    let source = reader.source;
    let (list, item) = match source.level {
        2 => ("listOfParameters", "parameter"),
        _ => ("listOfLocalParameters", "localParameter"),
    };
    source.expect_only(node, "math or a list of local parameters", |n| {
        source.is_core(n, list) || n.has_tag_name((MATHML, "math"))
    })?;
    let nodes = source.items(node, list, item)?;
    let mut local_parameters = Vec::with_capacity(nodes.len());
    let mut names = HashMap::with_capacity(nodes.len());
    for node in nodes {
        let parameter = local_parameter(source, node, reaction)?;
        let id = source.required_id(node, "id")?;
        if names.insert(id, parameter.symbol.clone()).is_some() {
            let first = local_parameters
                .iter()
                .find(|p: &&LocalParameter| p.id == id)
                .map_or(0, |p| p.place.line);
            let id = id.to_owned();
            return Err(source.error(node, Problem::DuplicateId { id, first }));
        }
        local_parameters.push(parameter);
    }
    let Some(math) = source.math(node)? else {
        reader.no_formula(node);
        return Ok(None);
    };
    let math = reader.math.read(math, &Scope::Law(reader.ids, &names))?;
    Ok(Some(KineticLaw { math, local_parameters, place: source.place(node) }))
}

fn local_parameter(
    source: &Source,
    node: Node,
    reaction: &str,
) -> Result<LocalParameter, SbmlError> {
    let id = source.required_id(node, "id")?.to_owned();
    Ok(LocalParameter {
        symbol: format!("{reaction}.{id}"),
        id,
        value: source.number(node, "value")?,
        place: source.place(node),
    })
}
