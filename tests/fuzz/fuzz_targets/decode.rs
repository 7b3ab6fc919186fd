//! Bytes from a server: through the intake and the decoder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    parlor::xmpp::fuzz::from_the_server(bytes);
});
