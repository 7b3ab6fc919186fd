//! Ends the sessions of nodes that are gone, and has the records of sessions removed that have been over for long.

use std::sync::Arc;
use std::time::Duration;

use super::Node;
use crate::output::Output;
use crate::record::{Key, Session, SessionId, SessionState, Value};
use crate::timing::KEPT;

/// The maximum number of records that a node removes with each renewal of its session.
const REMOVING: usize = 8;

impl Node {
    /// Ends the sessions of which nothing was heard for too long, and earlier ones of this process.
    pub(super) fn end_silent_sessions(&mut self, now: Duration) {
        let own = self.tenure.as_ref().map(|tenure| tenure.id);
        let is_silent = |id: SessionId, at: Duration| id.process == self.process || now >= at + self.timing.patience();
        let others = self.view.sessions().filter(|(id, _)| Some(*id) != own);
        let silent = others.filter(|(id, seen)| is_silent(*id, seen.at) && !self.busy.contains_key(&Key::Session(*id)));
        let silent: Vec<_> = silent.map(|(id, seen)| (id, seen.session.clone())).collect();
        for (id, session) in silent {
            self.put(Key::Session(id), Value::Session(Session { state: SessionState::Over, ..session }));
        }
    }

    /// Has records removed of sessions that have been over for long. Otherwise each start of a node would leave one for good.
    pub(super) fn remove_what_is_over(&mut self, now: Duration) {
        // The claim of an account that nobody runs may name the session that had it. Without a record, that session might still begin.
        let names_one = |account: &Arc<str>| self.view.claim(account).is_some_and(|claim| claim.session.is_some());
        if self.usable(now).is_none() || self.view.orphans().keys().any(names_one) {
            return;
        }
        let over: Vec<_> = self.view.over(now, KEPT).take(REMOVING).collect();
        for (session, revision) in over {
            self.view.remove(session);
            self.out.push(Output::Remove { session, revision });
        }
    }

    /// Takes in that the store has less of a key than before.
    ///
    /// If it is a session of which this node has heard nothing for long, others may have ended it and removed its record meanwhile. A node was
    /// suspended or cut off then.
    pub(super) fn has_less(&mut self, now: Duration, key: &Key) {
        if let Key::Session(id) = key
            && self.view.session(*id).is_some_and(|seen| now >= seen.at + KEPT / 2)
        {
            self.busy.remove(key);
            self.view.remove(*id);
        } else {
            self.begin_anew(now);
        }
    }
}
