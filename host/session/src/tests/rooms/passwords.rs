//! The passwords that the owner gives for rooms of the settings.

use parlor_config::Hidden;
use parlor_stanza::types::RoomJoin;
use serde_json::json;

use super::bookmarks::bookmark;
use super::*;

const OWN: &str = "the owner's";

fn give(test: &mut TestSession, password: &str) {
    let passwords = RoomPasswords::from([(bare(ROOM), Hidden(password.to_owned()))]);
    test.run(|session, now, effects| set_room_passwords(session, passwords, now, effects));
}

/// Returns a session that has this password for the room, which its settings list, and asks to enter it.
fn entering(password: &str) -> TestSession {
    let mut test =
        TestSession::new(settings(&[("auto_join_rooms", json!([ROOM])), ("auto_join_on_invite", true.into())]));
    give(&mut test, password);
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster(Vec::new());
    test
}

/// Returns the passwords of all attempts to enter the room.
fn brought(test: &TestSession) -> Vec<Option<&str>> {
    let joins = test.sent.iter().filter_map(|stanza| match stanza {
        Outgoing::Presence(PresenceOut { join: Some(join), .. }) => Some(join.password.as_deref()),
        _ => None,
    });
    joins.collect()
}

fn refused(test: &mut TestSession) {
    test.presence(presence(ROOM, PresenceKind::Error(stanza_error("not-authorized"))));
}

fn is_in(test: &mut TestSession) {
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(room(test).joined);
}

fn why(test: &TestSession) -> Option<&'static str> {
    let records = test.session.snapshot().room_records.rooms;
    records[&bare(ROOM)].departure.as_ref().map(|departure| departure.why)
}

#[test]
fn a_room_gets_its_password_each_time_that_it_is_entered() {
    let mut test = entering(OWN);
    is_in(&mut test);
    test.bind();
    test.roster(Vec::new());
    assert_eq!(brought(&test), [Some(OWN); 2], "after a lost stream");
    is_in(&mut test);
    test.run(Session::logged_out);
    test.run(|session, _, _| session.connecting());
    test.bind();
    test.roster(Vec::new());
    assert_eq!(brought(&test), [Some(OWN); 3], "after a log-out");
    assert!(!format!("{:?}", test.session).contains(OWN), "it is hidden where the state is shown");
}

/// Its file may be on a file system that does not answer.
#[test]
fn a_room_is_entered_once_its_password_is_read_and_no_other_one_waits() {
    const OPEN: &str = "open@muc.example.org";
    let waiting = || {
        let mut test = TestSession::new(settings(&[("auto_join_rooms", json!([ROOM, OPEN]))]));
        await_room_passwords(&mut test.session, [bare(ROOM)].into());
        test.run(Session::plugins_initialized);
        test.bind();
        test.roster(Vec::new());
        assert_eq!(brought(&test), [None], "the other room needs none");
        assert_eq!(test.session.snapshot().room_records.rooms[&bare(ROOM)].state, RoomState::Waiting);
        test
    };
    let mut test = waiting();
    give(&mut test, OWN);
    assert_eq!(brought(&test), [None, Some(OWN)]);
    is_in(&mut test);

    let mut test = waiting();
    test.run(|session, now, effects| set_room_passwords(session, RoomPasswords::new(), now, effects));
    assert_eq!(brought(&test), [None; 2], "its password cannot be read");
    refused(&mut test);
    assert_eq!(why(&test), Some("password"));

    // A plugin has its own.
    let mut test = waiting();
    let join = RoomJoin { password: Some("a plugin's".to_owned()), history: None };
    let options = RoomOptions { join, ..RoomOptions::default() };
    let _opened = test.ask(OpenRoom { by: InstanceId(1), jid: bare(ROOM), options });
    assert_eq!(brought(&test), [None, Some("a plugin's")]);
}

#[test]
fn a_wrong_password_is_news_once_and_tried_again_only_if_it_changes() {
    let mut test = entering("wrong");
    refused(&mut test);
    let news = test.room_news.pop().unwrap();
    assert_eq!((news.was_in, why(&test), news.record.state), (false, Some("password"), RoomState::Out));
    test.wait(3_600);
    give(&mut test, "wrong");
    assert_eq!((brought(&test), test.room_news.len()), (vec![Some("wrong")], 0));
    give(&mut test, OWN);
    assert_eq!(brought(&test), [Some("wrong"), Some(OWN)]);
    is_in(&mut test);
    give(&mut test, "another");
    assert_eq!(brought(&test).len(), 2, "it is in the room");

    let mut test = entering(OWN);
    is_in(&mut test);
    let _closed = close(&mut test);
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
    give(&mut test, "another");
    assert_eq!((brought(&test).len(), why(&test)), (1, Some("left")));

    let mut test = entering(OWN);
    is_in(&mut test);
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110, 307]));
    give(&mut test, "another");
    assert_eq!((brought(&test).len(), why(&test)), (1, Some("kicked")), "a password does not bring it back");
}

/// A room that the account was in has another password since the connection was lost.
#[test]
fn a_password_that_changed_meanwhile_is_news_and_the_next_one_brings_the_account_back() {
    let mut test = entering("old");
    is_in(&mut test);
    test.bind();
    test.roster(Vec::new());
    refused(&mut test);
    assert_eq!(
        (why(&test), room(&test).left),
        (Some("password"), Some("refused")),
        "plugins hear the words of the contract"
    );
    give(&mut test, OWN);
    assert_eq!(brought(&test), [Some("old"), Some("old"), Some(OWN)]);
}

/// Anyone can send an invitation, and other clients of the account set bookmarks.
#[test]
fn only_a_call_brings_another_password_than_the_owners() {
    let mut test = entering("wrong");
    refused(&mut test);
    let invite = types::Invite {
        room: bare(ROOM),
        from: jid("mallory@example.net"),
        to: jid("bot@example.org"),
        reason: None,
        password: Some("mallory's".to_owned()),
    };
    let from = "mallory@example.net";
    test.message(Message { body: None, invite: Some(Box::new(invite)), ..message(from, MessageKind::Normal, "") });
    assert_eq!(brought(&test), [Some("wrong"); 2]);
    refused(&mut test);
    let join = RoomJoin { password: Some("a plugin's".to_owned()), history: None };
    let options = RoomOptions { join, ..RoomOptions::default() };
    let _opened = test.ask(OpenRoom { by: InstanceId(1), jid: bare(ROOM), options });
    assert_eq!(brought(&test)[2], Some("a plugin's"));
    is_in(&mut test);
    give(&mut test, OWN);
    test.bind();
    test.roster(Vec::new());
    assert_eq!(brought(&test)[3..], [Some(OWN)], "the owner has given it since");

    let mut test = TestSession::new(Settings::default());
    give(&mut test, OWN);
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster_alone(Vec::new());
    test.bookmarks(vec![types::Bookmark { password: Some("a client's".to_owned()), ..bookmark(true) }]);
    assert_eq!(brought(&test), [Some(OWN)]);
}

/// A room adds its password to the invitations that it passes on.
#[test]
fn no_invitation_tells_plugins_the_password_of_a_room_that_has_the_owners() {
    let mut test = entering("wrong");
    refused(&mut test);
    for (room, shown) in [(ROOM, None), ("other@muc.example.org", Some("a room's"))] {
        let invite = types::Invite {
            room: bare(room),
            from: jid("mallory@example.net"),
            to: jid("bot@example.org"),
            reason: None,
            password: Some("a room's".to_owned()),
        };
        let from = "mallory@example.net";
        test.message(Message { body: None, invite: Some(Box::new(invite)), ..message(from, MessageKind::Normal, "") });
        let Payload::Invite(told) = test.last("roomInviteReceived") else { panic!() };
        assert_eq!((told.room.as_str(), told.password.as_deref()), (room, shown));
    }
}
