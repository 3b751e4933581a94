//! `--detail` and `--compress`: what becomes of `checks.csv`, which is by far the largest file.

use super::CliError;
use super::output::Output;
use crate::check::{CheckRow, JudgedPoint, VerdictKind};
use clap::{Args, ValueEnum};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::{self, Write};
use std::path::Path;

/// The names that the file may have.
pub const CHECKS: [&str; 2] = ["checks.csv", "checks.csv.zst"];
/// Bytes that are compressed together, as a frame of their own.
const FRAME: usize = 4 << 20;

/// Which cells are told of in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Detail {
    /// No checks.csv.
    None,
    /// Cells whose verdict is neither pass nor insensitive.
    Failures,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    Zstd,
}

/// What is written of every point, parameter and eps.
#[derive(Debug, Clone, Copy, Args)]
pub struct DetailOptions {
    /// Cells (point and parameter) that checks.csv has.
    #[arg(long, value_enum, default_value = "all")]
    pub detail: Detail,
    /// Write checks.csv.zst instead.
    #[arg(long, value_enum)]
    pub compress: Option<Compression>,
}

impl DetailOptions {
    /// The name of the file, if there is one.
    pub fn file(self) -> Option<&'static str> {
        let name = if self.compress.is_some() { CHECKS[1] } else { CHECKS[0] };
        (self.detail != Detail::None).then_some(name)
    }

    /// The rows of a point that are written.
    pub fn rows(self, judged: &JudgedPoint) -> Vec<CheckRow> {
        let is_well = |row: &&CheckRow| {
            let cell = judged.cells.iter().find(|cell| cell.parameter == row.parameter);
            cell.is_some_and(|cell| {
                matches!(cell.verdict.kind, VerdictKind::Pass | VerdictKind::Insensitive)
            })
        };
        match self.detail {
            Detail::None => Vec::new(),
            Detail::Failures => judged.rows.iter().filter(|row| !is_well(row)).cloned().collect(),
            Detail::All => judged.rows.clone(),
        }
    }

    /// Opens the file.
    pub fn create(self, path: &Path) -> Result<DetailOutput, CliError> {
        let compressed = self.compress.map(|Compression::Zstd| Vec::with_capacity(FRAME));
        Ok(DetailOutput { out: Output::create(path)?, waiting: compressed })
    }
}

/// A file that may be compressed.
pub struct DetailOutput {
    out: Output,
    /// What is not compressed yet; none where nothing is.
    waiting: Option<Vec<u8>>,
}

impl DetailOutput {
    /// Writes what is left and gives the file its name.
    pub fn finish(mut self) -> io::Result<()> {
        self.compress()?;
        self.out.finish()
    }

    fn compress(&mut self) -> io::Result<()> {
        match &mut self.waiting {
            Some(waiting) if !waiting.is_empty() => {
                let frame = compress_to_vec(waiting.as_slice(), CompressionLevel::Fastest);
                waiting.clear();
                self.out.write_all(&frame)
            }
            _ => Ok(()),
        }
    }
}

impl Write for DetailOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(waiting) = &mut self.waiting else { return self.out.write(bytes) };
        let taken = bytes.len().min(FRAME - waiting.len());
        waiting.extend_from_slice(&bytes[..taken]);
        if waiting.len() == FRAME {
            self.compress()?;
        }
        Ok(taken)
    }

    /// What waits to be compressed goes on waiting: frames do not depend on who flushes when.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
