//! Collects the output lines of a child process, and waits for lines.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The number of lines that are kept; the oldest are dropped first.
const KEPT: usize = 200_000;
/// The length at which a line is truncated.
const LINE: usize = 16 * 1024;
/// The number of lines that an error shows.
const SHOWN: usize = 15;

/// The lines of one process, from both of its outputs. Clones share the same lines.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Lines>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<String>,
    /// The number of lines that were dropped.
    dropped: usize,
    /// The number of outputs that are still open.
    open: usize,
}

impl Log {
    /// Reads an output to its end on a separate thread, so that the process never blocks on a full pipe.
    pub(crate) fn follow(&self, output: impl Read + Send + 'static) {
        self.lines().open += 1;
        let log = self.clone();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            // A read error counts as the end of the output.
            while let Ok(1..) = output.by_ref().take(LINE as u64).read_until(b'\n', &mut line) {
                let mut lines = log.lines();
                if lines.kept.len() == KEPT {
                    lines.kept.pop_front();
                    lines.dropped += 1;
                }
                lines.kept.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
                drop(lines);
                line.clear();
                log.0.news.notify_waiters();
            }
            log.lines().open -= 1;
            log.0.news.notify_waiters();
        });
    }

    /// Returns the number of lines so far, from which a later search may begin.
    pub fn mark(&self) -> Mark {
        let lines = self.lines();
        Mark(lines.dropped + lines.kept.len())
    }

    /// Returns all kept lines.
    pub fn all(&self) -> Vec<String> {
        self.lines().kept.iter().cloned().collect()
    }

    /// Waits for a line at or after `from` for which `pick` returns a value, and moves `from` behind it.
    ///
    /// Fails at the deadline, or if the process has closed its outputs without such a line.
    pub async fn wait<T>(
        &self,
        what: &str,
        from: &mut Mark,
        limit: Duration,
        mut pick: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            let news = self.0.news.notified();
            tokio::pin!(news);
            // Registered before the lines are read, so that a line that comes in between wakes this.
            news.as_mut().enable();
            let open = {
                let lines = self.lines();
                let start = from.0.max(lines.dropped);
                for (index, line) in lines.kept.iter().enumerate().skip(start - lines.dropped) {
                    from.0 = lines.dropped + index + 1;
                    if let Some(found) = pick(line) {
                        return Ok(found);
                    }
                }
                lines.open > 0
            };
            if !open {
                bail!("it ended before: {what}\n{}", self.tail());
            }
            if tokio::time::timeout_at(deadline, news).await.is_err() {
                bail!("not seen within {limit:?}: {what}\n{}", self.tail());
            }
        }
    }

    /// Waits until the process has closed its outputs, which it does when it ends.
    pub async fn ended(&self) {
        loop {
            let news = self.0.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if self.lines().open == 0 {
                return;
            }
            news.await;
        }
    }

    /// Returns the last lines, indented, for an error.
    pub fn tail(&self) -> String {
        let lines = self.lines();
        let mut text = String::from("last lines of its log:");
        if lines.kept.is_empty() {
            text.push_str(" none");
        }
        for line in lines.kept.iter().skip(lines.kept.len().saturating_sub(SHOWN)) {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n    {line}");
        }
        text
    }

    /// Writes all lines to a file.
    pub fn save(&self, to: &Path) -> std::io::Result<()> {
        let mut text = self.all().join("\n");
        text.push('\n');
        std::fs::write(to, text)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // No code panics while it holds the lock halfway through a change, so the lines are whole in any case.
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Saves the log of a process whose test failed, and prints where.
#[expect(clippy::print_stderr, reason = "a failing test shows what it printed")]
pub fn keep(name: &str, log: &Log) {
    let folder = crate::plugins::target().join("test-logs");
    let file = folder.join(format!("{name}-{:08x}.log", rand::random::<u32>()));
    match std::fs::create_dir_all(&folder).and_then(|()| log.save(&file)) {
        Ok(()) => eprintln!("the log of {name}: {}", file.display()),
        Err(error) => eprintln!("the log of {name} cannot be kept: {error}"),
    }
}

/// A position in a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(usize);

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_line_is_found_once_and_the_search_goes_on_behind_it() {
        let log = Log::default();
        log.follow(&b"one\ntwo\none\n"[..]);
        let mut from = Mark::default();
        let one = |line: &str| (line == "one").then_some(());
        log.wait("one", &mut from, SOON, one).await.unwrap();
        log.wait("one again", &mut from, SOON, one).await.unwrap();
        let error = log.wait("one a third time", &mut from, SOON, one).await.unwrap_err().to_string();
        assert!(
            error.starts_with("it ended before: one a third time\nlast lines of its log:\n    one\n    two"),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_at_its_deadline() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let log = Log::default();
        log.follow(reader);
        let error = log.wait("nothing", &mut Mark::default(), SOON, |_| None::<()>).await.unwrap_err().to_string();
        assert!(error.starts_with("not seen within 5s: nothing\nlast lines of its log: none"), "{error}");
    }
}
