//! Which derivatives of residuals are judged: the program's own, or those from a file.

use super::CliError;
use super::gradient::{ADJOINT, AUTO, FORWARD, claimed_accuracy, restrict};
use super::options::{CheckOptions, usage};
use crate::check::{CheckPlan, PartGradient, own_part, own_residual_derivatives, row_numbers};
use crate::engine::Engine;
use crate::gradient::{FileResiduals, read_residual_gradients};
use crate::index::{ParameterIdx, PointIdx};
use crate::model::OdeProblem;
use crate::report::digest;
use crate::startpoints::Points;
use crate::sweep::{Evaluator, Settings};
use std::path::{Path, PathBuf};

/// The derivatives to judge.
pub enum JudgedResiduals {
    Own,
    File(Foreign),
}

/// Derivatives from a file.
pub struct Foreign {
    path: PathBuf,
    sha256: String,
    /// Accuracy claimed for them, relative to each.
    rtol: f64,
    read: FileResiduals,
    /// Our own at tighter tolerances, `[point][parameter × row]`; empty where a point failed.
    tight: Vec<Vec<f64>>,
    /// What `tight` holds.
    parameters: Vec<ParameterIdx>,
    rows: usize,
}

impl JudgedResiduals {
    /// Reads the file, if one is named, and restricts the plan to its parameters.
    pub fn new(
        options: &CheckOptions,
        problem: &OdeProblem,
        points: &Points,
        plan: &mut CheckPlan,
    ) -> Result<Self, CliError> {
        let [given] = options.gradient.as_slice() else {
            return Err(usage("--gradient: one is expected with --mode residuals"));
        };
        if given == ADJOINT {
            return Err(usage(
                "--gradient adjoint: adjoints are of a sum of rows, not of each; with --mode \
                 residuals use --gradient forward",
            ));
        }
        if [AUTO, FORWARD].contains(&given.as_str()) {
            return Ok(Self::Own);
        }
        let path = Path::new(given);
        let rtol = claimed_accuracy(options)?;
        let numbers = row_numbers(problem);
        let read = read_residual_gradients(path, &problem.parameters, points, &numbers)?;
        restrict(plan, options, given, problem, &read.parameters)?;
        Ok(Self::File(Foreign {
            path: path.to_owned(),
            sha256: digest(path).map_err(CliError::output(path))?,
            rtol,
            read,
            tight: Vec::new(),
            parameters: plan.parameters.clone(),
            rows: numbers.len(),
        }))
    }

    /// Integrates the points at tighter tolerances, where that is needed.
    pub fn prepare(
        &mut self,
        problem: &OdeProblem,
        settings: Settings,
        engine: &dyn Engine,
        points: &Points,
    ) -> Result<(), CliError> {
        let Self::File(foreign) = self else { return Ok(()) };
        let evaluator = Evaluator::new(problem, settings.tighter(), engine, Some(engine))?;
        let theta = &points.theta_scaled;
        foreign.tight = own_residual_derivatives(&evaluator, theta, &foreign.parameters)?;
        Ok(())
    }

    /// What is judged.
    pub fn gradient(&self) -> Box<PartGradient<'_>> {
        match self {
            Self::Own => Box::new(own_part),
            Self::File(foreign) => Box::new(|point: PointIdx, parameter, row, _| {
                foreign.read.value(point.position(), parameter, row)
            }),
        }
    }

    /// The errors that it may have where it is right: twice what our own derivative changes by at
    /// tighter tolerances, and what is claimed for the file.
    pub fn allowance(&self) -> Box<PartGradient<'_>> {
        match self {
            Self::Own => Box::new(|_, _, _, _| 0.0),
            Self::File(foreign) => Box::new(|point: PointIdx, parameter, row, own: f64| {
                let place = foreign.parameters.iter().position(|p| *p == parameter);
                let tight = place.and_then(|place| {
                    foreign.tight[point.position()].get(place * foreign.rows + row)
                });
                let ours = tight.map_or(0.0, |tight| 2.0 * (own - tight).abs());
                ours + foreign.rtol * own.abs()
            }),
        }
    }

    /// What it is, for reports.
    pub fn describe(&self) -> String {
        match self {
            Self::Own => "own, forward tangents".to_owned(),
            Self::File(foreign) => format!(
                "{} (SHA-256 {}), accurate to {:e} of each derivative",
                foreign.path.file_name().unwrap_or_default().to_string_lossy(),
                foreign.sha256,
                foreign.rtol
            ),
        }
    }
}
