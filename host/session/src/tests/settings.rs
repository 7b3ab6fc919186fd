//! Settings that change while the account runs, and their immediate effects.

use parlor_stanza::types::{ArchivePreferences, Disco};

use super::rooms::with_muc;
use super::*;

const CARBONS: &str = "urn:xmpp:carbons:2";
const MAM: &str = "urn:xmpp:mam:2";

fn can(test: &mut TestSession, who: &str, feature: &str) {
    let id = test.asked_of(who, |ask| matches!(ask, Ask::DiscoInfo { .. }));
    let disco = Disco { features: vec![feature.to_owned()], ..Disco::default() };
    test.answer(Some(who), id, Ok(Body::Disco(disco)));
    test.forget();
}

/// Settings `message_carbons`.
#[test]
fn copies_are_switched_on_and_off_where_the_server_has_them() {
    let mut test = TestSession::connected(Settings::default());
    test.set(&[("message_carbons", false.into())]).unwrap();
    test.set(&[("message_carbons", true.into())]).unwrap();
    assert!(test.lines().is_empty(), "the server has not said yet what it can");
    can(&mut test, "example.org", CARBONS);
    test.set(&[("message_carbons", false.into())]).unwrap();
    assert_eq!(test.lines(), ["> ask no carbons"]);
    test.set(&[("message_carbons", false.into()), ("nickname", "Puck".into())]).unwrap();
    assert!(test.lines().is_empty());
    test.set(&[("message_carbons", true.into())]).unwrap();
    assert_eq!(test.lines(), ["> ask carbons"]);
    let mut test = TestSession::connected(Settings::default());
    can(&mut test, "example.org", MAM);
    test.set(&[("message_carbons", false.into())]).unwrap();
    assert!(test.lines().is_empty(), "it has none");
}

/// `MongooseIM` disables copies for a client that is unavailable.
#[test]
fn copies_are_switched_on_again_when_the_account_is_available_again() {
    for (wanted, feature, asks) in [(true, CARBONS, true), (true, MAM, false), (false, CARBONS, false)] {
        let mut test = TestSession::connected(settings(&[("message_carbons", wanted.into())]));
        can(&mut test, "example.org", feature);
        let mut asks_when = |value: StatusValue| {
            let _receiver = test.ask(SetStatus { value: Some(value), message: None });
            test.lines().contains(&"> ask carbons".to_owned())
        };
        assert!(!asks_when(StatusValue::Offline) && !asks_when(StatusValue::Unavailable), "{wanted} {feature}");
        assert_eq!(asks_when(StatusValue::Online), asks, "{wanted} {feature}");
        assert!(!asks_when(StatusValue::Away), "it was available: {wanted} {feature}");
    }
}

/// The server may be busy, or slow, when it is asked. A server without the feature is not asked again.
#[test]
fn copies_are_asked_for_again_where_the_server_could_not_say() {
    let answer = |test: &mut TestSession, outcome| {
        let id = test.asked(|ask| *ask == Ask::EnableCarbons);
        test.answer(None, id, outcome);
    };
    let asks_after = |test: &mut TestSession, seconds| {
        test.forget();
        test.wait(seconds);
        test.lines().contains(&"> ask carbons".to_owned())
    };
    let busy = || Box::new(StanzaError { kind: "wait".to_owned(), ..*stanza_error("resource-constraint") });
    let mut test = TestSession::connected(Settings::default());
    can(&mut test, "example.org", CARBONS);
    answer(&mut test, Err(busy()));
    assert!(!asks_after(&mut test, 59) && asks_after(&mut test, 1));
    // The server does not answer.
    assert!(!asks_after(&mut test, 30) && asks_after(&mut test, 60));
    answer(&mut test, Ok(Body::Empty));
    assert!(!asks_after(&mut test, 60), "it copies by now");
    // A log-out ends the wait, and another log-in asks again.
    test.bind();
    can(&mut test, "example.org", CARBONS);
    answer(&mut test, Err(busy()));
    test.run(Session::logged_out);
    test.run(|session, _, _| session.connecting());
    test.bind();
    can(&mut test, "example.org", CARBONS);
    answer(&mut test, Err(busy()));
    assert!(asks_after(&mut test, 60));
    answer(&mut test, Err(stanza_error("feature-not-implemented")));
    assert!(!asks_after(&mut test, 60));
}

/// Settings `message_archiving`.
#[test]
fn the_archive_is_told_what_it_is_to_keep() {
    let mut test = TestSession::connected(Settings::default());
    can(&mut test, "bot@example.org", MAM);
    for (wanted, is, changes) in [("never", "always", true), ("roster", "roster", false), ("always", "roster", true)] {
        test.set(&[("message_archiving", wanted.into())]).unwrap();
        let id = test.asked(|ask| matches!(ask, Ask::ArchivePreferences));
        let kept = ArchivePreferences { default: is.to_owned(), always: Vec::new(), never: Vec::new() };
        let before = test.sent.len();
        test.answer(None, id, Ok(Body::ArchivePreferences(kept)));
        let told = test.sent[before..].iter().any(|stanza| {
            matches!(stanza, Outgoing::Ask { ask: Ask::SetArchivePreferences(told), .. } if told.default == wanted)
        });
        assert_eq!(told, changes, "{wanted}");
    }
    test.forget();
    test.set(&[("message_archiving", Value::Null)]).unwrap();
    assert!(test.lines().is_empty(), "whatever the archive keeps now is right");
}

/// Settings `allow_bookmarks`, `allow_muc`.
#[test]
fn bookmarks_are_fetched_and_forgotten() {
    for key in ["allow_bookmarks", "allow_muc"] {
        let mut test = TestSession::connected(settings(&[(key, false.into())]));
        test.set(&[(key, true.into())]).unwrap();
        assert!(test.lines().contains(&"> ask bookmarks".to_owned()), "{key}");
        let bookmark = |nick: &str| types::Bookmark {
            room: bare(ROOM),
            name: None,
            autojoin: true,
            nick: Some(nick.to_owned()),
            password: None,
            extensions: None,
            is_cut: false,
        };
        test.bookmarks(vec![bookmark("Puck")]);
        assert_eq!(test.lines(), ["> available to room@muc.example.org/Puck entering"]);
        test.presence(occupant("Puck", PresenceKind::Available, &[110]));
        assert_eq!(test.session.snapshot().bookmarks.unwrap().len(), 1);
        test.forget();
        test.set(&[(key, false.into())]).unwrap();
        assert_eq!(test.session.snapshot().bookmarks, Err(NoBookmarks::NotWanted));
        test.hear(Incoming::Bookmarks(vec![types::BookmarkChange::Removed(bare(ROOM))]));
        assert!(test.lines().is_empty(), "where we are we stay");
        // An answer that is on its way when bookmarks are disabled.
        test.set(&[(key, true.into())]).unwrap();
        test.set(&[(key, false.into())]).unwrap();
        test.bookmarks(vec![bookmark("Robin")]);
        assert_eq!(test.session.snapshot().bookmarks, Err(NoBookmarks::NotWanted));
    }
}

/// Settings `auto_join_rooms`, `auto_join_private_chats`, `nickname`.
#[test]
fn rooms_and_chats_that_are_added_are_entered() {
    let mut test = TestSession::connected(Settings::default());
    let rooms = serde_json::json!([ROOM, { "jid": "hall@muc.example.org", "nick": "Robin" }]);
    let chats = serde_json::json!([ROMEO]);
    test.set(&[("nickname", "Puck".into()), ("auto_join_rooms", rooms), ("auto_join_private_chats", chats)]).unwrap();
    assert_eq!(
        test.lines(),
        [
            "> available to room@muc.example.org/Puck entering",
            "> available to hall@muc.example.org/Robin entering",
            "chatBoxInitialized",
            "chatBoxOpened",
        ]
    );
    test.presence(occupant("Puck", PresenceKind::Available, &[110]));
    test.forget();
    test.set(&[("auto_join_rooms", serde_json::json!([ROOM])), ("auto_join_private_chats", serde_json::json!([]))])
        .unwrap();
    assert!(test.lines().is_empty(), "where we are we stay");
}

/// Settings `nickname`, `muc_nickname_from_jid`, `auto_join_rooms`.
#[test]
fn a_new_nickname_is_asked_for_in_the_rooms_that_we_are_in() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.set(&[("muc_history_max_stanzas", 5.into())]).unwrap();
    assert!(test.lines().is_empty(), "another setting");
    test.set(&[("nickname", "Puck".into())]).unwrap();
    assert_eq!(test.lines(), ["> available to room@muc.example.org/Puck"], "and does not enter it again");
    let nick = |test: &TestSession| test.session.snapshot().rooms[&bare(ROOM)].nick.clone();
    assert_eq!(nick(&test), "bot", "until the room confirms it");
    test.presence(with_muc(occupant("bot", PresenceKind::Unavailable, &[110, 303]), |muc| {
        muc.nick = Some("Puck".to_owned());
    }));
    test.presence(occupant("Puck", PresenceKind::Available, &[110]));
    assert_eq!(nick(&test), "Puck");
    test.forget();
    let listed = |nick: &str| serde_json::json!([{ "jid": ROOM, "nick": nick }]);
    test.set(&[("auto_join_rooms", listed("Puck"))]).unwrap();
    assert!(test.lines().is_empty(), "it has that one");
    test.set(&[("auto_join_rooms", listed("Robin"))]).unwrap();
    assert_eq!(test.lines(), ["> available to room@muc.example.org/Robin"]);
    test.set(&[("nickname", "Oberon".into())]).unwrap();
    assert!(test.lines().is_empty(), "that of the room comes first");
}

#[test]
fn a_new_nickname_while_a_room_is_entered_is_asked_for_once_we_are_in() {
    let mut test = TestSession::connected(Settings::default());
    let _opened = test.open_room(None);
    test.forget();
    test.set(&[("nickname", "Puck".into())]).unwrap();
    assert!(test.lines().is_empty(), "it would be another attempt to enter");
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    let lines = test.lines();
    assert!(lines.iter().any(|line| line == "> available to room@muc.example.org/Puck"), "{lines:?}");
}

/// While the account is hidden, rooms hear nothing of it.
#[test]
fn a_new_nickname_of_a_hidden_account_is_asked_for_once_it_is_seen() {
    let enters = |test: &mut TestSession| test.presence(occupant("bot", PresenceKind::Available, &[110]));
    for is_in_before in [true, false] {
        let mut test = TestSession::connected(Settings::default());
        let _hidden = test.ask(SetStatus { value: Some(StatusValue::Offline), message: None });
        let _opened = test.open_room(None);
        if is_in_before {
            enters(&mut test);
        }
        test.forget();
        test.set(&[("nickname", "Puck".into())]).unwrap();
        if !is_in_before {
            enters(&mut test);
        }
        let lines = test.lines();
        assert!(!lines.iter().any(|line| line.starts_with("> available")), "{lines:?}");
        let _seen = test.ask(SetStatus { value: Some(StatusValue::Online), message: None });
        let lines = test.lines();
        let asks = lines.iter().filter(|line| *line == "> available to room@muc.example.org/Puck");
        assert_eq!(asks.count(), 1, "{is_in_before}: {lines:?}");
    }
}

/// Its service is down, or somebody else has the old one there.
#[test]
fn a_room_that_did_not_let_us_in_is_tried_again_with_a_new_nickname() {
    let refused = |condition| presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error(condition)));
    for (condition, is_out_before, seconds) in
        [("remote-server-not-found", true, 640), ("remote-server-not-found", false, 640), ("conflict", false, 0)]
    {
        let mut test = TestSession::connected(settings(&[("auto_join_rooms", serde_json::json!([ROOM]))]));
        if is_out_before {
            test.presence(refused(condition));
        }
        test.set(&[("nickname", "Puck".into())]).unwrap();
        test.forget();
        if !is_out_before {
            test.presence(refused(condition));
        }
        test.wait(seconds);
        let lines = test.lines();
        let enters: Vec<_> = lines.iter().filter(|line| line.ends_with(" entering")).collect();
        assert_eq!(enters, ["> available to room@muc.example.org/Puck entering"], "{condition} {is_out_before}");
    }
}

/// Settings `nickname`, `muc_nickname_from_jid`: one nickname for a group is taken in a room after some accounts.
#[test]
fn a_listed_room_in_which_the_nickname_is_taken_is_tried_again_with_each_other_one() {
    let listed = [("nickname", "Support".into()), ("auto_join_rooms", serde_json::json!([ROOM]))];
    let mut test = TestSession::connected(settings(&listed));
    let refused = |test: &mut TestSession| {
        for _ in 0..20 {
            let asked = test.session.snapshot().rooms.get(&bare(ROOM)).map(|room| format!("{ROOM}/{}", room.nick));
            let Some(asked) = asked else { break };
            test.presence(presence(&asked, PresenceKind::Error(stanza_error("conflict"))));
        }
        let record = test.session.snapshot().room_records.rooms[&bare(ROOM)].clone();
        let why = record.departure.as_ref().map(|departure| departure.why);
        assert_eq!((record.state, why), (RoomState::Out, Some("nickname-taken")));
        test.forget();
    };
    refused(&mut test);
    test.set(&[("muc_history_max_stanzas", 5.into())]).unwrap();
    assert!(test.lines().is_empty(), "another setting");
    test.set(&[("nickname", "Puck".into())]).unwrap();
    assert_eq!(test.lines(), ["> available to room@muc.example.org/Puck entering"]);
    refused(&mut test);
    test.set(&[("muc_nickname_from_jid", true.into())]).unwrap();
    assert_eq!(test.lines(), ["> available to room@muc.example.org/bot entering"]);
    refused(&mut test);
    test.set(&[("nickname", "Robin".into())]).unwrap();
    assert!(test.lines().is_empty(), "it is not the one that counts");
}

#[test]
fn a_nickname_that_somebody_else_chose_for_a_room_stays() {
    let mut test = TestSession::connected(Settings::default());
    let _opened = test.open_room(Some("given"));
    test.presence(occupant("given", PresenceKind::Available, &[110]));
    test.forget();
    test.set(&[("nickname", "Puck".into())]).unwrap();
    assert!(test.lines().is_empty());
    assert_eq!(test.session.snapshot().rooms[&bare(ROOM)].nick, "given");
}

/// Settings `default_state`.
#[test]
fn the_first_status_is_the_default_until_somebody_says_another() {
    let status = |test: &TestSession| test.session.snapshot().status.value.as_str();
    let mut test = TestSession::new(Settings::default());
    test.set(&[("default_state", "xa".into())]).unwrap();
    assert_eq!(status(&test), "xa");
    let _receiver = test.ask(SetStatus { value: Some(StatusValue::Dnd), message: None });
    test.set(&[("default_state", "away".into())]).unwrap();
    assert_eq!(status(&test), "dnd");
    let mut test = TestSession::connected(Settings::default());
    test.set(&[("default_state", "away".into())]).unwrap();
    assert_eq!(status(&test), "online", "others were told");
    test.run(Session::logged_out);
    assert_eq!(status(&test), "away", "a new session begins with it");
}

/// Settings `priority`.
#[test]
fn nothing_changes_where_something_does_not_fit() {
    let mut test = TestSession::connected(Settings::default());
    assert!(test.set(&[("priority", 7.into()), ("nickname", 7.into())]).is_err());
    assert_eq!(test.session.settings().priority, 0);
    test.set(&[("priority", 7.into())]).unwrap();
    test.wait(5);
    assert!(matches!(test.sent.last(), Some(Outgoing::Presence(PresenceOut { priority: Some(7), .. }))));
}
