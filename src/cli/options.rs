//! Options that several commands share.

use super::CliError;
use crate::check::{CheckPlan, Criteria, Label};
use crate::index::ParameterIdx;
use crate::model::OdeProblem;
use crate::startpoints::{self, At, Points};
use crate::sweep::{Settings, StepMode};
use clap::{Args, ValueEnum};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The default grid of a multi-eps table, pyPESTO's.
pub const DEFAULT_EPS: [f64; 5] = [1e-1, 1e-3, 1e-5, 1e-7, 1e-9];

/// Tolerances of the ODE solver.
pub const DEFAULT_RTOL: &str = "1e-8";
pub const DEFAULT_ATOL: &str = "1e-12";
/// Accuracy of a gradient from a file.
pub const DEFAULT_GRADIENT_RTOL: f64 = 1e-5;

/// A failure rate whose confidence interval lies above this is consistent.
pub const DEFAULT_CONSISTENT: f64 = 0.05;
/// Two-sided confidence of the failure rates' intervals.
pub const CONFIDENCE: f64 = 0.95;

/// Which engine integrates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// For small jobs the CPU engine, else a hardware GPU with 64-bit floats, else the faster of CPU
    /// engine and software adapter.
    Auto,
    /// A Vulkan adapter with 64-bit floats, software ones included.
    Gpu,
    Cpu,
}

/// How perturbed copies choose their steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Steps {
    /// Probes replay the steps of their point: differences free of step-size noise.
    Shared,
    /// Every probe controls its own steps, as an optimiser would see it.
    Adaptive,
}

/// How random points are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Draw {
    /// Uniformly between the bounds, on the parameter scale.
    Bounds,
    /// By the distributions of the parameter table.
    Priors,
}

impl Draw {
    /// Random points with these numbers.
    pub fn points(
        self,
        problem: &OdeProblem,
        numbers: Range<usize>,
        seed: u64,
    ) -> Result<Points, CliError> {
        let (parameters, count, first) = (&problem.parameters, numbers.len(), numbers.start);
        Ok(match self {
            Self::Bounds => startpoints::random(parameters, count, first, seed)?,
            Self::Priors => {
                startpoints::random_from_priors(&problem.petab, parameters, count, first, seed)?
            }
        })
    }

    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bounds => "bounds",
            Self::Priors => "priors",
        }
    }
}

/// How many adapters to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdapterCount {
    Some(usize),
    All,
}

impl std::str::FromStr for AdapterCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("all", _) => Ok(Self::All),
            (_, Ok(count @ 1..)) => Ok(Self::Some(count)),
            _ => Err("a number from 1 on, or `all`, is expected".to_owned()),
        }
    }
}

/// Engine and solver.
#[derive(Debug, Clone, Args)]
pub struct SolverOptions {
    /// Engine that integrates.
    #[arg(long, value_enum, default_value = "auto")]
    pub engine: EngineChoice,
    /// Use the first Vulkan adapter whose name, or place on the bus, contains this (see `gradsweep
    /// devices`).
    #[arg(long, value_name = "NAME")]
    pub adapter: Option<String>,
    /// Divide the work among N adapters, or all, of the kind of the first; the digits are those of one.
    #[arg(long, value_name = "N|all", default_value = "1")]
    pub adapters: AdapterCount,
    /// Threads of the CPU engine and of scoring [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Relative tolerance of the ODE solver.
    #[arg(long, default_value = DEFAULT_RTOL, allow_negative_numbers = true)]
    pub rtol: f64,
    /// Absolute tolerance of the ODE solver, in the states' units.
    #[arg(long, default_value = DEFAULT_ATOL, allow_negative_numbers = true)]
    pub atol: f64,
    /// Attempted steps after which an integration is given up.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub max_steps: u32,
    /// Leave out the objective priors: the likelihood alone.
    #[arg(long)]
    pub no_priors: bool,
}

impl SolverOptions {
    /// Whether the command says which adapters to use.
    pub fn names_adapters(&self) -> bool {
        self.adapter.is_some() || self.adapters != AdapterCount::Some(1)
    }

    /// The settings, if they make sense.
    pub fn settings(&self, steps: Steps) -> Result<Settings, CliError> {
        for (name, value, most) in [("--rtol", self.rtol, 1.0), ("--atol", self.atol, f64::MAX)] {
            if !(value.is_finite() && value > 0.0 && value <= most) {
                let limit = if most == 1.0 { " up to 1" } else { "" };
                return Err(usage(format!("{name} {value}: a positive number{limit} is expected")));
            }
        }
        if self.max_steps == 0 {
            return Err(usage("--max-steps 0: at least one step is needed"));
        }
        Ok(Settings {
            rtol: self.rtol,
            atol: self.atol,
            max_steps: self.max_steps,
            steps: match steps {
                Steps::Shared => StepMode::Shared,
                Steps::Adaptive => StepMode::Adaptive,
            },
        })
    }

    /// Reads a problem, its priors included unless they are not wanted.
    pub fn load(&self, path: &Path) -> Result<OdeProblem, CliError> {
        let mut problem = crate::model::load(path)?;
        if self.no_priors {
            problem.leave_out_priors();
        }
        Ok(problem)
    }

    /// Sets up the thread pool.
    pub fn start_threads(&self) -> Result<(), CliError> {
        if let Some(threads) = self.threads {
            if threads == 0 {
                return Err(usage("--threads 0: at least one thread is needed"));
            }
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build_global()
                .map_err(|e| usage(format!("--threads {threads}: {e}")))?;
        }
        Ok(())
    }
}

impl Steps {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Adaptive => "adaptive",
        }
    }
}

/// What is checked and how it is judged.
#[derive(Debug, Clone, Args)]
pub struct CheckOptions {
    /// Steps of the finite differences on the parameter scale, separated by commas. One gives the
    /// table for that step; several give the multi-eps table, for each parameter the row with the
    /// smallest --label [default: 1e-1,1e-3,1e-5,1e-7,1e-9].
    #[arg(long, value_delimiter = ',', value_name = "EPS,...", allow_negative_numbers = true)]
    pub eps: Vec<f64>,
    /// Column that the multi-eps table minimises.
    #[arg(long, default_value = "rel_err", value_name = "rel_err|abs_err|fd_err")]
    pub label: Label,
    /// Check these parameters only, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "ID,...")]
    pub parameters: Vec<String>,
    /// The gradient to check: the program's own, by forward tangents of the solver's steps, by their
    /// transpose (adjoint: each simulation once backwards, whatever the number of parameters), or by
    /// the cheaper of the two (auto); or a CSV file with another tool's, on the parameter scale: a column `point` with the ids of --at, then
    /// one for each parameter; or the columns point, parameter, gradient (with --mode residuals:
    /// point, row, parameter, gradient). `sweep` takes several (--gradient forward --gradient
    /// adjoint --gradient FILE.csv) and compares them.
    #[arg(long, default_value = "auto", value_name = "auto|forward|adjoint|FILE.csv")]
    pub gradient: Vec<String>,
    /// Accuracy of the gradient in a file, relative to the sum of the magnitudes of the terms that a
    /// component is the sum of; beside it stands what our own gradient changes by at tolerances a
    /// hundred times tighter.
    #[arg(long, default_value_t = DEFAULT_GRADIENT_RTOL, value_name = "R", allow_negative_numbers = true)]
    pub gradient_rtol: f64,
    /// Relative deviation from the estimate, beyond its bound, that a right gradient may have.
    #[arg(long, default_value_t = Criteria::default().rtol, value_name = "R", allow_negative_numbers = true)]
    pub check_rtol: f64,
    /// How perturbed copies choose their steps.
    #[arg(long, value_enum, default_value = "shared")]
    pub steps: Steps,
    /// Absolute deviation that a right gradient may have.
    #[arg(long, default_value_t = Criteria::default().atol, value_name = "A", allow_negative_numbers = true)]
    pub check_atol: f64,
}

impl CheckOptions {
    /// The steps, each positive and finite, none twice.
    pub fn eps_grid(&self) -> Result<Vec<f64>, CliError> {
        if self.eps.is_empty() {
            return Ok(DEFAULT_EPS.to_vec());
        }
        for (i, &eps) in self.eps.iter().enumerate() {
            if !(eps.is_finite() && eps > 0.0) {
                return Err(usage(format!("--eps {eps}: a positive step is expected, e.g. 1e-5")));
            }
            if self.eps[..i].contains(&eps) {
                return Err(usage(format!("--eps {eps}: the step is given twice")));
            }
        }
        Ok(self.eps.clone())
    }

    /// What to check, once the options have been found good.
    pub fn plan(
        &self,
        problem: &OdeProblem,
        eps: Vec<f64>,
        criteria: Criteria,
        consistent: f64,
    ) -> Result<CheckPlan, CliError> {
        Ok(CheckPlan {
            parameters: selected(problem, &self.parameters)?,
            eps,
            label: self.label,
            criteria,
            confidence: CONFIDENCE,
            consistent,
        })
    }

    /// The criteria of verdicts.
    pub fn criteria(&self) -> Result<Criteria, CliError> {
        for (name, value) in [("--check-rtol", self.check_rtol), ("--check-atol", self.check_atol)]
        {
            if !(value.is_finite() && value >= 0.0) {
                return Err(usage(format!(
                    "{name} {value}: zero or a positive number is expected"
                )));
            }
        }
        let (rtol, atol) = (self.check_rtol, self.check_atol);
        Ok(Criteria { rtol, atol, ..Criteria::default() })
    }
}

/// The named parameters: all estimated ones where none is named.
pub fn selected(problem: &OdeProblem, ids: &[String]) -> Result<Vec<ParameterIdx>, CliError> {
    if ids.is_empty() {
        return Ok((0..problem.parameters.len()).map(ParameterIdx::from_position).collect());
    }
    let mut selected = Vec::new();
    for id in ids {
        let Some(position) = problem.parameters.iter().position(|p| p.id == *id) else {
            let fixed = problem.petab.parameter(id).is_some();
            let known: Vec<&str> = problem.parameters.iter().map(|p| p.id.as_str()).collect();
            let what = if fixed { "is not estimated" } else { "is no parameter" };
            return Err(usage(format!(
                "--parameters: {id:?} {what}; estimated are {}",
                known.join(", ")
            )));
        };
        let parameter = ParameterIdx::from_position(position);
        if selected.contains(&parameter) {
            return Err(usage(format!("--parameters: {id:?} is named twice")));
        }
        selected.push(parameter);
    }
    Ok(selected)
}

/// The points of `--at`.
pub fn points_at(problem: &OdeProblem, at: &str, seed: u64) -> Result<Points, CliError> {
    Ok(match startpoints::parse_at(at)? {
        At::Nominal => startpoints::nominal(&problem.parameters)?,
        At::Random(count) => startpoints::random(&problem.parameters, count, 0, seed)?,
        At::File(path) => read_points(problem, path)?,
    })
}

fn read_points(problem: &OdeProblem, path: PathBuf) -> Result<Points, CliError> {
    let fixed: Vec<&str> =
        problem.petab.parameters.iter().filter(|p| !p.estimated).map(|p| p.id.as_str()).collect();
    Ok(startpoints::read_csv(&path, &problem.parameters, &fixed)?)
}

pub(super) fn usage(message: impl Into<String>) -> CliError {
    CliError::Usage { message: message.into() }
}
