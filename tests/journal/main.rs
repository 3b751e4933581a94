//! Nothing that a sweep has done is lost, and nothing comes out otherwise: killed, interrupted, out of
//! disk or divided into shards, the reports are the bytes of the undisturbed run. That run is what
//! everything is held against; what it says is tested elsewhere.

mod device;
mod gpu;
mod optima;
mod shards;
mod tools;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const JOURNAL: &str = "sweep.journal";

/// Contents by path within a folder.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Status, standard output, standard error.
pub struct Ran {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

pub fn data(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name).display().to_string()
}

pub fn is_full() -> bool {
    std::env::var("GRADSWEEP_FULL").is_ok_and(|v| v == "1")
}

/// A sweep whose batches are small next to the whole.
pub fn sweep(points: usize) -> String {
    format!("sweep {} --engine cpu --threads 1 --points {points}", data("conversion"))
}

pub fn command(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradsweep"));
    command.current_dir(folder).args(line.split_whitespace()).env_remove("RUST_LOG");
    command.env("NODEVICE_SELECT", "1").env("GRADSWEEP_SHADER_CACHE", "off");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn end(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

pub fn run(folder: &Path, line: &str) -> Ran {
    end(command(folder, line).spawn().unwrap())
}

pub fn well(folder: &Path, line: &str) -> Ran {
    let ran = run(folder, line);
    assert_eq!(ran.status, Some(0), "{line}\n{}{}", ran.out, ran.err);
    ran
}

/// Ends with status 2, all these words on stderr, and nothing changed in the folder, but that the lock
/// of a dead run may go.
pub fn refused(folder: &Path, line: &str, words: &[&str]) {
    let mut before = files(folder);
    before.retain(|name, _| !name.ends_with("sweep.lock"));
    let ran = run(folder, line);
    assert_eq!(ran.status, Some(2), "{line}\n{}{}", ran.out, ran.err);
    for word in words {
        assert!(ran.err.contains(word), "{line}: no {word:?} in {}", ran.err);
    }
    assert!(files(folder) == before, "{line} touched files");
}

pub fn files(folder: &Path) -> Files {
    fn collect(root: &Path, folder: &Path, files: &mut Files) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, files);
            } else {
                let name = path.strip_prefix(root).unwrap().to_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = Files::new();
    collect(folder, folder, &mut found);
    found
}

/// The same files with the same bytes.
pub fn assert_same(found: &Files, expected: &Files, what: &str) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{what}");
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{what}: {} differs", name.display());
    }
}

/// What an undisturbed run leaves, and how long it takes.
fn undisturbed(points: usize) -> (Files, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    well(folder.path(), &format!("{} --out w", sweep(points)));
    let found = files(&folder.path().join("w"));
    assert!(
        found.contains_key(Path::new("report.html")) && !found.contains_key(Path::new(JOURNAL))
    );
    (found, began.elapsed())
}

fn journal_length(folder: &Path) -> u64 {
    fs::metadata(folder.join(JOURNAL)).map_or(0, |m| m.len())
}

/// Starts a run and waits until its journal has grown; none if it has ended before.
fn started(folder: &Path, line: &str, out: &Path) -> Option<Child> {
    let before = journal_length(out);
    let mut child = command(folder, line).spawn().unwrap();
    // A journal has a header of about a kilobyte, and records of many.
    while journal_length(out) < before + 8192 {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Some(child)
}

pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

/// A folder with a sweep that was killed when some points were done.
fn killed(points: usize) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("{} --out k", sweep(points));
    let mut child = started(folder.path(), &line, &folder.path().join("k")).expect("ended");
    child.kill().unwrap();
    child.wait().unwrap();
    (folder, line)
}

const POINTS: usize = 1500;

#[test]
fn killed_at_any_moment_it_goes_on() {
    let (expected, whole) = undisturbed(POINTS);
    let mut random = Pcg64::seed_from_u64(5);
    let (mut kills, mut sweeps) = (0, 0);
    let wanted = if is_full() { 10 } else { 3 };
    while kills < wanted {
        let folder = tempfile::tempdir().unwrap();
        let line = format!("{} --out k --resume", sweep(POINTS));
        sweeps += 1;
        loop {
            let mut child = command(folder.path(), &line).spawn().unwrap();
            std::thread::sleep(whole.mul_f64(random.random_range(0.05..0.6)));
            let is_last = kills == wanted;
            if is_last || child.try_wait().unwrap().is_some() {
                let ran = end(child);
                assert_eq!(ran.status, Some(0), "{}", ran.err);
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            // Killed when all was written: nothing is left to go on with.
            let k = folder.path().join("k");
            if k.join("run.json").exists() && !k.join("sweep.journal").exists() {
                break;
            }
        }
        assert_same(&files(&folder.path().join("k")), &expected, &format!("{kills} kills"));
    }
    println!("{kills} kills of {sweeps} sweeps");
    // The twin: other points are seen to be other bytes.
    let folder = tempfile::tempdir().unwrap();
    well(folder.path(), &format!("{} --seed 1 --out k", sweep(POINTS)));
    assert!(files(&folder.path().join("k")) != expected);
}

#[test]
fn a_damaged_journal_costs_points_not_results() {
    let (expected, _) = undisturbed(POINTS);
    let (folder, line) = killed(POINTS);
    let out = folder.path().join("k");
    let path = out.join(JOURNAL);
    let whole = fs::read(&path).unwrap();
    let resume = |bytes: &[u8]| -> Ran {
        fs::remove_dir_all(&out).unwrap();
        fs::create_dir(&out).unwrap();
        fs::write(&path, bytes).unwrap();
        run(folder.path(), &format!("{line} --resume"))
    };
    let mut changed = whole.clone();
    let middle = whole.len() * 2 / 3;
    changed[middle] ^= 1;
    for (what, bytes) in [("cut off", &whole[..whole.len() - 100]), ("changed", &changed)] {
        let ran = resume(bytes);
        assert_eq!(ran.status, Some(0), "{what}: {}", ran.err);
        assert!(ran.err.contains("incomplete or damaged"), "{what}: {}", ran.err);
        assert_same(&files(&out), &expected, what);
    }
    // Where the start is damaged nothing tells what was asked for.
    let mut changed = whole;
    changed[50] ^= 1;
    let ran = resume(&changed);
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.contains("--overwrite starts anew"), "{}", ran.err);
    assert!(fs::read(&path).unwrap() == changed);
}

#[test]
fn other_settings_are_refused() {
    let (folder, line) = killed(POINTS);
    for (option, words) in [
        ("--seed 1", ["another seed", "0; now it is 1"]),
        ("--eps 1e-3", ["another eps", "now it is 0.001"]),
        ("--rtol 1e-6", ["another rtol", "now it is 1e-6"]),
        ("--atol 1e-10", ["another atol", "now it is 1e-10"]),
        ("--max-steps 77", ["another max_steps", "10000; now it is 77"]),
        ("--steps adaptive", ["another steps", "shared; now it is adaptive"]),
        ("--parameters k1", ["another parameters", "now it is k1"]),
        ("--check-rtol 1e-2", ["another check_rtol", "now it is 0.01"]),
        ("--label abs_err", ["another label", "now it is AbsErr"]),
        ("--consistent 0.5", ["another consistent", "0.05; now it is 0.5"]),
        ("--by row", ["another by", "none; now it is row"]),
        ("--at nominal", ["another at", "now it is nominal"]),
        ("--shard 1/2", ["another shard", "none; now it is 1/2"]),
    ] {
        let line = match option {
            "--at nominal" => line.replace(&format!("--points {POINTS}"), ""),
            _ => line.clone(),
        };
        refused(folder.path(), &format!("{line} {option} --resume"), &words);
    }
    let other = line.replace(&format!("--points {POINTS}"), "--points 1501");
    refused(folder.path(), &format!("{other} --resume"), &["another at", "random:1501"]);
    let other = line.replace("conversion", "robertson");
    refused(folder.path(), &format!("{other} --resume"), &["another"]);
    refused(folder.path(), &line, &["--resume goes on", "--overwrite"]);
    refused(
        folder.path(),
        &format!("{line} --resume --order 1 --gradient forward --hessian none.csv"),
        &["--resume: not with --order 1"],
    );
    let residuals = format!("{line} --resume --mode residuals");
    refused(folder.path(), &residuals, &["--resume: not with --mode residuals"]);
    // The twin: the same settings are taken. How many threads there are changes nothing.
    let (expected, _) = undisturbed(POINTS);
    well(folder.path(), &format!("{} --resume", line.replace("--threads 1", "--threads 2")));
    assert_same(&files(&folder.path().join("k")), &expected, "resumed");
    refused(folder.path(), &format!("{line} --resume"), &["what was there is finished"]);
}

#[test]
fn a_changed_problem_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("p");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(data("conversion")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    let line = format!("sweep p --engine cpu --threads 1 --points {POINTS} --out k");
    let mut child = started(folder.path(), &line, &folder.path().join("k")).expect("ended");
    child.kill().unwrap();
    child.wait().unwrap();
    let measurements = fs::read_dir(&copy)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("measurement"))
        .unwrap();
    let text = fs::read_to_string(&measurements).unwrap();
    // A digit more at the end of the last number changes no number's meaning, but the file.
    fs::write(&measurements, format!("{}\n\n", text.trim_end())).unwrap();
    refused(folder.path(), &format!("{line} --resume"), &["another inputs.", "measurement"]);
}

#[test]
fn an_interrupt_ends_cleanly() {
    let (expected, _) = undisturbed(POINTS);
    for name in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let (line, out) = (format!("{} --out k", sweep(POINTS)), folder.path().join("k"));
        let child = started(folder.path(), &line, &out).expect("ended");
        signal(&child, name);
        let ran = end(child);
        assert_eq!(ran.status, Some(3), "{name}: {}", ran.err);
        assert!(ran.err.contains("stopping after this batch"), "{}", ran.err);
        let kept = format!("of {POINTS} points are kept in k/{JOURNAL}");
        assert!(ran.err.contains(&kept) && ran.err.contains("--resume"), "{}", ran.err);
        let left: Vec<_> = files(&out).into_keys().collect();
        assert_eq!(left, [PathBuf::from(JOURNAL)], "{name}");
        well(folder.path(), &format!("{line} --resume"));
        assert_same(&files(&out), &expected, name);
    }
}

#[test]
fn two_runs_on_one_folder_refuse_each_other() {
    let (expected, _) = undisturbed(POINTS);
    let folder = tempfile::tempdir().unwrap();
    let (line, out) = (format!("{} --out k", sweep(POINTS)), folder.path().join("k"));
    let child = started(folder.path(), &line, &out).expect("ended");
    // Stopped, it holds the folder as long as this takes.
    signal(&child, "STOP");
    let before = files(&out);
    for option in ["", "--resume", "--overwrite"] {
        let ran = run(folder.path(), &format!("{line} {option}"));
        assert_eq!(ran.status, Some(2), "{option}: {}", ran.err);
        assert!(ran.err.contains("k: another gradsweep is at work"), "{option}: {}", ran.err);
    }
    assert!(files(&out) == before, "the refused runs touched files");
    signal(&child, "CONT");
    let ran = end(child);
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert_same(&files(&out), &expected, "beside others");
}

/// Runs `line` where a file may have this many KiB at most, resumes without the limit.
#[test]
fn a_file_that_cannot_grow_leaves_the_journal_usable() {
    let (expected, _) = undisturbed(POINTS);
    let folder = tempfile::tempdir().unwrap();
    let (line, out) = (format!("{} --out k", sweep(POINTS)), folder.path().join("k"));
    let limited =
        format!("trap '' XFSZ; ulimit -f 1000; exec {} {line}", env!("CARGO_BIN_EXE_gradsweep"));
    // `ulimit -f` counts blocks of 512 or 1024 bytes, as the shell likes.
    let child = Command::new("sh")
        .args(["-c", &limited])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let ran = end(child.unwrap());
    assert_eq!(ran.status, Some(3), "{}", ran.err);
    assert!(ran.err.contains("File too large") && ran.err.contains("--resume"), "{}", ran.err);
    assert_eq!(files(&out).into_keys().collect::<Vec<_>>(), [PathBuf::from(JOURNAL)]);
    assert!(journal_length(&out) > 8192);
    well(folder.path(), &format!("{line} --resume"));
    assert_same(&files(&out), &expected, "after the limit");
}

/// A tmpfs that goes away.
struct SmallDisk<'a>(&'a Path);

impl SmallDisk<'_> {
    fn mount(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.0);
        mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).stderr(Stdio::null()).status();
    }
}

#[test]
fn a_full_disk_leaves_the_journal_usable() {
    let (expected, _) = undisturbed(POINTS);
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("disk");
    fs::create_dir(&place).unwrap();
    let disk = SmallDisk(&place);
    if !disk.mount("size=2m") {
        println!("skipped: no tmpfs can be mounted here (root may)");
        return;
    }
    let (line, out) = (format!("{} --out disk/k", sweep(POINTS)), place.join("k"));
    for option in ["", "--resume"] {
        let ran = run(folder.path(), &format!("{line} {option}"));
        assert_eq!(ran.status, Some(3), "{}", ran.err);
        assert!(ran.err.contains("No space left on device"), "{}", ran.err);
        assert!(ran.err.contains("--resume goes on"), "{}", ran.err);
        assert_eq!(files(&out).into_keys().collect::<Vec<_>>(), [PathBuf::from(JOURNAL)]);
    }
    assert!(journal_length(&out) > 8192);
    assert!(disk.mount("remount,size=200m"));
    well(folder.path(), &format!("{line} --resume"));
    assert_same(&files(&out), &expected, "after the full disk");
}

/// Rows of `checks.csv` by what their verdict is, from the file of everything.
#[test]
fn detail_is_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("{} --max-steps 60 --out", sweep(300));
    let read = |name: &str| files(&folder.path().join(name));
    well(folder.path(), &format!("{line} all"));
    well(folder.path(), &format!("{line} none --detail none"));
    well(folder.path(), &format!("{line} failures --detail failures"));
    well(folder.path(), &format!("{line} zstd --compress zstd"));
    let mut all = read("all");
    let checks = all.remove(Path::new("checks.csv")).unwrap();
    assert_same(&read("none"), &all, "--detail none");
    let mut zstd = read("zstd");
    let compressed = zstd.remove(Path::new("checks.csv.zst")).unwrap();
    assert_same(&zstd, &all, "--compress zstd");
    let mut failures = read("failures");
    let some = failures.remove(Path::new("checks.csv")).unwrap();
    assert_same(&failures, &all, "--detail failures");

    let text = String::from_utf8(checks.clone()).unwrap();
    let is_told = |line: &&str| {
        let verdict = line.rsplit(',').nth(2).unwrap();
        verdict != "pass" && verdict != "insensitive"
    };
    let expected: Vec<&str> = text.lines().filter(is_told).collect();
    let some = String::from_utf8(some).unwrap();
    assert_eq!(some.lines().collect::<Vec<_>>(), expected);
    let told = expected.len();
    assert!(told > 1 && told < text.lines().count(), "both kinds are there");

    // The same text in less, for the usual program.
    assert!(compressed.len() < checks.len() / 2);
    let path = folder.path().join("zstd/checks.csv.zst");
    match Command::new("zstd").args(["-d", "-c"]).arg(&path).output() {
        Ok(output) => assert!(output.status.success() && output.stdout == checks),
        Err(error) => println!("skipped: no program zstd here ({error})"),
    }
    // A file that is not written any more does not stay behind.
    well(folder.path(), &format!("{line} zstd --overwrite --detail none"));
    assert_same(&read("zstd"), &all, "--overwrite");
    well(folder.path(), "report zstd");
}
