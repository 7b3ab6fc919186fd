//! `cargo xtask cluster`: breaks three nodes of a cluster under traffic, and counts lost and doubled answers.
//!
//! Its last line is `lost 0 · doubled 0 · of N`. The exit code is 0 only if both are 0, no acknowledged value is gone, no node
//! panicked, and accounts were back soon after kills.

mod board;
mod judge;
mod plan;
mod report;
mod stage;
mod store;
mod talk;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use parlor_tests::interrupt::{ended, interruptible};
use tokio::time::{sleep, timeout};
use xtask::Cluster;

use crate::judge::{Hit, Kind, Said, judge};
use crate::plan::Step;
use crate::report::Report;
use crate::stage::Stage;
use crate::talk::Talk;

/// The time limit of the start and of the end, and of each fault.
const AROUND: Duration = Duration::from_mins(10);
const EACH: Duration = Duration::from_mins(3);

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Cluster::parse();
    // An interruption drops what is being done: the processes end, and their folders are removed.
    ended(Box::pin(interruptible(run(&flags))).await)
}

async fn run(flags: &Cluster) -> Result<bool> {
    let seed = flags.seed.unwrap_or_else(rand::random);
    let servers = usize::from(flags.servers);
    let plan = plan::plan(seed, usize::try_from(flags.faults)?, servers);
    let mut report = Report::new(flags, seed);
    let limit = AROUND + EACH * flags.faults;
    let stage = Stage::set(usize::try_from(flags.accounts)?, servers).await?;
    let broken = timeout(limit, Box::pin(break_all(&stage, &plan, &mut report))).await;
    let is_good = broken.with_context(|| format!("not done within {limit:?}")).flatten();
    if !matches!(is_good, Ok(true)) {
        stage.keep_logs().await;
    }
    is_good.with_context(|| format!("seed {seed}"))
}

/// Takes all steps. Returns whether nothing was lost or doubled.
async fn break_all(stage: &Stage, plan: &[Step], report: &mut Report) -> Result<bool> {
    let talk = Talk::begin(stage.somebody().await?, &stage.bots, &stage.board).await?;
    for step in plan {
        talk.volley().await?;
        sleep(step.aim).await;
        let settled = async {
            stage.strike(step).await?;
            stage.settled().await
        };
        let settled = settled.await.with_context(|| format!("after {step:?}"))?;
        report.step(step, stage.board.take_moves(), settled, &stage.board.loads());
    }
    talk.last_answers().await?;
    let noted = talk.noted().await?;
    let said = talk.end().await?;
    let hits = stage.board.hits();
    // Numbers count from 1.
    let verdict =
        judge(&said, &hits, |account, place| noted.get(account).is_some_and(|all| all.contains(&(place + 1))));
    Ok(report.end(&said, &verdict, &answered_after(&said, &hits), &stage.board.defects()))
}

/// Returns how long after each kill of a node alone the account's first answer came to a message that was said after it, unless
/// the next fault hit the account before.
fn answered_after(said: &[Said], hits: &[Hit]) -> Vec<Duration> {
    let first = |kill: &Hit| {
        let later = said.iter().filter(|one| one.to == kill.account && one.at >= kill.at);
        let answered = later.filter_map(|one| Some(one.answers.first()?.at)).min()?;
        let is_hit_before = |hit: &Hit| hit.account == kill.account && kill.at < hit.at && hit.at <= answered;
        (!hits.iter().any(is_hit_before)).then(|| answered.saturating_sub(kill.at))
    };
    hits.iter().filter(|hit| hit.kind == Kind::Killed).filter_map(first).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Answer;

    #[test]
    fn a_kill_is_over_with_the_first_answer_to_a_message_that_was_said_after_it() {
        let at = Duration::from_secs;
        let said = |to, said, answered: &[u64]| Said {
            to,
            at: at(said),
            answers: answered.iter().map(|second| Answer { at: at(*second), ..Answer::default() }).collect(),
            was_returned: false,
        };
        let all = [said(0, 9, &[10, 14]), said(1, 11, &[12]), said(0, 12, &[15]), said(0, 13, &[16]), said(0, 14, &[])];
        let hit = |account, second, kind| [Hit { account, at: at(second), kind }];
        assert_eq!(answered_after(&all, &hit(0, 10, Kind::Killed)), [at(5)]);
        assert!(answered_after(&all, &hit(1, 20, Kind::Killed)).is_empty());
        assert!(answered_after(&all, &hit(0, 10, Kind::KilledBesideAnother)).is_empty());
        let two = |account, second| [hit(0, 10, Kind::Killed), hit(account, second, Kind::Cut)].concat();
        assert!(answered_after(&all, &two(0, 14)).is_empty(), "the cut kept the answer away");
        assert_eq!(answered_after(&all, &two(1, 14)), [at(5)]);
        assert_eq!(answered_after(&all, &two(0, 16)), [at(5)]);
    }
}
