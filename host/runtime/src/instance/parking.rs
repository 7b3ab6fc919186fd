//! An instance whose plugin is parked: its guest is gone, and everything that it registered is kept for the next run.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Instance;
use crate::account;

/// Returns how long it must be idle before it is parked; `None` if its author does not allow parking.
pub(crate) fn parks_after(instance: &Instance) -> Option<Duration> {
    instance.manifest.parks.then_some(instance.limits.idle)
}

/// Returns whether the guest waits for nothing. No handler runs, and no call, archive query, IQ request, question to a
/// person, and request or file in parts is open. It does not catch up, it has replaced the instance that it was started
/// beside, and it is not a hook.
pub(crate) fn is_idle(instance: &Instance) -> bool {
    let open = &instance.open;
    let none_open = open.calls.load(Relaxed) == 0
        && open.iqs.load(Relaxed) == 0
        && instance.open_archive_queries() == 0
        && instance.seldom.get().is_none_or(|seldom| seldom.parts.count() == 0 && seldom.dialogs.count() == 0)
        && open.files.load(Relaxed) == 0;
    none_open
        && open.with(|lists| lists.handlers.len()) == 0
        && instance.caught_up.as_ref().is_none_or(|caught_up| caught_up.is_at_rest())
        && !instance.mailbox.is_shadowed()
        // Waking would take a part of the time that a hook has.
        && !instance.account.hooks.ask(&instance.plugin)
}

/// Returns whether the session has anything that it registered: commands, promises, features or identities.
pub(crate) fn is_known_to_session(instance: &Instance) -> bool {
    let registered = &instance.registered;
    let has_command = registered.with_commands(|commands| !commands.is_empty());
    has_command || registered.promises.load(Relaxed) > 0 || registered.is_announced.load(Relaxed)
}

/// Notes that its guest is gone, and with it the memory.
pub(crate) fn has_parked(instance: &Instance) {
    instance.taken.end();
    instance.open.shrink();
    instance.registered.shrink();
    instance.lasting.budgets.shrink();
    instance.seldom.shrink();
}

/// Begins its next run: the guest takes back the registrations that it repeats.
pub(crate) fn wakes(instance: &Instance) {
    instance.only_handles.store(false, Relaxed);
    instance.account.router.wake(&instance.mailbox);
    instance.registered.timers().wake();
}

/// Ends the registrations that the guest has not repeated by the time that its `initialize` returned. The session does
/// the same for its own registrations.
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
