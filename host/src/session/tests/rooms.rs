//! Entering, leaving and staying in rooms.

use super::*;

fn close(desk: &mut Desk) -> Receiver<Result<(), CallError>> {
    let (answer, receiver) = Answer::channel();
    desk.command(Command::CloseRoom { jid: bare(ROOM), answer });
    receiver
}

fn room(desk: &Desk) -> Arc<Room> {
    Arc::clone(&desk.session.snapshot().rooms[&bare(ROOM)])
}

fn with_muc(mut presence: Presence, change: impl FnOnce(&mut MucUser)) -> Presence {
    change(presence.muc.as_mut().unwrap());
    presence
}

fn last_occupant(desk: &Desk, event: &str) -> Arc<Occupant> {
    match desk.last(event) {
        Payload::Occupant(occupant) => Arc::clone(occupant),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_opens_a_room_is_told_when_we_are_in() {
    let mut desk = Desk::connected(Settings::default());
    let mut first = desk.open_room(None);
    assert_eq!(desk.lines(), ["> available to room@muc.example.org/bot entering"]);
    let mut second = desk.open_room(Some("other"));
    assert!(desk.lines().is_empty(), "they share the way in");
    desk.presence(occupant("juliet", PresenceKind::Available, &[]));
    assert!(desk.lines().is_empty(), "who was there before us is not news");
    assert!(got(&mut first).is_none() && !room(&desk).joined);
    desk.presence(occupant("Bot!", PresenceKind::Available, &[110, 210]));
    assert_eq!(desk.lines(), ["chatRoomOpened"]);
    for result in [got(&mut first), got(&mut second), got(&mut desk.open_room(None))] {
        let room = result.unwrap().unwrap();
        assert!(room.joined);
        assert_eq!((room.nick.as_str(), room.role.as_str(), room.occupants.len()), ("Bot!", "participant", 2));
    }
    assert!(desk.session.next_deadline().is_some_and(|at| at > desk.now));
    desk.wait(60);
    assert!(room(&desk).joined);
}

#[test]
fn the_nickname_is_the_given_the_settings_or_the_accounts() {
    let from_jid = settings(&[("nickname", "Host".into()), ("muc_nickname_from_jid", true.into())]);
    for (settings, given, expected) in [
        (settings(&[("nickname", "Host".into())]), Some("given"), "given"),
        (settings(&[("nickname", "Host".into())]), None, "Host"),
        (from_jid, None, "bot"),
        (Settings::default(), None, "bot"),
    ] {
        let mut desk = Desk::connected(settings);
        let _opened = desk.open_room(given);
        assert_eq!(room(&desk).nick, expected);
    }
    let mut desk = Desk::connected(Settings::default());
    let refused = got(&mut desk.open_room(Some("")));
    assert!(matches!(refused, Some(Err(CallError::Invalid { argument, .. })) if argument == "attributes.nick"));
}

#[test]
fn a_room_that_lets_nobody_in_says_why() {
    for condition in ["conflict", "forbidden", "registration-required", "not-authorized", "service-unavailable"] {
        let mut desk = Desk::connected(Settings::default());
        let mut opened = desk.open_room(None);
        desk.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error(condition))));
        assert!(matches!(got(&mut opened), Some(Err(CallError::Stanza(error))) if error.condition == condition));
        assert!(desk.session.snapshot().rooms.is_empty());
    }
    let mut desk = Desk::connected(Settings::default());
    let mut opened = desk.open_room(None);
    desk.forget();
    desk.wait(30);
    assert_eq!(got(&mut opened).unwrap().unwrap_err(), CallError::TimedOut);
    assert_eq!(desk.lines(), ["> unavailable to room@muc.example.org/bot"], "in case it let us in after all");
    assert!(desk.session.snapshot().rooms.is_empty());

    let mut desk = Desk::connected(settings(&[("allow_muc", false.into())]));
    assert!(matches!(got(&mut desk.open_room(None)), Some(Err(CallError::Unsupported(_)))));
    let mut desk = Desk::new(Settings::default());
    assert_eq!(got(&mut desk.open_room(None)).unwrap().unwrap_err(), CallError::Offline);
}

#[test]
fn a_room_that_we_create_is_configured_first() {
    let fields = vec![("persistentroom".to_owned(), vec!["1".to_owned()])];
    let full = vec![("muc#roomconfig_persistentroom".to_owned(), vec!["1".to_owned()])];
    let slow = settings(&[("muc_instant_rooms", false.into())]);
    for (settings, configure, expected) in [
        (Settings::default(), None, Some(Vec::new())),
        (slow.clone(), Some(fields), Some(full)),
        (slow.clone(), Some(Vec::new()), Some(Vec::new())),
        (slow, None, None),
    ] {
        let mut desk = Desk::connected(settings);
        let (answer, mut opened) = Answer::channel();
        let join = stanza::RoomJoin::default();
        desk.command(Command::OpenRoom { jid: bare(ROOM), nick: None, join, configure, answer });
        desk.forget();
        desk.presence(occupant("bot", PresenceKind::Available, &[110, 201]));
        let Some(expected) = expected else {
            assert_eq!(desk.lines(), ["configurationNeeded", "chatRoomOpened"]);
            assert!(got(&mut opened).unwrap().is_ok());
            continue;
        };
        assert!(got(&mut opened).is_none(), "nobody else can enter yet");
        let id = desk.asked(|ask| *ask == Ask::ConfigureRoom { fields: expected.clone() });
        desk.answer(Some(ROOM), id, Ok(Body::Empty));
        assert!(got(&mut opened).unwrap().is_ok());
        assert_eq!(desk.count("chatRoomOpened"), 1);
    }
    let mut desk = Desk::connected(Settings::default());
    let mut opened = desk.open_room(None);
    desk.presence(occupant("bot", PresenceKind::Available, &[110, 201]));
    let id = desk.asked(|ask| matches!(ask, Ask::ConfigureRoom { .. }));
    desk.answer(Some(ROOM), id, Err(stanza_error("not-acceptable")));
    assert!(matches!(got(&mut opened), Some(Err(CallError::Stanza(_)))));
    assert!(room(&desk).joined);
}

#[test]
fn who_comes_goes_and_changes_is_told() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    desk.presence(occupant("romeo", PresenceKind::Available, &[]));
    assert_eq!(desk.lines(), ["occupantJoined"]);
    desk.presence(occupant("romeo", PresenceKind::Available, &[]));
    assert!(desk.lines().is_empty(), "nothing new");
    desk.presence(with_muc(occupant("romeo", PresenceKind::Available, &[]), |muc| {
        "moderator".clone_into(&mut muc.role);
    }));
    assert_eq!(last_occupant(&desk, "occupantChanged").role, "moderator");
    desk.forget();
    desk.presence(with_muc(occupant("romeo", PresenceKind::Unavailable, &[303]), |muc| {
        muc.nick = Some("r".to_owned());
    }));
    let renamed = last_occupant(&desk, "occupantChanged");
    assert_eq!((renamed.nick.as_str(), renamed.previous_nick.as_deref()), ("r", Some("romeo")));
    desk.presence(with_muc(occupant("r", PresenceKind::Available, &[]), |muc| "moderator".clone_into(&mut muc.role)));
    assert_eq!(desk.lines(), ["occupantChanged"], "one change, told once");
    assert!(!room(&desk).occupants.contains_key("romeo"));
    for (status, why) in [(&[][..], "left"), (&[307], "kicked"), (&[301], "banned"), (&[322], "members-only")] {
        desk.presence(occupant("mercutio", PresenceKind::Available, &[]));
        let gone = occupant("mercutio", PresenceKind::Unavailable, status);
        desk.presence(with_muc(gone, |muc| muc.reason = Some("a plague".to_owned())));
        let left = last_occupant(&desk, "occupantLeft");
        assert_eq!((left.left, left.reason.as_deref()), (Some(why), Some("a plague")));
    }
    assert_eq!(room(&desk).occupants.len(), 3);
}

#[test]
fn our_own_new_nickname_is_known() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    desk.presence(with_muc(occupant("bot", PresenceKind::Unavailable, &[110, 303]), |muc| {
        muc.nick = Some("bot2".to_owned());
    }));
    desk.presence(occupant("bot2", PresenceKind::Available, &[110]));
    assert!(room(&desk).joined);
    assert_eq!(room(&desk).nick, "bot2");
    assert!(last_occupant(&desk, "occupantChanged").own);
}

#[test]
fn being_put_out_is_told_with_the_reason() {
    for (status, destroyed, why) in [
        (&[110, 307][..], false, "kicked"),
        (&[110, 301], false, "banned"),
        (&[110, 321], false, "members-only"),
        (&[110, 332], false, "shutdown"),
        (&[110], true, "destroyed"),
        (&[], false, "left"),
    ] {
        let mut desk = Desk::connected(Settings::default());
        desk.in_room();
        let gone = occupant("bot", PresenceKind::Unavailable, status);
        desk.presence(with_muc(gone, |muc| muc.destroyed = destroyed.then_some(None)));
        assert_eq!(desk.lines(), ["occupantLeft", "roomLeft"]);
        assert_eq!(last_occupant(&desk, "occupantLeft").left, Some(why));
        assert!(!room(&desk).joined && room(&desk).occupants.is_empty());
        desk.bind();
        desk.roster(Vec::new());
        assert!(!desk.lines().iter().any(|line| line.contains("entering")), "nobody wants us there");
        assert!(got(&mut close(&mut desk)).unwrap().is_ok());
        assert!(desk.session.snapshot().rooms.is_empty());
    }
}

#[test]
fn leaving_is_over_when_the_room_says_so_or_in_time() {
    let mut desk = Desk::connected(Settings::default());
    assert!(matches!(got(&mut close(&mut desk)), Some(Err(CallError::NotFound(_)))));
    for in_time in [true, false] {
        desk.in_room();
        let mut closed = close(&mut desk);
        assert_eq!(desk.lines(), ["> unavailable to room@muc.example.org/bot"]);
        assert!(got(&mut closed).is_none());
        if in_time {
            desk.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
        } else {
            desk.wait(10);
        }
        assert!(got(&mut closed).unwrap().is_ok());
        assert_eq!(desk.count("roomLeft"), 1);
        assert!(desk.session.snapshot().rooms.is_empty());
    }
}

#[test]
fn entering_while_leaving_is_not_mistaken_for_it() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    let mut closed = close(&mut desk);
    let mut opened = desk.open_room(None);
    assert!(got(&mut closed).unwrap().is_ok());
    desk.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
    assert!(got(&mut opened).is_none(), "that was the farewell");
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(got(&mut opened).unwrap().unwrap().joined);
}

#[test]
fn closing_ends_the_wait_of_those_who_open() {
    let mut desk = Desk::connected(Settings::default());
    let mut opened = desk.open_room(None);
    let _closed = close(&mut desk);
    assert_eq!(got(&mut opened).unwrap().unwrap_err(), CallError::Stopped);
}

#[test]
fn who_is_on_the_way_in_when_the_stream_breaks_gets_in_or_is_told() {
    let mut desk = Desk::connected(Settings::default());
    let mut opened = desk.open_room(None);
    desk.bind();
    let mut later = desk.open_room(None);
    assert!(got(&mut opened).is_none(), "it is tried again");
    desk.roster(Vec::new());
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(got(&mut opened).unwrap().is_ok() && got(&mut later).unwrap().is_ok());

    let mut desk = Desk::connected(Settings::default());
    let mut opened = desk.open_room(None);
    desk.run(|session, now, effects| session.lost("gone", now, effects));
    assert_eq!(got(&mut opened).unwrap().unwrap_err(), CallError::Offline);
    assert!(desk.session.snapshot().rooms.is_empty());
}

#[test]
fn a_room_that_refuses_our_return_is_left() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    desk.bind();
    desk.roster(Vec::new());
    desk.forget();
    desk.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error("forbidden"))));
    assert_eq!(desk.lines(), ["roomLeft"]);
    assert!(!room(&desk).joined);
}
