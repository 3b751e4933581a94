//! A folder for results: one run at a time, and nothing replaced that was not to be.

use super::CliError;
use super::options::usage;
use super::output::Output;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Of a sweep that is not finished, and of a shard.
pub const JOURNAL: &str = "sweep.journal";
/// Of an optimisation that is not finished.
pub const ROUNDS: &str = "optimize.journal";
const LOCK: &str = "sweep.lock";

/// Keeps other runs out of a folder. A program that dies lets go of it, too.
pub struct FolderLock {
    file: Option<File>,
    path: PathBuf,
}

impl FolderLock {
    /// Of a folder that exists.
    pub fn take(folder: &Path) -> Result<Self, CliError> {
        let path = folder.join(LOCK);
        // A program that was killed may need a moment to be gone.
        let mut patience = 20;
        loop {
            let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            let file = opened.map_err(CliError::output(&path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if patience > 0 => {
                    patience -= 1;
                    std::thread::sleep(Duration::from_millis(50));
                    continue;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(CliError::Busy { path: folder.to_owned() });
                }
                Err(TryLockError::Error(error)) => {
                    tracing::warn!("{}: cannot be locked ({error})", path.display());
                }
            }
            // Another run may have removed the file at its end, between the two calls.
            if is_at(&file, &path) {
                return Ok(Self { file: Some(file), path });
            }
        }
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |m: &fs::Metadata| (m.dev(), m.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if place(&a) == place(&b))
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Removed while it is held, where the system can.
        let removed = fs::remove_file(&self.path);
        drop(self.file.take());
        if removed.is_err() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether a folder holds a journal.
pub fn has_journal(folder: &Path) -> bool {
    folder.join(JOURNAL).exists()
}

/// Whether a folder holds something but what a killed run leaves behind before its journal.
pub fn has_content(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name != LOCK && !name.to_string_lossy().ends_with(".partial") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Which folders' contents may be replaced.
#[derive(Debug, Clone, Copy)]
pub struct Replacing {
    /// The user has said so.
    pub is_asked_for: bool,
    /// It is the program's own: an earlier sweep's reports there may be replaced.
    pub is_own: bool,
}

/// A folder for results: made where it is missing; one that holds something is refused, unless it
/// may be replaced.
pub fn result_folder(path: &Path, replacing: Replacing) -> Result<FolderLock, CliError> {
    if path == Path::new("-") {
        return Err(usage("--out -: the name of a folder is expected"));
    }
    if let Err(error) = fs::read_dir(path) {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(CliError::output(path)(error));
        }
        fs::create_dir_all(path).map_err(CliError::output(path))?;
    }
    let lock = FolderLock::take(path)?;
    let journals = [(JOURNAL, "points of a sweep"), (ROUNDS, "rounds of an optimisation")];
    let journals = journals.map(|(name, what)| (path.join(name), what));
    for (journal, what) in journals.iter().filter(|(journal, _)| journal.exists()) {
        if !replacing.is_asked_for {
            return Err(usage(format!(
                "{}: holds {what}; --resume goes on with it, --overwrite starts anew",
                journal.display()
            )));
        }
    }
    let occupied = has_content(path).map_err(CliError::output(path))?;
    if occupied && !replacing.is_asked_for && !replacing.is_own {
        return Err(CliError::Occupied { path: path.to_owned() });
    }
    // Find out now rather than after the work whether files can be written there.
    Output::create(&path.join("run.json")).map(drop)?;
    for (journal, _) in journals.iter().filter(|(journal, _)| journal.exists()) {
        fs::remove_file(journal).map_err(CliError::output(journal))?;
    }
    Ok(lock)
}
