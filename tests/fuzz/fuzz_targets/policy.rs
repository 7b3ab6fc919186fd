//! Fuzzes reading and changing `plugins.toml`, the owner's file.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| {
    let _ = parlor::fuzz::a_policy(input);
});
