//! The model's name space: every id, what it names, and that none is taken twice.

use std::collections::HashMap;

use super::error::{Problem, SbmlError};
use super::model::{Side, Symbol};
use super::xml::{Node, Source};

type ToSymbol = fn(usize) -> Symbol;

/// The ids of a model.
pub(super) struct Ids {
    /// What each id names (`None`: something that has no value) and on which line.
    taken: HashMap<String, (Option<Symbol>, u32)>,
}

impl Ids {
    /// Collects the ids of a `model` element.
    pub(super) fn collect(source: &Source, model: Node) -> Result<Self, SbmlError> {
        let mut ids = Self { taken: HashMap::new() };
        let lists: [(&str, &'static str, ToSymbol); 3] = [
            ("listOfCompartments", "compartment", Symbol::Compartment),
            ("listOfSpecies", "species", Symbol::Species),
            ("listOfParameters", "parameter", Symbol::Parameter),
        ];
        for (list, item, symbol) in lists {
            for (i, node) in source.items(model, list, item)?.into_iter().enumerate() {
                source.required(node, "id")?;
                ids.take(source, node, Some(symbol(i)))?;
            }
        }
        for (i, node) in source.items(model, "listOfReactions", "reaction")?.into_iter().enumerate()
        {
            source.required(node, "id")?;
            ids.take(source, node, Some(Symbol::Reaction(i)))?;
            for (side, list) in
                [(Side::Reactant, "listOfReactants"), (Side::Product, "listOfProducts")]
            {
                let references = source.items(node, list, "speciesReference")?;
                for (index, reference) in references.into_iter().enumerate() {
                    let symbol = Symbol::SpeciesReference { reaction: i, side, index };
                    ids.take(source, reference, Some(symbol))?;
                }
            }
        }
        for node in
            source.model_part(model).filter(|n| n.tag_name().namespace() == Some(source.core))
        {
            let named = match node.tag_name().name() {
                // These were taken above.
                "compartment" | "species" | "reaction" | "speciesReference" => false,
                // Units and local parameters have name spaces of their own. A model's id is in
                // this one, but nothing can refer to it and tools reuse it.
                "parameter" | "localParameter" | "unitDefinition" | "unit" | "model" => false,
                "functionDefinition" | "event" | "modifierSpeciesReference" => true,
                // Compartment types and species types of levels 2.2 to 2.5.
                "compartmentType" | "speciesType" => true,
                // Everything may have an id from Level 3 Version 2 on (section 3.2).
                _ => source.math_is_optional(),
            };
            if named {
                ids.take(source, node, None)?;
            }
        }
        Ok(ids)
    }

    fn take(
        &mut self,
        source: &Source,
        node: Node,
        symbol: Option<Symbol>,
    ) -> Result<(), SbmlError> {
        let Some(id) = source.id(node, "id")? else { return Ok(()) };
        let line = source.place(node).line;
        match self.taken.insert(id.to_owned(), (symbol, line)) {
            None => Ok(()),
            Some((_, first)) => {
                Err(source.error(node, Problem::DuplicateId { id: id.to_owned(), first }))
            }
        }
    }

    /// What the id means in a formula.
    pub(super) fn symbol(&self, id: &str) -> Option<Symbol> {
        self.taken.get(id).and_then(|(symbol, _)| *symbol)
    }

    /// An attribute that must name one of the things for which `accepts` holds.
    pub(super) fn reference(
        &self,
        source: &Source,
        node: Node,
        attribute: &'static str,
        expected: &'static str,
        accepts: impl Fn(Symbol) -> bool,
    ) -> Result<String, SbmlError> {
        let id = source.required_id(node, attribute)?;
        if self.symbol(id).is_some_and(accepts) {
            return Ok(id.to_owned());
        }
        let id = id.to_owned();
        Err(source.error(node, Problem::UnknownReference { attribute, id, expected }))
    }

    /// An attribute that must name a variable: what rules, initial assignments and event
    /// assignments act on.
    pub(super) fn variable(
        &self,
        source: &Source,
        node: Node,
        attribute: &'static str,
    ) -> Result<String, SbmlError> {
        let expected = "a compartment, species, parameter or species reference";
        self.reference(source, node, attribute, expected, |symbol| {
            !matches!(symbol, Symbol::Reaction(_))
        })
    }

    /// The ids that mean something in formulas.
    pub(super) fn into_symbols(self) -> HashMap<String, Symbol> {
        self.taken.into_iter().filter_map(|(id, (symbol, _))| Some((id, symbol?))).collect()
    }
}
