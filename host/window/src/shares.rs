//! Limits for each session: requests in a time, and live pages at once. Otherwise one browser, or a mere viewer, could keep the
//! others waiting and the host busy.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use parlor_base::rate::Bucket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::secret::Secret;

/// The requests of a session each second, over time. A person makes far fewer.
const RATE: f64 = 20.0;
/// The most requests of a session at once.
const BURST: f64 = 600.0;
/// The most live pages at once of a session, or of all sessions of a person to whom links were sent.
const MOST_LIVE: usize = 8;
/// The most requests of a session whose work is carried out at once. Further ones wait.
pub(crate) const MOST_WORK: usize = 8;
/// The number of shares above which the inactive ones are forgotten: each session can have one, and each person.
const MOST: usize = 128;

/// The recent use by one session.
#[derive(Debug)]
struct Share {
    requests: Bucket,
    live: Arc<Semaphore>,
    work: Arc<Semaphore>,
}

impl Default for Share {
    fn default() -> Self {
        let [live, work] = [MOST_LIVE, MOST_WORK].map(|most| Arc::new(Semaphore::new(most)));
        Self { requests: Bucket::new(RATE, BURST), live, work }
    }
}

impl Share {
    /// Returns whether forgetting it changes nothing.
    fn is_whole(&self) -> bool {
        let is_at_work = self.work.available_permits() < MOST_WORK;
        self.requests.used() < 1.0 && self.live.available_permits() == MOST_LIVE && !is_at_work
    }
}

/// The recent use by each session, by the digest of its secret, and the live pages of each person, by JID.
#[derive(Debug, Default)]
pub(crate) struct Shares(Mutex<HashMap<String, Share>>);

impl Shares {
    /// Counts a request of a session. Returns false if there were too many.
    pub(crate) fn has_request(&self, session: &Secret) -> bool {
        self.of(session.digest(), |share| share.requests.take(1.0).is_ok())
    }

    /// Takes a place for a live page of a session, until it is dropped. `person`: the JID to which its link was sent. `is_busy`: so many
    /// places are taken that each session has one at most. None: there are too many.
    pub(crate) fn live(&self, session: &Secret, person: Option<&str>, is_busy: bool) -> Option<OwnedSemaphorePermit> {
        // Otherwise one person would take the places of all others, by a few sessions.
        let whose = person.map_or_else(|| session.digest(), str::to_owned);
        let most = if is_busy { 1 } else { MOST_LIVE };
        self.of(whose, |share| {
            let has_room = MOST_LIVE - share.live.available_permits() < most;
            if has_room { Arc::clone(&share.live).try_acquire_owned().ok() } else { None }
        })
    }

    /// Returns the places of a session for work. They are those of work and not of requests: a browser can break off a request and send
    /// the next one, while the work of the first goes on.
    pub(crate) fn work(&self, session: &Secret) -> Arc<Semaphore> {
        self.of(session.digest(), |share| Arc::clone(&share.work))
    }

    fn of<T>(&self, whose: String, take: impl FnOnce(&Share) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(&whose) {
            all.retain(|_, share| !share.is_whole());
        }
        take(all.entry(whose).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_has_so_many_requests_and_keeps_none_of_another() {
        let (shares, one, other) = (Shares::default(), Secret::random().unwrap(), Secret::random().unwrap());
        assert_eq!((0..10_000).filter(|_| shares.has_request(&one)).count(), 600);
        assert!(shares.has_request(&other));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..10_000).filter(|_| shares.has_request(&one)).count(), 20);
    }

    #[tokio::test]
    async fn a_session_has_so_many_live_pages_and_gives_them_back() {
        let (shares, one, other) = (Shares::default(), Secret::random().unwrap(), Secret::random().unwrap());
        let mut open: Vec<_> = std::iter::from_fn(|| shares.live(&one, None, false)).collect();
        assert_eq!(open.len(), MOST_LIVE);
        assert!(shares.live(&other, None, false).is_some());
        open.pop();
        assert!(shares.live(&one, None, false).is_some());
    }

    #[tokio::test]
    async fn the_sessions_of_a_person_have_so_many_live_pages_together() {
        let (shares, one, other) = (Shares::default(), Secret::random().unwrap(), Secret::random().unwrap());
        let (ann, bob) = (Some("ann@example.org"), Some("bob@example.org"));
        let open: Vec<_> = std::iter::from_fn(|| shares.live(&one, ann, false)).collect();
        assert_eq!(open.len(), MOST_LIVE);
        assert!(shares.live(&other, ann, false).is_none() && shares.live(&other, bob, false).is_some());
        assert!(shares.live(&other, None, false).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_that_took_nothing_lately_are_forgotten_and_no_other_ones() {
        let (shares, busy) = (Shares::default(), Secret::random().unwrap());
        let place = shares.live(&busy, None, false).unwrap();
        while shares.has_request(&busy) {}
        for _ in 0..10 * MOST {
            assert!(shares.has_request(&Secret::random().unwrap()));
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(shares.0.lock().unwrap().len() <= MOST);
        }
        let others: Vec<_> = std::iter::from_fn(|| shares.live(&busy, None, false)).collect();
        assert_eq!(others.len(), MOST_LIVE - 1, "its open page is still counted");
        drop(place);
    }
}
