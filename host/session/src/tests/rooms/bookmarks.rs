//! Bookmarks, and the rooms that are entered because of them.

use parlor_stanza::types::BookmarkChange::{AllRemoved, Removed, Set, Stored};
use parlor_stanza::types::BookmarkPlace;

use super::*;

pub(super) fn bookmark(autojoin: bool) -> types::Bookmark {
    types::Bookmark {
        room: bare(ROOM),
        name: None,
        autojoin,
        nick: Some("Puck".to_owned()),
        password: Some("secret".to_owned()),
        extensions: Some("<extensions xmlns='urn:xmpp:bookmarks:1'/>".to_owned()),
        is_cut: false,
    }
}

/// Returns a test that has just connected, with these bookmarks.
fn bookmarked(settings: Settings, bookmarks: Vec<types::Bookmark>) -> TestSession {
    let mut test = TestSession::new(settings);
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster_alone(Vec::new());
    test.forget();
    test.bookmarks(bookmarks);
    test
}

/// Row 32. Events bookmarksInitialized, roomsAutoJoined. Settings allow_bookmarks.
#[test]
fn bookmarked_rooms_are_entered_on_connecting() {
    let mut test = bookmarked(Settings::default(), vec![bookmark(true)]);
    assert_eq!(
        test.lines(),
        ["bookmarksInitialized", "roomsPanelRendered", "> available to room@muc.example.org/Puck entering"]
    );
    let Some(Outgoing::Presence(PresenceOut { join: Some(join), .. })) = test.sent.last() else { panic!("a presence") };
    assert_eq!(join.password.as_deref(), Some("secret"));
    test.presence(occupant("Puck", PresenceKind::Available, &[110]));
    assert_eq!(test.count("roomsAutoJoined"), 1);

    let mut test = bookmarked(Settings::default(), vec![bookmark(false)]);
    assert_eq!(test.lines()[..3], ["bookmarksInitialized", "roomsPanelRendered", "roomsAutoJoined"]);
    let _opened = test.open_room(None);
    assert_eq!(room(&test).nick, "Puck", "row 95");

    let mut test = TestSession::new(settings(&[("allow_bookmarks", false.into())]));
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster(Vec::new());
    assert_eq!(test.count_asked(|ask| matches!(ask, Ask::Bookmarks { .. })), 0);
    assert_eq!((test.count("bookmarksInitialized"), test.count("initialized")), (1, 1));
}

/// Another client has stored it while we were offline, or before we fell out of the room.
#[test]
fn a_bookmarked_room_is_entered_again_with_the_password_that_it_has_now() {
    let changed = || types::Bookmark { password: Some("changed".to_owned()), ..bookmark(true) };
    let said = |test: &TestSession| match test.sent.last() {
        Some(Outgoing::Presence(PresenceOut { join: Some(join), .. })) => join.password.clone(),
        other => panic!("{other:?}"),
    };
    let mut test = bookmarked(Settings::default(), vec![bookmark(true)]);
    test.presence(occupant("Puck", PresenceKind::Available, &[110]));
    test.bind();
    test.roster_alone(Vec::new());
    test.bookmarks(vec![changed()]);
    assert_eq!(said(&test).as_deref(), Some("changed"));

    let mut test = bookmarked(Settings::default(), vec![bookmark(true)]);
    test.presence(occupant("Puck", PresenceKind::Available, &[110]));
    test.hear(Incoming::Bookmarks(vec![Set(changed())]));
    test.presence(occupant("Puck", PresenceKind::Unavailable, &[]));
    let id = test.asked(|ask| *ask == Ask::Ping);
    test.answer(Some(&format!("{ROOM}/Puck")), id, Err(stanza_error("not-acceptable")));
    assert_eq!(said(&test).as_deref(), Some("changed"));

    // The password in a plugin's call takes precedence.
    let mut test = bookmarked(Settings::default(), vec![bookmark(false)]);
    let (answer, _opened) = Answer::channel();
    let join = types::RoomJoin { password: Some("known".to_owned()), history: None };
    let options = RoomOptions { join, ..RoomOptions::default() };
    test.command(AnyCommand::with(OpenRoom { by: InstanceId(1), jid: bare(ROOM), options }, answer));
    assert_eq!(said(&test).as_deref(), Some("known"));
}

/// Like the password. It does not rename us in a room that we are in.
#[test]
fn a_bookmarked_room_is_entered_again_with_the_nickname_that_it_has_now() {
    let changed = || types::Bookmark { nick: Some("Oberon".to_owned()), ..bookmark(true) };
    let entering = |nick: &str| Some(format!("> available to room@muc.example.org/{nick} entering"));
    let inside = || {
        let mut test = bookmarked(Settings::default(), vec![bookmark(true)]);
        test.presence(occupant("Puck", PresenceKind::Available, &[110]));
        test.forget();
        test
    };
    let mut test = inside();
    test.bind();
    test.roster_alone(Vec::new());
    test.bookmarks(vec![changed()]);
    assert_eq!(test.lines().pop(), entering("Oberon"));

    let mut test = inside();
    test.hear(Incoming::Bookmarks(vec![Set(changed())]));
    assert!(test.lines().is_empty() && room(&test).nick == "Puck");
    test.presence(occupant("Puck", PresenceKind::Unavailable, &[]));
    let id = test.asked(|ask| *ask == Ask::Ping);
    test.answer(Some(&format!("{ROOM}/Puck")), id, Err(stanza_error("not-acceptable")));
    assert_eq!(test.lines().pop(), entering("Oberon"));

    let mut test = inside();
    test.hear(Incoming::Bookmarks(vec![Set(changed())]));
    test.presence(occupant("Puck", PresenceKind::Unavailable, &[110, 332]));
    test.wait(30);
    assert_eq!(test.lines().pop(), entering("Oberon"));

    // The bookmark's nickname is unchanged, so our new nickname stays.
    let mut test = inside();
    let renamed = occupant("Puck", PresenceKind::Unavailable, &[110, 303]);
    test.presence(with_muc(renamed, |muc| muc.nick = Some("Robin".to_owned())));
    test.presence(occupant("Robin", PresenceKind::Available, &[110]));
    test.hear(Incoming::Bookmarks(vec![Set(bookmark(true))]));
    test.bind();
    test.roster_alone(Vec::new());
    test.bookmarks(vec![bookmark(true)]);
    assert_eq!(test.lines().pop(), entering("Robin"));
}

/// Row 32.
#[test]
fn a_server_without_bookmarks_holds_up_nothing() {
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster_alone(Vec::new());
    let id = test.asked(|ask| *ask == Ask::Bookmarks { place: BookmarkPlace::Items });
    test.answer(None, id, Err(stanza_error("service-unavailable")));
    for place in [BookmarkPlace::Node, BookmarkPlace::Private] {
        let id = test.asked(|ask| *ask == Ask::Bookmarks { place });
        assert_eq!(test.count("bookmarksInitialized"), 0, "they may be where they used to be");
        test.answer(None, id, Err(stanza_error("service-unavailable")));
    }
    assert_eq!((test.count("bookmarksInitialized"), test.count("initialized")), (1, 1));
    assert_eq!(test.session.snapshot().bookmarks, Err(NoBookmarks::NotKept), "nothing is to be waited for");
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster_alone(Vec::new());
    assert_eq!(test.session.snapshot().bookmarks, Err(NoBookmarks::NotYet));
    test.wait(10);
    assert_eq!((test.count("bookmarksInitialized"), test.count("initialized")), (1, 1));
}

/// Refuses the requests for bookmarks with these conditions, the newest place first; the last condition is for all
/// further places.
fn refuse_bookmarks(test: &mut TestSession, conditions: &[&str]) {
    let mut left = conditions.iter();
    let mut asked = String::new();
    loop {
        let id = test.asked(|ask| matches!(ask, Ask::Bookmarks { .. }));
        if id == asked {
            break;
        }
        asked.clone_from(&id);
        let condition = left.next().or(conditions.last()).unwrap();
        let kind = if *condition == "resource-constraint" { "wait" } else { "cancel" }.to_owned();
        test.answer(None, id, Err(Box::new(StanzaError { kind, ..*stanza_error(condition) })));
    }
}

/// Row 32.
#[test]
fn an_account_without_bookmarks_has_none_and_gets_some() {
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster_alone(Vec::new());
    refuse_bookmarks(&mut test, &["item-not-found", "service-unavailable"]);
    assert_eq!(test.count("bookmarksInitialized"), 1);
    assert!(test.session.snapshot().bookmarks.unwrap().is_empty(), "that is known");
    test.hear(Incoming::Bookmarks(vec![Set(bookmark(true))]));
    assert_eq!(test.lines().last().unwrap(), "> available to room@muc.example.org/Puck entering");
    test.presence(occupant("Puck", PresenceKind::Available, &[110]));
    // Another client removed the last bookmark, and its node, while we were offline.
    test.bind();
    test.roster_alone(Vec::new());
    test.forget();
    refuse_bookmarks(&mut test, &["item-not-found", "forbidden"]);
    assert!(!test.lines().iter().any(|line| line.contains("entering")), "{:?}", test.lines);
    assert!(test.session.snapshot().bookmarks.unwrap().is_empty());
}

#[test]
fn who_cannot_say_which_bookmarks_there_are_has_us_leave_no_room() {
    for conditions in [
        &["resource-constraint"][..],
        &["internal-server-error", "item-not-found", "service-unavailable"],
        &["item-not-found", "item-not-found", "resource-constraint"],
        &["item-not-found", "item-not-found", "internal-server-error"],
    ] {
        let mut test = bookmarked(Settings::default(), Vec::new());
        test.hear(Incoming::Bookmarks(vec![Set(bookmark(true))]));
        test.presence(occupant("Puck", PresenceKind::Available, &[110]));
        test.bind();
        test.roster_alone(Vec::new());
        refuse_bookmarks(&mut test, conditions);
        let entering = test.lines().iter().any(|line| line == "> available to room@muc.example.org/Puck entering");
        assert!(entering, "{conditions:?}: {:?}", test.lines);
        assert_eq!(test.session.snapshot().bookmarks.unwrap().len(), 1, "{conditions:?}: what was known is known");
    }
}

/// Row 32. A server that has just started may be too busy to answer.
#[test]
fn bookmarks_that_did_not_come_are_asked_for_again() {
    let asked = |test: &TestSession| test.count_asked(|ask| matches!(ask, Ask::Bookmarks { .. }));
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster_alone(Vec::new());
    test.wait(10);
    assert_eq!((test.count("bookmarksInitialized"), asked(&test)), (1, 1), "nothing waits for them");
    test.wait(60);
    assert_eq!(asked(&test), 2);
    refuse_bookmarks(&mut test, &["resource-constraint"]);
    test.wait(60);
    assert_eq!(asked(&test), 3);
    test.forget();
    test.bookmarks(vec![bookmark(true)]);
    assert!(test.lines().contains(&"> available to room@muc.example.org/Puck entering".to_owned()), "{:?}", test.lines);
    test.wait(60);
    assert_eq!(asked(&test), 3, "they came");
}

/// Row 32. Data of other clients in them would be lost (XEP-0402, section 2).
#[test]
fn no_bookmark_is_changed_before_they_are_known() {
    let changed = |ask: &Ask| matches!(ask, Ask::PublishBookmark { .. } | Ask::RetractBookmark(_));
    let set = |test: &mut TestSession| {
        let bookmark = types::Bookmark { extensions: None, ..bookmark(true) };
        got(&mut test.ask(SetBookmark { bookmark }))
    };
    for late in [true, false] {
        let mut test = TestSession::new(Settings::default());
        test.run(Session::plugins_initialized);
        test.bind();
        test.roster_alone(Vec::new());
        assert!(matches!(set(&mut test), Some(Err(CallError::NotReady(_)))), "they are on their way");
        if late {
            test.wait(10);
        } else {
            refuse_bookmarks(&mut test, &["internal-server-error"]);
        }
        assert_eq!(test.session.snapshot().bookmarks, Err(NoBookmarks::NotTold));
        assert!(matches!(set(&mut test), Some(Err(CallError::Unsupported(_)))));
        let removed = got(&mut test.ask(RemoveBookmark { jid: bare(ROOM) }));
        assert!(matches!(removed, Some(Err(CallError::NotReady(_)))), "they are asked for again: {removed:?}");
        test.bookmarks(vec![bookmark(false)]);
        assert_eq!(test.count_asked(changed), 0);
        assert!(set(&mut test).is_none(), "it is asked for");
        test.asked(|ask| *ask == Ask::PublishBookmark { bookmark: Box::new(bookmark(true)), plain: false });
    }
    let cut = types::Bookmark { extensions: None, is_cut: true, ..bookmark(false) };
    let mut test = bookmarked(Settings::default(), vec![cut]);
    assert!(matches!(set(&mut test), Some(Err(CallError::OverLimit(_)))));
    assert_eq!(test.count_asked(changed), 0);
}

#[test]
fn bookmarks_that_are_wanted_again_are_not_there_yet_until_they_come() {
    let mut test = bookmarked(Settings::default(), Vec::new());
    test.set(&[("allow_bookmarks", false.into())]).unwrap();
    assert_eq!(test.session.snapshot().bookmarks, Err(NoBookmarks::NotWanted));
    test.set(&[("allow_bookmarks", true.into())]).unwrap();
    assert_eq!(test.session.snapshot().bookmarks, Err(NoBookmarks::NotYet));
    test.bookmarks(vec![bookmark(false)]);
    assert_eq!(test.session.snapshot().bookmarks.unwrap().len(), 1);
}

#[test]
fn bookmarks_are_followed_as_other_clients_change_them() {
    let entering = "> available to room@muc.example.org/Puck entering";
    let leaving = "> unavailable to room@muc.example.org/Puck";
    for end in [Set(bookmark(false)), Removed(bare(ROOM)), AllRemoved] {
        let mut test = bookmarked(Settings::default(), Vec::new());
        test.forget();
        test.hear(Incoming::Bookmarks(vec![Set(bookmark(true))]));
        assert_eq!(test.lines(), [entering]);
        test.presence(occupant("Puck", PresenceKind::Available, &[110]));
        test.forget();
        test.hear(Incoming::Bookmarks(vec![Set(bookmark(true))]));
        assert!(test.lines().is_empty(), "we are in");
        test.hear(Incoming::Bookmarks(vec![end]));
        assert_eq!(test.lines(), [leaving]);
    }
    let mut test = bookmarked(Settings::default(), Vec::new());
    test.in_room();
    test.hear(Incoming::Bookmarks(vec![Set(bookmark(true))]));
    test.hear(Incoming::Bookmarks(vec![Removed(bare(ROOM))]));
    assert!(test.lines().is_empty(), "a plugin opened it");
}

/// Returns a test that has just connected to a server that keeps these bookmarks in the older place alone.
fn with_older(bookmarks: Vec<types::Bookmark>) -> TestSession {
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster_alone(Vec::new());
    let id = test.asked(|ask| *ask == Ask::Bookmarks { place: BookmarkPlace::Items });
    test.answer(None, id, Err(stanza_error("item-not-found")));
    test.bookmarks(bookmarks);
    test.forget();
    test
}

/// Row 32. XEP-0048: each change of an older client stores the whole list.
#[test]
fn lists_of_older_clients_are_followed_where_they_are_all_that_there_is() {
    let other = || types::Bookmark { room: bare("other@muc.example.org"), ..bookmark(false) };
    let mut test = with_older(vec![other()]);
    test.hear_xml(
        "<message xmlns='jabber:client' from='bot@example.org'><event xmlns='http://jabber.org/protocol/pubsub#event'><items \
         node='storage:bookmarks'><item id='current'><storage xmlns='storage:bookmarks'><conference \
         jid='room@muc.example.org' autojoin='true'><nick>Puck</nick></conference></storage></item></items></event></message>",
    );
    assert_eq!(test.lines(), ["> available to room@muc.example.org/Puck entering"]);
    assert!(test.session.snapshot().bookmarks.unwrap().keys().eq([&bare(ROOM)]), "the other one is gone");
    test.presence(occupant("Puck", PresenceKind::Available, &[110]));
    // The account has left it. A change of another bookmark does not bring it back.
    let mut test = with_older(vec![bookmark(true)]);
    let mut closed = close(&mut test);
    let _ = got(&mut closed);
    test.forget();
    test.hear(Incoming::Bookmarks(vec![Stored(vec![bookmark(true), other()])]));
    assert!(test.lines().is_empty(), "{:?}", test.lines);
    assert_eq!(test.session.snapshot().bookmarks.unwrap().len(), 2);
    let mut removed = test.ask(RemoveBookmark { jid: bare(ROOM) });
    assert!(matches!(got(&mut removed), Some(Err(CallError::Unsupported(_)))), "they still are in the older place");

    let mut test = with_older(vec![bookmark(true)]);
    test.presence(occupant("Puck", PresenceKind::Available, &[110]));
    test.forget();
    test.hear(Incoming::Bookmarks(vec![Stored(Vec::new())]));
    assert_eq!(test.lines(), ["> unavailable to room@muc.example.org/Puck"]);
}

/// A client that brings all bookmarks to the newer place empties the older one.
#[test]
fn a_list_of_older_clients_does_not_count_beside_the_newer_place() {
    let other = || types::Bookmark { room: bare("other@muc.example.org"), ..bookmark(false) };
    for is_older in [true, false] {
        let mut test =
            if is_older { with_older(vec![other()]) } else { bookmarked(Settings::default(), vec![other()]) };
        test.hear(Incoming::Bookmarks(vec![Set(bookmark(false))]));
        test.hear(Incoming::Bookmarks(vec![Stored(Vec::new())]));
        assert_eq!(test.session.snapshot().bookmarks.unwrap().len(), 2, "{is_older}");
    }
    // The first bookmark: the server is asked in which place it is.
    let mut test = bookmarked(Settings::default(), Vec::new());
    test.forget();
    test.hear(Incoming::Bookmarks(vec![Stored(Vec::new())]));
    assert!(test.lines().is_empty());
    for _ in 0..2 {
        test.hear(Incoming::Bookmarks(vec![Stored(vec![bookmark(true)])]));
    }
    assert_eq!(test.lines(), ["> ask bookmarks"], "once");
    test.bookmarks(vec![bookmark(true)]);
    assert_eq!(test.lines(), ["> available to room@muc.example.org/Puck entering"]);
}

#[test]
fn bookmarks_are_put_down_and_forgotten() {
    let mut test = bookmarked(Settings::default(), vec![bookmark(false)]);
    let mut set = test.ask(SetBookmark { bookmark: types::Bookmark { extensions: None, ..bookmark(true) } });
    let publish = |plain| Ask::PublishBookmark { bookmark: Box::new(bookmark(true)), plain };
    // A server that does not know the publish options is asked to configure the node first.
    let id = test.asked(|ask| *ask == publish(false));
    test.answer(None, id, Err(stanza_error("resource-constraint")));
    let id = test.asked(|ask| *ask == Ask::PrepareBookmarks { create: false, counted: false });
    test.answer(None, id, Err(stanza_error("item-not-found")));
    let id = test.asked(|ask| *ask == Ask::PrepareBookmarks { create: true, counted: false });
    test.answer(None, id, Ok(Body::Empty));
    let id = test.asked(|ask| *ask == publish(true));
    test.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut set), Some(Ok(())));
    assert!(test.session.snapshot().bookmarks.unwrap()[&bare(ROOM)].autojoin);
    assert!(test.lines().contains(&"> available to room@muc.example.org/Puck entering".to_owned()));
    let mut removed = test.ask(RemoveBookmark { jid: bare(ROOM) });
    let id = test.asked(|ask| matches!(ask, Ask::RetractBookmark(_)));
    test.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut removed), Some(Ok(())));
    assert!(test.session.snapshot().bookmarks.unwrap().is_empty());
    assert!(matches!(got(&mut test.ask(RemoveBookmark { jid: bare(ROOM) })), Some(Err(CallError::NotFound(_)))));
}

/// Row 32. Openfire does not know the value for an unlimited number of items, whether the node exists or not.
#[test]
fn a_bookmark_is_put_down_where_a_server_has_to_be_told_how_many_there_may_be() {
    let set = |test: &mut TestSession| {
        let bookmark = types::Bookmark { extensions: None, ..bookmark(true) };
        test.ask(SetBookmark { bookmark })
    };
    let stumbles = |test: &mut TestSession, asked: &Ask, condition: &str| {
        let id = test.asked(|ask| ask == asked);
        test.answer(None, id, Err(stanza_error(condition)));
    };
    let prepare = |create, counted| Ask::PrepareBookmarks { create, counted };
    let publish = |plain| Ask::PublishBookmark { bookmark: Box::new(bookmark(true)), plain };
    for is_there in [true, false] {
        let mut test = bookmarked(Settings::default(), vec![bookmark(false)]);
        let mut set = set(&mut test);
        stumbles(&mut test, &publish(false), "internal-server-error");
        if !is_there {
            stumbles(&mut test, &prepare(false, false), "item-not-found");
        }
        stumbles(&mut test, &prepare(!is_there, false), "internal-server-error");
        let id = test.asked(|ask| *ask == prepare(!is_there, true));
        test.answer(None, id, Ok(Body::Empty));
        let id = test.asked(|ask| *ask == publish(true));
        test.answer(None, id, Ok(Body::Empty));
        assert_eq!(got(&mut set), Some(Ok(())));
    }
    // If the server refuses all variants, the call fails.
    let mut test = bookmarked(Settings::default(), vec![bookmark(false)]);
    let mut set = set(&mut test);
    stumbles(&mut test, &publish(false), "conflict");
    stumbles(&mut test, &prepare(false, false), "bad-request");
    stumbles(&mut test, &prepare(false, true), "bad-request");
    assert!(matches!(got(&mut set), Some(Err(CallError::Stanza(error))) if error.condition == "bad-request"));
}

/// Row 32. Once the newer place has a bookmark, the older ones are not read.
#[test]
fn bookmarks_of_an_older_place_come_along_with_the_first_that_is_put_down() {
    let other = || types::Bookmark { room: bare("other@muc.example.org"), ..bookmark(false) };
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster_alone(Vec::new());
    let id = test.asked(|ask| *ask == Ask::Bookmarks { place: BookmarkPlace::Items });
    test.answer(None, id, Err(stanza_error("item-not-found")));
    test.bookmarks(vec![bookmark(false), other()]);
    let mut removed = test.ask(RemoveBookmark { jid: bare(ROOM) });
    assert!(matches!(got(&mut removed), Some(Err(CallError::Unsupported(_)))), "it would be there at the next log-in");
    let published = |room: &types::Bookmark| {
        let room = room.room.clone();
        move |ask: &Ask| matches!(ask, Ask::PublishBookmark { bookmark, .. } if bookmark.room == room)
    };
    let _set = test.ask(SetBookmark { bookmark: bookmark(true) });
    let id = test.asked(published(&bookmark(true)));
    assert_eq!(test.count_asked(published(&other())), 0, "not before one has been taken");
    test.answer(None, id, Ok(Body::Empty));
    let id = test.asked(published(&other()));
    test.answer(None, id, Ok(Body::Empty));
    let _set = test.ask(SetBookmark { bookmark: bookmark(false) });
    let id = test.asked(published(&bookmark(false)));
    test.answer(None, id, Ok(Body::Empty));
    assert_eq!((test.count_asked(published(&other())), test.count_asked(published(&bookmark(true)))), (1, 2), "once");
    let _removed = test.ask(RemoveBookmark { jid: bare(ROOM) });
    test.asked(|ask| matches!(ask, Ask::RetractBookmark(_)));
}
