//! Derivatives of parts: sums over some rows each.

use super::terms::{SimulationOutputs, Target, for_each_term, product};
use crate::index::{ParameterIdx, RowIdx};
use crate::model::{OdeProblem, SlotValue};
use crate::objective::{NoiseModel, Objective, Prediction};

/// Accumulates one point's derivatives, simulation by simulation.
pub struct PartGradients<'a> {
    problem: &'a OdeProblem,
    objective: &'a Objective<'a>,
    /// Linear values of the estimated parameters.
    linear: &'a [f64],
    /// Place of each estimated parameter among those wanted.
    places: Vec<Option<usize>>,
    wanted: &'a [ParameterIdx],
    count: usize,
    /// On the linear scale, `[wanted parameter][part]`.
    sums: Vec<f64>,
}

impl<'a> PartGradients<'a> {
    /// Zeros for so many parts and these parameters, at a point with these linear values.
    pub fn new(
        problem: &'a OdeProblem,
        objective: &'a Objective<'a>,
        linear: &'a [f64],
        wanted: &'a [ParameterIdx],
        count: usize,
    ) -> Self {
        let place = |p| wanted.iter().position(|w| w.position() == p);
        let places = (0..problem.parameters.len()).map(place).collect();
        let sums = vec![0.0; wanted.len() * count];
        Self { problem, objective, linear, places, wanted, count, sums }
    }

    /// Adds the rows of one simulation, each to its part. `derivatives` are those of a row's number
    /// with respect to y and to sigma.
    pub fn add_simulation(
        &mut self,
        outputs: &SimulationOutputs<'_, '_>,
        part_of: &dyn Fn(RowIdx) -> usize,
        derivatives: impl Fn(NoiseModel, f64, Prediction) -> (f64, f64),
    ) {
        let problem = self.problem;
        let table = &problem.simulations[outputs.simulation.position()];
        let slots = problem.simulation_slot_count;
        let periods = table.periods.len();
        // The parts that the simulation has rows of.
        let mut parts: Vec<usize> = table.rows.iter().map(|r| part_of(*r)).collect();
        parts.sort_unstable();
        parts.dedup();
        let mut by_slot = vec![0.0; parts.len() * periods * slots];
        let source = (problem, self.objective, self.linear);
        for_each_term(source, outputs, derivatives, |row, target, term| {
            let part = part_of(row);
            match target {
                Target::Slot(slot) => {
                    let Ok(place) = parts.binary_search(&part) else { return };
                    let period = problem.rows[row.position()].period.position();
                    by_slot[(place * periods + period) * slots + slot.position()] += term;
                }
                Target::Parameter(p) => {
                    if let Some(place) = self.places[p.position()] {
                        self.sums[place * self.count + part] += term;
                    }
                }
            }
        });
        let mut derivatives = Vec::new();
        for (k, period) in table.periods.iter().enumerate() {
            for (slot, value) in period.slot_values.iter().enumerate() {
                derivatives.clear();
                match *value {
                    SlotValue::Number(_) => continue,
                    SlotValue::Estimated(p) => derivatives.push((p, 1.0)),
                    SlotValue::Formula(formula) => {
                        derivatives.extend(problem.formulas.derivatives(formula, self.linear));
                    }
                }
                for &(p, slope) in &derivatives {
                    let Some(wanted) = self.places[p.position()] else { continue };
                    for (place, part) in parts.iter().enumerate() {
                        let of_slot = by_slot[(place * periods + k) * slots + slot];
                        self.sums[wanted * self.count + part] += product(of_slot, slope);
                    }
                }
            }
        }
    }

    /// The derivatives on the parameter scale, `[wanted parameter][part]`.
    pub fn finish(mut self) -> Vec<f64> {
        for (place, p) in self.wanted.iter().enumerate() {
            let parameter = &self.problem.parameters[p.position()];
            let factor = parameter.scale.derivative(self.linear[p.position()]);
            self.sums[place * self.count..][..self.count].iter_mut().for_each(|d| *d *= factor);
        }
        self.sums
    }
}
