//! What an instance has open, counted by guards: calls, queries of archives, waits for the session.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::watch;

use super::Instance;
use crate::error::CallError;

impl Instance {
    /// Counts a call as open until the guard is dropped.
    pub fn open_call(self: &Arc<Self>) -> Result<OpenCall, CallError> {
        let open = self.open_calls.fetch_add(1, Relaxed);
        let guard = OpenCall(Arc::clone(self));
        if open >= self.limits.open_calls as usize {
            return Err(CallError::OverLimit(format!("{} open calls", self.limits.open_calls)));
        }
        Ok(guard)
    }

    /// Counts a query of an archive, or a stream of one, until the guard is dropped.
    pub fn archive_query(self: &Arc<Self>) -> Result<OpenArchiveQuery, CallError> {
        let open = self.archive_queries.fetch_add(1, Relaxed);
        let guard = OpenArchiveQuery(Arc::clone(self));
        if open >= self.limits.archive_queries as usize {
            return Err(CallError::OverLimit(format!("{} queries of archives at once", self.limits.archive_queries)));
        }
        Ok(guard)
    }

    /// How many queries of archives and streams of them have not ended.
    pub fn open_archive_queries(&self) -> usize {
        self.archive_queries.load(Relaxed)
    }

    /// Counts a call as waiting for the session until the guard is dropped.
    pub fn waits_for_session(self: &Arc<Self>) -> SessionWait {
        self.waits.send_modify(|waits| *waits += 1);
        SessionWait(Arc::clone(self))
    }

    /// How many calls wait for the session.
    pub fn waits(&self) -> watch::Receiver<usize> {
        self.waits.subscribe()
    }
}

/// A call that has not returned.
pub struct OpenCall(Arc<Instance>);

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.open_calls.fetch_sub(1, Relaxed);
    }
}

/// A query of an archive, or a stream of one, that has not ended.
pub struct OpenArchiveQuery(Arc<Instance>);

impl Drop for OpenArchiveQuery {
    fn drop(&mut self) {
        self.0.archive_queries.fetch_sub(1, Relaxed);
    }
}

/// A call that waits for the session.
pub struct SessionWait(Arc<Instance>);

impl Drop for SessionWait {
    fn drop(&mut self) {
        self.0.waits.send_modify(|waits| *waits -= 1);
    }
}
