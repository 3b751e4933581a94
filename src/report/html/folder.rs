//! A sweep's folder, as much of it as the page shows.

use super::ReportError;
use super::run::Run;
use super::table::Table;
use super::text::clean;
use super::verdicts::{VerdictColumns, Verdicts};
use crate::check::{ErrorModel, Reason, VerdictKind};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// No more points than this are drawn in one plot; the first by their order in `points.csv`.
pub(super) const MOST_POINTS: usize = 2000;
/// Plots of errors against values: every parameter with a failure up to so many, ...
const MOST_FAILING: usize = 24;
/// ... or else those with the largest errors.
const MOST_LARGE: usize = 12;

/// What a sweep found.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) run: Run,
    /// `parameters.csv` as it is.
    pub(super) header: Vec<String>,
    pub(super) cells: Vec<Vec<String>>,
    /// Its rows, the worst first.
    pub(super) parameters: Vec<Parameter>,
    pub(super) scatters: Vec<Scatter>,
    /// Whether there are more points than the scatters hold.
    pub(super) is_cut: bool,
}

/// A row of `parameters.csv`, with the parameter's rows of `eps.csv`.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) id: String,
    pub(super) verdicts: Verdicts,
    /// Inconclusive and failed points by reason, in the order of [`Reason::ALL`].
    pub(super) reasons: [u64; Reason::ALL.len()],
    /// Largest |gradient − estimate|/|estimate|.
    pub(super) largest: f64,
    /// What kind of mistake it looks like; empty where nothing is said.
    pub(super) diagnosis: String,
    /// Where it fails; empty where nothing is said.
    pub(super) location: String,
    /// Fits of error against eps, in the order of [`DIFFERENCES`].
    pub(super) models: [Option<ErrorModel>; DIFFERENCES.len()],
    pub(super) eps: Vec<EpsRow>,
}

impl Parameter {
    pub(super) fn count(&self, kind: VerdictKind) -> u64 {
        self.verdicts.count(kind)
    }
}

/// The kinds of differences, in the order of [`EpsRow::errors`].
pub(super) const DIFFERENCES: [&str; 2] = ["plain", "paired"];

/// Median relative errors of the central differences with one eps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct EpsRow {
    pub(super) eps: f64,
    pub(super) errors: [f64; DIFFERENCES.len()],
}

/// Errors of a parameter's gradient over the points.
#[derive(Debug)]
pub(super) struct Scatter {
    pub(super) id: String,
    pub(super) dots: Vec<Dot>,
}

/// One point of a scatter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dot {
    /// The parameter's value, on its scale.
    pub(super) value: f64,
    /// |gradient − estimate|/|estimate|.
    pub(super) error: f64,
    pub(super) verdict: VerdictKind,
}

impl Sweep {
    /// Reads `run.json`, `parameters.csv`, `eps.csv`, `where.csv`, `points.csv` and `best.csv` of a
    /// folder.
    pub(super) fn read(folder: &Path) -> Result<Self, ReportError> {
        let run = Run::read(folder)?;
        let mut table = Table::open(folder.join("parameters.csv"))?;
        let header = table.header.iter().map(clean).collect();
        let (mut parameters, cells) = read_parameters(&mut table)?;
        read_eps(folder, &mut parameters)?;
        read_where(folder, &mut parameters)?;
        parameters.sort_by(|a, b| badness(b).partial_cmp(&badness(a)).expect("no NaN in it"));
        let mut scatters = chosen(&parameters);
        let is_cut = read_dots(folder, &mut scatters)?;
        Ok(Self { run, header, cells, parameters, scatters, is_cut })
    }
}

fn read_parameters(table: &mut Table) -> Result<(Vec<Parameter>, Vec<Vec<String>>), ReportError> {
    let mut expected = vec!["parameter"];
    expected.extend(VerdictColumns::names());
    expected.push("error_max");
    let reasons = Reason::ALL.map(|r| format!("{}_{}", r.kind().name(), r.name()));
    expected.extend(reasons.iter().map(String::as_str));
    let models = DIFFERENCES.map(|d| ["a", "p", "s"].map(|name| format!("{d}_{name}")));
    expected.extend(models.iter().flatten().map(String::as_str));
    let id_at = table.column("parameter", &expected)?;
    let verdicts_at = VerdictColumns::find(table, &expected)?;
    let largest_at = table.column("error_max", &expected)?;
    let mut reasons_at = [0; Reason::ALL.len()];
    for (at, name) in reasons_at.iter_mut().zip(&reasons) {
        *at = table.column(name, &expected)?;
    }
    let mut models_at = [[0; 3]; DIFFERENCES.len()];
    for (at, name) in models_at.iter_mut().flatten().zip(models.iter().flatten()) {
        *at = table.column(name, &expected)?;
    }
    let diagnosis_at = table.header.iter().position(|h| h == "diagnosis");
    let (mut parameters, mut cells, mut ids) = (Vec::new(), Vec::new(), HashSet::new());
    while table.advance()? {
        let id = clean(table.text(id_at));
        if !ids.insert(id.clone()) {
            return Err(ReportError::Twice {
                file: table.file().to_owned(),
                line: table.line(),
                id,
            });
        }
        let verdicts = verdicts_at.read(table)?;
        let mut reasons = [0; Reason::ALL.len()];
        for (count, at) in reasons.iter_mut().zip(reasons_at) {
            *count = table.count(at)?;
        }
        let mut models = [None; DIFFERENCES.len()];
        for (model, at) in models.iter_mut().zip(models_at) {
            *model = read_model(table, at)?;
        }
        parameters.push(Parameter {
            id,
            verdicts,
            reasons,
            largest: table.number(largest_at)?,
            diagnosis: diagnosis_at.map_or(String::new(), |at| clean(table.text(at))),
            location: String::new(),
            models,
            eps: Vec::new(),
        });
        cells.push(table.cells());
    }
    if parameters.is_empty() {
        return Err(ReportError::NoRows { file: table.file().to_owned() });
    }
    Ok((parameters, cells))
}

/// A fit; none where its cells are NaN.
fn read_model(table: &Table, [a, p, s]: [usize; 3]) -> Result<Option<ErrorModel>, ReportError> {
    let [a_is, p_is, s_is] = [table.number(a)?, table.number(p)?, table.number(s)?];
    if [a_is, p_is, s_is].iter().all(|v| v.is_nan()) {
        return Ok(None);
    }
    for (at, value) in [(a, a_is), (s, s_is)] {
        if !(value > 0.0 && value.is_finite()) {
            return Err(table.bad_cell(at, "a positive number, or NaN with the other two"));
        }
    }
    if !(p_is.fract() == 0.0 && (1.0..=9.0).contains(&p_is)) {
        return Err(table.bad_cell(p, "a whole number from 1 to 9, or NaN with the other two"));
    }
    Ok(Some(ErrorModel { a: a_is, p: p_is as i32, s: s_is }))
}

/// The sentences of `where.csv`, at most one a parameter.
fn read_where(folder: &Path, parameters: &mut [Parameter]) -> Result<(), ReportError> {
    let mut table = Table::open(folder.join("where.csv"))?;
    let expected = ["parameter", "sentence"];
    let [id_at, sentence_at] =
        [table.column("parameter", &expected)?, table.column("sentence", &expected)?];
    let places = places(parameters);
    while table.advance()? {
        let Some(&place) = places.get(&clean(table.text(id_at))) else {
            return Err(table.bad_cell(id_at, "a parameter of parameters.csv"));
        };
        if !table.text(sentence_at).is_empty() {
            parameters[place].location = clean(table.text(sentence_at));
        }
    }
    Ok(())
}

/// Places of the parameters by id.
fn places(parameters: &[Parameter]) -> HashMap<String, usize> {
    parameters.iter().enumerate().map(|(i, p)| (p.id.clone(), i)).collect()
}

fn read_eps(folder: &Path, parameters: &mut [Parameter]) -> Result<(), ReportError> {
    let mut table = Table::open(folder.join("eps.csv"))?;
    let expected = ["parameter", "eps", "plain_error_median", "paired_error_median"];
    let mut at = [0; 4];
    for (at, name) in at.iter_mut().zip(expected) {
        *at = table.column(name, &expected)?;
    }
    let places = places(parameters);
    while table.advance()? {
        let Some(&place) = places.get(&clean(table.text(at[0]))) else {
            return Err(table.bad_cell(at[0], "a parameter of parameters.csv"));
        };
        let eps = table.number(at[1])?;
        if !(eps > 0.0 && eps.is_finite()) {
            return Err(table.bad_cell(at[1], "a positive number"));
        }
        let row = EpsRow { eps, errors: [table.number(at[2])?, table.number(at[3])?] };
        parameters[place].eps.push(row);
    }
    for parameter in parameters {
        parameter.eps.sort_by(|a, b| b.eps.total_cmp(&a.eps));
    }
    Ok(())
}

/// The larger, the worse: consistent failures, then by the failure rate's lower limit, ....
fn badness(parameter: &Parameter) -> (bool, f64, f64, u64, u64, f64) {
    let known = |v: f64| if v.is_nan() { -1.0 } else { v };
    (
        parameter.verdicts.is_consistent,
        known(parameter.verdicts.low),
        known(parameter.verdicts.rate),
        parameter.count(VerdictKind::GradientMissing),
        parameter.count(VerdictKind::Failed),
        known(parameter.largest),
    )
}

/// The parameters whose errors are drawn against their values, without dots yet.
fn chosen(parameters: &[Parameter]) -> Vec<Scatter> {
    let failing: Vec<&Parameter> =
        parameters.iter().filter(|p| p.count(VerdictKind::Fail) > 0).take(MOST_FAILING).collect();
    let chosen = if failing.is_empty() {
        let mut largest: Vec<&Parameter> =
            parameters.iter().filter(|p| !p.largest.is_nan()).collect();
        largest.sort_by(|a, b| b.largest.total_cmp(&a.largest));
        largest.truncate(MOST_LARGE);
        largest
    } else {
        failing
    };
    chosen.iter().map(|p| Scatter { id: p.id.clone(), dots: Vec::new() }).collect()
}

/// Joins `best.csv` with `points.csv`; true where points were left out.
fn read_dots(folder: &Path, scatters: &mut [Scatter]) -> Result<bool, ReportError> {
    let mut points = Table::open(folder.join("points.csv"))?;
    let mut expected = vec!["point"];
    expected.extend(scatters.iter().map(|s| s.id.as_str()));
    let point_at = points.column("point", &expected)?;
    let mut values_at = Vec::new();
    for scatter in scatters.iter() {
        // Parameters stand last: one may be called like a column before.
        let last = (0..points.header.len()).rev().find(|&k| clean(&points.header[k]) == scatter.id);
        values_at.push(match last {
            Some(at) => at,
            None => points.column(&scatter.id, &expected)?,
        });
    }
    let mut values: HashMap<String, Vec<f64>> = HashMap::new();
    let mut is_cut = false;
    while points.advance()? {
        if values.len() == MOST_POINTS {
            is_cut = true;
            break;
        }
        let row = values_at.iter().map(|&at| points.number(at)).collect::<Result<_, _>>()?;
        values.insert(points.text(point_at).to_owned(), row);
    }

    let mut best = Table::open(folder.join("best.csv"))?;
    let expected = ["point", "parameter", "grad", "estimate", "verdict"];
    let mut at = [0; 5];
    for (at, name) in at.iter_mut().zip(expected) {
        *at = best.column(name, &expected)?;
    }
    let [point_at, parameter_at, grad_at, estimate_at, verdict_at] = at;
    let places: HashMap<String, usize> =
        scatters.iter().enumerate().map(|(i, s)| (s.id.clone(), i)).collect();
    while best.advance()? {
        let Some(row) = values.get(best.text(point_at)) else {
            // Both tables have the points in the same order.
            if is_cut {
                break;
            }
            return Err(best.bad_cell(point_at, "a point of points.csv"));
        };
        let Some(&place) = places.get(&clean(best.text(parameter_at))) else { continue };
        let (gradient, estimate) = (best.number(grad_at)?, best.number(estimate_at)?);
        let word = best.text(verdict_at);
        let Some(verdict) = VerdictKind::ALL.into_iter().find(|k| k.name() == word) else {
            return Err(best.bad_cell(verdict_at, "a verdict"));
        };
        let error = (gradient - estimate).abs() / estimate.abs();
        scatters[place].dots.push(Dot { value: row[place], error, verdict });
    }
    Ok(is_cut)
}
