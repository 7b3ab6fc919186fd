//! Kills a host at random moments while requests come to a webhook, and counts those that were acknowledged and lost.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::{Rng, RngExt as _};
use tokio::time::timeout;

use crate::certificate::Certificate;
use crate::folder::Folder;
use crate::host::{Home, Host, Server};
use crate::policy::Policy;
use crate::process::Signal;
use crate::prosody::Account;
use crate::server::DOMAIN;
use crate::{plugins, ports, webhooks};

/// The secret that signs the requests.
const SECRET: &str = "the secret of a webhook";
/// The lifetime of a host before it is killed, in milliseconds.
const LIFE: std::ops::Range<u64> = 20..300;
/// The least number of acknowledged requests for each kill, on average: 10,000 with 200 kills. A host that lives for 160 ms on
/// average takes some three times as many.
const EACH: usize = 50;
/// With fewer kills than this, many lives may be short by chance.
const FEW: usize = 10;
/// The timeout of each step.
const SOON: Duration = Duration::from_mins(1);

/// The requests that were answered with 202.
#[derive(Debug)]
pub struct Acknowledged {
    /// The number of all.
    pub count: usize,
    /// The bodies of requests that were never delivered.
    pub lost: Vec<String>,
}

impl Acknowledged {
    /// Returns the least number that has to be acknowledged with so many kills. That none of a few was lost would show little.
    pub fn least(kills: u32) -> usize {
        let kills = usize::try_from(kills).unwrap_or(usize::MAX);
        if kills < FEW { kills } else { kills.saturating_mul(EACH) }
    }
}

/// Kills a host so often, each time while requests come. `progress` gets the number of kills so far.
pub async fn run(kills: u32, random: &mut impl Rng, mut progress: impl FnMut(u32)) -> Result<Acknowledged> {
    let folder = Folder::new()?;
    let home = home(&Certificate::make(&folder)?)?;
    let (mut host, mut at) = open(&home).await?;
    let path = path(&home).await?;
    let mut acknowledged = Vec::new();
    for kill in 1..=kills {
        let sending = tokio::spawn(send_until_it_ends(at, path.clone(), kill));
        tokio::time::sleep(Duration::from_millis(random.random_range(LIFE))).await;
        host.signal(Signal::Kill)?;
        host.ended(SOON).await?;
        acknowledged.extend(sending.await?);
        (host, at) = open(&home).await?;
        progress(kill);
    }
    timeout(2 * SOON, all_told(&home)).await.context("the plugin is not told of all requests").flatten()?;
    host.stop(SOON).await?;
    let exported = home.run(&["plugin", "data", "receiver", "export"]).await?;
    ensure!(exported.code == Some(0), "the plugin's data cannot be exported: {exported:?}");
    let count = acknowledged.len();
    let texts: HashSet<&str> = exported.stdout.split('"').collect();
    let lost = acknowledged.into_iter().filter(|body| !texts.contains(format!("queue/{body}").as_str()));
    Ok(Acknowledged { count, lost: lost.collect() })
}

/// Makes a home with the plugin `receiver`, on an account that never logs in.
fn home(certificate: &Certificate) -> Result<Home> {
    let mut home = Home::new()?;
    let jid = format!("bot@{DOMAIN}").parse().context("an address")?;
    home.add_account("main", &Account { jid, password: "none".to_owned() }, Server::StartTls(1, certificate))?;
    home.set("auto_login", false)?;
    home.set_web("listen", format!("127.0.0.1:{}", ports::free()?))?;
    let secret = home.keep_secret("secret", SECRET)?;
    let receiver = home.install("receiver", &plugins::built("receiver")?)?.set("secret", secret);
    let receiver = receiver.grant_whole("storage").grant_whole("webhooks.receive").limit("webhook_queue", 1_000_000);
    home.set_policy(&Policy::default().with("receiver", receiver))?;
    Ok(home)
}

/// Starts the host, and waits until it listens and its plugin runs.
async fn open(home: &Home) -> Result<(Host, SocketAddr)> {
    let mut host = home.start()?;
    let at = host.wait("webhooks are listened for", &[], SOON).await?.get("at").parse()?;
    host.wait_count("plugin running", &[], 1, SOON).await?;
    Ok((host, at))
}

/// Returns what `parlor plugin hooks` says.
async fn shown(home: &Home) -> Result<serde_json::Value> {
    let shown = home.run(&["plugin", "hooks", "receiver", "--json"]).await?;
    Ok(shown.json()?[0].take())
}

/// Returns the path of the webhook.
async fn path(home: &Home) -> Result<String> {
    let shown = shown(home).await?;
    let path = webhooks::paths(&shown).remove("queue");
    path.with_context(|| format!("the webhook has no address: {shown}"))
}

/// Waits until no request waits for the plugin any more.
async fn all_told(home: &Home) -> Result<()> {
    while shown(home).await?["waiting"] != 0 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Sends requests, each after the answer to the one before, until the host ends. Returns the bodies of those that were
/// acknowledged.
async fn send_until_it_ends(at: SocketAddr, path: String, kill: u32) -> Vec<String> {
    let mut done = Vec::new();
    for number in 0_u32.. {
        let body = format!("{kill}-{number}");
        match webhooks::post(at, &path, SECRET, &body).await {
            Ok(202) => done.push(body),
            Ok(_) | Err(_) => break,
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_kills_have_ten_thousand_acknowledged_requests() {
        assert_eq!([0, 1, 9, 10, 200].map(Acknowledged::least), [0, 1, 9, 500, 10_000]);
    }
}
