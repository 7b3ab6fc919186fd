//! Clients and servers of others that do something else than this host would: what they write is read, and answered.

use parlor_stanza::types::{DeviceLabel, NodeOptions};

use super::*;
use crate::encryption::remarks::Remark;

/// Returns the items of a node, each with its id.
pub(super) fn items<const N: usize>(items: [(String, String); N]) -> Body {
    let items = items.map(|(id, xml)| NodeItem { id: Some(id), xml: Some(xml), ..NodeItem::default() });
    Body::NodeItems(Box::new(NodePage { items: items.into(), ..NodePage::default() }))
}

/// Returns the item with the keys of a person's client.
pub(super) fn bundle_of(peer: &Peer) -> (String, String) {
    let bundle = published(peer.device.bundle(version(peer.form)).parts());
    (peer.form.bundle_item(peer.id()), bundle_payload(peer.form, &bundle).to_xml())
}

/// Lets the server of Romeo refuse to give his lists.
fn refuses_lists(bot: &mut Bot, condition: &str) {
    for form in OmemoForm::ALL {
        let id = bot.test.asked_of(ROMEO, |ask| wants(ask, form.list_node()));
        bot.test.answer(Some(ROMEO), id, Err(stanza_error(condition)));
    }
}

/// Returns two clients of Romeo that have written to the bot.
fn two_that_wrote(bot: &mut Bot, form: OmemoForm) -> (Peer, Peer) {
    let [mut phone, mut tablet] = [0, 100].map(|sent| Peer { sent, ..Peer::new(ROMEO, form) });
    bot.hear(&mut phone, "hello");
    bot.hear(&mut tablet, "hello");
    assert_eq!(bot.bodies(), ["hello", "hello"]);
    (phone, tablet)
}

/// Says something to Romeo, and returns whether each of his clients can read it.
fn is_read_by(bot: &mut Bot, peers: [&mut Peer; 2]) -> [bool; 2] {
    let mut sent = bot.say(ROMEO, "secret", EncryptionWish::AsTheChat);
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    peers.map(|peer| peer.reads(bot).is_some())
}

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
fn a_device_that_wrote_is_answered_while_its_list_cannot_be_had() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.hear(&mut romeo, "hello");
        let mut sent = bot.say(ROMEO, "one", EncryptionWish::Required);
        refuses_lists(&mut bot, "not-authorized");
        assert!(matches!(got(&mut sent), Some(Ok(_))), "{form:?}");
        assert_eq!(romeo.reads(&bot).as_deref(), Some("one"), "{form:?}");
        // The list is asked for again, and the devices in it stay if it cannot be had later.
        bot.test.wait(301);
        let mut sent = bot.say(ROMEO, "two", EncryptionWish::Required);
        bot.lists(ROMEO, |form| romeo.listed(form));
        assert!(matches!(got(&mut sent), Some(Ok(_))), "{form:?}");
        bot.test.wait(3_601);
        let mut sent = bot.say(ROMEO, "three", EncryptionWish::Required);
        refuses_lists(&mut bot, "remote-server-not-found");
        assert!(matches!(got(&mut sent), Some(Ok(_))), "{form:?}");
        assert_eq!(romeo.reads(&bot).as_deref(), Some("three"), "{form:?}");
    }
}

/// Returns an account that has lost its session with a person, who goes on using it.
fn with_broken_session(jid: &str, form: OmemoForm) -> (Bot, Peer) {
    let (mut bot, mut peer) = (Bot::new(TrustPolicy::Blind), Peer::new(jid, form));
    bot.hear(&mut peer, "hello");
    let mut ended = bot.test.ask(ResetSessions { jid: peer.jid.clone(), device: None });
    assert_eq!(got(&mut ended), Some(Ok(1)));
    (bot, peer)
}

/// The keys come. The account begins a new session with an empty message, and reads what the person says in it.
fn is_replaced(bot: &mut Bot, peer: &mut Peer, form: OmemoForm) {
    bot.bundles(peer);
    assert_eq!(peer.reads(bot), None, "there is nothing in it");
    bot.test.forget();
    bot.hear(peer, "at last");
    assert_eq!(bot.bodies(), ["at last"], "{form:?}");
}

#[test]
fn a_broken_session_is_replaced_once_the_keys_of_its_device_can_be_had() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = with_broken_session(ROMEO, form);
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
        is_replaced(&mut bot, &mut romeo, form);
    }
}

/// It goes on with keys that were used since. Only an answer by a new session tells it so.
#[test]
fn a_device_that_goes_on_from_a_backup_gets_a_new_session_at_most_once_an_hour() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.hear(&mut romeo, "hello");
        let mut sent = bot.say(ROMEO, "one", EncryptionWish::AsTheChat);
        bot.lists(ROMEO, |form| romeo.listed(form));
        assert!(matches!(got(&mut sent), Some(Ok(_))), "{form:?}");
        assert_eq!(romeo.reads(&bot).as_deref(), Some("one"));
        let backup = romeo.session.clone();
        bot.hear(&mut romeo, "hello again");
        assert!(matches!(got(&mut bot.say(ROMEO, "two", EncryptionWish::AsTheChat)), Some(Ok(_))), "{form:?}");
        assert_eq!(romeo.reads(&bot).as_deref(), Some("two"));
        bot.hear(&mut romeo, "and on");
        let node = form.bundle_node(romeo.id());
        let asked = |bot: &Bot| bot.test.count_asked(|ask| wants(ask, &node));
        let before = asked(&bot);
        // A copy that the server kept is no sign of a backup.
        romeo.session.clone_from(&backup);
        let (from, at) = (romeo.sender(), bot.test.now - Duration::from_hours(1));
        let stamp = format!("<delay xmlns='urn:xmpp:delay' from='example.org' stamp='{at}'/></message>");
        let kept = romeo.writes(&bot, "kept", &from).replace("</message>", &stamp);
        bot.test.hear_xml(&kept);
        assert_eq!((bot.reason(), asked(&bot)), (UndecryptableReason::Replayed, before), "{form:?}");
        romeo.session.clone_from(&backup);
        bot.hear(&mut romeo, "are you there?");
        assert_eq!((bot.reason(), asked(&bot)), (UndecryptableReason::Replayed, before + 1), "{form:?}");
        is_replaced(&mut bot, &mut romeo, form);
        // A server may repeat what it has, however often.
        for (pause, count) in [(0, 1), (1_800, 1), (1_801, 2)] {
            bot.test.wait(pause);
            romeo.session.clone_from(&backup);
            bot.hear(&mut romeo, "repeated");
            assert_eq!((bot.reason(), asked(&bot)), (UndecryptableReason::Replayed, before + count), "{form:?}");
        }
    }
}

/// Requests of a lost stream get no answer, and do not fail either.
#[test]
fn a_broken_session_is_replaced_after_the_stream_was_lost_before_the_keys_came() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = with_broken_session(ROMEO, form);
        let node = form.bundle_node(romeo.id());
        let asked = |bot: &Bot| bot.test.count_asked(|ask| wants(ask, &node));
        bot.hear(&mut romeo, "are you there?");
        assert_eq!((bot.reason(), asked(&bot)), (UndecryptableReason::NoSession, 1));
        bot.test.bind();
        bot.test.roster(vec![item(ROMEO, "both")]);
        bot.hear(&mut romeo, "well?");
        assert_eq!(asked(&bot), 2, "{form:?}");
        is_replaced(&mut bot, &mut romeo, form);
    }
}

/// Requests to a server that does not answer wait for one another.
#[test]
fn a_broken_session_is_replaced_however_long_the_request_for_the_keys_waits() {
    for form in OmemoForm::ALL {
        let (mut bot, mut nurse) = with_broken_session("nurse@slow.example", form);
        let waiting: Vec<_> = (0..24)
            .map(|number| bot.say(&format!("p{number}@slow.example"), "hello?", EncryptionWish::Required))
            .collect();
        bot.hear(&mut nurse, "are you there?");
        let node = form.bundle_node(nurse.id());
        assert_eq!(bot.test.count_asked(|ask| wants(ask, &node)), 0, "two lists of each person come first");
        for _ in 0..3 {
            bot.test.wait(21);
        }
        is_replaced(&mut bot, &mut nurse, form);
        drop(waiting);
    }
}

/// Clients such as Conversations fetch the account's list once. They encrypt for a device that wrote to them.
#[test]
fn a_client_that_does_not_know_the_device_gets_an_empty_message_from_it_at_most_once_an_hour() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        let (node, from, rid) = (form.bundle_node(romeo.id()), romeo.sender(), bot.id.to_string());
        let asked = |bot: &Bot| bot.test.count_asked(|ask| wants(ask, &node));
        let leaves_out = |bot: &mut Bot, romeo: &mut Peer| {
            let xml = with(&romeo.writes(bot, "hello?", &from), "rid", &rid, "77");
            bot.test.hear_xml(&xml);
            assert_eq!(bot.reason(), UndecryptableReason::NoKeyForUs, "{form:?}");
        };
        leaves_out(&mut bot, &mut romeo);
        assert_eq!(asked(&bot), 0, "a device that is not known causes no requests");
        bot.told_of_by(ROMEO, romeo.id());
        leaves_out(&mut bot, &mut romeo);
        assert_eq!(asked(&bot), 1, "{form:?}");
        is_replaced(&mut bot, &mut romeo, form);
        leaves_out(&mut bot, &mut romeo);
        assert_eq!(asked(&bot), 1, "not again at once: {form:?}");
    }
}

/// Clients such as Conversations pick a prekey when a chat is opened, and use it later. Somebody else may have been faster.
#[test]
fn a_stranger_whose_prekey_was_used_by_somebody_else_gets_a_new_session() {
    for form in OmemoForm::ALL {
        let mut bot = Bot::new(TrustPolicy::Blind);
        let mut parts = bot.device().bundle(version(form)).parts();
        parts.prekeys.truncate(1);
        let bundle = Bundle::parse(version(form), &parts).unwrap();
        let [mut romeo, mut nurse] = [ROMEO, "nurse@example.net"].map(|jid| {
            let mut peer = Peer::new(jid, form);
            peer.session = Some(start(&peer.device, &bundle, &mut rand::rng()).unwrap());
            peer
        });
        bot.hear(&mut romeo, "hello");
        assert_eq!(bot.bodies(), ["hello"], "{form:?}");
        bot.test.wait(121);
        bot.hear(&mut nurse, "hello");
        assert_eq!((bot.bodies().len(), bot.reason()), (1, UndecryptableReason::NoSession), "{form:?}");
        is_replaced(&mut bot, &mut nurse, form);
    }
}

/// Keys that are fetched later for another reason replace no session that works.
#[test]
fn a_broken_session_is_replaced_by_one_empty_message() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
    let reset = |bot: &mut Bot| {
        let mut ended = bot.test.ask(ResetSessions { jid: bare(ROMEO), device: None });
        assert_eq!(got(&mut ended), Some(Ok(1)));
    };
    bot.hear(&mut romeo, "hello");
    reset(&mut bot);
    bot.hear(&mut romeo, "are you there?");
    bot.bundles(&romeo);
    assert_eq!(bot.sealed(), 1, "an empty message");
    reset(&mut bot);
    let mut sent = bot.say(ROMEO, "secret", EncryptionWish::AsTheChat);
    bot.lists(ROMEO, |form| romeo.listed(form));
    bot.bundles(&romeo);
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    assert_eq!(bot.sealed(), 2, "and no further empty one");
}

/// A session with a device says nothing about whether its owner still has it.
#[test]
fn a_removed_device_gets_nothing_while_the_list_cannot_be_had() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.hear(&mut romeo, "hello");
        let mut sent = bot.say(ROMEO, "one", EncryptionWish::AsTheChat);
        bot.lists(ROMEO, |_| Vec::new());
        assert!(matches!(got(&mut sent), Some(Err(CallError::Unsupported(_)))), "{form:?}");
        bot.test.wait(3_601);
        let before = bot.sealed();
        let mut sent = bot.say(ROMEO, "two", EncryptionWish::AsTheChat);
        refuses_lists(&mut bot, "remote-server-timeout");
        assert!(matches!(got(&mut sent), Some(Err(CallError::Unsupported(_)))), "{form:?}");
        assert_eq!(bot.sealed(), before, "{form:?}");
        // It is there again.
        bot.hear(&mut romeo, "I am back");
        assert!(matches!(got(&mut bot.say(ROMEO, "three", EncryptionWish::AsTheChat)), Some(Ok(_))), "{form:?}");
        assert_eq!(romeo.reads(&bot).as_deref(), Some("three"), "{form:?}");
    }
}

#[test]
fn a_removed_device_does_not_come_back_by_an_archived_message() {
    for form in OmemoForm::ALL {
        let mut bot = Bot::new(TrustPolicy::Blind);
        let (mut phone, mut tablet) = two_that_wrote(&mut bot, form);
        let from = tablet.sender();
        let xml = tablet.writes(&bot, "from before", &from);
        bot.test.wait(5);
        bot.told_of_by(ROMEO, phone.id());
        let id = bot.test.asked_of("bot@example.org", |ask| matches!(ask, Ask::DiscoInfo { .. }));
        let disco = types::Disco { features: vec![types::MAM.to_owned()], ..types::Disco::default() };
        bot.test.answer(Some("bot@example.org"), id, Ok(Body::Disco(disco)));
        let query = types::ArchiveQuery { max: 5, ..types::ArchiveQuery::default() };
        let mut page = bot.test.ask(QueryArchive { by: None, query });
        let asked = bot.test.sent.iter().rev().find_map(|stanza| match stanza {
            Outgoing::Ask { id, ask: Ask::Archive(query), .. } => Some((id.clone(), query.queryid.clone())),
            _ => None,
        });
        let (id, queryid) = asked.unwrap();
        bot.test.hear_xml(&format!(
            "<message xmlns='jabber:client' from='bot@example.org'><result xmlns='urn:xmpp:mam:2' queryid='{queryid}' \
             id='a1'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' \
             stamp='2026-11-20T05:24:00Z'/>{xml}</forwarded></result></message>"
        ));
        bot.test.answer(None, id, Ok(Body::ArchiveFin(types::ArchiveFin::default())));
        let page = got(&mut page).unwrap().unwrap();
        assert_eq!(page.messages[0].message.body.as_deref(), Some("from before"), "{form:?}");
        assert_eq!(is_read_by(&mut bot, [&mut phone, &mut tablet]), [true, false], "{form:?}");
    }
}

#[test]
fn a_removed_device_does_not_come_back_by_a_message_that_the_server_kept() {
    for form in OmemoForm::ALL {
        let mut bot = Bot::new(TrustPolicy::Blind);
        let (mut phone, mut tablet) = two_that_wrote(&mut bot, form);
        bot.test.wait(60);
        bot.told_of_by(ROMEO, phone.id());
        bot.test.wait(60);
        for (age, is_back) in [(90, false), (30, true)] {
            let from = tablet.sender();
            let at = bot.test.now - Duration::from_secs(age);
            let stamp = format!("<delay xmlns='urn:xmpp:delay' from='example.org' stamp='{at}'/></message>");
            bot.test.forget();
            let xml = tablet.writes(&bot, "kept", &from).replace("</message>", &stamp);
            bot.test.hear_xml(&xml);
            assert_eq!(bot.bodies(), ["kept"], "{form:?}");
            let are_read = is_read_by(&mut bot, [&mut phone, &mut tablet]);
            assert_eq!(are_read, [true, is_back], "{form:?}: {age} s old, and the list is from 60 s ago");
        }
    }
}

/// Some clients give each list another id, and servers tell of the one that it replaced. Others tell of a new list without its contents.
#[test]
fn a_list_of_a_person_that_a_notification_lacks_is_asked_for() {
    for (form, changes) in OmemoForm::ALL.into_iter().zip(["<item id='current'/>", "<retract id='older'/>"]) {
        let mut bot = Bot::new(TrustPolicy::Blind);
        let (mut phone, mut tablet) = two_that_wrote(&mut bot, form);
        bot.told_of_by(ROMEO, phone.id());
        assert_eq!(is_read_by(&mut bot, [&mut phone, &mut tablet]), [true, false], "{changes}");
        bot.pushes(ROMEO, form, changes);
        // The person could otherwise delay each message, as those in a room, by the time that their server takes to answer.
        assert_eq!(is_read_by(&mut bot, [&mut phone, &mut tablet]), [true, false], "the list has just come: {changes}");
        bot.test.wait(300);
        let mut sent = bot.say(ROMEO, "secret", EncryptionWish::AsTheChat);
        assert_eq!(got(&mut sent), None, "it waits for the list: {changes}");
        let both = [phone.id(), tablet.id()].map(|device| ListedDevice { device, label: None });
        let id = bot.test.asked_of(ROMEO, |ask| wants(ask, form.list_node()));
        bot.test.answer(Some(ROMEO), id, Ok(page(list_payload(form, &both).to_xml())));
        assert!(matches!(got(&mut sent), Some(Ok(_))), "{changes}");
        assert!(phone.reads(&bot).is_some() && tablet.reads(&bot).is_some(), "{changes}");
    }
}

/// A client repeats the start of a session until it gets an answer, which an untrusted key does not get.
#[test]
fn a_session_is_answered_once_its_key_is_trusted() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Strict), Peer::new(ROMEO, form));
        bot.hear(&mut romeo, "hello");
        bot.test.wait(3);
        assert_eq!((bot.reason(), bot.sealed()), (UndecryptableReason::Distrusted, 0), "{form:?}");
        bot.decide(&romeo, types::DeviceTrust::Trusted);
        bot.hear(&mut romeo, "hello again");
        bot.test.wait(3);
        assert_eq!((bot.bodies(), bot.sealed()), (vec!["hello again"], 1), "{form:?}");
        assert_eq!(romeo.reads(&bot), None, "there is nothing in it");
        assert!(!romeo.session.as_ref().unwrap().is_unanswered(), "{form:?}");
        bot.hear(&mut romeo, "and once more");
        bot.test.wait(3);
        assert_eq!(bot.sealed(), 1, "it is not answered again: {form:?}");
    }
}

/// Some servers answer with all items of a node.
#[test]
fn among_the_keys_of_several_devices_those_of_the_device_count() {
    let form = OmemoForm::Current;
    for is_there in [true, false] {
        let mut bot = Bot::new(TrustPolicy::Blind);
        let [mut romeo, other] = [(); 2].map(|()| Peer::new(ROMEO, form));
        let mut sent = bot.say(ROMEO, "secret", EncryptionWish::Required);
        bot.lists(ROMEO, |form| romeo.listed(form));
        let id = bot.test.asked_of(ROMEO, |ask| wants(ask, &form.bundle_node(romeo.id())));
        let others = bundle_of(&other);
        let answer = if is_there { items([bundle_of(&romeo), others]) } else { items([others]) };
        bot.test.answer(Some(ROMEO), id, Ok(answer));
        let sent = got(&mut sent).expect("nothing else is asked for");
        assert_eq!(sent.is_ok(), is_there, "{sent:?}");
        assert_eq!(romeo.reads(&bot).is_some(), is_there);
        assert_eq!(bot.known(ROMEO), if is_there { vec![romeo.fingerprint()] } else { Vec::new() });
    }
}

/// The log names one device of a person, who decides how many there are, and how often their keys are fetched.
#[test]
fn keys_that_fail_a_check_are_remarked() {
    let (mut bot, romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
    let _sent = bot.say(ROMEO, "hi", EncryptionWish::Required);
    bot.lists(ROMEO, |form| romeo.listed(form));
    let mut bundle = published(romeo.device.bundle(version(romeo.form)).parts());
    bundle.signature[0] ^= 1;
    let item = (romeo.form.bundle_item(romeo.id()), bundle_payload(romeo.form, &bundle).to_xml());
    let id = bot.test.asked_of(ROMEO, |ask| wants(ask, &romeo.form.bundle_node(romeo.id())));
    bot.test.answer(Some(ROMEO), id, Ok(items([item])));
    assert!(bot.test.session.features.encryption.remarks.has(&bare(ROMEO), Remark::InvalidKeys));
}

/// XEP-0384, section 5.3.1: whoever keeps the list could write any.
#[test]
fn a_label_counts_if_its_device_has_signed_it() {
    let form = OmemoForm::Current;
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
    bot.hear(&mut romeo, "hello");
    let signature = romeo.device.sign_label("a telephone", &mut rand::rng());
    for (text, is_shown) in [("a telephone", true), ("a verified telephone", false), ("a telephone", true)] {
        let label = Some(DeviceLabel { text: text.to_owned(), signature });
        let list = list_payload(form, &[ListedDevice { device: romeo.id(), label }]).to_xml();
        bot.pushes(ROMEO, form, &format!("<item id='current'>{list}</item>"));
        let mut listed = bot.test.ask(ListKeys { jid: Some(bare(ROMEO)) });
        let listed = got(&mut listed).unwrap().unwrap().keys;
        assert_eq!(listed[0].label.as_deref(), is_shown.then_some(text));
    }
}

#[test]
fn whoever_has_many_silent_servers_keeps_nobody_elses_keys_from_being_fetched() {
    let (mut bot, mut nurse) = (Bot::new(TrustPolicy::Blind), Peer::new("nurse@example.net", OmemoForm::Older));
    let _to_silent: Vec<_> = (0..100)
        .map(|number| bot.say(&format!("p@s{number}.silent.example"), "hello?", EncryptionWish::Required))
        .collect();
    let asked = bot.test.sent.iter().filter(|stanza| match stanza {
        Outgoing::Ask { to: Some(to), .. } => to.domain().as_str().ends_with(".silent.example"),
        _ => false,
    });
    assert_eq!(asked.count(), 16);
    let mut sent = bot.say("nurse@example.net", "secret", EncryptionWish::Required);
    bot.lists("nurse@example.net", |form| nurse.listed(form));
    bot.bundles(&nurse);
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    assert_eq!(nurse.reads(&bot).as_deref(), Some("secret"));
}
