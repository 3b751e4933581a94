//! A lane on its way from happening to happening, and what those do to it.

use super::course::{Happening, Stop};
use super::integrate::Bundle;
use super::steady::Settling;
use crate::engine::{LaneReport, LaneStatus};
use crate::index::{EventIdx, PeriodIdx, RelationIdx, SimulationIdx, SlotIdx};
use crate::model::events::{Change, Formula, Instant, Motion};
use crate::model::timeline::APART;
use crate::model::{Assignment, OdeProblem, Simulation, SlotValue};

/// Happenings at one instant after which a model is taken to trigger itself for ever.
const MOST_HAPPENINGS: usize = 10_000;

/// An event that waits to be executed.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) number: u32,
    pub(super) event: EventIdx,
    /// When it was triggered.
    pub(super) triggered: f64,
    t: f64,
    t_tangents: Vec<f64>,
    /// What it assigns, where that was evaluated when it was triggered.
    pub(super) values: Option<Vec<Evaluated>>,
}

impl Pending {
    /// What it waits for.
    pub(super) fn t(&self) -> f64 {
        self.t
    }
}

/// A value with its derivatives by direction.
#[derive(Debug, Clone)]
pub(super) struct Evaluated {
    pub(super) value: f64,
    tangents: Vec<f64>,
}

impl Evaluated {
    fn times(self, factor: &Self) -> Self {
        let product = |(&a, &b): (&f64, &f64)| a * factor.value + self.value * b;
        let tangents = self.tangents.iter().zip(&factor.tangents).map(product).collect();
        Self { value: self.value * factor.value, tangents }
    }
}

/// A lane between two stretches of integration.
#[derive(Debug, Clone)]
pub(super) struct Traveller<'a> {
    pub(super) problem: &'a OdeProblem,
    pub(super) simulation: SimulationIdx,
    /// Values of the slots, `[period][slot]`.
    pub(super) slots: &'a [Vec<f64>],
    /// Linear values of the estimated parameters.
    pub(super) parameters: &'a [f64],
    /// Slots that the tangents move.
    pub(super) directions: &'a [SlotIdx],
    pub(super) bundle: &'a Bundle,
    /// States, then their total derivatives `[direction][state]`.
    pub(super) values: Vec<f64>,
    pub(super) t: f64,
    /// By direction.
    pub(super) t_tangents: Vec<f64>,
    /// Directions along which no derivative is known any more; `values` have any numbers there.
    is_lost: Vec<bool>,
    pub(super) period: PeriodIdx,
    /// Where it goes on until nothing changes any more.
    pub(super) settling: Option<Settling>,
    /// Truth of each relation, as last seen.
    pub(super) relations: Vec<bool>,
    triggers: Vec<bool>,
    pub(super) pending: Vec<Pending>,
    pub(super) next_number: u32,
    /// Whether an event has fired whose delay is no duration: SBML wants a nonnegative number
    /// (L3V2 section 4.12.4).
    has_negative_delay: bool,
    pub(super) report: LaneReport,
    pub(super) has_ended: bool,
}

impl<'a> Traveller<'a> {
    /// A lane at its start.
    pub(super) fn new(
        problem: &'a OdeProblem,
        simulation: SimulationIdx,
        slots: &'a [Vec<f64>],
        parameters: &'a [f64],
        bundle: &'a Bundle,
        values: Vec<f64>,
    ) -> Self {
        let events = &problem.events;
        let first = &problem.simulations[simulation.position()].periods[0];
        let t = if first.start.is_finite() { first.start } else { 0.0 };
        let triggers = (0..events.count())
            .map(|e| events.event(EventIdx::from_position(e)).initial_value)
            .collect();
        Self {
            problem,
            simulation,
            slots,
            parameters,
            directions: &bundle.directions,
            bundle,
            values,
            t,
            t_tangents: vec![0.0; bundle.directions.len()],
            is_lost: vec![false; bundle.directions.len()],
            period: PeriodIdx(0),
            settling: None,
            relations: vec![false; events.relations().len()],
            triggers,
            pending: Vec::new(),
            next_number: 0,
            has_negative_delay: false,
            report: LaneReport { status: LaneStatus::Ok, steps: 0, retries: 0, t },
            has_ended: false,
        }
    }

    /// Takes over what another lane of the same model has become.
    pub(super) fn follow(&mut self, other: &Self) {
        let (simulation, slots, parameters) = (self.simulation, self.slots, self.parameters);
        *self = Self { simulation, slots, parameters, ..other.clone() };
        self.has_ended = self.report.status != LaneStatus::Ok;
    }

    pub(super) fn simulation(&self) -> &'a Simulation {
        &self.problem.simulations[self.simulation.position()]
    }

    /// Slots of the present period.
    pub(super) fn slots(&self) -> &'a [f64] {
        &self.slots[self.period.position()]
    }

    pub(super) fn states(&self) -> &[f64] {
        &self.values[..self.problem.state_ids.len()]
    }

    pub(super) fn instant(&self) -> Instant<'_> {
        Instant { t: self.t, states: self.states(), slots: self.slots() }
    }

    /// Ends the lane with a status.
    pub(super) fn end(&mut self, status: LaneStatus) {
        self.report.status = status;
        self.report.t = self.t;
        self.has_ended = true;
    }

    /// When the next period starts, if there is one.
    pub(super) fn next_period(&self) -> Option<f64> {
        self.simulation().periods.get(self.period.position() + 1).map(|period| period.start)
    }

    /// Whether an event waits.
    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The first thing after now and up to `end` that slots or waiting events announce.
    pub(super) fn next_stop(&self, end: f64) -> (Stop, f64) {
        let mut first = (Stop::At(end), end);
        let events = &self.problem.events;
        for r in 0..events.relations().len() {
            let relation = RelationIdx::from_position(r);
            let t = events.change_time(relation, self.slots());
            if t > self.t && t < first.1 {
                first = (Stop::Relation(relation), t);
            }
        }
        for pending in &self.pending {
            if pending.t < first.1 {
                first = (Stop::Pending(pending.number), pending.t.max(self.t));
            }
        }
        first
    }

    /// The time of a stop in this lane with its derivatives by direction; none for a root, and
    /// where there is no such event. Where something else is announced for the same time and moves
    /// otherwise, no derivative is known: NaN rather than a wrong one.
    pub(super) fn stop_time(&self, stop: Stop) -> Option<(f64, Vec<f64>)> {
        let (t, mut tangents) = self.own_stop_time(stop)?;
        let relations = 0..self.problem.events.relations().len();
        let relations = relations.map(|r| Stop::Relation(RelationIdx::from_position(r)));
        let pending = self.pending.iter().map(|pending| Stop::Pending(pending.number));
        for other in relations.chain(pending).filter(|other| *other != stop) {
            let Some((_, theirs)) = self.own_stop_time(other).filter(|(at, _)| *at == t) else {
                continue;
            };
            for (own, theirs) in tangents.iter_mut().zip(theirs) {
                if *own != theirs {
                    *own = f64::NAN;
                }
            }
        }
        Some((t, tangents))
    }

    /// Events that wait for exactly this time.
    pub(super) fn waiting_for(&self, t: f64) -> impl Iterator<Item = &Pending> {
        self.pending.iter().filter(move |pending| pending.t == t)
    }

    /// Whether two events wait for one time because they were triggered at one, with the same delay.
    pub(super) fn wait_alike(&self, a: &Pending, b: &Pending) -> bool {
        let delay = |p: &Pending| self.problem.events.event(p.event).delay.as_ref();
        let has_same_delay = match (delay(a), delay(b)) {
            (Some(a), Some(b)) => a.is_same(b),
            (a, b) => a.is_none() && b.is_none(),
        };
        a.triggered == b.triggered && has_same_delay
    }

    /// Whether a relation that changes at a time of its own did so within the stretch from `t_start` to now,
    /// or is not what it should be: on the course that the lane follows it changed together with another,
    /// in the lane it does not.
    pub(super) fn is_out_of_order(&self, t_start: f64) -> bool {
        let events = &self.problem.events;
        let near = APART * self.t.abs();
        (0..events.relations().len()).map(RelationIdx::from_position).any(|relation| {
            let change = events.change_time(relation, self.slots());
            let is_within = change > t_start + near && change < self.t - near;
            let holds = || events.holds(relation, &self.instant());
            is_within
                || (change - self.t).abs() > near && holds() != self.relations[relation.position()]
        })
    }

    fn own_stop_time(&self, stop: Stop) -> Option<(f64, Vec<f64>)> {
        let still = || vec![0.0; self.directions.len()];
        match stop {
            Stop::At(t) => Some((t, still())),
            Stop::Relation(relation) => {
                let Change::At(time) = &self.problem.events.relations()[relation.position()].change
                else {
                    return None;
                };
                let evaluated = self.evaluate(time);
                Some((evaluated.value, evaluated.tangents))
            }
            Stop::Pending(number) => {
                let pending = self.pending.iter().find(|p| p.number == number)?;
                Some((pending.t, pending.t_tangents.clone()))
            }
            Stop::Root(_) => None,
        }
    }

    fn evaluate(&self, formula: &Formula) -> Evaluated {
        let (events, at) = (&self.problem.events, self.instant());
        let motion = Motion {
            directions: self.directions,
            states: &self.values[at.states.len()..],
            t: &self.t_tangents,
        };
        Evaluated {
            value: events.value(formula, &at),
            tangents: events.derivatives(formula, &at, &motion),
        }
    }

    /// Evaluates assignments on what is now.
    fn evaluate_all(&self, assignments: &[Assignment]) -> Vec<Evaluated> {
        assignments.iter().map(|a| self.evaluate(&a.value)).collect()
    }

    fn assign(&mut self, assignments: &[Assignment], values: Vec<Evaluated>) {
        let n = self.problem.state_ids.len();
        let factor = |a: &Assignment| a.factor.as_ref().map(|factor| self.evaluate(factor));
        let factors: Vec<Option<Evaluated>> = assignments.iter().map(factor).collect();
        for ((assignment, evaluated), factor) in assignments.iter().zip(values).zip(factors) {
            let evaluated = match factor {
                Some(factor) => evaluated.times(&factor),
                None => evaluated,
            };
            let state = assignment.state.position();
            self.values[state] = evaluated.value;
            for (k, tangent) in evaluated.tangents.iter().enumerate() {
                self.values[n * (1 + k) + state] = *tangent;
            }
        }
    }

    /// Forgets derivatives along directions: NaN at outputs from here on, rather than wrong ones.
    pub(super) fn lose_directions(&mut self, is_lost: impl Fn(&Self, usize) -> bool) {
        for k in 0..self.directions.len() {
            if is_lost(self, k) {
                self.is_lost[k] = true;
                self.t_tangents[k] = 0.0;
            }
        }
    }

    /// Directions along which no derivative is known.
    pub(super) fn lost_directions(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.is_lost.len()).filter(|k| self.is_lost[*k])
    }

    /// Does to the lane what happens.
    pub(super) fn apply(&mut self, happening: Happening) {
        let problem = self.problem;
        match happening {
            Happening::NextPeriod => self.enter_next_period(),
            Happening::Fire(index) => {
                let event = problem.events.event(index);
                let delay = event.delay.as_ref().map(|delay| self.evaluate(delay));
                let values = event
                    .use_values_from_trigger_time
                    .then(|| self.evaluate_all(&event.assignments));
                let mut t_tangents = self.t_tangents.clone();
                let mut t = self.t;
                if let Some(delay) = delay {
                    t += delay.value;
                    self.has_negative_delay |= delay.value.is_nan() || delay.value < 0.0;
                    t_tangents.iter_mut().zip(&delay.tangents).for_each(|(t, d)| *t += d);
                }
                self.pending.push(Pending {
                    number: self.next_number,
                    event: index,
                    triggered: self.t,
                    t,
                    t_tangents,
                    values,
                });
                self.next_number += 1;
            }
            Happening::Execute(number) => {
                let Some(place) = self.pending.iter().position(|p| p.number == number) else {
                    return;
                };
                let pending = self.pending.remove(place);
                let event = problem.events.event(pending.event);
                let values =
                    pending.values.unwrap_or_else(|| self.evaluate_all(&event.assignments));
                self.assign(&event.assignments, values);
                // It was to happen at a time that moves otherwise than this one: a delay of 0 that may
                // grow, or an output that stands still.
                self.lose_directions(|own, k| own.t_tangents[k] != pending.t_tangents[k]);
            }
            Happening::Cancel(number) => self.pending.retain(|p| p.number != number),
        }
    }

    /// Lets happen what happened on another lane's course.
    pub(super) fn follow_course(&mut self, happenings: &[Happening]) {
        happenings.iter().for_each(|&happening| self.apply(happening));
        if self.has_negative_delay {
            self.end(LaneStatus::NegativeDelay);
        }
    }

    /// Starts the next period: what states become is evaluated on what held before; then slots
    /// change, and a direction whose slot stands for another parameter now leaves its influence
    /// to that parameter's heir.
    fn enter_next_period(&mut self) {
        let simulation = self.simulation();
        let before = &simulation.periods[self.period.position()];
        let Some(after) = simulation.periods.get(self.period.position() + 1) else { return };
        // What is assigned knows the new time; parameters do not move that.
        self.t = after.start;
        self.t_tangents.fill(0.0);
        let values = self.evaluate_all(&after.assignments);
        self.assign(&after.assignments, values);
        let n = self.problem.state_ids.len();
        let mut heirs_of_lost = Vec::new();
        for (d, slot) in self.directions.iter().enumerate() {
            // Low parts have no slot, and stay.
            let [old, new] = [before, after].map(|p| p.slot_values.get(slot.position()));
            let (Some(&old), Some(&new)) = (old, new) else { continue };
            if old == new {
                continue;
            }
            // Low parts of tangents go the way of these.
            let low_place = |d: usize| self.bundle.low_parts_at.map(|at| at + 1 + d);
            let places = |d: usize| [Some(d), low_place(d)];
            let mut own: [Vec<f64>; 2] = Default::default();
            for (own, place) in own.iter_mut().zip(places(d)) {
                let Some(place) = place else { continue };
                let values = &mut self.values[n * (1 + place)..][..n];
                own.extend_from_slice(values);
                values.fill(0.0);
            }
            let was_lost = std::mem::replace(&mut self.is_lost[d], false);
            if matches!(old, SlotValue::Number(_)) {
                continue;
            }
            for (parameter, weight) in self.problem.slot_derivatives(old, self.parameters) {
                let heir = self.problem.heir(parameter);
                let Some(h) = heir.and_then(|heir| self.directions.iter().position(|d| *d == heir))
                else {
                    continue;
                };
                heirs_of_lost.extend(was_lost.then_some(h));
                for (own, place) in own.iter().zip(places(h)) {
                    let Some(place) = place else { continue };
                    let target = &mut self.values[n * (1 + place)..][..n];
                    target.iter_mut().zip(own).for_each(|(t, x)| *t += weight * x);
                }
            }
        }
        heirs_of_lost.into_iter().for_each(|h| self.is_lost[h] = true);
        self.period = PeriodIdx::from_position(self.period.position() + 1);
    }

    /// Decides what happens now, and does it. `met` is a relation whose sides have just met: it
    /// has changed, whatever rounding says.
    pub(super) fn happen(
        &mut self,
        mut met: Option<RelationIdx>,
    ) -> Result<Vec<Happening>, LaneStatus> {
        let mut list = Vec::new();
        if self.problem.events.are_absent() {
            return Ok(list);
        }
        // Relations on time first as they are now, then as they are from now on.
        for is_after in [false, true] {
            loop {
                self.relations = self.truths(is_after, met);
                self.follow_triggers(&mut list);
                if self.has_negative_delay {
                    return Err(LaneStatus::NegativeDelay);
                }
                let Some(number) = self.due() else { break };
                list.push(Happening::Execute(number));
                self.apply(Happening::Execute(number));
                // States have changed: rounding no longer matters.
                met = None;
                if list.len() > MOST_HAPPENINGS {
                    return Err(LaneStatus::EndlessEvents);
                }
            }
        }
        Ok(list)
    }

    /// Truth of the relations now.
    fn truths(&self, is_after: bool, met: Option<RelationIdx>) -> Vec<bool> {
        let events = &self.problem.events;
        let at = self.instant();
        (0..events.relations().len())
            .map(|r| {
                let relation = RelationIdx::from_position(r);
                if met == Some(relation) {
                    return self.relations[r];
                }
                let change = events.change_time(relation, self.slots());
                if is_after && change == self.t {
                    // Linear in time: from its change on it stays what it becomes.
                    let later = self.t + 1.0 + self.t.abs();
                    return events.holds(relation, &Instant { t: later, ..at });
                }
                events.holds(relation, &at)
            })
            .collect()
    }

    /// The first relation that only the trajectory tells and that is not what it was, at a point
    /// of a stretch.
    pub(super) fn changed_root(&self, t: f64, states: &[f64]) -> Option<RelationIdx> {
        let events = &self.problem.events;
        let at = Instant { t, states, slots: self.slots() };
        (0..events.relations().len()).map(RelationIdx::from_position).find(|&relation| {
            matches!(events.relations()[relation.position()].change, Change::Root(_))
                && events.holds(relation, &at) != self.relations[relation.position()]
        })
    }

    /// Fires events whose triggers have become true, and takes back those whose triggers have
    /// become false and must not have.
    fn follow_triggers(&mut self, list: &mut Vec<Happening>) {
        let events = &self.problem.events;
        for e in 0..events.count() {
            let index = EventIdx::from_position(e);
            let is_triggered = events.is_triggered(index, &self.relations);
            let was_triggered = std::mem::replace(&mut self.triggers[e], is_triggered);
            if is_triggered && !was_triggered {
                list.push(Happening::Fire(index));
                self.apply(Happening::Fire(index));
            }
            if was_triggered && !is_triggered && !events.event(index).persistent {
                let waiting = self.pending.iter().filter(|p| p.event == index);
                let taken_back: Vec<Happening> =
                    waiting.map(|p| Happening::Cancel(p.number)).collect();
                for &happening in &taken_back {
                    self.apply(happening);
                }
                list.extend(taken_back);
            }
        }
    }

    /// The waiting event that is next to be executed now: the one of the highest priority. Among
    /// those of the same priority none is preferred (SBML L3V2 section 4.12.3): their numbers draw
    /// lots, the same in every run. Events without a priority come last, as they fired.
    fn due(&self) -> Option<u32> {
        let at = self.instant();
        let mut best: Option<(f64, u64, u32)> = None;
        for pending in self.pending.iter().filter(|p| p.t <= self.t) {
            let priority = self.problem.events.priority(pending.event, &at);
            let lot = if priority.is_finite() { lot(pending.number) } else { 0 };
            let is_next = best.is_none_or(|(highest, lowest, _)| {
                priority > highest || (priority == highest && lot < lowest)
            });
            if is_next {
                best = Some((priority, lot, pending.number));
            }
        }
        best.map(|(_, _, number)| number)
    }

    /// The difference of a relation's sides at a point of a stretch.
    pub(super) fn difference(&self, relation: RelationIdx, t: f64, states: &[f64]) -> f64 {
        self.root(relation, t, states, &[]).0
    }

    /// That difference, and how fast it changes where the states have these rates.
    pub(super) fn root(
        &self,
        relation: RelationIdx,
        t: f64,
        states: &[f64],
        rates: &[f64],
    ) -> (f64, f64) {
        let events = &self.problem.events;
        let Change::Root(difference) = &events.relations()[relation.position()].change else {
            return (f64::NAN, f64::NAN);
        };
        let at = Instant { t, states, slots: self.slots() };
        let rate = if rates.is_empty() { f64::NAN } else { events.rate(difference, &at, rates) };
        (events.value(difference, &at), rate)
    }

    /// Derivatives of that difference along the directions, at a time that stands still.
    pub(super) fn root_tangents(
        &self,
        relation: RelationIdx,
        t: f64,
        states: &[f64],
        tangents: &[f64],
    ) -> Vec<f64> {
        let events = &self.problem.events;
        let Change::Root(difference) = &events.relations()[relation.position()].change else {
            return vec![f64::NAN; self.directions.len()];
        };
        let still = vec![0.0; self.directions.len()];
        let motion = Motion { directions: self.directions, states: tangents, t: &still };
        events.derivatives(difference, &Instant { t, states, slots: self.slots() }, &motion)
    }

    /// Values of the switches that stand for relations.
    pub(super) fn held(&self) -> Vec<f64> {
        let truth = |r: &RelationIdx| f64::from(u8::from(self.relations[r.position()]));
        self.problem.events.held().iter().map(truth).collect()
    }

    /// Sets the truth of a relation whose sides have met.
    pub(super) fn toggle(&mut self, relation: RelationIdx) {
        let truth = &mut self.relations[relation.position()];
        *truth = !*truth;
    }

    /// Whether the lane has any change of slots or events ahead, up to a time.
    pub(super) fn is_announced(&self, until: f64) -> bool {
        let slots = self.slots();
        let is_ahead = |t: f64| t > self.t && t <= until;
        let events = &self.problem.events;
        let of_events = (0..events.relations().len())
            .map(|r| events.change_time(RelationIdx::from_position(r), slots));
        self.is_waiting()
            || self.problem.breakpoints.change_times(slots).into_iter().any(is_ahead)
            || of_events.into_iter().any(is_ahead)
    }
}

/// A number's lot: the finaliser of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
fn lot(number: u32) -> u64 {
    let mut z = u64::from(number).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
