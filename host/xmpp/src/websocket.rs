//! XMPP over WebSocket (RFC 7395), as a transport that looks like TCP to the layers above.
//!
//! Over TCP a stream is one document. Over WebSocket each element is a separate message, and the stream's header and
//! footer are elements, too. This module translates both ways, so that the layers above see no difference.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::http::{Head, Wire};
use futures_util::{Sink, Stream};
use minidom::Element;
use minidom::rxml::Namespace;
use parlor_base::escape::printable;
use parlor_config::WebUrl;
use parlor_stanza::sieve::lost::Lost;
use parlor_stanza::sieve::{Cutter, MAX_BYTES};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::generate_request;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use self::frames::Narrow;
use super::error::ConnectError;
use super::framing::{Written, written};
use super::intake::{Ending, Listening, read_buffered};

pub(super) mod frames;

/// The namespace of the elements that begin and end a stream (RFC 7395, section 3.3).
const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
/// The maximum length of a message with such elements, in bytes.
const MAX_FRAMING: usize = 16 * 1024;
/// The maximum number of tags in a message with such elements, which are empty. Trees are copied and dropped
/// recursively, so deep nesting would overflow the stack, which ends the process. The layer above enforces the limits
/// of stanzas on other messages.
const MOST_TAGS: usize = 8;

/// An XMPP stream inside a WebSocket.
pub(super) struct WebSocket<S> {
    /// The socket. Arriving data is noted below it, since it only delivers whole messages.
    socket: WebSocketStream<Narrow<Listening<S>>>,
    /// The received data, as it would arrive over TCP, and how much of it was read.
    ready: Vec<u8>,
    taken: usize,
    /// Splits written data into elements.
    cutter: Cutter,
    /// Elements that the socket has not accepted yet.
    waiting: VecDeque<Message>,
    over: bool,
    /// Notes the reason that the server closes the socket.
    ending: Ending,
}

/// Opens a WebSocket with the server of this address, over a connection that is already encrypted. `ending` notes why
/// the server closes it.
pub(super) async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    url: &WebUrl,
    ending: &Ending,
) -> Result<WebSocket<S>, ConnectError> {
    let refused = |cause: String| ConnectError::NoWebSocket { url: url.to_string(), cause: printable(&cause) };
    let mut request = url.to_string().into_client_request().map_err(|error| refused(error.to_string()))?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("xmpp"));
    let (request, key) = generate_request(request).map_err(|error| refused(error.to_string()))?;
    let mut wire = Wire::new(Listening::new(stream, ending));
    wire.send(&request).await.map_err(|error| refused(error.to_string()))?;
    let head = wire.head().await.map_err(refused)?;
    goes_over(&head, &key).map_err(refused)?;
    let (stream, come) = wire.into_parts();
    let stream = Narrow::new(stream, &come).map_err(|error| refused(error.to_string()))?;
    let limits = WebSocketConfig::default().max_message_size(Some(MAX_BYTES)).max_frame_size(Some(MAX_BYTES));
    Ok(WebSocket {
        socket: WebSocketStream::from_raw_socket(stream, Role::Client, Some(limits)).await,
        ready: Vec::new(),
        taken: 0,
        cutter: Cutter::default(),
        waiting: VecDeque::new(),
        over: false,
        ending: ending.clone(),
    })
}

/// Checks that the server switches to XMPP over WebSocket in answer to the request with this key (RFC 6455, section
/// 4.1). The library rejects answers with additional values, as proxies send them: `Connection: keep-alive, Upgrade`.
fn goes_over(head: &Head, key: &str) -> Result<(), String> {
    if head.status != 101 {
        return Err(format!("it answers {} {}", head.status, head.reason));
    }
    let says = |name: &str, word: &str| {
        let said = head.headers.iter().filter(|(known, _)| known == name);
        said.flat_map(|(_, value)| value.split(',')).any(|said| said.trim().eq_ignore_ascii_case(word))
    };
    for (name, word) in [("upgrade", "websocket"), ("connection", "upgrade")] {
        if !says(name, word) {
            return Err(format!(
                "its answer does not say {name}: {word}, which a proxy in between may have to pass on"
            ));
        }
    }
    if head.header("sec-websocket-accept") != Some(derive_accept_key(key.as_bytes()).as_str()) {
        return Err("its answer is not to what it was asked".to_owned());
    }
    if head.header("sec-websocket-protocol") != Some("xmpp") {
        return Err("it does not say that it speaks xmpp there".to_owned());
    }
    Ok(())
}

impl<S> WebSocket<S> {
    /// Records that the server has closed the socket, and why.
    fn closed(&mut self, cause: &str) {
        self.ending.note(Lost::WebSocketClosed { cause: printable(cause) });
        self.over = true;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(failure)?;
            if let Some(message) = self.waiting.pop_front() {
                Pin::new(&mut self.socket).start_send(message).map_err(failure)?;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        read_buffered(self, cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncBufRead for WebSocket<S> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.taken == this.ready.len() && !this.over {
            this.ready.clear();
            this.taken = 0;
            match ready!(Pin::new(&mut this.socket).poll_next(cx)) {
                Some(Ok(Message::Text(text))) => {
                    if let Some(place) = read_frame(text.as_str(), &mut this.ready)? {
                        this.closed(&format!("it wants to be asked at {place}, which websocket_url may name"));
                    }
                }
                Some(Ok(Message::Binary(_))) => return Poll::Ready(Err(invalid("a message that is no text"))),
                // The library answers pings.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(Some(CloseFrame { code, reason }))))
                    if code != CloseCode::Normal || !reason.is_empty() =>
                {
                    this.closed(format!("{code} {reason}").trim_end());
                }
                Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed)) | None => {
                    this.over = true;
                }
                Some(Err(error)) => return Poll::Ready(Err(failure(error))),
            }
        }
        Poll::Ready(Ok(&this.ready[this.taken..]))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.taken = self.ready.len().min(self.taken + amount);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // Earlier elements must be sent first, so that no more than one buffer waits here.
        ready!(this.poll_drain(cx))?;
        let waiting = &mut this.waiting;
        this.cutter
            .cut(buf, |element| waiting.extend(frame(element).map(Message::text)))
            .map_err(|why| invalid(&why.to_string()))?;
        if let Poll::Ready(Err(error)) = this.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.socket).poll_flush(cx).map_err(failure)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        match ready!(Pin::new(&mut this.socket).poll_close(cx)) {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(failure(error))),
        }
    }
}

/// Appends a message as it would arrive over TCP. Returns the other address if the server closes the stream with a
/// redirect (RFC 7395, section 3.6.1).
pub(super) fn read_frame(text: &str, out: &mut Vec<u8>) -> io::Result<Option<String>> {
    if !text.starts_with('<') {
        return Err(invalid("a message that does not begin with an element"));
    }
    let Some(elements) = framing(text) else {
        out.extend_from_slice(text.as_bytes());
        return Ok(None);
    };
    for element in elements {
        if element.is("open", FRAMING) {
            begin(&element, out);
        } else if let Some(place) = element.attr("see-other-uri") {
            return Ok(Some(place.to_owned()));
        } else {
            out.extend_from_slice(b"</stream:stream>");
        }
    }
    Ok(None)
}

/// Returns the elements that begin or end a stream, if the message contains only these. Tigase sends both in one
/// message for a redirect.
fn framing(text: &str) -> Option<Vec<Element>> {
    if text.len() > MAX_FRAMING || !text.contains(FRAMING) || text.matches('<').count() > MOST_TAGS {
        return None;
    }
    let elements: Vec<_> = match format!("<several xmlns='several'>{text}</several>").parse::<Element>() {
        Ok(several) => several.children().cloned().collect(),
        // The message may begin with an XML declaration, like a document.
        Err(_) => vec![text.parse().ok()?],
    };
    let is_framing = |element: &Element| element.is("open", FRAMING) || element.is("close", FRAMING);
    (!elements.is_empty() && elements.iter().all(is_framing)).then_some(elements)
}

/// Writes the stream header that this element stands for.
fn begin(element: &Element, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'");
    let said = |name: &'static str| Some((name, element.attr(name)?));
    // Texts without a language have that of the stream.
    let lang = element.attr_ns(&Namespace::XML, "lang").map(|lang| ("xml:lang", lang));
    for (name, value) in ["from", "to", "id", "version"].into_iter().filter_map(said).chain(lang) {
        out.extend_from_slice(format!(" {name}='{}'", escaped(value)).as_bytes());
    }
    out.push(b'>');
}

/// Returns the message for data written as over TCP; `None` if there is nothing to send.
fn frame(element: &str) -> Option<String> {
    let attributes = match written(element)? {
        Written::Element(element) => return Some(element),
        Written::End => return Some(format!("<close xmlns='{FRAMING}'/>")),
        Written::Begin(attributes) => attributes,
    };
    // The header's other attributes are namespaces, which have no meaning here.
    let said = |name: &str| {
        let value = attributes.split_once(&format!(" {name}="))?.1;
        let quote = value.chars().next()?;
        Some(format!(" {name}={quote}{}{quote}", value[1..].split(quote).next()?))
    };
    let [to, from, lang] = ["to", "from", "xml:lang"].map(|name| said(name).unwrap_or_default());
    Some(format!("<open xmlns='{FRAMING}'{to}{from}{lang} version='1.0'/>"))
}

fn escaped(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;")
}

fn failure(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::UnexpectedEof.into(),
        other => invalid(&other.to_string()),
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("over the WebSocket came {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let mut out = Vec::new();
        read_frame(text, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Returns the result of an answer with these headers to the request of RFC 6455, section 1.3.
    async fn answered(headers: [&str; 4]) -> Result<(), String> {
        let answer = format!("HTTP/1.1 101 Switching Protocols\r\n{}\r\n\r\n", headers.join("\r\n"));
        let head = Wire::new(answer.as_bytes()).head().await?;
        goes_over(&head, "dGhlIHNhbXBsZSBub25jZQ==")
    }

    #[tokio::test]
    async fn an_answer_may_say_more_than_it_has_to_and_not_less() {
        const UPGRADE: &str = "Upgrade: websocket";
        const CONNECTION: &str = "Connection: Upgrade";
        const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        const PROTOCOL: &str = "Sec-WebSocket-Protocol: xmpp";
        for said in [
            CONNECTION,
            "connection: keep-alive, upgrade",
            "Connection: Upgrade,Keep-Alive",
            "Connection: keep-alive\r\nConnection: Upgrade",
        ] {
            assert_eq!(answered(["upgrade: WebSocket", said, ACCEPT, PROTOCOL]).await, Ok(()), "{said}");
        }
        for (headers, expected) in [
            (["Upgrade: h2c", CONNECTION, ACCEPT, PROTOCOL], "upgrade: websocket"),
            ([UPGRADE, "Connection: keep-alive", ACCEPT, PROTOCOL], "connection: upgrade"),
            (
                [UPGRADE, CONNECTION, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=", PROTOCOL],
                "what it was asked",
            ),
            ([UPGRADE, CONNECTION, ACCEPT, "Sec-WebSocket-Protocol: mqtt"], "xmpp"),
            ([UPGRADE, CONNECTION, ACCEPT, "Server: nginx"], "xmpp"),
        ] {
            let error = answered(headers).await.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_frame_of_a_stream_is_made_of_elements_and_back() {
        let header = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' to='a&apos;b' \
                      version='1.0' xml:lang='en'>";
        assert_eq!(
            frame(header).unwrap(),
            "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a&apos;b' xml:lang='en' version='1.0'/>"
        );
        assert_eq!(frame("</stream:stream>").unwrap(), "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>");
        assert_eq!(frame("<?xml version='1.0'?>"), None);
        assert_eq!(
            read("<open xmlns=\"urn:ietf:params:xml:ns:xmpp-framing\" from=\"a&amp;b\" id='&apos;' version='1.0'/>"),
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='a&amp;b' \
             id='&apos;' version='1.0'>"
        );
        let german = read("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' xml:lang='de' id='1'/>");
        assert!(german.ends_with(" id='1' xml:lang='de'>"), "{german}");
        let close = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";
        assert_eq!(read(close), "</stream:stream>");
        assert_eq!(read(&format!("<?xml version='1.0'?>{close}")), "</stream:stream>");
        let both = read(&format!("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' id='1'/>{close}"));
        assert!(both.starts_with("<stream:stream ") && both.ends_with(" id='1'></stream:stream>"), "{both}");
    }

    #[test]
    fn what_is_no_element_is_refused_and_what_speaks_of_framing_is_not_taken_for_it() {
        assert!(read_frame("<html", &mut Vec::new()).is_ok());
        assert!(read_frame(" ", &mut Vec::new()).is_err());
        assert!(read_frame("captive portal", &mut Vec::new()).is_err());
        let message = "<message><body>urn:ietf:params:xml:ns:xmpp-framing</body></message>";
        assert_eq!(read(message), message);
        let deep = format!("<open xmlns='{FRAMING}'>{}{}</open>", "<a>".repeat(100), "</a>".repeat(100));
        assert_eq!(read(&deep), deep, "no tree is made of it");
        let odd = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/><presence xmlns='jabber:client'/>";
        assert_eq!(read(odd), odd);
    }
}
