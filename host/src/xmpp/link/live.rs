//! One connection while it lives: stanzas out of the queue and up to the link, and the counting of both (XEP-0198).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Sink, SinkExt, Stream, StreamExt as _};
use tokio::time::{Instant, Sleep};
use tokio_xmpp::xmlstream::{FallibleStreamElement, ReadError, StreamElementError, XmppStream, XmppStreamElement};
use xmpp_parsers::csi::{Active, Inactive};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ping::Ping;
use xmpp_parsers::sm::{A, HandledCountTooHigh, Nonza as Sm, R};
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stream_error::{DefinedCondition, StreamError};

use super::ledger::{Ledger, Miscounted};
use super::queue::Queue;
use super::{ACK_LIMIT, ClientState, QUEUE, RESPONSE_LIMIT};
use crate::error::io_words;
use crate::xmpp::connect::Transport;
use crate::xmpp::intake::{Ending, Lost};

/// Ids of this link's own pings, whose answers nobody awaits: that something comes is all.
pub(in crate::xmpp) const PROBE_PREFIX: &str = "parlor-alive-";

/// A connection that is bound or resumed.
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that is owed, independent of the others")]
pub(super) struct Live {
    stream: XmppStream<Transport>,
    ending: Ending,
    /// How many acknowledgements the server has asked for and not got.
    acks_due: u32,
    /// Stanzas were written since the server was last asked what it has taken in.
    unasked: bool,
    /// Since when it owes an answer; none = it has answered.
    asked: Option<Asked>,
    /// It has acknowledged something on this connection, or all that there was.
    acknowledged: bool,
    /// Looks at `asked` now and then.
    patience: Pin<Box<Sleep>>,
    /// There was silence for long enough to ask whether anybody is there.
    silent: bool,
    /// What the server is to be told about whether somebody looks (XEP-0352).
    state: Option<ClientState>,
    /// Something was written that may not be on the wire.
    unflushed: bool,
    /// The owner wants another connection.
    left: bool,
}

/// When the server was asked what it has taken in.
struct Asked {
    first: Instant,
    /// When it was looked last whether anything came since.
    checked: Instant,
    /// How often something had come by then.
    pieces: u64,
    /// How many bytes had gone out.
    written: u64,
}

/// What is seen of a connection.
#[derive(Debug, Clone, Copy)]
struct Signs {
    /// How often something has come.
    pieces: u64,
    /// How many bytes have gone out.
    written: u64,
    /// More is to go out.
    writes: bool,
}

impl Asked {
    fn now(ending: &Ending) -> Self {
        let now = Instant::now();
        Self { first: now, checked: now, pieces: ending.pieces(), written: ending.written() }
    }

    /// What came up to now counts no longer. Who was asked before has as long as anybody.
    fn once_more(&mut self, now: Instant, pieces: u64, written: u64) {
        *self = Self { first: self.first, checked: now, pieces, written };
    }

    /// Looks at the connection. Gives when to look again, or why it is left: the server said nothing at all for too long, or no end
    /// of other things. An acknowledgement may be late behind much else, such as a large stanza on a slow line, but not for ever.
    /// While the line still takes what is being written, the question may not even be out.
    fn look(&mut self, now: Instant, signs: Signs) -> Result<Instant, Lost> {
        let has_come = signs.pieces != self.pieces;
        let goes_out = signs.writes && signs.written != self.written;
        let last = self.first + ACK_LIMIT;
        if now >= last && !goes_out {
            return Err(if has_come { Lost::Deaf } else { Lost::TimedOut });
        }
        if now >= self.checked + RESPONSE_LIMIT {
            if !has_come && !goes_out {
                return Err(Lost::TimedOut);
            }
            self.once_more(now, signs.pieces, signs.written);
        }
        let next = self.checked + RESPONSE_LIMIT;
        Ok(if now < last { last.min(next) } else { next })
    }
}

impl Live {
    /// Takes over a connection. Must be called within a runtime.
    pub(super) fn new(stream: XmppStream<Transport>, ending: Ending) -> Self {
        Self {
            stream,
            ending,
            acks_due: 0,
            unasked: false,
            asked: None,
            acknowledged: false,
            patience: Box::pin(tokio::time::sleep(RESPONSE_LIMIT)),
            silent: false,
            state: None,
            unflushed: false,
            left: false,
        }
    }

    /// It is over as soon as what can be written at once is written.
    pub(super) fn is_to_be_left(&mut self) {
        self.left = true;
    }

    /// Asks the server whether it is there, as after a silence. What came before says nothing any more.
    pub(super) fn ask(&mut self) {
        self.silent = true;
        if let Some(asked) = &mut self.asked {
            asked.once_more(Instant::now(), self.ending.pieces(), self.ending.written());
        }
    }

    /// Tells the server with the next that is written.
    pub(super) fn say_state(&mut self, state: ClientState) {
        self.state = Some(state);
    }

    /// Why the connection is over.
    pub(super) fn into_reason(self) -> Lost {
        let Self { stream, ending, .. } = self;
        // The transport says why it went when it goes.
        drop(stream);
        ending.reason().unwrap_or(Lost::Unknown)
    }

    /// Whether the server was asked what it has taken in, and has never said on this connection.
    pub(super) fn is_ignored(&self) -> bool {
        self.asked.is_some() && !self.acknowledged
    }

    /// Whether the server has taken in something on this connection, as far as it says.
    pub(super) fn has_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// Writes what is queued, and gives the next stanza; none = the connection is over.
    pub(super) fn poll(
        &mut self,
        queue: &mut Queue,
        ledger: &mut Option<Ledger>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Stanza>> {
        loop {
            if let Poll::Ready(Err(error)) = self.poll_write(queue, ledger, cx) {
                self.ending.note(Lost::Cut { cause: Some(io_words(&error)) });
                return Poll::Ready(None);
            }
            if self.left {
                self.ending.note(Lost::Moved);
                return Poll::Ready(None);
            }
            if let Some(why) = self.out_of_patience(cx) {
                self.ending.note(why);
                return Poll::Ready(None);
            }
            let item = ready!(Pin::new(&mut self.stream).poll_next(cx));
            // Where nothing is acknowledged, whatever comes is an answer.
            if ledger.is_none() && matches!(item, Some(Ok(_))) {
                self.asked = None;
            }
            match item {
                Some(
                    Ok(FallibleStreamElement::Ok(XmppStreamElement::StreamError(_)))
                    | Err(ReadError::StreamFooterReceived),
                ) => {
                    self.close_too(cx);
                    return Poll::Ready(None);
                }
                None => return Poll::Ready(None),
                Some(Ok(FallibleStreamElement::Ok(XmppStreamElement::Stanza(stanza)))) => {
                    count(ledger);
                    return Poll::Ready(Some(stanza));
                }
                Some(Ok(FallibleStreamElement::Ok(XmppStreamElement::SM(Sm::Ack(A { h }))))) => {
                    self.asked = None;
                    match ledger.as_mut().map(|ledger| (ledger.acknowledge(h), ledger.is_settled())) {
                        Some((Err(miscounted), _)) => return Poll::Ready(self.protest(miscounted, cx)),
                        // To say that nothing has come acknowledges nothing.
                        Some((Ok(0), false)) => {}
                        Some((Ok(_), _)) | None => self.acknowledged = true,
                    }
                }
                Some(Ok(FallibleStreamElement::Ok(XmppStreamElement::SM(Sm::Req(_))))) => {
                    // A server that asks where nothing is managed is owed nothing.
                    if ledger.is_some() {
                        self.acks_due = self.acks_due.saturating_add(1);
                    }
                }
                Some(Ok(FallibleStreamElement::Err(StreamElementError::InvalidStanza { .. }))) => {
                    tracing::debug!("a stanza that the library does not read was dropped");
                    count(ledger);
                }
                Some(Err(ReadError::SoftTimeout)) => self.ask(),
                // An element that does not belong here, or one that is not what it should be.
                Some(
                    Ok(
                        FallibleStreamElement::Ok(_)
                        | FallibleStreamElement::Err(StreamElementError::InvalidNonza { .. }),
                    )
                    | Err(ReadError::ParseError(_)),
                ) => {
                    self.ending.note(Lost::Unreadable);
                    return Poll::Ready(self.complain(cx));
                }
                // The library knows of what is whole alone. How long the rest may take is bounded by the question.
                Some(Err(ReadError::HardError(error)))
                    if error.kind() == io::ErrorKind::TimedOut && self.is_being_told() => {}
                Some(Err(ReadError::HardError(error))) => {
                    if error.kind() == io::ErrorKind::InvalidData {
                        self.ending.note(Lost::Unreadable);
                    }
                    return Poll::Ready(self.complain(cx));
                }
            }
        }
    }

    /// Writes what there is to write, as far as the transport and the server's acknowledgements let it.
    fn poll_write(
        &mut self,
        queue: &mut Queue,
        ledger: &mut Option<Ledger>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(&mut self.stream);
        loop {
            let fits = |next: &Stanza| ledger.as_ref().is_none_or(|ledger| ledger.has_room(next));
            let may_write = queue.front().is_some_and(fits);
            let asks = self.unasked && self.asked.is_none();
            if !may_write && !asks && !self.silent && self.acks_due == 0 && self.state.is_none() {
                break;
            }
            ready!(Sink::<&Stanza>::poll_ready(stream.as_mut(), cx))?;
            self.unflushed = true;
            if let Some(state) = self.state.take() {
                match state {
                    ClientState::Active => stream.as_mut().start_send(&Active)?,
                    ClientState::Inactive => stream.as_mut().start_send(&Inactive)?,
                }
            } else if std::mem::take(&mut self.silent) {
                if ledger.is_some() {
                    stream.as_mut().start_send(&R)?;
                    self.asked.get_or_insert_with(|| Asked::now(&self.ending));
                } else {
                    let id = format!("{PROBE_PREFIX}{:016x}", rand::random::<u64>());
                    stream.as_mut().start_send(&Stanza::Iq(Iq::from_get(id, Ping)))?;
                    self.asked.get_or_insert_with(|| Asked::now(&self.ending));
                }
            } else if may_write && let Some(stanza) = queue.pop_front() {
                match stream.as_mut().start_send(&stanza) {
                    Ok(()) => {
                        if let Some(ledger) = ledger {
                            ledger.wrote(stanza);
                            self.unasked = true;
                        }
                    }
                    // The library has taken back what it wrote of it.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                        tracing::warn!(%error, "a stanza could not be written");
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            } else if asks {
                stream.as_mut().start_send(&R)?;
                self.unasked = false;
                self.asked = Some(Asked::now(&self.ending));
            } else if let Some(ledger) = ledger {
                stream.as_mut().start_send(&A { h: ledger.heard() })?;
                self.acks_due -= 1;
            }
        }
        if queue.is_empty() {
            // After a cut under load there was much more in it than is let in otherwise.
            queue.shrink_to(QUEUE);
        }
        if self.unflushed {
            ready!(Sink::<&Stanza>::poll_flush(stream, cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether something has come of what is not whole yet, and nothing is wrong but that.
    fn is_being_told(&self) -> bool {
        self.ending.reason().is_none() && self.ending.heard().elapsed() < RESPONSE_LIMIT
    }

    /// Why the server is left that was asked what it has taken in.
    fn out_of_patience(&mut self, cx: &mut Context<'_>) -> Option<Lost> {
        let asked = self.asked.as_mut()?;
        while self.patience.as_mut().poll(cx).is_ready() {
            let signs = Signs { pieces: self.ending.pieces(), written: self.ending.written(), writes: self.unflushed };
            match asked.look(Instant::now(), signs) {
                Ok(next) => self.patience.as_mut().reset(next),
                Err(why) => return Some(why),
            }
        }
        None
    }

    /// Ends the stream over what came, if that is why it ends, and says so (RFC 6120, section 4.9.1): the server is not left
    /// with a session that waits for somebody.
    fn complain(&mut self, cx: &mut Context<'_>) -> Option<Stanza> {
        let why = self.ending.reason()?;
        let condition = match &why {
            Lost::Unreadable => DefinedCondition::NotWellFormed,
            Lost::TooLarge { .. } => DefinedCondition::PolicyViolation,
            _ => return None,
        };
        self.say_last(&StreamError::new(condition, "en", why.to_string()), cx);
        None
    }

    /// Says why the stream ends, if that can be said at once.
    fn say_last(&mut self, error: &StreamError, cx: &mut Context<'_>) {
        let mut stream = Pin::new(&mut self.stream);
        if let Poll::Ready(Ok(())) = Sink::<&StreamError>::poll_ready(stream.as_mut(), cx)
            && stream.as_mut().start_send(error).is_ok()
        {
            let _ = Sink::<&StreamError>::poll_flush(stream, cx);
        }
    }

    /// Closes a stream that the server has closed (RFC 6120, section 4.4), as far as that can be done at once.
    fn close_too(&mut self, cx: &mut Context<'_>) {
        let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
    }

    /// Ends the stream over a count that cannot be.
    fn protest(&mut self, miscounted: Miscounted, cx: &mut Context<'_>) -> Option<Stanza> {
        let Miscounted { handled, sent } = miscounted;
        tracing::warn!(handled, sent, "the server acknowledged what was never sent");
        self.say_last(&StreamError::from(HandledCountTooHigh { h: handled, send_count: sent }), cx);
        self.ending.note(Lost::Miscounted);
        None
    }

    /// Writes what is queued, waits until the server has taken it in, and goes without a word, so that the session may be
    /// gone on with. What comes meanwhile is not counted: the server says it once more. False: it did not work out.
    pub(super) async fn leave(mut self, queue: &mut Queue, ledger: &mut Option<Ledger>) -> bool {
        std::future::poll_fn(|cx| {
            loop {
                let written = self.poll_write(queue, ledger, cx);
                let is_settled = ledger.as_ref().is_some_and(Ledger::is_settled);
                match written {
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Ready(Ok(())) if queue.is_empty() && is_settled => return Poll::Ready(true),
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
                match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
                    Some(Ok(FallibleStreamElement::Ok(XmppStreamElement::SM(Sm::Ack(A { h }))))) => {
                        self.asked = None;
                        if ledger.as_mut().is_none_or(|ledger| ledger.acknowledge(h).is_err()) {
                            return Poll::Ready(false);
                        }
                    }
                    Some(Ok(FallibleStreamElement::Ok(XmppStreamElement::SM(Sm::Req(_))))) => {
                        self.acks_due = self.acks_due.saturating_add(1);
                    }
                    Some(
                        Ok(
                            FallibleStreamElement::Ok(XmppStreamElement::Stanza(_))
                            | FallibleStreamElement::Err(StreamElementError::InvalidStanza { .. }),
                        )
                        | Err(ReadError::SoftTimeout),
                    ) => {}
                    Some(Ok(_) | Err(_)) | None => return Poll::Ready(false),
                }
            }
        })
        .await
    }

    /// Writes what is queued, says how much came (XEP-0198, section 4), closes the stream and waits for the server to do the
    /// same.
    pub(super) async fn close(mut self, queue: &mut Queue, ledger: &mut Option<Ledger>) {
        self.acks_due = self.acks_due.max(u32::from(ledger.is_some()));
        if let Some(ledger) = ledger {
            ledger.end();
        }
        let written = std::future::poll_fn(|cx| self.poll_write(queue, ledger, cx)).await;
        if written.is_err() || self.stream.shutdown().await.is_err() {
            return;
        }
        while let Some(Ok(_) | Err(ReadError::SoftTimeout | ReadError::ParseError(_))) = self.stream.next().await {}
        // Lets TLS say its own goodbye, where the other end has not gone.
        let _ = SinkExt::<&Stanza>::close(&mut self.stream).await;
    }
}

fn count(ledger: &mut Option<Ledger>) {
    if let Some(ledger) = ledger {
        ledger.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a server is kept that was asked, with these signs of life at each look.
    fn kept(mut signs: impl FnMut(u32) -> Signs) -> (std::time::Duration, Lost) {
        let first = Instant::now();
        let mut asked = Asked { first, checked: first, pieces: 0, written: 0 };
        let mut now = first + RESPONSE_LIMIT;
        for look in 1..=100 {
            match asked.look(now, signs(look)) {
                Ok(next) => {
                    assert!(next > now, "it looks again and again at once");
                    now = next;
                }
                Err(why) => return (now - first, why),
            }
        }
        (now - first, Lost::Unknown)
    }

    #[test]
    fn a_server_is_left_for_what_it_does_not_say_and_not_for_a_slow_line() {
        let signs = |pieces, written, writes| Signs { pieces, written, writes };
        assert_eq!(kept(|_| signs(0, 0, false)), (RESPONSE_LIMIT, Lost::TimedOut));
        // What the system has taken is not known to have gone out.
        assert_eq!(kept(|_| signs(0, 9, false)), (RESPONSE_LIMIT, Lost::TimedOut));
        assert_eq!(kept(|look| signs(look.into(), 0, false)), (ACK_LIMIT, Lost::Deaf));
        // A line that takes something now and then is no reason, however long that goes on.
        let (time, why) = kept(|look| signs(0, look.into(), true));
        assert_eq!(why, Lost::Unknown);
        assert!(time > 10 * ACK_LIMIT);
        // One that takes nothing more is.
        let (time, why) = kept(|look| signs(0, look.min(8).into(), true));
        assert_eq!((time, why), (9 * RESPONSE_LIMIT, Lost::TimedOut));
    }
}
