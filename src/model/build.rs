//! Assembling an [`OdeProblem`] from the tables and the model.

use super::environment::{Binding, Environment};
use super::rows::{Overrides, RowTable};
use super::switches::{extract, state_dependent_conditions};
use super::timeline::Breakpoints;
use super::{
    EstimatedParameter, ModelError, Observable, OdeProblem, Preequilibration, ResetValue,
    Simulation, SlotValue,
};
use crate::graph::{Graph, Input, Node, NodeId};
use crate::index::{ParameterIdx, SimulationIdx, SlotIdx, StateIdx};
use crate::math::Expr;
use crate::objective::{NoiseModel, Priors};
use crate::petab::{self, ConditionIdx, FormatVersion, Problem};
use crate::rosenbrock::RightHandSide;
use crate::sbml;
use std::collections::HashMap;
use std::path::Path;

/// Reads a problem (a PEtab YAML file, or a folder that holds one) and its model.
pub fn load(path: &Path) -> Result<OdeProblem, ModelError> {
    build(petab::load(path)?)
}

/// Builds the ODE problem of a PEtab problem.
pub fn build(problem: Problem) -> Result<OdeProblem, ModelError> {
    let here = problem.path.display().to_string();
    let unsupported =
        |place: String, what: &str| Err(ModelError::Unsupported { place, what: what.to_owned() });
    let [part] = problem.models.as_slice() else {
        return unsupported(here, "a problem of several models");
    };
    if let Some(entry) = part.mapping.iter().find(|m| m.model_entity.is_some()) {
        return unsupported(entry.place.to_string(), "a mapping table");
    }
    let model = sbml::read_file(&part.model_location)?;

    let parameters: Vec<EstimatedParameter> =
        problem.parameters.iter().filter(|p| p.estimated).map(estimated).collect();
    if parameters.is_empty() {
        return Err(ModelError::NothingEstimated { file: problem.path.clone() });
    }
    let overrides = Overrides::new(&problem.parameters, &model);

    // Simulations, in the order in which the measurements name them.
    let rows = RowTable::new(part)?;
    let mut builder = Builder { graph: Graph::new(), slots: Slots::default() };
    let tables = SlotTables::new(part, &rows, problem.format);
    let mut bindings = builder.bind_parameters(&problem.parameters, &tables);
    builder.bind_conditions(part, &tables, &overrides, &mut bindings)?;
    let bound = bindings.clone();

    let file = part.model_location.display().to_string();
    let mut environment = Environment::new(&model, file, bindings)?;
    if environment.state_ids().is_empty() {
        return Err(ModelError::NoStates { file: part.model_location.clone() });
    }
    refuse_bad_targets(part, &tables, &environment)?;
    let graph = &mut builder.graph;
    let derivatives = environment.derivatives(graph)?;
    let initial = environment.initial_values(graph)?;
    let (derivatives, switches) =
        extract(graph, &derivatives).map_err(|_| ModelError::Unsupported {
            place: part.model_location.display().to_string(),
            what: "a condition on time that is not linear in time".to_owned(),
        })?;
    let simulation_slot_count = builder.slots.ids.len();
    let observables = builder.observables(part, &mut environment)?;

    let mut roots = derivatives.clone();
    roots.extend(&initial);
    let slots: Vec<SlotIdx> = slots_of(&builder.graph, &roots);
    let mut notes: Vec<String> = model.ignored.iter().map(|i| format!("left out: {i}")).collect();
    let hidden = state_dependent_conditions(&builder.graph, &derivatives);
    if hidden > 0 {
        notes.push(format!(
            "{hidden} condition{} on states: their switching is seen by the error control only, not located inside steps",
            if hidden == 1 { "" } else { "s" }
        ));
    }
    let breakpoints = Breakpoints::new(&builder.graph, &switches);
    let simulations = simulations(&Simulations {
        builder: &builder,
        rows: &rows,
        tables: &tables,
        breakpoints: &breakpoints,
        part,
        bindings: &bound,
        state_ids: environment.state_ids(),
        parameters: &parameters,
    })?;
    let row_list = rows.rows(part, &observables, &builder.slots.placeholders, &overrides)?;
    Ok(OdeProblem {
        name: problem
            .path
            .file_stem()
            .map_or_else(|| "problem".to_owned(), |s| s.to_string_lossy().into_owned()),
        parameters,
        state_ids: environment.state_ids().to_vec(),
        rhs: RightHandSide {
            graph: builder.graph,
            derivatives,
            slots,
            switch_count: switches.len(),
        },
        initial,
        slot_ids: builder.slots.ids,
        simulation_slot_count,
        switches,
        breakpoints,
        observables,
        simulations,
        rows: row_list,
        priors: Priors::new(&problem),
        notes,
        petab: problem,
    })
}

fn estimated(parameter: &petab::Parameter) -> EstimatedParameter {
    let (lower_scaled, upper_scaled) = parameter.scaled_bounds();
    EstimatedParameter {
        id: parameter.id.clone(),
        scale: parameter.scale,
        lower_scaled,
        upper_scaled,
        nominal_scaled: parameter.nominal.map(|p| parameter.scale(p)),
    }
}

fn slots_of(graph: &Graph, roots: &[NodeId]) -> Vec<SlotIdx> {
    graph
        .inputs_of(roots)
        .into_iter()
        .filter_map(|input| match input {
            Input::Slot(slot) => Some(slot),
            _ => None,
        })
        .collect()
}

/// The slots made so far.
#[derive(Default)]
struct Slots {
    ids: Vec<String>,
    /// Values in each table, `[slot][table]`.
    values: Vec<Vec<SlotValue>>,
    /// Slots of the placeholders of each observable: those of its formula, then its noise's.
    placeholders: Vec<Vec<SlotIdx>>,
}

impl Slots {
    fn add(&mut self, id: &str, values: Vec<SlotValue>) -> SlotIdx {
        let slot = SlotIdx::from_position(self.ids.len());
        self.ids.push(id.to_owned());
        self.values.push(values);
        slot
    }
}

/// The tables that map slots to values: one for each simulation, then one for each
/// pre-equilibration.
struct SlotTables {
    /// Conditions that apply, later ones over earlier ones.
    conditions: Vec<Vec<ConditionIdx>>,
    /// By simulation, the table of its pre-equilibration.
    preequilibration: Vec<Option<usize>>,
    /// By simulation, the conditions that its own period applies.
    own: Vec<Vec<ConditionIdx>>,
}

impl SlotTables {
    fn new(part: &petab::ModelProblem, rows: &RowTable, format: FormatVersion) -> Self {
        let mut tables =
            Self { conditions: Vec::new(), preequilibration: Vec::new(), own: Vec::new() };
        let mut before = Vec::new();
        for &experiment in rows.experiments() {
            let periods = &part.experiments[experiment.0].periods;
            let first = periods.first().filter(|p| p.time == f64::NEG_INFINITY);
            let own = match periods.last() {
                Some(last) if first.is_none() || periods.len() > 1 => last.conditions.clone(),
                _ => Vec::new(),
            };
            // A v1 simulation condition stands for itself; what a v2 period sets stays set.
            let mut applied = match (format, first) {
                (FormatVersion::V2, Some(first)) => first.conditions.clone(),
                _ => Vec::new(),
            };
            applied.extend(&own);
            tables.conditions.push(applied);
            tables.own.push(own);
            before.push(first.map(|period| period.conditions.clone()));
        }
        for conditions in before {
            tables.preequilibration.push(conditions.map(|conditions| {
                tables.conditions.push(conditions);
                tables.conditions.len() - 1
            }));
        }
        tables
    }

    fn len(&self) -> usize {
        self.conditions.len()
    }
}

struct Builder {
    graph: Graph,
    slots: Slots,
}

impl Builder {
    /// Every parameter of the table: a slot where it is estimated, else a constant.
    fn bind_parameters(
        &mut self,
        table: &[petab::Parameter],
        tables: &SlotTables,
    ) -> HashMap<String, Binding> {
        let mut bindings = HashMap::new();
        let mut next = 0;
        for parameter in table {
            let node = if parameter.estimated {
                let value = SlotValue::Estimated(ParameterIdx::from_position(next));
                next += 1;
                let slot = self.slots.add(&parameter.id, vec![value; tables.len()]);
                self.graph.input(Input::Slot(slot))
            } else {
                self.graph.constant(parameter.nominal.unwrap_or(f64::NAN))
            };
            bindings.insert(parameter.id.clone(), Binding::Always(node));
        }
        bindings
    }

    /// Every target of a condition in use: a slot, or a constant where all tables agree.
    fn bind_conditions(
        &mut self,
        part: &petab::ModelProblem,
        tables: &SlotTables,
        overrides: &Overrides<'_>,
        bindings: &mut HashMap<String, Binding>,
    ) -> Result<(), ModelError> {
        let mut order: Vec<&str> = Vec::new();
        let mut values: HashMap<&str, Vec<Option<SlotValue>>> = HashMap::new();
        for (table, conditions) in tables.conditions.iter().enumerate() {
            for change in changes(part, conditions) {
                let target = change.target.as_str();
                let entry = values.entry(target).or_insert_with(|| {
                    order.push(target);
                    vec![None; tables.len()]
                });
                entry[table] = Some(overrides.value(&change.value, &change.place.to_string())?);
            }
        }
        for target in order {
            let of_target = &values[target];
            let binding = if let Some(&Some(SlotValue::Number(first))) = of_target.first()
                && of_target.iter().all(|v| *v == Some(SlotValue::Number(first)))
            {
                Binding::Always(self.graph.constant(first))
            } else {
                let zero = SlotValue::Number(0.0);
                let filled = of_target.iter().map(|v| v.unwrap_or(zero)).collect();
                let slot = self.slots.add(target, filled);
                let value = self.graph.input(Input::Slot(slot));
                if of_target.iter().all(Option::is_some) {
                    Binding::Always(value)
                } else {
                    let is_set =
                        |v: &Option<SlotValue>| SlotValue::Number(f64::from(u8::from(v.is_some())));
                    let flags = of_target.iter().map(is_set).collect();
                    let flag = self.slots.add(&format!("{target} is set"), flags);
                    Binding::Where { flag: self.graph.input(Input::Slot(flag)), value }
                }
            };
            bindings.insert(target.to_owned(), binding);
        }
        Ok(())
    }

    fn observables(
        &mut self,
        part: &petab::ModelProblem,
        environment: &mut Environment<'_>,
    ) -> Result<Vec<Observable>, ModelError> {
        let mut list = Vec::with_capacity(part.observables.len());
        for observable in part.observables.iter() {
            let place = observable.place.to_string();
            let mut names = HashMap::new();
            let mut slots = Vec::new();
            let placeholders =
                observable.observable_placeholders.iter().chain(&observable.noise_placeholders);
            for placeholder in placeholders {
                let slot = self.slots.add(placeholder, Vec::new());
                slots.push(slot);
                names.insert(placeholder.clone(), self.graph.input(Input::Slot(slot)));
            }
            let formula =
                environment.expression(&mut self.graph, &observable.formula, &names, &place)?;
            names.insert(observable.id.clone(), formula);
            let noise = environment.expression(
                &mut self.graph,
                &observable.noise_formula,
                &names,
                &place,
            )?;
            self.slots.placeholders.push(slots);
            list.push(Observable {
                id: observable.id.clone(),
                formula,
                noise,
                noise_model: NoiseModel {
                    transformation: observable.transformation,
                    distribution: observable.distribution,
                },
            });
        }
        Ok(list)
    }
}

/// Changes that conditions make, in order.
fn changes<'p>(
    part: &'p petab::ModelProblem,
    conditions: &'p [ConditionIdx],
) -> impl Iterator<Item = &'p petab::Change> {
    conditions.iter().flat_map(|condition| &part.conditions[condition.0].changes)
}

fn refuse_bad_targets(
    part: &petab::ModelProblem,
    tables: &SlotTables,
    environment: &Environment<'_>,
) -> Result<(), ModelError> {
    for conditions in &tables.conditions {
        for change in changes(part, conditions) {
            let in_formulas = || {
                part.observables.iter().any(|o| {
                    [&o.formula, &o.noise_formula]
                        .iter()
                        .any(|f| f.symbols().contains(&change.target.as_str()))
                })
            };
            if !environment.has(&change.target) && !in_formulas() {
                return Err(ModelError::UnknownTarget {
                    place: change.place.to_string(),
                    id: change.target.clone(),
                });
            }
            if environment.is_assigned(&change.target) {
                return Err(ModelError::ConditionTarget {
                    place: change.place.to_string(),
                    condition: conditions
                        .iter()
                        .map(|c| part.conditions[c.0].id.as_str())
                        .collect::<Vec<_>>()
                        .join(", "),
                    id: change.target.clone(),
                    reason: "an assignment rule of the model gives at all times",
                });
            }
        }
    }
    Ok(())
}

/// What simulations are made of.
struct Simulations<'a> {
    builder: &'a Builder,
    rows: &'a RowTable,
    tables: &'a SlotTables,
    breakpoints: &'a Breakpoints,
    part: &'a petab::ModelProblem,
    bindings: &'a HashMap<String, Binding>,
    state_ids: &'a [String],
    parameters: &'a [EstimatedParameter],
}

fn simulations(from: &Simulations<'_>) -> Result<Vec<Simulation>, ModelError> {
    let table = |i: usize| -> Vec<SlotValue> {
        from.builder.slots.values.iter().filter_map(|values| values.get(i).copied()).collect()
    };
    let mut list = Vec::new();
    for (i, &experiment) in from.rows.experiments().iter().enumerate() {
        let slot_values = table(i);
        let is_estimated =
            |slot: &SlotIdx| matches!(slot_values[slot.position()], SlotValue::Estimated(_));
        let number = |slot: SlotIdx| match slot_values[slot.position()] {
            SlotValue::Number(number) => number,
            SlotValue::Estimated(_) => f64::NAN,
        };
        let simulation = SimulationIdx::from_position(i);
        let output_times = from.rows.output_times(simulation).to_vec();
        let finite: Vec<f64> = output_times.iter().copied().filter(|t| t.is_finite()).collect();
        let timeline = from.breakpoints.timeline(&number, 0.0, &finite, &[]);
        let has_moving_breakpoints = from.breakpoints.slots().iter().any(is_estimated);
        let preequilibration = from.tables.preequilibration[i]
            .map(|place| Preequilibration { slot_values: table(place), resets: resets(from, i) });
        let ends_in_steady_state = finite.len() < output_times.len();
        let id = from.part.experiments[experiment.0].id.clone();
        let unsupported = |what: String| {
            Err(ModelError::Unsupported {
                place: from.part.model_location.display().to_string(),
                what: format!("{what} (simulation {id:?})"),
            })
        };
        if has_moving_breakpoints && (preequilibration.is_some() || ends_in_steady_state) {
            return unsupported(
                "a steady state with switch times set by estimated parameters".to_owned(),
            );
        }
        for (slot, before) in
            preequilibration.iter().flat_map(|p| p.slot_values.iter().copied().enumerate())
        {
            if let SlotValue::Estimated(p) = before
                && slot_values[slot] != before
            {
                return unsupported(format!(
                    "a pre-equilibration in which the estimated parameter {:?} sets {:?}, and something else in the simulation",
                    from.parameters[p.position()].id,
                    from.builder.slots.ids[slot]
                ));
            }
        }
        list.push(Simulation {
            id,
            starts_with_output: output_times.first() == Some(&timeline.t_start),
            has_moving_breakpoints,
            preequilibration,
            ends_in_steady_state,
            rows: from.rows.of_simulation(simulation).to_vec(),
            slot_values,
            timeline,
            output_times,
        });
    }
    Ok(list)
}

/// States that a simulation's own period sets, and to what.
fn resets(from: &Simulations<'_>, simulation: usize) -> Vec<(StateIdx, ResetValue)> {
    let mut resets = Vec::new();
    for change in changes(from.part, &from.tables.own[simulation]) {
        let Some(state) = from.state_ids.iter().position(|id| *id == change.target) else {
            continue;
        };
        let node = match from.bindings.get(&change.target) {
            Some(Binding::Always(value) | Binding::Where { value, .. }) => *value,
            None => continue,
        };
        let value = match from.builder.graph.node(node) {
            Node::Input(Input::Slot(slot)) => ResetValue::Slot(slot),
            _ => ResetValue::Number(from.builder.graph.constant_value(node).unwrap_or(f64::NAN)),
        };
        resets.push((StateIdx::from_position(state), value));
    }
    resets
}

/// The value of a formula without estimated parameters, if it is one.
pub(super) fn constant_value(expr: &Expr, lookup: &dyn Fn(&str) -> Option<f64>) -> Option<f64> {
    crate::math::evaluate(expr, lookup, f64::NAN).ok()
}
