//! From a PEtab problem and its SBML model to equations, conditions and measurement rows.
//!
//! [`load`] makes an [`OdeProblem`]: expressions over states, time and *slots*, and for every
//! simulation a table that maps each slot to a number or to an estimated parameter. One set of
//! programs serves all conditions; conditions differ in data.

mod aliases;
mod assignments;
mod build;
mod environment;
mod error;
pub mod events;
mod formulas;
mod lower;
mod periods;
mod rates;
mod rows;
mod scale;
mod slot_jets;
pub mod standalone;
mod switches;
pub(crate) mod timeline;

pub use build::{build, load};
pub use error::ModelError;
pub use events::{Assignment, Events};
pub use formulas::ParameterFormulas;
pub use switches::Switch;
pub use timeline::{Breakpoints, Span, Stop, have_same_order};

use crate::engine::Timeline;
use crate::graph::NodeId;
use crate::index::{
    FormulaIdx, ObservableIdx, ParameterIdx, PeriodIdx, RowIdx, SimulationIdx, SlotIdx,
};
use crate::objective::{NoiseModel, Priors};
use crate::petab::ParameterScale;
use crate::rosenbrock::RightHandSide;
use std::sync::Arc;

/// A coordinate of a point.
#[derive(Debug, Clone, PartialEq)]
pub struct EstimatedParameter {
    pub id: String,
    pub scale: ParameterScale,
    /// Bounds on the parameter scale; infinite where the table gives none.
    pub lower_scaled: f64,
    pub upper_scaled: f64,
    /// Nominal value on the parameter scale.
    pub nominal_scaled: Option<f64>,
}

/// Factor from 1 beyond which a [unit step](EstimatedParameter::unit_step) makes a grid of steps another one.
pub(crate) const FAR_FROM_1: f64 = 10.0;

impl EstimatedParameter {
    /// A step on the parameter scale that is neither small nor large at this value, to which steps
    /// of differences relate: 1 on logarithmic scales. On the linear scale the value itself, or the
    /// distance of the bounds where that is less; a tenth of that distance where the parameter may
    /// have either sign or is 0; 1 where nothing tells.
    pub fn unit_step(&self, theta_scaled: f64) -> f64 {
        if self.scale != ParameterScale::Lin {
            return 1.0;
        }
        let width = self.upper_scaled - self.lower_scaled;
        let size = theta_scaled.abs();
        let has_one_sign = self.lower_scaled >= 0.0 || self.upper_scaled <= 0.0;
        let unit = match (has_one_sign && size > 0.0, width.is_finite()) {
            (true, _) => size.min(width),
            (false, true) => 0.1 * width,
            (false, false) => size,
        };
        if unit.is_normal() { unit } else { 1.0 }
    }

    /// What the parameter may well move by: its unit step, or a tenth of the distance of its bounds where
    /// that is more. A value of 1e-12 between 0 and 10 tells nothing of what it may become.
    pub fn wide_step(&self, theta_scaled: f64) -> f64 {
        let unit = self.unit_step(theta_scaled);
        let width = self.upper_scaled - self.lower_scaled;
        let is_telling = self.scale == ParameterScale::Lin && width.is_finite();
        if is_telling { unit.max(0.1 * width) } else { unit }
    }

    /// Whether a value on the parameter scale stands for a number: finite, or -inf for 0 on a
    /// logarithmic scale.
    pub fn has_place_for(&self, theta_scaled: f64) -> bool {
        theta_scaled.is_finite()
            || (theta_scaled == f64::NEG_INFINITY && self.scale != ParameterScale::Lin)
    }
}

/// Where a slot's value comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SlotValue {
    Number(f64),
    /// The linear value of an estimated parameter.
    Estimated(ParameterIdx),
    /// A formula of estimated parameters.
    Formula(FormulaIdx),
}

/// An observable and its noise, over states, time and slots.
#[derive(Debug, Clone)]
pub struct Observable {
    pub id: String,
    pub formula: NodeId,
    pub noise: NodeId,
    pub noise_model: NoiseModel,
}

/// A stretch of a simulation between two changes of its conditions.
#[derive(Debug, Clone)]
pub struct Period {
    /// When it starts; -inf for a pre-equilibration, which ends in a steady state.
    pub start: f64,
    pub slot_values: Vec<SlotValue>,
    /// What states become when it starts, all at once, from what held before; empty for the first
    /// period, which starts with initial values.
    pub assignments: Vec<Assignment>,
}

/// One course of conditions, from its start to its last measurement.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// The id of its experiment; in v1 of its conditions.
    pub id: String,
    /// At least one, ascending by start; only the first may be a pre-equilibration.
    pub periods: Vec<Period>,
    /// Its breakpoints in the first timed period, where no estimated parameter moves one; see
    /// `has_moving_breakpoints`.
    pub timeline: Timeline,
    /// Whether estimated parameters set some switch time: then every lane has its own timeline.
    pub has_moving_breakpoints: bool,
    /// Whether the last output, at time inf, is the steady state.
    pub ends_in_steady_state: bool,
    /// Times of all outputs, ascending; the first may be the start, the last infinite.
    pub output_times: Vec<f64>,
    /// Whether the first output is the initial state, which no step reaches.
    pub starts_with_output: bool,
    pub rows: Vec<RowIdx>,
}

impl Simulation {
    /// When its first timed period starts, or 0 if it is a steady state only.
    pub fn t_start(&self) -> f64 {
        self.periods.iter().map(|p| p.start).find(|t| t.is_finite()).unwrap_or(0.0)
    }

    /// Whether it starts with a pre-equilibration.
    pub fn is_preequilibrated(&self) -> bool {
        self.periods[0].start == f64::NEG_INFINITY
    }

    /// Whether it is one timed period and nothing else.
    fn is_plain(&self) -> bool {
        self.periods.len() == 1 && !self.is_preequilibrated() && !self.ends_in_steady_state
    }
}

/// A measurement.
#[derive(Debug, Clone)]
pub struct Row {
    pub observable: ObservableIdx,
    pub simulation: SimulationIdx,
    /// Which output of the simulation it compares with.
    pub output: usize,
    /// The period in which that lies.
    pub period: PeriodIdx,
    pub measured: f64,
    /// Values of the observable's placeholders.
    pub placeholders: Vec<(SlotIdx, SlotValue)>,
    /// The row of the problem's measurement table, for writing the simulation table.
    pub measurement: usize,
}

/// An ODE with its simulations and measurements.
#[derive(Debug)]
pub struct OdeProblem {
    pub name: String,
    pub parameters: Vec<EstimatedParameter>,
    /// The right-hand side; its graph also holds the nodes of everything below.
    pub rhs: RightHandSide,
    pub state_ids: Vec<String>,
    /// Initial values of the states, over slots.
    pub initial: Vec<NodeId>,
    /// Names of all slots: first those of simulations, then placeholders.
    pub slot_ids: Vec<String>,
    /// Number of slots that simulations give.
    pub simulation_slot_count: usize,
    pub switches: Vec<Switch>,
    pub breakpoints: Breakpoints,
    pub formulas: ParameterFormulas,
    pub events: Events,
    pub observables: Vec<Observable>,
    pub simulations: Vec<Simulation>,
    pub rows: Vec<Row>,
    /// What the objective adds to the negative log-likelihood.
    pub priors: Priors,
    /// Whether a parameter changes the trajectory of a simulation, `[simulation][parameter]`.
    dynamic: Vec<Vec<bool>>,
    /// Slots that reach a trajectory, ascending.
    reaching: Vec<SlotIdx>,
    /// By parameter, the slot that carries its influence through earlier periods in which it set
    /// another slot than now; see [`OdeProblem::heirs`].
    heirs: Vec<Option<SlotIdx>>,
    /// What a report must say about approximations.
    pub notes: Vec<String>,
    /// The problem as read, and which of its models this is.
    pub petab: Arc<crate::petab::Problem>,
    pub model_index: usize,
    /// Further models with the same parameters: their likelihoods add to the objective.
    pub others: Vec<OdeProblem>,
}

impl OdeProblem {
    /// This model, then the further ones.
    pub fn all(&self) -> impl Iterator<Item = &OdeProblem> {
        std::iter::once(self).chain(&self.others)
    }

    /// Number of simulations of all models.
    pub fn simulation_count(&self) -> usize {
        self.all().map(|part| part.simulations.len()).sum()
    }

    /// Number of measurement rows of all models.
    pub fn row_count(&self) -> usize {
        self.all().map(|part| part.rows.len()).sum()
    }

    /// Numbers of simulations and of rows of this model alone.
    pub fn own_counts(&self) -> (usize, usize) {
        (self.simulations.len(), self.rows.len())
    }

    /// A simulation, counted through all models.
    pub fn simulation(&self, index: SimulationIdx) -> &Simulation {
        let mut all = self.all().flat_map(|part| &part.simulations);
        all.nth(index.position()).expect("a simulation of the problem")
    }

    /// A row, counted through all models, with the model that it belongs to.
    pub fn row(&self, index: RowIdx) -> (&OdeProblem, &Row) {
        let mut all = self.all().flat_map(|part| part.rows.iter().map(move |row| (part, row)));
        all.nth(index.position()).expect("a row of the problem")
    }

    /// Makes the objective the negative log-likelihood alone, and notes it where that leaves
    /// something out.
    pub fn leave_out_priors(&mut self) {
        if !self.priors.are_absent() {
            self.priors = Priors::absent(&self.petab);
            self.notes.push("objective priors are left out, as asked for".to_owned());
        }
    }

    /// Whether every simulation is one timed period without events, so that a lane is one
    /// stretch from start to end.
    pub fn is_plain(&self) -> bool {
        self.events.are_absent() && self.simulations.iter().all(Simulation::is_plain)
    }

    /// The timeline of a lane of this simulation, of one timed period, with these slots, and the
    /// derivatives of its breakpoints along the slots in `moving`.
    pub fn timeline_of(
        &self,
        simulation: SimulationIdx,
        slots: &[f64],
        moving: &[SlotIdx],
    ) -> Timeline {
        let simulation = &self.simulations[simulation.position()];
        self.breakpoints.timeline(
            &|slot| slots[slot.position()],
            &Span::whole(simulation.timeline.t_start, &simulation.output_times),
            moving,
        )
    }

    /// The value of a slot where the estimated parameters have these linear values.
    pub fn slot_value(&self, value: SlotValue, parameters: &[f64]) -> f64 {
        formulas::slot_value(&self.formulas, value, parameters)
    }

    /// Whether moving a parameter changes a slot.
    pub fn depends_on(&self, value: SlotValue, parameter: ParameterIdx) -> bool {
        formulas::depends_on(&self.formulas, value, parameter)
    }

    /// Whether moving a parameter does not change a slot, or only as its linear value changes.
    pub fn is_set_exactly(&self, value: SlotValue, parameter: ParameterIdx) -> bool {
        !matches!(value, SlotValue::Formula(_)) || !self.depends_on(value, parameter)
    }

    /// Derivatives of a slot's value with respect to the linear values of the parameters.
    pub fn slot_derivatives(
        &self,
        value: SlotValue,
        parameters: &[f64],
    ) -> Vec<(ParameterIdx, f64)> {
        match value {
            SlotValue::Number(_) => Vec::new(),
            SlotValue::Estimated(parameter) => vec![(parameter, 1.0)],
            SlotValue::Formula(formula) => self.formulas.derivatives(formula, parameters),
        }
    }

    /// Slots that reach a trajectory: through the right-hand side, initial values, switch times,
    /// events or the assignments of periods; ascending.
    pub fn reaching_slots(&self) -> &[SlotIdx] {
        &self.reaching
    }

    /// Slots that reach a trajectory and that an estimated parameter sets somewhere: the
    /// directions of tangents.
    pub fn dynamic_directions(&self) -> Vec<SlotIdx> {
        let is_estimated = |slot: &&SlotIdx| {
            self.simulations
                .iter()
                .flat_map(|s| &s.periods)
                .any(|period| !matches!(period.slot_values[slot.position()], SlotValue::Number(_)))
        };
        self.reaching.iter().filter(is_estimated).copied().collect()
    }

    /// Slots that move a breakpoint of some lane, or none where any slot may.
    pub fn moving_slots(&self) -> Option<Vec<SlotIdx>> {
        let mut slots = self.breakpoints.slots();
        slots.extend(self.events.moving_slots()?);
        slots.sort_unstable();
        slots.dedup();
        Some(slots)
    }

    /// Slots that must be directions wherever these are: where a slot stands for one parameter in
    /// a period and for another in the next, what it did so far passes to the heir of the first.
    pub fn heirs(&self, directions: &[SlotIdx]) -> Vec<SlotIdx> {
        let mut heirs: Vec<SlotIdx> = self
            .simulations
            .iter()
            .flat_map(|s| s.periods.windows(2))
            .flat_map(|pair| directions.iter().map(move |slot| (pair, slot.position())))
            .filter(|(pair, slot)| pair[0].slot_values[*slot] != pair[1].slot_values[*slot])
            .flat_map(|(pair, slot)| {
                formulas::parameters_of(&self.formulas, pair[0].slot_values[slot])
            })
            .filter_map(|parameter| self.heirs[parameter.position()])
            .collect();
        heirs.sort_unstable();
        heirs.dedup();
        heirs
    }

    /// The heir of a parameter's influence.
    pub fn heir(&self, parameter: ParameterIdx) -> Option<SlotIdx> {
        self.heirs[parameter.position()]
    }

    /// Whether moving the parameter changes the trajectory of the simulation.
    pub fn is_dynamic(&self, parameter: ParameterIdx, simulation: SimulationIdx) -> bool {
        self.dynamic[simulation.position()][parameter.position()]
    }

    /// Takes every parameter to change every trajectory, so that a probe takes none from its point:
    /// slower, with the same differences to the bit. The tests compare both.
    pub fn integrate_everything(&mut self) {
        self.dynamic.iter_mut().flatten().for_each(|is_dynamic| *is_dynamic = true);
        self.others.iter_mut().for_each(Self::integrate_everything);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_steps_follow_value_and_bounds() {
        let unit = |scale, [lower_scaled, upper_scaled]: [f64; 2], theta: f64| {
            let id = "k".to_owned();
            EstimatedParameter { id, scale, lower_scaled, upper_scaled, nominal_scaled: None }
                .unit_step(theta)
        };
        let lin = |bounds, theta| unit(ParameterScale::Lin, bounds, theta);
        let infinite = [f64::NEG_INFINITY, f64::INFINITY];
        assert_eq!(unit(ParameterScale::Log10, [-5.0, 5.0], 3.0), 1.0);
        assert_eq!(unit(ParameterScale::Log, [-5.0, 5.0], -3.0), 1.0);
        assert_eq!(lin([0.0, 2e-10], 1.5e-10), 1.5e-10);
        assert_eq!(lin([-2.0, 0.0], -1.5), 1.5);
        // Between close bounds, their distance.
        assert_eq!(lin([100.0, 100.5], 100.2), 0.5);
        // Of either sign, or 0, where the value tells nothing: a tenth of the distance.
        assert_eq!(lin([-3.0, 3.0], 1e-9), 0.1 * 6.0);
        assert_eq!(lin([0.0, 2.0], 0.0), 0.2);
        assert_eq!(lin(infinite, -7.0), 7.0);
        let wide = |scale, [lower_scaled, upper_scaled]: [f64; 2], theta: f64| {
            let id = "k".to_owned();
            EstimatedParameter { id, scale, lower_scaled, upper_scaled, nominal_scaled: None }
                .wide_step(theta)
        };
        assert_eq!(wide(ParameterScale::Lin, [0.0, 10.0], 1e-12), 1.0);
        assert_eq!(wide(ParameterScale::Lin, [0.0, 10.0], 7.0), 7.0);
        assert_eq!(wide(ParameterScale::Lin, infinite, 7.0), 7.0);
        assert_eq!(wide(ParameterScale::Log10, [-50.0, 50.0], 7.0), 1.0);
        for (bounds, theta) in [(infinite, 0.0), ([1.0, 1.0], 1.0), ([0.0, 1.0], 1e-320)] {
            assert_eq!(lin(bounds, theta), 1.0, "{bounds:?}, {theta}");
        }
    }
}
