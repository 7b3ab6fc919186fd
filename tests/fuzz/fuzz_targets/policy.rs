//! The owner's file, read and changed.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| {
    let _ = parlor::fuzz::a_policy(input);
});
