//! The calls of the contract by name. Made by `cargo xtask docs` from `wit/`; a change here is lost.

/// A call of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallName {
    /// `api.emit`
    ApiEmit,
    /// `api.send`
    ApiSend,
    /// `api.send-iq`
    ApiSendIq,
    /// `api.wait-until`
    ApiWaitUntil,
    /// `archive.query`
    ArchiveQuery,
    /// `archive.query-all`
    ArchiveQueryAll,
    /// `archive.next`
    ArchiveNext,
    /// `archive.previous`
    ArchivePrevious,
    /// `chats.get`
    ChatsGet,
    /// `chats.get-many`
    ChatsGetMany,
    /// `chats.get-all`
    ChatsGetAll,
    /// `chats.open`
    ChatsOpen,
    /// `chats.open-many`
    ChatsOpenMany,
    /// `chats.close`
    ChatsClose,
    /// `chats.close-many`
    ChatsCloseMany,
    /// `chats.focus`
    ChatsFocus,
    /// `chats.show`
    ChatsShow,
    /// `chats.maximize`
    ChatsMaximize,
    /// `chats.minimize`
    ChatsMinimize,
    /// `chats.get-attribute`
    ChatsGetAttribute,
    /// `chats.set-attribute`
    ChatsSetAttribute,
    /// `chats.initiate-otr`
    ChatsInitiateOtr,
    /// `chats.end-otr`
    ChatsEndOtr,
    /// `chats.send`
    ChatsSend,
    /// `chatviews.get`
    ChatviewsGet,
    /// `chatviews.get-many`
    ChatviewsGetMany,
    /// `commands.declare`
    CommandsDeclare,
    /// `commands.answer`
    CommandsAnswer,
    /// `commands.add`
    CommandsAdd,
    /// `commands.remove`
    CommandsRemove,
    /// `connection.connected`
    ConnectionConnected,
    /// `connection.disconnect`
    ConnectionDisconnect,
    /// `contacts.get`
    ContactsGet,
    /// `contacts.get-many`
    ContactsGetMany,
    /// `contacts.get-all`
    ContactsGetAll,
    /// `contacts.add`
    ContactsAdd,
    /// `contacts.remove`
    ContactsRemove,
    /// `contacts.rename`
    ContactsRename,
    /// `contacts.set-groups`
    ContactsSetGroups,
    /// `contacts.accept`
    ContactsAccept,
    /// `contacts.deny`
    ContactsDeny,
    /// `contacts.block`
    ContactsBlock,
    /// `contacts.unblock`
    ContactsUnblock,
    /// `contacts.blocked`
    ContactsBlocked,
    /// `dialogs.ask`
    DialogsAsk,
    /// `dialogs.ask-in-room`
    DialogsAskInRoom,
    /// `dialogs.begin`
    DialogsBegin,
    /// `dialogs.begin-in-room`
    DialogsBeginInRoom,
    /// `dialogs.take`
    DialogsTake,
    /// `dialogs.cancel`
    DialogsCancel,
    /// `disco.own-features-add`
    DiscoOwnFeaturesAdd,
    /// `disco.own-features-get`
    DiscoOwnFeaturesGet,
    /// `disco.own-identities-add`
    DiscoOwnIdentitiesAdd,
    /// `disco.own-identities-get`
    DiscoOwnIdentitiesGet,
    /// `disco.own-identities-clear`
    DiscoOwnIdentitiesClear,
    /// `disco.get-identity`
    DiscoGetIdentity,
    /// `disco.supports`
    DiscoSupports,
    /// `disco.last-activity`
    DiscoLastActivity,
    /// `disco.time`
    DiscoTime,
    /// `disco.version`
    DiscoVersion,
    /// `files.upload`
    FilesUpload,
    /// `files.write`
    FilesWrite,
    /// `files.finish`
    FilesFinish,
    /// `files.open`
    FilesOpen,
    /// `files.read`
    FilesRead,
    /// `files.close`
    FilesClose,
    /// `hooks.allow`
    HooksAllow,
    /// `hooks.alter`
    HooksAlter,
    /// `hooks.stop`
    HooksStop,
    /// `hooks.mark`
    HooksMark,
    /// `http.fetch`
    HttpFetch,
    /// `http.open`
    HttpOpen,
    /// `http.write`
    HttpWrite,
    /// `http.answer`
    HttpAnswer,
    /// `http.read`
    HttpRead,
    /// `http.close`
    HttpClose,
    /// `iq.answer`
    IqAnswer,
    /// `iq.refuse`
    IqRefuse,
    /// `listen.on`
    ListenOn,
    /// `listen.once`
    ListenOnce,
    /// `listen.not`
    ListenNot,
    /// `log.write`
    LogWrite,
    /// `plugins.call`
    PluginsCall,
    /// `plugins.answer`
    PluginsAnswer,
    /// `plugins.refuse`
    PluginsRefuse,
    /// `promises.add`
    PromisesAdd,
    /// `promises.add-all`
    PromisesAddAll,
    /// `promises.reject`
    PromisesReject,
    /// `pubsub.publish`
    PubsubPublish,
    /// `pubsub.retract`
    PubsubRetract,
    /// `pubsub.items`
    PubsubItems,
    /// `pubsub.item`
    PubsubItem,
    /// `pubsub.subscribe`
    PubsubSubscribe,
    /// `pubsub.unsubscribe`
    PubsubUnsubscribe,
    /// `pubsub.create`
    PubsubCreate,
    /// `pubsub.configure`
    PubsubConfigure,
    /// `pubsub.delete`
    PubsubDelete,
    /// `rooms.get`
    RoomsGet,
    /// `rooms.get-many`
    RoomsGetMany,
    /// `rooms.get-all`
    RoomsGetAll,
    /// `rooms.get-or-create`
    RoomsGetOrCreate,
    /// `rooms.open`
    RoomsOpen,
    /// `rooms.open-many`
    RoomsOpenMany,
    /// `rooms.close`
    RoomsClose,
    /// `rooms.close-many`
    RoomsCloseMany,
    /// `rooms.send`
    RoomsSend,
    /// `rooms.occupants`
    RoomsOccupants,
    /// `rooms.focus`
    RoomsFocus,
    /// `rooms.show`
    RoomsShow,
    /// `rooms.maximize`
    RoomsMaximize,
    /// `rooms.minimize`
    RoomsMinimize,
    /// `rooms.get-attribute`
    RoomsGetAttribute,
    /// `rooms.set-attribute`
    RoomsSetAttribute,
    /// `rooms.set-subject`
    RoomsSetSubject,
    /// `rooms.set-role`
    RoomsSetRole,
    /// `rooms.set-affiliation`
    RoomsSetAffiliation,
    /// `rooms.affiliations`
    RoomsAffiliations,
    /// `rooms.kick`
    RoomsKick,
    /// `rooms.ban`
    RoomsBan,
    /// `rooms.retract`
    RoomsRetract,
    /// `rooms.request-voice`
    RoomsRequestVoice,
    /// `rooms.answer-voice`
    RoomsAnswerVoice,
    /// `rooms.register`
    RoomsRegister,
    /// `rooms.unregister`
    RoomsUnregister,
    /// `rooms.reserved-nick`
    RoomsReservedNick,
    /// `rooms.invite`
    RoomsInvite,
    /// `rooms.decline`
    RoomsDecline,
    /// `rooms.configure`
    RoomsConfigure,
    /// `rooms.destroy`
    RoomsDestroy,
    /// `rooms.bookmarks`
    RoomsBookmarks,
    /// `rooms.set-bookmark`
    RoomsSetBookmark,
    /// `rooms.remove-bookmark`
    RoomsRemoveBookmark,
    /// `schedules.every`
    SchedulesEvery,
    /// `schedules.at`
    SchedulesAt,
    /// `schedules.cron`
    SchedulesCron,
    /// `schedules.list`
    SchedulesList,
    /// `schedules.cancel`
    SchedulesCancel,
    /// `schedules.to-local`
    SchedulesToLocal,
    /// `schedules.format`
    SchedulesFormat,
    /// `schedules.parse`
    SchedulesParse,
    /// `settings.get`
    SettingsGet,
    /// `settings.set`
    SettingsSet,
    /// `settings.set-many`
    SettingsSetMany,
    /// `settings.update`
    SettingsUpdate,
    /// `storage.get`
    StorageGet,
    /// `storage.set`
    StorageSet,
    /// `storage.delete`
    StorageDelete,
    /// `storage.list`
    StorageList,
    /// `storage.entries`
    StorageEntries,
    /// `storage.compare-and-set`
    StorageCompareAndSet,
    /// `storage.range`
    StorageRange,
    /// `storage.add`
    StorageAdd,
    /// `storage.change`
    StorageChange,
    /// `timers.sleep`
    TimersSleep,
    /// `timers.after`
    TimersAfter,
    /// `timers.every`
    TimersEvery,
    /// `timers.cancel`
    TimersCancel,
    /// `tokens.get`
    TokensGet,
    /// `user.jid`
    UserJid,
    /// `user.bare-jid`
    UserBareJid,
    /// `user.get-status`
    UserGetStatus,
    /// `user.set-status`
    UserSetStatus,
    /// `user.set-status-message`
    UserSetStatusMessage,
    /// `user.login`
    UserLogin,
    /// `user.logout`
    UserLogout,
    /// `vcard.get`
    VcardGet,
    /// `vcard.set`
    VcardSet,
    /// `vcard.update`
    VcardUpdate,
    /// `webhooks.answer`
    WebhooksAnswer,
    /// `webhooks.address`
    WebhooksAddress,
}

/// The grouping, function and name of each call.
const PARTS: [(&str, &str, &str); CallName::COUNT] = [
    ("api", "emit", "api.emit"),
    ("api", "send", "api.send"),
    ("api", "send-iq", "api.send-iq"),
    ("api", "wait-until", "api.wait-until"),
    ("archive", "query", "archive.query"),
    ("archive", "query-all", "archive.query-all"),
    ("archive", "next", "archive.next"),
    ("archive", "previous", "archive.previous"),
    ("chats", "get", "chats.get"),
    ("chats", "get-many", "chats.get-many"),
    ("chats", "get-all", "chats.get-all"),
    ("chats", "open", "chats.open"),
    ("chats", "open-many", "chats.open-many"),
    ("chats", "close", "chats.close"),
    ("chats", "close-many", "chats.close-many"),
    ("chats", "focus", "chats.focus"),
    ("chats", "show", "chats.show"),
    ("chats", "maximize", "chats.maximize"),
    ("chats", "minimize", "chats.minimize"),
    ("chats", "get-attribute", "chats.get-attribute"),
    ("chats", "set-attribute", "chats.set-attribute"),
    ("chats", "initiate-otr", "chats.initiate-otr"),
    ("chats", "end-otr", "chats.end-otr"),
    ("chats", "send", "chats.send"),
    ("chatviews", "get", "chatviews.get"),
    ("chatviews", "get-many", "chatviews.get-many"),
    ("commands", "declare", "commands.declare"),
    ("commands", "answer", "commands.answer"),
    ("commands", "add", "commands.add"),
    ("commands", "remove", "commands.remove"),
    ("connection", "connected", "connection.connected"),
    ("connection", "disconnect", "connection.disconnect"),
    ("contacts", "get", "contacts.get"),
    ("contacts", "get-many", "contacts.get-many"),
    ("contacts", "get-all", "contacts.get-all"),
    ("contacts", "add", "contacts.add"),
    ("contacts", "remove", "contacts.remove"),
    ("contacts", "rename", "contacts.rename"),
    ("contacts", "set-groups", "contacts.set-groups"),
    ("contacts", "accept", "contacts.accept"),
    ("contacts", "deny", "contacts.deny"),
    ("contacts", "block", "contacts.block"),
    ("contacts", "unblock", "contacts.unblock"),
    ("contacts", "blocked", "contacts.blocked"),
    ("dialogs", "ask", "dialogs.ask"),
    ("dialogs", "ask-in-room", "dialogs.ask-in-room"),
    ("dialogs", "begin", "dialogs.begin"),
    ("dialogs", "begin-in-room", "dialogs.begin-in-room"),
    ("dialogs", "take", "dialogs.take"),
    ("dialogs", "cancel", "dialogs.cancel"),
    ("disco", "own-features-add", "disco.own-features-add"),
    ("disco", "own-features-get", "disco.own-features-get"),
    ("disco", "own-identities-add", "disco.own-identities-add"),
    ("disco", "own-identities-get", "disco.own-identities-get"),
    ("disco", "own-identities-clear", "disco.own-identities-clear"),
    ("disco", "get-identity", "disco.get-identity"),
    ("disco", "supports", "disco.supports"),
    ("disco", "last-activity", "disco.last-activity"),
    ("disco", "time", "disco.time"),
    ("disco", "version", "disco.version"),
    ("files", "upload", "files.upload"),
    ("files", "write", "files.write"),
    ("files", "finish", "files.finish"),
    ("files", "open", "files.open"),
    ("files", "read", "files.read"),
    ("files", "close", "files.close"),
    ("hooks", "allow", "hooks.allow"),
    ("hooks", "alter", "hooks.alter"),
    ("hooks", "stop", "hooks.stop"),
    ("hooks", "mark", "hooks.mark"),
    ("http", "fetch", "http.fetch"),
    ("http", "open", "http.open"),
    ("http", "write", "http.write"),
    ("http", "answer", "http.answer"),
    ("http", "read", "http.read"),
    ("http", "close", "http.close"),
    ("iq", "answer", "iq.answer"),
    ("iq", "refuse", "iq.refuse"),
    ("listen", "on", "listen.on"),
    ("listen", "once", "listen.once"),
    ("listen", "not", "listen.not"),
    ("log", "write", "log.write"),
    ("plugins", "call", "plugins.call"),
    ("plugins", "answer", "plugins.answer"),
    ("plugins", "refuse", "plugins.refuse"),
    ("promises", "add", "promises.add"),
    ("promises", "add-all", "promises.add-all"),
    ("promises", "reject", "promises.reject"),
    ("pubsub", "publish", "pubsub.publish"),
    ("pubsub", "retract", "pubsub.retract"),
    ("pubsub", "items", "pubsub.items"),
    ("pubsub", "item", "pubsub.item"),
    ("pubsub", "subscribe", "pubsub.subscribe"),
    ("pubsub", "unsubscribe", "pubsub.unsubscribe"),
    ("pubsub", "create", "pubsub.create"),
    ("pubsub", "configure", "pubsub.configure"),
    ("pubsub", "delete", "pubsub.delete"),
    ("rooms", "get", "rooms.get"),
    ("rooms", "get-many", "rooms.get-many"),
    ("rooms", "get-all", "rooms.get-all"),
    ("rooms", "get-or-create", "rooms.get-or-create"),
    ("rooms", "open", "rooms.open"),
    ("rooms", "open-many", "rooms.open-many"),
    ("rooms", "close", "rooms.close"),
    ("rooms", "close-many", "rooms.close-many"),
    ("rooms", "send", "rooms.send"),
    ("rooms", "occupants", "rooms.occupants"),
    ("rooms", "focus", "rooms.focus"),
    ("rooms", "show", "rooms.show"),
    ("rooms", "maximize", "rooms.maximize"),
    ("rooms", "minimize", "rooms.minimize"),
    ("rooms", "get-attribute", "rooms.get-attribute"),
    ("rooms", "set-attribute", "rooms.set-attribute"),
    ("rooms", "set-subject", "rooms.set-subject"),
    ("rooms", "set-role", "rooms.set-role"),
    ("rooms", "set-affiliation", "rooms.set-affiliation"),
    ("rooms", "affiliations", "rooms.affiliations"),
    ("rooms", "kick", "rooms.kick"),
    ("rooms", "ban", "rooms.ban"),
    ("rooms", "retract", "rooms.retract"),
    ("rooms", "request-voice", "rooms.request-voice"),
    ("rooms", "answer-voice", "rooms.answer-voice"),
    ("rooms", "register", "rooms.register"),
    ("rooms", "unregister", "rooms.unregister"),
    ("rooms", "reserved-nick", "rooms.reserved-nick"),
    ("rooms", "invite", "rooms.invite"),
    ("rooms", "decline", "rooms.decline"),
    ("rooms", "configure", "rooms.configure"),
    ("rooms", "destroy", "rooms.destroy"),
    ("rooms", "bookmarks", "rooms.bookmarks"),
    ("rooms", "set-bookmark", "rooms.set-bookmark"),
    ("rooms", "remove-bookmark", "rooms.remove-bookmark"),
    ("schedules", "every", "schedules.every"),
    ("schedules", "at", "schedules.at"),
    ("schedules", "cron", "schedules.cron"),
    ("schedules", "list", "schedules.list"),
    ("schedules", "cancel", "schedules.cancel"),
    ("schedules", "to-local", "schedules.to-local"),
    ("schedules", "format", "schedules.format"),
    ("schedules", "parse", "schedules.parse"),
    ("settings", "get", "settings.get"),
    ("settings", "set", "settings.set"),
    ("settings", "set-many", "settings.set-many"),
    ("settings", "update", "settings.update"),
    ("storage", "get", "storage.get"),
    ("storage", "set", "storage.set"),
    ("storage", "delete", "storage.delete"),
    ("storage", "list", "storage.list"),
    ("storage", "entries", "storage.entries"),
    ("storage", "compare-and-set", "storage.compare-and-set"),
    ("storage", "range", "storage.range"),
    ("storage", "add", "storage.add"),
    ("storage", "change", "storage.change"),
    ("timers", "sleep", "timers.sleep"),
    ("timers", "after", "timers.after"),
    ("timers", "every", "timers.every"),
    ("timers", "cancel", "timers.cancel"),
    ("tokens", "get", "tokens.get"),
    ("user", "jid", "user.jid"),
    ("user", "bare-jid", "user.bare-jid"),
    ("user", "get-status", "user.get-status"),
    ("user", "set-status", "user.set-status"),
    ("user", "set-status-message", "user.set-status-message"),
    ("user", "login", "user.login"),
    ("user", "logout", "user.logout"),
    ("vcard", "get", "vcard.get"),
    ("vcard", "set", "vcard.set"),
    ("vcard", "update", "vcard.update"),
    ("webhooks", "answer", "webhooks.answer"),
    ("webhooks", "address", "webhooks.address"),
];

impl CallName {
    /// The number of calls.
    pub const COUNT: usize = 170;

    /// Returns the grouping, named after the interface in `wit/`.
    pub const fn grouping(self) -> &'static str {
        PARTS[self as usize].0
    }

    /// Returns the function, as in `wit/`.
    pub const fn function(self) -> &'static str {
        PARTS[self as usize].1
    }

    /// Returns both, such as `rooms.set-subject`.
    pub const fn name(self) -> &'static str {
        PARTS[self as usize].2
    }
}
