//! From the first log-in to the last log-out.

use serde_json::json;

use super::*;

const BEFORE_ROSTER: [&str; 8] = [
    "connected",
    "connfeedback",
    "statusInitialized",
    "> ask disco of example.org",
    "> ask disco of bot@example.org",
    "discoInitialized",
    "rosterInitialized",
    "> ask roster",
];

const AFTER_ROSTER: [&str; 9] = [
    "> available priority 0",
    "chatBoxesInitialized",
    "chatBoxesFetched",
    "> ask bookmarks",
    "bookmarksInitialized",
    "roomsPanelRendered",
    "roomsAutoJoined",
    "privateChatsAutoJoined",
    "initialized",
];

#[test]
fn events_come_in_the_order_of_the_api() {
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    assert_eq!(test.lines(), ["pluginsInitialized", "connectionInitialized"]);
    assert!(!test.session.snapshot().connected);
    test.bind();
    assert_eq!(test.lines(), BEFORE_ROSTER);
    assert!(test.session.snapshot().connected);
    assert_eq!(test.session.snapshot().jid, jid("bot@example.org/parlor"));
    assert!(test.session.snapshot().contacts.is_none());
    test.roster(vec![item(ROMEO, "both")]);
    let lines = test.lines();
    assert_eq!(lines[..3], ["roster", "rosterGroupsFetched", "rosterContactsFetched"]);
    assert_eq!(lines[3..], AFTER_ROSTER);
    assert_eq!(test.session.snapshot().contacts.unwrap().len(), 1);
}

/// Row 31: a plugin that waits for it must not be told that the server lacks a feature that it has.
#[test]
fn disco_is_initialized_once_the_server_and_the_account_have_answered_or_failed() {
    let rest = ["discoInitialized", "rosterInitialized", "> ask roster"];
    let begun = || {
        let mut test = TestSession::new(Settings::default());
        test.run(Session::plugins_initialized);
        test.bind_alone();
        assert_eq!(test.lines()[2..], BEFORE_ROSTER[..5]);
        test
    };
    let answer = |test: &mut TestSession, entity: &str, features: &[&str]| {
        let id = test.asked_of(entity, |ask| matches!(ask, Ask::DiscoInfo { .. }));
        let features = features.iter().map(|var| (*var).to_owned()).collect();
        let disco = types::Disco { features, ..types::Disco::default() };
        test.answer(Some(entity), id, Ok(Body::Disco(disco)));
    };
    for (first, second) in [("example.org", "bot@example.org"), ("bot@example.org", "example.org")] {
        let mut test = begun();
        let mut waiting = test.wait_until("discoInitialized");
        answer(&mut test, first, &[]);
        assert!(test.lines().is_empty() && got(&mut waiting).is_none(), "{second} has not answered");
        answer(&mut test, second, &[types::MAM]);
        assert_eq!(test.lines(), [&["serviceDiscovered"][..], &rest].concat());
        assert!(got(&mut waiting).unwrap().is_ok());
        assert_eq!(test.session.has_archive(), second == "bot@example.org");
    }
    let mut test = begun();
    test.account_told();
    assert_eq!(test.lines(), rest, "they refuse to say");
    let mut test = begun();
    answer(&mut test, "example.org", &[]);
    test.wait(9);
    assert!(test.lines().is_empty());
    test.wait(1);
    assert_eq!(test.lines(), rest, "the account took too long");
    answer(&mut test, "bot@example.org", &[types::MAM]);
    assert_eq!(test.lines(), ["serviceDiscovered"]);
    // The next stream asks again, and nothing is reported twice.
    test.run(Session::suspended);
    test.forget();
    test.bind_alone();
    assert!(!test.lines().contains(&"> ask roster".to_owned()));
    test.account_told();
    assert_eq!(test.lines(), ["> ask roster"]);
}

#[test]
fn no_roster_is_told_to_those_who_wait_and_holds_up_nothing_else() {
    for (refusal, may_pass) in [
        (None, true),
        (Some(("internal-server-error", "wait")), true),
        (Some(("service-unavailable", "cancel")), false),
    ] {
        let mut test = TestSession::new(Settings::default());
        test.run(Session::plugins_initialized);
        test.bind();
        let mut waiting = test.wait_until("rosterContactsFetched");
        test.forget();
        if let Some((condition, kind)) = refusal {
            let id = test.asked(|ask| matches!(ask, Ask::Roster { .. }));
            test.answer(None, id, Err(Box::new(StanzaError { kind: kind.to_owned(), ..*stanza_error(condition) })));
        } else {
            test.wait(20);
        }
        test.bookmarks(Vec::new());
        assert_eq!(test.lines(), AFTER_ROSTER);
        assert!(matches!(got(&mut waiting), Some(Err(CallError::Rejected(_)))));
        assert!(test.session.snapshot().contacts.is_none(), "an empty roster would be a lie");
        let mut cached = test.wait_until("cachedRoster");
        assert!(matches!(got(&mut cached), Some(Err(CallError::Rejected(_)))));
        test.wait(60);
        if may_pass {
            // It may have been a temporary failure.
            assert_eq!(test.lines(), ["> ask roster"]);
            test.roster(vec![item(ROMEO, "both")]);
            assert_eq!(test.lines(), ["roster", "rosterGroupsFetched", "rosterContactsFetched"]);
            assert!(matches!(got(&mut test.wait_until("roster")), Some(Ok(Payload::None))));
        } else {
            assert!(test.lines().is_empty());
        }
    }
}

/// The roster is long, or the server has just started.
#[test]
fn a_roster_that_comes_after_nobody_waited_for_it_any_longer_is_taken() {
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    test.bind();
    test.account_told();
    test.wait(20);
    test.bookmarks(Vec::new());
    test.wait(59);
    assert!(test.session.snapshot().contacts.is_none());
    test.forget();
    test.roster_alone(vec![item(ROMEO, "both")]);
    assert_eq!(test.lines(), ["roster", "rosterGroupsFetched", "rosterContactsFetched"]);
    assert_eq!(test.session.snapshot().contacts.unwrap().len(), 1);
    test.wait(60);
    assert!(test.lines().is_empty(), "nothing is left to be asked for");
}

/// Carbons and the server's services depend on it.
#[test]
fn a_server_that_could_not_say_what_it_can_do_is_asked_again() {
    let mut test = TestSession::connected(Settings::default());
    let asked =
        |test: &mut TestSession| test.lines().iter().filter(|line| *line == "> ask disco of example.org").count();
    test.wait(30);
    test.forget();
    test.wait(5 * 60);
    assert_eq!(asked(&mut test), 1);
    let id = test.asked_of("example.org", |ask| matches!(ask, Ask::DiscoInfo { .. }));
    test.answer(Some("example.org"), id, Err(stanza_error("service-unavailable")));
    test.wait(60 * 60);
    assert_eq!(asked(&mut test), 0, "it has said so");
}

/// Rows 17-33.
#[test]
fn every_promise_of_the_host_comes_true_on_connecting() {
    let mut test = TestSession::new(Settings::default());
    let mut waiting: Vec<_> = names::promises().map(|name| (name, test.wait_until(name))).collect();
    assert!(waiting.iter_mut().all(|(_, receiver)| got(receiver).is_none()));
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster(Vec::new());
    for (name, receiver) in &mut waiting {
        let result = got(receiver);
        match *name {
            "cachedRoster" => assert!(matches!(result, Some(Err(CallError::Unsupported(_)))), "{result:?}"),
            _ => assert!(matches!(result, Some(Ok(_))), "{name}: {result:?}"),
        }
    }
}

#[test]
fn a_stream_that_is_resumed_loses_nothing() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.presence(presence("romeo@example.org/orchard", PresenceKind::Available));
    test.forget();
    test.run(Session::suspended);
    assert_eq!(test.lines(), ["disconnected", "will-reconnect", "connfeedback"]);
    assert!(!test.session.snapshot().connected);
    test.run(|session, now, effects| session.retrying(Duration::from_secs(4), "connection refused", now, effects));
    assert_eq!(test.lines(), ["connfeedback"]);
    test.run(Session::reconnecting);
    assert_eq!(test.lines(), ["reconnecting"]);
    let (answer, mut sent) = Answer::channel();
    let draft = types::Draft { body: Some("hi".to_owned()), ..types::Draft::default() };
    test.command(AnyCommand::with(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft }, answer));
    assert!(matches!(got(&mut sent), Some(Ok(_))), "it is queued");
    test.forget();
    test.run(Session::resumed);
    // Asks whether the room still knows us (XEP-0410, section 3).
    assert_eq!(test.lines(), ["reconnected", "connfeedback", "> ask Ping"]);
    let snapshot = test.session.snapshot();
    assert!(snapshot.connected && snapshot.rooms[&bare(ROOM)].joined);
    assert_eq!(snapshot.contacts.unwrap()[&bare(ROMEO)].chat_status(), "online");
}

/// From 6.5 on, `MongooseIM` tells everybody that the account is gone when its session is resumed.
#[test]
fn presence_is_sent_again_on_a_resumption_where_the_server_takes_it_back() {
    for (name, status, is_told) in [
        ("MongooseIM", StatusValue::Away, true),
        ("MongooseIM", StatusValue::Offline, false),
        ("Prosody", StatusValue::Away, false),
    ] {
        let mut test = TestSession::connected(Settings::default());
        let id = test.asked_of("example.org", |ask| matches!(ask, Ask::DiscoInfo { .. }));
        let (category, kind, name) = ("server".to_owned(), "im".to_owned(), Some(name.to_owned()));
        let identities = vec![types::Identity { category, kind, name: name.clone(), lang: None }];
        let features = vec!["urn:xmpp:carbons:2".to_owned()];
        let disco = types::Disco { identities, features, ..types::Disco::default() };
        test.answer(Some("example.org"), id, Ok(Body::Disco(disco)));
        let _receiver = test.ask(SetStatus { value: Some(status), message: None });
        test.run(Session::suspended);
        test.forget();
        test.run(Session::resumed);
        let lines = test.lines();
        let both = ["> available away priority 0", "> ask carbons"].map(|line| lines.iter().any(|said| said == line));
        assert_eq!(both, [is_told; 2], "{name:?} {status:?}");
    }
}

/// Servers stamp messages that they repeat after a resumption.
#[test]
fn what_was_said_during_a_cut_is_news_when_the_session_goes_on() {
    let mut test = TestSession::connected(Settings::default());
    let bound: Timestamp = test.now;
    let late =
        |at: Timestamp| Message { at, delayed: true, ..message("romeo@example.org/orchard", MessageKind::Chat, "hi") };
    let told = |test: &mut TestSession, late: Message| {
        test.forget();
        test.message(late);
        let Payload::Message(told) = test.last("message") else { panic!("it carries a message") };
        (told.delayed, test.count("messageNotification"))
    };
    test.wait(60);
    assert_eq!(told(&mut test, late(bound + Duration::from_secs(30))), (true, 0), "nothing was cut");
    test.run(Session::suspended);
    test.wait(10);
    test.run(Session::resumed);
    for (at, is_history) in [
        (bound + Duration::from_secs(65), false),
        // Sent just before the connection was lost, and stamped with whole seconds.
        (bound + Duration::from_secs(59), false),
        (bound - Duration::from_secs(1), false),
        // Stored before the session existed.
        (bound - Duration::from_mins(1), true),
    ] {
        assert_eq!(told(&mut test, late(at)), (is_history, usize::from(!is_history)), "{at}");
    }
    let copy = Message { carbon: Some(types::Carbon::Received), ..late(bound + Duration::from_secs(65)) };
    assert!(told(&mut test, copy).0, "it was told to somebody else");
    // The clock was an hour ahead when the stream was bound.
    test.session.clock_set(-jiff::SignedDuration::from_hours(1));
    assert!(!told(&mut test, late(bound - Duration::from_mins(50))).0);
    // Messages from before the next session are history.
    test.run(Session::suspended);
    test.wait(10);
    test.bind();
    test.run(Session::suspended);
    test.run(Session::resumed);
    let before = late(test.now - Duration::from_secs(8));
    assert!(told(&mut test, before).0);
}

/// Prosody holds back reactions, receipts and headlines from an inactive account, and stamps them in the account's name.
#[test]
fn what_was_held_back_from_an_inactive_account_is_news() {
    let told = |seconds: u32, after: i64| {
        let mut test = TestSession::connected(settings(&[("csi_waiting_time", seconds.into())]));
        let stamp: Timestamp = test.now + jiff::SignedDuration::from_secs(after);
        test.wait(60);
        test.hear_xml(&format!(
            "<message from='{ROMEO}/orchard' type='chat' id='1'><reactions xmlns='urn:xmpp:reactions:0' id='0'>\
             <reaction>👍</reaction></reactions><delay xmlns='urn:xmpp:delay' from='bot@example.org' stamp='{stamp}'/></message>"
        ));
        let Payload::Message(told) = test.last("message") else { panic!("it carries a message") };
        (told.delayed, told.at == stamp)
    };
    assert_eq!(told(30, 45), (false, true));
    assert_eq!(told(30, -3_600), (true, true), "it was stored before the stream");
    assert_eq!(told(0, 45), (true, true), "the account is never inactive");
}

/// A server stores what comes while nobody is there, and may deliver it with a later log-in, long after it was handled.
#[test]
fn a_session_that_is_taken_up_is_never_without_presence() {
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    test.bind();
    test.run(Session::taken_up);
    test.wait(3);
    test.roster(vec![item(ROMEO, "both")]);
    let sent: Vec<_> = test.lines.iter().filter(|line| line.starts_with("> ")).collect();
    let gone = sent.iter().position(|line| line.starts_with("> unavailable")).unwrap();
    assert!(sent[gone + 1].starts_with("> available"), "{sent:?}");
}

/// The server stores it until the first presence: its author may have seen us log in, and no other client gets it.
#[test]
fn what_is_said_while_we_connect_is_news() {
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    // In the middle of a second: some servers stamp whole seconds only.
    test.now = "2026-11-23T12:00:00.5Z".parse().unwrap();
    let bound: Timestamp = test.now;
    let told = |test: &mut TestSession, at: Timestamp| {
        let late = Message { at, delayed: true, ..message("romeo@example.org/orchard", MessageKind::Chat, "hi") };
        test.forget();
        test.message(late);
        let Payload::Message(told) = test.last("message") else { panic!("it carries a message") };
        (told.delayed, told.at == at)
    };
    let begin = |test: &mut TestSession, taken_up: bool| {
        test.bind();
        if taken_up {
            test.run(Session::taken_up);
        }
        test.wait(3);
        test.roster(vec![item(ROMEO, "both")]);
        test.wait(10);
    };
    begin(&mut test, false);
    for (after_ms, is_history) in [(0, false), (2_900, false), (500, false), (-500, true), (-100, true), (5_000, true)]
    {
        let at = bound + jiff::SignedDuration::from_millis(after_ms);
        assert_eq!(told(&mut test, at), (is_history, true), "{after_ms} ms after it was bound");
    }
    // If a previous process left the session, messages to that process are stored as well.
    test.run(Session::suspended);
    test.wait(60);
    let bound: Timestamp = test.now;
    begin(&mut test, true);
    assert_eq!(told(&mut test, bound + jiff::SignedDuration::from_millis(100)), (true, true));
}

/// Servers stamp what they send again with a session that another process left. As history, most plugins would never get it.
#[test]
fn what_is_said_while_an_account_moves_to_another_node_is_news() {
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    test.bind();
    let bound: Timestamp = test.now;
    test.run(moved);
    test.wait(3);
    test.roster(vec![item(ROMEO, "both")]);
    for (after, is_history) in [(-20, false), (-1, false), (2, false), (-40, true)] {
        let at = bound + jiff::SignedDuration::from_secs(after);
        let late = Message { at, delayed: true, ..message("romeo@example.org/orchard", MessageKind::Chat, "hi") };
        test.forget();
        test.message(late);
        let Payload::Message(told) = test.last("message") else { panic!("it carries a message") };
        assert_eq!((told.delayed, told.at), (is_history, at), "{after} s after it was bound");
    }
}

/// Rules delayed: Dino stamps messages that were written offline, Kaidan all messages, and Spectrum those that a
/// network dates.
#[test]
fn what_its_author_stamped_is_news_to_who_was_there() {
    let mut test = TestSession::connected(Settings::default());
    test.wait(60);
    for (seconds, by, is_history) in [
        (0, "", false),
        (30, "", false),
        (30, "from='example.org'", true),
        // The server may have stored it before we were there.
        (3_600, "", true),
    ] {
        let stamp: Timestamp = test.now - Duration::from_secs(seconds);
        test.forget();
        test.hear_xml(&format!(
            "<message from='{ROMEO}/orchard' type='chat'><body>hi</body><delay xmlns='urn:xmpp:delay' {by} \
             stamp='{stamp}'/></message>"
        ));
        let Payload::Message(told) = test.last("message") else { panic!("it carries a message") };
        let at = if is_history { stamp } else { test.now };
        assert_eq!((told.delayed, told.at), (is_history, at), "{seconds} {by}");
        assert_eq!(test.count("messageNotification"), usize::from(!is_history), "{seconds} {by}");
    }
}

/// Rules delayed: Gajim signs its stamps, and a clock may be fast, or an author may lie.
#[test]
fn what_the_server_has_stored_is_history_whatever_its_author_stamped_it_with() {
    let mut test = TestSession::connected(Settings::default());
    test.wait(60);
    let (stored, claimed): (Timestamp, Timestamp) = (test.now - Duration::from_hours(1), test.now);
    let stamp = |by: &str, at: Timestamp| format!("<delay xmlns='urn:xmpp:delay' from='{by}' stamp='{at}'/>");
    let (author, server) = (stamp(ROMEO, claimed), stamp("example.org", stored));
    test.forget();
    test.hear_xml(&format!("<message from='{ROMEO}/orchard' type='chat'><body>hi</body>{author}{server}</message>"));
    let Payload::Message(told) = test.last("message") else { panic!("it carries a message") };
    assert_eq!((told.delayed, told.at), (true, stored));
    assert_eq!(test.count("messageNotification"), 0);
}

/// Our presence waits in a queue: the account must not enter and leave the room repeatedly.
#[test]
fn what_enters_a_room_during_a_cut_is_sent_once() {
    let mut test = TestSession::connected(settings(&[("auto_join_rooms", json!([ROOM]))]));
    test.run(Session::suspended);
    test.forget();
    for _ in 0..8 {
        test.wait(30);
    }
    test.run(Session::resumed);
    let lines = test.lines();
    assert!(!lines.iter().any(|line| line.contains(ROOM)), "{lines:?}");
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(test.session.snapshot().rooms[&bare(ROOM)].joined);
}

/// Only archives are queried, as after a new stream and entering again.
#[test]
fn a_stream_that_is_resumed_in_doubt_counts_as_another() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let before = test.session.snapshot();
    test.run(Session::suspended);
    test.run(Session::resumed);
    assert_eq!(test.session.snapshot().rooms[&bare(ROOM)].entered, before.rooms[&bare(ROOM)].entered);
    let stream = test.session.stream();
    test.forget();
    test.session.doubt_stream();
    assert_eq!(test.session.stream(), stream + 1);
    let snapshot = test.session.snapshot();
    assert!(snapshot.rooms[&bare(ROOM)].entered > before.rooms[&bare(ROOM)].entered);
    assert!(snapshot.rooms_told > before.rooms_told && snapshot.rooms[&bare(ROOM)].joined);
    assert_eq!(test.lines(), Vec::<String>::new());
}

#[test]
fn a_stream_that_could_not_be_resumed_is_built_up_anew() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.presence(presence("romeo@example.org/orchard", PresenceKind::Available));
    test.run(Session::suspended);
    let mut iq = test.ask(SendIq {
        by: InstanceId(1),
        iq: raw("<iq xmlns='jabber:client' type='get' id='x'><ping xmlns='urn:xmpp:ping'/></iq>"),
    });
    test.forget();
    test.bind();
    assert_eq!(got(&mut iq).unwrap().unwrap_err(), CallError::Offline);
    assert_eq!(
        test.lines(),
        ["reconnected", "connfeedback", "> ask disco of example.org", "> ask disco of bot@example.org", "> ask roster"]
    );
    let mut early = test.wait_until("roster");
    assert!(got(&mut early).is_none(), "a new roster is on its way");
    assert!(test.session.snapshot().contacts.is_some(), "the old one still serves");
    assert!(!test.session.snapshot().rooms[&bare(ROOM)].joined);
    test.roster(vec![item(ROMEO, "both"), item("juliet@example.org", "both")]);
    assert!(got(&mut early).unwrap().is_ok());
    assert_eq!(
        test.lines(),
        [
            "roster",
            "rosterGroupsFetched",
            "rosterContactsFetched",
            "> available priority 0",
            "> ask bookmarks",
            "> available to room@muc.example.org/bot entering"
        ]
    );
    test.presence(occupant("juliet", PresenceKind::Available, &[]));
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert_eq!(test.lines(), ["> ask disco of room@muc.example.org"], "nobody was told that we were out");
    assert!(test.session.snapshot().rooms[&bare(ROOM)].joined);
}

#[test]
fn a_lost_session_ends_every_wait_and_makes_promises_fresh() {
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    let mut waiting = test.wait_until("connected");
    test.run(|session, now, effects| session.lost("not authorized", now, effects));
    assert_eq!(got(&mut waiting).unwrap().unwrap_err(), CallError::Stopped);
    assert_eq!(got(&mut test.wait_until("initialized")).unwrap().unwrap_err(), CallError::Stopped);
    assert!(got(&mut test.wait_until("pluginsInitialized")).unwrap().is_ok());

    let mut test = TestSession::connected(Settings::default());
    test.run(|session, now, effects| session.lost("conflict", now, effects));
    assert_eq!(test.lines(), ["disconnected", "connfeedback"]);
    assert!(test.session.snapshot().contacts.is_none());
    assert!(test.session.next_deadline().is_none());
    test.bind();
    assert_eq!(test.lines()[..2], ["connectionInitialized", "connected"]);
    test.roster(Vec::new());
    assert!(got(&mut test.wait_until("initialized")).unwrap().is_ok());
}

/// Rows 34.
#[test]
fn a_closed_stream_keeps_promises_and_a_log_out_does_not() {
    let mut test = TestSession::connected(Settings::default());
    test.run(Session::closed);
    assert_eq!(test.lines(), ["disconnected", "connfeedback"]);
    assert!(got(&mut test.wait_until("roster")).unwrap().is_ok());
    assert!(test.session.snapshot().contacts.is_some());
    test.run(|session, _, _| session.connecting());
    test.bind();
    let lines = test.lines();
    assert_eq!(lines[0], "connected", "nothing was cut that it could come back to: {lines:?}");
    assert!(!lines.contains(&"reconnected".to_owned()), "{lines:?}");
    test.in_room();
    test.run(Session::logged_out);
    assert_eq!(test.lines().last().unwrap(), "logout");
    assert!(test.session.snapshot().contacts.is_none() && test.session.snapshot().rooms.is_empty());
    assert_eq!(got(&mut test.wait_until("roster")).unwrap().unwrap_err(), CallError::Stopped);
}

#[test]
fn automatic_joins_hold_up_the_end_for_half_a_minute_at_most() {
    let room = json!([{ "jid": ROOM, "nick": "Bot" }]);
    let settings = settings(&[("auto_join_rooms", room), ("auto_join_private_chats", json!(["nurse@example.org"]))]);
    let last = ["roomsAutoJoined", "chatBoxInitialized", "chatBoxOpened", "privateChatsAutoJoined", "initialized"];
    let mut test = TestSession::connected(settings.clone());
    assert!(
        matches!(test.sent.last(), Some(Outgoing::Presence(PresenceOut { to: Some(to), .. })) if to.as_str() == "room@muc.example.org/Bot")
    );
    test.presence(occupant("Bot", PresenceKind::Available, &[110]));
    assert_eq!(test.lines()[2..], last);

    let mut test = TestSession::connected(settings.clone());
    test.presence(presence(&format!("{ROOM}/Bot"), PresenceKind::Error(stanza_error("forbidden"))));
    assert_eq!(test.lines(), last);

    let mut test = TestSession::connected(settings);
    assert_eq!(test.session.next_deadline(), Some(test.now + Duration::from_secs(30)));
    test.wait(30);
    let lines = test.lines();
    assert!(last.iter().all(|name| lines.iter().any(|line| line == name)), "{lines:?}");
}

#[test]
fn a_clock_that_is_set_back_stretches_no_wait() {
    let mut test = TestSession::connected(Settings::default());
    let mut opened = test.open_room(None);
    test.wait(20);
    test.now -= Duration::from_hours(1);
    test.wait(0);
    assert!(got(&mut opened).is_none());
    test.wait(10);
    assert_eq!(got(&mut opened).unwrap().unwrap_err(), CallError::TimedOut);
}
