//! Answers about a plugin that does not run.

use jid::{BareJid, Jid};
use parlor_base::permission::Permission;
use parlor_plugins::manifest::Manifest;
use parlor_runtime::api::acts_for;
use parlor_session::permissions::question::{AccountState, Judge, Listening};
use parlor_session::permissions::{Decision, EventRule, Grants, RoomList, Scope, Target, Use};

/// Decides about a plugin that does not run, by its entry in the policy.
pub(super) struct Stopped<'a> {
    pub(super) grants: &'a Grants,
    pub(super) manifest: Option<&'a Manifest>,
    /// The configured accounts.
    pub(super) own: Vec<BareJid>,
}

impl Judge for Stopped<'_> {
    fn decide(&self, one: Use<'_>) -> Option<Decision> {
        self.grants.decide_use(one, None)
    }

    fn scope(&self, permission: Permission) -> Option<Scope> {
        self.grants.get(permission).cloned()
    }

    fn asks_for(&self, permission: Permission) -> bool {
        self.manifest.is_none_or(|manifest| manifest.permissions.contains_key(&permission))
    }

    fn is_contact(&self, _jid: &BareJid) -> Option<bool> {
        None
    }

    /// Returns the rooms that the plugin is kept to, if they exclude this target. It knows no further rooms.
    fn elsewhere(&self, target: Target<'_>) -> Option<RoomList> {
        if self.grants.keeps_from(target, &|_| false) { self.grants.rooms().cloned() } else { None }
    }

    fn state(&self) -> Option<&dyn AccountState> {
        None
    }

    fn own(&self) -> Vec<BareJid> {
        self.own.clone()
    }

    fn acts_for(&self, jid: &Jid, is_set: bool) -> bool {
        self.own.iter().any(|own| acts_for(own, jid, is_set))
    }

    fn listens(&self, _event: &EventRule, _about: Option<&Jid>) -> Option<Listening> {
        None
    }
}
