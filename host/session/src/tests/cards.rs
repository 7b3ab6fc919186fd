//! vCards: fetched, cached, changed, and announced by presence.

use parlor_stanza::card::{Avatar, Card, CardChange, Picture, PictureChange};

use super::*;
use crate::cards::{MAX_CARDS, MAX_CHANGES, MAX_OWN_CHANGES};

const ONE: InstanceId = InstanceId(1);
const TWO: InstanceId = InstanceId(2);

fn picture(base64: &str) -> Picture {
    Picture::read(base64).unwrap()
}

fn card(name: &str, image: Option<&str>) -> Card {
    Card { full_name: Some(name.to_owned()), picture: image.map(picture), ..Card::default() }
}

fn body(card: Card) -> Body {
    let xml = raw("<iq xmlns='jabber:client' type='get' id='x'><vCard xmlns='vcard-temp'><TEL>1</TEL></vCard></iq>");
    Body::Card { card: Box::new(card), whole: xml.whole_card() }
}

fn get(test: &mut TestSession, who: &str, force: bool) -> Receiver<Result<Arc<KnownCard>, CallError>> {
    test.ask(GetCard { jid: jid(who), force })
}

fn update(test: &mut TestSession, who: &str, force: bool) -> Receiver<Result<(), CallError>> {
    test.ask(UpdateCard { jid: jid(who), force })
}

fn set(test: &mut TestSession, change: CardChange) -> Receiver<Result<(), CallError>> {
    set_as(test, ONE, change)
}

fn set_as(test: &mut TestSession, by: InstanceId, change: CardChange) -> Receiver<Result<(), CallError>> {
    test.ask(SetCard { by, change })
}

fn named(name: &str) -> CardChange {
    CardChange { full_name: Some(name.to_owned()), ..CardChange::default() }
}

/// Returns the recipient and the id of the last request of this kind.
fn asked(test: &TestSession, is: fn(&Ask) -> bool) -> (Option<String>, String) {
    let request = test.sent.iter().rev().find_map(|stanza| match stanza {
        Outgoing::Ask { to, id, ask } if is(ask) => Some((to.as_ref().map(ToString::to_string), id.clone())),
        _ => None,
    });
    request.expect("it was asked")
}

fn is_get(ask: &Ask) -> bool {
    matches!(ask, Ask::Card)
}

fn is_set(ask: &Ask) -> bool {
    matches!(ask, Ask::SetCard { .. })
}

fn gets(test: &TestSession) -> usize {
    test.sent.iter().filter(|stanza| matches!(stanza, Outgoing::Ask { ask: Ask::Card, .. })).count()
}

fn come(test: &mut TestSession, card: Card) {
    let (to, id) = asked(test, is_get);
    test.answer(to.as_deref(), id, Ok(body(card)));
}

fn romeo(test: &TestSession) -> Arc<Contact> {
    Arc::clone(&test.session.snapshot().contacts.unwrap()[&bare(ROMEO)])
}

/// Rows 65, 69, 70.
/// Events `vcardUpdated`.
#[test]
fn a_card_is_fetched_once_and_shown_by_its_contact() {
    let mut test = TestSession::connected(Settings::default());
    let mut first = get(&mut test, "romeo@example.org/orchard", false);
    assert_eq!(asked(&test, is_get).0.as_deref(), Some(ROMEO), "a person's card is the account's");
    test.forget();
    come(&mut test, card("Romeo", Some("YWJj")));
    assert_eq!(got(&mut first).unwrap().unwrap().card.full_name.as_deref(), Some("Romeo"));
    assert_eq!(test.lines(), ["vcardUpdated"]);
    assert!(romeo(&test).card.as_ref().unwrap().card.picture.is_some());
    assert!(got(&mut get(&mut test, ROMEO, false)).unwrap().is_ok());
    assert_eq!(gets(&test), 1, "it is known");
    let mut again = get(&mut test, ROMEO, true);
    assert_eq!(gets(&test), 2);
    come(&mut test, card("R.", None));
    assert_eq!(got(&mut again).unwrap().unwrap().card.full_name.as_deref(), Some("R."));
    test.push(item(ROMEO, "to"));
    assert!(romeo(&test).card.is_some(), "a push says nothing of cards");
    test.run(Session::logged_out);
    test.bind();
    test.roster(vec![item(ROMEO, "both")]);
    assert!(romeo(&test).card.is_none());
    let _waiting = get(&mut test, ROMEO, false);
    assert_eq!(gets(&test), 3, "a log-out forgets it");
}

/// Row 72. Events `vcardUpdated`, `chatBoxChanged`, `occupantChanged`.
#[test]
fn a_card_is_shown_by_the_chat_and_by_the_occupant_that_it_was_fetched_for() {
    let mut test = TestSession::connected(settings(&[("allow_non_roster_messaging", true.into())]));
    let chat = |test: &TestSession, who: &str| test.session.snapshot().chats[&bare(who)].card.clone();
    let open = |test: &mut TestSession, who: &str| {
        let _opened = test.ask(OpenChat { by: ONE, jid: bare(who) });
        test.forget();
    };
    for who in [ROMEO, "stranger@example.org"] {
        open(&mut test, who);
        assert!(chat(&test, who).is_none());
        let mut updated = update(&mut test, who, false);
        test.forget();
        come(&mut test, card("X", Some("YWJj")));
        assert!(got(&mut updated).unwrap().is_ok());
        assert_eq!(test.lines(), ["vcardUpdated", "chatBoxChanged"], "{who}");
        let Payload::Chat(told) = test.last("chatBoxChanged") else { panic!("a chat") };
        assert!(told.card.as_ref().unwrap().card.picture.is_some() && chat(&test, who).is_some());
    }
    // A chat that opens later shows the cached vCard.
    let _card = get(&mut test, "juliet@example.org", false);
    come(&mut test, card("Juliet", None));
    open(&mut test, "juliet@example.org");
    assert!(chat(&test, "juliet@example.org").is_some());

    test.in_room();
    let address = format!("{ROOM}/juliet");
    let occupied = |test: &TestSession| test.session.snapshot().rooms[&bare(ROOM)].occupants["juliet"].card.is_some();
    let mut updated = update(&mut test, &address, false);
    test.forget();
    come(&mut test, card("Juliet", Some("YWJj")));
    assert!(got(&mut updated).unwrap().is_ok());
    assert_eq!(test.lines(), ["vcardUpdated", "occupantChanged"]);
    assert!(occupied(&test));
    let Payload::Occupant(told) = test.last("occupantChanged") else { panic!("an occupant") };
    assert!(told.card.is_some());
    test.presence(Presence { show: Some(types::Show::Away), ..occupant("juliet", PresenceKind::Available, &[]) });
    assert!(occupied(&test), "presence says nothing of it");
    let renamed = MucUser { nick: Some("julia".to_owned()), status: vec![303], ..MucUser::default() };
    let gone = presence(&address, PresenceKind::Unavailable);
    test.presence(Presence { muc: Some(Box::new(renamed)), ..gone });
    assert!(
        test.session.snapshot().rooms[&bare(ROOM)].occupants["julia"].card.is_none(),
        "the address is another one's"
    );

    test.run(|session, now, effects| session.lost("gone", now, effects));
    assert!(chat(&test, ROMEO).is_none(), "a session that has ended vouches for no card");
}

/// Row 72: the number of vCards is limited, and nothing shows one that had to make room.
#[test]
fn a_card_that_made_room_is_shown_by_no_chat() {
    let mut test = TestSession::connected(Settings::default());
    let _opened = test.ask(OpenChat { by: ONE, jid: bare(ROMEO) });
    let _first = get(&mut test, ROMEO, false);
    come(&mut test, card("Romeo", None));
    let shows = |test: &TestSession| test.session.snapshot().chats[&bare(ROMEO)].card.is_some();
    assert!(shows(&test));
    for number in 0..MAX_CARDS {
        let _other = get(&mut test, &format!("a{number}@example.org"), false);
        come(&mut test, card("X", None));
    }
    assert!(!shows(&test) && romeo(&test).card.is_none());
}

/// Rows 65.
#[test]
fn a_card_that_was_fetched_before_is_shown_by_whoever_becomes_a_contact() {
    let (tybalt, paris) = ("tybalt@example.org", "paris@example.org");
    let shows = |test: &TestSession, who: &str| test.session.snapshot().contacts.unwrap()[&bare(who)].card.is_some();
    let mut test = TestSession::connected(Settings::default());
    for who in [tybalt, paris] {
        let _card = get(&mut test, who, false);
        come(&mut test, card("X", None));
    }
    test.push(item(tybalt, "none"));
    assert!(shows(&test, tybalt));
    test.presence(presence(paris, PresenceKind::Subscribe));
    let Payload::Contact(asking) = test.last("contactRequest").clone() else { panic!("a contact") };
    assert!(asking.card.is_some() && shows(&test, paris));

    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    test.bind();
    let _card = get(&mut test, ROMEO, false);
    come(&mut test, card("Romeo", None));
    test.roster(vec![item(ROMEO, "both")]);
    assert!(shows(&test, ROMEO), "the roster came later");
}

/// Rows 72.
/// Events `vcardUpdated`.
#[test]
fn an_update_tells_of_whom_it_is_also_where_that_is_no_contact() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    for (who, shown, occupant) in [
        (ROMEO, ROMEO, None),
        ("tybalt@example.org/x", "tybalt@example.org", None),
        ("room@muc.example.org/juliet", ROOM, Some("juliet")),
    ] {
        let mut updated = update(&mut test, who, false);
        come(&mut test, card("X", None));
        assert_eq!(got(&mut updated), Some(Ok(())));
        let Payload::Contact(contact) = test.last("vcardUpdated").clone() else { panic!("a contact") };
        assert_eq!((contact.jid.as_str(), contact.occupant.as_deref()), (shown, occupant));
        assert!(contact.card.is_some() && !contact.requesting);
        test.forget();
        assert_eq!(got(&mut update(&mut test, who, false)), Some(Ok(())));
        assert_eq!(test.lines(), ["vcardUpdated"], "what is known is told, too");
    }
    assert_eq!(asked(&test, is_get).0.as_deref(), Some("room@muc.example.org/juliet"));
    assert_eq!(test.session.snapshot().contacts.unwrap().len(), 2);
}

/// Rows 69-72.
#[test]
fn no_card_is_said_to_who_asked() {
    type Outcome = fn() -> Result<Body, Box<StanzaError>>;
    let mut test = TestSession::connected(Settings::default());
    let outcomes: [(Outcome, &str); 3] = [
        (|| Err(stanza_error("item-not-found")), "item-not-found"),
        (|| Ok(Body::OversizedCard), "over limit: a card's picture may have 196608 bytes of base64"),
        (|| Ok(Body::Other), "the answer was no visiting card"),
    ];
    for (outcome, expected) in outcomes {
        for use_update in [false, true] {
            let (mut one, mut other) = (None, None);
            if use_update {
                other = Some(update(&mut test, ROMEO, false));
            } else {
                one = Some(get(&mut test, ROMEO, false));
            }
            let id = asked(&test, is_get).1;
            test.answer(Some("mallory@example.org"), id.clone(), Ok(body(card("Mallory", None))));
            test.answer(Some(ROMEO), id, outcome());
            let error = one.and_then(|mut one| got(&mut one)).map(|result| result.map(drop));
            let error = error.or_else(|| other.and_then(|mut other| got(&mut other)));
            assert_eq!(error.unwrap().unwrap_err().to_string(), expected);
        }
    }
    let mut empty = get(&mut test, ROMEO, false);
    let id = asked(&test, is_get).1;
    test.answer(Some(ROMEO), id, Ok(Body::Empty));
    assert_eq!(got(&mut empty).unwrap().unwrap().card, Card::default());
    let mut late = get(&mut test, "juliet@example.org", false);
    test.wait(30);
    assert_eq!(got(&mut late).unwrap().unwrap_err(), CallError::TimedOut);
    let mut cut = get(&mut test, "juliet@example.org", false);
    test.run(Session::closed);
    assert_eq!(got(&mut cut).unwrap().unwrap_err(), CallError::Offline);
    assert_eq!(got(&mut get(&mut test, "juliet@example.org", false)).unwrap().unwrap_err(), CallError::Offline);
    assert!(got(&mut get(&mut test, ROMEO, false)).unwrap().is_ok(), "what is known needs no connection");
}

/// Rows 71.
#[test]
fn the_own_card_is_changed_in_what_is_named_one_change_after_the_other() {
    let mut test = TestSession::connected(Settings::default());
    let image = CardChange { picture: Some(PictureChange::Set(picture("YWJj"))), ..CardChange::default() };
    let (mut first, mut second) = (set(&mut test, named("Bot")), set(&mut test, image));
    assert_eq!((gets(&test), asked(&test, is_get).0), (1, None), "the second begins with what the first left");
    come(&mut test, card("Old", None));
    let Some(Outgoing::Ask { to: None, ask: Ask::SetCard { whole: Some(_), change }, .. }) = test.sent.last() else {
        panic!("a change of what is there")
    };
    assert_eq!(**change, named("Bot"));
    assert!(got(&mut first).is_none());
    test.forget();
    let id = asked(&test, is_set).1;
    test.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut first), Some(Ok(())));
    assert_eq!(test.lines(), ["vcardUpdated", "> available priority 0", "> ask Card"]);
    come(&mut test, card("Bot", None));
    test.forget();
    let id = asked(&test, is_set).1;
    test.answer(Some("bot@example.org"), id, Ok(Body::Empty));
    assert_eq!(got(&mut second), Some(Ok(())));
    let announced = test.sent.iter().rev().find_map(|stanza| match stanza {
        Outgoing::Presence(presence) => presence.avatar.clone(),
        _ => None,
    });
    assert_eq!(announced, Some(Avatar::Hash("a9993e364706816aba3e25717850c26c9cd0d89d".to_owned())));
    let known = got(&mut get(&mut test, "bot@example.org", false)).unwrap().unwrap();
    assert_eq!((known.card.full_name.as_deref(), known.card.picture.is_some()), (Some("Bot"), true));
    assert_eq!(test.session.features.cards.sizes(), (1, 0));
}

/// Rows 71.
#[test]
fn a_change_that_fails_holds_up_no_other() {
    let mut test = TestSession::connected(Settings::default());
    let typed = CardChange { picture_type: Some("image/png".to_owned()), ..CardChange::default() };
    let (mut first, mut second, third) =
        (set(&mut test, named("A")), set(&mut test, typed), set(&mut test, named("gone")));
    drop(third);
    let mut fourth = set(&mut test, named("D"));
    let id = asked(&test, is_get).1;
    test.answer(None, id, Err(stanza_error("forbidden")));
    assert!(matches!(got(&mut first), Some(Err(CallError::Stanza(_)))));
    come(&mut test, card("Old", None));
    assert!(
        matches!(got(&mut second), Some(Err(CallError::Invalid { argument, .. })) if argument == "data.image-type")
    );
    let id = asked(&test, is_get).1;
    test.answer(None, id, Err(stanza_error("item-not-found")));
    assert!(matches!(test.sent.last(), Some(Outgoing::Ask { ask: Ask::SetCard { whole: None, .. }, .. })));
    let id = asked(&test, is_set).1;
    test.answer(None, id, Err(stanza_error("not-acceptable")));
    assert!(matches!(got(&mut fourth), Some(Err(CallError::Stanza(_)))));
    assert!(got(&mut get(&mut test, "bot@example.org", false)).is_none(), "what was refused is not known");

    // The errors of a server that has no vCard of ours yet, and of one that has none at all.
    let mut fifth = set(&mut test, named("E"));
    let id = asked(&test, is_get).1;
    test.answer(None, id, Err(stanza_error("service-unavailable")));
    let id = asked(&test, is_set).1;
    test.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut fifth), Some(Ok(())));

    // If the server cannot return the vCard now, the rest of it must not be lost.
    let mut sixth = set(&mut test, named("E"));
    let id = asked(&test, is_get).1;
    let kind = "wait".to_owned();
    test.answer(None, id, Err(Box::new(StanzaError { kind, ..*stanza_error("service-unavailable") })));
    assert!(matches!(got(&mut sixth), Some(Err(CallError::Stanza(_)))));

    let (mut late, mut next) = (set(&mut test, named("E")), set(&mut test, named("F")));
    test.wait(30);
    assert_eq!(got(&mut late), Some(Err(CallError::TimedOut)));
    test.bind();
    assert_eq!(got(&mut next), Some(Err(CallError::Offline)));
    // As many plugins as necessary, each with its maximum.
    let plugins = (10..).flat_map(|number| std::iter::repeat_n(InstanceId(number), MAX_OWN_CHANGES));
    let many: Vec<_> = plugins.take(MAX_CHANGES + 6).map(|by| set_as(&mut test, by, named("G"))).collect();
    assert_eq!(test.session.features.cards.sizes().1, MAX_CHANGES);
    drop(many);
    let mut last = set(&mut test, named("H"));
    come(&mut test, card("Old", None));
    let id = asked(&test, is_set).1;
    test.answer(None, id, Ok(Body::Empty));
    come(&mut test, card("G", None));
    let id = asked(&test, is_set).1;
    test.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut last), Some(Ok(())));
}

#[test]
fn so_many_changes_of_a_plugin_wait_and_take_no_place_of_another_one() {
    let mut test = TestSession::connected(Settings::default());
    // Another change is in progress.
    let waiting: Vec<_> = (0..=MAX_OWN_CHANGES).map(|_| set_as(&mut test, ONE, named("A"))).collect();
    assert!(matches!(got(&mut set_as(&mut test, ONE, named("B"))), Some(Err(CallError::OverLimit(_)))));
    assert!(got(&mut set_as(&mut test, TWO, named("C"))).is_none(), "a neighbour waits all the same");
    drop(waiting);
    assert!(got(&mut set_as(&mut test, ONE, named("D"))).is_none(), "those that were given up make room");
}

fn seen(avatar: Avatar) -> Presence {
    Presence { avatar: Some(avatar), ..presence("romeo@example.org/orchard", PresenceKind::Available) }
}

/// XEP-0153: only vCards that were requested are fetched again, and senders of presence do not set the pace.
#[test]
fn a_picture_that_changes_is_fetched_again_where_somebody_wanted_it() {
    let other = || Avatar::Hash("b".repeat(40));
    let mut test = TestSession::connected(Settings::default());
    test.presence(seen(other()));
    assert_eq!(gets(&test), 0);
    let _first = get(&mut test, ROMEO, false);
    come(&mut test, card("Romeo", Some("YWJj")));
    test.wait(61);
    for same in [Avatar::Unknown, Avatar::of(&card("", Some("YWJj")))] {
        test.presence(seen(same));
    }
    assert_eq!(gets(&test), 1);
    test.presence(seen(other()));
    test.presence(seen(Avatar::None));
    assert_eq!(gets(&test), 2);
    test.forget();
    come(&mut test, card("Romeo", None));
    assert_eq!(test.lines(), ["vcardUpdated"]);
    assert!(romeo(&test).card.as_ref().unwrap().card.picture.is_none());
    test.presence(seen(other()));
    assert_eq!(gets(&test), 2, "not twice within a minute");
    let mut asked_for = get(&mut test, ROMEO, false);
    assert_eq!(gets(&test), 3, "but what is asked for is not out of date");
    let id = asked(&test, is_get).1;
    test.answer(Some(ROMEO), id, Err(stanza_error("forbidden")));
    assert!(got(&mut asked_for).unwrap().is_err());
}

/// Row 69. A nickname may be used by someone else next.
#[test]
fn the_card_of_an_occupant_is_not_that_of_who_has_the_nickname_next() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let juliet = format!("{ROOM}/juliet");
    let is_asked_for = |test: &mut TestSession| {
        let before = gets(test);
        let mut answer = get(test, &juliet, false);
        let is_asked_for = gets(test) > before;
        if is_asked_for {
            come(test, card("Juliet", None));
        }
        assert!(got(&mut answer).unwrap().is_ok());
        is_asked_for
    };
    assert!(is_asked_for(&mut test));
    assert!(!is_asked_for(&mut test), "it is known while she is there");
    test.presence(occupant("juliet", PresenceKind::Unavailable, &[]));
    test.presence(occupant("juliet", PresenceKind::Available, &[]));
    assert!(is_asked_for(&mut test), "she left");
    let mut renamed = occupant("juliet", PresenceKind::Unavailable, &[303]);
    renamed.muc.as_mut().unwrap().nick = Some("capulet".to_owned());
    test.presence(renamed);
    test.presence(occupant("juliet", PresenceKind::Available, &[]));
    assert!(is_asked_for(&mut test), "she is called otherwise");
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110, 307]));
    test.in_room();
    assert!(is_asked_for(&mut test), "nobody told us who left meanwhile");
}

/// Each room that has to be entered again could hold as many as the cache may.
#[test]
fn occupants_from_before_a_room_is_entered_again_hold_no_cards() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let mut answer = get(&mut test, &format!("{ROOM}/juliet"), false);
    come(&mut test, card("Juliet", None));
    assert!(got(&mut answer).unwrap().is_ok());
    assert!(test.session.snapshot().rooms[&bare(ROOM)].occupants["juliet"].card.is_some());
    // The room has forgotten us.
    test.presence(occupant("bot", PresenceKind::Unavailable, &[]));
    let id = test.asked(|ask| *ask == Ask::Ping);
    test.answer(Some(&format!("{ROOM}/bot")), id, Err(stanza_error("not-acceptable")));
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    let Payload::Occupant(gone) = test.last("occupantLeft") else { panic!("an occupant") };
    assert!(gone.nick == "juliet" && gone.card.is_none(), "{gone:?}");
}

#[test]
fn presence_says_what_is_known_of_the_own_picture() {
    let mut test = TestSession::connected(Settings::default());
    let said = |test: &TestSession| {
        let found = test.sent.iter().rev().find_map(|stanza| match stanza {
            Outgoing::Presence(presence) => Some(presence.avatar.clone()),
            _ => None,
        });
        found.unwrap()
    };
    assert_eq!(said(&test), Some(Avatar::Unknown));
    let _own = get(&mut test, "bot@example.org", false);
    come(&mut test, card("Bot", None));
    assert_eq!(said(&test), Some(Avatar::None));
    // Another client of this account has set a picture.
    test.wait(61);
    let other = presence("bot@example.org/phone", PresenceKind::Available);
    test.presence(Presence { avatar: Some(Avatar::Hash("b".repeat(40))), ..other });
    come(&mut test, card("Bot", Some("YWJj")));
    assert_eq!(said(&test), Some(Avatar::of(&card("", Some("YWJj")))));
    let _status = test.ask(SetStatus { value: Some(StatusValue::Offline), message: None });
    assert_eq!(said(&test), None);
    let _hidden = get(&mut test, "bot@example.org", true);
    test.forget();
    come(&mut test, card("Bot", None));
    assert_eq!(test.lines(), ["vcardUpdated"], "who hides tells nobody");
}

/// An anonymous log-in has another address on each stream (XEP-0175).
#[test]
fn the_picture_of_another_address_is_not_announced_as_the_own_one() {
    let mut test = TestSession::connected(Settings::default());
    let _own = get(&mut test, "bot@example.org", false);
    come(&mut test, card("Bot", Some("YWJj")));
    test.forget();
    let other = FullJid::new("other@example.org/bot").unwrap();
    test.run(|session, now, effects| session.bound(other, Offers::default(), now, effects));
    test.go_on_to_roster();
    test.roster(Vec::new());
    let announced = test.sent.iter().rev().find_map(|stanza| match stanza {
        Outgoing::Presence(presence) => Some(presence.avatar.clone()),
        _ => None,
    });
    assert_eq!(announced, Some(Some(Avatar::Unknown)));
}

#[test]
fn only_so_many_cards_are_kept() {
    let mut test = TestSession::connected(Settings::default());
    let _first = get(&mut test, ROMEO, false);
    come(&mut test, card("Romeo", None));
    for number in 0..MAX_CARDS {
        let _one = get(&mut test, &format!("c{number}@example.org"), false);
        come(&mut test, card("X", None));
    }
    assert_eq!(test.session.features.cards.sizes().0, MAX_CARDS);
    assert!(romeo(&test).card.is_none(), "the oldest made room");
    let large = "A".repeat(parlor_stanza::card::MAX_PICTURE);
    for number in 0..100 {
        let _one = get(&mut test, &format!("l{number}@example.org"), false);
        come(&mut test, card("X", Some(&large)));
    }
    assert!(test.session.features.cards.sizes().0 < 90, "{}", test.session.features.cards.sizes().0);
}
