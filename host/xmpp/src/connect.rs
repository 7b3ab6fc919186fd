//! Opens one connection: from nothing to a stream that is logged in, and bound or resumed.
//!
//! Each function either succeeds or returns a typed error that tells its reader what to do. `link` decides when to
//! retry.

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use jid::{FullJid, Jid};
use parlor_base::escape::printable;
use parlor_config::url::Url;
use parlor_config::{Endpoint, Hidden, LinkSettings, PasswordSource, Prebind, TlsMode, TransportChoice, Way, WebUrl};
use parlor_https::trust::NO_TLS;
use parlor_stanza::sieve::lost::Lost;
use parlor_stanza::types::Offers;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufStream};
use tokio::net::TcpStream;
use tokio_xmpp::connect::AsyncReadAndWrite;
use tokio_xmpp::xmlstream::{
    FallibleStreamElement, PendingFeaturesRecv, ReadError, StreamHeader, Timeouts, XmppStream, XmppStreamElement,
    initiate_stream,
};
use xmpp_parsers::ns;
use xmpp_parsers::starttls::{Nonza as StartTls, Request};
use xmpp_parsers::stream_features::StreamFeatures;
use zeroize::Zeroizing;

use super::bind::{Begun, Previous, begin};
use super::bosh::{self, Tokens};
use super::discover::discover;
use super::error::{ConnectError, LOG_IN_LIMIT};
use super::failure::{ended, features_failure, io_failure, of_named, stream_failure};
use super::fetched;
use super::intake::{Ending, Intake};
use super::keepalive::{timeouts, websocket_timeouts};
use super::password::{Password, Supplied};
use super::pins::Carrier;
use super::reach::{Finder, ascii, reach, reach_in_turn};
use super::sasl::{Advertised, Channel, Demand, Offer, authenticate, choose};
use super::tls::{Secured, secure};
use super::websocket;

mod attempts;

pub(super) use attempts::Attempts;

/// The time limit for starting direct TLS if only DNS announces it.
const DIRECT_LIMIT: Duration = Duration::from_secs(10);
/// The size of the buffers of a component's stream, which is that of many accounts.
const BUFFER: usize = 4 << 10;

/// A connection that is ready for stanzas.
pub(super) struct Opened {
    pub(super) stream: Established,
    /// How the session began: new or resumed.
    pub(super) begun: Begun,
    /// The stream features that matter above this module.
    pub(super) offers: Offers,
    /// Whether the server supports client state indication (XEP-0352).
    pub(super) hears_state: bool,
    /// Holds the reason once the stream has ended.
    pub(super) ending: Ending,
}

/// A stream whose session has begun.
pub(super) enum Established {
    /// The library has read what came so far.
    Client(Box<XmppStream<Transport>>),
    /// It is for all addresses of a component (XEP-0114).
    Component(Transport),
}

/// Connects to the server, logs in, and resumes the previous session or begins a new one as `wanted`.
///
/// `elsewhere` is the host that a server redirected us to. The password is read for each log-in, and wiped at the end.
/// `tokens` receives the tokens of the BOSH session, if it is one.
pub(super) async fn log_in(
    settings: &LinkSettings,
    supplied: Option<&Supplied>,
    wanted: &FullJid,
    elsewhere: Option<&Endpoint>,
    previous: Option<&Previous>,
    tokens: &Tokens,
    attempts: &Attempts,
) -> Result<Opened, ConnectError> {
    let jid = &Jid::from(wanted.clone());
    // A supplied password is used in place of the configured way to log in.
    let way = if supplied.is_some() { &Way::Password } else { &settings.way };
    if jid.node().is_none() && *way != Way::Anonymous {
        return Err(ConnectError::NoUser { jid: jid.clone() });
    }
    let domain = jid.domain().as_str();
    let late = |_| attempts.finder.late(domain);
    let is_prebound = settings.prebind.is_some() && supplied.is_none();
    attempts.begin();
    // A prebound session was already requested by the service that provides it.
    attempts.has_asked.store(is_prebound, Ordering::Relaxed);
    if let Some(prebind) = settings.prebind.as_ref().filter(|_| is_prebound) {
        return tokio::time::timeout(LOG_IN_LIMIT, go_on(settings, prebind, tokens)).await.map_err(late)?;
    }
    let configured;
    let password = match (way, supplied, &settings.password) {
        (Way::Certificate { .. } | Way::Anonymous | Way::Component(_), ..) => None,
        (Way::Password, Some(supplied), _) => Some(supplied.password()),
        (Way::Password, None, PasswordSource::Web(Hidden(url))) => {
            configured = fetched::credentials(settings, url).await?;
            Some(&configured)
        }
        (Way::Password, None, source) => {
            configured = Password::read(source).await?;
            Some(&configured)
        }
    };
    let ending = &Ending::default();
    let attempt = Attempt { settings, way, password, jid, wanted, elsewhere, previous, tokens, attempts, ending };
    let both = async {
        match attempt.make().await {
            Err(error) if attempts.has_trial() => {
                tracing::info!(%domain, reason = %error, "the server may have refused how the log-in was bound; trying an unbound one");
                attempt.make().await
            }
            outcome => outcome,
        }
    };
    let outcome = tokio::time::timeout(LOG_IN_LIMIT, both).await.map_err(late)?;
    outcome.map_err(|error| told(error, ending, domain))
}

/// A log-in with its inputs.
struct Attempt<'a> {
    settings: &'a LinkSettings,
    way: &'a Way,
    password: Option<&'a Password>,
    jid: &'a Jid,
    wanted: &'a FullJid,
    elsewhere: Option<&'a Endpoint>,
    previous: Option<&'a Previous>,
    tokens: &'a Tokens,
    attempts: &'a Attempts,
    ending: &'a Ending,
}

impl Attempt<'_> {
    async fn make(&self) -> Result<Opened, ConnectError> {
        let Self { settings, way, jid, wanted, attempts, ending, .. } = *self;
        let domain = jid.domain().as_str();
        let reached = match attempts.dial() {
            Some(dial) => {
                let stream = BufStream::new(dial.dial()?);
                Reached::begin(stream, timeouts(settings), domain, ending, (Channel::default(), true)).await
            }
            None => open(settings, self.elsewhere, domain, ending, self.tokens, &attempts.finder).await,
        };
        let Reached { pending, channel, can_resume } = reached?;
        let (features, stream) = pending.recv_features().await.map_err(|error| features_failure(error, domain))?;
        attempts.finder.forget();
        let carrier = Carrier::to(self.elsewhere, settings);
        let demand = attempts.demand(settings, carrier);
        let choice = choose(Offer {
            way,
            mechanisms: &features.sasl_mechanisms,
            bindings: features.sasl_cb.as_ref(),
            channel,
            demand,
            allow_plain: settings.allow_plain,
            domain,
        })?;
        let advertised = (demand != Demand::Never).then(|| Advertised::of(&features));
        let authenticated = authenticate(stream, &choice, advertised, jid, self.password).await;
        let stream = authenticated.map_err(|error| attempts.failed(error, &choice, demand, domain))?;
        attempts.worked(settings, carrier, &choice);
        let pending = stream.send_header(header(domain)).await.map_err(|error| io_failure(&error))?;
        let (features, mut stream): (StreamFeatures, XmppStream<_>) =
            pending.recv_features().await.map_err(|error| features_failure(error, domain))?;
        if !features.can_bind() {
            return Err(ConnectError::NotXmpp { cause: "it offers no resource binding".to_owned() });
        }
        attempts.has_asked.store(true, Ordering::Relaxed);
        let begun = begin(&mut stream, &features, wanted, self.previous, can_resume).await?;
        if let (Way::Certificate { .. }, Begun::Anew { jid, .. }) = (way, &begun)
            && jid.to_bare() != wanted.to_bare()
        {
            return Err(ConnectError::OtherAccount { wanted: wanted.clone(), jid: jid.clone() });
        }
        let has = |name, namespace| features.others.iter().any(|feature| feature.is(name, namespace));
        let offers = Offers { roster_versions: has("ver", "urn:xmpp:features:rosterver") };
        let (stream, hears_state) = (Established::Client(Box::new(stream)), has("csi", ns::CSI));
        Ok(Opened { stream, begun, offers, hears_state, ending: ending.clone() })
    }
}

/// Replaces an error by the reason that the server gave when it closed the WebSocket, or when it ended the stream with
/// an element that the library does not know.
pub(super) fn told(error: ConnectError, ending: &Ending, domain: &str) -> ConnectError {
    match (error, ending.reason()) {
        (ConnectError::HungUp | ConnectError::NotXmpp { .. }, Some(Lost::WebSocketClosed { cause })) => {
            ConnectError::WebSocketClosed { cause }
        }
        // A server that ends a stream speaks XMPP, so missing STARTTLS is not the cause.
        (
            ConnectError::NotXmpp { .. } | ConnectError::NoStartTls { .. },
            Some(Lost::Stream { condition, text, elsewhere }),
        ) => ended(&condition, text, elsewhere, domain),
        (error, _) => error,
    }
}

/// Attaches to a BOSH session that another program began, in place of a log-in. It is already bound, and its features
/// are unknown.
async fn go_on(settings: &LinkSettings, prebind: &Prebind, tokens: &Tokens) -> Result<Opened, ConnectError> {
    let gone = |remedy, temporary| ConnectError::NoSession { remedy, temporary };
    let (session, gone) = match prebind {
        Prebind::Fetched(Hidden(url)) => {
            (fetched::session(settings, url).await?, gone("let prebind_url give it", true))
        }
        Prebind::Given { sid: Hidden(sid), rid: Hidden(rid) } => {
            let gone = gone("set sid and rid to it", false);
            let Ok(jid) = settings.jid.clone().try_into_full() else { return Err(gone) };
            (fetched::Session { jid, sid: Zeroizing::new(sid.clone()), rid: *rid }, gone)
        }
    };
    let Some(url) = &settings.bosh else { return Err(gone) };
    let domain = session.jid.domain().as_str();
    let ending = Ending::default();
    let transport =
        bosh::attach(settings, url, domain, (&session.sid, session.rid), tokens, &ending).await?.ok_or(gone)?;
    let pending =
        Reached::begin(transport, timeouts(settings), domain, &ending, (Channel::default(), false)).await?.pending;
    let (_, stream): (StreamFeatures, XmppStream<_>) =
        pending.recv_features().await.map_err(|error| features_failure(error, domain))?;
    let begun = Begun::Anew { jid: session.jid, managed: None, handled: None, early: Vec::new() };
    let stream = Established::Client(Box::new(stream));
    Ok(Opened { stream, begun, offers: Offers { roster_versions: false }, hears_state: false, ending })
}

/// The byte stream of any transport.
pub(super) type Transport = Box<Intake<Box<dyn AsyncReadAndWrite>>>;

/// A stream inside TLS.
pub(super) struct Reached {
    pub(super) pending: PendingFeaturesRecv<Transport>,
    /// The channel-binding data that a log-in can be bound to.
    channel: Channel,
    /// Whether a session on this stream can be resumed on another one (XEP-0198).
    can_resume: bool,
}

impl Reached {
    /// Begins the XML stream on a transport.
    async fn begin(
        transport: impl AsyncBufRead + AsyncWrite + Unpin + Send + 'static,
        timeouts: Timeouts,
        domain: &str,
        ending: &Ending,
        (channel, can_resume): (Channel, bool),
    ) -> Result<Self, ConnectError> {
        // The result of an address that was tried before does not apply to this stream.
        ending.forget();
        let transport: Transport = Box::new(Intake::new(Box::new(transport), ending.clone(), timeouts));
        let pending = initiate_stream(transport, ns::JABBER_CLIENT, header(domain), timeouts).await;
        Ok(Self { pending: pending.map_err(|error| io_failure(&error))?, channel, can_resume })
    }
}

/// Opens a stream with the server of this domain over the transport that the owner chose, or at the host that a server
/// redirected us to.
pub(super) async fn open(
    settings: &LinkSettings,
    elsewhere: Option<&Endpoint>,
    domain: &str,
    ending: &Ending,
    tokens: &Tokens,
    finder: &Finder,
) -> Result<Reached, ConnectError> {
    let is_free = elsewhere.is_none();
    match (settings.transport, &settings.websocket, &settings.bosh) {
        _ if !is_free => {}
        (TransportChoice::Bosh, _, Some(url)) | (_, None, Some(url)) => {
            return open_bosh(settings, url, domain, ending, tokens).await;
        }
        (_, Some(url), _) => return open_websocket(settings, url, domain, ending).await,
        (TransportChoice::WebSocket | TransportChoice::Bosh, None, None) => {
            return open_discovered(settings, domain, ending, tokens).await;
        }
        (TransportChoice::Auto | TransportChoice::Tcp, None, None) => {}
    }
    match open_tcp(settings, elsewhere, domain, ending, finder).await {
        Err(error) if may_go_over_the_web(settings, elsewhere, &error) => {
            go_over_the_web(settings, domain, ending, tokens, error).await
        }
        opened => opened,
    }
}

/// Returns whether the domain is asked for its web addresses after this error on TCP: the owner left the transport
/// open, and no server could be reached.
fn may_go_over_the_web(settings: &LinkSettings, elsewhere: Option<&Endpoint>, error: &ConnectError) -> bool {
    let is_free = elsewhere.is_none() && settings.server.is_none() && settings.transport == TransportChoice::Auto;
    is_free && error.is_unreachable()
}

/// Like [`open_discovered`], after TCP has failed. If this fails as well, the error from TCP is the better one to
/// report.
async fn go_over_the_web(
    settings: &LinkSettings,
    domain: &str,
    ending: &Ending,
    tokens: &Tokens,
    error: ConnectError,
) -> Result<Reached, ConnectError> {
    match open_discovered(settings, domain, ending, tokens).await {
        Ok(reached) => {
            tracing::info!(reason = %error, "no way by TCP; going over the web");
            Ok(reached)
        }
        Err(closed) => {
            tracing::debug!(reason = %closed, "no way over the web, either");
            Err(error)
        }
    }
}

/// Like [`open`], over the web addresses that the domain publishes, restricted to the transport that the owner chose.
async fn open_discovered(
    settings: &LinkSettings,
    domain: &str,
    ending: &Ending,
    tokens: &Tokens,
) -> Result<Reached, ConnectError> {
    let places = discover(settings, domain).await?;
    let mut last = ConnectError::NotDiscovered {
        domain: domain.to_owned(),
        cause: "it names no place for the transport that is set".to_owned(),
    };
    for url in places.websocket.iter().filter(|_| settings.transport != TransportChoice::Bosh) {
        match open_websocket(settings, url, domain, ending).await {
            Err(error) => last = error,
            reached => return reached,
        }
    }
    for url in places.bosh.iter().filter(|_| settings.transport != TransportChoice::WebSocket) {
        match open_bosh(settings, url, domain, ending, tokens).await {
            Err(error) => last = error,
            reached => return reached,
        }
    }
    Err(last)
}

/// Like [`open`], over TCP. If only DNS announces direct TLS and it fails, STARTTLS is tried.
async fn open_tcp(
    settings: &LinkSettings,
    elsewhere: Option<&Endpoint>,
    domain: &str,
    ending: &Ending,
    finder: &Finder,
) -> Result<Reached, ConnectError> {
    let host = ascii(domain)?;
    let named = elsewhere.or(settings.server.as_ref());
    let (tcp, mode) = reach_in_turn(&host, settings.tls, named, finder).await?;
    let secured = if mode == TlsMode::Direct && settings.tls.is_none() && named.is_none() {
        // A silent server must not use up the time for STARTTLS.
        let direct = tokio::time::timeout(DIRECT_LIMIT, begin_tls(tcp, mode, domain, settings, ending, finder)).await;
        match direct.unwrap_or_else(|_| Err(ConnectError::TimedOut { domain: domain.to_owned() })) {
            Err(error) => {
                tracing::info!(%domain, reason = %error, "no way by direct TLS, which the DNS names; trying STARTTLS");
                let other = match reach_in_turn(&host, Some(TlsMode::StartTls), None, finder).await {
                    Ok((tcp, mode)) => begin_tls(tcp, mode, domain, settings, ending, finder).await,
                    Err(other) => Err(other),
                };
                // If STARTTLS cannot be reached at all, the error from direct TLS is the one to report.
                other.map_err(|other| if other.is_unreachable() { error } else { other })?
            }
            secured => secured?,
        }
    } else {
        begin_tls(tcp, mode, domain, settings, ending, finder).await?
    };
    // TLS has buffers of its own, for both directions.
    Reached::begin(secured.stream, timeouts(settings), domain, ending, (secured.channel, true)).await
}

async fn begin_tls(
    tcp: TcpStream,
    mode: TlsMode,
    domain: &str,
    settings: &LinkSettings,
    ending: &Ending,
    finder: &Finder,
) -> Result<Secured<TcpStream>, ConnectError> {
    let host = ascii(domain)?;
    let secured = match mode {
        TlsMode::Direct => secure(tcp, &host, Some(b"xmpp-client"), settings).await,
        TlsMode::StartTls => {
            let tcp = start_tls(tcp, domain, timeouts(settings), ending, finder).await;
            secure(tcp.map_err(|error| of_named(error, settings, domain))?, &host, None, settings).await
        }
    };
    secured.inspect(|_| finder.heard())
}

/// Like [`open`], over WebSocket. The certificate must be for the host that the owner named.
async fn open_websocket(
    settings: &LinkSettings,
    url: &WebUrl,
    domain: &str,
    ending: &Ending,
) -> Result<Reached, ConnectError> {
    let host = ascii(&url.server.host)?;
    let (tcp, _) = reach(&host, Some(TlsMode::Direct), Some(&url.server)).await?;
    let secured = secure(tcp, &host, Some(b"http/1.1"), settings).await.map_err(|error| match error {
        ConnectError::NotTls { .. } => ConnectError::NoWebSocket { url: url.to_string(), cause: NO_TLS.to_owned() },
        error => error,
    })?;
    let socket = websocket::open(secured.stream, url, ending).await?;
    Reached::begin(socket, websocket_timeouts(settings), domain, ending, (secured.channel, true)).await
}

/// Like [`open`], over HTTP requests (BOSH). They use more than one connection, so a log-in is bound to none. A BOSH
/// session outlives its connections without stream management.
async fn open_bosh(
    settings: &LinkSettings,
    url: &Url,
    domain: &str,
    ending: &Ending,
    tokens: &Tokens,
) -> Result<Reached, ConnectError> {
    let session = bosh::open(settings, url, domain, tokens, ending).await?;
    Reached::begin(session, timeouts(settings), domain, ending, (Channel::default(), false)).await
}

/// Negotiates STARTTLS on a plain stream and returns the socket for the handshake.
async fn start_tls(
    tcp: TcpStream,
    domain: &str,
    timeouts: Timeouts,
    ending: &Ending,
    finder: &Finder,
) -> Result<TcpStream, ConnectError> {
    // Anybody on the path can write here, so the limits matter even more.
    let intake = Intake::new(BufStream::new(tcp), ending.clone(), timeouts);
    let pending = initiate_stream(intake, ns::JABBER_CLIENT, header(domain), timeouts)
        .await
        .map_err(|error| io_failure(&error))?;
    let (features, mut stream) = pending.recv_features().await.map_err(|error| features_failure(error, domain))?;
    finder.heard();
    if !features.can_starttls() {
        return Err(ConnectError::NoTls { domain: domain.to_owned() });
    }
    send(&mut stream, &XmppStreamElement::Starttls(StartTls::Request(Request))).await?;
    loop {
        match stream.next().await.map(|element| element.and_then(FallibleStreamElement::into_read_error)) {
            // Plain text that was received after this is discarded with the buffer, since it is not authenticated.
            Some(Ok(XmppStreamElement::Starttls(StartTls::Proceed(_)))) => {
                let transport = stream.into_inner().into_inner().ok_or(ConnectError::HungUp)?;
                return Ok(transport.into_inner());
            }
            Some(Ok(XmppStreamElement::Starttls(StartTls::Failure(_)))) => {
                return Err(ConnectError::Tls { cause: "the server declined STARTTLS".to_owned() });
            }
            Some(Ok(XmppStreamElement::StreamError(error))) => return Err(stream_failure(&error.0, domain)),
            Some(Ok(_)) => return Err(ConnectError::NotXmpp { cause: "no answer to STARTTLS".to_owned() }),
            Some(Err(ReadError::SoftTimeout)) => {}
            Some(Err(ReadError::HardError(error))) => return Err(io_failure(&error)),
            Some(Err(ReadError::ParseError(error))) => {
                return Err(ConnectError::NotXmpp { cause: printable(&error.to_string()) });
            }
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

pub(super) fn buffered<S: AsyncRead + AsyncWrite>(stream: S) -> BufStream<S> {
    BufStream::with_capacity(BUFFER, BUFFER, stream)
}

fn header(domain: &str) -> StreamHeader<'_> {
    StreamHeader { to: Some(Cow::Borrowed(domain)), from: None, id: None }
}

#[cfg(test)]
mod tests;
