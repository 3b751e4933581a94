//! Going on with the CPU engine where another fails: a lost device or a refused shader costs time,
//! not results.

use super::cpu::CpuEngine;
use super::{
    Batch, BatchResult, Engine, EngineError, Kernel, ReverseBatch, ReverseKernel, ReverseResult,
};
use crate::rosenbrock::{ReverseStep, StepProgram};
use std::sync::{Arc, Mutex, PoisonError};

/// An engine whose failed batches run on the CPU engine instead. Every failure is logged, and
/// [`describe`](Engine::describe) tells of them from then on.
pub struct FallbackEngine {
    primary: Box<dyn Engine>,
    failures: Failures,
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
        Self { primary, failures: Failures::default() }
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

    fn prepare(&self, step: &StepProgram) -> Result<Box<dyn Kernel>, EngineError> {
        let second = CpuEngine.prepare(step)?;
        match self.primary.prepare(step) {
            Ok(first) => {
                Ok(Box::new(FallbackKernel { first, second, failures: self.failures.clone() }))
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
}

impl Kernel for FallbackKernel {
    fn run(&self, batch: &Batch<'_>) -> Result<BatchResult, EngineError> {
        match self.first.run(batch) {
            Ok(result) => Ok(result),
            Err(error) => {
                self.failures.note(&error);
                self.second.run(batch)
            }
        }
    }
}
