//! The own status.

use super::*;

fn set(test: &mut TestSession, value: Option<&str>, message: Option<&str>) -> Result<(), CallError> {
    let (answer, mut receiver) = Answer::channel();
    let value = value.map(|value| value.parse().unwrap());
    test.command(AnyCommand::with(SetStatus { value, message: message.map(str::to_owned) }, answer));
    got(&mut receiver).unwrap()
}

#[test]
fn each_value_is_the_presence_that_the_api_says() {
    for (value, expected) in [
        ("away", "> available away priority 0"),
        ("chat", "> available chat priority 0"),
        ("dnd", "> available dnd priority 0"),
        ("xa", "> available xa priority 0"),
        ("online", "> available priority 0"),
        ("offline", "> unavailable priority 0"),
        ("unavailable", "> unavailable priority 0"),
    ] {
        let mut test = TestSession::connected(settings(&[("default_state", "xa".into())]));
        set(&mut test, Some(value), None).unwrap();
        assert_eq!(test.lines()[0], expected);
        assert_eq!(test.count("statusChanged"), usize::from(value != "xa"));
        assert_eq!(test.session.snapshot().status.value.as_str(), value);
        assert!(test.session.snapshot().connected, "the stream stays");
    }
    assert!(matches!("busy".parse::<StatusValue>(), Err(CallError::Invalid { .. })));
}

#[test]
fn the_message_is_kept_until_another_one_comes() {
    let mut test = TestSession::connected(Settings::default());
    set(&mut test, Some("away"), Some("lunch")).unwrap();
    assert_eq!(test.lines(), ["> available away 'lunch' priority 0", "statusChanged", "statusMessageChanged"]);
    set(&mut test, Some("dnd"), None).unwrap();
    assert_eq!(test.lines(), ["> available dnd 'lunch' priority 0", "statusChanged"]);
    set(&mut test, None, Some("nap")).unwrap();
    assert_eq!(test.lines(), ["> available dnd 'nap' priority 0", "statusMessageChanged"]);
    set(&mut test, Some("dnd"), Some("")).unwrap();
    assert_eq!(test.lines(), ["> available dnd priority 0", "statusMessageChanged"]);
    let refused = set(&mut test, None, Some("\u{1}"));
    assert!(matches!(refused, Err(CallError::Invalid { argument, .. }) if argument == "message"));
    assert!(test.lines().is_empty());
}

#[test]
fn what_is_set_before_connecting_is_sent_then() {
    let mut test = TestSession::new(settings(&[("priority", 7.into())]));
    set(&mut test, Some("away"), Some("soon")).unwrap();
    assert_eq!(test.lines(), ["statusChanged", "statusMessageChanged"]);
    test.run(Session::plugins_initialized);
    test.bind();
    set(&mut test, Some("xa"), None).unwrap();
    test.forget();
    test.roster(Vec::new());
    assert!(test.lines().contains(&"> available xa 'soon' priority 7".to_owned()));
}

#[test]
fn a_hidden_account_says_nothing_on_connecting() {
    let mut test = TestSession::new(settings(&[("default_state", "offline".into())]));
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster(Vec::new());
    assert!(!test.sent.iter().any(|stanza| matches!(stanza, Outgoing::Presence(_))));
    set(&mut test, Some("online"), None).unwrap();
    assert!(test.lines().contains(&"> available priority 0".to_owned()));
}

#[test]
fn rooms_hear_of_it_and_are_entered_again_after_hiding() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    set(&mut test, Some("away"), None).unwrap();
    assert_eq!(test.lines()[1], "> available away to room@muc.example.org/bot");
    set(&mut test, Some("offline"), None).unwrap();
    assert_eq!(test.lines(), ["> unavailable priority 0", "statusChanged"]);
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
    assert_eq!(test.lines(), ["occupantLeft", "roomLeft"]);
    set(&mut test, Some("online"), None).unwrap();
    assert_eq!(test.lines()[1], "> available to room@muc.example.org/bot entering");
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert_eq!(test.lines().last().unwrap(), "chatRoomOpened");
}

/// The presence for entering was sent before, and the room is not a contact.
#[test]
fn a_room_that_was_being_entered_is_told_what_was_set_meanwhile_once_we_are_in() {
    let mut test = TestSession::connected(Settings::default());
    let _opened = test.open_room(None);
    test.forget();
    set(&mut test, Some("away"), Some("lunch")).unwrap();
    assert_eq!(test.lines(), ["> available away 'lunch' priority 0", "statusChanged", "statusMessageChanged"]);
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert_eq!(test.lines()[0], "> available away 'lunch' to room@muc.example.org/bot");
    // A presence for entering that contains the status has announced it.
    test.bind();
    test.roster(Vec::new());
    test.forget();
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(room_is_told_nothing(&test), "{:?}", test.lines);
    // A hidden account sends no status to the room, either.
    test.bind();
    test.roster(Vec::new());
    set(&mut test, Some("dnd"), None).unwrap();
    set(&mut test, Some("offline"), None).unwrap();
    test.forget();
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(room_is_told_nothing(&test), "{:?}", test.lines);
}

/// Settings `default_status_message`.
#[test]
fn the_owners_text_stays_over_new_streams_and_until_a_plugin_sets_another() {
    let with = |text: &str| settings(&[("default_status_message", text.into())]);
    let message = |test: &TestSession| test.session.snapshot().status.message;
    let rewrite = |test: &mut TestSession, before: &str, after: &str| {
        test.run(|session, now, effects| session.rewritten(&with(before), &with(after), now, effects));
    };
    let mut test = TestSession::new(with("Type !help"));
    rewrite(&mut test, "Type !help", "!help");
    assert_eq!((message(&test), test.lines()), ("!help".to_owned(), Vec::new()), "nobody was told yet");
    test.run(Session::plugins_initialized);
    for _ in 0..2 {
        test.bind();
        test.forget();
        test.roster(Vec::new());
        assert!(test.lines().contains(&"> available '!help' priority 0".to_owned()), "{:?}", test.lines);
    }
    test.in_room();
    rewrite(&mut test, "!help", "!list");
    let room = "> available '!list' to room@muc.example.org/bot";
    assert_eq!(test.lines(), ["> available '!list' priority 0", room, "statusMessageChanged"], "at once");
    set(&mut test, Some("away"), None).unwrap();
    rewrite(&mut test, "!list", "!more");
    assert_eq!(message(&test), "!more", "a plugin has set the state alone");
    set(&mut test, None, Some("lunch")).unwrap();
    test.forget();
    rewrite(&mut test, "!more", "!less");
    assert_eq!((message(&test), test.lines()), ("lunch".to_owned(), Vec::new()));
    test.run(Session::logged_out);
    assert_eq!(message(&test), "!less", "a new session begins with it");

    let mut test = TestSession::connected(with("!help"));
    set(&mut test, Some("offline"), None).unwrap();
    test.forget();
    rewrite(&mut test, "!help", "!list");
    assert_eq!(test.lines(), ["statusMessageChanged"], "a hidden account says nothing");
    set(&mut test, Some("online"), None).unwrap();
    assert_eq!(test.lines()[0], "> available '!list' priority 0");
}

/// Rows 9, 57: presence that a plugin sends by itself is the status, as if it had set it.
#[test]
fn presence_that_a_plugin_sends_as_a_stanza_is_the_own_status() {
    let send = |test: &mut TestSession, xml: &str| {
        let (answer, mut sent) = Answer::channel();
        let stanza = raw(&xml.replacen("<presence", "<presence xmlns='jabber:client'", 1));
        test.command(AnyCommand::with(SendRaw { by: InstanceId(1), stanza }, answer));
        assert_eq!(got(&mut sent), Some(Ok(())));
        let status = test.session.snapshot().status;
        (status.value.as_str(), status.message)
    };
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    assert_eq!(
        send(&mut test, "<presence><show>dnd</show><status>busy</status></presence>"),
        ("dnd", "busy".to_owned())
    );
    assert_eq!(test.lines(), ["> raw", "statusChanged", "statusMessageChanged"]);
    assert_eq!(send(&mut test, "<presence type='unavailable'/>"), ("unavailable", String::new()));
    assert_eq!(test.lines(), ["> raw", "statusChanged", "statusMessageChanged"]);
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
    assert_eq!(test.lines(), ["occupantLeft", "roomLeft"]);
    assert_eq!(send(&mut test, "<presence/>"), ("online", String::new()));
    assert_eq!(test.lines(), ["> raw", "> available to room@muc.example.org/bot entering", "statusChanged"]);
    // Presence for a single address does not change the status, and neither does other presence.
    for xml in ["<presence type='unavailable' to='romeo@example.org'/>", "<presence type='subscribe' to='a@b'/>"] {
        assert_eq!(send(&mut test, xml), ("online", String::new()));
        assert_eq!(test.lines(), ["> raw"]);
    }
}

/// Prosody and `MongooseIM` notify of no nodes (XEP-0163) after a presence without capabilities.
#[test]
fn presence_that_a_plugin_sends_as_a_stanza_names_the_capabilities() {
    let names = |presence: &str| {
        let mut test = TestSession::connected(Settings::default());
        let stanza = raw(&presence.replacen("<presence", "<presence xmlns='jabber:client'", 1));
        let (answer, mut sent) = Answer::channel();
        test.command(AnyCommand::with(SendRaw { by: InstanceId(1), stanza }, answer));
        assert_eq!(got(&mut sent), Some(Ok(())));
        let Some(Outgoing::Raw(stanza)) = test.sent.last() else { panic!("{:?}", test.sent.last()) };
        let caps = test.session.common.own_disco.caps();
        let xml = stanza.to_xml();
        (xml.matches("http://jabber.org/protocol/caps").count(), xml.contains(&caps.ver))
    };
    assert_eq!(names("<presence><show>away</show></presence>"), (1, true));
    let others = "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:x' ver='v'/></presence>";
    assert_eq!(names(others), (1, false), "its own");
    for none in ["<presence type='unavailable'/>", "<presence to='romeo@example.org'/>"] {
        assert_eq!(names(none), (0, false), "{none}");
    }
}

fn room_is_told_nothing(test: &TestSession) -> bool {
    !test.lines.iter().any(|line| line.starts_with("> available") || line.starts_with("> unavailable"))
}
