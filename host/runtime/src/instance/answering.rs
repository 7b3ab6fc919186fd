//! The requests of other plugins that an instance answers.

use std::sync::Arc;

use super::Instance;
use crate::account::callees::Callee;

/// Bytes of an event beside the value of a request.
const BESIDE: usize = 8 << 10;

/// Lets other plugins ask an instance what its manifest lists. The account forgets it with the instance.
pub(super) fn begin(instance: &Instance) {
    let names = instance.manifest.requests.clone();
    if names.is_empty() {
        return;
    }
    instance.account.callees.add(Callee {
        plugin: instance.plugin.clone(),
        instance: instance.id,
        mailbox: Arc::clone(&instance.mailbox),
        names,
        waiting: Arc::clone(&instance.unanswered.calls),
        time: instance.limits.request_time,
        longest: instance.limits.hostcall_bytes.as_usize().saturating_sub(BESIDE),
    });
}
