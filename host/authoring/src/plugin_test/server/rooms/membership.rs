//! Voice in rooms, and the account's registration with them (XEP-0045, sections 7.10, 7.12, 7.13 and 8.6).

use jid::{BareJid, FullJid, Jid};
use minidom::Element;
use parlor_stanza::encode::name;
use parlor_stanza::types::VOICE;
use xmpp_parsers::message::Message;
use xmpp_parsers::ns;

use super::super::MockServer;
use super::super::form::valued;
use super::super::impossible::Impossible;
use super::super::occupant::{PARTICIPANT, VISITOR};
use super::super::words::{REGISTERED_NICK, query, value};
use super::moderation::Change;
use super::{OURS, Room, RoomKind, Rooms, at, short};

/// The type of a registration form.
const REGISTER: &str = "http://jabber.org/protocol/muc#register";

impl MockServer {
    /// Makes a visitor ask for voice, or makes a moderator give voice to the account.
    pub fn voice(&self, occupant: &FullJid, gives: bool) -> Result<(), Impossible> {
        let mut server = self.server();
        let own = server.own.clone();
        let told =
            if gives { server.rooms.give_us_voice(occupant, &own)? } else { server.rooms.ask_for_voice(occupant)? };
        server.bring(told);
        Ok(())
    }
}

impl Room {
    /// Returns whether only moderators see the addresses of others.
    pub(super) fn hides_addresses(&self) -> bool {
        self.kind == RoomKind::Anonymous
    }

    /// Returns the room, if the account is its owner.
    pub(super) fn of_ours(&self) -> Result<&Self, &'static str> {
        if self.our_rank() == OURS { Ok(self) } else { Err("forbidden") }
    }

    /// Returns the account's affiliation and role.
    pub(super) fn our_rank(&self) -> (&'static str, &'static str) {
        let member = if self.registered.is_some() { "member" } else { "none" };
        match self.kind {
            RoomKind::Usual | RoomKind::Retracting => OURS,
            RoomKind::Anonymous => (member, PARTICIPANT),
            RoomKind::Moderated if self.has_voice || self.registered.is_some() => (member, PARTICIPANT),
            RoomKind::Moderated => (member, VISITOR),
        }
    }

    /// Returns the account's presence, if it is in the room.
    fn our_presence(&mut self, room: &BareJid, own: &FullJid) -> Option<Element> {
        let address = at(room, self.ours.as_deref()?)?;
        Some(self.us(room, own).shown(&address, None, &["110"]))
    }

    /// Returns the form by which the account registers, or that it is registered.
    pub(super) fn registration(&self) -> Element {
        let Some(nick) = &self.registered else {
            let kind = field("FORM_TYPE", "hidden", Some(REGISTER));
            let nick = field(REGISTERED_NICK, "text-single", None);
            return query(ns::REGISTER).append(form(vec![kind, nick])).build();
        };
        query(ns::REGISTER)
            .append(Element::bare("registered", ns::REGISTER))
            .append(Element::builder("username", ns::REGISTER).append(nick.as_str()))
            .build()
    }

    /// Returns the nickname that is reserved for the account.
    pub(super) fn reserved(&self) -> Element {
        let identity = self.registered.as_ref().map(|nick| {
            Element::builder("identity", ns::DISCO_INFO)
                .attr(name("category"), "conference")
                .attr(name("type"), "text")
                .attr(name("name"), nick.as_str())
        });
        query(ns::DISCO_INFO).append_all(identity).build()
    }
}

impl Rooms {
    /// Returns the room's message that a visitor asks for voice.
    fn ask_for_voice(&self, occupant: &FullJid) -> Result<Element, Impossible> {
        self.not_us(occupant)?;
        let (bare, nick) = (occupant.to_bare(), occupant.resource().as_str());
        let called = short(&bare);
        let Some(room) = self.0.get(&bare).filter(|room| room.ours.is_some() && room.of_ours().is_ok()) else {
            let why = format!(
                "the plugin's account is no moderator of {bare}, and so is not asked; write `room {called}` at the top"
            );
            return Err(Impossible(why));
        };
        let Some(one) = room.occupants.get(nick).filter(|one| one.role == VISITOR) else {
            let why = format!(
                "{nick} is no visitor in {called}, and so needs no voice; write `{called}/{nick} is visitor` before"
            );
            return Err(Impossible(why));
        };
        let fields = vec![
            field("FORM_TYPE", "hidden", Some(VOICE)),
            field("muc#role", "list-single", Some(PARTICIPANT)),
            field("muc#jid", "jid-single", Some(&one.user.to_string())),
            field("muc#roomnick", "text-single", Some(nick)),
            field("muc#request_allow", "boolean", Some("false")),
        ];
        Ok(Element::builder("message", ns::JABBER_CLIENT)
            .attr(name("from"), bare.to_string())
            .append(form(fields))
            .build())
    }

    /// Gives voice to the account. Returns its presence.
    fn give_us_voice(&mut self, by: &FullJid, own: &FullJid) -> Result<Element, Impossible> {
        let (bare, actor) = (by.to_bare(), by.resource().as_str());
        let called = short(&bare);
        let Some(room) = self.0.get_mut(&bare).filter(|room| room.our_rank().1 == VISITOR) else {
            let why =
                format!("the plugin's account needs no voice in {called}; write `room {called}, moderated` at the top");
            return Err(Impossible(why));
        };
        if room.occupants.get(actor).is_none_or(|one| one.role != OURS.1) {
            let why = format!("{actor} is no moderator in {called}; write `{called}/{actor} is moderator` before");
            return Err(Impossible(why));
        }
        room.has_voice = true;
        let not_in = || Impossible(format!("the plugin's account is not in {bare}, so nobody gives it voice"));
        room.our_presence(&bare, own).ok_or_else(not_in)
    }

    /// Carries out the account's answer to a visitor who asks for voice. Returns the visitor's presence.
    pub(in crate::plugin_test::server) fn voice_answered(&mut self, message: &Message) -> Vec<Element> {
        let is_answer = |x: &&Element| x.is("x", ns::DATA_FORMS) && value(x, "FORM_TYPE").as_deref() == Some(VOICE);
        let answer = message.payloads.iter().find(is_answer);
        let allowed = answer.filter(|x| value(x, "muc#request_allow").as_deref() == Some("true"));
        let nick = allowed.and_then(|x| value(x, "muc#roomnick"));
        let (Some(room), Some(nick)) = (message.to.as_ref().map(Jid::to_bare), nick) else { return Vec::new() };
        let Some(known) = self.0.get_mut(&room).filter(|known| known.of_ours().is_ok()) else { return Vec::new() };
        let is_visitor = known.occupants.get(&nick).is_some_and(|one| one.role == VISITOR);
        if is_visitor {
            known.change(&room, &[nick], Change { role: Some(PARTICIPANT), ..Change::default() })
        } else {
            Vec::new()
        }
    }

    /// Registers the account with a room, or ends that. Returns its presence, if it is another one.
    pub(in crate::plugin_test::server) fn register(
        &mut self,
        to: &Jid,
        payload: &Element,
        own: &FullJid,
    ) -> Result<Option<Element>, &'static str> {
        let bare = to.to_bare();
        let room = self.0.get_mut(&bare).ok_or("item-not-found")?;
        let before = room.our_rank();
        if payload.has_child("remove", ns::REGISTER) {
            room.registered.take().ok_or("registration-required")?;
        } else {
            let form = payload.get_child("x", ns::DATA_FORMS).ok_or("bad-request")?;
            let nick = value(form, REGISTERED_NICK).filter(|nick| !nick.is_empty()).ok_or("not-acceptable")?;
            if room.occupants.contains_key(&nick) {
                return Err("conflict");
            }
            room.registered = Some(nick);
        }
        Ok(if room.our_rank() == before { None } else { room.our_presence(&bare, own) })
    }
}

fn form(fields: Vec<Element>) -> Element {
    Element::builder("x", ns::DATA_FORMS).attr(name("type"), "form").append_all(fields).build()
}

fn field(var: &str, kind: &str, value: Option<&str>) -> Element {
    Element::builder("field", ns::DATA_FORMS)
        .attr(name("var"), var)
        .attr(name("type"), kind)
        .append_all(value.map(valued))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "bot@example.org/here";

    fn jid(text: &str) -> FullJid {
        text.parse().unwrap()
    }

    /// Returns rooms in which the account is, and another person under his name.
    fn entered(kind: RoomKind) -> (Rooms, BareJid) {
        let (mut rooms, room) = (Rooms::default(), BareJid::new("garden@rooms.example.org").unwrap());
        rooms.make(&room, kind);
        rooms.enter(&jid("garden@rooms.example.org/bob"), &jid("bob@example.org/home")).unwrap();
        let own = Jid::from(jid("garden@rooms.example.org/bot"));
        rooms.presence(&own, &Element::bare("presence", ns::JABBER_CLIENT), &jid(OWN));
        (rooms, room)
    }

    #[test]
    fn a_registered_account_is_a_member_with_voice_and_has_its_nickname() {
        let (mut rooms, room) = entered(RoomKind::Moderated);
        let to = Jid::from(room.clone());
        let submit = |nick: &str| {
            query(ns::REGISTER).append(form(vec![field(REGISTERED_NICK, "text-single", Some(nick))])).build()
        };
        let remove = || query(ns::REGISTER).append(Element::bare("remove", ns::REGISTER)).build();
        assert_eq!(rooms.0[&room].our_rank(), ("none", VISITOR));
        assert_eq!(rooms.register(&to, &remove(), &jid(OWN)), Err("registration-required"));
        assert_eq!(rooms.register(&to, &submit("bob"), &jid(OWN)), Err("conflict"));
        assert_eq!(rooms.register(&to, &submit(""), &jid(OWN)), Err("not-acceptable"));
        assert!(rooms.register(&to, &submit("robot"), &jid(OWN)).unwrap().is_some());
        assert_eq!(rooms.0[&room].our_rank(), ("member", PARTICIPANT));
        assert!(rooms.0[&room].registration().has_child("registered", ns::REGISTER));
        let identity = rooms.0[&room].reserved();
        assert_eq!(identity.children().next().and_then(|one| one.attr("name")), Some("robot"));
        assert!(rooms.register(&to, &remove(), &jid(OWN)).unwrap().is_some());
        assert_eq!(rooms.0[&room].our_rank(), ("none", VISITOR));
        assert_eq!(rooms.0[&room].reserved().children().count(), 0);
    }

    #[test]
    fn only_visitors_ask_for_voice_and_only_moderators_give_it() {
        let (rooms, _) = entered(RoomKind::Usual);
        let bob = jid("garden@rooms.example.org/bob");
        assert!(rooms.ask_for_voice(&bob).unwrap_err().to_string().contains("is no visitor in garden"));
        let (mut rooms, _) = entered(RoomKind::Moderated);
        assert!(rooms.ask_for_voice(&bob).unwrap_err().to_string().contains("is no moderator of"));
        let error = rooms.give_us_voice(&bob, &jid(OWN)).unwrap_err();
        assert!(error.to_string().contains("bob is no moderator in garden"), "{error}");
    }
}
