//! An instance whose plugin is parked: its guest is gone, and everything that it registered is kept for the next run.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Instance;
use crate::account;

/// Returns how long it has to be idle to be parked; `None` if its author does not allow that.
pub(crate) fn parks_after(instance: &Instance) -> Option<Duration> {
    instance.manifest.parks.then_some(instance.limits.idle)
}

/// Returns whether nothing is under way that the guest waits for. No handler runs, no call is open, no archive query
/// no IQ request, no question to a person, and no request or file in parts; it does not catch up, it is not beside an instance
/// that it is to replace, and it is no hook.
pub(crate) fn is_idle(instance: &Instance) -> bool {
    let open = &instance.open;
    let none_open = open.calls.load(Relaxed) == 0
        && open.iqs.load(Relaxed) == 0
        && instance.open_archive_queries() == 0
        && instance.parts.count() == 0
        && instance.dialogs.count() == 0
        && open.files.load(Relaxed) == 0;
    none_open
        && instance.handlers().is_empty()
        && instance.caught_up.as_ref().is_none_or(|caught_up| caught_up.is_at_rest())
        && !instance.mailbox.is_shadowed()
        // Waking would take a part of the time that a hook has.
        && !instance.account.hooks.ask(&instance.plugin)
}

/// Returns whether the session has anything that it registered: commands, promises, features or identities.
pub(crate) fn is_known_to_session(instance: &Instance) -> bool {
    let registered = &instance.registered;
    !registered.commands().is_empty() || registered.promises.load(Relaxed) > 0 || registered.is_announced.load(Relaxed)
}

/// Notes that its guest is gone, and with it the memory.
pub(crate) fn has_parked(instance: &Instance) {
    instance.taken.reset();
    instance.open.shrink();
    instance.web.shrink();
    instance.parts.shrink();
}

/// Begins its next run: what the guest registers again, it gets back.
pub(crate) fn wakes(instance: &Instance) {
    instance.only_handles.store(false, Relaxed);
    instance.account.router.wake(&instance.mailbox);
    instance.registered.timers().wake();
}

/// Ends what the guest has not registered again by the time that its `initialize` has returned. The session does the
/// same for what it knows.
pub(crate) fn has_woken(instance: &Instance) {
    instance.account.router.end_unclaimed(&instance.mailbox);
    instance.registered.timers().end_unclaimed();
}

/// Removes from the session what it has not registered again.
pub(crate) async fn settle_with_session(instance: &Instance) {
    let woken = account::parking::wake(&instance.account, instance.id).await;
    instance.registered.has_promises(woken.promises);
    let mut commands = instance.registered.commands();
    commands.retain(|name, _| !woken.removed_commands.contains(name));
}
