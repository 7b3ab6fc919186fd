//! Text from a plugin: what `api.send` and `api.send-iq` make of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| {
    parlor::fuzz::from_a_plugin(input);
});
