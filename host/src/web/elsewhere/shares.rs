//! How many of the requests that other nodes pass on are carried out at once for one account. A plugin may take two minutes for an
//! answer, so one account could keep the requests to all others waiting.

use std::sync::{Mutex, MutexGuard, PoisonError};

use parlor_config::AccountName;

use crate::taken::Taken;

/// The most requests of other nodes at once, beside searches; further ones are refused. One account has half of the places while less
/// than that are taken. After that, each account has one.
pub(super) const REQUESTS: usize = 32;

/// The requests that are carried out now, for each account.
#[derive(Debug)]
pub(super) struct Shares(Mutex<Taken>);

/// The place of a request among those of its account, until it is dropped.
#[derive(Debug)]
pub(super) struct Share<'s> {
    shares: &'s Shares,
    account: AccountName,
}

impl Shares {
    /// Begins without any.
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Taken::new(REQUESTS, REQUESTS / 2)))
    }

    /// Takes a place for a request to this account. None: the account has its share.
    pub(super) fn take(&self, account: &AccountName) -> Option<Share<'_>> {
        let has_room = self.now().add(account.as_str());
        has_room.then(|| Share { shares: self, account: account.clone() })
    }

    /// Locks the numbers. Held for a moment only.
    fn now(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.shares.now().remove(self.account.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns as many places for this account as there are.
    fn all_of<'s>(shares: &'s Shares, name: &str) -> Vec<Share<'s>> {
        let account: AccountName = name.parse().unwrap();
        std::iter::from_fn(|| shares.take(&account)).collect()
    }

    #[test]
    fn one_account_does_not_take_the_places_of_all_others() {
        let shares = Shares::new();
        let mut busy = all_of(&shares, "busy");
        assert_eq!(busy.len(), REQUESTS / 2);
        let others: Vec<_> = (0..REQUESTS / 2).map(|number| all_of(&shares, &format!("other{number}"))).collect();
        assert!(others.iter().all(|own| own.len() == 1), "{others:?}");
        drop(busy.pop());
        assert!(all_of(&shares, "busy").is_empty(), "others have half of the places");
        drop((busy, others));
        assert!(shares.now().is_empty(), "nothing is remembered of those that are over");
    }
}
