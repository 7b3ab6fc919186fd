//! Handles a store that has lost writes which it had confirmed or reported.
//!
//! A store counts its writes. If it gives a write the revision of an earlier one, it has lost the earlier one. That happens to a
//! server that was started with an older copy of its disk, or with an empty one. The node then forgets what it knew of the store, since
//! it would expect revisions that no key has.

use std::time::Duration;

use super::Node;
use crate::output::Output;
use crate::view::View;

impl Node {
    /// Ends the session, forgets all that the store reported, and has it reported anew.
    ///
    /// The store may have lost that another node has an account. Since then, it has renewed no session from before: that node stops
    /// its accounts at the latest when its session ends. Until then, nothing is claimed here.
    pub(super) fn begin_anew(&mut self, now: Duration) {
        self.lose();
        self.view = View::default();
        self.news.clear();
        self.requests.clear();
        self.busy.clear();
        self.was_usable = false;
        self.claims_from = now + self.timing.patience();
        self.out.push(Output::ReadAnew);
    }
}
