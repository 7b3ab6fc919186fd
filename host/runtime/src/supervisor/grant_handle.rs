//! Changes to the grants of a plugin that runs, or is about to.

use std::sync::Arc;

use parlor_base::permission::Permission;
use parlor_session::permissions::Grants;

use super::{Shared, Supervised};
use crate::account::foreign;
use crate::instance::Instance;

/// A handle for changing the grants of a plugin on an account, independent of its [`Supervised`].
pub struct GrantHandle(Arc<Shared>);

impl GrantHandle {
    fn grant(&self, grants: Arc<Grants>) {
        self.0.grants.store(Arc::clone(&grants));
        if let Some(webhooks) = &self.0.webhooks {
            webhooks.granted(&grants);
        }
        // A plugin that will replace another one claims them when it does.
        if let Some(iqs) = self.0.iqs.as_ref().filter(|_| !self.0.standing.is_beside()) {
            iqs.claim(&grants);
        }
        let instance = self.0.standing.with(|standing| standing.instance.clone());
        if let Some(instance) = instance {
            instance.account.router.grant(&instance.mailbox, grants);
            announce_granted(&self.0, &instance);
        }
    }

    /// Restricts its present grants to those that `grants` covers too.
    pub fn hold_to(&self, grants: &Grants) {
        let held = self.0.grants.load().within(grants);
        self.grant(Arc::new(held));
    }
}

impl Supervised {
    /// Replaces its grants, from its next event and call on.
    pub fn grant(&self, grants: &Arc<Grants>) {
        self.grant_handle().grant(Arc::clone(grants));
    }

    /// Returns the grants in force.
    pub fn grants(&self) -> Arc<Grants> {
        self.shared.grants.load_full()
    }

    /// Returns a handle for changing its grants.
    pub fn grant_handle(&self) -> GrantHandle {
        GrantHandle(Arc::clone(&self.shared))
    }
}

impl Shared {
    /// Gives the latest grants to a starting instance, and repeats that if they change meanwhile.
    pub(super) fn hand_over_grants(&self, instance: &Instance) {
        loop {
            let grants = self.grants.load_full();
            instance.account.router.grant(&instance.mailbox, Arc::clone(&grants));
            if Arc::ptr_eq(&grants, &self.grants.load()) {
                break;
            }
        }
        announce_granted(self, instance);
    }
}

/// Announces the nodes that an instance may read now, and its features, if the manifest of its plugin asks for either.
fn announce_granted(plugin: &Shared, instance: &Instance) {
    let asked = &plugin.admitted.manifest.permissions;
    if [Permission::PubsubRead, Permission::DiscoOwn].iter().any(|permission| asked.contains_key(permission)) {
        foreign::announce_granted(&instance.account, &instance.mailbox);
    }
}
