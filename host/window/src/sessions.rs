//! Checks that a session may go on, and how far it reaches. Somebody who got a link by message keeps their sessions for as long as
//! they are an owner of an account, and is limited to the own accounts unless that is each. After that, all of their sessions and
//! unused links end.
//!
//! Everything here waits for files.

use jiff::Timestamp;

use crate::attempts::News;
use crate::secret::Secret;
use crate::store::{Session, Store, StoreError};

/// Called with a JID that is no owner any more, and the number of its sessions and links that ended.
type Ended = Box<dyn Fn(&str, usize) + Send + Sync>;

/// The accounts of somebody to whom a link was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// None: the person is no owner any more.
    Nobody,
    /// Some of them.
    OfSome,
    /// Each.
    OfAll,
}

/// The sessions of a window.
pub(crate) struct Sessions {
    store: Store,
    /// Says which accounts somebody has to whom a link was sent.
    standing: Box<dyn Fn(&str) -> Standing + Send + Sync>,
    ended: Ended,
    /// The faults of the file.
    pub(crate) faults: News,
}

impl Sessions {
    pub(crate) fn new(
        store: Store,
        standing: impl Fn(&str) -> Standing + Send + Sync + 'static,
        ended: impl Fn(&str, usize) + Send + Sync + 'static,
    ) -> Self {
        Self { store, standing: Box::new(standing), ended: Box::new(ended), faults: News::default() }
    }

    /// Returns the session with this secret, and notes that it was used. None: there is none, or it is over.
    pub(crate) fn session(&self, secret: &Secret, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let found = self.store.session(secret, now)?;
        self.held(found, now, |session| session)
    }

    /// Returns the session with this secret, without noting that it was used. None: there is none, or it is over.
    pub(crate) fn look(&self, secret: &Secret, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let found = self.store.look(secret, now)?;
        self.held(found, now, |session| session)
    }

    /// Uses a link up, and begins a session. None: there is no such link any more, or it was sent to somebody who is no owner now.
    pub(crate) fn redeem(&self, link: &Secret, now: Timestamp) -> Result<Option<(Secret, Session)>, StoreError> {
        let begun = self.store.redeem(link, now)?;
        self.held(begun, now, |(_, session)| session)
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
        session: impl Fn(&mut T) -> &mut Session,
    ) -> Result<Option<T>, StoreError> {
        let Some(mut found) = found else { return Ok(None) };
        let own = session(&mut found);
        let Some(jid) = own.jid.clone() else { return Ok(Some(found)) };
        let standing = (self.standing)(&jid);
        if standing != Standing::Nobody {
            own.is_of_some = standing != Standing::OfAll;
            return Ok(Some(found));
        }
        let count = self.store.end_of(&jid, now)?;
        if count > 0 {
            (self.ended)(&jid, count);
        }
        Ok(None)
    }
}
