//! One step backwards: from the adjoints of the states after it to those of the states before it, of
//! the slots, and of the time.

use super::StepGenerator;
use crate::graph::{Input, NodeId, adjoints};
use crate::index::{SlotIdx, StateIdx, SwitchIdx};
use crate::program::Program;

/// The transpose of a replayed step and its tangents.
///
/// Inputs, in this order: the states before the step, the adjoints of those after it, the slots, the
/// switches, time, step size. Outputs: the adjoints of the states before it, of `slots`, and where
/// breakpoints move of the step's start and of its size.
#[derive(Debug, Clone)]
pub struct ReverseStep {
    pub program: Program,
    pub state_count: usize,
    /// Number of slots that lanes carry.
    pub carried_count: usize,
    pub switch_count: usize,
    /// Slots whose adjoints it gives.
    pub slots: Vec<SlotIdx>,
    pub has_times: bool,
}

impl ReverseStep {
    /// Position of the first adjoint among the inputs.
    pub fn adjoints_at(&self) -> usize {
        self.state_count
    }
    /// Position of the first slot among the inputs.
    pub fn slots_at(&self) -> usize {
        2 * self.state_count
    }
    /// Position of the first switch among the inputs.
    pub fn switches_at(&self) -> usize {
        self.slots_at() + self.carried_count
    }
    /// Position of time among the inputs; the step size follows.
    pub fn time_at(&self) -> usize {
        self.switches_at() + self.switch_count
    }
}

impl StepGenerator {
    /// The step backwards, with the adjoints of those of `slots` that lanes carry, and where
    /// breakpoints move those of its start and size.
    pub fn reverse(&self, slots: &[SlotIdx], has_times: bool) -> ReverseStep {
        let mut graph = self.graph.clone();
        let states = || (0..self.new_states.len()).map(StateIdx::from_position);
        let roots: Vec<(NodeId, NodeId)> = self
            .new_states
            .iter()
            .zip(states())
            .map(|(&new, state)| (new, graph.input(Input::StateAdjoint(state))))
            .collect();
        let slots: Vec<SlotIdx> =
            self.slots.iter().copied().filter(|slot| slots.contains(slot)).collect();
        let mut wanted: Vec<Input> = states().map(Input::State).collect();
        wanted.extend(slots.iter().map(|&slot| Input::Slot(slot)));
        if has_times {
            wanted.extend([Input::Time, Input::StepSize]);
        }
        let outputs = adjoints(&mut graph, &roots, &wanted);
        let mut inputs: Vec<Input> = states().map(Input::State).collect();
        inputs.extend(states().map(Input::StateAdjoint));
        inputs.extend(self.slots.iter().map(|&slot| Input::Slot(slot)));
        inputs.extend((0..self.switch_count).map(|i| Input::Switch(SwitchIdx::from_position(i))));
        inputs.extend([Input::Time, Input::StepSize]);
        ReverseStep {
            program: Program::new(&graph, inputs, &outputs),
            state_count: self.new_states.len(),
            carried_count: self.slots.len(),
            switch_count: self.switch_count,
            slots,
            has_times,
        }
    }
}
