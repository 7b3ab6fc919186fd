//! The passwords of rooms in `auto_join_rooms`. The owner writes where each is, and the references stay apart from the list,
//! which plugins read and change: no plugin can have a file or a variable sent to a room, or see which ones there are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jid::BareJid;
use parlor_base::child;
use serde_json::{Map, Value};

use super::{Inner, SettingError, Settings};
use crate::variable::is_variable;

/// The place where the owner keeps the password of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomPasswordPlace {
    /// The first line of this file.
    File(PathBuf),
    /// The value of this environment variable.
    Environment(String),
}

/// The places of passwords, by the rooms.
pub type RoomPasswordPlaces = BTreeMap<BareJid, RoomPasswordPlace>;

/// The setting that lists the rooms.
pub(crate) const ROOMS: &str = "auto_join_rooms";
/// The keys of a room that say where its password is.
const KEYS: [&str; 2] = ["password_file", "password_env"];
/// The most rooms of a list that have a password. All are read at once.
const MOST: usize = 100;

impl Settings {
    /// Returns where the passwords of the rooms in `auto_join_rooms` are.
    pub fn room_passwords(&self) -> &RoomPasswordPlaces {
        &self.0.room_passwords
    }

    /// Returns the settings with one value as the owner has written it. Paths in it are relative to `folder`.
    pub(crate) fn with_written(&self, key: &str, mut value: Value, folder: &Path) -> Result<Self, SettingError> {
        if key != ROOMS {
            return self.with(key, value);
        }
        let places = take(&mut value, folder)?;
        let settings = self.with(key, value)?;
        if *settings.room_passwords() == places {
            return Ok(settings);
        }
        let Inner { given, defaults, effective, room_passwords: _ } = &*settings.0;
        let (given, defaults, effective) = (given.clone(), defaults.clone(), effective.clone());
        Ok(Self(Arc::new(Inner { given, defaults, effective, room_passwords: Arc::new(places) })))
    }

    /// Returns whether all that was given is the same.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        let (one, other) = (&self.0, &other.0);
        one.given == other.given && one.defaults == other.defaults && one.room_passwords == other.room_passwords
    }
}

/// Takes the references out of a list. The rest of it is not checked here.
fn take(list: &mut Value, folder: &Path) -> Result<RoomPasswordPlaces, SettingError> {
    let mut taken = RoomPasswordPlaces::new();
    for room in list.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        let Some(place) = take_one(room, folder).map_err(wrong)? else { continue };
        // An address that is none is refused with the list.
        let jid = room.get("jid").and_then(Value::as_str).and_then(|jid| BareJid::new(jid).ok());
        let Some(jid) = jid else { continue };
        if taken.insert(jid.clone(), place).is_some() {
            return Err(wrong(format!("lists {jid} twice with a password: keep one of them")));
        }
        if taken.len() > MOST {
            return Err(wrong(format!("has more than {MOST} rooms with a password")));
        }
    }
    Ok(taken)
}

fn take_one(room: &mut Map<String, Value>, folder: &Path) -> Result<Option<RoomPasswordPlace>, String> {
    let mut found = None;
    for key in KEYS {
        let Some(value) = room.remove(key) else { continue };
        // A value in the wrong place may be the password itself, so it is never shown.
        let Some(text) = value.as_str().filter(|text| !text.is_empty()) else {
            return Err(format!("has a room whose {key} is no text"));
        };
        if found.is_some() {
            return Err(format!("has a room with {} and {}: keep one of them", KEYS[0], KEYS[1]));
        }
        found = Some(match key {
            "password_file" => RoomPasswordPlace::File(folder.join(text)),
            _ if !is_variable(text) => {
                return Err(format!(
                    "has a room whose {key} is no name of a variable: write 1 to 128 of A-Z, a-z, 0-9 and _, without a digit first, such as \"DEN_PASSWORD\", and set the password in that variable of the environment"
                ));
            }
            _ => {
                child::withhold(text);
                RoomPasswordPlace::Environment(text.to_owned())
            }
        });
    }
    Ok(found)
}

fn wrong(reason: String) -> SettingError {
    SettingError::Wrong { key: ROOMS.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;

    const DEN: &str = "den@muc.example.org";

    fn written(list: Value) -> Result<Settings, String> {
        Settings::default().with_written(ROOMS, list, Path::new("/etc/parlor")).map_err(|error| error.to_string())
    }

    fn den(settings: &Settings) -> Option<&RoomPasswordPlace> {
        settings.room_passwords().get(&BareJid::new(DEN).unwrap())
    }

    /// A plugin with `settings.read` would learn the owner's files, and one with `settings.write` could have any file sent to its room.
    #[test]
    fn the_reference_is_the_owners_and_the_list_that_plugins_see_has_none() {
        let list = json!([DEN.replace("den", "lobby"), { "jid": DEN, "nick": "bot", "password_file": "den.password" }]);
        let settings = written(list).unwrap();
        assert_eq!(den(&settings), Some(&RoomPasswordPlace::File(PathBuf::from("/etc/parlor/den.password"))));
        let seen = settings.get(ROOMS).unwrap();
        assert_eq!(seen, json!(["lobby@muc.example.org", { "jid": DEN, "nick": "bot" }]));
        // A plugin writes back what it has read, with one room more.
        let again = settings.with(ROOMS, json!([{ "jid": DEN }, "more@muc.example.org"])).unwrap();
        assert_eq!(den(&again), den(&settings));
        for key in ["password_file", "password_env", "password"] {
            let room = Value::Object(Map::from_iter([
                ("jid".to_owned(), "own@evil.example".into()),
                (key.to_owned(), "/etc/hostname".into()),
            ]));
            let error = settings.with(ROOMS, json!([room])).unwrap_err().to_string();
            assert!(error.contains(&format!("{key:?}")) && error.contains("the owner"), "{error}");
            assert!(!error.contains("hostname"), "{error}");
        }
    }

    #[test]
    fn a_list_that_is_written_over_another_one_has_its_own_passwords_alone() {
        let settings = written(json!([{ "jid": DEN, "password_env": "DEN_PASSWORD" }])).unwrap();
        assert_eq!(den(&settings), Some(&RoomPasswordPlace::Environment("DEN_PASSWORD".to_owned())));
        let over = settings.with_written(ROOMS, json!([DEN]), Path::new("")).unwrap();
        assert_eq!(den(&over), None);
        assert_ne!(over, settings);
        let other = settings.with_written("nickname", json!("bot"), Path::new("")).unwrap();
        assert_eq!(den(&other), den(&settings));
        // The owner's edit counts, and what a plugin has set since stays.
        let now = settings.with("priority", json!(7)).unwrap();
        let edited = now.rewritten(&settings, &over);
        assert_eq!((den(&edited), edited.priority), (None, 7));
        assert_eq!(den(&edited.rewritten(&over, &settings)), den(&settings));
    }

    #[test]
    fn a_bad_reference_is_refused_and_not_shown() {
        let room = |key: &str, value: Value| json!([{ "jid": DEN, key: value }]);
        let many = |number: usize| -> Value {
            (0..number).map(|one| json!({ "jid": format!("r{one}@muc.example.org"), "password_env": "P" })).collect()
        };
        for (list, says) in [
            (room("password_env", json!("my canary!")), "password_env is no name of a variable"),
            (room("password_file", json!("")), "password_file is no text"),
            (room("password_file", json!(["canary"])), "password_file is no text"),
            (room("password", json!("canary")), "the owner writes it as password_file or password_env"),
            (json!([{ "jid": DEN, "password_file": "canary", "password_env": "P" }]), "keep one of them"),
            (json!([{ "jid": DEN, "password_env": "P" }, { "jid": DEN, "password_env": "P" }]), "twice"),
            (json!([{ "jid": "den", "password_file": "canary" }]), "has no name before an @"),
            (json!({ "jid": DEN, "password_file": "canary" }), "must be a list"),
            (many(MOST + 1), "more than 100 rooms"),
        ] {
            let error = written(list).unwrap_err();
            assert!(error.contains(says) && !error.contains("canary"), "{says}: {error}");
        }
        assert_eq!(written(many(MOST)).unwrap().room_passwords().len(), MOST);
    }

    #[test]
    fn the_place_is_shown_where_settings_are_compared() {
        let [one, other] = ["A", "B"].map(|name| written(json!([{ "jid": DEN, "password_env": name }])).unwrap());
        // An address that sleeps is woken for other settings, which are compared by this text.
        assert_ne!(format!("{one:?}"), format!("{other:?}"));
        assert_eq!(format!("{:?}", Settings::default()), "{}");
    }
}
