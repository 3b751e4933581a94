//! Our own second derivatives, forward over forward: tangents of the step program with their
//! derivatives along one more parameter, along the steps of the point.
//!
//! A lane carries the states, their derivatives along some inner parameters, along an outer one, and
//! the mixed second derivatives, all on the parameter scale. How parameters move slots is told by the
//! lane, period by period, so that a single program serves all parameters.

mod rows;
mod walk;

use super::curvature::OwnHessian;
use super::evaluator::Evaluator;
use super::integrate::{LaneSet, Run};
use super::lanes::InitialTangents;
use super::part::Part;
use crate::engine::{Engine, EngineError, Kernel};
use crate::index::{ParameterIdx, SimulationIdx};
use crate::model::OdeProblem;
use crate::objective::Jets;
use crate::program::forward::Directions;
use crate::rosenbrock::StepGenerator;
use rayon::prelude::*;

/// Operations that the program should not exceed, and the inner directions that it has at most.
const LARGEST_PROGRAM: usize = 60_000;
const MOST_INNER: usize = 8;
/// Memory that the outputs of lanes integrated together may take.
const MOST_BYTES: usize = 1 << 28;

/// Why there are no second derivatives of a problem's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model has events, or estimated parameters move the times of changes on the way; second \
     derivatives are computed only where neither is so"
)]
pub struct MovingTimes;

/// Compiled second derivatives of a model.
pub(super) struct SecondOrder {
    inner_count: usize,
    kernel: Box<dyn Kernel>,
    initial: InitialTangents,
    /// y and sigma of each observable.
    observables: Vec<Jets>,
}

/// The inner parameters of a lane; none where the last lanes have fewer.
type Inner = Vec<Option<ParameterIdx>>;

/// Lanes with the parameters that each moves.
#[derive(Default)]
struct Lanes {
    set: LaneSet,
    /// Lane of the points' own run, whose steps each replays.
    own_lane: Vec<usize>,
    moved: Vec<(Inner, ParameterIdx)>,
}

impl<'p> Evaluator<'p> {
    /// With second derivatives of its own, which [`curvatures`](Self::curvatures) then gives.
    ///
    /// # Errors
    /// The engine's; within, that a model has none.
    pub fn with_second_order(
        mut self,
        engine: &dyn Engine,
    ) -> Result<Result<Self, MovingTimes>, EngineError> {
        let mut others = Vec::new();
        for other in std::mem::take(&mut self.others) {
            match other.with_second_order(engine)? {
                Ok(other) => others.push(other),
                Err(moving) => return Ok(Err(moving)),
            }
        }
        self.others = others;
        if self.problem.has_moving_times() {
            return Ok(Err(MovingTimes));
        }
        self.second = Some(SecondOrder::new(&self, engine)?);
        Ok(Ok(self))
    }
}

impl SecondOrder {
    fn new(evaluator: &Evaluator<'_>, engine: &dyn Engine) -> Result<Self, EngineError> {
        let problem = evaluator.problem;
        let generator = StepGenerator::new(&problem.rhs);
        let step_ops = generator.replay().program.ops().len().max(1);
        // Each inner direction adds its tangents and what these add along the outer one.
        let inner_count = (LARGEST_PROGRAM / (3 * step_ops)).clamp(1, MOST_INNER);
        let inner_count = inner_count.min(problem.parameters.len().max(1));
        let slots = &problem.rhs.slots;
        let directions = Directions::Second { slots, count: inner_count };
        let graph = &problem.rhs.graph;
        let of_observable =
            |o: &crate::model::Observable| Jets::new(graph, &[o.formula, o.noise], inner_count);
        Ok(Self {
            inner_count,
            kernel: engine.prepare(&generator.replay_with_tangents(directions, &[]))?,
            initial: evaluator.preparation.compile_tangents(directions),
            observables: problem.observables.iter().map(of_observable).collect(),
        })
    }

    fn width(&self, problem: &OdeProblem) -> usize {
        problem.state_ids.len() * (2 + 2 * self.inner_count)
    }
}

/// Second derivatives of the likelihood at the points of a part, by point. `of_rows` are the rows' first
/// derivatives as the program without second ones has them, `[component][row]`; none where the point
/// failed. Counts lanes and steps.
pub(super) fn hessians(
    part: &Part<'_, '_>,
    second: &SecondOrder,
    of_rows: &[Option<&[f64]>],
    (columns, components): (&[ParameterIdx], &[ParameterIdx]),
    effort: &mut (u64, u64),
) -> Result<Vec<OwnHessian>, EngineError> {
    let problem = part.evaluator.problem;
    let size = columns.len() * components.len();
    let zeros = |of_rows: &Option<&[f64]>| of_rows.map_or(0, |_| size);
    let mut all: Vec<OwnHessian> =
        of_rows.iter().map(|of_rows| OwnHessian::new(zeros(of_rows))).collect();
    for (point, of_rows) in of_rows.iter().enumerate() {
        let Some(gradient) = *of_rows else { continue };
        for s in (0..problem.simulations.len()).map(SimulationIdx::from_position) {
            let of = Of { part, second, point, gradient, simulation: s, columns, components };
            of.add(&mut all[point], effort)?;
        }
    }
    Ok(all)
}

/// A simulation of a point.
struct Of<'a, 'e, 'p> {
    part: &'a Part<'e, 'p>,
    second: &'a SecondOrder,
    point: usize,
    gradient: &'a [f64],
    simulation: SimulationIdx,
    columns: &'a [ParameterIdx],
    components: &'a [ParameterIdx],
}

/// Integrated lanes of a simulation: those of an outer parameter side by side.
struct Integrated {
    run: Run,
    outers: Vec<ParameterIdx>,
}

impl Of<'_, '_, '_> {
    fn problem(&self) -> &OdeProblem {
        self.part.evaluator.problem
    }

    fn linear(&self) -> &[f64] {
        &self.part.linear[self.point]
    }

    /// Adds what the simulation's rows add to the entries.
    fn add(&self, sums: &mut OwnHessian, effort: &mut (u64, u64)) -> Result<(), EngineError> {
        let problem = self.problem();
        let is_dynamic = |p: &&ParameterIdx| problem.is_dynamic(**p, self.simulation);
        let dynamic: Vec<ParameterIdx> =
            self.components.iter().filter(is_dynamic).copied().collect();
        let blocks: Vec<Inner> = dynamic
            .chunks(self.second.inner_count)
            .map(|some| {
                let mut inner: Inner = some.iter().copied().map(Some).collect();
                inner.resize(self.second.inner_count, None);
                inner
            })
            .collect();
        let outputs = problem.simulations[self.simulation.position()].output_times.len() + 2;
        let bytes = blocks.len() * outputs * self.second.width(problem) * size_of::<f64>();
        let most = (MOST_BYTES / bytes.max(1)).max(1);
        for (number, columns) in self.columns.chunks(most).enumerate() {
            let mut outers: Vec<ParameterIdx> =
                columns.iter().filter(is_dynamic).copied().collect();
            // States' first derivatives are needed even where no column moves them.
            if outers.is_empty() && !dynamic.is_empty() {
                outers.push(dynamic[0]);
            }
            let integrated = self.integrate(outers, &blocks)?;
            let reports = &integrated.run.result.reports;
            effort.0 += reports.len() as u64;
            effort.1 += reports.iter().map(|r| u64::from(r.steps)).sum::<u64>();
            let first = number * most;
            let entries: Vec<OwnHessian> = columns
                .par_iter()
                .map(|&column| self.column(column, &integrated, &blocks))
                .collect();
            for (c, entries) in entries.iter().enumerate() {
                sums.add((first + c) * self.components.len(), entries);
            }
        }
        Ok(())
    }

    /// Integrates a lane for each outer parameter and block of inner ones.
    fn integrate(
        &self,
        outers: Vec<ParameterIdx>,
        blocks: &[Inner],
    ) -> Result<Integrated, EngineError> {
        let evaluator = self.part.evaluator;
        let mut lanes = Lanes::default();
        let parameters = self.linear().into();
        let own = self.point * self.problem().simulations.len() + self.simulation.position();
        for &outer in &outers {
            for inner in blocks {
                lanes.set.push(&evaluator.preparation, self.simulation, &parameters);
                lanes.own_lane.push(own);
                lanes.moved.push((inner.clone(), outer));
            }
        }
        let run = self.run(lanes)?;
        Ok(Integrated { run, outers })
    }
}
