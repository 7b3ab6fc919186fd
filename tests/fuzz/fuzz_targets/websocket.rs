//! Fuzzes a message from a server over WebSocket.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| {
    parlor::fuzz::over_websocket(input);
});
