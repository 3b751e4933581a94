//! Assembling an [`OdeProblem`] from the tables and the model.

use super::aliases::Aliases;
use super::assignments::{lower_events, period_assignments, set_along_the_way};
use super::environment::{Binding, Environment};
use super::events::{Assignment, Events};
use super::formulas::{ParameterFormulas, depends_on, parameters_of};
use super::periods::{PeriodTables, changes};
use super::rows::{Overrides, RowTable};
use super::switches::{Switched, extract, jumps_on_states};
use super::timeline::{Breakpoints, Span};
use super::{
    EstimatedParameter, ModelError, Observable, OdeProblem, Period, Simulation, SlotValue,
};
use crate::graph::{Graph, Input, NodeId};
use crate::index::{ParameterIdx, PeriodIdx, SimulationIdx, SlotIdx};
use crate::objective::{NoiseModel, Priors};
use crate::petab::{self, ModelEntity, Problem};
use crate::rosenbrock::RightHandSide;
use crate::sbml;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// Reads a problem (a PEtab YAML file, or a folder that holds one) and its model.
pub fn load(path: &Path) -> Result<OdeProblem, ModelError> {
    let problem = build(petab::load(path)?)?;
    if problem.parameters.is_empty() {
        return Err(ModelError::NothingEstimated { file: problem.petab.path.clone() });
    }
    Ok(problem)
}

/// Builds the ODE problem of a PEtab problem: of its first model, with those of further models
/// beside it. A model without measurements takes no part.
pub fn build(problem: Problem) -> Result<OdeProblem, ModelError> {
    let problem = Arc::new(problem);
    let models: Vec<sbml::Model> = problem
        .models
        .iter()
        .map(|part| sbml::read_file(&part.model_location))
        .collect::<Result<_, _>>()?;
    petab::check_names(&problem, &|model, id| entity_of(&models[model], id))?;
    let measured = |m: &usize| !problem.models[*m].measurements.is_empty();
    let mut parts = (0..problem.models.len()).filter(measured);
    // A problem without any measurement is refused when it is read.
    let first = parts.next().unwrap_or(0);
    let mut first = build_part(&problem, first, &models[first])?;
    for model in parts {
        let mut other = build_part(&problem, model, &models[model])?;
        other.priors = Priors::absent(&problem);
        first.notes.append(&mut other.notes);
        first.others.push(other);
    }
    Ok(first)
}

/// The ODE problem of one model.
fn build_part(
    problem: &Arc<Problem>,
    model_index: usize,
    model: &sbml::Model,
) -> Result<OdeProblem, ModelError> {
    let aliases = Aliases::new(&problem.models[model_index]);
    let aliased = aliases.apply(&problem.models[model_index]);
    let part = aliased.as_ref().unwrap_or(&problem.models[model_index]);

    let parameters: Vec<EstimatedParameter> =
        problem.parameters.iter().filter(|p| p.estimated).map(estimated).collect();

    // Simulations, in the order in which the measurements name them.
    let rows = RowTable::new(part)?;
    let tables = PeriodTables::new(part, &rows, problem.format);
    let targets: HashSet<&str> = tables
        .all()
        .flat_map(|(_, _, period)| changes(part, &period.applied))
        .map(|change| change.target.as_str())
        .collect();
    let overrides = Overrides::new(&problem.parameters, model, &targets, &aliases);
    let mut builder =
        Builder { graph: Graph::new(), slots: Slots::default(), formulas: Default::default() };
    let mut bindings = builder.bind_parameters(&problem.parameters, &tables, &aliases);
    let file = part.model_location.display().to_string();
    let moved = set_along_the_way(part, &tables, &overrides);
    let state_ids = Environment::new(model, file.clone(), HashMap::new(), &moved);
    let is_state = |id: &str| state_ids.state_ids().iter().any(|state| state == id);
    let is_species = |id: &str| model.species.iter().any(|species| species.id == id);
    let of_targets: [&dyn Fn(&str) -> bool; 2] = [&is_state, &is_species];
    builder.bind_conditions(part, &tables, &overrides, of_targets, &mut bindings)?;

    let mut environment = Environment::new(model, file, bindings, &moved);
    environment.start_at(builder.start_time(&tables));
    aliases.check(|id| environment.has(id))?;
    refuse_bad_targets(part, &tables, &environment)?;
    let graph = &mut builder.graph;
    let derivatives = environment.derivatives(graph)?;
    let initial = environment.initial_values(graph)?;
    let event_nodes = lower_events(graph, &mut environment, model)?;
    let assigned = period_assignments(graph, &mut environment, part, &tables)?;
    let Switched { roots: derivatives, held, switches } = extract(graph, &derivatives);
    let (events, assigned) = Events::new(graph, &event_nodes, &held, &assigned);
    let mut notes: Vec<String> = model.ignored.iter().map(|i| format!("left out: {i}")).collect();
    let hidden = jumps_on_states(&builder.graph, &derivatives);
    if hidden > 0 {
        notes.push(format!(
            "{hidden} function{} of states that jump{} (floor, ceiling, sign, equality): only the error control sees the jumps, they are not located inside steps",
            if hidden == 1 { "" } else { "s" },
            if hidden == 1 { "s" } else { "" }
        ));
    }
    let breakpoints = Breakpoints::new(&builder.graph, &switches);
    let mut roots = derivatives.clone();
    roots.extend(&initial);
    let slots: Vec<SlotIdx> = slots_of(&builder.graph, &roots);
    let reaching = reaching_slots(&slots, &breakpoints, &events, &assigned);
    let heirs = builder.add_heirs(&reaching, &tables, &parameters);
    let simulation_slot_count = builder.slots.ids.len();
    // Of several models each must have what it is measured with.
    let is_needed = |i: usize| {
        problem.models.len() == 1 || part.measurements.iter().any(|m| m.observable.0 == i)
    };
    let observables = builder.observables(part, &mut environment, &is_needed)?;
    let simulations = Simulations {
        builder: &builder,
        rows: &rows,
        tables: &tables,
        breakpoints: &breakpoints,
        moving: events.moving_slots(),
        part,
        assigned,
    }
    .list();
    let row_list = rows.rows(part, &observables, &builder.slots.placeholders, &overrides)?;
    let dynamic = simulations
        .iter()
        .map(|simulation| {
            let is_moved = |p: usize| {
                let parameter = ParameterIdx::from_position(p);
                simulation.periods.iter().any(|period| {
                    reaching.iter().any(|slot| {
                        let value = period.slot_values[slot.position()];
                        depends_on(&builder.formulas, value, parameter)
                    })
                })
            };
            (0..parameters.len()).map(is_moved).collect()
        })
        .collect();
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
            switch_count: held.len() + switches.len(),
        },
        initial,
        slot_ids: builder.slots.ids,
        simulation_slot_count,
        switches,
        breakpoints,
        formulas: builder.formulas,
        events,
        observables,
        simulations,
        rows: row_list,
        dynamic,
        reaching,
        heirs,
        priors: Priors::new(problem),
        notes,
        petab: problem.clone(),
        model_index,
        others: Vec::new(),
    })
}

/// What an id means to the tables.
fn entity_of(model: &sbml::Model, id: &str) -> Option<ModelEntity> {
    let is_ruled = || model.rules.iter().any(|rule| rule.variable == id);
    Some(match model.symbols.get(id)? {
        sbml::Symbol::Parameter(_) if is_ruled() => ModelEntity::RuledParameter,
        sbml::Symbol::Parameter(_) => ModelEntity::Parameter,
        sbml::Symbol::Species(_) => ModelEntity::Species,
        sbml::Symbol::Compartment(_) => ModelEntity::Compartment,
        sbml::Symbol::Reaction(_) | sbml::Symbol::SpeciesReference { .. } => ModelEntity::Other,
    })
}

/// Slots that reach a trajectory: through the right-hand side, initial values, switch times,
/// events or the assignments of periods.
fn reaching_slots(
    slots: &[SlotIdx],
    breakpoints: &Breakpoints,
    events: &Events,
    assigned: &[Vec<Assignment>],
) -> Vec<SlotIdx> {
    let mut all = slots.to_vec();
    all.extend(breakpoints.slots());
    all.extend(events.slots());
    all.extend(assigned.iter().flat_map(|list| events.slots_in(list)));
    all.sort_unstable();
    all.dedup();
    all
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

struct Builder {
    graph: Graph,
    slots: Slots,
    formulas: ParameterFormulas,
}

impl Builder {
    /// Every parameter of the table: a slot where it is estimated, else a constant.
    fn bind_parameters(
        &mut self,
        table: &[petab::Parameter],
        tables: &PeriodTables,
        aliases: &Aliases,
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
            bindings.insert(aliases.resolve(&parameter.id).to_owned(), Binding::Always(node));
        }
        bindings
    }

    /// When simulations start, in the model's time: a pre-equilibration at 0.
    fn start_time(&mut self, tables: &PeriodTables) -> NodeId {
        let starts: Vec<f64> = tables
            .first_places()
            .iter()
            .filter_map(|&first| tables.all().nth(first))
            .map(|(_, _, period)| if period.start.is_finite() { period.start } else { 0.0 })
            .collect();
        match starts.first() {
            Some(&first) if starts.iter().any(|t| *t != first) => {
                let values = starts.iter().map(|&t| SlotValue::Number(t)).collect();
                let slot = self.slots.add("start time", values);
                self.graph.input(Input::Slot(slot))
            }
            first => self.graph.constant(first.copied().unwrap_or(0.0)),
        }
    }

    /// Every target of a condition in use: a slot, or a constant where all tables agree. A state
    /// has the value with which the first period starts; later periods assign to it.
    fn bind_conditions(
        &mut self,
        part: &petab::ModelProblem,
        tables: &PeriodTables,
        overrides: &Overrides<'_>,
        [is_state, is_species]: [&dyn Fn(&str) -> bool; 2],
        bindings: &mut HashMap<String, Binding>,
    ) -> Result<(), ModelError> {
        let mut order: Vec<&str> = Vec::new();
        let mut values: HashMap<&str, Vec<Option<SlotValue>>> = HashMap::new();
        for (table, is_first, period) in tables.all() {
            let kept = changes(part, &period.kept).filter(|change| is_species(&change.target));
            for change in kept.chain(changes(part, &period.applied)) {
                let target = change.target.as_str();
                if is_state(target) && !is_first {
                    continue;
                }
                let entry = values.entry(target).or_insert_with(|| {
                    order.push(target);
                    vec![None; tables.len()]
                });
                let place = change.place.to_string();
                entry[table] = Some(overrides.value(&mut self.formulas, &change.value, &place)?);
            }
        }
        let first_places = tables.first_places();
        for (_, of_target) in values.iter_mut().filter(|(target, _)| is_state(target)) {
            *of_target = first_places.iter().map(|&first| of_target[first]).collect();
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

    /// Adds a slot for each parameter that sets some slot in one period and not in the next: it
    /// carries the parameter's influence onwards. Returns them by parameter.
    fn add_heirs(
        &mut self,
        reaching: &[SlotIdx],
        tables: &PeriodTables,
        parameters: &[EstimatedParameter],
    ) -> Vec<Option<SlotIdx>> {
        let mut needed = vec![false; parameters.len()];
        for s in (0..tables.simulation_count()).map(SimulationIdx::from_position) {
            for k in 1..tables.of(s).len() {
                let [before, after] =
                    [k - 1, k].map(|k| tables.place(s, PeriodIdx::from_position(k)));
                for slot in reaching {
                    let values = &self.slots.values[slot.position()];
                    if values[before] != values[after] {
                        for parameter in parameters_of(&self.formulas, values[before]) {
                            needed[parameter.position()] = true;
                        }
                    }
                }
            }
        }
        let mut heirs = vec![None; parameters.len()];
        for (p, _) in needed.iter().enumerate().filter(|(_, needed)| **needed) {
            let value = SlotValue::Estimated(ParameterIdx::from_position(p));
            let id = format!("{} in earlier periods", parameters[p].id);
            heirs[p] = Some(self.slots.add(&id, vec![value; tables.len()]));
        }
        heirs
    }

    /// The observables; those that are not needed have no value.
    fn observables(
        &mut self,
        part: &petab::ModelProblem,
        environment: &mut Environment<'_>,
        is_needed: &dyn Fn(usize) -> bool,
    ) -> Result<Vec<Observable>, ModelError> {
        let mut list = Vec::with_capacity(part.observables.len());
        for (i, observable) in part.observables.iter().enumerate() {
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
            let graph = &mut self.graph;
            let (formula, noise) = if is_needed(i) {
                let formula = environment.expression(graph, &observable.formula, &names, &place)?;
                names.insert(observable.id.clone(), formula);
                let noise =
                    environment.expression(graph, &observable.noise_formula, &names, &place)?;
                (formula, noise)
            } else {
                let none = graph.constant(f64::NAN);
                (none, none)
            };
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

fn refuse_bad_targets(
    part: &petab::ModelProblem,
    tables: &PeriodTables,
    environment: &Environment<'_>,
) -> Result<(), ModelError> {
    for (_, _, period) in tables.all() {
        let conditions = &period.own;
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
    tables: &'a PeriodTables,
    breakpoints: &'a Breakpoints,
    /// Slots that move events, or none if any may.
    moving: Option<Vec<SlotIdx>>,
    part: &'a petab::ModelProblem,
    /// By place.
    assigned: Vec<Vec<Assignment>>,
}

impl Simulations<'_> {
    fn list(mut self) -> Vec<Simulation> {
        (0..self.tables.simulation_count())
            .map(|i| self.simulation(SimulationIdx::from_position(i)))
            .collect()
    }

    fn slot_values(&self, place: usize) -> Vec<SlotValue> {
        let of_simulations = self.builder.slots.values.iter();
        of_simulations.filter_map(|values| values.get(place).copied()).collect()
    }

    fn simulation(&mut self, index: SimulationIdx) -> Simulation {
        let periods: Vec<Period> = self
            .tables
            .of(index)
            .iter()
            .enumerate()
            .map(|(k, table)| {
                let place = self.tables.place(index, PeriodIdx::from_position(k));
                Period {
                    start: table.start,
                    slot_values: self.slot_values(place),
                    assignments: std::mem::take(&mut self.assigned[place]),
                }
            })
            .collect();
        let timed = periods.iter().find(|p| p.start.is_finite());
        let t_start = timed.map_or(0.0, |p| p.start);
        let slot_values = &timed.unwrap_or(&periods[0]).slot_values;
        let number = |slot: SlotIdx| match slot_values[slot.position()] {
            SlotValue::Number(number) => number,
            _ => f64::NAN,
        };
        let output_times = self.rows.output_times(index).to_vec();
        let span = Span::whole(t_start, &output_times);
        let timeline = self.breakpoints.timeline(&number, &span, &[]);
        let is_estimated = |slot: &SlotIdx| {
            periods.iter().any(|p| !matches!(p.slot_values[slot.position()], SlotValue::Number(_)))
        };
        let moving = self.breakpoints.slots();
        let has_moving_breakpoints = match &self.moving {
            Some(of_events) => moving.iter().chain(of_events).any(is_estimated),
            None => true,
        };
        Simulation {
            id: self.part.experiments[self.rows.experiments()[index.position()].0].id.clone(),
            starts_with_output: output_times.first() == Some(&t_start),
            has_moving_breakpoints,
            ends_in_steady_state: output_times.last() == Some(&f64::INFINITY),
            rows: self.rows.of_simulation(index).to_vec(),
            periods,
            timeline,
            output_times,
        }
    }
}
