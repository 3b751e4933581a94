//! Compiled shaders on disk, so that the driver need not compile them in each run.
//!
//! A shader on an adapter has a file of its own: nothing is merged, runs beside each other write the
//! same, and old files can go one by one. Files are named by the digest of all that the compiled
//! shader depends on, and hold the digest of their content; one that is damaged is made anew.

use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

/// What a file begins with: the layout is magic, SHA-256 of the rest, the rest.
const MAGIC: &[u8] = b"gradsweep shader 1\n";
const HEAD: usize = MAGIC.len() + 32;
const EXTENSION: &str = "shader";
/// Bytes of all files; the oldest go where there are more.
const MOST_BYTES: u64 = 256 << 20;
/// What a driver gives that keeps nothing: the headers of wgpu (64 bytes) and of Vulkan (32).
const NOTHING: usize = 64 + 32;

/// A folder with compiled shaders.
#[derive(Debug)]
pub struct ShaderCache {
    folder: PathBuf,
    most_bytes: u64,
    /// Bytes that a driver gives which keeps nothing.
    nothing: usize,
    found: AtomicUsize,
    written: AtomicUsize,
    has_failed: AtomicBool,
}

impl ShaderCache {
    /// Keeps shaders in a folder, which is made, for the user alone, once there is one.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            most_bytes: MOST_BYTES,
            nothing: NOTHING,
            found: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
            has_failed: AtomicBool::new(false),
        }
    }

    /// The same with another bound on the bytes of all files [default: 256 MiB].
    pub fn with_most_bytes(self, most_bytes: u64) -> Self {
        Self { most_bytes, ..self }
    }

    /// The same, keeping also what drivers give that keep nothing: headers.
    pub fn with_headers(self) -> Self {
        Self { nothing: 0, ..self }
    }

    /// Shaders found, and shaders written, so far.
    pub fn counts(&self) -> (usize, usize) {
        (self.found.load(Ordering::Relaxed), self.written.load(Ordering::Relaxed))
    }

    /// Makes the folder.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn open(&self) -> Result<(), String> {
        make_private(&self.folder).map_err(|error| format!("{}: {error}", self.folder.display()))
    }

    /// Whether a driver gave something to keep.
    pub(super) fn is_worth_keeping(&self, content: &[u8]) -> bool {
        content.len() > self.nothing
    }

    /// Where the shader is kept of which all this is to be the same.
    pub(super) fn file(&self, depends_on: &[&[u8]]) -> PathBuf {
        let mut hash = Sha256::new();
        hash.update(MAGIC);
        for part in depends_on {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(name).with_extension(EXTENSION)
    }

    /// What is in a file that [`write`](Self::write) made. None where there is none, or it is
    /// damaged.
    pub(super) fn read(&self, file: &Path) -> Option<Vec<u8>> {
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.warn(file, &error);
                return None;
            }
        };
        let content = bytes.get(HEAD..).filter(|content| {
            bytes.starts_with(MAGIC) && Sha256::digest(content)[..] == bytes[MAGIC.len()..HEAD]
        });
        if content.is_none() {
            tracing::warn!("{}: is damaged; the shader is compiled again", file.display());
        }
        self.found.fetch_add(usize::from(content.is_some()), Ordering::Relaxed);
        content.map(<[u8]>::to_vec)
    }

    /// Keeps what the driver gave. That it cannot be written is no error, but is said once.
    pub(super) fn write(&self, file: &Path, content: &[u8]) {
        match self.replace(file, content) {
            Ok(()) => drop(self.written.fetch_add(1, Ordering::Relaxed)),
            Err(error) => self.warn(&self.folder, &error),
        }
    }

    fn warn(&self, path: &Path, error: &io::Error) {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            tracing::warn!("compiled shaders are not kept: {}: {error}", path.display());
        }
    }

    fn replace(&self, file: &Path, content: &[u8]) -> io::Result<()> {
        /// Tells apart writers of one process.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = file.with_extension(format!("{}-{number}", std::process::id()));
        let write = || {
            let mut target = fs::File::create(&temporary)?;
            target.write_all(MAGIC)?;
            target.write_all(&Sha256::digest(content))?;
            target.write_all(content)?;
            target.sync_all()?;
            fs::rename(&temporary, file)
        };
        if let Err(error) = write() {
            // Nobody reads it; the first error is the one to tell.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        self.drop_oldest(file)
    }

    /// Removes the oldest files, but for one, until the others are small enough.
    fn drop_oldest(&self, but: &Path) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            // Another run may have removed it.
            let Ok(about) = entry.metadata() else { continue };
            if about.is_file() {
                files.push((about.modified()?, about.len(), entry.path()));
            }
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, its, path) in files.iter().filter(|(_, _, path)| path != but) {
            if bytes <= self.most_bytes {
                break;
            }
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => bytes -= its,
            }
        }
        Ok(())
    }
}

/// Drivers trust what they are given: nobody else may put it there.
#[cfg(unix)]
fn check_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match fs::metadata(folder)?.permissions().mode() & 0o022 {
        0 => Ok(()),
        _ => Err(io::Error::other("others may write there; a folder of the user's own is needed")),
    }
}

#[cfg(not(unix))]
fn check_private(_: &Path) -> io::Result<()> {
    Ok(())
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    check_private(folder)
}
