//! Handles a store that has lost writes which it had confirmed or reported.
//!
//! The store numbers its writes, and each number is higher than all before. A write may get a number that an earlier one had, for example
//! because the server was started with an older copy of its disk, or with an empty one. The earlier write is then lost. The node cannot
//! use what it knows of the store any more: it would expect revisions that no key has.

use std::time::Duration;

use super::Node;
use super::reports::Reports;
use crate::output::Output;
use crate::record::{Revision, SessionState};
use crate::view::View;

impl Node {
    /// Takes in that the store has reported all writes up to this revision. The last one is no record of a session or an account, or
    /// cannot be read.
    pub fn passed(&mut self, now: Duration, revision: Revision) -> Vec<Output> {
        self.turn(now, |node| {
            node.reports.arrived();
            node.view.passed(revision);
        })
    }

    /// Takes in that the store has lost writes, as its reports show.
    pub fn lost(&mut self, now: Duration) -> Vec<Output> {
        self.turn(now, |node| node.begin_anew(now))
    }

    /// Ends the session, forgets all that the store reported, and has it reported anew.
    ///
    /// The store may have lost that another node has an account. If it has also lost the last renewal of that node, it takes no further
    /// one: the node stops its accounts at the latest when its session ends. Until then, nothing is claimed here. If it still has the
    /// renewal, the other node notices the loss as this one did, or ends an account once it sees the claim of another session.
    pub(super) fn begin_anew(&mut self, now: Duration) {
        self.lose();
        self.view = View::default();
        self.reports = Reports::default();
        self.news.clear();
        self.requests.clear();
        self.busy.clear();
        self.was_usable = false;
        self.claims_from = Some(now + self.timing.patience());
        if self.state == SessionState::Draining {
            // The wish to drain the node may be lost, too. If it is there, it is reported anew.
            self.state = SessionState::Open;
        }
        self.out.push(Output::ReadAnew);
    }
}
