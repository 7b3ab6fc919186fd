//! Fuzzes bytes from a server, through the intake and the decoder.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    parlor::fuzz::from_the_server(input);
});
