//! A request and its answer, over HTTP/1.1 inside TLS.

use std::sync::Arc;
use std::time::Duration;

use crate::http::{NoBody, Wire};
use parlor_base::escape::printable;
use parlor_config::url::Url;
use parlor_config::{LinkSettings, TlsMode};
use parlor_https::trust::NO_TLS;
use parlor_stanza::sieve::{MAX_BYTES, Sieve};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::client::TlsStream;

use super::body::{Answer, NotBosh};
use crate::error::ConnectError;
use crate::intake::{Ending, Listening};
use crate::reach::{ascii, reach};
use crate::tls::secure;

/// The time between two requests: they use separate connections, and ejabberd 23.01 loses a session whose requests
/// overtake each other. After an answer, this end waits as long for data to send before it makes an empty request.
pub(super) const GAP: Duration = Duration::from_millis(10);
/// The longest answer, after each stanza was cut to its limits: a server sends all pending stanzas at once. An answer
/// is buffered until its end was received, since only then it is known to be complete. At most two are received at the
/// same time.
const MOST: usize = 6 * MAX_BYTES;
/// The longest answer as received.
const MOST_ON_THE_WAY: u64 = 1 << 30;
/// How many bytes of an answer are kept to say what it is instead of BOSH.
const BEGINNING: usize = 1 << 10;

/// Statuses of intermediaries that may let the same request through a moment later: Request Timeout, Too Early, Too
/// Many Requests (RFC 9110, section 15.5.9; RFC 8470, section 5.2; RFC 6585, section 4).
const PASSING: [u16; 3] = [408, 425, 429];

/// A connection on which requests can be made.
pub(super) type Connection = Wire<Listening<TlsStream<TcpStream>>>;

/// The server and settings of a session.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) settings: LinkSettings,
    pub(super) url: Url,
    /// Notes when data arrives on any of the connections.
    pub(super) ending: Ending,
}

/// An answer, with its connection if that can be reused.
pub(super) struct Answered {
    pub(super) answer: Answer,
    pub(super) connection: Option<Connection>,
}

/// The reason for a missing answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: ConnectError,
    /// Whether the connection or an intermediary failed, and not the server itself: it may still answer the same
    /// request.
    pub(super) again: bool,
    /// Whether the server wants the request again, with all earlier ones that it has not answered (XEP-0124, section
    /// 17.3).
    pub(super) with_former: bool,
    /// The meaning of the failure within a session.
    pub(super) answer: Option<Answer>,
}

impl Line {
    /// Makes a request on an existing connection or on a new one, shortly after the previous request was written.
    /// Reports when it is written itself.
    pub(super) async fn ask(
        self: Arc<Self>,
        connection: Option<Connection>,
        body: Arc<str>,
        before: Option<watch::Receiver<Option<Instant>>>,
        written: Arc<watch::Sender<Option<Instant>>>,
    ) -> Result<Answered, Failure> {
        let mut wire = match connection {
            Some(wire) => wire,
            None => self.connect().await.map_err(|error| Failure { error, ..self.failure("", true) })?,
        };
        // The connection exists by now: the shorter the time between the two requests, the less can break in between.
        turn(before).await;
        let cut = |cause: String| self.failure(&cause, true);
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\nuser-agent: parlor/{}\r\naccept-encoding: identity\r\n\
             content-type: text/xml; charset=utf-8\r\ncontent-length: {}\r\n\r\n{body}",
            self.url.path(),
            self.url.authority(),
            env!("CARGO_PKG_VERSION"),
            body.len(),
        );
        wire.send(request.as_bytes()).await.map_err(|error| cut(error.to_string()))?;
        written.send_replace(Some(Instant::now()));
        let head = wire.head().await.map_err(cut)?;
        let answer = match head.status {
            200 => {
                let mut reading = Reading::default();
                wire.each_part(&head, MOST_ON_THE_WAY, |part| reading.take(part)).await.map_err(
                    |error| match error {
                        NoBody::TooLarge => self.failure(&format!("an answer has more than {MOST} bytes"), false),
                        NoBody::Compressed(_) => self.failure("it compresses what nobody asked it to", false),
                        NoBody::Broken(cause) => cut(cause),
                    },
                )?;
                let text =
                    String::from_utf8(reading.finish()).map_err(|_| self.failure("its answer is no text", false))?;
                Answer::read(text).map_err(|error| match error {
                    NotBosh::Page => self.failure("it answers with a web page", false),
                    NotBosh::Other => self.failure("it answers with something else", false),
                })?
            }
            status => {
                let is_passing = status >= 500 || PASSING.contains(&status);
                let failure = self.failure(&format!("it answers {status} {}", head.reason), is_passing);
                return Err(Failure { answer: Answer::of_status(status), ..failure });
            }
        };
        if answer.is_passing() {
            let failure = self.failure("it says that there was an error, and that it goes on", true);
            return Err(Failure { with_former: true, ..failure });
        }
        let connection = (head.keeps_open() && !wire.has_more()).then_some(wire);
        Ok(Answered { answer, connection })
    }

    async fn connect(&self) -> Result<Connection, ConnectError> {
        let host = ascii(self.url.host())?;
        let (tcp, _) = reach(&host, Some(TlsMode::Direct), Some(&self.url.server())).await?;
        let secured = secure(tcp, &host, Some(b"http/1.1"), &self.settings).await.map_err(|error| match error {
            ConnectError::NotTls { .. } => ConnectError::NoBosh { url: self.url.to_string(), cause: NO_TLS.to_owned() },
            error => error,
        })?;
        Ok(Wire::new(Listening::new(secured.stream, &self.ending)))
    }

    pub(super) fn failure(&self, cause: &str, again: bool) -> Failure {
        Failure {
            error: ConnectError::NoBosh { url: self.url.to_string(), cause: printable(cause) },
            again,
            with_former: false,
            answer: None,
        }
    }
}

/// A partly received answer, with each stanza in it cut to its limits. A server may serialise a stranger's stanza of
/// 256 KiB as hundreds of megabytes, and would send it again for the next request.
struct Reading {
    sieve: Sieve,
    kept: Vec<u8>,
    /// The first bytes, for an answer that is not XML.
    beginning: Vec<u8>,
    is_xml: bool,
}

impl Default for Reading {
    fn default() -> Self {
        Self { sieve: Sieve::of_a_document(), kept: Vec::new(), beginning: Vec::new(), is_xml: true }
    }
}

impl Reading {
    fn take(&mut self, part: &[u8]) -> Result<(), NoBody> {
        let room = BEGINNING - self.beginning.len();
        self.beginning.extend_from_slice(&part[..room.min(part.len())]);
        self.is_xml = self.is_xml && self.sieve.push(part, &mut self.kept).is_ok();
        if self.kept.len() > MOST { Err(NoBody::TooLarge) } else { Ok(()) }
    }

    fn finish(self) -> Vec<u8> {
        if self.is_xml { self.kept } else { String::from_utf8_lossy(&self.beginning).into_owned().into_bytes() }
    }
}

/// Waits until shortly after the previous request was written, or until it is answered.
async fn turn(before: Option<watch::Receiver<Option<Instant>>>) {
    let Some(mut before) = before else { return };
    while let Some(written) = before.wait_for(Option::is_some).await.ok().and_then(|written| *written) {
        // The previous request may fail meanwhile, and be written again.
        if !matches!(timeout_at(written + GAP, before.changed()).await, Ok(Ok(()))) {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"<body xmlns='http://jabber.org/protocol/httpbind'>";

    /// Returns how much of an answer that repeats this is kept before it is given up, and how much has come by then.
    fn kept(repeated: &str, most: usize) -> (usize, usize) {
        let mut reading = Reading::default();
        let (mut came, mut kept) = (0, 0);
        let mut next = reading.take(HEAD);
        while next.is_ok() && came < most {
            next = reading.take(repeated.as_bytes());
            (came, kept) = (came + repeated.len(), reading.kept.len());
        }
        (kept, came)
    }

    #[test]
    fn an_answer_is_kept_up_to_its_bound_and_no_further() {
        let stanza = format!("<message xmlns='jabber:client'><body>{}</body></message>", "x".repeat(900_000));
        let (kept_of_it, came) = kept(&stanza, 2 * MOST);
        assert!(came <= MOST + stanza.len(), "it is given up: {came}");
        assert!(kept_of_it <= MOST + stanza.len(), "{kept_of_it}");
        // Neither does a stanza without an end, nor text that is no XML.
        for endless in ["<a><b/></a>".repeat(9_000), "<".repeat(90_000), "x".repeat(90_000)] {
            let open = format!("<message xmlns='jabber:client'>{endless}");
            let (kept_of_it, came) = kept(&open, 2 * MOST);
            assert!(kept_of_it <= MAX_BYTES, "{endless:.8}: {kept_of_it} of {came}");
        }
    }
}
