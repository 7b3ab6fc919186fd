//! Settings that change while the account runs, and their immediate effects.

use parlor_stanza::types::{ArchivePreferences, Disco};

use super::*;

const CARBONS: &str = "urn:xmpp:carbons:2";
const MAM: &str = "urn:xmpp:mam:2";

fn can(desk: &mut Desk, who: &str, feature: &str) {
    let id = desk.asked_of(who, |ask| matches!(ask, Ask::DiscoInfo { .. }));
    let disco = Disco { features: vec![feature.to_owned()], ..Disco::default() };
    desk.answer(Some(who), id, Ok(Body::Disco(disco)));
    desk.forget();
}

/// Settings `message_carbons`.
#[test]
fn copies_are_switched_on_and_off_where_the_server_has_them() {
    let mut desk = Desk::connected(Settings::default());
    desk.set(&[("message_carbons", false.into())]).unwrap();
    desk.set(&[("message_carbons", true.into())]).unwrap();
    assert!(desk.lines().is_empty(), "the server has not said yet what it can");
    can(&mut desk, "example.org", CARBONS);
    desk.set(&[("message_carbons", false.into())]).unwrap();
    assert_eq!(desk.lines(), ["> ask no carbons"]);
    desk.set(&[("message_carbons", false.into()), ("nickname", "Puck".into())]).unwrap();
    assert!(desk.lines().is_empty());
    desk.set(&[("message_carbons", true.into())]).unwrap();
    assert_eq!(desk.lines(), ["> ask carbons"]);
    let mut desk = Desk::connected(Settings::default());
    can(&mut desk, "example.org", MAM);
    desk.set(&[("message_carbons", false.into())]).unwrap();
    assert!(desk.lines().is_empty(), "it has none");
}

/// The server may be busy, or slow, when it is asked. A server without the feature is not asked again.
#[test]
fn copies_are_asked_for_again_where_the_server_could_not_say() {
    let answer = |desk: &mut Desk, outcome| {
        let id = desk.asked(|ask| *ask == Ask::EnableCarbons);
        desk.answer(None, id, outcome);
    };
    let asks_after = |desk: &mut Desk, seconds| {
        desk.forget();
        desk.wait(seconds);
        desk.lines().contains(&"> ask carbons".to_owned())
    };
    let busy = || Box::new(StanzaError { kind: "wait".to_owned(), ..*stanza_error("resource-constraint") });
    let mut desk = Desk::connected(Settings::default());
    can(&mut desk, "example.org", CARBONS);
    answer(&mut desk, Err(busy()));
    assert!(!asks_after(&mut desk, 59) && asks_after(&mut desk, 1));
    // The server does not answer.
    assert!(!asks_after(&mut desk, 30) && asks_after(&mut desk, 60));
    answer(&mut desk, Ok(Body::Empty));
    assert!(!asks_after(&mut desk, 60), "it copies by now");
    // A log-out ends the wait, and another log-in asks again.
    desk.bind();
    can(&mut desk, "example.org", CARBONS);
    answer(&mut desk, Err(busy()));
    desk.run(Session::logged_out);
    desk.run(|session, _, _| session.connecting());
    desk.bind();
    can(&mut desk, "example.org", CARBONS);
    answer(&mut desk, Err(busy()));
    assert!(asks_after(&mut desk, 60));
    answer(&mut desk, Err(stanza_error("feature-not-implemented")));
    assert!(!asks_after(&mut desk, 60));
}

/// Settings `message_archiving`.
#[test]
fn the_archive_is_told_what_it_is_to_keep() {
    let mut desk = Desk::connected(Settings::default());
    can(&mut desk, "bot@example.org", MAM);
    for (wanted, is, changes) in [("never", "always", true), ("roster", "roster", false), ("always", "roster", true)] {
        desk.set(&[("message_archiving", wanted.into())]).unwrap();
        let id = desk.asked(|ask| matches!(ask, Ask::ArchivePreferences));
        let kept = ArchivePreferences { default: is.to_owned(), always: Vec::new(), never: Vec::new() };
        let before = desk.sent.len();
        desk.answer(None, id, Ok(Body::ArchivePreferences(kept)));
        let told = desk.sent[before..].iter().any(|stanza| {
            matches!(stanza, Outgoing::Ask { ask: Ask::SetArchivePreferences(told), .. } if told.default == wanted)
        });
        assert_eq!(told, changes, "{wanted}");
    }
    desk.forget();
    desk.set(&[("message_archiving", Value::Null)]).unwrap();
    assert!(desk.lines().is_empty(), "whatever the archive keeps now is right");
}

/// Settings `allow_bookmarks`, `allow_muc`.
#[test]
fn bookmarks_are_fetched_and_forgotten() {
    for key in ["allow_bookmarks", "allow_muc"] {
        let mut desk = Desk::connected(settings(&[(key, false.into())]));
        desk.set(&[(key, true.into())]).unwrap();
        assert!(desk.lines().contains(&"> ask bookmarks".to_owned()), "{key}");
        let bookmark = |nick: &str| types::Bookmark {
            room: bare(ROOM),
            name: None,
            autojoin: true,
            nick: Some(nick.to_owned()),
            password: None,
            extensions: None,
            is_cut: false,
        };
        desk.bookmarks(vec![bookmark("Puck")]);
        assert_eq!(desk.lines(), ["> available to room@muc.example.org/Puck entering"]);
        desk.presence(occupant("Puck", PresenceKind::Available, &[110]));
        assert_eq!(desk.session.snapshot().bookmarks.unwrap().len(), 1);
        desk.forget();
        desk.set(&[(key, false.into())]).unwrap();
        assert_eq!(desk.session.snapshot().bookmarks, Err(NoBookmarks::NotWanted));
        desk.hear(Incoming::Bookmarks(vec![types::BookmarkChange::Removed(bare(ROOM))]));
        assert!(desk.lines().is_empty(), "where we are we stay");
        // An answer that is on its way when bookmarks are disabled.
        desk.set(&[(key, true.into())]).unwrap();
        desk.set(&[(key, false.into())]).unwrap();
        desk.bookmarks(vec![bookmark("Robin")]);
        assert_eq!(desk.session.snapshot().bookmarks, Err(NoBookmarks::NotWanted));
    }
}

/// Settings `auto_join_rooms`, `auto_join_private_chats`, `nickname`.
#[test]
fn rooms_and_chats_that_are_added_are_entered() {
    let mut desk = Desk::connected(Settings::default());
    let rooms = serde_json::json!([ROOM, { "jid": "hall@muc.example.org", "nick": "Robin" }]);
    let chats = serde_json::json!([ROMEO]);
    desk.set(&[("nickname", "Puck".into()), ("auto_join_rooms", rooms), ("auto_join_private_chats", chats)]).unwrap();
    assert_eq!(
        desk.lines(),
        [
            "> available to room@muc.example.org/Puck entering",
            "> available to hall@muc.example.org/Robin entering",
            "chatBoxInitialized",
            "chatBoxOpened",
        ]
    );
    desk.presence(occupant("Puck", PresenceKind::Available, &[110]));
    desk.forget();
    desk.set(&[("auto_join_rooms", serde_json::json!([ROOM])), ("auto_join_private_chats", serde_json::json!([]))])
        .unwrap();
    assert!(desk.lines().is_empty(), "where we are we stay");
}

/// Settings `default_state`.
#[test]
fn the_first_status_is_the_default_until_somebody_says_another() {
    let status = |desk: &Desk| desk.session.snapshot().status.value.as_str();
    let mut desk = Desk::new(Settings::default());
    desk.set(&[("default_state", "xa".into())]).unwrap();
    assert_eq!(status(&desk), "xa");
    let _receiver = desk.ask(SetStatus { value: Some(StatusValue::Dnd), message: None });
    desk.set(&[("default_state", "away".into())]).unwrap();
    assert_eq!(status(&desk), "dnd");
    let mut desk = Desk::connected(Settings::default());
    desk.set(&[("default_state", "away".into())]).unwrap();
    assert_eq!(status(&desk), "online", "others were told");
    desk.run(Session::logged_out);
    assert_eq!(status(&desk), "away", "a new session begins with it");
}

/// Settings `priority`.
#[test]
fn nothing_changes_where_something_does_not_fit() {
    let mut desk = Desk::connected(Settings::default());
    assert!(desk.set(&[("priority", 7.into()), ("nickname", 7.into())]).is_err());
    assert_eq!(desk.session.settings().priority, 0);
    desk.set(&[("priority", 7.into())]).unwrap();
    desk.wait(5);
    assert!(matches!(desk.sent.last(), Some(Outgoing::Presence(PresenceOut { priority: Some(7), .. }))));
}
