//! An open room, as readers see it.

use std::sync::Arc;

use imbl::OrdMap;
use jid::{BareJid, Jid};
use parlor_stanza::types::{Actor, HATS, Message};

use super::occupant::Occupant;
use super::view::View;

/// Maximum length of an occupant id that is kept, in bytes (XEP-0421, section 3.1).
pub(crate) const MAX_OCCUPANT_ID: usize = 128;

/// A room. Fields as in `room` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Room {
    pub jid: BareJid,
    pub nick: String,
    pub joined: bool,
    pub subject: Option<String>,
    pub role: String,
    pub affiliation: String,
    /// How a front end should show it.
    pub view: View,
    pub left: Option<&'static str>,
    pub reason: Option<String>,
    pub alternative: Option<BareJid>,
    pub actor: Option<Actor>,
    /// The room's information; shared, since every change of a room copies the record.
    pub about: Arc<About>,
    pub shows_jids: bool,
    pub logged: bool,
    /// The number of this visit, counted over all rooms since the start of this process.
    pub entered: u64,
    /// Whether it has an archive whose ids its messages carry. None: not announced since it was entered.
    pub archived: Option<bool>,
    /// The occupants by nickname, including ourselves.
    pub occupants: OrdMap<String, Arc<Occupant>>,
    /// The size of the occupants in bytes.
    pub(crate) bytes: usize,
}

/// The information that a room announces about itself (XEP-0045, section 6.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The name of the room.
    pub name: Option<String>,
    /// The features and the configuration of the room.
    pub features: Vec<String>,
}

impl Room {
    /// Returns a room that was not entered yet.
    pub fn new(jid: BareJid, nick: String) -> Self {
        Self {
            jid,
            nick,
            joined: false,
            subject: None,
            role: "none".to_owned(),
            affiliation: "none".to_owned(),
            view: View::new(true),
            left: None,
            reason: None,
            alternative: None,
            actor: None,
            about: Arc::default(),
            shows_jids: false,
            logged: false,
            entered: 0,
            archived: None,
            occupants: OrdMap::new(),
            bytes: 0,
        }
    }

    /// Returns whether its occupant ids can be trusted: elsewhere anyone may write them (XEP-0421, section 5).
    pub fn has_occupant_ids(&self) -> bool {
        self.has("urn:xmpp:occupant-id:0")
    }

    /// Returns whether its hats can be trusted: elsewhere anyone may write them (XEP-0317).
    pub fn has_hats(&self) -> bool {
        self.has(HATS)
    }

    /// Returns whether the room has said what it is and can do.
    pub(crate) fn is_described(&self) -> bool {
        !self.about.features.is_empty()
    }

    /// Returns whether the room has said that it has this feature.
    pub(crate) fn has(&self, wanted: &str) -> bool {
        self.about.features.iter().any(|feature| feature == wanted)
    }

    /// Returns whether the room shows us the addresses of people.
    pub(crate) fn names_people(&self) -> bool {
        self.shows_jids || self.role == "moderator"
    }

    /// Returns whether only the room can have sent what came from this address of it. Under our own nickname nobody else can send to
    /// us, and `MongooseIM` sends refusals that way.
    pub(crate) fn is_itself(&self, from: &Jid) -> bool {
        from.resource().is_none_or(|nick| nick.as_str() == self.nick)
    }

    /// Returns whether a message to the room is ours, by its nickname. Somebody else may have had this nickname before us: the occupant id
    /// tells, if they are here under another one. A foreign id alone tells nothing, since ejabberd gives us another one when it restarts,
    /// and a plugin must not answer the account's own messages.
    pub(crate) fn is_ours(&self, message: &Message) -> bool {
        message.nick.as_deref() == Some(self.nick.as_str()) && !self.is_of_another(message)
    }

    fn is_of_another(&self, message: &Message) -> bool {
        let Some(id) = message.occupant_id.as_deref().filter(|_| self.has_occupant_ids()) else { return false };
        let has_it = |occupant: &Arc<Occupant>| occupant.occupant_id.as_deref() == Some(id);
        !self.occupants.get(&self.nick).is_some_and(has_it) && self.occupants.values().any(has_it)
    }

    pub(crate) fn empty(&mut self) {
        self.joined = false;
        self.archived = None;
        "none".clone_into(&mut self.role);
        self.occupants = OrdMap::new();
        self.bytes = 0;
    }
}

/// Removes the occupant ids in a message of this room, unless the room announces that only it writes such. None: the room is not
/// open, so nothing is known of it.
pub(crate) fn keep_trusted_ids(room: Option<&Room>, message: &mut Message) {
    let moderated = message.extensions.as_mut().and_then(|extensions| extensions.moderated.as_mut());
    let moderator = moderated.map(|moderated| &mut moderated.occupant_id);
    for id in std::iter::once(&mut message.occupant_id).chain(moderator) {
        id.take_if(|id| id.len() > MAX_OCCUPANT_ID || !room.is_some_and(Room::has_occupant_ids));
    }
}
