//! The costs of a message and of a plugin, in counts that are independent of the machine's load. Times are in
//! `cargo xtask bench`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jid::BareJid;
use parlor_tests::certificate::Certificate;
use parlor_tests::client::body;
use parlor_tests::component::that_parks;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Host, Server, Surroundings};
use parlor_tests::peer::{Peer, Session, somebody};
use parlor_tests::plugins::built;
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::process::Signal;
use parlor_tests::prosody::Account;
use parlor_tests::system_calls;
use tokio_xmpp::Stanza;

const SOON: Duration = Duration::from_secs(30);
/// The timeout of a start with plugins that have to be compiled.
const COMPILED: Duration = Duration::from_mins(3);
/// The messages that are counted.
const MESSAGES: u64 = 200;
/// The most allocations for one echo, from the message on the wire to its answer there.
const ALLOCATIONS: u64 = 75;
/// The most allocations of more than 1,032 bytes among them, which are slow: the event for the plugin, the future of its call, and
/// wasmtime's list of what waits to enter the instance.
const LARGE: u64 = 3;
/// The most system calls for one echo. Without load it is 4 or 5; the rest is for a machine on which timers run out meanwhile.
const SYSTEM_CALLS: u64 = 10;
/// The number of further plugins that are counted.
const PLUGINS: u64 = 100;
/// The most bytes of the heap for each plugin. Its memory and its stack are outside of the heap.
const HEAP: u64 = 33 << 10;

/// The events of hooks.
const HOOKS: &str = "hookOutgoing,hookIncoming,hookCommand";
/// The most allocations of one echo beside a hook in no order, more than without that plugin: the host's timers allocate now and
/// then. A message that hooks see takes more.
const BESIDE_A_HOOK: u64 = 2;

/// The most bytes of the heap for each plugin that is parked, with its entry in the policy.
const PARKED: u64 = 6 << 10;

/// A host with plugins on a scripted peer.
struct Stage {
    host: Host,
    session: Session,
    _home: Home,
    _folder: Folder,
}

/// The host's allocations.
#[derive(Debug, Clone, Copy)]
struct Counted {
    allocations: u64,
    /// Those of more than 1,032 bytes.
    large: u64,
    bytes: u64,
}

impl Stage {
    /// Starts a host with a number of echo plugins. The first one gets all messages, the others none of those that are
    /// sent.
    async fn with_echo(plugins: u64) -> Result<Self> {
        let named = |home: &Home, number| echo(home, if number == 0 { "*" } else { "nobody@example.org" });
        Self::with(plugins, named).await
    }

    /// Starts a host with one echo plugin and, if there are two plugins, one that listens as each kind of hook, and that the owner has
    /// put into no order.
    async fn with_hook(plugins: u64) -> Result<Self> {
        let named = |home: &Home, number| {
            if number == 0 {
                return echo(home, "*");
            }
            let hook = home.install("caller", &built("caller")?)?.set("listens", HOOKS);
            let names = ["hooks.outgoing", "hooks.incoming", "hooks.commands"];
            Ok(names.into_iter().fold(hook, |hook, name| hook.grant(name, &["*"])))
        };
        Self::with(plugins, named).await
    }

    /// Starts a host with a number of echo plugins that are soon parked.
    async fn with_parked(plugins: u64) -> Result<Self> {
        let named = |home: &Home, _| {
            let echo = home.install_bytes("echo", &that_parks(&built("echo")?.bytes()?)?)?.limit("idle", "10 ms");
            let echo = echo.grant("messages.read", &["nobody@example.org"]);
            Ok(echo.grant("messages.send", &["*"]).grant("rooms.send", &["*"]))
        };
        let stage = Self::with(plugins, named).await?;
        stage.host.wait_count("plugin parked", &[], usize::try_from(plugins)?, SOON).await?;
        Ok(stage)
    }

    async fn with(plugins: u64, entry: impl Fn(&Home, u64) -> Result<Entry>) -> Result<Self> {
        let folder = Folder::new()?;
        let certificate = Certificate::make(&folder)?;
        let peer = Peer::listen(&certificate).await?;
        let mut home = Home::new()?;
        let account = Account { jid: BareJid::new("bot@localhost")?, password: "any".to_owned() };
        home.add_account("main", &account, Server::Plain(peer.port(), &certificate))?;
        let mut policy = Policy::default();
        for number in 0..plugins {
            policy = policy.with(&format!("plugin-{number}"), entry(&home, number)?);
        }
        home.set_policy(&policy)?;
        let host = home.start_in(&Surroundings::Counted, &[])?;
        let session = peer.accept(SOON).await.with_context(|| host.log().tail())?;
        host.wait_count("plugin running", &[], usize::try_from(plugins)?, COMPILED).await?;
        Ok(Self { host, session, _home: home, _folder: folder })
    }

    /// Lets the host answer messages, one after the other.
    async fn talk(&mut self) -> Result<()> {
        for number in 0..MESSAGES {
            let text = format!("message {number}");
            self.session.say(&somebody(), number, &text).await?;
            let answer = tokio::time::timeout(SOON, answer(&mut self.session)).await;
            let answer = answer.with_context(|| self.host.log().tail())??;
            ensure!(answer == text, "{answer}");
        }
        Ok(())
    }

    async fn counted(&mut self) -> Result<Counted> {
        self.host.signal(Signal::Count)?;
        let line = self.host.wait("counted", &[], SOON).await?;
        let count = |name: &str| line.get(name).parse::<u64>();
        Ok(Counted { allocations: count("allocations")?, large: count("large")?, bytes: count("bytes")? })
    }
}

/// Returns the entry of an echo plugin that hears these people.
fn echo(home: &Home, whom: &str) -> Result<Entry> {
    let echo = home.install("echo", &built("echo")?)?.grant("messages.read", &[whom]);
    let echo = echo.grant("messages.send", &["*"]).grant("rooms.send", &["*"]);
    Ok(echo.limit("messages_per_second", 10_000).limit("messages_burst", 10_000).limit("cpu_share", 1.0))
}

async fn answer(session: &mut Session) -> Result<String> {
    loop {
        if let Stanza::Message(message) = session.next().await? {
            return Ok(body(&message).unwrap_or_default().to_owned());
        }
    }
}

#[tokio::test]
async fn one_echo_takes_few_allocations_and_keeps_none() {
    let mut stage = Stage::with_echo(1).await.unwrap();
    stage.talk().await.unwrap();
    let before = stage.counted().await.unwrap();
    stage.talk().await.unwrap();
    let after = stage.counted().await.unwrap();
    let each = (after.allocations - before.allocations) / MESSAGES;
    assert!(each <= ALLOCATIONS, "{each} allocations for one echo");
    let large = (after.large - before.large) / MESSAGES;
    assert!(large <= LARGE, "{large} of them have more than 1,032 bytes");
    let kept = after.bytes.saturating_sub(before.bytes);
    assert!(kept < 100 * MESSAGES, "{kept} bytes are kept of {MESSAGES} messages");
}

/// Messages do not pass by hooks at all while the owner has put none into an order.
#[tokio::test]
async fn a_hook_in_no_order_takes_no_allocation_of_an_echo() {
    let each = async |plugins| {
        let mut stage = Stage::with_hook(plugins).await?;
        stage.talk().await?;
        let before = stage.counted().await?.allocations;
        stage.talk().await?;
        anyhow::Ok((stage.counted().await?.allocations - before) / MESSAGES)
    };
    let (alone, beside) = (each(1).await.unwrap(), each(2).await.unwrap());
    assert!(beside <= alone + BESIDE_A_HOOK, "{beside} allocations for one echo beside a hook, and {alone} without it");
}

#[tokio::test]
async fn one_echo_takes_few_system_calls() {
    let mut stage = Stage::with_echo(1).await.unwrap();
    stage.talk().await.unwrap();
    let process = stage.host.id();
    let counts = system_calls::count(process, stage.talk()).await.unwrap();
    let each = counts.iter().map(|(_, count)| count).sum::<u64>() / MESSAGES;
    assert!(each <= SYSTEM_CALLS, "{each} system calls for one echo: {counts:?}");
}

/// Checks that one more plugin takes at most this much of the heap. `stand` starts a host with a number of plugins, and lets it
/// become idle. The host frees the memory of a task a little after the task has ended.
async fn takes_at_most(bytes: u64, stand: impl AsyncFn(u64) -> Result<Stage>) -> Result<()> {
    let few = stand(1).await?.counted().await?.bytes;
    let mut stage = stand(1 + PLUGINS).await?;
    let begin = Instant::now();
    loop {
        let each = stage.counted().await?.bytes.saturating_sub(few) / PLUGINS;
        if each <= bytes {
            return Ok(());
        }
        ensure!(begin.elapsed() < SOON, "{each} bytes for one plugin");
    }
}

#[tokio::test]
async fn one_more_plugin_takes_little_of_the_heap() {
    let stand = async |plugins| {
        let mut stage = Stage::with_echo(plugins).await?;
        stage.talk().await?;
        Ok(stage)
    };
    takes_at_most(HEAP, stand).await.unwrap();
}

#[tokio::test]
async fn one_more_parked_plugin_takes_very_little_of_the_heap() {
    takes_at_most(PARKED, Stage::with_parked).await.unwrap();
}
