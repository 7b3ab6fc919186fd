//! Fuzzes a state of OMEMO's, as it is kept on disk.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = parlor::fuzz::an_omemo_state(input);
});
