//! Runs that must not depend on threads or pipes; models by themselves, tolerances, help.

use crate::tools::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

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
    bench.refused("tolerances p --tolerances 1e-3:1e-6,1e-3:1e-6", &["1e-3:1e-6", "twice"]);
    bench.refused("tolerances p --tolerances 1e-13:1e-16", &["1e-13:1e-16", "1e-12:1e-16"]);
    bench.refused("tolerances p --rtol 1e-3", &["--rtol", "--tolerances"]);
    bench.refused("tolerances p --accuracy nan", &["--accuracy NaN"]);
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
        (
            "tolerances",
            "--engine --threads --max-steps --points --seed --tolerances --eps --accuracy --out"
                .to_owned(),
        ),
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
