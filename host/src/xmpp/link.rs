//! One account's stream: comes up, comes back after cuts, and says so.
//!
//! [`Link`] owns the one unsplit `StanzaStream` and is used by one task; nothing overtakes anything. Logging in is done by
//! [`Connector`], a task of its own. A link that is dropped leaves no task behind.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use jid::FullJid;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_xmpp::stanzastream::{Event, StanzaStage, StanzaStream, StanzaToken, StreamEvent};
use tokio_xmpp::xmlstream::Timeouts;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stream_features::StreamFeatures;

use self::connector::{Connector, Report};
use self::slot::Slot;
use super::connect::ConnectError;
use super::cut::Cutter;
use super::decode::decode;
use super::encode::encode;
use super::intake::Lost;
use super::password::Supplied;
use crate::config::LinkSettings;
use crate::stanza::{Incoming, Offers, Outgoing};

mod connector;
mod pace;
mod slot;

/// How many stanzas wait for the stream, and how many for the account.
const QUEUE: usize = 64;
/// How long a server may take to answer once it was asked whether it is still there.
const RESPONSE_LIMIT: Duration = Duration::from_secs(30);
/// How long closing may take before the connection is cut.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// Two conflicts within this time are a fight, which goes on until somebody gives in.
const CONFLICT_SPAN: Duration = Duration::from_mins(1);
/// Ids of the library's own pings, which nobody else awaits.
const PROBE_PREFIX: &str = "xmpp-rs-stanzastream-liveness-probe";

impl LinkSettings {
    pub(super) fn timeouts(&self) -> Timeouts {
        Timeouts { read_timeout: self.ping_interval, response_timeout: RESPONSE_LIMIT }
    }
}

/// How somebody wishes to log in.
#[derive(Debug, Default)]
pub struct LogIn {
    /// With this password in place of the configured one, also when the connection comes back after a cut.
    pub password: Option<Supplied>,
    /// Not before this much time has passed.
    pub after: Duration,
}

/// What happens on a link.
#[derive(Debug)]
pub enum LinkEvent {
    /// A new session; whatever the server knew of an old one is gone.
    Bound {
        /// The full JID that the server gave.
        jid: FullJid,
        /// What the server offers.
        offers: Offers,
    },
    /// The connection is lost; a new one is being made.
    Suspended {
        /// Why, as far as this end knows.
        why: Lost,
    },
    /// There is a connection again, and nothing was lost (XEP-0198).
    Resumed,
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

/// One account's stream.
pub struct Link {
    /// None once it is over. Declared first: the stream has to be gone before its connector gives back what it holds.
    stream: Option<StanzaStream>,
    /// Logs in whenever the stream wants a connection.
    connector: Connector,
    /// What it says.
    reports: mpsc::Receiver<Report>,
    /// For a stream that replaces a broken one.
    slots: mpsc::Sender<Slot>,
    /// Ends connections that will not end by themselves.
    cutter: Cutter,
    /// Who we are, once bound.
    own: Option<FullJid>,
    /// Between `Bound` or `Resumed` and `Suspended`.
    online: bool,
    /// When somebody else took our full JID last.
    conflict: Option<Instant>,
    /// Stanzas that may not have left the queue. The library does not say how full it is; its tokens do.
    queued: VecDeque<StanzaToken>,
}

impl Link {
    /// Begins to connect. Must be called within a runtime.
    pub fn start(settings: LinkSettings) -> Self {
        Self::log_in(settings, LogIn::default())
    }

    /// The same, in the way that somebody wishes.
    pub fn log_in(settings: LinkSettings, wish: LogIn) -> Self {
        let (slots, wanted) = mpsc::channel(QUEUE);
        let (report, reports) = mpsc::channel(QUEUE);
        let cutter = Cutter::default();
        let connector = Connector::spawn(settings, wish, cutter.clone(), wanted, report);
        let stream = Some(new_stream(&slots));
        Self {
            stream,
            connector,
            reports,
            slots,
            cutter,
            own: None,
            online: false,
            conflict: None,
            queued: VecDeque::new(),
        }
    }

    /// Waits for what happens next. Cancel-safe. After the end, gives [`LinkEvent::Closed`] at once, each time.
    pub async fn next(&mut self) -> LinkEvent {
        loop {
            if let Some(event) = self.event_or_room(false).await {
                return event;
            }
        }
    }

    /// As [`Link::next`], but returns none as soon as [`Link::has_room`].
    pub async fn next_or_room(&mut self) -> Option<LinkEvent> {
        self.event_or_room(true).await
    }

    async fn event_or_room(&mut self, room: bool) -> Option<LinkEvent> {
        loop {
            let Some(stream) = &mut self.stream else { return Some(LinkEvent::Closed) };
            let event = tokio::select! {
                biased;
                report = self.reports.recv() => match report {
                    Some(Report::Retrying { after, why }) => return Some(LinkEvent::Retrying { after, why }),
                    Some(Report::Failed(why)) => {
                        self.end();
                        return Some(LinkEvent::Failed(why));
                    }
                    // Nobody is left who would log in.
                    None => {
                        self.end();
                        return Some(LinkEvent::Closed);
                    }
                },
                event = stream.next() => event,
                () = room_in(&mut self.queued), if room => return None,
            };
            match event {
                Some(Event::Stream(StreamEvent::Reset { bound_jid, features })) => {
                    // A server that binds no resource breaks RFC 6120, section 7; the configured one serves then.
                    let jid = bound_jid.try_into_full().ok().unwrap_or_else(|| self.connector.wanted().clone());
                    self.own = Some(jid.clone());
                    self.online = true;
                    return Some(LinkEvent::Bound { jid, offers: offers(&features) });
                }
                Some(Event::Stream(StreamEvent::Resumed)) => {
                    self.online = true;
                    return Some(LinkEvent::Resumed);
                }
                Some(Event::Stream(StreamEvent::Suspended)) => {
                    let why = self.connector.lost();
                    if why.is_conflict() && self.is_second_conflict() {
                        self.end();
                        let jid = self.own.clone().unwrap_or_else(|| self.connector.wanted().clone()).into();
                        return Some(LinkEvent::Failed(ConnectError::Conflict { jid }));
                    }
                    if std::mem::take(&mut self.online) {
                        return Some(LinkEvent::Suspended { why });
                    }
                }
                Some(Event::Stanza(stanza)) => {
                    if let Some(incoming) = self.read(stanza) {
                        return Some(LinkEvent::Stanza(incoming));
                    }
                }
                None => {
                    // The library's worker broke. What it held is lost; the account is not.
                    tracing::warn!("the stream's worker ended by itself; starting another");
                    self.restart();
                    if std::mem::take(&mut self.online) {
                        return Some(LinkEvent::Suspended { why: Lost::Unknown });
                    }
                }
            }
        }
    }

    /// Whether [`Link::send`] returns at once.
    pub fn has_room(&mut self) -> bool {
        has_room_in(&mut self.queued)
    }

    /// Waits until [`Link::has_room`]. Cancel-safe.
    pub async fn wait_room(&mut self) {
        room_in(&mut self.queued).await;
    }

    /// Queues a stanza on the stream, and returns once it is there. After the end, it goes nowhere.
    pub async fn send(&mut self, outgoing: Outgoing) {
        self.wait_room().await;
        let Some(stream) = &self.stream else { return };
        // The library panics when its worker is gone; `next` sees that too, and starts another.
        let sending = AssertUnwindSafe(stream.send(Box::new(encode(outgoing))));
        if let Ok(token) = sending.catch_unwind().await {
            self.queued.push_back(token);
        } else {
            tracing::warn!("a stanza was lost with the stream's worker");
        }
    }

    /// Says goodbye to the server, and ends. Takes at most five seconds.
    pub async fn close(mut self) {
        if let Some(stream) = self.stream.take() {
            // A stream that waits for a connection gets a dead one when the connector goes, and ends over it.
            self.connector.abort();
            if tokio::time::timeout(CLOSE_LIMIT, stream.close()).await.is_err() {
                tracing::debug!("the server did not close the stream in time");
            }
        }
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

    fn is_second_conflict(&mut self) -> bool {
        let now = Instant::now();
        self.conflict.replace(now).is_some_and(|first| now - first <= CONFLICT_SPAN)
    }

    /// Ends for good: first the stream, so that its worker does not ask for another connection.
    fn end(&mut self) {
        self.stream = None;
        self.online = false;
        self.queued.clear();
        self.cutter.cut();
        self.connector.abort();
    }

    fn restart(&mut self) {
        self.queued.clear();
        self.stream = Some(new_stream(&self.slots));
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end();
    }
}

/// What of the features of a stream matters above it.
fn offers(features: &StreamFeatures) -> Offers {
    Offers { roster_versions: features.others.iter().any(|feature| feature.is("ver", "urn:xmpp:features:rosterver")) }
}

fn has_room_in(queued: &mut VecDeque<StanzaToken>) -> bool {
    while queued.front().is_some_and(|token| token.state() != StanzaStage::Queued) {
        queued.pop_front();
    }
    // What the stream holds is at most what we count: it forgets a stanza before its token says so.
    queued.len() < QUEUE
}

async fn room_in(queued: &mut VecDeque<StanzaToken>) {
    while !has_room_in(queued) {
        if let Some(oldest) = queued.front_mut() {
            // None = the stream gave the stanza up, which leaves room as well.
            if oldest.wait_for(StanzaStage::Sent).await.is_none() {
                queued.pop_front();
            }
        }
    }
}

/// A stream that asks for its connections through `slots`.
fn new_stream(slots: &mpsc::Sender<Slot>) -> StanzaStream {
    let slots = slots.clone();
    // A slot that finds no taker is dropped, and then hands the stream a dead connection.
    StanzaStream::new(Box::new(move |_location, slot| drop(slots.try_send(Slot::new(slot)))), QUEUE)
}

#[cfg(test)]
mod tests;
