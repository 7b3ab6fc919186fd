//! The person who gives a command: their identity, as far as the server or the room vouches for it, and their groups.

use jid::{BareJid, FullJid, Jid};
use parlor_base::id::PluginId;
use parlor_stanza::types::{Message, MessageKind};

use super::cooldowns::{Cooldowns, Tries};
use super::kinds::Named;
use crate::command_rules::People;
use crate::owners::Owners;
use crate::records::contact::Contact;
use crate::records::occupant::Occupant;
use crate::records::room::Room;
use crate::rooms::Rooms;
use crate::roster::Roster;
use crate::router::{Mailbox, OwnersPart};

/// The features that know people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) rooms: &'a Rooms,
    pub(crate) roster: &'a Roster,
    pub(crate) owners: &'a Owners,
}

/// The identity of a person, for cooldowns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// Someone at this address.
    Jid(BareJid),
    /// An occupant of this room, by the id that the room gives the person.
    Id(BareJid, String),
    /// An occupant of this room, by the nickname.
    Nick(BareJid, String),
}

/// The person who gives a command.
pub(super) struct Person<'a> {
    who: Who,
    /// The address. None: the room does not show it.
    jid: Option<BareJid>,
    /// The room in which, or over which, the person writes.
    room: Option<&'a Room>,
    occupant: Option<&'a Occupant>,
    /// Whether a plugin on an owner's account may have sent it.
    is_of_host: bool,
    around: Around<'a>,
}

impl<'a> Person<'a> {
    /// Returns the sender of a message.
    ///
    /// An occupant may also write through a room that is not open here. Then their identity is unknown: an occupant's
    /// address begins with that of the room, which is not a person's.
    pub(super) fn of(message: &Message, around: Around<'a>) -> Self {
        let bare = message.from.to_bare();
        let is_occupant = message.kind == MessageKind::Groupchat
            || message.of_occupant
            || message.chat.is_full()
            || around.rooms.has(&bare);
        if !is_occupant {
            let who = Who::Jid(bare.clone());
            let is_of_host = around.owners.is_client_of_host(&message.from);
            return Self { who, jid: Some(bare), room: None, occupant: None, is_of_host, around };
        }
        let nick = message.from.resource().map(ToString::to_string).unwrap_or_default();
        let room = around.rooms.shown.get(&bare).map(|room| &**room);
        let occupant = room.and_then(|room| room.occupants.get(nick.as_str())).map(|occupant| &**occupant);
        let jid = occupant.and_then(|occupant| occupant.jid.as_ref()).map(Jid::to_bare);
        let id =
            room.filter(|room| room.has_occupant_ids()).and(occupant).and_then(|occupant| occupant.occupant_id.clone());
        let who = match (&jid, id) {
            (Some(jid), _) => Who::Jid(jid.clone()),
            (None, Some(id)) => Who::Id(bare, id),
            // Only the message itself claims to be from a room. Anybody could write that to evade a cooldown.
            (None, None) if room.is_none() => Who::Jid(bare),
            (None, None) => Who::Nick(bare, nick),
        };
        Self { who, jid, room, occupant, is_of_host: false, around }
    }

    /// Returns the person at this client. The servers vouch for its address.
    pub(super) fn at(client: &FullJid, around: Around<'a>) -> Self {
        let (jid, is_of_host) = (client.to_bare(), around.owners.is_client_of_host(client));
        Self { who: Who::Jid(jid.clone()), jid: Some(jid), room: None, occupant: None, is_of_host, around }
    }

    /// Returns who it is, for cooldowns.
    pub(super) fn who(&self) -> &Who {
        &self.who
    }

    /// Returns the keys of the cooldowns of a command that the person gives with this message.
    pub(super) fn tries(&self, cooldowns: &Cooldowns, plugin: &PluginId, name: &str, message: &Message) -> Tries {
        let room = (message.kind == MessageKind::Groupchat).then(|| message.from.to_bare());
        cooldowns.tries(plugin, name, &self.who, room.as_ref())
    }

    /// Returns whether the person is in one of these groups, for a command of the plugin with this mailbox. None of them means
    /// everybody.
    pub(super) fn is_among(&self, groups: &[People], mailbox: &Mailbox) -> bool {
        groups.is_empty() || groups.iter().any(|people| self.is_one_of(people, mailbox))
    }

    fn is_one_of(&self, people: &People, mailbox: &Mailbox) -> bool {
        // A contact or a membership that a plugin made gives nobody a command: it would open the commands of other plugins.
        let entry = |is: &dyn Fn(&Contact) -> bool, is_owners: &dyn Fn(&OwnersPart) -> bool| {
            let contact = self.jid.as_ref().and_then(|jid| self.around.roster.entry(jid));
            contact.is_some_and(|contact| is(contact) && mailbox.is_owners(&contact.jid, is_owners))
        };
        match people {
            People::Contacts => entry(&Contact::is_seen, &|part| part.is_seen),
            People::Group(name) => entry(&|one| one.groups.contains(name), &|part| part.groups.contains(name)),
            People::Jid(wanted) => self.jid.as_ref().is_some_and(|jid| {
                if wanted.node().is_some() { jid == wanted } else { jid.domain() == wanted.domain() }
            }),
            People::Role(least) => self.occupant.is_some_and(|one| least.is_reached_by(&one.role)),
            People::Affiliation(least) => self.occupant.is_some_and(|one| least.is_reached_by(&one.affiliation)),
            // Only the servers vouch for an owner, never a room: anybody can run one that makes up its occupants.
            People::Owners => matches!(&self.who, Who::Jid(jid) if self.is_direct() && self.around.owners.has(jid)),
        }
    }

    /// Returns the address of a contact who is in none of these groups, and would be in one if what plugins made of it counted.
    pub(super) fn kept_out(&self, groups: &[People]) -> Option<&'a BareJid> {
        let contact = self.around.roster.entry(self.jid.as_ref()?)?;
        let would_be = |people: &People| match people {
            People::Contacts => contact.is_seen(),
            People::Group(name) => contact.groups.contains(name),
            _ => false,
        };
        groups.iter().any(would_be).then_some(&contact.jid)
    }

    /// Returns whether the person writes from their own address, and it was no plugin of this host.
    fn is_direct(&self) -> bool {
        self.room.is_none() && self.occupant.is_none() && self.jid.is_some() && !self.is_of_host
    }

    /// Returns whom a nickname means, in the room of the person.
    pub(super) fn named(&self, nick: &str) -> Named {
        let Some(room) = self.room else { return Named::Nobody };
        match room.occupants.get(nick) {
            None => Named::Absent,
            Some(occupant) => match &occupant.jid {
                Some(jid) => Named::At(Jid::from(jid.to_bare())),
                None => Named::Hidden,
            },
        }
    }
}
