//! SBML with its MathML.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(error) = gradsweep::sbml::read_str(text, "m.xml") {
        assert!(!error.to_string().is_empty());
    }
});
