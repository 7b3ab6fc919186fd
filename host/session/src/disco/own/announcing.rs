//! Announces the features of this account, including those that plugins add.

use std::collections::BTreeSet;
use std::time::Duration;

use parlor_base::id::InstanceId;
use parlor_stanza::draft::check_text;
use parlor_stanza::error::CallError;
use parlor_stanza::types::Identity;

use super::{feature_len, identity_len};
use crate::deadlines::Late;
use crate::turn::{Common, Turn};

/// Maximum number of features or identities that a plugin may add.
pub(crate) const MAX_OWN: usize = 128;
/// Maximum length of a name, in bytes.
const MAX_NAME: usize = 512;
/// How long changes are collected, so that twenty features cause one presence.
pub(crate) const GATHER: Duration = Duration::from_millis(250);
/// Minimum time between two presences that only announce such changes.
const PAUSE: Duration = Duration::from_secs(5);

impl Common {
    pub(crate) fn add_identity(&mut self, by: InstanceId, identity: Identity) -> Result<bool, CallError> {
        check_name("category", &identity.category, false, &['<', '/'])?;
        check_name("kind", &identity.kind, false, &['<', '/'])?;
        check_name("name", identity.name.as_deref().unwrap_or_default(), true, &['<'])?;
        if let Some(lang) = &identity.lang {
            check_name("lang", lang, false, &['<', '/', ' '])?;
        }
        let own = &mut self.own_disco;
        let is_listed = own.listed.identities.contains(&identity);
        let was_kept = own.kept.get(&by).is_some_and(|kept| kept.identities.contains(&identity));
        own.claim_identity(by, &identity);
        let by_others = || own.announced().any(|added| added.identities.contains(&identity));
        let is_new = !is_listed || (was_kept && !by_others());
        if !own.added.get(&by).is_some_and(|added| added.identities.contains(&identity)) {
            own.has_room(identity_len(&identity))?;
        }
        let added = own.added.entry(by).or_default();
        if !added.identities.contains(&identity) {
            if added.identities.len() >= MAX_OWN {
                return Err(CallError::OverLimit(format!("{MAX_OWN} own identities")));
            }
            added.identities.push(identity);
        }
        self.own_changed();
        Ok(is_new)
    }

    /// Sets the announced features of the host that only some people can use.
    pub(crate) fn offer(&mut self, features: Vec<&'static str>) {
        self.own_disco.offered = features;
        self.own_changed();
    }

    /// Sets the nodes of which contacts' servers are to tell, as features.
    pub(crate) fn be_notified(&mut self, features: Vec<&'static str>) {
        self.own_disco.notified = features;
        self.own_changed();
    }

    /// Sets the namespaces whose requests plugins answer. Returns how many are not announced, since one answer has no room
    /// for them.
    pub(crate) fn set_answered(&mut self, namespaces: Vec<String>) -> usize {
        let own = &mut self.own_disco;
        own.answered = Vec::new();
        let mut left_out = 0;
        for namespace in namespaces {
            if own.has_room(feature_len(&namespace)).is_ok() {
                own.answered.push(namespace);
            } else {
                left_out += 1;
            }
        }
        self.own_changed();
        left_out
    }

    /// Sets the plugins that may not announce anything now.
    pub(crate) fn withhold_own(&mut self, withheld: BTreeSet<InstanceId>) {
        self.own_disco.withheld = withheld;
        self.own_changed();
    }

    pub(crate) fn add_feature(&mut self, by: InstanceId, name: String) -> Result<bool, CallError> {
        check_name("name", &name, false, &['<'])?;
        let own = &mut self.own_disco;
        own.claim_feature(by, &name);
        let is_new = !own.has_feature(&name);
        if !own.added.get(&by).is_some_and(|added| added.features.contains(&name)) {
            own.has_room(feature_len(&name))?;
        }
        let added = own.added.entry(by).or_default();
        if added.features.len() >= MAX_OWN && !added.features.contains(&name) {
            return Err(CallError::OverLimit(format!("{MAX_OWN} own features")));
        }
        // It is noted even if it exists already: the other plugin may end first.
        added.features.insert(name);
        self.own_changed();
        Ok(is_new)
    }

    /// Notes that a presence for everyone is sent.
    pub(crate) fn caps_told(&mut self) {
        let own = &mut self.own_disco;
        own.told = Some(own.shown.clone());
        own.priority = Some(self.settings.priority);
    }

    fn own_changed(&mut self) {
        if self.own_disco.rebuild() {
            self.changed = true;
            self.gather();
        }
    }

    /// Applies settings that may change the features or the priority.
    pub(crate) fn configure_own(&mut self) {
        let is_new = self.own_disco.configure(&self.settings);
        if is_new || self.own_disco.priority.is_some_and(|told| told != self.settings.priority) {
            self.changed = true;
            self.gather();
        }
    }

    /// Notes that nothing has been announced on the next stream.
    pub(crate) fn caps_untold(&mut self) {
        let own = &mut self.own_disco;
        own.told = None;
        own.priority = None;
        self.deadlines.replace(&mut own.gathering, None);
    }

    pub(crate) fn clear_identities(&mut self, by: InstanceId) {
        let added = self.own_disco.added.entry(by).or_default();
        added.identities.clear();
        added.no_default = true;
        self.own_changed();
    }

    /// Schedules an announcement, one for all changes within a moment.
    fn gather(&mut self) {
        let own = &mut self.own_disco;
        if own.gathering.is_some() || !self.announced {
            return;
        }
        let since = own.last_told.map(|at| self.deadlines.elapsed().saturating_sub(at));
        let pause = since.map_or(Duration::ZERO, |since| PAUSE.saturating_sub(since));
        own.gathering = Some(self.deadlines.set(GATHER.max(pause), Late::Caps));
    }

    /// Keeps the additions of an instance whose plugin is parked, for the next run.
    pub(crate) fn own_parked(&mut self, parked: InstanceId) {
        if let Some(added) = self.own_disco.added.remove(&parked) {
            self.own_disco.kept.insert(parked, added);
        }
    }

    /// Removes the additions that an instance has not made again since it was parked.
    pub(crate) fn own_woken(&mut self, woken: InstanceId) {
        if self.own_disco.kept.remove(&woken).is_some() {
            self.own_changed();
        }
    }

    /// Removes the additions of an instance. The next announcement reports it.
    pub(crate) fn forget_own(&mut self, gone: InstanceId) {
        let own = &mut self.own_disco;
        if own.added.remove(&gone).is_some() | own.kept.remove(&gone).is_some() {
            self.own_changed();
        }
    }
}

impl Turn<'_> {
    /// Returns whether the collected changes must be announced now.
    pub(crate) fn caps_are_due(&mut self) -> bool {
        let own = &mut self.common.own_disco;
        own.gathering = None;
        let is_told = own.told.as_ref().is_some_and(|told| told.caps == own.shown.caps)
            && own.priority == Some(self.common.settings.priority);
        if is_told || !self.announced || !self.is_live() || self.status.value.is_hidden() {
            return false;
        }
        self.own_disco.last_told = Some(self.deadlines.elapsed());
        true
    }
}

/// Checks a name that others get. It must not look like several names in the hash of all of them.
fn check_name(argument: &str, name: &str, may_be_empty: bool, forbidden: &[char]) -> Result<(), CallError> {
    check_text(argument, name, MAX_NAME)?;
    if name.is_empty() && !may_be_empty {
        return Err(CallError::invalid(argument, "is empty"));
    }
    match name.chars().find(|c| c.is_control() || forbidden.contains(c)) {
        Some(c) => Err(CallError::invalid(argument, format!("contains {c:?}, which has no place in such a name"))),
        None => Ok(()),
    }
}
