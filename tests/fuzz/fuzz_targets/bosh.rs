//! Fuzzes an answer from a server over BOSH.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    parlor::fuzz::over_bosh(input);
});
