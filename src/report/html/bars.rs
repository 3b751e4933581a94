//! Verdicts of every parameter as stacked bars, with the failure rate and its interval.

use super::folder::Parameter;
use super::scale::Scale;
use super::svg::{Anchor, Svg};
use super::text::figures;
use crate::check::{Reason, VerdictKind};

const WIDTH: f64 = 960.0;
const ROW: f64 = 24.0;
const TOP: f64 = 26.0;
/// Left and right ends of the parts of a row.
const LABEL: f64 = 190.0;
const BAR: [f64; 2] = [200.0, 570.0];
const RATE: [f64; 2] = [600.0, 720.0];
const WORDS: f64 = 734.0;
/// A number with so many digits wants so much room.
const DIGIT: f64 = 7.5;

/// One row a parameter, in the order given.
pub(super) fn draw(parameters: &[Parameter]) -> String {
    let mut svg = Svg::new(WIDTH, TOP + ROW * parameters.len() as f64 + 4.0);
    svg.text("head", Anchor::End, [LABEL, 14.0], "parameter");
    svg.text("head", Anchor::Start, [BAR[0], 14.0], "points by verdict");
    svg.text("head", Anchor::Start, [WORDS, 14.0], "failure rate [interval]");
    let rates = Scale::linear([0.0, 1.0].into_iter(), RATE[0], RATE[1]);
    for (tick, word) in [(0.0, "0"), (0.5, "0.5"), (1.0, "1")] {
        let bottom = TOP + ROW * parameters.len() as f64;
        svg.line("grid", [rates.at(tick), TOP], [rates.at(tick), bottom]);
        svg.text("tick", Anchor::Middle, [rates.at(tick), 14.0], word);
    }
    for (i, parameter) in parameters.iter().enumerate() {
        row(&mut svg, parameter, TOP + ROW * i as f64, &rates);
    }
    let consistent = parameters.iter().filter(|p| p.is_consistent).count();
    svg.finish(
        "verdicts",
        "Verdicts by parameter",
        &format!(
            "Stacked bars of {} parameters, the worst first; {consistent} of them fail \
             consistently. The table of parameters below has the same numbers.",
            parameters.len()
        ),
    )
}

fn row(svg: &mut Svg, parameter: &Parameter, top: f64, rates: &Scale) {
    let middle = top + 0.5 * ROW;
    svg.row_label([LABEL, middle + 4.0], &parameter.id);
    let total: u64 = parameter.counts.iter().fold(0, |sum, &n| sum.saturating_add(n));
    let mut left = BAR[0];
    for (kind, &count) in VerdictKind::ALL.iter().zip(&parameter.counts) {
        if count == 0 {
            continue;
        }
        let width = (BAR[1] - BAR[0]) * count as f64 / total as f64;
        let name = kind.name();
        let title =
            format!("{}: {count} of {total} {name}{}", parameter.id, reasons(parameter, *kind));
        svg.rect(&format!("bar v-{name}"), [left, top + 3.0], [width, ROW - 6.0], &title);
        let text = count.to_string();
        if width > DIGIT * text.len() as f64 + 4.0 {
            let at = [left + 0.5 * width, middle + 4.0];
            svg.text(&format!("in-bar on-{name}"), Anchor::Middle, at, &text);
        }
        left += width;
    }
    let [rate, low, high] = [parameter.rate, parameter.low, parameter.high];
    if rate.is_nan() {
        svg.text("label", Anchor::Start, [WORDS, middle + 4.0], "not decidable");
    } else {
        svg.line("whisker", [rates.at(low), middle], [rates.at(high), middle]);
        let title = format!("{}: failure rate {}", parameter.id, figures(rate, 3));
        svg.rect("rate", [rates.at(rate) - 3.0, middle - 3.0], [6.0, 6.0], &title);
        let words = format!("{rate:.3} [{low:.3}, {high:.3}]");
        svg.text("label", Anchor::Start, [WORDS, middle + 4.0], &words);
    }
    if parameter.is_consistent {
        svg.text("label alarm", Anchor::End, [WIDTH, middle + 4.0], "consistent");
    }
}

/// In brackets, how many points have which reason; nothing for a class without reasons.
fn reasons(parameter: &Parameter, kind: VerdictKind) -> String {
    let words: Vec<String> = Reason::ALL
        .iter()
        .zip(&parameter.reasons)
        .filter(|(reason, count)| reason.kind() == kind && **count > 0)
        .map(|(reason, count)| format!("{} {count}", reason.name()))
        .collect();
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}
