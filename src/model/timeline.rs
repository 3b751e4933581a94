//! Breakpoints of a simulation: output times and switch times.

use super::Switch;
use crate::engine::{Segment, Timeline};
use crate::graph::{Graph, Input};
use crate::index::SlotIdx;

/// The timeline from `t_start` to the last output, with the switches' values in each segment.
///
/// `output_times` are ascending and without repeats; one at the start is not a breakpoint.
pub(super) fn timeline(
    graph: &Graph,
    switches: &[Switch],
    slot: &dyn Fn(SlotIdx) -> f64,
    t_start: f64,
    output_times: &[f64],
) -> Timeline {
    let at = |t: f64| {
        move |input: Input| match input {
            Input::Time => t,
            Input::Slot(s) => slot(s),
            _ => f64::NAN,
        }
    };
    let last = output_times.last().copied().unwrap_or(t_start);
    let change_times = switches.iter().map(|s| graph.evaluate(&[s.time], &at(t_start))[0]);
    let mut breakpoints: Vec<f64> = output_times
        .iter()
        .copied()
        .chain(change_times)
        .filter(|t| *t > t_start && *t <= last)
        .collect();
    breakpoints.sort_unstable_by(f64::total_cmp);
    breakpoints.dedup();
    let conditions: Vec<_> = switches.iter().map(|s| s.condition).collect();
    let mut start = t_start;
    let segments = breakpoints
        .into_iter()
        .map(|t_end| {
            let middle = start + 0.5 * (t_end - start);
            start = t_end;
            Segment {
                t_end,
                is_output: output_times.contains(&t_end),
                switches: graph.evaluate(&conditions, &at(middle)),
            }
        })
        .collect();
    Timeline { t_start, segments }
}
