//! Errors of plugins' calls: the domain form of `error` in `wit/types.wit`.

use jid::BareJid;
use parlor_base::permission::Permission;

/// The error of a call that failed. It is never a trap: the plugin continues.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The owner did not grant it.
    #[error("not granted: {permission}{}", scope.as_deref().map(|scope| format!(" for {scope}")).unwrap_or_default())]
    Denied {
        /// The permission that is missing.
        permission: Permission,
        /// The scope that the permission would have to cover.
        scope: Option<String>,
        /// The command or line with which the owner allows it.
        hint: String,
    },
    /// It belongs to another plugin; no grant would change that.
    #[error("{0} belongs to another plugin")]
    NotOwner(String),
    /// An argument is invalid.
    #[error("invalid {argument}: {reason}")]
    Invalid {
        /// The argument's name as the contract spells it.
        argument: String,
        /// The reason why it is invalid.
        reason: String,
    },
    /// Nothing of this name exists.
    #[error("not found: {0}")]
    NotFound(String),
    /// It is too early: wait for the promise of this name first.
    #[error("not ready: wait for {0}")]
    NotReady(&'static str),
    /// The host or the server cannot do this.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// The other entity answered with an error (RFC 6120, section 8.3).
    #[error("{0}")]
    Stanza(Box<StanzaError>),
    /// The promise was rejected, for this reason.
    #[error("rejected: {0}")]
    Rejected(String),
    /// No answer was received in time.
    #[error("timed out")]
    TimedOut,
    /// The account has no session with the server. After a lost connection it mostly still has one, and stanzas wait.
    #[error("offline")]
    Offline,
    /// The thing that the call waited for has ended.
    #[error("stopped")]
    Stopped,
    /// A limit of this plugin is used up.
    #[error("over limit: {0}")]
    OverLimit(String),
    /// A web server cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// No trusted connection to it is possible.
    #[error("{0}")]
    Tls(String),
    /// It does not speak HTTP as it should.
    #[error("{0}")]
    Protocol(String),
    /// Any other error.
    #[error("{0}")]
    Other(String),
}

impl CallError {
    /// Returns the error for an invalid argument, with the reason.
    pub fn invalid(argument: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { argument: argument.into(), reason: reason.into() }
    }

    /// Returns whether the same request may succeed later: the entity did not reject it for good.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::TimedOut | Self::OverLimit(_) => true,
            Self::Stanza(error) => error.kind == "wait" || error.condition == "internal-server-error",
            _ => false,
        }
    }
}

/// The error that another entity answered instead of a result (RFC 6120, section 8.3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{condition}{}", text.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
pub struct StanzaError {
    /// The defined condition, such as `item-not-found`. Not a closed set, since servers invent some.
    pub condition: String,
    /// `auth`, `cancel`, `continue`, `modify` or `wait`.
    pub kind: String,
    /// The entity's own description of the error.
    pub text: Option<String>,
    /// With `gone` or `redirect`, the new address of the entity, if the error names one.
    pub gone_to: Option<BareJid>,
    /// The whole error as XML.
    pub xml: String,
}

/// Returns the condition and the type of an error that stands for this number. Before there were conditions, an error had a number alone
/// (XEP-0086, section 3).
pub(crate) fn numbered(code: &str) -> Option<(&'static str, &'static str)> {
    Some(match code.trim() {
        "302" => ("redirect", "modify"),
        "400" => ("bad-request", "modify"),
        "401" => ("not-authorized", "auth"),
        "403" => ("forbidden", "auth"),
        "404" => ("item-not-found", "cancel"),
        "405" => ("not-allowed", "cancel"),
        "406" => ("not-acceptable", "modify"),
        "407" => ("registration-required", "auth"),
        "408" | "504" => ("remote-server-timeout", "wait"),
        "409" => ("conflict", "cancel"),
        "500" => ("internal-server-error", "wait"),
        "501" => ("feature-not-implemented", "cancel"),
        // Another server could not be reached, as during an outage.
        "502" => ("service-unavailable", "wait"),
        "503" | "510" => ("service-unavailable", "cancel"),
        _ => return None,
    })
}
