//! Questions to entities about themselves, voice, registration with rooms, occupant ids and hats.

use parlor_stanza::types::{
    Activity, EntityTime, Extensions, FormField, HATS, Hat, Moderated, Registration, Software, Voice, VoiceRequest,
};

use super::*;

const FRIEND: &str = "friend@example.net";

/// Rows 158.
#[test]
fn entities_are_asked_about_themselves() {
    let mut test = TestSession::connected(Settings::default());
    let mut idle = test.ask(GetActivity { entity: jid(FRIEND) });
    let id = test.asked_of(FRIEND, |ask| matches!(ask, Ask::Activity));
    let activity = Activity { seconds: 5, status: None };
    test.answer(Some("mallory@example.net"), id.clone(), Ok(Body::Activity(Activity { seconds: 1, status: None })));
    assert!(got(&mut idle).is_none(), "nobody else answers for it");
    test.answer(Some(FRIEND), id, Ok(Body::Activity(activity.clone())));
    assert_eq!(got(&mut idle), Some(Ok(activity)));

    let mut time = test.ask(GetTime { entity: jid(FRIEND) });
    let id = test.asked_of(FRIEND, |ask| matches!(ask, Ask::Time));
    let said = EntityTime { utc: Timestamp::UNIX_EPOCH, offset: 60 };
    test.answer(Some(FRIEND), id, Ok(Body::Time(said)));
    assert_eq!(got(&mut time), Some(Ok(said)));

    let mut software = test.ask(GetSoftware { entity: jid(FRIEND) });
    let id = test.asked_of(FRIEND, |ask| matches!(ask, Ask::Software));
    test.answer(Some(FRIEND), id, Ok(Body::Software(Software::default())));
    assert_eq!(got(&mut software), Some(Ok(Software::default())));

    // Another kind of answer, or one that could not be read.
    for body in [Body::Other, Body::Empty, Body::Time(said)] {
        let mut odd = test.ask(GetActivity { entity: jid(FRIEND) });
        let id = test.asked_of(FRIEND, |ask| matches!(ask, Ask::Activity));
        test.answer(Some(FRIEND), id, Ok(body));
        assert!(matches!(got(&mut odd), Some(Err(CallError::Other(_)))));
        test.sent.clear();
    }
}

/// Rows 158. Events `voiceRequest`.
#[test]
fn visitors_ask_for_voice_and_are_answered_once() {
    let mut test = TestSession::connected(Settings::default());
    assert!(matches!(got(&mut test.ask(RequestVoice { jid: bare(ROOM) })), Some(Err(CallError::NotFound(_)))));
    test.in_room();
    assert_eq!(got(&mut test.ask(RequestVoice { jid: bare(ROOM) })), Some(Ok(())));
    assert!(matches!(test.sent.last(), Some(Outgoing::Voice { voice: Voice::Ask, .. })));
    test.forget();

    let request = |nick: &str| VoiceRequest { jid: jid("juliet@example.org/x"), nick: nick.to_owned() };
    let asks = |from: &str, nick: &str| Message {
        body: None,
        voice: Some(Box::new(request(nick))),
        ..message(from, MessageKind::Normal, "")
    };
    test.message(asks("other@muc.example.org", "juliet"));
    test.message(asks(ROOM, "nobody"));
    assert_eq!(test.count("voiceRequest"), 0, "the room is another, or the visitor is not there");
    test.message(asks(ROOM, "juliet"));
    let Payload::Occupant(asking) = test.last("voiceRequest").clone() else { panic!("an occupant") };
    assert_eq!((asking.nick.as_str(), &asking.jid), ("juliet", &Some(jid("juliet@example.org/x"))));

    let answer = |nick: &str| AnswerVoice { jid: bare(ROOM), nick: nick.to_owned(), allow: true };
    assert!(matches!(got(&mut test.ask(answer("nobody"))), Some(Err(CallError::NotFound(_)))));
    assert_eq!(got(&mut test.ask(answer("juliet"))), Some(Ok(())));
    let Some(Outgoing::Voice { voice: Voice::Answer { to, allow: true }, .. }) = test.sent.last() else {
        panic!("{:?}", test.sent.last())
    };
    assert_eq!(*to, request("juliet"));
    assert!(matches!(got(&mut test.ask(answer("juliet"))), Some(Err(CallError::NotFound(_)))), "it was answered");
}

#[test]
fn a_request_for_voice_is_that_of_the_visitor_whoever_has_the_nickname_since() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let asks = |nick: &str| Message {
        body: None,
        voice: Some(Box::new(VoiceRequest { jid: jid("juliet@example.org/x"), nick: nick.to_owned() })),
        ..message(ROOM, MessageKind::Normal, "")
    };
    let answer = |nick: &str| AnswerVoice { jid: bare(ROOM), nick: nick.to_owned(), allow: true };
    test.message(asks("juliet"));
    let mut renamed = occupant("juliet", PresenceKind::Unavailable, &[303]);
    renamed.muc.as_mut().unwrap().nick = Some("julia".to_owned());
    test.presence(renamed);
    test.presence(occupant("julia", PresenceKind::Available, &[]));
    test.presence(occupant("juliet", PresenceKind::Available, &[]));
    assert!(matches!(got(&mut test.ask(answer("juliet"))), Some(Err(CallError::NotFound(_)))), "that is another one");
    assert_eq!(got(&mut test.ask(answer("julia"))), Some(Ok(())));
    let Some(Outgoing::Voice { voice: Voice::Answer { to, .. }, .. }) = test.sent.last() else {
        panic!("{:?}", test.sent.last())
    };
    assert_eq!(to.nick, "julia");

    test.message(asks("julia"));
    test.presence(occupant("julia", PresenceKind::Unavailable, &[]));
    test.presence(occupant("julia", PresenceKind::Available, &[]));
    assert!(matches!(got(&mut test.ask(answer("julia"))), Some(Err(CallError::NotFound(_)))), "who asked has left");

    test.message(asks("julia"));
    test.bind();
    test.roster(Vec::new());
    test.presence(occupant("julia", PresenceKind::Available, &[]));
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    let answered = got(&mut test.ask(answer("julia")));
    assert!(matches!(answered, Some(Err(CallError::NotFound(_)))), "nobody told who left meanwhile");
}

/// Rows 158.
#[test]
fn an_account_registers_by_the_rooms_form() {
    let field = |var: &str| FormField { var: var.to_owned(), kind: "text-single".to_owned(), ..FormField::default() };
    let form = |fields: &[&str]| Some(fields.iter().map(|var| field(var)).collect::<Vec<_>>());
    let configured = |value: &str| ConfigValue::Text(value.to_owned());
    let mut test = TestSession::connected(Settings::default());
    let mut register = |answer: Body, fields: &[&str]| {
        let fields = fields.iter().map(|name| ((*name).to_owned(), configured("x"))).collect();
        let mut registered = test.ask(RegisterWithRoom { jid: bare(ROOM), nick: "bot".to_owned(), fields });
        let id = test.asked_of(ROOM, |ask| matches!(ask, Ask::Registration));
        test.sent.clear();
        test.answer(Some(ROOM), id, Ok(answer));
        let sent = test.sent.iter().find_map(|sent| match sent {
            Outgoing::Ask { id, ask: Ask::Register { fields }, .. } => Some((id.clone(), fields.clone())),
            _ => None,
        });
        let Some((id, fields)) = sent else { return Err(got(&mut registered)) };
        test.answer(Some(ROOM), id, Ok(Body::Empty));
        assert_eq!(got(&mut registered), Some(Ok(())));
        Ok(fields.into_iter().map(|(name, values)| format!("{name}={}", values.join(","))).collect::<Vec<_>>())
    };
    let asks = form(&["FORM_TYPE", "muc#register_roomnick", "muc#register_email"]);
    let empty = |form| Body::Registration(Registration { is_registered: false, form });
    let filled = ["muc#register_roomnick=bot", "muc#register_email=x"];
    assert_eq!(register(empty(asks.clone()), &["email"]).unwrap(), filled);
    let of_service = empty(form(&["nick"]));
    assert_eq!(register(of_service, &[]).unwrap(), ["nick=bot"], "MongooseIM");
    let both = empty(form(&["nick", "roomnick"]));
    assert_eq!(register(both, &[]).unwrap(), ["nick=", "roomnick=bot"]);
    let known = Body::Registration(Registration { is_registered: true, form: None });
    assert_eq!(register(known, &[]).unwrap(), ["muc#register_roomnick=bot"], "a registration is changed");
    let refused: [(Body, &[&str]); 4] =
        [(empty(None), &[]), (Body::Other, &[]), (empty(asks.clone()), &["age"]), (empty(asks), &["roomnick"])];
    for (answer, fields) in refused {
        assert!(matches!(register(answer, fields), Err(Some(Err(_)))), "{fields:?}");
    }

    let mut ended = test.ask(UnregisterFromRoom { jid: bare(ROOM) });
    let id = test.asked_of(ROOM, |ask| matches!(ask, Ask::Unregister));
    test.answer(Some(ROOM), id, Ok(Body::Empty));
    assert_eq!(got(&mut ended), Some(Ok(())));
}

/// Rows 158.
#[test]
fn a_room_says_which_nickname_it_has_reserved() {
    let mut test = TestSession::connected(Settings::default());
    let mut reserved = |body: Body| {
        let mut asked = test.ask(GetReservedNick { jid: bare(ROOM) });
        let id = test.asked_of(ROOM, |ask| matches!(ask, Ask::DiscoInfo { node: Some(_) }));
        test.sent.clear();
        test.answer(Some(ROOM), id, Ok(body));
        got(&mut asked).unwrap()
    };
    let identity = types::Identity {
        category: "conference".to_owned(),
        kind: "text".to_owned(),
        name: Some("bot".to_owned()),
        lang: None,
    };
    let said = |features: Vec<String>| {
        Body::Disco(types::Disco { identities: vec![identity.clone()], features, ..types::Disco::default() })
    };
    assert_eq!(reserved(said(Vec::new())), Ok(Some("bot".to_owned())));
    assert_eq!(reserved(said(vec!["urn:x".to_owned()])), Ok(None), "that is the name of the room");
    assert_eq!(reserved(Body::Disco(types::Disco::default())), Ok(None));
    assert!(matches!(reserved(Body::Other), Err(CallError::Other(_))));
}

/// XEP-0421, section 5, and XEP-0317. If no server removes them, anybody may have written them.
#[test]
fn ids_of_authors_and_hats_are_told_where_the_room_announces_them() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let hat = || Hat { uri: "urn:x:boss".to_owned(), title: "Boss".to_owned() };
    let come = |nick: &str| {
        let mut presence = occupant(nick, PresenceKind::Available, &[]);
        presence.muc.as_mut().unwrap().hats = vec![hat()];
        presence
    };
    let said = |test: &mut TestSession, id: String| {
        test.message(Message {
            occupant_id: Some(id),
            ..message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, "hi")
        });
        let moderated = Moderated { id: "1".to_owned(), by: None, occupant_id: Some("mod".to_owned()), reason: None };
        let extensions = Some(Box::new(Extensions { moderated: Some(moderated), ..Extensions::default() }));
        let Payload::Message(told) = test.last("message").clone() else { panic!("a message") };
        test.message(Message { body: None, extensions, ..message(ROOM, MessageKind::Groupchat, "") });
        let Payload::Message(retracts) = test.last("message").clone() else { panic!("a message") };
        let moderated = retracts.extensions.as_ref().and_then(|one| one.moderated.clone()).unwrap();
        (told.occupant_id.clone(), moderated.occupant_id)
    };
    test.presence(come("romeo"));
    let Payload::Occupant(told) = test.last("occupantJoined").clone() else { panic!("an occupant") };
    assert!(told.hats.is_empty());
    assert_eq!(said(&mut test, "forged".to_owned()), (None, None));

    let id = test.asked(|ask| matches!(ask, Ask::DiscoInfo { .. }));
    let features = vec!["urn:xmpp:occupant-id:0".to_owned(), HATS.to_owned()];
    test.answer(Some(ROOM), id, Ok(Body::Disco(types::Disco { features, ..types::Disco::default() })));
    test.presence(come("paris"));
    let Payload::Occupant(told) = test.last("occupantJoined").clone() else { panic!("an occupant") };
    assert_eq!(told.hats, [hat()]);
    assert_eq!(said(&mut test, "id1".to_owned()), (Some("id1".to_owned()), Some("mod".to_owned())));
    assert_eq!(said(&mut test, "x".repeat(129)).0, None, "that is no id (XEP-0421, section 3.1)");
}
