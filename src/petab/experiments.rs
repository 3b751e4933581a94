//! Experiments: which conditions hold from when on.

use super::error::{Fault, PetabError, Place, RowError};
use super::table::{Subject, Table};
use super::{Condition, ConditionIdx, Ids, Parameter};
use std::collections::HashMap;

/// A sequence of periods: one simulation.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// From the experiment table in v2, empty for the model as it is; in v1 the simulation
    /// condition, after the pre-equilibration condition and a slash where there is one.
    pub id: String,
    /// In ascending order of time, at least one. The first finite time is where simulation and
    /// model time start.
    pub periods: Vec<Period>,
    /// v1: the first measurement that needs it.
    pub place: Place,
}

impl Experiment {
    /// Start of the simulation, in model time units; none where all periods are
    /// pre-equilibrations.
    pub fn start(&self) -> Option<f64> {
        self.periods.iter().map(|period| period.time).find(|time| time.is_finite())
    }
}

/// A time from which conditions hold, up to the next period.
#[derive(Debug, Clone, PartialEq)]
pub struct Period {
    /// In model time units; -inf for a pre-equilibration, which ends in a steady state.
    pub time: f64,
    /// Applied simultaneously, with disjoint targets; none to change nothing.
    pub conditions: Vec<ConditionIdx>,
}

const KIND: &str = "experiment";

/// Reads the experiment tables (v2) in order; none in v1.
///
/// # Errors
/// See [`PetabError`].
pub(super) fn read(
    tables: &[Table],
    conditions: &Ids<Condition>,
    parameters: &Ids<Parameter>,
) -> Result<Ids<Experiment>, PetabError> {
    let mut experiments = Ids::new("experimentId", KIND);
    // Who sets a target at a time: by experiment, bits of the time, and target.
    let mut setters: HashMap<(usize, u64, &str), Place> = HashMap::new();
    for table in tables {
        let [id_column, time_column, condition_column] =
            table.required(["experimentId", "time", "conditionId"])?;
        for row in table.rows() {
            let id = row.id(id_column, KIND)?;
            let subject = Subject(KIND, id);
            let position = experiments.position(id).unwrap_or_else(|| {
                let (id, place) = (id.to_owned(), row.place());
                experiments.push(Experiment { id, periods: Vec::new(), place })
            });
            let expected = "a finite time, or -inf for a pre-equilibration";
            let text = row.text(time_column, subject, expected)?;
            let time = row
                .number(time_column, subject, expected)?
                .filter(|time| *time < f64::INFINITY)
                .ok_or_else(|| {
                    let fault = Fault::Invalid { found: text.to_owned(), expected };
                    row.fail(subject, time_column.name, fault)
                })?;
            // One zero only, so that equal times have equal bits.
            let time = time + 0.0;
            let periods = &mut experiments.items[position].periods;
            let at = periods.partition_point(|period| period.time < time);
            if periods.get(at).is_none_or(|period| period.time != time) {
                periods.insert(at, Period { time, conditions: Vec::new() });
            }
            let Some(condition_id) = row.get(condition_column) else { continue };
            let condition = conditions.resolve(row, condition_column, subject, condition_id)?;
            periods[at].conditions.push(ConditionIdx(condition));
            for change in &conditions.items[condition].changes {
                let key = (position, time.to_bits(), change.target.as_str());
                if let Some(first) = setters.insert(key, row.place()) {
                    let fault = Fault::DuplicateTarget { target: change.target.clone(), first };
                    return Err(row.fail(subject, condition_column.name, fault));
                }
            }
        }
    }
    for experiment in &experiments.items {
        check_start(experiment, conditions, parameters)?;
    }
    Ok(experiments)
}

/// Before the first period nothing of the model has a value yet.
fn check_start(
    experiment: &Experiment,
    conditions: &Ids<Condition>,
    parameters: &Ids<Parameter>,
) -> Result<(), PetabError> {
    let first = experiment.periods.first().into_iter().flat_map(|period| &period.conditions);
    for condition in first.map(|condition| &conditions.items[condition.0]) {
        for change in &condition.changes {
            let symbols = change.value.symbols();
            let Some(symbol) = symbols.iter().find(|s| parameters.position(s).is_none()) else {
                continue;
            };
            let (experiment, symbol) = (experiment.id.clone(), (*symbol).to_owned());
            return Err(RowError {
                place: change.place.clone(),
                subject: format!("condition `{}`", condition.id),
                column: "targetValue".to_owned(),
                fault: Fault::InitialSymbol { experiment, symbol },
            }
            .into());
        }
    }
    Ok(())
}
