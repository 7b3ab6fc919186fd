//! Fuzzes a text that may be one of off-the-record messaging.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| {
    let _ = parlor::fuzz::an_otr_text(input);
});
