//! Messages without a text in encrypted chats: what people read goes out encrypted or not at all.

use parlor_stanza::types::Reactions;

use super::*;

/// Returns messages without a text, each with whether people read something of it.
fn textless() -> [(Draft, bool); 7] {
    let with = |extensions: Extensions| Draft { extensions: Some(Box::new(extensions)), ..Draft::default() };
    let reacting = |emojis: &[&str]| {
        let emojis = emojis.iter().map(|emoji| (*emoji).to_owned()).collect();
        with(Extensions { reactions: Some(Reactions { id: "m1".to_owned(), emojis }), ..Extensions::default() })
    };
    let id = || Some("m1".to_owned());
    [
        (Draft { subject: Some("secret".to_owned()), ..Draft::default() }, true),
        (reacting(&["👍"]), true),
        (reacting(&[]), false),
        (with(Extensions { receipt: id(), ..Extensions::default() }), false),
        (with(Extensions { retract: id(), ..Extensions::default() }), false),
        (with(Extensions { marker: Some("displayed".to_owned()), marked: id(), ..Extensions::default() }), false),
        (with(Extensions { chat_state: Some("composing".to_owned()), ..Extensions::default() }), false),
    ]
}

/// The older form of OMEMO encrypts a text alone.
#[test]
fn beside_the_older_form_nothing_goes_out_that_people_read() {
    for (policy, (draft, is_read)) in
        [OtrPolicy::Allow, OtrPolicy::Require].into_iter().flat_map(|policy| textless().map(|one| (policy, one)))
    {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
        bot.hear(&mut romeo, "hello");
        set_otr_people(&mut bot.test.session, [(bare(ROMEO), policy)].into_iter().collect());
        let said = |encryption| SendMessage {
            to: jid(ROMEO),
            kind: MessageKind::Chat,
            draft: Draft { encryption, ..draft.clone() },
        };
        bot.test.forget();
        let mut sent = bot.test.ask(said(EncryptionWish::AsTheChat));
        bot.lists(ROMEO, |form| romeo.listed(form));
        let result = got(&mut sent).unwrap();
        assert_eq!(result.is_ok(), !is_read, "{policy:?} {draft:?}");
        assert!(result.err().is_none_or(|error| matches!(error, CallError::Unsupported(_))));
        let is_plain = |bot: &Bot| bot.test.sent.iter().any(|stanza| matches!(stanza, Outgoing::Message { .. }));
        assert_eq!(is_plain(&bot), !is_read, "{policy:?} {draft:?}");
        // A plugin may decide that it goes out in the open, if the owner requires nothing else.
        let may = !is_read || policy == OtrPolicy::Allow;
        assert_eq!(got(&mut bot.test.ask(said(EncryptionWish::None))).unwrap().is_ok(), may, "{policy:?} {draft:?}");
    }
}

#[test]
fn the_current_form_encrypts_what_has_no_text_too() {
    for (draft, _) in textless() {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Current));
        bot.hear(&mut romeo, "hello");
        bot.test.forget();
        let mut sent = bot.test.ask(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft });
        bot.lists(ROMEO, |form| romeo.listed(form));
        assert!(matches!(got(&mut sent), Some(Ok(_))));
        assert!(!bot.test.sent.iter().any(|stanza| matches!(stanza, Outgoing::Message { .. })));
    }
}

/// The older form of OMEMO encrypts a text alone, which says the same to clients without reactions (XEP-0444).
#[test]
fn beside_an_encrypted_text_no_reaction_is_told_to_others() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.hear(&mut romeo, "hello");
        let reactions = Some(Reactions { id: "m1".to_owned(), emojis: vec!["👍".to_owned()] });
        let extensions = Some(Box::new(Extensions { reactions, ..Extensions::default() }));
        let draft = Draft { body: Some("👍".to_owned()), extensions, ..Draft::default() };
        let mut sent = bot.test.ask(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft });
        bot.lists(ROMEO, |form| romeo.listed(form));
        assert!(matches!(got(&mut sent), Some(Ok(_))), "{form:?}");
        let sealed = bot.test.sent.iter().rev().find_map(|stanza| match stanza {
            Outgoing::Sealed(sealed) => Some(sealed),
            _ => None,
        });
        assert_eq!(sealed.expect("it is encrypted").beside.reactions, None, "{form:?}");
        assert_eq!(romeo.reads(&bot).as_deref(), Some("👍"), "{form:?}");
    }
}
