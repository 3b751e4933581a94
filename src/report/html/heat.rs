//! How far the differences are from the estimates: parameter × eps, plain and paired.

use super::folder::{DIFFERENCES, Parameter};
use super::scale::Scale;
use super::svg::{Anchor, Svg};
use super::text::figures;

const WIDTH: f64 = 960.0;
const ROW: f64 = 22.0;
const TOP: f64 = 44.0;
const LABEL: f64 = 190.0;
/// Left and right ends of the two halves.
const HALVES: [[f64; 2]; 2] = [[200.0, 570.0], [586.0, 956.0]];
/// The largest so many eps are shown.
const MOST_EPS: usize = 60;
/// Cells at least so wide have their number written in them, ...
const WIDE: f64 = 43.0;
/// ... or a dash, where there is none.
const DASH: f64 = 4.0;
/// Columns at least so wide have each their eps written above.
const NARROW: f64 = 34.0;

/// The map of cividis (Nuñez, Anderton, Renslow 2018): the same to all kinds of colour vision.
const CIVIDIS: [[u8; 3]; 10] = [
    [0, 34, 78],
    [18, 53, 112],
    [59, 73, 108],
    [87, 93, 109],
    [112, 113, 115],
    [138, 134, 120],
    [165, 156, 116],
    [195, 179, 105],
    [225, 204, 85],
    [254, 232, 56],
];

/// One row a parameter, in the order given; none where there are no step sizes.
pub(super) fn draw(parameters: &[Parameter]) -> Option<String> {
    let all = || parameters.iter().flat_map(|p| &p.eps);
    let mut grid: Vec<f64> = all().map(|row| row.eps).collect();
    grid.sort_by(|a, b| b.total_cmp(a));
    grid.dedup();
    if grid.is_empty() {
        return None;
    }
    let all_eps = grid.len();
    grid.truncate(MOST_EPS);
    let errors = all().flat_map(|row| row.errors);
    let colours = Scale::log(errors, [-16.0, 0.0], 200.0, 570.0);
    let bottom = TOP + ROW * parameters.len() as f64;
    let mut svg = Svg::new(WIDTH, bottom + 50.0);
    for (difference, half) in HALVES.into_iter().enumerate() {
        let name = format!("{} central difference", DIFFERENCES[difference]);
        let width = (half[1] - half[0]) / grid.len() as f64;
        svg.text("head", Anchor::Start, [half[0], 14.0], &name);
        for (k, eps) in grid.iter().enumerate() {
            // Where columns are narrow only some have their eps above.
            if k.is_multiple_of((NARROW / width).ceil() as usize) {
                let at = [half[0] + width * (k as f64 + 0.5), 36.0];
                svg.text("tick", Anchor::Middle, at, &figures(*eps, 3));
            }
        }
        for (i, parameter) in parameters.iter().enumerate() {
            for (k, eps) in grid.iter().enumerate() {
                let at = [half[0] + width * k as f64, TOP + ROW * i as f64];
                let found = parameter
                    .eps
                    .iter()
                    .find(|row| row.eps == *eps)
                    .map(|row| row.errors[difference]);
                let title = format!("{}, eps {eps:e}, {name}", parameter.id);
                cell(&mut svg, at, width, found.unwrap_or(f64::NAN), &title, &colours);
            }
        }
    }
    let head = match all_eps > MOST_EPS {
        true => format!("eps (largest {MOST_EPS} of {all_eps})"),
        false => "eps".to_owned(),
    };
    svg.text("head", Anchor::End, [LABEL, 36.0], &head);
    for (i, parameter) in parameters.iter().enumerate() {
        let at = [LABEL, TOP + ROW * (i as f64 + 0.5) + 4.0];
        svg.row_label(at, &parameter.id);
    }
    legend(&mut svg, HALVES[0], bottom + 14.0, &colours);
    Some(svg.finish(
        "errors",
        "Median relative error by parameter and step size",
        "Two halves: plain and paired central differences. A row for each parameter, a column for \
         each eps, the largest first; dark is a small error, bright a large one. The \
         numbers are in eps.csv.",
    ))
}

fn cell(svg: &mut Svg, [x, y]: [f64; 2], width: f64, error: f64, title: &str, colours: &Scale) {
    error_cell(svg, [x, y], [width - 1.0, ROW - 1.0], error, title, colours);
}

/// A tile of an error's colour, with the error where there is room.
pub(super) fn error_cell(
    svg: &mut Svg,
    [x, y]: [f64; 2],
    size: [f64; 2],
    error: f64,
    title: &str,
    colours: &Scale,
) {
    let middle = [x + 0.5 * size[0], y + 0.5 * size[1] + 4.0];
    if error.is_nan() {
        svg.rect("absent", [x, y], size, &format!("{title}: no value"));
        if size[0] >= DASH {
            svg.text("tick", Anchor::Middle, middle, "–");
        }
        return;
    }
    let fraction = colours.fraction(error);
    svg.tile(&colour(fraction), [x, y], size, &format!("{title}: {}", figures(error, 4)));
    if size[0] >= WIDE {
        let class = if fraction < 0.55 { "on-dark" } else { "on-bright" };
        svg.text(class, Anchor::Middle, middle, &figures(error, 2));
    }
}

/// The scale of colours between two places.
pub(super) fn legend(svg: &mut Svg, [left, right]: [f64; 2], top: f64, colours: &Scale) {
    const PIECES: usize = 37;
    let width = (right - left) / PIECES as f64;
    for k in 0..PIECES {
        let fraction = (k as f64 + 0.5) / PIECES as f64;
        let at = [left + width * k as f64, top];
        svg.tile(&colour(fraction), at, [width + 0.4, 10.0], "scale of colours");
    }
    for tick in colours.ticks(7) {
        svg.line("axis", [colours.at(tick), top + 10.0], [colours.at(tick), top + 14.0]);
        svg.text("tick", Anchor::Middle, [colours.at(tick), top + 26.0], &figures(tick, 3));
    }
    svg.text("tick", Anchor::End, [left - 10.0, top + 9.0], "median relative error");
}

/// The colour at a fraction of the map, linear between its stops.
fn colour(fraction: f64) -> String {
    let at = fraction.clamp(0.0, 1.0) * (CIVIDIS.len() - 1) as f64;
    let below = (at.floor() as usize).min(CIVIDIS.len() - 2);
    let part = at - below as f64;
    let [r, g, b] = [0, 1, 2].map(|i| {
        let (low, high) = (f64::from(CIVIDIS[below][i]), f64::from(CIVIDIS[below + 1][i]));
        (low + part * (high - low)).round() as u8
    });
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::colour;

    #[test]
    fn colours_run_from_dark_to_bright() {
        assert_eq!([0.0, 1.0, 2.0].map(colour), ["#00224e", "#fee838", "#fee838"]);
        // Half way between the fifth and the sixth stop.
        assert_eq!(colour(0.5), "#7d7c76");
    }
}
