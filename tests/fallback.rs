//! A device that fails in the middle of a sweep: the batch goes on with the CPU engine, nothing is
//! lost, and the engine's description says so.

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::fallback::FallbackEngine;
use gradsweep::engine::{Batch, BatchResult, Engine, EngineError, Kernel};
use gradsweep::index::ParameterIdx;
use gradsweep::model;
use gradsweep::rosenbrock::StepProgram;
use gradsweep::startpoints;
use gradsweep::sweep::{Evaluator, Settings, StepMode, no_refinement};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The CPU engine until `good` batches have run, an error from then on.
struct Failing {
    good: usize,
    runs: Arc<AtomicUsize>,
}

struct FailingKernel {
    inner: Box<dyn Kernel>,
    good: usize,
    runs: Arc<AtomicUsize>,
}

impl Engine for Failing {
    fn describe(&self) -> String {
        "failing".to_owned()
    }
    fn preferred_lanes(&self) -> usize {
        64
    }
    fn prepare(&self, step: &StepProgram) -> Result<Box<dyn Kernel>, EngineError> {
        let inner = CpuEngine.prepare(step)?;
        Ok(Box::new(FailingKernel { inner, good: self.good, runs: Arc::clone(&self.runs) }))
    }
}

impl Kernel for FailingKernel {
    fn run(&self, batch: &Batch<'_>) -> Result<BatchResult, EngineError> {
        if self.runs.fetch_add(1, Ordering::SeqCst) < self.good {
            self.inner.run(batch)
        } else {
            let reason = "device lost: injected".to_owned();
            Err(EngineError::Device { lanes: batch.lane_count(), reason })
        }
    }
}

#[test]
fn a_lost_device_costs_no_result() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conversion");
    let problem = model::load(&folder).unwrap();
    let settings = Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };
    let points = startpoints::random(&problem.parameters, 20, 0, 1).unwrap().theta_scaled;
    let parameters: Vec<_> =
        (0..problem.parameters.len()).map(ParameterIdx::from_position).collect();
    let evaluate = |engine: &dyn Engine| {
        let evaluator = Evaluator::new(&problem, settings, engine, Some(engine)).unwrap();
        evaluator.evaluate(&points, &parameters, &[1e-3], &no_refinement).map(|chunk| chunk.points)
    };
    let undisturbed = evaluate(&CpuEngine).unwrap();
    for good in 0..3 {
        let failing = || Failing { good, runs: Arc::default() };
        // The twin: without the fallback the failure ends the run.
        assert!(matches!(evaluate(&failing()), Err(EngineError::Device { .. })));
        let engine = FallbackEngine::new(Box::new(failing()));
        assert_eq!(engine.describe(), "failing");
        assert_eq!(evaluate(&engine).unwrap(), undisturbed, "after {good} batches");
        assert!(engine.describe().contains("device lost: injected"), "{}", engine.describe());
        assert!(engine.describe().contains("cpu"), "{}", engine.describe());
    }
}
