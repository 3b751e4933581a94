//! The terms that derivatives of rows are sums of.
//!
//! For each row, with a number l that depends on y and σ, dl/dθ = (∂l/∂y·∂y/∂x + ∂l/∂σ·∂σ/∂x)·S +
//! the direct terms in slots and placeholders.

use crate::graph::Input;
use crate::index::{ObservableIdx, ParameterIdx, RowIdx, SimulationIdx, SlotIdx, StateIdx};
use crate::model::{OdeProblem, SlotValue};
use crate::objective::{Item, NoiseModel, Objective, Prediction};

/// Tangents of one simulation at its outputs, along some directions.
pub struct TangentBlock<'a> {
    pub directions: &'a [SlotIdx],
    /// `values(output)`: the states, then the tangents `[direction][state]`.
    pub values: Box<dyn Fn(usize) -> &'a [f64] + 'a>,
}

/// One simulation of a point at its outputs.
pub struct SimulationOutputs<'a, 's> {
    pub simulation: SimulationIdx,
    /// Slots of each period.
    pub slots: &'s [Vec<f64>],
    /// The point's own states at an output.
    pub states: &'a dyn Fn(usize) -> &'s [f64],
    pub tangents: &'a [TangentBlock<'s>],
}

/// What a term is a derivative with respect to, on the linear scale.
pub(super) enum Target {
    /// A slot of the simulation, in the row's period.
    Slot(SlotIdx),
    /// What stands for one of the row's placeholders.
    Parameter(ParameterIdx),
}

/// Gives every term of every row of a simulation. `derivatives` are those of the row's number with
/// respect to y and to sigma.
pub(super) fn for_each_term(
    source: (&OdeProblem, &Objective<'_>, &[f64]),
    outputs: &SimulationOutputs<'_, '_>,
    derivatives: impl Fn(NoiseModel, f64, Prediction) -> (f64, f64),
    mut sink: impl FnMut(RowIdx, Target, f64),
) {
    let n = source.0.state_ids.len();
    for_each_weight(
        source,
        outputs,
        derivatives,
        |place, output, variable, weight| match variable {
            Variable::State(s) => {
                for block in outputs.tangents {
                    let values = (block.values)(output);
                    for (d, slot) in block.directions.iter().enumerate() {
                        let tangent = values[n * (1 + d) + s.position()];
                        sink(place, Target::Slot(*slot), weight * tangent);
                    }
                }
            }
            Variable::Target(target) => sink(place, target, weight),
        },
    );
}

/// What a row depends on.
pub(super) enum Variable {
    /// A state at its output.
    State(StateIdx),
    Target(Target),
}

/// Gives the derivatives of every row's number, (row, output, variable, derivative), where they are
/// not 0; tangents are not read.
pub(super) fn for_each_weight(
    (problem, objective, linear): (&OdeProblem, &Objective<'_>, &[f64]),
    outputs: &SimulationOutputs<'_, '_>,
    derivatives: impl Fn(NoiseModel, f64, Prediction) -> (f64, f64),
    mut sink: impl FnMut(RowIdx, usize, Variable, f64),
) {
    let table = &problem.simulations[outputs.simulation.position()];
    for (o, observable) in problem.observables.iter().enumerate() {
        let index = ObservableIdx::from_position(o);
        let items: Vec<Item<'_>> = table
            .rows
            .iter()
            .filter(|r| problem.rows[r.position()].observable == index)
            .map(|&row| Item {
                row,
                states: (outputs.states)(problem.rows[row.position()].output),
                slots: &outputs.slots[problem.rows[row.position()].period.position()],
                parameters: linear,
            })
            .collect();
        let variables = objective.variables(index);
        objective.predict_with_derivatives(index, &items, |i, prediction, dy, dsigma| {
            let place = items[i].row;
            let row = &problem.rows[place.position()];
            let (l_y, l_sigma) = derivatives(observable.noise_model, row.measured, prediction);
            for (k, variable) in variables.iter().enumerate() {
                let weight = product(l_y, dy[k]) + product(l_sigma, dsigma[k]);
                if weight == 0.0 {
                    continue;
                }
                let variable = match *variable {
                    Input::State(s) => Variable::State(s),
                    Input::Slot(s) if s.position() < problem.simulation_slot_count => {
                        Variable::Target(Target::Slot(s))
                    }
                    Input::Slot(s) => {
                        let value = row.placeholders.iter().find(|(slot, _)| *slot == s);
                        let Some((_, SlotValue::Estimated(p))) = value else { continue };
                        Variable::Target(Target::Parameter(*p))
                    }
                    _ => continue,
                };
                sink(place, row.output, variable, weight);
            }
        });
    }
}

/// a·b, where an exact zero (no dependence) wins over an infinite or undefined partner.
pub fn product(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a * b }
}
