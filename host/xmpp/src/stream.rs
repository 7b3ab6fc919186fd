//! A stream whose session has begun: reads its elements, and writes text.
//!
//! The library reads everything up to then. From then on nearly all elements are messages and acknowledgements in
//! simple XML, and these are read here at a fraction of the cost. All other elements are read by the library's types.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parlor_stanza::decode::{Addresses, Arrived, PlainMessage};
use parlor_stanza::plain::{Handled, PlainElement};
use parlor_stanza::stream::{Read, StreamReader, declares_stanzas};
use tokio::io::AsyncWrite as _;
use tokio::time::{Instant, Sleep};
use tokio_xmpp::xmlstream::{FallibleStreamElement, ReadError, StreamElementError, Timeouts, XmppStreamElement};
use xmpp_parsers::sm::{A, Nonza as Sm, R};

use super::connect::{Established, Transport};
use super::intake::Found;

/// The number of bytes that wait to be written at which no more is taken.
const FULL: usize = 2 << 10;
/// The capacity up to which the buffer for writing is kept: a stanza behind what may wait. Longer ones are rare, such as own keys.
const KEEP: usize = 4 << 10;
/// How long nothing must come until the stream is at rest, and its buffers give back their memory. Most accounts of a host with many are
/// at rest nearly all the time.
const REST: Duration = Duration::from_secs(2);
/// The header behind which the elements of a component's stream are read: its namespace stands for that of clients
/// (XEP-0114), and is declared nowhere else.
const AS_A_CLIENT: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
/// The footer of a stream.
const FOOTER: &str = "</stream:stream>";

/// A stream whose session has begun.
pub(super) struct Stanzas {
    io: Transport,
    /// Reads elements in other XML.
    reader: Reader,
    /// The header behind which these are read, if it is not the one that came.
    header: Option<&'static str>,
    /// The language of the stream.
    lang: Option<Arc<str>>,
    addresses: Addresses,
    /// Whether stanzas are written without a prefix.
    is_usual: bool,
    /// Whether the server has closed the stream.
    is_closed: bool,
    /// The text that the library has read and that is not taken yet.
    rest: Vec<u8>,
    silence: Silence,
    /// The text that waits to be written, and how much of it was.
    out: Vec<u8>,
    written: usize,
    /// Whether this end has closed the stream.
    is_ended: bool,
}

/// Reads elements in other XML than the simplest.
enum Reader {
    /// None have come since the stream was last at rest: the library's parser takes 8 KiB once it has read something.
    Resting,
    Reading(Box<StreamReader>),
    /// Nothing can be read any more, after an error.
    Broken,
}

impl Reader {
    /// Begins behind this header.
    fn behind(header: &[u8]) -> Self {
        StreamReader::behind(header).map_or(Self::Broken, |reader| Self::Reading(Box::new(reader)))
    }

    /// Returns the language of the stream.
    fn lang(&self) -> Option<&str> {
        if let Self::Reading(reader) = self { reader.lang() } else { None }
    }
}

/// A received element.
pub(super) enum Came {
    /// A stanza.
    Stanza(Arrived),
    /// A stanza that the library does not read.
    Unread,
    /// The server's count of handled stanzas, or its request for ours (XEP-0198).
    Handled(Handled),
    /// A stream error.
    Error,
    /// An element that has no place here, or is not valid.
    Unexpected,
}

impl From<FallibleStreamElement> for Came {
    fn from(element: FallibleStreamElement) -> Self {
        match element {
            FallibleStreamElement::Ok(XmppStreamElement::Stanza(stanza)) => {
                Self::Stanza(Arrived::Read(Box::new(stanza)))
            }
            FallibleStreamElement::Ok(XmppStreamElement::SM(Sm::Ack(A { h }))) => Self::Handled(Handled::Told(h)),
            FallibleStreamElement::Ok(XmppStreamElement::SM(Sm::Req(R))) => Self::Handled(Handled::Asked),
            FallibleStreamElement::Ok(XmppStreamElement::StreamError(_)) => Self::Error,
            FallibleStreamElement::Err(StreamElementError::InvalidStanza { .. }) => Self::Unread,
            FallibleStreamElement::Ok(_) | FallibleStreamElement::Err(StreamElementError::InvalidNonza { .. }) => {
                Self::Unexpected
            }
        }
    }
}

impl Stanzas {
    /// Takes over a stream on which no element is being read. Must be called within a runtime.
    pub(super) fn of(stream: Established) -> Self {
        let (io, header) = match stream {
            Established::Client(stream) => (stream.into_inner(), None),
            Established::Component(io) => (io, Some(AS_A_CLIENT)),
        };
        let shown = header.map_or_else(|| io.header(), str::as_bytes);
        let (reader, is_usual) = (Reader::behind(shown), declares_stanzas(shown));
        Self {
            lang: reader.lang().map(Arc::from),
            addresses: Addresses::default(),
            is_usual,
            silence: Silence::new(io.timeouts()),
            io,
            reader,
            header,
            is_closed: false,
            rest: Vec::new(),
            out: Vec::new(),
            written: 0,
            is_ended: false,
        }
    }

    /// Returns the next element; `None` at the end of the connection.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Came, ReadError>>> {
        loop {
            if !self.rest.is_empty() {
                match self.read_rest() {
                    Some(read) => return Poll::Ready(Some(read)),
                    None => continue,
                }
            }
            let (is_usual, lang, addresses) = (self.is_usual, self.lang.as_ref(), &mut self.addresses);
            let found =
                self.io.poll_element(cx, |element| if is_usual { plain(element, lang, addresses) } else { None });
            match found {
                Poll::Ready(Ok(Found::Plain(came))) => {
                    self.silence.ends();
                    return Poll::Ready(Some(Ok(came)));
                }
                Poll::Ready(Ok(Found::Bytes)) => {
                    self.silence.ends();
                    self.rest.extend_from_slice(self.io.bytes());
                }
                Poll::Ready(Ok(Found::End)) => return Poll::Ready(None),
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(ReadError::HardError(error)))),
                Poll::Pending if self.is_closed => return Poll::Pending,
                Poll::Pending => match ready!(self.silence.poll(cx)) {
                    Due::Rest => self.give_back(),
                    Due::Report(error) => return Poll::Ready(Some(Err(error))),
                },
            }
        }
    }

    /// Frees the memory of the buffers in which nothing waits. They get it again with what comes next.
    fn give_back(&mut self) {
        self.io.give_back();
        if self.rest.is_empty() {
            self.rest = Vec::new();
            if let Reader::Reading(_) = self.reader {
                self.reader = Reader::Resting;
            }
        }
        if self.out.is_empty() {
            self.out = Vec::new();
        }
    }

    /// Reads one element of the rest by the library; `None` if there is only white space in it, or the element is not
    /// known.
    fn read_rest(&mut self) -> Option<Result<Came, ReadError>> {
        if let Reader::Resting = self.reader {
            self.reader = Reader::behind(self.header.map_or_else(|| self.io.header(), str::as_bytes));
        }
        let mut bytes = self.rest.as_slice();
        let read = match &mut self.reader {
            Reader::Reading(reader) => reader.read::<FallibleStreamElement>(&mut bytes),
            Reader::Resting | Reader::Broken => Err(io::ErrorKind::InvalidData.into()),
        };
        let taken = self.rest.len() - bytes.len();
        self.rest.drain(..taken);
        match read {
            Ok(Read::Element(Ok(element))) => Some(Ok(Came::from(element))),
            Ok(Read::Element(Err(error))) => Some(Err(ReadError::ParseError(error))),
            Ok(Read::Footer) => {
                self.is_closed = true;
                Some(Err(ReadError::StreamFooterReceived))
            }
            // It is no stanza, so it does not count (XEP-0198, section 4).
            Ok(Read::Foreign) => {
                tracing::debug!("the server sent an element that is not known, which was skipped");
                None
            }
            Ok(Read::Nothing) => None,
            Err(error) => {
                (self.reader, self.is_usual) = (Reader::Broken, false);
                Some(Err(ReadError::HardError(error)))
            }
        }
    }

    /// Takes text to be written. [`Stanzas::poll_ready`] must have been ready.
    pub(super) fn write(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Waits until there is room for more text.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_ended {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        if self.out.len() - self.written < FULL {
            return Poll::Ready(Ok(()));
        }
        self.poll_written(cx)
    }

    /// Writes the text that waits.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.out[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                amount => self.written += amount,
            }
        }
        self.out.clear();
        self.out.shrink_to(KEEP);
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Writes the text that waits, and lets the connection send it.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_written(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Closes the stream, and this end of the connection.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_ended {
            self.is_ended = true;
            self.write(FOOTER);
        }
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Takes a message or an element of stream management (XEP-0198) in simple XML.
fn plain(element: PlainElement, lang: Option<&Arc<str>>, addresses: &mut Addresses) -> Option<Came> {
    if let Some(handled) = element.handled() {
        return Some(Came::Handled(handled));
    }
    PlainMessage::of(element, lang, addresses).map(|message| Came::Stanza(Arrived::Plain(message)))
}

/// How long the stream is silent. It comes to rest first. After the time that it may be silent, the server is asked for a sign of life,
/// and has as long to answer as the timeouts say.
struct Silence {
    timeouts: Timeouts,
    since: Instant,
    next: Level,
    timer: Pin<Box<Sleep>>,
}

/// The action when the timer fires.
#[derive(Clone, Copy)]
enum Level {
    Rest,
    Ask,
    /// Half of the time for the answer is over.
    Wait,
    GiveUp,
}

/// What is due after a silence.
enum Due {
    /// The stream is at rest.
    Rest,
    /// The silence is too long.
    Report(ReadError),
}

impl Silence {
    fn new(timeouts: Timeouts) -> Self {
        let timer = Box::pin(tokio::time::sleep(rest(timeouts)));
        Self { timeouts, since: Instant::now(), next: Level::Rest, timer }
    }

    /// Notes that data was received. The timer is reset only when it fires, and with the first data after a rest.
    fn ends(&mut self) {
        self.since = Instant::now();
        if !matches!(self.next, Level::Rest) {
            self.next = Level::Rest;
            self.timer.as_mut().reset(self.since + rest(self.timeouts));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            let half = self.timeouts.response_timeout / 2;
            let (rests, asks) = (self.since + rest(self.timeouts), self.since + self.timeouts.read_timeout);
            let (next, at, due) = match self.next {
                Level::Rest if now < rests => (Level::Rest, rests, None),
                Level::Rest => (Level::Ask, asks, Some(Due::Rest)),
                Level::Ask if now < asks => (Level::Ask, asks, None),
                Level::Ask => (Level::Wait, now + half, Some(Due::Report(ReadError::SoftTimeout))),
                Level::Wait => (Level::GiveUp, now + half, None),
                Level::GiveUp => {
                    let error = io::Error::new(io::ErrorKind::TimedOut, "read and response timeouts elapsed");
                    (Level::GiveUp, now + Duration::from_secs(1), Some(Due::Report(ReadError::HardError(error))))
                }
            };
            self.next = next;
            self.timer.as_mut().reset(at);
            if let Some(due) = due {
                return Poll::Ready(due);
            }
        }
    }
}

/// Returns the silence after which a stream is at rest.
fn rest(timeouts: Timeouts) -> Duration {
    REST.min(timeouts.read_timeout)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt as _, BufStream, DuplexStream};
    use tokio::time::timeout;
    use tokio_xmpp::connect::AsyncReadAndWrite;

    use super::*;
    use crate::intake::{Ending, Intake};

    /// Returns a stream whose header has come, and the server's end.
    async fn begun() -> (Stanzas, DuplexStream) {
        let (near, mut server) = tokio::io::duplex(4 << 10);
        let timeouts = Timeouts { read_timeout: Duration::from_mins(1), response_timeout: Duration::from_secs(30) };
        let near: Box<dyn AsyncReadAndWrite> = Box::new(BufStream::new(near));
        let mut io: Transport = Box::new(Intake::new(near, Ending::default(), timeouts));
        server.write_all(AS_A_CLIENT.as_bytes()).await.unwrap();
        assert!(matches!(poll_fn(|cx| io.poll_element(cx, |_| None::<()>)).await, Ok(Found::Bytes)));
        assert_eq!(io.bytes(), AS_A_CLIENT.as_bytes());
        (Stanzas::of(Established::Component(io)), server)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_at_rest_keeps_no_buffers_and_reads_what_comes_then() {
        let (mut stanzas, mut server) = begun().await;
        for id in ["one", "two"] {
            let iq = format!("<iq type='result' id='{id}' from='juliet@example.org' to='bots.example.org'/>");
            server.write_all(iq.as_bytes()).await.unwrap();
            let came = poll_fn(|cx| stanzas.poll_next(cx)).await;
            assert!(matches!(came, Some(Ok(Came::Stanza(_)))), "{id}");
            stanzas.write(&iq);
            poll_fn(|cx| stanzas.poll_flush(cx)).await.unwrap();
            assert!(matches!(stanzas.reader, Reader::Reading(_)) && stanzas.rest.capacity() > 0);
            assert!(stanzas.out.capacity() > 0);
            assert!(timeout(REST * 2, poll_fn(|cx| stanzas.poll_next(cx))).await.is_err(), "{id}");
            assert!(matches!(stanzas.reader, Reader::Resting));
            assert_eq!((stanzas.rest.capacity(), stanzas.out.capacity()), (0, 0));
        }
        let came = poll_fn(|cx| stanzas.poll_next(cx)).await;
        assert!(matches!(came, Some(Err(ReadError::SoftTimeout))), "it is asked for a sign of life all the same");
    }

    /// Its prefix is declared by the header of the stream alone.
    #[tokio::test(start_paused = true)]
    async fn an_element_of_which_half_has_come_when_the_stream_is_at_rest_is_read_with_its_other_half() {
        let (mut stanzas, mut server) = begun().await;
        server.write_all(b"<stream:err").await.unwrap();
        assert!(timeout(REST * 2, poll_fn(|cx| stanzas.poll_next(cx))).await.is_err());
        assert!(matches!(stanzas.reader, Reader::Resting));
        server.write_all(b"or><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>").await.unwrap();
        let came = poll_fn(|cx| stanzas.poll_next(cx)).await;
        assert!(matches!(came, Some(Ok(Came::Error))));
    }
}
