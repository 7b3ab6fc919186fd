//! Checks whether a NATS server can do what parlor needs.

use std::collections::HashMap;

use async_nats::ServerInfo;
use serde::Deserialize;

use crate::error::ConnectError;

/// The lowest version of a server that keeps each stream once, and of one that replicates streams. Earlier ones may
/// accept two writes that expect the same revision.
const OLDEST: &str = "2.9.10";
const OLDEST_WITH_REPLICAS: &str = "2.11.0";

/// The largest message that a server must accept: a record and its headers.
const PAYLOAD: usize = 1024 * 1024;

/// Checks what a server says of itself.
pub(crate) fn check(info: &ServerInfo, replicas: usize) -> Result<(), ConnectError> {
    check_version(&info.version, replicas)?;
    if info.max_payload < PAYLOAD {
        return Err(ConnectError::SmallPayload { found: info.max_payload, needed: PAYLOAD });
    }
    if !info.jetstream {
        return Err(ConnectError::NoJetStream);
    }
    Ok(())
}

/// A server's description of a stream that it leads.
#[derive(Deserialize)]
struct Described {
    config: Settings,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    metadata: HashMap<String, String>,
}

/// Checks the version of the server that leads a stream with so many replicas, by its description of the stream. The node may be
/// connected to another server. From 2.11.0 on, servers name their version there.
pub(crate) fn check_leader(answer: &[u8], replicas: usize) -> Result<(), ConnectError> {
    // The error of a server says nothing of its version.
    let Ok(Described { config }) = serde_json::from_slice(answer) else { return Ok(()) };
    let found = config.metadata.get("_nats.ver").map_or("2.10 or older", String::as_str);
    if replicas > 1 { check_version(found, replicas) } else { Ok(()) }
}

/// Checks that a server of this version never accepts two writes that expect the same revision.
fn check_version(found: &str, replicas: usize) -> Result<(), ConnectError> {
    let needed = if replicas > 1 { OLDEST_WITH_REPLICAS } else { OLDEST };
    if version(found) < version(needed) {
        let found = found.chars().take(32).collect();
        return Err(ConnectError::OldServer { found, needed, replicas });
    }
    Ok(())
}

/// Returns the three numbers of a version. A number that cannot be read is 0, which is too old.
fn version(text: &str) -> [u32; 3] {
    let (plain, _) = text.split_once(['-', '+']).unwrap_or((text, ""));
    let mut numbers = plain.split('.').map(|number| number.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(version: &str) -> ServerInfo {
        ServerInfo { version: version.to_owned(), max_payload: PAYLOAD, jetstream: true, ..ServerInfo::default() }
    }

    #[test]
    fn a_server_must_be_new_enough_for_its_replicas() {
        for old in ["", "x", "2", "2.9.9", "1.99.99", "2.8.10", "-2.9.10"] {
            assert!(matches!(check(&info(old), 1), Err(ConnectError::OldServer { needed: OLDEST, .. })), "{old:?}");
        }
        for new in ["2.9.10", "2.10.0", "2.11.0-preview.1", "3.0", "10.0.0"] {
            assert_eq!(check(&info(new), 1), Ok(()), "{new:?}");
        }
        for old in ["2.9.10", "2.10.29"] {
            let error = check(&info(old), 3).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "the NATS server has version {old}, and 3 replicas of each stream need 2.11.0 or newer, since earlier ones accept \
                     two writes where one must be refused; update NATS on all servers"
                )
            );
        }
        assert_eq!(check(&info("2.11.0"), 3), Ok(()));
    }

    #[test]
    fn a_server_that_leads_a_stream_of_several_must_be_new_enough() {
        let led_by = |version: &str| format!(r#"{{"config":{{"name":"S","metadata":{{"_nats.ver":"{version}"}}}}}}"#);
        for new in ["2.11.0", "2.15.1"] {
            assert_eq!(check_leader(led_by(new).as_bytes(), 3), Ok(()), "{new}");
        }
        for old in [led_by("2.10.29"), r#"{"config":{"name":"S"}}"#.to_owned()] {
            let error = check_leader(old.as_bytes(), 3).unwrap_err();
            assert!(error.to_string().contains("2.10") && check_leader(old.as_bytes(), 1).is_ok(), "{error}");
        }
        assert_eq!(check_leader(br#"{"error":{"code":503}}"#, 3), Ok(()), "none leads now");
    }

    #[test]
    fn a_server_must_have_room_for_a_record_and_a_place_to_keep_it() {
        let small = ServerInfo { max_payload: PAYLOAD - 1, ..info("2.9.10") };
        assert!(matches!(check(&small, 1), Err(ConnectError::SmallPayload { .. })));
        assert_eq!(check(&ServerInfo { jetstream: false, ..info("2.9.10") }, 1), Err(ConnectError::NoJetStream));
    }
}
