//! One connection, from nothing to a stream that is logged in and not yet bound.
//!
//! Everything here either works or says in one typed sentence what its reader can do. When to try again is for `link`.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ::sasl::common::Credentials;
use futures_util::{SinkExt, StreamExt};
use jid::Jid;
use minidom::Element;
use tokio::io::{AsyncBufRead, AsyncWrite, BufStream};
use tokio::net::TcpStream;
use tokio_xmpp::connect::AsyncReadAndWrite;
use tokio_xmpp::error::{AuthError, Error as StreamFailure};
use tokio_xmpp::stanzastream::Connection;
use tokio_xmpp::xmlstream::{
    PendingFeaturesRecv, ReadError, RecvFeaturesError, StreamHeader, Timeouts, XmppStream, XmppStreamElement,
    initiate_stream,
};
use xmpp_parsers::ns;
use xmpp_parsers::sasl::DefinedCondition as SaslCondition;
use xmpp_parsers::sasl_cb;
use xmpp_parsers::starttls::{Nonza as StartTls, Request};
use xmpp_parsers::stream_error::{DefinedCondition, StreamError};
use xmpp_parsers::stream_features::StreamFeatures;

use super::cut::Cutter;
use super::link::LinkSettings;
use super::password::{Password, PasswordError};
use super::sasl::{Offer, choose};
use super::srv::{Server, servers};
use super::tls::secure;
use crate::config::TlsMode;

/// How long all of it may take, the password apart.
const LIMIT: Duration = Duration::from_secs(30);
/// How long one address may take, so that a dead one leaves time for the next.
const ADDRESS_LIMIT: Duration = Duration::from_secs(10);

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
        "{host} is not known to DNS ({cause}); check the account's domain, or name the server in the configuration"
    )]
    UnknownHost {
        /// Which name.
        host: String,
        /// What DNS said.
        cause: String,
    },
    /// Nothing listens there.
    #[error("{address} refuses connections; check that the server runs and listens on that port")]
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
    /// The certificate is not good.
    #[error("the certificate of {domain} {fault}")]
    Certificate {
        /// Whose server.
        domain: String,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// The file of trusted certificates cannot be used.
    #[error("ca_file {} cannot be used: {cause}", path.display())]
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
        if *plain_is_offered { "; allow_plain = true would let it see the password itself" } else { "; SCRAM-SHA-1 or SCRAM-SHA-256 is needed" })]
    NoMechanism {
        /// What it offers.
        offered: Vec<String>,
        /// PLAIN is among it, and not allowed.
        plain_is_offered: bool,
    },
    /// Wrong user or password.
    #[error("the server refused the password of {jid}; check the jid and where its password comes from")]
    NotAuthorized {
        /// Whose.
        jid: Jid,
    },
    /// The account is disabled.
    #[error("the account {jid} is disabled; ask who runs its server")]
    AccountDisabled {
        /// Which.
        jid: Jid,
    },
    /// The log-in was refused for another reason.
    #[error("the server refused the log-in: {condition}")]
    LoginRefused {
        /// The condition (RFC 6120, section 6.5).
        condition: String,
        /// Trying again may help.
        temporary: bool,
    },
    /// The server does not serve this domain.
    #[error("the server does not serve {domain}; check the account's domain and the server that is named for it")]
    HostUnknown {
        /// Which domain.
        domain: String,
    },
    /// The server ended the stream.
    #[error("the server ended the stream: {condition}{}", text.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
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
    /// The server hung up in the middle.
    #[error("the server hung up during the log-in; its log may say why")]
    HungUp,
}

impl ConnectError {
    /// Whether trying again without a change by somebody is pointless, or even harmful: servers lock accounts out.
    pub fn is_final(&self) -> bool {
        match self {
            Self::NoUser { .. }
            | Self::Password(_)
            | Self::NoTls { .. }
            | Self::Certificate { .. }
            | Self::CaFile { .. }
            | Self::NoTrustedCertificates
            | Self::NoMechanism { .. }
            | Self::NotAuthorized { .. }
            | Self::AccountDisabled { .. }
            | Self::HostUnknown { .. } => true,
            Self::LoginRefused { temporary, .. } => !temporary,
            Self::UnknownHost { .. }
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Tls { .. }
            | Self::Stream { .. }
            | Self::NotXmpp { .. }
            | Self::HungUp => false,
        }
    }
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Nobody who is trusted signed it.
    #[error("is not signed by anybody who is trusted; if it is your own, name it or its authority as ca_file")]
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

/// Connects and logs in as `jid`, whose resource will be asked for. The password is read anew, and wiped at the end.
pub(super) async fn log_in(settings: &LinkSettings, jid: &Jid, cutter: &Cutter) -> Result<Connection, ConnectError> {
    let user = jid.node().ok_or_else(|| ConnectError::NoUser { jid: jid.clone() })?.as_str().to_owned();
    let password = Password::read(&settings.password).await?;
    let domain = jid.domain().as_str();
    let attempt = async {
        let (pending, exporter) = open(settings, domain, cutter).await?;
        let (features, stream) = pending.recv_features().await.map_err(|error| features_failure(error, domain))?;
        let names_exporter =
            features.sasl_cb.as_ref().is_some_and(|offer| offer.types.contains(&sasl_cb::Type::TlsExporter));
        let (mechanisms, binding) = choose(Offer {
            mechanisms: &features.sasl_mechanisms,
            names_exporter,
            exporter,
            allow_plain: settings.allow_plain,
        })?;
        let credentials =
            Credentials::default().with_username(user).with_password(password.expose()).with_channel_binding(binding);
        let stream = tokio_xmpp::client_login(stream, mechanisms, credentials)
            .await
            .map_err(|error| login_failure(error, jid))?;
        let pending = stream.send_header(header(domain)).await.map_err(|error| io_failure(&error))?;
        let (features, stream): (StreamFeatures, XmppStream<_>) =
            pending.recv_features().await.map_err(|error| features_failure(error, domain))?;
        if !features.can_bind() {
            // The library would panic over such a stream.
            return Err(ConnectError::NotXmpp { cause: "it offers no resource binding".to_owned() });
        }
        Ok(Connection { stream: stream.box_stream(), features, identity: jid.clone() })
    };
    tokio::time::timeout(LIMIT, attempt)
        .await
        .unwrap_or_else(|_| Err(ConnectError::TimedOut { domain: domain.to_owned() }))
}

type Transport = Box<dyn AsyncReadAndWrite>;

/// A stream inside TLS, and what a log-in can be bound to.
async fn open(
    settings: &LinkSettings,
    domain: &str,
    cutter: &Cutter,
) -> Result<(PendingFeaturesRecv<Transport>, Option<Vec<u8>>), ConnectError> {
    let ascii = ascii(domain)?;
    let tcp = reach(&ascii, settings).await?;
    let timeouts = settings.timeouts();
    let tcp = match settings.tls {
        TlsMode::Direct => tcp,
        TlsMode::StartTls => start_tls(tcp, domain, timeouts).await?,
    };
    let secured = secure(tcp, &ascii, settings.tls, settings.ca_file.as_deref()).await?;
    let transport: Transport = Box::new(cutter.guard(BufStream::new(secured.stream)));
    let pending = initiate_stream(transport, ns::JABBER_CLIENT, header(domain), timeouts)
        .await
        .map_err(|error| io_failure(&error))?;
    Ok((pending, secured.exporter))
}

/// A domain as DNS and certificates spell it; literal addresses without their brackets.
fn ascii(domain: &str) -> Result<String, ConnectError> {
    let bare = domain.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(bare.to_owned());
    }
    idna::domain_to_ascii(domain)
        .map_err(|error| ConnectError::UnknownHost { host: domain.to_owned(), cause: error.to_string() })
}

/// A TCP connection to the first server that takes one; else why the last did not.
async fn reach(domain: &str, settings: &LinkSettings) -> Result<TcpStream, ConnectError> {
    let mut last =
        ConnectError::UnknownHost { host: domain.to_owned(), cause: "it says that it has no XMPP service".to_owned() };
    for server in servers(domain, settings.server.as_ref(), settings.tls).await {
        let addresses: Vec<SocketAddr> = match tokio::net::lookup_host((server.host.as_str(), server.port)).await {
            Ok(addresses) => addresses.collect(),
            Err(error) => {
                last = ConnectError::UnknownHost { host: server.host.clone(), cause: error.to_string() };
                continue;
            }
        };
        for address in addresses {
            match reach_address(address, &server).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

async fn reach_address(address: SocketAddr, server: &Server) -> Result<TcpStream, ConnectError> {
    let named = || format!("{}:{} ({address})", server.host, server.port);
    let unreachable = |error: io::Error| match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused { address: named() },
        _ => ConnectError::Unreachable { address: named(), cause: error.to_string() },
    };
    let stream = tokio::time::timeout(ADDRESS_LIMIT, TcpStream::connect(address))
        .await
        .map_err(|_| ConnectError::Unreachable { address: named(), cause: "no answer".to_owned() })?
        .map_err(unreachable)?;
    // Without this, Nagle's algorithm on both ends costs 40 ms a round trip.
    stream.set_nodelay(true).map_err(unreachable)?;
    Ok(stream)
}

/// Says nothing but STARTTLS on a plain stream, and gives the socket back for the handshake.
async fn start_tls(tcp: TcpStream, domain: &str, timeouts: Timeouts) -> Result<TcpStream, ConnectError> {
    let pending = initiate_stream(BufStream::new(tcp), ns::JABBER_CLIENT, header(domain), timeouts)
        .await
        .map_err(|error| io_failure(&error))?;
    let (features, mut stream) = pending.recv_features().await.map_err(|error| features_failure(error, domain))?;
    if !features.can_starttls() {
        return Err(ConnectError::NoTls { domain: domain.to_owned() });
    }
    send(&mut stream, &XmppStreamElement::Starttls(StartTls::Request(Request))).await?;
    loop {
        match stream.next().await.map(|element| element.and_then(|element| element.into_read_error())) {
            // Whatever came after this in plain is thrown away with the buffer: nobody vouches for it.
            Some(Ok(XmppStreamElement::Starttls(StartTls::Proceed(_)))) => return Ok(stream.into_inner().into_inner()),
            Some(Ok(XmppStreamElement::Starttls(StartTls::Failure(_)))) => {
                return Err(ConnectError::Tls { cause: "the server declined STARTTLS".to_owned() });
            }
            Some(Ok(XmppStreamElement::StreamError(error))) => return Err(stream_failure(&error.0, domain)),
            Some(Ok(_)) => return Err(ConnectError::NotXmpp { cause: "no answer to STARTTLS".to_owned() }),
            Some(Err(ReadError::SoftTimeout)) => {}
            Some(Err(ReadError::HardError(error))) => return Err(io_failure(&error)),
            Some(Err(ReadError::ParseError(error))) => return Err(ConnectError::NotXmpp { cause: error.to_string() }),
            Some(Err(ReadError::StreamFooterReceived)) | None => return Err(ConnectError::HungUp),
        }
    }
}

async fn send<Io: AsyncBufRead + AsyncWrite + Unpin>(
    stream: &mut XmppStream<Io>,
    element: &XmppStreamElement,
) -> Result<(), ConnectError> {
    stream.send(element).await.map_err(|error| io_failure(&error))
}

fn header(domain: &str) -> StreamHeader<'_> {
    StreamHeader { to: Some(Cow::Borrowed(domain)), from: None, id: None }
}

fn features_failure(error: RecvFeaturesError, domain: &str) -> ConnectError {
    match error {
        RecvFeaturesError::Io(error) => io_failure(&error),
        RecvFeaturesError::StreamError(error) => stream_failure(&error.0, domain),
    }
}

fn stream_failure(error: &StreamError, domain: &str) -> ConnectError {
    if matches!(error.condition, DefinedCondition::HostUnknown | DefinedCondition::HostGone) {
        return ConnectError::HostUnknown { domain: domain.to_owned() };
    }
    ConnectError::Stream {
        condition: error.condition.to_string(),
        text: error.get_best_text(Vec::new()).map(|(_, text)| printable(text)),
    }
}

fn login_failure(error: StreamFailure, jid: &Jid) -> ConnectError {
    match error {
        StreamFailure::Auth(AuthError::Fail(condition)) => match condition {
            SaslCondition::NotAuthorized => ConnectError::NotAuthorized { jid: jid.clone() },
            SaslCondition::AccountDisabled => ConnectError::AccountDisabled { jid: jid.clone() },
            other => ConnectError::LoginRefused {
                temporary: matches!(other, SaslCondition::TemporaryAuthFailure | SaslCondition::Aborted),
                condition: Element::from(other).name().to_owned(),
            },
        },
        // The mechanism's own check failed: the server could not prove that it knows the password either.
        StreamFailure::Auth(other) => ConnectError::LoginRefused { condition: other.to_string(), temporary: false },
        StreamFailure::StreamError(error) => stream_failure(&error.0, jid.domain().as_str()),
        StreamFailure::Io(error) => io_failure(&error),
        StreamFailure::Disconnected => ConnectError::HungUp,
        other => ConnectError::NotXmpp { cause: other.to_string() },
    }
}

fn io_failure(error: &io::Error) -> ConnectError {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error.kind() {
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe => ConnectError::HungUp,
        _ => ConnectError::NotXmpp { cause: printable(&error.to_string()) },
    }
}

/// What a server says ends up in logs and terminals: short, and nothing but text.
fn printable(text: &str) -> String {
    text.chars().take(200).map(|character| if character.is_control() { ' ' } else { character }).collect()
}
