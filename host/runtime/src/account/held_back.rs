//! Effects that are held back until keys are on disk.

use std::collections::VecDeque;

use parlor_session::Effect;

/// The effects that wait, the oldest first, each with the number of the change that has to be on disk.
#[derive(Debug, Default)]
pub(super) struct HeldBack(pub(super) VecDeque<(u64, Effect)>);

/// The effects of one input, on their way.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Whether keys have changed among them, so that all that follows waits.
    pub(super) waits: bool,
}
