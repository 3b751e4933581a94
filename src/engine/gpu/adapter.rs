//! Finding adapters that compute with 64-bit floats, and opening one.

use super::device::FEATURES;
use crate::engine::EngineError;
use serde::Serialize;

/// What `gradsweep devices` tells of an adapter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdapterSummary {
    pub name: String,
    pub driver: String,
    /// `DiscreteGpu`, `IntegratedGpu`, `VirtualGpu`, `Cpu` (software) or `Other`.
    pub kind: String,
    /// Where it is, e.g. `0000:3b:00.0`; empty where that is not known.
    pub pci: String,
    /// Whether shaders may use 64-bit floats.
    pub has_f64: bool,
    /// Largest storage-buffer binding, in bytes.
    pub max_binding_bytes: u64,
    pub max_storage_buffers: u32,
    pub max_invocations: u32,
    pub max_groups_per_dimension: u32,
}

impl AdapterSummary {
    /// Whether it is a program on the CPU rather than hardware.
    pub fn is_software(&self) -> bool {
        self.kind == "Cpu"
    }
}

/// An adapter and its summary.
#[derive(Debug, Clone)]
pub struct Adapter {
    pub summary: AdapterSummary,
    pub(super) handle: wgpu::Adapter,
}

impl Adapter {
    /// Whether they are the same device model with the same driver.
    fn is_like(&self, other: &Self) -> bool {
        let key = |a: &Self| {
            let info = a.handle.get_info();
            (info.vendor, info.device, info.device_type)
        };
        let of = |a: &Self| (a.summary.name.clone(), a.summary.driver.clone());
        key(self) == key(other) && of(self) == of(other)
    }
}

/// All Vulkan adapters of the machine, hardware before software; empty without a Vulkan loader.
pub fn adapters() -> Vec<Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN;
    descriptor.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(descriptor);
    let handles = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
    let mut list: Vec<Adapter> = handles
        .into_iter()
        .map(|handle| {
            let (info, limits) = (handle.get_info(), handle.limits());
            let summary = AdapterSummary {
                name: info.name,
                driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
                kind: format!("{:?}", info.device_type),
                pci: info.device_pci_bus_id,
                has_f64: handle.features().contains(FEATURES),
                max_binding_bytes: limits.max_storage_buffer_binding_size,
                max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
                max_invocations: limits.max_compute_invocations_per_workgroup,
                max_groups_per_dimension: limits.max_compute_workgroups_per_dimension,
            };
            Adapter { summary, handle }
        })
        .collect();
    let rank = |a: &Adapter| match a.summary.kind.as_str() {
        "DiscreteGpu" => 0,
        "IntegratedGpu" => 1,
        "VirtualGpu" => 2,
        "Cpu" => 4,
        _ => 3,
    };
    list.sort_by_key(rank);
    list
}

/// The first adapter with 64-bit floats; whose name, or if there is none, whose place contains `name`
/// (any case), if one is given.
pub fn find(name: Option<&str>) -> Result<Adapter, EngineError> {
    Ok(find_alike(name, 1)?.remove(0))
}

/// The first `most` adapters at most that are of one kind, so that it does not matter for any digit
/// which of them computes: [`find`]'s and those after it, then those before it.
pub fn find_alike(name: Option<&str>, most: usize) -> Result<Vec<Adapter>, EngineError> {
    let all = adapters();
    let seen: Vec<String> = all.iter().map(|a| a.summary.name.clone()).collect();
    let mut usable: Vec<Adapter> = all.into_iter().filter(|a| a.summary.has_f64).collect();
    let first = match name {
        Some(name) => {
            let wanted = name.to_lowercase();
            let is_meant = |text: &str| text.to_lowercase().contains(&wanted);
            let by_name = usable.iter().position(|a| is_meant(&a.summary.name));
            let by_place = || usable.iter().position(|a| is_meant(&a.summary.pci));
            by_name
                .or_else(by_place)
                .ok_or_else(|| EngineError::NoSuchAdapter { name: name.to_owned() })?
        }
        None if usable.is_empty() => {
            let searched =
                (!seen.is_empty()).then(|| format!("adapters without: {}", seen.join(", ")));
            return Err(EngineError::NoAdapter { searched });
        }
        None => 0,
    };
    usable.rotate_left(first);
    let mut alike: Vec<Adapter> = Vec::new();
    for adapter in usable {
        let is_twin =
            |a: &Adapter| !a.summary.pci.is_empty() && a.summary.pci == adapter.summary.pci;
        let is_alike = alike.first().is_none_or(|first| first.is_like(&adapter));
        // A machine may have two drivers' files for one device.
        if alike.len() < most.max(1) && is_alike && !alike.iter().any(is_twin) {
            alike.push(adapter);
        }
    }
    Ok(alike)
}
