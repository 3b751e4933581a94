//! `gradsweep devices`.

use super::CliError;
use crate::engine::Engine;
use crate::engine::cpu::CpuEngine;
use crate::engine::gpu;
use clap::Args;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// List Vulkan adapters: whether they have 64-bit floats, and their limits.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gradsweep devices    adapters, the ones without 64-bit floats included"
)]
pub struct Arguments {}

pub(super) fn run(_: &Arguments) -> Result<ExitCode, CliError> {
    let mut text = format!("engine cpu: {}\n", CpuEngine.describe());
    let adapters = gpu::adapters();
    if adapters.is_empty() {
        text.push_str("engine gpu: no Vulkan adapter\n");
    }
    for adapter in adapters {
        let s = adapter.summary;
        let place = match s.pci.as_str() {
            "" => String::new(),
            pci => format!("  place                 {pci}\n"),
        };
        text.push_str(&format!(
            "engine gpu: {}\n{place}  driver                {}\n  kind                  {}\n  \
             64-bit floats         {}\n  storage binding       {} MiB\n  \
             storage buffers       {}\n  workgroup invocations {}\n  workgroups            {}\n",
            s.name,
            s.driver,
            if s.is_software() { "software" } else { s.kind.as_str() },
            if s.has_f64 { "yes" } else { "no (cannot be used)" },
            s.max_binding_bytes >> 20,
            s.max_storage_buffers,
            s.max_invocations,
            s.max_groups_per_dimension,
        ));
    }
    std::io::stdout().write_all(text.as_bytes()).map_err(CliError::output(Path::new("-")))?;
    Ok(ExitCode::SUCCESS)
}
