//! How many requests of sessions of some accounts are carried out at once. The control socket has few connections, and a request to
//! enter a room may wait for half a minute: a customer could keep all others waiting, and those who run the host.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The most requests of such sessions at once: half of the connections of the control socket.
const MOST: usize = 16;
/// The most of them for the same accounts.
const MOST_EACH: usize = 4;

/// The number of requests that are carried out now, for each set of accounts.
#[derive(Debug)]
pub(super) struct Places(Mutex<BTreeMap<String, usize>>);

/// The place of a request, until it is dropped.
#[derive(Debug)]
pub(in crate::control) struct Place {
    places: &'static Places,
    accounts: String,
}

impl Places {
    /// Begins without any.
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Takes a place for a request of a session of these accounts. None: there are too many.
    pub(super) fn take(&'static self, accounts: String) -> Option<Place> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.get(&accounts).copied().unwrap_or_default();
        if own >= MOST_EACH || all.values().sum::<usize>() >= MOST {
            return None;
        }
        all.insert(accounts.clone(), own + 1);
        Some(Place { places: self, accounts })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.accounts) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.accounts);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_has_few_requests_at_once_and_all_customers_leave_half_of_the_connections() {
        static PLACES: Places = Places::new();
        let of = |accounts: &str| PLACES.take(accounts.to_owned());
        let mut own: Vec<_> = std::iter::from_fn(|| of("red rose")).collect();
        assert_eq!(own.len(), MOST_EACH);
        let mut others = Vec::new();
        for number in 0..MOST {
            others.extend(std::iter::from_fn(|| of(&number.to_string())));
        }
        assert_eq!(own.len() + others.len(), MOST);
        assert!(of("blue").is_none());
        drop(own.pop());
        drop(of("blue").unwrap());
        own.push(of("red rose").unwrap());
        assert!(of("blue").is_none());
        drop((own, others));
        assert!(PLACES.0.lock().unwrap().is_empty(), "nothing is remembered of those that are over");
    }
}
