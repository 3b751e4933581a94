//! From a PEtab problem and its SBML model to equations, conditions and measurement rows.
//!
//! [`load`] makes an [`OdeProblem`]: expressions over states, time and *slots*, and for every
//! simulation a table that maps each slot to a number or to an estimated parameter. One set of
//! programs serves all conditions; conditions differ in data.

mod build;
mod environment;
mod error;
mod lower;
mod rows;
mod scale;
mod switches;
mod timeline;

pub use build::load;
pub use error::ModelError;
pub use switches::Switch;
pub use timeline::{Breakpoints, have_same_order};

use crate::engine::Timeline;
use crate::graph::NodeId;
use crate::index::{ObservableIdx, ParameterIdx, RowIdx, SimulationIdx, SlotIdx, StateIdx};
use crate::objective::{NoiseModel, Priors};
use crate::petab::ParameterScale;
use crate::rosenbrock::RightHandSide;

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

/// Where a slot's value comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SlotValue {
    Number(f64),
    /// The linear value of an estimated parameter.
    Estimated(ParameterIdx),
}

/// An observable and its noise, over states, time and slots.
#[derive(Debug, Clone)]
pub struct Observable {
    pub id: String,
    pub formula: NodeId,
    pub noise: NodeId,
    pub noise_model: NoiseModel,
}

/// A steady state from which a simulation starts.
#[derive(Debug, Clone)]
pub struct Preequilibration {
    /// Values of the slots until then. One that is estimated has the same value in the simulation.
    pub slot_values: Vec<SlotValue>,
    /// States that the simulation's condition sets at time 0; all others are kept.
    pub resets: Vec<(StateIdx, ResetValue)>,
}

/// What a state is set to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ResetValue {
    Number(f64),
    Slot(SlotIdx),
}

/// One distinct (pre-equilibration, condition) pair.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// The id of its condition.
    pub id: String,
    /// Values of the slots that all rows of the simulation share.
    pub slot_values: Vec<SlotValue>,
    /// Its breakpoints where no estimated parameter moves one; see `has_moving_breakpoints`.
    pub timeline: Timeline,
    /// Whether estimated parameters set some switch time: then every lane has its own timeline.
    pub has_moving_breakpoints: bool,
    /// What comes before time 0, if anything does.
    pub preequilibration: Option<Preequilibration>,
    /// Whether the last output, at time inf, is the steady state.
    pub ends_in_steady_state: bool,
    /// Times of all outputs, ascending; the first may be the start, the last infinite.
    pub output_times: Vec<f64>,
    /// Whether the first output is the initial state, which no step reaches.
    pub starts_with_output: bool,
    pub rows: Vec<RowIdx>,
}

/// A measurement.
#[derive(Debug, Clone)]
pub struct Row {
    pub observable: ObservableIdx,
    pub simulation: SimulationIdx,
    /// Which output of the simulation it compares with.
    pub output: usize,
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
    pub observables: Vec<Observable>,
    pub simulations: Vec<Simulation>,
    pub rows: Vec<Row>,
    /// What the objective adds to the negative log-likelihood.
    pub priors: Priors,
    /// What a report must say about approximations.
    pub notes: Vec<String>,
    /// The problem as read.
    pub petab: crate::petab::Problem,
}

impl OdeProblem {
    /// Makes the objective the negative log-likelihood alone, and notes it where that leaves
    /// something out.
    pub fn leave_out_priors(&mut self) {
        if !self.priors.are_absent() {
            self.priors = Priors::absent(&self.petab);
            self.notes.push("objective priors are left out, as asked for".to_owned());
        }
    }

    /// The timeline of a lane of this simulation with these slots, and the derivatives of its
    /// breakpoints along the slots in `moving`.
    pub fn timeline_of(
        &self,
        simulation: SimulationIdx,
        slots: &[f64],
        moving: &[SlotIdx],
    ) -> Timeline {
        let simulation = &self.simulations[simulation.position()];
        self.breakpoints.timeline(
            &|slot| slots[slot.position()],
            simulation.timeline.t_start,
            &simulation.output_times,
            moving,
        )
    }

    /// Slots that reach the trajectory of a simulation: through the right-hand side, the initial
    /// values, a reset or a switch time.
    fn reaching_slots(&self) -> Vec<SlotIdx> {
        let mut slots = self.rhs.slots.clone();
        let before = self.simulations.iter().filter_map(|s| s.preequilibration.as_ref());
        slots.extend(before.flat_map(|p| &p.resets).filter_map(|(_, value)| match value {
            ResetValue::Slot(slot) => Some(*slot),
            ResetValue::Number(_) => None,
        }));
        slots.extend(self.breakpoints.slots());
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Slots that reach a trajectory and that an estimated parameter sets somewhere: the
    /// directions of tangents.
    pub fn dynamic_directions(&self) -> Vec<SlotIdx> {
        let is_estimated = |slot: &&SlotIdx| {
            self.simulations.iter().any(|simulation| {
                matches!(simulation.slot_values[slot.position()], SlotValue::Estimated(_))
            })
        };
        self.reaching_slots().iter().filter(is_estimated).copied().collect()
    }

    /// Whether moving the parameter changes the trajectory of the simulation.
    pub fn is_dynamic(&self, parameter: ParameterIdx, simulation: SimulationIdx) -> bool {
        let values = &self.simulations[simulation.position()].slot_values;
        let moved = SlotValue::Estimated(parameter);
        self.reaching_slots().iter().any(|slot| values[slot.position()] == moved)
    }
}
