//! The JSON types about rooms and people.

use serde::{Deserialize, Serialize};

/// A room that an account is in, was in, or wants to be in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// The account.
    pub account: String,
    /// The node of a cluster that has that account; none if the host is no node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The address of the room.
    pub room: String,
    /// The state: `joined`, `joining`, `waiting` (it enters again automatically) or `out`.
    pub state: String,
    /// The state of the account's connection, while it is not `connected`: the rest is as it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Whether the account enters it at each log-in: a bookmark or the setting `auto_join_rooms` says so.
    pub kept: bool,
    /// The account's nickname there; only while the room is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nick: Option<String>,
    /// The account's role there; only while it is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The account's affiliation; only while it is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affiliation: Option<String>,
    /// How many occupants there are, the account included; only while it is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occupants: Option<u64>,
    /// When it entered, RFC 3339; only while it is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When it enters again, RFC 3339; only if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Its last departure, also while it is in it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
    /// The remedy for the owner; only while the account is out of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The plugins that may do something there; only if rooms were queried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<RoomPlugin>,
}

impl Room {
    /// Returns whether the account is out of it without having left.
    pub fn is_lost(&self) -> bool {
        self.state == "out" && self.left.as_ref().is_some_and(|left| left.why != "left")
    }

    /// Returns the state of its account's connection, if the account was in it when that was lost.
    pub fn lost_connection(&self) -> Option<&str> {
        self.connection.as_deref().filter(|_| self.state == "joined")
    }

    /// Returns a clause about a room of an account that was in it when its connection was lost.
    pub fn was_in(&self) -> Option<String> {
        let connection = self.lost_connection()?;
        let Self { account, room, .. } = self;
        Some(format!(
            "account {account} is {connection}: it was in the room {room}, and enters it when it is connected"
        ))
    }

    /// Returns a clause about why the account left it, if it did.
    pub fn why(&self) -> Option<String> {
        let left = self.left.as_ref()?;
        let by = left.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let reason = left.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        Some(format!("{}{by}{reason}", left.why))
    }
}

/// A departure from a room, or an attempt to enter that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// When that was, RFC 3339.
    pub at: String,
    /// Why: `left`, `kicked`, `banned`, `affiliation`, `members-only`, `destroyed`, `shutdown`, `error`, `nickname-taken`, `password` or `refused`.
    pub why: String,
    /// The reason that was stated, or the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The actor, if the room names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The room to go to instead, if this one was destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

/// A plugin that may do something in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomPlugin {
    /// The plugin.
    pub plugin: String,
    /// The permissions that cover the room.
    pub may: Vec<String>,
}

/// The contacts of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    /// The account.
    pub account: String,
    /// The node of a cluster that has that account; none if the host is no node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Whether the roster has come from the server.
    pub known: bool,
    /// The contacts, ordered by address, and people who ask to see the account's presence.
    pub contacts: Vec<Person>,
}

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The address.
    pub jid: String,
    /// The name in the roster, or the address.
    pub name: String,
    /// `both`, `to`, `from` or `none`.
    pub subscription: String,
    /// `online`, `offline`, `busy`, `away` or `xa`; `unknown` if the account may not see it.
    pub status: String,
    /// Whether it has an unanswered request to see the account's presence.
    pub asks: bool,
    /// The groups in the roster.
    pub groups: Vec<String>,
    /// The plugins that added or changed it. What they made of it lets nobody give a command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<String>,
}

impl Person {
    /// The status of a person who does not let the account see it.
    pub const UNKNOWN: &'static str = "unknown";
    /// Every status.
    pub const STATUSES: [&'static str; 6] = ["online", "away", "xa", "busy", "offline", Self::UNKNOWN];
}

/// A message that was sent for the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The account that sent it.
    pub account: String,
    /// The recipient.
    pub to: String,
    /// The id of the message.
    pub id: String,
    /// Whether it waits until the account is connected again.
    #[serde(default)]
    pub queued: bool,
}
