//! A scripted server over loopback, for tests: TLS, SCRAM, bind, XEP-0198, and then whatever the test sends.
//!
//! `tests/src/peer.rs` is another one, and the two stay separate. This one is hostile on request (forged proofs, raw
//! bytes, resumption) and returns the link's private settings. That one measures, from a package that only sees the
//! host's public API. A common one would need a wider API, or tests of the host that depend on a package which depends
//! on the host.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::ring::digest::{SHA256, digest};
use ::sasl::common::scram::Sha256;
use ::sasl::common::{ChannelBinding, Identity};
use ::sasl::secret::Pbkdf2Sha256;
use ::sasl::server::mechanisms::Scram;
use ::sasl::server::{Mechanism, Provider, ProviderError, Response as ScramStep, Validator, ValidatorError};
use futures_util::{SinkExt, StreamExt};
use jid::FullJid;
use minidom::Element;
use parlor_config::{Endpoint, LinkSettings, PasswordSource, TlsMode, TransportChoice, Way};
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::ring};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response as Upgraded};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use tokio_xmpp::xmlstream::{
    AcceptedStream, FallibleStreamElement, ReadError, StreamHeader, Timeouts, XmppStream, XmppStreamElement,
    accept_stream,
};
use xmpp_parsers::bind::{BindFeature, BindQuery, BindResponse};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::sasl::{Auth, Challenge, DefinedCondition, Failure, Nonza as Sasl, Response, Success};
use xmpp_parsers::sasl_cb::{SaslChannelBinding, Type};
use xmpp_parsers::sm::{A, Enabled, Failed as Unknown, Nonza as Sm, R, Resumed, StreamId, StreamManagement};
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::starttls::{Nonza as Tls, Proceed, StartTls};
use xmpp_parsers::stream_features::StreamFeatures;

use super::bind::SESSION;

/// The features and data of the server.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that a server may or may not do")]
pub struct Manners {
    pub starttls: bool,
    pub tls: TlsMode,
    pub mechanisms: &'static [&'static str],
    pub password: &'static str,
    pub resumption: bool,
    /// The state of a session to be resumed that it still has.
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
    /// Whether it announces that type (XEP-0440), and nobody in between has removed it.
    pub names_bindings: bool,
    /// A first SCRAM message with this beginning is answered with this failure.
    pub refuses: Option<(&'static str, &'static str)>,
    /// A step, and the data to send there in place of the answer, with `$ID` for the request's id. At its last header
    /// it offers no resource binding instead, and a challenge is sent before its usual answer.
    pub says: Option<(Step, String)>,
    /// The host where it wants a session to be resumed.
    pub location: Option<String>,
    /// The step at which it pauses, until [`Peer::go_on`].
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

/// The state that a server still has of a session to be resumed.
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
    /// In a challenge of its own, before an empty success.
    Early,
    /// Never: it answers the first message with success.
    Never,
    /// Never: it refuses the first message.
    Refuses,
}

/// A connection of a web server, which sends what a test wants.
pub struct Page {
    stream: TlsStream<TcpStream>,
    bytes: Vec<u8>,
}

impl Page {
    /// Returns the body of the next request; `None` if there are no more.
    pub async fn hear(&mut self) -> Option<String> {
        use tokio::io::AsyncReadExt as _;
        loop {
            let text = String::from_utf8_lossy(&self.bytes).into_owned();
            if let Some((head, rest)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                let length: usize = length.parse().unwrap();
                if rest.len() >= length {
                    self.bytes.drain(..head.len() + 4 + length);
                    return Some(rest[..length].to_owned());
                }
            }
            if self.stream.read_buf(&mut self.bytes).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Answers with this status and body.
    pub async fn say(&mut self, status: &str, body: &str) {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        self.say_raw(answer.as_bytes()).await;
    }

    /// Answers with these bytes.
    pub async fn say_raw(&mut self, bytes: &[u8]) {
        use tokio::io::AsyncWriteExt as _;
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }
}

/// A listening server.
pub struct Peer {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    manners: Manners,
    certificate: Vec<u8>,
    folder: tempfile::TempDir,
    /// The number of handled stanzas of the resumable session.
    handled: Arc<AtomicU32>,
    thinking: Notify,
    goes_on: Notify,
}

/// A client that is logged in.
pub struct Session {
    stream: XmppStream<Secure>,
    bytes: Arc<Mutex<Vec<u8>>>,
    said: Arc<Said>,
    handled: Arc<AtomicU32>,
    pub jid: Option<FullJid>,
    pub resumed: bool,
    /// How many stanzas of the resumed session the client had handled.
    pub taken_in: u32,
}

type Secure = BufStream<Door>;

/// A transport into which a test can write bytes, bypassing the library.
struct Door {
    inner: TlsStream<TcpStream>,
    bytes: Arc<Mutex<Vec<u8>>>,
    said: Arc<Said>,
}

/// The bytes received from the client, and a signal for more.
#[derive(Default)]
struct Said {
    bytes: Mutex<Vec<u8>>,
    more: Notify,
}

impl Said {
    /// Removes the bytes up to the end of this text, if it was received.
    fn take_up_to(&self, text: &str) -> bool {
        let mut bytes = self.bytes.lock().unwrap();
        let at = bytes.windows(text.len()).position(|window| window == text.as_bytes());
        if let Some(at) = at {
            bytes.drain(..at + text.len());
        }
        at.is_some()
    }
}

impl AsyncRead for Door {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let mut space = vec![0; buf.remaining()];
            let mut read = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut read))?;
            this.said.bytes.lock().unwrap().extend_from_slice(read.filled());
            this.said.more.notify_one();
            let known = without_client_state(read.filled());
            if !known.is_empty() || read.filled().is_empty() {
                buf.put_slice(&known);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Removes elements that the library does not know; they arrive whole. Replaces a mechanism that it does not know by
/// another one, and an explicit empty message by an empty one.
fn without_client_state(bytes: &[u8]) -> Vec<u8> {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    if text.contains("<auth ") && (text.contains("EXTERNAL") || text.contains(">=<")) {
        return text.replace("EXTERNAL", "PLAIN").replace(">=<", "><").into_bytes();
    }
    let is_state = text.contains("urn:xmpp:csi:0");
    while is_state && let Some(start) = text.find("<active ").or_else(|| text.find("<inactive ")) {
        let end = start + text[start..].find('>').expect("elements come whole") + 1;
        text.replace_range(start..end, "");
    }
    if is_state { text.replace("</active>", "").replace("</inactive>", "").into_bytes() } else { bytes.to_vec() }
}

impl AsyncWrite for Door {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut bytes = this.bytes.lock().unwrap();
        while !bytes.is_empty() {
            let amount = ready!(Pin::new(&mut this.inner).poll_write(cx, &bytes))?;
            bytes.drain(..amount);
        }
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Peer {
    pub async fn start(manners: Manners) -> Self {
        let mut params = rcgen::CertificateParams::new([manners.certificate_for.to_owned()]).unwrap();
        if manners.expired {
            params.not_before = rcgen::date_time_ymd(2019, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let signing_key = rcgen::KeyPair::generate().unwrap();
        let cert = match manners.issued {
            Issued::ByItself => params.self_signed(&signing_key),
            Issued::AsAuthority => {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
                params.self_signed(&signing_key)
            }
            Issued::ByAuthority => {
                let mut authority = rcgen::CertificateParams::default();
                authority.distinguished_name.push(rcgen::DnType::CommonName, "authority");
                authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
                let issuer = rcgen::Issuer::new(authority, rcgen::KeyPair::generate().unwrap());
                params.signed_by(&signing_key, &issuer)
            }
        };
        let made = rcgen::CertifiedKey { cert: cert.unwrap(), signing_key };
        let client = rcgen::generate_simple_self_signed(["bot@localhost".to_owned()]).unwrap();
        let mut trusted = RootCertStore::empty();
        trusted.add(client.cert.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), provider);
        let verifier = verifier.allow_unauthenticated().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("password"), "secret\n").unwrap();
        std::fs::write(folder.path().join("client.pem"), client.cert.pem()).unwrap();
        std::fs::write(folder.path().join("client.key"), client.signing_key.serialize_pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
            manners,
            certificate: made.cert.der().to_vec(),
            folder,
            handled: Arc::default(),
            thinking: Notify::new(),
            goes_on: Notify::new(),
        }
    }

    /// Returns settings that lead to this server, with the password.
    pub fn settings(&self) -> LinkSettings {
        LinkSettings {
            jid: "bot@localhost/here".parse().unwrap(),
            way: Way::Password,
            password: PasswordSource::File(self.folder.path().join("password")),
            server: Some(Endpoint {
                host: "127.0.0.1".to_owned(),
                port: Some(self.listener.local_addr().unwrap().port()),
            }),
            tls: Some(self.manners.tls),
            ca_file: Some(self.folder.path().join("ca.pem")),
            allow_plain: false,
            channel_binding: parlor_config::ChannelBinding::Auto,
            transport: TransportChoice::Auto,
            websocket: None,
            keep_unsent: Duration::from_hours(1),
            bosh: None,
            prebind: None,
            ping_interval: Duration::from_mins(1),
        }
    }

    /// Same as `settings`, with a certificate that the server trusts in place of the password.
    pub fn with_certificate(&self) -> LinkSettings {
        let [chain, key] = ["client.pem", "client.key"].map(|name| self.folder.path().join(name));
        LinkSettings { way: Way::Certificate { chain, key }, ..self.settings() }
    }

    /// Starts another server with the same certificate and accounts.
    pub async fn twin(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            acceptor: self.acceptor.clone(),
            manners: self.manners.clone(),
            certificate: self.certificate.clone(),
            folder,
            handled: Arc::default(),
            thinking: Notify::new(),
            goes_on: Notify::new(),
        }
    }

    /// Makes the server name another host for resuming sessions.
    #[must_use]
    pub fn with_location(mut self, place: String) -> Self {
        self.manners.location = Some(place);
        self
    }

    /// Waits until a log-in has reached the step at which the server pauses. No data is in flight then.
    pub async fn thinks(&self) {
        self.thinking.notified().await;
    }

    /// Continues after a pause.
    pub fn go_on(&self) {
        self.goes_on.notify_one();
    }

    async fn think(&self, step: Step) {
        if self.manners.thinks == Some(step) {
            self.thinking.notify_one();
            self.goes_on.notified().await;
        }
    }

    /// Returns what the server sends at this step in place of its answer.
    fn says(&self, step: Step, id: &str) -> Option<String> {
        let said = self.manners.says.as_ref().filter(|(at, _)| *at == step);
        said.map(|(_, said)| said.replace("$ID", id))
    }

    /// Returns the data that the client's log-in must be bound to. The library's SCRAM verifies only one type of
    /// binding, against any data, and accepts any name that the client gives it.
    fn binding(&self, stream: &TlsStream<TcpStream>) -> ChannelBinding {
        match &self.manners.binds {
            None => ChannelBinding::None,
            Some(Type::TlsServerEndPoint) => {
                ChannelBinding::TlsUnique(digest(&SHA256, &self.certificate).as_ref().to_vec())
            }
            Some(_) => {
                let (label, context) = (b"EXPORTER-Channel-Binding", Some(&[][..]));
                let material = stream.get_ref().1.export_keying_material(vec![0; 32], label, context);
                ChannelBinding::TlsUnique(material.unwrap())
            }
        }
    }

    /// Returns the address where the server listens.
    pub fn place(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// Returns the port where the server listens.
    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Accepts a connection without sending anything.
    pub async fn accept_socket(&self) -> TcpStream {
        let (socket, _) = self.listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        socket
    }

    /// Accepts a client, up to a bound or resumed session; returns `None` if it disconnects before.
    pub async fn accept(&self) -> Option<Session> {
        let mut session = Box::pin(self.accept_unbound()).await?;
        let mut waits = self.manners.session == Some("");
        loop {
            match session.next().await? {
                XmppStreamElement::Stanza(Stanza::Iq(Iq::Set { id, payload, .. })) if payload.has_ns(SESSION) => {
                    assert!(std::mem::take(&mut waits) && session.jid.is_some(), "nobody waits for that");
                    session.send_stanza(Iq::from_result(id, None::<BindResponse>).into()).await;
                    if !self.manners.resumption {
                        return Some(session);
                    }
                }
                XmppStreamElement::Stanza(Stanza::Iq(iq)) => {
                    let Iq::Set { id, payload, .. } = iq else { panic!("expected a bind, found {iq:?}") };
                    self.think(Step::Bind).await;
                    if let Some(said) = self.says(Step::Bind, &id) {
                        session.say_raw(&said).await;
                        continue;
                    }
                    let resource = BindQuery::try_from(payload).unwrap().resource.expect("a resource is asked for");
                    let jid: FullJid = format!("bot@localhost/{resource}").parse().unwrap();
                    session.send_stanza(Iq::from_result(id, Some(BindResponse { jid: jid.clone() })).into()).await;
                    session.jid = Some(jid);
                    if !self.manners.resumption && !waits {
                        return Some(session);
                    }
                }
                XmppStreamElement::SM(Sm::Enable(_)) => {
                    assert!(!waits, "the session was not begun");
                    self.think(Step::Enable).await;
                    if let Some(said) = self.says(Step::Enable, "") {
                        session.say_raw(&said).await;
                        continue;
                    }
                    self.handled.store(0, Ordering::SeqCst);
                    let (id, location) = (Some(StreamId("one".to_owned())), self.manners.location.clone());
                    let enabled = Enabled { id, location, max: None, resume: true };
                    session.send(&XmppStreamElement::SM(Sm::Enabled(enabled))).await;
                    return Some(session);
                }
                XmppStreamElement::SM(Sm::Resume(_)) if matches!(self.manners.memory, Memory::Count | Memory::None) => {
                    let h = (self.manners.memory == Memory::Count).then(|| self.handled.load(Ordering::SeqCst));
                    session.send(&XmppStreamElement::SM(Sm::Failed(Unknown { h, error: None }))).await;
                }
                XmppStreamElement::SM(Sm::Resume(resume)) => {
                    self.think(Step::Resume).await;
                    if let Some(said) = self.says(Step::Resume, "") {
                        session.say_raw(&said).await;
                        continue;
                    }
                    let more = if self.manners.memory == Memory::False { 1000 } else { 0 };
                    let resumed =
                        Resumed { h: self.handled.load(Ordering::SeqCst) + more, previd: resume.previd.clone() };
                    session.send(&XmppStreamElement::SM(Sm::Resumed(resumed))).await;
                    session.resumed = true;
                    session.taken_in = resume.h;
                    return Some(session);
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// Accepts the next connection as a web server.
    pub async fn accept_page(&self) -> Page {
        let stream = self.acceptor.accept(self.accept_socket().await).await.unwrap();
        Page { stream, bytes: Vec::new() }
    }

    /// Accepts the next connection as a WebSocket (RFC 7395).
    pub async fn accept_websocket(&self) -> WebSocketStream<TlsStream<TcpStream>> {
        let stream = self.acceptor.accept(self.accept_socket().await).await.unwrap();
        #[expect(clippy::result_large_err, reason = "it is the library's")]
        let speaks_xmpp = |_: &Request, mut response: Upgraded| {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("xmpp"));
            Ok(response)
        };
        accept_hdr_async(stream, speaks_xmpp).await.unwrap()
    }

    /// Returns settings that lead to this server over WebSocket.
    pub fn over_websocket(&self) -> LinkSettings {
        let url = format!("wss://localhost:{}/ws", self.port());
        LinkSettings { websocket: Some(url.parse().unwrap()), ..self.settings() }
    }

    /// Answers one request like a web server that knows nothing about XMPP.
    pub async fn answer_like_a_portal(&self) {
        self.answer_web("200 OK", "<html>Please log in to the network</html>").await;
    }

    /// Answers one request without a body with this status and body. Returns its head.
    pub async fn answer_web(&self, status: &str, body: &str) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = self.acceptor.accept(self.accept_socket().await).await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        String::from_utf8(request).unwrap()
    }

    /// Accepts a client that logs in, and sends it nothing after that.
    pub async fn accept_unbound(&self) -> Option<Session> {
        let mut socket = self.accept_socket().await;
        if self.manners.tls == TlsMode::StartTls {
            socket = self.starttls(socket).await?;
        }
        let (bytes, said) = (Arc::default(), Arc::<Said>::default());
        self.think(Step::Tls).await;
        let inner = self.acceptor.accept(socket).await.ok()?;
        let shows_certificate = inner.get_ref().1.peer_certificates().is_some();
        let binding = self.binding(&inner);
        let secure = BufStream::new(Door { inner, bytes: Arc::clone(&bytes), said: Arc::clone(&said) });
        let accepted = accept_stream(secure, ns::JABBER_CLIENT, Timeouts::tight()).await.ok()?;
        let mechanisms: BTreeSet<String> = self.manners.mechanisms.iter().map(|name| (*name).to_owned()).collect();
        let named = self.manners.binds.clone().filter(|_| self.manners.names_bindings);
        let sasl_cb = named.map(|kind| SaslChannelBinding { types: vec![kind] });
        let features = StreamFeatures { sasl_mechanisms: mechanisms, sasl_cb, ..StreamFeatures::default() };
        self.think(Step::SecureHeader).await;
        let mut stream = answer(accepted, &features).await?;
        let mut scram = Scram::<Sha256, Account>::new(Account { password: self.manners.password }, binding);
        let twist = |data: Vec<u8>, how: fn(String) -> String| how(String::from_utf8(data).unwrap()).into_bytes();
        let challenge = |data| XmppStreamElement::Sasl(Sasl::Challenge(Challenge { data }));
        let success = |data| Element::from(Success { data });
        let mut asks = self.says(Step::Challenge, "");
        let success = loop {
            let data = match stream.next().await?.ok()?.into_read_error().ok()? {
                XmppStreamElement::Sasl(Sasl::Auth(Auth { data, .. }) | Sasl::Response(Response { data })) => data,
                other => panic!("expected SASL, found {other:?}"),
            };
            if let Some(asked) = asks.take() {
                stream.send(&asked.parse::<Element>().unwrap()).await.ok()?;
                continue;
            }
            if let Some((_, failure)) = self.manners.refuses.filter(|(first, _)| data.starts_with(first.as_bytes())) {
                // A client that is refused may be gone.
                let _ = stream.send(&failure.parse::<Element>().unwrap()).await;
                return None;
            }
            // Like any server, this one accepts a client that does not support channel binding; the library's SCRAM
            // would not.
            if data.starts_with(b"n,,") {
                let nothing = ChannelBinding::TlsUnique(Vec::new());
                scram = Scram::new(Account { password: self.manners.password }, nothing);
            }
            let wants_certificate = self.manners.mechanisms.contains(&"EXTERNAL");
            match self.manners.proves {
                Proves::Never if shows_certificate || !wants_certificate => break success(Vec::new()),
                Proves::Never | Proves::Refuses => {
                    refuse(&mut stream).await;
                    return None;
                }
                Proves::AtTheEnd | Proves::Early => {}
            }
            match scram.respond(&data) {
                Ok(ScramStep::Proceed(data)) => {
                    self.think(Step::Challenge).await;
                    stream.send(&challenge(twist(data, self.manners.challenge))).await.ok()?;
                }
                Ok(ScramStep::Success(_, data)) => {
                    self.think(Step::Success).await;
                    let proof = twist(data, self.manners.proof);
                    if self.manners.proves == Proves::AtTheEnd {
                        break success(proof);
                    }
                    stream.send(&challenge(proof)).await.ok()?;
                    stream.next().await?.ok()?;
                    break success(Vec::new());
                }
                Err(_) => {
                    refuse(&mut stream).await;
                    return None;
                }
            }
        };
        let success = self.says(Step::Success, "").map_or(success, |said| said.parse().unwrap());
        let accepted = stream.accept_reset(&success).await.ok()?;
        let features = StreamFeatures {
            bind: self.says(Step::LastHeader, "").is_none().then_some(BindFeature { required: true }),
            stream_management: self.manners.resumption.then_some(StreamManagement { optional: false }),
            others: [
                self.manners.client_state.then(|| Element::bare("csi", ns::CSI)),
                self.manners.roster_versions.then(|| Element::bare("ver", "urn:xmpp:features:rosterver")),
                self.manners.compression.then(|| Element::bare("compression", "http://jabber.org/features/compress")),
                self.manners
                    .session
                    .map(|inside| format!("<session xmlns='{SESSION}'>{inside}</session>").parse().unwrap()),
            ]
            .into_iter()
            .flatten()
            .collect(),
            ..StreamFeatures::default()
        };
        self.think(Step::LastHeader).await;
        let stream = answer(accepted, &features).await?;
        Some(Session {
            stream,
            bytes,
            said,
            handled: Arc::clone(&self.handled),
            jid: None,
            resumed: false,
            taken_in: 0,
        })
    }

    async fn starttls(&self, socket: TcpStream) -> Option<TcpStream> {
        let accepted = accept_stream(BufStream::new(socket), ns::JABBER_CLIENT, Timeouts::tight()).await.ok()?;
        let features = StreamFeatures {
            starttls: self.manners.starttls.then_some(StartTls { required: true }),
            ..StreamFeatures::default()
        };
        self.think(Step::Header).await;
        let mut stream = answer(accepted, &features).await?;
        stream.next().await?.ok()?;
        self.think(Step::StartTls).await;
        stream.send(&XmppStreamElement::Starttls(Tls::Proceed(Proceed))).await.ok()?;
        Some(stream.into_inner().into_inner())
    }
}

async fn refuse<Io: AsyncBufRead + AsyncWrite + Unpin>(stream: &mut XmppStream<Io>) {
    let failure =
        Failure { defined_condition: DefinedCondition::NotAuthorized, texts: std::collections::BTreeMap::new() };
    // A client that is refused may be gone.
    let _ = stream.send(&XmppStreamElement::Sasl(Sasl::Failure(failure))).await;
}

async fn answer<Io: AsyncBufRead + AsyncWrite + Unpin>(
    accepted: AcceptedStream<Io>,
    features: &StreamFeatures,
) -> Option<XmppStream<Io>> {
    let header = StreamHeader { from: Some(Cow::Borrowed("localhost")), to: None, id: Some(Cow::Borrowed("peer")) };
    accepted.send_header(header).await.ok()?.send_features(features).await.ok()
}

impl Session {
    async fn next(&mut self) -> Option<XmppStreamElement> {
        self.stream.next().await?.ok()?.into_read_error().ok()
    }

    async fn send(&mut self, element: &XmppStreamElement) {
        self.stream.send(element).await.unwrap();
    }

    async fn send_stanza(&mut self, stanza: Stanza) {
        self.send(&XmppStreamElement::Stanza(stanza)).await;
    }

    /// Answers the client's requests until it sends its presence: service discovery with these features of each entity,
    /// all others with an empty result.
    pub async fn settle(&mut self, features: &[(&str, &str)]) {
        loop {
            let (to, id, payload) = match self.hear().await.expect("the client is there") {
                Stanza::Presence(_) => return,
                Stanza::Iq(Iq::Get { to, id, payload, .. } | Iq::Set { to, id, payload, .. }) => (to, id, payload),
                _ => continue,
            };
            let payload = match payload.name() {
                "query" if payload.has_ns(ns::DISCO_INFO) => {
                    let of = |entity: &str| to.as_ref().is_some_and(|to| to.as_str() == entity);
                    let features = features.iter().filter(|(entity, _)| of(entity));
                    let features = features.flat_map(|(_, var)| ["<feature var='", var, "'/>"]).collect::<String>();
                    format!("<query xmlns='{}'>{features}</query>", ns::DISCO_INFO)
                }
                "query" if payload.has_ns(ns::ROSTER) => {
                    format!("<query xmlns='{}'><item jid='friend@localhost' subscription='both'/></query>", ns::ROSTER)
                }
                _ => String::new(),
            };
            let from = to.map(|to| format!("from='{to}'")).unwrap_or_default();
            self.say(&format!("<iq xmlns='jabber:client' {from} type='result' id='{id}'>{payload}</iq>")).await;
        }
    }

    /// Sends a stanza that is given as XML.
    pub async fn say(&mut self, xml: &str) {
        let element: Element = xml.parse().unwrap();
        self.send_stanza(Stanza::try_from(element).unwrap()).await;
    }

    /// Sends these bytes.
    pub async fn say_raw(&mut self, bytes: &str) {
        self.bytes.lock().unwrap().extend_from_slice(bytes.as_bytes());
        // A client that ends the stream may be gone before all is sent.
        let _ = SinkExt::<&XmppStreamElement>::flush(&mut self.stream).await;
    }

    /// Returns the next stanza, and acknowledges what is handled. Returns `None` if the client has closed the stream.
    pub async fn hear(&mut self) -> Option<Stanza> {
        loop {
            match self.next().await? {
                XmppStreamElement::Stanza(stanza) => {
                    self.handled.fetch_add(1, Ordering::SeqCst);
                    return Some(stanza);
                }
                XmppStreamElement::SM(Sm::Req(_)) => {
                    let handled = A { h: self.handled.load(Ordering::SeqCst) };
                    self.send(&XmppStreamElement::SM(Sm::Ack(handled))).await;
                }
                XmppStreamElement::SM(_) => {}
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// Asks the client how many stanzas it has handled, and returns its answer. Other elements are ignored.
    pub async fn ask_what_was_taken_in(&mut self) -> u32 {
        self.send(&XmppStreamElement::SM(Sm::Req(R))).await;
        loop {
            match self.next().await.expect("the client is there") {
                XmppStreamElement::SM(Sm::Ack(A { h })) => return h,
                XmppStreamElement::SM(Sm::Req(_)) => {
                    let handled = A { h: self.handled.load(Ordering::SeqCst) };
                    self.send(&XmppStreamElement::SM(Sm::Ack(handled))).await;
                }
                XmppStreamElement::Stanza(_) => {
                    self.handled.fetch_add(1, Ordering::SeqCst);
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// Waits until the client has sent this text, and removes it; for elements that the library does not know.
    pub async fn hear_text(&mut self, text: &str) {
        loop {
            if self.said.take_up_to(text) {
                return;
            }
            tokio::select! {
                () = self.said.more.notified() => {}
                element = self.stream.next() => match element {
                    Some(Ok(FallibleStreamElement::Ok(XmppStreamElement::Stanza(_)))) => {
                        self.handled.fetch_add(1, Ordering::SeqCst);
                    }
                    Some(Ok(_) | Err(ReadError::SoftTimeout)) => {}
                    other => panic!("{text} was not said: {other:?}"),
                }
            }
        }
    }

    /// Returns the next stanza as XML, with its id.
    pub async fn hear_xml(&mut self) -> (String, String) {
        let stanza = self.hear().await.expect("the client stays");
        let id = match &stanza {
            Stanza::Iq(iq) => iq.id().to_owned(),
            Stanza::Message(_) | Stanza::Presence(_) => String::new(),
        };
        (String::from(&parlor_stanza::encode::element(&stanza)), id)
    }

    /// Answers the client's requests after the log-in until it sends its presence, with this content in the answer
    /// about the roster. Returns the request for the roster.
    pub async fn settle_roster(&mut self, roster: &str) -> String {
        let mut asked = String::new();
        loop {
            let stanza = self.hear().await.expect("the client stays");
            let xml = String::from(&parlor_stanza::encode::element(&stanza));
            let (to, id) = match &stanza {
                Stanza::Presence(_) => return asked,
                Stanza::Message(_) => continue,
                Stanza::Iq(iq) => (iq.to().cloned(), iq.id()),
            };
            if xml.contains(ns::ROSTER) {
                self.say(&format!("<iq xmlns='jabber:client' type='result' id='{id}'>{roster}</iq>")).await;
                asked = xml;
            } else if let Some(to) = to.filter(|_| xml.contains(ns::DISCO_INFO)) {
                // The client requests the roster after this answer.
                let query = format!("<query xmlns='{}'/>", ns::DISCO_INFO);
                self.say(&format!("<iq xmlns='jabber:client' from='{to}' type='result' id='{id}'>{query}</iq>")).await;
            }
        }
    }

    /// Returns whether the client has sent this text since it was last waited for.
    pub fn has_said(&self, text: &str) -> bool {
        self.said.bytes.lock().unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// Returns the condition of the error with which the client ends the stream.
    pub async fn hear_error(&mut self) -> String {
        loop {
            if let XmppStreamElement::StreamError(error) = self.next().await.expect("the client says why") {
                return error.0.condition.to_string();
            }
        }
    }

    /// Waits until the client asks for a sign of life, answers, and returns the kind of request.
    pub async fn hear_question(&mut self) -> &'static str {
        match self.next().await.expect("the client is there") {
            XmppStreamElement::SM(Sm::Req(_)) => {
                let handled = A { h: self.handled.load(Ordering::SeqCst) };
                self.send(&XmppStreamElement::SM(Sm::Ack(handled))).await;
                "r"
            }
            XmppStreamElement::Stanza(Stanza::Iq(Iq::Get { id, payload, .. })) if payload.is("ping", ns::PING) => {
                self.send_stanza(Iq::from_result(id, None::<BindResponse>).into()).await;
                "ping"
            }
            other => panic!("unexpected: {other:?}"),
        }
    }

    /// Same as [`Session::hear_question`], without an answer.
    pub async fn hear_question_only(&mut self) {
        self.next().await.expect("the client is there");
    }

    /// Returns the text of the next message.
    pub async fn hear_body(&mut self) -> String {
        match self.hear().await {
            Some(Stanza::Message(message)) => message.bodies.into_values().next().unwrap(),
            other => panic!("expected a message, found {other:?}"),
        }
    }

    /// Returns the texts of all messages up to this one; other stanzas are ignored.
    pub async fn bodies_until(&mut self, last: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        while bodies.last().is_none_or(|body| body != last) {
            if let Stanza::Message(message) = self.hear().await.unwrap() {
                bodies.extend(message.bodies.into_values());
            }
        }
        bodies
    }

    /// Closes the stream like a server that shuts down.
    pub async fn goodbye(mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Waits until the client closes its stream. Returns false if it only drops the connection.
    pub async fn hear_goodbye(&mut self) -> bool {
        loop {
            match self.stream.next().await {
                Some(Err(ReadError::StreamFooterReceived)) => return true,
                Some(Ok(_) | Err(ReadError::SoftTimeout)) => {}
                Some(Err(_)) | None => return false,
            }
        }
    }
}

struct Account {
    password: &'static str,
}

impl Validator<Pbkdf2Sha256> for Account {
    fn validate(&self, _identity: &Identity, _value: &Pbkdf2Sha256) -> Result<(), ValidatorError> {
        Err(ValidatorError::AuthenticationFailed)
    }
}

impl Provider<Pbkdf2Sha256> for Account {
    fn provide(&self, identity: &Identity) -> Result<Pbkdf2Sha256, ProviderError> {
        assert_eq!(identity, &Identity::Username("bot".to_owned()));
        Pbkdf2Sha256::derive(self.password, b"salt", 4096).map_err(ProviderError::DeriveError)
    }
}

/// Panics if a peer says so: the bug in the host that a test needs, in the place that it names.
pub fn panic_if_told(place: &str, said: &str) {
    assert!(!said.contains(&format!("panic in {place}")), "a test asked for it");
}
