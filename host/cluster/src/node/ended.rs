//! Ends the sessions of nodes that are gone, and has the records of sessions removed that have been over for long.

use std::sync::Arc;
use std::time::Duration;

use super::Node;
use crate::output::Output;
use crate::record::{Key, Session, SessionId, SessionState, Value};
use crate::timing::KEPT;

/// The maximum number of records that a node removes with each renewal of its session.
const REMOVING: usize = 8;

/// Ends the sessions of which nothing was heard for too long, and earlier ones of this process.
pub(super) fn end_silent_sessions(node: &mut Node, now: Duration) {
    let own = node.tenure.as_ref().map(|tenure| tenure.id);
    let is_silent = |id: SessionId, at: Duration| id.process == node.process || now >= at + node.timing.patience();
    let others = node.view.sessions().filter(|(id, _)| Some(*id) != own);
    let silent = others.filter(|(id, seen)| is_silent(*id, seen.at) && !node.busy.contains_key(&Key::Session(*id)));
    let silent: Vec<_> = silent.map(|(id, seen)| (id, seen.session.clone())).collect();
    for (id, session) in silent {
        node.put(Key::Session(id), Value::Session(Session { state: SessionState::Over, ..session }));
    }
}

/// Has records removed of sessions that have been over for long. Otherwise each start of a node would leave one for good.
pub(super) fn remove_what_is_over(node: &mut Node, now: Duration) {
    // The claim of an account that nobody runs may name the session that had it. Without a record, that session might still begin.
    let names_one = |account: &Arc<str>| node.view.claim(account).is_some_and(|claim| claim.session.is_some());
    if node.usable(now).is_none() || node.view.orphans().keys().any(names_one) {
        return;
    }
    let over: Vec<_> = node.view.over(now, KEPT).take(REMOVING).collect();
    for (session, revision) in over {
        node.view.remove(session);
        node.out.push(Output::Remove { session, revision });
    }
}

/// Takes in that the store has less of a key than before.
///
/// If it is a session of which this node has heard nothing for long, others may have ended it and removed its record meanwhile. A node was
/// suspended or cut off then.
pub(super) fn has_less(node: &mut Node, now: Duration, key: &Key) {
    if let Key::Session(id) = key
        && node.view.session(*id).is_some_and(|seen| now >= seen.at + KEPT / 2)
    {
        node.busy.remove(key);
        node.view.remove(*id);
    } else {
        node.begin_anew(now);
    }
}
