//! A device that is lost in the middle of a sweep which insists on it: the run ends, its journal
//! stays, and once the device is back the sweep ends as if nothing had been.

use gradsweep::check::{CheckPlan, JudgedPoint};
use gradsweep::check::{Source, Supplied, judge_all, own_gradient};
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::fallback::FallbackEngine;
use gradsweep::engine::{Batch, BatchResult, Engine, EngineError, Kernel};
use gradsweep::index::ParameterIdx;
use gradsweep::model;
use gradsweep::rosenbrock::StepProgram;
use gradsweep::startpoints;
use gradsweep::sweep::{
    Evaluator, GradientMethod, Journal, JournalChunk, JournalReader, Settings, StepMode,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The CPU engine for so many batches, then an error.
struct Mortal(Arc<AtomicUsize>);

struct MortalKernel {
    inner: Box<dyn Kernel>,
    left: Arc<AtomicUsize>,
}

impl Engine for Mortal {
    fn describe(&self) -> String {
        "mortal".to_owned()
    }
    fn preferred_lanes(&self) -> usize {
        256
    }
    fn prepare(&self, step: &StepProgram) -> Result<Box<dyn Kernel>, EngineError> {
        Ok(Box::new(MortalKernel { inner: CpuEngine.prepare(step)?, left: Arc::clone(&self.0) }))
    }
}

impl Kernel for MortalKernel {
    fn run(&self, batch: &Batch<'_>) -> Result<BatchResult, EngineError> {
        let took = |left: usize| left.checked_sub(1);
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, took) {
            Ok(_) => self.inner.run(batch),
            Err(_) => {
                let reason = "device lost: injected".to_owned();
                Err(EngineError::Device { lanes: batch.lane_count(), reason })
            }
        }
    }
}

/// Sweeps on an engine that lives for so many batches, going on with a journal that is there.
/// Gives what was judged, and its statistics.
fn attempt(journal: &Path, batches: usize) -> Result<(Vec<JudgedPoint>, String), EngineError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conversion");
    let problem = model::load(&folder).unwrap();
    let settings = Settings { rtol: 1e-8, atol: 1e-12, max_steps: 10_000, steps: StepMode::Shared };
    let theta = startpoints::random(&problem.parameters, 60, 0, 1).unwrap().theta_scaled;
    let plan = CheckPlan::new(
        (0..problem.parameters.len()).map(ParameterIdx::from_position).collect(),
        vec![1e-1, 1e-3, 1e-5],
    );
    let engine = FallbackEngine::new(Box::new(Mortal(Arc::new(AtomicUsize::new(batches)))));
    engine.insist();
    let evaluator = Evaluator::new(&problem, settings, &engine, Some(&engine))?;
    let mut reader = journal.exists().then(|| JournalReader::open(journal, true).unwrap().0);
    let mut writer = reader.is_none().then(|| Journal::create(journal, b"a test").unwrap());
    let mut next = 0;
    let mut supply = || -> Result<Option<Supplied>, EngineError> {
        if let Some(own) = &mut reader {
            if let Some(chunk) = own.next_chunk(next, |_| true).unwrap() {
                let theta_scaled = theta[next..next + chunk.evaluated.points.len()].to_vec();
                next += theta_scaled.len();
                return Ok(Some(Supplied { theta_scaled, evaluated: chunk.evaluated }));
            }
            writer = Some(reader.take().unwrap().into_journal().unwrap());
        }
        let end = theta.len().min(next + plan.points_per_chunk(&evaluator));
        if next == end {
            return Ok(None);
        }
        let theta_scaled = theta[next..end].to_vec();
        let evaluated = plan.evaluate(&evaluator, &theta_scaled)?;
        let chunk = JournalChunk { first: next, evaluated, failed_engine: None };
        writer.as_mut().unwrap().append(&chunk).unwrap();
        next = end;
        Ok(Some(Supplied { theta_scaled, evaluated: chunk.evaluated }))
    };
    let mut judged = Vec::new();
    let source = [Source {
        gradient: &own_gradient,
        method: GradientMethod::Forward,
        allowance: &|_, _| None,
    }];
    let summaries =
        judge_all(&problem.parameters, &plan, &source, &mut supply, &mut |_, all, _| {
            judged.push(all[0].clone());
            Ok(())
        })?;
    assert!(!engine.has_failed());
    Ok((judged, format!("{summaries:?}")))
}

#[test]
fn a_lost_device_can_be_come_back_from() {
    let folder = tempfile::tempdir().unwrap();
    let (judged, summary) = attempt(&folder.path().join("undisturbed"), usize::MAX).unwrap();
    // NaN is not itself; its text is.
    let text = |judged: &[JudgedPoint]| format!("{judged:?}");
    let journal = folder.path().join("disturbed");
    let mut losses = 0;
    let (found, statistics) = loop {
        match attempt(&journal, 9) {
            Ok(found) => break found,
            Err(EngineError::Device { .. }) => losses += 1,
            Err(other) => panic!("{other}"),
        }
        assert!(losses < 100, "no attempt gets any further");
    };
    assert!(losses >= 2, "lost {losses} times");
    assert!(text(&found) == text(&judged) && statistics == summary);
}
