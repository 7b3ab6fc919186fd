//! The resources that a plugin may use, as far as its owner wants other bounds than the defaults.

use parlor_base::id::PluginId;
use toml::Value;

use super::recording::change_entry;
use super::{AdminError, PluginAdmin, known};
use crate::policy::edit::Change;

impl PluginAdmin<'_> {
    /// Sets limits of a plugin, all or none; `None` returns one to its default. Returns whether that is a change.
    pub fn limit(&self, id: &PluginId, limits: &[(String, Option<Value>)]) -> Result<bool, AdminError> {
        let mut file = self.open()?;
        let before = known(self, file.policy(), id)?.limits.clone();
        let change = |(name, value): &(String, Option<Value>)| {
            let keys = vec!["limits".to_owned(), name.clone()];
            match value {
                Some(value) => Change::Set(keys, value.clone()),
                None => Change::Unset(keys),
            }
        };
        let changes: Vec<_> = limits.iter().map(change).collect();
        if file.with(id, &changes)?.plugins.get(id).is_some_and(|entry| entry.limits == before) {
            return Ok(false);
        }
        change_entry(self, &mut file, id, &changes)?;
        Ok(true)
    }
}
