//! One account's stream: comes up, comes back after cuts, and says so.
//!
//! [`Link`] owns the stream and is used by one task; nothing overtakes anything. What was written and not acknowledged is
//! kept, and goes out again: by itself when the session is resumed (XEP-0198), else handed up, for the session above to
//! decide. Logging in is done by [`Connector`], a task of its own. A link that is dropped leaves no task behind.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use jid::FullJid;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_xmpp::xmlstream::Timeouts;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::stanza::Stanza;

use self::connector::{Connector, Report, Wanted};
use self::ledger::Ledger;
use self::live::Live;
pub(super) use self::live::PROBE_PREFIX;
use self::queue::Queue;
use self::unsent::too_old;
use super::bind::Begun;
use super::bosh::Tokens;
use super::connect::{ConnectError, Opened};
use super::decode::decode;
use super::encode::encode;
use super::intake::Lost;
use super::password::Supplied;
use super::pins::Pins;
use super::raw::RawStanza;
use super::stream_error::is_about_syntax;
use super::within::Within;
use crate::config::LinkSettings;
use crate::stanza::{Incoming, Offers, Outgoing};

mod connector;
mod ledger;
mod live;
mod pace;
mod queue;
pub(super) mod unsent;

/// How many stanzas may wait to be written.
const QUEUE: usize = 64;
/// After how many bytes of these no more are taken. What waits longer waits with whoever says it, and is taken in turn.
const QUEUE_BYTES: usize = 64 << 10;
/// How long a server may take to answer once it was asked whether it is still there, or what it has taken in.
const RESPONSE_LIMIT: Duration = Duration::from_secs(30);
/// How long it may say other things instead, before it counts as deaf.
const ACK_LIMIT: Duration = Duration::from_mins(2);
/// After so many resumed connections in a row on which it acknowledged nothing, the session is given up. Prosody 0.12 goes on
/// with the parser of the first connection: cut within a stanza, it resumes the session and understands nothing from then on.
const DEAF: u32 = 2;
/// How long closing may take before the connection is cut.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// Two conflicts within this time are a fight, which goes on until somebody gives in.
const CONFLICT_SPAN: Duration = Duration::from_mins(1);
/// The longest silence over WebSocket: what lies between closes a connection over which nothing is said, nginx after a minute.
const WEBSOCKET_SILENCE: Duration = Duration::from_secs(45);
/// The longest silence, where the owner wants nobody to be asked.
const FOR_EVER: Duration = Duration::from_hours(24 * 365);

impl LinkSettings {
    pub(super) fn timeouts(&self) -> Timeouts {
        let read_timeout = if self.ping_interval.is_zero() { FOR_EVER } else { self.ping_interval.min(FOR_EVER) };
        Timeouts { read_timeout, response_timeout: RESPONSE_LIMIT }
    }

    /// Those over WebSocket (RFC 7395, section 3.8).
    pub(super) fn websocket_timeouts(&self) -> Timeouts {
        let usual = self.timeouts();
        let longest = if self.ping_interval.is_zero() { FOR_EVER } else { WEBSOCKET_SILENCE };
        Timeouts { read_timeout: usual.read_timeout.min(longest), ..usual }
    }
}

/// How somebody wishes to log in.
#[derive(Debug, Default)]
pub struct LogIn {
    /// With this password in place of the configured one, also when the connection comes back after a cut.
    pub password: Option<Supplied>,
    /// Not before this much time has passed.
    pub after: Duration,
    /// On the session that a former process left, where the server still has it.
    pub left: Option<Left>,
    /// Where the tokens of a BOSH session are kept, while there is one.
    pub tokens: Tokens,
    /// The carriers over which log-ins of the account were bound before.
    pub pins: Pins,
}

/// A session that was left without a good-bye, with nothing under way, and what it takes to go on with it (XEP-0198).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Whose it is.
    pub jid: FullJid,
    /// The server's name for it.
    pub id: String,
    /// How many stanzas came.
    pub heard: u32,
    /// How many of ours the server has taken in.
    pub acknowledged: u32,
    /// Where the server wants to be asked for it, if it said so.
    pub location: Option<String>,
}

/// What happens on a link.
#[derive(Debug)]
pub enum LinkEvent {
    /// A session that is new to this process; whatever it knew of an old one is gone.
    Bound {
        /// The full JID that the server gave.
        jid: FullJid,
        /// What the server offers.
        offers: Offers,
        /// It is not new to the server, which goes on with what a former process left: who we are present for, and what
        /// came since then.
        taken_up: bool,
        /// What the old session's server has not acknowledged, or was never sent, oldest first: messages, and presences
        /// that ask for a subscription or answer such. The rest meant something only within the old session.
        again: Vec<RawStanza>,
        /// How many of these, the first ones, were written: the server may have taken them in, and has not said so.
        doubtful: usize,
    },
    /// The connection is lost; a new one is being made.
    Suspended {
        /// Why, as far as this end knows.
        why: Lost,
    },
    /// A new connection is being tried for, after one that was lost or failed.
    Trying,
    /// There is a connection again, and nothing was lost (XEP-0198).
    Resumed {
        /// The server was asked for it before, and did not answer. ejabberd 23.01 may then have lost what waited for the session.
        doubtful: bool,
    },
    /// A log-in failed, and will be tried again.
    Retrying {
        /// After this long.
        after: Duration,
        /// Why it failed.
        why: ConnectError,
    },
    /// A stanza came.
    Stanza(Incoming),
    /// A log-in failed in a way that trying again does not help. Nothing but [`LinkEvent::Closed`] follows.
    Failed(ConnectError),
    /// It is over.
    Closed,
}

/// Whether anybody looks at what comes (XEP-0352).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientState {
    /// Yes; so it is at the beginning of each stream.
    #[default]
    Active,
    /// No: the server may hold back what can wait.
    Inactive,
}

/// One account's stream.
pub struct Link {
    /// Logs in whenever a connection is wanted; none where the server is within the process.
    connector: Option<Connector>,
    stage: Stage,
    /// What waits to be written.
    queue: Queue,
    /// What the server has not acknowledged; none where nothing is managed.
    ledger: Option<Ledger>,
    /// What came before the stream was ready.
    early: VecDeque<Stanza>,
    /// Who we are, once bound.
    own: Option<FullJid>,
    /// How many resumed connections in a row the server has acknowledged nothing on.
    deaf: u32,
    /// Nobody was told that we are bound.
    is_new: bool,
    /// How long what was to be sent is kept over a cut.
    keep_unsent: Duration,
    /// Since when there is no connection, after there was one.
    cut: Option<Instant>,
    /// When somebody else took our full JID last.
    conflict: Option<Instant>,
    state: ClientState,
    /// Nothing is acknowledged any more.
    leaves: bool,
}

enum Stage {
    Connecting,
    Live { live: Box<Live>, hears_state: bool, resumed: bool, is_contested: bool },
    Within(Within),
    Over,
}

impl Link {
    /// Begins to connect. Must be called within a runtime.
    pub fn start(settings: LinkSettings) -> Self {
        Self::log_in(settings, LogIn::default())
    }

    /// The same, in the way that somebody wishes.
    pub fn log_in(settings: LinkSettings, wish: LogIn) -> Self {
        let (left, keep_unsent) = (wish.left.clone(), settings.keep_unsent);
        Self {
            keep_unsent,
            ledger: left.as_ref().map(Ledger::taken_up),
            own: left.map(|left| left.jid),
            ..Self::new(Some(Connector::spawn(settings, wish)), Stage::Connecting)
        }
    }

    /// A link to a server within the process, which goes by these settings.
    pub fn within(server: Within, settings: &LinkSettings) -> Self {
        server.open(settings);
        Self::new(None, Stage::Within(server))
    }

    fn new(connector: Option<Connector>, stage: Stage) -> Self {
        Self {
            connector,
            stage,
            queue: Queue::default(),
            ledger: None,
            keep_unsent: FOR_EVER,
            cut: None,
            early: VecDeque::new(),
            deaf: 0,
            own: None,
            is_new: true,
            conflict: None,
            state: ClientState::default(),
            leaves: false,
        }
    }

    /// Waits for what happens next, and writes what is queued. Cancel-safe. After the end, gives [`LinkEvent::Closed`] at
    /// once, each time.
    pub async fn next(&mut self) -> LinkEvent {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Link::next`], but returns none as soon as [`Link::has_room`].
    pub async fn next_or_room(&mut self) -> Option<LinkEvent> {
        poll_fn(|cx| match self.poll_next(cx) {
            Poll::Ready(event) => Poll::Ready(Some(event)),
            Poll::Pending if self.has_room() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<LinkEvent> {
        loop {
            let event = match &mut self.stage {
                Stage::Live { .. } if !self.early.is_empty() => {
                    self.early.pop_front().and_then(|stanza| self.read(stanza)).map(LinkEvent::Stanza)
                }
                Stage::Live { live, .. } => match ready!(live.poll(&mut self.queue, &mut self.ledger, cx)) {
                    Some(stanza) => self.read(stanza).map(LinkEvent::Stanza),
                    None => self.lost(),
                },
                Stage::Within(server) => Some(ready!(server.poll(cx))),
                Stage::Connecting => match ready!(poll_report(&mut self.connector, cx)) {
                    Some(Report::Opened { opened, is_contested }) => self.opened(*opened, is_contested),
                    Some(Report::Trying) => Some(LinkEvent::Trying),
                    Some(Report::Retrying { after, why }) => Some(LinkEvent::Retrying { after, why }),
                    Some(Report::Failed(why)) => Some(self.fail(why)),
                    // Nobody is left who would log in.
                    None => {
                        self.stage = Stage::Over;
                        None
                    }
                },
                Stage::Over => Some(LinkEvent::Closed),
            };
            if let Some(event) = event {
                return Poll::Ready(event);
            }
        }
    }

    /// Whether there is room for another stanza. Who sends nevertheless makes the queue longer than it should be.
    pub fn has_room(&self) -> bool {
        self.queue.len() < QUEUE && self.queue.bytes() < QUEUE_BYTES
    }

    /// Queues a stanza; [`Link::next`] writes it. While there is no connection it waits for one. After the end, it goes
    /// nowhere.
    pub fn send(&mut self, outgoing: Outgoing) {
        match &self.stage {
            Stage::Over => {}
            Stage::Within(server) => server.hear(outgoing),
            Stage::Connecting | Stage::Live { .. } => self.queue.push_back(encode(outgoing)),
        }
    }

    /// Tells the server whether anybody looks, where it wants to know, on this stream and those that follow.
    pub fn set_state(&mut self, state: ClientState) {
        if self.state != state {
            self.state = state;
            if let Stage::Live { live, hears_state: true, .. } = &mut self.stage {
                live.say_state(state);
            }
        }
    }

    /// Asks the server whether it is there, if there is a connection: it may have gone, and nothing would say so.
    pub fn ask(&mut self) {
        if let Stage::Live { live, .. } = &mut self.stage {
            live.ask();
        }
    }

    /// Acknowledges nothing of what comes from now on, on this stream and those that follow. What comes is still given: answers
    /// to what is asked meanwhile.
    pub fn acknowledge_no_more(&mut self) {
        self.leaves = true;
        if let Some(ledger) = &mut self.ledger {
            ledger.close();
        }
    }

    /// Whether the server keeps what is not acknowledged.
    pub fn is_managed(&self) -> bool {
        self.ledger.is_some()
    }

    /// Goes by these settings from now on, which were the others so far, of the same address. Where they lead elsewhere, the connection is left for
    /// one that is made by them, and nothing of what was to be sent is lost; else they count from the next one.
    pub fn follow(&mut self, settings: LinkSettings, before: &LinkSettings) {
        self.keep_unsent = settings.keep_unsent;
        let Some(connector) = &self.connector else { return };
        let elsewhere = settings.leads_elsewhere(before);
        connector.follow(settings);
        if let (true, Stage::Live { live, .. }) = (elsewhere, &mut self.stage) {
            live.is_to_be_left();
        }
    }

    /// Writes what is queued, says goodbye to the server, and ends. Takes at most five seconds.
    pub async fn close(mut self) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Live { live, .. } => {
                let closing = live.close(&mut self.queue, &mut self.ledger);
                if tokio::time::timeout(CLOSE_LIMIT, closing).await.is_err() {
                    tracing::debug!("the server did not close the stream in time");
                }
            }
            Stage::Within(server) => server.close(),
            Stage::Connecting | Stage::Over => {}
        }
    }

    /// Whether the session could be gone on with by a later process.
    pub fn can_be_left(&self) -> bool {
        matches!(self.stage, Stage::Live { .. })
            && self.early.is_empty()
            && self.ledger.as_ref().is_some_and(|ledger| ledger.previous().is_some())
    }

    /// Writes what is queued and ends without a good-bye: the server keeps the session for a while. Takes at most five
    /// seconds. None: there is nothing to go on with.
    pub async fn leave(mut self) -> Option<Left> {
        let Stage::Live { live, .. } = std::mem::replace(&mut self.stage, Stage::Over) else { return None };
        let leaving = tokio::time::timeout(CLOSE_LIMIT, live.leave(&mut self.queue, &mut self.ledger));
        if !leaving.await.unwrap_or(false) {
            return None;
        }
        self.ledger?.left(self.own?)
    }

    fn opened(&mut self, opened: Opened, is_contested: bool) -> Option<LinkEvent> {
        let Opened { stream, begun, offers, hears_state, ending } = opened;
        let mut live = Live::new(stream, ending);
        // Each stream begins active, a resumed one, too (XEP-0352, section 5).
        if hears_state && self.state != ClientState::Active {
            live.say_state(self.state);
        }
        let resumed = matches!(begun, Begun::Resumed { .. });
        let is_late = self.cut.take().is_some_and(|cut| cut.elapsed() > self.keep_unsent);
        let event = match begun {
            Begun::Resumed { handled, is_asked_again } => {
                let Some(ledger) = self.ledger.as_mut().filter(|ledger| ledger.previous().is_some()) else {
                    self.want(Lost::Miscounted);
                    return None;
                };
                match ledger.acknowledge(handled) {
                    Err(_) => {
                        tracing::warn!(handled, "the server resumes a session and miscounts it; beginning another");
                        ledger.give_up();
                        self.want(Lost::Miscounted);
                        return None;
                    }
                    // By this count everything before is settled, and what is sent again was not taken in.
                    Ok(0) if self.deaf >= DEAF => {
                        tracing::warn!("the server resumes a session and takes nothing in; beginning another");
                        ledger.give_up();
                        self.deaf = 0;
                        self.want(Lost::Deaf);
                        return None;
                    }
                    Ok(0) => {}
                    Ok(_) => self.deaf = 0,
                }
                let mut again = ledger.take();
                tracing::debug!(
                    handled,
                    again = again.len(),
                    first = again.front().map(ledger::id),
                    "the session is gone on with"
                );
                again.append(&mut self.queue.take());
                if is_late {
                    let (rest, returned) = too_old(again, |stanza| stanza);
                    self.queue = rest.into();
                    self.early.extend(returned);
                } else {
                    self.queue = again.into();
                }
                match self.own.clone().filter(|_| std::mem::take(&mut self.is_new)) {
                    Some(jid) => LinkEvent::Bound { jid, offers, taken_up: true, again: Vec::new(), doubtful: 0 },
                    None => LinkEvent::Resumed { doubtful: is_asked_again },
                }
            }
            Begun::Anew { jid, managed, handled, early } => {
                let mut suspects = self.ledger.as_ref().map(|ledger| ledger.suspects().clone()).unwrap_or_default();
                let (mut written, mut is_told) = (VecDeque::new(), false);
                if let Some(mut ledger) = self.ledger.take() {
                    // A count that cannot be says nothing; then all is sent again.
                    is_told = handled.is_some_and(|handled| ledger.acknowledge(handled).is_ok());
                    written = ledger.take();
                }
                let mut returned = Vec::new();
                let mut kept = |mut stanzas: VecDeque<Stanza>| {
                    if is_late {
                        let (rest, old) = too_old(stanzas, |stanza| stanza);
                        stanzas = rest;
                        returned.extend(old);
                    }
                    let stanzas = stanzas.into_iter().map(|stanza| RawStanza(Arc::new(stanza)));
                    stanzas.filter(RawStanza::outlives_its_stream).collect::<Vec<_>>()
                };
                let mut again = kept(written);
                let doubtful = if is_told { 0 } else { again.len() };
                again.extend(kept(self.queue.take()));
                suspects.retain(|suspect| again.iter().any(|stanza| ledger::id(&stanza.0) == suspect));
                self.ledger = managed.map(Ledger::new);
                if let Some(ledger) = &mut self.ledger {
                    ledger.suspect(suspects);
                }
                if self.leaves {
                    self.acknowledge_no_more();
                }
                self.early = early.into_iter().chain(returned).collect();
                self.own = Some(jid.clone());
                self.is_new = false;
                LinkEvent::Bound { jid, offers, taken_up: false, again, doubtful }
            }
        };
        self.stage = Stage::Live { live: Box::new(live), hears_state, resumed, is_contested };
        Some(event)
    }

    /// The connection is gone.
    fn lost(&mut self) -> Option<LinkEvent> {
        self.cut.get_or_insert_with(Instant::now);
        let stage = std::mem::replace(&mut self.stage, Stage::Connecting);
        let Stage::Live { live, resumed, is_contested, .. } = stage else { return None };
        let is_ignored = resumed && live.is_ignored();
        let is_torn = resumed && !live.has_acknowledged();
        let why = match live.into_reason() {
            Lost::Stream { condition, .. } if is_torn && is_about_syntax(&condition) => Lost::Torn { condition },
            why => why,
        };
        self.deaf = if is_ignored && matches!(why, Lost::TimedOut | Lost::Deaf) { self.deaf + 1 } else { 0 };
        let asked_for = self.connector.as_ref().map(|connector| connector.jid.clone());
        if why.is_revocation() {
            let jid = self.own.clone().or(asked_for)?;
            let error = ConnectError::Revoked { jid, text: why.text().map(str::to_owned) };
            return Some(self.fail(error));
        }
        // Who throws us out after an attempt whose question for a session nobody answered may be that attempt.
        if why.is_conflict() && !is_contested {
            let now = Instant::now();
            if self.conflict.replace(now).is_some_and(|first| now - first <= CONFLICT_SPAN) {
                let jid = self.own.clone().or(asked_for)?;
                let error = ConnectError::Conflict { jid: jid.into() };
                return Some(self.fail(error));
            }
        }
        if !why.may_resume()
            && let Some(ledger) = &mut self.ledger
        {
            ledger.give_up();
            if why.is_about_a_stanza() {
                ledger.accuse().iter().for_each(given_up);
            }
        }
        self.want(why.clone());
        Some(LinkEvent::Suspended { why })
    }

    fn want(&mut self, lost: Lost) {
        let previous = self.ledger.as_ref().and_then(Ledger::previous);
        if let Some(connector) = &self.connector {
            connector.want(Wanted { previous, lost: Some(lost) });
        }
        self.stage = Stage::Connecting;
    }

    fn fail(&mut self, why: ConnectError) -> LinkEvent {
        self.stage = Stage::Over;
        if let Some(connector) = &self.connector {
            connector.end();
        }
        self.queue = Queue::default();
        self.ledger = None;
        LinkEvent::Failed(why)
    }

    fn read(&self, stanza: Stanza) -> Option<Incoming> {
        if let Stanza::Iq(iq @ (Iq::Result { .. } | Iq::Error { .. })) = &stanza
            && iq.id().starts_with(PROBE_PREFIX)
        {
            return None;
        }
        // Before the first bind there is no session that could receive anything.
        let own = self.own.as_ref()?;
        Some(decode(stanza, own, Timestamp::now()))
    }
}

/// What the connector has to say; nothing more where there is none.
fn poll_report(connector: &mut Option<Connector>, cx: &mut Context<'_>) -> Poll<Option<Report>> {
    connector.as_mut().map_or(Poll::Ready(None), |connector| connector.reports.poll_recv(cx))
}

/// Says that a stanza is not sent any more.
fn given_up(stanza: &Stanza) {
    let to = match stanza {
        Stanza::Message(message) => message.to.as_ref(),
        Stanza::Presence(presence) => presence.to.as_ref(),
        Stanza::Iq(iq) => iq.to(),
    };
    let to = to.map(tracing::field::display);
    tracing::warn!(
        to,
        id = ledger::id(stanza),
        "the server has ended two streams over this stanza; it is not sent again"
    );
}

#[cfg(test)]
mod tests;
