//! How many requests of sessions of some accounts are carried out at once. The control socket has few connections, and a request to
//! enter a room may wait for half a minute: a customer could keep all others waiting, and those who run the host.
//!
//! Sets of accounts that overlap count as different ones. If they counted together, an owner of many accounts would take the places of
//! all who have one of them. Only those who run the host can give somebody several sets.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::taken::Taken;

/// The most requests of such sessions at once: half of the connections of the control socket.
const MOST: usize = 16;
/// The most of them for the same accounts while less than half of the places are taken. After that, each set of accounts has one
/// place: so two customers take half of all places, and further ones share the other half.
const MOST_EACH: usize = 4;
/// The most that wait for a place, by the same rule. Each of them has a connection, too.
const MOST_WAITING: usize = 8;
/// How long a request waits for a place: a browser may open several pages together, and each asks the host.
const PATIENCE: Duration = Duration::from_secs(1);

/// The requests that are carried out now, and those that wait for that.
#[derive(Debug)]
pub(super) struct Places {
    requests: Mutex<Requests>,
    /// Notified when a place is free, and when a request waits no more.
    freed: Notify,
}

#[derive(Debug)]
struct Requests {
    /// Both by sets of accounts.
    carried_out: Taken,
    waiting: Taken,
    /// Those that wait, the first one first: each with its number and its accounts.
    queue: VecDeque<(u64, String)>,
    next: u64,
}

/// The place of a request, until it is dropped.
#[derive(Debug)]
pub(in crate::control) struct Place {
    places: &'static Places,
    accounts: String,
}

/// A request that waits, until it is dropped.
#[derive(Debug)]
struct Waiting {
    places: &'static Places,
    number: u64,
}

impl Places {
    /// Begins without any.
    pub(super) const fn new() -> Self {
        let requests = Requests {
            carried_out: Taken::new(MOST, MOST_EACH),
            waiting: Taken::new(MOST_WAITING, MOST_EACH),
            queue: VecDeque::new(),
            next: 0,
        };
        Self { requests: Mutex::new(requests), freed: Notify::const_new() }
    }

    /// Takes a place for a request of a session of these accounts, and may wait a moment for that. The first
    /// waiting request that may have a place gets it. None: there are too many.
    pub(super) async fn take(&'static self, accounts: String) -> Option<Place> {
        let waiting = {
            let mut requests = self.requests();
            if requests.first().is_none() && requests.carried_out.add(&accounts) {
                return Some(Place { places: self, accounts });
            }
            let number = requests.wait(&accounts)?;
            Waiting { places: self, number }
        };
        let taking = async {
            loop {
                // It hears of each place that is freed from now on.
                let freed = self.freed.notified();
                if waiting.take() {
                    return;
                }
                freed.await;
            }
        };
        timeout(PATIENCE, taking).await.ok()?;
        Some(Place { places: self, accounts })
    }

    /// Locks the requests. Held for a moment only.
    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Requests {
    /// Returns the first request that waits and may have a place, with its accounts.
    fn first(&self) -> Option<(u64, &str)> {
        let first = self.queue.iter().find(|(_, accounts)| self.carried_out.has_room(accounts));
        first.map(|(number, accounts)| (*number, accounts.as_str()))
    }

    /// Has a request wait, and returns its number. None: there are too many.
    fn wait(&mut self, accounts: &str) -> Option<u64> {
        if !self.waiting.add(accounts) {
            return None;
        }
        self.next += 1;
        self.queue.push_back((self.next, accounts.to_owned()));
        Some(self.next)
    }
}

impl Waiting {
    /// Takes a place if this is the first request that may have one.
    fn take(&self) -> bool {
        let mut requests = self.places.requests();
        let Some((number, accounts)) = requests.first() else { return false };
        if number != self.number {
            return false;
        }
        let accounts = accounts.to_owned();
        requests.carried_out.add(&accounts)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut requests = self.places.requests();
        let at = requests.queue.iter().position(|(number, _)| *number == self.number);
        if let Some((_, accounts)) = at.and_then(|at| requests.queue.remove(at)) {
            requests.waiting.remove(&accounts);
        }
        drop(requests);
        // A later one may have the next place.
        self.places.freed.notify_waiters();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.requests().carried_out.remove(&self.accounts);
        self.places.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    /// Returns as many places for these accounts as there are without waiting.
    fn all_of(places: &'static Places, accounts: &str) -> Vec<Place> {
        let add = || places.requests().carried_out.add(accounts);
        std::iter::from_fn(|| add().then(|| Place { places, accounts: accounts.to_owned() })).collect()
    }

    #[test]
    fn customers_have_few_requests_at_once_and_leave_half_of_the_connections() {
        static PLACES: Places = Places::new();
        let of = |accounts: &str| all_of(&PLACES, accounts);
        let mut own = of("red rose");
        assert_eq!(own.len(), MOST_EACH);
        let others: Vec<_> = (0..MOST).flat_map(|number| of(&number.to_string())).collect();
        assert_eq!(own.len() + others.len(), MOST);
        assert!(of("blue").is_empty());
        drop(own.pop());
        assert_eq!(of("blue").len(), 1);
        // Others have half of the places, so there is one for each set of accounts, and this one has three.
        assert!(of("red rose").is_empty());
        drop((own, others));
        assert!(PLACES.requests().carried_out.is_empty(), "nothing is remembered of those that are over");
    }

    #[test]
    fn few_customers_do_not_take_the_places_of_all_others() {
        static PLACES: Places = Places::new();
        let of = |number: usize| all_of(&PLACES, &number.to_string());
        let all: Vec<_> = (0..2 + MOST / 2).map(of).collect();
        let counts: Vec<_> = all.iter().map(Vec::len).collect();
        assert_eq!(counts, [&[MOST_EACH; 2][..], &[1; MOST / 2]].concat());
        assert!(of(99).is_empty());
        let mut waiting = Taken::new(MOST_WAITING, MOST_EACH);
        let counts = (0..6).map(|number: usize| (0..9).filter(|_| waiting.add(&number.to_string())).count());
        assert_eq!(counts.collect::<Vec<_>>(), [4, 1, 1, 1, 1, 0]);
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
        let began = Instant::now();
        let end_one = async {
            sleep(PATIENCE / 3).await;
            drop(own.pop());
        };
        let (came, ()) = tokio::join!(take(), end_one);
        assert!(began.elapsed() < PATIENCE / 2, "it is told when a place is free: {:?}", began.elapsed());
        own.push(came.unwrap());
        {
            let mut requests = PLACES.requests();
            assert!(requests.waiting.is_empty() && requests.queue.is_empty());
            assert_eq!((0..MOST_WAITING).filter(|_| requests.waiting.add("red")).count(), MOST_EACH);
        }
        let began = Instant::now();
        assert!(take().await.is_none());
        assert!(began.elapsed().is_zero(), "those that wait have connections as well");
    }

    #[test]
    fn a_place_is_for_the_first_request_that_may_have_it() {
        static PLACES: Places = Places::new();
        let mut taken: Vec<_> = (0..2 + MOST / 2).flat_map(|number| all_of(&PLACES, &number.to_string())).collect();
        let wait = |accounts: &str| Waiting { places: &PLACES, number: PLACES.requests().wait(accounts).unwrap() };
        let (has_four, first, second) = (wait("0"), wait("red"), wait("blue"));
        assert!(![&has_four, &first, &second].into_iter().any(Waiting::take), "all places are taken");
        taken.pop();
        assert!(!second.take() && !has_four.take(), "another one has waited for longer");
        assert!(first.take());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_waited_for_longest_has_the_next_place() {
        static PLACES: Places = Places::new();
        let mut taken: Vec<_> = (0..2 + MOST / 2).flat_map(|number| all_of(&PLACES, &number.to_string())).collect();
        assert_eq!(taken.len(), MOST);
        let came = Mutex::new(Vec::new());
        let wait = async |accounts: &'static str, after: u64| {
            sleep(Duration::from_millis(after)).await;
            let place = PLACES.take(accounts.to_owned()).await;
            came.lock().unwrap().push((accounts, place.is_some()));
            // The next one gets it a moment later.
            sleep(Duration::from_millis(50)).await;
        };
        let free_one = async {
            sleep(Duration::from_millis(100)).await;
            drop(taken.pop());
        };
        // The first one has a place already, and there is one for each now.
        tokio::join!(wait("0", 10), wait("red", 20), wait("blue", 30), wait("green", 120), free_one);
        let expected = [("red", true), ("blue", true), ("green", true), ("0", false)];
        assert_eq!(came.into_inner().unwrap(), expected);
    }
}
