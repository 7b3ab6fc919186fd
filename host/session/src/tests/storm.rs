//! Random inputs in any order: nothing panics, nothing grows without limit, and no call waits forever.

use parlor_stanza::card::CardChange;
use parlor_stanza::types::{Bookmark, BookmarkChange, Draft, FormField, Invite};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{iq, messages};

/// An input.
#[derive(Debug, Clone)]
enum Step {
    Bind,
    Suspend,
    Resume,
    Retry,
    Close,
    LogOut,
    Lose,
    Wait(u16),
    Back(u16),
    Presence(u8, u8, Vec<u16>),
    Message(u8, u8, Option<u8>),
    Push(u8, bool),
    Answer(u8, u8, bool),
    Open(u8),
    Shut(u8),
    Enter(u8, bool),
    Leave(u8),
    Say(u8, bool),
    Iq,
    Status(u8),
    Change(u8, u8),
    Card(u8, u8),
    Promise(u8, u8),
    Emit(u8, u8),
    Reject(u8, u8),
    Await(u8),
    Gone(u8),
    ActOnRoom(u8, u8),
    Marks(u8, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let code = prop::sample::select(vec![110_u16, 201, 210, 301, 303, 307, 322, 332]);
    prop_oneof![
        2 => Just(Step::Bind),
        1 => Just(Step::Suspend),
        1 => Just(Step::Resume),
        1 => Just(Step::Retry),
        1 => Just(Step::Close),
        1 => Just(Step::LogOut),
        1 => Just(Step::Lose),
        2 => (0..100_u16).prop_map(Step::Wait),
        1 => (0..100_u16).prop_map(Step::Back),
        12 => (any::<u8>(), any::<u8>(), prop::collection::vec(code, 0..3)).prop_map(|(a, b, c)| Step::Presence(a, b, c)),
        6 => (any::<u8>(), any::<u8>(), any::<Option<u8>>()).prop_map(|(a, b, c)| Step::Message(a, b, c)),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(a, b)| Step::Push(a, b)),
        8 => (any::<u8>(), any::<u8>(), any::<bool>()).prop_map(|(a, b, c)| Step::Answer(a, b, c)),
        2 => any::<u8>().prop_map(Step::Open),
        1 => any::<u8>().prop_map(Step::Shut),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(a, b)| Step::Enter(a, b)),
        2 => any::<u8>().prop_map(Step::Leave),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(a, b)| Step::Say(a, b)),
        2 => Just(Step::Iq),
        2 => any::<u8>().prop_map(Step::Status),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Step::Change(a, b)),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Step::Card(a, b)),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Step::Promise(a, b)),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Step::Emit(a, b)),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Step::Reject(a, b)),
        2 => any::<u8>().prop_map(Step::Await),
        1 => any::<u8>().prop_map(Step::Gone),
        4 => (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Step::ActOnRoom(a, b)),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(a, b)| Step::Marks(a, b)),
    ]
}

fn address(number: u8) -> &'static str {
    const ALL: [&str; 9] = [
        "room@muc.example.org",
        "room@muc.example.org/bot",
        "room@muc.example.org/juliet",
        "hall@muc.example.org/bot",
        "romeo@example.org/orchard",
        "juliet@example.org/balcony",
        "paris@example.org",
        "bot@example.org",
        "example.org",
    ];
    ALL[usize::from(number) % ALL.len()]
}

fn room(number: u8) -> BareJid {
    bare(["room@muc.example.org", "hall@muc.example.org", "cell@muc.example.org"][usize::from(number) % 3])
}

fn promise(number: u8) -> EventName {
    EventName::from(["connected", "roster", "initialized", "roomsAutoJoined", "mine", "yours"][usize::from(number) % 6])
}

fn instance(number: u8) -> InstanceId {
    InstanceId(u64::from(number % 3))
}

/// The receivers of all calls. Each function returns whether its call was answered.
#[derive(Default)]
struct Open(Vec<Box<dyn FnMut() -> bool>>);

impl Open {
    fn ask<C: Command>(&mut self, test: &mut TestSession, command: C) {
        let mut receiver = test.ask(command);
        let mut answered = false;
        self.0.push(Box::new(move || {
            answered = answered || got(&mut receiver).is_some();
            answered
        }));
    }
}

fn presence_kind(number: u8) -> PresenceKind {
    match number % 8 {
        0..=2 => PresenceKind::Available,
        3 | 4 => PresenceKind::Unavailable,
        5 => PresenceKind::Subscribe,
        6 => PresenceKind::Unsubscribe,
        _ => PresenceKind::Error(stanza_error("conflict")),
    }
}

fn act_on_room(test: &mut TestSession, open: &mut Open, jid: BareJid, what: u8) {
    match what % 6 {
        0 => open.ask(test, SetSubject { jid, subject: "news".to_owned() }),
        1 => open.ask(test, ModerateRoom { jid, ask: Ask::DestroyRoom { reason: None, alternative: None } }),
        2 => open.ask(test, ListAffiliations { jid, affiliation: "member" }),
        3 => {
            let fields = vec![("roomname".to_owned(), ConfigValue::Flag(true))];
            open.ask(test, ConfigureRoom { jid, fields });
        }
        4 => open.ask(test, ChangeRoomView { jid, change: ViewChange::Focus }),
        _ => open.ask(test, RemoveBookmark { jid }),
    }
}

fn mark(test: &mut TestSession, which: u8, autojoin: bool) {
    let room = room(which);
    let set = Bookmark { room, name: None, autojoin, nick: None, password: None, extensions: None, is_cut: false };
    let change = match which {
        ..190 => BookmarkChange::Set(set),
        190..220 => BookmarkChange::Stored(vec![set]),
        220.. => BookmarkChange::AllRemoved,
    };
    test.hear(Incoming::Bookmarks(vec![change]));
}

/// The instance that makes the calls.
const BY: InstanceId = InstanceId(1);

fn room_options(configure: bool) -> RoomOptions {
    let configure = configure.then(|| vec![("roomname".to_owned(), ConfigValue::Text("x".to_owned()))]);
    RoomOptions { configure, ..RoomOptions::default() }
}

fn take(test: &mut TestSession, open: &mut Open, step: Step) {
    match step {
        Step::Bind => test.bind(),
        Step::Suspend => test.run(Session::suspended),
        Step::Resume => test.run(Session::resumed),
        Step::Retry => test.run(|session, now, out| session.retrying(Duration::from_secs(1), "refused", now, out)),
        Step::Close => test.run(Session::closed),
        Step::LogOut => test.run(Session::logged_out),
        Step::Lose => test.run(|session, now, out| session.lost("gone", now, out)),
        Step::Wait(seconds) => test.wait(u64::from(seconds)),
        Step::Back(seconds) => test.now -= Duration::from_secs(u64::from(seconds)),
        Step::Presence(from, kind, status) => {
            let nick = status.contains(&303).then(|| "other".to_owned());
            let muc = (kind < 200).then(|| Box::new(MucUser { nick, status, ..MucUser::default() }));
            test.presence(Presence { muc, ..presence(address(from), presence_kind(kind)) });
        }
        Step::Message(from, kind, id) => hear(test, from, kind, id),
        Step::Push(who, remove) => {
            let who = jid(address(who)).to_bare();
            test.push(item(who.as_str(), if remove { "remove" } else { "both" }));
        }
        Step::Answer(which, from, fine) => answer(test, which, from, fine),
        Step::Open(who) => {
            open.ask(test, OpenChat { by: BY, jid: jid(address(who)).to_bare() });
        }
        Step::Shut(who) => open.ask(test, CloseChat { jid: jid(address(who)).to_bare() }),
        Step::Enter(which, configure) => {
            open.ask(test, OpenRoom { by: BY, jid: room(which), options: room_options(configure) });
        }
        Step::Leave(which) => open.ask(test, CloseRoom { by: BY, jid: room(which) }),
        Step::Say(to, public) => {
            let kind = if public { MessageKind::Groupchat } else { MessageKind::Chat };
            let draft = Draft { body: Some("hi".to_owned()), ..Draft::default() };
            open.ask(test, SendMessage { to: jid(address(to)), kind, draft });
        }
        Step::Iq => {
            let iq = raw("<iq xmlns='jabber:client' type='get' id='x'><ping xmlns='urn:xmpp:ping'/></iq>");
            open.ask(test, SendIq { by: InstanceId(1), iq });
        }
        Step::Status(value) => {
            let values = [StatusValue::Online, StatusValue::Away, StatusValue::Offline];
            let value = Some(values[usize::from(value) % 3]);
            open.ask(test, SetStatus { value, message: None });
        }
        Step::Promise(by, name) => {
            let names = vec![promise(name)];
            open.ask(test, RegisterPromises { by: instance(by), names, most: 64 });
        }
        Step::Emit(by, name) => {
            let (by, name, payload) = (instance(by), promise(name), Payload::None);
            open.ask(test, Emit { by, name, payload });
        }
        Step::Reject(by, name) => {
            let (by, name, reason) = (instance(by), promise(name), String::new());
            open.ask(test, RejectPromise { by, name, reason });
        }
        Step::Change(who, what) => change(test, open, &jid(address(who)), what),
        Step::Card(who, what) => card(test, open, jid(address(who)), what),
        Step::Await(name) => {
            let (by, name) = (instance(name), promise(name));
            open.ask(test, WaitUntil { by, name });
        }
        Step::ActOnRoom(which, what) => act_on_room(test, open, room(which), what),
        Step::Marks(which, autojoin) => mark(test, which, autojoin),
        Step::Gone(which) => test.run(|session, _, out| session.instance_gone(instance(which), out)),
    }
}

fn hear(test: &mut TestSession, from: u8, kind: u8, id: Option<u8>) {
    let kinds = [MessageKind::Chat, MessageKind::Groupchat, MessageKind::Error, MessageKind::Normal];
    let kind = kinds[usize::from(kind) % 4];
    let invite = id.filter(|id| id % 5 == 0).map(|id| {
        Box::new(Invite {
            room: room(id),
            from: jid(address(from)),
            to: jid("bot@example.org"),
            reason: None,
            password: None,
        })
    });
    let stanza_id = id.map(|id| id.to_string());
    test.message(Message { stanza_id, invite, ..message(address(from), kind, "hi") });
}

fn answer(test: &mut TestSession, which: u8, from: u8, fine: bool) {
    let asked = test.sent.iter().filter_map(|stanza| match stanza {
        Outgoing::Ask { to, id, ask } => Some((to.clone(), id.clone(), ask)),
        _ => None,
    });
    let Some((to, id, ask)) = asked.rev().nth(usize::from(which % 4)) else { return };
    let from = if from < 200 { to.as_ref().map(Jid::as_str) } else { Some(address(from)) };
    let field = FormField { var: "muc#roomconfig_roomname".to_owned(), ..FormField::default() };
    let body = match ask {
        Ask::Roster { .. } => Body::Roster { version: None, items: vec![item(ROMEO, "both")] },
        Ask::RoomConfig => Body::RoomForm(vec![field]),
        Ask::Bookmarks { .. } => Body::Bookmarks(Vec::new()),
        _ => Body::Empty,
    };
    test.answer(from, id, if fine { Ok(body) } else { Err(stanza_error("forbidden")) });
}

fn change(test: &mut TestSession, open: &mut Open, jid: &Jid, what: u8) {
    let changes = [
        ContactChange::Add { fullname: None },
        ContactChange::Remove,
        ContactChange::Rename("x".to_owned()),
        ContactChange::SetGroups(vec!["g".to_owned()]),
        ContactChange::Accept,
        ContactChange::Deny,
    ];
    let change = changes[usize::from(what) % changes.len()].clone();
    open.ask(test, ChangeContact { jid: jid.to_bare(), change });
}

fn card(test: &mut TestSession, open: &mut Open, jid: Jid, what: u8) {
    let force = what > 127;
    match what % 3 {
        0 => open.ask(test, GetCard { jid, force }),
        1 => open.ask(test, UpdateCard { jid, force }),
        _ => {
            let change = CardChange { role: Some("bot".to_owned()), ..CardChange::default() };
            open.ask(test, SetCard { by: BY, change });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_breaks_grows_or_hangs(steps in prop::collection::vec(step(), 0..120)) {
        let settings = settings(&[
            ("auto_join_rooms", json!([{ "jid": "hall@muc.example.org" }])),
            ("auto_join_on_invite", true.into()),
            ("allow_non_roster_messaging", true.into()),
        ]);
        let mut test = TestSession::new(settings);
        let mut open = Open::default();
        test.run(Session::plugins_initialized);
        test.announces("bot@example.org", &["urn:xmpp:sid:0".to_owned()]);
        for step in steps {
            take(&mut test, &mut open, step);
            let session = &test.session;
            prop_assert!(session.features.rooms.is_consistent());
            prop_assert!(session.features.seen.len() <= messages::REMEMBERED);
            prop_assert!(session.features.roster.strangers.len() <= roster::MAX_REQUESTS);
            prop_assert!(session.common.iqs.len() <= iq::MAX_OUTSTANDING + 3 * MAX_ROOMS + 4);
            prop_assert!(session.common.deadlines.len() <= session.common.iqs.len() + 2 * session.snapshot().rooms.len() + 8);
            for room in session.snapshot().rooms.values() {
                prop_assert!(!room.joined || session.snapshot().connected || session.common.is_live());
            }
        }
        test.run(|session, now, out| session.lost("gone", now, out));
        for number in 0..3 {
            test.run(|session, _, out| session.instance_gone(instance(number), out));
        }
        prop_assert!(open.0.iter_mut().all(|answered| answered()), "somebody waits for ever");
        prop_assert_eq!(test.session.features.rooms.waiters() + test.session.features.chats.pending() + test.session.common.iqs.len(), 0);
        prop_assert_eq!(test.session.features.cards.sizes(), (0, 0));
        prop_assert_eq!(test.session.common.promises.sizes(), (names::promises().count(), 0));
        prop_assert!(test.session.next_deadline().is_none());
    }
}
