//! Checks that a session may go on. Somebody who got a link by message keeps their sessions for as long as they are an owner. After
//! that, all of their sessions and unused links end.
//!
//! Everything here waits for files.

use jiff::Timestamp;

use crate::attempts::News;
use crate::secret::Secret;
use crate::store::{Session, Store, StoreError};

/// Called with a JID that is no owner any more, and the number of its sessions and links that ended.
type Ended = Box<dyn Fn(&str, usize) + Send + Sync>;

/// The sessions of a window.
pub(crate) struct Sessions {
    store: Store,
    /// Says whether somebody to whom a link was sent is still an owner.
    is_still: Box<dyn Fn(&str) -> bool + Send + Sync>,
    ended: Ended,
    /// The faults of the file.
    pub(crate) faults: News,
}

impl Sessions {
    pub(crate) fn new(
        store: Store,
        is_still: impl Fn(&str) -> bool + Send + Sync + 'static,
        ended: impl Fn(&str, usize) + Send + Sync + 'static,
    ) -> Self {
        Self { store, is_still: Box::new(is_still), ended: Box::new(ended), faults: News::default() }
    }

    /// Returns the session with this secret, and notes that it was used. None: there is none, or it is over.
    pub(crate) fn session(&self, secret: &Secret, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let found = self.store.session(secret, now)?;
        self.held(found, now, |session| session.jid.as_deref())
    }

    /// Returns the session with this secret, without noting that it was used. None: there is none, or it is over.
    pub(crate) fn look(&self, secret: &Secret, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let found = self.store.look(secret, now)?;
        self.held(found, now, |session| session.jid.as_deref())
    }

    /// Returns whether the session is still valid, without marking it as used.
    pub(crate) fn is_live(&self, secret: &Secret, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.look(secret, now)?.is_some())
    }

    /// Uses a link up, and begins a session. None: there is no such link any more, or it was sent to somebody who is no owner now.
    pub(crate) fn redeem(&self, link: &Secret, now: Timestamp) -> Result<Option<(Secret, Session)>, StoreError> {
        let begun = self.store.redeem(link, now)?;
        self.held(begun, now, |(_, session)| session.jid.as_deref())
    }

    /// Ends the session with this secret.
    pub(crate) fn log_out(&self, secret: &Secret, now: Timestamp) -> Result<(), StoreError> {
        self.store.log_out(secret, now)
    }

    /// Returns a session or link, unless the person with its JID is no owner any more. A session by a printed link has no JID, and is
    /// always returned.
    fn held<T>(
        &self,
        found: Option<T>,
        now: Timestamp,
        jid: impl Fn(&T) -> Option<&str>,
    ) -> Result<Option<T>, StoreError> {
        let former = found.as_ref().and_then(jid).filter(|&jid| !(self.is_still)(jid)).map(str::to_owned);
        let Some(former) = former else { return Ok(found) };
        let count = self.store.end_of(&former, now)?;
        if count > 0 {
            (self.ended)(&former, count);
        }
        Ok(None)
    }
}
