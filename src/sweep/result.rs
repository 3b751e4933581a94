//! What becomes of a point and its probes, and how the parts of several models add up.

use crate::engine::LaneReport;
use crate::index::{ParameterIdx, RowIdx, SimulationIdx, StateIdx};
use crate::model::OdeProblem;
use crate::objective::Prediction;
use std::fmt;

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Failure {
    /// A simulation did not reach its end.
    Lane { simulation: SimulationIdx, report: LaneReport },
    /// The simulations ended but a row's likelihood is infinite or undefined.
    NotFinite { row: RowIdx },
    /// A parameter is where its prior has no density.
    Prior { parameter: ParameterIdx },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lane { report, .. } => {
                write!(f, "{} at t = {} after {} steps", report.status, report.t, report.steps)
            }
            Self::NotFinite { row } => {
                write!(f, "likelihood not finite in measurement {}", row.position() + 1)
            }
            Self::Prior { parameter } => {
                write!(f, "no prior density at parameter {}", parameter.position() + 1)
            }
        }
    }
}

/// Values at a point moved up and down along one parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbePair {
    pub parameter: ParameterIdx,
    /// Step on the parameter scale.
    pub eps: f64,
    /// Objectives at x + eps and x − eps.
    pub plus: Result<f64, Failure>,
    pub minus: Result<f64, Failure>,
    /// Paired differences over the steps really taken: (x+eps, x), (x, x−eps), (x+eps, x−eps).
    pub paired_forward: f64,
    pub paired_backward: f64,
    pub paired_central: f64,
    /// What a relative change of one part in 2⁵² in every prediction would do to
    /// `paired_central`; half of what it would do to a one-sided difference where there is no other.
    pub round_off: f64,
    /// The part of it that comes from predictions that were the same to the bit on both sides.
    pub unmoved_round_off: f64,
    /// The same of predictions that the parameter does not reach, as it seems: all states at their
    /// time were the same to the bit. It is no part of `round_off`.
    pub unreached_round_off: f64,
    /// What errors of steps may do to `paired_central`, where probes choose their own: what errors of the
    /// tolerances' size in the states would, or some times what tighter tolerances change, if that is known
    /// and less. 0 where probes replay steps.
    pub step_noise: f64,
    /// Whether what rounding leaves out was carried along: `paired_central` then has about twice the
    /// precision, and there are no one-sided differences.
    pub is_compensated: bool,
}

/// What became of a point.
#[derive(Debug, Clone, PartialEq)]
pub struct PointResult {
    /// Negative log posterior: likelihood of all rows and priors.
    pub objective: Result<f64, Failure>,
    /// What the priors add to it.
    pub prior: f64,
    /// Sum of squared weighted residuals.
    pub chi2: f64,
    /// Attempted steps of the point's own simulations.
    pub steps: u64,
    /// How often its simulations were tried again at tighter tolerances, at most.
    pub retries: u32,
    /// The states that start below the absolute tolerance, but not at 0: no solver resolves those.
    pub below_atol: Vec<StateIdx>,
    /// By forward tangents, on the parameter scale; none where it was not asked for or the point
    /// failed.
    pub gradient: Option<Vec<f64>>,
    /// The same by adjoints.
    pub adjoint_gradient: Option<Vec<f64>>,
    /// With the gradient: sums of the magnitudes of the terms that its components are made of.
    pub gradient_magnitudes: Option<Vec<f64>>,
    /// What rounding does to the gradient by forward tangents, by estimated parameter: known of those of which
    /// there are compensated differences, infinite where it cannot be told, 0 of all others.
    pub gradient_rounding: Option<Vec<f64>>,
    /// The gradient at tighter tolerances, where the evaluator has them and the point does not fail: by
    /// forward tangents if there is one by them, else by adjoints.
    pub tight_gradient: Option<Vec<f64>>,
    /// By how much a difference over one step changes at tighter tolerances, by estimated parameter: infinite
    /// where it has no value there, 0 of those that were not asked for or have none at all. There where copies
    /// choose their own steps and an evaluator at tighter tolerances is.
    pub difference_changes: Option<Vec<f64>>,
    /// `[parameter][eps]`, flat, in the order asked for; empty where the point failed.
    pub probes: Vec<ProbePair>,
    /// Differences with further eps, of the parameters for which they were asked.
    pub refinements: Vec<ProbePair>,
    /// Predictions of all rows; empty where a simulation failed.
    pub predictions: Vec<Prediction>,
}

impl Failure {
    /// In words, with the names of the problem that it is of.
    pub fn describe(&self, problem: &OdeProblem) -> String {
        match self {
            Self::Prior { parameter } => {
                let id = &problem.parameters[parameter.position()].id;
                format!("the prior of `{id}` has no density there")
            }
            Self::Lane { .. } | Self::NotFinite { .. } => self.to_string(),
        }
    }

    /// Counted through all models, where this many simulations and rows come before.
    pub(super) fn after(self, (simulations, rows): (usize, usize)) -> Self {
        match self {
            Self::Lane { simulation, report } => {
                let simulation = SimulationIdx::from_position(simulation.position() + simulations);
                Self::Lane { simulation, report }
            }
            Self::NotFinite { row } => {
                Self::NotFinite { row: RowIdx::from_position(row.position() + rows) }
            }
            Self::Prior { .. } => self,
        }
    }
}

/// The sum of two parts of an objective, or why there is none.
fn sum(
    a: Result<f64, Failure>,
    b: Result<f64, Failure>,
    before: (usize, usize),
) -> Result<f64, Failure> {
    Ok(a? + b.map_err(|failure| failure.after(before))?)
}

impl ProbePair {
    /// Objectives on both sides, without paired differences.
    pub fn of_values(
        parameter: ParameterIdx,
        eps: f64,
        plus: Result<f64, Failure>,
        minus: Result<f64, Failure>,
    ) -> Self {
        let nan = f64::NAN;
        Self {
            parameter,
            eps,
            plus,
            minus,
            paired_forward: nan,
            paired_backward: nan,
            paired_central: nan,
            round_off: nan,
            unmoved_round_off: nan,
            unreached_round_off: nan,
            step_noise: nan,
            is_compensated: false,
        }
    }

    fn add(&mut self, other: &Self, before: (usize, usize)) {
        self.plus = sum(self.plus, other.plus, before);
        self.minus = sum(self.minus, other.minus, before);
        self.paired_forward += other.paired_forward;
        self.paired_backward += other.paired_backward;
        self.paired_central += other.paired_central;
        self.round_off += other.round_off;
        self.unmoved_round_off += other.unmoved_round_off;
        self.unreached_round_off += other.unreached_round_off;
        self.step_noise += other.step_noise;
        self.is_compensated &= other.is_compensated;
    }
}

/// How the program's own gradient is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GradientMethod {
    Forward,
    Adjoint,
}

impl PointResult {
    /// The own gradient by a method.
    pub fn own_gradient(&self, method: GradientMethod) -> Option<&[f64]> {
        match method {
            GradientMethod::Forward => self.gradient.as_deref(),
            GradientMethod::Adjoint => self.adjoint_gradient.as_deref(),
        }
    }

    /// By how much the components of the own gradient, or differences where they tell more, change at
    /// tighter tolerances: about their discretisation error. None where that was not asked for, or a run
    /// failed.
    pub fn discretisation_change(&self) -> Option<Vec<f64>> {
        let own = self.gradient.as_ref().or(self.adjoint_gradient.as_ref())?;
        let Some(tight) = &self.tight_gradient else {
            // Asked for, and not there.
            return self.difference_changes.as_ref().map(|all| vec![f64::INFINITY; all.len()]);
        };
        let of_gradient = own.iter().zip(tight).map(|(own, tight)| (own - tight).abs());
        Some(match &self.difference_changes {
            Some(changes) => of_gradient.zip(changes).map(|(g, d)| g.max(*d)).collect(),
            None => of_gradient.collect(),
        })
    }

    /// Adds what a further model gives at the same point; `before` counts the simulations and rows
    /// of the models so far.
    pub(super) fn add(&mut self, other: &Self, before: (usize, usize)) {
        self.objective = sum(self.objective, other.objective, before);
        self.chi2 += other.chi2;
        self.steps += other.steps;
        self.retries = self.retries.max(other.retries);
        for (own, other) in [
            (&mut self.gradient, &other.gradient),
            (&mut self.adjoint_gradient, &other.adjoint_gradient),
            (&mut self.gradient_magnitudes, &other.gradient_magnitudes),
        ] {
            *own = match (own.take(), other) {
                (Some(mut sums), Some(others)) => {
                    sums.iter_mut().zip(others).for_each(|(g, o)| *g += o);
                    Some(sums)
                }
                _ => None,
            };
        }
        match (&mut self.gradient_rounding, &other.gradient_rounding) {
            (Some(own), Some(others)) => {
                own.iter_mut().zip(others).for_each(|(own, other)| *own += other);
            }
            // None is told of where there is none.
            (own @ None, Some(others)) => *own = Some(others.clone()),
            (_, None) => {}
        }
        for (mine, others) in
            [(&mut self.probes, &other.probes), (&mut self.refinements, &other.refinements)]
        {
            if mine.len() == others.len() {
                mine.iter_mut().zip(others).for_each(|(pair, other)| pair.add(other, before));
            } else {
                mine.clear();
            }
        }
        if self.predictions.is_empty() || other.predictions.is_empty() {
            self.predictions.clear();
        } else {
            self.predictions.extend_from_slice(&other.predictions);
        }
    }
}
