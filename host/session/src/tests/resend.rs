//! Resending after a lost stream.

use super::*;

fn to(test: &TestSession) -> Vec<String> {
    let sent = test.sent.iter().filter_map(|sent| match sent {
        Outgoing::Again(raw) => raw.to().map(|to| to.to_string()),
        _ => None,
    });
    sent.collect()
}

fn lost(test: &mut TestSession, room: &str) {
    test.in_room();
    test.run(Session::suspended);
    let own = FullJid::new("bot@example.org/parlor").unwrap();
    let again = vec![
        raw(&format!("<message xmlns='jabber:client' to='{room}' type='groupchat'><body>one</body></message>")),
        raw(&format!("<message xmlns='jabber:client' to='{ROMEO}' type='chat'><body>two</body></message>")),
        raw("<message xmlns='jabber:client' to='other@muc.example.org' type='groupchat'><body>three</body></message>"),
    ];
    test.run(|session, now, effects| {
        session.bound(own, Offers::default(), now, effects);
        session.send_again(again, now, effects);
    });
    test.go_on_to_roster();
}

/// Rules rejoin.
#[test]
fn it_goes_again_and_what_is_for_a_room_once_we_are_in_it() {
    let mut test = TestSession::connected(Settings::default());
    lost(&mut test, ROOM);
    let at_once = ["romeo@example.org", "other@muc.example.org"];
    assert_eq!(to(&test), at_once);
    test.roster(Vec::new());
    assert_eq!(to(&test), at_once);
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert_eq!(to(&test), [at_once[0], at_once[1], ROOM]);
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert_eq!(to(&test).len(), 3, "once");
}

#[test]
fn what_is_for_a_room_that_does_not_let_us_in_again_is_given_up() {
    let mut test = TestSession::connected(Settings::default());
    lost(&mut test, ROOM);
    test.roster(Vec::new());
    test.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error("forbidden"))));
    let _later = test.open_room(None);
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(!to(&test).contains(&ROOM.to_owned()));
}
