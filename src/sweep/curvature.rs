//! What is known of second derivatives at points.

use super::integrate::Run;
use super::parts::Differences;
use super::result::{Failure, PointResult, ProbePair};
use crate::index::ParameterIdx;

/// The gradient with one parameter moved.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientPairs {
    /// The moved parameter.
    pub parameter: ParameterIdx,
    /// Step on the parameter scale.
    pub eps: f64,
    /// By component asked for.
    pub components: Vec<Differences>,
    /// What the rows change their parts of a component by over the step, magnitudes added up: the
    /// terms that an entry of the Hessian is the sum of. NaN where a side has no value.
    pub magnitudes: Vec<f64>,
    /// Why there is no gradient at x + eps and at x − eps.
    pub failures: [Option<Failure>; 2],
}

/// A matrix made of first derivatives, `[column][component]`, with the sums of the magnitudes of
/// its terms.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Products {
    pub values: Vec<f64>,
    pub magnitudes: Vec<f64>,
}

/// What is known of the second derivatives at a point; all empty where the point failed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PointCurvature {
    /// By column and eps asked for, then the further ones.
    pub pairs: Vec<GradientPairs>,
    /// Σ ∂z/∂θᵢ·∂z/∂θⱼ over the rows' residuals z = (h(y) − h(m))/σ.
    pub gauss_newton: Products,
    /// Expected second derivatives of the likelihood: Σ (∂h/∂θᵢ·∂h/∂θⱼ + c·∂σ/∂θᵢ·∂σ/∂θⱼ)/σ², where c
    /// is 2 for normal and 1 for Laplace noise.
    pub fisher: Products,
    /// What a relative error of 1 in the predictions that both parameters reach would do to their
    /// likelihoods, per relative change of either parameter on its scale: entries below the last digit
    /// of this are lost in the rounding of states. `[column][component]`.
    pub resolution: Vec<f64>,
    /// By differentiating the program twice.
    pub hessian: OwnHessian,
}

/// Our own second derivatives of the objective, priors included, `[column][component]`; empty where
/// they were not asked for ([`Evaluator::with_second_order`](super::Evaluator::with_second_order)), NaN where they could not be integrated.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OwnHessian {
    pub values: Vec<f64>,
    /// How well the rows' first derivatives are known, carried over to the entries: the program with
    /// second derivatives rounds these otherwise than that without, and what they differ by, relative
    /// to themselves, is a sample of the rounding error of either.
    pub noise: Vec<f64>,
}

/// Points that were evaluated together.
#[derive(Default)]
pub struct CurvatureChunk {
    /// Of the probes those pairs of which one failed.
    pub points: Vec<PointResult>,
    pub curvatures: Vec<PointCurvature>,
    /// Integrations done for them, and attempted steps of all these.
    pub lanes: u64,
    pub steps: u64,
}

impl CurvatureChunk {
    pub(super) fn count<'r>(&mut self, runs: impl IntoIterator<Item = &'r Run>) {
        for run in runs {
            self.lanes += run.result.reports.len() as u64;
            self.steps += run.result.reports.iter().map(|r| u64::from(r.steps)).sum::<u64>();
        }
    }
}

impl GradientPairs {
    /// The probes, where one of them failed.
    pub(super) fn failed(&self) -> Option<ProbePair> {
        if self.failures == [None; 2] {
            return None;
        }
        let [plus, minus] = self.failures.map(|failure| failure.map_or(Ok(f64::NAN), Err));
        Some(ProbePair::of_values(self.parameter, self.eps, plus, minus))
    }

    /// Adds what a further model gives; `before` counts simulations and rows of the models so far.
    pub(super) fn add(&mut self, other: &Self, before: (usize, usize)) {
        self.components.iter_mut().zip(&other.components).for_each(|(a, b)| a.add(b));
        self.magnitudes.iter_mut().zip(&other.magnitudes).for_each(|(a, b)| *a += b);
        for (own, other) in self.failures.iter_mut().zip(other.failures) {
            *own = own.or(other.map(|failure| failure.after(before)));
        }
    }
}

impl Products {
    pub(super) fn add(&mut self, place: usize, terms: &[f64]) {
        for term in terms {
            self.values[place] += term;
            self.magnitudes[place] += term.abs();
        }
    }
}

impl OwnHessian {
    /// Zeros.
    pub(super) fn new(size: usize) -> Self {
        Self { values: vec![0.0; size], noise: vec![0.0; size] }
    }

    /// Adds all entries of another, which may be empty, from an entry on.
    pub(super) fn add(&mut self, first: usize, other: &Self) {
        for (own, other) in [(&mut self.values, &other.values), (&mut self.noise, &other.noise)] {
            let places = first..first + other.len();
            own.resize(own.len().max(places.end), 0.0);
            own[places].iter_mut().zip(other).for_each(|(own, other)| *own += other);
        }
    }
}
