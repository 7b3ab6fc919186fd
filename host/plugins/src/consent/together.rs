//! The sentence about permissions that do more together: by some a plugin learns what it can pass on by others.

use jid::Jid;
use parlor_base::permission::{Permission, Risk};
use parlor_session::permissions::{Grants, Scope};

use super::Sentence;
use super::sentence::split;
use super::words::{self, Servers, Words, each_of_few, few, is_everything};

/// Something that a plugin learns.
struct Source {
    permission: Permission,
    what: String,
    /// Whether it reveals what people write, directly or indirectly.
    is_private: bool,
    /// The one address that said all of it.
    only: Option<Jid>,
}

/// Somebody who gets what a plugin passes on.
struct Sink {
    permission: Permission,
    to: Vec<String>,
    /// Whether these are people whom the account knows, or plugins, which have grants of their own.
    is_known: bool,
    /// The one address that gets it.
    only: Option<Jid>,
}

/// Says what these grants allow together; none if that is nothing, or if no permission that is new takes part.
pub(super) fn sentence(grants: &Grants, is_new: impl Fn(Permission) -> bool, words: &Words) -> Option<Sentence> {
    let sources: Vec<_> = grants.iter().filter_map(|(permission, scope)| source(permission, scope, words)).collect();
    let is_told_already = |sink: &Sink| {
        let theirs = sink.only.as_ref().filter(|_| sink.permission == Permission::MessagesSend);
        theirs.is_some_and(|jid| sources.iter().all(|source| source.only.as_ref() == Some(jid)))
    };
    let sinks = grants.iter().filter_map(|(permission, scope)| sink(permission, scope, words));
    let sinks: Vec<_> = sinks.filter(|sink| !is_told_already(sink)).collect();
    let mut permissions: Vec<_> = sources.iter().map(|source| source.permission).collect();
    permissions.extend(sinks.iter().map(|sink| sink.permission));
    permissions.sort_unstable();
    permissions.dedup();
    let takes_part = permissions.len() > 1 && permissions.iter().any(|permission| is_new(*permission));
    if sources.is_empty() || sinks.is_empty() || !takes_part {
        return None;
    }
    let stays = |sink: &Sink| {
        let is_theirs = |source: &Source| sink.only.is_some() && source.only == sink.only;
        sink.is_known || sources.iter().all(is_theirs)
    };
    let leaks = sources.iter().any(|source| source.is_private) && !sinks.iter().all(stays);
    let risk = if leaks { Risk::High } else { Risk::Medium };
    let what = words::listed(once(sources.into_iter().map(|source| source.what)));
    let to = words::listed(once(sinks.into_iter().flat_map(|sink| sink.to)));
    Some(Sentence { risk, text: format!("Together: reads {what}; can send it to {to}."), permissions })
}

/// Leaves out what was there before.
fn once(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut once = Vec::new();
    for one in all {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}

/// Returns what a plugin learns by a permission that is worth passing on.
fn source(permission: Permission, scope: &Scope, words: &Words) -> Option<Source> {
    let private = |what: String| Some((what, true));
    let known = |what: &str| Some((what.to_owned(), false));
    let (what, is_private) = match permission {
        Permission::ArchiveRead => private("old messages".to_owned()),
        Permission::HooksCommands => private("commands to other plugins".to_owned()),
        Permission::HooksIncoming => private("what comes to other plugins".to_owned()),
        Permission::HooksOutgoing => private("what other plugins send".to_owned()),
        Permission::MessagesRead => private(messages(&scope.entries(), words)),
        Permission::StanzaRead => private("raw stanzas".to_owned()),
        Permission::TokensRead => private("the tokens of the session".to_owned()),
        Permission::ContactsRead => known("the contact list"),
        Permission::FilesRead => known("files in messages"),
        Permission::PluginsCall => known("what other plugins answer"),
        Permission::PubsubRead => known("nodes of publish-subscribe"),
        Permission::RoomsRead => known("who is in rooms"),
        Permission::VcardRead => known("visiting cards"),
        Permission::ChatsRead
        | Permission::ChatsWrite
        | Permission::ContactsWrite
        | Permission::DiscoOwn
        | Permission::DiscoRead
        | Permission::FilesSend
        | Permission::HttpFetch
        | Permission::IqAnswer
        | Permission::MessagesSend
        | Permission::PluginsAnswer
        | Permission::PubsubConfigure
        | Permission::PubsubPublish
        | Permission::RoomsConfigure
        | Permission::RoomsJoin
        | Permission::RoomsModerate
        | Permission::RoomsSend
        | Permission::SessionControl
        | Permission::SettingsRead
        | Permission::SettingsWrite
        | Permission::StanzaSend
        | Permission::StatusRead
        | Permission::StatusWrite
        | Permission::Storage
        | Permission::VcardWrite
        | Permission::WebhooksReceive => None,
    }?;
    Some(Source { permission, what, is_private, only: scope.one_address() })
}

fn messages(entries: &[String], words: &Words) -> String {
    let [open, encrypted] = split(entries);
    let Words { account, rooms } = words;
    let everything = format!("that anybody writes to {account} and in {rooms}");
    let addresses = |entries: &[String]| few(entries, words::people, "addresses");
    match (open.is_empty(), encrypted.is_empty()) {
        _ if is_everything(&open) => format!("everything {everything}"),
        _ if is_everything(&encrypted) => format!("each encrypted message {everything}"),
        (true, _) => format!("encrypted messages from {}", addresses(&encrypted)),
        (false, true) => format!("what comes from {}", addresses(&open)),
        (false, false) => format!("what comes from {}", addresses(&[open, encrypted].concat())),
    }
}

/// Returns who gets what a plugin passes on by a permission.
fn sink(permission: Permission, scope: &Scope, words: &Words) -> Option<Sink> {
    let entries = &scope.entries()[..];
    let addresses = || each_of_few(entries, words::people, "addresses");
    let to = match permission {
        Permission::FilesSend => vec!["anybody who has the address of an uploaded file".to_owned()],
        Permission::HooksCommands | Permission::HooksOutgoing | Permission::MessagesSend => addresses(),
        Permission::HttpFetch => Servers::of(scope).each_of_few(),
        Permission::IqAnswer => vec![format!("anybody who asks {}", words.account)],
        Permission::PluginsAnswer | Permission::PluginsCall => vec!["other plugins".to_owned()],
        Permission::PubsubConfigure | Permission::PubsubPublish => {
            vec!["readers of nodes of publish-subscribe".to_owned()]
        }
        Permission::RoomsConfigure | Permission::RoomsModerate | Permission::RoomsSend => {
            each_of_few(entries, words::rooms, "rooms")
        }
        Permission::StanzaSend => each_of_few(&words::recipients(entries), words::people, "addresses"),
        Permission::StatusWrite => vec![format!("those who see the status of {}", words.account)],
        Permission::VcardWrite => vec![format!("those who look at the visiting card of {}", words.account)],
        Permission::WebhooksReceive => vec!["whoever calls its webhooks".to_owned()],
        Permission::ArchiveRead
        | Permission::ChatsRead
        | Permission::ChatsWrite
        | Permission::ContactsRead
        | Permission::ContactsWrite
        | Permission::DiscoOwn
        | Permission::DiscoRead
        | Permission::FilesRead
        | Permission::HooksIncoming
        | Permission::MessagesRead
        | Permission::PubsubRead
        | Permission::RoomsJoin
        | Permission::RoomsRead
        | Permission::SessionControl
        | Permission::SettingsRead
        | Permission::SettingsWrite
        | Permission::StanzaRead
        | Permission::StatusRead
        | Permission::Storage
        | Permission::TokensRead
        | Permission::VcardRead => return None,
    };
    let is_known = match permission {
        Permission::PluginsAnswer | Permission::PluginsCall => true,
        _ => !entries.is_empty() && entries.iter().all(|entry| entry == "contacts"),
    };
    Some(Sink { permission, to, is_known, only: scope.one_address() })
}
