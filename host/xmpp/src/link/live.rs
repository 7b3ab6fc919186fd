//! One live connection: writes stanzas from the queue, passes received ones to the link, and counts both (XEP-0198).

use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use parlor_base::escape::io_words;
use parlor_stanza::decode::Arrived;
use parlor_stanza::plain::Handled;
use parlor_stanza::sieve::lost::Lost;
use parlor_stanza::stream::written;
use tokio::time::{Instant, Sleep};
use tokio_xmpp::xmlstream::ReadError;
use xmpp_parsers::ns;
use xmpp_parsers::sm::HandledCountTooHigh;
use xmpp_parsers::stream_error::{DefinedCondition, StreamError};

use super::acks::Acks;
use super::patience::{Asked, Signs};
use super::queue::{QUEUE, Queue};
use super::stream_management::{Miscounted, StreamManagement};
use crate::connect::Established;
use crate::event::ClientState;
use crate::handshake::attribute;
use crate::intake::Ending;
use crate::keepalive::{PROBE_PREFIX, RESPONSE_LIMIT};
use crate::stream::{Came, Stanzas};

/// A connection whose session is bound or resumed.
pub(super) struct Live {
    stream: Stanzas,
    ending: Ending,
    /// The acknowledgements and requests for them that wait to be written.
    acks: Acks,
    /// The timer for `acks`.
    later: Pin<Box<Sleep>>,
    /// The pending request to the server; `None` if it has answered.
    asked: Option<Asked>,
    /// Whether the server has acknowledged something on this connection, or everything.
    acknowledged: bool,
    /// The timer that checks `asked`.
    patience: Pin<Box<Sleep>>,
    /// Whether the connection was silent long enough to ask whether the server is alive.
    silent: bool,
    /// The client state that is still to be sent (XEP-0352).
    state: Option<ClientState>,
    /// Whether written data may not have been flushed.
    unflushed: bool,
    /// Why this end wants another connection; `None` if it does not.
    left: Option<Lost>,
    /// The addresses of a request to the server, as attributes; empty where the server knows them.
    addresses: String,
}

impl Live {
    /// Takes over a connection. Must be called within a runtime.
    pub(super) fn new(stream: Established, ending: Ending) -> Self {
        Self {
            stream: Stanzas::of(stream),
            ending,
            acks: Acks::default(),
            later: Box::pin(tokio::time::sleep(RESPONSE_LIMIT)),
            asked: None,
            acknowledged: false,
            patience: Box::pin(tokio::time::sleep(RESPONSE_LIMIT)),
            silent: false,
            state: None,
            unflushed: false,
            left: None,
            addresses: String::new(),
        }
    }

    /// Notes that the stream is that of a component, on which each stanza has both addresses (XEP-0114). A request to the
    /// component's own domain comes back by the server, and shows that it is there.
    pub(super) fn is_of_component(&mut self, domain: &str) {
        let domain = attribute(domain);
        self.addresses = format!(" from='{domain}' to='{domain}'");
    }

    /// Ends the connection as soon as everything that can be written at once is written.
    pub(super) fn is_to_be_left(&mut self, why: Lost) {
        self.left = Some(why);
    }

    /// Asks the server whether it is alive, as after a silence. Earlier data no longer counts as a sign of life.
    pub(super) fn ask(&mut self) {
        self.silent = true;
        if let Some(asked) = &mut self.asked {
            asked.once_more(Instant::now(), signs(&self.ending, self.unflushed));
        }
    }

    /// Sends the client state with the next write.
    pub(super) fn say_state(&mut self, state: ClientState) {
        self.state = Some(state);
    }

    /// Returns the reason that the connection ended.
    pub(super) fn into_reason(self) -> Lost {
        let Self { stream, ending, .. } = self;
        // The transport notes its reason when it is dropped.
        drop(stream);
        ending.reason().unwrap_or(Lost::Unknown)
    }

    /// Returns whether the server was asked for an acknowledgement and never sent one on this connection.
    pub(super) fn is_ignored(&self) -> bool {
        self.asked.is_some() && !self.acknowledged
    }

    /// Returns whether the server has acknowledged anything on this connection.
    pub(super) fn has_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// Writes queued stanzas, and returns the next received one; `None` if the connection has ended.
    pub(super) fn poll(
        &mut self,
        queue: &mut Queue,
        sm: &mut Option<StreamManagement>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Arrived>> {
        loop {
            if let Poll::Ready(Err(error)) = self.poll_write(queue, sm, cx) {
                self.ending.note(Lost::Cut { cause: Some(io_words(&error)) });
                return Poll::Ready(None);
            }
            if let Some(why) = self.left.take() {
                self.ending.note(why);
                return Poll::Ready(None);
            }
            if let Some(why) = self.out_of_patience(cx) {
                if why == Lost::Deaf && self.ending.arriving().is_some() {
                    tracing::warn!("a stanza is skipped: its end did not come in time");
                    // The server would send it again, and hold up the next connection as well.
                    count(sm);
                }
                self.ending.note(why);
                return Poll::Ready(None);
            }
            // Peers choose these bytes. A panic over them ends this connection, and not the account.
            let read = catch_unwind(AssertUnwindSafe(|| self.stream.poll_next(cx)));
            let Ok(read) = read else {
                // The server would send the stanza again, and end the next connection as well.
                count(sm);
                self.ending.note(Lost::Bug);
                return Poll::Ready(None);
            };
            let item = ready!(read);
            // Without stream management, any received data counts as an answer.
            if sm.is_none() && matches!(item, Some(Ok(_))) {
                self.asked = None;
            }
            if let ControlFlow::Break(found) = self.take(item, sm, cx) {
                return Poll::Ready(found);
            }
        }
    }

    /// Takes in an item of the stream. Breaks with a stanza, or with `None` if the connection has ended.
    fn take(
        &mut self,
        item: Option<Result<Came, ReadError>>,
        sm: &mut Option<StreamManagement>,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Option<Arrived>> {
        match item {
            Some(Ok(Came::Error) | Err(ReadError::StreamFooterReceived)) => {
                self.close_too(cx);
                return ControlFlow::Break(None);
            }
            None => return ControlFlow::Break(None),
            Some(Ok(Came::Stanza(stanza))) => {
                count(sm);
                return ControlFlow::Break(Some(stanza));
            }
            Some(Ok(Came::Handled(Handled::Told(h)))) => {
                self.asked = None;
                match sm.as_mut().map(|sm| (sm.acknowledge(h), sm.is_settled())) {
                    Some((Err(miscounted), _)) => return ControlFlow::Break(self.protest(miscounted, cx)),
                    // A repeated count acknowledges nothing.
                    Some((Ok(0), false)) => {}
                    Some((Ok(_), _)) | None => self.acknowledged = true,
                }
            }
            Some(Ok(Came::Handled(Handled::Asked))) => {
                // Without stream management, a request for an acknowledgement is ignored.
                if sm.is_some() {
                    self.acks.requested(Instant::now());
                }
            }
            Some(Ok(Came::Unread)) => {
                tracing::debug!("a stanza that the library does not read was dropped");
                count(sm);
            }
            Some(Err(ReadError::SoftTimeout)) => self.ask(),
            // The element is not allowed here, or is malformed.
            Some(Ok(Came::Unexpected) | Err(ReadError::ParseError(_))) => {
                self.ending.note(Lost::Unreadable);
                return ControlFlow::Break(self.complain(cx));
            }
            // The library only sees whole elements. The pending request bounds how long the rest may take.
            Some(Err(ReadError::HardError(error)))
                if error.kind() == io::ErrorKind::TimedOut && self.is_being_told() => {}
            Some(Err(ReadError::HardError(error))) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    self.ending.note(Lost::Unreadable);
                }
                return ControlFlow::Break(self.complain(cx));
            }
        }
        ControlFlow::Continue(())
    }

    /// Writes pending data, as far as the transport and the server's acknowledgements permit, and sets the timer for
    /// data that can wait.
    fn poll_write(
        &mut self,
        queue: &mut Queue,
        sm: &mut Option<StreamManagement>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_write_due(queue, sm, cx))?;
            if !self.is_later(cx) {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Returns whether something that waited is due, and sets the timer for it otherwise. The timer is reset only when
    /// it fires, since the deadline moves with each stanza.
    fn is_later(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(at) = self.acks.next(self.asked.is_none()) else { return false };
        if self.later.deadline() > at {
            self.later.as_mut().reset(at);
        }
        while self.later.as_mut().poll(cx).is_ready() {
            if Instant::now() >= at {
                return true;
            }
            self.later.as_mut().reset(at);
        }
        false
    }

    /// Writes the data that is due.
    fn poll_write_due(
        &mut self,
        queue: &mut Queue,
        sm: &mut Option<StreamManagement>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let now = Instant::now();
        loop {
            let next = queue.front().map(|next| sm.as_ref().is_none_or(|sm| sm.has_room(next)));
            let may_write = next == Some(true);
            let asks = self.asked.is_none() && self.acks.is_to_ask(next == Some(false), now);
            let beside = self.unflushed || may_write || asks;
            let acknowledges = self.acks.is_due(beside, now);
            if !may_write && !asks && !self.silent && !acknowledges && self.state.is_none() {
                break;
            }
            ready!(self.stream.poll_ready(cx))?;
            self.unflushed = true;
            if let Some(state) = self.state.take() {
                let name = match state {
                    ClientState::Active => "active",
                    ClientState::Inactive => "inactive",
                };
                self.stream.write(&format!("<{name} xmlns='{}'/>", ns::CSI));
            } else if std::mem::take(&mut self.silent) {
                if sm.is_some() {
                    self.request();
                } else {
                    let id = rand::random::<u64>();
                    let (addresses, ping) = (&self.addresses, ns::PING);
                    let ping =
                        format!("<iq type='get' id='{PROBE_PREFIX}{id:016x}'{addresses}><ping xmlns='{ping}'/></iq>");
                    self.stream.write(&ping);
                }
                self.asked.get_or_insert_with(|| Asked::now(&self.ending));
            } else if may_write && let Some(stanza) = queue.pop_front() {
                self.stream.write(stanza.text());
                if let Some(sm) = sm {
                    sm.wrote(stanza);
                    self.acks.wrote(now);
                }
            } else if asks {
                self.request();
                self.asked = Some(Asked::now(&self.ending));
            } else if let Some(sm) = sm {
                self.stream.write(&format!("<a xmlns='{}' h='{}'/>", ns::SM, sm.heard()));
                self.acks.acknowledged();
            }
        }
        if queue.is_empty() {
            // After connection loss under load, the queue held more than its usual limit.
            queue.shrink_to(QUEUE);
        }
        if self.unflushed {
            ready!(self.stream.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Asks the server how many stanzas it has handled.
    fn request(&mut self) {
        self.stream.write(&format!("<r xmlns='{}'/>", ns::SM));
        self.acks.asked();
    }

    /// Returns whether part of an incomplete element has arrived recently, and nothing else is wrong.
    fn is_being_told(&self) -> bool {
        self.ending.reason().is_none() && self.ending.heard().elapsed() < RESPONSE_LIMIT
    }

    /// Returns the reason to give up a server that has not answered a request.
    fn out_of_patience(&mut self, cx: &mut Context<'_>) -> Option<Lost> {
        let asked = self.asked.as_mut()?;
        while self.patience.as_mut().poll(cx).is_ready() {
            match asked.look(Instant::now(), signs(&self.ending, self.unflushed)) {
                Ok(next) => self.patience.as_mut().reset(next),
                Err(why) => return Some(why),
            }
        }
        None
    }

    /// Sends a stream error if received data is the reason that the stream ends (RFC 6120, section 4.9.1), so that the
    /// server keeps no session waiting for us.
    fn complain(&mut self, cx: &mut Context<'_>) -> Option<Arrived> {
        let why = self.ending.reason()?;
        let condition = match &why {
            Lost::Unreadable => DefinedCondition::NotWellFormed,
            Lost::TooLarge { .. } => DefinedCondition::PolicyViolation,
            _ => return None,
        };
        self.say_last(&StreamError::new(condition, "en", why.to_string()), cx);
        None
    }

    /// Sends a stream error if it can be sent at once.
    fn say_last(&mut self, error: &StreamError, cx: &mut Context<'_>) {
        if let Poll::Ready(Ok(())) = self.stream.poll_ready(cx)
            && let Ok(text) = written(error)
        {
            self.stream.write(&text);
            let _ = self.stream.poll_flush(cx);
        }
    }

    /// Closes a stream that the server has closed (RFC 6120, section 4.4), as far as that is possible at once.
    fn close_too(&mut self, cx: &mut Context<'_>) {
        let _ = self.stream.poll_shutdown(cx);
    }

    /// Ends the stream over an impossible acknowledgement.
    fn protest(&mut self, miscounted: Miscounted, cx: &mut Context<'_>) -> Option<Arrived> {
        let Miscounted { handled, sent } = miscounted;
        tracing::warn!(handled, sent, "the server acknowledged what was never sent");
        self.say_last(&StreamError::from(HandledCountTooHigh { h: handled, send_count: sent }), cx);
        self.ending.note(Lost::Miscounted);
        None
    }

    /// Writes queued stanzas, waits until the server has acknowledged them, and ends without closing the stream, so
    /// that the session can be resumed. Stanzas that arrive meanwhile are not counted: the server sends them again.
    /// Returns false on failure.
    pub(super) async fn leave(mut self, queue: &mut Queue, sm: &mut Option<StreamManagement>) -> bool {
        self.acks.hurry(false);
        poll_fn(|cx| {
            loop {
                let written = self.poll_write(queue, sm, cx);
                let is_settled = sm.as_ref().is_some_and(StreamManagement::is_settled);
                match written {
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Ready(Ok(())) if queue.is_empty() && is_settled => return Poll::Ready(true),
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
                match ready!(self.stream.poll_next(cx)) {
                    Some(Ok(Came::Handled(Handled::Told(h)))) => {
                        self.asked = None;
                        if sm.as_mut().is_none_or(|sm| sm.acknowledge(h).is_err()) {
                            return Poll::Ready(false);
                        }
                    }
                    Some(Ok(Came::Handled(Handled::Asked))) => {
                        self.acks.requested(Instant::now());
                    }
                    Some(Ok(Came::Stanza(_) | Came::Unread) | Err(ReadError::SoftTimeout)) => {}
                    Some(Ok(_) | Err(_)) | None => return Poll::Ready(false),
                }
            }
        })
        .await
    }

    /// Writes queued stanzas, sends a final acknowledgement (XEP-0198, section 4), closes the stream, and waits for the
    /// server to close it too.
    pub(super) async fn close(mut self, queue: &mut Queue, sm: &mut Option<StreamManagement>) {
        self.acks.hurry(sm.is_some());
        if let Some(sm) = sm {
            sm.end();
        }
        let written = poll_fn(|cx| self.poll_write(queue, sm, cx)).await;
        if written.is_err() || poll_fn(|cx| self.stream.poll_shutdown(cx)).await.is_err() {
            return;
        }
        while let Some(Ok(_) | Err(ReadError::SoftTimeout | ReadError::ParseError(_))) =
            poll_fn(|cx| self.stream.poll_next(cx)).await
        {}
        // Lets TLS send its closure alert, if the peer is still there.
        let _ = poll_fn(|cx| self.stream.poll_shutdown(cx)).await;
    }
}

fn signs(ending: &Ending, writes: bool) -> Signs {
    Signs { pieces: ending.pieces(), written: ending.written(), writes, arriving: ending.arriving() }
}

fn count(sm: &mut Option<StreamManagement>) {
    if let Some(sm) = sm {
        sm.count();
    }
}
