//! Several devices as one engine: the same bits as one, and where one is lost the others go on.
//!
//! Where a machine has one adapter, it is opened several times.

mod gpu_adapter;

use gpu_adapter::adapter;
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::fallback::FallbackEngine;
use gradsweep::engine::gpu::{Adapter, GpuEngine, Traffic};
use gradsweep::engine::several::SeveralEngines;
use gradsweep::engine::{
    Batch, BatchResult, Engine, EngineError, Kernel, ReverseBatch, ReverseKernel, ReverseResult,
};
use gradsweep::index::ParameterIdx;
use gradsweep::model;
use gradsweep::rosenbrock::{ReverseStep, StepProgram};
use gradsweep::startpoints;
use gradsweep::sweep::{
    EvaluatedChunk, Evaluator, Flight, OwnGradients, Settings, StepMode, no_refinement,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Evaluates points in chunks, so many at a time.
fn evaluate_in_flight(
    engine: &dyn Engine,
    (name, steps, count): (&str, StepMode, usize),
    in_flight: usize,
) -> Result<Vec<EvaluatedChunk>, EngineError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name);
    let problem = model::load(&folder).unwrap();
    let settings = Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps };
    // Tangents and adjoints of a small problem only: larger ones compile for seconds.
    let own = if name == "conversion" { OwnGradients::Both } else { OwnGradients::None };
    let engines = gradsweep::sweep::GradientEngines { forward: engine, adjoint: engine };
    let evaluator = Evaluator::with_gradients(&problem, settings, engine, engines, own)?;
    let points = startpoints::random(&problem.parameters, count, 0, 3).unwrap().theta_scaled;
    let parameters: Vec<_> =
        (0..problem.parameters.len()).map(ParameterIdx::from_position).collect();
    let mut done = Vec::new();
    thread::scope(|scope| {
        let mut flight = Flight::new(scope, in_flight);
        for chunk in points.chunks(count.div_ceil(4)) {
            if !flight.has_room() {
                done.extend(flight.take());
            }
            let (evaluator, parameters) = (&evaluator, &parameters);
            flight.begin(move || evaluator.evaluate(chunk, parameters, &[1e-3], &no_refinement));
        }
        while let Some(result) = flight.take() {
            done.push(result);
        }
    });
    done.into_iter().collect()
}

fn evaluate(
    engine: &dyn Engine,
    work: (&str, StepMode, usize),
) -> Result<Vec<EvaluatedChunk>, EngineError> {
    evaluate_in_flight(engine, work, 1)
}

/// An engine that others may look at while it works.
struct Shared<E>(Arc<E>);

impl Engine for Shared<GpuEngine> {
    fn describe(&self) -> String {
        self.0.describe()
    }
    fn preferred_lanes(&self) -> usize {
        self.0.preferred_lanes()
    }
    fn prepare(&self, step: &StepProgram) -> Result<Box<dyn Kernel>, EngineError> {
        self.0.prepare(step)
    }
    fn prepare_reverse(
        &self,
        replay: &StepProgram,
        step: &ReverseStep,
    ) -> Result<Box<dyn ReverseKernel>, EngineError> {
        self.0.prepare_reverse(replay, step)
    }
}

fn devices(adapter: &Adapter, count: usize) -> Vec<Arc<GpuEngine>> {
    (0..count).map(|_| Arc::new(GpuEngine::open(adapter).unwrap())).collect()
}

fn several(devices: &[Arc<GpuEngine>]) -> SeveralEngines {
    let member = |device: &Arc<GpuEngine>| Box::new(Shared(device.clone())) as Box<dyn Engine>;
    SeveralEngines::new(devices.iter().map(member).collect()).unwrap()
}

const WORK: [(&str, StepMode, usize); 3] = [
    ("stat5", StepMode::Shared, 80),
    ("stat5", StepMode::Adaptive, 60),
    ("conversion", StepMode::Shared, 400),
];

#[test]
fn two_devices_give_the_bits_of_one() {
    let Some(adapter) = adapter() else { return };
    let one = GpuEngine::open(&adapter).unwrap();
    for work in WORK {
        let before = one.traffic().lanes;
        let expected = evaluate(&one, work).unwrap();
        let lanes = one.traffic().lanes - before;
        for count in [1, 2, 3] {
            let devices = devices(&adapter, count);
            let engine = several(&devices);
            assert_eq!(engine.describe(), format!("{count} × {}", one.describe()));
            assert!(evaluate(&engine, work).unwrap() == expected, "{work:?} on {count}");
            // All of them did something, and together no more than one alone.
            let traffic: Vec<Traffic> = devices.iter().map(|d| d.traffic()).collect();
            assert!(traffic.iter().all(|t| t.lanes > 0), "{work:?}: {traffic:?}");
            assert_eq!(traffic.iter().map(|t| t.lanes).sum::<u64>(), lanes);
        }
    }
}

#[test]
fn batches_under_way_together_give_the_bits_of_one_after_the_other() {
    let Some(adapter) = adapter() else { return };
    let one = GpuEngine::open(&adapter).unwrap();
    let two = several(&devices(&adapter, 2));
    for work in WORK {
        let expected = evaluate(&one, work).unwrap();
        for in_flight in [2, 4] {
            let found = evaluate_in_flight(&one, work, in_flight).unwrap();
            assert!(found == expected, "{work:?}, {in_flight} at a time");
        }
        let found = evaluate_in_flight(&two, work, two.batches_in_flight()).unwrap();
        assert!(found == expected, "{work:?}, on two");
    }
}

/// The CPU engine until `good` batches have run, an error from then on.
struct Mortal {
    left: Arc<AtomicUsize>,
}

struct MortalKernel<K: ?Sized> {
    left: Arc<AtomicUsize>,
    inner: Box<K>,
}

impl<K: ?Sized> MortalKernel<K> {
    fn live<T>(
        &self,
        lanes: usize,
        run: impl FnOnce(&K) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        {
            Ok(_) => run(&self.inner),
            Err(_) => {
                Err(EngineError::Device { lanes, reason: "device lost: injected".to_owned() })
            }
        }
    }
}

impl Kernel for MortalKernel<dyn Kernel> {
    fn run(&self, batch: &Batch<'_>) -> Result<BatchResult, EngineError> {
        self.live(batch.lane_count(), |inner| inner.run(batch))
    }
}

impl ReverseKernel for MortalKernel<dyn ReverseKernel> {
    fn run(&self, batch: &ReverseBatch<'_>) -> Result<ReverseResult, EngineError> {
        self.live(batch.of_lane.len(), |inner| inner.run(batch))
    }
}

impl Engine for Mortal {
    fn describe(&self) -> String {
        "mortal".to_owned()
    }
    fn preferred_lanes(&self) -> usize {
        64
    }
    fn prepare(&self, step: &StepProgram) -> Result<Box<dyn Kernel>, EngineError> {
        Ok(Box::new(MortalKernel { inner: CpuEngine.prepare(step)?, left: self.left.clone() }))
    }
    fn prepare_reverse(
        &self,
        replay: &StepProgram,
        step: &ReverseStep,
    ) -> Result<Box<dyn ReverseKernel>, EngineError> {
        let inner = CpuEngine.prepare_reverse(replay, step)?;
        Ok(Box::new(MortalKernel { inner, left: self.left.clone() }))
    }
}

fn mortal(lives: &[usize]) -> SeveralEngines {
    let member = |&good: &usize| {
        Box::new(Mortal { left: Arc::new(AtomicUsize::new(good)) }) as Box<dyn Engine>
    };
    SeveralEngines::new(lives.iter().map(member).collect()).unwrap()
}

const SMALL: (&str, StepMode, usize) = ("conversion", StepMode::Shared, 400);

#[test]
fn the_others_go_on_where_one_is_lost() {
    let expected = evaluate(&CpuEngine, SMALL).unwrap();
    for lost in 0..6 {
        for lives in [[lost, usize::MAX, usize::MAX], [usize::MAX, lost, lost + 1]] {
            let engine = mortal(&lives);
            assert!(!engine.has_failed());
            assert_eq!(engine.describe(), "3 × mortal");
            assert!(evaluate_in_flight(&engine, SMALL, 2).unwrap() == expected, "{lives:?}");
            assert!(engine.has_failed());
            let said = engine.describe();
            let gone = lives.iter().filter(|&&good| good != usize::MAX).count();
            assert!(said.contains(&format!("of which {gone} failed")), "{lives:?}: {said}");
            assert!(said.contains("device lost: injected"), "{said}");
        }
    }
}

/// The twin: with none left the batch fails, which the CPU engine takes over as from a single device.
#[test]
fn with_all_lost_the_batch_fails() {
    for lives in [[0, 0], [3, 1], [5, 5]] {
        let failed = evaluate(&mortal(&lives), SMALL);
        assert!(matches!(failed, Err(EngineError::Device { .. })), "{lives:?}");
        let engine = FallbackEngine::new(Box::new(mortal(&lives)));
        assert!(evaluate(&engine, SMALL).unwrap() == evaluate(&CpuEngine, SMALL).unwrap());
        assert!(engine.has_failed());
        let said = engine.describe();
        assert!(said.contains("of which 2 failed") && said.contains("then cpu"), "{said}");
        let insisting = FallbackEngine::new(Box::new(mortal(&lives)));
        insisting.insist();
        assert!(matches!(evaluate(&insisting, SMALL), Err(EngineError::Device { .. })));
    }
}

/// A device that is given back to the driver once it has begun with so many batches.
struct Doomed {
    device: GpuEngine,
    left: AtomicUsize,
}

struct DoomedKernel {
    engine: Arc<Doomed>,
    inner: Box<dyn Kernel>,
}

impl Kernel for DoomedKernel {
    fn run(&self, batch: &Batch<'_>) -> Result<BatchResult, EngineError> {
        if self.engine.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.engine.device.destroy();
        }
        self.inner.run(batch)
    }
}

impl Engine for Shared<Doomed> {
    fn describe(&self) -> String {
        self.0.device.describe()
    }
    fn preferred_lanes(&self) -> usize {
        self.0.device.preferred_lanes()
    }
    fn prepare(&self, step: &StepProgram) -> Result<Box<dyn Kernel>, EngineError> {
        let inner = self.0.device.prepare(step)?;
        Ok(Box::new(DoomedKernel { engine: self.0.clone(), inner }))
    }
    fn prepare_reverse(
        &self,
        replay: &StepProgram,
        step: &ReverseStep,
    ) -> Result<Box<dyn ReverseKernel>, EngineError> {
        self.0.device.prepare_reverse(replay, step)
    }
}

#[test]
fn a_destroyed_device_is_a_lost_one() {
    let Some(adapter) = adapter() else { return };
    let expected = evaluate(&GpuEngine::open(&adapter).unwrap(), SMALL).unwrap();
    let doomed = |good| {
        let device = GpuEngine::open(&adapter).unwrap();
        Shared(Arc::new(Doomed { device, left: AtomicUsize::new(good) }))
    };
    for good in [0, 1, 4] {
        for in_flight in [1, 2] {
            let failed = evaluate_in_flight(&doomed(good), SMALL, in_flight);
            assert!(matches!(failed, Err(EngineError::Device { .. })), "alone, after {good}");
            let whole = Box::new(GpuEngine::open(&adapter).unwrap());
            let engine = SeveralEngines::new(vec![Box::new(doomed(good)), whole]).unwrap();
            assert!(evaluate_in_flight(&engine, SMALL, in_flight).unwrap() == expected);
            assert!(engine.describe().contains("of which 1 failed"), "{}", engine.describe());
        }
    }
}

#[test]
fn engines_with_other_digits_are_refused() {
    let members: Vec<Box<dyn Engine>> =
        vec![Box::new(CpuEngine), Box::new(Mortal { left: Arc::default() })];
    let Err(error) = SeveralEngines::new(members) else { panic!("they are not alike") };
    assert!(error.to_string().contains("mortal") && error.to_string().contains("cpu"), "{error}");
}
