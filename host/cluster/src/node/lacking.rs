//! Accounts that a node cannot run, because its configuration lacks them, and other nodes of the same name.
//!
//! The record of an account names the processes that lack it, so that all nodes place it in the same way. A node says so before it gets
//! such an account, if it can. If it has it, it gives it to another node, and is not given it again before its configuration has it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{CLAIMING, Node, PLACING, Phase};
use crate::output::Output;
use crate::placement::Place;
use crate::record::{Claim, Key, Session, SessionId, SessionState, Value};

/// How long a node waits for a configuration with an account before it says that it lacks it. A file that the nodes share may be on its way.
const AWAITED: Duration = Duration::from_secs(2);

/// The maximum number of processes that the record of an account names: with more, it would become too large. Further ones are given the
/// account in vain.
const NAMED: usize = 200;

impl Node {
    /// Takes in which accounts the configuration of this node has. Before the first call, it has all.
    pub fn configured(&mut self, now: Duration, accounts: BTreeSet<Arc<str>>) -> Vec<Output> {
        self.turn(now, |node| {
            node.configured = Some(accounts);
            node.news.extend(node.view.names().cloned());
        })
    }
}

/// Returns the first accounts that nobody runs and that one of these nodes can run, with their weights. All nodes take the same ones.
pub(super) fn orphans(node: &Node, places: &[Place]) -> Vec<(Arc<str>, u32)> {
    let can_run = |account: &str| places.iter().any(|place| node.view.can_run(account, place.session));
    let orphans = node.view.orphans().iter().filter(|(account, _)| can_run(account)).take(PLACING);
    orphans.map(|(account, weight)| (Arc::clone(account), *weight)).collect()
}

/// Notes when the record of an account has to be corrected, if it has to.
pub(super) fn compare(node: &mut Node, now: Duration, account: &Arc<str>) {
    if !is_amiss(node, account) {
        node.amiss.remove(account);
    } else if has(node, account) {
        node.amiss.insert(Arc::clone(account), now);
    } else {
        node.amiss.entry(Arc::clone(account)).or_insert(now + AWAITED);
    }
}

/// Has the records of accounts say whether the configuration of this node has them. One that another node has stays there, and one that
/// this node has in vain stops, and goes to another node. The next turn after the time does it: renewals bring one soon.
pub(super) fn correct_records(node: &mut Node, now: Duration) {
    let most = CLAIMING.saturating_sub(node.requests.len());
    let due = node.amiss.iter().filter(|(_, at)| now >= **at).take(most);
    let due: Vec<_> = due.map(|(account, _)| Arc::clone(account)).collect();
    for account in due {
        if !is_amiss(node, &account) {
            node.amiss.remove(&account);
            continue;
        }
        match (has(node, &account), node.holds.get(&account).map(|hold| hold.phase)) {
            (false, Some(Phase::Running)) => {
                let heir = node.next(now, &account);
                node.stop(&account, heir, node.until().unwrap_or(now));
            }
            // It is said when the account is given away.
            (false, Some(Phase::Stopping(_) | Phase::Stopped(_))) => {}
            (true, _) | (false, None) => {
                let Some(claim) = node.view.claim(&account).cloned() else { continue };
                put_claim(node, account, claim);
            }
        }
    }
}

/// Writes the record of an account, which says whether the configuration of this node has it.
pub(super) fn put_claim(node: &mut Node, account: Arc<str>, mut claim: Claim) {
    let key = Key::Account(Arc::clone(&account));
    if node.busy.contains_key(&key) {
        return;
    }
    let is_live = |process: u64| node.view.sessions().any(|(id, _)| id.process == process);
    claim.lacking.retain(|process| *process != node.process && is_live(*process));
    // One that this node takes itself may be in a file that is on its way. It is said when this node gives it away. In an earlier
    // session, it had its time for that.
    let own = node.tenure.as_ref().map(|tenure| tenure.id);
    let is_taken = claim.session.is_some() && claim.session == own;
    if !has(node, &account) && !is_taken {
        if claim.lacking.len() < NAMED {
            claim.lacking.push(node.process);
            claim.lacking.sort_unstable();
        }
        node.out.push(Output::Lacks { account });
    }
    node.put(key, Value::Claim(claim));
}

/// Returns whether the record of an account says something else about this node than its configuration.
fn is_amiss(node: &Node, account: &str) -> bool {
    let Some(Claim { lacking, .. }) = node.view.claim(account) else { return false };
    let is_named = lacking.contains(&node.process);
    if has(node, account) { is_named } else { !is_named && lacking.len() < NAMED }
}

/// Returns whether the configuration of this node has an account.
fn has(node: &Node, account: &str) -> bool {
    node.configured.as_ref().is_none_or(|all| all.contains(account))
}

/// Has the owner told of a session of another process that has the name of this node, and renews it.
pub(super) fn look_for_twin(node: &mut Node, id: SessionId, session: &Session) {
    let is_other = id.process != node.process && session.node == node.name && session.state != SessionState::Over;
    // Of a session that only an account has named so far, nobody knows whether it lives.
    let is_renewed = node.view.session(id).is_some_and(|seen| seen.revision > 0 && session.beat > seen.session.beat);
    if is_other && is_renewed && node.twin != Some(id) {
        node.twin = Some(id);
        node.out.push(Output::Twin { node: Arc::clone(&node.name) });
    }
}
