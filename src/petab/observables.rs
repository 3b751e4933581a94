//! The observable table: what is measured, and with which noise.

use super::error::{Fault, PetabError, Place};
use super::formula::{is_reserved, parse_formula};
use super::table::{Column, Row, Subject, Table, is_identifier};
use super::{FormatVersion, Ids, Parameter};
use crate::math::{Expr, evaluate};
use std::collections::BTreeSet;

/// What is taken of both simulation and measurement before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transformation {
    Lin,
    /// Natural logarithm.
    Log,
    /// Logarithm to base 10 (v1 only).
    Log10,
}

/// Distribution of the transformed measurement around the transformed simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoiseDistribution {
    /// The noise formula gives the standard deviation.
    Normal,
    /// The noise formula gives the scale (diversity).
    Laplace,
}

/// A row of the observable table.
///
/// Formulas are kept as written: their symbols are entities of the model, parameters,
/// placeholders, and in the noise formula also the observable's own id, which stands for the
/// value of `formula` (unless, in v1, the model has an entity of that name).
#[derive(Debug, Clone, PartialEq)]
pub struct Observable {
    pub id: String,
    /// `observableName`; for people only.
    pub name: Option<String>,
    /// The observable on the linear scale, in the units of the measurements.
    pub formula: Expr,
    /// The noise parameter, on the scale that `transformation` leads to.
    pub noise_formula: Expr,
    pub transformation: Transformation,
    pub distribution: NoiseDistribution,
    /// Symbols whose values are a measurement's `observable_parameters`, in order.
    pub observable_placeholders: Vec<String>,
    /// Symbols whose values are a measurement's `noise_parameters`, in order.
    pub noise_placeholders: Vec<String>,
    pub place: Place,
}

const KIND: &str = "observable";

/// Reads the observable tables in order.
///
/// # Errors
/// See [`PetabError`].
pub(super) fn read(
    tables: &[Table],
    format: FormatVersion,
    parameters: &Ids<Parameter>,
) -> Result<Ids<Observable>, PetabError> {
    let mut observables = Ids::new("observableId", KIND);
    for table in tables {
        table.required(["observableId", "observableFormula", "noiseFormula"])?;
        for row in table.rows() {
            let observable = read_row(table, row, format, parameters)?;
            observables.insert(row, observable)?;
        }
    }
    Ok(observables)
}

fn read_row(
    table: &Table,
    row: Row<'_>,
    format: FormatVersion,
    parameters: &Ids<Parameter>,
) -> Result<Observable, PetabError> {
    let id_column = table.column("observableId");
    let id = row.id(id_column, KIND)?;
    let subject = Subject(KIND, id);
    if format == FormatVersion::V2 && is_reserved(id) {
        let fault = Fault::ReservedId { found: id.to_owned() };
        return Err(row.fail(subject, id_column.name, fault));
    }
    let formula = |name| {
        let column = table.column(name);
        let text = row.text(column, subject, "a formula")?;
        parse_formula(text).map_err(|error| row.fail(subject, name, error.into()))
    };
    let (observable_formula, noise_formula) =
        (formula("observableFormula")?, formula("noiseFormula")?);
    check_constant_noise(&noise_formula)
        .map_err(|fault| row.fail(subject, "noiseFormula", fault))?;
    let (transformation, distribution) = match format {
        FormatVersion::V1 => read_v1_noise(table, row, subject)?,
        FormatVersion::V2 => read_v2_noise(table, row, subject)?,
    };
    let placeholders = |kind: &str, formula_column, list_column| match format {
        FormatVersion::V1 => named_placeholders([&observable_formula, &noise_formula], kind, id)
            .map_err(|fault| row.fail(subject, formula_column, fault)),
        FormatVersion::V2 => listed_placeholders(table, row, subject, list_column),
    };
    let observable_placeholders =
        placeholders("observableParameter", "observableFormula", "observablePlaceholders")?;
    let noise_placeholders = placeholders("noiseParameter", "noiseFormula", "noisePlaceholders")?;
    for (names, column) in
        [(&observable_placeholders, "observableFormula"), (&noise_placeholders, "noiseFormula")]
    {
        for placeholder in names {
            if let Some(parameter) = parameters.get(placeholder) {
                let (placeholder, parameter) = (placeholder.clone(), parameter.place.clone());
                let fault = Fault::PlaceholderIsParameter { placeholder, parameter };
                return Err(row.fail(subject, column, fault));
            }
        }
    }
    Ok(Observable {
        id: id.to_owned(),
        name: row.get(table.column("observableName")).map(str::to_owned),
        formula: observable_formula,
        noise_formula,
        transformation,
        distribution,
        observable_placeholders,
        noise_placeholders,
        place: row.place(),
    })
}

/// A noise formula without symbols must be a positive number.
fn check_constant_noise(formula: &Expr) -> Result<(), Fault> {
    let mut constant = true;
    formula.walk(&mut |node| {
        constant &= !matches!(node, Expr::Symbol(_) | Expr::RateOf(_) | Expr::Time);
    });
    if !constant {
        return Ok(());
    }
    match evaluate(formula, &|_| None, 0.0) {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(()),
        Ok(value) => Err(Fault::NotPositiveNoise { value }),
        // Without symbols and with the parser's argument counts there is always a value.
        Err(_) => Ok(()),
    }
}

fn read_v1_noise(
    table: &Table,
    row: Row<'_>,
    subject: Subject<'_>,
) -> Result<(Transformation, NoiseDistribution), PetabError> {
    use NoiseDistribution::{Laplace, Normal};
    let invalid = |column: Column, found: &str, expected| {
        row.fail(subject, column.name, Fault::Invalid { found: found.to_owned(), expected })
    };
    let column = table.column("observableTransformation");
    let transformation = match row.get(column) {
        None | Some("lin") => Transformation::Lin,
        Some("log") => Transformation::Log,
        Some("log10") => Transformation::Log10,
        Some(other) => return Err(invalid(column, other, "lin, log or log10")),
    };
    let column = table.column("noiseDistribution");
    let distribution = match row.get(column) {
        None | Some("normal") => Normal,
        Some("laplace") => Laplace,
        Some(other) => return Err(invalid(column, other, "normal or laplace")),
    };
    Ok((transformation, distribution))
}

fn read_v2_noise(
    table: &Table,
    row: Row<'_>,
    subject: Subject<'_>,
) -> Result<(Transformation, NoiseDistribution), PetabError> {
    use NoiseDistribution::{Laplace, Normal};
    let legacy = table.column("observableTransformation");
    if row.get(legacy).is_some_and(|transformation| transformation != "lin") {
        let instead = "use noiseDistribution log-normal or log-laplace";
        row.refuse(legacy, subject, instead)?;
    }
    let column = table.column("noiseDistribution");
    Ok(match row.get(column) {
        None | Some("normal") => (Transformation::Lin, Normal),
        Some("laplace") => (Transformation::Lin, Laplace),
        Some("log-normal") => (Transformation::Log, Normal),
        Some("log-laplace") => (Transformation::Log, Laplace),
        Some(other) => {
            let expected = "normal, log-normal, laplace or log-laplace";
            let fault = Fault::Invalid { found: other.to_owned(), expected };
            return Err(row.fail(subject, column.name, fault));
        }
    })
}

/// Placeholders by PEtab v1's naming convention: `<kind><n>_<observableId>`, n = 1, 2, ...
/// without gaps, in either formula. Any other name, however alike, is an ordinary symbol.
fn named_placeholders(
    formulas: [&Expr; 2],
    kind: &str,
    observable: &str,
) -> Result<Vec<String>, Fault> {
    let number = |symbol: &str| {
        let rest = symbol.strip_prefix(kind)?.strip_suffix(observable)?.strip_suffix('_')?;
        let plain = !rest.starts_with('0') && rest.bytes().all(|byte| byte.is_ascii_digit());
        if plain { rest.parse::<usize>().ok() } else { None }
    };
    let found: BTreeSet<usize> =
        formulas.iter().flat_map(|formula| formula.symbols()).filter_map(number).collect();
    let mut names = Vec::new();
    for (index, number) in found.into_iter().enumerate() {
        let name = format!("{kind}{}_{observable}", index + 1);
        if number != index + 1 {
            return Err(Fault::PlaceholderGap { missing: name });
        }
        names.push(name);
    }
    Ok(names)
}

/// Placeholders from PEtab v2's `;`-separated list.
fn listed_placeholders(
    table: &Table,
    row: Row<'_>,
    subject: Subject<'_>,
    column: &'static str,
) -> Result<Vec<String>, PetabError> {
    let Some(text) = row.get(table.column(column)) else { return Ok(Vec::new()) };
    let mut names: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    for name in text.split(';').map(str::trim) {
        let found = name.to_owned();
        let fault = if !is_identifier(name) {
            Fault::InvalidId { found }
        } else if is_reserved(name) {
            Fault::ReservedId { found }
        } else if !seen.insert(name) {
            Fault::Duplicate { id: found, first: row.place() }
        } else {
            names.push(found);
            continue;
        };
        return Err(row.fail(subject, column, fault));
    }
    Ok(names)
}
