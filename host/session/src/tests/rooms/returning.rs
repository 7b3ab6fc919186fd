//! Coming back to rooms: after a lost stream, and when a service is up again or knows us no more.

use super::*;

/// Rules rejoin.
#[test]
fn a_room_is_entered_again_from_where_we_were() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.wait(600);
    let before = test.now;
    test.message(Message {
        at: before,
        id: Some("1".to_owned()),
        ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "hi")
    });
    test.bind();
    test.roster(Vec::new());
    let join = test.sent.iter().rev().find_map(|stanza| match stanza {
        Outgoing::Presence(PresenceOut { join: Some(join), .. }) => join.history,
        _ => None,
    });
    let since = join.unwrap().since.unwrap();
    assert!(since < before && before.duration_since(since).as_secs() <= 60, "{since} {before}");
    test.forget();
    // Known messages are repeated, and then come the missed ones.
    let past = |id: &str, body: &str| Message {
        at: before,
        id: Some(id.to_owned()),
        delayed: true,
        ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, body)
    };
    test.presence(occupant("mercutio", PresenceKind::Available, &[]));
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert_eq!(
        test.lines(),
        ["occupantLeft", "occupantJoined", "> ask disco of room@muc.example.org"],
        "who came and went meanwhile"
    );
    test.message(past("1", "hi"));
    test.message(past("2", "hi"));
    test.message(past("2", "hi"));
    assert_eq!(test.count("message"), 1);
}

/// Somebody who has taken the nickname of another person meanwhile is not that person with other data.
#[test]
fn whoever_has_the_nickname_of_somebody_who_left_meanwhile_has_joined() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let at = |nick: &str, address: &str| {
        with_muc(occupant(nick, PresenceKind::Available, &[]), |muc| muc.jid = Some(jid(address)))
    };
    test.presence(at("juliet", "juliet@example.org/balcony"));
    test.presence(at("romeo", "romeo@example.org/home"));
    test.presence(at("mercutio", "mercutio@example.org/home"));
    test.bind();
    test.roster(Vec::new());
    test.forget();
    test.presence(at("juliet", "paris@example.org/home"));
    test.presence(at("romeo", "romeo@example.org/phone"));
    test.presence(occupant("mercutio", PresenceKind::Available, &[110, 210]));
    let lines: Vec<_> = test.lines().into_iter().filter(|line| line.starts_with("occupant")).collect();
    assert_eq!(lines, ["occupantLeft", "occupantLeft", "occupantJoined", "occupantChanged"]);
    let Payload::Occupant(joined) = test.last("occupantJoined").clone() else { panic!("an occupant") };
    assert_eq!(joined.jid, Some(jid("paris@example.org/home")));
}

/// Rules duplicate.
#[test]
fn a_rooms_past_is_told_once_though_its_numbers_did_not_count_at_first() {
    let mut test = TestSession::connected(Settings::default());
    let at = test.now;
    let past = || Message {
        at,
        id: Some("1".to_owned()),
        stanza_id: Some("n1".to_owned()),
        delayed: true,
        ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "hi")
    };
    let _opened = test.open_room(None);
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    test.message(past());
    test.subject("");
    assert_eq!(test.count("message"), 2, "and the subject");
    let id = test.asked_of(ROOM, |ask| matches!(ask, Ask::DiscoInfo { .. }));
    let features = vec!["urn:xmpp:sid:0".to_owned()];
    test.answer(Some(ROOM), id, Ok(Body::Disco(types::Disco { features, ..types::Disco::default() })));
    test.bind();
    test.roster(Vec::new());
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    test.forget();
    test.message(past());
    assert_eq!(test.count("message"), 0, "it came before");
    test.message(Message { id: Some("2".to_owned()), stanza_id: Some("n2".to_owned()), ..past() });
    assert_eq!(test.count("message"), 1);
}

/// An occupant may write a stamp in the room's name, and some services forward it.
#[test]
fn nobody_hides_behind_a_stamp_once_the_subject_has_come() {
    let mut test = TestSession::connected(Settings::default());
    let stamped = |id: &str| Message {
        at: Timestamp::UNIX_EPOCH,
        id: Some(id.to_owned()),
        delayed: true,
        ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "bot: hi")
    };
    let _opened = test.open_room(None);
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    test.message(stamped("1"));
    assert_eq!(test.count("messageNotification"), 0, "that is the past");
    test.subject("");
    // MongooseIM repeats each subject in its place, and continues with later messages.
    test.message(stamped("2"));
    assert_eq!(test.count("messageNotification"), 0, "that may be the past still");
    test.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "bot: now"));
    assert_eq!(test.count("messageNotification"), 1, "that is not");
    test.wait(5);
    test.message(stamped("3"));
    assert_eq!(test.count("messageNotification"), 2);
    // A room that is entered again sends its history again.
    test.bind();
    test.roster(Vec::new());
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    test.forget();
    test.message(stamped("4"));
    assert_eq!(test.count("messageNotification"), 0);
}

/// Phones capitalise the first word.
#[test]
fn whoever_names_us_may_do_so_in_capitals() {
    let mut test = TestSession::connected(Settings::default());
    let _opened = test.open_room(None);
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    test.subject("");
    for (said, mentions) in [("Bot, help", 1), ("BOT?", 2), ("Bots", 2), ("a robot", 2)] {
        let id = Some(said.to_owned());
        test.message(Message { id, ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, said) });
        assert_eq!(test.count("messageNotification"), mentions, "{said}");
    }
}

/// In the form that `MongooseIM` sends.
#[test]
fn a_subject_beside_an_empty_body_is_one() {
    let mut test = TestSession::connected(Settings::default());
    let _opened = test.open_room(None);
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    test.forget();
    let stamp = format!("<delay xmlns='urn:xmpp:delay' from='{ROOM}' stamp='2020-01-01T00:00:00Z'/>");
    let subject = |text: &str| {
        format!("<message from='{ROOM}/juliet' type='groupchat'><subject>{text}</subject><body/>{stamp}</message>")
    };
    test.hear_xml(&subject(""));
    assert_eq!(test.lines(), ["message"], "and nothing that was said");
    test.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "bot: hi"));
    assert_eq!(test.count("messageNotification"), 1, "the past ended with it");
    test.hear_xml(&subject("Verona"));
    assert_eq!(room(&test).subject.as_deref(), Some("Verona"));
    // It is sent again whenever we enter again, without an id.
    test.bind();
    test.roster(Vec::new());
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    test.hear_xml(&subject("Verona"));
    test.forget();
    let stamped =
        Message { delayed: true, ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "bot: hi again") };
    test.wait(5);
    test.message(stamped);
    assert_eq!(test.count("messageNotification"), 1, "nobody hides behind a stamp");
}

#[test]
fn our_ghost_does_not_keep_us_out() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.bind();
    test.roster(Vec::new());
    test.forget();
    refuse(&mut test);
    assert_eq!(test.lines(), ["> available to room@muc.example.org/bot_2 entering"]);
    refuse(&mut test);
    assert_eq!(test.lines(), ["> available to room@muc.example.org/bot_3 entering"]);
    test.presence(occupant("bot_3", PresenceKind::Available, &[110]));
    assert_eq!((room(&test).nick.as_str(), room(&test).joined), ("bot_3", true));
    test.bind();
    test.roster(Vec::new());
    let entering = "> available to room@muc.example.org/bot entering".to_owned();
    assert!(test.lines().contains(&entering), "it may be gone by now");
    for _ in 0..20 {
        refuse(&mut test);
    }
    assert_eq!(test.count("roomLeft"), 1, "but not for ever");
    assert_eq!(room(&test).left, Some("refused"));
}

/// Refuses the nickname that we ask for now.
fn refuse(test: &mut TestSession) {
    let asked = format!("{ROOM}/{}", room(test).nick);
    test.presence(presence(&asked, PresenceKind::Error(stanza_error("conflict"))));
}

/// The room gets each presence of ours, and may refuse a nickname more than once.
#[test]
fn a_nickname_that_is_refused_twice_does_not_use_up_the_next_one() {
    let conflict = |from: &str| presence(from, PresenceKind::Error(stanza_error("conflict")));
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.bind();
    test.roster(Vec::new());
    test.forget();
    test.presence(conflict(&format!("{ROOM}/bot")));
    assert_eq!(test.lines(), ["> available to room@muc.example.org/bot_2 entering"]);
    test.presence(conflict(&format!("{ROOM}/bot")));
    assert!(test.lines().is_empty(), "{:?}", room(&test).nick);
    // Some services answer by the address of the room.
    test.presence(conflict(ROOM));
    assert_eq!(test.lines(), ["> available to room@muc.example.org/bot_3 entering"]);
    test.presence(occupant("bot_3", PresenceKind::Available, &[110]));
    assert_eq!((room(&test).nick.as_str(), room(&test).joined), ("bot_3", true));
    // A plugin asks for another one at once.
    let mut test = TestSession::connected(Settings::default());
    let mut first = test.open_room(None);
    test.presence(conflict(&format!("{ROOM}/bot")));
    assert!(matches!(got(&mut first), Some(Err(CallError::Stanza(_)))));
    let mut second = test.open_room(Some("robin"));
    test.presence(conflict(&format!("{ROOM}/bot")));
    test.presence(occupant("robin", PresenceKind::Available, &[110]));
    assert!(got(&mut second).unwrap().unwrap().joined);
}

/// Enters the room on a new stream, while somebody else has our nickname.
fn with_another_nickname() -> TestSession {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.bind();
    test.roster(Vec::new());
    test.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error("conflict"))));
    for (nick, status) in [("juliet", &[][..]), ("bot", &[][..]), ("bot_2", &[110][..])] {
        test.presence(occupant(nick, PresenceKind::Available, status));
    }
    test.forget();
    test
}

/// People address a bot by its nickname. Servers notice after minutes that the client of a lost stream is gone.
#[test]
fn our_nickname_is_taken_back_when_our_ghost_goes() {
    let back = "> available to room@muc.example.org/bot";
    let renamed = |from: &str, to: &str, status: &[u16]| {
        with_muc(occupant(from, PresenceKind::Unavailable, status), |muc| muc.nick = Some(to.to_owned()))
    };
    let mut test = with_another_nickname();
    test.presence(occupant("juliet", PresenceKind::Unavailable, &[]));
    assert_eq!(test.lines(), ["occupantLeft"], "she had another one");
    test.presence(occupant("bot", PresenceKind::Unavailable, &[]));
    assert_eq!(test.lines(), ["occupantLeft", back]);
    assert_eq!(room(&test).nick, "bot_2", "the room has not said so yet");
    test.presence(renamed("bot_2", "bot", &[110, 303]));
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert_eq!(room(&test).nick, "bot");
    // Somebody else had it, and takes another one.
    let mut test = with_another_nickname();
    test.presence(renamed("bot", "robot", &[303]));
    assert_eq!(test.lines(), ["occupantChanged", back]);
    // A room that refuses is asked whether we are still in it.
    test.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error("conflict"))));
    let id = test.asked_of(&format!("{ROOM}/bot_2"), |ask| *ask == Ask::Ping);
    test.answer(Some(&format!("{ROOM}/bot_2")), id, Ok(Body::Empty));
    assert_eq!((room(&test).nick.as_str(), room(&test).joined), ("bot_2", true));
}

/// Gateways list occupants before they refuse our nickname, and our ghost among them. It may go while we enter.
#[test]
fn whoever_goes_while_we_enter_is_not_in_the_list() {
    let nicks = |test: &TestSession| room(test).occupants.keys().cloned().collect::<Vec<_>>();
    let entering = |listed: &[&str]| {
        let mut test = TestSession::connected(Settings::default());
        test.in_room();
        test.bind();
        test.roster(Vec::new());
        for nick in listed {
            test.presence(occupant(nick, PresenceKind::Available, &[]));
        }
        test
    };
    for status in [&[][..], &[307, 333]] {
        let mut test = entering(&["juliet", "bot"]);
        test.presence(occupant("bot", PresenceKind::Unavailable, status));
        assert_eq!(nicks(&test), ["juliet"], "{status:?}: our ghost went, and we are not refused");
        test.presence(occupant("robot", PresenceKind::Available, &[110, 210]));
        assert_eq!(nicks(&test), ["juliet", "robot"], "{status:?}");
    }
    // The room does not tell us who leaves between two attempts.
    let mut test = entering(&["juliet", "bot"]);
    test.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error("conflict"))));
    test.presence(occupant("bot_2", PresenceKind::Available, &[110]));
    assert_eq!(nicks(&test), ["bot_2"]);
    // Somebody else has our nickname, and takes another one.
    let renamed = |status: &[u16]| {
        with_muc(occupant("bot", PresenceKind::Unavailable, status), |muc| muc.nick = Some("robin".to_owned()))
    };
    let mut test = entering(&["bot"]);
    test.presence(renamed(&[303]));
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert_eq!((nicks(&test), room(&test).nick.as_str()), (vec!["bot".to_owned(), "robin".to_owned()], "bot"));
    test.bind();
    test.roster(Vec::new());
    assert_eq!(test.lines().last().unwrap(), "> available to room@muc.example.org/bot entering", "it is ours");
    // A gateway gives us another nickname before it says that we are in, and then again.
    let mut test = entering(&["bot"]);
    test.presence(occupant("robin", PresenceKind::Available, &[110]));
    test.presence(renamed(&[110, 303]));
    assert_eq!(nicks(&test), ["robin"]);
    assert!(room(&test).occupants.get("robin").unwrap().own);
}

#[test]
fn a_nickname_that_the_room_gave_us_or_that_nobody_may_see_is_not_changed_back() {
    let mut test = TestSession::connected(Settings::default());
    let _opened = test.open_room(None);
    test.presence(occupant("bot", PresenceKind::Available, &[]));
    test.presence(occupant("robot", PresenceKind::Available, &[110, 210]));
    test.forget();
    test.presence(occupant("bot", PresenceKind::Unavailable, &[]));
    assert_eq!(test.lines(), ["occupantLeft"], "the room chose");
    let mut test = with_another_nickname();
    let _hidden = test.ask(SetStatus { value: Some(StatusValue::Offline), message: None });
    test.forget();
    test.presence(occupant("bot", PresenceKind::Unavailable, &[]));
    assert_eq!(test.lines(), ["occupantLeft"], "a presence would enter the room");
}

/// The same condition also means that creating rooms is forbidden.
#[test]
fn a_nickname_that_tigase_does_not_allow_is_one_that_somebody_has() {
    for (text, then) in [
        (Some("Nickname already in use."), "> available to room@muc.example.org/bot_2 entering"),
        (Some("Room creation is not allowed"), "roomLeft"),
        (None, "roomLeft"),
    ] {
        let mut test = TestSession::connected(Settings::default());
        test.in_room();
        test.bind();
        test.roster(Vec::new());
        test.forget();
        let mut error = stanza_error("not-allowed");
        error.text = text.map(str::to_owned);
        test.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Error(error)));
        assert_eq!(test.lines().last().map(String::as_str), Some(then), "{text:?}");
    }
}

#[test]
fn a_service_that_is_down_is_tried_again_until_it_is_back() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.bind();
    test.account_told();
    test.roster(Vec::new());
    test.forget();
    let down = || presence(ROOM, PresenceKind::Error(stanza_error("remote-server-timeout")));
    let mut waited = 0;
    for wait in [10, 20, 40, 80, 160, 320] {
        test.presence(down());
        assert!(test.lines().is_empty() && !room(&test).joined);
        test.wait(wait);
        waited += 1;
        assert_eq!(test.lines(), ["> available to room@muc.example.org/bot entering"], "{waited}");
    }
    test.presence(down());
    assert_eq!(test.lines(), ["occupantLeft", "roomLeft"]);
    for tried in 0..20 {
        test.wait(640);
        assert_eq!(test.lines(), ["> available to room@muc.example.org/bot entering"], "{tried}");
        test.presence(down());
        assert!(test.lines().is_empty(), "it was told once");
    }
    test.wait(640);
    // Another user of our nickname does not keep us out.
    test.presence(presence(ROOM, PresenceKind::Error(stanza_error("conflict"))));
    test.presence(occupant("bot_2", PresenceKind::Available, &[110]));
    assert!(test.lines().contains(&"chatRoomOpened".to_owned()));
    assert!(room(&test).joined);
}

/// It may shut down while we are entering.
#[test]
fn a_service_that_goes_down_while_it_lets_us_in_is_tried_again() {
    for status in [&[110, 332][..], &[110, 333, 307]] {
        let mut test = TestSession::new(settings(&[("auto_join_rooms", serde_json::json!([ROOM]))]));
        test.run(Session::plugins_initialized);
        test.bind();
        test.account_told();
        test.roster(Vec::new());
        for entering in ["for the first time", "again"] {
            test.presence(occupant("juliet", PresenceKind::Available, &[]));
            test.presence(occupant("bot", PresenceKind::Unavailable, status));
            assert_eq!(test.count("roomLeft"), 0, "{entering}");
            test.forget();
            test.wait(10);
            assert_eq!(test.lines(), ["> available to room@muc.example.org/bot entering"], "{entering}");
            test.presence(occupant("bot", PresenceKind::Available, &[110]));
            assert!(room(&test).joined);
            assert!(room(&test).occupants.keys().eq(["bot"]), "who was named before may be gone");
            test.room_told();
            test.bind();
            test.account_told();
            test.roster(Vec::new());
        }
    }
    // The caller gets the error.
    let mut test = TestSession::connected(Settings::default());
    let mut opened = test.open_room(None);
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110, 332]));
    let error = got(&mut opened).unwrap().unwrap_err().to_string();
    assert!(error.contains("let nobody in (shutdown)"), "{error}");
    assert!(test.session.snapshot().rooms.is_empty());
}

/// The service fails because of something that we are or send, and fails again as soon as we are back.
#[test]
fn a_room_that_puts_us_out_again_and_again_is_entered_less_and_less_often() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let mut come_and_go = |stays: u64, wait: u64| {
        test.wait(stays);
        test.presence(occupant("bot", PresenceKind::Unavailable, &[110, 307, 333]));
        let mut entered_after = |seconds| {
            test.forget();
            test.wait(seconds);
            test.lines().iter().any(|line| line.contains("entering"))
        };
        assert!(!entered_after(wait - 1) && entered_after(1), "{wait}");
        test.presence(occupant("bot", PresenceKind::Available, &[110]));
        assert!(room(&test).joined);
    };
    for wait in [30, 60, 120, 240, 480, 960, 960, 960] {
        come_and_go(1, wait);
    }
    // The service recovered.
    for wait in [30, 60] {
        come_and_go(if wait == 30 { 600 } else { 1 }, wait);
    }
    // A lost stream is not the service's fault.
    test.wait(599);
    test.bind();
    test.roster(Vec::new());
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    test.wait(1);
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110, 307, 333]));
    test.forget();
    test.wait(30);
    assert!(test.lines().iter().any(|line| line.contains("entering")));
}

/// The settings list it, and its service starts later than we do.
#[test]
fn a_room_that_was_never_there_is_entered_when_it_is() {
    let mut test = TestSession::new(settings(&[("auto_join_rooms", serde_json::json!([ROOM]))]));
    test.run(Session::plugins_initialized);
    test.bind();
    test.account_told();
    test.roster(Vec::new());
    test.forget();
    for tried in 0..20 {
        test.presence(presence(ROOM, PresenceKind::Error(stanza_error("remote-server-not-found"))));
        test.forget();
        test.wait(640);
        assert_eq!(test.lines(), ["> available to room@muc.example.org/bot entering"], "{tried}");
    }
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(test.lines().contains(&"chatRoomOpened".to_owned()));
}

/// Row 52. A log-out is different: it forgets all rooms.
#[test]
fn a_room_that_we_are_to_enter_by_ourselves_is_entered_at_the_next_log_in() {
    let automatic = || {
        let mut test = TestSession::new(settings(&[("auto_join_rooms", serde_json::json!([ROOM]))]));
        test.run(Session::plugins_initialized);
        test.bind();
        test.roster(Vec::new());
        test
    };
    let mut down = automatic();
    down.presence(presence(ROOM, PresenceKind::Error(stanza_error("remote-server-not-found"))));
    let mut put_out = TestSession::connected(Settings::default());
    put_out.in_room();
    put_out.presence(occupant("bot", PresenceKind::Unavailable, &[110, 332]));
    for (mut test, what) in
        [(Box::new(automatic()), "on its way"), (Box::new(down), "down"), (Box::new(put_out), "put out")]
    {
        test.run(Session::closed);
        test.wait(640);
        test.run(|session, _, _| session.connecting());
        test.forget();
        test.bind();
        test.roster(Vec::new());
        let entering = test.lines().into_iter().filter(|line| line.ends_with("entering")).collect::<Vec<_>>();
        assert_eq!(entering, ["> available to room@muc.example.org/bot entering"], "{what}");
        test.run(Session::logged_out);
        assert!(test.session.snapshot().rooms.is_empty());
    }
}

/// The first error means a nickname that has just changed; the same error again means a room that is gone.
#[test]
fn a_room_that_is_gone_is_entered_anew() {
    let mut test = TestSession::connected(Settings::default());
    test.account_told();
    test.in_room();
    test.room_told();
    test.forget();
    for (after, then) in [(15 * 60, &[][..]), (16 * 60, &["> available to room@muc.example.org/bot entering"])] {
        test.wait(after);
        assert_eq!(test.lines(), ["> ask Ping"]);
        let id = test.asked(|ask| *ask == Ask::Ping);
        test.answer(Some(&format!("{ROOM}/bot")), id, Err(stanza_error("item-not-found")));
        assert_eq!(test.lines(), then);
    }
}

/// A members-only room must not come back open to everyone.
#[test]
fn a_room_that_is_made_anew_when_we_come_back_is_configured_as_it_was_wanted() {
    let mut test = TestSession::connected(Settings::default());
    let (answer, mut opened) = Answer::channel();
    let configure = Some(vec![("membersonly".to_owned(), ConfigValue::Flag(true))]);
    let options = RoomOptions { configure, ..RoomOptions::default() };
    test.command(AnyCommand::with(OpenRoom { by: InstanceId(1), jid: bare(ROOM), options }, answer));
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(got(&mut opened).unwrap().is_ok(), "somebody else has made it");
    test.bind();
    test.roster(Vec::new());
    test.forget();
    test.presence(occupant("bot", PresenceKind::Available, &[110, 201]));
    let _asked = test.asked(|ask| *ask == Ask::RoomConfig);
}

/// XEP-0045, section 10.1.3.
#[test]
fn a_room_that_somebody_else_is_making_is_come_back_to() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.bind();
    test.roster(Vec::new());
    test.forget();
    test.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error("item-not-found"))));
    assert!(test.lines().is_empty());
    test.wait(10);
    assert_eq!(test.lines(), ["> available to room@muc.example.org/bot entering"]);
}

/// A plugin may do so when it is notified of a new stream, and other plugins lose nothing by it.
#[test]
fn who_opens_a_room_that_is_being_come_back_to_changes_nothing_for_the_others() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.bind();
    let mut opened = test.open_room(None);
    test.roster(Vec::new());
    test.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error("conflict"))));
    assert!(got(&mut opened).is_none(), "another nickname is tried, as for whoever never left");
    test.forget();
    test.presence(occupant("bot_2", PresenceKind::Available, &[110]));
    assert!(got(&mut opened).unwrap().unwrap().joined);
    assert_eq!(test.count("occupantLeft"), 1, "Juliet went meanwhile: {:?}", test.lines());
}

/// It was reported that we are in.
#[test]
fn closing_a_room_that_is_being_come_back_to_is_told() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.bind();
    test.forget();
    let mut closed = test.ask(CloseRoom { by: InstanceId(1), jid: bare(ROOM) });
    assert!(got(&mut closed).unwrap().is_ok());
    assert_eq!(test.lines(), ["roomLeft"]);
}

#[test]
fn who_was_banned_is_an_outcast_in_what_is_told_and_kept() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let mut banned = occupant("bot", PresenceKind::Unavailable, &[110, 301]);
    "outcast".clone_into(&mut banned.muc.as_mut().unwrap().affiliation);
    test.presence(banned);
    assert_eq!(room(&test).affiliation, "outcast");
}

/// Some services omit the item with the affiliation.
#[test]
fn an_affiliation_of_which_nothing_is_said_stays() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let say = |test: &mut TestSession, nick: &str, kind: &str, content: &str| {
        let x = format!("<x xmlns='http://jabber.org/protocol/muc#user'>{content}</x>");
        test.hear_xml(&format!("<presence from='{ROOM}/{nick}'{kind}>{x}</presence>"));
    };
    let is = |who: &Occupant| (who.role.clone(), who.affiliation.clone());
    let words = |role: &str, affiliation: &str| (role.to_owned(), affiliation.to_owned());
    say(&mut test, "romeo", "", "<item affiliation='admin' role='moderator'/>");
    say(&mut test, "romeo", "", "");
    assert_eq!(is(&room(&test).occupants["romeo"]), words("moderator", "admin"));
    say(&mut test, "romeo", "", "<item role='visitor'/>");
    assert_eq!(is(&last_occupant(&test, "occupantChanged")), words("visitor", "admin"));
    say(&mut test, "romeo", " type='unavailable'", "");
    assert_eq!(last_occupant(&test, "occupantLeft").affiliation, "admin");
    say(&mut test, "tybalt", "", "");
    assert_eq!(is(&last_occupant(&test, "occupantJoined")), words("none", "none"), "nothing was ever said");
    say(&mut test, "bot", " type='unavailable'", "<status code='110'/>");
    assert_eq!((last_occupant(&test, "occupantLeft").own, room(&test).affiliation.as_str()), (true, "member"));
}

/// Some services leave out the item of a presence that changes neither role nor affiliation.
#[test]
fn an_address_of_which_nothing_is_said_stays_and_one_that_is_hidden_goes() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let mut shown = |content: &str| {
        let x = format!("<x xmlns='http://jabber.org/protocol/muc#user'>{content}</x>");
        test.hear_xml(&format!("<presence from='{ROOM}/romeo'>{x}</presence>"));
        room(&test).occupants["romeo"].jid.clone()
    };
    let real = Some(jid("romeo@example.org/x"));
    assert_eq!(shown("<item affiliation='admin' role='moderator' jid='romeo@example.org/x'/>"), real);
    assert_eq!(shown(""), real);
    assert_eq!(shown("<status code='100'/>"), real);
    assert_eq!(shown("<item affiliation='admin' role='moderator'/>"), None, "the room hides it from now on");
    assert_eq!(shown(""), None);
}

/// The confirmation comes after the time limit, and does not refer to later requests.
#[test]
fn a_farewell_that_is_answered_late_ends_no_other_entering() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let _closed = test.ask(CloseRoom { by: InstanceId(1), jid: bare(ROOM) });
    test.wait(10);
    let mut opened = test.open_room(None);
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(got(&mut opened).unwrap().unwrap().joined);
}

/// The room was slow, or its server was unreachable for a while, and it answers each of our presences in turn.
#[test]
fn a_room_that_answers_late_is_not_taken_for_left() {
    let answers = |test: &mut TestSession| {
        for (kind, joined) in
            [(PresenceKind::Available, true), (PresenceKind::Unavailable, false), (PresenceKind::Available, true)]
        {
            test.presence(occupant("bot", kind, &[110]));
            assert_eq!(room(test).joined, joined);
        }
        let told = ["chatRoomOpened", "occupantLeft", "roomLeft"].map(|name| test.count(name));
        assert_eq!(told, [1, 0, 0], "{:?}", test.lines);
        // The room has answered everything.
        test.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
        assert_eq!((test.count("roomLeft"), room(test).joined), (1, false));
    };
    let mut test = TestSession::connected(settings(&[("auto_join_rooms", serde_json::json!([ROOM]))]));
    test.wait(30);
    test.wait(10);
    answers(&mut test);

    let mut test = TestSession::connected(Settings::default());
    let mut first = test.open_room(None);
    test.wait(30);
    assert_eq!(got(&mut first).unwrap().unwrap_err(), CallError::TimedOut);
    let mut second = test.open_room(None);
    answers(&mut test);
    assert!(got(&mut second).unwrap().is_ok());
}

/// The confirmation comes after the time limit, and later presence counts again.
#[test]
fn a_farewell_that_is_answered_after_all_is_not_waited_for_again() {
    for is_known in [true, false] {
        let mut test = TestSession::connected(Settings::default());
        test.in_room();
        let _closed = close(&mut test);
        test.wait(10);
        let gone = || occupant("bot", PresenceKind::Unavailable, &[110]);
        if is_known {
            let _opened = test.open_room(None);
            test.presence(gone());
        } else {
            test.presence(gone());
            let _opened = test.open_room(None);
        }
        test.presence(occupant("bot", PresenceKind::Available, &[110]));
        assert!(room(&test).joined);
        test.forget();
        test.presence(gone());
        assert_eq!(test.lines(), ["occupantLeft", "roomLeft"], "{is_known}");
    }
}

/// A room that does not know us need not confirm. Its information comes after all pending confirmations.
#[test]
fn a_farewell_that_is_never_answered_is_not_waited_for_once_the_room_has_said_what_it_is() {
    let mut test = TestSession::connected(Settings::default());
    let _first = test.open_room(None);
    test.wait(30);
    let mut second = test.open_room(None);
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(got(&mut second).unwrap().unwrap().joined);
    let id = test.asked_of(ROOM, |ask| matches!(ask, Ask::DiscoInfo { .. }));
    test.answer(Some(ROOM), id, Ok(Body::Disco(types::Disco::default())));
    test.forget();
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
    assert_eq!(test.lines(), ["occupantLeft", "roomLeft"]);
}

/// A room does not confirm the leaving of someone whom it bans.
#[test]
fn a_room_that_has_not_answered_a_farewell_may_still_say_why_it_lets_nobody_in() {
    let mut test = TestSession::connected(Settings::default());
    let _first = test.open_room(None);
    test.wait(30);
    let mut second = test.open_room(None);
    test.forget();
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110, 301]));
    let error = got(&mut second).unwrap().unwrap_err().to_string();
    assert!(error.contains("let nobody in (banned)"), "{error}");
    assert_eq!(test.lines(), ["> unavailable to room@muc.example.org/bot"], "in case it lets us in after that");
    assert!(test.session.snapshot().rooms.is_empty());
}

#[test]
fn nothing_is_sent_to_a_room_after_our_farewell() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let _closed = test.ask(CloseRoom { by: InstanceId(1), jid: bare(ROOM) });
    test.forget();
    let _set = test.ask(SetStatus { value: Some(StatusValue::Dnd), message: None });
    assert!(test.lines().iter().all(|line| !line.contains(ROOM)), "{:?}", test.lines());
}

/// XEP-0410, section 3.
#[test]
fn a_silent_room_is_asked_whether_we_are_in() {
    let bot = &format!("{ROOM}/bot");
    let ping = |test: &TestSession| test.asked(|ask| *ask == Ask::Ping);
    let entering = "> available to room@muc.example.org/bot entering";
    for (condition, still_in) in [
        (None, true),
        (Some("service-unavailable"), true),
        (Some("feature-not-implemented"), true),
        (Some("item-not-found"), true),
        (Some("remote-server-not-found"), true),
        (Some("remote-server-timeout"), true),
        (Some("not-acceptable"), false),
        (Some("not-allowed"), false),
        (Some("gone"), false),
    ] {
        let mut test = TestSession::connected(Settings::default());
        test.account_told();
        test.in_room();
        test.room_told();
        test.wait(10 * 60);
        test.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "hi"));
        test.forget();
        test.wait(14 * 60);
        assert!(test.lines().is_empty(), "it was not silent");
        test.wait(60);
        assert_eq!(test.lines(), ["> ask Ping"]);
        let outcome = condition.map_or(Ok(Body::Empty), |condition| Err(stanza_error(condition)));
        let id = ping(&test);
        test.answer(Some(ROOM), id.clone(), Ok(Body::Empty));
        test.answer(Some("mallory@example.net/x"), id.clone(), Err(stanza_error("not-acceptable")));
        assert!(test.lines().is_empty() && room(&test).joined, "nobody else was asked");
        test.answer(Some(bot), id, outcome);
        assert_eq!(room(&test).joined, still_in, "{condition:?}");
        if still_in {
            test.wait(16 * 60);
            assert_eq!(test.lines(), ["> ask Ping"], "{condition:?}");
        } else {
            assert_eq!(test.lines(), [entering]);
            test.presence(occupant("juliet", PresenceKind::Available, &[]));
            test.presence(occupant("bot", PresenceKind::Available, &[110]));
            assert_eq!(test.lines(), ["> ask disco of room@muc.example.org"], "nobody noticed");
            assert!(room(&test).joined);
        }
    }
    let mut test = TestSession::connected(Settings::default());
    test.account_told();
    test.in_room();
    test.wait(15 * 60);
    test.forget();
    test.wait(30);
    assert!(test.lines().is_empty() && room(&test).joined, "no answer decides nothing");
    test.wait(60);
    assert_eq!(test.lines(), ["> ask Ping"]);
}

/// From 6.5 on, `MongooseIM` takes the account out of its rooms when its session is resumed.
#[test]
fn a_room_that_we_left_without_wanting_to_is_entered_again() {
    let mut test = TestSession::connected(Settings::default());
    test.account_told();
    test.in_room();
    test.room_told();
    test.run(Session::suspended);
    test.run(Session::resumed);
    let id = test.asked(|ask| *ask == Ask::Ping);
    test.forget();
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
    assert!(test.lines().is_empty() && room(&test).joined, "the room is asked already");
    test.answer(Some(&format!("{ROOM}/bot")), id, Err(stanza_error("not-acceptable")));
    assert_eq!(test.lines(), ["> available to room@muc.example.org/bot entering"]);
    test.presence(occupant("juliet", PresenceKind::Available, &[]));
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(room(&test).joined && test.count("roomLeft") == 0, "nobody noticed");
}

/// `MongooseIM` sends this to occupants of such a room. Entering again would not report any occupants.
#[test]
fn a_room_where_nobody_may_ask_another_knows_us_still() {
    let mut test = TestSession::connected(Settings::default());
    test.account_told();
    test.in_room();
    test.room_told();
    test.forget();
    test.wait(15 * 60);
    assert_eq!(test.lines(), ["> ask Ping"]);
    let id = test.asked(|ask| *ask == Ask::Ping);
    let mut error = stanza_error("not-allowed");
    error.text = Some("Queries to the conference members are not allowed in this room".to_owned());
    test.answer(Some(&format!("{ROOM}/bot")), id, Err(error));
    assert!(test.lines().is_empty() && room(&test).joined);
    assert_eq!(room(&test).occupants.len(), 2);
}

#[test]
fn a_room_that_does_not_know_us_is_entered_again() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let bounced = |from: &str| Message {
        error: Some(stanza_error("not-acceptable")),
        body: None,
        ..message(from, MessageKind::Error, "")
    };
    test.message(bounced(&format!("{ROOM}/juliet")));
    assert_eq!(test.lines(), ["messageError"], "an occupant is not the room");
    test.message(bounced(ROOM));
    assert_eq!(test.lines(), ["> ask Ping", "messageError"]);
    test.message(bounced(ROOM));
    assert_eq!(test.lines(), ["messageError"], "one ping at a time");
    let id = test.asked(|ask| *ask == Ask::Ping);
    test.answer(Some(&format!("{ROOM}/bot")), id, Err(stanza_error("not-acceptable")));
    assert_eq!(test.lines(), ["> available to room@muc.example.org/bot entering"]);
}

#[test]
fn a_room_that_refuses_a_ping_under_its_own_address_is_entered_again() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let bounced = message(ROOM, MessageKind::Error, "");
    test.message(Message { error: Some(stanza_error("not-acceptable")), body: None, ..bounced });
    let id = test.asked(|ask| *ask == Ask::Ping);
    test.forget();
    test.answer(Some(ROOM), id, Err(stanza_error("not-acceptable")));
    assert_eq!(test.lines(), ["> available to room@muc.example.org/bot entering"]);
}

/// Tigase sends the code 110 to all clients of an account, whichever of them it is about.
#[test]
fn another_client_of_the_account_is_not_taken_for_this_one() {
    let phone = |nick: &str, kind: PresenceKind, status: &[u16]| {
        with_muc(occupant(nick, kind, status), |muc| muc.jid = Some(jid("bot@example.org/phone")))
    };
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.presence(phone("mobile", PresenceKind::Available, &[110]));
    assert_eq!((test.lines(), room(&test).nick.as_str()), (vec!["occupantJoined".to_owned()], "bot"));
    test.presence(with_muc(phone("mobile", PresenceKind::Unavailable, &[110, 303]), |muc| {
        muc.nick = Some("tablet".to_owned());
    }));
    test.presence(phone("tablet", PresenceKind::Available, &[110]));
    assert_eq!((room(&test).nick.as_str(), room(&test).occupants.contains_key("mobile")), ("bot", false));
    test.forget();
    test.presence(with_muc(phone("tablet", PresenceKind::Unavailable, &[110]), |muc| {
        muc.nick = Some("tablet".to_owned());
    }));
    assert_eq!(test.lines(), ["occupantLeft"]);
    assert!(room(&test).joined && room(&test).occupants.get("bot").unwrap().own);
    // Under our own nickname, the address may be that of any client.
    test.presence(phone("bot", PresenceKind::Unavailable, &[110, 307]));
    assert_eq!(room(&test).left, Some("kicked"));
}

/// A cluster of Tigase writes so under the room's own address, without the code 110. Older ones send the code of a kick.
#[test]
fn a_room_whose_node_is_gone_is_entered_again() {
    let reason = "MUC component is disconnected.";
    for (status, actor, why) in
        [(332, None, Some("shutdown")), (307, None, Some("shutdown")), (307, Some("juliet"), None)]
    {
        let mut test = TestSession::connected(Settings::default());
        test.in_room();
        let mut gone = with_muc(occupant("bot", PresenceKind::Unavailable, &[status]), |muc| {
            muc.reason = Some(reason.to_owned());
            muc.actor = actor.map(|nick: &str| types::Actor { nick: Some(nick.to_owned()), jid: None });
        });
        gone.from = jid(ROOM);
        test.presence(gone);
        assert_eq!(room(&test).left, why, "{status} {actor:?}");
        test.forget();
        test.wait(30);
        assert_eq!(test.lines().iter().any(|line| line.contains("entering")), why.is_some(), "{status} {actor:?}");
    }
}

/// Bifröst has lost its occupants after a restart, and writes so under its own address to somebody who speaks.
#[test]
fn a_room_that_puts_us_out_under_its_own_address_is_entered_again() {
    let under_its_own = |status: &[u16]| {
        let mut presence = occupant("bot", PresenceKind::Unavailable, status);
        presence.from = jid(ROOM);
        presence
    };
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.presence(under_its_own(&[307, 333]));
    assert!(test.lines().is_empty() && room(&test).joined, "it says nothing of us");
    test.presence(under_its_own(&[110, 307, 333]));
    assert_eq!(test.lines(), ["occupantLeft", "roomLeft"]);
    assert_eq!(room(&test).left, Some("error"));
    test.wait(30);
    assert!(test.lines().iter().any(|line| line.contains("entering")));
}
