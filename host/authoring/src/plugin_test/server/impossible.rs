//! The error for a step of a test that cannot happen.

/// The reason that something is impossible: one sentence for the author of the test.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Impossible(pub(super) String);
