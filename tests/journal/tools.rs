//! `workflow/`: Snakemake and Slurm around shards, only with GRADSWEEP_FULL=1. Snakemake is what
//! SNAKEMAKE names, or on the path; its executor for Slurm is a package of its own. Slurm (slurmctld,
//! slurmd, munged) is started for the test, which takes root and a mount namespace.

use super::{Files, Ran, assert_same, data, end, files, is_full, well};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const OPTIONS: &str = "--points 400 --engine cpu --max-steps 60";
const PROGRAM: &str = env!("CARGO_BIN_EXE_gradsweep");

fn workflow(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workflow").join(file)
}

fn works(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The program, or the reason why there is no test.
fn snakemake() -> Result<String, &'static str> {
    if !is_full() {
        return Err("only with GRADSWEEP_FULL=1");
    }
    let program = std::env::var("SNAKEMAKE").unwrap_or_else(|_| "snakemake".to_owned());
    if works(&program, "--version") { Ok(program) } else { Err("there is no snakemake here") }
}

fn has_slurm() -> Result<(), &'static str> {
    // sbatch says nothing without a configuration, and comes with the others.
    let versions = [("slurmctld", "-V"), ("slurmd", "-V"), ("munged", "-V")];
    if !versions.iter().all(|(program, argument)| works(program, argument)) {
        return Err("there is no Slurm here");
    }
    let own = Command::new("unshare").args(["--mount", "true"]).status();
    if own.is_ok_and(|status| status.success()) { Ok(()) } else { Err("unshare is not allowed") }
}

/// A folder with the reports of one run in `whole`.
fn undisturbed() -> (TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("sweep {} {OPTIONS} --threads 1 --out whole", data("conversion"));
    well(folder.path(), &line);
    let expected = files(&folder.path().join("whole"));
    (folder, expected)
}

fn settings(out: &str) -> Vec<String> {
    let problem = data("conversion");
    ["--config".to_owned(), format!("gradsweep={PROGRAM}"), format!("problem={problem}")]
        .into_iter()
        .chain([format!("out={out}"), format!("options={OPTIONS}")])
        .collect()
}

fn finish(command: &mut Command) -> Ran {
    let ran = end(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    assert_eq!(ran.status, Some(0), "{}{}", ran.out, ran.err);
    ran
}

#[test]
fn snakemake_gives_the_bytes_of_one_run() {
    let program = match snakemake() {
        Ok(program) => program,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let (folder, expected) = undisturbed();
    let mut command = Command::new(&program);
    command.arg("--snakefile").arg(workflow("Snakefile")).args(["--cores", "2"]);
    finish(command.args(settings("swept")).current_dir(folder.path()));
    assert_same(&files(&folder.path().join("swept")), &expected, "Snakemake");
    // Four shards were there.
    for number in 1..=4 {
        assert!(folder.path().join(format!("swept-shards/{number}/sweep.journal")).exists());
    }
}

#[test]
fn slurm_gives_the_bytes_of_one_run() {
    let program = match snakemake().and_then(|program| has_slurm().map(|()| program)) {
        Ok(program) => program,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let (folder, expected) = undisturbed();
    // By Snakemake's executor, then by the job array.
    let script = r#"
set -eu
snakemake=$1; snakefile=$2; array=$3; problem=$4; options=$5; shift 5
"$snakemake" --snakefile "$snakefile" --executor slurm --jobs 4 --slurm-status-command squeue \
    --slurm-init-seconds-before-status-checks 1 --slurm-no-account --latency-wait 5 \
    --default-resources slurm_partition=main "$@"
job=$(sbatch --parsable --array=1-4 "$array" "$problem" array $options)
sbatch --wait --dependency=afterok:$job --wrap "$GRADSWEEP merge array-shards/* --out array"
"#;
    let mut command = Command::new("unshare");
    command
        .arg("--mount")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journal/slurm.sh"))
        .arg(folder.path().join("slurm"))
        .args(["sh", "-c", script, "sh", &program])
        .args([workflow("Snakefile"), workflow("slurm.sh")])
        .args([&data("conversion"), OPTIONS])
        .args(settings("swept"))
        .env("GRADSWEEP", PROGRAM)
        .current_dir(folder.path());
    finish(&mut command);
    for (out, what) in [("swept", "Snakemake on Slurm"), ("array", "the job array")] {
        assert_same(&files(&folder.path().join(out)), &expected, what);
    }
}
