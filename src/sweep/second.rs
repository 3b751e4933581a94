//! Our own second derivatives, forward over forward: tangents of the step program with their
//! derivatives along one more parameter, along the steps of the point.
//!
//! A lane carries the states, their derivatives along some inner parameters, along an outer one, and
//! the mixed second derivatives, all on the parameter scale. How parameters move slots is told by the
//! lane, period by period, so that a single program serves all parameters.

use super::course::{Course, Happening, Phase};
use super::evaluator::{Evaluator, Part};
use super::hessian::OwnHessian;
use super::integrate::{Bundle, LaneSet, Run};
use super::lanes::InitialTangents;
use super::outputs::Outputs;
use super::traveller::Traveller;
use crate::engine::{
    Batch, BatchResult, Control, Engine, EngineError, Kernel, LaneStatus, Schedule, Timeline,
};
use crate::gradient::product;
use crate::graph::Input;
use crate::index::{
    ObservableIdx, ParameterIdx, PeriodIdx, RowIdx, ScheduleIdx, SimulationIdx, SlotIdx,
    TimelineIdx,
};
use crate::model::{Assignment, OdeProblem, SlotValue};
use crate::objective::{Jets, Prediction};
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
    "the times of events or of changes on the way depend on states or on estimated parameters; \
     second derivatives are computed only where they do not"
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

    /// What the rows add to the entries of a column.
    fn column(&self, outer: ParameterIdx, integrated: &Integrated, blocks: &[Inner]) -> OwnHessian {
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

    fn run(&self, lanes: Lanes) -> Result<Run, EngineError> {
        let evaluator = self.part.evaluator;
        let problem = evaluator.problem;
        let width = self.second.width(problem);
        let carried = self.carried(&lanes, |_| PeriodIdx(0));
        let preparation = &evaluator.preparation;
        let count = lanes.set.len();
        let initial = preparation.initial_with_tangents(&self.second.initial, count, &carried);
        if problem.is_plain() {
            let of_lane: Vec<TimelineIdx> =
                lanes.set.simulations.iter().map(|s| TimelineIdx(s.0)).collect();
            let schedules: Vec<ScheduleIdx> =
                lanes.own_lane.iter().map(|&lane| ScheduleIdx::from_position(lane)).collect();
            let result = self.second.kernel.run(&Batch {
                initial: &initial,
                slots: &carried,
                timelines: &evaluator.timelines,
                of_lane: &of_lane,
                control: Control::Replay {
                    schedules: &self.part.adaptive.result.schedules,
                    of_lane: &schedules,
                },
            })?;
            return Ok(Run::at_once(lanes.set, initial, width, result));
        }
        self.run_in_phases(&lanes, &initial, width)
    }

    /// The slots that lanes carry in a period, and how their parameters move them.
    fn carried(&self, lanes: &Lanes, period_of: impl Fn(usize) -> PeriodIdx) -> Vec<f64> {
        let problem = self.problem();
        let mut carried = Vec::new();
        for (lane, (inner, outer)) in lanes.moved.iter().enumerate() {
            let period = period_of(lane).position();
            let slots = &lanes.set.slots[lane][period];
            self.part.evaluator.preparation.push_dynamic_slots(slots, &mut carried);
            let table = &problem.simulations[lanes.set.simulations[lane].position()];
            let values = &table.periods[period].slot_values;
            let jets: Vec<Vec<f64>> = problem
                .rhs
                .slots
                .iter()
                .map(|s| problem.slot_jet(values[s.position()], self.linear(), inner, *outer))
                .collect();
            for direction in 0..2 * inner.len() + 1 {
                carried.extend(jets.iter().map(|jet| jet[direction]));
            }
        }
        carried
    }

    /// Lanes with steady states or several periods along the courses of their points.
    fn run_in_phases(
        &self,
        lanes: &Lanes,
        initial: &[f64],
        width: usize,
    ) -> Result<Run, EngineError> {
        let evaluator = self.part.evaluator;
        let still = Bundle::default();
        let mut travellers: Vec<Traveller<'_>> = (0..lanes.set.len())
            .map(|lane| {
                Traveller::new(
                    evaluator.problem,
                    lanes.set.simulations[lane],
                    &lanes.set.slots[lane],
                    &lanes.set.parameters[lane],
                    &still,
                    initial[lane * width..][..width].to_vec(),
                )
            })
            .collect();
        let none = Course::default();
        let courses = |lane: usize| {
            let (before, measured) = self.part.adaptive.course(lanes.own_lane[lane]);
            (before.unwrap_or(&none), measured)
        };
        let before: Vec<&Course> = (0..travellers.len()).map(|lane| courses(lane).0).collect();
        self.follow(lanes, &mut travellers, &before, None)?;
        let measured: Vec<&Course> = (0..travellers.len()).map(|lane| courses(lane).1).collect();
        let mut outputs = Outputs::new(evaluator.problem, &lanes.set.simulations, width);
        self.follow(lanes, &mut travellers, &measured, Some(&mut outputs))?;
        let reports = travellers.iter().map(|traveller| traveller.report).collect();
        drop(travellers);
        Ok(Run::in_phases(lanes.set.clone(), width, outputs, reports))
    }

    /// Takes lanes along courses, whose times no parameter moves.
    fn follow(
        &self,
        lanes: &Lanes,
        travellers: &mut [Traveller<'_>],
        courses: &[&Course],
        mut outputs: Option<&mut Outputs>,
    ) -> Result<(), EngineError> {
        for (lane, (traveller, course)) in travellers.iter_mut().zip(courses).enumerate() {
            self.happen(&lanes.moved[lane], traveller, &course.start);
            if let Some(outputs) = &mut outputs {
                outputs.set_at(lane, traveller, traveller.t);
            }
        }
        let most = courses.iter().map(|course| course.phases.len()).max().unwrap_or(0);
        for number in 0..most {
            let under_way: Vec<(usize, &Phase)> = courses
                .iter()
                .enumerate()
                .filter(|(lane, _)| !travellers[*lane].has_ended)
                .filter_map(|(lane, course)| Some((lane, course.phases.get(number)?)))
                .collect();
            let result = self.replay(lanes, travellers, &under_way)?;
            for (k, (lane, phase)) in under_way.into_iter().enumerate() {
                let traveller = &mut travellers[lane];
                let report = result.reports[k];
                traveller.report.steps += report.steps;
                if report.status != LaneStatus::Ok {
                    traveller.t = report.t;
                    traveller.end(report.status);
                    continue;
                }
                let timeline = &phase.timeline;
                let reached = match &mut outputs {
                    Some(outputs) => outputs.take(lane, traveller, timeline, &result, k),
                    None => Outputs::none().take(lane, traveller, timeline, &result, k),
                };
                reached.inspect(|values| traveller.values.copy_from_slice(values));
                traveller.t = timeline.segments.last().map_or(traveller.t, |last| last.t_end);
                self.happen(&lanes.moved[lane], traveller, &phase.happenings);
                if let Some(outputs) = &mut outputs {
                    outputs.set_at(lane, traveller, traveller.t);
                }
            }
        }
        if let Some(outputs) = outputs {
            for (lane, traveller) in travellers.iter_mut().enumerate() {
                if !traveller.has_ended {
                    outputs.set_at(lane, traveller, f64::INFINITY);
                    traveller.end(LaneStatus::Ok);
                }
            }
        }
        Ok(())
    }

    fn replay(
        &self,
        lanes: &Lanes,
        travellers: &[Traveller<'_>],
        phases: &[(usize, &Phase)],
    ) -> Result<BatchResult, EngineError> {
        let mut initial = Vec::new();
        let mut some = Lanes::default();
        for &(lane, _) in phases {
            initial.extend_from_slice(&travellers[lane].values);
            some.set.copy(&lanes.set, lane);
            some.moved.push(lanes.moved[lane].clone());
        }
        let carried = self.carried(&some, |k| travellers[phases[k].0].period);
        let timelines: Vec<Timeline> =
            phases.iter().map(|(_, phase)| phase.timeline.clone()).collect();
        let schedules: Vec<Schedule> =
            phases.iter().map(|(_, phase)| phase.schedule.clone()).collect();
        let numbers = 0..phases.len();
        let of_lane: Vec<TimelineIdx> = numbers.clone().map(TimelineIdx::from_position).collect();
        let schedule_of: Vec<ScheduleIdx> = numbers.map(ScheduleIdx::from_position).collect();
        self.second.kernel.run(&Batch {
            initial: &initial,
            slots: &carried,
            timelines: &timelines,
            of_lane: &of_lane,
            control: Control::Replay { schedules: &schedules, of_lane: &schedule_of },
        })
    }

    /// Starts the next period where one starts: assignments are evaluated on what held before.
    fn happen(
        &self,
        (inner, outer): &(Inner, ParameterIdx),
        traveller: &mut Traveller<'_>,
        happenings: &[Happening],
    ) {
        let problem = self.problem();
        let n = problem.state_ids.len();
        for happening in happenings {
            // Without events there is nothing else.
            debug_assert_eq!(*happening, Happening::NextPeriod);
            let periods = &traveller.simulation().periods;
            let place = traveller.period.position();
            let Some(after) = periods.get(place + 1) else { continue };
            traveller.t = after.start;
            let slots = &periods[place].slot_values;
            let assigned: Vec<Vec<f64>> = after
                .assignments
                .iter()
                .map(|assignment| self.assigned(assignment, traveller, slots, (inner, *outer)))
                .collect();
            for (assignment, jet) in after.assignments.iter().zip(assigned) {
                for (direction, value) in jet.into_iter().enumerate() {
                    traveller.values[direction * n + assignment.state.position()] = value;
                }
            }
            traveller.period = PeriodIdx::from_position(place + 1);
        }
    }

    /// What a state becomes, with its derivatives.
    fn assigned(
        &self,
        assignment: &Assignment,
        traveller: &Traveller<'_>,
        slots: &[SlotValue],
        (inner, outer): (&Inner, ParameterIdx),
    ) -> Vec<f64> {
        let problem = self.problem();
        let n = problem.state_ids.len();
        let read = |_: usize, input: Input| match input {
            Input::State(s) => traveller.values[s.position()],
            Input::StateTangent(s, k) => traveller.values[(1 + k.position()) * n + s.position()],
            Input::Time => traveller.t,
            Input::Slot(slot) => problem.slot_value(slots[slot.position()], self.linear()),
            Input::SlotTangent(slot, k) => {
                let value = slots[slot.position()];
                problem.slot_jet(value, self.linear(), inner, outer)[k.position()]
            }
            _ => f64::NAN,
        };
        let evaluate = |formula| {
            let (graph, root) = problem.events.expression(formula);
            let mut jet = Vec::new();
            Jets::new(graph, &[root], inner.len())
                .evaluate(1, read, |_, values| jet.extend_from_slice(values));
            jet
        };
        let value = evaluate(&assignment.value);
        match &assignment.factor {
            Some(factor) => times(&value, &evaluate(factor), inner.len()),
            None => value,
        }
    }
}

/// Product of two values with their derivatives, so many of them inner ones.
fn times(a: &[f64], b: &[f64], inner: usize) -> Vec<f64> {
    let mut product: Vec<f64> = a.iter().zip(b).map(|(x, y)| x * b[0] + a[0] * y).collect();
    product[0] = a[0] * b[0];
    let outer = 1 + inner;
    for k in 0..inner {
        product[outer + 1 + k] += a[1 + k] * b[outer] + a[outer] * b[1 + k];
    }
    product
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

/// Slots of rows with their derivatives, values first.
struct RowSlots {
    /// `[period][slot]`.
    periods: Vec<Vec<Vec<f64>>>,
    /// The period of each row, and its placeholders.
    rows: Vec<(PeriodIdx, Vec<(SlotIdx, Vec<f64>)>)>,
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
