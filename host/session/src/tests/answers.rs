//! Every request to a server or a peer, with every kind of answer: an error, nonsense, too much, from another entity,
//! repeated, late, or none. Each call ends with a trusted result or a typed error, and nothing is left waiting.

use std::collections::HashSet;

use parlor_stanza::card::CardChange;
use parlor_stanza::types::{ArchiveQuery, Bookmark, MAM};

use super::*;
use crate::{ConfigValue, ContactChange};

const FRIEND: &str = "friend@example.net/x";
const OWN: &str = "bot@example.org";

/// A call in progress.
struct Call(Box<dyn FnMut() -> Option<Result<(), CallError>>>);

impl Call {
    fn start<C: Command>(test: &mut TestSession, command: C) -> Self {
        let mut receiver = test.ask(command);
        let mut outcome = None;
        Self(Box::new(move || {
            // An answer is given once, but read several times.
            outcome = outcome.take().or_else(|| got(&mut receiver).map(|result| result.map(drop)));
            outcome.clone()
        }))
    }

    fn outcome(&mut self) -> Option<Result<(), CallError>> {
        (self.0)()
    }
}

fn change(test: &mut TestSession, who: &str, change: ContactChange) -> Call {
    Call::start(test, ChangeContact { jid: bare(who), change })
}

fn bookmark() -> Bookmark {
    Bookmark {
        room: bare("other@muc.example.org"),
        name: None,
        autojoin: false,
        nick: None,
        password: None,
        extensions: None,
        is_cut: false,
    }
}

fn card_change() -> CardChange {
    CardChange { role: Some("bot".to_owned()), ..CardChange::default() }
}

fn query(with: Option<&str>) -> ArchiveQuery {
    ArchiveQuery { with: with.map(jid), max: 10, ..ArchiveQuery::default() }
}

fn order(test: &mut TestSession, ask: Ask) -> Call {
    Call::start(test, ModerateRoom { jid: bare(ROOM), ask })
}

/// A call, how it is made, and which answers it accepts. An order accepts any result, since results of orders are
/// empty.
struct CallCase {
    name: &'static str,
    ask: fn(&mut TestSession) -> Call,
    yes: &'static [&'static str],
}

const ANY: &[&str] = &["any"];

fn call_cases() -> Vec<CallCase> {
    let case = |name, yes, ask| CallCase { name, ask, yes };
    let cards = &["nothing", "an empty card", "an odd card"];
    vec![
        case("api.send-iq", ANY, |test| {
            let iq = raw(&format!("<iq type='get' id='x' to='{FRIEND}'><x xmlns='y'/></iq>"));
            Call::start(test, SendIq { by: InstanceId(1), iq })
        }),
        case("archive.query", &["an empty page", "an odd page"], |test| {
            Call::start(test, QueryArchive { by: Some(InstanceId(1)), query: query(None) })
        }),
        // The address is asked first whether it is a room. If it does not answer, the own archive is queried.
        case("archive.query of a stranger", &["an empty page", "an odd page"], |test| {
            Call::start(test, QueryArchive { by: Some(InstanceId(1)), query: query(Some("who@example.net")) })
        }),
        case("disco.supports", &["empty features", "odd features", "too many features"], |test| {
            Call::start(test, Discover { entity: jid(FRIEND) })
        }),
        case("disco.last-activity", &["an idle time"], |test| Call::start(test, GetActivity { entity: jid(FRIEND) })),
        case("disco.time", &["a time"], |test| Call::start(test, GetTime { entity: jid(FRIEND) })),
        case("disco.version", &["an empty version", "an odd version"], |test| {
            Call::start(test, GetSoftware { entity: jid(FRIEND) })
        }),
        case("vcard.get", cards, |test| Call::start(test, GetCard { jid: jid(FRIEND), force: true })),
        case("vcard.update", cards, |test| Call::start(test, UpdateCard { jid: jid(ROMEO), force: true })),
        case("vcard.set", cards, |test| Call::start(test, SetCard { by: InstanceId(1), change: card_change() })),
        case("contacts.add", ANY, |test| change(test, "new@example.net", ContactChange::Add { fullname: None })),
        case("contacts.remove", ANY, |test| change(test, ROMEO, ContactChange::Remove)),
        case("contacts.rename", ANY, |test| change(test, ROMEO, ContactChange::Rename("x".to_owned()))),
        case("contacts.set-groups", ANY, |test| change(test, ROMEO, ContactChange::SetGroups(Vec::new()))),
        case("contacts.block", ANY, |test| Call::start(test, BlockAddress { jid: jid(FRIEND), report: None })),
        case("contacts.unblock", ANY, |test| Call::start(test, UnblockAddress { jid: jid(FRIEND) })),
        case("contacts.blocked", &["nobody blocked", "odd blocked", "too many blocked"], |test| {
            Call::start(test, ListBlocked)
        }),
        case("rooms.set-role", ANY, |test| {
            order(test, Ask::SetRole { nick: "juliet".to_owned(), role: "visitor", reason: None })
        }),
        case("rooms.set-affiliation", ANY, |test| {
            order(test, Ask::SetAffiliation { user: bare(ROMEO), affiliation: "member", reason: None })
        }),
        case("rooms.destroy", ANY, |test| order(test, Ask::DestroyRoom { reason: None, alternative: None })),
        case("rooms.affiliations", &["empty affiliations", "odd affiliations", "too many affiliations"], |test| {
            Call::start(test, ListAffiliations { jid: bare(ROOM), affiliation: "member" })
        }),
        // It is asked first what it can do, and none of the answers has it.
        case("rooms.retract", &[], |test| {
            Call::start(test, RetractInRoom { jid: bare(ROOM), id: "7".to_owned(), reason: None })
        }),
        // Every other answer has no form with a nickname.
        case("rooms.register", &["a registration"], |test| {
            let nick = "bot".to_owned();
            Call::start(test, RegisterWithRoom { jid: bare(ROOM), nick, fields: Vec::new() })
        }),
        case("rooms.unregister", ANY, |test| Call::start(test, UnregisterFromRoom { jid: bare(ROOM) })),
        case("rooms.reserved-nick", &["nothing", "empty features", "odd features", "too many features"], |test| {
            Call::start(test, GetReservedNick { jid: bare(ROOM) })
        }),
        // No form among the answers has the field.
        case("rooms.configure", &[], |test| {
            let fields = vec![("roomname".to_owned(), ConfigValue::Text("x".to_owned()))];
            Call::start(test, ConfigureRoom { jid: bare(ROOM), fields })
        }),
        case("rooms.set-bookmark", ANY, |test| Call::start(test, SetBookmark { bookmark: bookmark() })),
        case("rooms.remove-bookmark", ANY, |test| {
            let own = Bookmark { room: bare(ROOM), ..bookmark() };
            let mut set = Call::start(test, SetBookmark { bookmark: own });
            let id = test.asked(|ask| matches!(ask, Ask::PublishBookmark { .. }));
            test.hear_xml(&result(None, &id, ""));
            assert_eq!(set.outcome(), Some(Ok(())));
            test.sent.clear();
            Call::start(test, RemoveBookmark { jid: bare(ROOM) })
        }),
    ]
}

/// Results with their names.
fn results() -> Vec<(&'static str, String)> {
    let many = |one: &str| one.repeat(9_000);
    let (info, admin, owner) = (
        "http://jabber.org/protocol/disco#info",
        "http://jabber.org/protocol/muc#admin",
        "http://jabber.org/protocol/muc#owner",
    );
    let query = |namespace: &str, content: &str| format!("<query xmlns='{namespace}'>{content}</query>");
    let form = |fields: &str| query(owner, &format!("<x xmlns='jabber:x:data' type='form'>{fields}</x>"));
    let fin = |content: &str| format!("<fin xmlns='{MAM}'>{content}</fin>");
    let card = |content: &str| format!("<vCard xmlns='vcard-temp'>{content}</vCard>");
    let blocked = |content: &str| format!("<blocklist xmlns='urn:xmpp:blocking'>{content}</blocklist>");
    let set = "<set xmlns='http://jabber.org/protocol/rsm'><first index='-1'/><last/><count>many</count></set>";
    vec![
        ("nothing", String::new()),
        ("another child", "<x xmlns='urn:nonsense'/>".to_owned()),
        ("another namespace", query("urn:nonsense", "<item/>")),
        ("an empty roster", query("jabber:iq:roster", "")),
        ("an odd roster", query("jabber:iq:roster", "<item/><item jid='@@'/><x/>")),
        ("empty features", query(info, "")),
        ("odd features", query(info, "<feature/><identity/><x xmlns='jabber:x:data' type='result'><field/></x>")),
        ("too many features", query(info, &many("<feature var='urn:x'/>"))),
        ("an empty page", fin("")),
        ("an odd page", fin(set)),
        ("preferences", format!("<prefs xmlns='{MAM}'/>")),
        ("an empty card", card("")),
        ("an odd card", card("<PHOTO/><N><x/></N><EMAIL/>")),
        ("too large a card", card(&format!("<PHOTO><BINVAL>{}</BINVAL></PHOTO>", "QUJD".repeat(100_000)))),
        ("empty affiliations", query(admin, "")),
        ("odd affiliations", query(admin, "<item/><item jid='@@' affiliation='member'/><item jid='a@b'/>")),
        ("too many affiliations", query(admin, &many("<item jid='a@b' affiliation='member'/>"))),
        ("nobody blocked", blocked("")),
        ("odd blocked", blocked("<item/><item jid='@@'/><x/>")),
        ("too many blocked", blocked(&many("<item jid='a@b'/>"))),
        ("an idle time", "<query xmlns='jabber:iq:last' seconds='7'/>".to_owned()),
        ("an odd idle time", "<query xmlns='jabber:iq:last' seconds='-7'/>".to_owned()),
        ("a time", "<time xmlns='urn:xmpp:time'><tzo>Z</tzo><utc>2026-01-01T00:00:00Z</utc></time>".to_owned()),
        ("an odd time", "<time xmlns='urn:xmpp:time'><tzo>Z</tzo><utc>soon</utc></time>".to_owned()),
        ("an empty version", query("jabber:iq:version", "")),
        ("an odd version", query("jabber:iq:version", "<name/><version><x/></version>")),
        ("a registration", query("jabber:iq:register", "<registered/>")),
        ("no registration", query("jabber:iq:register", "<x xmlns='jabber:x:data' type='form'><field/></x>")),
        ("an empty form", form("")),
        ("an odd form", form("<field/><field var='' type='list-single'/><field type='fixed'/><x/>")),
        ("too large a form", form(&many("<field var='x'/>"))),
        ("no form", query(owner, "")),
        ("an empty node", "<pubsub xmlns='http://jabber.org/protocol/pubsub'/>".to_owned()),
    ]
}

fn errors() -> Vec<(&'static str, &'static str)> {
    vec![
        ("an error", "<error type='cancel'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"),
        ("an error that says nothing", "<error type='cancel'/>"),
        ("an error of another kind", "<error type='odd'><x xmlns='urn:nonsense'/></error>"),
    ]
}

/// The requests that were handled so far.
struct Asked(HashSet<String>);

impl Asked {
    fn news(&mut self, test: &TestSession) -> Vec<(Option<Jid>, String)> {
        let asked = test.sent.iter().filter_map(|stanza| match stanza {
            Outgoing::Ask { to, id, .. } => Some((to.clone(), id.clone())),
            Outgoing::Private(iq, _) => Some((iq.to(), iq.id()?.to_owned())),
            _ => None,
        });
        asked.filter(|(_, id)| self.0.insert(id.clone())).collect()
    }

    /// Answers all open requests, and those that follow from the answers.
    fn answer(&mut self, test: &mut TestSession, answer: impl Fn(Option<&Jid>, &str) -> String) {
        for _ in 0..8 {
            for (to, id) in self.news(test) {
                test.hear_xml(&answer(to.as_ref(), &id));
            }
        }
        assert!(self.news(test).is_empty(), "asked again and again");
    }
}

fn from(to: Option<&Jid>) -> String {
    to.map(|to| format!("from='{to}'")).unwrap_or_default()
}

fn result(to: Option<&Jid>, id: &str, payload: &str) -> String {
    format!("<iq type='result' id='{id}' {}>{payload}</iq>", from(to))
}

fn error(to: Option<&Jid>, id: &str, error: &str) -> String {
    format!("<iq type='error' id='{id}' {}>{error}</iq>", from(to))
}

/// Returns how many things wait.
fn waiting(test: &TestSession) -> [usize; 7] {
    let session = &test.session;
    [
        session.common.iqs.len(),
        session.features.archives.len(),
        session.features.disco.sizes()[3],
        session.features.cards.sizes().1,
        session.features.rooms.waiters(),
        session.features.chats.pending(),
        session.common.deadlines.len(),
    ]
}

/// Returns a test that is connected, with an archive, in a room, and without open requests.
fn test() -> (TestSession, Asked) {
    let mut test = TestSession::connected(Settings::default());
    let mut asked = Asked(HashSet::new());
    let features = format!(
        "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='account' type='registered'/>\
         <feature var='{MAM}'/></query>"
    );
    let answer = |to: Option<&Jid>, id: &str| match to {
        Some(to) if *to == jid(OWN) => result(Some(to), id, &features),
        to => error(to, id, errors()[0].1),
    };
    asked.answer(&mut test, answer);
    test.in_room();
    asked.answer(&mut test, answer);
    // The features of the account are announced.
    test.wait(1);
    assert_eq!(test.session.common.iqs.len(), 0);
    test.forget();
    (test, asked)
}

/// Rows 11, 34, 43, 64, 67, 68, 71, 72, 108, 114, 115.
#[test]
fn an_error_is_told_and_nonsense_believed_by_nobody() {
    for CallCase { name, ask, yes } in call_cases() {
        for (kind, payload) in results() {
            let (mut test, mut asked) = test();
            let before = waiting(&test);
            let mut call = ask(&mut test);
            assert_eq!(call.outcome(), None, "{name} asks nobody");
            asked.answer(&mut test, |to, id| result(to, id, &payload));
            let outcome = call.outcome().unwrap_or_else(|| panic!("{name}: {kind} ends nothing"));
            let is_yes = yes == ANY || yes.contains(&kind);
            assert_eq!(outcome.is_ok(), is_yes, "{name}: {kind}: {outcome:?}");
            assert!(!matches!(outcome, Err(CallError::Stopped | CallError::TimedOut)), "{name}: {kind}: {outcome:?}");
            assert_eq!(waiting(&test)[..6], before[..6], "{name}: {kind}");
        }
        for (kind, payload) in errors() {
            let (mut test, mut asked) = test();
            let before = waiting(&test);
            let mut call = ask(&mut test);
            asked.answer(&mut test, |to, id| error(to, id, payload));
            let outcome = call.outcome().unwrap_or_else(|| panic!("{name}: {kind} ends nothing"));
            assert!(matches!(outcome, Err(CallError::Stanza(_))), "{name}: {kind}: {outcome:?}");
            assert_eq!(waiting(&test)[..6], before[..6], "{name}: {kind}");
        }
    }
}

/// Rows 11, 34, 43, 64, 67, 68, 71, 72, 108, 114, 115.
#[test]
fn what_is_never_answered_ends_in_time_and_what_comes_later_is_nobodys() {
    for CallCase { name, ask, .. } in call_cases() {
        let (mut test, mut asked) = test();
        let before = waiting(&test);
        let mut call = ask(&mut test);
        let mut late = asked.news(&test);
        for _ in 0..9 {
            test.wait(10);
            late.extend(asked.news(&test));
        }
        assert_eq!(call.outcome(), Some(Err(CallError::TimedOut)), "{name}");
        assert_eq!(waiting(&test)[..6], before[..6], "{name}");
        let ignored = test.session.ignored();
        test.forget();
        for (to, id) in &late {
            test.hear_xml(&result(to.as_ref(), id, ""));
        }
        assert_eq!(test.session.ignored() - ignored, late.len() as u64, "{name}: what came too late is not taken");
        assert!(test.lines().is_empty(), "{name}: and nothing comes of it");
    }
}

/// Rows 11, 34, 43, 64, 67, 68, 71, 72, 108, 114, 115. Rules iq-reply.
#[test]
fn what_somebody_else_answers_or_the_same_once_more_is_nobodys() {
    for CallCase { name, ask, .. } in call_cases() {
        let (mut test, mut asked) = test();
        let mut call = ask(&mut test);
        let [(to, id)] = &asked.news(&test)[..] else { panic!("{name} asks more than one at once") };
        let before = waiting(&test);
        let ignored = test.session.ignored();
        let others = ["evil@example.net/x", "friend@example.net/y", "example.net", "romeo@example.org/bot"].map(jid);
        for other in &others {
            test.hear_xml(&result(Some(other), id, ""));
            test.hear_xml(&error(Some(other), id, errors()[0].1));
        }
        assert_eq!(call.outcome(), None, "{name}");
        assert_eq!(test.session.ignored() - ignored, 2 * others.len() as u64, "{name}");
        assert_eq!(waiting(&test), before, "{name}");
        // Again, after it has ended.
        test.hear_xml(&error(to.as_ref(), id, errors()[0].1));
        asked.answer(&mut test, |to, id| error(to, id, errors()[0].1));
        let outcome = call.outcome();
        assert!(matches!(outcome, Some(Err(CallError::Stanza(_)))), "{name}: {outcome:?}");
        let ignored = test.session.ignored();
        test.forget();
        test.hear_xml(&error(to.as_ref(), id, errors()[0].1));
        test.hear_xml(&result(to.as_ref(), id, ""));
        assert_eq!((test.session.ignored() - ignored, test.lines().len()), (2, 0), "{name}");
    }
}

/// Requests that are answered only by a presence or a message end in time, too.
#[test]
fn a_room_that_never_answers_lets_nobody_wait() {
    let (mut test, mut asked) = test();
    let before = waiting(&test);
    let mut opened =
        test.ask(OpenRoom { by: InstanceId(1), jid: bare("mute@muc.example.org"), options: RoomOptions::default() });
    let mut subject = test.ask(SetSubject { jid: bare(ROOM), subject: "x".to_owned() });
    let (answer, mut closed) = Answer::channel();
    test.wait(120);
    asked.news(&test);
    test.wait(120);
    assert_eq!(got(&mut opened).unwrap().unwrap_err(), CallError::TimedOut);
    assert_eq!(got(&mut subject).unwrap().unwrap_err(), CallError::TimedOut);
    test.command(AnyCommand::with(CloseRoom { by: InstanceId(1), jid: bare(ROOM) }, answer));
    test.wait(120);
    assert!(got(&mut closed).is_some(), "a room that says nothing is left all the same");
    assert_eq!(waiting(&test)[..6], before[..6]);
}

/// Nonsense for every request that the account makes on its own initiative.
#[test]
fn an_account_begins_whatever_the_server_answers() {
    let results = results();
    let answers = results.iter().map(|(kind, payload)| (*kind, payload.as_str(), true));
    let errors = errors().into_iter().map(|(kind, payload)| (kind, payload, false));
    for (kind, payload, is_result) in answers.chain(errors) {
        let mut test = TestSession::new(Settings::default());
        let mut asked = Asked(HashSet::new());
        test.run(Session::plugins_initialized);
        test.bind();
        asked.answer(&mut test, |to, id| if is_result { result(to, id, payload) } else { error(to, id, payload) });
        test.wait(60);
        assert_eq!((test.count("initialized"), test.session.common.iqs.len()), (1, 0), "{kind}");
    }
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    test.bind();
    for _ in 0..12 {
        test.wait(10);
    }
    assert_eq!(test.count("initialized"), 1, "no answer at all");
    assert!(test.session.common.iqs.len() <= 1, "the roster is asked for again");
}
