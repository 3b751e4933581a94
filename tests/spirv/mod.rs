//! SPIR-V of WGSL sources, and what `spirv-val` says of it.

use gradsweep::engine::gpu;
use std::io::Write;
use std::process::{Command, Stdio};

/// The SPIR-V of a kernel as drivers are given it.
pub fn spirv(source: &str) -> Vec<u8> {
    let words = gpu::spirv(source).unwrap_or_else(|error| panic!("{error}"));
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// What `spirv-val` says against the module; `None` if there is no such program.
pub fn spirv_val(module: &[u8]) -> Option<Result<(), String>> {
    let mut command = Command::new("spirv-val");
    command.args(["--target-env", "vulkan1.1", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        println!("skipped: no spirv-val on the PATH");
        return None;
    };
    child.stdin.take().expect("a pipe").write_all(module).expect("spirv-val reads its input");
    let output = child.wait_with_output().expect("spirv-val ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Some(if output.status.success() { Ok(()) } else { Err(said) })
}
