//! Who may do and see what. Pure: no I/O, no async, no WIT and no stanza types.

use std::fmt;

/// What an owner can grant. The names are those of `plugins.toml` and of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "described in one place, `Permission::describe`")]
pub enum Permission {
    ArchiveRead,
    ChatsRead,
    ChatsWrite,
    ContactsRead,
    ContactsWrite,
    DiscoOwn,
    DiscoRead,
    MessagesRead,
    MessagesSend,
    RoomsConfigure,
    RoomsJoin,
    RoomsModerate,
    RoomsRead,
    RoomsSend,
    SessionControl,
    SettingsRead,
    SettingsWrite,
    StanzaRead,
    StanzaSend,
    StatusRead,
    StatusWrite,
    Storage,
    TokensRead,
    VcardRead,
    VcardWrite,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stub")
    }
}
