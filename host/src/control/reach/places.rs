//! How many requests of sessions of some accounts are carried out at once. The control socket has few connections, and a request to
//! enter a room may wait for half a minute: a customer could keep all others waiting, and those who run the host.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The most requests of such sessions at once: half of the connections of the control socket.
const MOST: usize = 16;
/// The most of them for the same accounts. As many more of these may wait.
const MOST_EACH: usize = 4;
/// The most that wait for a place. Each of them has a connection, too.
const MOST_WAITING: usize = 8;
/// How long a request waits for a place: a browser may open several pages together, and each asks the host.
const PATIENCE: Duration = Duration::from_secs(1);
/// The time between two attempts to take a place.
const PAUSE: Duration = Duration::from_millis(20);

/// The requests that are carried out now, and those that wait for that.
#[derive(Debug)]
pub(super) struct Places {
    carried_out: Counts,
    waiting: Counts,
}

/// Numbers of requests, for each set of accounts.
#[derive(Debug)]
struct Counts {
    /// The most in all.
    most: usize,
    /// The most for the same accounts.
    most_each: usize,
    now: Mutex<BTreeMap<String, usize>>,
}

/// The place of a request, until it is dropped.
#[derive(Debug)]
pub(in crate::control) struct Place {
    counts: &'static Counts,
    accounts: String,
}

impl Places {
    /// Begins without any.
    pub(super) const fn new() -> Self {
        Self { carried_out: Counts::new(MOST, MOST_EACH), waiting: Counts::new(MOST_WAITING, MOST_EACH) }
    }

    /// Takes a place for a request of a session of these accounts, and may wait a moment for that. None: there are too many.
    pub(super) async fn take(&'static self, accounts: String) -> Option<Place> {
        if let Some(place) = self.carried_out.take(&accounts) {
            return Some(place);
        }
        let _waits = self.waiting.take(&accounts)?;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            sleep(PAUSE).await;
            if let Some(place) = self.carried_out.take(&accounts) {
                return Some(place);
            }
        }
        None
    }
}

impl Counts {
    const fn new(most: usize, most_each: usize) -> Self {
        Self { most, most_each, now: Mutex::new(BTreeMap::new()) }
    }

    fn take(&'static self, accounts: &str) -> Option<Place> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let own = now.get(accounts).copied().unwrap_or_default();
        if own >= self.most_each || now.values().sum::<usize>() >= self.most {
            return None;
        }
        now.insert(accounts.to_owned(), own + 1);
        Some(Place { counts: self, accounts: accounts.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut now = self.counts.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = now.get_mut(&self.accounts) {
            *count -= 1;
            if *count == 0 {
                now.remove(&self.accounts);
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
        let of = |accounts: &str| PLACES.carried_out.take(accounts);
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
        assert!(PLACES.carried_out.now.lock().unwrap().is_empty(), "nothing is remembered of those that are over");
    }

    #[tokio::test(start_paused = true)]
    async fn pages_that_a_browser_opens_together_wait_for_one_another_and_not_without_end() {
        static PLACES: Places = Places::new();
        let take = || PLACES.take("red".to_owned());
        let mut own = Vec::new();
        for _ in 0..MOST_EACH {
            own.push(take().await.unwrap());
        }
        let began = Instant::now();
        assert!(take().await.is_none());
        assert!(began.elapsed() >= PATIENCE, "{:?}", began.elapsed());
        let end_one = async {
            sleep(3 * PAUSE).await;
            drop(own.pop());
        };
        let (came, ()) = tokio::join!(take(), end_one);
        own.push(came.unwrap());
        assert!(PLACES.waiting.now.lock().unwrap().is_empty());
        let waiting: Vec<_> = std::iter::from_fn(|| PLACES.waiting.take("red")).collect();
        assert_eq!(waiting.len(), MOST_EACH);
        let began = Instant::now();
        assert!(take().await.is_none());
        assert!(began.elapsed().is_zero(), "those that wait have connections as well");
    }
}
