//! Fuzzes a request on the control socket.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = parlor::fuzz::a_request(input);
});
