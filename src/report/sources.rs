//! Several gradients of one sweep side by side.

use super::csv_tables::{number, write_parameters};
use super::terminal::{Style, finish, new_table, short};
use crate::check::{CheckSummary, Comparison};
use crate::model::OdeProblem;
use comfy_table::{Cell, CellAlignment};
use std::io::{self, Write};

/// `parameters.csv` of all sources below each other, with a column `source` before the others.
pub fn write_all_parameters<W: Write>(
    out: &mut W,
    problem: &OdeProblem,
    sources: &[(&str, &CheckSummary)],
) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    for (k, (name, summary)) in sources.iter().enumerate() {
        let table = write_parameters(Vec::new(), problem, summary)?;
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(table.as_slice());
        for (line, record) in reader.records().enumerate() {
            let first = if line == 0 { "source" } else { name };
            if k == 0 || line > 0 {
                writer.write_record(std::iter::once(first).chain(record?.iter()))?;
            }
        }
    }
    writer.flush()
}

/// Two sources and their comparison, by parameter.
pub struct Compared<'a> {
    pub names: [&'a str; 2],
    pub parameters: Vec<Comparison>,
}

/// `sources.csv`: how far every two sources are apart, by parameter.
pub fn write_sources<W: Write>(
    out: &mut W,
    problem: &OdeProblem,
    compared: &[Compared<'_>],
) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "parameter",
        "first",
        "second",
        "points",
        "difference_median",
        "difference_max",
        "disagreements",
        "first_supported",
        "second_supported",
        "neither_supported",
        "undecided",
    ])?;
    for Compared { names, parameters } in compared {
        for row in parameters {
            let id = &problem.parameters[row.parameter.position()].id;
            let mut record = vec![id.clone(), names[0].to_owned(), names[1].to_owned()];
            record.push(row.points.to_string());
            record.extend([row.difference_median, row.difference_max].map(number));
            let [first, second] = row.supported;
            let counts = [row.disagreements, first, second, row.neither, row.undecided];
            record.extend(counts.map(|n| n.to_string()));
            writer.write_record(&record)?;
        }
    }
    writer.flush()
}

/// The same for people.
pub fn sources_table(problem: &OdeProblem, compared: &Compared<'_>, style: Style) -> String {
    let supported = compared.names.map(|name| format!("right: {name}"));
    let mut table = new_table(&[
        "parameter",
        "points",
        "median difference",
        "largest",
        "disagree",
        &supported[0],
        &supported[1],
        "neither",
        "undecided",
    ]);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    for row in &compared.parameters {
        let mut cells = vec![Cell::new(&problem.parameters[row.parameter.position()].id)];
        cells.push(right(row.points.to_string()));
        cells.extend([row.difference_median, row.difference_max].map(|v| right(short(v))));
        let [first, second] = row.supported;
        let counts = [row.disagreements, first, second, row.neither, row.undecided];
        cells.extend(counts.map(|n| right(n.to_string())));
        table.add_row(cells);
    }
    finish(table, style)
}
