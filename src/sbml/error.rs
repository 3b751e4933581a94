//! What can be wrong with an SBML file, and where.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A position in a file: what an error message, or a report about an item of the model, points at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file's name as it was given to the reader.
    pub file: Arc<str>,
    /// Line, counted from 1; 0 where the file as a whole is meant.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}", self.file)
        } else {
            write!(f, "{}:{}", self.file, self.line)
        }
    }
}

/// Why a file was not read as SBML, and where; displays as `file:line: problem`.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct SbmlError {
    pub place: Place,
    pub problem: Problem,
}

/// The kinds of refusal; each message names the thing at fault and what would be accepted.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    // The file.
    #[error("cannot be read: {0}")]
    Io(std::io::Error),
    #[error("the file has {bytes} bytes; files of up to {limit} bytes are accepted")]
    TooLarge { bytes: u64, limit: u64 },
    #[error("the file is not UTF-8; save it in that encoding")]
    Encoding,
    #[error("malformed XML at column {column}: {message}")]
    Xml { column: u32, message: String },
    #[error("a document type declaration (DTD) is not accepted; remove it and its entities")]
    Dtd,
    #[error("the file has more than {limit} XML nodes")]
    TooManyXmlNodes { limit: u32 },

    // The document.
    #[error(
        "not an SBML file: the root element is `{found}`; expected `sbml` in the namespace of SBML \
         Level 2 Version 1 to 5 or Level 3 Version 1 to 2"
    )]
    NotSbml { found: String },
    #[error(
        "SBML Level {level} Version {version} in namespace `{namespace}` is not supported; \
         accepted: Level 2 Version 1 to 5 and Level 3 Version 1 to 2, in their own namespaces"
    )]
    Level { level: String, version: String, namespace: String },
    #[error(
        "the model uses the SBML package `{package}` (`{item}`), which is declared to change the \
         model's mathematics and is not supported; flatten or export the model to SBML core"
    )]
    Package { package: String, item: String },
    #[error("element `{element}` is not expected in `{parent}`; expected: {expected}")]
    UnexpectedElement { element: String, parent: String, expected: &'static str },
    #[error("`{parent}` lacks its element `{element}`")]
    MissingElement { parent: String, element: &'static str },
    #[error("`{parent}` has more than one element `{element}`")]
    RepeatedElement { parent: String, element: String },
    #[error("`{element}` lacks its attribute `{attribute}`")]
    MissingAttribute { element: String, attribute: &'static str },
    #[error("attribute `{attribute}` is \"{value}\"; expected {expected}")]
    BadAttribute { attribute: &'static str, value: String, expected: &'static str },

    // Identifiers.
    #[error("the id `{id}` is already taken on line {first}; ids must be unique in the model")]
    DuplicateId { id: String, first: u32 },
    #[error("attribute `{attribute}` names `{id}`, which is not {expected} of this model")]
    UnknownReference { attribute: &'static str, id: String, expected: &'static str },
    #[error("`{symbol}` is unknown here; expected {expected}")]
    UnknownSymbol { symbol: String, expected: &'static str },

    // Meaning.
    #[error(
        "algebraic rules are not supported; solve the equation for a variable and write an \
         assignment or rate rule"
    )]
    AlgebraicRule,
    #[error(
        "reaction `{reaction}` has fast=\"true\", which is not supported; give it a finite rate \
         and fast=\"false\""
    )]
    FastReaction { reaction: String },
    #[error("`{variable}` has two {what} (the other is on line {first}); one is accepted")]
    TwoDefinitions { variable: String, what: &'static str, first: u32 },
    #[error(
        "`{variable}` has an assignment rule and, on line {first}, an initial assignment; the \
         rule holds at the start too: keep one of them"
    )]
    RuleAndInitialAssignment { variable: String, first: u32 },
    #[error(
        "`{variable}` is defined by itself: {cycle}; assignment rules, initial assignments and \
         kinetic laws must not lead back to where they start"
    )]
    Cycle { variable: String, cycle: String },
    #[error(
        "`{variable}` has an assignment rule (line {first}) and is changed by an event; only \
         variables without an assignment rule may be changed by events"
    )]
    RuleAndEvent { variable: String, first: u32 },
    #[error(
        "species `{species}` is changed by a reaction and by a rule (line {first}); declare \
         boundaryCondition=\"true\" or drop one of them"
    )]
    RuleAndReaction { species: String, first: u32 },
    #[error("`{variable}` is declared constant=\"true\" but is changed by {by}")]
    ConstantChanged { variable: String, by: &'static str },
    #[error("species `{species}` has both an initial amount and an initial concentration")]
    TwoInitialValues { species: String },

    // Mathematics.
    #[error("MathML element `{element}` is not part of SBML's subset of MathML")]
    UnknownMath { element: String },
    #[error("MathML element `{element}` is not expected here; expected {expected}")]
    MisplacedMath { element: String, expected: &'static str },
    #[error("MathML `{element}` takes {expected}; it has {found}")]
    Arguments { element: String, expected: Cow<'static, str>, found: usize },
    #[error("the number \"{text}\" is not accepted; expected {expected}")]
    Number { text: String, expected: &'static str },
    #[error(
        "csymbol `{url}` is not supported; accepted: the SBML symbols time, avogadro and rateOf"
    )]
    Csymbol { url: String },
    #[error("csymbol `delay` (delay differential equations) is not supported")]
    Delay,
    #[error("`{name}` is called but is not a function definition with a formula")]
    UnknownFunction { name: String },
    #[error("function definition `{name}` calls itself, directly or through others")]
    RecursiveFunction { name: String },
    #[error("the formula is nested deeper than {limit} levels, function calls included")]
    TooDeep { limit: usize },
    #[error("the model's formulas have more than {limit} terms with all function calls inlined")]
    TooManyTerms { limit: u64 },
}
