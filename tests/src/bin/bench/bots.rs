//! The bots as processes, and the other sides that they talk to.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jid::BareJid;
use parlor_tests::certificate::Certificate;
use parlor_tests::client::{Client, body};
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::log::Mark;
use parlor_tests::peer::{Peer, Session, somebody};
use parlor_tests::plugins::{self, Built};
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::process::Process;
use parlor_tests::prosody::{Account, Archive, Prosody};
use parlor_tests::server::XmppServer;
use tokio::time::timeout;
use tokio_xmpp::Stanza;

use crate::slixmpp::Slixmpp;

/// The timeout of everything that is not measured, and of a measured message.
const SOON: Duration = Duration::from_secs(20);
/// After this time a message that was not answered is repeated.
const RETRY: Duration = Duration::from_millis(300);

/// The other side of a bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The scripted peer, so that the measured cost is the bot's own.
    Scripted,
    /// A real server.
    Prosody,
}

impl Side {
    pub(crate) const ALL: [Self; 2] = [Self::Scripted, Self::Prosody];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scripted => "scripted peer",
            Self::Prosody => "Prosody",
        }
    }
}

/// An echo bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contestant {
    /// The plugin in the host.
    Parlor,
    /// The plugin in the host of another revision.
    Before,
    /// The same bot without a plugin host, on the host's own connector.
    Native,
    /// The same bot on the client of tokio-xmpp.
    Bare,
    /// The same bot in Python, on slixmpp.
    Slixmpp,
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parlor => "parlor",
            Self::Before => "other revision",
            Self::Native => "native",
            Self::Bare => "tokio-xmpp",
            Self::Slixmpp => "slixmpp",
        })
    }
}

/// The programs that contestants are started from.
pub(crate) struct Programs {
    /// The host of this revision.
    pub(crate) own: Build,
    /// The host of another revision; `None` if there is none to compare with.
    pub(crate) before: Option<Build>,
    /// The Python environment; `None` if it cannot be had.
    pub(crate) slixmpp: Option<Slixmpp>,
}

/// A host, and the echo plugin that it built.
pub(crate) struct Build {
    host: PathBuf,
    pub(crate) echo: Built,
    /// Whether it is of this revision, as the bench is.
    pub(crate) is_own: bool,
}

impl Build {
    /// Finds the host of this revision.
    pub(crate) fn own() -> Result<Self> {
        Ok(Self { host: plugins::program("parlor")?, echo: plugins::built("echo")?, is_own: true })
    }

    /// Finds what `cargo xtask bench --against` has built.
    pub(crate) fn before() -> Result<Self> {
        let folder = plugins::target().join("against/target");
        let file = folder.join("plugins/echo.wasm");
        let digest =
            plugins::digest(&file).context("the other revision is not built; `cargo xtask bench` builds it")?;
        Ok(Self { host: folder.join("release/parlor"), echo: Built { file, digest }, is_own: false })
    }

    /// Finds a plugin for this host: its own echo plugin, or another one of this revision.
    pub(crate) fn plugin(&self, name: &str) -> Result<Built> {
        if name == "echo" { Ok(self.echo.clone()) } else { plugins::built(name) }
    }

    /// Lets this host run what a home has.
    pub(crate) fn take(&self, home: &mut Home) {
        home.set_program(&self.host);
    }
}

impl Programs {
    /// Returns the bots that can be started.
    fn contestants(&self) -> impl Iterator<Item = Contestant> {
        let optional = [(Contestant::Before, self.before.is_some()), (Contestant::Slixmpp, self.slixmpp.is_some())];
        let optional = optional.into_iter().filter(|(_, is_there)| *is_there).map(|(contestant, _)| contestant);
        [Contestant::Parlor, Contestant::Native, Contestant::Bare].into_iter().chain(optional)
    }

    /// Starts a bot with this account on this server.
    fn start(&self, contestant: Contestant, home: &mut Home, account: &Account, server: Server<'_>) -> Result<Program> {
        home.add_account("main", account, server)?;
        let missing = || format!("{contestant} is not installed");
        match contestant {
            Contestant::Parlor => host_with_echo(home, &self.own),
            Contestant::Before => host_with_echo(home, self.before.as_ref().with_context(missing)?),
            Contestant::Native => {
                other(contestant, Command::new(plugins::program("native-echo")?), home, account, server)
            }
            Contestant::Bare => other(contestant, Command::new(plugins::program("bare-echo")?), home, account, server),
            Contestant::Slixmpp => {
                let command = self.slixmpp.as_ref().with_context(missing)?.command(home)?;
                other(contestant, command, home, account, server)
            }
        }
    }
}

/// Starts a host with its echo plugin, without effective limits.
fn host_with_echo(home: &mut Home, build: &Build) -> Result<Program> {
    build.take(home);
    home.set_policy(&Policy::default().with("echo", granted(home.install("echo", &build.echo)?)))?;
    Ok(Program::Host(home.start()?))
}

/// Grants an echo plugin everything, without effective limits.
pub(crate) fn granted(echo: Entry) -> Entry {
    unlimited(echo).grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("rooms.send", &["*"])
}

/// Sets limits that the benchmark does not reach.
pub(crate) fn unlimited(entry: Entry) -> Entry {
    entry
        .limit("messages_per_second", 10_000)
        .limit("messages_burst", 1_000_000)
        .limit("cpu_share", 1.0)
        .limit("cpu_burst", "60 s")
}

/// Starts a bot that is not parlor. All of them take the same arguments.
fn other(
    contestant: Contestant,
    mut command: Command,
    home: &Home,
    account: &Account,
    server: Server<'_>,
) -> Result<Program> {
    let (Server::StartTls(port, certificate)
    | Server::Direct(port, certificate)
    | Server::Plain(port, certificate)
    | Server::WebSocket(port, certificate)
    | Server::Bosh(port, certificate)) = server;
    command.arg("--jid").arg(account.jid.as_str()).arg("--password-file").arg(home.password_file("main"));
    command.arg("--port").arg(port.to_string()).arg("--ca-file").arg(&certificate.certificate_file);
    // tokio-xmpp takes a certificate only from here.
    command.env("SSL_CERT_FILE", &certificate.certificate_file);
    if matches!(server, Server::Plain(..)) {
        command.arg("--allow-plain");
    }
    Ok(Program::Other(Process::start(&contestant.to_string(), command)?))
}

/// All running bots and servers. Dropping it ends the bots first, then the servers.
pub(crate) struct Stage {
    pub(crate) bots: Vec<(Side, Contestant, Bot)>,
    prosody: XmppServer,
    certificate: Certificate,
    _folder: Folder,
}

/// A bot that is connected and answers.
pub(crate) struct Bot {
    // The process is dropped first, since its files are in the home.
    program: Program,
    line: Line,
    _home: Home,
}

enum Program {
    Host(Host),
    Other(Process),
}

/// The other end of a bot's stream.
enum Line {
    Scripted(Box<Session>),
    Prosody { client: Box<Client>, bot: BareJid },
}

impl Stage {
    /// Starts the servers, and no bot yet.
    pub(crate) async fn empty() -> Result<Self> {
        let folder = Folder::new()?;
        let certificate = Certificate::make(&folder)?;
        let prosody = Prosody::start_with(Archive::Nothing).await?;
        Ok(Self { bots: Vec::new(), prosody, certificate, _folder: folder })
    }

    /// Starts the servers, and all bots on both.
    pub(crate) async fn set(programs: &Programs) -> Result<Self> {
        let mut stage = Self::empty().await?;
        for side in Side::ALL {
            for contestant in programs.contestants() {
                let bot = stage.start(programs, side, contestant).await;
                let bot = bot.with_context(|| format!("cannot start {contestant} on {}", side.name()))?;
                stage.bots.push((side, contestant, bot));
            }
        }
        Ok(stage)
    }

    /// Stops the hosts as `kill` does, so that one that counts what it does writes that down.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        for (side, contestant, bot) in &mut self.bots {
            if let Program::Host(host) = &mut bot.program {
                let status = host.stop(SOON).await?;
                ensure!(status.success(), "{contestant} on {} ended with {status}", side.name());
            }
        }
        Ok(())
    }

    /// Starts one bot.
    pub(crate) async fn start(&self, programs: &Programs, side: Side, contestant: Contestant) -> Result<Bot> {
        let start =
            |home: &mut Home, account: &Account, server: Server<'_>| programs.start(contestant, home, account, server);
        match side {
            Side::Scripted => scripted(&self.certificate, start).await,
            Side::Prosody => on_prosody(&self.prosody, start).await,
        }
    }
}

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

async fn on_prosody(
    prosody: &XmppServer,
    start: impl FnOnce(&mut Home, &Account, Server<'_>) -> Result<Program>,
) -> Result<Bot> {
    let account = prosody.fresh_account("bot")?;
    let mut client = Client::login(&prosody.connector()?, &prosody.fresh_account("juliet")?, "balcony").await?;
    client.available().await?;
    let mut home = Home::new()?;
    let server = Server::Direct(prosody.ports().direct, prosody.certificate());
    let program = start(&mut home, &account, server)?;
    let mut bot = Bot { program, line: Line::Prosody { client: Box::new(client), bot: account.jid }, _home: home };
    bot.connected().await.with_context(|| bot.program.tail())?;
    Ok(bot)
}

impl Program {
    fn id(&self) -> u32 {
        match self {
            Self::Host(host) => host.id(),
            Self::Other(process) => process.id(),
        }
    }

    fn tail(&self) -> String {
        match self {
            Self::Host(host) => host.log().tail(),
            Self::Other(process) => process.log().tail(),
        }
    }
}

impl Bot {
    /// Starts `parlor run` on a scripted peer. `policy` installs the plugins in the home and returns their entries.
    pub(crate) async fn host(
        certificate: &Certificate,
        build: &Build,
        policy: impl FnOnce(&Home) -> Result<Policy>,
    ) -> Result<Self> {
        let start = |home: &mut Home, account: &Account, server: Server<'_>| {
            build.take(home);
            home.add_account("main", account, server)?;
            home.set_policy(&policy(home)?)?;
            Ok(Program::Host(home.start()?))
        };
        scripted(certificate, start).await
    }

    /// Waits until so many plugins of its host run.
    pub(crate) async fn until_running(&self, plugins: usize) -> Result<()> {
        let Program::Host(host) = &self.program else { return Ok(()) };
        host.wait_count("plugin running", &[], plugins, SOON).await.map(drop)
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

    /// Waits until a bot on a real server answers. Until the server knows its presence, messages are stored instead.
    async fn connected(&mut self) -> Result<()> {
        match &self.program {
            Program::Host(host) => host.wait_count("account connected", &[], 1, SOON).await.map(drop),
            Program::Other(process) => {
                let connected = |line: &str| (line == "connected").then_some(());
                process.log().wait("connected", &mut Mark::default(), SOON, connected).await
            }
        }?;
        let begin = Instant::now();
        loop {
            self.say(0).await?;
            if timeout(RETRY, self.hear()).await.is_ok() {
                break;
            }
            ensure!(begin.elapsed() < SOON, "it is connected and does not answer");
        }
        // Some bots answer what was stored as well.
        while timeout(RETRY, self.hear()).await.is_ok() {}
        self.forget();
        Ok(())
    }
}

fn number(stanza: &Stanza) -> Option<u64> {
    let Stanza::Message(message) = stanza else { return None };
    let body = body(message)?;
    body.strip_prefix("you said: ").unwrap_or(body).strip_prefix("message ")?.parse().ok()
}
