//! The own status.

use super::*;

fn set(desk: &mut Desk, value: Option<&str>, message: Option<&str>) -> Result<(), CallError> {
    let (answer, mut receiver) = Answer::channel();
    let value = value.map(|value| value.parse().unwrap());
    desk.command(AnyCommand::with(SetStatus { value, message: message.map(str::to_owned) }, answer));
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
        let mut desk = Desk::connected(settings(&[("default_state", "xa".into())]));
        set(&mut desk, Some(value), None).unwrap();
        assert_eq!(desk.lines()[0], expected);
        assert_eq!(desk.count("statusChanged"), usize::from(value != "xa"));
        assert_eq!(desk.session.snapshot().status.value.as_str(), value);
        assert!(desk.session.snapshot().connected, "the stream stays");
    }
    assert!(matches!("busy".parse::<StatusValue>(), Err(CallError::Invalid { .. })));
}

#[test]
fn the_message_is_kept_until_another_one_comes() {
    let mut desk = Desk::connected(Settings::default());
    set(&mut desk, Some("away"), Some("lunch")).unwrap();
    assert_eq!(desk.lines(), ["> available away 'lunch' priority 0", "statusChanged", "statusMessageChanged"]);
    set(&mut desk, Some("dnd"), None).unwrap();
    assert_eq!(desk.lines(), ["> available dnd 'lunch' priority 0", "statusChanged"]);
    set(&mut desk, None, Some("nap")).unwrap();
    assert_eq!(desk.lines(), ["> available dnd 'nap' priority 0", "statusMessageChanged"]);
    set(&mut desk, Some("dnd"), Some("")).unwrap();
    assert_eq!(desk.lines(), ["> available dnd priority 0", "statusMessageChanged"]);
    let refused = set(&mut desk, None, Some("\u{1}"));
    assert!(matches!(refused, Err(CallError::Invalid { argument, .. }) if argument == "message"));
    assert!(desk.lines().is_empty());
}

#[test]
fn what_is_set_before_connecting_is_sent_then() {
    let mut desk = Desk::new(settings(&[("priority", 7.into())]));
    set(&mut desk, Some("away"), Some("soon")).unwrap();
    assert_eq!(desk.lines(), ["statusChanged", "statusMessageChanged"]);
    desk.run(Session::plugins_initialized);
    desk.bind();
    set(&mut desk, Some("xa"), None).unwrap();
    desk.forget();
    desk.roster(Vec::new());
    assert!(desk.lines().contains(&"> available xa 'soon' priority 7".to_owned()));
}

#[test]
fn a_hidden_account_says_nothing_on_connecting() {
    let mut desk = Desk::new(settings(&[("default_state", "offline".into())]));
    desk.run(Session::plugins_initialized);
    desk.bind();
    desk.roster(Vec::new());
    assert!(!desk.sent.iter().any(|stanza| matches!(stanza, Outgoing::Presence(_))));
    set(&mut desk, Some("online"), None).unwrap();
    assert!(desk.lines().contains(&"> available priority 0".to_owned()));
}

#[test]
fn rooms_hear_of_it_and_are_entered_again_after_hiding() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    set(&mut desk, Some("away"), None).unwrap();
    assert_eq!(desk.lines()[1], "> available away to room@muc.example.org/bot");
    set(&mut desk, Some("offline"), None).unwrap();
    assert_eq!(desk.lines(), ["> unavailable priority 0", "statusChanged"]);
    desk.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
    assert_eq!(desk.lines(), ["occupantLeft", "roomLeft"]);
    set(&mut desk, Some("online"), None).unwrap();
    assert_eq!(desk.lines()[1], "> available to room@muc.example.org/bot entering");
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert_eq!(desk.lines().last().unwrap(), "chatRoomOpened");
}

/// The presence for entering was sent before, and the room is not a contact.
#[test]
fn a_room_that_was_being_entered_is_told_what_was_set_meanwhile_once_we_are_in() {
    let mut desk = Desk::connected(Settings::default());
    let _opened = desk.open_room(None);
    desk.forget();
    set(&mut desk, Some("away"), Some("lunch")).unwrap();
    assert_eq!(desk.lines(), ["> available away 'lunch' priority 0", "statusChanged", "statusMessageChanged"]);
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert_eq!(desk.lines()[0], "> available away 'lunch' to room@muc.example.org/bot");
    // A presence for entering that contains the status has announced it.
    desk.bind();
    desk.roster(Vec::new());
    desk.forget();
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(room_is_told_nothing(&desk), "{:?}", desk.lines);
    // A hidden account sends no status to the room, either.
    desk.bind();
    desk.roster(Vec::new());
    set(&mut desk, Some("dnd"), None).unwrap();
    set(&mut desk, Some("offline"), None).unwrap();
    desk.forget();
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(room_is_told_nothing(&desk), "{:?}", desk.lines);
}

/// Rows 9, 57: presence that a plugin sends by itself is the status, as if it had set it.
#[test]
fn presence_that_a_plugin_sends_as_a_stanza_is_the_own_status() {
    let send = |desk: &mut Desk, xml: &str| {
        let (answer, mut sent) = Answer::channel();
        let stanza = raw(&xml.replacen("<presence", "<presence xmlns='jabber:client'", 1));
        desk.command(AnyCommand::with(SendRaw { by: InstanceId(1), stanza }, answer));
        assert_eq!(got(&mut sent), Some(Ok(())));
        let status = desk.session.snapshot().status;
        (status.value.as_str(), status.message)
    };
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    assert_eq!(
        send(&mut desk, "<presence><show>dnd</show><status>busy</status></presence>"),
        ("dnd", "busy".to_owned())
    );
    assert_eq!(desk.lines(), ["> raw", "statusChanged", "statusMessageChanged"]);
    assert_eq!(send(&mut desk, "<presence type='unavailable'/>"), ("unavailable", String::new()));
    assert_eq!(desk.lines(), ["> raw", "statusChanged", "statusMessageChanged"]);
    desk.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
    assert_eq!(desk.lines(), ["occupantLeft", "roomLeft"]);
    assert_eq!(send(&mut desk, "<presence/>"), ("online", String::new()));
    assert_eq!(desk.lines(), ["> raw", "> available to room@muc.example.org/bot entering", "statusChanged"]);
    // Presence for a single address does not change the status, and neither does other presence.
    for xml in ["<presence type='unavailable' to='romeo@example.org'/>", "<presence type='subscribe' to='a@b'/>"] {
        assert_eq!(send(&mut desk, xml), ("online", String::new()));
        assert_eq!(desk.lines(), ["> raw"]);
    }
}

fn room_is_told_nothing(desk: &Desk) -> bool {
    !desk.lines.iter().any(|line| line.starts_with("> available") || line.starts_with("> unavailable"))
}
