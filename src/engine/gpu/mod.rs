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
mod spirv;
mod staging;
mod traffic;

pub use adapter::{Adapter, AdapterSummary, adapters, find, find_alike};
pub use device::DeviceOptions;
pub use shader::{reverse_sources, source as shader_source};
pub use shader_cache::ShaderCache;
pub use spirv::spirv;
pub use traffic::Traffic;

use super::{Engine, EngineError, Kernel, ReverseKernel};
use crate::rosenbrock::{ReverseStep, StepProgram};
use device::{Device, Shaders};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use traffic::Meter;

/// Programs with more operations get a device of their own: the driver may refuse the shader (NVIDIA's
/// took 11,289 operations and refused 13,863), and wgpu gives a device up on which that happened.
const LARGEST_TOGETHER: usize = 8_000;

/// Which digits come out, in journals: until 2026-11-27 drivers could regroup.
const ARITHMETIC: &str = "arithmetic as written";

/// An adapter's device.
#[derive(Debug)]
pub struct GpuEngine {
    device: Arc<Device>,
    /// Devices of large programs, which their kernels hold.
    others: Mutex<Vec<Weak<Device>>>,
    meter: Arc<Meter>,
    adapter: Adapter,
    options: DeviceOptions,
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
        let meter = Arc::<Meter>::default();
        let device = Arc::new(Device::open(adapter, options, Arc::clone(&meter))?);
        let (adapter, options) = (adapter.clone(), options.clone());
        Ok(Self { device, others: Mutex::default(), meter, adapter, options })
    }

    /// The device for a program of so many operations.
    fn device_for(&self, ops: usize) -> Result<Arc<Device>, EngineError> {
        if ops <= LARGEST_TOGETHER {
            return Ok(Arc::clone(&self.device));
        }
        if let Some(reason) = self.device.failure() {
            let adapter = self.summary().name.clone();
            return Err(EngineError::NoDevice { adapter, reason });
        }
        let meter = Arc::clone(&self.meter);
        let device = Arc::new(Device::open(&self.adapter, &self.options, meter)?);
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.retain(|other| other.strong_count() > 0);
        others.push(Arc::downgrade(&device));
        Ok(device)
    }

    /// Gives the device back to the driver. What runs on it, or is run on it later, fails as on a device
    /// that is lost.
    pub fn destroy(&self) {
        self.device.destroy();
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.iter().filter_map(Weak::upgrade).for_each(|device| device.destroy());
    }

    /// What the device was given and gave back so far.
    pub fn traffic(&self) -> Traffic {
        self.meter.traffic()
    }

    /// The adapter that the device is on.
    pub fn summary(&self) -> &AdapterSummary {
        &self.adapter.summary
    }
}

impl GpuEngine {
    /// What its digits depend on: the same for adapters of the same kind, in words.
    pub fn identity(&self) -> String {
        format!("gpu ({}; {ARITHMETIC})", self.kind())
    }

    fn kind(&self) -> String {
        let kind = if self.summary().is_software() { ", software" } else { "" };
        format!("{}{kind}; {}", self.summary().name, self.summary().driver)
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
        if self.summary().is_software() { 4096 } else { 1 << 16 }
    }

    fn batches_in_flight(&self) -> usize {
        // One is computed, the host is at the others: beside an H200 16 threads took 3.6 s with one under
        // way, 2.3 with two, 2.0 with three; a software adapter takes the host's time itself. The number
        // of the host's threads has no say: steps that adjoints do again depend on chunks' sizes.
        if self.summary().is_software() { 2 } else { 3 }
    }

    fn prepare(&self, step: &StepProgram) -> Result<Box<dyn Kernel>, EngineError> {
        let device = self.device_for(step.program.ops().len())?;
        Ok(Box::new(kernel::GpuKernel::compile(device, step)?))
    }

    fn prepare_reverse(
        &self,
        replay: &StepProgram,
        step: &ReverseStep,
    ) -> Result<Box<dyn ReverseKernel>, EngineError> {
        let device = self.device_for(step.program.ops().len())?;
        Ok(Box::new(reverse::GpuReverseKernel::compile(device, replay, step)?))
    }
}

#[cfg(test)]
mod tests {
    use super::pipeline::{compile_pipeline, layout_of};
    use super::*;

    /// As after a driver has refused a shader, on which wgpu gives the device up.
    #[test]
    fn the_device_of_a_large_program_is_lost_alone() {
        let adapter = match find(None) {
            Ok(adapter) => adapter,
            Err(error) => {
                let required = std::env::var("GRADSWEEP_REQUIRE_GPU").is_ok_and(|v| v == "1");
                assert!(!required, "GRADSWEEP_REQUIRE_GPU=1, but {error}");
                println!("skipped: {error}");
                return;
            }
        };
        let engine = GpuEngine::open(&adapter).unwrap();
        let together = engine.device_for(LARGEST_TOGETHER).unwrap();
        assert!(Arc::ptr_eq(&together, &engine.device));
        let alone = engine.device_for(LARGEST_TOGETHER + 1).unwrap();
        alone.destroy();
        let compile = |device: &Device| {
            let layout = layout_of(&device.handle, &[]);
            let nothing = "@compute @workgroup_size(32) fn main() {}";
            compile_pipeline(device, "nothing", nothing, &layout, 9_000)
        };
        assert!(matches!(compile(&alone), Err(EngineError::Shader { ops: 9_000, .. })));
        compile(&together).unwrap();
        // Devices go with their kernels.
        drop(alone);
        let other = engine.device_for(LARGEST_TOGETHER + 1).unwrap();
        assert_eq!(engine.others.lock().unwrap().len(), 1);
        // The engine's own loss is that of all, later ones included.
        engine.destroy();
        assert!(compile(&together).is_err());
        assert!(compile(&other).is_err());
        assert!(engine.device_for(LARGEST_TOGETHER + 1).is_err());
    }
}
