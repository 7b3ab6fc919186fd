//! Tells the record and the audit of a plugin that fails. The plugin causes these entries, so they have a separate
//! bound.

use parlor_store::{AuditKind, By, NewAuditEntry, Share};

use super::Shared;

/// Notes that the plugin is started again after an instance failed, unless there was only no room for it.
pub(super) fn restarted(shared: &Shared, why: &str, is_crowded: bool) {
    if !is_crowded {
        shared.lasting.record.restarted();
        note(shared, "failed, and is started again", why);
    }
}

/// Notes that the plugin failed too often, and is not started again.
pub(super) fn quarantined(shared: &Shared, why: &str) {
    note(shared, "quarantined", why);
}

fn note(shared: &Shared, what: &str, why: &str) {
    let entry = NewAuditEntry::new(AuditKind::Run, &By::host("failures"), what);
    let (plugin, account) = (shared.admitted.id.to_string(), shared.account.name.to_string());
    let (plugin, account, new) = (Some(plugin), Some(account), Some(why.to_owned()));
    shared.account.audit.put(NewAuditEntry { plugin, account, new, share: Share::Plugin, ..entry });
}
