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
/// The header behind which the elements of a component's stream are read: its namespace stands for that of clients
/// (XEP-0114), and is declared nowhere else.
const AS_A_CLIENT: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
/// The footer of a stream.
const FOOTER: &str = "</stream:stream>";

/// A stream whose session has begun.
pub(super) struct Stanzas {
    io: Transport,
    /// Reads elements in other XML; `None` after an error, after which nothing can be read.
    reader: Option<StreamReader>,
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
        let (io, reader, is_usual) = match stream {
            Established::Client(stream) => {
                let io = stream.into_inner();
                let (reader, is_usual) = (StreamReader::behind(io.header()), declares_stanzas(io.header()));
                (io, reader, is_usual)
            }
            Established::Component(io) => (io, StreamReader::behind(AS_A_CLIENT.as_bytes()), true),
        };
        Self {
            lang: reader.as_ref().and_then(StreamReader::lang).map(Arc::from),
            addresses: Addresses::default(),
            is_usual,
            silence: Silence::new(io.timeouts()),
            io,
            reader,
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
                Poll::Pending => return self.silence.poll(cx).map(|error| Some(Err(error))),
            }
        }
    }

    /// Reads one element of the rest by the library; `None` if there is only white space in it, or the element is not
    /// known.
    fn read_rest(&mut self) -> Option<Result<Came, ReadError>> {
        let mut bytes = self.rest.as_slice();
        let read = match &mut self.reader {
            Some(reader) => reader.read::<FallibleStreamElement>(&mut bytes),
            None => Err(io::ErrorKind::InvalidData.into()),
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
                (self.reader, self.is_usual) = (None, false);
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

/// How long the stream is silent. After the time that it may be, the server is asked for a sign of life, and has as long to
/// answer as the timeouts say.
struct Silence {
    timeouts: Timeouts,
    since: Instant,
    next: Level,
    timer: Pin<Box<Sleep>>,
}

/// The action when the timer fires.
#[derive(Clone, Copy)]
enum Level {
    Ask,
    /// Half of the time for the answer is over.
    Wait,
    GiveUp,
}

impl Silence {
    fn new(timeouts: Timeouts) -> Self {
        let timer = Box::pin(tokio::time::sleep(timeouts.read_timeout));
        Self { timeouts, since: Instant::now(), next: Level::Ask, timer }
    }

    /// Notes that data was received. The timer is reset only when it fires.
    fn ends(&mut self) {
        self.since = Instant::now();
        self.next = Level::Ask;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ReadError> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            let half = self.timeouts.response_timeout / 2;
            let (next, wait, error) = match self.next {
                Level::Ask if now < self.since + self.timeouts.read_timeout => {
                    self.timer.as_mut().reset(self.since + self.timeouts.read_timeout);
                    continue;
                }
                Level::Ask => (Level::Wait, half, Some(ReadError::SoftTimeout)),
                Level::Wait => (Level::GiveUp, half, None),
                Level::GiveUp => {
                    let error = io::Error::new(io::ErrorKind::TimedOut, "read and response timeouts elapsed");
                    (Level::GiveUp, Duration::from_secs(1), Some(ReadError::HardError(error)))
                }
            };
            self.next = next;
            self.timer.as_mut().reset(now + wait);
            if let Some(error) = error {
                return Poll::Ready(error);
            }
        }
    }
}
