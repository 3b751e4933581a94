//! What rounding and errors of steps may do to a point's rows, and so to differences.

use super::evaluator::{Settings, StepMode};
use super::score::{Affected, Scorer, Trajectory};
use crate::graph::Input;
use crate::index::{ObservableIdx, RowIdx};
use crate::objective::{Item, Measure, Prediction};

/// Multiple of what tighter tolerances change in a row that counts as the most that errors of steps do:
/// theirs and the point's own may by chance cancel in one row.
const MOST_CHANGES: f64 = 10.0;

impl Scorer<'_> {
    /// What errors of a probe's own steps may do to each row's contribution to the objective: what errors of
    /// the tolerances' size would, or some times what tighter tolerances change where that is less. A state
    /// far below the absolute tolerance may be as accurate as all others, for whose sake steps are small. One
    /// that starts there may as well be wrong at both tolerances alike.
    pub(super) fn step_noise(&self, point: usize, predictions: &[Prediction]) -> Vec<f64> {
        let mut noise = self.tolerance_noise(point, Measure::Likelihood);
        let tighter = self.tighter.filter(|_| self.below_atol[point].is_empty());
        let Some(tighter) = tighter else { return noise };
        let tight = tighter.predictions(point);
        for (r, (noise, &tight)) in noise.iter_mut().zip(tight).enumerate() {
            let measured = self.problem.rows[r].measured;
            let model = self.noise_model(RowIdx::from_position(r));
            let change = model.nllh_difference(measured, tight, predictions[r]).abs();
            // Not 0: that is the noise of copies that replay steps.
            if change.is_finite() && *noise > 0.0 {
                *noise = noise.min(MOST_CHANGES * change).max(f64::MIN_POSITIVE);
            }
        }
        noise
    }

    /// What errors of the tolerances' size in the states do to each row's number l at a point:
    /// Σ |∂l/∂xᵢ|·(atol + rtol·|xᵢ|). Nothing where probes replay their point's steps.
    pub(super) fn tolerance_noise(&self, point: usize, measure: Measure) -> Vec<f64> {
        let Settings { rtol, atol, steps, .. } = self.settings;
        if steps == StepMode::Shared {
            return Vec::new();
        }
        let mut noise = vec![0.0; self.problem.rows.len()];
        for (o, observable) in self.problem.observables.iter().enumerate() {
            let index = ObservableIdx::from_position(o);
            let rows: Vec<RowIdx> = (0..self.problem.rows.len())
                .filter(|&r| self.problem.rows[r].observable == index)
                .map(RowIdx::from_position)
                .collect();
            let item = |&r: &RowIdx| {
                let row = &self.problem.rows[r.position()];
                let Trajectory { run, lane, slots } = self.own(point, row.simulation);
                let starts = self.problem.simulations[row.simulation.position()].starts_with_output;
                Item {
                    row: r,
                    states: run.values(lane, row.output, starts),
                    slots: &slots[row.period.position()],
                    parameters: &self.linear[point],
                }
            };
            let items: Vec<Item<'_>> = rows.iter().map(item).collect();
            let variables = self.objective.variables(index);
            self.objective.predict_with_derivatives(index, &items, |i, prediction, dy, dsigma| {
                let measured = self.problem.rows[rows[i].position()].measured;
                let (l_y, l_sigma) =
                    measure.derivatives(observable.noise_model, measured, prediction);
                for (k, variable) in variables.iter().enumerate() {
                    let Input::State(s) = *variable else { continue };
                    let weight = (l_y * dy[k] + l_sigma * dsigma[k]).abs();
                    let error = atol + rtol * items[i].states[s.position()].abs();
                    // Where no state weighs in the product is 0 · ∞ at worst.
                    noise[rows[i].position()] += if weight > 0.0 { weight * error } else { 0.0 };
                }
            });
        }
        noise
    }

    /// Σ (|∂l/∂y·y| + |∂l/∂σ·σ|)·2⁻⁵² over the rows, of what the parameter can change: values
    /// that come out equal on both sides carry rounding errors all the same. The second sum is that
    /// of those values. Rows at whose time all states are the same to the bit, and which know the
    /// parameter through states only, are not reached by it: they make the third sum.
    pub(super) fn round_off(
        &self,
        point: usize,
        affected: &Affected,
        base: &[Prediction],
        (sides, moves): ([&[Prediction]; 2], [Option<usize>; 2]),
        prior: f64,
    ) -> [f64; 3] {
        let mut sums = [prior.abs() * f64::EPSILON, 0.0, 0.0];
        for (i, (&r, dependence)) in affected.rows.iter().zip(&affected.dependences).enumerate() {
            let prediction = base[r.position()];
            let measured = self.problem.rows[r.position()].measured;
            let (l_y, l_sigma) = self.noise_model(r).nllh_derivatives(measured, prediction);
            let [plus, minus] = sides.map(|predictions| predictions[i]);
            let is_reached =
                affected.is_direct[i] || plus != minus || !self.have_same_states(point, r, moves);
            for (can_change, size, is_same) in [
                (dependence.y, l_y * prediction.y, plus.y == minus.y),
                (dependence.sigma, l_sigma * prediction.sigma, plus.sigma == minus.sigma),
            ] {
                if can_change {
                    let size = size.abs() * f64::EPSILON;
                    if is_reached {
                        sums[0] += size;
                        sums[1] += if is_same { size } else { 0.0 };
                    } else {
                        sums[2] += size;
                    }
                }
            }
        }
        sums
    }

    /// Whether two moves, or a move and the point itself, have the same states at a row's output, to
    /// the bit.
    pub(super) fn have_same_states(
        &self,
        point: usize,
        row: RowIdx,
        moves: [Option<usize>; 2],
    ) -> bool {
        let row = &self.problem.rows[row.position()];
        let s = row.simulation.position();
        let starts = self.problem.simulations[s].starts_with_output;
        let [a, b] = moves.map(|m| match m.and_then(|m| self.probe_lanes[m][s]) {
            Some(lane) => self.probes.values(lane, row.output, starts),
            None => {
                let own = point * self.problem.simulations.len() + s;
                self.base.values(own, row.output, starts)
            }
        });
        a == b
    }
}
