//! The page: what the template `page.html` is filled with.

use super::folder::{MOST_POINTS, Parameter, Sweep};
use super::text::{clean, figures};
use super::vees::Panel;
use super::{ReportError, bars, heat, scatter, vees};
use crate::check::VerdictKind;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde_json::Value as Json;

pub(super) const TEMPLATE: &str = include_str!("page.html");

/// Bars and heat map show the worst so many parameters.
pub(super) const MOST_ROWS: usize = 200;
/// The small plots of errors against eps show the worst so many.
pub(super) const MOST_VEES: usize = 24;
/// The heading names the worst so many.
const MOST_NAMED: usize = 12;
/// Longer cells of the table, in bytes, are given room.
const LONG: usize = 40;
/// Digits of numbers in the table; all of them are in its tooltips.
const DIGITS: usize = 4;

/// The page of a sweep.
pub(super) fn page(sweep: &Sweep) -> Result<String, ReportError> {
    let run = &sweep.run;
    let worst = &sweep.parameters[..sweep.parameters.len().min(MOST_ROWS)];
    let vees: Vec<&Parameter> = sweep.parameters.iter().take(MOST_VEES).collect();
    let named = || sweep.parameters.iter().filter(|p| p.is_consistent).take(MOST_NAMED);
    let value = |p: &Parameter| context! { id => &p.id, diagnosis => &p.diagnosis, location => &p.location };
    let failing: Vec<Value> = named().map(value).collect();
    let diagnosed: Vec<Value> = named().filter(|p| !p.diagnosis.is_empty()).map(value).collect();
    let located = sweep.parameters.iter().filter(|p| !p.location.is_empty());
    let located: Vec<Value> = located.take(MOST_NAMED).map(value).collect();
    let consistent = sweep.parameters.iter().filter(|p| p.is_consistent).count();
    let settings: Vec<Value> = run
        .settings
        .iter()
        .map(|(name, value)| context! { name => clean(name), value => setting(value) })
        .collect();
    let filled = context! {
        problem => run.text("problem")?,
        version => run.text("version")?,
        points => run.number("points")?,
        failed_points => run.number("failed_points")?,
        at => run.text("at")?,
        engine => run.text("engine")?,
        gradient_engine => run.text("gradient_engine")?,
        rtol => run.number("rtol")?,
        atol => run.number("atol")?,
        steps => run.text("steps")?,
        seed => run.number("seed")?,
        failing => failing,
        diagnosed => diagnosed,
        located => located,
        unnamed => consistent.saturating_sub(MOST_NAMED),
        all_parameters => sweep.parameters.len(),
        rows => worst.len(),
        bars => Value::from_safe_string(bars::draw(worst)),
        heat => heat::draw(worst).map(Value::from_safe_string),
        vees => panels(vees::draw(&vees)),
        vee_marks => vec![legend("plain", "mark plain", &vees::mark("plain", [5.0, 8.0])),
            legend("paired", "mark paired", &vees::mark("paired", [8.0, 8.0]))],
        scatters => panels(scatter::draw(&sweep.scatters)),
        is_cut => sweep.is_cut,
        most_points => MOST_POINTS,
        has_failure => sweep.parameters.iter().any(|p| p.count(VerdictKind::Fail) > 0),
        verdicts => VerdictKind::ALL.map(verdict).to_vec(),
        columns => columns(sweep),
        table => table(sweep),
        settings => settings,
    };
    let refused = |error: minijinja::Error| ReportError::Template { reason: format!("{error:#}") };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("page.html", TEMPLATE).map_err(refused)?;
    let template = environment.get_template("page.html").map_err(refused)?;
    template.render(filled).map_err(refused)
}

fn panels(panels: Vec<Panel>) -> Vec<Value> {
    let value =
        |p: Panel| context! { id => p.id, svg => Value::from_safe_string(p.svg), note => p.note };
    panels.into_iter().map(value).collect()
}

/// An entry of a legend: a word beside its mark.
fn legend(name: &str, class: &str, d: &str) -> Value {
    context! { name => name.to_owned(), class => class.to_owned(), d => d.to_owned() }
}

fn verdict(kind: VerdictKind) -> Value {
    let meaning = match kind {
        VerdictKind::Pass => "gradient and differences agree",
        VerdictKind::Fail => "they differ by more than tolerance and bound",
        VerdictKind::Inconclusive => "the bound is too wide to tell (noise or truncation)",
        VerdictKind::Kink => "one-sided differences differ: no derivative",
        VerdictKind::Insensitive => "both are zero as far as can be seen",
        VerdictKind::GradientMissing => "the gradient is NaN, infinite or absent",
        VerdictKind::Failed => {
            "no value at the point (base), or none above (plus), below (minus) or on both sides of it"
        }
    };
    let d = super::scatter::mark(kind, [7.0, 7.0]);
    context! { name => kind.name(), meaning => meaning, d => d }
}

/// The header of the table: a name, and whether the column's cells are numbers.
fn columns(sweep: &Sweep) -> Vec<Value> {
    let is_number = |k: usize| sweep.cells.iter().all(|row| number(&row[k]).is_some());
    let column = |(k, name): (usize, &String)| context! { name => name, is_number => is_number(k) };
    sweep.header.iter().enumerate().map(column).collect()
}

/// The cells of the table, shortened, with what the file has.
fn table(sweep: &Sweep) -> Vec<Value> {
    let cell = |text: &String| {
        let value = number(text);
        let shown = value.map_or_else(|| text.clone(), |v| figures(v, DIGITS));
        // What is whole stays so: counts are not rounded.
        let is_whole = text.bytes().all(|b| b.is_ascii_digit());
        let shown = if is_whole { text.clone() } else { shown };
        context! { text => text, shown => shown, is_number => value.is_some(), is_long => text.len() > LONG }
    };
    let row = |row: &Vec<String>| Value::from(row.iter().map(cell).collect::<Vec<_>>());
    sweep.cells.iter().map(row).collect()
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// A setting as text, or as a list of named texts.
pub(super) fn setting(value: &Json) -> Value {
    let plain = |value: &Json| match value {
        Json::String(text) => clean(text),
        other => clean(&other.to_string()),
    };
    match value {
        Json::Array(items) if items.is_empty() => Value::from("none"),
        Json::Array(items) => Value::from(items.iter().map(plain).collect::<Vec<_>>().join(", ")),
        Json::Object(members) => members
            .iter()
            .map(|(name, value)| context! { name => clean(name), value => plain(value) })
            .collect::<Vec<Value>>()
            .into(),
        other => Value::from(plain(other)),
    }
}
