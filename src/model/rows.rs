//! Measurement rows, and what their cells and the conditions' cells refer to.

use super::aliases::Aliases;
use super::formulas::ParameterFormulas;
use super::{ModelError, Observable, Row, SlotValue};
use crate::index::{ObservableIdx, ParameterIdx, PeriodIdx, RowIdx, SimulationIdx, SlotIdx};
use crate::math::Expr;
use crate::petab::{self, ExperimentIdx, ModelProblem, Override};
use crate::sbml;
use std::collections::{HashMap, HashSet};

/// Which simulation and which output each measurement belongs to.
pub(super) struct RowTable {
    /// The experiment of each simulation.
    experiments: Vec<ExperimentIdx>,
    output_times: Vec<Vec<f64>>,
    rows_of: Vec<Vec<RowIdx>>,
    simulation_of: Vec<SimulationIdx>,
}

impl RowTable {
    /// # Errors
    /// [`ModelError::BeforeStart`].
    pub(super) fn new(part: &ModelProblem) -> Result<Self, ModelError> {
        let mut index: HashMap<usize, SimulationIdx> = HashMap::new();
        let mut table = Self {
            experiments: Vec::new(),
            output_times: Vec::new(),
            rows_of: Vec::new(),
            simulation_of: Vec::with_capacity(part.measurements.len()),
        };
        for (i, measurement) in part.measurements.iter().enumerate() {
            let experiment = &part.experiments[measurement.experiment.0];
            let start = match experiment.periods.as_slice() {
                [] => 0.0,
                // All periods are pre-equilibrations: only their steady state can be measured.
                _ => experiment.start().unwrap_or(f64::INFINITY),
            };
            if measurement.time < start {
                return Err(ModelError::BeforeStart {
                    place: measurement.place.to_string(),
                    time: measurement.time,
                    experiment: experiment.id.clone(),
                    start,
                });
            }
            let simulation = *index.entry(measurement.experiment.0).or_insert_with(|| {
                table.experiments.push(measurement.experiment);
                table.output_times.push(Vec::new());
                table.rows_of.push(Vec::new());
                SimulationIdx::from_position(table.experiments.len() - 1)
            });
            table.output_times[simulation.position()].push(measurement.time);
            table.rows_of[simulation.position()].push(RowIdx::from_position(i));
            table.simulation_of.push(simulation);
        }
        for times in &mut table.output_times {
            times.sort_unstable_by(f64::total_cmp);
            times.dedup();
        }
        Ok(table)
    }

    pub(super) fn experiments(&self) -> &[ExperimentIdx] {
        &self.experiments
    }

    pub(super) fn output_times(&self, simulation: SimulationIdx) -> &[f64] {
        &self.output_times[simulation.position()]
    }

    pub(super) fn of_simulation(&self, simulation: SimulationIdx) -> &[RowIdx] {
        &self.rows_of[simulation.position()]
    }

    /// All rows, in the order of the measurement table.
    pub(super) fn rows(
        &self,
        part: &ModelProblem,
        observables: &[Observable],
        placeholders: &[Vec<SlotIdx>],
        overrides: &Overrides<'_>,
    ) -> Result<Vec<Row>, ModelError> {
        let mut list = Vec::with_capacity(part.measurements.len());
        for (i, measurement) in part.measurements.iter().enumerate() {
            let simulation = self.simulation_of[i];
            let times = &self.output_times[simulation.position()];
            let observable = ObservableIdx::from_position(measurement.observable.0);
            debug_assert!(observable.position() < observables.len());
            let cells =
                measurement.observable_parameters.iter().chain(&measurement.noise_parameters);
            let mut values = Vec::new();
            for (&slot, cell) in placeholders[observable.position()].iter().zip(cells) {
                let value = match cell {
                    Override::Number(number) => SlotValue::Number(*number),
                    Override::Parameter(id) => {
                        overrides.named(id, &measurement.place.to_string())?
                    }
                };
                values.push((slot, value));
            }
            list.push(Row {
                observable,
                simulation,
                output: times.partition_point(|t| *t < measurement.time),
                period: period_at(part, measurement.experiment, measurement.time),
                measured: measurement.value,
                placeholders: values,
                measurement: i,
            });
        }
        Ok(list)
    }
}

/// The period that an experiment is in at a time, after what happens then.
fn period_at(part: &ModelProblem, experiment: ExperimentIdx, time: f64) -> PeriodIdx {
    let periods = &part.experiments[experiment.0].periods;
    let started = periods.iter().filter(|period| period.time <= time).count();
    PeriodIdx::from_position(started.saturating_sub(1))
}

/// What a cell of a condition or an override may name.
pub(super) struct Overrides<'a> {
    values: HashMap<&'a str, SlotValue>,
    model: &'a sbml::Model,
}

impl<'a> Overrides<'a> {
    /// Names of the parameter table, and constants of the model that only a number defines;
    /// `targets` are names that conditions set.
    pub(super) fn new(
        table: &'a [petab::Parameter],
        model: &'a sbml::Model,
        targets: &HashSet<&str>,
        aliases: &'a Aliases,
    ) -> Self {
        let mut values = HashMap::new();
        let mut defined_otherwise: HashSet<&str> = targets.clone();
        defined_otherwise.extend(model.initial_assignments.iter().map(|a| a.symbol.as_str()));
        defined_otherwise.extend(model.rules.iter().map(|r| r.variable.as_str()));
        let assigned = model.events.iter().flat_map(|e| &e.assignments);
        defined_otherwise.extend(assigned.map(|a| a.variable.as_str()));
        for parameter in &model.parameters {
            if let Some(value) = parameter.value
                && !defined_otherwise.contains(parameter.id.as_str())
            {
                values.insert(parameter.id.as_str(), SlotValue::Number(value));
            }
        }
        let mut next = 0;
        for parameter in table {
            let value = if parameter.estimated {
                next += 1;
                SlotValue::Estimated(ParameterIdx::from_position(next - 1))
            } else {
                SlotValue::Number(parameter.nominal.unwrap_or(f64::NAN))
            };
            // Formulas know it by its name in the model, cells of measurements by its own.
            values.insert(parameter.id.as_str(), value);
            values.insert(aliases.resolve(&parameter.id), value);
        }
        Self { values, model }
    }

    /// The value that an id stands for.
    pub(super) fn named(&self, id: &str, place: &str) -> Result<SlotValue, ModelError> {
        let unknown = || ModelError::UnknownSymbol { place: place.to_owned(), id: id.to_owned() };
        self.values.get(id).copied().ok_or_else(|| self.explained(unknown()))
    }

    /// The error of a name that stands for nothing here, if it is one of the model.
    fn explained(&self, error: ModelError) -> ModelError {
        match error {
            ModelError::UnknownSymbol { place, id } if self.model.symbols.contains_key(&id) => {
                ModelError::NoNumber { place, id }
            }
            error => error,
        }
    }

    /// Whether a formula is one of such names only: the same at all times.
    pub(super) fn is_constant(&self, expr: &Expr) -> bool {
        let mut is_constant = true;
        expr.walk(&mut |node| {
            is_constant &= match node {
                Expr::Symbol(id) => self.values.contains_key(id.as_str()),
                Expr::Time | Expr::RateOf(_) => false,
                _ => true,
            };
        });
        is_constant
    }

    /// The value of a condition's cell.
    pub(super) fn value(
        &self,
        formulas: &mut ParameterFormulas,
        expr: &Expr,
        place: &str,
    ) -> Result<SlotValue, ModelError> {
        let value = formulas.add(expr, &|id| self.values.get(id).copied(), place);
        value.map_err(|error| self.explained(error))
    }
}
