//! The behaviour of a scripted server: its offers, the data that it sends at each step, and its memory.

use parlor_config::TlsMode;
use xmpp_parsers::sasl_cb::Type;

/// The features and data of the server.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that a server may or may not do")]
pub struct Manners {
    pub starttls: bool,
    pub tls: TlsMode,
    pub mechanisms: &'static [&'static str],
    pub password: &'static str,
    pub resumption: bool,
    /// The state of a resumable session that it still has.
    pub memory: Memory,
    /// Whether it supports client state indication (XEP-0352).
    pub client_state: bool,
    /// Whether it supports roster versions.
    pub roster_versions: bool,
    pub certificate_for: &'static str,
    /// Whether its certificate has expired.
    pub expired: bool,
    pub issued: Issued,
    /// Whether it offers to compress the stream (XEP-0138).
    pub compression: bool,
    /// The content of the feature that offers to start a session (RFC 3921, section 3); `None` if there is no such
    /// feature. If the feature is empty, the server waits for the request.
    pub session: Option<&'static str>,
    /// Changes SCRAM's challenge, and the final proof, before they are sent.
    pub challenge: fn(String) -> String,
    pub proof: fn(String) -> String,
    pub proves: Proves,
    /// The type of channel binding that it supports, if any.
    pub binds: Option<Type>,
    /// Whether it announces that type (XEP-0440), and no one on the path has removed it.
    pub names_bindings: bool,
    /// A first SCRAM message with this beginning is answered with this failure.
    pub refuses: Option<(&'static str, &'static str)>,
    /// A step, and the data to send there in place of the answer, with `$ID` for the request's id. At its last header
    /// it offers no resource binding instead, and a challenge is sent before its usual answer.
    pub says: Option<(Step, String)>,
    /// How often it sends such a challenge.
    pub asks: usize,
    /// The host where it wants clients to resume a session.
    pub location: Option<String>,
    /// The step at which it pauses, until [`Peer::go_on`](super::Peer::go_on).
    pub thinks: Option<Step>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            starttls: true,
            tls: TlsMode::StartTls,
            mechanisms: &["SCRAM-SHA-256", "PLAIN"],
            password: "secret",
            resumption: true,
            memory: Memory::Good,
            client_state: false,
            roster_versions: false,
            certificate_for: "localhost",
            expired: false,
            issued: Issued::ByItself,
            compression: false,
            session: None,
            challenge: std::convert::identity,
            proof: std::convert::identity,
            proves: Proves::AtTheEnd,
            binds: None,
            names_bindings: true,
            refuses: None,
            says: None,
            asks: 1,
            location: None,
            thinks: None,
        }
    }
}

/// The issuer of its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issued {
    /// The certificate is self-signed.
    ByItself,
    /// The certificate is self-signed, and may issue others.
    AsAuthority,
    /// The issuer is an authority that is not trusted here.
    ByAuthority,
}

/// The steps of a server during the log-in, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The header of the first stream, and its features.
    Header,
    /// The answer that TLS may begin.
    StartTls,
    /// The TLS handshake.
    Tls,
    /// The header of the stream in TLS, and its features.
    SecureHeader,
    /// The SASL challenge.
    Challenge,
    /// The SASL success.
    Success,
    /// The header of the stream after the log-in, and its features.
    LastHeader,
    /// The answer to the bind, with the client's JID.
    Bind,
    /// The answer that the session is managed.
    Enable,
    /// The answer that a former session is resumed.
    Resume,
}

impl Step {
    pub const ALL: [Self; 10] = [
        Self::Header,
        Self::StartTls,
        Self::Tls,
        Self::SecureHeader,
        Self::Challenge,
        Self::Success,
        Self::LastHeader,
        Self::Bind,
        Self::Enable,
        Self::Resume,
    ];
}

/// The state of a resumable session that a server still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Everything: the session is resumed.
    Good,
    /// Only the number of stanzas that it handled.
    Count,
    /// Nothing.
    None,
    /// A wrong number: it claims to have handled more than there were.
    False,
}

/// When the server proves that it knows the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proves {
    /// With its success.
    AtTheEnd,
    /// In a separate challenge, before an empty success.
    Early,
    /// Never: it answers the first message with success.
    Never,
    /// Never: it refuses the first message.
    Refuses,
}
