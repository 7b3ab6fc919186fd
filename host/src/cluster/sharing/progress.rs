//! The state of sharing a file on one node. It does not refer to the host, which owns it.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use parlor_nats::{Shared, SharedText, Standing};
use tokio::sync::{Mutex, Notify};

use super::decide::Base;
use super::error::SharingError;

/// The part of a node that shares a file with the other nodes.
#[derive(Debug)]
pub(crate) struct Sharing {
    pub(super) shared: Shared,
    /// The file.
    pub(super) of: SharedText,
    pub(super) cluster: String,
    pub(super) node: String,
    /// Notified when the host has read a file that was changed.
    pub(super) changed: Notify,
    /// Whether the file was not the present one when it was compared last, or could not be compared.
    pub(super) is_behind: AtomicBool,
    /// Held while the file and the version are compared, and what follows is done.
    pub(super) progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The version that the file was the same as, last.
    pub(super) base: Option<Base>,
    /// The last report to the other nodes; none if it may not have reached them.
    pub(super) told: Option<Standing>,
    /// The trouble that was there last: the log says it once, also if a report has to be made again.
    pub(super) logged: Option<String>,
    /// Why components are not here that the policy names, and when they were asked for.
    pub(super) lacking: Option<(String, Instant)>,
    /// The last change that was put aside, until a command is told of it.
    pub(super) conflict: Option<(SharingError, Instant)>,
}
