//! The gradient from forward tangents of the trajectories.
//!
//! For each row, dl/dθ = (∂l/∂y·∂y/∂x + ∂l/∂σ·∂σ/∂x)·S + the direct terms in slots and
//! placeholders; sums are first taken by slot, then mapped through the simulation's table to the
//! estimated parameters and their scales.

use super::terms::{SimulationOutputs, Target, for_each_term, product};
use crate::model::{OdeProblem, SlotValue};
use crate::objective::{Measure, Objective};

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

    /// Adds the rows of one simulation.
    pub fn add_simulation(&mut self, outputs: &SimulationOutputs<'_, '_>) {
        let table = &self.problem.simulations[outputs.simulation.position()];
        let slot_count = self.problem.simulation_slot_count;
        // Sums of terms and of their magnitudes, `[period][slot]`.
        let mut by_slot = vec![vec![[0.0_f64; 2]; slot_count]; table.periods.len()];
        let (by_parameter, magnitudes) = (&mut self.gradient_linear, &mut self.magnitude_linear);
        let source = (self.problem, self.objective, self.linear);
        let derivatives = |model, measured, prediction| {
            Measure::Likelihood.derivatives(model, measured, prediction)
        };
        for_each_term(source, outputs, derivatives, |row, target, term| match target {
            Target::Slot(slot) => {
                let period = self.problem.rows[row.position()].period;
                let sums = &mut by_slot[period.position()][slot.position()];
                sums[0] += term;
                sums[1] += term.abs();
            }
            Target::Parameter(p) => {
                by_parameter[p.position()] += term;
                magnitudes[p.position()] += term.abs();
            }
        });
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
