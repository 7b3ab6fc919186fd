//! The places for the archives that are asked at once for what a plugin missed. An archive that is slow, or pretends to be, has its place
//! for long: those of one owner have a few, and leave the others to the archives of others.

use std::collections::HashMap;
use std::sync::Arc;

use parlor_base::domains::owned_together;
use parlor_session::position::Archive;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// The number of archives on the servers of one owner that are asked at once.
const OF_ONE: usize = 4;
/// The number of all archives that are asked at once. Each may make the host hold a page.
const OF_ALL: usize = 16;

/// The places of all archives.
pub(super) struct AllSlots {
    all: Arc<Semaphore>,
    /// Those of the archives of each owner, by the domain.
    owners: HashMap<String, Arc<Semaphore>>,
}

/// The places of an archive.
pub(super) struct Slots {
    all: Arc<Semaphore>,
    owner: Arc<Semaphore>,
}

impl AllSlots {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(OF_ALL)), owners: HashMap::new() }
    }

    /// Returns the places of an archive.
    pub(super) fn of(&mut self, archive: &Archive) -> Slots {
        // An owner none of whose archives is asked or waits is like a new one.
        self.owners.retain(|_, slots| Arc::strong_count(slots) > 1);
        let domain = archive.room().map_or("", |room| owned_together(room.domain().as_str()));
        let owner = self.owners.entry(domain.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(OF_ONE)));
        Slots { all: Arc::clone(&self.all), owner: Arc::clone(owner) }
    }
}

impl Slots {
    /// Waits until the archive may be asked: first for a place of its owner, so that those who wait for that take no place of others.
    pub(super) async fn take(&self) -> Result<[SemaphorePermit<'_>; 2], AcquireError> {
        Ok([self.owner.acquire().await?, self.all.acquire().await?])
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn room(number: usize, domain: &str) -> Archive {
        Archive::Room(format!("room{number}@{domain}").parse().unwrap())
    }

    #[test]
    fn archives_that_never_answer_leave_places_to_those_of_others() {
        let mut all = AllSlots::new();
        let slow: Vec<_> = (0..40).map(|number| all.of(&room(number, &format!("s{number}.evil.example")))).collect();
        let taken: Vec<_> = slow.iter().filter_map(|slots| slots.take().now_or_never()).collect();
        assert_eq!(taken.len(), OF_ONE);
        let other = all.of(&room(1, "muc.example.org"));
        assert!(other.take().now_or_never().is_some());
        drop(taken);
        assert!(slow[39].take().now_or_never().is_some(), "there is room again");
        drop(slow);
        let _other = all.of(&room(2, "muc.example.org"));
        assert_eq!(all.owners.len(), 1, "owners are forgotten");
    }

    #[test]
    fn so_many_archives_are_asked_at_once() {
        let mut all = AllSlots::new();
        let slots: Vec<_> = (0..40).map(|number| all.of(&room(number, &format!("muc.d{number}.example")))).collect();
        let taken: Vec<_> = slots.iter().filter_map(|slots| slots.take().now_or_never()).collect();
        assert_eq!(taken.len(), OF_ALL);
    }
}
