//! Gives accounts of a node to others: to balance the load, or because the node is drained or leaves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::lacking::orphans;
use super::{Hold, MOVING, Node, Phase};
use crate::placement::{Place, place};
use crate::record::{SessionId, SessionState};

/// How many lives of a session accounts that nobody has are waited for.
const PATIENT: u32 = 4;

impl Node {
    /// Stops accounts that are to run on other nodes.
    pub(super) fn move_accounts(&mut self, now: Duration) {
        let (Some(own), Some(until)) = (self.usable(now), self.until()) else { return };
        let moving = self.leaving.len();
        let most = if self.state == SessionState::Over { usize::MAX } else { MOVING.saturating_sub(moving) };
        if most == 0 {
            return;
        }
        let is_open = self.state == SessionState::Open;
        let middle = if is_open && self.gauge.is_lowered() { middle(self) } else { None };
        let is_older = |account: &Arc<str>, hold: &Hold| {
            middle.as_ref().is_none_or(|(since, name)| (hold.since, account) < (*since, name))
        };
        let stays = |account: &Arc<str>, hold: &Hold| {
            is_open && (self.gauge.keeps(now, hold.since) || !is_older(account, hold))
        };
        let may_go = |account: &Arc<str>| {
            self.holds.get(account).is_some_and(|hold| hold.phase == Phase::Running && !stays(account, hold))
        };
        let running = self.view.held_by(own).filter(|(account, _)| may_go(account));
        let running: BTreeMap<_, _> = running.map(|(account, weight)| (Arc::clone(account), weight)).collect();
        let mut places = self.places(now);
        count_moves(self, own, &mut places);
        let can_run = |account: &str, id| self.view.can_run(account, id);
        let moves = if is_open {
            // An account that has just come to its node is not moved at once.
            let quiet = now.saturating_sub(self.view.changed());
            // Accounts that nobody has taken for so long wait for a node that does not take them, and others are balanced all the same.
            let is_settled = quiet >= self.timing.life()
                && (orphans(self, &places).is_empty() || quiet >= PATIENT * self.timing.life());
            let all_are_there = places.len() == self.view.sessions().count();
            if is_settled && all_are_there {
                self.given.shed(now, &mut places, own, &running, most, can_run)
            } else {
                Vec::new()
            }
        } else {
            place(&mut places, running.clone().into_iter().take(most), can_run)
        };
        let mut heirs: BTreeMap<_, _> = moves.into_iter().map(|(account, to)| (account, Some(to))).collect();
        if self.state == SessionState::Over {
            // Without another node, an account stops all the same.
            for account in running.into_keys() {
                heirs.entry(account).or_default();
            }
        }
        for (account, heir) in heirs {
            self.stop(&account, heir, until);
        }
    }
}

/// Returns the account in the middle of those that run, by the time when they came; of an even number, the younger one. A busy node gives away
/// older ones alone: it became busy by one that came late, which would make each node busy that gets it. So its last account stays, too.
fn middle(node: &Node) -> Option<(Duration, Arc<str>)> {
    let running = node.holds.iter().filter(|(_, hold)| hold.phase == Phase::Running);
    let mut by_age: Vec<_> = running.map(|(account, hold)| (hold.since, account)).collect();
    by_age.sort_unstable();
    by_age.get(by_age.len() / 2).map(|(since, account)| (*since, Arc::clone(account)))
}

/// Counts accounts that a node is giving away where they go.
fn count_moves(node: &Node, own: SessionId, places: &mut [Place]) {
    for account in &node.leaving {
        let phase = node.holds.get(account).map(|hold| hold.phase);
        let Some(Phase::Stopping(heir) | Phase::Stopped(heir)) = phase else { continue };
        let weight = node.view.claim(account).map_or(0, |claim| u64::from(claim.weight));
        for one in places.iter_mut() {
            if one.session == own {
                one.load = one.load.saturating_sub(weight);
            } else if Some(one.session) == heir {
                one.load += weight;
            }
        }
    }
}
