//! How requests to webhooks ended.

use std::sync::atomic::AtomicU64;

/// The received requests, by outcome.
#[derive(Debug, Default)]
pub struct Counts {
    /// They were or will be delivered to the plugin, or it has answered. Those that came again count, too.
    pub passed: AtomicU64,
    /// Their webhook is unknown, or they were not verified.
    pub refused: AtomicU64,
    /// There was no space for them, or the plugin did not run.
    pub busy: AtomicU64,
    /// Their sender disconnected before the answer, or the host stopped.
    pub abandoned: AtomicU64,
    /// The bytes of their bodies that were read.
    pub received: AtomicU64,
    /// The bytes of the bodies of answers.
    pub sent: AtomicU64,
}
