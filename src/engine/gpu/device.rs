//! An open device: what kernels share, and what its buffers may take.

use super::adapter::{Adapter, AdapterSummary};
use super::shader::WORKGROUP_SIZE;
use super::shader_cache::ShaderCache;
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
    /// Where compiled shaders are kept, if the adapter gives them out; and what they depend on beside
    /// their source.
    pub(super) shaders: Option<(Arc<ShaderCache>, String)>,
}

/// How to open a device.
#[derive(Debug, Clone, Default)]
pub struct DeviceOptions {
    /// Limits below the adapter's [default: all that it has].
    pub limits: Option<wgpu::Limits>,
    /// Where to keep compiled shaders [default: nowhere].
    pub shader_cache: Option<Arc<ShaderCache>>,
}

impl Device {
    pub(super) fn open(adapter: &Adapter, options: &DeviceOptions) -> Result<Self, EngineError> {
        let limits = options.limits.clone().unwrap_or_else(|| adapter.handle.limits());
        let shaders = options.shader_cache.as_ref().and_then(|cache| {
            let has_cache = adapter.handle.features().contains(wgpu::Features::PIPELINE_CACHE);
            let key = wgpu::util::pipeline_cache_key(&adapter.handle.get_info());
            let key = key.filter(|_| has_cache);
            cache.note_adapter(key.is_some());
            let AdapterSummary { name, driver, .. } = &adapter.summary;
            key.map(|key| (Arc::clone(cache), format!("{key}\n{name}\n{driver}")))
        });
        let of_cache = match shaders {
            Some(_) => wgpu::Features::PIPELINE_CACHE,
            None => wgpu::Features::empty(),
        };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("gradsweep"),
            required_features: wgpu::Features::SHADER_F64 | of_cache,
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
            shaders,
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
