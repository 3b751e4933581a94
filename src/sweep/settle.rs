//! Steady states: integrating over growing stretches of time until nothing changes any more.
//!
//! A lane settles in stages, each ten times as long as the time before it. The stages of a point
//! and their schedules are kept, so that its probes and tangents take the same steps.

use super::lanes::LanePreparation;
use crate::engine::{
    Batch, Control, EngineError, Kernel, LaneReport, LaneStatus, Schedule, Timeline,
};
use crate::index::{ScheduleIdx, SimulationIdx, TimelineIdx};
use crate::model::OdeProblem;

/// A state is steady where the norm √(1/n Σ (ẋᵢ/(atol + rtol·|xᵢ|))²) is below 1, with tolerances
/// this many times the solver's (AMICI's and PEtab.jl's practice).
const TOLERANCE_FACTOR: f64 = 100.0;
/// Stages that follow the first steady one: the norm says how fast a state moves, not how far it
/// still has to go.
const STAGES_AFTER: usize = 2;
/// Stages after which there is no steady state: by then 10¹² times the first stage has passed.
const MOST_STAGES: usize = 12;

/// A stretch of time on a lane's way to its steady state.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    timeline: Timeline,
    schedule: Schedule,
}

/// Lanes that settle.
pub(super) struct Settling<'a> {
    pub(super) problem: &'a OdeProblem,
    pub(super) preparation: &'a LanePreparation<'a>,
    pub(super) kernel: &'a dyn Kernel,
    /// Values that a step advances.
    pub(super) width: usize,
    /// By lane: its simulation, all its slots, and those that lanes carry.
    pub(super) simulations: &'a [SimulationIdx],
    pub(super) slots: &'a [Vec<f64>],
    pub(super) carried: &'a [f64],
}

/// Where lanes settled.
pub(super) struct Settled {
    /// `[lane][value]`; NaN where a lane did not get there.
    pub(super) values: Vec<f64>,
    pub(super) reports: Vec<LaneReport>,
}

impl Settling<'_> {
    fn carried_of(&self, lane: usize) -> &[f64] {
        let count = self.problem.rhs.slots.len();
        &self.carried[lane * count..][..count]
    }

    /// Time at which a lane's first stage ends: that of its last measurement, its natural scale.
    fn first_end(&self, lane: usize, t_start: f64) -> f64 {
        let times = &self.problem.simulations[self.simulations[lane].position()].output_times;
        let last = times.iter().rev().find(|t| t.is_finite()).copied().unwrap_or(0.0);
        let natural = if last > 0.0 { last } else { 1.0 };
        t_start + natural
    }

    /// Settles lanes with steps of their own, from `initial` at `t_start`; returns the stages of
    /// each, too.
    pub(super) fn adaptively(
        &self,
        initial: &[f64],
        t_start: f64,
        (rtol, atol, max_steps): (f64, f64, u32),
    ) -> Result<(Settled, Vec<Vec<Stage>>), EngineError> {
        let lanes = self.simulations.len();
        let mut values = initial.to_vec();
        let done = LaneReport { status: LaneStatus::NoSteadyState, steps: 0, t: t_start };
        let mut reports = vec![done; lanes];
        let mut stages: Vec<Vec<Stage>> = vec![Vec::new(); lanes];
        let mut steady_stages = vec![0_usize; lanes];
        let mut active: Vec<usize> = (0..lanes).collect();
        let mut starts = vec![t_start; lanes];
        for _ in 0..MOST_STAGES {
            if active.is_empty() {
                break;
            }
            let timelines: Vec<Timeline> = active
                .iter()
                .map(|&lane| {
                    let start = starts[lane];
                    let end = if start == t_start {
                        self.first_end(lane, t_start)
                    } else {
                        t_start + 10.0 * (start - t_start)
                    };
                    self.problem.breakpoints.timeline(
                        &|slot| self.slots[lane][slot.position()],
                        start,
                        &[end],
                        &[],
                    )
                })
                .collect();
            let (from, carried) = self.gather(&active, &values);
            let borrowed: Vec<&Timeline> = timelines.iter().collect();
            let first_steps = self.preparation.first_steps(&borrowed, &from, &carried, rtol, atol);
            let of_lane: Vec<TimelineIdx> =
                (0..active.len()).map(TimelineIdx::from_position).collect();
            let mut result = self.kernel.run(&Batch {
                initial: &from,
                slots: &carried,
                timelines: &timelines,
                of_lane: &of_lane,
                control: Control::Adaptive { rtol, atol, max_steps, first_steps: &first_steps },
            })?;
            let norms = self.preparation.steadiness(
                &borrowed,
                &result.outputs,
                &carried,
                TOLERANCE_FACTOR * rtol,
                TOLERANCE_FACTOR * atol,
            );
            let mut still = Vec::new();
            for (k, &lane) in active.iter().enumerate() {
                let report = result.reports[k];
                reports[lane].steps += report.steps;
                reports[lane].t = report.t;
                values[lane * self.width..][..self.width]
                    .copy_from_slice(&result.outputs[result.offsets[k]..][..self.width]);
                if report.status != LaneStatus::Ok {
                    reports[lane].status = report.status;
                    continue;
                }
                let schedule = std::mem::take(&mut result.schedules[k]);
                starts[lane] = report.t;
                stages[lane].push(Stage { timeline: timelines[k].clone(), schedule });
                if steady_stages[lane] > 0 || norms[k] < 1.0 {
                    steady_stages[lane] += 1;
                }
                if steady_stages[lane] > STAGES_AFTER {
                    reports[lane].status = LaneStatus::Ok;
                } else {
                    still.push(lane);
                }
            }
            active = still;
        }
        self.blank_failures(&mut values, &reports);
        Ok((Settled { values, reports }, stages))
    }

    /// Settles lanes along the stages of others, a lane each.
    pub(super) fn by_replay(
        &self,
        initial: &[f64],
        stages_of: &[&[Stage]],
        moving_count: usize,
    ) -> Result<Settled, EngineError> {
        let lanes = self.simulations.len();
        let mut values = initial.to_vec();
        let ok = LaneReport { status: LaneStatus::Ok, steps: 0, t: 0.0 };
        let mut reports = vec![ok; lanes];
        let most = stages_of.iter().map(|s| s.len()).max().unwrap_or(0);
        for stage in 0..most {
            let active: Vec<usize> = (0..lanes)
                .filter(|&lane| {
                    stage < stages_of[lane].len() && reports[lane].status == LaneStatus::Ok
                })
                .collect();
            let (from, carried) = self.gather(&active, &values);
            // Breakpoints of steady states do not move.
            let still = |mut timeline: Timeline| {
                for segment in &mut timeline.segments {
                    segment.t_end_tangents = vec![0.0; moving_count];
                }
                timeline
            };
            let timelines: Vec<Timeline> =
                active.iter().map(|&l| still(stages_of[l][stage].timeline.clone())).collect();
            let schedules: Vec<Schedule> =
                active.iter().map(|&l| stages_of[l][stage].schedule.clone()).collect();
            let of_lane: Vec<TimelineIdx> =
                (0..active.len()).map(TimelineIdx::from_position).collect();
            let schedule_of: Vec<ScheduleIdx> =
                (0..active.len()).map(ScheduleIdx::from_position).collect();
            let result = self.kernel.run(&Batch {
                initial: &from,
                slots: &carried,
                timelines: &timelines,
                of_lane: &of_lane,
                control: Control::Replay { schedules: &schedules, of_lane: &schedule_of },
            })?;
            for (k, &lane) in active.iter().enumerate() {
                let report = result.reports[k];
                reports[lane].steps += report.steps;
                reports[lane].t = report.t;
                reports[lane].status = report.status;
                values[lane * self.width..][..self.width]
                    .copy_from_slice(&result.outputs[result.offsets[k]..][..self.width]);
            }
        }
        self.blank_failures(&mut values, &reports);
        Ok(Settled { values, reports })
    }

    /// Values and carried slots of some lanes.
    fn gather(&self, lanes: &[usize], values: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let mut from = Vec::with_capacity(lanes.len() * self.width);
        let mut carried = Vec::new();
        for &lane in lanes {
            from.extend_from_slice(&values[lane * self.width..][..self.width]);
            carried.extend_from_slice(self.carried_of(lane));
        }
        (from, carried)
    }

    fn blank_failures(&self, values: &mut [f64], reports: &[LaneReport]) {
        for (lane, report) in reports.iter().enumerate() {
            if report.status != LaneStatus::Ok {
                values[lane * self.width..][..self.width].fill(f64::NAN);
            }
        }
    }
}
