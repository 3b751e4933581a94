//! An open device: what kernels share, and what its buffers may take.

use super::adapter::{Adapter, AdapterSummary};
use super::pipeline::gives_shaders_out;
use super::shader::WORKGROUP_SIZE;
use super::shader_cache::ShaderCache;
use super::staging::StagingBuffers;
use super::traffic::Meter;
use crate::engine::EngineError;
use bytemuck::Pod;
use std::sync::{Arc, Mutex, PoisonError};

/// What every device must have.
pub(super) const FEATURES: wgpu::Features =
    wgpu::Features::SHADER_F64.union(wgpu::Features::PASSTHROUGH_SHADERS);
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
    pub(super) shaders: Shaders,
    pub(super) staging: StagingBuffers,
    pub(super) meter: Arc<Meter>,
}

/// What is done with compiled shaders.
#[derive(Debug, Clone)]
pub(super) enum Shaders {
    /// Nobody asked to keep them.
    Forgotten,
    /// They cannot be kept, for a reason.
    NotKept(String),
    Kept {
        cache: Arc<ShaderCache>,
        /// What they depend on beside their source.
        key: String,
    },
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
    pub(super) fn open(
        adapter: &Adapter,
        options: &DeviceOptions,
        meter: Arc<Meter>,
    ) -> Result<Self, EngineError> {
        let limits = options.limits.clone().unwrap_or_else(|| adapter.handle.limits());
        let has_cache = adapter.handle.features().contains(wgpu::Features::PIPELINE_CACHE);
        let of_cache = match (&options.shader_cache, has_cache) {
            (Some(_), true) => wgpu::Features::PIPELINE_CACHE,
            _ => wgpu::Features::empty(),
        };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("gradsweep"),
            required_features: FEATURES | of_cache,
            required_limits: limits.clone(),
            ..Default::default()
        };
        let (handle, queue) = pollster::block_on(adapter.handle.request_device(&descriptor))
            .map_err(|error| EngineError::NoDevice {
                adapter: adapter.summary.name.clone(),
                reason: error.to_string(),
            })?;
        let AdapterSummary { name, driver, .. } = &adapter.summary;
        let key = wgpu::util::pipeline_cache_key(&adapter.handle.get_info());
        let shaders = match (&options.shader_cache, key.filter(|_| has_cache)) {
            (None, _) => Shaders::Forgotten,
            (_, None) => Shaders::NotKept("the adapter has no pipeline cache".to_owned()),
            (Some(cache), _) if !gives_shaders_out(&handle, cache) => {
                Shaders::NotKept("the driver gives none out".to_owned())
            }
            (Some(cache), Some(key)) => match cache.open() {
                Err(reason) => Shaders::NotKept(reason),
                Ok(()) => {
                    let key = format!("{key}\n{name}\n{driver}");
                    Shaders::Kept { cache: Arc::clone(cache), key }
                }
            },
        };
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
            staging: StagingBuffers::default(),
            meter,
        })
    }

    /// Gives the device back to the driver: what runs on it fails.
    pub(super) fn destroy(&self) {
        let text = "device destroyed".to_owned();
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
        self.handle.destroy();
    }

    /// The first uncaught error.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fails with the first uncaught error, if there was one.
    pub(super) fn check(&self, lanes: usize) -> Result<(), EngineError> {
        match self.failure() {
            Some(reason) => Err(EngineError::Device { lanes, reason }),
            None => Ok(()),
        }
    }

    /// Writes to the start of a buffer.
    pub(super) fn write<T: Pod>(&self, buffer: &wgpu::Buffer, data: &[T]) {
        self.write_at(buffer, 0, data);
    }

    /// Writes to a buffer from a byte on.
    pub(super) fn write_at<T: Pod>(&self, buffer: &wgpu::Buffer, offset: u64, data: &[T]) {
        Meter::add(&self.meter.uploaded, size_of_val(data) as u64);
        self.queue.write_buffer(buffer, offset, bytemuck::cast_slice(data));
    }

    /// Waits for a submission, and for nothing that was submitted after it.
    pub(super) fn wait(
        &self,
        lanes: usize,
        submission: wgpu::SubmissionIndex,
    ) -> Result<(), EngineError> {
        let until = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        let polled = self.handle.poll(until);
        // Why the device was lost, rather than that there is nothing left to wait for.
        self.check(lanes)?;
        match polled {
            Ok(_) => Ok(()),
            Err(error) => Err(EngineError::Device { lanes, reason: error.to_string() }),
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
