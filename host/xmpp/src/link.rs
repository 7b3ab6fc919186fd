//! The stream of one account: connects, reconnects after connection loss, and reports both.
//!
//! [`Link`] owns the stream and is used by one task, so everything stays in order. Stanzas that were written and not
//! acknowledged are kept. If the session is resumed (XEP-0198) they are sent again automatically; otherwise they are
//! returned, and the session above decides. [`Connector`] logs in, in a separate task. A dropped link leaves no task
//! behind.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use jid::FullJid;
use jiff::Timestamp;
use parlor_config::LinkSettings;
use parlor_stanza::decode::{Arrived, arrived};
use parlor_stanza::encode::Written;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::sieve::lost::Lost;
use parlor_stanza::stream_error::is_about_syntax;
use parlor_stanza::types::{Incoming, Offers, Outgoing};
use tokio::time::Instant;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::sm::Enabled;
use xmpp_parsers::stanza::Stanza;

use self::connector::{Connector, Report, Wanted, poll_report};
use self::live::Live;
use self::many::Post;
use self::queue::Queue;
use self::stream_management::StreamManagement;
use self::unsent::given_up;
use super::bind::Begun;
use super::connect::Opened;
use super::dialer::Dialer;
use super::error::ConnectError;
use super::event::{ClientState, Left, LinkEvent};
use super::keepalive::{FOR_EVER, PROBE_PREFIX};
use super::local::Attached;

pub use self::connector::LogIn;
pub use self::turns::LogInTurns;
pub use self::unsent::too_old;

mod acks;
mod connector;
mod live;
mod many;
mod pace;
mod patience;
mod queue;
mod stream_management;
mod turns;
mod unsent;

/// The number of consecutive resumed connections without any acknowledgement after which the session is given up.
/// Prosody 0.12 continues with the parser of the first connection: if that was lost within a stanza, the server resumes
/// the session but understands nothing from then on.
const DEAF: u32 = 2;
/// The time limit for closing a stream before the connection is dropped.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// Two conflicts within this time mean that two clients compete for a full JID, which only ends when one gives up.
const CONFLICT_SPAN: Duration = Duration::from_mins(1);
/// The stream of one account.
pub struct Link {
    /// Logs in whenever a connection is wanted; `None` if the server is within the process.
    connector: Option<Connector>,
    stage: Stage,
    /// Stanzas that wait to be written.
    queue: Queue,
    /// Counts the session's stanzas (XEP-0198); `None` if the session is not managed.
    sm: Option<StreamManagement>,
    /// Stanzas that arrived before the stream was ready.
    early: VecDeque<Stanza>,
    /// Our full JID, once bound.
    own: Option<FullJid>,
    /// The number of consecutive resumed connections without any acknowledgement.
    deaf: u32,
    /// Whether [`LinkEvent::Bound`] must still be reported.
    is_new: bool,
    /// How long unsent messages are kept while there is no connection.
    keep_unsent: Duration,
    /// When the last connection was lost; `None` while there is one, or before the first.
    cut: Option<Instant>,
    /// When another client last took our full JID.
    conflict: Option<Instant>,
    state: ClientState,
    /// Whether incoming stanzas are no longer acknowledged.
    leaves: bool,
    /// Reads a received stanza.
    decode: fn(Arrived, &FullJid, Timestamp) -> Incoming,
    /// Takes all received stanzas instead, if they are for many accounts.
    post: Option<Post>,
}

enum Stage {
    Connecting,
    Live { live: Box<Live>, hears_state: bool, resumed: bool, is_contested: bool },
    Local(Attached),
    Over,
}

impl Link {
    /// Begins to connect. Must be called within a runtime.
    pub fn start(settings: LinkSettings) -> Self {
        Self::log_in(settings, LogIn::default())
    }

    /// Same as [`Link::start`], with parameters for the log-in.
    pub fn log_in(settings: LinkSettings, log_in: LogIn) -> Self {
        if let Dialer::Local(server) = log_in.dialer {
            return Self::new(None, Stage::Local(Attached::to(server, &settings)));
        }
        let (left, keep_unsent) = (log_in.left.clone(), settings.keep_unsent);
        Self {
            keep_unsent,
            sm: left.as_ref().map(StreamManagement::taken_up),
            own: left.map(|left| left.jid),
            ..Self::new(Some(Connector::spawn(settings, log_in)), Stage::Connecting)
        }
    }

    fn new(connector: Option<Connector>, stage: Stage) -> Self {
        Self {
            connector,
            stage,
            queue: Queue::default(),
            sm: None,
            keep_unsent: FOR_EVER,
            cut: None,
            early: VecDeque::new(),
            deaf: 0,
            own: None,
            is_new: true,
            conflict: None,
            state: ClientState::default(),
            leaves: false,
            decode: arrived,
            post: None,
        }
    }

    /// Waits for the next event, and writes queued stanzas. Cancel-safe. After the end, returns [`LinkEvent::Closed`]
    /// at once, each time.
    pub async fn next(&mut self) -> LinkEvent {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Same as [`Link::next`], but returns `None` as soon as [`Link::has_room`].
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
                Stage::Live { .. } if !self.early.is_empty() => self
                    .early
                    .pop_front()
                    .and_then(|stanza| self.read(Arrived::Read(Box::new(stanza))))
                    .map(LinkEvent::Stanza),
                Stage::Live { live, .. } => match ready!(live.poll(&mut self.queue, &mut self.sm, cx)) {
                    Some(stanza) => self.read(stanza).map(LinkEvent::Stanza),
                    None => self.lost(),
                },
                Stage::Local(server) => Some(ready!(server.poll(cx))),
                Stage::Connecting => match ready!(poll_report(&mut self.connector, cx)) {
                    Some(Report::Opened { opened, is_contested }) => self.opened(*opened, is_contested),
                    Some(Report::Trying) => Some(LinkEvent::Trying),
                    Some(Report::Retrying { after, why }) => Some(LinkEvent::Retrying { after, why }),
                    Some(Report::Failed(why)) => Some(self.fail(why)),
                    // The connector has ended, so nothing would log in.
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

    /// Returns whether there is room for another stanza. Sending without room makes the queue exceed its limit.
    pub fn has_room(&self) -> bool {
        match &self.stage {
            Stage::Local(server) => server.has_room(),
            Stage::Connecting | Stage::Live { .. } | Stage::Over => self.queue.has_room(),
        }
    }

    /// Queues a stanza, which [`Link::next`] writes. Without a connection it waits for one. After the end, it is
    /// dropped.
    pub fn send(&mut self, outgoing: Outgoing) {
        match &self.stage {
            Stage::Over => {}
            Stage::Local(server) => server.hear(outgoing),
            Stage::Connecting | Stage::Live { .. } => match Written::of(outgoing) {
                Ok(stanza) => self.queue.push_back(stanza),
                Err(error) => tracing::warn!(%error, "a stanza could not be written"),
            },
        }
    }

    /// Tells the server whether anybody looks, if the server supports it, on this stream and later ones.
    pub fn set_state(&mut self, state: ClientState) {
        if self.state != state {
            self.state = state;
            if let Stage::Live { live, hears_state: true, .. } = &mut self.stage {
                live.say_state(state);
            }
        }
    }

    /// Asks the server for a sign of life, if there is a connection, since its loss might go unnoticed.
    pub fn ask(&mut self) {
        if let Stage::Live { live, .. } = &mut self.stage {
            live.ask();
        }
    }

    /// Stops acknowledging incoming stanzas, on this stream and later ones. Stanzas are still returned, since they may
    /// be answers to requests made meanwhile.
    pub fn acknowledge_no_more(&mut self) {
        self.leaves = true;
        if let Some(sm) = &mut self.sm {
            sm.close();
        }
    }

    /// Returns whether the server keeps stanzas that are not acknowledged.
    pub fn is_managed(&self) -> bool {
        self.sm.is_some()
    }

    /// Applies new settings of the same address; `before` are the settings so far. If they lead to another server, the
    /// connection is replaced by one made with them, and nothing that was to be sent is lost. Otherwise they apply from
    /// the next connection on.
    pub fn follow(&mut self, settings: LinkSettings, before: &LinkSettings) {
        self.keep_unsent = settings.keep_unsent;
        let Some(connector) = &self.connector else { return };
        let elsewhere = settings.leads_elsewhere(before);
        connector.follow(settings);
        if let (true, Stage::Live { live, .. }) = (elsewhere, &mut self.stage) {
            live.is_to_be_left(Lost::Moved);
        }
    }

    /// Replaces the connection and its session by new ones, after a bug in the host left the state behind this one in
    /// doubt. Nothing that was to be sent is lost.
    pub fn begin_anew(&mut self) {
        if let Some(sm) = &mut self.sm {
            sm.give_up();
        }
        if let Stage::Live { live, .. } = &mut self.stage {
            live.is_to_be_left(Lost::Bug);
        }
    }

    /// Writes queued stanzas, closes the stream, and ends. Takes at most five seconds.
    pub async fn close(mut self) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Live { live, .. } => {
                let closing = live.close(&mut self.queue, &mut self.sm);
                if tokio::time::timeout(CLOSE_LIMIT, closing).await.is_err() {
                    tracing::debug!("the server did not close the stream in time");
                }
            }
            Stage::Local(server) => server.close(),
            Stage::Connecting | Stage::Over => {}
        }
    }

    /// Returns whether a later process could resume the session.
    pub fn can_be_left(&self) -> bool {
        matches!(self.stage, Stage::Live { .. })
            && self.early.is_empty()
            && self.sm.as_ref().is_some_and(|sm| sm.previous().is_some())
    }

    /// Writes queued stanzas and ends without closing the stream, so that the server keeps the session for a while.
    /// Takes at most five seconds. Returns `None` if there is no session to resume.
    pub async fn leave(mut self) -> Option<Left> {
        let Stage::Live { live, .. } = std::mem::replace(&mut self.stage, Stage::Over) else { return None };
        let leaving = tokio::time::timeout(CLOSE_LIMIT, live.leave(&mut self.queue, &mut self.sm));
        if !leaving.await.unwrap_or(false) {
            return None;
        }
        self.sm?.left(self.own?)
    }

    fn opened(&mut self, opened: Opened, is_contested: bool) -> Option<LinkEvent> {
        let Opened { stream, begun, offers, hears_state, ending } = opened;
        let mut live = Live::new(stream, ending);
        // Each stream begins active, even a resumed one (XEP-0352, section 5).
        if hears_state && self.state != ClientState::Active {
            live.say_state(self.state);
        }
        if let (Some(_), Begun::Anew { jid, .. }) = (&self.post, &begun) {
            live.is_of_component(jid.domain().as_str());
        }
        let resumed = matches!(begun, Begun::Resumed { .. });
        let is_late = self.cut.take().is_some_and(|cut| cut.elapsed() > self.keep_unsent);
        let event = match begun {
            Begun::Resumed { handled, is_asked_again } => self.resumed(handled, is_asked_again, offers, is_late)?,
            Begun::Anew { jid, managed, handled, early } => {
                let (again, doubtful) = self.begun_anew(managed, handled, early, is_late);
                self.own = Some(jid.clone());
                self.is_new = false;
                LinkEvent::Bound { jid, offers, taken_up: false, again, doubtful }
            }
        };
        self.stage = Stage::Live { live: Box::new(live), hears_state, resumed, is_contested };
        Some(event)
    }

    /// Handles a resumed session, with the number of stanzas that the server has handled. Returns `None` if the resumed
    /// session cannot be trusted; then another session is begun.
    fn resumed(&mut self, handled: u32, is_asked_again: bool, offers: Offers, is_late: bool) -> Option<LinkEvent> {
        let Some(sm) = self.sm.as_mut().filter(|sm| sm.previous().is_some()) else {
            self.want(Lost::Miscounted);
            return None;
        };
        match sm.acknowledge(handled) {
            Err(_) => {
                tracing::warn!(handled, "the server resumes a session and miscounts it; beginning another");
                sm.give_up();
                self.want(Lost::Miscounted);
                return None;
            }
            // The count settles all earlier stanzas, and shows that those sent again were not handled.
            Ok(0) if self.deaf >= DEAF => {
                tracing::warn!("the server resumes a session and takes nothing in; beginning another");
                sm.give_up();
                self.deaf = 0;
                self.want(Lost::Deaf);
                return None;
            }
            Ok(0) => {}
            Ok(_) => self.deaf = 0,
        }
        let mut again = sm.take();
        tracing::debug!(
            handled,
            again = again.len(),
            first = again.front().map(Written::id),
            "the session is gone on with"
        );
        again.append(&mut self.queue.take());
        if is_late {
            let (rest, returned) = too_old(queue::read(&again), |stanza| stanza);
            let rest = rest.iter().filter_map(|stanza| Written::of_stanza(stanza).ok());
            self.queue = rest.collect::<VecDeque<_>>().into();
            self.early.extend(returned);
        } else {
            self.queue = again.into();
        }
        Some(match self.own.clone().filter(|_| std::mem::take(&mut self.is_new)) {
            Some(jid) => LinkEvent::Bound { jid, offers, taken_up: true, again: Vec::new(), doubtful: 0 },
            None => LinkEvent::Resumed { doubtful: is_asked_again },
        })
    }

    /// A new session begins. Returns the stanzas of the old one that outlive it, and how many of these the server may have
    /// handled.
    fn begun_anew(
        &mut self,
        managed: Option<Enabled>,
        handled: Option<u32>,
        early: Vec<Stanza>,
        is_late: bool,
    ) -> (Vec<RawStanza>, usize) {
        let mut suspects = self.sm.as_ref().map(|sm| sm.suspects().clone()).unwrap_or_default();
        let (mut written, mut is_told) = (VecDeque::new(), false);
        if let Some(mut sm) = self.sm.take() {
            // An impossible count says nothing; all stanzas are then sent again.
            is_told = handled.is_some_and(|handled| sm.acknowledge(handled).is_ok());
            written = sm.take();
        }
        let mut returned = Vec::new();
        let mut kept = |stanzas: &VecDeque<Written>| {
            let mut stanzas = queue::read(stanzas);
            if is_late {
                let (rest, old) = too_old(stanzas, |stanza| stanza);
                stanzas = rest;
                returned.extend(old);
            }
            let stanzas = stanzas.into_iter().map(RawStanza::from);
            stanzas.filter(RawStanza::outlives_its_stream).collect::<Vec<_>>()
        };
        let mut again = kept(&written);
        let doubtful = if is_told { 0 } else { again.len() };
        again.extend(kept(&self.queue.take()));
        suspects.retain(|suspect| again.iter().any(|stanza| stanza.id().unwrap_or_default() == suspect));
        self.sm = managed.map(StreamManagement::new);
        if let Some(sm) = &mut self.sm {
            sm.suspect(suspects);
        }
        if self.leaves {
            self.acknowledge_no_more();
        }
        self.early = early.into_iter().chain(returned).collect();
        (again, doubtful)
    }

    /// Handles the loss of the connection.
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
        // A conflict after an attempt whose request for a session got no answer may come from that attempt itself.
        if why.is_conflict() && !is_contested {
            let now = Instant::now();
            if self.conflict.replace(now).is_some_and(|first| now - first <= CONFLICT_SPAN) {
                let jid = self.own.clone().or(asked_for)?;
                let error = ConnectError::Conflict { jid: jid.into() };
                return Some(self.fail(error));
            }
        }
        if !why.may_resume()
            && let Some(sm) = &mut self.sm
        {
            sm.give_up();
            if why.is_about_a_stanza() {
                sm.accuse().iter().for_each(given_up);
            }
        }
        self.want(why.clone());
        Some(LinkEvent::Suspended { why })
    }

    fn want(&mut self, lost: Lost) {
        let previous = self.sm.as_ref().and_then(StreamManagement::previous);
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
        self.sm = None;
        LinkEvent::Failed(why)
    }

    fn read(&self, stanza: Arrived) -> Option<Incoming> {
        if let Arrived::Read(stanza) = &stanza
            && let Stanza::Iq(iq @ (Iq::Result { .. } | Iq::Error { .. })) = &**stanza
            && iq.id().starts_with(PROBE_PREFIX)
        {
            return None;
        }
        // Before the first bind there is no session that could receive anything.
        let own = self.own.as_ref()?;
        if let Some(post) = &self.post {
            post(stanza);
            return None;
        }
        // Peers choose what is in it. A panic over it costs this stanza, and not the account.
        let decoded = catch_unwind(AssertUnwindSafe(|| (self.decode)(stanza, own, Timestamp::now())));
        if decoded.is_err() {
            tracing::error!(
                account = %own.to_bare(),
                "a stanza is not delivered: a bug in the host stopped it from being read; please report it, with the panic in the log"
            );
        }
        decoded.ok()
    }
}

#[cfg(test)]
mod tests;
