//! Open chats.

use super::*;

fn open(desk: &mut Desk, with: &str) -> Receiver<Result<Arc<Chat>, CallError>> {
    open_as(desk, InstanceId(1), with)
}

fn open_as(desk: &mut Desk, by: InstanceId, with: &str) -> Receiver<Result<Arc<Chat>, CallError>> {
    desk.ask(OpenChat { by, jid: bare(with) })
}

fn close(desk: &mut Desk, with: &str) -> Option<Result<(), CallError>> {
    let mut receiver = desk.ask(CloseChat { jid: bare(with) });
    got(&mut receiver)
}

#[test]
fn a_chat_opens_with_contacts_and_with_strangers_where_the_setting_says_so() {
    let mut desk = Desk::connected(Settings::default());
    let chat = got(&mut open(&mut desk, ROMEO)).unwrap().unwrap();
    assert_eq!(desk.lines(), ["chatBoxInitialized", "chatBoxOpened"]);
    assert_eq!(desk.session.snapshot().chats[&bare(ROMEO)], chat);
    assert_eq!(got(&mut open(&mut desk, ROMEO)).unwrap().unwrap(), chat);
    assert!(desk.lines().is_empty(), "it was open");
    assert!(matches!(got(&mut open(&mut desk, "tybalt@example.org")), Some(Err(CallError::NotFound(_)))));
    desk.set(&[("allow_non_roster_messaging", true.into())]).unwrap();
    assert!(got(&mut open(&mut desk, "tybalt@example.org")).unwrap().is_ok());
}

#[test]
fn who_opens_a_chat_too_early_waits() {
    let mut desk = Desk::new(Settings::default());
    desk.run(Session::plugins_initialized);
    let mut early = open(&mut desk, ROMEO);
    desk.bind();
    assert!(got(&mut early).is_none());
    desk.roster(vec![item(ROMEO, "both")]);
    assert!(got(&mut early).unwrap().is_ok());

    let mut desk = Desk::new(Settings::default());
    let mut early = open(&mut desk, ROMEO);
    desk.run(|session, now, effects| session.lost("refused", now, effects));
    assert_eq!(got(&mut early).unwrap().unwrap_err(), CallError::Offline);
    assert_eq!(got(&mut open(&mut desk, ROMEO)).unwrap().unwrap_err(), CallError::Offline);
}

#[test]
fn closing_says_whether_it_was_open() {
    let mut desk = Desk::connected(Settings::default());
    assert!(matches!(close(&mut desk, ROMEO), Some(Err(CallError::NotFound(_)))));
    open(&mut desk, ROMEO);
    desk.forget();
    assert!(close(&mut desk, ROMEO).unwrap().is_ok());
    assert_eq!(desk.lines(), ["chatBoxClosed"]);
    assert!(desk.session.snapshot().chats.is_empty());
}

#[test]
fn what_a_contact_says_opens_a_chat() {
    for (from, kind, opens) in [
        ("romeo@example.org/orchard", MessageKind::Chat, true),
        ("romeo@example.org/orchard", MessageKind::Normal, true),
        ("romeo@example.org/orchard", MessageKind::Headline, false),
        ("romeo@example.org/orchard", MessageKind::Error, false),
        ("tybalt@example.org/street", MessageKind::Chat, false),
    ] {
        let mut desk = Desk::connected(Settings::default());
        desk.message(message(from, kind, "hi"));
        assert_eq!(desk.session.snapshot().chats.len(), usize::from(opens), "{from} {kind}");
        assert_eq!(desk.count("chatBoxOpened"), usize::from(opens));
    }
    let mut desk = Desk::connected(Settings::default());
    desk.message(Message { body: None, ..message("romeo@example.org/orchard", MessageKind::Chat, "") });
    assert!(desk.session.snapshot().chats.is_empty(), "typing is not talking");
}

#[test]
fn a_chat_is_called_what_the_roster_calls_its_contact() {
    let mut desk = Desk::connected(Settings::default());
    open(&mut desk, ROMEO);
    let name = |desk: &Desk| desk.session.snapshot().chats[&bare(ROMEO)].fullname.clone();
    assert_eq!(name(&desk), ROMEO);
    let named = |name: &str| RosterItem { name: Some(name.to_owned()), ..item(ROMEO, "both") };
    desk.push(named("Romeo"));
    assert_eq!(name(&desk), "Romeo");
    desk.push(item(ROMEO, "remove"));
    assert_eq!(name(&desk), ROMEO, "nobody gives it a name any more");
    desk.run(Session::suspended);
    desk.bind();
    desk.roster(vec![named("R. Montague")]);
    assert_eq!(name(&desk), "R. Montague", "it was renamed while the account was away");
}

#[test]
fn a_lively_chat_changes_nothing_for_readers() {
    let mut desk = Desk::connected(Settings::default());
    let said = |at: Timestamp| Message { at, ..message("romeo@example.org/orchard", MessageKind::Chat, "hi") };
    desk.message(said(desk.now));
    assert_eq!(desk.session.snapshot().chats[&bare(ROMEO)].last_active, Some(desk.now));
    assert!(desk.session.changed());
    desk.message(said(desk.now));
    assert!(!desk.session.changed());
    desk.now += Duration::from_secs(61);
    desk.message(said(desk.now));
    assert!(desk.session.changed());
    assert_eq!(desk.session.snapshot().chats[&bare(ROMEO)].last_active, Some(desk.now));
}

fn change(desk: &mut Desk, with: &str, change: ViewChange) -> Result<(), CallError> {
    let mut receiver = desk.ask(ChangeChatView { jid: bare(with), change });
    got(&mut receiver).unwrap()
}

fn set(desk: &mut Desk, with: &str, name: &str, value: &str) -> Result<(), CallError> {
    let (answer, mut receiver) = Answer::channel();
    let attribute = Attribute::parse(name, value, CHAT_FIELDS).unwrap();
    desk.command(AnyCommand::with(SetChatAttribute { jid: bare(with), attribute }, answer));
    got(&mut receiver).unwrap()
}

/// Rows 79-82. Events chatBoxFocused, chatBoxMinimized, chatBoxMaximized, chatBoxToggled.
#[test]
fn a_front_end_is_told_how_to_show_a_chat() {
    let mut desk = Desk::connected(Settings::default());
    assert!(matches!(change(&mut desk, ROMEO, ViewChange::Focus), Err(CallError::NotFound(_))));
    desk.message(message("romeo@example.org/orchard", MessageKind::Chat, "hi"));
    open(&mut desk, "juliet@example.org");
    desk.forget();
    let view = |desk: &Desk| desk.session.snapshot().chats[&bare(ROMEO)].view.clone();
    assert!(!view(&desk).shown, "it opened by itself");
    for (what, events) in [
        (ViewChange::Maximize, &[][..]),
        (ViewChange::Minimize, &["chatBoxMinimized", "chatBoxToggled"]),
        (ViewChange::Minimize, &[]),
        (ViewChange::Maximize, &["chatBoxMaximized", "chatBoxToggled"]),
        (ViewChange::Show, &["chatBoxOpened"]),
        (ViewChange::Minimize, &["chatBoxMinimized", "chatBoxToggled"]),
        (ViewChange::Focus, &["chatBoxMaximized", "chatBoxToggled", "chatBoxFocused"]),
        (ViewChange::Focus, &["chatBoxFocused"]),
    ] {
        change(&mut desk, ROMEO, what).unwrap();
        assert_eq!(desk.lines(), events, "{what:?}");
    }
    assert!(view(&desk).shown && !view(&desk).minimized);
    let focused = |desk: &Desk| {
        let chats = desk.session.snapshot().chats;
        chats.values().filter(|chat| chat.view.focused).map(|chat| chat.jid.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(focused(&desk), [ROMEO]);
    desk.forget();
    change(&mut desk, "juliet@example.org", ViewChange::Focus).unwrap();
    let Payload::Chat(chat) = desk.last("chatBoxFocused") else { panic!("a chat") };
    assert!(chat.view.focused, "what is told of it is so");
    assert_eq!(focused(&desk), ["juliet@example.org"], "one at most has it");
    change(&mut desk, ROMEO, ViewChange::Minimize).unwrap();
    assert_eq!(focused(&desk).len(), 1);
    close(&mut desk, "juliet@example.org");
    assert!(focused(&desk).is_empty());
    open(&mut desk, "juliet@example.org");
    assert!(focused(&desk).is_empty(), "it begins without");
}

/// Events chatBoxChanged.
#[test]
fn another_name_of_a_contact_is_that_of_its_chat() {
    let mut desk = Desk::connected(Settings::default());
    open(&mut desk, ROMEO);
    desk.forget();
    desk.push(RosterItem { name: Some("Romeo".to_owned()), ..item(ROMEO, "both") });
    assert_eq!(desk.lines(), ["chatBoxChanged", "rosterPush", "> reply Done"]);
    let Payload::Chat(chat) = desk.last("chatBoxChanged") else { panic!("a chat") };
    assert_eq!(chat.fullname, "Romeo");
    desk.push(RosterItem { name: Some("Romeo".to_owned()), ..item(ROMEO, "to") });
    assert_eq!(desk.count("chatBoxChanged"), 1, "the name is the same");
}

/// Rows 83-86.
#[test]
fn a_chat_keeps_what_is_set_until_it_is_closed() {
    let mut desk = Desk::connected(Settings::default());
    assert!(matches!(set(&mut desk, ROMEO, "height", "1"), Err(CallError::NotFound(_))));
    open(&mut desk, ROMEO);
    desk.session.changed();
    set(&mut desk, ROMEO, "height", "250").unwrap();
    assert!(desk.session.changed());
    set(&mut desk, ROMEO, "height", "250").unwrap();
    assert!(!desk.session.changed(), "it is the same");
    let chat = Arc::clone(&desk.session.snapshot().chats[&bare(ROMEO)]);
    assert_eq!(chat.view.attribute("height").map(|json| &**json), Some("250"));
    close(&mut desk, ROMEO);
    open(&mut desk, ROMEO);
    assert_eq!(desk.session.snapshot().chats[&bare(ROMEO)].view, View::new(true));
}

/// Rows 76, 78: rooms are opened as such.
#[test]
fn a_room_is_no_chat() {
    let mut desk = Desk::connected(settings(&[("allow_non_roster_messaging", true.into())]));
    desk.in_room();
    assert!(matches!(got(&mut open(&mut desk, ROOM)), Some(Err(CallError::Invalid { .. }))));
    assert!(desk.session.snapshot().chats.is_empty());
}
