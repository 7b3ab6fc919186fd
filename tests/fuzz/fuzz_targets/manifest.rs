//! Fuzzes the plugin manifest, which an author writes.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| {
    let _ = parlor::fuzz::a_manifest(input);
});
