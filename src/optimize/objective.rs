//! The objective at many points, as the methods want it.

use super::dense::Matrix;
use super::minimiser::Evaluation;
use super::multistart::{Method, Round};
use crate::engine::EngineError;
use crate::index::{ParameterIdx, RowIdx};
use crate::model::OdeProblem;
use crate::objective::Measure;
use crate::petab::NoiseDistribution;
use crate::sweep::{
    EvaluatedChunk, Evaluator, Failure, Partition, PointResult, no_further_eps, no_refinement,
    wants_none,
};
use rayon::prelude::*;

/// Step on the parameter scale over which priors' derivatives are differenced: their curvature
/// enters a model of the objective, which need not be exact.
const PRIOR_STEP: f64 = 1e-4;
/// Memory that the derivatives of all rows may take; a single point may take more.
const MOST_BYTES: usize = 1 << 29;

/// The diagonals of the Fisher information, those of the priors added, of points on the parameter
/// scale; none where a point has no value.
///
/// # Errors
/// An engine's failure.
pub fn fisher_diagonals(
    evaluator: &Evaluator<'_>,
    points: &[Vec<f64>],
) -> Result<Vec<Option<Vec<f64>>>, EngineError> {
    let objective = Objective::new(evaluator, Method::GaussNewton);
    let evaluated = objective.evaluate(points)?.evaluations;
    let diagonal = |(evaluation, _): (Evaluation, Option<Failure>)| {
        let matrix = evaluation.curvature?;
        Some((0..matrix.size).map(|i| matrix.at(i, i)).collect())
    };
    Ok(evaluated.into_iter().map(diagonal).collect())
}

/// The objective as a method wants it.
pub(super) struct Objective<'e, 'p> {
    evaluator: &'e Evaluator<'p>,
    method: Method,
    parameters: Vec<ParameterIdx>,
    /// A part for each row, counted through all models.
    part_of: Vec<usize>,
    /// By row, the weight of the term ∂lnσ/∂θᵢ·∂lnσ/∂θⱼ in the Fisher information.
    noise_weights: Vec<f64>,
}

impl<'e, 'p> Objective<'e, 'p> {
    pub(super) fn new(evaluator: &'e Evaluator<'p>, method: Method) -> Self {
        let problem = evaluator.problem();
        let weight = |r: usize| {
            let (model, row) = problem.row(RowIdx::from_position(r));
            match model.observables[row.observable.position()].noise_model.distribution {
                NoiseDistribution::Normal => 2.0,
                NoiseDistribution::Laplace => 1.0,
            }
        };
        Self {
            evaluator,
            method,
            parameters: (0..problem.parameters.len()).map(ParameterIdx::from_position).collect(),
            part_of: (0..problem.row_count()).collect(),
            noise_weights: (0..problem.row_count()).map(weight).collect(),
        }
    }

    /// The points in order, with what failed.
    pub(super) fn evaluate(&self, points: &[Vec<f64>]) -> Result<Round, EngineError> {
        match self.method {
            Method::Lbfgsb => {
                let evaluated = self.evaluator.evaluate(points, &[], &[], &no_refinement)?;
                let EvaluatedChunk { points, lanes, steps } = evaluated;
                let evaluations = points.into_iter().map(|point| evaluation(point, None));
                Ok(Round { evaluations: evaluations.collect(), lanes, steps })
            }
            Method::GaussNewton => {
                // Three derivatives of every row by every parameter.
                let of_point = 3 * size_of::<f64>() * self.parameters.len() * self.part_of.len();
                let most = (MOST_BYTES / of_point.max(1)).max(1);
                let mut all = Round { evaluations: Vec::new(), lanes: 0, steps: 0 };
                for points in points.chunks(most) {
                    self.with_fisher(points, &mut all)?;
                }
                Ok(all)
            }
        }
    }

    fn with_fisher(&self, points: &[Vec<f64>], round: &mut Round) -> Result<(), EngineError> {
        let partition = Partition {
            measure: Measure::Residual,
            part_of: &self.part_of,
            count: self.part_of.len(),
            prior: None,
            with_noise: true,
        };
        let evaluated = self.evaluator.evaluate_parts(
            points,
            &self.parameters,
            &[],
            &partition,
            (&no_further_eps, &wants_none),
        )?;
        round.lanes += evaluated.lanes;
        round.steps += evaluated.steps;
        let all = evaluated.points.into_par_iter().zip(evaluated.parts).zip(points);
        let evaluations: Vec<_> = all
            .map(|((point, parts), theta)| {
                let of_rows = [&parts.gradient, &parts.noise_gradient, &parts.log_sigma_gradient];
                let matrix = self.fisher(of_rows.map(Vec::as_slice), theta);
                evaluation(point, matrix)
            })
            .collect();
        round.evaluations.extend(evaluations);
        Ok(())
    }

    /// Expected second derivatives of the likelihood, and those of the priors where they are
    /// positive. `of_rows`: derivatives `[parameter][row]` of the residual, of what of it comes
    /// through σ, and of ln σ.
    fn fisher(&self, of_rows: [&[f64]; 3], theta: &[f64]) -> Option<Matrix> {
        let [residual, through_sigma, log_sigma] = of_rows;
        let (n, rows) = (self.parameters.len(), self.part_of.len());
        if residual.len() != n * rows {
            return None;
        }
        let through_y: Vec<f64> = residual.iter().zip(through_sigma).map(|(a, b)| a - b).collect();
        let mut matrix = Matrix::zeros(n);
        for i in 0..n {
            let of = |j: usize| j * rows..(j + 1) * rows;
            for j in 0..=i {
                let y: f64 =
                    through_y[of(i)].iter().zip(&through_y[of(j)]).map(|(a, b)| a * b).sum();
                let sigma: f64 = log_sigma[of(i)]
                    .iter()
                    .zip(&log_sigma[of(j)])
                    .zip(&self.noise_weights)
                    .map(|((a, b), w)| w * a * b)
                    .sum();
                matrix.set(i, j, y + sigma);
                matrix.set(j, i, y + sigma);
            }
            matrix.values[i * n + i] += prior_curvature(self.evaluator.problem(), i, theta[i]);
        }
        Some(matrix)
    }
}

/// The second derivative of a parameter's prior on its scale, or 0 where that is negative.
fn prior_curvature(problem: &OdeProblem, i: usize, theta: f64) -> f64 {
    let (term, scale) = (&problem.priors.terms()[i], problem.parameters[i].scale);
    let slope = |theta: f64| term.derivative(theta, scale.unscale(theta));
    let curvature = (slope(theta + PRIOR_STEP) - slope(theta - PRIOR_STEP)) / (2.0 * PRIOR_STEP);
    if curvature.is_finite() { curvature.max(0.0) } else { 0.0 }
}

fn evaluation(point: PointResult, curvature: Option<Matrix>) -> (Evaluation, Option<Failure>) {
    match (point.objective, point.gradient) {
        (Ok(value), Some(gradient)) => (Evaluation { value, gradient, curvature }, None),
        (Ok(_), None) => (Evaluation::failed(), None),
        (Err(failure), _) => (Evaluation::failed(), Some(failure)),
    }
}
