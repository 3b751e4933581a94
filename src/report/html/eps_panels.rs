//! The plot of `gradsweep eps-grid`: a V for all parameters together and one for each.

use super::plots::{Entry, LINE, MARGIN, file, style};
use super::scale::Scale;
use super::svg::{Anchor, Svg, polyline};
use super::text::{figures, shortened};
use super::vees::{BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, mark};
use crate::check::eps_grid::{DIFFERENCES, EpsGrid, EpsGridRow, SCHEDULES};
use crate::index::ParameterIdx;
use crate::sweep::StepMode;

/// Panels in a row, and all that are drawn.
const COLUMNS: usize = 3;
const MOST: usize = 24;

/// The file's text. `name_of` names a parameter, none for all of them together.
pub fn eps_grid_plot(grid: &EpsGrid, name_of: &dyn Fn(Option<ParameterIdx>) -> String) -> String {
    let panels: Vec<&[EpsGridRow]> =
        grid.rows.chunk_by(|a, b| a.parameter == b.parameter).take(1 + MOST).collect();
    let medians = || panels.iter().flat_map(|rows| rows.iter());
    let x = Scale::log(medians().map(|r| r.eps), [-30.0, 10.0], LEFT, RIGHT);
    let errors = medians().flat_map(|r| r.errors.map(|error| error[0]));
    let y = Scale::log(errors, [-17.0, 2.0], BOTTOM, TOP);
    let columns = panels.len().min(COLUMNS);
    let lines = panels.len().div_ceil(COLUMNS);
    let room = HEIGHT + LINE + MARGIN;
    let mut whole = Svg::new(columns as f64 * (WIDTH + MARGIN), lines as f64 * room);
    for (k, rows) in panels.iter().enumerate() {
        let at = [(k % COLUMNS) as f64 * (WIDTH + MARGIN), (k / COLUMNS) as f64 * room];
        let id = name_of(rows[0].parameter);
        whole.text("head", Anchor::Start, [at[0] + LEFT, at[1] + 12.0], &shortened(&id, 36));
        whole.nest([at[0], at[1] + LINE], &panel(k, &id, rows, &x, &y));
    }
    let left_out = grid.rows.chunk_by(|a, b| a.parameter == b.parameter).count() - panels.len();
    let note = match left_out {
        0 => String::new(),
        more => format!("{more} more parameters are in eps.csv"),
    };
    let title = "Median relative error of central differences against eps";
    let drawing = whole.finish("eps", title, "");
    let legend: Vec<Entry> = SCHEDULES
        .into_iter()
        .flat_map(|steps| DIFFERENCES.map(|name| (steps, name)))
        .map(|(steps, name)| Entry {
            class: class("mark", steps, name),
            d: mark(name, [0.0, 0.0]),
            word: match (steps, name) {
                (StepMode::Shared, "plain") => "plain, shared steps",
                (StepMode::Shared, _) => "paired, shared steps",
                (StepMode::Adaptive, "plain") => "plain, adaptive steps",
                (StepMode::Adaptive, _) => "paired, adaptive steps",
            },
        })
        .collect();
    file(&[title, &note], &legend, &drawing, &style())
}

fn class(what: &str, steps: StepMode, difference: &str) -> String {
    match steps {
        StepMode::Shared => format!("{what} {difference}"),
        StepMode::Adaptive => format!("{what} {difference} own-steps"),
    }
}

fn panel(k: usize, id: &str, rows: &[EpsGridRow], x: &Scale, y: &Scale) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    svg.axes(x, y, [6, 6]);
    svg.text("tick", Anchor::Middle, [0.5 * (LEFT + RIGHT), HEIGHT - 6.0], "eps");
    let mut words = Vec::new();
    for steps in SCHEDULES {
        for (which, difference) in DIFFERENCES.into_iter().enumerate() {
            let own = rows.iter().filter(|row| row.steps == steps);
            let points: Vec<(f64, f64)> = own
                .map(|row| (row.eps, row.errors[which][0]))
                .filter(|(_, error)| error.is_finite())
                .collect();
            let places: Vec<[f64; 2]> = points.iter().map(|&(e, v)| [x.at(e), y.at(v)]).collect();
            svg.path(&class("join", steps, difference), &polyline(&places));
            let marks: String = places.iter().map(|at| mark(difference, *at)).collect();
            svg.path(&class("mark", steps, difference), &marks);
            if let Some((eps, error)) = points.iter().min_by(|a, b| a.1.total_cmp(&b.1)) {
                svg.line(
                    &class("least", steps, difference),
                    [x.at(*eps), BOTTOM],
                    [x.at(*eps), BOTTOM - 8.0],
                );
                let (eps, error) = (figures(*eps, 3), figures(*error, 2));
                words.push(format!("{}: {error} at {eps}", class(difference, steps, "")));
            }
        }
    }
    svg.finish(&format!("eps{k}"), id, &words.join("; "))
}
