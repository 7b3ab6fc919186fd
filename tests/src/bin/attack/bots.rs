//! A scripted server of a component (XEP-0114). People of any domain write to the addresses there, as the case says.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use parlor_tests::server::BOTS;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How the host's stream begins.
const OPENING: &[u8] = b"<stream:stream";

/// A stanza of the host, as it was on the wire.
#[derive(Debug)]
pub(crate) struct Sent(String);

impl Sent {
    /// Returns whether it is a message, a presence or an iq.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.0.strip_prefix('<').is_some_and(|rest| rest.starts_with(name))
    }

    /// Returns an attribute of the stanza itself, or an empty text if it has none of that name.
    pub(crate) fn attribute(&self, name: &str) -> &str {
        let tag = self.0.split_once('>').map_or("", |(tag, _)| tag);
        for quote in ['\'', '"'] {
            if let Some((_, rest)) = tag.split_once(&format!(" {name}={quote}")) {
                return rest.split_once(quote).map_or("", |(value, _)| value);
            }
        }
        ""
    }

    /// Returns the bare address that it is from, or to.
    pub(crate) fn bare(&self, name: &str) -> &str {
        let jid = self.attribute(name);
        jid.split_once('/').map_or(jid, |(bare, _)| bare)
    }

    /// Returns whether the text contains this.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.0.contains(text)
    }

    /// Returns whether it is a message that says this.
    pub(crate) fn says(&self, body: &str) -> bool {
        self.is("message") && !self.is_error() && self.contains(&format!(">{body}</body>"))
    }

    /// Returns whether it is an error.
    pub(crate) fn is_error(&self) -> bool {
        self.attribute("type") == "error"
    }
}

/// The server, which serves one connection of the host.
pub(crate) struct Bots {
    port: u16,
    orders: mpsc::UnboundedSender<String>,
    sent: mpsc::UnboundedReceiver<Sent>,
    /// Stanzas that were read and skipped.
    passed: VecDeque<Sent>,
    said: u64,
    task: JoinHandle<Result<()>>,
}

impl Bots {
    /// Listens on a free port of the loopback interface.
    pub(crate) async fn listen() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on 127.0.0.1")?;
        let port = listener.local_addr()?.port();
        let (orders, ordered) = mpsc::unbounded_channel();
        let (outbox, sent) = mpsc::unbounded_channel();
        let task = tokio::spawn(serve(listener, ordered, orders.clone(), outbox));
        Ok(Self { port, orders, sent, passed: VecDeque::new(), said: 0, task })
    }

    /// Returns the port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Writes stanzas as they are. They wait until the host is connected.
    pub(crate) fn raw(&self, xml: String) -> Result<()> {
        self.orders.send(xml).context("the server of the component has ended")
    }

    /// Writes a stanza from somebody to an address.
    pub(crate) fn stanza(&mut self, name: &str, kind: &str, from: &str, to: &str, payload: &str) -> Result<()> {
        self.said += 1;
        let id = self.said;
        let kind = if kind.is_empty() { String::new() } else { format!(" type='{kind}'") };
        self.raw(format!("<{name}{kind} from='{from}' to='{to}' id='said-{id}'>{payload}</{name}>"))
    }

    /// Lets somebody say something to an address.
    pub(crate) fn say(&mut self, from: &str, to: &str, body: &str) -> Result<()> {
        self.stanza("message", "chat", from, to, &format!("<body>{body}</body>"))
    }

    /// Asks the domain for an answer, so that the host has read everything before.
    pub(crate) async fn catch_up(&mut self, from: &str, limit: Duration) -> Result<()> {
        self.stanza("iq", "get", from, BOTS, "<ping xmlns='urn:xmpp:ping'/>")?;
        let id = format!("said-{}", self.said);
        self.wait("the answer of the domain", limit, |sent| sent.is("iq") && sent.attribute("id") == id).await.map(drop)
    }

    /// Waits for the next stanza of the host that fits. Others are kept for later.
    pub(crate) async fn wait(
        &mut self,
        what: &str,
        limit: Duration,
        mut pick: impl FnMut(&Sent) -> bool,
    ) -> Result<Sent> {
        if let Some(at) = self.passed.iter().position(&mut pick)
            && let Some(found) = self.passed.remove(at)
        {
            return Ok(found);
        }
        let next = async {
            loop {
                let Some(sent) = self.sent.recv().await else {
                    (&mut self.task).await??;
                    bail!("the stream of the component has ended");
                };
                if pick(&sent) {
                    return Ok(sent);
                }
                self.passed.push_back(sent);
            }
        };
        timeout(limit, next).await.with_context(|| format!("{what} does not come within {limit:?}"))?
    }

    /// Returns the stanzas for which nobody has waited.
    pub(crate) fn passed(&self) -> impl Iterator<Item = &Sent> {
        self.passed.iter()
    }
}

impl Drop for Bots {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts the host with any secret, and passes stanzas until the stream ends.
async fn serve(
    listener: TcpListener,
    orders: mpsc::UnboundedReceiver<String>,
    back: mpsc::UnboundedSender<String>,
    outbox: mpsc::UnboundedSender<Sent>,
) -> Result<()> {
    let (stream, _) = listener.accept().await?;
    // A host that connects again has lost its stream, which no case expects.
    drop(listener);
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut reader = Reader { stream: read, bytes: Vec::new() };
    reader.opening().await?;
    let opening = format!(
        "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' \
         xmlns='jabber:component:accept' from='{BOTS}' id='one'>"
    );
    write.write_all(opening.as_bytes()).await?;
    ensure!(reader.next().await?.is("handshake"), "the host shows no secret");
    write.write_all(b"<handshake/>").await?;
    tokio::select! {
        ended = write_all(write, orders) => ended,
        ended = read_all(reader, &back, &outbox) => ended,
    }
}

async fn write_all(mut write: OwnedWriteHalf, mut orders: mpsc::UnboundedReceiver<String>) -> Result<()> {
    while let Some(xml) = orders.recv().await {
        write.write_all(xml.as_bytes()).await?;
    }
    Ok(())
}

/// Passes stanzas of the host to the case, and back to the host if they are for another of its addresses. Answers the
/// host's requests in the name of people.
async fn read_all(
    mut reader: Reader,
    back: &mpsc::UnboundedSender<String>,
    outbox: &mpsc::UnboundedSender<Sent>,
) -> Result<()> {
    loop {
        let sent = reader.next().await?;
        let to = sent.bare("to");
        if to == BOTS || to.ends_with(&format!("@{BOTS}")) {
            back.send(sent.0.clone())?;
        } else if sent.is("iq") && ["get", "set"].contains(&sent.attribute("type")) {
            let [from, to, id] = ["to", "from", "id"].map(|name| sent.attribute(name));
            back.send(format!(
                "<iq type='error' from='{from}' to='{to}' id='{id}'><error type='cancel'>\
                 <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            ))?;
        }
        outbox.send(sent)?;
    }
}

/// Splits the host's stream into stanzas.
struct Reader {
    stream: OwnedReadHalf,
    bytes: Vec<u8>,
}

impl Reader {
    async fn more(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.bytes).await?;
        ensure!(read > 0, "the host has ended the stream of the component");
        Ok(())
    }

    /// Reads up to the end of the tag with which the stream begins.
    async fn opening(&mut self) -> Result<()> {
        loop {
            let begin = self.bytes.windows(OPENING.len()).position(|part| part == OPENING);
            if let Some(end) = begin.and_then(|begin| end_of_tag(&self.bytes, begin)) {
                self.bytes.drain(..=end);
                return Ok(());
            }
            self.more().await?;
        }
    }

    async fn next(&mut self) -> Result<Sent> {
        loop {
            if let Some(length) = first(&self.bytes) {
                let stanza: Vec<u8> = self.bytes.drain(..length).collect();
                return Ok(Sent(String::from_utf8(stanza)?.trim_start().to_owned()));
            }
            self.more().await?;
        }
    }
}

/// Returns the length of the first element, if all of it is there.
fn first(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        let begin = at + bytes.get(at..)?.iter().position(|byte| *byte == b'<')?;
        let end = end_of_tag(bytes, begin)?;
        if bytes[begin + 1] == b'/' {
            depth = depth.checked_sub(1)?;
        } else if bytes[end - 1] != b'/' {
            depth += 1;
        }
        at = end + 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Returns where the tag that begins here ends. Values may contain the character that ends tags.
fn end_of_tag(bytes: &[u8], begin: usize) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in bytes.iter().copied().enumerate().skip(begin) {
        match quote {
            Some(open) if open == byte => quote = None,
            None if byte == b'\'' || byte == b'"' => quote = Some(byte),
            None if byte == b'>' => return Some(at),
            Some(_) | None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_split_into_stanzas() {
        let text = "<iq id='a>b'/> <message to=\"x@y/z\"><body>hello</body></message><presence";
        assert_eq!(first(text.as_bytes()), Some(14));
        let rest = &text[14..];
        let length = first(rest.as_bytes()).unwrap();
        let sent = Sent(rest[..length].trim_start().to_owned());
        assert!(sent.says("hello") && !sent.says("hell"), "{sent:?}");
        assert_eq!((sent.attribute("to"), sent.bare("to"), sent.bare("from")), ("x@y/z", "x@y", ""));
        assert_eq!(first(&rest.as_bytes()[length..]), None, "it goes on");
    }
}
