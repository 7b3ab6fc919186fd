//! The calls of the contract by name. Made by `cargo xtask docs` from `wit/`; a change here is lost.

/// Declares a variant for each call, and the table of their names.
macro_rules! calls {
    ($($variant:ident = $grouping:literal $function:literal;)*) => {
        /// A call of the contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum CallName {
            $(#[doc = concat!("`", $grouping, ".", $function, "`")] $variant,)*
        }

        /// The grouping, function and name of each call.
        const PARTS: [(&str, &str, &str); CallName::COUNT] =
            [$(($grouping, $function, concat!($grouping, ".", $function)),)*];
    };
}

calls! {
    ApiEmit = "api" "emit";
    ApiSend = "api" "send";
    ApiSendIq = "api" "send-iq";
    ApiWaitUntil = "api" "wait-until";
    ArchiveQuery = "archive" "query";
    ArchiveQueryAll = "archive" "query-all";
    ArchiveNext = "archive" "next";
    ArchivePrevious = "archive" "previous";
    ChatsGet = "chats" "get";
    ChatsGetMany = "chats" "get-many";
    ChatsGetAll = "chats" "get-all";
    ChatsOpen = "chats" "open";
    ChatsOpenMany = "chats" "open-many";
    ChatsClose = "chats" "close";
    ChatsCloseMany = "chats" "close-many";
    ChatsFocus = "chats" "focus";
    ChatsShow = "chats" "show";
    ChatsMaximize = "chats" "maximize";
    ChatsMinimize = "chats" "minimize";
    ChatsGetAttribute = "chats" "get-attribute";
    ChatsSetAttribute = "chats" "set-attribute";
    ChatsInitiateOtr = "chats" "initiate-otr";
    ChatsEndOtr = "chats" "end-otr";
    ChatsSend = "chats" "send";
    ChatviewsGet = "chatviews" "get";
    ChatviewsGetMany = "chatviews" "get-many";
    CommandsDeclare = "commands" "declare";
    CommandsAnswer = "commands" "answer";
    CommandsAdd = "commands" "add";
    CommandsRemove = "commands" "remove";
    ConnectionConnected = "connection" "connected";
    ConnectionDisconnect = "connection" "disconnect";
    ContactsGet = "contacts" "get";
    ContactsGetMany = "contacts" "get-many";
    ContactsGetAll = "contacts" "get-all";
    ContactsAdd = "contacts" "add";
    ContactsRemove = "contacts" "remove";
    ContactsRename = "contacts" "rename";
    ContactsSetGroups = "contacts" "set-groups";
    ContactsAccept = "contacts" "accept";
    ContactsDeny = "contacts" "deny";
    ContactsBlock = "contacts" "block";
    ContactsUnblock = "contacts" "unblock";
    ContactsBlocked = "contacts" "blocked";
    DialogsAsk = "dialogs" "ask";
    DialogsAskInRoom = "dialogs" "ask-in-room";
    DialogsBegin = "dialogs" "begin";
    DialogsBeginInRoom = "dialogs" "begin-in-room";
    DialogsTake = "dialogs" "take";
    DialogsWait = "dialogs" "wait";
    DialogsCancel = "dialogs" "cancel";
    DiscoOwnFeaturesAdd = "disco" "own-features-add";
    DiscoOwnFeaturesGet = "disco" "own-features-get";
    DiscoOwnIdentitiesAdd = "disco" "own-identities-add";
    DiscoOwnIdentitiesGet = "disco" "own-identities-get";
    DiscoOwnIdentitiesClear = "disco" "own-identities-clear";
    DiscoGetIdentity = "disco" "get-identity";
    DiscoSupports = "disco" "supports";
    DiscoLastActivity = "disco" "last-activity";
    DiscoTime = "disco" "time";
    DiscoVersion = "disco" "version";
    FilesUpload = "files" "upload";
    FilesUploadEncrypted = "files" "upload-encrypted";
    FilesWrite = "files" "write";
    FilesFinish = "files" "finish";
    FilesOpen = "files" "open";
    FilesRead = "files" "read";
    FilesClose = "files" "close";
    HooksAllow = "hooks" "allow";
    HooksAlter = "hooks" "alter";
    HooksStop = "hooks" "stop";
    HooksMark = "hooks" "mark";
    HttpFetch = "http" "fetch";
    HttpOpen = "http" "open";
    HttpWrite = "http" "write";
    HttpAnswer = "http" "answer";
    HttpRead = "http" "read";
    HttpClose = "http" "close";
    IqAnswer = "iq" "answer";
    IqRefuse = "iq" "refuse";
    ListenOn = "listen" "on";
    ListenOnce = "listen" "once";
    ListenNot = "listen" "not";
    LogWrite = "log" "write";
    PluginsCall = "plugins" "call";
    PluginsAnswer = "plugins" "answer";
    PluginsRefuse = "plugins" "refuse";
    PromisesAdd = "promises" "add";
    PromisesAddAll = "promises" "add-all";
    PromisesReject = "promises" "reject";
    PubsubPublish = "pubsub" "publish";
    PubsubRetract = "pubsub" "retract";
    PubsubItems = "pubsub" "items";
    PubsubItem = "pubsub" "item";
    PubsubSubscribe = "pubsub" "subscribe";
    PubsubUnsubscribe = "pubsub" "unsubscribe";
    PubsubCreate = "pubsub" "create";
    PubsubConfigure = "pubsub" "configure";
    PubsubPurge = "pubsub" "purge";
    PubsubDelete = "pubsub" "delete";
    RoomsGet = "rooms" "get";
    RoomsGetMany = "rooms" "get-many";
    RoomsGetAll = "rooms" "get-all";
    RoomsGetOrCreate = "rooms" "get-or-create";
    RoomsOpen = "rooms" "open";
    RoomsOpenMany = "rooms" "open-many";
    RoomsClose = "rooms" "close";
    RoomsCloseMany = "rooms" "close-many";
    RoomsSend = "rooms" "send";
    RoomsOccupants = "rooms" "occupants";
    RoomsFocus = "rooms" "focus";
    RoomsShow = "rooms" "show";
    RoomsMaximize = "rooms" "maximize";
    RoomsMinimize = "rooms" "minimize";
    RoomsGetAttribute = "rooms" "get-attribute";
    RoomsSetAttribute = "rooms" "set-attribute";
    RoomsSetSubject = "rooms" "set-subject";
    RoomsSetRole = "rooms" "set-role";
    RoomsSetAffiliation = "rooms" "set-affiliation";
    RoomsAffiliations = "rooms" "affiliations";
    RoomsKick = "rooms" "kick";
    RoomsBan = "rooms" "ban";
    RoomsRetract = "rooms" "retract";
    RoomsRequestVoice = "rooms" "request-voice";
    RoomsAnswerVoice = "rooms" "answer-voice";
    RoomsRegister = "rooms" "register";
    RoomsUnregister = "rooms" "unregister";
    RoomsReservedNick = "rooms" "reserved-nick";
    RoomsInvite = "rooms" "invite";
    RoomsDecline = "rooms" "decline";
    RoomsConfigure = "rooms" "configure";
    RoomsDestroy = "rooms" "destroy";
    RoomsBookmarks = "rooms" "bookmarks";
    RoomsSetBookmark = "rooms" "set-bookmark";
    RoomsRemoveBookmark = "rooms" "remove-bookmark";
    SchedulesEvery = "schedules" "every";
    SchedulesAt = "schedules" "at";
    SchedulesCron = "schedules" "cron";
    SchedulesList = "schedules" "list";
    SchedulesCancel = "schedules" "cancel";
    SchedulesToLocal = "schedules" "to-local";
    SchedulesFormat = "schedules" "format";
    SchedulesParse = "schedules" "parse";
    SettingsGet = "settings" "get";
    SettingsGetIn = "settings" "get-in";
    SettingsSet = "settings" "set";
    SettingsSetMany = "settings" "set-many";
    SettingsUpdate = "settings" "update";
    StorageGet = "storage" "get";
    StorageSet = "storage" "set";
    StorageDelete = "storage" "delete";
    StorageList = "storage" "list";
    StorageEntries = "storage" "entries";
    StorageCompareAndSet = "storage" "compare-and-set";
    StorageRange = "storage" "range";
    StorageAdd = "storage" "add";
    StorageChange = "storage" "change";
    TimersSleep = "timers" "sleep";
    TimersAfter = "timers" "after";
    TimersEvery = "timers" "every";
    TimersCancel = "timers" "cancel";
    TokensGet = "tokens" "get";
    UserJid = "user" "jid";
    UserBareJid = "user" "bare-jid";
    UserGetStatus = "user" "get-status";
    UserSetStatus = "user" "set-status";
    UserSetStatusMessage = "user" "set-status-message";
    UserLogin = "user" "login";
    UserLogout = "user" "logout";
    VcardGet = "vcard" "get";
    VcardSet = "vcard" "set";
    VcardUpdate = "vcard" "update";
    WebhooksAnswer = "webhooks" "answer";
    WebhooksAddress = "webhooks" "address";
}

impl CallName {
    /// The number of calls.
    pub const COUNT: usize = 174;

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
