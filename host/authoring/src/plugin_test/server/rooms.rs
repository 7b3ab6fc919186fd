//! The rooms of the mock server. Rooms exist if a test names them, with the occupants that have entered. The account
//! creates any other room by entering it, and is an owner of all rooms except those that hide addresses or
//! are moderated.

mod membership;
mod moderation;

use std::collections::BTreeMap;

use jid::{BareJid, FullJid, Jid};
use minidom::Element;
use parlor_stanza::encode::{MODERATE, MUC_ADMIN, MUC_OWNER};
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns;

use self::moderation::{Affiliated, Change};
use super::form::Configuration;
use super::impossible::Impossible;
use super::occupant::{OUTCAST, Occupant, Rank, VISITOR, first_role};
use super::words::{self, disco, numbered, occupant_id, query, subject, with_more};

/// The prefix of the domain of all rooms.
const AT: &str = "rooms.";

/// The account's affiliation and role.
const OURS: (&str, &str) = ("owner", "moderator");

/// The feature of a room that hears only those with voice.
const MODERATED: &str = "muc_moderated";

/// The node by which a room tells somebody the reserved nickname (XEP-0045, section 7.12).
const OWN_ITEM: &str = "x-roomuser-item";

/// The special behaviour of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RoomKind {
    /// Nothing.
    #[default]
    Usual,
    /// It hides addresses. So the account is not a moderator in it, since moderators see them (XEP-0045, section 4.2).
    Anonymous,
    /// It hears only those with voice, and the account comes without.
    Moderated,
    /// It retracts messages for its moderators (XEP-0425).
    Retracting,
}

#[derive(Debug, Default)]
pub(super) struct Rooms(BTreeMap<BareJid, Room>);

#[derive(Debug, Default)]
struct Room {
    /// The account's own nickname, while it is in the room.
    ours: Option<String>,
    /// Whether somebody has banned the account.
    bans_us: bool,
    subject: String,
    kind: RoomKind,
    /// Whether somebody gave the account voice, while it is in the room.
    has_voice: bool,
    /// The nickname under which the account is registered with it.
    registered: Option<String>,
    /// The occupant ids of users (XEP-0421).
    ids: BTreeMap<BareJid, String>,
    configuration: Configuration,
    /// The affiliations of users, except `none`.
    affiliations: BTreeMap<BareJid, Affiliated>,
    occupants: BTreeMap<String, Occupant>,
}

impl Room {
    /// Creates an occupant for a user who enters this room.
    fn newcomer(&mut self, room: &BareJid, user: &FullJid) -> Occupant {
        let affiliation = self.affiliations.get(&user.to_bare()).map_or("none", |has| has.word.as_str());
        let (affiliation, role) = (affiliation.to_owned(), first_role(affiliation).to_owned());
        let id = self.id(room, user);
        let address = (!self.hides_addresses()).then(|| user.clone());
        Occupant { user: user.clone(), address, id, affiliation, role }
    }

    /// Returns the account as an occupant.
    fn us(&mut self, room: &BareJid, own: &FullJid) -> Occupant {
        let (affiliation, role) = self.our_rank();
        let (id, address) = (self.id(room, own), Some(own.clone()));
        Occupant { user: own.clone(), address, id, affiliation: affiliation.to_owned(), role: role.to_owned() }
    }

    /// Returns the occupant id of a user in this room, which does not depend on the nickname.
    fn id(&mut self, room: &BareJid, user: &FullJid) -> String {
        let id = format!("{}-occupant-{}", short(room), self.ids.len() + 1);
        self.ids.entry(user.to_bare()).or_insert(id).clone()
    }
}

fn at(room: &BareJid, nick: &str) -> Option<FullJid> {
    room.with_resource_str(nick).ok()
}

impl Rooms {
    /// Returns whether this address is that of a room, an occupant, or the service.
    pub(super) fn are_at(jid: &Jid) -> bool {
        jid.domain().as_str().starts_with(AT)
    }

    /// Refuses actions for an occupant who is the account itself.
    fn not_us(&self, occupant: &FullJid) -> Result<(), Impossible> {
        let (room, nick) = (occupant.to_bare(), occupant.resource().as_str());
        match self.0.get(&room).and_then(|room| room.ours.as_deref()) {
            Some(ours) if ours == nick => Err(Impossible(format!(
                "{nick} is the plugin's account itself in {}, which does what the plugin asks for; name somebody else",
                short(&room)
            ))),
            _ => Ok(()),
        }
    }

    /// Checks that this occupant may speak.
    pub(super) fn may_speak(&self, from: &FullJid) -> Result<(), Impossible> {
        self.not_us(from)?;
        let (bare, nick) = (from.to_bare(), from.resource().as_str());
        let name = short(&bare);
        let Some(room) = self.0.get(&bare).filter(|room| room.ours.is_some()) else {
            return Err(Impossible(format!(
                "the plugin's account is not in {bare}; write `room {name}` at the top (/join {name} in plugin dev), or let \
                 the plugin enter it"
            )));
        };
        match room.occupants.get(nick) {
            None => Err(Impossible(format!("{nick} is not in {bare}; write `{name}/{nick} enters` before"))),
            // A visitor has no voice, whether or not the room is moderated (XEP-0045, section 5.1).
            Some(one) if one.role == VISITOR => Err(Impossible(format!(
                "{nick} is a visitor in {name}, whom nobody hears; write `{name}/{nick} is participant` before"
            ))),
            Some(_) => Ok(()),
        }
    }

    /// Makes sure that a room exists.
    pub(super) fn found(&mut self, room: &BareJid) {
        self.0.entry(room.clone()).or_default();
    }

    /// Makes a room of this kind.
    pub(super) fn make(&mut self, room: &BareJid, kind: RoomKind) {
        // Others are made when somebody enters them.
        if kind != RoomKind::Usual {
            self.0.entry(room.clone()).or_default().kind = kind;
        }
    }

    /// Returns the user behind the address of an occupant.
    pub(super) fn user(&self, occupant: &Jid) -> Option<BareJid> {
        let room = self.0.get(&occupant.to_bare())?;
        Some(room.occupants.get(occupant.resource()?.as_str())?.user.to_bare())
    }

    /// Returns the occupant id of somebody in a room.
    pub(super) fn id(&self, occupant: &FullJid) -> Option<&str> {
        let room = self.0.get(&occupant.to_bare())?;
        Some(room.occupants.get(occupant.resource().as_str())?.id.as_str())
    }

    /// Changes the role or affiliation of a person, who may enter the room later.
    pub(super) fn rank(&mut self, occupant: &FullJid, user: &FullJid, rank: Rank) -> Result<Vec<Element>, Impossible> {
        self.not_us(occupant)?;
        let (bare, nick) = (occupant.to_bare(), occupant.resource().as_str().to_owned());
        let room = self.0.entry(bare.clone()).or_default();
        let inside = room.occupants.get(&nick).map(|one| one.user.to_bare());
        match rank {
            Rank::Affiliation(affiliation) => {
                let nicks = if inside.is_some() { vec![nick] } else { Vec::new() };
                let change = Change { affiliation: Some(affiliation), ..Change::default() };
                Ok(room.affiliate(&bare, inside.unwrap_or_else(|| user.to_bare()), &nicks, change))
            }
            Rank::Role(role) if inside.is_some() => {
                Ok(room.change(&bare, &[nick], Change { role: Some(role), ..Change::default() }))
            }
            Rank::Role(role) => Err(Impossible(format!(
                "{nick} is not in the room, and so is no {role}; write `{}/{nick} enters` before",
                short(&bare)
            ))),
        }
    }

    pub(super) fn enter(&mut self, occupant: &FullJid, user: &FullJid) -> Result<Vec<Element>, Impossible> {
        let (bare, nick) = (occupant.to_bare(), occupant.resource().as_str().to_owned());
        let room = self.0.entry(bare.clone()).or_default();
        if room.occupants.contains_key(&nick) || room.ours.as_ref() == Some(&nick) {
            return Err(Impossible(format!("somebody is in the room as {nick} already")));
        }
        let new = room.newcomer(&bare, user);
        if new.affiliation == OUTCAST {
            return Err(Impossible(format!("{nick} is banned from the room")));
        }
        let told = room.ours.is_some().then(|| new.shown(occupant, None, &[]));
        room.occupants.insert(nick, new);
        Ok(told.into_iter().collect())
    }

    pub(super) fn leave(&mut self, occupant: &FullJid) -> Result<Vec<Element>, Impossible> {
        self.not_us(occupant)?;
        let (bare, nick) = (occupant.to_bare(), occupant.resource().as_str());
        let inside = self.0.get_mut(&bare).and_then(|room| Some((room.occupants.remove(nick)?, room)));
        let (gone, room) = inside.ok_or_else(|| Impossible(format!("{nick} is not in the room")))?;
        let told = room.ours.is_some().then(|| gone.shown(occupant, Some("unavailable"), &[]));
        Ok(told.into_iter().collect())
    }

    /// Changes an occupant's nickname (XEP-0045, section 7.6).
    pub(super) fn rename(&mut self, occupant: &FullJid, nick: &str) -> Result<Vec<Element>, Impossible> {
        self.not_us(occupant)?;
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
            let gone = one.renamed(occupant, nick, &["303"]);
            [gone, one.shown(&new, None, &[])]
        });
        room.occupants.insert(nick.to_owned(), one);
        Ok(told.into_iter().flatten().collect())
    }

    /// Kicks or bans the account from a room (XEP-0045, sections 8.2 and 9.1).
    pub(super) fn put_us_out(
        &mut self,
        by: &FullJid,
        bans: bool,
        reason: Option<&str>,
        own: &FullJid,
    ) -> Result<Element, Impossible> {
        let (bare, actor) = (by.to_bare(), by.resource().as_str());
        let room = self.0.get_mut(&bare).filter(|room| room.ours.is_some());
        let not_in = || Impossible(format!("the plugin's account is not in {bare}, so nobody puts it out"));
        let room = room.ok_or_else(not_in)?;
        if !room.occupants.contains_key(actor) {
            return Err(Impossible(format!(
                "{actor} is not in {bare}; write `{}/{actor} enters` before",
                short(&bare)
            )));
        }
        let nick = room.ours.take().and_then(|nick| at(&bare, &nick)).ok_or_else(not_in)?;
        room.bans_us = bans;
        let mut us = room.us(&bare, own);
        if bans {
            OUTCAST.clone_into(&mut us.affiliation);
        }
        let codes: &[&str] = if bans { &["110", "301"] } else { &["110", "307"] };
        let explained = words::explained(Some(actor), reason);
        Ok(with_more(us.shown(&nick, Some("unavailable"), codes), explained, Vec::new()))
    }

    /// Removes the account from all rooms.
    pub(super) fn forget_us(&mut self) {
        for room in self.0.values_mut() {
            room.ours = None;
        }
    }

    /// Handles the account's presence to a room.
    pub(super) fn presence(&mut self, to: &Jid, presence: &Element, own: &FullJid) -> Vec<Element> {
        let Some(address) = to.try_as_full().ok().filter(|_| Self::are_at(to)) else { return Vec::new() };
        let (bare, nick) = (address.to_bare(), address.resource().as_str());
        let is_new = !self.0.contains_key(&bare);
        let room = self.0.entry(bare.clone()).or_default();
        if room.ours.is_none() {
            room.has_voice = false;
        }
        let ourselves = room.us(&bare, own);
        let us = |at: &FullJid, kind, codes: &[&str]| ourselves.shown(at, kind, codes);
        match presence.attr("type") {
            Some("unavailable") => match room.ours.take() {
                Some(nick) => at(&bare, &nick).iter().map(|at| us(at, Some("unavailable"), &["110"])).collect(),
                None => Vec::new(),
            },
            Some(_) => Vec::new(),
            // XEP-0045, section 7.2.7.
            None if room.bans_us => vec![words::presence(Some(to), Some("error"), vec![words::error("forbidden")])],
            // XEP-0045, sections 7.2.8 and 7.6.
            None if room.occupants.contains_key(nick) => {
                vec![words::presence(Some(to), Some("error"), vec![words::error("conflict")])]
            }
            None => {
                let old = room.ours.replace(nick.to_owned());
                if old.as_deref() == Some(nick) {
                    return vec![us(address, None, &["110"])];
                }
                if let Some(old) = old.and_then(|old| at(&bare, &old)) {
                    return vec![ourselves.renamed(&old, nick, &["110", "303"]), us(address, None, &["110"])];
                }
                let others = room.occupants.iter().filter_map(|(nick, one)| Some((at(&bare, nick)?, one)));
                let mut told: Vec<Element> = others.map(|(at, one)| one.shown(&at, None, &[])).collect();
                // The codes for a new room, and for a room that shows addresses to all (XEP-0045, sections 10.1.1 and
                // 7.2.3).
                let codes: &[&str] = match (is_new, room.hides_addresses()) {
                    (true, _) => &["100", "110", "201"],
                    (false, false) => &["100", "110"],
                    (false, true) => &["110"],
                };
                told.push(us(address, None, codes));
                told.push(subject(&bare.into(), &room.subject));
                told
            }
        }
    }

    /// Returns the account's address in a room.
    pub(super) fn us(&self, room: &BareJid) -> Option<FullJid> {
        at(room, self.0.get(room)?.ours.as_deref()?)
    }

    /// Returns the echo of the account's message in a room, with this id.
    pub(super) fn message(&mut self, message: &Message, number: Option<&str>, own: &FullJid) -> Vec<Element> {
        let Some(to) = message.to.as_ref().filter(|to| message.type_ == MessageType::Groupchat && Self::are_at(to))
        else {
            return Vec::new();
        };
        let Some(room) = self.0.get_mut(&to.to_bare()) else { return Vec::new() };
        let Some(from) = room.ours.as_deref().and_then(|nick| at(&to.to_bare(), nick)) else { return Vec::new() };
        let subject = message.subjects.values().next().filter(|_| message.bodies.is_empty());
        // The room's configuration permits a subject only to moderators (XEP-0045, section 8.1), and a visitor nothing.
        if room.our_rank().1 == VISITOR || (subject.is_some() && room.of_ours().is_err()) {
            let id = message.id.as_ref().map(|id| id.0.as_str());
            return vec![words::sent_back(&to.to_bare(), own, id, "forbidden")];
        }
        if let Some(new) = subject {
            room.subject.clone_from(new);
        }
        let mut echo = Message { from: Some(from.into()), to: Some(own.clone().into()), ..message.clone() };
        echo.payloads.extend(number.map(|number| numbered(&to.to_bare(), number)));
        echo.payloads.push(occupant_id(&room.id(&to.to_bare(), own)));
        vec![echo.into()]
    }

    /// Answers a get to a room. `archive` has the features of its archive, if it has one.
    pub(super) fn get(
        &self,
        to: &Jid,
        payload: &Element,
        own: &FullJid,
        archive: &[&'static str],
    ) -> Result<Option<Element>, &'static str> {
        let room = self.0.get(&to.to_bare());
        match payload.name() {
            "ping" => pinged(room, to),
            "query" if payload.has_ns(ns::DISCO_INFO) => {
                if to.resource().is_some() {
                    return Ok(Some(disco("client", "pc", &[])));
                }
                if let (Some(room), Some(OWN_ITEM)) = (room, payload.attr("node")) {
                    return Ok(Some(room.reserved()));
                }
                let more = match room.map(|room| room.kind) {
                    Some(RoomKind::Retracting) => Some(MODERATE),
                    Some(RoomKind::Moderated) => Some(MODERATED),
                    Some(RoomKind::Usual | RoomKind::Anonymous) | None => None,
                };
                let features: Vec<_> = archive.iter().copied().chain(more).collect();
                Ok(Some(disco("conference", "text", &features)))
            }
            "query" if payload.has_ns(ns::DISCO_ITEMS) => Ok(Some(query(ns::DISCO_ITEMS).build())),
            "query" if payload.has_ns(ns::REGISTER) => Ok(Some(room.ok_or("item-not-found")?.registration())),
            "query" if payload.has_ns(MUC_OWNER) => {
                let room = room.ok_or("item-not-found")?.of_ours()?;
                Ok(Some(query(MUC_OWNER).append(room.configuration.form()).build()))
            }
            "query" if payload.has_ns(MUC_ADMIN) => {
                let room = room.ok_or("item-not-found")?.of_ours()?;
                let wanted = payload.children().find_map(|item| item.attr("affiliation")).ok_or("bad-request")?;
                Ok(Some(room.affiliated(wanted, own)))
            }
            _ => Err("service-unavailable"),
        }
    }

    /// Returns the room if it exists.
    pub(super) fn known(&self, to: &Jid) -> Result<BareJid, &'static str> {
        let room = to.to_bare();
        if self.0.contains_key(&room) { Ok(room) } else { Err("item-not-found") }
    }
}

/// Answers a ping to a room or an occupant: nobody outside learns who is in (XEP-0410, section 3.3).
fn pinged(room: Option<&Room>, to: &Jid) -> Result<Option<Element>, &'static str> {
    let Some(nick) = to.resource() else { return Ok(None) };
    let room = room.filter(|room| room.ours.is_some()).ok_or("not-acceptable")?;
    let is_in = room.ours.as_deref() == Some(nick.as_str()) || room.occupants.contains_key(nick.as_str());
    if is_in { Ok(None) } else { Err("item-not-found") }
}

/// Returns a room's name without its service.
fn short(room: &BareJid) -> &str {
    room.node().map_or(room.as_str(), |node| node.as_str())
}
