//! Messages that are encrypted in rooms, and private ones through them.

use super::*;

/// Returns a room's answer that it has these features.
fn described(features: &[&str]) -> Body {
    let features = features.iter().copied().map(str::to_owned).collect();
    Body::Disco(types::Disco { features, ..types::Disco::default() })
}

#[test]
fn everybody_who_may_read_in_a_room_gets_what_is_said_there() {
    let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, OmemoForm::Current));
    bot.test.in_room();
    bot.about(&["muc_open", "muc_nonanonymous"]);
    let mut sent = bot.say(ROOM, "secret", EncryptionWish::Required);
    assert!(matches!(got(&mut sent), Some(Err(CallError::Unsupported(_)))), "anybody may be in it");
    bot.about(&OF_MEMBERS);
    bot.test.presence(occupant_of(&juliet));
    let mut sent = bot.say(ROOM, "secret", EncryptionWish::Required);
    let ids: Vec<String> = bot
        .test
        .sent
        .iter()
        .filter_map(|stanza| match stanza {
            Outgoing::Ask { to: Some(to), id, ask: Ask::Affiliations { .. } } if *to == jid(ROOM) => Some(id.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(ids.len(), 3);
    for id in ids {
        let juliet = Affiliated { jid: bare(JULIET), affiliation: "member".to_owned(), nick: None, reason: None };
        bot.test.answer(Some(ROOM), id, Ok(Body::Affiliations(vec![juliet])));
    }
    bot.lists(JULIET, |form| juliet.listed(form));
    bot.bundles(&juliet);
    let answer = got(&mut sent);
    assert!(matches!(answer, Some(Ok(_))), "{answer:?}");
    let Some(Outgoing::Sealed(sealed)) = bot.test.sent.last() else { panic!("it was sent") };
    let sealed = sealed.clone();
    assert_eq!(sealed.kind, MessageKind::Groupchat);
    assert_eq!(juliet.reads_this(&sealed).as_deref(), Some("secret"));
}

/// Lets the room tell that somebody who is not in it has another affiliation, with this beside it.
fn tells(bot: &mut Bot, jid: &str, affiliation: &str, beside: &str) {
    bot.test.hear_xml(&format!(
        "<message xmlns='jabber:client' from='{ROOM}'><x xmlns='http://jabber.org/protocol/muc#user'>\
         <item affiliation='{affiliation}' role='none' jid='{jid}'/></x>{beside}</message>"
    ));
}

/// A room tells of people who are not in it when they may enter, or not any more (XEP-0045, section 9).
#[test]
fn whoever_may_enter_a_room_gets_what_is_said_there_and_whoever_may_not_any_more_does_not() {
    let mut bot = Bot::new(TrustPolicy::Blind);
    let [mut juliet, mut romeo] = [JULIET, ROMEO].map(|jid| Peer::new(jid, OmemoForm::Current));
    bot.in_room_of(&juliet);
    let mut sent = bot.say(ROOM, "one", EncryptionWish::Required);
    for affiliation in ["owner", "admin", "member"] {
        bot.answer_affiliations(affiliation);
    }
    bot.lists(JULIET, |form| juliet.listed(form));
    bot.bundles(&juliet);
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    tells(&mut bot, ROMEO, "member", "");
    let mut sent = bot.say(ROOM, "two", EncryptionWish::Required);
    bot.lists(ROMEO, |form| romeo.listed(form));
    bot.bundles(&romeo);
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    assert_eq!(romeo.reads(&bot).as_deref(), Some("two"));
    tells(&mut bot, ROMEO, "none", "");
    tells(&mut bot, JULIET, "admin", "");
    assert!(matches!(got(&mut bot.say(ROOM, "three", EncryptionWish::Required)), Some(Ok(_))));
    assert_eq!((romeo.reads(&bot), juliet.reads(&bot).as_deref()), (None, Some("three")));
    // The next change came while the stream was lost, and the server repeats it with a stamp.
    tells(&mut bot, ROMEO, "member", "");
    bot.test.run(Session::suspended);
    bot.test.wait(10);
    bot.test.run(Session::resumed);
    let stamp = bot.test.now - Duration::from_secs(5);
    let repeated = format!("<delay xmlns='urn:xmpp:delay' from='bot@example.org' stamp='{stamp}'/>");
    tells(&mut bot, ROMEO, "none", &repeated);
    assert!(matches!(got(&mut bot.say(ROOM, "still three", EncryptionWish::Required)), Some(Ok(_))));
    assert_eq!((romeo.reads(&bot), juliet.reads(&bot).as_deref()), (None, Some("still three")));
    // She is banned.
    let mut gone = occupant("juliet", PresenceKind::Unavailable, &[301]);
    gone.muc.as_mut().unwrap().affiliation = "outcast".to_owned();
    bot.test.presence(gone);
    let mut sent = bot.say(ROOM, "four", EncryptionWish::Required);
    assert!(matches!(got(&mut sent), Some(Err(CallError::Unsupported(_)))), "nobody may read it");
}

/// Says something that must be encrypted in a room of Juliet alone that has not described itself. Returns the request for its
/// description, and the promise.
fn said_too_early(bot: &mut Bot, juliet: &Peer) -> (String, Receiver<Result<String, CallError>>) {
    bot.test.in_room();
    bot.test.presence(occupant_of(juliet));
    bot.test.sent.clear();
    let sent = bot.say(ROOM, "secret", EncryptionWish::Required);
    let id = bot.test.asked_of(ROOM, |ask| matches!(ask, Ask::DiscoInfo { node: None }));
    for affiliation in ["owner", "admin", "member"] {
        bot.answer_affiliations(affiliation);
    }
    assert_eq!(bot.sealed(), 0);
    (id, sent)
}

#[test]
fn a_message_waits_until_the_room_has_described_itself() {
    let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, OmemoForm::Current));
    let (id, mut sent) = said_too_early(&mut bot, &juliet);
    bot.test.answer(Some(ROOM), id, Ok(described(&OF_MEMBERS)));
    bot.lists(JULIET, |form| juliet.listed(form));
    bot.bundles(&juliet);
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    let Some(Outgoing::Sealed(sealed)) = bot.test.sent.last() else { panic!("it was sent") };
    let sealed = sealed.clone();
    assert_eq!(juliet.reads_this(&sealed).as_deref(), Some("secret"));
}

#[test]
fn a_message_is_not_said_in_a_room_that_is_open_or_does_not_describe_itself() {
    let answers = [
        Ok(described(&["muc_open", "muc_nonanonymous"])),
        Ok(described(&["muc_membersonly", "muc_semianonymous"])),
        Ok(described(&[])),
        Ok(Body::Empty),
        Err(stanza_error("service-unavailable")),
    ];
    for answer in answers {
        let (mut bot, juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, OmemoForm::Current));
        let (id, mut sent) = said_too_early(&mut bot, &juliet);
        bot.test.answer(Some(ROOM), id, answer);
        assert!(matches!(got(&mut sent), Some(Err(CallError::Unsupported(_)))));
        assert_eq!(bot.sealed(), 0);
    }
    // The room says nothing at all.
    let (mut bot, juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, OmemoForm::Current));
    let (_, mut sent) = said_too_early(&mut bot, &juliet);
    bot.test.wait(60);
    assert!(matches!(got(&mut sent), Some(Err(CallError::Unsupported(_)))));
    assert_eq!(bot.sealed(), 0);
}

#[test]
fn what_is_required_in_a_room_has_to_be_read_by_each_occupant() {
    let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, OmemoForm::Older));
    bot.in_room_of(&juliet);
    bot.hear(&mut juliet, "we are alone");
    let xml = juliet.writes(&bot, "are we?", &format!("from='{ROOM}/juliet'"));
    bot.test.hear_xml(&xml);
    bot.test.presence(occupant_of(&Peer::new(ROMEO, OmemoForm::Older)));
    let before = bot.sealed();
    let mut required = bot.say(ROOM, "secret", EncryptionWish::Required);
    for affiliation in ["owner", "admin", "member"] {
        bot.answer_affiliations(affiliation);
    }
    bot.lists(JULIET, |form| juliet.listed(form));
    bot.lists(ROMEO, |_| Vec::new());
    let Some(Err(CallError::Unsupported(why))) = got(&mut required) else { panic!("somebody cannot read it") };
    assert!(why.contains(ROMEO) && !why.contains(JULIET), "{why}");
    assert_eq!(bot.sealed(), before);
    // Other messages are encrypted for those who can read them.
    let mut sent = bot.say(ROOM, "hello", EncryptionWish::AsTheChat);
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    assert_eq!(juliet.reads(&bot).as_deref(), Some("hello"));
}

/// A room names any people as its members, and their servers any devices.
#[test]
fn no_keys_are_fetched_for_more_devices_than_a_message_can_have_keys_for() {
    let (mut bot, juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, OmemoForm::Older));
    bot.in_room_of(&juliet);
    let mut at = bot.test.sent.len();
    let mut sent = bot.say(ROOM, "secret", EncryptionWish::Required);
    let members = (0..42).map(|number| Affiliated {
        jid: bare(&format!("p{number}@evil.example")),
        affiliation: "member".to_owned(),
        nick: None,
        reason: None,
    });
    let is_meant = |ask: &Ask| matches!(ask, Ask::Affiliations { affiliation } if *affiliation == "member");
    let id = bot.test.asked_of(ROOM, is_meant);
    bot.test.answer(Some(ROOM), id, Ok(Body::Affiliations(members.collect())));
    for affiliation in ["owner", "admin"] {
        bot.answer_affiliations(affiliation);
    }
    let mut lists = 0;
    while at < bot.test.sent.len() {
        let asked = match &bot.test.sent[at] {
            Outgoing::Ask { to: Some(to), id, ask } => {
                let form = OmemoForm::ALL.into_iter().find(|form| wants(ask, form.list_node()));
                form.map(|form| (to.to_string(), id.clone(), form))
            }
            _ => None,
        };
        at += 1;
        let Some((who, id, form)) = asked else { continue };
        let devices = if form == OmemoForm::Older { 1..=50 } else { 51..=100 };
        let devices: Vec<_> = devices.map(|device| ListedDevice { device, label: None }).collect();
        bot.test.answer(Some(&who), id, Ok(page(list_payload(form, &devices).to_xml())));
        lists += 1;
    }
    assert_eq!(lists, 2 * 43, "each person has two");
    let Some(Err(CallError::OverLimit(what))) = got(&mut sent) else { panic!("it is refused") };
    assert!(what.contains("they list 4300"), "{what}");
    let is_of_keys = |ask: &Ask| match ask {
        Ask::Pubsub(ask) => match &**ask {
            PubsubAsk::Items { node, .. } | PubsubAsk::Item { node, .. } => {
                OmemoForm::ALL.into_iter().any(|form| node.starts_with(&bundle_nodes(form)))
            }
            _ => false,
        },
        _ => false,
    };
    assert_eq!((bot.test.count_asked(is_of_keys), bot.sealed()), (0, 0));
}

/// Each time that the keys of a new device are missing, there is another one.
#[test]
fn whoever_lists_new_devices_without_end_holds_up_a_message_for_so_long_at_most() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
    let mut sent = bot.say(ROMEO, "secret", EncryptionWish::Required);
    let mut next = bot.say(ROMEO, "the next", EncryptionWish::Required);
    bot.lists(ROMEO, |form| romeo.listed(form));
    let mut rounds = 0;
    let answer = loop {
        let listed = [romeo.id(), rounds + 1].map(|device| ListedDevice { device, label: None });
        let list = list_payload(OmemoForm::Older, &listed).to_xml();
        bot.pushes(ROMEO, OmemoForm::Older, &format!("<item id='current'>{list}</item>"));
        bot.test.wait(15);
        if let Some(answer) = got(&mut sent) {
            break answer;
        }
        if rounds == 0 {
            bot.bundles(&romeo);
        } else {
            let id = bot.test.asked_of(ROMEO, |ask| wants(ask, &OmemoForm::Older.bundle_node(rounds)));
            bot.test.answer(Some(ROMEO), id, Err(stanza_error("item-not-found")));
        }
        rounds += 1;
        assert!(rounds < 10, "it waits without end");
    };
    assert!(answer.is_ok(), "{answer:?}");
    assert!(rounds > 3, "it did not wait for the keys of a new device");
    // The one behind it has waited for as long, and does not begin anew.
    assert!(matches!(got(&mut next), Some(Ok(_))));
    assert_eq!((bot.sealed(), romeo.reads(&bot).as_deref()), (2, Some("the next")));
}

#[test]
fn in_a_room_a_key_counts_once_the_authors_own_server_has_told_of_it() {
    for form in OmemoForm::ALL {
        let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, form));
        bot.in_room_of(&juliet);
        for text in ["one", "two"] {
            let xml = juliet.writes(&bot, text, &format!("from='{ROOM}/juliet'"));
            bot.test.hear_xml(&xml);
        }
        assert_eq!((bot.test.count("message"), bot.test.count("undecryptable")), (0, 0), "they wait");
        assert!(bot.known(JULIET).is_empty());
        bot.bundles(&juliet);
        assert_eq!(bot.bodies(), ["one", "two"]);
        assert_eq!(bot.known(JULIET), [juliet.fingerprint()]);
        let xml = juliet.writes(&bot, "three", &format!("from='{ROOM}/juliet'"));
        bot.test.hear_xml(&xml);
        assert_eq!(bot.bodies(), ["one", "two", "three"]);
    }
}

#[test]
fn a_private_message_through_a_room_is_of_the_person_behind_the_nickname() {
    for form in OmemoForm::ALL {
        let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, form));
        bot.in_room_of(&juliet);
        let (from, through) = (juliet.sender(), format!("from='{ROOM}/juliet'"));
        for text in ["one", "two"] {
            let xml = juliet.writes(&bot, text, &from).replacen(&from, &through, 1);
            bot.test.hear_xml(&xml);
        }
        assert_eq!((bot.test.count("message"), bot.test.count("undecryptable")), (0, 0), "they wait");
        assert!(bot.known(JULIET).is_empty());
        bot.bundles(&juliet);
        assert_eq!(bot.bodies(), ["one", "two"]);
        assert_eq!(bot.heard().chat, jid(&format!("{ROOM}/juliet")));
        assert_eq!((bot.known(JULIET), bot.known(ROOM)), (vec![juliet.fingerprint()], Vec::new()));
        // The same session serves their other messages.
        bot.hear(&mut juliet, "three");
        let xml = juliet.writes(&bot, "four", &from).replacen(&from, &through, 1);
        bot.test.hear_xml(&xml);
        assert_eq!(bot.bodies(), ["one", "two", "three", "four"]);
        assert_eq!(bot.test.count("undecryptable"), 0);
    }
}

/// Lets Juliet leave the room. Romeo has her nickname then, if it `is_taken`.
fn juliet_leaves(bot: &mut Bot, is_taken: bool) {
    bot.test.presence(occupant("juliet", PresenceKind::Unavailable, &[]));
    if is_taken {
        let mut other = occupant("juliet", PresenceKind::Available, &[]);
        other.muc.as_mut().unwrap().jid = Some(jid(&format!("{ROMEO}/phone")));
        bot.test.presence(other);
    }
}

/// Otherwise the room could read it, and so could whoever has the nickname now.
#[test]
fn an_encrypted_private_message_is_not_answered_plainly_after_its_author_has_left() {
    for (form, is_taken) in OmemoForm::ALL.into_iter().flat_map(|form| [(form, false), (form, true)]) {
        let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, form));
        bot.in_room_of(&juliet);
        bot.hear(&mut juliet, "it is me");
        let (from, through) = (juliet.sender(), format!("from='{ROOM}/juliet'"));
        let xml = juliet.writes(&bot, "what is it?", &from).replacen(&from, &through, 1);
        bot.test.hear_xml(&xml);
        assert_eq!(bot.bodies(), ["it is me", "what is it?"]);
        juliet_leaves(&mut bot, is_taken);
        let mut sent = bot.say(&format!("{ROOM}/juliet"), "secret", EncryptionWish::AsTheChat);
        if is_taken {
            bot.lists(ROMEO, |_| Vec::new());
        }
        let result = got(&mut sent);
        assert!(matches!(result, Some(Err(CallError::Unsupported(_)))), "{form:?} {is_taken} {result:?}");
        assert!(!bot.test.sent.iter().any(|stanza| matches!(stanza, Outgoing::Message { .. })), "{form:?} {is_taken}");
        // What says nothing is not kept from whoever writes plainly under that nickname now.
        let extensions = Some(Box::new(Extensions { receipt: Some("m1".to_owned()), ..Extensions::default() }));
        let receipt = Draft { extensions, ..Draft::default() };
        let to = jid(&format!("{ROOM}/juliet"));
        let mut sent = bot.test.ask(SendMessage { to, kind: MessageKind::Chat, draft: receipt });
        assert!(matches!(got(&mut sent), Some(Ok(_))), "{form:?} {is_taken}");
    }
}

#[test]
fn a_private_message_that_waits_for_keys_is_for_nobody_else_who_has_the_nickname_then() {
    for is_taken in [false, true] {
        let (mut bot, juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, OmemoForm::Older));
        bot.in_room_of(&juliet);
        let mut sent = bot.say(&format!("{ROOM}/juliet"), "secret", EncryptionWish::Required);
        assert_eq!(got(&mut sent), None, "it waits for the lists");
        let asked = |bot: &Bot| bot.test.count_asked(|ask| wants(ask, OmemoForm::Older.list_node()));
        let before = asked(&bot);
        juliet_leaves(&mut bot, is_taken);
        bot.lists(JULIET, |form| juliet.listed(form));
        let result = got(&mut sent);
        assert!(matches!(result, Some(Err(CallError::NotFound(_)))), "{is_taken} {result:?}");
        assert_eq!(asked(&bot), before, "nobody else is asked");
    }
}

#[test]
fn a_room_that_lies_about_an_occupant_brings_in_no_key_and_ends_no_session() {
    let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, OmemoForm::Current));
    bot.hear(&mut juliet, "it is me");
    bot.test.wait(11);
    bot.in_room_of(&juliet);
    let mut mallory = Peer::new(JULIET, OmemoForm::Current);
    let (theirs, id) = (mallory.id(), juliet.id());
    let xml = mallory.writes(&bot, "it is me, too", &format!("from='{ROOM}/juliet'"));
    let same = xml.replace(&format!("sid=\"{theirs}\""), &format!("sid=\"{id}\""));
    let same = same.replace(&format!("sid='{theirs}'"), &format!("sid='{id}'"));
    bot.test.hear_xml(&same);
    assert_eq!((bot.test.count("message"), bot.test.count("undecryptable")), (0, 0));
    bot.bundles(&juliet);
    assert_eq!((bot.test.count("message"), bot.reason()), (0, UndecryptableReason::Distrusted));
    assert_eq!(bot.known(JULIET), [juliet.fingerprint()]);
    // It is not requested endlessly.
    let node = OmemoForm::Current.bundle_node(id);
    let before = bot.test.count_asked(|ask| wants(ask, &node));
    bot.test.hear_xml(&renamed(&same));
    assert_eq!(bot.test.count("undecryptable"), 2);
    assert_eq!(bot.test.count_asked(|ask| wants(ask, &node)), before);
    bot.hear(&mut juliet, "it is still me");
    assert_eq!(bot.heard().body.as_deref(), Some("it is still me"));
    // A device that does not exist is none, whether anybody answers or not.
    bot.test.forget();
    let xml = mallory.writes(&bot, "and who is this?", &format!("from='{ROOM}/juliet'"));
    bot.test.hear_xml(&xml);
    assert_eq!(bot.test.count("undecryptable"), 0);
    bot.test.wait(21);
    assert_eq!((bot.test.count("message"), bot.reason()), (0, UndecryptableReason::Distrusted));
    assert_eq!(bot.known(JULIET), [juliet.fingerprint()]);
}

#[test]
fn what_waits_for_a_key_is_told_when_the_stream_ends() {
    let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, OmemoForm::Older));
    bot.in_room_of(&juliet);
    for number in 0..200 {
        let xml = juliet.writes(&bot, &number.to_string(), &format!("from='{ROOM}/juliet'"));
        bot.test.hear_xml(&xml);
    }
    let refused = bot.test.count("undecryptable");
    assert!((1..200).contains(&refused), "so many wait: {refused}");
    bot.test.run(Session::closed);
    assert_eq!((bot.test.count("message"), bot.test.count("undecryptable")), (0, 200));
}

/// A room that lies could hold a message back, and repeat it as history in the name of somebody else.
#[test]
fn a_rooms_history_is_read_as_that_of_the_person_who_has_the_nickname() {
    for form in OmemoForm::ALL {
        let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, form));
        bot.hear(&mut juliet, "it is me");
        bot.test.forget();
        let [stolen, left] = ["romeo", "jule"].map(|nick| {
            let xml = juliet.writes(&bot, nick, &format!("from='{ROOM}/{nick}'"));
            let stamp = format!("<delay xmlns='urn:xmpp:delay' from='{ROOM}' stamp='2026-11-20T05:24:00Z'/></message>");
            xml.replace("</message>", &stamp)
        });
        let _opened = bot.test.open_room(None);
        bot.test.presence(occupant_of(&juliet));
        bot.test.presence(occupant_of(&Peer::new(ROMEO, form)));
        bot.test.presence(occupant("bot", PresenceKind::Available, &[110]));
        bot.test.hear_xml(&stolen);
        assert_eq!((bot.test.count("message"), bot.reason()), (0, UndecryptableReason::NoSession));
        // Nobody has this nickname now: she wrote under it, and came back under another one.
        bot.test.hear_xml(&left);
        assert_eq!(bot.bodies(), ["jule"]);
    }
}

/// At the entry, the members of a room are not known, and the author of what it repeats may be away.
#[test]
fn a_rooms_history_of_somebody_who_is_away_is_read_by_the_session_with_them() {
    for form in OmemoForm::ALL {
        let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, form));
        bot.hear(&mut juliet, "it is me");
        bot.test.forget();
        let from = format!("from='{ROOM}/jule'");
        let [past, present] = ["one", "two"].map(|text| juliet.writes(&bot, text, &from));
        let stamp = format!("<delay xmlns='urn:xmpp:delay' from='{ROOM}' stamp='2026-11-20T05:24:00Z'/></message>");
        let _opened = bot.test.open_room(None);
        bot.test.presence(occupant("bot", PresenceKind::Available, &[110]));
        bot.test.hear_xml(&past.replace("</message>", &stamp));
        assert_eq!(bot.bodies(), ["one"], "{form:?}");
        // Nobody who is away says something now.
        bot.test.subject("");
        bot.test.hear_xml(&present);
        assert_eq!((bot.bodies().len(), bot.reason()), (1, UndecryptableReason::NoSession), "{form:?}");
    }
}

/// A room repeats its history at each entry.
#[test]
fn a_rooms_history_from_before_a_session_is_told_as_old_and_replaces_no_session() {
    for form in OmemoForm::ALL {
        let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, form));
        bot.hear(&mut juliet, "hello");
        let mut sent = bot.say(JULIET, "hello", EncryptionWish::AsTheChat);
        bot.lists(JULIET, |form| juliet.listed(form));
        assert!(matches!(got(&mut sent), Some(Ok(_))));
        assert_eq!(juliet.reads(&bot).as_deref(), Some("hello"));
        // The account forgets the session of these messages, and another one begins.
        let from = format!("from='{ROOM}/juliet'");
        let [past, present] = ["one", "two"].map(|text| juliet.writes(&bot, text, &from));
        let mut ended = bot.test.ask(ResetSessions { jid: bare(JULIET), device: None });
        assert_eq!(got(&mut ended), Some(Ok(1)));
        juliet.session = None;
        bot.hear(&mut juliet, "anew");
        assert_eq!(bot.heard().body.as_deref(), Some("anew"));
        let _opened = bot.test.open_room(None);
        bot.test.presence(occupant_of(&juliet));
        bot.test.presence(occupant("bot", PresenceKind::Available, &[110]));
        let node = form.bundle_node(juliet.id());
        let before = bot.test.count_asked(|ask| wants(ask, &node));
        let stamp = format!("<delay xmlns='urn:xmpp:delay' from='{ROOM}' stamp='2026-11-20T05:24:00Z'/></message>");
        bot.test.hear_xml(&past.replace("</message>", &stamp));
        assert_eq!(bot.reason(), UndecryptableReason::NoSession);
        assert_eq!(bot.test.count_asked(|ask| wants(ask, &node)), before, "no new session begins");
        bot.test.subject("");
        // Now she writes by it: her client has lost the other one.
        bot.test.hear_xml(&present);
        assert_eq!(bot.reason(), UndecryptableReason::Broken);
        assert_eq!(bot.test.count_asked(|ask| wants(ask, &node)), before + 1);
    }
}

/// Prosody stamps what it holds back from an inactive account (XEP-0352), and a room stamps its history, which is not new.
#[test]
fn a_rooms_history_is_old_although_the_account_is_inactive_at_times() {
    let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, OmemoForm::Current));
    bot.test.session.common.settings = settings(&[("csi_waiting_time", 30.into())]);
    bot.told_of_by(JULIET, juliet.id());
    bot.test.wait(60);
    let _opened = bot.test.open_room(None);
    bot.test.presence(occupant_of(&juliet));
    bot.test.presence(occupant("bot", PresenceKind::Available, &[110]));
    let (said_at, rid) = (bot.test.now - Duration::from_secs(30), bot.id.to_string());
    let stamp = format!("<delay xmlns='urn:xmpp:delay' from='{ROOM}' stamp='{said_at}'/></message>");
    let left_out = with(&juliet.writes(&bot, "one", &format!("from='{ROOM}/juliet'")), "rid", &rid, "77");
    bot.test.hear_xml(&left_out.replace("</message>", &stamp));
    let Payload::Undecryptable(told) = bot.test.last("undecryptable") else { panic!("it is told") };
    assert_eq!((told.reason, told.delayed), (UndecryptableReason::NoKeyForUs, true));
    let node = OmemoForm::Current.bundle_node(juliet.id());
    assert_eq!(bot.test.count_asked(|ask| wants(ask, &node)), 0, "she need not know the device when she wrote it");
}

/// Some services forward stamps that an occupant wrote in the room's name, with which someone could hide from plugins that moderate.
#[test]
fn a_message_that_cannot_be_decrypted_is_new_whatever_stamp_an_occupant_writes() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    // Its history is over.
    test.wait(60);
    test.hear_xml(&format!(
        "<message xmlns='jabber:client' from='{ROOM}/juliet' type='groupchat' id='1'><body>x</body><x \
         xmlns='jabber:x:encrypted'>x</x><delay xmlns='urn:xmpp:delay' from='{ROOM}' stamp='2020-01-01T00:00:00Z'/></message>"
    ));
    let Payload::Undecryptable(told) = test.last("undecryptable") else { panic!("it is told") };
    assert!(!told.delayed);
}
