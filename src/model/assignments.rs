//! What events and later periods assign, lowered to the graph.

use super::ModelError;
use super::environment::Environment;
use super::events::{AssignmentNodes, EventNodes};
use super::lower::truth;
use super::periods::{PeriodTables, changes};
use super::rows::Overrides;
use crate::graph::{Graph, Input, NodeId, Substitution};
use crate::index::StateIdx;
use crate::math::Expr;
use crate::petab::ModelProblem;
use crate::sbml;
use std::collections::{HashMap, HashSet};

/// Names that a later period gives a value which only the trajectory or an earlier period tells:
/// they must be states.
pub(super) fn set_along_the_way(
    part: &ModelProblem,
    tables: &PeriodTables,
    overrides: &Overrides<'_>,
) -> HashSet<String> {
    let later = tables.all().filter(|(_, is_first, _)| !is_first);
    later
        .flat_map(|(_, _, period)| changes(part, &period.own))
        .filter(|change| !overrides.is_constant(&change.value))
        .map(|change| change.target.clone())
        .collect()
}

/// The events of a model in the graph.
pub(super) fn lower_events(
    graph: &mut Graph,
    environment: &mut Environment<'_>,
    model: &sbml::Model,
) -> Result<Vec<EventNodes>, ModelError> {
    let none = HashMap::new();
    let mut list = Vec::new();
    for (i, event) in model.events.iter().enumerate() {
        // Without a trigger it never fires (L3V2).
        let Some(trigger) = &event.trigger.math else { continue };
        let place = event.place.to_string();
        let lowered = environment.expression(graph, trigger, &none, &place)?;
        let mut optional = |expr: &Option<Expr>, environment: &mut Environment<'_>| {
            expr.as_ref().map(|expr| environment.expression(graph, expr, &none, &place)).transpose()
        };
        let delay = optional(&event.delay, environment)?;
        let priority = optional(&event.priority, environment)?;
        let assigned: Vec<(&str, &Expr, String)> = event
            .assignments
            .iter()
            .map(|a| (a.variable.as_str(), &a.math, a.place.to_string()))
            .collect();
        list.push(EventNodes {
            id: event.id.clone().unwrap_or_else(|| format!("event {}", i + 1)),
            trigger: truth(graph, lowered),
            delay,
            priority,
            assignments: event_assignments(graph, environment, &assigned)?,
            initial_value: event.trigger.initial_value,
            persistent: event.trigger.persistent,
            use_values_from_trigger_time: event.use_values_from_trigger_time,
        });
    }
    Ok(list)
}

/// What states become when each period starts, by place; nothing for first periods.
pub(super) fn period_assignments(
    graph: &mut Graph,
    environment: &mut Environment<'_>,
    part: &ModelProblem,
    tables: &PeriodTables,
) -> Result<Vec<Vec<AssignmentNodes>>, ModelError> {
    let mut list = Vec::with_capacity(tables.len());
    for (_, is_first, period) in tables.all() {
        if is_first {
            list.push(Vec::new());
            continue;
        }
        let own: Vec<(&str, &Expr, String)> = changes(part, &period.own)
            .filter(|change| environment.state_of(&change.target).is_some())
            .map(|change| (change.target.as_str(), &change.value, change.place.to_string()))
            .collect();
        list.push(assignments_of_period(graph, environment, &own)?);
    }
    Ok(list)
}

/// A state, what it is assigned, and the compartment in which that is a concentration.
type Assigned<'e> = (StateIdx, NodeId, Option<&'e str>);

/// Assignments of formulas to variables, all evaluated on what was before; where a species is given
/// a concentration and its state is an amount, its compartment is named.
fn assignments<'e>(
    graph: &mut Graph,
    environment: &mut Environment<'e>,
    list: &[(&str, &Expr, String)],
) -> Result<Vec<Assigned<'e>>, ModelError> {
    let none = HashMap::new();
    let mut assigned = Vec::with_capacity(list.len());
    for (variable, expr, place) in list {
        let value = environment.expression(graph, expr, &none, place)?;
        let Some(state) = environment.state_of(variable) else {
            return Err(ModelError::Unsupported {
                place: place.clone(),
                what: format!("an assignment to {variable:?}, which a rule gives"),
            });
        };
        assigned.push((state, value, environment.varying_compartment_of(variable)));
    }
    Ok(assigned)
}

/// Those of an event: a concentration becomes an amount in the compartment as it is when the event
/// is executed, before what the event does to it; new sizes keep amounts.
fn event_assignments(
    graph: &mut Graph,
    environment: &mut Environment<'_>,
    list: &[(&str, &Expr, String)],
) -> Result<Vec<AssignmentNodes>, ModelError> {
    let mut nodes = Vec::with_capacity(list.len());
    for (state, value, compartment) in assignments(graph, environment, list)? {
        let factor = compartment.map(|c| environment.value_along(graph, c)).transpose()?;
        nodes.push(AssignmentNodes { state, value, factor });
    }
    Ok(nodes)
}

/// Those of a period: new sizes keep concentrations, and those that are assigned hold in the
/// compartment as it is then.
fn assignments_of_period(
    graph: &mut Graph,
    environment: &mut Environment<'_>,
    list: &[(&str, &Expr, String)],
) -> Result<Vec<AssignmentNodes>, ModelError> {
    let mut all = assignments(graph, environment, list)?;
    for (compartment, _, _) in list {
        for species in environment.amounts_in(compartment) {
            let state = environment.state_of(species).expect("amounts are states");
            if !all.iter().any(|(other, _, _)| *other == state) {
                let value = environment.value_along(graph, species)?;
                all.push((state, value, environment.varying_compartment_of(species)));
            }
        }
    }
    let new_values: HashMap<StateIdx, NodeId> = all
        .iter()
        .filter(|(_, _, compartment)| compartment.is_none())
        .map(|&(state, value, _)| (state, value))
        .collect();
    let mut after = Substitution::new(None, |graph: &mut Graph, input| match input {
        Input::State(state) if new_values.contains_key(&state) => new_values[&state],
        other => graph.input(other),
    });
    let mut nodes = Vec::with_capacity(all.len());
    for (state, value, compartment) in all {
        let value = match compartment {
            Some(compartment) => {
                let size = environment.value_along(graph, compartment)?;
                let size = after.apply(graph, size);
                graph.mul(value, size)
            }
            None => value,
        };
        nodes.push(AssignmentNodes { state, value, factor: None });
    }
    Ok(nodes)
}
