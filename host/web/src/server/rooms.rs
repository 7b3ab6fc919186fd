//! The memory for the bodies of requests: a limit for all, and a share for each addressee.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::NoBody;

/// The memory for bodies of requests that have an addressee, in KiB. A body that finds none waits.
const BODIES: u32 = 64 << 10;
/// How much of it the bodies to one addressee may take, in KiB. The address of one webhook is often known to others: it
/// is in the settings of a service. A sender who fills the share of that webhook leaves three quarters to all others. It is
/// no less than a quarter because the longest body that an owner can allow, `webhook_body`, has 16 MiB.
const SHARE: u32 = BODIES / 4;
/// The memory for bodies of all other requests, in KiB. They do not take from the former: otherwise anybody could block
/// requests to existing webhooks.
const STRANGERS: u32 = 16 << 10;
/// How long a body waits for memory, each time that it needs more.
const PATIENCE: Duration = Duration::from_secs(5);

/// The memory that the body of a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// The memory for requests that have an addressee, of which each has a share. This is only for addressees that are known to
    /// be there.
    Addressed,
    /// The memory for all other requests.
    Strangers,
}

/// The memory for all bodies.
#[derive(Debug, Clone)]
pub(super) struct Rooms {
    addressed: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    shares: Shares,
}

/// The shares of addressees to whom requests have bodies now.
type Shares = Arc<Mutex<HashMap<String, Weak<Share>>>>;

/// The share of one addressee. It is forgotten with the last of its bodies, so there are no more shares than connections.
#[derive(Debug)]
struct Share {
    addressee: String,
    free: Arc<Semaphore>,
    shares: Shares,
}

/// The memory that one body takes, until this is dropped.
#[derive(Debug)]
pub struct Room {
    all: Arc<Semaphore>,
    share: Option<Arc<Share>>,
    of_all: Option<OwnedSemaphorePermit>,
    of_share: Option<OwnedSemaphorePermit>,
}

impl Rooms {
    /// Returns the memory of a server.
    pub(super) fn new() -> Self {
        let free = |kib: u32| Arc::new(Semaphore::new(kib as usize));
        Self { addressed: free(BODIES), strangers: free(STRANGERS), shares: Shares::default() }
    }

    /// Returns room for a body to this addressee, which takes nothing yet.
    pub(super) fn room(&self, whose: Memory, addressee: &str) -> Room {
        let (all, share) = match whose {
            Memory::Addressed => (&self.addressed, Some(self.share(addressee))),
            Memory::Strangers => (&self.strangers, None),
        };
        Room { all: Arc::clone(all), share, of_all: None, of_share: None }
    }

    fn share(&self, addressee: &str) -> Arc<Share> {
        let mut shares = locked(&self.shares);
        if let Some(share) = shares.get(addressee).and_then(Weak::upgrade) {
            return share;
        }
        let share = Arc::new(Share {
            addressee: addressee.to_owned(),
            free: Arc::new(Semaphore::new(SHARE as usize)),
            shares: Arc::clone(&self.shares),
        });
        shares.insert(addressee.to_owned(), Arc::downgrade(&share));
        share
    }
}

impl Room {
    /// Waits until the room has this many bytes in all.
    pub(super) async fn grow(&mut self, bytes: usize) -> Result<(), NoBody> {
        let kib = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX);
        let held = self.of_all.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = kib.saturating_sub(u32::try_from(held).unwrap_or(u32::MAX));
        if more == 0 {
            return Ok(());
        }
        let taking = async {
            // The share comes first: a body that waits for it keeps nothing from others.
            let of_share = match &self.share {
                Some(share) => Some(take(&share.free, SHARE, more).await?),
                None => None,
            };
            Ok((of_share, take(&self.all, BODIES, more).await?))
        };
        let (of_share, of_all) = timeout(PATIENCE, taking).await.map_err(|_| NoBody::NoRoom)??;
        merge(&mut self.of_share, of_share);
        merge(&mut self.of_all, Some(of_all));
        Ok(())
    }
}

/// Waits for this much of a memory. More than there is at all is not waited for.
async fn take(free: &Arc<Semaphore>, most: u32, kib: u32) -> Result<OwnedSemaphorePermit, NoBody> {
    if kib > most {
        return Err(NoBody::NoRoom);
    }
    Arc::clone(free).acquire_many_owned(kib).await.map_err(|_| NoBody::NoRoom)
}

fn merge(held: &mut Option<OwnedSemaphorePermit>, more: Option<OwnedSemaphorePermit>) {
    match (held.as_mut(), more) {
        (Some(held), Some(more)) => held.merge(more),
        (None, more) => *held = more,
        (Some(_), None) => {}
    }
}

fn locked(shares: &Shares) -> MutexGuard<'_, HashMap<String, Weak<Share>>> {
    shares.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = locked(&self.shares);
        // Another request may have begun a new share in the meantime.
        if shares.get(&self.addressee).is_some_and(|share| share.strong_count() == 0) {
            shares.remove(&self.addressee);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1 << 10;

    fn whole(kib: u32) -> usize {
        kib as usize * KIB
    }

    /// Otherwise anybody could keep webhooks from their senders.
    #[tokio::test(start_paused = true)]
    async fn strangers_take_no_memory_of_requests_that_have_an_addressee() {
        let rooms = Rooms::new();
        let (mut all, mut more) = (rooms.room(Memory::Strangers, "/x"), rooms.room(Memory::Strangers, "/y"));
        all.grow(whole(STRANGERS)).await.unwrap();
        assert_eq!(more.grow(1).await, Err(NoBody::NoRoom));
        rooms.room(Memory::Addressed, "/a").grow(whole(SHARE)).await.unwrap();
        drop(all);
        more.grow(1).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_addressee_takes_its_share_and_all_of_them_no_more_than_there_is() {
        let rooms = Rooms::new();
        let mut held = Vec::new();
        for addressee in ["/a", "/b", "/c", "/d"] {
            let (mut half, mut rest) =
                (rooms.room(Memory::Addressed, addressee), rooms.room(Memory::Addressed, addressee));
            half.grow(whole(SHARE / 2)).await.unwrap();
            rest.grow(whole(SHARE / 2)).await.unwrap();
            assert_eq!(rooms.room(Memory::Addressed, addressee).grow(1).await, Err(NoBody::NoRoom), "{addressee}");
            held.extend([half, rest]);
        }
        let mut other = rooms.room(Memory::Addressed, "/e");
        assert_eq!(other.grow(1).await, Err(NoBody::NoRoom));
        held.pop();
        other.grow(whole(SHARE / 2)).await.unwrap();
        assert_eq!(other.grow(usize::MAX).await, Err(NoBody::NoRoom));
        drop((held, other));
        assert_eq!(rooms.addressed.available_permits(), BODIES as usize);
        assert!(locked(&rooms.shares).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_waits_gets_the_room_that_another_one_leaves() {
        let rooms = Rooms::new();
        let (mut first, mut second) = (rooms.room(Memory::Addressed, "/a"), rooms.room(Memory::Addressed, "/a"));
        first.grow(whole(SHARE)).await.unwrap();
        let waiting = tokio::spawn(async move { second.grow(1).await.map(|()| second) });
        tokio::task::yield_now().await;
        drop(first);
        let mut second = waiting.await.unwrap().unwrap();
        // Memory that a body has already is not taken twice.
        second.grow(KIB).await.unwrap();
        assert_eq!(rooms.addressed.available_permits(), BODIES as usize - 1);
    }
}
