//! Measurement rows in groups: by condition, observable, time, or each by itself.

use crate::model::OdeProblem;
use crate::objective::Measure;
use crate::petab::Table;
use crate::sweep::Partition;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// What the rows of a group share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    /// The simulation, by its id: that of its condition or experiment.
    Condition,
    Observable,
    Time,
    /// Each row is a group.
    Row,
}

impl GroupKind {
    pub const ALL: [Self; 4] = [Self::Condition, Self::Observable, Self::Time, Self::Row];

    /// The word in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Condition => "condition",
            Self::Observable => "observable",
            Self::Time => "time",
            Self::Row => "row",
        }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for GroupKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == text);
        kind.ok_or_else(|| format!("{text:?} is none of condition, observable, time, row"))
    }
}

/// All rows of a problem, each in one group.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    pub kind: GroupKind,
    /// Conditions and observables in the order of the problem, times and rows ascending, then the
    /// priors, if there are any.
    pub names: Vec<String>,
    /// The group of each row, counted through all models.
    group_of: Vec<usize>,
    pub(super) prior: Option<usize>,
}

/// The group of all priors.
const PRIOR: &str = "prior";

impl Groups {
    /// The groups of a problem's rows. Models share those of the same name.
    pub fn new(problem: &OdeProblem, kind: GroupKind) -> Self {
        let mut names: Vec<String> = Vec::new();
        let mut group_of: Vec<usize> = Vec::with_capacity(problem.row_count());
        if kind == GroupKind::Row {
            let numbers = row_numbers(problem);
            let mut ascending = numbers.clone();
            ascending.sort_unstable();
            names.extend(ascending.iter().map(usize::to_string));
            group_of.extend(numbers.iter().map(|n| ascending.partition_point(|a| a < n)));
        } else {
            let mut times = Vec::new();
            if kind == GroupKind::Time {
                let simulations = problem.all().flat_map(|model| &model.simulations);
                times.extend(simulations.flat_map(|s| s.output_times.iter().copied()));
                times.sort_unstable_by(f64::total_cmp);
                times.dedup();
                names.extend(times.iter().map(f64::to_string));
            }
            let mut known: HashMap<&str, usize> = HashMap::new();
            for model in problem.all() {
                for row in &model.rows {
                    let simulation = &model.simulations[row.simulation.position()];
                    let id = match kind {
                        GroupKind::Observable => &model.observables[row.observable.position()].id,
                        _ => &simulation.id,
                    };
                    group_of.push(if kind == GroupKind::Time {
                        let time = simulation.output_times[row.output];
                        times.partition_point(|t| t.total_cmp(&time).is_lt())
                    } else {
                        *known.entry(id).or_insert_with(|| {
                            names.push(id.clone());
                            names.len() - 1
                        })
                    });
                }
            }
        }
        let prior = (!problem.priors.are_absent()).then(|| {
            names.push(PRIOR.to_owned());
            names.len() - 1
        });
        Self { kind, names, group_of, prior }
    }

    /// Parts of the objective.
    pub fn partition(&self, with_noise: bool) -> Partition<'_> {
        Partition {
            measure: Measure::Likelihood,
            part_of: &self.group_of,
            count: self.names.len(),
            prior: self.prior,
            with_noise,
        }
    }

    /// Which groups can change where these rows, and a prior, can.
    pub(super) fn reached(&self, rows: &[bool], has_prior: bool) -> Vec<bool> {
        let mut reached = vec![false; self.names.len()];
        for (group, is_reached) in self.group_of.iter().zip(rows) {
            reached[*group] |= is_reached;
        }
        if let Some(prior) = self.prior {
            reached[prior] = has_prior;
        }
        reached
    }
}

/// The number of each row, counted through all models, in the measurement table: the first row
/// below the header is 1. Several measurement files are counted through in their order.
pub fn row_numbers(problem: &OdeProblem) -> Vec<usize> {
    // Models of one v2 problem share their tables; each part of a v1 problem has its own.
    let mut before: HashMap<*const Table, usize> = HashMap::new();
    let mut total = 0;
    let mut numbers = Vec::with_capacity(problem.row_count());
    for model in problem.all() {
        let part = &problem.petab.models[model.model_index];
        for table in part.measurement_tables.iter() {
            before.entry(std::ptr::from_ref(table)).or_insert_with(|| {
                total += table.rows().len();
                total - table.rows().len()
            });
        }
        numbers.extend(model.rows.iter().map(|row| {
            let measurement = &part.measurements[row.measurement];
            let table = &part.measurement_tables[measurement.table];
            before[&std::ptr::from_ref(table)] + measurement.row + 1
        }));
    }
    numbers
}
