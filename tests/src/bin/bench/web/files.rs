//! Files that a plugin uploads and reads, on Prosody and ejabberd: how much the host grows while a large one goes through it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use jid::BareJid;
use parlor_tests::clerk::order;
use parlor_tests::client::Client;
use parlor_tests::ejabberd::Ejabberd;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::server::{Archive, Software, XmppServer};
use parlor_tests::usage;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use xtask::Part;

use crate::bots::{Build, unlimited};
use crate::echo::mib;
use crate::instances::settled;
use crate::row::{Goal, Row, Unit};

/// The bytes of the file.
const FILE: u64 = 100 << 20;
/// The bytes of the files before measuring, and their number.
const SMALL: u64 = 1 << 20;
const WARM_UP: usize = 8;
/// How much of a file is sent and read by one order.
const STEP: u64 = 10 << 20;
/// The bytes of each part that the plugin sends.
const PART: u64 = 64 << 10;
/// The timeout of everything that is not measured.
const SOON: Duration = Duration::from_mins(1);
/// The time between two questions whether the server's service for uploads is known.
const LOOK: Duration = Duration::from_millis(100);
/// The timeout of an upload before measuring.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Measures both ways, on each server that is installed.
#[expect(clippy::print_stderr, reason = "missing rows have a reason")]
pub(super) async fn rows(build: &Build) -> Result<Vec<Row>> {
    let mut rows = rows_on(build, Software::Prosody, "Prosody").await?;
    if Ejabberd::is_installed() {
        rows.extend(rows_on(build, Software::Ejabberd, "ejabberd").await.context("ejabberd")?);
    } else {
        eprintln!("no rows for files on ejabberd, which is not installed");
    }
    Ok(rows)
}

async fn rows_on(build: &Build, software: Software, name: &str) -> Result<Vec<Row>> {
    let server = software.start_with(Archive::Nothing).await?;
    let mut stage = Stage::set(&server, build).await?;
    for _ in 0..WARM_UP {
        let url = stage.upload(SMALL).await?;
        stage.read(&url, SMALL).await?;
    }
    let before = stage.begin().await?;
    let url = stage.upload(FILE).await?;
    let going = row(name, "going", before.grown_kib()?);
    let before = stage.begin().await?;
    stage.read(&url, FILE).await?;
    let coming = row(name, "coming", before.grown_kib()?);
    stage.host.stop(SOON).await?;
    Ok(vec![going, coming])
}

fn row(server: &str, way: &str, grown_kib: u64) -> Row {
    let what = format!("a file of 100 MiB {way}, {server}: the host grew by");
    Row::alone(Part::Web, what, mib(grown_kib), Unit::Mib).goal(Goal::AtMost(super::GROWTH))
}

/// A host with a plugin that does what a person tells it by chat.
struct Stage {
    host: Host,
    juliet: Client,
    bot: BareJid,
    _home: Home,
}

impl Stage {
    async fn set(server: &XmppServer, build: &Build) -> Result<Self> {
        let bot = server.fresh_account("bot")?;
        let mut juliet = Client::login(&server.connector()?, &server.fresh_account("juliet")?, "balcony").await?;
        juliet.available().await?;
        let mut home = Home::new()?;
        build.take(&mut home);
        home.add_account("main", &bot, Server::Direct(server.ports().direct, server.certificate()))?;
        home.set("allow_non_roster_messaging", true)?;
        home.set_web("ca_file", server.certificate().certificate_file.to_string_lossy().into_owned())?;
        let files = server.ports().files;
        home.set_web("local_files", ["127.0.0.1", "[::1]"].map(|address| format!("{address}:{files}")).to_vec())?;
        // It listens to all messages: a plugin may open files of messages that it got.
        let caller = home.install("caller", &built("caller")?)?.set("chat", true).set("listens", "message");
        let caller = ["messages.read", "messages.send", "files.send"]
            .into_iter()
            .fold(unlimited(caller), |caller, name| caller.grant(name, &["*"]))
            .grant_whole("files.read")
            .limit("http_bytes_per_second", "1 GiB");
        home.set_policy(&Policy::default().with("caller", caller))?;
        let host = home.start()?;
        host.wait_count("account connected", &[], 1, SOON).await?;
        let mut stage = Self { host, juliet, bot: bot.jid, _home: home };
        stage.knows_its_uploads().await?;
        Ok(stage)
    }

    /// Waits until the host has found the server's service for uploads.
    async fn knows_its_uploads(&mut self) -> Result<()> {
        let begin = Instant::now();
        loop {
            // The server stores a message that comes before the account's presence, and what is stored is no order.
            let problem = match timeout(ATTEMPT, self.upload(SMALL)).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => format!("the plugin did not answer within {ATTEMPT:?}"),
            };
            ensure!(begin.elapsed() < SOON, "no upload succeeds: {problem}");
            sleep(LOOK).await;
        }
    }

    /// Makes the plugin call this, and returns the result.
    async fn order(&mut self, call: &str, args: &Value) -> Result<Value> {
        let answer = order(&mut self.juliet, &self.bot, call, args).await;
        let mut answer = answer.with_context(|| self.host.log().tail())?;
        match answer.get_mut("ok") {
            Some(result) => Ok(result.take()),
            None => bail!("{call} fails: {answer}"),
        }
    }

    /// Uploads a file, and returns its address.
    async fn upload(&mut self, size: u64) -> Result<String> {
        let args = json!({ "name": "a.png", "media-type": "image/png", "size": size });
        let transfer = self.order("files.upload", &args).await?;
        let mut at = 0;
        while at < size {
            let part = STEP.min(size - at);
            self.order("files.write", &json!({ "transfer": transfer, "size": part, "step": PART })).await?;
            at += part;
        }
        let file = self.order("files.finish", &json!({ "transfer": transfer })).await?;
        file["url"].as_str().map(str::to_owned).context("a file has an address")
    }

    /// Sends the plugin a message with a file, and has it read the whole of it.
    async fn read(&mut self, url: &str, size: u64) -> Result<()> {
        self.juliet.share(&self.bot, url).await?;
        let opened = self.order("files.open", &json!({ "url": url })).await?;
        let args = json!({ "transfer": opened["transfer"], "drain": true, "size": STEP });
        let mut total = 0;
        loop {
            let read = self.order("files.read", &args).await?["total"].as_u64().context("a number of bytes")?;
            total += read;
            if read < STEP {
                break;
            }
        }
        ensure!(total == size, "of {size} bytes, {total} were read");
        Ok(())
    }

    /// Returns the host's memory once it has settled.
    async fn begin(&self) -> Result<usage::Before> {
        settled(self.host.id()).await?;
        usage::Before::growth_of(self.host.id())
    }
}
