//! What another version asks for otherwise than the present one.

use crate::permissions::Permission;
use crate::plugins::manifest::Manifest;

/// What changes for the owner when an offer takes the place of what is installed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Permissions that were not asked for before.
    pub new: Vec<Permission>,
    /// Permissions that are asked for otherwise: for others, or necessarily.
    pub changed: Vec<Permission>,
    /// Permissions that are not asked for any more.
    pub gone: Vec<Permission>,
}

impl Difference {
    /// Between what was asked for and what is.
    pub fn between(old: &Manifest, new: &Manifest) -> Self {
        let mut difference = Self::default();
        for (permission, request) in &new.permissions {
            match old.permissions.get(permission) {
                None => difference.new.push(*permission),
                Some(before) if before.scope != request.scope || (before.optional && !request.optional) => {
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
