//! Changes by owners and moderators: roles and affiliations, a room's configuration, its messages and its end (XEP-0045, sections 8
//! to 10).

use jid::{BareJid, FullJid, Jid};
use minidom::Element;
use parlor_stanza::encode::{MODERATE, MUC_ADMIN, MUC_OWNER, name};
use xmpp_parsers::ns;

use super::super::impossible::Impossible;
use super::super::occupant::{OUTCAST, first_role};
use super::super::words::{self, query, with_more};
use super::{OURS, Room, RoomKind, Rooms, at, short};

/// The affiliation of a user, with the reason that was given for it.
#[derive(Debug)]
pub(super) struct Affiliated {
    pub(super) word: String,
    reason: Option<String>,
}

/// A change of a role or an affiliation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Change<'a> {
    pub(super) affiliation: Option<&'a str>,
    pub(super) role: Option<&'a str>,
    /// The nickname of the occupant who makes it, if the room says that.
    pub(super) actor: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
}

impl Room {
    /// Changes the affiliation or role of these occupants. Returns the presences for the account, if it is in the room.
    pub(super) fn change(&mut self, room: &BareJid, nicks: &[String], change: Change<'_>) -> Vec<Element> {
        let mut told = Vec::new();
        for nick in nicks {
            let (Some(address), Some(one)) = (at(room, nick), self.occupants.get_mut(nick)) else { continue };
            if let Some(affiliation) = change.affiliation {
                // An affiliation with a moderator's role grants that role at once, and losing the affiliation revokes
                // it.
                if first_role(affiliation) != first_role(&one.affiliation) {
                    first_role(affiliation).clone_into(&mut one.role);
                }
                affiliation.clone_into(&mut one.affiliation);
            }
            if let Some(role) = change.role {
                role.clone_into(&mut one.role);
            }
            let code = match (one.affiliation.as_str(), one.role.as_str()) {
                (OUTCAST, _) => Some("301"),
                (_, "none") => Some("307"),
                _ => None,
            };
            let shown = one.shown(&address, code.map(|_| "unavailable"), code.as_slice());
            told.push(with_more(shown, words::explained(change.actor, change.reason), Vec::new()));
            if code.is_some() {
                self.occupants.remove(nick);
            }
        }
        if self.ours.is_some() { told } else { Vec::new() }
    }

    /// Changes the affiliation of a user, who is in the room under these nicknames. Returns what the account is told.
    pub(super) fn affiliate(
        &mut self,
        room: &BareJid,
        user: BareJid,
        nicks: &[String],
        change: Change<'_>,
    ) -> Vec<Element> {
        let Some(affiliation) = change.affiliation else { return self.change(room, nicks, change) };
        // A room tells moderators of those who are not in it (XEP-0045, section 9.3).
        let is_told = nicks.is_empty() && self.ours.is_some() && self.of_ours().is_ok();
        let told = is_told.then(|| words::affiliation(room, &user, affiliation, change.reason));
        if affiliation == "none" {
            self.affiliations.remove(&user);
        } else {
            let reason = change.reason.map(str::to_owned);
            self.affiliations.insert(user, Affiliated { word: affiliation.to_owned(), reason });
        }
        told.into_iter().chain(self.change(room, nicks, change)).collect()
    }

    /// Handles the account's change of a role or an affiliation.
    fn moderate(&mut self, room: &BareJid, item: &Element, own: &FullJid) -> Result<Vec<Element>, &'static str> {
        let user = item.attr("jid").and_then(|jid| jid.parse::<Jid>().ok()).map(|jid| jid.to_bare());
        let named = item.attr("nick").map(str::to_owned);
        let found = self.occupants.iter().filter(|(nick, one)| {
            named.as_deref() == Some(nick.as_str()) || user.as_ref().is_some_and(|user| one.user.to_bare() == *user)
        });
        let found: Vec<String> = found.map(|(nick, _)| nick.clone()).collect();
        if found.is_empty() && named.is_some() {
            return Err("item-not-found");
        }
        let (affiliation, role) = (item.attr("affiliation"), item.attr("role"));
        // A room keeps an owner (XEP-0045, section 10.4).
        if user.as_ref() == Some(&own.to_bare()) && affiliation.is_some_and(|affiliation| affiliation != OURS.0) {
            return Err("conflict");
        }
        // An owner stays a moderator (XEP-0045, section 9.7), and is not kicked by another one (Prosody, ejabberd).
        let is_owner = |nick: &String| self.occupants.get(nick).is_some_and(|one| one.affiliation == OURS.0);
        if role.is_some_and(|role| role != OURS.1) && found.iter().any(is_owner) {
            return Err("not-allowed");
        }
        let by_nick = || Some(self.occupants.get(found.first()?)?.user.to_bare());
        let user = user.or_else(by_nick);
        let (ours, reason) = (self.ours.clone(), item.get_child("reason", MUC_ADMIN).map(Element::text));
        let change = Change { affiliation, role, actor: ours.as_deref(), reason: reason.as_deref() };
        Ok(match user {
            Some(user) => self.affiliate(room, user, &found, change),
            None => self.change(room, &found, change),
        })
    }

    /// Returns the users with this affiliation; the account itself is an owner.
    pub(super) fn affiliated(&self, affiliation: &str, own: &FullJid) -> Element {
        let item = |user: &BareJid, reason: Option<&str>| {
            let reason = reason.map(|reason| Element::builder("reason", MUC_ADMIN).append(reason).build());
            Element::builder("item", MUC_ADMIN)
                .attr(name("affiliation"), affiliation)
                .attr(name("jid"), user.to_string())
                .append_all(reason)
        };
        let us = (affiliation == OURS.0).then(|| item(&own.to_bare(), None));
        let others = self.affiliations.iter().filter(|(_, has)| has.word == affiliation);
        let others = others.map(|(user, has)| item(user, has.reason.as_deref()));
        query(MUC_ADMIN).append_all(us.into_iter().chain(others)).build()
    }

    /// Destroys the room. Returns the presence for the account, if it is in it (XEP-0045, section 10.9).
    fn destroyed(
        mut self,
        room: &BareJid,
        reason: Option<&str>,
        alternative: Option<&str>,
        own: &FullJid,
    ) -> Option<Element> {
        let nick = self.ours.take().and_then(|nick| at(room, &nick))?;
        let mut us = self.us(room, own);
        "none".clone_into(&mut us.affiliation);
        let destroy = Element::builder("destroy", ns::MUC_USER)
            .attr(name("jid"), alternative)
            .append_all(words::explained(None, reason))
            .build();
        Some(with_more(us.shown(&nick, Some("unavailable"), &["110"]), Vec::new(), vec![destroy]))
    }
}

impl Rooms {
    /// Destroys a room for somebody else. Returns the presence for the account, if it is in the room.
    pub(in crate::plugin_test::server) fn destroy(
        &mut self,
        room: &BareJid,
        reason: Option<&str>,
        own: &FullJid,
    ) -> Result<Option<Element>, Impossible> {
        let none = || Impossible(format!("there is no room {room}; write `room {}` at the top", short(room)));
        Ok(self.0.remove(room).ok_or_else(none)?.destroyed(room, reason, None, own))
    }

    /// Handles a set to a room or about an occupant.
    pub(in crate::plugin_test::server) fn set(
        &mut self,
        to: &Jid,
        payload: &Element,
        own: &FullJid,
    ) -> Result<Vec<Element>, &'static str> {
        let bare = to.to_bare();
        let room = self.0.get_mut(&bare).ok_or("item-not-found")?;
        room.of_ours()?;
        if let Some(destroy) = payload.get_child("destroy", MUC_OWNER) {
            let reason = destroy.get_child("reason", MUC_OWNER).map(Element::text);
            let gone = self.0.remove(&bare).ok_or("item-not-found")?;
            return Ok(gone.destroyed(&bare, reason.as_deref(), destroy.attr("jid"), own).into_iter().collect());
        }
        if payload.has_ns(MUC_OWNER) {
            payload.children().for_each(|form| room.configuration.fill_in(form));
            return Ok(Vec::new());
        }
        if room.kind == RoomKind::Retracting && payload.is("moderate", MODERATE) {
            let id = payload.attr("id").ok_or("bad-request")?;
            let by = room.ours.as_deref().and_then(|nick| at(&bare, nick)).ok_or("not-acceptable")?;
            return Ok(vec![words::moderated(&bare, id, &by, payload.get_child("reason", MODERATE))]);
        }
        if !payload.has_ns(MUC_ADMIN) {
            return Err("service-unavailable");
        }
        room.moderate(&bare, payload.children().next().ok_or("bad-request")?, own)
    }
}

#[cfg(test)]
mod tests {
    use parlor_stanza::types::Incoming;
    use xmpp_parsers::stanza::Stanza;

    use super::*;

    fn jid(text: &str) -> FullJid {
        text.parse().unwrap()
    }

    fn own() -> FullJid {
        jid("bot@example.org/here")
    }

    fn garden() -> BareJid {
        "garden@rooms.example.org".parse().unwrap()
    }

    fn presence(rooms: &mut Rooms, nick: &str) -> Vec<Element> {
        let to = garden().with_resource_str(nick).unwrap();
        rooms.presence(&to.into(), &Element::bare("presence", ns::JABBER_CLIENT), &own())
    }

    /// Returns rooms with one in which the account and Bob are.
    fn entered() -> Rooms {
        let mut rooms = Rooms::default();
        rooms.enter(&jid("garden@rooms.example.org/bob"), &jid("bob@example.org/home")).unwrap();
        presence(&mut rooms, "bot");
        rooms
    }

    /// Sends an item about somebody to the room.
    fn set(rooms: &mut Rooms, attributes: &str, reason: &str) -> Result<Vec<Element>, &'static str> {
        let xml = format!("<query xmlns='{MUC_ADMIN}'><item {attributes}>{reason}</item></query>");
        rooms.set(&garden().into(), &xml.parse().unwrap(), &own())
    }

    fn heard(element: &Element) -> Incoming {
        parlor_stanza::decode::decode(Stanza::try_from(element.clone()).unwrap(), &own(), jiff::Timestamp::UNIX_EPOCH)
    }

    /// Returns what the room says about somebody.
    fn about(element: &Element) -> String {
        let muc = match heard(element) {
            Incoming::Presence(presence) => presence.muc,
            Incoming::Message(message) => message.affiliation,
            other => panic!("not of a room: {other:?}"),
        };
        let muc = muc.unwrap();
        let actor = muc.actor.as_ref().and_then(|actor| actor.nick.as_deref()).unwrap_or("-");
        format!("{} {:?} by {actor}: {}", muc.affiliation, muc.status, muc.reason.as_deref().unwrap_or("-"))
    }

    fn all(told: &[Element]) -> Vec<String> {
        told.iter().map(about).collect()
    }

    #[test]
    fn a_change_names_its_actor_and_its_reason() {
        let mut rooms = entered();
        let told = set(&mut rooms, "nick='bob' role='visitor'", "<reason>so</reason>").unwrap();
        assert_eq!(all(&told), ["none [] by bot: so"]);
        let told = set(&mut rooms, "jid='bob@example.org' affiliation='outcast'", "<reason>so</reason>").unwrap();
        assert_eq!(all(&told), ["outcast [301] by bot: so"]);
        let list = format!("<query xmlns='{MUC_ADMIN}'><item affiliation='outcast'/></query>");
        let list = rooms.get(&garden().into(), &list.parse().unwrap(), &own(), &[]).unwrap().unwrap();
        let reason = list.children().next().and_then(|item| item.get_child("reason", MUC_ADMIN)).map(Element::text);
        assert_eq!(reason.as_deref(), Some("so"), "it is kept with the ban");
    }

    #[test]
    fn moderators_are_told_of_somebody_who_is_not_in_the_room() {
        let mut rooms = entered();
        let told = set(&mut rooms, "jid='carol@example.org' affiliation='member'", "").unwrap();
        assert_eq!(all(&told), ["member [] by -: -"]);
        rooms.0.get_mut(&garden()).unwrap().ours = None;
        assert!(set(&mut rooms, "jid='carol@example.org' affiliation='none'", "").unwrap().is_empty());
    }

    #[test]
    fn an_affiliation_that_is_given_by_nickname_lasts() {
        let mut rooms = entered();
        set(&mut rooms, "nick='bob' affiliation='member'", "").unwrap();
        assert_eq!(rooms.0[&garden()].affiliated("member", &own()).children().count(), 1);
    }

    #[test]
    fn a_room_keeps_its_owners() {
        let mut rooms = entered();
        assert_eq!(set(&mut rooms, "jid='bot@example.org' affiliation='outcast'", ""), Err("conflict"));
        set(&mut rooms, "nick='bob' affiliation='owner'", "").unwrap();
        for role in ["none", "visitor", "participant"] {
            assert_eq!(set(&mut rooms, &format!("nick='bob' role='{role}'"), ""), Err("not-allowed"), "{role}");
        }
        set(&mut rooms, "nick='bob' affiliation='none'", "").unwrap();
        assert_eq!(set(&mut rooms, "nick='bob' role='none'", "").unwrap().len(), 1);
    }

    #[test]
    fn the_account_destroys_a_room_and_is_out_of_it() {
        let mut rooms = entered();
        let destroy = "<destroy jid='hall@rooms.example.org'><reason>over</reason></destroy>";
        let destroy = format!("<query xmlns='{MUC_OWNER}'>{destroy}</query>").parse().unwrap();
        let told = rooms.set(&garden().into(), &destroy, &own()).unwrap();
        let Incoming::Presence(presence) = heard(&told[0]) else { panic!("a presence") };
        let destroyed = presence.muc.as_ref().and_then(|muc| muc.destroyed.clone()).flatten();
        assert_eq!(destroyed, Some("hall@rooms.example.org".parse().unwrap()));
        assert_eq!(all(&told), ["none [110] by -: over"]);
        assert_eq!(rooms.set(&garden().into(), &destroy, &own()), Err("item-not-found"));
    }

    #[test]
    fn a_new_nickname_of_the_account_is_no_leave() {
        let mut rooms = entered();
        let told = presence(&mut rooms, "robot");
        let shown = told.iter().map(|told| {
            let Incoming::Presence(presence) = heard(told) else { panic!("a presence") };
            let new = presence.muc.as_ref().and_then(|muc| muc.nick.as_deref()).unwrap_or("-");
            format!("{} to {new}: {}", presence.from, about(told))
        });
        let expected = [
            "garden@rooms.example.org/bot to robot: owner [110, 303] by -: -",
            "garden@rooms.example.org/robot to -: owner [110] by -: -",
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    /// XEP-0410, section 3.3.
    #[test]
    fn a_ping_tells_whether_the_account_is_in_the_room() {
        let mut rooms = entered();
        let ping: Element = Element::bare("ping", ns::PING);
        let pinged = |rooms: &Rooms, to: &str| rooms.get(&to.parse().unwrap(), &ping, &own(), &[]);
        for (to, answer) in [
            ("garden@rooms.example.org/bot", Ok(None)),
            ("garden@rooms.example.org/bob", Ok(None)),
            ("garden@rooms.example.org/eve", Err("item-not-found")),
            ("garden@rooms.example.org", Ok(None)),
            ("hall@rooms.example.org/bot", Err("not-acceptable")),
        ] {
            assert_eq!(pinged(&rooms, to), answer, "{to}");
        }
        rooms.forget_us();
        assert_eq!(pinged(&rooms, "garden@rooms.example.org/bot"), Err("not-acceptable"));
    }
}
