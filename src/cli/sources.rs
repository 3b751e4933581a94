//! The gradients that a command judges: one, or several side by side.

use super::CliError;
use super::comparing::SOURCES;
use super::gradient::{ADJOINT, AUTO, FORWARD, Judged, own_of};
use super::options::{CheckOptions, usage};
use crate::check::CheckPlan;
use crate::index::ParameterIdx;
use crate::model::OdeProblem;
use crate::startpoints::Points;
use crate::sweep::{Evaluator, OwnGradients};
use std::path::Path;

/// A gradient with what it is called.
pub struct Named {
    /// In reports: `forward` or the like, or the name of its file.
    pub name: String,
    /// Of its folder, where there are several: letters, digits, `_`, `-` and `.` only.
    pub folder: String,
    pub judged: Judged,
}

/// All gradients of a run, at least one.
pub struct Sources {
    pub all: Vec<Named>,
    /// Parameters that not all of them have: these are not checked.
    left_out: Vec<String>,
}

impl Sources {
    /// Reads the files that are named, and restricts the plan to parameters that all of them have.
    pub fn new(
        options: &CheckOptions,
        problem: &OdeProblem,
        points: &Points,
        plan: &mut CheckPlan,
    ) -> Result<Self, CliError> {
        let names = names(&options.gradient)?;
        let folders = folders(&names);
        let mut all = Vec::new();
        let mut theirs: Vec<Option<Vec<ParameterIdx>>> = Vec::new();
        for ((given, name), folder) in options.gradient.iter().zip(names).zip(folders) {
            let (judged, parameters) = Judged::read(given, options, problem, points)?;
            theirs.push(parameters);
            all.push(Named { name, folder, judged });
        }
        let id = |p: &ParameterIdx| problem.parameters[p.position()].id.clone();
        let has = |theirs: &Option<Vec<ParameterIdx>>, p: &ParameterIdx| {
            theirs.as_ref().is_none_or(|list| list.contains(p))
        };
        for (given, theirs) in options.gradient.iter().zip(&theirs) {
            let absent = plan.parameters.iter().find(|p| !has(theirs, p));
            if let (Some(absent), false) = (absent, options.parameters.is_empty()) {
                let absent = id(absent);
                return Err(usage(format!("--parameters: {given} has no gradient of {absent:?}")));
            }
        }
        let of_some: Vec<ParameterIdx> = plan.parameters.clone();
        plan.parameters.retain(|p| theirs.iter().all(|list| has(list, p)));
        if plan.parameters.is_empty() {
            return Err(usage(format!(
                "--gradient: there is no parameter that all of {} have",
                options.gradient.join(", ")
            )));
        }
        // The program's own gradient has all parameters: what no file has of several is not asked for.
        let is_asked_for = |p: &&ParameterIdx| {
            all.len() == 1 || theirs.iter().flatten().any(|list| list.contains(p))
        };
        let left_out = of_some.iter().filter(|p| !plan.parameters.contains(p));
        let left_out = left_out.filter(is_asked_for).map(id).collect();
        Ok(Self { all, left_out })
    }

    /// The only one, for commands that take one.
    pub fn single(mut self) -> Result<Named, CliError> {
        match self.all.len() {
            1 => Ok(self.all.remove(0)),
            _ => Err(usage("--gradient: one is expected here; `sweep` compares several")),
        }
    }

    /// Which own gradients these need; `row_by_row` where derivatives of rows are, which forward
    /// tangents alone give.
    pub fn wanted(&self, row_by_row: bool) -> OwnGradients {
        let wanted: Vec<OwnGradients> = self.all.iter().map(|n| n.judged.wanted()).collect();
        let forward = row_by_row || wanted.contains(&OwnGradients::Forward);
        match (forward, wanted.contains(&OwnGradients::Adjoint)) {
            (true, true) => OwnGradients::Both,
            (true, false) => OwnGradients::Forward,
            (false, true) => OwnGradients::Adjoint,
            (false, false) => OwnGradients::Cheaper,
        }
    }

    /// Takes note of how the evaluator computes own gradients.
    pub fn settle(&mut self, evaluator: &Evaluator<'_>) {
        self.all.iter_mut().for_each(|named| named.judged.settle(evaluator));
    }

    pub fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// Whether some of them are from files.
    pub fn has_foreign(&self) -> bool {
        self.all.iter().any(|named| named.judged.is_foreign())
    }

    /// Refuses a folder with reports of the other kind: some of them would stay beside the new ones.
    pub fn suit(&self, folder: &Path) -> Result<(), CliError> {
        let (sign, kind) = match self.are_several() {
            true => ("run.json", "one gradient"),
            false => (SOURCES, "several gradients"),
        };
        if folder.join(sign).exists() {
            return Err(usage(format!(
                "--out {}: holds reports of {kind}; name another folder",
                folder.display()
            )));
        }
        Ok(())
    }

    /// What a report must say about what is not checked.
    pub fn notes(&self) -> Vec<String> {
        if self.left_out.is_empty() {
            return Vec::new();
        }
        let ids = self.left_out.join(", ");
        let why = match self.all.len() {
            1 => "the file has none of them",
            _ => "not all gradients have them",
        };
        vec![format!("not checked, since {why}: {ids}")]
    }
}

/// What the gradients are called: files by their names, or by their paths where two have one name.
fn names(given: &[String]) -> Result<Vec<String>, CliError> {
    for (i, gradient) in given.iter().enumerate() {
        if given[..i].contains(gradient) {
            return Err(usage(format!("--gradient {gradient}: is given twice")));
        }
    }
    let is_given = |word: &str| given.iter().any(|gradient| gradient == word);
    if is_given(AUTO) && (is_given(FORWARD) || is_given(ADJOINT)) {
        return Err(usage(
            "--gradient auto: is one of forward and adjoint; beside these it would be there twice",
        ));
    }
    let short = |gradient: &String| match Path::new(gradient).file_name() {
        Some(name) if own_of(gradient).is_none() => name.to_string_lossy().into_owned(),
        _ => gradient.clone(),
    };
    let name = |gradient: &String| {
        let name = short(gradient);
        let is_unique = given.iter().filter(|other| short(other) == name).count() == 1;
        if is_unique { name } else { gradient.clone() }
    };
    Ok(given.iter().map(name).collect())
}

/// Names of folders, also different where upper and lower case are the same.
fn folders(names: &[String]) -> Vec<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut folders: Vec<String> = Vec::new();
    for name in names {
        let stem = name.strip_suffix(".csv").unwrap_or(name);
        let plain: String = stem.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        // No hidden folder, and none that is a way upwards.
        let plain = plain.trim_start_matches('.');
        let plain = if plain.is_empty() { "gradient" } else { plain };
        let is_free = |name: &String| !folders.iter().any(|f| f.eq_ignore_ascii_case(name));
        let numbered = (2..).map(|n| format!("{plain}-{n}"));
        let folder = std::iter::once(plain.to_owned()).chain(numbered).find(is_free);
        folders.extend(folder);
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different() {
        let names =
            |given: &[&str]| names(&given.iter().map(|&g| g.to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["forward", "a/g.csv"]).unwrap(), ["forward", "g.csv"]);
        assert_eq!(names(&["a/g.csv", "b/g.csv"]).unwrap(), ["a/g.csv", "b/g.csv"]);
        assert_eq!(names(&["forward", "a/forward"]).unwrap(), ["forward", "a/forward"]);
        assert!(names(&["g.csv", "g.csv"]).is_err());
    }

    #[test]
    fn folders_are_plain_and_different() {
        let folders =
            |names: &[&str]| folders(&names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>());
        assert_eq!(folders(&["forward", "amici.csv"]), ["forward", "amici"]);
        assert_eq!(folders(&["forward", "Forward.csv"]), ["forward", "Forward-2"]);
        assert_eq!(folders(&["../a b.csv", "..csv", ".."]), ["_a_b", "gradient", "gradient-2"]);
    }
}
