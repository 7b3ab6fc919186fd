//! Features of entities, requested and announced.

use std::collections::BTreeSet;

use parlor_stanza::types::{Caps, Disco, Field, Form, Identity, Reply};

use super::*;
use crate::disco::MAX_SERVICES;
use crate::disco::known::{MAX_CLAIMS, MAX_ENTITIES, MAX_FEATURES, MAX_VERIFIED};
use crate::disco::own::announcing::{GATHER, MAX_OWN};
use crate::iq::MAX_OUTSTANDING;

const SERVER: &str = "example.org";
const JULIET: &str = "juliet@example.org/balcony";
const ITEMS: &str = "http://jabber.org/protocol/disco#items";

fn features(names: &[&str]) -> Disco {
    Disco { features: names.iter().map(|name| (*name).to_owned()).collect(), ..Disco::default() }
}

fn identity(category: &str, kind: &str, name: &str) -> Identity {
    let name = (!name.is_empty()).then(|| name.to_owned());
    Identity { category: category.to_owned(), kind: kind.to_owned(), name, lang: None }
}

fn client() -> Disco {
    Disco { identities: vec![identity("client", "pc", "Exodus 0.9.1")], ..features(&EXODUS) }
}

const EXODUS: [&str; 4] = [
    "http://jabber.org/protocol/caps",
    "http://jabber.org/protocol/disco#info",
    ITEMS,
    "http://jabber.org/protocol/muc",
];

/// The hash of [`client`] (XEP-0115, section 5.2).
const VER: &str = "QgayPKawpkPSDYmwT/WM94uAlu0=";

fn claiming(from: &str, ver: &str) -> Presence {
    let caps =
        Caps { hash: "sha-1".to_owned(), node: "http://code.google.com/p/exodus".to_owned(), ver: ver.to_owned() };
    Presence { caps: Some(Box::new(caps)), ..presence(from, PresenceKind::Available) }
}

/// An answer contains all of it in one stanza, and servers end the stream at 256 KiB.
#[test]
fn what_plugins_add_has_its_bounds_in_bytes() {
    let mut test = TestSession::connected(Settings::default());
    let long = |number: u32| format!("{number}{}", "&".repeat(500));
    let added = (0..200).filter(|number| test.add_feature(InstanceId::next(), &long(*number)).is_ok()).count();
    assert!((10..25).contains(&added), "{added} features of 2.5 KiB");
    let identity = identity("client", &long(1), &long(2));
    assert!(matches!(test.add_identity(InstanceId::next(), identity), Err(CallError::OverLimit(_))));
}

/// Its caps would change twice otherwise, with a presence to each contact.
#[test]
fn a_parked_plugin_keeps_its_features_until_its_next_run_has_begun() {
    let mut test = TestSession::connected(Settings::default());
    let by = InstanceId::next();
    let game = identity("component", "game", "Chess");
    let add_all = |test: &mut TestSession| [test.add_feature(by, "urn:a"), test.add_identity(by, game.clone())];
    assert_eq!(add_all(&mut test), [Ok(true), Ok(true)]);
    assert_eq!(test.add_feature(by, "urn:b"), Ok(true));
    let before = test.disco();
    test.run(|session, _, _| session.instance_parked(by));
    assert_eq!(test.disco(), before);
    assert_eq!(add_all(&mut test), [Ok(true), Ok(true)], "it is answered as at its first run");
    assert_eq!(add_all(&mut test), [Ok(false), Ok(false)]);
    assert_eq!(test.disco(), before);
    test.run(|session, _, effects| drop(session.instance_woken(by, effects)));
    let features = test.disco().features;
    assert!(features.contains(&"urn:a".to_owned()) && !features.contains(&"urn:b".to_owned()), "{features:?}");
    assert!(test.disco().identities.contains(&game));
    test.run(|session, _, _| session.instance_parked(by));
    test.gone(by);
    assert!(!test.disco().features.contains(&"urn:a".to_owned()), "one that ends while it is parked leaves nothing");
}

impl TestSession {
    fn add_feature(&mut self, by: InstanceId, name: &str) -> Result<bool, CallError> {
        let mut receiver = self.ask(AddFeature { by, name: name.to_owned() });
        got(&mut receiver).unwrap()
    }

    fn add_identity(&mut self, by: InstanceId, identity: Identity) -> Result<bool, CallError> {
        let mut receiver = self.ask(AddIdentity { by, identity });
        got(&mut receiver).unwrap()
    }

    fn clear_identities(&mut self, by: InstanceId) {
        let mut receiver = self.ask(ClearIdentities { by });
        got(&mut receiver).unwrap().unwrap();
    }

    fn gone(&mut self, instance: InstanceId) {
        self.run(|session, _, effects| session.instance_gone(instance, effects));
    }

    fn discover(&mut self, entity: &str) -> Receiver<Result<Arc<Disco>, CallError>> {
        self.ask(Discover { entity: jid(entity) })
    }

    /// Returns the id and the node of the last `disco#info` request to an entity.
    fn info_asked_of(&self, entity: &str) -> (String, Option<String>) {
        let request = self.sent.iter().rev().find_map(|stanza| match stanza {
            Outgoing::Ask { to: Some(to), id, ask: Ask::DiscoInfo { node } } if to.as_str() == entity => {
                Some((id.clone(), node.clone()))
            }
            _ => None,
        });
        request.expect("it was asked")
    }

    fn info(&mut self, entity: &str, disco: Disco) {
        let id = self.info_asked_of(entity).0;
        self.answer(Some(entity), id, Ok(Body::Disco(disco)));
    }

    fn times_asked(&self, entity: &str) -> usize {
        let is = |one: &&Outgoing| matches!(one, Outgoing::Ask { to: Some(to), ask: Ask::DiscoInfo { .. }, .. } if to.as_str() == entity);
        self.sent.iter().filter(is).count()
    }

    /// Returns the answer to a request for our information.
    fn says(&mut self, node: Option<&str>) -> Reply {
        let query = Query::DiscoInfo { node: node.map(str::to_owned) };
        self.hear(Incoming::Request(Request { from: Some(jid("a@b/c")), id: "q".to_owned(), query }));
        match self.sent.pop() {
            Some(Outgoing::Reply { reply, .. }) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn disco(&mut self) -> Disco {
        match self.says(None) {
            Reply::Disco { node: None, disco } => disco,
            other => panic!("{other:?}"),
        }
    }

    /// Returns the capabilities in each presence for everyone since the last call.
    fn told_caps(&mut self) -> Vec<String> {
        let sent = std::mem::take(&mut self.sent);
        let caps = sent.iter().filter_map(|stanza| match stanza {
            Outgoing::Presence(PresenceOut { to: None, caps, .. }) => caps.clone(),
            _ => None,
        });
        caps.map(|caps| format!("{}#{}", caps.node, caps.ver)).collect()
    }

    fn moment(&mut self) {
        self.now += GATHER;
        self.run(Session::tick);
    }
}

/// Rows 109-110.
#[test]
fn twenty_features_at_once_are_one_presence_and_the_hash_leads_to_them() {
    let mut test = TestSession::connected(Settings::default());
    let first = test.told_caps();
    assert_eq!(first.len(), 1, "on connecting");
    let one = InstanceId::next();
    for number in 0..20 {
        assert!(test.add_feature(one, &format!("urn:x:{number}")).unwrap());
        assert!(!test.add_feature(one, &format!("urn:x:{number}")).unwrap());
    }
    assert!(test.told_caps().is_empty(), "not yet");
    assert!(matches!(test.says(Some(&first[0])), Reply::Disco { .. }), "who heard the first presence may ask still");
    test.moment();
    let told = test.told_caps();
    assert_eq!(told.len(), 1);
    assert_ne!(told, first);
    let Reply::Disco { node, disco } = test.says(Some(&told[0])) else { panic!("not known") };
    assert_eq!((node.as_deref(), disco.features.contains(&"urn:x:19".to_owned())), (Some(told[0].as_str()), true));
    let refused = Reply::Refuse { kind: "cancel", condition: "item-not-found" };
    assert_eq!(test.says(Some(&first[0])), refused);
    assert_eq!(test.says(Some("#")), refused);
    test.wait(60);
    assert!(test.told_caps().is_empty());
}

/// Rows 109, 129.
#[test]
fn what_is_added_before_connecting_is_in_the_first_presence() {
    let mut test = TestSession::new(Settings::default());
    let before = test.session.snapshot().own;
    assert!(test.add_feature(InstanceId::next(), "urn:x").unwrap());
    assert!(!before.features.contains(&"urn:x".to_owned()), "who read it before has it as it was");
    assert!(test.session.snapshot().own.features.contains(&"urn:x".to_owned()));
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster(Vec::new());
    let told = test.told_caps();
    assert_eq!(told.len(), 1);
    let Reply::Disco { disco, .. } = test.says(Some(&told[0])) else { panic!("not known") };
    assert!(disco.features.contains(&"urn:x".to_owned()));
    test.wait(60);
    assert!(test.told_caps().is_empty());
}

/// Rows 109, 113.
#[test]
fn what_a_plugin_added_goes_with_it_unless_another_added_it_too() {
    let mut test = TestSession::connected(Settings::default());
    let (one, two) = (InstanceId::next(), InstanceId::next());
    assert!(test.add_feature(one, "urn:x").unwrap());
    assert!(!test.add_feature(two, "urn:x").unwrap());
    assert!(test.add_feature(one, "urn:y").unwrap());
    assert!(!test.add_feature(one, "urn:xmpp:ping").unwrap(), "the host's own");
    test.moment();
    test.told_caps();
    test.gone(one);
    let left = test.disco().features;
    assert!(left.contains(&"urn:x".to_owned()) && !left.contains(&"urn:y".to_owned()));
    assert!(left.contains(&"urn:xmpp:ping".to_owned()));
    test.gone(two);
    assert!(!test.disco().features.contains(&"urn:x".to_owned()));
    test.wait(5);
    assert_eq!(test.told_caps().len(), 1, "and others are told, once");
}

/// A grant can be revoked while a plugin runs, and given back.
#[test]
fn what_a_plugin_added_is_withheld_without_its_grant_and_comes_back_with_it() {
    let mut test = TestSession::connected(Settings::default());
    let (one, two) = (InstanceId::next(), InstanceId::next());
    let game = identity("component", "game", "Chess");
    let before = test.disco();
    assert!(test.add_feature(one, "urn:x").unwrap() && test.add_identity(one, game.clone()).unwrap());
    test.clear_identities(one);
    assert!(test.add_identity(one, game.clone()).unwrap());
    let announced = test.disco();
    test.session.announce(Vec::new(), BTreeSet::from([one, two]));
    assert_eq!(test.disco(), before);
    // It is another plugin's now, and a call that was on its way when the grant went changes nothing.
    test.session.announce(Vec::new(), BTreeSet::from([one]));
    assert!(test.add_feature(two, "urn:x").unwrap());
    test.add_feature(one, "urn:y").unwrap();
    assert!(!test.disco().features.contains(&"urn:y".to_owned()));
    test.gone(two);
    test.session.announce(Vec::new(), BTreeSet::new());
    let back = test.disco();
    assert!(back.features.contains(&"urn:y".to_owned()) && back.identities == announced.identities, "{back:?}");
}

/// Rows 111-113.
#[test]
fn identities_are_added_cleared_and_the_default_comes_back() {
    let mut test = TestSession::connected(Settings::default());
    let (one, two) = (InstanceId::next(), InstanceId::next());
    let default = test.disco().identities;
    assert_eq!(default, [identity("client", "bot", "parlor")]);
    let web = identity("client", "web", "X");
    assert!(test.add_identity(one, web.clone()).unwrap());
    assert!(!test.add_identity(one, web.clone()).unwrap());
    assert!(!test.add_identity(two, web.clone()).unwrap(), "exactly there");
    assert!(test.add_identity(one, Identity { lang: Some("de".to_owned()), ..web.clone() }).unwrap());
    test.clear_identities(one);
    assert_eq!(test.disco().identities, [web], "another's stays");
    test.gone(two);
    assert!(test.session.snapshot().own.identities.is_empty());
    assert_eq!(test.disco().identities, [identity("client", "bot", "")], "XEP-0030 wants one");
    test.gone(one);
    assert_eq!(test.disco().identities, default);
}

/// Rows 109, 111.
#[test]
fn own_names_are_bounded_and_cannot_pretend() {
    let mut test = TestSession::connected(Settings::default());
    let one = InstanceId::next();
    let long = "x".repeat(513);
    for name in ["", "a\u{7}", "a<b", "a\nb", "\u{ffff}", &long] {
        assert!(matches!(test.add_feature(one, name), Err(CallError::Invalid { argument, .. }) if argument == "name"));
    }
    for (argument, bad) in [
        ("category", identity("", "pc", "")),
        ("category", identity("client/pc", "pc", "")),
        ("kind", identity("client", "", "")),
        ("kind", identity("client", "p<", "")),
        ("name", identity("client", "pc", "a<b")),
        ("name", identity("client", "pc", &long)),
        ("lang", Identity { lang: Some(String::new()), ..identity("client", "pc", "") }),
        ("lang", Identity { lang: Some("e n".to_owned()), ..identity("client", "pc", "") }),
    ] {
        let refused = test.add_identity(one, bad);
        assert!(
            matches!(&refused, Err(CallError::Invalid { argument: found, .. }) if found == argument),
            "{refused:?}"
        );
    }
    for number in 0..MAX_OWN {
        test.add_feature(one, &format!("urn:{number}")).unwrap();
        test.add_identity(one, identity("x", &number.to_string(), "")).unwrap();
    }
    assert!(matches!(test.add_feature(one, "urn:more"), Err(CallError::OverLimit(_))));
    assert!(!test.add_feature(one, "urn:1").unwrap());
    assert!(matches!(test.add_identity(one, identity("x", "more", "")), Err(CallError::OverLimit(_))));
    assert!(test.add_feature(InstanceId::next(), "urn:more").unwrap(), "another has its own");
}

#[test]
fn rooms_are_told_too_and_a_hidden_account_tells_nobody() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let entered = test.sent.iter().any(|stanza| {
        matches!(stanza, Outgoing::Presence(PresenceOut { to: Some(_), join: Some(_), caps: Some(_), .. }))
    });
    assert!(entered);
    test.sent.clear();
    let one = InstanceId::next();
    test.add_feature(one, "urn:x").unwrap();
    test.moment();
    let sent = std::mem::take(&mut test.sent);
    let caps: Vec<_> = sent
        .iter()
        .filter_map(|stanza| match stanza {
            Outgoing::Presence(PresenceOut { to, caps: Some(caps), .. }) => Some((to.is_some(), caps.ver.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(caps.iter().map(|(room, _)| *room).collect::<Vec<_>>(), [false, true]);
    assert_eq!(caps[0].1, caps[1].1);
    let _receiver = test.ask(SetStatus { value: Some(StatusValue::Offline), message: None });
    test.add_feature(one, "urn:y").unwrap();
    test.wait(60);
    let hidden = |stanza: &Outgoing| matches!(stanza, Outgoing::Presence(PresenceOut { caps: None, .. }));
    assert!(test.sent.iter().all(hidden), "{:?}", test.sent);
}

#[test]
fn a_plugin_that_changes_its_mind_all_the_time_is_told_of_seldom() {
    let mut test = TestSession::connected(Settings::default());
    test.told_caps();
    let one = InstanceId::next();
    for number in 0..100 {
        test.add_feature(one, &format!("urn:{number}")).unwrap();
        test.now += Duration::from_millis(200);
        test.run(Session::tick);
    }
    let told = test.told_caps().len();
    assert!((4..=6).contains(&told), "{told} presences in 20 s");
}

#[test]
fn settings_say_what_the_host_can_do() {
    let mut test = TestSession::connected(Settings::default());
    let muc = "http://jabber.org/protocol/muc".to_owned();
    assert!(test.disco().features.contains(&muc));
    test.told_caps();
    test.set(&[("allow_muc", false.into())]).unwrap();
    assert!(!test.disco().features.contains(&muc));
    test.moment();
    assert_eq!(test.told_caps().len(), 1);
}

/// Row 50.
/// Events serviceDiscovered, discoExtensionFieldDiscovered, discoInitialized.
#[test]
fn the_server_its_services_and_the_account_are_asked_on_connecting() {
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    test.bind();
    assert_eq!(test.count("discoInitialized"), 1);
    let fields = vec![
        Field { var: "FORM_TYPE".to_owned(), kind: Some("hidden".to_owned()), values: vec!["urn:f".to_owned()] },
        Field { var: "abuse".to_owned(), kind: None, values: vec!["a".to_owned(), "b".to_owned()] },
    ];
    let form = Form { form_type: Some("urn:f".to_owned()), fields };
    test.info(SERVER, Disco { forms: vec![form.clone(), form], ..features(&[ITEMS, "urn:a", "urn:a"]) });
    assert_eq!(test.count("serviceDiscovered"), 2);
    assert_eq!(test.count("discoExtensionFieldDiscovered"), 2);
    let Payload::Field { json, .. } = test.last("discoExtensionFieldDiscovered") else { panic!() };
    let field: Value = serde_json::from_str(json).unwrap();
    let expected = serde_json::json!({
        "entity": SERVER, "form_type": "urn:f", "var": "abuse", "type": null, "value": "a", "values": ["a", "b"],
    });
    assert_eq!(field, expected);
    test.info("bot@example.org", features(&["urn:xmpp:mam:2"]));
    assert!(
        matches!(test.last("serviceDiscovered"), Payload::Feature { entity, .. } if *entity == bare("bot@example.org"))
    );
    let items = ["muc.example.org", SERVER, "muc.example.org", "bot@example.org", "up.example.org"];
    let id = test.asked(|ask| matches!(ask, Ask::DiscoItems));
    test.answer(Some(SERVER), id, Ok(Body::Items(items.map(jid).to_vec())));
    test.info("muc.example.org", features(&["http://jabber.org/protocol/muc", ITEMS]));
    test.info("up.example.org", features(&["urn:xmpp:http:upload:0"]));
    assert!(["muc.example.org", "up.example.org", SERVER].iter().all(|one| test.times_asked(one) == 1));
    assert_eq!(test.count("serviceDiscovered"), 6);
    assert_eq!(test.sent.iter().filter(|one| matches!(one, Outgoing::Ask { ask: Ask::DiscoItems, .. })).count(), 1);
    // A new stream asks again, and reports only what is new.
    test.bind();
    test.info(SERVER, features(&["urn:a", "urn:b"]));
    assert_eq!(test.count("serviceDiscovered"), 7);
    test.run(Session::logged_out);
    test.bind();
    test.info(SERVER, features(&["urn:a", "urn:b"]));
    assert_eq!(test.count("serviceDiscovered"), 9, "a new session hears all of it");
}

/// Rows 114-115.
#[test]
fn an_entity_is_asked_once_and_known_afterwards() {
    let mut test = TestSession::connected(Settings::default());
    let (mut first, mut second) = (test.discover("romeo@example.org/x"), test.discover("romeo@example.org/x"));
    assert_eq!(test.times_asked("romeo@example.org/x"), 1);
    test.info("romeo@example.org/x", client());
    for receiver in [&mut first, &mut second] {
        assert_eq!(*got(receiver).unwrap().unwrap(), client());
    }
    assert!(test.session.snapshot().known.of(&jid("romeo@example.org/x"), test.now).is_some());
    assert!(got(&mut test.discover("romeo@example.org/x")).unwrap().is_ok());
    assert_eq!(test.times_asked("romeo@example.org/x"), 1);
    let own = got(&mut test.discover("bot@example.org/parlor")).unwrap().unwrap();
    assert!(own.features.contains(&"urn:xmpp:ping".to_owned()));
    test.wait(3_601);
    assert!(got(&mut test.discover("romeo@example.org/x")).is_none(), "asked again after an hour");
}

/// A gateway to another network may call its people rooms, but does not have only rooms.
#[test]
fn a_room_that_is_not_open_is_known_by_its_service() {
    let mut test = TestSession::connected(Settings::default());
    let muc = || features(&["http://jabber.org/protocol/muc"]);
    for (service, kind) in [("muc.example.org", "text"), ("irc.example.org", "irc")] {
        drop(test.discover(service));
        test.info(service, Disco { identities: vec![identity("conference", kind, "")], ..muc() });
    }
    let known = |jid: &str| test.session.snapshot().known.is_at_rooms(&jid.parse().unwrap(), test.now);
    assert!(known("attic@muc.example.org"));
    assert!(!known("muc.example.org") && !known("rom%net@irc.example.org") && !known("juliet@example.org"));
}

/// Rows 114-115.
#[test]
fn who_does_not_say_is_a_typed_error() {
    let mut test = TestSession::connected(Settings::default());
    let ask = |test: &mut TestSession| (test.discover("a@example.org"), test.info_asked_of("a@example.org").0);
    let (mut refused, id) = ask(&mut test);
    test.answer(Some("evil@example.org"), id.clone(), Ok(Body::Disco(client())));
    assert!(got(&mut refused).is_none(), "somebody else answered");
    test.answer(Some("a@example.org"), id.clone(), Err(stanza_error("service-unavailable")));
    let error = got(&mut refused).unwrap().unwrap_err();
    assert!(matches!(error, CallError::Stanza(error) if error.condition == "service-unavailable"));
    test.answer(Some("a@example.org"), id, Ok(Body::Disco(client())));
    assert_eq!(test.session.ignored(), 2, "it had its turn");
    let (mut nonsense, id) = ask(&mut test);
    test.answer(Some("a@example.org"), id, Ok(Body::Empty));
    assert!(matches!(got(&mut nonsense), Some(Err(CallError::Other(_)))));
    let (mut late, id) = ask(&mut test);
    test.wait(30);
    assert_eq!(got(&mut late).unwrap().unwrap_err(), CallError::TimedOut);
    test.answer(Some("a@example.org"), id, Ok(Body::Disco(client())));
    assert!(test.session.snapshot().known.of(&jid("a@example.org"), test.now).is_none());
    let (mut cut, _) = ask(&mut test);
    test.run(|session, now, effects| session.lost("gone", now, effects));
    assert_eq!(got(&mut cut).unwrap().unwrap_err(), CallError::Offline);
    assert_eq!(got(&mut test.discover("a@example.org")).unwrap().unwrap_err(), CallError::Offline);
    assert_eq!(test.session.features.disco.sizes()[3], 0, "nobody waits");
}

/// Rows 114-115.
#[test]
fn a_verified_hash_speaks_for_everybody_who_claims_it() {
    let mut test = TestSession::connected(Settings::default());
    test.presence(claiming(JULIET, VER));
    let mut asked = test.discover(JULIET);
    assert_eq!(test.info_asked_of(JULIET).1, Some(format!("http://code.google.com/p/exodus#{VER}")));
    test.info(JULIET, client());
    assert_eq!(*got(&mut asked).unwrap().unwrap(), client());
    test.presence(claiming("romeo@example.org/x", VER));
    assert_eq!(*got(&mut test.discover("romeo@example.org/x")).unwrap().unwrap(), client());
    assert_eq!(test.times_asked("romeo@example.org/x"), 0);
    test.presence(presence("romeo@example.org/x", PresenceKind::Available));
    assert!(got(&mut test.discover("romeo@example.org/x")).is_some(), "it is silent of it (XEP-0115, section 8.4)");
    // The client now claims other features.
    test.presence(claiming("romeo@example.org/x", "other"));
    assert!(got(&mut test.discover("romeo@example.org/x")).is_none());
    test.presence(presence(JULIET, PresenceKind::Unavailable));
    assert!(got(&mut test.discover(JULIET)).is_none(), "she may come back as something else");
}

/// Rows 114-115. Departures in the meantime were not reported.
#[test]
fn what_an_occupant_could_do_is_forgotten_once_we_are_out_of_the_room() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let juliet = format!("{ROOM}/juliet");
    let muc = occupant("juliet", PresenceKind::Available, &[]).muc;
    test.presence(Presence { muc, ..claiming(&juliet, VER) });
    let mut asked = test.discover(&juliet);
    test.info(&juliet, client());
    assert_eq!(*got(&mut asked).unwrap().unwrap(), client());
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110, 307]));
    assert_eq!(test.session.features.disco.sizes()[1], 0, "who is not heard of takes nobody's room");
    test.in_room();
    assert!(got(&mut test.discover(&juliet)).is_none(), "whoever has the nickname now is asked");
}

/// Rows 114-115. The features of others cannot be forged.
#[test]
fn a_hash_that_does_not_fit_speaks_for_nobody_else() {
    let mut test = TestSession::connected(Settings::default());
    test.presence(claiming("evil@example.net/x", VER));
    let mut asked = test.discover("evil@example.net/x");
    test.info("evil@example.net/x", features(&["urn:evil"]));
    assert_eq!(got(&mut asked).unwrap().unwrap().features, ["urn:evil"], "it may say of itself what it likes");
    test.presence(claiming(JULIET, VER));
    assert!(got(&mut test.discover(JULIET)).is_none(), "she is asked herself");
    test.info(JULIET, client());
    assert_eq!(test.session.features.disco.sizes()[2], 1);
}

/// Rows 114-115.
#[test]
fn a_client_that_does_not_know_its_own_node_is_asked_without() {
    let mut test = TestSession::connected(Settings::default());
    test.presence(claiming(JULIET, VER));
    let mut asked = test.discover(JULIET);
    let id = test.info_asked_of(JULIET).0;
    test.answer(Some(JULIET), id, Err(stanza_error("item-not-found")));
    assert!(got(&mut asked).is_none());
    assert_eq!(test.info_asked_of(JULIET).1, None);
    let id = test.info_asked_of(JULIET).0;
    test.answer(Some(JULIET), id, Err(stanza_error("item-not-found")));
    assert!(matches!(got(&mut asked), Some(Err(CallError::Stanza(_)))), "and not for ever");
}

/// Rows 114-115. Clients announce one feature after the other while they start.
#[test]
fn what_a_client_could_do_before_is_not_what_it_can_do_now() {
    let mut test = TestSession::connected(Settings::default());
    test.presence(claiming(JULIET, "before"));
    let mut asked = test.discover(JULIET);
    test.presence(claiming(JULIET, VER));
    test.info(JULIET, features(&["urn:before"]));
    assert!(got(&mut asked).is_none(), "she has answered for what she claimed when she was asked");
    assert_eq!((test.times_asked(JULIET), test.info_asked_of(JULIET).1), (2, None));
    test.info(JULIET, client());
    assert_eq!(*got(&mut asked).unwrap().unwrap(), client());
    // Some answer with what they can do now, whatever they are asked for.
    test.presence(claiming(JULIET, "before"));
    let mut asked = test.discover(JULIET);
    test.presence(claiming(JULIET, VER));
    test.info(JULIET, client());
    assert_eq!(*got(&mut asked).unwrap().unwrap(), client());
    assert_eq!(test.times_asked(JULIET), 3);
    // Nothing proves another hash, so the second answer counts in any case.
    test.presence(claiming(JULIET, "before"));
    let mut asked = test.discover(JULIET);
    test.presence(claiming(JULIET, "other"));
    test.info(JULIET, features(&["urn:before"]));
    test.presence(claiming(JULIET, "another"));
    test.info(JULIET, features(&["urn:now"]));
    assert_eq!(got(&mut asked).unwrap().unwrap().features, ["urn:now"]);
}

#[test]
fn what_others_say_is_bounded() {
    let mut test = TestSession::connected(Settings::default());
    test.info(SERVER, features(&[ITEMS]));
    let id = test.asked(|ask| matches!(ask, Ask::DiscoItems));
    let items = (0..1_000).map(|number| jid(&format!("s{number}.example.org"))).collect();
    test.answer(Some(SERVER), id, Ok(Body::Items(items)));
    assert_eq!(test.times_asked("s63.example.org") + test.times_asked("s64.example.org"), 1);
    assert_eq!(MAX_SERVICES, 64);
    let names: Vec<String> = (0..10_000).map(|number| format!("urn:{number}")).collect();
    test.info("s0.example.org", Disco { features: names, ..Disco::default() });
    let known = test.session.snapshot().known;
    assert_eq!(known.of(&jid("s0.example.org"), test.now).unwrap().features.len(), MAX_FEATURES);
    test.info("s1.example.org", features(&[&"x".repeat(1 << 20), "urn:short"]));
    assert_eq!(test.session.snapshot().known.of(&jid("s1.example.org"), test.now).unwrap().features, ["urn:short"]);
    for number in 0..2 * MAX_ENTITIES {
        let entity = format!("p{number}@example.org");
        drop(test.discover(&entity));
        test.info(&entity, features(&["urn:a"]));
        test.sent.clear();
    }
    assert!(test.session.snapshot().known.of(&jid(SERVER), test.now).is_some(), "the server is not pushed out");
    for number in 0..MAX_CLAIMS + 10 {
        test.presence(claiming(&format!("romeo@example.org/{number}"), "x"));
        test.presence(claiming(&format!("s{number}@example.net/x"), "x"));
    }
    let [entities, claims, _, waiters, told] = test.session.features.disco.sizes();
    assert!(entities <= MAX_ENTITIES + MAX_SERVICES + 2, "{entities}");
    assert_eq!((claims, waiters, told), (MAX_CLAIMS, 0, MAX_ENTITIES));
    let long = "v".repeat(300);
    test.presence(claiming("romeo@example.org/0", &long));
    assert_eq!(test.session.features.disco.sizes()[1], MAX_CLAIMS - 1, "a claim of that length is none");
}

#[test]
fn what_strangers_claim_takes_nobodys_room() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    test.presence(claiming("stranger@example.net/x", VER));
    assert_eq!(test.session.features.disco.sizes()[1], 0);
    for (number, entity) in
        ["romeo@example.org/x", "bot@example.org/other", "room@muc.example.org/juliet"].iter().enumerate()
    {
        test.presence(claiming(entity, VER));
        assert_eq!(test.session.features.disco.sizes()[1], number + 1, "{entity}");
    }
}

#[test]
fn hashes_are_so_many_too() {
    let mut test = TestSession::connected(Settings::default());
    for number in 0..MAX_VERIFIED + 10 {
        let (disco, entity) = (features(&[&format!("urn:{number}")]), format!("romeo@example.org/{number}"));
        let ver = crate::disco::caps::ver(&disco);
        test.presence(claiming(&entity, &ver));
        drop(test.discover(&entity));
        test.info(&entity, disco);
    }
    assert_eq!(test.session.features.disco.sizes()[2], MAX_VERIFIED);
}

#[test]
fn calls_that_nobody_waits_for_are_forgotten() {
    let mut test = TestSession::connected(Settings::default());
    let receivers: Vec<_> = (0..MAX_OUTSTANDING).map(|_| test.discover("slow.example.org")).collect();
    assert!(matches!(got(&mut test.discover("slow.example.org")), Some(Err(CallError::OverLimit(_)))));
    drop(receivers);
    test.gone(InstanceId::next());
    assert_eq!(test.session.features.disco.sizes()[3], 0);
    assert!(got(&mut test.discover("slow.example.org")).is_none());
}
