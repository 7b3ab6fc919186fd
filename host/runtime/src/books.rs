//! The catch-up progress of a plugin on an account: a [`Ledger`] of handled messages for each archive that it catches
//! up with, its own and those of rooms.

use std::collections::HashMap;
use std::sync::Arc;

use parlor_session::MAX_ROOMS;
use parlor_session::position::Archive;
use parlor_session::router::{CaughtUpRooms, Place};
use parlor_store::{Positions, StoreError};
use tokio::sync::{Mutex, MutexGuard};

use crate::ledger::{Ledger, Ticket};

/// The progress in all archives, shared by the plugin's instances and the catch-up task; `None` if the plugin does not
/// catch up. The lock is asynchronous: an instance that runs only when the CPU is idle may hold it.
#[derive(Debug, Clone, Default)]
pub(super) struct Books(Option<Arc<Kept>>);

#[derive(Debug)]
struct Kept {
    shelf: Mutex<Shelf>,
    rooms: CaughtUpRooms,
}

/// A handler that has begun with an item of an archive.
#[derive(Debug)]
pub(super) struct Handling {
    of: Archive,
    ticket: Ticket,
}

impl Books {
    /// Returns the progress of a plugin that catches up.
    pub(super) fn kept_in(positions: Positions) -> Self {
        let shelf = Shelf { positions, ledgers: HashMap::new(), knows_rooms: false };
        Self(Some(Arc::new(Kept { shelf: Mutex::new(shelf), rooms: CaughtUpRooms::default() })))
    }

    /// Returns whether the plugin catches up.
    pub(super) fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the rooms whose history comes from their archives; `None` if the plugin does not catch up.
    pub(super) fn rooms(&self) -> Option<&CaughtUpRooms> {
        self.0.as_deref().map(|kept| &kept.rooms)
    }

    /// Locks the progress.
    pub(super) async fn open(&self) -> Option<MutexGuard<'_, Shelf>> {
        match &self.0 {
            Some(kept) => Some(kept.shelf.lock().await),
            None => None,
        }
    }

    /// Loads the rooms in which the plugin has handled messages in former runs. Called before an instance receives
    /// events.
    pub(super) async fn learn_rooms(&self) -> Result<(), StoreError> {
        let (Some(rooms), Some(mut opened)) = (self.rooms(), self.open().await) else { return Ok(()) };
        if !opened.knows_rooms {
            opened.positions.rooms().await?.iter().for_each(|room| rooms.add(room));
            opened.knows_rooms = true;
        }
        Ok(())
    }

    /// Records that a handler begins with the item at this place, if there is one.
    pub(super) async fn began(&self, place: Option<Place>) -> Option<Handling> {
        let place = place?;
        let of = place.of().clone();
        let ticket = self.open().await?.ledger(&of).began(place)?;
        Some(Handling { of, ticket })
    }

    /// Records that a handler returned.
    pub(super) async fn returned(&self, handling: Option<Handling>) {
        if let (Some(Handling { of, ticket }), Some(mut shelf)) = (handling, self.open().await) {
            shelf.ledger(&of).returned(ticket);
        }
    }

    /// Records that a new instance begins that replaces no running one.
    pub(super) async fn restart(&self) {
        if let Some(mut shelf) = self.open().await {
            shelf.ledgers.values_mut().for_each(Ledger::restart);
        }
    }

    /// Records that a new instance replaces a running one.
    pub(super) async fn succeed(&self) {
        if let Some(mut shelf) = self.open().await {
            shelf.ledgers.values_mut().for_each(Ledger::succeed);
        }
    }

    /// Records that the instance failed.
    pub(super) async fn broke(&self) {
        if let Some(mut shelf) = self.open().await {
            shelf.ledgers.values_mut().for_each(Ledger::broke);
        }
    }

    /// Records that the plugin does not handle the item at this place.
    pub(super) async fn passed(&self, place: Option<Place>) {
        if let (Some(place), Some(mut shelf)) = (place, self.open().await) {
            shelf.ledger(&place.of().clone()).passed(place);
        }
    }

    /// Drops the progress in rooms that are not open, once there are many: it is on disk.
    pub(super) async fn keep_only(&self, is_open: impl Fn(&jid::BareJid) -> bool) {
        if let Some(mut shelf) = self.open().await
            && shelf.ledgers.len() > 2 * MAX_ROOMS
        {
            shelf.ledgers.retain(|of, _| of.room().is_none_or(&is_open));
        }
    }
}

/// The progress of one plugin on one account, by archive.
#[derive(Debug)]
pub(super) struct Shelf {
    positions: Positions,
    ledgers: HashMap<Archive, Ledger>,
    knows_rooms: bool,
}

impl Shelf {
    /// Returns the progress in an archive.
    pub(super) fn ledger(&mut self, of: &Archive) -> &mut Ledger {
        let positions = &self.positions;
        self.ledgers.entry(of.clone()).or_insert_with(|| Ledger::new(positions.of(of.clone())))
    }
}
