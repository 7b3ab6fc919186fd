//! Short names for addresses: `alice` is `alice@example.org`, `garden` is a room, `garden/alice` an occupant of it.

use jid::{BareJid, FullJid, Jid};
use parlor_base::permission::ScopeKind;
use serde_json::Value;

/// The domain of people's addresses.
const PEOPLE: &str = "example.org";
/// The domain of rooms.
const ROOMS: &str = "rooms.example.org";
/// The resource that people write from.
const HOME: &str = "home";
/// The full JID of the account that the plugin runs on.
const OWN: &str = "bot@example.org/parlor";

/// Returns the full JID of the account that the plugin runs on.
pub fn own() -> FullJid {
    FullJid::new(OWN).expect("it is written here")
}

/// Parses a person's short name or address.
pub fn person(text: &str) -> Result<FullJid, String> {
    if text.is_empty() {
        return Err("somebody's name is missing, such as alice".to_owned());
    }
    let address = if text.contains('@') { text.to_owned() } else { format!("{text}@{PEOPLE}") };
    let jid = Jid::new(&address).map_err(|error| format!("{text:?} is nobody's name: {error}"))?;
    if jid.node().is_none() {
        return Err(format!("{text:?} is nobody's name"));
    }
    jid.try_into_full().or_else(|bare| bare.with_resource_str(HOME)).map_err(|error| error.to_string())
}

/// Parses a list of people's short names or addresses.
pub fn people(list: &Value) -> Result<Vec<BareJid>, String> {
    let names = list.as_array().ok_or("it has to be a list, such as [\"alice\"]")?;
    let name = |one: &Value| person(one.as_str().unwrap_or_default()).map(|person| person.to_bare());
    names.iter().map(name).collect()
}

/// Parses a person's short name or address, an occupant of a room, or the address of a service, which has a dot:
/// `pubsub.example.org`.
pub fn entity(text: &str) -> Result<BareJid, String> {
    if text.contains('.') && !text.contains(['@', '/']) {
        return BareJid::new(text).map_err(|error| format!("{text:?} is no address: {error}"));
    }
    if let Some(occupant) = occupant(text) {
        return Ok(behind(&occupant?).to_bare());
    }
    Ok(person(text)?.to_bare())
}

/// Parses a room's short name or address.
pub fn room(text: &str) -> Result<BareJid, String> {
    if text.is_empty() {
        return Err("a room's name is missing, such as garden".to_owned());
    }
    let address = if text.contains('@') { text.to_owned() } else { format!("{text}@{ROOMS}") };
    let room = BareJid::new(&address).map_err(|error| format!("{text:?} is no room's name: {error}"))?;
    if room.domain().as_str().starts_with("rooms.") {
        Ok(room)
    } else {
        Err(format!("{text:?} is no room: rooms are at a domain that begins with rooms., such as {ROOMS}"))
    }
}

/// Parses an occupant of a room, such as `garden/alice`; returns `None` if the text does not name one.
pub fn occupant(text: &str) -> Option<Result<FullJid, String>> {
    let (name, nick) = text.split_once('/')?;
    if name.contains('@') && !name.contains("@rooms.") {
        return None;
    }
    Some(room(name).and_then(|room| room.with_resource_str(nick).map_err(|error| error.to_string())))
}

/// Returns the person behind an occupant, by default derived from the nickname.
pub fn behind(occupant: &FullJid) -> FullJid {
    let nick = occupant.resource().as_str();
    // Replaces characters that a JID may not contain, so that `Al Ice` and `Bo Ice` remain different people.
    let plain: String = nick.chars().map(|one| if one.is_alphanumeric() { one } else { '.' }).collect();
    person(nick).or_else(|_| person(&plain)).unwrap_or_else(|_| person("guest").expect("it is written here"))
}

/// Replaces the short names in a grant's scope by addresses.
pub fn scope(kind: ScopeKind, written: toml::Value) -> toml::Value {
    let is_long = |entry: &str| entry == "contacts" || entry.contains(['@', '.', '*']);
    let somebody = |entry: &str| match occupant(entry) {
        _ if is_long(entry) => None,
        Some(occupant) => occupant.ok().map(|occupant| occupant.to_string()),
        None => person(entry).ok().map(|person| person.to_bare().to_string()),
    };
    let long = |entry: &str| match kind {
        ScopeKind::Jids => somebody(entry),
        ScopeKind::Messages => match entry.strip_prefix("encrypted:") {
            Some(of) => somebody(of).map(|of| format!("encrypted:{of}")),
            None => somebody(entry),
        },
        ScopeKind::Rooms if !is_long(entry) => room(entry).ok().map(|room| room.to_string()),
        ScopeKind::Stanzas => {
            entry.split_once(':').and_then(|(stanza, to)| somebody(to).map(|to| format!("{stanza}:{to}")))
        }
        ScopeKind::None
        | ScopeKind::Rooms
        | ScopeKind::Quota
        | ScopeKind::Servers
        | ScopeKind::Files
        | ScopeKind::Namespaces
        | ScopeKind::Plugins
        | ScopeKind::Nodes => None,
    };
    let address = |entry: toml::Value| match entry.as_str().and_then(long) {
        Some(address) => toml::Value::String(address),
        None => entry,
    };
    match written {
        toml::Value::Array(entries) => toml::Value::Array(entries.into_iter().map(address).collect()),
        other => other,
    }
}

/// Returns the short name of an address.
pub fn short(jid: &Jid) -> String {
    let node = jid.node().map_or("", jid::NodeRef::as_str);
    let resource = jid.resource().map(jid::ResourceRef::as_str);
    match (jid.domain().as_str(), resource) {
        (PEOPLE, None | Some(HOME)) | (ROOMS, None) if !node.is_empty() => node.to_owned(),
        (PEOPLE | ROOMS, Some(resource)) if !node.is_empty() => format!("{node}/{resource}"),
        _ => jid.to_string(),
    }
}

/// Returns the short name of a text if the text is a JID, and otherwise the text itself.
pub fn short_text(text: &str) -> String {
    text.parse().map_or_else(|_| text.to_owned(), |jid: Jid| short(&jid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_may_list_short_names() {
        let value = |text: &str| text.parse::<toml::Table>().unwrap()["scope"].clone();
        for (kind, written, meant) in [
            (
                ScopeKind::Jids,
                "scope = [\"bob\", \"contacts\", \"@a.org\", \"*\"]",
                "scope = [\"bob@example.org\", \"contacts\", \"@a.org\", \"*\"]",
            ),
            (ScopeKind::Jids, "scope = [\"bob@a.org\", \"a.org\"]", "scope = [\"bob@a.org\", \"a.org\"]"),
            (ScopeKind::Rooms, "scope = [\"garden\"]", "scope = [\"garden@rooms.example.org\"]"),
            (ScopeKind::Jids, "scope = [\"garden/bob\"]", "scope = [\"garden@rooms.example.org/bob\"]"),
            (
                ScopeKind::Messages,
                "scope = [\"bob\", \"encrypted:bob\", \"encrypted:*\"]",
                "scope = [\"bob@example.org\", \"encrypted:bob@example.org\", \"encrypted:*\"]",
            ),
            (ScopeKind::Stanzas, "scope = [\"iq\"]", "scope = [\"iq\"]"),
            (
                ScopeKind::Stanzas,
                "scope = [\"message:bob\", \"iq:contacts\", \"iq:@a.org\"]",
                "scope = [\"message:bob@example.org\", \"iq:contacts\", \"iq:@a.org\"]",
            ),
            (ScopeKind::Quota, "scope = \"1 MiB\"", "scope = \"1 MiB\""),
        ] {
            assert_eq!(scope(kind, value(written)), value(meant), "{written}");
        }
    }

    #[test]
    fn people_in_rooms_are_different_people() {
        let behind = |nick: &str| behind(&room("garden").unwrap().with_resource_str(nick).unwrap()).to_string();
        for (nick, expected) in [
            ("alice", "alice@example.org/home"),
            ("Al Ice", "al.ice@example.org/home"),
            ("Bo/Ice", "bo.ice@example.org/home"),
        ] {
            assert_eq!(behind(nick), expected);
        }
    }

    #[test]
    fn names_are_short_for_addresses_and_back() {
        assert_eq!(person("alice").unwrap().to_string(), "alice@example.org/home");
        assert_eq!(person("bob@elsewhere.org").unwrap().to_string(), "bob@elsewhere.org/home");
        assert_eq!(room("garden").unwrap().to_string(), "garden@rooms.example.org");
        assert_eq!(occupant("garden/Al").unwrap().unwrap().to_string(), "garden@rooms.example.org/Al");
        assert!(occupant("alice").is_none() && occupant("alice@example.org/phone").is_none());
        for name in ["alice", "garden/Al", "alice/phone", "bob@elsewhere.org"] {
            let jid: Jid = match (name.contains('@'), occupant(name)) {
                (true, _) => name.parse().unwrap(),
                (false, Some(occupant)) if name.starts_with("garden") => occupant.unwrap().into(),
                (false, _) => person(name.split('/').next().unwrap()).unwrap().to_bare().into(),
            };
            let expected = if name == "alice/phone" { "alice" } else { name };
            assert_eq!(short(&jid), expected);
        }
        assert!(room("garden@example.org").is_err() && person("a@@b").is_err());
        assert!(room("").unwrap_err().contains("such as garden") && person("").unwrap_err().contains("such as alice"));
    }
}
