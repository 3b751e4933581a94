//! Running the program, and reading what it left behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What a run left behind.
pub struct Ran {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

pub fn gradsweep(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradsweep"));
    command
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .env_remove("RUST_LOG")
        // Silences a Mesa layer that complains of a missing XDG_RUNTIME_DIR.
        .env("NODEVICE_SELECT", "1")
        // Nothing is written to the user's home.
        .env("GRADSWEEP_SHADER_CACHE", "off");
    command
}

pub fn finish(command: &mut Command) -> Ran {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs a command line, split at spaces.
pub fn run(folder: &Path, line: &str) -> Ran {
    finish(gradsweep(folder).args(line.split_whitespace()))
}

/// Runs a command line that must end with status 0.
pub fn well(folder: &Path, line: &str) -> Ran {
    let ran = run(folder, line);
    assert_eq!(ran.status, Some(0), "{line}\n{}{}", ran.out, ran.err);
    ran
}

pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

/// A temporary folder with the conversion problem in `p`.
pub struct Bench {
    pub folder: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self::with("conversion")
    }

    pub fn with(problem: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("p");
        fs::create_dir(&target).unwrap();
        for entry in fs::read_dir(data(problem)).unwrap() {
            let source = entry.unwrap().path();
            if source.extension().is_some_and(|e| e == "tsv" || e == "xml" || e == "yaml") {
                fs::copy(&source, target.join(source.file_name().unwrap())).unwrap();
            }
        }
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.path().join(file), text).unwrap();
    }

    /// Replaces the first occurrence of a text; gives the line it stood in.
    pub fn edit(&self, file: &str, from: &str, to: &str) -> usize {
        let text = self.read(file);
        let at = text.find(from).unwrap_or_else(|| panic!("no {from:?} in {file}"));
        self.write(file, &text.replacen(from, to, 1));
        text[..at].matches('\n').count() + 1
    }

    /// Rewrites every line of a table: (line number from 1, line).
    pub fn map_lines(&self, file: &str, map: impl Fn(usize, &str) -> String) {
        let lines: Vec<String> =
            self.read(file).lines().enumerate().map(|(i, line)| map(i + 1, line)).collect();
        self.write(file, &(lines.join("\n") + "\n"));
    }

    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(self.path(), &mut files);
        files
    }

    /// Runs a command line that must be refused with one line on stderr that holds all `parts`;
    /// no file may be written, changed or removed.
    pub fn refused(&self, line: &str, parts: &[&str]) {
        let before = self.files();
        let ran = run(self.path(), line);
        self.check_refusal(line, &ran, parts, &before);
        let message = ran.err.strip_prefix("gradsweep: ");
        let message = message.unwrap_or_else(|| panic!("{line}\n{}", ran.err));
        assert_eq!(message.matches('\n').count(), 1, "one line, with its end\n{}", ran.err);
    }

    /// The same for what the parser of the command line refuses, which adds hints in more lines.
    pub fn usage(&self, line: &str, parts: &[&str]) {
        let before = self.files();
        let ran = run(self.path(), line);
        self.check_refusal(line, &ran, parts, &before);
    }

    pub fn check_refusal(
        &self,
        line: &str,
        ran: &Ran,
        parts: &[&str],
        before: &BTreeMap<PathBuf, Vec<u8>>,
    ) {
        assert_eq!(ran.status, Some(2), "{line}\n{}{}", ran.out, ran.err);
        assert_eq!(ran.out, "", "{line}");
        for part in parts {
            assert!(ran.err.contains(part), "{line}: no {part:?} in\n{}", ran.err);
        }
        assert!(*before == self.files(), "{line} touched files");
    }

    /// Every command refuses the problem `p`, with the same message.
    pub fn bad_problem(&self, problem: &str, parts: &[&str]) {
        self.refused(&format!("check {problem} --out checks.csv"), parts);
        self.refused(&format!("sweep {problem} --points 2 --out reports"), parts);
        self.refused(&format!("simulate {problem} --out simulated.tsv"), parts);
        self.refused(&format!("startpoints {problem} --points 2 --out points.csv"), parts);
    }
}

pub fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}

/// A CSV text as header and records.
pub fn csv_of(text: &str) -> (String, Vec<BTreeMap<String, String>>) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let records = reader
        .records()
        .map(|r| names.iter().cloned().zip(r.unwrap().iter().map(str::to_owned)).collect())
        .collect();
    (text.lines().next().unwrap_or_default().to_owned(), records)
}

pub fn number(record: &BTreeMap<String, String>, column: &str) -> f64 {
    record[column].parse().unwrap_or_else(|_| panic!("{column}: {:?}", record[column]))
}

pub fn close(found: f64, expected: f64, relative: f64) -> bool {
    (found - expected).abs() <= relative * expected.abs()
}
