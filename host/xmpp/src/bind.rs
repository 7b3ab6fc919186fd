//! Prepares a logged-in stream for stanzas: resumes the previous session (XEP-0198, section 5), or binds a new one (RFC
//! 6120, section 7). A new session is started explicitly if the server still requires that, and is managed if the
//! server supports it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use jid::FullJid;
use minidom::Element;
use parlor_base::escape::printable;
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio_xmpp::xmlstream::{FallibleStreamElement, ReadError, StreamElementError, XmppStream, XmppStreamElement};
use xmpp_parsers::bind::{BindQuery, BindResponse};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::sm::{Enable, Enabled, Failed, Nonza as Sm, Resume, StreamId};
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stream_features::StreamFeatures;

use super::error::ConnectError;
use super::failure::{io_failure, said, stream_failure};

/// The maximum number of stanzas that may arrive before the session is managed.
const MAX_EARLY: usize = 256;
/// The namespace of the session request, which some servers wait for (RFC 3921, section 3).
pub(super) const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";

/// A session that may be resumed.
#[derive(Debug)]
pub(super) struct Previous {
    pub(super) id: StreamId,
    /// The number of stanzas received from the server.
    pub(super) heard: u32,
    /// The host where the server wants the session to be resumed (XEP-0198, section 5).
    pub(super) location: Option<String>,
    /// How long the server keeps the session after connection loss, if it said so.
    pub(super) kept: Option<Duration>,
    /// The number of consecutive attempts to resume it that got no answer.
    pub(super) unanswered: AtomicU32,
    /// The number of our stanzas that the server handled, once it has said that the session is over. It says so once,
    /// and then forgets the session.
    pub(super) settled: OnceLock<u32>,
}

/// How the session on a stream began.
#[derive(Debug)]
pub(super) enum Begun {
    /// The previous session was resumed.
    Resumed {
        /// The number of our stanzas that the server has handled.
        handled: u32,
        /// Whether an earlier attempt to resume it got no answer.
        is_asked_again: bool,
    },
    /// A new session was bound.
    Anew {
        jid: FullJid,
        /// The server's answer to `<enable/>`, if the session is managed.
        managed: Option<Enabled>,
        /// The number of stanzas of the previous session that the server handled, if it still knows.
        handled: Option<u32>,
        /// Stanzas that arrived before the counting began.
        early: Vec<Stanza>,
    },
}

/// Resumes the previous session, or binds a new one as `wanted`. Acknowledgements are requested even if the session
/// cannot be resumed.
pub(super) async fn begin<Io: AsyncBufRead + AsyncWrite + Unpin>(
    stream: &mut XmppStream<Io>,
    features: &StreamFeatures,
    wanted: &FullJid,
    previous: Option<&Previous>,
    can_resume: bool,
) -> Result<Begun, ConnectError> {
    let domain = wanted.domain().as_str();
    let can_manage = features.stream_management.is_some();
    let mut handled = previous.and_then(|previous| previous.settled.get().copied());
    let mut is_refused = false;
    if let Some(previous) = previous.filter(|_| can_manage && can_resume && handled.is_none()) {
        let is_asked_again = previous.unanswered.fetch_add(1, Ordering::Relaxed) > 0;
        say(stream, XmppStreamElement::SM(Sm::Resume(Resume { h: previous.heard, previd: previous.id.clone() })))
            .await?;
        // An invalid answer now would be invalid at the next attempt, too.
        let nonsense = |cause: &str| ConnectError::NotResumed { cause: printable(cause) };
        let answered = answer(stream, domain, &mut Vec::new(), nonsense).await?;
        previous.unanswered.store(0, Ordering::Relaxed);
        match answered {
            Sm::Resumed(resumed) if resumed.previd == previous.id => {
                return Ok(Begun::Resumed { handled: resumed.h, is_asked_again });
            }
            Sm::Failed(failed) => {
                is_refused = true;
                handled = failed.h.map(|handled| *previous.settled.get_or_init(|| handled));
            }
            other => return Err(nonsense(&format!("it answers with {}", Element::from(other).name()))),
        }
    }
    let jid = bind(stream, wanted).await.map_err(|error| if is_refused { with_the_session(error) } else { error })?;
    let mut early = Vec::new();
    if waits_for_session(features) {
        ask(stream, wanted, "session", Element::bare("session", SESSION), &mut early).await?;
    }
    let mut managed = None;
    if can_manage {
        say(stream, XmppStreamElement::SM(Sm::Enable(Enable { max: None, resume: can_resume }))).await?;
        match answer(stream, domain, &mut early, unexpected).await? {
            Sm::Enabled(enabled) => managed = Some(enabled),
            Sm::Failed(_) => tracing::debug!("the server manages no streams after all"),
            other => return Err(unexpected(&format!("<enable/> was answered with {}", Element::from(other).name()))),
        }
    }
    Ok(Begun::Anew { jid, managed, handled, early })
}

async fn bind<Io: AsyncBufRead + AsyncWrite + Unpin>(
    stream: &mut XmppStream<Io>,
    wanted: &FullJid,
) -> Result<FullJid, ConnectError> {
    let query = BindQuery::new(Some(wanted.resource().to_string()));
    // Stanzas cannot be addressed to a stream that is not bound, so those before the answer are not for us.
    let payload = ask(stream, wanted, "bind", query.into(), &mut Vec::new()).await?;
    let bound = payload.and_then(|payload| BindResponse::try_from(payload).ok());
    Ok(bound.ok_or_else(|| unexpected("its answer to the bind names no full JID"))?.jid)
}

/// Returns whether the server handles nothing before the client starts a session (RFC 3921, section 3). Most servers
/// that offer it do not need it; `MongooseIM` requires it unless configured otherwise.
fn waits_for_session(features: &StreamFeatures) -> bool {
    let mut offers = features.others.iter().filter(|feature| feature.is("session", SESSION));
    offers.any(|offer| !offer.has_child("optional", SESSION))
}

/// Sends a request and waits for its answer. Stanzas that arrive before it are put aside.
async fn ask<Io: AsyncBufRead + AsyncWrite + Unpin>(
    stream: &mut XmppStream<Io>,
    wanted: &FullJid,
    what: &str,
    payload: Element,
    early: &mut Vec<Stanza>,
) -> Result<Option<Element>, ConnectError> {
    let asked = format!("{what}-{:016x}", rand::random::<u64>());
    let request = Iq::Set { from: None, to: None, id: asked.clone(), payload };
    say(stream, XmppStreamElement::Stanza(Stanza::Iq(request))).await?;
    loop {
        let element = match hear(stream, wanted.domain().as_str()).await? {
            Heard::Element(element) => *element,
            Heard::Odd => continue,
            Heard::Refused => return Err(unexpected(&format!("no answer to the {what}"))),
            Heard::Nonsense(cause) => return Err(unexpected(&cause)),
        };
        match element {
            XmppStreamElement::Stanza(Stanza::Iq(Iq::Result { id, payload, .. })) if id == asked => return Ok(payload),
            XmppStreamElement::Stanza(Stanza::Iq(Iq::Error { id, error, .. })) if id == asked => {
                return Err(ConnectError::NotBound {
                    jid: wanted.clone(),
                    text: said(&error.texts),
                    condition: Element::from(error.defined_condition).name().to_owned(),
                });
            }
            XmppStreamElement::Stanza(stanza) if early.len() < MAX_EARLY => early.push(stanza),
            // Acknowledgements before the answer are about the session that could not be resumed.
            XmppStreamElement::Stanza(_) | XmppStreamElement::SM(Sm::Ack(_)) => {}
            _ => return Err(unexpected(&format!("no answer to the {what}"))),
        }
    }
}

/// Attributes a stream error to the session that the server has just refused to resume. Prosody 0.12 sends it if more
/// stanzas waited for that session than it keeps.
fn with_the_session(error: ConnectError) -> ConnectError {
    match &error {
        ConnectError::Stream { condition, .. } if condition == "resource-constraint" => {
            ConnectError::NotResumed { cause: error.to_string() }
        }
        _ => error,
    }
}

/// Returns the next element about stream management, and puts stanzas before it aside. Connection loss is reported as
/// its own error, and not as `nonsense`.
async fn answer<Io: AsyncBufRead + AsyncWrite + Unpin>(
    stream: &mut XmppStream<Io>,
    domain: &str,
    early: &mut Vec<Stanza>,
    nonsense: impl Fn(&str) -> ConnectError,
) -> Result<Sm, ConnectError> {
    loop {
        let element = match hear(stream, domain).await? {
            Heard::Element(element) => *element,
            Heard::Odd => continue,
            Heard::Refused => return Ok(Sm::Failed(Failed { h: None, error: None })),
            Heard::Nonsense(cause) => return Err(nonsense(&cause)),
        };
        match element {
            XmppStreamElement::SM(word) => return Ok(word),
            XmppStreamElement::Stanza(stanza) if early.len() < MAX_EARLY => early.push(stanza),
            _ => return Err(nonsense("no answer about stream management")),
        }
    }
}

pub(super) enum Heard {
    Element(Box<XmppStreamElement>),
    /// A refusal of stream management with content that the library cannot parse.
    Refused,
    /// A stanza that the library cannot parse. It is not counted yet.
    Odd,
    /// XML that is not valid XMPP at this point.
    Nonsense(String),
}

pub(super) async fn hear<Io: AsyncBufRead + AsyncWrite + Unpin>(
    stream: &mut XmppStream<Io>,
    domain: &str,
) -> Result<Heard, ConnectError> {
    loop {
        return match stream.next().await {
            Some(Ok(FallibleStreamElement::Ok(XmppStreamElement::StreamError(error)))) => {
                Err(stream_failure(&error.0, domain))
            }
            Some(Ok(FallibleStreamElement::Ok(element))) => Ok(Heard::Element(Box::new(element))),
            Some(Ok(FallibleStreamElement::Err(StreamElementError::InvalidStanza { .. }))) => Ok(Heard::Odd),
            Some(Ok(FallibleStreamElement::Err(StreamElementError::InvalidNonza { qname, .. })))
                if qname.0 == ns::SM && qname.1.as_str() == "failed" =>
            {
                Ok(Heard::Refused)
            }
            Some(
                Ok(FallibleStreamElement::Err(StreamElementError::InvalidNonza { error, .. }))
                | Err(ReadError::ParseError(error)),
            ) => Ok(Heard::Nonsense(error.to_string())),
            Some(Err(ReadError::SoftTimeout)) => continue,
            Some(Err(ReadError::HardError(error))) => Err(io_failure(&error)),
            Some(Err(ReadError::StreamFooterReceived)) | None => Err(ConnectError::HungUp),
        };
    }
}

pub(super) async fn say<Io: AsyncBufRead + AsyncWrite + Unpin>(
    stream: &mut XmppStream<Io>,
    element: XmppStreamElement,
) -> Result<(), ConnectError> {
    stream.send(&element).await.map_err(|error| io_failure(&error))
}

fn unexpected(cause: &str) -> ConnectError {
    ConnectError::NotXmpp { cause: printable(cause) }
}
