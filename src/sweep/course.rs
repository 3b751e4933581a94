//! The course of a lane: stretches of integration with what happens between them.
//!
//! A lane that chooses its own steps records its course; probes and tangents follow it, with
//! times and values of their own.

use crate::engine::{Schedule, Timeline};
use crate::index::{EventIdx, RelationIdx};

/// What sets the end of a stretch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stop {
    /// A time that no parameter moves: of an output, a period, or a stage towards a steady state.
    At(f64),
    /// A relation that slots alone make change.
    Relation(RelationIdx),
    /// An event that waited, by its number.
    Pending(u32),
    /// A relation whose sides meet.
    Root(RelationIdx),
}

/// Something that happens at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Happening {
    /// The next period starts.
    NextPeriod,
    /// A trigger becomes true: its event waits, be it for no time, under the next number.
    Fire(EventIdx),
    /// A waiting event is executed.
    Execute(u32),
    /// A waiting event is taken back.
    Cancel(u32),
}

/// A stretch of integration.
#[derive(Debug, Clone)]
pub(super) struct Phase {
    /// Without segments where nothing is integrated.
    pub(super) timeline: Timeline,
    pub(super) schedule: Schedule,
    pub(super) stop: Stop,
    /// How closely the time of a root is known.
    pub(super) resolution: f64,
    /// States at its end.
    pub(super) end: Vec<f64>,
    /// What happens at its end, in order.
    pub(super) happenings: Vec<Happening>,
    /// Relations after that.
    pub(super) relations: Vec<bool>,
}

/// What a lane went through between two of its landmarks: its start, the end of its
/// pre-equilibration, its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Course {
    /// What happens at its start.
    pub(super) start: Vec<Happening>,
    /// Relations after that.
    pub(super) relations: Vec<bool>,
    pub(super) phases: Vec<Phase>,
}
