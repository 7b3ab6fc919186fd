//! Open chats.

use super::*;

fn open(desk: &mut Desk, with: &str) -> Receiver<Result<Arc<Chat>, CallError>> {
    let (answer, receiver) = Answer::channel();
    desk.command(Command::OpenChat { jid: bare(with), answer });
    receiver
}

fn close(desk: &mut Desk, with: &str) -> Option<Result<(), CallError>> {
    let (answer, mut receiver) = Answer::channel();
    desk.command(Command::CloseChat { jid: bare(with), answer });
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
    desk.session.settings_changed(settings(&[("allow_non_roster_messaging", true.into())]));
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
        assert_eq!(desk.events.len(), if opens { 3 } else { 1 });
    }
    let mut desk = Desk::connected(Settings::default());
    desk.message(Message { body: None, ..message("romeo@example.org/orchard", MessageKind::Chat, "") });
    assert!(desk.session.snapshot().chats.is_empty(), "typing is not talking");
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
