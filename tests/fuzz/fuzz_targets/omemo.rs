//! Fuzzes a message of OMEMO's for one device, as somebody else may write it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = parlor::fuzz::an_omemo_message(input);
});
