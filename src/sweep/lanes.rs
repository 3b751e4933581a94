//! Points and simulations as lanes: slot values, initial states, first step sizes.

use crate::engine::Timeline;
use crate::engine::cpu::block::BlockProgram;
use crate::engine::cpu::interpreter::BLOCK;
use crate::graph::{Graph, Input, NodeId, adjoints};
use crate::index::{SimulationIdx, SlotIdx, StateIdx, SwitchIdx};
use crate::model::{OdeProblem, SlotValue};
use crate::program::Program;
use crate::program::compensated::{compensate, is_compensable};
use crate::program::forward::{Directions, tangents};
use crate::program::fuse::fuse;

/// Programs that prepare lanes.
pub struct LanePreparation<'p> {
    problem: &'p OdeProblem,
    initial: BlockProgram,
    rhs: BlockProgram,
    rhs_inputs: Vec<Input>,
}

/// A program for initial values with their tangents along some directions.
pub struct InitialTangents {
    program: BlockProgram,
    width: usize,
}

/// A program for the adjoints of some slots through the initial values.
pub struct InitialAdjoints {
    program: BlockProgram,
    /// Those whose adjoints it gives.
    pub slots: Vec<SlotIdx>,
}

impl InitialTangents {
    fn new(program: &Program) -> Self {
        Self { program: BlockProgram::new(program), width: program.outputs().len() }
    }
}

impl<'p> LanePreparation<'p> {
    /// Compiles the initial values and the right-hand side of a problem.
    pub fn new(problem: &'p OdeProblem) -> Self {
        let initial = initial_program(problem);
        let mut rhs_inputs: Vec<Input> = (0..problem.state_ids.len())
            .map(|i| Input::State(StateIdx::from_position(i)))
            .collect();
        rhs_inputs.extend(slot_inputs(problem));
        rhs_inputs.extend(
            (0..problem.rhs.switch_count).map(|i| Input::Switch(SwitchIdx::from_position(i))),
        );
        rhs_inputs.push(Input::Time);
        let rhs = Program::new(&problem.rhs.graph, rhs_inputs.clone(), &problem.rhs.derivatives);
        Self {
            problem,
            initial: BlockProgram::new(&initial),
            rhs: BlockProgram::new(&rhs),
            rhs_inputs,
        }
    }

    /// Values of the simulation's slots in each period, where the estimated parameters have these
    /// linear values.
    pub fn slots(&self, simulation: SimulationIdx, parameters: &[f64]) -> Vec<Vec<f64>> {
        let periods = &self.problem.simulations[simulation.position()].periods;
        let value = |value: &SlotValue| self.problem.slot_value(*value, parameters);
        periods.iter().map(|period| period.slot_values.iter().map(value).collect()).collect()
    }

    /// Those of the slots that lanes carry, appended to `target`.
    pub fn push_dynamic_slots(&self, slots: &[f64], target: &mut Vec<f64>) {
        target.extend(self.problem.rhs.slots.iter().map(|s| slots[s.position()]));
    }

    /// Initial states, `[lane][state]`, of lanes with these carried slots, `[lane][slot]`.
    pub fn initial_states(&self, lanes: usize, slots: &[f64]) -> Vec<f64> {
        run_rows(&self.initial, lanes, slots)
    }

    /// Initial states and tangents, `[lane][value]`.
    pub fn initial_with_tangents(
        &self,
        program: &InitialTangents,
        lanes: usize,
        slots: &[f64],
    ) -> Vec<f64> {
        debug_assert_eq!(program.program.registers.outputs.len(), program.width);
        run_rows(&program.program, lanes, slots)
    }

    /// The program for initial values and tangents along `directions`. Its rows hold the slots,
    /// then their tangents where lanes say what a direction moves.
    pub fn compile_tangents(&self, directions: Directions<'_>) -> InitialTangents {
        InitialTangents::new(&self.tangent_program(directions))
    }

    fn tangent_program(&self, directions: Directions<'_>) -> Program {
        let mut graph: Graph = self.problem.rhs.graph.clone();
        let mut roots: Vec<NodeId> = fuse(&mut graph, &self.problem.initial);
        let dense = tangents(&mut graph, &roots, directions, &[]);
        roots.extend(dense.into_iter().flatten());
        let mut inputs = slot_inputs(self.problem);
        inputs.extend(directions.inputs());
        Program::new(&graph, inputs, &roots)
    }

    /// Whether rounding errors of the initial values can be told.
    pub(super) fn is_compensable(&self) -> bool {
        is_compensable(&initial_program(self.problem))
    }

    /// The program for initial values and tangents along `directions`, and the low parts of all these.
    pub(super) fn compile_compensated(&self, directions: Directions<'_>) -> InitialTangents {
        let program = self.tangent_program(directions);
        let compensated = compensate(&program, self.problem.state_ids.len(), |_| None);
        let inputs = program.inputs().to_vec();
        InitialTangents::new(&Program::new(&compensated.graph, inputs, &compensated.roots))
    }

    /// The program for the adjoints of those of `slots` that lanes carry through the initial values.
    pub fn compile_adjoints(&self, slots: &[SlotIdx]) -> InitialAdjoints {
        let mut graph: Graph = self.problem.rhs.graph.clone();
        let fused = fuse(&mut graph, &self.problem.initial);
        let of_states: Vec<Input> =
            (0..fused.len()).map(|i| Input::StateAdjoint(StateIdx::from_position(i))).collect();
        let roots: Vec<(NodeId, NodeId)> =
            fused.iter().zip(&of_states).map(|(&x, &a)| (x, graph.input(a))).collect();
        let carried = self.problem.rhs.slots.iter().copied();
        let slots: Vec<SlotIdx> = carried.filter(|slot| slots.contains(slot)).collect();
        let wanted: Vec<Input> = slots.iter().map(|&slot| Input::Slot(slot)).collect();
        let outputs = adjoints(&mut graph, &roots, &wanted);
        let mut inputs = slot_inputs(self.problem);
        inputs.extend(of_states);
        let program = BlockProgram::new(&Program::new(&graph, inputs, &outputs));
        InitialAdjoints { program, slots }
    }

    /// Adjoints of slots, `[lane][slot]`, of lanes that carry these slots and whose initial states
    /// have these adjoints; both lie together in rows, the slots first.
    pub fn initial_adjoints(
        &self,
        program: &InitialAdjoints,
        lanes: usize,
        rows: &[f64],
    ) -> Vec<f64> {
        run_rows(&program.program, lanes, rows)
    }

    /// A first step size for each lane: a hundredth of the time in which the states would change
    /// by themselves (Hairer, Nørsett & Wanner I, section II.4, steps a and b of the algorithm).
    pub fn first_steps(
        &self,
        timelines: &[&Timeline],
        initial: &[f64],
        slots: &[f64],
        rtol: f64,
        atol: f64,
    ) -> Vec<f64> {
        let rates = self.rates(timelines, initial, slots, |timeline| {
            (timeline.t_start, timeline.segments.first().map(|s| s.switches.as_slice()))
        });
        let n = self.problem.state_ids.len();
        (0..timelines.len())
            .map(|lane| {
                let states = &initial[lane * n..][..n];
                let size = weighted_norm(states, states, rtol, atol);
                let speed = weighted_norm(&rates[lane * n..][..n], states, rtol, atol);
                let first = 0.01 * size / speed;
                // Nothing moves at the start: any small step will do, control takes over.
                if first.is_finite() && first > 0.0 { first } else { 1e-6 }
            })
            .collect()
    }

    /// How fast the states at the ends of the timelines still move: the norm of their rates
    /// weighted by these tolerances.
    pub fn steadiness(
        &self,
        timelines: &[&Timeline],
        states: &[f64],
        slots: &[f64],
        rtol: f64,
        atol: f64,
    ) -> Vec<f64> {
        let rates = self.rates_at_end(timelines, states, slots);
        let n = self.problem.state_ids.len();
        (0..timelines.len())
            .map(|lane| {
                let range = lane * n..(lane + 1) * n;
                weighted_norm(&rates[range.clone()], &states[range], rtol, atol)
            })
            .collect()
    }

    /// Rates of change, `[lane][state]`, at the ends of the timelines.
    pub fn rates_at_end(&self, timelines: &[&Timeline], states: &[f64], slots: &[f64]) -> Vec<f64> {
        self.rates(timelines, states, slots, |timeline| match timeline.segments.last() {
            Some(segment) => (segment.t_end, Some(segment.switches.as_slice())),
            None => (timeline.t_start, None),
        })
    }

    /// Rates of change, `[lane][state]`, at the time and with the switches that `at` picks.
    fn rates<'t>(
        &self,
        timelines: &[&'t Timeline],
        states: &[f64],
        slots: &[f64],
        at: impl Fn(&'t Timeline) -> (f64, Option<&'t [f64]>),
    ) -> Vec<f64> {
        let n = self.problem.state_ids.len();
        let carried = self.problem.rhs.slots.len();
        let mut inputs = Vec::with_capacity(timelines.len() * self.rhs_inputs.len());
        for (lane, timeline) in timelines.iter().enumerate() {
            let (t, switches) = at(timeline);
            inputs.extend_from_slice(&states[lane * n..][..n]);
            inputs.extend_from_slice(&slots[lane * carried..][..carried]);
            match switches {
                Some(switches) => inputs.extend_from_slice(switches),
                None => inputs.extend(std::iter::repeat_n(0.0, self.problem.rhs.switch_count)),
            }
            inputs.push(t);
        }
        run_rows(&self.rhs, timelines.len(), &inputs)
    }
}

/// √(1/n Σ (vᵢ/(atol + rtol·|xᵢ|))²).
pub(super) fn weighted_norm(values: &[f64], states: &[f64], rtol: f64, atol: f64) -> f64 {
    let squares = values.iter().zip(states).map(|(v, x)| (v / (atol + rtol * x.abs())).powi(2));
    (squares.sum::<f64>() / values.len().max(1) as f64).sqrt()
}

/// From slots to initial states.
fn initial_program(problem: &OdeProblem) -> Program {
    let mut graph = problem.rhs.graph.clone();
    let fused = fuse(&mut graph, &problem.initial);
    Program::new(&graph, slot_inputs(problem), &fused)
}

fn slot_inputs(problem: &OdeProblem) -> Vec<Input> {
    problem.rhs.slots.iter().map(|&s| Input::Slot(s)).collect()
}

/// Runs a program for each row of inputs: `[row][input]` to `[row][output]`.
fn run_rows(program: &BlockProgram, rows: usize, inputs: &[f64]) -> Vec<f64> {
    let mut registers = program.new_file();
    let mut results = Vec::with_capacity(rows * program.registers.outputs.len());
    let width = program.registers.input_count;
    for first in (0..rows).step_by(BLOCK) {
        let count = BLOCK.min(rows - first);
        for w in 0..count {
            let row = &inputs[(first + w) * width..][..width];
            for (register, value) in registers.iter_mut().zip(row) {
                register[w] = *value;
            }
        }
        program.run(&mut registers);
        for w in 0..count {
            results.extend(program.registers.outputs.iter().map(|&r| registers[r as usize][w]));
        }
    }
    results
}
