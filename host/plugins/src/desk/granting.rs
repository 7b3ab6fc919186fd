//! The grants that apply to a new version, and further grants.

use std::collections::BTreeSet;

use parlor_base::id::PluginId;
use parlor_base::permission::Permission;
use parlor_session::permissions::{GrantError, Grants, Scope};

use super::{Desk, DeskError, Older, Wish};
use crate::manifest::Manifest;
use crate::policy::edit::Change;

impl Desk<'_> {
    /// Resolves wishes: each permission with the scope to be granted, which is the one that the plugin requests if none
    /// is named.
    pub fn comes_to(&self, id: &PluginId, wishes: &[Wish]) -> Result<Vec<(Permission, Scope)>, DeskError> {
        let entry = self.entry(id)?;
        let manifest = self.look(id, &entry)?.manifest;
        let (more, _) = granting(id, &manifest, &Grants::default(), wishes)?;
        Ok(more.iter().map(|(permission, scope)| (permission, scope.clone())).collect())
    }
}

/// Returns the present grants that stay valid with a new version: those for permissions that the present version
/// requests too. Otherwise a grant for a permission that one version dropped would apply again, without consent, once a
/// later one requests it.
pub fn counting(grants: &Grants, present: Option<&Manifest>, new: &Manifest, older: Older) -> Grants {
    let Some(present) = present.filter(|_| older != Older::Had) else { return grants.clone() };
    let is_asked_anew =
        |permission| new.permissions.contains_key(&permission) && !present.permissions.contains_key(&permission);
    let counting = grants.iter().filter(|(permission, _)| !is_asked_anew(*permission));
    counting.map(|(permission, scope)| (permission, scope.clone())).collect()
}

/// Returns the changes that remove the other grants.
pub(super) fn taken_back(grants: &Grants, counting: &Grants) -> Vec<Change> {
    let gone = counting.covers(grants);
    gone.iter().map(|gone| Change::Unset(vec!["grants".to_owned(), gone.permission.to_string()])).collect()
}

/// Adds to the grants, and returns the changes that write them.
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
        let more = wish.scope.clone().unwrap_or_else(|| asked.entries(wish.permission));
        grants.grant_more(wish.permission, &more).map_err(|error| decision(&error))?;
        touched.insert(wish.permission);
    }
    let changes = written(&grants, touched);
    Ok((grants, changes))
}

/// Removes from the grants, and returns the changes that write them.
pub(super) fn taking_back(
    id: &PluginId,
    present: &Grants,
    wishes: &[Wish],
) -> Result<(Grants, Vec<Change>), DeskError> {
    let mut grants = present.clone();
    let mut touched = BTreeSet::new();
    for wish in wishes {
        let permission = wish.permission;
        let missing = |what: String| DeskError::NotGranted { id: id.clone(), what };
        let Some(scope) = grants.get(permission) else { return Err(missing(permission.to_string())) };
        let mut left = scope.entries();
        match &wish.scope {
            None => left.clear(),
            Some(entries) => {
                // An address has several spellings.
                let bad = |reason| decision(&GrantError::BadScope { permission, reason });
                let gone = Scope::parse(permission.scope_kind(), entries).map_err(bad)?;
                for entry in gone.entries() {
                    let Some(at) = left.iter().position(|one| *one == entry) else {
                        let one = Scope::parse(permission.scope_kind(), std::slice::from_ref(&entry)).map_err(bad)?;
                        return Err(match scope.covering(&one) {
                            Some(by) => DeskError::Covered { id: id.clone(), permission, entry, by },
                            None => missing(format!("{permission} for {entry}")),
                        });
                    };
                    left.remove(at);
                }
            }
        }
        if left.is_empty() {
            grants.revoke(permission);
        } else {
            grants.grant(permission, &left).map_err(|error| decision(&error))?;
        }
        touched.insert(permission);
    }
    let changes = written(&grants, touched);
    Ok((grants, changes))
}

/// Returns the changes that write these permissions as they are granted now.
fn written(grants: &Grants, touched: BTreeSet<Permission>) -> Vec<Change> {
    let mut table = grants.to_table();
    let changes = touched.into_iter().map(|permission| {
        let keys = vec!["grants".to_owned(), permission.to_string()];
        match table.remove(permission.as_str()) {
            Some(value) => Change::Set(keys, value),
            None => Change::Unset(keys),
        }
    });
    changes.collect()
}

fn decision(error: &GrantError) -> DeskError {
    DeskError::Decision(error.to_string())
}
