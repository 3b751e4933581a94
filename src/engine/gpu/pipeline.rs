//! Compute pipelines: compiled, or taken from the cache of compiled shaders.

use super::device::{Device, Shaders};
use super::shader::WORKGROUP_SIZE;
use super::shader_cache::ShaderCache;
use super::spirv::spirv;
use crate::engine::EngineError;
use std::path::Path;

/// Compiles a shader whose program has so many operations.
pub(super) fn compile_pipeline(
    device: &Device,
    label: &str,
    source: &str,
    layout: &wgpu::BindGroupLayout,
    ops: usize,
) -> Result<wgpu::ComputePipeline, EngineError> {
    let failed = |reason: String| EngineError::Shader { ops, reason };
    let words = spirv(source).map_err(failed)?;
    let kept = match &device.shaders {
        Shaders::Kept { cache, key } => {
            let file = cache.file(&[key.as_bytes(), bytemuck::cast_slice(&words)]);
            Some((&**cache, file))
        }
        Shaders::Forgotten | Shaders::NotKept(_) => None,
    };
    let opened = device;
    let device = &device.handle;
    let scopes = [
        wgpu::ErrorFilter::Validation,
        wgpu::ErrorFilter::OutOfMemory,
        wgpu::ErrorFilter::Internal,
    ]
    .map(|filter| device.push_error_scope(filter));
    // SAFETY: the words are naga's, of valid WGSL and with bounds checks; their bindings are those of
    // the layout. Every loop ends: the kernels' count to what `run` says, the library's have constant
    // bounds.
    let module = unsafe { shader_module(device, label, words) };
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
    // From the last on: scopes are a stack.
    let errors = scopes.into_iter().rev().map(|scope| pollster::block_on(scope.pop()));
    let errors: Vec<Option<wgpu::Error>> = errors.collect();
    let error = errors.into_iter().flatten().next().map(|error| error.to_string());
    // wgpu gives a device up on which the driver refused a shader, and calls that a lost device.
    match error.or_else(|| opened.failure()) {
        Some(reason) => Err(failed(reason)),
        None => {
            if let (Some((kept, file)), Some(cache), true) = (&kept, &cache, is_new) {
                kept.write(file, &cache.get_data().unwrap_or_default());
            }
            Ok(pipeline)
        }
    }
}

/// A module of SPIR-V for a shader with an entry point called `main`.
///
/// # Safety
/// The words must be a valid module that leaves no buffer and ends.
unsafe fn shader_module(device: &wgpu::Device, label: &str, words: Vec<u32>) -> wgpu::ShaderModule {
    let entry_point = wgpu::PassthroughShaderEntryPoint {
        name: "main".into(),
        workgroup_size: (WORKGROUP_SIZE, 1, 1),
    };
    let descriptor = wgpu::ShaderModuleDescriptorPassthrough {
        label: Some(label),
        entry_points: vec![entry_point].into(),
        spirv: Some(words.into()),
        ..Default::default()
    };
    // SAFETY: as asked of the caller.
    unsafe { device.create_shader_module_passthrough(descriptor) }
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
