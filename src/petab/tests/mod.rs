//! Whole problems, well-formed and broken, written to a folder and loaded.

mod names;
mod v1;
mod v1_errors;
mod v2;

use super::*;
use proptest::prelude::*;
use tempfile::TempDir;

/// A problem as files: names and contents.
#[derive(Clone)]
struct Files(Vec<(&'static str, String)>);

impl Files {
    fn new(files: &[(&'static str, &str)]) -> Self {
        Self(files.iter().map(|(name, text)| (*name, (*text).to_owned())).collect())
    }

    /// The same problem with `from`, which must occur, replaced by `to` in one file.
    fn with(&self, file: &str, from: &str, to: &str) -> Self {
        let mut changed = self.clone();
        let (_, text) = changed.0.iter_mut().find(|(name, _)| *name == file).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        *text = text.replace(from, to);
        changed
    }

    fn write(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in &self.0 {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn load(&self) -> Problem {
        load(self.write().path()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The message of the error, without the folder's name.
    fn error(&self) -> String {
        let folder = self.write();
        let message = load(folder.path()).expect_err("an error").to_string();
        message.replace(&format!("{}/", folder.path().display()), "")
    }

    /// Checks the message after each change: file, old text, new text, message.
    fn check_errors(&self, cases: &[(&str, &str, &str, &str)]) {
        for (file, from, to, message) in cases {
            assert_eq!(self.with(file, from, to).error(), *message, "{file}: {from:?} to {to:?}");
        }
    }
}

#[test]
fn the_problem_file_of_a_folder() {
    let v1 = v1::problem();
    let text = v1.0.iter().find(|(name, _)| *name == "p.yaml").unwrap().1.clone();
    let mut several = v1.clone();
    several.0.push(("q.yml", text));
    several.0.push(("solution.yaml", "llh: 1\n".to_owned()));
    let folder = several.write();
    assert_eq!(
        load(folder.path()).unwrap_err().to_string().replace(folder.path().to_str().unwrap(), "F"),
        "F: holds several PEtab problem files; name one of F/p.yaml, F/q.yml"
    );
    assert!(load(&folder.path().join("q.yml")).is_ok());
    std::fs::remove_file(folder.path().join("q.yml")).unwrap();
    assert_eq!(load(folder.path()).unwrap().path, folder.path().join("p.yaml"));

    let empty = tempfile::tempdir().unwrap();
    let message = load(empty.path()).unwrap_err().to_string();
    assert!(
        message.ends_with(
            ": holds no PEtab problem file; expected one file *.yaml or *.yml with \
             `format_version` and `parameter_file` (v1) or `parameter_files` (v2)"
        ),
        "{message}"
    );
    let absent = empty.path().join("absent.yaml");
    let message = load(&absent).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: ", absent.display())), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands in one of the files, loading ends with a problem or an error.
    #[test]
    fn arbitrary_files_do_not_panic(
        file in 0..6usize,
        at in 0..400usize,
        junk in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        for problem in [v1::problem(), v2::problem()] {
            let folder = problem.write();
            let (name, text) = &problem.0[file % problem.0.len()];
            let at = at.min(text.len());
            let bytes = [&text.as_bytes()[..at], &junk, &text.as_bytes()[at..]].concat();
            std::fs::write(folder.path().join(name), bytes).unwrap();
            let _ = load(&folder.path().join("p.yaml"));
        }
    }
}
