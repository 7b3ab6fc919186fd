//! Ends the sessions of nodes that are gone.

use std::time::Duration;

use super::Node;
use crate::record::{Key, Session, SessionId, SessionState, Value};

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
}
