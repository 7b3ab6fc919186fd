//! The tokens of a BOSH session: they are secret, since they suffice to take the session over.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

/// The tokens of the account's current BOSH session, if it has one. Clones share them. They print as nothing.
#[derive(Clone, Default)]
pub struct Tokens(Arc<Mutex<Option<Known>>>);

struct Known {
    sid: Zeroizing<String>,
    /// The id of the next request.
    rid: u64,
}

impl Tokens {
    /// Returns the id of the session.
    pub fn sid(&self) -> Option<String> {
        self.known().as_ref().map(|known| known.sid.to_string())
    }

    /// Returns the id of its next request.
    pub fn rid(&self) -> Option<u64> {
        self.known().as_ref().map(|known| known.rid)
    }

    /// Sets the current session and the id of its next request.
    pub(super) fn set(&self, sid: &str, rid: u64) {
        let mut known = self.known();
        match known.as_mut().filter(|known| *known.sid == sid) {
            Some(known) => known.rid = rid,
            None => *known = Some(Known { sid: Zeroizing::new(sid.to_owned()), rid }),
        }
    }

    /// Forgets this session, unless another one has replaced it.
    pub(super) fn forget(&self, sid: &str) {
        self.known().take_if(|known| *known.sid == sid);
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_ends_late_does_not_take_the_next_ones_tokens_along() {
        let (tokens, seen) = (Tokens::default(), Tokens::default());
        let shared = tokens.clone();
        tokens.set("one", 7);
        assert_eq!((shared.sid().as_deref(), shared.rid(), seen.sid()), (Some("one"), Some(7), None));
        tokens.set("two", 9);
        tokens.forget("one");
        assert_eq!((shared.sid().as_deref(), shared.rid()), (Some("two"), Some(9)));
        tokens.forget("two");
        assert_eq!((shared.sid(), shared.rid()), (None, None));
        assert_eq!(format!("{tokens:?}"), "Tokens(hidden)");
    }
}
