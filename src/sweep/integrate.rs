//! Sets of lanes through the engine: at once where each is one stretch, else from happening to
//! happening.

use super::course::Course;
use super::evaluator::{Evaluator, Settings};
use super::lanes::{InitialTangents, LanePreparation};
use super::outputs::Outputs;
use super::traveller::Traveller;
use super::walk::{Leg, Walk};
use crate::engine::{
    Batch, BatchResult, Control, EngineError, Kernel, LaneReport, LaneStatus, Timeline,
};
use crate::index::{ScheduleIdx, SimulationIdx, SlotIdx, TimelineIdx};
use crate::model::have_same_order;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The tangents of a step, for one bundle of directions or more.
pub(super) struct TangentKernel {
    /// Number of directions that the program has, of which a bundle may use fewer.
    pub(super) direction_count: usize,
    pub(super) bundles: Vec<Bundle>,
    pub(super) initial: InitialTangents,
    pub(super) kernel: Box<dyn Kernel>,
}

/// Directions that one lane carries.
#[derive(Debug, Clone, Default)]
pub(super) struct Bundle {
    pub(super) directions: Vec<SlotIdx>,
    /// For each direction of the program that moves breakpoints, the slot whose change moves
    /// them; one that is no slot where the bundle does not use the direction.
    pub(super) moving: Vec<SlotIdx>,
    /// Tangents of the slots that lanes carry, where the program asks for them.
    pub(super) slot_tangents: Vec<f64>,
    /// Where what follows is low parts: of the states at this direction, then of the tangents before it.
    pub(super) low_parts_at: Option<usize>,
}

impl Bundle {
    /// No slot: as a direction that of low parts, which no slot moves.
    pub(super) const UNUSED: SlotIdx = SlotIdx(u32::MAX);
}

/// Lanes to integrate.
#[derive(Debug, Clone, Default)]
pub(super) struct LaneSet {
    pub(super) simulations: Vec<SimulationIdx>,
    /// Values of the slots in each period, `[lane][period][slot]`.
    pub(super) slots: Vec<Vec<Vec<f64>>>,
    /// Linear values of the estimated parameters; lanes of a point share them.
    pub(super) parameters: Vec<Arc<[f64]>>,
    /// The bundle of each lane.
    pub(super) bundles: Vec<usize>,
}

impl LaneSet {
    pub(super) fn len(&self) -> usize {
        self.simulations.len()
    }

    /// Adds a lane where the estimated parameters have these linear values.
    pub(super) fn push(
        &mut self,
        preparation: &LanePreparation<'_>,
        simulation: SimulationIdx,
        parameters: &Arc<[f64]>,
    ) {
        self.simulations.push(simulation);
        self.slots.push(preparation.slots(simulation, parameters));
        self.parameters.push(parameters.clone());
        self.bundles.push(0);
    }

    /// Adds a copy of a lane of another set.
    pub(super) fn copy(&mut self, other: &Self, lane: usize) {
        self.simulations.push(other.simulations[lane]);
        self.slots.push(other.slots[lane].clone());
        self.parameters.push(other.parameters[lane].clone());
        self.bundles.push(other.bundles[lane]);
    }

    /// Some of the lanes.
    fn some(&self, lanes: &[usize]) -> Self {
        Self {
            simulations: lanes.iter().map(|&l| self.simulations[l]).collect(),
            slots: lanes.iter().map(|&l| self.slots[l].clone()).collect(),
            parameters: lanes.iter().map(|&l| self.parameters[l].clone()).collect(),
            bundles: lanes.iter().map(|&l| self.bundles[l]).collect(),
        }
    }

    /// Every lane once for each of so many bundles, bundles of a lane side by side.
    fn times(&self, bundles: usize) -> Self {
        let mut all = Self::default();
        for lane in 0..self.len() {
            for bundle in 0..bundles {
                all.simulations.push(self.simulations[lane]);
                all.slots.push(self.slots[lane].clone());
                all.parameters.push(self.parameters[lane].clone());
                all.bundles.push(bundle);
            }
        }
        all
    }
}

/// Lanes and what became of them.
pub(super) struct Run {
    pub(super) lanes: LaneSet,
    /// At time 0, `[lane][value]`.
    initial: Vec<f64>,
    pub(super) width: usize,
    pub(super) result: BatchResult,
    /// At time inf, `[lane][value]`; empty where no simulation gets there.
    last: Vec<f64>,
    /// What lanes that chose their own steps went through; empty where each is one stretch.
    pub(super) courses: Vec<LaneCourse>,
}

/// What a lane went through.
pub(super) struct LaneCourse {
    /// Its pre-equilibration, which other lanes may share.
    pub(super) before: Option<Arc<Course>>,
    pub(super) measured: Course,
}

impl Run {
    /// Lanes that were one stretch each.
    pub(super) fn at_once(
        lanes: LaneSet,
        initial: Vec<f64>,
        width: usize,
        result: BatchResult,
    ) -> Self {
        Self { lanes, initial, width, result, last: Vec::new(), courses: Vec::new() }
    }

    /// Lanes that followed others from happening to happening.
    pub(super) fn in_phases(
        lanes: LaneSet,
        width: usize,
        outputs: Outputs,
        reports: Vec<LaneReport>,
    ) -> Self {
        let Outputs { initial, values, offsets, last, .. } = outputs;
        let result = BatchResult { outputs: values, offsets, reports, schedules: Vec::new() };
        Self { lanes, initial, width, result, last, courses: Vec::new() }
    }

    /// What a lane that chose its own steps went through: before its first period that is measured,
    /// if there is such a time, and from there on.
    pub(super) fn course(&self, lane: usize) -> (Option<&Course>, &Course) {
        let LaneCourse { before, measured } = &self.courses[lane];
        (before.as_deref(), measured)
    }

    /// What a step advances, at an output of the lane; NaN where the lane did not get there.
    pub(super) fn values(&self, lane: usize, output: usize, starts_with_output: bool) -> &[f64] {
        let offsets = &self.result.offsets;
        let at = |start: usize| start..start + self.width;
        match output.checked_sub(usize::from(starts_with_output)) {
            None => &self.initial[at(lane * self.width)],
            Some(reached) => {
                let start = offsets[lane] + reached * self.width;
                if start < offsets[lane + 1] {
                    &self.result.outputs[at(start)]
                } else {
                    &self.last[at(lane * self.width)]
                }
            }
        }
    }
}

impl Run {
    /// Adds low parts, which are the second half of what a step advances, to the first half.
    pub(super) fn add_low_parts(&mut self) {
        let Self { initial, width, result, last, .. } = self;
        for values in [initial, &mut result.outputs, last] {
            for advanced in values.chunks_exact_mut(*width) {
                let (values, low) = advanced.split_at_mut(*width / 2);
                values.iter_mut().zip(low).for_each(|(value, low)| *value += *low);
            }
        }
    }
}

/// Tolerances of the error control.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tolerances {
    pub(super) rtol: f64,
    pub(super) atol: f64,
}

/// Factors on rtol and atol with which lanes are tried again that broke down: errors of the size
/// of atol may be what they broke down of, where states are far smaller at first.
const TIGHTER: [(f64, f64); 2] = [(0.1, 1e-6), (0.01, 1e-18)];

impl Run {
    /// Puts the lanes of another run in the place of some of these, unless they broke down again.
    fn replace(&mut self, some: &[usize], again: Run, retries: u32) {
        let Run { initial, result, last, courses, .. } = again;
        let mut schedules = result.schedules.into_iter();
        let mut courses = courses.into_iter();
        for (i, &lane) in some.iter().enumerate() {
            let (schedule, course) = (schedules.next(), courses.next());
            let report = &mut self.result.reports[lane];
            let steps = report.steps + result.reports[i].steps;
            if result.reports[i].broke_down() {
                report.steps = steps;
                continue;
            }
            *report = LaneReport { steps, retries, ..result.reports[i] };
            let width = self.width;
            let copy = |own: &mut [f64], theirs: &[f64]| {
                if let Some(theirs) = theirs.get(i * width..(i + 1) * width) {
                    own[lane * width..][..width].copy_from_slice(theirs);
                }
            };
            copy(&mut self.initial, &initial);
            copy(&mut self.last, &last);
            let own = self.result.offsets[lane]..self.result.offsets[lane + 1];
            let theirs = result.offsets[i]..result.offsets[i + 1];
            self.result.outputs[own].copy_from_slice(&result.outputs[theirs]);
            if let Some(schedule) = schedule {
                self.result.schedules[lane] = schedule;
            }
            if let Some(course) = course {
                self.courses[lane] = course;
            }
        }
    }
}

/// How lanes choose their steps.
#[derive(Clone, Copy)]
pub(super) enum Steps<'a> {
    Own(Tolerances),
    /// Those of lanes of another run.
    Of(&'a Run, &'a [usize]),
}

/// Timelines and which of them each lane follows.
struct LaneTimelines<'a> {
    timelines: Cow<'a, [Timeline]>,
    of_lane: Vec<TimelineIdx>,
}

/// A program with the way its lanes begin.
pub(super) struct Kind<'a> {
    pub(super) kernel: &'a dyn Kernel,
    pub(super) width: usize,
    pub(super) bundles: &'a [Bundle],
    /// Initial values of lanes that carry these slots and their tangents.
    pub(super) begin: &'a dyn Fn(usize, &[f64]) -> Vec<f64>,
}

impl Evaluator<'_> {
    /// Integrates lanes with steps of their own. Those that break down are tried again at tighter
    /// tolerances, which their reports tell.
    pub(super) fn integrate_adaptively(&self, lanes: LaneSet) -> Result<Run, EngineError> {
        let kind = Kind {
            kernel: self.adaptive.as_ref(),
            width: self.problem.state_ids.len(),
            bundles: &self.no_directions,
            begin: &|count, carried| self.preparation.initial_states(count, carried),
        };
        let Settings { rtol, atol, .. } = self.settings;
        let mut run = self.integrate(lanes, &kind, Steps::Own(Tolerances { rtol, atol }))?;
        for (number, (of_rtol, of_atol)) in TIGHTER.into_iter().enumerate() {
            let broken: Vec<usize> = (0..run.lanes.len())
                .filter(|&lane| run.result.reports[lane].broke_down())
                .collect();
            if broken.is_empty() {
                break;
            }
            let tolerances = Tolerances { rtol: of_rtol * rtol, atol: of_atol * atol };
            let again = self.integrate(run.lanes.some(&broken), &kind, Steps::Own(tolerances))?;
            run.replace(&broken, again, number as u32 + 1);
        }
        Ok(run)
    }

    /// Integrates lanes with the steps of lanes `of` of another run.
    pub(super) fn integrate_by_replay(
        &self,
        lanes: LaneSet,
        run: &Run,
        of: &[usize],
    ) -> Result<Run, EngineError> {
        let kind = Kind {
            kernel: self.replay.as_ref(),
            width: self.problem.state_ids.len(),
            bundles: &self.no_directions,
            begin: &|count, carried| self.preparation.initial_states(count, carried),
        };
        self.integrate(lanes, &kind, Steps::Of(run, of))
    }

    /// Integrates the lanes of a run with their tangents, along their own steps: each lane once for
    /// every bundle of directions.
    pub(super) fn integrate_tangents(
        &self,
        run: &Run,
        tangent: &TangentKernel,
    ) -> Result<Run, EngineError> {
        let own: Vec<usize> = (0..run.lanes.len()).collect();
        self.integrate_tangents_along(&run.lanes, (run, &own), tangent)
    }

    /// The same of any lanes along the steps of lanes `of` of a run.
    pub(super) fn integrate_tangents_along(
        &self,
        lanes: &LaneSet,
        (run, of): (&Run, &[usize]),
        tangent: &TangentKernel,
    ) -> Result<Run, EngineError> {
        let count = tangent.bundles.len();
        let of: Vec<usize> = of.iter().flat_map(|&lane| std::iter::repeat_n(lane, count)).collect();
        self.integrate_bundles(lanes.times(count), (run, &of), tangent)
    }

    /// The same of lanes that each carry one bundle.
    pub(super) fn integrate_bundles(
        &self,
        lanes: LaneSet,
        (run, of): (&Run, &[usize]),
        tangent: &TangentKernel,
    ) -> Result<Run, EngineError> {
        let kind = Kind {
            kernel: tangent.kernel.as_ref(),
            width: self.problem.state_ids.len() * (1 + tangent.direction_count),
            bundles: &tangent.bundles,
            begin: &|count, carried| {
                self.preparation.initial_with_tangents(&tangent.initial, count, carried)
            },
        };
        self.integrate(lanes, &kind, Steps::Of(run, of))
    }

    pub(super) fn integrate(
        &self,
        lanes: LaneSet,
        kind: &Kind<'_>,
        steps: Steps<'_>,
    ) -> Result<Run, EngineError> {
        if self.problem.is_plain() {
            self.integrate_at_once(lanes, kind, steps)
        } else {
            self.integrate_in_phases(lanes, kind, steps)
        }
    }

    /// Lanes that are one stretch each, from start to end.
    fn integrate_at_once(
        &self,
        lanes: LaneSet,
        kind: &Kind<'_>,
        steps: Steps<'_>,
    ) -> Result<Run, EngineError> {
        let max_steps = self.settings.max_steps;
        let carried = self.carried(&lanes, kind);
        let initial = (kind.begin)(lanes.len(), &carried);
        let timelines = self.timelines_of(&lanes, kind);
        let first_steps;
        let schedule_of: Vec<ScheduleIdx>;
        let control = match steps {
            Steps::Own(Tolerances { rtol, atol }) => {
                let of_lane = timelines.of_lane.iter().map(|t| &timelines.timelines[t.position()]);
                let of_lane: Vec<&Timeline> = of_lane.collect();
                first_steps =
                    self.preparation.first_steps(&of_lane, &initial, &carried, rtol, atol);
                Control::Adaptive { rtol, atol, max_steps, first_steps: &first_steps }
            }
            Steps::Of(run, of) => {
                schedule_of = of.iter().map(|&lane| ScheduleIdx::from_position(lane)).collect();
                Control::Replay { schedules: &run.result.schedules, of_lane: &schedule_of }
            }
        };
        let mut result = kind.kernel.run(&Batch {
            initial: &initial,
            slots: &carried,
            timelines: &timelines.timelines,
            of_lane: &timelines.of_lane,
            control,
        })?;
        if let Steps::Of(run, of) = steps {
            self.mark_reordered(&lanes, run, of, &mut result);
        }
        Ok(Run::at_once(lanes, initial, kind.width, result))
    }

    /// Lanes that followed steps made for breakpoints in another order have no meaning.
    fn mark_reordered(&self, lanes: &LaneSet, run: &Run, of: &[usize], result: &mut BatchResult) {
        for (lane, &own) in of.iter().enumerate() {
            let s = lanes.simulations[lane];
            if !self.problem.simulations[s.position()].has_moving_breakpoints {
                continue;
            }
            let timeline = |slots: &[f64]| self.problem.timeline_of(s, slots, &[]);
            let theirs = timeline(&run.lanes.slots[own][0]);
            if !have_same_order(&theirs, &timeline(&lanes.slots[lane][0])) {
                result.reports[lane].status = LaneStatus::Reordered;
            }
        }
    }

    /// Lanes with steady states, several periods or events.
    fn integrate_in_phases(
        &self,
        lanes: LaneSet,
        kind: &Kind<'_>,
        steps: Steps<'_>,
    ) -> Result<Run, EngineError> {
        let mut initial = Vec::new();
        let carried = self.carried(&lanes, kind);
        initial.extend((kind.begin)(lanes.len(), &carried));
        let mut travellers: Vec<Traveller<'_>> = (0..lanes.len())
            .map(|lane| {
                let values = initial[lane * kind.width..][..kind.width].to_vec();
                Traveller::new(
                    self.problem,
                    lanes.simulations[lane],
                    &lanes.slots[lane],
                    &lanes.parameters[lane],
                    &kind.bundles[lanes.bundles[lane]],
                    values,
                )
            })
            .collect();
        let before = self.preequilibrate(&mut travellers, kind, steps)?;
        let mut outputs = Outputs::new(self.problem, &lanes.simulations, kind.width);
        let walk = Walk { evaluator: self, kind, leg: Leg::Measured };
        let measured = match steps {
            Steps::Own(tolerances) => walk.adaptively(&mut travellers, &mut outputs, tolerances)?,
            Steps::Of(run, of) => {
                let courses: Vec<&Course> =
                    of.iter().map(|&lane| &run.courses[lane].measured).collect();
                walk.along(&mut travellers, &courses, &mut outputs)?;
                Vec::new()
            }
        };
        let reports = travellers.iter().map(|traveller| traveller.report).collect();
        let courses = before.into_iter().zip(measured);
        let courses = courses.map(|(before, measured)| LaneCourse { before, measured }).collect();
        drop(travellers);
        Ok(Run { courses, ..Run::in_phases(lanes, kind.width, outputs, reports) })
    }

    /// Brings lanes with a pre-equilibration to its steady state. Lanes in which the same slots
    /// have the same values, and that follow the same course, share it; the first of them of each
    /// point (or probe with steps of its own) has its steps in its report, whatever other points
    /// are integrated beside it.
    fn preequilibrate(
        &self,
        travellers: &mut [Traveller<'_>],
        kind: &Kind<'_>,
        steps: Steps<'_>,
    ) -> Result<Vec<Option<Arc<Course>>>, EngineError> {
        let mut group_of: Vec<Option<usize>> = vec![None; travellers.len()];
        let mut groups: HashMap<(Vec<u64>, *const Bundle, *const Course), usize> = HashMap::new();
        let mut members: Vec<usize> = Vec::new();
        for (lane, traveller) in travellers.iter().enumerate() {
            if !traveller.simulation().is_preequilibrated() {
                continue;
            }
            let slots = traveller.slots();
            let bits = self.problem.reaching_slots().iter().map(|s| slots[s.position()].to_bits());
            let course = match steps {
                Steps::Own(_) => std::ptr::null(),
                Steps::Of(run, of) => {
                    run.courses[of[lane]].before.as_ref().map_or(std::ptr::null(), Arc::as_ptr)
                }
            };
            let group =
                *groups.entry((bits.collect(), traveller.bundle, course)).or_insert_with(|| {
                    members.push(lane);
                    members.len() - 1
                });
            group_of[lane] = Some(group);
        }
        let mut settled: Vec<Traveller<'_>> =
            members.iter().map(|&lane| travellers[lane].clone()).collect();
        let walk = Walk { evaluator: self, kind, leg: Leg::Before };
        let mut courses: Vec<Arc<Course>> = Vec::new();
        match steps {
            Steps::Own(tolerances) => {
                let own = walk.adaptively(&mut settled, &mut Outputs::none(), tolerances)?;
                courses.extend(own.into_iter().map(Arc::new));
            }
            Steps::Of(run, of) => {
                let none = Arc::new(Course::default());
                let theirs = |&lane: &usize| run.courses[of[lane]].before.clone();
                courses.extend(members.iter().map(|m| theirs(m).unwrap_or_else(|| none.clone())));
                let borrowed: Vec<&Course> = courses.iter().map(Arc::as_ref).collect();
                walk.along(&mut settled, &borrowed, &mut Outputs::none())?;
            }
        }
        let simulations = self.problem.simulations.len();
        let mut counted: HashSet<(usize, usize)> = HashSet::new();
        for (lane, traveller) in travellers.iter_mut().enumerate() {
            let Some(group) = group_of[lane] else { continue };
            traveller.follow(&settled[group]);
            let point = match steps {
                Steps::Own(_) => traveller.parameters.as_ptr() as usize,
                Steps::Of(_, of) => of[lane] / simulations,
            };
            if !counted.insert((group, point)) {
                traveller.report.steps = 0;
            }
        }
        Ok(group_of.iter().map(|group| group.map(|g| courses[g].clone())).collect())
    }

    /// Slots that lanes carry, and their tangents.
    fn carried(&self, lanes: &LaneSet, kind: &Kind<'_>) -> Vec<f64> {
        let mut carried = Vec::with_capacity(lanes.len() * self.problem.rhs.slots.len());
        for (lane, &bundle) in lanes.slots.iter().zip(&lanes.bundles) {
            self.preparation.push_dynamic_slots(&lane[0], &mut carried);
            carried.extend_from_slice(&kind.bundles[bundle].slot_tangents);
        }
        carried
    }

    /// Timelines of lanes: one for each simulation, or one for each lane where estimated
    /// parameters move breakpoints.
    fn timelines_of(&self, lanes: &LaneSet, kind: &Kind<'_>) -> LaneTimelines<'_> {
        if !self.problem.simulations.iter().any(|s| s.has_moving_breakpoints) {
            let of_lane = lanes.simulations.iter().map(|s| TimelineIdx(s.0)).collect();
            return LaneTimelines { timelines: Cow::Borrowed(&self.timelines), of_lane };
        }
        let own = |lane: usize| {
            let moving = &kind.bundles[lanes.bundles[lane]].moving;
            self.problem.timeline_of(lanes.simulations[lane], &lanes.slots[lane][0], moving)
        };
        let timelines: Vec<Timeline> = (0..lanes.len()).map(own).collect();
        let of_lane = (0..timelines.len()).map(TimelineIdx::from_position).collect();
        LaneTimelines { timelines: Cow::Owned(timelines), of_lane }
    }
}
