//! The permissions that an owner can grant, by name. Scopes of grants and the needs of calls are defined elsewhere.

use std::fmt;
use std::str::FromStr;

use crate::nearest::{nearest, suggestion};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How much harm a malicious plugin can do with a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Risk {
    /// It learns or changes little that matters.
    Low,
    /// It reveals what people write or their contacts, or sends on the account's behalf.
    Medium,
    /// It can do whatever the account can, or disconnect it.
    High,
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

/// The kind of entries in the scope of a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScopeKind {
    /// No entries: the permission is granted or not.
    None,
    /// People, domains, contacts; rooms too, for permissions about messages.
    Jids,
    /// The same, each for all of its messages or for those that were encrypted.
    Messages,
    /// Rooms, and services of rooms.
    Rooms,
    /// Kinds of stanzas, optionally with recipients.
    Stanzas,
    /// An amount of data.
    Quota,
    /// Servers of the web, optionally with methods and paths.
    Servers,
    /// Files, by media type and size.
    Files,
    /// XML namespaces.
    Namespaces,
    /// Other plugins, by their ids.
    Plugins,
    /// Nodes of publish-subscribe services, each with its service.
    Nodes,
}

impl ScopeKind {
    /// Returns whether a grant lists what it covers. The other ones are there or not, or an amount.
    pub const fn is_list(self) -> bool {
        match self {
            Self::None | Self::Quota => false,
            Self::Jids
            | Self::Messages
            | Self::Rooms
            | Self::Stanzas
            | Self::Servers
            | Self::Files
            | Self::Namespaces
            | Self::Plugins
            | Self::Nodes => true,
        }
    }
}

/// The one list of permissions: it generates the enum, names, risks, scopes and descriptions, so that none is missing.
macro_rules! permissions {
    ($($variant:ident = $name:literal, $risk:ident, $scope:ident, $words:literal;)*) => {
        /// A permission that an owner can grant. `plugins.toml` and manifests use these names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Permission {
            $(#[doc = $words] $variant,)*
        }

        impl Permission {
            /// Every permission, ordered by name.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns its name, such as `messages.send`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Returns one sentence that tells an owner what a plugin does with it.
            pub fn describe(self) -> &'static str {
                match self { $(Self::$variant => $words),* }
            }

            /// Returns how much harm a plugin can do with it.
            pub fn risk(self) -> Risk {
                match self { $(Self::$variant => Risk::$risk),* }
            }

            /// Returns the kind of entries in its scope.
            pub fn scope_kind(self) -> ScopeKind {
                match self { $(Self::$variant => ScopeKind::$scope),* }
            }
        }
    };
}

permissions! {
    ArchiveRead = "archive.read", Medium, Messages, "Reads old messages from the server's archive.";
    ChatsRead = "chats.read", Low, None, "Sees which private chats are open.";
    ChatsWrite = "chats.write", Low, None, "Opens and closes private chats, and changes how they are shown.";
    ContactsRead = "contacts.read", Medium, None, "Sees the contact list, and who is online.";
    ContactsWrite = "contacts.write", Medium, None, "Adds, renames and removes contacts, answers their requests, and blocks people, whom nobody here hears any more. A contact that it adds may see when this account is online, and counts as a contact for the permissions of other plugins. It lets nobody give commands: contacts and members of groups that it makes do not count for `allow`.";
    DiscoOwn = "disco.own", Low, None, "Tells others what this account can do.";
    DiscoRead = "disco.read", Low, None, "Asks servers and people what they can do, how long they were idle, what time they have, and what they run.";
    FilesRead = "files.read", Low, None, "Fetches files that messages refer to which it is shown.";
    FilesSend = "files.send", Medium, Files, "Uploads files of these kinds and sizes to the account's server, for everybody who is given their address.";
    HooksCommands = "hooks.commands", Medium, Jids, "As a hook that you put in the order: sees and refuses commands that these people give to other plugins, also in these rooms, and answers those people in this account's name.";
    HooksIncoming = "hooks.incoming", Medium, Jids, "As a hook that you put in the order: sees what these people and rooms send before other plugins do, labels it, and hides it from them.";
    HooksOutgoing = "hooks.outgoing", Medium, Jids, "As a hook that you put in the order: sees, changes and stops what other plugins send to these people and rooms, in this account's name.";
    HttpFetch = "http.fetch", Medium, Servers, "Asks these servers over the web, and sends them what it likes, also of what it reads here.";
    IqAnswer = "iq.answer", Medium, Namespaces, "Answers what others ask this account in these XML namespaces, in its name, and lets everybody know that it does.";
    MessagesRead = "messages.read", Medium, Messages, "Reads messages as they come, encrypted ones too, as their authors wrote them; of a room that it may read also what occupants say to this account alone.";
    MessagesSend = "messages.send", Medium, Jids, "Sends private messages in this account's name, and hears what people answer to its questions.";
    PluginsAnswer = "plugins.answer", Low, Plugins, "Answers what these plugins ask it, by what it was granted itself.";
    PluginsCall = "plugins.call", Medium, Plugins, "Asks these plugins, and tells them what it likes, also of what it reads here; they answer by what they were granted.";
    PubsubConfigure = "pubsub.configure", Medium, Nodes, "Creates, configures, empties and deletes these nodes of publish-subscribe, in this account's name: who may read them, too.";
    PubsubPublish = "pubsub.publish", Medium, Nodes, "Publishes and retracts items in these nodes of publish-subscribe, in this account's name.";
    PubsubRead = "pubsub.read", Medium, Nodes, "Reads and subscribes to these nodes of publish-subscribe, and lets contacts know that the account wants to be told of them.";
    RoomsConfigure = "rooms.configure", Medium, Rooms, "Configures and destroys rooms.";
    RoomsJoin = "rooms.join", Low, Rooms, "Enters and leaves rooms, registers with them, and asks for voice in them.";
    RoomsModerate = "rooms.moderate", Medium, Rooms, "Invites, kicks and bans people, gives them rights, retracts what they said, and sets a room's subject.";
    RoomsRead = "rooms.read", Low, Rooms, "Sees rooms, who is in them, and invitations to them.";
    RoomsSend = "rooms.send", Medium, Rooms, "Speaks in rooms in this account's name, and hears what people answer to its questions.";
    SessionControl = "session.control", High, None, "Logs this account in and out, and disconnects it.";
    SettingsRead = "settings.read", Low, None, "Reads the host's settings, without its secrets.";
    SettingsWrite = "settings.write", Medium, None, "Changes those of the host's settings that are not the operator's alone: which rooms the account enters by itself, too.";
    StanzaRead = "stanza.read", High, Stanzas, "Reads raw stanzas, with all that they carry.";
    StanzaSend = "stanza.send", High, Stanzas, "Sends raw stanzas: whatever this account may do, it may do.";
    StatusRead = "status.read", Low, None, "Sees this account's own status.";
    StatusWrite = "status.write", Low, None, "Sets this account's own status.";
    Storage = "storage", Low, Quota, "Keeps data of its own on this machine.";
    TokensRead = "tokens.read", High, None, "Reads the tokens of a BOSH session, with which the session can be taken over.";
    VcardRead = "vcard.read", Low, Jids, "Fetches the visiting cards of people.";
    VcardWrite = "vcard.write", Medium, None, "Changes this account's own visiting card.";
    WebhooksReceive = "webhooks.receive", Medium, None, "Hears requests that others send it over the web, and may answer them with what it likes.";
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A permission that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown permission {name:?}{}", advice(*call, *nearest))]
pub struct UnknownPermission {
    /// The unknown name, truncated for display.
    pub name: String,
    /// The permission that was probably meant.
    pub nearest: Option<Permission>,
    /// The need of the call of that name, for authors who write a call in place of the permission. The code that knows the
    /// calls fills it in.
    pub call: Option<Need>,
}

/// The permissions that a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// No permission.
    Nothing,
    /// This one.
    One(Permission),
}

/// Returns the advice for the author at the end of the error.
fn advice(call: Option<Need>, nearest: Option<Permission>) -> String {
    match call {
        Some(Need::One(permission)) => format!("; the call of that name needs \"{permission}\""),
        Some(Need::Nothing) => "; the call of that name needs none".to_owned(),
        None if nearest.is_none() => "; docs/reference/permissions.md has them all".to_owned(),
        None => suggestion(nearest.map(Permission::as_str)),
    }
}

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(name: &str) -> Result<Self, UnknownPermission> {
        let find = |name: &str| Self::ALL.iter().copied().find(|permission| permission.as_str() == name);
        find(name).ok_or_else(|| UnknownPermission {
            name: name.chars().take(64).collect(),
            nearest: nearest(name, Self::ALL.iter().map(|permission| permission.as_str())).and_then(find),
            call: None,
        })
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_ordered_and_parse_back() {
        assert!(Permission::ALL.is_sorted_by(|a, b| a.as_str() < b.as_str() && a < b));
        for &permission in Permission::ALL {
            assert_eq!(permission.as_str().parse(), Ok(permission));
            let json = serde_json::to_string(&permission).unwrap();
            assert_eq!(serde_json::from_str::<Permission>(&json).unwrap(), permission);
            assert!(permission.describe().ends_with('.'), "{permission} is described by a sentence");
        }
    }

    #[test]
    fn what_hands_over_the_account_is_marked_high() {
        let high: Vec<_> = Permission::ALL.iter().filter(|permission| permission.risk() == Risk::High).collect();
        assert_eq!(
            high,
            [&Permission::SessionControl, &Permission::StanzaRead, &Permission::StanzaSend, &Permission::TokensRead]
        );
    }

    /// The consent names everything that an owner would not expect from the permission's name.
    #[test]
    fn the_consent_says_what_a_permission_covers_beyond_its_name() {
        for (permission, words) in [
            (Permission::MessagesRead, "also what occupants say to this account alone"),
            (Permission::MessagesRead, "encrypted ones too, as their authors wrote them"),
            (Permission::ContactsWrite, "blocks people, whom nobody here hears any more"),
            (Permission::RoomsModerate, "retracts what they said"),
            (Permission::ContactsWrite, "counts as a contact for the permissions of other plugins"),
            (Permission::SettingsWrite, "which rooms the account enters by itself, too"),
            (Permission::StanzaSend, "whatever this account may do, it may do"),
        ] {
            let said = permission.describe();
            assert!(said.contains(words), "{words:?} is not in {said:?}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_known() {
        let error = "message.send".parse::<Permission>().unwrap_err();
        assert_eq!(error.to_string(), "unknown permission \"message.send\", did you mean \"messages.send\"?");
        let error = "fly".parse::<Permission>().unwrap_err();
        assert_eq!(error.to_string(), "unknown permission \"fly\"; docs/reference/permissions.md has them all");
        assert!("Messages.Send".parse::<Permission>().is_err(), "names are matched exactly");
    }
}
