//! Which conditions hold in which period of which simulation.

use super::rows::RowTable;
use crate::index::{PeriodIdx, SimulationIdx};
use crate::petab::{Change, ConditionIdx, FormatVersion, ModelProblem};

/// A period of a simulation.
#[derive(Debug)]
pub(super) struct PeriodTable {
    /// -inf for a pre-equilibration.
    pub start: f64,
    /// Conditions whose values hold in it, later ones over earlier ones.
    pub applied: Vec<ConditionIdx>,
    /// Those that start with it.
    pub own: Vec<ConditionIdx>,
    /// Conditions of the periods before it whose values hold in it for species only, in v1: what a
    /// simulation's condition does not say of a species stays as its pre-equilibration left it.
    pub kept: Vec<ConditionIdx>,
}

/// The periods of all simulations.
#[derive(Debug)]
pub(super) struct PeriodTables {
    simulations: Vec<Vec<PeriodTable>>,
    /// Number of the first period's table, by simulation.
    first: Vec<usize>,
    len: usize,
}

impl PeriodTables {
    pub(super) fn new(part: &ModelProblem, rows: &RowTable, format: FormatVersion) -> Self {
        let simulations: Vec<Vec<PeriodTable>> = rows
            .experiments()
            .iter()
            .map(|&experiment| {
                let mut applied: Vec<ConditionIdx> = Vec::new();
                let mut list = Vec::new();
                let mut kept: Vec<ConditionIdx> = Vec::new();
                for period in &part.experiments[experiment.0].periods {
                    // A v1 condition stands for itself; what a v2 period sets stays set.
                    if format == FormatVersion::V1 {
                        kept.append(&mut applied);
                    }
                    applied.extend(&period.conditions);
                    let own = period.conditions.clone();
                    let (applied, kept) = (applied.clone(), kept.clone());
                    list.push(PeriodTable { start: period.time, applied, own, kept });
                }
                if list.is_empty() {
                    let (applied, own, kept) = (Vec::new(), Vec::new(), Vec::new());
                    list.push(PeriodTable { start: 0.0, applied, own, kept });
                }
                list
            })
            .collect();
        let mut len = 0;
        let first = simulations
            .iter()
            .map(|periods| {
                len += periods.len();
                len - periods.len()
            })
            .collect();
        Self { simulations, first, len }
    }

    /// Number of all periods.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Number of simulations.
    pub(super) fn simulation_count(&self) -> usize {
        self.simulations.len()
    }

    pub(super) fn of(&self, simulation: SimulationIdx) -> &[PeriodTable] {
        &self.simulations[simulation.position()]
    }

    /// The place of a period among all.
    pub(super) fn place(&self, simulation: SimulationIdx, period: PeriodIdx) -> usize {
        self.first[simulation.position()] + period.position()
    }

    /// Every period with its place, and whether it is a simulation's first.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, bool, &PeriodTable)> {
        self.simulations
            .iter()
            .flat_map(|periods| periods.iter().enumerate())
            .enumerate()
            .map(|(place, (k, period))| (place, k == 0, period))
    }

    /// For each place, that of its simulation's first period.
    pub(super) fn first_places(&self) -> Vec<usize> {
        let mut places = Vec::with_capacity(self.len);
        for (periods, &first) in self.simulations.iter().zip(&self.first) {
            places.extend(std::iter::repeat_n(first, periods.len()));
        }
        places
    }
}

/// Changes that conditions make, in order.
pub(super) fn changes<'p>(
    part: &'p ModelProblem,
    conditions: &'p [ConditionIdx],
) -> impl Iterator<Item = &'p Change> {
    conditions.iter().flat_map(|condition| &part.conditions[condition.0].changes)
}
