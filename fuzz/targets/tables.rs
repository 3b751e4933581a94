//! The tables of a problem, all kinds together: see `fuzzing::tables` for how they are marked.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    gradsweep::petab::fuzzing::tables(text);
});
