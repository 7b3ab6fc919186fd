//! The rooms of a server within the process: those are there that a test speaks of, and nobody is in them but who entered. The
//! account makes any other by entering it, and may do anything in all of them.

use std::collections::BTreeMap;

use jid::{BareJid, FullJid, Jid};
use minidom::Element;
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns;

use super::Impossible;
use super::form::Configuration;
use super::words::{disco, numbered, occupant, query, renamed, subject};
use crate::xmpp::encode::{MUC_ADMIN, MUC_OWNER, name};

/// The domain that rooms are at begins with this.
const AT: &str = "rooms.";

/// Its affiliation and role.
const OURS: (&str, &str) = ("owner", "moderator");

/// Who may not come in.
const OUTCAST: &str = "outcast";

#[derive(Debug, Default)]
pub(super) struct Rooms(BTreeMap<BareJid, Room>);

#[derive(Debug, Default)]
struct Room {
    /// The account's own nickname, while it is in.
    ours: Option<String>,
    subject: String,
    configuration: Configuration,
    /// What people are to the room who are more or less than anybody.
    affiliations: BTreeMap<BareJid, String>,
    occupants: BTreeMap<String, Occupant>,
}

impl Room {
    /// Who comes in.
    fn newcomer(&self, user: &FullJid) -> Occupant {
        let affiliation = self.affiliations.get(&user.to_bare()).map_or("none", String::as_str);
        let role = if matches!(affiliation, "owner" | "admin") { "moderator" } else { "participant" };
        Occupant { user: user.clone(), affiliation: affiliation.to_owned(), role: role.to_owned() }
    }

    fn affiliate(&mut self, user: BareJid, affiliation: &str) {
        if affiliation == "none" {
            self.affiliations.remove(&user);
        } else {
            self.affiliations.insert(user, affiliation.to_owned());
        }
    }

    /// Who has this affiliation; the account itself is an owner.
    fn affiliated(&self, affiliation: &str, own: &FullJid) -> Element {
        let us = (affiliation == OURS.0).then(|| own.to_bare());
        let others = self.affiliations.iter().filter(|(_, has)| *has == affiliation).map(|(user, _)| user.clone());
        let items = us.into_iter().chain(others).map(|user| {
            let item = Element::builder("item", MUC_ADMIN).attr(name("affiliation"), affiliation);
            item.attr(name("jid"), user.to_string())
        });
        query(MUC_ADMIN).append_all(items).build()
    }
}

#[derive(Debug, Clone)]
struct Occupant {
    user: FullJid,
    affiliation: String,
    role: String,
}

impl Occupant {
    fn shown(&self, at: &FullJid, kind: Option<&str>, codes: &[&str]) -> Element {
        occupant(at, kind, &self.affiliation, &self.role, Some(&self.user), codes)
    }
}

fn at(room: &BareJid, nick: &str) -> Option<FullJid> {
    room.with_resource_str(nick).ok()
}

impl Rooms {
    /// Whether this address is a room's, an occupant's, or that of the service.
    pub(super) fn are_at(jid: &Jid) -> bool {
        jid.domain().as_str().starts_with(AT)
    }

    /// Whether what this occupant says is heard.
    pub(super) fn may_speak(&self, from: &FullJid) -> Result<(), Impossible> {
        let (room, nick) = (from.to_bare(), from.resource().as_str());
        let known = self.0.get(&room);
        if known.is_none_or(|room| room.ours.is_none()) {
            return Err(Impossible(format!(
                "the plugin's account is not in {room}; write `room {}` at the top, or let the plugin enter it",
                short(&room)
            )));
        }
        if known.is_none_or(|room| !room.occupants.contains_key(nick)) {
            return Err(Impossible(format!("{nick} is not in {room}; write `{}/{nick} enters` before", short(&room))));
        }
        Ok(())
    }

    /// A room is there already, whoever made it.
    pub(super) fn found(&mut self, room: &BareJid) {
        self.0.entry(room.clone()).or_default();
    }

    pub(super) fn enter(&mut self, occupant: &FullJid, user: &FullJid) -> Result<Vec<Element>, Impossible> {
        let (bare, nick) = (occupant.to_bare(), occupant.resource().as_str().to_owned());
        let room = self.0.entry(bare).or_default();
        if room.occupants.contains_key(&nick) || room.ours.as_ref() == Some(&nick) {
            return Err(Impossible(format!("somebody is in the room as {nick} already")));
        }
        let new = room.newcomer(user);
        if new.affiliation == OUTCAST {
            return Err(Impossible(format!("{nick} is banned from the room")));
        }
        let told = room.ours.is_some().then(|| new.shown(occupant, None, &[]));
        room.occupants.insert(nick, new);
        Ok(told.into_iter().collect())
    }

    pub(super) fn leave(&mut self, occupant: &FullJid) -> Result<Vec<Element>, Impossible> {
        let (bare, nick) = (occupant.to_bare(), occupant.resource().as_str());
        let inside = self.0.get_mut(&bare).and_then(|room| Some((room.occupants.remove(nick)?, room)));
        let (gone, room) = inside.ok_or_else(|| Impossible(format!("{nick} is not in the room")))?;
        let told = room.ours.is_some().then(|| gone.shown(occupant, Some("unavailable"), &[]));
        Ok(told.into_iter().collect())
    }

    /// Somebody goes on under another nickname (XEP-0045, section 7.6).
    pub(super) fn rename(&mut self, occupant: &FullJid, nick: &str) -> Result<Vec<Element>, Impossible> {
        let (bare, old) = (occupant.to_bare(), occupant.resource().as_str());
        let new = at(&bare, nick).ok_or_else(|| Impossible(format!("{nick:?} is no nickname")))?;
        let nick = new.resource().as_str();
        let room = self.0.get_mut(&bare).filter(|room| room.occupants.contains_key(old));
        let room = room.ok_or_else(|| Impossible(format!("{old} is not in the room")))?;
        if room.occupants.contains_key(nick) || room.ours.as_deref() == Some(nick) {
            return Err(Impossible(format!("somebody is in the room as {nick} already")));
        }
        let Some(one) = room.occupants.remove(old) else { return Ok(Vec::new()) };
        let told = room.ours.is_some().then(|| {
            let gone = renamed(occupant, nick, &one.affiliation, &one.role, &one.user);
            [gone, one.shown(&new, None, &[])]
        });
        room.occupants.insert(nick.to_owned(), one);
        Ok(told.into_iter().flatten().collect())
    }

    /// The account is in no room any more.
    pub(super) fn forget_us(&mut self) {
        for room in self.0.values_mut() {
            room.ours = None;
        }
    }

    /// The account's presence for a room.
    pub(super) fn presence(&mut self, to: &Jid, presence: &Element, own: &FullJid) -> Vec<Element> {
        let Some(address) = to.try_as_full().ok().filter(|_| Self::are_at(to)) else { return Vec::new() };
        let (bare, nick) = (address.to_bare(), address.resource().as_str());
        let is_new = !self.0.contains_key(&bare);
        let room = self.0.entry(bare.clone()).or_default();
        let us = |at: &FullJid, kind, codes: &[&str]| occupant(at, kind, OURS.0, OURS.1, Some(own), codes);
        match presence.attr("type") {
            Some("unavailable") => match room.ours.take() {
                Some(nick) => at(&bare, &nick).iter().map(|at| us(at, Some("unavailable"), &["110"])).collect(),
                None => Vec::new(),
            },
            Some(_) => Vec::new(),
            None => {
                let old = room.ours.replace(nick.to_owned());
                if old.as_deref() == Some(nick) {
                    return vec![us(address, None, &["110"])];
                }
                let mut told = Vec::new();
                if let Some(old) = old.and_then(|old| at(&bare, &old)) {
                    told.push(us(&old, Some("unavailable"), &["110"]));
                }
                let others = room.occupants.iter().filter_map(|(nick, one)| Some((at(&bare, nick)?, one)));
                told.extend(others.map(|(at, one)| one.shown(&at, None, &[])));
                // Who makes a room is told so (XEP-0045, section 10.1.1).
                let codes: &[&str] = if is_new { &["100", "110", "201"] } else { &["100", "110"] };
                told.push(us(address, None, codes));
                told.push(subject(&bare.into(), &room.subject));
                told
            }
        }
    }

    /// Who the account is in a room.
    pub(super) fn us(&self, room: &BareJid) -> Option<FullJid> {
        at(room, self.0.get(room)?.ours.as_deref()?)
    }

    /// What the account says in a room comes back to it, under this number.
    pub(super) fn message(&mut self, message: &Message, number: Option<&str>, own: &FullJid) -> Vec<Element> {
        let Some(to) = message.to.as_ref().filter(|to| message.type_ == MessageType::Groupchat && Self::are_at(to))
        else {
            return Vec::new();
        };
        let Some(room) = self.0.get_mut(&to.to_bare()) else { return Vec::new() };
        let Some(from) = room.ours.as_deref().and_then(|nick| at(&to.to_bare(), nick)) else { return Vec::new() };
        if let (Some(new), true) = (message.subjects.values().next(), message.bodies.is_empty()) {
            room.subject.clone_from(new);
        }
        let mut echo = Message { from: Some(from.into()), to: Some(own.clone().into()), ..message.clone() };
        echo.payloads.extend(number.map(|number| numbered(&to.to_bare(), number)));
        vec![echo.into()]
    }

    /// What the account asks about a room; one that has an archive says so with these features.
    pub(super) fn get(
        &self,
        to: &Jid,
        payload: &Element,
        own: &FullJid,
        archive: &[&'static str],
    ) -> Result<Option<Element>, &'static str> {
        let room = self.0.get(&to.to_bare());
        match payload.name() {
            "ping" => Ok(None),
            "query" if payload.has_ns(ns::DISCO_INFO) => {
                let is_person = to.resource().is_some();
                Ok(Some(if is_person { disco("client", "pc", &[]) } else { disco("conference", "text", archive) }))
            }
            "query" if payload.has_ns(ns::DISCO_ITEMS) => Ok(Some(query(ns::DISCO_ITEMS).build())),
            "query" if payload.has_ns(MUC_OWNER) => {
                let room = room.ok_or("item-not-found")?;
                Ok(Some(query(MUC_OWNER).append(room.configuration.form()).build()))
            }
            "query" if payload.has_ns(MUC_ADMIN) => {
                let room = room.ok_or("item-not-found")?;
                let wanted = payload.children().find_map(|item| item.attr("affiliation")).ok_or("bad-request")?;
                Ok(Some(room.affiliated(wanted, own)))
            }
            _ => Err("service-unavailable"),
        }
    }

    /// A room that is there.
    pub(super) fn known(&self, to: &Jid) -> Result<BareJid, &'static str> {
        let room = to.to_bare();
        if self.0.contains_key(&room) { Ok(room) } else { Err("item-not-found") }
    }

    /// The account changes something about a room or about somebody in it.
    pub(super) fn set(&mut self, to: &Jid, payload: &Element) -> Result<Vec<Element>, &'static str> {
        let bare = to.to_bare();
        let room = self.0.get_mut(&bare).ok_or("item-not-found")?;
        if payload.has_ns(MUC_OWNER) {
            payload.children().for_each(|form| room.configuration.fill_in(form));
            return Ok(Vec::new());
        }
        if !payload.has_ns(MUC_ADMIN) {
            return Err("service-unavailable");
        }
        let item = payload.children().next().ok_or("bad-request")?;
        let user = item.attr("jid").and_then(|jid| jid.parse::<Jid>().ok()).map(|jid| jid.to_bare());
        let named = item.attr("nick").map(str::to_owned);
        let found = room.occupants.iter().filter(|(nick, one)| {
            named.as_deref() == Some(nick.as_str()) || user.as_ref().is_some_and(|user| one.user.to_bare() == *user)
        });
        let found: Vec<String> = found.map(|(nick, _)| nick.clone()).collect();
        if found.is_empty() && named.is_some() {
            return Err("item-not-found");
        }
        if let (Some(user), Some(affiliation)) = (user, item.attr("affiliation")) {
            room.affiliate(user, affiliation);
        }
        let mut told = Vec::new();
        for nick in found {
            let (Some(address), Some(one)) = (at(&bare, &nick), room.occupants.get_mut(&nick)) else { continue };
            if let Some(affiliation) = item.attr("affiliation") {
                affiliation.clone_into(&mut one.affiliation);
            }
            if let Some(role) = item.attr("role") {
                role.clone_into(&mut one.role);
            }
            let code = match (one.affiliation.as_str(), one.role.as_str()) {
                (OUTCAST, _) => "301",
                (_, "none") => "307",
                _ => {
                    told.push(one.shown(&address, None, &[]));
                    continue;
                }
            };
            told.push(one.shown(&address, Some("unavailable"), &[code]));
            room.occupants.remove(&nick);
        }
        Ok(told)
    }
}

/// A room's name without its service.
fn short(room: &BareJid) -> &str {
    room.node().map_or(room.as_str(), |node| node.as_str())
}
