//! Tables for people that say which rows a wrong derivative comes from: the worst first, a few.

use super::terminal::{Style, finish, new_table, short};
use crate::check::{
    Attribution, GroupSummary, Groups, ResidualSummary, VerdictKind, WorstCell, row_numbers,
};
use crate::model::OdeProblem;
use comfy_table::{Cell, CellAlignment};

/// Lines of a table.
const MOST_LINES: usize = 10;
/// Part of a mismatch below which a group that explains it is not worth a line.
const LEAST_EXPLAINED: f64 = 0.1;

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn count(counts: &[usize], kind: VerdictKind) -> usize {
    VerdictKind::ALL.iter().position(|k| *k == kind).map_or(0, |place| counts[place])
}

/// Cells that pass, that fail, and the others.
fn three(counts: &[usize]) -> [Cell; 3] {
    let [passed, failed] = [VerdictKind::Pass, VerdictKind::Fail].map(|k| count(counts, k));
    let others = counts.iter().sum::<usize>() - passed - failed;
    [passed, failed, others].map(|n| right(n.to_string()))
}

/// Gradient, estimate and error of the worst cell, and its point.
fn figures(worst: Option<&WorstCell>, ids: &[String]) -> [Cell; 4] {
    let numbers = worst.map_or([f64::NAN; 3], |w| [w.gradient, w.estimate, w.error]);
    let [gradient, estimate, error] = numbers.map(|x| right(short(x)));
    let point = worst.map_or("", |w| &ids[w.point.position()]);
    [gradient, estimate, error, right(point.to_owned())]
}

/// Groups whose derivatives deviate most.
pub fn group_table(
    problem: &OdeProblem,
    (groups, summary): (&Groups, &GroupSummary),
    ids: &[String],
    style: Style,
) -> String {
    let by = groups.kind.name();
    let mut table = new_table(&[
        "parameter",
        by,
        "pass",
        "fail",
        "others",
        "share",
        "gradient",
        "estimate",
        "error",
        "at point",
    ]);
    for statistics in summary.worst_first().into_iter().take(MOST_LINES) {
        let mut cells = vec![
            Cell::new(&problem.parameters[statistics.parameter.position()].id),
            Cell::new(&groups.names[statistics.group]),
        ];
        cells.extend(three(&statistics.counts));
        let share = statistics.mismatch_share;
        cells.push(right(if share.is_nan() { String::new() } else { format!("{share:.3}") }));
        cells.extend(figures(statistics.worst.as_ref(), ids));
        table.add_row(cells);
    }
    let failing = |s: &&_| has_failed(s);
    let failed = summary.statistics.iter().filter(failing).count();
    let pairs = summary.statistics.len();
    format!("{}\nby {by}: {failed} of {pairs} derivatives fail\n", finish(table, style))
}

fn has_failed(statistics: &crate::check::GroupStatistics) -> bool {
    count(&statistics.counts, VerdictKind::Fail) > 0
}

/// Groups that explain most of the mismatch of another tool's gradient.
pub fn attribution_table(
    problem: &OdeProblem,
    attributions: &[Attribution],
    style: Style,
) -> String {
    let mut table = new_table(&[
        "parameter",
        "group",
        "points",
        "missing",
        "twice",
        "noise missing",
        "ln sigma missing",
        "mismatch/contribution",
        "explained",
    ]);
    let bearing =
        |a: &Attribution| a.missing.max(a.doubled).max(a.noise_missing).max(a.log_sigma_missing);
    let explained = |a: &Attribution| if a.explained.is_nan() { 0.0 } else { a.explained };
    let says_something =
        |a: &&Attribution| a.telling > 0 && (bearing(a) > 0 || explained(a) > LEAST_EXPLAINED);
    let mut sorted: Vec<&Attribution> = attributions.iter().filter(says_something).collect();
    if sorted.is_empty() {
        return "no group explains a mismatch\n".to_owned();
    }
    sorted.sort_by(|a, b| {
        let of = |x: &Attribution| bearing(x) as f64 / x.telling as f64;
        of(b).total_cmp(&of(a)).then(explained(b).total_cmp(&explained(a)))
    });
    for a in sorted.into_iter().take(MOST_LINES) {
        let counts = [a.telling, a.missing, a.doubled, a.noise_missing, a.log_sigma_missing];
        let ids = [Some(a.parameter), a.along].into_iter().flatten();
        let ids: Vec<&str> = ids.map(|p| problem.parameters[p.position()].id.as_str()).collect();
        let mut cells = vec![Cell::new(ids.join(", ")), Cell::new(&a.source)];
        cells.extend(counts.map(|n| right(n.to_string())));
        let figure = |x: f64| right(if x.is_nan() { String::new() } else { short(x) });
        cells.extend([a.ratio, a.explained].map(figure));
        table.add_row(cells);
    }
    finish(table, style) + "\n"
}

/// Statistics of residuals' derivatives: by parameter, then the rows that deviate most.
pub fn residual_tables(
    problem: &OdeProblem,
    summary: &ResidualSummary,
    ids: &[String],
    style: Style,
) -> String {
    let numbers = row_numbers(problem);
    let mut table = new_table(&[
        "parameter",
        "rows",
        "pass",
        "fail",
        "others",
        "failure rate",
        "largest error",
        "in row",
        "consistent failure",
    ]);
    for (statistics, cells) in summary.points.parameters.iter().zip(&summary.cells) {
        let (low, high) = statistics.failure_interval;
        let mut line = vec![Cell::new(&problem.parameters[statistics.parameter.position()].id)];
        line.push(right(cells.rows.to_string()));
        line.extend(three(&cells.counts));
        line.push(right(format!("{:.3} [{low:.3}, {high:.3}]", statistics.failure_rate)));
        line.push(right(cells.worst.map_or(String::new(), |(_, w)| short(w.error))));
        line.push(right(
            cells.worst.map_or(String::new(), |(row, _)| numbers[row.position()].to_string()),
        ));
        line.push(Cell::new(if statistics.is_consistent_failure { "YES" } else { "no" }));
        table.add_row(line);
    }
    let mut text = finish(table, style) + "\n";
    let mut failing: Vec<_> =
        summary.rows.iter().filter(|row| count(&row.counts, VerdictKind::Fail) > 0).collect();
    if failing.is_empty() {
        return text;
    }
    failing.sort_by_key(|row| std::cmp::Reverse(count(&row.counts, VerdictKind::Fail)));
    let mut table = new_table(&[
        "row",
        "observable",
        "condition",
        "pass",
        "fail",
        "others",
        "worst parameter",
        "gradient",
        "estimate",
        "error",
        "at point",
    ]);
    for row in failing.into_iter().take(MOST_LINES) {
        let (model, measured) = problem.row(row.row);
        let mut line = vec![right(numbers[row.row.position()].to_string())];
        line.push(Cell::new(&model.observables[measured.observable.position()].id));
        line.push(Cell::new(&model.simulations[measured.simulation.position()].id));
        line.extend(three(&row.counts));
        line.push(Cell::new(
            row.worst.map_or("", |(parameter, _)| &problem.parameters[parameter.position()].id),
        ));
        line.extend(figures(row.worst.as_ref().map(|(_, cell)| cell), ids));
        table.add_row(line);
    }
    text.push_str(&finish(table, style));
    text + "\n"
}
