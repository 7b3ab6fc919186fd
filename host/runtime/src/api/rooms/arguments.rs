//! Parsing the arguments of `rooms`.

use jid::BareJid;
use parlor_session::{ConfigValue, RoomOptions};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Affiliated, Bookmark, History, RoomJoin};

use super::super::{bare_jid, time, words};
use crate::bindings::parlor::plugin::rooms::{
    Affiliated as WitAffiliated, Attributes, Bookmark as WitBookmark, ConfigValue as WitValue, History as WitHistory,
};

/// Maximum number of fields of a room's configuration in one call.
const MAX_FIELDS: usize = 100;
/// Maximum number of values of all fields with several values.
const MAX_VALUES: usize = 1_000;
/// Maximum total length of the texts of a configuration, in bytes.
const MAX_CONFIG: usize = 64 << 10;
/// Maximum length of a password, reason, name or field, in bytes.
const MAX_TEXT: usize = 4 << 10;
/// Maximum length of the id of a message, in bytes.
const MAX_ID: usize = 1 << 10;

/// Checks an optional text.
pub(super) fn optional(argument: &str, given: Option<&String>) -> Result<(), CallError> {
    given.map_or(Ok(()), |given| words(argument, given, MAX_TEXT).map(drop))
}

/// Checks the id of a message in a room.
pub(super) fn message_id(id: &str) -> Result<(), CallError> {
    if id.is_empty() {
        return Err(CallError::invalid("id", "is empty; give the `stanza-id` of the message"));
    }
    words("id", id, MAX_ID).map(drop)
}

/// Checks a nickname for this room.
pub(super) fn nick(room: &BareJid, nick: &str) -> Result<(), CallError> {
    words("nick", nick, MAX_TEXT)?;
    room.with_resource_str(nick).map(drop).map_err(|error| CallError::invalid("nick", error.to_string()))
}

/// Parses a role for `set-role`.
pub(super) fn role(role: &str) -> Result<&'static str, CallError> {
    one_of("role", role, &["none", "visitor", "participant", "moderator"])
}

/// Parses an affiliation for `set-affiliation`.
pub(super) fn affiliation(affiliation: &str) -> Result<&'static str, CallError> {
    one_of("affiliation", affiliation, &["none", "outcast", "member", "admin", "owner"])
}

/// Parses an affiliation that has a list.
pub(super) fn has_affiliation(affiliation: &str) -> Result<&'static str, CallError> {
    one_of("affiliation", affiliation, &["outcast", "member", "admin", "owner"])
}

fn one_of(argument: &str, value: &str, known: &[&'static str]) -> Result<&'static str, CallError> {
    let found = known.iter().copied().find(|one| *one == value);
    found.ok_or_else(|| CallError::invalid(argument, format!("{value:.32} is none of {}", known.join(", "))))
}

/// Parses how a room should be entered.
pub(super) fn options(attributes: &Attributes) -> Result<RoomOptions, CallError> {
    let Attributes { nick, password, history, auto_configure, roomconfig, maximize, bring_to_foreground } = attributes;
    optional("attributes.nick", nick.as_ref())?;
    optional("attributes.password", password.as_ref())?;
    if !auto_configure && !roomconfig.is_empty() {
        return Err(CallError::invalid("attributes.roomconfig", "fields need auto-configure"));
    }
    Ok(RoomOptions {
        nick: nick.clone(),
        join: RoomJoin { password: password.clone(), history: history.as_ref().map(self::history).transpose()? },
        configure: auto_configure.then(|| fields("attributes.roomconfig", roomconfig)).transpose()?,
        maximize: *maximize,
        bring_to_foreground: *bring_to_foreground,
    })
}

fn history(history: &WitHistory) -> Result<History, CallError> {
    let WitHistory { max_chars, max_stanzas, seconds, since } = history;
    let since = since.as_deref().map(|since| time("attributes.history.since", since)).transpose()?;
    Ok(History { max_chars: *max_chars, max_stanzas: *max_stanzas, seconds: *seconds, since })
}

/// Parses fields of a room's configuration. The room decides which fields exist.
pub(super) fn fields(argument: &str, fields: &[(String, WitValue)]) -> Result<Vec<(String, ConfigValue)>, CallError> {
    if fields.len() > MAX_FIELDS {
        return Err(CallError::invalid(argument, format!("more than {MAX_FIELDS} fields")));
    }
    // An empty text has no bytes, but still takes memory.
    if fields.iter().map(|(_, value)| values(value)).sum::<usize>() > MAX_VALUES {
        return Err(CallError::invalid(argument, format!("more than {MAX_VALUES} values")));
    }
    let read = fields.iter().map(|(name, value)| field(argument, name, value)).collect::<Result<_, _>>()?;
    let bytes: usize = fields.iter().map(|(name, value)| name.len() + length(value)).sum();
    if bytes > MAX_CONFIG {
        return Err(CallError::invalid(argument, format!("has {bytes} bytes; at most {MAX_CONFIG} are allowed")));
    }
    Ok(read)
}

fn length(value: &WitValue) -> usize {
    match value {
        WitValue::Flag(_) => 1,
        WitValue::Text(text) => text.len(),
        WitValue::Texts(texts) => texts.iter().map(String::len).sum(),
    }
}

fn values(value: &WitValue) -> usize {
    match value {
        WitValue::Flag(_) | WitValue::Text(_) => 0,
        WitValue::Texts(texts) => texts.len(),
    }
}

fn field(argument: &str, name: &str, value: &WitValue) -> Result<(String, ConfigValue), CallError> {
    words(argument, name, MAX_TEXT)?;
    if name.is_empty() {
        return Err(CallError::invalid(argument, "a field has no name"));
    }
    let argument = format!("{argument}.{name}");
    let value = match value {
        WitValue::Flag(flag) => ConfigValue::Flag(*flag),
        WitValue::Text(text) => {
            words(&argument, text, MAX_TEXT)?;
            ConfigValue::Text(text.clone())
        }
        WitValue::Texts(texts) => {
            texts.iter().try_for_each(|text| words(&argument, text, MAX_TEXT).map(drop))?;
            ConfigValue::Texts(texts.clone())
        }
    };
    Ok((name.to_owned(), value))
}

/// Parses a bookmark to store.
pub(super) fn bookmark(bookmark: WitBookmark) -> Result<Bookmark, CallError> {
    let WitBookmark { jid, name, autojoin, nick, password } = bookmark;
    let room = bare_jid("bookmark.jid", &jid)?;
    if room.node().is_none() {
        return Err(CallError::invalid("bookmark.jid", format!("{room} is a service, not a room: write name@{room}")));
    }
    for (argument, given) in [("bookmark.name", &name), ("bookmark.nick", &nick), ("bookmark.password", &password)] {
        optional(argument, given.as_ref())?;
    }
    if let Some(nick) = &nick {
        let bad = |error: jid::Error| CallError::invalid("bookmark.nick", error.to_string());
        room.with_resource_str(nick).map_err(bad)?;
    }
    Ok(Bookmark { room, name, autojoin, nick, password, extensions: None, is_cut: false })
}

impl From<&Bookmark> for WitBookmark {
    fn from(bookmark: &Bookmark) -> Self {
        Self {
            jid: bookmark.room.to_string(),
            name: bookmark.name.clone(),
            autojoin: bookmark.autojoin,
            nick: bookmark.nick.clone(),
            password: bookmark.password.clone(),
        }
    }
}

impl From<Affiliated> for WitAffiliated {
    fn from(person: Affiliated) -> Self {
        let Affiliated { jid, affiliation, nick, reason } = person;
        Self { jid: jid.to_string(), affiliation, nick, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty value has no bytes.
    #[test]
    fn values_are_counted_over_all_fields() {
        let of = |counts: [usize; 2]| {
            let given = counts.map(|count| ("field".to_owned(), WitValue::Texts(vec![String::new(); count])));
            fields("fields", &given).map(|read| read.len())
        };
        assert_eq!(of([500, 500]), Ok(2));
        assert_eq!(of([500, 501]), Err(CallError::invalid("fields", "more than 1000 values")));
    }
}
