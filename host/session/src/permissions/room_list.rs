//! The rooms that an owner restricts a plugin to.
//!
//! Such a list only restricts: it is checked after the grants, for calls, events and commands.

use std::fmt;
use std::sync::Arc;

use jid::{BareJid, Jid};
use parlor_stanza::types::address;

use super::scope::spellings;
use super::target::Target;

/// The rooms that an owner restricts a plugin to. If it is empty, the plugin acts in no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomList(Arc<[BareJid]>);

/// The reason why a text names no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// It is not an address.
    #[error("{text:?} is no address of a room ({reason}): write one such as \"lounge@conference.example.org\"")]
    Address {
        /// The text.
        text: String,
        /// The problem.
        reason: String,
    },
    /// It is the address of a service, or of somebody in a room.
    #[error("{0:?} is no room: write its own address, such as \"lounge@conference.example.org\"")]
    Other(String),
}

impl RoomList {
    /// The maximum number of rooms in a list.
    pub const MOST: usize = 1_000;

    /// Returns a list of these rooms.
    pub fn new(rooms: impl IntoIterator<Item = BareJid>) -> Self {
        let mut rooms: Vec<_> = rooms.into_iter().collect();
        rooms.sort_unstable();
        rooms.dedup();
        Self(rooms.into())
    }

    /// Parses the address of a room.
    pub fn room(text: &str) -> Result<BareJid, NoRoom> {
        let jid =
            address(text).map_err(|error| NoRoom::Address { text: text.to_owned(), reason: error.to_string() })?;
        if jid.is_full() || jid.node().is_none() { Err(NoRoom::Other(text.to_owned())) } else { Ok(jid.to_bare()) }
    }

    /// Returns the rooms, in order.
    pub fn iter(&self) -> impl Iterator<Item = &BareJid> {
        self.0.iter()
    }

    /// Returns whether a room is in the list.
    pub fn has(&self, room: &BareJid) -> bool {
        self.0.binary_search(room).is_ok()
    }

    /// Returns the rooms that both lists have.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        Self(self.iter().filter(|room| other.has(room)).cloned().collect())
    }

    /// Returns whether both lists have a room in common.
    pub fn shares(&self, other: &Self) -> bool {
        self.iter().any(|room| other.has(room))
    }

    /// Returns whether a plugin of these rooms is kept from this target: another room, or somebody in it. `is_room` tells
    /// the rooms that the account knows. At the services of the listed rooms, everything is a room.
    pub fn keeps_from(&self, target: Target<'_>, is_room: &dyn Fn(&BareJid) -> bool) -> bool {
        match target {
            Target::Room(room) => !self.has(room),
            Target::Jid(jid) | Target::Message { chat: jid, .. } => self.is_elsewhere(jid, is_room),
            // Presence to a full address enters a room, whether the account knows it as one or not.
            Target::Stanza { kind: "presence", to: Some(to) } if to.is_full() => !self.has(&to.to_bare()),
            Target::Stanza { to: Some(to), .. } => self.is_elsewhere(to, is_room),
            // A room may have nodes itself.
            Target::Node { service, .. } => self.is_elsewhere(service, is_room),
            Target::None
            | Target::Stanza { to: None, .. }
            | Target::Web { .. }
            | Target::File { .. }
            | Target::Namespace(_)
            | Target::Plugin(_) => false,
        }
    }

    /// Returns whether this is the address of another room, or of somebody in it. Servers may take one spelling of an
    /// international domain for the other.
    fn is_elsewhere(&self, jid: &Jid, is_room: &dyn Fn(&BareJid) -> bool) -> bool {
        let bare = jid.to_bare();
        let is_at_service =
            |jid: &BareJid| jid.node().is_some() && self.iter().any(|room| room.domain() == jid.domain());
        let is_one = |jid: &BareJid| is_at_service(jid) || is_room(jid);
        !self.has(&bare) && (is_one(&bare) || spellings(&bare).any(|other| is_one(&other)))
    }
}

impl fmt::Display for RoomList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, room) in self.iter().enumerate() {
            write!(f, "{}{room}", if number == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(rooms: &[&str]) -> RoomList {
        RoomList::new(rooms.iter().map(|room| RoomList::room(room).unwrap()))
    }

    #[test]
    fn a_room_is_named_by_its_own_address() {
        assert_eq!(RoomList::room("Lounge@MUC.example.org").unwrap().as_str(), "lounge@muc.example.org");
        for wrong in ["muc.example.org", "lounge@muc.example.org/juliet", "", "@muc.example.org", "a b@muc.example.org"]
        {
            assert!(RoomList::room(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(list(&["b@m.x", "a@m.x", "b@m.x"]).to_string(), "a@m.x, b@m.x");
    }

    #[test]
    fn other_rooms_are_out_of_reach_and_people_are_not() {
        let rooms = list(&["lounge@muc.example.org"]);
        let known = |room: &BareJid| room.as_str() == "hall@elsewhere.example.org";
        let kept = |target: Target<'_>| rooms.keeps_from(target, &known);
        let jid = |text: &str| text.parse::<Jid>().unwrap();
        let cases = [
            ("lounge@muc.example.org", false),
            ("lounge@muc.example.org/juliet", false),
            ("other@muc.example.org", true),
            ("other@muc.example.org/juliet", true),
            ("hall@elsewhere.example.org", true),
            ("hall@elsewhere.example.org/juliet", true),
            ("juliet@example.org", false),
            ("juliet@example.org/balcony", false),
            ("muc.example.org", false),
        ];
        for (text, is_kept) in cases {
            let jid = jid(text);
            assert_eq!(kept(Target::Jid(&jid)), is_kept, "{text}");
            assert_eq!(kept(Target::Message { chat: &jid, is_encrypted: true }), is_kept, "{text}");
            assert_eq!(kept(Target::Stanza { kind: "message", to: Some(&jid) }), is_kept, "{text}");
        }
        let room = |text: &str| jid(text).to_bare();
        assert!(
            kept(Target::Room(&room("nowhere@example.net"))) && !kept(Target::Room(&room("lounge@muc.example.org")))
        );
        let node = |text: &str| kept(Target::Node { service: &room(text), node: "news", is_own: false });
        assert!(node("other@muc.example.org") && node("hall@elsewhere.example.org"));
        assert!(!node("lounge@muc.example.org") && !node("juliet@example.org") && !node("pubsub.example.org"));
        let enters = jid("unknown@example.net/bot");
        assert!(kept(Target::Stanza { kind: "presence", to: Some(&enters) }));
        assert!(!kept(Target::Stanza { kind: "message", to: Some(&enters) }));
        assert!(!kept(Target::None) && !kept(Target::Stanza { kind: "presence", to: None }));
    }

    /// RFC 7622, section 3.2.1.
    #[test]
    fn no_spelling_of_a_service_makes_a_person_of_a_room() {
        let (dns, shown) = ("muc.xn--bcher-kva.example", "muc.b\u{fc}cher.example");
        for (listed, other) in [(dns, shown), (shown, dns), (shown, "muc\u{3002}b\u{fc}cher.example")] {
            let rooms = list(&[format!("lounge@{listed}").as_str()]);
            let reached = format!("other@{other}/juliet").parse::<Jid>().unwrap();
            let kept = |to: &Jid| rooms.keeps_from(Target::Stanza { kind: "message", to: Some(to) }, &|_| false);
            assert!(kept(&reached), "{listed} {other}");
            assert!(!kept(&"juliet@b\u{fc}cher.example".parse().unwrap()), "{listed}");
            // A room at another service, which the account knows by the other spelling.
            let rooms = list(&["lounge@muc.example.org"]);
            let known = |room: &BareJid| room.as_str() == format!("other@{listed}");
            assert!(rooms.keeps_from(Target::Jid(&reached), &known), "{listed} {other}");
        }
    }

    proptest! {
        #[test]
        fn common_rooms_of_two_lists_are_in_both(one in "[a-d]{0,4}", other in "[a-d]{0,4}") {
            let list = |names: &str| RoomList::new(names.chars().map(|name| RoomList::room(&format!("{name}@m.x")).unwrap()));
            let (one, other) = (list(&one), list(&other));
            let both = one.common(&other);
            prop_assert!(both.iter().all(|room| one.has(room) && other.has(room)));
            prop_assert_eq!(one.shares(&other), both.iter().next().is_some());
            prop_assert_eq!(&both, &other.common(&one));
        }
    }
}
