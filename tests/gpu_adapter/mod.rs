//! The adapter that GPU tests take.

use gradsweep::engine::gpu::{self, Adapter};

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
