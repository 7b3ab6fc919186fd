//! Tests of the stanzas that are written for requests of plugins.

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::decode::decode;
use crate::error::CallError;
use crate::iq_payload::IqPayload;
use crate::raw::RawStanza;
use crate::testing::jid;
use crate::text::is_forbidden;
use crate::types::{
    ArchivePreferences, ArchiveQuery, Body, Bookmark, BookmarkPlace, Caps, Cursor, EncryptionWish, Field, FormField,
    Hint, History, Identity, Incoming, Invitation, LinkPreview, Moderated, Reactions, ReplyTo, Report, ReportKind,
    RoomJoin, RosterItem, SharedFile,
};

fn xml(outgoing: Outgoing) -> String {
    String::from(&element(&encode(outgoing)))
}

fn asked(ask: Ask) -> String {
    xml(Outgoing::Ask { to: Some(jid("a@b")), id: "1".to_owned(), ask })
}

fn replied(reply: Reply) -> String {
    xml(Outgoing::Reply { to: Some(jid("a@b/c")), id: "1".to_owned(), reply })
}

/// Compares trees, since the library decides the order of attributes.
fn same(found: &str, expected: &str) {
    let read = |xml: &str| xml.parse::<Element>().unwrap();
    assert_eq!(read(found), read(expected), "{found}");
}

#[test]
fn a_message_carries_what_the_draft_says() {
    let extensions = Extensions {
        thread_parent: Some("p".to_owned()),
        fallback: vec![Fallback { feature: Some(REPLY.to_owned()), part: Some((0, 4)) }],
        markable: true,
        hints: vec![Hint::Store],
        reply: Some(ReplyTo { id: "r".to_owned(), to: Some(jid("x@y")) }),
        replace: Some("old".to_owned()),
        retract: Some("gone".to_owned()),
        moderated: Some(Moderated { id: "theirs".to_owned(), by: None, occupant_id: None, reason: None }),
        reactions: Some(Reactions { id: "m".to_owned(), emojis: vec!["👍".to_owned()] }),
        receipt_requested: true,
        receipt: Some("got".to_owned()),
        marker: Some("displayed".to_owned()),
        marked: Some("seen".to_owned()),
        chat_state: Some("active".to_owned()),
        files: vec![SharedFile {
            url: "https://h/f?a&b".to_owned(),
            name: Some("f.png".to_owned()),
            media_type: Some("image/png".to_owned()),
            size: Some(7),
        }],
        spoiler: Some("a < b".to_owned()),
        unstyled: true,
        previews: vec![LinkPreview { image: Some("https://h/i".to_owned()), ..preview("https://h/?a&b") }],
    };
    let draft = Draft {
        body: Some("1 < 2".to_owned()),
        subject: Some("s".to_owned()),
        thread: Some("t".to_owned()),
        extensions: Some(Box::new(extensions)),
        encryption: EncryptionWish::default(),
        is_secret: false,
    };
    let out = Outgoing::Message {
        to: jid("room@b"),
        kind: MessageKind::Groupchat,
        id: "id".to_owned(),
        draft,
        to_occupant: false,
    };
    same(
        &xml(out),
        "<message xmlns='jabber:client' to='room@b' type='groupchat' id='id'><body>1 &lt; 2</body><subject>s</subject>\
         <thread parent='p'>t</thread><origin-id xmlns='urn:xmpp:sid:0' id='id'/><file-sharing xmlns='urn:xmpp:sfs:0' disposition='inline'>\
         <file xmlns='urn:xmpp:file:metadata:0'><media-type>image/png</media-type><name>f.png</name><size>7</size></file>\
         <sources><url-data xmlns='http://jabber.org/protocol/url-data' target='https://h/f?a&amp;b'/></sources>\
         </file-sharing><fallback xmlns='urn:xmpp:fallback:0' \
         for='urn:xmpp:reply:0'><body start='0' end='4'/></fallback><store xmlns='urn:xmpp:hints'/><markable \
         xmlns='urn:xmpp:chat-markers:0'/><reply xmlns='urn:xmpp:reply:0' id='r' to='x@y'/><replace \
         xmlns='urn:xmpp:message-correct:0' id='old'/><retract xmlns='urn:xmpp:message-retract:1' id='gone'/><reactions xmlns='urn:xmpp:reactions:0' id='m'><reaction>👍\
         </reaction></reactions><request xmlns='urn:xmpp:receipts'/><received xmlns='urn:xmpp:receipts' id='got'/>\
         <displayed xmlns='urn:xmpp:chat-markers:0' id='seen'/><active \
         xmlns='http://jabber.org/protocol/chatstates'/><spoiler xmlns='urn:xmpp:spoiler:0'>a &lt; b</spoiler><unstyled \
         xmlns='urn:xmpp:styling:0'/><Description xmlns='http://www.w3.org/1999/02/22-rdf-syntax-ns#' \
         xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' rdf:about='https://h/?a&amp;b'><title \
         xmlns='https://ogp.me/ns#'>T</title><image xmlns='https://ogp.me/ns#'>https://h/i</image></Description>\
         </message>",
    );
}

fn preview(url: &str) -> LinkPreview {
    LinkPreview { url: url.to_owned(), title: Some("T".to_owned()), ..LinkPreview::default() }
}

#[test]
fn a_spoiler_without_a_hint_is_an_empty_element() {
    let extensions = Some(Box::new(Extensions { spoiler: Some(String::new()), ..Extensions::default() }));
    let draft = Draft { body: Some("x".to_owned()), extensions, ..Draft::default() };
    let (to, id) = (jid("a@b"), "id".to_owned());
    same(
        &xml(Outgoing::Message { to, kind: MessageKind::Chat, id, draft, to_occupant: false }),
        "<message xmlns='jabber:client' to='a@b' type='chat' id='id'><body>x</body><origin-id xmlns='urn:xmpp:sid:0' \
         id='id'/><spoiler xmlns='urn:xmpp:spoiler:0'/></message>",
    );
}

/// XEP-0447, section 4.2, and XEP-0066: a client that knows no files shows the address.
#[test]
fn a_file_whose_address_is_the_body_is_told_in_both_forms() {
    let file = SharedFile { url: "https://h/f".to_owned(), ..SharedFile::default() };
    let extensions = Some(Box::new(Extensions { files: vec![file.clone()], ..Extensions::default() }));
    let draft = Draft { body: Some(file.url), extensions, ..Draft::default() };
    let (to, id) = (jid("a@b"), "id".to_owned());
    same(
        &xml(Outgoing::Message { to, kind: MessageKind::Chat, id, draft, to_occupant: false }),
        "<message xmlns='jabber:client' to='a@b' type='chat' id='id'><body>https://h/f</body><origin-id \
         xmlns='urn:xmpp:sid:0' id='id'/><x xmlns='jabber:x:oob'><url>https://h/f</url></x><fallback \
         xmlns='urn:xmpp:fallback:0' for='urn:xmpp:sfs:0'><body/></fallback><file-sharing xmlns='urn:xmpp:sfs:0' \
         disposition='inline'><file xmlns='urn:xmpp:file:metadata:0'/><sources><url-data \
         xmlns='http://jabber.org/protocol/url-data' target='https://h/f'/></sources></file-sharing></message>",
    );
}

#[test]
fn what_xml_cannot_carry_does_not_make_the_stanza_vanish() {
    let extensions = Extensions {
        chat_state: Some("x><evil/".to_owned()),
        marker: Some("evil".to_owned()),
        marked: Some("1".to_owned()),
        ..Extensions::default()
    };
    let draft =
        Draft { body: Some("a\u{0}b\u{1b}".to_owned()), extensions: Some(Box::new(extensions)), ..Draft::default() };
    let (to, id) = (jid("a@b"), "id".to_owned());
    let xml = xml(Outgoing::Message { to, kind: MessageKind::Chat, id, draft, to_occupant: false });
    assert!(xml.contains("a\u{fffd}b\u{fffd}") && !xml.contains("evil"), "{xml}");
}

#[test]
fn what_one_occupant_alone_is_told_says_so() {
    let draft = Draft { body: Some("psst".to_owned()), ..Draft::default() };
    let (to, id) = (jid("room@b/nick"), "id".to_owned());
    same(
        &xml(Outgoing::Message { to, kind: MessageKind::Chat, id, draft, to_occupant: true }),
        "<message xmlns='jabber:client' to='room@b/nick' type='chat' id='id'><body>psst</body><origin-id \
         xmlns='urn:xmpp:sid:0' id='id'/><x xmlns='http://jabber.org/protocol/muc#user'/></message>",
    );
}

#[test]
fn presences() {
    let away = PresenceOut {
        show: Some(Show::Away),
        status: Some("out".to_owned()),
        priority: Some(-1),
        ..PresenceOut::default()
    };
    same(
        &xml(Outgoing::Presence(away)),
        "<presence xmlns='jabber:client'><show>away</show><status>out</status><priority>-1</priority></presence>",
    );
    let join = PresenceOut {
        to: Some(jid("room@b/nick")),
        join: Some(RoomJoin {
            password: Some("p".to_owned()),
            history: Some(History { max_stanzas: Some(0), ..History::default() }),
        }),
        ..PresenceOut::default()
    };
    let found = xml(Outgoing::Presence(join));
    assert!(found.contains("<password>p</password>") && found.contains("maxstanzas"), "{found}");
    let gone = PresenceOut { kind: PresenceOutKind::Unavailable, ..PresenceOut::default() };
    assert!(xml(Outgoing::Presence(gone)).contains("unavailable"));
}

#[test]
fn requests() {
    same(
        &asked(Ask::Roster { version: Some("v".to_owned()) }),
        "<iq xmlns='jabber:client' to='a@b' id='1' type='get'><query xmlns='jabber:iq:roster' ver='v'/></iq>",
    );
    same(
        &asked(Ask::DiscoInfo { node: None }),
        "<iq xmlns='jabber:client' to='a@b' id='1' type='get'><query \
         xmlns='http://jabber.org/protocol/disco#info'/></iq>",
    );
    same(
        &asked(Ask::EnableCarbons),
        "<iq xmlns='jabber:client' to='a@b' id='1' type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>",
    );
    same(
        &asked(Ask::DisableCarbons),
        "<iq xmlns='jabber:client' to='a@b' id='1' type='set'><disable xmlns='urn:xmpp:carbons:2'/></iq>",
    );
    assert!(asked(Ask::Ping).contains("urn:xmpp:ping"));
    same(
        &asked(Ask::RoomConfig),
        "<iq xmlns='jabber:client' to='a@b' id='1' type='get'><query \
         xmlns='http://jabber.org/protocol/muc#owner'/></iq>",
    );
    same(
        &asked(Ask::ConfigureRoom { fields: Vec::new() }),
        "<iq xmlns='jabber:client' to='a@b' id='1' type='set'><query xmlns='http://jabber.org/protocol/muc#owner'><x \
         xmlns='jabber:x:data' type='submit'/></query></iq>",
    );
    same(
        &asked(Ask::ConfigureRoom {
            fields: vec![("muc#roomconfig_x".to_owned(), vec!["1".to_owned(), "2".to_owned()])],
        }),
        "<iq xmlns='jabber:client' to='a@b' id='1' type='set'><query xmlns='http://jabber.org/protocol/muc#owner'><x \
         xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>\
         http://jabber.org/protocol/muc#roomconfig</value></field><field var='muc#roomconfig_x'><value>1</value><value>2\
         </value></field></x></query></iq>",
    );
}

#[test]
fn answers() {
    same(&replied(Reply::Done), "<iq xmlns='jabber:client' to='a@b/c' id='1' type='result'/>");
    let disco = Disco {
        identities: vec![Identity {
            category: "client".to_owned(),
            kind: "bot".to_owned(),
            name: Some("parlor".to_owned()),
            lang: Some("en".to_owned()),
        }],
        features: vec!["urn:xmpp:ping".to_owned()],
        forms: Vec::new(),
    };
    same(
        &replied(Reply::Disco { node: Some("n".to_owned()), disco }),
        "<iq xmlns='jabber:client' to='a@b/c' id='1' type='result'><query \
         xmlns='http://jabber.org/protocol/disco#info' node='n'><identity category='client' type='bot' name='parlor' \
         xml:lang='en'/><feature var='urn:xmpp:ping'/></query></iq>",
    );
    assert!(replied(Reply::NoItems { node: None }).contains("disco#items"));
    let version = replied(Reply::Version);
    assert!(version.contains("<name>parlor</name>") && !version.contains("<os"), "{version}");
    let time = replied(Reply::Time("2024-02-29T12:00:00.5Z".parse().unwrap()));
    assert!(time.contains("<utc>2024-02-29T12:00:00Z</utc>") && time.contains("<tzo>+00:00</tzo>"), "{time}");
    same(
        &replied(Reply::Refuse { kind: "cancel", condition: "service-unavailable" }),
        "<iq xmlns='jabber:client' to='a@b/c' id='1' type='error'><error type='cancel'><service-unavailable \
         xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
    );
    assert!(replied(Reply::Refuse { kind: "odd", condition: "odd" }).contains("service-unavailable"));
    let payload = IqPayload::parse("<temperature xmlns='urn:example:weather'>7</temperature>").unwrap();
    same(
        &replied(Reply::Payload(payload)),
        "<iq xmlns='jabber:client' to='a@b/c' id='1' type='result'><temperature \
         xmlns='urn:example:weather'>7</temperature></iq>",
    );
    let text = "not for <you>".to_owned();
    let refused = replied(Reply::RefuseWithText { kind: "auth", condition: "forbidden", text });
    assert!(refused.contains("type='auth'") && refused.contains("<forbidden"), "{refused}");
    assert!(refused.contains(">not for &lt;you&gt;</text>"), "{refused}");
}

#[test]
fn a_raw_stanza_goes_out_as_it_is_shared_or_not() -> Result<(), CallError> {
    let raw = RawStanza::parse("<message to='a@b'><body>hi</body></message>", &jid("me@b"))?;
    let before = raw.to_xml();
    assert_eq!(xml(Outgoing::Raw(raw.clone())), before);
    assert_eq!(xml(Outgoing::Raw(raw)), before);
    Ok(())
}

/// Rows 37-43.
#[test]
fn a_page_is_asked_for_as_the_standard_says() {
    let query = |query: ArchiveQuery| asked(Ask::Archive(Box::new(query)));
    let iq = |form: &str, set: &str| {
        format!(
            "<iq xmlns='jabber:client' type='set' to='a@b' id='1'><query xmlns='urn:xmpp:mam:2' queryid='q'>{form}<set \
             xmlns='http://jabber.org/protocol/rsm'>{set}</set></query></iq>"
        )
    };
    let plain = ArchiveQuery { queryid: "q".to_owned(), max: 50, ..ArchiveQuery::default() };
    same(&query(plain.clone()), &iq("", "<max>50</max>"));
    let filtered = ArchiveQuery {
        with: Some(jid("juliet@b")),
        start: Some("2010-06-07T02:00:00+02:00".parse().unwrap()),
        end: Some("2010-07-07T13:23:54Z".parse().unwrap()),
        cursor: Cursor::Before(String::new()),
        ..plain.clone()
    };
    let field = |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
    let form = format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value>\
         </field>{}{}{}</x>",
        field("with", "juliet@b"),
        field("start", "2010-06-07T00:00:00Z"),
        field("end", "2010-07-07T13:23:54Z")
    );
    same(&query(filtered), &iq(&form, "<max>50</max><before/>"));
    for (cursor, place) in [
        (Cursor::Before("<1>".to_owned()), "<before>&lt;1&gt;</before>"),
        (Cursor::After("2".to_owned()), "<after>2</after>"),
        (Cursor::Index(3), "<index>3</index>"),
    ] {
        let place = format!("<max>50</max>{place}");
        same(&query(ArchiveQuery { cursor, ..plain.clone() }), &iq("", &place));
    }
}

/// Tigase reads all digits of a fraction as a number of milliseconds.
#[test]
fn times_for_an_archive_have_milliseconds_or_none() {
    for (at, start, end) in [
        ("2026-11-20T06:24:00Z", "2026-11-20T06:24:00Z", "2026-11-20T06:24:00Z"),
        ("2026-11-20T06:24:00.5Z", "2026-11-20T06:24:00.500Z", "2026-11-20T06:24:00.500Z"),
        ("2026-11-20T06:24:00.987654321Z", "2026-11-20T06:24:00.987Z", "2026-11-20T06:24:00.988Z"),
        ("2026-11-20T06:24:00.000000001Z", "2026-11-20T06:24:00Z", "2026-11-20T06:24:00.001Z"),
    ] {
        let at: Timestamp = at.parse().unwrap();
        let query = ArchiveQuery { start: Some(at), end: Some(at), ..ArchiveQuery::default() };
        let written = asked(Ask::Archive(Box::new(query)));
        for value in [start, end] {
            assert!(written.contains(&format!(">{value}</value>")), "{value}: {written}");
        }
    }
}

/// Settings `message_archiving`.
#[test]
fn preferences_are_written_with_both_lists() {
    let preferences = ArchivePreferences { default: "never".to_owned(), always: vec![jid("a@b")], never: Vec::new() };
    same(
        &asked(Ask::SetArchivePreferences(preferences)),
        "<iq xmlns='jabber:client' type='set' to='a@b' id='1'><prefs xmlns='urn:xmpp:mam:2' default='never'><always>\
         <jid>a@b</jid></always><never/></prefs></iq>",
    );
    same(
        &asked(Ask::ArchivePreferences),
        "<iq xmlns='jabber:client' type='get' to='a@b' id='1'><prefs xmlns='urn:xmpp:mam:2'/></iq>",
    );
}
/// Generates text that XML can contain, including the characters that it escapes.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => any::<char>().prop_filter("can be sent", |character| !is_forbidden(*character)),
        1 => prop::sample::select(vec!['<', '>', '&', '"', '\'', ' ', '\t', '\n', '\r', ']']),
    ];
    prop::collection::vec(character, 1..20).prop_map(|characters| characters.into_iter().collect())
}

fn extensions() -> impl Strategy<Value = Extensions> {
    let id = || prop::option::of(text());
    let emojis = prop::collection::btree_set(
        text().prop_filter("is short", |emoji| emoji.len() <= 64 && emoji.trim() == emoji),
        0..4,
    );
    let parts = prop::option::of((0..9_u32, 0..9_u32).prop_map(|(start, length)| (start, start + length)));
    let fallback = prop::collection::vec((id(), parts), 0..4);
    let hints = prop::sample::subsequence(Hint::ALL.to_vec(), 0..=4);
    let marker = prop::option::of((prop::sample::select(vec!["received", "displayed", "acknowledged"]), text()));
    let states = vec!["active", "composing", "paused", "inactive", "gone"];
    let state = prop::option::of(prop::sample::select(states));
    let reply = prop::option::of((text(), any::<bool>()));
    let reactions = prop::option::of((text(), emojis));
    let flags = (any::<bool>(), any::<bool>());
    let file = (
        "[a-z]{1,9}",
        prop::option::of("[^./\\\\\\p{C}\\p{Z}][^/\\\\\\p{C}\\p{Z}]{0,8}"),
        prop::option::of(any::<u64>()),
    )
        .prop_map(|(path, name, size)| {
            let url = format!("https://example.org/{path}");
            SharedFile { url, name, media_type: size.map(|_| "image/png".to_owned()), size }
        });
    let files = prop::collection::vec(file, 0..3).prop_map(|mut files| {
        files.sort_by(|one, other| one.url.cmp(&other.url));
        files.dedup_by(|one, other| one.url == other.url);
        files
    });
    let spoiler = prop::option::of("([!-~é]{1,9}( [!-~]{1,9})?)?");
    let previews = prop::collection::btree_set("[a-z&]{1,9}", 0..4).prop_map(|paths| {
        paths.into_iter().map(|path| preview(&format!("https://example.org/{path}"))).collect::<Vec<_>>()
    });
    let shown = (spoiler, any::<bool>(), previews);
    (id(), id(), id(), id(), reply, fallback, reactions, hints, marker, state, (flags, files, shown)).prop_map(
        |(
            parent,
            replace,
            retract,
            receipt,
            reply,
            fallback,
            reactions,
            hints,
            marker,
            state,
            ((receipt_requested, markable), files, (spoiler, unstyled, previews)),
        )| {
            Extensions {
                thread_parent: parent,
                reply: reply.map(|(id, to)| ReplyTo { id, to: to.then(|| jid("x@y/z")) }),
                fallback: fallback.into_iter().map(|(feature, part)| Fallback { feature, part }).collect(),
                replace,
                retract,
                moderated: None,
                reactions: reactions.map(|(id, emojis)| Reactions { id, emojis: emojis.into_iter().collect() }),
                receipt_requested,
                receipt,
                markable,
                marker: marker.as_ref().map(|(marker, _)| (*marker).to_owned()),
                marked: marker.map(|(_, id)| id),
                chat_state: state.map(str::to_owned),
                hints,
                files,
                spoiler,
                unstyled,
                previews,
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_sent_is_what_is_read(
        groupchat in any::<bool>(),
        id in text(),
        body in prop::option::of(text()),
        subject in prop::option::of(text()),
        thread in text(),
        extensions in extensions(),
    ) {
        let (kind, to) = if groupchat { (MessageKind::Groupchat, "room@muc") } else { (MessageKind::Chat, "a@b/c") };
        let extensions = Some(Box::new(extensions));
        let draft = Draft { body, subject, thread: Some(thread), extensions, ..Draft::default() };
        let (to_occupant, sent) = (!groupchat, draft.clone());
        let out = Outgoing::Message { to: jid(to), kind, id: id.clone(), draft: sent, to_occupant };
        // Read from text, since data gets lost in serialisation.
        let element: Element = xml(out).parse().unwrap();
        let own = "me@house/here".parse().unwrap();
        let Incoming::Message(read) = decode(Stanza::try_from(element).unwrap(), &own, Timestamp::UNIX_EPOCH) else {
            panic!("a message")
        };
        prop_assert_eq!((read.kind, read.to.to_string()), (kind, to.to_owned()));
        prop_assert_eq!((read.id.as_ref(), read.origin_id.as_ref()), (Some(&id), Some(&id)));
        let extensions = draft.extensions.filter(|extensions| **extensions != Extensions::default());
        prop_assert_eq!((read.body, read.subject, read.thread), (draft.body, draft.subject, draft.thread));
        prop_assert_eq!(read.extensions, extensions);
    }
}

/// Returns a request as another entity reads it: from text, since data gets lost in serialisation.
fn asked_as_read(ask: Ask) -> Element {
    let iq: Element = asked(ask).parse().unwrap();
    iq.children().next().unwrap().clone()
}

/// Returns an answer as this account reads it.
fn answered(payload: &str) -> Body {
    let iq = format!("<iq xmlns='jabber:client' type='result' id='1' from='a@b'>{payload}</iq>");
    let stanza = Stanza::try_from(iq.parse::<Element>().unwrap()).unwrap();
    match decode(stanza, &"me@house/here".parse().unwrap(), Timestamp::UNIX_EPOCH) {
        Incoming::Answer(answer) => answer.outcome.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn texts(most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..most)
}

proptest! {
    /// XEP-0004: a submitted form has the fields that were filled in.
    #[test]
    fn a_form_that_is_submitted_has_these_fields(
        fields in prop::collection::vec((text().prop_filter("is its own", |var| var != "FORM_TYPE"), texts(4)), 1..6),
    ) {
        let query = asked_as_read(Ask::ConfigureRoom { fields: fields.clone() });
        let form = query.get_child("x", ns::DATA_FORMS).unwrap();
        prop_assert_eq!(form.attr("type"), Some("submit"));
        let read: Vec<(String, Vec<String>)> = form
            .children()
            .map(|field| (field.attr("var").unwrap().to_owned(), field.children().map(Element::text).collect()))
            .collect();
        let (kind, read) = read.split_first().unwrap();
        prop_assert_eq!(kind.0.as_str(), "FORM_TYPE");
        prop_assert_eq!(read, fields);
    }

    /// A form to fill in is read with all its fields, of any type.
    #[test]
    fn a_form_to_fill_in_is_read_with_its_fields(
        fields in prop::collection::vec((text(), prop::option::of(text()), texts(4), texts(4)), 0..6),
    ) {
        let value = |value: &String| Element::builder("value", ns::DATA_FORMS).append(value.as_str()).build();
        let option = |one: &String| Element::builder("option", ns::DATA_FORMS).append(value(one)).build();
        let form = |kind: &'static str| {
            let fields = fields.iter().map(|(var, kind, values, options)| {
                Element::builder("field", ns::DATA_FORMS)
                    .attr(name("var"), var.as_str())
                    .attr(name("type"), kind.as_deref())
                    .append_all(values.iter().map(value))
                    .append_all(options.iter().map(option))
                    .build()
            });
            Element::builder("x", ns::DATA_FORMS).attr(name("type"), kind).append_all(fields).build()
        };
        let query = |namespace: &'static str, form| String::from(&Element::builder("query", namespace).append(form).build());
        let expected: Vec<FormField> = fields
            .iter()
            .filter(|(_, kind, ..)| kind.as_deref() != Some("fixed"))
            .map(|(var, kind, values, options)| FormField {
                var: var.clone(),
                kind: kind.clone().unwrap_or_else(|| "text-single".to_owned()),
                values: values.clone(),
                options: options.clone(),
            })
            .collect();
        prop_assert_eq!(answered(&query(MUC_OWNER, form("form"))), Body::RoomForm(expected));
        let Body::Disco(disco) = answered(&query(ns::DISCO_INFO, form("result"))) else { panic!("no disco") };
        let expected: Vec<Field> = fields
            .iter()
            .map(|(var, kind, values, _)| Field { var: var.clone(), kind: kind.clone(), values: values.clone() })
            .collect();
        prop_assert_eq!(&disco.forms[0].fields, &expected);
    }

    #[test]
    fn a_bookmark_is_read_as_it_was_put_down(
        called in prop::option::of(text()),
        autojoin: bool,
        nick in prop::option::of(text()),
        password in prop::option::of(text()),
    ) {
        let room = "room@muc.example.org".parse().unwrap();
        let bookmark = Bookmark { room, name: called, autojoin, nick, password, extensions: None, is_cut: false };
        let pubsub = asked_as_read(Ask::PublishBookmark { bookmark: Box::new(bookmark.clone()), plain: false });
        let item = pubsub.get_child("publish", ns::PUBSUB).unwrap().children().next().unwrap();
        let items = Element::builder("items", ns::PUBSUB).attr(name("node"), ns::BOOKMARKS2).append(item.clone());
        let pubsub = Element::builder("pubsub", ns::PUBSUB).append(items).build();
        prop_assert_eq!(answered(&String::from(&pubsub)), Body::Bookmarks(vec![bookmark]));
    }

    #[test]
    fn a_contact_is_read_as_it_was_put_in(name in prop::option::of(text()), groups in prop::collection::btree_set(text(), 0..5)) {
        let item = RosterItem {
            jid: "juliet@example.org".parse().unwrap(),
            name,
            subscription: "none".to_owned(),
            ask: false,
            groups: groups.into_iter().collect(),
        };
        let query = asked_as_read(Ask::SetRoster(item.clone()));
        prop_assert_eq!(answered(&String::from(&query)), Body::Roster { version: None, items: vec![item] });
    }
}

#[test]
fn presence_carries_what_the_account_can_do() {
    let caps = Caps { hash: "sha-1".to_owned(), node: "urn:n".to_owned(), ver: "v".to_owned() };
    let out = PresenceOut { caps: Some(Arc::new(caps)), ..PresenceOut::default() };
    same(
        &xml(Outgoing::Presence(out)),
        "<presence xmlns='jabber:client'><priority>0</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:n' \
         ver='v'/></presence>",
    );
    assert!(asked(Ask::DiscoItems).contains("<query xmlns='http://jabber.org/protocol/disco#items'"));
}

#[test]
fn forms_are_written_as_results() {
    let field = Field { var: "a".to_owned(), kind: Some("hidden".to_owned()), values: vec!["1 < 2".to_owned()] };
    let disco = Disco { forms: vec![Form { form_type: None, fields: vec![field] }], ..Disco::default() };
    assert!(replied(Reply::Disco { node: None, disco }).contains(
        "<x xmlns='jabber:x:data' type='result'><field type='hidden' var='a'><value>1 &lt; 2</value></field></x>"
    ));
}

#[test]
fn a_rooms_past_is_asked_for_to_the_second() {
    let history = History {
        max_chars: Some(1),
        max_stanzas: Some(2),
        seconds: Some(3),
        since: Some("2026-11-20T06:24:00.987Z".parse().unwrap()),
    };
    let join = Some(RoomJoin { password: None, history: Some(history) });
    let out = xml(Outgoing::Presence(PresenceOut { to: Some(jid("room@b/me")), join, ..PresenceOut::default() }));
    for part in ["maxchars=", "maxstanzas=", "seconds=", "2026-11-20T06:24:00"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(!out.contains("987"), "{out}");
}

#[test]
fn what_is_asked_of_rooms() {
    let owner = "http://jabber.org/protocol/muc#owner";
    let admin = "http://jabber.org/protocol/muc#admin";
    let room = |name: &str| jid::BareJid::new(name).unwrap();
    let because = || Some("so".to_owned());
    for (ask, kind, payload) in [
        (
            Ask::CancelRoomConfig,
            "set",
            format!("<query xmlns='{owner}'><x xmlns='jabber:x:data' type='cancel'/></query>"),
        ),
        (
            Ask::DestroyRoom { reason: because(), alternative: Some(room("else@b")) },
            "set",
            format!("<query xmlns='{owner}'><destroy jid='else@b'><reason>so</reason></destroy></query>"),
        ),
        (
            Ask::DestroyRoom { reason: None, alternative: None },
            "set",
            format!("<query xmlns='{owner}'><destroy/></query>"),
        ),
        (
            Ask::SetRole { nick: "<n>".to_owned(), role: "none", reason: because() },
            "set",
            format!("<query xmlns='{admin}'><item nick='&lt;n&gt;' role='none'><reason>so</reason></item></query>"),
        ),
        (
            Ask::SetAffiliation { user: room("x@y"), affiliation: "outcast", reason: None },
            "set",
            format!("<query xmlns='{admin}'><item jid='x@y' affiliation='outcast'/></query>"),
        ),
        (
            Ask::Affiliations { affiliation: "member" },
            "get",
            format!("<query xmlns='{admin}'><item affiliation='member'/></query>"),
        ),
        (
            Ask::Bookmarks { place: BookmarkPlace::Items },
            "get",
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:bookmarks:1'/></pubsub>"
                .to_owned(),
        ),
        (
            Ask::Bookmarks { place: BookmarkPlace::Node },
            "get",
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='storage:bookmarks'/></pubsub>".to_owned(),
        ),
        (
            Ask::Bookmarks { place: BookmarkPlace::Private },
            "get",
            "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>".to_owned(),
        ),
        (
            Ask::RetractBookmark(room("r@b")),
            "set",
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='urn:xmpp:bookmarks:1' notify='true'>\
             <item id='r@b'/></retract></pubsub>"
                .to_owned(),
        ),
    ] {
        same(&asked(ask), &format!("<iq xmlns='jabber:client' to='a@b' id='1' type='{kind}'>{payload}</iq>"));
    }
}

#[test]
fn a_room_is_asked_to_retract_in_the_form_that_it_knows() {
    let moderate = |is_older| {
        let (id, reason) = ("7".to_owned(), Some("<so>".to_owned()));
        asked(Ask::Moderate { id, reason, is_older })
    };
    let iq = |payload: &str| format!("<iq xmlns='jabber:client' to='a@b' id='1' type='set'>{payload}</iq>");
    same(
        &moderate(false),
        &iq("<moderate xmlns='urn:xmpp:message-moderate:1' id='7'><retract xmlns='urn:xmpp:message-retract:1'/>\
             <reason>&lt;so></reason></moderate>"),
    );
    same(
        &moderate(true),
        &iq("<apply-to xmlns='urn:xmpp:fasten:0' id='7'><moderate xmlns='urn:xmpp:message-moderate:0'><retract \
             xmlns='urn:xmpp:message-retract:0'/><reason>&lt;so></reason></moderate></apply-to>"),
    );
}

#[test]
fn addresses_are_blocked_with_and_without_a_report() {
    let account = |ask| xml(Outgoing::Ask { to: None, id: "1".to_owned(), ask });
    let iq = |kind: &str, payload: &str| format!("<iq xmlns='jabber:client' id='1' type='{kind}'>{payload}</iq>");
    same(&account(Ask::Blocked), &iq("get", "<blocklist xmlns='urn:xmpp:blocking'/>"));
    let item = "<item jid='x@y/z'/>";
    same(
        &account(Ask::Unblock(jid("x@y/z"))),
        &iq("set", &format!("<unblock xmlns='urn:xmpp:blocking'>{item}</unblock>")),
    );
    let plain = account(Ask::Block { jid: jid("x@y/z"), report: None });
    same(&plain, &iq("set", &format!("<block xmlns='urn:xmpp:blocking'>{item}</block>")));
    for (kind, reason) in
        [(ReportKind::Spam, "urn:xmpp:reporting:spam"), (ReportKind::Abuse, "urn:xmpp:reporting:abuse")]
    {
        let report = Report { kind, text: Some("a < b".to_owned()), stanza_ids: vec![(jid("me@b"), "'7'".to_owned())] };
        let item = format!(
            "<item jid='x@y'><report xmlns='urn:xmpp:reporting:1' reason='{reason}'><stanza-id xmlns='urn:xmpp:sid:0' \
             by='me@b' id='&apos;7&apos;'/><text>a &lt; b</text></report></item>"
        );
        let sent = account(Ask::Block { jid: jid("x@y"), report: Some(Box::new(report)) });
        same(&sent, &iq("set", &format!("<block xmlns='urn:xmpp:blocking'>{item}</block>")));
    }
    let listed =
        "<blocklist xmlns='urn:xmpp:blocking'><item jid='a@b'/><item/><item jid='@'/><item jid='c'/></blocklist>";
    assert_eq!(answered(listed), Body::Blocked(vec![jid("a@b"), jid("c")]));
}

#[test]
fn a_bookmark_is_published_for_nobody_else_with_what_others_keep_in_it() {
    let bookmark = Bookmark {
        room: jid::BareJid::new("r@b").unwrap(),
        name: Some("R".to_owned()),
        autojoin: true,
        nick: Some("Puck".to_owned()),
        password: None,
        extensions: Some("<extensions xmlns='urn:xmpp:bookmarks:1'><x xmlns='urn:other'/></extensions>".to_owned()),
        is_cut: false,
    };
    for (create, counted, child, most) in [
        (true, false, "<create ", ">max<"),
        (false, false, "<configure node=", ">max<"),
        (true, true, "<create ", ">1000<"),
        (false, true, "<configure node=", ">1000<"),
    ] {
        let prepared = asked(Ask::PrepareBookmarks { create, counted }).replace('\'', "\"");
        assert!(prepared.contains(child) && prepared.contains("max_items") && prepared.contains(most), "{prepared}");
    }
    let plain = asked(Ask::PublishBookmark { bookmark: Box::new(bookmark.clone()), plain: true });
    assert!(!plain.contains("max_items") && plain.contains("whitelist"), "{plain}");
    let out = asked(Ask::PublishBookmark { bookmark: Box::new(bookmark), plain: false });
    for part in ["<nick>Puck</nick>", "urn:other", "pubsub#access_model", "whitelist", "autojoin=", "publish-options"] {
        assert!(out.contains(part), "{part}: {out}");
    }
}

#[test]
fn invitations_go_to_the_person_or_to_the_room() {
    let sent = |to: &str, invitation| xml(Outgoing::Invite { to: jid(to), id: "1".to_owned(), invitation });
    let room = jid::BareJid::new("r@b").unwrap();
    let reason = || Some("come".to_owned());
    same(
        &sent("x@y", Invitation::Direct { room, reason: reason(), password: Some("p".to_owned()) }),
        "<message xmlns='jabber:client' to='x@y' id='1'><x xmlns='jabber:x:conference' jid='r@b' reason='come' \
         password='p'/></message>",
    );
    let user = jid::BareJid::new("x@y").unwrap();
    same(
        &sent("r@b", Invitation::Mediated { user, reason: reason() }),
        "<message xmlns='jabber:client' to='r@b' id='1'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='x@y'>\
         <reason>come</reason></invite></x></message>",
    );
    same(
        &sent("r@b", Invitation::Declined { inviter: jid("x@y/z"), reason: None }),
        "<message xmlns='jabber:client' to='r@b' id='1'><x xmlns='http://jabber.org/protocol/muc#user'><decline \
         to='x@y/z'/></x></message>",
    );
}

/// XEP-0045, sections 7.10, 7.13 and 8.6.
#[test]
fn voice_and_registrations_are_forms_for_the_room() {
    use crate::types::{Voice, VoiceRequest};
    let room = || jid::BareJid::new("r@b").unwrap();
    let sent = |voice| xml(Outgoing::Voice { room: room(), id: "1".to_owned(), voice });
    let field = |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
    let form = |kind: &str, fields: &str| {
        format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
             <value>http://jabber.org/protocol/{kind}</value></field>{fields}</x>"
        )
    };
    let role = field("muc#role", "participant");
    let message = |form: &str| format!("<message xmlns='jabber:client' to='r@b' id='1'>{form}</message>");
    same(&sent(Voice::Ask), &message(&form("muc#request", &role)));
    let to = VoiceRequest { jid: jid("a@b/c"), nick: "n".to_owned() };
    let said = [field("muc#jid", "a@b/c"), field("muc#roomnick", "n"), field("muc#request_allow", "true")].concat();
    same(&sent(Voice::Answer { to, allow: true }), &message(&form("muc#request", &format!("{role}{said}"))));

    let out = asked(Ask::Register { fields: vec![("muc#register_roomnick".to_owned(), vec!["n".to_owned()])] });
    for part in ["jabber:iq:register", "http://jabber.org/protocol/muc#register", "<value>n</value>"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(asked(Ask::Unregister).contains("<remove"));
    assert!(asked(Ask::Activity).contains("jabber:iq:last"));
}

#[test]
fn requests_about_nodes() {
    use crate::types::{NodeOptions, PubsubAsk};
    let asked = |ask: PubsubAsk| asked(Ask::Pubsub(Box::new(ask)));
    let node = || "news".to_owned();
    let options =
        || NodeOptions { access: Some("open"), persist: Some(true), max_items: Some(3), ..Default::default() };
    let payload = IqPayload::parse("<mood xmlns='urn:example:mood'/>").unwrap();
    let publish = asked(PubsubAsk::Publish { node: node(), id: Some("1".to_owned()), payload, options: options() });
    for part in ["type='set'", "<publish node='news'>", "<item id='1'>", "urn:example:mood", "pubsub#publish-options"] {
        assert!(publish.contains(part), "{part}: {publish}");
    }
    let create = asked(PubsubAsk::Create { node: node(), options: NodeOptions::default() });
    assert!(create.contains("<create node='news'") && !create.contains("configure"), "{create}");
    let configure = asked(PubsubAsk::Configure { node: node(), options: options() });
    for part in ["pubsub#owner", "pubsub#node_config", "pubsub#max_items", ">3<", ">true<", ">open<"] {
        assert!(configure.contains(part), "{part}: {configure}");
    }
    let first = asked(PubsubAsk::Items { node: node(), max: 5, after: None });
    assert!(first.contains("type='get'") && first.contains("max_items='5'") && !first.contains("<after"), "{first}");
    let next = asked(PubsubAsk::Items { node: node(), max: 5, after: Some("x".to_owned()) });
    assert!(!next.contains("max_items") && next.contains("<after>x</after>"), "{next}");
    let retract = asked(PubsubAsk::Retract { node: node(), id: "1".to_owned() });
    assert!(retract.contains("notify='true'"), "{retract}");
    let ends = |id: Option<&str>| {
        let jid = "me@house".parse().unwrap();
        asked(PubsubAsk::Unsubscribe { node: node(), jid, id: id.map(str::to_owned) })
    };
    assert!(ends(Some("s")).contains("subid='s'") && !ends(None).contains("subid"), "{}", ends(None));
    let purge = asked(PubsubAsk::Purge { node: node() });
    assert!(
        purge.contains("type='set'") && purge.contains("pubsub#owner") && purge.contains("<purge node='news'"),
        "{purge}"
    );
}
