//! Incoming and outgoing messages.
#![allow(clippy::doc_markdown, reason = "what a test shows is named as the list of the API spells it")]

use parlor_stanza::types::{
    Carbon, Draft, Extensions, Fallback, Hint, Invite, LinkPreview, Moderated, Reactions, ReplyTo,
};

use super::*;
use crate::{messages, unfinished};

const IDS: &str = "urn:xmpp:sid:0";

fn send(test: &mut TestSession, to: &str, kind: MessageKind, draft: Draft) -> Result<String, CallError> {
    let mut receiver = test.ask(SendMessage { to: jid(to), kind, draft });
    got(&mut receiver).unwrap()
}

fn text(body: &str) -> Draft {
    Draft { body: Some(body.to_owned()), ..Draft::default() }
}

fn last_message(test: &TestSession) -> Arc<Message> {
    match test.last("message") {
        Payload::Message(message) => Arc::clone(message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_sent_is_checked_first() {
    let mut test = TestSession::connected(Settings::default());
    let extended = |extensions| Draft { extensions: Some(Box::new(extensions)), ..Draft::default() };
    let some = |text: &str| Some(text.to_owned());
    let beside = |extensions| Draft { extensions: Some(Box::new(extensions)), ..text("👍!") };
    let part = |start, end| Fallback { feature: None, part: Some((start, end)) };
    let reacting = |emojis: &[&str]| {
        let emojis = emojis.iter().map(|&emoji| emoji.to_owned()).collect();
        extended(Extensions { reactions: Some(Reactions { id: "1".to_owned(), emojis }), ..Extensions::default() })
    };
    let moderated = Moderated { id: "1".to_owned(), by: None, occupant_id: None, reason: None };
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
        (beside(Extensions { retract: some(""), ..Extensions::default() }), "message.extensions.retract"),
        (beside(Extensions { moderated: Some(moderated), ..Extensions::default() }), "message.extensions.moderated"),
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
        match send(&mut test, ROMEO, MessageKind::Chat, draft) {
            Err(CallError::Invalid { argument: named, .. }) => assert_eq!(named, argument),
            other => panic!("{argument}: {other:?}"),
        }
    }
    assert!(test.lines().is_empty());
    let id = send(&mut test, ROMEO, MessageKind::Chat, text("tab\t, line\n, 👍")).unwrap();
    assert!(matches!(test.sent.last(), Some(Outgoing::Message { id: sent, .. }) if *sent == id));
    let composing = Extensions { chat_state: some("composing"), ..Extensions::default() };
    assert!(send(&mut test, ROMEO, MessageKind::Chat, extended(composing)).is_ok());
    assert!(send(&mut test, ROMEO, MessageKind::Chat, reacting(&[])).is_ok(), "all are taken back");
    let quoting = Extensions { fallback: vec![part(0, 2)], ..Extensions::default() };
    assert!(send(&mut test, ROMEO, MessageKind::Chat, beside(quoting)).is_ok());
    assert!(matches!(send(&mut test, ROMEO, MessageKind::Headline, text("x")), Err(CallError::Invalid { .. })));
}

/// Spoilers (XEP-0382) and previews of links (XEP-0511).
#[test]
fn what_a_message_shows_is_checked_first() {
    let mut test = TestSession::connected(Settings::default());
    let some = |text: &str| Some(text.to_owned());
    let carrying = |body: Option<&str>, extensions| Draft {
        body: body.map(str::to_owned),
        extensions: Some(Box::new(extensions)),
        ..Draft::default()
    };
    let link = || LinkPreview { url: "https://h/".to_owned(), title: some("t"), description: None, image: None };
    let (spoiler, previews) = ("message.extensions.spoiler", "message.extensions.previews");
    let hidden = |hint: &str| Extensions { spoiler: Some(hint.to_owned()), ..Extensions::default() };
    let shown = |previews| Extensions { previews, ..Extensions::default() };
    let receipt = || Extensions { receipt: some("1"), ..Extensions::default() };
    let many = (0..9).map(|number| LinkPreview { url: format!("https://h/{number}"), ..link() }).collect();
    for (body, extensions, argument) in [
        (None, Extensions { unstyled: true, ..hidden("end") }, "message"),
        (None, shown(vec![link()]), "message"),
        (None, Extensions { spoiler: some("end"), ..receipt() }, spoiler),
        (None, Extensions { previews: vec![link()], ..receipt() }, previews),
        (some("x"), hidden(&"x".repeat(1_025)), spoiler),
        (some("x"), hidden("a\nb"), spoiler),
        (some("x"), hidden("a\u{0}"), spoiler),
        (some("x"), shown(vec![link(); 2]), previews),
        (some("x"), shown(many), previews),
        (some("x"), shown(vec![LinkPreview { url: "javascript:alert(1)".to_owned(), ..link() }]), previews),
        (some("x"), shown(vec![LinkPreview { url: format!("https://h/{}", "x".repeat(2_000)), ..link() }]), previews),
        (some("x"), shown(vec![LinkPreview { title: None, ..link() }]), previews),
        (some("x"), shown(vec![LinkPreview { title: some(" "), ..link() }]), previews),
        (some("x"), shown(vec![LinkPreview { title: some("a\nb"), ..link() }]), previews),
        (some("x"), shown(vec![LinkPreview { title: some(&"x".repeat(513)), ..link() }]), previews),
        (some("x"), shown(vec![LinkPreview { description: some(&"x".repeat(4_097)), ..link() }]), previews),
        (some("x"), shown(vec![LinkPreview { image: some("cid:1"), ..link() }]), previews),
    ] {
        match send(&mut test, ROMEO, MessageKind::Chat, carrying(body.as_deref(), extensions)) {
            Err(CallError::Invalid { argument: named, .. }) => assert_eq!(named, argument),
            other => panic!("{argument}: {other:?}"),
        }
    }
    assert!(test.lines().is_empty());
    let whole = LinkPreview { description: some("a\nb"), image: some("http://h/i"), ..link() };
    let all = Extensions { spoiler: some(""), unstyled: true, ..shown(vec![whole]) };
    assert!(send(&mut test, ROMEO, MessageKind::Chat, carrying(Some("x"), all)).is_ok());
}

#[test]
fn nothing_is_sent_without_a_connection() {
    let mut test = TestSession::new(Settings::default());
    assert_eq!(send(&mut test, ROMEO, MessageKind::Chat, text("x")).unwrap_err(), CallError::Offline);
    let mut receiver = test.ask(SendRaw { by: InstanceId(1), stanza: some_raw() });
    assert_eq!(got(&mut receiver).unwrap().unwrap_err(), CallError::Offline);
    let mut test = TestSession::connected(Settings::default());
    let mut receiver = test.ask(SendRaw { by: InstanceId(1), stanza: some_raw() });
    assert_eq!(test.lines(), ["> raw"]);
    assert!(got(&mut receiver).unwrap().is_ok());
}

#[test]
fn a_room_hears_only_from_who_is_in_it() {
    let mut test = TestSession::connected(Settings::default());
    assert!(matches!(send(&mut test, ROOM, MessageKind::Groupchat, text("x")), Err(CallError::NotFound(_))));
    let _opened = test.open_room(None);
    assert!(matches!(send(&mut test, ROOM, MessageKind::Groupchat, text("x")), Err(CallError::NotFound(_))));
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    assert!(send(&mut test, ROOM, MessageKind::Groupchat, text("x")).is_ok());
    let to_one = send(&mut test, &format!("{ROOM}/juliet"), MessageKind::Groupchat, text("x"));
    assert!(matches!(to_one, Err(CallError::Invalid { .. })));
    assert!(matches!(test.sent.last(), Some(Outgoing::Message { to_occupant: false, .. })));
    assert!(send(&mut test, &format!("{ROOM}/juliet"), MessageKind::Chat, text("x")).is_ok());
    assert!(matches!(test.sent.last(), Some(Outgoing::Message { to_occupant: true, .. })));
    assert!(send(&mut test, &format!("{ROMEO}/orchard"), MessageKind::Chat, text("x")).is_ok());
    assert!(matches!(test.sent.last(), Some(Outgoing::Message { to_occupant: false, .. })));
    assert!(matches!(send(&mut test, ROOM, MessageKind::Chat, text("x")), Err(CallError::Invalid { .. })));
}

#[test]
fn a_rooms_messages_are_told_from_entering_on() {
    let mut test = TestSession::connected(Settings::default());
    let said = |nick: &str| message(&format!("{ROOM}/{nick}"), MessageKind::Groupchat, "hi");
    test.message(said("juliet"));
    assert!(test.lines().is_empty(), "a room that we are not in");
    let _opened = test.open_room(None);
    let past = |nick: &str| Message { claimed_at: Some(Timestamp::UNIX_EPOCH), ..said(nick) };
    test.message(past("juliet"));
    assert!(last_message(&test).delayed, "before we are in it is history");
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    test.message(past("romeo"));
    assert!(last_message(&test).delayed, "before the subject it is history, too");
    test.message(said("juliet"));
    assert!(!last_message(&test).delayed, "what has no stamp was said just now (XEP-0045, section 7.2.14)");
    test.subject("");
    assert!(last_message(&test).delayed, "the subject is no news either");
    test.message(past("juliet"));
    assert!(!last_message(&test).delayed && !last_message(&test).own);
    test.message(said("bot"));
    assert!(last_message(&test).own, "our own echo");
}

#[test]
fn an_occupant_who_writes_to_us_alone_is_a_conversation_of_its_own() {
    let mut test = TestSession::connected(settings(&[("allow_non_roster_messaging", true.into())]));
    test.in_room();
    test.message(message(&format!("{ROOM}/juliet"), MessageKind::Chat, "psst"));
    assert_eq!(test.lines(), ["message", "messageNotification"], "and opens no chat");
    assert_eq!(last_message(&test).chat, jid(&format!("{ROOM}/juliet")));
    let copy = Message {
        own: true,
        chat: jid(ROOM),
        to: jid(&format!("{ROOM}/juliet")),
        ..message("bot@example.org/phone", MessageKind::Chat, "psst")
    };
    test.message(copy);
    assert_eq!(last_message(&test).chat, jid(&format!("{ROOM}/juliet")));

    // Another client of the account is in the room.
    let mut test = TestSession::connected(settings(&[("allow_non_roster_messaging", true.into())]));
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
        test.hear_xml(&copy);
        assert_eq!(test.lines(), ["message"], "and opens no chat with the room");
        assert_eq!(last_message(&test).chat, jid(&juliet));
    }
    test.hear_xml(&said("romeo@example.org/orchard", phone));
    assert_eq!(last_message(&test).chat, jid(ROMEO), "a contact is no occupant, whatever he says");
}

#[test]
fn a_subject_changes_the_room() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let subject = |text: &str| Message {
        body: None,
        subject: Some(text.to_owned()),
        ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "")
    };
    test.message(subject(""));
    assert_eq!(test.count("roomSubjectChanged"), 0);
    test.message(subject("Verona"));
    test.message(subject("Verona"));
    assert_eq!(test.count("roomSubjectChanged"), 1);
    assert_eq!(test.session.snapshot().rooms[&bare(ROOM)].subject.as_deref(), Some("Verona"));
    test.message(Message { body: Some("body".to_owned()), ..subject("no subject of the room") });
    assert_eq!(test.count("roomSubjectChanged"), 1);
    let threadless = "<subject>Mantua</subject><thread/>";
    test.hear_xml(&format!("<message from='{ROOM}/juliet' type='groupchat'>{threadless}</message>"));
    assert_eq!(test.count("roomSubjectChanged"), 2, "a thread without an id is none");
}

#[test]
fn what_the_archive_knows_already_is_not_told_twice() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.announces("bot@example.org", &[IDS.to_owned()]);
    test.announces(ROOM, &[IDS.to_owned()]);
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
        test.message(message);
        assert_eq!(test.count("message"), count);
    }
    for number in 0..messages::REMEMBERED {
        test.message(with(&format!("n{number}"), private()));
    }
    assert_eq!(test.session.features.seen.len(), messages::REMEMBERED);
}

/// A server that ends a session keeps unacknowledged stanzas, although they arrived: Prosody 0.12 does if it cannot
/// parse on.
#[test]
fn what_came_before_a_cut_is_not_told_twice_by_the_next_session() {
    let mut test = TestSession::connected(Settings::default());
    let said =
        |at| Message { at, id: Some("1".to_owned()), ..message("juliet@example.org/x", MessageKind::Chat, "hi") };
    let again = |at| Message { delayed: true, ..said(at) };
    // The message does not come while we connect.
    test.wait(1);
    let first = test.now;
    test.message(said(first));
    test.wait(60);
    test.message(again(first));
    assert_eq!(test.count("message"), 2, "nothing was cut");
    test.run(Session::suspended);
    let cut = test.now;
    test.wait(60);
    test.bind();
    test.forget();
    test.message(again(first));
    test.message(again(cut));
    assert_eq!(test.count("message"), 0);
    test.session.clock_set(jiff::SignedDuration::from_hours(1));
    test.message(again(cut + Duration::from_hours(1)));
    assert_eq!(test.count("message"), 0, "the clock was set");
    // A client may use an id again: messages with another time or text, without a stamp, and carbons are new.
    test.message(again(cut + Duration::from_hours(2)));
    test.message(Message { body: Some("ho".to_owned()), ..again(cut) });
    test.message(said(test.now));
    let copy = Message { carbon: Some(Carbon::Received), ..again(cut) };
    test.message(copy);
    assert_eq!(test.count("message"), 4);
}

/// Some programs set no id, and an id that could not be sent back counts as none.
#[test]
fn what_has_no_id_and_came_before_a_cut_is_not_told_twice_either() {
    let mut test = TestSession::connected(Settings::default());
    let said = |at| Message { at, ..message("juliet@example.org/x", MessageKind::Chat, "hi") };
    let again = |at| Message { delayed: true, ..said(at) };
    let first = test.now;
    test.message(said(first));
    test.message(said(first));
    assert_eq!(test.count("message"), 2, "nothing was cut");
    test.wait(60);
    test.run(Session::suspended);
    let cut = test.now;
    test.wait(60);
    test.bind();
    test.forget();
    // Stamped by the server's clock.
    test.message(again(first - Duration::from_secs(2)));
    test.message(again(first + Duration::from_secs(2)));
    assert_eq!(test.count("message"), 0);
    // Two messages that were sent while the account was offline.
    test.message(again(cut));
    test.message(again(cut));
    test.message(Message { body: Some("ho".to_owned()), ..again(first) });
    test.message(Message { body: None, ..again(first) });
    assert_eq!(test.count("message"), 4);
}

/// Rules duplicate. Equal texts prove nothing, regardless of who stamps them.
#[test]
fn what_somebody_says_twice_without_an_id_is_told_twice() {
    for is_cut in [false, true] {
        let mut test = TestSession::connected(Settings::default());
        let said = || Message { at: test.now, ..message("juliet@example.org/x", MessageKind::Chat, "hi") };
        let plain = said();
        let signed_by_another = Message { claimed_at: Some(test.now), ..said() };
        let unsigned = Message { delayed: true, claimed_at: Some(test.now), ..said() };
        test.message(plain.clone());
        if is_cut {
            test.run(Session::suspended);
            test.run(Session::resumed);
        }
        test.forget();
        for again in [plain.clone(), signed_by_another.clone(), unsigned.clone(), signed_by_another, unsigned, plain] {
            test.message(again);
        }
        assert_eq!(test.count("message"), 6, "{is_cut}");
    }
}

/// Rules duplicate. Metronome announces ids, and does not remove those that others write in its name.
#[test]
fn an_archives_id_that_was_used_before_hides_nothing() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.announces("bot@example.org", &[IDS.to_owned()]);
    test.announces(ROOM, &[IDS.to_owned()]);
    for (from, kind) in
        [("juliet@example.org/x".to_owned(), MessageKind::Chat), (format!("{ROOM}/juliet"), MessageKind::Groupchat)]
    {
        test.forget();
        let said = |id: &str, body: &str| Message {
            stanza_id: Some("1".to_owned()),
            id: Some(id.to_owned()),
            ..message(&from, kind, body)
        };
        for (id, body) in [("a", "good morning"), ("a", "BUY NOW"), ("b", "good morning"), ("a", "BUY NOW")] {
            test.message(said(id, body));
        }
        assert_eq!(test.count("message"), 3, "{kind}");
        test.message(Message { from: jid(&format!("{}/another", jid(&from).to_bare())), ..said("a", "BUY NOW") });
        assert_eq!(test.count("message"), 4, "{kind}");
    }
}

/// Rules duplicate. Rooms do not remove a stamp that an occupant wrote in their name.
#[test]
fn what_is_said_again_in_a_room_is_no_past_of_it_whatever_it_is_stamped_with() {
    let mut test = TestSession::connected(Settings::default());
    let said = |id: Option<&str>| Message {
        id: id.map(str::to_owned),
        delayed: true,
        ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "BUY NOW")
    };
    let _opened = test.open_room(None);
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    for id in [None, Some("1"), None, Some("1")] {
        test.message(said(id));
    }
    assert_eq!(test.count("message"), 2, "its past is told once");
    test.subject("");
    test.wait(5);
    test.forget();
    for id in [None, None, Some("1"), Some("1")] {
        test.message(said(id));
    }
    assert_eq!(test.count("message"), 4);
}

/// Rules duplicate.
#[test]
fn what_came_before_the_account_said_that_it_numbers_messages_is_not_told_twice() {
    let mut test = TestSession::connected(Settings::default());
    let first =
        || Message { stanza_id: Some("1".to_owned()), ..message("juliet@example.org/x", MessageKind::Chat, "hi") };
    test.message(first());
    assert_eq!(last_message(&test).stanza_id, None, "it is not known to be the archive's");
    test.announces("bot@example.org", &[IDS.to_owned()]);
    test.message(first());
    assert_eq!(test.count("message"), 1, "the stream broke, and the server sent it once more");
}

#[test]
fn errors_are_told_apart() {
    let mut test = TestSession::connected(Settings::default());
    let error = Some(stanza_error("gone"));
    test.message(Message { error, body: None, ..message("romeo@example.org", MessageKind::Error, "") });
    assert_eq!(test.lines(), ["messageError"]);
}

#[test]
fn an_invitation_is_told_and_followed_where_the_setting_says_so() {
    let invite = || {
        let from = jid(ROMEO);
        let invite =
            Invite { room: bare(ROOM), from, to: jid("bot@example.org"), reason: None, password: Some("p".to_owned()) };
        Message { body: None, invite: Some(Box::new(invite)), ..message(ROMEO, MessageKind::Normal, "") }
    };
    let mut test = TestSession::connected(Settings::default());
    test.message(invite());
    assert_eq!(test.lines(), ["roomInviteReceived"]);
    test.message(Message { own: true, ..invite() });
    assert!(test.lines().is_empty(), "we invited somebody ourselves");
    test.set(&[("auto_join_on_invite", true.into())]).unwrap();
    test.message(invite());
    assert_eq!(test.lines(), ["roomInviteReceived", "> available to room@muc.example.org/bot entering"]);
    assert!(
        matches!(test.sent.last(), Some(Outgoing::Presence(PresenceOut { join: Some(join), .. })) if join.password.as_deref() == Some("p"))
    );
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    test.forget();
    let ignored = test.session.ignored();
    test.message(invite());
    assert!(test.lines().is_empty(), "we are there already (XEP-0249, section 3)");
    assert_eq!(test.session.ignored(), ignored + 1);
    test.set(&[("allow_muc", false.into())]).unwrap();
    test.message(invite());
    assert!(test.lines().is_empty());
}

/// Prosody and ejabberd write it for clients that know no invitations, the latter with the room's password.
#[test]
fn the_text_of_a_room_in_an_invitation_is_no_message() {
    let mut test = TestSession::connected(Settings::default());
    let invitation = |from: &str, x: &str| {
        let body = "romeo@example.org invites you to the room, the password is 'sesame'";
        format!("<message xmlns='jabber:client' from='{from}' type='normal'><body>{body}</body>{x}</message>")
    };
    let muc = "http://jabber.org/protocol/muc#user";
    let direct = format!("<x xmlns='jabber:x:conference' jid='{ROOM}'/>");
    let mediated = format!("<x xmlns='{muc}'><invite from='{ROMEO}/x'/><password>sesame</password></x>{direct}");
    test.hear_xml(&invitation(ROOM, &mediated));
    assert_eq!(test.lines(), ["roomInviteReceived"]);
    let Payload::Invite(invite) = test.last("roomInviteReceived") else { panic!("an invitation") };
    assert_eq!((&invite.from, invite.password.as_deref()), (&jid("romeo@example.org/x"), Some("sesame")));
    test.hear_xml(&invitation(&format!("{ROMEO}/x"), &direct));
    let lines = test.lines();
    assert_eq!(lines[0], "roomInviteReceived");
    assert!(lines.contains(&"message".to_owned()), "a person's own words: {lines:?}");
}

/// Rules duplicate.
#[test]
fn an_archives_id_counts_only_where_the_archive_says_that_it_gives_any() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let private =
        || Message { stanza_id: Some("1".to_owned()), ..message("juliet@example.org/x", MessageKind::Headline, "hi") };
    let public = || Message {
        stanza_id: Some("1".to_owned()),
        ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "hi")
    };
    let features = |with: bool| if with { vec!["x".to_owned(), IDS.to_owned()] } else { vec!["x".to_owned()] };
    test.announces("bot@example.org", &features(false));
    let mut told = 0;
    let mut hear = |test: &mut TestSession, message: Message, id: Option<&str>| {
        test.message(message);
        told += 1;
        assert_eq!(test.count("message"), told, "nothing is dropped for an id that may be forged");
        assert_eq!(last_message(test).stanza_id.as_deref(), id);
    };
    hear(&mut test, private(), None);
    hear(&mut test, private(), None);
    hear(&mut test, public(), None);
    // Neither the server nor another entity can announce this for an archive.
    for entity in
        ["example.org", "bot@example.org/parlor", "juliet@example.org", "muc.example.org", "hall@muc.example.org"]
    {
        test.announces(entity, &features(true));
    }
    hear(&mut test, private(), None);
    hear(&mut test, public(), None);
    test.announces(ROOM, &features(true));
    hear(&mut test, public(), Some("1"));
    hear(&mut test, private(), None);
    test.announces("bot@example.org", &features(true));
    hear(&mut test, private(), Some("1"));
    test.message(private());
    test.message(public());
    assert_eq!(test.count("message"), 8, "these are known");
    test.announces(ROOM, &features(false));
    hear(&mut test, public(), None);
}

/// A client that has not learnt that its message arrived sends it again once there is a network: Gajim signs the stamp.
#[test]
fn what_its_author_sends_once_more_with_a_stamp_is_told_once() {
    for signed in [false, true] {
        let mut test = TestSession::connected(Settings::default());
        let now = test.now;
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
            test.forget();
            test.message(said(id, stamp));
            assert_eq!(test.count("message") == 1, is_told, "{id} {stamp:?} {signed}");
        }
    }
}

/// ejabberd does this after two connections tried to resume one session.
#[test]
fn what_a_server_says_once_more_with_a_stamp_is_told_once() {
    let mut test = TestSession::connected(Settings::default());
    let said = |id: Option<&str>, delayed: bool| Message {
        id: id.map(str::to_owned),
        delayed,
        at: Timestamp::MAX,
        ..message(&format!("{ROMEO}/orchard"), MessageKind::Chat, "hi")
    };
    test.message(said(Some("0"), true));
    test.message(said(Some("0"), true));
    assert_eq!(test.count("message"), 2, "what was stored before the log-in is not what a cut delays");
    test.run(Session::suspended);
    test.run(Session::resumed);
    for (step, is_told) in [
        (said(Some("1"), false), true),
        (said(Some("1"), true), false),
        (said(Some("1"), false), true),
        (said(Some("2"), true), true),
        (said(Some("2"), true), false),
        (said(None, true), true),
        (said(None, true), true),
    ] {
        test.forget();
        let shown = format!("{step:?}");
        test.message(step);
        assert_eq!(test.count("message") == 1, is_told, "{shown}");
    }
}

/// Debug output may go to a log, and the text may have been encrypted.
#[test]
fn nobody_prints_the_text_of_a_message() {
    let printed = format!("{:?}", message(ROMEO, MessageKind::Chat, "canary"));
    assert!(printed.contains(ROMEO) && !printed.contains("canary"), "{printed}");
}

/// Events message, messageAdded, messageNotification.
#[test]
fn what_is_told_of_a_message_that_comes() {
    let mut test = TestSession::connected(Settings::default());
    let chat = |from: &str| message(from, MessageKind::Chat, "hi");
    let romeo = "romeo@example.org/orchard";
    let own = || Message { own: true, chat: jid(ROMEO), ..chat("bot@example.org/phone") };
    test.message(chat(romeo));
    test.wait(1);
    test.forget();
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
        (Message { delayed: true, at: test.now, ..chat(romeo) }, &[told, added]),
        (Message { body: None, ..chat(romeo) }, &[told]),
        (thumb(chat(romeo)), &[told]),
        (Message { carbon: Some(Carbon::Received), ..chat(romeo) }, &[told, added]),
        (Message { carbon: Some(Carbon::Sent), ..own() }, &[told, added]),
        (chat("tybalt@example.org/street"), &[told, noted]),
        (Message { error: Some(stanza_error("gone")), ..message(romeo, MessageKind::Error, "hi") }, &["messageError"]),
    ] {
        let (kind, from) = (message.kind, message.from.clone());
        test.message(message);
        assert_eq!(test.lines(), events, "{kind} from {from}");
    }
    // In the form in which clients retract messages for clients without retractions (XEP-0424, section 3.1).
    test.hear_xml(&format!(
        "<message from='{romeo}' type='chat'><retract xmlns='urn:xmpp:message-retract:1' id='1'/><fallback \
         xmlns='urn:xmpp:fallback:0' for='urn:xmpp:message-retract:1'/><body>Somebody took a message back.</body></message>"
    ));
    assert_eq!(test.lines(), [told]);
    for (beside, events) in [
        ("", &[told, added, noted][..]),
        ("<received xmlns='urn:xmpp:receipts' id='1'/>", &[told]),
        ("<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", &[told]),
    ] {
        test.hear_xml(&format!("<message from='{romeo}' type='chat'><body/>{beside}</message>"));
        assert_eq!(test.lines(), events, "an empty body beside {beside}");
    }
    test.in_room();
    test.lines();
    let said = |nick: &str, body: &str| message(&format!("{ROOM}/{nick}"), MessageKind::Groupchat, body);
    test.message(thumb(said("juliet", "")));
    assert_eq!(test.lines(), [told], "it names nobody");
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
        test.message(said("juliet", body));
        let events = if is_mention { &[told, added, noted][..] } else { &[told, added] };
        assert_eq!(test.lines(), events, "{body}");
    }
    test.message(said("bot", "I am bot"));
    assert_eq!(test.lines(), [told, added], "our own echo");
    test.wait(5);
    test.forget();
    test.message(Message { delayed: true, ..said("juliet", "bot!") });
    assert_eq!(test.lines(), [told, added, noted], "the room's past is over, whatever somebody stamps it with");
}

/// Events messageSend, messageAdded.
#[test]
fn what_is_told_of_a_message_that_leaves() {
    let mut test = TestSession::connected(Settings::default());
    test.message(message("romeo@example.org/orchard", MessageKind::Chat, "hi"));
    test.in_room();
    test.lines();
    let leaving = |to: &str, kind, body: Option<&str>| Message {
        own: true,
        to: jid(to),
        chat: jid(to).to_bare().into(),
        body: body.map(str::to_owned),
        ..message("bot@example.org/parlor", kind, "")
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
        test.run(|session, now, effects| session.leaving(Box::new(message), now, effects));
        assert_eq!(test.lines(), events, "{to}");
        let Payload::Message(told) = test.last(sent) else { panic!("a message") };
        let nick = (to == jid(ROOM)).then_some("bot");
        assert_eq!((told.nick.as_deref(), told.chat.to_bare()), (nick, to.to_bare()), "what we are called there");
    }
    match test.last(sent) {
        Payload::Message(message) => assert_eq!(message.chat, jid(&juliet), "a conversation of its own"),
        other => panic!("{other:?}"),
    }
}

/// Rules delayed.
#[test]
fn a_stamp_whose_author_does_not_count_is_believed_of_a_rooms_past_alone() {
    let claimed: Timestamp = "2020-01-02T03:04:05Z".parse().unwrap();
    let mut test = TestSession::connected(Settings::default());
    let said =
        || Message { claimed_at: Some(claimed), ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "hi") };
    let _opened = test.open_room(None);
    test.message(said());
    assert!(last_message(&test).delayed && last_message(&test).at == claimed);
    // The room has stamped it, too.
    test.message(Message { delayed: true, body: Some("ho".to_owned()), ..said() });
    let told = last_message(&test);
    assert_eq!((told.body.as_deref(), told.delayed, told.at), (Some("ho"), true, Timestamp::UNIX_EPOCH));
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    test.subject("");
    test.message(said());
    assert!(!last_message(&test).delayed && last_message(&test).at != claimed);
}

/// Settings message_carbons.
#[test]
fn copies_are_asked_for_where_the_server_has_them_and_the_setting_wants_them() {
    for (wanted, feature, asks) in
        [(true, "urn:xmpp:carbons:2", true), (true, "urn:xmpp:carbons:1", false), (false, "urn:xmpp:carbons:2", false)]
    {
        let mut test = TestSession::new(settings(&[("message_carbons", wanted.into())]));
        test.run(Session::plugins_initialized);
        test.bind();
        assert!(!test.lines().contains(&"> ask carbons".to_owned()), "not before the server has said what it can");
        let asked = test.sent.iter().find_map(|stanza| match stanza {
            Outgoing::Ask { to: Some(to), id, ask: Ask::DiscoInfo { .. } } if to.as_str() == "example.org" => Some(id),
            _ => None,
        });
        let id = asked.unwrap().clone();
        let disco = types::Disco { features: vec![feature.to_owned()], ..types::Disco::default() };
        test.answer(Some("example.org"), id, Ok(Body::Disco(disco)));
        assert_eq!(test.lines().contains(&"> ask carbons".to_owned()), asks, "{wanted} {feature}");
    }
}

/// Otherwise the answer to a plugin's IQ would be matched to the other request.
#[test]
fn an_id_that_waits_for_its_answer_is_not_used_again() {
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    test.bind();
    let id = test.asked(|ask| matches!(ask, Ask::Roster { .. }));
    let mut send = |id: &str| {
        let (answer, mut receiver) = Answer::channel();
        let stanza = raw(&format!("<iq type='get' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>"));
        test.command(AnyCommand::with(SendRaw { by: InstanceId(1), stanza }, answer));
        got(&mut receiver).unwrap()
    };
    assert!(matches!(send(&id), Err(CallError::Invalid { argument, .. }) if argument == "stanza"));
    assert!(send("another").is_ok());
}

#[test]
fn a_secret_message_that_a_server_returns_is_told_to_nobody() {
    let mut test = TestSession::connected(Settings::default());
    for is_secret in [false, true] {
        let draft = Draft { body: Some("a link".to_owned()), is_secret, ..Draft::default() };
        let id = send(&mut test, ROMEO, MessageKind::Chat, draft).unwrap();
        test.forget();
        for (kind, id) in [("error", id.as_str()), ("error", "other")] {
            test.hear_xml(&format!(
                "<message xmlns='jabber:client' type='{kind}' id='{id}' from='{ROMEO}'><body>a link</body><error \
                 type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
            ));
        }
        let told = test.events.iter().filter(|event| &*event.name == "messageError").count();
        assert_eq!(told, if is_secret { 1 } else { 2 });
        // An account that began again meanwhile would tell of it.
        let keeps_awake = |after: Duration| unfinished(&test.session, test.now + after) == Some(Unfinished::Secret);
        assert_eq!(keeps_awake(Duration::ZERO), is_secret);
        assert!(!keeps_awake(Duration::from_hours(24)), "nobody can use the link any more");
    }
}
