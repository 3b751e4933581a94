//! Whether points can be those of a sweep: digests guard against accidents only.

use super::JournalChunk;
use crate::index::ParameterIdx;
use crate::model::OdeProblem;
use crate::sweep::{Failure, PointResult};

/// What points are evaluated for.
#[derive(Clone, Copy)]
pub struct Grid<'a> {
    pub problem: &'a OdeProblem,
    pub parameters: &'a [ParameterIdx],
    pub eps: &'a [f64],
}

impl JournalChunk {
    /// Whether all that is numbered exists, and the probes are those of the grid.
    pub fn fits(&self, grid: Grid<'_>) -> bool {
        let parts = || grid.problem.all().map(OdeProblem::own_counts);
        let counts = parts().fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
        self.evaluated.points.iter().all(|point| point_fits(point, grid, counts))
    }
}

fn point_fits(point: &PointResult, grid: Grid<'_>, (simulations, rows): (usize, usize)) -> bool {
    let known = grid.problem.parameters.len();
    let value_fits = |value: &Result<f64, Failure>| match value {
        Ok(_) => true,
        Err(Failure::Lane { simulation, .. }) => simulation.position() < simulations,
        Err(Failure::NotFinite { row }) => row.position() < rows,
        Err(Failure::Prior { parameter }) => parameter.position() < known,
    };
    let gradients = [
        &point.gradient,
        &point.adjoint_gradient,
        &point.gradient_magnitudes,
        &point.gradient_rounding,
        &point.tight_gradient,
        &point.difference_changes,
    ];
    let cells = grid.parameters.iter().flat_map(|p| grid.eps.iter().map(move |e| (*p, *e)));
    let is_grid = point.probes.is_empty()
        || point.probes.iter().map(|pair| (pair.parameter, pair.eps)).eq(cells);
    let mut pairs = point.probes.iter().chain(&point.refinements);
    is_grid
        && gradients.into_iter().flatten().all(|gradient| gradient.len() == known)
        && point.below_atol.iter().all(|s| s.position() < grid.problem.state_ids.len())
        && value_fits(&point.objective)
        && pairs.all(|pair| {
            grid.parameters.contains(&pair.parameter)
                && value_fits(&pair.plus)
                && value_fits(&pair.minus)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{RowIdx, SimulationIdx, StateIdx};
    use crate::model;
    use crate::sweep::{EvaluatedChunk, ProbePair};
    use std::path::Path;

    #[test]
    fn only_what_exists_fits() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conversion");
        let problem = model::load(&folder).unwrap();
        let parameters = [ParameterIdx(0), ParameterIdx(2)];
        let grid = Grid { problem: &problem, parameters: &parameters, eps: &[1e-1, 1e-3] };
        let pair = |parameter, eps| ProbePair::of_values(parameter, eps, Ok(1.0), Ok(2.0));
        let good = PointResult {
            objective: Ok(1.0),
            prior: 0.0,
            chi2: 0.0,
            steps: 1,
            retries: 0,
            below_atol: vec![StateIdx(1)],
            gradient: Some(vec![0.0; problem.parameters.len()]),
            adjoint_gradient: None,
            gradient_magnitudes: None,
            gradient_rounding: None,
            tight_gradient: None,
            difference_changes: None,
            probes: parameters
                .iter()
                .flat_map(|p| grid.eps.iter().map(move |e| (*p, *e)))
                .map(|(p, e)| pair(p, e))
                .collect(),
            refinements: vec![pair(parameters[1], 0.4)],
            predictions: Vec::new(),
        };
        let fits = |change: &dyn Fn(&mut PointResult)| {
            let mut point = good.clone();
            change(&mut point);
            let evaluated = EvaluatedChunk { points: vec![point], lanes: 0, steps: 0 };
            JournalChunk { first: 0, evaluated, failed_engine: None }.fits(grid)
        };
        assert!(fits(&|_| ()) && fits(&|point| point.probes.clear()));
        assert!(!fits(&|point| point.below_atol = vec![StateIdx(2)]));
        assert!(!fits(&|point| point.gradient = Some(vec![0.0])));
        assert!(!fits(&|point| point.tight_gradient = Some(Vec::new())));
        assert!(!fits(&|point| point.gradient_rounding = Some(vec![0.0])));
        assert!(!fits(&|point| point.difference_changes = Some(vec![0.0])));
        assert!(!fits(&|point| point.probes.truncate(3)));
        assert!(!fits(&|point| point.probes.swap(0, 1)));
        assert!(!fits(&|point| point.refinements[0].parameter = ParameterIdx(1)));
        let prior = |parameter| Err(Failure::Prior { parameter: ParameterIdx(parameter) });
        assert!(fits(&|point| point.objective = prior(5)));
        assert!(!fits(&|point| point.objective = prior(6)));
        let row = |row| Err(Failure::NotFinite { row: RowIdx(row) });
        assert!(fits(&|point| point.probes[1].plus = row(59)));
        assert!(!fits(&|point| point.probes[1].plus = row(60)));
        let report = crate::engine::LaneReport {
            status: crate::engine::LaneStatus::NotFinite,
            steps: 1,
            retries: 0,
            t: 0.0,
        };
        let lane = |s| Err(Failure::Lane { simulation: SimulationIdx(s), report });
        assert!(fits(&|point| point.refinements[0].minus = lane(1)));
        assert!(!fits(&|point| point.refinements[0].minus = lane(2)));
    }
}
