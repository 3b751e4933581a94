//! Engines integrate batches of lanes; they know programs and numbers, no PEtab.
//!
//! A lane is one initial-value problem: a state, slot values and a [`Timeline`] of breakpoints at
//! which it stops exactly. All lanes of a batch run the same step program. A lane either chooses
//! its step sizes ([`Control::Adaptive`]) or replays those of another ([`Control::Replay`]).
//! A lane's failure is data, its [`LaneReport`]; it never affects another lane.

pub mod cpu;
pub mod fallback;
pub mod gpu;
pub mod several;

use crate::index::{ScheduleIdx, TimelineIdx};
use crate::rosenbrock::{ReverseStep, StepProgram};
use std::fmt;

/// The time between two breakpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Its end, later than its start.
    pub t_end: f64,
    /// Whether the state at its end is an output.
    pub is_output: bool,
    /// Values of the switches inside it, 1 or 0.
    pub switches: Vec<f64>,
    /// Derivatives of its end along the directions that move breakpoints; empty where the program
    /// has no such directions.
    pub t_end_tangents: Vec<f64>,
}

/// Breakpoints of a lane, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    pub t_start: f64,
    /// Derivatives of the start along the directions that move breakpoints; empty for a start
    /// that no direction moves.
    pub t_start_tangents: Vec<f64>,
    pub segments: Vec<Segment>,
}

impl Timeline {
    /// Number of outputs after the start.
    pub fn output_count(&self) -> usize {
        self.segments.iter().filter(|s| s.is_output).count()
    }
}

/// The accepted steps of a lane as fractions of the segment they lie in. The last step of each
/// segment carries a minus sign.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Schedule {
    pub fractions: Vec<f64>,
}

/// How the lanes of a batch choose their steps.
#[derive(Debug, Clone, Copy)]
pub enum Control<'a> {
    /// By the embedded error estimate.
    Adaptive {
        rtol: f64,
        atol: f64,
        /// Largest number of attempted steps.
        max_steps: u32,
        /// First step size to try, a lane each.
        first_steps: &'a [f64],
    },
    /// As in a schedule, a lane each.
    Replay { schedules: &'a [Schedule], of_lane: &'a [ScheduleIdx] },
}

/// Lanes to integrate.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// `[lane][value]`: the values that a step advances, at the start.
    pub initial: &'a [f64],
    /// `[lane][slot]`.
    pub slots: &'a [f64],
    pub timelines: &'a [Timeline],
    /// A timeline for each lane.
    pub of_lane: &'a [TimelineIdx],
    pub control: Control<'a>,
}

impl Batch<'_> {
    /// Number of lanes.
    pub fn lane_count(&self) -> usize {
        self.of_lane.len()
    }
}

/// How a lane ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneStatus {
    /// It reached the end.
    Ok,
    /// The bound on attempted steps was reached.
    TooManySteps,
    /// The step size fell below what the time can resolve.
    StepTooSmall,
    /// A state became infinite or NaN, whatever the step size.
    NotFinite,
    /// The states went on changing however long the lane was followed.
    NoSteadyState,
    /// A breakpoint passed another, so that steps of other parameters cannot be replayed.
    Reordered,
    /// Events went on triggering each other at one time, or far too often.
    EndlessEvents,
    /// The delay of an event was negative or undefined.
    NegativeDelay,
}

impl fmt::Display for LaneStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::TooManySteps => "too many steps",
            Self::StepTooSmall => "step too small",
            Self::NotFinite => "not finite",
            Self::NoSteadyState => "no steady state",
            Self::Reordered => "breakpoints reordered",
            Self::EndlessEvents => "endless events",
            Self::NegativeDelay => "negative delay of an event",
        })
    }
}

/// What became of a lane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LaneReport {
    pub status: LaneStatus,
    /// Attempted steps, rejected ones included.
    pub steps: u32,
    /// How often it was tried again at tighter tolerances, having broken down; engines leave 0.
    pub retries: u32,
    /// Time reached.
    pub t: f64,
}

impl LaneReport {
    /// Whether it ended where no step was small enough.
    pub fn broke_down(&self) -> bool {
        matches!(self.status, LaneStatus::StepTooSmall | LaneStatus::NotFinite)
    }
}

/// The outcome of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchResult {
    /// For each lane from `offsets[lane]` on: `[output][value]`. Outputs that a failed lane did
    /// not reach are NaN.
    pub outputs: Vec<f64>,
    /// Start of each lane's outputs, and the end of the last's.
    pub offsets: Vec<usize>,
    pub reports: Vec<LaneReport>,
    /// Accepted steps of each lane; empty where the lanes replayed.
    pub schedules: Vec<Schedule>,
}

/// Where each lane's outputs lie in one vector.
pub(crate) fn output_offsets(batch: &Batch<'_>, width: usize) -> Vec<usize> {
    let counts: Vec<usize> = batch.timelines.iter().map(Timeline::output_count).collect();
    let mut offsets = Vec::with_capacity(batch.lane_count() + 1);
    let mut end = 0;
    offsets.push(end);
    for timeline in batch.of_lane {
        end += counts[timeline.position()] * width;
        offsets.push(end);
    }
    offsets
}

/// Why an engine could not run a batch at all.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("no Vulkan adapter with 64-bit floats (SHADER_F64) was found{}; `--engine cpu` needs none", .searched.as_ref().map(|s| format!(" ({s})")).unwrap_or_default())]
    NoAdapter { searched: Option<String> },
    #[error("no adapter named like {name:?} has 64-bit floats; `gradsweep devices` lists them")]
    NoSuchAdapter { name: String },
    #[error("{wanted} adapters are wanted, but {found} of the kind of {name} can be used")]
    TooFewAdapters { wanted: usize, found: usize, name: String },
    #[error("the adapter {adapter} gave no device: {reason}")]
    NoDevice { adapter: String, reason: String },
    #[error("the shader of a step program ({ops} operations) was refused: {reason}")]
    Shader { ops: usize, reason: String },
    #[error("the device failed while it ran a batch of {lanes} lanes: {reason}")]
    Device { lanes: usize, reason: String },
    #[error(
        "{} and {} cannot share the lanes of a batch: their last digits may differ",
        .engines[0], .engines[1]
    )]
    Unlike { engines: [String; 2] },
    #[error(
        "a lane needs {needed} bytes in one buffer, the adapter allows {allowed}; use `--engine cpu`"
    )]
    TooLarge { needed: u64, allowed: u64 },
}

/// A step program made ready to run on one engine.
pub trait Kernel: Send + Sync {
    /// Integrates all lanes of a batch. The result does not depend on how the lanes are grouped.
    fn run(&self, batch: &Batch<'_>) -> Result<BatchResult, EngineError>;
}

/// Lanes to go backwards through, from the adjoints of their outputs to those of what they started
/// from: all of them got to their ends with these schedules.
#[derive(Debug, Clone, Copy)]
pub struct ReverseBatch<'a> {
    /// `[lane][state]`, at the start.
    pub initial: &'a [f64],
    /// `[lane][slot]`.
    pub slots: &'a [f64],
    pub timelines: &'a [Timeline],
    /// A timeline for each lane.
    pub of_lane: &'a [TimelineIdx],
    /// A schedule for each lane.
    pub schedules: &'a [&'a Schedule],
    /// Adjoints of the states at the outputs, lane by lane, `[output][state]`.
    pub adjoints: &'a [f64],
}

/// What a reverse batch gives.
#[derive(Debug, Clone, PartialEq)]
pub struct ReverseResult {
    /// Adjoints of the states at the start, `[lane][state]`.
    pub states: Vec<f64>,
    /// Adjoints of the slots that the step tells, `[lane][slot]`.
    pub slots: Vec<f64>,
    /// Where breakpoints move, the adjoints of each lane's start and of the ends of its segments, in
    /// order; else nothing for each lane.
    pub times: Vec<Vec<f64>>,
    /// Steps done: forwards to get states back, and backwards.
    pub steps: u64,
}

/// A step and its transpose made ready to run backwards on one engine.
pub trait ReverseKernel: Send + Sync {
    /// Takes all lanes of a batch from their ends to their starts. The result does not depend on how
    /// the lanes are grouped.
    fn run(&self, batch: &ReverseBatch<'_>) -> Result<ReverseResult, EngineError>;
}

/// Something that integrates lanes.
pub trait Engine: Send + Sync {
    /// What reports call it, e.g. `cpu (2 threads)`.
    fn describe(&self) -> String;

    /// Number of lanes from which on a batch makes good use of the engine.
    fn preferred_lanes(&self) -> usize;

    /// Number of batches to have under way at a time, each from a thread of its own: more than 1 where
    /// the host would else wait for a device, or its threads for the one that prepares a batch.
    fn batches_in_flight(&self) -> usize {
        1
    }

    /// Whether something of it has failed, of which [`describe`](Self::describe) tells.
    fn has_failed(&self) -> bool {
        false
    }

    /// Makes a step program ready to run.
    fn prepare(&self, step: &StepProgram) -> Result<Box<dyn Kernel>, EngineError>;

    /// Makes a replayed step and its transpose ready to run backwards: on the CPU, unless an engine
    /// knows better.
    fn prepare_reverse(
        &self,
        replay: &StepProgram,
        reverse: &ReverseStep,
    ) -> Result<Box<dyn ReverseKernel>, EngineError> {
        Ok(cpu::reverse_kernel(replay, reverse))
    }
}
