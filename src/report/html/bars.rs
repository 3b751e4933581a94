//! Verdicts of parameters, or of entries of a matrix, as stacked bars, with the failure rate and its interval.

use super::scale::Scale;
use super::svg::{Anchor, Svg};
use super::text::figures;
use super::verdicts::Verdicts;
use crate::check::{Reason, VerdictKind};

const WIDTH: f64 = 960.0;
const ROW: f64 = 24.0;
const TOP: f64 = 26.0;
/// Between labels and bars, and where bars end.
const GAP: f64 = 10.0;
const BAR_END: f64 = 570.0;
/// Left and right ends of the rate's part of a row.
const RATE: [f64; 2] = [600.0, 720.0];
const WORDS: f64 = 734.0;
/// A number with so many digits wants so much room.
const DIGIT: f64 = 7.5;

/// A row: something that was judged at all points.
pub(super) struct Bar {
    /// For tooltips.
    pub(super) id: String,
    /// What stands before the bar.
    pub(super) label: String,
    pub(super) verdicts: Verdicts,
    /// As [`super::folder::Parameter::reasons`]; zeros where they are not known.
    pub(super) reasons: [u64; Reason::ALL.len()],
}

/// What the rows are.
pub(super) struct Rows {
    pub(super) one: &'static str,
    pub(super) many: &'static str,
    /// What is counted of each.
    pub(super) counted: &'static str,
    /// Room for the labels.
    pub(super) label: f64,
}

pub(super) const PARAMETERS: Rows =
    Rows { one: "parameter", many: "parameters", counted: "points", label: 190.0 };

/// The rows in the order given.
pub(super) fn draw(bars: &[Bar], rows: &Rows) -> String {
    let bottom = TOP + ROW * bars.len() as f64;
    let mut svg = Svg::new(WIDTH, bottom + 4.0);
    svg.text("head", Anchor::End, [rows.label, 14.0], rows.one);
    svg.text(
        "head",
        Anchor::Start,
        [rows.label + GAP, 14.0],
        &format!("{} by verdict", rows.counted),
    );
    svg.text("head", Anchor::Start, [WORDS, 14.0], "failure rate [interval]");
    let rates = Scale::linear([0.0, 1.0].into_iter(), RATE[0], RATE[1]);
    for (tick, word) in [(0.0, "0"), (0.5, "0.5"), (1.0, "1")] {
        svg.line("grid", [rates.at(tick), TOP], [rates.at(tick), bottom]);
        svg.text("tick", Anchor::Middle, [rates.at(tick), 14.0], word);
    }
    for (i, bar) in bars.iter().enumerate() {
        row(&mut svg, bar, [rows.label, TOP + ROW * i as f64], &rates);
    }
    let consistent = bars.iter().filter(|bar| bar.verdicts.is_consistent).count();
    let Rows { one, many, .. } = rows;
    svg.finish(
        "verdicts",
        &format!("Verdicts by {one}"),
        &format!(
            "Stacked bars of {} {many}, the worst first; {consistent} of them fail \
             consistently. The table of {many} below has the same numbers.",
            bars.len()
        ),
    )
}

fn row(svg: &mut Svg, bar: &Bar, [label, top]: [f64; 2], rates: &Scale) {
    let Bar { id, verdicts, .. } = bar;
    let middle = top + 0.5 * ROW;
    svg.label_of([label, middle + 4.0], &bar.label, id);
    let total: u64 = verdicts.counts.iter().fold(0, |sum, &n| sum.saturating_add(n));
    let mut left = label + GAP;
    let room = BAR_END - left;
    for (kind, &count) in VerdictKind::ALL.iter().zip(&verdicts.counts) {
        if count == 0 {
            continue;
        }
        let width = room * count as f64 / total as f64;
        let name = kind.name();
        let title = format!("{id}: {count} of {total} {name}{}", reasons(&bar.reasons, *kind));
        svg.rect(&format!("bar v-{name}"), [left, top + 3.0], [width, ROW - 6.0], &title);
        let text = count.to_string();
        if width > DIGIT * text.len() as f64 + 4.0 {
            let at = [left + 0.5 * width, middle + 4.0];
            svg.text(&format!("in-bar on-{name}"), Anchor::Middle, at, &text);
        }
        left += width;
    }
    let Verdicts { rate, low, high, is_consistent, .. } = *verdicts;
    if rate.is_nan() {
        svg.text("label", Anchor::Start, [WORDS, middle + 4.0], "not decidable");
    } else {
        svg.line("whisker", [rates.at(low), middle], [rates.at(high), middle]);
        let title = format!("{id}: failure rate {}", figures(rate, 3));
        svg.rect("rate", [rates.at(rate) - 3.0, middle - 3.0], [6.0, 6.0], &title);
        let words = format!("{rate:.3} [{low:.3}, {high:.3}]");
        svg.text("label", Anchor::Start, [WORDS, middle + 4.0], &words);
    }
    if is_consistent {
        svg.text("label alarm", Anchor::End, [WIDTH, middle + 4.0], "consistent");
    }
}

/// In brackets, how many points have which reason; nothing for a class without reasons.
fn reasons(counts: &[u64; Reason::ALL.len()], kind: VerdictKind) -> String {
    let words: Vec<String> = Reason::ALL
        .iter()
        .zip(counts)
        .filter(|(reason, count)| reason.kind() == kind && **count > 0)
        .map(|(reason, count)| format!("{} {count}", reason.name()))
        .collect();
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}
