//! The gradient from forward tangents of the trajectories.
//!
//! For each row, dl/dθ = (∂l/∂y·∂y/∂x + ∂l/∂σ·∂σ/∂x)·S + the direct terms in slots and
//! placeholders; sums are first taken by slot, then mapped through the simulation's table to the
//! estimated parameters and their scales.

use crate::graph::Input;
use crate::index::{ObservableIdx, SimulationIdx, SlotIdx};
use crate::model::{OdeProblem, SlotValue};
use crate::objective::{Item, Objective};

/// Tangents of one simulation at its outputs, along some directions.
pub struct TangentBlock<'a> {
    pub directions: &'a [SlotIdx],
    /// `values(output)`: the states, then the tangents `[direction][state]`.
    pub values: Box<dyn Fn(usize) -> &'a [f64] + 'a>,
}

/// Accumulates one point's gradient, simulation by simulation.
pub struct ForwardGradient<'a> {
    problem: &'a OdeProblem,
    objective: &'a Objective<'a>,
    /// Linear values of the estimated parameters.
    linear: &'a [f64],
    /// dl/dp, by estimated parameter, linear scale.
    gradient_linear: Vec<f64>,
    /// The same of the terms' magnitudes.
    magnitude_linear: Vec<f64>,
}

/// A gradient on the parameter scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradient {
    pub components: Vec<f64>,
    /// Sums of the magnitudes of the terms that each component is the sum of: what errors of the
    /// terms are relative to, however much cancels.
    pub magnitudes: Vec<f64>,
}

impl<'a> ForwardGradient<'a> {
    /// A gradient of zero at a point with these linear parameter values.
    pub fn new(problem: &'a OdeProblem, objective: &'a Objective<'a>, linear: &'a [f64]) -> Self {
        let zeros = vec![0.0; problem.parameters.len()];
        let (gradient_linear, magnitude_linear) = (zeros.clone(), zeros);
        Self { problem, objective, linear, gradient_linear, magnitude_linear }
    }

    /// Adds the rows of one simulation. `slots` are those of each period, `states(output)` the
    /// point's own states.
    pub fn add_simulation<'s>(
        &mut self,
        simulation: SimulationIdx,
        slots: &'s [Vec<f64>],
        states: &dyn Fn(usize) -> &'s [f64],
        tangents: &[TangentBlock<'_>],
    ) {
        let table = &self.problem.simulations[simulation.position()];
        let n = self.problem.state_ids.len();
        let slot_count = self.problem.simulation_slot_count;
        // Sums of terms and of their magnitudes, `[period][slot]`.
        let mut by_slot = vec![vec![[0.0_f64; 2]; slot_count]; table.periods.len()];
        let add = |sums: &mut [f64; 2], term: f64| {
            sums[0] += term;
            sums[1] += term.abs();
        };
        for (o, observable) in self.problem.observables.iter().enumerate() {
            let index = ObservableIdx::from_position(o);
            let items: Vec<Item<'_>> = table
                .rows
                .iter()
                .filter(|r| self.problem.rows[r.position()].observable == index)
                .map(|&row| Item {
                    row,
                    states: states(self.problem.rows[row.position()].output),
                    slots: &slots[self.problem.rows[row.position()].period.position()],
                    parameters: self.linear,
                })
                .collect();
            let variables = self.objective.variables(index);
            let (by_parameter, magnitudes) =
                (&mut self.gradient_linear, &mut self.magnitude_linear);
            self.objective.predict_with_derivatives(index, &items, |i, prediction, dy, dsigma| {
                let row = &self.problem.rows[items[i].row.position()];
                let by_slot = &mut by_slot[row.period.position()];
                let (l_y, l_sigma) =
                    observable.noise_model.nllh_derivatives(row.measured, prediction);
                for (k, variable) in variables.iter().enumerate() {
                    let weight = product(l_y, dy[k]) + product(l_sigma, dsigma[k]);
                    if weight == 0.0 {
                        continue;
                    }
                    match *variable {
                        Input::State(s) => {
                            for block in tangents {
                                let values = (block.values)(row.output);
                                for (d, slot) in block.directions.iter().enumerate() {
                                    let tangent = values[n * (1 + d) + s.position()];
                                    add(&mut by_slot[slot.position()], weight * tangent);
                                }
                            }
                        }
                        Input::Slot(s) if s.position() < by_slot.len() => {
                            add(&mut by_slot[s.position()], weight);
                        }
                        Input::Slot(s) => {
                            let value = row.placeholders.iter().find(|(slot, _)| *slot == s);
                            if let Some((_, SlotValue::Estimated(p))) = value {
                                by_parameter[p.position()] += weight;
                                magnitudes[p.position()] += weight.abs();
                            }
                        }
                        _ => {}
                    }
                }
            });
        }
        for (period, by_slot) in table.periods.iter().zip(&by_slot) {
            for (value, [derivative, magnitude]) in period.slot_values.iter().zip(by_slot) {
                match *value {
                    SlotValue::Number(_) => {}
                    SlotValue::Estimated(p) => {
                        self.gradient_linear[p.position()] += derivative;
                        self.magnitude_linear[p.position()] += magnitude;
                    }
                    SlotValue::Formula(formula) => {
                        let of = self.problem.formulas.derivatives(formula, self.linear);
                        for (p, slope) in of {
                            self.gradient_linear[p.position()] += product(*derivative, slope);
                            self.magnitude_linear[p.position()] += product(*magnitude, slope.abs());
                        }
                    }
                }
            }
        }
    }

    /// The gradient on the parameter scale.
    pub fn finish(self) -> Gradient {
        let scaled = |linear: Vec<f64>| {
            let factors = self.problem.parameters.iter().zip(self.linear);
            linear
                .iter()
                .zip(factors)
                .map(|(d, (parameter, &p))| d * parameter.scale.derivative(p))
                .collect()
        };
        let magnitudes: Vec<f64> = scaled(self.magnitude_linear);
        Gradient {
            components: scaled(self.gradient_linear),
            magnitudes: magnitudes.into_iter().map(f64::abs).collect(),
        }
    }
}

/// a·b, where an exact zero (no dependence) wins over an infinite or undefined partner.
fn product(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a * b }
}
