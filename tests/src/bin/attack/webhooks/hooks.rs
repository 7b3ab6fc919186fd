//! The webhooks of the plugin `receiver`, and the tools of a stranger for requests to them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use parlor_tests::log::Mark;
use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use parlor_tests::webhooks::{self, github, status};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::stage::{Plan, SOON, Stage, canary};

/// The secret that requests are signed with.
pub(super) static SECRET: LazyLock<String> = LazyLock::new(|| canary("shared"));
/// The address of senders, unless a case needs several.
pub(super) const SENDER: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// The answer to each request that is refused, without its date.
pub(super) const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\nx-content-type-options: nosniff\r\n\
                                  content-security-policy: default-src 'none'; sandbox\r\nwww-authenticate: Bearer\r\n\
                                  content-length: 0\r\n\r\n";

/// Adds the plugin with webhooks to a plan.
pub(super) fn receiver(mut plan: Plan, change: impl FnOnce(Entry) -> Entry) -> Result<Plan> {
    // The system chooses the port, and the log says which.
    plan.home.set_web("listen", "127.0.0.1:0")?;
    let secret = plan.home.keep_secret("hooks.secret", &SECRET)?;
    let entry = plan.home.install("receiver", &plugins::built("receiver")?)?;
    let entry = entry.grant_whole("storage").grant_whole("webhooks.receive").set("secret", secret);
    // A parked plugin has fewer tasks than it had before the attack.
    Ok(plan.with("receiver", change(entry.limit("idle", "1 h"))))
}

/// The webhooks of a running host.
#[derive(Debug, Clone)]
pub(super) struct Hooks {
    pub(super) at: SocketAddr,
    /// The path of each webhook, by its name.
    pub(super) paths: BTreeMap<String, String>,
}

impl Hooks {
    /// Waits until the host listens, and has the plugin handle a first request, for which the host opens files.
    pub(super) async fn open(stage: &mut Stage) -> Result<Self> {
        // Once more than it has ended before.
        let times = 1 + stage.host.lines("webhooks are no longer listened for", &[]).len();
        let line = stage.host.wait_count("webhooks are listened for", &[], times, SOON).await?;
        stage.logged("plugin running", "receiver").await?;
        let at = line.get("at").parse().with_context(|| format!("no address in {line}"))?;
        let hooks = Self { at, paths: paths(stage, "receiver").await? };
        let first = canary("first");
        ensure!(hooks.signed(&first).await? == 202, "the first request is not taken");
        told(stage, &format!("None [] {first}")).await?;
        stored(stage).await?;
        shown(stage, &[]).await?;
        stage.begin_anew().await?;
        Ok(hooks)
    }

    /// Returns the path of a webhook.
    pub(super) fn path(&self, name: &str) -> Result<&str> {
        self.paths.get(name).map(String::as_str).with_context(|| format!("there is no webhook {name}"))
    }

    /// Sends a signed request to the webhook `queue`. Returns the status of the answer.
    pub(super) async fn signed(&self, body: &str) -> Result<u16> {
        let head = format!("POST {} HTTP/1.1\r\n{}", self.path("queue")?, github(&SECRET, body));
        Ok(status(&self.send(&head, body).await?))
    }

    /// Sends a request to a webhook by its name, with these lines. Returns the answer.
    pub(super) async fn post(&self, name: &str, lines: &str, body: &str) -> Result<String> {
        self.send(&format!("POST {} HTTP/1.1\r\n{lines}", self.path(name)?), body).await
    }

    /// Sends a request with this beginning of its head and this body. Returns the answer, without its date.
    pub(super) async fn send(&self, head: &str, body: &str) -> Result<String> {
        self.send_from(SENDER, head, body).await
    }

    /// Sends a request from this address.
    pub(super) async fn send_from(&self, from: Ipv4Addr, head: &str, body: &str) -> Result<String> {
        let request = format!("{head}host: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        say(from, self.at, request.as_bytes()).await
    }

    /// Checks that a request gets the answer that all refused ones get.
    pub(super) async fn refuses(&self, head: &str, body: &str) -> Result<()> {
        let answer = self.send(head, body).await?;
        ensure!(answer == REFUSED, "{head:.200}: {answer}");
        Ok(())
    }
}

/// Returns the lines of a signature as Slack makes it at this time, in seconds.
pub(super) fn slack(body: &str, at: i64) -> String {
    webhooks::slack(&SECRET, body, at)
}

/// Returns the line with the secret for the webhook that the plugin answers.
pub(super) fn bearer() -> String {
    format!("authorization: Bearer {}\r\n", SECRET.as_str())
}

/// Sends bytes over a separate connection, and returns the received bytes until the host closes it, without the lines
/// that differ between answers. Returns nothing if there is no connection.
pub(super) async fn say(from: Ipv4Addr, at: SocketAddr, bytes: &[u8]) -> Result<String> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let Ok(mut stream) = socket.connect(at).await else { return Ok(String::new()) };
    // The host may answer, or close the connection, before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = timeout(SOON, stream.read_to_end(&mut answer)).await;
    let _ = read.context("the host neither answers nor closes the connection")?;
    let answer = String::from_utf8_lossy(&answer);
    let lines =
        answer.split_inclusive("\r\n").filter(|line| !line.starts_with("date: ") && *line != "connection: close\r\n");
    Ok(lines.collect())
}

/// Returns what `parlor plugin hooks` says of the plugin `receiver`.
pub(super) async fn shown(stage: &Stage, more: &[&str]) -> Result<Value> {
    shown_of(stage, "receiver", more).await
}

/// Returns what it says of any plugin.
async fn shown_of(stage: &Stage, plugin: &str, more: &[&str]) -> Result<Value> {
    let arguments = [&["plugin", "hooks", plugin, "--json"], more].concat();
    let finished = stage.home.run(&arguments).await?;
    ensure!(finished.code == Some(0), "{finished:?}");
    Ok(finished.json()?[0].take())
}

/// Returns the path of each webhook of a plugin, once the host knows all of them.
pub(super) async fn paths(stage: &Stage, plugin: &str) -> Result<BTreeMap<String, String>> {
    let deadline = Instant::now() + SOON;
    loop {
        let shown = shown_of(stage, plugin, &[]).await?;
        let (paths, all) = (webhooks::paths(&shown), shown["webhooks"].as_array().map_or(0, Vec::len));
        if all > 0 && paths.len() == all {
            return Ok(paths);
        }
        ensure!(Instant::now() < deadline, "the webhooks have no addresses: {shown}");
    }
}

/// Returns the number of requests that the host has taken.
pub(super) async fn taken(stage: &Stage) -> Result<usize> {
    Ok(shown(stage, &[]).await?["requests"].as_array().map_or(0, Vec::len))
}

/// Returns the data that the plugin has stored, a line for each delivered body.
pub(super) async fn stored(stage: &Stage) -> Result<String> {
    let exported = stage.home.run(&["plugin", "data", "receiver", "export"]).await?;
    ensure!(exported.code == Some(0), "{exported:?}");
    Ok(exported.stdout)
}

/// Waits until the plugin has stored the delivery of this body, at this webhook.
pub(super) async fn has_stored(stage: &Stage, webhook: &str, body: &str) -> Result<()> {
    let (deadline, key) = (Instant::now() + SOON, format!("\"{webhook}/{body}\""));
    while !stored(stage).await?.contains(&key) {
        ensure!(Instant::now() < deadline, "the plugin was not told of {key}\n{}", stage.host.log().tail());
    }
    Ok(())
}

/// Waits until the plugin has logged this delivery.
pub(super) async fn told(stage: &Stage, text: &str) -> Result<()> {
    let pick = |line: &str| (line.contains("told ") && line.contains(text)).then_some(());
    stage.host.log().wait(&format!("the plugin was told {text}"), &mut Mark::default(), SOON, pick).await
}
