//! What a local optimiser is to its driver: something that asks for evaluations one by one, so that
//! those of many optimisers can be one batch.

use super::bounds::Bounds;
use super::dense::Matrix;
use std::fmt;

/// The objective at a point that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Not finite where there is no value.
    pub value: f64,
    pub gradient: Vec<f64>,
    /// An approximation of the second derivatives that has no negative eigenvalue; where the method
    /// wants one.
    pub curvature: Option<Matrix>,
}

impl Evaluation {
    /// Of a point where there is no value.
    pub fn failed() -> Self {
        Self { value: f64::INFINITY, gradient: Vec::new(), curvature: None }
    }

    /// Whether all numbers are finite.
    pub fn is_usable(&self) -> bool {
        let curvature = self.curvature.iter().flat_map(|matrix| &matrix.values);
        self.value.is_finite() && self.gradient.iter().chain(curvature).all(|g| g.is_finite())
    }
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// On the largest component of the projected gradient.
    pub gtol: f64,
    /// On (f − f')/max(|f|, |f'|, 1) of an iteration.
    pub ftol: f64,
    /// On ‖x' − x‖/(1 + ‖x‖) of an iteration.
    pub xtol: f64,
    pub max_iterations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { gtol: 1e-5, ftol: 1e-9, xtol: 1e-9, max_iterations: 2000 }
    }
}

/// Why an optimisation stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stop {
    /// The projected gradient is small.
    Gradient,
    /// An iteration hardly changed the objective.
    Objective,
    /// An iteration hardly moved the point.
    Step,
    /// No step along a direction of descent lowers the objective: it is as low as rounding and the
    /// solver's tolerances let it become.
    NoDescent,
    /// The most iterations were made.
    Iterations,
    /// The first point has no value.
    Start,
}

impl Stop {
    /// All reasons, in the order of reports.
    pub const ALL: [Self; 6] = [
        Self::Gradient,
        Self::Objective,
        Self::Step,
        Self::NoDescent,
        Self::Iterations,
        Self::Start,
    ];

    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gradient => "gtol",
            Self::Objective => "ftol",
            Self::Step => "xtol",
            Self::NoDescent => "no_descent",
            Self::Iterations => "max_iterations",
            Self::Start => "start_failed",
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where an optimisation is.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    pub x: Vec<f64>,
    pub value: f64,
    pub gradient: Vec<f64>,
    pub projected_gradient: f64,
    /// Length of the last accepted step.
    pub step: f64,
    pub iterations: usize,
    pub evaluations: usize,
}

impl Position {
    /// A start in the box; it has no value yet.
    pub(super) fn new(mut x: Vec<f64>, bounds: &Bounds) -> Self {
        bounds.clamp(&mut x);
        Self {
            gradient: vec![f64::NAN; x.len()],
            x,
            value: f64::INFINITY,
            projected_gradient: f64::NAN,
            step: 0.0,
            iterations: 0,
            evaluations: 0,
        }
    }

    /// Goes to a point of an evaluation that can be used; says why to stop there, if there is a
    /// reason.
    pub(super) fn move_to(
        &mut self,
        x: &[f64],
        value: f64,
        gradient: &[f64],
        (bounds, limits): (&Bounds, &Limits),
    ) -> Option<Stop> {
        let is_first = self.value == f64::INFINITY;
        let moved: f64 = self.x.iter().zip(x).map(|(a, b)| (a - b) * (a - b)).sum();
        let length: f64 = self.x.iter().map(|a| a * a).sum();
        let fallen = (self.value - value) / self.value.abs().max(value.abs()).max(1.0);
        self.x.copy_from_slice(x);
        self.value = value;
        self.gradient.copy_from_slice(gradient);
        self.projected_gradient = bounds.projected_gradient(x, gradient);
        self.step = moved.sqrt();
        if self.projected_gradient <= limits.gtol {
            self.iterations += usize::from(!is_first);
            return Some(Stop::Gradient);
        }
        if is_first {
            return None;
        }
        self.iterations += 1;
        if fallen <= limits.ftol {
            Some(Stop::Objective)
        } else if self.step <= limits.xtol * (1.0 + length.sqrt()) {
            Some(Stop::Step)
        } else if self.iterations >= limits.max_iterations {
            Some(Stop::Iterations)
        } else {
            None
        }
    }
}

/// A local optimiser that asks for one evaluation after the other.
pub trait Minimiser: Send {
    /// The point whose evaluation it waits for; none once it has stopped.
    fn wanted(&self) -> Option<&[f64]>;

    /// Gives the evaluation of that point.
    fn tell(&mut self, evaluation: Evaluation);

    /// The best point so far.
    fn position(&self) -> &Position;

    /// Why it has stopped, if it has.
    fn stop(&self) -> Option<Stop>;
}
