//! Every two gradients of a sweep side by side.

use super::CliError;
use super::output::Output;
use super::sources::Sources;
use crate::check::{CheckPlan, CheckSummary, Comparer, JudgedPoint, Pair, Source};
use crate::model::OdeProblem;
use crate::report::{Compared, Style, sources_table, write_all_parameters, write_sources};
use crate::sweep::PointResult;
use std::path::Path;

/// How several gradients compare, beside their folders.
pub const SOURCES: &str = "sources.csv";

/// Comparisons under way; none where there is one gradient.
pub struct Comparing<'a> {
    pairs: Vec<([usize; 2], [&'a str; 2], Comparer)>,
}

impl<'a> Comparing<'a> {
    /// Of all pairs, in order.
    pub fn new(sources: &'a Sources, plan: &CheckPlan) -> Self {
        let count = sources.all.len();
        let places = (0..count).flat_map(|a| (a + 1..count).map(move |b| [a, b]));
        let names = |place: usize| sources.all[place].name.as_str();
        let pairs = places.map(|pair| (pair, pair.map(names), Comparer::new(plan)));
        Self { pairs: pairs.collect() }
    }

    /// Adds a point as each gradient judges it.
    pub fn add(
        &mut self,
        judged: &[JudgedPoint],
        result: &PointResult,
        sources: &[Source<'_>],
        plan: &CheckPlan,
    ) {
        if self.pairs.is_empty() {
            return;
        }
        let allowances: Vec<Option<Vec<f64>>> = sources
            .iter()
            .zip(judged)
            .map(|(source, judged)| (source.allowance)(judged.point, result))
            .collect();
        for (pair, _, comparer) in &mut self.pairs {
            let pair = Pair {
                judged: pair.map(|k| &judged[k]),
                allowances: pair.map(|k| allowances[k].as_deref()),
                magnitudes: result.gradient_magnitudes.as_deref(),
            };
            comparer.add(&pair, plan);
        }
    }

    /// Writes sources.csv and parameters.csv of all; gives tables for people.
    pub fn finish(
        self,
        problem: &OdeProblem,
        folder: &Path,
        sources: &[(&str, &CheckSummary)],
        style: Style,
    ) -> Result<String, CliError> {
        let compared: Vec<Compared<'_>> = self
            .pairs
            .into_iter()
            .map(|(_, names, comparer)| Compared { names, parameters: comparer.finish() })
            .collect();
        let path = folder.join("parameters.csv");
        let mut out = Output::create(&path)?;
        write_all_parameters(&mut out, problem, sources)
            .and_then(|()| out.finish())
            .map_err(CliError::output(path))?;
        let path = folder.join(SOURCES);
        let mut out = Output::create(&path)?;
        write_sources(&mut out, problem, &compared)
            .and_then(|()| out.finish())
            .map_err(CliError::output(path))?;
        let mut text = String::new();
        for pair in &compared {
            text.push_str(&format!("{} and {}:\n", pair.names[0], pair.names[1]));
            text.push_str(&sources_table(problem, pair, style));
            text.push('\n');
        }
        Ok(text)
    }
}
