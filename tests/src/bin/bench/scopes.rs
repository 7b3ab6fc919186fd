//! The cost of plugins that listen to everybody, and may hear others than the sender. Their number grows; the scope of
//! one matches. Also the cost of a plugin that is a hook, as long as the owner has put it into no order.

use anyhow::Result;
use parlor_tests::certificate::Certificate;
use parlor_tests::folder::Folder;
use parlor_tests::host::Home;
use parlor_tests::plugins;
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::prosody::DOMAIN;
use xtask::Part;

use crate::bots::{Bot, Build, granted};
use crate::measure::{self, Round};
use crate::page::Plot;
use crate::row::{Goal, Row, Unit, median};

/// The numbers of plugins.
const COUNTS: [u32; 5] = [1, 10, 100, 1_000, 10_000];
/// How many times as much as with one plugin a message may cost.
const MOST: f64 = 1.1;
/// How often each host takes its turn.
const ROUNDS: usize = 5;
/// How many times as much as without it a message may cost beside a hook in no order.
const BESIDE_A_HOOK: f64 = 1.02;
/// How many pairs of hosts are started. Two hosts that do the same differ by more than the goal for as long as they run.
const HOOK_PAIRS: usize = 10;
/// How often both hosts of a pair take two turns.
const HOOK_ROUNDS: usize = 2;
/// The events of hooks.
const HOOKS: &str = "hookOutgoing,hookIncoming,hookCommand";

/// Measures a host for each number of plugins, in turns.
pub(crate) async fn rows(build: &Build) -> Result<Vec<Row>> {
    let folder = Folder::new()?;
    let certificate = Certificate::make(&folder)?;
    let mut bots = Vec::new();
    for count in COUNTS {
        let mut bot = Bot::host(&certificate, build, |home| policy(home, build, count)).await?;
        measure::warm_up(&mut bot).await?;
        bots.push(bot);
    }
    let mut costs: Vec<Vec<f64>> = vec![Vec::new(); COUNTS.len()];
    for _ in 0..ROUNDS {
        for (bot, costs) in bots.iter_mut().zip(&mut costs) {
            costs.push(cost(bot).await?);
        }
    }
    let one = costs[0].clone();
    let first =
        Row::alone(Part::Scopes, "CPU a message, 100 in flight, 1 plugin", median(one.iter().copied()), Unit::Micros);
    let more = COUNTS.iter().zip(&costs).skip(1).map(|(count, costs)| {
        let ratio = median(costs.iter().zip(&one).map(|(many, one)| many / one));
        let what = format!("CPU a message, 100 in flight, {count} plugins");
        let row = Row::alone(Part::Scopes, what, median(costs.iter().copied()), Unit::Micros);
        let row = row.in_ratio("one plugin", median(one.iter().copied()), ratio).at(Plot::Cpu, *count);
        // Beyond that, the number of plugins is the maximum for a process.
        row.goal((*count <= 1_000).then_some(Goal::AtMost(MOST)))
    });
    let hook = hook(&certificate, build).await?;
    Ok([first.at(Plot::Cpu, 1)].into_iter().chain(more).chain([hook]).collect())
}

/// Returns the CPU time of a message with many in flight, in microseconds.
async fn cost(bot: &mut Bot) -> Result<f64> {
    Ok(Round::run(bot).await?.cpu_together.as_secs_f64() * 1e6)
}

/// Measures the echo bot alone, and beside a plugin that listens as a hook and is in no order.
async fn hook(certificate: &Certificate, build: &Build) -> Result<Row> {
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..HOOK_PAIRS {
        let [without, with] = pair(certificate, build).await?;
        alone.extend(without);
        beside.extend(with);
    }
    let ratio = median(beside.iter().zip(&alone).map(|(beside, alone)| beside / alone));
    let row = Row::alone(
        Part::Scopes,
        "CPU a message, 100 in flight, beside a hook that is in no order",
        median(beside.into_iter()),
        Unit::Micros,
    );
    Ok(row.in_ratio("without it", median(alone.into_iter()), ratio).goal(Goal::AtMost(BESIDE_A_HOOK)))
}

/// Returns the costs of a message in a host with the echo bot alone, and in one with the hook as well.
async fn pair(certificate: &Certificate, build: &Build) -> Result<[Vec<f64>; 2]> {
    let alone = Bot::host(certificate, build, |home| policy(home, build, 1)).await?;
    let beside = Bot::host(certificate, build, |home| {
        let hook = home.install("caller", &plugins::built("caller")?)?.set("listens", HOOKS);
        let names = ["hooks.outgoing", "hooks.incoming", "hooks.commands"];
        let hook = names.into_iter().fold(hook, |hook, name| hook.grant(name, &["*"]));
        Ok(policy(home, build, 1)?.with("caller", hook))
    });
    let beside = beside.await?;
    beside.until_running(2).await?;
    let mut bots = [(alone, Vec::new()), (beside, Vec::new())];
    for (bot, _) in &mut bots {
        measure::warm_up(bot).await?;
    }
    for _ in 0..HOOK_ROUNDS {
        for (bot, costs) in &mut bots {
            costs.push(cost(bot).await?);
        }
        // The other one begins, since a later one may find the machine warmer.
        for (bot, costs) in bots.iter_mut().rev() {
            costs.push(cost(bot).await?);
        }
    }
    Ok(bots.map(|(_, costs)| costs))
}

/// Returns entries of so many echo plugins. The first one hears the sender; the others hear somebody else, some domain, or
/// contacts, of which there is none.
fn policy(home: &Home, build: &Build, count: u32) -> Result<Policy> {
    let echo = home.install("echo", &build.echo)?;
    let entry = |scope: &str| -> Entry { granted(echo.clone()).grant("messages.read", &[scope]) };
    let mut policy = Policy::default().with("echo", entry(&format!("juliet@{DOMAIN}")));
    for number in 1..count {
        let scope = match number % 3 {
            0 => format!("somebody-{number}@{DOMAIN}"),
            1 => format!("@domain-{number}.example"),
            _ => "contacts".to_owned(),
        };
        policy = policy.with(&format!("echo-{number}"), entry(&scope));
    }
    Ok(policy)
}
