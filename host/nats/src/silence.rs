//! How long NATS has been silent although there is a connection.
//!
//! A server that has no stream for a write does not answer it. A long silence therefore means that the stream may be gone.

use std::time::Duration;

use parlor_cluster::Revision;

use crate::error::PutError;

/// After this time without an answer, the stream may be gone.
const SILENT: Duration = Duration::from_secs(3);

/// The silence of NATS.
#[derive(Debug)]
pub(crate) struct Silence {
    /// When NATS answered last, or the stream was looked for, or there was no connection.
    since: Duration,
    /// How often the stream was looked for since NATS answered last.
    looks: u32,
}

impl Silence {
    pub(crate) fn new(now: Duration) -> Self {
        Self { since: now, looks: 0 }
    }

    /// Takes in the outcome of a write. A refusal of any kind is an answer, too.
    pub(crate) fn answered(&mut self, now: Duration, answer: &Result<Revision, PutError>) {
        if !matches!(answer, Err(PutError::Unknown)) {
            (self.since, self.looks) = (now, 0);
        }
    }

    /// Returns whether the stream is to be looked for now. After that, the time begins anew.
    pub(crate) fn is_long(&mut self, now: Duration, is_connected: bool) -> bool {
        let is_long = is_connected && now >= self.since + SILENT;
        // A server that has just been reached has as much time as any other, for example to read its disk.
        if is_long || !is_connected {
            self.since = now;
            self.looks = if is_long { self.looks + 1 } else { 0 };
        }
        is_long
    }

    /// Returns whether the owner is to be told. A node that was suspended finds a long silence, too, and none any more a moment later.
    pub(crate) fn lasts(&self) -> bool {
        self.looks > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn only_writes_without_an_answer_are_silence() {
        let full = PutError::Server { code: 10_077, description: "maximum bytes exceeded".to_owned() };
        for answer in [Ok(7), Err(PutError::Refused), Err(PutError::TooLarge), Err(full)] {
            let mut silence = Silence::new(ms(0));
            silence.answered(ms(2_000), &answer);
            assert!(!silence.is_long(ms(4_000), true), "{answer:?}");
            silence.answered(ms(4_000), &Err(PutError::Unknown));
            assert!(silence.is_long(ms(5_000), true), "{answer:?}");
            assert!(!silence.is_long(ms(7_000), true), "it was looked for");
            assert!(!silence.lasts(), "this process may have been suspended");
            assert!(silence.is_long(ms(8_000), true) && silence.lasts());
            silence.answered(ms(8_010), &answer);
            assert!(!silence.lasts());
        }
    }

    #[test]
    fn the_time_without_a_connection_is_no_silence() {
        let mut silence = Silence::new(ms(0));
        assert!(!silence.is_long(ms(10_000), false));
        assert!(!silence.is_long(ms(10_010), true), "it has just been reached");
        assert!(silence.is_long(ms(13_010), true) && silence.is_long(ms(16_010), true) && silence.lasts());
        assert!(!silence.is_long(ms(16_020), false) && !silence.lasts(), "that is another trouble");
    }
}
