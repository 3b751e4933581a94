//! The points of a chunk in one model: integrated with their probes and tangents, and scored.

use super::evaluator::{Evaluator, Move, Probed, StepMode, moves_of, total_steps};
use super::integrate::Run;
use super::parts::{Partition, PointParts};
use super::result::PointResult;
use super::score::Scorer;
use super::tighter::TighterRows;
use crate::engine::{EngineError, LaneStatus};
use crate::index::{ParameterIdx, SimulationIdx, StateIdx};
use std::borrow::Cow;

/// The points of a chunk in one model.
pub(super) struct Part<'e, 'p> {
    pub(super) evaluator: &'e Evaluator<'p>,
    pub(super) linear: Vec<Vec<f64>>,
    pub(super) adaptive: Run,
    is_ok: Vec<bool>,
    tighter: Option<TighterRows<'e>>,
    below_atol: Vec<Vec<StateIdx>>,
    /// By point; empty where none were asked for.
    adjoint_gradients: Vec<Option<Vec<f64>>>,
    pub(super) results: Vec<PointResult>,
    /// By point, where the objective is partitioned.
    pub(super) parts: Vec<PointParts>,
    pub(super) lanes: u64,
    pub(super) steps: u64,
}

impl<'e, 'p> Part<'e, 'p> {
    /// Integrates and scores points and probes; by parts, too, where `partition` says how, this
    /// model's rows being those from a number on.
    pub(super) fn evaluate(
        evaluator: &'e Evaluator<'p>,
        points: &[Vec<f64>],
        parameters: &[ParameterIdx],
        eps: &[f64],
        (partition, tighter): (Option<(&Partition<'_>, usize)>, Option<TighterRows<'e>>),
    ) -> Result<Self, EngineError> {
        let linear: Vec<Vec<f64>> = points.iter().map(|x| evaluator.unscaled(x)).collect();
        let adaptive = evaluator.integrate_adaptively(evaluator.base_lanes(&linear))?;
        let simulations = evaluator.problem.simulations.len();
        let is_ok: Vec<bool> = adaptive
            .result
            .reports
            .chunks(simulations)
            .map(|reports| reports.iter().all(|r| r.status == LaneStatus::Ok))
            .collect();
        let mut part = Self {
            evaluator,
            below_atol: evaluator.starts_below_atol(&adaptive, points.len()),
            linear,
            adaptive,
            is_ok,
            tighter,
            adjoint_gradients: Vec::new(),
            results: Vec::new(),
            parts: Vec::new(),
            lanes: 0,
            steps: 0,
        };
        let mut requests = Vec::new();
        for point in (0..points.len()).filter(|point| part.is_ok[*point]) {
            for &parameter in parameters {
                requests.extend(eps.iter().map(|&step| (point, parameter, step)));
            }
        }
        let moves = moves_of(points, &requests);
        let probed = evaluator.integrate_probes(&part.linear, &part.adaptive, &moves)?;
        let tangents = evaluator
            .tangents
            .iter()
            .map(|tangent| evaluator.integrate_tangents(&part.adaptive, tangent))
            .collect::<Result<Vec<Run>, EngineError>>()?;
        if let Some(adjoint) = &evaluator.adjoint {
            let place = (points, part.linear.as_slice());
            let done = evaluator.adjoint_gradients(adjoint, place, &part.adaptive, &part.is_ok)?;
            part.adjoint_gradients = done.gradients;
            (part.lanes, part.steps) = (done.lanes, done.steps);
        }
        let scorer = part.scorer(&probed, &moves, &tangents, points, parameters, eps);
        let results = scorer.score();
        let parts =
            partition.map(|(partition, first)| scorer.score_parts(&results, partition, first));
        part.results = results;
        part.parts = parts.unwrap_or_default();
        let runs = || std::iter::once(&part.adaptive).chain(&tangents);
        part.lanes += runs().map(|run| run.result.reports.len() as u64).sum::<u64>();
        part.steps += runs().map(total_steps).sum::<u64>();
        part.count(&probed, &moves);
        Ok(part)
    }

    /// Adds differences with further eps: (point, parameter, eps).
    pub(super) fn refine(
        &mut self,
        points: &[Vec<f64>],
        parameters: &[ParameterIdx],
        eps: &[f64],
        further: &[(usize, ParameterIdx, f64)],
    ) -> Result<(), EngineError> {
        let moves = moves_of(points, further);
        let probed = self.evaluator.integrate_probes(&self.linear, &self.adaptive, &moves)?;
        let mut results = std::mem::take(&mut self.results);
        self.scorer(&probed, &moves, &[], points, parameters, eps)
            .score_refinements(further, &mut results);
        self.results = results;
        self.count(&probed, &moves);
        Ok(())
    }

    /// Adds differences of parts with further eps: (point, parameter, eps).
    pub(super) fn refine_parts(
        &mut self,
        points: &[Vec<f64>],
        parameters: &[ParameterIdx],
        further: &[(usize, ParameterIdx, f64)],
        (partition, first): (&Partition<'_>, usize),
    ) -> Result<(), EngineError> {
        let moves = moves_of(points, further);
        let probed = self.evaluator.integrate_probes(&self.linear, &self.adaptive, &moves)?;
        let mut parts = std::mem::take(&mut self.parts);
        self.scorer(&probed, &moves, &[], points, parameters, &[]).score_further_parts(
            further,
            &self.results,
            (partition, first),
            &mut parts,
        );
        self.parts = parts;
        self.count(&probed, &moves);
        Ok(())
    }

    /// States of a point's own simulation by output.
    pub(super) fn adaptive_states<'s>(
        &'s self,
        point: usize,
        simulation: SimulationIdx,
    ) -> impl Fn(usize) -> &'s [f64] + use<'s, 'e, 'p> {
        let simulations = &self.evaluator.problem.simulations;
        let lane = point * simulations.len() + simulation.position();
        let starts = simulations[simulation.position()].starts_with_output;
        move |output| self.adaptive.values(lane, output, starts)
    }

    /// Counts what probes took. Of the points that are replayed once more only those count that have
    /// moves, so that a sum over points does not depend on which of them are evaluated together.
    fn count(&mut self, probed: &Probed, moves: &[Move]) {
        let Some(run) = &probed.run else { return };
        let simulations = self.evaluator.problem.simulations.len();
        let replayed = match self.evaluator.settings.steps {
            StepMode::Shared => self.adaptive.lanes.len(),
            StepMode::Adaptive => 0,
        };
        let mut is_moved = vec![false; self.linear.len()];
        moves.iter().for_each(|probe| is_moved[probe.point] = true);
        for (lane, report) in run.result.reports.iter().enumerate() {
            if lane >= replayed || is_moved[lane / simulations] {
                self.lanes += 1;
                self.steps += u64::from(report.steps);
            }
        }
    }

    pub(super) fn scorer<'s>(
        &'s self,
        probed: &'s Probed,
        moves: &'s [Move],
        tangent_runs: &'s [Run],
        points: &'s [Vec<f64>],
        parameters: &'s [ParameterIdx],
        eps: &'s [f64],
    ) -> Scorer<'s> {
        Scorer {
            problem: self.evaluator.problem,
            settings: self.evaluator.settings,
            objective: &self.evaluator.objective,
            tangents: &self.evaluator.tangents,
            adaptive: &self.adaptive,
            base: self.evaluator.base_of(probed, &self.adaptive),
            probes: probed.run.as_ref().unwrap_or(&self.adaptive),
            probe_lanes: &probed.lanes_of,
            moves,
            tangent_runs,
            wants_gradient: self.evaluator.wants_gradient,
            adjoint_gradients: &self.adjoint_gradients,
            is_ok: &self.is_ok,
            tighter: self.tighter,
            below_atol: &self.below_atol,
            points,
            linear: &self.linear,
            parameters,
            eps,
        }
    }
}

/// The sums over all models, point by point.
pub(super) fn sums<'r>(parts: &'r [Part<'_, '_>]) -> Cow<'r, [PointResult]> {
    let [first, others @ ..] = parts else { return Cow::Borrowed(&[]) };
    if others.is_empty() {
        return Cow::Borrowed(&first.results);
    }
    let mut totals = first.results.clone();
    let mut before = first.evaluator.problem.own_counts();
    for other in others {
        for (total, result) in totals.iter_mut().zip(&other.results) {
            total.add(result, before);
        }
        let own = other.evaluator.problem.own_counts();
        before = (before.0 + own.0, before.1 + own.1);
    }
    Cow::Owned(totals)
}
