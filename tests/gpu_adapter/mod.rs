//! The adapter that GPU tests take.

use gradsweep::engine::gpu::{self, Adapter, AdapterSummary};

/// The first usable adapter. Where there is none the reason is printed, or, with
/// `GRADSWEEP_REQUIRE_GPU=1`, the test fails with it.
pub fn adapter() -> Option<Adapter> {
    match gpu::find(None) {
        Ok(adapter) => Some(adapter),
        Err(error) => {
            assert!(
                std::env::var_os("GRADSWEEP_REQUIRE_GPU").is_none_or(|v| v != "1"),
                "GRADSWEEP_REQUIRE_GPU=1, but {error}"
            );
            println!("skipped on the GPU engine: {error}");
            None
        }
    }
}

/// Whether the GPU engine must give the CPU engine's bits there. NVIDIA's does: its quotients, roots and
/// `fma` are rounded once (seen on an H200, driver 580). Mesa's software adapter takes `fma` for two
/// operations.
#[allow(dead_code, reason = "not every test compares engines")]
pub fn gives_bits_of_the_cpu(adapter: &AdapterSummary) -> bool {
    adapter.driver.starts_with("NVIDIA")
}
