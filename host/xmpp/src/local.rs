//! A server within the process, in the place of a connection.

use std::fmt;
use std::task::{Context, Poll};

use parlor_config::LinkSettings;
use parlor_stanza::types::Outgoing;

use super::event::LinkEvent;

/// A server within the process. Tests of plugins bring one, so that no socket, TLS or log-in is part of them.
///
/// No call waits: a server answers later, by an event.
pub trait LocalServer: fmt::Debug + Send + Sync {
    /// Logs the account in with these settings. [`LinkEvent::Bound`] follows.
    fn open(&self, settings: &LinkSettings);

    /// Returns the next event for the account, or wakes the task when there is one.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<LinkEvent>;

    /// Takes a stanza of the account.
    fn hear(&self, outgoing: Outgoing);

    /// Logs the account out. [`LinkEvent::Closed`] follows.
    fn close(&self);
}
