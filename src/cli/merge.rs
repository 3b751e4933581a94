//! `gradsweep merge`.

use super::folder::{JOURNAL, has_journal};
use super::journal::Begun;
use super::options::usage;
use super::{Cli, CliError, Command, Manner, sweep};
use clap::{Args, Parser};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make the reports of a sweep whose points were evaluated in shards.
///
/// Reads the journals that `gradsweep sweep --shard` left in the folders, in any order; all shards of
/// one sweep are needed. The reports are the same bytes as those of the sweep in one run. To be run
/// where the shards were: the problem is read again, by the same path.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    gradsweep sweep data/stat5 --engine cpu --shard 1/2 --out part1\n  \
    gradsweep sweep data/stat5 --engine cpu --shard 2/2 --out part2\n  \
    gradsweep merge part1 part2 --out stat5-sweep")]
pub struct Arguments {
    /// Folders of the shards.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Folder for the reports.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace reports that are in the folder already.
    #[arg(long)]
    overwrite: bool,
}

pub(super) fn run(arguments: &Arguments, manner: Manner) -> Result<ExitCode, CliError> {
    let mut shards =
        arguments.folders.iter().map(|folder| open(folder)).collect::<Result<Vec<_>, _>>()?;
    shards.sort_by_key(|(number, _)| *number);
    check_numbers(&shards)?;
    let shards: Vec<Begun> = shards.into_iter().map(|(_, shard)| shard).collect();
    check_settings(&shards)?;
    shards.iter().try_for_each(check_points)?;
    let words = std::iter::once("gradsweep".to_owned()).chain(shards[0].header.command.clone());
    let Ok(Cli { command: Command::Sweep(mut swept), .. }) = Cli::try_parse_from(words) else {
        let path = shards[0].path.display();
        return Err(usage(format!("{path}: is not of a sweep of this version of gradsweep")));
    };
    swept.out = Some(arguments.out.clone());
    swept.overwrite = arguments.overwrite;
    (swept.resume, swept.shard) = (false, None);
    sweep::carry_out(&swept, manner, shards)
}

/// A shard with its number.
fn open(folder: &Path) -> Result<(usize, Begun), CliError> {
    if !has_journal(folder) {
        return Err(usage(format!(
            "{}: holds no {JOURNAL}; `gradsweep sweep --shard i/n --out DIR` makes one",
            folder.display()
        )));
    }
    let shard = Begun::open(folder, false)?;
    match shard.header.shard {
        Some(own) => Ok((own.number, shard)),
        None => Err(usage(format!(
            "{}: is of a whole sweep, not of a shard; --resume goes on with it",
            shard.path.display()
        ))),
    }
}

/// Every shard must be there once. They are in order.
fn check_numbers(shards: &[(usize, Begun)]) -> Result<(), CliError> {
    let of = |shard: &Begun| shard.header.shard.map_or(0, |own| own.of);
    let first = &shards[0].1;
    if let Some((_, other)) = shards.iter().find(|(_, shard)| of(shard) != of(first)) {
        return Err(usage(format!(
            "{} is one of {} shards, {} one of {}",
            first.path.display(),
            of(first),
            other.path.display(),
            of(other)
        )));
    }
    if let Some(pair) = shards.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(usage(format!(
            "shard {}/{} is there twice: {} and {}",
            pair[0].0,
            of(first),
            pair[0].1.path.display(),
            pair[1].1.path.display()
        )));
    }
    let is_missing = |number: &usize| !shards.iter().any(|(own, _)| own == number);
    let missing: Vec<String> =
        (1..=of(first)).filter(is_missing).map(|n| format!("{n}/{}", of(first))).collect();
    if !missing.is_empty() {
        let (noun, verb) = if missing.len() == 1 { ("shard", "is") } else { ("shards", "are") };
        return Err(usage(format!("{noun} {} {verb} missing", missing.join(", "))));
    }
    Ok(())
}

/// All must be of one sweep.
fn check_settings(shards: &[Begun]) -> Result<(), CliError> {
    let first = &shards[0];
    for other in &shards[1..] {
        let mut theirs = other.header.clone();
        theirs.shard = first.header.shard;
        if let Some((name, values)) = first.header.difference(&theirs) {
            return Err(usage(format!(
                "{} and {} are of different sweeps: {name} is {} and {}",
                first.path.display(),
                other.path.display(),
                values[0],
                values[1]
            )));
        }
    }
    Ok(())
}

/// A shard must have all its points.
fn check_points(shard: &Begun) -> Result<(), CliError> {
    let folder = shard.path.parent().unwrap_or(Path::new(""));
    let mut reader = Begun::open(folder, false)?.reader;
    let range = shard.header.range();
    let mut next = range.start;
    while let Some(chunk) =
        reader.next_chunk(next, |_| true).map_err(CliError::output(&shard.path))?
    {
        next += chunk.evaluated.points.len();
    }
    if next == range.end {
        return Ok(());
    }
    Err(usage(format!(
        "{}: has {} of its {} points; the shard's command with --resume goes on with them",
        shard.path.display(),
        next - range.start,
        range.len()
    )))
}
