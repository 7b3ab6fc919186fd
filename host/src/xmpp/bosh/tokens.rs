//! What names a BOSH session: whoever has it can take the session over.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

/// The tokens of the BOSH session that an account has now, if it has one. Clones show the same. Prints as nothing.
///
/// Where they may be read is decided by API rows 120 and 121.
#[derive(Clone, Default)]
pub struct Tokens(Arc<Mutex<Option<Known>>>);

struct Known {
    sid: Zeroizing<String>,
    /// The id of the next request.
    rid: u64,
}

impl Tokens {
    /// The name of the session.
    pub fn sid(&self) -> Option<String> {
        self.known().as_ref().map(|known| known.sid.to_string())
    }

    /// The id that the next request in it has.
    pub fn rid(&self) -> Option<u64> {
        self.known().as_ref().map(|known| known.rid)
    }

    /// This is the session now, and its next request.
    pub(super) fn set(&self, sid: &str, rid: u64) {
        let mut known = self.known();
        match known.as_mut().filter(|known| *known.sid == sid) {
            Some(known) => known.rid = rid,
            None => *known = Some(Known { sid: Zeroizing::new(sid.to_owned()), rid }),
        }
    }

    /// This session is over, whether or not there is another one.
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
