//! From objectives at points and probes to tables, estimates with bounds, verdicts and statistics
//! over points.

mod compare;
mod diagnosis;
mod estimate;
mod run;
mod statistics;
mod table;
pub mod tolerances;
mod verdict;

pub use compare::{Comparer, Comparison, Pair};
pub use diagnosis::{Diagnosis, Mark};
pub use estimate::{Estimate, Ladder, Rung, estimate};
pub use run::{
    AllowanceSource, CheckPlan, CheckSummary, GradientSource, JudgedCell, JudgedPoint, PointSink,
    Source, judge_point, own_gradient, run, run_sources, run_with_allowance,
};
pub use statistics::{
    CellSummary, EpsStatistics, ParameterStatistics, parameter_statistics, wilson,
};
pub use table::{CheckRow, Label, best_rows, rows};
pub use verdict::{Cell, Criteria, Verdict, VerdictKind, judge};
