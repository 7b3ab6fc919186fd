//! Nodes of a cluster: how soon accounts run again after the kill of a node, what a node costs beside a host that is alone, and
//! how many values a second plugins store through NATS.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use jid::BareJid;
use parlor_tests::certificate::Certificate;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::nats::{Nats, make_node};
use parlor_tests::peer::Peer;
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::process::Signal;
use parlor_tests::usage;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use xtask::Part;

use crate::accounts::{Busy, Stage, account};
use crate::bots::{Build, granted};
use crate::host::BenchHost;
use crate::measure::share;
use crate::row::{Goal, Row, Unit, median};
use crate::storage;

/// The number of accounts of the cluster.
const ACCOUNTS: u32 = 300;
/// The number of its nodes.
const NODES: usize = 3;
/// The most seconds until an account of a killed node has logged in again, for 99 of 100.
const AWAY: f64 = 5.0;
/// The number of accounts of one node.
const OF_A_NODE: u32 = 100;
/// The most CPU time of a node, as a multiple of that of a host with the same accounts.
const CPU: f64 = 1.1;
/// How long CPU time is measured.
const MEASURED: Duration = Duration::from_secs(20);
/// The least number of values a second that plugins store through NATS.
const SETS: f64 = 5_000.0;
/// How often these are measured; the median is reported.
const ROUNDS: usize = 3;
/// How many clients log in at the same time.
const LOG_INS: usize = 32;
/// The accounts are where they stay once none has logged in for this time.
const BALANCED: Duration = Duration::from_secs(6);
/// The timeout of everything that is not measured.
const SOON: Duration = Duration::from_mins(3);

/// Measures nodes of this host. A node within the bench is of this revision, so it is measured for this revision alone.
pub(crate) async fn rows(build: &Build) -> Result<Vec<Row>> {
    let folder = Folder::new()?;
    let certificate = Certificate::make(&folder)?;
    let mut rows = failover(&certificate, build).await.context("the kill of a node")?;
    rows.push(cpu(&certificate, build).await.context("the CPU time of a node")?);
    if build.is_own {
        rows.push(sets().await.context("values through NATS")?);
    }
    Ok(rows)
}

/// Kills one of three nodes, and measures when its accounts log in again.
async fn failover(certificate: &Certificate, build: &Build) -> Result<Vec<Row>> {
    let (nats, peer) = (Nats::start().await?, Peer::listen(certificate).await?);
    let accounts: Vec<_> = (0..ACCOUNTS).map(account).collect::<Result<_>>()?;
    let mut homes = Vec::new();
    for node in 0..NODES {
        let mut home = Home::new()?;
        build.take(&mut home);
        let named = accounts.iter().map(|(name, account)| (name.as_str(), account));
        home.add_accounts(named, Server::Plain(peer.port(), certificate))?;
        make_node(&mut home, &nats.address(), &format!("node-{node}"))?;
        home.set_policy(&echo(&home, build)?)?;
        homes.push(home);
    }
    let mut presence = Presence::watch(peer);
    let mut nodes = homes.iter().map(Home::start).collect::<Result<Vec<_>>>()?;
    presence.until_all(ACCOUNTS).await.with_context(|| nodes[0].log().tail())?;
    presence.until_quiet().await?;
    let begin = Instant::now();
    nodes[0].signal(Signal::Kill)?;
    let mut away = presence.back_after(begin, ACCOUNTS).await.with_context(|| nodes[1].log().tail())?;
    away.sort_unstable();
    try_join_all(nodes.iter_mut().skip(1).map(stop)).await?;
    let [p50, p99] = [50, 99].map(|percent| share(&away, percent).as_secs_f64());
    let what = format!("away after a kill, {} of {ACCOUNTS} accounts", away.len());
    let most = Row::alone(Part::Cluster, format!("{what}, p99"), p99, Unit::Seconds).goal(Goal::AtMost(AWAY));
    Ok(vec![Row::alone(Part::Cluster, format!("{what}, p50"), p50, Unit::Seconds), most])
}

async fn stop(node: &mut Host) -> Result<()> {
    node.stop(SOON).await.map(drop)
}

fn echo(home: &Home, build: &Build) -> Result<Policy> {
    Ok(Policy::default().with("echo", granted(home.install("echo", &build.echo)?)))
}

/// An account has logged in, or its connection is gone.
struct Change {
    jid: BareJid,
    at: Instant,
    is_there: bool,
}

/// The accounts that are logged in.
struct Presence {
    changes: mpsc::UnboundedReceiver<Change>,
    /// How many connections each account has.
    there: BTreeMap<BareJid, u32>,
    _tasks: JoinSet<()>,
}

impl Presence {
    /// Begins to log clients in, and watches their connections.
    fn watch(peer: Peer) -> Self {
        let (peer, (sender, changes)) = (Arc::new(peer), mpsc::unbounded_channel());
        let mut tasks = JoinSet::new();
        for _ in 0..LOG_INS {
            let (peer, sender) = (Arc::clone(&peer), sender.clone());
            tasks.spawn(async move {
                let mut sessions = JoinSet::new();
                loop {
                    // A client that was killed while it logged in is no client.
                    let Ok(mut session) = peer.accept(SOON).await else { continue };
                    let (jid, sender) = (session.jid().to_bare(), sender.clone());
                    let change = move |is_there| Change { jid: jid.clone(), at: Instant::now(), is_there };
                    // Nobody listens any more at the end.
                    let _ = sender.send(change(true));
                    sessions.spawn(async move {
                        while session.next().await.is_ok() {}
                        let _ = sender.send(change(false));
                    });
                }
            });
        }
        Self { changes, there: BTreeMap::new(), _tasks: tasks }
    }

    async fn next(&mut self) -> Result<Change> {
        let change = self.changes.recv().await.context("nobody logs clients in any more")?;
        let count = self.there.entry(change.jid.clone()).or_default();
        *count = if change.is_there { *count + 1 } else { count.saturating_sub(1) };
        Ok(change)
    }

    fn count(&self) -> usize {
        self.there.values().filter(|count| **count > 0).count()
    }

    /// Waits until so many accounts are there.
    async fn until_all(&mut self, count: u32) -> Result<()> {
        let count = usize::try_from(count)?;
        let all = async {
            while self.count() < count {
                self.next().await?;
            }
            anyhow::Ok(())
        };
        timeout(SOON, all).await.with_context(|| format!("not {count} accounts within {SOON:?}"))?
    }

    /// Waits until nothing has changed for a while.
    async fn until_quiet(&mut self) -> Result<()> {
        let quiet = async { while timeout(BALANCED, self.next()).await.is_ok() {} };
        timeout(SOON, quiet).await.with_context(|| format!("accounts move for more than {SOON:?}"))
    }

    /// Waits until so many accounts are there, of which some go now. Returns how long each of those was away since `begin`.
    async fn back_after(&mut self, begin: Instant, count: u32) -> Result<Vec<Duration>> {
        let count = usize::try_from(count)?;
        let back = async {
            let (mut gone, mut away) = (BTreeSet::new(), Vec::new());
            while gone.is_empty() || self.count() < count {
                let change = self.next().await?;
                if !change.is_there {
                    gone.insert(change.jid);
                } else if gone.contains(&change.jid) {
                    away.push(change.at.saturating_duration_since(begin));
                }
            }
            anyhow::Ok(away)
        };
        let away = timeout(SOON, back).await.with_context(|| format!("not all are back within {SOON:?}"))??;
        ensure!(!away.is_empty(), "the node had no accounts");
        Ok(away)
    }
}

/// Measures the CPU time of a node and of a host that is alone, whose accounts get a message a second each.
async fn cpu(certificate: &Certificate, build: &Build) -> Result<Row> {
    let nats = Nats::start().await?;
    let mut stages = Vec::new();
    for is_node in [true, false] {
        let policy = |home: &mut Home| {
            if is_node {
                make_node(home, &nats.address(), "one")?;
            }
            echo(home, build)
        };
        stages.push(Stage::set(certificate, build, OF_A_NODE, &[], policy).await?);
    }
    let begin = tokio::time::Instant::now();
    let mut busy = Vec::new();
    for stage in &mut stages {
        // Ten times as far apart as a thousand accounts.
        let sessions = stage.sessions.drain(..).enumerate();
        busy.extend(sessions.map(|(at, session)| Busy::begin(session, at * 10, begin)));
    }
    sleep(BALANCED).await;
    let used = || stages.iter().map(|stage| usage::cpu(stage.host.id())).collect::<Result<Vec<_>>>();
    let before = used()?;
    sleep(MEASURED).await;
    let after = used()?;
    for busy in busy {
        busy.end().await?;
    }
    let millis = |at: usize| after[at].saturating_sub(before[at]).as_secs_f64() * 1e3 / MEASURED.as_secs_f64();
    let what = format!("CPU time of a node a second, {OF_A_NODE} accounts with a message a second each");
    let row = Row::alone(Part::Cluster, what, millis(0), Unit::Millis).beside("a host alone", millis(1));
    Ok(row.goal(Goal::AtMost(CPU)))
}

/// Measures how many values plugins store.
async fn sets() -> Result<Row> {
    let nats = Nats::start().await?;
    let host = BenchHost::stand_in_cluster(&built("meter")?, storage::LIMITS, &nats).await?;
    let mut sets = Vec::new();
    for _ in 0..ROUNDS {
        sets.push(storage::sets(&host).await?);
    }
    host.stop().await;
    let row =
        Row::alone(Part::Cluster, "values set through NATS, 64 at a time", median(sets.into_iter()), Unit::PerSecond);
    Ok(row.goal(Goal::AtLeast(SETS)))
}
