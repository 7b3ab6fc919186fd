//! Which grants count with a version, and what is granted beside them.

use std::collections::BTreeSet;

use super::{DeskError, Older, Wish};
use crate::permissions::{Grants, Scope, ScopeKind};
use crate::plugins::id::PluginId;
use crate::plugins::manifest::Manifest;
use crate::plugins::policy::edit::Change;

/// What of the present grants counts on with a version: what the present one asks for, too. What that one had dropped would
/// otherwise come back with a later version that asks for it again, and nobody would be asked.
pub fn counting(grants: &Grants, present: Option<&Manifest>, new: &Manifest, older: Older) -> Grants {
    let Some(present) = present.filter(|_| older != Older::Had) else { return grants.clone() };
    let is_asked_anew =
        |permission| new.permissions.contains_key(&permission) && !present.permissions.contains_key(&permission);
    let counting = grants.iter().filter(|(permission, _)| !is_asked_anew(*permission));
    counting.map(|(permission, scope)| (permission, scope.clone())).collect()
}

/// What has to be written for that.
pub(super) fn taken_back(grants: &Grants, counting: &Grants) -> Vec<Change> {
    let gone = counting.covers(grants);
    gone.iter().map(|gone| Change::Unset(vec!["grants".to_owned(), gone.permission.to_string()])).collect()
}

/// The grants with more, and the changes that write them down.
pub(super) fn granting(
    id: &PluginId,
    manifest: &Manifest,
    present: &Grants,
    wishes: &[Wish],
) -> Result<(Grants, Vec<Change>), DeskError> {
    let mut grants = present.clone();
    let mut touched = BTreeSet::new();
    for wish in wishes {
        let Some(asked) = manifest.permissions.get(&wish.permission) else {
            return Err(DeskError::NotAsked { id: id.clone(), permission: wish.permission });
        };
        let mut entries = match wish.permission.scope_kind() {
            // One size, not one beside another.
            ScopeKind::None | ScopeKind::Quota => Vec::new(),
            ScopeKind::Jids | ScopeKind::Rooms | ScopeKind::Stanzas => {
                grants.get(wish.permission).map(Scope::entries).unwrap_or_default()
            }
        };
        let more = wish.scope.clone().unwrap_or_else(|| asked.entries(wish.permission));
        entries.extend(more.into_iter().filter(|entry| !entries.contains(entry)).collect::<Vec<_>>());
        grants.grant(wish.permission, &entries).map_err(|error| DeskError::Decision(error.to_string()))?;
        touched.insert(wish.permission);
    }
    let table = grants.to_table();
    let changes = touched.into_iter().filter_map(|permission| {
        let value = table.get(permission.as_str())?.clone();
        Some(Change::Set(vec!["grants".to_owned(), permission.to_string()], value))
    });
    let written = changes.collect();
    Ok((grants, written))
}
