//! Files that appear whole or not at all, and `-` for standard output.

use super::CliError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file that takes its name when it is finished; one that is dropped before leaves nothing.
pub struct Output {
    writer: Option<BufWriter<Box<dyn Write>>>,
    /// Where it is written and what it will be called; none for standard output.
    paths: Option<(PathBuf, PathBuf)>,
}

impl Output {
    /// Opens a file to be called `path`, or standard output where it is `-`. Links are followed; what is no
    /// file, a pipe or a device, is written to as it is.
    pub fn create(path: &Path) -> Result<Self, CliError> {
        if path == Path::new("-") {
            let writer: Box<dyn Write> = Box::new(io::stdout().lock());
            return Ok(Self { writer: Some(BufWriter::new(writer)), paths: None });
        }
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            let pipe = OpenOptions::new().write(true).open(path).map_err(CliError::output(path))?;
            return Ok(Self { writer: Some(BufWriter::new(Box::new(pipe))), paths: None });
        }
        // Of a link to nothing, what it says.
        let target = match (path.is_symlink(), fs::canonicalize(path), fs::read_link(path)) {
            (true, Ok(target), _) => target,
            (true, _, Ok(said)) => path.parent().map_or(said.clone(), |here| here.join(said)),
            _ => path.to_owned(),
        };
        let mut partial = target.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).map_err(CliError::output(path))?;
        let writer: Box<dyn Write> = Box::new(file);
        Ok(Self {
            writer: Some(BufWriter::with_capacity(1 << 16, writer)),
            paths: Some((partial, target)),
        })
    }

    /// Writes what is left and gives the file its name.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some(mut writer) = self.writer.take() {
            writer.flush()?;
        }
        match self.paths.take() {
            Some((partial, path)) => fs::rename(partial, path),
            None => Ok(()),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.as_mut().map_or(Ok(0), |w| w.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some((partial, _)) = self.paths.take() {
            // Nothing more can be done about a file that will not go away.
            let _ = fs::remove_file(partial);
        }
    }
}
