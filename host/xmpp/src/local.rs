//! A server within the process, instead of a connection.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};

use parlor_config::LinkSettings;
use parlor_stanza::types::Outgoing;

use super::event::LinkEvent;

/// A server within the process: that of authors' tests, so that no socket, TLS or log-in is part of them, or the component
/// that serves an address.
///
/// No call waits: a server answers later, by an event.
pub trait LocalServer: fmt::Debug + Send + Sync {
    /// Logs the account in with these settings. [`LinkEvent::Bound`] follows.
    fn open(&self, settings: &LinkSettings);

    /// Returns the next event for the account, or wakes the task when there is one.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<LinkEvent>;

    /// Returns whether there is room for another stanza. If there is none, the task is woken when there is.
    fn has_room(&self) -> bool {
        true
    }

    /// Takes a stanza of the account.
    fn hear(&self, outgoing: Outgoing);

    /// Logs the account out. [`LinkEvent::Closed`] follows.
    fn close(&self);

    /// Notes that the link is gone, after [`close`](Self::close) or without it.
    fn gone(&self) {}
}

/// A server within the process that a link has, until it is dropped.
pub(super) struct Attached(Arc<dyn LocalServer>);

impl Attached {
    /// Logs the account in with these settings.
    pub(super) fn to(server: Arc<dyn LocalServer>, settings: &LinkSettings) -> Self {
        server.open(settings);
        Self(server)
    }
}

impl Deref for Attached {
    type Target = dyn LocalServer;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.0.gone();
    }
}
