//! The files of a sweep's folder: see `report::fuzzing::folder` for how they are marked.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

/// One for each process.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("gradsweep-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    folder
});

libfuzzer_sys::fuzz_target!(|text: &str| {
    gradsweep::report::fuzzing::folder(text, &FOLDER).expect("a folder that can be written");
});
