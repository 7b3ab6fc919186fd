//! Installing a plugin: a plan, which the owner agrees to or not, and its commit.

use std::path::Path;

use parlor_base::id::PluginId;
use toml::{Table, Value};

use super::giving::{references, with_settings};
use super::recording::change_entry;
use super::{AdminError, GivenSecrets, Offer, PluginAdmin, giving};
use crate::admission::{Refusal, undeclared};
use crate::component::Examined;
use crate::policy::edit::{Change, edit};
use crate::policy::{Entry, Policy};

/// An offer that can be installed under an id that is free.
#[derive(Debug)]
pub struct Installation<'o> {
    id: PluginId,
    offer: &'o Offer,
    /// An installed plugin whose id looks like this one, unless the owner chose the id: it may have been meant.
    pub looks_like: Option<PluginId>,
}

impl Installation<'_> {
    /// Returns an error if the id looks like another one.
    pub fn is_unmistakable(&self) -> Result<(), AdminError> {
        match &self.looks_like {
            Some(other) => Err(AdminError::LooksLike { id: self.id.clone(), other: other.clone() }),
            None => Ok(()),
        }
    }
}

impl PluginAdmin<'_> {
    /// Plans to install an offer, before the owner is asked anything. `is_chosen`: the owner chose the id.
    pub fn plan_install<'o>(
        &self,
        id: &PluginId,
        offer: &'o Offer,
        is_chosen: bool,
    ) -> Result<Installation<'o>, AdminError> {
        is_honest(id, &offer.examined)?;
        let policy = self.policy()?;
        is_free(id, offer, &policy)?;
        let looks_like = policy.plugins.keys().find(|other| !is_chosen && other.looks_like(id)).cloned();
        Ok(Installation { id: id.clone(), offer, looks_like })
    }

    /// Installs what was planned, as the owner decided, after checking as a host would that the plugin may run.
    ///
    /// `decision` has the keys of an entry except for those that follow from the file: `accounts`, `enabled`, `log`,
    /// `grants`, `limits`, `settings`. `given`: secrets to store with it.
    pub fn install(
        &self,
        plan: &Installation<'_>,
        decision: &Table,
        given: &GivenSecrets<'_>,
    ) -> Result<(), AdminError> {
        let Installation { id, offer, .. } = plan;
        let expected = with_settings(decision, &references(self, id, offer.manifest(), given)?)?;
        checked(self, id, offer, &expected)?;
        let mut file = self.open()?;
        is_free(id, offer, file.policy())?;
        // The versions and secrets of an earlier plugin with this id must not count for this one.
        if self.policies(&file).is_ok_and(|all| !all.iter().any(|policy| policy.plugins.contains_key(id))) {
            self.components.forget(id).map_err(|cause| self.unwritten(cause))?;
        }
        self.prune(&file, id);
        self.keep(id, offer, None)?;
        let added = giving::keep(self, id, given).and_then(|references| {
            let table = checked(self, id, offer, &with_settings(decision, &references)?)?;
            change_entry(self, &mut file, id, &[Change::Add(table)])
        });
        if added.is_err() {
            // Nothing refers to its secrets, and nobody would look for them.
            self.prune(&file, id);
        }
        added
    }
}

fn is_free(id: &PluginId, offer: &Offer, policy: &Policy) -> Result<(), AdminError> {
    let Some(installed) = policy.plugins.get(id) else { return Ok(()) };
    let (installed, offered) = (installed.source.clone(), offer.source.clone());
    Err(AdminError::Taken { id: id.clone(), installed, offered })
}

/// Parses an entry as the policy's reader does.
fn understood(id: &PluginId, table: &Table) -> Result<Entry, AdminError> {
    let wrong = |error: String| AdminError::Decision(format!("what was decided about {id} does not fit: {error}"));
    let text = edit("", id.as_str(), &[Change::Add(table.clone())]).map_err(|error| wrong(error.to_string()))?;
    let policy = Policy::parse(&text, Path::new("")).map_err(|error| wrong(error.message))?;
    policy.plugins.into_values().next().ok_or_else(|| wrong("it is empty".to_owned()))
}

/// Checks that a file imports no calls whose permission its manifest does not request, since no grant could help then.
pub(super) fn is_honest(id: &PluginId, examined: &Examined) -> Result<(), AdminError> {
    let undeclared = undeclared(examined);
    if undeclared.is_empty() { Ok(()) } else { Err(Refusal::Undeclared { id: id.clone(), undeclared }.into()) }
}

/// Returns the entry that would be written for an offer, after checking as a host would that the plugin may run.
fn checked(admin: &PluginAdmin<'_>, id: &PluginId, offer: &Offer, decision: &Table) -> Result<Table, AdminError> {
    let mut table = Table::new();
    table.insert("source".into(), offer.source.clone().into());
    table.insert("digest".into(), offer.examined.digest.to_string().into());
    table.insert("version".into(), offer.manifest().version.to_string().into());
    if let Some(signer) = &offer.signer {
        table.insert("signer".into(), signer.to_string().into());
    }
    if let Some(publisher) = &offer.publisher {
        table.extend(publisher.index.as_ref().map(|index| ("index".to_owned(), index.to_string().into())));
        table.insert("publisher".into(), publisher.key.to_string().into());
    }
    let empty = |value: &Value| value.as_table().is_some_and(Table::is_empty);
    let decided = decision.iter().filter(|(_, value)| !empty(value));
    table.extend(decided.map(|(key, value)| (key.clone(), value.clone())));
    let entry = understood(id, &table)?;
    could_run(admin, id, &entry, offer)?;
    Ok(table)
}

/// Checks as a host would that a plugin may run. One that is disabled may lack values, which the owner sets before it is enabled.
pub(super) fn could_run(
    admin: &PluginAdmin<'_>,
    id: &PluginId,
    entry: &Entry,
    offer: &Offer,
) -> Result<(), AdminError> {
    match admin.may_run(id, entry, &offer.examined) {
        Err(AdminError::Refused(Refusal::Unset { .. })) if !entry.enabled => Ok(()),
        judged => judged,
    }
}
