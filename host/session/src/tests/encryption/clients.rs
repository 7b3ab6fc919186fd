//! Clients and servers of others that do something else than this host would: what they write is read, and answered.

use parlor_stanza::types::NodeOptions;

use super::*;

/// Returns the options that a node gets.
fn configured<'a>(ask: &'a Ask, wanted: &str) -> Option<&'a NodeOptions> {
    let Ask::Pubsub(ask) = ask else { return None };
    match &**ask {
        PubsubAsk::Configure { node, options } if node == wanted => Some(options),
        _ => None,
    }
}

/// Returns whether something is published in this node without options.
fn is_published_as_it_is(ask: &Ask, wanted: &str) -> bool {
    let Ask::Pubsub(ask) = ask else { return false };
    match &**ask {
        PubsubAsk::Publish { node, options, .. } => node == wanted && *options == NodeOptions::default(),
        _ => false,
    }
}

/// Another client made the node, which has the bundles of all devices, and keeps a single one.
#[test]
fn a_node_with_other_options_gets_those_that_all_devices_need() {
    let node = OmemoForm::Current.bundle_node(1);
    let open = NodeOptions { access: Some("open"), ..NodeOptions::default() };
    let all = NodeOptions { persist: Some(true), keeps_all: true, ..open.clone() };
    for takes_all in [true, false] {
        let mut test = Bot::unpublished(TrustPolicy::Blind);
        let id = test.asked(|ask| publishes(ask, &bundle_nodes(OmemoForm::Older)));
        test.answer(None, id, Ok(Body::Empty));
        let id = test.asked(|ask| publishes(ask, &node));
        test.answer(None, id, Err(stanza_error("conflict")));
        let id = test.asked(|ask| configured(ask, &node) == Some(&all));
        test.answer(None, id, if takes_all { Ok(Body::Empty) } else { Err(stanza_error("not-acceptable")) });
        if !takes_all {
            let id = test.asked(|ask| configured(ask, &node) == Some(&open));
            test.answer(None, id, Err(stanza_error("forbidden")));
        }
        let id = test.asked(|ask| is_published_as_it_is(ask, &node));
        test.answer(None, id, Ok(Body::Empty));
        accept(&mut test);
        assert_eq!(lists(&test).len(), 1, "{takes_all}");
    }
}

/// Clients react and retract plainly in chats with the older form, with a text for clients that know neither.
#[test]
fn a_plain_reaction_or_retraction_does_not_make_a_chat_plain() {
    let reaction = "<reactions xmlns='urn:xmpp:reactions:0' id='m1'><reaction>👍</reaction></reactions>";
    let retraction = "<retract xmlns='urn:xmpp:message-retract:1' id='m1'/>";
    for (feature, payload) in [("urn:xmpp:reactions:0", reaction), ("urn:xmpp:message-retract:1", retraction)] {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
        bot.hear(&mut romeo, "hello");
        bot.test.wait(15 * 60 + 1);
        bot.test.hear_xml(&format!(
            "<message xmlns='jabber:client' from='{ROMEO}/phone' type='chat' id='plain'><body>for others</body>{payload}\
             <fallback xmlns='urn:xmpp:fallback:0' for='{feature}'><body/></fallback></message>"
        ));
        let mut sent = bot.say(ROMEO, "secret", EncryptionWish::AsTheChat);
        assert_eq!(got(&mut sent), None, "it waits for the lists");
        bot.lists(ROMEO, |form| romeo.listed(form));
        assert!(matches!(got(&mut sent), Some(Ok(_))));
        assert_eq!(romeo.reads(&bot).as_deref(), Some("secret"), "{feature}");
    }
}

#[test]
fn somebody_who_turns_omemo_on_is_answered_though_the_list_was_empty_a_moment_ago() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        let mut sent = bot.say(ROMEO, "secret", EncryptionWish::Required);
        bot.lists(ROMEO, |_| Vec::new());
        assert!(matches!(got(&mut sent), Some(Err(CallError::Unsupported(_)))));
        bot.hear(&mut romeo, "it is on now");
        assert!(matches!(got(&mut bot.say(ROMEO, "secret", EncryptionWish::Required)), Some(Ok(_))), "{form:?}");
        assert_eq!(romeo.reads(&bot).as_deref(), Some("secret"), "{form:?}");
    }
}

/// Some clients publish lists that only contacts may read.
#[test]
fn a_device_with_a_session_is_answered_while_its_list_cannot_be_had() {
    fn refuse(bot: &mut Bot, condition: &str) {
        for form in OmemoForm::ALL {
            let id = bot.test.asked_of(ROMEO, |ask| wants(ask, form.list_node()));
            bot.test.answer(Some(ROMEO), id, Err(stanza_error(condition)));
        }
    }
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.hear(&mut romeo, "hello");
        let mut sent = bot.say(ROMEO, "one", EncryptionWish::Required);
        refuse(&mut bot, "not-authorized");
        assert!(matches!(got(&mut sent), Some(Ok(_))), "{form:?}");
        assert_eq!(romeo.reads(&bot).as_deref(), Some("one"), "{form:?}");
        // The list is asked for again, and the devices in it stay if it cannot be had later.
        bot.test.wait(301);
        let mut sent = bot.say(ROMEO, "two", EncryptionWish::Required);
        bot.lists(ROMEO, |form| romeo.listed(form));
        assert!(matches!(got(&mut sent), Some(Ok(_))), "{form:?}");
        bot.test.wait(3_601);
        let mut sent = bot.say(ROMEO, "three", EncryptionWish::Required);
        refuse(&mut bot, "remote-server-not-found");
        assert!(matches!(got(&mut sent), Some(Ok(_))), "{form:?}");
        assert_eq!(romeo.reads(&bot).as_deref(), Some("three"), "{form:?}");
    }
}

#[test]
fn a_broken_session_is_replaced_once_the_keys_of_its_device_can_be_had() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.hear(&mut romeo, "hello");
        let mut ended = bot.test.ask(ResetSessions { jid: bare(ROMEO), device: None });
        assert_eq!(got(&mut ended), Some(Ok(1)));
        let node = form.bundle_node(romeo.id());
        let asked = |bot: &Bot| bot.test.count_asked(|ask| wants(ask, &node));
        bot.hear(&mut romeo, "are you there?");
        assert_eq!((bot.reason(), asked(&bot)), (UndecryptableReason::NoSession, 1));
        let id = bot.test.asked_of(ROMEO, |ask| wants(ask, &node));
        bot.test.answer(Some(ROMEO), id, Err(stanza_error("remote-server-timeout")));
        bot.hear(&mut romeo, "are you?");
        assert_eq!(asked(&bot), 1, "not at once");
        bot.test.wait(601);
        bot.hear(&mut romeo, "well?");
        assert_eq!(asked(&bot), 2);
        bot.bundles(&romeo);
        assert_eq!(romeo.reads(&bot), None, "there is nothing in it");
        bot.test.forget();
        bot.hear(&mut romeo, "at last");
        assert_eq!(bot.bodies(), ["at last"], "{form:?}");
    }
}
