//! What becomes of the owner's settings when another version takes the place of the present one: what fits goes along, what
//! does not is put aside, and comes back with the version that it was set for.

use super::settings::written;
use super::{Desk, DeskError, Offer};
use crate::plugins::admission::setting_fits;
use crate::plugins::id::PluginId;
use crate::plugins::policy::edit::Change;
use crate::plugins::policy::{Entry, SettingValues};

/// What does not simply go along.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Carried {
    /// Those for which the other version has no place.
    pub aside: SettingValues,
    /// Those that were put aside when that version was left, and count again.
    pub back: SettingValues,
}

impl Carried {
    /// The names of both.
    pub fn names(&self) -> [Vec<&str>; 2] {
        [&self.aside, &self.back].map(|values| values.0.keys().map(String::as_str).collect())
    }

    /// The settings after that.
    pub(super) fn settings(&self, present: &SettingValues) -> SettingValues {
        let staying = present.0.iter().filter(|(name, _)| !self.aside.0.contains_key(*name));
        SettingValues(staying.chain(&self.back.0).map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// What has to be written for it.
    pub(super) fn changes(&self) -> Result<Vec<Change>, DeskError> {
        let aside = self.aside.0.keys().map(|name| written(name, None));
        let back = self.back.0.iter().map(|(name, value)| written(name, Some(value)));
        aside.chain(back).collect()
    }
}

impl Desk<'_> {
    /// What would become of the owner's settings with an offer.
    pub fn carried(&self, id: &PluginId, entry: &Entry, offer: &Offer) -> Carried {
        let manifest = offer.manifest();
        let fits = |name: &str, value: &serde_json::Value| matches!(setting_fits(manifest, name, value), Some(Ok(())));
        let (mut aside, mut back) = (entry.settings.clone(), SettingValues::default());
        aside.0.retain(|name, value| !fits(name, value));
        // Where that cannot be read, nothing is written either.
        let versions = self.components().versions(id).unwrap_or_default();
        if let Some(kept) = versions.into_iter().find(|kept| kept.digest == offer.examined.digest) {
            back = kept.settings;
            // What the owner has set meanwhile counts.
            let is_set = |name: &String| entry.settings.0.contains_key(name) && !aside.0.contains_key(name);
            back.0.retain(|name, value| !is_set(name) && fits(name, value));
        }
        Carried { aside, back }
    }
}
