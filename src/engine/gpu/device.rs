//! An open device: what kernels share, and what its buffers may take.

use super::adapter::Adapter;
use super::shader::WORKGROUP_SIZE;
use crate::engine::EngineError;
use std::sync::{Arc, Mutex, PoisonError};

/// Device memory that a group of lanes may take in any one buffer, whatever the adapter allows.
const LARGEST_BUFFER: u64 = 256 << 20;

#[derive(Debug)]
pub(super) struct Device {
    pub(super) handle: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    /// Largest buffer to use and to bind, in bytes.
    pub(super) largest_buffer: u64,
    /// Workgroups of a dispatch along one dimension.
    max_groups: u32,
    /// The first error that no scope caught, e.g. a lost device.
    failure: Arc<Mutex<Option<String>>>,
}

impl Device {
    /// Opens a device within some limits: by default all that the adapter has.
    pub(super) fn open(
        adapter: &Adapter,
        limits: Option<wgpu::Limits>,
    ) -> Result<Self, EngineError> {
        let limits = limits.unwrap_or_else(|| adapter.handle.limits());
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("gradsweep"),
            required_features: wgpu::Features::SHADER_F64,
            required_limits: limits.clone(),
            ..Default::default()
        };
        let (handle, queue) = pollster::block_on(adapter.handle.request_device(&descriptor))
            .map_err(|error| EngineError::NoDevice {
                adapter: adapter.summary.name.clone(),
                reason: error.to_string(),
            })?;
        let failure = Arc::new(Mutex::new(None));
        let note = |failure: &Arc<Mutex<Option<String>>>, text: String| {
            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
        };
        let uncaught = Arc::clone(&failure);
        handle.on_uncaptured_error(Arc::new(move |error| note(&uncaught, error.to_string())));
        let lost = Arc::clone(&failure);
        handle.set_device_lost_callback(move |reason, text| {
            // Dropping the device at the end of the program is no loss.
            if reason != wgpu::DeviceLostReason::Destroyed {
                note(&lost, format!("device lost: {text}"));
            }
        });
        Ok(Self {
            handle,
            queue,
            largest_buffer: limits
                .max_storage_buffer_binding_size
                .min(limits.max_buffer_size)
                .min(LARGEST_BUFFER),
            max_groups: limits.max_compute_workgroups_per_dimension,
            failure,
        })
    }

    /// Fails with the first uncaught error, if there was one.
    pub(super) fn check(&self, lanes: usize) -> Result<(), EngineError> {
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(reason) => Err(EngineError::Device { lanes, reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Most lanes of a dispatch.
    pub(super) fn most_lanes(&self) -> usize {
        let groups = u64::from(self.max_groups).pow(2);
        usize::try_from(groups * u64::from(WORKGROUP_SIZE)).unwrap_or(usize::MAX)
    }

    /// Workgroups along both dimensions that a dispatch of so many lanes takes.
    pub(super) fn workgroups(&self, lanes: usize) -> [u32; 2] {
        let groups = lanes.div_ceil(WORKGROUP_SIZE as usize) as u32;
        let x = groups.min(self.max_groups);
        [x, groups.div_ceil(x)]
    }
}
