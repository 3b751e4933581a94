//! Parameters that no trajectory depends on, such as scalings, offsets and noise: moving them costs no
//! integration, so that a grid can be searched.
//!
//! Where a random scaling makes predictions far too large, a descent goes where the states vanish, and
//! stays; where it makes them far too small, nothing seems to matter.

use super::bounds::Bounds;
use crate::engine::EngineError;
use crate::index::{ParameterIdx, SimulationIdx};
use crate::model::OdeProblem;
use crate::sweep::{Evaluator, no_refinement};

/// Steps of the grid from one bound to the other, and how often it is gone through: one parameter may
/// have to wait for another of the same observable.
const GRID: usize = 64;
const PASSES: usize = 3;

/// Estimated parameters that no trajectory depends on.
pub fn observation_parameters(problem: &OdeProblem) -> Vec<ParameterIdx> {
    let is_dynamic = |p: ParameterIdx| {
        problem.all().any(|part| {
            let mut all = (0..part.simulations.len()).map(SimulationIdx::from_position);
            all.any(|s| part.is_dynamic(p, s))
        })
    };
    let all = (0..problem.parameters.len()).map(ParameterIdx::from_position);
    all.filter(|&p| !is_dynamic(p)).collect()
}

/// Moves those parameters of each start that have two bounds, one after the other, to where the
/// objective is lowest on a grid through the start's own value. Returns how many evaluations it took;
/// `seen` hears after each parameter how many of how many may be done.
///
/// # Errors
/// An engine's failure.
pub fn settle(
    evaluator: &Evaluator<'_>,
    starts: &mut [Vec<f64>],
    bounds: &Bounds,
    seen: &mut dyn FnMut(usize, usize),
) -> Result<usize, EngineError> {
    let parameters = observation_parameters(evaluator.problem());
    let mut count = 0;
    for pass in 0..PASSES {
        let before = starts.to_vec();
        for (k, &parameter) in parameters.iter().enumerate() {
            seen(pass * parameters.len() + k, PASSES * parameters.len());
            let i = parameter.position();
            let width = bounds.upper[i] - bounds.lower[i];
            if !(width.is_finite() && width > 0.0) {
                continue;
            }
            let eps: Vec<f64> = (1..=GRID).map(|k| width * k as f64 / GRID as f64).collect();
            let evaluated = evaluator.evaluate(starts, &[parameter], &eps, &no_refinement)?;
            count += starts.len();
            for (x, point) in starts.iter_mut().zip(evaluated.points) {
                let own = x[i];
                let mut lowest = point.objective.unwrap_or(f64::INFINITY);
                for pair in &point.probes {
                    for (value, to) in [(&pair.plus, own + pair.eps), (&pair.minus, own - pair.eps)]
                    {
                        let is_inside = bounds.lower[i] <= to && to <= bounds.upper[i];
                        if let (true, Ok(value)) = (is_inside, value)
                            && *value < lowest
                        {
                            (lowest, x[i]) = (*value, to);
                        }
                    }
                }
            }
        }
        if before == starts {
            break;
        }
    }
    Ok(count)
}
