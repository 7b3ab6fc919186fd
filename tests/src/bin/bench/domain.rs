//! The stream of a component with many addresses: how many messages a second pass it and are answered, and the memory of each
//! address. The server is a scripted one in this process, and each address answers without a host.

use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jid::BareJid;
use parlor_config::{ChannelBinding, Endpoint, LinkSettings, PasswordSource, TransportChoice, Way};
use parlor_stanza::types::{Draft, Incoming, MessageKind, Outgoing};
use parlor_tests::folder::Folder;
use parlor_tests::usage;
use parlor_xmpp::{Component, LinkEvent, LocalServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use xtask::Part;

use crate::row::{Goal, Row, Unit, median};

/// The domain of the component.
pub(crate) const DOMAIN: &str = "bots.example.org";
/// The number of its addresses.
const ADDRESSES: usize = 100_000;
/// The number of messages that are measured, in each round.
const MESSAGES: usize = 200_000;
/// The number of messages that are written at once, and of those that are not answered yet.
pub(crate) const AT_ONCE: usize = 100;
const UNDER_WAY: usize = 50 * AT_ONCE;
/// How often they are measured; the median is reported.
const ROUNDS: usize = 3;
/// The least number of messages a second.
const RATE: f64 = 20_000.0;
/// The most memory of each address, in KiB.
const EACH: f64 = 2.0;
/// The end of an answer.
const END: &[u8] = b"</message>";
/// The timeout of a round.
const SOON: Duration = Duration::from_mins(3);

#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 of anything")]
pub(crate) async fn rows() -> Result<Vec<Row>> {
    let (folder, listener) = (Folder::new()?, TcpListener::bind("127.0.0.1:0").await?);
    let settings = settings(listener.local_addr()?.port(), folder.write("secret", "test\n")?)?;
    let component = Component::start(settings.clone());
    let before = usage::resident_kib(std::process::id())?;
    let mut addresses = JoinSet::new();
    for number in 0..ADDRESSES {
        let jid: BareJid = address(number).parse()?;
        let own = component.address(jid.clone());
        own.open(&LinkSettings { jid: jid.into(), ..settings.clone() });
        addresses.spawn(answer(own));
    }
    let mut server = timeout(SOON, Server::accept(&listener)).await.context("the component does not connect")??;
    timeout(SOON, server.exchange(ADDRESSES)).await.context("not every address answers")??;
    let after = usage::resident_kib(std::process::id())?;
    let each = after.saturating_sub(before) as f64 / ADDRESSES as f64;
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        timeout(SOON, server.exchange(MESSAGES)).await.context("not every message is answered")??;
        rates.push(MESSAGES as f64 / begin.elapsed().as_secs_f64());
    }
    let what = format!("messages answered over the stream of a component with {ADDRESSES} addresses");
    let rate = Row::alone(Part::Cluster, what, median(rates.into_iter()), Unit::PerSecond);
    let memory = Row::alone(Part::Cluster, "memory of the stream for each of these addresses", each, Unit::Kib);
    Ok(vec![rate.goal(Goal::AtLeast(RATE)), memory.goal(Goal::AtMost(EACH))])
}

/// Returns the settings of the component.
fn settings(port: u16, secret: PathBuf) -> Result<LinkSettings> {
    Ok(LinkSettings {
        jid: DOMAIN.parse()?,
        way: Way::Component("bots".parse()?),
        password: PasswordSource::File(secret),
        server: Some(Endpoint { host: "127.0.0.1".to_owned(), port: Some(port) }),
        transport: TransportChoice::Tcp,
        tls: None,
        ca_file: None,
        allow_plain: false,
        channel_binding: ChannelBinding::Never,
        websocket: None,
        keep_unsent: Duration::from_hours(1),
        bosh: None,
        prebind: None,
        ping_interval: Duration::from_hours(1),
    })
}

pub(crate) fn address(number: usize) -> String {
    format!("bot{number}@{DOMAIN}")
}

/// Answers each message to an address with the same.
async fn answer(own: Arc<dyn LocalServer>) {
    loop {
        match poll_fn(|cx| own.poll(cx)).await {
            LinkEvent::Stanza(Incoming::Message(message)) => {
                let draft = Draft { body: message.body, ..Draft::default() };
                let (to, kind, id) = (message.from, MessageKind::Chat, "answer".to_owned());
                own.hear(Outgoing::Message { to, kind, id, draft, to_occupant: false });
            }
            LinkEvent::Failed(_) | LinkEvent::Closed => return,
            _ => {}
        }
    }
}

/// The server's end of the stream.
pub(crate) struct Server(TcpStream);

impl Server {
    /// Accepts the component, whatever its secret is.
    pub(crate) async fn accept(listener: &TcpListener) -> Result<Self> {
        let mut server = Self(listener.accept().await?.0);
        server.until(&format!("to='{DOMAIN}'>")).await?;
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' \
             xmlns='jabber:component:accept' from='{DOMAIN}' id='3BF96D32'>"
        );
        server.0.write_all(header.as_bytes()).await?;
        server.until("</handshake>").await?;
        server.0.write_all(b"<handshake/>").await?;
        Ok(server)
    }

    /// Reads whatever the component sends, until it closes the stream.
    pub(crate) async fn keep(&mut self) -> Result<()> {
        tokio::io::copy(&mut self.0, &mut tokio::io::sink()).await?;
        Ok(())
    }

    /// Reads up to this text, with which the component waits for an answer.
    async fn until(&mut self, end: &str) -> Result<()> {
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(end) {
            let length = self.0.read_buf(&mut read).await?;
            ensure!(length > 0, "the component has closed the stream");
        }
        Ok(())
    }

    /// Writes so many messages to the addresses in turn, and waits until each is answered.
    pub(crate) async fn exchange(&mut self, count: usize) -> Result<()> {
        let (mut reader, mut writer) = self.0.split();
        let (room, answered) = (Semaphore::new(UNDER_WAY), AtomicUsize::new(0));
        let write = async {
            for begin in (0..count).step_by(AT_ONCE) {
                room.acquire_many(u32::try_from(AT_ONCE)?).await?.forget();
                let one = |number: usize| {
                    let to = address(number % ADDRESSES);
                    format!(
                        "<message from='juliet@example.org/x' to='{to}' type='chat' id='m'><body>hello</body></message>"
                    )
                };
                let text: String = (begin..begin + AT_ONCE).map(one).collect();
                writer.write_all(text.as_bytes()).await?;
            }
            anyhow::Ok(())
        };
        let read = async {
            let mut bytes = Vec::with_capacity(64 << 10);
            while answered.load(Relaxed) < count {
                let length = reader.read_buf(&mut bytes).await?;
                ensure!(length > 0, "the component has closed the stream");
                let ends = bytes.windows(END.len()).filter(|part| *part == END).count();
                answered.fetch_add(ends, Relaxed);
                room.add_permits(ends);
                // The end of an answer may be cut. A whole one is not counted again.
                let keep = bytes.len().saturating_sub(END.len() - 1);
                bytes.drain(..keep);
            }
            anyhow::Ok(())
        };
        tokio::try_join!(write, read)?;
        Ok(())
    }
}
