//! Entering, leaving and staying in rooms.
#![allow(clippy::doc_markdown, reason = "what a test shows is named as the list of the API spells it")]

use parlor_stanza::types::BookmarkChange::{AllRemoved, Removed, Set};
use parlor_stanza::types::BookmarkPlace;

use super::*;

fn close(desk: &mut Desk) -> Receiver<Result<(), CallError>> {
    desk.ask(CloseRoom { by: InstanceId(1), jid: bare(ROOM) })
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
    assert_eq!(desk.lines(), ["> ask disco of room@muc.example.org", "chatRoomOpened"]);
    for result in [got(&mut first), got(&mut second), got(&mut desk.open_room(None))] {
        let room = result.unwrap().unwrap();
        assert!(room.joined);
        assert_eq!((room.nick.as_str(), room.role.as_str(), room.occupants.len()), ("Bot!", "participant", 2));
    }
    assert!(desk.session.next_deadline().is_some_and(|at| at > desk.now));
    desk.wait(60);
    assert!(room(&desk).joined);
}

/// For example, from a service older than XEP-0045, or in a presence of which only the sender was within the limits.
#[test]
fn an_occupant_of_whom_a_room_says_nothing_is_there() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    desk.hear_xml(&format!("<presence from='{ROOM}/Old'/>"));
    assert_eq!(desk.lines(), ["occupantJoined"]);
    let old = last_occupant(&desk, "occupantJoined");
    assert_eq!((old.nick.as_str(), old.role.as_str(), old.affiliation.as_str()), ("Old", "participant", "none"));
    let item = "<item affiliation='admin' role='moderator' jid='anna@example.org/x'/>";
    let anna = format!("<x xmlns='http://jabber.org/protocol/muc#user'>{item}</x>");
    desk.hear_xml(&format!("<presence from='{ROOM}/anna'>{anna}</presence>"));
    desk.hear_xml(&format!("<presence from='{ROOM}/anna'><show>away</show></presence>"));
    let anna = last_occupant(&desk, "occupantChanged");
    assert_eq!(
        (anna.role.as_str(), anna.affiliation.as_str(), anna.jid.as_ref()),
        ("moderator", "admin", Some(&jid("anna@example.org/x")))
    );
    desk.lines();
    desk.hear_xml(&format!("<presence from='{ROOM}/Old' type='unavailable'/>"));
    assert_eq!(desk.lines(), ["occupantLeft"]);
    desk.hear_xml("<presence from='hall@muc.example.org/Old'/>");
    desk.hear_xml(&format!("<presence from='{ROOM}'/>"));
    assert!(desk.lines().is_empty() && room(&desk).occupants.len() == 3, "another room, and the room itself");
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
        let mut desk = Desk::connected(Settings::default());
        desk.in_room();
        let item = "<item affiliation='none' role='participant'/>";
        let x = format!("<x xmlns='http://jabber.org/protocol/muc#user'>{item}</x>");
        desk.hear_xml(&format!("<presence from='{ROOM}/{written}'>{x}</presence>"));
        desk.hear_xml(&format!("<message from='{ROOM}/{written}' type='groupchat'><body>hi</body></message>"));
        assert_eq!(
            (desk.count("occupantJoined"), desk.count("message")),
            if read.is_some() { (1, 1) } else { (0, 0) },
            "{written:?}"
        );
        if let Some(read) = read {
            let Payload::Message(said) = desk.last("message") else { panic!("a message") };
            assert_eq!(
                (last_occupant(&desk, "occupantJoined").nick.as_str(), said.nick.as_deref()),
                (read, Some(read)),
                "{written:?}"
            );
        }
    }
}

/// Some services omit the code 110, which XEP-0045, section 7.2.2, requires.
#[test]
fn our_own_address_says_that_we_are_in() {
    let mut desk = Desk::connected(Settings::default());
    let mut opened = desk.open_room(None);
    let known = |nick: &str, real: &str| {
        with_muc(occupant(nick, PresenceKind::Available, &[]), |muc| muc.jid = Some(jid(real)))
    };
    desk.presence(known("elsewhere", "bot@example.org/other"));
    assert!(got(&mut opened).is_none(), "another session of ours");
    desk.presence(known("bot", "bot@example.org/house"));
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
        let mut desk = Desk::connected(settings);
        let _opened = desk.open_room(given);
        assert_eq!(room(&desk).nick, expected);
    }
    let mut desk = Desk::connected(Settings::default());
    let refused = got(&mut desk.open_room(Some("")));
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
        let mut desk = Desk::connected(Settings::default());
        let own = FullJid::new(&format!("{account}/house")).unwrap();
        desk.run(|session, now, effects| session.bound(own, Offers::default(), now, effects));
        let _opened = desk.open_room(None);
        assert_eq!(room(&desk).nick, expected, "{account}");
    }
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

/// XEP-0045, section 7.14.
#[test]
fn what_somebody_says_in_leaving_is_told_and_no_status_of_before() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    for (said, told) in
        [(None, None), (Some(""), None), (Some("gone where the goblins go"), Some("gone where the goblins go"))]
    {
        let here = occupant("romeo", PresenceKind::Available, &[]);
        desk.presence(Presence { show: Some(types::Show::Dnd), status: Some("sighing".to_owned()), ..here });
        let gone = occupant("romeo", PresenceKind::Unavailable, &[]);
        desk.presence(Presence { status: said.map(str::to_owned), ..gone });
        let left = last_occupant(&desk, "occupantLeft");
        assert_eq!((left.left, left.show, left.status.as_deref(), &left.reason), (Some("left"), None, told, &None));
    }
}

/// RFC 7622, section 3.4: nicknames are equal if they are equal after preparation.
#[test]
fn a_new_nickname_is_spelled_as_in_the_address_that_follows() {
    for written in ["Anna ❤\u{fe0f}", "Ann\u{e9}", "Anne\u{301}", "Anna…"] {
        let mut desk = Desk::connected(Settings::default());
        desk.in_room();
        let muc = "http://jabber.org/protocol/muc#user";
        let here = |nick: &str| {
            format!(
                "<presence from='{ROOM}/{nick}'><x xmlns='{muc}'><item affiliation='none' role='visitor'/></x></presence>"
            )
        };
        desk.hear_xml(&here("anna"));
        desk.hear_xml(&format!(
            "<presence type='unavailable' from='{ROOM}/anna'><x xmlns='{muc}'><item affiliation='none' role='visitor' \
             nick='{written}'/><status code='303'/></x></presence>"
        ));
        desk.hear_xml(&here(written));
        assert_eq!(desk.lines(), ["occupantJoined", "occupantChanged"], "{written}");
        assert_eq!(room(&desk).occupants.len(), 3, "{written}");
    }
}

/// A room may refer to us by our nickname alone.
#[test]
fn what_we_may_do_in_a_room_is_in_its_record() {
    for status in [&[110][..], &[]] {
        let mut desk = Desk::connected(Settings::default());
        desk.in_room();
        desk.presence(with_muc(occupant("bot", PresenceKind::Available, status), |muc| {
            "moderator".clone_into(&mut muc.role);
            "admin".clone_into(&mut muc.affiliation);
        }));
        assert_eq!((room(&desk).role.as_str(), room(&desk).affiliation.as_str()), ("moderator", "admin"));
        assert!(last_occupant(&desk, "occupantChanged").own);
    }
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
    desk.bind();
    desk.roster(Vec::new());
    assert_eq!(desk.lines().last().unwrap(), "> available to room@muc.example.org/bot2 entering", "and kept");
}

/// Rooms send this if another client of the account stays there under the old nickname.
#[test]
fn our_own_new_nickname_is_kept_where_nobody_says_that_the_old_one_was_changed() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    desk.presence(occupant("bot2", PresenceKind::Available, &[110]));
    assert_eq!(room(&desk).nick, "bot2");
    desk.presence(occupant("bot", PresenceKind::Unavailable, &[]));
    assert!(!last_occupant(&desk, "occupantLeft").own && room(&desk).joined, "that was the other one");
    desk.bind();
    desk.roster(Vec::new());
    assert_eq!(desk.lines().last().unwrap(), "> available to room@muc.example.org/bot2 entering");
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
        let mut desk = Desk::connected(Settings::default());
        desk.in_room();
        let gone = with_muc(occupant("bot", PresenceKind::Unavailable, status), |muc| {
            muc.destroyed = destroyed.then_some(None);
        });
        desk.presence(Presence { status: Some("Disconnected: timed out".to_owned()), ..gone });
        assert_eq!(desk.lines(), ["occupantLeft", "roomLeft"]);
        let left = last_occupant(&desk, "occupantLeft");
        assert_eq!((left.left, room(&desk).left), (Some(why), Some(why)));
        assert_eq!(left.status.as_deref(), Some("Disconnected: timed out"));
        // Prosody sends the reason of an error in this form.
        let reason = (why == "error").then_some("Disconnected: timed out");
        assert_eq!((left.reason.as_deref(), room(&desk).reason.as_deref()), (reason, reason), "{why}");
        assert!(!room(&desk).joined && room(&desk).occupants.is_empty());
        desk.wait(30);
        assert_eq!(desk.lines().len(), usize::from(comes_back), "{why}: a service that restarts wanted nothing of us");
        desk.bind();
        desk.roster(Vec::new());
        assert_eq!(desk.lines().iter().any(|line| line.contains("entering")), comes_back, "{why}");
        let mut closed = close(&mut desk);
        if comes_back {
            desk.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
        }
        assert!(got(&mut closed).unwrap().is_ok());
        assert!(desk.session.snapshot().rooms.is_empty());
    }
}

/// `MongooseIM` sends this to all clients of an account that share a nickname, when one of them leaves.
#[test]
fn a_room_that_says_only_that_our_nickname_left_is_asked_whether_we_did() {
    let entering = "> available to room@muc.example.org/bot entering";
    for (told, then) in [(Ok(Body::Empty), &[][..]), (Err(stanza_error("not-acceptable")), &[entering])] {
        let mut desk = Desk::connected(Settings::default());
        desk.in_room();
        desk.presence(occupant("bot", PresenceKind::Unavailable, &[]));
        assert_eq!(desk.lines(), ["> ask Ping"]);
        assert!(room(&desk).joined);
        let id = desk.asked(|ask| *ask == Ask::Ping);
        desk.answer(Some(&format!("{ROOM}/bot")), id, told);
        assert_eq!(desk.lines(), then, "nobody is told that we left");
        assert_eq!(room(&desk).joined, then.is_empty());
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
    assert_eq!(desk.lines(), ["occupantLeft", "roomLeft"]);
    assert!(!room(&desk).joined);
    assert_eq!((room(&desk).left, room(&desk).reason.as_deref()), (Some("refused"), Some("forbidden")));

    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    desk.bind();
    desk.roster(Vec::new());
    let ns = "urn:ietf:params:xml:ns:xmpp-stanzas";
    desk.hear_xml(&format!(
        "<presence type='error' from='{ROOM}'><error type='cancel'><gone xmlns='{ns}'>xmpp:hall@muc.example.org?join\
         </gone><text xmlns='{ns}'>We moved</text></error></presence>"
    ));
    let Payload::Room(left) = desk.last("roomLeft") else { panic!("a room") };
    assert_eq!((left.left, left.reason.as_deref()), (Some("destroyed"), Some("We moved")));
    assert_eq!(left.alternative, Some(bare("hall@muc.example.org")));
}

fn configured(
    desk: &mut Desk,
    configure: Option<Vec<(String, ConfigValue)>>,
) -> Receiver<Result<Arc<Room>, CallError>> {
    let (answer, opened) = Answer::channel();
    let wish = RoomWish { configure, ..RoomWish::default() };
    desk.command(AnyCommand::with(OpenRoom { by: InstanceId(1), jid: bare(ROOM), wish }, answer));
    desk.presence(occupant("bot", PresenceKind::Available, &[110, 201]));
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
fn submitted(desk: &Desk) -> BTreeMap<String, Vec<String>> {
    let fields = desk.sent.iter().rev().find_map(|stanza| match stanza {
        Outgoing::Ask { ask: Ask::ConfigureRoom { fields }, .. } => Some(fields.iter().cloned().collect()),
        _ => None,
    });
    fields.expect("it was submitted")
}

/// Settings muc_instant_rooms.
#[test]
fn a_room_that_we_create_is_instant_or_waits_for_somebody() {
    for (instant, configure) in [(true, None), (false, Some(Vec::new()))] {
        let mut desk = Desk::connected(settings(&[("muc_instant_rooms", instant.into())]));
        let mut opened = configured(&mut desk, configure);
        assert!(got(&mut opened).is_none(), "nobody else can enter yet");
        let id = desk.asked(|ask| *ask == Ask::ConfigureRoom { fields: Vec::new() });
        desk.answer(Some(ROOM), id, Ok(Body::Empty));
        assert!(got(&mut opened).unwrap().is_ok());
        assert_eq!(desk.count("chatRoomOpened"), 1);
    }
    let mut desk = Desk::connected(settings(&[("muc_instant_rooms", false.into())]));
    let mut opened = configured(&mut desk, None);
    assert_eq!(desk.lines()[2..], ["configurationNeeded", "chatRoomOpened"]);
    assert!(got(&mut opened).unwrap().is_ok());
}

/// Row 102.
#[test]
fn a_new_room_keeps_what_nobody_named() {
    let mut desk = Desk::connected(Settings::default());
    let fields = wanted(&[
        ("persistentroom", ConfigValue::Flag(true)),
        ("membersonly", text("false")),
        ("presencebroadcast", texts(&["participant", "moderator"])),
        ("whois", texts(&["anyone"])),
        ("allow_bridges", ConfigValue::Flag(false)),
    ]);
    let mut opened = configured(&mut desk, Some(fields));
    let id = desk.asked(|ask| *ask == Ask::RoomConfig);
    assert_eq!(desk.count_asked(|ask| matches!(ask, Ask::ConfigureRoom { .. })), 0, "the form comes first");
    desk.answer(Some(ROOM), id, Ok(Body::RoomForm(form())));
    let values: Vec<_> =
        submitted(&desk).into_iter().map(|(name, values)| format!("{name}={}", values.join(","))).collect();
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
    let id = desk.asked(|ask| matches!(ask, Ask::ConfigureRoom { .. }));
    assert!(got(&mut opened).is_none());
    desk.answer(Some(ROOM), id, Ok(Body::Empty));
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
        let mut desk = Desk::connected(Settings::default());
        let mut opened = configured(&mut desk, Some(wanted(&[(name, value)])));
        let id = desk.asked(|ask| *ask == Ask::RoomConfig);
        desk.answer(Some(ROOM), id, Ok(Body::RoomForm(form())));
        let error = got(&mut opened).unwrap().unwrap_err();
        let argument = format!("attributes.roomconfig.{name}");
        assert!(matches!(&error, CallError::Invalid { argument: named, .. } if *named == argument), "{error:?}");
        assert_eq!(desk.count_asked(|ask| matches!(ask, Ask::ConfigureRoom { .. })), 0);
        assert_eq!(desk.count_asked(|ask| *ask == Ask::CancelRoomConfig), 1);
        assert!(desk.lines().contains(&"> unavailable to room@muc.example.org/bot".to_owned()));
        assert_eq!((desk.count("chatRoomOpened"), room(&desk).joined), (0, true), "until the room has heard it");
        desk.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
        assert!(desk.session.snapshot().rooms.is_empty());
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
        let mut desk = Desk::connected(Settings::default());
        let mut opened = configured(&mut desk, Some(wanted(&[("roomname", text("x"))])));
        let id = desk.asked(|ask| *ask == Ask::RoomConfig);
        desk.answer(Some(ROOM), id, answer());
        let error = got(&mut opened).unwrap().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");

        let mut desk = Desk::connected(Settings::default());
        desk.in_room();
        let mut configured = desk.ask(ConfigureRoom { jid: bare(ROOM), fields: wanted(&[("roomname", text("x"))]) });
        let id = desk.asked(|ask| *ask == Ask::RoomConfig);
        desk.answer(Some(ROOM), id, answer());
        let error = got(&mut configured).unwrap().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(room(&desk).joined, "it was there before");
    }
    let mut desk = Desk::connected(Settings::default());
    let mut opened = configured(&mut desk, Some(wanted(&[("roomname", text("x"))])));
    desk.wait(31);
    assert_eq!(got(&mut opened).unwrap().unwrap_err(), CallError::TimedOut);
    let mut desk = Desk::connected(Settings::default());
    let mut opened = configured(&mut desk, None);
    let id = desk.asked(|ask| matches!(ask, Ask::ConfigureRoom { .. }));
    desk.answer(Some(ROOM), id, Err(stanza_error("not-acceptable")));
    assert!(matches!(got(&mut opened), Some(Err(CallError::Stanza(_)))));
}

/// Rules rejoin.
#[test]
fn a_room_is_entered_again_from_where_we_were() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    desk.wait(600);
    let before = desk.now;
    desk.message(Message {
        at: before,
        id: Some("1".to_owned()),
        ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "hi")
    });
    desk.bind();
    desk.roster(Vec::new());
    let join = desk.sent.iter().rev().find_map(|stanza| match stanza {
        Outgoing::Presence(PresenceOut { join: Some(join), .. }) => join.history,
        _ => None,
    });
    let since = join.unwrap().since.unwrap();
    assert!(since < before && before.duration_since(since).as_secs() <= 60, "{since} {before}");
    desk.forget();
    // Known messages are repeated, and then come the missed ones.
    let past = |id: &str, body: &str| Message {
        at: before,
        id: Some(id.to_owned()),
        delayed: true,
        ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, body)
    };
    desk.presence(occupant("mercutio", PresenceKind::Available, &[]));
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert_eq!(
        desk.lines(),
        ["> ask disco of room@muc.example.org", "occupantLeft", "occupantJoined"],
        "who came and went meanwhile"
    );
    desk.message(past("1", "hi"));
    desk.message(past("2", "hi"));
    desk.message(past("2", "hi"));
    assert_eq!(desk.count("message"), 1);
}

/// Rules duplicate.
#[test]
fn a_rooms_past_is_told_once_though_its_numbers_did_not_count_at_first() {
    let mut desk = Desk::connected(Settings::default());
    let at = desk.now;
    let past = || Message {
        at,
        id: Some("1".to_owned()),
        stanza_id: Some("n1".to_owned()),
        delayed: true,
        ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "hi")
    };
    let _opened = desk.open_room(None);
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    desk.message(past());
    desk.subject("");
    assert_eq!(desk.count("message"), 2, "and the subject");
    let id = desk.asked_of(ROOM, |ask| matches!(ask, Ask::DiscoInfo { .. }));
    let features = vec!["urn:xmpp:sid:0".to_owned()];
    desk.answer(Some(ROOM), id, Ok(Body::Disco(types::Disco { features, ..types::Disco::default() })));
    desk.bind();
    desk.roster(Vec::new());
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    desk.forget();
    desk.message(past());
    assert_eq!(desk.count("message"), 0, "it came before");
    desk.message(Message { id: Some("2".to_owned()), stanza_id: Some("n2".to_owned()), ..past() });
    assert_eq!(desk.count("message"), 1);
}

/// An occupant may write a stamp in the room's name, and some services forward it.
#[test]
fn nobody_hides_behind_a_stamp_once_the_subject_has_come() {
    let mut desk = Desk::connected(Settings::default());
    let stamped = |id: &str| Message {
        at: Timestamp::UNIX_EPOCH,
        id: Some(id.to_owned()),
        delayed: true,
        ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "bot: hi")
    };
    let _opened = desk.open_room(None);
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    desk.message(stamped("1"));
    assert_eq!(desk.count("messageNotification"), 0, "that is the past");
    desk.subject("");
    // MongooseIM repeats each subject in its place, and continues with later messages.
    desk.message(stamped("2"));
    assert_eq!(desk.count("messageNotification"), 0, "that may be the past still");
    desk.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "bot: now"));
    assert_eq!(desk.count("messageNotification"), 1, "that is not");
    desk.wait(5);
    desk.message(stamped("3"));
    assert_eq!(desk.count("messageNotification"), 2);
    // A room that is entered again sends its history again.
    desk.bind();
    desk.roster(Vec::new());
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    desk.forget();
    desk.message(stamped("4"));
    assert_eq!(desk.count("messageNotification"), 0);
}

/// Phones capitalise the first word.
#[test]
fn whoever_names_us_may_do_so_in_capitals() {
    let mut desk = Desk::connected(Settings::default());
    let _opened = desk.open_room(None);
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    desk.subject("");
    for (said, mentions) in [("Bot, help", 1), ("BOT?", 2), ("Bots", 2), ("a robot", 2)] {
        let id = Some(said.to_owned());
        desk.message(Message { id, ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, said) });
        assert_eq!(desk.count("messageNotification"), mentions, "{said}");
    }
}

/// In the form that `MongooseIM` sends.
#[test]
fn a_subject_beside_an_empty_body_is_one() {
    let mut desk = Desk::connected(Settings::default());
    let _opened = desk.open_room(None);
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    desk.forget();
    let stamp = format!("<delay xmlns='urn:xmpp:delay' from='{ROOM}' stamp='2020-01-01T00:00:00Z'/>");
    let subject = |text: &str| {
        format!("<message from='{ROOM}/juliet' type='groupchat'><subject>{text}</subject><body/>{stamp}</message>")
    };
    desk.hear_xml(&subject(""));
    assert_eq!(desk.lines(), ["message"], "and nothing that was said");
    desk.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "bot: hi"));
    assert_eq!(desk.count("messageNotification"), 1, "the past ended with it");
    desk.hear_xml(&subject("Verona"));
    assert_eq!(room(&desk).subject.as_deref(), Some("Verona"));
    // It is sent again whenever we enter again, without an id.
    desk.bind();
    desk.roster(Vec::new());
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    desk.hear_xml(&subject("Verona"));
    desk.forget();
    let stamped =
        Message { delayed: true, ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "bot: hi again") };
    desk.wait(5);
    desk.message(stamped);
    assert_eq!(desk.count("messageNotification"), 1, "nobody hides behind a stamp");
}

#[test]
fn our_ghost_does_not_keep_us_out() {
    let conflict = || presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error("conflict")));
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    desk.bind();
    desk.roster(Vec::new());
    desk.forget();
    desk.presence(conflict());
    assert_eq!(desk.lines(), ["> available to room@muc.example.org/bot_2 entering"]);
    desk.presence(conflict());
    assert_eq!(desk.lines(), ["> available to room@muc.example.org/bot_3 entering"]);
    desk.presence(occupant("bot_3", PresenceKind::Available, &[110]));
    assert_eq!((room(&desk).nick.as_str(), room(&desk).joined), ("bot_3", true));
    desk.bind();
    desk.roster(Vec::new());
    let entering = "> available to room@muc.example.org/bot entering".to_owned();
    assert!(desk.lines().contains(&entering), "it may be gone by now");
    for _ in 0..20 {
        desk.presence(conflict());
    }
    assert_eq!(desk.count("roomLeft"), 1, "but not for ever");
    assert_eq!(room(&desk).left, Some("refused"));
}

/// The same condition also means that creating rooms is forbidden.
#[test]
fn a_nickname_that_tigase_does_not_allow_is_one_that_somebody_has() {
    for (text, then) in [
        (Some("Nickname already in use."), "> available to room@muc.example.org/bot_2 entering"),
        (Some("Room creation is not allowed"), "roomLeft"),
        (None, "roomLeft"),
    ] {
        let mut desk = Desk::connected(Settings::default());
        desk.in_room();
        desk.bind();
        desk.roster(Vec::new());
        desk.forget();
        let mut error = stanza_error("not-allowed");
        error.text = text.map(str::to_owned);
        desk.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Error(error)));
        assert_eq!(desk.lines().last().map(String::as_str), Some(then), "{text:?}");
    }
}

#[test]
fn a_service_that_is_down_is_tried_again_until_it_is_back() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    desk.bind();
    desk.account_told();
    desk.roster(Vec::new());
    desk.forget();
    let down = || presence(ROOM, PresenceKind::Error(stanza_error("remote-server-timeout")));
    let mut waited = 0;
    for wait in [10, 20, 40, 80, 160, 320] {
        desk.presence(down());
        assert!(desk.lines().is_empty() && !room(&desk).joined);
        desk.wait(wait);
        waited += 1;
        assert_eq!(desk.lines(), ["> available to room@muc.example.org/bot entering"], "{waited}");
    }
    desk.presence(down());
    assert_eq!(desk.lines(), ["occupantLeft", "roomLeft"]);
    for tried in 0..20 {
        desk.wait(640);
        assert_eq!(desk.lines(), ["> available to room@muc.example.org/bot entering"], "{tried}");
        desk.presence(down());
        assert!(desk.lines().is_empty(), "it was told once");
    }
    desk.wait(640);
    // Another user of our nickname does not keep us out.
    desk.presence(presence(ROOM, PresenceKind::Error(stanza_error("conflict"))));
    desk.presence(occupant("bot_2", PresenceKind::Available, &[110]));
    assert!(desk.lines().contains(&"chatRoomOpened".to_owned()));
    assert!(room(&desk).joined);
}

/// It may shut down while we are entering.
#[test]
fn a_service_that_goes_down_while_it_lets_us_in_is_tried_again() {
    for status in [&[110, 332][..], &[110, 333, 307]] {
        let mut desk = Desk::new(settings(&[("auto_join_rooms", serde_json::json!([ROOM]))]));
        desk.run(Session::plugins_initialized);
        desk.bind();
        desk.account_told();
        desk.roster(Vec::new());
        for entering in ["for the first time", "again"] {
            desk.presence(occupant("juliet", PresenceKind::Available, &[]));
            desk.presence(occupant("bot", PresenceKind::Unavailable, status));
            assert_eq!(desk.count("roomLeft"), 0, "{entering}");
            desk.forget();
            desk.wait(10);
            assert_eq!(desk.lines(), ["> available to room@muc.example.org/bot entering"], "{entering}");
            desk.presence(occupant("bot", PresenceKind::Available, &[110]));
            assert!(room(&desk).joined);
            assert!(room(&desk).occupants.keys().eq(["bot"]), "who was named before may be gone");
            desk.room_told();
            desk.bind();
            desk.account_told();
            desk.roster(Vec::new());
        }
    }
    // The caller gets the error.
    let mut desk = Desk::connected(Settings::default());
    let mut opened = desk.open_room(None);
    desk.presence(occupant("bot", PresenceKind::Unavailable, &[110, 332]));
    let error = got(&mut opened).unwrap().unwrap_err().to_string();
    assert!(error.contains("let nobody in (shutdown)"), "{error}");
    assert!(desk.session.snapshot().rooms.is_empty());
}

/// The service fails because of something that we are or send, and fails again as soon as we are back.
#[test]
fn a_room_that_puts_us_out_again_and_again_is_entered_less_and_less_often() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    let mut come_and_go = |stays: u64, wait: u64| {
        desk.wait(stays);
        desk.presence(occupant("bot", PresenceKind::Unavailable, &[110, 307, 333]));
        let mut entered_after = |seconds| {
            desk.forget();
            desk.wait(seconds);
            desk.lines().iter().any(|line| line.contains("entering"))
        };
        assert!(!entered_after(wait - 1) && entered_after(1), "{wait}");
        desk.presence(occupant("bot", PresenceKind::Available, &[110]));
        assert!(room(&desk).joined);
    };
    for wait in [30, 60, 120, 240, 480, 960, 960, 960] {
        come_and_go(1, wait);
    }
    // The service recovered.
    for wait in [30, 60] {
        come_and_go(if wait == 30 { 600 } else { 1 }, wait);
    }
    // A lost stream is not the service's fault.
    desk.wait(599);
    desk.bind();
    desk.roster(Vec::new());
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    desk.wait(1);
    desk.presence(occupant("bot", PresenceKind::Unavailable, &[110, 307, 333]));
    desk.forget();
    desk.wait(30);
    assert!(desk.lines().iter().any(|line| line.contains("entering")));
}

/// The settings list it, and its service starts later than we do.
#[test]
fn a_room_that_was_never_there_is_entered_when_it_is() {
    let mut desk = Desk::new(settings(&[("auto_join_rooms", serde_json::json!([ROOM]))]));
    desk.run(Session::plugins_initialized);
    desk.bind();
    desk.account_told();
    desk.roster(Vec::new());
    desk.forget();
    for tried in 0..20 {
        desk.presence(presence(ROOM, PresenceKind::Error(stanza_error("remote-server-not-found"))));
        desk.forget();
        desk.wait(640);
        assert_eq!(desk.lines(), ["> available to room@muc.example.org/bot entering"], "{tried}");
    }
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(desk.lines().contains(&"chatRoomOpened".to_owned()));
}

/// Row 52. A log-out is different: it forgets all rooms.
#[test]
fn a_room_that_we_are_to_enter_by_ourselves_is_entered_at_the_next_log_in() {
    let automatic = || {
        let mut desk = Desk::new(settings(&[("auto_join_rooms", serde_json::json!([ROOM]))]));
        desk.run(Session::plugins_initialized);
        desk.bind();
        desk.roster(Vec::new());
        desk
    };
    let mut down = automatic();
    down.presence(presence(ROOM, PresenceKind::Error(stanza_error("remote-server-not-found"))));
    let mut put_out = Desk::connected(Settings::default());
    put_out.in_room();
    put_out.presence(occupant("bot", PresenceKind::Unavailable, &[110, 332]));
    for (mut desk, what) in [(automatic(), "on its way"), (down, "down"), (put_out, "put out")] {
        desk.run(Session::closed);
        desk.wait(640);
        desk.run(|session, _, _| session.connecting());
        desk.forget();
        desk.bind();
        desk.roster(Vec::new());
        let entering = desk.lines().into_iter().filter(|line| line.ends_with("entering")).collect::<Vec<_>>();
        assert_eq!(entering, ["> available to room@muc.example.org/bot entering"], "{what}");
        desk.run(Session::logged_out);
        assert!(desk.session.snapshot().rooms.is_empty());
    }
}

/// The first error means a nickname that has just changed; the same error again means a room that is gone.
#[test]
fn a_room_that_is_gone_is_entered_anew() {
    let mut desk = Desk::connected(Settings::default());
    desk.account_told();
    desk.in_room();
    desk.room_told();
    desk.forget();
    for (after, then) in [(15 * 60, &[][..]), (16 * 60, &["> available to room@muc.example.org/bot entering"])] {
        desk.wait(after);
        assert_eq!(desk.lines(), ["> ask Ping"]);
        let id = desk.asked(|ask| *ask == Ask::Ping);
        desk.answer(Some(&format!("{ROOM}/bot")), id, Err(stanza_error("item-not-found")));
        assert_eq!(desk.lines(), then);
    }
}

/// A members-only room must not come back open to everyone.
#[test]
fn a_room_that_is_made_anew_when_we_come_back_is_configured_as_it_was_wanted() {
    let mut desk = Desk::connected(Settings::default());
    let (answer, mut opened) = Answer::channel();
    let configure = Some(vec![("membersonly".to_owned(), ConfigValue::Flag(true))]);
    let wish = RoomWish { configure, ..RoomWish::default() };
    desk.command(AnyCommand::with(OpenRoom { by: InstanceId(1), jid: bare(ROOM), wish }, answer));
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(got(&mut opened).unwrap().is_ok(), "somebody else has made it");
    desk.bind();
    desk.roster(Vec::new());
    desk.forget();
    desk.presence(occupant("bot", PresenceKind::Available, &[110, 201]));
    let _asked = desk.asked(|ask| *ask == Ask::RoomConfig);
}

/// XEP-0045, section 10.1.3.
#[test]
fn a_room_that_somebody_else_is_making_is_come_back_to() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    desk.bind();
    desk.roster(Vec::new());
    desk.forget();
    desk.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error("item-not-found"))));
    assert!(desk.lines().is_empty());
    desk.wait(10);
    assert_eq!(desk.lines(), ["> available to room@muc.example.org/bot entering"]);
}

/// A plugin that hears of a new stream may do so, and other plugins lose nothing by it.
#[test]
fn who_opens_a_room_that_is_being_come_back_to_changes_nothing_for_the_others() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    desk.bind();
    let mut opened = desk.open_room(None);
    desk.roster(Vec::new());
    desk.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error("conflict"))));
    assert!(got(&mut opened).is_none(), "another nickname is tried, as for whoever never left");
    desk.forget();
    desk.presence(occupant("bot_2", PresenceKind::Available, &[110]));
    assert!(got(&mut opened).unwrap().unwrap().joined);
    assert_eq!(desk.count("occupantLeft"), 1, "Juliet went meanwhile: {:?}", desk.lines());
}

/// It was reported that we are in.
#[test]
fn closing_a_room_that_is_being_come_back_to_is_told() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    desk.bind();
    desk.forget();
    let mut closed = desk.ask(CloseRoom { by: InstanceId(1), jid: bare(ROOM) });
    assert!(got(&mut closed).unwrap().is_ok());
    assert_eq!(desk.lines(), ["roomLeft"]);
}

#[test]
fn who_was_banned_is_an_outcast_in_what_is_told_and_kept() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    let mut banned = occupant("bot", PresenceKind::Unavailable, &[110, 301]);
    "outcast".clone_into(&mut banned.muc.as_mut().unwrap().affiliation);
    desk.presence(banned);
    assert_eq!(room(&desk).affiliation, "outcast");
}

/// Some services omit the item with the affiliation.
#[test]
fn an_affiliation_of_which_nothing_is_said_stays() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    let say = |desk: &mut Desk, nick: &str, kind: &str, content: &str| {
        let x = format!("<x xmlns='http://jabber.org/protocol/muc#user'>{content}</x>");
        desk.hear_xml(&format!("<presence from='{ROOM}/{nick}'{kind}>{x}</presence>"));
    };
    let is = |who: &Occupant| (who.role.clone(), who.affiliation.clone());
    let words = |role: &str, affiliation: &str| (role.to_owned(), affiliation.to_owned());
    say(&mut desk, "romeo", "", "<item affiliation='admin' role='moderator'/>");
    say(&mut desk, "romeo", "", "");
    assert_eq!(is(&room(&desk).occupants["romeo"]), words("moderator", "admin"));
    say(&mut desk, "romeo", "", "<item role='visitor'/>");
    assert_eq!(is(&last_occupant(&desk, "occupantChanged")), words("visitor", "admin"));
    say(&mut desk, "romeo", " type='unavailable'", "");
    assert_eq!(last_occupant(&desk, "occupantLeft").affiliation, "admin");
    say(&mut desk, "tybalt", "", "");
    assert_eq!(is(&last_occupant(&desk, "occupantJoined")), words("none", "none"), "nothing was ever said");
    say(&mut desk, "bot", " type='unavailable'", "<status code='110'/>");
    assert_eq!((last_occupant(&desk, "occupantLeft").own, room(&desk).affiliation.as_str()), (true, "member"));
}

/// The confirmation comes after the time limit, and does not refer to later requests.
#[test]
fn a_farewell_that_is_answered_late_ends_no_other_entering() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    let _closed = desk.ask(CloseRoom { by: InstanceId(1), jid: bare(ROOM) });
    desk.wait(10);
    let mut opened = desk.open_room(None);
    desk.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(got(&mut opened).unwrap().unwrap().joined);
}

/// The room was slow, or its server was unreachable for a while, and it answers each of our presences in turn.
#[test]
fn a_room_that_answers_late_is_not_taken_for_left() {
    let answers = |desk: &mut Desk| {
        for (kind, joined) in
            [(PresenceKind::Available, true), (PresenceKind::Unavailable, false), (PresenceKind::Available, true)]
        {
            desk.presence(occupant("bot", kind, &[110]));
            assert_eq!(room(desk).joined, joined);
        }
        let told = ["chatRoomOpened", "occupantLeft", "roomLeft"].map(|name| desk.count(name));
        assert_eq!(told, [1, 0, 0], "{:?}", desk.lines);
        // The room has answered everything.
        desk.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
        assert_eq!((desk.count("roomLeft"), room(desk).joined), (1, false));
    };
    let mut desk = Desk::connected(settings(&[("auto_join_rooms", serde_json::json!([ROOM]))]));
    desk.wait(30);
    desk.wait(10);
    answers(&mut desk);

    let mut desk = Desk::connected(Settings::default());
    let mut first = desk.open_room(None);
    desk.wait(30);
    assert_eq!(got(&mut first).unwrap().unwrap_err(), CallError::TimedOut);
    let mut second = desk.open_room(None);
    answers(&mut desk);
    assert!(got(&mut second).unwrap().is_ok());
}

/// The confirmation comes after the time limit, and later presence counts again.
#[test]
fn a_farewell_that_is_answered_after_all_is_not_waited_for_again() {
    for is_known in [true, false] {
        let mut desk = Desk::connected(Settings::default());
        desk.in_room();
        let _closed = close(&mut desk);
        desk.wait(10);
        let gone = || occupant("bot", PresenceKind::Unavailable, &[110]);
        if is_known {
            let _opened = desk.open_room(None);
            desk.presence(gone());
        } else {
            desk.presence(gone());
            let _opened = desk.open_room(None);
        }
        desk.presence(occupant("bot", PresenceKind::Available, &[110]));
        assert!(room(&desk).joined);
        desk.forget();
        desk.presence(gone());
        assert_eq!(desk.lines(), ["occupantLeft", "roomLeft"], "{is_known}");
    }
}

/// A room that does not know us need not confirm. Its information comes after all pending confirmations.
#[test]
fn a_farewell_that_is_never_answered_is_not_waited_for_once_the_room_has_said_what_it_is() {
    let mut desk = Desk::connected(Settings::default());
    let _first = desk.open_room(None);
    desk.wait(30);
    let mut second = desk.open_room(None);
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(got(&mut second).unwrap().unwrap().joined);
    let id = desk.asked_of(ROOM, |ask| matches!(ask, Ask::DiscoInfo { .. }));
    desk.answer(Some(ROOM), id, Ok(Body::Disco(types::Disco::default())));
    desk.forget();
    desk.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
    assert_eq!(desk.lines(), ["occupantLeft", "roomLeft"]);
}

/// A room does not confirm the leaving of someone whom it bans.
#[test]
fn a_room_that_has_not_answered_a_farewell_may_still_say_why_it_lets_nobody_in() {
    let mut desk = Desk::connected(Settings::default());
    let _first = desk.open_room(None);
    desk.wait(30);
    let mut second = desk.open_room(None);
    desk.forget();
    desk.presence(occupant("bot", PresenceKind::Unavailable, &[110, 301]));
    let error = got(&mut second).unwrap().unwrap_err().to_string();
    assert!(error.contains("let nobody in (banned)"), "{error}");
    assert_eq!(desk.lines(), ["> unavailable to room@muc.example.org/bot"], "in case it lets us in after that");
    assert!(desk.session.snapshot().rooms.is_empty());
}

#[test]
fn nothing_is_sent_to_a_room_after_our_farewell() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    let _closed = desk.ask(CloseRoom { by: InstanceId(1), jid: bare(ROOM) });
    desk.forget();
    let _set = desk.ask(SetStatus { value: Some(StatusValue::Dnd), message: None });
    assert!(desk.lines().iter().all(|line| !line.contains(ROOM)), "{:?}", desk.lines());
}

/// XEP-0410, section 3.
#[test]
fn a_silent_room_is_asked_whether_we_are_in() {
    let bot = &format!("{ROOM}/bot");
    let ping = |desk: &Desk| desk.asked(|ask| *ask == Ask::Ping);
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
        let mut desk = Desk::connected(Settings::default());
        desk.account_told();
        desk.in_room();
        desk.room_told();
        desk.wait(10 * 60);
        desk.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "hi"));
        desk.forget();
        desk.wait(14 * 60);
        assert!(desk.lines().is_empty(), "it was not silent");
        desk.wait(60);
        assert_eq!(desk.lines(), ["> ask Ping"]);
        let outcome = condition.map_or(Ok(Body::Empty), |condition| Err(stanza_error(condition)));
        let id = ping(&desk);
        desk.answer(Some(ROOM), id.clone(), Ok(Body::Empty));
        desk.answer(Some("mallory@example.net/x"), id.clone(), Err(stanza_error("not-acceptable")));
        assert!(desk.lines().is_empty() && room(&desk).joined, "nobody else was asked");
        desk.answer(Some(bot), id, outcome);
        assert_eq!(room(&desk).joined, still_in, "{condition:?}");
        if still_in {
            desk.wait(16 * 60);
            assert_eq!(desk.lines(), ["> ask Ping"], "{condition:?}");
        } else {
            assert_eq!(desk.lines(), [entering]);
            desk.presence(occupant("juliet", PresenceKind::Available, &[]));
            desk.presence(occupant("bot", PresenceKind::Available, &[110]));
            assert_eq!(desk.lines(), ["> ask disco of room@muc.example.org"], "nobody noticed");
            assert!(room(&desk).joined);
        }
    }
    let mut desk = Desk::connected(Settings::default());
    desk.account_told();
    desk.in_room();
    desk.wait(15 * 60);
    desk.forget();
    desk.wait(30);
    assert!(desk.lines().is_empty() && room(&desk).joined, "no answer decides nothing");
    desk.wait(60);
    assert_eq!(desk.lines(), ["> ask Ping"]);
}

/// `MongooseIM` sends this to occupants of such a room. Entering again would not report any occupants.
#[test]
fn a_room_where_nobody_may_ask_another_knows_us_still() {
    let mut desk = Desk::connected(Settings::default());
    desk.account_told();
    desk.in_room();
    desk.room_told();
    desk.forget();
    desk.wait(15 * 60);
    assert_eq!(desk.lines(), ["> ask Ping"]);
    let id = desk.asked(|ask| *ask == Ask::Ping);
    let mut error = stanza_error("not-allowed");
    error.text = Some("Queries to the conference members are not allowed in this room".to_owned());
    desk.answer(Some(&format!("{ROOM}/bot")), id, Err(error));
    assert!(desk.lines().is_empty() && room(&desk).joined);
    assert_eq!(room(&desk).occupants.len(), 2);
}

#[test]
fn a_room_that_does_not_know_us_is_entered_again() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    let bounced = |from: &str| Message {
        error: Some(stanza_error("not-acceptable")),
        body: None,
        ..message(from, MessageKind::Error, "")
    };
    desk.message(bounced(&format!("{ROOM}/juliet")));
    assert_eq!(desk.lines(), ["messageError"], "an occupant is not the room");
    desk.message(bounced(ROOM));
    assert_eq!(desk.lines(), ["> ask Ping", "messageError"]);
    desk.message(bounced(ROOM));
    assert_eq!(desk.lines(), ["messageError"], "one question at a time");
    let id = desk.asked(|ask| *ask == Ask::Ping);
    desk.answer(Some(&format!("{ROOM}/bot")), id, Err(stanza_error("not-acceptable")));
    assert_eq!(desk.lines(), ["> available to room@muc.example.org/bot entering"]);
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
        let mut desk = Desk::connected(Settings::default());
        desk.in_room();
        desk.presence(with_muc(occupant("bot", PresenceKind::Available, &[110]), |muc| role.clone_into(&mut muc.role)));
        desk.forget();
        let error = Some(stanza_error(condition));
        desk.message(Message { error, body: None, ..message(&from, MessageKind::Error, "") });
        let asked = desk.lines().contains(&"> ask Ping".to_owned());
        assert_eq!(asked, is_asked, "{condition} from {from} to a {role}");
    }
}

#[test]
fn why_we_are_out_is_in_the_record() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    let gone = with_muc(occupant("bot", PresenceKind::Unavailable, &[110]), |muc| {
        muc.destroyed = Some(Some(bare("hall@muc.example.org")));
        muc.reason = Some("x".repeat(5_000));
    });
    desk.presence(gone);
    let Payload::Room(left) = desk.last("roomLeft").clone() else { panic!("a room") };
    assert_eq!((left.left, left.alternative.as_ref()), (Some("destroyed"), Some(&bare("hall@muc.example.org"))));
    assert_eq!(left.reason.as_ref().unwrap().len(), 4_096);
    let _opened = desk.open_room(None);
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    let room = room(&desk);
    assert_eq!((room.left, &room.reason, &room.alternative), (None, &None, &None));
}

#[test]
fn what_a_room_says_of_itself_is_kept_in_step() {
    let mut desk = Desk::connected(Settings::default());
    let _opened = desk.open_room(None);
    desk.presence(occupant("bot", PresenceKind::Available, &[100, 110, 170]));
    assert!(room(&desk).shows_jids && room(&desk).logged);
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
    let id = desk.asked(|ask| matches!(ask, Ask::DiscoInfo { .. }));
    desk.answer(Some(ROOM), id, about(&["muc_open"]));
    assert_eq!(room(&desk).about.name.as_deref(), Some("The hall"));
    assert_eq!(room(&desk).about.features, ["muc_open"]);
    desk.forget();
    let notice = |codes: &[u16]| Message {
        room_status: codes.to_vec(),
        body: None,
        ..message(ROOM, MessageKind::Groupchat, "")
    };
    desk.message(notice(&[104]));
    assert_eq!(desk.lines(), ["> ask disco of room@muc.example.org", "message"]);
    desk.message(notice(&[171, 173]));
    assert!(!room(&desk).shows_jids && !room(&desk).logged);
    desk.message(notice(&[170]));
    desk.message(notice(&[172]));
    assert!(room(&desk).shows_jids && room(&desk).logged);
}

/// XEP-0421, section 5.
#[test]
fn occupant_ids_are_told_where_the_room_knows_of_them() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    let come = |nick: &str| {
        with_muc(occupant(nick, PresenceKind::Available, &[]), |muc| muc.occupant_id = Some("id1".to_owned()))
    };
    desk.presence(come("romeo"));
    assert_eq!(last_occupant(&desk, "occupantJoined").occupant_id, None, "anybody could have written it");
    let id = desk.asked(|ask| matches!(ask, Ask::DiscoInfo { .. }));
    let features = vec!["urn:xmpp:occupant-id:0".to_owned()];
    desk.answer(Some(ROOM), id, Ok(Body::Disco(types::Disco { features, ..types::Disco::default() })));
    desk.presence(come("paris"));
    assert_eq!(last_occupant(&desk, "occupantJoined").occupant_id.as_deref(), Some("id1"));
    assert!(room(&desk).has_occupant_ids());
}

#[test]
fn a_subject_is_set_when_the_room_says_so() {
    let mut desk = Desk::connected(Settings::default());
    assert!(matches!(
        got(&mut desk.ask(SetSubject { jid: bare(ROOM), subject: "News".to_owned() })),
        Some(Err(CallError::NotFound(_)))
    ));
    desk.in_room();
    let asked = |desk: &Desk| match &desk.sent[desk.sent.len() - 2..] {
        [Outgoing::Message { id, .. }, Outgoing::Ask { id: after, ask: Ask::DiscoInfo { .. }, .. }] => {
            (id.clone(), after.clone())
        }
        other => panic!("{other:?}"),
    };
    // A room need not repeat an unchanged subject.
    for told in [true, false] {
        let mut set = desk.ask(SetSubject { jid: bare(ROOM), subject: "News".to_owned() });
        let (_, after) = asked(&desk);
        if told {
            desk.subject("News");
        }
        desk.answer(Some(&format!("{ROOM}/juliet")), after.clone(), Ok(Body::Empty));
        assert!(got(&mut set).is_none(), "not from the room");
        let outcome = if told { Ok(Body::Empty) } else { Err(stanza_error("forbidden")) };
        desk.answer(Some(ROOM), after, outcome);
        assert_eq!(got(&mut set), Some(Ok(())), "it heard us, and did not refuse");
        assert_eq!(room(&desk).subject.as_deref(), Some("News"));
    }

    let mut set = desk.ask(SetSubject { jid: bare(ROOM), subject: "No".to_owned() });
    let (id, after) = asked(&desk);
    let id = Some(id);
    let error = Some(stanza_error("forbidden"));
    let refused = |from: &str| Message {
        id: id.clone(),
        error: error.clone(),
        body: None,
        ..message(from, MessageKind::Error, "")
    };
    desk.message(refused("mallory@example.net"));
    desk.message(refused(&format!("{ROOM}/juliet")));
    assert!(got(&mut set).is_none(), "not from the room");
    desk.message(refused(ROOM));
    assert!(matches!(got(&mut set), Some(Err(CallError::Stanza(error))) if error.condition == "forbidden"));
    desk.answer(Some(ROOM), after, Ok(Body::Empty));

    // MongooseIM sends refusals under our own nickname, which nobody else has.
    let mut set = desk.ask(SetSubject { jid: bare(ROOM), subject: "No".to_owned() });
    let id = Some(asked(&desk).0);
    let error = Some(stanza_error("forbidden"));
    desk.message(Message { id, error, body: None, ..message(&format!("{ROOM}/bot"), MessageKind::Error, "") });
    assert!(matches!(got(&mut set), Some(Err(CallError::Stanza(error))) if error.condition == "forbidden"));

    let mut set = desk.ask(SetSubject { jid: bare(ROOM), subject: "Later".to_owned() });
    desk.wait(30);
    assert_eq!(got(&mut set), Some(Err(CallError::TimedOut)));
}

#[test]
fn orders_to_rooms_are_answered_by_them_alone() {
    let order =
        || ModerateRoom { jid: bare(ROOM), ask: Ask::SetRole { nick: "j".to_owned(), role: "none", reason: None } };
    let mut desk = Desk::connected(Settings::default());
    let mut done = desk.ask(order());
    let id = desk.asked(|ask| matches!(ask, Ask::SetRole { .. }));
    desk.answer(Some(&format!("{ROOM}/juliet")), id.clone(), Ok(Body::Empty));
    desk.answer(None, id.clone(), Ok(Body::Empty));
    assert!(got(&mut done).is_none());
    desk.answer(Some(ROOM), id.clone(), Err(stanza_error("not-allowed")));
    assert!(matches!(got(&mut done), Some(Err(CallError::Stanza(_)))));
    let ignored = desk.session.ignored();
    desk.answer(Some(ROOM), id, Ok(Body::Empty));
    assert_eq!(desk.session.ignored(), ignored + 1, "a second answer");

    let mut people = desk.ask(ListAffiliations { jid: bare(ROOM), affiliation: "owner" });
    let id = desk.asked(|ask| matches!(ask, Ask::Affiliations { .. }));
    desk.answer(Some(ROOM), id, Ok(Body::Empty));
    assert!(matches!(got(&mut people), Some(Err(CallError::Other(_)))), "no list");
    let mut late = desk.ask(order());
    let mut lost = desk.ask(ListAffiliations { jid: bare(ROOM), affiliation: "owner" });
    desk.wait(20);
    desk.run(|session, now, effects| session.lost("gone", now, effects));
    assert_eq!(got(&mut lost).unwrap().unwrap_err(), CallError::Offline);
    assert_eq!(got(&mut late), Some(Err(CallError::Offline)));
    assert_eq!(got(&mut desk.ask(order())), Some(Err(CallError::Offline)));
    let mut desk = Desk::connected(settings(&[("allow_muc", false.into())]));
    assert!(matches!(got(&mut desk.ask(order())), Some(Err(CallError::Unsupported(_)))));
}

#[test]
fn invitations_of_ours_are_told() {
    let mut desk = Desk::connected(Settings::default());
    for (direct, to) in [(true, ROMEO), (false, ROOM)] {
        let mut sent = desk.ask(InviteToRoom {
            jid: bare(ROOM),
            user: bare(ROMEO),
            direct,
            reason: Some("come".to_owned()),
            password: None,
        });
        assert_eq!(got(&mut sent), Some(Ok(())));
        assert_eq!(desk.lines(), [format!("> invite to {to}"), "roomInviteSent".to_owned()]);
        let Payload::Invite(invite) = desk.last("roomInviteSent") else { panic!("an invitation") };
        assert_eq!((&invite.room, &invite.to, &invite.from), (&bare(ROOM), &jid(ROMEO), &jid("bot@example.org/house")));
    }
    let no = |body: &str| {
        let muc = "http://jabber.org/protocol/muc#user";
        let no = format!("<decline from='{ROMEO}'><reason>{}</reason></decline>", "x".repeat(5_000));
        format!("<message from='{ROOM}' to='bot@example.org/house'>{body}<x xmlns='{muc}'>{no}</x></message>")
    };
    let ignored = desk.session.ignored();
    desk.hear_xml(&no(""));
    assert!(desk.lines().is_empty(), "of a room that is not open anybody could say so");
    assert_eq!(desk.session.ignored(), ignored + 1);
    desk.in_room();
    desk.hear_xml(&no(""));
    assert_eq!(desk.lines(), ["roomInviteDeclined"], "and nothing that was said");
    let Payload::Invite(told) = desk.last("roomInviteDeclined") else { panic!("an invitation") };
    assert_eq!((&told.room, &told.from, &told.to), (&bare(ROOM), &jid(ROMEO), &jid("bot@example.org")));
    assert_eq!(told.reason.as_ref().unwrap().len(), 4_096);
    desk.hear_xml(&no("<body>He does not come</body>"));
    assert_eq!(desk.lines()[..2], ["roomInviteDeclined", "message"]);
}

/// Settings auto_join_on_invite.
#[test]
fn nobody_is_followed_to_what_is_no_room() {
    let mut desk = Desk::connected(settings(&[("auto_join_on_invite", true.into())]));
    for room in [ROMEO, "bot@example.org", "muc.example.org"] {
        let invite = types::Invite {
            room: bare(room),
            from: jid("mallory@example.net"),
            to: jid("bot@example.org"),
            reason: None,
            password: None,
        };
        let from = "mallory@example.net";
        desk.message(Message { body: None, invite: Some(Box::new(invite)), ..message(from, MessageKind::Normal, "") });
        assert!(desk.lines().is_empty(), "{room}");
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
        desk.message(Message { body: None, invite: Some(Box::new(invite)), ..message(from, MessageKind::Normal, "") });
    }
    assert_eq!(desk.session.snapshot().rooms.len(), 16, "so many at once");
}

/// The own server ends the stream over a stanza that is too large, and the room is entered again after each reconnect.
#[test]
fn a_password_is_not_so_long_that_the_server_ends_the_stream_over_it() {
    for (length, taken) in [(4_096, true), (4_097, false), (1 << 20, false)] {
        let mut desk = Desk::connected(settings(&[("auto_join_on_invite", true.into())]));
        let password = "p".repeat(length);
        let invite = types::Invite {
            room: bare(ROOM),
            from: jid("mallory@example.net"),
            to: jid("bot@example.org"),
            reason: None,
            password: Some(password.clone()),
        };
        let invite = Some(Box::new(invite));
        desk.message(Message { body: None, invite, ..message("mallory@example.net", MessageKind::Normal, "") });
        let Some(Outgoing::Presence(PresenceOut { join: Some(join), .. })) = desk.sent.last() else {
            panic!("the room is not entered")
        };
        assert_eq!(join.password, taken.then_some(password), "{length}");
    }
}

#[test]
fn what_is_forged_changes_nothing() {
    let mut desk = Desk::connected(Settings::default());
    desk.presence(occupant("juliet", PresenceKind::Available, &[110]));
    desk.presence(occupant("bot", PresenceKind::Unavailable, &[110, 307]));
    desk.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "hi"));
    assert!(desk.lines().is_empty() && desk.session.snapshot().rooms.is_empty(), "a room that we never entered");

    let mut opened = desk.open_room(None);
    desk.forget();
    desk.presence(occupant("bot", PresenceKind::Available, &[]));
    assert!(got(&mut opened).is_none() && !room(&desk).joined, "somebody may have our name, our ghost for instance");
    desk.presence(presence(&format!("{ROOM}/bot"), PresenceKind::Available));
    assert!(got(&mut opened).is_none() && !room(&desk).joined, "no word of a room");
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(got(&mut opened).unwrap().is_ok());
    let error = || presence(&format!("{ROOM}/bot"), PresenceKind::Error(stanza_error("conflict")));
    desk.presence(error());
    desk.presence(error());
    assert!(room(&desk).joined, "it is too late for that");
    assert_eq!(desk.count_asked(|ask| *ask == Ask::Ping), 1, "but we ask");
    desk.presence(presence("mallory@example.net/bot", PresenceKind::Error(stanza_error("forbidden"))));
    assert!(room(&desk).joined);
}

/// Rows 79-82. Events roomViewChanged.
#[test]
fn how_a_room_is_shown_is_kept_and_told() {
    let mut desk = Desk::connected(Settings::default());
    let change = |desk: &mut Desk, change| got(&mut desk.ask(ChangeRoomView { jid: bare(ROOM), change })).unwrap();
    assert!(matches!(change(&mut desk, ViewChange::Show), Err(CallError::NotFound(_))));
    desk.in_room();
    for (what, told, minimized, focused) in [
        (ViewChange::Minimize, true, true, false),
        (ViewChange::Minimize, false, true, false),
        (ViewChange::Maximize, true, false, false),
        (ViewChange::Focus, true, false, true),
        (ViewChange::Show, true, false, true),
        (ViewChange::Minimize, true, true, false),
    ] {
        desk.forget();
        assert_eq!(change(&mut desk, what), Ok(()));
        assert_eq!(desk.count("roomViewChanged"), usize::from(told), "{what:?}");
        assert_eq!(room(&desk).view.minimized, minimized);
        assert_eq!(room(&desk).view.focused, focused);
        if told {
            let Payload::Room(shown) = desk.last("roomViewChanged") else { panic!("a room") };
            assert_eq!((shown.view.minimized, shown.view.focused, shown.view.shown), (minimized, focused, true));
        }
    }
    let open = |desk: &mut Desk, maximize, bring_to_foreground| {
        let (answer, mut opened) = Answer::channel();
        let wish = RoomWish { maximize, bring_to_foreground, ..RoomWish::default() };
        desk.command(AnyCommand::with(OpenRoom { by: InstanceId(1), jid: bare(ROOM), wish }, answer));
        assert!(got(&mut opened).unwrap().is_ok());
    };
    open(&mut desk, false, true);
    assert!(room(&desk).view.minimized, "there is nothing that it could come before");
    open(&mut desk, true, false);
    assert!(!room(&desk).view.minimized && !room(&desk).view.focused);
    // A chat without the focus is enough.
    let _opened = desk.ask(OpenChat { by: InstanceId(1), jid: bare(ROMEO) });
    change(&mut desk, ViewChange::Minimize).unwrap();
    open(&mut desk, false, true);
    assert!(room(&desk).view.focused && !room(&desk).view.minimized);
    desk.forget();
    let _shown = desk.ask(ChangeChatView { jid: bare(ROMEO), change: ViewChange::Focus });
    assert_eq!(desk.lines(), ["roomViewChanged", "chatBoxFocused"], "the room has lost it");
    let Payload::Room(shown) = desk.last("roomViewChanged") else { panic!("a room") };
    assert!(!shown.view.focused && !room(&desk).view.focused);
}

#[test]
fn a_room_that_is_entered_by_itself_is_not_shown_before_somebody_asks() {
    let mut desk = Desk::connected(settings(&[("auto_join_rooms", serde_json::json!([ROOM]))]));
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(room(&desk).joined && !room(&desk).view.shown);
    let mut shown = desk.ask(ChangeRoomView { jid: bare(ROOM), change: ViewChange::Show });
    assert_eq!(got(&mut shown), Some(Ok(())));
    assert!(room(&desk).view.shown);
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    assert!(room(&desk).view.shown, "a plugin asked");
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
    let told = |desk: &Desk, event: &str| match desk.last(event) {
        Payload::Occupant(occupant) => (occupant.actor.clone(), occupant.reason.clone()),
        Payload::Room(room) => (room.actor.clone(), room.reason.clone()),
        other => panic!("{other:?}"),
    };
    let expected = (by(), Some("noise".to_owned()));
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    desk.presence(occupant("paris", PresenceKind::Available, &[]));
    desk.presence(of("paris", PresenceKind::Available, &[], "visitor"));
    assert_eq!(told(&desk, "occupantChanged"), expected);
    let kept = Arc::clone(&room(&desk).occupants["paris"]);
    assert_eq!((&kept.actor, &kept.reason), (&None, &None), "it is of that change alone");
    desk.presence(of("paris", PresenceKind::Unavailable, &[307], "none"));
    assert_eq!(told(&desk, "occupantLeft"), expected);
    desk.presence(of("bot", PresenceKind::Unavailable, &[110, 307], "none"));
    assert_eq!(told(&desk, "roomLeft"), expected);
    assert_eq!(room(&desk).actor, by());
    desk.in_room();
    assert_eq!(room(&desk).actor, None, "we are in again");
}

/// Events affiliationChanged.
#[test]
fn another_affiliation_of_somebody_who_is_not_there_is_told_and_is_no_message() {
    let mut desk = Desk::connected(Settings::default());
    let x = |inside: &str| format!("<x xmlns='http://jabber.org/protocol/muc#user'>{inside}</x>");
    let item = "<item affiliation='member' jid='paris@example.org' role='none'><actor nick='juliet'/><reason>good</reason></item>";
    let hear = |desk: &mut Desk, from: &str, inside: &str| {
        desk.forget();
        desk.hear_xml(&format!("<message from='{from}'>{inside}</message>"));
        desk.lines()
    };
    assert_eq!(hear(&mut desk, ROOM, &x(item)), ["message"], "of a room that we are not in it is anybody's word");
    desk.in_room();
    assert_eq!(hear(&mut desk, ROOM, &x(item)), ["affiliationChanged"]);
    let Payload::Occupant(told) = desk.last("affiliationChanged") else { panic!("an occupant") };
    assert_eq!(
        (told.jid.as_ref(), &*told.affiliation, &*told.role),
        (Some(&jid("paris@example.org")), "member", "none")
    );
    assert_eq!((&*told.nick, told.reason.as_deref()), ("", Some("good")));
    assert_eq!(told.actor.as_ref().and_then(|actor| actor.nick.as_deref()), Some("juliet"));
    assert!(!room(&desk).occupants.contains_key(""));
    let body = format!("{}<body>hi</body>", x(item));
    assert_eq!(hear(&mut desk, ROOM, &body)[0], "affiliationChanged");
    assert_eq!(desk.count("message"), 1, "it says something as well");
    for (from, inside) in [(format!("{ROOM}/juliet"), item), (ROOM.to_owned(), "<item affiliation='member'/>")] {
        hear(&mut desk, &from, &x(inside));
        assert_eq!(desk.count("affiliationChanged"), 0, "{from} {inside}");
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

/// Returns a desk that has just connected, with these bookmarks.
fn bookmarked(settings: Settings, bookmarks: Vec<types::Bookmark>) -> Desk {
    let mut desk = Desk::new(settings);
    desk.run(Session::plugins_initialized);
    desk.bind();
    desk.roster_alone(Vec::new());
    desk.forget();
    desk.bookmarks(bookmarks);
    desk
}

/// Row 32. Events bookmarksInitialized, roomsAutoJoined. Settings allow_bookmarks.
#[test]
fn bookmarked_rooms_are_entered_on_connecting() {
    let mut desk = bookmarked(Settings::default(), vec![bookmark(true)]);
    assert_eq!(
        desk.lines(),
        ["bookmarksInitialized", "roomsPanelRendered", "> available to room@muc.example.org/Puck entering"]
    );
    let Some(Outgoing::Presence(PresenceOut { join: Some(join), .. })) = desk.sent.last() else { panic!("a presence") };
    assert_eq!(join.password.as_deref(), Some("secret"));
    desk.presence(occupant("Puck", PresenceKind::Available, &[110]));
    assert_eq!(desk.count("roomsAutoJoined"), 1);

    let mut desk = bookmarked(Settings::default(), vec![bookmark(false)]);
    assert_eq!(desk.lines()[..3], ["bookmarksInitialized", "roomsPanelRendered", "roomsAutoJoined"]);
    let _opened = desk.open_room(None);
    assert_eq!(room(&desk).nick, "Puck", "row 95");

    let mut desk = Desk::new(settings(&[("allow_bookmarks", false.into())]));
    desk.run(Session::plugins_initialized);
    desk.bind();
    desk.roster(Vec::new());
    assert_eq!(desk.count_asked(|ask| matches!(ask, Ask::Bookmarks { .. })), 0);
    assert_eq!((desk.count("bookmarksInitialized"), desk.count("initialized")), (1, 1));
}

/// Another client has stored it while we were offline, or before we fell out of the room.
#[test]
fn a_bookmarked_room_is_entered_again_with_the_password_that_it_has_now() {
    let changed = || types::Bookmark { password: Some("changed".to_owned()), ..bookmark(true) };
    let said = |desk: &Desk| match desk.sent.last() {
        Some(Outgoing::Presence(PresenceOut { join: Some(join), .. })) => join.password.clone(),
        other => panic!("{other:?}"),
    };
    let mut desk = bookmarked(Settings::default(), vec![bookmark(true)]);
    desk.presence(occupant("Puck", PresenceKind::Available, &[110]));
    desk.bind();
    desk.roster_alone(Vec::new());
    desk.bookmarks(vec![changed()]);
    assert_eq!(said(&desk).as_deref(), Some("changed"));

    let mut desk = bookmarked(Settings::default(), vec![bookmark(true)]);
    desk.presence(occupant("Puck", PresenceKind::Available, &[110]));
    desk.hear(Incoming::Bookmarks(vec![Set(changed())]));
    desk.presence(occupant("Puck", PresenceKind::Unavailable, &[]));
    let id = desk.asked(|ask| *ask == Ask::Ping);
    desk.answer(Some(&format!("{ROOM}/Puck")), id, Err(stanza_error("not-acceptable")));
    assert_eq!(said(&desk).as_deref(), Some("changed"));

    // The password in a plugin's call takes precedence.
    let mut desk = bookmarked(Settings::default(), vec![bookmark(false)]);
    let (answer, _opened) = Answer::channel();
    let join = types::RoomJoin { password: Some("known".to_owned()), history: None };
    let wish = RoomWish { join, ..RoomWish::default() };
    desk.command(AnyCommand::with(OpenRoom { by: InstanceId(1), jid: bare(ROOM), wish }, answer));
    assert_eq!(said(&desk).as_deref(), Some("known"));
}

/// Like the password. It does not rename us in a room that we are in.
#[test]
fn a_bookmarked_room_is_entered_again_with_the_nickname_that_it_has_now() {
    let changed = || types::Bookmark { nick: Some("Oberon".to_owned()), ..bookmark(true) };
    let entering = |nick: &str| Some(format!("> available to room@muc.example.org/{nick} entering"));
    let inside = || {
        let mut desk = bookmarked(Settings::default(), vec![bookmark(true)]);
        desk.presence(occupant("Puck", PresenceKind::Available, &[110]));
        desk.forget();
        desk
    };
    let mut desk = inside();
    desk.bind();
    desk.roster_alone(Vec::new());
    desk.bookmarks(vec![changed()]);
    assert_eq!(desk.lines().pop(), entering("Oberon"));

    let mut desk = inside();
    desk.hear(Incoming::Bookmarks(vec![Set(changed())]));
    assert!(desk.lines().is_empty() && room(&desk).nick == "Puck");
    desk.presence(occupant("Puck", PresenceKind::Unavailable, &[]));
    let id = desk.asked(|ask| *ask == Ask::Ping);
    desk.answer(Some(&format!("{ROOM}/Puck")), id, Err(stanza_error("not-acceptable")));
    assert_eq!(desk.lines().pop(), entering("Oberon"));

    let mut desk = inside();
    desk.hear(Incoming::Bookmarks(vec![Set(changed())]));
    desk.presence(occupant("Puck", PresenceKind::Unavailable, &[110, 332]));
    desk.wait(30);
    assert_eq!(desk.lines().pop(), entering("Oberon"));

    // The bookmark's nickname is unchanged, so our new nickname stays.
    let mut desk = inside();
    let renamed = occupant("Puck", PresenceKind::Unavailable, &[110, 303]);
    desk.presence(with_muc(renamed, |muc| muc.nick = Some("Robin".to_owned())));
    desk.presence(occupant("Robin", PresenceKind::Available, &[110]));
    desk.hear(Incoming::Bookmarks(vec![Set(bookmark(true))]));
    desk.bind();
    desk.roster_alone(Vec::new());
    desk.bookmarks(vec![bookmark(true)]);
    assert_eq!(desk.lines().pop(), entering("Robin"));
}

/// Row 32.
#[test]
fn a_server_without_bookmarks_holds_up_nothing() {
    let mut desk = Desk::new(Settings::default());
    desk.run(Session::plugins_initialized);
    desk.bind();
    desk.roster_alone(Vec::new());
    let id = desk.asked(|ask| *ask == Ask::Bookmarks { place: BookmarkPlace::Items });
    desk.answer(None, id, Err(stanza_error("service-unavailable")));
    for place in [BookmarkPlace::Node, BookmarkPlace::Private] {
        let id = desk.asked(|ask| *ask == Ask::Bookmarks { place });
        assert_eq!(desk.count("bookmarksInitialized"), 0, "they may be where they used to be");
        desk.answer(None, id, Err(stanza_error("service-unavailable")));
    }
    assert_eq!((desk.count("bookmarksInitialized"), desk.count("initialized")), (1, 1));
    assert_eq!(desk.session.snapshot().bookmarks, Err(NoBookmarks::NotKept), "nothing is to be waited for");
    let mut desk = Desk::new(Settings::default());
    desk.run(Session::plugins_initialized);
    desk.bind();
    desk.roster_alone(Vec::new());
    assert_eq!(desk.session.snapshot().bookmarks, Err(NoBookmarks::NotYet));
    desk.wait(10);
    assert_eq!((desk.count("bookmarksInitialized"), desk.count("initialized")), (1, 1));
}

/// Refuses the requests for bookmarks with these conditions, the newest place first; the last condition is for all
/// further places.
fn refuse_bookmarks(desk: &mut Desk, conditions: &[&str]) {
    let mut left = conditions.iter();
    let mut asked = String::new();
    loop {
        let id = desk.asked(|ask| matches!(ask, Ask::Bookmarks { .. }));
        if id == asked {
            break;
        }
        asked.clone_from(&id);
        let condition = left.next().or(conditions.last()).unwrap();
        let kind = if *condition == "resource-constraint" { "wait" } else { "cancel" }.to_owned();
        desk.answer(None, id, Err(Box::new(StanzaError { kind, ..*stanza_error(condition) })));
    }
}

/// Row 32.
#[test]
fn an_account_without_bookmarks_has_none_and_gets_some() {
    let mut desk = Desk::new(Settings::default());
    desk.run(Session::plugins_initialized);
    desk.bind();
    desk.roster_alone(Vec::new());
    refuse_bookmarks(&mut desk, &["item-not-found", "service-unavailable"]);
    assert_eq!(desk.count("bookmarksInitialized"), 1);
    assert!(desk.session.snapshot().bookmarks.unwrap().is_empty(), "that is known");
    desk.hear(Incoming::Bookmarks(vec![Set(bookmark(true))]));
    assert_eq!(desk.lines().last().unwrap(), "> available to room@muc.example.org/Puck entering");
    desk.presence(occupant("Puck", PresenceKind::Available, &[110]));
    // Another client removed the last bookmark, and its node, while we were offline.
    desk.bind();
    desk.roster_alone(Vec::new());
    desk.forget();
    refuse_bookmarks(&mut desk, &["item-not-found", "forbidden"]);
    assert!(!desk.lines().iter().any(|line| line.contains("entering")), "{:?}", desk.lines);
    assert!(desk.session.snapshot().bookmarks.unwrap().is_empty());
}

#[test]
fn who_cannot_say_which_bookmarks_there_are_has_us_leave_no_room() {
    for conditions in [
        &["resource-constraint"][..],
        &["internal-server-error", "item-not-found", "service-unavailable"],
        &["item-not-found", "item-not-found", "resource-constraint"],
        &["item-not-found", "item-not-found", "internal-server-error"],
    ] {
        let mut desk = bookmarked(Settings::default(), Vec::new());
        desk.hear(Incoming::Bookmarks(vec![Set(bookmark(true))]));
        desk.presence(occupant("Puck", PresenceKind::Available, &[110]));
        desk.bind();
        desk.roster_alone(Vec::new());
        refuse_bookmarks(&mut desk, conditions);
        let entering = desk.lines().iter().any(|line| line == "> available to room@muc.example.org/Puck entering");
        assert!(entering, "{conditions:?}: {:?}", desk.lines);
        assert_eq!(desk.session.snapshot().bookmarks.unwrap().len(), 1, "{conditions:?}: what was known is known");
    }
}

/// Row 32. A server that has just started may be too busy to answer.
#[test]
fn bookmarks_that_did_not_come_are_asked_for_again() {
    let asked = |desk: &Desk| desk.count_asked(|ask| matches!(ask, Ask::Bookmarks { .. }));
    let mut desk = Desk::new(Settings::default());
    desk.run(Session::plugins_initialized);
    desk.bind();
    desk.roster_alone(Vec::new());
    desk.wait(10);
    assert_eq!((desk.count("bookmarksInitialized"), asked(&desk)), (1, 1), "nothing waits for them");
    desk.wait(60);
    assert_eq!(asked(&desk), 2);
    refuse_bookmarks(&mut desk, &["resource-constraint"]);
    desk.wait(60);
    assert_eq!(asked(&desk), 3);
    desk.forget();
    desk.bookmarks(vec![bookmark(true)]);
    assert!(desk.lines().contains(&"> available to room@muc.example.org/Puck entering".to_owned()), "{:?}", desk.lines);
    desk.wait(60);
    assert_eq!(asked(&desk), 3, "they came");
}

/// Row 32. Data of other clients in them would be lost (XEP-0402, section 2).
#[test]
fn no_bookmark_is_changed_before_they_are_known() {
    let changed = |ask: &Ask| matches!(ask, Ask::PublishBookmark { .. } | Ask::RetractBookmark(_));
    let set = |desk: &mut Desk| {
        let bookmark = types::Bookmark { extensions: None, ..bookmark(true) };
        got(&mut desk.ask(SetBookmark { bookmark }))
    };
    for late in [true, false] {
        let mut desk = Desk::new(Settings::default());
        desk.run(Session::plugins_initialized);
        desk.bind();
        desk.roster_alone(Vec::new());
        assert!(matches!(set(&mut desk), Some(Err(CallError::NotReady(_)))), "they are on their way");
        if late {
            desk.wait(10);
        } else {
            refuse_bookmarks(&mut desk, &["internal-server-error"]);
        }
        assert_eq!(desk.session.snapshot().bookmarks, Err(NoBookmarks::NotTold));
        assert!(matches!(set(&mut desk), Some(Err(CallError::Unsupported(_)))));
        let removed = got(&mut desk.ask(RemoveBookmark { jid: bare(ROOM) }));
        assert!(matches!(removed, Some(Err(CallError::NotReady(_)))), "they are asked for again: {removed:?}");
        desk.bookmarks(vec![bookmark(false)]);
        assert_eq!(desk.count_asked(changed), 0);
        assert!(set(&mut desk).is_none(), "it is asked for");
        desk.asked(|ask| *ask == Ask::PublishBookmark { bookmark: Box::new(bookmark(true)), plain: false });
    }
    let cut = types::Bookmark { extensions: None, is_cut: true, ..bookmark(false) };
    let mut desk = bookmarked(Settings::default(), vec![cut]);
    assert!(matches!(set(&mut desk), Some(Err(CallError::OverLimit(_)))));
    assert_eq!(desk.count_asked(changed), 0);
}

#[test]
fn bookmarks_that_are_wanted_again_are_not_there_yet_until_they_come() {
    let mut desk = bookmarked(Settings::default(), Vec::new());
    desk.set(&[("allow_bookmarks", false.into())]).unwrap();
    assert_eq!(desk.session.snapshot().bookmarks, Err(NoBookmarks::NotWanted));
    desk.set(&[("allow_bookmarks", true.into())]).unwrap();
    assert_eq!(desk.session.snapshot().bookmarks, Err(NoBookmarks::NotYet));
    desk.bookmarks(vec![bookmark(false)]);
    assert_eq!(desk.session.snapshot().bookmarks.unwrap().len(), 1);
}

#[test]
fn bookmarks_are_followed_as_other_clients_change_them() {
    let entering = "> available to room@muc.example.org/Puck entering";
    let leaving = "> unavailable to room@muc.example.org/Puck";
    for end in [Set(bookmark(false)), Removed(bare(ROOM)), AllRemoved] {
        let mut desk = bookmarked(Settings::default(), Vec::new());
        desk.forget();
        desk.hear(Incoming::Bookmarks(vec![Set(bookmark(true))]));
        assert_eq!(desk.lines(), [entering]);
        desk.presence(occupant("Puck", PresenceKind::Available, &[110]));
        desk.forget();
        desk.hear(Incoming::Bookmarks(vec![Set(bookmark(true))]));
        assert!(desk.lines().is_empty(), "we are in");
        desk.hear(Incoming::Bookmarks(vec![end]));
        assert_eq!(desk.lines(), [leaving]);
    }
    let mut desk = bookmarked(Settings::default(), Vec::new());
    desk.in_room();
    desk.hear(Incoming::Bookmarks(vec![Set(bookmark(true))]));
    desk.hear(Incoming::Bookmarks(vec![Removed(bare(ROOM))]));
    assert!(desk.lines().is_empty(), "a plugin opened it");
}

#[test]
fn bookmarks_are_put_down_and_forgotten() {
    let mut desk = bookmarked(Settings::default(), vec![bookmark(false)]);
    let mut set = desk.ask(SetBookmark { bookmark: types::Bookmark { extensions: None, ..bookmark(true) } });
    let publish = |plain| Ask::PublishBookmark { bookmark: Box::new(bookmark(true)), plain };
    // A server that does not know the publish options is asked to configure the node first.
    let id = desk.asked(|ask| *ask == publish(false));
    desk.answer(None, id, Err(stanza_error("resource-constraint")));
    let id = desk.asked(|ask| *ask == Ask::PrepareBookmarks { create: false, counted: false });
    desk.answer(None, id, Err(stanza_error("item-not-found")));
    let id = desk.asked(|ask| *ask == Ask::PrepareBookmarks { create: true, counted: false });
    desk.answer(None, id, Ok(Body::Empty));
    let id = desk.asked(|ask| *ask == publish(true));
    desk.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut set), Some(Ok(())));
    assert!(desk.session.snapshot().bookmarks.unwrap()[&bare(ROOM)].autojoin);
    assert!(desk.lines().contains(&"> available to room@muc.example.org/Puck entering".to_owned()));
    let mut removed = desk.ask(RemoveBookmark { jid: bare(ROOM) });
    let id = desk.asked(|ask| matches!(ask, Ask::RetractBookmark(_)));
    desk.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut removed), Some(Ok(())));
    assert!(desk.session.snapshot().bookmarks.unwrap().is_empty());
    assert!(matches!(got(&mut desk.ask(RemoveBookmark { jid: bare(ROOM) })), Some(Err(CallError::NotFound(_)))));
}

/// Row 32. Openfire does not know the value for an unlimited number of items, whether the node exists or not.
#[test]
fn a_bookmark_is_put_down_where_a_server_has_to_be_told_how_many_there_may_be() {
    let set = |desk: &mut Desk| {
        let bookmark = types::Bookmark { extensions: None, ..bookmark(true) };
        desk.ask(SetBookmark { bookmark })
    };
    let stumbles = |desk: &mut Desk, asked: &Ask, condition: &str| {
        let id = desk.asked(|ask| ask == asked);
        desk.answer(None, id, Err(stanza_error(condition)));
    };
    let prepare = |create, counted| Ask::PrepareBookmarks { create, counted };
    let publish = |plain| Ask::PublishBookmark { bookmark: Box::new(bookmark(true)), plain };
    for is_there in [true, false] {
        let mut desk = bookmarked(Settings::default(), vec![bookmark(false)]);
        let mut set = set(&mut desk);
        stumbles(&mut desk, &publish(false), "internal-server-error");
        if !is_there {
            stumbles(&mut desk, &prepare(false, false), "item-not-found");
        }
        stumbles(&mut desk, &prepare(!is_there, false), "internal-server-error");
        let id = desk.asked(|ask| *ask == prepare(!is_there, true));
        desk.answer(None, id, Ok(Body::Empty));
        let id = desk.asked(|ask| *ask == publish(true));
        desk.answer(None, id, Ok(Body::Empty));
        assert_eq!(got(&mut set), Some(Ok(())));
    }
    // If the server refuses all variants, the call fails.
    let mut desk = bookmarked(Settings::default(), vec![bookmark(false)]);
    let mut set = set(&mut desk);
    stumbles(&mut desk, &publish(false), "conflict");
    stumbles(&mut desk, &prepare(false, false), "bad-request");
    stumbles(&mut desk, &prepare(false, true), "bad-request");
    assert!(matches!(got(&mut set), Some(Err(CallError::Stanza(error))) if error.condition == "bad-request"));
}

/// Row 32. Once the newer place has a bookmark, the older ones are not read.
#[test]
fn bookmarks_of_an_older_place_come_along_with_the_first_that_is_put_down() {
    let other = || types::Bookmark { room: bare("other@muc.example.org"), ..bookmark(false) };
    let mut desk = Desk::new(Settings::default());
    desk.run(Session::plugins_initialized);
    desk.bind();
    desk.roster_alone(Vec::new());
    let id = desk.asked(|ask| *ask == Ask::Bookmarks { place: BookmarkPlace::Items });
    desk.answer(None, id, Err(stanza_error("item-not-found")));
    desk.bookmarks(vec![bookmark(false), other()]);
    let mut removed = desk.ask(RemoveBookmark { jid: bare(ROOM) });
    assert!(matches!(got(&mut removed), Some(Err(CallError::Unsupported(_)))), "it would be there at the next log-in");
    let published = |room: &types::Bookmark| {
        let room = room.room.clone();
        move |ask: &Ask| matches!(ask, Ask::PublishBookmark { bookmark, .. } if bookmark.room == room)
    };
    let _set = desk.ask(SetBookmark { bookmark: bookmark(true) });
    let id = desk.asked(published(&bookmark(true)));
    assert_eq!(desk.count_asked(published(&other())), 0, "not before one has been taken");
    desk.answer(None, id, Ok(Body::Empty));
    let id = desk.asked(published(&other()));
    desk.answer(None, id, Ok(Body::Empty));
    let _set = desk.ask(SetBookmark { bookmark: bookmark(false) });
    let id = desk.asked(published(&bookmark(false)));
    desk.answer(None, id, Ok(Body::Empty));
    assert_eq!((desk.count_asked(published(&other())), desk.count_asked(published(&bookmark(true)))), (1, 2), "once");
    let _removed = desk.ask(RemoveBookmark { jid: bare(ROOM) });
    desk.asked(|ask| matches!(ask, Ask::RetractBookmark(_)));
}
