//! A sweep over second derivatives as a page: verdicts, the matrix, a table of entries.

use super::bars::{Bar, Rows};
use super::entries::{Entries, Entry};
use super::page::verdict;
use super::plots::{Entry as LegendEntry, Plot, file, style_with};
use super::text::shortened;
use super::{ReportError, bars, matrix, template};
use crate::check::{Reason, VerdictKind};
use minijinja::context;
use minijinja::value::Value;
use std::path::Path;

const PAGE: &str = include_str!("hessian.html");

/// Bars show the worst so many entries; the maps, so many parameters; the table, so many entries.
const MOST_BARS: usize = 40;
const MOST_IDS: usize = 100;
const MOST_ROWS: usize = 1000;
/// Lines of diagnoses, and entries named in each.
const MOST_LINES: usize = 12;
const MOST_NAMED: usize = 10;
/// Letters of either id before a bar, two of them and what is between in the rows' room.
const LETTERS: usize = 18;
const ROWS: Rows = Rows { one: "entry", many: "entries", counted: "points", label: 304.0 };

/// Entries with one mistake.
struct Cause<'a> {
    diagnosis: &'a str,
    entries: Vec<&'a Entry>,
}

/// The page of a folder that `gradsweep sweep --order 1` wrote.
pub(super) fn page(folder: &Path) -> Result<String, ReportError> {
    let entries = Entries::read(folder)?;
    let run = &entries.run;
    let failing = entries.worst().filter(|e| e.verdicts.is_consistent).count();
    let causes = causes(&entries);
    let lines = causes.iter().take(MOST_LINES).map(|cause| {
        let names: Vec<String> = cause.entries.iter().take(MOST_NAMED).map(|e| e.id()).collect();
        context! { names => names.join("; "), more => cause.entries.len() - names.len(),
        diagnosis => cause.diagnosis }
    });
    let matrix = entries.matrix(MOST_IDS);
    // Each order of an entry has the points.
    let asymmetric = entries.all.iter().filter(|e| e.row < e.column && e.asymmetric > 0);
    let listed: Vec<&Entry> = match entries.all.len() > MOST_ROWS {
        true => entries.worst().take(MOST_ROWS).collect(),
        false => entries.all.iter().collect(),
    };
    let cells: Vec<&Vec<String>> = listed.iter().map(|entry| &entry.cells).collect();
    let filled = context! {
        hessian => run.text("hessian")?,
        failing => failing,
        causes => lines.collect::<Vec<Value>>(),
        more_causes => causes.len().saturating_sub(MOST_LINES),
        asymmetric => asymmetric.count(),
        all => entries.all.len(),
        parameters => entries.ids.len(),
        bars => Value::from_safe_string(bars::draw(&worst_bars(&entries), &ROWS)),
        most_bars => MOST_BARS,
        drawn => matrix.ids.len(),
        matrix => Value::from_safe_string(matrix::draw(&matrix)),
        verdicts => VerdictKind::ALL.map(verdict).to_vec(),
        listed => listed.len(),
        table_id => "entries",
        columns => template::columns(&entries.header, &cells),
        table => template::rows(&cells),
        settings => template::settings(run),
        ..template::facts(run)?
    };
    template::render(PAGE, filled)
}

/// Its plots as files of their own.
pub(super) fn plots(folder: &Path) -> Result<Vec<Plot>, ReportError> {
    let entries = Entries::read(folder)?;
    let style = style_with(PAGE);
    let seen = |kind: &VerdictKind| entries.all.iter().any(|e| e.verdicts.count(*kind) > 0);
    let legend: Vec<LegendEntry> =
        VerdictKind::ALL.into_iter().filter(seen).map(LegendEntry::of_verdict).collect();
    let plot = |name: &str, title: &str, drawing: &str| Plot {
        name: format!("{name}.svg"),
        svg: file(&[title], &legend, drawing, &style),
    };
    let drawn = matrix::draw(&entries.matrix(MOST_IDS));
    Ok(vec![
        plot("verdicts", "Verdicts", &bars::draw(&worst_bars(&entries), &ROWS)),
        plot("matrix", "Second derivatives: verdicts and median errors", &drawn),
    ])
}

fn worst_bars(entries: &Entries) -> Vec<Bar> {
    let label = |id: &str| shortened(id, LETTERS);
    let bar = |entry: &Entry| Bar {
        id: entry.id(),
        label: format!("{}, {}", label(&entry.row), label(&entry.column)),
        verdicts: entry.verdicts,
        // The table has none.
        reasons: [0; Reason::ALL.len()],
    };
    entries.worst().take(MOST_BARS).map(bar).collect()
}

/// Consistent failures by what is likely wrong, those first of which something is said.
fn causes(entries: &Entries) -> Vec<Cause<'_>> {
    let mut causes: Vec<Cause<'_>> = Vec::new();
    for entry in entries.worst().filter(|e| e.verdicts.is_consistent) {
        match causes.iter_mut().find(|cause| cause.diagnosis == entry.diagnosis) {
            Some(cause) => cause.entries.push(entry),
            None => causes.push(Cause { diagnosis: &entry.diagnosis, entries: vec![entry] }),
        }
    }
    causes.sort_by_key(|cause| cause.diagnosis.is_empty());
    causes
}
