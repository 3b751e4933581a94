//! Tables of second derivatives: every cell, every entry, and for people the worst entries.

use super::csv_tables::{differences_word, into_inner, number, status_word};
use super::terminal::{Style, finish, new_table, short};
use crate::check::{HessianSummary, JudgedHessian, PairStatistics, Reason, VerdictKind};
use crate::gradient::Asymmetry;
use crate::index::ParameterIdx;
use crate::model::OdeProblem;
use comfy_table::{Cell, CellAlignment};
use std::io::{self, Write};

/// Lines of the terminal's table, and of the diagnoses below it.
const MOST_LINES: usize = 10;

/// Second derivatives, cell by cell.
pub struct HessianTable<'a, W: Write> {
    writer: csv::Writer<W>,
    problem: &'a OdeProblem,
}

impl<'a, W: Write> HessianTable<'a, W> {
    /// A table with its header.
    pub fn new(out: W, problem: &'a OdeProblem) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record([
            "point",
            "parameter",
            "parameter2",
            "hessian",
            "estimate",
            "bound",
            "allowance",
            "floor",
            "differences",
            "verdict",
            "reason",
            "status",
        ])?;
        Ok(Self { writer, problem })
    }

    /// Adds the cells of a point.
    pub fn add(&mut self, id: &str, judged: &JudgedHessian<'_>) -> io::Result<()> {
        for cell in &judged.cells {
            let [row, column] = [cell.row, cell.column].map(|p| name(self.problem, p).to_owned());
            let mut record = vec![id.to_owned(), row, column];
            let [estimate, bound, floor] =
                cell.estimate.map_or([f64::NAN; 3], |e| [e.value, e.bound, e.floor]);
            record.extend([cell.value, estimate, bound, cell.allowance, floor].map(number));
            let differences = cell.estimate.map_or("", |e| differences_word(e.differences));
            let reason = cell.verdict.reason.map_or("", Reason::name);
            let status = cell.verdict.failure.as_ref().map_or("", status_word);
            let words = [differences, cell.verdict.kind.name(), reason, status];
            record.extend(words.map(str::to_owned));
            self.writer.write_record(&record)?;
        }
        Ok(())
    }

    /// Writes what is buffered and gives the underlying writer back.
    pub fn finish(self) -> io::Result<W> {
        into_inner(self.writer)
    }
}

fn name(problem: &OdeProblem, parameter: ParameterIdx) -> &str {
    &problem.parameters[parameter.position()].id
}

/// `hessian.csv`: every entry with what all points say of it. `ids` are those of the points.
pub fn write_hessian<W: Write>(
    out: W,
    problem: &OdeProblem,
    summary: &HessianSummary,
    asymmetries: &[Asymmetry],
    ids: &[String],
) -> io::Result<W> {
    let mut writer = csv::Writer::from_writer(out);
    let mut header = vec!["parameter", "parameter2", "points"];
    header.extend(VerdictKind::ALL.map(VerdictKind::name));
    header.extend(["failure_rate", "failure_rate_low", "failure_rate_high"]);
    header.extend(["p_value", "p_holm", "consistent_failure"]);
    header.extend(["error_median", "error_q90", "error_max", "asymmetric"]);
    header.extend(["worst_point", "worst_hessian", "worst_estimate", "worst_bound", "worst_error"]);
    header.push("diagnosis");
    writer.write_record(&header)?;
    for pair in &summary.pairs {
        let statistics = &pair.statistics;
        let [row, column] = [pair.row, pair.column].map(|p| name(problem, p).to_owned());
        let mut record = vec![row, column, summary.points.points.to_string()];
        record.extend(statistics.counts.iter().map(usize::to_string));
        let (low, high) = statistics.failure_interval;
        record.extend([statistics.failure_rate, low, high].map(number));
        record.extend([statistics.p_value, statistics.p_holm].map(number));
        record.push(if statistics.is_consistent_failure { "yes" } else { "no" }.to_owned());
        let errors = statistics.errors;
        record.extend([errors.median, errors.q90, errors.max].map(number));
        let is_of_pair = |a: &&Asymmetry| {
            [(a.row, a.column), (a.column, a.row)].contains(&(pair.row, pair.column))
        };
        record.push(asymmetries.iter().filter(is_of_pair).count().to_string());
        match &pair.worst {
            Some(worst) => {
                record.push(ids[worst.point.position()].clone());
                let numbers = [worst.gradient, worst.estimate, worst.bound, worst.error];
                record.extend(numbers.map(number));
            }
            None => record.extend([const { String::new() }; 5]),
        }
        record.push(pair.diagnosis().unwrap_or_default());
        writer.write_record(&record)?;
    }
    into_inner(writer)
}

/// The entries that fail most and deviate most, and what is likely wrong.
pub fn hessian_table(
    problem: &OdeProblem,
    summary: &HessianSummary,
    asymmetries: &[Asymmetry],
    ids: &[String],
    style: Style,
) -> String {
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut table = new_table(&[
        "parameter",
        "parameter2",
        "pass",
        "fail",
        "others",
        "failure rate",
        "hessian",
        "estimate",
        "error",
        "at point",
        "consistent failure",
    ]);
    for pair in summary.worst_first().into_iter().take(MOST_LINES) {
        let mut line = [pair.row, pair.column].map(|p| Cell::new(name(problem, p))).to_vec();
        let [passed, failed] = [VerdictKind::Pass, VerdictKind::Fail].map(|kind| pair.count(kind));
        let others = summary.points.points - passed - failed;
        line.extend([passed, failed, others].map(|n| right(n.to_string())));
        let statistics = &pair.statistics;
        let (low, high) = statistics.failure_interval;
        line.push(right(format!("{:.3} [{low:.3}, {high:.3}]", statistics.failure_rate)));
        let worst = pair.worst.map_or([f64::NAN; 3], |w| [w.gradient, w.estimate, w.error]);
        line.extend(worst.map(|x| right(short(x))));
        line.push(right(pair.worst.map_or(String::new(), |w| ids[w.point.position()].clone())));
        line.push(Cell::new(if statistics.is_consistent_failure { "YES" } else { "no" }));
        table.add_row(line);
    }
    let mut text = finish(table, style) + "\n";
    let failing = summary.pairs.iter().filter(|pair| pair.count(VerdictKind::Fail) > 0).count();
    text.push_str(&format!("{failing} of {} entries fail\n", summary.pairs.len()));
    text.push_str(&diagnoses(problem, summary));
    let distance = |a: &Asymmetry| (a.values[0] - a.values[1]).abs();
    let largest = asymmetries.iter().max_by(|a, b| distance(a).total_cmp(&distance(b)));
    if let Some(largest) = largest {
        let [row, column] = [largest.row, largest.column].map(|p| name(problem, p));
        let [one, other] = largest.values.map(short);
        text.push_str(&format!(
            "not symmetric: {} entries, most at point {}: {row}, {column} {one}; {column}, {row} \
             {other}\n",
            asymmetries.len(),
            ids[largest.point.position()]
        ));
    }
    text
}

/// What is likely wrong: entries with one mistake in a line.
fn diagnoses(problem: &OdeProblem, summary: &HessianSummary) -> String {
    let mut by_mark: Vec<(String, Vec<&PairStatistics>)> = Vec::new();
    for pair in &summary.pairs {
        let Some(mark) = pair.diagnosis() else { continue };
        match by_mark.iter_mut().find(|(known, _)| *known == mark) {
            Some((_, pairs)) => pairs.push(pair),
            None => by_mark.push((mark, vec![pair])),
        }
    }
    let mut text = String::new();
    for (mark, pairs) in by_mark {
        let names = pairs.iter().take(MOST_LINES);
        let names = names.map(|p| format!("{}, {}", name(problem, p.row), name(problem, p.column)));
        let names: Vec<String> = names.collect();
        let more = match pairs.len() - names.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        text.push_str(&format!("{}{more}: {mark}\n", names.join("; ")));
    }
    text
}
