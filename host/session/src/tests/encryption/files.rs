//! Addresses of encrypted files: each has a key, so that it goes out encrypted or not at all.

use super::super::commands::plugin;
use super::*;

/// Returns texts with the address of an encrypted file.
fn texts() -> [String; 4] {
    let url = format!("aesgcm://upload.example.org/a.png#{}", "0f".repeat(44));
    [url.clone(), format!("look: ({url})"), url.replacen("aesgcm", "AESGCM", 1), format!("{url}\ndata:image/jpeg,/9j/")]
}

fn is_refused<T>(outcome: Option<&Result<T, CallError>>) -> bool {
    matches!(outcome, Some(Err(CallError::Unsupported(_))))
}

#[test]
fn the_key_of_a_file_goes_out_in_no_text_that_is_not_encrypted() {
    for is_on in [true, false] {
        let mut test =
            if is_on { Bot::new(TrustPolicy::Blind).test } else { TestSession::connected(Settings::default()) };
        test.sent.clear();
        for text in texts() {
            let url = "https://example.org".to_owned();
            let preview = types::LinkPreview { url, description: Some(text.clone()), ..types::LinkPreview::default() };
            let extensions = Some(Box::new(Extensions { previews: vec![preview], ..Extensions::default() }));
            let said = Some("a cat".to_owned());
            for draft in [
                Draft { body: Some(text.clone()), ..Draft::default() },
                Draft { body: said.clone(), subject: Some(text.clone()), ..Draft::default() },
                Draft { body: said, extensions, ..Draft::default() },
            ] {
                for encryption in [EncryptionWish::AsTheChat, EncryptionWish::None] {
                    let draft = Draft { encryption, ..draft.clone() };
                    let mut sent = test.ask(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft });
                    assert!(is_refused(got(&mut sent).as_ref()), "{is_on} {text}");
                }
            }
            let written = text.replace('&', "&amp;");
            for stanza in [
                format!("<message type='chat' to='{ROMEO}'><body>{written}</body></message>"),
                format!("<message type='groupchat' to='{ROOM}'><subject>{written}</subject></message>"),
                format!("<presence><status>{written}</status></presence>"),
            ] {
                let mut sent = test.ask(SendRaw { by: InstanceId(1), stanza: raw(&stanza) });
                assert!(is_refused(got(&mut sent).as_ref()), "{is_on} {stanza}");
            }
            let iq = raw(&format!("<iq type='set' id='1' to='{ROMEO}'><item xmlns='urn:x'>{written}</item></iq>"));
            assert!(is_refused(got(&mut test.ask(SendIq { by: InstanceId(1), iq })).as_ref()), "{is_on}");
        }
        assert!(test.sent.is_empty(), "{is_on}: {:?}", test.sent);
    }
}

#[test]
fn the_key_of_a_file_goes_out_in_an_encrypted_text() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.hear(&mut romeo, "hello");
        let text = &texts()[1];
        let mut sent = bot.say(ROMEO, text, EncryptionWish::AsTheChat);
        bot.lists(ROMEO, |form| romeo.listed(form));
        assert!(matches!(got(&mut sent), Some(Ok(_))), "{form:?}");
        assert_eq!(romeo.reads(&bot).as_ref(), Some(text), "{form:?}");
    }
}

#[test]
fn no_question_goes_out_with_the_key_of_a_file() {
    for is_on in [true, false] {
        let mut test =
            if is_on { Bot::new(TrustPolicy::Blind).test } else { TestSession::connected(Settings::default()) };
        test.sent.clear();
        let asks = plugin("asks");
        let question = Question::check(texts()[1].clone(), vec!["yes".to_owned()], None).unwrap();
        let (mailbox, draft, plugin) = (Arc::clone(&asks.mailbox), question.message(None), asks.id.clone());
        let mut begun = test.ask(BeginDialog { mailbox, plugin, to: jid(ROMEO), nick: None, question, draft, most: 3 });
        match got(&mut begun) {
            Some(Ok(mut end)) => assert!(is_on && is_refused(got(&mut end).as_ref())),
            refused => assert!(!is_on && is_refused(refused.as_ref())),
        }
        assert!(test.sent.is_empty(), "{is_on}: {:?}", test.sent);
    }
}
