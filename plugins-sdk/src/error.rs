//! The error of a call, as a value that `?` carries and people can read.

use std::fmt;
use std::panic::Location;

use crate::bindings::parlor::plugin::types as wit;
use crate::failure::at;
use crate::types::StanzaError;

/// The result of a call to the host, and of everything in a plugin that calls it.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of a call. Nothing was sent unless the case says so.
///
/// `?` makes one of a number, a text or a time that cannot be read, too; `.map_err(Error::other)?` of any other error.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # async fn example() -> Result<()> {
/// match chats::send("juliet@example.org", "hello").await {
///     Ok(_) => info!("sent"),
///     Err(Error::Offline) => info!("later, then"),
///     Err(error) if error.is_denied() => warn!("ask the owner: {}", error.hint().unwrap_or_default()),
///     Err(error) => return Err(error),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The owner did not grant it.
    Denied {
        /// The permission, such as `messages.send`.
        permission: String,
        /// The scope that the grant would have to cover, such as a JID.
        scope: Option<String>,
        /// The command or the line with which the owner allows it.
        hint: String,
    },
    /// An argument is wrong.
    Invalid {
        /// The argument's name as the contract spells it.
        argument: String,
        /// The reason.
        reason: String,
    },
    /// The thing of this name does not exist.
    NotFound(String),
    /// It is too early: wait for the promise of this name first.
    NotReady(String),
    /// The host, or the server, cannot do that.
    Unsupported(String),
    /// It was sent, and the other side answered with an error.
    Stanza(Box<StanzaError>),
    /// The promise was rejected, for this reason.
    Rejected(String),
    /// It was sent, but no answer was received in time. Or the future in [`timers::within`](crate::timers::within) did
    /// not end in time.
    TimedOut,
    /// The account has no session with the server. A lost connection mostly keeps the session: sent stanzas wait
    /// meanwhile.
    Offline,
    /// The plugin or the session that the call waited for has ended.
    Stopped,
    /// A limit of this plugin is used up.
    OverLimit(String),
    /// The web server cannot be reached.
    Unreachable(String),
    /// No trusted connection to it is possible.
    Tls(String),
    /// The web server violates the HTTP protocol.
    Protocol(String),
    /// Any other error, including a plugin's own errors.
    Other(String),
}

impl Error {
    /// An error of the plugin's own. The log names the line that made it.
    #[track_caller]
    pub fn other(reason: impl fmt::Display) -> Self {
        at(Self::Other(reason.to_string()), Location::caller())
    }

    /// An argument that is wrong, and why. The log names the line that made it.
    #[track_caller]
    pub fn invalid(argument: impl Into<String>, reason: impl fmt::Display) -> Self {
        at(Self::Invalid { argument: argument.into(), reason: reason.to_string() }, Location::caller())
    }

    /// Whether a grant of the owner is missing.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }

    /// Whether the same call may well work later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::NotReady(_) | Self::TimedOut | Self::Offline | Self::Unreachable(_) => true,
            Self::Stanza(error) => error.kind == "wait",
            _ => false,
        }
    }

    /// Returns the line with which the owner would allow the call, if a grant is missing.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Denied { hint, .. } => Some(hint),
            _ => None,
        }
    }

    /// The condition that the other side answered, such as `item-not-found` (RFC 6120, section 8.3.3).
    pub fn condition(&self) -> Option<&str> {
        match self {
            Self::Stanza(error) => Some(&error.condition),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { permission, scope: Some(scope), .. } => write!(f, "not granted: {permission} for {scope}"),
            Self::Denied { permission, scope: None, .. } => write!(f, "not granted: {permission}"),
            Self::Invalid { argument, reason } => write!(f, "invalid {argument}: {reason}"),
            Self::NotFound(what) => write!(f, "not found: {what}"),
            Self::NotReady(promise) => write!(f, "not ready: wait for {promise}"),
            Self::Unsupported(what) => write!(f, "unsupported: {what}"),
            Self::Stanza(error) => match &error.text {
                Some(text) => write!(f, "{}: {text}", error.condition),
                None => f.write_str(&error.condition),
            },
            Self::Rejected(reason) => write!(f, "rejected: {reason}"),
            Self::TimedOut => f.write_str("no answer came in time"),
            Self::Offline => f.write_str("offline"),
            Self::Stopped => f.write_str("stopped"),
            Self::OverLimit(limit) => write!(f, "over limit: {limit}"),
            Self::Unreachable(reason) | Self::Tls(reason) | Self::Protocol(reason) | Self::Other(reason) => {
                f.write_str(reason)
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::Denied(wit::Denial { permission, scope, hint }) => Self::Denied { permission, scope, hint },
            wit::Error::Invalid(wit::BadArgument { name, reason }) => Self::Invalid { argument: name, reason },
            wit::Error::NotFound(what) => Self::NotFound(what),
            wit::Error::NotReady(promise) => Self::NotReady(promise),
            wit::Error::Unsupported(what) => Self::Unsupported(what),
            wit::Error::Stanza(error) => Self::Stanza(Box::new(error)),
            wit::Error::Rejected(reason) => Self::Rejected(reason),
            wit::Error::TimedOut => Self::TimedOut,
            wit::Error::Offline => Self::Offline,
            wit::Error::Stopped => Self::Stopped,
            wit::Error::OverLimit(limit) => Self::OverLimit(limit),
            wit::Error::Unreachable(reason) => Self::Unreachable(reason),
            wit::Error::Tls(reason) => Self::Tls(reason),
            wit::Error::Protocol(reason) => Self::Protocol(reason),
            wit::Error::Other(reason) => Self::Other(reason),
        }
    }
}

impl From<serde_json::Error> for Error {
    #[track_caller]
    fn from(error: serde_json::Error) -> Self {
        at(Self::Other(format!("JSON: {error}")), Location::caller())
    }
}

impl From<String> for Error {
    #[track_caller]
    fn from(reason: String) -> Self {
        at(Self::Other(reason), Location::caller())
    }
}

impl From<&str> for Error {
    #[track_caller]
    fn from(reason: &str) -> Self {
        at(Self::Other(reason.to_owned()), Location::caller())
    }
}

impl From<Box<dyn std::error::Error>> for Error {
    #[track_caller]
    fn from(error: Box<dyn std::error::Error>) -> Self {
        at(Self::Other(error.to_string()), Location::caller())
    }
}

macro_rules! from_what_cannot_be_read {
    ($($other:ty),+ $(,)?) => {
        $(impl From<$other> for Error {
            #[track_caller]
            fn from(error: $other) -> Self {
                Self::other(error)
            }
        })+
    };
}

from_what_cannot_be_read!(
    std::num::ParseIntError,
    std::num::ParseFloatError,
    std::num::TryFromIntError,
    std::str::ParseBoolError,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
    jiff::Error,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_reads_as_a_sentence_and_keeps_its_hint() {
        let error = Error::from(wit::Error::Denied(wit::Denial {
            permission: "rooms.send".into(),
            scope: Some("hall@example.org".into()),
            hint: "write it".into(),
        }));
        assert_eq!(error.to_string(), "not granted: rooms.send for hall@example.org");
        assert!(error.is_denied());
        assert_eq!(error.hint(), Some("write it"));
    }

    #[test]
    fn what_cannot_be_read_is_passed_on_as_it_is() {
        let sides = |text: &str| -> Result<u8> { Ok(u8::try_from(text.parse::<u32>()?)?) };
        assert_eq!(sides("6"), Ok(6));
        assert_eq!(sides("six"), Err(Error::Other("invalid digit found in string".into())));
        assert!(matches!(sides("600"), Err(Error::Other(_))));
        let time = |text: &str| -> Result<i64> { Ok(text.parse::<jiff::Timestamp>()?.as_second()) };
        assert_eq!(time("1970-01-01T00:01:00Z"), Ok(60));
        assert!(matches!(time("at noon"), Err(Error::Other(_))));
    }

    #[test]
    fn a_stanza_error_gives_its_condition_and_is_temporary_when_it_says_wait() {
        let answer = |kind: &str| {
            Error::from(wit::Error::Stanza(StanzaError {
                condition: "resource-constraint".into(),
                kind: kind.into(),
                text: Some("full".into()),
                xml: String::new(),
            }))
        };
        assert_eq!(answer("wait").condition(), Some("resource-constraint"));
        assert_eq!(answer("wait").to_string(), "resource-constraint: full");
        assert!(answer("wait").is_temporary());
        assert!(!answer("cancel").is_temporary());
    }
}
