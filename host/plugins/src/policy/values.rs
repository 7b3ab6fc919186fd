//! `[plugin.ID.settings]` and `[plugin.ID.settings_in."ROOM"]`: the owner's values of a plugin's own settings, everywhere and
//! in single rooms.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use parlor_base::document::{DocumentError, Section};
use parlor_session::permissions::RoomList;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::secret::SecretSource;

/// The values of a plugin's own settings. Since an owner may have written a secret into any of them, only the names are
/// shown.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SettingValues(pub BTreeMap<String, Value>);

impl fmt::Debug for SettingValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The values of a plugin's own settings in single rooms, by the address of the room in its usual spelling.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoomSettings(pub BTreeMap<String, SettingValues>);

impl RoomSettings {
    /// Returns whether no room has its own value.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(|values| values.0.is_empty())
    }

    /// Returns all values, each with its room and name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.0
            .iter()
            .flat_map(|(room, values)| values.0.iter().map(move |(name, value)| (room.as_str(), name.as_str(), value)))
    }

    /// Returns a value in a room.
    pub fn get(&self, room: &str, name: &str) -> Option<&Value> {
        self.0.get(room)?.0.get(name)
    }

    /// Sets a value in a room.
    pub fn put(&mut self, room: &str, name: &str, value: Value) {
        self.0.entry(room.to_owned()).or_default().0.insert(name.to_owned(), value);
    }

    /// Returns the values that this keeps.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(&str, &str, &Value) -> bool) -> Self {
        let mut kept = Self::default();
        for (room, name, value) in self.iter().filter(|(room, name, value)| keep(room, name, value)) {
            kept.put(room, name, value.clone());
        }
        kept
    }
}

/// Reads the values for everywhere.
pub(super) fn settings(section: &Section<'_>, folder: &Path) -> Result<SettingValues, DocumentError> {
    section.section("settings")?.map_or_else(|| Ok(SettingValues::default()), |section| values(&section, folder))
}

fn values(section: &Section<'_>, folder: &Path) -> Result<SettingValues, DocumentError> {
    let values = section.entries().map(|node| Ok((node.key().to_owned(), SecretSource::below(node.json()?, folder))));
    values.collect::<Result<_, _>>().map(SettingValues)
}

/// Reads the values for single rooms.
pub(super) fn settings_in(section: &Section<'_>, folder: &Path) -> Result<RoomSettings, DocumentError> {
    let mut all = RoomSettings::default();
    let Some(rooms) = section.section("settings_in")? else { return Ok(all) };
    for (number, node) in rooms.entries().enumerate() {
        if number == RoomList::MOST {
            return Err(node.error(format!("there are more than {} rooms", RoomList::MOST)));
        }
        let room = RoomList::room(node.key()).map_err(|error| node.error(error))?;
        // A command finds the table by this spelling.
        if room.as_str() != node.key() {
            return Err(node.error(format!("write the address of the room as \"{room}\"")));
        }
        all.0.insert(room.to_string(), values(&node.section()?, folder)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use parlor_base::document::Document;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<RoomSettings, String> {
        let document = Document::parse(text).unwrap();
        settings_in(&document.root(), Path::new("/etc/parlor")).map_err(|error| error.to_string())
    }

    #[test]
    fn each_room_may_have_values_of_its_own() {
        let all = read("[settings_in.\"a@m.example\"]\ngreeting = \"hi\"\nkey = { file = \"k\" }\n").unwrap();
        assert_eq!(all.get("a@m.example", "greeting"), Some(&json!("hi")));
        assert_eq!(all.get("a@m.example", "key"), Some(&json!({ "file": "/etc/parlor/k" })), "a path is of the folder");
        assert_eq!(all.get("b@m.example", "greeting"), None);
        assert!(
            !all.is_empty()
                && read("").unwrap().is_empty()
                && read("[settings_in.\"a@m.example\"]").unwrap().is_empty()
        );
        let greeting = all.filter(|_, name, _| name == "greeting");
        assert_eq!(greeting.iter().collect::<Vec<_>>(), [("a@m.example", "greeting", &json!("hi"))]);
        assert!(!format!("{all:?}").contains("hi"), "a value may be a secret");
    }

    #[test]
    fn every_mistake_names_its_line_and_what_to_write() {
        let refusal = |room: &str| read(&format!("[settings_in.\"{room}\"]\nx = 1\n")).unwrap_err();
        assert!(refusal("m.example").starts_with("1:"), "{}", refusal("m.example"));
        assert!(refusal("m.example").contains("is no room: write its own address"));
        assert!(refusal("A@m.example").contains("write the address of the room as \"a@m.example\""));
        assert!(read("settings_in = 1").is_err() && read("[settings_in]\n\"a@m.example\" = 1").is_err());
    }
}
