//! PEtab math.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    gradsweep::petab::fuzzing::formula(text);
});
