//! The rooms and the people of accounts on the control socket: showing them, and entering and leaving rooms.

use std::fmt::Write as _;
use std::sync::Arc;

use jid::{BareJid, Jid};
use parlor_base::escape::escape_untrusted;
use parlor_base::id::InstanceId;
use parlor_base::nearest::{nearest, suggestion};
use parlor_base::permission::{Permission, ScopeKind};
use parlor_runtime::account::room_news::remedy;
use parlor_runtime::account::{Asker, Shared};
use parlor_session::permissions::{Granted, Target};
use parlor_session::{
    ChangeContact, CloseRoom, ContactChange, Departure, OpenRoom, RemoveBookmark, RoomOptions, RoomRecord, RoomState,
    SendMessage, SetBookmark, Snapshot,
};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Actor, Bookmark, Draft, MessageKind};
use parlor_store::By;

use super::audit;
use super::refusal::Refusal;
use super::request::Request;
use super::views::{Left, People, Person, Room, RoomPlugin, Said, Status};
use crate::host::{Host, PluginStatus};

/// The most of a stranger's text that is shown, in bytes.
const LONGEST: usize = 1 << 10;
/// The longest message that an owner sends, in bytes. A request's head has room for it, also where each byte is escaped.
const LONGEST_WORDS: usize = 4 << 10;
/// The permissions with which a plugin sees a room or acts there.
const IN_ROOMS: [Permission; 6] = [
    Permission::MessagesRead,
    Permission::RoomsConfigure,
    Permission::RoomsJoin,
    Permission::RoomsModerate,
    Permission::RoomsRead,
    Permission::RoomsSend,
];

/// Returns the rooms of an account, without the plugins in them.
pub(super) fn of(account: &Shared) -> Vec<Room> {
    let snapshot = account.snapshot();
    snapshot.room_records.rooms.iter().map(|(jid, record)| room_view(account, &snapshot, jid, record)).collect()
}

/// Returns how often an account was put out of a room or not let in, by the reason.
pub(super) fn departures(account: &Shared) -> impl Iterator<Item = (String, u64)> {
    let departures = account.snapshot().room_records.departures.clone();
    departures.into_iter().map(|(why, count)| (why.to_owned(), count))
}

fn room_view(account: &Shared, snapshot: &Snapshot, jid: &BareJid, record: &RoomRecord) -> Room {
    let open = snapshot.rooms.get(jid);
    let inside = open.filter(|room| room.joined);
    let listed = account.settings().auto_join_rooms.iter().any(|room| room.jid == *jid);
    let bookmarked = snapshot.bookmarks.as_ref().is_ok_and(|all| all.get(jid).is_some_and(|one| one.autojoin));
    Room {
        account: account.name.to_string(),
        node: None,
        room: jid.to_string(),
        state: record.state.as_str().to_owned(),
        kept: listed || bookmarked,
        nick: open.map(|room| escape_untrusted(&room.nick, LONGEST)),
        role: inside.map(|room| escape_untrusted(&room.role, LONGEST)),
        affiliation: inside.map(|room| escape_untrusted(&room.affiliation, LONGEST)),
        occupants: inside.map(|room| room.occupants.len() as u64),
        since: record.since.filter(|_| inside.is_some()).map(|since| since.to_string()),
        next: record.next.map(|next| next.to_string()),
        left: record.departure.as_deref().map(left_view),
        remedy: (record.state == RoomState::Out).then(|| remedy(jid, record)).filter(|remedy| !remedy.is_empty()),
        plugins: Vec::new(),
    }
}

fn left_view(departure: &Departure) -> Left {
    let name = |actor: &Actor| actor.nick.clone().or_else(|| actor.jid.as_ref().map(ToString::to_string));
    let by = departure.actor.as_ref().and_then(name);
    Left {
        at: departure.at.to_string(),
        why: departure.why.to_owned(),
        reason: departure.reason.as_deref().map(|reason| escape_untrusted(reason, LONGEST)),
        by: by.map(|by| escape_untrusted(&by, LONGEST)),
        instead: departure.alternative.as_ref().map(ToString::to_string),
    }
}

/// Returns the rooms of all accounts, or of one, with the plugins that may do something in them.
pub(super) async fn list(host: &Host, request: &Request) -> Result<Vec<Room>, Refusal> {
    let accounts = accounts(host, request)?;
    let plugins = host.status().await;
    let mut rooms = Vec::new();
    for account in accounts {
        rooms.extend(of(&account).into_iter().map(|room| with_plugins(room, &account, &plugins)));
    }
    Ok(rooms)
}

/// Returns a room with the plugins that may do something in it.
fn with_plugins(mut room: Room, account: &Shared, plugins: &[PluginStatus]) -> Room {
    let Ok(jid) = BareJid::new(&room.room) else { return room };
    let snapshot = account.snapshot();
    let is_contact = |jid: &BareJid| snapshot.is_contact(jid);
    let here = plugins.iter().filter(|one| one.account.as_ref() == Some(&account.name));
    let may = here.filter_map(|one| {
        let grants = one.grants.as_ref()?;
        if grants.keeps_from(Target::Room(&jid), &|_| false) {
            return None;
        }
        let covers = |permission: &Permission| {
            let is_of_rooms = permission.scope_kind() == ScopeKind::Rooms;
            let target = if is_of_rooms { Target::Room(&jid) } else { Target::Jid(&jid) };
            grants.may_do(*permission, target, &is_contact)
        };
        let may: Vec<_> = IN_ROOMS.iter().filter(|one| covers(one)).map(ToString::to_string).collect();
        (!may.is_empty()).then(|| RoomPlugin { plugin: one.id.to_string(), may })
    });
    room.plugins = may.collect();
    room
}

/// Returns a room of an account as it is now.
async fn current(host: &Host, account: &Shared, jid: &BareJid) -> Room {
    let plugins = host.status().await;
    let snapshot = account.snapshot();
    let never = RoomRecord { state: RoomState::Out, since: None, next: None, departure: None, entered: false };
    let record = snapshot.room_records.rooms.get(jid).map_or(&never, |record| &**record);
    with_plugins(room_view(account, &snapshot, jid, record), account, &plugins)
}

/// Returns the room that a request names.
pub(super) async fn show(host: &Host, request: &Request) -> Result<Room, Refusal> {
    let jid = room(request)?;
    let account = account_with(host, request, &jid)?;
    if knows(&account, &jid) { Ok(current(host, &account, &jid).await) } else { Err(unknown(&account, &jid)) }
}

/// Has an account enter a room, and waits until it is in it.
pub(super) async fn join(host: &Host, request: &Request, by: &By) -> Result<Room, Refusal> {
    let jid = room(request)?;
    let account = account_with(host, request, &jid)?;
    let is_new = request.value("new") == Some("true");
    let near = near(&account, &jid).filter(|_| !is_new && !knows(&account, &jid));
    if let Some(near) = near {
        // A server creates a room that does not exist.
        let says = format!(
            "account {} does not know the room {jid}, but {near}: did you mean that? `--new` enters the other one all the same",
            account.name
        );
        return Err(Refusal::Value(says));
    }
    let nick = request.value("nick").map(str::to_owned);
    tracing::info!(account = %account.name, room = %jid, "the owner has the account enter a room");
    let options = RoomOptions { nick: nick.clone(), ..RoomOptions::default() };
    let open = OpenRoom { by: InstanceId::next(), jid: jid.clone(), options };
    let entering = async {
        account.ask(Asker::Host, &Granted::HOST, open).await.map_err(|error| not_done(&error))?;
        if request.value("bookmark") == Some("true") {
            let set = SetBookmark { bookmark: bookmark(&account, &jid, nick) };
            account.ask(Asker::Host, &Granted::HOST, set).await.map_err(|error| not_done(&error))?;
        }
        Ok::<_, Refusal>(())
    };
    audit::recorded(host, request, by, &[&account.name], entering).await?;
    Ok(current(host, &account, &jid).await)
}

/// Returns the bookmark of a room that is entered at each log-in. Data of other clients in it stays.
fn bookmark(account: &Shared, jid: &BareJid, nick: Option<String>) -> Bookmark {
    let snapshot = account.snapshot();
    let known = snapshot.bookmarks.as_ref().ok().and_then(|all| all.get(jid));
    let new = || Bookmark {
        room: jid.clone(),
        name: None,
        autojoin: true,
        nick: None,
        password: None,
        extensions: None,
        is_cut: false,
    };
    let known = known.map_or_else(new, |known| Bookmark::clone(known));
    Bookmark { autojoin: true, nick: nick.or_else(|| known.nick.clone()), ..known }
}

/// Has an account leave a room, and waits until it has.
pub(super) async fn leave(host: &Host, request: &Request, by: &By) -> Result<Room, Refusal> {
    let jid = room(request)?;
    let account = account_with(host, request, &jid)?;
    let (is_open, is_bookmarked) = {
        let snapshot = account.snapshot();
        let is_bookmarked = snapshot.bookmarks.as_ref().is_ok_and(|all| all.contains_key(&jid));
        (snapshot.rooms.contains_key(&jid), is_bookmarked)
    };
    let unbookmarks = is_bookmarked && request.value("bookmark") == Some("true");
    if !is_open && !unbookmarks {
        return Err(unknown(&account, &jid));
    }
    tracing::info!(account = %account.name, room = %jid, "the owner has the account leave a room");
    let leaving = async {
        if is_open {
            let close = CloseRoom { by: InstanceId::next(), jid: jid.clone() };
            account.ask(Asker::Host, &Granted::HOST, close).await.map_err(|error| not_done(&error))?;
        }
        if unbookmarks {
            let remove = RemoveBookmark { jid: jid.clone() };
            account.ask(Asker::Host, &Granted::HOST, remove).await.map_err(|error| not_done(&error))?;
        }
        Ok::<_, Refusal>(())
    };
    audit::recorded(host, request, by, &[&account.name], leaving).await?;
    Ok(current(host, &account, &jid).await)
}

/// Returns the contacts of all accounts, or of one, or this person in them.
pub(super) fn people(host: &Host, request: &Request) -> Result<Vec<People>, Refusal> {
    let only = request.value("jid").map(person).transpose()?;
    Ok(accounts(host, request)?.iter().map(|account| people_of(account, only.as_ref())).collect())
}

/// Returns the contacts of an account, or this one of them.
fn people_of(account: &Shared, only: Option<&BareJid>) -> People {
    let snapshot = account.snapshot();
    let contacts = snapshot.contacts.iter().flat_map(|contacts| contacts.values());
    let contacts = contacts.filter(|one| only.is_none_or(|only| one.jid == *only)).map(|one| Person {
        jid: one.jid.to_string(),
        name: escape_untrusted(&one.fullname, LONGEST),
        subscription: escape_untrusted(&one.subscription, LONGEST),
        status: one.chat_status().to_owned(),
        asks: one.requesting,
        groups: one.groups.iter().map(|group| escape_untrusted(group, LONGEST)).collect(),
    });
    People {
        account: account.name.to_string(),
        node: None,
        known: snapshot.contacts.is_some(),
        contacts: contacts.collect(),
    }
}

/// Grants (`accepts`) or denies the request of a person to see an account's presence, and returns the contacts of the account.
pub(super) async fn answer(host: &Host, request: &Request, accepts: bool, by: &By) -> Result<Vec<People>, Refusal> {
    let text = request.value("jid").ok_or_else(|| Refusal::Value("`jid` is the address of a person".to_owned()))?;
    let jid = person(text)?;
    let is_asked = |one: &Arc<Shared>| {
        let snapshot = one.snapshot();
        snapshot.contacts.as_ref().is_some_and(|all| all.get(&jid).is_some_and(|person| person.requesting))
    };
    let mut asked: Vec<_> = host.accounts().into_iter().filter(is_asked).collect();
    let is_clear = request.value("account").is_none() && asked.len() == 1;
    let account = if is_clear { asked.remove(0) } else { account(host, request)? };
    if !is_asked(&account) {
        return Err(Refusal::Value(format!(
            "{jid} does not ask account {} to be a contact: `parlor contacts` lists who asks",
            account.name
        )));
    }
    let change = ChangeContact { jid, change: if accepts { ContactChange::Accept } else { ContactChange::Deny } };
    let changing = async { account.ask(Asker::Host, &Granted::HOST, change).await.map_err(|error| not_done(&error)) };
    audit::recorded(host, request, by, &[&account.name], changing).await?;
    Ok(vec![people_of(&account, None)])
}

/// Sends a message to a room or a person, as the account.
pub(super) async fn say(host: &Host, request: &Request, by: &By) -> Result<Said, Refusal> {
    let to = request.value("to").ok_or_else(|| Refusal::Value("`to` is an address".to_owned()))?;
    let to = Jid::new(to).map_err(|error| no_address(to, &error.to_string()))?;
    let words = request.value("text").ok_or_else(|| Refusal::Value("`text` is what to say".to_owned()))?;
    if words.len() > LONGEST_WORDS {
        return Err(Refusal::Value(format!("a message has at most {LONGEST_WORDS} bytes here, not {}", words.len())));
    }
    let bare = to.to_bare();
    let account = account_with(host, request, &bare)?;
    let is_room = account.snapshot().rooms.contains_key(&bare);
    let is_known = is_room || account.snapshot().is_contact(&bare) || account.snapshot().chats.contains_key(&bare);
    if !is_known && request.value("new") != Some("true") {
        let near = suggestion(near(&account, &bare).as_deref());
        // A name alone is hardly meant as the domain of that name.
        let remedy = if to.node().is_none() {
            "write the whole address, such as name@example.org; `--new` writes to the domain itself"
        } else {
            "`--new` writes there all the same"
        };
        return Err(Refusal::Value(format!(
            "{to} is no room that account {} is in, and no contact of it{near}: {remedy}",
            account.name
        )));
    }
    let kind = if is_room && to.is_bare() { MessageKind::Groupchat } else { MessageKind::Chat };
    let draft = Draft { body: Some(words.to_owned()), ..Draft::default() };
    tracing::info!(account = %account.name, %to, "the owner speaks as the account");
    let send = SendMessage { to: to.clone(), kind, draft };
    let sending = async { account.ask(Asker::Host, &Granted::HOST, send).await.map_err(|error| not_done(&error)) };
    let id = audit::recorded(host, request, by, &[&account.name], sending).await?;
    let queued = !account.snapshot().connected;
    Ok(Said { account: account.name.to_string(), to: to.to_string(), id, queued })
}

fn not_done(error: &CallError) -> Refusal {
    Refusal::NotDone(escape_untrusted(&error.to_string(), LONGEST))
}

fn no_address(text: &str, reason: &str) -> Refusal {
    Refusal::Value(format!("{:?} is no address: {reason}", escape_untrusted(text, LONGEST)))
}

/// Returns the address of a person.
fn person(text: &str) -> Result<BareJid, Refusal> {
    BareJid::new(text).map_err(|error| no_address(text, &error.to_string()))
}

/// Returns the room that a request names.
fn room(request: &Request) -> Result<BareJid, Refusal> {
    let text = request.value("room").ok_or_else(|| Refusal::Value("`room` is the address of a room".to_owned()))?;
    let jid = BareJid::new(text).map_err(|error| no_address(text, &error.to_string()))?;
    if jid.node().is_none() {
        return Err(no_address(text, "it is a service; a room has a name before an @"));
    }
    Ok(jid)
}

/// Returns all accounts, or the one that a request names.
fn accounts(host: &Host, request: &Request) -> Result<Vec<Arc<Shared>>, Refusal> {
    if request.value("account").is_some() { account(host, request).map(|one| vec![one]) } else { Ok(host.accounts()) }
}

/// Returns the account that a request names, or the only one.
fn account(host: &Host, request: &Request) -> Result<Arc<Shared>, Refusal> {
    let mut all = host.accounts();
    let names: Vec<_> = all.iter().map(|one| one.name.to_string()).collect();
    match request.value("account") {
        Some(name) => {
            let unknown = || {
                let near = suggestion(nearest(name, names.iter().map(String::as_str)));
                Refusal::NoAccount(format!("{}{near}", escape_untrusted(name, LONGEST)))
            };
            all.into_iter().find(|one| one.name.to_string() == name).ok_or_else(unknown)
        }
        None if all.len() == 1 => Ok(all.remove(0)),
        None => Err(Refusal::Value(format!("name the account with --account: {}", names.join(", ")))),
    }
}

/// Returns the account that a request names, or the only one that knows this address, or the only one.
fn account_with(host: &Host, request: &Request, jid: &BareJid) -> Result<Arc<Shared>, Refusal> {
    let mut knowing: Vec<_> = host.accounts().into_iter().filter(|one| knows(one, jid)).collect();
    if request.value("account").is_none() && knowing.len() == 1 {
        return Ok(knowing.remove(0));
    }
    account(host, request)
}

/// Returns whether an account knows a room, or has a contact of this address.
fn knows(account: &Shared, jid: &BareJid) -> bool {
    let snapshot = account.snapshot();
    snapshot.room_records.rooms.contains_key(jid)
        || snapshot.is_contact(jid)
        || snapshot.bookmarks.as_ref().is_ok_and(|all| all.contains_key(jid))
        || account.settings().auto_join_rooms.iter().any(|room| room.jid == *jid)
}

/// Returns the known room or contact whose address is nearest to this one.
fn near(account: &Shared, jid: &BareJid) -> Option<String> {
    let snapshot = account.snapshot();
    let rooms = snapshot.room_records.rooms.keys();
    let bookmarks = snapshot.bookmarks.iter().flat_map(|all| all.keys());
    let contacts = snapshot.contacts.iter().flat_map(|all| all.keys());
    let known = rooms.chain(bookmarks).chain(contacts).filter(|known| *known != jid);
    nearest(jid.as_str(), known.map(|known| known.as_str())).map(str::to_owned)
}

/// Returns the refusal for a room that an account does not know.
fn unknown(account: &Shared, jid: &BareJid) -> Refusal {
    let near = suggestion(near(account, jid).as_deref());
    Refusal::NoRoom(format!("account {} is not in the room {jid}{near}", account.name))
}

/// Writes how many rooms the accounts are in, and how often they were put out. No room is named.
pub(super) fn metrics(status: &Status) -> String {
    let mut text = "# HELP parlor_rooms Rooms of the account, by how it stands in them.\n\
                    # TYPE parlor_rooms gauge\n"
        .to_owned();
    for account in &status.accounts {
        for state in RoomState::ALL.map(RoomState::as_str) {
            let count = account.rooms.iter().filter(|room| room.state == state).count();
            // Writing into a String cannot fail.
            let _ = writeln!(text, "parlor_rooms{{account=\"{}\",state=\"{state}\"}} {count}", account.name);
        }
    }
    let mut head = "# HELP parlor_room_departures_total How often the account was put out of a room, or not let in.\n\
                    # TYPE parlor_room_departures_total counter\n";
    for account in &status.accounts {
        for (why, count) in &account.departures {
            let (name, before) = (&account.name, std::mem::take(&mut head));
            let _ = writeln!(text, "{before}parlor_room_departures_total{{account=\"{name}\",why=\"{why}\"}} {count}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_counted_by_account_and_state_and_never_named() {
        let room = |state: &str| serde_json::json!({ "account": "main", "room": "hall@muc.example.org", "state": state, "kept": false });
        let status: Status = serde_json::from_value(serde_json::json!({
            "running": true, "data": "data", "policy": "plugins.toml", "plugins": [],
            "accounts": [{
                "name": "main", "jid": "bot@example.org", "connection": "connected",
                "rooms": [room("joined"), room("joined"), room("out")], "departures": { "kicked": 3 },
            }],
        }))
        .unwrap();
        let text = metrics(&status);
        for line in [
            "parlor_rooms{account=\"main\",state=\"joined\"} 2",
            "parlor_rooms{account=\"main\",state=\"joining\"} 0",
            "parlor_rooms{account=\"main\",state=\"out\"} 1",
            "parlor_room_departures_total{account=\"main\",why=\"kicked\"} 3",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
        assert!(!text.contains("hall"), "{text}");
    }
}
