//! Tells the log, the record and the audit of a plugin that starts, ends or fails. The plugin causes these entries, so they have separate
//! bounds: failures one, and starts and ends another.

use parlor_store::{AuditKind, By, NewAuditEntry, Share};

use super::Shared;
use crate::run::ShutdownMode;

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

/// Notes that the plugin runs. Its first start since the host began is counted alone: a host with thousands of plugins would
/// write as many entries at its own start, which says the same.
pub(super) fn runs(shared: &Shared) {
    tracing::info!(plugin = %shared.admitted.id, account = %shared.account.name, "plugin running");
    if !shared.lasting.record.starts() {
        return;
    }
    let version = shared.admitted.manifest.version.to_string();
    put(shared, "runs", Some(version), Share::Runs, "supervisor");
}

/// Notes that the plugin has ended, unless the host ends as well.
pub(super) fn ended(shared: &Shared, shutdown: Option<ShutdownMode>) {
    tracing::info!(plugin = %shared.admitted.id, account = %shared.account.name, "plugin stopped");
    let why = match shutdown {
        Some(ShutdownMode::Host) => return,
        Some(ShutdownMode::Handover) => Some("another instance took over".to_owned()),
        Some(ShutdownMode::Now) | None => None,
    };
    put(shared, "has ended", why, Share::Runs, "supervisor");
}

/// Notes that the plugin does not want to run, in its own words.
pub(super) fn declined(shared: &Shared, words: &str) {
    let (plugin, account) = (&shared.admitted.id, &shared.account.name);
    tracing::warn!(%plugin, %account, reason = %words, "plugin declined to start");
    put(shared, "declined to start", Some(words.to_owned()), Share::Plugin, "supervisor");
}

fn note(shared: &Shared, what: &str, why: &str) {
    put(shared, what, Some(why.to_owned()), Share::Plugin, "failures");
}

fn put(shared: &Shared, what: &str, new: Option<String>, share: Share, way: &str) {
    let entry = NewAuditEntry::new(AuditKind::Run, &By::host(way), what);
    let (plugin, account) = (shared.admitted.id.to_string(), shared.account.name.to_string());
    let (plugin, account) = (Some(plugin), Some(account));
    shared.account.audit.put(NewAuditEntry { plugin, account, new, share, ..entry });
}
