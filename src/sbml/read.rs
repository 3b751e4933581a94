//! From a file to a [`Model`]: the document, and the parts of a model that stand alone.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use roxmltree::{Document, ParsingOptions};

use super::error::{Problem, SbmlError};
use super::ids::Ids;
use super::mathml::{MathReader, Scope};
use super::model::*;
use super::xml::{MATHML, Node, Positions, Source, attribute, shortened};
use super::{checks, events, functions, packages, reactions};
use crate::math::Expr;

/// Largest file that is read.
const MAX_BYTES: u64 = 128 << 20;
/// Most XML nodes that are kept; a large model has some hundred thousand.
const MAX_XML_NODES: u32 = 8_000_000;

const NAMESPACES: [(u8, u8, &str); 7] = [
    (2, 1, "http://www.sbml.org/sbml/level2"),
    (2, 2, "http://www.sbml.org/sbml/level2/version2"),
    (2, 3, "http://www.sbml.org/sbml/level2/version3"),
    (2, 4, "http://www.sbml.org/sbml/level2/version4"),
    (2, 5, "http://www.sbml.org/sbml/level2/version5"),
    (3, 1, "http://www.sbml.org/sbml/level3/version1/core"),
    (3, 2, "http://www.sbml.org/sbml/level3/version2/core"),
];

/// Reads an SBML file.
///
/// # Errors
///
/// If the file cannot be read or is not UTF-8, and for everything that [`read_str`] refuses.
pub fn read_file(path: impl AsRef<Path>) -> Result<Model, SbmlError> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let fail = |problem| {
        let place = Positions::new(&name, "").at_line(0);
        SbmlError { place, problem }
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| fail(Problem::Io(e)))?;
    let size = file.metadata().map_err(|e| fail(Problem::Io(e)))?.len();
    if size > MAX_BYTES {
        return Err(fail(Problem::TooLarge { bytes: size, limit: MAX_BYTES }));
    }
    // Not every file knows its size: pipes and devices say 0.
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| fail(Problem::Io(e)))?;
    let text = String::from_utf8(bytes).map_err(|_| fail(Problem::Encoding))?;
    read_str(&text, &name)
}

/// Reads an SBML document; `name` stands for the file in errors and in [`Place`](super::Place)s.
///
/// # Errors
///
/// If the text is too large, not well-formed XML, not SBML of a supported level, breaks one of
/// the specification's rules that give a model its meaning, or uses what is not supported: see
/// [`Problem`].
pub fn read_str(text: &str, name: &str) -> Result<Model, SbmlError> {
    let positions = Positions::new(name, text);
    let bytes = text.len() as u64;
    if bytes > MAX_BYTES {
        let problem = Problem::TooLarge { bytes, limit: MAX_BYTES };
        return Err(SbmlError { place: positions.at_line(0), problem });
    }
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MAX_XML_NODES,
        ..ParsingOptions::default()
    };
    let document =
        Document::parse_with_options(text, options).map_err(|e| xml_error(&positions, text, &e))?;
    let root = document.root_element();
    let source = open(positions, root)?;
    let is_model = |node: Node| source.is_core(node, "model");
    source.expect_only(root, "model", is_model)?;
    let Some(model) = source.child(root, "model")? else {
        let (parent, element) = ("sbml".to_owned(), "model");
        return Err(source.error(root, Problem::MissingElement { parent, element }));
    };
    let used = packages::check(&source, root)?;
    let mut model = read_model(&source, model)?;
    model.ignored.extend(used.into_iter().map(|package| format!("package {package}")));
    Ok(model)
}

fn xml_error(positions: &Positions, text: &str, error: &roxmltree::Error) -> SbmlError {
    let at = error.pos();
    let (place, problem) = match error {
        roxmltree::Error::DtdDetected => {
            let line = text.find("<!DOCTYPE").map_or(0, |offset| positions.line(offset));
            (positions.at_line(line), Problem::Dtd)
        }
        roxmltree::Error::NodesLimitReached => {
            (positions.at_line(0), Problem::TooManyXmlNodes { limit: MAX_XML_NODES })
        }
        other => {
            let message = shortened(&other.to_string());
            (positions.at_line(at.row), Problem::Xml { column: at.col, message })
        }
    };
    SbmlError { place, problem }
}

/// Finds level, version and namespace of a document.
fn open(positions: Positions, root: Node) -> Result<Source, SbmlError> {
    let namespace = root.tag_name().namespace().unwrap_or_default();
    let found = root.tag_name().name();
    if found != "sbml" || !namespace.starts_with("http://www.sbml.org/sbml/") {
        let problem = Problem::NotSbml { found: shortened(found) };
        return Err(positions.error(root, problem));
    }
    let (level, version) = (attribute(root, "level"), attribute(root, "version"));
    let number = |text: Option<&str>| text.and_then(|t| t.parse::<u8>().ok());
    let known = NAMESPACES.iter().find(|(l, v, uri)| {
        number(level) == Some(*l) && number(version) == Some(*v) && *uri == namespace
    });
    let Some(&(level, version, core)) = known else {
        let level = shortened(level.unwrap_or("(none)"));
        let version = shortened(version.unwrap_or("(none)"));
        let problem = Problem::Level { level, version, namespace: shortened(namespace) };
        return Err(positions.error(root, problem));
    };
    Ok(Source { positions, level, version, core })
}

/// What the readers of a model's parts share.
pub(super) struct Reader<'a> {
    pub source: &'a Source,
    pub ids: &'a Ids,
    pub math: MathReader<'a>,
    pub ignored: Vec<String>,
}

impl<'a> Reader<'a> {
    /// The formula below `parent`; `None` where there is none and Level 3 Version 2 allows that.
    pub(super) fn formula(&mut self, parent: Node<'a>) -> Result<Option<Expr>, SbmlError> {
        let Some(math) = self.source.math(parent)? else { return Ok(None) };
        self.math.read(math, &Scope::Model(self.ids)).map(Some)
    }

    /// Notes that an element is left out because it has no formula.
    pub(super) fn no_formula(&mut self, node: Node) {
        let (element, line) = (node.tag_name().name(), self.source.place(node).line);
        self.ignored.push(format!("{element} without a formula (line {line})"));
    }
}

fn read_model<'a>(source: &'a Source, node: Node<'a>) -> Result<Model, SbmlError> {
    const LISTS: [&str; 12] = [
        "listOfFunctionDefinitions",
        "listOfUnitDefinitions",
        "listOfCompartmentTypes",
        "listOfSpeciesTypes",
        "listOfCompartments",
        "listOfSpecies",
        "listOfParameters",
        "listOfInitialAssignments",
        "listOfRules",
        "listOfConstraints",
        "listOfReactions",
        "listOfEvents",
    ];
    source.expect_only(
        node,
        "the lists of SBML core (listOfSpecies, listOfReactions, …)",
        |n| LISTS.iter().any(|name| source.is_core(n, name)),
    )?;
    let ids = Ids::collect(source, node)?;
    let math = MathReader::new(source);
    let mut reader = Reader { source, ids: &ids, math, ignored: Vec::new() };
    let inlined_functions = functions::define(&mut reader.math, node)?;
    let mut model = Model {
        id: attribute(node, "id").map(str::to_owned),
        name: name(node),
        level: source.level,
        version: source.version,
        compartments: compartments(source, node)?,
        species: species(source, &ids, node)?,
        parameters: parameters(source, node)?,
        initial_assignments: initial_assignments(&mut reader, node)?,
        rules: rules(&mut reader, node)?,
        reactions: reactions::read(&mut reader, node)?,
        events: events::read(&mut reader, node)?,
        conversion_factor: conversion_factor(source, &ids, node)?,
        inlined_functions,
        symbols: Default::default(),
        ignored: reader.ignored,
    };
    let constraints = source.items(node, "listOfConstraints", "constraint")?.len();
    if constraints > 0 {
        model.ignored.push(format!("{constraints} constraint(s)"));
    }
    model.symbols = ids.into_symbols();
    without_dimensions(&mut model);
    checks::check(source, node, &model)?;
    Ok(model)
}

/// The `name` attribute.
pub(super) fn name(node: Node) -> Option<String> {
    attribute(node, "name").map(str::to_owned)
}

fn conversion_factor(source: &Source, ids: &Ids, node: Node) -> Result<Option<String>, SbmlError> {
    const NAME: &str = "conversionFactor";
    if source.level < 3 || attribute(node, NAME).is_none() {
        return Ok(None);
    }
    let accepts = |symbol| matches!(symbol, Symbol::Parameter(_));
    ids.reference(source, node, NAME, "a parameter", accepts).map(Some)
}

fn compartments(source: &Source, model: Node) -> Result<Vec<Compartment>, SbmlError> {
    let read = |node| {
        Ok(Compartment {
            id: source.required_id(node, "id")?.to_owned(),
            name: name(node),
            size: source.number(node, "size")?,
            spatial_dimensions: source.dimensions(node)?,
            constant: source.flag(node, "constant", true)?,
            place: source.place(node),
        })
    };
    source.items(model, "listOfCompartments", "compartment")?.into_iter().map(read).collect()
}

fn species(source: &Source, ids: &Ids, model: Node) -> Result<Vec<Species>, SbmlError> {
    let read = |node| {
        let id = source.required_id(node, "id")?.to_owned();
        let amount = source.number(node, "initialAmount")?;
        let initial = match (amount, source.number(node, "initialConcentration")?) {
            (None, None) => InitialValue::None,
            (Some(amount), None) => InitialValue::Amount(amount),
            (None, Some(concentration)) => InitialValue::Concentration(concentration),
            (Some(_), Some(_)) => {
                return Err(source.error(node, Problem::TwoInitialValues { species: id }));
            }
        };
        let in_compartment = |symbol| matches!(symbol, Symbol::Compartment(_));
        Ok(Species {
            id,
            name: name(node),
            compartment: ids.reference(
                source,
                node,
                "compartment",
                "a compartment",
                in_compartment,
            )?,
            initial,
            has_only_substance_units: source.flag(node, "hasOnlySubstanceUnits", false)?,
            boundary_condition: source.flag(node, "boundaryCondition", false)?,
            constant: source.flag(node, "constant", false)?,
            conversion_factor: conversion_factor(source, ids, node)?,
            place: source.place(node),
        })
    };
    source.items(model, "listOfSpecies", "species")?.into_iter().map(read).collect()
}

/// A compartment without dimensions has no size: its species are amounts (section 4.6.5).
fn without_dimensions(model: &mut Model) {
    for species in &mut model.species {
        let compartment = model.compartments.iter().find(|c| c.id == species.compartment);
        if compartment.is_some_and(|c| c.spatial_dimensions == Some(0.0)) {
            species.has_only_substance_units = true;
        }
    }
}

fn parameters(source: &Source, model: Node) -> Result<Vec<Parameter>, SbmlError> {
    let read = |node| {
        Ok(Parameter {
            id: source.required_id(node, "id")?.to_owned(),
            name: name(node),
            value: source.number(node, "value")?,
            constant: source.flag(node, "constant", true)?,
            place: source.place(node),
        })
    };
    source.items(model, "listOfParameters", "parameter")?.into_iter().map(read).collect()
}

fn initial_assignments<'a>(
    reader: &mut Reader<'a>,
    model: Node<'a>,
) -> Result<Vec<InitialAssignment>, SbmlError> {
    let source = reader.source;
    let mut found = Vec::new();
    for node in source.items(model, "listOfInitialAssignments", "initialAssignment")? {
        let symbol = reader.ids.variable(source, node, "symbol")?;
        match reader.formula(node)? {
            Some(math) => {
                found.push(InitialAssignment { symbol, math, place: source.place(node) });
            }
            None => reader.no_formula(node),
        }
    }
    Ok(found)
}

fn rules<'a>(reader: &mut Reader<'a>, model: Node<'a>) -> Result<Vec<Rule>, SbmlError> {
    let source = reader.source;
    let mut found = Vec::new();
    let Some(list) = source.child(model, "listOfRules")? else { return Ok(found) };
    for node in source.elements(list) {
        let kind = match node.tag_name().name() {
            _ if node.tag_name().namespace() != Some(source.core) => None,
            "assignmentRule" => Some(RuleKind::Assignment),
            "rateRule" => Some(RuleKind::Rate),
            "algebraicRule" => return Err(source.error(node, Problem::AlgebraicRule)),
            _ => None,
        };
        let Some(kind) = kind else {
            return Err(source.unexpected(node, "assignmentRule or rateRule"));
        };
        source.expect_only(node, "math", |n| n.has_tag_name((MATHML, "math")))?;
        let variable = reader.ids.variable(source, node, "variable")?;
        match reader.formula(node)? {
            Some(math) => found.push(Rule { kind, variable, math, place: source.place(node) }),
            None => reader.no_formula(node),
        }
    }
    Ok(found)
}
