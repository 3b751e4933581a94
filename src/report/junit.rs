//! Results as JUnit XML, for build servers: a test case for each parameter.

use super::html::{clean, escape};
use crate::check::{
    CheckPlan, CheckSummary, Diagnosis, HessianSummary, JudgedPoint, PairStatistics,
    ParameterStatistics, ResidualCells, ResidualSummary, VerdictKind, row_numbers,
};
use crate::index::ParameterIdx;
use crate::model::OdeProblem;
use std::io::{self, Write};

/// What became of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum CaseResult {
    Passed,
    Failed {
        message: String,
        details: String,
    },
    /// Nothing was decided, or the failure is known.
    Skipped {
        message: String,
    },
}

/// A parameter's test case, or that of an entry of second derivatives.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Of the gradient, where there are several; a part of the case's class.
    pub source: Option<String>,
    pub parameter: String,
    pub result: CaseResult,
}

/// Points by verdict, in the order of [`VerdictKind::ALL`].
type Counts = [usize; VerdictKind::ALL.len()];

/// Writes one suite: its settings as properties, then its cases. Holds no times, so that the same
/// run gives the same bytes.
///
/// # Errors
/// Those of `out`.
pub fn write_junit<W: Write>(
    out: &mut W,
    suite: &str,
    properties: &[(String, String)],
    cases: &[Case],
) -> io::Result<()> {
    let suite = attribute(suite);
    let count =
        |wanted: fn(&CaseResult) -> bool| cases.iter().filter(|c| wanted(&c.result)).count();
    let failures = count(|r| matches!(r, CaseResult::Failed { .. }));
    let skipped = count(|r| matches!(r, CaseResult::Skipped { .. }));
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites>")?;
    writeln!(
        out,
        "<testsuite name=\"{suite}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" \
         skipped=\"{skipped}\">",
        cases.len()
    )?;
    writeln!(out, "<properties>")?;
    for (name, value) in properties {
        let [name, value] = [name, value].map(|text| attribute(text));
        writeln!(out, "<property name=\"{name}\" value=\"{value}\"/>")?;
    }
    writeln!(out, "</properties>")?;
    for case in cases {
        let class = match &case.source {
            Some(source) => format!("{suite}.{}", attribute(source)),
            None => suite.clone(),
        };
        let name = attribute(&case.parameter);
        write!(out, "<testcase classname=\"{class}\" name=\"{name}\"")?;
        match &case.result {
            CaseResult::Passed => writeln!(out, "/>")?,
            CaseResult::Failed { message, details } => writeln!(
                out,
                "><failure message=\"{}\" type=\"gradient\">{}</failure></testcase>",
                attribute(message),
                escape(&clean(details))
            )?,
            CaseResult::Skipped { message } => {
                writeln!(out, "><skipped message=\"{}\"/></testcase>", attribute(message))?;
            }
        }
    }
    writeln!(out, "</testsuite>")?;
    writeln!(out, "</testsuites>")
}

/// A text as the value of an attribute, in which a bare end of line would be read as a space.
fn attribute(text: &str) -> String {
    escape(&clean(text)).replace('\n', "&#10;").replace('\r', "&#13;").replace('\t', "&#9;")
}

/// The cases of a sweep: a consistent failure fails, with what is likely wrong.
pub fn sweep_cases(problem: &OdeProblem, summary: &CheckSummary) -> Vec<Case> {
    let case = |(statistics, diagnosis): (&ParameterStatistics, &Option<Diagnosis>)| {
        let counts = in_words(&statistics.counts);
        let result = if statistics.is_consistent_failure {
            let (low, high) = statistics.failure_interval;
            let rate = format!("failure rate {:.3} [{low:.3}, {high:.3}]", statistics.failure_rate);
            let message = match diagnosis {
                Some(diagnosis) => diagnosis.to_string(),
                None => format!("consistent failure: {counts}"),
            };
            CaseResult::Failed { message, details: format!("points: {counts}\n{rate}") }
        } else {
            undecided(&statistics.counts).unwrap_or(CaseResult::Passed)
        };
        let parameter = problem.parameters[statistics.parameter.position()].id.clone();
        Case { source: None, parameter, result }
    };
    summary.parameters.iter().zip(&summary.diagnoses).map(case).collect()
}

/// When a case of many cells fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailsWhen {
    /// At some point: of a few points each counts.
    Anywhere,
    Consistently,
}

/// The cases of second derivatives, one for each entry, `row,column`.
pub fn hessian_cases(
    problem: &OdeProblem,
    summary: &HessianSummary,
    ids: &[String],
    when: FailsWhen,
) -> Vec<Case> {
    let id = |p: ParameterIdx| problem.parameters[p.position()].id.as_str();
    let case = |pair: &PairStatistics| {
        let statistics = &pair.statistics;
        let counts = in_words(&statistics.counts);
        let fails = match when {
            FailsWhen::Anywhere => statistics.counts[place(VerdictKind::Fail)] > 0,
            FailsWhen::Consistently => statistics.is_consistent_failure,
        };
        let result = if fails {
            let mut details = format!("points: {counts}");
            if let Some(worst) = &pair.worst {
                details.push_str(&format!(
                    "\npoint {}: second derivative {:e}, estimate {:e}, bound {:e}",
                    ids[worst.point.position()],
                    worst.gradient,
                    worst.estimate,
                    worst.bound
                ));
            }
            let message = pair.diagnosis().unwrap_or_else(|| format!("failure: {counts}"));
            CaseResult::Failed { message, details }
        } else {
            undecided(&statistics.counts).unwrap_or(CaseResult::Passed)
        };
        let parameter = format!("{},{}", id(pair.row), id(pair.column));
        Case { source: None, parameter, result }
    };
    summary.pairs.iter().map(case).collect()
}

/// The cases of residuals' derivatives, one for each parameter.
pub fn residual_cases(
    problem: &OdeProblem,
    summary: &ResidualSummary,
    ids: &[String],
    when: FailsWhen,
) -> Vec<Case> {
    let numbers = row_numbers(problem);
    let parameters = summary.points.parameters.iter().zip(&summary.cells);
    let case = |(statistics, cells): (&ParameterStatistics, &ResidualCells)| {
        let counts = in_words(&cells.counts);
        let fails = match when {
            FailsWhen::Anywhere => cells.counts[place(VerdictKind::Fail)] > 0,
            FailsWhen::Consistently => statistics.is_consistent_failure,
        };
        let result = if fails {
            let points = in_words(&statistics.counts);
            let mut details = format!("points: {points}\nrows at all points: {counts}");
            if let Some((row, worst)) = &cells.worst {
                details.push_str(&format!(
                    "\npoint {}, row {}: derivative of the residual {:e}, estimate {:e}, bound {:e}",
                    ids[worst.point.position()],
                    numbers[row.position()],
                    worst.gradient,
                    worst.estimate,
                    worst.bound
                ));
            }
            CaseResult::Failed { message: format!("residuals at points: {points}"), details }
        } else {
            undecided(&statistics.counts).unwrap_or(CaseResult::Passed)
        };
        let parameter = problem.parameters[statistics.parameter.position()].id.clone();
        Case { source: None, parameter, result }
    };
    parameters.map(case).collect()
}

/// The cases of a check: one failing cell fails.
pub struct CheckCases {
    parameters: Vec<String>,
    counts: Vec<Counts>,
    /// A line for each failing cell.
    details: Vec<String>,
}

impl CheckCases {
    pub fn new(problem: &OdeProblem, plan: &CheckPlan) -> Self {
        let id = |p: &ParameterIdx| problem.parameters[p.position()].id.clone();
        let count = plan.parameters.len();
        Self {
            parameters: plan.parameters.iter().map(id).collect(),
            counts: vec![Counts::default(); count],
            details: vec![String::new(); count],
        }
    }

    /// Adds the verdicts of a point.
    pub fn add(&mut self, point: &str, judged: &JudgedPoint) {
        for (j, cell) in judged.cells.iter().enumerate() {
            let kind = cell.verdict.kind;
            self.counts[j][place(kind)] += 1;
            if let (VerdictKind::Fail, Some(estimate)) = (kind, &cell.estimate) {
                self.details[j].push_str(&format!(
                    "point {point}: gradient {:e}, estimate {:e}, bound {:e}\n",
                    cell.gradient, estimate.value, estimate.bound
                ));
            }
        }
    }

    /// One case a parameter of the plan.
    pub fn finish(self) -> Vec<Case> {
        let cells = self.counts.iter().zip(self.details);
        let case = |(parameter, (counts, details)): (String, (&Counts, String))| {
            let result = if counts[place(VerdictKind::Fail)] > 0 {
                CaseResult::Failed { message: in_words(counts), details }
            } else {
                undecided(counts).unwrap_or(CaseResult::Passed)
            };
            Case { source: None, parameter, result }
        };
        self.parameters.into_iter().zip(cells).map(case).collect()
    }
}

/// Skipped, where no point decided.
fn undecided(counts: &Counts) -> Option<CaseResult> {
    let decided = counts[place(VerdictKind::Pass)] + counts[place(VerdictKind::Fail)];
    (decided == 0)
        .then(|| CaseResult::Skipped { message: format!("nowhere decided: {}", in_words(counts)) })
}

fn place(kind: VerdictKind) -> usize {
    VerdictKind::ALL.iter().position(|k| *k == kind).unwrap_or_default()
}

/// Points by verdict: `pass 3, fail 2`.
fn in_words(counts: &Counts) -> String {
    let some = VerdictKind::ALL.iter().zip(counts).filter(|(_, count)| **count > 0);
    let words: Vec<String> = some.map(|(kind, count)| format!("{kind} {count}")).collect();
    if words.is_empty() { "no points".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(message: &str) -> CaseResult {
        CaseResult::Skipped { message: message.to_owned() }
    }

    #[test]
    fn hostile_texts_come_back() {
        let hostile = "a\"<b>&'c'\n\td]]>\u{1}\u{ffff}é";
        // What XML 1.0 has no way to write is replaced.
        let read_back = "a\"<b>&'c'\n\td]]>\u{fffd}\u{fffd}é";
        let failed =
            CaseResult::Failed { message: hostile.to_owned(), details: hostile.to_owned() };
        let cases = [
            Case { source: None, parameter: hostile.to_owned(), result: failed },
            Case { source: None, parameter: "k".to_owned(), result: skipped(hostile) },
            Case {
                source: Some("<&>".to_owned()),
                parameter: "l".to_owned(),
                result: CaseResult::Passed,
            },
        ];
        let mut out = Vec::new();
        write_junit(&mut out, hostile, &[(hostile.to_owned(), hostile.to_owned())], &cases)
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        let node = |name: &str| document.descendants().find(|n| n.has_tag_name(name)).unwrap();
        for (element, attribute) in [
            ("testsuite", "name"),
            ("property", "name"),
            ("property", "value"),
            ("testcase", "classname"),
            ("testcase", "name"),
            ("failure", "message"),
            ("skipped", "message"),
        ] {
            let found = node(element).attribute(attribute);
            assert_eq!(found, Some(read_back), "{element} {attribute}");
        }
        assert_eq!(node("failure").text(), Some(read_back));
        let mut classes = document.descendants().filter_map(|n| n.attribute("classname"));
        assert_eq!(classes.next_back(), Some(format!("{read_back}.<&>").as_str()));
        let suite = node("testsuite");
        for (attribute, count) in [("tests", "3"), ("failures", "1"), ("skipped", "1")] {
            assert_eq!(suite.attribute(attribute), Some(count), "{attribute}");
        }
    }

    #[test]
    fn counts_are_words() {
        assert_eq!(in_words(&[3, 2, 0, 0, 0, 0, 1]), "pass 3, fail 2, failed 1");
        assert_eq!(undecided(&[0, 1, 5, 0, 0, 0, 0]), None);
        assert_eq!(
            undecided(&[0, 0, 5, 0, 1, 0, 0]),
            Some(skipped("nowhere decided: inconclusive 5, insensitive 1"))
        );
    }
}
