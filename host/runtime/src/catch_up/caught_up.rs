//! The streams and visits to rooms for which an instance has caught up, so that its plugin is parked in between and
//! woken with the next one.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{Either, select};
use jid::BareJid;
use parlor_session::position::Archive;
use tokio::sync::Notify;

use super::{Source, entered_rooms};
use crate::instance::Instance;

/// The streams and visits for which an instance has caught up, or cannot.
#[derive(Debug, Default)]
pub(crate) struct CaughtUp {
    /// The number of archives with which it is catching up.
    under_way: AtomicUsize,
    /// The last stream.
    stream: AtomicU64,
    /// The last visit to each room.
    rooms: Mutex<HashMap<BareJid, u64>>,
    /// Notified when the instance has taken an event out of its mailbox.
    pub(crate) took: Notify,
}

impl CaughtUp {
    /// Returns whether it is not catching up just now.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.under_way.load(Relaxed) == 0
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<BareJid, u64>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An archive with which an instance is catching up.
pub(super) struct UnderWay<'a>(&'a Instance, &'a CaughtUp);

impl<'a> UnderWay<'a> {
    /// Returns `None` if the instance does not catch up.
    pub(super) fn begin(instance: &'a Instance) -> Option<Self> {
        let caught_up = instance.caught_up.as_deref()?;
        caught_up.under_way.fetch_add(1, Relaxed);
        Some(Self(instance, caught_up))
    }

    /// Notes that nothing more is done for this stream or visit.
    pub(super) fn reaches(self, source: &Source) {
        match &source.of {
            Archive::Own => self.1.stream.store(source.since, Relaxed),
            Archive::Room(room) => {
                let open = self.0.account.snapshot();
                let mut rooms = self.1.rooms();
                rooms.retain(|room, _| open.rooms.contains_key(room));
                rooms.insert(room.clone(), source.since);
            }
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.1.under_way.fetch_sub(1, Relaxed);
    }
}

/// Waits until there is something to catch up with. Returns `None` if the plugin does not catch up.
pub(crate) fn falls_behind(instance: &Arc<Instance>) -> Option<impl Future<Output = ()> + Send + use<>> {
    instance.caught_up.is_some().then(|| until_behind(Arc::clone(instance)))
}

async fn until_behind(instance: Arc<Instance>) {
    let Some(caught_up) = &instance.caught_up else { return };
    let (mut archive, mut rooms) = (instance.account.own_archive(), instance.account.rooms_told());
    loop {
        let stream = archive.borrow_and_update().map_or(0, |now| now.stream);
        rooms.mark_unchanged();
        let mut begun = caught_up.rooms().clone();
        if stream > caught_up.stream.load(Relaxed) || !entered_rooms(&instance, &mut begun).is_empty() {
            return;
        }
        let changed = match select(pin!(archive.changed()), pin!(rooms.changed())).await {
            Either::Left((changed, _)) | Either::Right((changed, _)) => changed,
        };
        if changed.is_err() {
            // The account has ended.
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use parlor_plugins::limits::Limits;

    use super::*;
    use crate::instance::parking::is_idle;
    use crate::instance::tests::instance as disconnected_instance;

    #[tokio::test]
    async fn catching_up_keeps_a_plugin_from_being_parked_until_it_is_done() {
        let (mut instance, _mailbox) = disconnected_instance("", Limits::default());
        assert!(falls_behind(&instance).is_none() && UnderWay::begin(&instance).is_none(), "it does not catch up");
        Arc::get_mut(&mut instance).unwrap().caught_up = Some(Box::default());
        assert!(is_idle(&instance));
        let under_way = UnderWay::begin(&instance).unwrap();
        assert!(!is_idle(&instance));
        under_way.reaches(&Source { of: Archive::Own, since: 3, exists: true });
        assert!(is_idle(&instance));
        assert_eq!(instance.caught_up.as_ref().unwrap().stream.load(Relaxed), 3);
        assert!(falls_behind(&instance).unwrap().now_or_never().is_none());
    }
}
