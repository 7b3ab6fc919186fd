//! A scripted server over loopback, for tests: TLS, SCRAM, bind, XEP-0198, and then whatever the test sends. It is
//! hostile on request: forged proofs, raw bytes, wrong counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ::ring::digest::{SHA256, digest};
use ::sasl::common::ChannelBinding;
use ::sasl::server::{Mechanism as _, Response as ScramStep};
use minidom::Element;
use parlor_config::{ChannelBinding as Binds, Endpoint, LinkSettings, PasswordSource, TlsMode, TransportChoice, Way};
use rustls_pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::ring};
use tokio_rustls::server::TlsStream;
use tokio_xmpp::xmlstream::Timeouts;
use xmpp_parsers::bind::BindFeature;
use xmpp_parsers::ns;
use xmpp_parsers::sasl::{Challenge, DefinedCondition, Success};
use xmpp_parsers::sasl_cb::{SaslChannelBinding, Type};
use xmpp_parsers::sm::{Enabled, Failed, Nonza as Sm, Resume, Resumed, StreamId, StreamManagement};
use xmpp_parsers::starttls::{Proceed, StartTls};
use xmpp_parsers::stream_features::StreamFeatures;

use super::bind::SESSION;
use super::mock_server::answers::Request;
use super::mock_server::scram::{Known, Scram};
use super::mock_server::tap::Tap;
use super::mock_server::{Heard, Opening, Transport, Wire};

pub use self::manners::{Issued, Manners, Memory, Proves, Step};
pub use self::session::Session;
pub use self::web::Page;

mod manners;
mod session;
mod web;

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

/// Makes the server's certificate.
fn certificate(manners: &Manners) -> rcgen::CertifiedKey<rcgen::KeyPair> {
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
    rcgen::CertifiedKey { cert: cert.unwrap(), signing_key }
}

impl Peer {
    pub async fn start(manners: Manners) -> Self {
        let made = certificate(&manners);
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
            channel_binding: Binds::Auto,
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
        Box::pin(self.begin(Box::pin(self.accept_unbound()).await?)).await
    }

    /// Same as [`Peer::accept`], on a connection without TLS.
    pub async fn accept_on<Io: Transport>(&self, io: Io) -> Option<Session<Io>> {
        Box::pin(self.begin(Box::pin(self.log_in(io, ChannelBinding::None, false)).await?)).await
    }

    async fn begin<Io: Transport>(&self, mut session: Session<Io>) -> Option<Session<Io>> {
        let mut waits = self.manners.session == Some("");
        loop {
            let is_ready = match session.next().await? {
                Heard::Stanza(stanza) => {
                    let request =
                        Request::of(stanza).unwrap_or_else(|other| panic!("expected a bind, found {other:?}"));
                    if request.payload.has_ns(SESSION) {
                        assert!(std::mem::take(&mut waits) && session.jid.is_some(), "nobody waits for that");
                        session.send_stanza(request.result(None)).await;
                    } else {
                        self.bind(&mut session, &request).await;
                    }
                    session.jid.is_some() && !self.manners.resumption && !waits
                }
                Heard::Sm(Sm::Enable(_)) => {
                    assert!(!waits, "the session was not begun");
                    self.enable(&mut session).await
                }
                Heard::Sm(Sm::Resume(resume)) => self.resume(&mut session, resume).await,
                other => panic!("unexpected: {other:?}"),
            };
            if is_ready {
                return Some(session);
            }
        }
    }

    async fn bind(&self, session: &mut Session<impl Transport>, request: &Request) {
        self.think(Step::Bind).await;
        if let Some(said) = self.says(Step::Bind, &request.id) {
            return session.say_raw(&said).await;
        }
        let account = "bot@localhost".parse().unwrap();
        let (jid, answer) = request.bind(&account, "").expect("a resource is asked for");
        session.send_stanza(answer).await;
        session.jid = Some(jid);
    }

    /// Returns whether the session is managed from now on.
    async fn enable(&self, session: &mut Session<impl Transport>) -> bool {
        self.think(Step::Enable).await;
        if let Some(said) = self.says(Step::Enable, "") {
            session.say_raw(&said).await;
            return false;
        }
        self.handled.store(0, Ordering::SeqCst);
        let (id, location) = (Some(StreamId("one".to_owned())), self.manners.location.clone());
        session.manage(Sm::Enabled(Enabled { id, location, max: None, resume: true })).await;
        true
    }

    /// Returns whether the session is resumed.
    async fn resume(&self, session: &mut Session<impl Transport>, resume: Resume) -> bool {
        let handled = self.handled.load(Ordering::SeqCst);
        if let Memory::Count | Memory::None = self.manners.memory {
            let h = (self.manners.memory == Memory::Count).then_some(handled);
            session.manage(Sm::Failed(Failed { h, error: None })).await;
            return false;
        }
        self.think(Step::Resume).await;
        if let Some(said) = self.says(Step::Resume, "") {
            session.say_raw(&said).await;
            return false;
        }
        let more = if self.manners.memory == Memory::False { 1000 } else { 0 };
        session.manage(Sm::Resumed(Resumed { h: handled + more, previd: resume.previd })).await;
        session.resumed = true;
        session.taken_in = resume.h;
        true
    }

    /// Accepts a client that logs in, and sends it nothing after that.
    pub async fn accept_unbound(&self) -> Option<Session> {
        let mut socket = self.accept_socket().await;
        if self.manners.tls == TlsMode::StartTls {
            socket = self.starttls(socket).await?;
        }
        self.think(Step::Tls).await;
        let secure = self.acceptor.accept(socket).await.ok()?;
        let shows_certificate = secure.get_ref().1.peer_certificates().is_some();
        let binding = self.binding(&secure);
        self.log_in(secure, binding, shows_certificate).await
    }

    async fn log_in<Io: Transport>(
        &self,
        io: Io,
        binding: ChannelBinding,
        shows_certificate: bool,
    ) -> Option<Session<Io>> {
        let tap = Tap::default();
        let opening = Opening::accept(io, tap.clone(), Timeouts::tight()).await.ok()?;
        let named = self.manners.binds.clone().filter(|_| self.manners.names_bindings);
        let features = StreamFeatures {
            sasl_mechanisms: self.manners.mechanisms.iter().map(|name| (*name).to_owned()).collect(),
            sasl_cb: named.map(|kind| SaslChannelBinding { types: vec![kind] }),
            ..StreamFeatures::default()
        };
        self.think(Step::SecureHeader).await;
        let mut wire = opening.offer(&features).await.ok()?;
        let success = self.authenticate(&mut wire, binding, shows_certificate).await?;
        let success = self.says(Step::Success, "").map_or(success, |said| said.parse().unwrap());
        let opening = wire.succeed(&success).await.ok()?;
        self.think(Step::LastHeader).await;
        let wire = opening.offer(&self.last_features()).await.ok()?;
        let handled = Arc::clone(&self.handled);
        Some(Session { wire, tap, handled, jid: None, resumed: false, taken_in: 0 })
    }

    async fn starttls(&self, socket: TcpStream) -> Option<TcpStream> {
        let opening = Opening::accept(socket, Tap::default(), Timeouts::tight()).await.ok()?;
        let features = StreamFeatures {
            starttls: self.manners.starttls.then_some(StartTls { required: true }),
            ..StreamFeatures::default()
        };
        self.think(Step::Header).await;
        let mut wire = opening.offer(&features).await.ok()?;
        wire.hear().await.ok()?;
        self.think(Step::StartTls).await;
        wire.say(&Proceed.into()).await.ok()?;
        Some(wire.into_inner())
    }

    /// Returns the features of the stream after the log-in.
    fn last_features(&self) -> StreamFeatures {
        let session = |inside| format!("<session xmlns='{SESSION}'>{inside}</session>").parse().unwrap();
        let others = [
            self.manners.client_state.then(|| Element::bare("csi", ns::CSI)),
            self.manners.roster_versions.then(|| Element::bare("ver", "urn:xmpp:features:rosterver")),
            self.manners.compression.then(|| Element::bare("compression", "http://jabber.org/features/compress")),
            self.manners.session.map(session),
        ];
        StreamFeatures {
            bind: self.says(Step::LastHeader, "").is_none().then_some(BindFeature { required: true }),
            stream_management: self.manners.resumption.then_some(StreamManagement { optional: false }),
            others: others.into_iter().flatten().collect(),
            ..StreamFeatures::default()
        }
    }

    /// Logs a client in, and returns the success to send; `None` if it is refused or gone.
    async fn authenticate(
        &self,
        wire: &mut Wire<impl Transport>,
        binding: ChannelBinding,
        shows_certificate: bool,
    ) -> Option<Element> {
        let known = Known::of(self.manners.password, b"salt");
        let mut scram = Scram::new(known.clone(), binding);
        let twist = |data: Vec<u8>, how: fn(String) -> String| how(String::from_utf8(data).unwrap()).into_bytes();
        let challenge = |data| Element::from(Challenge { data });
        let success = |data| Some(Element::from(Success { data }));
        let mut asks = self.manners.asks;
        loop {
            let data = match wire.hear().await.ok()? {
                Heard::Sasl { data, .. } => data,
                other => panic!("expected SASL, found {other:?}"),
            };
            if asks > 0
                && let Some(asked) = self.says(Step::Challenge, "")
            {
                asks -= 1;
                wire.say(&asked.parse().unwrap()).await.ok()?;
                continue;
            }
            if let Some((_, failure)) = self.manners.refuses.filter(|(first, _)| data.starts_with(first.as_bytes())) {
                // A client that is refused may be gone.
                let _ = wire.say(&failure.parse().unwrap()).await;
                return None;
            }
            // Like any server, this one accepts a client that does not support channel binding; the library's SCRAM
            // would not.
            if data.starts_with(b"n,,") {
                scram = Scram::new(known.clone(), ChannelBinding::TlsUnique(Vec::new()));
            }
            let wants_certificate = self.manners.mechanisms.contains(&"EXTERNAL");
            match self.manners.proves {
                Proves::Never if shows_certificate || !wants_certificate => return success(Vec::new()),
                Proves::Never | Proves::Refuses => return refused(wire).await,
                Proves::AtTheEnd | Proves::Early => {}
            }
            match scram.respond(&data) {
                Ok(ScramStep::Proceed(data)) => {
                    self.think(Step::Challenge).await;
                    wire.say(&challenge(twist(data, self.manners.challenge))).await.ok()?;
                }
                Ok(ScramStep::Success(_, data)) => {
                    self.think(Step::Success).await;
                    let proof = twist(data, self.manners.proof);
                    if self.manners.proves == Proves::AtTheEnd {
                        return success(proof);
                    }
                    wire.say(&challenge(proof)).await.ok()?;
                    wire.hear().await.ok()?;
                    return success(Vec::new());
                }
                Err(_) => return refused(wire).await,
            }
        }
    }
}

/// Refuses a log-in. The client may be gone.
async fn refused(wire: &mut Wire<impl Transport>) -> Option<Element> {
    let _ = wire.refuse(DefinedCondition::NotAuthorized).await;
    None
}
