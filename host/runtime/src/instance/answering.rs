//! The requests of other plugins that an instance answers.

use std::sync::Arc;

use super::Instance;
use crate::account::callees::Callee;

/// Bytes of an event beside the value of a request.
const BESIDE: usize = 8 << 10;

impl Instance {
    /// Lets other plugins ask it what its manifest lists. The account forgets it with the instance.
    pub(super) fn answers_others(&self) {
        let names = self.manifest.requests.clone();
        if names.is_empty() {
            return;
        }
        self.account.callees.add(Callee {
            plugin: self.plugin.clone(),
            instance: self.id,
            mailbox: Arc::clone(&self.mailbox),
            names,
            waiting: Arc::clone(&self.unanswered.calls),
            time: self.limits.request_time,
            longest: self.limits.hostcall_bytes.as_usize().saturating_sub(BESIDE),
        });
    }
}
