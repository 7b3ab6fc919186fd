//! The conditions of calls and events in addition to their permission.

/// The standing that an account needs in a room, so that the room does what it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// It is in the room.
    Occupant,
    /// Its role is moderator.
    Moderator,
    /// Its affiliation is admin or owner.
    Admin,
    /// Its affiliation is owner.
    Owner,
}

/// A condition of a call or an event in addition to its permission: the state of the account in which it works or
/// occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depends {
    /// No condition.
    Nothing,
    /// The permission of the event or promise that it names.
    Event,
    /// The setting: no plugin changes the operator's settings.
    Setting,
    /// The setting `expose_rid_and_sid`.
    Tokens,
    /// The archive of the account or of the room.
    Archive,
    /// The contact list, which must be known.
    Roster,
    /// The address, which may be added to the contact list.
    Addable,
    /// The address, which may not be the account's own.
    Blockable,
    /// The address, which must be in the contact list.
    Contact,
    /// The address, which must be in the contact list or ask to be.
    Listed,
    /// The address, which must be in the contact list and show its presence.
    Presence,
    /// The address, which must have asked to see the account's presence.
    Request,
    /// The address, whose request to see the account's presence is left to plugins.
    Requester,
    /// The address, which must be the account's own.
    OwnCard,
    /// The address, which may not be a room.
    Person,
    /// The address, with which a chat may be opened.
    NewChat,
    /// The chat, which must be open.
    OpenChat,
    /// The same, and the setting `allow_otr`.
    Otr,
    /// The setting `allow_muc`.
    Rooms,
    /// The room, which the account may enter.
    Enterable,
    /// The same, for some of the call's arguments.
    MayEnter,
    /// The room, which the account may be invited to.
    Invited,
    /// The room, which must be open.
    OpenRoom,
    /// The room, which the account must be in.
    InRoom,
    /// The same, and the setting `allow_muc`.
    Subject,
    /// The room, which may refuse it to an account of a lower standing.
    AskedOfRoom(Rank),
    /// The bookmarks, which must be known.
    Bookmarks,
    /// The room, which may get a bookmark.
    Bookmarkable,
    /// The room, which must have a bookmark that can be removed.
    Bookmark,
}
