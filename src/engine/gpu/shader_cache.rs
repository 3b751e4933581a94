//! Compiled shaders on disk, so that the driver need not compile them in each run.
//!
//! A shader on an adapter has a file of its own: nothing is merged, runs beside each other write the
//! same, and old files can go one by one. Files are named by the digest of all that the compiled
//! shader depends on, and hold the digest of their content; one that is damaged is made anew.

use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
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
    outcome: Mutex<Outcome>,
}

/// What became of shaders so far.
#[derive(Debug, Default)]
struct Outcome {
    /// The adapter can give compiled shaders out.
    is_known_to_adapter: Option<bool>,
    found: usize,
    written: usize,
    /// Of which the driver gave nothing.
    empty: usize,
    failure: Option<String>,
}

impl ShaderCache {
    /// Keeps shaders in a folder, which is made, for the user alone, once there is one.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), most_bytes: MOST_BYTES, outcome: Mutex::default() }
    }

    /// The same with another bound on the bytes of all files [default: 256 MiB].
    pub fn with_most_bytes(self, most_bytes: u64) -> Self {
        Self { most_bytes, ..self }
    }

    fn outcome<T>(&self, of: impl FnOnce(&mut Outcome) -> T) -> T {
        of(&mut self.outcome.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn note_adapter(&self, has_pipeline_cache: bool) {
        self.outcome(|o| o.is_known_to_adapter = Some(has_pipeline_cache));
    }

    /// Whether compiled shaders are kept, in words: the same in the run that compiles them and in
    /// those that find them.
    pub fn describe(&self) -> String {
        self.outcome(|o| match (o, &self.folder) {
            (Outcome { is_known_to_adapter: Some(false), .. }, _) => {
                "compiled shaders are not kept: the adapter cannot give them out".to_owned()
            }
            (Outcome { failure: Some(failure), .. }, _) => {
                format!("compiled shaders are not kept: {failure}")
            }
            (Outcome { empty: 1.., .. }, _) => {
                "compiled shaders are not kept: the driver gives none out".to_owned()
            }
            _ => "compiled shaders are kept".to_owned(),
        })
    }

    /// Shaders found, and shaders written, so far.
    pub fn counts(&self) -> (usize, usize) {
        self.outcome(|o| (o.found, o.written))
    }

    /// Where the shader is kept of which all this is to be the same.
    pub(super) fn file(&self, depends_on: &[&str]) -> PathBuf {
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
    /// damaged, or others than the user could have made it.
    pub(super) fn read(&self, file: &Path) -> Option<Vec<u8>> {
        if let Err(reason) = is_private(&self.folder) {
            self.fail(reason);
            return None;
        }
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.fail(format!("{}: {error}", file.display()));
                return None;
            }
        };
        let content = bytes.get(HEAD..).filter(|content| {
            bytes.starts_with(MAGIC) && Sha256::digest(content)[..] == bytes[MAGIC.len()..HEAD]
        });
        if content.is_none() {
            tracing::warn!("{}: is damaged; the shader is compiled again", file.display());
        }
        self.outcome(|o| o.found += usize::from(content.is_some()));
        content.map(<[u8]>::to_vec)
    }

    /// Keeps what the driver gave. That it cannot be written is no error, but will be said.
    pub(super) fn write(&self, file: &Path, content: &[u8]) {
        if content.len() <= NOTHING {
            self.outcome(|o| o.empty += 1);
            return;
        }
        match self.replace(file, content) {
            Ok(()) => self.outcome(|o| o.written += 1),
            Err(error) => self.fail(format!("{}: {error}", self.folder.display())),
        }
    }

    fn fail(&self, reason: String) {
        let is_first = self.outcome(|o| {
            let is_first = o.failure.is_none();
            o.failure.get_or_insert(reason.clone());
            is_first
        });
        if is_first {
            tracing::warn!("compiled shaders are not kept: {reason}");
        }
    }

    fn replace(&self, file: &Path, content: &[u8]) -> io::Result<()> {
        /// Tells apart writers of one process.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        make_private(&self.folder)?;
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
fn is_private(folder: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    match fs::metadata(folder) {
        Ok(about) if about.permissions().mode() & 0o022 != 0 => Err(format!(
            "others may write to {}; only a folder that is the user's own can be used",
            folder.display()
        )),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn is_private(_: &Path) -> Result<(), String> {
    Ok(())
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    is_private(folder).map_err(io::Error::other)
}
