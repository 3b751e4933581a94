//! What the benches share: batches as a sweep makes them, to be run on any engine.

use gradsweep::engine::{
    Batch, BatchResult, Control, Engine, EngineError, Kernel, Schedule, Timeline,
};
use gradsweep::index::{ScheduleIdx, TimelineIdx};
use gradsweep::rosenbrock::StepProgram;
use std::sync::{Arc, Mutex};

/// An owned copy of a [`Batch`].
#[derive(Clone)]
pub struct OwnedBatch {
    pub initial: Vec<f64>,
    pub slots: Vec<f64>,
    pub timelines: Vec<Timeline>,
    pub of_lane: Vec<TimelineIdx>,
    pub control: OwnedControl,
}

/// An owned copy of a [`Control`].
#[derive(Clone)]
pub enum OwnedControl {
    Adaptive { rtol: f64, atol: f64, max_steps: u32, first_steps: Vec<f64> },
    Replay { schedules: Vec<Schedule>, of_lane: Vec<ScheduleIdx> },
}

impl OwnedBatch {
    fn of(batch: &Batch<'_>) -> Self {
        let control = match batch.control {
            Control::Adaptive { rtol, atol, max_steps, first_steps } => {
                OwnedControl::Adaptive { rtol, atol, max_steps, first_steps: first_steps.to_vec() }
            }
            Control::Replay { schedules, of_lane } => {
                OwnedControl::Replay { schedules: schedules.to_vec(), of_lane: of_lane.to_vec() }
            }
        };
        Self {
            initial: batch.initial.to_vec(),
            slots: batch.slots.to_vec(),
            timelines: batch.timelines.to_vec(),
            of_lane: batch.of_lane.to_vec(),
            control,
        }
    }

    /// The batch, for a kernel.
    pub fn borrow(&self) -> Batch<'_> {
        let control = match &self.control {
            OwnedControl::Adaptive { rtol, atol, max_steps, first_steps } => {
                Control::Adaptive { rtol: *rtol, atol: *atol, max_steps: *max_steps, first_steps }
            }
            OwnedControl::Replay { schedules, of_lane } => Control::Replay { schedules, of_lane },
        };
        Batch {
            initial: &self.initial,
            slots: &self.slots,
            timelines: &self.timelines,
            of_lane: &self.of_lane,
            control,
        }
    }

    /// Number of lanes.
    pub fn lanes(&self) -> usize {
        self.of_lane.len()
    }
}

/// A step program and the last batch that was run with it.
pub struct Recorded {
    pub step: StepProgram,
    pub batch: OwnedBatch,
}

/// Notes the programs and batches that another engine is given, so that exactly the integrations
/// of a sweep can be timed without the scoring around them.
pub struct Recorder<'e> {
    inner: &'e dyn Engine,
    slots: Mutex<Vec<Arc<Slot>>>,
}

struct Slot {
    step: StepProgram,
    batch: Mutex<Option<OwnedBatch>>,
}

struct RecordingKernel {
    inner: Box<dyn Kernel>,
    slot: Arc<Slot>,
}

impl<'e> Recorder<'e> {
    /// Records what is run on `inner`.
    pub fn new(inner: &'e dyn Engine) -> Self {
        Self { inner, slots: Mutex::default() }
    }

    /// All programs that ran lanes, in the order in which they were prepared.
    pub fn recorded(&self) -> Vec<Recorded> {
        let slots = self.slots.lock().unwrap();
        let recorded = |slot: &Arc<Slot>| {
            let batch = slot.batch.lock().unwrap().clone()?;
            Some(Recorded { step: slot.step.clone(), batch })
        };
        slots.iter().filter_map(recorded).filter(|r| r.batch.lanes() > 0).collect()
    }
}

impl Engine for Recorder<'_> {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn preferred_lanes(&self) -> usize {
        self.inner.preferred_lanes()
    }

    fn prepare(&self, step: &StepProgram) -> Result<Box<dyn Kernel>, EngineError> {
        let slot = Arc::new(Slot { step: step.clone(), batch: Mutex::default() });
        self.slots.lock().unwrap().push(Arc::clone(&slot));
        Ok(Box::new(RecordingKernel { inner: self.inner.prepare(step)?, slot }))
    }
}

impl Kernel for RecordingKernel {
    fn run(&self, batch: &Batch<'_>) -> Result<BatchResult, EngineError> {
        *self.slot.batch.lock().unwrap() = Some(OwnedBatch::of(batch));
        self.inner.run(batch)
    }
}
