//! A device that has both forms of OMEMO, with a session in each.

use super::*;

/// Returns one device of Romeo's, as a client in each form.
fn both() -> [Peer; 2] {
    let [older, mut current] = OmemoForm::ALL.map(|form| Peer::new(ROMEO, form));
    current.device = older.device.clone();
    // The ids of its messages differ.
    current.sent = 100;
    [older, current]
}

/// Returns what was sent encrypted.
fn all_sealed(bot: &Bot) -> Vec<Sealed> {
    let sealed = bot.test.sent.iter().filter_map(|stanza| match stanza {
        Outgoing::Sealed(sealed) => Some(Sealed::clone(sealed)),
        _ => None,
    });
    sealed.collect()
}

/// Begins a session in each form, and confirms it.
fn begun(bot: &mut Bot) -> [Peer; 2] {
    let mut romeo = both();
    for one in &mut romeo {
        bot.hear(one, "hello");
    }
    bot.test.wait(3);
    let sealed = all_sealed(bot);
    for one in &mut romeo {
        for message in &sealed {
            assert_eq!(one.reads_this(message), None, "there is nothing in it");
        }
    }
    romeo
}

#[test]
fn a_device_that_begins_in_both_forms_is_answered_in_both() {
    let mut bot = Bot::new(TrustPolicy::Blind);
    let romeo = begun(&mut bot);
    assert_eq!(bot.sealed(), 2);
    for one in &romeo {
        assert!(!one.session.as_ref().unwrap().is_unanswered(), "{:?}", one.form);
    }
}

#[test]
fn a_device_whose_sessions_are_lost_gets_new_ones_in_both_forms() {
    let mut bot = Bot::new(TrustPolicy::Blind);
    let mut romeo = begun(&mut bot);
    let mut ended = bot.test.ask(ResetSessions { jid: bare(ROMEO), device: None });
    assert_eq!(got(&mut ended), Some(Ok(2)));
    for one in &mut romeo {
        bot.hear(one, "are you there?");
        assert_eq!(bot.reason(), UndecryptableReason::NoSession);
        bot.bundles(one);
        let sealed = all_sealed(&bot).pop().unwrap();
        assert_eq!(one.reads_this(&sealed), None);
        bot.test.forget();
        bot.hear(one, "and now?");
        assert_eq!(bot.bodies(), ["and now?"], "{:?}", one.form);
    }
}

/// Returns the first stanza with the content of the second one behind its own.
fn together(one: &str, other: &str) -> String {
    let content = |xml: &str| {
        let (_, rest) = xml.split_once("<encrypted ").unwrap();
        format!("<encrypted {}</encrypted>", rest.split_once("</encrypted>").unwrap().0)
    };
    one.replacen(&content(one), &(content(one) + &content(other)), 1)
}

#[test]
fn a_message_in_both_forms_is_read_by_the_one_whose_session_is_there_and_only_once() {
    let mut bot = Bot::new(TrustPolicy::Blind);
    let [mut older, mut current] = begun(&mut bot);
    let from = older.sender();
    let whole = together(&older.writes(&bot, "one", &from), &current.writes(&bot, "two", &from));
    bot.test.hear_xml(&whole);
    assert_eq!(bot.heard().body.as_deref(), Some("two"), "the last one is read");
    bot.test.hear_xml(&whole);
    assert_eq!(bot.reason(), UndecryptableReason::Replayed, "and not the other one, if it comes again");
    // Its session continues at another account.
    let [_, mut lost] = begun(&mut Bot::new(TrustPolicy::Blind));
    lost.device = older.device.clone();
    let half = together(&older.writes(&bot, "three", &from), &lost.writes(&bot, "four", &from));
    bot.test.hear_xml(&half);
    assert_eq!(bot.heard().body.as_deref(), Some("three"));
    bot.test.hear_xml(&half);
    assert_eq!(bot.reason(), UndecryptableReason::Replayed);
    let texts: Vec<_> = bot.bodies().into_iter().filter(|text| *text != "hello").collect();
    assert_eq!(texts, ["two", "three"]);
}

/// profanity writes two keys for members of a room whose address it knows in both of its forms.
#[test]
fn two_keys_for_one_device_leave_no_key_of_a_missing_message() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        romeo.copies = 2;
        for text in ["first", "second"] {
            bot.hear(&mut romeo, text);
            assert_eq!(bot.heard().body.as_deref(), Some(text), "{form:?}");
            let state = bot.test.keys.iter().rev().find_map(|change| match change {
                KeyChange::Session { state, .. } => state.as_ref(),
                _ => None,
            });
            assert_eq!(Ratchet::from_bytes(state.unwrap()).unwrap().kept(), 0, "{form:?} {text}");
        }
    }
}

/// Otherwise a plugin could send what is refused until nobody can read the next message: clients keep the keys of some 2,000 missing
/// ones.
#[test]
fn a_message_that_is_too_long_for_the_keys_takes_none_of_a_session() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Current));
    bot.hear(&mut romeo, "hello");
    let mut sent = bot.say(ROMEO, "who is it?", EncryptionWish::AsTheChat);
    bot.lists(ROMEO, |form| romeo.listed(form));
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    assert_eq!(romeo.reads(&bot).as_deref(), Some("who is it?"));
    for _ in 0..3 {
        // As entities these are 200,000 bytes, which a plain message may have. In base64 they are more than fits beside the keys.
        let mut refused = bot.say(ROMEO, &"&".repeat(40_000), EncryptionWish::AsTheChat);
        let Some(Err(CallError::Invalid { reason, .. })) = got(&mut refused) else { panic!("it is refused") };
        assert!(reason.contains("the keys for all devices"), "{reason}");
    }
    assert!(matches!(got(&mut bot.say(ROMEO, "yes", EncryptionWish::AsTheChat)), Some(Ok(_))));
    assert_eq!(romeo.reads(&bot).as_deref(), Some("yes"));
    assert_eq!(romeo.session.as_ref().unwrap().kept(), 0, "no message is missing");
}

/// A text of one byte has a key for each device of everybody in a room.
#[test]
fn whoever_sends_a_message_is_told_how_many_bytes_encryption_adds() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Current));
    bot.hear(&mut romeo, "hello");
    let (answer, mut sent) = Answer::channel();
    let (charge, charged) = std::sync::mpsc::channel();
    let draft = Draft { body: Some("x".to_owned()), encryption: EncryptionWish::AsTheChat, ..Draft::default() };
    let command = SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft };
    bot.test.command(AnyCommand::with(command, answer.charging(move |bytes| charge.send(bytes).unwrap())));
    assert!(charged.try_recv().is_err(), "it is not known yet");
    bot.lists(ROMEO, |form| romeo.listed(form));
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    let sealed = all_sealed(&bot).into_iter().find(|sealed| sealed.says.is_some()).unwrap();
    assert_eq!(charged.try_recv(), Ok(sealed.content.weight() - 1));
}
