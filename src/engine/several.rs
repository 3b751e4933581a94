//! Several engines that give the same digits, such as the adapters of one kind in a machine, as one:
//! the lanes of a batch are divided between them, and where one fails the others go on.

use super::{
    Batch, BatchResult, Control, Engine, EngineError, Kernel, ReverseBatch, ReverseKernel,
    ReverseResult,
};
use crate::rosenbrock::{ReverseStep, StepProgram};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A batch with fewer lanes for each engine is not divided among all.
const LEAST_LANES: usize = 256;

/// Engines that divide the lanes of each batch. A lane's result does not depend on where it ran.
pub struct SeveralEngines {
    members: Vec<Box<dyn Engine>>,
    losses: Arc<Losses>,
}

/// Which members have failed.
#[derive(Debug, Default)]
struct Losses {
    /// For each member the reason, once it has failed.
    reasons: Mutex<Vec<Option<String>>>,
    /// Where the next undivided batch goes.
    turn: AtomicUsize,
}

impl Losses {
    fn of<T>(&self, see: impl FnOnce(&mut Vec<Option<String>>) -> T) -> T {
        see(&mut self.reasons.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Members that have not failed, beginning with the one whose turn it is.
    fn present(&self) -> Vec<usize> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut present: Vec<usize> = self
            .of(|reasons| (0..reasons.len()).filter(|&member| reasons[member].is_none()).collect());
        if !present.is_empty() {
            let by = turn % present.len();
            present.rotate_left(by);
        }
        present
    }

    /// Notes a failure if it is one of the device; gives it back otherwise.
    fn note(&self, member: usize, error: EngineError) -> Result<(), EngineError> {
        let EngineError::Device { .. } = error else { return Err(error) };
        let is_new = self.of(|reasons| {
            let is_new = reasons[member].is_none();
            reasons[member].get_or_insert(error.to_string());
            is_new
        });
        if is_new {
            tracing::warn!("adapter {} of {}: {error}", member + 1, self.of(|r| r.len()));
        }
        Ok(())
    }

    /// The error of a batch for which no member is left.
    fn none_left(&self, lanes: usize) -> EngineError {
        let reasons = self.of(|reasons| reasons.iter().flatten().cloned().collect::<Vec<_>>());
        EngineError::Device { lanes, reason: format!("none is left: {}", reasons.join("; ")) }
    }
}

impl SeveralEngines {
    /// Makes one of engines that call themselves the same.
    ///
    /// # Errors
    /// The first two that do not: their digits may differ. None at all.
    pub fn new(members: Vec<Box<dyn Engine>>) -> Result<Self, EngineError> {
        let Some(first) = members.first() else {
            return Err(EngineError::NoAdapter { searched: None });
        };
        let name = first.describe();
        if let Some(other) = members.iter().map(|m| m.describe()).find(|other| *other != name) {
            return Err(EngineError::Unlike { engines: [name, other] });
        }
        let losses = Arc::new(Losses::default());
        losses.of(|reasons| reasons.resize(members.len(), None));
        Ok(Self { members, losses })
    }

    /// What each member makes of something, all at a time.
    fn prepared<T: Send>(
        &self,
        make: impl Fn(&dyn Engine) -> Result<T, EngineError> + Sync,
    ) -> Result<Vec<T>, EngineError> {
        thread::scope(|scope| {
            let make = &make;
            let under_way: Vec<_> =
                self.members.iter().map(|m| scope.spawn(move || make(m.as_ref()))).collect();
            under_way.into_iter().map(joined).collect()
        })
    }
}

/// A thread's result; its panic is ours.
fn joined<T>(handle: thread::ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Engine for SeveralEngines {
    fn describe(&self) -> String {
        let name = self.members[0].describe();
        let reasons = self.losses.of(|reasons| reasons.clone());
        let lost = reasons.iter().flatten().count();
        let all = format!("{} × {name}", reasons.len());
        match reasons.iter().flatten().next() {
            None => all,
            Some(reason) => format!("{all}, of which {lost} failed ({reason})"),
        }
    }

    fn preferred_lanes(&self) -> usize {
        self.members.iter().map(|member| member.preferred_lanes()).sum()
    }

    fn batches_in_flight(&self) -> usize {
        // What cannot be divided keeps each busy, and the host has those beyond one.
        let of_one = self.members.iter().map(|member| member.batches_in_flight()).max();
        self.members.len() + of_one.unwrap_or(1) - 1
    }

    fn has_failed(&self) -> bool {
        self.losses.of(|reasons| reasons.iter().any(Option::is_some))
    }

    fn prepare(&self, step: &StepProgram) -> Result<Box<dyn Kernel>, EngineError> {
        let kernels = self.prepared(|member| member.prepare(step))?;
        let (width, slot_count) = (step.width, step.slot_count);
        Ok(Box::new(SeveralKernels { kernels, losses: self.losses.clone(), width, slot_count }))
    }

    fn prepare_reverse(
        &self,
        replay: &StepProgram,
        step: &ReverseStep,
    ) -> Result<Box<dyn ReverseKernel>, EngineError> {
        let kernels = self.prepared(|member| member.prepare_reverse(replay, step))?;
        Ok(Box::new(SeveralReverseKernels { kernels, losses: self.losses.clone() }))
    }
}

struct SeveralKernels {
    kernels: Vec<Box<dyn Kernel>>,
    losses: Arc<Losses>,
    width: usize,
    slot_count: usize,
}

impl SeveralKernels {
    /// Some lanes of a batch as a batch.
    fn some<'a>(&self, batch: &Batch<'a>, lanes: &Range<usize>) -> Batch<'a> {
        let rows = |values: &'a [f64], row: usize| &values[lanes.start * row..lanes.end * row];
        Batch {
            initial: rows(batch.initial, self.width),
            slots: rows(batch.slots, self.slot_count),
            timelines: batch.timelines,
            of_lane: &batch.of_lane[lanes.clone()],
            control: match batch.control {
                Control::Adaptive { rtol, atol, max_steps, first_steps } => Control::Adaptive {
                    rtol,
                    atol,
                    max_steps,
                    first_steps: &first_steps[lanes.clone()],
                },
                Control::Replay { schedules, of_lane } => {
                    Control::Replay { schedules, of_lane: &of_lane[lanes.clone()] }
                }
            },
        }
    }
}

impl Kernel for SeveralKernels {
    fn run(&self, batch: &Batch<'_>) -> Result<BatchResult, EngineError> {
        let lanes = batch.lane_count();
        let mut done: Vec<(Range<usize>, BatchResult)> = Vec::new();
        let mut left: Vec<Range<usize>> = std::iter::once(0..lanes).collect();
        while !left.is_empty() {
            let present = self.losses.present();
            if present.is_empty() {
                return Err(self.losses.none_left(lanes));
            }
            let shares = left.iter().flat_map(|part| divided(part, present.len()));
            let tasks: Vec<(usize, Range<usize>)> =
                present.iter().copied().cycle().zip(shares).collect();
            left.clear();
            let run = |member: usize, part: &Range<usize>| {
                self.kernels[member].run(&self.some(batch, part))
            };
            let results: Vec<_> = match &tasks[..] {
                [(member, part)] => vec![run(*member, part)],
                tasks => thread::scope(|scope| {
                    let run = &run;
                    let start = |(member, part): &'_ (usize, Range<usize>)| {
                        let (member, part) = (*member, part.clone());
                        scope.spawn(move || run(member, &part))
                    };
                    let under_way: Vec<_> = tasks.iter().map(start).collect();
                    under_way.into_iter().map(joined).collect()
                }),
            };
            for ((member, part), result) in tasks.into_iter().zip(results) {
                match result {
                    Ok(result) => done.push((part, result)),
                    Err(error) => {
                        self.losses.note(member, error)?;
                        left.push(part);
                    }
                }
            }
        }
        done.sort_by_key(|(part, _)| part.start);
        Ok(joint(done.into_iter().map(|(_, result)| result)))
    }
}

/// Lanes in shares for so many, or for fewer where there are few.
fn divided(lanes: &Range<usize>, among: usize) -> Vec<Range<usize>> {
    let shares = among.min(lanes.len().div_ceil(LEAST_LANES)).max(1);
    let border = |k: usize| lanes.start + lanes.len() * k / shares;
    (0..shares).map(|k| border(k)..border(k + 1)).collect()
}

/// The results of successive lanes as one.
fn joint(mut results: impl Iterator<Item = BatchResult>) -> BatchResult {
    let mut all = results.next().expect("a batch has one part at least");
    for BatchResult { outputs, offsets, reports, schedules } in results {
        let before = all.outputs.len();
        all.outputs.extend(outputs);
        all.offsets.extend(offsets.into_iter().skip(1).map(|offset| before + offset));
        all.reports.extend(reports);
        all.schedules.extend(schedules);
    }
    all
}

/// Batches go to one after the other as a whole: how lanes are grouped says how many steps are
/// computed again, which is counted.
struct SeveralReverseKernels {
    kernels: Vec<Box<dyn ReverseKernel>>,
    losses: Arc<Losses>,
}

impl ReverseKernel for SeveralReverseKernels {
    fn run(&self, batch: &ReverseBatch<'_>) -> Result<ReverseResult, EngineError> {
        while let Some(&member) = self.losses.present().first() {
            match self.kernels[member].run(batch) {
                Ok(result) => return Ok(result),
                Err(error) => self.losses.note(member, error)?,
            }
        }
        Err(self.losses.none_left(batch.of_lane.len()))
    }
}
