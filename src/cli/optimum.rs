//! Checks at optima, beside what `check` and `sweep` say of any point.

use super::CliError;
use super::options::usage;
use super::output::Output;
use crate::check::{
    AllowanceSource, Criteria, JudgedPoint, OptimumCell, OptimumCriteria, OptimumKind,
    OptimumPoint, judge_optimum,
};
use crate::engine::EngineError;
use crate::model::OdeProblem;
use crate::optimize::fisher_diagonals;
use crate::report::{Style, optimum_counts, optimum_table, write_at_optimum};
use crate::startpoints::Points;
use crate::sweep::{Evaluator, PointResult};
use clap::Args;
use std::path::Path;
use std::rc::Rc;

/// What moving one parameter may still gain at an optimum: far less than statistics could tell.
pub const DEFAULT_TOLERANCE: f64 = 1e-3;
/// Columns by which a table of optima is known.
const COLUMNS: [&str; 2] = ["projected_gradient", "active_bounds"];

/// Whether points are optima, and how they are judged.
#[derive(Debug, Clone, Args)]
pub struct OptimumOptions {
    /// The points should be optima: say of each parameter whether its gradient is zero on the scale
    /// that the objective's curvature sets (pass), bounded, not_converged or wrong, and how much of
    /// fd_err curvature explains. Without it where --at names an optima.csv of `optimize`.
    #[arg(long)]
    pub optimum: bool,
    /// What moving one parameter may still gain at an optimum, in units of the objective.
    #[arg(long, default_value_t = DEFAULT_TOLERANCE, value_name = "T", allow_negative_numbers = true)]
    pub optimum_tol: f64,
}

impl OptimumOptions {
    /// Whether points are judged as optima, given the value of `--at`; where `other` is asked for
    /// instead of verdicts on the gradient they cannot be.
    pub fn are_meant(&self, at: Option<&str>, other: Option<&str>) -> Result<bool, CliError> {
        if !(self.optimum_tol.is_finite() && self.optimum_tol > 0.0) {
            return Err(usage(format!(
                "--optimum-tol {}: a positive number is expected",
                self.optimum_tol
            )));
        }
        match other {
            Some(other) if self.optimum => {
                Err(usage(format!("--optimum is not there with {other}")))
            }
            Some(_) => Ok(false),
            None => Ok(self.optimum || at.is_some_and(is_table_of_optima)),
        }
    }
}

/// Whether a file has the columns of `optima.csv`; what cannot be read is none.
fn is_table_of_optima(at: &str) -> bool {
    let Ok(mut reader) = csv::Reader::from_path(at) else { return false };
    let Ok(header) = reader.headers() else { return false };
    COLUMNS.iter().all(|column| header.iter().any(|name| name == *column))
}

/// Points that are judged as optima, for one gradient.
#[derive(Clone)]
pub struct Optima<'a> {
    problem: &'a OdeProblem,
    points: &'a Points,
    criteria: OptimumCriteria,
    /// By point; none where it failed.
    fisher: Rc<[Option<Vec<f64>>]>,
    /// By point, with its id.
    judged: Vec<(String, Vec<OptimumCell>)>,
}

impl<'a> Optima<'a> {
    /// Evaluates the Fisher information at the points.
    pub fn new(
        evaluator: &Evaluator<'a>,
        points: &'a Points,
        tolerance: f64,
        check: Criteria,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            problem: evaluator.problem(),
            points,
            criteria: OptimumCriteria { tolerance, check },
            fisher: fisher_diagonals(evaluator, &points.theta_scaled)?.into(),
            judged: Vec::new(),
        })
    }

    /// Judges a point.
    pub fn see(
        &mut self,
        judged: &JudgedPoint,
        result: &PointResult,
        allowance: &AllowanceSource<'_>,
    ) {
        let place = judged.point.position();
        let allowances = allowance(judged.point, result);
        let point = OptimumPoint {
            theta: &self.points.theta_scaled[place],
            fisher: self.fisher[place].as_deref(),
            allowances: allowances.as_deref(),
        };
        let parameters = &self.problem.parameters;
        let cells = judge_optimum(judged, result, &point, parameters, &self.criteria);
        self.judged.push((self.points.ids[place].clone(), cells));
    }

    /// The point that was judged last, as a table.
    pub fn last_table(&self, style: Style) -> String {
        let cells = self.judged.last().map_or(&[] as &[OptimumCell], |(_, cells)| cells);
        optimum_table(self.problem, cells, style)
    }

    /// How many points each parameter has of each class.
    pub fn counts(&self, style: Style) -> String {
        optimum_counts(self.problem, &self.judged, style)
    }

    /// Whether some gradient is wrong.
    pub fn has_wrong(&self) -> bool {
        let mut cells = self.judged.iter().flat_map(|(_, cells)| cells);
        cells.any(|cell| cell.kind == OptimumKind::Wrong)
    }

    /// Writes all points to a CSV file.
    pub fn write(&self, path: &Path) -> Result<(), CliError> {
        write_at_optimum(Output::create(path)?, self.problem, &self.judged)
            .and_then(Output::finish)
            .map_err(CliError::output(path))
    }
}
