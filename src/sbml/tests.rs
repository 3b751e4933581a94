//! Tests on small documents: what is read, what each refusal says, and that nothing panics.

mod cycles;
mod formulas;
mod functions;
mod hostile;
mod models;
mod refusals;

use super::{Model, SbmlError, read_str};

/// A document of the given level and version around the contents of a model element.
fn document(level: u8, version: u8, model: &str) -> String {
    let namespace = match (level, version) {
        (2, 1) => "level2".to_owned(),
        (2, _) => format!("level2/version{version}"),
        _ => format!("level3/version{version}/core"),
    };
    format!(
        "<sbml xmlns=\"http://www.sbml.org/sbml/{namespace}\" level=\"{level}\" \
         version=\"{version}\"><model id=\"m\">\n{model}</model></sbml>"
    )
}

/// Reads the contents of a model element, which start on line 2.
fn read(level: u8, version: u8, model: &str) -> Result<Model, SbmlError> {
    read_str(&document(level, version, model), "test.xml")
}

/// The message of the refusal.
fn refusal(level: u8, version: u8, model: &str) -> String {
    match read(level, version, model) {
        Ok(model) => panic!("not refused: {model:?}"),
        Err(error) => error.to_string(),
    }
}

/// A `math` element in its namespace.
fn math(content: &str) -> String {
    format!("<math xmlns=\"http://www.w3.org/1998/Math/MathML\">{content}</math>")
}

/// A level 3 parameter element without a value.
fn parameter(id: &str, constant: bool) -> String {
    format!("<parameter id=\"{id}\" constant=\"{constant}\"/>")
}
