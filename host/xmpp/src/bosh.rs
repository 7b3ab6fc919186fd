//! XMPP over BOSH (XEP-0124, XEP-0206), as a transport that looks like TCP to the layers above.
//!
//! A session is a series of requests with consecutive numbers. The server holds one of them back until it has something
//! to send. If this end has something to send, it makes a second request, and the server answers the first. A request
//! whose connection breaks is repeated under its number. The server recognises it and repeats its answer, so a session
//! outlives its connections, and nothing is lost or duplicated. A session ends for good after a silence longer than the
//! server permits.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parlor_config::LinkSettings;
use parlor_config::url::Url;
use parlor_stanza::sieve::lost::Lost;
use parlor_stanza::sieve::{Cutter, Sieve};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use xmpp_parsers::ns;

use self::body::{Saying, Terms, creation, request};
use self::exchange::{Answered, Connection, GAP, Line};
use self::under_way::{Late, PROMPT, UnderWay};
use super::error::ConnectError;
use super::failure::ended;
use super::framing::{Written, written};
use super::intake::{Ending, read_buffered};
use super::keepalive::PROBE_PREFIX;

mod body;
mod exchange;
mod tokens;
mod under_way;

pub use tokens::Tokens;

/// The bytes of one request, unless a single element is longer.
const MOST_AT_ONCE: usize = 64 << 10;
/// The bytes that may wait to be sent; further elements wait with their sender.
const MOST_WAITING: usize = 256 << 10;
/// The number of unread bytes at which nothing more is requested from the server.
const MOST_UNREAD: usize = 1 << 20;
/// The range of a session's first request number: random, with room for all that follow (XEP-0124, section 14).
const RIDS: Range<u64> = (1 << 16)..(1 << 48);

/// A session, from its first request to its end.
pub(super) struct Bosh {
    line: Arc<Line>,
    /// The domain of the server.
    domain: String,
    sid: String,
    terms: Terms,
    tokens: Tokens,
    /// The number of the next request.
    rid: u64,
    /// Requests whose answers were not processed yet, oldest first: answers are processed in this order.
    under_way: VecDeque<UnderWay>,
    idle: Vec<Connection>,
    /// The earliest time for the next empty request.
    pause: Option<Pin<Box<Sleep>>>,
    /// When the newest request was written, once it is.
    written: Option<watch::Receiver<Option<Instant>>>,
    /// Splits written data into elements.
    cutter: Cutter,
    waiting: VecDeque<Saying>,
    /// Whether the stream header was written; another one restarts the stream.
    has_begun: bool,
    /// Whether this end has sent the end of the session.
    is_closing: bool,
    over: bool,
    /// The received data, as it would arrive over TCP, and how much of it was read.
    ready: Vec<u8>,
    taken: usize,
}

/// Begins a session with the server of this domain, at this address. `ending` notes when data arrives.
pub(super) async fn open(
    settings: &LinkSettings,
    url: &Url,
    domain: &str,
    tokens: &Tokens,
    ending: &Ending,
) -> Result<Bosh, ConnectError> {
    let line = Arc::new(Line { settings: settings.clone(), url: url.clone(), ending: ending.clone() });
    let rid = rand::random_range(RIDS);
    let written = Arc::new(watch::Sender::new(None));
    let asked = Arc::clone(&line).ask(None, creation(rid, domain).into(), None, written).await;
    let Answered { answer, connection } = asked.map_err(|failure| failure.error)?;
    if answer.terminates() {
        // The payload says more than the condition, which then only says that there is an error in the payload.
        if let Some(Lost::Stream { condition, text, elsewhere }) = said_last(&answer.elements()) {
            return Err(ended(&condition, text, elsewhere, domain));
        }
        return Err(match answer.condition().unwrap_or("it gives no reason") {
            // Prosody sends the last one for domains that it does not know.
            "host-unknown" | "host-gone" | "improper-addressing" => {
                ConnectError::HostUnknown { domain: domain.to_owned() }
            }
            condition @ ("policy-violation" | "system-shutdown" | "internal-server-error") => {
                ConnectError::Stream { condition: condition.to_owned(), text: None }
            }
            condition => {
                let cause = answer.moved().unwrap_or_else(|| format!("it begins no session: {condition}"));
                line.failure(&cause, false).error
            }
        });
    }
    let Some(sid) = answer.sid() else { return Err(line.failure("its answer names no session", false).error) };
    let sid = sid.to_owned();
    let mut bosh = Bosh::new(line, domain, sid, rid + 1, answer.terms(), tokens);
    bosh.idle.extend(connection);
    bosh.ready.extend_from_slice(answer.elements().as_bytes());
    Ok(bosh)
}

/// Returns the error with which the server ends the stream, if the payload contains one.
fn said_last(payload: &str) -> Option<Lost> {
    let mut sieve = Sieve::default();
    sieve.push(format!("<stream:stream>{payload}").as_bytes(), &mut Vec::new()).ok()?;
    sieve.farewell()
}

/// Returns whether a text is an answer, after reading all of it.
#[cfg(any(test, feature = "test-support"))]
pub(super) fn is_answer(text: &str) -> bool {
    let Ok(answer) = body::Answer::read(text) else { return false };
    let Terms { wait, inactivity, polling, .. } = answer.terms();
    assert!(wait.max(inactivity).max(polling) <= std::time::Duration::from_mins(5), "{answer:?}");
    assert!(answer.payload.len() <= text.len(), "{answer:?}");
    drop((said_last(&answer.elements()), answer.farewell()));
    true
}

/// Attaches to the session with this id, whose next request has this number. Returns `None` if the server does not know
/// it.
pub(super) async fn attach(
    settings: &LinkSettings,
    url: &Url,
    domain: &str,
    (sid, rid): (&str, u64),
    tokens: &Tokens,
    ending: &Ending,
) -> Result<Option<Bosh>, ConnectError> {
    let line = Arc::new(Line { settings: settings.clone(), url: url.clone(), ending: ending.clone() });
    let mut bosh = Bosh::new(Arc::clone(&line), domain, sid.to_owned(), rid, Terms::default(), tokens);
    // The session is bound already, so no features are needed.
    bosh.ready.extend_from_slice(b"<stream:features/>");
    // The ping gives the server something to answer, so that it need not hold the request back.
    let ping = format!(
        "<iq xmlns='{}' type='get' id='{PROBE_PREFIX}attach'><ping xmlns='urn:xmpp:ping'/></iq>",
        ns::JABBER_CLIENT
    );
    bosh.waiting.push_back(Saying::Elements(ping));
    let before = bosh.ready.len();
    let heard = poll_fn(|cx| {
        let driven = bosh.drive(cx);
        if driven.is_ok() && !bosh.over && bosh.ready.len() == before { Poll::Pending } else { Poll::Ready(driven) }
    });
    // If another program made a request a moment ago, the server may answer that one and hold this one back.
    if let Ok(Err(error)) = timeout(PROMPT, heard).await {
        return Err(line.failure(&error.to_string(), false).error);
    }
    Ok(Some(bosh).filter(|bosh| !bosh.over))
}

impl Bosh {
    fn new(line: Arc<Line>, domain: &str, sid: String, rid: u64, terms: Terms, tokens: &Tokens) -> Self {
        tokens.set(&sid, rid);
        let mut bosh = Self {
            line,
            domain: domain.to_owned(),
            sid,
            terms,
            tokens: tokens.clone(),
            rid,
            under_way: VecDeque::new(),
            idle: Vec::new(),
            pause: None,
            written: None,
            cutter: Cutter::default(),
            waiting: VecDeque::new(),
            has_begun: false,
            is_closing: false,
            over: false,
            ready: Vec::new(),
            taken: 0,
        };
        bosh.say_header();
        bosh
    }

    /// Adds the stream header that a server would send first over TCP.
    fn say_header(&mut self) {
        let header = format!(
            "<stream:stream xmlns='{}' xmlns:stream='{}' from='{}' version='1.0'>",
            ns::JABBER_CLIENT,
            ns::STREAM,
            body::escaped(&self.domain)
        );
        self.ready.extend_from_slice(header.as_bytes());
    }

    /// Accepts written data.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut all = Vec::new();
        let cut = self.cutter.cut(bytes, |element| match written(element) {
            Some(Written::Element(element)) => all.push(Saying::Elements(element)),
            Some(Written::Begin(_)) => all.push(Saying::Restart),
            Some(Written::End) => all.push(Saying::Terminate),
            None => {}
        });
        cut.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why.to_string()))?;
        for saying in all {
            match (saying, self.waiting.back_mut()) {
                // The session request itself stands for the first header.
                (Saying::Restart, _) if !std::mem::replace(&mut self.has_begun, true) => {}
                (Saying::Restart, _) => {
                    self.say_header();
                    self.waiting.push_back(Saying::Restart);
                }
                (Saying::Elements(more), Some(Saying::Elements(last))) if last.len() + more.len() <= MOST_AT_ONCE => {
                    last.push_str(&more);
                }
                (saying, _) => self.waiting.push_back(saying),
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        let lengths = self.waiting.iter().map(|saying| match saying {
            Saying::Elements(elements) => elements.len(),
            Saying::Restart | Saying::Terminate => 0,
        });
        lengths.sum::<usize>() >= MOST_WAITING
    }

    /// Makes requests and processes answers as far as possible without waiting.
    fn drive(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            let mut late = None;
            for at in 0..self.under_way.len() {
                match self.under_way[at].poll(&self.line, &self.terms, cx) {
                    Ok(()) => {}
                    // The answer to the last request of a session is not needed.
                    Err(_) if self.is_closing => {
                        self.end("</stream:stream>");
                        return Ok(());
                    }
                    Err(Late::Failed(error)) => {
                        self.end("");
                        return Err(io::Error::other(error.to_string()));
                    }
                    Err(Late::Broken) => {
                        late = Some(at..at + 1);
                        break;
                    }
                    Err(Late::Unheard) => {
                        late = Some(0..at + 1);
                        break;
                    }
                    Err(Late::Silent) => {
                        // If one connection is dead, the others are as well, and the server may be waiting for a
                        // request that never reached it.
                        self.idle.clear();
                        for asked in &mut self.under_way {
                            asked.silences = asked.silences.saturating_add(1);
                        }
                        late = Some(0..self.under_way.len());
                        break;
                    }
                }
            }
            if let Some(late) = late {
                self.again(late);
                continue;
            }
            if self.under_way.front().is_some_and(|asked| asked.answered.is_some()) {
                self.take_in();
            } else if !self.ask_next(cx) {
                return Ok(());
            }
        }
    }

    /// Repeats requests.
    ///
    /// Prosody 0.12 keeps a request that has overtaken the one before it until that arrives. If the connection of the
    /// later request has broken by then, Prosody still answers into that connection, and so with all that follows:
    /// nothing arrives any more. So the later request is repeated first, on a live connection that replaces the broken
    /// one.
    fn again(&mut self, late: Range<usize>) {
        let (line, terms) = (&self.line, &self.terms);
        match self.under_way.make_contiguous() {
            [first, second] if late.start == 0 && terms.is_late_first && second.answered.is_none() => {
                second.again(None, line, terms);
                first.again(Some(second.written.subscribe()), line, terms);
            }
            all => {
                for asked in &mut all[late] {
                    asked.again(asked.before.clone(), line, terms);
                }
            }
        }
    }

    /// Processes the oldest answer.
    fn take_in(&mut self) {
        let Some(UnderWay { is_empty, began, times, answered: Some(answered), .. }) = self.under_way.pop_front() else {
            return;
        };
        let Answered { answer, connection } = answered;
        if self.idle.len() < self.terms.requests {
            self.idle.extend(connection);
        }
        // A server forgets a request whose connection broke, and then does not recognise its repetition. It had nothing
        // to send in answer, or it would repeat that: Prosody 0.12 repeats its answers to the last two requests. If the
        // session is over, the answer to the newest request says so, too.
        if times > 1 && answer.condition() == Some("item-not-found") && !self.under_way.is_empty() {
            return;
        }
        // The session ended over another request, which gets the reason (XEP-0124, section 17.2).
        if answer.condition() == Some("other-request") && !self.under_way.is_empty() && !self.is_closing {
            return;
        }
        self.ready.extend_from_slice(answer.elements().as_bytes());
        let is_last = self.is_closing && self.under_way.is_empty() && self.waiting.is_empty();
        if answer.terminates() || is_last {
            self.end(&answer.farewell());
        } else if answer.payload.is_empty() {
            // Shows that the server is alive. Over TCP, a space is the shortest sign of that.
            self.ready.push(b' ');
        }
        if self.under_way.is_empty() {
            let said_nothing = is_empty && answer.payload.is_empty();
            let after = if said_nothing { began + self.terms.polling } else { began };
            self.pause = Some(Box::pin(sleep_until(after.max(Instant::now() + GAP))));
        }
    }

    fn end(&mut self, farewell: &str) {
        self.over = true;
        self.ready.extend_from_slice(farewell.as_bytes());
        self.under_way.clear();
        self.waiting.clear();
        self.tokens.forget(&self.sid);
    }

    /// Returns whether an empty request may be made while one with data is unanswered. The server then has no reason to
    /// hold the earlier one back; if that stays unanswered, it never reached the server.
    fn may_ask_after(&self) -> bool {
        self.terms.hold > 0 && self.under_way.len() == 1 && self.under_way.iter().all(|asked| !asked.is_empty)
    }

    /// Makes the next request, if there is data to send or to wait for. Returns whether one was made.
    fn ask_next(&mut self, cx: &mut Context<'_>) -> bool {
        if self.over || self.under_way.len() >= self.terms.requests || self.ready.len() - self.taken >= MOST_UNREAD {
            return false;
        }
        let saying = match self.waiting.pop_front() {
            Some(saying) => saying,
            None if self.is_closing || !(self.under_way.is_empty() || self.may_ask_after()) => return false,
            None => {
                if self.pause.as_mut().is_some_and(|pause| pause.as_mut().poll(cx).is_pending()) {
                    return false;
                }
                Saying::Elements(String::new())
            }
        };
        self.is_closing |= saying == Saying::Terminate;
        let is_empty = matches!(&saying, Saying::Elements(elements) if elements.is_empty());
        self.pause = (!is_empty).then(|| Box::pin(sleep(PROMPT)));
        let body: Arc<str> = request(&self.sid, self.rid, &self.domain, &saying).into();
        let connection = self.idle.pop();
        let is_due = self.terms.hold == 0 || self.is_closing;
        let (written, receiver) = watch::channel(None);
        let before = self.written.replace(receiver);
        let made = UnderWay::make((body, is_empty), is_due, connection, (written, before), &self.line, &self.terms);
        self.under_way.push_back(made);
        self.rid += 1;
        self.tokens.set(&self.sid, self.rid);
        // The server only holds the newest requests back.
        let due = self.under_way.len().saturating_sub(self.terms.hold);
        for asked in self.under_way.iter_mut().take(due) {
            asked.hurry();
        }
        true
    }
}

impl AsyncRead for Bosh {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        read_buffered(self, cx, buf)
    }
}

impl AsyncBufRead for Bosh {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.taken == this.ready.len() {
            this.ready.clear();
            this.taken = 0;
            if !this.over {
                this.drive(cx)?;
                if this.ready.is_empty() && !this.over {
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(&this.ready[this.taken..]))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.taken = self.ready.len().min(self.taken + amount);
    }
}

impl AsyncWrite for Bosh {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_full() {
            this.drive(cx)?;
        }
        if this.over {
            // The server's last data must be read first: it gives the reason.
            let is_read = this.taken == this.ready.len();
            return Poll::Ready(if is_read { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(buf.len()) });
        }
        if this.is_full() {
            return Poll::Pending;
        }
        this.write(buf)?;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.drive(cx)?;
        if this.waiting.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Bosh {
    fn drop(&mut self) {
        self.tokens.forget(&self.sid);
    }
}

#[cfg(test)]
mod tests;
