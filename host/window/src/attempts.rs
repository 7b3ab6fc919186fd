//! The bound on log-ins that fail, and on requests for links.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The most attempts in a minute, of all people together.
pub(crate) const MOST: usize = 10;
/// The time in which [`MOST`] counts attempts.
pub(crate) const MINUTE: Duration = Duration::from_mins(1);

/// The attempts of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<VecDeque<Instant>>);

impl Attempts {
    /// Counts an attempt. Returns false if there were too many.
    pub(crate) fn are_left(&self) -> bool {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while attempts.front().is_some_and(|first| now.duration_since(*first) >= MINUTE) {
            attempts.pop_front();
        }
        // A refused attempt does not count. So a person who waits for a minute can log in, regardless of others.
        if attempts.len() >= MOST {
            return false;
        }
        attempts.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_attempts_a_minute_are_made_and_no_more() {
        let attempts = Attempts::default();
        assert!((0..MOST).all(|_| attempts.are_left()));
        assert!((0..100).all(|_| !attempts.are_left()));
        tokio::time::advance(MINUTE).await;
        assert!((0..MOST).all(|_| attempts.are_left()));
        assert!(!attempts.are_left());
    }
}
