//! What rounding does to components of the forward gradient: by how much they change where low parts of
//! states and tangents are added ([`crate::program::compensated`]).

use super::evaluator::{MOST_BYTES, Request};
use super::integrate::{LaneSet, Run, TangentKernel};
use super::part::Part;
use crate::engine::{EngineError, LaneStatus};
use crate::gradient::{ForwardGradient, SimulationOutputs, TangentBlock};
use crate::index::{ParameterIdx, SimulationIdx, SlotIdx};
use std::collections::{BTreeMap, BTreeSet};

/// Parameters by point.
type Wanted = BTreeMap<usize, BTreeSet<ParameterIdx>>;

/// A lane of a tangent program: which bundle it carries of which simulation at which point.
#[derive(Debug, Clone, Copy)]
struct TangentLane {
    point: usize,
    simulation: SimulationIdx,
    bundle: usize,
}

/// Tangents with low parts, by program.
struct CompensatedTangents<'k> {
    kernel: &'k TangentKernel,
    lanes: Vec<TangentLane>,
    run: Run,
}

impl Part<'_, '_> {
    /// Tells it of those components that differences were asked for, by point.
    pub(super) fn tell_gradient_rounding(
        &mut self,
        requests: &[Request],
        kernels: &[TangentKernel],
    ) -> Result<(), EngineError> {
        let mut wanted = Wanted::new();
        for &(point, parameter, _) in requests {
            wanted.entry(point).or_default().insert(parameter);
        }
        while !wanted.is_empty() {
            let rest = self.split_by_memory(&mut wanted, kernels);
            let mut tangents = Vec::with_capacity(kernels.len());
            for kernel in kernels {
                let lanes = self.tangent_lanes(&wanted, kernel);
                let run = self.integrate_lanes(&lanes, kernel)?;
                self.count_run(Some(&run));
                tangents.push(CompensatedTangents { kernel, lanes, run });
            }
            let plain = self.gradients(&wanted, &tangents);
            tangents.iter_mut().for_each(|tangents| tangents.run.add_low_parts());
            let corrected = self.gradients(&wanted, &tangents);
            for (((&point, wanted), plain), corrected) in wanted.iter().zip(plain).zip(corrected) {
                let mut change = vec![0.0; self.evaluator.problem.parameters.len()];
                for p in wanted {
                    let difference = (corrected[p.position()] - plain[p.position()]).abs();
                    change[p.position()] = if difference.is_nan() { f64::INFINITY } else { difference };
                }
                self.results[point].gradient_rounding = Some(change);
            }
            wanted = rest;
        }
        Ok(())
    }

    /// Leaves so many points as may be integrated at a time, at least one, and gives the others.
    fn split_by_memory(&self, wanted: &mut Wanted, kernels: &[TangentKernel]) -> Wanted {
        let problem = self.evaluator.problem;
        let outputs = problem.simulations.iter().map(|s| s.output_times.len() + 1);
        let outputs = outputs.max().unwrap_or(1);
        let mut bytes = 0;
        for (number, (&point, parameters)) in wanted.iter().enumerate() {
            let of_point = Wanted::from([(point, parameters.clone())]);
            for kernel in kernels {
                let width = problem.state_ids.len() * (1 + kernel.direction_count);
                let lanes = self.tangent_lanes(&of_point, kernel).len();
                bytes += lanes * outputs * width * size_of::<f64>();
            }
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
    /// simulations add whose states they do not move; NaN where a lane failed.
    fn gradients(&self, wanted: &Wanted, tangents: &[CompensatedTangents<'_>]) -> Vec<Vec<f64>> {
        let (problem, objective) = (self.evaluator.problem, self.evaluator.objective());
        let mut first = vec![0; tangents.len()];
        let of_point = |(&point, _): (&usize, _)| {
            let mut gradient = ForwardGradient::new(problem, objective, &self.linear[point]);
            let mut has_failed = false;
            for (s, table) in problem.simulations.iter().enumerate() {
                let simulation = SimulationIdx::from_position(s);
                let mut blocks: Vec<TangentBlock<'_>> = Vec::new();
                let mut lane_of_states = None;
                for (tangents, first) in tangents.iter().zip(&mut first) {
                    let is_here =
                        |lane: &TangentLane| lane.point == point && lane.simulation == simulation;
                    while let Some(lane) = tangents.lanes.get(*first).filter(|lane| is_here(lane)) {
                        let bundle = &tangents.kernel.bundles[lane.bundle];
                        let directions = &bundle.directions[..bundle.low_parts_at.unwrap_or(0)];
                        let (run, number) = (&tangents.run, *first);
                        let values = move |output| run.values(number, output, table.starts_with_output);
                        blocks.push(TangentBlock { directions, values: Box::new(values) });
                        has_failed |= run.result.reports[number].status != LaneStatus::Ok;
                        lane_of_states = Some((run, number));
                        *first += 1;
                    }
                }
                let Some((run, number)) = lane_of_states else { continue };
                let own = point * problem.simulations.len() + s;
                gradient.add_simulation(&SimulationOutputs {
                    simulation,
                    slots: &self.adaptive.lanes.slots[own],
                    states: &|output| run.values(number, output, table.starts_with_output),
                    tangents: &blocks,
                });
            }
            let components = gradient.finish().components;
            if has_failed { vec![f64::NAN; components.len()] } else { components }
        };
        wanted.iter().map(of_point).collect()
    }
}
