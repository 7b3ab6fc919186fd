//! The table of the permission that each call and each event needs. Admission, router, calls, docs and tests use it.
//!
//! It already has rows for groupings whose contract is not written yet, so that a plugin can request them by their
//! future names.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Permission::{
    self, ArchiveRead, ChatsRead, ChatsWrite, ContactsRead, ContactsWrite, DiscoOwn, DiscoRead, MessagesRead,
    MessagesSend, RoomsConfigure, RoomsJoin, RoomsModerate, RoomsRead, RoomsSend, SessionControl, SettingsRead,
    SettingsWrite, StanzaRead, StanzaSend, StatusRead, StatusWrite, Storage, TokensRead, VcardRead, VcardWrite,
};

/// A call, with the permission that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The grouping, named after the interface in `wit/`.
    pub grouping: &'static str,
    /// The function, as in `wit/`.
    pub function: &'static str,
    /// The permission that it needs; none = it is free.
    pub permission: Option<Permission>,
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

const fn free(grouping: &'static str, function: &'static str) -> Call {
    Call { grouping, function, permission: None }
}

const fn needs(permission: Permission, grouping: &'static str, function: &'static str) -> Call {
    Call { grouping, function, permission: Some(permission) }
}

/// Every call of the contract, including later groupings.
pub const CALLS: &[Call] = &[
    free("api", "emit"),
    needs(StanzaSend, "api", "send"),
    needs(StanzaSend, "api", "send-iq"),
    // A promise needs the permission of the event with its name.
    free("api", "wait-until"),
    needs(ArchiveRead, "archive", "query"),
    needs(ArchiveRead, "archive", "query-all"),
    // These two only compute a query, which is sent with `query`.
    free("archive", "next"),
    free("archive", "previous"),
    needs(ChatsRead, "chats", "get"),
    needs(ChatsRead, "chats", "get-many"),
    needs(ChatsRead, "chats", "get-all"),
    needs(ChatsWrite, "chats", "open"),
    needs(ChatsWrite, "chats", "open-many"),
    needs(ChatsWrite, "chats", "close"),
    needs(ChatsWrite, "chats", "close-many"),
    needs(ChatsWrite, "chats", "focus"),
    needs(ChatsWrite, "chats", "show"),
    needs(ChatsWrite, "chats", "maximize"),
    needs(ChatsWrite, "chats", "minimize"),
    needs(ChatsRead, "chats", "get-attribute"),
    needs(ChatsWrite, "chats", "set-attribute"),
    // Unsupported for every plugin.
    free("chats", "initiate-otr"),
    free("chats", "end-otr"),
    needs(MessagesSend, "chats", "send"),
    needs(ChatsRead, "chatviews", "get"),
    needs(ChatsRead, "chatviews", "get-many"),
    free("commands", "add"),
    free("commands", "remove"),
    free("connection", "connected"),
    needs(SessionControl, "connection", "disconnect"),
    needs(ContactsRead, "contacts", "get"),
    needs(ContactsRead, "contacts", "get-many"),
    needs(ContactsRead, "contacts", "get-all"),
    needs(ContactsWrite, "contacts", "add"),
    needs(ContactsWrite, "contacts", "remove"),
    needs(ContactsWrite, "contacts", "rename"),
    needs(ContactsWrite, "contacts", "set-groups"),
    needs(ContactsWrite, "contacts", "accept"),
    needs(ContactsWrite, "contacts", "deny"),
    needs(DiscoOwn, "disco", "own-features-add"),
    needs(DiscoOwn, "disco", "own-features-get"),
    needs(DiscoOwn, "disco", "own-identities-add"),
    needs(DiscoOwn, "disco", "own-identities-get"),
    needs(DiscoOwn, "disco", "own-identities-clear"),
    needs(DiscoRead, "disco", "get-identity"),
    needs(DiscoRead, "disco", "supports"),
    // Subscribing is free; an event that needs a grant has its own row below.
    free("listen", "on"),
    free("listen", "once"),
    free("listen", "not"),
    free("log", "write"),
    free("promises", "add"),
    free("promises", "add-all"),
    free("promises", "reject"),
    needs(RoomsRead, "rooms", "get"),
    needs(RoomsRead, "rooms", "get-many"),
    needs(RoomsRead, "rooms", "get-all"),
    // To enter a room, `get-or-create` needs `rooms.join` as well.
    needs(RoomsRead, "rooms", "get-or-create"),
    needs(RoomsRead, "rooms", "occupants"),
    // With fields for a room that it creates, `open` needs `rooms.configure` as well.
    needs(RoomsJoin, "rooms", "open"),
    needs(RoomsJoin, "rooms", "open-many"),
    needs(RoomsJoin, "rooms", "close"),
    needs(RoomsJoin, "rooms", "close-many"),
    needs(RoomsSend, "rooms", "send"),
    needs(RoomsJoin, "rooms", "focus"),
    needs(RoomsJoin, "rooms", "show"),
    needs(RoomsJoin, "rooms", "maximize"),
    needs(RoomsJoin, "rooms", "minimize"),
    needs(RoomsRead, "rooms", "get-attribute"),
    needs(RoomsJoin, "rooms", "set-attribute"),
    needs(RoomsModerate, "rooms", "set-subject"),
    needs(RoomsModerate, "rooms", "set-role"),
    needs(RoomsModerate, "rooms", "set-affiliation"),
    needs(RoomsModerate, "rooms", "affiliations"),
    needs(RoomsModerate, "rooms", "invite"),
    needs(RoomsModerate, "rooms", "kick"),
    needs(RoomsModerate, "rooms", "ban"),
    needs(RoomsJoin, "rooms", "decline"),
    needs(RoomsConfigure, "rooms", "configure"),
    needs(RoomsConfigure, "rooms", "destroy"),
    needs(RoomsRead, "rooms", "bookmarks"),
    needs(RoomsJoin, "rooms", "set-bookmark"),
    needs(RoomsJoin, "rooms", "remove-bookmark"),
    // A plugin's own settings are free; the host's settings need `settings.read` and `settings.write`, by key.
    free("settings", "get"),
    free("settings", "set"),
    free("settings", "set-many"),
    free("settings", "update"),
    needs(Storage, "storage", "get"),
    needs(Storage, "storage", "set"),
    needs(Storage, "storage", "delete"),
    needs(Storage, "storage", "list"),
    needs(Storage, "storage", "entries"),
    needs(Storage, "storage", "compare-and-set"),
    free("timers", "sleep"),
    free("timers", "after"),
    free("timers", "every"),
    free("timers", "cancel"),
    needs(TokensRead, "tokens", "get"),
    free("user", "jid"),
    free("user", "bare-jid"),
    needs(StatusRead, "user", "get-status"),
    needs(StatusWrite, "user", "set-status"),
    needs(StatusWrite, "user", "set-status-message"),
    needs(SessionControl, "user", "login"),
    needs(SessionControl, "user", "logout"),
    needs(VcardRead, "vcard", "get"),
    needs(VcardRead, "vcard", "update"),
    needs(VcardWrite, "vcard", "set"),
];

/// The additional permissions of calls: for some of their arguments, or for a fuller result.
pub const BESIDES: &[Call] = &[
    // The stanzas themselves, with `xml`.
    needs(StanzaRead, "archive", "query"),
    needs(StanzaRead, "archive", "query-all"),
    // The help lists a command only in chats and rooms where its plugin may send.
    needs(MessagesSend, "commands", "add"),
    needs(RoomsSend, "commands", "add"),
    // Messages with their stanzas, with `xml`.
    needs(StanzaRead, "listen", "on"),
    needs(StanzaRead, "listen", "once"),
    // The password of a bookmarked room.
    needs(RoomsJoin, "rooms", "bookmarks"),
    needs(RoomsJoin, "rooms", "get-or-create"),
    needs(RoomsConfigure, "rooms", "get-or-create"),
    needs(RoomsConfigure, "rooms", "open"),
    needs(RoomsConfigure, "rooms", "open-many"),
    needs(SettingsRead, "settings", "get"),
    needs(SettingsWrite, "settings", "set"),
    needs(SettingsWrite, "settings", "set-many"),
    needs(SettingsWrite, "settings", "update"),
];

/// A condition of a call or an event besides its permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depends {
    /// The permission of the event or promise that it names.
    Event,
    /// The setting: no plugin changes the operator's settings.
    Setting,
    /// The room, which has to be open.
    OpenRoom,
    /// The room, which the account has to be in.
    InRoom,
    /// The room, which may refuse it to an account that is not in it.
    AskedOfRoom,
    /// The address, which may not be a room.
    Person,
    /// Nothing: the host answers that it is unsupported.
    Unsupported,
}

/// The calls with a further condition.
const DEPENDS: &[(&str, &str, Depends)] = {
    use Depends::{AskedOfRoom, Event, InRoom, OpenRoom, Person, Setting, Unsupported};
    &[
        ("api", "wait-until", Event),
        ("chats", "end-otr", Unsupported),
        ("chats", "initiate-otr", Unsupported),
        ("chats", "send", Person),
        ("listen", "on", Event),
        ("listen", "once", Event),
        ("rooms", "affiliations", AskedOfRoom),
        ("rooms", "ban", AskedOfRoom),
        ("rooms", "close", OpenRoom),
        ("rooms", "configure", AskedOfRoom),
        ("rooms", "destroy", AskedOfRoom),
        ("rooms", "focus", OpenRoom),
        ("rooms", "get-attribute", OpenRoom),
        ("rooms", "invite", AskedOfRoom),
        ("rooms", "kick", AskedOfRoom),
        ("rooms", "maximize", OpenRoom),
        ("rooms", "minimize", OpenRoom),
        ("rooms", "occupants", OpenRoom),
        ("rooms", "send", InRoom),
        ("rooms", "set-affiliation", AskedOfRoom),
        ("rooms", "set-attribute", OpenRoom),
        ("rooms", "set-role", AskedOfRoom),
        ("rooms", "set-subject", InRoom),
        ("rooms", "show", OpenRoom),
        ("settings", "set", Setting),
        ("settings", "set-many", Setting),
        ("settings", "update", Setting),
    ]
};

impl Call {
    /// Returns its condition besides the permission.
    pub fn depends(&self) -> Option<Depends> {
        let found =
            DEPENDS.iter().find(|(grouping, function, _)| (*grouping, *function) == (self.grouping, self.function));
        found.map(|(.., depends)| *depends)
    }

    /// Returns whether it works only while the account is connected. The host's own knowledge can be read at any time.
    pub fn needs_connection(&self) -> bool {
        let is_local = match (self.grouping, self.function) {
            ("archive", function) => matches!(function, "next" | "previous"),
            ("api", function) => matches!(function, "emit" | "wait-until"),
            ("disco", function) => function.starts_with("own-"),
            ("contacts" | "rooms", function) => {
                matches!(function, "get" | "get-many" | "get-all" | "get-attribute" | "occupants" | "bookmarks")
            }
            ("chats", function) => function != "send",
            ("user", function) => !function.starts_with("set-"),
            ("vcard", _) => false,
            (_, _) => true,
        };
        !is_local
    }
}

/// The condition of each event that may be about a room.
const EVENTS_DEPEND: &[(&str, Option<Depends>)] = {
    use Depends::{InRoom, OpenRoom};
    &[
        ("affiliationChanged", Some(InRoom)),
        // These two occur while the account enters.
        ("chatRoomOpened", None),
        ("configurationNeeded", None),
        // Like every message to the whole room, it is dropped unless the account is in the room.
        ("command", Some(InRoom)),
        ("message", Some(InRoom)),
        ("messageAdded", Some(InRoom)),
        // A room answers with an error if an account that is not in it sends something.
        ("messageError", None),
        ("messageNotification", Some(InRoom)),
        ("messageSend", None),
        ("occupantChanged", Some(InRoom)),
        ("occupantJoined", Some(InRoom)),
        ("occupantLeft", Some(InRoom)),
        // Invitations are for accounts that are not in the room.
        ("roomInviteDeclined", None),
        ("roomInviteReceived", None),
        ("roomInviteSent", None),
        ("roomLeft", Some(InRoom)),
        ("roomSubjectChanged", Some(InRoom)),
        ("roomViewChanged", Some(OpenRoom)),
    ]
};

impl EventRule {
    /// Returns its condition besides the permission, if it is about a room.
    pub fn depends(&self) -> Option<Depends> {
        EVENTS_DEPEND.iter().find(|(name, _)| *name == self.name).and_then(|(_, depends)| *depends)
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

/// Returns the rule of an event; none = the host has no such event.
pub fn event(name: &str) -> Option<&'static EventRule> {
    static INDEX: LazyLock<HashMap<&str, &EventRule>> =
        LazyLock::new(|| EVENTS.iter().map(|rule| (rule.name, rule)).collect());
    INDEX.get(name).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Returns `(interface, function)` of every function in a WIT file, by lines: `name: func(` or `name: async func(`.
    fn functions(text: &str) -> Vec<(String, String)> {
        let mut interface = None;
        let mut found = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("interface ") {
                interface = rest.split_whitespace().next().map(str::to_owned);
            } else if let (Some((name, rest)), Some(interface)) = (line.split_once(':'), &interface)
                && !name.starts_with('/')
                && (rest.trim_start().starts_with("func(") || rest.trim_start().starts_with("async func("))
            {
                found.push((interface.clone(), name.trim_start_matches('%').to_owned()));
            }
        }
        found
    }

    #[test]
    fn each_function_of_the_contract_has_exactly_one_row() {
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
        let mut counted = 0;
        for file in std::fs::read_dir(wit).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            assert_eq!(text.matches(" func(").count() + text.matches(":func(").count(), functions(&text).len());
            for (grouping, function) in functions(&text).into_iter().filter(|(grouping, _)| grouping != "guest") {
                let rows = CALLS.iter().filter(|call| call.grouping == grouping && call.function == function).count();
                assert_eq!(rows, 1, "rows of {grouping}.{function}");
                counted += 1;
            }
        }
        assert!(counted > 40, "the contract was read: {counted} functions");
    }

    #[test]
    fn the_contract_mentions_each_permission_that_its_calls_need() {
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
        for file in std::fs::read_dir(wit).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for (grouping, function) in functions(&text) {
                let Some(needed) = call(&grouping, &function).and_then(|call| call.permission) else { continue };
                assert!(
                    text.contains(&format!("`{needed}`")),
                    "the contract of {grouping}.{function} does not mention {needed}"
                );
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let events: BTreeSet<_> = EVENTS.iter().map(|rule| rule.name).collect();
        assert_eq!(events.len(), EVENTS.len());
        let calls: BTreeSet<_> = CALLS.iter().map(|call| (call.grouping, call.function)).collect();
        assert_eq!(calls.len(), CALLS.len());
    }

    #[test]
    fn the_seventeen_promises_are_there() {
        let promises: Vec<_> = EVENTS.iter().filter(|rule| rule.promise).map(|rule| rule.name).collect();
        assert_eq!(promises.len(), 17, "{promises:?}");
    }

    /// Every plugin that may see the event at all may await its promise, whatever the scope.
    #[test]
    fn no_promise_of_the_host_carries_anything_that_a_scope_could_leave_out() {
        assert!(EVENTS.iter().filter(|rule| rule.promise).all(|rule| rule.payload == "none"));
    }

    #[test]
    fn payloads_are_cases_of_the_contract() {
        let types = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/types.wit")).unwrap();
        let payload = types.split("variant payload {").nth(1).unwrap();
        for rule in EVENTS {
            let case = |end| payload.contains(&format!("\n    {}{end}", rule.payload));
            assert!(case("(") || case(","), "{} carries {}", rule.name, rule.payload);
        }
    }

    #[test]
    fn every_permission_guards_something() {
        for &permission in Permission::ALL {
            let guards = CALLS.iter().chain(BESIDES).any(|call| call.permission == Some(permission))
                || EVENTS.iter().any(|rule| rule.permission == Some(permission));
            assert!(guards, "{permission} guards nothing");
        }
    }

    #[test]
    fn what_calls_depend_on_is_of_calls_that_are_there() {
        for (index, (grouping, function, _)) in DEPENDS.iter().enumerate() {
            assert!(call(grouping, function).is_some(), "{grouping}.{function}");
            let again = DEPENDS[..index].iter().any(|(g, f, _)| (g, f) == (grouping, function));
            assert!(!again, "{grouping}.{function} twice");
        }
        let local = EVENTS.iter().filter(|event| !event.needs_connection()).count();
        assert_eq!(local, 13, "each that is named is an event");
        assert!(!call("storage", "set").unwrap().needs_connection());
        assert!(call("chats", "send").unwrap().needs_connection());
    }

    #[test]
    fn each_event_that_may_be_about_a_room_says_what_it_depends_on() {
        let of_rooms =
            EVENTS.iter().filter(|rule| rule.is_of_a_room() || matches!(rule.payload, "message" | "command"));
        let mut wanted: Vec<_> = of_rooms.map(|rule| rule.name).collect();
        let mut found: Vec<_> = EVENTS_DEPEND.iter().map(|(name, _)| *name).collect();
        wanted.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, wanted);
    }

    #[test]
    fn what_calls_need_besides_is_of_calls_that_are_there_and_something_else() {
        for besides in BESIDES {
            let row = call(besides.grouping, besides.function);
            assert!(row.is_some_and(|row| row.permission != besides.permission), "{besides:?}");
        }
    }

    /// Returns the permissions that the source files of a grouping name, except in tests.
    fn named_in_sources() -> BTreeSet<(String, String)> {
        let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
        let mut named = BTreeSet::new();
        let mut folders = vec![api.clone()];
        while let Some(folder) = folders.pop() {
            for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
                if file.is_dir() {
                    folders.push(file);
                    continue;
                }
                let grouping = file.strip_prefix(&api).unwrap().components().next().unwrap();
                let grouping = Path::new(&grouping).file_stem().unwrap().to_str().unwrap().to_owned();
                let text = std::fs::read_to_string(&file).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                for rest in code.split("Permission::").skip(1) {
                    let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
                    named.insert((grouping.clone(), rest[..end].to_owned()));
                }
            }
        }
        named
    }

    #[test]
    fn each_permission_that_a_grouping_asks_for_is_in_its_rows() {
        let named = named_in_sources();
        assert!(named.len() > 20, "{named:?}");
        let row = |call: &Call| call.permission.map(|needed| (call.grouping.to_owned(), format!("{needed:?}")));
        let mut rows: BTreeSet<_> = CALLS.iter().chain(BESIDES).filter_map(row).collect();
        // The password of an invitation, which comes with an event.
        rows.insert(("listen".to_owned(), "RoomsJoin".to_owned()));
        assert_eq!(named.difference(&rows).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
    }

    #[test]
    fn looking_up_finds_the_row() {
        assert_eq!(call("chats", "send").unwrap().permission, Some(MessagesSend));
        assert_eq!(call("chats", "fly"), None);
        assert_eq!(event("message").unwrap().permission, Some(MessagesRead));
        assert_eq!(event("my-own"), None);
    }
}
