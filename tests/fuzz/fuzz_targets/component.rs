//! A plugin's file, before anything of it is compiled.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = parlor::fuzz::a_component(input);
});
