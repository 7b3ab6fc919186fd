//! Subscriptions to nodes, and which senders the host accepts notifications from.

use parlor_stanza::types::{NodePage, PubsubAsk};

use super::*;
use crate::pubsub::{MAX_NODES, MAX_OF_ONE};

const SERVICE: &str = "pubsub.example.org";

fn news(test: &mut TestSession, from: &str, node: &str, id: &str) {
    test.hear_xml(&format!(
        "<message xmlns='jabber:client' from='{from}' type='headline'><event \
         xmlns='http://jabber.org/protocol/pubsub#event'><items node='{node}'><item id='{id}' publisher='romeo@example.org'>\
         <entry xmlns='urn:example:news'>hi</entry></item></items></event></message>"
    ));
}

fn subscribe(test: &mut TestSession, by: u64, node: &str) -> Receiver<Result<bool, CallError>> {
    test.ask(SubscribeNode { by: InstanceId(by), service: bare(SERVICE), node: node.to_owned() })
}

fn unsubscribe(test: &mut TestSession, by: u64, node: &str) -> Receiver<Result<(), CallError>> {
    test.ask(UnsubscribeNode { by: InstanceId(by), service: bare(SERVICE), node: node.to_owned() })
}

fn subscribes(ask: &Ask) -> bool {
    matches!(ask, Ask::Pubsub(ask) if matches!(**ask, PubsubAsk::Subscribe { .. }))
}

/// Answers the last request to subscribe.
fn answered(test: &mut TestSession, is_pending: bool, id: Option<&str>) {
    let asked = test.asked_of(SERVICE, subscribes);
    test.answer(Some(SERVICE), asked, Ok(Body::Subscription { is_pending, id: id.map(str::to_owned) }));
}

fn subscribed(test: &mut TestSession, by: u64, node: &str) {
    let mut receiver = subscribe(test, by, node);
    answered(test, false, None);
    assert_eq!(got(&mut receiver), Some(Ok(true)));
}

/// Lets the service tell of a subscription to a node.
fn of_subscription(test: &mut TestSession, attributes: &str) {
    test.hear_xml(&format!(
        "<message xmlns='jabber:client' from='{SERVICE}'><event xmlns='http://jabber.org/protocol/pubsub#event'>\
         <subscription node='news' {attributes}/></event></message>"
    ));
}

fn last_item(test: &TestSession) -> Arc<PubsubItem> {
    let Payload::PubsubItem(item) = test.last("pubsub-item") else { panic!("an item") };
    Arc::clone(item)
}

/// Row 156.
#[test]
fn a_service_is_believed_while_the_account_is_subscribed_and_a_stranger_never() {
    let mut test = TestSession::connected(Settings::default());
    news(&mut test, SERVICE, "news", "1");
    assert_eq!(test.count("pubsub-item"), 0, "nobody is subscribed");
    subscribed(&mut test, 1, "news");
    news(&mut test, SERVICE, "news", "2");
    let item = last_item(&test);
    assert_eq!((item.kind, item.id.as_deref(), item.node.as_str()), (PubsubKind::Item, Some("2"), "news"));
    assert!(item.xml.as_deref().is_some_and(|xml| xml.contains("urn:example:news")) && !item.is_own);
    test.forget();
    for (from, node) in [
        (SERVICE, "other"),
        ("pubsub.example.org/x", "news"),
        ("evil.example.org", "news"),
        ("mallory@example.org", "news"),
        ("mallory@example.org/x", "news"),
        ("romeo@example.org/x", "news"),
    ] {
        news(&mut test, from, node, "3");
        assert_eq!(test.count("pubsub-item"), 0, "{from} {node}");
    }
    let mut receiver = unsubscribe(&mut test, 1, "news");
    let id = test.asked_of(SERVICE, |ask| matches!(ask, Ask::Pubsub(_)));
    test.answer(Some(SERVICE), id, Ok(Body::Empty));
    assert_eq!(got(&mut receiver), Some(Ok(())));
    news(&mut test, SERVICE, "news", "4");
    assert_eq!(test.count("pubsub-item"), 0);
}

/// Servers send such a message for each mood and avatar of a contact.
#[test]
fn a_change_of_a_node_is_no_message_of_a_person() {
    let mut test = TestSession::connected(Settings::default());
    subscribed(&mut test, 1, "news");
    news(&mut test, SERVICE, "news", "1");
    assert_eq!((test.count("pubsub-item"), test.count("message")), (1, 0));
    // ejabberd says so when the owner of a node approves a subscription, and for `pubsub#notify_config`.
    for told in [
        "<subscription node='news' jid='bot@example.org' subscription='subscribed'/>",
        "<configuration node='news'><x xmlns='jabber:x:data' type='result'/></configuration>",
        "<collection node='all'><associate node='news'/></collection>",
    ] {
        test.hear_xml(&format!(
            "<message xmlns='jabber:client' from='{SERVICE}'><event xmlns='http://jabber.org/protocol/pubsub#event'>{told}\
             </event></message>"
        ));
        assert_eq!((test.count("pubsub-item"), test.count("message")), (1, 0), "{told}");
    }
    test.hear_xml(
        "<message xmlns='jabber:client' from='romeo@example.org' type='headline'><body>read this</body><event \
         xmlns='http://jabber.org/protocol/pubsub#event'><purge node='news'/></event></message>",
    );
    assert_eq!(test.count("message"), 1, "what has a text is told");
}

#[test]
fn contacts_and_the_account_speak_for_themselves_but_not_of_what_the_host_keeps() {
    let mut test = TestSession::connected(Settings::default());
    for (from, is_own) in [(ROMEO, false), ("bot@example.org", true)] {
        news(&mut test, from, "urn:example:mood", "1");
        let item = last_item(&test);
        assert_eq!((item.service.as_str(), item.is_own), (from, is_own));
        test.forget();
        for node in ["storage:bookmarks", "urn:xmpp:omemo:2:devices", "urn:xmpp:avatar:data"] {
            news(&mut test, from, node, "1");
            assert_eq!(test.count("pubsub-item"), 0, "{node}");
        }
    }
}

#[test]
fn a_node_says_what_became_of_items_and_of_itself() {
    let mut test = TestSession::connected(Settings::default());
    let event = "http://jabber.org/protocol/pubsub#event";
    for (content, kind, id) in [
        ("<items node='n'><retract id='7'/></items>", PubsubKind::Retracted, Some("7")),
        ("<items node='n'/>", PubsubKind::Item, None),
        ("<purge node='n'/>", PubsubKind::Purged, None),
        ("<delete node='n'/>", PubsubKind::Deleted, None),
    ] {
        test.hear_xml(&format!(
            "<message xmlns='jabber:client' from='{ROMEO}'><event xmlns='{event}'>{content}</event></message>"
        ));
        let item = last_item(&test);
        assert_eq!((item.kind, item.id.as_deref()), (kind, id), "{content}");
    }
    let long = "x".repeat(300 << 10);
    test.hear_xml(&format!(
        "<message xmlns='jabber:client' from='{ROMEO}'><event xmlns='{event}'><items node='n'><item id='8'>\
         <a xmlns='urn:x'>{long}</a></item></items></event></message>"
    ));
    let item = last_item(&test);
    assert_eq!((item.id.as_deref(), item.xml.as_deref(), item.is_cut), (Some("8"), None, true));
}

/// Owners of a node may also be told when others subscribe and unsubscribe (`pubsub#notify_sub`).
#[test]
fn the_subscription_of_somebody_else_ends_without_ours() {
    let mut test = TestSession::connected(Settings::default());
    let ends = |test: &mut TestSession, whose: &str| of_subscription(test, &format!("{whose} subscription='none'"));
    subscribed(&mut test, 1, "news");
    for whose in ["jid='romeo@example.org'", "jid='bot@example.org/elsewhere'", "jid='@@'"] {
        ends(&mut test, whose);
        assert_eq!((test.count("pubsub-item"), test.session.features.pubsub.len()), (0, 1), "{whose}");
    }
    for whose in ["jid='bot@example.org'", ""] {
        subscribed(&mut test, 1, "news");
        ends(&mut test, whose);
        assert_eq!(last_item(&test).kind, PubsubKind::Unsubscribed, "{whose}");
        assert_eq!(test.session.features.pubsub.len(), 0, "{whose}");
        test.forget();
    }
}

#[test]
fn subscriptions_are_made_again_on_a_new_stream_and_end_with_their_plugins() {
    let mut test = TestSession::connected(Settings::default());
    subscribed(&mut test, 1, "news");
    subscribed(&mut test, 2, "news");
    subscribed(&mut test, 2, "more");
    assert_eq!(got(&mut unsubscribe(&mut test, 1, "news")), Some(Ok(())), "another plugin has it still");
    assert!(matches!(got(&mut unsubscribe(&mut test, 1, "news")), Some(Err(CallError::NotFound(_)))));
    let unanswered = subscribe(&mut test, 1, "never");
    test.sent.clear();
    test.bind();
    test.roster(vec![item(ROMEO, "both")]);
    assert_eq!(test.count_asked(subscribes), 2);
    let id = test.asked_of(SERVICE, subscribes);
    test.forget();
    test.answer(Some(SERVICE), id, Err(stanza_error("item-not-found")));
    assert_eq!(last_item(&test).kind, PubsubKind::Unsubscribed);
    drop(unanswered);
    test.run(|session, _, effects| session.instance_gone(InstanceId(2), effects));
    assert_eq!(test.session.features.pubsub.len(), 0);
}

/// XEP-0060, section 6.1.7: a service sends the last item to whoever subscribes. ejabberd sends it with the first presence,
/// too. A plugin that passes news on would pass the last ones on after each lost connection.
#[test]
fn the_last_item_that_comes_once_more_on_a_new_stream_is_told_once() {
    let reconnected = || {
        let mut test = TestSession::connected(Settings::default());
        subscribed(&mut test, 1, "news");
        news(&mut test, SERVICE, "news", "1");
        news(&mut test, SERVICE, "news", "1");
        assert_eq!(test.count("pubsub-item"), 2, "somebody may publish it twice");
        test.bind();
        test.roster(vec![item(ROMEO, "both")]);
        test.forget();
        test
    };
    let mut test = reconnected();
    for _ in 0..2 {
        news(&mut test, SERVICE, "news", "1");
        assert_eq!(test.count("pubsub-item"), 0);
    }
    news(&mut test, SERVICE, "news", "2");
    assert_eq!(last_item(&test).id.as_deref(), Some("2"), "it came meanwhile");
    news(&mut test, SERVICE, "news", "1");
    assert_eq!(last_item(&test).id.as_deref(), Some("1"), "it is the last one again");
    let mut test = reconnected();
    test.wait(30);
    news(&mut test, SERVICE, "news", "1");
    assert_eq!(test.count("pubsub-item"), 1, "somebody publishes it again");
    let mut test = reconnected();
    subscribed(&mut test, 2, "news");
    news(&mut test, SERVICE, "news", "1");
    assert_eq!(test.count("pubsub-item"), 1, "another plugin has not seen it");
    let mut test = reconnected();
    test.hear_xml(&format!(
        "<message xmlns='jabber:client' from='{SERVICE}'><event xmlns='http://jabber.org/protocol/pubsub#event'>\
         <items node='news'><retract id='1'/></items></event></message>"
    ));
    news(&mut test, SERVICE, "news", "1");
    assert_eq!((test.count("pubsub-item"), last_item(&test).kind), (2, PubsubKind::Item), "it was gone in between");
}

/// Servers drop what services send to a hidden account, and ejabberd sends the last items with its next available presence.
#[test]
fn the_last_item_is_told_once_after_the_account_was_hidden_and_not_lost() {
    let shown_after = |meanwhile: fn(&mut TestSession)| {
        let mut test = TestSession::connected(Settings::default());
        subscribed(&mut test, 1, "news");
        news(&mut test, SERVICE, "news", "1");
        let _hides = test.ask(SetStatus { value: Some(StatusValue::Offline), message: None });
        meanwhile(&mut test);
        test.sent.clear();
        test.forget();
        let _shows = test.ask(SetStatus { value: Some(StatusValue::Online), message: None });
        assert_eq!(test.count_asked(subscribes), 1, "the service is asked for its last item");
        test
    };
    let mut test = shown_after(|_| {});
    for _ in 0..2 {
        news(&mut test, SERVICE, "news", "1");
        assert_eq!(test.count("pubsub-item"), 0, "it was told before");
    }
    news(&mut test, SERVICE, "news", "2");
    assert_eq!(last_item(&test).id.as_deref(), Some("2"), "it came meanwhile");
    let mut test = shown_after(|test| subscribed(test, 2, "news"));
    for _ in 0..2 {
        news(&mut test, SERVICE, "news", "1");
        assert_eq!(test.count("pubsub-item"), 1, "another plugin subscribed meanwhile, and has not seen it");
    }
    let mut test = shown_after(|test| {
        test.bind();
        test.roster(vec![item(ROMEO, "both")]);
        answered(test, false, None);
        test.wait(30);
    });
    news(&mut test, SERVICE, "news", "1");
    assert_eq!(test.count("pubsub-item"), 0, "it was hidden on a new stream as well");
}

/// XEP-0060, section 6.1.3: ejabberd refuses a subscription that its owner has not approved yet, when it is made again.
#[test]
fn a_subscription_that_waits_for_approval_is_not_over_when_it_cannot_be_made_again() {
    let mut test = TestSession::connected(Settings::default());
    let pending = || {
        let xml = "<error xmlns='jabber:client' type='auth'><pending-subscription \
                   xmlns='http://jabber.org/protocol/pubsub#errors'/><not-authorized \
                   xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
        let (kind, xml) = ("auth".to_owned(), xml.to_owned());
        Err(Box::new(StanzaError { kind, xml, ..*stanza_error("not-authorized") }))
    };
    let mut receiver = subscribe(&mut test, 1, "news");
    answered(&mut test, true, None);
    assert_eq!(got(&mut receiver), Some(Ok(false)));
    // Another plugin asks, and then the stream is lost.
    let mut receiver = subscribe(&mut test, 2, "news");
    let id = test.asked_of(SERVICE, subscribes);
    test.answer(Some(SERVICE), id, pending());
    assert_eq!(got(&mut receiver), Some(Ok(false)), "it waits for approval, as the first one does");
    test.bind();
    test.roster(vec![item(ROMEO, "both")]);
    let id = test.asked_of(SERVICE, subscribes);
    test.forget();
    test.answer(Some(SERVICE), id, pending());
    assert_eq!(test.count("pubsub-item"), 0, "nobody ended it");
    news(&mut test, SERVICE, "news", "1");
    assert_eq!(last_item(&test).kind, PubsubKind::Item, "it was approved since");
}

/// XEP-0060, section 6.1: a service may keep several subscriptions of one address, each with an id. It sends each item once for each
/// of them, and wants to be told which one ends.
#[test]
fn an_account_has_one_subscription_at_a_service_that_would_keep_several() {
    let mut test = TestSession::connected(Settings::default());
    let _answer = subscribe(&mut test, 1, "news");
    answered(&mut test, false, Some("a"));
    for id in ["a", "b"] {
        test.bind();
        test.roster(vec![item(ROMEO, "both")]);
        answered(&mut test, false, Some(id));
    }
    assert_eq!(ended(&test), ["a"]);
    test.forget();
    of_subscription(&mut test, "jid='bot@example.org' subid='a' subscription='none'");
    assert_eq!((test.count("pubsub-item"), test.session.features.pubsub.len()), (0, 1), "another one is there");
    let _answer = unsubscribe(&mut test, 1, "news");
    assert_eq!(ended(&test).last().map(String::as_str), Some("b"));
    of_subscription(&mut test, "jid='bot@example.org' subid='b' subscription='none'");
    assert_eq!(test.session.features.pubsub.len(), 0);
}

/// Returns the ids of the subscriptions that the account asked to end.
fn ended(test: &TestSession) -> Vec<String> {
    let ids = test.sent.iter().filter_map(|stanza| match stanza {
        Outgoing::Ask { ask: Ask::Pubsub(ask), .. } => match &**ask {
            PubsubAsk::Unsubscribe { id, .. } => Some(id.clone().unwrap_or_default()),
            _ => None,
        },
        _ => None,
    });
    ids.collect()
}

/// A plugin that is gone leaves its subscriptions to the services, and their ids here.
#[test]
fn the_id_of_a_new_subscription_takes_the_place_of_one_that_no_plugin_has() {
    let mut test = TestSession::connected(Settings::default());
    for number in 0..MAX_NODES {
        let _answer = subscribe(&mut test, 1, &number.to_string());
        answered(&mut test, false, Some("a"));
        test.run(|session, _, effects| session.instance_gone(InstanceId(1), effects));
    }
    let _answer = subscribe(&mut test, 2, "news");
    answered(&mut test, false, Some("b"));
    let _answer = unsubscribe(&mut test, 2, "news");
    assert_eq!(ended(&test), ["b"]);
}

/// Some services tell the owners of a node about each subscription, and do not name it.
#[test]
fn the_end_of_a_replaced_subscription_is_not_that_of_ours() {
    for (waits, is_over) in [(0, false), (30, true)] {
        let mut test = TestSession::connected(Settings::default());
        let _answer = subscribe(&mut test, 1, "news");
        answered(&mut test, false, Some("a"));
        test.bind();
        test.roster(vec![item(ROMEO, "both")]);
        answered(&mut test, false, Some("b"));
        test.forget();
        test.wait(waits);
        of_subscription(&mut test, "jid='bot@example.org' subscription='none'");
        assert_eq!(test.session.features.pubsub.is_empty(), is_over, "after {waits} s");
        of_subscription(&mut test, "jid='bot@example.org' subscription='none'");
        assert_eq!((test.session.features.pubsub.len(), test.count("pubsub-item")), (0, 1), "it is ours");
    }
}

/// XEP-0060, section 8.6: the owner of a node approves subscriptions at any time.
#[test]
fn plugins_hear_that_a_subscription_was_approved() {
    let pending = || {
        let mut test = TestSession::connected(Settings::default());
        let mut receiver = subscribe(&mut test, 1, "news");
        answered(&mut test, true, None);
        assert_eq!(got(&mut receiver), Some(Ok(false)));
        test.forget();
        test
    };
    let mut test = pending();
    of_subscription(&mut test, "jid='bot@example.org' subscription='pending'");
    of_subscription(&mut test, "jid='romeo@example.org' subscription='subscribed'");
    assert_eq!(test.count("pubsub-item"), 0);
    of_subscription(&mut test, "jid='bot@example.org' subscription='subscribed' subid='s'");
    let told = last_item(&test);
    assert_eq!((told.kind, told.node.as_str()), (PubsubKind::Subscribed, "news"));
    of_subscription(&mut test, "jid='bot@example.org' subscription='subscribed' subid='s'");
    assert_eq!(test.count("pubsub-item"), 1, "once");
    let _answer = unsubscribe(&mut test, 1, "news");
    assert_eq!(ended(&test), ["s"], "the service named it late");
    let mut test = pending();
    test.bind();
    test.roster(vec![item(ROMEO, "both")]);
    test.forget();
    answered(&mut test, false, None);
    assert_eq!(last_item(&test).kind, PubsubKind::Subscribed, "it was approved while the stream was lost");
}

/// XEP-0060, section 8.8.4.
#[test]
fn a_plugin_hears_that_the_owner_of_a_node_ended_its_subscription() {
    let notice = |test: &mut TestSession, from: &str, inside: &str| {
        test.hear_xml(&format!(
            "<message xmlns='jabber:client' from='{from}'><pubsub xmlns='http://jabber.org/protocol/pubsub'>{inside}</pubsub>\
             </message>"
        ));
    };
    let ends = "<subscription node='news' jid='bot@example.org' subscription='none'/>";
    let banned = "<affiliations><affiliation node='news' jid='bot@example.org' affiliation='outcast'/></affiliations>";
    let mut test = TestSession::connected(Settings::default());
    subscribed(&mut test, 1, "news");
    notice(&mut test, SERVICE, banned);
    notice(&mut test, "mallory@example.org", ends);
    assert_eq!((test.count("pubsub-item"), test.session.features.pubsub.len()), (0, 1), "nobody ended it");
    notice(&mut test, SERVICE, ends);
    assert_eq!((test.count("pubsub-item"), test.session.features.pubsub.len()), (1, 0), "the owner ended it");
    assert_eq!((last_item(&test).kind, test.count("message")), (PubsubKind::Unsubscribed, 0), "nobody said anything");
}

/// An owner who removes several subscribers may have the service tell each of them of all.
#[test]
fn our_subscription_ends_wherever_it_is_in_the_notice() {
    for inside in [
        "<subscriptions node='news'><subscription jid='romeo@example.org' subscription='none'/><subscription \
         jid='bot@example.org' subscription='none'/></subscriptions>",
        "<subscriptions><subscription node='other' jid='bot@example.org' subscription='none'/><subscription node='news' \
         jid='bot@example.org' subscription='none'/></subscriptions>",
    ] {
        let mut test = TestSession::connected(Settings::default());
        subscribed(&mut test, 1, "news");
        test.hear_xml(&format!(
            "<message xmlns='jabber:client' from='{SERVICE}'><pubsub xmlns='http://jabber.org/protocol/pubsub'>{inside}\
             </pubsub></message>"
        ));
        assert_eq!((test.count("pubsub-item"), test.session.features.pubsub.len()), (1, 0), "{inside}");
    }
}

/// XEP-0248, section 5.2: who subscribes to a collection gets the items of the nodes in it.
#[test]
fn a_service_speaks_of_the_nodes_in_a_collection() {
    let mut test = TestSession::connected(Settings::default());
    let through = |test: &mut TestSession, node: &str, collection: &str| {
        test.forget();
        test.hear_xml(&format!(
            "<message xmlns='jabber:client' from='{SERVICE}'><event xmlns='http://jabber.org/protocol/pubsub#event'>\
             <items node='{node}'><item id='1'/></items></event><headers xmlns='http://jabber.org/protocol/shim'>\
             <header name='Collection'>{collection}</header></headers></message>"
        ));
        test.count("pubsub-item")
    };
    assert_eq!(through(&mut test, "leaf", "all"), 0, "nobody is subscribed");
    subscribed(&mut test, 1, "all");
    assert_eq!(through(&mut test, "leaf", "all"), 1);
    assert_eq!(last_item(&test).node, "leaf");
    assert_eq!(through(&mut test, "leaf", "others"), 0);
    assert_eq!(through(&mut test, "urn:xmpp:omemo:2:bundles", "all"), 0, "it is reserved");
    // Openfire names the node at the item, and the collection around it.
    let within = |test: &mut TestSession, collection: &str, node: &str| {
        test.forget();
        test.hear_xml(&format!(
            "<message xmlns='jabber:client' from='{SERVICE}'><event xmlns='http://jabber.org/protocol/pubsub#event'>\
             <items node='{collection}'><item id='2' node='{node}'/></items></event></message>"
        ));
        test.count("pubsub-item")
    };
    assert_eq!(within(&mut test, "all", "leaf"), 1);
    assert_eq!(last_item(&test).node, "leaf");
    assert_eq!(within(&mut test, "others", "leaf"), 0);
    assert_eq!(within(&mut test, "all", "urn:xmpp:omemo:2:bundles"), 0, "it is reserved");
}

/// After a restart, a server may be back before the service is, or before it reaches other servers.
#[test]
fn a_service_that_is_not_reached_ends_no_subscription_and_is_asked_again() {
    let mut test = TestSession::connected(Settings::default());
    subscribed(&mut test, 1, "news");
    for condition in ["remote-server-not-found", "remote-server-timeout", "internal-server-error"] {
        test.bind();
        test.roster(vec![item(ROMEO, "both")]);
        let id = test.asked_of(SERVICE, subscribes);
        test.forget();
        test.sent.clear();
        test.answer(Some(SERVICE), id, Err(stanza_error(condition)));
        assert_eq!(test.count("pubsub-item"), 0, "{condition}: nobody ended it");
        news(&mut test, SERVICE, "news", condition);
        assert_eq!(last_item(&test).kind, PubsubKind::Item, "{condition}");
        test.wait(299);
        assert_eq!(test.count_asked(subscribes), 0, "{condition}");
        test.wait(1);
        assert_eq!(test.count_asked(subscribes), 1, "{condition}");
        answered(&mut test, false, None);
        test.wait(600);
        assert_eq!(test.count_asked(subscribes), 1, "{condition}: it is made");
    }
}

#[test]
fn a_service_that_is_not_reached_keeps_a_subscription_that_a_plugin_ends() {
    let mut test = TestSession::connected(Settings::default());
    subscribed(&mut test, 1, "news");
    let ends = |test: &mut TestSession, condition: &str| {
        let mut receiver = unsubscribe(test, 1, "news");
        let id = test.asked_of(SERVICE, |ask| matches!(ask, Ask::Pubsub(_)));
        test.answer(Some(SERVICE), id, Err(stanza_error(condition)));
        assert!(matches!(got(&mut receiver), Some(Err(CallError::Stanza(_)))), "{condition}");
        test.session.features.pubsub.len()
    };
    assert_eq!(ends(&mut test, "remote-server-timeout"), 1, "it sends items still, and can be asked again");
    assert_eq!(ends(&mut test, "unexpected-request"), 0, "it has none");
}

#[test]
fn a_service_that_is_not_reached_is_not_asked_for_what_nobody_wants_or_before_the_stream_is_back() {
    let mut test = TestSession::connected(Settings::default());
    let not_reached = |test: &mut TestSession| {
        test.bind();
        test.roster(vec![item(ROMEO, "both")]);
        let id = test.asked_of(SERVICE, subscribes);
        test.answer(Some(SERVICE), id, Err(stanza_error("remote-server-not-found")));
        test.sent.clear();
    };
    subscribed(&mut test, 1, "news");
    not_reached(&mut test);
    test.run(Session::suspended);
    test.wait(400);
    assert_eq!(test.count_asked(subscribes), 0, "there is no stream");
    test.run(Session::resumed);
    test.wait(300);
    assert_eq!(test.count_asked(subscribes), 1);
    not_reached(&mut test);
    test.run(|session, _, effects| session.instance_gone(InstanceId(1), effects));
    test.wait(300);
    assert_eq!(test.count_asked(subscribes), 0, "its plugin is gone");
}

#[test]
fn subscriptions_are_bounded_and_are_those_of_the_one_that_replaces() {
    let mut test = TestSession::connected(Settings::default());
    for number in 0..MAX_OF_ONE {
        subscribed(&mut test, 1, &number.to_string());
    }
    assert!(matches!(got(&mut subscribe(&mut test, 1, "more")), Some(Err(CallError::OverLimit(_)))));
    subscribed(&mut test, 1, "0");
    test.session.instance_successor(InstanceId(2), InstanceId(1));
    test.session.instance_inherits(InstanceId(2));
    test.run(|session, _, effects| session.instance_gone(InstanceId(1), effects));
    assert_eq!(test.session.features.pubsub.len(), MAX_OF_ONE);
}

#[test]
fn items_are_read_and_an_answer_without_any_is_an_error() {
    let mut test = TestSession::connected(Settings::default());
    let ask = |test: &mut TestSession, service: &str| {
        let which = WhichItems::Page { max: 10, after: None };
        test.ask(GetItems { service: bare(service), node: "n".to_owned(), which })
    };
    let mut receiver = ask(&mut test, SERVICE);
    let id = test.asked_of(SERVICE, |ask| matches!(ask, Ask::Pubsub(_)));
    test.answer(Some(SERVICE), id, Ok(Body::NodeItems(Box::default())));
    assert_eq!(got(&mut receiver), Some(Ok(NodePage::default())));
    let mut receiver = ask(&mut test, "bot@example.org");
    let id = test.asked(|ask| matches!(ask, Ask::Pubsub(_)));
    assert!(matches!(test.sent.last(), Some(Outgoing::Ask { to: None, .. })), "the own account");
    test.answer(None, id, Ok(Body::Empty));
    assert!(matches!(got(&mut receiver), Some(Err(CallError::Other(_)))));
}
