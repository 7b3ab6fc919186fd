//! The books of a plugin on an account: for each archive that it catches up with, its own and those of rooms, a [`Ledger`] of what
//! it has handled.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use super::ledger::{Ledger, Ticket};
use crate::router::{CaughtUpRooms, Place};
use crate::session::MAX_ROOMS;
use crate::store::{Archive, Positions, StoreError};

/// The books, for its instances and whoever tells them what they missed; none: it does not catch up.
/// A lock that is waited for and never blocks: an instance may hold it that runs only when nobody else wants to.
#[derive(Debug, Clone, Default)]
pub(super) struct Books(Option<Arc<Kept>>);

#[derive(Debug)]
struct Kept {
    shelf: Mutex<Shelf>,
    rooms: CaughtUpRooms,
}

/// A handler that has begun with something that has a place.
#[derive(Debug)]
pub(super) struct Handling {
    of: Archive,
    ticket: Ticket,
}

impl Books {
    /// For a plugin that catches up.
    pub(super) fn kept_in(positions: Positions) -> Self {
        let shelf = Shelf { positions, ledgers: HashMap::new(), knows_rooms: false };
        Self(Some(Arc::new(Kept { shelf: Mutex::new(shelf), rooms: CaughtUpRooms::default() })))
    }

    /// Whether there are any.
    pub(super) fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    /// The rooms whose past comes out of their archives; none: the plugin does not catch up.
    pub(super) fn rooms(&self) -> Option<&CaughtUpRooms> {
        self.0.as_deref().map(|kept| &kept.rooms)
    }

    /// To look into them.
    pub(super) async fn open(&self) -> Option<MutexGuard<'_, Shelf>> {
        match &self.0 {
            Some(kept) => Some(kept.shelf.lock().await),
            None => None,
        }
    }

    /// Before an instance hears anything: learns in which rooms the plugin has handled something in former lives.
    pub(super) async fn learn_rooms(&self) -> Result<(), StoreError> {
        let (Some(rooms), Some(mut opened)) = (self.rooms(), self.open().await) else { return Ok(()) };
        if !opened.knows_rooms {
            opened.positions.rooms().await?.iter().for_each(|room| rooms.add(room));
            opened.knows_rooms = true;
        }
        Ok(())
    }

    /// A handler begins with something that has this place, if it has one.
    pub(super) async fn began(&self, place: Option<Place>) -> Option<Handling> {
        let place = place?;
        let of = place.of().clone();
        let ticket = self.open().await?.ledger(&of).began(place)?;
        Some(Handling { of, ticket })
    }

    /// A handler returned.
    pub(super) async fn returned(&self, handling: Option<Handling>) {
        if let (Some(Handling { of, ticket }), Some(mut shelf)) = (handling, self.open().await) {
            shelf.ledger(&of).returned(ticket);
        }
    }

    /// A new instance begins that takes nobody's place.
    pub(super) async fn restart(&self) {
        if let Some(mut shelf) = self.open().await {
            shelf.ledgers.values_mut().for_each(Ledger::restart);
        }
    }

    /// A new instance takes another one's place.
    pub(super) async fn succeed(&self) {
        if let Some(mut shelf) = self.open().await {
            shelf.ledgers.values_mut().for_each(Ledger::succeed);
        }
    }

    /// The instance ended in the midst of what it did.
    pub(super) async fn broke(&self) {
        if let Some(mut shelf) = self.open().await {
            shelf.ledgers.values_mut().for_each(Ledger::broke);
        }
    }

    /// The plugin has nothing to do with what is at this place.
    pub(super) async fn passed(&self, place: Option<Place>) {
        if let (Some(place), Some(mut shelf)) = (place, self.open().await) {
            shelf.ledger(&place.of().clone()).passed(place);
        }
    }

    /// Closes those of rooms that are not open, once they are many: what they say is on disk.
    pub(super) async fn keep_only(&self, is_open: impl Fn(&jid::BareJid) -> bool) {
        if let Some(mut shelf) = self.open().await
            && shelf.ledgers.len() > 2 * MAX_ROOMS
        {
            shelf.ledgers.retain(|of, _| of.room().is_none_or(&is_open));
        }
    }
}

/// The ledgers of one plugin on one account.
#[derive(Debug)]
pub(super) struct Shelf {
    positions: Positions,
    ledgers: HashMap<Archive, Ledger>,
    knows_rooms: bool,
}

impl Shelf {
    /// That of an archive.
    pub(super) fn ledger(&mut self, of: &Archive) -> &mut Ledger {
        let positions = &self.positions;
        self.ledgers.entry(of.clone()).or_insert_with(|| Ledger::new(positions.of(of.clone())))
    }
}
