//! From objectives at points and probes to tables, estimates with bounds, verdicts and statistics
//! over points.

mod diagnosis;
mod estimate;
mod run;
mod statistics;
mod table;
mod verdict;

pub use diagnosis::{Diagnosis, Mark};
pub use estimate::{Estimate, Ladder, Rung, estimate};
pub use run::{
    AllowanceSource, CheckPlan, CheckSummary, GradientSource, JudgedCell, JudgedPoint, judge_point,
    own_gradient, run, run_with_allowance,
};
pub use statistics::{
    CellSummary, EpsStatistics, ParameterStatistics, parameter_statistics, wilson,
};
pub use table::{CheckRow, Label, best_rows, rows};
pub use verdict::{Cell, Criteria, Verdict, VerdictKind, judge};
