//! Replacing the version of a plugin: a plan, which the owner agrees to or not, and its commit.

use parlor_base::id::PluginId;
use parlor_session::permissions::Grants;
use semver::Version;

use super::giving::references;
use super::granting::{counting, granting, taken_back};
use super::install::{could_run, is_honest};
use super::recording::change_entry;
use super::settings::written;
use super::{
    AdminError, Carried, Difference, GivenSecrets, GrantRequest, Offer, PluginAdmin, Publisher, giving, known,
};
use crate::approved::Unfit;
use crate::component::Examined;
use crate::policy::Entry;
use crate::policy::edit::Change;

/// The changes that an offer makes to an installed plugin.
#[derive(Debug)]
pub enum Plan<'o> {
    /// Nothing: its bytes are installed.
    Nothing,
    /// Its bytes are those that were installed, and have been lost since.
    Restore,
    /// It is another version, or another build.
    Replace(Box<Replacement<'o>>),
}

/// An offer that can replace the installed version, and the consequences.
#[derive(Debug)]
pub struct Replacement<'o> {
    id: PluginId,
    offer: &'o Offer,
    older: Older,
    /// The present entry.
    entry: Entry,
    /// The present file, if it can be read.
    present: Option<Examined>,
    /// The difference between the requests of both versions. If those of the present one are unknown, all are new.
    pub difference: Difference,
    /// The present grants that stay valid.
    pub counting: Grants,
    /// The settings that do not simply stay.
    pub carried: Carried,
}

impl Replacement<'_> {
    /// Returns whether the owner's value of a setting stays, or applies again.
    pub fn keeps_setting(&self, name: &str) -> bool {
        self.carried.settings(&self.entry.settings).0.contains_key(name)
    }

    /// Returns the present version, from its file or else from the policy.
    pub fn version(&self) -> Option<&Version> {
        self.present.as_ref().map(|present| &present.manifest.version).or(self.entry.version.as_ref())
    }
}

/// The treatment of an offer that is older than the installed version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    /// It is refused: it may be offered because of a known fault in it.
    Refused,
    /// It is accepted, since the owner asked for it.
    Wanted,
    /// It is a rollback: the owner had it before, and keeps the grants.
    Had,
}

impl PluginAdmin<'_> {
    /// Plans what to do about the plugin of this entry with an offer, before the owner is asked anything.
    pub fn plan<'o>(
        &self,
        id: &PluginId,
        entry: &Entry,
        offer: &'o Offer,
        older: Older,
    ) -> Result<Plan<'o>, AdminError> {
        let present = match self.look(id, entry) {
            Ok(present) => Some(present),
            // An unreadable component is still there: do not report it as lost.
            Err(unfit @ AdminError::Unfit(Unfit::KeptVersion { .. })) => return Err(unfit),
            Err(_) => None,
        };
        if offer.examined.digest == entry.digest {
            return Ok(if present.is_some() { Plan::Nothing } else { Plan::Restore });
        }
        Ok(Plan::Replace(Box::new(replacement(self, id, entry.clone(), present, offer, older)?)))
    }

    /// Replaces the version as planned. `more`: the grants that the owner adds to the present ones. Returns the
    /// settings that do not simply stay. `given`: secrets to store for the new version.
    pub fn replace(
        &self,
        plan: &Replacement<'_>,
        more: &[GrantRequest],
        given: &GivenSecrets<'_>,
    ) -> Result<Carried, AdminError> {
        let mut file = self.open()?;
        // Another command may have changed the entry while the owner was asked, so the plan is made again.
        let entry = known(self, file.policy(), &plan.id)?.clone();
        let present = self.look(&plan.id, &entry).ok();
        let plan = replacement(self, &plan.id, entry, present, plan.offer, plan.older)?;
        let Replacement { id, offer, older, entry, present, counting, mut carried, .. } = plan;
        let (grants, granted) = granting(&id, offer.manifest(), &counting, more)?;
        let (mut settings, settings_in) = (carried.settings(&entry.settings), carried.settings_in(&entry.settings_in));
        settings.0.extend(references(self, &id, offer.manifest(), given)?);
        let new =
            Entry { digest: offer.examined.digest, version: None, grants, settings, settings_in, ..entry.clone() };
        could_run(self, &id, &new, offer)?;
        let mut changes = from_file(offer, older);
        changes.extend(taken_back(&entry.grants, &counting));
        changes.extend(granted);
        changes.extend(carried.changes()?);
        if let Some(present) = &present {
            self.keep_present(&id, &entry, present)?;
        }
        self.keep(&id, offer, Some(&entry.digest))?;
        let (aside, aside_in) = (carried.aside.clone(), carried.aside_in.clone());
        let put = self.components.put_aside(&id, &entry.digest, aside, aside_in);
        put.map_err(|cause| self.unwritten(cause))?;
        for (name, reference) in giving::keep(self, &id, given)? {
            changes.push(written(None, &name, Some(&reference))?);
        }
        change_entry(self, &mut file, &id, &changes)?;
        self.prune(&file, &id);
        // These have a value again.
        carried.aside.0.retain(|name, _| !given.contains_key(name.as_str()));
        Ok(carried)
    }

    /// Stores the installed bytes again after they were lost. The decisions about the plugin stay in force.
    pub fn restore(&self, id: &PluginId, offer: &Offer) -> Result<(), AdminError> {
        // The lock is held until the bytes are written, so that the plugin is not removed meanwhile.
        let file = self.open()?;
        let present = known(self, file.policy(), id)?.digest;
        self.keep(id, offer, Some(&present))
    }
}

/// Returns the changes of an entry that follow from the file of another version.
fn from_file(offer: &Offer, older: Older) -> Vec<Change> {
    let set = |key: &str, value: String| Change::Set(vec![key.to_owned()], value.into());
    let set_or_unset = |key: &str, value: Option<String>| match value {
        Some(value) => set(key, value),
        None => Change::Unset(vec![key.to_owned()]),
    };
    let mut changes = vec![
        set("source", offer.source.clone()),
        set("digest", offer.examined.digest.to_string()),
        set("version", offer.manifest().version.to_string()),
        set_or_unset("signer", offer.signer.as_ref().map(ToString::to_string)),
    ];
    // A rollback does not change who may publish the next version.
    if older != Older::Had {
        let publisher = offer.publisher.as_ref();
        let index = publisher.and_then(|publisher| publisher.index.as_ref());
        changes.push(set_or_unset("index", index.map(ToString::to_string)));
        changes.push(set_or_unset("publisher", publisher.map(|publisher| publisher.key.to_string())));
    }
    changes
}

/// Checks that an offer can replace the installed version.
fn fits(
    id: &PluginId,
    entry: &Entry,
    present: Option<&Examined>,
    offer: &Offer,
    older: Older,
) -> Result<(), AdminError> {
    let new = offer.manifest();
    if let Some(old) = present.map(|present| &present.manifest)
        && old.name != new.name
    {
        return Err(AdminError::OtherPlugin { id: id.clone(), old: old.name.clone(), new: new.name.clone() });
    }
    if let (Some(was), Older::Refused) = (&entry.signer, older) {
        match &offer.signer {
            None => return Err(AdminError::NotSignedAgain { id: id.clone(), was: was.clone() }),
            // Each key is only trusted for the plugins that it signed before.
            Some(now) if now != was => {
                return Err(AdminError::OtherSigner { id: id.clone(), was: was.clone(), now: now.clone() });
            }
            Some(_) => {}
        }
    }
    if let (Some(pinned), Older::Refused) = (&entry.publisher, older) {
        let is_theirs = |now: &Publisher| now.key == *pinned || now.is_agreed;
        if !offer.publisher.as_ref().is_some_and(is_theirs) {
            return Err(AdminError::OtherPublisher { id: id.clone(), key: pinned.clone().into() });
        }
    }
    match present.map(|present| &present.manifest.version).or(entry.version.as_ref()) {
        Some(present) if older == Older::Refused && new.version < *present => {
            let (present, offered) = (present.clone(), new.version.clone());
            Err(AdminError::Older { id: id.clone(), present, offered })
        }
        // Developers rebuild local files without a new version, but a published version must not change its
        // content.
        Some(present)
            if older == Older::Refused
                && new.version == *present
                && offer.examined.digest != entry.digest
                && offer.source.contains("://") =>
        {
            Err(AdminError::SameVersion { id: id.clone(), version: present.clone(), from: offer.source.clone() })
        }
        _ => Ok(()),
    }
}

fn replacement<'o>(
    admin: &PluginAdmin<'_>,
    id: &PluginId,
    entry: Entry,
    present: Option<Examined>,
    offer: &'o Offer,
    older: Older,
) -> Result<Replacement<'o>, AdminError> {
    is_honest(id, &offer.examined)?;
    fits(id, &entry, present.as_ref(), offer, older)?;
    let (old, new) = (present.as_ref().map(|present| &*present.manifest), offer.manifest());
    let difference = match old {
        Some(old) => Difference::between(old, new),
        None => Difference { new: new.permissions.keys().copied().collect(), ..Difference::default() },
    };
    let counting = counting(&entry.grants, old, new, older);
    let carried = admin.carried(id, &entry, old, offer);
    Ok(Replacement { id: id.clone(), offer, older, entry, present, difference, counting, carried })
}
