//! Why there is no connection: typed for the house, one sentence with a remedy for its reader.

use std::borrow::Cow;
use std::path::PathBuf;

use jid::{FullJid, Jid};

use super::LIMIT;
use crate::harmless::EscapedPath as _;
use crate::xmpp::password::PasswordError;
use crate::xmpp::stream_error::{remedy, sentence, words};

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The account's JID names no user.
    #[error("the account's jid {jid} has nothing before an @; write it as user@domain")]
    NoUser {
        /// The JID.
        jid: Jid,
    },
    /// There is no password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// DNS does not know it.
    #[error(
        "{host} is not known to DNS ({cause}); check the account's domain, or say where its server is with `server` in parlor.toml"
    )]
    UnknownHost {
        /// Which name.
        host: String,
        /// What DNS said.
        cause: String,
    },
    /// Nothing listens there.
    #[error(
        "{address} refuses connections; check that the server runs, and that `server` in parlor.toml names its port"
    )]
    Refused {
        /// Which address.
        address: String,
    },
    /// It cannot be reached.
    #[error("{address} cannot be reached ({cause}); check the network and the firewall")]
    Unreachable {
        /// Which address.
        address: String,
        /// What the system said.
        cause: String,
    },
    /// It took too long.
    #[error("{domain} did not finish the log-in within {} s; check the network and the server's load", LIMIT.as_secs())]
    TimedOut {
        /// Whose server.
        domain: String,
    },
    /// The server offers no TLS.
    #[error("{domain} offers no STARTTLS, and nothing is sent unencrypted; turn TLS on there, or use direct TLS")]
    NoTls {
        /// Whose server.
        domain: String,
    },
    /// TLS failed for another reason than the certificate.
    #[error("TLS failed ({cause}); check that tls is the mode which this port speaks")]
    Tls {
        /// What went wrong.
        cause: String,
    },
    /// The answer to the first bytes of TLS was something else.
    #[error(
        "what answers for {domain} does not speak TLS there; check the port of `server`, and set tls = \"starttls\" if TLS begins by STARTTLS there, as it does on port 5222, or tls = \"direct\" if it begins at once, as on port 5223"
    )]
    NotTls {
        /// Whose server.
        domain: String,
    },
    /// The certificate is not good.
    #[error("the certificate of {domain} {fault}")]
    Certificate {
        /// Whose server.
        domain: String,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// The file of trusted certificates cannot be used.
    #[error("ca_file {} cannot be used: {cause}", path.escaped())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The system trusts nobody.
    #[error("this system has no trusted certificates; install its ca-certificates, or name a ca_file")]
    NoTrustedCertificates,
    /// The server takes no mechanism that this end would use.
    #[error("the server offers no acceptable way to log in (it offers: {}){}", offered.join(", "),
        if *plain_is_offered { "; allow_plain = true would let it see the password itself".to_owned() } else { format!("; {needed}") })]
    NoMechanism {
        /// What it offers.
        offered: Vec<String>,
        /// What would do.
        needed: &'static str,
        /// PLAIN is among it, and not allowed.
        plain_is_offered: bool,
    },
    /// The log-in cannot be bound to its connection, and has to be.
    #[error(
        "a log-in to {domain} cannot be bound to its connection ({cause}), {}: somebody may be in between; {} for this account", why.words(), why.remedy()
    )]
    NoChannelBinding {
        /// The account's domain.
        domain: String,
        /// The part that is missing, or the server's refusal.
        cause: Cow<'static, str>,
        /// The reason why it has to be bound.
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
    /// Wrong user or password.
    #[error("the server refused the password of {}; check the jid and where its password comes from", jid.to_bare())]
    NotAuthorized {
        /// Whose.
        jid: Jid,
    },
    /// The server does not take the certificate for the account.
    #[error("the server does not take the certificate for {}{}; check that it names this jid, has not expired, and is signed by an authority that the server trusts", jid.to_bare(), words(text.as_deref()))]
    CertificateRefused {
        /// Whose.
        jid: Jid,
        /// The server's own words.
        text: Option<String>,
    },
    /// The server took the certificate for another account.
    #[error("the server took the certificate for {jid} in place of {}; check what the certificate names, and the jid", wanted.to_bare())]
    OtherAccount {
        /// Whose it was to be.
        wanted: FullJid,
        /// Whose the server says that it is.
        jid: FullJid,
    },
    /// The account's own certificate or key cannot be used.
    #[error("{} cannot be used to log in: {cause}; both certificate and certificate_key must be PEM and belong together", path.escaped())]
    OwnCertificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The account is disabled.
    #[error("the account {} is disabled{}; ask who runs its server", jid.to_bare(), words(text.as_deref()))]
    AccountDisabled {
        /// Which.
        jid: Jid,
        /// The server's own words.
        text: Option<String>,
    },
    /// The log-in was refused for another reason.
    #[error("the server refused the log-in: {condition}{}; its log says more; ask who runs it", words(text.as_deref()))]
    LoginRefused {
        /// The condition (RFC 6120, section 6.5).
        condition: String,
        /// The server's own words.
        text: Option<String>,
        /// Trying again may help.
        temporary: bool,
    },
    /// The server did not prove who it is.
    #[error(
        "what answers for {domain} did not prove that it knows the account's password ({cause}); somebody may be in between"
    )]
    ServerUnproven {
        /// Whose server.
        domain: String,
        /// What was missing or wrong.
        cause: &'static str,
    },
    /// The server wants the password hashed in a way that is not safe, or not affordable.
    #[error(
        "the server's log-in challenge is not acceptable: {cause}; ask who runs it to set the account's password anew"
    )]
    BadChallenge {
        /// What is wrong with it.
        cause: String,
    },
    /// Somebody else logs in with the same full JID, again and again.
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
        /// Which domain.
        domain: String,
    },
    /// The server sends us to another one, and that was done once already, or cannot be done.
    #[error(
        "the server sends this account to {place}, and that leads nowhere; name the right one as `server` in parlor.toml"
    )]
    Elsewhere {
        /// Where.
        place: String,
    },
    /// The server gave no resource.
    #[error("the server did not let {jid} in: {condition}{}; {}", words(text.as_deref()), remedy(condition))]
    NotBound {
        /// What was asked for.
        jid: FullJid,
        /// The condition (RFC 6120, section 7.6.2).
        condition: String,
        /// The server's own words.
        text: Option<String>,
    },
    /// The server no longer lets the account in, which it said in the middle of a session.
    #[error("the server threw {jid} out as not authorized{}; check its password, and whether the account still exists", words(text.as_deref()))]
    Revoked {
        /// Who.
        jid: FullJid,
        /// Its own words.
        text: Option<String>,
    },
    /// The server ended the stream.
    #[error("{}", sentence(condition, text.as_deref()))]
    Stream {
        /// The condition (RFC 6120, section 4.9.3).
        condition: String,
        /// Its own words.
        text: Option<String>,
    },
    /// What answers there is not an XMPP server.
    #[error("what answers there does not speak XMPP as expected ({cause}); check host and port")]
    NotXmpp {
        /// What was wrong.
        cause: String,
    },
    /// What it says about the session that was to go on makes no sense.
    #[error("the server does not go on with the session of before ({cause}); a new one is begun")]
    NotResumed {
        /// What was wrong.
        cause: String,
    },
    /// What answers there speaks no XMPP over WebSocket (RFC 7395).
    #[error("{url} does not speak XMPP over WebSocket ({cause}); check websocket_url")]
    NoWebSocket {
        /// Which address.
        url: String,
        /// What was wrong.
        cause: String,
    },
    /// The server closed the WebSocket in the middle, and said why.
    #[error("the server closed the WebSocket during the log-in ({cause}); check websocket_url, or ask who runs it")]
    WebSocketClosed {
        /// The code and the words, or where it wants to be asked instead.
        cause: String,
    },
    /// What answers there speaks no XMPP over BOSH (XEP-0206).
    #[error(
        "{url} does not speak XMPP over BOSH ({cause}); check bosh_service_url, and whether this network wants a log-in of its own first"
    )]
    NoBosh {
        /// Which address.
        url: String,
        /// What was wrong.
        cause: String,
    },
    /// The domain does not say where it speaks XMPP over the web (XEP-0156).
    #[error(
        "{domain} does not say where it speaks XMPP over the web ({cause}); set websocket_url or bosh_service_url, or another transport"
    )]
    NotDiscovered {
        /// Whose server.
        domain: String,
        /// What was missing or wrong.
        cause: String,
    },
    /// What a log-in needs is not given where a setting says.
    #[error("what {setting} names gives nothing to log in with ({cause}); check what is served there")]
    NotFetched {
        /// Which setting.
        setting: &'static str,
        /// What was wrong. It names no address.
        cause: String,
        /// Trying again may help.
        temporary: bool,
    },
    /// The session that somebody else began is not there any more.
    #[error("the BOSH session to go on with is not there (any more); begin another one, and {remedy}")]
    NoSession {
        /// What to do with it.
        remedy: &'static str,
        /// A further one may be had by itself.
        temporary: bool,
    },
    /// The address that the owner named offers no STARTTLS.
    #[error(
        "{place} closed the connection before it offered STARTTLS ({cause}); if TLS begins at once there (direct TLS), set tls = \"direct\"{} (`parlor init --tls direct`), else check the port",
        if *is_written { " in place of \"starttls\"" } else { "" }
    )]
    NoStartTls {
        /// The address, or the domain where DNS gave it.
        place: String,
        /// The failure.
        cause: String,
        /// The owner wrote that TLS begins by STARTTLS there.
        is_written: bool,
    },
    /// The server hung up in the middle.
    #[error("the server hung up during the log-in; its log may say why")]
    HungUp,
}

impl ConnectError {
    /// Where the server wants us to go.
    pub(in crate::xmpp) fn elsewhere(&self) -> Option<&str> {
        match self {
            Self::Elsewhere { place } => Some(place),
            _ => None,
        }
    }

    /// Whether nobody was there to speak to, which another transport may help against.
    pub(in crate::xmpp) fn is_unreachable(&self) -> bool {
        matches!(self, Self::UnknownHost { .. } | Self::Refused { .. } | Self::Unreachable { .. })
    }

    /// Whether the connection went before the server had answered: it may have done what it was asked for, or still do it.
    pub(in crate::xmpp) fn is_no_answer(&self) -> bool {
        matches!(self, Self::HungUp | Self::NoStartTls { .. } | Self::TimedOut { .. } | Self::WebSocketClosed { .. })
    }

    /// Whether the account itself was judged, or somebody may be listening: trying again is pointless, or even harmful, since
    /// servers lock accounts out.
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
            _ => false,
        }
    }

    /// Whether trying again without a change by somebody is pointless, as long as it has never worked. What has worked once and
    /// is no [verdict](Self::is_verdict) may pass by itself: a certificate is renewed, a portal is logged in to, a file is
    /// written anew.
    pub fn is_final(&self) -> bool {
        match self {
            // A machine without a clock of its own learns what time it is from the network.
            Self::Certificate { fault, .. } => *fault != CertificateFault::NotValidYet,
            Self::NoUser { .. }
            | Self::Password(_)
            | Self::NoTls { .. }
            | Self::CaFile { .. }
            | Self::NoTrustedCertificates
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
            Self::UnknownHost { .. }
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Tls { .. }
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

/// Why a log-in has to be bound to its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyBound {
    /// A log-in of the account was bound before.
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

    /// The change that lets the account in, and gives up no more than it must.
    fn remedy(self) -> &'static str {
        match self {
            Self::Pinned => "if the server itself no longer does it, set channel_binding = \"never\"",
            Self::Required => "if the server itself does not do it, set channel_binding = \"auto\"",
        }
    }
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Nobody who is trusted signed it.
    #[error(
        "is not signed by anybody who is trusted; if it is your own, name it or its authority as `ca_file` in parlor.toml"
    )]
    Untrusted,
    /// It is too old.
    #[error("has expired; renew it on the server")]
    Expired,
    /// It is too young, or the clock is wrong.
    #[error("is not valid yet; check this machine's clock")]
    NotValidYet,
    /// It is somebody else's.
    #[error("is for another name; the server needs one for the account's domain")]
    WrongName,
    /// Anything else.
    #[error(
        "is not acceptable ({0}); it must be an end-entity certificate that a trusted authority or ca_file vouches for"
    )]
    Other(String),
}
