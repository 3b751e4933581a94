//! Lanes with second derivatives, along the steps of their points.

use super::{Inner, Lanes, Of, Run};
use crate::engine::{Batch, BatchResult, Control, EngineError, LaneStatus, Schedule, Timeline};
use crate::graph::Input;
use crate::index::{ParameterIdx, PeriodIdx, ScheduleIdx, TimelineIdx};
use crate::model::{Assignment, SlotValue};
use crate::objective::Jets;
use crate::sweep::course::{Course, Happening, Phase};
use crate::sweep::integrate::Bundle;
use crate::sweep::outputs::Outputs;
use crate::sweep::traveller::Traveller;

impl Of<'_, '_, '_> {
    pub(super) fn run(&self, lanes: Lanes) -> Result<Run, EngineError> {
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
