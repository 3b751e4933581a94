//! The PEtab simulation table: the measurement table with simulated instead of measured values.

use crate::model::OdeProblem;
use crate::model::standalone::Standalone;
use crate::objective::Prediction;
use crate::petab::{Row, Table};
use std::io::{self, Write};

/// The column of the measurement table that the simulation table does without, and the one that
/// takes its place.
const MEASUREMENT: &str = "measurement";
const SIMULATION: &str = "simulation";

/// Writes the simulation table of a problem: tab-separated, a line for every row of the problem in
/// their order, with the cells of its measurement. In place of `measurement` stands `simulation`:
/// the simulated observable on the linear scale, in its own units, with as many digits as give
/// back the same bits (`NaN` where the simulation failed).
///
/// Of several measurement files, all columns are written, in the order in which they are first
/// seen; cells that a file does not have stay empty. Columns without a name are left out.
///
/// # Errors
/// Those of `out`.
///
/// # Panics
/// If there is not one prediction for each of the problem's rows.
pub fn write_simulation_table(
    problem: &OdeProblem,
    predictions: &[Prediction],
    out: &mut dyn Write,
) -> io::Result<()> {
    assert_eq!(predictions.len(), problem.row_count(), "one prediction for each row");
    // Models of one v2 problem share their tables; each part of a v1 problem has its own.
    let mut tables: Vec<&Table> = Vec::new();
    let mut rows: Vec<SimulatedRow<'_>> = Vec::with_capacity(predictions.len());
    let mut predictions = predictions.iter();
    for model in problem.all() {
        let part = &problem.petab.models[model.model_index];
        let first = tables
            .iter()
            .position(|table| {
                part.measurement_tables.first().is_some_and(|t| std::ptr::eq(*table, t))
            })
            .unwrap_or_else(|| {
                tables.extend(part.measurement_tables.iter());
                tables.len() - part.measurement_tables.len()
            });
        for (row, prediction) in model.rows.iter().zip(predictions.by_ref()) {
            let measurement = &part.measurements[row.measurement];
            let cells = part.measurement_tables[measurement.table]
                .row(measurement.row)
                .expect("a measurement is a row of its table");
            let place = (first + measurement.table, measurement.row);
            rows.push(SimulatedRow { place, cells, y: prediction.y });
        }
    }
    rows.sort_by_key(|row| row.place);
    write_rows(&tables, rows.into_iter(), out)
}

/// Writes what a model computes over time: comma-separated, a line for each time, a column for each
/// quantity by its id, with as many digits as give back the same bits.
///
/// # Errors
/// Those of `out`.
pub fn write_time_course(
    standalone: &Standalone,
    predictions: &[Prediction],
    out: &mut dyn Write,
) -> io::Result<()> {
    let ids = standalone.quantities.iter().map(|q| q.id.as_str());
    let header: Vec<&str> = std::iter::once("time").chain(ids).collect();
    writeln!(out, "{}", header.join(","))?;
    for (t, time) in standalone.times.iter().enumerate() {
        write!(out, "{time:?}")?;
        for q in 0..standalone.quantities.len() {
            write!(out, ",{:?}", predictions[standalone.row(t, q).position()].y)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// A measurement's cells and its simulated value.
struct SimulatedRow<'t> {
    /// The position of its table, and the row's there.
    place: (usize, usize),
    cells: Row<'t>,
    y: f64,
}

fn write_rows<'t>(
    tables: &[&Table],
    rows: impl Iterator<Item = SimulatedRow<'t>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let columns = columns(tables);
    // Where each table has each column.
    let positions: Vec<Vec<Option<usize>>> = tables
        .iter()
        .map(|table| columns.iter().map(|column| position(table, column)).collect())
        .collect();
    let renamed = columns.iter().map(|&column| match column {
        MEASUREMENT => SIMULATION,
        other => other,
    });
    writeln!(out, "{}", renamed.collect::<Vec<_>>().join("\t"))?;
    for row in rows {
        for (i, (&column, position)) in columns.iter().zip(&positions[row.place.0]).enumerate() {
            if i > 0 {
                write!(out, "\t")?;
            }
            match position {
                Some(_) if column == MEASUREMENT => write!(out, "{:?}", row.y)?,
                Some(position) => write!(out, "{}", row.cells.cell(*position))?,
                None => {}
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn position(table: &Table, column: &str) -> Option<usize> {
    table.header().iter().position(|name| name == column)
}

/// The columns of all tables, in the order in which they are first seen. A measurement table that
/// already has a column `simulation` would give two of them.
fn columns<'t>(tables: &[&'t Table]) -> Vec<&'t str> {
    let mut columns: Vec<&str> = Vec::new();
    for name in tables.iter().flat_map(|table| table.header()) {
        if !name.is_empty() && name != SIMULATION && !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;
    use std::path::Path;

    fn table(text: &str) -> Table {
        Table::parse(Path::new("m.tsv"), text.to_owned()).unwrap()
    }

    fn write(tables: &[Table], rows: &[(usize, usize, f64)]) -> String {
        let rows = rows.iter().map(|&(table, row, y)| {
            let cells = tables[table].row(row).unwrap();
            SimulatedRow { place: (table, row), cells, y }
        });
        let tables: Vec<&Table> = tables.iter().collect();
        let mut out = Vec::new();
        write_rows(&tables, rows, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn measured_values_are_replaced() {
        let tables =
            [table("observableId\tmeasurement\ttime\tdatasetId\ny1\t0.5\t0\td1\ny2\t7\t10\n")];
        assert_eq!(
            write(&tables, &[(0, 0, 0.1), (0, 1, 1e300)]),
            "observableId\tsimulation\ttime\tdatasetId\ny1\t0.1\t0\td1\ny2\t1e300\t10\t\n"
        );
        assert_eq!(
            write(&tables, &[(0, 1, f64::NAN), (0, 0, 0.1 + 0.2)]),
            "observableId\tsimulation\ttime\tdatasetId\n\
             y2\tNaN\t10\t\ny1\t0.30000000000000004\t0\td1\n"
        );
    }

    #[test]
    fn columns_of_several_files_are_united() {
        let tables = [
            table("observableId\ttime\tmeasurement\t\ny1\t0\t0.5\tunnamed\n"),
            table(
                "noiseParameters\tmeasurement\tsimulation\tobservableId\ttime\n\
                 s1;s2\t3\t4\ty2\t5\n",
            ),
        ];
        assert_eq!(
            write(&tables, &[(1, 0, -2.0), (0, 0, 1.5)]),
            "observableId\ttime\tsimulation\tnoiseParameters\ny2\t5\t-2.0\ts1;s2\ny1\t0\t1.5\t\n"
        );
    }

    const SBML: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level2/version4" level="2" version="4">
  <model id="decay">
    <listOfCompartments><compartment id="c" size="1"/></listOfCompartments>
    <listOfSpecies>
      <species id="x" compartment="c" initialConcentration="1"/>
    </listOfSpecies>
    <listOfParameters><parameter id="k" value="1"/></listOfParameters>
    <listOfReactions>
      <reaction id="r" reversible="false">
        <listOfReactants><speciesReference species="x"/></listOfReactants>
        <kineticLaw>
          <math xmlns="http://www.w3.org/1998/Math/MathML">
            <apply><times/><ci>k</ci><ci>x</ci></apply>
          </math>
        </kineticLaw>
      </reaction>
    </listOfReactions>
  </model>
</sbml>
"#;

    #[test]
    fn a_problem_with_two_measurement_files() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("model.xml", SBML),
            (
                "problem.yaml",
                "format_version: 1\nparameter_file: parameters.tsv\nproblems:\n\
                 - sbml_files: [model.xml]\n  condition_files: [conditions.tsv]\n  \
                 observable_files: [observables.tsv]\n  measurement_files: [m1.tsv, m2.tsv]\n",
            ),
            (
                "parameters.tsv",
                "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\n\
                 k\tlog10\t0.01\t100\t1\t1\n",
            ),
            ("conditions.tsv", "conditionId\nc1\n"),
            ("observables.tsv", "observableId\tobservableFormula\tnoiseFormula\nobs\tx\t1\n"),
            (
                "m1.tsv",
                "observableId\tsimulationConditionId\tmeasurement\ttime\n\
                 obs\tc1\t0.9\t2\nobs\tc1\t0.8\t1\n",
            ),
            (
                "m2.tsv",
                "replicateId\tobservableId\tsimulationConditionId\tmeasurement\ttime\n\
                 r1\tobs\tc1\t0.7\t1\n",
            ),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let problem = model::load(folder.path()).unwrap();
        let predictions = [0.25, 0.5, 0.75].map(|y| Prediction { y, sigma: 1.0 });
        let mut out = Vec::new();
        write_simulation_table(&problem, &predictions, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "observableId\tsimulationConditionId\tsimulation\ttime\treplicateId\n\
             obs\tc1\t0.25\t2\t\nobs\tc1\t0.5\t1\t\nobs\tc1\t0.75\t1\tr1\n"
        );
    }
}
