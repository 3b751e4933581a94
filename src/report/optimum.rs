//! What is said of points that should be optima: at_optimum.csv and tables for people.

use super::csv_tables::{into_inner, number};
use super::terminal::{Style, finish, new_table, short};
use crate::check::{OptimumCell, OptimumKind};
use crate::model::OdeProblem;
use comfy_table::{Cell, CellAlignment, Color};
use std::io::{self, Write};

/// Writes `at_optimum.csv`: a row for each point and parameter.
pub fn write_at_optimum<W: Write>(
    out: W,
    problem: &OdeProblem,
    points: &[(String, Vec<OptimumCell>)],
) -> io::Result<W> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "point",
        "parameter",
        "value",
        "lower",
        "upper",
        "grad",
        "estimate",
        "bound",
        "curvature",
        "curvature_bound",
        "fisher",
        "gain",
        "towards",
        "eps",
        "fd_err",
        "fd_err_curvature",
        "fd_err_rest",
        "check",
        "verdict",
    ])?;
    for (id, cells) in points {
        for cell in cells {
            let parameter = &problem.parameters[cell.parameter.position()];
            let numbers = [
                cell.value,
                parameter.lower_scaled,
                parameter.upper_scaled,
                cell.gradient,
                cell.estimate,
                cell.bound,
                cell.curvature.value,
                cell.curvature.bound,
                cell.fisher,
                cell.gain,
                cell.towards,
                cell.eps,
                cell.fd_err,
                cell.fd_err_curvature,
                cell.fd_err_rest,
            ];
            let mut record = vec![id.clone(), parameter.id.clone()];
            record.extend(numbers.map(number));
            record.extend([cell.check.name(), cell.kind.name()].map(str::to_owned));
            writer.write_record(&record)?;
        }
    }
    into_inner(writer)
}

/// One point as a table.
pub fn optimum_table(problem: &OdeProblem, cells: &[OptimumCell], style: Style) -> String {
    let mut table = new_table(&[
        "parameter",
        "grad",
        "estimate",
        "bound",
        "f\'\'",
        "to gain",
        "eps",
        "fd_err",
        "= eps·|f\'\'|",
        "+ rest",
        "at an optimum",
    ]);
    for cell in cells {
        let number = |v: f64| Cell::new(short(v)).set_alignment(CellAlignment::Right);
        let mut row = vec![Cell::new(&problem.parameters[cell.parameter.position()].id)];
        row.extend([cell.gradient, cell.estimate, cell.bound, cell.curvature.value].map(number));
        row.extend([cell.gain, cell.eps, cell.fd_err].map(number));
        row.extend([cell.fd_err_curvature, cell.fd_err_rest].map(number));
        row.push(verdict(problem, cell, style));
        table.add_row(row);
    }
    finish(table, style)
}

/// The verdict, with the bound that it names.
fn verdict(problem: &OdeProblem, cell: &OptimumCell, style: Style) -> Cell {
    let parameter = &problem.parameters[cell.parameter.position()];
    let text = match cell.kind {
        OptimumKind::Bounded if cell.estimate > 0.0 => {
            format!("bounded: lower {}", short(parameter.lower_scaled))
        }
        OptimumKind::Bounded => format!("bounded: upper {}", short(parameter.upper_scaled)),
        OptimumKind::NotConverged => format!("not_converged: towards {}", short(cell.towards)),
        kind => kind.name().to_owned(),
    };
    let text = Cell::new(text);
    match (style.colours, cell.kind) {
        (false, _) => text,
        (true, OptimumKind::Pass | OptimumKind::Bounded) => text.fg(Color::Green),
        (true, OptimumKind::Wrong | OptimumKind::GradientMissing) => text.fg(Color::Red),
        (true, _) => text.fg(Color::DarkYellow),
    }
}

/// How many points each parameter has of each class, as a table.
pub fn optimum_counts(
    problem: &OdeProblem,
    points: &[(String, Vec<OptimumCell>)],
    style: Style,
) -> String {
    let mut header = vec!["at an optimum"];
    header.extend(OptimumKind::ALL.map(OptimumKind::name));
    let mut table = new_table(&header);
    let first = points.first().map_or(&[] as &[OptimumCell], |(_, cells)| cells);
    for (place, cell) in first.iter().enumerate() {
        let mut row = vec![Cell::new(&problem.parameters[cell.parameter.position()].id)];
        for kind in OptimumKind::ALL {
            let is_such = |(_, cells): &&(String, Vec<OptimumCell>)| cells[place].kind == kind;
            let count = points.iter().filter(is_such).count();
            row.push(Cell::new(count).set_alignment(CellAlignment::Right));
        }
        table.add_row(row);
    }
    finish(table, style)
}
