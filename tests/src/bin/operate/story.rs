//! The environment of the steps: an XMPP server, a host that `parlor init` sets up, a web server, keys, and a client.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use jid::{BareJid, Jid};
use parlor_tests::clerk::Clerk;
use parlor_tests::client::Client;
use parlor_tests::component::with_manifest;
use parlor_tests::host::{Finished, Home, Host};
use parlor_tests::minisign::Key;
use parlor_tests::plugins;
use parlor_tests::prosody::Prosody;
use parlor_tests::server::XmppServer;
use parlor_tests::web::Web;
use tokio_xmpp::minidom::Element;
use xmpp_parsers::iq::Iq;

use crate::screens::Screens;

/// The general timeout.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The namespace of ad-hoc commands (XEP-0050).
pub(crate) const COMMANDS: &str = "http://jabber.org/protocol/commands";

/// Everything that the steps need. Dropping it ends and removes it.
pub(crate) struct Story {
    pub(crate) juliet: Client,
    pub(crate) host: Option<Host>,
    pub(crate) home: Home,
    pub(crate) web: Web,
    pub(crate) prosody: XmppServer,
    pub(crate) bot: BareJid,
    pub(crate) alice: Key,
    pub(crate) screens: Screens,
    /// The plugin that an owner asks about, while it is installed.
    pub(crate) clerk: Option<Clerk>,
}

impl Story {
    pub(crate) async fn begin(rewrites: bool) -> Result<Self> {
        let prosody = Prosody::start().await?;
        let web = Web::start().await?;
        let mut home = Home::new()?;
        std::fs::remove_file(home.path().join("plugins.toml"))?;
        let certificates = web.certificate().certificate_file.display().to_string();
        home.set_environment("SSL_CERT_FILE", &certificates);
        let account = prosody.fresh_account("juliet")?;
        let mut juliet = Client::login(&prosody.connector()?, &account, "balcony").await?;
        juliet.available().await?;
        let bot = BareJid::new("bot@localhost")?;
        let (alice, screens) = (Key::new(), Screens::new(rewrites));
        Ok(Self { juliet, host: None, home, web, prosody, bot, alice, screens, clerk: None })
    }

    /// Runs a command that must end with this exit code.
    pub(crate) async fn run(&self, arguments: &[&str], code: i32) -> Result<Finished> {
        self.run_with(arguments, "", code).await
    }

    pub(crate) async fn run_with(&self, arguments: &[&str], input: &str, code: i32) -> Result<Finished> {
        let finished = self.home.run_with(arguments, input).await?;
        ensure!(finished.code == Some(code), "parlor {}: {finished:#?}", arguments.join(" "));
        Ok(finished)
    }

    /// Runs a command and keeps its output as a screen.
    pub(crate) async fn show(&mut self, title: &str, arguments: &[&str], code: i32) -> Result<String> {
        let finished = self.run(arguments, code).await?;
        let both = format!("{}{}", finished.stdout, finished.stderr);
        self.screens.keep(title, arguments, &both, self.home.path());
        Ok(both)
    }

    pub(crate) fn policy(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.home.path().join("plugins.toml"))?)
    }

    /// Returns the text of `parlor.toml`.
    pub(crate) fn config(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.home.path().join("parlor.toml"))?)
    }

    /// Saves another configuration, and waits until the host has applied it.
    pub(crate) async fn configure(&self, config: &str) -> Result<()> {
        let read = "configuration read again";
        let before = self.host()?.lines(read, &[]).len();
        self.home.write("parlor.toml", config)?;
        self.host()?.wait_count(read, &[], before + 1, SOON).await.map(drop)
    }

    pub(crate) fn host(&self) -> Result<&Host> {
        self.host.as_ref().context("no host runs")
    }

    /// Starts the host, and waits until it is connected.
    pub(crate) async fn start(&mut self) -> Result<()> {
        let host = self.home.start()?;
        host.wait_count("account connected", &[], 1, SOON).await?;
        self.host = Some(host);
        Ok(())
    }

    /// Builds this version of echo, with further lines under `[permissions]`.
    pub(crate) fn echo(version: &str, more: &str) -> Result<Vec<u8>> {
        let bytes = plugins::built("echo")?.bytes()?;
        with_manifest(&bytes, |text| {
            let text = text.replacen("version = \"0.1.0\"", &format!("version = \"{version}\""), 1);
            text.replacen("[permissions]\n", &format!("[permissions]\n{more}"), 1)
        })
    }

    /// Sends a message to the bot, and waits for the answer.
    pub(crate) async fn talk(&mut self, text: &str) -> Result<()> {
        self.juliet.chat(self.bot.clone(), text).await?;
        self.juliet.wait_body(&self.bot, text, SOON).await.map(drop)
    }

    /// Sends an ad-hoc command with these attributes and form values, and returns the answer.
    pub(crate) async fn command(&mut self, to: &Jid, attributes: &str, filled: &str) -> Result<Element> {
        let payload: Element = format!("<command xmlns='{COMMANDS}' {attributes}>{filled}</command>").parse()?;
        let request = Iq::Set { from: None, to: Some(to.clone()), id: String::new(), payload };
        self.juliet.ask(request, SOON).await?.context("the answer has nothing in it")
    }

    /// Returns a plugin's state, as the status shows it.
    pub(crate) async fn state(&self, id: &str) -> Result<String> {
        let json = self.run(&["status", "--json"], 0).await?.json()?;
        let all = json["plugins"].as_array().context("no plugins")?;
        let found = all.iter().find(|one| one["id"] == id).with_context(|| format!("no plugin {id}"))?;
        Ok(found["state"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the server has the keys of an account, and returns their fingerprint. The time limit is the step's.
    pub(crate) async fn published(&self, account: &str) -> Result<String> {
        loop {
            let json = self.run(&["keys", account, "--json"], 0).await?.json()?;
            let own = &json[0]["omemo"];
            if own["published"] == true {
                return Ok(own["fingerprint"].as_str().unwrap_or_default().to_owned());
            }
        }
    }

    /// Counts the answers to each of the texts with this beginning.
    pub(crate) fn answers(&self, begins: &str) -> BTreeMap<String, usize> {
        let mut answers = BTreeMap::new();
        for stanza in self.juliet.received_xml() {
            if let Some(at) = stanza.find(&format!(">{begins}")) {
                let text: String = stanza[at + 1..].chars().take_while(|one| *one != '<').collect();
                *answers.entry(text).or_default() += 1;
            }
        }
        answers
    }
}

/// Fails unless the text contains these words.
pub(crate) fn says(text: &str, words: &str) -> Result<()> {
    if !text.contains(words) {
        bail!("no {words:?} in:\n{text}");
    }
    Ok(())
}
