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

/// A breakpoint with its derivatives along some slots.
struct Breakpoint {
    t: f64,
    is_output: bool,
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

    /// The timeline from `t_start` to the last output where the slots have these values, with the
    /// derivatives of its breakpoints along the slots in `moving`.
    ///
    /// `output_times` are ascending and without repeats; one at the start is not a breakpoint. A
    /// switch at an output time counts as the output.
    pub fn timeline(
        &self,
        slot: &dyn Fn(SlotIdx) -> f64,
        t_start: f64,
        output_times: &[f64],
        moving: &[SlotIdx],
    ) -> Timeline {
        let lookup = |t: f64| {
            move |input: Input| match input {
                Input::Time => t,
                Input::Slot(s) => slot(s),
                _ => f64::NAN,
            }
        };
        let last = output_times.last().copied().unwrap_or(t_start);
        let inside = |t: f64| t > t_start && t <= last;
        let mut breakpoints: Vec<Breakpoint> = output_times
            .iter()
            .filter(|t| inside(**t))
            .map(|&t| Breakpoint { t, is_output: true, tangents: vec![0.0; moving.len()] })
            .collect();
        let changes = self.graph.evaluate(&self.times, &lookup(t_start));
        let mut change_times = Vec::new();
        for (switch, &t) in changes.iter().enumerate().filter(|(_, t)| inside(**t)) {
            if breakpoints.iter().any(|b| b.t == t) {
                change_times.push(t);
                continue;
            }
            change_times.push(t);
            let derivatives = &self.time_derivatives[switch];
            let along = |s: &SlotIdx| match derivatives.iter().find(|(slot, _)| slot == s) {
                Some((_, node)) => self.graph.evaluate(&[*node], &lookup(t_start))[0],
                None => 0.0,
            };
            let tangents = moving.iter().map(along).collect();
            breakpoints.push(Breakpoint { t, is_output: false, tangents });
        }
        breakpoints.sort_by(|a, b| a.t.total_cmp(&b.t));
        change_times.sort_unstable_by(f64::total_cmp);

        let mut start = t_start;
        let mut switches: Option<Vec<f64>> = None;
        let segments = breakpoints
            .into_iter()
            .map(|Breakpoint { t: t_end, is_output, tangents: t_end_tangents }| {
                // Switches change nowhere but at change times.
                if switches.is_none()
                    || change_times.binary_search_by(|t| t.total_cmp(&start)).is_ok()
                {
                    let middle = start + 0.5 * (t_end - start);
                    switches = Some(self.graph.evaluate(&self.conditions, &lookup(middle)));
                }
                start = t_end;
                let switches = switches.clone().unwrap_or_default();
                Segment { t_end, is_output, switches, t_end_tangents }
            })
            .collect();
        Timeline { t_start, segments }
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
