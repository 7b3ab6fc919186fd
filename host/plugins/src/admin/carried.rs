//! The owner's settings when another version replaces the present one. Settings that fit are kept. The others are put
//! aside, and are restored with the version that they were set for.

use std::collections::BTreeMap;

use parlor_base::id::PluginId;

use super::settings::written;
use super::{AdminError, Offer, PluginAdmin};
use crate::admission::setting_fits;
use crate::consent::covers_entry;
use crate::manifest::Manifest;
use crate::policy::edit::Change;
use crate::policy::{Entry, RoomSettings, SettingValues};
use crate::setting::SettingKind;

/// The settings that change with the version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Carried {
    /// The settings for which the other version has no place.
    pub aside: SettingValues,
    /// The settings that were put aside when that version was replaced, and apply again.
    pub back: SettingValues,
    /// The values in single rooms that are put aside.
    pub aside_in: RoomSettings,
    /// The settings that apply again.
    pub back_in: RoomSettings,
    /// The credentials that are put aside since they would go further, each with a clause that says where.
    pub further: BTreeMap<String, String>,
}

impl Carried {
    /// Returns the names of both, those in rooms included.
    pub fn names(&self) -> [Vec<&str>; 2] {
        [(&self.aside, &self.aside_in), (&self.back, &self.back_in)].map(|(values, rooms)| {
            let in_rooms = rooms.iter().map(|(_, name, _)| name);
            let mut names: Vec<_> = values.0.keys().map(String::as_str).chain(in_rooms).collect();
            names.sort_unstable();
            names.dedup();
            names
        })
    }

    /// Returns the settings after the change.
    pub(super) fn settings(&self, present: &SettingValues) -> SettingValues {
        let staying = present.0.iter().filter(|(name, _)| !self.aside.0.contains_key(*name));
        SettingValues(staying.chain(&self.back.0).map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// Returns the settings in single rooms after the change.
    pub(super) fn settings_in(&self, present: &RoomSettings) -> RoomSettings {
        let mut after = present.filter(|room, name, _| self.aside_in.get(room, name).is_none());
        for (room, name, value) in self.back_in.iter() {
            after.put(room, name, value.clone());
        }
        after
    }

    /// Returns the changes to write.
    pub(super) fn changes(&self) -> Result<Vec<Change>, AdminError> {
        let aside = self.aside.0.keys().map(|name| written(None, name, None));
        let back = self.back.0.iter().map(|(name, value)| written(None, name, Some(value)));
        let aside_in = self.aside_in.iter().map(|(room, name, _)| written(Some(room), name, None));
        let back_in = self.back_in.iter().map(|(room, name, value)| written(Some(room), name, Some(value)));
        aside.chain(back).chain(aside_in).chain(back_in).collect()
    }
}

/// Says where a credential would go further than its owner gave it for, in a clause: into the plugin, or to more servers.
fn goes_further(name: &str, old: &Manifest, new: &Manifest) -> Option<String> {
    let [before, after] = [old, new].map(|manifest| manifest.settings.get(name).map(|setting| &setting.kind));
    match (before, after) {
        (Some(SettingKind::Credential(before)), Some(SettingKind::Credential(Some(after)))) => {
            let is_reached = |host: &String| before.as_ref().is_some_and(|before| covers_entry(before.servers(), host));
            let more: Vec<_> = after.servers().entries().into_iter().filter(|host| !is_reached(host)).collect();
            if !more.is_empty() {
                return Some(format!("it would also go to {}", more.join(" and ")));
            }
            let places = after.places_beyond(before.as_ref()?);
            (!places.is_empty()).then(|| format!("it would also be written into {}", places.join(" and ")))
        }
        (Some(SettingKind::Credential(_)), Some(kind)) if !matches!(kind, SettingKind::Credential(_)) => {
            Some("the plugin itself would get it".to_owned())
        }
        _ => None,
    }
}

impl PluginAdmin<'_> {
    /// Returns what would change in the owner's settings with an offer.
    pub(super) fn carried(&self, id: &PluginId, entry: &Entry, old: Option<&Manifest>, offer: &Offer) -> Carried {
        let manifest = offer.manifest();
        let fits = |name: &str, value: &serde_json::Value| matches!(setting_fits(manifest, name, value), Some(Ok(())));
        let (mut aside, mut back) = (entry.settings.clone(), SettingValues::default());
        let leaves = |name: &str, value: &serde_json::Value| {
            !fits(name, value) || old.is_some_and(|old| goes_further(name, old, manifest).is_some())
        };
        aside.0.retain(|name, value| leaves(name, value));
        let aside_in = entry.settings_in.filter(|_, name, value| leaves(name, value));
        let names = aside.0.keys().map(String::as_str).chain(aside_in.iter().map(|(_, name, _)| name));
        let further = names.filter_map(|name| Some((name.to_owned(), goes_further(name, old?, manifest)?))).collect();
        let mut back_in = RoomSettings::default();
        // If the versions cannot be read, the update fails anyway before anything is written.
        let versions = self.components().versions(id).unwrap_or_default();
        if let Some(kept) = versions.into_iter().find(|kept| kept.digest == offer.examined.digest) {
            (back, back_in) = (kept.settings, kept.settings_in);
            // Values that the owner has set meanwhile take precedence.
            let is_set = |name: &String| entry.settings.0.contains_key(name) && !aside.0.contains_key(name);
            back.0.retain(|name, value| !is_set(name) && fits(name, value));
            let stays = |room: &str, name: &str| {
                entry.settings_in.get(room, name).is_some() && aside_in.get(room, name).is_none()
            };
            back_in = back_in.filter(|room, name, value| !stays(room, name) && fits(name, value));
        }
        Carried { aside, back, aside_in, back_in, further }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(key: &str) -> Manifest {
        let plugin = "[plugin]\nname = \"x\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n";
        Manifest::parse(&format!("{plugin}[settings.key]\ndescription = \"X\"\n{key}")).unwrap()
    }

    #[test]
    fn a_credential_is_put_aside_where_an_update_would_take_it_further() {
        let to = |hosts: &str| manifest(&format!("type = \"credential\"\nhosts = [{hosts}]\n"));
        let (one, both) = (to("\"a.example.org\""), to("\"a.example.org\", \"b.example.org\""));
        let secret = manifest("type = \"secret\"\n");
        let says = |old: &Manifest, new: &Manifest| goes_further("key", old, new).unwrap_or_default();
        assert_eq!(says(&one, &both), "it would also go to https://b.example.org");
        assert_eq!(says(&one, &secret), "the plugin itself would get it");
        for (old, new) in [(&both, &one), (&one, &one), (&secret, &one)] {
            assert_eq!(says(old, new), "");
        }
        assert_eq!(goes_further("other", &one, &secret), None);
        let in_body =
            manifest("type = \"credential\"\nhosts = [\"a.example.org\"]\ninsert_in = [\"header x-key\", \"body\"]\n");
        assert_eq!(says(&one, &in_body), "it would also be written into the body");
        assert_eq!(says(&in_body, &one), "it would also be written into headers and the query");
        // A credential that only verifies webhooks is not sent to any server.
        let verifies = manifest(
            "type = \"credential\"\n[permissions]\n\"webhooks.receive\" = { reason = \"r\" }\n\
             [webhook.a]\ndescription = \"X\"\nverify = \"bearer\"\nsecret = \"key\"\n",
        );
        assert_eq!(says(&verifies, &one), "it would also go to https://a.example.org");
        assert_eq!(says(&one, &verifies), "");
    }
}
