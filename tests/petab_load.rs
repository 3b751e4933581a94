//! Loads every PEtab problem of the public collections.

use gradsweep::petab::{FormatVersion, ModelProblem, Problem, load};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn folder(variable: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: {variable} is not set");
    }
    folder
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut folders: Vec<_> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn loaded(path: &Path) -> Problem {
    load(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn simulations(model: &ModelProblem) -> usize {
    let used: BTreeSet<_> = model.measurements.iter().map(|m| m.experiment).collect();
    used.len()
}

/// Rows, distinct pairs of conditions, estimated and fixed parameters, rows at infinite time:
/// an inventory of the collection that was made with another program.
const BENCHMARKS: [(&str, [usize; 5]); 22] = [
    ("Alkan_SciSignal2018", [1733, 73, 56, 15, 0]),
    ("Armistead_CellDeathDis2024", [58, 2, 14, 0, 0]),
    ("Bachmann_MSB2011", [541, 36, 113, 2, 0]),
    ("Beer_MolBioSystems2014", [27132, 19, 72, 0, 0]),
    ("Bertozzi_PNAS2020", [22, 2, 8, 0, 0]),
    ("Blasi_CellSystems2016", [252, 1, 9, 1, 252]),
    ("Boehm_JProteomeRes2014", [48, 1, 9, 2, 0]),
    ("Borghans_BiophysChem1997", [111, 1, 23, 0, 0]),
    ("Brannmark_JBC2010", [43, 8, 22, 0, 0]),
    ("Bruno_JExpBot2016", [77, 6, 13, 0, 0]),
    ("Chen_MSB2009", [120, 4, 155, 33, 0]),
    ("Crauste_CellSystems2017", [21, 1, 12, 0, 0]),
    ("Fiedler_BMCSystBiol2016", [72, 3, 22, 3, 0]),
    ("Fujita_SciSignal2010", [144, 6, 19, 0, 0]),
    ("Giordano_Nature2020", [313, 1, 50, 0, 0]),
    ("Lang_PLOSComputBiol2024", [9600, 1, 294, 81, 0]),
    ("Lucarelli_CellSystems2018", [1755, 16, 84, 33, 0]),
    ("Perelson_Science1996", [16, 1, 3, 3, 0]),
    ("Raimundez_PCB2020", [627, 170, 136, 13, 0]),
    ("SalazarCavazos_MBoC2020", [18, 4, 6, 0, 0]),
    ("Smith_BMCSystBiol2013", [62, 35, 25, 54, 0]),
    ("Zhao_QuantBiol2020", [82, 7, 28, 1, 0]),
];

#[test]
fn benchmark_collection() {
    let Some(collection) = folder("PETAB_BENCHMARKS_DIR") else { return };
    let folders = subfolders(&collection);
    assert!(!folders.is_empty());
    let mut compared = 0;
    for folder in folders {
        let problem = loaded(&folder);
        assert_eq!((problem.format, problem.models.len()), (FormatVersion::V1, 1));
        let model = &problem.models[0];
        assert!(model.model_location.is_file());
        let name = folder.file_name().unwrap().to_str().unwrap();
        if let Some((_, expected)) = BENCHMARKS.iter().find(|(known, _)| *known == name) {
            let estimated = problem.estimated().count();
            let steady = model.measurements.iter().filter(|m| m.time.is_infinite()).count();
            let fixed = problem.parameters.len() - estimated;
            let found = [model.measurements.len(), simulations(model), estimated, fixed, steady];
            assert_eq!(found, *expected, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 0, "none of the collection's problems is known");
}

#[test]
fn a_table_of_thirty_thousand_rows_is_read_quickly() {
    let Some(collection) = folder("PETAB_BENCHMARKS_DIR") else { return };
    let beer = collection.join("Beer_MolBioSystems2014");
    let start = Instant::now();
    let problem = loaded(&beer);
    let elapsed = start.elapsed();
    assert_eq!(problem.models[0].measurements.len(), 27132);
    assert!(elapsed.as_secs_f64() < 1.0, "took {elapsed:?}");
}

#[test]
fn test_suite() {
    let Some(suite) = folder("PETAB_TEST_SUITE_DIR") else { return };
    for (version, format) in [("v1", FormatVersion::V1), ("v2", FormatVersion::V2)] {
        let folders = subfolders(&suite.join(version));
        assert!(!folders.is_empty());
        for folder in folders {
            let problem = loaded(&folder);
            assert_eq!(problem.format, format, "{}", folder.display());
            assert!(problem.models.iter().all(|model| model.model_location.is_file()));
        }
    }
}
