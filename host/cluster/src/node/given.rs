//! Remembers which accounts a node has given to others to balance the load, and which of them came back.
//!
//! A node that cannot start an account, for example because its disk is full, gives it to the next one, and then has the least load
//! itself. Without this memory, the account would be given to it again and again, and would stop each time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::placement::{Place, shed};
use crate::record::SessionId;

/// An account that comes back within this time could not run on the node that got it. That node may wait for about a minute before it
/// gives such an account away.
const SOON: Duration = Duration::from_mins(2);
/// How long an account that came back stays.
const STAYS: Duration = Duration::from_mins(10);

/// The accounts that a node has given away lately.
#[derive(Debug, Default)]
pub(super) struct Given(BTreeMap<Arc<str>, One>);

#[derive(Debug)]
struct One {
    to: SessionId,
    /// When it was given, or came back.
    at: Duration,
    has_come_back: bool,
}

impl Given {
    /// Chooses which accounts a node gives to which others, as [`shed`] does. Those that came back from another node stay for a while.
    pub(super) fn shed(
        &mut self,
        now: Duration,
        places: &mut [Place],
        own: SessionId,
        running: &BTreeMap<Arc<str>, u32>,
        most: usize,
        can_run: impl Fn(&str, SessionId) -> bool,
    ) -> Vec<(Arc<str>, SessionId)> {
        let Self(given) = self;
        given.retain(|_, one| now < one.at + STAYS);
        let movable = running.iter().filter(|(account, _)| !given.get(*account).is_some_and(|one| one.has_come_back));
        let movable = movable.map(|(account, weight)| (Arc::clone(account), *weight)).collect();
        let moves = shed(places, own, &movable, most, can_run);
        for (account, to) in &moves {
            given.insert(Arc::clone(account), One { to: *to, at: now, has_come_back: false });
        }
        moves
    }

    /// Takes in that a node has an account. If the node that it was given to is gone, or takes no more accounts, that was the reason.
    pub(super) fn has(&mut self, now: Duration, account: &str, is_open: impl Fn(SessionId) -> bool) {
        if let Some(one) = self.0.get_mut(account).filter(|one| now < one.at + SOON && is_open(one.to)) {
            (one.at, one.has_come_back) = (now, true);
        }
    }
}
