//! Courses with what a lane was before each happening: what the way back needs to know.

use super::course::{Course, Happening, Phase};
use super::traveller::Traveller;

/// A leg of a lane with what it was before each happening.
pub(super) struct Track<'a> {
    /// What happens at its start, in order.
    pub(super) start: Vec<(Happening, Traveller<'a>)>,
    pub(super) stretches: Vec<Stretch<'a>>,
    /// Where the lane became what an output tells.
    pub(super) outputs: Vec<(usize, Place)>,
    /// What the lane is at the end of the leg.
    pub(super) end: Traveller<'a>,
}

/// A stretch with what happens at its end.
pub(super) struct Stretch<'a> {
    pub(super) phase: &'a Phase,
    pub(super) before: Traveller<'a>,
    pub(super) happenings: Vec<(Happening, Traveller<'a>)>,
}

/// A place on a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// After what happens at the start.
    Start,
    /// At the end of a segment of a stretch.
    Inside { stretch: usize, segment: usize },
    /// After what happens at the end of a stretch.
    After(usize),
    /// At the end of all.
    End,
}

impl<'a> Track<'a> {
    /// Follows a course, from what the lane is at its start.
    pub(super) fn new(mut traveller: Traveller<'a>, course: &'a Course) -> Self {
        let mut outputs: Vec<(usize, Place)> = Vec::new();
        let times = &traveller.simulation().output_times;
        let mut write = |t: f64, place: Place| {
            if let Ok(output) = times.binary_search_by(|other| other.total_cmp(&t)) {
                outputs.retain(|(known, _)| *known != output);
                outputs.push((output, place));
            }
        };
        let happen = |traveller: &mut Traveller<'a>, list: &[Happening]| {
            let mut happened = Vec::with_capacity(list.len());
            for &happening in list {
                happened.push((happening, traveller.clone()));
                traveller.apply(happening);
            }
            happened
        };
        let start = happen(&mut traveller, &course.start);
        traveller.relations.clone_from(&course.relations);
        write(traveller.t, Place::Start);
        let mut stretches = Vec::with_capacity(course.phases.len());
        for (k, phase) in course.phases.iter().enumerate() {
            let before = traveller.clone();
            let segments = phase.timeline.segments.iter().enumerate();
            for (s, segment) in segments.filter(|(_, segment)| segment.is_output) {
                write(segment.t_end, Place::Inside { stretch: k, segment: s });
            }
            traveller.values.clone_from(&phase.end);
            traveller.t = phase.timeline.segments.last().map_or(traveller.t, |last| last.t_end);
            let happenings = happen(&mut traveller, &phase.happenings);
            traveller.relations.clone_from(&phase.relations);
            write(traveller.t, Place::After(k));
            stretches.push(Stretch { phase, before, happenings });
        }
        write(f64::INFINITY, Place::End);
        Self { start, stretches, outputs, end: traveller }
    }
}
