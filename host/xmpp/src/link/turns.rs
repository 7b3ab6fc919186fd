//! The order in which the accounts of one process log in to a server. Pure.
//!
//! After a server has restarted, all of its accounts come at once. A log-in costs it more than anything else that an
//! account does, and many servers refuse clients that connect too fast.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time between two log-ins to the same server, if many want to.
const INTERVAL: Duration = Duration::from_millis(10);
/// The number of log-ins that may begin at once.
const AT_ONCE: u32 = 20;
/// The number of servers above which those without waiting log-ins are forgotten.
const SERVERS: usize = 64;

/// When the accounts of a process may log in, for each server: the one that the owner named, or else the domain. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct LogInTurns(Arc<Mutex<HashMap<String, Instant>>>);

impl LogInTurns {
    /// Takes the next turn for a server, and returns how long to wait for it.
    pub(super) fn next(&self, server: &str, now: Instant) -> Duration {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() > SERVERS {
            free.retain(|_, free| *free > now);
        }
        // The time until which earlier turns reach, if they had been taken evenly.
        let free = match free.get_mut(server) {
            Some(free) => free,
            None => free.entry(server.to_owned()).or_insert(now),
        };
        *free = (*free).max(now) + INTERVAL;
        (*free - now).saturating_sub(INTERVAL * AT_ONCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five thousand accounts are back within a minute, and no second has more than some hundred of them.
    #[test]
    fn many_log_ins_to_one_server_are_spread_and_few_are_not() {
        let (turns, now) = (LogInTurns::default(), Instant::now());
        let waits: Vec<_> = (0..5_000).map(|_| turns.next("example.org", now)).collect();
        assert!(waits[..20].iter().all(Duration::is_zero), "{:?}", &waits[..20]);
        assert!(waits[4_999] < Duration::from_mins(1), "{:?}", waits[4_999]);
        for second in 0..50 {
            let within = |wait: &&Duration| wait.as_secs() == second;
            assert!(waits.iter().filter(within).count() <= 120, "in second {second}");
        }
        // Log-ins to one server do not delay those to another.
        assert_eq!(turns.next("example.net", now), Duration::ZERO);
        let later = now + Duration::from_mins(1);
        assert_eq!(turns.next("example.org", later), Duration::ZERO, "all have had their turn");
    }

    #[test]
    fn servers_that_nobody_logs_in_to_are_forgotten() {
        let (turns, now) = (LogInTurns::default(), Instant::now());
        for server in 0..1_000_u32 {
            turns.next(&server.to_string(), now + INTERVAL * 2 * server);
        }
        assert!(turns.0.lock().unwrap().len() <= SERVERS + 1);
    }
}
