//! When a lane counts as being in a steady state.

use super::traveller::Traveller;
use crate::engine::LaneStatus;

/// A state is steady where the norm √(1/n Σ (ẋᵢ/(atol + rtol·|xᵢ|))²) is below 1, with tolerances
/// this many times the solver's (AMICI's and PEtab.jl's practice).
pub(super) const TOLERANCE_FACTOR: f64 = 100.0;
/// Stages in a row at whose end the state must be steady and have stayed what it was: the norm says
/// how fast a state moves, not how far it still has to go. A state that moves ever so slowly, but
/// on and on, changes in a stage ten times as long.
const STEADY_STAGES: u32 = 3;
/// Stages after which there is no steady state: by then 10¹⁷ times the first stage has passed.
const MOST_STAGES: i32 = 18;

/// A lane's way to its steady state: stages of time, each ten times as long as all before it.
#[derive(Debug, Clone)]
pub(super) struct Settling {
    t_start: f64,
    /// When the present stage ends.
    pub(super) t_end: f64,
    /// Length of the first stage.
    natural: f64,
    stages: i32,
    steady_stages: u32,
    /// States at the end of the stage before.
    states: Vec<f64>,
}

impl Settling {
    /// From a time on; `natural` is the time scale of the problem.
    pub(super) fn new(t_start: f64, natural: f64) -> Self {
        Self {
            t_start,
            t_end: t_start + natural,
            natural,
            stages: 0,
            steady_stages: 0,
            states: Vec::new(),
        }
    }

    /// Takes note that a stage has ended, with this norm of the rates; `distance` is the norm of a
    /// change of states. Returns how the lane ends, if it does.
    pub(super) fn end_stage(
        &mut self,
        norm: f64,
        distance: impl Fn(&[f64], &[f64]) -> f64,
        traveller: &Traveller<'_>,
    ) -> Option<LaneStatus> {
        self.stages += 1;
        let horizon = self.t_start + self.natural * 10_f64.powi(MOST_STAGES);
        let states = traveller.states();
        // The first stage has none before it to compare with.
        let stayed = self.states.is_empty() || distance(&self.states, states) < 1.0;
        let is_steady = norm < 1.0 && stayed && !traveller.is_announced(horizon);
        self.steady_stages = if is_steady { self.steady_stages + 1 } else { 0 };
        self.states.clear();
        self.states.extend_from_slice(states);
        if self.steady_stages >= STEADY_STAGES {
            return Some(LaneStatus::Ok);
        }
        if self.stages >= MOST_STAGES {
            return Some(LaneStatus::NoSteadyState);
        }
        self.t_end = self.t_start + 10.0 * (traveller.t - self.t_start);
        None
    }
}

/// The time scale of a problem: that of its last measurement.
pub(super) fn natural_time(problem: &crate::model::OdeProblem) -> f64 {
    let last = |s: &crate::model::Simulation| {
        let finite = s.output_times.iter().rev().find(|t| t.is_finite());
        finite.map_or(0.0, |t| t - s.t_start())
    };
    let longest = problem.simulations.iter().map(last).fold(0.0, f64::max);
    if longest > 0.0 { longest } else { 1.0 }
}
