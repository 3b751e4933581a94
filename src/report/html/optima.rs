//! The folder of an optimisation as a page: waterfall, parameters, descent.

use super::plots::{Entry, Plot, file, style_with};
use super::run::Run;
use super::scale::Scale;
use super::svg::{Anchor, Svg, polyline};
use super::table::Table;
use super::text::{clean, figures};
use super::{ReportError, template};
use minijinja::context;
use minijinja::value::Value;
use std::collections::HashMap;
use std::path::Path;

const PAGE: &str = include_str!("optima.html");

/// Starts in the plots of parameters and descents; in the table.
const MOST_DRAWN: usize = 50;
const MOST_ROWS: usize = 200;
/// Digits of numbers in the table; all of them are in its tooltips.
const DIGITS: usize = 7;
/// Columns of `optima.csv` before the parameters.
const FIXED: usize = 10;
/// Distances from the best objective are drawn between these powers of ten.
const DISTANCES: [f64; 2] = [-6.0, 30.0];
/// Ends closer to the best one than this are drawn as it.
const SAME: f64 = crate::optimize::SAME;
/// The drawings' sizes and margins.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 60.0;
const LABELS: f64 = 170.0;
const RIGHT: f64 = WIDTH - 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = HEIGHT - 40.0;
const ROW: f64 = 22.0;

/// A start as `optima.csv` has it.
struct End {
    id: String,
    objective: f64,
    theta: Vec<f64>,
}

/// What an optimisation found, as much of it as the page shows.
pub(super) struct Optima {
    run: Run,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Starts, and those of them that ended close to the best.
    all: usize,
    plateau: usize,
    best: f64,
    /// Of all starts with a value, above the best.
    heights: Vec<f64>,
    ends: Vec<End>,
    courses: Vec<Vec<[f64; 2]>>,
}

impl Optima {
    /// From the files of a folder that `gradsweep optimize` wrote.
    pub(super) fn read(folder: &Path) -> Result<Self, ReportError> {
        let run = Run::read(folder)?;
        let mut table = Table::open(folder.join("optima.csv"))?;
        let columns: Vec<String> = table.header.iter().map(clean).collect();
        let objective = table.column("objective", &["point", "objective"])?;
        let (mut ends, mut rows, mut all) = (Vec::new(), Vec::new(), 0);
        let (mut best, mut plateau) = (f64::INFINITY, 0);
        let mut heights = Vec::new();
        while table.advance()? {
            let value = table.number(objective)?;
            all += 1;
            if rows.len() < MOST_ROWS {
                rows.push(table.cells());
            }
            if value.is_finite() {
                best = best.min(value);
                plateau += usize::from(value <= best + SAME);
                heights.push(value - best);
                if ends.len() < MOST_DRAWN {
                    let theta = (FIXED..columns.len()).map(|k| table.number(k));
                    let theta = theta.collect::<Result<Vec<f64>, ReportError>>()?;
                    ends.push(End { id: table.text(0).to_owned(), objective: value, theta });
                }
            }
        }
        let courses = courses(folder, &ends)?;
        Ok(Self { run, columns, rows, all, plateau, best, heights, ends, courses })
    }

    /// Its drawings: name, title, SVG.
    fn drawings(&self) -> [(&'static str, &'static str, String); 3] {
        let ids = self.columns.get(FIXED..).unwrap_or_default();
        let (ends, best) = (&self.ends, self.best);
        [
            ("waterfall", "Objective above the best one, by rank", waterfall(&self.heights)),
            ("parameters", "Parameters at the ends of starts", parameters(ids, ends, best)),
            (
                "descent",
                "Objective above the best one, by evaluations",
                descent(&self.courses, ends, best),
            ),
        ]
    }

    /// The plots as files of their own.
    pub(super) fn plots(&self) -> Vec<Plot> {
        let style = style_with(PAGE);
        let entry = |class: &str, word| Entry {
            class: class.to_owned(),
            d: "M-5 -2h10v4h-10z".to_owned(),
            word,
        };
        let legend = [entry("end best", "within 0.01 of the best"), entry("end", "others")];
        let drawings = self.drawings().into_iter();
        drawings
            .map(|(name, title, drawing)| Plot {
                name: format!("{name}.svg"),
                svg: file(&[title], &legend, &drawing, &style),
            })
            .collect()
    }

    /// The page, from the files alone.
    pub(super) fn page(&self) -> Result<String, ReportError> {
        let Self { run, columns, rows, .. } = self;
        let [waterfall, parameters, descent] =
            self.drawings().map(|(_, _, drawing)| Value::from_safe_string(drawing));
        let cell = |text: &String| {
            let shown = text.parse().map_or_else(|_| text.clone(), |v: f64| figures(v, DIGITS));
            let is_whole = text.bytes().all(|b| b.is_ascii_digit());
            context! { text => text, shown => if is_whole { text.clone() } else { shown } }
        };
        let filled = context! {
            problem => run.text("problem")?,
            version => run.text("version")?,
            method => run.text("method")?,
            at => run.text("at")?,
            engine => run.text("engine")?,
            rtol => run.number("rtol")?,
            atol => run.number("atol")?,
            evaluations => run.number("evaluations")?,
            rounds => run.number("rounds")?,
            failed => run.number("failed_starts")?,
            starts => self.all,
            plateau => self.plateau,
            best => format!("{}", self.best),
            drawn => self.ends.len(),
            waterfall => waterfall,
            parameters => parameters,
            descent => descent,
            columns => columns,
            is_cut => self.all > rows.len(),
            rows => rows.iter().map(|row| row.iter().map(cell).collect()).collect::<Vec<Vec<Value>>>(),
            settings => template::settings(run),
        };
        template::render(PAGE, filled)
    }
}

/// By start, its objectives against evaluations.
fn courses(folder: &Path, ends: &[End]) -> Result<Vec<Vec<[f64; 2]>>, ReportError> {
    let mut table = Table::open(folder.join("history.csv"))?;
    let expected = ["point", "evaluations", "objective"];
    let [point, evaluations, objective] = expected.map(|name| table.column(name, &expected));
    let (point, evaluations, objective) = (point?, evaluations?, objective?);
    let places: HashMap<&str, usize> =
        ends.iter().enumerate().map(|(k, end)| (end.id.as_str(), k)).collect();
    let mut courses = vec![Vec::new(); ends.len()];
    while table.advance()? {
        if let Some(&place) = places.get(table.text(point)) {
            courses[place].push([table.number(evaluations)?, table.number(objective)?]);
        }
    }
    Ok(courses)
}

fn class(name: &str, is_best: bool) -> String {
    if is_best { format!("{name} best") } else { name.to_owned() }
}

fn waterfall(heights: &[f64]) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let x = Scale::linear((1..=heights.len()).map(|k| k as f64), LEFT, RIGHT);
    let y = Scale::log(heights.iter().copied(), DISTANCES, BOTTOM, TOP);
    svg.axes(&x, &y, [10, 8]);
    svg.text("tick", Anchor::Middle, [0.5 * (LEFT + RIGHT), HEIGHT - 6.0], "starts, sorted");
    let places: Vec<[f64; 2]> =
        heights.iter().enumerate().map(|(k, h)| [x.at(k as f64 + 1.0), y.at(*h)]).collect();
    svg.path("course", &polyline(&places));
    for (place, height) in places.iter().zip(heights) {
        svg.path_at(
            &class("end", *height <= SAME),
            *place,
            "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0",
        );
    }
    let count = heights.iter().filter(|h| **h <= SAME).count();
    let description = format!("{} starts, {count} within 0.01 of the best.", heights.len());
    svg.finish("waterfall", "Objective above the best one, by rank", &description)
}

fn parameters(ids: &[String], ends: &[End], best: f64) -> String {
    let bottom = TOP + ROW * ids.len() as f64;
    let mut svg = Svg::new(WIDTH, bottom + 40.0);
    let x = Scale::linear(ends.iter().flat_map(|end| end.theta.iter().copied()), LABELS, RIGHT);
    for tick in x.ticks(10) {
        svg.line("grid", [x.at(tick), TOP], [x.at(tick), bottom]);
        svg.text("tick", Anchor::Middle, [x.at(tick), bottom + 16.0], &figures(tick, 3));
    }
    let y = |k: usize| TOP + ROW * (k as f64 + 0.5);
    for (k, id) in ids.iter().enumerate() {
        svg.row_label([LABELS - 8.0, y(k) + 4.0], id);
    }
    // The best come last, on top.
    for end in ends.iter().rev() {
        let places: Vec<[f64; 2]> =
            end.theta.iter().enumerate().map(|(k, theta)| [x.at(*theta), y(k)]).collect();
        svg.path(&class("course", end.objective <= best + SAME), &polyline(&places));
    }
    let description = format!("{} starts, {} parameters.", ends.len(), ids.len());
    svg.finish("parameters", "Parameters at the ends of starts", &description)
}

fn descent(courses: &[Vec<[f64; 2]>], ends: &[End], best: f64) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let all = || courses.iter().flatten();
    let x = Scale::linear(all().map(|[evaluations, _]| *evaluations), LEFT, RIGHT);
    let y = Scale::log(all().map(|[_, value]| value - best), DISTANCES, BOTTOM, TOP);
    svg.axes(&x, &y, [10, 8]);
    svg.text("tick", Anchor::Middle, [0.5 * (LEFT + RIGHT), HEIGHT - 6.0], "evaluations");
    for (course, end) in courses.iter().zip(ends).rev() {
        let places: Vec<[f64; 2]> =
            course.iter().map(|[n, value]| [x.at(*n), y.at(value - best)]).collect();
        svg.path(&class("course", end.objective <= best + SAME), &polyline(&places));
    }
    let description = format!("{} starts.", courses.len());
    svg.finish("descent", "Objective above the best one, by evaluations", &description)
}
