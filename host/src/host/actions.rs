//! Actions of owners that the running host carries out: each is in the audit before it is begun.

use parlor_base::id::PluginId;
use parlor_store::{Audit, NewAuditEntry, StoreError};

use super::Host;
use super::audit::warn_of;

/// The refusal of an action that was not begun, since its entry could not be written.
#[derive(Debug, thiserror::Error)]
#[error("nothing was done, since the audit cannot be written: {0}{remedy}", remedy = advice(.0))]
pub(crate) struct Unrecorded(StoreError);

impl From<Unrecorded> for String {
    fn from(unrecorded: Unrecorded) -> Self {
        unrecorded.to_string()
    }
}

/// Returns what helps, after what the error itself says.
fn advice(error: &StoreError) -> &'static str {
    match error {
        StoreError::File { .. } => ". If the disk is full, free space on it, and try again",
        StoreError::Ended => ". Start the host again, unless it is being stopped",
        StoreError::Log(_) => "",
    }
}

/// Returns whether the policy names a plugin of this id, once the changes that are being made are over: a plugin that is being
/// replaced is in no list meanwhile.
pub(crate) async fn will_have_plugin(host: &Host, id: &PluginId) -> bool {
    let _changing = host.changing.lock().await;
    host.plugins.has(id).await
}

/// Does something while no plugin of this id can start. None: there is one, so nothing was done.
pub(crate) async fn without_plugin<T>(host: &Host, id: &PluginId, action: impl Future<Output = T>) -> Option<T> {
    let _changing = host.changing.lock().await;
    if host.plugins.has(id).await { None } else { Some(action.await) }
}

/// Has an action of somebody carried out once its entries are on disk. If they cannot be written, it is not begun. If it
/// fails, further entries say so.
pub(crate) async fn recorded<T, E: From<Unrecorded>>(
    audit: &Audit,
    entries: Vec<NewAuditEntry>,
    action: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let failures: Vec<_> = entries.iter().map(failure).collect();
    if !entries.is_empty() {
        audit.add(entries).await.map_err(Unrecorded)?;
    }
    let result = action.await;
    if result.is_err() && !failures.is_empty() {
        warn_of(audit.add(failures).await);
    }
    result
}

/// Returns the entry that an action failed, which has the words of the entry about the action.
fn failure(begun: &NewAuditEntry) -> NewAuditEntry {
    let what = format!("{}: this failed, or was done in part", begun.what);
    NewAuditEntry { what, old: None, new: None, ..begun.clone() }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use parlor_store::{AuditKind, AuditQuery, By, Store};

    use super::*;

    fn restart() -> Vec<NewAuditEntry> {
        let entry = NewAuditEntry::new(AuditKind::Run, &By::user(1_000, "control socket"), "restarted");
        vec![NewAuditEntry { plugin: Some("echo".to_owned()), new: Some("0.1.0".to_owned()), ..entry }]
    }

    /// Returns the plugin, the words and the new value of each entry.
    async fn told(audit: &Audit) -> Vec<(Option<String>, String, Option<String>)> {
        let entries = audit.entries(AuditQuery { most: 10, ..AuditQuery::default() }).await.unwrap();
        entries.into_iter().map(|entry| (entry.plugin, entry.what, entry.new)).collect()
    }

    #[tokio::test]
    async fn an_action_is_recorded_before_it_is_begun_and_so_is_its_failure() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let audit = store.audit();
        let before = [(Some("echo".to_owned()), "restarted".to_owned(), Some("0.1.0".to_owned()))];
        let action = async {
            assert_eq!(told(&audit).await, before);
            Ok::<_, String>(7)
        };
        assert_eq!(recorded(&audit, restart(), action).await, Ok(7));
        assert_eq!(told(&audit).await, before, "a success adds nothing");
        let failing = async { Err::<(), _>("no".to_owned()) };
        assert_eq!(recorded(&audit, restart(), failing).await, Err("no".to_owned()));
        let all = told(&audit).await;
        let failed = "restarted: this failed, or was done in part".to_owned();
        assert_eq!((all.len(), &all[2]), (3, &(Some("echo".to_owned()), failed, None)));
        // If an action has no entry, its failure has none either.
        let failing = async { Err::<(), _>("no".to_owned()) };
        assert_eq!(recorded(&audit, Vec::new(), failing).await, Err("no".to_owned()));
        assert_eq!(told(&audit).await.len(), 3);
    }

    #[tokio::test]
    async fn what_cannot_be_recorded_is_not_begun() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let audit = store.audit();
        store.close().await;
        let is_begun = Cell::new(false);
        let action = async {
            is_begun.set(true);
            Ok::<_, String>(())
        };
        let refused = recorded(&audit, restart(), action).await.unwrap_err();
        assert!(!is_begun.get(), "{refused}");
        let says = "nothing was done, since the audit cannot be written: the store has ended. Start the host again";
        assert!(refused.starts_with(says), "{refused}");
    }
}
