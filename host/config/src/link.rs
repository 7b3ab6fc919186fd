//! How to reach and log in to an account's server: addresses, TLS, and references to secrets, never their values.

mod read;

pub(crate) use read::{account_name, certificates, check_shared, keep_unsent, password_source, present, secret_source};

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jid::Jid;
use parlor_base::atomic::is_open_secret;
use parlor_base::escape::shell_word;

use super::endpoint::{Endpoint, WebUrl};
use super::name::AccountName;
use crate::url::Url;

/// The source of a password. Another module reads it when it is needed, and nothing stores the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordSource {
    /// The first line of this file.
    File(PathBuf),
    /// The output of this command line.
    Command(String),
    /// The value of this environment variable.
    Environment(String),
    /// The response from this address (the setting `credentials_url`).
    Web(Hidden<Url>),
    /// No source: a plugin may supply a password, or none is needed.
    Nowhere,
}

/// A BOSH session that another program opened, and that this account attaches to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prebind {
    /// The session that the settings `sid` and `rid` name. It belongs to the configured full JID.
    Given {
        /// The id of the session.
        sid: Hidden<String>,
        /// The id of the next request.
        rid: Hidden<u64>,
    },
    /// The session that this address returns (the setting `prebind_url`).
    Fetched(Hidden<Url>),
}

/// A value that only a log-in may see. Debug output hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden<T>(pub T);

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// How an account authenticates (the setting `authentication`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// With a password (SCRAM; PLAIN if it is allowed).
    Password,
    /// With a certificate (SASL EXTERNAL, XEP-0178).
    Certificate {
        /// The certificate, followed by its intermediate certificates, as PEM.
        chain: PathBuf,
        /// Its private key, as PEM.
        key: PathBuf,
    },
    /// Anonymously: the server creates an account for the duration of the session (XEP-0175).
    Anonymous,
    /// As the component of this name, or as one of its addresses (XEP-0114).
    Component(AccountName),
}

/// When TLS begins. Connections without it are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// After a first exchange in the clear (RFC 6120, section 5).
    StartTls,
    /// At once (XEP-0368).
    Direct,
}

/// The transport of the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TransportChoice {
    /// TCP, with the domain's web addresses (XEP-0156) as a fallback if no TCP connection works and no `server` is
    /// named.
    #[default]
    Auto,
    /// Only TCP.
    Tcp,
    /// WebSocket, at `websocket_url` or at the domain's address.
    WebSocket,
    /// BOSH, at `bosh_service_url` or at the domain's address.
    Bosh,
}

/// Whether log-ins are bound to their TLS connection (the key `channel_binding`; RFC 5802, section 6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Binds if both ends can. After the first bound log-in, an offer without it is refused.
    #[default]
    Auto,
    /// Always binds: even the first log-in must be bound.
    Required,
    /// Never binds, and does not compare the server's list of mechanisms either (XEP-0474).
    Never,
}

/// The settings that a link needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSettings {
    /// The account. If it has no resource, the link requests `parlor-` and eight random hex digits. It requests the
    /// same one on each reconnect, so that the server replaces a dead session of ours instead of keeping it as well.
    pub jid: Jid,
    /// How it logs in.
    pub way: Way,
    /// The source of its password, if it has one.
    pub password: PasswordSource,
    /// The address of its server; none = use the DNS (SRV).
    pub server: Option<Endpoint>,
    /// The transport of the stream. An address in the settings overrides it.
    pub transport: TransportChoice,
    /// When TLS begins. None: as the DNS says for each server (XEP-0368). For a named `server`, at once on port 5223,
    /// else after a first exchange.
    pub tls: Option<TlsMode>,
    /// A file with certificates to trust in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether the password may be sent in plain text (SASL PLAIN) within TLS.
    pub allow_plain: bool,
    /// Whether log-ins with a password are bound to their connection.
    pub channel_binding: ChannelBinding,
    /// The address for XMPP over WebSocket in place of TCP (the setting `websocket_url`).
    pub websocket: Option<WebUrl>,
    /// How long unsent messages are kept across a connection loss.
    pub keep_unsent: Duration,
    /// The address for XMPP over BOSH in place of TCP (the setting `bosh_service_url`). If both are set, WebSocket
    /// wins.
    pub bosh: Option<Url>,
    /// An existing BOSH session to attach to, in place of a log-in.
    pub prebind: Option<Prebind>,
    /// How long the stream may be silent before the link checks that the server still answers.
    pub ping_interval: Duration,
}

impl LinkSettings {
    /// Returns whether every log-in uses BOSH, in any network.
    pub fn is_over_bosh(&self) -> bool {
        match (self.transport, &self.websocket, &self.bosh) {
            (TransportChoice::Bosh, _, Some(_)) | (_, None, Some(_)) | (TransportChoice::Bosh, None, None) => true,
            (_, Some(_), _)
            | (TransportChoice::WebSocket | TransportChoice::Auto | TransportChoice::Tcp, None, None) => false,
        }
    }

    /// Returns the name of the component that this is, or is an address of.
    pub fn component(&self) -> Option<&AccountName> {
        match &self.way {
            Way::Component(name) => Some(name),
            Way::Password | Way::Certificate { .. } | Way::Anonymous => None,
        }
    }

    /// Returns why some or all log-ins with these settings cannot be bound, and what to change.
    fn why_never_bound(&self) -> Option<&'static str> {
        match &self.way {
            Way::Certificate { .. } => {
                Some("authentication = \"external\": only a log-in with a password is bound; leave channel_binding out")
            }
            Way::Component(_) => Some("component: only a log-in with a password is bound; leave channel_binding out"),
            Way::Anonymous => Some(
                "authentication = \"anonymous\": only a log-in with a password is bound; leave channel_binding out",
            ),
            Way::Password if self.prebind.is_some() => {
                Some("a BOSH session that somebody else began: it has no log-in to bind; leave channel_binding out")
            }
            Way::Password if self.is_over_bosh() => Some(
                "BOSH, which has no single connection to bind a log-in to: use TCP or WebSocket, or leave channel_binding out",
            ),
            Way::Password if self.allow_plain => {
                Some("allow_plain = true: PLAIN cannot be bound; leave one of the two out")
            }
            Way::Password => None,
        }
    }

    /// Returns whether a connection made with the earlier settings differs from one made with these: in its target, its
    /// way to log in, or the certificates to trust. Other values take effect with the next connection: the password,
    /// channel binding, and times.
    pub fn leads_elsewhere(&self, before: &Self) -> bool {
        let Self { password, allow_plain, channel_binding, keep_unsent, ping_interval, .. } = self.clone();
        Self { password, allow_plain, channel_binding, keep_unsent, ping_interval, ..before.clone() } != *self
    }

    /// Returns problems that are not errors, but should be fixed.
    pub fn warnings(&self) -> Vec<String> {
        match &self.password {
            PasswordSource::File(file) => file_warning(file).into_iter().collect(),
            PasswordSource::Command(_)
            | PasswordSource::Environment(_)
            | PasswordSource::Web(_)
            | PasswordSource::Nowhere => Vec::new(),
        }
    }
}

pub(crate) fn file_warning(file: &Path) -> Option<String> {
    others_may_read(file).then(|| {
        format!("others on this machine may read the password: chmod 600 {}", shell_word(&file.to_string_lossy()))
    })
}

pub(crate) fn others_may_read(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| is_open_secret(&found))
}
