//! What can be wrong with a PEtab problem, and where.

use super::formula::FormulaError;
use super::names::ModelEntity;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As named in the problem file, resolved against that file's folder.
    pub file: Arc<Path>,
    /// 1-based.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// Why a PEtab problem cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PetabError {
    #[error("{}: {source}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("{}: is not a regular file of at most {limit} bytes", file.display())]
    NotAFile { file: PathBuf, limit: u64 },
    #[error("{}:{line}: is not UTF-8 text", file.display())]
    NotUtf8 { file: PathBuf, line: usize },
    #[error(
        "{}: holds no PEtab problem file; expected one file *.yaml or *.yml with \
         `format_version` and `parameter_file` (v1) or `parameter_files` (v2)",
        folder.display()
    )]
    NoProblemFile { folder: PathBuf },
    #[error(
        "{}: holds several PEtab problem files; name one of {}",
        folder.display(),
        candidates.join(", ")
    )]
    SeveralProblemFiles { folder: PathBuf, candidates: Vec<String> },
    /// Syntax, a missing or unknown key, or a value of the wrong kind.
    #[error("{}: {message}", file.display())]
    Yaml { file: PathBuf, message: String },
    #[error(
        "{}: format_version {found} is not supported; accepted are 1 and 2.0.0",
        file.display()
    )]
    UnsupportedVersion { file: PathBuf, found: String },
    #[error(
        "{}: the problem requires the PEtab extension `{extension}`, which gradsweep does not \
         know; no extension is supported",
        file.display()
    )]
    RequiredExtension { file: PathBuf, extension: String },
    #[error(
        "{}: model `{model}` is written in `{language}`; only `sbml` is supported",
        file.display()
    )]
    ModelLanguage { file: PathBuf, model: String, language: String },
    /// PEtab v1 leaves open how several models of one `problems` entry go together.
    #[error(
        "{}: entry {entry} of `problems` lists {count} SBML files; exactly one is supported \
         (write one entry a model)",
        file.display()
    )]
    SbmlFileCount { file: PathBuf, entry: usize, count: usize },
    #[error("{}: `{key}` is empty; expected at least one entry", file.display())]
    EmptyList { file: PathBuf, key: String },
    #[error("{}: `{name}` is not a valid identifier; {IDENTIFIER}", file.display())]
    ModelId { file: PathBuf, name: String },
    #[error("{}: `{location}` is a URL; download it and name the local file", file.display())]
    Url { file: PathBuf, location: String },
    #[error("{}: the table is empty; expected a header line", file.display())]
    EmptyTable { file: PathBuf },
    #[error("{place}: column `{column}` occurs twice in the header")]
    DuplicateColumn { place: Place, column: String },
    #[error("{place}: missing column {}; the table has {}", quoted(missing), quoted(found))]
    MissingColumns { place: Place, missing: Vec<String>, found: Vec<String> },
    #[error("{place}: cell {cell} (`{found}`) has no column in the header")]
    CellWithoutColumn { place: Place, cell: usize, found: String },
    #[error("{}: the problem has no measurements", file.display())]
    NoMeasurements { file: PathBuf },
    #[error(transparent)]
    Row(#[from] Box<RowError>),
}

/// What is wrong with a cell or a row of a table.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {subject}, column `{column}`: {fault}")]
pub struct RowError {
    pub place: Place,
    /// What the row describes, for instance "parameter `k1`".
    pub subject: String,
    pub column: String,
    pub fault: Fault,
}

const IDENTIFIER: &str = "expected letters, digits and underscores, not beginning with a digit";

/// What is wrong with a cell, and what would be accepted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    #[error("is empty; expected {expected}")]
    Missing { expected: &'static str },
    #[error("`{found}` is not valid; expected {expected}")]
    Invalid { found: String, expected: &'static str },
    #[error("`{found}` is not a valid identifier; {IDENTIFIER}")]
    InvalidId { found: String },
    #[error("`{found}` is a reserved word of PEtab math; choose another identifier")]
    ReservedId { found: String },
    #[error("`{id}` is defined twice, first at {first}")]
    Duplicate { id: String, first: Place },
    #[error("unknown {kind} `{id}`; {known}")]
    Unknown {
        kind: &'static str,
        id: String,
        /// In words.
        known: String,
    },
    #[error("{0}")]
    Formula(#[from] FormulaError),
    #[error("`{target}` is in the parameter table; a condition may only set entities that are not")]
    TargetIsParameter { target: String },
    #[error("`{target}` is set twice, also at {first}")]
    DuplicateTarget { target: String, first: Place },
    #[error("placeholder `{placeholder}` must not be in the parameter table ({parameter})")]
    PlaceholderIsParameter { placeholder: String, parameter: Place },
    #[error("placeholder `{missing}` is missing; placeholders are numbered from 1 without gaps")]
    PlaceholderGap { missing: String },
    #[error(
        "{found} given, but observable `{observable}` has {expected} ({})",
        if placeholders.is_empty() { "no placeholders" } else { placeholders.as_str() }
    )]
    OverrideCount { observable: String, expected: usize, found: usize, placeholders: String },
    #[error("lower bound {lower} is above upper bound {upper}")]
    CrossingBounds { lower: f64, upper: f64 },
    #[error("{value} has no {scale} scale; expected a positive number, or parameterScale lin")]
    NotPositiveOnScale { value: f64, scale: &'static str },
    #[error(
        "{value} has no logarithm, which the noise of observable `{observable}` takes; \
         expected a positive number"
    )]
    NotPositiveMeasurement { observable: String, value: f64 },
    #[error("the noise is {value}; expected a positive number")]
    NotPositiveNoise { value: f64 },
    #[error("prior `{prior}` takes {expected}, not {found}")]
    PriorCount { prior: String, expected: &'static str, found: usize },
    #[error("prior `{prior}`: {what} is {value}; expected {expected}")]
    PriorParameter { prior: String, what: &'static str, value: f64, expected: &'static str },
    #[error("{time} is before the start of the simulation, which is at {start}")]
    BeforeStart { time: f64, start: f64 },
    #[error("experiment `{experiment}` has no period with a finite time; expected inf here")]
    NoStart { experiment: String },
    #[error(
        "`{symbol}` is not in the parameter table, but experiment `{experiment}` starts with this \
         condition; expected a formula of numbers, ids of the parameter table and time"
    )]
    InitialSymbol { experiment: String, symbol: String },
    #[error(
        "`{entity}` is a valid identifier already; use it directly, or leave the cell empty to \
         annotate it"
    )]
    Alias { entity: String },
    #[error("`{id}` is {entity}; choose another identifier for the observable")]
    Taken { id: String, entity: String },
    #[error(
        "`{id}` {}; expected a parameter, species or compartment of the model, or a symbol of \
         an observable or noise formula",
        in_model(entity)
    )]
    NotSettable { id: String, entity: Option<ModelEntity> },
    #[error(
        "`{id}` is {entity}; expected parameters that no rule determines, and \
         symbols that tables introduce"
    )]
    NotForParameterTable { id: String, entity: ModelEntity },
    #[error(
        "`{id}` is used nowhere: it is no parameter of the model, and neither formulas nor \
         conditions nor measurements name it; remove the row"
    )]
    Unused { id: String },
    #[error("the column belongs to PEtab v1 and has no meaning in a v2 problem; {instead}")]
    Legacy { instead: &'static str },
}

/// What an entity is in the model, after its id.
fn in_model(entity: &Option<ModelEntity>) -> String {
    match entity {
        Some(entity) => format!("is {entity}"),
        None => "is neither in the model nor in a formula".to_owned(),
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Names the accepted identifiers, the first few of them where there are many.
pub(super) fn known_ids<'i>(kind: &str, ids: impl Iterator<Item = &'i str>) -> String {
    const SHOWN: usize = 8;
    // The experiment that takes the model as it is has no name.
    let ids: Vec<_> = ids.filter(|id| !id.is_empty()).collect();
    if ids.is_empty() {
        return format!("no {kind} is defined");
    }
    let list = ids[..ids.len().min(SHOWN)].join(", ");
    match ids.len().saturating_sub(SHOWN) {
        0 => format!("expected one of {list}"),
        more => format!("expected one of {list} and {more} more"),
    }
}
