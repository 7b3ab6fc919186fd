//! The environment of the steps: an XMPP server, a host with three plugins that have a past, `parlor web`, and a browser with an
//! owner's session.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use jid::BareJid;
use parlor_tests::clerk::{self, Clerk};
use parlor_tests::client::Client;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::omemo::{self, Device};
use parlor_tests::policy::Policy;
use parlor_tests::prosody::Prosody;
use parlor_tests::server::XmppServer;
use parlor_tests::web::Web;
use parlor_tests::window::Window;
use parlor_tests::{plugins, ports, webhooks, window};
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::Element;
use xmpp_parsers::presence::Presence;

use crate::browser::{Browser, View};

/// The general timeout.
pub(crate) const SOON: Duration = Duration::from_mins(1);
/// The text of a stranger who wants to take over the owner's browser. Run, it would leave a mark in the page.
pub(crate) const HOSTILE: &str = "x\"'><script>window.stolen=1</script><img src=x onerror=window.stolen=2>{{7*7}}";
/// A secret of a plugin.
const SECRET: &str = "canary-of-the-clerk-5b7f1d";
/// The plugin that notes requests to its webhooks, and the one of them that the steps use.
pub(crate) const RECEIVER: &str = "receiver";
pub(crate) const QUEUE: &str = "queue";
/// The secret of the sender of these requests.
const SENDERS: &str = "canary-of-the-sender-91c0ae";
/// The minutes of a day.
const DAY: i32 = 1_440;

/// Everything that the steps need. Dropping it ends and removes it.
pub(crate) struct Stage {
    // The order of these fields is that in which they end.
    pub(crate) browser: Browser,
    pub(crate) window: Window,
    pub(crate) host: Host,
    pub(crate) home: Home,
    /// An owner, with a client online.
    pub(crate) juliet: Client,
    pub(crate) bot: BareJid,
    pub(crate) clerk: Clerk,
    /// A room out of which the account was kicked, for a reason that a stranger wrote.
    pub(crate) lost: BareJid,
    /// A server of plugins and indexes, which the host and the window trust.
    pub(crate) web: Web,
    pub(crate) prosody: XmppServer,
    /// The address at which the host listens for webhooks.
    hooks: SocketAddr,
    /// The cookies of the owner's session.
    owner: Vec<(String, String)>,
    /// Texts that no page may show.
    secrets: Vec<String>,
}

impl Stage {
    pub(crate) async fn set() -> Result<Self> {
        let prosody = Prosody::start().await?;
        let account = prosody.fresh_account("bot")?;
        let (mut home, web) = (Home::new()?, Web::start().await?);
        home.set_environment("SSL_CERT_FILE", &web.certificate().certificate_file.display().to_string());
        // The log-ins of this machine's user are not used.
        home.set_environment("REGISTRY_AUTH_FILE", &home.path().join("auth.json").display().to_string());
        let hooks = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()?));
        home.set_web("listen", hooks.to_string())?;
        home.add_account("main", &account, Server::StartTls(prosody.ports().starttls, prosody.certificate()))?;
        let person = prosody.fresh_account("juliet")?;
        home.amend("main", "owners", Some(vec![person.jid.to_string()].into()))?;
        let echo = home.install("echo", &plugins::built("echo")?)?;
        let echo = echo.grant("messages.read", &["@localhost"]).grant("messages.send", &["@localhost"]);
        let receiver = home.install(RECEIVER, &plugins::built(RECEIVER)?)?;
        let receiver = receiver.grant_whole("storage").grant_whole("webhooks.receive");
        let receiver = receiver.set("secret", home.keep_secret("sender", SENDERS)?);
        home.set_policy(&Policy::default().with("echo", echo).with(RECEIVER, receiver))?;
        let host = home.start()?;
        host.wait_count("account connected", &[], 1, SOON).await?;
        host.wait_count("webhooks are listened for", &[], 1, SOON).await?;
        host.wait_count("plugin running", &[("plugin", RECEIVER)], 1, SOON).await?;
        let mut juliet = Client::login(&prosody.connector()?, &person, "balcony").await?;
        juliet.available().await?;
        let clerk = Clerk::settle(&home, &mut juliet, &account.jid, prosody.fresh_room()).await?;
        // Somebody whom the page of contacts shows.
        juliet.send(Presence::subscribe().with_to(account.jid.clone())).await?;
        let lost = prosody.fresh_room();
        hostile_words(&home, &host, &mut juliet, &lost).await?;
        known_key(&prosody, &account.jid).await?;
        deliver(&home, hooks, HOSTILE).await?;
        // A window that ran for a day has kept them.
        day_of_samples(&home)?;
        let window = Window::open(&home).await?;
        let browser = Browser::start().await?;
        let secrets = vec![account.password, SECRET.to_owned(), SENDERS.to_owned()];
        let mut stage = Self {
            browser,
            window,
            host,
            home,
            juliet,
            bot: account.jid.clone(),
            clerk,
            lost,
            web,
            prosody,
            hooks,
            owner: Vec::new(),
            secrets,
        };
        stage.browser.view(View::usual(true)).await?;
        let link = stage.link("owner").await?;
        stage.enter(&link).await?;
        stage.owner = stage.browser.cookies().await?;
        ensure!(!stage.owner.is_empty(), "the session has no cookie");
        Ok(stage)
    }

    /// Returns the address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.window.origin())
    }

    /// Opens a page.
    pub(crate) async fn open(&self, path: &str) -> Result<()> {
        self.browser.open(&self.url(path)).await
    }

    /// Has the command make a one-time link for this role, and returns its path.
    pub(crate) async fn link(&self, role: &str) -> Result<String> {
        window::link(&self.home, &["--role", role]).await
    }

    /// Uses a one-time link as a person does, and waits for the first page.
    pub(crate) async fn enter(&self, link: &str) -> Result<()> {
        self.open(link).await?;
        self.browser.press("main form button").await?;
        self.browser.shows(&["main"]).await
    }

    /// Becomes the owner again, as at the beginning.
    pub(crate) async fn be_owner(&self) -> Result<()> {
        self.browser.set_cookies(&self.url("/"), &self.owner).await
    }

    /// Runs a command, which must succeed, and returns its output.
    pub(crate) async fn parlor(&self, arguments: &[&str]) -> Result<String> {
        let finished = self.home.run(arguments).await?;
        ensure!(finished.code == Some(0), "parlor {}: {finished:?}", arguments.join(" "));
        Ok(finished.stdout)
    }

    /// Checks that the page has no secret, whether it shows it or not.
    pub(crate) async fn keeps_secrets(&self) -> Result<()> {
        let source = self.browser.source().await?;
        let found = self.secrets.iter().any(|secret| source.contains(secret.as_str()));
        ensure!(!found, "a secret is in the page at {}", self.browser.address().await?);
        let session = self.owner.iter().any(|(_, value)| source.contains(value.as_str()));
        ensure!(!session, "the session's cookie is in the page at {}", self.browser.address().await?);
        Ok(())
    }

    /// Puts the clerk's next version at its source, and presses the button on its page that checks the source.
    pub(crate) async fn look_for_an_update(&self) -> Result<()> {
        let folder = self.home.path();
        std::fs::copy(folder.join(clerk::NEXT), folder.join(clerk::FILE)).context("the next version of the clerk")?;
        self.browser.press(&format!("form[action='/plugins/{}/update'] button[type=submit]", clerk::ID)).await
    }

    /// Agrees on the page that asks before a change, and waits for the outcome.
    pub(crate) async fn agrees(&self, words: &[&str]) -> Result<()> {
        let asks = "return document.querySelectorAll('#confirm').length";
        self.browser.waits(asks, |count| *count == 1).await.context("nothing asks")?;
        self.browser.shows(words).await?;
        self.browser.press("#confirm").await
    }

    /// Returns the first sentence of the page: the outcome of a change.
    pub(crate) async fn notice(&self) -> Result<String> {
        let script = "return document.querySelector('#notice')?.innerText ?? ''";
        self.browser.waits(script, |text| text.as_str().is_some_and(|text| !text.is_empty())).await?;
        Ok(self.browser.run(script).await?.as_str().unwrap_or_default().to_owned())
    }

    /// Sends a request with this body to the webhook, which must be taken.
    pub(crate) async fn deliver(&self, body: &str) -> Result<()> {
        deliver(&self.home, self.hooks, body).await
    }

    /// Sends a request to this path of a webhook, and returns the status of its answer.
    pub(crate) async fn deliver_to(&self, path: &str, body: &str) -> Result<u16> {
        webhooks::post(self.hooks, path, SENDERS, body).await
    }

    /// Returns the path of the webhook.
    pub(crate) async fn hook(&self) -> Result<String> {
        hook(&self.home).await
    }

    /// Returns a plugin's state, as the status shows it.
    pub(crate) async fn state(&self, id: &str) -> Result<String> {
        let json = self.home.run(&["status", "--json"]).await?.json()?;
        let all = json["plugins"].as_array().context("no plugins")?;
        let found = all.iter().find(|one| one["id"] == id).with_context(|| format!("no plugin {id}"))?;
        Ok(found["state"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn keep_logs(&self) {
        parlor_tests::log::keep("web-host", self.host.log());
        parlor_tests::log::keep("web-window", self.window.log());
    }
}

/// Returns the path of the webhook, as the command shows it.
async fn hook(home: &Home) -> Result<String> {
    let shown = home.run(&["plugin", "hooks", RECEIVER, "--json"]).await?.json()?;
    webhooks::paths(&shown[0]).remove(QUEUE).context("the webhook has no address")
}

/// Sends a request with this body to the webhook at this address.
async fn deliver(home: &Home, at: SocketAddr, body: &str) -> Result<()> {
    let status = webhooks::post(at, &hook(home).await?, SENDERS, body).await?;
    ensure!(status == 202, "a request to the webhook is answered with {status}");
    Ok(())
}

/// Writes samples of nearly a day into the file of the plots, with an hour between them in which no host ran.
fn day_of_samples(home: &Home) -> Result<()> {
    let minute = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 60)?;
    let mut bytes = b"parlorp1".to_vec();
    for ago in (1..DAY - 40).rev().filter(|ago| !(300..360).contains(ago)) {
        let wave = f64::from((ago % 120 - 60).abs());
        bytes.extend((minute - i64::from(ago)).to_le_bytes());
        // Messages a minute, percent of a core, and bytes.
        for value in [wave / 4.0, wave / 10.0, f64::from(1 << 20) * (90.0 + wave / 8.0)] {
            bytes.extend(value.to_le_bytes());
        }
    }
    bytes.extend((-1_i64).to_le_bytes());
    // The file has room for a sample of each minute.
    bytes.resize(8 + 32 * usize::try_from(DAY)?, 0);
    let folder = home.path().join("data/window");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    std::fs::write(folder.join("plots"), bytes).context("the samples of the plots")
}

/// Has strangers write hostile words wherever a page shows what they wrote: the log of a plugin, a setting, a room's subject, a
/// nickname, and the reason of a kick. Also keeps a secret of the plugin.
async fn hostile_words(home: &Home, host: &Host, juliet: &mut Client, lost: &BareJid) -> Result<()> {
    let done = |finished: parlor_tests::host::Finished| -> Result<()> {
        ensure!(finished.code == Some(0), "{finished:?}");
        Ok(())
    };
    done(home.run(&["plugin", "config", clerk::ID, "greeting", HOSTILE]).await?)?;
    done(home.run_with(&["plugin", "config", clerk::ID, "token"], &format!("{SECRET}\n")).await?)?;
    let line = serde_json::json!({ "n": 0, "call": "log.write", "args": { "level": "error", "message": HOSTILE } });
    let bot = host.lines("account connected", &[]).first().map(|line| line.get("jid")).context("not connected")?;
    let bot: jid::Jid = bot.parse().context("the bound JID")?;
    juliet.chat(bot, &format!("call {line}")).await?;
    host.wait_count(HOSTILE, &[], 1, SOON).await.context("the plugin logs nothing")?;
    juliet.join(lost, "\"'><b onmouseover=window.stolen=3>", SOON).await?;
    juliet.unlock(lost, SOON).await?;
    done(home.run(&["rooms", "join", lost.as_str(), "--nick", "bot"]).await?)?;
    let reason = HOSTILE.replace('&', "&amp;").replace('<', "&lt;");
    let kick = format!(
        "<query xmlns='http://jabber.org/protocol/muc#admin'><item nick='bot' role='none'><reason>{reason}</reason></item></query>"
    );
    let payload = kick.parse().context("a kick")?;
    let kick = Iq::Set { from: None, to: Some(lost.clone().into()), id: String::new(), payload };
    juliet.ask(kick, SOON).await?;
    host.wait_count("the account was put out of a room", &[("room", lost.as_str())], 1, SOON).await.map(drop)
}

/// Has somebody write to the account encrypted, so that it knows a key of another person.
async fn known_key(prosody: &XmppServer, bot: &BareJid) -> Result<()> {
    let nurse = prosody.fresh_account("nurse")?;
    let mut nurse = Client::login(&prosody.connector()?, &nurse, "ward").await?;
    nurse.available().await?;
    let mut device = Device::new();
    omemo::publish(&mut nurse, std::slice::from_ref(&device)).await?;
    let begin = Instant::now();
    let found = loop {
        match omemo::fetch(&mut nurse, bot).await {
            Ok(found) if !found.is_empty() => break found,
            // The host publishes its keys after it has logged in.
            _ => ensure!(begin.elapsed() < SOON, "{bot} publishes no keys"),
        }
    };
    let (id, bundle) = found.first().context("a device")?;
    device.meet(*id, bundle)?;
    let words = device.write("good night")?;
    let message = format!("<message xmlns='jabber:client' type='chat' to='{bot}' id='n1'>{words}</message>");
    nurse.send(Stanza::try_from(message.parse::<Element>()?)?).await?;
    // Echo answers, after the host has read it.
    let answer = |stanza: &Stanza| match stanza {
        Stanza::Message(message) if message.from.as_ref().is_some_and(|from| from.to_bare() == *bot) => Some(()),
        _ => None,
    };
    nurse.wait_for("an answer to an encrypted message", SOON, answer).await
}
