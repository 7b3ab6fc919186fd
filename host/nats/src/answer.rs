//! The answers of a server, which are JSON objects.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use parlor_cluster::Revision;
use serde::Deserialize;

use crate::error::PutError;
use crate::room::is_full;

/// How long an answer may take on which a lease depends. After that, the outcome is unknown.
pub(crate) const LEASE_ANSWER: Duration = Duration::from_millis(300);
/// How long another answer may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);
/// The largest answer to a request for a message, which comes in Base64: no stream accepts more than a mebibyte.
const MOST_IN_AN_ANSWER: usize = (1024 * 1024 + 64 * 1024) / 3 * 4;

/// The errors of a stream whose last record has another revision. Of several servers, the one that leads answers with the second one while
/// it has the others write another record of the same subject.
const WRONG_LAST: [u32; 2] = [10_071, 10_164];
/// The error of a subject without a record.
const NO_MESSAGE: u32 = 10_037;
/// The status of a server that cannot do something now.
const UNAVAILABLE: u16 = 503;

/// An error in an answer.
#[derive(Debug, Deserialize)]
struct ApiError {
    code: u16,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

impl ApiError {
    fn into_put(self) -> PutError {
        PutError::Server { code: self.err_code, description: self.description.chars().take(200).collect() }
    }

    /// Returns whether the server may do it in a moment.
    fn is_passing(&self) -> bool {
        self.code == UNAVAILABLE && !is_full(self.err_code)
    }
}

#[derive(Deserialize)]
struct Acknowledgement {
    seq: Option<Revision>,
    stream: Option<String>,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct Removal {
    #[serde(default)]
    success: bool,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct Found {
    message: Option<StoredText>,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct StoredText {
    subject: String,
    seq: Revision,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
}

/// A message of a stream.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) revision: Revision,
    pub(crate) headers: String,
    pub(crate) body: Bytes,
}

/// The answer to a request for a message.
#[derive(Debug)]
pub(crate) enum Last {
    None,
    Stored(Stored),
    /// It is larger than any that parlor writes. Its revision is not known.
    TooLarge,
    /// It is not what a server answers.
    Strange,
    /// The server has no such stream, or may not say.
    Failed(PutError),
}

/// Returns the revision of a write that the server made.
pub(crate) fn acknowledged(stream: &str, answer: &[u8]) -> Result<Revision, PutError> {
    match serde_json::from_slice(answer) {
        Ok(Acknowledgement { error: Some(error), .. }) if WRONG_LAST.contains(&error.err_code) => {
            Err(PutError::Refused)
        }
        Ok(Acknowledgement { error: Some(error), .. }) if error.is_passing() => Err(PutError::Unknown),
        Ok(Acknowledgement { error: Some(error), .. }) => Err(error.into_put()),
        Ok(Acknowledgement { seq: Some(revision), stream: Some(found), error: None }) if found == stream => {
            Ok(revision)
        }
        // Another client answered, so it is unknown whether the server wrote the record.
        _ => Err(PutError::Unknown),
    }
}

/// Returns whether the server removed a message.
pub(crate) fn removed(answer: &[u8]) -> Result<(), PutError> {
    match serde_json::from_slice(answer) {
        Ok(Removal { error: Some(error), .. }) => Err(error.into_put()),
        Ok(Removal { success: true, error: None }) => Ok(()),
        _ => Err(PutError::Unknown),
    }
}

/// Returns the message that was asked for; `None` if the server cannot say now.
pub(crate) fn found(subject: &str, answer: &[u8]) -> Option<Last> {
    if answer.len() > MOST_IN_AN_ANSWER {
        return Some(Last::TooLarge);
    }
    match serde_json::from_slice(answer) {
        Ok(Found { error: Some(error), .. }) if error.err_code == NO_MESSAGE => Some(Last::None),
        Ok(Found { error: Some(error), .. }) if error.is_passing() => None,
        Ok(Found { error: Some(error), .. }) => Some(Last::Failed(error.into_put())),
        Ok(Found { message: Some(message), error: None }) if message.subject == subject => Some(stored(&message)),
        _ => Some(Last::Strange),
    }
}

/// Returns the revision of the message that was asked for; 0 if there is none. The message may have any subject. Returns `None` if the
/// server cannot say now.
pub(crate) fn revision_of(answer: &[u8]) -> Option<Revision> {
    match serde_json::from_slice(answer) {
        Ok(Found { error: Some(error), .. }) => (error.err_code == NO_MESSAGE).then_some(0),
        Ok(Found { message: Some(message), error: None }) => Some(message.seq),
        _ => None,
    }
}

fn stored(message: &StoredText) -> Last {
    match (STANDARD.decode(&message.hdrs), STANDARD.decode(&message.data)) {
        (Ok(headers), Ok(body)) => {
            // Another program may have written anything there.
            let headers = String::from_utf8_lossy(&headers).into_owned();
            Last::Stored(Stored { revision: message.seq, headers, body: body.into() })
        }
        _ => Last::Strange,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_stream_itself_acknowledges() {
        let of = |text: &str| acknowledged("S", text.as_bytes());
        assert_eq!(of(r#"{"stream":"S","seq":7}"#), Ok(7));
        assert_eq!(of(r#"{"stream":"T","seq":7}"#), Err(PutError::Unknown));
        assert_eq!(of(r#"{"seq":7}"#), Err(PutError::Unknown));
        assert_eq!(of("seven"), Err(PutError::Unknown));
        let error = |code, err_code| {
            format!(r#"{{"error":{{"code":{code},"err_code":{err_code},"description":"d"}},"stream":"S"}}"#)
        };
        for code in [10_071, 10_164] {
            assert_eq!(of(&error(400, code)), Err(PutError::Refused));
        }
        assert_eq!(of(&error(503, 10_008)), Err(PutError::Unknown));
        for (status, code) in [(400, 10_054), (503, 10_023), (503, 10_077)] {
            assert_eq!(of(&error(status, code)), Err(PutError::Server { code, description: "d".to_owned() }));
        }
    }

    #[test]
    fn a_message_is_removed_once_the_server_says_so() {
        let of = |text: &str| removed(text.as_bytes());
        assert_eq!(of(r#"{"success":true}"#), Ok(()));
        let gone = PutError::Server { code: 10_057, description: "d".to_owned() };
        assert_eq!(of(r#"{"error":{"code":500,"err_code":10057,"description":"d"},"success":false}"#), Err(gone));
        for strange in [r#"{"success":false}"#, "{}", "true", ""] {
            assert_eq!(of(strange), Err(PutError::Unknown), "{strange}");
        }
    }

    #[test]
    fn the_last_message_of_several_subjects_has_a_revision_whatever_its_subject_is() {
        let of = |text: &str| revision_of(text.as_bytes());
        assert_eq!(of(r#"{"message":{"subject":"s.t","seq":7,"data":"YQ=="}}"#), Some(7));
        assert_eq!(of(r#"{"error":{"code":404,"err_code":10037,"description":"no message found"}}"#), Some(0));
        for unknown in [r#"{"error":{"code":503,"err_code":10008,"description":"d"}}"#, "{}", ""] {
            assert_eq!(of(unknown), None, "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_may_be_an_answer(answer in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = acknowledged("S", &answer);
            let _ = removed(&answer);
            let _ = found("s", &answer);
            let _ = revision_of(&answer);
        }
    }
}
