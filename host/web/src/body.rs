//! Bodies in both directions: whole, or as streams with back-pressure.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::task::{Context, Poll};
use std::time::Duration;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder};
use bytes::Bytes;
use futures_util::TryStreamExt;
use http_body_util::{BodyExt as _, BodyStream};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use hyper::{HeaderMap, StatusCode};
use parlor_base::web_address::WebAddress;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::io::StreamReader;

use crate::error::{Late, WebError};
use crate::window::SmallWindow;

/// The number of parts that wait to be sent. A writer of more waits.
const PARTS: usize = 2;
/// The size of the parts of an answer that was compressed, in bytes.
const PART: usize = 64 << 10;
/// How many compressed bytes may come for each byte that comes of them. A server that sends many short events in one answer
/// adds about five bytes to each (RFC 1951, section 3.2.4).
const MOST_PACKED: u64 = 16;
/// How many compressed bytes may come before anything comes of them: more than the largest window has.
const PACKED_AT_FIRST: u64 = 8 << 20;

/// The body of a request.
pub struct Outgoing(Content);

/// The source of the bytes of a body. Most bodies are complete in memory, and take no memory except for their bytes.
enum Content {
    /// The bytes that must still be sent: all, or none.
    Whole(Option<Bytes>),
    Stream(Parts),
    SizedStream(Sized),
}

impl Outgoing {
    /// Returns no body.
    pub fn empty() -> Self {
        Self(Content::Whole(None))
    }

    /// Returns a body of these bytes.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes: Bytes = bytes.into();
        Self(Content::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    /// Returns the same body once more, unless it is sent while it is written.
    pub(crate) fn copied(&self) -> Option<Self> {
        match &self.0 {
            Content::Whole(bytes) => Some(Self(Content::Whole(bytes.clone()))),
            Content::Stream(_) | Content::SizedStream(_) => None,
        }
    }

    /// Returns how many bytes it has, if they are complete in memory: otherwise none of them is there yet.
    pub fn length_of_whole(&self) -> usize {
        match &self.0 {
            Content::Whole(bytes) => bytes.as_ref().map_or(0, Bytes::len),
            Content::Stream(_) | Content::SizedStream(_) => 0,
        }
    }

    /// Returns a body that is sent while it is written. Its length is not told.
    pub fn stream() -> (Sender, Self) {
        let (sender, body) = Parts::new();
        (sender, Self(Content::Stream(body)))
    }

    /// Returns a body of this many bytes that is sent while it is written.
    pub fn sized_stream(length: u64) -> (Sender, Self) {
        let (sender, body) = Parts::new();
        (sender, Self(Content::SizedStream(Sized { body, left: length })))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = WebError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WebError>>> {
        match &mut self.get_mut().0 {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Stream(body) => Pin::new(body).poll_frame(context),
            Content::SizedStream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Content::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Content::Stream(body) => body.size_hint(),
            Content::SizedStream(body) => body.size_hint(),
        }
    }
}

/// A body whose length is sent before it.
struct Sized {
    body: Parts,
    left: u64,
}

impl Body for Sized {
    type Data = Bytes;
    type Error = WebError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WebError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            let Some(left) = self.left.checked_sub(length) else {
                return Poll::Ready(Some(Err(WebError::Protocol("the body is longer than was said".to_owned()))));
            };
            self.left = left;
        }
        polled
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A body whose parts come over a channel.
struct Parts {
    parts: mpsc::Receiver<Bytes>,
    /// Whether the writer completed the body. Otherwise the end of the channel is not the end of the body.
    is_finished: Arc<AtomicBool>,
}

impl Parts {
    fn new() -> (Sender, Self) {
        let (sender, parts) = mpsc::channel(PARTS);
        let is_finished = Arc::new(AtomicBool::new(false));
        (Sender { parts: sender, is_finished: Arc::clone(&is_finished) }, Self { parts, is_finished })
    }
}

impl Body for Parts {
    type Data = Bytes;
    type Error = WebError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WebError>>> {
        self.parts.poll_recv(context).map(|part| match part {
            Some(part) => Some(Ok(Frame::data(part))),
            None if self.is_finished.load(Acquire) => None,
            None => Some(Err(WebError::Protocol("the body was not finished".to_owned()))),
        })
    }
}

/// The writing end of a body. If it is dropped before it is finished, the request is broken off.
pub struct Sender {
    parts: mpsc::Sender<Bytes>,
    is_finished: Arc<AtomicBool>,
}

impl Sender {
    /// Sends a part. Waits while the server takes none.
    pub async fn send(&mut self, part: Bytes) -> Result<(), WebError> {
        let sent = self.parts.send(part).await;
        sent.map_err(|_| WebError::Protocol("the server takes no more of the body".to_owned()))
    }

    /// Ends the body.
    pub fn finish(self) {
        self.is_finished.store(true, Release);
    }
}

/// The answer of a server. Its body is read from the connection as far as it is asked for.
pub struct Answer {
    /// The status code (RFC 9110, section 15).
    pub status: u16,
    /// The headers. Of a body that was compressed those that describe the compressed form are left out.
    pub headers: HeaderMap,
    /// The address that gave the answer, after all redirects.
    pub from: WebAddress,
    /// Whether the body has a coding that is not unpacked, which its headers name.
    pub is_packed: bool,
    source: Source,
    /// How long the next part may take to come.
    patience: Duration,
    /// The number of bytes that may still come.
    left: u64,
    most: u64,
}

/// A compressed body, as it comes.
type Compressed = Pin<Box<dyn AsyncBufRead + Send>>;

/// A decoder, and its input.
type Decoded = Pin<Box<dyn AsyncRead + Send>>;

enum Source {
    /// Not compressed.
    Plain(Incoming),
    /// Compressed, before its first byte has come.
    Compressed(Compressed, fn(Compressed) -> Decoded, Arc<Ratio>),
    /// Through a decoder.
    Decoded(Decoded, Arc<Ratio>),
    /// There is nothing more.
    Ended,
}

impl Answer {
    /// Fails if the server packed the answer for its way here (RFC 9112, section 7.4): no request allows that.
    pub(crate) fn new(
        answer: hyper::Response<Incoming>,
        from: WebAddress,
        patience: Duration,
        most: u64,
    ) -> Result<Self, WebError> {
        let (head, body) = answer.into_parts();
        let mut headers = head.headers;
        let transfer = codings(&headers, TRANSFER_ENCODING);
        if transfer.len() > 1 || transfer.iter().any(|coding| coding != "chunked" && coding != "identity") {
            return Err(WebError::Protocol("the answer has a transfer coding that was not asked for".to_owned()));
        }
        let codings = codings(&headers, CONTENT_ENCODING);
        let codings: Vec<_> = codings.iter().map(String::as_str).filter(|coding| *coding != "identity").collect();
        // An answer to HEAD, and one with 204 or 304, describes a body that it does not have.
        let has_body = !body.is_end_stream();
        // A part of a compressed body, as an answer with 206 may have it, is left as it is.
        let is_part = head.status == StatusCode::PARTIAL_CONTENT;
        let decode: Option<fn(Compressed) -> Decoded> = match codings.as_slice() {
            _ if !has_body || is_part => None,
            ["gzip" | "x-gzip"] => Some(gunzip),
            ["br"] => Some(unbrotli),
            _ => None,
        };
        let source = match decode {
            None => Source::Plain(body),
            Some(decode) => {
                let ratio = Arc::<Ratio>::default();
                Source::Compressed(Box::pin(reader(body, Arc::clone(&ratio))), decode, ratio)
            }
        };
        if decode.is_some() {
            headers.remove(CONTENT_ENCODING);
            headers.remove(CONTENT_LENGTH);
        }
        let is_packed = has_body && decode.is_none() && !codings.is_empty();
        Ok(Self { status: head.status.as_u16(), headers, from, is_packed, source, patience, left: most, most })
    }

    /// Reads the next part of the body; `None` at its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, WebError> {
        let next = timeout(self.patience, self.source.next()).await;
        let part = next.map_err(|_| WebError::TimedOut(Late::Body))??;
        if let Some(part) = &part {
            self.left = self.left.checked_sub(part.len() as u64).ok_or(WebError::TooLarge(self.most))?;
        }
        Ok(part)
    }

    /// Reads the whole body.
    pub async fn whole(&mut self) -> Result<Vec<u8>, WebError> {
        let mut whole = Vec::new();
        while let Some(part) = self.next().await? {
            whole.extend_from_slice(&part);
        }
        Ok(whole)
    }
}

/// Returns the codings that a header lists, in small letters. Bytes that no name has are replaced.
fn codings(headers: &HeaderMap, name: HeaderName) -> Vec<String> {
    let values = headers.get_all(name).into_iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let listed: Vec<String> = values.map(|value| value.to_ascii_lowercase()).collect();
    let all = listed.iter().flat_map(|value| value.split(',')).map(str::trim);
    all.filter(|coding| !coding.is_empty()).map(str::to_owned).collect()
}

/// Unpacks gzip. A body may have several members, one after the other (RFC 1952, section 2.2).
fn gunzip(body: Compressed) -> Decoded {
    let mut decoder = GzipDecoder::new(body);
    decoder.multiple_members(true);
    Box::pin(decoder)
}

/// Returns whether the error is about bytes that begin no member of gzip. Some programs write text behind the compressed body,
/// which other clients ignore as well.
fn is_no_member(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData && error.to_string() == "Invalid gzip header"
}

fn unbrotli(body: Compressed) -> Decoded {
    Box::pin(BrotliDecoder::new(SmallWindow::new(body)))
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, WebError> {
        self.begin_decoding().await.map_err(|error| WebError::of(&error))?;
        match self {
            Self::Plain(body) => loop {
                match body.frame().await {
                    None => return Ok(None),
                    Some(Err(error)) => return Err(WebError::of(&error)),
                    // Trailers are left out.
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) if !data.is_empty() => return Ok(Some(data)),
                        Ok(_) | Err(_) => {}
                    },
                }
            },
            Self::Decoded(decoder, ratio) => {
                let mut part = Vec::with_capacity(PART);
                match decoder.read_buf(&mut part).await {
                    Ok(0) => Ok(None),
                    Ok(length) => {
                        ratio.unpacked.fetch_add(length as u64, Relaxed);
                        Ok(Some(part.into()))
                    }
                    Err(error) if is_no_member(&error) && ratio.unpacked.load(Relaxed) > 0 => Ok(None),
                    Err(error) => Err(WebError::of(&error)),
                }
            }
            Self::Compressed(..) | Self::Ended => Ok(None),
        }
    }

    /// Waits for the first byte of a compressed body. A body without a byte is empty, also if its server calls it
    /// compressed: for a decoder it would end early. A call that is given up while it waits loses nothing.
    async fn begin_decoding(&mut self) -> io::Result<()> {
        let Self::Compressed(body, ..) = self else { return Ok(()) };
        let is_empty = body.fill_buf().await?.is_empty();
        if let Self::Compressed(body, decode, ratio) = std::mem::replace(self, Self::Ended)
            && !is_empty
        {
            *self = Self::Decoded(decode(body), ratio);
        }
        Ok(())
    }
}

/// How many bytes a compressed body had so far, and how many came of them. Only the latter count for the limits of the
/// caller, and a body may go on without any: an empty member of gzip has 20 bytes.
#[derive(Default)]
struct Ratio {
    packed: AtomicU64,
    unpacked: AtomicU64,
}

impl Ratio {
    /// Counts the bytes of a part as it came. Fails if nearly nothing comes of the body.
    fn came(&self, bytes: usize) -> io::Result<()> {
        let packed = self.packed.fetch_add(bytes as u64, Relaxed).saturating_add(bytes as u64);
        let most = self.unpacked.load(Relaxed).saturating_mul(MOST_PACKED).saturating_add(PACKED_AT_FIRST);
        if packed > most {
            let cause = "the answer is compressed, and nearly nothing comes of it".to_owned();
            return Err(io::Error::other(WebError::Protocol(cause)));
        }
        Ok(())
    }
}

/// Reads a body as bytes, for a decoder.
fn reader(body: Incoming, ratio: Arc<Ratio>) -> impl AsyncBufRead + Send + use<> {
    let frames = TryStreamExt::map_err(BodyStream::new(body), io::Error::other);
    let parts = frames.try_filter_map(move |frame| {
        let part = frame.into_data().ok();
        let counted = ratio.came(part.as_ref().map_or(0, Bytes::len));
        std::future::ready(counted.map(|()| part))
    });
    StreamReader::new(parts)
}
