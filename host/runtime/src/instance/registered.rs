//! The registrations of an instance: its commands, timers and promises, and the rooms that its plugin has opened.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jid::BareJid;
use parlor_session::Snapshot;
use parlor_session::command_names::called;
use parlor_session::event::EventName;
use parlor_stanza::error::CallError;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Instance;
use crate::timers::Timers;

/// The registrations of an instance, which go with it. While its plugin is parked, they are kept, and its next run makes them
/// again.
#[derive(Debug, Default)]
pub(crate) struct Registrations {
    /// The number of promises that it owns.
    pub(super) promises: AtomicU32,
    /// The names of its commands and promises, once it has one. Most plugins have none.
    names: OnceLock<Box<Names>>,
    /// Whether it has added a feature or an identity to those of the account.
    pub(crate) is_announced: AtomicBool,
    timers: Mutex<NotedTimers>,
}

/// The timers of an instance, with the run that watches them.
#[derive(Debug, Default)]
pub(crate) struct NotedTimers {
    timers: Timers,
    /// Notified when a timer was set or cancelled, or a handler needs its place no more or again. Nothing while the plugin is
    /// parked.
    changed: Option<Arc<Notify>>,
}

impl Deref for NotedTimers {
    type Target = Timers;

    fn deref(&self) -> &Timers {
        &self.timers
    }
}

impl DerefMut for NotedTimers {
    fn deref_mut(&mut self) -> &mut Timers {
        &mut self.timers
    }
}

/// Names that an instance has registered.
#[derive(Debug, Default)]
struct Names {
    /// The names of its promises that another plugin had first, so that the host puts the plugin's id before them.
    apart: Mutex<BTreeSet<EventName>>,
    /// Its chat commands, and whether each can be called without the plugin's id.
    commands: Mutex<BTreeMap<String, bool>>,
}

impl Registrations {
    /// Returns whether it owns promises.
    pub(crate) fn has_any_promise(&self) -> bool {
        self.promises.load(Relaxed) > 0
    }

    /// Sets how many promises it owns now.
    pub(crate) fn has_promises(&self, now: usize) {
        self.promises.store(u32::try_from(now).unwrap_or(u32::MAX), Relaxed);
    }

    /// Locks the names of its promises that go by the plugin's id as well. Held only briefly.
    pub(crate) fn apart(&self) -> MutexGuard<'_, BTreeSet<EventName>> {
        self.names().apart.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks its commands, with whether each can be called without the plugin's id. Held only briefly.
    pub(crate) fn commands(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        self.names().commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads its commands, without making memory for those of a plugin that has none: owners and users look at all plugins.
    pub(crate) fn with_commands<R>(&self, read: impl FnOnce(&BTreeMap<String, bool>) -> R) -> R {
        if self.names.get().is_some() { read(&self.commands()) } else { read(&BTreeMap::new()) }
    }

    fn names(&self) -> &Names {
        self.names.get_or_init(Box::default)
    }

    /// Locks its timers, which is only done briefly and never by the connection.
    pub(crate) fn timers(&self) -> MutexGuard<'_, NotedTimers> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or changes its timers.
    pub(crate) fn with_timers<R>(&self, change: impl FnOnce(&mut Timers) -> R) -> R {
        let result = change(&mut self.timers());
        self.has_changed();
        result
    }

    /// Notes that a timer was set or cancelled, or that a handler needs its place no more or again.
    pub(super) fn has_changed(&self) {
        let changed = self.timers().changed.clone();
        if let Some(changed) = changed {
            changed.notify_one();
        }
    }

    /// Returns what is notified of these changes, for the run of the instance. A guest may set timers while it is instantiated. Nothing
    /// is notified of these then, and it is now.
    pub(crate) fn changes(&self) -> Arc<Notify> {
        let (changed, has_timers) = {
            let mut timers = self.timers();
            (Arc::clone(timers.changed.get_or_insert_default()), timers.next_due().is_some())
        };
        if has_timers {
            changed.notify_one();
        }
        changed
    }

    /// Gives back memory that only a running guest needs.
    pub(super) fn shrink(&self) {
        self.timers().changed = None;
    }
}

impl Instance {
    /// Counts a room as opened by this plugin, unless it is open already. It counts until the guard reports a failure,
    /// or until the room is closed and no bookmark would open it again.
    pub fn open_room(self: &Arc<Self>, room: &BareJid) -> Result<OpeningRoom, CallError> {
        let snapshot = self.account.snapshot();
        let mut rooms = self.lasting.rooms().stages();
        rooms.retain(|room, stage| match stage {
            Stage::Opening => true,
            Stage::Open => snapshot.is_kept_open(room),
            Stage::GivenUp(at) => snapshot.is_kept_open(room) || at.elapsed() < GIVEN_UP,
        });
        let is_new = !rooms.contains_key(room) && !snapshot.rooms.contains_key(room);
        if is_new {
            if rooms.len() >= self.limits.rooms as usize {
                return Err(CallError::OverLimit(format!("{} rooms", self.limits.rooms)));
            }
            rooms.insert(room.clone(), Stage::Opening);
        }
        drop(rooms);
        Ok(OpeningRoom { rooms: Arc::clone(self.lasting.rooms()), room: room.clone(), is_new })
    }

    /// Returns its commands, each with the word by which users call it, considering the other instances on the account.
    pub fn called(&self, all: &[Arc<Self>]) -> BTreeMap<String, String> {
        let grants = self.mailbox.grants();
        // Plugins that act in different rooms have their names each for themselves.
        let meets = |one: &&Arc<Self>| one.mailbox.grants().meets(&grants);
        let on_account = || all.iter().filter(|one| one.account.name == self.account.name).filter(meets);
        let is_chosen = |word: &str| on_account().any(|one| chooses(one, word));
        let commands = self.registered.with_commands(BTreeMap::clone);
        let called = commands.into_iter().map(|(name, is_short)| {
            let word = called(&self.plugin, &name, is_short, self.lasting.command_names(), is_chosen);
            (name, word)
        });
        called.collect()
    }
}

/// The rooms that a plugin has opened on one account. They outlive its instances, as the rooms do.
#[derive(Debug, Default)]
pub struct Rooms(Mutex<BTreeMap<BareJid, Stage>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Open,
    /// No call waits for it any more, but it may still be entered.
    GivenUp(Instant),
}

/// How long a room counts after its opening was given up, unless it becomes open.
const GIVEN_UP: Duration = Duration::from_mins(1);

impl Rooms {
    fn stages(&self) -> MutexGuard<'_, BTreeMap<BareJid, Stage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many of them are still open, or would be opened again.
    pub(super) fn count(&self, snapshot: &Snapshot) -> usize {
        self.stages().keys().filter(|room| snapshot.is_kept_open(room)).count()
    }
}

/// A room that is being opened.
pub struct OpeningRoom {
    rooms: Arc<Rooms>,
    room: BareJid,
    is_new: bool,
}

impl OpeningRoom {
    /// Records whether the room was opened.
    pub fn ended(mut self, is_open: bool) {
        if !std::mem::take(&mut self.is_new) {
            return;
        }
        let mut rooms = self.rooms.stages();
        if is_open {
            rooms.insert(self.room.clone(), Stage::Open);
        } else {
            rooms.remove(&self.room);
        }
    }
}

impl Drop for OpeningRoom {
    fn drop(&mut self) {
        if self.is_new {
            self.rooms.stages().insert(self.room.clone(), Stage::GivenUp(Instant::now()));
        }
    }
}

/// Returns whether the owner gave one of its commands this name.
fn chooses(instance: &Instance, word: &str) -> bool {
    instance.registered.with_commands(|all| all.keys().any(|name| instance.lasting.command_names().is(name, word)))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Its `initialize` may wait for such a timer.
    #[test]
    fn timers_that_a_guest_sets_while_it_is_instantiated_count_once_it_runs() {
        let registered = Registrations::default();
        assert!(registered.changes().notified().now_or_never().is_none(), "no timer is set");
        registered.shrink();
        registered.with_timers(|timers| timers.set(Instant::now(), Duration::from_secs(1), false));
        let changes = registered.changes();
        assert!(changes.notified().now_or_never().is_some());
        assert!(changes.notified().now_or_never().is_none(), "once");
        registered.with_timers(|timers| timers.set(Instant::now(), Duration::from_secs(2), false));
        assert!(changes.notified().now_or_never().is_some(), "of later ones, it is notified at once");
    }
}
