//! The GPU engine: step programs as WGSL compute shaders in f64, on any Vulkan adapter.

mod adapter;
mod buffers;
mod kernel;
mod reverse;
mod shader;

pub use adapter::{Adapter, AdapterSummary, adapters, find};
pub use shader::{reverse_sources, source as shader_source};

use super::{Engine, EngineError, Kernel, ReverseKernel};
use crate::rosenbrock::{ReverseStep, StepProgram};
use std::sync::{Arc, Mutex};

/// An open device.
#[derive(Debug)]
pub struct GpuEngine {
    shared: Arc<Shared>,
    summary: AdapterSummary,
}

/// What the engine and its kernels share.
#[derive(Debug)]
struct Shared {
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// Largest binding to use, in bytes.
    max_binding: u64,
    max_groups: u32,
    /// The first error that no scope caught, e.g. a lost device.
    failure: Arc<Mutex<Option<String>>>,
}

impl Shared {
    /// Fails with the first uncaught error, if there was one.
    fn check(&self, lanes: usize) -> Result<(), EngineError> {
        let failure = self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match failure.as_ref() {
            Some(reason) => Err(EngineError::Device { lanes, reason: reason.clone() }),
            None => Ok(()),
        }
    }
}

impl GpuEngine {
    /// Opens a device on an adapter.
    pub fn open(adapter: &Adapter) -> Result<Self, EngineError> {
        let limits = adapter.handle.limits();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("gradsweep"),
            required_features: wgpu::Features::SHADER_F64,
            required_limits: limits.clone(),
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.handle.request_device(&descriptor))
            .map_err(|error| EngineError::NoDevice {
                adapter: adapter.summary.name.clone(),
                reason: error.to_string(),
            })?;
        let failure = Arc::new(Mutex::new(None));
        let note = |failure: &Arc<Mutex<Option<String>>>, text: String| {
            let mut slot = failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            slot.get_or_insert(text);
        };
        let uncaught = Arc::clone(&failure);
        device.on_uncaptured_error(Arc::new(move |error| note(&uncaught, error.to_string())));
        let lost = Arc::clone(&failure);
        device.set_device_lost_callback(move |reason, text| {
            // Dropping the device at the end of the program is no loss.
            if reason != wgpu::DeviceLostReason::Destroyed {
                note(&lost, format!("device lost: {text}"));
            }
        });
        Ok(Self {
            shared: Arc::new(Shared {
                device,
                queue,
                max_binding: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
                max_groups: limits.max_compute_workgroups_per_dimension,
                failure,
            }),
            summary: adapter.summary.clone(),
        })
    }

    /// The adapter that the device is on.
    pub fn summary(&self) -> &AdapterSummary {
        &self.summary
    }
}

impl Engine for GpuEngine {
    fn describe(&self) -> String {
        let kind = if self.summary.is_software() { ", software" } else { "" };
        format!("gpu ({}{kind}; {})", self.summary.name, self.summary.driver)
    }

    fn preferred_lanes(&self) -> usize {
        if self.summary.is_software() { 4096 } else { 1 << 17 }
    }

    fn prepare(&self, step: &StepProgram) -> Result<Box<dyn Kernel>, EngineError> {
        Ok(Box::new(kernel::GpuKernel::compile(Arc::clone(&self.shared), step)?))
    }
    fn prepare_reverse(
        &self,
        replay: &StepProgram,
        step: &ReverseStep,
    ) -> Result<Box<dyn ReverseKernel>, EngineError> {
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(reverse::GpuReverseKernel::compile(shared, replay, step)?))
    }
}
