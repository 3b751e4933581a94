//! Two maps of a matrix of second derivatives: verdicts, and median errors.

use super::entries::{Entry, Matrix};
use super::heat::{error_cell, legend};
use super::scale::Scale;
use super::svg::{Anchor, MOST_LETTERS, Svg};
use super::text::shortened;
use crate::check::VerdictKind;

const WIDTH: f64 = 960.0;
/// Right end of the rows' labels, and left ends of the maps where they stand side by side.
const LABEL: f64 = 190.0;
const LEFTS: [f64; 2] = [200.0, 586.0];
/// Room for a map beside another, and for one alone.
const HALF: f64 = 360.0;
const WHOLE: f64 = 756.0;
/// Room for a map's head and the labels of its columns.
const TOP: f64 = 154.0;
const HEAD: f64 = 14.0;
/// Letters of a column's label.
const MOST_UPRIGHT: usize = 16;
/// Cells are no larger.
const LARGEST: f64 = 54.0;
/// Each row has its label where it is so high.
const LABEL_HEIGHT: f64 = 13.0;
const LEGEND: f64 = 50.0;
/// Between two maps, one below the other.
const GAP: f64 = 24.0;

/// Where cells are.
struct Map {
    left: f64,
    top: f64,
    cell: f64,
}

impl Map {
    fn at(&self, row: usize, column: usize) -> [f64; 2] {
        [self.left + self.cell * column as f64, self.top + self.cell * row as f64]
    }

    /// Narrow cells have no gap between them.
    fn size(&self) -> [f64; 2] {
        let side = if self.cell >= 5.0 { self.cell - 1.0 } else { self.cell };
        [side, side]
    }
}

/// Rows and columns in the order given.
pub(super) fn draw(matrix: &Matrix<'_>) -> String {
    let count = matrix.ids.len();
    let is_beside = LABEL_HEIGHT * count as f64 <= HALF;
    let cell = (if is_beside { HALF } else { WHOLE } / count.max(1) as f64).min(LARGEST);
    let bottom = TOP + cell * count as f64;
    let verdicts = Map { left: LEFTS[0], top: TOP, cell };
    let errors = match is_beside {
        true => Map { left: LEFTS[1], top: TOP, cell },
        false => Map { left: LEFTS[0], top: bottom + GAP + TOP, cell },
    };
    let end = errors.top + cell * count as f64;
    let medians = matrix.cells.iter().flatten().map(|entry| entry.median);
    let colours = Scale::log(medians, [-16.0, 0.0], errors.left, errors.left + HALF);
    let mut svg = Svg::new(WIDTH, end + LEGEND);
    labels(&mut svg, matrix, &verdicts, "verdict of most points", true);
    labels(&mut svg, matrix, &errors, "median relative error", !is_beside);
    for (place, entry) in matrix.cells.iter().enumerate() {
        let Some(entry) = entry else { continue };
        let (row, column) = (place / count, place % count);
        let counts = in_words(entry);
        let title = format!("{}: {counts}", entry.id());
        let class = format!("v-{}", prevailing(entry).name());
        svg.rect(&class, verdicts.at(row, column), verdicts.size(), &title);
        let title = format!("{title}; median error");
        let (at, size) = (errors.at(row, column), errors.size());
        error_cell(&mut svg, at, size, entry.median, &title, &colours);
    }
    // On top of the neighbours.
    for (place, entry) in matrix.cells.iter().enumerate() {
        let Some(entry) = entry.filter(|e| e.verdicts.count(VerdictKind::Fail) > 0) else {
            continue;
        };
        let fails = format!("{}: {}", entry.id(), in_words(entry));
        for map in [&verdicts, &errors] {
            svg.rect("failing", map.at(place / count, place % count), map.size(), &fails);
        }
    }
    legend(&mut svg, [errors.left, errors.left + HALF], end + 14.0, &colours);
    svg.finish(
        "matrix",
        "Verdict and median relative error of every entry",
        "Two maps with a row and a column for each parameter; the gradient's component of the row \
         is differentiated by the parameter of the column. The first has the verdict of most points, \
         the second the median error, dark small and bright large; outlined are entries that fail \
         somewhere. The numbers are in hessian.csv.",
    )
}

fn labels(svg: &mut Svg, matrix: &Matrix<'_>, map: &Map, head: &str, has_rows: bool) {
    svg.text("head", Anchor::Start, [map.left, map.top - TOP + HEAD], head);
    let every = (LABEL_HEIGHT / map.cell).ceil() as usize;
    for (k, id) in matrix.ids.iter().enumerate().step_by(every) {
        let [x, y] = map.at(k, k);
        let middle = 0.5 * map.cell + 4.0;
        if has_rows {
            svg.label_of([LABEL, y + middle], &shortened(id, MOST_LETTERS), id);
        }
        let label = shortened(id, MOST_UPRIGHT);
        svg.upright_label([x + middle, map.top - 5.0], &label, id);
    }
}

/// A consistent failure, or else the verdict of most points.
fn prevailing(entry: &Entry) -> VerdictKind {
    let counts = VerdictKind::ALL.into_iter().zip(entry.verdicts.counts);
    match entry.verdicts.is_consistent {
        true => VerdictKind::Fail,
        // The last of the largest is taken: reversed, that is the first.
        false => counts.rev().max_by_key(|(_, count)| *count).map_or(VerdictKind::Pass, |(k, _)| k),
    }
}

/// `pass 12, fail 3`.
fn in_words(entry: &Entry) -> String {
    let counts = VerdictKind::ALL.into_iter().zip(entry.verdicts.counts);
    let words: Vec<String> =
        counts.filter(|(_, n)| *n > 0).map(|(kind, n)| format!("{kind} {n}")).collect();
    if words.is_empty() { "no points".to_owned() } else { words.join(", ") }
}
