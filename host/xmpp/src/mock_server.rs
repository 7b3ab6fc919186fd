//! The core of the servers that tests log in to: the server's end of a stream, log-ins, and minimal answers.
//!
//! Each of these servers adds its own behaviour: `peer` is hostile on request, `simulated_network` loses connections, and that of
//! the suite (`tests/src/peer.rs`) answers from scripts.
//!
//! The core reads elements as XML first, since a test must hear what the library has no type for: client states
//! (XEP-0352), the mechanism EXTERNAL, and `=` for an empty message.

pub mod answers;
pub mod dns;
pub mod scram;
pub mod tap;

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::{SinkExt, StreamExt as _};
use minidom::Element;
use tokio::io::{AsyncRead, AsyncWrite, BufStream};
use tokio_xmpp::xmlstream::{AcceptedStream, ReadError, StreamHeader, Timeouts, XmlStream, accept_stream};
use xmpp_parsers::ns;
use xmpp_parsers::sasl::{DefinedCondition, Failure};
use xmpp_parsers::sm::Nonza as Sm;
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stream_error::StreamError;
use xmpp_parsers::stream_features::StreamFeatures;

use self::tap::{Tap, Tapped};

/// The domain of these servers.
pub const DOMAIN: &str = "localhost";

/// A byte stream to a client.
pub trait Transport: AsyncRead + AsyncWrite + Unpin {}

impl<Io: AsyncRead + AsyncWrite + Unpin> Transport for Io {}

/// The reason that a client says no more.
#[derive(Debug, thiserror::Error)]
pub enum Gone {
    /// The client has closed the stream.
    #[error("the client closed the stream")]
    Closed,
    /// The connection broke, or the client sent something that is not XML.
    #[error("the stream to the client broke: {0}")]
    Broken(String),
}

impl From<std::io::Error> for Gone {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// An element that a client has sent.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Heard {
    Stanza(Stanza),
    /// A message of a log-in; the mechanism is in the first one.
    Sasl {
        mechanism: Option<String>,
        data: Vec<u8>,
    },
    Sm(Sm),
    /// The condition of the error with which the client ends the stream.
    Error(String),
    Other(Element),
}

impl Heard {
    fn of(element: Element) -> Result<Self, Gone> {
        let unreadable = |error: &dyn std::fmt::Display| Gone::Broken(format!("it cannot be read: {error}"));
        match (element.name(), element.ns().as_str()) {
            ("message" | "presence" | "iq", ns::JABBER_CLIENT) => {
                Stanza::try_from(element).map(Self::Stanza).map_err(|error| unreadable(&error))
            }
            ("auth" | "response", ns::SASL) => {
                let mechanism = element.attr("mechanism").map(str::to_owned);
                let text = element.text();
                // RFC 6120, section 6.4.2: zero-length data is written as a single sign.
                let data = BASE64.decode(if text == "=" { "" } else { text.trim() });
                Ok(Self::Sasl { mechanism, data: data.map_err(|error| unreadable(&error))? })
            }
            (_, ns::SM) => Sm::try_from(element).map(Self::Sm).map_err(|error| unreadable(&error)),
            ("error", ns::STREAM) => {
                let condition = element.children().find(|child| child.has_ns(ns::XMPP_STREAMS));
                Ok(Self::Error(condition.map(|condition| condition.name().to_owned()).unwrap_or_default()))
            }
            _ => Ok(Self::Other(element)),
        }
    }
}

/// A stream whose header a client has sent, and which has not been answered.
pub struct Opening<Io>(AcceptedStream<BufStream<Tapped<Io>>>);

/// The server's end of a stream.
pub struct Wire<Io>(XmlStream<BufStream<Tapped<Io>>, Element>);

impl<Io: Transport> Opening<Io> {
    /// Waits for a client's header. The tap records what the client sends.
    pub async fn accept(io: Io, tap: Tap, timeouts: Timeouts) -> Result<Self, Gone> {
        let io = BufStream::new(Tapped { stream: io, tap });
        Ok(Self(accept_stream(io, ns::JABBER_CLIENT, timeouts).await?))
    }

    /// Answers with a header, and these features.
    pub async fn offer(self, features: &StreamFeatures) -> Result<Wire<Io>, Gone> {
        let header = StreamHeader { from: Some(Cow::Borrowed(DOMAIN)), to: None, id: Some(Cow::Borrowed("peer")) };
        Ok(Wire(self.0.send_header(header).await?.send_features(features).await?))
    }
}

impl<Io: Transport> Wire<Io> {
    /// Returns the next element. It is cancel-safe.
    pub async fn hear(&mut self) -> Result<Heard, Gone> {
        loop {
            match self.0.next().await {
                Some(Ok(element)) => return Heard::of(element),
                Some(Err(ReadError::SoftTimeout)) => {}
                Some(Err(ReadError::StreamFooterReceived)) => return Err(Gone::Closed),
                None => return Err(Gone::Broken("it is over".to_owned())),
                Some(Err(ReadError::HardError(error))) => return Err(error.into()),
                Some(Err(ReadError::ParseError(error))) => return Err(Gone::Broken(error.to_string())),
            }
        }
    }

    /// Sends an element.
    pub async fn say(&mut self, element: &Element) -> Result<(), Gone> {
        Ok(self.0.send(element).await?)
    }

    /// Sends a stanza.
    pub async fn say_stanza(&mut self, stanza: &Stanza) -> Result<(), Gone> {
        Ok(self.0.send(stanza).await?)
    }

    /// Sends an element of stream management (XEP-0198).
    pub async fn manage(&mut self, nonza: &Sm) -> Result<(), Gone> {
        Ok(self.0.send(nonza).await?)
    }

    /// Writes everything that waits, also in the tap.
    pub async fn flush(&mut self) -> Result<(), Gone> {
        Ok(SinkExt::<&Element>::flush(&mut self.0).await?)
    }

    /// Completes a log-in successfully. The client restarts the stream.
    pub async fn succeed(self, success: &Element) -> Result<Opening<Io>, Gone> {
        Ok(Opening(self.0.accept_reset(success).await?))
    }

    /// Refuses a log-in.
    pub async fn refuse(&mut self, condition: DefinedCondition) -> Result<(), Gone> {
        let failure = Failure { defined_condition: condition, texts: BTreeMap::new() };
        Ok(self.0.send(&failure).await?)
    }

    /// Ends the stream with this condition.
    pub async fn end(&mut self, condition: &str) -> Result<(), Gone> {
        // Only one condition has content.
        let content = if condition == "see-other-host" { "elsewhere.example" } else { "" };
        let condition = format!("<{condition} xmlns='{}'>{content}</{condition}>", ns::XMPP_STREAMS);
        let error: Element = format!("<error xmlns='{}'>{condition}</error>", ns::STREAM).parse().unwrap();
        self.0.send(&StreamError::try_from(error).unwrap()).await?;
        self.close().await
    }

    /// Closes the stream.
    pub async fn close(&mut self) -> Result<(), Gone> {
        Ok(self.0.shutdown().await?)
    }

    /// Returns the transport, for the TLS that follows.
    pub fn into_inner(self) -> Io {
        self.0.into_inner().into_inner().stream
    }
}
