//! What tables may say about names of the model.

use super::error::{Fault, PetabError, Place, RowError, known_ids};
use super::{Condition, FormatVersion, ModelProblem, Override, Parameter, Problem};
use std::collections::{BTreeSet, HashSet};
use std::fmt;

/// What an id means in a model, as far as tables care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelEntity {
    /// No rule gives its value.
    Parameter,
    /// A parameter that a rule gives its value or its rate of change.
    RuledParameter,
    Species,
    Compartment,
    /// A reaction, for instance.
    Other,
}

impl fmt::Display for ModelEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parameter => "a parameter of the model",
            Self::RuledParameter => "a parameter of the model that a rule determines",
            Self::Species => "a species of the model",
            Self::Compartment => "a compartment of the model",
            Self::Other => "neither a parameter nor a species nor a compartment of the model",
        })
    }
}

/// Checks the names in a problem's tables against its models: `entity` tells what an id means in
/// the model of this position, if anything. Conditions that no experiment uses are checked too,
/// as PEtab's own linter does.
///
/// # Errors
/// [`Fault::Taken`], [`Fault::NotSettable`], [`Fault::Unknown`],
/// [`Fault::NotForParameterTable`], [`Fault::Unused`].
pub fn check_names(
    problem: &Problem,
    entity: &dyn Fn(usize, &str) -> Option<ModelEntity>,
) -> Result<(), PetabError> {
    let in_table: BTreeSet<&str> = problem.parameters.iter().map(|p| p.id.as_str()).collect();
    let mut mentioned = HashSet::new();
    for (index, part) in problem.models.iter().enumerate() {
        let names = Names {
            part,
            entity: &|id| entity(index, id),
            in_table: &in_table,
            format: problem.format,
        };
        names.check_observables()?;
        // Of several models each must have what it is measured with.
        let is_only_one = problem.models.len() == 1;
        for (i, condition) in part.conditions.iter().enumerate() {
            if is_only_one || names.is_measured_in(i) {
                names.check_condition(condition)?;
            }
        }
        names.collect(&mut mentioned);
    }
    for parameter in &problem.parameters {
        let entities = (0..problem.models.len()).filter_map(|i| entity(i, &parameter.id));
        check_parameter(parameter, entities, mentioned.contains(parameter.id.as_str()))?;
    }
    Ok(())
}

fn check_parameter(
    parameter: &Parameter,
    mut entities: impl Iterator<Item = ModelEntity>,
    is_mentioned: bool,
) -> Result<(), PetabError> {
    let fail = |fault| Err(at(&parameter.place, "parameter", &parameter.id, "parameterId", fault));
    match entities.next() {
        Some(ModelEntity::Parameter) => Ok(()),
        Some(entity) => fail(Fault::NotForParameterTable { id: parameter.id.clone(), entity }),
        None if is_mentioned => Ok(()),
        None => fail(Fault::Unused { id: parameter.id.clone() }),
    }
}

fn at(place: &Place, kind: &str, id: &str, column: &str, fault: Fault) -> PetabError {
    let (place, subject) = (place.clone(), format!("{kind} `{id}`"));
    RowError { place, subject, column: column.to_owned(), fault }.into()
}

/// Names around one model.
struct Names<'n, 'p> {
    part: &'p ModelProblem,
    entity: &'n dyn Fn(&str) -> Option<ModelEntity>,
    in_table: &'n BTreeSet<&'p str>,
    format: FormatVersion,
}

impl<'p> Names<'_, 'p> {
    fn check_observables(&self) -> Result<(), PetabError> {
        for observable in self.part.observables.iter() {
            let id = observable.id.clone();
            let of_model = (self.entity)(&id).map(|entity| entity.to_string());
            let of_table =
                || self.in_table.contains(id.as_str()).then(|| "in the parameter table".to_owned());
            if let Some(entity) = of_model.or_else(of_table) {
                let fault = Fault::Taken { id: id.clone(), entity };
                return Err(at(&observable.place, "observable", &id, "observableId", fault));
            }
        }
        Ok(())
    }

    fn is_measured_in(&self, condition: usize) -> bool {
        self.part.measurements.iter().any(|m| {
            let periods = &self.part.experiments[m.experiment.0].periods;
            periods.iter().flat_map(|p| &p.conditions).any(|c| c.0 == condition)
        })
    }

    fn check_condition(&self, condition: &Condition) -> Result<(), PetabError> {
        let kept = condition.kept_targets.iter().map(|target| (target, &condition.place, None));
        let changes = condition.changes.iter().map(|c| (&c.target, &c.place, Some(&c.value)));
        for (target, place, value) in changes.chain(kept) {
            // v1 has a column for each target.
            let fail = |v2_column: &str, fault| {
                let column =
                    if self.format == FormatVersion::V1 { target.as_str() } else { v2_column };
                Err(at(place, "condition", &condition.id, column, fault))
            };
            if !self.is_settable(target) {
                let entity = (self.entity)(target);
                return fail("targetId", Fault::NotSettable { id: target.clone(), entity });
            }
            for symbol in value.map(|value| value.symbols()).unwrap_or_default() {
                let is_known = self.in_table.contains(symbol)
                    || (self.entity)(symbol).is_some()
                    || self.is_mapped(symbol);
                if !is_known {
                    let known = known_ids("parameter", self.in_table.iter().copied());
                    let (kind, id) = ("parameter or model entity", symbol.to_owned());
                    return fail("targetValue", Fault::Unknown { kind, id, known });
                }
            }
        }
        Ok(())
    }

    /// Entities of the model, and parameters that only formulas have.
    fn is_settable(&self, target: &str) -> bool {
        match (self.entity)(target) {
            Some(entity) => entity != ModelEntity::Other,
            None => self.formula_symbols().any(|s| s == target) || self.is_mapped(target),
        }
    }

    fn is_mapped(&self, id: &str) -> bool {
        self.part.mapping.iter().any(|m| m.id == id && m.model_entity.is_some())
    }

    fn formula_symbols(&self) -> impl Iterator<Item = &'p str> + use<'p> {
        let part = self.part;
        let observables = part.observables.iter();
        observables.flat_map(|o| [&o.formula, &o.noise_formula]).flat_map(|f| f.symbols())
    }

    /// Adds everything that may name a row of the parameter table.
    fn collect(&self, mentioned: &mut HashSet<&'p str>) {
        mentioned.extend(self.formula_symbols());
        let changes = self.part.conditions.iter().flat_map(|condition| &condition.changes);
        mentioned.extend(changes.flat_map(|change| change.value.symbols()));
        let overrides = self
            .part
            .measurements
            .iter()
            .flat_map(|m| m.observable_parameters.iter().chain(&m.noise_parameters));
        mentioned.extend(overrides.filter_map(|value| match value {
            Override::Parameter(id) => Some(id.as_str()),
            Override::Number(_) => None,
        }));
        let mapped = self.part.mapping.iter().filter(|m| m.model_entity.is_some());
        mentioned.extend(mapped.map(|m| m.id.as_str()));
    }
}
