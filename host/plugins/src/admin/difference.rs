//! The difference between the permissions that two versions request.

use std::collections::BTreeMap;

use parlor_base::permission::Permission;
use parlor_session::permissions::Scope;

use crate::consent::covers_entry;
use crate::manifest::{Manifest, Request};

/// The changes in requested permissions when an offer replaces the installed version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Permissions that were not requested before.
    pub new: Vec<Permission>,
    /// Permissions whose requested scope changed, that became required, or whose webhooks are more open.
    pub changed: Vec<Permission>,
    /// Permissions that are no longer requested.
    pub gone: Vec<Permission>,
    /// The entries that are asked for newly, of permissions that were requested before.
    pub wider: BTreeMap<Permission, Vec<String>>,
    /// Descriptions of what is more open about its webhooks, a clause each.
    pub opened: Vec<String>,
}

impl Difference {
    /// Compares the requests of two versions.
    pub fn between(old: &Manifest, new: &Manifest) -> Self {
        let mut difference = Self { opened: new.opened_since(old), ..Self::default() };
        for (permission, request) in &new.permissions {
            match old.permissions.get(permission) {
                None => difference.new.push(*permission),
                Some(before)
                    if before.scope != request.scope
                        || (before.optional && !request.optional)
                        || (*permission == Permission::WebhooksReceive && !difference.opened.is_empty()) =>
                {
                    difference.changed.push(*permission);
                    let wider = wider(*permission, before, request);
                    if !wider.is_empty() {
                        difference.wider.insert(*permission, wider);
                    }
                }
                Some(_) => {}
            }
        }
        difference.gone =
            old.permissions.keys().filter(|permission| !new.permissions.contains_key(permission)).copied().collect();
        difference
    }
}

/// Returns the entries of a request that no entry of the former one covers.
fn wider(permission: Permission, before: &Request, after: &Request) -> Vec<String> {
    let before = Scope::parse(permission.scope_kind(), &before.entries(permission)).ok();
    let mut entries = after.entries(permission);
    entries.retain(|entry| before.as_ref().is_none_or(|before| !covers_entry(before, entry)));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_asked_for_newly_is_told_from_those_before() {
        let manifest = |scope: &str| {
            let plugin =
                "[plugin]\nname = \"x\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n[permissions]\n";
            Manifest::parse(&format!("{plugin}\"http.fetch\" = {{ scope = [{scope}], reason = \"r\" }}\n")).unwrap()
        };
        let (one, both) = (manifest("\"api.test\""), manifest("\"api.test\", \"other.test\""));
        let wider = |old: &Manifest, new: &Manifest| {
            Difference::between(old, new).wider.remove(&Permission::HttpFetch).unwrap_or_default()
        };
        assert_eq!(wider(&one, &both), ["https://other.test"]);
        assert!(wider(&both, &one).is_empty() && wider(&both, &both).is_empty());
        let own = manifest("\"*\", \"https://127.0.0.1:37444\"");
        assert_eq!(wider(&manifest("\"*\""), &own), ["https://127.0.0.1:37444"]);
    }
}
