//! What ends a command.

use crate::engine::EngineError;
use crate::gradient::GradientError;
use crate::model::ModelError;
use crate::report::{BaselineError, RasterError, ReportError};
use crate::startpoints::StartpointError;
use std::io;
use std::path::PathBuf;

/// A message for the user, and which exit status it means.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Startpoints(#[from] StartpointError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("{}: {source}", .path.display())]
    Raster { path: PathBuf, source: RasterError },
    #[error(transparent)]
    Gradient(#[from] GradientError),
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("{message}")]
    Usage { message: String },
    #[error("{}: {source}", .path.display())]
    Output { path: PathBuf, source: io::Error },
    #[error("{}: exists and is not an empty folder; name another with --out, or pass --overwrite", .path.display())]
    Occupied { path: PathBuf },
    #[error("{}: another gradsweep is at work in this folder", .path.display())]
    Busy { path: PathBuf },
    #[error("interrupted")]
    Interrupted,
    /// A sweep whose journal is there.
    #[error("{source}; {done} of {points} points are kept in {}: the same command with --resume goes on", .journal.display())]
    Unfinished { source: Box<CliError>, done: usize, points: usize, journal: PathBuf },
    /// An optimisation whose journal is there.
    #[error("{source}; {rounds} rounds are kept in {}: the same command with --resume goes on", .journal.display())]
    Unoptimised { source: Box<CliError>, rounds: usize, journal: PathBuf },
}

/// Exit status of a run that could not be finished.
pub const UNFINISHED: u8 = 3;

impl CliError {
    /// 2: bad usage or input. 3: the run could not be finished.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Engine(EngineError::Device { .. })
            | Self::Interrupted
            | Self::Unfinished { .. }
            | Self::Unoptimised { .. } => UNFINISHED,
            Self::Output { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                UNFINISHED
            }
            _ => 2,
        }
    }

    pub(super) fn output(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Output { path, source }
    }
}
