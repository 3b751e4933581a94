//! Errors of the gradient against the parameter's value, one small plot a parameter.

use super::folder::Scatter;
use super::scale::Scale;
use super::svg::{Anchor, Svg, place};
use super::vees::{BOTTOM, HEIGHT, LEFT, Panel, RIGHT, TOP, WIDTH};
use crate::check::VerdictKind;

/// All plots have the same axis of errors; each has its own axis of values.
pub(super) fn draw(scatters: &[Scatter]) -> Vec<Panel> {
    let errors = scatters.iter().flat_map(|s| s.dots.iter().map(|d| d.error));
    let y = Scale::log(errors, [-17.0, 3.0], BOTTOM, TOP);
    scatters.iter().enumerate().map(|(k, scatter)| panel(k, scatter, &y)).collect()
}

fn panel(k: usize, scatter: &Scatter, y: &Scale) -> Panel {
    // An error of 0 is drawn at the lower edge, an infinite one at the upper.
    let shown = || scatter.dots.iter().filter(|d| d.value.is_finite() && !d.error.is_nan());
    let x = Scale::linear(shown().map(|d| d.value), LEFT, RIGHT);
    let mut svg = Svg::new(WIDTH, HEIGHT);
    svg.axes(&x, y, [6, 6]);
    svg.text("tick", Anchor::Middle, [0.5 * (LEFT + RIGHT), HEIGHT - 6.0], "value, on its scale");
    let mut counts = Vec::new();
    // What matters most comes last, on top.
    for kind in
        VerdictKind::ALL.into_iter().filter(|k| *k != VerdictKind::Fail).chain([VerdictKind::Fail])
    {
        let dots: Vec<_> = shown().filter(|d| d.verdict == kind).collect();
        if dots.is_empty() {
            continue;
        }
        let d: String = dots.iter().map(|d| mark(kind, [x.at(d.value), y.at(d.error)])).collect();
        svg.path(&format!("dot d-{}", kind.name()), &d);
        counts.push(format!("{} {}", dots.len(), kind.name()));
    }
    let without = scatter.dots.len() - shown().count();
    let note = match without {
        0 => String::new(),
        n => format!("{n} without gradient or estimate"),
    };
    let description = format!("Points drawn: {}.", counts.join(", "));
    let title = format!("Error against value: {}", scatter.id);
    let svg = svg.finish(&format!("scatter{k}"), &title, &description);
    Panel { id: scatter.id.clone(), svg, note }
}

/// The stroke of a dot: shapes differ as well as colours.
pub(super) fn mark(kind: VerdictKind, [x, y]: [f64; 2]) -> String {
    let (px, py) = (place(x), place(y));
    match kind {
        // Of no length, with round ends.
        VerdictKind::Pass | VerdictKind::Insensitive => format!("M{px} {py}h0"),
        VerdictKind::Fail => {
            format!("M{} {}l6 6m0 -6l-6 6", place(x - 3.0), place(y - 3.0))
        }
        VerdictKind::Inconclusive => {
            format!("M{} {py}h6m-3 -3v6", place(x - 3.0))
        }
        VerdictKind::Kink => format!("M{} {}h6l-3 -5z", place(x - 3.0), place(y + 2.5)),
        VerdictKind::GradientMissing | VerdictKind::Failed => {
            format!("M{} {}h5v5h-5z", place(x - 2.5), place(y - 2.5))
        }
    }
}
