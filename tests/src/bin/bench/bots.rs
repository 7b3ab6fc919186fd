//! The bots as processes, and the other sides that they talk to.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use jid::BareJid;
use parlor_tests::certificate::Certificate;
use parlor_tests::client::{Client, body};
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::log::Mark;
use parlor_tests::peer::{Peer, Session, somebody};
use parlor_tests::plugins;
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::process::Process;
use parlor_tests::prosody::{Account, Archive, Prosody};
use parlor_tests::server::XmppServer;
use tokio::time::timeout;
use tokio_xmpp::Stanza;

/// The timeout of everything that is not measured, and of a measured message.
const SOON: Duration = Duration::from_secs(20);

/// The other side of a bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The scripted peer, so that the measured cost is the bot's own.
    Scripted,
    /// A real server.
    Prosody,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scripted => "scripted peer",
            Self::Prosody => "Prosody",
        }
    }
}

/// All running bots and servers. Dropping it ends the bots first, then the servers.
pub(crate) struct Stage {
    pub(crate) pairings: Vec<Pairing>,
    _prosody: XmppServer,
    _folder: Folder,
}

/// The two bots to compare, talking to the same kind of other side.
pub(crate) struct Pairing {
    pub(crate) side: Side,
    pub(crate) plugin: Bot,
    pub(crate) native: Bot,
}

/// A bot that is connected and answers.
pub(crate) struct Bot {
    // The process is dropped first, since its files are in the home.
    program: Program,
    line: Line,
    _home: Home,
}

enum Program {
    Plugin(Host),
    Native(Process),
}

/// The other end of a bot's stream.
enum Line {
    Scripted(Box<Session>),
    Prosody { client: Box<Client>, bot: BareJid },
}

impl Stage {
    pub(crate) async fn set() -> Result<Self> {
        let folder = Folder::new()?;
        let certificate = Certificate::make(&folder)?;
        let prosody = Prosody::start_with(Archive::Nothing).await?;
        let scripted = Pairing {
            side: Side::Scripted,
            plugin: scripted(&certificate, plugin).await?,
            native: scripted(&certificate, native).await?,
        };
        let real = Pairing {
            side: Side::Prosody,
            plugin: on_prosody(&prosody, plugin).await?,
            native: on_prosody(&prosody, native).await?,
        };
        Ok(Self { pairings: vec![scripted, real], _prosody: prosody, _folder: folder })
    }
}

/// Starts a bot with this account on this server.
type Start = fn(&mut Home, &Account, Server<'_>) -> Result<Program>;

async fn scripted(
    certificate: &Certificate,
    start: impl FnOnce(&mut Home, &Account, Server<'_>) -> Result<Program>,
) -> Result<Bot> {
    let peer = Peer::listen(certificate).await?;
    let account = Account { jid: BareJid::new("bot@localhost").context("a bad address")?, password: "any".to_owned() };
    let mut home = Home::new()?;
    let program = start(&mut home, &account, Server::Plain(peer.port(), certificate))?;
    let session = peer.accept(SOON).await.with_context(|| program.tail())?;
    Ok(Bot { program, line: Line::Scripted(Box::new(session)), _home: home })
}

async fn on_prosody(prosody: &XmppServer, start: Start) -> Result<Bot> {
    let account = prosody.fresh_account("bot")?;
    let mut client = Client::login(&prosody.connector()?, &prosody.fresh_account("juliet")?, "balcony").await?;
    client.available().await?;
    let mut home = Home::new()?;
    let server = Server::Direct(prosody.ports().direct, prosody.certificate());
    let program = start(&mut home, &account, server)?;
    let mut bot = Bot { program, line: Line::Prosody { client: Box::new(client), bot: account.jid }, _home: home };
    bot.connected().await?;
    Ok(bot)
}

/// Starts `parlor run` with the echo plugin and without effective limits.
fn plugin(home: &mut Home, account: &Account, server: Server<'_>) -> Result<Program> {
    home.add_account("main", account, server)?;
    let echo = home
        .install("echo", &plugins::built("echo")?)?
        .grant("messages.read", &["*"])
        .grant("messages.send", &["*"])
        .grant("rooms.send", &["*"])
        .limit("messages_per_second", 10_000)
        .limit("messages_burst", 1_000_000)
        .limit("cpu_share", 1.0)
        .limit("cpu_burst", "60 s");
    home.set_policy(&Policy::default().with("echo", echo))?;
    Ok(Program::Plugin(home.start()?))
}

/// Starts the same bot without a plugin host.
fn native(home: &mut Home, account: &Account, server: Server<'_>) -> Result<Program> {
    home.add_account("main", account, server)?;
    let mut command = Command::new(plugins::program("native-echo")?);
    command.arg("--jid").arg(account.jid.as_str()).arg("--password-file").arg(home.password_file("main"));
    let (Server::StartTls(port, certificate)
    | Server::Direct(port, certificate)
    | Server::Plain(port, certificate)
    | Server::WebSocket(port, certificate)
    | Server::Bosh(port, certificate)) = server;
    command.arg("--port").arg(port.to_string()).arg("--ca-file").arg(&certificate.certificate_file);
    if !matches!(server, Server::StartTls(..)) {
        command.arg("--direct");
    }
    if matches!(server, Server::Plain(..)) {
        command.arg("--allow-plain");
    }
    Ok(Program::Native(Process::start("native-echo", command)?))
}

impl Program {
    fn id(&self) -> u32 {
        match self {
            Self::Plugin(host) => host.id(),
            Self::Native(process) => process.id(),
        }
    }

    fn tail(&self) -> String {
        match self {
            Self::Plugin(host) => host.log().tail(),
            Self::Native(process) => process.log().tail(),
        }
    }
}

impl Bot {
    /// Starts `parlor run` on a scripted peer, with a plugin that echoes. `install` adds the plugin to the home.
    pub(crate) async fn repeat(
        certificate: &Certificate,
        id: &str,
        install: impl FnOnce(&Home) -> Result<Entry>,
    ) -> Result<Self> {
        let start = |home: &mut Home, account: &Account, server: Server<'_>| {
            home.add_account("main", account, server)?;
            let entry = install(home)?;
            home.set_policy(&Policy::default().with(id, entry))?;
            Ok(Program::Plugin(home.start()?))
        };
        scripted(certificate, start).await
    }

    /// Returns the id of its process.
    pub(crate) fn process(&self) -> u32 {
        self.program.id()
    }

    /// Sends it a numbered message.
    pub(crate) async fn say(&mut self, number: u64) -> Result<()> {
        let text = format!("message {number}");
        match &mut self.line {
            Line::Scripted(session) => session.say(&somebody(), number, &text).await,
            Line::Prosody { client, bot } => client.chat(bot.clone(), &text).await.map(drop),
        }
    }

    /// Waits for its next message, and returns the number in it.
    pub(crate) async fn hear(&mut self) -> Result<u64> {
        match &mut self.line {
            Line::Scripted(session) => {
                let heard = timeout(SOON, async {
                    loop {
                        if let Some(number) = number(&session.next().await?) {
                            return anyhow::Ok(number);
                        }
                    }
                });
                heard.await.context("the bot does not answer").flatten()
            }
            Line::Prosody { client, .. } => client.wait_for("an answer of the bot", SOON, number).await,
        }
        .with_context(|| self.program.tail())
    }

    /// Forgets the messages that were received.
    pub(crate) fn forget(&mut self) {
        if let Line::Prosody { client, .. } = &mut self.line {
            client.forget();
        }
    }

    /// Waits until a bot on a real server answers. Before its log-in, messages would be stored instead.
    async fn connected(&mut self) -> Result<()> {
        match &self.program {
            Program::Plugin(host) => host.wait_count("account connected", &[], 1, SOON).await.map(drop),
            Program::Native(process) => {
                let connected = |line: &str| (line == "connected").then_some(());
                process.log().wait("connected", &mut Mark::default(), SOON, connected).await
            }
        }
    }
}

fn number(stanza: &Stanza) -> Option<u64> {
    let Stanza::Message(message) = stanza else { return None };
    let body = body(message)?;
    body.strip_prefix("you said: ").unwrap_or(body).strip_prefix("message ")?.parse().ok()
}
