//! The CSV tables of checks and sweeps.
//!
//! Numbers are written in the shortest form that reads back to the same bits; NaN and infinities
//! as `NaN`, `inf`, `-inf`.

use crate::check::tolerances::ToleranceRow;
use crate::check::{CheckRow, CheckSummary, Differences, JudgedPoint, Reason, VerdictKind};
use crate::model::OdeProblem;
use crate::sweep::{Failure, PointResult};
use std::io::{self, Write};

/// `checks.csv` or `best.csv`: pyPESTO's columns under its names, then the paired ones, then what
/// the estimate says of the cell.
pub struct CheckTable<'a, W: Write> {
    writer: csv::Writer<W>,
    problem: &'a OdeProblem,
    detailed: bool,
}

impl<'a, W: Write> CheckTable<'a, W> {
    /// A table with its header; `detailed` adds pyPESTO's detailed columns.
    pub fn new(out: W, problem: &'a OdeProblem, detailed: bool) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        let mut header = vec!["point", "parameter", "eps"];
        if detailed {
            header.extend(["fval", "fval_p", "fval_m"]);
        }
        header.extend(["grad", "fd_f", "fd_b", "fd_c", "fd_err", "abs_err", "rel_err"]);
        if detailed {
            header.push("(grad-fd_c)/std({fd_f,fd_b,fd_c})");
            header.push("|grad-fd_c|/mean(|fd_f-fd_b|,|fd_f-fd_c|,|fd_b-fd_c|)");
        }
        header.extend(["paired_f", "paired_b", "paired_c", "paired_err"]);
        header.extend(["estimate", "bound", "differences", "verdict", "reason", "status"]);
        writer.write_record(&header)?;
        Ok(Self { writer, problem, detailed })
    }

    /// Adds rows of a judged point (all of them, or the best).
    pub fn add(&mut self, id: &str, judged: &JudgedPoint, rows: &[CheckRow]) -> io::Result<()> {
        for row in rows {
            let parameter = &self.problem.parameters[row.parameter.position()];
            let mut record = vec![id.to_owned(), parameter.id.clone(), number(row.eps)];
            let mut push = |values: &[f64]| record.extend(values.iter().map(|v| number(*v)));
            if self.detailed {
                push(&[row.fval, row.fval_p, row.fval_m]);
            }
            push(&[row.grad, row.fd_f, row.fd_b, row.fd_c, row.fd_err, row.abs_err, row.rel_err]);
            if self.detailed {
                push(&[row.weighted_by_std(), row.weighted_by_mean()]);
            }
            push(&[row.paired_f, row.paired_b, row.paired_c, row.paired_err]);
            if let Some(cell) = judged.cells.iter().find(|c| c.parameter == row.parameter) {
                let estimate = cell.estimate.map_or([f64::NAN; 2], |e| [e.value, e.bound]);
                push(&estimate);
                let differences = cell.estimate.map_or("", |e| differences_word(e.differences));
                let reason = cell.verdict.reason.map_or("", Reason::name);
                let status = cell.verdict.failure.as_ref().map_or("", status_word);
                let words = [differences, cell.verdict.kind.name(), reason, status];
                record.extend(words.map(str::to_owned));
            }
            self.writer.write_record(&record)?;
        }
        Ok(())
    }

    /// Writes what is buffered and gives the underlying writer back.
    pub fn finish(self) -> io::Result<W> {
        into_inner(self.writer)
    }
}

/// `points.csv`: every point with what became of it.
pub struct PointTable<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> PointTable<W> {
    /// A table with its header.
    pub fn new(out: W, problem: &OdeProblem) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        let fixed = ["point", "objective", "status", "steps"].map(str::to_owned);
        writer.write_record(
            fixed.into_iter().chain(problem.parameters.iter().map(|p| p.id.clone())),
        )?;
        Ok(Self { writer })
    }

    /// Adds a point, given on the parameter scale.
    pub fn add(&mut self, id: &str, theta: &[f64], result: &PointResult) -> io::Result<()> {
        let (objective, status) = match &result.objective {
            Ok(value) if result.retries > 0 => (*value, "ok_at_tighter_tolerances".to_owned()),
            Ok(value) => (*value, "ok".to_owned()),
            Err(failure) => (f64::INFINITY, status_word(failure).to_owned()),
        };
        let fixed = [id.to_owned(), number(objective), status, result.steps.to_string()];
        self.writer.write_record(fixed.into_iter().chain(theta.iter().map(|v| number(*v))))?;
        Ok(())
    }

    /// Writes what is buffered and gives the underlying writer back.
    pub fn finish(self) -> io::Result<W> {
        into_inner(self.writer)
    }
}

/// `failures.csv`: every integration or likelihood that gave no value, with its reason.
pub struct FailureTable<'a, W: Write> {
    writer: csv::Writer<W>,
    problem: &'a OdeProblem,
}

impl<'a, W: Write> FailureTable<'a, W> {
    /// A table with its header.
    pub fn new(out: W, problem: &'a OdeProblem) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record([
            "point",
            "parameter",
            "eps",
            "side",
            "simulation",
            "status",
            "time",
            "steps",
        ])?;
        Ok(Self { writer, problem })
    }

    /// Adds the failures of a point and of its probes.
    pub fn add(&mut self, id: &str, result: &PointResult) -> io::Result<()> {
        if let Err(failure) = &result.objective {
            self.write(id, "", "", "base", failure)?;
        }
        for pair in &result.probes {
            let parameter = &self.problem.parameters[pair.parameter.position()].id;
            for (side, value) in [("plus", &pair.plus), ("minus", &pair.minus)] {
                if let Err(failure) = value {
                    self.write(id, parameter, &number(pair.eps), side, failure)?;
                }
            }
        }
        Ok(())
    }

    fn write(
        &mut self,
        point: &str,
        parameter: &str,
        eps: &str,
        side: &str,
        failure: &Failure,
    ) -> io::Result<()> {
        let (simulation, time, steps) = match failure {
            Failure::Lane { simulation, report } => (
                self.problem.simulation(*simulation).id.clone(),
                number(report.t),
                report.steps.to_string(),
            ),
            Failure::NotFinite { row } => {
                let (part, row) = self.problem.row(*row);
                let simulation = &part.simulations[row.simulation.position()];
                (simulation.id.clone(), number(simulation.output_times[row.output]), String::new())
            }
            Failure::Prior { .. } => (String::new(), String::new(), String::new()),
        };
        let status = status_word(failure);
        self.writer.write_record([
            point,
            parameter,
            eps,
            side,
            &simulation,
            status,
            &time,
            &steps,
        ])?;
        Ok(())
    }

    /// Writes what is buffered and gives the underlying writer back.
    pub fn finish(self) -> io::Result<W> {
        into_inner(self.writer)
    }
}

/// `parameters.csv`: statistics of every parameter over the points.
pub fn write_parameters<W: Write>(
    out: W,
    problem: &OdeProblem,
    summary: &CheckSummary,
) -> io::Result<W> {
    let mut writer = csv::Writer::from_writer(out);
    let mut header = vec!["parameter", "points"];
    header.extend(VerdictKind::ALL.map(VerdictKind::name));
    let reasons = Reason::ALL.map(|r| format!("{}_{}", r.kind().name(), r.name()));
    header.extend(reasons.iter().map(String::as_str));
    header.extend([
        "one_sided",
        "failure_rate",
        "failure_rate_low",
        "failure_rate_high",
        "p_value",
        "p_holm",
        "error_median",
        "error_mad",
        "error_q25",
        "error_q75",
        "error_q90",
        "error_max",
        "detectable_error",
        "best_eps",
    ]);
    let models = ["plain", "paired"].map(|differences| {
        ["a", "p", "s", "recommended_eps"].map(|name| format!("{differences}_{name}"))
    });
    header.extend(models.iter().flatten().map(String::as_str));
    header.extend(["consistent_failure", "diagnosis"]);
    writer.write_record(&header)?;
    for (statistics, diagnosis) in summary.parameters.iter().zip(&summary.diagnoses) {
        let id = &problem.parameters[statistics.parameter.position()].id;
        let mut record = vec![id.clone(), summary.points.to_string()];
        let counts = statistics.counts.iter().chain(&statistics.reasons);
        record.extend(counts.chain([&statistics.one_sided]).map(usize::to_string));
        let (low, high) = statistics.failure_interval;
        let errors = statistics.errors;
        let values = [
            statistics.failure_rate,
            low,
            high,
            statistics.p_value,
            statistics.p_holm,
            errors.median,
            errors.mad,
            errors.q25,
            errors.q75,
            errors.q90,
            errors.max,
            statistics.detectable_error,
            statistics.best_eps,
        ];
        record.extend(values.map(number));
        for model in &statistics.models {
            let values =
                model.map_or([f64::NAN; 4], |m| [m.a, f64::from(m.p), m.s, m.recommended_eps()]);
            record.extend(values.map(number));
        }
        record.push(if statistics.is_consistent_failure { "yes" } else { "no" }.to_owned());
        record.push(diagnosis.as_ref().map(ToString::to_string).unwrap_or_default());
        writer.write_record(&record)?;
    }
    into_inner(writer)
}

/// `where.csv`: what failing points of a parameter have in common.
pub fn write_where<W: Write>(
    out: W,
    problem: &OdeProblem,
    summary: &CheckSummary,
) -> io::Result<W> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "parameter",
        "covariate",
        "failing",
        "passing",
        "auc",
        "p_holm",
        "range_low",
        "range_high",
        "sentence",
    ])?;
    for row in &summary.associations {
        let mut record = vec![
            problem.parameters[row.parameter.position()].id.clone(),
            row.covariate.name().to_owned(),
        ];
        record.extend([row.failing, row.passing].map(|n| n.to_string()));
        record.extend([row.auc, row.p_holm, row.range.0, row.range.1].map(number));
        record.push(row.sentence.clone().unwrap_or_default());
        writer.write_record(&record)?;
    }
    into_inner(writer)
}

/// `eps.csv`: how far plain and paired central differences are from the estimates, for each eps.
pub fn write_eps<W: Write>(out: W, problem: &OdeProblem, summary: &CheckSummary) -> io::Result<W> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "parameter",
        "eps",
        "points",
        "plain_error_median",
        "paired_error_median",
    ])?;
    for row in &summary.eps {
        writer.write_record([
            problem.parameters[row.parameter.position()].id.clone(),
            number(row.eps),
            row.points.to_string(),
            number(row.plain_error),
            number(row.paired_error),
        ])?;
    }
    into_inner(writer)
}

/// `tolerances.csv`: what each pair of tolerances does.
pub fn write_tolerances<W: Write>(out: &mut W, rows: &[ToleranceRow]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "rtol",
        "atol",
        "points",
        "failed",
        "steps_mean",
        "objective_error_median",
        "objective_error_q90",
        "gradient_error_median",
        "gradient_error_q90",
        "best_eps",
        "difference_error_median",
    ])?;
    for row in rows {
        let mut record = [row.rtol, row.atol].map(number).to_vec();
        record.extend([row.points, row.failed].map(|n| n.to_string()));
        let errors = [row.objective_error, row.gradient_error].concat();
        record.push(number(row.steps));
        record.extend(errors.into_iter().map(number));
        record.extend([row.best_eps, row.difference_error].map(number));
        writer.write_record(&record)?;
    }
    writer.flush()
}

/// What an estimate was made from.
pub(super) fn differences_word(differences: Differences) -> &'static str {
    match differences {
        Differences::Central => "central",
        Differences::Compensated => "compensated",
        Differences::Forward => "forward",
        Differences::Backward => "backward",
    }
}

pub(super) fn status_word(failure: &Failure) -> &'static str {
    use crate::engine::LaneStatus as S;
    match failure {
        Failure::Lane { report, .. } => match report.status {
            S::Ok => "ok",
            S::TooManySteps => "too_many_steps",
            S::StepTooSmall => "step_too_small",
            S::NotFinite => "not_finite",
            S::NoSteadyState => "no_steady_state",
            S::Reordered => "breakpoints_reordered",
            S::EndlessEvents => "endless_events",
            S::NegativeDelay => "negative_delay",
        },
        Failure::NotFinite { .. } => "likelihood_not_finite",
        Failure::Prior { .. } => "no_prior_density",
    }
}

pub(super) fn into_inner<W: Write>(writer: csv::Writer<W>) -> io::Result<W> {
    writer.into_inner().map_err(|e| io::Error::new(e.error().kind(), e.to_string()))
}

/// The shortest text that reads back to the same bits.
pub(super) fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (1e-4..1e15).contains(&magnitude) || !value.is_finite() {
        format!("{value}")
    } else {
        format!("{value:e}")
    }
}
