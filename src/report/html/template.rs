//! Filling in the templates of pages, and what all of them have: style, settings, a table.

use super::ReportError;
use super::run::Run;
use super::text::{clean, figures};
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde_json::Value as Json;

/// The rules of all pages; those between the marks are the plots'.
pub(super) const STYLE: &str = include_str!("style.css");

/// Parts that templates include, by name.
const PARTS: [(&str, &str); 6] = [
    ("style.css", STYLE),
    ("facts.html", include_str!("facts.html")),
    ("legend.html", include_str!("legend.html")),
    ("settings.html", include_str!("settings.html")),
    ("table.html", include_str!("table.html")),
    ("sort.html", include_str!("sort.html")),
];

/// Longer cells of a table, in bytes, are given room.
const LONG: usize = 40;
/// Digits of numbers in a table; all of them are in its tooltips.
const DIGITS: usize = 4;

/// A template with its values; what they hold is escaped.
pub(super) fn render(template: &str, values: Value) -> Result<String, ReportError> {
    let refused = |error: minijinja::Error| ReportError::Template { reason: format!("{error:#}") };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, part) in PARTS {
        environment.add_template(name, part).map_err(refused)?;
    }
    environment.add_template("page", template).map_err(refused)?;
    environment.get_template("page").and_then(|page| page.render(values)).map_err(refused)
}

/// The values of `facts.html` and its like: what was run, of `run.json`.
pub(super) fn facts(run: &Run) -> Result<Value, ReportError> {
    Ok(context! {
        problem => run.text("problem")?,
        version => run.text("version")?,
        points => run.number("points")?,
        failed_points => run.number("failed_points")?,
        at => run.text("at")?,
        engine => run.text("engine")?,
        rtol => run.number("rtol")?,
        atol => run.number("atol")?,
        steps => run.text("steps")?,
        seed => run.number("seed")?,
    })
}

/// The values of `settings.html`: all of `run.json`.
pub(super) fn settings(run: &Run) -> Vec<Value> {
    let named =
        |(name, value): &(String, Json)| context! { name => clean(name), value => setting(value) };
    run.settings.iter().map(named).collect()
}

/// A setting as text, or as a list of named texts.
fn setting(value: &Json) -> Value {
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

/// The columns of `table.html`: a name, and whether the column's cells are numbers.
pub(super) fn columns(header: &[String], rows: &[&Vec<String>]) -> Vec<Value> {
    let is_number = |k: usize| rows.iter().all(|row| number(&row[k]).is_some());
    let column = |(k, name): (usize, &String)| context! { name => name, is_number => is_number(k) };
    header.iter().enumerate().map(column).collect()
}

/// The rows of `table.html`: cells shortened, with what the file has.
pub(super) fn rows(rows: &[&Vec<String>]) -> Vec<Value> {
    let cell = |text: &String| {
        let value = number(text);
        let shown = value.map_or_else(|| text.clone(), |v| figures(v, DIGITS));
        // What is whole stays so: counts are not rounded.
        let is_whole = text.bytes().all(|b| b.is_ascii_digit());
        let shown = if is_whole { text.clone() } else { shown };
        context! { text => text, shown => shown, is_number => value.is_some(), is_long => text.len() > LONG }
    };
    let row = |row: &&Vec<String>| Value::from(row.iter().map(cell).collect::<Vec<_>>());
    rows.iter().map(row).collect()
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}
