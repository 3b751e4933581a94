//! The V: error against eps, both logarithmic, one small plot a parameter.

use super::folder::{DIFFERENCES, Parameter};
use super::scale::Scale;
use super::svg::{Anchor, Svg, place, polyline};
use super::text::figures;
use crate::check::ErrorModel;

pub(super) const WIDTH: f64 = 300.0;
pub(super) const HEIGHT: f64 = 210.0;
pub(super) const LEFT: f64 = 46.0;
pub(super) const RIGHT: f64 = 290.0;
pub(super) const TOP: f64 = 10.0;
pub(super) const BOTTOM: f64 = 172.0;
/// Pieces of a fitted curve.
const PIECES: usize = 60;

/// A small plot and what is said about it.
pub(super) struct Panel {
    pub(super) id: String,
    pub(super) svg: String,
    pub(super) note: String,
}

/// The plots of those parameters that have step sizes, all with the same axes.
pub(super) fn draw(parameters: &[&Parameter]) -> Vec<Panel> {
    let all = || parameters.iter().flat_map(|p| &p.eps);
    let x = Scale::log(all().map(|r| r.eps), [-30.0, 10.0], LEFT, RIGHT);
    let y = Scale::log(all().flat_map(|r| r.errors), [-17.0, 2.0], BOTTOM, TOP);
    let with_rows = parameters.iter().filter(|p| !p.eps.is_empty()).enumerate();
    with_rows.map(|(k, parameter)| panel(k, parameter, &x, &y)).collect()
}

fn panel(k: usize, parameter: &Parameter, x: &Scale, y: &Scale) -> Panel {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    svg.axes(x, y, [6, 6]);
    svg.text("tick", Anchor::Middle, [0.5 * (LEFT + RIGHT), HEIGHT - 6.0], "eps");
    let mut notes = Vec::new();
    for (difference, name) in DIFFERENCES.into_iter().enumerate() {
        let points: Vec<(f64, f64)> = parameter
            .eps
            .iter()
            .map(|row| (row.eps, row.errors[difference]))
            .filter(|(_, y)| y.is_finite())
            .collect();
        if let Some(model) = &parameter.models[difference] {
            svg.path(&format!("fit {name}"), &curve(model, x, y));
            let best = model.recommended_eps();
            notes.push(format!("{} {name} (order {})", figures(best, 2), model.p));
            svg.line(&format!("least {name}"), [x.at(best), BOTTOM], [x.at(best), BOTTOM - 8.0]);
        }
        let places: Vec<[f64; 2]> = points.iter().map(|&(e, v)| [x.at(e), y.at(v)]).collect();
        svg.path(&format!("join {name}"), &polyline(&places));
        let marks: String = places.iter().map(|at| mark(name, *at)).collect();
        svg.path(&format!("mark {name}"), &marks);
    }
    let title = format!("Error against eps: {}", parameter.id);
    let rows: Vec<String> = parameter
        .eps
        .iter()
        .map(|r| {
            let (plain, paired) = (figures(r.errors[0], 2), figures(r.errors[1], 2));
            format!("eps {}: plain {plain}, paired {paired}", figures(r.eps, 3))
        })
        .collect();
    let svg = svg.finish(&format!("vee{k}"), &title, &rows.join("; "));
    let note = if notes.is_empty() {
        "no fit".to_owned()
    } else {
        format!("best eps: {}", notes.join(", "))
    };
    Panel { id: parameter.id.clone(), svg, note }
}

/// A disc for plain, a square for paired differences.
pub(super) fn mark(name: &str, [x, y]: [f64; 2]) -> String {
    if name == "plain" {
        format!("M{} {}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z", place(x - 3.0), place(y))
    } else {
        format!("M{} {}h5v5h-5z", place(x - 2.5), place(y - 2.5))
    }
}

/// The fitted curve where it lies within the plot.
fn curve(model: &ErrorModel, x: &Scale, y: &Scale) -> String {
    let (low, high) = x.ends();
    let ratio = high / low;
    let points: Vec<[f64; 2]> = (0..=PIECES)
        .map(|i| low * ratio.powf(i as f64 / PIECES as f64))
        .map(|eps| (eps, model.error(eps)))
        .filter(|(_, error)| y.holds(*error))
        .map(|(eps, error)| [x.at(eps), y.at(error)])
        .collect();
    polyline(&points)
}
