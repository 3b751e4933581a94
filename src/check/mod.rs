//! From objectives at points and probes to tables, estimates with bounds, verdicts and statistics
//! over points.

mod association;
mod attribution;
mod averaged;
mod column;
mod compare;
mod diagnosis;
mod effort;
pub mod eps_grid;
mod error_model;
mod estimate;
mod evidence;
mod groups;
mod hessian;
mod hessian_attribution;
mod hessian_marks;
mod localise;
mod misplaced;
mod one_sided;
mod optimum;
mod parts;
mod refinement;
mod residuals;
mod run;
mod statistics;
mod table;
mod tally;
pub mod tolerances;
mod verdict;
mod votes;

pub use association::{Association, Covariate};
pub use attribution::{
    Attribution, Claim, Contributor, FailingPoint, FailingPoints, Finding, Mismatch, PartsSource,
    attribute, attribute_by, findings,
};
pub use compare::{Comparer, Comparison, Pair};
pub use diagnosis::{Diagnosis, Mark, Sample, SampleCell, diagnose};
pub use effort::Effort;
pub use error_model::ErrorModel;
pub use estimate::{Differences, Estimate, Ladder, Rung, estimate};
pub use evidence::{RankTest, binomial_evidence, holm, rank_test};
pub use groups::{GroupKind, Groups, row_numbers};
pub use hessian::{
    ForeignHessian, HessianCell, HessianKind, HessianSource, HessianSummary, JudgedHessian,
    PairStatistics, check_hessian,
};
pub use hessian_attribution::{FailingEntries, attribute_hessian};
pub use hessian_marks::HessianMark;
pub use localise::{GroupStatistics, GroupSummary, localise};
pub use one_sided::estimate_from_either;
pub use optimum::{
    Curvature, OptimumCell, OptimumCriteria, OptimumKind, OptimumPoint, judge_optimum,
};
pub use parts::{JudgedParts, PartCell, PartCells, PartGradient, PartSource, WorstCell, own_part};
pub use residuals::{
    ResidualCells, ResidualRow, ResidualSummary, check_residuals, own_residual_derivatives,
};
pub use run::{
    AllowanceSource, CheckPlan, CheckSummary, DISCRETISATION_FACTOR, Evaluated, GradientSource,
    JudgedCell, JudgedPoint, PlacedSink, PointSink, Source, Supplied, Supply, judge_all,
    judge_point, own_allowance, own_gradient, run, run_sources, run_with_allowance,
};
pub use statistics::{
    CellSummary, EpsStatistics, ErrorQuantiles, ParameterStatistics, is_consistent,
    parameter_statistics, wilson,
};
pub use table::{CheckRow, Label, best_rows, rows};
pub use verdict::{Cell, Criteria, Reason, Side, Verdict, VerdictKind, judge};
