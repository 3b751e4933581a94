//! The CSV tables that say which rows a wrong derivative comes from.

use super::csv_tables::{into_inner, number};
use crate::check::{
    Attribution, Contributor, GroupSummary, Groups, JudgedParts, ResidualSummary, VerdictKind,
    WorstCell, row_numbers,
};
use crate::index::ParameterIdx;
use crate::model::OdeProblem;
use crate::objective::NoiseModel;
use std::io::{self, Write};

/// `groups.csv`: every parameter and group of rows that it can change, with the verdicts on the
/// group's own derivative. `ids` are those of the points.
pub fn write_groups<W: Write>(
    out: W,
    problem: &OdeProblem,
    (groups, summary): (&Groups, &GroupSummary),
    ids: &[String],
) -> io::Result<W> {
    let mut writer = csv::Writer::from_writer(out);
    let mut header = vec!["by", "group", "parameter", "points"];
    header.extend(VerdictKind::ALL.map(VerdictKind::name));
    header.extend(["failure_rate", "failure_rate_low", "failure_rate_high", "consistent_failure"]);
    header.push("mismatch_share");
    header.extend(WORST);
    writer.write_record(&header)?;
    for statistics in &summary.statistics {
        let id = &problem.parameters[statistics.parameter.position()].id;
        let by = groups.kind.name().to_owned();
        let mut record = vec![by, groups.names[statistics.group].clone(), id.clone()];
        record.push(summary.points.to_string());
        record.extend(statistics.counts.iter().map(usize::to_string));
        let (low, high) = statistics.failure_interval;
        record.extend([statistics.failure_rate, low, high].map(number));
        record.push(if statistics.is_consistent_failure { "yes" } else { "no" }.to_owned());
        record.push(number(statistics.mismatch_share));
        record.extend(worst_cells(statistics.worst.as_ref(), ids));
        writer.write_record(&record)?;
    }
    into_inner(writer)
}

/// Columns of the cell that deviates most.
const WORST: [&str; 5] =
    ["worst_point", "worst_gradient", "worst_estimate", "worst_bound", "worst_error"];

fn worst_cells(worst: Option<&WorstCell>, ids: &[String]) -> [String; 5] {
    let Some(worst) = worst else { return [const { String::new() }; 5] };
    let numbers = [worst.gradient, worst.estimate, worst.bound, worst.error].map(number);
    let [gradient, estimate, bound, error] = numbers;
    [ids[worst.point.position()].clone(), gradient, estimate, bound, error]
}

/// `attribution.csv`: how the mismatch of another tool's gradient, or of second derivatives, compares
/// with the derivatives of groups of rows. Of second derivatives there is the column `parameter2`.
pub fn write_attributions<W: Write>(
    out: W,
    problem: &OdeProblem,
    attributions: &[Attribution],
) -> io::Result<W> {
    let mut writer = csv::Writer::from_writer(out);
    let mut header = vec!["by", "group", "parameter"];
    if attributions.iter().any(|a| a.along.is_some()) {
        header.push("parameter2");
    }
    header.extend(["points", "missing", "twice", "noise_missing", "log_sigma_missing"]);
    header.extend(["mismatch_over_contribution", "explained"]);
    writer.write_record(&header)?;
    for a in attributions {
        let counts = [a.telling, a.missing, a.doubled, a.noise_missing, a.log_sigma_missing]
            .map(|n| n.to_string());
        let id = |p: ParameterIdx| problem.parameters[p.position()].id.clone();
        let group = match &a.source {
            Contributor::Rows(_, name) => name.clone(),
            other => other.to_string(),
        };
        let mut record = vec![a.kind.name().to_owned(), group, id(a.parameter)];
        record.extend(a.along.map(id));
        record.extend(counts);
        record.extend([a.ratio, a.explained].map(number));
        writer.write_record(&record)?;
    }
    into_inner(writer)
}

/// What a table says of a measurement row.
struct RowName {
    number: usize,
    observable: String,
    condition: String,
    time: f64,
    noise: NoiseModel,
    measured: f64,
}

fn row_names(problem: &OdeProblem) -> Vec<RowName> {
    let rows = problem.all().flat_map(|model| model.rows.iter().map(move |row| (model, row)));
    rows.zip(row_numbers(problem))
        .map(|((model, row), number)| {
            let simulation = &model.simulations[row.simulation.position()];
            RowName {
                number,
                observable: model.observables[row.observable.position()].id.clone(),
                condition: simulation.id.clone(),
                time: simulation.output_times[row.output],
                noise: model.observables[row.observable.position()].noise_model,
                measured: row.measured,
            }
        })
        .collect()
}

impl RowName {
    fn cells(&self) -> [String; 4] {
        let observable = self.observable.clone();
        [self.number.to_string(), observable, self.condition.clone(), number(self.time)]
    }
}

/// The derivatives of residuals, cell by cell.
pub struct ResidualTable<'a, W: Write> {
    writer: csv::Writer<W>,
    problem: &'a OdeProblem,
    names: Vec<RowName>,
}

impl<'a, W: Write> ResidualTable<'a, W> {
    /// A table with its header.
    pub fn new(out: W, problem: &'a OdeProblem) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record([
            "point",
            "row",
            "observable",
            "condition",
            "time",
            "parameter",
            "residual",
            "gradient",
            "estimate",
            "bound",
            "verdict",
        ])?;
        Ok(Self { writer, problem, names: row_names(problem) })
    }

    /// Adds the cells of a point.
    pub fn add(&mut self, id: &str, judged: &JudgedParts<'_>) -> io::Result<()> {
        for of_parameter in &judged.parameters {
            let parameter = &self.problem.parameters[of_parameter.parameter.position()].id;
            for cell in &of_parameter.cells {
                let name = &self.names[cell.part];
                let residual = judged
                    .result
                    .predictions
                    .get(cell.part)
                    .map_or(f64::NAN, |p| name.noise.residual(name.measured, p.y) / p.sigma);
                let mut record = vec![id.to_owned()];
                record.extend(name.cells());
                record.push(parameter.clone());
                let [estimate, bound] = cell.estimate.map_or([f64::NAN; 2], |e| [e.value, e.bound]);
                record.extend([residual, cell.gradient, estimate, bound].map(number));
                record.push(cell.verdict.kind.name().to_owned());
                self.writer.write_record(&record)?;
            }
        }
        Ok(())
    }

    /// Writes what is buffered and gives the underlying writer back.
    pub fn finish(self) -> io::Result<W> {
        into_inner(self.writer)
    }
}

/// `residuals.csv` of a sweep: every measurement row with the verdicts on its derivatives.
pub fn write_residual_rows<W: Write>(
    out: W,
    problem: &OdeProblem,
    summary: &ResidualSummary,
    ids: &[String],
) -> io::Result<W> {
    let mut writer = csv::Writer::from_writer(out);
    let mut header = vec!["row", "observable", "condition", "time"];
    header.extend(VerdictKind::ALL.map(VerdictKind::name));
    header.push("worst_parameter");
    header.extend(WORST);
    writer.write_record(&header)?;
    for (row, name) in summary.rows.iter().zip(row_names(problem)) {
        let mut record = name.cells().to_vec();
        record.extend(row.counts.iter().map(usize::to_string));
        record.push(row.worst.map_or(String::new(), |(parameter, _)| {
            problem.parameters[parameter.position()].id.clone()
        }));
        record.extend(worst_cells(row.worst.as_ref().map(|(_, cell)| cell), ids));
        writer.write_record(&record)?;
    }
    into_inner(writer)
}

/// `parameters.csv` of a sweep over residuals: the cells of every parameter, and at how many points
/// some row fails.
pub fn write_residual_parameters<W: Write>(
    out: W,
    problem: &OdeProblem,
    summary: &ResidualSummary,
    ids: &[String],
) -> io::Result<W> {
    let numbers = row_numbers(problem);
    let mut writer = csv::Writer::from_writer(out);
    let mut header = vec!["parameter", "points", "rows"];
    header.extend(VerdictKind::ALL.map(VerdictKind::name));
    header.extend(["failure_rate", "failure_rate_low", "failure_rate_high", "consistent_failure"]);
    header.push("worst_row");
    header.extend(WORST);
    writer.write_record(&header)?;
    for (statistics, cells) in summary.points.parameters.iter().zip(&summary.cells) {
        let id = &problem.parameters[statistics.parameter.position()].id;
        let points = summary.points.points.to_string();
        let mut record = vec![id.clone(), points, cells.rows.to_string()];
        record.extend(cells.counts.iter().map(usize::to_string));
        let (low, high) = statistics.failure_interval;
        record.extend([statistics.failure_rate, low, high].map(number));
        record.push(if statistics.is_consistent_failure { "yes" } else { "no" }.to_owned());
        record.push(
            cells.worst.map_or(String::new(), |(row, _)| numbers[row.position()].to_string()),
        );
        record.extend(worst_cells(cells.worst.as_ref().map(|(_, cell)| cell), ids));
        writer.write_record(&record)?;
    }
    into_inner(writer)
}
