//! One step of a Rosenbrock method as a program, generated from the model's equations.

mod lu;
mod moieties;
mod reverse;
pub mod rodas5p;

pub use lu::SparseLu;
pub use moieties::{Moiety, moieties};
pub use reverse::ReverseStep;

use crate::graph::{Binary, Graph, Input, NodeId, Substitution, Ternary, Unary, differentiate};
use crate::index::{DirectionIdx, SlotIdx, StateIdx, SwitchIdx};
use crate::program::compensated::{compensate, low_of_states};
use crate::program::forward::{Directions, tangents};
use crate::program::fuse::fuse;
use crate::program::products::regroup;
use crate::program::{Program, ValueId};
use rodas5p::{A, C, D, ERROR_ORDER, GAMMA, STAGES, TIME};

/// Safety factor of the step-size control (Hairer & Wanner II, section IV.8).
const SAFETY: f64 = 0.9;
/// Bounds of the factor between one step size and the next.
const SMALLEST_FACTOR: f64 = 0.2;
const LARGEST_FACTOR: f64 = 6.0;

/// The right-hand side of an ODE as expressions over states, time, slots and switches.
#[derive(Debug, Clone)]
pub struct RightHandSide {
    pub graph: Graph,
    /// dx/dt, one expression a state.
    pub derivatives: Vec<NodeId>,
    /// Slots that reach the right-hand side or the initial values, in the order in which lanes
    /// store them.
    pub slots: Vec<SlotIdx>,
    /// Number of switches.
    pub switch_count: usize,
}

/// Where a step program finds its inputs and leaves its outputs.
///
/// Inputs, in this order: the states (and in a tangent program their tangents, direction by
/// direction), the slots (and their tangents, where lanes say what a direction moves), the switches, time, step size, then the tangents of time and those of the
/// step size along the directions that move breakpoints, and where the step is adaptive rtol and
/// atol. Outputs: the new states (and tangents) in the same order, and where the step is adaptive
/// the squared error norm and the factor for the next step size.
#[derive(Debug, Clone)]
pub struct StepProgram {
    pub program: Program,
    /// Number of values that a step advances: n states and n · directions tangents.
    pub width: usize,
    /// Number of slots and of their tangents.
    pub slot_count: usize,
    pub switch_count: usize,
    /// Number of directions that move breakpoints.
    pub moving_count: usize,
    pub adaptive: bool,
}

impl StepProgram {
    /// Position of the first slot among the inputs.
    pub fn slots_at(&self) -> usize {
        self.width
    }
    /// Position of the first switch among the inputs.
    pub fn switches_at(&self) -> usize {
        self.width + self.slot_count
    }
    /// Position of time among the inputs; the step size follows.
    pub fn time_at(&self) -> usize {
        self.width + self.slot_count + self.switch_count
    }
    /// Position of the tangents of time; those of the step size follow.
    pub fn moving_at(&self) -> usize {
        self.time_at() + 2
    }
    /// Position of rtol; atol follows.
    pub fn tolerances_at(&self) -> usize {
        self.moving_at() + 2 * self.moving_count
    }
    /// The same step in [compensated](crate::program::compensated) arithmetic: low parts of the states and
    /// of their tangents stand where further directions would.
    ///
    /// # Panics
    /// If the step chooses its size, if a direction moves breakpoints, or if it is not compensable.
    pub fn compensated(&self) -> Self {
        assert!(
            !self.adaptive && self.moving_count == 0,
            "a replayed step between still breakpoints"
        );
        let (advanced, others) = self.program.inputs().split_at(self.width);
        let states = advanced.iter().filter(|input| matches!(input, Input::State(_))).count();
        let low = low_of_states((self.width / states.max(1)).saturating_sub(1));
        let compensated = compensate(&self.program, states, &low);
        let mut inputs = advanced.to_vec();
        inputs.extend(advanced.iter().copied().filter_map(&low));
        inputs.extend(others);
        Self {
            program: Program::new(&compensated.graph, inputs, &compensated.roots),
            width: 2 * self.width,
            ..*self
        }
    }

    /// Outputs that are states or tangents.
    pub fn advanced(&self) -> &[ValueId] {
        &self.program.outputs()[..self.width]
    }
}

/// The step of one model in all its forms, cut from one fused set of expressions, so that the new
/// states are the same to the bit in each.
#[derive(Debug)]
pub struct StepGenerator {
    graph: Graph,
    new_states: Vec<NodeId>,
    error_norm_squared: NodeId,
    factor: NodeId,
    slots: Vec<SlotIdx>,
    switch_count: usize,
}

impl StepGenerator {
    /// Generates the Rodas5P step of an ODE.
    pub fn new(rhs: &RightHandSide) -> Self {
        let mut graph = rhs.graph.clone();
        let mut roots = rodas5p_step(&mut graph, &rhs.derivatives);
        let (squared, factor) = error_control(&mut graph, &roots.new_states, &roots.errors);
        roots.new_states.extend([squared, factor]);
        let mut fused = fuse(&mut graph, &roots.new_states);
        let factor = fused.pop().expect("the factor was put there");
        let error_norm_squared = fused.pop().expect("the norm was put there");
        Self {
            graph,
            new_states: fused,
            error_norm_squared,
            factor,
            slots: rhs.slots.clone(),
            switch_count: rhs.switch_count,
        }
    }

    /// The step with its error estimate, for lanes that choose their own step sizes.
    pub fn adaptive(&self) -> StepProgram {
        let mut roots = self.new_states.clone();
        roots.extend([self.error_norm_squared, self.factor]);
        self.cut(&self.graph, &roots, Directions::Slots(&[]), &[], true)
    }

    /// The step alone, for lanes that replay a schedule.
    pub fn replay(&self) -> StepProgram {
        self.cut(&self.graph, &self.new_states, Directions::Slots(&[]), &[], false)
    }

    /// The step and its tangents along `directions`, for lanes that replay a schedule; those in
    /// `moving` move breakpoints too.
    pub fn replay_with_tangents<'d>(
        &self,
        directions: impl Into<Directions<'d>>,
        moving: &[DirectionIdx],
    ) -> StepProgram {
        let directions = directions.into();
        let mut graph = self.graph.clone();
        let dense = tangents(&mut graph, &self.new_states, directions, moving);
        let mut roots = self.new_states.clone();
        roots.extend(dense.into_iter().flatten());
        self.cut(&graph, &roots, directions, moving, false)
    }

    fn cut(
        &self,
        graph: &Graph,
        roots: &[NodeId],
        directions: Directions<'_>,
        moving: &[DirectionIdx],
        adaptive: bool,
    ) -> StepProgram {
        let n = self.new_states.len();
        let mut inputs: Vec<Input> =
            (0..n).map(|i| Input::State(StateIdx::from_position(i))).collect();
        for k in 0..directions.count() {
            let k = DirectionIdx::from_position(k);
            inputs.extend((0..n).map(|i| Input::StateTangent(StateIdx::from_position(i), k)));
        }
        let slot_tangents = directions.inputs();
        let slot_count = self.slots.len() + slot_tangents.len();
        inputs.extend(self.slots.iter().map(|&s| Input::Slot(s)));
        inputs.extend(slot_tangents);
        inputs.extend((0..self.switch_count).map(|i| Input::Switch(SwitchIdx::from_position(i))));
        inputs.extend([Input::Time, Input::StepSize]);
        inputs.extend(moving.iter().map(|&k| Input::TimeTangent(k)));
        inputs.extend(moving.iter().map(|&k| Input::StepTangent(k)));
        if adaptive {
            inputs.extend([Input::RelativeTolerance, Input::AbsoluteTolerance]);
        }
        StepProgram {
            program: Program::new(graph, inputs, roots),
            width: n * (1 + directions.count()),
            slot_count,
            switch_count: self.switch_count,
            moving_count: moving.len(),
            adaptive,
        }
    }
}

struct StepRoots {
    new_states: Vec<NodeId>,
    errors: Vec<NodeId>,
}

/// The stages of the method; see [`rodas5p`] for the form.
fn rodas5p_step(graph: &mut Graph, derivatives: &[NodeId]) -> StepRoots {
    let n = derivatives.len();
    let moieties = moieties(graph, derivatives);
    let derivatives = &regroup(graph, derivatives)[..];
    let states: Vec<NodeId> =
        (0..n).map(|i| graph.input(Input::State(StateIdx::from_position(i)))).collect();
    let time = graph.input(Input::Time);
    let step = graph.input(Input::StepSize);
    let one = graph.constant(1.0);

    // Jacobian and ∂f/∂t at the start of the step, the latter as direction n.
    let time_direction = n as u32;
    let jacobian = differentiate(graph, derivatives, |graph, input| match input {
        Input::State(i) => vec![(i.0, graph.constant(1.0))],
        Input::Time => vec![(time_direction, graph.constant(1.0))],
        _ => Vec::new(),
    });
    let reciprocal_step = graph.div(one, step);
    let reciprocal_gamma = graph.constant(1.0 / GAMMA);
    let diagonal = graph.mul(reciprocal_gamma, reciprocal_step);
    let mut matrix = Vec::with_capacity(n);
    let mut scaled_time_derivatives = Vec::with_capacity(n);
    for (i, row) in jacobian.iter().enumerate() {
        let mut entries: Vec<(usize, NodeId)> = Vec::with_capacity(row.len() + 1);
        let mut on_diagonal = diagonal;
        let mut time_derivative = None;
        for &(column, entry) in row {
            if column == time_direction {
                time_derivative = Some(graph.mul(step, entry));
            } else if column as usize == i {
                on_diagonal = graph.sub(diagonal, entry);
            } else {
                entries.push((column as usize, graph.neg(entry)));
            }
        }
        entries.push((i, on_diagonal));
        matrix.push(entries);
        scaled_time_derivatives.push(time_derivative);
    }
    let lu = SparseLu::new(graph, &matrix, &moieties, (diagonal, &states), STAGES);

    let mut stages: Vec<Vec<NodeId>> = Vec::with_capacity(STAGES);
    let mut argument = states.clone();
    for s in 0..STAGES {
        if s > 0 {
            // A row that only adds the last stage to the row before continues its argument.
            let continues = A[s][..s - 1] == A[s - 1][..s - 1] && A[s][s - 1] == 1.0;
            argument = (0..n)
                .map(|i| {
                    if continues {
                        graph.add(argument[i], stages[s - 1][i])
                    } else {
                        weighted_sum(graph, states[i], &A[s][..s], &stages, i)
                    }
                })
                .collect();
        }
        let fraction = graph.constant(TIME[s]);
        let stage_time = graph.ternary(Ternary::MulAdd, fraction, step, time);
        let values = {
            let argument = &argument;
            let mut at_stage = Substitution::new(None, |graph: &mut Graph, input| match input {
                Input::State(i) => argument[i.position()],
                Input::Time => stage_time,
                other => graph.input(other),
            });
            derivatives.iter().map(|&f| at_stage.apply(graph, f)).collect::<Vec<_>>()
        };
        let mut right = Vec::with_capacity(n);
        for i in 0..n {
            let mut value = values[i];
            if s > 0 {
                let zero = graph.constant(0.0);
                let history = weighted_sum(graph, zero, &C[s][..s], &stages, i);
                value = graph.ternary(Ternary::MulAdd, history, reciprocal_step, value);
            }
            if let (Some(derivative), true) = (scaled_time_derivatives[i], D[s] != 0.0) {
                let weight = graph.constant(D[s]);
                value = graph.ternary(Ternary::MulAdd, weight, derivative, value);
            }
            right.push(value);
        }
        stages.push(lu.solve(graph, &right));
    }
    let errors = stages.pop().expect("the method has stages");
    let mut new_states: Vec<NodeId> =
        argument.iter().zip(&errors).map(|(&x, &k)| graph.add(x, k)).collect();
    for moiety in &moieties {
        conserve(graph, moiety, &states, &mut new_states);
    }
    StepRoots { new_states, errors }
}

/// Gives back what rounding added to a moiety in a step: Σ cᵢ·(x'ᵢ − xᵢ), which is 0, is taken off its
/// members in proportion to |xᵢ|, so that none loses relative accuracy.
///
/// All else that rounding does is forgotten as fast as the ODE forgets; along a moiety it would add
/// up over all steps, and with the same sign at neighbouring θ.
fn conserve(graph: &mut Graph, moiety: &Moiety, old: &[NodeId], new: &mut [NodeId]) {
    let zero = graph.constant(0.0);
    let (mut gain, mut total) = (zero, zero);
    for &(member, weight) in &moiety.members {
        let (x, x_new) = (old[member.position()], new[member.position()]);
        let (change, magnitude) = (graph.sub(x_new, x), graph.unary(Unary::Abs, x));
        let weight = graph.constant(weight);
        gain = graph.ternary(Ternary::MulAdd, weight, change, gain);
        total = graph.ternary(Ternary::MulAdd, weight, magnitude, total);
    }
    // Where all members are 0 there is nothing to share the gain.
    let is_empty = graph.binary(Binary::Eq, total, zero);
    let share = graph.div(gain, total);
    let share = graph.ternary(Ternary::Select, is_empty, zero, share);
    for &(member, _) in &moiety.members {
        let i = member.position();
        let magnitude = graph.unary(Unary::Abs, old[i]);
        new[i] = graph.ternary(Ternary::NegMulAdd, share, magnitude, new[i]);
    }
}

/// start + Σ weightⱼ · stageⱼ\[i\].
fn weighted_sum(
    graph: &mut Graph,
    start: NodeId,
    weights: &[f64],
    stages: &[Vec<NodeId>],
    i: usize,
) -> NodeId {
    let mut total = start;
    for (&weight, stage) in weights.iter().zip(stages) {
        let weight = graph.constant(weight);
        total = graph.ternary(Ternary::MulAdd, weight, stage[i], total);
    }
    total
}

/// Squared norm of the error, mean over i of (eᵢ/(atol + rtol·max(|xᵢ|, |x'ᵢ|)))², and the factor
/// for the next step size (Hairer & Wanner II, equations IV.8.19 to 8.21, without the Lund term).
fn error_control(graph: &mut Graph, new: &[NodeId], errors: &[NodeId]) -> (NodeId, NodeId) {
    let rtol = graph.input(Input::RelativeTolerance);
    let atol = graph.input(Input::AbsoluteTolerance);
    let mut squares = Vec::with_capacity(new.len());
    for (i, (&x_new, &error)) in new.iter().zip(errors).enumerate() {
        let x_old = graph.input(Input::State(StateIdx::from_position(i)));
        let old = graph.unary(Unary::Abs, x_old);
        let magnitude = graph.unary(Unary::Abs, x_new);
        let largest = graph.binary(Binary::Max, old, magnitude);
        let scale = graph.ternary(Ternary::MulAdd, rtol, largest, atol);
        let ratio = graph.div(error, scale);
        squares.push(graph.mul(ratio, ratio));
    }
    let total = graph.sum(squares);
    let reciprocal_count = graph.constant(1.0 / new.len().max(1) as f64);
    let squared = graph.mul(total, reciprocal_count);
    // norm^(−1/5) = exp(−ln(norm²)/10): the local error of the embedded method is of order 5.
    let exponent = graph.constant(-0.5 / f64::from(ERROR_ORDER + 1));
    let logarithm = graph.unary(Unary::Log, squared);
    let scaled = graph.mul(exponent, logarithm);
    let power = graph.unary(Unary::Exp, scaled);
    let safety = graph.constant(SAFETY);
    let raw = graph.mul(safety, power);
    let smallest = graph.constant(SMALLEST_FACTOR);
    let largest = graph.constant(LARGEST_FACTOR);
    let floored = graph.binary(Binary::Max, raw, smallest);
    let factor = graph.binary(Binary::Min, floored, largest);
    (squared, factor)
}
