//! The SBML semantic test suite (`SBML_CASES_DIR`): every case runs within the suite's tolerance,
//! or is refused by one of the exclusions that the project names.
//!
//! Expected values are the suite's own. A case passes where |x − reference| ≤ absolute +
//! relative·|reference| for every value, with the tolerances of its settings.

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::model::ModelError;
use gradsweep::model::standalone::{Quantity, Standalone, Terms};
use gradsweep::sbml::{Problem, SbmlError};
use gradsweep::sweep::{Evaluator, Settings, StepMode, no_refinement};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Far below the suite's relative tolerance of 1e-4, and for the smallest of its absolute ones.
const SETTINGS: Settings =
    Settings { rtol: 1e-9, atol: 1e-16, max_steps: 200_000, steps: StepMode::Adaptive };

/// What a case's settings file says.
struct Case {
    times: Vec<f64>,
    variables: Vec<String>,
    absolute: f64,
    relative: f64,
    amounts: Vec<String>,
    concentrations: Vec<String>,
}

impl Case {
    fn read(text: &str) -> Self {
        let values: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|l| l.split_once(':'))
            .map(|(k, v)| (k.trim(), v.trim()))
            .collect();
        let number = |key: &str| values[key].parse::<f64>().unwrap();
        let list = |key: &str| -> Vec<String> {
            let ids = values.get(key).copied().unwrap_or_default().split(',');
            ids.map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect()
        };
        let (start, duration, steps) = (number("start"), number("duration"), number("steps"));
        Self {
            times: (0..=steps as usize).map(|i| start + duration * i as f64 / steps).collect(),
            variables: list("variables"),
            absolute: number("absolute"),
            relative: number("relative"),
            amounts: list("amount"),
            concentrations: list("concentration"),
        }
    }

    fn quantities(&self) -> Vec<Quantity> {
        self.variables
            .iter()
            .map(|id| {
                let terms = if self.amounts.contains(id) {
                    Terms::Amount
                } else if self.concentrations.contains(id) {
                    Terms::Concentration
                } else {
                    Terms::Formula
                };
                Quantity { id: id.clone(), terms }
            })
            .collect()
    }
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    Passed,
    /// By a named exclusion.
    Refused(&'static str),
    Failed(String),
}

/// The exclusions that the project names.
fn exclusion(error: &ModelError) -> Option<&'static str> {
    let ModelError::Sbml(SbmlError { problem, .. }) = error else { return None };
    match problem {
        Problem::AlgebraicRule => Some("algebraic rule"),
        Problem::FastReaction { .. } => Some("fast reaction"),
        Problem::Delay => Some("csymbol delay"),
        Problem::Package { package, .. } if package == "comp" => Some("package comp"),
        Problem::Package { package, .. } if package == "fbc" => Some("package fbc"),
        _ => None,
    }
}

fn run(folder: &Path) -> (Outcome, String) {
    let number = folder.file_name().unwrap().to_string_lossy().into_owned();
    let settings = fs::read_to_string(folder.join(format!("{number}-settings.txt"))).unwrap();
    let case = Case::read(&settings);
    let model = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "xml"))
        .max()
        .expect("a case has a model");
    let text = fs::read_to_string(&model).unwrap();
    let fail = |why: String| (Outcome::Failed(why), text.clone());
    let standalone = match Standalone::load(&model, &case.times, |_| case.quantities()) {
        Ok(standalone) => standalone,
        Err(error) => {
            return match exclusion(&error) {
                Some(name) => (Outcome::Refused(name), text),
                None => fail(error.to_string()),
            };
        }
    };
    let evaluator = Evaluator::new(&standalone.problem, SETTINGS, &CpuEngine, None).unwrap();
    let result = evaluator.evaluate(&[vec![]], &[], &[], &no_refinement).unwrap().points.remove(0);
    if result.predictions.is_empty() {
        return fail(result.objective.unwrap_err().to_string());
    }
    let results = folder.join(format!("{number}-results.csv"));
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(results).unwrap();
    for (t, record) in reader.records().enumerate() {
        let record = record.unwrap();
        if t >= case.times.len() {
            break;
        }
        for (q, id) in case.variables.iter().enumerate() {
            // The first column is the time; the others come in the order of the settings.
            let expected = number_of(&record[q + 1]);
            let found = result.predictions[standalone.row(t, q).position()].y;
            let close = (found - expected).abs() <= case.absolute + case.relative * expected.abs();
            let same = found == expected || (found.is_nan() && expected.is_nan());
            if !close && !same {
                return fail(format!("{id} at {}: {found}, expected {expected}", case.times[t]));
            }
        }
    }
    (Outcome::Passed, text)
}

fn number_of(text: &str) -> f64 {
    match text.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "-inf" | "-infinity" => f64::NEG_INFINITY,
        "nan" => f64::NAN,
        number => number.parse().unwrap(),
    }
}

/// What of SBML a case uses, by words in its file: the suite's tags are not part of it.
const TAGS: [(&str, &str); 19] = [
    ("event", "<event"),
    ("event with delay", "<delay"),
    ("event with priority", "<priority"),
    ("trigger not persistent", "persistent=\"false\""),
    ("trigger false before the start", "initialValue=\"false\""),
    ("values from execution", "useValuesFromTriggerTime=\"false\""),
    ("assignment rule", "<assignmentRule"),
    ("rate rule", "<rateRule"),
    ("initial assignment", "<initialAssignment"),
    ("function definition", "<functionDefinition"),
    ("piecewise", "<piecewise"),
    ("csymbol time", "symbols/time"),
    ("csymbol rateOf", "symbols/rateOf"),
    ("csymbol avogadro", "symbols/avogadro"),
    ("conversion factor", "conversionFactor="),
    ("local parameter", "<localParameter"),
    ("substance units only", "hasOnlySubstanceUnits=\"true\""),
    ("boundary condition", "boundaryCondition=\"true\""),
    ("variable compartment", "spatialDimensions=\"3\" constant=\"false\""),
];

#[test]
fn every_case_runs_right_or_is_refused_by_name() {
    let Some(suite) = std::env::var_os("SBML_CASES_DIR").map(PathBuf::from) else {
        println!("skipped: SBML_CASES_DIR is not set");
        return;
    };
    let mut folders: Vec<PathBuf> =
        fs::read_dir(suite).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    let mut by_tag: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let mut failures = Vec::new();
    for folder in &folders {
        let (outcome, text) = run(folder);
        let column = match &outcome {
            Outcome::Passed => 0,
            Outcome::Refused(_) => 1,
            Outcome::Failed(why) => {
                failures.push(format!("{}: {why}", folder.file_name().unwrap().to_string_lossy()));
                2
            }
        };
        by_tag.entry("all").or_default()[column] += 1;
        if let Outcome::Refused(name) = &outcome {
            by_tag.entry(name).or_default()[column] += 1;
        }
        for (tag, word) in TAGS {
            if text.contains(word) {
                by_tag.entry(tag).or_default()[column] += 1;
            }
        }
    }
    println!("{:<32} {:>7} {:>8} {:>7}", "what cases use", "passed", "refused", "failed");
    for (tag, [passed, refused, failed]) in by_tag {
        println!("{tag:<32} {passed:>7} {refused:>8} {failed:>7}");
    }
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
}
