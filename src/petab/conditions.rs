//! The condition table: what an experiment changes in the model.

use super::error::{Fault, PetabError, Place};
use super::formula::parse_formula;
use super::table::{Subject, Table, is_identifier, parse_number};
use super::{FormatVersion, Ids, Parameter};
use crate::math::Expr;
use std::collections::HashMap;

/// A condition: changes that are applied at the same time.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub id: String,
    /// `conditionName` (v1); for people only.
    pub name: Option<String>,
    /// In the order of the table; no target twice, none in the parameter table.
    pub changes: Vec<Change>,
    /// v1 columns whose cell is empty: these keep the model's value, or for a state after
    /// pre-equilibration the state's. The same as not being a target at all.
    pub kept_targets: Vec<String>,
    /// First row of the condition.
    pub place: Place,
}

/// An entity of the model that is given a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Parameter, species, compartment or rate-rule target; whether the model has it is not
    /// checked here.
    pub target: String,
    /// A number or a symbol in v1, any formula in v2.
    pub value: Expr,
    pub place: Place,
}

const KIND: &str = "condition";

/// Reads the condition tables in order.
///
/// # Errors
/// See [`PetabError`].
pub(super) fn read(
    tables: &[Table],
    format: FormatVersion,
    parameters: &Ids<Parameter>,
) -> Result<Ids<Condition>, PetabError> {
    let mut conditions = Ids::new("conditionId", KIND);
    let mut places = Places::new();
    for table in tables {
        match format {
            FormatVersion::V1 => read_wide(table, parameters, &mut conditions)?,
            FormatVersion::V2 => read_long(table, parameters, &mut conditions, &mut places)?,
        }
    }
    Ok(conditions)
}

/// A v1 table: one row a condition, one column a target.
fn read_wide(
    table: &Table,
    parameters: &Ids<Parameter>,
    conditions: &mut Ids<Condition>,
) -> Result<(), PetabError> {
    let [id_column] = table.required(["conditionId"])?;
    let name_column = table.column("conditionName");
    let targets: Vec<(usize, &str)> = table
        .header()
        .iter()
        .map(String::as_str)
        .enumerate()
        .filter(|(_, name)| !matches!(*name, "conditionId" | "conditionName"))
        .collect();
    for row in table.rows() {
        let id = row.id(id_column, KIND)?;
        let subject = Subject(KIND, id);
        let (mut changes, mut kept_targets) = (Vec::new(), Vec::new());
        for &(index, target) in &targets {
            let text = row.cell(index);
            // A trailing tab in the header makes a nameless column, which is to stay empty.
            if target.is_empty() && text.is_empty() {
                continue;
            }
            check_target(target, parameters).map_err(|fault| row.fail(subject, target, fault))?;
            match wide_cell(text).map_err(|fault| row.fail(subject, target, fault))? {
                Some(value) => {
                    changes.push(Change { target: target.to_owned(), value, place: row.place() });
                }
                None => kept_targets.push(target.to_owned()),
            }
        }
        let name = row.get(name_column).map(str::to_owned);
        let condition =
            Condition { id: id.to_owned(), name, changes, kept_targets, place: row.place() };
        conditions.insert(row, condition)?;
    }
    Ok(())
}

fn wide_cell(text: &str) -> Result<Option<Expr>, Fault> {
    if matches!(text, "" | "nan" | "NaN" | "NA") {
        Ok(None)
    } else if let Some(value) = parse_number(text) {
        Ok(Some(Expr::Number(value)))
    } else if is_identifier(text) {
        Ok(Some(Expr::symbol(text)))
    } else {
        let expected = "a number, the id of a parameter, or nothing to keep the model's value";
        Err(Fault::Invalid { found: text.to_owned(), expected })
    }
}

fn check_target(target: &str, parameters: &Ids<Parameter>) -> Result<(), Fault> {
    if !is_identifier(target) {
        return Err(Fault::InvalidId { found: target.to_owned() });
    }
    match parameters.position(target) {
        Some(_) => Err(Fault::TargetIsParameter { target: target.to_owned() }),
        None => Ok(()),
    }
}

/// Where each v2 target is set: by position of the condition and target.
type Places = HashMap<(usize, String), Place>;

/// A v2 table: one row a change; a condition may go on in another table.
fn read_long(
    table: &Table,
    parameters: &Ids<Parameter>,
    conditions: &mut Ids<Condition>,
    places: &mut Places,
) -> Result<(), PetabError> {
    let [id_column, target_column, value_column] =
        table.required(["conditionId", "targetId", "targetValue"])?;
    for row in table.rows() {
        let id = row.id(id_column, KIND)?;
        let subject = Subject(KIND, id);
        let position = conditions.position(id).unwrap_or_else(|| {
            conditions.push(Condition {
                id: id.to_owned(),
                name: None,
                changes: Vec::new(),
                kept_targets: Vec::new(),
                place: row.place(),
            })
        });
        let target = row.text(target_column, subject, "the id of an entity of the model")?;
        check_target(target, parameters)
            .map_err(|fault| row.fail(subject, target_column.name, fault))?;
        if let Some(first) = places.insert((position, target.to_owned()), row.place()) {
            let fault = Fault::DuplicateTarget { target: target.to_owned(), first };
            return Err(row.fail(subject, target_column.name, fault));
        }
        let text = row.text(value_column, subject, "a formula")?;
        let value = parse_formula(text)
            .map_err(|error| row.fail(subject, value_column.name, error.into()))?;
        let change = Change { target: target.to_owned(), value, place: row.place() };
        conditions.items[position].changes.push(change);
    }
    Ok(())
}
