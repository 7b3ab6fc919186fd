//! Fuzzes the text that a plugin passes to `api.send` and `api.send-iq`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| {
    parlor::fuzz::from_a_plugin(input);
});
