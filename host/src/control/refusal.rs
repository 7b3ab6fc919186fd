//! Why a request is refused, and with which status.

use std::io;

use hyper::{Method, StatusCode};
use parlor_base::id::PluginId;
use parlor_base::nearest::suggestion;
use parlor_config::AccountName;
use parlor_stanza::error::CallError;
use parlor_store::StoreError;

use super::bounds::{FOLLOWERS, LONGEST_BODY, REQUEST};
use crate::host::actions::Unrecorded;
use crate::host::keys::Undecided;

/// How many accounts are named that could be meant.
const NAMED: usize = 20;

/// The refusal of a request. Its text is for the person who asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The target has characters that it may not have.
    #[error("a path and its questions are of letters, digits, -, ., _ and ~; write other characters of a value as %2A")]
    Target,
    /// A value in the path or the query is malformed.
    #[error("{0}")]
    Value(String),
    /// The body is shorter than its content-length.
    #[error("the body of the request ends too early")]
    ShortBody,
    /// The peer is another user.
    #[error("only the user that the host runs as may ask it")]
    OtherUser,
    /// The kernel does not report the peer.
    #[error("nobody knows who asks ({0})")]
    UnknownUser(io::Error),
    /// The request names a host that is not this machine.
    #[error("this is asked for by the address of this machine")]
    OtherHost,
    /// The control socket has no such path.
    #[error("there is no such thing on the control socket")]
    ControlPath,
    /// The metrics server has no such path.
    #[error("there are /metrics and /health")]
    MetricsPath,
    /// The host has no such plugin.
    #[error("there is no plugin {0}; `parlor plugin list` shows those that there are")]
    NoPlugin(PluginId),
    /// The webhook does not exist.
    #[error("{plugin} has no webhook {name}{}", or_meant(near.as_deref(), plugin, "hooks"))]
    NoWebhook {
        /// The plugin.
        plugin: PluginId,
        /// The name, escaped for display.
        name: String,
        /// The webhook that was probably meant.
        near: Option<String>,
    },
    /// No completed request with this id exists.
    #[error("{plugin} has no finished request {number}: `parlor plugin hooks {plugin}` shows the last ones")]
    NoRequest {
        /// The plugin.
        plugin: PluginId,
        /// The request.
        number: i64,
    },
    /// The session of the window is limited to some accounts, and this is beyond them.
    #[error("{0}")]
    Beyond(String),
    /// No request with this id waits.
    #[error("no request {number} waits: `parlor plugin hooks {plugin}` shows those that do")]
    NotWaiting {
        /// The plugin.
        plugin: PluginId,
        /// The request.
        number: i64,
    },
    /// The request was answered by the plugin.
    #[error(
        "request {0} cannot be told once more: its webhook has the mode \"answer\", so its sender had the answer, and nobody waits for another one. Only requests of the mode \"queue\" can be"
    )]
    OfModeAnswer(i64),
    /// The schedule does not exist.
    #[error("{plugin} has no schedule {name}{}", or_meant(near.as_deref(), plugin, "schedules"))]
    NoSchedule {
        /// The plugin.
        plugin: PluginId,
        /// The name, escaped for display.
        name: String,
        /// The schedule that was probably meant, escaped for display.
        near: Option<String>,
    },
    /// The plugin stores nothing under this key.
    #[error("{0} keeps no such key there, or no longer")]
    NoEntry(PluginId),
    /// The account does not exist.
    #[error("the host that runs has no account {0}")]
    NoAccount(String),
    /// The account does not know the room.
    #[error("{0}")]
    NoRoom(String),
    /// The recipient of a link is no owner.
    #[error(
        "{jid} is no owner of {of}, and is sent no link: write it under `owners` of an account in {file}, or give them a link of `parlor web login` yourself{suggestion}"
    )]
    NoOwner {
        /// The recipient.
        jid: String,
        /// The accounts whose owners were looked at, in words.
        of: String,
        /// The file that these accounts are in, or the files.
        file: String,
        /// The owner who may be meant, in words; empty if there is none.
        suggestion: String,
    },
    /// The account could not do it.
    #[error("{0}")]
    NotDone(String),
    /// It cannot be done now, and may be soon: a node of the cluster does not answer, or the account goes to another one.
    #[error("{0}")]
    Passing(String),
    /// The state of the cluster is in the way. The text may name its nodes.
    #[cfg_attr(not(any(feature = "cluster", test)), expect(dead_code, reason = "only nodes of a cluster give it"))]
    #[error("{0}")]
    Cluster(String),
    /// The account knows no such key.
    #[error(
        "{account} knows no such key of {jid}: `parlor keys {account} list` shows those that it has seen. If you copied the fingerprint right and it is none of them, have that person write to the account from that client, and look again"
    )]
    NoKey {
        /// The account.
        account: AccountName,
        /// The person.
        jid: String,
    },
    /// The account cannot do that with its keys now.
    #[error("the account could not do this with its keys: {0}")]
    Keys(CallError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(StoreError),
    /// The audit cannot be written, so nothing was begun.
    #[error(transparent)]
    Unrecorded(#[from] Unrecorded),
    /// The path exists for this other method.
    #[error("this is asked for with {0}")]
    Method(Method),
    /// The request did not arrive in time.
    #[error("no request came within {} s", REQUEST.as_secs())]
    Late,
    /// The host stops, and obeys no more.
    #[error("the host is being stopped")]
    Stopping,
    /// The files could not be applied.
    #[error("{0}")]
    NotApplied(String),
    /// The body is too long.
    #[error("a body has at most {LONGEST_BODY} bytes")]
    LongBody,
    /// The response cannot be written as JSON.
    #[error("the answer cannot be written: {0}")]
    Unwritable(serde_json::Error),
    /// The body has no length in advance.
    #[error("a body needs a content-length")]
    NoLength,
    /// The log has the most followers already.
    #[error("{FOLLOWERS} follow the log already: end one of them, or look at it without -f")]
    Followers,
}

impl From<Undecided> for Refusal {
    fn from(undecided: Undecided) -> Self {
        match undecided {
            Undecided::Call(error) => Self::Keys(error),
            Undecided::Unrecorded(error) => Self::Unrecorded(error),
        }
    }
}

impl Refusal {
    /// The refusal of a request that one of these accounts could do. `which` asks for one.
    pub(super) fn unnamed(which: &str, names: &[String]) -> Self {
        let first = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        match names.len().saturating_sub(NAMED) {
            0 => Self::Value(format!("{which} with --account: {first}")),
            more => Self::Value(format!("{which} with --account: {first} and {more} more")),
        }
    }

    /// Returns the status of the response.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Target | Self::Value(_) | Self::ShortBody => StatusCode::BAD_REQUEST,
            Self::OtherUser | Self::UnknownUser(_) | Self::OtherHost | Self::Beyond(_) => StatusCode::FORBIDDEN,
            Self::ControlPath
            | Self::MetricsPath
            | Self::NoPlugin(_)
            | Self::NoWebhook { .. }
            | Self::NoRequest { .. }
            | Self::NotWaiting { .. }
            | Self::NoSchedule { .. }
            | Self::NoEntry(_)
            | Self::NoAccount(_)
            | Self::NoRoom(_)
            | Self::NoOwner { .. }
            | Self::NoKey { .. } => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
            Self::Stopping
            | Self::NotApplied(_)
            | Self::NotDone(_)
            | Self::Cluster(_)
            | Self::Keys(_)
            | Self::OfModeAnswer(_) => StatusCode::CONFLICT,
            Self::LongBody => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unwritable(_) | Self::Store(_) | Self::Unrecorded(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoLength => StatusCode::NOT_IMPLEMENTED,
            Self::Followers | Self::Passing(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the allowed methods, if the method was wrong (RFC 9110, section 15.5.6).
    pub(super) fn allow(&self) -> Option<&'static str> {
        match self {
            Self::Method(method) if method == Method::GET => Some("GET, HEAD"),
            Self::Method(_) => Some("POST"),
            _ => None,
        }
    }
}

/// Returns the end of the sentence about a schedule or webhook that does not exist. `command` shows those that do.
fn or_meant(near: Option<&str>, plugin: &PluginId, command: &str) -> String {
    if near.is_some() {
        return suggestion(near);
    }
    format!(", or does not run: `parlor plugin {command} {plugin}` shows those that it has")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_that_is_mistyped_is_answered_with_the_one_that_was_meant() {
        let plugin = || "clock".parse::<PluginId>().unwrap();
        let refusal = |near: Option<&str>| {
            Refusal::NoSchedule { plugin: plugin(), name: "tcik".to_owned(), near: near.map(str::to_owned) }.to_string()
        };
        assert_eq!(refusal(Some("tick")), "clock has no schedule tcik, did you mean \"tick\"?");
        let remedy = "or does not run: `parlor plugin schedules clock` shows those that it has";
        assert_eq!(refusal(None), format!("clock has no schedule tcik, {remedy}"));
        let webhook = Refusal::NoWebhook { plugin: plugin(), name: "githb".to_owned(), near: None }.to_string();
        assert!(
            webhook.starts_with("clock has no webhook githb, ") && webhook.contains("plugin hooks clock"),
            "{webhook}"
        );
    }

    #[test]
    fn of_many_accounts_that_could_be_meant_twenty_are_named() {
        let names: Vec<_> = (1..=291).map(|number| format!("support-{number}")).collect();
        let says = |count: usize| Refusal::unnamed("name one", &names[..count]).to_string();
        assert_eq!(says(2), "name one with --account: support-1, support-2");
        assert!(says(20).ends_with(", support-20"));
        let of_all = says(291);
        assert!(of_all.ends_with(", support-20 and 271 more") && !of_all.contains("support-21"), "{of_all}");
    }

    /// For readers of the page.
    #[test]
    fn the_page_names_each_status_of_a_failure() {
        let (_, page) = include_str!("../../../docs/owner/control.md").split_once("A failure is `{\"error\"").unwrap();
        let sentence = page.split("\n\n").next().unwrap();
        let refusals = [
            Refusal::Target,
            Refusal::OtherUser,
            Refusal::ControlPath,
            Refusal::Method(Method::GET),
            Refusal::Late,
            Refusal::Stopping,
            Refusal::LongBody,
            Refusal::NoLength,
            Refusal::Followers,
        ];
        let mut given: Vec<_> = refusals.iter().map(|refusal| refusal.status().as_u16()).collect();
        // hyper gives it for a head that is too long.
        given.push(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.as_u16());
        for status in 400..600 {
            assert_eq!(given.contains(&status), sentence.contains(&format!(" {status} (")), "{status}: {sentence}");
        }
    }
}
