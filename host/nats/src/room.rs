//! The errors of a server that has no room, which stay until somebody makes room.

/// The server has reached `max_file_store`, or its disk is full.
const SERVER: u32 = 10_023;
/// The stream has reached a limit of its own, or could not be stored.
const STREAM: u32 = 10_077;
/// The account of NATS has reached its `max_file`.
const ACCOUNT: u32 = 10_002;

/// Returns whether NATS has no room for a write. These errors have the status of what passes by itself, and do not pass.
pub(crate) fn is_full(code: u32) -> bool {
    [SERVER, STREAM, ACCOUNT].contains(&code)
}

/// Returns what an owner can do about an error of this number.
pub(crate) fn remedy(code: u32) -> &'static str {
    match code {
        SERVER => "NATS has no room: raise max_file_store of its JetStream, or make room on its disk",
        STREAM => {
            "NATS has no room there: raise the limit of the stream (max_bytes), or max_file_store of JetStream, or make room on the disk"
        }
        ACCOUNT => "the account of NATS has no room: raise its max_file in the configuration of NATS",
        _ => "check the room and the limits of its streams",
    }
}

#[cfg(test)]
mod tests {
    use crate::PutError;

    #[test]
    fn a_server_without_room_is_named_with_the_setting_that_makes_room() {
        let says = |code| PutError::Server { code, description: "insufficient resources".to_owned() }.to_string();
        assert_eq!(
            says(10_023),
            "NATS refused a write: \"insufficient resources\" (error 10023); NATS has no room: raise max_file_store of its JetStream, or make \
             room on its disk"
        );
        for (code, setting) in [(10_077, "max_bytes"), (10_002, "max_file "), (10_054, "limits")] {
            assert!(says(code).contains(setting), "{}", says(code));
        }
    }
}
