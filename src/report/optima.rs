//! What a multi-start optimisation writes: optima.csv, history.csv, run.json, the table for people.

use super::csv_tables::{into_inner, number, status_word};
use super::terminal::{Style, finish, new_table, short};
use crate::model::OdeProblem;
use crate::optimize::{Bounds, Iteration, Optimum, SAME, Stop, plateaus};
use comfy_table::{Cell, CellAlignment};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Plateaus in the table for people.
const MOST_PLATEAUS: usize = 10;

/// Writes `optima.csv`: every start, the lowest objective first; `--at` reads it.
pub fn write_optima<W: Write>(
    out: W,
    problem: &OdeProblem,
    ids: &[String],
    sorted: &[Optimum],
) -> io::Result<W> {
    let bounds = Bounds::of(&problem.parameters);
    let mut writer = csv::Writer::from_writer(out);
    let fixed = [
        "point",
        "objective",
        "status",
        "reason",
        "iterations",
        "evaluations",
        "failed_evaluations",
        "projected_gradient",
        "start_objective",
        "active_bounds",
    ];
    let parameters = problem.parameters.iter().map(|p| p.id.as_str());
    writer.write_record(fixed.into_iter().chain(parameters))?;
    for optimum in sorted {
        let position = &optimum.position;
        let fixed = [
            ids[optimum.start.position()].clone(),
            number(position.value),
            optimum.failure.as_ref().map_or("ok", status_word).to_owned(),
            optimum.stop.name().to_owned(),
            position.iterations.to_string(),
            position.evaluations.to_string(),
            optimum.failed_evaluations.to_string(),
            number(position.projected_gradient),
            number(optimum.first_value),
            active_bounds(problem, &bounds, optimum, " "),
        ];
        writer.write_record(fixed.into_iter().chain(position.x.iter().map(|x| number(*x))))?;
    }
    into_inner(writer)
}

/// The bounds that an optimum lies at, as `lower:ID` or `upper:ID`.
fn active_bounds(
    problem: &OdeProblem,
    bounds: &Bounds,
    optimum: &Optimum,
    between: &str,
) -> String {
    let position = &optimum.position;
    let of = |i: usize| {
        let side = bounds.active(i, position.x[i], position.gradient[i])?;
        Some(format!("{}:{}", side.name(), problem.parameters[i].id))
    };
    (0..bounds.len()).filter_map(of).collect::<Vec<_>>().join(between)
}

/// `history.csv`: every iteration of every start.
pub struct HistoryTable<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> HistoryTable<W> {
    /// A table with its header.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record([
            "point",
            "iteration",
            "evaluations",
            "objective",
            "projected_gradient",
            "step",
        ])?;
        Ok(Self { writer })
    }

    /// Adds an iteration of a start.
    pub fn add(&mut self, id: &str, iteration: &Iteration) -> io::Result<()> {
        self.writer.write_record([
            id.to_owned(),
            iteration.iteration.to_string(),
            iteration.evaluations.to_string(),
            number(iteration.value),
            number(iteration.projected_gradient),
            number(iteration.step),
        ])?;
        Ok(())
    }

    /// Writes what is buffered and gives the underlying writer back.
    pub fn finish(self) -> io::Result<W> {
        into_inner(self.writer)
    }
}

/// `run.json` of an optimisation. Holds nothing that changes from one run of the same command on the
/// same machine to the next.
#[derive(Debug, Clone, Serialize)]
pub struct OptimizeRecord {
    pub program: &'static str,
    pub version: &'static str,
    pub command: &'static str,
    pub problem: String,
    /// File names and SHA-256 digests of all inputs.
    pub inputs: BTreeMap<String, String>,
    pub engine: String,
    pub engine_reason: String,
    pub gradient_engine: String,
    pub rtol: f64,
    pub atol: f64,
    pub max_steps: u32,
    pub objective: &'static str,
    pub method: &'static str,
    pub gtol: f64,
    pub ftol: f64,
    pub xtol: f64,
    pub max_iterations: usize,
    pub at: String,
    pub seed: u64,
    /// Whether parameters that no trajectory depends on were set to the best of a grid first.
    pub settle: bool,
    pub starts: usize,
    /// Starts whose first point has no value.
    pub failed_starts: usize,
    /// Infinite values are absent.
    pub best_objective: Option<f64>,
    /// Starts that ended within 1e-2 of it.
    pub starts_at_best: usize,
    pub reasons: BTreeMap<&'static str, usize>,
    /// Batches of evaluations.
    pub rounds: usize,
    pub evaluations: usize,
    pub integrations: u64,
    pub attempted_steps: u64,
    pub notes: Vec<String>,
}

/// How many starts stopped for each reason that occurred.
pub fn reasons(optima: &[Optimum]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for optimum in optima {
        *counts.entry(optimum.stop.name()).or_default() += 1;
    }
    counts
}

/// What was found, for people: the best objective, the plateaus, why starts stopped.
pub fn optima_table(
    problem: &OdeProblem,
    ids: &[String],
    sorted: &[Optimum],
    style: Style,
) -> String {
    let bounds = Bounds::of(&problem.parameters);
    let plateaus = plateaus(sorted);
    let Some(best) = plateaus.first().and_then(|plateau| plateau.first()) else {
        return "no start has a value at its first point\n".to_owned();
    };
    let mut text = format!(
        "best objective {} (start {}); {} of {} starts ended within {SAME} of it\n",
        best.position.value,
        ids[best.start.position()],
        plateaus[0].len(),
        sorted.len()
    );
    let mut table = new_table(&[
        "objective",
        "starts",
        "best start",
        "iterations",
        "evaluations",
        "reason",
        "projected gradient",
        "active bounds",
    ]);
    for plateau in plateaus.iter().take(MOST_PLATEAUS) {
        let first = &plateau[0];
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        table.add_row([
            right(short(first.position.value)),
            right(plateau.len().to_string()),
            Cell::new(&ids[first.start.position()]),
            right(first.position.iterations.to_string()),
            right(first.position.evaluations.to_string()),
            Cell::new(first.stop.name()),
            right(short(first.position.projected_gradient)),
            Cell::new(active_bounds(problem, &bounds, first, "\n")),
        ]);
    }
    text.push_str(&finish(table, style));
    text.push('\n');
    if plateaus.len() > MOST_PLATEAUS {
        text.push_str(&format!("and {} higher objectives\n", plateaus.len() - MOST_PLATEAUS));
    }
    let counts = reasons(sorted);
    let ordered = Stop::ALL
        .iter()
        .filter_map(|stop| counts.get(stop.name()).map(|count| format!("{} {count}", stop.name())));
    text.push_str(&format!("stopped by: {}\n", ordered.collect::<Vec<_>>().join(", ")));
    text
}
