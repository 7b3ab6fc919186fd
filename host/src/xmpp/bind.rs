//! From a stream that is logged in to one that stanzas go over: resumed (XEP-0198, section 5), or bound anew (RFC 6120,
//! section 7), begun where the server still wants to be told so, and then managed, where it can.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use jid::FullJid;
use minidom::Element;
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio_xmpp::xmlstream::{FallibleStreamElement, ReadError, StreamElementError, XmppStream, XmppStreamElement};
use xmpp_parsers::bind::{BindQuery, BindResponse};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::sm::{Enable, Enabled, Failed, Nonza as Sm, Resume, StreamId};
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stream_features::StreamFeatures;

use super::connect::{ConnectError, io_failure, printable, said, stream_failure};

/// How many stanzas may come before the session is managed.
const MAX_EARLY: usize = 256;
/// What a session is begun by, for those that wait for it (RFC 3921, section 3).
pub(super) const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";

/// A session that may be gone on with.
#[derive(Debug)]
pub(super) struct Previous {
    pub(super) id: StreamId,
    /// How many stanzas of the server's came.
    pub(super) heard: u32,
    /// Where the server that has it wants to be asked for it (XEP-0198, section 5).
    pub(super) location: Option<String>,
    /// For how long the server keeps it after a cut, if it said so.
    pub(super) kept: Option<Duration>,
    /// How often in a row it was asked for, and nobody answered.
    pub(super) unanswered: AtomicU32,
    /// How many stanzas of ours the server took in, where it has said that the session is over. It says so once, and then knows
    /// nothing of it.
    pub(super) settled: OnceLock<u32>,
}

/// How a stream begins.
#[derive(Debug)]
pub(super) enum Begun {
    /// The old session goes on.
    Resumed {
        /// How many stanzas of ours the server took in.
        handled: u32,
        /// It was asked for the session before, and did not answer.
        is_asked_again: bool,
    },
    /// There is a new session.
    Anew {
        jid: FullJid,
        /// It is managed.
        managed: Option<Enabled>,
        /// How many stanzas of the old session the server took in, where it still knows.
        handled: Option<u32>,
        /// What came before the counting began.
        early: Vec<Stanza>,
    },
}

/// Begins, as `wanted` if a resource has to be asked for. What the server acknowledges counts also where nothing can be resumed.
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
        // What makes no sense now would not at the next attempt, either.
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
    // Nobody can write to an account that is not bound; whatever comes, it is not for us.
    let payload = ask(stream, wanted, "bind", query.into(), &mut Vec::new()).await?;
    let bound = payload.and_then(|payload| BindResponse::try_from(payload).ok());
    Ok(bound.ok_or_else(|| unexpected("its answer to the bind names no full JID"))?.jid)
}

/// Whether the server takes in nothing before somebody says that the session begins (RFC 3921, section 3). Most of those that offer
/// it can do without; `MongooseIM` waits for it, unless it was told otherwise.
fn waits_for_session(features: &StreamFeatures) -> bool {
    let mut offers = features.others.iter().filter(|feature| feature.is("session", SESSION));
    offers.any(|offer| !offer.has_child("optional", SESSION))
}

/// The answer to a question that has to come before any other; the stanzas that come before it are put aside.
async fn ask<Io: AsyncBufRead + AsyncWrite + Unpin>(
    stream: &mut XmppStream<Io>,
    wanted: &FullJid,
    what: &str,
    payload: Element,
    early: &mut Vec<Stanza>,
) -> Result<Option<Element>, ConnectError> {
    let asked = format!("{what}-{:016x}", rand::random::<u64>());
    let question = Iq::Set { from: None, to: None, id: asked.clone(), payload };
    say(stream, XmppStreamElement::Stanza(Stanza::Iq(question))).await?;
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
            // What is acknowledged was said in the session that could not be gone on with.
            XmppStreamElement::Stanza(_) | XmppStreamElement::SM(Sm::Ack(_)) => {}
            _ => return Err(unexpected(&format!("no answer to the {what}"))),
        }
    }
}

/// A server that has just refused to go on with a session may mean that one when it ends the stream: Prosody 0.12 does where
/// more waited for the session than it keeps.
fn with_the_session(error: ConnectError) -> ConnectError {
    match &error {
        ConnectError::Stream { condition, .. } if condition == "resource-constraint" => {
            ConnectError::NotResumed { cause: error.to_string() }
        }
        _ => error,
    }
}

/// The next word about stream management; stanzas that come before are put aside. A connection that breaks says nothing, and so is
/// no nonsense.
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
    /// A refusal of stream management that says more than the library reads.
    Refused,
    /// A stanza that the library does not read. It is not counted yet.
    Odd,
    /// XML that is no word of XMPP here.
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
