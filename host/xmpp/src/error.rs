//! Errors of connecting and logging in: typed for the host, each with one sentence and a remedy for its reader.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use jid::{FullJid, Jid};
use parlor_base::escape::EscapedPath as _;
use parlor_https::trust::TrustError;
use parlor_stanza::stream_error::{remedy, sentence, words};

use crate::component_error::ComponentError;
use crate::password::PasswordError;

/// The time limit for the whole log-in, apart from reading the password.
pub(super) const LOG_IN_LIMIT: Duration = Duration::from_secs(30);

/// An error from connecting or logging in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The account's JID has no local part.
    #[error("the account's jid {jid} has nothing before an @; write it as user@domain")]
    NoUser {
        /// The configured JID.
        jid: Jid,
    },
    /// The password cannot be read.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// DNS does not know the host.
    #[error(
        "{host} is not known to DNS ({cause}); check the account's domain, or say where its server is with `server` in the configuration"
    )]
    UnknownHost {
        /// The name that was looked up.
        host: String,
        /// The error from DNS.
        cause: String,
    },
    /// Nothing listens at the address.
    #[error(
        "{address} refuses connections; check that the server runs, and that `server` in the configuration names its port"
    )]
    Refused {
        /// The address and port.
        address: String,
    },
    /// The address cannot be reached.
    #[error("{address} cannot be reached ({cause}); check the network and the firewall")]
    Unreachable {
        /// The address and port.
        address: String,
        /// The error from the system.
        cause: String,
    },
    /// The log-in took longer than the limit.
    #[error("{domain} did not finish the log-in within {} s; check the network and the server's load", LOG_IN_LIMIT.as_secs())]
    TimedOut {
        /// The account's domain.
        domain: String,
    },
    /// A port accepted the connection, and nothing there offered a log-in until the limit.
    #[error(
        "{place} accepts connections, and offered no log-in within {} s; check the port: 5222 is usual for STARTTLS, and 5223 for direct TLS (tls = \"direct\")", LOG_IN_LIMIT.as_secs()
    )]
    Silent {
        /// The host and port.
        place: String,
    },
    /// The server offers no TLS.
    #[error("{domain} offers no STARTTLS, and nothing is sent unencrypted; turn TLS on there, or use direct TLS")]
    NoTls {
        /// The account's domain.
        domain: String,
    },
    /// TLS failed for a reason other than the certificate.
    #[error("TLS failed ({cause}); check that tls is the mode which this port speaks")]
    Tls {
        /// The error from TLS.
        cause: String,
    },
    /// The first bytes of TLS were answered by another protocol.
    #[error(
        "what answers for {domain} does not speak TLS there; check the port of `server`, and set tls = \"starttls\" if TLS begins by STARTTLS there, as it does on port 5222, or tls = \"direct\" if it begins at once, as on port 5223"
    )]
    NotTls {
        /// The account's domain.
        domain: String,
    },
    /// The server's certificate is not accepted.
    #[error("the certificate of {domain} {fault}")]
    Certificate {
        /// The account's domain.
        domain: String,
        /// The fault of the certificate.
        fault: CertificateFault,
    },
    /// It cannot be decided which certificates are trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The server offers no mechanism that this end would use.
    #[error("the server offers no acceptable way to log in (it offers: {}){}", offered.join(", "),
        if *plain_is_offered { "; allow_plain = true would let it see the password itself".to_owned() } else { format!("; {needed}") })]
    NoMechanism {
        /// The mechanisms that the server offers.
        offered: Vec<String>,
        /// The advice on which mechanisms are acceptable.
        needed: &'static str,
        /// Whether the server offers PLAIN, which is not allowed.
        plain_is_offered: bool,
    },
    /// The log-in must be bound to its connection, but cannot be.
    #[error(
        "a log-in to {domain} cannot be bound to its connection ({cause}), {}: somebody may be in between; {} for this account", why.words(), why.remedy()
    )]
    NoChannelBinding {
        /// The account's domain.
        domain: String,
        /// The part that is missing, or the server's refusal.
        cause: Cow<'static, str>,
        /// The reason that it must be bound.
        why: WhyBound,
    },
    /// The list of mechanisms or channel bindings is not the one that the server sent (XEP-0474).
    #[error(
        "the ways to log in that {domain} seemed to offer are not those that it says it offered (XEP-0474): somebody in between may have changed the list; if you know that the server is wrong, set channel_binding = \"never\" for this account"
    )]
    Downgraded {
        /// The account's domain.
        domain: String,
    },
    /// The user or password is wrong.
    #[error("the server refused the password of {}; check the jid and where its password comes from", jid.to_bare())]
    NotAuthorized {
        /// The account's JID.
        jid: Jid,
    },
    /// The server does not accept the certificate for the account.
    #[error("the server does not take the certificate for {}{}; check that it names this jid, has not expired, and is signed by an authority that the server trusts", jid.to_bare(), words(text.as_deref()))]
    CertificateRefused {
        /// The account's JID.
        jid: Jid,
        /// The server's explanation.
        text: Option<String>,
    },
    /// The server accepted the certificate, but for another account.
    #[error("the server took the certificate for {jid} in place of {}; check what the certificate names, and the jid", wanted.to_bare())]
    OtherAccount {
        /// The JID that was requested.
        wanted: FullJid,
        /// The JID that the server assigned.
        jid: FullJid,
    },
    /// The account's own certificate or key cannot be used.
    #[error("{} cannot be used to log in: {cause}; both certificate and certificate_key must be PEM and belong together", path.escaped())]
    OwnCertificate {
        /// The path of the file.
        path: PathBuf,
        /// The reason that it cannot be used.
        cause: String,
    },
    /// The account is disabled.
    #[error("the account {} is disabled{}; ask who runs its server", jid.to_bare(), words(text.as_deref()))]
    AccountDisabled {
        /// The account's JID.
        jid: Jid,
        /// The server's explanation.
        text: Option<String>,
    },
    /// The log-in was refused for another reason.
    #[error("the server refused the log-in: {condition}{}; its log says more; ask who runs it", words(text.as_deref()))]
    LoginRefused {
        /// The condition (RFC 6120, section 6.5).
        condition: String,
        /// The server's explanation.
        text: Option<String>,
        /// Whether a retry may help.
        temporary: bool,
    },
    /// The server did not prove that it knows the password.
    #[error(
        "what answers for {domain} did not prove that it knows the account's password ({cause}); somebody may be in between"
    )]
    ServerUnproven {
        /// The account's domain.
        domain: String,
        /// The proof that was missing or wrong.
        cause: &'static str,
    },
    /// The server requests password hashing that is not safe, or not affordable.
    #[error(
        "the server's log-in challenge is not acceptable: {cause}; ask who runs it to set the account's password anew"
    )]
    BadChallenge {
        /// The unacceptable part of the challenge.
        cause: String,
    },
    /// Another client logs in with the same full JID, again and again.
    #[error(
        "another client is logged in as {jid} and both threw each other out; end it, or give this account a resource of its own"
    )]
    Conflict {
        /// The full JID.
        jid: Jid,
    },
    /// The server does not serve this domain.
    #[error("the server does not serve {domain}; check the account's domain and the server that is named for it")]
    HostUnknown {
        /// The account's domain.
        domain: String,
    },
    /// The server redirects to another one, and that was followed once already, or cannot be followed.
    #[error(
        "the server sends this account to {place}, and that leads nowhere; name the right one as `server` in the configuration"
    )]
    Elsewhere {
        /// The host that the server redirects to.
        place: String,
    },
    /// The server assigned no resource.
    #[error("the server did not let {jid} in: {condition}{}; {}", words(text.as_deref()), remedy(condition))]
    NotBound {
        /// The requested JID.
        jid: FullJid,
        /// The condition (RFC 6120, section 7.6.2).
        condition: String,
        /// The server's explanation.
        text: Option<String>,
    },
    /// The server ended a session because the account is no longer authorized.
    #[error("the server threw {jid} out as not authorized{}; check its password, and whether the account still exists", words(text.as_deref()))]
    Revoked {
        /// The JID of the session.
        jid: FullJid,
        /// The server's explanation.
        text: Option<String>,
    },
    /// The server ended the stream.
    #[error("{}", sentence(condition, text.as_deref()))]
    Stream {
        /// The condition (RFC 6120, section 4.9.3).
        condition: String,
        /// The server's explanation.
        text: Option<String>,
    },
    /// The peer is not an XMPP server.
    #[error("what answers there does not speak XMPP as expected ({cause}); check host and port")]
    NotXmpp {
        /// The violation of the protocol.
        cause: String,
    },
    /// The server's answer about the session to resume makes no sense.
    #[error("the server does not go on with the session of before ({cause}); a new one is begun")]
    NotResumed {
        /// The violation of the protocol.
        cause: String,
    },
    /// The peer does not speak XMPP over WebSocket (RFC 7395).
    #[error("{url} does not speak XMPP over WebSocket ({cause}); check websocket_url")]
    NoWebSocket {
        /// The configured or discovered address.
        url: String,
        /// The violation of the protocol.
        cause: String,
    },
    /// The server closed the WebSocket during the log-in and gave a reason.
    #[error("the server closed the WebSocket during the log-in ({cause}); check websocket_url, or ask who runs it")]
    WebSocketClosed {
        /// The code and text of the close frame, or the address that it redirects to.
        cause: String,
    },
    /// The peer does not speak XMPP over BOSH (XEP-0206).
    #[error(
        "{url} does not speak XMPP over BOSH ({cause}); check bosh_service_url, and whether this network wants a log-in of its own first"
    )]
    NoBosh {
        /// The configured or discovered address.
        url: String,
        /// The violation of the protocol.
        cause: String,
    },
    /// The domain does not publish web addresses for XMPP (XEP-0156).
    #[error(
        "{domain} does not say where it speaks XMPP over the web ({cause}); set websocket_url or bosh_service_url, or another transport"
    )]
    NotDiscovered {
        /// The account's domain.
        domain: String,
        /// The data that was missing or wrong.
        cause: String,
    },
    /// The address in a setting did not provide the data for a log-in.
    #[error("what {setting} names gives nothing to log in with ({cause}); check what is served there")]
    NotFetched {
        /// The name of the setting.
        setting: &'static str,
        /// The reason; it contains no address.
        cause: String,
        /// Whether a retry may help.
        temporary: bool,
    },
    /// The session that another program began no longer exists.
    #[error("the BOSH session to go on with is not there (any more); begin another one, and {remedy}")]
    NoSession {
        /// The advice on how to provide another session.
        remedy: &'static str,
        /// Whether another session may become available without intervention.
        temporary: bool,
    },
    /// The address that the owner named offers no STARTTLS.
    #[error(
        "{place} closed the connection before it offered STARTTLS ({cause}); if TLS begins at once there (direct TLS), set tls = \"direct\"{} (`parlor init --tls direct`), else check the port",
        if *is_written { " in place of \"starttls\"" } else { "" }
    )]
    NoStartTls {
        /// The address, or the domain if it is from DNS.
        place: String,
        /// The failure.
        cause: String,
        /// Whether the owner configured STARTTLS.
        is_written: bool,
    },
    /// The host could not connect as a component.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// The server hung up during the log-in.
    #[error("the server hung up during the log-in; its log may say why")]
    HungUp,
}

impl ConnectError {
    /// Returns the host that the server redirects to.
    pub(crate) fn elsewhere(&self) -> Option<&str> {
        match self {
            Self::Elsewhere { place } => Some(place),
            _ => None,
        }
    }

    /// Returns whether no server could be reached, so that another transport may help.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Self::UnknownHost { .. } | Self::Refused { .. } | Self::Unreachable { .. })
    }

    /// Returns whether the connection was lost before the server answered: it may have done what was requested, or
    /// still do it.
    pub(crate) fn is_no_answer(&self) -> bool {
        matches!(
            self,
            Self::HungUp
                | Self::NoStartTls { .. }
                | Self::TimedOut { .. }
                | Self::Silent { .. }
                | Self::WebSocketClosed { .. }
        )
    }

    /// Returns whether the server judged the account itself, or somebody may be listening. A retry is then pointless,
    /// or even harmful, since servers lock accounts out.
    pub fn is_verdict(&self) -> bool {
        match self {
            Self::NoUser { .. }
            | Self::NotAuthorized { .. }
            | Self::CertificateRefused { .. }
            | Self::OtherAccount { .. }
            | Self::AccountDisabled { .. }
            | Self::ServerUnproven { .. }
            | Self::BadChallenge { .. }
            | Self::Conflict { .. }
            | Self::Revoked { .. } => true,
            Self::LoginRefused { temporary, .. } | Self::NoSession { temporary, .. } => !temporary,
            Self::Component(error) => error.is_verdict(),
            _ => false,
        }
    }

    /// Returns whether a retry is pointless without a change by the owner, as long as no log-in has succeeded. After a
    /// successful log-in, errors that are not a [verdict](Self::is_verdict) may be temporary: a certificate is renewed,
    /// somebody logs in to a portal, a file is written again.
    pub fn is_final(&self) -> bool {
        match self {
            // A machine without a battery-backed clock learns the time from the network.
            Self::Certificate { fault, .. } => *fault != CertificateFault::NotValidYet,
            Self::NoUser { .. }
            | Self::Password(_)
            | Self::NoTls { .. }
            | Self::Trust(TrustError::CaFile { .. } | TrustError::NoTrustedCertificates)
            | Self::NoMechanism { .. }
            | Self::NoChannelBinding { .. }
            | Self::Downgraded { .. }
            | Self::NotAuthorized { .. }
            | Self::CertificateRefused { .. }
            | Self::OtherAccount { .. }
            | Self::OwnCertificate { .. }
            | Self::AccountDisabled { .. }
            | Self::ServerUnproven { .. }
            | Self::BadChallenge { .. }
            | Self::Conflict { .. }
            | Self::Revoked { .. }
            | Self::HostUnknown { .. } => true,
            Self::LoginRefused { temporary, .. }
            | Self::NotFetched { temporary, .. }
            | Self::NoSession { temporary, .. } => !temporary,
            Self::Component(error) => error.is_final(),
            Self::UnknownHost { .. }
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Silent { .. }
            | Self::Tls { .. }
            | Self::Trust(TrustError::Library { .. })
            | Self::NotTls { .. }
            | Self::Stream { .. }
            | Self::Elsewhere { .. }
            | Self::NotBound { .. }
            | Self::NotXmpp { .. }
            | Self::NoStartTls { .. }
            | Self::NotResumed { .. }
            | Self::NoWebSocket { .. }
            | Self::WebSocketClosed { .. }
            | Self::NoBosh { .. }
            | Self::NotDiscovered { .. }
            | Self::HungUp => false,
        }
    }
}

/// The reason that a log-in must be bound to its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyBound {
    /// An earlier log-in of the account was bound.
    Pinned,
    /// The owner requires it.
    Required,
}

impl WhyBound {
    fn words(self) -> &'static str {
        match self {
            Self::Pinned => "but earlier ones were",
            Self::Required => "but channel_binding = \"required\" demands it",
        }
    }

    /// Returns the change that admits the account and gives up no more than it must.
    fn remedy(self) -> &'static str {
        match self {
            Self::Pinned => "if the server itself no longer does it, set channel_binding = \"never\"",
            Self::Required => "if the server itself does not do it, set channel_binding = \"auto\"",
        }
    }
}

/// The fault of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// No trusted authority signed it.
    #[error(
        "is not signed by anybody who is trusted; if it is your own, name it or its authority as `ca_file` in the configuration"
    )]
    Untrusted,
    /// It has expired.
    #[error("has expired; renew it on the server")]
    Expired,
    /// It is not valid yet, or the clock is wrong.
    #[error("is not valid yet; check this machine's clock")]
    NotValidYet,
    /// It is for another name.
    #[error("is for another name; the server needs one for the account's domain")]
    WrongName,
    /// It has another fault.
    #[error(
        "is not acceptable ({0}); it must be an end-entity certificate that a trusted authority or ca_file vouches for"
    )]
    Other(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first error occurs before a machine has learned the time.
    #[test]
    fn a_certificate_of_the_future_is_tried_again_and_one_of_the_past_is_not() {
        let error = |fault| ConnectError::Certificate { domain: "house".to_owned(), fault };
        assert!(!error(CertificateFault::NotValidYet).is_final());
        assert!(error(CertificateFault::Expired).is_final());
    }
}
