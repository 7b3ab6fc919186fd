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
}

impl Silence {
    pub(crate) fn new(now: Duration) -> Self {
        Self { since: now }
    }

    /// Takes in the outcome of a write. A refusal of any kind is an answer, too.
    pub(crate) fn answered(&mut self, now: Duration, answer: &Result<Revision, PutError>) {
        if !matches!(answer, Err(PutError::Unknown)) {
            self.since = now;
        }
    }

    /// Returns whether the stream is to be looked for now. After that, the time begins anew.
    pub(crate) fn is_long(&mut self, now: Duration, is_connected: bool) -> bool {
        let is_long = is_connected && now >= self.since + SILENT;
        // A server that has just been reached has as much time as any other, for example to read its disk.
        if is_long || !is_connected {
            self.since = now;
        }
        is_long
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
            assert!(silence.is_long(ms(8_000), true));
        }
    }

    #[test]
    fn the_time_without_a_connection_is_no_silence() {
        let mut silence = Silence::new(ms(0));
        assert!(!silence.is_long(ms(10_000), false));
        assert!(!silence.is_long(ms(10_010), true), "it has just been reached");
        assert!(silence.is_long(ms(13_000), true));
    }
}
