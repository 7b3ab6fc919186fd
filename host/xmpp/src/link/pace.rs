//! Decides when to log in again. Pure.

use std::time::Duration;

use parlor_stanza::sieve::lost::Lost;
use parlor_stanza::stream_error::{Return, returns};
use tokio::time::Instant;

use crate::error::ConnectError;

/// The minimum time between two log-ins, for any outcome of the first. Without it, two clients that share a resource
/// would throw each other out hundreds of times a second.
const MIN_INTERVAL: Duration = Duration::from_secs(2);
/// The first and the longest backoff.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);
/// The minimum lifetime of a good connection, if the server ended it.
const STABLE: Duration = Duration::from_secs(10);
/// The minimum lifetime of a good connection, if the network broke it.
const USABLE: Duration = Duration::from_secs(1);
/// The range of the random wait after a server shuts down, so that clients do not all return at once.
const SPREAD: Duration = Duration::from_secs(5);
/// The range of the random wait after connection loss, which may affect many clients at once.
const JOLT: Duration = Duration::from_secs(1);
/// The minimum wait after a server has complained of too much load.
const PENANCE: Duration = Duration::from_secs(30);

/// The divisor of a session's remaining lifetime that bounds a wait, to leave time for another attempt.
const IN_TIME: u32 = 2;

/// Limits a wait so that the session can still be resumed: the server keeps it for `kept` after `cut`. If the session
/// has expired, an early reconnect gains nothing.
pub(super) fn in_time(wait: Duration, kept: Option<Duration>, cut: Instant, now: Instant) -> Duration {
    let left = kept.map_or(Duration::ZERO, |kept| kept.saturating_sub(now - cut));
    if left.is_zero() { wait } else { wait.min((left / IN_TIME).max(MIN_INTERVAL)) }
}

/// The history of log-ins that determines the next wait.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The number of consecutive failures.
    failures: u32,
    /// When the last log-in began.
    began: Option<Instant>,
    /// When the last successful log-in was handed to the link.
    delivered: Option<Instant>,
    /// The kind of wait that the end of the last connection calls for.
    manner: Return,
}

impl Pace {
    /// Returns how long to wait before a log-in that is wanted at `now`. `random` is in [0, 1).
    pub(super) fn wait(&self, now: Instant, random: f64) -> Duration {
        let interval = self.began.map_or(Duration::ZERO, |began| MIN_INTERVAL.saturating_sub(now - began));
        // Full jitter: a thousand clients that lost the same server do not return in step.
        let back_off = match self.failures {
            0 => Duration::ZERO,
            failures => FIRST.saturating_mul(1 << failures.min(10)).min(LONGEST).mul_f64(random),
        };
        let manner = match self.manner {
            Return::AtOnce => Duration::ZERO,
            Return::Soon => JOLT.mul_f64(random),
            Return::Spread => SPREAD.mul_f64(random),
            Return::Slowly => PENANCE + SPREAD.mul_f64(random),
        };
        // The backoff is added to the interval. If the interval were a lower bound, all clients delayed by it would
        // return in step.
        (interval + back_off).min(LONGEST).max(manner)
    }

    /// Records that a connection is wanted, and how the last one ended, if there was one.
    pub(super) fn wanted(&mut self, lost: Option<&Lost>, now: Instant) {
        let (manner, least) = match lost {
            Some(Lost::Cut { .. }) => (Return::Soon, USABLE),
            None | Some(Lost::TimedOut | Lost::Deaf | Lost::Moved | Lost::Torn { .. }) => (Return::AtOnce, USABLE),
            Some(Lost::Closed | Lost::WebSocketClosed { .. }) => (Return::Spread, STABLE),
            Some(Lost::Stream { condition, .. }) => (returns(condition), STABLE),
            Some(Lost::TooLarge { .. } | Lost::Unreadable | Lost::Miscounted | Lost::Bug | Lost::Unknown) => {
                (Return::AtOnce, STABLE)
            }
        };
        self.manner = manner;
        match self.delivered.take() {
            None => {}
            Some(delivered) if now - delivered >= least => self.failures = 0,
            Some(_) => self.failures = self.failures.saturating_add(1),
        }
    }

    /// Records that a log-in begins.
    pub(super) fn began(&mut self, now: Instant) {
        self.began = Some(now);
    }

    /// Records that the log-in failed.
    pub(super) fn failed(&mut self, why: &ConnectError) {
        self.failures = self.failures.saturating_add(1);
        self.manner = match why {
            ConnectError::Stream { condition, .. } | ConnectError::NotBound { condition, .. } => returns(condition),
            ConnectError::HostUnknown { .. } => returns("host-unknown"),
            _ => Return::AtOnce,
        };
    }

    /// Records that the log-in succeeded.
    pub(super) fn delivered(&mut self, now: Instant) {
        self.delivered = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_log_in_waits_for_nothing() {
        assert_eq!(Pace::default().wait(Instant::now(), 0.99), Duration::ZERO);
    }

    #[test]
    fn two_log_ins_are_never_closer_than_the_interval() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.began(start);
        pace.delivered(start);
        pace.wanted(None, start);
        assert_eq!(pace.wait(start, 0.0), MIN_INTERVAL);
        assert_eq!(pace.wait(start + seconds(1), 0.0), seconds(1));
    }

    #[test]
    fn a_session_that_the_server_keeps_for_a_while_is_asked_for_within_it() {
        let cut = Instant::now();
        let wait = |kept: Option<u64>, later: u64| {
            in_time(seconds(50), kept.map(seconds), cut, cut + seconds(later)).as_secs()
        };
        assert_eq!((wait(None, 0), wait(Some(600), 0)), (50, 50));
        assert_eq!((wait(Some(60), 0), wait(Some(60), 30), wait(Some(60), 45)), (30, 15, 7));
        assert_eq!(wait(Some(60), 59), 2, "two log-ins are never closer");
        assert_eq!(wait(Some(60), 60), 50, "it is gone");
    }

    #[test]
    fn the_back_off_doubles_to_a_minute() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.began(start);
        let later = start + seconds(10);
        let ceilings: Vec<u64> = (0..8)
            .map(|_| {
                pace.failed(&ConnectError::HungUp);
                pace.wait(later, 1.0).as_secs()
            })
            .collect();
        assert_eq!(ceilings, [2, 4, 8, 16, 32, 60, 60, 60]);
    }

    fn stream_error(condition: &str) -> Lost {
        Lost::Stream { condition: condition.to_owned(), text: None, elsewhere: None }
    }

    #[test]
    fn a_connection_that_broke_at_once_counts_as_a_failure_and_a_good_one_forgives() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.delivered(start);
        pace.wanted(Some(&stream_error("conflict")), start + seconds(9));
        assert_eq!(pace.wait(start + seconds(9), 1.0), seconds(2));
        pace.delivered(start + seconds(10));
        pace.wanted(Some(&stream_error("conflict")), start + seconds(20));
        assert_eq!(pace.wait(start + seconds(20), 1.0), Duration::ZERO);
        // A connection that the network broke is less suspicious.
        pace.delivered(start + seconds(20));
        pace.wanted(Some(&Lost::TimedOut), start + seconds(21));
        assert_eq!(pace.wait(start + seconds(21), 1.0), Duration::ZERO);
    }

    /// Simulates two hundred accounts whose server ends like this and is gone for this time. Returns the log-ins in the
    /// busiest tenth of a second, and when the last account is back.
    fn busiest(lost: &Lost, gone: Duration) -> (usize, Duration) {
        let start = Instant::now();
        let fell = start + seconds(600);
        let (mut tries, mut end) = (Vec::new(), Duration::ZERO);
        for account in 0..200_u32 {
            let mut pace = Pace::default();
            pace.began(start);
            pace.delivered(start);
            pace.wanted(Some(lost), fell);
            // No two accounts draw the same numbers, but a test draws the same ones each time.
            let mut drawn = f64::from(account) * 0.618_033_988_75 + 0.1;
            let mut now = fell;
            loop {
                drawn = (drawn * 997.0 + 0.271_828_182_8).fract();
                now += pace.wait(now, drawn);
                pace.began(now);
                tries.push(now - fell);
                if now - fell >= gone {
                    break;
                }
                pace.failed(&ConnectError::Refused { address: "127.0.0.1:5222".to_owned() });
            }
            end = end.max(now - fell);
        }
        tries.sort();
        let most = tries.iter().enumerate().map(|(at, begin)| {
            let until = *begin + Duration::from_millis(100);
            tries[at..].iter().take_while(|one| **one < until).count()
        });
        (most.max().unwrap(), end)
    }

    #[test]
    fn two_hundred_accounts_do_not_storm_a_server_that_restarts() {
        let cut = Lost::Cut { cause: None };
        for lost in [stream_error("system-shutdown"), stream_error("internal-server-error"), Lost::Closed, cut] {
            for gone in [0, 1, 3, 10, 60, 600] {
                let (most, last) = busiest(&lost, seconds(gone));
                assert!(most <= 40, "{lost}, {gone} s: {most} in a tenth of a second");
                assert!(last <= seconds(gone) + LONGEST + SPREAD, "{lost}, {gone} s: {last:?}");
            }
        }
    }

    #[test]
    fn a_server_that_goes_down_is_not_stormed_and_one_that_had_enough_is_left_alone() {
        let start = Instant::now();
        let waits = |lost: &Lost, random| {
            let mut pace = Pace::default();
            pace.delivered(start);
            pace.wanted(Some(lost), start + seconds(60));
            pace.wait(start + seconds(60), random)
        };
        for gentle in [stream_error("system-shutdown"), Lost::Closed] {
            assert_eq!((waits(&gentle, 0.0), waits(&gentle, 1.0)), (Duration::ZERO, seconds(5)));
        }
        for stern in ["policy-violation", "resource-constraint"] {
            assert_eq!(waits(&stream_error(stern), 0.0), seconds(30));
        }
        assert_eq!(waits(&stream_error("reset"), 1.0), Duration::ZERO);
        let mut pace = Pace::default();
        pace.failed(&ConnectError::Stream { condition: "policy-violation".to_owned(), text: None });
        assert_eq!(pace.wait(start, 0.0), seconds(30));
        // The server has no room for another session.
        let mut pace = Pace::default();
        let (jid, condition) = ("bot@house/here".parse().unwrap(), "resource-constraint".to_owned());
        pace.failed(&ConnectError::NotBound { jid, condition, text: None });
        assert_eq!(pace.wait(start, 0.0), seconds(30));
        // The server is starting, and has not loaded its hosts yet.
        let mut pace = Pace::default();
        pace.failed(&ConnectError::HostUnknown { domain: "house".to_owned() });
        assert_eq!(pace.wait(start, 1.0), seconds(5));
    }
}
