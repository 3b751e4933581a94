//! Shards, and what becomes of them together.

use super::{assert_same, data, files, refused, run, sweep, well};
use std::fs;
use std::path::Path;

fn shard(folder: &Path, line: &str, number: usize, of: usize) -> String {
    let name = format!("s{number}of{of}");
    well(folder, &format!("{line} --shard {number}/{of} --out {name}"));
    name
}

#[test]
fn shards_together_are_the_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    // Of these some fail, some are tried again, and numbers do not divide evenly.
    let line = format!("{} --max-steps 60", sweep(211));
    let told = well(here, &format!("{line} --out whole"));
    let expected = files(&here.join("whole"));
    for of in [1, 3, 250] {
        let names: Vec<String> = (1..=of).map(|number| shard(here, &line, number, of)).collect();
        let backwards: Vec<&str> = names.iter().rev().map(String::as_str).collect();
        let merged = well(here, &format!("merge {} --out merged{of}", backwards.join(" ")));
        assert_same(&files(&here.join(format!("merged{of}"))), &expected, &format!("{of} shards"));
        assert_eq!(merged.out.replace(&format!("merged{of}"), "whole"), told.out);
    }
    // Adjoints go through some steps again, of which the number depends on the lanes beside.
    let stat5 = format!("sweep {} --engine cpu --gradient adjoint --points 11", data("stat5"));
    well(here, &format!("{stat5} --out adjoints"));
    let names: Vec<String> = (1..=5).map(|number| shard(here, &stat5, number, 5)).collect();
    well(here, &format!("merge {} --out adjoints5", names.join(" ")));
    assert_same(&files(&here.join("adjoints5")), &files(&here.join("adjoints")), "adjoints");
    // The twin: a shard of other points is no part of it, and its bytes are others.
    well(here, &format!("{line} --seed 1 --shard 1/1 --out twin"));
    well(here, "merge twin --out other");
    assert!(files(&here.join("other")) != expected);
}

/// Two gradients from files, one of them wrong, known failures, groups of rows, a file for a build
/// server: whatever a sweep makes of its points.
#[test]
fn everything_is_made_of_merged_points() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let problem = data("conversion");
    well(here, &format!("startpoints {problem} --points 40 --seed 3 --out points.csv"));
    well(here, &format!("check {problem} --at points.csv --engine cpu --out checks.csv"));
    let checks = fs::read_to_string(here.join("checks.csv")).unwrap();
    let gradient = |factor: f64| -> String {
        let mut text = "point,parameter,gradient\n".to_owned();
        let mut last = String::new();
        for line in checks.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let cell = format!("{},{}", fields[0], fields[1]);
            if cell != last {
                let value: f64 = fields[3].parse().unwrap();
                let factor = if fields[1] == "k1" { factor } else { 1.0 };
                text.push_str(&format!("{cell},{}\n", factor * value));
                last = cell;
            }
        }
        text
    };
    fs::write(here.join("right.csv"), gradient(1.0)).unwrap();
    fs::write(here.join("wrong.csv"), gradient(2.0)).unwrap();
    let line = format!("sweep {problem} --engine cpu --threads 1 --at points.csv");
    for options in [
        "--gradient right.csv --gradient wrong.csv --junit j.xml",
        "--gradient wrong.csv",
        "--by row",
    ] {
        let line = format!("{line} {options}");
        let whole = run(here, &format!("{line} --out whole"));
        let status = Some(i32::from(options.contains("wrong")));
        assert_eq!(whole.status, status, "{options}: {}{}", whole.out, whole.err);
        let expected = files(&here.join("whole"));
        let junit = fs::read(here.join("j.xml")).unwrap_or_default();
        let _ = fs::remove_file(here.join("j.xml"));
        let names: Vec<String> = (1..=3).map(|number| shard(here, &line, number, 3)).collect();
        let merged = run(here, &format!("merge {} --out merged", names.join(" ")));
        assert_eq!(merged.status, status, "{options}: {}", merged.err);
        assert_same(&files(&here.join("merged")), &expected, options);
        assert!(fs::read(here.join("j.xml")).unwrap_or_default() == junit, "{options}");
        assert_eq!(merged.out.replace("merged", "whole"), whole.out);
        for name in names.iter().map(String::as_str).chain(["whole", "merged"]) {
            fs::remove_dir_all(here.join(name)).unwrap();
        }
        let _ = fs::remove_file(here.join("j.xml"));
    }
}

#[test]
fn shards_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let line = sweep(90);
    for number in 1..=3 {
        shard(here, &line, number, 3);
    }
    shard(here, &line, 2, 4);
    well(here, &format!("{line} --rtol 1e-6 --shard 2/3 --out loose"));
    well(here, &format!("{line} --out whole"));
    let cut = here.join("cut");
    fs::create_dir(&cut).unwrap();
    let journal = fs::read(here.join("s3of3/sweep.journal")).unwrap();
    fs::write(cut.join("sweep.journal"), &journal[..journal.len() - 1]).unwrap();
    for (folders, words) in [
        ("s1of3 s3of3", ["shard 2/3 is missing", ""]),
        ("s2of3", ["shards 1/3, 3/3 are missing", ""]),
        ("s1of3 s2of3 s3of3 s2of3", ["shard 2/3 is there twice", "s2of3"]),
        ("s1of3 s2of4 s3of3", ["one of 3 shards", "one of 4"]),
        ("s1of3 loose s3of3", ["loose/sweep.journal are of different sweeps", "rtol is"]),
        ("s1of3 s2of3 cut", ["cut/sweep.journal: has ", "of its 30 points"]),
        ("s1of3 s2of3 whole", ["whole: holds no sweep.journal", "--shard i/n"]),
        ("s1of3 s2of3 nowhere", ["nowhere: holds no sweep.journal", ""]),
    ] {
        refused(here, &format!("merge {folders} --out merged"), &words);
    }
    refused(here, "merge s1of3 s2of3 s3of3 --out whole", &["is not an empty folder"]);
    refused(here, &format!("{line} --shard 2/3 --out s2of3"), &["--resume goes on"]);
    refused(here, &format!("{line} --shard 4/3 --out x"), &["--shard", "1 <= i <= n"]);
    // The twin: those that fit are taken; a finished shard has nothing to go on with.
    well(here, &format!("{line} --shard 2/3 --out s2of3 --resume"));
    well(here, "merge s1of3 s2of3 s3of3 --out merged");
    assert_same(&files(&here.join("merged")), &files(&here.join("whole")), "merged");
}
