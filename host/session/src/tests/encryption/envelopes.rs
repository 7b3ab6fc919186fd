//! The affixes of an envelope (XEP-0420): its author, its recipient and its time, and what counts within and beside it.

use super::*;
use crate::encryption::remarks::Remark;

/// Returns the envelope of a greeting, with what else it says.
fn greeting(affixes: &str) -> String {
    format!(
        "<envelope xmlns='urn:xmpp:sce:1'><content><body xmlns='jabber:client'>hello</body></content><rpad>x</rpad>{affixes}\
         </envelope>"
    )
}

#[test]
fn an_envelope_need_not_name_its_author_and_names_nobody_else() {
    let from = |jid: &str| format!("<from jid='{jid}'/>");
    for (affixes, is_read) in [
        (String::new(), true),
        (from(ROMEO), true),
        (from(&format!("{ROMEO}/phone")), true),
        (from(JULIET), false),
        (from(""), false),
        ("<from/>".to_owned(), false),
    ] {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Current));
        let sender = romeo.sender();
        let xml = romeo.seals(&bot, &greeting(&affixes), &sender);
        bot.test.hear_xml(&xml);
        let told = (bot.test.count("message"), bot.test.count("undecryptable"));
        assert_eq!(told, (usize::from(is_read), usize::from(!is_read)), "{affixes}");
    }
}

#[test]
fn an_envelope_is_for_whom_it_names_and_in_a_room_it_has_to_name_the_room() {
    let to = |jid: &str| format!("<to jid='{jid}'/>");
    for (in_room, affixes, is_read) in [
        (false, String::new(), true),
        (false, to("bot@example.org"), true),
        (false, to(ROOM), false),
        (false, to(ROMEO), false),
        (false, to(""), false),
        (true, String::new(), false),
        (true, to(ROOM), true),
        (true, to("bot@example.org"), false),
        (true, to("other@muc.example.org"), false),
    ] {
        let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, OmemoForm::Current));
        bot.in_room_of(&juliet);
        // The key is known, so that no message of the room waits for it.
        bot.hear(&mut juliet, "it is me");
        bot.test.forget();
        let sender = if in_room { format!("from='{ROOM}/juliet'") } else { juliet.sender() };
        let xml = juliet.seals(&bot, &greeting(&affixes), &sender);
        bot.test.hear_xml(&xml);
        let told = (bot.test.count("message"), bot.test.count("undecryptable"));
        assert_eq!(told, (usize::from(is_read), usize::from(!is_read)), "{in_room} {affixes}");
    }
}

/// A room sets its subject in the open, for those who may change it. Otherwise each member could make the account believe in another one.
#[test]
fn a_subject_within_an_envelope_is_not_that_of_the_room() {
    let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, OmemoForm::Current));
    bot.in_room_of(&juliet);
    bot.hear(&mut juliet, "it is me");
    bot.test.forget();
    let envelope = greeting(&format!("<to jid='{ROOM}'/>")).replace("body", "subject");
    let xml = juliet.seals(&bot, &envelope, &format!("from='{ROOM}/juliet'"));
    bot.test.hear_xml(&xml);
    assert_eq!((bot.heard().body.as_deref(), bot.heard().subject.as_deref()), (None, Some("hello")));
    assert_eq!(bot.test.count("roomSubjectChanged"), 0);
    assert_eq!(bot.test.session.features.rooms.shown.get(&bare(ROOM)).unwrap().subject, None);
}

/// XEP-0420, section 4.1: it only hides the length of the content.
#[test]
fn padding_of_any_length_is_read_and_affixes_of_later_versions_are_left_out() {
    for affixes in ["", "<rpad/>", "<later xmlns='urn:example:later'/>", &format!("<rpad>{}</rpad>", "x".repeat(5_000))]
    {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Current));
        let sender = romeo.sender();
        let xml = romeo.seals(&bot, &greeting("").replace("<rpad>x</rpad>", affixes), &sender);
        bot.test.hear_xml(&xml);
        assert_eq!(bot.heard().body.as_deref(), Some("hello"), "{affixes}");
    }
}

/// Hints are for servers, which see only those beside the envelope (XEP-0420).
#[test]
fn hints_count_beside_an_envelope_and_not_within() {
    for (beside, hints) in [("", 0), ("<store xmlns='urn:xmpp:hints'/></message>", 1)] {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Current));
        let within = "</body><no-store xmlns='urn:xmpp:hints'/><markable xmlns='urn:xmpp:chat-markers:0'/>";
        let sender = romeo.sender();
        let mut xml = romeo.seals(&bot, &greeting("").replace("</body>", within), &sender);
        if !beside.is_empty() {
            xml = xml.replace("</message>", beside);
        }
        bot.test.hear_xml(&xml);
        let extensions = bot.heard().extensions.as_ref().unwrap();
        assert!(extensions.markable);
        assert_eq!(extensions.hints.len(), hints, "{:?}", extensions.hints);
    }
}

/// XEP-0420, section 4: the message is read, and the owner can find it in the log.
#[test]
fn a_message_that_was_held_back_or_is_of_a_wrong_clock_is_read_and_remarked_upon() {
    let stamp = "<delay xmlns='urn:xmpp:delay' from='example.org' stamp='2026-11-01T06:00:00Z'/></message>";
    for (time, is_stored, is_remarkable) in [
        ("2026-11-20T06:24:00Z", false, false),
        ("2026-11-19T07:00:00Z", false, false),
        ("2026-11-19T06:00:00Z", false, true),
        ("1970-01-01T00:00:00Z", false, true),
        ("2026-11-22T06:24:00Z", false, true),
        ("long ago", false, false),
        // The server kept it for the account.
        ("2026-11-01T05:59:00Z", true, false),
        ("2026-11-20T06:24:00Z", true, true),
    ] {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Current));
        let sender = romeo.sender();
        let mut xml = romeo.seals(&bot, &greeting(&format!("<time stamp='{time}'/>")), &sender);
        if is_stored {
            xml = xml.replace("</message>", stamp);
        }
        bot.test.hear_xml(&xml);
        assert_eq!(bot.heard().body.as_deref(), Some("hello"), "{time}");
        let remarks = &bot.test.session.features.encryption.remarks;
        assert_eq!(remarks.has(&bare(ROMEO), Remark::OtherTime), is_remarkable, "{time} {is_stored}");
    }
}

/// XEP-0384, section 5.7: nobody but the owner ends the encryption of a chat.
#[test]
fn whoever_asks_for_plain_messages_still_gets_encrypted_ones() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Current));
    let within = "</body><opt-out xmlns='urn:xmpp:omemo:2'><reason>I keep records</reason></opt-out>";
    let sender = romeo.sender();
    let xml = romeo.seals(&bot, &greeting("").replace("</body>", within), &sender);
    bot.test.hear_xml(&xml);
    assert_eq!(bot.heard().body.as_deref(), Some("hello"));
    assert!(bot.test.session.features.encryption.remarks.has(&bare(ROMEO), Remark::OptsOut));
    let _sent = bot.say(ROMEO, "as before", EncryptionWish::AsTheChat);
    bot.lists(ROMEO, |form| romeo.listed(form));
    assert_eq!(romeo.reads(&bot).as_deref(), Some("as before"));
}

/// The older form encrypts a text alone. Clients write in the open which part of it is the quotation in front of a reply.
#[test]
fn nobody_in_between_cuts_words_out_of_an_encrypted_text() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
    let from = romeo.sender();
    for (text, (start, end), said) in [
        ("> are you there?\nyes", (0, 17), "yes"),
        ("> are you there?\nyes", (0, 16), "yes"),
        ("> one\n> two\n\nyes", (0, 13), "yes"),
        ("do not open", (0, 7), "do not open"),
        ("open, or do not", (4, 15), "open, or do not"),
        ("> are you there?\nno, yes", (0, 21), "> are you there?\nno, yes"),
        ("> are you there?\nyes", (2, 17), "> are you there?\nyes"),
        ("> no", (0, 4), "> no"),
    ] {
        let xml = romeo.writes(&bot, text, &from);
        let beside = format!(
            "<reply xmlns='urn:xmpp:reply:0' id='m0'/><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'>\
             <body start='{start}' end='{end}'/></fallback></message>"
        );
        bot.test.hear_xml(&xml.replace("</message>", &beside));
        assert_eq!(bot.heard().said(), said, "{text} {start} {end}");
    }
}
