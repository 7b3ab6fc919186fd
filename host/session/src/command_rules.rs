//! Rules for who may give a chat command, where and how often: groups of people, places, and the owner's decisions about
//! single commands.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jid::BareJid;
use parlor_base::nearest::{nearest, suggestion};
use parlor_base::quantity::show_duration;
use parlor_stanza::types::{MessageKind, address};

/// Maximum length of a cooldown.
pub const LONGEST_COOLDOWN: Duration = Duration::from_hours(24);
/// Maximum number of groups of people that one command is for.
pub const MOST_PEOPLE: usize = 16;
/// Maximum length of the name of a roster group, in bytes.
pub const LONGEST_GROUP: usize = 256;
/// The words of a text that names people, apart from JIDs.
const WORDS: [&str; 7] =
    ["contacts", "owners", "group:NAME", "domain:NAME", "role:NAME", "affiliation:NAME", "NAME@DOMAIN"];

/// A role in a room that makes a difference (XEP-0045, section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomRole {
    /// May speak.
    Participant,
    /// May kick.
    Moderator,
}

/// An affiliation with a room that makes a difference (XEP-0045, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomAffiliation {
    /// May enter rooms for members.
    Member,
    /// May ban.
    Admin,
    /// May do everything.
    Owner,
}

/// The error for a text that is not a role or affiliation that people can be selected by, or not a place of a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is none of {known}")]
pub struct NoRank {
    known: &'static str,
}

impl RoomRole {
    /// Returns whether someone with this role of a room has this role or a higher one.
    pub(crate) fn is_reached_by(self, role: &str) -> bool {
        match self {
            Self::Participant => matches!(role, "participant" | "moderator"),
            Self::Moderator => role == "moderator",
        }
    }

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Participant => "participant",
            Self::Moderator => "moderator",
        }
    }
}

impl RoomAffiliation {
    /// Returns whether someone with this affiliation with a room has this affiliation or a higher one.
    pub(crate) fn is_reached_by(self, affiliation: &str) -> bool {
        match self {
            Self::Member => matches!(affiliation, "member" | "admin" | "owner"),
            Self::Admin => matches!(affiliation, "admin" | "owner"),
            Self::Owner => affiliation == "owner",
        }
    }

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

impl FromStr for RoomRole {
    type Err = NoRank;

    fn from_str(text: &str) -> Result<Self, NoRank> {
        let all = [Self::Participant, Self::Moderator];
        all.into_iter().find(|one| one.as_str() == text).ok_or(NoRank { known: "participant, moderator" })
    }
}

impl FromStr for RoomAffiliation {
    type Err = NoRank;

    fn from_str(text: &str) -> Result<Self, NoRank> {
        let all = [Self::Member, Self::Admin, Self::Owner];
        all.into_iter().find(|one| one.as_str() == text).ok_or(NoRank { known: "member, admin, owner" })
    }
}

/// The only place in which a command may be given, as `place` of `declaration` in `wit/commands.wit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandPlace {
    /// A room, where everybody there reads it.
    Room,
    /// A chat, or private messages through a room.
    Private,
}

impl CommandPlace {
    /// Returns whether messages of this kind are in this place.
    pub(crate) fn has(self, kind: MessageKind) -> bool {
        (kind == MessageKind::Groupchat) == (self == Self::Room)
    }

    /// Returns the end of a sentence about a command.
    pub(crate) fn only(self) -> &'static str {
        match self {
            Self::Room => "only in a room, not in a private chat",
            Self::Private => "only in a private chat, not in a room",
        }
    }
}

impl FromStr for CommandPlace {
    type Err = NoRank;

    fn from_str(text: &str) -> Result<Self, NoRank> {
        match text {
            "room" => Ok(Self::Room),
            "private" => Ok(Self::Private),
            _ => Err(NoRank { known: "room, private" }),
        }
    }
}

/// A group of people, as `people` of `wit/commands.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum People {
    /// The contacts whose presence the account sees.
    Contacts,
    /// The contacts in this group of the roster.
    Group(String),
    /// This bare JID; if it is a domain, everybody there.
    Jid(BareJid),
    /// The occupants with this role in the room, or a higher one.
    Role(RoomRole),
    /// The occupants with this affiliation with the room, or a higher one.
    Affiliation(RoomAffiliation),
    /// The owners of the host.
    Owners,
}

/// The error for a text that names no people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPeople {
    /// It is of no known form.
    #[error("{text:?} names nobody{hint}; known are everybody, {known}", known = WORDS.join(", "))]
    Unknown {
        /// The text.
        text: String,
        /// The nearest known word, as a question.
        hint: String,
    },
    /// It names an impossible group.
    #[error("{text:?} names nobody: {reason}")]
    Unfit {
        /// The text.
        text: String,
        /// The problem.
        reason: String,
    },
}

impl FromStr for People {
    type Err = NoPeople;

    /// Parses a text of `plugins.toml`.
    fn from_str(text: &str) -> Result<Self, NoPeople> {
        let unfit = |reason: String| NoPeople::Unfit { text: text.to_owned(), reason };
        match text {
            "contacts" => return Ok(Self::Contacts),
            "owners" => return Ok(Self::Owners),
            _ => {}
        }
        match text.split_once(':') {
            Some(("group", name)) if name.is_empty() || name.len() > LONGEST_GROUP => {
                Err(unfit(format!("the name of a group has 1 to {LONGEST_GROUP} bytes")))
            }
            Some(("group", name)) => Ok(Self::Group(name.to_owned())),
            Some(("domain", name)) if name.contains('@') => {
                Err(unfit("this is no domain; leave out domain:".to_owned()))
            }
            Some(("domain", name)) => bare(name).map(Self::Jid).map_err(unfit),
            Some(("role", name)) => {
                name.parse().map(Self::Role).map_err(|error: NoRank| unfit(format!("the role {error}")))
            }
            Some(("affiliation", name)) => {
                name.parse().map(Self::Affiliation).map_err(|error: NoRank| unfit(format!("the affiliation {error}")))
            }
            _ if text.contains('@') => bare(text).map(Self::Jid).map_err(unfit),
            // A domain alone could as well be a word with a slip.
            _ => {
                let hint = suggestion(nearest(text, ["contacts", "owners", "everybody"]));
                Err(NoPeople::Unknown { text: text.to_owned(), hint })
            }
        }
    }
}

/// Parses a bare JID. The error is the reason why it is none.
fn bare(text: &str) -> Result<BareJid, String> {
    let jid = address(text).map_err(|error| error.to_string())?;
    if jid.is_full() { Err("leave out the resource, from / on".to_owned()) } else { Ok(jid.into_bare()) }
}

impl fmt::Display for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contacts => f.write_str("contacts"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Jid(jid) if jid.node().is_none() => write!(f, "domain:{jid}"),
            Self::Jid(jid) => write!(f, "{jid}"),
            Self::Role(role) => write!(f, "role:{}", role.as_str()),
            Self::Affiliation(affiliation) => write!(f, "affiliation:{}", affiliation.as_str()),
            Self::Owners => f.write_str("owners"),
        }
    }
}

/// The owner's decisions about one command, each of which overrides the author's. None: the author's applies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandRules {
    /// The people who may give it. Empty: everybody.
    pub allow: Option<Vec<People>>,
    /// The time after which the same person may give it again.
    pub person_cooldown: Option<Duration>,
    /// The time after which it may be given again in the same room.
    pub room_cooldown: Option<Duration>,
    /// Whether it is turned off.
    pub off: bool,
}

impl fmt::Display for CommandRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.off {
            return f.write_str("off");
        }
        let mut parts = Vec::new();
        if let Some(allow) = &self.allow {
            let all: Vec<_> = allow.iter().map(ToString::to_string).collect();
            parts.push(if all.is_empty() { "everybody".to_owned() } else { all.join(", ") });
        }
        for (time, whom) in [(self.person_cooldown, "person"), (self.room_cooldown, "room")] {
            parts.extend(time.map(|time| format!("once in {} for each {whom}", show_duration(time))));
        }
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_written_in_words_and_shown_as_they_are_written() {
        for text in [
            "contacts",
            "owners",
            "group:staff: night",
            "juliet@example.org",
            "domain:example.org",
            "role:moderator",
            "affiliation:admin",
        ] {
            assert_eq!(text.parse::<People>().map(|people| people.to_string()), Ok(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_slip_names_nobody_and_the_error_says_what_is_known() {
        let error = |text: &str| text.parse::<People>().unwrap_err().to_string();
        assert!(error("contact").contains("did you mean \"contacts\"?"), "{}", error("contact"));
        assert!(error("example.org").contains("domain:NAME"), "{}", error("example.org"));
        assert!(error("role:owner").ends_with("the role is none of participant, moderator"));
        assert!(error("affiliation:outcast").ends_with("the affiliation is none of member, admin, owner"));
        assert!(error("juliet@example.org/home").contains("leave out the resource"));
        assert!(error("domain:juliet@example.org").contains("leave out domain:"));
        for text in ["", "group:", "domain:", "@@", "role:", &format!("group:{}", "x".repeat(257))] {
            assert!(text.parse::<People>().is_err(), "{text:.20}");
        }
    }

    #[test]
    fn a_higher_role_or_affiliation_is_enough() {
        let roles = ["", "none", "visitor", "participant", "moderator"];
        assert_eq!(roles.map(|role| RoomRole::Participant.is_reached_by(role)), [false, false, false, true, true]);
        assert_eq!(roles.map(|role| RoomRole::Moderator.is_reached_by(role)), [false, false, false, false, true]);
        let affiliations = ["outcast", "none", "member", "admin", "owner"];
        let reach = |least: RoomAffiliation| affiliations.map(|affiliation| least.is_reached_by(affiliation));
        assert_eq!(reach(RoomAffiliation::Member), [false, false, true, true, true]);
        assert_eq!(reach(RoomAffiliation::Admin), [false, false, false, true, true]);
        assert_eq!(reach(RoomAffiliation::Owner), [false, false, false, false, true]);
    }

    #[test]
    fn a_place_is_a_room_or_private_and_nothing_else() {
        let kinds = [MessageKind::Groupchat, MessageKind::Chat, MessageKind::Normal];
        let has = |place: &str| kinds.map(|kind| place.parse::<CommandPlace>().unwrap().has(kind));
        assert_eq!((has("room"), has("private")), ([true, false, false], [false, true, true]));
        for text in ["", "Room", "rooms", "chat"] {
            let error = text.parse::<CommandPlace>().unwrap_err().to_string();
            assert_eq!(error, "is none of room, private", "{text}");
        }
    }

    #[test]
    fn rules_are_shown_in_words() {
        let rules = CommandRules {
            allow: Some(vec![People::Contacts, People::Owners]),
            room_cooldown: Some(Duration::from_secs(30)),
            ..CommandRules::default()
        };
        assert_eq!(rules.to_string(), "contacts, owners; once in 30 s for each room");
        assert_eq!(CommandRules { allow: Some(Vec::new()), ..CommandRules::default() }.to_string(), "everybody");
        assert_eq!(CommandRules { off: true, ..rules }.to_string(), "off");
    }
}
