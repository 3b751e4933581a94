//! Writing results: CSV tables, terminal tables, the run's record.

mod csv_tables;
mod html;
mod record;
mod simulations;
mod terminal;

pub use csv_tables::{
    CheckTable, FailureTable, PointTable, write_eps, write_parameters, write_tolerances,
    write_where,
};
pub use html::{ReportError, sweep_page};
pub use record::{RunRecord, digest};
pub use simulations::{write_simulation_table, write_time_course};
pub use terminal::{
    Style, check_table, diagnosis_lines, parameter_table, power_table, tolerance_table, where_lines,
};
