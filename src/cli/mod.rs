//! The command line: one file a command.

mod check;
mod comparing;
mod detail;
mod devices;
mod engines;
mod eps_grid;
mod error;
mod folder;
mod gradient;
mod hessian;
mod hessian_rows;
mod interrupt;
mod journal;
mod localise;
mod merge;
mod model;
mod optimize;
mod optimize_files;
mod optimum;
mod options;
mod outcome;
mod output;
mod plain;
mod points;
mod power;
mod record;
mod report;
mod reports;
mod residual_gradient;
mod residuals;
mod rounds;
mod shader_cache;
mod shard;
mod simulate;
mod sources;
mod startpoints;
mod sweep;
mod tolerances;

pub use error::CliError;

use clap::{ArgAction, Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;

/// Checks gradients of ODE parameter-estimation problems in the PEtab format.
///
/// PROBLEM is a PEtab YAML file or a folder that holds one. A gradient is compared with finite
/// differences whose error is known: every verdict rests on an estimate with a bound.
#[derive(Debug, Parser)]
#[command(name = "gradsweep", version)]
#[command(
    after_help = "Exit status: 0 all well, 1 the check found failing gradients (none of --baseline), \
    2 bad usage or input, 3 the run could not be finished.\n\n\
    Examples:\n  \
    gradsweep sweep data/stat5                   1,000 random points, reports in stat5-sweep/\n  \
    gradsweep check data/stat5 --at nominal      the table at one point, best of five eps\n  \
    gradsweep check data/stat5 --at random:3 --eps 1e-5 --detailed\n  \
    gradsweep optimize data/stat5 --starts 100   local optima, each with its reason of stopping\n  \
    gradsweep simulate data/stat5 --out -        simulation table, likelihood, chi2\n  \
    gradsweep report stat5-sweep                 the page of a sweep again, from its files"
)]
struct Cli {
    /// More messages on stderr; twice for more.
    #[arg(short, long, action = ArgAction::Count, global = true)]
    verbose: u8,
    /// Only errors on stderr, no progress bar.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Arguments),
    Sweep(sweep::Arguments),
    Merge(merge::Arguments),
    Optimize(optimize::Arguments),
    Report(report::Arguments),
    Simulate(simulate::Arguments),
    Power(power::Arguments),
    Startpoints(startpoints::Arguments),
    Tolerances(tolerances::Arguments),
    EpsGrid(eps_grid::Arguments),
    Devices(devices::Arguments),
}

/// How much to tell on stderr, and whether with colours.
#[derive(Debug, Clone, Copy)]
struct Manner {
    quiet: bool,
    /// Colours on stdout.
    colours: bool,
}

/// Runs the program on the process's arguments.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, _) => LevelFilter::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(!no_colour && std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
    let manner =
        Manner { quiet: cli.quiet, colours: !no_colour && std::io::stdout().is_terminal() };
    let outcome = match cli.command {
        Command::Check(arguments) => check::run(&arguments, manner),
        Command::Sweep(arguments) => sweep::run(&arguments, manner),
        Command::Merge(arguments) => merge::run(&arguments, manner),
        Command::Optimize(arguments) => optimize::run(&arguments, manner),
        Command::Report(arguments) => report::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Power(arguments) => power::run(&arguments),
        Command::Tolerances(arguments) => tolerances::run(&arguments, manner),
        Command::EpsGrid(arguments) => eps_grid::run(&arguments, manner),
        Command::Startpoints(arguments) => startpoints::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gradsweep: {error}");
            ExitCode::from(error.exit_status())
        }
    }
}

/// Whether the reader of standard output went away: `gradsweep ... | head` is no failure.
fn is_broken_pipe(error: &CliError) -> bool {
    let CliError::Output { source, .. } = error else { return false };
    // The csv crate wraps the error of the writer below it.
    let wrapped = source.get_ref().and_then(|inner| inner.downcast_ref::<csv::Error>());
    let kind = match wrapped.map(csv::Error::kind) {
        Some(csv::ErrorKind::Io(inner)) => inner.kind(),
        _ => source.kind(),
    };
    kind == std::io::ErrorKind::BrokenPipe
}
