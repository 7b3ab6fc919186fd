//! Fuzzes `parlor.toml`, the operator's file.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| {
    let _ = parlor::fuzz::a_configuration(input);
});
