//! Tests of bookmarks that other clients of the account store.

use super::*;
use crate::types::BookmarkChange;

/// XEP-0048, section 4, with XEP-0163: the whole list is one item, with any id.
#[test]
fn a_list_of_an_older_client_is_read_as_a_whole() {
    let notice = |from: &str, content: &str, beside: &str| {
        read(&format!(
            "<message xmlns='jabber:client' {from}><event xmlns='http://jabber.org/protocol/pubsub#event'>{content}</event>\
             {beside}</message>"
        ))
    };
    let list = |inside: &str| {
        let storage = format!("<storage xmlns='storage:bookmarks'>{inside}</storage>");
        format!("<items node='storage:bookmarks'><item id='current'>{storage}</item></items>")
    };
    let two =
        list("<conference jid='r@muc' autojoin='1'><nick>n</nick></conference><conference jid='s@muc'/><url url='u'/>");
    for from in ["from='me@house'", ""] {
        let Incoming::Bookmarks(changes) = notice(from, &two, "") else { panic!("bookmarks") };
        let [BookmarkChange::Stored(all)] = changes.as_slice() else { panic!("{changes:?}") };
        let read: Vec<_> = all.iter().map(|one| (one.room.as_str(), one.autojoin, one.nick.as_deref())).collect();
        assert_eq!(read, [("r@muc", true, Some("n")), ("s@muc", false, None)]);
        let Incoming::Bookmarks(changes) = notice(from, &list(""), "") else { panic!("bookmarks") };
        assert_eq!(changes, [BookmarkChange::Stored(Vec::new())]);
    }
    let cut = format!("<{CUT} xmlns='{}'>children</{CUT}>", NOTES.as_str());
    for (from, content, beside) in [
        ("from='mallory@evil'", two.as_str(), ""),
        ("from='me@house/other'", two.as_str(), ""),
        ("", two.as_str(), cut.as_str()),
        ("", "<items node='storage:bookmarks'><retract id='before'/></items>", ""),
        ("", "<items node='storage:bookmarks'><item id='current'/></items>", ""),
        ("", "<delete node='storage:bookmarks'/>", ""),
        ("", "<purge node='storage:bookmarks'/>", ""),
    ] {
        assert!(matches!(notice(from, content, beside), Incoming::Message(_)), "{from} {content} {beside}");
    }
}
