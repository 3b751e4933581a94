//! Damaged copies of good files are read to an end: no panic, no hang, an error with a message.
//!
//! The same entry points as in `fuzz/`, without a coverage-guided fuzzer: the inputs are the same
//! in every run. Seeds are the files under `data/` and the small ones of the public collections,
//! where their variables are set. `GRADSWEEP_FULL=1` tries twenty times as many.

use gradsweep::petab::fuzzing;
use gradsweep::report;
use gradsweep::sbml;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MAX_SEED_BYTES: u64 = 12_000;

/// What may matter to one reader or another.
const WORDS: [&str; 40] = [
    "\t",
    "\n",
    "\r\n",
    ";",
    ",",
    "(",
    ")",
    "^",
    "-",
    "!",
    "&&",
    "<=",
    "\"",
    "'",
    ":",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "inf",
    "-inf",
    "nan",
    "1e308",
    "1e-400",
    "0",
    "-1",
    "999999999999999999999",
    "time",
    "piecewise(",
    "log(",
    "<apply>",
    "</apply>",
    "<ci>",
    "<!-- ",
    "&#x10FFFF;",
    "\u{feff}",
    "é",
];

/// All small files below the folders whose name ends so, in order.
fn files(ending: &str) -> Vec<PathBuf> {
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("data")];
    for variable in ["PETAB_BENCHMARKS_DIR", "PETAB_TEST_SUITE_DIR", "SBML_CASES_DIR"] {
        open.extend(std::env::var_os(variable).map(PathBuf::from));
    }
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if entry.file_name().to_string_lossy().ends_with(ending)
                && entry.metadata().unwrap().len() <= MAX_SEED_BYTES
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn texts(files: &[PathBuf]) -> Vec<String> {
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

/// Problems' tables as `fuzzing::tables` takes them.
fn problems() -> Vec<String> {
    let tables = files(".tsv");
    let mut folders: Vec<&Path> = tables.iter().filter_map(|file| file.parent()).collect();
    folders.dedup();
    let of_folder = |folder: &Path| {
        let yaml = files_in(folder, ".yaml").concat();
        let version = if yaml.contains("parameter_files") { 2 } else { 1 };
        let mut text = format!("{version}\n");
        for table in tables.iter().filter(|file| file.parent() == Some(folder)) {
            if let Some(kind) = kind_of(&table.file_name().unwrap().to_string_lossy()) {
                text += &format!("#{kind}\n{}\n", std::fs::read_to_string(table).unwrap());
            }
        }
        text
    };
    folders.into_iter().map(of_folder).collect()
}

fn files_in(folder: &Path, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    texts(&found)
}

fn kind_of(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let kinds = ["condition", "parameter", "observable", "measurement", "experiment", "mapping"];
    let sections =
        ["conditions", "parameters", "observables", "measurements", "experiments", "mapping"];
    if name.contains("simul") || name.contains("visual") {
        return None;
    }
    kinds.iter().position(|kind| name.contains(kind)).map(|i| sections[i])
}

/// The cells of all tables, formulas among them.
fn formulas() -> Vec<String> {
    let all = problems().concat();
    let mut cells: Vec<String> = all
        .split(['\t', '\n'])
        .filter(|cell| cell.contains(['*', '(', '+']))
        .map(str::to_owned)
        .collect();
    cells.sort();
    cells.dedup();
    cells
}

struct Mutator {
    random: Pcg64Mcg,
}

impl Mutator {
    fn below(&mut self, limit: usize) -> usize {
        self.random.random_range(0..limit.max(1))
    }

    /// A copy of a seed with a few changes.
    fn mutate(&mut self, seeds: &[String]) -> String {
        let mut bytes = seeds[self.below(seeds.len())].clone().into_bytes();
        for _ in 0..=self.below(5) {
            let from = self.below(bytes.len());
            let length = match self.below(4) {
                0 => self.below(bytes.len() - from + 1),
                _ => self.below((bytes.len() - from + 1).min(12)),
            };
            match self.below(8) {
                0 => drop(bytes.drain(from..from + length)),
                1 => {
                    let copy = bytes[from..from + length].to_vec();
                    let at = self.below(bytes.len() + 1);
                    bytes.splice(at..at, copy);
                }
                2 => {
                    let copy =
                        bytes[from..from + length].repeat(1 + self.below(300) / (1 + length / 8));
                    bytes.splice(from..from, copy);
                }
                3 => bytes.truncate(from),
                4 => {
                    if let Some(byte) = bytes.get_mut(from) {
                        *byte = self.random.random_range(9..127);
                    }
                }
                5 => {
                    let other = seeds[self.below(seeds.len())].as_bytes();
                    let start = self.below(other.len());
                    let piece = &other[start..(start + length).min(other.len())];
                    bytes.splice(from..from + length, piece.iter().copied());
                }
                _ => {
                    let word = WORDS[self.below(WORDS.len())];
                    bytes.splice(from..from + length.min(4), word.bytes());
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Feeds seeds as they are, then damaged ones.
fn feed(seeds: Vec<String>, read: impl Fn(&str) -> bool) {
    feed_some(50_000, seeds, read);
}

/// The same with so many damaged ones.
fn feed_some(count: usize, seeds: Vec<String>, read: impl Fn(&str) -> bool) {
    let is_full = std::env::var_os("GRADSWEEP_FULL").is_some_and(|value| value == "1");
    let count = if is_full { 20 * count } else { count };
    let mut mutator = Mutator { random: Pcg64Mcg::seed_from_u64(20) };
    assert!(!seeds.is_empty());
    let mut sound = 0;
    for round in 0..seeds.len() + count {
        let text = seeds.get(round).cloned().unwrap_or_else(|| mutator.mutate(&seeds));
        let began = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| read(&text)));
        let Ok(is_sound) = ended else { panic!("input {round} panics: {text:?}") };
        assert!(began.elapsed() < Duration::from_secs(10), "input {round} takes long: {text:?}");
        sound += usize::from(is_sound);
    }
    // Neither all refused by the first line nor none damaged.
    assert!(sound > count / 100 && sound < count, "{sound} of {count} are sound");
}

#[test]
fn problem_files() {
    feed(texts(&files(".yaml")), fuzzing::problem_file);
}

#[test]
fn tables() {
    feed(problems(), fuzzing::tables);
}

#[test]
fn models() {
    feed(texts(&files(".xml")), |text| match sbml::read_str(text, "m.xml") {
        Ok(_) => true,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    });
}

#[test]
fn math() {
    feed(formulas(), fuzzing::formula);
}

/// Fewer than of the others: each makes files, a page and plots.
#[test]
fn folders_of_sweeps() {
    let files = ["run.json", "parameters.csv", "eps.csv", "where.csv", "points.csv", "best.csv"];
    feed_folder(3_000, "0", &files);
}

#[test]
fn folders_of_second_derivatives() {
    feed_folder(1_500, "1", &["run.json", "hessian.csv"]);
}

/// Feeds files of a sweep over derivatives of an order.
fn feed_folder(count: usize, order: &str, files: &[&str]) {
    let work = tempfile::tempdir().unwrap();
    let problem = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conversion");
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_gradsweep"))
        .arg("sweep")
        .arg(problem)
        .args(["--points", "3", "--engine", "cpu", "--out", "s", "--order", order])
        .current_dir(work.path())
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    let read = |name: &&str| {
        let text = std::fs::read_to_string(work.path().join("s").join(name)).unwrap();
        format!("#{name}\n{text}")
    };
    let seed: String = files.iter().map(read).collect();
    let at = work.path().join("fed");
    std::fs::create_dir(&at).unwrap();
    assert!(report::fuzzing::folder(&seed, &at).unwrap(), "the seed is sound");
    feed_some(count, vec![seed], |text| report::fuzzing::folder(text, &at).unwrap());
}

/// Says whether a text is sound.
type Reader<'r> = &'r dyn Fn(&str) -> bool;

/// One piece many times over: nesting must not exhaust the stack, length not time.
#[test]
fn repetitions() {
    let pieces = [
        "[",
        "{",
        "- ",
        "? ",
        "a: ",
        "&a [*a,",
        "!!x ",
        "'",
        "|\n ",
        "(",
        "-",
        "!",
        "-(",
        "2^",
        "a+",
        "a*-",
        "a&&",
        "sin(",
        "piecewise(1,",
        "\t",
        "a\t",
        "\n",
        "a\n",
        ";",
        "\"",
        "<a>",
        "<!--",
        "&lt;",
    ];
    let sbml = |text: &str| sbml::read_str(text, "m.xml").is_ok();
    let formula_cell = |text: &str| {
        let one_line = text.replace(['\t', '\n'], " ");
        fuzzing::tables(&format!(
            "1\n#parameters\nparameterId\tparameterScale\tlowerBound\tupperBound\testimate\n\
             #observables\nobservableId\tobservableFormula\tnoiseFormula\ny\t{one_line}\t1\n"
        ))
    };
    let readers: [(&str, Reader); 5] = [
        ("problem_file", &fuzzing::problem_file),
        ("tables", &fuzzing::tables),
        ("formula_cell", &formula_cell),
        ("formula", &fuzzing::formula),
        ("sbml", &sbml),
    ];
    for piece in pieces {
        let many = piece.repeat(300_000 / piece.len());
        for (name, read) in readers {
            for head in ["", "format_version: 1\nparameter_file: ", "1\n#parameters\n", "a*"] {
                let began = Instant::now();
                read(&format!("{head}{many}"));
                let took = began.elapsed();
                assert!(took < Duration::from_secs(10), "{name}: {head:?} {piece:?}: {took:?}");
            }
        }
    }
}
