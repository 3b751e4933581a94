//! An optimisation's journal: starts, then rounds, as they were done.

use super::CliError;
use super::engines::Engines;
use super::interrupt::Interrupt;
use super::journal::{Begun, Header, digest};
use crate::optimize::{Round, Rounds, StartsRecord, decode_round, encode_round};
use crate::report::OptimizeRecord;
use crate::startpoints::Points;
use crate::sweep::{Journal, JournalReader};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Members of `run.json` that are results, or that do not change numbers.
const NO_SETTINGS: [&str; 12] = [
    "engine",
    "engine_reason",
    "gradient_engine",
    "starts",
    "failed_starts",
    "best_objective",
    "starts_at_best",
    "reasons",
    "rounds",
    "evaluations",
    "integrations",
    "attempted_steps",
];

/// What an optimisation is begun with: the members of its record that numbers depend on, and the
/// points of a file.
pub fn header(
    record: &OptimizeRecord,
    starts: usize,
    read: Option<&Points>,
    engines: &Engines,
) -> Result<Header, CliError> {
    let failed = |e| CliError::output("run.json")(io::Error::other(e));
    let serde_json::Value::Object(all) = serde_json::to_value(record).map_err(failed)? else {
        return Ok(Header::of_settings(BTreeMap::new(), starts, None, engines));
    };
    let is_setting = |name: &str| !NO_SETTINGS.contains(&name) && name != "notes";
    let mut settings: BTreeMap<String, String> = all
        .into_iter()
        .filter(|(name, _)| is_setting(name))
        .map(|(name, value)| match value {
            serde_json::Value::String(text) => (name, text),
            other => (name, other.to_string()),
        })
        .collect();
    if let Some(points) = read {
        settings.insert("digest of points".to_owned(), digest(points));
    }
    Ok(Header::of_settings(settings, starts, None, engines))
}

/// Gives what a journal has, then appends to it.
pub struct Ledger {
    begun: Option<JournalReader>,
    journal: Option<Journal>,
    path: PathBuf,
    interrupt: Interrupt,
    /// Estimated parameters.
    dimensions: usize,
    /// Rounds that the journal has.
    pub rounds: usize,
}

impl Ledger {
    /// A new journal with this header, or the one that was begun.
    pub fn new(
        path: &Path,
        header: &Header,
        begun: Option<Begun>,
        dimensions: usize,
    ) -> Result<Self, CliError> {
        let begun = begun.map(|begun| begun.reader);
        let journal = match begun {
            Some(_) => None,
            None => {
                let bytes = serde_json::to_vec(header)
                    .map_err(|e| CliError::output(path)(io::Error::other(e)))?;
                Some(Journal::create(path, &bytes).map_err(CliError::output(path))?)
            }
        };
        let interrupt = Interrupt::listen();
        Ok(Self { begun, journal, path: path.to_owned(), interrupt, dimensions, rounds: 0 })
    }

    /// The starts, if the journal has them.
    pub fn starts(&mut self, count: usize) -> Result<Option<StartsRecord>, CliError> {
        let dimensions = self.dimensions;
        self.next(|bytes| StartsRecord::decode(bytes, count, dimensions))
    }

    /// Writes down the starts.
    pub fn keep_starts(&mut self, record: &StartsRecord) -> Result<(), CliError> {
        self.append(&record.encode())
    }

    fn next<T>(&mut self, decode: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>, CliError> {
        let Some(reader) = &mut self.begun else { return Ok(None) };
        let found = reader.next_record(decode).map_err(CliError::output(&self.path))?;
        if found.is_none()
            && let Some(reader) = self.begun.take()
        {
            let lost = reader.bytes_left();
            if lost > 0 {
                tracing::warn!(
                    "{}: its last {lost} bytes are incomplete or damaged; what follows round {} is \
                     evaluated again",
                    self.path.display(),
                    self.rounds
                );
            }
            self.journal = Some(reader.into_journal().map_err(CliError::output(&self.path))?);
        }
        Ok(found)
    }

    fn append(&mut self, content: &[u8]) -> Result<(), CliError> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal.append_record(content).map_err(CliError::output(&self.path))?;
        if self.interrupt.is_asked_for() {
            journal.sync().map_err(CliError::output(&self.path))?;
            return Err(CliError::Interrupted);
        }
        Ok(())
    }
}

impl Rounds<CliError> for Ledger {
    fn done(&mut self, evaluations: usize) -> Result<Option<Round>, CliError> {
        let dimensions = self.dimensions;
        let round = self.next(|bytes| decode_round(bytes, evaluations, dimensions))?;
        self.rounds += usize::from(round.is_some());
        Ok(round)
    }

    fn keep(&mut self, round: &Round) -> Result<(), CliError> {
        let written = self.append(&encode_round(round));
        // What an interrupt follows is written.
        self.rounds += usize::from(matches!(written, Ok(()) | Err(CliError::Interrupted)));
        written
    }
}
