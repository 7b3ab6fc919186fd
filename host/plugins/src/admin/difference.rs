//! The difference between the permissions that two versions request.

use parlor_base::permission::Permission;

use crate::manifest::Manifest;

/// The changes in requested permissions when an offer replaces the installed version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Permissions that were not requested before.
    pub new: Vec<Permission>,
    /// Permissions whose requested scope changed, that became required, or whose webhooks are more open.
    pub changed: Vec<Permission>,
    /// Permissions that are no longer requested.
    pub gone: Vec<Permission>,
}

impl Difference {
    /// Compares the requests of two versions.
    pub fn between(old: &Manifest, new: &Manifest) -> Self {
        let mut difference = Self::default();
        for (permission, request) in &new.permissions {
            match old.permissions.get(permission) {
                None => difference.new.push(*permission),
                Some(before)
                    if before.scope != request.scope
                        || (before.optional && !request.optional)
                        || (*permission == Permission::WebhooksReceive && new.opens_more_than(old)) =>
                {
                    difference.changed.push(*permission);
                }
                Some(_) => {}
            }
        }
        difference.gone =
            old.permissions.keys().filter(|permission| !new.permissions.contains_key(permission)).copied().collect();
        difference
    }
}
