//! A host that does not listen yet: pages say so at once, and load themselves again until it does.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use parlor::control::client::{self, STARTING};
use parlor_window::Problem;

/// How long a page waits for a host that does not listen yet. Most hosts do by then.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How often the page is loaded again meanwhile, in seconds.
const AGAIN: u32 = 2;

/// When pages found that the host does not listen yet: the first time and the last time.
#[derive(Debug, Default)]
pub(super) struct Starting(Mutex<Option<(Instant, Instant)>>);

impl Starting {
    /// Returns the problem of a host that does not listen yet, or is stopping, after waiting this long. The page loads itself again, but
    /// not for ever: one that is only open would keep its session alive.
    pub(super) fn problem(&self, data: &Path, patience: Duration) -> Option<Problem> {
        let silent = client::unready(data, patience);
        let now = Instant::now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(silent) = silent else {
            *seen = None;
            return None;
        };
        // Nobody looked for a while: it is another start.
        let first = seen.filter(|(_, last)| now.duration_since(*last) < STARTING).map_or(now, |(first, _)| first);
        *seen = Some((first, now));
        if now.duration_since(first) >= STARTING {
            return Some(Problem::new(503, silent.to_string()));
        }
        let sentence = "the host is starting or stopping: it may be compiling its plugins, which its log tells; this page looks again \
                        every few seconds";
        Some(Problem::new(503, sentence).refreshing(AGAIN))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use parlor::host::LOCK;

    use super::*;

    #[test]
    fn a_page_looks_again_while_a_host_starts_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let problem = |starting: &Starting| starting.problem(folder.path(), Duration::ZERO);
        let starting = Starting::default();
        assert_eq!(problem(&starting), None, "no host runs");
        let lock = File::create(folder.path().join(LOCK)).unwrap();
        lock.try_lock().unwrap();
        let found = problem(&starting).unwrap();
        assert!(found.status == 503 && found.is_refreshing() && found.sentence.contains("is starting"), "{found:?}");
        let now = Instant::now();
        let Some(early) = now.checked_sub(STARTING) else { return };
        *starting.0.lock().unwrap() = Some((early, now));
        let found = problem(&starting).unwrap();
        assert!(!found.is_refreshing() && found.sentence.contains("stop that host"), "{found:?}");
        // It is another start if nobody looked meanwhile.
        *starting.0.lock().unwrap() = Some((early, early));
        assert!(problem(&starting).unwrap().is_refreshing());
        drop(lock);
        assert_eq!(problem(&starting), None);
        assert!(starting.0.lock().unwrap().is_none());
    }
}
