//! Benchmark of an archive of 100,000 messages that a plugin reads: throughput, latency and memory.
//!
//! The scripted peer generates the archive on the fly. So only the host or the peer can make this process grow, and
//! both together must stay within the host's bound. The plugin reports the size of its own memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jid::BareJid;
use parlor::host::Host;
use parlor_base::id::InstanceId;
use parlor_config::{Config, Overrides};
use parlor_runtime::account::{Asker, Shared};
use parlor_runtime::compiler::Compiler;
use parlor_runtime::threads::Threads;
use parlor_session::Emit;
use parlor_session::event::{EventName, Payload};
use parlor_session::permissions::{Granted, Grants};
use parlor_session::router::{Filter, MailReceiver, Mailbox};
use parlor_tests::certificate::Certificate;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Server};
use parlor_tests::peer::Peer;
use parlor_tests::peer::archive::{Script, honest};
use parlor_tests::policy::Policy;
use parlor_tests::prosody::Account;
use parlor_tests::{plugins, usage};
use serde_json::Value;
use tokio::time::timeout;
use xtask::Part;

use crate::bots::unlimited;
use crate::row::{Goal, Row, Unit, median};

/// The number of messages in the archive.
const MESSAGES: u64 = 100_000;
/// The number of messages that are read before measuring.
const WARM_UP: u64 = 5_000;
/// How often a page, and the first message of a stream, are measured; the medians are reported.
const ROUNDS: usize = 15;
/// The general timeout.
const LIMIT: Duration = Duration::from_mins(1);
/// How often the memory is sampled.
const LOOK: Duration = Duration::from_millis(20);

/// The expected number of messages per second.
const RATE: f64 = 40_000.0;
/// How many pages the first message may take.
const FIRST: f64 = 1.5;
/// How many MiB the memory of host and plugin may each grow.
const GROWTH: f64 = 8.0;

/// Runs the benchmark, which takes some ten seconds.
pub(crate) async fn rows() -> Result<Vec<Row>> {
    let mut stage = Stage::set().await?;
    stage.read_all(WARM_UP).await?;
    stage.is_large.store(true, Relaxed);
    let (mut pages, mut firsts) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        pages.push(stage.timed("page").await?);
        firsts.push(stage.timed("first").await?);
    }
    let resident = usage::resident_kib(std::process::id())?;
    let peak = Arc::new(AtomicU64::new(resident));
    let watch = tokio::spawn(look(Arc::clone(&peak)));
    let begin = Instant::now();
    let (before, after) = stage.read_all(MESSAGES).await?;
    let took = begin.elapsed();
    watch.abort();
    let grown = peak.load(Relaxed).max(usage::resident_kib(std::process::id())?).saturating_sub(resident);
    stage.host.stop().await;
    stage.peer.abort();
    let (page, first) = (median(pages.into_iter()), median(firsts.into_iter()));
    let row = |what: &str, amount, unit| Row::alone(Part::Archive, what, amount, unit);
    let plugin_mib = number(after.saturating_sub(before)) / f64::from(1 << 20);
    Ok(vec![
        row("messages a second", number(MESSAGES) / took.as_secs_f64(), Unit::PerSecond).goal(Goal::AtLeast(RATE)),
        row("first message of a stream", first, Unit::Micros).beside("one page of 50", page).goal(Goal::AtMost(FIRST)),
        row("host and peer grew by", number(grown) / 1024.0, Unit::Mib).goal(Goal::AtMost(GROWTH)),
        row("the plugin grew by", plugin_mib, Unit::Mib).goal(Goal::AtMost(GROWTH)),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn number(number: u64) -> f64 {
    number as f64
}

/// Samples this process's memory until the task is stopped.
async fn look(peak: Arc<AtomicU64>) {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Ok(now) = usage::resident_kib(std::process::id()) {
            peak.fetch_max(now, Relaxed);
        }
    }
}

/// A host in this process, a plugin that reads, and a peer with the archive.
struct Stage {
    host: Host,
    account: Arc<Shared>,
    peer: tokio::task::JoinHandle<()>,
    /// The plugin's reports.
    said: MailReceiver,
    _mailbox: Arc<Mailbox>,
    is_large: Arc<AtomicBool>,
    _home: Home,
    _folder: Folder,
}

impl Stage {
    async fn set() -> Result<Self> {
        let folder = Folder::new()?;
        let certificate = Certificate::make(&folder)?;
        let is_large = Arc::new(AtomicBool::new(false));
        let large = Arc::clone(&is_large);
        let (mut some, mut all) = (honest(WARM_UP), honest(MESSAGES));
        let script: Script = Box::new(move |asked| if large.load(Relaxed) { all(asked) } else { some(asked) });
        let peer = Peer::listen(&certificate).await?.with_archive(script);
        let account =
            Account { jid: BareJid::new("bot@localhost").context("a bad address")?, password: "any".to_owned() };
        let mut home = Home::new()?;
        home.add_account("main", &account, Server::Plain(peer.port(), &certificate))?;
        let meter = unlimited(home.install("meter", &plugins::built("meter")?)?).grant("archive.read", &["*"]);
        home.set_policy(&Policy::default().with("meter", meter))?;
        let peer = tokio::spawn(async move {
            let Ok(mut session) = peer.accept(LIMIT).await else { return };
            while session.next().await.is_ok() {}
        });
        let host = Host::start(
            Config::load(&home.path().join("parlor.toml"), &Overrides::default())?,
            Compiler::ThisProcess { optimized: true },
            Threads::of_this_machine()?,
        )
        .await?;
        let account = host.account(&"main".parse()?).context("the account is configured")?;
        // When this resolves, plugins listen and the account is connected.
        timeout(LIMIT, account.until("initialized")).await.context("the account does not get ready")??;
        let (mailbox, said) = Mailbox::new(InstanceId::next(), 100, Arc::new(Grants::all()));
        for name in ["meter.done", "meter.failed", "serviceDiscovered"] {
            account.router.subscribe(&mailbox, name, Filter::default(), false);
        }
        let mut stage = Self { host, account, peer, said, _mailbox: mailbox, is_large, _home: home, _folder: folder };
        stage.knows_the_archive().await?;
        Ok(stage)
    }

    /// Waits until the account is known to have an archive.
    async fn knows_the_archive(&mut self) -> Result<()> {
        loop {
            self.emit("archive-page").await?;
            match self.next().await? {
                (name, _) if name == "meter.done" => return Ok(()),
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    async fn emit(&self, call: &str) -> Result<()> {
        let (by, name) = (InstanceId::next(), EventName::from("measure"));
        let payload = Payload::Json(serde_json::json!({ "call": call, "times": 1 }).to_string().into());
        Ok(self.account.ask(Asker::Plugin(by), &Granted::HOST, Emit { by, name, payload }).await?)
    }

    async fn next(&mut self) -> Result<(String, Value)> {
        loop {
            let Ok(mail) = timeout(LIMIT, self.said.recv()).await else {
                let states: Vec<_> = self.host.status().await.into_iter().map(|one| one.state).collect();
                let connection = self.account.connection().borrow().clone();
                bail!("the plugin says nothing: it is {states:?}, and the account {connection:?}");
            };
            let event = mail.context("the mailbox is open")?.event.clone();
            if let Payload::Json(json) = &event.payload {
                return Ok((event.name.to_string(), serde_json::from_str(json)?));
            }
        }
    }

    async fn done(&mut self) -> Result<Value> {
        let (name, value) = self.next().await?;
        ensure!(name == "meter.done", "the plugin failed: {value}");
        Ok(value)
    }

    /// Returns how many microseconds the plugin's request took.
    async fn timed(&mut self, what: &str) -> Result<f64> {
        let begin = Instant::now();
        self.emit(&format!("archive-{what}")).await?;
        self.done().await?;
        Ok(begin.elapsed().as_secs_f64() * 1e6)
    }

    /// Lets the plugin read everything. Returns its linear memory before and after, in bytes.
    async fn read_all(&mut self, expected: u64) -> Result<(u64, u64)> {
        self.emit("archive-all").await?;
        let done = self.done().await?;
        let bytes = |name: &str| done[name].as_u64().with_context(|| format!("no {name}: {done}"));
        ensure!(bytes("count")? == expected, "of {expected} messages, {} came", done["count"]);
        Ok((bytes("before")?, bytes("after")?))
    }
}
