//! What happens to a lane, backwards: the transposes of the linear maps by which [`Traveller`]s carry
//! tangents from before a happening to after it.

use super::course::{Happening, Stop};
use super::traveller::Traveller;
use crate::graph::Input;
use crate::index::PeriodIdx;
use crate::model::Assignment;
use crate::model::events::{Change, Formula, Instant};

/// Derivatives of what is wanted with respect to what a lane is.
#[derive(Debug, Clone)]
pub(super) struct Adjoint {
    pub(super) states: Vec<f64>,
    /// Of the lane's time, where that is no output's or period's.
    pub(super) t: f64,
    pending: Vec<PendingAdjoint>,
    /// Of the slots, `[period][slot]`.
    pub(super) slots: Vec<Vec<f64>>,
}

/// Of a waiting event: its time, and what it assigns where that was evaluated before.
#[derive(Debug, Clone)]
struct PendingAdjoint {
    number: u32,
    t: f64,
    /// Of its delay, beside what that does to the time.
    delay: f64,
    values: Vec<f64>,
}

impl Adjoint {
    /// Zeros for a lane.
    pub(super) fn new(traveller: &Traveller<'_>) -> Self {
        let problem = traveller.problem;
        let periods = traveller.simulation().periods.len();
        Self {
            states: vec![0.0; problem.state_ids.len()],
            t: 0.0,
            pending: Vec::new(),
            slots: vec![vec![0.0; problem.simulation_slot_count]; periods],
        }
    }

    /// Adds what another lane gives to the same start, except to slots.
    pub(super) fn add_start(&mut self, other: &Self) {
        self.add_states(&other.states);
        self.t += other.t;
        for pending in &other.pending {
            let own = self.pending(pending.number);
            own.t += pending.t;
            own.delay += pending.delay;
            add_values(&mut own.values, &pending.values);
        }
    }

    pub(super) fn add_states(&mut self, states: &[f64]) {
        self.states.iter_mut().zip(states).for_each(|(own, added)| *own += added);
    }

    fn pending(&mut self, number: u32) -> &mut PendingAdjoint {
        let place = self.pending.iter().position(|p| p.number == number).unwrap_or_else(|| {
            self.pending.push(PendingAdjoint { number, t: 0.0, delay: 0.0, values: Vec::new() });
            self.pending.len() - 1
        });
        &mut self.pending[place]
    }

    /// Adds what a formula gives to what it was evaluated on, where its value has this adjoint.
    fn add_formula(
        &mut self,
        traveller: &Traveller<'_>,
        at: &Instant<'_>,
        formula: &Formula,
        adjoint: f64,
    ) {
        if adjoint == 0.0 {
            return;
        }
        let period = traveller.period.position();
        for (input, slope) in traveller.problem.events.slopes(formula, at) {
            match input {
                Input::State(s) => self.states[s.position()] += slope * adjoint,
                Input::Time => self.t += slope * adjoint,
                Input::Slot(s) => self.slots[period][s.position()] += slope * adjoint,
                _ => {}
            }
        }
    }

    /// Goes back over a happening; `before` is the lane before it.
    pub(super) fn undo(&mut self, happening: Happening, before: &Traveller<'_>) {
        let problem = before.problem;
        match happening {
            Happening::NextPeriod => {
                let next = PeriodIdx::from_position(before.period.position() + 1);
                let Some(after) = before.simulation().periods.get(next.position()) else { return };
                // What is assigned knows the new time, which nothing moves.
                let at = Instant { t: after.start, ..before.instant() };
                let values = self.undo_assign(before, &at, &after.assignments, None);
                self.add_values(before, &at, &after.assignments, &values);
                self.t = 0.0;
            }
            Happening::Fire(index) => {
                let place = self.pending.iter().position(|p| p.number == before.next_number);
                let Some(place) = place else { return };
                let pending = self.pending.remove(place);
                let event = problem.events.event(index);
                let at = before.instant();
                self.t += pending.t;
                if let Some(delay) = &event.delay {
                    self.add_formula(before, &at, delay, pending.t + pending.delay);
                }
                self.add_values(before, &at, &event.assignments, &pending.values);
            }
            Happening::Execute(number) => {
                let pending = before.pending.iter().find(|p| p.number == number);
                let Some(pending) = pending else { return };
                let event = problem.events.event(pending.event);
                let at = before.instant();
                let known: Option<Vec<f64>> =
                    pending.values.as_ref().map(|list| list.iter().map(|v| v.value).collect());
                let values = self.undo_assign(before, &at, &event.assignments, known.as_deref());
                if event.delay.is_some() && pending.t() == pending.triggered {
                    // A delay of 0 that may grow: no derivative is known.
                    self.pending(number).delay = f64::NAN;
                }
                if known.is_some() {
                    add_values(&mut self.pending(number).values, &values);
                } else {
                    self.add_values(before, &at, &event.assignments, &values);
                }
            }
            Happening::Cancel(_) => {}
        }
    }

    /// Takes the adjoints of assigned states; gives those of the assigned values, and adds what
    /// their factors give. `known` are values that were evaluated earlier.
    fn undo_assign(
        &mut self,
        before: &Traveller<'_>,
        at: &Instant<'_>,
        assignments: &[Assignment],
        known: Option<&[f64]>,
    ) -> Vec<f64> {
        let events = &before.problem.events;
        let mut of_values = vec![0.0; assignments.len()];
        let mut of_factors = Vec::new();
        // Of several assignments to one state the last one stays.
        for (k, assignment) in assignments.iter().enumerate().rev() {
            let adjoint = std::mem::take(&mut self.states[assignment.state.position()]);
            of_values[k] = adjoint;
            if let Some(factor) = &assignment.factor {
                let value = match known {
                    Some(known) => known[k],
                    None => events.value(&assignment.value, at),
                };
                of_values[k] = adjoint * events.value(factor, at);
                of_factors.push((factor, adjoint * value));
            }
        }
        for (factor, adjoint) in of_factors {
            self.add_formula(before, at, factor, adjoint);
        }
        of_values
    }

    fn add_values(
        &mut self,
        before: &Traveller<'_>,
        at: &Instant<'_>,
        assignments: &[Assignment],
        adjoints: &[f64],
    ) {
        for (assignment, &adjoint) in assignments.iter().zip(adjoints) {
            self.add_formula(before, at, &assignment.value, adjoint);
        }
    }

    /// Adds what the time of a stop gives to the lane before the stretch that it ends.
    ///
    /// Where something else is announced for the same time, no derivative is known: NaN rather than a
    /// wrong one.
    pub(super) fn add_stop(&mut self, stop: Stop, before: &Traveller<'_>, adjoint: f64) {
        let events = &before.problem.events;
        let at = |t: f64| events.changes_at(t, before.slots());
        let waiting = |t: f64| -> Vec<u32> { before.waiting_for(t).map(|p| p.number).collect() };
        match stop {
            Stop::Relation(relation) => {
                let t = events.change_time(relation, before.slots());
                let (times, waiting) = (at(t), waiting(t));
                let is_alone = times.len() == 1 && waiting.is_empty();
                self.add_times(before, &times, if is_alone { adjoint } else { f64::NAN });
                waiting.into_iter().for_each(|other| self.pending(other).t = f64::NAN);
            }
            Stop::Pending(number) => {
                let Some(own) = before.pending.iter().find(|p| p.number == number) else { return };
                let times = at(own.t());
                let others = || before.waiting_for(own.t()).filter(|p| p.number != number);
                if times.is_empty() && others().all(|other| before.wait_alike(own, other)) {
                    self.pending(number).t += adjoint;
                    return;
                }
                self.add_times(before, &times, f64::NAN);
                waiting(own.t()).into_iter().for_each(|p| self.pending(p).t = f64::NAN);
            }
            Stop::At(t) => {
                self.add_times(before, &at(t), f64::NAN);
                waiting(t).into_iter().for_each(|p| self.pending(p).t = f64::NAN);
            }
            Stop::Root(_) => {}
        }
    }

    fn add_times(&mut self, before: &Traveller<'_>, times: &[&Formula], adjoint: f64) {
        for time in times {
            self.add_formula(before, &before.instant(), time, adjoint);
        }
    }

    /// Adds what the time of a root gives to the states and slots at an end of the stretch that
    /// stands still (implicit function theorem); `rates` are those of the states there.
    pub(super) fn add_root(
        &mut self,
        stop: Stop,
        before: &Traveller<'_>,
        (t, states, rates): (f64, &[f64], &[f64]),
        adjoint: f64,
    ) {
        let Stop::Root(relation) = stop else { return };
        let (_, rate) = before.root(relation, t, states, rates);
        let change = &before.problem.events.relations()[relation.position()].change;
        let Change::Root(difference) = change else { return };
        let at = Instant { t, states, slots: before.slots() };
        let of_time = std::mem::replace(&mut self.t, 0.0);
        self.add_formula(before, &at, difference, -adjoint / rate);
        self.t = of_time;
    }
}

fn add_values(own: &mut Vec<f64>, others: &[f64]) {
    own.resize(own.len().max(others.len()), 0.0);
    own.iter_mut().zip(others).for_each(|(own, other)| *own += other);
}
