//! What an optimisation writes and shows while it runs.

use super::output::Output;
use super::record::write_record;
use super::{CliError, Manner};
use crate::model::OdeProblem;
use crate::optimize::{Iteration, Optimum};
use crate::report::{HistoryTable, OptimizeRecord, ReportKind, write_optima};
use crate::startpoints::{Points, write_csv};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

/// Files under way.
pub struct Files {
    folder: PathBuf,
    history: HistoryTable<Output>,
}

impl Files {
    pub fn open(folder: &Path) -> Result<Self, CliError> {
        let path = folder.join("history.csv");
        let history = HistoryTable::new(Output::create(&path)?).map_err(CliError::output(path))?;
        Ok(Self { folder: folder.to_owned(), history })
    }

    pub fn history(&mut self, id: &str, iteration: &Iteration) -> Result<(), CliError> {
        let failed = CliError::output(self.folder.join("history.csv"));
        self.history.add(id, iteration).map_err(failed)
    }

    pub fn finish(
        self,
        problem: &OdeProblem,
        starts: &Points,
        sorted: &[Optimum],
        record: &OptimizeRecord,
    ) -> Result<(), CliError> {
        let Self { folder, history } = self;
        let failed = |name: &str| CliError::output(folder.join(name));
        let create = |name: &str| Output::create(&folder.join(name));
        let mut out = create("starts.csv")?;
        write_csv(starts, &problem.parameters, &mut out)
            .and_then(|()| out.finish())
            .map_err(failed("starts.csv"))?;
        write_optima(create("optima.csv")?, problem, &starts.ids, sorted)
            .and_then(Output::finish)
            .map_err(failed("optima.csv"))?;
        history.finish().and_then(Output::finish).map_err(failed("history.csv"))?;
        write_record(&folder, record)?;
        super::report::write(ReportKind::Optima, &folder, &folder.join("report.html"))
    }
}

/// Starts that have stopped, and the best objective so far.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn new(starts: usize, manner: Manner) -> Self {
        // indicatif draws on stderr, and only where it is a terminal.
        let bar =
            if manner.quiet { ProgressBar::hidden() } else { ProgressBar::new(starts as u64) };
        let template = "{wide_bar} {pos}/{len} starts stopped, best {msg}, {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Of the grids that starts are settled on.
    pub fn settling(manner: Manner) -> Self {
        let bar = if manner.quiet { ProgressBar::hidden() } else { ProgressBar::new(1) };
        let template = "{wide_bar} settling starts, {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub fn show(&self, stopped: usize, best: f64) {
        self.0.set_position(stopped as u64);
        self.0.set_message(format!("{best:.6}"));
    }

    /// So many of the grids are done.
    pub fn settled(&self, done: usize, of: usize) {
        self.0.set_length(of as u64);
        self.0.set_position(done as u64);
    }

    pub fn clear(self) {
        self.0.finish_and_clear();
    }
}
