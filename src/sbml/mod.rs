//! SBML files (Level 2 Version 1 to Level 3 Version 2, core) read into plain types.
//!
//! [`read_file`] and [`read_str`] check everything that a later stage would otherwise stumble
//! over: ids, references, arities, the combinations of rules, reactions and events that the
//! specification forbids. What changes the mathematics and is not supported (algebraic rules,
//! fast reactions, delays, packages) is refused by name; see [`Problem`]. Input is not trusted:
//! no document makes the reader panic, recurse or allocate without bound.

mod checks;
mod cycles;
mod error;
mod events;
mod functions;
mod ids;
mod mathml;
mod model;
mod number;
mod operators;
mod packages;
mod reactions;
mod read;
mod xml;

#[cfg(test)]
mod tests;

pub use error::{Place, Problem, SbmlError};
pub use model::{
    Compartment, Event, EventAssignment, InitialAssignment, InitialValue, KineticLaw,
    LocalParameter, Model, Parameter, Reaction, Rule, RuleKind, Side, Species, SpeciesReference,
    Stoichiometry, Symbol, Trigger,
};
pub use read::{read_file, read_str};
