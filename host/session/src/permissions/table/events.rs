//! The rows of events: the permission that each one needs, its payload, and its condition.

use std::collections::HashMap;
use std::sync::LazyLock;

use parlor_base::permission::Permission::{
    self, ChatsRead, ContactsRead, DiscoRead, HooksCommands, HooksIncoming, HooksOutgoing, IqAnswer, MessagesRead,
    PluginsAnswer, PubsubRead, RoomsRead, StanzaRead, StatusRead, WebhooksReceive,
};

use super::depends::Depends;

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

impl EventRule {
    /// Returns its condition in addition to the permission.
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
        const LOCAL: [&str; 17] = [
            "connectionInitialized",
            "connfeedback",
            "dialog",
            "disconnected",
            "initialized",
            "lagged",
            "logout",
            "pluginsInitialized",
            "reconnecting",
            "request",
            "schedule",
            "settingsChanged",
            "statusChanged",
            "statusMessageChanged",
            "timer",
            "webhook",
            "will-reconnect",
        ];
        !LOCAL.contains(&self.name)
    }

    /// Adds the promise of the same name.
    const fn promised(self) -> Self {
        Self { promise: true, ..self }
    }
}

const fn open(name: &'static str, payload: &'static str) -> EventRule {
    EventRule { name, payload, permission: None, promise: false }
}

const fn shown(permission: Permission, name: &'static str, payload: &'static str) -> EventRule {
    EventRule { name, payload, permission: Some(permission), promise: false }
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
    // Delivered only to the plugin that asked.
    open("dialog", "none"),
    // Delivered only to the plugin that the schedule belongs to.
    open("schedule", "schedule"),
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
    // An encrypted message that the host cannot decrypt.
    shown(MessagesRead, "undecryptable", "undecryptable"),
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
    // Off-the-record messaging began or ended in it, or the other side's key was verified.
    shown(ChatsRead, "otrStatusChanged", "chat"),
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
    // A visitor asks its moderators for voice.
    shown(RoomsRead, "voiceRequest", "occupant"),
    shown(RoomsRead, "roomSubjectChanged", "room"),
    shown(RoomsRead, "roomLeft", "room"),
    // It was minimized, maximized, shown, or given the focus.
    shown(RoomsRead, "roomViewChanged", "room"),
    shown(DiscoRead, "serviceDiscovered", "feature"),
    shown(DiscoRead, "discoExtensionFieldDiscovered", "json"),
    shown(StanzaRead, "send", "stanza"),
    // Delivered only to the plugin that answers the namespace.
    shown(IqAnswer, "iq", "iq-request"),
    // Delivered only to the plugin that is asked.
    shown(PluginsAnswer, "request", "plugin-request"),
    // Delivered only to the plugins in the owner's order, one after the other.
    shown(HooksCommands, "hookCommand", "hook"),
    shown(HooksIncoming, "hookIncoming", "hook"),
    shown(HooksOutgoing, "hookOutgoing", "hook"),
    shown(PubsubRead, "pubsub-item", "pubsub-item"),
    // Delivered only to the plugin that the webhook belongs to.
    shown(WebhooksReceive, "webhook", "webhook"),
];

/// The condition of each event that is about a person, a chat or a room.
pub(super) const EVENTS_DEPEND: &[(&str, Depends)] = {
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
        ("otrStatusChanged", OpenChat),
        // Anybody could decline in the name of a room, so only open ones count.
        ("roomInviteDeclined", OpenRoom),
        ("roomInviteReceived", Invited),
        ("roomInviteSent", Rooms),
        ("roomLeft", InRoom),
        ("roomSubjectChanged", InRoom),
        ("roomViewChanged", OpenRoom),
        ("undecryptable", InRoom),
        // A card may be fetched from anybody.
        ("vcardUpdated", Nothing),
        ("voiceRequest", InRoom),
    ]
};

/// Returns the rule of an event; none = the host has no such event.
pub fn event(name: &str) -> Option<&'static EventRule> {
    static INDEX: LazyLock<HashMap<&str, &EventRule>> =
        LazyLock::new(|| EVENTS.iter().map(|rule| (rule.name, rule)).collect());
    INDEX.get(name).copied()
}
