//! The names of the host's events, and which of them are promises (API rows 17–33).

use std::collections::HashMap;

use crate::event::EventName;

/// Every name that the host keeps for itself, whether this version ever fires it or not.
pub(super) const EVENTS: &[&str] = &[
    "bookmarksInitialized",
    "cachedRoster",
    "chatBoxClosed",
    "chatBoxFocused",
    "chatBoxInitialized",
    "chatBoxMaximized",
    "chatBoxMinimized",
    "chatBoxOpened",
    "chatBoxToggled",
    "chatBoxesFetched",
    "chatBoxesInitialized",
    "chatRoomOpened",
    "command",
    "configurationNeeded",
    "connected",
    "connectionInitialized",
    "connfeedback",
    "contactPresenceChanged",
    "contactRemoved",
    "contactRequest",
    "contactStatusChanged",
    "contactStatusMessageChanged",
    "disconnected",
    "discoExtensionFieldDiscovered",
    "discoInitialized",
    "initialized",
    "lagged",
    "logout",
    "message",
    "messageAdded",
    "messageError",
    "messageNotification",
    "messageSend",
    "occupantChanged",
    "occupantJoined",
    "occupantLeft",
    "pluginsInitialized",
    "privateChatsAutoJoined",
    "reconnected",
    "reconnecting",
    "roomInviteReceived",
    "roomInviteSent",
    "roomLeft",
    "roomSubjectChanged",
    "roomsAutoJoined",
    "roomsPanelRendered",
    "roster",
    "rosterContactsFetched",
    "rosterGroupsFetched",
    "rosterInitialized",
    "rosterPush",
    "send",
    "serviceDiscovered",
    "settingsChanged",
    "statusChanged",
    "statusInitialized",
    "statusMessageChanged",
    "timer",
    "vcardUpdated",
    "will-reconnect",
];

/// The host's promises: each is resolved by the event of its name.
pub(super) const PROMISES: &[&str] = &[
    "bookmarksInitialized",
    "cachedRoster",
    "chatBoxesFetched",
    "chatBoxesInitialized",
    "connected",
    "connectionInitialized",
    "discoInitialized",
    "initialized",
    PLUGINS_INITIALIZED,
    "privateChatsAutoJoined",
    "roomsAutoJoined",
    "roomsPanelRendered",
    "roster",
    "rosterContactsFetched",
    "rosterGroupsFetched",
    "rosterInitialized",
    "statusInitialized",
];

/// The one promise that no log-out takes back: plugins live on.
pub(super) const PLUGINS_INITIALIZED: &str = "pluginsInitialized";

/// The host's names as events carry them, made once.
#[derive(Debug)]
pub(super) struct Names(HashMap<&'static str, EventName>);

impl Names {
    pub(super) fn new() -> Self {
        Self(EVENTS.iter().map(|name| (*name, EventName::from(*name))).collect())
    }

    pub(super) fn get(&self, name: &'static str) -> EventName {
        self.0.get(name).cloned().unwrap_or_else(|| EventName::from(name))
    }

    pub(super) fn is_reserved(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}
