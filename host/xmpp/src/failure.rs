//! Turns what the library reports while a stream begins into a [`ConnectError`].

use std::collections::BTreeMap;
use std::io;

use parlor_base::escape::printable;
use parlor_config::{LinkSettings, TlsMode};
use tokio_xmpp::xmlstream::RecvFeaturesError;
use xmpp_parsers::stream_error::{DefinedCondition, StreamError};

use super::error::ConnectError;

pub(super) fn features_failure(error: RecvFeaturesError, domain: &str) -> ConnectError {
    match error {
        RecvFeaturesError::Io(error) => io_failure(&error),
        RecvFeaturesError::StreamError(error) => stream_failure(&error.0, domain),
    }
}

pub(super) fn stream_failure(error: &StreamError, domain: &str) -> ConnectError {
    let (condition, elsewhere) = match &error.condition {
        DefinedCondition::SeeOtherHost(place) => ("see-other-host".to_owned(), words(place)),
        condition => (condition.to_string(), None),
    };
    let text = error.get_best_text(Vec::new()).and_then(|(_, text)| words(text));
    ended(&condition, text, elsewhere, domain)
}

/// Returns the error for a stream that the server ended with this condition, and perhaps with a redirect.
pub(super) fn ended(condition: &str, text: Option<String>, elsewhere: Option<String>, domain: &str) -> ConnectError {
    match (condition, elsewhere) {
        (_, Some(place)) => ConnectError::Elsewhere { place },
        ("host-unknown" | "host-gone", None) => ConnectError::HostUnknown { domain: domain.to_owned() },
        (condition, None) => ConnectError::Stream { condition: condition.to_owned(), text },
    }
}

pub(super) fn io_failure(error: &io::Error) -> ConnectError {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error.kind() {
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe => ConnectError::HungUp,
        _ => ConnectError::NotXmpp { cause: printable(&error.to_string()) },
    }
}

/// Turns a hang-up before STARTTLS into [`ConnectError::NoStartTls`] if the owner configured this server or STARTTLS.
/// If only DNS names them, the TLS mode is not what is wrong.
pub(super) fn of_named(error: ConnectError, settings: &LinkSettings, domain: &str) -> ConnectError {
    let is_written = settings.tls == Some(TlsMode::StartTls);
    let place = settings.server.as_ref().map(ToString::to_string).or_else(|| is_written.then(|| domain.to_owned()));
    let cause = match &error {
        ConnectError::HungUp => "it said nothing".to_owned(),
        ConnectError::NotXmpp { cause } => cause.clone(),
        _ => return error,
    };
    place.map_or(error, |place| ConnectError::NoStartTls { place, cause, is_written })
}

/// Returns the text that a server sent with a condition, in English if there are several languages.
pub(super) fn said(texts: &BTreeMap<String, String>) -> Option<String> {
    words(texts.get("en").or_else(|| texts.values().next())?)
}

/// Returns a text without the white space around it, which is layout; `None` if there is no other text.
fn words(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| printable(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_error_is_final_only_where_the_domain_is_wrong() {
        let error = |condition| stream_failure(&StreamError::new(condition, "en", "so\u{1b}rry"), "house");
        assert_eq!(error(DefinedCondition::HostUnknown), ConnectError::HostUnknown { domain: "house".to_owned() });
        assert!(error(DefinedCondition::HostUnknown).is_final() && !error(DefinedCondition::HostUnknown).is_verdict());
        let down = error(DefinedCondition::SystemShutdown);
        assert!(!down.is_final());
        assert_eq!(
            down.to_string(),
            "the server ended the stream: system-shutdown (so\\u{1b}rry); it goes down and is come back to; nothing is to be done"
        );
    }

    #[test]
    fn a_redirect_may_be_broken_into_lines() {
        let error = |place: &str, text: &str| {
            stream_failure(&StreamError::new(DefinedCondition::SeeOtherHost(place.to_owned()), "en", text), "house")
        };
        assert_eq!(error("\n  other:5222\n", "").elsewhere(), Some("other:5222"));
        let nowhere = ConnectError::Stream { condition: "see-other-host".to_owned(), text: Some("moved".to_owned()) };
        assert_eq!(error(" ", "\n  moved\n"), nowhere);
    }
}
