//! The system calls of one echo, as strace counts them on all threads of a bot.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parlor_tests::folder::Folder;
use parlor_tests::process::{Process, Signal};
use xtask::Part;

use crate::bots::{Bot, Contestant, Programs, Side, Stage};
use crate::measure;
use crate::row::{Goal, Row, Unit};

/// The number of messages that are counted.
const MESSAGES: u64 = 500;
/// The most system calls for one echo.
const MOST: f64 = 6.0;
/// How many kinds of calls get a row of their own.
const KINDS: usize = 6;
/// The timeout of strace.
const LIMIT: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(2);

/// Counts for the host and the native bot on Prosody.
pub(crate) async fn rows(programs: &Programs) -> Result<Vec<Row>> {
    let stage = Stage::empty().await?;
    let mut counts = Vec::new();
    for contestant in [Contestant::Parlor, Contestant::Native] {
        let mut bot = stage.start(programs, Side::Prosody, contestant).await?;
        measure::warm_up(&mut bot).await?;
        counts.push(count(&mut bot).await?);
    }
    let [parlor, native] = &counts[..] else { return Ok(Vec::new()) };
    let all = Row::alone(Part::SystemCalls, "all", total(parlor), Unit::Calls).goal(Goal::AtMost(MOST));
    let mut rows = vec![all, Row::alone(Part::SystemCalls, "native: all", total(native), Unit::Calls)];
    let kinds = parlor.iter().take(KINDS);
    rows.extend(kinds.map(|(name, count)| Row::alone(Part::SystemCalls, name, *count, Unit::Calls)));
    Ok(rows)
}

fn total(counts: &[(String, f64)]) -> f64 {
    counts.iter().map(|(_, count)| count).sum()
}

/// Returns how many calls of each kind one echo takes, the most frequent kind first.
async fn count(bot: &mut Bot) -> Result<Vec<(String, f64)>> {
    let folder = Folder::new()?;
    let (process, summary) = (bot.process(), folder.path().join("summary"));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-U", "calls,name", "-o"]).arg(&summary).arg("-p").arg(process.to_string());
    let mut strace = Process::start("strace", strace)?;
    until_traced(process).await.with_context(|| strace.log().tail())?;
    measure::alone(bot, MESSAGES).await?;
    strace.signal(Signal::Interrupt)?;
    strace.wait(LIMIT).await?;
    let text = std::fs::read_to_string(&summary).with_context(|| format!("no summary: {}", strace.log().tail()))?;
    let counts = parse(&text);
    ensure!(!counts.is_empty(), "strace counted nothing: {text}");
    Ok(counts)
}

/// Waits until every thread of the process is traced.
async fn until_traced(process: u32) -> Result<()> {
    let begin = Instant::now();
    while !is_traced(Path::new(&format!("/proc/{process}/task")))? {
        ensure!(begin.elapsed() < LIMIT, "strace does not attach to {process}; it may need to be root");
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

fn is_traced(tasks: &Path) -> Result<bool> {
    for task in std::fs::read_dir(tasks).with_context(|| format!("cannot read {}", tasks.display()))? {
        // A thread may end meanwhile.
        let status = std::fs::read_to_string(task?.path().join("status")).unwrap_or_default();
        if status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|by| by.trim() == "0")) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads strace's summary: a number of calls and a name in each line, between lines of dashes.
#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn parse(summary: &str) -> Vec<(String, f64)> {
    let mut counts: Vec<(String, f64)> = summary
        .lines()
        .filter_map(|line| {
            let (calls, name) = line.trim().split_once(char::is_whitespace)?;
            let (calls, name) = (calls.parse::<f64>().ok()?, name.trim());
            (name != "total").then(|| (name.to_owned(), calls / MESSAGES as f64))
        })
        .collect();
    counts.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_a_count_and_a_name_in_each_line() {
        let summary = "    calls syscall\n--------- ----------------\n      500 writev\n     1250 epoll_wait\n--------- \
                       ----------------\n     1750 total\n";
        assert_eq!(parse(summary), [("epoll_wait".to_owned(), 2.5), ("writev".to_owned(), 1.0)]);
    }
}
