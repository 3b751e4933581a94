//! Observables and noise parameters at the outputs of trajectories, and their derivatives.

use super::Prediction;
use crate::engine::cpu::block::BlockProgram;
use crate::engine::cpu::interpreter::{BLOCK, Vector};
use crate::graph::{Graph, Input, NodeId, Substitution, differentiate};
use crate::index::{ObservableIdx, ParameterIdx, RowIdx, SlotIdx};
use crate::model::{OdeProblem, Row, SlotValue};
use crate::program::Program;
use crate::program::fuse::fuse;

/// A measurement row to evaluate on a trajectory.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    pub row: RowIdx,
    /// The states at the row's output (tangents behind them are not read).
    pub states: &'a [f64],
    /// Values of the slots in the row's period.
    pub slots: &'a [f64],
    /// Linear values of the estimated parameters, for placeholders.
    pub parameters: &'a [f64],
}

/// What of a row's prediction a parameter can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependence {
    pub y: bool,
    pub sigma: bool,
}

/// The observation programs of a problem.
pub struct Objective<'p> {
    problem: &'p OdeProblem,
    pub(super) observables: Vec<Compiled>,
}

/// One observable's programs. Both read `inputs` and return y and sigma first; the second also
/// returns the derivatives of y, then those of sigma, with respect to the inputs of `variables`.
pub(super) struct Compiled {
    inputs: Vec<Input>,
    /// States and slots among the inputs.
    variables: Vec<Input>,
    /// Inputs that y reads, and that sigma reads.
    reads: [Vec<Input>; 2],
    value: BlockProgram,
    derivatives: BlockProgram,
    /// What `value` was made from.
    pub(super) program: Program,
}

impl<'p> Objective<'p> {
    /// Compiles the observables of a problem.
    pub fn new(problem: &'p OdeProblem) -> Self {
        let observables = problem
            .observables
            .iter()
            .map(|o| Compiled::new(&problem.rhs.graph, [o.formula, o.noise]))
            .collect();
        Self { problem, observables }
    }

    /// States and slots that the observable's formula or noise depends on.
    pub fn variables(&self, observable: ObservableIdx) -> &[Input] {
        &self.observables[observable.position()].variables
    }

    /// Whether moving the parameter can change the row's y, and its sigma: through the states, or
    /// through slots and placeholders.
    pub fn dependence(&self, parameter: ParameterIdx, row: RowIdx) -> Dependence {
        let row = &self.problem.rows[row.position()];
        let moves_states = self.problem.is_dynamic(parameter, row.simulation);
        let is_moved = |input: &Input| match input {
            Input::State(_) => moves_states,
            other => self.is_moved_slot(row, other, parameter),
        };
        let [in_y, in_sigma] = &self.observables[row.observable.position()].reads;
        Dependence { y: in_y.iter().any(is_moved), sigma: in_sigma.iter().any(is_moved) }
    }

    /// Whether moving the parameter can change the row's prediction without changing a state.
    pub fn is_direct(&self, parameter: ParameterIdx, row: RowIdx) -> bool {
        let row = &self.problem.rows[row.position()];
        let mut reads = self.observables[row.observable.position()].reads.iter().flatten();
        reads.any(|input| self.is_moved_slot(row, input, parameter))
    }

    /// Whether an input is a slot or a placeholder of the row that the parameter sets.
    fn is_moved_slot(&self, row: &Row, input: &Input, parameter: ParameterIdx) -> bool {
        let Input::Slot(s) = input else { return false };
        let periods = &self.problem.simulations[row.simulation.position()].periods;
        match periods[row.period.position()].slot_values.get(s.position()) {
            Some(value) => self.problem.depends_on(*value, parameter),
            None => {
                let moved = SlotValue::Estimated(parameter);
                row.placeholders.iter().any(|(slot, value)| slot == s && *value == moved)
            }
        }
    }

    /// Predictions of rows that all belong to one observable, in order.
    pub fn predict(
        &self,
        observable: ObservableIdx,
        items: &[Item<'_>],
        out: &mut Vec<Prediction>,
    ) {
        let compiled = &self.observables[observable.position()];
        let mut registers = compiled.value.new_file();
        let [y, sigma] = [0, 1].map(|i| compiled.value.registers.outputs[i] as usize);
        for block in items.chunks(BLOCK) {
            self.load(&compiled.inputs, block, &mut registers);
            compiled.value.run(&mut registers);
            out.extend(
                (0..block.len())
                    .map(|w| Prediction { y: registers[y][w], sigma: registers[sigma][w] }),
            );
        }
    }

    /// Predictions and their derivatives: `each(item, prediction, dy, dsigma)` gets the
    /// derivatives with respect to [`variables`](Self::variables), in order.
    pub fn predict_with_derivatives(
        &self,
        observable: ObservableIdx,
        items: &[Item<'_>],
        mut each: impl FnMut(usize, Prediction, &[f64], &[f64]),
    ) {
        let compiled = &self.observables[observable.position()];
        let mut registers = compiled.derivatives.new_file();
        let outputs = &compiled.derivatives.registers.outputs;
        let count = compiled.variables.len();
        let mut values = vec![0.0; outputs.len()];
        for (b, block) in items.chunks(BLOCK).enumerate() {
            self.load(&compiled.inputs, block, &mut registers);
            compiled.derivatives.run(&mut registers);
            for w in 0..block.len() {
                for (value, &register) in values.iter_mut().zip(outputs) {
                    *value = registers[register as usize][w];
                }
                let prediction = Prediction { y: values[0], sigma: values[1] };
                each(b * BLOCK + w, prediction, &values[2..2 + count], &values[2 + count..]);
            }
        }
    }

    fn placeholder(&self, row: &Row, slot: SlotIdx, parameters: &[f64]) -> f64 {
        let value = row.placeholders.iter().find(|(s, _)| *s == slot);
        value.map_or(f64::NAN, |(_, value)| self.problem.slot_value(*value, parameters))
    }

    pub(super) fn load(&self, inputs: &[Input], block: &[Item<'_>], registers: &mut [Vector]) {
        for (w, item) in block.iter().enumerate() {
            let row = &self.problem.rows[item.row.position()];
            for (register, input) in registers.iter_mut().zip(inputs) {
                register[w] = match *input {
                    Input::State(s) => item.states[s.position()],
                    // Low parts, where the trajectory has them.
                    Input::StateTangent(s, _) => {
                        let n = self.problem.state_ids.len();
                        item.states.get(n + s.position()).copied().unwrap_or(0.0)
                    }
                    Input::Time => {
                        let simulation = &self.problem.simulations[row.simulation.position()];
                        simulation.output_times[row.output]
                    }
                    Input::Slot(s) => match item.slots.get(s.position()) {
                        Some(value) => *value,
                        None => self.placeholder(row, s, item.parameters),
                    },
                    _ => f64::NAN,
                };
            }
        }
    }
}

impl Compiled {
    fn new(source: &Graph, roots: [NodeId; 2]) -> Self {
        // A small graph of its own: the problem's may be large.
        let mut graph = Graph::new();
        let mut copy =
            Substitution::new(Some(source), |graph: &mut Graph, input| graph.input(input));
        let roots = roots.map(|root| copy.apply(&mut graph, root));
        let inputs = graph.inputs_of(&roots);
        let reads = roots.map(|root| graph.inputs_of(&[root]));
        let variables: Vec<Input> = inputs
            .iter()
            .copied()
            .filter(|i| matches!(i, Input::State(_) | Input::Slot(_)))
            .collect();
        let fused = fuse(&mut graph, &roots);
        let value = Program::new(&graph, inputs.clone(), &fused);
        let tangents = differentiate(&mut graph, &fused, |graph, input| {
            match variables.iter().position(|v| *v == input) {
                Some(k) => vec![(k as u32, graph.constant(1.0))],
                None => Vec::new(),
            }
        });
        let zero = graph.constant(0.0);
        let mut outputs = fused;
        for tangent in &tangents {
            let mut dense = vec![zero; variables.len()];
            for &(k, node) in tangent {
                dense[k as usize] = node;
            }
            outputs.extend(dense);
        }
        let derivatives = Program::new(&graph, inputs.clone(), &outputs);
        Self {
            inputs,
            variables,
            reads,
            value: BlockProgram::new(&value),
            derivatives: BlockProgram::new(&derivatives),
            program: value,
        }
    }
}
