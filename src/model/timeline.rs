//! Breakpoints of lanes: output times and switch times.

use super::Switch;
use crate::engine::{Segment, Timeline};
use crate::graph::{Graph, Input, NodeId, Substitution, differentiate};
use crate::index::SlotIdx;

/// The switches of a problem, ready to give the timeline of a lane.
#[derive(Debug)]
pub struct Breakpoints {
    /// A small graph of its own, since every lane may need it.
    graph: Graph,
    conditions: Vec<NodeId>,
    times: Vec<NodeId>,
    /// Derivatives of each time that are not identically zero, (slot, derivative).
    time_derivatives: Vec<Vec<(SlotIdx, NodeId)>>,
}

/// A stretch of a lane's time.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    pub t_start: f64,
    /// Derivatives of the start along the moving slots; empty where none moves it.
    pub t_start_tangents: &'a [f64],
    /// Ascending and without repeats; those up to the start are not breakpoints.
    pub output_times: &'a [f64],
    /// Where it ends, if that is not the last output.
    pub stop: Option<Stop<'a>>,
    /// Values of the switches that come before those on time, all along the span.
    pub held: &'a [f64],
}

/// The end of a stretch.
#[derive(Debug, Clone, Copy)]
pub struct Stop<'a> {
    pub t: f64,
    /// Its derivatives along the moving slots; empty where none moves it.
    pub tangents: &'a [f64],
}

impl<'a> Span<'a> {
    /// From a start that nothing moves to the last output.
    pub fn whole(t_start: f64, output_times: &'a [f64]) -> Self {
        Self { t_start, t_start_tangents: &[], output_times, stop: None, held: &[] }
    }
}

/// Distance of times, relative to them, within which rounding tells nothing of their order, and at which
/// breakpoints that would be one are kept: far below what tolerances see.
pub(crate) const APART: f64 = 64.0 * f64::EPSILON;

/// A switch that is done a little before its time, where something else is.
struct Early {
    switch: usize,
    t: f64,
    /// Its time.
    change: f64,
}

/// A breakpoint with its derivatives along some slots.
struct Breakpoint {
    t: f64,
    is_output: bool,
    /// Whether the slots may move it.
    may_move: bool,
    tangents: Vec<f64>,
}

impl Breakpoints {
    pub(super) fn new(source: &Graph, switches: &[Switch]) -> Self {
        let mut graph = Graph::new();
        let mut copy =
            Substitution::new(Some(source), |graph: &mut Graph, input| graph.input(input));
        let conditions = switches.iter().map(|s| copy.apply(&mut graph, s.condition)).collect();
        let times: Vec<NodeId> = switches.iter().map(|s| copy.apply(&mut graph, s.time)).collect();
        let tangents = differentiate(&mut graph, &times, |graph, input| match input {
            Input::Slot(slot) => vec![(slot.0, graph.constant(1.0))],
            _ => Vec::new(),
        });
        let time_derivatives = tangents
            .into_iter()
            .map(|t| t.into_iter().map(|(slot, node)| (SlotIdx(slot), node)).collect())
            .collect();
        Self { graph, conditions, times, time_derivatives }
    }

    /// Slots that move a switch time, ascending.
    pub fn slots(&self) -> Vec<SlotIdx> {
        let mut slots: Vec<SlotIdx> =
            self.time_derivatives.iter().flatten().map(|(slot, _)| *slot).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// When each switch changes where the slots have these values.
    pub fn change_times(&self, slots: &[f64]) -> Vec<f64> {
        self.graph.evaluate(&self.times, &|input| match input {
            Input::Slot(slot) => slots[slot.position()],
            _ => f64::NAN,
        })
    }

    /// The timeline of a span where the slots have these values, with the derivatives of its
    /// breakpoints along the slots in `moving`. Infinite outputs are no breakpoints.
    ///
    /// A switch at an output time counts as the output, and so does a stop. A switch that slots may move
    /// and another breakpoint at its time stay two, a few units in the last place from each other: their derivatives differ.
    pub fn timeline(
        &self,
        slot: &dyn Fn(SlotIdx) -> f64,
        span: &Span<'_>,
        moving: &[SlotIdx],
    ) -> Timeline {
        let Span { t_start, output_times, .. } = *span;
        let lookup = |t: f64| {
            move |input: Input| match input {
                Input::Time => t,
                Input::Slot(s) => slot(s),
                _ => f64::NAN,
            }
        };
        let last = match span.stop {
            Some(stop) => stop.t,
            None => output_times.iter().rev().copied().find(|t| t.is_finite()).unwrap_or(t_start),
        };
        let inside = |t: f64| t > t_start && t <= last;
        let mut breakpoints: Vec<Breakpoint> = output_times
            .iter()
            .filter(|t| inside(**t))
            .map(|&t| {
                let tangents = vec![0.0; moving.len()];
                Breakpoint { t, is_output: true, may_move: false, tangents }
            })
            .collect();
        let changes = self.graph.evaluate(&self.times, &lookup(t_start));
        let mut change_times = Vec::new();
        let mut early: Vec<Early> = Vec::new();
        for (switch, &t) in changes.iter().enumerate().filter(|(_, t)| inside(**t)) {
            change_times.push(t);
            let derivatives = &self.time_derivatives[switch];
            let mut t = t;
            let may_move = !derivatives.is_empty();
            let there = breakpoints.iter().find(|b| b.t == t);
            let is_at_stop = may_move && span.stop.is_some_and(|stop| stop.t == t);
            if there.is_some() || is_at_stop {
                if !may_move && !there.is_some_and(|b| b.may_move) {
                    continue;
                }
                let change = t;
                while t == change || breakpoints.iter().any(|b| b.t == t) {
                    t -= APART * change.abs();
                }
                if !inside(t) {
                    continue;
                }
                change_times.push(t);
                early.push(Early { switch, t, change });
            }
            let along = |s: &SlotIdx| match derivatives.iter().find(|(slot, _)| slot == s) {
                Some((_, node)) => self.graph.evaluate(&[*node], &lookup(t_start))[0],
                None => 0.0,
            };
            let tangents = moving.iter().map(along).collect();
            breakpoints.push(Breakpoint { t, is_output: false, may_move, tangents });
        }
        if let Some(stop) = span.stop
            && inside(stop.t)
        {
            let mut tangents = stop.tangents.to_vec();
            tangents.resize(moving.len(), 0.0);
            match breakpoints.iter_mut().find(|b| b.t == stop.t) {
                Some(output) if output.is_output => {}
                Some(switch) => switch.tangents = tangents,
                None => {
                    let (t, is_output, may_move) = (stop.t, false, true);
                    breakpoints.push(Breakpoint { t, is_output, may_move, tangents });
                }
            }
        }
        breakpoints.sort_by(|a, b| a.t.total_cmp(&b.t));
        change_times.sort_unstable_by(f64::total_cmp);

        let mut start = t_start;
        let mut switches: Option<Vec<f64>> = None;
        let segments = breakpoints
            .into_iter()
            .map(|Breakpoint { t: t_end, is_output, tangents: t_end_tangents, .. }| {
                // Switches change nowhere but at change times.
                if switches.is_none()
                    || change_times.binary_search_by(|t| t.total_cmp(&start)).is_ok()
                {
                    let middle = start + 0.5 * (t_end - start);
                    let mut values = span.held.to_vec();
                    let at = values.len();
                    values.extend(self.graph.evaluate(&self.conditions, &lookup(middle)));
                    for early in early.iter().filter(|e| e.t <= start && middle < e.change) {
                        let condition = [self.conditions[early.switch]];
                        let after = early.change + APART * early.change.abs();
                        values[at + early.switch] =
                            self.graph.evaluate(&condition, &lookup(after))[0];
                    }
                    switches = Some(values);
                }
                start = t_end;
                let switches = switches.clone().unwrap_or_default();
                Segment { t_end, is_output, switches, t_end_tangents }
            })
            .collect();
        Timeline { t_start, t_start_tangents: span.t_start_tangents.to_vec(), segments }
    }
}

/// Whether two timelines have the same breakpoints in the same order, at whatever times: then one
/// can replay the other's steps.
pub fn have_same_order(a: &Timeline, b: &Timeline) -> bool {
    a.segments.len() == b.segments.len()
        && a.segments
            .iter()
            .zip(&b.segments)
            .all(|(x, y)| x.is_output == y.is_output && x.switches == y.switches)
}
