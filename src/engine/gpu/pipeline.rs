//! Compute pipelines: compiled, or taken from the cache of compiled shaders.

use super::device::{Device, Shaders};
use super::shader_cache::ShaderCache;
use crate::engine::EngineError;
use std::path::Path;

/// Compiles a shader whose program has so many operations.
pub(super) fn compile_pipeline(
    device: &Device,
    label: &str,
    source: String,
    layout: &wgpu::BindGroupLayout,
    ops: usize,
) -> Result<wgpu::ComputePipeline, EngineError> {
    let kept = match &device.shaders {
        Shaders::Kept { cache, key } => Some((&**cache, cache.file(&[key, &source]))),
        Shaders::Forgotten | Shaders::NotKept(_) => None,
    };
    let device = &device.handle;
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    };
    // Bounds checks stay on; the loops' own counters bound them.
    let checks = wgpu::ShaderRuntimeChecks {
        force_loop_bounding: false,
        ..wgpu::ShaderRuntimeChecks::checked()
    };
    // SAFETY: without forced loop bounding every loop of the shader must end. The kernels' loops
    // count to what `run` says; the library's loops have constant bounds.
    let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(label),
        bind_group_layouts: &[Some(layout)],
        ..Default::default()
    });
    let (cache, is_new) = match &kept {
        Some((cache, file)) => pipeline_cache(device, cache, file),
        None => (None, false),
    };
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(label),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: Default::default(),
        cache: cache.as_ref(),
    });
    let errors = [pollster::block_on(internal.pop()), pollster::block_on(scope.pop())];
    match errors.into_iter().flatten().next() {
        Some(error) => Err(EngineError::Shader { ops, reason: error.to_string() }),
        None => {
            if let (Some((kept, file)), Some(cache), true) = (&kept, &cache, is_new) {
                kept.write(file, &cache.get_data().unwrap_or_default());
            }
            Ok(pipeline)
        }
    }
}

/// A cache for one pipeline, filled from a file where that is there and suits the driver; and whether
/// it is to be written. None where the driver gives none.
fn pipeline_cache(
    device: &wgpu::Device,
    kept: &ShaderCache,
    file: &Path,
) -> (Option<wgpu::PipelineCache>, bool) {
    let filled = kept.read(file).and_then(|data| {
        // SAFETY: the data is what `get_data` gave for this shader, adapter and driver: the file's
        // name says of what it is, its digest that it is whole, and only the user may write it.
        unsafe { new_cache(device, Some(&data)) }
    });
    match filled {
        Some(cache) => (Some(cache), false),
        // SAFETY: there is no data.
        None => (unsafe { new_cache(device, None) }, true),
    }
}

/// A pipeline cache; none where the driver refuses the data, or has no memory.
///
/// # Safety
/// The data must come from `get_data` of a cache of this adapter and driver.
unsafe fn new_cache(device: &wgpu::Device, data: Option<&[u8]>) -> Option<wgpu::PipelineCache> {
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let descriptor = wgpu::PipelineCacheDescriptor { label: None, data, fallback: false };
    // SAFETY: as asked of the caller.
    let cache = unsafe { device.create_pipeline_cache(&descriptor) };
    let errors = [pollster::block_on(memory.pop()), pollster::block_on(scope.pop())];
    match errors.into_iter().flatten().next() {
        Some(error) => {
            tracing::info!("pipeline cache: {error}");
            None
        }
        None => Some(cache),
    }
}

/// Whether the driver gives compiled shaders out, as one with software caches need not: tried with a
/// shader that does nothing. The device must have been opened with pipeline caches.
pub(super) fn gives_shaders_out(device: &wgpu::Device, kept: &ShaderCache) -> bool {
    // SAFETY: there is no data.
    let Some(cache) = (unsafe { new_cache(device, None) }) else { return false };
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("nothing"),
        source: wgpu::ShaderSource::Wgsl("@compute @workgroup_size(1) fn main() {}".into()),
    });
    let _compiled = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("nothing"),
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: Default::default(),
        cache: Some(&cache),
    });
    let error = pollster::block_on(scope.pop());
    error.is_none() && cache.get_data().is_some_and(|data| kept.is_worth_keeping(&data))
}

/// A layout of buffers of these types.
pub(super) fn layout_of(
    device: &wgpu::Device,
    types: &[wgpu::BufferBindingType],
) -> wgpu::BindGroupLayout {
    let entries: Vec<wgpu::BindGroupLayoutEntry> = types
        .iter()
        .zip(0..)
        .map(|(&ty, binding)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        })
        .collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: None,
        entries: &entries,
    })
}
