//! The table of the permission that each call and each event needs. Admission, router, calls, docs and tests use it.
//!
//! It already has rows for groupings whose contract is not written yet, so that a plugin can request them by their
//! future names.

mod depends;
mod events;

use std::collections::HashMap;
use std::sync::LazyLock;

use parlor_base::permission::Permission::{
    self, ArchiveRead, ChatsRead, ChatsWrite, ContactsRead, ContactsWrite, DiscoOwn, DiscoRead, FilesRead, FilesSend,
    HooksIncoming, HooksOutgoing, HttpFetch, IqAnswer, MessagesSend, PluginsAnswer, PluginsCall, PubsubConfigure,
    PubsubPublish, PubsubRead, RoomsConfigure, RoomsJoin, RoomsModerate, RoomsRead, RoomsSend, SessionControl,
    SettingsRead, SettingsWrite, StanzaRead, StanzaSend, StatusRead, StatusWrite, Storage, TokensRead, VcardRead,
    VcardWrite, WebhooksReceive,
};
use parlor_base::permission::{Need, UnknownPermission};

use super::call_name::CallName;

pub use depends::{Depends, Rank};
pub use events::{EVENTS, EventRule, event};

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
    /// Its condition in addition to the permission and the connection.
    pub depends: Depends,
}

/// A row whose conditions are not stated yet.
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
        Addable, Archive, AskedOfRoom, Blockable, Bookmark, Bookmarkable, Bookmarks, Contact, Enterable, Event, InRoom,
        MayEnter, NewChat, Nothing, OpenChat, OpenRoom, Otr, OwnCard, Person, Request, Rooms, Roster, Setting, Subject,
        Tokens,
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
        needs(MessagesSend, CallName::ChatsInitiateOtr).online(Otr),
        needs(MessagesSend, CallName::ChatsEndOtr).online(Otr),
        needs(MessagesSend, CallName::ChatsSend).online(Person),
        needs(ChatsRead, CallName::ChatviewsGet).local(Nothing),
        needs(ChatsRead, CallName::ChatviewsGetMany).local(Nothing),
        free(CallName::CommandsDeclare).local(Nothing),
        // The session checks that the plugin may send to the person of the form.
        free(CallName::CommandsAnswer).local(Nothing),
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
        needs(ContactsWrite, CallName::ContactsBlock).online(Blockable),
        needs(ContactsWrite, CallName::ContactsUnblock).online(Nothing),
        needs(ContactsRead, CallName::ContactsBlocked).online(Nothing),
        needs(MessagesSend, CallName::DialogsAsk).online(Person),
        needs(RoomsSend, CallName::DialogsAskInRoom).online(InRoom),
        needs(MessagesSend, CallName::DialogsBegin).online(Person),
        needs(RoomsSend, CallName::DialogsBeginInRoom).online(InRoom),
        free(CallName::DialogsTake).local(Nothing),
        free(CallName::DialogsWait).local(Nothing),
        free(CallName::DialogsCancel).local(Nothing),
        needs(DiscoOwn, CallName::DiscoOwnFeaturesAdd).local(Nothing),
        needs(DiscoOwn, CallName::DiscoOwnFeaturesGet).local(Nothing),
        needs(DiscoOwn, CallName::DiscoOwnIdentitiesAdd).local(Nothing),
        needs(DiscoOwn, CallName::DiscoOwnIdentitiesGet).local(Nothing),
        needs(DiscoOwn, CallName::DiscoOwnIdentitiesClear).local(Nothing),
        needs(DiscoRead, CallName::DiscoGetIdentity).online(Nothing),
        needs(DiscoRead, CallName::DiscoSupports).online(Nothing),
        needs(DiscoRead, CallName::DiscoLastActivity).online(Nothing),
        needs(DiscoRead, CallName::DiscoTime).online(Nothing),
        needs(DiscoRead, CallName::DiscoVersion).online(Nothing),
        needs(FilesSend, CallName::FilesUpload).online(Nothing),
        needs(FilesSend, CallName::FilesUploadEncrypted).online(Nothing),
        needs(FilesSend, CallName::FilesWrite).local(Nothing),
        needs(FilesSend, CallName::FilesFinish).local(Nothing),
        needs(FilesRead, CallName::FilesOpen).local(Nothing),
        needs(FilesRead, CallName::FilesRead).local(Nothing),
        free(CallName::FilesClose).local(Nothing),
        // A verdict needs a question, which needs the grant.
        free(CallName::HooksAllow).local(Nothing),
        needs(HooksOutgoing, CallName::HooksAlter).local(Nothing),
        free(CallName::HooksStop).local(Nothing),
        needs(HooksIncoming, CallName::HooksMark).local(Nothing),
        needs(HttpFetch, CallName::HttpFetch).local(Nothing),
        needs(HttpFetch, CallName::HttpOpen).local(Nothing),
        needs(HttpFetch, CallName::HttpWrite).local(Nothing),
        needs(HttpFetch, CallName::HttpAnswer).local(Nothing),
        needs(HttpFetch, CallName::HttpRead).local(Nothing),
        free(CallName::HttpClose).local(Nothing),
        needs(IqAnswer, CallName::IqAnswer).online(Nothing),
        needs(IqAnswer, CallName::IqRefuse).online(Nothing),
        // Subscribing is free; an event that needs a grant has its own row below.
        free(CallName::ListenOn).local(Event),
        free(CallName::ListenOnce).local(Event),
        free(CallName::ListenNot).local(Nothing),
        free(CallName::LogWrite).local(Nothing),
        needs(PluginsCall, CallName::PluginsCall).local(Nothing),
        needs(PluginsAnswer, CallName::PluginsAnswer).local(Nothing),
        needs(PluginsAnswer, CallName::PluginsRefuse).local(Nothing),
        free(CallName::PromisesAdd).local(Nothing),
        free(CallName::PromisesAddAll).local(Nothing),
        free(CallName::PromisesReject).local(Nothing),
        needs(PubsubPublish, CallName::PubsubPublish).online(Nothing),
        needs(PubsubPublish, CallName::PubsubRetract).online(Nothing),
        needs(PubsubRead, CallName::PubsubItems).online(Nothing),
        needs(PubsubRead, CallName::PubsubItem).online(Nothing),
        needs(PubsubRead, CallName::PubsubSubscribe).online(Nothing),
        needs(PubsubRead, CallName::PubsubUnsubscribe).online(Nothing),
        needs(PubsubConfigure, CallName::PubsubCreate).online(Nothing),
        needs(PubsubConfigure, CallName::PubsubConfigure).online(Nothing),
        needs(PubsubConfigure, CallName::PubsubPurge).online(Nothing),
        needs(PubsubConfigure, CallName::PubsubDelete).online(Nothing),
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
        needs(RoomsModerate, CallName::RoomsRetract).online(AskedOfRoom(Rank::Moderator)),
        needs(RoomsJoin, CallName::RoomsRequestVoice).online(Subject),
        needs(RoomsModerate, CallName::RoomsAnswerVoice).online(AskedOfRoom(Rank::Moderator)),
        needs(RoomsJoin, CallName::RoomsRegister).online(Rooms),
        needs(RoomsJoin, CallName::RoomsUnregister).online(Rooms),
        needs(RoomsRead, CallName::RoomsReservedNick).online(Rooms),
        needs(RoomsModerate, CallName::RoomsInvite).online(AskedOfRoom(Rank::Occupant)),
        needs(RoomsJoin, CallName::RoomsDecline).online(Rooms),
        needs(RoomsConfigure, CallName::RoomsConfigure).online(AskedOfRoom(Rank::Owner)),
        needs(RoomsConfigure, CallName::RoomsDestroy).online(AskedOfRoom(Rank::Owner)),
        needs(RoomsRead, CallName::RoomsBookmarks).local(Bookmarks),
        needs(RoomsJoin, CallName::RoomsSetBookmark).online(Bookmarkable),
        needs(RoomsJoin, CallName::RoomsRemoveBookmark).online(Bookmark),
        free(CallName::SchedulesEvery).local(Nothing),
        free(CallName::SchedulesAt).local(Nothing),
        free(CallName::SchedulesCron).local(Nothing),
        free(CallName::SchedulesList).local(Nothing),
        free(CallName::SchedulesCancel).local(Nothing),
        free(CallName::SchedulesToLocal).local(Nothing),
        free(CallName::SchedulesFormat).local(Nothing),
        free(CallName::SchedulesParse).local(Nothing),
        // A plugin's own settings are free; the host's settings need `settings.read` and `settings.write`, by key.
        free(CallName::SettingsGet).local(Nothing),
        free(CallName::SettingsGetIn).local(Nothing),
        free(CallName::SettingsSet).local(Setting),
        free(CallName::SettingsSetMany).local(Setting),
        free(CallName::SettingsUpdate).local(Setting),
        needs(Storage, CallName::StorageGet).local(Nothing),
        needs(Storage, CallName::StorageSet).local(Nothing),
        needs(Storage, CallName::StorageDelete).local(Nothing),
        needs(Storage, CallName::StorageList).local(Nothing),
        needs(Storage, CallName::StorageEntries).local(Nothing),
        needs(Storage, CallName::StorageCompareAndSet).local(Nothing),
        needs(Storage, CallName::StorageRange).local(Nothing),
        needs(Storage, CallName::StorageAdd).local(Nothing),
        needs(Storage, CallName::StorageChange).local(Nothing),
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
        needs(WebhooksReceive, CallName::WebhooksAnswer).local(Nothing),
        needs(WebhooksReceive, CallName::WebhooksAddress).local(Nothing),
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
    // The host lists a command and answers wrong ones only in chats and rooms where its plugin may send.
    needs(MessagesSend, CallName::CommandsDeclare).besides(),
    needs(RoomsSend, CallName::CommandsDeclare).besides(),
    needs(MessagesSend, CallName::CommandsAnswer).besides(),
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
    needs(SettingsRead, CallName::SettingsGetIn).besides(),
    needs(SettingsWrite, CallName::SettingsSet).besides(),
    needs(SettingsWrite, CallName::SettingsSetMany).besides(),
    needs(SettingsWrite, CallName::SettingsUpdate).besides(),
];

/// Returns the row of a call; none = the call does not exist.
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

#[cfg(test)]
mod tests;
