//! The bound on log-ins that fail, on requests for links, and on lines in the log about what strangers can repeat.

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
pub(crate) struct Attempts {
    recent: Mutex<VecDeque<Instant>>,
    /// Whether the log is to say that there were too many.
    pub(crate) news: News,
}

/// Something that the log says once a minute, since strangers decide how often it happens.
#[derive(Debug, Default)]
pub(crate) struct News(Mutex<Option<Instant>>);

impl News {
    /// Returns whether the log is to say it.
    pub(crate) fn is_news(&self) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if said.is_some_and(|at| now.duration_since(at) < MINUTE) {
            return false;
        }
        *said = Some(now);
        true
    }
}

impl Attempts {
    /// Counts an attempt. Returns false if there were too many.
    pub(crate) fn are_left(&self) -> bool {
        let mut attempts = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
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

    #[tokio::test(start_paused = true)]
    async fn the_log_says_once_a_minute_that_there_were_too_many() {
        let attempts = Attempts::default();
        for _ in 0..3 {
            assert_eq!((0..1_000).filter(|_| attempts.news.is_news()).count(), 1);
            tokio::time::advance(MINUTE).await;
        }
    }
}
