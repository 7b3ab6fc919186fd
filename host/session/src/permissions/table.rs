//! The table of the permission that each call and each event needs. Admission, router, calls, docs and tests use it.
//!
//! It already has rows for groupings whose contract is not written yet, so that a plugin can request them by their
//! future names.

use std::collections::HashMap;
use std::sync::LazyLock;

use parlor_base::permission::Permission::{
    self, ArchiveRead, ChatsRead, ChatsWrite, ContactsRead, ContactsWrite, DiscoOwn, DiscoRead, MessagesRead,
    MessagesSend, RoomsConfigure, RoomsJoin, RoomsModerate, RoomsRead, RoomsSend, SessionControl, SettingsRead,
    SettingsWrite, StanzaRead, StanzaSend, StatusRead, StatusWrite, Storage, TokensRead, VcardRead, VcardWrite,
};
use parlor_base::permission::{Need, UnknownPermission};

use super::call_name::CallName;

/// A call, with the permission that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: CallName,
    /// The grouping, named after the interface in `wit/`.
    pub grouping: &'static str,
    /// The function, as in `wit/`.
    pub function: &'static str,
    /// The permission that it needs; none = it is free.
    pub permission: Option<Permission>,
    /// Whether it works only while the account is connected. The host's own knowledge can be read at any time.
    pub needs_connection: bool,
    /// Its condition besides the permission and the connection.
    pub depends: Depends,
}

/// An event of the host, with the permission that it needs and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRule {
    /// Its name, which no plugin may fire.
    pub name: &'static str,
    /// The case of `payload` in `wit/types.wit` that it carries.
    pub payload: &'static str,
    /// The permission that it needs; none = it is free.
    pub permission: Option<Permission>,
    /// Whether there is a promise of the same name.
    pub promise: bool,
}

/// A row of which the conditions are still to be stated.
struct Row {
    name: CallName,
    permission: Option<Permission>,
}

impl Row {
    /// States that the call works without a connection, and its further condition.
    const fn local(self, depends: Depends) -> Call {
        self.call(false, depends)
    }

    /// States that the call works only while the account is connected, and its further condition.
    const fn online(self, depends: Depends) -> Call {
        self.call(true, depends)
    }

    /// Makes it a row of [`BESIDES`], whose call states its conditions in [`CALLS`].
    const fn besides(self) -> Call {
        self.call(false, Depends::Nothing)
    }

    const fn call(self, needs_connection: bool, depends: Depends) -> Call {
        let Self { name, permission } = self;
        Call { name, grouping: name.grouping(), function: name.function(), permission, needs_connection, depends }
    }
}

const fn free(name: CallName) -> Row {
    Row { name, permission: None }
}

const fn needs(permission: Permission, name: CallName) -> Row {
    Row { name, permission: Some(permission) }
}

/// Every call of the contract, in the order of [`CallName`].
pub const CALLS: &[Call] = {
    use Depends::{
        Addable, Archive, AskedOfRoom, Bookmark, Bookmarkable, Bookmarks, Contact, Enterable, Event, InRoom, MayEnter,
        NewChat, Nothing, OpenChat, OpenRoom, OwnCard, Person, Request, Rooms, Roster, Setting, Subject, Tokens,
        Unsupported,
    };
    &[
        free(CallName::ApiEmit).local(Nothing),
        needs(StanzaSend, CallName::ApiSend).online(Nothing),
        needs(StanzaSend, CallName::ApiSendIq).online(Nothing),
        // A promise needs the permission of the event with its name.
        free(CallName::ApiWaitUntil).local(Event),
        needs(ArchiveRead, CallName::ArchiveQuery).online(Archive),
        needs(ArchiveRead, CallName::ArchiveQueryAll).online(Archive),
        // These two only compute a query, which is sent with `query`.
        free(CallName::ArchiveNext).local(Nothing),
        free(CallName::ArchivePrevious).local(Nothing),
        needs(ChatsRead, CallName::ChatsGet).local(Nothing),
        needs(ChatsRead, CallName::ChatsGetMany).local(Nothing),
        needs(ChatsRead, CallName::ChatsGetAll).local(Nothing),
        needs(ChatsWrite, CallName::ChatsOpen).online(NewChat),
        needs(ChatsWrite, CallName::ChatsOpenMany).online(NewChat),
        needs(ChatsWrite, CallName::ChatsClose).local(OpenChat),
        needs(ChatsWrite, CallName::ChatsCloseMany).local(OpenChat),
        needs(ChatsWrite, CallName::ChatsFocus).local(OpenChat),
        needs(ChatsWrite, CallName::ChatsShow).local(OpenChat),
        needs(ChatsWrite, CallName::ChatsMaximize).local(OpenChat),
        needs(ChatsWrite, CallName::ChatsMinimize).local(OpenChat),
        needs(ChatsRead, CallName::ChatsGetAttribute).local(OpenChat),
        needs(ChatsWrite, CallName::ChatsSetAttribute).local(OpenChat),
        // Unsupported for every plugin.
        free(CallName::ChatsInitiateOtr).local(Unsupported),
        free(CallName::ChatsEndOtr).local(Unsupported),
        needs(MessagesSend, CallName::ChatsSend).online(Person),
        needs(ChatsRead, CallName::ChatviewsGet).local(Nothing),
        needs(ChatsRead, CallName::ChatviewsGetMany).local(Nothing),
        free(CallName::CommandsAdd).local(Nothing),
        free(CallName::CommandsRemove).local(Nothing),
        free(CallName::ConnectionConnected).local(Nothing),
        needs(SessionControl, CallName::ConnectionDisconnect).local(Nothing),
        needs(ContactsRead, CallName::ContactsGet).local(Roster),
        needs(ContactsRead, CallName::ContactsGetMany).local(Roster),
        needs(ContactsRead, CallName::ContactsGetAll).local(Roster),
        needs(ContactsWrite, CallName::ContactsAdd).online(Addable),
        needs(ContactsWrite, CallName::ContactsRemove).online(Contact),
        needs(ContactsWrite, CallName::ContactsRename).online(Contact),
        needs(ContactsWrite, CallName::ContactsSetGroups).online(Contact),
        needs(ContactsWrite, CallName::ContactsAccept).online(Request),
        needs(ContactsWrite, CallName::ContactsDeny).online(Request),
        needs(DiscoOwn, CallName::DiscoOwnFeaturesAdd).local(Nothing),
        needs(DiscoOwn, CallName::DiscoOwnFeaturesGet).local(Nothing),
        needs(DiscoOwn, CallName::DiscoOwnIdentitiesAdd).local(Nothing),
        needs(DiscoOwn, CallName::DiscoOwnIdentitiesGet).local(Nothing),
        needs(DiscoOwn, CallName::DiscoOwnIdentitiesClear).local(Nothing),
        needs(DiscoRead, CallName::DiscoGetIdentity).online(Nothing),
        needs(DiscoRead, CallName::DiscoSupports).online(Nothing),
        // Subscribing is free; an event that needs a grant has its own row below.
        free(CallName::ListenOn).local(Event),
        free(CallName::ListenOnce).local(Event),
        free(CallName::ListenNot).local(Nothing),
        free(CallName::LogWrite).local(Nothing),
        free(CallName::PromisesAdd).local(Nothing),
        free(CallName::PromisesAddAll).local(Nothing),
        free(CallName::PromisesReject).local(Nothing),
        needs(RoomsRead, CallName::RoomsGet).local(Nothing),
        needs(RoomsRead, CallName::RoomsGetMany).local(Nothing),
        needs(RoomsRead, CallName::RoomsGetAll).local(Nothing),
        // To enter a room, `get-or-create` needs `rooms.join` as well.
        needs(RoomsRead, CallName::RoomsGetOrCreate).online(MayEnter),
        // With fields for a room that it creates, `open` needs `rooms.configure` as well.
        needs(RoomsJoin, CallName::RoomsOpen).online(Enterable),
        needs(RoomsJoin, CallName::RoomsOpenMany).online(Enterable),
        needs(RoomsJoin, CallName::RoomsClose).online(OpenRoom),
        needs(RoomsJoin, CallName::RoomsCloseMany).online(OpenRoom),
        needs(RoomsSend, CallName::RoomsSend).online(InRoom),
        needs(RoomsRead, CallName::RoomsOccupants).local(OpenRoom),
        needs(RoomsJoin, CallName::RoomsFocus).local(OpenRoom),
        needs(RoomsJoin, CallName::RoomsShow).local(OpenRoom),
        needs(RoomsJoin, CallName::RoomsMaximize).local(OpenRoom),
        needs(RoomsJoin, CallName::RoomsMinimize).local(OpenRoom),
        needs(RoomsRead, CallName::RoomsGetAttribute).local(OpenRoom),
        needs(RoomsJoin, CallName::RoomsSetAttribute).local(OpenRoom),
        needs(RoomsModerate, CallName::RoomsSetSubject).online(Subject),
        needs(RoomsModerate, CallName::RoomsSetRole).online(AskedOfRoom(Rank::Moderator)),
        needs(RoomsModerate, CallName::RoomsSetAffiliation).online(AskedOfRoom(Rank::Admin)),
        needs(RoomsModerate, CallName::RoomsAffiliations).online(AskedOfRoom(Rank::Admin)),
        needs(RoomsModerate, CallName::RoomsKick).online(AskedOfRoom(Rank::Moderator)),
        needs(RoomsModerate, CallName::RoomsBan).online(AskedOfRoom(Rank::Admin)),
        needs(RoomsModerate, CallName::RoomsInvite).online(AskedOfRoom(Rank::Occupant)),
        needs(RoomsJoin, CallName::RoomsDecline).online(Rooms),
        needs(RoomsConfigure, CallName::RoomsConfigure).online(AskedOfRoom(Rank::Owner)),
        needs(RoomsConfigure, CallName::RoomsDestroy).online(AskedOfRoom(Rank::Owner)),
        needs(RoomsRead, CallName::RoomsBookmarks).local(Bookmarks),
        needs(RoomsJoin, CallName::RoomsSetBookmark).online(Bookmarkable),
        needs(RoomsJoin, CallName::RoomsRemoveBookmark).online(Bookmark),
        // A plugin's own settings are free; the host's settings need `settings.read` and `settings.write`, by key.
        free(CallName::SettingsGet).local(Nothing),
        free(CallName::SettingsSet).local(Setting),
        free(CallName::SettingsSetMany).local(Setting),
        free(CallName::SettingsUpdate).local(Setting),
        needs(Storage, CallName::StorageGet).local(Nothing),
        needs(Storage, CallName::StorageSet).local(Nothing),
        needs(Storage, CallName::StorageDelete).local(Nothing),
        needs(Storage, CallName::StorageList).local(Nothing),
        needs(Storage, CallName::StorageEntries).local(Nothing),
        needs(Storage, CallName::StorageCompareAndSet).local(Nothing),
        free(CallName::TimersSleep).local(Nothing),
        free(CallName::TimersAfter).local(Nothing),
        free(CallName::TimersEvery).local(Nothing),
        free(CallName::TimersCancel).local(Nothing),
        needs(TokensRead, CallName::TokensGet).local(Tokens),
        free(CallName::UserJid).local(Nothing),
        free(CallName::UserBareJid).local(Nothing),
        needs(StatusRead, CallName::UserGetStatus).local(Nothing),
        needs(StatusWrite, CallName::UserSetStatus).online(Nothing),
        needs(StatusWrite, CallName::UserSetStatusMessage).online(Nothing),
        needs(SessionControl, CallName::UserLogin).local(Nothing),
        needs(SessionControl, CallName::UserLogout).local(Nothing),
        needs(VcardRead, CallName::VcardGet).online(Nothing),
        needs(VcardWrite, CallName::VcardSet).online(OwnCard),
        needs(VcardRead, CallName::VcardUpdate).online(Nothing),
    ]
};

// A row at another place would be the rule of another call.
const _: () = {
    let mut at = 0;
    while at < CALLS.len() {
        assert!(CALLS[at].name as usize == at, "the rows have the order of CallName");
        at += 1;
    }
    assert!(CALLS.len() == CallName::COUNT, "each call has a row");
};

impl CallName {
    /// Returns its rule.
    pub fn rule(self) -> &'static Call {
        &CALLS[self as usize]
    }
}

/// The additional permissions of calls: for some of their arguments, or for a fuller result.
pub const BESIDES: &[Call] = &[
    // The stanzas themselves, with `xml`.
    needs(StanzaRead, CallName::ArchiveQuery).besides(),
    needs(StanzaRead, CallName::ArchiveQueryAll).besides(),
    // The help lists a command only in chats and rooms where its plugin may send.
    needs(MessagesSend, CallName::CommandsAdd).besides(),
    needs(RoomsSend, CallName::CommandsAdd).besides(),
    // Messages with their stanzas, with `xml`.
    needs(StanzaRead, CallName::ListenOn).besides(),
    needs(StanzaRead, CallName::ListenOnce).besides(),
    // The password of a bookmarked room.
    needs(RoomsJoin, CallName::RoomsBookmarks).besides(),
    needs(RoomsJoin, CallName::RoomsGetOrCreate).besides(),
    needs(RoomsConfigure, CallName::RoomsGetOrCreate).besides(),
    needs(RoomsConfigure, CallName::RoomsOpen).besides(),
    needs(RoomsConfigure, CallName::RoomsOpenMany).besides(),
    needs(SettingsRead, CallName::SettingsGet).besides(),
    needs(SettingsWrite, CallName::SettingsSet).besides(),
    needs(SettingsWrite, CallName::SettingsSetMany).besides(),
    needs(SettingsWrite, CallName::SettingsUpdate).besides(),
];

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

/// A condition of a call or an event besides its permission: the state of the account in which it works or occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depends {
    /// No condition.
    Nothing,
    /// The host answers every plugin that it is unsupported.
    Unsupported,
    /// The permission of the event or promise that it names.
    Event,
    /// The setting: no plugin changes the operator's settings.
    Setting,
    /// The setting `expose_rid_and_sid`.
    Tokens,
    /// The archive of the account or of the room.
    Archive,
    /// The contact list, which has to be known.
    Roster,
    /// The address, which may be added to the contact list.
    Addable,
    /// The address, which has to be in the contact list.
    Contact,
    /// The address, which has to be in the contact list or ask to be.
    Listed,
    /// The address, which has to be in the contact list and show its presence.
    Presence,
    /// The address, which has to have asked to see the account's presence.
    Request,
    /// The address, whose request to see the account's presence is left to plugins.
    Requester,
    /// The address, which has to be the account's own.
    OwnCard,
    /// The address, which may not be a room.
    Person,
    /// The address, with which a chat may be opened.
    NewChat,
    /// The chat, which has to be open.
    OpenChat,
    /// The setting `allow_muc`.
    Rooms,
    /// The room, which the account may enter.
    Enterable,
    /// The same, for some of the call's arguments.
    MayEnter,
    /// The room, which the account may be invited to.
    Invited,
    /// The room, which has to be open.
    OpenRoom,
    /// The room, which the account has to be in.
    InRoom,
    /// The same, and the setting `allow_muc`.
    Subject,
    /// The room, which may refuse it to an account of a lower standing.
    AskedOfRoom(Rank),
    /// The bookmarks, which have to be known.
    Bookmarks,
    /// The room, which may get a bookmark.
    Bookmarkable,
    /// The room, which has to have a bookmark that can be removed.
    Bookmark,
}

/// The condition of each event that is about a person, a chat or a room.
const EVENTS_DEPEND: &[(&str, Depends)] = {
    use Depends::{InRoom, Invited, Listed, NewChat, Nothing, OpenChat, OpenRoom, Presence, Requester, Rooms};
    &[
        ("affiliationChanged", InRoom),
        ("chatBoxChanged", OpenChat),
        ("chatBoxClosed", OpenChat),
        ("chatBoxFocused", OpenChat),
        ("chatBoxInitialized", NewChat),
        ("chatBoxMaximized", OpenChat),
        ("chatBoxMinimized", OpenChat),
        ("chatBoxOpened", NewChat),
        ("chatBoxToggled", OpenChat),
        // These two occur while the account enters.
        ("chatRoomOpened", Rooms),
        ("configurationNeeded", Rooms),
        // Like every message to the whole room, it is dropped unless the account is in the room.
        ("command", InRoom),
        ("contactPresenceChanged", Presence),
        // Somebody who only asks may be removed, too.
        ("contactRemoved", Listed),
        ("contactRequest", Requester),
        ("contactStatusChanged", Presence),
        ("contactStatusMessageChanged", Presence),
        ("message", InRoom),
        ("messageAdded", InRoom),
        // A room answers with an error if an account that is not in it sends something.
        ("messageError", Nothing),
        ("messageNotification", InRoom),
        ("messageSend", Nothing),
        ("occupantChanged", InRoom),
        ("occupantJoined", InRoom),
        ("occupantLeft", InRoom),
        // Anybody could decline in the name of a room, so only open ones count.
        ("roomInviteDeclined", OpenRoom),
        ("roomInviteReceived", Invited),
        ("roomInviteSent", Rooms),
        ("roomLeft", InRoom),
        ("roomSubjectChanged", InRoom),
        ("roomViewChanged", OpenRoom),
        // A card may be fetched from anybody.
        ("vcardUpdated", Nothing),
    ]
};

impl EventRule {
    /// Returns its condition besides the permission.
    pub fn depends(&self) -> Depends {
        let found = EVENTS_DEPEND.iter().find(|(name, _)| *name == self.name);
        found.map_or(Depends::Nothing, |(_, depends)| *depends)
    }

    /// Returns whether it is always about a room.
    pub fn is_of_a_room(&self) -> bool {
        matches!(self.payload, "room" | "occupant" | "invite")
    }

    /// Returns whether it occurs only while the account is connected.
    pub fn needs_connection(&self) -> bool {
        const LOCAL: [&str; 13] = [
            "connectionInitialized",
            "connfeedback",
            "disconnected",
            "initialized",
            "lagged",
            "logout",
            "pluginsInitialized",
            "reconnecting",
            "settingsChanged",
            "statusChanged",
            "statusMessageChanged",
            "timer",
            "will-reconnect",
        ];
        !LOCAL.contains(&self.name)
    }
}

const fn open(name: &'static str, payload: &'static str) -> EventRule {
    EventRule { name, payload, permission: None, promise: false }
}

const fn shown(permission: Permission, name: &'static str, payload: &'static str) -> EventRule {
    EventRule { name, payload, permission: Some(permission), promise: false }
}

impl EventRule {
    /// Adds the promise of the same name.
    const fn promised(self) -> Self {
        Self { promise: true, ..self }
    }
}

/// Every event of the host. No plugin may fire one of these names.
pub const EVENTS: &[EventRule] = &[
    open("connectionInitialized", "none").promised(),
    open("connected", "none").promised(),
    open("reconnected", "none"),
    open("will-reconnect", "none"),
    open("reconnecting", "none"),
    open("disconnected", "none"),
    open("logout", "none"),
    open("initialized", "none").promised(),
    open("pluginsInitialized", "none").promised(),
    open("statusInitialized", "none").promised(),
    open("connfeedback", "status"),
    open("discoInitialized", "none").promised(),
    open("lagged", "json"),
    // These three are delivered only to the plugin that owns the setting, command or timer.
    open("settingsChanged", "json"),
    open("command", "command"),
    open("timer", "none"),
    shown(StatusRead, "statusChanged", "status"),
    shown(StatusRead, "statusMessageChanged", "status"),
    shown(ContactsRead, "roster", "none").promised(),
    shown(ContactsRead, "cachedRoster", "none").promised(),
    shown(ContactsRead, "rosterInitialized", "none").promised(),
    shown(ContactsRead, "rosterGroupsFetched", "none").promised(),
    shown(ContactsRead, "rosterContactsFetched", "none").promised(),
    shown(ContactsRead, "rosterPush", "stanza"),
    shown(ContactsRead, "contactRequest", "contact"),
    shown(ContactsRead, "contactRemoved", "contact"),
    shown(ContactsRead, "contactPresenceChanged", "contact"),
    shown(ContactsRead, "contactStatusChanged", "contact"),
    shown(ContactsRead, "contactStatusMessageChanged", "contact"),
    shown(ContactsRead, "vcardUpdated", "contact"),
    shown(MessagesRead, "message", "message"),
    shown(MessagesRead, "messageAdded", "message"),
    shown(MessagesRead, "messageSend", "message"),
    shown(MessagesRead, "messageNotification", "message"),
    shown(MessagesRead, "messageError", "message"),
    shown(ChatsRead, "chatBoxesInitialized", "none").promised(),
    shown(ChatsRead, "chatBoxesFetched", "none").promised(),
    shown(ChatsRead, "chatBoxInitialized", "chat"),
    shown(ChatsRead, "chatBoxOpened", "chat"),
    shown(ChatsRead, "chatBoxClosed", "chat"),
    shown(ChatsRead, "chatBoxFocused", "chat"),
    shown(ChatsRead, "chatBoxMinimized", "chat"),
    shown(ChatsRead, "chatBoxMaximized", "chat"),
    shown(ChatsRead, "chatBoxToggled", "chat"),
    // Its name changed, or the other side's card.
    shown(ChatsRead, "chatBoxChanged", "chat"),
    shown(ChatsRead, "privateChatsAutoJoined", "none").promised(),
    shown(RoomsRead, "chatRoomOpened", "room"),
    shown(RoomsRead, "roomInviteSent", "invite"),
    shown(RoomsRead, "roomInviteReceived", "invite"),
    shown(RoomsRead, "roomInviteDeclined", "invite"),
    shown(RoomsRead, "roomsAutoJoined", "none").promised(),
    shown(RoomsRead, "roomsPanelRendered", "none").promised(),
    shown(RoomsRead, "bookmarksInitialized", "none").promised(),
    shown(RoomsRead, "configurationNeeded", "room"),
    shown(RoomsRead, "occupantJoined", "occupant"),
    shown(RoomsRead, "occupantLeft", "occupant"),
    shown(RoomsRead, "occupantChanged", "occupant"),
    // The affiliation of somebody who is not in the room.
    shown(RoomsRead, "affiliationChanged", "occupant"),
    shown(RoomsRead, "roomSubjectChanged", "room"),
    shown(RoomsRead, "roomLeft", "room"),
    // It was minimized, maximized, shown, or given the focus.
    shown(RoomsRead, "roomViewChanged", "room"),
    shown(DiscoRead, "serviceDiscovered", "feature"),
    shown(DiscoRead, "discoExtensionFieldDiscovered", "json"),
    shown(StanzaRead, "send", "stanza"),
];

/// Returns the row of a call; none = there is no such call.
pub fn call(grouping: &str, function: &str) -> Option<&'static Call> {
    static INDEX: LazyLock<HashMap<(&str, &str), &Call>> =
        LazyLock::new(|| CALLS.iter().map(|call| ((call.grouping, call.function), call)).collect());
    INDEX.get(&(grouping, function)).copied()
}

/// Parses the name of a permission. If it is the name of a call, the error says what that call needs.
pub fn permission(name: &str) -> Result<Permission, UnknownPermission> {
    // Most languages spell the contract's `set-subject` in their own way.
    let called = || name.split_once('.').and_then(|(grouping, function)| call(grouping, &function.replace('_', "-")));
    name.parse().map_err(|unknown| UnknownPermission {
        call: called().map(|call| call.permission.map_or(Need::Nothing, Need::One)),
        ..unknown
    })
}

/// Returns the rule of an event; none = the host has no such event.
pub fn event(name: &str) -> Option<&'static EventRule> {
    static INDEX: LazyLock<HashMap<&str, &EventRule>> =
        LazyLock::new(|| EVENTS.iter().map(|rule| (rule.name, rule)).collect());
    INDEX.get(name).copied()
}

#[cfg(test)]
mod tests;
