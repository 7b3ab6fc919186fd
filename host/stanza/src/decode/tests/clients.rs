//! Tests of stanzas in the less usual forms that other clients and libraries read.

use super::*;
use crate::types::{NodeChange, NodeItem};

/// XEP-0060, sections 7.1.2, 7.2.2, 8.4 to 8.8, and XEP-0248.
#[test]
fn what_a_node_says_is_about_its_items_itself_or_our_subscription() {
    let told = |inside: &str| {
        let event = format!("<event xmlns='http://jabber.org/protocol/pubsub#event'>{inside}</event>");
        message("from='pubsub.far'", &event).pubsub.pop().map(|event| (event.node, event.changes)).unwrap_or_default()
    };
    let change = |changes: Vec<NodeChange>| ("n".to_owned(), changes);
    let gone = |id: &str| NodeChange::Retracted(id.to_owned());
    let item = NodeItem { id: Some("1".to_owned()), ..NodeItem::default() };
    for (inside, changes) in [
        ("<items node='n'><retract id='a'/><retract id='b'/></items>", vec![gone("a"), gone("b")]),
        ("<items node='n'><item id='1'/><retract id='b'/></items>", vec![NodeChange::Item(item), gone("b")]),
        // A node that keeps no items, and sends no payloads: somebody has published.
        ("<items node='n'/>", vec![NodeChange::Item(NodeItem::default())]),
        ("<purge node='n'/>", vec![NodeChange::Purged]),
        ("<delete node='n'><redirect uri='xmpp:a@b?;node=m'/></delete>", vec![NodeChange::Deleted]),
        ("<subscription node='n' jid='me@house' subscription='none'/>", vec![NodeChange::Unsubscribed { id: None }]),
        (
            "<subscription node='n' jid='me@house' subscription='none' subid='s'/>",
            vec![NodeChange::Unsubscribed { id: Some("s".to_owned()) }],
        ),
        (
            "<subscription node='n' jid='me@house' subscription='subscribed' subid='s' expiry='2006-02-28T23:59:59Z'/>",
            vec![NodeChange::Subscribed { id: Some("s".to_owned()) }],
        ),
    ] {
        assert_eq!(told(inside), change(changes), "{inside}");
    }
    for nothing in [
        "<configuration node='n'/>",
        "<items node='n'><later xmlns='urn:x'/></items>",
        "<collection node='n'><associate node='m'/></collection>",
        "<subscription node='n' jid='other@house' subscription='none'/>",
        "<subscription node='n' jid='other@house' subscription='subscribed'/>",
        "<subscription node='n' jid='me@house' subscription='pending'/>",
        "<subscription node='n' jid='me@house'/>",
    ] {
        assert!(told(nothing).1.is_empty(), "{nothing}");
    }
    let spaced =
        "\n <items node='n'>\n  <item id='1'>\n   <geoloc xmlns='urn:geo' xml:lang='en'/>\n  </item>\n </items>";
    let (_, changes) = told(spaced);
    let [NodeChange::Item(NodeItem { xml: Some(xml), .. })] = changes.as_slice() else { panic!("{changes:?}") };
    assert!(xml.contains("geoloc"), "{xml}");
    // Which items there were is not known if a part of the message was left out.
    let event = "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'/></event>";
    let cut = format!("{event}<{CUT} xmlns='{}'>too long</{CUT}>", NOTES.as_str());
    assert!(message("from='pubsub.far'", &cut).pubsub.pop().unwrap().changes.is_empty());
}

/// XEP-0060, schema of events: an item may name its own node. Openfire does so for subscribers of a collection.
#[test]
fn an_item_of_a_collection_is_of_the_node_that_it_names() {
    let told = |items: &str| {
        let event =
            format!("<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='all'>{items}</items></event>");
        let events = message("from='pubsub.far'", &event).pubsub.into_iter().map(|event| {
            let ids = event.changes.into_iter().map(|change| match change {
                NodeChange::Item(NodeItem { id: Some(id), .. }) | NodeChange::Retracted(id) => id,
                other => panic!("{other:?}"),
            });
            format!("{} in {:?}: {}", event.node, event.collections, ids.collect::<Vec<_>>().concat())
        });
        events.collect::<Vec<_>>()
    };
    assert_eq!(told("<item id='1' node='n'/><item id='2' node='n'/>"), ["n in [\"all\"]: 12"]);
    assert_eq!(
        told("<retract id='1' node='n'/><item id='2'/><item id='3' node='m'/>"),
        ["n in [\"all\"]: 1", "all in []: 2", "m in [\"all\"]: 3"]
    );
    assert_eq!(told("<item id='1' node='all'/><item id='2'/>"), ["all in []: 12"]);
    for odd in ["<item id='1' node=''/><item id='2'/>", "<item id='1' node='a&#xA;b'/><item id='2'/>"] {
        assert_eq!(told(odd), ["all in []: 2"], "{odd}");
    }
}

/// XEP-0060, sections 8.8.4 and 8.9.4: such a notice is no event of the node.
#[test]
fn the_owner_of_a_node_changes_our_subscription() {
    let told = |inside: &str| {
        let notice = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{inside}</pubsub>");
        message("from='pubsub.far'", &notice).pubsub.pop().map(|event| (event.node, event.changes))
    };
    let change = |changes: Vec<NodeChange>| Some(("n".to_owned(), changes));
    let (none, active) = ("jid='me@house' subscription='none'", "jid='me@house' subscription='subscribed' subid='s'");
    let [ended, approved] =
        [vec![NodeChange::Unsubscribed { id: None }], vec![NodeChange::Subscribed { id: Some("s".to_owned()) }]];
    for (inside, changes) in [
        (format!("<subscription node='n' {none}/>"), ended.clone()),
        (format!("<subscription node='n' {active}/>"), approved),
        (format!("<subscriptions><subscription node='n' {none}/></subscriptions>"), ended.clone()),
        (format!("<subscriptions node='n'><subscription {none}/></subscriptions>"), ended),
        ("<subscription node='n' jid='other@house' subscription='none'/>".to_owned(), Vec::new()),
        (
            "<affiliations><affiliation node='n' jid='me@house' affiliation='none'/></affiliations>".to_owned(),
            Vec::new(),
        ),
    ] {
        assert_eq!(told(&inside), change(changes), "{inside}");
    }
    let other = ["<items node='n'><item id='1'/></items>", "<subscription jid='me@house' subscription='none'/>", ""];
    for nothing in other {
        assert_eq!(told(nothing), None, "{nothing}");
    }
    let groupchat =
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscription node='n' subscription='none'/></pubsub>";
    assert!(message("from='pubsub.far' type='groupchat'", groupchat).pubsub.is_empty());
}

/// A service may tell of several subscriptions at once, such as those of all subscribers, or of one address with several ids.
#[test]
fn all_nodes_and_subscriptions_that_a_message_tells_of_are_read_within_limits() {
    let told = |payload: &str| {
        let events = message("from='pubsub.far'", payload).pubsub;
        events.into_iter().map(|event| (event.node, event.changes)).collect::<Vec<_>>()
    };
    let notice = |inside: &str| told(&format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{inside}</pubsub>"));
    let event =
        |inside: &str| told(&format!("<event xmlns='http://jabber.org/protocol/pubsub#event'>{inside}</event>"));
    let of =
        |node: &str, jid: &str, rest: &str| format!("<subscription {node} jid='{jid}' subscription='none' {rest}/>");
    let ended = |id: &str| NodeChange::Unsubscribed { id: Some(id.to_owned()) };
    let others_first = format!("{}{}", of("", "other@house", ""), of("", "me@house", "subid='a'"));
    assert_eq!(
        notice(&format!("<subscriptions node='n'>{others_first}{}</subscriptions>", of("", "me@house", "subid='b'"))),
        [("n".to_owned(), vec![ended("a"), ended("b")])]
    );
    let two = format!("{}{}", of("node='m'", "me@house", "subid='a'"), of("node='n'", "me@house", "subid='b'"));
    let both = [("m".to_owned(), vec![ended("a")]), ("n".to_owned(), vec![ended("b")])];
    assert_eq!(notice(&format!("<subscriptions>{two}</subscriptions>")), both);
    assert_eq!(notice(&two), both);
    assert_eq!(event(&two), both);
    let many =
        notice(&format!("<subscriptions node='n'>{}</subscriptions>", of("", "me@house", "subid='a'").repeat(100)));
    assert_eq!((many.len(), many[0].1.len()), (1, 64));
    let node = |node: usize| format!("<items node='{node}'>{}</items>", "<item id='1'/>".repeat(3));
    let nodes: Vec<String> = (0..100).map(node).collect();
    let many = event(&nodes.concat());
    assert_eq!((many.len(), many.iter().map(|(_, changes)| changes.len()).sum::<usize>()), (32, 64));
    let within = |collection: usize| format!("<items node='{collection}'><item id='1' node='n'/></items>");
    let items: Vec<String> = (0..100).map(within).collect();
    let all = format!("<event xmlns='http://jabber.org/protocol/pubsub#event'>{}</event>", items.concat());
    let many = message("from='pubsub.far'", &all).pubsub;
    assert_eq!((many.len(), many[0].collections.len()), (1, 16));
}

/// XEP-0248, section 5.2.
#[test]
fn an_event_names_the_collections_through_which_it_comes() {
    let through = |headers: &str| {
        let event = "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'/></event>";
        message("from='pubsub.far'", &format!("{event}{headers}")).pubsub.pop().unwrap().collections
    };
    let shim = |inside: &str| format!("<headers xmlns='http://jabber.org/protocol/shim'>{inside}</headers>");
    let two =
        "<header name='SubID'>s</header><header name='Collection'>all</header><header name='Collection'>some</header>";
    assert_eq!(through(&shim(two)), ["all", "some"]);
    for nothing in ["<header name='Collection'/>", "<header name='Collection'>a&#xA;b</header>", "<header>all</header>"]
    {
        assert!(through(&shim(nothing)).is_empty(), "{nothing}");
    }
    assert!(through("<headers xmlns='urn:x'><header name='Collection'>all</header></headers>").is_empty());
    assert_eq!(through(&shim(&"<header name='Collection'>all</header>".repeat(100))).len(), 16);
}

/// RFC 6120, section 8.3.2: the condition may have others beside it, which only some programs know.
#[test]
fn the_condition_of_an_error_is_found_wherever_it_is() {
    let stanzas = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'";
    let error = |inside: &str| *message("from='a@b' type='error'", inside).error.unwrap();
    let crowded = error(&format!(
        "<error type='continue'><foo xmlns='urn:x'/><service-unavailable {stanzas}/><bar xmlns='urn:x'/>\
         <text {stanzas}>later</text></error>"
    ));
    assert_eq!(
        (crowded.condition.as_str(), crowded.kind.as_str(), crowded.text.as_deref()),
        ("service-unavailable", "continue", Some("later"))
    );
    // Of several texts, the owner gets the one without a language, or the English one.
    let told = |texts: &str| error(&format!("<error type='wait'><service-unavailable {stanzas}/>{texts}</error>")).text;
    let text = |lang: &str, said: &str| format!("<text {stanzas} {lang}>{said}</text>");
    let (german, english) = (text("xml:lang='de'", "voll"), text("xml:lang='en'", "full"));
    assert_eq!(told(&format!("{german}{english}")).as_deref(), Some("full"));
    assert_eq!(told(&format!("{german}{english}{}", text("", "busy"))).as_deref(), Some("busy"));
    assert_eq!(told(&german).as_deref(), Some("voll"));
    // Some programs break the lines of a text, or write an empty one.
    assert_eq!(told(&format!("<text {stanzas}>\n\tthe queue is full\n</text>")).as_deref(), Some("the queue is full"));
    assert_eq!(told(&format!("<text {stanzas}> \n</text>")), None);
    // XEP-0086 had a number alone.
    for (of_old, condition, kind, text) in [
        ("<error code='404' type='cancel'>Not Found</error>", "item-not-found", "cancel", Some("Not Found")),
        ("<error code='407'/>", "registration-required", "auth", None),
        ("<error code='409' type='wait'> \n</error>", "conflict", "wait", None),
        ("<error code='502'>Unknown host</error>", "service-unavailable", "wait", Some("Unknown host")),
        ("<error code='503'/>", "service-unavailable", "cancel", None),
        ("<error code='299'>odd</error>", "undefined-condition", "cancel", None),
        (&format!("<error code='404'><gone {stanzas}/>odd</error>"), "gone", "cancel", None),
    ] {
        let read = error(of_old);
        let expected = (condition, kind, text);
        assert_eq!((read.condition.as_str(), read.kind.as_str(), read.text.as_deref()), expected, "{of_old}");
    }
}

/// Metronome sends people to the place of a destroyed room in this way.
#[test]
fn where_to_go_instead_may_be_in_the_text_of_an_error() {
    let error = |condition: &str, text: &str| {
        let stanzas = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'";
        let inside = format!("{condition}<text {stanzas}>{text}</text>").replace("/>", &format!(" {stanzas}/>"));
        let presence = presence("from='r@muc/n' type='error'", &format!("<error type='modify'>{inside}</error>"));
        let PresenceKind::Error(error) = presence.kind else { panic!("an error") };
        error.gone_to.map(|to| to.to_string())
    };
    let there = Some("s@muc".to_owned());
    assert_eq!((error("<gone/>", "xmpp:s@muc?join"), error("<redirect/>", "xmpp:s@muc")), (there.clone(), there));
    assert_eq!(error("<gone/>", "Ask at xmpp:s@muc"), None);
    assert_eq!(error("<conflict/>", "xmpp:s@muc"), None);
}

/// XEP-0066, section 3.
#[test]
fn each_address_outside_of_xmpp_is_a_file() {
    let outside = |inside: &str| format!("<x xmlns='jabber:x:oob'>{inside}</x>");
    let two = [
        outside("<url>http://h/license.jpg</url>"),
        outside("<url>https://h/logo.svg</url><desc>Logo</desc>"),
        outside("<desc>nothing</desc>"),
    ];
    let read = message("from='a@b'", &format!("<body>look</body>{}", two.concat()));
    let urls: Vec<_> = read.extensions.unwrap().files.into_iter().map(|file| file.url).collect();
    assert_eq!(urls, ["http://h/license.jpg", "https://h/logo.svg"]);
}

/// XEP-0059, section 2.6, with what only requests have.
#[test]
fn a_page_is_read_by_its_own_elements_alone() {
    let set = "<after>a</after><before>b</before><count>1</count><first index='2'>foo@bar.com</first><index>3</index>\
               <last>l</last><max>4</max>";
    let fin =
        body_of(&format!("<fin xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>{set}</set></fin>"));
    let first = Some("foo@bar.com".to_owned());
    let expected = ArchiveFin { complete: false, first, index: Some(2), last: Some("l".to_owned()), count: Some(1) };
    assert_eq!(fin, Body::ArchiveFin(expected));
}

/// XEP-0297, section 3.1, demands the namespace, which some servers leave out.
#[test]
fn a_forwarded_message_without_a_namespace_is_read() {
    let inner = |more: &str| {
        format!(
            "<message {more} type='chat' id='7'><body xml:lang='en'>hi</body><received xmlns='urn:xmpp:receipts' id='1'/></message>"
        )
    };
    let sent = carbon("from='me@house'", "sent", &inner("from='me@house/phone' to='friend@far/x'"));
    let Incoming::Message(sent) = sent else { panic!("{sent:?}") };
    assert_eq!((sent.body.as_deref(), sent.id.as_deref(), sent.carbon), (Some("hi"), Some("7"), Some(Carbon::Sent)));
    assert_eq!(sent.extensions.unwrap().receipt.as_deref(), Some("1"));
    let forged = carbon("from='me@house'", "sent", &inner("from='friend@far/x' to='me@house/phone'"));
    assert!(matches!(forged, Incoming::Refused(_)), "{forged:?}");
    let Incoming::Archived(result) = archived("", RESULT, &forwarded(&inner("from='friend@far/x'"))) else {
        panic!("a result was sent")
    };
    assert_eq!(result.message.unwrap().body.as_deref(), Some("hi"));
    let again = forwarded(&forwarded(&inner("from='friend@far/x'")));
    let Incoming::Archived(result) = archived("", RESULT, &again) else { panic!("a result was sent") };
    assert!(result.message.is_none(), "it is not the message of the result");
}

/// XEP-0082, section 3.2.
#[test]
fn a_stamp_has_a_date_a_time_and_one_zone() {
    for (stamp, at) in [
        ("2014-01-26T20:40:10+01:00", Some("2014-01-26T19:40:10Z")),
        ("1969-07-20T21:56:15-05:00", Some("1969-07-21T02:56:15Z")),
        ("2002-09-10T23:08:25.12Z", Some("2002-09-10T23:08:25.12Z")),
        ("2017-11-05T01:41:20-00:00", Some("2017-11-05T01:41:20Z")),
        ("2017-11-05T01:41:20Z+05:00", None),
        ("2017-13-01T12:23:34Z", None),
        ("20:40:10", None),
        ("", None),
    ] {
        let read = message("from='a@b'", &format!("<delay xmlns='urn:xmpp:delay' from='house' stamp='{stamp}'/>"));
        let expected = at.map(|at| at.parse::<Timestamp>().unwrap());
        assert_eq!((read.delayed, read.at), (at.is_some(), expected.unwrap_or_else(now)), "{stamp}");
    }
}

/// XEP-0091. Without its stamp, a stored message would count as new, and commands in it would run.
#[test]
fn an_old_stamp_may_lack_leading_zeros() {
    for (stamp, at) in [
        ("20080608T09:16:20", Some("2008-06-08T09:16:20Z")),
        ("200868T09:16:20", Some("2008-06-08T09:16:20Z")),
        ("2008618T09:16:20", Some("2008-06-18T09:16:20Z")),
        ("2008131T09:16:20", Some("2008-01-31T09:16:20Z")),
        ("2008118T09:16:20", Some("2008-11-08T09:16:20Z")),
        ("20081301T09:16:20", None),
        ("200860T09:16:20", None),
        ("2008é1T09:16:20", None),
        ("2008T09:16:20", None),
    ] {
        let delay = format!("<x xmlns='jabber:x:delay' from='house' stamp='{stamp}'/>");
        let at = at.map(|at| at.parse::<Timestamp>().unwrap());
        let read = message("from='a@b'", &delay);
        assert_eq!((read.delayed, read.at), (at.is_some(), at.unwrap_or_else(now)), "{stamp}");
        assert_eq!(presence("from='a@b/c'", &delay).delay, at, "{stamp}");
    }
    let both = "<x xmlns='jabber:x:delay' stamp='20080608T09:16:20'/><delay xmlns='urn:xmpp:delay' \
                stamp='2020-01-02T03:04:05Z'/>";
    assert_eq!(presence("from='a@b/c'", both).delay, Some("2020-01-02T03:04:05Z".parse().unwrap()));
    assert_eq!(presence("from='a@b/c'", "<x xmlns='jabber:x:delay'/>").delay, None);
}

/// XEP-0060, section 6.1: a service may keep several subscriptions of one address, each with an id.
#[test]
fn the_id_of_a_subscription_is_read() {
    let id = |subid: &str| {
        let xml = format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscription subscription='subscribed' {subid}/></pubsub>"
        );
        let Body::Subscription { is_pending: false, id } = body_of(&xml) else { panic!("{subid}") };
        id
    };
    assert_eq!((id("subid='s'").as_deref(), id("subid=''"), id("")), (Some("s"), None, None));
}

/// ejabberd permits an entry for one client of a contact, beside that of the contact.
#[test]
fn an_entry_of_a_roster_for_one_client_does_not_replace_that_of_the_contact() {
    let whole = "<item jid='a@b' subscription='both'/>";
    let client = "<item jid='a@b/c' ask='subscribe'/>";
    for entries in [format!("{whole}{client}"), format!("{client}{whole}")] {
        let roster = format!("<query xmlns='jabber:iq:roster'>{entries}</query>");
        let Incoming::Answer(Answer { outcome: Ok(Body::Roster { items, .. }), .. }) = iq("type='result'", &roster)
        else {
            panic!("a roster")
        };
        let counts = items.last().unwrap();
        assert_eq!((counts.subscription.as_str(), counts.ask), ("both", false), "{entries}");
    }
    let is_of_client = |entry: &str| match iq("type='set'", &format!("<query xmlns='jabber:iq:roster'>{entry}</query>"))
    {
        Incoming::Request(Request { query: Query::RosterPush { of_client, .. }, .. }) => of_client,
        other => panic!("expected a push, found {other:?}"),
    };
    assert_eq!([whole, client].map(is_of_client), [false, true]);
}
