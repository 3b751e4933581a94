//! Optimisations that are killed, damaged and interrupted go on to the same bytes.

use super::{Files, assert_same, command, data, end, files, refused, run, signal, well};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

const JOURNAL: &str = "optimize.journal";

fn line(method: &str) -> String {
    format!("optimize {} --starts 40 --engine cpu --settle --method {method}", data("stat5"))
}

fn undisturbed(method: &str) -> (Files, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    well(folder.path(), &format!("{} --out w", line(method)));
    let found = files(&folder.path().join("w"));
    assert!(found.contains_key(Path::new("optima.csv")) && !found.contains_key(Path::new(JOURNAL)));
    (found, began.elapsed())
}

fn length(out: &Path) -> u64 {
    fs::metadata(out.join(JOURNAL)).map_or(0, |m| m.len())
}

/// Starts a run and waits until its journal has rounds; it must not have ended.
fn started(folder: &Path, line: &str) -> Child {
    let mut child = command(folder, line).spawn().unwrap();
    // Header and starts take 5 kB, a round of 40 evaluations 20.
    while length(&folder.join("k")) < 60_000 {
        assert!(child.try_wait().unwrap().is_none(), "ended before it could be disturbed");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

#[test]
fn a_killed_optimisation_goes_on() {
    let mut random = Pcg64::seed_from_u64(6);
    for method in ["gauss-newton", "lbfgsb"] {
        let (expected, whole) = undisturbed(method);
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("k");
        let again = format!("{} --out k --resume", line(method));
        let mut kills = 0;
        for _ in 0..4 {
            let mut child = command(folder.path(), &again).spawn().unwrap();
            std::thread::sleep(whole.mul_f64(random.random_range(0.05..0.6)));
            if child.try_wait().unwrap().is_some() {
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
        }
        assert!(kills > 0);
        // Unless the last one had come to its end.
        if !out.join("optima.csv").exists() {
            well(folder.path(), &again);
        }
        assert_same(&files(&out), &expected, method);
    }
}

/// A kill while the optima are checked, when they are written already, costs the check.
#[test]
fn an_optimisation_that_is_killed_while_it_checks_goes_on() {
    let line = format!("optimize {} --starts 40 --engine cpu --check", data("stat5"));
    let folder = tempfile::tempdir().unwrap();
    well(folder.path(), &format!("{line} --out w"));
    let expected = files(&folder.path().join("w"));
    let optima = folder.path().join("k/optima.csv");
    let again = format!("{line} --out k --resume");
    let mut child = command(folder.path(), &again).spawn().unwrap();
    while !optima.exists() {
        assert!(child.try_wait().unwrap().is_none(), "ended without optima");
        std::thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    let was_killed = !child.wait().unwrap().success();
    assert!(was_killed, "the check had ended before it could be killed");
    assert!(files(&folder.path().join("k")) != expected, "nothing was left to do");
    well(folder.path(), &again);
    assert_same(&files(&folder.path().join("k")), &expected, "killed in its check");
}

/// A journal that is cut off or damaged anywhere behind its header loses rounds, no results.
#[test]
fn a_damaged_journal_of_rounds_costs_rounds() {
    let (expected, _) = undisturbed("gauss-newton");
    let folder = tempfile::tempdir().unwrap();
    let begin = format!("{} --out k", line("gauss-newton"));
    let mut child = started(folder.path(), &begin);
    child.kill().unwrap();
    child.wait().unwrap();
    let out = folder.path().join("k");
    let journal = fs::read(out.join(JOURNAL)).unwrap();
    for (at, is_cut) in [(journal.len() - 3, true), (30_000, true), (30_000, false)] {
        fs::remove_dir_all(&out).unwrap();
        fs::create_dir(&out).unwrap();
        let mut bytes = journal.clone();
        if is_cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1;
        }
        fs::write(out.join(JOURNAL), bytes).unwrap();
        let ran = well(folder.path(), &format!("{begin} --resume"));
        assert!(ran.err.contains("incomplete or damaged"), "{}", ran.err);
        assert_same(&files(&out), &expected, &format!("{at} {is_cut}"));
    }
}

#[test]
fn an_optimisation_goes_on_as_it_began_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let begin = format!("{} --out k", line("gauss-newton"));
    let child = started(folder.path(), &begin);
    signal(&child, "INT");
    let ran = end(child);
    assert_eq!(ran.status, Some(3), "{}", ran.err);
    assert!(ran.err.contains("rounds are kept in k/optimize.journal"), "{}", ran.err);
    let again = format!("{begin} --resume");
    for (option, name) in [
        ("--seed 1", "seed"),
        ("--rtol 1e-9", "rtol"),
        ("--ftol 1e-6", "ftol"),
        ("--max-iterations 5", "max_iterations"),
    ] {
        refused(folder.path(), &format!("{again} {option}"), &["begun with another", name]);
    }
    let other = line("lbfgsb");
    refused(folder.path(), &format!("{other} --out k --resume"), &["another method"]);
    let plain = begin.replace(" --settle", "");
    refused(folder.path(), &format!("{plain} --resume"), &["another settle"]);
    let fewer = begin.replace("--starts 40", "--starts 39");
    refused(folder.path(), &format!("{fewer} --resume"), &["begun with another"]);
    // Nor is it replaced unless that is asked for.
    refused(folder.path(), &begin, &["--resume goes on"]);
    well(folder.path(), &again);
    assert_same(&files(&folder.path().join("k")), &undisturbed("gauss-newton").0, "interrupted");
    // What has ended cannot go on.
    let ran = run(folder.path(), &again);
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.contains("is finished"), "{}", ran.err);
}
