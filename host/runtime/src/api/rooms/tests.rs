//! Tests of which calls for rooms and bookmarks a grant covers.

use std::pin::pin;

use futures_util::poll;
use parlor_config::Settings;
use parlor_plugins::limits::Limits;
use parlor_session::permissions::{Grants, RoomList};
use parlor_session::{ConfigValue, Room, Session, Snapshot};

use super::reading::fit;
use super::*;
use crate::instance::tests::instance as disconnected_instance;

#[tokio::test]
async fn all_rooms_are_all_that_the_grant_covers() {
    let (instance, _mailbox) = disconnected_instance("\"rooms.join\" = [\"mine@muc.example.org\"]", Limits::default());
    let room = |jid: &str| {
        let jid: BareJid = jid.parse().unwrap();
        (jid.clone(), Arc::new(Room::new(jid, "bot".to_owned())))
    };
    let snapshot = Session::new("bot@example.org".parse().unwrap(), Settings::default()).snapshot();
    let rooms = [room("mine@muc.example.org"), room("secret@muc.example.org")].into_iter().collect();
    instance.account.publish(Snapshot { rooms, ..snapshot });
    let found = covered(&instance, CallName::RoomsCloseMany).unwrap();
    assert_eq!(found.iter().map(|room| room.jid.as_str()).collect::<Vec<_>>(), ["mine@muc.example.org"]);
    let denied = covered(&instance, CallName::RoomsGetAll).unwrap_err();
    assert!(matches!(denied, CallError::Denied { scope: None, .. }), "{denied:?}");
}

/// Otherwise a plugin that gave many orders at once would carry them out for half a minute after the owner took the grant back.
#[tokio::test(start_paused = true)]
async fn what_waited_for_its_turn_is_not_sent_if_its_permission_was_taken_back() {
    let grants = "\"rooms.configure\" = [\"*\"]\n\"rooms.join\" = [\"*\"]";
    for (enters, is_taken_back) in [(false, false), (false, true), (true, true)] {
        let (instance, _mailbox) = disconnected_instance(grants, Limits::default());
        instance.lasting.budgets.outgoing().take(50.0).unwrap();
        let mut call = pin!(async {
            let jid: BareJid = "a@muc.example.org".parse().unwrap();
            if enters {
                let options = RoomOptions::default();
                return open(&instance, CallName::RoomsOpen, "jid", jid.as_str(), &options).await.map(drop);
            }
            let granted = instance.granted(CallName::RoomsConfigure, Target::Room(&jid))?;
            request(&instance, &granted, ConfigureRoom { jid, fields: Vec::new() }).await
        });
        assert!(poll!(call.as_mut()).is_pending());
        if is_taken_back {
            instance.account.router.grant(&instance.mailbox, Arc::default());
        }
        let result = call.await;
        let is_denied = matches!(result, Err(CallError::Denied { .. }));
        assert!(is_denied == is_taken_back && result.is_err(), "{result:?}");
    }
}

#[tokio::test]
async fn a_plugin_that_is_kept_to_rooms_writes_to_no_other_room_by_a_direct_invitation() {
    let (instance, _mailbox) = disconnected_instance("\"rooms.moderate\" = [\"*\"]", Limits::default());
    let kept = RoomList::new(["lounge@muc.example.org".parse().unwrap()]);
    let grants = Grants::clone(&instance.mailbox.grants()).in_rooms(Some(kept));
    instance.account.router.grant(&instance.mailbox, Arc::new(grants));
    let invited = async |user: &str| {
        let open = instance.open_call(CallName::RoomsInvite).unwrap();
        let room = Caller { instance: Arc::clone(&instance), jid: "lounge@muc.example.org".parse().unwrap(), open };
        invite(&room, user, Invitation { reason: None, direct: true, password: None }).await
    };
    match invited("hall@muc.example.org").await {
        Err(CallError::Denied { hint, .. }) => assert!(hint.ends_with(" --add hall@muc.example.org"), "{hint}"),
        other => panic!("{other:?}"),
    }
    let person = invited("juliet@example.org").await;
    assert!(!matches!(person, Err(CallError::Denied { .. })), "{person:?}");
}

#[tokio::test(start_paused = true)]
async fn a_room_is_not_entered_with_a_configuration_if_that_grant_was_taken_back_while_the_call_waited() {
    let grants = "\"rooms.configure\" = [\"*\"]\n\"rooms.join\" = [\"*\"]";
    let (instance, _mailbox) = disconnected_instance(grants, Limits::default());
    instance.lasting.budgets.outgoing().take(50.0).unwrap();
    let fields = vec![("muc#roomconfig_roomname".to_owned(), ConfigValue::Text("a".to_owned()))];
    let options = RoomOptions { configure: Some(fields), ..RoomOptions::default() };
    let mut call = pin!(open(&instance, CallName::RoomsOpen, "jid", "a@muc.example.org", &options));
    assert!(poll!(call.as_mut()).is_pending());
    let fewer = instance.mailbox.grants().only(|permission| permission != Permission::RoomsConfigure);
    instance.account.router.grant(&instance.mailbox, Arc::new(fewer));
    let result = call.await.map(drop);
    assert!(matches!(result, Err(CallError::Denied { permission: Permission::RoomsConfigure, .. })), "{result:?}");
}

#[tokio::test]
async fn what_rooms_say_of_themselves_counts_towards_what_a_plugin_can_hold() {
    let mut room = Room::new("a@muc.example.org".parse().unwrap(), "bot".to_owned());
    Arc::make_mut(&mut room.about).features = vec!["x".repeat(992); 64];
    let (instance, _mailbox) = disconnected_instance("", Limits::default());
    // Rooms of some 64 KiB each, in 64 MiB.
    let holds = |rooms| fit(&instance, std::iter::repeat_n(&room, rooms));
    assert_eq!(holds(1_000), Ok(()));
    assert!(matches!(holds(1_100), Err(CallError::OverLimit(_))));
}

#[tokio::test]
async fn bookmarks_are_all_that_the_grant_covers() {
    let mark = |jid: &str| {
        let room: BareJid = jid.parse().unwrap();
        let mark = Bookmark {
            room: room.clone(),
            name: None,
            autojoin: false,
            nick: None,
            password: Some("canary".to_owned()),
            extensions: None,
            is_cut: false,
        };
        (room, Arc::new(mark))
    };
    let marks = || [mark("mine@muc.example.org"), mark("secret@muc.example.org")].into_iter().collect();
    let read = "\"rooms.read\" = [\"mine@muc.example.org\"]";
    let enter = format!("{read}\n\"rooms.join\" = [\"mine@muc.example.org\"]");
    let mine = |password: Option<&str>| Some(vec![("mine@muc.example.org".to_owned(), password.map(str::to_owned))]);
    for (grants, seen) in [("", None), (read, mine(None)), (&enter, mine(Some("canary")))] {
        let (instance, _mailbox) = disconnected_instance(grants, Limits::default());
        let snapshot = Session::new("bot@example.org".parse().unwrap(), Settings::default()).snapshot();
        instance.account.publish(Snapshot { bookmarks: Ok(marks()), ..snapshot });
        let found = bookmarks::read(&instance).ok();
        let found = found.map(|all| all.into_iter().map(|mark| (mark.jid, mark.password)).collect::<Vec<_>>());
        assert_eq!(found, seen, "{grants}");
    }
}

/// Otherwise bookmarks would open as many rooms as an account can have, and leave none for other plugins.
#[tokio::test]
async fn a_bookmark_that_enters_a_room_opens_it_and_counts_as_that() {
    let limits = Limits { rooms: 1, ..Limits::default() };
    let (instance, _mailbox) = disconnected_instance("\"rooms.join\" = [\"@muc.example.org\"]", limits);
    let mark = |name: &str, autojoin: bool| {
        let room: BareJid = format!("{name}@muc.example.org").parse().unwrap();
        Bookmark { room, name: None, autojoin, nick: None, password: None, extensions: None, is_cut: false }
    };
    let set = async |bookmark: Bookmark| {
        let open = instance.open_call(CallName::RoomsSetBookmark).unwrap();
        let room = Caller { instance: Arc::clone(&instance), jid: bookmark.room.clone(), open };
        set_bookmark(&room, bookmark).await
    };
    let show = |rooms: &[&str], bookmarked: &[Bookmark]| {
        let room = |jid: &BareJid| (jid.clone(), Arc::new(Room::new(jid.clone(), "bot".to_owned())));
        let snapshot = Session::new("bot@example.org".parse().unwrap(), Settings::default()).snapshot();
        let rooms = rooms.iter().map(|name| room(&mark(name, true).room)).collect();
        let bookmarks = bookmarked.iter().map(|one| (one.room.clone(), Arc::new(one.clone()))).collect();
        instance.account.publish(Snapshot { rooms, bookmarks: Ok(bookmarks), ..snapshot });
    };
    let is_refused = |result: Result<(), CallError>| matches!(result, Err(CallError::OverLimit(_)));
    // The room is not entered: the only error is the missing connection.
    assert!(!is_refused(set(mark("two", false)).await));
    instance.open_room(&mark("one", true).room).unwrap().ended(true);
    show(&["one"], &[]);
    assert!(is_refused(set(mark("two", true)).await));
    assert!(!is_refused(set(mark("one", true)).await), "it is the one that is counted");
    // It is closed, and would be entered again.
    show(&[], &[mark("one", true)]);
    assert!(is_refused(set(mark("two", true)).await));
    show(&[], &[mark("one", false)]);
    assert!(!is_refused(set(mark("two", true)).await));
}
