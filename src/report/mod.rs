//! Writing results: CSV tables, terminal tables, the run's record.

mod csv_tables;
mod html;
mod part_tables;
mod part_terminal;
mod record;
mod simulations;
mod terminal;

pub use csv_tables::{
    CheckTable, FailureTable, PointTable, write_eps, write_parameters, write_tolerances,
    write_where,
};
pub use html::{ReportError, sweep_page};
pub use part_tables::{
    ResidualTable, write_attributions, write_groups, write_residual_parameters, write_residual_rows,
};
pub use part_terminal::{attribution_table, group_table, residual_tables};
pub use record::{RunRecord, digest};
pub use simulations::{write_simulation_table, write_time_course};
pub use terminal::{
    Style, check_table, diagnosis_lines, parameter_table, power_table, tolerance_table, where_lines,
};
