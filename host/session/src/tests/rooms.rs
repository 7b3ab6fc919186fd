//! Entering, leaving and staying in rooms.
#![allow(clippy::doc_markdown, reason = "what a test shows is named as the list of the API spells it")]

use parlor_stanza::types::BookmarkChange::{AllRemoved, Removed, Set};
use parlor_stanza::types::BookmarkPlace;

use super::*;

fn close(test: &mut TestSession) -> Receiver<Result<(), CallError>> {
    test.ask(CloseRoom { by: InstanceId(1), jid: bare(ROOM) })
}

fn room(test: &TestSession) -> Arc<Room> {
    Arc::clone(&test.session.snapshot().rooms[&bare(ROOM)])
}

fn with_muc(mut presence: Presence, change: impl FnOnce(&mut MucUser)) -> Presence {
    change(presence.muc.as_mut().unwrap());
    presence
}

fn last_occupant(test: &TestSession, event: &str) -> Arc<Occupant> {
    match test.last(event) {
        Payload::Occupant(occupant) => Arc::clone(occupant),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_opens_a_room_is_told_when_we_are_in() {
    let mut test = TestSession::connected(Settings::default());
    let mut first = test.open_room(None);
    assert_eq!(test.lines(), ["> available to room@muc.example.org/bot entering"]);
    let mut second = test.open_room(Some("other"));
    assert!(test.lines().is_empty(), "they share the way in");
    test.presence(occupant("juliet", PresenceKind::Available, &[]));
    assert!(test.lines().is_empty(), "who was there before us is not news");
    assert!(got(&mut first).is_none() && !room(&test).joined);
    test.presence(occupant("Bot!", PresenceKind::Available, &[110, 210]));
    assert_eq!(test.lines(), ["chatRoomOpened", "> ask disco of room@muc.example.org"]);
    for result in [got(&mut first), got(&mut second), got(&mut test.open_room(None))] {
        let room = result.unwrap().unwrap();
        assert!(room.joined);
        assert_eq!((room.nick.as_str(), room.role.as_str(), room.occupants.len()), ("Bot!", "participant", 2));
    }
    assert!(test.session.next_deadline().is_some_and(|at| at > test.now));
    test.wait(60);
    assert!(room(&test).joined);
}

/// For example, from a service older than XEP-0045, or in a presence of which only the sender was within the limits.
#[test]
fn an_occupant_of_whom_a_room_says_nothing_is_there() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.hear_xml(&format!("<presence from='{ROOM}/Old'/>"));
    assert_eq!(test.lines(), ["occupantJoined"]);
    let old = last_occupant(&test, "occupantJoined");
    assert_eq!((old.nick.as_str(), old.role.as_str(), old.affiliation.as_str()), ("Old", "participant", "none"));
    let item = "<item affiliation='admin' role='moderator' jid='anna@example.org/x'/>";
    let anna = format!("<x xmlns='http://jabber.org/protocol/muc#user'>{item}</x>");
    test.hear_xml(&format!("<presence from='{ROOM}/anna'>{anna}</presence>"));
    test.hear_xml(&format!("<presence from='{ROOM}/anna'><show>away</show></presence>"));
    let anna = last_occupant(&test, "occupantChanged");
    assert_eq!(
        (anna.role.as_str(), anna.affiliation.as_str(), anna.jid.as_ref()),
        ("moderator", "admin", Some(&jid("anna@example.org/x")))
    );
    test.lines();
    test.hear_xml(&format!("<presence from='{ROOM}/Old' type='unavailable'/>"));
    assert_eq!(test.lines(), ["occupantLeft"]);
    test.hear_xml("<presence from='hall@muc.example.org/Old'/>");
    test.hear_xml(&format!("<presence from='{ROOM}'/>"));
    assert!(test.lines().is_empty() && room(&test).occupants.len() == 3, "another room, and the room itself");
}

/// Servers refuse such nicknames (RFC 7622, section 3.4), except for the space, which is allowed.
#[test]
fn who_enters_and_who_speaks_is_read_in_the_same_way() {
    for (written, read) in [
        ("n\u{85}x", None),
        ("n\u{2028}x", None),
        ("n\u{fdd0}x", None),
        ("n\u{e000}x", None),
        ("n\u{202e}x", None),
        ("n\u{3000}x", Some("n x")),
        ("n\u{a0}x", Some("n x")),
        ("ﬁn", Some("fin")),
        ("n🐢", Some("n🐢")),
    ] {
        let mut test = TestSession::connected(Settings::default());
        test.in_room();
        let item = "<item affiliation='none' role='participant'/>";
        let x = format!("<x xmlns='http://jabber.org/protocol/muc#user'>{item}</x>");
        test.hear_xml(&format!("<presence from='{ROOM}/{written}'>{x}</presence>"));
        test.hear_xml(&format!("<message from='{ROOM}/{written}' type='groupchat'><body>hi</body></message>"));
        assert_eq!(
            (test.count("occupantJoined"), test.count("message")),
            if read.is_some() { (1, 1) } else { (0, 0) },
            "{written:?}"
        );
        if let Some(read) = read {
            let Payload::Message(said) = test.last("message") else { panic!("a message") };
            assert_eq!(
                (last_occupant(&test, "occupantJoined").nick.as_str(), said.nick.as_deref()),
                (read, Some(read)),
                "{written:?}"
            );
        }
    }
}

/// Some services omit the code 110, which XEP-0045, section 7.2.2, requires.
#[test]
fn our_own_address_says_that_we_are_in() {
    let mut test = TestSession::connected(Settings::default());
    let mut opened = test.open_room(None);
    let known = |nick: &str, real: &str| {
        with_muc(occupant(nick, PresenceKind::Available, &[]), |muc| muc.jid = Some(jid(real)))
    };
    test.presence(known("elsewhere", "bot@example.org/other"));
    assert!(got(&mut opened).is_none(), "another session of ours");
    test.presence(known("bot", "bot@example.org/house"));
    assert!(got(&mut opened).unwrap().unwrap().joined);
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
        let mut test = TestSession::connected(settings);
        let _opened = test.open_room(given);
        assert_eq!(room(&test).nick, expected);
    }
    let mut test = TestSession::connected(Settings::default());
    let refused = got(&mut test.open_room(Some("")));
    assert!(matches!(refused, Some(Err(CallError::Invalid { argument, .. })) if argument == "attributes.nick"));
}

#[test]
fn the_nickname_of_an_account_is_its_name_as_people_read_it_if_it_can_be_read() {
    for (account, expected) in [
        ("d\\27artagnan@example.org", "d'artagnan"),
        ("back\\slash@example.org", "back\\slash"),
        // Nothing follows the backslash, or too little.
        ("bot\\@example.org", "bot\\"),
        ("bot\\2@example.org", "bot\\2"),
        ("\\27bot\\@example.org", "\\27bot\\"),
    ] {
        let mut test = TestSession::connected(Settings::default());
        let own = FullJid::new(&format!("{account}/house")).unwrap();
        test.run(|session, now, effects| session.bound(own, Offers::default(), now, effects));
        let _opened = test.open_room(None);
        assert_eq!(room(&test).nick, expected, "{account}");
    }
}

#[test]
fn a_room_that_lets_nobody_in_says_why() {
    for condition in ["conflict", "forbidden", "registration-required", "not-authorized", "service-unavailable"] {
        let mut test = TestSession::connected(Settings::default());
        let mut opened = test.open_room(None);
        test.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error(condition))));
        assert!(matches!(got(&mut opened), Some(Err(CallError::Stanza(error))) if error.condition == condition));
        assert!(test.session.snapshot().rooms.is_empty());
    }
    let mut test = TestSession::connected(Settings::default());
    let mut opened = test.open_room(None);
    test.forget();
    test.wait(30);
    assert_eq!(got(&mut opened).unwrap().unwrap_err(), CallError::TimedOut);
    assert_eq!(test.lines(), ["> unavailable to room@muc.example.org/bot"], "in case it let us in after all");
    assert!(test.session.snapshot().rooms.is_empty());

    let mut test = TestSession::connected(settings(&[("allow_muc", false.into())]));
    assert!(matches!(got(&mut test.open_room(None)), Some(Err(CallError::Unsupported(_)))));
    let mut test = TestSession::new(Settings::default());
    assert_eq!(got(&mut test.open_room(None)).unwrap().unwrap_err(), CallError::Offline);
}

#[test]
fn who_comes_goes_and_changes_is_told() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.presence(occupant("romeo", PresenceKind::Available, &[]));
    assert_eq!(test.lines(), ["occupantJoined"]);
    test.presence(occupant("romeo", PresenceKind::Available, &[]));
    assert!(test.lines().is_empty(), "nothing new");
    test.presence(with_muc(occupant("romeo", PresenceKind::Available, &[]), |muc| {
        "moderator".clone_into(&mut muc.role);
    }));
    assert_eq!(last_occupant(&test, "occupantChanged").role, "moderator");
    test.forget();
    test.presence(with_muc(occupant("romeo", PresenceKind::Unavailable, &[303]), |muc| {
        muc.nick = Some("r".to_owned());
    }));
    let renamed = last_occupant(&test, "occupantChanged");
    assert_eq!((renamed.nick.as_str(), renamed.previous_nick.as_deref()), ("r", Some("romeo")));
    test.presence(with_muc(occupant("r", PresenceKind::Available, &[]), |muc| "moderator".clone_into(&mut muc.role)));
    assert_eq!(test.lines(), ["occupantChanged"], "one change, told once");
    assert!(!room(&test).occupants.contains_key("romeo"));
    for (status, why) in [(&[][..], "left"), (&[307], "kicked"), (&[301], "banned"), (&[322], "members-only")] {
        test.presence(occupant("mercutio", PresenceKind::Available, &[]));
        let gone = occupant("mercutio", PresenceKind::Unavailable, status);
        test.presence(with_muc(gone, |muc| muc.reason = Some("a plague".to_owned())));
        let left = last_occupant(&test, "occupantLeft");
        assert_eq!((left.left, left.reason.as_deref()), (Some(why), Some("a plague")));
    }
    assert_eq!(room(&test).occupants.len(), 3);
}

/// XEP-0045, section 7.14.
#[test]
fn what_somebody_says_in_leaving_is_told_and_no_status_of_before() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    for (said, told) in
        [(None, None), (Some(""), None), (Some("gone where the goblins go"), Some("gone where the goblins go"))]
    {
        let here = occupant("romeo", PresenceKind::Available, &[]);
        test.presence(Presence { show: Some(types::Show::Dnd), status: Some("sighing".to_owned()), ..here });
        let gone = occupant("romeo", PresenceKind::Unavailable, &[]);
        test.presence(Presence { status: said.map(str::to_owned), ..gone });
        let left = last_occupant(&test, "occupantLeft");
        assert_eq!((left.left, left.show, left.status.as_deref(), &left.reason), (Some("left"), None, told, &None));
    }
}

/// RFC 7622, section 3.4: nicknames are equal if they are equal after preparation.
#[test]
fn a_new_nickname_is_spelled_as_in_the_address_that_follows() {
    for written in ["Anna ❤\u{fe0f}", "Ann\u{e9}", "Anne\u{301}", "Anna…"] {
        let mut test = TestSession::connected(Settings::default());
        test.in_room();
        let muc = "http://jabber.org/protocol/muc#user";
        let here = |nick: &str| {
            format!(
                "<presence from='{ROOM}/{nick}'><x xmlns='{muc}'><item affiliation='none' role='visitor'/></x></presence>"
            )
        };
        test.hear_xml(&here("anna"));
        test.hear_xml(&format!(
            "<presence type='unavailable' from='{ROOM}/anna'><x xmlns='{muc}'><item affiliation='none' role='visitor' \
             nick='{written}'/><status code='303'/></x></presence>"
        ));
        test.hear_xml(&here(written));
        assert_eq!(test.lines(), ["occupantJoined", "occupantChanged"], "{written}");
        assert_eq!(room(&test).occupants.len(), 3, "{written}");
    }
}

/// A room may refer to us by our nickname alone.
#[test]
fn what_we_may_do_in_a_room_is_in_its_record() {
    for status in [&[110][..], &[]] {
        let mut test = TestSession::connected(Settings::default());
        test.in_room();
        test.presence(with_muc(occupant("bot", PresenceKind::Available, status), |muc| {
            "moderator".clone_into(&mut muc.role);
            "admin".clone_into(&mut muc.affiliation);
        }));
        assert_eq!((room(&test).role.as_str(), room(&test).affiliation.as_str()), ("moderator", "admin"));
        assert!(last_occupant(&test, "occupantChanged").own);
    }
}

#[test]
fn our_own_new_nickname_is_known() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.presence(with_muc(occupant("bot", PresenceKind::Unavailable, &[110, 303]), |muc| {
        muc.nick = Some("bot2".to_owned());
    }));
    test.presence(occupant("bot2", PresenceKind::Available, &[110]));
    assert!(room(&test).joined);
    assert_eq!(room(&test).nick, "bot2");
    assert!(last_occupant(&test, "occupantChanged").own);
    test.bind();
    test.roster(Vec::new());
    assert_eq!(test.lines().last().unwrap(), "> available to room@muc.example.org/bot2 entering", "and kept");
}

/// Rooms send this if another client of the account stays there under the old nickname.
#[test]
fn our_own_new_nickname_is_kept_where_nobody_says_that_the_old_one_was_changed() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.presence(occupant("bot2", PresenceKind::Available, &[110]));
    assert_eq!(room(&test).nick, "bot2");
    test.presence(occupant("bot", PresenceKind::Unavailable, &[]));
    assert!(!last_occupant(&test, "occupantLeft").own && room(&test).joined, "that was the other one");
    test.bind();
    test.roster(Vec::new());
    assert_eq!(test.lines().last().unwrap(), "> available to room@muc.example.org/bot2 entering");
}

#[test]
fn being_put_out_is_told_with_the_reason() {
    for (status, destroyed, why, comes_back) in [
        (&[110, 307][..], false, "kicked", false),
        (&[110, 301], false, "banned", false),
        (&[110, 321], false, "affiliation", false),
        (&[110, 322], false, "members-only", false),
        (&[110, 307, 333], false, "error", true),
        (&[110, 330], false, "error", true),
        (&[110, 332], false, "shutdown", true),
        (&[332, 307], false, "shutdown", true),
        (&[110], true, "destroyed", false),
        (&[110], false, "left", false),
    ] {
        let mut test = TestSession::connected(Settings::default());
        test.in_room();
        let gone = with_muc(occupant("bot", PresenceKind::Unavailable, status), |muc| {
            muc.destroyed = destroyed.then_some(None);
        });
        test.presence(Presence { status: Some("Disconnected: timed out".to_owned()), ..gone });
        assert_eq!(test.lines(), ["occupantLeft", "roomLeft"]);
        let left = last_occupant(&test, "occupantLeft");
        assert_eq!((left.left, room(&test).left), (Some(why), Some(why)));
        assert_eq!(left.status.as_deref(), Some("Disconnected: timed out"));
        // Prosody sends the reason of an error in this form.
        let reason = (why == "error").then_some("Disconnected: timed out");
        assert_eq!((left.reason.as_deref(), room(&test).reason.as_deref()), (reason, reason), "{why}");
        assert!(!room(&test).joined && room(&test).occupants.is_empty());
        test.wait(30);
        assert_eq!(test.lines().len(), usize::from(comes_back), "{why}: a service that restarts wanted nothing of us");
        test.bind();
        test.roster(Vec::new());
        assert_eq!(test.lines().iter().any(|line| line.contains("entering")), comes_back, "{why}");
        let mut closed = close(&mut test);
        if comes_back {
            test.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
        }
        assert!(got(&mut closed).unwrap().is_ok());
        assert!(test.session.snapshot().rooms.is_empty());
    }
}

/// `MongooseIM` sends this to all clients of an account that share a nickname, when one of them leaves.
#[test]
fn a_room_that_says_only_that_our_nickname_left_is_asked_whether_we_did() {
    let entering = "> available to room@muc.example.org/bot entering";
    for (told, then) in [(Ok(Body::Empty), &[][..]), (Err(stanza_error("not-acceptable")), &[entering])] {
        let mut test = TestSession::connected(Settings::default());
        test.in_room();
        test.presence(occupant("bot", PresenceKind::Unavailable, &[]));
        assert_eq!(test.lines(), ["> ask Ping"]);
        assert!(room(&test).joined);
        let id = test.asked(|ask| *ask == Ask::Ping);
        test.answer(Some(&format!("{ROOM}/bot")), id, told);
        assert_eq!(test.lines(), then, "nobody is told that we left");
        assert_eq!(room(&test).joined, then.is_empty());
    }
}

#[test]
fn leaving_is_over_when_the_room_says_so_or_in_time() {
    let mut test = TestSession::connected(Settings::default());
    assert!(matches!(got(&mut close(&mut test)), Some(Err(CallError::NotFound(_)))));
    for in_time in [true, false] {
        test.in_room();
        let mut closed = close(&mut test);
        assert_eq!(test.lines(), ["> unavailable to room@muc.example.org/bot"]);
        assert!(got(&mut closed).is_none());
        if in_time {
            test.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
        } else {
            test.wait(10);
        }
        assert!(got(&mut closed).unwrap().is_ok());
        assert_eq!(test.count("roomLeft"), 1);
        assert!(test.session.snapshot().rooms.is_empty());
    }
}

#[test]
fn entering_while_leaving_is_not_mistaken_for_it() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let mut closed = close(&mut test);
    let mut opened = test.open_room(None);
    assert!(got(&mut closed).unwrap().is_ok());
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
    assert!(got(&mut opened).is_none(), "that was the farewell");
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(got(&mut opened).unwrap().unwrap().joined);
}

#[test]
fn closing_ends_the_wait_of_those_who_open() {
    let mut test = TestSession::connected(Settings::default());
    let mut opened = test.open_room(None);
    let _closed = close(&mut test);
    assert_eq!(got(&mut opened).unwrap().unwrap_err(), CallError::Stopped);
}

#[test]
fn who_is_on_the_way_in_when_the_stream_breaks_gets_in_or_is_told() {
    let mut test = TestSession::connected(Settings::default());
    let mut opened = test.open_room(None);
    test.bind();
    let mut later = test.open_room(None);
    assert!(got(&mut opened).is_none(), "it is tried again");
    test.roster(Vec::new());
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(got(&mut opened).unwrap().is_ok() && got(&mut later).unwrap().is_ok());

    let mut test = TestSession::connected(Settings::default());
    let mut opened = test.open_room(None);
    test.run(|session, now, effects| session.lost("gone", now, effects));
    assert_eq!(got(&mut opened).unwrap().unwrap_err(), CallError::Offline);
    assert!(test.session.snapshot().rooms.is_empty());
}

#[test]
fn a_room_that_refuses_our_return_is_left() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.bind();
    test.roster(Vec::new());
    test.forget();
    test.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error("forbidden"))));
    assert_eq!(test.lines(), ["occupantLeft", "roomLeft"]);
    assert!(!room(&test).joined);
    assert_eq!((room(&test).left, room(&test).reason.as_deref()), (Some("refused"), Some("forbidden")));

    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.bind();
    test.roster(Vec::new());
    let ns = "urn:ietf:params:xml:ns:xmpp-stanzas";
    test.hear_xml(&format!(
        "<presence type='error' from='{ROOM}'><error type='cancel'><gone xmlns='{ns}'>xmpp:hall@muc.example.org?join\
         </gone><text xmlns='{ns}'>We moved</text></error></presence>"
    ));
    let Payload::Room(left) = test.last("roomLeft") else { panic!("a room") };
    assert_eq!((left.left, left.reason.as_deref()), (Some("destroyed"), Some("We moved")));
    assert_eq!(left.alternative, Some(bare("hall@muc.example.org")));
}

fn configured(
    test: &mut TestSession,
    configure: Option<Vec<(String, ConfigValue)>>,
) -> Receiver<Result<Arc<Room>, CallError>> {
    let (answer, opened) = Answer::channel();
    let options = RoomOptions { configure, ..RoomOptions::default() };
    test.command(AnyCommand::with(OpenRoom { by: InstanceId(1), jid: bare(ROOM), options }, answer));
    test.presence(occupant("bot", PresenceKind::Available, &[110, 201]));
    opened
}

fn field(var: &str, kind: &str, values: &[&str], options: &[&str]) -> types::FormField {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    types::FormField { var: var.to_owned(), kind: kind.to_owned(), values: texts(values), options: texts(options) }
}

fn form() -> Vec<types::FormField> {
    vec![
        field("FORM_TYPE", "hidden", &["http://jabber.org/protocol/muc#roomconfig"], &[]),
        field("muc#roomconfig_persistentroom", "boolean", &["0"], &[]),
        field("muc#roomconfig_membersonly", "boolean", &["1"], &[]),
        field("muc#roomconfig_roomname", "text-single", &["The hall"], &[]),
        field("muc#roomconfig_presencebroadcast", "list-multi", &["visitor"], &["visitor", "participant", "moderator"]),
        field("muc#roomconfig_whois", "list-single", &["moderators"], &["moderators", "anyone"]),
        field("allow_bridges", "boolean", &["true"], &[]),
    ]
}

fn text(text: &str) -> ConfigValue {
    ConfigValue::Text(text.to_owned())
}

fn texts(texts: &[&str]) -> ConfigValue {
    ConfigValue::Texts(texts.iter().map(|&text| text.to_owned()).collect())
}

fn wanted(fields: &[(&str, ConfigValue)]) -> Vec<(String, ConfigValue)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// Returns the submitted values, by field.
fn submitted(test: &TestSession) -> BTreeMap<String, Vec<String>> {
    let fields = test.sent.iter().rev().find_map(|stanza| match stanza {
        Outgoing::Ask { ask: Ask::ConfigureRoom { fields }, .. } => Some(fields.iter().cloned().collect()),
        _ => None,
    });
    fields.expect("it was submitted")
}

/// Settings muc_instant_rooms.
#[test]
fn a_room_that_we_create_is_instant_or_waits_for_somebody() {
    for (instant, configure) in [(true, None), (false, Some(Vec::new()))] {
        let mut test = TestSession::connected(settings(&[("muc_instant_rooms", instant.into())]));
        let mut opened = configured(&mut test, configure);
        assert!(got(&mut opened).is_none(), "nobody else can enter yet");
        let id = test.asked(|ask| *ask == Ask::ConfigureRoom { fields: Vec::new() });
        test.answer(Some(ROOM), id, Ok(Body::Empty));
        assert!(got(&mut opened).unwrap().is_ok());
        assert_eq!(test.count("chatRoomOpened"), 1);
    }
    let mut test = TestSession::connected(settings(&[("muc_instant_rooms", false.into())]));
    let mut opened = configured(&mut test, None);
    assert_eq!(test.lines()[1..3], ["configurationNeeded", "chatRoomOpened"]);
    assert!(got(&mut opened).unwrap().is_ok());
}

/// Row 102.
#[test]
fn a_new_room_keeps_what_nobody_named() {
    let mut test = TestSession::connected(Settings::default());
    let fields = wanted(&[
        ("persistentroom", ConfigValue::Flag(true)),
        ("membersonly", text("false")),
        ("presencebroadcast", texts(&["participant", "moderator"])),
        ("whois", texts(&["anyone"])),
        ("allow_bridges", ConfigValue::Flag(false)),
    ]);
    let mut opened = configured(&mut test, Some(fields));
    let id = test.asked(|ask| *ask == Ask::RoomConfig);
    assert_eq!(test.count_asked(|ask| matches!(ask, Ask::ConfigureRoom { .. })), 0, "the form comes first");
    test.answer(Some(ROOM), id, Ok(Body::RoomForm(form())));
    let values: Vec<_> =
        submitted(&test).into_iter().map(|(name, values)| format!("{name}={}", values.join(","))).collect();
    assert_eq!(
        values,
        [
            "allow_bridges=0",
            "muc#roomconfig_membersonly=0",
            "muc#roomconfig_persistentroom=1",
            "muc#roomconfig_presencebroadcast=participant,moderator",
            "muc#roomconfig_roomname=The hall",
            "muc#roomconfig_whois=anyone",
        ]
    );
    let id = test.asked(|ask| matches!(ask, Ask::ConfigureRoom { .. }));
    assert!(got(&mut opened).is_none());
    test.answer(Some(ROOM), id, Ok(Body::Empty));
    assert!(got(&mut opened).unwrap().unwrap().joined);
}

/// Row 102.
#[test]
fn a_field_that_does_not_fit_is_named_and_no_room_is_left_behind() {
    for (name, value) in [
        ("nonsense", ConfigValue::Flag(true)),
        ("persistentroom", text("maybe")),
        ("persistentroom", texts(&["1", "0"])),
        ("roomname", texts(&["a", "b"])),
        ("whois", text("nobody")),
        ("presencebroadcast", texts(&["visitor", "ghost"])),
    ] {
        let mut test = TestSession::connected(Settings::default());
        let mut opened = configured(&mut test, Some(wanted(&[(name, value)])));
        let id = test.asked(|ask| *ask == Ask::RoomConfig);
        test.answer(Some(ROOM), id, Ok(Body::RoomForm(form())));
        let error = got(&mut opened).unwrap().unwrap_err();
        let argument = format!("attributes.roomconfig.{name}");
        assert!(matches!(&error, CallError::Invalid { argument: named, .. } if *named == argument), "{error:?}");
        assert_eq!(test.count_asked(|ask| matches!(ask, Ask::ConfigureRoom { .. })), 0);
        assert_eq!(test.count_asked(|ask| *ask == Ask::CancelRoomConfig), 1);
        assert!(test.lines().contains(&"> unavailable to room@muc.example.org/bot".to_owned()));
        assert_eq!((test.count("chatRoomOpened"), room(&test).joined), (0, true), "until the room has heard it");
        test.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
        assert!(test.session.snapshot().rooms.is_empty());
    }
}

#[test]
fn a_room_that_cannot_be_configured_says_why() {
    type Case = (fn() -> Result<Body, Box<StanzaError>>, &'static str);
    let cases: [Case; 4] = [
        (|| Err(stanza_error("forbidden")), "forbidden"),
        (|| Ok(Body::Other), "no form"),
        (|| Ok(Body::Empty), "no form"),
        (
            || Ok(Body::RoomForm((0..=types::MAX_FORM_FIELDS).map(|n| field(&n.to_string(), "", &[], &[])).collect())),
            "more than 512 fields",
        ),
    ];
    for (answer, why) in cases {
        let mut test = TestSession::connected(Settings::default());
        let mut opened = configured(&mut test, Some(wanted(&[("roomname", text("x"))])));
        let id = test.asked(|ask| *ask == Ask::RoomConfig);
        test.answer(Some(ROOM), id, answer());
        let error = got(&mut opened).unwrap().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");

        let mut test = TestSession::connected(Settings::default());
        test.in_room();
        let mut configured = test.ask(ConfigureRoom { jid: bare(ROOM), fields: wanted(&[("roomname", text("x"))]) });
        let id = test.asked(|ask| *ask == Ask::RoomConfig);
        test.answer(Some(ROOM), id, answer());
        let error = got(&mut configured).unwrap().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(room(&test).joined, "it was there before");
    }
    let mut test = TestSession::connected(Settings::default());
    let mut opened = configured(&mut test, Some(wanted(&[("roomname", text("x"))])));
    test.wait(31);
    assert_eq!(got(&mut opened).unwrap().unwrap_err(), CallError::TimedOut);
    let mut test = TestSession::connected(Settings::default());
    let mut opened = configured(&mut test, None);
    let id = test.asked(|ask| matches!(ask, Ask::ConfigureRoom { .. }));
    test.answer(Some(ROOM), id, Err(stanza_error("not-acceptable")));
    assert!(matches!(got(&mut opened), Some(Err(CallError::Stanza(_)))));
}

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
    let conflict = || presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error("conflict")));
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.bind();
    test.roster(Vec::new());
    test.forget();
    test.presence(conflict());
    assert_eq!(test.lines(), ["> available to room@muc.example.org/bot_2 entering"]);
    test.presence(conflict());
    assert_eq!(test.lines(), ["> available to room@muc.example.org/bot_3 entering"]);
    test.presence(occupant("bot_3", PresenceKind::Available, &[110]));
    assert_eq!((room(&test).nick.as_str(), room(&test).joined), ("bot_3", true));
    test.bind();
    test.roster(Vec::new());
    let entering = "> available to room@muc.example.org/bot entering".to_owned();
    assert!(test.lines().contains(&entering), "it may be gone by now");
    for _ in 0..20 {
        test.presence(conflict());
    }
    assert_eq!(test.count("roomLeft"), 1, "but not for ever");
    assert_eq!(room(&test).left, Some("refused"));
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
    for (mut test, what) in [(automatic(), "on its way"), (down, "down"), (put_out, "put out")] {
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

/// A plugin that hears of a new stream may do so, and other plugins lose nothing by it.
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
    assert_eq!(test.lines(), ["messageError"], "one question at a time");
    let id = test.asked(|ask| *ask == Ask::Ping);
    test.answer(Some(&format!("{ROOM}/bot")), id, Err(stanza_error("not-acceptable")));
    assert_eq!(test.lines(), ["> available to room@muc.example.org/bot entering"]);
}

/// Openfire sends this for a room that is gone, and Tigase to people who are not in it, as others do to visitors.
#[test]
fn a_room_that_refuses_what_we_say_is_asked_whether_we_are_in() {
    for (condition, from, role, is_asked) in [
        ("recipient-unavailable", ROOM.to_owned(), "participant", true),
        ("recipient-unavailable", format!("{ROOM}/juliet"), "participant", false),
        ("forbidden", ROOM.to_owned(), "participant", true),
        ("forbidden", ROOM.to_owned(), "visitor", false),
        ("forbidden", format!("{ROOM}/bot"), "participant", false),
        ("resource-constraint", ROOM.to_owned(), "participant", false),
    ] {
        let mut test = TestSession::connected(Settings::default());
        test.in_room();
        test.presence(with_muc(occupant("bot", PresenceKind::Available, &[110]), |muc| role.clone_into(&mut muc.role)));
        test.forget();
        let error = Some(stanza_error(condition));
        test.message(Message { error, body: None, ..message(&from, MessageKind::Error, "") });
        let asked = test.lines().contains(&"> ask Ping".to_owned());
        assert_eq!(asked, is_asked, "{condition} from {from} to a {role}");
    }
}

#[test]
fn why_we_are_out_is_in_the_record() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let gone = with_muc(occupant("bot", PresenceKind::Unavailable, &[110]), |muc| {
        muc.destroyed = Some(Some(bare("hall@muc.example.org")));
        muc.reason = Some("x".repeat(5_000));
    });
    test.presence(gone);
    let Payload::Room(left) = test.last("roomLeft").clone() else { panic!("a room") };
    assert_eq!((left.left, left.alternative.as_ref()), (Some("destroyed"), Some(&bare("hall@muc.example.org"))));
    assert_eq!(left.reason.as_ref().unwrap().len(), 4_096);
    let _opened = test.open_room(None);
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    let room = room(&test);
    assert_eq!((room.left, &room.reason, &room.alternative), (None, &None, &None));
}

#[test]
fn what_a_room_says_of_itself_is_kept_in_step() {
    let mut test = TestSession::connected(Settings::default());
    let _opened = test.open_room(None);
    test.presence(occupant("bot", PresenceKind::Available, &[100, 110, 170]));
    assert!(room(&test).shows_jids && room(&test).logged);
    let about = |features: &[&str]| {
        let identity = types::Identity {
            category: "conference".to_owned(),
            kind: "text".to_owned(),
            name: Some("The hall".to_owned()),
            lang: None,
        };
        let features = features.iter().map(|&feature| feature.to_owned()).collect();
        Ok(Body::Disco(types::Disco { identities: vec![identity], features, ..types::Disco::default() }))
    };
    let id = test.asked(|ask| matches!(ask, Ask::DiscoInfo { .. }));
    test.answer(Some(ROOM), id, about(&["muc_open"]));
    assert_eq!(room(&test).about.name.as_deref(), Some("The hall"));
    assert_eq!(room(&test).about.features, ["muc_open"]);
    test.forget();
    let notice = |codes: &[u16]| Message {
        room_status: codes.to_vec(),
        body: None,
        ..message(ROOM, MessageKind::Groupchat, "")
    };
    test.message(notice(&[104]));
    assert_eq!(test.lines(), ["message", "> ask disco of room@muc.example.org"]);
    test.message(notice(&[171, 173]));
    assert!(!room(&test).shows_jids && !room(&test).logged);
    test.message(notice(&[170]));
    test.message(notice(&[172]));
    assert!(room(&test).shows_jids && room(&test).logged);
}

/// XEP-0421, section 5.
#[test]
fn occupant_ids_are_told_where_the_room_knows_of_them() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let come = |nick: &str| {
        with_muc(occupant(nick, PresenceKind::Available, &[]), |muc| muc.occupant_id = Some("id1".to_owned()))
    };
    test.presence(come("romeo"));
    assert_eq!(last_occupant(&test, "occupantJoined").occupant_id, None, "anybody could have written it");
    let id = test.asked(|ask| matches!(ask, Ask::DiscoInfo { .. }));
    let features = vec!["urn:xmpp:occupant-id:0".to_owned()];
    test.answer(Some(ROOM), id, Ok(Body::Disco(types::Disco { features, ..types::Disco::default() })));
    test.presence(come("paris"));
    assert_eq!(last_occupant(&test, "occupantJoined").occupant_id.as_deref(), Some("id1"));
    assert!(room(&test).has_occupant_ids());
}

#[test]
fn a_subject_is_set_when_the_room_says_so() {
    let mut test = TestSession::connected(Settings::default());
    assert!(matches!(
        got(&mut test.ask(SetSubject { jid: bare(ROOM), subject: "News".to_owned() })),
        Some(Err(CallError::NotFound(_)))
    ));
    test.in_room();
    let asked = |test: &TestSession| match &test.sent[test.sent.len() - 2..] {
        [Outgoing::Message { id, .. }, Outgoing::Ask { id: after, ask: Ask::DiscoInfo { .. }, .. }] => {
            (id.clone(), after.clone())
        }
        other => panic!("{other:?}"),
    };
    // A room need not repeat an unchanged subject.
    for told in [true, false] {
        let mut set = test.ask(SetSubject { jid: bare(ROOM), subject: "News".to_owned() });
        let (_, after) = asked(&test);
        if told {
            test.subject("News");
        }
        test.answer(Some(&format!("{ROOM}/juliet")), after.clone(), Ok(Body::Empty));
        assert!(got(&mut set).is_none(), "not from the room");
        let outcome = if told { Ok(Body::Empty) } else { Err(stanza_error("forbidden")) };
        test.answer(Some(ROOM), after, outcome);
        assert_eq!(got(&mut set), Some(Ok(())), "it heard us, and did not refuse");
        assert_eq!(room(&test).subject.as_deref(), Some("News"));
    }

    let mut set = test.ask(SetSubject { jid: bare(ROOM), subject: "No".to_owned() });
    let (id, after) = asked(&test);
    let id = Some(id);
    let error = Some(stanza_error("forbidden"));
    let refused = |from: &str| Message {
        id: id.clone(),
        error: error.clone(),
        body: None,
        ..message(from, MessageKind::Error, "")
    };
    test.message(refused("mallory@example.net"));
    test.message(refused(&format!("{ROOM}/juliet")));
    assert!(got(&mut set).is_none(), "not from the room");
    test.message(refused(ROOM));
    assert!(matches!(got(&mut set), Some(Err(CallError::Stanza(error))) if error.condition == "forbidden"));
    test.answer(Some(ROOM), after, Ok(Body::Empty));

    // MongooseIM sends refusals under our own nickname, which nobody else has.
    let mut set = test.ask(SetSubject { jid: bare(ROOM), subject: "No".to_owned() });
    let id = Some(asked(&test).0);
    let error = Some(stanza_error("forbidden"));
    test.message(Message { id, error, body: None, ..message(&format!("{ROOM}/bot"), MessageKind::Error, "") });
    assert!(matches!(got(&mut set), Some(Err(CallError::Stanza(error))) if error.condition == "forbidden"));

    let mut set = test.ask(SetSubject { jid: bare(ROOM), subject: "Later".to_owned() });
    test.wait(30);
    assert_eq!(got(&mut set), Some(Err(CallError::TimedOut)));
}

#[test]
fn orders_to_rooms_are_answered_by_them_alone() {
    let order =
        || ModerateRoom { jid: bare(ROOM), ask: Ask::SetRole { nick: "j".to_owned(), role: "none", reason: None } };
    let mut test = TestSession::connected(Settings::default());
    let mut done = test.ask(order());
    let id = test.asked(|ask| matches!(ask, Ask::SetRole { .. }));
    test.answer(Some(&format!("{ROOM}/juliet")), id.clone(), Ok(Body::Empty));
    test.answer(None, id.clone(), Ok(Body::Empty));
    assert!(got(&mut done).is_none());
    test.answer(Some(ROOM), id.clone(), Err(stanza_error("not-allowed")));
    assert!(matches!(got(&mut done), Some(Err(CallError::Stanza(_)))));
    let ignored = test.session.ignored();
    test.answer(Some(ROOM), id, Ok(Body::Empty));
    assert_eq!(test.session.ignored(), ignored + 1, "a second answer");

    let mut people = test.ask(ListAffiliations { jid: bare(ROOM), affiliation: "owner" });
    let id = test.asked(|ask| matches!(ask, Ask::Affiliations { .. }));
    test.answer(Some(ROOM), id, Ok(Body::Empty));
    assert!(matches!(got(&mut people), Some(Err(CallError::Other(_)))), "no list");
    let mut late = test.ask(order());
    let mut lost = test.ask(ListAffiliations { jid: bare(ROOM), affiliation: "owner" });
    test.wait(20);
    test.run(|session, now, effects| session.lost("gone", now, effects));
    assert_eq!(got(&mut lost).unwrap().unwrap_err(), CallError::Offline);
    assert_eq!(got(&mut late), Some(Err(CallError::Offline)));
    assert_eq!(got(&mut test.ask(order())), Some(Err(CallError::Offline)));
    let mut test = TestSession::connected(settings(&[("allow_muc", false.into())]));
    assert!(matches!(got(&mut test.ask(order())), Some(Err(CallError::Unsupported(_)))));
}

#[test]
fn invitations_of_ours_are_told() {
    let mut test = TestSession::connected(Settings::default());
    for (direct, to) in [(true, ROMEO), (false, ROOM)] {
        let mut sent = test.ask(InviteToRoom {
            jid: bare(ROOM),
            user: bare(ROMEO),
            direct,
            reason: Some("come".to_owned()),
            password: None,
        });
        assert_eq!(got(&mut sent), Some(Ok(())));
        assert_eq!(test.lines(), [format!("> invite to {to}"), "roomInviteSent".to_owned()]);
        let Payload::Invite(invite) = test.last("roomInviteSent") else { panic!("an invitation") };
        assert_eq!((&invite.room, &invite.to, &invite.from), (&bare(ROOM), &jid(ROMEO), &jid("bot@example.org/house")));
    }
    let no = |body: &str| {
        let muc = "http://jabber.org/protocol/muc#user";
        let no = format!("<decline from='{ROMEO}'><reason>{}</reason></decline>", "x".repeat(5_000));
        format!("<message from='{ROOM}' to='bot@example.org/house'>{body}<x xmlns='{muc}'>{no}</x></message>")
    };
    let ignored = test.session.ignored();
    test.hear_xml(&no(""));
    assert!(test.lines().is_empty(), "of a room that is not open anybody could say so");
    assert_eq!(test.session.ignored(), ignored + 1);
    test.in_room();
    test.hear_xml(&no(""));
    assert_eq!(test.lines(), ["roomInviteDeclined"], "and nothing that was said");
    let Payload::Invite(told) = test.last("roomInviteDeclined") else { panic!("an invitation") };
    assert_eq!((&told.room, &told.from, &told.to), (&bare(ROOM), &jid(ROMEO), &jid("bot@example.org")));
    assert_eq!(told.reason.as_ref().unwrap().len(), 4_096);
    test.hear_xml(&no("<body>He does not come</body>"));
    assert_eq!(test.lines()[..2], ["roomInviteDeclined", "message"]);
}

/// Settings auto_join_on_invite.
#[test]
fn nobody_is_followed_to_what_is_no_room() {
    let mut test = TestSession::connected(settings(&[("auto_join_on_invite", true.into())]));
    for room in [ROMEO, "bot@example.org", "muc.example.org"] {
        let invite = types::Invite {
            room: bare(room),
            from: jid("mallory@example.net"),
            to: jid("bot@example.org"),
            reason: None,
            password: None,
        };
        let from = "mallory@example.net";
        test.message(Message { body: None, invite: Some(Box::new(invite)), ..message(from, MessageKind::Normal, "") });
        assert!(test.lines().is_empty(), "{room}");
    }
    for number in 0..100 {
        let invite = types::Invite {
            room: bare(&format!("r{number}@muc.example.org")),
            from: jid("mallory@example.net"),
            to: jid("bot@example.org"),
            reason: None,
            password: None,
        };
        let from = "mallory@example.net";
        test.message(Message { body: None, invite: Some(Box::new(invite)), ..message(from, MessageKind::Normal, "") });
    }
    assert_eq!(test.session.snapshot().rooms.len(), 16, "so many at once");
}

/// The own server ends the stream over a stanza that is too large, and the room is entered again after each reconnect.
#[test]
fn a_password_is_not_so_long_that_the_server_ends_the_stream_over_it() {
    for (length, taken) in [(4_096, true), (4_097, false), (1 << 20, false)] {
        let mut test = TestSession::connected(settings(&[("auto_join_on_invite", true.into())]));
        let password = "p".repeat(length);
        let invite = types::Invite {
            room: bare(ROOM),
            from: jid("mallory@example.net"),
            to: jid("bot@example.org"),
            reason: None,
            password: Some(password.clone()),
        };
        let invite = Some(Box::new(invite));
        test.message(Message { body: None, invite, ..message("mallory@example.net", MessageKind::Normal, "") });
        let Some(Outgoing::Presence(PresenceOut { join: Some(join), .. })) = test.sent.last() else {
            panic!("the room is not entered")
        };
        assert_eq!(join.password, taken.then_some(password), "{length}");
    }
}

#[test]
fn what_is_forged_changes_nothing() {
    let mut test = TestSession::connected(Settings::default());
    test.presence(occupant("juliet", PresenceKind::Available, &[110]));
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110, 307]));
    test.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "hi"));
    assert!(test.lines().is_empty() && test.session.snapshot().rooms.is_empty(), "a room that we never entered");

    let mut opened = test.open_room(None);
    test.forget();
    test.presence(occupant("bot", PresenceKind::Available, &[]));
    assert!(got(&mut opened).is_none() && !room(&test).joined, "somebody may have our name, our ghost for instance");
    test.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Available));
    assert!(got(&mut opened).is_none() && !room(&test).joined, "no word of a room");
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(got(&mut opened).unwrap().is_ok());
    let error = || presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error("conflict")));
    test.presence(error());
    test.presence(error());
    assert!(room(&test).joined, "it is too late for that");
    assert_eq!(test.count_asked(|ask| *ask == Ask::Ping), 1, "but we ask");
    test.presence(presence("mallory@example.net/bot", PresenceKind::Error(stanza_error("forbidden"))));
    assert!(room(&test).joined);
}

/// Rows 79-82. Events roomViewChanged.
#[test]
fn how_a_room_is_shown_is_kept_and_told() {
    let mut test = TestSession::connected(Settings::default());
    let change =
        |test: &mut TestSession, change| got(&mut test.ask(ChangeRoomView { jid: bare(ROOM), change })).unwrap();
    assert!(matches!(change(&mut test, ViewChange::Show), Err(CallError::NotFound(_))));
    test.in_room();
    for (what, told, minimized, focused) in [
        (ViewChange::Minimize, true, true, false),
        (ViewChange::Minimize, false, true, false),
        (ViewChange::Maximize, true, false, false),
        (ViewChange::Focus, true, false, true),
        (ViewChange::Show, true, false, true),
        (ViewChange::Minimize, true, true, false),
    ] {
        test.forget();
        assert_eq!(change(&mut test, what), Ok(()));
        assert_eq!(test.count("roomViewChanged"), usize::from(told), "{what:?}");
        assert_eq!(room(&test).view.minimized, minimized);
        assert_eq!(room(&test).view.focused, focused);
        if told {
            let Payload::Room(shown) = test.last("roomViewChanged") else { panic!("a room") };
            assert_eq!((shown.view.minimized, shown.view.focused, shown.view.shown), (minimized, focused, true));
        }
    }
    let open = |test: &mut TestSession, maximize, bring_to_foreground| {
        let (answer, mut opened) = Answer::channel();
        let options = RoomOptions { maximize, bring_to_foreground, ..RoomOptions::default() };
        test.command(AnyCommand::with(OpenRoom { by: InstanceId(1), jid: bare(ROOM), options }, answer));
        assert!(got(&mut opened).unwrap().is_ok());
    };
    open(&mut test, false, true);
    assert!(room(&test).view.minimized, "there is nothing that it could come before");
    open(&mut test, true, false);
    assert!(!room(&test).view.minimized && !room(&test).view.focused);
    // A chat without the focus is enough.
    let _opened = test.ask(OpenChat { by: InstanceId(1), jid: bare(ROMEO) });
    change(&mut test, ViewChange::Minimize).unwrap();
    open(&mut test, false, true);
    assert!(room(&test).view.focused && !room(&test).view.minimized);
    test.forget();
    let _shown = test.ask(ChangeChatView { jid: bare(ROMEO), change: ViewChange::Focus });
    assert_eq!(test.lines(), ["roomViewChanged", "chatBoxFocused"], "the room has lost it");
    let Payload::Room(shown) = test.last("roomViewChanged") else { panic!("a room") };
    assert!(!shown.view.focused && !room(&test).view.focused);
}

#[test]
fn a_room_that_is_entered_by_itself_is_not_shown_before_somebody_asks() {
    let mut test = TestSession::connected(settings(&[("auto_join_rooms", serde_json::json!([ROOM]))]));
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(room(&test).joined && !room(&test).view.shown);
    let mut shown = test.ask(ChangeRoomView { jid: bare(ROOM), change: ViewChange::Show });
    assert_eq!(got(&mut shown), Some(Ok(())));
    assert!(room(&test).view.shown);
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    assert!(room(&test).view.shown, "a plugin asked");
}

/// Events occupantLeft, roomLeft, occupantChanged.
#[test]
fn who_did_something_to_somebody_is_told_where_the_room_says_so() {
    let by = || Some(types::Actor { nick: Some("juliet".to_owned()), jid: None });
    let of = |nick: &str, kind, status: &[u16], role: &str| {
        let muc = MucUser { role: role.to_owned(), status: status.to_vec(), actor: by(), ..MucUser::default() };
        let reason = Some("noise".to_owned());
        Presence { muc: Some(Box::new(MucUser { reason, ..muc })), ..presence(&format!("{ROOM}/{nick}"), kind) }
    };
    let told = |test: &TestSession, event: &str| match test.last(event) {
        Payload::Occupant(occupant) => (occupant.actor.clone(), occupant.reason.clone()),
        Payload::Room(room) => (room.actor.clone(), room.reason.clone()),
        other => panic!("{other:?}"),
    };
    let expected = (by(), Some("noise".to_owned()));
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.presence(occupant("paris", PresenceKind::Available, &[]));
    test.presence(of("paris", PresenceKind::Available, &[], "visitor"));
    assert_eq!(told(&test, "occupantChanged"), expected);
    let kept = Arc::clone(&room(&test).occupants["paris"]);
    assert_eq!((&kept.actor, &kept.reason), (&None, &None), "it is of that change alone");
    test.presence(of("paris", PresenceKind::Unavailable, &[307], "none"));
    assert_eq!(told(&test, "occupantLeft"), expected);
    test.presence(of("bot", PresenceKind::Unavailable, &[110, 307], "none"));
    assert_eq!(told(&test, "roomLeft"), expected);
    assert_eq!(room(&test).actor, by());
    test.in_room();
    assert_eq!(room(&test).actor, None, "we are in again");
}

/// Events affiliationChanged.
#[test]
fn another_affiliation_of_somebody_who_is_not_there_is_told_and_is_no_message() {
    let mut test = TestSession::connected(Settings::default());
    let x = |inside: &str| format!("<x xmlns='http://jabber.org/protocol/muc#user'>{inside}</x>");
    let item = "<item affiliation='member' jid='paris@example.org' role='none'><actor nick='juliet'/><reason>good</reason></item>";
    let hear = |test: &mut TestSession, from: &str, inside: &str| {
        test.forget();
        test.hear_xml(&format!("<message from='{from}'>{inside}</message>"));
        test.lines()
    };
    assert_eq!(hear(&mut test, ROOM, &x(item)), ["message"], "of a room that we are not in it is anybody's word");
    test.in_room();
    assert_eq!(hear(&mut test, ROOM, &x(item)), ["affiliationChanged"]);
    let Payload::Occupant(told) = test.last("affiliationChanged") else { panic!("an occupant") };
    assert_eq!(
        (told.jid.as_ref(), &*told.affiliation, &*told.role),
        (Some(&jid("paris@example.org")), "member", "none")
    );
    assert_eq!((&*told.nick, told.reason.as_deref()), ("", Some("good")));
    assert_eq!(told.actor.as_ref().and_then(|actor| actor.nick.as_deref()), Some("juliet"));
    assert!(!room(&test).occupants.contains_key(""));
    let body = format!("{}<body>hi</body>", x(item));
    assert_eq!(hear(&mut test, ROOM, &body)[0], "affiliationChanged");
    assert_eq!(test.count("message"), 1, "it says something as well");
    for (from, inside) in [(format!("{ROOM}/juliet"), item), (ROOM.to_owned(), "<item affiliation='member'/>")] {
        hear(&mut test, &from, &x(inside));
        assert_eq!(test.count("affiliationChanged"), 0, "{from} {inside}");
    }
}

fn bookmark(autojoin: bool) -> types::Bookmark {
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
