//! Where lanes leave what they are at output times.

use super::traveller::Traveller;
use crate::engine::{BatchResult, Timeline};
use crate::index::SimulationIdx;
use crate::model::OdeProblem;

/// Outputs of a set of lanes; NaN until a lane gets there.
pub(super) struct Outputs {
    width: usize,
    /// At the first output where that is the start, `[lane][value]`.
    pub(super) initial: Vec<f64>,
    /// At finite times after that: of each lane from its offset on, `[output][value]`.
    pub(super) values: Vec<f64>,
    pub(super) offsets: Vec<usize>,
    /// At time inf, `[lane][value]`.
    pub(super) last: Vec<f64>,
}

impl Outputs {
    /// For lanes of these simulations.
    pub(super) fn new(problem: &OdeProblem, simulations: &[SimulationIdx], width: usize) -> Self {
        let mut offsets = Vec::with_capacity(simulations.len() + 1);
        offsets.push(0);
        for s in simulations {
            let simulation = &problem.simulations[s.position()];
            let finite = simulation.output_times.iter().filter(|t| t.is_finite()).count();
            let count = finite - usize::from(simulation.starts_with_output);
            offsets.push(offsets[offsets.len() - 1] + count * width);
        }
        Self {
            width,
            initial: vec![f64::NAN; simulations.len() * width],
            values: vec![f64::NAN; offsets[simulations.len()]],
            offsets,
            last: vec![f64::NAN; simulations.len() * width],
        }
    }

    /// Nowhere to leave anything.
    pub(super) fn none() -> Self {
        Self {
            width: 0,
            initial: Vec::new(),
            values: Vec::new(),
            offsets: Vec::new(),
            last: Vec::new(),
        }
    }

    /// Leaves a lane's values as those at a time, if that is an output.
    pub(super) fn set_at(&mut self, lane: usize, traveller: &Traveller<'_>, t: f64) {
        self.set(lane, traveller, t, &traveller.values);
    }

    fn set(&mut self, lane: usize, traveller: &Traveller<'_>, t: f64, values: &[f64]) {
        if self.width == 0 {
            return;
        }
        let simulation = traveller.simulation();
        let times = &simulation.output_times;
        let Ok(output) = times.binary_search_by(|other| other.total_cmp(&t)) else { return };
        let target = if t == f64::INFINITY {
            &mut self.last[lane * self.width..][..self.width]
        } else {
            match output.checked_sub(usize::from(simulation.starts_with_output)) {
                None => &mut self.initial[lane * self.width..][..self.width],
                Some(after) => {
                    &mut self.values[self.offsets[lane] + after * self.width..][..self.width]
                }
            }
        };
        target.copy_from_slice(values);
        let n = traveller.states().len();
        for k in traveller.lost_directions() {
            target[n * (1 + k)..][..n].fill(f64::NAN);
        }
    }

    /// Takes the outputs of a stretch, the k-th of a batch; returns what the lane is at its end.
    pub(super) fn take<'r>(
        &mut self,
        lane: usize,
        traveller: &Traveller<'_>,
        timeline: &Timeline,
        result: &'r BatchResult,
        k: usize,
    ) -> Option<&'r [f64]> {
        let mut last = None;
        let width = traveller.values.len();
        let mut all = result.outputs[result.offsets[k]..result.offsets[k + 1]].chunks(width);
        for segment in timeline.segments.iter().filter(|s| s.is_output) {
            let Some(values) = all.next() else { break };
            self.set(lane, traveller, segment.t_end, values);
            last = Some(values);
        }
        last
    }
}
