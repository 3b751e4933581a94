//! From lanes with second derivatives to those of the rows' likelihoods.

use super::{Inner, Integrated, Of, OwnHessian, Run};
use crate::engine::LaneStatus;
use crate::gradient::product;
use crate::graph::Input;
use crate::index::{ObservableIdx, ParameterIdx, PeriodIdx, RowIdx, SlotIdx};
use crate::model::SlotValue;
use crate::objective::Prediction;

impl Of<'_, '_, '_> {
    /// What the rows add to the entries of a column.
    pub(super) fn column(
        &self,
        outer: ParameterIdx,
        integrated: &Integrated,
        blocks: &[Inner],
    ) -> OwnHessian {
        let problem = self.problem();
        let evaluator = self.part.evaluator;
        let count = self.components.len();
        let mut entries = OwnHessian::new(count);
        let table = &problem.simulations[self.simulation.position()];
        let is_moved = |row: &&RowIdx| {
            let on = evaluator.objective.dependence(outer, **row);
            on.y || on.sigma
        };
        let rows: Vec<RowIdx> = table.rows.iter().filter(is_moved).copied().collect();
        let outer_place = self.components.iter().position(|own| *own == outer);
        let place = integrated.outers.iter().position(|own| *own == outer);
        let lanes = place.map(|place| place * blocks.len());
        let has_failed = |first: usize| {
            let reports = &integrated.run.result.reports[first..][..blocks.len()];
            reports.iter().any(|report| report.status != LaneStatus::Ok)
        };
        let moves_states = problem.is_dynamic(outer, self.simulation);
        if !rows.is_empty() && (has_failed(0) || lanes.is_some_and(has_failed)) {
            entries.values.fill(f64::NAN);
            return entries;
        }
        let trajectory = Trajectory {
            run: &integrated.run,
            n: problem.state_ids.len(),
            inner_count: self.second.inner_count,
            first: 0,
            own: lanes.filter(|_| moves_states),
            starts_with_output: table.starts_with_output,
            blocks,
        };
        for (o, observable) in problem.observables.iter().enumerate() {
            let index = ObservableIdx::from_position(o);
            let of_observable: Vec<RowIdx> = rows
                .iter()
                .copied()
                .filter(|row| problem.rows[row.position()].observable == index)
                .collect();
            if of_observable.is_empty() {
                continue;
            }
            for (b, some) in self.components.chunks(self.second.inner_count).enumerate() {
                let mut inner: Inner = some.iter().copied().map(Some).collect();
                inner.resize(self.second.inner_count, None);
                let jets = self.row_slots(&of_observable, &inner, outer);
                let own = self.part.adaptive_states(self.point, self.simulation);
                let read = |item: usize, input: Input| {
                    let row = &problem.rows[of_observable[item].position()];
                    match input {
                        Input::State(s) => own(row.output)[s.position()],
                        Input::StateTangent(s, k) => {
                            trajectory.tangent(row.output, s.position(), k.position(), &inner)
                        }
                        Input::Time => table.output_times[row.output],
                        Input::Slot(slot) => jets.value(item, slot),
                        Input::SlotTangent(slot, k) => jets.tangent(item, slot, k.position()),
                        _ => f64::NAN,
                    }
                };
                self.second.observables[o].evaluate(of_observable.len(), read, |item, values| {
                    let row = &problem.rows[of_observable[item].position()];
                    let prediction = Prediction { y: values[0], sigma: values[1] };
                    let noise = observable.noise_model;
                    let first = noise.nllh_derivatives(row.measured, prediction);
                    let second = noise.nllh_second_derivatives(row.measured, prediction);
                    let along = |direction: usize| {
                        (values[2 * (1 + direction)], values[2 * (1 + direction) + 1])
                    };
                    let of_outer = along(inner.len());
                    let apart = |component: usize, (y, sigma): (f64, f64)| {
                        let place = component * problem.rows.len() + of_observable[item].position();
                        distance(self.gradient[place], weighted(first, (y, sigma)))
                    };
                    let outer_apart = outer_place.map_or(0.0, |place| apart(place, of_outer));
                    for k in 0..some.len() {
                        let (of_inner, mixed) = (along(k), along(inner.len() + 1 + k));
                        let term = chain(first, second, of_inner, of_outer, mixed);
                        let place = b * self.second.inner_count + k;
                        entries.values[place] += term;
                        entries.noise[place] += term.abs() * (apart(place, of_inner) + outer_apart);
                    }
                });
            }
        }
        entries
    }

    /// Slots of rows of one observable, placeholders among them, with their derivatives.
    fn row_slots(&self, rows: &[RowIdx], inner: &Inner, outer: ParameterIdx) -> RowSlots {
        let problem = self.problem();
        let periods = &problem.simulations[self.simulation.position()].periods;
        let jet = |value: SlotValue| {
            let mut jet = vec![problem.slot_value(value, self.linear())];
            jet.extend(problem.slot_jet(value, self.linear(), inner, outer));
            jet
        };
        let of_period = |slots: &[SlotValue]| slots.iter().map(|value| jet(*value)).collect();
        RowSlots {
            periods: periods.iter().map(|period| of_period(&period.slot_values)).collect(),
            rows: rows
                .iter()
                .map(|row| {
                    let row = &problem.rows[row.position()];
                    let own = |(slot, value): &(SlotIdx, SlotValue)| (*slot, jet(*value));
                    (row.period, row.placeholders.iter().map(own).collect())
                })
                .collect(),
        }
    }
}

/// The second derivative of a row's likelihood, from those of its own and the derivatives of (y, σ)
/// along both directions and mixed.
fn chain(
    (l_y, l_sigma): (f64, f64),
    [l_yy, l_ys, l_ss]: [f64; 3],
    (y_i, s_i): (f64, f64),
    (y_j, s_j): (f64, f64),
    (y_ij, s_ij): (f64, f64),
) -> f64 {
    product(l_yy, y_i * y_j)
        + product(l_ys, y_i * s_j + s_i * y_j)
        + product(l_ss, s_i * s_j)
        + weighted((l_y, l_sigma), (y_ij, s_ij))
}

/// What derivatives of y and sigma do to the likelihood of a row.
fn weighted((l_y, l_sigma): (f64, f64), (y, sigma): (f64, f64)) -> f64 {
    product(l_y, y) + product(l_sigma, sigma)
}

/// |a − b| over the larger magnitude, which is 2 at most; 0 where both are 0.
fn distance(a: f64, b: f64) -> f64 {
    let largest = a.abs().max(b.abs());
    if largest > 0.0 { (a - b).abs() / largest } else { 0.0 }
}

/// The period of a row, and its placeholders.
type OfRow = (PeriodIdx, Vec<(SlotIdx, Vec<f64>)>);

/// Slots of rows with their derivatives, values first.
struct RowSlots {
    /// `[period][slot]`.
    periods: Vec<Vec<Vec<f64>>>,
    rows: Vec<OfRow>,
}

impl RowSlots {
    fn jet(&self, item: usize, slot: SlotIdx) -> Option<&Vec<f64>> {
        let (period, placeholders) = &self.rows[item];
        let of_period = self.periods[period.position()].get(slot.position());
        let placeholder = || placeholders.iter().find(|(own, _)| *own == slot).map(|(_, jet)| jet);
        of_period.or_else(placeholder)
    }

    fn value(&self, item: usize, slot: SlotIdx) -> f64 {
        self.jet(item, slot).map_or(f64::NAN, |jet| jet[0])
    }

    fn tangent(&self, item: usize, slot: SlotIdx, direction: usize) -> f64 {
        self.jet(item, slot).map_or(0.0, |jet| jet[1 + direction])
    }
}

/// Derivatives of the states of a simulation.
struct Trajectory<'a> {
    run: &'a Run,
    n: usize,
    inner_count: usize,
    /// Where the lanes begin that have the inner derivatives, and those of the outer parameter; none
    /// where that moves no state.
    first: usize,
    own: Option<usize>,
    starts_with_output: bool,
    blocks: &'a [Inner],
}

impl Trajectory<'_> {
    /// A state's derivative in a direction, of those of a row with these inner parameters.
    fn tangent(&self, output: usize, state: usize, direction: usize, inner: &Inner) -> f64 {
        let at = |lane: usize, direction: usize| {
            let values = self.run.values(lane, output, self.starts_with_output);
            values[self.n * (1 + direction) + state]
        };
        let place_of = |k: usize| {
            let parameter = inner[k]?;
            let holds = |block: &Inner| block.iter().position(|p| *p == Some(parameter));
            self.blocks.iter().enumerate().find_map(|(b, block)| Some((b, holds(block)?)))
        };
        let outer = self.inner_count;
        if direction == outer {
            return self.own.map_or(0.0, |own| at(own, outer));
        }
        let mixed = direction > outer;
        let k = if mixed { direction - outer - 1 } else { direction };
        let lanes = if mixed { self.own } else { Some(self.first) };
        match (lanes, place_of(k)) {
            (Some(lanes), Some((block, k))) => {
                at(lanes + block, if mixed { outer + 1 + k } else { k })
            }
            _ => 0.0,
        }
    }
}
