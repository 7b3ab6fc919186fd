//! Why a call of a plugin did not do what was asked: the domain form of `error` in `wit/types.wit`.

use std::io;

use jid::BareJid;

use crate::permissions::Permission;

/// Says in plain words why a connection failed. The TLS library describes an end without notice in terms of its interface, and links
/// to a page for programmers.
pub(crate) fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the other side closed the connection without a word".to_owned(),
        _ => error.to_string(),
    }
}

/// The answer to a call that did not work out. Never a trap: the plugin goes on and may do something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The owner did not grant it.
    #[error("not granted: {permission}{}", scope.as_deref().map(|scope| format!(" for {scope}")).unwrap_or_default())]
    Denied {
        /// What is missing.
        permission: Permission,
        /// What it would have to cover.
        scope: Option<String>,
        /// What the owner types or writes to allow it.
        hint: String,
    },
    /// It belongs to another plugin; no grant would change that.
    #[error("{0} belongs to another plugin")]
    NotOwner(String),
    /// An argument is not what it should be.
    #[error("invalid {argument}: {reason}")]
    Invalid {
        /// The argument's name as the contract spells it.
        argument: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The thing of this name does not exist.
    #[error("not found: {0}")]
    NotFound(String),
    /// It is too early: the promise of this name has to come first.
    #[error("not ready: wait for {0}")]
    NotReady(&'static str),
    /// The host or the server cannot do that.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// The other side answered with an error (RFC 6120, section 8.3).
    #[error("{0}")]
    Stanza(Box<StanzaError>),
    /// The promise was rejected, for this reason.
    #[error("rejected: {0}")]
    Rejected(String),
    /// No answer came in time.
    #[error("timed out")]
    TimedOut,
    /// The account has no session with the server. A cut of the connection mostly leaves it one: then what is sent waits.
    #[error("offline")]
    Offline,
    /// What the call waited for has ended.
    #[error("stopped")]
    Stopped,
    /// A limit of this plugin is used up.
    #[error("over limit: {0}")]
    OverLimit(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl CallError {
    /// An argument that is wrong, and why.
    pub fn invalid(argument: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { argument: argument.into(), reason: reason.into() }
    }

    /// Whether whoever was asked may say something else in a while, and has not said what it was asked.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::TimedOut | Self::OverLimit(_) => true,
            Self::Stanza(error) => error.kind == "wait" || error.condition == "internal-server-error",
            _ => false,
        }
    }
}

/// What another entity answered instead of a result (RFC 6120, section 8.3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{condition}{}", text.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
pub struct StanzaError {
    /// The defined condition, such as `item-not-found`; open, since servers invent some.
    pub condition: String,
    /// `auth`, `cancel`, `continue`, `modify` or `wait`.
    pub kind: String,
    /// The entity's own words.
    pub text: Option<String>,
    /// With `gone`, where that is now which was asked, if it says so.
    pub gone_to: Option<BareJid>,
    /// The whole error as XML.
    pub xml: String,
}
