//! Counts the system calls of another process by strace, on all of its threads.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::folder::Folder;
use crate::process::{Process, Signal};

/// The timeout of strace.
const LIMIT: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(2);

/// Returns how many calls of each kind a process makes while `work` is done, the most frequent kind first.
pub async fn count(process: u32, work: impl Future<Output = Result<()>>) -> Result<Vec<(String, u64)>> {
    let folder = Folder::new()?;
    let summary = folder.path().join("summary");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-U", "calls,name", "-o"]).arg(&summary).arg("-p").arg(process.to_string());
    let mut strace = Process::start("strace", strace)?;
    until_traced(process).await.with_context(|| strace.log().tail())?;
    work.await?;
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
fn parse(summary: &str) -> Vec<(String, u64)> {
    let mut counts: Vec<(String, u64)> = summary
        .lines()
        .filter_map(|line| {
            let (calls, name) = line.trim().split_once(char::is_whitespace)?;
            let (calls, name) = (calls.parse().ok()?, name.trim());
            (name != "total").then(|| (name.to_owned(), calls))
        })
        .collect();
    counts.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_a_count_and_a_name_in_each_line() {
        let summary = "    calls syscall\n--------- ----------------\n      500 writev\n     1250 epoll_wait\n--------- \
                       ----------------\n     1750 total\n";
        assert_eq!(parse(summary), [("epoll_wait".to_owned(), 1250), ("writev".to_owned(), 500)]);
    }
}
