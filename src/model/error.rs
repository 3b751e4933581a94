//! What can be wrong with a problem as a whole.

use std::path::PathBuf;

/// Why a problem could not be turned into an ODE problem.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    Petab(#[from] crate::petab::PetabError),
    #[error(transparent)]
    Sbml(#[from] crate::sbml::SbmlError),
    #[error(
        "{place}: {id:?} is neither an entity of the model nor in the parameter table nor a placeholder"
    )]
    UnknownSymbol { place: String, id: String },
    #[error(
        "{place}: {id:?} of the model stands for no number here; accepted are numbers, ids of the parameter \
         table, and parameters of the model that have a number which no rule, initial assignment, event or \
         condition replaces"
    )]
    NoNumber { place: String, id: String },
    #[error("{place}: {id:?} is defined by itself: {cycle}")]
    Cycle { place: String, id: String, cycle: String },
    #[error(
        "{place}: {id:?} has no value: give it one in the model, in a condition or in the parameter table"
    )]
    NoValue { place: String, id: String },
    #[error("{place}: {what} is not supported yet")]
    Unsupported { place: String, what: String },
    #[error("{place}: {function} takes {expected}, not {found} arguments")]
    Arity { place: String, function: String, expected: &'static str, found: usize },
    #[error("{place}: condition {condition:?} sets {id:?}, which {reason}")]
    ConditionTarget { place: String, condition: String, id: String, reason: &'static str },
    #[error(
        "{place}: condition target {id:?} is neither in the model nor in an observable or noise formula"
    )]
    UnknownTarget { place: String, id: String },
    #[error(
        "{place}: time {time} lies before the start of {experiment:?} at {start}; accepted are times from there on"
    )]
    BeforeStart { place: String, time: f64, experiment: String, start: f64 },
    #[error("{}: no parameter is estimated: there is no gradient to check", .file.display())]
    NothingEstimated { file: PathBuf },
}
