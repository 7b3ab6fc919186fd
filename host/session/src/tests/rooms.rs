//! Entering, leaving and staying in rooms.
#![allow(clippy::doc_markdown, reason = "what a test shows is named as the list of the API spells it")]

mod bookmarks;
mod passwords;
mod rejoining;
mod returning;

use super::*;

fn close(test: &mut TestSession) -> Receiver<Result<(), CallError>> {
    test.ask(CloseRoom { by: InstanceId(1), jid: bare(ROOM) })
}

fn room(test: &TestSession) -> Arc<Room> {
    Arc::clone(&test.session.snapshot().rooms[&bare(ROOM)])
}

pub(super) fn with_muc(mut presence: Presence, change: impl FnOnce(&mut MucUser)) -> Presence {
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
    test.presence(known("bot", "bot@example.org/parlor"));
    assert!(got(&mut opened).unwrap().unwrap().joined);
}

/// Old services send the code 201 without 110. Such a room lets nobody else in until it is configured.
#[test]
fn a_room_that_is_made_for_us_says_so_by_that_alone() {
    let mut test = TestSession::connected(settings(&[("muc_instant_rooms", true.into())]));
    let mut opened = test.open_room(None);
    let configures = |ask: &Ask| *ask == Ask::ConfigureRoom { fields: Vec::new() };
    test.presence(occupant("elsewhere", PresenceKind::Available, &[201]));
    assert_eq!(test.count_asked(configures), 0, "it is another nickname");
    test.presence(occupant("bot", PresenceKind::Available, &[201]));
    assert_eq!(test.count_asked(configures), 1);
    let id = test.asked(configures);
    test.answer(Some(ROOM), id, Ok(Body::Empty));
    assert!(got(&mut opened).unwrap().unwrap().joined);
}

/// Gateways such as Bifröst neither send the code nor our address.
#[test]
fn our_nickname_says_that_we_are_in_once_the_room_goes_on_or_is_silent() {
    for has_subject in [true, false] {
        let mut test = TestSession::connected(Settings::default());
        let mut opened = test.open_room(None);
        test.presence(occupant("juliet", PresenceKind::Available, &[]));
        test.presence(occupant("bot", PresenceKind::Available, &[]));
        assert!(got(&mut opened).is_none(), "the name may be that of our ghost");
        if has_subject {
            test.subject("");
        } else {
            test.wait(30);
        }
        let entered = got(&mut opened).unwrap().unwrap();
        assert!(entered.joined && entered.occupants.get("bot").unwrap().own, "{has_subject}");
        assert_eq!(entered.role, entered.occupants.get("bot").unwrap().role);
    }
    let mut test = TestSession::connected(Settings::default());
    let mut opened = test.open_room(None);
    test.presence(occupant("juliet", PresenceKind::Available, &[]));
    test.subject("");
    assert!(got(&mut opened).is_none() && !room(&test).joined, "nobody has our name");
    test.wait(30);
    assert!(matches!(got(&mut opened), Some(Err(CallError::TimedOut))));
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
        let own = FullJid::new(&format!("{account}/bot")).unwrap();
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

/// As ejabberd sends it, without the picture.
#[test]
fn a_room_that_asks_for_a_captcha_lets_nobody_in_and_says_what_to_do() {
    let captcha = |from: &str| {
        format!(
            "<message from='{from}' to='bot@example.org/parlor' id='1'>\
             <body>Your subscription request and/or messages to {from} have been blocked.</body>\
             <captcha xmlns='urn:xmpp:captcha'><x xmlns='jabber:x:data' type='form'/></captcha></message>"
        )
    };
    let mut test = TestSession::connected(Settings::default());
    let mut opened = test.open_room(None);
    // Occupants, and others, ask in their own name alone.
    for other in ["room@muc.example.org/romeo", "muc.example.org", "romeo@example.org"] {
        test.hear_xml(&captcha(other));
    }
    assert!(got(&mut opened).is_none());
    test.forget();
    test.hear_xml(&captcha(ROOM));
    let error = got(&mut opened).unwrap().unwrap_err();
    assert!(
        matches!(&error, CallError::Unsupported(why) if why.contains("captcha") && why.contains("a member")),
        "{error}"
    );
    assert_eq!(test.lines(), ["> unavailable to room@muc.example.org/bot"], "plugins get no text of the room");
    assert!(test.session.snapshot().rooms.is_empty());
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

/// XEP-0045, section 7.6, gives the new one in the item. Some services leave it out.
#[test]
fn our_own_new_nickname_is_known_also_if_the_room_names_it_only_with_our_next_presence() {
    for (status, written) in [(&[110, 303][..], None), (&[110, 303], Some("")), (&[303], None)] {
        let mut test = TestSession::connected(Settings::default());
        test.in_room();
        test.presence(with_muc(occupant("bot", PresenceKind::Unavailable, status), |muc| {
            muc.nick = written.map(str::to_owned);
        }));
        assert!(room(&test).joined && test.lines().is_empty(), "{status:?}: we are still in");
        test.presence(occupant("bot2", PresenceKind::Available, &[110]));
        let told = last_occupant(&test, "occupantChanged");
        assert_eq!((told.nick.as_str(), told.previous_nick.as_deref(), told.own), ("bot2", Some("bot"), true));
        assert_eq!(test.lines(), ["occupantChanged"], "{status:?}");
        let nicks: Vec<_> = room(&test).occupants.keys().cloned().collect();
        assert_eq!((nicks, room(&test).nick.as_str()), (vec!["bot2".to_owned(), "juliet".to_owned()], "bot2"));
    }
    // It is over only once: another client of ours may keep the present one.
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110, 303]));
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    test.presence(occupant("bot2", PresenceKind::Available, &[110]));
    assert!(room(&test).occupants.contains_key("bot") && room(&test).nick == "bot2");
}

/// XEP-0045, section 7.2.9, has the code 110 beside it.
#[test]
fn a_nickname_that_the_service_gives_us_says_that_we_are_in() {
    let given = |nick: &str, real: Option<&str>| {
        with_muc(occupant(nick, PresenceKind::Available, &[210]), |muc| muc.jid = real.map(jid))
    };
    for real in [None, Some("bot@example.org"), Some("bot@example.org/parlor")] {
        let mut test = TestSession::connected(Settings::default());
        let mut opened = test.open_room(None);
        test.presence(given("romeo", Some("romeo@example.org/orchard")));
        test.presence(given("elsewhere", Some("bot@example.org/other")));
        assert!(got(&mut opened).is_none() && !room(&test).joined, "they are others");
        test.presence(given("Bot-1", real));
        assert_eq!(got(&mut opened).unwrap().unwrap().nick, "Bot-1", "{real:?}");
        // Later, it is said of others.
        test.presence(given("Bot-2", None));
        assert_eq!(room(&test).nick, "Bot-1", "{real:?}");
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

/// Openfire removes people in this way if their clients do not answer its ping, as during a lost connection.
#[test]
fn an_unanswered_ping_is_no_kick() {
    let reason = "User seems to be unreachable (didn't respond to a ping request).";
    for (actor, why) in [(None, "error"), (Some("juliet"), "kicked")] {
        let mut test = TestSession::connected(Settings::default());
        test.in_room();
        let gone = with_muc(occupant("bot", PresenceKind::Unavailable, &[110, 307]), |muc| {
            muc.reason = Some(reason.to_owned());
            muc.actor = actor.map(|nick: &str| types::Actor { nick: Some(nick.to_owned()), jid: None });
        });
        test.presence(gone);
        assert_eq!((room(&test).left, room(&test).reason.as_deref()), (Some(why), Some(reason)));
        test.forget();
        test.wait(30);
        assert_eq!(test.lines().iter().any(|line| line.contains("entering")), why == "error", "{why}");
    }
}

/// ejabberd and `MongooseIM` remove people in this way if a message to them came back, as when their server was not reached for
/// a moment.
#[test]
fn a_returned_message_is_no_leave() {
    for (status, why) in [
        (
            "The participant (bot) has sent an error message (remote-server-timeout) and got kicked from the room",
            "error",
        ),
        ("This participant is kicked from the room because he sent an error message: remote-server-timeout", "error"),
        ("I sent an error report", "left"),
    ] {
        let mut test = TestSession::connected(Settings::default());
        test.in_room();
        let gone = occupant("bot", PresenceKind::Unavailable, &[110]);
        test.presence(Presence { status: Some(status.to_owned()), ..gone });
        let reason = (why == "error").then_some(status);
        assert_eq!((room(&test).left, room(&test).reason.as_deref()), (Some(why), reason));
        test.forget();
        test.wait(30);
        assert_eq!(test.lines().iter().any(|line| line.contains("entering")), why == "error", "{status}");
    }
}

/// People choose their own status. With these words in it, they would hide from plugins that a moderator removed them.
#[test]
fn a_kick_by_a_moderator_is_one_whatever_the_status() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let gone = with_muc(occupant("juliet", PresenceKind::Unavailable, &[307]), |muc| {
        muc.actor = Some(types::Actor { nick: Some("nurse".to_owned()), jid: None });
    });
    test.presence(Presence { status: Some("I sent an error, and got kicked".to_owned()), ..gone });
    assert_eq!(last_occupant(&test, "occupantLeft").left, Some("kicked"));
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
    let cases: [Case; 5] = [
        (|| Err(stanza_error("forbidden")), "forbidden"),
        (|| Ok(Body::Other), "no form"),
        (|| Ok(Body::Empty), "no form"),
        (
            || Ok(Body::RoomForm((0..=types::MAX_FORM_FIELDS).map(|n| field(&n.to_string(), "", &[], &[])).collect())),
            "more than 512 fields",
        ),
        (
            || {
                let owners = ["romeo@example.org"; types::MAX_FORM_VALUES + 1];
                let owners = field("muc#roomconfig_roomowners", "jid-multi", &owners, &[]);
                Ok(Body::RoomForm([form(), vec![owners]].concat()))
            },
            "roomowners of room@muc.example.org has more than 512 values",
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

/// A room repeats its history when we enter it.
#[test]
fn history_of_somebody_who_had_our_nickname_is_not_ours() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let here = |test: &mut TestSession| {
        for (nick, id) in [("bot", "ours"), ("romeo", "his")] {
            let here = occupant(nick, PresenceKind::Available, &[]);
            test.presence(with_muc(here, |muc| muc.occupant_id = Some(id.to_owned())));
        }
    };
    here(&mut test);
    // A message that the room repeats once more is not told again, so each has words of its own.
    let mut words = 0;
    let mut own = |test: &mut TestSession, author: Option<&str>| {
        words += 1;
        let said = message(&format!("{ROOM}/bot"), MessageKind::Groupchat, &words.to_string());
        test.message(Message { occupant_id: author.map(str::to_owned), delayed: true, ..said });
        let Payload::Message(told) = test.last("message") else { panic!("a message") };
        told.own
    };
    assert!(own(&mut test, Some("his")), "anybody could have written the id");
    let id = test.asked(|ask| matches!(ask, Ask::DiscoInfo { .. }));
    let features = vec!["urn:xmpp:occupant-id:0".to_owned()];
    test.answer(Some(ROOM), id, Ok(Body::Disco(types::Disco { features, ..types::Disco::default() })));
    here(&mut test);
    assert!(!own(&mut test, Some("his")));
    assert!(own(&mut test, Some("ours")) && own(&mut test, None));
    assert!(own(&mut test, Some("from before the service restarted")), "it may be ours");
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

    // MongooseIM sends refusals under our own nickname, which no other occupant has.
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
        assert_eq!(
            (&invite.room, &invite.to, &invite.from),
            (&bare(ROOM), &jid(ROMEO), &jid("bot@example.org/parlor"))
        );
    }
    let no = |body: &str| {
        let muc = "http://jabber.org/protocol/muc#user";
        let no = format!("<decline from='{ROMEO}'><reason>{}</reason></decline>", "x".repeat(5_000));
        format!("<message from='{ROOM}' to='bot@example.org/parlor'>{body}<x xmlns='{muc}'>{no}</x></message>")
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
    test.hear_xml(&no("<body>romeo@example.org declined your invitation to the room</body>"));
    assert_eq!(test.lines(), ["roomInviteDeclined"], "the room writes that, as Prosody does");
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
