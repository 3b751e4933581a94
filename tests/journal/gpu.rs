//! Sweeps on the GPU engine, of which several batches are under way at a time: interrupted, killed or in
//! shards, they end with the bytes of an undisturbed run.

use super::{Files, JOURNAL, assert_same, command, data, end, files, signal, started, well};
use gradsweep::engine::gpu;
use std::fs;
use std::path::Path;

const POINTS: usize = 3000;

fn sweep() -> String {
    format!("sweep {} --engine gpu --detail none --points {POINTS}", data("conversion"))
}

fn has_adapter() -> bool {
    match gpu::find(None) {
        Ok(_) => true,
        Err(error) => {
            assert!(
                std::env::var_os("GRADSWEEP_REQUIRE_GPU").is_none_or(|v| v != "1"),
                "GRADSWEEP_REQUIRE_GPU=1, but {error}"
            );
            println!("skipped on the GPU engine: {error}");
            false
        }
    }
}

fn tables(files: &Files) -> Files {
    let is_table = |name: &Path| name.extension().is_some_and(|e| e == "csv");
    let tables = files.iter().filter(|(name, _)| is_table(name));
    tables.map(|(name, bytes)| (name.clone(), bytes.clone())).collect()
}

#[test]
fn disturbances_change_no_byte() {
    if !has_adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    well(path, &format!("{} --out whole", sweep()));
    let expected = files(&path.join("whole"));
    // Other threads, other chunks under way when one is judged.
    well(path, &format!("{} --out threads --threads 1", sweep()));
    assert_same(&files(&path.join("threads")), &expected, "threads");
    // All of a kind, be there one or several, which `run.json` says.
    well(path, &format!("{} --out all --adapters all", sweep()));
    assert_same(&tables(&files(&path.join("all"))), &tables(&expected), "all adapters");

    for name in ["INT", "KILL"] {
        let out = path.join(name);
        let line = format!("{} --out {name} --resume", sweep());
        let mut left = 2;
        while left > 0 {
            let Some(child) = started(path, &line, &out) else { break };
            signal(&child, name);
            let ran = end(child);
            // On a fast device it may end first.
            assert!(name != "INT" || matches!(ran.status, Some(0 | 3)), "{}", ran.err);
            left -= 1;
        }
        println!("{} times {name}", 2 - left);
        if out.join(JOURNAL).exists() {
            well(path, &line);
        }
        assert_same(&files(&out), &expected, name);
    }

    for shard in ["1/2", "2/2"] {
        well(path, &format!("{} --shard {shard} --out part{}", sweep(), &shard[..1]));
    }
    well(path, "merge part1 part2 --out merged");
    assert_same(&files(&path.join("merged")), &expected, "shards");
}

/// What keeps compiled shaders is said, and no matter to a sweep that goes on.
#[test]
fn where_shaders_are_kept_does_not_matter() {
    if !has_adapter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("file"), "").unwrap();
    let line = format!("{} --out s", sweep());
    let unusable = path.join("file/below");
    let mut child = command(path, &line);
    let ran = end(child.env("GRADSWEEP_SHADER_CACHE", &unusable).spawn().unwrap());
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let record = fs::read_to_string(path.join("s/run.json")).unwrap();
    assert!(record.contains("compiled shaders not kept: "), "{record}");
    let without = tables(&files(&path.join("s")));

    let cache = path.join("cache");
    let mut child = command(path, &format!("{line} --overwrite"));
    let ran = end(child.env("GRADSWEEP_SHADER_CACHE", &cache).spawn().unwrap());
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert_same(&tables(&files(&path.join("s"))), &without, "with a cache");
    let record = fs::read_to_string(path.join("s/run.json")).unwrap();
    assert_eq!(cache.exists(), record.contains("; compiled shaders kept"), "{record}");
}
