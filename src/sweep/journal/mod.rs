//! A file of evaluated points that survives whatever ends the program.
//!
//! It starts with eight bytes that say what it is. Records follow: the length of the content as a
//! little-endian `u32`, a digest, the content. A digest is the first 16 bytes of the SHA-256 of the
//! digest before it and the content, so that no record can be changed, left out or moved unseen. The
//! first record is the header, which says what was asked for; every other one holds points that
//! were evaluated together.
//!
//! Records are only ever appended. What is wrong from some place on is as if it had never been
//! written: its points are evaluated again.

mod codec;
mod fits;

pub use codec::{JournalChunk, Reader, Writer};
pub use fits::Grid;

use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const MAGIC: &[u8; 8] = b"gsweepj2";
const DIGEST: usize = 16;
/// Before the content of a record.
const PREFIX: usize = 4 + DIGEST;
/// How much work a loss of power may cost; a killed program loses none.
const SYNC_AFTER: Duration = Duration::from_secs(5);

type Chain = [u8; DIGEST];

/// A journal to append to.
pub struct Journal {
    file: File,
    /// Where the last good record ends.
    end: u64,
    chain: Chain,
    synced: Instant,
}

/// A journal that is read from its start.
pub struct JournalReader {
    file: BufReader<File>,
    /// Where the last good record ends, and the file.
    end: u64,
    length: u64,
    chain: Chain,
}

fn digest(before: &Chain, content: &[u8]) -> Chain {
    let whole = Sha256::new().chain_update(before).chain_update(content).finalize();
    let mut chain = Chain::default();
    chain.copy_from_slice(&whole[..DIGEST]);
    chain
}

impl Journal {
    /// A new journal with its header; it appears whole or not at all.
    pub fn create(path: &Path, header: &[u8]) -> io::Result<Self> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&partial)?;
        let mut journal =
            Self { file, end: MAGIC.len() as u64, chain: Chain::default(), synced: Instant::now() };
        let written = journal
            .file
            .write_all(MAGIC)
            .and_then(|()| journal.append_bytes(header))
            .and_then(|()| journal.sync())
            .and_then(|()| std::fs::rename(&partial, path));
        if written.is_err() {
            let _ = std::fs::remove_file(&partial);
        }
        written.map(|()| journal)
    }

    /// Appends evaluated points. Where that fails the journal is as before.
    pub fn append(&mut self, chunk: &JournalChunk) -> io::Result<()> {
        self.append_record(&chunk.encode())
    }

    /// Appends a record. Where that fails the journal is as before.
    pub fn append_record(&mut self, content: &[u8]) -> io::Result<()> {
        self.append_bytes(content)?;
        if self.synced.elapsed() > SYNC_AFTER {
            self.sync()?;
        }
        Ok(())
    }

    fn append_bytes(&mut self, content: &[u8]) -> io::Result<()> {
        let length = u32::try_from(content.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a record of over 4 GiB"))?;
        let chain = digest(&self.chain, content);
        let mut record = Vec::with_capacity(PREFIX + content.len());
        record.extend(length.to_le_bytes());
        record.extend(chain);
        record.extend(content);
        if let Err(error) = self.file.write_all(&record) {
            // On a full disk there is room for less, at least.
            self.file.set_len(self.end)?;
            self.file.seek(SeekFrom::Start(self.end))?;
            return Err(error);
        }
        self.end += record.len() as u64;
        self.chain = chain;
        Ok(())
    }

    /// Makes sure that all is on the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.synced = Instant::now();
        Ok(())
    }
}

impl JournalReader {
    /// Opens a journal and gives its header; none where there is none that can be read. With
    /// `appends` it can become one to append to.
    pub fn open(path: &Path, appends: bool) -> io::Result<(Self, Option<Vec<u8>>)> {
        let file = OpenOptions::new().read(true).write(appends).open(path)?;
        let length = file.metadata()?.len();
        let file = BufReader::with_capacity(1 << 20, file);
        let mut reader = Self { file, end: 0, length, chain: Chain::default() };
        let mut magic = [0; MAGIC.len()];
        if length < MAGIC.len() as u64 || reader.file.read_exact(&mut magic).is_err() {
            return Ok((reader, None));
        }
        if &magic != MAGIC {
            return Ok((reader, None));
        }
        reader.end = MAGIC.len() as u64;
        let header = reader.next_bytes()?;
        Ok((reader, header))
    }

    /// The next points, which must begin with this number and be good; none at the end and where
    /// something is wrong.
    pub fn next_chunk(
        &mut self,
        first: usize,
        is_good: impl Fn(&JournalChunk) -> bool,
    ) -> io::Result<Option<JournalChunk>> {
        self.next_record(|bytes| {
            JournalChunk::decode(bytes).filter(|chunk| chunk.first == first && is_good(chunk))
        })
    }

    /// The next record, which must be one that `decode` takes; none at the end and where something is
    /// wrong.
    pub fn next_record<T>(
        &mut self,
        decode: impl FnOnce(&[u8]) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let (end, chain) = (self.end, self.chain);
        let decoded = self.next_bytes()?.and_then(|bytes| decode(&bytes));
        if decoded.is_none() {
            (self.end, self.chain) = (end, chain);
        }
        Ok(decoded)
    }

    /// Bytes from the last good record to the end of the file.
    pub fn bytes_left(&self) -> u64 {
        self.length - self.end
    }

    fn next_bytes(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut prefix = [0; PREFIX];
        if self.bytes_left() < PREFIX as u64 {
            return Ok(None);
        }
        self.file.read_exact(&mut prefix)?;
        let (length, expected) = prefix.split_at(4);
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
        if u64::from(length) > self.bytes_left() - PREFIX as u64 {
            return Ok(None);
        }
        let mut content = vec![0; length as usize];
        self.file.read_exact(&mut content)?;
        let chain = digest(&self.chain, &content);
        if chain != expected {
            return Ok(None);
        }
        self.chain = chain;
        self.end += PREFIX as u64 + u64::from(length);
        Ok(Some(content))
    }

    /// Goes on after the last good record that was read; what stands after it is cut off.
    pub fn into_journal(self) -> io::Result<Journal> {
        let Self { file, end, chain, .. } = self;
        let mut file = file.into_inner();
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        Ok(Journal { file, end, chain, synced: Instant::now() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first: usize, count: usize) -> JournalChunk {
        codec::tests::chunk(first, count)
    }

    /// A journal of three chunks of two points, its bytes, and where each record ends.
    fn written(path: &Path) -> (Vec<u8>, Vec<u64>) {
        let mut journal = Journal::create(path, b"header").unwrap();
        let mut ends = vec![journal.end];
        for k in 0..3 {
            journal.append(&chunk(2 * k, 2)).unwrap();
            ends.push(journal.end);
        }
        (std::fs::read(path).unwrap(), ends)
    }

    /// How many chunks can be read, and the journal that goes on behind them.
    fn read(path: &Path) -> (usize, JournalReader) {
        let (mut reader, header) = JournalReader::open(path, true).unwrap();
        assert_eq!(header.as_deref(), Some(b"header".as_slice()));
        let mut count = 0;
        while let Some(found) = reader.next_chunk(2 * count, |_| true).unwrap() {
            assert_eq!(found, chunk(2 * count, 2));
            count += 1;
        }
        (count, reader)
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let (whole, ends) = written(&path);
        let (count, reader) = read(&path);
        assert_eq!((count, reader.bytes_left()), (3, 0));
        assert_eq!(*ends.last().unwrap(), whole.len() as u64);
    }

    /// Whatever byte is changed and wherever the file is cut off, the records before are read, no
    /// other is, and going on from there gives the whole file again.
    #[test]
    fn damage_costs_what_follows_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let (whole, ends) = written(&path);
        let check = |bytes: &[u8], at: usize| {
            std::fs::write(&path, bytes).unwrap();
            let good = ends.iter().filter(|&&end| end <= at as u64).count() - 1;
            let (count, reader) = read(&path);
            assert_eq!(count, good, "byte {at}");
            let mut journal = reader.into_journal().unwrap();
            for k in good..3 {
                journal.append(&chunk(2 * k, 2)).unwrap();
            }
            assert!(std::fs::read(&path).unwrap() == whole, "byte {at}");
        };
        for at in (ends[0] as usize..whole.len()).step_by(7) {
            check(&whole[..at], at);
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            check(&changed, at);
        }
    }

    #[test]
    fn records_cannot_change_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let (whole, ends) = written(&path);
        let part = |k: usize| &whole[ends[k] as usize..ends[k + 1] as usize];
        let head = &whole[..ends[0] as usize];
        std::fs::write(&path, [head, part(1), part(0), part(2)].concat()).unwrap();
        assert_eq!(read(&path).0, 0);
        std::fs::write(&path, [head, part(0), part(2)].concat()).unwrap();
        assert_eq!(read(&path).0, 1);
        // The twin: in their order they are read.
        std::fs::write(&path, [head, part(0), part(1), part(2)].concat()).unwrap();
        assert_eq!(read(&path).0, 3);
    }

    #[test]
    fn no_journal_has_no_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        for bytes in [b"".as_slice(), b"gsweep", b"point,objective,status\n0,1,ok\n"] {
            std::fs::write(&path, bytes).unwrap();
            let (mut reader, header) = JournalReader::open(&path, false).unwrap();
            assert_eq!((header, reader.next_chunk(0, |_| true).unwrap()), (None, None));
        }
    }
}
