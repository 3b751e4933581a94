//! Writing results: CSV tables, terminal tables, the run's record.

mod baseline;
mod csv_tables;
mod eps_grid;
pub mod fuzzing;
mod hessian;
mod html;
mod junit;
mod optima;
mod optimum;
mod part_tables;
mod part_terminal;
mod raster;
mod record;
mod simulations;
mod sources;
mod terminal;

pub use baseline::{Baseline, BaselineError, BaselineRecord, Things};
pub use csv_tables::{
    CheckTable, FailureTable, PointTable, write_eps, write_parameters, write_tolerances,
    write_where,
};
pub use eps_grid::{eps_grid_table, name as eps_grid_name, write_best_eps, write_eps_grid};
pub use hessian::{HessianTable, hessian_table, write_hessian};
pub use html::{Plot, ReportError, ReportKind, eps_grid_plot};
pub use junit::{
    Case, CaseResult, CheckCases, FailsWhen, hessian_cases, residual_cases, sweep_cases,
    write_junit,
};
pub use optima::{HistoryTable, OptimizeRecord, optima_table, reasons, write_optima};
pub use optimum::{optimum_counts, optimum_table, write_at_optimum};
pub use part_tables::{
    ResidualTable, write_attributions, write_groups, write_residual_parameters, write_residual_rows,
};
pub use part_terminal::{attribution_table, group_table, residual_tables};
pub use raster::{RasterError, Rasteriser};
pub use record::{RunRecord, digest};
pub use simulations::{write_simulation_table, write_time_course};
pub use sources::{Compared, sources_table, write_all_parameters, write_sources};
pub use terminal::{
    Style, check_table, diagnosis_lines, parameter_table, power_table, tolerance_table, where_lines,
};
