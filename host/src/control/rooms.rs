//! The rooms of accounts on the control socket: showing them, and entering and leaving them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use jid::BareJid;
use parlor_base::escape::{escape_untrusted, shell_word};
use parlor_base::id::InstanceId;
use parlor_base::nearest::suggestion;
use parlor_base::permission::{Permission, ScopeKind};
use parlor_config::AccountName;
use parlor_runtime::account::room_news::{Listings, remedy};
use parlor_runtime::account::{Asker, Shared};
use parlor_session::permissions::{Granted, Target};
use parlor_session::{
    CloseRoom, Departure, DismissRoom, OpenRoom, RemoveBookmark, RoomOptions, RoomRecord, RoomState, SetBookmark,
    Snapshot,
};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Actor, Bookmark};
use parlor_store::By;

use super::reach::{self, reached};
use super::refusal::Refusal;
use super::request::Request;
use super::views::{Left, Room, RoomPlugin, Status};
use super::{addresses, audit};
use crate::host::{Host, PluginStatus, status_on};

/// The most of a stranger's text that is shown, in bytes.
pub(super) const LONGEST: usize = 1 << 10;
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

pub(super) fn room_view(account: &Shared, snapshot: &Snapshot, jid: &BareJid, record: &RoomRecord) -> Room {
    let open = snapshot.rooms.get(jid);
    let inside = open.filter(|room| room.joined);
    let listings = Listings::of(account, jid);
    let remedy = || remedy(jid, record, listings);
    let connection = account.connection().borrow().as_str();
    Room {
        account: account.name.to_string(),
        node: None,
        room: jid.to_string(),
        state: record.state.as_str().to_owned(),
        connection: (connection != "connected").then(|| connection.to_owned()),
        kept: listings.any(),
        nick: open.map(|room| escape_untrusted(&room.nick, LONGEST)),
        role: inside.map(|room| escape_untrusted(&room.role, LONGEST)),
        affiliation: inside.map(|room| escape_untrusted(&room.affiliation, LONGEST)),
        occupants: inside.map(|room| room.occupants.len() as u64),
        since: record.since.filter(|_| inside.is_some()).map(|since| since.to_string()),
        next: record.next.map(|next| next.to_string()),
        left: record.departure.as_deref().map(left_view),
        remedy: (record.state == RoomState::Out).then(remedy).filter(|remedy| !remedy.is_empty()),
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
    let names = accounts.iter().map(|account| account.name.clone()).collect();
    let plugins = status_on(host, Some(&names)).await;
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
    let may = here.filter_map(|one| may_in(one, &jid, &is_contact));
    room.plugins = may.collect();
    room
}

/// Returns what a plugin may do in a room; `None` if that is nothing. A plugin that was refused, has stopped or failed too often does
/// nothing, whatever it was granted.
fn may_in(one: &PluginStatus, jid: &BareJid, is_contact: &dyn Fn(&BareJid) -> bool) -> Option<RoomPlugin> {
    let grants = one.grants.as_ref().filter(|_| !one.state.is_over())?;
    if grants.keeps_from(Target::Room(jid), &|_| false) {
        return None;
    }
    let covers = |permission: &Permission| {
        let is_of_rooms = permission.scope_kind() == ScopeKind::Rooms;
        let target = if is_of_rooms { Target::Room(jid) } else { Target::Jid(jid) };
        grants.may_do(*permission, target, is_contact)
    };
    let may: Vec<_> = IN_ROOMS.iter().filter(|one| covers(one)).map(ToString::to_string).collect();
    (!may.is_empty()).then(|| RoomPlugin { plugin: one.id.to_string(), may })
}

/// Returns a room of an account as it is now.
async fn current(host: &Host, account: &Shared, jid: &BareJid) -> Room {
    let plugins = status_on(host, Some(&BTreeSet::from([account.name.clone()]))).await;
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
    let near = near_room(&account, &jid).filter(|_| !is_new && !knows(&account, &jid));
    if let Some(near) = near {
        // A server creates a room that does not exist.
        let says = format!(
            "account {} does not know the room {jid}, but {near}: did you mean that? `--new` enters the other one all the same",
            account.name
        );
        return Err(Refusal::Value(says));
    }
    let was_in = {
        let snapshot = account.snapshot();
        let record = snapshot.room_records.rooms.get(&jid);
        record.and_then(|record| room_view(&account, &snapshot, &jid, record).was_in())
    };
    if let Some(says) = was_in {
        return Err(Refusal::NotDone(format!("{says}; `parlor status` says more about the connection")));
    }
    let nick = request.value("nick").map(str::to_owned);
    let options = RoomOptions { nick: nick.clone(), ..RoomOptions::default() };
    account.read_room_passwords().await;
    let open = OpenRoom { by: InstanceId::next(), jid: jid.clone(), options };
    let entering = async {
        tracing::info!(account = %account.name, room = %jid, "the owner has the account enter a room");
        let entered = account.ask(Asker::Host, &Granted::HOST, open).await;
        entered.map_err(|error| not_entered(&account, &jid, &error))?;
        if request.value("bookmark") == Some("true") {
            let set = SetBookmark { bookmark: bookmark(&account, &jid, nick) };
            account.ask(Asker::Host, &Granted::HOST, set).await.map_err(|error| not_done(&error))?;
        }
        Ok::<_, Refusal>(())
    };
    audit::recorded(host, request, by, &[&account.name], entering).await?;
    Ok(current(host, &account, &jid).await)
}

/// Says why the account did not get into a room, and what to do.
fn not_entered(account: &Shared, jid: &BareJid, error: &CallError) -> Refusal {
    let snapshot = account.snapshot();
    let record = snapshot.room_records.rooms.get(jid).filter(|record| record.state != RoomState::Joined);
    if let (CallError::Stanza(_) | CallError::TimedOut, Some(record)) = (error, record) {
        return Refusal::NotDone(not_in(&room_view(account, &snapshot, jid, record)));
    }
    // The room has not been asked, so its record is older.
    let error = escape_untrusted(&error.to_string(), LONGEST);
    Refusal::NotDone(format!("account {} did not enter the room {jid}: {error}", account.name))
}

/// Says why an account is not in a room, and what to do.
pub(super) fn not_in(room: &Room) -> String {
    let Room { account, room: jid, .. } = room;
    let is_out = room.state == "out";
    // A room that waits for the connection may have an old departure.
    let why = room.why().filter(|_| is_out || room.next.is_some()).map(|why| format!(": {why}")).unwrap_or_default();
    let join = format!("`parlor rooms join {}`", shell_word(jid));
    let then = match &room.remedy {
        Some(remedy) => remedy.clone(),
        None if is_out => format!("{join} enters it"),
        None if room.state == "joining" => "it is entering it: try again in a moment".to_owned(),
        None => format!("it enters it by itself, and {join} does so now"),
    };
    format!("account {account} is not in the room {jid}{why}; {then}")
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

/// Has an account leave a room, and waits until it has. A room that it is out of is forgotten, unless something lists it: why the
/// account is out decides whether it enters a listed room again.
pub(super) async fn leave(host: &Host, request: &Request, by: &By) -> Result<Room, Refusal> {
    let jid = room(request)?;
    let account = account_with(host, request, &jid)?;
    let (is_open, is_bookmarked, state) = {
        let snapshot = account.snapshot();
        let is_bookmarked = snapshot.bookmarks.as_ref().is_ok_and(|all| all.contains_key(&jid));
        let state = snapshot.room_records.rooms.get(&jid).map(|record| record.state);
        (snapshot.rooms.contains_key(&jid), is_bookmarked, state)
    };
    let unbookmarks = is_bookmarked && request.value("bookmark") == Some("true");
    let mut listings = Listings::of(&account, &jid);
    listings.in_bookmarks &= !unbookmarks;
    let dismisses = !listings.any() && matches!(state, Some(RoomState::Out | RoomState::Waiting));
    if !is_open && !unbookmarks && !dismisses {
        let listed = || {
            let (name, remedy) = (&account.name, listings.remedy(&jid));
            Refusal::NotDone(format!("account {name} is out of the room {jid}, which stays listed: {remedy}"))
        };
        return Err(if state.is_some() { listed() } else { unknown(&account, &jid) });
    }
    let leaving = async {
        tracing::info!(account = %account.name, room = %jid, "the owner has the account leave a room");
        if is_open {
            let close = CloseRoom { by: InstanceId::next(), jid: jid.clone() };
            account.ask(Asker::Host, &Granted::HOST, close).await.map_err(|error| not_done(&error))?;
        }
        if unbookmarks {
            let remove = RemoveBookmark { jid: jid.clone() };
            account.ask(Asker::Host, &Granted::HOST, remove).await.map_err(|error| not_done(&error))?;
        }
        if dismisses {
            let dismiss = DismissRoom { jid: jid.clone() };
            account.ask(Asker::Host, &Granted::HOST, dismiss).await.map_err(|error| not_done(&error))?;
        }
        Ok::<_, Refusal>(())
    };
    let what = left(&jid, is_open, dismisses);
    audit::recorded_as(host, request, by, &account.name, &what, leaving).await?;
    Ok(current(host, &account, &jid).await)
}

/// Returns what the audit says about a request to leave a room: the account may be out of it already.
fn left(room: &BareJid, is_open: bool, dismisses: bool) -> String {
    match (is_open, dismisses) {
        (true, _) => format!("the room {room} was left"),
        (false, true) => format!("the room {room} was taken off the list"),
        (false, false) => format!("the bookmark of the room {room} was removed"),
    }
}

pub(super) fn not_done(error: &CallError) -> Refusal {
    Refusal::NotDone(escape_untrusted(&error.to_string(), LONGEST))
}

/// Returns the room that a request names.
fn room(request: &Request) -> Result<BareJid, Refusal> {
    let text = request.value("room").ok_or_else(|| Refusal::Value("`room` is the address of a room".to_owned()))?;
    addresses::room(text).map_err(Refusal::Value)
}

/// Returns all accounts that the session of a request reaches, or the one that the request names.
pub(super) fn accounts(host: &Host, request: &Request) -> Result<Vec<Arc<Shared>>, Refusal> {
    if request.value("account").is_some() {
        account(host, request).map(|one| vec![one])
    } else {
        Ok(reached(host, request))
    }
}

/// Returns the account that a request names, or the only one.
fn account(host: &Host, request: &Request) -> Result<Arc<Shared>, Refusal> {
    let (all, wanted) = (host.accounts(), request.value("account"));
    if let Some(found) = wanted.and_then(|name| all.iter().find(|one| one.name.as_str() == name)) {
        return Ok(Arc::clone(found));
    }
    if let Some(name) = wanted {
        let config = host.config();
        // A session of some accounts is not told of others.
        let meant = config.meant_by(name).filter(|_| reach::only(host, request).is_none());
        let near = suggestion(meant.map(AccountName::as_str));
        return Err(Refusal::NoAccount(format!("{}{near}", escape_untrusted(name, LONGEST))));
    }
    // The names are for refusals alone, and there may be 100,000.
    let asleep = host.asleep();
    let of_those = asleep.iter().map(|one| one.name.to_string());
    let names: Vec<_> = all.iter().map(|one| one.name.to_string()).chain(of_those).collect();
    only(all, asleep.len()).ok_or_else(|| Refusal::unnamed("name the account", &names))
}

/// Returns the only account. Where others sleep, chance decides which one is awake, and an owner must not write as that one.
fn only<T>(mut awake: Vec<T>, asleep: usize) -> Option<T> {
    if asleep == 0 && awake.len() == 1 { awake.pop() } else { None }
}

/// Returns the account that a request names, or the only one that knows this address, or the only one.
pub(super) fn account_with(host: &Host, request: &Request, jid: &BareJid) -> Result<Arc<Shared>, Refusal> {
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

/// Returns the room that was probably meant by the address of an unknown one. Nobody means one from which the account is banned, or
/// which it could never enter.
pub(super) fn near_room(account: &Shared, jid: &BareJid) -> Option<BareJid> {
    let (snapshot, settings) = (account.snapshot(), account.settings());
    let records = &snapshot.room_records.rooms;
    let bookmarks = snapshot.bookmarks.iter().flat_map(|all| all.keys());
    let listed = settings.auto_join_rooms.iter().map(|room| &room.jid);
    let rooms = records.keys().chain(bookmarks).chain(listed);
    addresses::nearest(jid, rooms.filter(|room| records.get(*room).is_none_or(|record| is_meant(record)))).cloned()
}

/// Returns whether an owner may mean a room with this record.
fn is_meant(record: &RoomRecord) -> bool {
    let is_banned = record.departure.as_ref().is_some_and(|departure| departure.why == "banned");
    record.entered && !(record.state == RoomState::Out && is_banned)
}

/// Returns the refusal for a room that an account does not know.
fn unknown(account: &Shared, jid: &BareJid) -> Refusal {
    let near = near_room(account, jid);
    let near = suggestion(near.as_ref().map(|near| near.as_str()));
    Refusal::NoRoom(format!("account {} is not in the room {jid}{near}", account.name))
}

/// Writes how many rooms the accounts are in, and how often they were put out. No room is named.
pub(super) fn metrics(status: &Status) -> String {
    let mut text = "# HELP parlor_rooms Rooms of the account, by how it stands in them.\n\
                    # TYPE parlor_rooms gauge\n"
        .to_owned();
    for account in status.accounts.iter().filter(|account| !account.is_asleep()) {
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
    use std::path::Path;
    use std::time::Duration;

    use parlor_base::id::Digest;
    use parlor_plugins::policy::Policy;
    use parlor_runtime::supervisor::State;
    use parlor_session::permissions::Grants;

    use super::*;

    /// It would be said to act in rooms in which it does nothing.
    #[test]
    fn a_plugin_that_does_not_run_is_not_among_those_that_may_act_in_a_room() {
        let text = format!("[plugin.echo]\nsource = \"echo.wasm\"\ndigest = \"{}\"\n", Digest::of(b""));
        let policy = Policy::parse(&text, Path::new("/x")).unwrap();
        let (id, entry) = policy.plugins.first_key_value().unwrap();
        let hall: BareJid = "hall@muc.example.org".parse().unwrap();
        let why = || "it failed".to_owned();
        let acts = |state: State| {
            let status = PluginStatus { grants: Some(Grants::all()), ..PluginStatus::nowhere(id, entry, state) };
            may_in(&status, &hall, &|_| false).is_some()
        };
        assert!(acts(State::Running) && acts(State::Parked) && acts(State::Starting));
        assert!(acts(State::BackingOff { why: why(), pause: Duration::ZERO }), "it starts again by itself");
        for over in [State::Stopped, State::Refused(why()), State::Quarantined(why())] {
            assert!(!acts(over.clone()), "{over:?}");
        }
    }

    #[tokio::test]
    async fn a_room_of_an_account_without_a_connection_is_shown_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let host = crate::host::tests::offline_host(folder.path()).await;
        let account = host.account(&"main".parse().unwrap()).unwrap();
        let record = RoomRecord { state: RoomState::Joined, since: None, next: None, departure: None, entered: true };
        let room = room_view(&account, &account.snapshot(), &"hall@muc.example.org".parse().unwrap(), &record);
        assert!(room.was_in().is_some_and(|says| says.starts_with("account main is offline: it was in the room hall")));
        host.stop().await;
    }

    #[test]
    fn an_account_is_the_only_one_if_no_other_sleeps() {
        assert_eq!(
            [only(vec![7], 0), only(vec![7], 1), only(vec![7, 8], 0), only(Vec::new(), 1)],
            [Some(7), None, None, None]
        );
    }

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
    #[test]
    fn the_reason_why_an_account_is_not_in_a_room_ends_with_what_to_do() {
        let says = |state: &str, left: Option<&str>, remedy: Option<&str>| {
            let left = left.map(|why| serde_json::json!({ "at": "2026-11-20T07:00:00Z", "why": why, "reason": "no" }));
            let room = serde_json::json!({
                "account": "main", "room": "den@muc.example.org", "state": state, "kept": false, "left": left, "remedy": remedy,
            });
            not_in(&serde_json::from_value(room).unwrap())
        };
        let is_not = "account main is not in the room den@muc.example.org";
        let join = "`parlor rooms join den@muc.example.org`";
        assert_eq!(says("out", Some("banned"), Some("ask")), format!("{is_not}: banned (no); ask"));
        assert_eq!(says("out", None, None), format!("{is_not}; {join} enters it"));
        assert_eq!(
            says("waiting", Some("kicked"), None),
            format!("{is_not}; it enters it by itself, and {join} does so now")
        );
        assert_eq!(says("joining", None, None), format!("{is_not}; it is entering it: try again in a moment"));
    }

    #[test]
    fn no_room_is_suggested_that_the_account_is_banned_from_or_was_never_in() {
        let record = |state: RoomState, entered: bool, why: Option<&'static str>| {
            let at = jiff::Timestamp::UNIX_EPOCH;
            let departure =
                why.map(|why| Arc::new(Departure { at, why, reason: None, actor: None, alternative: None }));
            RoomRecord { state, since: None, next: None, departure, entered }
        };
        assert!(is_meant(&record(RoomState::Joined, true, None)));
        assert!(is_meant(&record(RoomState::Joined, true, Some("banned"))), "the ban was lifted");
        assert!(is_meant(&record(RoomState::Out, true, Some("kicked"))));
        assert!(!is_meant(&record(RoomState::Out, true, Some("banned"))));
        assert!(!is_meant(&record(RoomState::Out, false, Some("refused"))));
    }
}
