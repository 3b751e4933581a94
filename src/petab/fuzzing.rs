//! Readers that take text in place of files: what the fuzz targets and `tests/fuzz_smoke.rs` feed.
//!
//! Each is to end, with a value or an error whose message can be written.

use super::error::PetabError;
use super::yaml::{self, Group, ProblemFile};
use super::{FormatVersion, GroupTables, Table, parameters, parse_formula, read_group};
use crate::math::evaluate;
use std::path::{Path, PathBuf};

/// Reads a problem file; says whether it is one.
pub fn problem_file(text: &str) -> bool {
    match yaml::interpret(Path::new("folder/p.yaml"), text) {
        Ok(file) => !file.all_files().is_empty(),
        Err(error) => refused(&error),
    }
}

/// Reads a formula and evaluates it with all symbols at 0.5; says whether it is one.
pub fn formula(text: &str) -> bool {
    match parse_formula(text) {
        Ok(expr) => {
            // With symbols for all names only an operation without meaning is an error.
            let _ = evaluate(&expr, &|_| Some(0.5), 0.5);
            expr.symbols().len() <= text.len()
        }
        Err(error) => refused(&error),
    }
}

/// Reads a problem's tables; says whether they are sound.
///
/// The first line is the major version, 1 or 2. Lines that begin with `#` and a kind of table
/// (`#parameters`, `#observables`, ...) begin a table each.
pub fn tables(text: &str) -> bool {
    match read_tables(text) {
        Ok(models) => models > 0,
        Err(error) => refused(&error),
    }
}

/// Not sound; writes the message.
fn refused(error: &dyn std::error::Error) -> bool {
    assert!(!error.to_string().is_empty());
    false
}

fn read_tables(text: &str) -> Result<usize, PetabError> {
    let (head, mut rest) = text.split_once('\n').unwrap_or((text, ""));
    let format = if head.trim() == "2" { FormatVersion::V2 } else { FormatVersion::V1 };
    let mut of_parameters = Vec::new();
    let mut group = GroupTables {
        measurements: Vec::new(),
        observables: Vec::new(),
        conditions: Vec::new(),
        experiments: Vec::new(),
        mappings: Vec::new(),
    };
    while let Some(section) = rest.strip_prefix('#') {
        let (kind, after) = section.split_once('\n').unwrap_or((section, ""));
        let end = after.find("\n#").map_or(after.len(), |at| at + 1);
        let list = match kind.trim() {
            "parameters" => &mut of_parameters,
            "observables" => &mut group.observables,
            "conditions" => &mut group.conditions,
            "experiments" => &mut group.experiments,
            "mapping" => &mut group.mappings,
            _ => &mut group.measurements,
        };
        list.push(Table::parse(Path::new(kind), after[..end].to_owned())?);
        rest = &after[end..];
    }
    let files = ProblemFile {
        path: PathBuf::from("p.yaml"),
        id: None,
        format,
        parameters: Vec::new(),
        groups: Vec::new(),
    };
    let models = ["m", "n"].map(|id| (id.to_owned(), PathBuf::from("m.xml")));
    let names = Group {
        // A second model only where a v2 table may tell them apart.
        models: models[..1 + usize::from(text.contains("\tmodelId"))].to_vec(),
        measurements: Vec::new(),
        observables: Vec::new(),
        conditions: Vec::new(),
        experiments: Vec::new(),
        mappings: Vec::new(),
    };
    let parameters = parameters::read(&of_parameters, format)?;
    Ok(read_group(&files, &names, group, &parameters)?.len())
}
