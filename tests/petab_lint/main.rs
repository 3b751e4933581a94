//! What PEtab's own linter rejects is refused, with the file, the line and the id.
//!
//! One bad problem for each of its checks that `src/petab/tests` does not have already. With
//! `GRADSWEEP_LINT_OUT` naming a folder the problems are left there, for the linter to judge.

mod v1;
mod v2;

use gradsweep::model::{self, ModelError};
use std::path::{Path, PathBuf};

const MODEL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1">
  <model id="m">
    <listOfCompartments>
      <compartment id="cell" size="1" constant="true" spatialDimensions="3"/>
    </listOfCompartments>
    <listOfSpecies>
      <species id="A" compartment="cell" initialConcentration="1"
        hasOnlySubstanceUnits="false" boundaryCondition="false" constant="false"/>
      <species id="B" compartment="cell" initialConcentration="0"
        hasOnlySubstanceUnits="false" boundaryCondition="false" constant="false"/>
    </listOfSpecies>
    <listOfParameters>
      <parameter id="k1" value="0.5" constant="true"/>
      <parameter id="dose" value="0" constant="true"/>
      <parameter id="twice" constant="false"/>
    </listOfParameters>
    <listOfRules>
      <assignmentRule variable="twice">
        <math xmlns="http://www.w3.org/1998/Math/MathML">
          <apply><times/><cn> 2 </cn><ci> A </ci></apply>
        </math>
      </assignmentRule>
    </listOfRules>
    <listOfReactions>
      <reaction id="r1" reversible="false" fast="false">
        <listOfReactants>
          <speciesReference species="A" stoichiometry="1" constant="true"/>
        </listOfReactants>
        <listOfProducts>
          <speciesReference species="B" stoichiometry="1" constant="true"/>
        </listOfProducts>
        <kineticLaw>
          <math xmlns="http://www.w3.org/1998/Math/MathML">
            <apply><times/><ci> cell </ci><ci> k1 </ci><ci> A </ci></apply>
          </math>
        </kineticLaw>
      </reaction>
    </listOfReactions>
  </model>
</sbml>
"#;

/// A folder with a problem's files.
struct Folder {
    path: PathBuf,
    _removed_at_the_end: Option<tempfile::TempDir>,
}

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let (path, kept) = match std::env::var_os("GRADSWEEP_LINT_OUT") {
            Some(out) => (Path::new(&out).join(name), None),
            None => {
                let folder = tempfile::tempdir().unwrap();
                (folder.path().to_owned(), Some(folder))
            }
        };
        std::fs::create_dir_all(&path).unwrap();
        for (file, text) in files {
            std::fs::write(path.join(file), text).unwrap();
        }
        Self { path, _removed_at_the_end: kept }
    }

    fn message(&self) -> String {
        let error = match model::load(&self.path) {
            Ok(_) => "no error".to_owned(),
            Err(error) => error.to_string(),
        };
        error.replace(&format!("{}/", self.path.display()), "")
    }
}

/// A check of the linter: file, old text, new text, our message.
type Case = (&'static str, &'static str, &'static str, &'static str);

fn check(kind: &str, problem: &[(&str, &str)], cases: &[Case]) {
    let good = Folder::new(&format!("{kind}-good"), problem);
    model::load(&good.path).unwrap_or_else(|error| panic!("{error}"));
    let mut wrong = Vec::new();
    for (i, (file, from, to, expected)) in cases.iter().enumerate() {
        let mut files = problem.to_vec();
        let (_, text) = files.iter_mut().find(|(name, _)| name == file).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        let changed = text.replace(from, to);
        *text = &changed;
        let folder = Folder::new(&format!("{kind}-{i:02}"), &files);
        let found = folder.message();
        if found != *expected {
            wrong.push(format!(
                "{file}: {from:?} to {to:?}\n  found    {found}\n  expected {expected}"
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Nothing that the public collections contain is refused for its tables.
#[test]
fn the_tables_of_the_collections_are_accepted() {
    for (variable, subfolders) in
        [("PETAB_BENCHMARKS_DIR", &[""][..]), ("PETAB_TEST_SUITE_DIR", &["v1", "v2"])]
    {
        let Some(collection) = std::env::var_os(variable) else {
            println!("skipped: {variable} is not set");
            continue;
        };
        let mut count = 0;
        for subfolder in subfolders {
            let entries = std::fs::read_dir(Path::new(&collection).join(subfolder)).unwrap();
            let paths = entries.map(|entry| entry.unwrap().path());
            for problem in paths.filter(|path| path.is_dir()) {
                count += 1;
                // Models may well have what is not supported.
                if let Err(error @ ModelError::Petab(_)) = model::load(&problem) {
                    panic!("{error}");
                }
            }
        }
        assert!(count > 0, "{variable} names a folder without problems");
    }
}
