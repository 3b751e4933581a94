//! Expressions with their first and second derivatives along parameters.

use crate::engine::cpu::block::BlockProgram;
use crate::engine::cpu::interpreter::BLOCK;
use crate::graph::{Graph, Input, NodeId, Substitution};
use crate::index::SlotIdx;
use crate::program::Program;
use crate::program::forward::{Directions, tangents};
use crate::program::fuse::fuse;

/// Compiled expressions: values, then their derivatives along so many inner directions, along an
/// outer one, and along each inner and the outer one; see [`Directions::Second`].
pub struct Jets {
    inputs: Vec<Input>,
    program: BlockProgram,
}

impl Jets {
    /// Compiles expressions of a graph.
    pub fn new(source: &Graph, roots: &[NodeId], inner_count: usize) -> Self {
        // A small graph of its own: the source may be large.
        let mut graph = Graph::new();
        let mut copy =
            Substitution::new(Some(source), |graph: &mut Graph, input| graph.input(input));
        let roots: Vec<NodeId> = roots.iter().map(|&root| copy.apply(&mut graph, root)).collect();
        let slots: Vec<SlotIdx> = graph
            .inputs_of(&roots)
            .into_iter()
            .filter_map(|input| match input {
                Input::Slot(slot) => Some(slot),
                _ => None,
            })
            .collect();
        let mut outputs = fuse(&mut graph, &roots);
        let directions = Directions::Second { slots: &slots, count: inner_count };
        let dense = tangents(&mut graph, &outputs, directions, &[]);
        outputs.extend(dense.into_iter().flatten());
        let inputs = graph.inputs_of(&outputs);
        let program = Program::new(&graph, inputs.clone(), &outputs);
        Self { inputs, program: BlockProgram::new(&program) }
    }

    /// Evaluates them for so many items, where `input(item, input)` is what they read. `each` gets
    /// `[direction][expression]`, the values being direction 0.
    pub fn evaluate(
        &self,
        count: usize,
        input: impl Fn(usize, Input) -> f64,
        mut each: impl FnMut(usize, &[f64]),
    ) {
        let mut registers = self.program.new_file();
        let mut values = vec![0.0; self.program.registers.outputs.len()];
        for first in (0..count).step_by(BLOCK) {
            let block = BLOCK.min(count - first);
            for w in 0..block {
                for (register, &read) in registers.iter_mut().zip(&self.inputs) {
                    register[w] = input(first + w, read);
                }
            }
            self.program.run(&mut registers);
            for w in 0..block {
                for (value, &register) in values.iter_mut().zip(&self.program.registers.outputs) {
                    *value = registers[register as usize][w];
                }
                each(first + w, &values);
            }
        }
    }
}
