//! State that outlives a restart, how long it is kept, and chats whose encryption was turned off.

use parlor_stanza::types::Reactions;

use super::*;

#[test]
fn what_was_kept_goes_on_after_a_restart() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Current));
    bot.hear(&mut romeo, "hello");
    let mut kept = KeptKeys::default();
    for change in std::mem::take(&mut bot.test.keys) {
        match change {
            KeyChange::Device(state) => kept.device = Some(state),
            KeyChange::Session { jid, device, form, state: Some(state) } => {
                kept.sessions.retain(|(of, id, in_form, _)| (of, *id, *in_form) != (&jid, device, form));
                kept.sessions.push((jid, device, form, state));
            }
            KeyChange::Key(key) => {
                kept.keys.retain(|known| known.fingerprint != key.fingerprint);
                kept.keys.push(key);
            }
            KeyChange::Way(jid, Some(way)) => kept.ways.push((jid, way)),
            _ => {}
        }
    }
    let mut test = TestSession::new(Settings::default());
    test.run(|session, now, effects| set_encryption(session, Encryption::default(), now, effects));
    keys_kept(&mut test.session, kept);
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster(vec![item(ROMEO, "both")]);
    test.forget();
    let mut after = Bot { test, id: bot.id };
    after.hear(&mut romeo, "still there?");
    assert_eq!(after.heard().body.as_deref(), Some("still there?"));
    let mut sent = after.say(ROMEO, "yes", EncryptionWish::AsTheChat);
    after.lists(ROMEO, |form| romeo.listed(form));
    assert!(matches!(got(&mut sent), Some(Ok(_))), "the chat is still encrypted");
    assert_eq!(romeo.reads(&after).as_deref(), Some("yes"));
}

/// Lets Romeo write in the open, a quarter of an hour after his last encrypted message at the earliest.
fn hear_plainly(bot: &mut Bot, id: &str) {
    bot.test.hear_xml(&format!(
        "<message xmlns='jabber:client' from='{ROMEO}/phone' type='chat' id='{id}'><body>in the open</body></message>"
    ));
    assert_eq!(bot.heard().encryption, None);
}

/// It says nearly the same as the message, which nobody else could read.
#[test]
fn a_correction_is_encrypted_if_the_message_was_although_the_chat_is_plain_now() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.hear(&mut romeo, "hello");
        let mut sent = bot.say(ROMEO, "secret", EncryptionWish::AsTheChat);
        bot.lists(ROMEO, |form| romeo.listed(form));
        let id = got(&mut sent).unwrap().unwrap();
        assert_eq!(romeo.reads(&bot).as_deref(), Some("secret"));
        bot.test.wait(15 * 60 + 1);
        hear_plainly(&mut bot, "plain");
        for (replace, is_sealed) in [(Some(id), true), (Some("another".to_owned()), false), (None, false)] {
            let extensions = Some(Box::new(Extensions { replace, ..Extensions::default() }));
            let draft = Draft { body: Some("secrets".to_owned()), extensions, ..Draft::default() };
            let before = bot.sealed();
            let mut sent = bot.test.ask(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft });
            assert!(matches!(got(&mut sent), Some(Ok(_))), "{form:?}");
            assert_eq!(bot.sealed() - before, usize::from(is_sealed), "{form:?}");
        }
        assert_eq!(romeo.reads(&bot).as_deref(), Some("secrets"), "{form:?}");
    }
}

/// Somebody on the path decides when keys come, and when a plain message does.
#[test]
fn a_message_that_waits_for_keys_does_not_become_plain_meanwhile() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.hear(&mut romeo, "hello");
        bot.test.wait(15 * 60 + 1);
        let mut sent = bot.say(ROMEO, "secret", EncryptionWish::AsTheChat);
        assert_eq!(got(&mut sent), None, "it waits for the lists");
        hear_plainly(&mut bot, "plain");
        bot.lists(ROMEO, |form| romeo.listed(form));
        assert!(matches!(got(&mut sent), Some(Ok(_))), "{form:?}");
        assert_eq!(romeo.reads(&bot).as_deref(), Some("secret"), "{form:?}");
        // The next plain message ends the encryption, as it would have.
        hear_plainly(&mut bot, "plain again");
        let before = bot.sealed();
        assert!(matches!(got(&mut bot.say(ROMEO, "hello", EncryptionWish::AsTheChat)), Some(Ok(_))), "{form:?}");
        assert_eq!(bot.sealed(), before, "{form:?}");
    }
}

#[test]
fn what_was_read_before_is_no_sign_of_a_lost_session() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.test.announces("bot@example.org", &["urn:xmpp:sid:0".to_owned()]);
        let from = romeo.sender();
        let id = "<stanza-id xmlns='urn:xmpp:sid:0' by='bot@example.org' id='a1'/></message>";
        let xml = romeo.writes(&bot, "once", &from).replace("</message>", id);
        bot.test.hear_xml(&xml);
        assert_eq!(bot.heard().body.as_deref(), Some("once"));
        let mut ended = bot.test.ask(ResetSessions { jid: bare(ROMEO), device: None });
        assert_eq!(got(&mut ended), Some(Ok(1)));
        romeo.session = None;
        bot.hear(&mut romeo, "anew");
        assert_eq!(bot.heard().body.as_deref(), Some("anew"));
        let node = form.bundle_node(romeo.id());
        let before = bot.test.count_asked(|ask| wants(ask, &node));
        bot.test.hear_xml(&renamed(&xml));
        assert_eq!(bot.reason(), UndecryptableReason::Replayed);
        assert_eq!(bot.test.count_asked(|ask| wants(ask, &node)), before, "no new session begins");
    }
}

/// A server can put a key of its own under the id of a device, and the owner verifies the real one later, or did so before.
#[test]
fn a_message_that_comes_again_has_no_more_trust_than_the_key_that_wrote_it() {
    for (form, hours) in OmemoForm::ALL.into_iter().flat_map(|form| [(form, 1), (form, -1)]) {
        let (mut bot, mut mallory) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.test.announces("bot@example.org", &["urn:xmpp:sid:0".to_owned()]);
        let from = mallory.sender();
        let id = "<stanza-id xmlns='urn:xmpp:sid:0' by='bot@example.org' id='a1'/></message>";
        let xml = mallory.writes(&bot, "open", &from).replace("</message>", id);
        bot.test.hear_xml(&xml);
        assert_eq!(bot.heard().device_trust, Some(types::DeviceTrust::Blind));
        let seen = bot.test.now + jiff::SignedDuration::from_hours(hours);
        let verified = KnownKey {
            jid: bare(ROMEO),
            kind: KeyKind::Omemo { device: mallory.id() },
            fingerprint: "ab".repeat(32),
            label: None,
            trust: types::DeviceTrust::Trusted,
            first_seen: seen,
            last_seen: seen,
            is_listed: false,
        };
        // The process that read it ended before it told of it.
        let place = bot.test.keys.iter().position(|change| matches!(change, KeyChange::MessageKey(_))).unwrap();
        let KeyChange::MessageKey(key) = bot.test.keys.remove(place) else { panic!("it is the key of a message") };
        let kept = KeptKeys { keys: vec![verified], message_keys: vec![key], ..KeptKeys::default() };
        keys_kept(&mut bot.test.session, kept);
        bot.test.forget();
        bot.test.hear_xml(&renamed(&xml));
        let heard = bot.heard();
        assert_eq!((heard.body.as_deref(), heard.device_trust), (Some("open"), Some(types::DeviceTrust::Blind)));
    }
}

#[test]
fn a_message_that_the_server_kept_from_before_a_session_replaces_no_session() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.test.announces("bot@example.org", &["urn:xmpp:sid:0".to_owned()]);
        bot.hear(&mut romeo, "hello");
        let mut sent = bot.say(ROMEO, "hello", EncryptionWish::AsTheChat);
        bot.lists(ROMEO, |form| romeo.listed(form));
        assert!(matches!(got(&mut sent), Some(Ok(_))));
        assert_eq!(romeo.reads(&bot).as_deref(), Some("hello"));
        let from = romeo.sender();
        let [first, second] = ["one", "two"].map(|text| romeo.writes(&bot, text, &from));
        let mut ended = bot.test.ask(ResetSessions { jid: bare(ROMEO), device: None });
        assert_eq!(got(&mut ended), Some(Ok(1)));
        romeo.session = None;
        let id = "<stanza-id xmlns='urn:xmpp:sid:0' by='bot@example.org' id='a1'/></message>";
        let xml = romeo.writes(&bot, "anew", &from).replace("</message>", id);
        bot.test.hear_xml(&xml);
        assert_eq!(bot.heard().body.as_deref(), Some("anew"));
        let node = form.bundle_node(romeo.id());
        let before = bot.test.count_asked(|ask| wants(ask, &node));
        let at = bot.test.now - Duration::from_hours(1);
        let stamp = format!("<delay xmlns='urn:xmpp:delay' from='example.org' stamp='{at}'/></message>");
        bot.test.hear_xml(&first.replace("</message>", &stamp));
        assert_eq!(bot.reason(), UndecryptableReason::NoSession);
        assert_eq!(bot.test.count_asked(|ask| wants(ask, &node)), before, "no new session begins");
        // One that comes now does not come from before it.
        bot.test.hear_xml(&second);
        assert_eq!(bot.reason(), UndecryptableReason::Broken);
        assert_eq!(bot.test.count_asked(|ask| wants(ask, &node)), before + 1);
    }
}

/// Returns the archived messages whose keys are forgotten.
fn forgotten(test: &TestSession) -> Vec<&str> {
    let names = test.keys.iter().flat_map(|change| match change {
        KeyChange::NoMessageKeys(names) => names.as_slice(),
        _ => &[],
    });
    names.map(String::as_str).collect()
}

#[test]
fn keys_of_messages_are_forgotten_after_two_days_also_by_a_host_that_was_off() {
    let mut test = TestSession::new(Settings::default());
    let hours = |hours: u64| test.now - Duration::from_secs(hours * 3_600);
    let key = |name: &str, at: Timestamp| MessageKey {
        archived: name.to_owned(),
        jid: bare(ROMEO),
        device: 5,
        form: OmemoForm::Current,
        key: Secret::new(vec![1]),
        at,
    };
    let message_keys = vec![key("of last week", hours(170)), key("of yesterday", hours(20))];
    // Also while OMEMO is off, and before there is a stream.
    keys_kept(&mut test.session, KeptKeys { message_keys, ..KeptKeys::default() });
    test.run(Session::tick);
    assert_eq!(forgotten(&test), ["of last week"]);
    for _ in 0..28 {
        test.wait(3_600);
    }
    assert_eq!(forgotten(&test), ["of last week"]);
    test.run(Session::closed);
    test.wait(3_600);
    assert_eq!(forgotten(&test), ["of last week", "of yesterday"]);
    assert_eq!(test.session.next_deadline(), None, "there is nothing more to forget");
}

#[test]
fn a_prekey_that_was_used_while_an_archive_was_read_begins_no_session_now() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
    let mut device = bot.device();
    let mut parts = device.bundle(Version::Axolotl).parts();
    parts.prekeys.truncate(1);
    let bundle = Bundle::parse(Version::Axolotl, &parts).unwrap();
    romeo.session = Some(start(&romeo.device, &bundle, &mut rand::rng()).unwrap());
    assert!(device.use_prekey(parts.prekeys[0].0, Keep::UntilCaughtUp));
    keys_kept(&mut bot.test.session, KeptKeys { device: Some(device.to_bytes()), ..KeptKeys::default() });
    bot.hear(&mut romeo, "hello");
    assert_eq!((bot.test.count("message"), bot.reason()), (0, UndecryptableReason::NoSession));
}

#[test]
fn prekeys_that_the_last_process_kept_for_an_archive_are_forgotten() {
    let mut device = Device::generate(&mut rand::rng(), 0);
    assert!(device.use_prekey(1, Keep::UntilCaughtUp));
    let mut test = TestSession::new(Settings::default());
    test.run(|session, now, effects| set_encryption(session, Encryption::default(), now, effects));
    keys_kept(&mut test.session, KeptKeys { device: Some(device.to_bytes()), ..KeptKeys::default() });
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster(vec![item(ROMEO, "both")]);
    test.wait(7 * 3_600);
    let last = test.keys.iter().rev().find_map(|change| match change {
        KeyChange::Device(state) => Some(state),
        _ => None,
    });
    assert_eq!(Device::from_bytes(last.unwrap()).unwrap().forget_used_prekeys(), 0);
}

/// A host that lost them would be found by keys that it does not have.
#[test]
fn own_keys_are_published_once_they_are_on_disk_and_are_written_again_if_they_could_not_be() {
    let mut test = Bot::unpublished(TrustPolicy::Blind);
    let of_keys = |test: &mut TestSession| -> Vec<bool> {
        let lines = test.lines().into_iter().filter(|line| line == "keep keys" || line.contains("bundles"));
        lines.map(|line| line == "keep keys" || line.ends_with(" once kept")).collect()
    };
    let times_kept = |test: &TestSession| test.keys.iter().filter(|one| matches!(one, KeyChange::Device(_))).count();
    assert_eq!((of_keys(&mut test), times_kept(&test)), (vec![true; 2], 1));
    // The request was not sent either, so that it gets no answer.
    keys_unwritten(&mut test.session);
    test.wait(31);
    assert_eq!((of_keys(&mut test), times_kept(&test)), (vec![true; 2], 2));
    test.wait(1);
    accept(&mut test);
    assert!(of_keys(&mut test).into_iter().all(|is_kept| is_kept));
    assert_eq!(times_kept(&test), 2, "they are kept once");
    assert!(listed_first(&test).is_some());
    got(&mut test.ask(ResetOwnKeys));
    for _ in 0..8 {
        keys_unwritten(&mut test.session);
        test.wait(31);
    }
    assert!(test.news.iter().any(|news| matches!(news.what, KeyNewsKind::NotPublished)), "the owner is told");
}

/// Sends a text with the encryption of the chat, and returns whether it was sent unencrypted.
fn goes_plainly(test: &mut TestSession, to: &str, wish: EncryptionWish) -> Result<bool, CallError> {
    let draft = Draft { body: Some("hello".to_owned()), encryption: wish, ..Draft::default() };
    let mut sent = test.ask(SendMessage { to: jid(to), kind: MessageKind::Chat, draft });
    got(&mut sent).unwrap().map(|_| matches!(test.sent.last(), Some(Outgoing::Message { .. })))
}

#[test]
fn a_chat_that_was_encrypted_is_not_answered_plainly_because_encryption_was_turned_off() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
    bot.hear(&mut romeo, "hello");
    bot.test.run(|session, now, effects| set_encryption(session, Encryption::OFF, now, effects));
    let refused = goes_plainly(&mut bot.test, ROMEO, EncryptionWish::AsTheChat).unwrap_err().to_string();
    assert!(refused.contains("OMEMO, which is off") && refused.contains("plain_instead"), "{refused}");
    // Explicitly unencrypted messages, messages to others, and messages without a text are sent.
    assert_eq!(goes_plainly(&mut bot.test, ROMEO, EncryptionWish::None), Ok(true));
    assert_eq!(goes_plainly(&mut bot.test, JULIET, EncryptionWish::AsTheChat), Ok(true));
    let typing = Some(Box::new(Extensions { chat_state: Some("composing".to_owned()), ..Extensions::default() }));
    let draft = Draft { extensions: typing, ..Draft::default() };
    let mut sent = bot.test.ask(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft });
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    let reactions = Some(Reactions { id: "m1".to_owned(), emojis: vec!["👍".to_owned()] });
    let extensions = Some(Box::new(Extensions { reactions, ..Extensions::default() }));
    let draft = Draft { extensions, ..Draft::default() };
    let mut sent = bot.test.ask(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft });
    assert!(matches!(got(&mut sent), Some(Err(CallError::Unsupported(_)))));
    let wanted = Encryption { plain_instead: true, ..Encryption::OFF };
    bot.test.run(|session, now, effects| set_encryption(session, wanted, now, effects));
    assert_eq!(goes_plainly(&mut bot.test, ROMEO, EncryptionWish::AsTheChat), Ok(true));
    assert_eq!(bot.sealed(), 0);
}

#[test]
fn while_keys_cannot_be_read_nothing_is_said_plainly_where_it_may_have_been_encrypted() {
    let way = (bare(ROMEO), Way::Omemo(OmemoForm::Older));
    for (ways, may_be_any, is_allowed) in
        [(Some(vec![way]), false, false), (None, true, false), (None, true, true), (Some(Vec::new()), false, false)]
    {
        let is_romeos = ways.as_ref().is_none_or(|ways| !ways.is_empty());
        let mut test = TestSession::new(Settings::default());
        let config = Encryption { plain_instead: is_allowed, ..Encryption::default() };
        test.run(|session, now, effects| set_encryption(session, config, now, effects));
        test.run(|session, now, _| keys_unreadable(session, ways, now));
        test.run(Session::plugins_initialized);
        test.bind();
        test.roster(vec![item(ROMEO, "both"), item(JULIET, "both")]);
        assert!(test.keys.is_empty(), "no new keys take the place of those on disk");
        let are_said = [ROMEO, JULIET].map(|who| goes_plainly(&mut test, who, EncryptionWish::AsTheChat).is_ok());
        assert_eq!(are_said, [is_allowed || !is_romeos, is_allowed || !may_be_any]);
        assert_eq!(goes_plainly(&mut test, ROMEO, EncryptionWish::None), Ok(true));
        assert!(goes_plainly(&mut test, ROMEO, EncryptionWish::Required).is_err());
    }
}

#[test]
fn an_alert_is_encrypted_if_the_chat_with_the_owner_is() {
    let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, OmemoForm::Current));
    bot.test.session.set_owners(vec![bare(JULIET)]);
    bot.test.run(|session, now, effects| tell_owners(session, "the first", now, effects));
    assert!(matches!(bot.test.sent.last(), Some(Outgoing::Message { .. })));
    bot.hear(&mut juliet, "hello");
    bot.test.run(|session, now, effects| tell_owners(session, "the second", now, effects));
    bot.lists(JULIET, |form| juliet.listed(form));
    assert_eq!(juliet.reads(&bot).as_deref(), Some("the second"));
}

#[test]
fn what_is_told_of_keys_is_told_when_it_changes() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
    assert_eq!(changed_key_counts(&mut bot.test.session).map(|counts| counts.decrypted), Some(0));
    bot.test.message(message("romeo@example.org/x", MessageKind::Chat, "hello"));
    assert_eq!(changed_key_counts(&mut bot.test.session), None, "that was plain");
    bot.hear(&mut romeo, "hello");
    let counts = changed_key_counts(&mut bot.test.session).unwrap();
    assert_eq!((counts.decrypted, counts.known, counts.device), (1, 1, Some(bot.id)));
    assert_eq!(changed_key_counts(&mut bot.test.session), None);
}

#[test]
fn without_a_wish_for_encryption_nothing_is_different() {
    let mut test = TestSession::connected(Settings::default());
    assert!(test.keys.is_empty());
    assert_eq!(test.count_asked(|ask| matches!(ask, Ask::Pubsub(_))), 0);
    test.message(message("romeo@example.org/x", MessageKind::Chat, "?OTRv3?"));
    assert_eq!(test.count("message"), 1);
}
