//! The columns that say what became of something at all points, as several tables have them.

use super::ReportError;
use super::table::Table;
use crate::check::VerdictKind;

/// Points by class, and how often they fail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdicts {
    /// In the order of [`VerdictKind::ALL`].
    pub(super) counts: [u64; VerdictKind::ALL.len()],
    /// fail/(pass + fail), and its confidence interval.
    pub(super) rate: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) is_consistent: bool,
}

impl Verdicts {
    pub(super) fn count(&self, kind: VerdictKind) -> u64 {
        VerdictKind::ALL.iter().position(|k| *k == kind).map_or(0, |i| self.counts[i])
    }
}

/// Where a table has them.
pub(super) struct VerdictColumns {
    counts: [usize; VerdictKind::ALL.len()],
    rates: [usize; 3],
    consistent: usize,
}

/// Names of the columns beside those of the classes.
const RATES: [&str; 3] = ["failure_rate", "failure_rate_low", "failure_rate_high"];
const CONSISTENT: &str = "consistent_failure";

impl VerdictColumns {
    /// The names of all of them.
    pub(super) fn names() -> Vec<&'static str> {
        let kinds = VerdictKind::ALL.into_iter().map(VerdictKind::name);
        kinds.chain(RATES).chain([CONSISTENT]).collect()
    }

    /// Finds them in a table that should have the columns `expected`.
    pub(super) fn find(table: &Table, expected: &[&str]) -> Result<Self, ReportError> {
        let mut counts = [0; VerdictKind::ALL.len()];
        for (at, kind) in counts.iter_mut().zip(VerdictKind::ALL) {
            *at = table.column(kind.name(), expected)?;
        }
        let mut rates = [0; 3];
        for (at, name) in rates.iter_mut().zip(RATES) {
            *at = table.column(name, expected)?;
        }
        Ok(Self { counts, rates, consistent: table.column(CONSISTENT, expected)? })
    }

    /// Those of the table's row.
    pub(super) fn read(&self, table: &Table) -> Result<Verdicts, ReportError> {
        let mut counts = [0; VerdictKind::ALL.len()];
        for (count, at) in counts.iter_mut().zip(self.counts) {
            *count = table.count(at)?;
        }
        let [rate, low, high] = self.rates;
        Ok(Verdicts {
            counts,
            rate: table.number(rate)?,
            low: table.number(low)?,
            high: table.number(high)?,
            is_consistent: match table.text(self.consistent) {
                "yes" => true,
                "no" => false,
                _ => return Err(table.bad_cell(self.consistent, "yes or no")),
            },
        })
    }
}
