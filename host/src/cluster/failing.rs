//! The accounts that this node was given and could not start. Each goes to the next node after a while, and comes back if no other node
//! can start it either.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jid::BareJid;

/// How long a failure counts. An account that only its owner can help stays at a node for about a minute before the next attempt.
const COUNTS: Duration = Duration::from_secs(90);
/// After this time with failures, and none without them, no node can start the account.
const LONG: Duration = Duration::from_secs(10);

/// The accounts that could not be started here. Held for moments only.
#[derive(Debug, Default)]
pub(crate) struct Failing(Mutex<BTreeMap<BareJid, Failure>>);

#[derive(Debug)]
struct Failure {
    why: String,
    first: Instant,
    last: Instant,
}

/// An account that could not be started here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) jid: BareJid,
    pub(crate) why: String,
    /// Whether it came back again and again.
    pub(crate) is_stuck: bool,
}

impl Failing {
    /// Notes a failure.
    pub(super) fn add(&self, jid: &BareJid, why: String) {
        self.add_at(jid, why, Instant::now());
    }

    fn add_at(&self, jid: &BareJid, why: String, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.get(jid).filter(|one| now.duration_since(one.last) < COUNTS);
        let first = before.map_or(now, |one| one.first);
        all.insert(jid.clone(), Failure { why, first, last: now });
    }

    /// Notes that an account was started.
    pub(super) fn clear(&self, jid: &BareJid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(jid);
    }

    /// Returns those that failed lately.
    pub(crate) fn all(&self) -> Vec<Failed> {
        self.all_at(Instant::now())
    }

    fn all_at(&self, now: Instant) -> Vec<Failed> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, one| now.duration_since(one.last) < COUNTS);
        let failed = |(jid, one): (&BareJid, &Failure)| Failed {
            jid: jid.clone(),
            why: one.why.clone(),
            is_stuck: one.last.duration_since(one.first) >= LONG,
        };
        all.iter().map(failed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_stuck_if_it_fails_again_and_again_and_is_forgotten_once_it_runs() {
        let (failing, jid) = (Failing::default(), "bot@example.org".parse::<BareJid>().unwrap());
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let is_stuck = |at| failing.all_at(at).first().map(|one| one.is_stuck);
        failing.add_at(&jid, "no room".to_owned(), begin);
        assert_eq!(is_stuck(after(80)), Some(false), "another node may have it");
        failing.add_at(&jid, "no room".to_owned(), after(80));
        assert_eq!(is_stuck(after(81)), Some(true));
        assert_eq!(is_stuck(after(200)), None);
        failing.add_at(&jid, "no room".to_owned(), after(300));
        assert_eq!(is_stuck(after(301)), Some(false), "that was another time");
        failing.clear(&jid);
        assert_eq!(is_stuck(after(301)), None);
    }
}
