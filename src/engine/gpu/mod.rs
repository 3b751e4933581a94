//! The GPU engine: step programs as WGSL compute shaders in f64, on any Vulkan adapter.

mod adapter;
mod buffers;
mod device;
mod groups;
mod kernel;
mod pipeline;
mod reverse;
mod shader;
mod shader_cache;
mod traffic;

pub use adapter::{Adapter, AdapterSummary, adapters, find, find_alike};
pub use device::DeviceOptions;
pub use shader::{reverse_sources, source as shader_source};
pub use shader_cache::ShaderCache;
pub use traffic::Traffic;

use super::{Engine, EngineError, Kernel, ReverseKernel};
use crate::rosenbrock::{ReverseStep, StepProgram};
use device::{Device, Shaders};
use std::sync::Arc;

/// An adapter's device.
#[derive(Debug)]
pub struct GpuEngine {
    device: Arc<Device>,
    summary: AdapterSummary,
}

impl GpuEngine {
    /// Opens a device on an adapter.
    pub fn open(adapter: &Adapter) -> Result<Self, EngineError> {
        Self::open_with(adapter, &DeviceOptions::default())
    }

    /// Opens one that allows less than the adapter does, as smaller adapters do.
    pub fn open_within(adapter: &Adapter, limits: wgpu::Limits) -> Result<Self, EngineError> {
        let options = DeviceOptions { limits: Some(limits), ..DeviceOptions::default() };
        Self::open_with(adapter, &options)
    }

    /// Opens one with these options.
    pub fn open_with(adapter: &Adapter, options: &DeviceOptions) -> Result<Self, EngineError> {
        let device = Arc::new(Device::open(adapter, options)?);
        Ok(Self { device, summary: adapter.summary.clone() })
    }

    /// Gives the device back to the driver. What runs on it, or is run on it later, fails as on a device
    /// that is lost.
    pub fn destroy(&self) {
        self.device.destroy();
    }

    /// What the device was given and gave back so far.
    pub fn traffic(&self) -> Traffic {
        self.device.meter.traffic()
    }

    /// The adapter that the device is on.
    pub fn summary(&self) -> &AdapterSummary {
        &self.summary
    }
}

impl GpuEngine {
    /// What its digits depend on: the same for adapters of the same kind, in words.
    pub fn identity(&self) -> String {
        format!("gpu ({})", self.kind())
    }

    fn kind(&self) -> String {
        let kind = if self.summary.is_software() { ", software" } else { "" };
        format!("{}{kind}; {}", self.summary.name, self.summary.driver)
    }
}

impl Engine for GpuEngine {
    fn describe(&self) -> String {
        let shaders = match &self.device.shaders {
            Shaders::Forgotten => String::new(),
            Shaders::NotKept(reason) => format!("; compiled shaders not kept: {reason}"),
            Shaders::Kept { .. } => "; compiled shaders kept".to_owned(),
        };
        format!("gpu ({}{shaders})", self.kind())
    }

    fn preferred_lanes(&self) -> usize {
        if self.summary.is_software() { 4096 } else { 1 << 16 }
    }

    fn batches_in_flight(&self) -> usize {
        2
    }

    fn prepare(&self, step: &StepProgram) -> Result<Box<dyn Kernel>, EngineError> {
        Ok(Box::new(kernel::GpuKernel::compile(Arc::clone(&self.device), step)?))
    }

    fn prepare_reverse(
        &self,
        replay: &StepProgram,
        step: &ReverseStep,
    ) -> Result<Box<dyn ReverseKernel>, EngineError> {
        let device = Arc::clone(&self.device);
        Ok(Box::new(reverse::GpuReverseKernel::compile(device, replay, step)?))
    }
}
