//! Going on with the CPU engine where another fails: a lost device or a refused shader costs time,
//! not results.

use super::cpu::CpuEngine;
use super::{
    Batch, BatchResult, Engine, EngineError, Kernel, ReverseBatch, ReverseKernel, ReverseResult,
};
use crate::rosenbrock::{ReverseStep, StepProgram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// An engine whose failed batches run on the CPU engine instead. Every failure is logged, and
/// [`describe`](Engine::describe) tells of them from then on.
pub struct FallbackEngine {
    primary: Box<dyn Engine>,
    failures: Failures,
    /// Whether a lost device ends the run instead.
    ends: Arc<AtomicBool>,
}

/// Reasons of the failures so far.
#[derive(Clone, Default)]
struct Failures(Arc<Mutex<Vec<String>>>);

impl Failures {
    fn note(&self, error: &EngineError) {
        tracing::warn!("{error}; going on with the CPU engine");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
    }
}

impl FallbackEngine {
    /// Wraps an engine.
    pub fn new(primary: Box<dyn Engine>) -> Self {
        Self { primary, failures: Failures::default(), ends: Arc::default() }
    }

    /// From now on a device that fails while it runs ends the run: for those that can go on when it
    /// is back, with the same digits.
    pub fn insist(&self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

impl Engine for FallbackEngine {
    fn describe(&self) -> String {
        let failures = self.failures.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.first() {
            None => self.primary.describe(),
            Some(first) => format!(
                "{}, failed {} time{} (first: {first}), then {}",
                self.primary.describe(),
                failures.len(),
                if failures.len() == 1 { "" } else { "s" },
                CpuEngine.describe()
            ),
        }
    }

    fn preferred_lanes(&self) -> usize {
        self.primary.preferred_lanes()
    }

    fn batches_in_flight(&self) -> usize {
        self.primary.batches_in_flight()
    }

    fn has_failed(&self) -> bool {
        let failures = self.failures.0.lock().unwrap_or_else(PoisonError::into_inner);
        !failures.is_empty() || self.primary.has_failed()
    }

    fn prepare(&self, step: &StepProgram) -> Result<Box<dyn Kernel>, EngineError> {
        let second = CpuEngine.prepare(step)?;
        match self.primary.prepare(step) {
            Ok(first) => {
                let (failures, ends) = (self.failures.clone(), Arc::clone(&self.ends));
                Ok(Box::new(FallbackKernel { first, second, failures, ends }))
            }
            Err(error) => {
                self.failures.note(&error);
                Ok(second)
            }
        }
    }

    fn prepare_reverse(
        &self,
        replay: &StepProgram,
        step: &ReverseStep,
    ) -> Result<Box<dyn ReverseKernel>, EngineError> {
        let second = CpuEngine.prepare_reverse(replay, step)?;
        match self.primary.prepare_reverse(replay, step) {
            Ok(first) => Ok(Box::new(FallbackReverseKernel {
                first,
                second,
                failures: self.failures.clone(),
            })),
            Err(error) => {
                self.failures.note(&error);
                Ok(second)
            }
        }
    }
}

struct FallbackReverseKernel {
    first: Box<dyn ReverseKernel>,
    second: Box<dyn ReverseKernel>,
    failures: Failures,
}

impl ReverseKernel for FallbackReverseKernel {
    fn run(&self, batch: &ReverseBatch<'_>) -> Result<ReverseResult, EngineError> {
        match self.first.run(batch) {
            Ok(result) => Ok(result),
            Err(error) => {
                self.failures.note(&error);
                self.second.run(batch)
            }
        }
    }
}

struct FallbackKernel {
    first: Box<dyn Kernel>,
    second: Box<dyn Kernel>,
    failures: Failures,
    ends: Arc<AtomicBool>,
}

impl Kernel for FallbackKernel {
    fn run(&self, batch: &Batch<'_>) -> Result<BatchResult, EngineError> {
        match self.first.run(batch) {
            Ok(result) => Ok(result),
            Err(error @ EngineError::Device { .. }) if self.ends.load(Ordering::Relaxed) => {
                Err(error)
            }
            Err(error) => {
                self.failures.note(&error);
                self.second.run(batch)
            }
        }
    }
}
