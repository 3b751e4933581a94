//! Options, points and places that are refused.

use crate::tools::*;
use std::fs;

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
    bench.refused("sweep p --engine cpu --points 2 --out -", &["--out -", "folder"]);
}

#[test]
fn power_judges_no_gradient() {
    let bench = Bench::new();
    for option in ["--gradient nosuch.csv", "--gradient-rtol 0.1", "--label fd_err"] {
        let name = option.split(' ').next().unwrap();
        bench.refused(&format!("power p --points 2 {option}"), &[name, "no gradient is judged"]);
    }
}

/// Links and pipes stay what they are.
#[cfg(unix)]
#[test]
fn places_that_are_no_plain_files() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let bench = Bench::new();
    let expected = well(bench.path(), "startpoints p --points 2").out;
    bench.write("old.csv", "old\n");
    for (link, target) in [("there", "old.csv"), ("dangling", "new.csv")] {
        symlink(target, bench.path().join(link)).unwrap();
        well(bench.path(), &format!("startpoints p --points 2 --out {link}"));
        assert!(bench.path().join(link).is_symlink(), "{link}");
        assert_eq!(bench.read(target), expected, "{link}");
    }
    let pipe = bench.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let read = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    well(bench.path(), "startpoints p --points 2 --out pipe");
    assert_eq!(read.join().unwrap(), expected);
    assert!(fs::metadata(pipe).unwrap().file_type().is_fifo());
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
