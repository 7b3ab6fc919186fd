//! Goes by records of sessions that cannot be read: they were damaged, or another program or a newer version wrote them.

use std::time::Duration;

use super::Node;
use crate::output::Output;
use crate::record::{Key, Revision, SessionId};

impl Node {
    /// Takes in the record of a session that cannot be read, as [`Self::seen`] does others.
    ///
    /// It counts as a renewal, since it may be one of a newer version. Its node renews the session in place of it, and if nobody does,
    /// others end the session. If its revision did not count, nobody could do either, and the accounts of that node would never run again.
    pub fn seen_unreadable(&mut self, now: Duration, session: SessionId, revision: Revision) -> Vec<Output> {
        self.turn(now, |node| {
            node.reports.arrived();
            let key = Key::Session(session);
            if node.view.has_missed(&key, revision) {
                node.begin_anew(now);
                return;
            }
            if revision > node.view.last(&key) && node.busy.get(&key).is_some_and(Option::is_some) {
                node.busy.remove(&key);
            }
            node.view.saw_unreadable(now, session, revision);
        })
    }
}
