//! Items of nodes of publish-subscribe.

use super::*;

#[test]
fn items_of_nodes() {
    let answer =
        |content: &str| body_of(&format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{content}</pubsub>"));
    assert_eq!(answer("<publish node='n'><item id='1'/></publish>"), Body::Published(Some("1".to_owned())));
    for (state, is_pending) in [
        ("subscription='pending'", true),
        ("subscription='unconfigured'", true),
        ("subscription='none'", true),
        ("subscription='subscribed'", false),
        ("", false),
    ] {
        assert_eq!(answer(&format!("<subscription {state}/>")), Body::Subscription { is_pending, id: None }, "{state}");
    }
    let items = "<items node='n'><item id='1' publisher='a@b'><x xmlns='urn:x'/></item><item id='2'/></items>";
    let Body::NodeItems(page) = answer(items) else { panic!("{items}") };
    assert_eq!((page.items.len(), page.is_paged, page.last.as_deref()), (2, false, None));
    assert_eq!(page.items[0].publisher, Some(jid("a@b")));
    assert!(page.items[0].xml.as_deref().is_some_and(|xml| xml.contains("urn:x")) && page.items[1].xml.is_none());
    let set = |rest: &str| format!("{items}<set xmlns='http://jabber.org/protocol/rsm'>{rest}</set>");
    for (rest, last) in [
        ("<first index='0'>1</first><last>2</last><count>5</count>", Some("2")),
        ("<first index='3'>1</first><last>2</last><count>5</count>", None),
        ("<first>1</first><last>2</last>", Some("2")),
        ("<count>0</count>", None),
    ] {
        let Body::NodeItems(page) = answer(&set(rest)) else { panic!("{rest}") };
        assert_eq!((page.is_paged, page.last.as_deref()), (true, last), "{rest}");
    }
}

/// A service without pages gives them in one answer or never.
#[test]
fn a_long_list_of_items_is_read_whole_and_no_endless_one() {
    for (given, read) in [(101, 101), (9_999, 9_999), (10_001, 10_000)] {
        let items: Vec<_> = (0..given).map(|number| format!("<item id='{number}'/>")).collect();
        let items = items.concat();
        let answer =
            format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'>{items}</items></pubsub>");
        let Body::NodeItems(page) = body_of(&answer) else { panic!("{given} items") };
        assert_eq!((page.items.len(), page.is_paged), (read, false));
    }
}
