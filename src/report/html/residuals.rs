//! A sweep over the derivatives of residuals as a page: verdicts by parameter, tables of parameters and
//! measurement rows.

use super::bars::{Bar, Rows};
use super::page::verdict;
use super::plots::{Entry as LegendEntry, Plot, file, style_with};
use super::run::Run;
use super::table::Table;
use super::text::clean;
use super::verdicts::{VerdictColumns, Verdicts};
use super::{ReportError, bars, template};
use crate::check::{Reason, VerdictKind};
use minijinja::context;
use minijinja::value::Value;
use std::cmp::Reverse;
use std::collections::HashSet;
use std::path::Path;

const PAGE: &str = include_str!("residuals.html");

/// Bars show the worst so many parameters; tables, so many rows each.
const MOST_BARS: usize = 100;
const MOST_ROWS: usize = 1000;
/// Parameters named in the head.
const MOST_NAMED: usize = 12;
const ROWS: Rows = Rows {
    one: "parameter",
    many: "parameters",
    counted: "points × measurement rows",
    label: 190.0,
};

/// A row of `parameters.csv`.
#[derive(Debug)]
struct Parameter {
    id: String,
    verdicts: Verdicts,
    /// The measurement row that deviates most; empty where none is compared.
    worst_row: String,
    cells: Vec<String>,
}

/// A row of `residuals.csv`.
#[derive(Debug)]
struct MeasurementRow {
    failing: u64,
    cells: Vec<String>,
}

/// A table's rows, the worst first, and its header.
#[derive(Debug)]
struct Listed<R> {
    header: Vec<String>,
    rows: Vec<R>,
}

/// What the sweep found.
#[derive(Debug)]
struct Residuals {
    run: Run,
    parameters: Listed<Parameter>,
    rows: Listed<MeasurementRow>,
}

impl Residuals {
    fn read(folder: &Path) -> Result<Self, ReportError> {
        Ok(Self {
            run: Run::read(folder)?,
            parameters: parameters(folder)?,
            rows: measurement_rows(folder)?,
        })
    }

    fn bars(&self) -> Vec<Bar> {
        let bar = |parameter: &Parameter| Bar {
            id: parameter.id.clone(),
            label: super::text::shortened(&parameter.id, super::svg::MOST_LETTERS),
            verdicts: parameter.verdicts,
            // The table has none.
            reasons: [0; Reason::ALL.len()],
        };
        self.parameters.rows.iter().take(MOST_BARS).map(bar).collect()
    }
}

fn parameters(folder: &Path) -> Result<Listed<Parameter>, ReportError> {
    let mut table = Table::open(folder.join("parameters.csv"))?;
    let mut expected = vec!["parameter"];
    expected.extend(VerdictColumns::names());
    expected.push("worst_row");
    let id_at = table.column("parameter", &expected)?;
    let verdicts_at = VerdictColumns::find(&table, &expected)?;
    let worst_at = table.column("worst_row", &expected)?;
    let (mut rows, mut seen) = (Vec::new(), HashSet::new());
    while table.advance()? {
        let id = clean(table.text(id_at));
        if !seen.insert(id.clone()) {
            let (file, line) = (table.file().to_owned(), table.line());
            return Err(ReportError::Twice { file, line, id });
        }
        rows.push(Parameter {
            id,
            verdicts: verdicts_at.read(&table)?,
            worst_row: clean(table.text(worst_at)),
            cells: table.cells(),
        });
    }
    if rows.is_empty() {
        return Err(ReportError::NoRows { file: table.file().to_owned() });
    }
    let badness = |p: &Parameter| (p.verdicts.is_consistent, p.verdicts.count(VerdictKind::Fail));
    rows.sort_by_key(|p| Reverse(badness(p)));
    Ok(Listed { header: table.header.iter().map(clean).collect(), rows })
}

fn measurement_rows(folder: &Path) -> Result<Listed<MeasurementRow>, ReportError> {
    let mut table = Table::open(folder.join("residuals.csv"))?;
    let name = VerdictKind::Fail.name();
    let failing_at = table.column(name, &["row", "observable", "condition", "time", name])?;
    let mut rows = Vec::new();
    while table.advance()? {
        rows.push(MeasurementRow { failing: table.count(failing_at)?, cells: table.cells() });
    }
    rows.sort_by_key(|row| Reverse(row.failing));
    Ok(Listed { header: table.header.iter().map(clean).collect(), rows })
}

/// A table for `table.html`: the worst rows, at most [`MOST_ROWS`].
fn table<'a>(header: &[String], all: impl Iterator<Item = &'a Vec<String>>) -> Value {
    let cells: Vec<&Vec<String>> = all.take(MOST_ROWS).collect();
    context! {
        listed => cells.len(),
        columns => template::columns(header, &cells),
        rows => template::rows(&cells),
    }
}

/// The page of a folder that `gradsweep sweep --mode residuals` wrote.
pub(super) fn page(folder: &Path) -> Result<String, ReportError> {
    let found = Residuals::read(folder)?;
    let Residuals { run, parameters, rows } = &found;
    let failing: Vec<&Parameter> =
        parameters.rows.iter().filter(|p| p.verdicts.is_consistent).collect();
    let named = |p: &&Parameter| context! { id => &p.id, row => &p.worst_row };
    let filled = context! {
        gradient => run.text("gradient")?,
        failing => failing.len(),
        named => failing.iter().take(MOST_NAMED).map(named).collect::<Vec<Value>>(),
        more_named => failing.len().saturating_sub(MOST_NAMED),
        failing_rows => rows.rows.iter().filter(|row| row.failing > 0).count(),
        all => parameters.rows.len(),
        parameters => parameters.rows.len(),
        all_rows => rows.rows.len(),
        bars => Value::from_safe_string(bars::draw(&found.bars(), &ROWS)),
        most_bars => MOST_BARS,
        verdicts => VerdictKind::ALL.map(verdict).to_vec(),
        by_parameter => table(&parameters.header, parameters.rows.iter().map(|p| &p.cells)),
        by_row => table(&rows.header, rows.rows.iter().map(|row| &row.cells)),
        settings => template::settings(run),
        ..template::facts(run)?
    };
    template::render(PAGE, filled)
}

/// Its plot as a file of its own.
pub(super) fn plots(folder: &Path) -> Result<Vec<Plot>, ReportError> {
    let found = Residuals::read(folder)?;
    let all = &found.parameters.rows;
    let seen = |kind: &VerdictKind| all.iter().any(|p| p.verdicts.count(*kind) > 0);
    let legend: Vec<LegendEntry> =
        VerdictKind::ALL.into_iter().filter(seen).map(LegendEntry::of_verdict).collect();
    let drawing = bars::draw(&found.bars(), &ROWS);
    let svg = file(&["Verdicts"], &legend, &drawing, &style_with(PAGE));
    Ok(vec![Plot { name: "verdicts.svg".to_owned(), svg }])
}
