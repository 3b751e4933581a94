//! How slots move with the estimated parameters on their scales, to second order.

use super::{OdeProblem, SlotValue};
use crate::index::ParameterIdx;

impl OdeProblem {
    /// A slot's derivatives along parameters on their scales: along each inner one (none: a direction
    /// that is not used), along the outer one, then the second derivatives along each inner and the
    /// outer one. `linear` are the parameters' linear values.
    pub fn slot_jet(
        &self,
        value: SlotValue,
        linear: &[f64],
        inner: &[Option<ParameterIdx>],
        outer: ParameterIdx,
    ) -> Vec<f64> {
        let mut jet = vec![0.0; 2 * inner.len() + 1];
        let scale = |p: ParameterIdx| self.parameters[p.position()].scale;
        let slope = |p: ParameterIdx| scale(p).derivative(linear[p.position()]);
        let first = self.slot_derivatives(value, linear);
        let along = |p: ParameterIdx| {
            first.iter().find(|(own, _)| *own == p).map_or(0.0, |&(_, derivative)| derivative)
        };
        jet[inner.len()] = along(outer) * slope(outer);
        for (k, p) in inner.iter().enumerate() {
            let Some(p) = *p else { continue };
            jet[k] = along(p) * slope(p);
            let mut mixed = match value {
                SlotValue::Formula(formula) => {
                    let second = self.formulas.second_derivative(formula, (p, outer), linear);
                    second * slope(p) * slope(outer)
                }
                SlotValue::Number(_) | SlotValue::Estimated(_) => 0.0,
            };
            if p == outer {
                mixed += along(p) * scale(p).second_derivative(linear[p.position()]);
            }
            jet[inner.len() + 1 + k] = mixed;
        }
        jet
    }

    /// Whether estimated parameters move the times at which lanes stop, or events may.
    pub fn has_moving_times(&self) -> bool {
        let directions = self.dynamic_directions();
        !self.events.are_absent()
            || self
                .moving_slots()
                .is_none_or(|slots| slots.iter().any(|slot| directions.contains(slot)))
    }
}
