//! Fuzzes a plugin's file, as it is read before anything is compiled.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = parlor::fuzz::a_component(input);
});
