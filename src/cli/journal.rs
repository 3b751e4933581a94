//! Journals: what a sweep or an optimisation was begun with, and the points of a sweep that are done.

use super::CliError;
use super::engines::Engines;
use super::folder::{FolderLock, JOURNAL, has_content};
use super::interrupt::Interrupt;
use super::options::usage;
use super::points::SweepPoints;
use super::shard::Shard;
use crate::check::{CheckPlan, Supplied};
use crate::engine::EngineError;
use crate::report::RunRecord;
use crate::startpoints::Points;
use crate::sweep::Flight;
use crate::sweep::{
    EvaluatedChunk, Evaluator, GradientMethod, Grid, Journal, JournalChunk, JournalReader,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What a sweep or an optimisation was begun with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Everything that numbers depend on.
    pub settings: BTreeMap<String, String>,
    /// Of the whole sweep; starts of an optimisation.
    pub points: usize,
    pub shard: Option<Shard>,
    pub engine: EngineHeader,
    /// The command's words, without the program's name.
    pub command: Vec<String>,
}

/// The engines as `run.json` will name them: those that began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineHeader {
    /// The same where last digits are.
    pub identity: String,
    pub engine: String,
    pub engine_reason: String,
    pub gradient_engine: String,
    pub adjoint_engine: String,
}

impl EngineHeader {
    /// The engine of own gradients by a method.
    pub fn of_gradient(&self, method: GradientMethod) -> String {
        match method {
            GradientMethod::Forward => self.gradient_engine.clone(),
            GradientMethod::Adjoint => self.adjoint_engine.clone(),
        }
    }
}

/// Members of `run.json` that are results, or that do not change numbers.
const NO_SETTINGS: [&str; 12] = [
    "engine",
    "engine_reason",
    "gradient_engine",
    "points",
    "failed_points",
    "integrations",
    "attempted_steps",
    "step_operations",
    "tangent_step_operations",
    "notes",
    "baseline",
    "gradient",
];

impl Header {
    /// Of a sweep that begins.
    pub fn new(
        record: &RunRecord,
        gradients: Vec<String>,
        points: &SweepPoints<'_>,
        shard: Option<Shard>,
        engines: &Engines,
    ) -> Result<Self, CliError> {
        let properties =
            record.properties().map_err(|e| CliError::output(JOURNAL)(std::io::Error::other(e)))?;
        let is_setting = |(name, _): &(String, String)| !NO_SETTINGS.contains(&name.as_str());
        let mut settings: BTreeMap<String, String> =
            properties.into_iter().filter(is_setting).collect();
        settings.insert("gradient".to_owned(), gradients.join("; "));
        let there = points.there();
        if !there.is_empty() {
            settings.insert("digest of points".to_owned(), digest(there));
        }
        Ok(Self::of_settings(settings, points.len(), shard, engines))
    }

    /// Of what begins with these settings.
    pub fn of_settings(
        settings: BTreeMap<String, String>,
        points: usize,
        shard: Option<Shard>,
        engines: &Engines,
    ) -> Self {
        Self {
            settings,
            points,
            shard,
            engine: EngineHeader {
                identity: engines.identity.clone(),
                engine: engines.probes.describe(),
                engine_reason: engines.reason.clone(),
                gradient_engine: engines.describe_gradient(GradientMethod::Forward),
                adjoint_engine: engines.describe_gradient(GradientMethod::Adjoint),
            },
            command: std::env::args_os()
                .skip(1)
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
        }
    }

    /// Refuses to go on with what was begun otherwise; else the engines are called what they were.
    pub fn goes_on_with(&mut self, begun: &Begun) -> Result<(), CliError> {
        if let Some((name, [begun_with, now])) = begun.header.difference(self) {
            return Err(usage(format!(
                "{}: was begun with another {name}: {begun_with}; now it is {now}",
                begun.path.display()
            )));
        }
        self.engine = begun.header.engine.clone();
        Ok(())
    }

    /// The first thing in which another differs that numbers depend on: its name, and both values.
    pub fn difference(&self, other: &Self) -> Option<(String, [String; 2])> {
        let shard = |h: &Self| h.shard.map_or("none".to_owned(), |s| s.to_string());
        let fixed = |h: &Self| {
            [
                ("number of points", h.points.to_string()),
                ("engine", h.engine.identity.clone()),
                ("shard", shard(h)),
            ]
        };
        let all = |h: &Self| -> BTreeMap<String, String> {
            let fixed = fixed(h).map(|(name, value)| (name.to_owned(), value));
            h.settings.clone().into_iter().chain(fixed).collect()
        };
        let (mine, theirs) = (all(self), all(other));
        let name = mine.keys().chain(theirs.keys()).find(|k| mine.get(*k) != theirs.get(*k))?;
        let value = |map: &BTreeMap<String, String>| {
            map.get(name).cloned().unwrap_or_else(|| "none".to_owned())
        };
        Some((name.clone(), [value(&mine), value(&theirs)]))
    }

    /// The points that the journal is for.
    pub fn range(&self) -> Range<usize> {
        self.shard.map_or(0..self.points, |shard| shard.range(self.points))
    }
}

/// Of points that were read.
pub fn digest(points: &Points) -> String {
    let mut hash = Sha256::new();
    for (id, theta) in points.ids.iter().zip(&points.theta_scaled) {
        hash.update((id.len() as u64).to_le_bytes());
        hash.update(id);
        theta.iter().for_each(|value| hash.update(value.to_bits().to_le_bytes()));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A journal that is there, read as far as its header.
pub struct Begun {
    pub path: PathBuf,
    pub header: Header,
    pub reader: JournalReader,
}

impl Begun {
    /// Opens the journal of a sweep's folder, to go on with it where `appends`.
    pub fn open(folder: &Path, appends: bool) -> Result<Self, CliError> {
        Self::open_file(folder.join(JOURNAL), appends)
    }

    fn open_file(path: PathBuf, appends: bool) -> Result<Self, CliError> {
        let (reader, bytes) =
            JournalReader::open(&path, appends).map_err(CliError::output(&path))?;
        let header = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match header {
            Some(header) => Ok(Self { path, header, reader }),
            None => Err(usage(format!(
                "{}: is no journal of this version of gradsweep, or its start is damaged; \
                 --overwrite starts anew",
                path.display()
            ))),
        }
    }
}

/// The journal, of this name, with which `--resume` goes on; none where nothing has begun.
pub fn resume(folder: &Path, name: &str) -> Result<Option<(FolderLock, Begun)>, CliError> {
    if !folder.exists() {
        return Ok(None);
    }
    let lock = FolderLock::take(folder)?;
    let path = folder.join(name);
    if path.exists() {
        return Ok(Some((lock, Begun::open_file(path, true)?)));
    }
    if has_content(folder).map_err(CliError::output(folder))? {
        return Err(usage(format!(
            "--resume: {} holds no {name}: what was there is finished, or never began; \
             --overwrite starts anew",
            folder.display()
        )));
    }
    Ok(None)
}

/// Points that have been evaluated, and what an engine said of itself that has failed by then.
pub struct Evaluated {
    theta_scaled: Vec<Vec<f64>>,
    evaluated: Result<EvaluatedChunk, EngineError>,
    failed_engine: Option<String>,
}

/// Gives the points of a sweep in order: those of journals, then new ones, which it journals.
pub struct Supplier<'a: 'scope, 'scope, 'env> {
    pub evaluator: &'a Evaluator<'a>,
    pub plan: &'a CheckPlan,
    pub points: &'a SweepPoints<'a>,
    pub engines: &'a Engines,
    pub interrupt: Interrupt,
    /// Points still to come.
    pub range: Range<usize>,
    /// Chunks under way, the first of them at the range's start.
    pub flight: Flight<'scope, 'env, Evaluated>,
    /// Points that are neither done nor under way.
    pub unbegun: Range<usize>,
    /// Journals of shards to read first.
    pub readers: VecDeque<JournalReader>,
    /// The sweep's own journal, to read and then to go on with.
    pub begun: Option<JournalReader>,
    pub journal: Option<Journal>,
    /// Where the journal is.
    pub path: PathBuf,
    /// What an engine said of itself that failed.
    pub failed_engine: Option<String>,
}

impl<'a: 'scope, 'scope> Supplier<'a, 'scope, '_> {
    /// The next points; none at the end.
    pub fn next(&mut self) -> Result<Option<Supplied>, CliError> {
        let Range { start, end } = self.range;
        let grid = Grid {
            problem: self.evaluator.problem(),
            parameters: &self.plan.parameters,
            eps: &self.plan.eps,
        };
        let is_good =
            |chunk: &JournalChunk| chunk.evaluated.points.len() <= end - start && chunk.fits(grid);
        while let Some(reader) = self.readers.front_mut().or(self.begun.as_mut()) {
            let chunk = reader.next_chunk(start, is_good).map_err(CliError::output(&self.path))?;
            if let Some(JournalChunk { evaluated, failed_engine, .. }) = chunk {
                let end = self.range.start + evaluated.points.len();
                let theta_scaled = self.points.some(self.range.start..end)?;
                self.failed_engine = self.failed_engine.take().or(failed_engine);
                self.range.start = end;
                return Ok(Some(Supplied { theta_scaled, evaluated }));
            }
            if self.readers.pop_front().is_none()
                && let Some(begun) = self.begun.take()
            {
                self.go_on(begun)?;
            }
        }
        let Some(journal) = &mut self.journal else {
            return match self.range.is_empty() {
                true => Ok(None),
                false => Err(usage(format!("the shards end at point {}", self.range.start))),
            };
        };
        if self.range.is_empty() {
            journal.sync().map_err(CliError::output(&self.path))?;
            return Ok(None);
        }
        let first = self.range.start;
        self.unbegun.start = self.unbegun.start.max(first);
        // What is under way when an end is asked for is finished.
        while self.flight.has_room() && !self.unbegun.is_empty() && !self.interrupt.is_asked_for() {
            let first = self.unbegun.start;
            let end = self.unbegun.end.min(first + self.plan.points_per_chunk(self.evaluator));
            let theta_scaled = self.points.some(first..end)?;
            let (plan, evaluator, engines) = (self.plan, self.evaluator, self.engines);
            self.flight.begin(move || Evaluated {
                evaluated: plan.evaluate(evaluator, &theta_scaled),
                failed_engine: engines.failure(),
                theta_scaled,
            });
            self.unbegun.start = end;
        }
        let Some(Evaluated { theta_scaled, evaluated, failed_engine }) = self.flight.take() else {
            journal.sync().map_err(CliError::output(&self.path))?;
            return Err(CliError::Interrupted);
        };
        let mut evaluated = evaluated?;
        evaluated.points.iter_mut().for_each(|point| point.predictions = Vec::new());
        let chunk = JournalChunk { first, evaluated, failed_engine };
        journal.append(&chunk).map_err(CliError::output(&self.path))?;
        self.failed_engine = self.failed_engine.take().or(chunk.failed_engine);
        self.range.start += theta_scaled.len();
        Ok(Some(Supplied { theta_scaled, evaluated: chunk.evaluated }))
    }

    fn go_on(&mut self, reader: JournalReader) -> Result<(), CliError> {
        let lost = reader.bytes_left();
        if lost > 0 {
            tracing::warn!(
                "{}: its last {lost} bytes are incomplete or damaged; points from number {} on are \
                 evaluated again",
                self.path.display(),
                self.range.start
            );
        }
        self.journal = Some(reader.into_journal().map_err(CliError::output(&self.path))?);
        Ok(())
    }

    /// The engine for `run.json`: the one that began, or what became of it.
    pub fn engine(&self, header: &Header) -> String {
        self.failed_engine.clone().unwrap_or_else(|| header.engine.engine.clone())
    }
}
