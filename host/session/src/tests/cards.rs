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

fn get(desk: &mut Desk, who: &str, force: bool) -> Receiver<Result<Arc<KnownCard>, CallError>> {
    desk.ask(GetCard { jid: jid(who), force })
}

fn update(desk: &mut Desk, who: &str, force: bool) -> Receiver<Result<(), CallError>> {
    desk.ask(UpdateCard { jid: jid(who), force })
}

fn set(desk: &mut Desk, change: CardChange) -> Receiver<Result<(), CallError>> {
    set_as(desk, ONE, change)
}

fn set_as(desk: &mut Desk, by: InstanceId, change: CardChange) -> Receiver<Result<(), CallError>> {
    desk.ask(SetCard { by, change })
}

fn named(name: &str) -> CardChange {
    CardChange { full_name: Some(name.to_owned()), ..CardChange::default() }
}

/// Returns the recipient and the id of the last request of this kind.
fn asked(desk: &Desk, is: fn(&Ask) -> bool) -> (Option<String>, String) {
    let question = desk.sent.iter().rev().find_map(|stanza| match stanza {
        Outgoing::Ask { to, id, ask } if is(ask) => Some((to.as_ref().map(ToString::to_string), id.clone())),
        _ => None,
    });
    question.expect("it was asked")
}

fn is_get(ask: &Ask) -> bool {
    matches!(ask, Ask::Card)
}

fn is_set(ask: &Ask) -> bool {
    matches!(ask, Ask::SetCard { .. })
}

fn gets(desk: &Desk) -> usize {
    desk.sent.iter().filter(|stanza| matches!(stanza, Outgoing::Ask { ask: Ask::Card, .. })).count()
}

fn come(desk: &mut Desk, card: Card) {
    let (to, id) = asked(desk, is_get);
    desk.answer(to.as_deref(), id, Ok(body(card)));
}

fn romeo(desk: &Desk) -> Arc<Contact> {
    Arc::clone(&desk.session.snapshot().contacts.unwrap()[&bare(ROMEO)])
}

/// Rows 65, 69, 70.
/// Events `vcardUpdated`.
#[test]
fn a_card_is_fetched_once_and_shown_by_its_contact() {
    let mut desk = Desk::connected(Settings::default());
    let mut first = get(&mut desk, "romeo@example.org/orchard", false);
    assert_eq!(asked(&desk, is_get).0.as_deref(), Some(ROMEO), "a person's card is the account's");
    desk.forget();
    come(&mut desk, card("Romeo", Some("YWJj")));
    assert_eq!(got(&mut first).unwrap().unwrap().card.full_name.as_deref(), Some("Romeo"));
    assert_eq!(desk.lines(), ["vcardUpdated"]);
    assert!(romeo(&desk).card.as_ref().unwrap().card.picture.is_some());
    assert!(got(&mut get(&mut desk, ROMEO, false)).unwrap().is_ok());
    assert_eq!(gets(&desk), 1, "it is known");
    let mut again = get(&mut desk, ROMEO, true);
    assert_eq!(gets(&desk), 2);
    come(&mut desk, card("R.", None));
    assert_eq!(got(&mut again).unwrap().unwrap().card.full_name.as_deref(), Some("R."));
    desk.push(item(ROMEO, "to"));
    assert!(romeo(&desk).card.is_some(), "a push says nothing of cards");
    desk.run(Session::logged_out);
    desk.bind();
    desk.roster(vec![item(ROMEO, "both")]);
    assert!(romeo(&desk).card.is_none());
    let _waiting = get(&mut desk, ROMEO, false);
    assert_eq!(gets(&desk), 3, "a log-out forgets it");
}

/// Row 72. Events `vcardUpdated`, `chatBoxChanged`, `occupantChanged`.
#[test]
fn a_card_is_shown_by_the_chat_and_by_the_occupant_that_it_was_fetched_for() {
    let mut desk = Desk::connected(settings(&[("allow_non_roster_messaging", true.into())]));
    let chat = |desk: &Desk, who: &str| desk.session.snapshot().chats[&bare(who)].card.clone();
    let open = |desk: &mut Desk, who: &str| {
        let _opened = desk.ask(OpenChat { by: ONE, jid: bare(who) });
        desk.forget();
    };
    for who in [ROMEO, "stranger@example.org"] {
        open(&mut desk, who);
        assert!(chat(&desk, who).is_none());
        let mut updated = update(&mut desk, who, false);
        desk.forget();
        come(&mut desk, card("X", Some("YWJj")));
        assert!(got(&mut updated).unwrap().is_ok());
        assert_eq!(desk.lines(), ["vcardUpdated", "chatBoxChanged"], "{who}");
        let Payload::Chat(told) = desk.last("chatBoxChanged") else { panic!("a chat") };
        assert!(told.card.as_ref().unwrap().card.picture.is_some() && chat(&desk, who).is_some());
    }
    // A chat that opens later shows the cached vCard.
    let _card = get(&mut desk, "juliet@example.org", false);
    come(&mut desk, card("Juliet", None));
    open(&mut desk, "juliet@example.org");
    assert!(chat(&desk, "juliet@example.org").is_some());

    desk.in_room();
    let address = format!("{ROOM}/juliet");
    let occupied = |desk: &Desk| desk.session.snapshot().rooms[&bare(ROOM)].occupants["juliet"].card.is_some();
    let mut updated = update(&mut desk, &address, false);
    desk.forget();
    come(&mut desk, card("Juliet", Some("YWJj")));
    assert!(got(&mut updated).unwrap().is_ok());
    assert_eq!(desk.lines(), ["vcardUpdated", "occupantChanged"]);
    assert!(occupied(&desk));
    let Payload::Occupant(told) = desk.last("occupantChanged") else { panic!("an occupant") };
    assert!(told.card.is_some());
    desk.presence(Presence { show: Some(types::Show::Away), ..occupant("juliet", PresenceKind::Available, &[]) });
    assert!(occupied(&desk), "presence says nothing of it");
    let renamed = MucUser { nick: Some("julia".to_owned()), status: vec![303], ..MucUser::default() };
    let gone = presence(&address, PresenceKind::Unavailable);
    desk.presence(Presence { muc: Some(Box::new(renamed)), ..gone });
    assert!(
        desk.session.snapshot().rooms[&bare(ROOM)].occupants["julia"].card.is_none(),
        "the address is another one's"
    );

    desk.run(|session, now, effects| session.lost("gone", now, effects));
    assert!(chat(&desk, ROMEO).is_none(), "a session that has ended vouches for no card");
}

/// Row 72: the number of vCards is limited, and nothing shows one that had to make room.
#[test]
fn a_card_that_made_room_is_shown_by_no_chat() {
    let mut desk = Desk::connected(Settings::default());
    let _opened = desk.ask(OpenChat { by: ONE, jid: bare(ROMEO) });
    let _first = get(&mut desk, ROMEO, false);
    come(&mut desk, card("Romeo", None));
    let shows = |desk: &Desk| desk.session.snapshot().chats[&bare(ROMEO)].card.is_some();
    assert!(shows(&desk));
    for number in 0..MAX_CARDS {
        let _other = get(&mut desk, &format!("a{number}@example.org"), false);
        come(&mut desk, card("X", None));
    }
    assert!(!shows(&desk) && romeo(&desk).card.is_none());
}

/// Rows 65.
#[test]
fn a_card_that_was_fetched_before_is_shown_by_whoever_becomes_a_contact() {
    let (tybalt, paris) = ("tybalt@example.org", "paris@example.org");
    let shows = |desk: &Desk, who: &str| desk.session.snapshot().contacts.unwrap()[&bare(who)].card.is_some();
    let mut desk = Desk::connected(Settings::default());
    for who in [tybalt, paris] {
        let _card = get(&mut desk, who, false);
        come(&mut desk, card("X", None));
    }
    desk.push(item(tybalt, "none"));
    assert!(shows(&desk, tybalt));
    desk.presence(presence(paris, PresenceKind::Subscribe));
    let Payload::Contact(asking) = desk.last("contactRequest").clone() else { panic!("a contact") };
    assert!(asking.card.is_some() && shows(&desk, paris));

    let mut desk = Desk::new(Settings::default());
    desk.run(Session::plugins_initialized);
    desk.bind();
    let _card = get(&mut desk, ROMEO, false);
    come(&mut desk, card("Romeo", None));
    desk.roster(vec![item(ROMEO, "both")]);
    assert!(shows(&desk, ROMEO), "the roster came later");
}

/// Rows 72.
/// Events `vcardUpdated`.
#[test]
fn an_update_tells_of_whom_it_is_also_where_that_is_no_contact() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    for (who, shown, occupant) in [
        (ROMEO, ROMEO, None),
        ("tybalt@example.org/x", "tybalt@example.org", None),
        ("room@muc.example.org/juliet", ROOM, Some("juliet")),
    ] {
        let mut updated = update(&mut desk, who, false);
        come(&mut desk, card("X", None));
        assert_eq!(got(&mut updated), Some(Ok(())));
        let Payload::Contact(contact) = desk.last("vcardUpdated").clone() else { panic!("a contact") };
        assert_eq!((contact.jid.as_str(), contact.occupant.as_deref()), (shown, occupant));
        assert!(contact.card.is_some() && !contact.requesting);
        desk.forget();
        assert_eq!(got(&mut update(&mut desk, who, false)), Some(Ok(())));
        assert_eq!(desk.lines(), ["vcardUpdated"], "what is known is told, too");
    }
    assert_eq!(asked(&desk, is_get).0.as_deref(), Some("room@muc.example.org/juliet"));
    assert_eq!(desk.session.snapshot().contacts.unwrap().len(), 2);
}

/// Rows 69-72.
#[test]
fn no_card_is_said_to_who_asked() {
    type Outcome = fn() -> Result<Body, Box<StanzaError>>;
    let mut desk = Desk::connected(Settings::default());
    let outcomes: [(Outcome, &str); 3] = [
        (|| Err(stanza_error("item-not-found")), "item-not-found"),
        (|| Ok(Body::OversizedCard), "over limit: a card's picture may have 196608 bytes of base64"),
        (|| Ok(Body::Other), "the answer was no visiting card"),
    ];
    for (outcome, expected) in outcomes {
        for use_update in [false, true] {
            let (mut one, mut other) = (None, None);
            if use_update {
                other = Some(update(&mut desk, ROMEO, false));
            } else {
                one = Some(get(&mut desk, ROMEO, false));
            }
            let id = asked(&desk, is_get).1;
            desk.answer(Some("mallory@example.org"), id.clone(), Ok(body(card("Mallory", None))));
            desk.answer(Some(ROMEO), id, outcome());
            let error = one.and_then(|mut one| got(&mut one)).map(|result| result.map(drop));
            let error = error.or_else(|| other.and_then(|mut other| got(&mut other)));
            assert_eq!(error.unwrap().unwrap_err().to_string(), expected);
        }
    }
    let mut empty = get(&mut desk, ROMEO, false);
    let id = asked(&desk, is_get).1;
    desk.answer(Some(ROMEO), id, Ok(Body::Empty));
    assert_eq!(got(&mut empty).unwrap().unwrap().card, Card::default());
    let mut late = get(&mut desk, "juliet@example.org", false);
    desk.wait(30);
    assert_eq!(got(&mut late).unwrap().unwrap_err(), CallError::TimedOut);
    let mut cut = get(&mut desk, "juliet@example.org", false);
    desk.run(Session::closed);
    assert_eq!(got(&mut cut).unwrap().unwrap_err(), CallError::Offline);
    assert_eq!(got(&mut get(&mut desk, "juliet@example.org", false)).unwrap().unwrap_err(), CallError::Offline);
    assert!(got(&mut get(&mut desk, ROMEO, false)).unwrap().is_ok(), "what is known needs no connection");
}

/// Rows 71.
#[test]
fn the_own_card_is_changed_in_what_is_named_one_change_after_the_other() {
    let mut desk = Desk::connected(Settings::default());
    let image = CardChange { picture: Some(PictureChange::Set(picture("YWJj"))), ..CardChange::default() };
    let (mut first, mut second) = (set(&mut desk, named("Bot")), set(&mut desk, image));
    assert_eq!((gets(&desk), asked(&desk, is_get).0), (1, None), "the second begins with what the first left");
    come(&mut desk, card("Old", None));
    let Some(Outgoing::Ask { to: None, ask: Ask::SetCard { whole: Some(_), change }, .. }) = desk.sent.last() else {
        panic!("a change of what is there")
    };
    assert_eq!(**change, named("Bot"));
    assert!(got(&mut first).is_none());
    desk.forget();
    let id = asked(&desk, is_set).1;
    desk.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut first), Some(Ok(())));
    assert_eq!(desk.lines(), ["vcardUpdated", "> available priority 0", "> ask Card"]);
    come(&mut desk, card("Bot", None));
    desk.forget();
    let id = asked(&desk, is_set).1;
    desk.answer(Some("bot@example.org"), id, Ok(Body::Empty));
    assert_eq!(got(&mut second), Some(Ok(())));
    let announced = desk.sent.iter().rev().find_map(|stanza| match stanza {
        Outgoing::Presence(presence) => presence.avatar.clone(),
        _ => None,
    });
    assert_eq!(announced, Some(Avatar::Hash("a9993e364706816aba3e25717850c26c9cd0d89d".to_owned())));
    let known = got(&mut get(&mut desk, "bot@example.org", false)).unwrap().unwrap();
    assert_eq!((known.card.full_name.as_deref(), known.card.picture.is_some()), (Some("Bot"), true));
    assert_eq!(desk.session.features.cards.sizes(), (1, 0));
}

/// Rows 71.
#[test]
fn a_change_that_fails_holds_up_no_other() {
    let mut desk = Desk::connected(Settings::default());
    let typed = CardChange { picture_type: Some("image/png".to_owned()), ..CardChange::default() };
    let (mut first, mut second, third) =
        (set(&mut desk, named("A")), set(&mut desk, typed), set(&mut desk, named("gone")));
    drop(third);
    let mut fourth = set(&mut desk, named("D"));
    let id = asked(&desk, is_get).1;
    desk.answer(None, id, Err(stanza_error("forbidden")));
    assert!(matches!(got(&mut first), Some(Err(CallError::Stanza(_)))));
    come(&mut desk, card("Old", None));
    assert!(
        matches!(got(&mut second), Some(Err(CallError::Invalid { argument, .. })) if argument == "data.image-type")
    );
    let id = asked(&desk, is_get).1;
    desk.answer(None, id, Err(stanza_error("item-not-found")));
    assert!(matches!(desk.sent.last(), Some(Outgoing::Ask { ask: Ask::SetCard { whole: None, .. }, .. })));
    let id = asked(&desk, is_set).1;
    desk.answer(None, id, Err(stanza_error("not-acceptable")));
    assert!(matches!(got(&mut fourth), Some(Err(CallError::Stanza(_)))));
    assert!(got(&mut get(&mut desk, "bot@example.org", false)).is_none(), "what was refused is not known");

    // The errors of a server that has no vCard of ours yet, and of one that has none at all.
    let mut fifth = set(&mut desk, named("E"));
    let id = asked(&desk, is_get).1;
    desk.answer(None, id, Err(stanza_error("service-unavailable")));
    let id = asked(&desk, is_set).1;
    desk.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut fifth), Some(Ok(())));

    // If the server cannot return the vCard now, the rest of it must not be lost.
    let mut sixth = set(&mut desk, named("E"));
    let id = asked(&desk, is_get).1;
    let kind = "wait".to_owned();
    desk.answer(None, id, Err(Box::new(StanzaError { kind, ..*stanza_error("service-unavailable") })));
    assert!(matches!(got(&mut sixth), Some(Err(CallError::Stanza(_)))));

    let (mut late, mut next) = (set(&mut desk, named("E")), set(&mut desk, named("F")));
    desk.wait(30);
    assert_eq!(got(&mut late), Some(Err(CallError::TimedOut)));
    desk.bind();
    assert_eq!(got(&mut next), Some(Err(CallError::Offline)));
    // As many plugins as necessary, each with its maximum.
    let plugins = (10..).flat_map(|number| std::iter::repeat_n(InstanceId(number), MAX_OWN_CHANGES));
    let many: Vec<_> = plugins.take(MAX_CHANGES + 6).map(|by| set_as(&mut desk, by, named("G"))).collect();
    assert_eq!(desk.session.features.cards.sizes().1, MAX_CHANGES);
    drop(many);
    let mut last = set(&mut desk, named("H"));
    come(&mut desk, card("Old", None));
    let id = asked(&desk, is_set).1;
    desk.answer(None, id, Ok(Body::Empty));
    come(&mut desk, card("G", None));
    let id = asked(&desk, is_set).1;
    desk.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut last), Some(Ok(())));
}

#[test]
fn so_many_changes_of_a_plugin_wait_and_take_no_place_of_another_one() {
    let mut desk = Desk::connected(Settings::default());
    // One more is in progress.
    let waiting: Vec<_> = (0..=MAX_OWN_CHANGES).map(|_| set_as(&mut desk, ONE, named("A"))).collect();
    assert!(matches!(got(&mut set_as(&mut desk, ONE, named("B"))), Some(Err(CallError::OverLimit(_)))));
    assert!(got(&mut set_as(&mut desk, TWO, named("C"))).is_none(), "a neighbour waits all the same");
    drop(waiting);
    assert!(got(&mut set_as(&mut desk, ONE, named("D"))).is_none(), "those that were given up make room");
}

fn seen(avatar: Avatar) -> Presence {
    Presence { avatar: Some(avatar), ..presence("romeo@example.org/orchard", PresenceKind::Available) }
}

/// XEP-0153: only vCards that were requested are fetched again, and senders of presence do not set the pace.
#[test]
fn a_picture_that_changes_is_fetched_again_where_somebody_wanted_it() {
    let other = || Avatar::Hash("b".repeat(40));
    let mut desk = Desk::connected(Settings::default());
    desk.presence(seen(other()));
    assert_eq!(gets(&desk), 0);
    let _first = get(&mut desk, ROMEO, false);
    come(&mut desk, card("Romeo", Some("YWJj")));
    desk.wait(61);
    for same in [Avatar::Unknown, Avatar::of(&card("", Some("YWJj")))] {
        desk.presence(seen(same));
    }
    assert_eq!(gets(&desk), 1);
    desk.presence(seen(other()));
    desk.presence(seen(Avatar::None));
    assert_eq!(gets(&desk), 2);
    desk.forget();
    come(&mut desk, card("Romeo", None));
    assert_eq!(desk.lines(), ["vcardUpdated"]);
    assert!(romeo(&desk).card.as_ref().unwrap().card.picture.is_none());
    desk.presence(seen(other()));
    assert_eq!(gets(&desk), 2, "not twice within a minute");
    let mut asked_for = get(&mut desk, ROMEO, false);
    assert_eq!(gets(&desk), 3, "but what is asked for is not out of date");
    let id = asked(&desk, is_get).1;
    desk.answer(Some(ROMEO), id, Err(stanza_error("forbidden")));
    assert!(got(&mut asked_for).unwrap().is_err());
}

/// Row 69. A nickname may be used by someone else next.
#[test]
fn the_card_of_an_occupant_is_not_that_of_who_has_the_nickname_next() {
    let mut desk = Desk::connected(Settings::default());
    desk.in_room();
    let juliet = format!("{ROOM}/juliet");
    let is_asked_for = |desk: &mut Desk| {
        let before = gets(desk);
        let mut answer = get(desk, &juliet, false);
        let is_asked_for = gets(desk) > before;
        if is_asked_for {
            come(desk, card("Juliet", None));
        }
        assert!(got(&mut answer).unwrap().is_ok());
        is_asked_for
    };
    assert!(is_asked_for(&mut desk));
    assert!(!is_asked_for(&mut desk), "it is known while she is there");
    desk.presence(occupant("juliet", PresenceKind::Unavailable, &[]));
    desk.presence(occupant("juliet", PresenceKind::Available, &[]));
    assert!(is_asked_for(&mut desk), "she left");
    let mut renamed = occupant("juliet", PresenceKind::Unavailable, &[303]);
    renamed.muc.as_mut().unwrap().nick = Some("capulet".to_owned());
    desk.presence(renamed);
    desk.presence(occupant("juliet", PresenceKind::Available, &[]));
    assert!(is_asked_for(&mut desk), "she is called otherwise");
    desk.presence(occupant("bot", PresenceKind::Unavailable, &[110, 307]));
    desk.in_room();
    assert!(is_asked_for(&mut desk), "nobody told us who left meanwhile");
}

#[test]
fn presence_says_what_is_known_of_the_own_picture() {
    let mut desk = Desk::connected(Settings::default());
    let said = |desk: &Desk| {
        let found = desk.sent.iter().rev().find_map(|stanza| match stanza {
            Outgoing::Presence(presence) => Some(presence.avatar.clone()),
            _ => None,
        });
        found.unwrap()
    };
    assert_eq!(said(&desk), Some(Avatar::Unknown));
    let _own = get(&mut desk, "bot@example.org", false);
    come(&mut desk, card("Bot", None));
    assert_eq!(said(&desk), Some(Avatar::None));
    // Another client of this account has set a picture.
    desk.wait(61);
    let other = presence("bot@example.org/phone", PresenceKind::Available);
    desk.presence(Presence { avatar: Some(Avatar::Hash("b".repeat(40))), ..other });
    come(&mut desk, card("Bot", Some("YWJj")));
    assert_eq!(said(&desk), Some(Avatar::of(&card("", Some("YWJj")))));
    let _status = desk.ask(SetStatus { value: Some(StatusValue::Offline), message: None });
    assert_eq!(said(&desk), None);
    let _hidden = get(&mut desk, "bot@example.org", true);
    desk.forget();
    come(&mut desk, card("Bot", None));
    assert_eq!(desk.lines(), ["vcardUpdated"], "who hides tells nobody");
}

#[test]
fn only_so_many_cards_are_kept() {
    let mut desk = Desk::connected(Settings::default());
    let _first = get(&mut desk, ROMEO, false);
    come(&mut desk, card("Romeo", None));
    for number in 0..MAX_CARDS {
        let _one = get(&mut desk, &format!("c{number}@example.org"), false);
        come(&mut desk, card("X", None));
    }
    assert_eq!(desk.session.features.cards.sizes().0, MAX_CARDS);
    assert!(romeo(&desk).card.is_none(), "the oldest made room");
    let large = "A".repeat(parlor_stanza::card::MAX_PICTURE);
    for number in 0..100 {
        let _one = get(&mut desk, &format!("l{number}@example.org"), false);
        come(&mut desk, card("X", Some(&large)));
    }
    assert!(desk.session.features.cards.sizes().0 < 90, "{}", desk.session.features.cards.sizes().0);
}
