//! Buffers that the host reads the device's from, used again and again.
//!
//! The driver pins the memory of each new one, page by page: on an H200's host 77 MiB take 25 ms, the
//! copy from the device 2 ms.

use super::device::Device;
use bytemuck::Pod;
use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

/// Buffers that are kept, and their bytes; the longest unused ones go first.
const MOST_KEPT: usize = 16;
const MOST_BYTES: u64 = 512 << 20;
/// Buffers are made a multiple of so many bytes long, where the device allows it.
const GRAIN: u64 = 1 << 16;

/// Buffers that nobody uses now.
#[derive(Debug, Default)]
pub(super) struct StagingBuffers(Mutex<Vec<wgpu::Buffer>>);

impl StagingBuffers {
    /// A buffer of so many bytes at least: the smallest kept one, if it is not much too large.
    pub(super) fn take(&self, device: &wgpu::Device, bytes: u64) -> wgpu::Buffer {
        let most = device.limits().max_buffer_size;
        let size = bytes.max(1).next_multiple_of(GRAIN).min(most).max(bytes);
        let fitting = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let fitting = (0..kept.len()).filter(|&i| (size..=2 * size).contains(&kept[i].size()));
            fitting.min_by_key(|&i| kept[i].size()).map(|i| kept.remove(i))
        };
        // Making one takes long: others need not wait.
        fitting.unwrap_or_else(|| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("staging"),
                size,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        })
    }

    fn give_back(&self, buffer: wgpu::Buffer) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(buffer);
        let mut bytes: u64 = kept.iter().map(wgpu::Buffer::size).sum();
        let mut going = 0;
        while kept.len() - going > MOST_KEPT || bytes > MOST_BYTES {
            bytes -= kept[going].size();
            going += 1;
        }
        let gone: Vec<wgpu::Buffer> = kept.drain(..going).collect();
        drop(kept);
        // So does giving memory back.
        drop(gone);
    }
}

/// Bytes from the device, in a mapped buffer that is given back when they are dropped.
pub(super) struct HostBytes<'a> {
    device: &'a Device,
    /// None once dropped: the buffer cannot be unmapped while it is viewed.
    view: Option<wgpu::BufferView>,
    buffer: wgpu::Buffer,
}

impl<'a> HostBytes<'a> {
    /// The first bytes of a mapped buffer.
    ///
    /// # Errors
    /// Why it is not mapped.
    pub(super) fn new(
        device: &'a Device,
        buffer: wgpu::Buffer,
        bytes: u64,
    ) -> Result<Self, String> {
        let view = buffer.get_mapped_range(0..bytes).map_err(|error| error.to_string())?;
        Ok(Self { device, view: Some(view), buffer })
    }

    /// The first `count` values.
    pub(super) fn values<T: Pod>(&self, count: usize) -> Cow<'_, [T]> {
        let bytes = self.view.as_deref().map_or(&[][..], |all| &all[..count * size_of::<T>()]);
        // Drivers map to multiples of 64 bytes, but none has to.
        match bytemuck::try_cast_slice(bytes) {
            Ok(values) => Cow::Borrowed(values),
            Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(bytes)),
        }
    }
}

impl Drop for HostBytes<'_> {
    fn drop(&mut self) {
        self.view = None;
        self.buffer.unmap();
        self.device.staging.give_back(self.buffer.clone());
    }
}
