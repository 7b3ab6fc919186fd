//! The connection to NATS.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::jetstream::{self, Context};
use async_nats::{ConnectErrorKind, ConnectOptions, Event, HeaderMap, Request, RequestErrorKind, ServerAddr, Subject};
use bytes::Bytes;
use parlor_cluster::Revision;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::answer::{ANSWER, Last, Stored, acknowledged, found, removed};
use crate::denials::Denials;
use crate::error::{ConnectError, PutError};
use crate::fitness::check;
use crate::queue::asked;

/// How long connecting and logging in may take.
const CONNECTING: Duration = Duration::from_secs(2);
/// A connection on which nothing arrives for three times this long is given up.
const PING: Duration = Duration::from_secs(1);
/// The longest time between two attempts to connect.
const RETRY: u64 = 500;

/// How to reach NATS.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The addresses of its servers: `tls://HOST:PORT`, or `nats://HOST:PORT` without TLS.
    pub servers: Vec<String>,
    /// How to log in.
    pub login: Login,
    /// The file with the certificates that servers are trusted by; without it, those of the system.
    pub ca_file: Option<PathBuf>,
    /// Whether connections to other machines may go without TLS.
    pub allow_unencrypted: bool,
    /// How many servers keep each stream.
    pub replicas: usize,
}

/// How to log in.
#[derive(Clone)]
pub enum Login {
    /// The server asks for nothing.
    Nothing,
    /// With a password.
    Password {
        /// The name of the user.
        user: String,
        /// The password.
        password: String,
    },
    /// With a token.
    Token(String),
    /// With a certificate, within TLS.
    Certificate {
        /// The file with the certificate, and with those between it and an authority.
        certificate: PathBuf,
        /// The file with its private key.
        key: PathBuf,
    },
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
            Self::Certificate { .. } => "Certificate",
        })
    }
}

/// The connection to NATS. It connects again by itself. Copies share it.
#[derive(Debug, Clone)]
pub struct Link {
    pub(crate) client: async_nats::Client,
    pub(crate) jetstream: Context,
    pub(crate) replicas: usize,
    /// The addresses of the servers, to name them.
    servers: Arc<str>,
    settings: Arc<Settings>,
    denials: Denials,
}

/// A request for a message of a stream. It can be sent again and again.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// The subject of the request.
    api: Subject,
    /// The body of the request.
    wanted: Bytes,
    /// The subject of the message.
    subject: String,
}

/// The reason why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AskError {
    /// None came. The server may have carried it out, or may do so later.
    Lost,
    TooLarge,
    Unfit(ConnectError),
}

impl From<AskError> for PutError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Lost => Self::Unknown,
            AskError::TooLarge => Self::TooLarge,
            AskError::Unfit(error) => Self::Unfit(error),
        }
    }
}

impl Link {
    /// Connects, and checks that the server can be used. The connection lives on the present runtime.
    pub async fn connect(settings: &Settings) -> Result<Self, ConnectError> {
        Self::open(Arc::new(settings.clone()), true).await
    }

    /// Connects once more, on the present runtime. The log says nothing of that connection: it says the same of the first one.
    pub(crate) async fn again(&self) -> Result<Self, ConnectError> {
        Self::open(Arc::clone(&self.settings), false).await
    }

    async fn open(settings: Arc<Settings>, is_first: bool) -> Result<Self, ConnectError> {
        let servers = addresses(&settings)?;
        let shown = servers.iter().map(|server| server.as_url_str().to_owned()).collect::<Vec<_>>().join(", ");
        let denials = Denials::default();
        let hearing = denials.clone();
        let options = options(&settings, &servers)?.event_callback(move |event| {
            hearing.heard(&event);
            if is_first {
                say(&event);
            }
            std::future::ready(())
        });
        let client = options.connect(servers.as_slice()).await.map_err(|error| {
            let (servers, cause) = (shown.clone(), words(&error));
            match error.kind() {
                ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                    ConnectError::LogIn { servers, cause }
                }
                _ => ConnectError::Unreachable { servers, cause },
            }
        })?;
        check(&client.server_info(), settings.replicas)?;
        let jetstream = jetstream::new(client.clone());
        let replicas = settings.replicas;
        Ok(Self { client, jetstream, replicas, servers: shown.into(), settings, denials })
    }

    /// Returns whether there is a connection at this moment.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Returns whether both connections lead, or led last, to the same server. A cluster of NATS may have several.
    pub(crate) fn shares_server(&self, other: &Self) -> bool {
        self.client.server_info().server_id == other.client.server_info().server_id
    }

    /// Returns why there is no connection, if NATS does not accept the log-in any more.
    pub(crate) fn refused(&self) -> Option<ConnectError> {
        let cause = self.denials.refused().filter(|_| !self.is_connected())?;
        Some(ConnectError::LogIn { servers: self.servers.to_string(), cause })
    }

    /// Returns why the last attempt to connect failed, if there is no connection.
    pub(crate) fn failure(&self) -> Option<String> {
        self.denials.failed().filter(|_| !self.is_connected())
    }

    /// Sends a request that may change something, and returns the answer. Without a connection, it fails at once.
    pub(crate) async fn ask(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        body: Bytes,
        within: Duration,
    ) -> Result<Bytes, AskError> {
        if !self.is_connected() {
            return Err(AskError::Lost);
        }
        self.check()?;
        let answer = self.request(subject.into(), headers, body, within).await?;
        // It may be the answer of another server than the one before.
        self.check()?;
        Ok(answer)
    }

    /// Sends a request without a look at the server.
    async fn request(
        &self,
        subject: Subject,
        headers: Option<HeaderMap>,
        body: Bytes,
        within: Duration,
    ) -> Result<Bytes, AskError> {
        if !self.is_connected() {
            return Err(AskError::Lost);
        }
        let mut request = Request::new().payload(body).timeout(None);
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        // The time counts from here: the request may have to wait in the queue of the connection.
        let began = Instant::now();
        let answer = tokio::time::timeout(within, self.client.send_request(subject.clone(), request)).await;
        let Ok(answer) = answer else {
            let right = self.missing(&subject, began);
            return Err(right.map_or(AskError::Lost, |right| AskError::Unfit(ConnectError::Denied(right))));
        };
        let message = answer.map_err(|error| match error.kind() {
            RequestErrorKind::MaxPayloadExceeded => AskError::TooLarge,
            _ => AskError::Lost,
        })?;
        Ok(message.payload)
    }

    /// Returns the right that the log-in lacked for a request without an answer, on a subject that begins with this, since this moment.
    pub(crate) fn missing(&self, begin: &str, since: Instant) -> Option<String> {
        self.denials.missing(begin, since)
    }

    /// Returns the right to receive what comes on this subject, if NATS has denied it.
    pub(crate) fn unheard(&self, subject: &str) -> Option<String> {
        self.denials.unheard(subject)
    }

    /// Checks the server of the present connection.
    fn check(&self) -> Result<(), AskError> {
        check(&self.client.server_info(), self.replicas).map_err(AskError::Unfit)
    }

    /// Writes a message if the last one of its subject has this revision; 0 means that there is none.
    pub(crate) async fn put(
        &self,
        stream: &str,
        subject: String,
        expected: Revision,
        mut headers: HeaderMap,
        body: Bytes,
        within: Duration,
    ) -> Result<Revision, PutError> {
        headers.insert(async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
        self.write(stream, subject, headers, body, within).await
    }

    /// Writes an empty message in the place of whatever its subject has.
    pub(crate) async fn touch(&self, stream: &str, subject: String, within: Duration) -> Result<Revision, PutError> {
        self.write(stream, subject, HeaderMap::new(), Bytes::new(), within).await
    }

    /// Writes a message. If several servers keep the stream, most of them have it on return.
    async fn write(
        &self,
        stream: &str,
        subject: String,
        mut headers: HeaderMap,
        body: Bytes,
        within: Duration,
    ) -> Result<Revision, PutError> {
        headers.insert(async_nats::header::NATS_EXPECTED_STREAM, stream);
        acknowledged(stream, &self.ask(subject, Some(headers), body, within).await?)
    }

    /// Returns the last message of a subject, from the leader of the stream.
    pub(crate) async fn last(&self, stream: &str, subject: &str, within: Duration) -> Result<Last, AskError> {
        self.read(&Reading::last(stream, subject), within).await
    }

    /// Returns the last message of a subject, from the leader of the stream; `None` if there is none.
    pub(crate) async fn stored(&self, stream: &str, subject: &str) -> Result<Option<Stored>, PutError> {
        match self.last(stream, subject, ANSWER).await? {
            Last::None => Ok(None),
            Last::Stored(stored) => Ok(Some(stored)),
            Last::Failed(error) => Err(error),
            Last::TooLarge | Last::Strange => Err(PutError::Unknown),
        }
    }

    /// Returns the first message of a subject, from the leader of the stream.
    pub(crate) async fn first(&self, stream: &str, subject: &str, within: Duration) -> Result<Last, AskError> {
        let wanted = serde_json::json!({ "seq": 1, "next_by_subj": subject });
        self.read(&Reading::new(stream, subject, &wanted), within).await
    }

    /// Removes the messages of a subject before this revision.
    pub(crate) async fn purge(&self, stream: String, subject: &str, before: Revision) -> Result<(), String> {
        let stream = asked(self.jetstream.get_stream_no_info(stream)).await?;
        asked(stream.purge().filter(subject).sequence(before).into_future()).await.map(drop)
    }

    /// Removes the message of a subject that has one at most, unless a later one than that of this revision has come.
    ///
    /// A purge would do so, too. But servers such as 2.9.10 then deliver nothing more of what they have to consumers of more than that
    /// subject which do not have all yet: nodes would miss writes of others.
    pub(crate) async fn remove(&self, stream: &str, subject: &str, up_to: Revision) -> Result<(), PutError> {
        let last = self.stored(stream, subject).await?;
        let Some(Stored { revision, .. }) = last.filter(|last| last.revision <= up_to) else { return Ok(()) };
        let wanted = serde_json::json!({ "seq": revision }).to_string().into();
        let answer = self.ask(format!("$JS.API.STREAM.MSG.DELETE.{stream}"), None, wanted, ANSWER).await;
        if let Err(AskError::Unfit(error)) = &answer {
            tracing::warn!(subject, %error, "a record that no node needs stays in NATS");
        }
        removed(&answer?)
    }

    /// Returns the message that a request asks for, from the leader of the stream.
    pub(crate) async fn read(&self, reading: &Reading, within: Duration) -> Result<Last, AskError> {
        let answer = self.send(reading, within).await;
        // One look is enough: this changes nothing, and what an unfit server answers does not count.
        if answer.is_ok() || self.is_connected() {
            self.check()?;
        }
        found(&reading.subject, &answer?).ok_or(AskError::Lost)
    }

    /// Returns the answer to such a request without a look at the server.
    pub(crate) async fn send(&self, reading: &Reading, within: Duration) -> Result<Bytes, AskError> {
        self.request(reading.api.clone(), None, reading.wanted.clone(), within).await
    }
}

impl Reading {
    /// Makes a request for the last message of a subject.
    pub(crate) fn last(stream: &str, subject: &str) -> Self {
        Self::new(stream, subject, &serde_json::json!({ "last_by_subj": subject }))
    }

    fn new(stream: &str, subject: &str, wanted: &serde_json::Value) -> Self {
        let api = format!("$JS.API.STREAM.MSG.GET.{stream}").into();
        Self { api, wanted: wanted.to_string().into(), subject: subject.to_owned() }
    }
}

/// Says in the log what an owner should know of a connection. The lines of the library itself are not shown: it says each attempt to
/// connect, twice a second.
fn say(event: &Event) {
    match event {
        Event::SlowConsumer(_) => {
            tracing::warn!("this node was too slow for what NATS delivers, and lost some: it reads that again");
        }
        Event::LameDuckMode => tracing::info!("the NATS server of this node is about to stop"),
        _ => {}
    }
}

/// Checks and returns the addresses of the servers.
fn addresses(settings: &Settings) -> Result<Vec<ServerAddr>, ConnectError> {
    if settings.servers.is_empty() {
        return Err(ConnectError::NoServer);
    }
    settings.servers.iter().map(|server| address(settings, server)).collect()
}

fn address(settings: &Settings, server: &str) -> Result<ServerAddr, ConnectError> {
    // The part before an `@` may be a password.
    let shown = server.rsplit('@').next().unwrap_or_default().to_owned();
    let wrong = |cause: &str| ConnectError::Server { server: shown.clone(), cause: cause.to_owned() };
    if server.contains('@') {
        return Err(wrong("an address holds no user and no password"));
    }
    let address: ServerAddr = server.parse().map_err(|error: std::io::Error| wrong(&error.to_string()))?;
    if address.host().is_empty() {
        return Err(wrong("it has no host"));
    }
    match address.scheme() {
        "tls" => Ok(address),
        "nats" if matches!(settings.login, Login::Certificate { .. }) => {
            Err(ConnectError::CertificateWithoutTls(shown))
        }
        "nats" if settings.allow_unencrypted || is_here(address.host()) => Ok(address),
        "nats" => Err(ConnectError::Unencrypted(shown)),
        _ => Err(wrong("it begins with neither tls:// nor nats://")),
    }
}

/// Returns whether a host is this machine.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn options(settings: &Settings, servers: &[ServerAddr]) -> Result<ConnectOptions, ConnectError> {
    let is_encrypted = servers.iter().all(ServerAddr::tls_required);
    let mut options = ConnectOptions::new()
        .name("parlor")
        .connection_timeout(CONNECTING)
        .ping_interval(PING)
        .request_timeout(Some(Duration::from_secs(5)))
        .require_tls(is_encrypted)
        // The owner names the servers. Those that a server names would be connected to without TLS.
        .ignore_discovered_servers()
        .reconnect_delay_callback(retry);
    if servers.iter().any(ServerAddr::tls_required) {
        let trusting = parlor_https::trust::trusting(settings.ca_file.clone())?;
        let tls = match &settings.login {
            Login::Certificate { certificate, key } => {
                let (chain, secret) = (read_chain(certificate)?, read_key(key)?);
                trusting.with_client_auth_cert(chain, secret).map_err(|error| unusable(certificate, &error))?
            }
            _ => trusting.with_no_client_auth(),
        };
        options = options.tls_client_config(tls);
    }
    Ok(match &settings.login {
        Login::Password { user, password } => options.user_and_password(user.clone(), password.clone()),
        Login::Token(token) => options.token(token.clone()),
        Login::Nothing | Login::Certificate { .. } => options,
    })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, &error))?;
    found.collect::<Result<_, _>>().map_err(|error| unusable(path, &error))
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, ConnectError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, cause: &dyn std::error::Error) -> ConnectError {
    ConnectError::Certificate { path: path.to_owned(), cause: cause.to_string() }
}

/// Returns how long to wait before an attempt to connect. The first is made at once.
fn retry(attempt: usize) -> Duration {
    let doubled = u32::try_from(attempt.saturating_sub(1)).ok().and_then(|count| 10_u64.checked_shl(count.min(32)));
    if attempt <= 1 { Duration::ZERO } else { Duration::from_millis(doubled.unwrap_or(RETRY).min(RETRY)) }
}

/// Returns the words of the innermost error.
fn words(error: &dyn std::error::Error) -> String {
    let innermost = std::iter::successors(Some(error), |error| error.source()).last();
    innermost.map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(server: &str, login: Login, allow_unencrypted: bool) -> Result<Vec<ServerAddr>, ConnectError> {
        let servers = vec![server.to_owned()];
        addresses(&Settings { servers, login, ca_file: None, allow_unencrypted, replicas: 1 })
    }

    #[test]
    fn a_connection_to_another_machine_is_encrypted_unless_its_owner_says_so() {
        for here in
            ["nats://127.0.0.1:4222", "nats://[::1]:4222", "nats://localhost", "127.0.0.1:4222", "tls://a.example"]
        {
            assert!(to(here, Login::Nothing, false).is_ok(), "{here}");
        }
        let there = "nats://a.example:4222";
        assert_eq!(to(there, Login::Nothing, false), Err(ConnectError::Unencrypted(there.to_owned())));
        assert!(to(there, Login::Nothing, true).is_ok());
        let login = Login::Certificate { certificate: "a".into(), key: "b".into() };
        assert_eq!(to(there, login, true), Err(ConnectError::CertificateWithoutTls(there.to_owned())));
    }

    #[test]
    fn an_address_that_cannot_be_used_is_named_without_its_password() {
        for wrong in ["", "ws://a.example", "http://a.example", "nats://", "tls://a b"] {
            assert!(matches!(to(wrong, Login::Nothing, true), Err(ConnectError::Server { .. })), "{wrong:?}");
        }
        let error = to("tls://me:secret@a.example", Login::Nothing, true).unwrap_err().to_string();
        assert!(error.contains("a.example") && !error.contains("secret"), "{error}");
        let login = Login::Password { user: "me".to_owned(), password: "secret".to_owned() };
        assert!(!format!("{login:?} {:?}", Login::Token("secret".to_owned())).contains("secret"));
    }

    #[test]
    fn attempts_to_connect_become_rarer() {
        assert_eq!(retry(0), Duration::ZERO);
        assert_eq!(retry(1), Duration::ZERO);
        assert_eq!(retry(2), Duration::from_millis(20));
        for many in [10, 40, 1000, usize::MAX] {
            assert_eq!(retry(many), Duration::from_millis(RETRY));
        }
    }
}
