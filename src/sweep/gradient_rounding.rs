//! What rounding does to components of the forward gradient: by how much they change where low parts of
//! states and tangents are added ([`crate::program::compensated`]).

use super::compensation::Compensation;
use super::evaluator::{MOST_BYTES, Request};
use super::integrate::{Bundle, LaneSet, Run, TangentKernel};
use super::part::Part;
use super::result::ProbePair;
use crate::engine::{EngineError, LaneStatus};
use crate::gradient::{ForwardGradient, SimulationOutputs, TangentBlock};
use crate::index::{ParameterIdx, SimulationIdx, SlotIdx};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Relative distance of own gradients to a compensated difference from which on it matters what rounding
/// does to them: a fifth of the least that counts as a deviation unless asked otherwise.
const WORTH_TELLING: f64 = 1e-4;

/// Parameters by point.
type Wanted = BTreeMap<usize, BTreeSet<ParameterIdx>>;

/// A lane of a tangent program: which bundle it carries of which simulation at which point.
#[derive(Debug, Clone, Copy)]
struct TangentLane {
    point: usize,
    simulation: SimulationIdx,
    bundle: usize,
}

impl Part<'_, '_> {
    /// Tells it of those components that compensated differences were asked for: of all, or where an own
    /// gradient is off, or there is none.
    pub(super) fn tell_gradient_rounding(
        &mut self,
        requests: &[Request],
        compensation: &Compensation,
        tells_all: bool,
    ) -> Result<(), EngineError> {
        let mut wanted = Wanted::new();
        for &(point, parameter, _) in requests {
            if tells_all || self.has_deviation(point, parameter) {
                wanted.entry(point).or_default().insert(parameter);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let Some(kernel) = compensation.tangents(self.evaluator)? else { return Ok(()) };
        while !wanted.is_empty() {
            let rest = self.split_by_memory(&mut wanted, kernel);
            let lanes = self.tangent_lanes(&wanted, kernel);
            let mut run = self.integrate_lanes(&lanes, kernel)?;
            self.count_run(&run);
            let plain = self.gradients(&wanted, (kernel, &lanes, &run));
            run.add_low_parts();
            let corrected = self.gradients(&wanted, (kernel, &lanes, &run));
            for (((&point, wanted), plain), corrected) in wanted.iter().zip(plain).zip(corrected) {
                let mut change = vec![0.0; self.evaluator.problem.parameters.len()];
                for p in wanted {
                    let difference = (corrected[p.position()] - plain[p.position()]).abs();
                    change[p.position()] =
                        if difference.is_nan() { f64::INFINITY } else { difference };
                }
                self.results[point].gradient_rounding = Some(change);
            }
            wanted = rest;
        }
        Ok(())
    }

    /// Whether an own gradient is off at the smallest step of the compensated differences, or not there.
    fn has_deviation(&self, point: usize, parameter: ParameterIdx) -> bool {
        let result = &self.results[point];
        let own = [&result.gradient, &result.adjoint_gradient];
        let own: Vec<f64> = own.into_iter().flatten().map(|g| g[parameter.position()]).collect();
        let is_its = |pair: &&ProbePair| pair.is_compensated && pair.parameter == parameter;
        let pairs = result.refinements.iter().filter(is_its);
        let Some(pair) = pairs.min_by(|a, b| a.eps.total_cmp(&b.eps)) else { return false };
        let tolerance = WORTH_TELLING * pair.paired_central.abs();
        own.is_empty() || own.iter().any(|g| !((g - pair.paired_central).abs() <= tolerance))
    }

    /// Leaves so many points as may be integrated at a time, at least one, and gives the others.
    fn split_by_memory(&self, wanted: &mut Wanted, kernel: &TangentKernel) -> Wanted {
        let problem = self.evaluator.problem;
        let outputs = problem.simulations.iter().map(|s| s.output_times.len() + 1);
        let width = problem.state_ids.len() * (1 + kernel.direction_count);
        let bytes_each = outputs.max().unwrap_or(1) * width * size_of::<f64>();
        let mut bytes = 0;
        for (number, (&point, parameters)) in wanted.iter().enumerate() {
            let of_point = Wanted::from([(point, parameters.clone())]);
            bytes += self.tangent_lanes(&of_point, kernel).len() * bytes_each;
            if bytes > MOST_BYTES / 2 && number > 0 {
                return wanted.split_off(&point);
            }
        }
        Wanted::new()
    }

    /// The lanes that carry what the wanted components are made of.
    fn tangent_lanes(&self, wanted: &Wanted, kernel: &TangentKernel) -> Vec<TangentLane> {
        let problem = self.evaluator.problem;
        let mut lanes = Vec::new();
        for (&point, parameters) in wanted {
            for (s, table) in problem.simulations.iter().enumerate() {
                let simulation = SimulationIdx::from_position(s);
                let moved: Vec<ParameterIdx> = parameters
                    .iter()
                    .copied()
                    .filter(|&p| problem.is_dynamic(p, simulation))
                    .collect();
                let is_moved = |slot: &SlotIdx| {
                    let values = table.periods.iter();
                    let mut values = values.filter_map(|p| p.slot_values.get(slot.position()));
                    values.any(|value| moved.iter().any(|&p| problem.depends_on(*value, p)))
                };
                let bundles = kernel.bundles.iter().enumerate();
                let needed = bundles.filter(|(_, b)| b.directions.iter().any(is_moved));
                lanes.extend(needed.map(|(bundle, _)| TangentLane { point, simulation, bundle }));
            }
        }
        lanes
    }

    fn integrate_lanes(
        &self,
        lanes: &[TangentLane],
        kernel: &TangentKernel,
    ) -> Result<Run, EngineError> {
        let count = self.evaluator.problem.simulations.len();
        let mut set = LaneSet::default();
        let mut of = Vec::with_capacity(lanes.len());
        for lane in lanes {
            let own = lane.point * count + lane.simulation.position();
            set.copy(&self.adaptive.lanes, own);
            of.push(own);
        }
        set.bundles = lanes.iter().map(|lane| lane.bundle).collect();
        self.evaluator.integrate_bundles(set, (&self.adaptive, &of), kernel)
    }

    /// The gradient of each wanted point, of which the wanted components are whole but for what
    /// simulations add whose states they do not move; NaN where a lane failed. Lanes are in the order of
    /// points and simulations.
    fn gradients(
        &self,
        wanted: &Wanted,
        (kernel, lanes, run): (&TangentKernel, &[TangentLane], &Run),
    ) -> Vec<Vec<f64>> {
        let (problem, objective) = (self.evaluator.problem, self.evaluator.objective());
        let numbered: Vec<(usize, TangentLane)> = lanes.iter().copied().enumerate().collect();
        let by_simulation: Vec<&[(usize, TangentLane)]> = numbered
            .chunk_by(|(_, a), (_, b)| (a.point, a.simulation) == (b.point, b.simulation))
            .collect();
        let of_point = |(&point, _): (&usize, _)| {
            let mut gradient = ForwardGradient::new(problem, objective, &self.linear[point]);
            let mut has_failed = false;
            for lanes in by_simulation.iter().filter(|lanes| lanes[0].1.point == point) {
                let (first, TangentLane { simulation, .. }) = lanes[0];
                let starts = problem.simulations[simulation.position()].starts_with_output;
                let block = |&(number, lane): &(usize, TangentLane)| {
                    let bundle = &kernel.bundles[lane.bundle];
                    let used = bundle.directions.iter().take_while(|d| **d != Bundle::UNUSED);
                    let directions = &bundle.directions[..used.count()];
                    let values = move |output| run.values(number, output, starts);
                    TangentBlock { directions, values: Box::new(values) }
                };
                let is_failed = |&(number, _): &(usize, TangentLane)| {
                    run.result.reports[number].status != LaneStatus::Ok
                };
                has_failed |= lanes.iter().any(is_failed);
                let own = point * problem.simulations.len() + simulation.position();
                let blocks: Vec<TangentBlock<'_>> = lanes.iter().map(block).collect();
                gradient.add_simulation(&SimulationOutputs {
                    simulation,
                    slots: &self.adaptive.lanes.slots[own],
                    states: &|output| run.values(first, output, starts),
                    tangents: &blocks,
                });
            }
            let components = gradient.finish().components;
            if has_failed { vec![f64::NAN; components.len()] } else { components }
        };
        wanted.par_iter().map(of_point).collect()
    }
}
