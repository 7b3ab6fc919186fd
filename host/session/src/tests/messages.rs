//! Incoming and outgoing messages.
#![allow(clippy::doc_markdown, reason = "what a test shows is named as the list of the API spells it")]

use parlor_stanza::types::{Carbon, Draft, Extensions, Fallback, Hint, Invite, Reactions, ReplyTo};

use super::*;
use crate::messages;

const IDS: &str = "urn:xmpp:sid:0";

fn send(desk: &mut Desk, to: &str, kind: MessageKind, draft: Draft) -> Result<String, CallError> {
    let mut receiver = desk.ask(SendMessage { to: jid(to), kind, draft });
    got(&mut receiver).unwrap()
}

fn text(body: &str) -> Draft {
    Draft { body: Some(body.to_owned()), ..Draft::default() }
}

fn last_message(desk: &Desk) -> Arc<Message> {
    match desk.last("message") {
        Payload::Message(message) => Arc::clone(message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_sent_is_checked_first() {
    let mut desk = Desk::connected(Settings::default());
    let extended = |extensions| Draft { extensions: Some(Box::new(extensions)), ..Draft::default() };
    let some = |text: &str| Some(text.to_owned());
    let beside = |extensions| Draft { extensions: Some(Box::new(extensions)), ..text("👍!") };
    let part = |start, end| Fallback { feature: None, part: Some((start, end)) };
    let reacting = |emojis: &[&str]| {
        let emojis = emojis.iter().map(|&emoji| emoji.to_owned()).collect();
        extended(Extensions { reactions: Some(Reactions { id: "1".to_owned(), emojis }), ..Extensions::default() })
    };
    for (draft, argument) in [
        (Draft::default(), "message"),
        (extended(Extensions::default()), "message"),
        (text("a\u{0}b"), "message.body"),
        (text("\u{ffff}"), "message.body"),
        (text(&"x".repeat(65_537)), "message.body"),
        (Draft { thread: some("\u{1b}"), ..text("x") }, "message.thread"),
        (
            extended(Extensions { chat_state: some("dancing"), ..Extensions::default() }),
            "message.extensions.chat-state",
        ),
        (text(""), "message.body"),
        (text("a\u{7f}"), "message.body"),
        (text("a\u{85}"), "message.body"),
        // Within 64 KiB, but as XML longer than any server accepts.
        (Draft { subject: some(&"&".repeat(60_000)), ..text("x") }, "message"),
        (Draft { thread: some(""), ..text("x") }, "message.thread"),
        (Draft { thread: some(&"x".repeat(1_025)), ..text("x") }, "message.thread"),
        (Draft { subject: some("a\u{1}"), ..Draft::default() }, "message.subject"),
        (extended(Extensions { replace: some("1"), ..Extensions::default() }), "message"),
        (extended(Extensions { receipt_requested: true, markable: true, ..Extensions::default() }), "message"),
        (extended(Extensions { receipt: some(""), ..Extensions::default() }), "message.extensions.receipt"),
        (extended(Extensions { receipt: some("a\u{0}"), ..Extensions::default() }), "message.extensions.receipt"),
        (
            extended(Extensions { receipt: some("1"), receipt_requested: true, ..Extensions::default() }),
            "message.extensions.receipt-requested",
        ),
        (beside(Extensions { replace: some(""), ..Extensions::default() }), "message.extensions.replace"),
        (beside(Extensions { thread_parent: some("1"), ..Extensions::default() }), "message.extensions.thread-parent"),
        (
            beside(Extensions { hints: vec![Hint::Store, Hint::Store], ..Extensions::default() }),
            "message.extensions.hints",
        ),
        (
            beside(Extensions { reply: Some(ReplyTo { id: String::new(), to: None }), ..Extensions::default() }),
            "message.extensions.reply.id",
        ),
        (beside(Extensions { fallback: vec![part(0, 3)], ..Extensions::default() }), "message.extensions.fallback"),
        (beside(Extensions { fallback: vec![part(2, 1)], ..Extensions::default() }), "message.extensions.fallback"),
        (beside(Extensions { fallback: vec![part(0, 1); 9], ..Extensions::default() }), "message.extensions.fallback"),
        (reacting(&["👍", "👍"]), "message.extensions.reactions.emojis"),
        (reacting(&[""]), "message.extensions.reactions.emojis"),
        (reacting(&[&"x".repeat(65)]), "message.extensions.reactions.emojis"),
        (extended(Extensions { marker: some("displayed"), ..Extensions::default() }), "message.extensions.marker"),
    ] {
        match send(&mut desk, ROMEO, MessageKind::Chat, draft) {
            Err(CallError::Invalid { argument: named, .. }) => assert_eq!(named, argument),
            other => panic!("{argument}: {other:?}"),
        }
    }
    assert!(desk.lines().is_empty());
    let id = send(&mut desk, ROMEO, MessageKind::Chat, text("tab\t, line\n, 👍")).unwrap();
    assert!(matches!(desk.sent.last(), Some(Outgoing::Message { id: sent, .. }) if *sent == id));
    let composing = Extensions { chat_state: some("composing"), ..Extensions::default() };
    assert!(send(&mut desk, ROMEO, MessageKind::Chat, extended(composing)).is_ok());
    assert!(send(&mut desk, ROMEO, MessageKind::Chat, reacting(&[])).is_ok(), "all are taken back");
    let quoting = Extensions { fallback: vec![part(0, 2)], ..Extensions::default() };
    assert!(send(&mut desk, ROMEO, MessageKind::Chat, beside(quoting)).is_ok());
    assert!(matches!(send(&mut desk, ROMEO, MessageKind::Headline, text("x")), Err(CallError::Invalid { .. })));
}

#[test]
fn nothing_is_sent_without_a_connection() {
    let mut desk = Desk::new(Settings::default());
    assert_eq!(send(&mut desk, ROMEO, MessageKind::Chat, text("x")).unwrap_err(), CallError::Offline);
    let mut receiver = desk.ask(SendRaw { by: InstanceId(1), stanza: some_raw() });
    assert_eq!(got(&mut receiver).unwrap().unwrap_err(), CallError::Offline);
    let mut desk = Desk::connected(Settings::default());
    let mut receiver = desk.ask(SendRaw { by: InstanceId(1), stanza: some_raw() });
    assert_eq!(desk.lines(), ["> raw"]);
    assert!(got(&mut receiver).unwrap().is_ok());
}

#[test]
fn a_room_hears_only_from_who_is_in_it() {
    let mut desk = Desk::connected(Settings::default());
    assert!(matches!(send(&mut desk, ROOM, MessageKind::Groupchat, text("x")), Err(CallError::NotFound(_))));
    let _opened = desk.open_room(None);
    assert!(matches!(send(&mut desk, ROOM, MessageKind::Groupchat, text("x")), Err(CallError::NotFound(_))));
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(send(&mut desk, ROOM, MessageKind::Groupchat, text("x")).is_ok());
    let to_one = send(&mut desk, &format!("{ROOM}/juliet"), MessageKind::Groupchat, text("x"));
    assert!(matches!(to_one, Err(CallError::Invalid { .. })));
    assert!(matches!(desk.sent.last(), Some(Outgoing::Message { to_occupant: false, .. })));
    assert!(send(&mut desk, &format!("{ROOM}/juliet"), MessageKind::Chat, text("x")).is_ok());
    assert!(matches!(desk.sent.last(), Some(Outgoing::Message { to_occupant: true, .. })));
    assert!(send(&mut desk, &format!("{ROMEO}/orchard"), MessageKind::Chat, text("x")).is_ok());
    assert!(matches!(desk.sent.last(), Some(Outgoing::Message { to_occupant: false, .. })));
    assert!(matches!(send(&mut desk, ROOM, MessageKind::Chat, text("x")), Err(CallError::Invalid { .. })));
}

#[test]
fn a_rooms_messages_are_told_from_entering_on() {
    let mut desk = Desk::connected(Settings::default());
    let said = |nick: &str| message(&format!("{ROOM}/{nick}"), MessageKind::Groupchat, "hi");
    desk.message(said("juliet"));
    assert!(desk.lines().is_empty(), "a room that we are not in");
    let _opened = desk.open_room(None);
    let past = |nick: &str| Message { claimed_at: Some(Timestamp::UNIX_EPOCH), ..said(nick) };
    desk.message(past("juliet"));
    assert!(last_message(&desk).delayed, "before we are in it is history");
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    desk.message(past("romeo"));
    assert!(last_message(&desk).delayed, "before the subject it is history, too");
    desk.message(said("juliet"));
    assert!(!last_message(&desk).delayed, "what has no stamp was said just now (XEP-0045, section 7.2.14)");
    desk.subject("");
    assert!(last_message(&desk).delayed, "the subject is no news either");
    desk.message(past("juliet"));
    assert!(!last_message(&desk).delayed && !last_message(&desk).own);
    desk.message(said("bot"));
    assert!(last_message(&desk).own, "our own echo");
}

#[test]
fn an_occupant_who_writes_to_us_alone_is_a_conversation_of_its_own() {
    let mut desk = Desk::connected(settings(&[("allow_non_roster_messaging", true.into())]));
    desk.in_room();
    desk.message(message(&format!("{ROOM}/juliet"), MessageKind::Chat, "psst"));
    assert_eq!(desk.lines(), ["message", "messageNotification"], "and opens no chat");
    assert_eq!(last_message(&desk).chat, jid(&format!("{ROOM}/juliet")));
    let copy = Message {
        own: true,
        chat: jid(ROOM),
        to: jid(&format!("{ROOM}/juliet")),
        ..message("bot@example.org/phone", MessageKind::Chat, "psst")
    };
    desk.message(copy);
    assert_eq!(last_message(&desk).chat, jid(&format!("{ROOM}/juliet")));

    // Another client of the account is in the room.
    let mut desk = Desk::connected(settings(&[("allow_non_roster_messaging", true.into())]));
    let said = |from: &str, to: &str| {
        let x = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
        format!("<message xmlns='jabber:client' type='chat' from='{from}' to='{to}'><body>psst</body>{x}</message>")
    };
    let copy = |which: &str, said: &str| {
        format!(
            "<message from='bot@example.org'><{which} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>{said}\
             </forwarded></{which}></message>"
        )
    };
    let (phone, juliet) = ("bot@example.org/phone", format!("{ROOM}/juliet"));
    for copy in [copy("sent", &said(phone, &juliet)), copy("received", &said(&juliet, phone))] {
        desk.hear_xml(&copy);
        assert_eq!(desk.lines(), ["message"], "and opens no chat with the room");
        assert_eq!(last_message(&desk).chat, jid(&juliet));
    }
    desk.hear_xml(&said("romeo@example.org/orchard", phone));
    assert_eq!(last_message(&desk).chat, jid(ROMEO), "a contact is no occupant, whatever he says");
}

#[test]
fn a_subject_changes_the_room() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    let subject = |text: &str| Message {
        body: None,
        subject: Some(text.to_owned()),
        ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "")
    };
    desk.message(subject(""));
    assert_eq!(desk.count("roomSubjectChanged"), 0);
    desk.message(subject("Verona"));
    desk.message(subject("Verona"));
    assert_eq!(desk.count("roomSubjectChanged"), 1);
    assert_eq!(desk.session.snapshot().rooms[&bare(ROOM)].subject.as_deref(), Some("Verona"));
    desk.message(Message { body: Some("body".to_owned()), ..subject("no subject of the room") });
    assert_eq!(desk.count("roomSubjectChanged"), 1);
    let threadless = "<subject>Mantua</subject><thread/>";
    desk.hear_xml(&format!("<message from='{ROOM}/juliet' type='groupchat'>{threadless}</message>"));
    assert_eq!(desk.count("roomSubjectChanged"), 2, "a thread without an id is none");
}

#[test]
fn what_the_archive_knows_already_is_not_told_twice() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    desk.announces("bot@example.org", &[IDS.to_owned()]);
    desk.announces(ROOM, &[IDS.to_owned()]);
    let with = |id: &str, message: Message| Message { stanza_id: Some(id.to_owned()), ..message };
    let private = || message("juliet@example.org/x", MessageKind::Headline, "hi");
    let public = || message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "hi");
    for (message, count) in [
        (with("1", private()), 1),
        (with("1", private()), 1),
        (with("1", public()), 2),
        (with("1", public()), 2),
        (with("2", public()), 3),
        (public(), 4),
        (public(), 5),
    ] {
        desk.message(message);
        assert_eq!(desk.count("message"), count);
    }
    for number in 0..messages::REMEMBERED {
        desk.message(with(&format!("n{number}"), private()));
    }
    assert_eq!(desk.session.features.seen.len(), messages::REMEMBERED);
}

/// A server that ends a session keeps unacknowledged stanzas, although they arrived: Prosody 0.12 does if it cannot
/// parse on.
#[test]
fn what_came_before_a_cut_is_not_told_twice_by_the_next_session() {
    let mut desk = Desk::connected(Settings::default());
    let said =
        |at| Message { at, id: Some("1".to_owned()), ..message("juliet@example.org/x", MessageKind::Chat, "hi") };
    let again = |at| Message { delayed: true, ..said(at) };
    // The message does not come while we connect.
    desk.wait(1);
    let first = desk.now;
    desk.message(said(first));
    desk.wait(60);
    desk.message(again(first));
    assert_eq!(desk.count("message"), 2, "nothing was cut");
    desk.run(Session::suspended);
    let cut = desk.now;
    desk.wait(60);
    desk.bind();
    desk.forget();
    desk.message(again(first));
    desk.message(again(cut));
    assert_eq!(desk.count("message"), 0);
    desk.session.clock_set(jiff::SignedDuration::from_hours(1));
    desk.message(again(cut + Duration::from_hours(1)));
    assert_eq!(desk.count("message"), 0, "the clock was set");
    // A client may use an id again: messages with another time or text, without a stamp, and carbons are new.
    desk.message(again(cut + Duration::from_hours(2)));
    desk.message(Message { body: Some("ho".to_owned()), ..again(cut) });
    desk.message(said(desk.now));
    let copy = Message { carbon: Some(Carbon::Received), ..again(cut) };
    desk.message(copy);
    assert_eq!(desk.count("message"), 4);
}

/// Some programs set no id, and an id that could not be sent back counts as none.
#[test]
fn what_has_no_id_and_came_before_a_cut_is_not_told_twice_either() {
    let mut desk = Desk::connected(Settings::default());
    let said = |at| Message { at, ..message("juliet@example.org/x", MessageKind::Chat, "hi") };
    let again = |at| Message { delayed: true, ..said(at) };
    let first = desk.now;
    desk.message(said(first));
    desk.message(said(first));
    assert_eq!(desk.count("message"), 2, "nothing was cut");
    desk.wait(60);
    desk.run(Session::suspended);
    let cut = desk.now;
    desk.wait(60);
    desk.bind();
    desk.forget();
    // Stamped by the server's clock.
    desk.message(again(first - Duration::from_secs(2)));
    desk.message(again(first + Duration::from_secs(2)));
    assert_eq!(desk.count("message"), 0);
    // Two messages that were sent while nobody heard them.
    desk.message(again(cut));
    desk.message(again(cut));
    desk.message(Message { body: Some("ho".to_owned()), ..again(first) });
    desk.message(Message { body: None, ..again(first) });
    assert_eq!(desk.count("message"), 4);
}

/// Rules duplicate. Equal texts prove nothing, whoever stamps them.
#[test]
fn what_somebody_says_twice_without_an_id_is_told_twice() {
    for is_cut in [false, true] {
        let mut desk = Desk::connected(Settings::default());
        let said = || Message { at: desk.now, ..message("juliet@example.org/x", MessageKind::Chat, "hi") };
        let plain = said();
        let signed_by_another = Message { claimed_at: Some(desk.now), ..said() };
        let unsigned = Message { delayed: true, claimed_at: Some(desk.now), ..said() };
        desk.message(plain.clone());
        if is_cut {
            desk.run(Session::suspended);
            desk.run(Session::resumed);
        }
        desk.forget();
        for again in [plain.clone(), signed_by_another.clone(), unsigned.clone(), signed_by_another, unsigned, plain] {
            desk.message(again);
        }
        assert_eq!(desk.count("message"), 6, "{is_cut}");
    }
}

/// Rules duplicate. Metronome announces ids, and does not remove those that others write in its name.
#[test]
fn an_archives_id_that_was_used_before_hides_nothing() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    desk.announces("bot@example.org", &[IDS.to_owned()]);
    desk.announces(ROOM, &[IDS.to_owned()]);
    for (from, kind) in
        [("juliet@example.org/x".to_owned(), MessageKind::Chat), (format!("{ROOM}/juliet"), MessageKind::Groupchat)]
    {
        desk.forget();
        let said = |id: &str, body: &str| Message {
            stanza_id: Some("1".to_owned()),
            id: Some(id.to_owned()),
            ..message(&from, kind, body)
        };
        for (id, body) in [("a", "good morning"), ("a", "BUY NOW"), ("b", "good morning"), ("a", "BUY NOW")] {
            desk.message(said(id, body));
        }
        assert_eq!(desk.count("message"), 3, "{kind}");
        desk.message(Message { from: jid(&format!("{}/another", jid(&from).to_bare())), ..said("a", "BUY NOW") });
        assert_eq!(desk.count("message"), 4, "{kind}");
    }
}

/// Rules duplicate. Rooms do not remove a stamp that an occupant wrote in their name.
#[test]
fn what_is_said_again_in_a_room_is_no_past_of_it_whatever_it_is_stamped_with() {
    let mut desk = Desk::connected(Settings::default());
    let said = |id: Option<&str>| Message {
        id: id.map(str::to_owned),
        delayed: true,
        ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "BUY NOW")
    };
    let _opened = desk.open_room(None);
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    for id in [None, Some("1"), None, Some("1")] {
        desk.message(said(id));
    }
    assert_eq!(desk.count("message"), 2, "its past is told once");
    desk.subject("");
    desk.wait(5);
    desk.forget();
    for id in [None, None, Some("1"), Some("1")] {
        desk.message(said(id));
    }
    assert_eq!(desk.count("message"), 4);
}

/// Rules duplicate.
#[test]
fn what_came_before_the_account_said_that_it_numbers_messages_is_not_told_twice() {
    let mut desk = Desk::connected(Settings::default());
    let first =
        || Message { stanza_id: Some("1".to_owned()), ..message("juliet@example.org/x", MessageKind::Chat, "hi") };
    desk.message(first());
    assert_eq!(last_message(&desk).stanza_id, None, "it is not known to be the archive's");
    desk.announces("bot@example.org", &[IDS.to_owned()]);
    desk.message(first());
    assert_eq!(desk.count("message"), 1, "the stream broke, and the server sent it once more");
}

#[test]
fn errors_are_told_apart() {
    let mut desk = Desk::connected(Settings::default());
    let error = Some(stanza_error("gone"));
    desk.message(Message { error, body: None, ..message("romeo@example.org", MessageKind::Error, "") });
    assert_eq!(desk.lines(), ["messageError"]);
}

#[test]
fn an_invitation_is_told_and_followed_where_the_setting_says_so() {
    let invite = || {
        let from = jid(ROMEO);
        let invite =
            Invite { room: bare(ROOM), from, to: jid("bot@example.org"), reason: None, password: Some("p".to_owned()) };
        Message { body: None, invite: Some(Box::new(invite)), ..message(ROMEO, MessageKind::Normal, "") }
    };
    let mut desk = Desk::connected(Settings::default());
    desk.message(invite());
    assert_eq!(desk.lines(), ["roomInviteReceived"]);
    desk.message(Message { own: true, ..invite() });
    assert!(desk.lines().is_empty(), "we invited somebody ourselves");
    desk.set(&[("auto_join_on_invite", true.into())]).unwrap();
    desk.message(invite());
    assert_eq!(desk.lines(), ["roomInviteReceived", "> available to room@muc.example.org/bot entering"]);
    assert!(
        matches!(desk.sent.last(), Some(Outgoing::Presence(PresenceOut { join: Some(join), .. })) if join.password.as_deref() == Some("p"))
    );
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    desk.forget();
    let ignored = desk.session.ignored();
    desk.message(invite());
    assert!(desk.lines().is_empty(), "we are there already (XEP-0249, section 3)");
    assert_eq!(desk.session.ignored(), ignored + 1);
    desk.set(&[("allow_muc", false.into())]).unwrap();
    desk.message(invite());
    assert!(desk.lines().is_empty());
}

/// Rules duplicate.
#[test]
fn an_archives_id_counts_only_where_the_archive_says_that_it_gives_any() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    let private =
        || Message { stanza_id: Some("1".to_owned()), ..message("juliet@example.org/x", MessageKind::Headline, "hi") };
    let public = || Message {
        stanza_id: Some("1".to_owned()),
        ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "hi")
    };
    let features = |with: bool| if with { vec!["x".to_owned(), IDS.to_owned()] } else { vec!["x".to_owned()] };
    desk.announces("bot@example.org", &features(false));
    let mut told = 0;
    let mut hear = |desk: &mut Desk, message: Message, id: Option<&str>| {
        desk.message(message);
        told += 1;
        assert_eq!(desk.count("message"), told, "nothing is dropped for an id that may be forged");
        assert_eq!(last_message(desk).stanza_id.as_deref(), id);
    };
    hear(&mut desk, private(), None);
    hear(&mut desk, private(), None);
    hear(&mut desk, public(), None);
    // Neither the server nor another entity can announce this for an archive.
    for entity in
        ["example.org", "bot@example.org/house", "juliet@example.org", "muc.example.org", "hall@muc.example.org"]
    {
        desk.announces(entity, &features(true));
    }
    hear(&mut desk, private(), None);
    hear(&mut desk, public(), None);
    desk.announces(ROOM, &features(true));
    hear(&mut desk, public(), Some("1"));
    hear(&mut desk, private(), None);
    desk.announces("bot@example.org", &features(true));
    hear(&mut desk, private(), Some("1"));
    desk.message(private());
    desk.message(public());
    assert_eq!(desk.count("message"), 8, "these are known");
    desk.announces(ROOM, &features(false));
    hear(&mut desk, public(), None);
}

/// A client that has not learnt that its message arrived sends it again once there is a network: Gajim signs the stamp.
#[test]
fn what_its_author_sends_once_more_with_a_stamp_is_told_once() {
    for signed in [false, true] {
        let mut desk = Desk::connected(Settings::default());
        let now = desk.now;
        let said = |id: &str, claimed_at: Option<Timestamp>| Message {
            id: Some(id.to_owned()),
            delayed: claimed_at.is_some() && !signed,
            claimed_at,
            ..message(&format!("{ROMEO}/orchard"), MessageKind::Chat, "hi")
        };
        for (id, stamp, is_told) in [
            ("1", None, true),
            ("1", Some(now), false),
            ("1", None, true),
            ("2", Some(now), true),
            ("2", Some(now), false),
            ("3", Some(now), true),
        ] {
            desk.forget();
            desk.message(said(id, stamp));
            assert_eq!(desk.count("message") == 1, is_told, "{id} {stamp:?} {signed}");
        }
    }
}

/// ejabberd does this after two connections tried to resume one session.
#[test]
fn what_a_server_says_once_more_with_a_stamp_is_told_once() {
    let mut desk = Desk::connected(Settings::default());
    let said = |id: Option<&str>, delayed: bool| Message {
        id: id.map(str::to_owned),
        delayed,
        at: Timestamp::MAX,
        ..message(&format!("{ROMEO}/orchard"), MessageKind::Chat, "hi")
    };
    desk.message(said(Some("0"), true));
    desk.message(said(Some("0"), true));
    assert_eq!(desk.count("message"), 2, "what was stored before the log-in is not what a cut delays");
    desk.run(Session::suspended);
    desk.run(Session::resumed);
    for (step, is_told) in [
        (said(Some("1"), false), true),
        (said(Some("1"), true), false),
        (said(Some("1"), false), true),
        (said(Some("2"), true), true),
        (said(Some("2"), true), false),
        (said(None, true), true),
        (said(None, true), true),
    ] {
        desk.forget();
        let shown = format!("{step:?}");
        desk.message(step);
        assert_eq!(desk.count("message") == 1, is_told, "{shown}");
    }
}

/// Events message, messageAdded, messageNotification.
#[test]
fn what_is_told_of_a_message_that_comes() {
    let mut desk = Desk::connected(Settings::default());
    let chat = |from: &str| message(from, MessageKind::Chat, "hi");
    let romeo = "romeo@example.org/orchard";
    let own = || Message { own: true, chat: jid(ROMEO), ..chat("bot@example.org/phone") };
    desk.message(chat(romeo));
    desk.wait(1);
    desk.forget();
    let (told, added, noted) = ("message", "messageAdded", "messageNotification");
    // In the form for clients without reactions.
    let thumb = |to: Message| {
        let id = "1".to_owned();
        let fallback = vec![Fallback { feature: Some("urn:xmpp:reactions:0".to_owned()), part: None }];
        let reactions = Some(Reactions { id, emojis: vec!["👍".to_owned()] });
        let extensions = Some(Box::new(Extensions { fallback, reactions, ..Extensions::default() }));
        Message { extensions, body: Some("> bot, what time is it?\n👍".to_owned()), ..to }
    };
    for (message, events) in [
        (chat(romeo), &[told, added, noted][..]),
        (message(romeo, MessageKind::Normal, "hi"), &[told, added, noted]),
        (message(romeo, MessageKind::Headline, "hi"), &[told, noted]),
        (Message { delayed: true, at: desk.now, ..chat(romeo) }, &[told, added]),
        (Message { body: None, ..chat(romeo) }, &[told]),
        (thumb(chat(romeo)), &[told]),
        (Message { carbon: Some(Carbon::Received), ..chat(romeo) }, &[told, added]),
        (Message { carbon: Some(Carbon::Sent), ..own() }, &[told, added]),
        (chat("tybalt@example.org/street"), &[told, noted]),
        (Message { error: Some(stanza_error("gone")), ..message(romeo, MessageKind::Error, "hi") }, &["messageError"]),
    ] {
        let (kind, from) = (message.kind, message.from.clone());
        desk.message(message);
        assert_eq!(desk.lines(), events, "{kind} from {from}");
    }
    // In the form in which clients retract messages for clients without retractions (XEP-0424, section 3.1).
    desk.hear_xml(&format!(
        "<message from='{romeo}' type='chat'><retract xmlns='urn:xmpp:message-retract:1' id='1'/><fallback \
         xmlns='urn:xmpp:fallback:0' for='urn:xmpp:message-retract:1'/><body>Somebody took a message back.</body></message>"
    ));
    assert_eq!(desk.lines(), [told]);
    for (beside, events) in [
        ("", &[told, added, noted][..]),
        ("<received xmlns='urn:xmpp:receipts' id='1'/>", &[told]),
        ("<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", &[told]),
    ] {
        desk.hear_xml(&format!("<message from='{romeo}' type='chat'><body/>{beside}</message>"));
        assert_eq!(desk.lines(), events, "an empty body beside {beside}");
    }
    desk.in_room();
    desk.lines();
    let said = |nick: &str, body: &str| message(&format!("{ROOM}/{nick}"), MessageKind::Groupchat, body);
    desk.message(thumb(said("juliet", "")));
    assert_eq!(desk.lines(), [told], "it names nobody");
    for (body, is_mention) in [
        ("hi all", false),
        ("bot", true),
        ("hi bot, how are you?", true),
        ("robot", false),
        ("bots", false),
        ("bot: a robot", true),
        ("übot", false),
        ("(bot)", true),
    ] {
        desk.message(said("juliet", body));
        let events = if is_mention { &[told, added, noted][..] } else { &[told, added] };
        assert_eq!(desk.lines(), events, "{body}");
    }
    desk.message(said("bot", "I am bot"));
    assert_eq!(desk.lines(), [told, added], "our own echo");
    desk.wait(5);
    desk.forget();
    desk.message(Message { delayed: true, ..said("juliet", "bot!") });
    assert_eq!(desk.lines(), [told, added, noted], "the room's past is over, whatever somebody stamps it with");
}

/// Events messageSend, messageAdded.
#[test]
fn what_is_told_of_a_message_that_leaves() {
    let mut desk = Desk::connected(Settings::default());
    desk.message(message("romeo@example.org/orchard", MessageKind::Chat, "hi"));
    desk.in_room();
    desk.lines();
    let leaving = |to: &str, kind, body: Option<&str>| Message {
        own: true,
        to: jid(to),
        chat: jid(to).to_bare().into(),
        body: body.map(str::to_owned),
        ..message("bot@example.org/house", kind, "")
    };
    let (sent, added) = ("messageSend", "messageAdded");
    let juliet = format!("{ROOM}/juliet");
    for (message, events) in [
        (leaving("romeo@example.org/orchard", MessageKind::Chat, Some("hi")), &[sent, added][..]),
        (leaving(ROMEO, MessageKind::Chat, None), &[sent]),
        (leaving("juliet@example.org", MessageKind::Chat, Some("hi")), &[sent]),
        (leaving(ROOM, MessageKind::Groupchat, Some("hi")), &[sent]),
        (leaving(&juliet, MessageKind::Chat, Some("psst")), &[sent]),
    ] {
        let to = message.to.clone();
        desk.run(|session, now, effects| session.leaving(Box::new(message), now, effects));
        assert_eq!(desk.lines(), events, "{to}");
        let Payload::Message(told) = desk.last(sent) else { panic!("a message") };
        let nick = (to == jid(ROOM)).then_some("bot");
        assert_eq!((told.nick.as_deref(), told.chat.to_bare()), (nick, to.to_bare()), "what we are called there");
    }
    match desk.last(sent) {
        Payload::Message(message) => assert_eq!(message.chat, jid(&juliet), "a conversation of its own"),
        other => panic!("{other:?}"),
    }
}

/// Rules delayed.
#[test]
fn a_stamp_whose_author_does_not_count_is_believed_of_a_rooms_past_alone() {
    let claimed: Timestamp = "2020-01-02T03:04:05Z".parse().unwrap();
    let mut desk = Desk::connected(Settings::default());
    let said =
        || Message { claimed_at: Some(claimed), ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "hi") };
    let _opened = desk.open_room(None);
    desk.message(said());
    assert!(last_message(&desk).delayed && last_message(&desk).at == claimed);
    // The room has stamped it, too.
    desk.message(Message { delayed: true, body: Some("ho".to_owned()), ..said() });
    let told = last_message(&desk);
    assert_eq!((told.body.as_deref(), told.delayed, told.at), (Some("ho"), true, Timestamp::UNIX_EPOCH));
    desk.presence(occupant("bot", PresenceKind::Available, &[110]));
    desk.subject("");
    desk.message(said());
    assert!(!last_message(&desk).delayed && last_message(&desk).at != claimed);
}

/// Settings message_carbons.
#[test]
fn copies_are_asked_for_where_the_server_has_them_and_the_setting_wants_them() {
    for (wanted, feature, asks) in
        [(true, "urn:xmpp:carbons:2", true), (true, "urn:xmpp:carbons:1", false), (false, "urn:xmpp:carbons:2", false)]
    {
        let mut desk = Desk::new(settings(&[("message_carbons", wanted.into())]));
        desk.run(Session::plugins_initialized);
        desk.bind();
        assert!(!desk.lines().contains(&"> ask carbons".to_owned()), "not before the server has said what it can");
        let asked = desk.sent.iter().find_map(|stanza| match stanza {
            Outgoing::Ask { to: Some(to), id, ask: Ask::DiscoInfo { .. } } if to.as_str() == "example.org" => Some(id),
            _ => None,
        });
        let id = asked.unwrap().clone();
        let disco = types::Disco { features: vec![feature.to_owned()], ..types::Disco::default() };
        desk.answer(Some("example.org"), id, Ok(Body::Disco(disco)));
        assert_eq!(desk.lines().contains(&"> ask carbons".to_owned()), asks, "{wanted} {feature}");
    }
}

/// Otherwise the answer to a plugin's IQ would be taken for that to the other request.
#[test]
fn an_id_that_waits_for_its_answer_is_not_used_again() {
    let mut desk = Desk::new(Settings::default());
    desk.run(Session::plugins_initialized);
    desk.bind();
    let id = desk.asked(|ask| matches!(ask, Ask::Roster { .. }));
    let mut send = |id: &str| {
        let (answer, mut receiver) = Answer::channel();
        let stanza = raw(&format!("<iq type='get' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>"));
        desk.command(AnyCommand::with(SendRaw { by: InstanceId(1), stanza }, answer));
        got(&mut receiver).unwrap()
    };
    assert!(matches!(send(&id), Err(CallError::Invalid { argument, .. }) if argument == "stanza"));
    assert!(send("another").is_ok());
}
