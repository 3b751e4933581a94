//! The measurement table.

use super::error::{Fault, PetabError, Place, known_ids};
use super::experiments::{Experiment, Period};
use super::ids::Defined;
use super::observables::{Observable, Transformation};
use super::table::{Column, Row, Subject, Table, is_identifier, parse_number};
use super::{Condition, ConditionIdx, ExperimentIdx, FormatVersion, Ids, ObservableIdx, Parameter};
use crate::math::Expr;
use std::path::PathBuf;

/// A row of the measurement table.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    pub observable: ObservableIdx,
    pub experiment: ExperimentIdx,
    /// In model time units, not before the experiment's start; inf for a steady state.
    pub time: f64,
    /// The measured value on the linear scale; finite, and positive where its logarithm is
    /// taken.
    pub value: f64,
    /// One for each of the observable's `observable_placeholders`.
    pub observable_parameters: Vec<Override>,
    /// One for each of the observable's `noise_placeholders`.
    pub noise_parameters: Vec<Override>,
    pub place: Place,
    /// Index into [`ModelProblem::measurement_tables`](super::ModelProblem::measurement_tables).
    pub table: usize,
    /// Index of the row there, which has all the file's columns.
    pub row: usize,
}

/// The value of a placeholder.
#[derive(Debug, Clone, PartialEq)]
pub enum Override {
    /// Finite.
    Number(f64),
    /// The id of a row of the parameter table.
    Parameter(String),
}

/// What measurements refer to.
pub(super) struct Context<'c> {
    pub parameters: &'c Ids<Parameter>,
    pub observables: &'c Ids<Observable>,
    pub conditions: &'c Ids<Condition>,
    /// Identifiers and files.
    pub models: &'c [(String, PathBuf)],
    pub format: FormatVersion,
}

const KIND: &str = "measurement of";

/// Reads the measurement tables in order: rows with the positions of their models. Adds the
/// experiments that no table names: those of v1's condition columns, and in v2 the one that takes
/// the model as it is.
///
/// # Errors
/// See [`PetabError`].
pub(super) fn read(
    tables: &[Table],
    context: &Context<'_>,
    experiments: &mut Ids<Experiment>,
) -> Result<Vec<(usize, Measurement)>, PetabError> {
    let mut measurements = Vec::new();
    for (table_index, table) in tables.iter().enumerate() {
        let columns = Columns::of(table, context.format)?;
        for (row_index, row) in table.rows().enumerate() {
            let subject = columns.subject(row);
            let (model, experiment) = match context.format {
                FormatVersion::V1 => {
                    (0, v1_experiment(row, subject, &columns, context, experiments)?)
                }
                FormatVersion::V2 => (
                    v2_model(row, subject, columns.model, context.models)?,
                    v2_experiment(row, subject, &columns, experiments)?,
                ),
            };
            let mut measurement = columns.read(row, subject, experiment, context, experiments)?;
            (measurement.table, measurement.row) = (table_index, row_index);
            measurements.push((model, measurement));
        }
    }
    Ok(measurements)
}

fn v1_experiment(
    row: Row<'_>,
    subject: Subject<'_>,
    columns: &Columns,
    context: &Context<'_>,
    experiments: &mut Ids<Experiment>,
) -> Result<usize, PetabError> {
    let simulation_id = row.text(columns.experiment, subject, "the id of a condition")?;
    let preequilibration = columns.v1_only[1];
    let preequilibration_id = row.get(preequilibration);
    let id = match preequilibration_id {
        // A slash is in no identifier.
        Some(before) => format!("{before}/{simulation_id}"),
        None => simulation_id.to_owned(),
    };
    if let Some(position) = experiments.position(&id) {
        return Ok(position);
    }
    let condition =
        |column, id| context.conditions.resolve(row, column, subject, id).map(ConditionIdx);
    let mut periods = Vec::new();
    if let Some(before) = preequilibration_id {
        let conditions = vec![condition(preequilibration, before)?];
        periods.push(Period { time: f64::NEG_INFINITY, conditions });
    }
    let conditions = vec![condition(columns.experiment, simulation_id)?];
    periods.push(Period { time: 0.0, conditions });
    Ok(experiments.push(Experiment { id, periods, place: row.place() }))
}

/// The row's experiment; rows without one share one from time 0 on.
fn v2_experiment(
    row: Row<'_>,
    subject: Subject<'_>,
    columns: &Columns,
    experiments: &mut Ids<Experiment>,
) -> Result<usize, PetabError> {
    for column in columns.v1_only {
        row.refuse(column, subject, "use experimentId")?;
    }
    match row.get(columns.experiment) {
        Some(id) => experiments.resolve(row, columns.experiment, subject, id),
        None => Ok(experiments.position("").unwrap_or_else(|| {
            let periods = vec![Period { time: 0.0, conditions: Vec::new() }];
            experiments.push(Experiment { id: String::new(), periods, place: row.place() })
        })),
    }
}

fn v2_model(
    row: Row<'_>,
    subject: Subject<'_>,
    column: Column,
    models: &[(String, PathBuf)],
) -> Result<usize, PetabError> {
    let Some(id) = row.get(column) else {
        return if models.len() == 1 {
            Ok(0)
        } else {
            let expected = "the id of a model, as the problem has several";
            Err(row.fail(subject, column.name, row.absence(column, expected)))
        };
    };
    models.iter().position(|(model, _)| model == id).ok_or_else(|| {
        let known = known_ids("model", models.iter().map(|(model, _)| model.as_str()));
        row.fail(subject, column.name, Fault::Unknown { kind: "model", id: id.to_owned(), known })
    })
}

/// Columns of a measurement table.
struct Columns {
    observable: Column,
    /// `simulationConditionId` in v1, `experimentId` in v2.
    experiment: Column,
    value: Column,
    time: Column,
    observable_parameters: Column,
    noise_parameters: Column,
    /// v2 only.
    model: Column,
    /// `simulationConditionId` and `preequilibrationConditionId`.
    v1_only: [Column; 2],
}

impl Columns {
    fn of(table: &Table, format: FormatVersion) -> Result<Self, PetabError> {
        let v1_only = ["simulationConditionId", "preequilibrationConditionId"];
        let experiment = match format {
            FormatVersion::V1 => v1_only[0],
            FormatVersion::V2 => "experimentId",
        };
        let [observable, experiment, value, time] =
            table.required(["observableId", experiment, "measurement", "time"])?;
        Ok(Self {
            observable,
            experiment,
            value,
            time,
            observable_parameters: table.column("observableParameters"),
            noise_parameters: table.column("noiseParameters"),
            model: table.column("modelId"),
            v1_only: v1_only.map(|name| table.column(name)),
        })
    }

    fn subject<'t>(&self, row: Row<'t>) -> Subject<'t> {
        match row.get(self.observable) {
            Some(id) => Subject(KIND, id),
            None => Subject("measurement", ""),
        }
    }

    fn read(
        &self,
        row: Row<'_>,
        subject: Subject<'_>,
        experiment: usize,
        context: &Context<'_>,
        experiments: &Ids<Experiment>,
    ) -> Result<Measurement, PetabError> {
        let id = row.text(self.observable, subject, "the id of an observable")?;
        let position = context.observables.resolve(row, self.observable, subject, id)?;
        let observable = &context.observables.items[position];
        let list = |column, placeholders: &[String]| {
            overrides(row, subject, column, &observable.id, placeholders, context.parameters)
        };
        let observable_parameters =
            list(self.observable_parameters, &observable.observable_placeholders)?;
        let noise_parameters = list(self.noise_parameters, &observable.noise_placeholders)?;
        check_noise(observable, &noise_parameters)
            .map_err(|fault| row.fail(subject, self.noise_parameters.name, fault))?;
        Ok(Measurement {
            observable: ObservableIdx(position),
            experiment: ExperimentIdx(experiment),
            time: self.read_time(row, subject, &experiments.items[experiment])?,
            value: self.read_value(row, subject, observable)?,
            observable_parameters,
            noise_parameters,
            place: row.place(),
            table: 0,
            row: 0,
        })
    }

    fn read_value(
        &self,
        row: Row<'_>,
        subject: Subject<'_>,
        observable: &Observable,
    ) -> Result<f64, PetabError> {
        let expected = "a finite number";
        let fail = |fault| row.fail(subject, self.value.name, fault);
        let text = row.text(self.value, subject, expected)?;
        let value = row
            .number(self.value, subject, expected)?
            .filter(|value| value.is_finite())
            .ok_or_else(|| fail(Fault::Invalid { found: text.to_owned(), expected }))?;
        if observable.transformation != Transformation::Lin && value <= 0.0 {
            let observable = observable.id.clone();
            return Err(fail(Fault::NotPositiveMeasurement { observable, value }));
        }
        Ok(value)
    }

    fn read_time(
        &self,
        row: Row<'_>,
        subject: Subject<'_>,
        experiment: &Experiment,
    ) -> Result<f64, PetabError> {
        let expected = "a finite time, or inf for a steady state";
        let fail = |fault| row.fail(subject, self.time.name, fault);
        let text = row.text(self.time, subject, expected)?;
        let time = row
            .number(self.time, subject, expected)?
            .filter(|time| *time > f64::NEG_INFINITY)
            .ok_or_else(|| fail(Fault::Invalid { found: text.to_owned(), expected }))?;
        match experiment.start() {
            Some(start) if time < start => Err(fail(Fault::BeforeStart { time, start })),
            None if time.is_finite() => {
                Err(fail(Fault::NoStart { experiment: experiment.id.clone() }))
            }
            _ => Ok(time),
        }
    }
}

/// Reads the values of an observable's placeholders.
fn overrides(
    row: Row<'_>,
    subject: Subject<'_>,
    column: Column,
    observable: &str,
    placeholders: &[String],
    parameters: &Ids<Parameter>,
) -> Result<Vec<Override>, PetabError> {
    let fail = |fault| row.fail(subject, column.name, fault);
    let parts: Vec<&str> = match row.get(column) {
        Some(text) => text.split(';').map(str::trim).collect(),
        None => Vec::new(),
    };
    if parts.len() != placeholders.len() {
        return Err(fail(Fault::OverrideCount {
            observable: observable.to_owned(),
            expected: placeholders.len(),
            found: parts.len(),
            placeholders: placeholders.join(", "),
        }));
    }
    let read = |part: &str| {
        if let Some(value) = parse_number(part).filter(|value| value.is_finite()) {
            Ok(Override::Number(value))
        } else if parameters.position(part).is_some() {
            Ok(Override::Parameter(part.to_owned()))
        } else if is_identifier(part) && parse_number(part).is_none() {
            let known = known_ids("parameter", parameters.items.iter().map(Defined::id));
            Err(fail(Fault::Unknown { kind: "parameter", id: part.to_owned(), known }))
        } else {
            let expected = "finite numbers or ids of the parameter table, separated by `;`";
            Err(fail(Fault::Invalid { found: part.to_owned(), expected }))
        }
    };
    parts.into_iter().map(read).collect()
}

/// Where the noise is one placeholder and its value a number, the number must be positive.
fn check_noise(observable: &Observable, values: &[Override]) -> Result<(), Fault> {
    let Expr::Symbol(name) = &observable.noise_formula else { return Ok(()) };
    for (placeholder, value) in observable.noise_placeholders.iter().zip(values) {
        if let (true, Override::Number(value)) = (placeholder == name, value)
            && *value <= 0.0
        {
            return Err(Fault::NotPositiveNoise { value: *value });
        }
    }
    Ok(())
}
