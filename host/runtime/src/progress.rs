//! The catch-up progress of a plugin on an account: an [`ArchiveProgress`] for each archive that the plugin catches up
//! with, which are the account's and those of rooms.

mod archive_progress;

use std::collections::HashMap;
use std::sync::Arc;

use parlor_session::MAX_ROOMS;
use parlor_session::position::Archive;
use parlor_session::router::{ArchivePlace, CaughtUpRooms};
use parlor_store::{Positions, StoreError};
use tokio::sync::{Mutex, MutexGuard};

use self::archive_progress::{ArchiveProgress, Ticket};

pub(crate) use self::archive_progress::LOOKED_BACK;

/// The progress in all archives, shared by the plugin's instances and the catch-up task; `None` if the plugin does not
/// catch up. The lock is asynchronous: an instance that runs only when the CPU is idle may hold it.
#[derive(Debug, Clone, Default)]
pub(crate) struct CatchUpProgress(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    archives: Mutex<Archives>,
    rooms: CaughtUpRooms,
}

/// A handler that has begun with an item of an archive.
#[derive(Debug)]
pub(crate) struct Handling {
    of: Archive,
    ticket: Ticket,
}

impl CatchUpProgress {
    /// Returns the progress of a plugin that catches up, which the store keeps.
    pub(crate) fn kept_in(positions: Positions) -> Self {
        let archives = Archives { positions, by_archive: HashMap::new(), knows_rooms: false };
        Self(Some(Arc::new(Inner { archives: Mutex::new(archives), rooms: CaughtUpRooms::default() })))
    }

    /// Returns whether the plugin catches up.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the rooms whose history comes from their archives; `None` if the plugin does not catch up.
    pub(crate) fn rooms(&self) -> Option<&CaughtUpRooms> {
        self.0.as_deref().map(|inner| &inner.rooms)
    }

    /// Locks the progress.
    pub(crate) async fn open(&self) -> Option<MutexGuard<'_, Archives>> {
        match &self.0 {
            Some(inner) => Some(inner.archives.lock().await),
            None => None,
        }
    }

    /// Loads the rooms in which the plugin has handled messages in former runs. Called before an instance receives
    /// events.
    pub(crate) async fn learn_rooms(&self) -> Result<(), StoreError> {
        let (Some(rooms), Some(mut opened)) = (self.rooms(), self.open().await) else { return Ok(()) };
        if !opened.knows_rooms {
            opened.positions.rooms().await?.iter().for_each(|room| rooms.add(room));
            opened.knows_rooms = true;
        }
        Ok(())
    }

    /// Records that a handler begins with the item at this place, if there is one.
    pub(crate) async fn began(&self, place: Option<ArchivePlace>) -> Option<Handling> {
        let place = place?;
        let of = place.of().clone();
        let ticket = self.open().await?.archive(&of).began(place)?;
        Some(Handling { of, ticket })
    }

    /// Records that a handler returned.
    pub(crate) async fn returned(&self, handling: Option<Handling>) {
        if let (Some(Handling { of, ticket }), Some(mut archives)) = (handling, self.open().await) {
            archives.archive(&of).returned(ticket);
        }
    }

    /// Records that a new instance starts without replacing a running one.
    pub(crate) async fn restart(&self) {
        if let Some(mut archives) = self.open().await {
            archives.by_archive.values_mut().for_each(ArchiveProgress::restart);
        }
    }

    /// Records that a new instance replaces a running one.
    pub(crate) async fn succeed(&self) {
        if let Some(mut archives) = self.open().await {
            archives.by_archive.values_mut().for_each(ArchiveProgress::succeed);
        }
    }

    /// Records that the instance failed.
    pub(crate) async fn broke(&self) {
        if let Some(mut archives) = self.open().await {
            archives.by_archive.values_mut().for_each(ArchiveProgress::broke);
        }
    }

    /// Records that the plugin does not handle the item at this place.
    pub(crate) async fn passed(&self, place: Option<ArchivePlace>) {
        if let (Some(place), Some(mut archives)) = (place, self.open().await) {
            archives.archive(&place.of().clone()).passed(place);
        }
    }

    /// Drops the progress in rooms that are not open, once there are many: it is on disk.
    pub(crate) async fn keep_only(&self, is_open: impl Fn(&jid::BareJid) -> bool) {
        if let Some(mut archives) = self.open().await
            && archives.by_archive.len() > 2 * MAX_ROOMS
        {
            archives.by_archive.retain(|of, _| of.room().is_none_or(&is_open));
        }
    }
}

/// The progress of one plugin on one account, by archive.
#[derive(Debug)]
pub(crate) struct Archives {
    positions: Positions,
    by_archive: HashMap<Archive, ArchiveProgress>,
    knows_rooms: bool,
}

impl Archives {
    /// Returns the progress in an archive.
    pub(crate) fn archive(&mut self, of: &Archive) -> &mut ArchiveProgress {
        let positions = &self.positions;
        self.by_archive.entry(of.clone()).or_insert_with(|| ArchiveProgress::new(positions.of(of.clone())))
    }
}
