//! Messages in and out.

use super::*;
use crate::session::messages;
use crate::stanza::{Draft, Extensions, Invite, Reactions};

fn send(desk: &mut Desk, to: &str, kind: MessageKind, draft: Draft) -> Result<String, CallError> {
    let (answer, mut receiver) = Answer::channel();
    desk.command(Command::SendMessage { to: jid(to), kind, draft: Box::new(draft), answer });
    got(&mut receiver).unwrap()
}

fn text(body: &str) -> Draft {
    Draft { body: Some(body.to_owned()), ..Draft::default() }
}

fn last_message(desk: &Desk) -> Arc<Message> {
    match desk.last("message") {
        Payload::Message(message) => Arc::clone(message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_sent_is_checked_first() {
    let mut desk = Desk::connected(Settings::default());
    let extended = |extensions| Draft { extensions: Some(Box::new(extensions)), ..Draft::default() };
    let some = |text: &str| Some(text.to_owned());
    let reacting = |emojis: &[&str]| {
        let emojis = emojis.iter().map(|&emoji| emoji.to_owned()).collect();
        extended(Extensions { reactions: Some(Reactions { id: "1".to_owned(), emojis }), ..Extensions::default() })
    };
    for (draft, argument) in [
        (Draft::default(), "message"),
        (extended(Extensions::default()), "message"),
        (text("a\u{0}b"), "message.body"),
        (text("\u{ffff}"), "message.body"),
        (text(&"x".repeat(65_537)), "message.body"),
        (Draft { thread: some("\u{1b}"), ..text("x") }, "message.thread"),
        (
            extended(Extensions { chat_state: some("dancing"), ..Extensions::default() }),
            "message.extensions.chat-state",
        ),
        (reacting(&["👍", "👍"]), "message.extensions.reactions.emojis"),
        (reacting(&[""]), "message.extensions.reactions.emojis"),
        (reacting(&[&"x".repeat(65)]), "message.extensions.reactions.emojis"),
        (extended(Extensions { marker: some("displayed"), ..Extensions::default() }), "message.extensions.marker"),
    ] {
        match send(&mut desk, ROMEO, MessageKind::Chat, draft) {
            Err(CallError::Invalid { argument: named, .. }) => assert_eq!(named, argument),
            other => panic!("{argument}: {other:?}"),
        }
    }
    assert!(desk.lines().is_empty());
    let id = send(&mut desk, ROMEO, MessageKind::Chat, text("tab\t, line\n, 👍")).unwrap();
    assert!(matches!(desk.sent.last(), Some(Outgoing::Message { id: sent, .. }) if *sent == id));
    let composing = Extensions { chat_state: some("composing"), ..Extensions::default() };
    assert!(send(&mut desk, ROMEO, MessageKind::Chat, extended(composing)).is_ok());
    assert!(matches!(send(&mut desk, ROMEO, MessageKind::Headline, text("x")), Err(CallError::Invalid { .. })));
}

#[test]
fn nothing_is_sent_without_a_connection() {
    let mut desk = Desk::new(Settings::default());
    assert_eq!(send(&mut desk, ROMEO, MessageKind::Chat, text("x")).unwrap_err(), CallError::Offline);
    let (answer, mut receiver) = Answer::channel();
    desk.command(Command::SendRaw { stanza: some_raw(), answer });
    assert_eq!(got(&mut receiver).unwrap().unwrap_err(), CallError::Offline);
    let mut desk = Desk::connected(Settings::default());
    let (answer, mut receiver) = Answer::channel();
    desk.command(Command::SendRaw { stanza: some_raw(), answer });
    assert_eq!(desk.lines(), ["> raw"]);
    assert!(got(&mut receiver).unwrap().is_ok());
}

#[test]
fn a_room_hears_only_from_who_is_in_it() {
    let mut desk = Desk::connected(Settings::default());
    assert!(matches!(send(&mut desk, ROOM, MessageKind::Groupchat, text("x")), Err(CallError::NotFound(_))));
    let _opened = desk.open_room(None);
    assert!(matches!(send(&mut desk, ROOM, MessageKind::Groupchat, text("x")), Err(CallError::NotFound(_))));
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(send(&mut desk, ROOM, MessageKind::Groupchat, text("x")).is_ok());
    let to_one = send(&mut desk, &format!("{ROOM}/juliet"), MessageKind::Groupchat, text("x"));
    assert!(matches!(to_one, Err(CallError::Invalid { .. })));
    assert!(send(&mut desk, &format!("{ROOM}/juliet"), MessageKind::Chat, text("x")).is_ok());
}

#[test]
fn a_rooms_messages_are_told_from_entering_on() {
    let mut desk = Desk::connected(Settings::default());
    let said = |nick: &str| message(&format!("{ROOM}/{nick}"), MessageKind::Groupchat, "hi");
    desk.message(said("juliet"));
    assert!(desk.lines().is_empty(), "a room that we are not in");
    let _opened = desk.open_room(None);
    desk.message(said("juliet"));
    assert!(last_message(&desk).delayed, "before we are in it is history");
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    desk.message(said("juliet"));
    assert!(last_message(&desk).delayed, "before the subject it is history, too");
    desk.subject("");
    assert!(last_message(&desk).delayed, "the subject is no news either");
    desk.message(said("juliet"));
    assert!(!last_message(&desk).delayed && !last_message(&desk).own);
    desk.message(said("bot"));
    assert!(last_message(&desk).own, "our own echo");
}

#[test]
fn an_occupant_who_writes_to_us_alone_is_a_conversation_of_its_own() {
    let mut desk = Desk::connected(settings(&[("allow_non_roster_messaging", true.into())]));
    desk.in_room();
    desk.message(message(&format!("{ROOM}/juliet"), MessageKind::Chat, "psst"));
    assert_eq!(desk.lines(), ["message"], "and opens no chat");
    assert_eq!(last_message(&desk).chat, jid(&format!("{ROOM}/juliet")));
    let copy = Message {
        own: true,
        chat: jid(ROOM),
        to: jid(&format!("{ROOM}/juliet")),
        ..message("bot@example.org/phone", MessageKind::Chat, "psst")
    };
    desk.message(copy);
    assert_eq!(last_message(&desk).chat, jid(&format!("{ROOM}/juliet")));
}

#[test]
fn a_subject_changes_the_room() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    let subject = |text: &str| Message {
        body: None,
        subject: Some(text.to_owned()),
        ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "")
    };
    desk.message(subject(""));
    assert_eq!(desk.count("roomSubjectChanged"), 0);
    desk.message(subject("Verona"));
    desk.message(subject("Verona"));
    assert_eq!(desk.count("roomSubjectChanged"), 1);
    assert_eq!(desk.session.snapshot().rooms[&bare(ROOM)].subject.as_deref(), Some("Verona"));
    desk.message(Message { body: Some("body".to_owned()), ..subject("no subject of the room") });
    assert_eq!(desk.count("roomSubjectChanged"), 1);
}

#[test]
fn what_the_archive_knows_already_is_not_told_twice() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    let with = |id: &str, message: Message| Message { stanza_id: Some(id.to_owned()), ..message };
    let private = || message("juliet@example.org/x", MessageKind::Headline, "hi");
    let public = || message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "hi");
    for (message, count) in [
        (with("1", private()), 1),
        (with("1", private()), 1),
        (with("1", public()), 2),
        (with("1", public()), 2),
        (with("2", public()), 3),
        (public(), 4),
        (public(), 5),
    ] {
        desk.message(message);
        assert_eq!(desk.count("message"), count);
    }
    for number in 0..messages::REMEMBERED * 2 {
        desk.message(with(&format!("n{number}"), private()));
    }
    assert_eq!(desk.session.seen.len(), messages::REMEMBERED);
}

#[test]
fn errors_are_told_apart() {
    let mut desk = Desk::connected(Settings::default());
    let error = Some(stanza_error("gone"));
    desk.message(Message { error, body: None, ..message("romeo@example.org", MessageKind::Error, "") });
    assert_eq!(desk.lines(), ["messageError"]);
}

#[test]
fn an_invitation_is_told_and_followed_where_the_setting_says_so() {
    let invite = || {
        let from = jid(ROMEO);
        let invite =
            Invite { room: bare(ROOM), from, to: jid("bot@example.org"), reason: None, password: Some("p".to_owned()) };
        Message { body: None, invite: Some(Box::new(invite)), ..message(ROMEO, MessageKind::Normal, "") }
    };
    let mut desk = Desk::connected(Settings::default());
    desk.message(invite());
    assert_eq!(desk.lines(), ["roomInviteReceived"]);
    desk.message(Message { own: true, ..invite() });
    assert!(desk.lines().is_empty(), "we invited somebody ourselves");
    desk.session.settings_changed(settings(&[("auto_join_on_invite", true.into())]));
    desk.message(invite());
    assert_eq!(desk.lines(), ["roomInviteReceived", "> available to room@muc.example.org/bot entering"]);
    assert!(
        matches!(desk.sent.last(), Some(Outgoing::Presence(PresenceOut { join: Some(join), .. })) if join.password.as_deref() == Some("p"))
    );
    desk.session.settings_changed(settings(&[("allow_muc", false.into())]));
    desk.message(invite());
    assert!(desk.lines().is_empty());
}
