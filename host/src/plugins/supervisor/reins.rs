//! Grants that change while a plugin runs, or is only about to.

use std::sync::Arc;

use super::{Shared, Supervised};
use crate::permissions::Grants;
use crate::plugins::Instance;

/// What holds a plugin on an account to its grants, wherever the plugin itself is.
pub struct Reins(Arc<Shared>);

impl Reins {
    fn grant(&self, grants: &Grants) {
        let grants = Arc::new(grants.clone());
        self.0.grants.store(Arc::clone(&grants));
        let instance = self.0.instance.borrow().clone();
        if let Some(instance) = instance {
            instance.mailbox.grant(grants);
        }
    }

    /// Lets it see and do no more than this of what it may.
    pub fn hold_to(&self, grants: &Grants) {
        let held = self.0.grants.load().within(grants);
        self.grant(&held);
    }
}

impl Supervised {
    /// Lets it see and do this from now on, and no more: from its next event and call.
    pub fn grant(&self, grants: &Grants) {
        self.reins().grant(grants);
    }

    /// What it may see and do now.
    pub fn grants(&self) -> Grants {
        Grants::clone(&self.shared.grants.load())
    }

    /// What holds it to its grants, for as long as that lives.
    pub fn reins(&self) -> Reins {
        Reins(Arc::clone(&self.shared))
    }
}

impl Shared {
    /// Gives an instance that begins what its owner decided last, until nobody has decided otherwise meanwhile.
    pub(super) fn hand_over_grants(&self, instance: &Instance) {
        loop {
            let grants = self.grants.load_full();
            instance.mailbox.grant(Arc::clone(&grants));
            if Arc::ptr_eq(&grants, &self.grants.load()) {
                return;
            }
        }
    }
}
