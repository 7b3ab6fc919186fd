//! Open chats.

use super::*;

fn open(test: &mut TestSession, with: &str) -> Receiver<Result<Arc<Chat>, CallError>> {
    open_as(test, InstanceId(1), with)
}

fn open_as(test: &mut TestSession, by: InstanceId, with: &str) -> Receiver<Result<Arc<Chat>, CallError>> {
    test.ask(OpenChat { by, jid: bare(with) })
}

fn close(test: &mut TestSession, with: &str) -> Option<Result<(), CallError>> {
    let mut receiver = test.ask(CloseChat { jid: bare(with) });
    got(&mut receiver)
}

#[test]
fn a_chat_opens_with_contacts_and_with_strangers_where_the_setting_says_so() {
    let mut test = TestSession::connected(Settings::default());
    let chat = got(&mut open(&mut test, ROMEO)).unwrap().unwrap();
    assert_eq!(test.lines(), ["chatBoxInitialized", "chatBoxOpened"]);
    assert_eq!(test.session.snapshot().chats[&bare(ROMEO)], chat);
    assert_eq!(got(&mut open(&mut test, ROMEO)).unwrap().unwrap(), chat);
    assert!(test.lines().is_empty(), "it was open");
    assert!(matches!(got(&mut open(&mut test, "tybalt@example.org")), Some(Err(CallError::NotFound(_)))));
    test.set(&[("allow_non_roster_messaging", true.into())]).unwrap();
    assert!(got(&mut open(&mut test, "tybalt@example.org")).unwrap().is_ok());
}

#[test]
fn who_opens_a_chat_too_early_waits() {
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    let mut early = open(&mut test, ROMEO);
    test.bind();
    assert!(got(&mut early).is_none());
    test.roster(vec![item(ROMEO, "both")]);
    assert!(got(&mut early).unwrap().is_ok());

    let mut test = TestSession::new(Settings::default());
    let mut early = open(&mut test, ROMEO);
    test.run(|session, now, effects| session.lost("refused", now, effects));
    assert_eq!(got(&mut early).unwrap().unwrap_err(), CallError::Offline);
    assert_eq!(got(&mut open(&mut test, ROMEO)).unwrap().unwrap_err(), CallError::Offline);
}

#[test]
fn closing_says_whether_it_was_open() {
    let mut test = TestSession::connected(Settings::default());
    assert!(matches!(close(&mut test, ROMEO), Some(Err(CallError::NotFound(_)))));
    open(&mut test, ROMEO);
    test.forget();
    assert!(close(&mut test, ROMEO).unwrap().is_ok());
    assert_eq!(test.lines(), ["chatBoxClosed"]);
    assert!(test.session.snapshot().chats.is_empty());
}

/// Begins and ends off-the-record messaging.
fn otr(test: &mut TestSession, with: &str) -> [Option<Result<(), CallError>>; 2] {
    let mut begun = test.ask(BeginOtr { by: InstanceId(1), jid: bare(with) });
    let mut ended = test.ask(EndOtr { jid: bare(with) });
    [got(&mut begun), got(&mut ended)]
}

#[test]
fn off_the_record_is_for_open_chats_if_the_owner_allows_it() {
    let mut test = TestSession::connected(Settings::default());
    for answer in otr(&mut test, ROMEO) {
        assert!(matches!(answer, Some(Err(CallError::NotFound(_)))), "{answer:?}");
    }
    test.in_room();
    for answer in otr(&mut test, ROOM) {
        assert!(matches!(answer, Some(Err(CallError::Invalid { .. }))), "{answer:?}");
    }
    let mut test = TestSession::connected(settings(&[("allow_otr", false.into())]));
    assert!(got(&mut open(&mut test, ROMEO)).unwrap().is_ok());
    for answer in otr(&mut test, ROMEO) {
        assert!(matches!(answer, Some(Err(CallError::Unsupported(_)))), "{answer:?}");
    }
}

#[test]
fn each_change_of_off_the_record_messaging_in_an_open_chat_is_told() {
    let mut test = TestSession::connected(Settings::default());
    let set = |test: &mut TestSession, status| {
        test.run(|session, now, effects| {
            session.input(now, effects, |features, turn| {
                features.chats.set_otr_status(&bare(ROMEO), status, turn);
            });
        });
    };
    set(&mut test, OtrStatus::Unverified);
    assert!(test.lines().is_empty(), "there is no chat");
    assert!(got(&mut open(&mut test, ROMEO)).unwrap().is_ok());
    test.forget();
    for (status, lines) in [
        (OtrStatus::Unverified, &["otrStatusChanged"][..]),
        (OtrStatus::Unverified, &[]),
        (OtrStatus::Finished, &["otrStatusChanged"]),
    ] {
        set(&mut test, status);
        assert_eq!(test.lines(), lines);
        assert_eq!(test.session.snapshot().chats[&bare(ROMEO)].otr_status, status);
    }
    let Payload::Chat(chat) = test.last("otrStatusChanged") else { panic!("a chat") };
    assert_eq!(chat.otr_status.as_str(), Some("finished"));
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
        let mut test = TestSession::connected(Settings::default());
        test.message(message(from, kind, "hi"));
        assert_eq!(test.session.snapshot().chats.len(), usize::from(opens), "{from} {kind}");
        assert_eq!(test.count("chatBoxOpened"), usize::from(opens));
    }
    let mut test = TestSession::connected(Settings::default());
    test.message(Message { body: None, ..message("romeo@example.org/orchard", MessageKind::Chat, "") });
    assert!(test.session.snapshot().chats.is_empty(), "typing is not talking");
}

#[test]
fn a_chat_is_called_what_the_roster_calls_its_contact() {
    let mut test = TestSession::connected(Settings::default());
    open(&mut test, ROMEO);
    let name = |test: &TestSession| test.session.snapshot().chats[&bare(ROMEO)].fullname.clone();
    assert_eq!(name(&test), ROMEO);
    let named = |name: &str| RosterItem { name: Some(name.to_owned()), ..item(ROMEO, "both") };
    test.push(named("Romeo"));
    assert_eq!(name(&test), "Romeo");
    test.push(item(ROMEO, "remove"));
    assert_eq!(name(&test), ROMEO, "nobody gives it a name any more");
    test.run(Session::suspended);
    test.bind();
    test.roster(vec![named("R. Montague")]);
    assert_eq!(name(&test), "R. Montague", "it was renamed while the account was away");
}

#[test]
fn a_lively_chat_changes_nothing_for_readers() {
    let mut test = TestSession::connected(Settings::default());
    let said = |at: Timestamp| Message { at, ..message("romeo@example.org/orchard", MessageKind::Chat, "hi") };
    test.message(said(test.now));
    assert_eq!(test.session.snapshot().chats[&bare(ROMEO)].last_active, Some(test.now));
    assert!(test.session.changed());
    test.message(said(test.now));
    assert!(!test.session.changed());
    test.now += Duration::from_secs(61);
    test.message(said(test.now));
    assert!(test.session.changed());
    assert_eq!(test.session.snapshot().chats[&bare(ROMEO)].last_active, Some(test.now));
}

fn change(test: &mut TestSession, with: &str, change: ViewChange) -> Result<(), CallError> {
    let mut receiver = test.ask(ChangeChatView { jid: bare(with), change });
    got(&mut receiver).unwrap()
}

fn set(test: &mut TestSession, with: &str, name: &str, value: &str) -> Result<(), CallError> {
    let (answer, mut receiver) = Answer::channel();
    let attribute = Attribute::parse(name, value, CHAT_FIELDS).unwrap();
    test.command(AnyCommand::with(SetChatAttribute { jid: bare(with), attribute }, answer));
    got(&mut receiver).unwrap()
}

/// Rows 79-82. Events chatBoxFocused, chatBoxMinimized, chatBoxMaximized, chatBoxToggled.
#[test]
fn a_front_end_is_told_how_to_show_a_chat() {
    let mut test = TestSession::connected(Settings::default());
    assert!(matches!(change(&mut test, ROMEO, ViewChange::Focus), Err(CallError::NotFound(_))));
    test.message(message("romeo@example.org/orchard", MessageKind::Chat, "hi"));
    open(&mut test, "juliet@example.org");
    test.forget();
    let view = |test: &TestSession| test.session.snapshot().chats[&bare(ROMEO)].view.clone();
    assert!(!view(&test).shown, "it opened by itself");
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
        change(&mut test, ROMEO, what).unwrap();
        assert_eq!(test.lines(), events, "{what:?}");
    }
    assert!(view(&test).shown && !view(&test).minimized);
    let focused = |test: &TestSession| {
        let chats = test.session.snapshot().chats;
        chats.values().filter(|chat| chat.view.focused).map(|chat| chat.jid.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(focused(&test), [ROMEO]);
    test.forget();
    change(&mut test, "juliet@example.org", ViewChange::Focus).unwrap();
    let Payload::Chat(chat) = test.last("chatBoxFocused") else { panic!("a chat") };
    assert!(chat.view.focused, "what is told of it is so");
    assert_eq!(focused(&test), ["juliet@example.org"], "one at most has it");
    change(&mut test, ROMEO, ViewChange::Minimize).unwrap();
    assert_eq!(focused(&test).len(), 1);
    close(&mut test, "juliet@example.org");
    assert!(focused(&test).is_empty());
    open(&mut test, "juliet@example.org");
    assert!(focused(&test).is_empty(), "it begins without");
}

/// Events chatBoxChanged.
#[test]
fn another_name_of_a_contact_is_that_of_its_chat() {
    let mut test = TestSession::connected(Settings::default());
    open(&mut test, ROMEO);
    test.forget();
    test.push(RosterItem { name: Some("Romeo".to_owned()), ..item(ROMEO, "both") });
    assert_eq!(test.lines(), ["chatBoxChanged", "rosterPush", "> reply Done"]);
    let Payload::Chat(chat) = test.last("chatBoxChanged") else { panic!("a chat") };
    assert_eq!(chat.fullname, "Romeo");
    test.push(RosterItem { name: Some("Romeo".to_owned()), ..item(ROMEO, "to") });
    assert_eq!(test.count("chatBoxChanged"), 1, "the name is the same");
}

/// Rows 83-86.
#[test]
fn a_chat_keeps_what_is_set_until_it_is_closed() {
    let mut test = TestSession::connected(Settings::default());
    assert!(matches!(set(&mut test, ROMEO, "height", "1"), Err(CallError::NotFound(_))));
    open(&mut test, ROMEO);
    test.session.changed();
    set(&mut test, ROMEO, "height", "250").unwrap();
    assert!(test.session.changed());
    set(&mut test, ROMEO, "height", "250").unwrap();
    assert!(!test.session.changed(), "it is the same");
    let chat = Arc::clone(&test.session.snapshot().chats[&bare(ROMEO)]);
    assert_eq!(chat.view.attribute("height").map(|json| &**json), Some("250"));
    close(&mut test, ROMEO);
    open(&mut test, ROMEO);
    assert_eq!(test.session.snapshot().chats[&bare(ROMEO)].view, View::new(true));
}

/// Rows 76, 78: rooms are opened as such.
#[test]
fn a_room_is_no_chat() {
    let mut test = TestSession::connected(settings(&[("allow_non_roster_messaging", true.into())]));
    test.in_room();
    assert!(matches!(got(&mut open(&mut test, ROOM)), Some(Err(CallError::Invalid { .. }))));
    assert!(test.session.snapshot().chats.is_empty());
}
