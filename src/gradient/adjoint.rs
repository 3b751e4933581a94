//! The gradient from adjoints: what rows give to states at outputs, slots and placeholders, and from
//! the adjoints of slots to the parameters.

use super::terms::{SimulationOutputs, Target, Variable, for_each_weight, product};
use crate::index::{ParameterIdx, SimulationIdx};
use crate::model::OdeProblem;
use crate::objective::{Measure, Objective};

/// Derivatives of a simulation's part of the objective.
#[derive(Debug, Clone)]
pub struct SimulationAdjoints {
    pub simulation: SimulationIdx,
    /// Of the states at its outputs, `[output][state]`, through its rows alone.
    pub outputs: Vec<f64>,
    /// Of the slots, `[period][slot]`: at first through its rows alone, what the trajectory adds is to
    /// be added.
    pub slots: Vec<Vec<f64>>,
    /// Of what stands for placeholders, linear scale.
    parameters: Vec<(ParameterIdx, f64)>,
}

impl SimulationAdjoints {
    /// What the rows of a simulation give, at a point with these linear values.
    pub fn of_rows(
        problem: &OdeProblem,
        objective: &Objective<'_>,
        linear: &[f64],
        outputs: &SimulationOutputs<'_, '_>,
    ) -> Self {
        let table = &problem.simulations[outputs.simulation.position()];
        let n = problem.state_ids.len();
        let mut adjoints = Self {
            simulation: outputs.simulation,
            outputs: vec![0.0; table.output_times.len() * n],
            slots: vec![vec![0.0; problem.simulation_slot_count]; table.periods.len()],
            parameters: Vec::new(),
        };
        let derivatives = |model, measured, prediction| {
            Measure::Likelihood.derivatives(model, measured, prediction)
        };
        let source = (problem, objective, linear);
        for_each_weight(
            source,
            outputs,
            derivatives,
            |row, output, variable, weight| match variable {
                Variable::State(s) => adjoints.outputs[output * n + s.position()] += weight,
                Variable::Target(Target::Slot(slot)) => {
                    let period = problem.rows[row.position()].period;
                    adjoints.slots[period.position()][slot.position()] += weight;
                }
                Variable::Target(Target::Parameter(p)) => adjoints.parameters.push((p, weight)),
            },
        );
        adjoints
    }
}

/// The gradient on the parameter scale, where the simulations of a point have these adjoints.
pub fn adjoint_gradient(
    problem: &OdeProblem,
    linear: &[f64],
    simulations: &[SimulationAdjoints],
) -> Vec<f64> {
    let mut gradient = vec![0.0; problem.parameters.len()];
    for adjoints in simulations {
        for &(p, weight) in &adjoints.parameters {
            gradient[p.position()] += weight;
        }
        let periods = &problem.simulations[adjoints.simulation.position()].periods;
        for (period, of_slots) in periods.iter().zip(&adjoints.slots) {
            for (&value, &adjoint) in period.slot_values.iter().zip(of_slots) {
                for (p, slope) in problem.slot_derivatives(value, linear) {
                    gradient[p.position()] += product(adjoint, slope);
                }
            }
        }
    }
    for ((component, parameter), &p) in gradient.iter_mut().zip(&problem.parameters).zip(linear) {
        *component *= parameter.scale.derivative(p);
    }
    gradient
}
