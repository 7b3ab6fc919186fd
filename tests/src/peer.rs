//! A scripted server: the cheapest peer that a client can talk to, for measuring the client alone.
//!
//! It speaks TLS from the first byte and accepts any password by PLAIN, unless it demands a proof of one. It answers
//! the client's requests with minimal answers, and serves one client at a time. Streams, log-ins and answers come from
//! the core that the host's own scripted servers use as well.

pub mod archive;
mod proofs;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jid::{BareJid, FullJid, Jid};
use parlor_xmpp::mock_server::answers::disco;
use parlor_xmpp::mock_server::{Heard, Opening, Wire};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_xmpp::Stanza;
use tokio_xmpp::xmlstream::Timeouts;
use xmpp_parsers::bind::BindFeature;
use xmpp_parsers::message::{Lang, Message};
use xmpp_parsers::minidom::Element;
use xmpp_parsers::presence::{Presence, Type as PresenceType};
use xmpp_parsers::sasl::Success;
use xmpp_parsers::sm::{Enabled, Nonza as Sm, Resumed, StreamId, StreamManagement};
use xmpp_parsers::stream_features::StreamFeatures;

use crate::certificate::Certificate;
use crate::prosody::DOMAIN;
use proofs::Proofs;
use tap::Tap;

pub use parlor_xmpp::mock_server::answers::Request;
pub use parlor_xmpp::mock_server::tap;

/// The server's end of a connection.
type Line = Wire<TlsStream<TcpStream>>;

/// A port on which a client is expected.
pub struct Peer {
    listener: TcpListener,
    tls: TlsAcceptor,
    port: u16,
    archive: Option<Arc<Mutex<archive::Script>>>,
    said: Option<Said>,
    answers: Answers,
    proofs: Option<Proofs>,
    resumes: bool,
}

/// A callback whose stanzas replace the minimal answer. Without a callback, or if it returns `None`, the minimal answer
/// is sent.
pub type Answers = Arc<Mutex<Option<Box<dyn FnMut(&Request) -> Option<Vec<Element>> + Send>>>>;

/// Every stanza that clients have sent, in order.
pub type Said = Arc<Mutex<Vec<String>>>;

impl Peer {
    /// Listens on a free port of the loopback interface.
    pub async fn listen(certificate: &Certificate) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on 127.0.0.1")?;
        let port = listener.local_addr()?.port();
        Ok(Self {
            listener,
            tls: certificate.acceptor()?,
            port,
            archive: None,
            said: None,
            answers: Answers::default(),
            proofs: None,
            resumes: false,
        })
    }

    /// Adds an archive of messages, for the account and for rooms of the domain `rooms.localhost`.
    #[must_use]
    pub fn with_archive(mut self, script: archive::Script) -> Self {
        self.archive = Some(Arc::new(Mutex::new(script)));
        self
    }

    /// Records what clients send.
    #[must_use]
    pub fn keeping(mut self, said: Said) -> Self {
        self.said = Some(said);
        self
    }

    /// Lets a test answer requests as long as it has set a callback.
    #[must_use]
    pub fn answering(mut self, answers: Answers) -> Self {
        self.answers = answers;
        self
    }

    /// Demands a proof of this password by SCRAM, instead of any password itself.
    pub fn demanding_proof(mut self, password: &str) -> Result<Self> {
        self.proofs = Some(Proofs::of(password)?);
        Ok(self)
    }

    /// Returns everything that was derived from the password so far, if a proof is demanded. Each of these helps an
    /// attacker to find the password. Each log-in adds two, the proof and the message that contained it.
    pub fn made_of_password(&self) -> Vec<Vec<u8>> {
        self.proofs.as_ref().map(Proofs::made).unwrap_or_default()
    }

    /// Enables XEP-0198: sessions can be resumed, and nothing is ever acknowledged, so that all stanzas are sent again.
    #[must_use]
    pub fn resuming(mut self) -> Self {
        self.resumes = true;
        self
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits for a client, logs it in, and answers its requests until it sends its presence.
    pub async fn accept(&self, limit: Duration) -> Result<Session> {
        timeout(limit, self.accept_unbounded()).await.with_context(|| format!("no client within {limit:?}")).flatten()
    }

    async fn accept_unbounded(&self) -> Result<Session> {
        let mut session = self.log_in().await?;
        session.until_available().await?;
        Ok(session)
    }

    /// Logs a client in, up to the stream features, of which it has chosen none yet.
    async fn log_in(&self) -> Result<Session> {
        let stream = loop {
            let (stream, _) = self.listener.accept().await?;
            stream.set_nodelay(true)?;
            match self.tls.accept(stream).await {
                // A busy client may give up and reconnect, or it was killed.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {}
                accepted => break accepted.context("the client refused TLS")?,
            }
        };
        let tap = Tap::default();
        let opening = Opening::accept(stream, tap.clone(), Timeouts::default()).await?;
        let mechanism = if self.proofs.is_some() { "SCRAM-SHA-256" } else { "PLAIN" };
        let features = StreamFeatures { sasl_mechanisms: [mechanism.to_owned()].into(), ..StreamFeatures::default() };
        let mut wire = opening.offer(&features).await?;
        let first = match wire.hear().await? {
            Heard::Sasl { mechanism: Some(_), data } => data,
            first => bail!("the client does not log in, but says {first:?}"),
        };
        let data = match &self.proofs {
            Some(proofs) => Box::pin(proofs.demand(&mut wire, &first)).await?,
            None => Vec::new(),
        };
        let opening = wire.succeed(&Success { data }.into()).await?;
        let features = StreamFeatures {
            bind: Some(BindFeature { required: true }),
            stream_management: self.resumes.then_some(StreamManagement { optional: false }),
            ..StreamFeatures::default()
        };
        let wire = opening.offer(&features).await?;
        let name = if self.proofs.is_some() { None } else { name_in_plain(&first) };
        let jid = FullJid::new(&format!("{}@{DOMAIN}/parlor", name.unwrap_or("bot")))?;
        Ok(Session {
            wire,
            jid,
            archive: self.archive.clone(),
            said: self.said.clone(),
            answers: Arc::clone(&self.answers),
            tap,
        })
    }

    /// Waits for a client that resumes its session.
    pub async fn accept_again(&self, limit: Duration) -> Result<Session> {
        let again = async {
            let mut session = self.log_in().await?;
            let Heard::Sm(Sm::Resume(resume)) = session.wire.hear().await? else {
                bail!("the client does not resume its session")
            };
            session.wire.manage(&Sm::Resumed(Resumed { h: 0, previd: resume.previd })).await?;
            Ok(session)
        };
        timeout(limit, again).await.with_context(|| format!("no client within {limit:?}")).flatten()
    }
}

/// A client that is logged in.
pub struct Session {
    wire: Line,
    jid: FullJid,
    archive: Option<Arc<Mutex<archive::Script>>>,
    said: Option<Said>,
    answers: Answers,
    tap: Tap,
}

impl Session {
    /// Returns the client's address.
    pub fn jid(&self) -> &FullJid {
        &self.jid
    }

    /// Sends a stanza to the client.
    pub async fn send(&mut self, stanza: impl Into<Stanza>) -> Result<()> {
        Ok(self.wire.say_stanza(&stanza.into()).await?)
    }

    /// Sends a chat message from somebody to the client.
    pub async fn say(&mut self, from: &FullJid, id: u64, body: &str) -> Result<()> {
        let mut message = Message::chat(Jid::from(self.jid.clone())).with_body(Lang::default(), body.to_owned());
        message.from = Some(from.clone().into());
        message.id = Some(xmpp_parsers::message::Id(id.to_string()));
        self.send(message).await
    }

    /// Writes bytes as they are, such as stanzas that no honest server would send.
    pub async fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.tap.say(bytes);
        Ok(self.wire.flush().await?)
    }

    /// Returns the tap of the connection.
    pub fn tap(&self) -> &Tap {
        &self.tap
    }

    /// Returns the client's next stanza that is not an IQ request, and answers the requests before it.
    pub async fn next(&mut self) -> Result<Stanza> {
        loop {
            let stanza = self.read().await?;
            if let Some(stanza) = self.answer_or_give(stanza).await? {
                return Ok(stanza);
            }
        }
    }

    /// Returns the client's next stanza without answering it. It is cancel-safe.
    pub async fn read(&mut self) -> Result<Stanza> {
        loop {
            let stanza = match self.wire.hear().await? {
                Heard::Stanza(stanza) => stanza,
                Heard::Sm(Sm::Enable(_)) => {
                    let id = Some(StreamId("one".to_owned()));
                    let enabled = Enabled { id, location: None, max: None, resume: true };
                    self.wire.manage(&Sm::Enabled(enabled)).await?;
                    continue;
                }
                // If the element was not offered as a feature, it is not answered.
                _ => continue,
            };
            let Some(said) = &self.said else { return Ok(stanza) };
            let element = Element::from(stanza);
            said.lock().expect("nobody panics while it is locked").push(String::from(&element));
            return Ok(Stanza::try_from(element)?);
        }
    }

    /// Answers an IQ request, or returns any other stanza.
    pub async fn answer_or_give(&mut self, stanza: Stanza) -> Result<Option<Stanza>> {
        let request = match Request::of(stanza) {
            Ok(request) => request,
            Err(stanza) => return Ok(Some(stanza)),
        };
        let answer = self.answers.lock().expect("no script panics").as_mut().and_then(|answer| answer(&request));
        if let Some(stanzas) = answer {
            for stanza in stanzas {
                self.send(Stanza::try_from(stanza)?).await?;
            }
            return Ok(None);
        }
        if let Some(archive) = &self.archive
            && let Some(asked) = archive::Asked::read(&request, &self.jid)
        {
            let stanzas = (archive.lock().expect("no script panics"))(&asked);
            // Together, as servers send a page.
            let page: String = stanzas.iter().map(String::from).collect();
            self.raw(page.as_bytes()).await?;
            return Ok(None);
        }
        let answer = self.answer(&request);
        self.send(answer).await?;
        Ok(None)
    }

    /// Answers the client's requests until it has sent nothing for so long. Its other stanzas are dropped.
    pub async fn until_quiet(&mut self, quiet: Duration) -> Result<()> {
        while let Ok(stanza) = timeout(quiet, self.read()).await {
            self.answer_or_give(stanza?).await?;
        }
        Ok(())
    }

    async fn until_available(&mut self) -> Result<()> {
        loop {
            if let Stanza::Presence(Presence { type_: PresenceType::None, to: None, .. }) = self.next().await? {
                return Ok(());
            }
        }
    }

    /// Returns the minimal answer to a request.
    fn answer(&mut self, request: &Request) -> Stanza {
        if let Some((jid, answer)) = request.bind(&self.jid.to_bare(), self.jid.resource().as_str()) {
            self.jid = jid;
            return answer;
        }
        if request.is_roster() && request.payload.children().next().is_none() {
            return request.result(Some(request.payload.clone()));
        }
        if let (Some(_), Some(to), true) = (&self.archive, &request.to, request.is_disco()) {
            let is_room = archive::is_room(&to.to_bare());
            let category = if is_room { "conference" } else { "account" };
            let is_archive = is_room || to.to_bare() == self.jid.to_bare();
            return request.result(Some(archive::disco(category, is_archive)));
        }
        if request.is_disco() {
            return request.result(Some(disco([])));
        }
        if request.is_ping() { request.result(None) } else { request.refused() }
    }
}

/// Returns the name that logs in by PLAIN (RFC 4616, section 2): it is between two zero bytes.
fn name_in_plain(message: &[u8]) -> Option<&str> {
    std::str::from_utf8(message.split(|byte| *byte == 0).nth(1)?).ok()
}

/// Returns the address of a person that the scripted server simulates.
pub fn somebody() -> FullJid {
    BareJid::new(&format!("juliet@{DOMAIN}")).expect("an address").with_resource_str("balcony").expect("a resource")
}
