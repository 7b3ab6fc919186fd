//! The moments of a node: when its session ends, how long its last renewal counts, and when something is due.

use std::time::Duration;

use super::{Node, Phase};
use crate::record::{Key, SessionState};
use crate::timing::FRESH;

impl Node {
    /// Returns when the session ends unless it is renewed; `None` if there is none.
    pub fn until(&self) -> Option<Duration> {
        self.tenure.as_ref()?.until
    }

    /// Returns when the last renewal stops counting as a sign that the node reaches the store; `None` if no session is
    /// written. After that, no action that others can see may begin before the store takes another write.
    pub fn fresh_until(&self) -> Option<Duration> {
        // The life of the session counts from the same moment.
        Some(self.until()?.saturating_sub(self.timing.life()) + FRESH)
    }

    /// Returns whether the node takes accounts that nobody runs.
    pub(super) fn may_claim(&self, now: Duration) -> bool {
        self.state == SessionState::Open && self.claims_from.is_some_and(|from| now >= from)
    }

    /// Returns how long another new node must have been seen before this one leaves accounts to it that nobody runs.
    ///
    /// A node that is itself new shares them with those that started with it. Any other takes them at once: a new node would claim them
    /// later, and may be lost before or right after that.
    pub(super) fn youth(&self, now: Duration) -> Duration {
        let is_new = self.claims_from.is_some_and(|from| now < from + self.timing.doubt());
        if is_new { self.timing.youth() } else { self.timing.patience() }
    }

    /// Returns when the next [`tick`](Self::tick) is due, if nothing else arrives before.
    pub fn wake(&self) -> Duration {
        let own = self.tenure.as_ref().map(|tenure| tenure.id);
        let is_free = |id| !self.busy.contains_key(&Key::Session(id));
        let runs = self.holds.values().any(|hold| hold.phase == Phase::Running);
        let grace = if runs { self.timing.grace() } else { Duration::ZERO };
        let until = self.until().map(|until| until.saturating_sub(grace));
        let next = self.tenure.as_ref().filter(|tenure| is_free(tenure.id)).map(|tenure| tenure.next);
        let others = self.view.sessions().filter(|(id, _)| Some(*id) != own && is_free(*id));
        let ends = others.map(|(_, seen)| seen.at + self.timing.patience());
        let retries = self.busy.values().flatten().copied();
        until
            .into_iter()
            .chain(self.abandons_at())
            .chain(next)
            .chain(ends)
            .chain(retries)
            .min()
            .unwrap_or(Duration::MAX)
    }
}
