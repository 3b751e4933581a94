//! Which step sizes suit differences: tables of `gradsweep eps-grid`.

use super::csv_tables::{into_inner, number};
use super::terminal::{Style, finish, new_table, rounded};
use crate::check::eps_grid::{Bottom, DIFFERENCES, EpsGrid};
use crate::index::ParameterIdx;
use crate::model::OdeProblem;
use crate::sweep::StepMode;
use comfy_table::{Cell, CellAlignment};
use std::io::{self, Write};

/// What stands for all parameters together; no id.
pub const ALL: &str = "*";

/// What stands for a parameter, or for all together.
pub fn name(problem: &OdeProblem, parameter: Option<ParameterIdx>) -> String {
    parameter.map_or_else(|| ALL.to_owned(), |p| problem.parameters[p.position()].id.clone())
}

/// The word for a schedule.
pub fn word(steps: StepMode) -> &'static str {
    match steps {
        StepMode::Shared => "shared",
        StepMode::Adaptive => "adaptive",
    }
}

/// `eps.csv`: the errors by parameter, schedule and eps.
pub fn write_eps_grid<W: Write>(out: W, problem: &OdeProblem, grid: &EpsGrid) -> io::Result<W> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "parameter",
        "steps",
        "eps",
        "cells",
        "plain_error_median",
        "plain_error_q90",
        "paired_error_median",
        "paired_error_q90",
    ])?;
    for row in &grid.rows {
        let errors = row.errors.iter().flatten().map(|error| number(*error));
        let place = [name(problem, row.parameter), word(row.steps).to_owned(), number(row.eps)];
        writer.write_record(place.into_iter().chain([row.cells.to_string()]).chain(errors))?;
    }
    into_inner(writer)
}

/// `best_eps.csv`: where each V bottoms.
pub fn write_best_eps<W: Write>(out: W, problem: &OdeProblem, grid: &EpsGrid) -> io::Result<W> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "parameter",
        "steps",
        "difference",
        "best_eps",
        "error_median",
        "fitted_eps",
        "fitted_order",
    ])?;
    for bottom in &grid.bottoms {
        let fitted = bottom.model.map_or(f64::NAN, |model| model.recommended_eps());
        let order = bottom.model.map_or(String::new(), |model| model.p.to_string());
        writer.write_record([
            name(problem, bottom.parameter),
            word(bottom.steps).to_owned(),
            bottom.difference.to_owned(),
            number(bottom.eps),
            number(bottom.error),
            number(fitted),
            order,
        ])?;
    }
    into_inner(writer)
}

/// Where each V bottoms, a line a parameter: the best eps and the median error there.
pub fn eps_grid_table(problem: &OdeProblem, grid: &EpsGrid, style: Style) -> String {
    let mut header = vec!["parameter".to_owned()];
    let mut group = Vec::new();
    for steps in [StepMode::Shared, StepMode::Adaptive] {
        for difference in DIFFERENCES {
            header.extend([format!("{difference}, {}", word(steps)), "error".to_owned()]);
            group.push((steps, difference));
        }
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = new_table(&header);
    for bottoms in grid.bottoms.chunk_by(|a, b| a.parameter == b.parameter) {
        let mut cells = vec![Cell::new(name(problem, bottoms[0].parameter))];
        for &(steps, difference) in &group {
            let is_it = |b: &&Bottom| b.steps == steps && b.difference == difference;
            let found = bottoms.iter().find(is_it);
            for value in [found.map(|b| b.eps), found.map(|b| b.error)] {
                let text = rounded(value.unwrap_or(f64::NAN));
                cells.push(Cell::new(text).set_alignment(CellAlignment::Right));
            }
        }
        table.add_row(cells);
    }
    finish(table, style)
}
