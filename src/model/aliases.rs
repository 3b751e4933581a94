//! The mapping table: PEtab identifiers that stand for entities of the model.

use super::ModelError;
use crate::math::Expr;
use crate::petab::{Change, Condition, Mapping, ModelProblem, Observable};
use std::sync::Arc;

/// Other names of model entities, such as those of local parameters (`reaction.parameter`), which
/// have no identifier of their own.
#[derive(Debug)]
pub(super) struct Aliases {
    mapping: Arc<[Mapping]>,
}

impl Aliases {
    pub(super) fn new(part: &ModelProblem) -> Self {
        Self { mapping: part.mapping.clone() }
    }

    /// Aliases with what they stand for. Rows that only annotate are none.
    fn pairs(&self) -> impl Iterator<Item = (&Mapping, &str)> {
        self.mapping.iter().filter_map(|m| {
            let entity = m.model_entity.as_deref()?;
            (entity != m.id).then_some((m, entity))
        })
    }

    /// The model's name of what an id stands for.
    pub(super) fn resolve<'i>(&'i self, id: &'i str) -> &'i str {
        self.pairs().find(|(m, _)| m.id == id).map_or(id, |(_, entity)| entity)
    }

    /// # Errors
    /// Names that the model does not have.
    pub(super) fn check(&self, is_known: impl Fn(&str) -> bool) -> Result<(), ModelError> {
        match self.pairs().find(|(_, entity)| !is_known(entity)) {
            Some((mapping, entity)) => Err(ModelError::UnknownSymbol {
                place: mapping.place.to_string(),
                id: entity.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// The problem with every alias replaced, if there is any.
    pub(super) fn apply(&self, part: &ModelProblem) -> Option<ModelProblem> {
        self.pairs().next()?;
        let named = |expr: &Expr| {
            expr.substitute(&|id| {
                let entity = self.resolve(id);
                (entity != id).then(|| Expr::symbol(entity))
            })
        };
        let observables = part.observables.iter().map(|o| Observable {
            formula: named(&o.formula),
            noise_formula: named(&o.noise_formula),
            ..o.clone()
        });
        let conditions = part.conditions.iter().map(|condition| Condition {
            changes: condition
                .changes
                .iter()
                .map(|change| Change {
                    target: self.resolve(&change.target).to_owned(),
                    value: named(&change.value),
                    ..change.clone()
                })
                .collect(),
            ..condition.clone()
        });
        Some(ModelProblem {
            model_id: part.model_id.clone(),
            model_location: part.model_location.clone(),
            observables: observables.collect(),
            conditions: conditions.collect(),
            experiments: part.experiments.clone(),
            measurements: part.measurements.clone(),
            mapping: part.mapping.clone(),
            measurement_tables: part.measurement_tables.clone(),
        })
    }
}
