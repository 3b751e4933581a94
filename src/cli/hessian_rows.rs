//! `--by` with `--order 1`: which rows a wrong entry comes from.

use super::CliError;
use super::engines::Engines;
use super::localise::{ATTRIBUTION, LocaliseOptions};
use super::output::Output;
use super::plain::finish_table;
use crate::check::{
    Attribution, CheckPlan, Diagnosis, FailingEntries, Groups, HessianSummary, JudgedHessian,
    attribute_hessian, findings,
};
use crate::index::ParameterIdx;
use crate::model::OdeProblem;
use crate::report::{Style, attribution_table, write_attributions};
use crate::startpoints::Points;
use crate::sweep::{Evaluator, Settings};
use std::path::Path;

/// Groups of rows, where they were asked for, and the entries that fail.
pub struct EntryLocaliser<'a> {
    groups: Option<Groups>,
    failing: FailingEntries,
    points: &'a Points,
}

/// Which groups are to blame.
pub struct EntryLocalisation {
    attributions: Vec<Attribution>,
    /// On entries that do not fail consistently.
    sentences: String,
}

impl<'a> EntryLocaliser<'a> {
    pub fn new(
        options: &LocaliseOptions,
        (problem, plan, points): (&OdeProblem, &CheckPlan, &'a Points),
    ) -> Result<Self, CliError> {
        let count = plan.parameters.len();
        let groups = options.groups_of(problem, (count * count, "entries"))?;
        Ok(Self { groups, failing: FailingEntries::new(&plan.parameters), points })
    }

    /// Sees a point with some of its columns judged.
    pub fn see(&mut self, judged: &JudgedHessian<'_>) {
        if self.groups.is_some() {
            self.failing.add(&self.points.theta_scaled[judged.point.position()], judged);
        }
    }

    /// Looks at the groups; what is found of entries that fail consistently goes to the summary. None
    /// where nothing was asked for.
    pub fn finish(
        self,
        (problem, settings): (&OdeProblem, Settings),
        engines: &Engines,
        summary: &mut HessianSummary,
    ) -> Result<Option<EntryLocalisation>, CliError> {
        let Some(groups) = &self.groups else { return Ok(None) };
        let mut attributions = Vec::new();
        if !self.failing.is_empty() {
            let (probes, tangents) = (engines.probes.as_ref(), engines.tangents.as_ref());
            let tight = Evaluator::new(problem, settings.tighter(), probes, Some(tangents))?;
            attributions =
                attribute_hessian(&tight, &self.failing, groups, &mut summary.points.effort)?;
        }
        let mut sentences = String::new();
        for finding in findings(&attributions) {
            let is_of = (finding.parameter, finding.along);
            let mut pairs = summary.pairs.iter_mut();
            let Some(pair) = pairs.find(|pair| (pair.row, Some(pair.column)) == is_of) else {
                continue;
            };
            if pair.statistics.is_consistent_failure {
                pair.finding = Some(finding);
            } else {
                let id = |p: ParameterIdx| &problem.parameters[p.position()].id;
                let said = Diagnosis::improved(None, &finding);
                sentences.push_str(&format!("{}, {}: {said}\n", id(pair.row), id(pair.column)));
            }
        }
        Ok(Some(EntryLocalisation { attributions, sentences }))
    }
}

impl EntryLocalisation {
    /// Writes `attribution.csv`, where there is something in it.
    pub fn write(&self, folder: &Path, problem: &OdeProblem) -> Result<(), CliError> {
        if self.attributions.is_empty() {
            return Ok(());
        }
        let out = Output::create(&folder.join(ATTRIBUTION))?;
        finish_table(folder, ATTRIBUTION, write_attributions(out, problem, &self.attributions))
    }

    /// The groups to look at first.
    pub fn table(&self, problem: &OdeProblem, style: Style) -> String {
        let table = attribution_table(problem, &self.attributions, style);
        format!("{}{table}", self.sentences)
    }
}
