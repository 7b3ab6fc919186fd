//! Resending after a lost stream.

use super::*;

fn to(desk: &Desk) -> Vec<String> {
    let sent = desk.sent.iter().filter_map(|sent| match sent {
        Outgoing::Again(raw) => raw.to().map(|to| to.to_string()),
        _ => None,
    });
    sent.collect()
}

fn lost(desk: &mut Desk, room: &str) {
    desk.in_room();
    desk.run(Session::suspended);
    let own = FullJid::new("bot@example.org/house").unwrap();
    let again = vec![
        raw(&format!("<message xmlns='jabber:client' to='{room}' type='groupchat'><body>one</body></message>")),
        raw(&format!("<message xmlns='jabber:client' to='{ROMEO}' type='chat'><body>two</body></message>")),
        raw("<message xmlns='jabber:client' to='other@muc.example.org' type='groupchat'><body>three</body></message>"),
    ];
    desk.run(|session, now, effects| {
        session.bound(own, Offers::default(), now, effects);
        session.send_again(again, now, effects);
    });
    desk.go_on_to_roster();
}

/// Rules rejoin.
#[test]
fn it_goes_again_and_what_is_for_a_room_once_we_are_in_it() {
    let mut desk = Desk::connected(Settings::default());
    lost(&mut desk, ROOM);
    let at_once = ["romeo@example.org", "other@muc.example.org"];
    assert_eq!(to(&desk), at_once);
    desk.roster(Vec::new());
    assert_eq!(to(&desk), at_once);
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert_eq!(to(&desk), [at_once[0], at_once[1], ROOM]);
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert_eq!(to(&desk).len(), 3, "once");
}

#[test]
fn what_is_for_a_room_that_does_not_let_us_in_again_is_given_up() {
    let mut desk = Desk::connected(Settings::default());
    lost(&mut desk, ROOM);
    desk.roster(Vec::new());
    desk.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error("forbidden"))));
    let _later = desk.open_room(None);
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(!to(&desk).contains(&ROOM.to_owned()));
}
