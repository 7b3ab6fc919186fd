//! The record of decisions. The caller's callback writes it before the decision takes effect.

use std::fmt;

use parlor_base::id::PluginId;

use super::{AdminError, PluginAdmin};
use crate::listing::IndexName;
use crate::policy::Policy;
use crate::policy::edit::Change;
use crate::policy::file::PolicyFile;
use crate::policy::hooks::OrderName;
use crate::signature::PublisherKey;

/// A decision that is about to be written.
#[derive(Debug, Clone, Copy)]
pub enum Decided<'a> {
    /// The entry of a plugin changes.
    Entry {
        /// The plugin.
        id: &'a PluginId,
        /// The policy as it is.
        present: &'a Policy,
        /// The policy as it will be.
        new: &'a Policy,
    },
    /// The value of a secret setting is stored where the policy says.
    Secret {
        /// The plugin.
        id: &'a PluginId,
        /// The name of the setting, with the room if it is for one alone.
        name: &'a str,
    },
    /// An order of hooks changes.
    Hooks {
        /// The policy as it is.
        present: &'a Policy,
        /// The policy as it will be.
        new: &'a Policy,
    },
    /// An index is added or removed.
    Index {
        /// The owner's name for it.
        name: &'a IndexName,
        /// The key that signs it: as it is, and as it will be.
        key: [Option<&'a PublisherKey>; 2],
    },
}

type Record<'c> = dyn Fn(Decided<'_>) -> Result<(), String> + Send + Sync + 'c;

/// The callback for decisions. By default there is none.
#[derive(Default)]
pub(super) struct Recorder<'c>(Option<Box<Record<'c>>>);

impl<'c> Recorder<'c> {
    pub(super) fn new(record: impl Fn(Decided<'_>) -> Result<(), String> + Send + Sync + 'c) -> Self {
        Self(Some(Box::new(record)))
    }
}

impl fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("is_there", &self.0.is_some()).finish_non_exhaustive()
    }
}

/// Records a decision.
pub(super) fn record(admin: &PluginAdmin<'_>, decided: Decided<'_>) -> Result<(), AdminError> {
    let Some(record) = &admin.recorder.0 else { return Ok(()) };
    // The record is kept in the data folder.
    admin.make_data().map_err(|cause| admin.unwritten(cause))?;
    record(decided).map_err(AdminError::Unrecorded)
}

/// Writes changes of a plugin's entry, after they were recorded. A change that only removes something is written even
/// if recording fails: the host records it when it finds it.
pub(super) fn change_entry(
    admin: &PluginAdmin<'_>,
    file: &mut PolicyFile,
    id: &PluginId,
    changes: &[Change],
) -> Result<(), AdminError> {
    let (present, new) = (file.policy().clone(), file.with(id, changes)?);
    match record(admin, Decided::Entry { id, present: &present, new: &new }) {
        Err(error) if !changes.iter().all(takes_away) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    file.change(id, changes).inspect_err(|_| {
        // The change was recorded and not made. If this fails too, a host records the difference.
        let _ = record(admin, Decided::Entry { id, present: &new, new: &present });
    })?;
    Ok(())
}

/// Writes an order of hooks, after it was recorded. An order from which plugins are only removed is written even if
/// recording fails.
pub(super) fn change_order(
    admin: &PluginAdmin<'_>,
    file: &mut PolicyFile,
    order: OrderName,
    ids: &[PluginId],
) -> Result<(), AdminError> {
    let (present, new) = (file.policy().clone(), file.with_order(order, ids)?);
    let before = present.hooks.order(order);
    let is_removal = ids.len() < before.len() && ids.iter().all(|id| before.contains(id));
    match record(admin, Decided::Hooks { present: &present, new: &new }) {
        Err(error) if !is_removal => return Err(error),
        Ok(()) | Err(_) => {}
    }
    file.change_order(order, ids).inspect_err(|_| {
        // It was recorded and not made.
        let _ = record(admin, Decided::Hooks { present: &new, new: &present });
    })?;
    Ok(())
}

/// Returns whether a change gives a plugin nothing.
fn takes_away(change: &Change) -> bool {
    match change {
        Change::Remove => true,
        Change::Unset(keys) => keys.first().is_some_and(|key| key == "grants"),
        Change::Set(keys, value) => keys.len() == 1 && keys[0] == "enabled" && value.as_bool() == Some(false),
        Change::Add(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_only_restrict_a_plugin_are_recognized() {
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        assert!(takes_away(&Change::Remove));
        assert!(takes_away(&Change::Set(keys(&["enabled"]), false.into())));
        assert!(takes_away(&Change::Unset(keys(&["grants", "messages.read"]))));
        assert!(!takes_away(&Change::Set(keys(&["enabled"]), true.into())));
        assert!(!takes_away(&Change::Set(keys(&["grants", "messages.read"]), false.into())));
        assert!(!takes_away(&Change::Unset(keys(&["limits", "memory"]))));
        assert!(!takes_away(&Change::Add(toml::Table::new())));
    }

    /// An owner who takes back one scope of several must not read that this is possible, and be refused.
    #[test]
    fn an_owner_reads_what_is_possible_without_the_audit() {
        let says = AdminError::Unrecorded("disk full".to_owned()).to_string();
        assert!(says.contains("(disk full)") && says.contains("revoke it without a scope"), "{says}");
    }
}
