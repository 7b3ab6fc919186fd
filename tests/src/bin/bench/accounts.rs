//! Many accounts in one process: the memory of each, how they log in after a restart of the server, and how long an
//! answer takes while all are busy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use jid::BareJid;
use parlor_tests::certificate::Certificate;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::peer::{Peer, Session, somebody};
use parlor_tests::policy::Policy;
use parlor_tests::prosody::{Account, DOMAIN};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{interval, interval_at, timeout};
use tokio_xmpp::Stanza;
use xtask::Part;

use crate::bots::{Build, granted};
use crate::echo::mib;
use crate::instances::settled;
use crate::measure::share;
use crate::page::Plot;
use crate::row::{Goal, Row, Unit};

/// The numbers of accounts without plugins.
const COUNTS: [u32; 4] = [1, 10, 100, COUNT];
/// The most accounts.
const COUNT: u32 = 1_000;
/// The most memory of each account beside its plugins, in KiB.
const EACH: f64 = 100.0;
/// The most seconds until all accounts are back after a restart of the server.
const BACK: f64 = 60.0;
/// The most log-ins within a second of a server that comes back. More would be a storm.
const STORM: f64 = 150.0;
/// How many times as long as with idle accounts an answer may take at the 99th percentile.
const SLOWER: f64 = 3.0;
/// The messages whose answers are timed.
const PROBES: u64 = 1_000;
/// The time between two of these messages.
const PROBE: Duration = Duration::from_millis(5);
/// The time between two messages to the same busy account.
const PACE: Duration = Duration::from_secs(1);
/// An account that has sent nothing for so long has finished its log-in. After its presence it still publishes its keys, for
/// example, and that must not happen while something is measured.
const QUIET: Duration = Duration::from_secs(2);
/// The timeout of everything that is not measured.
const SOON: Duration = Duration::from_mins(3);

/// Measures hosts with one and with many accounts.
#[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 of anything")]
pub(crate) async fn rows(build: &Build) -> Result<Vec<Row>> {
    let folder = Folder::new()?;
    let certificate = Certificate::make(&folder)?;
    let (mut rows, mut resident) = (Vec::new(), Vec::new());
    for count in COUNTS {
        let stage = Stage::set(&certificate, build, count, &[], |_| Ok(Policy::default())).await?;
        let kib = settled(stage.host.id()).await?;
        resident.push(kib);
        let row = Row::alone(Part::Accounts, format!("memory with {count}, without plugins"), mib(kib), Unit::Mib);
        rows.push(row.at(Plot::Accounts, count));
    }
    let (first, last) = (resident[0], resident[COUNTS.len() - 1]);
    let each = last.saturating_sub(first) as f64 / f64::from(COUNT - 1);
    let memory = Row::alone(Part::Accounts, format!("memory of each of {COUNT}"), each, Unit::Kib);
    rows.push(memory.goal(Goal::AtMost(EACH)));
    let echo = |home: &mut Home| Ok(Policy::default().with("echo", granted(home.install("echo", &build.echo)?)));
    let mut stage = Stage::set(&certificate, build, COUNT, &[], echo).await?;
    rows.push(stage.busy().await?);
    rows.extend(stage.restarted().await?);
    Ok(rows)
}

/// A host with all accounts connected.
pub(crate) struct Stage {
    pub(crate) host: Host,
    pub(crate) sessions: Vec<Session>,
    peer: Arc<Peer>,
    _home: Home,
}

impl Stage {
    /// Starts this host with so many accounts and these arguments. `policy` installs the plugins of each.
    pub(crate) async fn set(
        certificate: &Certificate,
        build: &Build,
        count: u32,
        arguments: &[&str],
        policy: impl FnOnce(&mut Home) -> Result<Policy>,
    ) -> Result<Self> {
        let peer = Arc::new(Peer::listen(certificate).await?);
        let mut home = Home::new()?;
        build.take(&mut home);
        let accounts: Vec<_> = (0..count).map(account).collect::<Result<_>>()?;
        let named = accounts.iter().map(|(name, account)| (name.as_str(), account));
        home.add_accounts(named, Server::Plain(peer.port(), certificate))?;
        let policy = policy(&mut home)?;
        home.set_policy(&policy)?;
        let host = home.start_with(arguments)?;
        let (sessions, _) = accepted(&peer, count).await.with_context(|| host.log().tail())?;
        Ok(Self { host, sessions, peer, _home: home })
    }

    /// Compares the answer times of one account while the others are idle and while each gets a message a second.
    async fn busy(&mut self) -> Result<Row> {
        let mut one = self.sessions.pop().context("there are accounts")?;
        let idle = trips(&mut one).await?;
        let begin = tokio::time::Instant::now();
        let stop: Vec<_> =
            self.sessions.drain(..).enumerate().map(|(at, session)| Busy::begin(session, at, begin)).collect();
        let busy = trips(&mut one).await?;
        for busy in stop {
            self.sessions.push(busy.end().await?);
        }
        self.sessions.push(one);
        let [idle, busy] = [idle, busy].map(|times| share(&times, 99).as_secs_f64() * 1e6);
        let what = format!("round trip p99, {} others with a message a second each", COUNT - 1);
        let row = Row::alone(Part::Accounts, what, busy, Unit::Micros).beside("others idle", idle);
        Ok(row.goal(Goal::AtMost(SLOWER)))
    }

    /// Ends all connections at once, and measures how the accounts come back.
    async fn restarted(mut self) -> Result<[Row; 2]> {
        self.sessions.clear();
        let (_, times) = accepted(&self.peer, COUNT).await.with_context(|| self.host.log().tail())?;
        let all = times.last().context("accounts come back")?.as_secs_f64();
        let back = Row::alone(Part::Accounts, "all back after a restart of the server", all, Unit::Seconds);
        let most = Row::alone(Part::Accounts, "most log-ins within a second", most_in_a_second(&times), Unit::LogIns);
        Ok([back.goal(Goal::AtMost(BACK)), most.goal(Goal::AtMost(STORM))])
    }
}

/// An account that gets a message a second.
pub(crate) struct Busy {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Session>>,
}

impl Busy {
    pub(crate) fn begin(mut session: Session, at: usize, begin: tokio::time::Instant) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            // All accounts together get messages evenly.
            let part = u32::try_from(at)? * PACE / COUNT;
            let mut ticks = interval_at(begin + part, PACE);
            let mut number = 0;
            loop {
                tokio::select! {
                    _ = &mut stopped => return Ok(session),
                    _ = ticks.tick() => {}
                }
                session.say(&somebody(), number, "hello").await?;
                timeout(SOON, answer(&mut session)).await.context("a busy bot does not answer")??;
                number += 1;
            }
        });
        Self { stop, task }
    }

    pub(crate) async fn end(self) -> Result<Session> {
        // A task that failed says so itself.
        let _ = self.stop.send(());
        self.task.await?
    }
}

/// Returns an account of the scripted peer, with its name in the configuration.
pub(crate) fn account(number: u32) -> Result<(String, Account)> {
    let jid = BareJid::new(&format!("bot-{number}@{DOMAIN}"))?;
    Ok((format!("bot-{number}"), Account { jid, password: "any".to_owned() }))
}

/// Waits until so many clients have logged in and have nothing more to do. Returns them, and how long it took until each had
/// logged in, in order.
async fn accepted(peer: &Arc<Peer>, count: u32) -> Result<(Vec<Session>, Vec<Duration>)> {
    let begin = Instant::now();
    let each = (0..count).map(|_| {
        let peer = Arc::clone(peer);
        let accepting = tokio::spawn(async move {
            let mut session = peer.accept(SOON).await?;
            let time = begin.elapsed();
            session.until_quiet(QUIET).await?;
            anyhow::Ok((session, time))
        });
        async { accepting.await? }
    });
    let (sessions, mut times): (Vec<_>, Vec<_>) = try_join_all(each).await?.into_iter().unzip();
    times.sort_unstable();
    Ok((sessions, times))
}

/// Returns the most of these times, which are sorted, within any one second.
#[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 log-ins")]
fn most_in_a_second(times: &[Duration]) -> f64 {
    let within = |from: usize| {
        let end = times[from] + Duration::from_secs(1);
        times[from..].partition_point(|time| *time < end)
    };
    (0..times.len()).map(within).max().unwrap_or_default() as f64
}

/// Returns the answer times of one account, sorted.
async fn trips(session: &mut Session) -> Result<Vec<Duration>> {
    let mut trips = Vec::new();
    let mut ticks = interval(PROBE);
    for number in 0..PROBES {
        ticks.tick().await;
        let begin = Instant::now();
        session.say(&somebody(), number, "hello").await?;
        timeout(SOON, answer(session)).await.context("the bot does not answer")??;
        trips.push(begin.elapsed());
    }
    ensure!(!trips.is_empty(), "nothing was timed");
    trips.sort_unstable();
    Ok(trips)
}

/// Waits for the next message of the bot.
pub(crate) async fn answer(session: &mut Session) -> Result<()> {
    while !matches!(session.next().await?, Stanza::Message(_)) {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_as_many_log_ins_as_any_second_has() {
        let at = |millis: &[u64]| millis.iter().map(|millis| Duration::from_millis(*millis)).collect::<Vec<_>>();
        for (times, most) in [(&[][..], 0.0), (&[0, 999, 1_000], 2.0), (&[0, 900, 1_000, 1_800, 5_000], 3.0)] {
            assert_eq!(most_in_a_second(&at(times)).to_bits(), f64::to_bits(most), "{times:?}");
        }
    }
}
