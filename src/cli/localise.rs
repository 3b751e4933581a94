//! `--by` and `--mode`: which rows a wrong derivative comes from.

use super::CliError;
use super::gradient::Judged;
use super::options::usage;
use super::output::Output;
use crate::check::{
    AllowanceSource, Attribution, CheckPlan, CheckSummary, Diagnosis, Effort, FailingPoints,
    Finding, GroupKind, GroupSummary, Groups, JudgedPoint, VerdictKind, attribute, findings,
    localise, own_part,
};
use crate::model::OdeProblem;
use crate::report::{Style, attribution_table, group_table, write_attributions, write_groups};
use crate::startpoints::Points;
use crate::sweep::{Evaluator, OwnGradients, PointResult};
use clap::{Args, ValueEnum};
use std::path::Path;

/// Most pairs of a parameter and a group.
const MOST_PAIRS: usize = 1_000_000;

/// Of what derivatives are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Of the objective.
    Objective,
    /// Of every measurement's weighted residual (pyPESTO's MODE_RES).
    Residuals,
}

impl Mode {
    /// The word in reports; none for what is usual.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Objective => None,
            Self::Residuals => Some("residuals"),
        }
    }
}

/// Where a wrong derivative is looked for.
#[derive(Debug, Clone, Args)]
pub struct LocaliseOptions {
    /// Say which rows carry a mismatch: own derivatives are judged for each group of rows; of a
    /// gradient from a file, and of second derivatives that fail (--order 1), it is told which group's
    /// contribution is missing or there twice. Rows are numbered as in the measurement table, from 1,
    /// through all measurement files.
    #[arg(long, value_name = "condition|observable|time|row")]
    pub by: Option<GroupKind>,
    /// Check the derivatives of the objective, or those of every residual (h(y) - h(m))/sigma on
    /// the scale of its noise model.
    #[arg(long, value_enum, default_value = "objective")]
    pub mode: Mode,
}

impl LocaliseOptions {
    /// The groups asked for, if they are not too many.
    fn groups(&self, problem: &OdeProblem, plan: &CheckPlan) -> Result<Option<Groups>, CliError> {
        self.groups_of(problem, (plan.parameters.len(), "parameters"))
    }

    /// The groups that so many things are to be told apart by.
    pub(super) fn groups_of(
        &self,
        problem: &OdeProblem,
        (things, word): (usize, &str),
    ) -> Result<Option<Groups>, CliError> {
        let Some(kind) = self.by else { return Ok(None) };
        let groups = Groups::new(problem, kind);
        let count = groups.names.len();
        if count.saturating_mul(things) > MOST_PAIRS {
            return Err(usage(format!(
                "--by {kind}: {things} {word} times {count} groups are too many (at most \
                 {MOST_PAIRS} pairs); choose some with --parameters"
            )));
        }
        Ok(Some(groups))
    }
}

fn is_affordable(groups: &Groups, plan: &CheckPlan) -> bool {
    groups.names.len().saturating_mul(plan.parameters.len()) <= MOST_PAIRS
}

/// What will be done once the points are checked.
pub enum Localiser {
    Nothing,
    /// Judge own derivatives group by group.
    Own(Groups),
    /// Attribute the mismatch of another tool's gradient at failing points.
    Foreign {
        failing: FailingPoints,
        /// The groups that were asked for: all is told of them.
        asked_for: Option<Groups>,
        /// Others that may be to blame where a parameter fails consistently.
        tried: Vec<Groups>,
    },
}

/// Which groups are to blame.
#[derive(Default)]
pub struct Localisation {
    own: Option<(Groups, GroupSummary)>,
    attributions: Vec<Attribution>,
    /// How many of them, from the first on, are of groups that were asked for; none if none were.
    asked_for: Option<usize>,
    /// Sentences on parameters, where nothing else tells them.
    sentences: String,
    /// What looking at the groups took.
    pub effort: Effort,
}

/// Kinds that a sweep tries by itself where a parameter fails consistently.
const TRIED: [GroupKind; 2] = [GroupKind::Condition, GroupKind::Observable];

impl Localiser {
    /// Does what was asked for.
    pub fn for_check(
        options: &LocaliseOptions,
        problem: &OdeProblem,
        plan: &CheckPlan,
        gradient: &Judged,
    ) -> Result<Self, CliError> {
        let groups = options.groups(problem, plan)?;
        if groups.is_some() && gradient.wanted() == OwnGradients::Adjoint {
            return Err(usage(
                "--gradient adjoint: adjoints are of a sum of rows, not of each; with --by use \
                 --gradient forward",
            ));
        }
        Ok(match (groups, gradient) {
            (None, _) => Self::Nothing,
            (Some(groups), Judged::Own(_)) => Self::Own(groups),
            (Some(groups), Judged::File(_)) => Self::Foreign {
                failing: FailingPoints::new(&plan.parameters),
                asked_for: Some(groups),
                tried: Vec::new(),
            },
        })
    }

    /// The same; another tool's gradient is compared with conditions and observables in any case,
    /// should it fail consistently.
    pub fn for_sweep(
        options: &LocaliseOptions,
        problem: &OdeProblem,
        plan: &CheckPlan,
        gradient: &Judged,
    ) -> Result<Self, CliError> {
        let meant = Self::for_check(options, problem, plan, gradient)?;
        if let Judged::Own(_) = gradient {
            return Ok(meant);
        }
        let asked_for = match meant {
            Self::Foreign { asked_for, .. } => asked_for,
            _ => None,
        };
        let others = TRIED.into_iter().filter(|kind| options.by != Some(*kind));
        Ok(Self::Foreign {
            failing: FailingPoints::new(&plan.parameters),
            asked_for,
            tried: others
                .map(|kind| Groups::new(problem, kind))
                .filter(|groups| is_affordable(groups, plan))
                .collect(),
        })
    }

    /// Whether nothing will be integrated at the end.
    pub fn is_idle(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Sees a point that has been judged.
    pub fn see(
        &mut self,
        theta: &[f64],
        judged: &JudgedPoint,
        result: &PointResult,
        allowance: &AllowanceSource<'_>,
    ) {
        let has_failed = |cell: &crate::check::JudgedCell| cell.verdict.kind == VerdictKind::Fail;
        if let Self::Foreign { failing, .. } = self
            && judged.cells.iter().any(has_failed)
        {
            failing.add(theta, judged, allowance(judged.point, result).as_deref());
        }
    }

    /// Looks at the groups; a diagnosis that says more replaces the one in the summary.
    pub fn finish(
        self,
        evaluator: &Evaluator<'_>,
        points: &Points,
        plan: &CheckPlan,
        summary: &mut CheckSummary,
    ) -> Result<Localisation, CliError> {
        match self {
            Self::Nothing => Ok(Localisation::default()),
            Self::Own(groups) => {
                let found = localise(evaluator, &points.theta_scaled, plan, &groups, &own_part)?;
                let effort = found.effort;
                Ok(Localisation { own: Some((groups, found)), effort, ..Localisation::default() })
            }
            Self::Foreign { mut failing, asked_for, tried } => {
                let mut effort = Effort::default();
                let mut attributions = match &asked_for {
                    Some(groups) if !failing.is_empty() => {
                        attribute(evaluator, &failing, groups, &mut effort)?
                    }
                    _ => Vec::new(),
                };
                let asked_for = asked_for.map(|_| attributions.len());
                failing.retain(|parameter| {
                    let mut consistent =
                        summary.parameters.iter().filter(|s| s.is_consistent_failure);
                    consistent.any(|s| s.parameter == parameter)
                });
                for groups in tried.iter().filter(|_| !failing.is_empty()) {
                    attributions.extend(attribute(evaluator, &failing, groups, &mut effort)?);
                }
                let found = findings(&attributions);
                let sentences = diagnose(evaluator.problem(), &found, summary);
                Ok(Localisation { own: None, attributions, asked_for, sentences, effort })
            }
        }
    }
}

/// Puts findings into the diagnoses of parameters that fail consistently; gives sentences on the
/// others.
fn diagnose(problem: &OdeProblem, found: &[Finding], summary: &mut CheckSummary) -> String {
    let mut sentences = String::new();
    for finding in found {
        let place = summary.parameters.iter().position(|s| s.parameter == finding.parameter);
        let Some(place) = place else { continue };
        if summary.parameters[place].is_consistent_failure {
            let known = summary.diagnoses[place].take();
            summary.diagnoses[place] = Some(Diagnosis::improved(known, finding));
        } else {
            let id = &problem.parameters[finding.parameter.position()].id;
            sentences.push_str(&format!("{id}: {}\n", Diagnosis::improved(None, finding)));
        }
    }
    sentences
}

const GROUPS: &str = "groups.csv";
pub(super) const ATTRIBUTION: &str = "attribution.csv";

impl Localisation {
    /// Writes `groups.csv` or `attribution.csv`; what an earlier run left of them goes.
    pub fn write(
        &self,
        folder: &Path,
        problem: &OdeProblem,
        points: &Points,
    ) -> Result<(), CliError> {
        remove_stale(folder, &[GROUPS, ATTRIBUTION, "residuals.csv", super::hessian::HESSIAN])?;
        if let Some((groups, summary)) = &self.own {
            let path = folder.join(GROUPS);
            let written =
                write_groups(Output::create(&path)?, problem, (groups, summary), &points.ids);
            written.and_then(Output::finish).map_err(CliError::output(&path))?;
        }
        if !self.attributions.is_empty() {
            let path = folder.join(ATTRIBUTION);
            let written = write_attributions(Output::create(&path)?, problem, &self.attributions);
            written.and_then(Output::finish).map_err(CliError::output(&path))?;
        }
        Ok(())
    }

    /// The groups to look at first, where groups were asked for.
    pub fn table(&self, problem: &OdeProblem, points: &Points, style: Style) -> String {
        match &self.own {
            Some((groups, summary)) => group_table(problem, (groups, summary), &points.ids, style),
            None => self.asked_for.map_or_else(String::new, |count| {
                let table = attribution_table(problem, &self.attributions[..count], style);
                format!("{}{table}", self.sentences)
            }),
        }
    }

    /// Whether some group's own derivative fails somewhere.
    pub fn has_failure(&self) -> bool {
        self.statistics().any(|s| s.worst.is_some_and(|w| w.has_failed))
    }

    pub fn has_consistent_failure(&self) -> bool {
        self.statistics().any(|s| s.is_consistent_failure)
    }

    fn statistics(&self) -> impl Iterator<Item = &crate::check::GroupStatistics> {
        self.own.iter().flat_map(|(_, summary)| &summary.statistics)
    }
}

/// Removes reports of an earlier run that this one does not replace.
pub fn remove_stale(folder: &Path, names: &[&str]) -> Result<(), CliError> {
    for name in names {
        let path = folder.join(name);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(CliError::output(&path)(e));
            }
            _ => {}
        }
    }
    Ok(())
}
