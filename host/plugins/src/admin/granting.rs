//! Grants: giving and revoking them, and which of them apply to a new version.

use std::collections::BTreeSet;

use parlor_base::id::{Digest, PluginId};
use parlor_base::permission::Permission;
use parlor_session::permissions::{self, GrantError, Grants, Scope};

use super::recording::change_entry;
use super::{AdminError, Older, PluginAdmin, known};
use crate::component::Examined;
use crate::manifest::Manifest;
use crate::policy::Entry;
use crate::policy::edit::Change;

/// A permission and its scope; without a scope, the one that the plugin requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRequest {
    /// The permission.
    pub permission: Permission,
    /// The entries of the scope.
    pub scope: Option<Vec<String>>,
}

/// The result of resolving requests by the installed version. The owner is asked about it.
#[derive(Debug)]
pub struct ComesTo {
    /// The entry of the plugin.
    pub entry: Entry,
    /// The installed file. Its digest says later whether the plugin was updated since.
    pub examined: Examined,
    /// Each permission with the scope to grant.
    pub more: Vec<(Permission, Scope)>,
}

/// The consequences of revoking grants.
#[derive(Debug)]
pub struct Revoked {
    /// The permissions that the plugin requires and no longer has.
    pub needed: Vec<Permission>,
    /// The remaining scope of permissions that were revoked in part.
    pub left: Vec<(Permission, Scope)>,
}

impl std::str::FromStr for GrantRequest {
    type Err = String;

    /// Parses `messages.send`, or `messages.send=juliet@example.org,@example.net`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, scope): (_, Option<Vec<_>>) = match text.split_once('=') {
            None => (text, None),
            Some((name, entries)) => (name, Some(entries.split(',').map(|entry| entry.trim().to_owned()).collect())),
        };
        let permission = permissions::permission(name.trim()).map_err(|error| error.to_string())?;
        // An invalid scope is refused here, independently of the plugin's requests.
        if let Some(entries) = &scope {
            Grants::default().grant_more(permission, entries).map_err(|error| error.to_string())?;
        }
        Ok(Self { permission, scope })
    }
}

impl PluginAdmin<'_> {
    /// Resolves requests: returns each permission with the scope to grant. If none is named, it is the scope that the
    /// plugin requests.
    pub fn comes_to(&self, id: &PluginId, requests: &[GrantRequest]) -> Result<ComesTo, AdminError> {
        let entry = self.entry(id)?;
        let examined = self.look(id, &entry)?;
        let more = resolved(id, &examined.manifest, requests)?;
        Ok(ComesTo { entry, examined, more })
    }

    /// Grants permissions in addition to the present grants. `shown`: the digest of the file that the owner was asked
    /// about. If another one is installed by now, nothing is granted, since it may request a wider scope. Returns each
    /// permission with the scope that was granted.
    pub fn grant(
        &self,
        id: &PluginId,
        requests: &[GrantRequest],
        shown: Digest,
    ) -> Result<Vec<(Permission, Scope)>, AdminError> {
        let mut file = self.open()?;
        let entry = known(self, file.policy(), id)?.clone();
        if entry.digest != shown {
            return Err(AdminError::Updated(id.clone()));
        }
        let examined = self.look(id, &entry)?;
        let more = resolved(id, &examined.manifest, requests)?;
        let (_, changes) = granting(id, &examined.manifest, &entry.grants, requests)?;
        change_entry(self, &mut file, id, &changes)?;
        Ok(more)
    }

    /// Revokes grants, entirely or in part.
    pub fn revoke(&self, id: &PluginId, requests: &[GrantRequest]) -> Result<Revoked, AdminError> {
        let mut file = self.open()?;
        let entry = known(self, file.policy(), id)?.clone();
        let (grants, changes) = taking_back(id, &entry.grants, requests)?;
        change_entry(self, &mut file, id, &changes)?;
        let manifest = self.look(id, &entry).ok().map(|examined| examined.manifest);
        let asked = |permission| manifest.as_ref().and_then(|manifest| manifest.permissions.get(&permission));
        let (mut needed, mut left) = (Vec::new(), Vec::new());
        for permission in requests.iter().map(|request| request.permission).collect::<BTreeSet<_>>() {
            match grants.get(permission) {
                Some(scope) => left.push((permission, scope.clone())),
                None if asked(permission).is_some_and(|request| !request.optional) => needed.push(permission),
                None => {}
            }
        }
        Ok(Revoked { needed, left })
    }
}

/// Returns the present grants that stay valid with a new version: those for permissions that the present version
/// requests too, except for webhooks that are more open now. Otherwise a grant for a permission that one version dropped would apply again, without consent, once a
/// later one requests it.
pub(super) fn counting(grants: &Grants, present: Option<&Manifest>, new: &Manifest, older: Older) -> Grants {
    let Some(present) = present.filter(|_| older != Older::Had) else { return grants.clone() };
    let is_asked_anew =
        |permission| new.permissions.contains_key(&permission) && !present.permissions.contains_key(&permission);
    let opens_more = new.opens_more_than(present);
    grants.only(|permission| {
        let is_more_open = opens_more && permission == Permission::WebhooksReceive;
        !is_asked_anew(permission) && !is_more_open
    })
}

/// Returns the changes that remove the other grants.
pub(super) fn taken_back(grants: &Grants, counting: &Grants) -> Vec<Change> {
    let gone = counting.covers(grants);
    gone.iter().map(|gone| Change::Unset(vec!["grants".to_owned(), gone.permission.to_string()])).collect()
}

/// Returns each permission of these requests with its scope.
fn resolved(
    id: &PluginId,
    manifest: &Manifest,
    requests: &[GrantRequest],
) -> Result<Vec<(Permission, Scope)>, AdminError> {
    let (more, _) = granting(id, manifest, &Grants::default(), requests)?;
    Ok(more.iter().map(|(permission, scope)| (permission, scope.clone())).collect())
}

/// Adds to the grants, and returns the changes that write them.
pub(super) fn granting(
    id: &PluginId,
    manifest: &Manifest,
    present: &Grants,
    requests: &[GrantRequest],
) -> Result<(Grants, Vec<Change>), AdminError> {
    let mut grants = present.clone();
    let mut touched = BTreeSet::new();
    for request in requests {
        let Some(asked) = manifest.permissions.get(&request.permission) else {
            return Err(AdminError::NotAsked { id: id.clone(), permission: request.permission });
        };
        let more = request.scope.clone().unwrap_or_else(|| asked.entries(request.permission));
        grants.grant_more(request.permission, &more).map_err(|error| decision(&error))?;
        touched.insert(request.permission);
    }
    let changes = written(&grants, touched);
    Ok((grants, changes))
}

/// Removes from the grants, and returns the changes that write them.
pub(super) fn taking_back(
    id: &PluginId,
    present: &Grants,
    requests: &[GrantRequest],
) -> Result<(Grants, Vec<Change>), AdminError> {
    let mut grants = present.clone();
    let mut touched = BTreeSet::new();
    for request in requests {
        let permission = request.permission;
        let Some(scope) = grants.get(permission) else {
            return Err(AdminError::NotGranted { id: id.clone(), what: permission.to_string() });
        };
        let left = match &request.scope {
            None => Vec::new(),
            Some(entries) => entries_without(id, permission, scope, entries)?,
        };
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

/// Returns the entries of a scope without these, each of which it must list.
fn entries_without(
    id: &PluginId,
    permission: Permission,
    scope: &Scope,
    entries: &[String],
) -> Result<Vec<String>, AdminError> {
    let bad = |reason| decision(&GrantError::BadScope { permission, reason });
    let mut left = scope.entries();
    // An address has several spellings.
    let gone = Scope::parse(permission.scope_kind(), entries).map_err(bad)?;
    for entry in gone.entries() {
        let Some(at) = left.iter().position(|one| *one == entry) else {
            let one = Scope::parse(permission.scope_kind(), std::slice::from_ref(&entry)).map_err(bad)?;
            return Err(match scope.covering(&one) {
                Some(by) => AdminError::Covered { id: id.clone(), permission, entry, by },
                None => AdminError::NotGranted { id: id.clone(), what: format!("{permission} for {entry}") },
            });
        };
        left.remove(at);
    }
    Ok(left)
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

fn decision(error: &GrantError) -> AdminError {
    AdminError::Decision(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use parlor_config::{Config, Overrides};

    use super::*;
    use crate::component::tests::plugin_with;

    /// Writes a version that asks to send messages to somebody, and a policy with it and without grants.
    fn install(folder: &Path, version: &str, to: &str) {
        let bytes = plugin_with(&format!(
            "[plugin]\nname = \"echo\"\nversion = \"{version}\"\napi = \"0.1.0\"\ndescription = \"X\"\n\
             [permissions]\n\"messages.send\" = {{ scope = [\"{to}\"], reason = \"r\" }}\n"
        ));
        let policy = format!("[plugin.echo]\nsource = \"echo.wasm\"\ndigest = \"{}\"\n", Digest::of(&bytes));
        fs::write(folder.join("echo.wasm"), bytes).unwrap();
        fs::write(folder.join("plugins.toml"), policy).unwrap();
    }

    #[test]
    fn nothing_is_granted_to_another_version_than_the_one_that_was_shown() {
        let folder = tempfile::tempdir().unwrap();
        let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
        let config = Config::places_in(&folder.path().join("parlor.toml"), "", &overrides).unwrap();
        let (admin, id) = (PluginAdmin::new(&config), "echo".parse::<PluginId>().unwrap());
        let scopes = |more: &[(Permission, Scope)]| more.iter().map(|(_, scope)| scope.entries()).collect::<Vec<_>>();
        let granted = || admin.entry(&id).unwrap().grants.get(Permission::MessagesSend).map(Scope::entries);
        for request in ["messages.send", "messages.send=romeo@example.org"] {
            let requests = [request.parse::<GrantRequest>().unwrap()];
            install(folder.path(), "0.1.0", "juliet@example.org");
            let shown = admin.comes_to(&id, &requests).unwrap();
            // Another owner updates it before this one has agreed.
            install(folder.path(), "0.2.0", "*");
            let error = admin.grant(&id, &requests, shown.examined.digest).unwrap_err().to_string();
            assert!(error.starts_with("echo was updated meanwhile, so nothing was granted"), "{error}");
            assert_eq!(granted(), None);
            // The second question is about the new version, and they grant exactly that.
            let again = admin.comes_to(&id, &requests).unwrap();
            let more = admin.grant(&id, &requests, again.examined.digest).unwrap();
            assert_eq!(scopes(&more), scopes(&again.more));
            assert_eq!(granted(), scopes(&more).pop());
        }
    }
}
