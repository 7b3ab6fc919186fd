//! The requests of other plugins that an instance answers, and its questions as a hook.

use std::sync::Arc;

use parlor_base::permission::Permission;

use super::Instance;
use crate::account::callees::Callee;
use crate::account::hooks::HookInstance;

/// Bytes of an event in addition to the value of a request.
const BESIDE: usize = 8 << 10;
/// The permissions of hooks.
const HOOKS: [Permission; 3] = [Permission::HooksCommands, Permission::HooksIncoming, Permission::HooksOutgoing];

/// Lets other plugins ask an instance what its manifest lists, and the account ask it as a hook. The account forgets it with
/// the instance.
pub(super) fn begin(instance: &Instance) {
    if HOOKS.iter().any(|permission| instance.manifest.permissions.contains_key(permission)) {
        instance.account.hooks.add(HookInstance {
            plugin: instance.plugin.clone(),
            instance: instance.id,
            mailbox: Arc::clone(&instance.mailbox),
            waiting: Arc::clone(instance.lasting.unanswered.hooks()),
            counters: Arc::clone(&instance.counters),
            longest: instance.limits.hostcall_bytes.as_usize(),
        });
    }
    let names = instance.manifest.requests.clone();
    if names.is_empty() {
        return;
    }
    instance.account.callees.add(Callee {
        plugin: instance.plugin.clone(),
        instance: instance.id,
        mailbox: Arc::clone(&instance.mailbox),
        names,
        waiting: Arc::clone(instance.lasting.unanswered.calls()),
        time: instance.limits.request_time,
        longest: instance.limits.hostcall_bytes.as_usize().saturating_sub(BESIDE),
    });
}
