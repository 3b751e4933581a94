//! The program as its users meet it: exit status, messages, files.
//!
//! Expectations come from `data/*/reference.json` (made without this program), from the closed
//! form of the conversion problem, from pyPESTO's and PEtab's definitions of columns, and from
//! `data/README.md`; none from the program's own output.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What a run left behind.
struct Ran {
    status: Option<i32>,
    out: String,
    err: String,
}

fn gradsweep(folder: &Path) -> Command {
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

fn finish(command: &mut Command) -> Ran {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs a command line, split at spaces.
fn run(folder: &Path, line: &str) -> Ran {
    finish(gradsweep(folder).args(line.split_whitespace()))
}

/// Runs a command line that must end with status 0.
fn well(folder: &Path, line: &str) -> Ran {
    let ran = run(folder, line);
    assert_eq!(ran.status, Some(0), "{line}\n{}{}", ran.out, ran.err);
    ran
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

/// A temporary folder with the conversion problem in `p`.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with("conversion")
    }

    fn with(problem: &str) -> Self {
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

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.path().join(file), text).unwrap();
    }

    /// Replaces the first occurrence of a text; gives the line it stood in.
    fn edit(&self, file: &str, from: &str, to: &str) -> usize {
        let text = self.read(file);
        let at = text.find(from).unwrap_or_else(|| panic!("no {from:?} in {file}"));
        self.write(file, &text.replacen(from, to, 1));
        text[..at].matches('\n').count() + 1
    }

    /// Rewrites every line of a table: (line number from 1, line).
    fn map_lines(&self, file: &str, map: impl Fn(usize, &str) -> String) {
        let lines: Vec<String> =
            self.read(file).lines().enumerate().map(|(i, line)| map(i + 1, line)).collect();
        self.write(file, &(lines.join("\n") + "\n"));
    }

    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(self.path(), &mut files);
        files
    }

    /// Runs a command line that must be refused with one line on stderr that holds all `parts`;
    /// no file may be written, changed or removed.
    fn refused(&self, line: &str, parts: &[&str]) {
        let before = self.files();
        let ran = run(self.path(), line);
        self.check_refusal(line, &ran, parts, &before);
        let message = ran.err.strip_prefix("gradsweep: ");
        let message = message.unwrap_or_else(|| panic!("{line}\n{}", ran.err));
        assert_eq!(message.matches('\n').count(), 1, "one line, with its end\n{}", ran.err);
    }

    /// The same for what the parser of the command line refuses, which adds hints in more lines.
    fn usage(&self, line: &str, parts: &[&str]) {
        let before = self.files();
        let ran = run(self.path(), line);
        self.check_refusal(line, &ran, parts, &before);
    }

    fn check_refusal(
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
    fn bad_problem(&self, problem: &str, parts: &[&str]) {
        self.refused(&format!("check {problem} --out checks.csv"), parts);
        self.refused(&format!("sweep {problem} --points 2 --out reports"), parts);
        self.refused(&format!("simulate {problem} --out simulated.tsv"), parts);
        self.refused(&format!("startpoints {problem} --points 2 --out points.csv"), parts);
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
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
fn csv_of(text: &str) -> (String, Vec<BTreeMap<String, String>>) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let records = reader
        .records()
        .map(|r| names.iter().cloned().zip(r.unwrap().iter().map(str::to_owned)).collect())
        .collect();
    (text.lines().next().unwrap_or_default().to_owned(), records)
}

fn number(record: &BTreeMap<String, String>, column: &str) -> f64 {
    record[column].parse().unwrap_or_else(|_| panic!("{column}: {:?}", record[column]))
}

fn close(found: f64, expected: f64, relative: f64) -> bool {
    (found - expected).abs() <= relative * expected.abs()
}

// ---------------------------------------------------------------------------------------------
// Bad problems.

#[test]
fn missing_problem() {
    let bench = Bench::new();
    bench.bad_problem("nosuch", &["nosuch"]);
    bench.bad_problem("p/nosuch.yaml", &["p/nosuch.yaml"]);
}

#[test]
fn folder_without_or_with_several_problem_files() {
    let bench = Bench::new();
    fs::rename(bench.path().join("p/conversion.yaml"), bench.path().join("elsewhere")).unwrap();
    bench.bad_problem("p", &["p: ", "no PEtab problem file"]);
    fs::copy(bench.path().join("elsewhere"), bench.path().join("p/one.yaml")).unwrap();
    fs::copy(bench.path().join("elsewhere"), bench.path().join("p/two.yml")).unwrap();
    bench.bad_problem("p", &["p: ", "p/one.yaml", "p/two.yml"]);
    well(bench.path(), "simulate p/two.yml --engine cpu");
}

#[test]
fn broken_yaml() {
    let bench = Bench::new();
    bench.write("p/conversion.yaml", "format_version: 1\nproblems: [\n");
    bench.bad_problem("p/conversion.yaml", &["p/conversion.yaml"]);
    // Without the key the file is no problem file to a folder; named, it is a broken one.
    let bench = Bench::new();
    bench.edit("p/conversion.yaml", "problems:", "problem:");
    bench.bad_problem("p/conversion.yaml", &["p/conversion.yaml", "problem"]);
    let bench = Bench::new();
    bench.edit("p/conversion.yaml", "measurements.tsv", "missing.tsv");
    bench.bad_problem("p", &["p/missing.tsv"]);
    let bench = Bench::new();
    bench.edit("p/conversion.yaml", "format_version: 1", "format_version: 7");
    bench.bad_problem("p", &["p/conversion.yaml", "format_version", "7"]);
}

#[test]
fn broken_xml() {
    let bench = Bench::new();
    bench.edit("p/model.xml", "</listOfSpecies>", "");
    bench.bad_problem("p", &["p/model.xml:", "XML", "listOfSpecies"]);
    let bench = Bench::new();
    bench.write("p/model.xml", "");
    bench.bad_problem("p", &["p/model.xml"]);
    let bench = Bench::new();
    bench.edit("p/model.xml", "<sbml ", "<!DOCTYPE sbml [<!ENTITY a \"b\">]>\n<sbml ");
    bench.bad_problem("p", &["p/model.xml:", "DTD"]);
}

#[test]
fn broken_tables() {
    let bench = Bench::new();
    bench.edit("p/measurements.tsv", "\tmeasurement\t", "\tmeasured\t");
    bench.bad_problem("p", &["p/measurements.tsv:1", "`measurement`"]);
    let bench = Bench::new();
    bench.edit("p/observables.tsv", "observableFormula", "formula");
    bench.bad_problem("p", &["p/observables.tsv:1", "`observableFormula`"]);
    let bench = Bench::new();
    bench.write("p/parameters.tsv", "");
    bench.bad_problem("p", &["p/parameters.tsv"]);
}

#[test]
fn unknown_names() {
    let bench = Bench::new();
    let line = bench.edit("p/measurements.tsv", "obs_B\tlow\t0.2", "obs_Q\tlow\t0.2");
    bench.bad_problem("p", &[&format!("p/measurements.tsv:{line}"), "obs_Q", "obs_B"]);

    let bench = Bench::new();
    let line = bench.edit("p/measurements.tsv", "obs_B\thigh\t3", "obs_B\thihg\t3");
    bench.bad_problem("p", &[&format!("p/measurements.tsv:{line}"), "hihg", "high"]);

    let bench = Bench::new();
    let line = bench.edit("p/observables.tsv", "B / (A + B)", "B / (A + Q)");
    bench.bad_problem("p", &[&format!("p/observables.tsv:{line}"), "\"Q\""]);

    let bench = Bench::new();
    let line = bench.edit("p/observables.tsv", "B / (A + B)", "B / (A + ");
    bench.bad_problem("p", &[&format!("p/observables.tsv:{line}"), "observableFormula"]);

    let bench = Bench::new();
    let line = bench.edit("p/model.xml", "<ci>k2</ci>", "<ci>k3</ci>");
    bench.bad_problem("p", &[&format!("p/model.xml:{line}"), "k3"]);

    let bench = Bench::new();
    let line = bench.edit("p/measurements.tsv", "scale_B\tsd_B", "scale_Q\tsd_B");
    bench.bad_problem("p", &[&format!("p/measurements.tsv:{line}"), "scale_Q"]);
}

/// PEtab v1: the columns of the condition table are entities of the model or parameters of the
/// observables.
#[test]
fn unknown_target_of_a_condition() {
    let bench = Bench::new();
    bench.edit("p/conditions.tsv", "A0", "Q0");
    bench.bad_problem("p", &["p/conditions.tsv:", "Q0"]);
}

const MATH: &str = "<math xmlns=\"http://www.w3.org/1998/Math/MathML\">";

#[test]
fn unsupported_constructs() {
    let delayed = "<csymbol encoding=\"text\" \
                   definitionURL=\"http://www.sbml.org/sbml/symbols/delay\">delay</csymbol>";
    let rule = format!(
        "<initialAssignment symbol=\"B\">{MATH}<apply>{delayed}<ci>A</ci><cn>1</cn></apply>\
         </math></initialAssignment>"
    );
    let list = "</listOfInitialAssignments>";
    let bench = Bench::new();
    let line = bench.edit("p/model.xml", list, &format!("{rule}{list}"));
    bench.bad_problem("p", &[&format!("p/model.xml:{line}"), "delay", "not supported"]);

    let rule = format!(
        "<listOfRules><algebraicRule>{MATH}<apply><minus/><ci>A</ci><ci>B</ci></apply></math>\
         </algebraicRule></listOfRules>"
    );
    let bench = Bench::new();
    let line = bench.edit("p/model.xml", "<listOfReactions>", &format!("{rule}<listOfReactions>"));
    bench.bad_problem("p", &[&format!("p/model.xml:{line}"), "algebraic rule", "not supported"]);
}

#[test]
fn priors_are_part_of_the_objective() {
    let bench = Bench::new();
    bench.map_lines("p/parameters.tsv", |line, text| match line {
        1 => format!("{text}\tobjectivePriorType\tobjectivePriorParameters"),
        3 => format!("{text}\tparameterScaleNormal\t0;2"),
        _ => format!("{text}\t\t"),
    });
    let value = |text: &str, key: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line[key.len()..].trim().parse().unwrap()
    };
    let with = well(bench.path(), "simulate p --engine cpu").out;
    let without = well(bench.path(), "simulate p --engine cpu --no-priors").out;
    assert!(!without.contains("log prior") && without.contains("left out"), "{without}");
    assert_eq!(value(&with, "llh "), value(&without, "llh "));
    // ln of the normal density with sd 2 at log10(0.6).
    let z = 0.6_f64.log10() / 2.0;
    let expected = -0.5 * z * z - (2.0 * (2.0 * std::f64::consts::PI).sqrt()).ln();
    // A few rounding errors.
    assert!((value(&with, "log prior ") - expected).abs() < 1e-14);
    let sum = value(&with, "llh ") + expected;
    assert!((value(&with, "log posterior ") - sum).abs() < 1e-13 * sum.abs());

    // The prior is differentiated with the rest: the check passes, and moving its mean moves the
    // gradient of k2 by the difference of two prior slopes, (mean' - mean)/sd^2.
    let gradient = |mean: &str| {
        bench.map_lines("p/parameters.tsv", |line, text| match line {
            3 => text.replace("\t0;2", &format!("\t{mean};2")),
            _ => text.to_owned(),
        });
        well(bench.path(), "check p --engine cpu --eps 1e-3 --out c.csv");
        let table = fs::read_to_string(bench.path().join("c.csv")).unwrap();
        let row = table.lines().find(|line| line.contains(",k2,")).unwrap();
        let grad = table.lines().next().unwrap().split(',').position(|c| c == "grad").unwrap();
        row.split(',').nth(grad).unwrap().parse::<f64>().unwrap()
    };
    let at_zero = gradient("0");
    let at_one = gradient("1");
    // Rounding errors of a sum of size |gradient|.
    assert!((at_zero - at_one - 0.25).abs() < 1e-12 * at_zero.abs().max(1.0));
}

#[test]
fn bad_values() {
    for (text, shown) in [("NaN", "measurement"), ("0.2x", "0.2x"), ("", "empty")] {
        let bench = Bench::new();
        let line = bench.edit("p/measurements.tsv", "0.286943", text);
        bench.bad_problem("p", &[&format!("p/measurements.tsv:{line}"), "`measurement`", shown]);
    }
    let bench = Bench::new();
    let line = bench.edit("p/parameters.tsv", "log10\t1e-3\t1e3\t0.6", "log10\t1e4\t1e3\t0.6");
    bench.bad_problem("p", &[&format!("p/parameters.tsv:{line}"), "`k2`", "10000", "1000"]);
    let bench = Bench::new();
    let line = bench.edit("p/parameters.tsv", "log10\t1e-3\t1e3\t0.6", "log10\t-1\t1e3\t0.6");
    bench.bad_problem("p", &[&format!("p/parameters.tsv:{line}"), "`k2`", "-1", "log10"]);
}

// ---------------------------------------------------------------------------------------------
// Bad options.

#[test]
fn bad_steps_of_differences() {
    let bench = Bench::new();
    for command in ["check p --out c.csv", "sweep p --points 2 --out s"] {
        bench.refused(&format!("{command} --eps 0"), &["--eps 0"]);
        bench.refused(&format!("{command} --eps -1"), &["--eps -1"]);
        bench.refused(&format!("{command} --eps 1e-3,nan"), &["--eps NaN"]);
        bench.refused(&format!("{command} --eps inf"), &["--eps inf"]);
        bench.refused(&format!("{command} --eps 1e-3,0.001"), &["--eps 0.001", "twice"]);
        bench.usage(&format!("{command} --eps small"), &["--eps", "small"]);
    }
}

#[test]
fn bad_choice_of_columns_and_parameters() {
    let bench = Bench::with("stat5");
    bench.usage("check p --label error", &["--label", "error", "rel_err, abs_err, fd_err"]);
    for command in ["check p --out c.csv", "sweep p --points 2 --out s"] {
        let chosen = |ids: &str| format!("{command} --parameters {ids}");
        bench.refused(&chosen("k_phos,nosuch"), &["--parameters", "nosuch", "k_imp_homo"]);
        bench.refused(&chosen("ratio"), &["--parameters", "ratio", "not estimated"]);
        bench.refused(&chosen("k_phos,k_phos"), &["--parameters", "k_phos", "twice"]);
    }
}

#[test]
fn bad_numbers() {
    let bench = Bench::new();
    for command in ["check p --out c.csv", "sweep p --points 2 --out s", "simulate p --out s.tsv"] {
        bench.refused(&format!("{command} --threads 0"), &["--threads 0"]);
        bench.refused(&format!("{command} --rtol 0"), &["--rtol 0"]);
        bench.refused(&format!("{command} --rtol nan"), &["--rtol NaN"]);
        bench.refused(&format!("{command} --atol 0"), &["--atol 0"]);
        bench.refused(&format!("{command} --max-steps 0"), &["--max-steps 0"]);
        bench.usage(&format!("{command} --rtol=-1"), &["--rtol -1"]);
        bench.usage(&format!("{command} --engine quantum"), &["--engine", "quantum", "cpu"]);
    }
    for command in ["check p --out c.csv", "sweep p --out s", "simulate p --out s.tsv"] {
        bench.refused(&format!("{command} --at random:0"), &["random:N"]);
        bench.refused(&format!("{command} --at random:many"), &["random:N", "many"]);
    }
    bench.refused("sweep p --out s --consistent 2", &["--consistent 2"]);
    bench.refused("sweep p --out s --consistent nan", &["--consistent NaN"]);
    bench.refused("sweep p --out s --points 0", &["--points 0"]);
    bench.refused("startpoints p --out s.csv --points 0", &["--points 0"]);
    bench.refused("check p --check-rtol nan", &["--check-rtol NaN"]);
    bench.refused("check p --check-atol=-1", &["--check-atol -1"]);
    bench.refused("simulate p --at random:2", &["--at random:2", "one"]);
    bench.usage("sweep p --points 3 --at nominal", &["--points", "--at"]);
    bench.usage("polish p", &["polish"]);
    bench.usage("check", &["<PROBLEM>"]);
}

#[test]
fn bad_points_files() {
    let bench = Bench::new();
    let header = "point,k1,k2,scale_B,sd_A,sd_B,b_frac\n";
    let row = "0,0,0,0,0,0,0\n";
    let cases: &[(&str, String, &[&str])] = &[
        ("missing column", header.replace(",sd_B", "") + "0,0,0,0,0,0\n", &["at.csv:1", "sd_B"]),
        (
            "unknown column",
            header.replace("b_frac", "b_frac,nosuch") + "0,0,0,0,0,0,0,0\n",
            &["at.csv:1", "nosuch"],
        ),
        (
            "doubled column",
            header.replace("b_frac", "b_frac,k1") + "0,0,0,0,0,0,0,0\n",
            &["at.csv:1", "k1", "twice"],
        ),
        ("nan", format!("{header}{row}1,0,0,nan,0,0,0\n"), &["at.csv:3", "scale_B", "nan"]),
        ("inf", format!("{header}0,0,0,0,0,0,inf\n"), &["at.csv:2", "b_frac", "inf"]),
        ("no number", format!("{header}0,0,zero,0,0,0,0\n"), &["at.csv:2", "k2", "zero"]),
        ("short row", format!("{header}{row}1,0,0\n"), &["at.csv:3"]),
        ("long row", format!("{header}0,0,0,0,0,0,0,0\n"), &["at.csv:2"]),
        ("same id twice", format!("{header}{row}{row}"), &["at.csv:3", "`0`"]),
        ("no rows", header.to_owned(), &["at.csv"]),
        ("empty", String::new(), &["at.csv"]),
    ];
    for (name, text, parts) in cases {
        println!("{name}");
        bench.write("at.csv", text);
        bench.refused("check p --at at.csv --out c.csv", parts);
        bench.refused("sweep p --at at.csv --out s", parts);
        bench.refused("simulate p --at at.csv --out s.tsv", parts);
    }
    bench.refused("check p --at nosuch.csv --out c.csv", &["nosuch.csv"]);
    bench.refused("sweep p --at nosuch.csv --out s", &["nosuch.csv"]);
}

#[test]
fn places_that_cannot_be_written() {
    let bench = Bench::new();
    bench.write("file", "a regular file\n");
    bench.refused("check p --engine cpu --out file/c.csv", &["file/c.csv"]);
    bench.refused("sweep p --engine cpu --points 2 --out file/reports", &["file/reports"]);
    bench.refused("sweep p --engine cpu --points 2 --out file", &["file"]);
    bench.refused("simulate p --engine cpu --out file/s.tsv", &["file/s.tsv"]);
    bench.refused("startpoints p --out file/p.csv", &["file/p.csv"]);
    bench.refused("startpoints p --out nosuch/p.csv", &["nosuch/p.csv"]);
}

#[test]
fn a_folder_that_holds_something() {
    let bench = Bench::new();
    fs::create_dir(bench.path().join("taken")).unwrap();
    bench.write("taken/run.json", "mine\n");
    bench.write("taken/notes.txt", "mine too\n");
    let line = "sweep p --engine cpu --points 2 --out taken";
    bench.refused(line, &["taken", "--overwrite"]);
    well(bench.path(), &format!("{line} --overwrite"));
    assert_eq!(bench.read("taken/notes.txt"), "mine too\n");
    assert!(bench.read("taken/run.json").contains("gradsweep"));
    // An empty folder needs no permission.
    fs::create_dir(bench.path().join("empty")).unwrap();
    well(bench.path(), "sweep p --engine cpu --points 2 --out empty");
}

#[test]
fn adapters_that_are_not_there() {
    let bench = Bench::new();
    let without_adapter = |line: &str| {
        let mut command = gradsweep(bench.path());
        // The old and the new name of the Vulkan loader's setting.
        command.env("VK_ICD_FILENAMES", "/nonexistent").env("VK_DRIVER_FILES", "/nonexistent");
        finish(command.args(line.split_whitespace()))
    };
    for command in ["check p --out c.csv", "sweep p --points 2 --out s", "simulate p --out s.tsv"] {
        let before = bench.files();
        let line = format!("{command} --engine gpu");
        let ran = without_adapter(&line);
        bench.check_refusal(&line, &ran, &["no Vulkan adapter", "--engine cpu"], &before);
        bench.refused(&format!("{command} --adapter nosuch"), &["nosuch", "devices"]);
        bench.refused(&format!("{command} --engine gpu --adapter nosuch"), &["nosuch", "devices"]);
    }
    let has_adapter = gradsweep::engine::gpu::find(None).is_ok();
    let words =
        if has_adapter { ["9999 adapters are wanted", "can be used"] } else { ["no Vulkan"; 2] };
    bench.refused("check p --engine gpu --adapters 9999", &words);
    for count in ["0", "-1", "few"] {
        bench.usage(&format!("check p --adapters={count}"), &["--adapters", "`all`"]);
    }
    assert_eq!(without_adapter("simulate p").status, Some(0), "the CPU engine needs no adapter");
    let devices = without_adapter("devices");
    assert_eq!(devices.status, Some(0));
    assert!(devices.out.contains("no Vulkan adapter"), "{}", devices.out);
}

// ---------------------------------------------------------------------------------------------
// Good runs.

const CHECK_HEADER: &str = "point,parameter,eps,grad,fd_f,fd_b,fd_c,fd_err,abs_err,rel_err,\
                            paired_f,paired_b,paired_c,paired_err,estimate,bound,\
                            differences,verdict,reason,status";

#[test]
fn sweep_writes_all_reports() {
    let bench = Bench::new();
    let ran = well(bench.path(), "sweep p --engine cpu --points 12 --out reports");
    let mut files: Vec<String> = fs::read_dir(bench.path().join("reports"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort_unstable();
    let expected = "best.csv checks.csv eps.csv failures.csv parameters.csv points.csv report.html \
                    run.json where.csv";
    assert_eq!(files.join(" "), expected);

    let (header, checks) = csv_of(&bench.read("reports/checks.csv"));
    assert_eq!(header, CHECK_HEADER);
    assert_eq!(checks.len(), 12 * 6 * 5, "points, parameters, pyPESTO's five eps");
    let (header, best) = csv_of(&bench.read("reports/best.csv"));
    assert_eq!(header, CHECK_HEADER);
    assert_eq!(best.len(), 12 * 6);
    // pyPESTO's check_grad_multi_eps: for each parameter the row with the smallest rel_err.
    for (best, rows) in best.iter().zip(checks.chunks(5)) {
        let smallest = rows.iter().map(|r| number(r, "rel_err")).fold(f64::INFINITY, f64::min);
        assert_eq!(number(best, "rel_err"), smallest);
        assert!(rows.contains(best));
    }

    let (header, points) = csv_of(&bench.read("reports/points.csv"));
    assert_eq!(header, "point,objective,status,steps,k1,k2,scale_B,sd_A,sd_B,b_frac");
    assert_eq!(points.len(), 12);
    let (header, parameters) = csv_of(&bench.read("reports/parameters.csv"));
    assert_eq!(
        header,
        "parameter,points,pass,fail,inconclusive,kink,insensitive,gradient_missing,failed,\
         inconclusive_noise,inconclusive_truncation,failed_base,failed_plus,failed_minus,\
         failed_both,one_sided,failure_rate,failure_rate_low,failure_rate_high,p_value,p_holm,\
         error_median,error_mad,error_q25,error_q75,error_q90,error_max,detectable_error,best_eps,\
         plain_a,plain_p,plain_s,plain_recommended_eps,paired_a,paired_p,paired_s,\
         paired_recommended_eps,consistent_failure,diagnosis"
    );
    let ids: Vec<&str> = parameters.iter().map(|r| r["parameter"].as_str()).collect();
    assert_eq!(ids, ["k1", "k2", "scale_B", "sd_A", "sd_B", "b_frac"]);
    let kinds =
        ["pass", "fail", "inconclusive", "kink", "insensitive", "gradient_missing", "failed"];
    for record in &parameters {
        for kind in kinds {
            let of_cell =
                |r: &&BTreeMap<_, _>| r["parameter"] == record["parameter"] && r["verdict"] == kind;
            assert_eq!(number(record, kind), best.iter().filter(of_cell).count() as f64, "{kind}");
        }
        assert_eq!(kinds.iter().map(|kind| number(record, kind)).sum::<f64>(), 12.0);
        assert_eq!(record["consistent_failure"], "no");
        assert_eq!(
            (record["p_value"].as_str(), record["p_holm"].as_str()),
            ("1", "1"),
            "no failure"
        );
        // Wilson's interval for k failures of n at 95 %, z = 1.959964.
        let (k, n) = (number(record, "fail"), number(record, "pass") + number(record, "fail"));
        let (p, z2) = (k / n, 1.959_963_984_540_054_f64.powi(2));
        let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = (z2 * (p * (1.0 - p) / n + z2 / (4.0 * n * n))).sqrt() / (1.0 + z2 / n);
        assert!((number(record, "failure_rate_low") - (centre - half)).abs() < 1e-12);
        assert!((number(record, "failure_rate_high") - (centre + half)).abs() < 1e-12);
    }
    let (header, eps) = csv_of(&bench.read("reports/eps.csv"));
    assert_eq!(header, "parameter,eps,points,plain_error_median,paired_error_median");
    assert_eq!(eps.len(), 6 * 5);
    assert_eq!(
        bench.read("reports/where.csv"),
        "parameter,covariate,failing,passing,auc,p_holm,range_low,range_high,sentence\n"
    );
    let failures = bench.read("reports/failures.csv");
    assert_eq!(failures, "point,parameter,eps,side,simulation,status,time,steps\n");

    let record: Value = serde_json::from_str(&bench.read("reports/run.json")).unwrap();
    assert_eq!(record["program"], "gradsweep");
    assert_eq!(record["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(record["rtol"], 1e-8);
    assert_eq!(record["atol"], 1e-12);
    assert_eq!(record["points"], 12);
    assert_eq!(record["inputs"].as_object().unwrap().len(), 6, "every file of the problem");

    for id in ids {
        assert!(ran.out.contains(id), "{}", ran.out);
    }
    assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'), "no colours in a pipe");
}

#[test]
fn a_default_folder_is_named_after_the_problem() {
    let bench = Bench::new();
    let line = "sweep p --engine cpu --points 2 --parameters k1 --eps 1e-5";
    well(bench.path(), line);
    assert_eq!(csv_of(&bench.read("conversion-sweep/checks.csv")).1.len(), 2);
    // It is the program's own: a second sweep replaces it.
    well(bench.path(), &line.replace("--points 2", "--points 3"));
    assert_eq!(csv_of(&bench.read("conversion-sweep/checks.csv")).1.len(), 3);
}

/// pyPESTO's formulas (`check_grad` with `detailed=True`), from the objectives in the same row.
#[test]
fn columns_are_pypestos() {
    let folder = data("");
    let std_column = "(grad-fd_c)/std({fd_f,fd_b,fd_c})";
    let mean_column = "|grad-fd_c|/mean(|fd_f-fd_b|,|fd_f-fd_c|,|fd_b-fd_c|)";
    let ran =
        well(&folder, "check conversion --engine cpu --at random:3 --seed 5 --detailed --out -");
    let (header, rows) = csv_of(&ran.out);
    assert_eq!(
        header,
        format!(
            "point,parameter,eps,fval,fval_p,fval_m,grad,fd_f,fd_b,fd_c,fd_err,abs_err,rel_err,\
             \"{std_column}\",\"{mean_column}\",paired_f,paired_b,paired_c,paired_err,estimate,\
             bound,differences,verdict,reason,status"
        )
    );
    assert_eq!(rows.len(), 3 * 6 * 5);
    for row in rows {
        let [eps, f, p, m, grad] =
            ["eps", "fval", "fval_p", "fval_m", "grad"].map(|c| number(&row, c));
        let (fd_f, fd_b, fd_c) = ((p - f) / eps, (f - m) / eps, (p - m) / (2.0 * eps));
        let abs_err = (grad - fd_c).abs();
        let mean = (fd_f + fd_b + fd_c) / 3.0;
        let variance = [fd_f, fd_b, fd_c].map(|v| (v - mean).powi(2)).iter().sum::<f64>() / 3.0;
        let spread = ((fd_f - fd_b).abs() + (fd_f - fd_c).abs() + (fd_b - fd_c).abs()) / 3.0;
        let expected = [
            ("fd_f", fd_f),
            ("fd_b", fd_b),
            ("fd_c", fd_c),
            ("fd_err", (fd_f - fd_b).abs()),
            ("abs_err", abs_err),
            ("rel_err", (abs_err / (fd_c + eps)).abs()),
            (std_column, (grad - fd_c) / variance.sqrt()),
            (mean_column, abs_err / spread),
        ];
        for (column, value) in expected {
            let found = number(&row, column);
            assert!(found == value || close(found, value, 1e-9), "{column}: {found} {value}");
        }
    }
}

#[test]
fn one_eps_gives_its_table_and_several_the_best_of_each() {
    let folder = data("");
    let ran = well(&folder, "check conversion --engine cpu --eps 1e-5 --out -");
    assert_eq!(csv_of(&ran.out).1.len(), 6);
    assert!(csv_of(&ran.out).1.iter().all(|r| number(r, "eps") == 1e-5));
    let ran = well(&folder, "check conversion --engine cpu --eps 1e-4,1e-6 --parameters k2,k1");
    for column in ["parameter", "grad", "fd_c", "rel_err", "eps", "estimate", "bound", "verdict"] {
        assert!(ran.out.contains(column), "{column}\n{}", ran.out);
    }
    assert!(!ran.out.contains("scale_B"));
    assert!(ran.out.contains("0.00000001") || ran.out.contains("1e-8"), "tolerances are stated");
}

#[test]
fn check_writes_its_rows_to_a_file() {
    let bench = Bench::new();
    let ran = well(bench.path(), "check p --engine cpu --out c.csv");
    assert!(ran.out.contains("verdict"), "the table is still printed");
    let text = bench.read("c.csv");
    assert_eq!(csv_of(&text).0, CHECK_HEADER);
    assert_eq!(well(bench.path(), "check p --engine cpu --out -").out, text);
    assert!(!bench.files().keys().any(|f| f.to_string_lossy().ends_with(".partial")));
}

#[test]
fn colours_only_on_terminals() {
    let folder = data("");
    for line in ["check conversion --engine cpu", "devices", "--help", "check --help"] {
        let piped = well(&folder, line);
        let plain = finish(gradsweep(&folder).env("NO_COLOR", "1").args(line.split_whitespace()));
        for ran in [&piped, &plain] {
            assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'), "{line}");
        }
        assert_eq!(piped.out, plain.out, "{line}");
    }
}

#[test]
fn quiet_says_nothing_on_stderr() {
    let bench = Bench::new();
    assert_eq!(well(bench.path(), "-q sweep p --engine cpu --points 2").err, "");
    assert_eq!(well(bench.path(), "simulate p --engine cpu -q").err, "");
}

// ---------------------------------------------------------------------------------------------
// Values, against references made without this program.

const PROBLEMS: [&str; 4] = ["conversion", "stat5", "robertson", "repressilator"];

/// Points of a reference file that may be compared, the nominal one first.
struct Reference {
    ids: Vec<String>,
    points: Vec<(Vec<f64>, f64, Vec<f64>)>,
}

fn reference(problem: &str) -> Reference {
    let text = fs::read_to_string(data(problem).join("reference.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let numbers = |v: &Value| -> Vec<f64> {
        v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    };
    let ids = json["parameter_ids"].as_array().unwrap();
    Reference {
        ids: ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect(),
        points: std::iter::once(&json["nominal"])
            .chain(json["points"].as_array().unwrap())
            .filter(|p| p["reliable"] == true)
            .map(|p| (numbers(&p["x"]), p["objective"].as_f64().unwrap(), numbers(&p["gradient"])))
            .collect(),
    }
}

impl Reference {
    /// Compares a sweep's objectives and gradients at these points.
    fn compare(&self, problem: &str, points: &str, checks: &str) {
        let (points, checks) = (csv_of(points).1, csv_of(checks).1);
        assert_eq!(points.len(), self.points.len());
        assert_eq!(checks.len(), self.points.len() * self.ids.len());
        let mut rows = checks.iter();
        for (i, (_, objective, gradient)) in self.points.iter().enumerate() {
            let found = number(&points[i], "objective");
            assert!(
                close(found, *objective, 1e-6),
                "{problem} r{i}: objective {found}, reference {objective}"
            );
            // The solver's relative tolerance of 1e-8 shows in a component in proportion to the
            // terms that it is the difference of: the largest component, or the objective.
            let largest = gradient.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
            let floor = 1e-6 * largest + 2e-8 * objective.abs();
            for ((id, expected), row) in self.ids.iter().zip(gradient).zip(&mut rows) {
                assert_eq!((&row["point"], &row["parameter"]), (&format!("r{i}"), id));
                let found = number(row, "grad");
                assert!(
                    (found - expected).abs() <= 1e-5 * expected.abs() + floor,
                    "{problem} r{i} {id}: gradient {found}, reference {expected}"
                );
            }
        }
    }

    fn points_csv(&self) -> String {
        let mut text = format!("point,{}\n", self.ids.join(","));
        for (i, (x, _, _)) in self.points.iter().enumerate() {
            let cells: Vec<String> = x.iter().map(f64::to_string).collect();
            text.push_str(&format!("r{i},{}\n", cells.join(",")));
        }
        text
    }
}

#[test]
fn simulate_gives_the_likelihood() {
    for problem in PROBLEMS {
        let (_, objective, _) = &reference(problem).points[0];
        let ran = well(&data(""), &format!("simulate {problem} --engine cpu"));
        let line = ran.out.lines().find(|l| l.starts_with("llh")).unwrap();
        let llh: f64 = line["llh".len()..].trim().parse().unwrap();
        assert!(close(llh, -objective, 1e-6), "{problem}: llh {llh}, reference {}", -objective);
    }
}

#[test]
fn objectives_and_gradients_are_the_references() {
    for problem in PROBLEMS {
        let reference = reference(problem);
        assert!(reference.points.len() >= 4, "{problem}");
        let bench = Bench::with(problem);
        bench.write("at.csv", &reference.points_csv());
        well(bench.path(), "sweep p --engine cpu --at at.csv --eps 1e-4 --out s");
        reference.compare(problem, &bench.read("s/points.csv"), &bench.read("s/checks.csv"));
    }
}

/// The table has the columns and rows of the measurement table, `measurement` become
/// `simulation` (PEtab); the values are those of the closed form in data/conversion/README.md.
#[test]
fn simulate_writes_a_petab_simulation_table() {
    let bench = Bench::new();
    well(bench.path(), "simulate p --engine cpu --out s.tsv");
    let ran = well(bench.path(), "simulate p --engine cpu --out -");
    let text = bench.read("s.tsv");
    assert_eq!(ran.out, text);
    let table = bench.read("p/measurements.tsv");
    let split = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|l| l.split('\t').map(str::to_owned).collect()).collect()
    };
    let (found, measured) = (split(&text), split(&table));
    assert_eq!(found.len(), measured.len());
    assert_eq!(found[0].join(" "), measured[0].join(" ").replace("measurement", "simulation"));
    let (k1, k2) = (0.8_f64, 0.6_f64);
    let (mut llh, mut chi2) = (0.0, 0.0);
    for (found, measured) in found.iter().zip(&measured).skip(1) {
        let others = |row: &[String]| [&row[..3], &row[4..]].concat();
        assert_eq!(others(found), others(measured));
        let a0 = if measured[1] == "low" { 1.0 } else { 5.0 };
        let t: f64 = measured[2].parse().unwrap();
        let b = a0 * k1 / (k1 + k2) * (1.0 - (-(k1 + k2) * t).exp());
        let (y, noise) = match measured[0].as_str() {
            "obs_A" => (a0 - b, 0.05),
            "obs_B" => (2.5 * b, 0.2),
            _ => (b / a0, 0.02),
        };
        let simulated: f64 = found[3].parse().unwrap();
        assert!((simulated - y).abs() <= 1e-7 * a0, "{found:?}: {y}");
        let z = (y - measured[3].parse::<f64>().unwrap()) / noise;
        chi2 += z * z;
        llh -= match measured[0].as_str() {
            "obs_frac" => (2.0_f64 * noise).ln() + z.abs(),
            _ => 0.5 * (2.0 * std::f64::consts::PI * noise * noise).ln() + 0.5 * z * z,
        };
    }
    let sums = well(bench.path(), "simulate p --engine cpu").out;
    let sum = |name: &str| -> f64 {
        let line = sums.lines().find(|l| l.starts_with(name)).unwrap();
        line[name.len()..].trim().parse().unwrap()
    };
    assert!(close(sum("llh"), llh, 1e-6), "llh {llh}\n{sums}");
    assert!(close(sum("chi2"), chi2, 1e-6), "chi2 {chi2}\n{sums}");
    assert_eq!(sum("rows"), 60.0);
}

#[test]
fn the_gpu_engine_gives_the_same_objectives_and_gradients() {
    let reference = reference("conversion");
    let bench = Bench::new();
    bench.write("at.csv", &reference.points_csv());
    let ran = run(bench.path(), "sweep p --engine gpu --at at.csv --eps 1e-4 --out s");
    if ran.status == Some(2) && ran.err.contains("no Vulkan adapter") {
        assert!(std::env::var("GRADSWEEP_REQUIRE_GPU").as_deref() != Ok("1"), "{}", ran.err);
        println!("skipped: {}", ran.err);
        return;
    }
    assert_eq!(ran.status, Some(0), "{}{}", ran.out, ran.err);
    reference.compare("conversion", &bench.read("s/points.csv"), &bench.read("s/checks.csv"));
}

// ---------------------------------------------------------------------------------------------
// Points.

#[test]
fn startpoints_lie_between_the_bounds() {
    let bench = Bench::new();
    let five = well(bench.path(), "startpoints p --points 5 --seed 3").out;
    let (header, points) = csv_of(&five);
    assert_eq!(header, "point,k1,k2,scale_B,sd_A,sd_B,b_frac");
    assert_eq!(points.len(), 5);
    // The parameter table's bounds, on log10 scale.
    let bounds = [
        ("k1", -3.0, 3.0),
        ("k2", -3.0, 3.0),
        ("scale_B", -2.0, 2.0),
        ("sd_A", -3.0, 1.0),
        ("sd_B", -3.0, 1.0),
        ("b_frac", -3.0, 1.0),
    ];
    for point in &points {
        for (id, lower, upper) in bounds {
            assert!((lower..=upper).contains(&number(point, id)), "{point:?}");
        }
    }
    let three = well(bench.path(), "startpoints p --points 3 --seed 3").out;
    assert!(five.starts_with(&three), "the same points whatever their number");
    assert_ne!(five, well(bench.path(), "startpoints p --points 5 --seed 4").out);
    well(bench.path(), "startpoints p --points 5 --seed 3 --out f.csv");
    assert_eq!(bench.read("f.csv"), five);
}

#[test]
fn points_go_round() {
    let bench = Bench::new();
    well(bench.path(), "startpoints p --points 4 --seed 7 --out at.csv");
    well(bench.path(), "sweep p --engine cpu --points 4 --seed 7 --out drawn");
    well(bench.path(), "sweep p --engine cpu --at at.csv --out read");
    well(bench.path(), "sweep p --engine cpu --at read/points.csv --out again");
    let (_, given) = csv_of(&bench.read("at.csv"));
    let (_, used) = csv_of(&bench.read("read/points.csv"));
    for (given, used) in given.iter().zip(&used) {
        for (column, cell) in given {
            assert_eq!(used[column], *cell);
        }
    }
    for file in ["points.csv", "checks.csv", "best.csv", "parameters.csv", "eps.csv", "where.csv"] {
        let drawn = bench.read(&format!("drawn/{file}"));
        assert_eq!(drawn, bench.read(&format!("read/{file}")), "{file}");
        assert_eq!(drawn, bench.read(&format!("again/{file}")), "{file}");
    }
    let checked = well(bench.path(), "check p --engine cpu --at at.csv --out -").out;
    assert_eq!(checked, bench.read("drawn/checks.csv"));
}

#[test]
fn fixed_parameters_in_a_points_file_are_dropped() {
    let bench = Bench::with("stat5");
    well(bench.path(), "startpoints p --points 2 --out at.csv");
    let plain = well(bench.path(), "check p --engine cpu --at at.csv --eps 1e-5 --out -").out;
    // `ratio` is fixed at 0.693 in the parameter table, whatever the points say.
    bench.map_lines("at.csv", |line, text| match line {
        1 => format!("{text},ratio"),
        _ => format!("{text},0.1"),
    });
    let with_fixed = well(bench.path(), "check p --engine cpu --at at.csv --eps 1e-5 --out -").out;
    assert_eq!(plain, with_fixed);
    assert!(!plain.contains("ratio"));
}

// ---------------------------------------------------------------------------------------------
// Sameness, failures, pipes, help.

#[test]
fn the_same_bytes_whatever_the_threads() {
    let bench = Bench::with("stat5");
    for (threads, out) in [("1", "one"), ("2", "two"), ("2", "two_again")] {
        let line = format!(
            "sweep p --engine cpu --points 40 --seed 1 --max-steps 150 --threads {threads} --out {out}"
        );
        let ran = run(bench.path(), &line);
        // A run in which some integrations fail: 150 steps are too few at some points.
        assert!(matches!(ran.status, Some(0 | 1)), "{}", ran.err);
    }
    let folder = |name: &str| -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&bench.path().join(name), &mut files);
        let name = |p: PathBuf| p.file_name().unwrap().to_string_lossy().into_owned();
        files.into_iter().map(|(path, bytes)| (name(path), bytes)).collect()
    };
    assert!(folder("two") == folder("two_again"), "a repeated run gives the same files");
    let (one, two) = (folder("one"), folder("two"));
    assert_eq!(one.len(), 9);
    for (name, bytes) in &one {
        if name != "run.json" && name != "report.html" {
            assert!(*bytes == two[name], "{name} depends on the number of threads");
        }
    }
    // The record and the page name the engine, and with it the number of threads; nothing else may differ.
    let record = |files: &BTreeMap<String, Vec<u8>>| -> Value {
        let mut json: Value = serde_json::from_slice(&files["run.json"]).unwrap();
        let fields = json.as_object_mut().unwrap();
        assert!(fields.remove("engine").is_some() && fields.remove("gradient_engine").is_some());
        json
    };
    assert_eq!(record(&one), record(&two));
}

#[test]
fn failures_are_reported_with_their_reason() {
    let bench = Bench::new();
    let ran = run(bench.path(), "simulate p --engine cpu --max-steps 1 --out s.tsv");
    assert_eq!(ran.status, Some(3), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("too many steps") && ran.err.contains("nominal"), "{}", ran.err);
    assert!(!bench.path().join("s.tsv").exists());

    run(bench.path(), "sweep p --engine cpu --points 3 --max-steps 1 --out s");
    let (_, points) = csv_of(&bench.read("s/points.csv"));
    assert_eq!(points.len(), 3);
    for point in &points {
        assert_eq!(
            (point["status"].as_str(), point["objective"].as_str()),
            ("too_many_steps", "inf")
        );
    }
    let (_, failures) = csv_of(&bench.read("s/failures.csv"));
    assert!(failures.len() >= 3);
    for failure in &failures {
        assert_eq!(failure["status"], "too_many_steps");
        assert!(["low", "high"].contains(&failure["simulation"].as_str()), "{failure:?}");
    }
    let (_, parameters) = csv_of(&bench.read("s/parameters.csv"));
    assert!(parameters.iter().all(|p| p["failed"] == "3" && p["consistent_failure"] == "no"));
    assert!(parameters.iter().all(|p| p["failed_base"] == "3"));
    // Each cell has its row all the same.
    for (file, rows) in [("best.csv", 3 * 6), ("checks.csv", 3 * 6 * 5)] {
        let (_, cells) = csv_of(&bench.read(&format!("s/{file}")));
        assert_eq!(cells.len(), rows, "{file}");
        for cell in &cells {
            let words = ["verdict", "reason", "status", "differences", "grad", "fd_c"];
            let expected = ["failed", "base", "too_many_steps", "", "NaN", "NaN"];
            assert_eq!(words.map(|w| cell[w].as_str()), expected);
        }
    }
}

/// A prior that ends at the point: on one side of it there is no objective.
#[test]
fn a_side_without_values() {
    let with_prior = |range: &str| {
        let bench = Bench::new();
        bench.edit("p/parameters.tsv", "log10\t1e-3\t1e3\t0.6", "log10\t1e-3\t1e3\t1");
        bench.map_lines("p/parameters.tsv", |line, text| match line {
            1 => format!("{text}\tobjectivePriorType\tobjectivePriorParameters"),
            3 => format!("{text}\tparameterScaleUniform\t{range}"),
            _ => format!("{text}\t\t"),
        });
        bench
    };
    let k2 = |bench: &Bench, line: &str| -> BTreeMap<String, String> {
        run(bench.path(), &format!("{line} --at nominal --engine cpu --out s --overwrite"));
        let (_, best) = csv_of(&bench.read("s/best.csv"));
        assert_eq!(best.len(), 6);
        best.into_iter().find(|row| row["parameter"] == "k2").unwrap()
    };
    let words = |row: &BTreeMap<String, String>| {
        ["differences", "verdict", "reason", "status"].map(|word| row[word].clone())
    };
    let count = |bench: &Bench, column: &str| {
        let (_, rows) = csv_of(&bench.read("s/parameters.csv"));
        number(rows.iter().find(|row| row["parameter"] == "k2").unwrap(), column)
    };
    // A uniform prior does not change the derivative: without it there are central differences.
    let whole = k2(&Bench::with("conversion"), "sweep p");
    assert_eq!(words(&whole), ["central", "pass", "", ""]);
    for (range, side, missing) in [("0;3", "forward", "minus"), ("-3;0", "backward", "plus")] {
        let bench = with_prior(range);
        let row = k2(&bench, "sweep p");
        assert_eq!(words(&row), [side, "pass", "", "no_prior_density"]);
        assert_eq!(count(&bench, "one_sided"), 1.0);
        // The same without a prior, by central differences.
        let free = with_prior("-3;3");
        let expected = k2(&free, "sweep p");
        assert_eq!(words(&expected), ["central", "pass", "", ""]);
        let bounds = number(&row, "bound") + number(&expected, "bound");
        assert!((number(&row, "estimate") - number(&expected, "estimate")).abs() <= bounds);
        let printed = well(bench.path(), "check p --engine cpu").out;
        assert!(printed.contains(&format!("pass: {side}")), "{printed}");

        // A wrong gradient is found from one side as well.
        let mut wrong = String::from("point,k2\nnominal,");
        wrong.push_str(&(1.01 * number(&row, "grad")).to_string());
        bench.write("g.csv", &wrong);
        let ran = run(bench.path(), "check p --engine cpu --gradient g.csv --out c.csv");
        assert_eq!(ran.status, Some(1), "{}{}", ran.out, ran.err);
        let (_, checks) = csv_of(&bench.read("c.csv"));
        assert_eq!(words(&checks[0]), [side, "fail", "", "no_prior_density"]);

        // One step of one side does not show its truncation error.
        let row = k2(&bench, "sweep p --eps 1e-5");
        assert_eq!(words(&row), ["", "failed", missing, "no_prior_density"]);
        assert_eq!(count(&bench, &format!("failed_{missing}")), 1.0);
        assert_eq!(count(&bench, "failed"), 1.0);
    }
    let bench = with_prior("0;1e-12");
    assert_eq!(words(&k2(&bench, "sweep p")), ["", "failed", "both", "no_prior_density"]);
    assert_eq!(count(&bench, "failed_both"), 1.0);
}

/// The recommended eps is where a·eps^p + s/eps is smallest, and the model is near the medians.
fn check_error_models(parameters: &str, eps: &str) {
    let (_, rows) = csv_of(eps);
    let mut models = 0;
    for record in csv_of(parameters).1 {
        for differences in ["plain", "paired"] {
            let [a, p, s, best] = ["a", "p", "s", "recommended_eps"]
                .map(|name| number(&record, &format!("{differences}_{name}")));
            if a.is_nan() {
                assert!(p.is_nan() && s.is_nan() && best.is_nan(), "{record:?}");
                continue;
            }
            models += 1;
            assert!(p == 1.0 || p == 2.0);
            let error = |eps: f64| a * eps.powf(p) + s / eps;
            assert!(error(best) < error(1.01 * best) && error(best) < error(0.99 * best));
            let own: Vec<_> =
                rows.iter().filter(|r| r["parameter"] == record["parameter"]).collect();
            let deviation = |row: &&BTreeMap<String, String>| {
                let median = number(row, &format!("{differences}_error_median"));
                (error(number(row, "eps")) / median).log10().abs()
            };
            // Half of the five steps fit to half a decade: worse fits are not given.
            let near = own.iter().filter(|r| deviation(r) < 0.5).count();
            assert!(near >= 3, "{differences} {record:?}");
        }
    }
    assert!(models >= 6, "{models}");
}

/// A defect at points with a large value is found there; the same at all points is not located.
#[test]
fn where_a_gradient_fails() {
    let bench = Bench::new();
    let line = "sweep p --engine cpu --points 100 --seed 2 --out s --overwrite";
    well(bench.path(), line);
    let (_, points) = csv_of(&bench.read("s/points.csv"));
    let (_, best) = csv_of(&bench.read("s/best.csv"));
    let ids = ["k1", "k2", "scale_B", "sd_A", "sd_B", "b_frac"];
    let gradients = |is_wrong: &dyn Fn(f64) -> bool| {
        let mut text = format!("point,{}\n", ids.join(","));
        for (i, (point, rows)) in points.iter().zip(best.chunks(6)).enumerate() {
            let factor = if is_wrong(number(point, "k2")) { 2.0 } else { 1.0 };
            let cells = rows.iter().map(|row| {
                let factor = if row["parameter"] == "k2" { factor } else { 1.0 };
                (factor * number(row, "grad")).to_string()
            });
            text.push_str(&format!("{i},{}\n", cells.collect::<Vec<_>>().join(",")));
        }
        bench.write("g.csv", &text);
        run(bench.path(), &format!("{line} --gradient g.csv"))
    };
    check_error_models(&bench.read("s/parameters.csv"), &bench.read("s/eps.csv"));
    let ran = gradients(&|k2| k2 > 1.0);
    assert_eq!(ran.status, Some(1), "{}{}", ran.out, ran.err);
    let (_, rows) = csv_of(&bench.read("s/where.csv"));
    let covariates: Vec<&str> = rows.iter().map(|row| row["covariate"].as_str()).collect();
    assert_eq!(covariates, ["value", "objective_decile", "steps", "at_bound"]);
    assert!(rows.iter().all(|row| row["parameter"] == "k2"));
    // Every pair of a failing and a passing cell, from the other tables.
    let (_, judged) = csv_of(&bench.read("s/best.csv"));
    let values = |verdict: &str, column: &str| -> Vec<f64> {
        let cells = judged.iter().filter(|r| r["parameter"] == "k2" && r["verdict"] == verdict);
        cells.map(|r| number(&points[number(r, "point") as usize], column)).collect()
    };
    for (row, column) in [(&rows[0], "k2"), (&rows[2], "steps")] {
        let (failing, passing) = (values("fail", column), values("pass", column));
        let sizes = [failing.len(), passing.len()].map(|n| n as f64);
        assert_eq!([number(row, "failing"), number(row, "passing")], sizes);
        let wins = |a: &f64| -> f64 {
            let win = |b: &f64| {
                if a > b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                }
            };
            passing.iter().map(win).sum()
        };
        let auc = failing.iter().map(wins).sum::<f64>() / (sizes[0] * sizes[1]);
        assert!(close(number(row, "auc"), auc, 1e-12), "{column}: {auc} {row:?}");
    }
    assert_eq!(number(&rows[0], "auc"), 1.0);
    assert!(number(&rows[0], "p_holm") < 1e-6 && number(&rows[0], "range_low") > 1.0);
    let sentence = &rows[0]["sentence"];
    assert!(sentence.starts_with("fails where its value is above 1."), "{sentence}");
    assert!(sentence.contains(" (log10): "), "{sentence}");
    assert!(ran.out.contains(&format!("k2 {sentence}\n")), "{}", ran.out);
    assert!(rows[1..].iter().all(|row| row["sentence"].is_empty()), "one sentence");
    assert!(bench.read("s/report.html").contains(sentence.as_str()));

    // The evidence that goes with it: the binomial's tail at 5 %, term by term, times the number of
    // parameters, since the others have none.
    let (_, parameters) = csv_of(&bench.read("s/parameters.csv"));
    let k2 = parameters.iter().find(|row| row["parameter"] == "k2").unwrap();
    let (failed, n) = (number(k2, "fail"), number(k2, "pass") + number(k2, "fail"));
    let mut term = 0.95_f64.powf(n);
    let mut tail = 0.0;
    for k in 0..=n as usize {
        let k = k as f64;
        tail += if k >= failed { term } else { 0.0 };
        term *= (n - k) / (k + 1.0) * 0.05 / 0.95;
    }
    assert!(close(number(k2, "p_value"), tail, 1e-9), "{tail:e} {k2:?}");
    assert!(close(number(k2, "p_holm"), 6.0 * tail, 1e-9));
    assert!(ran.out.contains(&format!("YES (p {:.0e})", 6.0 * tail)), "{}", ran.out);

    let ran = gradients(&|_| true);
    assert_eq!(ran.status, Some(1));
    assert!(!ran.out.contains("fails where"), "{}", ran.out);
    assert_eq!(csv_of(&bench.read("s/where.csv")).1.len(), 0);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let bench = Bench::new();
    for line in [
        "check p --engine cpu",
        "check p --engine cpu --out -",
        "simulate p --engine cpu",
        "simulate p --engine cpu --out -",
        "startpoints p --points 3",
        "startpoints p --points 20000",
        "sweep p --engine cpu --points 2 --out s --overwrite",
        "report s --out -",
        "devices",
        "--help",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = gradsweep(bench.path())
            .args(line.split_whitespace())
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{line}\n{err}");
        assert!(!err.contains("Broken pipe"), "{line}\n{err}");
    }
}

#[test]
fn a_model_by_itself() {
    let bench = Bench::new();
    let line = "simulate p/model.xml --end 10 --steps 4 --engine cpu";
    let ran = well(bench.path(), line);
    let mut reader = csv::Reader::from_reader(ran.out.as_bytes());
    assert_eq!(reader.headers().unwrap(), vec!["time", "A", "B"]);
    // A <=> B with k1 = 0.8, k2 = 0.6, A(0) = 1, B(0) = 0, as the model has it.
    let (k1, k2) = (0.8, 0.6);
    let rows: Vec<Vec<f64>> = reader
        .records()
        .map(|row| row.unwrap().iter().map(|cell| cell.parse().unwrap()).collect())
        .collect();
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), [0.0, 2.5, 5.0, 7.5, 10.0]);
    for row in &rows {
        let a = (k2 + k1 * (-(k1 + k2) * row[0]).exp()) / (k1 + k2);
        // Ten times the default tolerance.
        assert!((row[1] - a).abs() < 1e-7 && (row[2] - (1.0 - a)).abs() < 1e-7, "{row:?}: {a}");
    }
    assert!(ran.err.contains("steps; engine cpu"), "{}", ran.err);
    well(bench.path(), &format!("{line} --variables B,k1 --out t.csv"));
    let text = fs::read_to_string(bench.path().join("t.csv")).unwrap();
    assert!(text.starts_with("time,B,k1\n0.0,"), "{text}");

    bench.refused("simulate p/model.xml", &["--end"]);
    bench.refused("simulate p/model.xml --end -1", &["--end -1", "positive"]);
    bench.refused("simulate p/model.xml --end 1 --steps 0", &["--steps 0"]);
    bench.refused("simulate p/model.xml --end 1 --at random:1", &["--at"]);
    bench.refused("simulate p/model.xml --end 1 --variables X", &["p/model.xml", "\"X\""]);
}

/// Errors fall with the tolerances, the loosest that will do is named, and a bad pair is refused.
#[test]
fn tolerances_are_compared() {
    let bench = Bench::new();
    let line = "tolerances p --engine cpu --points 10 --accuracy 1e-6 \
                --tolerances 1e-3:1e-6,1e-6:1e-9,1e-9:1e-12";
    let ran = well(bench.path(), &format!("{line} --out t.csv"));
    let (_, rows) = csv_of(&bench.read("t.csv"));
    let errors: Vec<f64> = rows.iter().map(|r| number(r, "gradient_error_q90")).collect();
    assert!(errors[0] > 10.0 * errors[1] && errors[1] > 10.0 * errors[2], "{errors:?}");
    let named = rows.iter().find(|r| number(r, "gradient_error_q90") <= 1e-6).unwrap();
    let words = format!("rtol {:e}, atol {:e}", number(named, "rtol"), number(named, "atol"));
    assert!(ran.err.contains(&words), "{words}: {}", ran.err);
    bench.refused("tolerances p --tolerances 1e-3", &["--tolerances 1e-3", "RTOL:ATOL"]);
    bench.refused("tolerances p --points 0", &["--points 0"]);
}

#[test]
fn help_names_the_options_and_gives_examples() {
    let folder = data("");
    let solver = "--engine --adapter --threads --rtol --atol --max-steps --verbose --quiet";
    let check = "--at --seed --eps --label --parameters --check-rtol --check-atol --steps --out \
                 --by --mode";
    for (command, options) in [
        ("check", format!("{solver} {check} --detailed")),
        (
            "sweep",
            format!(
                "{solver} {check} --points --consistent --overwrite --resume --shard --detail \
                 --compress"
            ),
        ),
        ("merge", "--out --overwrite --verbose --quiet".to_owned()),
        ("simulate", format!("{solver} --at --seed --out --end --steps --variables --amounts")),
        ("power", format!("{solver} --points --seed --eps --parameters --steps --consistent")),
        ("tolerances", format!("{solver} --points --seed --tolerances --eps --accuracy --out")),
        (
            "eps-grid",
            format!("{solver} --points --seed --eps-from --eps-to --per-decade --parameters --out"),
        ),
        ("startpoints", "--points --seed --out --verbose --quiet".to_owned()),
        (
            "optimize",
            format!(
                "{solver} --starts --at --seed --method --screen --settle --gtol --check --resume"
            ),
        ),
        ("report", "--out --verbose --quiet".to_owned()),
        ("devices", "--verbose --quiet".to_owned()),
    ] {
        let help = well(&folder, &format!("{command} --help")).out;
        for option in options.split(' ') {
            assert!(help.contains(option), "{command} --help: {option}\n{help}");
        }
        assert!(help.contains("Examples:"), "{command} --help has no examples\n{help}");
        assert!(help.contains(&format!("gradsweep {command}")), "{command}\n{help}");
    }
    let help = well(&folder, "--help").out;
    for command in [
        "check",
        "sweep",
        "optimize",
        "merge",
        "simulate",
        "power",
        "tolerances",
        "eps-grid",
        "startpoints",
        "report",
        "devices",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
    }
    assert!(help.contains("Exit status") && help.contains("Examples:"), "{help}");
}

#[test]
fn version() {
    let ran = well(&data(""), "--version");
    assert_eq!(ran.out, format!("gradsweep {}\n", env!("CARGO_PKG_VERSION")));
}
