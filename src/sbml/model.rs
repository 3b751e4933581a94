//! An SBML model as plain types: SBML's own meaning, nothing lowered yet.
//!
//! Section numbers are those of the SBML Level 3 Version 2 Core specification.

use std::collections::HashMap;

use super::error::Place;
use crate::math::Expr;

/// A model (section 4.2). Function definitions are already inlined in every formula; unit
/// definitions, notes and annotations are not kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub id: Option<String>,
    pub name: Option<String>,
    /// 2 or 3.
    pub level: u8,
    /// 1 to 5 for level 2, 1 to 2 for level 3.
    pub version: u8,
    pub compartments: Vec<Compartment>,
    pub species: Vec<Species>,
    pub parameters: Vec<Parameter>,
    pub initial_assignments: Vec<InitialAssignment>,
    pub rules: Vec<Rule>,
    pub reactions: Vec<Reaction>,
    pub events: Vec<Event>,
    /// Parameter by which reaction extents are multiplied to give species amounts, for species
    /// without one of their own (section 4.2.7). Default: none, a factor of 1.
    pub conversion_factor: Option<String>,
    /// Ids of the function definitions that were inlined, in file order.
    pub inlined_functions: Vec<String>,
    /// What each id means that may stand in a formula (local parameters excepted).
    pub symbols: HashMap<String, Symbol>,
    /// Parts of the file that were left out, in words for a report: constraints, packages that
    /// do not change the mathematics, items that L3V2 lets be without a formula.
    pub ignored: Vec<String>,
}

/// What an id in a formula means, as an index into the model's vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Symbol {
    Compartment(usize),
    Species(usize),
    Parameter(usize),
    /// The reaction's rate, in extent per time.
    Reaction(usize),
    /// The stoichiometry of `reactions[reaction].reactants[index]`, or of `.products[index]`.
    SpeciesReference {
        reaction: usize,
        side: Side,
        index: usize,
    },
}

/// The side of a reaction on which a species reference stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    Reactant,
    Product,
}

/// A compartment (section 4.5).
#[derive(Debug, Clone, PartialEq)]
pub struct Compartment {
    pub id: String,
    pub name: Option<String>,
    /// Initial size. `None` where the file gives none: no level read here has a default.
    pub size: Option<f64>,
    /// Default 3 in level 2, none in level 3.
    pub spatial_dimensions: Option<f64>,
    /// Default `true` in level 2, required in level 3.
    pub constant: bool,
    pub place: Place,
}

/// The initial value that a species element itself gives (sections 4.6.4 and 4.6.5).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum InitialValue {
    Amount(f64),
    Concentration(f64),
    None,
}

/// A species (section 4.6).
///
/// In formulas its id means an amount where `has_only_substance_units` is set, otherwise a
/// concentration (amount over compartment size).
#[derive(Debug, Clone, PartialEq)]
pub struct Species {
    pub id: String,
    pub name: Option<String>,
    pub compartment: String,
    pub initial: InitialValue,
    /// Default `false` in level 2, required in level 3; so are the next two. Always `true` where
    /// the compartment has no dimensions.
    pub has_only_substance_units: bool,
    /// Reactions do not change the species; rules and events may.
    pub boundary_condition: bool,
    /// Nothing changes the species.
    pub constant: bool,
    /// Parameter that replaces the model's conversion factor for this species (section 4.6.7).
    pub conversion_factor: Option<String>,
    pub place: Place,
}

/// A parameter of the whole model (section 4.7).
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    pub id: String,
    pub name: Option<String>,
    pub value: Option<f64>,
    /// Default `true` in level 2, required in level 3.
    pub constant: bool,
    pub place: Place,
}

/// A formula for the value at the start (section 4.8).
#[derive(Debug, Clone, PartialEq)]
pub struct InitialAssignment {
    /// A compartment, species, parameter or species reference; for a species the formula gives a
    /// concentration unless it has only substance units.
    pub symbol: String,
    pub math: Expr,
    pub place: Place,
}

/// Whether a rule gives a variable's value or its rate of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleKind {
    /// Section 4.9.3: holds at all times, the start included.
    Assignment,
    /// Section 4.9.4.
    Rate,
}

/// A rule (section 4.9). At most one for each variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub kind: RuleKind,
    pub variable: String,
    pub math: Expr,
    pub place: Place,
}

/// A reaction (section 4.11).
#[derive(Debug, Clone, PartialEq)]
pub struct Reaction {
    pub id: String,
    pub name: Option<String>,
    pub reactants: Vec<SpeciesReference>,
    pub products: Vec<SpeciesReference>,
    /// Ids of the species that only influence the rate.
    pub modifiers: Vec<String>,
    /// `None` where there is none, or (L3V2) one without a formula: no rate is defined.
    pub kinetic_law: Option<KineticLaw>,
    /// Says nothing about the rate. Default `true`.
    pub reversible: bool,
    /// Always `false`: fast reactions are refused.
    pub fast: bool,
    pub place: Place,
}

/// A reactant or product (section 4.11.3).
#[derive(Debug, Clone, PartialEq)]
pub struct SpeciesReference {
    /// Names the stoichiometry in formulas, rules, initial assignments and events.
    pub id: Option<String>,
    pub species: String,
    pub stoichiometry: Stoichiometry,
    /// Required in level 3. In level 2 `true`, unless the stoichiometry is a formula.
    pub constant: bool,
    pub place: Place,
}

/// How many of a species a reaction takes or makes per extent.
#[derive(Debug, Clone, PartialEq)]
pub enum Stoichiometry {
    Number(f64),
    /// Level 2's `stoichiometryMath`: holds at all times.
    Math(Expr),
    /// Level 3 without the attribute: a rule or an initial assignment gives it.
    Missing,
}

/// The rate of a reaction (section 4.11.5).
#[derive(Debug, Clone, PartialEq)]
pub struct KineticLaw {
    /// In extent per time. Local parameters stand in it by their [`LocalParameter::symbol`].
    pub math: Expr,
    pub local_parameters: Vec<LocalParameter>,
    pub place: Place,
}

/// A constant that only one kinetic law sees (section 4.11.6).
#[derive(Debug, Clone, PartialEq)]
pub struct LocalParameter {
    /// `reaction.id`: what the law's formula calls it. No id of a model can hold a dot, so this
    /// name is unique.
    pub symbol: String,
    /// The id in the file.
    pub id: String,
    pub value: Option<f64>,
    pub place: Place,
}

/// An event (section 4.12).
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: Option<String>,
    pub name: Option<String>,
    pub trigger: Trigger,
    /// Time from trigger to execution; default: none, at once.
    pub delay: Option<Expr>,
    /// Order among events at the same time; default: none, any order.
    pub priority: Option<Expr>,
    /// Whether assigned values are computed at the trigger (else at execution). Default `true`
    /// in level 2, required in level 3.
    pub use_values_from_trigger_time: bool,
    pub assignments: Vec<EventAssignment>,
    pub place: Place,
}

/// When an event fires: at each change of `math` from false to true (section 4.12.2).
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// `None` where L3V2 leaves the trigger or its formula out: the event never fires.
    pub math: Option<Expr>,
    /// Value before the start; `false` lets the event fire at the start. `true` in level 2,
    /// required in level 3.
    pub initial_value: bool,
    /// Whether an event waiting for its delay stays when `math` turns false. `true` in level 2,
    /// required in level 3.
    pub persistent: bool,
    pub place: Place,
}

/// What an event does to one variable (section 4.12.5).
#[derive(Debug, Clone, PartialEq)]
pub struct EventAssignment {
    /// A compartment, species, parameter or species reference.
    pub variable: String,
    pub math: Expr,
    pub place: Place,
}
