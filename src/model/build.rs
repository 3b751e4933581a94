//! Assembling an [`OdeProblem`] from the tables and the model.

use super::environment::{Binding, Environment};
use super::rows::{Overrides, RowTable};
use super::switches::{extract, state_dependent_conditions};
use super::timeline::Breakpoints;
use super::{EstimatedParameter, ModelError, Observable, OdeProblem, Simulation, SlotValue};
use crate::graph::{Graph, Input, NodeId};
use crate::index::{ParameterIdx, SimulationIdx, SlotIdx};
use crate::math::Expr;
use crate::objective::NoiseModel;
use crate::petab::{self, ExperimentIdx, Problem};
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
    if let Some(parameter) =
        problem.parameters.iter().find(|p| p.estimated && p.objective_prior.is_some())
    {
        return unsupported(
            parameter.place.to_string(),
            &format!("an objective prior ({:?})", parameter.id),
        );
    }
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
    let mut bindings = builder.bind_parameters(&problem.parameters, &rows);
    builder.bind_conditions(part, &rows, &overrides, &mut bindings)?;

    let file = part.model_location.display().to_string();
    let mut environment = Environment::new(&model, file, bindings)?;
    if environment.state_ids().is_empty() {
        return Err(ModelError::NoStates { file: part.model_location.clone() });
    }
    refuse_bad_targets(part, &rows, &environment)?;
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
    let simulations = simulations(&builder, &rows, &breakpoints, part);
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
    /// Values in each simulation, `[slot][simulation]`.
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

struct Builder {
    graph: Graph,
    slots: Slots,
}

impl Builder {
    /// Every parameter of the table: a slot where it is estimated, else a constant.
    fn bind_parameters(
        &mut self,
        table: &[petab::Parameter],
        rows: &RowTable,
    ) -> HashMap<String, Binding> {
        let simulations = rows.experiments().len();
        let mut bindings = HashMap::new();
        let mut next = 0;
        for parameter in table {
            let node = if parameter.estimated {
                let value = SlotValue::Estimated(ParameterIdx::from_position(next));
                next += 1;
                let slot = self.slots.add(&parameter.id, vec![value; simulations]);
                self.graph.input(Input::Slot(slot))
            } else {
                self.graph.constant(parameter.nominal.unwrap_or(f64::NAN))
            };
            bindings.insert(parameter.id.clone(), Binding::Always(node));
        }
        bindings
    }

    /// Every target of a condition in use: a slot, or a constant where all simulations agree.
    fn bind_conditions(
        &mut self,
        part: &petab::ModelProblem,
        rows: &RowTable,
        overrides: &Overrides<'_>,
        bindings: &mut HashMap<String, Binding>,
    ) -> Result<(), ModelError> {
        let experiments = rows.experiments();
        let mut order: Vec<&str> = Vec::new();
        let mut values: HashMap<&str, Vec<Option<SlotValue>>> = HashMap::new();
        for (simulation, &experiment) in experiments.iter().enumerate() {
            for change in changes(part, experiment) {
                let target = change.target.as_str();
                let entry = values.entry(target).or_insert_with(|| {
                    order.push(target);
                    vec![None; experiments.len()]
                });
                entry[simulation] =
                    Some(overrides.value(&change.value, &change.place.to_string())?);
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

/// Changes that the experiment's only period applies.
fn changes(
    part: &petab::ModelProblem,
    experiment: ExperimentIdx,
) -> impl Iterator<Item = &petab::Change> {
    part.experiments[experiment.0]
        .periods
        .iter()
        .flat_map(|period| &period.conditions)
        .flat_map(|condition| &part.conditions[condition.0].changes)
}

fn refuse_bad_targets(
    part: &petab::ModelProblem,
    rows: &RowTable,
    environment: &Environment<'_>,
) -> Result<(), ModelError> {
    for &experiment in rows.experiments() {
        for change in changes(part, experiment) {
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
                    condition: part.experiments[experiment.0].id.clone(),
                    id: change.target.clone(),
                    reason: "an assignment rule of the model gives at all times",
                });
            }
        }
    }
    Ok(())
}

fn simulations(
    builder: &Builder,
    rows: &RowTable,
    breakpoints: &Breakpoints,
    part: &petab::ModelProblem,
) -> Vec<Simulation> {
    let mut list = Vec::new();
    for (i, &experiment) in rows.experiments().iter().enumerate() {
        let slot_values: Vec<SlotValue> =
            builder.slots.values.iter().filter_map(|values| values.get(i).copied()).collect();
        let is_estimated =
            |slot: &SlotIdx| matches!(slot_values[slot.position()], SlotValue::Estimated(_));
        let number = |slot: SlotIdx| match slot_values[slot.position()] {
            SlotValue::Number(number) => number,
            SlotValue::Estimated(_) => f64::NAN,
        };
        let simulation = SimulationIdx::from_position(i);
        let output_times = rows.output_times(simulation).to_vec();
        let timeline = breakpoints.timeline(&number, 0.0, &output_times, &[]);
        list.push(Simulation {
            id: part.experiments[experiment.0].id.clone(),
            starts_with_output: output_times.first() == Some(&timeline.t_start),
            has_moving_breakpoints: breakpoints.slots().iter().any(is_estimated),
            rows: rows.of_simulation(simulation).to_vec(),
            slot_values,
            timeline,
            output_times,
        });
    }
    list
}

/// The value of a formula without estimated parameters, if it is one.
pub(super) fn constant_value(expr: &Expr, lookup: &dyn Fn(&str) -> Option<f64>) -> Option<f64> {
    crate::math::evaluate(expr, lookup, f64::NAN).ok()
}
