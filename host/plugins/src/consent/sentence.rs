//! The sentence for each permission, with its scope in words.

use parlor_base::permission::Permission;
use parlor_session::permissions::Scope;

use super::words::{self, Servers, Words, is_everything};

/// The beginning of the entries for encrypted messages alone.
const ENCRYPTED: &str = "encrypted:";

/// Says what a plugin does with a permission.
pub(super) fn of(permission: Permission, scope: &Scope, words: &Words) -> String {
    let entries = &scope.entries()[..];
    match permission {
        Permission::ArchiveRead => old_messages(entries, words),
        Permission::MessagesRead => messages(entries, words),
        Permission::HooksCommands
        | Permission::HooksIncoming
        | Permission::HooksOutgoing
        | Permission::MessagesSend
        | Permission::VcardRead => about_people(permission, &words::people(entries), words),
        Permission::RoomsConfigure
        | Permission::RoomsJoin
        | Permission::RoomsModerate
        | Permission::RoomsRead
        | Permission::RoomsSend => about_rooms(permission, &words::rooms(entries), words),
        Permission::PubsubConfigure | Permission::PubsubPublish | Permission::PubsubRead => {
            about_nodes(permission, &words::nodes(entries, words.account), words)
        }
        Permission::FilesSend
        | Permission::IqAnswer
        | Permission::PluginsAnswer
        | Permission::PluginsCall
        | Permission::StanzaRead
        | Permission::StanzaSend
        | Permission::Storage => about_others(permission, entries, words),
        Permission::HttpFetch => {
            format!("Asks {}, and sends what it likes there, also of what it reads here.", Servers::of(scope).others())
        }
        // These have no scope, so their own words say everything.
        Permission::ChatsRead
        | Permission::ChatsWrite
        | Permission::ContactsRead
        | Permission::ContactsWrite
        | Permission::DiscoOwn
        | Permission::DiscoRead
        | Permission::FilesRead
        | Permission::SessionControl
        | Permission::SettingsRead
        | Permission::SettingsWrite
        | Permission::StatusRead
        | Permission::StatusWrite
        | Permission::TokensRead
        | Permission::VcardWrite
        | Permission::WebhooksReceive => described(permission, words),
    }
}

/// Says what a plugin does in the owner's own network. None: it reaches no server there.
pub(super) fn of_own_network(scope: &Scope) -> Option<String> {
    let own = Servers::of(scope).own;
    let what = "in your own network, and sends what it likes there, also of what it reads here";
    (!own.is_empty()).then(|| format!("Reaches {}, {what}.", words::listed(own)))
}

/// Returns whether all that a scope covers is in the owner's own network.
pub(super) fn is_in_own_network(scope: &Scope) -> bool {
    let Servers { public, plain, own } = Servers::of(scope);
    !own.is_empty() && public.is_empty() && plain.is_empty()
}

fn described(permission: Permission, words: &Words) -> String {
    permission.describe().replace("this account", words.account)
}

/// Describes a permission that has no better words, and its scope.
fn plainly(permission: Permission, with: &str, words: &Words) -> String {
    let described = described(permission, words);
    format!("{}: {with}.", described.trim_end_matches('.'))
}

/// The end of each sentence about a hook: an owner could think that nothing gets past it.
const UNANSWERED: &str = "If it cannot answer, also since somebody floods it,";
/// How to have the other fate.
const UNLESS: &str = "unless `on_failure = \"stop\"` stands under [hooks].";

fn about_people(permission: Permission, people: &str, words: &Words) -> String {
    let account = words.account;
    match permission {
        Permission::HooksCommands => format!(
            "As a hook, if you put it in the order: sees and refuses commands from {people} to other plugins, in rooms too, and \
             answers them in the name of {account}. {UNANSWERED} a command is carried out, {UNLESS}"
        ),
        Permission::HooksIncoming => format!(
            "As a hook, if you put it in the order: sees what comes from {people} before other plugins do, labels it, and hides \
             it from them. {UNANSWERED} a message passes, {UNLESS}"
        ),
        Permission::HooksOutgoing => format!(
            "As a hook, if you put it in the order: sees, changes and stops what other plugins send to {people}, in the name of \
             {account}. {UNANSWERED} a message is sent, {UNLESS}"
        ),
        Permission::MessagesSend => {
            format!(
                "Sends private messages to {people} in the name of {account}, and hears the answers to its questions."
            )
        }
        Permission::VcardRead => format!("Fetches the visiting cards of {people}."),
        other => plainly(other, people, words),
    }
}

fn about_rooms(permission: Permission, rooms: &str, words: &Words) -> String {
    let account = words.account;
    match permission {
        Permission::RoomsConfigure => format!("Configures and destroys {rooms}."),
        Permission::RoomsJoin => format!("Enters and leaves {rooms}, registers there, and asks for voice."),
        Permission::RoomsModerate => format!(
            "Moderates {rooms}: invites, kicks and bans people, gives them rights, retracts what they said, and sets the subject."
        ),
        Permission::RoomsRead => format!("Sees {rooms}: who is there, and invitations."),
        Permission::RoomsSend => {
            format!("Speaks in {rooms} in the name of {account}, and hears the answers to its questions.")
        }
        other => plainly(other, rooms, words),
    }
}

fn about_nodes(permission: Permission, nodes: &str, words: &Words) -> String {
    let account = words.account;
    match permission {
        Permission::PubsubConfigure => format!(
            "Creates, configures and deletes nodes of publish-subscribe in the name of {account}, and says who may read them: \
             {nodes}."
        ),
        Permission::PubsubPublish => {
            format!("Publishes and retracts items in nodes of publish-subscribe in the name of {account}: {nodes}.")
        }
        Permission::PubsubRead => format!(
            "Reads nodes of publish-subscribe and subscribes to them, and lets contacts know that {account} wants to be told of \
             them: {nodes}."
        ),
        other => plainly(other, nodes, words),
    }
}

fn about_others(permission: Permission, entries: &[String], words: &Words) -> String {
    let account = words.account;
    match permission {
        Permission::FilesSend => {
            let files = words::files(entries);
            format!("Uploads files to the server of {account}, for everybody who is given their address: {files}.")
        }
        Permission::IqAnswer => {
            let namespaces = words::namespaces(entries);
            format!(
                "Answers what others ask {account} in {namespaces}, in the name of {account}, and tells everybody so."
            )
        }
        Permission::PluginsAnswer => {
            format!("Answers what it is asked by {}, by what it was granted itself.", words::plugins(entries))
        }
        Permission::PluginsCall => {
            let plugins = words::plugins(entries);
            format!("Asks {plugins}, and tells what it likes there; the answers go by what was granted there.")
        }
        Permission::StanzaRead => {
            format!("Reads raw stanzas of {account}, with all that they carry: {}.", words::stanzas_read(entries))
        }
        Permission::StanzaSend => {
            let sent = words::stanzas_sent(entries);
            format!("Sends raw stanzas: {sent}. Whatever {account} may do by these, it may do.")
        }
        Permission::Storage => {
            format!("Keeps data of its own on this machine, at most {}.", words::listed(entries.iter().cloned()))
        }
        other => plainly(other, &words::listed(entries.iter().map(|entry| words::escaped(entry))), words),
    }
}

/// Splits the entries for all messages from those for encrypted ones alone.
pub(super) fn split(entries: &[String]) -> [Vec<String>; 2] {
    let (encrypted, open): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.starts_with(ENCRYPTED));
    let encrypted = encrypted.into_iter().map(|entry| entry[ENCRYPTED.len()..].to_owned());
    [open.into_iter().cloned().collect(), encrypted.collect()]
}

fn messages(entries: &[String], words: &Words) -> String {
    let Words { account, rooms } = words;
    let [open, encrypted] = split(entries);
    if is_everything(&open) {
        return format!(
            "Reads everything that anybody writes to {account} and in {rooms}, encrypted messages too, as their authors wrote them."
        );
    }
    let mut parts = Vec::new();
    if !open.is_empty() {
        parts.push(format!(
            "everything that comes to {account} from {}, encrypted messages too, as their authors wrote them, and of a room \
             among these what occupants say to {account} alone",
            words::people(&open)
        ));
    }
    if is_everything(&encrypted) {
        parts.push(format!("each encrypted message that anybody writes to {account} and in {rooms}"));
    } else if !encrypted.is_empty() {
        parts.push(format!("the encrypted messages from {}", words::people(&encrypted)));
    }
    format!("Reads {}.", parts.join("; and "))
}

fn old_messages(entries: &[String], words: &Words) -> String {
    let Words { account, rooms } = words;
    let [open, encrypted] = split(entries);
    if is_everything(&open) {
        return format!(
            "Reads old messages from the archives of servers: all that {account} wrote and got, and those of {rooms}."
        );
    }
    let mut parts = Vec::new();
    if !open.is_empty() {
        parts.push(format!("those with {}", words::people(&open)));
    }
    if !encrypted.is_empty() {
        parts.push(format!("the encrypted ones with {}", words::people(&encrypted)));
    }
    format!("Reads old messages from the archives of servers, in both directions: {}.", parts.join(", and "))
}
