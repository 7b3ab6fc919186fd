//! The environment of the demo: the server, the host with its plugins, two people with clients, and a server of the web.
#![expect(clippy::print_stderr, reason = "an invitation is printed, beside what programs read")]

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum as _;
use jid::BareJid;
use parlor_tests::client::Client;
use parlor_tests::component::with_credentials_for;
use parlor_tests::front::Front;
use parlor_tests::host::{Home, Host};
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::process::exists;
use parlor_tests::prosody::{Account, Prosody, ROOMS};
use parlor_tests::server::XmppServer;
use parlor_tests::transport::Transport;
use parlor_tests::web::Web;
use parlor_tests::{plugins, ports};
use tokio::net::TcpStream;

use crate::report::Report;

/// The general timeout.
pub(crate) const SOON: Duration = Duration::from_mins(1);
/// The path on the server of the web that wants the token.
pub(crate) const FORECAST: &str = "/forecast";
/// That server's answer to requests with the token.
pub(crate) const WEATHER: &str = "a fine night in Verona";

/// Everything that the demo needs. Dropping it ends and removes it, clients first and the server last.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) juliet: Client,
    pub(crate) romeo: Client,
    pub(crate) host: Host,
    pub(crate) home: Home,
    pub(crate) policy: Policy,
    /// A TLS proxy in front of the server's web port.
    front: Front,
    pub(crate) prosody: XmppServer,
    /// A server of the web that wants a token.
    pub(crate) web: Web,
    pub(crate) secrets: Secrets,
    /// The port at which the host listens for webhooks.
    hooks: u16,
    pub(crate) bot: Account,
    pub(crate) visitor: Account,
    pub(crate) room: BareJid,
}

/// The secrets that the owner keeps for the plugin that uses the web, which never sees them.
#[derive(Debug)]
pub(crate) struct Secrets {
    /// The token that the web server requires.
    pub(crate) token: String,
    /// The secret that signs requests to the plugin's webhook.
    pub(crate) signed: String,
}

impl Secrets {
    fn new() -> Self {
        let [token, signed] = ["token", "signed"].map(|what| format!("{what}-{:032x}", rand::random::<u128>()));
        Self { token, signed }
    }
}

impl Stage {
    /// Starts the server and the host, and logs the clients in.
    pub(crate) async fn set(transport: Transport, report: &mut Report) -> Result<Self> {
        let mut server = None;
        report
            .step("a real Prosody starts, with a certificate of its own", async {
                let prosody = Prosody::start().await?;
                let detail = format!("127.0.0.1:{}", prosody.ports().starttls);
                server = Some(prosody);
                Ok(detail)
            })
            .await?;
        let prosody = server.expect("the step succeeded");
        let bot = prosody.add_account("bot")?;
        let guest = prosody.add_account("visitor")?;
        let connector = prosody.connector()?;
        let juliet_account = prosody.add_account("juliet")?;
        let mut juliet = Client::login(&connector, &juliet_account, "balcony").await?;
        let mut romeo = Client::login(&connector, &prosody.add_account("romeo")?, "garden").await?;
        juliet.available().await?;
        romeo.available().await?;
        let room = BareJid::new(&format!("verona@{ROOMS}")).context("a bad room address")?;
        juliet.join(&room, "juliet", SOON).await?;
        juliet.unlock(&room, SOON).await?;

        let mut home = Home::new()?;
        let front = Front::before(prosody.ports().http, prosody.certificate()).await?;
        let port = transport.port(&prosody, &front);
        home.add_account("main", &bot, transport.by(port, prosody.certificate()))?;
        home.set("auto_join_rooms", vec![room.to_string()])?;
        let (web, secrets, hooks) = (Web::start().await?, Secrets::new(), ports::free()?);
        web.guard(FORECAST, &format!("Bearer {}", secrets.token), "Bearer");
        web.put(FORECAST, WEATHER);
        home.set_web("listen", format!("127.0.0.1:{hooks}"))?;
        home.set_web("ca_file", web.certificate().certificate_file.to_string_lossy().into_owned())?;
        let visitor = visitor(&home, &juliet_account.jid, &web, &secrets)?;
        let policy = policy(&home, &juliet_account.jid)?.with("visitor", visitor);
        home.set_policy(&policy)?;
        let host = home.start()?;
        report
            .step("`parlor run` logs in", async {
                let line = host.wait_count("account connected", &[("account", "main")], 1, SOON).await?;
                let way = transport.to_possible_value().map(|value| value.get_name().to_owned());
                Ok(format!("{} over {}", line.get("jid"), way.unwrap_or_default()))
            })
            .await?;
        report
            .step("four plugins from files run, each by its digest", async {
                for plugin in policy.plugin.keys() {
                    host.wait_count("plugin running", &[("plugin", plugin)], 1, SOON).await?;
                }
                Ok(policy.plugin.keys().cloned().collect::<Vec<_>>().join(", "))
            })
            .await?;
        let occupant = format!("{room}/bot");
        juliet
            .wait_for("the bot in the room", SOON, |stanza| match stanza {
                tokio_xmpp::Stanza::Presence(presence) => (presence.from.as_ref()?.as_str() == occupant).then_some(()),
                _ => None,
            })
            .await?;
        Ok(Self { juliet, romeo, host, home, policy, front, prosody, web, secrets, hooks, bot, visitor: guest, room })
    }

    /// Prints how to join with an ordinary client.
    pub(crate) fn invite(&self) {
        let ports = self.prosody.ports();
        eprintln!(
            "
The host runs on. Join it with an ordinary client (Gajim, Dino, Profanity …):
  account      {visitor}
  password     {password}
  server       127.0.0.1, port {starttls} (STARTTLS) or {direct} (direct TLS)
  certificate  made for this demo, signed by nobody: let the client trust it; it is {certificate}
  talk to      {bot}, or in the room {room}: echo hello
  Profanity    /connect {visitor} server 127.0.0.1 port {starttls} tls trust
Its files are in {home}. Ctrl-C ends it and removes everything.",
            visitor = self.visitor.jid,
            password = self.visitor.password,
            starttls = ports.starttls,
            direct = ports.direct,
            certificate = self.prosody.certificate().certificate_file.display(),
            bot = self.bot.jid,
            room = self.room,
            home = self.home.path().display(),
        );
    }

    /// Saves the logs of a failed demo.
    pub(crate) fn keep_logs(&self) {
        let folder = plugins::target().join("demo-logs");
        let saved = std::fs::create_dir_all(&folder)
            .and_then(|()| self.host.log().save(&folder.join("parlor.log")))
            .and_then(|()| self.prosody.log().save(&folder.join("prosody.log")));
        match saved {
            Ok(()) => eprintln!("logs are kept in {}", folder.display()),
            Err(error) => eprintln!("logs cannot be kept in {}: {error}", folder.display()),
        }
    }

    /// Returns what must be gone afterwards.
    pub(crate) fn traces(&self) -> Traces {
        let ports = self.prosody.ports();
        Traces {
            processes: vec![self.host.id(), self.prosody.id()],
            ports: vec![
                ports.starttls,
                ports.direct,
                ports.http,
                ports.files,
                self.front.port(),
                self.web.port(),
                self.hooks,
            ],
            folders: vec![self.home.path().to_owned(), self.prosody.path().to_owned()],
        }
    }
}

/// The owner's policy: well-behaved plugins get what they need, and snoop may hear and answer one person.
fn policy(home: &Home, juliet: &BareJid) -> Result<Policy> {
    let echo = home
        .install("echo", &plugins::built("echo")?)?
        .grant("messages.read", &["*"])
        .grant("messages.send", &["*"])
        .grant("rooms.send", &["*"]);
    let greeter = home
        .install("greeter", &plugins::built("greeter")?)?
        .grant("messages.read", &["*"])
        .grant("messages.send", &["*"])
        .grant("rooms.read", &["*"])
        .grant("rooms.send", &["*"]);
    let snoop = home
        .install("snoop", &plugins::built("snoop")?)?
        .grant("messages.read", &[juliet.as_str()])
        .grant("messages.send", &[juliet.as_str()]);
    Ok(Policy::default().with("echo", echo).with("greeter", greeter).with("snoop", snoop))
}

/// A plugin that makes the calls that juliet tells it: it may ask one server, with a token that it cannot see, and has a webhook.
fn visitor(home: &Home, juliet: &BareJid, web: &Web, secrets: &Secrets) -> Result<Entry> {
    // The manifest binds the token to the server, whose port was not known before.
    let plugin = with_credentials_for(&plugins::built("caller")?.bytes()?, &web.host())?;
    let entry = home.install_bytes("visitor", &plugin)?;
    Ok(entry
        .grant("messages.read", &[juliet.as_str()])
        .grant("messages.send", &[juliet.as_str()])
        .grant("http.fetch", &[&format!("GET {}", web.url(FORECAST)), &web.address()])
        .grant_whole("webhooks.receive")
        .set("chat", true)
        .set("listens", "webhook")
        .set("pass", home.keep_secret("token", &secrets.token)?)
        .set("signed", home.keep_secret("signed", &secrets.signed)?))
}

/// The processes, ports and folders of a stage.
#[derive(Debug)]
pub(crate) struct Traces {
    processes: Vec<u32>,
    ports: Vec<u16>,
    folders: Vec<PathBuf>,
}

impl Traces {
    /// Checks that all of them are gone.
    pub(crate) async fn gone(&self) -> Result<String> {
        for process in &self.processes {
            ensure!(!exists(*process), "process {process} is still there");
        }
        for port in &self.ports {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await.is_ok() {
                bail!("port {port} is still open");
            }
        }
        for folder in &self.folders {
            ensure!(!folder.exists(), "{} is still there", folder.display());
        }
        let Self { processes, ports, folders } = self;
        Ok(format!("{} processes, {} ports, {} folders", processes.len(), ports.len(), folders.len()))
    }
}
