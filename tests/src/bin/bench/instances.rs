//! Many plugins in one process: how soon they run after its start, and how much memory each takes. Each must answer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jid::{BareJid, FullJid, Jid};
use parlor_tests::certificate::Certificate;
use parlor_tests::client::body;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::peer::{Peer, Session};
use parlor_tests::policy::Policy;
use parlor_tests::prosody::{Account, DOMAIN};
use parlor_tests::usage;
use tokio::time::timeout;
use tokio_xmpp::Stanza;
use xtask::Part;

use crate::bots::{Build, granted};
use crate::echo::mib;
use crate::page::Plot;
use crate::row::{Goal, Row, Unit};

/// The numbers of plugins, each with the most milliseconds until all run; `None` if there is no goal.
const COUNTS: [(u32, Option<f64>); 4] = [(1, None), (100, Some(100.0)), (1_000, Some(500.0)), (10_000, None)];
/// The most resident memory of the host with one plugin, in MiB.
const BASE: f64 = 20.0;
/// The most resident memory of each further plugin, in KiB.
const EACH: f64 = 52.0;
/// How long, in seconds, memory must not have fallen to count as settled. A host looks every five seconds whether it was quiet.
const SETTLED: u32 = 12;
const LOOK: Duration = Duration::from_secs(1);
/// The number of messages that are not answered yet.
const IN_FLIGHT: u64 = 100;
/// The timeout of everything that is not measured.
const SOON: Duration = Duration::from_mins(2);

/// The resources of a host with many plugins.
struct Taken {
    /// How long after its start the last plugin ran.
    start: Duration,
    /// Its resident memory once each plugin had answered, in KiB.
    resident_kib: u64,
}

/// Measures a host for each number of plugins.
#[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 of anything")]
pub(crate) async fn rows(build: &Build) -> Result<Vec<Row>> {
    let folder = Folder::new()?;
    let certificate = Certificate::make(&folder)?;
    let (mut rows, mut base) = (Vec::new(), None);
    for (count, most) in COUNTS {
        let taken =
            measured(&certificate, build, count.into()).await.with_context(|| format!("with {count} plugins"))?;
        let start = Row::alone(
            Part::Instances,
            format!("start until the last of {count} runs"),
            taken.start.as_secs_f64() * 1e3,
            Unit::Millis,
        );
        rows.push(start.goal(most.map(Goal::AtMost)));
        let all = Row::alone(Part::Instances, format!("memory with {count}"), mib(taken.resident_kib), Unit::Mib);
        rows.push(all.at(Plot::Plugins, count).goal((count == 1).then_some(Goal::AtMost(BASE))));
        let one = *base.get_or_insert(taken.resident_kib);
        if count > 1 {
            let each = taken.resident_kib.saturating_sub(one) as f64 / f64::from(count - 1);
            let row = Row::alone(Part::Instances, format!("memory of each of {count}"), each, Unit::Kib);
            rows.push(row.goal((count >= 10_000).then_some(Goal::AtMost(EACH))));
        }
    }
    Ok(rows)
}

/// Starts a host twice, since the first start compiles, and measures the second one.
async fn measured(certificate: &Certificate, build: &Build, count: u64) -> Result<Taken> {
    let peer = Peer::listen(certificate).await?;
    let account = Account { jid: BareJid::new("bot@localhost")?, password: "any".to_owned() };
    let mut home = Home::new()?;
    home.add_account("main", &account, Server::Plain(peer.port(), certificate))?;
    build.take(&mut home);
    home.set_policy(&policy(&home, build, count)?)?;
    let mut first = home.start()?;
    running(&first, count).await?;
    // Otherwise the next client that the peer accepts would be this one.
    drop(peer.accept(SOON).await.with_context(|| first.log().tail())?);
    first.stop(SOON).await?;
    let begin = Instant::now();
    let mut host = home.start_at_once()?;
    running(&host, count).await?;
    let start = begin.elapsed();
    let mut session = peer.accept(SOON).await.with_context(|| host.log().tail())?;
    each_answers(&mut session, count).await.with_context(|| host.log().tail())?;
    let resident_kib = settled(host.id()).await?;
    host.stop(SOON).await?;
    Ok(Taken { start, resident_kib })
}

/// Waits until a host has given back what its start has left behind, which it does at most once in five seconds. Returns its
/// resident memory in KiB.
pub(crate) async fn settled(process: u32) -> Result<u64> {
    let (mut least, mut since) = (usage::resident_kib(process)?, 0);
    while since < SETTLED {
        tokio::time::sleep(LOOK).await;
        let now = usage::resident_kib(process)?;
        // Less than a hundredth is chance.
        since = if now < least - least / 100 { 0 } else { since + 1 };
        least = least.min(now);
    }
    Ok(least)
}

async fn running(host: &Host, count: u64) -> Result<()> {
    host.wait_count("plugin running", &[], usize::try_from(count)?, SOON).await.map(drop)
}

/// Returns entries of so many echo plugins, each for messages of one person.
fn policy(home: &Home, build: &Build, count: u64) -> Result<Policy> {
    let echo = home.install("echo", &build.echo)?;
    let entry = |number| granted(echo.clone()).grant("messages.read", &[person(number).to_bare().as_str()]);
    Ok((0..count).fold(Policy::default(), |policy, number| policy.with(&format!("echo-{number}"), entry(number))))
}

fn person(number: u64) -> FullJid {
    FullJid::new(&format!("person-{number}@{DOMAIN}/x")).expect("an address")
}

/// Sends a message for each plugin, and checks that each is answered once, to its sender.
async fn each_answers(session: &mut Session, count: u64) -> Result<()> {
    let mut said = 0;
    let mut has_answered = vec![false; usize::try_from(count)?];
    for heard in 0..count {
        while said < count && said - heard < IN_FLIGHT {
            session.say(&person(said), said, &format!("message {said}")).await?;
            said += 1;
        }
        let number = timeout(SOON, answer(session)).await.context("a plugin does not answer")??;
        let place = has_answered.get_mut(number).with_context(|| format!("an answer to nobody: {number}"))?;
        ensure!(!std::mem::replace(place, true), "a second answer to {number}");
    }
    Ok(())
}

/// Waits for the next answer, and returns the number of the person that it is for.
async fn answer(session: &mut Session) -> Result<usize> {
    loop {
        let Stanza::Message(message) = session.next().await? else { continue };
        let text = body(&message).context("an answer without text")?;
        let number = text.rsplit(' ').next().and_then(|number| number.parse::<u64>().ok());
        let number = number.with_context(|| format!("an answer of somebody else: {text}"))?;
        let to = message.to.map(Jid::into_bare);
        ensure!(to == Some(person(number).to_bare()), "the answer to {number} goes to {to:?}");
        return Ok(usize::try_from(number)?);
    }
}
