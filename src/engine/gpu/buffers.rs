//! Device buffers: made, filled and read back.

use super::device::Device;
use super::staging::HostBytes;
use super::traffic::Meter;
use crate::engine::EngineError;
use bytemuck::Pod;
use std::sync::mpsc;
use std::time::Duration;
use wgpu::BufferUsages as Usage;

/// How long to wait for a buffer that another thread maps before looking for oneself.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// A storage buffer that starts with `data`; one zero where `data` is empty, since bindings may
/// not be.
pub(super) fn filled<T: Pod>(device: &Device, label: &str, data: &[T]) -> wgpu::Buffer {
    let buffer = empty(device, label, size_of_val(data) as u64);
    if !data.is_empty() {
        device.write(&buffer, data);
    }
    buffer
}

/// A storage buffer of zeros, at least eight bytes.
pub(super) fn empty(device: &Device, label: &str, bytes: u64) -> wgpu::Buffer {
    device.handle.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: bytes.next_multiple_of(8).max(8),
        usage: Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST,
        mapped_at_creation: false,
    })
}

/// A uniform buffer that starts with `data`.
pub(super) fn uniform<T: Pod>(device: &Device, label: &str, data: &[T]) -> wgpu::Buffer {
    let buffer = device.handle.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: size_of_val(data) as u64,
        usage: Usage::UNIFORM | Usage::COPY_DST,
        mapped_at_creation: false,
    });
    device.write(&buffer, data);
    buffer
}

/// Bytes of a buffer to copy to the host.
pub(super) struct Request<'a> {
    pub(super) buffer: &'a wgpu::Buffer,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// Copies parts of buffers to the host, in one submission.
pub(super) fn read_back<'a>(
    device: &'a Device,
    lanes: usize,
    requests: &[Request<'_>],
) -> Result<Vec<HostBytes<'a>>, EngineError> {
    let mut encoder = device.handle.create_command_encoder(&Default::default());
    let staging: Vec<wgpu::Buffer> = requests
        .iter()
        .map(|&Request { buffer, offset, bytes }| {
            let target = device.staging.take(&device.handle, bytes);
            encoder.copy_buffer_to_buffer(buffer, offset, &target, 0, bytes);
            target
        })
        .collect();
    let submission = device.queue.submit([encoder.finish()]);
    let failed = |reason: String| EngineError::Device { lanes, reason };
    let (mapped, all_mapped) = mpsc::channel();
    for buffer in &staging {
        let mapped = mapped.clone();
        // Its error comes out of the range access below; nobody listens once the device has failed.
        buffer.map_async(wgpu::MapMode::Read, .., move |_| mapped.send(()).unwrap_or(()));
    }
    device.wait(lanes, submission)?;
    // Another thread may be about to map them: it waited for the same device.
    for _ in &staging {
        while all_mapped.recv_timeout(POLL_INTERVAL).is_err() {
            device.handle.poll(wgpu::PollType::Poll).map_err(|e| failed(e.to_string()))?;
            device.check(lanes)?;
        }
    }
    let bytes = requests.iter().map(|request| request.bytes).sum();
    Meter::add(&device.meter.downloaded, bytes);
    staging
        .into_iter()
        .zip(requests)
        .map(|(buffer, request)| HostBytes::new(device, buffer, request.bytes).map_err(failed))
        .collect()
}
