//! Tables for people.

use crate::check::tolerances::ToleranceRow;
use crate::check::{
    Association, CheckRow, CheckSummary, Differences, JudgedCell, JudgedPoint, ParameterStatistics,
    Reason, VerdictKind,
};
use crate::index::ParameterIdx;
use crate::model::OdeProblem;
use comfy_table::{Cell, CellAlignment, Color, LineStyle, Table, TableStyle};
use std::collections::HashSet;
use std::mem::discriminant;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub colours: bool,
    pub detailed: bool,
}

/// Above these a value is coloured: differences that scatter, errors that pyPESTO's own rule
/// (`check_gradients_match_finite_differences`) would not accept.
const LARGE_FD_ERR: f64 = 1.0;
const LARGE_ABS_ERR: f64 = 1e-3;
const LARGE_REL_ERR: f64 = 1e-2;

/// The rows of one point as a table.
pub fn check_table(
    problem: &OdeProblem,
    judged: &JudgedPoint,
    rows: &[CheckRow],
    style: Style,
) -> String {
    let mut header = vec!["parameter"];
    if style.detailed {
        header.extend(["fval", "fval_p", "fval_m"]);
    }
    header.extend(["grad", "fd_f", "fd_b", "fd_c", "fd_err", "abs_err", "rel_err", "eps"]);
    if style.detailed {
        header.extend(["/std", "/mean"]);
    }
    header.extend(["paired_c", "estimate", "bound", "verdict"]);
    let mut table = new_table(&header);
    for row in rows {
        let number = |v: f64| Cell::new(short(v)).set_alignment(CellAlignment::Right);
        let warn = |v: f64, limit: f64| {
            let cell = number(v);
            if style.colours && v > limit { cell.fg(Color::DarkYellow) } else { cell }
        };
        let mut cells = vec![Cell::new(&problem.parameters[row.parameter.position()].id)];
        if style.detailed {
            cells.extend([row.fval, row.fval_p, row.fval_m].map(number));
        }
        cells.extend([row.grad, row.fd_f, row.fd_b, row.fd_c].map(number));
        cells.push(warn(row.fd_err, LARGE_FD_ERR));
        cells.push(warn(row.abs_err, LARGE_ABS_ERR));
        cells.push(warn(row.rel_err, LARGE_REL_ERR));
        cells.push(number(row.eps));
        if style.detailed {
            cells.extend([row.weighted_by_std(), row.weighted_by_mean()].map(number));
        }
        cells.push(number(row.paired_c));
        if let Some(cell) = judged.cells.iter().find(|c| c.parameter == row.parameter) {
            let [value, bound] = cell.estimate.map_or([f64::NAN; 2], |e| [e.value, e.bound]);
            cells.extend([value, bound].map(number));
            cells.push(verdict_cell(cell, style));
        }
        table.add_row(cells);
    }
    finish(table, style)
}

/// The statistics of all parameters as a table.
pub fn parameter_table(problem: &OdeProblem, summary: &CheckSummary, style: Style) -> String {
    let mut table = new_table(&[
        "parameter",
        "pass",
        "fail",
        "inconcl.",
        "kink",
        "insens.",
        "missing",
        "failed",
        "failure rate",
        "median error",
        "largest",
        "best eps",
        "consistent failure",
    ]);
    for statistics in &summary.parameters {
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let mut cells = vec![Cell::new(&problem.parameters[statistics.parameter.position()].id)];
        cells.extend(statistics.counts.iter().map(|c| right(c.to_string())));
        let (low, high) = statistics.failure_interval;
        cells.push(right(format!("{:.3} [{low:.3}, {high:.3}]", statistics.failure_rate)));
        cells.push(right(rounded(statistics.errors.median)));
        cells.push(right(rounded(statistics.errors.max)));
        cells.push(right(short(statistics.best_eps)));
        let verdict = Cell::new(consistency(statistics));
        cells.push(match (style.colours, statistics.is_consistent_failure) {
            (true, true) => verdict.fg(Color::Red),
            _ => verdict,
        });
        table.add_row(cells);
    }
    finish(table, style)
}

/// How small an error of each parameter's gradient a sweep would find.
pub fn power_table(problem: &OdeProblem, summary: &CheckSummary) -> String {
    let mut table = new_table(&["parameter", "detectable relative error"]);
    for statistics in &summary.parameters {
        let id = &problem.parameters[statistics.parameter.position()].id;
        let detectable = match statistics.detectable_error {
            e if e.is_finite() => short(e),
            _ => "none: too few points for 99.9 %".to_owned(),
        };
        table.add_row([Cell::new(id), Cell::new(detectable).set_alignment(CellAlignment::Right)]);
    }
    finish(table, Style { colours: false, detailed: false })
}

/// What tolerances do, loosest first.
pub fn tolerance_table(rows: &[ToleranceRow]) -> String {
    let mut table = new_table(&[
        "rtol",
        "atol",
        "steps",
        "failed",
        "objective error",
        "(0.9)",
        "gradient error",
        "(0.9)",
        "best eps",
        "difference error",
    ]);
    for row in rows {
        let numbers = [
            row.rtol,
            row.atol,
            row.steps.round(),
            row.failed as f64,
            row.objective_error[0],
            row.objective_error[1],
            row.gradient_error[0],
            row.gradient_error[1],
            row.best_eps,
            row.difference_error,
        ];
        let cell = |x: f64| Cell::new(rounded(x)).set_alignment(CellAlignment::Right);
        table.add_row(numbers.map(cell));
    }
    finish(table, Style { colours: false, detailed: false })
}

/// Two significant digits, or a whole number.
pub(super) fn rounded(value: f64) -> String {
    let magnitude = value.abs();
    if value.fract() == 0.0 && magnitude < 1e9 {
        format!("{value}")
    } else {
        format!("{value:.1e}")
    }
}

/// What is likely wrong, a line for each parameter that fails consistently, and which of them may
/// have one cause.
pub fn diagnosis_lines(problem: &OdeProblem, summary: &CheckSummary) -> String {
    let id = |p: ParameterIdx| problem.parameters[p.position()].id.as_str();
    let mut text = String::new();
    for (statistics, diagnosis) in summary.parameters.iter().zip(&summary.diagnoses) {
        if let Some(diagnosis) = diagnosis {
            text.push_str(&format!("{}: {diagnosis}\n", id(statistics.parameter)));
        }
    }
    for group in &summary.common_causes {
        let ids: Vec<&str> = group.iter().map(|p| id(*p)).collect();
        let marks = summary.parameters.iter().zip(&summary.diagnoses);
        let theirs = marks.filter(|(statistics, _)| group.contains(&statistics.parameter));
        let kinds: HashSet<_> =
            theirs.map(|(_, d)| d.as_ref().map(|d| discriminant(&d.mark))).collect();
        let cause = if kinds.len() == 1 { "perhaps one cause" } else { "by different marks" };
        text.push_str(&format!("{} fail at the same points, {cause}\n", ids.join(", ")));
    }
    let judged =
        |kind: &VerdictKind| !matches!(kind, VerdictKind::GradientMissing | VerdictKind::Failed);
    for statistics in &summary.parameters {
        let counts = statistics.counts.iter().zip(VerdictKind::ALL);
        let of = |wanted: &dyn Fn(&VerdictKind) -> bool| -> usize {
            counts.clone().filter(|(_, kind)| wanted(kind)).map(|(count, _)| count).sum()
        };
        let missing = of(&|kind| *kind == VerdictKind::GradientMissing);
        if missing > 0 && of(&judged) == 0 {
            let id = id(statistics.parameter);
            text.push_str(&format!(
                "{id}: not checked, its gradient is missing at all {missing} points (nan, infinite or absent)\n"
            ));
        }
    }
    text
}

/// Whether a parameter fails consistently, and with which evidence.
fn consistency(statistics: &ParameterStatistics) -> String {
    match statistics.is_consistent_failure {
        true => format!("YES (p {:.0e})", statistics.p_holm),
        false => "no".to_owned(),
    }
}

/// Where parameters fail that pass at other points, a line each.
pub fn where_lines(problem: &OdeProblem, summary: &CheckSummary) -> String {
    let line = |a: &Association| {
        let id = &problem.parameters[a.parameter.position()].id;
        a.sentence.as_ref().map(|sentence| format!("{id} {sentence}\n"))
    };
    summary.associations.iter().filter_map(line).collect()
}

/// The verdict with its reason, or with the side that it rests on.
fn verdict_cell(judged: &JudgedCell, style: Style) -> Cell {
    let kind = judged.verdict.kind;
    let side = judged.estimate.and_then(|e| match e.differences {
        Differences::Central | Differences::Compensated => None,
        Differences::Forward => Some("forward"),
        Differences::Backward => Some("backward"),
    });
    let cell = Cell::new(match judged.verdict.reason.map(Reason::name).or(side) {
        Some(word) => format!("{kind}: {word}"),
        None => kind.name().to_owned(),
    });
    if !style.colours {
        return cell;
    }
    match kind {
        VerdictKind::Pass => cell.fg(Color::Green),
        VerdictKind::Fail | VerdictKind::GradientMissing => cell.fg(Color::Red),
        _ => cell.fg(Color::DarkYellow),
    }
}

pub(super) fn new_table(header: &[&str]) -> Table {
    // One line a row: rules between them would halve what a screen holds.
    const STYLE: TableStyle =
        TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header);
    table
}

pub(super) fn finish(mut table: Table, style: Style) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    if style.colours {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.trim_fmt()
}

/// Seven significant digits.
pub(super) fn short(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() || value == 0.0 {
        format!("{value}")
    } else if (1e-3..1e6).contains(&magnitude) {
        let digits = 6 - magnitude.log10().floor() as i32;
        let text = format!("{value:.*}", digits.max(0) as usize);
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    } else {
        let text = format!("{value:.6e}");
        match text.split_once('e') {
            Some((mantissa, exponent)) => {
                format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
            }
            None => text,
        }
    }
}
