//! The problem file.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    gradsweep::petab::fuzzing::problem_file(text);
});
